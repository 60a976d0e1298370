"""Least squares against certified results and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.variation.least_squares import fit_parameters

X = np.array(
    [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0]
)
Y = np.array(
    [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78]
)


@pytest.mark.parametrize("start", [(500.0, 1e-4), (250.0, 5e-4)])
def test_misra1a(start: tuple[float, float]) -> None:
    """Statistical Reference Datasets of NIST, Misra1a: y = b1 (1 − exp(−b2 x)), both certified starts."""
    found = fit_parameters(
        lambda b: b[0] * (1.0 - np.exp(-b[1] * X)) - Y, np.array(start), ["b1", "b2"], weighted=False
    )
    np.testing.assert_allclose(found.x, [2.3894212918e2, 5.5015643181e-4], rtol=1e-6)
    np.testing.assert_allclose(found.errors, [2.7070075241, 7.2668688436e-6], rtol=1e-3)
    assert found.scale == pytest.approx(1.0187876330e-1, rel=1e-6)
    assert not found.at_bound.any()


def test_line_with_known_errors() -> None:
    """The covariance of a straight line, (AᵀA)⁻¹, whatever the scatter."""
    x = np.linspace(0.0, 1.0, 11)
    design = np.stack([np.ones(11), x], axis=1) / 0.1
    data = (2.0 + 3.0 * x + 0.05 * np.sin(40.0 * x)) / 0.1
    found = fit_parameters(lambda p: design @ p - data, np.array([1.0, 1.0]), ["a", "b"], weighted=True)
    expected = np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6)
    np.testing.assert_allclose(found.x, np.linalg.lstsq(design, data, rcond=None)[0], rtol=1e-7)
    assert found.correlation[0, 1] == pytest.approx(expected[0, 1] / np.sqrt(expected[0, 0] * expected[1, 1]))


def test_steps_to_where_nothing_is_solved_are_shortened() -> None:
    """Of ``√(1 − p) = √0.1`` the first step of Gauss and Newton from 0.55 goes beyond 1."""
    refused = 0

    def residual(p: np.ndarray) -> np.ndarray:
        nonlocal refused
        if p[0] > 1.0:
            refused += 1
            raise CaseError("p: at most 1")
        return np.array([np.sqrt(1.0 - p[0]) - np.sqrt(0.1), 1e-3])

    found = fit_parameters(residual, np.array([0.55]), ["p"], weighted=True)
    assert refused > 0 and found.x[0] == pytest.approx(0.9, rel=1e-6)
    with pytest.raises(CaseError, match="at most 1"):
        fit_parameters(residual, np.array([1.5]), ["p"], weighted=True)


def test_bounds() -> None:
    """The best of ``p − 2`` within [−1, 1.5] is 1.5; beyond a bound nothing is evaluated."""

    def residual(p: np.ndarray) -> np.ndarray:
        assert -1.0 <= p[0] <= 1.5
        return np.array([p[0] - 2.0, 2.0 * (p[0] - 2.0)])

    bounds = np.array([-1.0]), np.array([1.5])
    found = fit_parameters(residual, np.array([-0.5]), ["p"], weighted=True, bounds=bounds)
    assert found.x[0] == pytest.approx(1.5, abs=1e-3) and found.at_bound.all()
    free = fit_parameters(lambda p: np.array([p[0] - 2.0, 0.0]), np.array([1.0]), ["p"], weighted=True)
    assert free.x[0] == pytest.approx(2.0) and not free.at_bound.any()


def test_what_cannot_be_determined() -> None:
    x = np.linspace(0.0, 1.0, 11)
    one = np.array([1.0, 1.0])
    with pytest.raises(FvqpError, match="b has no effect"):
        fit_parameters(lambda p: p[0] * x - 2.0 * x + 0.1, one, ["a", "b"], weighted=False)
    with pytest.raises(FvqpError, match="a and b cannot be told apart"):
        fit_parameters(lambda p: p[0] * p[1] * x - 2.0 * x + 0.1, one, ["a", "b"], weighted=False)
    with pytest.raises(FvqpError, match="1 data points cannot determine 2"):
        fit_parameters(lambda p: p[:1] - 2.0, one, ["a", "b"], weighted=False)
    with pytest.raises(ConvergenceError, match="no minimum after 2 steps"):
        fit_parameters(
            lambda b: b[0] * (1.0 - np.exp(-b[1] * X)) - Y,
            np.array([500.0, 1e-4]),
            ["b1", "b2"],
            weighted=False,
            max_steps=2,
        )


def test_search_along_a_valley_names_its_parameters() -> None:
    """Factors of a product that the data give, but for a trace: the scatter leaves both open."""
    x = np.linspace(0.0, 1.0, 21)
    noise = 0.1 * np.cos(50.0 * x)

    def residual(p: np.ndarray) -> np.ndarray:
        return p[0] * p[1] * x + 1e-4 * p[0] * x**2 + p[2] - 2.0 * x - 3.0 - noise

    message = "no minimum after 4 steps; these data hardly determine a and b: fix one"
    with pytest.raises(ConvergenceError, match=message):
        fit_parameters(residual, np.array([1.0, 1.0, 1.0]), ["a", "b", "c"], weighted=False, max_steps=4)


def test_parameter_that_runs_away() -> None:
    """Data of zero slope drive a positive slope to the end of its reach."""
    x = np.linspace(1.0, 2.0, 11)
    found = fit_parameters(lambda p: p[0] * x + 0.5 * x, np.array([1.0]), ["slope"], weighted=False)
    assert found.at_bound[0]


def test_differences_of_all_parameters_are_asked_for_at_once() -> None:
    """What a search evaluates is prepared before, but for the points that it tries one after another."""
    asked, prepared = [], []
    x = np.linspace(0.0, 1.0, 11)

    def residual(p: np.ndarray) -> np.ndarray:
        asked.append(p.tolist())
        return p[0] * np.exp(-p[1] * x) - 2.0 * np.exp(-3.0 * x)

    def prepare(several: list[np.ndarray]) -> None:
        prepared.append([one.tolist() for one in several])

    start = np.array([1.0, 2.0])
    found = fit_parameters(residual, start, ["a", "b"], weighted=True, prepare=prepare)
    np.testing.assert_allclose(found.x, [2.0, 3.0], rtol=1e-6)
    both = [several for several in prepared if several]
    assert len(both) > 2 and all(len(several) == 2 for several in both)
    for several in both:
        first = asked.index(several[0])
        assert asked[first : first + 2] == several
