"""Occupations and gap in time: implicit steps, or time relaxation, with a gap that is fixed or follows.

Energies are in units of Δ0, times in τ0 (theory: time_and_steady_states).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from fvqp.collisions.bin_weights import BinWeights
from fvqp.collisions.moving_gap import GapUpdate, SelfConsistentGap
from fvqp.collisions.process import GainLoss, Pair
from fvqp.collisions.threshold import carried_phonons
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.lifted_phonons import cross_threshold, kept_share
from fvqp.models.occupations import Occupations
from fvqp.solvers.relaxation import Control, longest_step, relax
from fvqp.solvers.transient import Refused, Transient
from fvqp.typing import Floats

Method = Literal["arkimex", "bdf", "relaxation"]
log = logging.getLogger(__name__)

#: Most that the gap moves in an implicit step, in Δ0: in units of the tolerance, and at any tolerance.
GAP_STEP, LONGEST_GAP_STEP = 10.0, 0.02
#: Times that a step is shortened because the gap moves too far. A gap that jumps does so at any length.
_SHORTENED = 4
#: Times that the gap moves on after pairs that lifted phonons break, and the last move, in Δ0, after which
#: phonons keep to their modes. Each move is some per cent of the one before.
MAX_PAIR_MOVES, LAST_PAIR_MOVE = 10, 1e-12
#: Occupations far below this may have any error in time relaxation.
_SMALLEST = 1e-12
#: Lag of the clock in time relaxation: in units of the tolerance of steps, and at any tolerance.
_LAG, _LONGEST_LAG = 10.0, 0.1
#: Steps of time relaxation that take very long.
_MANY = 1e6


class Pace(NamedTuple):
    """State of the step control: with occupations and gap, all that the rest of an evolution depends on."""

    next_step: float
    """Length of the next step, in τ0."""
    gap_rate: Floats
    """Rate of change of the gap in the last step, ``(cells,)``, in Δ0/τ0; 0 where the gap is fixed."""


class Passed(NamedTuple):
    """Occupations, gap and counters at a time, and how many steps it took so far."""

    time: float
    f: Floats
    n: Floats
    gap: Floats
    counters: Floats
    steps: int
    refused: int
    pace: Pace


OnStep = Callable[[float, Floats, Floats, Floats], None]


class _Motion:
    """The gap between steps: half of the expected way before a step, the rest to its solution after it.

    Attributes:
        gap: ``(cells,)`` at present.
        rate: its rate of change in the last step.
    """

    def __init__(
        self,
        equations: Occupations,
        self_consistent: SelfConsistentGap,
        gap: Floats,
        rate: Floats | None,
        start: float,
        tolerance: float,
        on_step: OnStep | None,
    ) -> None:
        self._equations, self._self_consistent, self._on_step = equations, self_consistent, on_step
        self.gap = self._at_start = gap
        self.rate = np.zeros_like(gap) if rate is None else rate
        self._most = min(GAP_STEP * tolerance, LONGEST_GAP_STEP)
        self._shortened, self._time = 0, start
        equations.bin_weights = self_consistent.bin_weights(gap)

    def begin_anew(self) -> None:
        """Keep nothing but the gap and its rate of change."""
        self._shortened = 0

    def longest(self) -> float:
        """Step in which no gap moves by more than it may."""
        speed = float(np.abs(self.rate).max())
        return self._most / speed if speed > 0.0 else np.inf

    def ahead(self, length: float, y: Floats) -> Floats | None:
        """Before a step: gap and quasiparticles in its middle."""
        self.gap = self._at_start
        target = self.gap + 0.5 * length * self.rate
        if np.all(target == self.gap):
            self._equations.bin_weights = self._self_consistent.bin_weights(self.gap)
            return None
        f, n = self._equations.split(y)
        there = self._self_consistent.shift(f, self.gap, np.maximum(target, self._self_consistent.floor))
        if self._self_consistent.splits_phonons:
            f, n = self._across(self._self_consistent.bin_weights(self.gap), self.gap, there, n, length)
        else:
            f = there.f
        self.gap, self._equations.bin_weights = there.gap, there.bin_weights
        return np.concatenate([f, n], axis=1)

    def arrived(self, time: float, y: Floats) -> Floats:
        """After a step: the gap that solves its equation."""
        f, n = self._equations.split(y)
        try:
            # within the bounds but for rounding, or the step would have been refused
            moved, n = self._to_solution(np.clip(f, 0.0, 1.0), n, time - self._time)
        except ConvergenceError as error:
            raise Refused(str(error)) from None
        way = moved.gap - self._at_start
        jumps = bool(np.abs(way).max() > 2.0 * self._most)
        if jumps and self._shortened < _SHORTENED:
            self._shortened += 1
            raise Refused("the gap moves too far")
        if jumps:  # it went on from an unstable state to another solution, or to the normal state
            self.rate = np.zeros_like(way)
        else:
            self.rate = np.where(moved.gap > 0.0, way, 0.0) / (time - self._time)
            self._shortened = 0
        self._time, self._at_start = time, moved.gap
        self.gap, self._equations.bin_weights = moved.gap, moved.bin_weights
        if self._on_step is not None:
            self._on_step(time, moved.f, n, moved.gap)
        return np.concatenate([moved.f, n], axis=1)

    def _to_solution(self, f: Floats, n: Floats, length: float) -> tuple[GapUpdate, Floats]:
        """Gap that solves its equation at the end of a step, and occupations there."""
        gap, bin_weights = self.gap, self._equations.bin_weights
        moved = self._self_consistent.follow(f, gap)
        if not self._self_consistent.splits_phonons:
            return moved, n
        for _ in range(MAX_PAIR_MOVES):
            if np.abs(moved.gap - gap).max() <= LAST_PAIR_MOVE:
                break
            f, n = self._across(bin_weights, gap, moved, n, length)
            gap, bin_weights = moved.gap, moved.bin_weights
            moved = self._self_consistent.follow(f, gap)
        return moved, carried_phonons(self._self_consistent.grid, bin_weights, moved.bin_weights, n)

    def _across(self, before: BinWeights, gap: Floats, there: GapUpdate, n: Floats, length: float) -> Pair:
        """f and n after a move of the gap in a step, see `cross_threshold`."""
        equations = self._equations
        equations.bin_weights = there.bin_weights
        collisions = equations.collisions
        kept = kept_share(collisions, length, gap, there.gap)
        return cross_threshold(collisions, before, there.bin_weights, there.f, n, kept, equations.gain_loss)


def implicit(
    equations: Occupations,
    self_consistent: SelfConsistentGap | None,
    begin: tuple[Floats, Floats, Floats],
    times: Floats,
    start: float,
    method: Literal["arkimex", "bdf"],
    tolerance: float,
    on_step: OnStep | None,
    pace: Pace | None = None,
) -> Iterator[Passed]:
    """States at given times by `fvqp.solvers.transient.Transient`.

    Args:
        equations: to be integrated.
        self_consistent: moves the gap, or None.
        begin: f, n, gap.
        times, start: as of `Transient.run`.
        method, tolerance: as of `Transient`.
        on_step: called with time, f, n and gap after every step.
        pace: of an earlier evolution that ended at the start; by default the first step is short.

    Raises:
        CaseError: a method that does not go with a gap that follows.
        ConvergenceError: steps collapse.
    """
    if self_consistent is not None and method == "bdf":
        raise CaseError('method "bdf" needs a fixed gap: its steps build on earlier ones; use "arkimex"')
    f, n, gap = begin
    follows: dict[str, Any] = {}
    motion: _Motion | None = None
    if self_consistent is not None:
        rate = None if pace is None else pace.gap_rate
        motion = _Motion(equations, self_consistent, gap, rate, start, tolerance, on_step)
        follows = {"before": motion.ahead, "between": motion.arrived, "longest": motion.longest}
    elif on_step is not None:
        told = on_step
        follows = {"between": lambda time, y: told(time, *equations.split(y), gap)}
    solver = Transient(equations, method=method, tolerance=tolerance)
    first = None if pace is None else pace.next_step
    for moment in solver.run(np.concatenate([f, n], axis=1), times, start=start, first_step=first, **follows):
        f, n = equations.split(moment.y)
        now, rate = (gap, np.zeros_like(gap)) if motion is None else (motion.gap, motion.rate)
        if motion is not None:
            motion.begin_anew()
        yield Passed(
            moment.time,
            f.copy(),
            n.copy(),
            now.copy(),
            moment.counters,
            moment.steps,
            moment.refused,
            Pace(moment.next_step, rate.copy()),
        )


def relaxed(
    equations: Occupations,
    self_consistent: SelfConsistentGap | None,
    begin: tuple[Floats, Floats, Floats],
    times: Floats,
    start: float,
    tolerance: float,
    on_step: OnStep | None,
    pace: Pace | None = None,
) -> Iterator[Passed]:
    """States at given times by time relaxation, see `implicit` and `fvqp.solvers.relaxation`."""
    f, n, gap = begin
    counters = np.zeros((f.shape[0], equations.counters(np.concatenate([f, n], axis=1)).shape[1]))
    steps = refused = 0
    lag = min(_LAG * tolerance, _LONGEST_LAG)

    def gain_loss(f: Floats, n: Floats, gap: Floats) -> GainLoss:
        if self_consistent is not None:
            equations.bin_weights = self_consistent.bin_weights(gap)
        return equations.gain_loss(f, n)

    def counted(f: Floats, n: Floats, gap: Floats) -> Floats:
        if self_consistent is not None:
            equations.bin_weights = self_consistent.bin_weights(gap)
        return equations.counters(np.concatenate([f, n], axis=1))

    def follow(f: Floats, n: Floats, gap: Floats) -> tuple[Floats, Floats, Floats]:
        if self_consistent is None:
            return f, n, gap
        moved = self_consistent.follow(f, gap)
        if self_consistent.splits_phonons:
            n = carried_phonons(self_consistent.grid, self_consistent.bin_weights(gap), moved.bin_weights, n)
        return moved.f, n, moved.gap

    least = (times[-1] - start) / longest_step(gain_loss(f, n, gap), lag)
    if least > _MANY:
        log.warning('time relaxation: needs %.1g steps and more; method "arkimex" needs far fewer', least)
    first = None if pace is None else pace.next_step
    for end in times:
        before = start

        def told(time: float, f: Floats, n: Floats, gap: Floats, before: float = before) -> None:
            if on_step is not None and time > before:
                on_step(time, f, n, gap)

        control = Control(relative=tolerance, absolute=tolerance * _SMALLEST, lag=lag, first=first)
        found = relax(
            gain_loss,
            f,
            n,
            gap,
            end=float(end),
            start=start,
            control=control,
            follow=follow,
            counters=counted,
            on_step=told,
        )
        f, n, gap, first, start = found.f, found.n, found.context, found.step, float(end)
        counters = counters + found.counters
        steps, refused = steps + found.steps, refused + found.refused
        if self_consistent is not None:
            equations.bin_weights = self_consistent.bin_weights(gap)
        after = Pace(found.step, np.zeros_like(gap))
        yield Passed(start, f.copy(), n.copy(), gap.copy(), counters.copy(), steps, refused, after)
