"""Faces, areas, normals, volumes and centroids of a (part of a) mesh, from corners alone; vectorised.

A polygon in space is divided into triangles about the mean of its corners, and a volume into tetrahedra
between its own mean corner and those triangles. Both neighbours of a warped quadrilateral see the same
triangles, so cells leave no gaps and the face area vectors of a closed cell add to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fvqp.mesh.cells import BY_VTK, MAX_FACE_CORNERS

#: A cell smaller than this fraction of (its longest extent)^dim has no volume.
RELATIVE_ZERO_VOLUME = 1e-13
#: Rows that are measured at a time: what is made of them, up to 30 numbers a row and side, fits into caches.
BLOCK = 2048


@dataclass
class Faces:
    """Faces of a mesh part: the two cells, and the corners as seen from cell 0 (outward), −1 where unused."""

    cells: np.ndarray
    corners: np.ndarray
    keys: np.ndarray


@dataclass
class Geometry:
    """Measures of cells and faces, in the units of the points."""

    volume: np.ndarray
    centroid: np.ndarray
    face_area: np.ndarray
    face_normal: np.ndarray
    face_centroid: np.ndarray


@dataclass
class HalfFaces:
    """Every face of every cell, seen from that cell: interior faces appear twice."""

    cell: np.ndarray
    corners: np.ndarray


def half_faces(cell_type: np.ndarray, corners: np.ndarray) -> HalfFaces:
    """All faces of all cells; ``cell_type`` VTK numbers, ``corners (n_cells, 8)`` vertex numbers or −1."""
    kinds = [(np.flatnonzero(cell_type == vtk), BY_VTK[int(vtk)].face_table) for vtk in np.unique(cell_type)]
    count = sum(len(cells) * len(table) for cells, table in kinds)
    half = HalfFaces(np.empty(count, dtype=np.int32), np.empty((count, MAX_FACE_CORNERS), dtype=np.int32))
    first = 0
    for cells, table in kinds:
        here = slice(first, first + len(cells) * len(table))
        half.cell[here] = np.repeat(cells, len(table))
        # Corner by corner, since all at once would take the memory of the result again.
        for (face, corner), vertex in np.ndenumerate(table):
            half.corners[here][face :: len(table), corner] = corners[cells, vertex] if vertex >= 0 else -1
        first = here.stop
    return half


def face_keys(corners: np.ndarray) -> np.ndarray:
    """Corners sorted downwards: the same for a face whichever side and corner it is listed from."""
    keys = -corners
    keys.sort(axis=1)
    return np.negative(keys, out=keys)


def number_rows(rows: np.ndarray) -> np.ndarray:
    """A number for each row, equal for equal rows: 0, 1, … in lexicographic order, ``(n,)``."""
    number = np.zeros(len(rows), dtype=np.int32)
    order = np.lexsort(rows.T[::-1])
    number[order] = np.cumsum(starts(rows.T, order)) - 1
    return number


def starts(columns: Iterable[np.ndarray], order: np.ndarray) -> np.ndarray:
    """True where a row differs from the one before it in ``order``, and for the first one, ``(n,)``."""
    different = np.zeros(len(order), dtype=bool)
    different[:1] = True
    for column in columns:
        ordered = column[order]
        different[1:] |= ordered[1:] != ordered[:-1]
    return different


def match_faces(half: HalfFaces, global_id: np.ndarray) -> tuple[Faces, np.ndarray]:
    """Pairs half faces with equal corners; cell 0 is the one with the lower ``global_id``.

    Returns the faces, ordered by their cells' global numbers, and the corner keys of faces that more than two
    cells claim (empty in a manifold mesh).
    """
    keys = face_keys(half.corners)
    order = np.lexsort((global_id[half.cell], *keys.T[::-1]))
    start = np.flatnonzero(starts(keys.T, order))
    count = np.diff(start, append=len(order))
    first, second = order[start], order[start + (count > 1)]
    cell, neighbour = half.cell[first], np.where(count > 1, half.cell[second], -1)
    rank = np.lexsort((np.where(count > 1, global_id[neighbour], -1), global_id[cell]))
    cells = np.stack([cell, neighbour], axis=1).astype(np.int32)
    return Faces(cells[rank], half.corners[first[rank]], keys[first[rank]]), keys[first[count > 2]]


def cell_means(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Mean corner of each cell (or face), ``(n, 3)``; the corners may be filled up with −1."""
    count = np.maximum(np.count_nonzero(corners >= 0, axis=1), 1)
    # Row −1, which unused corners point to, adds nothing.
    extended = np.concatenate([points, np.zeros((1, 3))])
    total = np.zeros((len(corners), 3))
    for column in corners.T:
        total += extended[column]
    return total / count[:, None]


def where(point: np.ndarray) -> str:
    """Return a point as messages show it, in metres."""
    return "(" + ", ".join(f"{x:.6g}" for x in point) + ") m"


@dataclass
class Triangles:
    """Triangles that make up polygons: area vectors, centroids, and the polygon that each belongs to."""

    area: np.ndarray
    centroid: np.ndarray
    polygon: np.ndarray


def _triangles(points: np.ndarray, corners: np.ndarray) -> Triangles:
    """Triangles as they are, quadrilaterals as four triangles about the mean corner."""
    is_quad = corners[:, 3] >= 0
    three, four = np.flatnonzero(~is_quad), np.flatnonzero(is_quad)
    mean = cell_means(points, corners[four])
    a, b, c = (points[corners[three, k]] for k in range(3))
    sides = [points[corners[four, k]] for k in range(4)]
    fans = [(a, b, c), *((sides[k], sides[(k + 1) % 4], mean) for k in range(4))]
    area = np.concatenate([0.5 * _cross(q - p, r - p) for p, q, r in fans])
    centroid = np.concatenate([(p + q + r) / 3.0 for p, q, r in fans])
    return Triangles(area, centroid, np.concatenate([three, four, four, four, four]))


def _sum_by_cell(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    if values.ndim == 1:
        return np.bincount(cell, weights=values, minlength=n_cells)
    return np.stack([np.bincount(cell, weights=v, minlength=n_cells) for v in values.T], axis=1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of rows, as `np.cross` with fewer copies."""
    out = np.empty_like(a)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        out[:, k] = a[:, i] * b[:, j] - a[:, j] * b[:, i]
    return out


def _blocks(count: int) -> Iterator[slice]:
    """Parts of so many rows that what is computed of them stays small."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = _lengths(vectors)
    return vectors / np.where(length > 0, length, 1.0)[:, None]


def measure(
    dim: int, points: np.ndarray, cell_type: np.ndarray, corners: np.ndarray, half: HalfFaces, faces: Faces
) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Geometry of cells and faces.

    Parameters: ``points (n, 3)``, ``cell_type (n_cells,)`` VTK numbers, ``corners (n_cells, 8)`` vertex
    numbers or −1, and the faces made from them. Returns the geometry and two boolean arrays over cells: cells
    without volume, and cells that are inverted (numbered left-handed, or folded so that their centre lies
    behind one of their sides).
    """
    n_cells = len(corners)
    mean = cell_means(points, corners)
    extent = np.zeros(n_cells)
    for block in _blocks(n_cells):
        own = corners[block]
        offset = np.where(own[:, :, None] >= 0, points[own] - mean[block, None], 0.0)
        extent[block] = 2.0 * _lengths(offset).max(axis=1)
    if dim == 1:
        geometry, inverted = _measure_lines(points, corners, faces)
    elif dim == 2:
        geometry, inverted = _measure_surface(points, mean, half, faces, n_cells)
    else:
        geometry, inverted = _measure_volume(points, mean, cell_type, corners, faces)
    empty = np.abs(geometry.volume) <= RELATIVE_ZERO_VOLUME * extent**dim
    return geometry, empty, inverted & ~empty


def segments(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``(n, 2)`` of the pieces that cells of lines consist of, and the cell of each piece.

    A line is one piece; a node has one to each of its ends, from where they meet.
    """
    cell, end = np.nonzero(corners[:, 1:] >= 0)
    return np.stack([corners[cell, 0], corners[cell, end + 1]], axis=1), cell


def _measure_lines(points: np.ndarray, corners: np.ndarray, faces: Faces) -> tuple[Geometry, np.ndarray]:
    pieces, owner = segments(corners)
    length = np.bincount(owner, _lengths(points[pieces[:, 1]] - points[pieces[:, 0]]), len(corners))
    node = corners[:, 2] >= 0
    vertex = faces.corners[:, 0]

    def outward(cell: np.ndarray) -> np.ndarray:
        inner_end = np.where(corners[cell, 0] == vertex, corners[cell, 1], corners[cell, 0])
        return _unit(points[vertex] - points[inner_end])

    # At a bend the normal halves the angle between the two cells.
    inner = faces.cells[:, 1] >= 0
    normal = outward(faces.cells[:, 0]) - np.where(inner[:, None], outward(faces.cells[:, 1]), 0.0)
    # What a node knows of a field is its value where the lines meet: there distances to its ends start.
    middle = points[corners[:, 0]]
    middle[~node] = 0.5 * (middle + points[corners[:, 1]])[~node]
    geometry = Geometry(
        volume=length,
        centroid=middle,
        face_area=np.ones(len(vertex)),
        face_normal=_unit(normal),
        face_centroid=points[vertex],
    )
    return geometry, np.zeros(len(corners), dtype=bool)


def _measure_surface(
    points: np.ndarray, mean: np.ndarray, half: HalfFaces, faces: Faces, n_cells: int
) -> tuple[Geometry, np.ndarray]:
    p, q = points[half.corners[:, 0]], points[half.corners[:, 1]]
    c = mean[half.cell]
    part = 0.5 * np.cross(p - c, q - c)
    area = _sum_by_cell(part, half.cell, n_cells)
    volume = _lengths(area)
    up = _unit(area)
    signed = np.einsum("ij,ij->i", part, up[half.cell])
    moment = _sum_by_cell(signed[:, None] * (p + q - 2.0 * c) / 3.0, half.cell, n_cells)
    inverted = _sum_by_cell((signed < -1e-12 * volume[half.cell]).astype(float), half.cell, n_cells) > 0
    start, end = points[faces.corners[:, 0]], points[faces.corners[:, 1]]
    geometry = Geometry(
        volume=volume,
        centroid=mean + moment / np.where(volume > 0, volume, 1.0)[:, None],
        face_area=_lengths(end - start),
        face_normal=_unit(np.cross(end - start, up[faces.cells[:, 0]])),
        face_centroid=0.5 * (start + end),
    )
    return geometry, inverted


def _tetrahedra(
    points: np.ndarray, mean: np.ndarray, half: HalfFaces
) -> tuple[Triangles, np.ndarray, np.ndarray, np.ndarray]:
    """A cell is made of tetrahedra from its mean corner to the triangles of its faces.

    These triangles, the cell of each, the arms to their centroids and the signed volumes.
    """
    sides = _triangles(points, half.corners)
    cell = half.cell[sides.polygon]
    arm = sides.centroid - mean[cell]
    return sides, cell, arm, np.einsum("ij,ij->i", arm, sides.area) / 3.0


def signed_volumes(points: np.ndarray, cell_type: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Volumes of solid cells, negative where the corners are numbered the wrong way round."""
    mean = cell_means(points, corners)
    _, cell, _, part = _tetrahedra(points, mean, half_faces(cell_type, corners))
    return _sum_by_cell(part, cell, len(corners))


def _measure_volume(
    points: np.ndarray, mean: np.ndarray, cell_type: np.ndarray, corners: np.ndarray, faces: Faces
) -> tuple[Geometry, np.ndarray]:
    n_cells, n_faces = len(corners), len(faces.corners)
    volume, centroid = np.empty(n_cells), np.empty((n_cells, 3))
    inverted = np.empty(n_cells, dtype=bool)
    for block in _blocks(n_cells):
        half = half_faces(cell_type[block], corners[block])
        sides, cell, arm, part = _tetrahedra(points, mean[block], half)
        count = block.stop - block.start
        here = _sum_by_cell(part, cell, count)
        moment = _sum_by_cell(0.75 * part[:, None] * arm, cell, count)
        sector = np.bincount(sides.polygon, weights=part, minlength=len(half.cell))
        behind = sector < -1e-12 * np.abs(here)[half.cell]
        inverted[block] = (here < 0) | (np.bincount(half.cell[behind], minlength=count) > 0)
        volume[block] = here
        centroid[block] = mean[block] + moment / np.where(here != 0, here, 1.0)[:, None]
    area, normal, middle = np.empty(n_faces), np.empty((n_faces, 3)), np.empty((n_faces, 3))
    for block in _blocks(n_faces):
        own = faces.corners[block]
        surface = _triangles(points, own)
        vector = _sum_by_cell(surface.area, surface.polygon, len(own))
        weight = _lengths(surface.area)
        total = np.bincount(surface.polygon, weights=weight, minlength=len(own))
        about = cell_means(points, own)
        offset = weight[:, None] * (surface.centroid - about[surface.polygon])
        offset = _sum_by_cell(offset, surface.polygon, len(own)) / np.where(total > 0, total, 1.0)[:, None]
        area[block], normal[block], middle[block] = _lengths(vector), _unit(vector), about + offset
    return Geometry(volume, centroid, area, normal, middle), inverted
