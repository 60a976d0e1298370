"""Pair rate, its normalisation and limits; random numbers; statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.localized import rng, statistics
from fvqp.models.localized.rates import pair_rate, rate_beyond, shape, tail_rate


def closed_form(x: float) -> float:
    """g(X) as printed, with the cancelling terms."""
    h = 0.5 * x
    s, c = math.sinh(h), math.cosh(h)
    return (3.0 + 2.0 * s * s - 3.0 * s * c / h) / (16.0 * math.pi * s**4)


def test_shape_and_rate_are_normalised() -> None:
    one, _ = integrate.quad(lambda x: 4 * math.pi * x * x * float(shape(x)), 0, 60, epsabs=1e-13, limit=200)
    assert abs(one - 1.0) < 1e-10
    total, _ = integrate.quad(
        lambda x: 4 * math.pi * x * x * float(pair_rate(x)), 0, 80, epsabs=1e-13, limit=200
    )
    assert abs(total - 1.0) < 1e-10
    assert abs(rate_beyond(0.0) - 1.0) < 1e-8
    assert (
        abs(
            rate_beyond(10.0) - integrate.quad(lambda x: 4 * math.pi * x * x * float(pair_rate(x)), 10, 90)[0]
        )
        < 1e-10
    )


def test_rate_is_the_overlap_of_two_shapes() -> None:
    # Two centres on an axis, cylinder coordinates, L = 2 r_c.
    u, w = np.polynomial.legendre.leggauss(60)
    edges = np.linspace(0.0, 1.0, 9)
    t = (edges[:-1, None] + 0.0625 * (u + 1.0)).ravel()
    wt = np.tile(0.0625 * w, 8)
    for distance in (0.5, 2.0, 6.0):
        z, wz = (t - 0.5) * 80.0 + 0.5 * distance, wt * 80.0
        rho, wr = t * 40.0, wt * 40.0
        near = shape(np.hypot(rho[:, None], z) / 2.0) / 8.0
        other = shape(np.hypot(rho[:, None], z - distance) / 2.0) / 8.0
        overlap = np.einsum("r,z,rz->", wr * 2 * math.pi * rho, wz, near * other)
        assert overlap == pytest.approx(float(pair_rate(distance)), rel=1e-6)


def test_rate_limits_and_join() -> None:
    assert float(pair_rate(0.0)) == pytest.approx(1.0 / (60.0 * math.pi), rel=1e-15)
    x = np.linspace(0.5, 40.0, 200)
    # The printed form loses digits as 1e-16/X^4.
    assert np.allclose(pair_rate(x), [closed_form(v) for v in x], rtol=2e-12)
    assert float(pair_rate(0.8 - 1e-12)) == pytest.approx(float(pair_rate(0.8 + 1e-12)), rel=3e-12)
    far = np.array([50.0, 200.0])
    assert np.allclose(pair_rate(far) * np.exp(far) * 2 * math.pi, 1.0 - 3.0 / far, rtol=1e-12)
    assert [tail_rate(v) for v in (0.0, 0.3, 3.0, 30.0)] == pytest.approx(pair_rate([0.0, 0.3, 3.0, 30.0]))
    assert tail_rate(900.0) == 0.0
    assert np.all(np.diff(pair_rate(np.linspace(0.0, 50.0, 5001))) < 0.0)


def test_bad_distance() -> None:
    with pytest.raises(CaseError, match="distance"):
        pair_rate([-1.0])


def test_generator_is_xoshiro() -> None:
    # Reference output for the seed 1, 2, 3, 4.
    state = np.array([1, 2, 3, 4], dtype=np.uint64)
    words = [int(rng.next_word(state)) for _ in range(6)]
    assert words == [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
        9973669472204895162,
    ]


def test_alias_table_draws_in_proportion() -> None:
    weight = np.array([0.0, 1.0, 5.0, 0.25, 3.0])
    threshold, other = rng.alias_table(weight)
    state = rng.seeded(np.random.SeedSequence(5))
    drawn = np.bincount([rng.draw(state, threshold, other) for _ in range(20000)], minlength=5)
    assert drawn[0] == 0
    assert stats.chisquare(drawn[1:], 20000 * weight[1:] / weight.sum()).pvalue > 1e-4
    # Exactly: what the table gives each index.
    share = np.bincount(other, (1.0 - threshold), minlength=5) + threshold
    assert np.allclose(share / 5.0, weight / weight.sum(), atol=1e-15)


def test_error_of_a_correlated_series() -> None:
    generator = np.random.default_rng(3)
    memory, n = 0.9, 2000
    z, times = [], []
    for _ in range(60):
        noise = generator.standard_normal(n)
        x = np.empty(n)
        x[0] = noise[0] / math.sqrt(1.0 - memory**2)
        for k in range(1, n):
            x[k] = memory * x[k - 1] + noise[k]
        found = statistics.estimate(x)
        z.append(found.mean / found.error)
        times.append(found.time)
    # Standard deviation of 60 normal variates: 1.0 +- 0.09.
    assert 0.7 < np.std(z) < 1.3
    # (1 + a)/(1 - a) of an autoregressive process, 19; each time is known to 40 % only, and errs to be long.
    assert 17.0 < np.mean(times) < 26.0
    assert statistics.autocorrelation_time(generator.standard_normal(5000)) < 1.3
    assert statistics.estimate(np.ones(20)).error == 0.0


def test_errors_of_series_side_by_side() -> None:
    generator = np.random.default_rng(8)
    x = np.cumsum(generator.standard_normal((400, 5)), axis=0) * [0.0, 1e-3, 1.0, 10.0, 1e3]
    x += generator.standard_normal((400, 5)) * [0.0, 1.0, 1.0, 1.0, 1.0]
    one_by_one = [statistics.estimate(column).error for column in x.T]
    np.testing.assert_allclose(statistics.errors_of_columns(x), one_by_one, rtol=1e-12)
    assert one_by_one[0] == 0.0


def test_steady_state_is_found_and_drift_is_refused() -> None:
    generator = np.random.default_rng(4)
    k = np.arange(400)
    series = 1.0 - np.exp(-k / 15.0) + 0.05 * generator.standard_normal(400)
    start = statistics.steady_from(series)
    assert 20 <= start <= 200
    assert abs(statistics.estimate(series[start:]).mean - 1.0) < 0.02
    with pytest.raises(ConvergenceError, match="not stationary"):
        statistics.steady_from(k / 400.0 + 0.01 * generator.standard_normal(400))
    with pytest.raises(CaseError, match="at least 8"):
        statistics.estimate([1.0, 2.0])


def test_combination_of_runs() -> None:
    runs = [statistics.Estimate(m, 0.1, 2.0, 50.0) for m in (1.0, 1.2, 0.8, 1.0)]
    both = statistics.combined(runs)
    assert both.mean == pytest.approx(1.0)
    assert both.error == pytest.approx(max(0.05, np.std([1.0, 1.2, 0.8, 1.0], ddof=1) / 2.0))
    assert both.independent == 200.0
