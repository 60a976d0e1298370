"""The homogeneous kinetic problem: f and n of superconductors without space, with the gap fixed or following.

Any number of cells side by side, which do not act on one another. Energies are in units of Δ0, times in τ0,
densities in 4 N0 Δ0, energies per volume in 4 N0 Δ0² (theory: time_and_steady_states).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions import BinWeights, ElectronPhonon, Process, bcs_weights
from fvqp.collisions.moving_gap import SelfConsistentGap
from fvqp.collisions.observables import phonon_energy, quasiparticle_density, quasiparticle_energy
from fvqp.collisions.threshold import at_threshold
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.evolving import Method, OnStep, Pace, implicit, relaxed
from fvqp.models.occupations import CountedOccupations, Occupations
from fvqp.solvers.steady import Steady, SteadySolver
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Largest accepted residual of the gap equation in a steady state.
GAP_TOLERANCE = 1e-10
_GAP_ITERATIONS = 40


@dataclass(frozen=True)
class State:
    """Occupations and gap of all cells.

    Attributes:
        f: ``(cells, N)``.
        n: ``(cells, K)``.
        gap: ``(cells,)``; 0 in cells that are normal.
    """

    f: Floats
    n: Floats
    gap: Floats


@dataclass(frozen=True)
class Ledger:
    """Energy and quasiparticles held, and brought in since the start; each ``(cells,)``.

    Attributes:
        quasiparticles, phonons, condensate: energies; the last is 0 with a fixed gap, which takes no part.
        number: of quasiparticles.
        into_quasiparticles, into_phonons: energy from outside by every exchange; negative where it left.
        into_number: quasiparticles from outside by every exchange.
    """

    quasiparticles: Floats
    phonons: Floats
    condensate: Floats
    number: Floats
    into_quasiparticles: dict[str, Floats] = field(default_factory=dict)
    into_phonons: dict[str, Floats] = field(default_factory=dict)
    into_number: dict[str, Floats] = field(default_factory=dict)

    @property
    def total(self) -> Floats:
        """Energy inside."""
        return self.quasiparticles + self.phonons + self.condensate

    @property
    def received(self) -> Floats:
        """Energy from outside since the start."""
        parts = [*self.into_quasiparticles.values(), *self.into_phonons.values()]
        return np.sum(parts, axis=0) if parts else np.zeros_like(self.phonons)


@dataclass(frozen=True)
class Moment:
    """A state at a time, with its ledger, the number of steps so far, and the pace of the next ones."""

    time: float
    state: State
    ledger: Ledger
    steps: int
    refused: int
    pace: Pace


@dataclass(frozen=True)
class SteadyState:
    """A steady state and how well it is one.

    Attributes:
        state: occupations and gap.
        residual: largest ``|gain − loss|/(gain + loss)`` of all occupations.
        imbalance: the same of the number of quasiparticles and of the energy.
        iterations: steps of the solver.
    """

    state: State
    residual: float
    imbalance: dict[str, float]
    iterations: int


class HomogeneousProblem:
    """Collisions and all that drives them, in cells that do not act on one another.

    Attributes:
        operator: electron-phonon collisions.
        processes: drives, sources and escape by their names.
        self_consistent: moves the gap, or None where it is fixed.
        cells: their number.
    """

    def __init__(
        self,
        operator: ElectronPhonon,
        processes: Mapping[str, Process] | None = None,
        *,
        gap: ArrayLike | BinWeights | SelfConsistentGap = 1.0,
        cells: int = 1,
    ) -> None:
        """
        Args:
            operator: electron-phonon collisions. Implicit steps and steady states use direct sums in place
                of transforms: rounding of the largest rates would add up over long steps, and linear solves
                cost more than the sums.
            processes: everything else, by name.
            gap: Δ, one number or one a cell, of a BCS spectrum that stays; any other spectrum that stays; or
                what makes the gap follow the occupations.
            cells: number of cells.

        Raises:
            CaseError: grids that differ, gaps that are not one or ``cells`` numbers.
        """
        summed = operator
        if operator.grid.is_uniform and operator.evaluation in ("auto", "fourier"):
            log.debug("implicit steps and steady states sum over pairs of bins directly")
            summed = ElectronPhonon(
                operator.grid, operator.coupling, "direct", interaction=operator.interaction
            )
        self.operator, self.processes, self.cells = operator, dict(processes or {}), cells
        self.self_consistent = gap if isinstance(gap, SelfConsistentGap) else None
        self._gap = np.full(cells, np.nan)
        if isinstance(gap, SelfConsistentGap):
            if gap.grid is not operator.grid:
                raise CaseError(
                    "homogeneous problem: the gap follows on another grid than that of collisions"
                )
            if gap.splits_phonons and summed.shares_phonons:
                raise CaseError(
                    "homogeneous problem: graded sums do not split phonon modes at twice the gap; "
                    "choose splits_phonons=False for the gap that follows"
                )
            bin_weights = gap.bin_weights(np.ones(cells))
        elif isinstance(gap, BinWeights):
            bin_weights = gap
        else:
            gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
            if gaps.shape not in ((1,), (cells,)):
                raise CaseError(f"homogeneous problem: need one gap or {cells}, found {gaps.shape}")
            self._gap = np.broadcast_to(gaps, (cells,)).copy()
            bin_weights = bcs_weights(operator.grid, gaps)
            if not summed.shares_phonons:
                bin_weights = at_threshold(operator.grid, bin_weights, gaps)
        self.equations = Occupations(summed, self.processes, bin_weights, cells)
        self._counted = CountedOccupations(summed, self.processes, bin_weights, cells)

    def state(self, f: ArrayLike, n: ArrayLike, gap: ArrayLike | None = None) -> State:
        """A state from occupations, one row for all cells or one each.

        Args:
            f, n: occupations.
            gap: first guess where the gap follows; what is stored is the solution of the gap equation that
                it leads to, the largest one by default. Otherwise what is stored, for spectra that do not
                say it themselves.

        Raises:
            CaseError: shapes that do not fit, f outside [0, 1], n < 0, or not finite.
        """
        grid = self.operator.grid
        rows = []
        for name, values, size in (("f", f, grid.n), ("n", n, grid.n_phonon)):
            row = np.atleast_2d(np.asarray(values, dtype=np.float64))
            if row.shape not in ((1, size), (self.cells, size)):
                raise CaseError(
                    f"initial {name}: need shape ({self.cells}, {size}) or ({size},), found {row.shape}"
                )
            if not np.all(np.isfinite(row)) or row.min() < 0.0 or (name == "f" and row.max() > 1.0):
                bounds = "within [0, 1]" if name == "f" else "not negative"
                raise CaseError(
                    f"initial {name}: must be finite and {bounds}, found {row.min():g} to {row.max():g}"
                )
            rows.append(np.broadcast_to(row, (self.cells, size)).copy())
        if self.self_consistent is None:
            own = self._gap if gap is None else np.broadcast_to(np.asarray(gap, dtype=float), (self.cells,))
            return State(rows[0], rows[1], own.copy())
        return State(rows[0], rows[1], self.self_consistent.gap(rows[0], gap))

    def bin_weights(self, state: State) -> BinWeights:
        """Spectrum of a state."""
        return (
            self.equations.bin_weights
            if self.self_consistent is None
            else self.self_consistent.bin_weights(state.gap)
        )

    def ledger(self, state: State, counters: Floats | None = None) -> Ledger:
        """Energies and number of a state; ``counters`` are the integrals that `evolve` carries along."""
        bin_weights, grid = self.bin_weights(state), self.operator.grid
        condensate = np.zeros(self.cells)
        if self.self_consistent is not None:
            condensate = self.self_consistent.condensate_energy(state.gap)
        names = self.equations.external_processes
        if counters is None:
            counters = np.zeros((self.cells, 3 * len(names)))
        return Ledger(
            quasiparticle_energy(grid, bin_weights, state.f),
            phonon_energy(self.equations.collisions, state.n, bin_weights),
            condensate,
            quasiparticle_density(bin_weights, state.f),
            *({name: counters[:, 3 * i + k].copy() for i, name in enumerate(names)} for k in range(3)),
        )

    def evolve(
        self,
        state: State,
        times: Sequence[float] | Floats,
        *,
        start: float = 0.0,
        method: Method = "arkimex",
        tolerance: float = 1e-4,
        pace: Pace | None = None,
        callback: Callable[[float, State], None] | None = None,
    ) -> Iterator[Moment]:
        """States at given times.

        From the state and the pace of a `Moment` on, another evolution continues as the one that it is of.

        Energy and number are those of the rates integrated by the same steps, so that the ledger closes to
        rounding. Where the gap follows, a step begins half way ahead of the present motion of the gap, and
        ends with the gap that solves its equation; quasiparticles are carried along. That couples gap and
        occupations with order 2 in the step. No step is so long that the gap would move by more than ten
        times the tolerance, or 0.02 Δ0.

        Args:
            state: at the start.
            times: increasing, after the start, in τ0.
            start: time of the state.
            method: ``"arkimex"``, of order 4 in one step, or ``"bdf"``, of order 2 in several steps, for a
                fixed gap only, or ``"relaxation"``, explicit and of order 1, for short times and for
                comparison: its steps follow the fastest rate there is.
            tolerance: relative error of every occupation in a step.
            pace: of the evolution that led to ``state``; by default the first step is short.
            callback: called after every step.

        Raises:
            CaseError: times that do not increase.
            ConvergenceError: steps collapse; names the process that is stiff.
        """
        at = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if at.size == 0 or not np.all(np.isfinite(at)) or at[0] <= start or np.any(np.diff(at) <= 0.0):
            raise CaseError(f"times: must be finite, increase, and come after the start at {start:g} τ0")
        begin = state.f, state.n, state.gap
        told: OnStep | None = None
        if callback is not None:
            tell = callback
            told = lambda time, f, n, gap: tell(time, State(f, n, gap))  # noqa: E731
        if method == "relaxation":
            passing = relaxed(self.equations, self.self_consistent, begin, at, start, tolerance, told, pace)
        else:
            passing = implicit(
                self.equations, self.self_consistent, begin, at, start, method, tolerance, told, pace
            )
        for moment in passing:
            now = State(moment.f, moment.n, moment.gap)
            ledger = self.ledger(now, moment.counters)
            yield Moment(moment.time, now, ledger, moment.steps, moment.refused, moment.pace)

    def steady(self, guess: State, *, tolerance: float = 1e-9, max_iterations: int = 200) -> SteadyState:
        """The steady state that a guess leads to.

        With a gap that follows, occupations at a fixed gap and the gap equation take turns. A drive that
        leaves no solution with a gap ends in the normal state, ``gap = 0``.

        Args:
            guess: first guess. From cold occupations the solver has to build up a strongly driven state;
                a guess that is too hot, or the steady state of a weaker drive, serves better.
            tolerance: largest accepted ``|gain − loss|/(gain + loss)`` of any occupation.
            max_iterations: of the solver, for each gap.

        Raises:
            ConvergenceError: no steady state found; says which occupation or balance is off.
        """
        self_consistent = self.self_consistent
        y = np.concatenate([guess.f, guess.n], axis=1)
        if self_consistent is not None:
            self._counted.bin_weights = self_consistent.bin_weights(guess.gap)
        solver = SteadySolver(self._counted, tolerance=tolerance, max_iterations=max_iterations)
        if self_consistent is None:
            found = self._solved(solver, y)
            f, n = self.equations.split(found.y)
            state = State(f.copy(), n.copy(), guess.gap.copy())
            return SteadyState(state, found.residual, found.imbalance, found.iterations)
        gap, taken = guess.gap.copy(), 0
        before: tuple[Floats, Floats] | None = None
        for _ in range(_GAP_ITERATIONS):
            self._counted.bin_weights = self.equations.bin_weights = self_consistent.bin_weights(gap)
            found = self._solved(solver, y)
            taken += found.iterations
            f, n = self.equations.split(found.y)
            f = self._continued(f)
            residual = np.where(gap > 0.0, self_consistent.residual(f, gap), 0.0)
            target = self_consistent.gap(f, gap)
            log.info("gap %s, residual of the gap equation %s", gap, residual)
            if np.all(np.abs(residual) <= GAP_TOLERANCE) and np.all((gap > 0.0) | (target == 0.0)):
                return SteadyState(State(f, n.copy(), gap), found.residual, found.imbalance, taken)
            y = np.concatenate([f, n], axis=1)
            previous, before = before, (gap, target - gap)
            gap = target
            if previous is not None:
                gap = _secant(previous, before, target)
        raise ConvergenceError(
            f"gap of the steady state: not found after {_GAP_ITERATIONS} gaps, residual of the gap equation "
            f"{np.abs(residual).max():.1e}"
        )

    def _solved(self, solver: SteadySolver, y: Floats) -> Steady:
        try:
            return solver.solve(y)
        except ConvergenceError as error:
            if self.operator.grid.is_uniform:
                raise
            raise ConvergenceError(
                f"{error}; on a graded axis numbers of quasiparticles below some 1e-15 of 4 N0 Δ0 are lost "
                "in rounding; take a uniform one for cold states"
            ) from None

    def _continued(self, f: Floats) -> Floats:
        """f with bins below the gap as full as the first one above, in case the gap comes down."""
        active = self._counted.active()
        first = np.argmax(active, axis=1)
        below = np.arange(f.shape[1]) < first[:, None]
        return np.where(below, np.take_along_axis(f, first[:, None], axis=1), f)


def _secant(first: tuple[Floats, Floats], second: tuple[Floats, Floats], target: Floats) -> Floats:
    """Next gap from two gaps and where the gap equation led from each; the latter where that is no use."""
    (x0, r0), (x1, r1) = first, second
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = x1 - r1 * (x1 - x0) / (r1 - r0)
    useful = np.isfinite(guess) & (target > 0.0) & (guess > 0.5 * x1) & (guess < 0.5 * (1.0 + x1))
    return np.where(useful, guess, target)
