"""Straight segments between points of a grid: where they meet, and their parts between the meetings.

A segment is a row ``x0, y0, x1, y1`` of whole numbers, so that every decision is exact. What was rounded to
the grid lies beside the line that it was on: an end less than `SNAP` away from a segment is on it.
"""

from __future__ import annotations

import numpy as np

from fvqp.errors import MeshError

MAX_STEPS = 10**9
"""Extent of a layout in steps of its grid up to which products of two differences fit 64 bits."""
SNAP = 1.0
"""Steps of the grid; rounding moves a point by less."""
_ROUNDS = 10


def near_pairs(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of all pairs of segments whose bounding boxes meet."""
    low = np.minimum(segments[:, :2], segments[:, 2:])
    high = np.maximum(segments[:, :2], segments[:, 2:])
    order = np.argsort(low[:, 0], kind="stable")
    # In the order of their left ends, a segment can meet those only that begin before it ends.
    end = np.searchsorted(low[order, 0], high[order, 0], side="right")
    count = end - np.arange(len(order)) - 1
    first = np.repeat(np.arange(len(order)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    second = first + 1 + np.arange(len(first)) - start
    a, b = order[first], order[second]
    meet = (low[a, 1] <= high[b, 1]) & (low[b, 1] <= high[a, 1])
    return a[meet], b[meet]


def _side(segment: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Positive where ``point`` lies to the left of the segment, zero on its line."""
    ahead, aside = segment[:, 2:] - segment[:, :2], point - segment[:, :2]
    return ahead[:, 0] * aside[:, 1] - ahead[:, 1] * aside[:, 0]


def crossings(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that cut each other inside both, and where: numbers of both, ``(n, 2)`` points of the grid."""
    a, b = near_pairs(segments)
    p, q = segments[a], segments[b]
    q0, q1 = _side(p, q[:, :2]), _side(p, q[:, 2:])
    p0, p1 = _side(q, p[:, :2]), _side(q, p[:, 2:])
    cut = (np.sign(q0) * np.sign(q1) < 0) & (np.sign(p0) * np.sign(p1) < 0)
    a, b, p, p0, p1 = a[cut], b[cut], p[cut], p0[cut], p1[cut]
    along = (p0 / (p0 - p1.astype(float)))[:, None]
    return a, b, np.rint(p[:, :2] + along * (p[:, 2:] - p[:, :2])).astype(np.int64)


def _points_on(segments: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments with a point on them, not further than `SNAP` aside, and that point."""
    a, b = near_pairs(np.concatenate([segments, np.concatenate([points, points], axis=1)]))
    one, other = np.minimum(a, b), np.maximum(a, b)
    mixed = (one < len(segments)) & (other >= len(segments))
    one, point = one[mixed], points[other[mixed] - len(segments)]
    ahead = segments[one, 2:] - segments[one, :2]
    length = np.hypot(*ahead.T.astype(float))
    along = np.einsum("ij,ij->i", point - segments[one, :2], ahead)
    on = (along > 0) & (along < length**2) & (np.abs(_side(segments[one], point)) < SNAP * length)
    return one[on], point[on]


def parts(segments: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cuts segments wherever they meet others: the parts, and the segment that each part is of.

    Two parts share an end or nothing, or are the same. Every segment is led through the ends and rounded
    crossings that lie on it (snap rounding), all at once, so that it stays within `SNAP` of where it was; a
    crossing that rounding has made is removed by another round.
    """
    owner = np.arange(len(segments))
    for _ in range(_ROUNDS):
        _, _, point = crossings(segments)
        points = np.unique(np.concatenate([segments[:, :2], segments[:, 2:], point]), axis=0)
        segments, of = _cut(segments, *_points_on(segments, points))
        owner = owner[of]
        if not len(crossings(segments)[0]):
            return segments, owner
    raise MeshError(f"{name}: the edges of its layers cannot be told apart on the grid of the file")


def _cut(segments: np.ndarray, which: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of segments between points on them, and the number of the segment of each."""
    number = np.arange(len(segments))
    at = np.concatenate([number, which, number])
    points = np.concatenate([segments[:, :2], where, segments[:, 2:]])
    along = np.einsum("ij,ij->i", points - segments[at, :2], segments[at, 2:] - segments[at, :2])
    order = np.lexsort((along, at))
    at, points = at[order], points[order]
    kept = (at[1:] == at[:-1]) & np.any(points[1:] != points[:-1], axis=1)
    return np.concatenate([points[:-1][kept], points[1:][kept]], axis=1), at[:-1][kept]
