"""Evolutions of films and bodies: recorded times one after another, progress on the way, options of PETSc."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fvqp.case.evolution import steps_note
from fvqp.case.petsc_options import EVOLUTION, STEADY, check_options_used
from fvqp.models.boltzmann import BoltzmannProblem, Counters, Moment, State, evolve
from fvqp.results.progress import LogPace, SweepProgress
from fvqp.typing import Floats


def recorded_moments(
    problem: BoltzmannProblem,
    state: State,
    evolution: Any,
    times: Floats,
    unit: float,
    first: int,
    progress: SweepProgress | None,
    *,
    first_step: float | None = None,
    counters: Counters | None = None,
    pace: LogPace | None = None,
) -> Iterator[tuple[int, Moment]]:
    """Yield numbers and moments of the recorded times from ``first`` on, and report progress. Collective.

    Args:
        problem: the equations.
        state: at the time before the first one.
        evolution: table of the case, with method and tolerance.
        times: all that are recorded, seconds.
        unit: of time in the equations, seconds.
        first: number of the first one that is missing, at least 1.
        progress: of the run.
        first_step, counters: of a run that goes on, see `evolve`.
        pace: by which the time left of the run is told; without, that to the next recorded time is.
    """
    at = times / unit
    before = float(at[first - 1])

    def tell(now: float, _: State, limit: str) -> None:
        """Report the progress to the next of the recorded times, and steps."""
        nonlocal before
        if progress is not None:
            to = int(np.searchsorted(at[:-1], now))
            part = float((now - at[to - 1]) / (at[to] - at[to - 1]))
            note = steps_note((now - before) * unit, limit)
            left = "" if pace is None else pace.left(now, float(at[-1]))
            progress.within(f"the way to t = {times[to]:.4g} s", part, note, left)
        before = now

    passing = evolve(
        problem,
        state,
        at[first:],
        start=before,
        method=evolution.method,
        tolerance=evolution.tolerance,
        first_step=first_step,
        counters=counters,
        callback=tell,
    )
    yield from enumerate(passing, start=first)


def check_solver_options(case: Any, rehearse: Callable[[], object]) -> None:
    """Raise `CaseError` for options of PETSc that no solver reads.

    Args:
        case: with an evolution or a steady state.
        rehearse: makes its solvers, which look for their options then.
    """
    steady = case.evolution is None
    has = {EVOLUTION: not steady, STEADY: steady}
    check_options_used(case, STEADY if steady else EVOLUTION, has, rehearse)
