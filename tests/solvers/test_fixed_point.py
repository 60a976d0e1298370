"""Fixed points by Anderson acceleration: the tolerance, and what refinement adds to it."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.solvers.fixed_point import REFINED, FixedPoint, solve_fixed_point

TOLERANCE = 1e-8
START = np.linspace(0.0, 1.0, 30)


def solve(noise: float, refinements: int) -> FixedPoint:
    """A map that contracts at rates from -0.9 to 0.9, with noise of a given size added to it."""
    rates = np.linspace(-0.9, 0.9, len(START))
    rng = np.random.default_rng(3)

    def g(x: np.ndarray) -> np.ndarray:
        return np.cos(rates * x) + noise * rng.uniform(-1.0, 1.0, len(x))

    return solve_fixed_point(
        g, START, comm=MPI.COMM_SELF, tolerance=TOLERANCE, what="x", refinements=refinements
    )


def test_refinement_goes_on_below_the_tolerance() -> None:
    plain, refined = solve(0.0, 0), solve(0.0, 20)
    assert REFINED * TOLERANCE < plain.residual <= TOLERANCE
    assert refined.residual <= REFINED * TOLERANCE
    assert plain.evaluations < refined.evaluations <= plain.evaluations + 20
    assert np.abs(np.cos(np.linspace(-0.9, 0.9, len(START)) * refined.x) - refined.x).max() < 1e-9


def test_refinement_ends_where_rounding_forbids_it() -> None:
    noise = 0.2 * TOLERANCE
    found = solve(noise, 6)
    assert REFINED * TOLERANCE < found.residual <= TOLERANCE
    assert found.evaluations == solve(noise, 5).evaluations + 1 == solve(noise, 0).evaluations + 6


@pytest.mark.parametrize("refinements", [0, 5])
def test_a_start_at_the_fixed_point_is_enough(refinements: int) -> None:
    found = solve_fixed_point(
        np.cos,
        np.array([0.7390851332151607]),
        comm=MPI.COMM_SELF,
        tolerance=TOLERANCE,
        what="x",
        refinements=refinements,
    )
    assert found.evaluations == 1
