"""Sets of directions: moments, reflections, levels about a centre, messages."""

from __future__ import annotations

from itertools import product as all_of

import numpy as np
import pytest
from scipy.special import gamma

from fvqp.errors import CaseError
from fvqp.transport import directions
from fvqp.transport.directions import FULL, Directions

SETS = {
    "line": directions.gauss_legendre(8),
    "two": directions.gauss_legendre(2),
    "product": directions.product(4, 8),
    "smallest product": directions.product(2, 4),
    "large product": directions.product(14, 44),
    "lebedev": directions.lebedev(15),
    "film": directions.lebedev(15).folded((0.0, 0.0, 1.0)),
    "sphere": directions.spherical(8),
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


def first_wrong_degree(here: Directions) -> int:
    """Lowest degree of a product of powers of components whose mean is not exact."""
    for degree in range(0, 40, 2):
        for p in all_of(range(0, degree + 1, 2), repeat=3):
            if sum(p) != degree:
                continue
            half = 0.5 * (np.array(p) + 1)
            exact = np.prod(gamma(half)) / (2.0 * np.pi * gamma(half.sum()))
            if abs(here.weights @ np.prod(here.vectors**p, axis=1) / FULL - exact) > 1e-12 * exact:
                return degree
    raise AssertionError("exact for everything")


@pytest.mark.parametrize(
    ("here", "degree"),
    [
        (directions.product(2, 4), 3),
        (directions.product(4, 8), 3),
        (directions.product(8, 20), 7),
        (directions.product(12, 36), 11),
        *((directions.lebedev(n), n) for n in (3, 9, 15, 21)),
    ],
    ids=lambda value: value.name if isinstance(value, Directions) else str(value),
)
def test_exact_up_to_a_degree(here: Directions, degree: int) -> None:
    """Means of all products of powers of components are exact up to the degree that is stated, and no more.

    Odd powers vanish by symmetry.
    """
    assert here.vectors[here.inverse()] == pytest.approx(-here.vectors, abs=1e-12)
    assert np.all(here.weights > 0.0)
    assert first_wrong_degree(here) == degree + 1


X, Y, Z = np.eye(3)


@pytest.mark.parametrize(
    ("here", "normals"),
    [
        (directions.gauss_legendre(4), [X]),
        (directions.gauss_legendre(8), [X]),
        (directions.spherical(8), [X]),
        (directions.product(4, 8), [X, Y, Z]),
        (directions.product(8, 8), [X, Y, Z]),
        (directions.product(6, 12, axis=0), [X, Y, Z]),
        (directions.product(8, 8).folded(Z), [X, Y]),
        (directions.cylindrical(8, 8), [X]),
        (directions.cylindrical(4, 4), [X]),
        (directions.revolved(6, 8), [X, Y]),
    ],
    ids=lambda value: value.name if isinstance(value, Directions) else "",
)
def test_isotropic_flux_is_exact(here: Directions, normals: list[np.ndarray]) -> None:
    """Isotropic particles send ∫ μ dΩ = π of a half space through the coordinate planes that a set has."""
    for normal in normals:
        assert here.half_range(normal) == pytest.approx(1.0, abs=1e-13)
        assert here.half_range(-normal) == pytest.approx(1.0, abs=1e-13)


def test_isotropic_flux_of_other_sets() -> None:
    """As the page on streaming states it: the smallest sets, oblique planes, sets of other symmetries."""
    assert directions.gauss_legendre(2).half_range(X) == pytest.approx(2 / np.sqrt(3), rel=1e-14)
    assert directions.product(2, 4).half_range(X) == pytest.approx(2 / np.sqrt(3), rel=1e-14)
    turned = [np.cos(angle) * X + np.sin(angle) * Y for angle in np.linspace(0.0, np.pi / 4.0, 91)]
    for azimuths, low, high in ((8, -0.057, 0.050), (16, -0.022, 0.013), (32, -0.0066, 0.0035)):
        some = directions.product(8, azimuths)
        oblique = np.array([some.half_range(n) - 1.0 for n in turned])
        assert low < oblique.min() < 0.8 * low and 0.8 * high < oblique.max() < high
    assert directions.lebedev(15).half_range(X) == pytest.approx(0.985, abs=5e-4)


@pytest.mark.parametrize("name", ["product", "lebedev"])
def test_reflections(name: str) -> None:
    here = SETS[name]
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
        (lambda: directions.revolved(3, 4), "even number of polar directions"),
        (lambda: directions.product(4, 6), "multiple of four azimuths, not 6"),
        (lambda: directions.cylindrical(4, 3), "even number of azimuths, not 3"),
        (lambda: directions.lebedev(13), "no Lebedev set of degree 13; degrees are 3, 5"),
    ],
)
def test_messages(make: object, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        make()  # type: ignore[operator]
