"""Offsets between the centroids of cells and the line through a face centroid along the face normal."""

from __future__ import annotations

import numpy as np

from fvqp.mesh.mesh import Mesh

#: Offsets below this fraction of the distance to the face are round-off of a centroid.
ORTHOGONAL = 1e-9


def projections(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each cell's centroid from the plane of the face, and its offset in that plane.

    With ``d`` the vector from the centroid of the cell to that of the face and ``n`` the normal out of the
    cell, the distance is ``d·n`` and the offset ``d − (d·n) n``.

    Returns ``(n_faces, 2)`` distances, ∞ on the missing side of an outer face, and ``(n_faces, 2, 3)``
    offsets, metres; an offset is exactly 0 where it is no more than round-off (`ORTHOGONAL`). A line may bend
    at a node: there distances are measured along it, and nothing is offset.
    """
    inside = mesh.face_cells >= 0
    d = mesh.face_centroid[:, None, :] - mesh.centroid[np.where(inside, mesh.face_cells, 0)]
    if mesh.dim == 1:
        return np.where(inside, np.linalg.norm(d, axis=2), np.inf), np.zeros_like(d)
    normal = mesh.face_normal[:, None, :] * np.array([1.0, -1.0])[None, :, None]
    along = np.einsum("fsi,fsi->fs", d, normal)
    offset = d - along[..., None] * normal
    offset[(np.linalg.norm(offset, axis=2) <= ORTHOGONAL * np.abs(along)) | ~inside] = 0.0
    return np.where(inside, along, np.inf), offset


def oblique(offset: np.ndarray) -> np.ndarray:
    """Return a mask of the faces with a cell that is not straight behind them, from the offsets of
    `projections`."""
    return np.any(offset != 0.0, axis=(1, 2))


def non_orthogonality(mesh: Mesh) -> np.ndarray:
    """Angle in degrees between normal and line of centroids, ``(n_faces,)``; 0 on the outer boundary.

    A line has no such angle: there it is 0 also at bends.
    """
    angle = np.zeros(mesh.n_faces)
    if mesh.dim == 1:
        return angle
    inner = mesh.face_cells[:, 1] >= 0
    a, b = mesh.face_cells[inner].T
    d = mesh.centroid[b] - mesh.centroid[a]
    n = mesh.face_normal[inner]
    along = np.einsum("ij,ij->i", d, n)
    across = np.linalg.norm(d - along[:, None] * n, axis=1)
    angle[inner] = np.degrees(np.arctan2(across, along))
    return angle
