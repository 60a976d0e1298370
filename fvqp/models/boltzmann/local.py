"""Processes inside cells: collisions, sources and escape, from means over directions.

Every collision sends its particles in all directions: with gain A and loss B of the means, direction m obeys
``A (1 − f_m) − B f_m``, which is the rate of the mean and a return to it at the rate A + B (theory:
transport, Eq. transport-collisions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fvqp.collisions import GainLoss, OccupationRates, Pair, PhotonDrive
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.models.boltzmann.cell_solver import CellSolver, Eliminations
from fvqp.models.boltzmann.medium import MediumCells
from fvqp.models.boltzmann.state import Local
from fvqp.typing import Floats, Ints


class InelasticRates(NamedTuple):
    """Rates of inelastic collisions, which make occupations isotropic, ``(n_owned, N)``, ``(n_owned, K)``,
    and the fastest one."""

    f: Floats
    n: Floats
    fastest: float


@dataclass
class _Found:
    """Processes of media at a state, with their cells and names, and what follows from them."""

    f: Floats
    n: Floats
    parts: list[tuple[slice | Ints, str, OccupationRates]]
    local: Local | None = None
    inelastic: InelasticRates | None = None


class LocalProcesses:
    """Collisions and processes of all media of a rank, at the spectra of given gaps.

    Attributes:
        media: in their cells.
        external_processes: names of the processes that bring particles or energy from outside.
        bin_weights: spectrum of the cells of every medium.
        weight_f, weight_n: ``(n_owned, N)`` volume × states, ``(n_owned, K)`` volume × modes.
        mobile: ``(n_owned, N)`` weight_f without localized states.
        energies: of quasiparticles and phonons.
    """

    def __init__(
        self,
        media: Sequence[MediumCells],
        volume: Floats,
        grid: EnergyAxis,
        gap: Floats,
        eliminations: Eliminations,
    ) -> None:
        """
        Args:
            media: in their cells.
            volume: of the cells, ``(n_owned,)``.
            grid: energies.
            gap: of the cells, ``(n_owned,)``.
            eliminations: kept from one solution to the next, also of other gaps.
        """
        self.media = media
        self.energies = Pair(grid.energies, grid.phonon_energies)
        self.external_processes = external_processes(media)
        self.bin_weights: list[BinWeights] = []
        self._eliminations = eliminations
        # The states at which rates and at which their derivatives were last asked for.
        self._latest: _Found | None = None
        self._slopes: _Found | None = None
        self.weight_f = np.zeros((len(volume), grid.n))
        self.mobile = np.zeros_like(self.weight_f)
        self.weight_n = np.zeros((len(volume), grid.n_phonon))
        for one in media:
            here = volume[one.rows, None]
            self.weight_n[one.rows] = here * one.modes
            self.bin_weights.append(one.bin_weights(gap[one.owned]))
            if one.has_quasiparticles:
                self.weight_f[one.rows] = here * one.number(self.bin_weights[-1])
                self.mobile[one.rows] = here * one.medium.density * self.bin_weights[-1].number
            shares = self.bin_weights[-1].phonon_shares
            if shares is not None:
                self.weight_n[one.rows] *= shares

    def rates(self, f: Floats, n: Floats) -> Local:
        """Rates of means ``f[n_owned, N]``, ``n[n_owned, K]``."""
        found = self._latest = self._found(f, n)
        if found.local is None:
            found.local = self._nothing(f, n)
            for at, name, process in found.parts:
                self._add(found.local, at, process.rates, name)
        return found.local

    def inelastic_rates(self, f: Floats, n: Floats) -> InelasticRates:
        """Rates of inelastic scattering: ``A + B`` of quasiparticles and ``D − C`` of phonons."""
        found = self._latest = self._found(f, n)
        if found.inelastic is None:
            turn_f, turn_n = np.zeros_like(f), np.zeros_like(n)
            fastest = 0.0
            for at, _, process in found.parts:
                parts = process.balance()
                turn_f[at] += parts.in_f + parts.out_f
                turn_n[at] += parts.out_n - parts.in_n
                fastest = max(fastest, _fastest(parts))
            found.inelastic = InelasticRates(turn_f, np.maximum(turn_n, 0.0), fastest)
        return found.inelastic

    def forget(self) -> None:
        """Leave no rates of earlier states: processes have changed."""
        self._latest = self._slopes = None

    def localized_decay(self, f: Floats, n: Floats) -> Floats:
        """Return ``(n_owned, N)`` minus the diagonal of the Jacobian of localized states; 0 in other bins."""
        decay = np.zeros_like(f)
        for one, bin_weights in zip(self.media, self.bin_weights, strict=True):
            at = one.owned
            for process in one.internal.values() if len(at) else ():
                own = getattr(process, "own_states", None)
                if own is not None:
                    decay[at] -= np.where(own > 0.0, process.at(bin_weights, f[at], n[at]).diagonal().f, 0.0)
        return decay

    def jvp(self, f: Floats, n: Floats, step_f: Floats, step_n: Floats) -> Local:
        """Derivative of `rates` at means ``(f, n)`` along a step."""
        out = self._nothing(f, n)
        self._slopes = self._found(f, n)
        for at, name, process in self._slopes.parts:
            self._add(out, at, process.jvp(step_f[at], step_n[at]), name)
        return out

    def exchanged(self, f: Floats, n: Floats, step: Pair | None = None) -> Floats:
        """Weights × what every external process brings, or its derivative along a step.

        Returns:
            ``(n_owned, processes, N + K)``.
        """
        bins, points = f.shape[1], n.shape[1]
        out = np.zeros((len(f), len(self.external_processes), bins + points))
        for at, name, process in self._found(f, n).parts:
            if name:
                moved = process.rates if step is None else process.jvp(step.f[at], step.n[at])
                row = self.external_processes.index(name)
                out[at, row, :bins] = self.weight_f[at] * moved.f
                out[at, row, bins:] = self.weight_n[at] * moved.n
        return out

    def _found(self, f: Floats, n: Floats) -> _Found:
        """Processes at a state, or those kept of it, since one thing is asked for after the other."""
        for known in (self._latest, self._slopes):
            if known is not None and np.array_equal(known.f, f) and np.array_equal(known.n, n):
                return known
        found = _Found(f.copy(), n.copy(), [])
        for one, bin_weights in zip(self.media, self.bin_weights, strict=True):
            if not len(one.owned):
                continue
            at = one.rows
            state = bin_weights, found.f[at], found.n[at]
            found.parts += [(at, "", process.at(*state)) for process in one.internal.values()]
            found.parts += [(at, name, process.at(*state)) for name, process in one.external.items()]
        return found

    def _add(self, out: Local, at: slice | Ints, moved: Pair, exchange: str = "") -> None:
        """Adds rates of these cells, and what they bring where they are those of an exchange."""
        out.f[at] += moved.f
        out.n[at] += moved.n
        if exchange:
            row = self.external_processes.index(exchange)
            out.source_f[row] += np.einsum("ce,ce->e", self.weight_f[at], moved.f)
            out.source_n[row] += np.einsum("ce,ce->e", self.weight_n[at], moved.n)

    def implicit(self, length: float, f: Floats, n: Floats) -> Callable[[Floats, Floats], Local]:
        """Solver of ``(1 − length × J) x = r`` with the Jacobian J at ``(f, n)``.

        What its solutions say to be ``given`` is ``length`` times the exchanges' own part of ``J x``. J takes
        processes for diagonal, but for drives, which pass particles on from bin to bin. Cells in which
        collisions are as fast as in an earlier call of a similar length are solved for with the elimination
        of that one; `BoltzmannProblem.forget` it where results must not depend on what was before.
        """
        parts = self._implicit(length, f, n)

        def solved(r_f: Floats, r_n: Floats) -> Local:
            out = self._nothing(r_f, r_n)
            for part in parts:
                part.solve(r_f, r_n, out)
            return out

        return solved

    def escaping(
        self, lengths: tuple[float, float], f: Floats, n: Floats, escape: Floats
    ) -> tuple[Floats, Callable[[Floats], tuple[Floats, Floats]]]:
        """Quasiparticles whose phonons may leave the cell: what preconditions motion and collisions together.

        Args:
            lengths: of quasiparticles and of phonons.
            f, n: where J is taken.
            escape: ``(n_owned, K)`` rate at which phonons leave a cell.

        Returns:
            rates ``(n_owned, K)`` at which J takes phonons away, and what makes of a right-hand side of
            quasiparticles, with none of phonons, the solution of `implicit` and the rates at which it changes
            phonons.
        """
        parts = self._implicit(lengths[0], f, n, (1.0 / lengths[1], escape))
        absorbed = np.zeros_like(n)
        for part in parts:
            part.absorbed(absorbed)

        def solved(r: Floats) -> tuple[Floats, Floats]:
            out = np.zeros_like(r), np.zeros_like(n)
            for part in parts:
                part.escaping(r, *out)
            return out

        return absorbed, solved

    def _implicit(
        self, length: float, f: Floats, n: Floats, leaving: tuple[float, Floats] | None = None
    ) -> list[CellSolver]:
        """Return solvers of the cells of every medium; with ``1/length`` of phonons and their escape."""
        parts: list[CellSolver] = []
        inelastic = self.inelastic_rates(f, n)
        for one, bin_weights in zip(self.media, self.bin_weights, strict=True):
            at = one.owned
            if not len(at):
                continue
            here = Pair(f[at], n[at])
            within = list(one.internal.values())
            own: dict[int, Pair] = {}
            drives: dict[int, PhotonDrive] = {}
            for name, process in one.external.items():
                row = self.external_processes.index(name)
                if within and getattr(process, "dense", False):
                    drives[row] = process  # type: ignore[assignment]
                else:
                    own[row] = process.at(bin_weights, *here).diagonal()
            weight = Pair(self.weight_f[at], self.weight_n[at])
            lost = None if leaving is None else (leaving[0], leaving[1][at])
            part = CellSolver(
                within,
                bin_weights,
                at,
                length,
                here,
                own,
                drives,
                weight,
                self.energies,
                self._eliminations,
                lost,
            )
            if within:
                rates = Pair(inelastic.f[at], inelastic.n[at])
                self._eliminations.check(at, length, rates, part.energy, lost is not None)
            parts.append(part)
        return parts

    def _nothing(self, f: Floats, n: Floats) -> Local:
        names = len(self.external_processes)
        return Local(
            np.zeros_like(f), np.zeros_like(n), np.zeros((names, f.shape[1])), np.zeros((names, n.shape[1]))
        )


def external_processes(media: Sequence[MediumCells]) -> list[str]:
    """Return the names of the external processes of media, each once."""
    return list(dict.fromkeys(name for one in media for name in one.external))


def _fastest(parts: GainLoss) -> float:
    of_f = float((parts.in_f + parts.out_f).max(initial=0.0))
    return max(of_f, float(parts.out_n.max(initial=0.0)))
