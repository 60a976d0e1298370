"""Curves of solutions with folds that are known."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.continuation import (
    REACHED,
    CurvePoint,
    SolutionBranch,
    follow_branch,
    homotopy,
    jumps_between,
)
from fvqp.typing import Floats


def follow(residual: object, start: CurvePoint, last: float, **more: object) -> SolutionBranch:
    steps = {"first_step": 0.05, "largest_step": 0.1, "tolerance": 1e-11}
    return follow_branch(residual, start, last, comm=MPI.COMM_SELF, **(steps | more))  # type: ignore[arg-type]


def cubic(x: Floats, p: float) -> Floats:
    """p = x − x³/3 in the mean of x, whose folds are at x = ±1; all x are equal."""
    return x**3 / 3 - x + p + 0.5 * (x - x.mean())


@pytest.mark.parametrize("size", [1, 5])
def test_folds_and_coexisting_solutions(size: int) -> None:
    start = CurvePoint(np.full(size, 2.1), 2.1 - 2.1**3 / 3)
    # Some of them as near a fold as no point of the curve comes.
    marks = [0.0, 0.3, 0.7, 2 / 3 - 1e-5, 2 / 3 - 1e-3, -2 / 3 + 1e-4]
    told: list[tuple[float, float]] = []
    found = follow(cubic, start, 2.0, marks=marks, report=lambda *where: told.append(where))
    # The curve comes back to the parameter it began with, on the far side.
    assert found.end == REACHED
    assert [fold.parameter for fold in found.folds] == pytest.approx([2 / 3, -2 / 3], abs=1e-8)
    assert [fold.x[0] for fold in found.folds] == pytest.approx([1.0, -1.0], abs=1e-3)
    for mark, solutions in found.crossings.items():
        roots = np.roots([-1 / 3, 0, 1, -mark])
        real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)[::-1]
        # What is left of |F| counts for 1/√ of the distance from the fold.
        assert [x[0] for x in solutions] == pytest.approx(real, abs=1e-8)
    for point in found.points:
        assert np.abs(cubic(point.x, point.parameter)).max() <= 1e-11
    parts = [part for part, _ in told]
    assert parts[0] == 0.0 and parts[-1] == 1.0 and parts == sorted(parts)
    assert len(parts) > 2 * len(found.points)


def test_jumps_between_two_solutions() -> None:
    """A steep but continuous curve is told from one that jumps by as much, also beside a slope."""

    def steep(part: float) -> float:
        return float(np.tanh(50.0 * (part - 0.37)))

    def broken(part: float) -> float:
        return part + 0.2 * (part > 0.37)

    def ended(part: float) -> float:
        if part > 0.37:
            raise ConvergenceError("nothing here")
        return part

    for curve, last, jumps in ((steep, steep(1.0), False), (broken, 1.2, True), (ended, 1.0, True)):
        asked: list[tuple[float, float]] = []

        def solve(part: float, near: tuple[float, float], curve=curve, asked=asked) -> tuple[float, float]:
            assert near[1] < part
            asked.append((near[1], part))
            return curve(part), part

        assert jumps_between((curve(0.0), 0.0), (last, 1.0), solve, 1e-3) == jumps
        assert len(asked) <= 20
    # What is no larger than it may be is none.
    assert not jumps_between((0.0, 0.0), (1.2, 1.0), lambda part, _: (broken(part), part), 0.21)


def test_a_closed_curve_of_many_directions() -> None:
    """``|x|² + p² = 1`` in the mean of a map with a spectrum of its own: turns at p = ±1."""
    slopes = np.linspace(0.5, 1.5, 8)

    def circle(x: Floats, p: float) -> Floats:
        return slopes * (x - x.mean()) + 0.5 * (x.mean() ** 2 + p**2 - 1.0)

    found = follow(circle, CurvePoint(np.ones(8), 0.0), 2.0)
    assert found.end == REACHED
    assert found.folds[0].parameter == pytest.approx(1.0, abs=1e-8)
    assert found.points[-1].x.mean() == pytest.approx(-1.0, abs=0.1)


def test_solutions_that_are_not_found_are_left_out() -> None:
    def with_a_hole(x: Floats, p: float) -> Floats:
        if abs(p - 0.5) < 1e-3:
            raise ConvergenceError("nothing here")
        return x - p**2

    found = follow(with_a_hole, CurvePoint(np.zeros(1), 0.0), 1.0, marks=[0.3, 0.5, 0.7])
    assert found.end == REACHED and found.missed == [0.5]
    assert found.crossings[0.5] == []
    for mark in (0.3, 0.7):
        assert [x[0] for x in found.crossings[mark]] == pytest.approx([mark**2], abs=1e-10)


def test_the_end_of_a_curve_is_said() -> None:
    def ends(x: Floats, p: float) -> Floats:
        if p > 0.42:
            raise ConvergenceError("nothing is here")
        return x - p

    found = follow(ends, CurvePoint(np.zeros(1), 0.0), 1.0)
    assert found.end == "no further step along the curve: nothing is here"
    assert found.points[-1].parameter == pytest.approx(0.42, abs=1e-3)
    short = follow(lambda x, p: x - p, CurvePoint(np.zeros(1), 0.0), 10.0, most_points=5)
    assert short.end == "5 points"


def test_grow_takes_steps_that_it_can() -> None:
    """Steps of a problem that bears some short ones only, and one that ends at a third of it."""
    reached: list[float] = []

    def solve(part: float, before: Floats | None) -> Floats:
        start = 0.0 if before is None else before[0]
        if part - start > (0.05 if 0.3 < part < 0.4 else 0.3):
            raise ConvergenceError("too far")
        reached.append(part)
        return np.array([part])

    assert homotopy(solve)[0] == 1.0
    assert reached == sorted(reached)
    assert len(reached) < 15

    def ends(part: float, before: Floats | None) -> Floats:
        if part > 1.0 / 3.0:
            raise ConvergenceError("no solution")
        return np.array([part])

    with pytest.raises(ConvergenceError, match="no solution"):
        homotopy(ends)
