"""Work of a sweep: a point of it is computed, on fewer energies where there are many unknowns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fvqp.case.run_time import Work
from fvqp.case.usadel.comparison import elastic
from fvqp.case.usadel.schema import UsadelCase
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.study.observable import UsadelRun
from fvqp.study.recorded import point_values
from fvqp.study.sweep import Sweep, chains

MAX_UNKNOWNS = 150_000
"""Cells times energies of a point that is timed."""
BRANCH = 10.0
"""Points that following a branch takes for every bias (measured: 5 to 15)."""


def works(case: UsadelCase, problems: Sequence[UsadelProblem], sweep: Sweep) -> Iterator[Work]:
    """Yield responses of devices whose spectra stay, points, and those of comparisons. Collective."""
    problem, points = problems[0], math.prod(sweep.shape)
    run = UsadelRun(problem, case.output.spectra, case.output.stored)
    if case.gap.branches:
        points = round((1.0 + BRANCH) * points)
    yield from _points(run, problem, sweep, points, "points", len(problems))
    if any(figure.compare == "elastic" for figure in case.figures):
        yield from _points(run, elastic(problem), sweep, points, "points without collisions", len(problems))


def _points(
    run: UsadelRun, problem: UsadelProblem, sweep: Sweep, points: int, name: str, problems: int
) -> Iterator[Work]:
    few = _on_fewer_energies(problem)
    share = few.grid.n / problem.grid.n
    before, here = _neighbours(few, sweep)

    def respond() -> float:
        few.forget_responses()
        few.response(here.supercurrent)
        return share

    def solve() -> float:
        point_values(run, few, solve_point(few, here, before))
        return share

    if not few.follows_bias and few.inelastic is None:
        yield Work("responses", problems * len(few.drives), respond)
    yield Work(name, points, solve)


def _neighbours(problem: UsadelProblem, sweep: Sweep) -> tuple[Solution | None, Point]:
    """Return a point a third on the way to the largest bias, and the solution before it, None for rest."""
    (chain, *_) = chains(sweep.V_inj)
    points = sweep.points((0, len(sweep.supercurrent) // 2, len(sweep.V_det) // 2), chain)
    third = len(points) // 3
    if third:
        try:
            return solve_point(problem, points[third - 1]), points[third]
        except ConvergenceError:
            # What a sweep reaches step by step is not always found from rest.
            pass
    return None, points[min(1, len(points) - 1)]


def _on_fewer_energies(problem: UsadelProblem) -> UsadelProblem:
    """The problem, or one of so few energies that a point takes a second or two; time is proportional to
    their number."""
    edges = problem.grid.edges
    step = math.ceil(problem.device.mesh.n_global * problem.grid.n / MAX_UNKNOWNS)
    return replace(problem, grid=EnergyAxis(np.append(edges[:-1:step], edges[-1])))
