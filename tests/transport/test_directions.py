"""Sets of directions: moments, reflections, levels about a centre, messages."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.errors import CaseError
from fvqp.transport import directions
from fvqp.transport.directions import FULL, Directions

SETS = {
    "line": directions.gauss_legendre(8),
    "double line": directions.gauss_legendre(8, double=True),
    "product": directions.product(4, 8),
    "double product": directions.product(4, 8, double=True),
    "lebedev": directions.lebedev(15),
    "film": directions.lebedev(15).folded((0.0, 0.0, 1.0)),
    "sphere": directions.spherical(8),
    "double sphere": directions.spherical(8, double=True),
}


@pytest.mark.parametrize("name", SETS)
def test_moments(name: str) -> None:
    """Σ w = 4π, Σ w Ω = 0, Σ w Ω Ω = (4π/3) 1 in the components that a set has."""
    here = SETS[name]
    w, v = here.weights, here.vectors
    axes = np.flatnonzero(np.abs(v).max(axis=0) > 0)
    assert np.all(w > 0)
    assert w.sum() == pytest.approx(FULL, rel=1e-14)
    assert np.abs(w @ v).max() < 1e-14
    assert (v.T * w @ v)[np.ix_(axes, axes)] == pytest.approx(FULL / 3.0 * np.eye(len(axes)), abs=1e-13)


def test_moments_of_a_cylinder() -> None:
    """Half of the azimuths: the component about the axis has a sign, the radial one has none."""
    here = directions.cylindrical(6, 8)
    w, v = here.weights, here.vectors
    assert w.sum() == pytest.approx(FULL, rel=1e-14)
    assert w @ v[:, 0] == pytest.approx(0.0, abs=1e-14)
    assert np.all(v[:, 1] > 0)
    assert (v.T * w @ v)[:2, :2] == pytest.approx(FULL / 3.0 * np.eye(2), abs=1e-13)


def test_exact_for_harmonics() -> None:
    """Means of even powers of a component are 1/(2k + 1) up to the degree of a set."""
    for here, degree in ((directions.lebedev(15), 15), (directions.product(8, 16), 15)):
        assert here.weights @ here.vectors[:, 2] ** 4 / FULL == pytest.approx(1 / 5, rel=1e-13)
        for axis in range(3):
            for power in range(0, degree, 2):
                moment = here.weights @ here.vectors[:, axis] ** power / FULL
                assert moment == pytest.approx(1 / (power + 1), rel=1e-12)


def test_half_range() -> None:
    """What is stated of fluxes through walls: double sets are exact, the others approach it."""
    x = (1.0, 0.0, 0.0)
    assert directions.gauss_legendre(8, double=True).half_range(x) == pytest.approx(1.0, abs=1e-14)
    assert directions.product(4, 8, double=True).half_range((0, 0, 1)) == pytest.approx(1.0, abs=1e-14)
    assert directions.gauss_legendre(2).half_range(x) == pytest.approx(2 / np.sqrt(3), rel=1e-14)
    off = [abs(directions.gauss_legendre(n).half_range(x) - 1.0) for n in (4, 8, 16)]
    assert off[0] > 3.5 * off[1] > 12 * off[2]
    assert abs(directions.lebedev(15).half_range(x) - 1.0) < 0.015


@pytest.mark.parametrize("here", [SETS["product"], SETS["lebedev"]], ids=["product", "lebedev"])
def test_reflections(here: Directions) -> None:
    for n in (np.eye(3)[0], np.eye(3)[2], np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)):
        image = here.mirror(n)
        expected = here.vectors - 2.0 * np.outer(here.vectors @ n, n)
        assert here.vectors[image] == pytest.approx(expected, abs=1e-12)
        assert np.array_equal(image[image], np.arange(here.count))
    assert here.vectors[here.inverse()] == pytest.approx(-here.vectors, abs=1e-12)


def test_a_reflection_that_leaves_the_set() -> None:
    with pytest.raises(CaseError, match=r"specular wall with normal .* not in the set; align"):
        directions.product(4, 8).mirror((0.6, 0.8, 0.0))


def test_folding() -> None:
    """Fewer directions, the same means of what is even about the plane."""
    full = directions.lebedev(11)
    half = full.folded((0.0, 0.0, 1.0))
    assert half.count < 0.6 * full.count
    assert np.all(half.vectors[:, 2] == 0.0)
    for f in (lambda v: v[:, 0] ** 2, lambda v: v[:, 0] ** 2 * v[:, 1] ** 4, lambda v: np.exp(v[:, 0])):
        assert half.weights @ f(half.vectors) == pytest.approx(full.weights @ f(full.vectors), rel=1e-13)


@pytest.mark.parametrize("here", [directions.spherical(8), directions.cylindrical(4, 6)], ids=str)
def test_levels(here: directions.RadialDirections) -> None:
    """α begins and ends every level at 0, is positive between, and is what a uniform occupation needs."""
    change = here.after - here.before
    assert change == pytest.approx(-here.weights * here.vectors[:, 0], abs=1e-14)
    for level in np.unique(here.level):
        members = np.flatnonzero(here.level == level)
        assert here.before[members[0]] == here.after[members[-1]] == 0.0
        assert np.all(here.after[members[:-1]] > 0.0)
        radial = here.vectors[members, 0]
        assert np.all(np.diff(radial) > 0)
        assert np.all((here.edge[members[:-1]] > radial[:-1]) & (here.edge[members[:-1]] < radial[1:]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: directions.gauss_legendre(5), "even number of polar directions"),
        (lambda: directions.spherical(0), "even number of polar directions"),
        (lambda: directions.gauss_legendre(2, double=True), "at least four polar"),
        (lambda: directions.product(4, 6), "multiple of four azimuths, not 6"),
        (lambda: directions.cylindrical(4, 3), "even number of azimuths, not 3"),
        (lambda: directions.lebedev(13), "no Lebedev set of degree 13; degrees are 3, 5"),
    ],
)
def test_messages(make: object, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        make()  # type: ignore[operator]
