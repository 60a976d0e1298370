"""Refraction of waves at a plane interface, on a set of directions.

The component k of the wave vector along the interface stays (Snell's law), and in its plane the directions
that leave a medium through the interface fill a disc of radius ∝ √(states × speed), evenly: an area of the
disc is a flux of isotropic waves. Each direction of a set owns a patch of the disc, as large as its weight
times its cosine. What passes from one direction to another is the transmission over the area that their
patches share: no more than either side has, the same both ways, and in total that of isotropic waves (theory:
streaming, Eq. streaming-refraction).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from fvqp.errors import CaseError
from fvqp.transport.directions import SAME, Directions
from fvqp.typing import Floats, Ints

#: Points on a radius and around the disc, at least; both grow with the number of directions.
RADIAL, AROUND = 24, 32


def acoustic_transmission(impedance: float, near: Floats, beyond: Floats) -> Floats:
    """Share of a plane wave's energy that passes, the same both ways: ``4 z c c′/(c′ + z c)²``.

    W. A. Little, *Can. J. Phys.* **37**, 334 (1959).

    Args:
        impedance: z, density × speed beyond over that on the near side.
        near, beyond: cosines c, c′ of the wave and of the refracted one with the normal.
    """
    return np.asarray(4.0 * impedance * near * beyond / (beyond + impedance * near) ** 2)


class Passage(NamedTuple):
    """Transmission of an interface, in units of states × speed of the near side.

    Attributes:
        shares: ``(F, F)`` flux from a direction on the near side to one beyond, for an occupation of 1.
        mean: share of isotropic waves of the near side that passes.
        tilted: the same of waves with an occupation ∝ cosine, from the near side and from beyond.
    """

    shares: Floats
    mean: float
    tilted: tuple[float, float]


class Plane:
    """The directions at a plane through which waves pass.

    Args:
        directions: their set.
        normal: unit vector from the near side to the one beyond.

    Attributes:
        onward: ``(F,)`` directions that leave the near side.
        against: ``(F,)`` their opposites.
        mirror: ``(M,)`` reflection of every direction.
        cosine, area: ``(F,)`` of those in ``onward`` with the normal, and weight times it.

    Raises:
        CaseError: the set is not closed under reflection at the plane.
    """

    def __init__(self, directions: Directions, normal: Floats) -> None:
        self.mirror = directions.mirror(normal)
        cosine = directions.vectors @ normal
        self.onward = np.flatnonzero(cosine > SAME)
        self.against = directions.inverse()[self.onward].astype(np.int64)
        self.cosine = cosine[self.onward]
        self.area = directions.weights[self.onward] * self.cosine
        self._places = _places(directions, normal, self.onward)
        self._known: dict[tuple[float, float], Passage] = {}
        number = np.full(directions.count, -1)
        number[self.onward] = np.arange(len(self.onward))
        # Half a turn about the normal, by which reflections differ from reversals, and the mirror images of
        # what lies on either side of the normal, if the set has them.
        turned = number[self.mirror[self.against]]
        self._symmetries = [np.arange(len(self.onward)), turned]
        try:
            mirrored = number[directions.mirror(self._places.along)[self.onward]]
            self._symmetries += [mirrored, mirrored[turned]]
        except CaseError:
            pass

    def passage(self, ratio: float, impedance: float) -> Passage:
        """Return the transmission of an interface, see `acoustic_transmission`.

        Args:
            ratio: states × speed beyond over that on the near side, not 0.
            impedance: density × speed beyond over that on the near side.
        """
        if (ratio, impedance) not in self._known:
            self._known[ratio, impedance] = self._passage(ratio, impedance)
        return self._known[ratio, impedance]

    def _passage(self, ratio: float, impedance: float) -> Passage:
        points = _Disc(ratio, len(self.onward), folded=self._places.folded, line=self._places.line)
        total = float(self.area.sum())
        passing = np.zeros(len(points.weight))
        inner = points.square < min(1.0, ratio)
        square = points.square[inner]
        passing[inner] = acoustic_transmission(
            impedance, np.sqrt(1.0 - square), np.sqrt(1.0 - square / ratio)
        )
        near = self._patches(points, 1.0)
        shares = np.diag(near @ passing)
        if ratio != 1.0:
            beyond = self._patches(points, ratio)
            shares = np.asarray((near.multiply(passing / points.weight) @ beyond.T).todense())
        images = [shares[np.ix_(image, image)] for image in self._symmetries]
        shares = np.mean(images, axis=0) * total
        whole = self.area @ self.cosine
        onward = float(shares.sum(axis=1) @ self.cosine / whole)
        against = float(shares.sum(axis=0) @ self.cosine / (ratio * whole))
        return Passage(shares, float(shares.sum()) / total, (onward, against))

    def _patches(self, points: _Disc, square: float) -> csr_matrix:
        """Weight of every point in the patch of every direction, on the disc with this square of its radius.

        The disc is cut in two between directions, so that each part has the area of its directions, and so
        on. A point on a cut belongs to both parts.
        """
        there = np.flatnonzero(points.square < square)
        at = points.at[there] / np.sqrt(square)
        weight = points.weight[there]
        area = self.area * (weight.sum() / self.area.sum())
        place = self._places.at
        rows, columns, values = [], [], []
        waiting = [(np.arange(len(area)), np.arange(len(there)), weight)]
        while waiting:
            members, held, amount = waiting.pop()
            if len(members) == 1:
                rows.append(np.full(len(held), members[0]))
                columns.append(there[held])
                values.append(amount)
                continue
            axis = int(np.ptp(place[members, 1]) > np.ptp(place[members, 0]) + SAME)
            members = members[np.argsort(place[members, axis], kind="stable")]
            gaps = np.flatnonzero(np.diff(place[members, axis]) > SAME)
            below = np.cumsum(area[members])
            cut = gaps[np.argmin(np.round(np.abs(below[gaps] / below[-1] - 0.5), 9))] + 1
            order = np.argsort(at[held, axis], kind="stable")
            held, amount = held[order], amount[order]
            filled = np.cumsum(amount)
            last = min(int(np.searchsorted(filled, below[cut - 1])), len(held) - 1)
            over = max(filled[last] - below[cut - 1], 0.0)
            low, high = amount[: last + 1].copy(), amount[last:].copy()
            low[-1], high[0] = amount[last] - over, over
            waiting += [(members[:cut], held[: last + 1], low), (members[cut:], held[last:], high)]
        return csr_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(len(area), len(points.weight)),
        )


class _Places(NamedTuple):
    """Components of directions along the plane, ``(F, 2)``, the first that along ``along``.

    The second one of folded sets is that out of their plane, not negative; lines have no other.
    """

    at: Floats
    along: Floats
    folded: bool
    line: bool


def _places(directions: Directions, normal: Floats, onward: Ints) -> _Places:
    vectors = directions.vectors[onward]
    missing = np.sqrt(np.maximum(1.0 - np.sum(vectors**2, axis=1), 0.0))
    folded = bool(missing.max() > np.sqrt(SAME))
    if folded:
        # The axis that the set lacks.
        up = np.linalg.svd(directions.vectors)[2][2]
    else:
        axis = np.eye(3)[np.argmin(np.round(np.abs(normal), 9))]
        up = axis - (axis @ normal) * normal
        up /= np.linalg.norm(up)
    along = np.cross(up, normal)
    at = np.stack([vectors @ along, missing if folded else vectors @ up], axis=1)
    return _Places(at, along, folded, bool(np.abs(at[:, 0]).max() < SAME))


class _Disc:
    """Points that stand for the waves of both sides, on the larger disc; radii relative to the near one's.

    Attributes:
        square: ``(Q,)`` squares of the radii.
        at: ``(Q, 2)``.
        weight: ``(Q,)``; 1 altogether for the near side.
    """

    def __init__(self, ratio: float, directions: int, *, folded: bool, line: bool) -> None:
        finer = int(np.ceil(np.sqrt(directions)))
        small, large = sorted((1.0, ratio))
        # Gauss' rule in the cosine on the side of the smaller disc, in which transmissions are smooth.
        nodes, weights = np.polynomial.legendre.leggauss(RADIAL + 2 * finer)
        cosine = 0.5 * (nodes + 1.0)
        square = small * (1.0 - cosine**2)
        radial = small * cosine * weights
        if large > small:
            steps = RADIAL + 2 * finer
            square = np.append(square, small + (large - small) * (np.arange(steps) + 0.5) / steps)
            radial = np.append(radial, np.full(steps, (large - small) / steps))
        count = 1 if line else AROUND + 8 * finer
        angle = (np.arange(count) + 0.5) * ((np.pi if folded else 2.0 * np.pi) / count)
        self.square = np.repeat(square, count)
        self.weight = np.repeat(radial / count, count)
        radius = np.sqrt(square)
        self.at = np.stack(
            [np.outer(radius, np.cos(angle)).ravel(), np.outer(radius, np.sin(angle)).ravel()], axis=1
        )
