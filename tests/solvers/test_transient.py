"""Implicit time integration: solutions, orders, bounds, what is conserved, and failures."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rate_problems import Chain
from scipy.integrate import solve_ivp

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.transient import Refused, Transient

TIMES = [1e-6, 1e-3, 0.1, 1.0, 7.0, 100.0]


def start(chain: Chain) -> np.ndarray:
    y = np.zeros(chain.shape)
    y[0, 0], y[1, chain.dense] = 2.0, 3.0
    return y


@cache
def known() -> tuple[Chain, np.ndarray, np.ndarray]:
    """A chain, where it starts, and where it is at time 1."""
    chain = Chain(pump=0.3, rate=3.0)
    y = start(chain) + 0.1
    return chain, y, list(Transient(chain, tolerance=1e-9).run(y, [1.0]))[-1].y


def test_against_scipy_and_counters():
    chain = Chain(pump=0.3)
    y = start(chain)
    flat = lambda t, u: chain.rates(u.reshape(chain.shape)).ravel()  # noqa: E731
    expected = solve_ivp(flat, (0.0, 100.0), y.ravel(), "Radau", TIMES, rtol=1e-6, atol=1e-20).y.T
    moments = list(Transient(chain, tolerance=1e-4).run(y, TIMES))
    assert [moment.time for moment in moments] == TIMES
    total = y[:, 0] + chain.leak * y[:, chain.dense]
    for moment, solution in zip(moments, expected, strict=True):
        np.testing.assert_allclose(moment.y, solution.reshape(chain.shape), rtol=5e-3, atol=1e-16)
        now = moment.y[:, 0] + chain.leak * moment.y[:, chain.dense]
        # what came in, integrated by the same steps, is what is there
        np.testing.assert_allclose(now, total + moment.counters[:, 0], rtol=1e-13)
        assert moment.y.min() >= 0.0
    assert moments[-1].steps < 3000


@pytest.mark.slow
def test_order_in_the_step():
    chain, y, reference = known()
    options = PETSc.Options("fvqp_ts_")
    options["ts_adapt_type"] = "none"
    errors = []
    try:
        for steps in (32, 64):
            solver = Transient(chain, tolerance=1e-10)
            moment = list(solver.run(y, [1.0], first_step=1.0 / steps))[-1]
            assert moment.steps == steps
            errors.append(np.abs(moment.y / reference - 1.0).max())
    finally:
        options.delValue("ts_adapt_type")
    # with steps this long the error still falls faster than its first term
    assert 3.7 < np.log2(errors[0] / errors[1]) < 5.0


@pytest.mark.slow
def test_error_follows_the_tolerance():
    """Of order p with an error estimate of order p - 1: in proportion."""
    chain, y, reference = known()
    for tolerance in (1e-3, 1e-5):
        moment = list(Transient(chain, tolerance=tolerance).run(y, [1.0]))[-1]
        assert np.abs(moment.y / reference - 1.0).max() < 5.0 * tolerance


@pytest.mark.slow
def test_refused_steps_are_taken_back():
    """What happens between steps may be too much for their length; nothing of such a step remains."""
    chain = Chain(pump=0.3)
    begun: list[float] = []

    def before(length: float, y: np.ndarray) -> None:
        begun.append(length)

    def between(time: float, y: np.ndarray) -> None:
        if begun[-1] > 0.01:
            raise Refused("too long")

    solver = Transient(chain, tolerance=1e-3)
    moment = list(solver.run(start(chain), [1.0], before=before, between=between))[-1]
    assert moment.refused > 0 and moment.steps + moment.refused >= len(begun) - 1
    plain = list(Transient(chain, tolerance=1e-5).run(start(chain), [1.0]))[-1]
    np.testing.assert_allclose(moment.y, plain.y, rtol=3e-3)
    np.testing.assert_allclose(moment.counters, plain.counters, rtol=3e-3)

    def never(time: float, y: np.ndarray) -> None:
        raise Refused("whatever it does")

    with pytest.raises(ConvergenceError, match="steps collapse at time 0: whatever it does"):
        list(Transient(chain).run(start(chain), [1.0], between=never))


@pytest.mark.slow
def test_steps_have_a_longest_length():
    chain = Chain(pump=0.3)
    solver = Transient(chain, tolerance=1e-3)
    moment = list(solver.run(start(chain), [1.0], longest=lambda: 0.01))[-1]
    assert moment.steps >= 100


def test_equations_may_change_between_steps():
    chain = Chain(pump=0.3)

    def between(time: float, y: np.ndarray) -> np.ndarray | None:
        if time > 1.0 and chain.pump == 0.3:
            chain.pump = 1.2
            return y
        return None

    last = list(Transient(chain).run(start(chain), [1.0, 200.0], between=between))[-1]
    np.testing.assert_allclose(last.y, chain.steady(), rtol=1e-4)


def test_integrator_is_chosen_by_options():
    options = PETSc.Options("fvqp_ts_")
    options["ts_type"] = "beuler"
    try:
        transient = Transient(Chain(pump=0.3))
        assert transient._ts.getType() == "beuler"
    finally:
        options.delValue("ts_type")


@pytest.mark.slow
def test_collapse_names_what_is_fastest():
    class Broken(Chain):
        def rates(self, y):
            return super().rates(y) if y[0, 0] > 1.0 else np.full_like(y, np.nan)

    chain = Broken(pump=0.3)
    with pytest.raises(ConvergenceError, match=r"steps collapse at time .*unknown \d of point"):
        list(Transient(chain).run(start(chain) + 1e-3, [10.0]))


@pytest.mark.slow
def test_solvers_that_live_to_the_end():
    """Python ends well with a solver that nobody dropped."""
    program = (
        "from rate_problems import Chain; from fvqp.solvers.transient import Transient; "
        "chain = Chain(0.3); kept = Transient(chain); list(kept.run(2.0 * chain.steady(), [1.0]))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
