"""Parts of a mesh that lie at or in one another without sharing faces: nothing would flow between them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fvqp.mesh import geometry
from fvqp.mesh.geometry import where

#: Distance to a face, over its extent, at which a point lies on it: what files of single precision round to.
ON_FACE = 1e-6

#: Pairs of faces and points that are looked at together.
PAIRS = 2_000_000

#: Neighbours in other parts whose inside is looked at.
NEIGHBOURS = 4


def seam(dim: int, points: np.ndarray, cell_type: np.ndarray, corners: np.ndarray) -> str | None:
    """Return the error where cells touch, or lie in one another, without sharing a face; None if there is
    none.

    Args:
        dim: of the cells, 2 or 3.
        points: ``(n_points, 3)``.
        cell_type: VTK numbers of the cells; ``corners``: ``(n_cells, 8)`` points or −1.
    """
    half = geometry.half_faces(cell_type, corners)
    number, count = _faces(half.corners)
    outer = np.flatnonzero(count[number] == 1)
    faces, cells = half.corners[outer], half.cell[outer]
    part = _parts(half.cell, number, count, len(corners))
    return (
        _hanging(points, faces, cells)
        or _touching(points, faces, cells, part)
        or _overlapping(dim, points, corners, half, part)
    )


def _faces(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A number for every half face, equal for equal sets of corners, and how often each occurs."""
    # Sums of random numbers of 64 bits: sorting one column takes a tenth of sorting rows.
    label = np.random.default_rng(0).integers(2**64, size=corners.max(initial=0) + 2, dtype=np.uint64)
    label[-1] = 0
    key = np.zeros(len(corners), dtype=np.uint64)
    for column in corners.T:
        key += label[column]
    order = np.argsort(key)
    number = np.empty(len(key), dtype=np.int32)
    number[order] = np.cumsum(geometry.starts([key], order)) - 1
    return number, np.bincount(number)


def _parts(cell: np.ndarray, number: np.ndarray, count: np.ndarray, n_cells: int) -> np.ndarray:
    """Number of the part of every cell: what faces hold together."""
    inner = np.flatnonzero(count[number] > 1)
    order = inner[np.argsort(number[inner], kind="stable")]
    joined = number[order][1:] == number[order][:-1]
    a, b = cell[order[:-1]][joined], cell[order[1:]][joined]
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(n_cells, n_cells))
    return np.asarray(connected_components(graph, directed=False)[1])


def _hanging(points: np.ndarray, faces: np.ndarray, cells: np.ndarray) -> str | None:
    """A corner of outer faces that lies on an outer face of which it is no corner."""
    corner = np.unique(faces[faces >= 0])
    middle = geometry.cell_means(points, faces)
    away = np.where(faces >= 0, np.linalg.norm(points[faces] - middle[:, None], axis=2), 0.0)
    reach = (1.0 - ON_FACE) * away.max(axis=1, initial=0.0)
    tree = cKDTree(points[corner])
    found = tree.query_ball_point(middle, reach, return_length=True)
    # Most faces have but their own corners about them.
    suspect = np.flatnonzero(found > np.count_nonzero((faces >= 0) & (away <= reach[:, None]), axis=1))
    for few in _chunks(suspect, found):
        near = tree.query_ball_point(middle[few], reach[few], return_sorted=False)
        face = np.repeat(few, found[few])
        point = corner[np.concatenate([np.asarray(n, dtype=np.int64) for n in near])]
        strange = np.all(faces[face] != point[:, None], axis=1)
        face, point = face[strange], point[strange]
        on = _lies_on(points, faces[face], points[point], ON_FACE * reach[face])
        if np.any(on):
            f, p = face[on][0], point[on][0]
            return (
                f"point {p} at {where(points[p])} lies on a face of cell {cells[f]} and is no corner of it "
                f"({len(np.unique(point[on]))} such points): cells on both sides of a face must share all of "
                "its corners; mesh the parts together, as by gmsh's fragments"
            )
    return None


def _chunks(rows: np.ndarray, weight: np.ndarray) -> Iterator[np.ndarray]:
    """``rows`` in pieces of at most `PAIRS` of their weights together, or of one row."""
    piece = np.cumsum(weight[rows]) // PAIRS
    yield from np.split(rows, np.flatnonzero(np.diff(piece)) + 1) if len(rows) else ()


def _lies_on(points: np.ndarray, faces: np.ndarray, x: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Return whether points lie on faces: edges, triangles, or quadrilaterals cut in triangles."""
    a, b = points[faces[:, 0]], points[faces[:, 1]]
    if not len(faces) or faces[0, 2] < 0:
        along = b - a
        share = np.einsum("ij,ij->i", x - a, along) / np.maximum(np.einsum("ij,ij->i", along, along), 1e-300)
        nearest = a + np.clip(share, 0.0, 1.0)[:, None] * along
        near = np.linalg.norm(x - nearest, axis=1) <= tolerance
        return np.asarray(near & (share > 0.0) & (share < 1.0))
    on = _in_triangle(a, b, points[faces[:, 2]], x, tolerance)
    quad = faces[:, 3] >= 0
    c, d = points[faces[quad, 2]], points[faces[quad, 3]]
    on[quad] |= _in_triangle(a[quad], c, d, x[quad], tolerance[quad])
    return on


def _in_triangle(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, x: np.ndarray, tolerance: np.ndarray
) -> np.ndarray:
    normal = np.cross(b - a, c - a)
    area = np.maximum(np.linalg.norm(normal, axis=1), 1e-300)
    unit = normal / area[:, None]
    on = np.abs(np.einsum("ij,ij->i", x - a, unit)) <= tolerance
    for p, q in ((a, b), (b, c), (c, a)):
        edge = q - p
        height = np.einsum("ij,ij->i", np.cross(edge, x - p), unit)
        on &= height >= -tolerance * np.linalg.norm(edge, axis=1)
    return np.asarray(on)


def _touching(points: np.ndarray, faces: np.ndarray, cells: np.ndarray, part: np.ndarray) -> str | None:
    """Parts that have a corner, or two at one place, in common."""
    if not part.any():
        return None
    face, column = np.nonzero(faces >= 0)
    pairs = np.unique(np.stack([faces[face, column], part[cells[face]]], axis=1), axis=0)
    twice = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if len(twice):
        p = pairs[twice[0], 0]
        return (
            f"{part.max() + 1} parts share no faces, but touch at {len(np.unique(pairs[twice, 0]))} points, "
            f"such as point {p} at {where(points[p])}, where nothing would flow; join them by faces, or "
            "move them apart"
        )
    extent = float(np.ptp(points[pairs[:, 0]], axis=0).max())
    close = cKDTree(points[pairs[:, 0]]).query_pairs(1e-9 * extent, output_type="ndarray")
    apart = close[pairs[close[:, 0], 1] != pairs[close[:, 1], 1]]
    if len(apart):
        p, q = pairs[apart[0], 0]
        return (
            f"{part.max() + 1} parts share no faces, but points {p} and {q} lie at one place, "
            f"{where(points[p])} ({len(apart)} such pairs): merge the points of the two parts, as by gmsh's "
            '"Coherence Mesh", or move them apart'
        )
    return None


def _overlapping(
    dim: int, points: np.ndarray, corners: np.ndarray, half: geometry.HalfFaces, part: np.ndarray
) -> str | None:
    """A cell whose middle lies inside a cell of another part."""
    middle = geometry.cell_means(points, corners)
    for number in range(1, int(part.max(initial=0)) + 1):
        mine, others = np.flatnonzero(part == number), np.flatnonzero(part < number)
        small, large = (mine, others) if len(mine) < len(others) else (others, mine)
        _, near = cKDTree(middle[large]).query(middle[small], k=min(NEIGHBOURS, len(large)))
        near = large[np.atleast_2d(near.reshape(len(small), -1))]
        outside = _outside(dim, points, middle, half, near.ravel(), np.repeat(small, near.shape[1]))
        if not np.all(outside):
            at = int(np.flatnonzero(~outside)[0])
            cell, other = np.repeat(small, near.shape[1])[at], near.ravel()[at]
            return f"cells {cell} and {other} at {where(middle[cell])} overlap without sharing a face"
    return None


def _outside(
    dim: int,
    points: np.ndarray,
    middle: np.ndarray,
    half: geometry.HalfFaces,
    cell: np.ndarray,
    guest: np.ndarray,
) -> np.ndarray:
    """Return whether the middle of ``guest`` lies outside the convex ``cell``, pair by pair."""
    order = np.argsort(half.cell, kind="stable")
    first = np.searchsorted(half.cell[order], cell)
    count = np.searchsorted(half.cell[order], cell, side="right") - first
    pair = np.repeat(np.arange(len(cell)), count)
    start = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    face = half.corners[order[start + np.arange(len(pair))]]
    centre = geometry.cell_means(points, face)
    a, b = points[face[:, 0]], points[face[:, 1]]
    away = centre - middle[cell[pair]]
    if dim == 2:
        along = b - a
        share = np.einsum("ij,ij->i", away, along) / np.einsum("ij,ij->i", along, along)
        normal = away - share[:, None] * along
    else:
        normal = np.cross(b - a, points[face[:, 2]] - a)
        normal *= np.sign(np.einsum("ij,ij->i", normal, away))[:, None]
    beyond = np.einsum("ij,ij->i", middle[guest[pair]] - centre, normal) >= 0.0
    out = np.zeros(len(cell), bool)
    np.logical_or.at(out, pair, beyond)
    return out
