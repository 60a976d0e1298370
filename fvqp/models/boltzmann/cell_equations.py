"""Rate equations of cells that do not exchange particles, in the form of the solvers of rate equations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fvqp.collisions import ElectronPhonon, GainLoss, Pair, Process
from fvqp.collisions.electron_phonon import FOURIER_FROM, Collisions, ElectronPhononRates
from fvqp.energy import BinWeights
from fvqp.errors import CaseError
from fvqp.models.boltzmann.medium import MediumCells
from fvqp.models.boltzmann.motion import Immobile
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters
from fvqp.solvers.elimination import Arrow
from fvqp.typing import Bools, Floats, Ints

Rows = slice | Ints


class CellEquations:
    """``ẏ = R(y)`` with ``y = (f, n)`` of every cell, at the gap at rest until `follow` moves it.

    Bins without states do not take part: their rates are 0, and the Jacobian has −1 on the diagonal there.

    With ``balance_pairs`` the fullest bin of a cell answers for the number of quasiparticles: its equation is
    the sum of all bins, which scattering does not change, so that what is left is pairs and what comes from
    outside. A number that changes by a part of 10⁻¹⁶ of the scattering rate and less, as in cold
    superconductors, is then as well determined as any other. Steady states are the same. On graded grids,
    where pairs share phonons, nothing is replaced.

    Attributes:
        shape, dense, upper: see `fvqp.solvers.rate_equations.RateEquations`.
    """

    def __init__(
        self, problem: BoltzmannProblem, *, balance_pairs: bool = False, whole: bool = False
    ) -> None:
        """
        Args:
            problem: in whose cells quasiparticles and phonons stay, all on this rank.
            balance_pairs: see above.
            whole: whether blocks hold what phonon points of a graded axis do to one another, which steps in
                time need. To eliminate it rounds occupations that are 1e-15 of others, which steady states
                have.

        Raises:
            CaseError: particles that move, cells of several ranks, or sums by transforms, whose rounding
                adds up over long steps.
        """
        if not (isinstance(problem.moving_f, Immobile) and isinstance(problem.moving_n, Immobile)):
            raise CaseError(
                "rate equations of cells: need quasiparticles and phonons that stay in their cells; "
                'bodies in which they move evolve by "rosenbrock"'
            )
        if problem.cells.comm.size > 1:
            raise CaseError(
                "rate equations of cells: all cells take the same steps, so that one rank has to hold them; "
                "give the mesh the communicator of one rank"
            )
        for one in problem.media:
            if one.medium.collisions is not None and _transforms(one.medium.collisions):
                raise CaseError(
                    "rate equations of cells: rounding of transforms adds up over long steps; choose the "
                    'evaluation "direct" of collisions'
                )
        if balance_pairs and any(one.own_states is not None for one in problem.media):
            raise CaseError(
                "balance of pairs: does not count localized quasiparticles; use the steady states of bodies "
                "(`SteadySolver`)"
            )
        grid = problem.grid
        self._problem, self._grid, self._volume = problem, grid, problem.cells.volume
        self.follow(problem.gap_at_rest)
        self._balance_pairs = balance_pairs and grid.is_uniform
        self._whole = whole and grid.step == 0.0
        self._known: tuple[Floats, list[BinWeights], Pair] | None = None
        self.shape = (problem.cells.n_owned, grid.n + grid.n_phonon)
        self.dense = grid.n
        self.upper = np.concatenate([np.ones(grid.n), np.full(grid.n_phonon, np.inf)])

    def follow(self, gap: Floats) -> None:
        """Take the spectra of the gaps ``(cells,)``."""
        self._local = self._problem.at(gap).local

    @property
    def weights(self) -> Floats:
        """Volume × states of the bins, ``(cells, N)``."""
        return self._local.weight_f

    def active(self) -> Bools:
        """Bins with states, ``(cells, N)``."""
        return self._local.weight_f > 0.0

    def split(self, y: Floats) -> Pair:
        """f and n."""
        return Pair(np.ascontiguousarray(y[:, : self.dense]), np.ascontiguousarray(y[:, self.dense :]))

    def _cells(self) -> Iterator[tuple[Rows, BinWeights, MediumCells]]:
        """Rows, spectrum and medium of all cells."""
        for one, bin_weights in zip(self._local.media, self._local.bin_weights, strict=True):
            yield one.rows, bin_weights, one

    # -- rates and their derivatives

    def rates(self, y: Floats) -> Floats:
        """R(y), 1/τ0."""
        f, n = self.split(y)
        found = self._local.rates(f, n)
        out = np.concatenate([found.f, found.n], axis=1)
        if self._balance_pairs:
            pairs = self.gain_loss(f, n, "pairs")
            number = (self.weights * (pairs.in_f * (1.0 - f) - pairs.out_f * f)).sum(axis=1)
            at = self._fullest(f)
            out[at] = (number + self._numbers(f, n).sum(axis=1)) / self.weights[at]
        return out

    def gain_loss(self, f: Floats, n: Floats, collisions: Collisions = "all") -> GainLoss:
        """Gain and loss coefficients of all processes together, or of some collisions alone."""
        out = GainLoss(*(np.zeros_like(part) for part in (f, f, n, n)))
        for at, bin_weights, one in self._cells():
            parts = one.gain_loss(bin_weights, f[at], n[at], collisions)
            for total, part in zip(out, parts, strict=True):
                total[at] = part
        return out

    def turnover(self, y: Floats) -> Floats:
        """``in (1 − f) + out f`` and ``in (1 + n) + out n``."""
        f, n = self.split(y)
        part = self.gain_loss(f, n)
        return np.concatenate(
            [part.in_f * (1.0 - f) + part.out_f * f, part.in_n * (1.0 + n) + part.out_n * n], axis=1
        )

    def product(self, y: Floats, step: Floats) -> Floats:
        """Jacobian times a step."""
        (f, n), (step_f, step_n) = self.split(y), self.split(step)
        moved = self._local.jvp(f, n, step_f, step_n)
        out = np.concatenate([moved.f, moved.n], axis=1)
        out[:, : self.dense] -= np.where(self.active(), 0.0, step_f)
        if self._balance_pairs:
            # the same state comes with many steps
            if (
                self._known is None
                or self._known[0] is not y
                or self._known[1] is not self._local.bin_weights
            ):
                self._known = y, self._local.bin_weights, self._slopes(f, n)
            by_f, by_n = self._known[2]
            change = (by_f * step_f).sum(axis=1) + (by_n * step_n).sum(axis=1)
            for at, bin_weights, process in self._feeding(f, n):
                along = process.at(bin_weights, f[at], n[at]).jvp(step_f[at], step_n[at])
                change[at] += (self.weights[at] * along.f).sum(axis=1)
            fullest = self._fullest(f)
            out[fullest] = change / self.weights[fullest]
        return out

    def blocks(self, y: Floats) -> Arrow:
        """Jacobian; all unknowns are x where points that share phonons act on one another."""
        f, n = self.split(y)
        cells, bins, points = len(f), self.dense, n.shape[1]
        total = Arrow(
            np.zeros((cells, bins, bins)),
            np.zeros((cells, bins, points)),
            np.zeros((cells, points, bins)),
            np.zeros((cells, points)),
        )
        between_points = None
        for at, bin_weights, one in self._cells():
            for process in one.processes().values():
                rates = process.at(bin_weights, f[at], n[at])
                own = rates.jacobian()
                if self._whole and isinstance(rates, ElectronPhononRates) and rates.shares_phonons:
                    if between_points is None:
                        between_points = np.zeros((cells, points, points))
                    between_points[at] = rates.point_block()
                    own.nn[:] = 0.0
                for block, more in zip(total, own, strict=True):
                    block[at] += more
        np.einsum("cii->ci", total.xx)[...] -= ~self.active()
        if self._balance_pairs:
            by_f, by_n = self._slopes(f, n)
            for at, bin_weights, process in self._feeding(f, n):
                own = process.at(bin_weights, f[at], n[at]).jacobian()
                by_f[at] += np.einsum("ci,cij->cj", self.weights[at], own.ff)
                by_n[at] += np.einsum("ci,cik->ck", self.weights[at], own.fn)
            fullest = self._fullest(f)
            total.xx[fullest] = by_f / self.weights[fullest][:, None]
            total.xz[fullest] = by_n / self.weights[fullest][:, None]
        return total if between_points is None else _whole(total, between_points)

    # -- number of quasiparticles

    def _fullest(self, f: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Index of the bin with most quasiparticles in every cell."""
        return np.arange(len(f)), np.argmax(self.weights * f, axis=1)

    def _numbers(self, f: Floats, n: Floats) -> Floats:
        """Quasiparticles that every external process brings into the cells, ``(cells, processes)``."""
        names = self._local.external_processes
        out = np.zeros((len(f), len(names)))
        for at, bin_weights, one in self._cells():
            states = self._volume[at] * one.medium.density
            for name, process in one.external.items():
                flow = process.at(bin_weights, f[at], n[at]).number_flow()  # type: ignore[attr-defined]
                out[at, names.index(name)] = states * flow.quasiparticles
        return out

    def _feeding(self, f: Floats, n: Floats) -> list[tuple[Rows, BinWeights, Process]]:
        """External processes that bring quasiparticles into any cell."""
        numbers, names = self._numbers(f, n), self._local.external_processes
        return [
            (at, bin_weights, process)
            for at, bin_weights, one in self._cells()
            for name, process in one.external.items()
            if np.any(numbers[at, names.index(name)] != 0.0)
        ]

    def _slopes(self, f: Floats, n: Floats) -> Pair:
        """Derivatives of the number that pairs change: every collision of two bins counts for both."""
        pairs = self.gain_loss(f, n, "pairs")
        return Pair(
            -2.0 * self.weights * (pairs.in_f + pairs.out_f),
            -2.0 * self._local.weight_n * (pairs.in_n - pairs.out_n),
        )

    def balances(self, y: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Number of quasiparticles, and energy: what comes and what goes, ``(cells,)``.

        Phonons that come and go count each by themselves, quasiparticles of a drive or source with the
        difference.
        """
        f, n = self.split(y)
        pairs = self.gain_loss(f, n, "pairs")
        number = [
            (self.weights * pairs.in_f * (1.0 - f)).sum(axis=1),
            (self.weights * pairs.out_f * f).sum(axis=1),
        ]
        for flow in self._numbers(f, n).T:
            _add(number, flow)
        balances = {"number of quasiparticles": (number[0], number[1])}
        if not self._local.external_processes:
            return balances
        energy = [np.zeros(len(f)), np.zeros(len(f))]
        for at, bin_weights, one in self._cells():
            weight = self._local.weight_n[at] * self._grid.phonon_energies
            states, here = self._volume[at] * one.medium.density, [part[at] for part in energy]
            for process in one.external.values():
                _add(here, states * process.at(bin_weights, f[at], n[at]).energy_flow().quasiparticles)  # type: ignore[attr-defined]
                parts = process.at(bin_weights, f[at], n[at]).gain_loss()
                here[0] = here[0] + (weight * parts.in_n * (1.0 + n[at])).sum(axis=1)
                here[1] = here[1] + (weight * parts.out_n * n[at]).sum(axis=1)
            for part, of_cells in zip(energy, here, strict=True):
                part[at] = of_cells
        return balances | {"energy": (energy[0], energy[1])}

    # -- what comes from outside

    def counters(self, y: Floats) -> Floats:
        """Particles that every external process brings, by energy, ``(cells, processes × (N + K))``."""
        return self._local.exchanged(*self.split(y)).reshape(self.shape[0], -1)

    def counters_product(self, y: Floats, step: Floats) -> Floats:
        """Derivative of `counters` along a step."""
        return self._local.exchanged(*self.split(y), self.split(step)).reshape(self.shape[0], -1)

    def counters_of(self, integrals: Floats) -> Counters:
        """Counters of all cells together from such of every cell."""
        sums = integrals.sum(axis=0).reshape(-1, self.shape[1])
        nothing = np.zeros((0, self.dense)), np.zeros((0, self.shape[1] - self.dense))
        return Counters(sums[:, : self.dense].copy(), sums[:, self.dense :].copy(), *nothing)

    def conserved(self) -> tuple[Floats, Floats]:
        """Energy of every occupation; it changes by what external processes bring."""
        energies = np.concatenate([self._grid.energies, self._grid.phonon_energies])
        states = np.concatenate([self._local.weight_f, self._local.weight_n], axis=1)
        return states * energies, np.tile(energies, len(self._local.external_processes))

    # -- messages

    def describe(self, y: Floats, point: int, unknown: int) -> str:
        """Name of an unknown with the process that turns over most of it."""
        f, n = self.split(y)
        phonon = unknown >= self.dense
        index = unknown - self.dense if phonon else unknown
        rates: dict[str, float] = {}
        for at, bin_weights, one in self._cells():
            row = np.flatnonzero(np.arange(len(f))[at] == point)
            for name, process in one.processes().items() if len(row) else ():
                part = process.at(bin_weights, f[at], n[at]).gain_loss()
                gain, loss = (part.in_n, part.out_n) if phonon else (part.in_f, part.out_f)
                rates[name] = float((gain + loss)[row[0], index])
        what, energy = (
            ("phonons", self._grid.phonon_energies) if phonon else ("quasiparticles", self._grid.energies)
        )
        text = f"{what} of {energy[index]:.4g} Δ0 in cell {point}"
        if not rates:
            return f"{text}, which nothing changes"
        stiff = max(rates, key=lambda name: rates[name])
        return f"{text}, mostly by {stiff} at a rate of {rates[stiff]:.2g}/τ0"


def _transforms(collisions: ElectronPhonon) -> bool:
    """True where sums may be taken by transforms."""
    if collisions.evaluation == "auto":
        return collisions.grid.is_uniform and collisions.grid.n >= FOURIER_FROM
    return collisions.evaluation == "fourier"


def _add(balance: list[Floats], flow: Floats) -> None:
    balance[0] = balance[0] + np.maximum(flow, 0.0)
    balance[1] = balance[1] + np.maximum(-flow, 0.0)


def _whole(parts: Arrow, between_points: Floats) -> Arrow:
    """The same with z among x, and ``zz`` beside its diagonal."""
    cells, n, k = parts.xz.shape
    np.einsum("ckk->ck", between_points)[...] += parts.zz
    whole = np.concatenate(
        [
            np.concatenate([parts.xx, parts.xz], axis=2),
            np.concatenate([parts.zx, between_points], axis=2),
        ],
        axis=1,
    )
    return Arrow(whole, np.zeros((cells, n + k, 0)), np.zeros((cells, 0, n + k)), np.zeros((cells, 0)))
