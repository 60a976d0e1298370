"""Time relaxation: bounds, invariants, equilibria, order, control."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.errors import CaseError, ConvergenceError
from fvqp.solvers.relaxation import Control, relax, relaxation_step

ENERGY = np.array([1.0, 2.0])
SPEED = np.array([[1.0], [30.0]])


def exchange(f, n, _context=None):
    """Two levels that exchange quanta of a mode, in two cells of different speed: ``f1 + n → f2``.

    Invariants: f1 + f2, f2 + n. In equilibrium ``f2 (1 − f1)(1 + n) = f1 (1 − f2) n``.
    """
    f1, f2, n1 = f[:, :1], f[:, 1:], n
    in_f = SPEED * np.hstack([f2 * (1.0 + n1), f1 * n1])
    out_f = SPEED * np.hstack([(1.0 - f2) * n1, (1.0 - f1) * (1.0 + n1)])
    return in_f, out_f, SPEED * f2 * (1.0 - f1), SPEED * f1 * (1.0 - f2)


def state():
    return np.array([[0.9, 0.3], [0.2, 0.6]]), np.array([[0.4], [1.5]])


def invariants(f, n):
    return np.column_stack([f.sum(axis=1), f[:, 1] + n[:, 0]])


def imbalance(f, n):
    return f[:, 1] * (1.0 - f[:, 0]) * (1.0 + n[:, 0]) - f[:, 0] * (1.0 - f[:, 1]) * n[:, 0]


@pytest.mark.parametrize("step", [1e-6, 0.1, 3.0, 1e9])
def test_any_step_keeps_bounds_and_invariants(step):
    random = np.random.default_rng(2)
    f, n = random.choice([0.0, 1.0, 0.5], (2, 2)), random.choice([0.0, 2.0], (2, 1))
    before = invariants(f, n)
    for _ in range(50):
        f, n, advanced = relaxation_step(f, n, exchange(f, n), step)
        assert np.all((f >= 0.0) & (f <= 1.0))
        assert np.all(n >= 0.0)
        assert np.all((advanced > 0.0) & (advanced <= step))
    np.testing.assert_allclose(invariants(f, n), before, rtol=1e-14)


def test_equilibrium_stays():
    f = 1.0 / (np.exp(np.array([[1.0, 2.0], [0.5, 0.9]]) / 0.7) + 1.0)
    n = 1.0 / np.expm1(np.array([[1.0], [0.4]]) / 0.7)
    end = relaxation_step(f, n, exchange(f, n), 1e6)
    np.testing.assert_allclose(end.f, f, rtol=1e-15)
    np.testing.assert_allclose(end.n, n, rtol=1e-15)


@pytest.mark.slow
def test_first_order_in_time():
    def at_end(steps):
        f, n = state()
        for _ in range(steps):
            f, n, _ = relaxation_step(f, n, exchange(f, n), 0.02 / steps)
        return np.hstack([f, n])

    reference = 2.0 * at_end(16000) - at_end(8000)
    errors = np.array([np.abs(at_end(n) - reference).max() for n in (20, 40, 80, 160)])
    assert np.all(np.abs(np.log2(errors[:-1] / errors[1:]) - 1.0) < 0.1)


def test_decay_of_the_fastest_occupation_is_exact():
    """Where one loss is the largest rate, the exponential is what it should be."""
    zero = np.zeros((1, 1))
    end = relaxation_step(np.ones((1, 1)), zero, (zero, zero + 2.0, zero, zero), 0.3)
    assert end.f[0, 0] == pytest.approx(np.exp(-0.6), rel=1e-11)
    rest = relaxation_step(np.ones((1, 1)), zero, (zero, zero, zero, zero), 0.3)
    assert rest.advanced[0] == 0.3


def test_run_reaches_equilibrium_and_reports_its_clock():
    f, n = state()
    seen = []
    end = relax(
        exchange,
        f,
        n,
        None,
        end=50.0,
        control=Control(lag=1.0),
        on_step=lambda time, f, n, _: seen.append((time, f.min(), f.max(), n.min())),
    )
    times, lowest, highest, fewest = np.array(seen).T
    assert times[0] == 0.0
    assert times[-1] == end.time == 50.0
    assert end.steps == times.size - 1
    assert np.all(np.diff(times) > 0.0)
    assert lowest.min() >= 0.0
    assert highest.max() <= 1.0
    assert fewest.min() >= 0.0
    np.testing.assert_allclose(invariants(end.f, end.n), invariants(f, n), rtol=1e-13)
    np.testing.assert_allclose(imbalance(end.f, end.n), 0.0, atol=1e-4)
    assert np.all(end.clock < 50.0)
    assert end.clock[1] < end.clock[0]


@pytest.mark.slow
def test_tolerance_and_lag_bound_the_error():
    f, n = state()

    def run(**control):
        return relax(exchange, f, n, None, end=0.5, control=Control(**control))

    fine = run(relative=1e-6, absolute=1e-9)
    assert np.all(0.5 - fine.clock < 0.1 * 0.5)
    errors = [np.abs(run(relative=10.0**-k, lag=1.0).f - fine.f).max() for k in (3, 4, 5)]
    assert errors[0] > 2.5 * errors[1] > 6.25 * errors[2]
    tight = run(relative=1.0, absolute=1.0, lag=0.01)
    assert np.all(0.5 - tight.clock < 0.01 * 0.5 * (1.0 + 1e-9))
    assert tight.steps > 2 * run(relative=1.0, absolute=1.0, lag=0.1).steps


@pytest.mark.slow
def test_options_move_steps():
    f, n = state()

    def steps(**control):
        return relax(exchange, f, n, None, end=1.0, control=Control(relative=0.1, **control)).steps

    assert steps(largest=1e-3) >= 1000
    assert steps(growth=1.2) > steps(growth=4.0)
    assert steps(first=1e-9) > steps(first=1e-4)


def test_context_follows_and_refuses():
    """What belongs to the state besides occupations goes back with a refused step."""
    zero, counted = np.zeros((1, 1)), []

    def follow(f, n, count):
        counted.append(count)
        if len(counted) % 10 == 0:
            raise ConvergenceError("too far")
        return f, n, count + 1

    end = relax(
        lambda f, n, _: (zero, zero + 1.0, zero, zero),
        np.ones((1, 1)),
        zero,
        0,
        end=1.0,
        control=Control(relative=0.01),
        follow=follow,
    )
    assert end.refused > 0
    assert end.context == end.steps
    assert end.f[0, 0] == pytest.approx(np.exp(-1.0), rel=0.05)
    with pytest.raises(ConvergenceError, match="at time 0 no step is short enough: too far"):
        relax(
            lambda f, n, _: (zero, zero + 1.0, zero, zero),
            np.ones((1, 1)),
            zero,
            2,
            end=1.0,
            follow=lambda f, n, _: (_ for _ in ()).throw(ConvergenceError("too far")),
        )


def test_bad_input():
    f, n = state()
    with pytest.raises(CaseError, match="f must lie within"):
        relax(exchange, f + 1.0, n, None, end=1.0)
    with pytest.raises(CaseError, match="n must be finite and not negative"):
        relax(exchange, f, n - 5.0, None, end=1.0)
    with pytest.raises(CaseError, match="must end after its start"):
        relax(exchange, f, n, None, end=0.0)
    for name, value in (("relative", 0.0), ("lag", 2.0), ("first", -1.0), ("growth", 1.0), ("largest", 0.0)):
        with pytest.raises(CaseError, match=name):
            Control(**{name: value})
    zero = np.zeros((1, 1))
    with pytest.raises(ConvergenceError, match="out_f is negative"):
        relax(lambda f, n, _: (zero, zero - 1.0, zero, zero), zero, zero, None, end=1.0)
    with pytest.raises(ConvergenceError, match="in_n is not finite"):
        relax(lambda f, n, _: (zero, zero, zero + np.nan, zero), zero, zero, None, end=1.0)
