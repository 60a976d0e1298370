"""Implicit time integration: solutions, orders, bounds, what is conserved, and failures."""

from __future__ import annotations

import numpy as np
import pytest
from rate_problems import Chain
from scipy.integrate import solve_ivp

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.transient import Transient

TIMES = [1e-6, 1e-3, 0.1, 1.0, 7.0, 100.0]


def start(chain: Chain) -> np.ndarray:
    y = np.zeros(chain.shape)
    y[0, 0], y[1, chain.dense] = 2.0, 3.0
    return y


@pytest.mark.parametrize("method", ["bdf", "arkimex"])
def test_against_scipy_and_counters(method):
    chain = Chain(pump=0.3)
    y = start(chain)
    flat = lambda t, u: chain.rates(u.reshape(chain.shape)).ravel()  # noqa: E731
    expected = solve_ivp(flat, (0.0, 100.0), y.ravel(), "Radau", TIMES, rtol=1e-10, atol=1e-22).y.T
    moments = list(Transient(chain, method=method, tolerance=1e-4).run(y, TIMES))
    assert [moment.time for moment in moments] == TIMES
    total = y[:, 0] + chain.leak * y[:, chain.dense]
    for moment, solution in zip(moments, expected, strict=True):
        np.testing.assert_allclose(moment.y, solution.reshape(chain.shape), rtol=5e-3, atol=1e-16)
        now = moment.y[:, 0] + chain.leak * moment.y[:, chain.dense]
        # what came in, integrated by the same steps, is what is there
        np.testing.assert_allclose(now, total + moment.counters[:, 0], rtol=1e-13)
        assert moment.y.min() >= 0.0
    assert moments[-1].steps < 3000


# The equations are stiff and the number of steps follows tolerances loosely: orders are rough.
@pytest.mark.parametrize(("method", "order"), [("bdf", 2.0), ("arkimex", 3.0)])
def test_error_follows_the_tolerance(method, order):
    """Halving steps divides the error by 2^order: steps go as tolerance^(−1/(order + 1))."""
    chain = Chain(pump=0.3, rate=3.0)
    y = start(chain) + 0.1
    reference = list(Transient(chain, method="arkimex", tolerance=1e-8).run(y, [1.0]))[-1].y
    errors, steps = [], []
    for tolerance in (1e-3, 1e-5):
        moment = list(Transient(chain, method=method, tolerance=tolerance).run(y, [1.0]))[-1]
        errors.append(np.abs(moment.y / reference - 1.0).max())
        steps.append(moment.steps)
    measured = np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0])
    assert measured == pytest.approx(order, abs=0.9)


def test_equations_may_change_between_steps():
    chain = Chain(pump=0.3)

    def between(time: float, y: np.ndarray) -> np.ndarray | None:
        if time > 1.0 and chain.pump == 0.3:
            chain.pump = 1.2
            return y
        return None

    last = list(Transient(chain, method="arkimex").run(start(chain), [1.0, 200.0], between=between))[-1]
    np.testing.assert_allclose(last.y, chain.steady(), rtol=1e-4)


def test_integrator_is_chosen_by_options():
    options = PETSc.Options("fvqp_ts_")
    options["ts_type"] = "beuler"
    try:
        transient = Transient(Chain(pump=0.3))
        assert transient.method == "beuler"
    finally:
        options.delValue("ts_type")


def test_collapse_names_what_is_fastest():
    class Broken(Chain):
        def rates(self, y):
            return super().rates(y) if y[0, 0] > 1.0 else np.full_like(y, np.nan)

    chain = Broken(pump=0.3)
    with pytest.raises(ConvergenceError, match=r"steps collapse at time .*unknown \d of point"):
        list(Transient(chain).run(start(chain) + 1e-3, [10.0]))
