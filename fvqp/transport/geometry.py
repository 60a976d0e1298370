"""Geometry of face fluxes: half conductances, projection offsets and gradient weights.

The normal flux through a face is written with the two values found straight below and above the face
centroid: with ``d`` the vector from a cell's centroid to the face's and ``n`` the face normal, the projected
point of the cell lies at ``x_cell + t``, ``t = d − (d·n) n``, and its value is ``f + t·∇f``. Two projected
points sit on one normal, so the two-point flux between them is exact for linear fields on either side of a
jump of the conductivity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.mesh import Mesh
from fvqp.mesh.distribute import raise_together
from fvqp.mesh.quality import oblique, projections
from fvqp.typing import Floats, Ints32

#: Neighbours whose weights are made together.
SHARE = 100_000


@dataclass(frozen=True)
class Gradient:
    """Least-squares gradient of the owned cells, ``∇f_P = Σ_k w_k (f_k − f_P)``, exact for linear fields.

    Only cells of the same medium, and faces whose value is prescribed, enter: the gradient may jump where the
    medium does.

    Attributes:
        indptr: ``(n_owned + 1,)`` rows of the two arrays below.
        indices: neighbour cells; an entry ``k < 0`` stands for the prescribed face ``−k − 1``, or in bodies
            of revolution for cell ``−k − 1`` beyond the axis.
        weights: ``(n, 3)``, 1/m; to stream, as many components as the body has axes.
        deficient: owned cells with too few neighbours of their own medium for a full gradient.
    """

    indptr: Ints32
    indices: Ints32
    weights: Floats
    deficient: int


@dataclass(frozen=True)
class FaceGeometry:
    """Geometry of all local faces, independent of energy.

    Attributes:
        half: ``(n_faces, 2)`` normal-state conductance between a cell's projected point and the face,
            siemens; 0 on the missing side of an outer face.
        offset: ``(n_faces, 2, 3)`` vector from cell centroid to projected point, metres; exactly 0 where the
            mesh is orthogonal.
        weight: ``(n_faces,)`` share of cell 0 in the face value interpolated between the projected points.
        non_orthogonal: number of interior faces that this rank owns where the correction acts; there the
            scheme is second-order but not provably monotone.
        gradient: weights, or None if no local face needs them.
    """

    half: Floats
    offset: Floats
    weight: Floats
    non_orthogonal: int
    gradient: Gradient | None


def behind_faces(mesh: Mesh) -> tuple[Floats, Floats]:
    """Distances and offsets of `fvqp.mesh.quality.projections`. Collective.

    Raises:
        MeshError: a cell centroid does not lie behind its face (a concave or badly distorted cell).
    """
    distance, offset = projections(mesh)
    wrong = distance <= 0.0
    problem = None
    if np.any(wrong):
        face = int(np.argmax(wrong.any(axis=1)))
        cell = mesh.global_id[mesh.face_cells[face, int(np.argmax(wrong[face]))]]
        problem = (
            f"{mesh.name}: the centroid of cell {cell} does not lie behind its face at "
            f"{np.array2string(mesh.face_centroid[face], precision=4)} m; remesh without concave cells"
        )
    raise_together(mesh.comm, problem)
    return distance, offset


def face_geometry(mesh: Mesh, conductivity: Floats, medium: Ints32, prescribed: Ints32) -> FaceGeometry:
    """Half conductances, offsets and gradients of every local face. Collective.

    Args:
        mesh: the rank's part of the mesh.
        conductivity: ``(n_cells,)`` normal-state conductivity times the transverse measure (cross-section
            of a line in m², thickness of a film in m, 1 in a solid), so that ``conductivity × area /
            distance`` is in siemens.
        medium: ``(n_cells,)`` number of the medium; coefficients are smooth within one and may jump
            between two.
        prescribed: faces whose value is given (reservoirs); they add to the gradient's stencil.

    Raises:
        MeshError: see `behind_faces`.
    """
    cells = mesh.face_cells
    inside = cells >= 0
    owner = np.where(inside, cells, 0)
    normal_distance, offset = behind_faces(mesh)
    half = conductivity[owner] * mesh.face_area[:, None] / normal_distance
    inner = inside[:, 1]
    weight = np.ones(len(cells))
    weight[inner] = normal_distance[inner, 1] / normal_distance[inner].sum(axis=1)
    skewed = oblique(offset)
    needed = mesh.comm.allreduce(int(skewed.sum())) > 0
    return FaceGeometry(
        half=np.ascontiguousarray(half),
        offset=np.ascontiguousarray(offset),
        weight=weight,
        non_orthogonal=int((skewed & inner & mesh.face_owned).sum()),
        gradient=least_squares(mesh, medium, prescribed) if needed else None,
    )


def least_squares(mesh: Mesh, medium: Ints32, prescribed: Ints32, mirrored: Ints32 | None = None) -> Gradient:
    """Inverse-distance-weighted least squares over vertex neighbours of the same medium.

    Args:
        mesh, medium, prescribed: see `face_geometry`; only prescribed faces of owned cells enter.
        mirrored: owned cells that have themselves beyond the axis x = 0 as a neighbour, cell ``k`` as the
            entry ``−k − 1``; not along with prescribed faces.
    """
    n = mesh.n_owned
    indptr, neighbours = mesh.vertex_neighbours()
    rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(indptr[: n + 1]))
    cols = neighbours[: len(rows)].astype(np.int32)
    same = medium[rows] == medium[cols]
    rows, cols = rows[same], cols[same]
    if mirrored is not None:
        ends, beyond = mirrored, -mirrored - 1
    else:
        ends = mesh.face_cells[prescribed, 0].astype(np.int32)
        ends, beyond = ends[ends < n], (-prescribed[ends < n] - 1).astype(np.int32)
    rows, cols = np.concatenate([rows, ends]), np.concatenate([cols, beyond])
    order = np.argsort(rows, kind="stable")
    rows, cols = rows[order], cols[order]
    del order, same

    # What has a number for every neighbour is by far the largest here: as few of them as possible.
    vectors = mesh.centroid[np.maximum(cols, 0)]
    other = np.flatnonzero(cols < 0)
    ends = -cols[other] - 1
    images = mesh.face_centroid[ends] if mirrored is None else mesh.centroid[ends] * (-1.0, 1.0, 1.0)
    vectors[other] = images
    for i in range(3):
        vectors[:, i] -= mesh.centroid[rows, i]
    squares = np.einsum("ki,ki->k", vectors, vectors)
    moments = np.empty((n, 3, 3))
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        products = vectors[:, i] * vectors[:, j] / squares
        moments[:, i, j] = moments[:, j, i] = np.bincount(rows, products, minlength=n)
    eigenvalues, axes = np.linalg.eigh(moments)
    kept = eigenvalues > 1e-10 * eigenvalues[:, -1:]
    inverse = np.where(kept, 1.0 / np.where(kept, eigenvalues, 1.0), 0.0)
    pseudo = np.einsum("nik,nk,njk->nij", axes, inverse, axes)
    weights = vectors
    for first in range(0, len(rows), SHARE):
        some = slice(first, first + SHARE)
        weights[some] = np.einsum("kij,kj->ki", pseudo[rows[some]], vectors[some]) / squares[some, None]
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int32)
    return Gradient(starts, cols, weights, int((kept.sum(axis=1) < mesh.dim).sum()))


def cell_pattern(
    n: int, faces: Ints32, columns: Ints32 | None = None
) -> tuple[Ints32, Ints32, Ints32, Ints32]:
    """CSR pattern of a cell and its face neighbours, for the first ``n`` cells of ``faces[n_faces, 2]``.

    Args:
        columns: ``(n_cells,)`` column of every cell, its number by default; owned ones keep theirs. Images of
            cells have those of the cells.

    Returns:
        ``indptr``, ``indices``, the places of diagonals, and ``(n_faces, 4)`` places of the entries (0,0),
        (0,1), (1,1), (1,0) of the two cells of a face, −1 where absent.
    """
    inner = np.flatnonzero(faces[:, 1] >= 0)
    c0, c1 = faces[inner].T.astype(np.int64)
    rows = np.concatenate([np.arange(n), c0, c1])
    beyond = (c1, c0) if columns is None else (columns[c1], columns[c0])
    cols = np.concatenate([np.arange(n), *beyond])
    order = np.lexsort((cols, rows))
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    kept = rows < n
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=n))]).astype(np.int32)
    # Ghost rows sort behind all owned ones, so the places of owned rows are already those of the kept
    # pattern.
    diagonal = place[:n].astype(np.int32)
    entries = np.full((len(faces), 4), -1, np.int32)
    own0, own1 = faces[:, 0] < n, (faces[:, 1] >= 0) & (faces[:, 1] < n)
    entries[own0, 0] = diagonal[faces[own0, 0]]
    entries[own1, 2] = diagonal[faces[own1, 1]]
    m = len(inner)
    entries[inner, 1] = np.where(c0 < n, place[n : n + m], -1)
    entries[inner, 3] = np.where(c1 < n, place[n + m :], -1)
    return indptr, cols[order][kept[order]].astype(np.int32), diagonal, entries
