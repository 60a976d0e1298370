"""Faces, areas, normals, volumes and centroids of a (part of a) mesh, from corners alone; vectorised.

A polygon in space is divided into triangles about the mean of its corners, and a volume into tetrahedra
between its own mean corner and those triangles. Both neighbours of a warped quadrilateral see the same
triangles, so cells leave no gaps and the face area vectors of a closed cell add to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.mesh.cells import BY_VTK, MAX_FACE_CORNERS

#: A cell smaller than this fraction of (its longest extent)^dim has no volume.
RELATIVE_ZERO_VOLUME = 1e-13


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
    owners, rows = [], []
    for vtk in np.unique(cell_type):
        table = BY_VTK[int(vtk)].face_table
        cells = np.flatnonzero(cell_type == vtk)
        face = np.where(table >= 0, corners[cells][:, table], -1)
        rows.append(face.reshape(-1, MAX_FACE_CORNERS))
        owners.append(np.repeat(cells, len(table)))
    if not rows:
        return HalfFaces(np.zeros(0, dtype=np.int64), np.zeros((0, MAX_FACE_CORNERS), dtype=np.int64))
    return HalfFaces(np.concatenate(owners), np.concatenate(rows))


def face_keys(corners: np.ndarray) -> np.ndarray:
    """Corners sorted downwards: the same for a face whichever side and corner it is listed from."""
    return -np.sort(-corners, axis=1)


def match_faces(half: HalfFaces, global_id: np.ndarray) -> tuple[Faces, np.ndarray]:
    """Pairs half faces with equal corners; cell 0 is the one with the lower ``global_id``.

    Returns the faces, ordered by their cells' global numbers, and the corner keys of faces that more than two
    cells claim (empty in a manifold mesh).
    """
    keys = face_keys(half.corners)
    gid = global_id[half.cell]
    order = np.lexsort((gid, *keys.T[::-1]))
    sorted_keys = keys[order]
    n = len(order)
    first = np.ones(n, dtype=bool)
    first[1:] = np.any(sorted_keys[1:] != sorted_keys[:-1], axis=1)
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, n))
    crowded = sorted_keys[start[count > 2]]
    cells = np.full((len(start), 2), -1, dtype=np.int32)
    cells[:, 0] = half.cell[order[start]]
    paired = count >= 2
    cells[paired, 1] = half.cell[order[start[paired] + 1]]
    corners = half.corners[order[start]]
    face_key = sorted_keys[start]
    neighbour = np.where(cells[:, 1] >= 0, global_id[cells[:, 1]], -1) if len(start) else np.zeros(0)
    rank = np.lexsort((*face_key.T[::-1], neighbour, global_id[cells[:, 0]]))
    return Faces(cells[rank], corners[rank], face_key[rank]), crowded


def cell_means(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Mean corner of each cell (or face), ``(n, 3)``; the corners may be filled up with −1."""
    used = corners >= 0
    total = np.where(used[:, :, None], points[corners], 0.0).sum(axis=1)
    return total / np.maximum(used.sum(axis=1), 1)[:, None]


def _polygon(
    points: np.ndarray, corners: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Triangles about the mean corner: area vectors ``(n, 4, 3)`` (0 if unused), centroids, mean, use."""
    used = corners >= 0
    count = used.sum(axis=1)
    mean = cell_means(points, corners)
    position = np.arange(MAX_FACE_CORNERS)
    following = np.where(position[None, :] + 1 < count[:, None], position[None, :] + 1, 0)
    p = points[np.where(used, corners, 0)]
    q = np.take_along_axis(p, following[:, :, None], axis=1)
    area = 0.5 * np.cross(p - mean[:, None], q - mean[:, None]) * used[:, :, None]
    centroid = (mean[:, None] + p + q) / 3.0
    return area, centroid, mean, used


def _sum_by_cell(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    if values.ndim == 1:
        return np.bincount(cell, weights=values, minlength=n_cells)
    return np.stack([np.bincount(cell, weights=v, minlength=n_cells) for v in values.T], axis=1)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = _lengths(vectors)
    return vectors / np.where(length > 0, length, 1.0)[:, None]


def measure(
    dim: int, points: np.ndarray, corners: np.ndarray, half: HalfFaces, faces: Faces
) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Geometry of cells and faces.

    Parameters: ``points (n, 3)``, ``corners (n_cells, 8)`` vertex numbers or −1, and the faces made from
    them. Returns the geometry and two boolean arrays over cells: cells without volume, and cells that are
    inverted (numbered left-handed, or folded so that their centre lies behind one of their sides).
    """
    n_cells = len(corners)
    mean = cell_means(points, corners)
    extent = np.zeros(n_cells)
    used = corners >= 0
    for k in range(corners.shape[1]):
        offset = np.where(used[:, k, None], points[corners[:, k]] - mean, 0.0)
        np.maximum(extent, 2.0 * _lengths(offset), out=extent)
    if dim == 1:
        geometry, inverted = _measure_lines(points, corners, faces)
    elif dim == 2:
        geometry, inverted = _measure_surface(points, mean, half, faces, n_cells)
    else:
        geometry, inverted = _measure_volume(points, mean, half, faces, n_cells)
    empty = np.abs(geometry.volume) <= RELATIVE_ZERO_VOLUME * extent**dim
    return geometry, empty, inverted & ~empty


def _measure_lines(points: np.ndarray, corners: np.ndarray, faces: Faces) -> tuple[Geometry, np.ndarray]:
    start, end = points[corners[:, 0]], points[corners[:, 1]]
    along = _unit(end - start)
    vertex = faces.corners[:, 0]

    def outward(cell: np.ndarray) -> np.ndarray:
        return np.where((corners[cell, 1] == vertex)[:, None], along[cell], -along[cell])

    # At a bend the normal halves the angle between the two cells.
    inner = faces.cells[:, 1] >= 0
    normal = outward(faces.cells[:, 0]) - np.where(inner[:, None], outward(faces.cells[:, 1]), 0.0)
    geometry = Geometry(
        volume=_lengths(end - start),
        centroid=0.5 * (start + end),
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


def _measure_volume(
    points: np.ndarray, mean: np.ndarray, half: HalfFaces, faces: Faces, n_cells: int
) -> tuple[Geometry, np.ndarray]:
    area, centre, face_mean, _ = _polygon(points, half.corners)
    c = mean[half.cell]
    part = np.einsum("ij,ikj->ik", face_mean - c, area) / 3.0
    sector = part.sum(axis=1)
    volume = _sum_by_cell(sector, half.cell, n_cells)
    moment = _sum_by_cell(0.75 * np.einsum("ik,ikj->ij", part, centre - c[:, None]), half.cell, n_cells)
    behind = sector < -1e-12 * np.abs(volume)[half.cell]
    inverted = (volume < 0) | (_sum_by_cell(behind.astype(float), half.cell, n_cells) > 0)
    area, centre, face_mean, _ = _polygon(points, faces.corners)
    vector = area.sum(axis=1)
    weight = _lengths(area)
    total = weight.sum(axis=1)
    offset = (
        np.einsum("ik,ikj->ij", weight, centre - face_mean[:, None])
        / np.where(total > 0, total, 1.0)[:, None]
    )
    geometry = Geometry(
        volume=volume,
        centroid=mean + moment / np.where(volume != 0, volume, 1.0)[:, None],
        face_area=_lengths(vector),
        face_normal=_unit(vector),
        face_centroid=face_mean + offset,
    )
    return geometry, inverted
