"""Flows to a fixed point: the one nearby while it exists, where it leads beyond, and what is said then."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.pseudo_transient import PseudoTransientResult, pseudo_transient_continuation
from fvqp.typing import Floats


def rest(velocity, start: Floats, tolerance: float = 1e-10, most: int = 500) -> PseudoTransientResult:  # type: ignore[no-untyped-def]
    return pseudo_transient_continuation(
        lambda x: x + velocity(x), start, comm=MPI.COMM_SELF, tolerance=tolerance, what="a flow",
        max_evaluations=most,
    )  # fmt: skip


@pytest.mark.parametrize("tolerance", [1e-10, 1e-6, 1e-4])
def test_slow_directions(tolerance: float) -> None:
    """Rates from 1 to 1e-4, where steps of the flow alone would take 10⁵; the tolerance is that of x."""
    rates = np.geomspace(1e-4, 1.0, 30)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 30)))[0]
    matrix, target = turned @ np.diag(rates) @ turned.T, np.linspace(-0.04, 0.04, 30)
    found = rest(lambda x: matrix @ (target - x), np.zeros(30), tolerance)
    np.testing.assert_allclose(found.x, target, atol=2.0 * tolerance)
    assert np.abs(found.x - target).max() <= 2.0 * found.error <= 2.0 * tolerance
    assert found.evaluations < 200 and found.slowest is None


@pytest.mark.parametrize("parameter", [-0.05, -1e-3, 1e-3, 0.01])
def test_a_fold(parameter: float) -> None:
    """``x' = μ + x² − x³/0.6`` from below: rest at −√−μ nearly, or past the ghost of it beyond the fold."""
    others = np.linspace(0.1, 0.5, 4)

    def velocity(x: Floats) -> Floats:
        u = x[:1]
        return np.concatenate([parameter + u**2 - u**3 / 0.6, 0.3 * (others * u - x[1:])])

    found = rest(velocity, np.full(5, -0.4))
    roots = np.roots([-1.0 / 0.6, 1.0, 0.0, parameter])
    real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
    assert found.x[0] == pytest.approx(real[0], abs=1e-8)
    np.testing.assert_allclose(found.x[1:], others * found.x[0], atol=1e-8)
    if parameter > 0.0:
        assert found.slowest is not None and abs(found.slowest[0]) < 0.1
    else:
        assert found.slowest is None


def test_a_wall_that_moves() -> None:
    """A front of ``u' = u'' + u (1 − u)(u − a)`` that runs through the whole line: u = 1 wins for a < ½."""
    n = 40

    def velocity(u: Floats) -> Floats:
        curvature = np.diff(np.concatenate([[u[0]], u, [u[-1]]]), 2)
        return 0.3 * curvature + 0.5 * u * (1.0 - u) * (u - 0.2)

    found = rest(velocity, np.where(np.arange(n) < 8, 1.0, 0.0), most=2000)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-8)


def test_rounding_hides_the_fixed_point(caplog: pytest.LogCaptureFixture) -> None:
    """A map that is known to 1e-10 and moves by a thousandth of the distance: what it leaves open is said."""
    noise = np.random.default_rng(2)
    found = rest(lambda x: 1e-3 * (0.01 - x) + 1e-10 * noise.normal(size=3), np.zeros(3), 1e-9)
    assert found.residual <= 1e-9 < np.abs(found.x - 0.01).max() < 1e-5
    assert "within the tolerance 1e-09; it may be wrong by" in caplog.text


def test_failures_are_said() -> None:
    with pytest.raises(ConvergenceError, match="a flow: not converged after 20 evaluations, change 1"):
        rest(lambda x: np.ones_like(x), np.zeros(2), most=20)
    with pytest.raises(ConvergenceError, match="left the physical range"):
        rest(lambda x: np.full_like(x, np.nan), np.zeros(2))
