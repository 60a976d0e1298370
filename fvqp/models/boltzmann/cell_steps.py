"""Steps in time of cells that do not exchange particles, by an implicit Runge-Kutta method of PETSc."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.gaps import MAX_GAP_STEP, SHORTENED, correct_gap, gap_moves, predict_gap
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Callback, Counters, State
from fvqp.solvers.transient import Refused, Transient
from fvqp.typing import Floats

#: Most that a gap moves in a step, in units of the tolerance.
GAP_STEP = 10.0


class CellSteps:
    """Implicit steps by `fvqp.solvers.transient.Transient`, which the error of every occupation controls.

    A step begins with gaps half way ahead of their present motion, and ends with those that solve their
    equation, which couples gaps and occupations with order 2 in the step.

    Attributes:
        steps, refused: numbers of steps.
        length: of the next step; 0 at the start, where the first one is short.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        """
        Args:
            problem: in whose cells particles stay.
            tolerance: as of `Transient`.
            first_step: of an earlier evolution; None or 0 for a short one.

        Raises:
            CaseError: cells that exchange particles.
        """
        self._p, self._equations = problem, CellEquations(problem, whole=True)
        self._solver = Transient(self._equations, tolerance=tolerance)
        self._most = min(GAP_STEP * tolerance, MAX_GAP_STEP)
        self.length = 0.0 if first_step is None else first_step
        self.steps = self.refused = 0

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        """State at ``end``, and what came and went on the way.

        Raises:
            ConvergenceError: steps collapse.
        """
        p = self._p
        #: State and time at the beginning of the step at hand, gaps during it, how often it was shortened.
        self._begin, self._time, self._gap, self._shortened = state, start, state.gap, 0
        self._callback = callback
        self._equations.follow(state.gap)
        y = np.concatenate([state.f[:, 0], state.n[:, 0]], axis=1)
        (found,) = self._solver.run(
            y,
            [end],
            start=start,
            first_step=self.length or None,
            before=self._ahead if p.gap_follows else None,
            between=self._arrived if p.gap_follows or callback is not None else None,
            longest=self._longest if p.gap_follows else None,
        )
        self.steps, self.refused = self.steps + found.steps, self.refused + found.refused
        self.length = found.next_step
        f, n = self._equations.split(found.y)
        after = replace(self._begin, f=f[:, None].copy(), n=n[:, None].copy())
        return after, self._equations.counters_of(found.counters)

    def _longest(self) -> float:
        """Step in which no gap moves by more than it may."""
        rate = self._begin.gap_rate
        speed = 0.0 if rate is None else float(np.abs(rate).max())
        return self._most / speed if speed > 0.0 else np.inf

    def _state(self, y: Floats, gap: Floats, rate: Floats | None) -> State:
        f, n = self._equations.split(y)
        return State(f[:, None], n[:, None], gap, rate)

    def _ahead(self, length: float, y: Floats) -> Floats | None:
        """Before a step: gaps, and occupations with them, in its middle."""
        begin = self._begin
        if begin.gap_rate is None or not np.any(begin.gap_rate):
            self._gap = begin.gap
            self._equations.follow(begin.gap)
            return None
        there = predict_gap(self._p, self._state(y, begin.gap, begin.gap_rate), length)
        self._gap = there.gap
        self._equations.follow(there.gap)
        return np.concatenate([there.f[:, 0], there.n[:, 0]], axis=1)

    def _arrived(self, time: float, y: Floats) -> Floats | None:
        """After a step: gaps that solve their equation.

        Raises:
            Refused: no solution, or one too far away.
        """
        p, begin = self._p, self._begin
        if not p.gap_follows:
            assert self._callback is not None
            self._callback(time, self._state(y, begin.gap, None), "")
            return None
        here, length = self._state(y, self._gap, None), time - self._time
        try:
            # within the bounds but for rounding, or the step would have been refused
            f, n, gap = correct_gap(p, np.clip(here.f, 0.0, 1.0), here.n, here.gap, length)
        except ConvergenceError as error:
            raise Refused(str(error)) from None
        way = gap_moves(p, begin.gap, gap)
        jumps = bool(np.abs(way).max() > 2.0 * self._most)
        if jumps and self._shortened < SHORTENED:
            self._shortened += 1
            raise Refused("the gap moves too far")
        if jumps:  # it went on from an unstable state to another solution, or to the normal state
            rate = np.zeros_like(way)
        else:
            rate, self._shortened = np.where(gap > 0.0, way, 0.0) / length, 0
        self._begin, self._time, self._gap = State(f, n, gap, rate), time, gap
        self._equations.follow(gap)
        if self._callback is not None:
            self._callback(time, self._begin, "")
        return np.concatenate([f[:, 0], n[:, 0]], axis=1)
