"""Rate equations of quasiparticles and phonons at fixed spectra, in the form that the solvers want."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fvqp.collisions import BinWeights, ElectronPhonon, GainLoss, Pair, Process
from fvqp.solvers.elimination import Arrow
from fvqp.typing import Bools, Floats


class Occupations:
    """``ẏ = R(y)`` with ``y = (f, n)`` of every cell: collisions and all other processes together.

    Bins without states do not take part: their rates are 0, and the Jacobian has −1 on the diagonal there.

    Attributes:
        collisions: electron-phonon collisions.
        processes: all others, by their names.
        external_processes: names of those that exchange energy or particles with the outside.
        bin_weights: spectrum of every cell, or one for all; may be replaced.
    """

    def __init__(
        self,
        collisions: ElectronPhonon,
        processes: Mapping[str, Process],
        bin_weights: BinWeights,
        cells: int,
    ) -> None:
        self.collisions, self.processes, self.bin_weights = collisions, dict(processes), bin_weights
        self.external_processes = [
            name for name, process in processes.items() if hasattr(process, "energy_flow")
        ]
        grid = collisions.grid
        self.shape = (cells, grid.n + grid.n_phonon)
        self.dense = grid.n
        self.upper = np.concatenate([np.ones(grid.n), np.full(grid.n_phonon, np.inf)])
        self._all: dict[str, Process] = {"electron-phonon collisions": collisions, **processes}

    @property
    def weights(self) -> Floats:
        """States of the bins."""
        return self.bin_weights.number

    def split(self, y: Floats) -> Pair:
        """f and n."""
        bins = self.collisions.grid.n
        return Pair(np.ascontiguousarray(y[:, :bins]), np.ascontiguousarray(y[:, bins:]))

    def active(self) -> Bools:
        """Bins with states, ``(cells, N)``."""
        return np.broadcast_to(self.bin_weights.active, (self.shape[0], self.collisions.grid.n))

    def rates(self, y: Floats) -> Floats:
        """R(y), 1/τ0."""
        f, n = self.split(y)
        return _joined([process.rates(self.bin_weights, f, n) for process in self._all.values()])

    def gain_loss(self, f: Floats, n: Floats) -> GainLoss:
        """Gain and loss coefficients of all processes together."""
        parts = [process.gain_loss(self.bin_weights, f, n) for process in self._all.values()]
        return GainLoss(*(np.sum(part, axis=0) for part in zip(*parts, strict=True)))

    def turnover(self, y: Floats) -> Floats:
        """``in (1 − f) + out f`` and ``in (1 + n) + out n``."""
        f, n = self.split(y)
        part = self.gain_loss(f, n)
        return np.concatenate(
            [part.in_f * (1.0 - f) + part.out_f * f, part.in_n * (1.0 + n) + part.out_n * n], axis=1
        )

    def product(self, y: Floats, step: Floats) -> Floats:
        """Jacobian times a step."""
        f, n = self.split(y)
        step_f, step_n = self.split(step)
        out = _joined([process.jvp(self.bin_weights, f, n, step_f, step_n) for process in self._all.values()])
        out[:, : f.shape[1]] -= np.where(self.active(), 0.0, step_f)
        return out

    def blocks(self, y: Floats) -> Arrow:
        """Jacobian."""
        f, n = self.split(y)
        total = Arrow(*self.collisions.jacobian(self.bin_weights, f, n))
        for process in self.processes.values():
            for block, more in zip(total, process.jacobian(self.bin_weights, f, n), strict=True):
                block += more
        np.einsum("cii->ci", total.xx)[...] -= ~self.active()
        return total

    def balances(self, y: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Number of quasiparticles, and energy: what comes and what goes, ``(cells,)``.

        Phonons that come and go count each by themselves, quasiparticles of a drive or source with the
        difference.
        """
        f, n = self.split(y)
        pairs = self.collisions.gain_loss(self.bin_weights, f, n, "pairs")
        number = [
            (self.bin_weights.number * pairs.in_f * (1.0 - f)).sum(axis=1),
            (self.bin_weights.number * pairs.out_f * f).sum(axis=1),
        ]
        energy = [np.zeros(self.shape[0]), np.zeros(self.shape[0])]
        weight = self.collisions.modes(self.bin_weights) * self.collisions.grid.phonon_energies
        for name in self.external_processes:
            process = self.processes[name]
            _add(number, process.number_flow(self.bin_weights, f, n).quasiparticles)  # type: ignore[attr-defined]
            _add(energy, process.energy_flow(self.bin_weights, f, n).quasiparticles)  # type: ignore[attr-defined]
            parts = process.gain_loss(self.bin_weights, f, n)
            energy[0] += (weight * parts.in_n * (1.0 + n)).sum(axis=1)
            energy[1] += (weight * parts.out_n * n).sum(axis=1)
        balances = {"number of quasiparticles": (number[0], number[1])}
        if self.external_processes:
            balances["energy"] = energy[0], energy[1]
        return balances

    def counters(self, y: Floats) -> Floats:
        """Energy into quasiparticles and phonons, and quasiparticles, by every exchange: ``(cells, 3 E)``."""
        f, n = self.split(y)
        return self._counted(
            [self.processes[name].rates(self.bin_weights, f, n) for name in self.external_processes],
            self.shape[0],
        )

    def counters_product(self, y: Floats, step: Floats) -> Floats:
        """Derivative of `counters` along a step."""
        f, n = self.split(y)
        moved = self.split(step)
        return self._counted(
            [self.processes[name].jvp(self.bin_weights, f, n, *moved) for name in self.external_processes],
            self.shape[0],
        )

    def conserved(self) -> tuple[Floats, Floats]:
        """Energy of every occupation; it changes by what exchanges give to quasiparticles and phonons."""
        grid = self.collisions.grid
        states = self.bin_weights.number * grid.energies
        phonons = self.collisions.modes(self.bin_weights) * grid.phonon_energies
        rows = max(len(states), len(phonons))
        states = np.broadcast_to(states, (rows, grid.n))
        phonons = np.broadcast_to(phonons, (rows, grid.n_phonon))
        return np.concatenate([states, phonons], axis=1), np.tile(
            [1.0, 1.0, 0.0], len(self.external_processes)
        )

    def _counted(self, rates: list[Pair], cells: int) -> Floats:
        grid, states = self.collisions.grid, self.bin_weights.number
        weight = self.collisions.modes(self.bin_weights) * grid.phonon_energies
        parts = [
            np.stack(
                [
                    (states * grid.energies * r.f).sum(axis=1),
                    (r.n * weight).sum(axis=1),
                    (states * r.f).sum(axis=1),
                ],
                1,
            )
            for r in rates
        ]
        return np.concatenate(parts, axis=1) if parts else np.zeros((cells, 0))

    def describe(self, y: Floats, point: int, unknown: int) -> str:
        """Name of an unknown with the process that turns over most of it."""
        grid = self.collisions.grid
        cell = slice(point, point + 1)
        f, n = self.split(y)
        phonon = unknown >= grid.n
        at = unknown - grid.n if phonon else unknown
        rates = {}
        for name, process in self._all.items():
            part = process.gain_loss(self.bin_weights, f, n)
            gain, loss = (part.in_n, part.out_n) if phonon else (part.in_f, part.out_f)
            rates[name] = float((gain + loss)[cell, at][0])
        stiff = max(rates, key=lambda name: rates[name])
        what, energy = (
            ("phonons", grid.phonon_energies[at]) if phonon else ("quasiparticles", grid.energies[at])
        )
        return (
            f"{what} of {energy:.4g} Δ0 in cell {point}, mostly by {stiff} at a rate of {rates[stiff]:.2g}/τ0"
        )


class CountedOccupations(Occupations):
    """The same equations where the fullest bin of a cell answers for the number of quasiparticles.

    Its equation is the sum of all bins, which scattering does not change: what is left is pairs, and what
    comes from outside. So a number that changes by a part of 10⁻¹⁶ of the scattering rate and less, as in
    cold superconductors, is as well determined as any other. Steady states are those of `Occupations`.
    On graded grids, where pairs share phonons, nothing is replaced.
    """

    _known: tuple[Floats, BinWeights, Pair] | None = None

    def rates(self, y: Floats) -> Floats:
        """R(y), with the change of the number in place of that of one bin."""
        out = super().rates(y)
        if not self.collisions.grid.is_uniform:
            return out
        f, n = self.split(y)
        pairs = self.collisions.gain_loss(self.bin_weights, f, n, "pairs")
        number = (self.bin_weights.number * (pairs.in_f * (1.0 - f) - pairs.out_f * f)).sum(axis=1)
        for flow in self._flows(f, n).values():
            number = number + flow
        at = self._fullest(f)
        out[at] = number / self._states()[at]
        return out

    def product(self, y: Floats, step: Floats) -> Floats:
        """Jacobian of `rates` times a step."""
        out = super().product(y, step)
        if not self.collisions.grid.is_uniform:
            return out
        f, n = self.split(y)
        # the same state comes with many steps
        if self._known is None or self._known[0] is not y or self._known[1] is not self.bin_weights:
            self._known = y, self.bin_weights, self._slopes(f, n)
        by_f, by_n = self._known[2]
        step_f, step_n = self.split(step)
        change = (by_f * step_f).sum(axis=1) + (by_n * step_n).sum(axis=1)
        for name in self._flows(f, n):
            moved = self.processes[name].jvp(self.bin_weights, f, n, step_f, step_n)
            change = change + (self.bin_weights.number * moved.f).sum(axis=1)
        at = self._fullest(f)
        out[at] = change / self._states()[at]
        return out

    def blocks(self, y: Floats) -> Arrow:
        """Jacobian of `rates`."""
        total = super().blocks(y)
        if not self.collisions.grid.is_uniform:
            return total
        f, n = self.split(y)
        by_f, by_n = self._slopes(f, n)
        for name in self._flows(f, n):
            more = self.processes[name].jacobian(self.bin_weights, f, n)
            by_f = by_f + np.einsum("ci,cij->cj", self._states(), more.ff)
            by_n = by_n + np.einsum("ci,cik->ck", self._states(), more.fn)
        at = self._fullest(f)
        total.xx[at] = by_f / self._states()[at][:, None]
        total.xz[at] = by_n / self._states()[at][:, None]
        return total

    def _states(self) -> Floats:
        return np.broadcast_to(self.bin_weights.number, (self.shape[0], self.collisions.grid.n))

    def _fullest(self, f: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Index of the bin with most quasiparticles in every cell."""
        return np.arange(self.shape[0]), np.argmax(self._states() * f, axis=1)

    def _flows(self, f: Floats, n: Floats) -> dict[str, Floats]:
        """Quasiparticles from outside, by the exchanges that bring any."""
        flows = {
            name: self.processes[name].number_flow(self.bin_weights, f, n).quasiparticles  # type: ignore[attr-defined]
            for name in self.external_processes
        }
        return {name: flow for name, flow in flows.items() if np.any(flow != 0.0)}

    def _slopes(self, f: Floats, n: Floats) -> Pair:
        """Derivatives of the number that pairs change: every collision of two bins counts for both."""
        pairs = self.collisions.gain_loss(self.bin_weights, f, n, "pairs")
        return Pair(
            -2.0 * self.bin_weights.number * (pairs.in_f + pairs.out_f),
            -2.0 * self.collisions.modes(self.bin_weights) * (pairs.in_n - pairs.out_n),
        )


def _joined(pairs: list[Pair]) -> Floats:
    total_f, total_n = pairs[0].f.copy(), pairs[0].n.copy()
    for pair in pairs[1:]:
        total_f += pair.f
        total_n += pair.n
    return np.concatenate([total_f, total_n], axis=1)


def _add(balance: list[Floats], flow: Floats) -> None:
    balance[0] = balance[0] + np.maximum(flow, 0.0)
    balance[1] = balance[1] + np.maximum(-flow, 0.0)
