"""Cells and faces as streaming sees them, whatever they are in space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from fvqp.transport.chain import Chain
from fvqp.transport.geometry import Gradient
from fvqp.transport.refraction import Plane
from fvqp.transport.two_point import TwoPointFlux
from fvqp.transport.walls import FaceBath
from fvqp.typing import Bools, Floats, Integers, Ints32


@dataclass(frozen=True)
class CellLayout:
    """Cells and faces of one rank, of a mesh or of shells.

    Attributes:
        comm: ranks that hold the cells; ``n_owned`` of the ``n_cells`` are this rank's.
        global_id: ``(n_cells,)`` number of a cell on all ranks.
        exchange: fills the ghost rows of ``a[n_cells, ...]`` in place.
        volume: ``(n_cells,)``.
        face_cells, area: ``(n_faces, 2)`` with −1 outside, ``(n_faces,)``.
        projected: ``(n_faces, M)`` area × cosine of direction and normal from cell 0 to cell 1.
        offset: ``(n_faces, 2, dim)`` from the centroids of cells to that of the face.
        distance: ``(n_faces, 2)`` from the centroids to the plane of the face.
        lateral: ``(n_faces, 2, dim)`` from the centroid to the point straight behind that of the face.
        gradient: least-squares weights of the owned cells, exact for linear fields.
        reversal: ``(M,)`` for every direction the one of opposite motion in space or radius.
        beyond: ``(M,)`` for every direction the one that it is on the other side of the centre or axis.
        curvature: ``(n_cells,)`` outer minus inner area of shells, in bodies of revolution the radial sum of
            face areas; empty on cartesian meshes.
        spread: ``(n_cells,)`` bound on a face value over that of its cell, if a linear occupation of the cell
            is positive at all of its faces.
        block: ``(n_cells,)`` cells that one pass of a sweep connects have the same number; −1 of ghosts that
            none does.
        chain: of the ranks that share shells; None on meshes and on one rank.
    """

    comm: MPI.Comm
    n_owned: int
    n_cells: int
    global_id: Integers
    exchange: Callable[[NDArray], None]
    volume: Floats
    face_cells: Ints32
    area: Floats
    projected: Floats
    offset: Floats
    distance: Floats
    lateral: Floats
    gradient: Gradient
    reversal: Ints32
    beyond: Ints32
    curvature: Floats
    spread: Floats
    block: Ints32
    chain: Chain | None = None

    @cached_property
    def flux(self) -> TwoPointFlux:
        """Two-point fluxes of means over directions; collective.

        Outside are the outer faces, in their order; images of a cell have its column (`column_id`).
        """
        outer = self.face_cells[:, 1] < 0
        outside = np.where(outer, np.cumsum(outer) - 1, -1).astype(np.int32)
        missing = 3 - self.lateral.shape[2]
        gradient = None
        if self.comm.allreduce(bool(np.any(self.lateral)), MPI.LOR):
            near = self.gradient
            gradient = replace(
                near,
                # A mean is the same beyond the centre or axis.
                indices=np.where(near.indices < 0, -near.indices - 1, near.indices).astype(np.int32),
                weights=np.pad(near.weights, ((0, 0), (0, missing))),
            )
        offset = np.pad(self.lateral, ((0, 0), (0, 0), (0, missing)))
        return TwoPointFlux(
            self.n_owned, self.face_cells, offset, outside, gradient, self.exchange, self._columns[1]
        )

    @property
    def column_id(self) -> Integers:
        """Numbers of the columns of matrices on all ranks: the cells, without images of others."""
        return self.global_id[self._columns[0]]

    @cached_property
    def _columns(self) -> tuple[Integers, Ints32]:
        """Cells that are no images of others, and the column of every cell."""
        _, first, number = np.unique(self.global_id, return_index=True, return_inverse=True)
        distinct = np.sort(first)
        return distinct, np.searchsorted(distinct, first[number]).astype(np.int32)


@dataclass(frozen=True)
class Barrier:
    """Faces that return particles: those of one wall, or one interface inside.

    Attributes:
        faces: their numbers.
        wall: number of the wall, −1 inside.
        interface: number of the interface, −1 of walls.
        near: ``(faces,)`` which of its two cells is on the near side; that inside at walls.
        transmission: scalar or ``(energy,)``.
        specularity: share of the returned particles that is reflected.
        images: ``(n, M)`` reflections of directions.
        image: ``(faces,)`` the row of each face; of no consequence if nothing is reflected.
        velocity: of `fvqp.transport.walls.Wall`, or None.
        bath: outside, where that depends on the face.
    """

    faces: Ints32
    wall: int
    interface: int
    near: Ints32
    transmission: ArrayLike
    specularity: float
    images: Ints32
    image: Ints32
    velocity: float | None = None
    bath: FaceBath | None = None


@dataclass(frozen=True)
class Refracting:
    """Faces of one interface at which waves are refracted.

    Attributes:
        faces: their numbers.
        interface: number of the interface.
        near: ``(faces,)`` which of its two cells is on the near side.
        plane: ``(faces,)`` row in ``planes``.
        planes: directions at the distinct planes, the same on all ranks.
        density: of mass, beyond over that on the near side.
    """

    faces: Ints32
    interface: int
    near: Ints32
    plane: Ints32
    planes: tuple[Plane, ...]
    density: float


def faces_of_cells(layout: CellLayout) -> tuple[Ints32, Ints32]:
    """CSR pair of the faces of every cell."""
    faces = np.tile(np.arange(len(layout.face_cells), dtype=np.int32), 2)
    cells = layout.face_cells.T.ravel()
    order = np.argsort(cells, kind="stable")
    order = order[cells[order] >= 0]
    counts = np.bincount(cells[order], minlength=layout.n_cells)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), faces[order]


def edges(layout: CellLayout, transmitting_row: Ints32) -> Bools:
    """``(n_faces, 2)`` whether the gradient of the cell on a side leaves out what is beyond a gate.

    It does so at walls and where the medium changes, not at steps of the gap; ``transmitting_row`` is
    −1 at open faces.
    """
    near, count = layout.gradient, layout.n_cells
    rows = np.repeat(np.arange(len(near.indptr) - 1), np.diff(near.indptr))
    inner = near.indices >= 0
    known = rows[inner] * np.int64(count) + near.indices[inner]
    cells = layout.face_cells.astype(np.int64)
    pairs = cells * count + cells[:, ::-1]
    inside = (cells >= 0) & (transmitting_row >= 0)[:, None] & (layout.area > 0.0)[:, None]
    return inside & ((cells[:, ::-1] < 0) | ~np.isin(pairs, known))
