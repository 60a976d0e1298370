"""Fixed points by Anderson acceleration, to a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.fixed_point import FixedPoint, solve_fixed_point

TOLERANCE = 1e-8
RATES = np.linspace(-0.9, 0.9, 30)


def solve(start: np.ndarray, most: int = 60) -> FixedPoint:
    """A map that contracts at rates from -0.9 to 0.9."""
    return solve_fixed_point(
        lambda x: np.cos(RATES[: len(x)] * x), start, comm=MPI.COMM_SELF, tolerance=TOLERANCE, what="x",
        max_evaluations=most,
    )  # fmt: skip


def test_a_fixed_point_to_the_tolerance() -> None:
    found = solve(np.linspace(0.0, 1.0, 30))
    assert np.abs(np.cos(RATES * found.x) - found.x).max() == pytest.approx(found.residual, abs=1e-15)
    assert found.residual <= TOLERANCE
    assert solve(found.x).evaluations == 1


def test_too_few_evaluations() -> None:
    with pytest.raises(ConvergenceError, match="x: not converged after 3 evaluations"):
        solve(np.linspace(0.0, 1.0, 30), 3)
