"""Directions of motion and their weights: quadratures on the sphere, on a line, and about a centre.

All weights of a set add to 4π, so that a mean over directions is ``Σ w f/4π``; the sets obey ``Σ w Ω = 0``
and ``Σ w Ω Ω = (4π/3) 1`` in the components they have (theory: streaming, Eq. streaming-moments).

Gauss-Legendre and product sets have nodes in each half or quarter of their angles: they count the flux of
isotropic particles through the coordinate planes exactly (`fvqp.transport.gauss_rules`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import lebedev_rule
from scipy.spatial import cKDTree

from fvqp.errors import CaseError
from fvqp.transport.gauss_rules import polar as polar_rule
from fvqp.transport.gauss_rules import quadrant
from fvqp.typing import Floats, Ints32

FULL = 4.0 * np.pi

#: Directions closer than this are the same; far below the spacing of any set, far above round-off.
SAME = 1e-9

#: Degrees of Lebedev's rules whose weights are positive and that scipy knows.
LEBEDEV = (3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 29, 31, 35, 41, 47, 53, 59, 65, 71, 77, 83, 89, 95, 101, 107,
           113, 119, 125, 131)  # fmt: skip


@dataclass(frozen=True)
class Directions:
    """A set of directions.

    Attributes:
        vectors: ``(M, 3)``. Unit vectors, except in sets for fewer dimensions, which lack components that are
            averaged over (`gauss_legendre`, `folded`), and where speeds differ (`branched`).
        weights: ``(M,)``, positive, sum 4π.
        name: for messages.
        means_only: whether the set stands for means over directions, as in diffusion: isotropic particles
            send the exact quarter through a face, not what the sum over directions makes of it.
    """

    vectors: Floats
    weights: Floats
    name: str
    means_only: bool = field(default=False, kw_only=True)

    @property
    def count(self) -> int:
        return len(self.weights)

    def mean(self, f: Floats) -> Floats:
        """Mean over directions of ``f[cell, direction, energy]``, ``(cell, energy)``."""
        return np.asarray(np.einsum("cme,m->ce", f, self.weights / FULL))

    def half_range(self, normal: ArrayLike) -> float:
        """``Σ w Ω·n/π`` over the directions with ``Ω·n > 0``.

        The flux of isotropic particles through a plane, relative to the exact one.
        """
        along = self.vectors @ np.asarray(normal, dtype=np.float64)
        return float(np.sum(self.weights * np.maximum(along, 0.0)) / np.pi)

    def mirror(self, normal: ArrayLike) -> Ints32:
        """For every direction the number of ``Ω − 2 (Ω·n) n``, its reflection at a plane, ``(M,)``.

        Raises:
            CaseError: the set is not closed under this reflection.
        """
        n = np.asarray(normal, dtype=np.float64)
        return self._image(
            self.vectors - 2.0 * np.outer(self.vectors @ n, n),
            f"a specular wall with normal ({n[0]:.4g}, {n[1]:.4g}, {n[2]:.4g})",
        )

    def inverse(self) -> Ints32:
        """For every direction the number of −Ω, ``(M,)``. Raises `CaseError` if the set lacks one."""
        return self._image(-self.vectors, "a reversal of motion")

    def folded(self, normal: ArrayLike) -> Directions:
        """Half of the set for problems that are even about the plane with this normal.

        Directions and their mirror images become one, with both weights and no component along the normal.

        Raises:
            CaseError: the set is not closed under reflection at the plane.
        """
        n = np.asarray(normal, dtype=np.float64)
        image = self.mirror(n)
        kept = np.flatnonzero(np.arange(self.count) <= image)
        weights = self.weights[kept] + np.where(image[kept] == kept, 0.0, self.weights[image[kept]])
        flat = self.vectors[kept] - np.outer(self.vectors[kept] @ n, n)
        return Directions(flat, weights, f"{self.name}, folded")

    def _image(self, images: Floats, what: str) -> Ints32:
        distance, number = cKDTree(self.vectors).query(images)
        closed = (distance < SAME) & (np.abs(self.weights[number] - self.weights) < SAME * self.weights)
        if not np.all(closed):
            lost = self.vectors[int(np.argmin(closed))]
            raise CaseError(
                f"directions ({self.name}): {what} takes ({lost[0]:.4g}, {lost[1]:.4g}, {lost[2]:.4g}) to a "
                "direction that is not in the set; align the wall with the axes of the set or make it diffuse"
            )
        return np.asarray(number, dtype=np.int32)


@dataclass(frozen=True)
class RadialDirections(Directions):
    """Directions about a centre or an axis; the first component is that along the radius.

    While a particle flies on, its radial component grows: the directions of one level, in rising order of
    that component, feed each other (theory: streaming, Eqs.
    streaming-alpha, streaming-turning).

    Attributes:
        before, after: ``(M,)`` α on either side of a direction; 0 at the ends of a level.
        edge: ``(M,)`` radial component between a direction and the next one of its level.
        level: ``(M,)`` number of the level.
        geometry: ``"spherical"``, ``"cylindrical"``, or ``"revolved"`` on meshes of radius and height.
    """

    before: Floats
    after: Floats
    edge: Floats
    level: Ints32
    geometry: str


def gauss_legendre(count: int) -> Directions:
    """Gauss-Legendre in ``μ = Ω_x`` on either side, for lines along x: the azimuth is averaged over.

    Raises:
        CaseError: ``count`` is odd or below 2.
    """
    _check_polar(count)
    mu, w = polar_rule(count)
    vectors = np.zeros((count, 3))
    vectors[:, 0] = mu
    return Directions(vectors, 2.0 * np.pi * w, f"Gauss-Legendre of {count}")


def product(polar: int, azimuthal: int, *, axis: int = 2) -> Directions:
    """Gauss' rules for the cosine with a polar axis (0, 1, 2 are x, y, z), and for the azimuth.

    Closed under reflections at the coordinate planes, and at the diagonal ones through the axis. The flux of
    isotropic particles through all coordinate planes is exact from 4 polar angles and 8 azimuths on; means
    are exact for spherical harmonics up to degree 3.

    Raises:
        CaseError: ``azimuthal`` is not a multiple of four, or ``polar`` is odd or below 2.
    """
    _check_polar(polar)
    if azimuthal < 4 or azimuthal % 4:
        raise CaseError(f"azimuths: a product set needs a multiple of four azimuths, not {azimuthal}")
    cosine, w = polar_rule(polar, sideways=True)
    quarter, part = quadrant(azimuthal // 4)
    angle = np.add.outer(0.5 * np.pi * np.arange(4), quarter).ravel()
    sine = np.sqrt(1.0 - cosine**2)
    vectors = np.stack(
        [
            np.outer(sine, np.cos(angle)).ravel(),
            np.outer(sine, np.sin(angle)).ravel(),
            np.repeat(cosine, azimuthal),
        ],
        axis=1,
    )
    vectors = np.ascontiguousarray(np.roll(vectors, axis + 1, axis=1))
    return Directions(vectors, np.outer(w, np.tile(part, 4)).ravel(), f"product of {polar} x {azimuthal}")


def lebedev(degree: int) -> Directions:
    """Lebedev's set with the symmetry of the cube, exact for spherical harmonics up to ``degree``.

    Closed under reflections at the coordinate and diagonal planes.

    Raises:
        CaseError: there is no such set with positive weights.
    """
    if degree not in LEBEDEV:
        raise CaseError(
            f"degree: no Lebedev set of degree {degree}; degrees are {', '.join(map(str, LEBEDEV))}"
        )
    points, weights = lebedev_rule(degree)
    return Directions(
        np.ascontiguousarray(points.T), weights * (FULL / weights.sum()), f"Lebedev of degree {degree}"
    )


def spherical(count: int) -> RadialDirections:
    """Gauss-Legendre in ``μ = Ω_r`` on either side, for spheres.

    Raises:
        CaseError: ``count`` is odd or below 2.
    """
    _check_polar(count)
    mu, w = polar_rule(count)
    vectors = np.zeros((count, 3))
    vectors[:, 0] = mu
    weights = 2.0 * np.pi * w
    edge = -1.0 + np.cumsum(w)
    return _radial(vectors, weights, edge, np.zeros(count, np.int32), "spherical")


def cylindrical(polar: int, azimuthal: int) -> RadialDirections:
    """For cylinders: levels of the axial component, and azimuths in each, by the rules of `product`.

    Only half of the axial components and half of the azimuths are different: ``polar/2`` levels of
    ``azimuthal`` directions, whose components are ``(Ω_r, Ω_φ, 0)`` with ``Ω_φ > 0``.

    Raises:
        CaseError: ``polar`` or ``azimuthal`` is odd or below 2.
    """
    _check_polar(polar)
    _check_azimuths("a cylinder", azimuthal)
    axial, w = polar_rule(polar, sideways=True)
    # Both signs of the axial component are one direction.
    return _about_axis(axial[axial > 0.0], 2.0 * w[axial > 0.0], azimuthal, "cylindrical")


def revolved(polar: int, azimuthal: int) -> RadialDirections:
    """For bodies of revolution on meshes of radius and height: ``polar`` levels of the axial component.

    As `cylindrical`, but with either sign of the axial component, which is the second one as in such meshes:
    ``(Ω_r, Ω_z, 0)``. Nothing whirls about the axis, so that the sign of Ω_φ makes no difference.

    Raises:
        CaseError: ``polar`` or ``azimuthal`` is odd or below 2.
    """
    _check_polar(polar)
    _check_azimuths("a body of revolution", azimuthal)
    axial, w = polar_rule(polar, sideways=True)
    about = _about_axis(axial, w, azimuthal, "revolved")
    about.vectors[:, 1] = np.repeat(axial, azimuthal)
    return about


def _check_polar(count: int) -> None:
    if count < 2 or count % 2:
        raise CaseError(
            f"directions: an even number of polar directions is needed, none along a plane; not {count}"
        )


def _check_azimuths(what: str, azimuthal: int) -> None:
    if azimuthal < 2 or azimuthal % 2:
        raise CaseError(f"azimuths: {what} needs an even number of azimuths, not {azimuthal}")


def _about_axis(axial: Floats, w: Floats, azimuthal: int, geometry: str) -> RadialDirections:
    """Levels of axial components, with weights of sum 2, of ``azimuthal`` directions ``(Ω_r, Ω_φ, 0)``."""
    sine = np.sqrt(1.0 - axial**2)
    quarter, part = quadrant(azimuthal // 2)
    # from inward to outward
    angle = np.concatenate([quarter, 0.5 * np.pi + quarter])[::-1]
    part = np.tile(part, 2)
    after = np.pi - np.cumsum(part)
    after[-1] = 0.0
    vectors = np.zeros((len(axial) * azimuthal, 3))
    vectors[:, 0] = np.outer(sine, np.cos(angle)).ravel()
    vectors[:, 1] = np.outer(sine, np.sin(angle)).ravel()
    weights = np.outer(2.0 * w, part).ravel()
    edge = np.outer(sine, np.cos(after)).ravel()
    level = np.repeat(np.arange(len(axial), dtype=np.int32), azimuthal)
    return _radial(vectors, weights, edge, level, geometry)


def branched(directions: Directions, speeds: Sequence[float], shares: Sequence[float]) -> Directions:
    """The set once for every branch of particles with a speed of its own.

    A vector is the velocity in units of the root of the mean square speed ``Σ share × speed²``, with which
    the moments of the set are what they were, and all that follows from them: balance, equilibrium, diffusion
    (theory: streaming, Eq. streaming-branches). Isotropic occupations are those of all branches.

    Args:
        directions: of one branch.
        speeds: of the branches, positive, no two the same; only their ratios matter.
        shares: of the states that belong to each, which add to 1.
    """
    speed, share = np.asarray(speeds, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    length: Floats = np.repeat(speed / np.sqrt(share @ speed**2), directions.count)
    part: Floats = np.repeat(share, directions.count)
    count = len(speed)
    vectors = length[:, None] * np.tile(directions.vectors, (count, 1))
    weights = part * np.tile(directions.weights, count)
    if not isinstance(directions, RadialDirections):
        # those of a folded set that stay where they are, in any branch, are one
        resting = np.flatnonzero(~np.any(vectors, axis=1))
        weights[resting[:1]] = weights[resting].sum()
        vectors, weights = (np.delete(a, resting[1:], axis=0) for a in (vectors, weights))
        return Directions(vectors, weights, f"{directions.name}, {count} branches")
    levels = int(directions.level[-1]) + 1
    level = np.concatenate([directions.level + number * levels for number in range(count)])
    edge = length * np.tile(directions.edge, count)
    return _radial(vectors, weights, edge, level.astype(np.int32), directions.geometry)


def _radial(vectors: Floats, weights: Floats, edge: Floats, level: Ints32, geometry: str) -> RadialDirections:
    """With α of every level from ``α_{m+½} = α_{m−½} − Ω_r w``."""
    after = np.empty(len(weights))
    for number in range(int(level[-1]) + 1):
        members = level == number
        after[members] = -np.cumsum(vectors[members, 0] * weights[members])
    last = np.append(level[1:] != level[:-1], True)
    after[last] = 0.0
    before = np.where(np.append(True, last[:-1]), 0.0, np.append(0.0, after[:-1]))
    name = f"{geometry}, {len(weights)} directions in {int(level[-1]) + 1} levels"
    return RadialDirections(vectors, weights, name, before, after, edge, level, geometry)
