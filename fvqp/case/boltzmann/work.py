"""Work of evolutions and steady states of films and bodies: the first steps are timed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mpi4py import MPI

from fvqp.case.run_time import Work
from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import BoltzmannProblem, State, evolve
from fvqp.typing import Floats

STEPS = 15.0
"""Steps of an evolution over many decades of time times the root of its tolerance: those of a sphere with
tolerances from 0.05 to 0.0005, within a tenth (docs/performance-notes.md)."""
METHODS = {"rosenbrock": (2.0, 1.0, 2.0), "arkimex": (4.0, 2.5, 1.0)}
"""Method → order of the root of the tolerance with which steps grow, least steps to a recorded time, and cost
of a mean step over that of the first ones, which are short (measured: 0.7 to 3, and 1)."""
TIMED = 1.0
"""Seconds after which no more steps are timed."""
SETTLING = 12.0
"""Steps to a steady state (measured: 8 to 18)."""
FIRST = 3
"""Steps to a steady state that are timed."""


class _Enough(Exception):
    """Raised between steps when as many have been timed as are needed."""


def evolution_work(
    problem: BoltzmannProblem, state: State, evolution: Any, times: Floats, lines: int = 0
) -> Work:
    """Return the steps of evolutions.

    Args:
        problem: the equations.
        state: at the start.
        evolution: table of the case, with method and tolerance.
        times: that are recorded, in units of the equations, 0 first.
        lines: number of evolutions, which ranks share; 0 for one of all ranks together.
    """
    method, tolerance = evolution.method, evolution.tolerance
    order, least, later = METHODS[method]

    def compute() -> float:
        taken, begin = 0, time.process_time()

        def count(now: float, _: State, limit: str) -> None:
            nonlocal taken
            taken += 1
            if problem.cells.comm.allreduce(time.process_time() - begin, MPI.MAX) > TIMED:
                raise _Enough

        with suppress(_Enough):
            deque(evolve(problem, state, times[1:], method=method, tolerance=tolerance, callback=count), 0)
        return taken / later

    number = max(STEPS * tolerance ** (-1.0 / order), least * len(times))
    return Work("steps", max(lines, 1) * number, compute, lines)


def steady_work(solve: Callable[[int], object], states: float = 1.0, lines: int = 0) -> Work:
    """Return the steps to steady states.

    Args:
        solve: begins with the first of these, in at most so many steps.
        states: number of states.
        lines: that ranks share; 0 if all ranks solve together.
    """

    def compute() -> float:
        try:
            solve(FIRST)
        except ConvergenceError:
            return float(FIRST)
        # these were all it takes
        return SETTLING

    return Work("steps to steady states", states * SETTLING, compute, lines)
