"""Domain of localized quasiparticles: a box, periodic or open, or the cells of a mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, MeshError
from fvqp.mesh import geometry
from fvqp.mesh.mesh import Mesh
from fvqp.models.localized.rng import alias_table
from fvqp.typing import Bools, Floats, Ints, Ints32

# A mesh that strays from its plane or line by more than this fraction of its size is not flat.
_FLAT = 1e-9


class Source(NamedTuple):
    """Simplices from which the compiled loop draws positions, extruded along ``extent``.

    Attributes:
        corners: ``(n, 4, 3)``, of which the first ``order + 1`` count.
        order: ``(1,)`` int64, dimension of the simplices.
        extent: ``(3,)`` extrusion.
        cell: ``(n,)`` int32 cell that a simplex is part of.
        threshold, other: alias table over the simplices.
    """

    corners: Floats
    order: Ints
    extent: Floats
    cell: Ints32
    threshold: Floats
    other: Ints32


@dataclass(frozen=True)
class Domain:
    """A region of space, in metres; made by `box` or `mesh_domain`.

    Attributes:
        dim: number of directions in which positions differ (1, 2, 3); densities are per m^dim.
        lengths: ``(3,)`` extents of the (bounding) box, 0 beyond ``dim``.
        periodic: ``(3,)`` whether the box repeats in that direction.
        cell_volume: ``(n_cells,)`` m^dim; one cell for a box, those of the mesh by ``global_id`` otherwise.
        name: what to call it in messages.
    """

    dim: int
    lengths: Floats
    periodic: Bools
    cell_volume: Floats
    name: str
    origin: Floats = field(repr=False)
    corners: Floats = field(repr=False)
    order: int = field(repr=False)
    extent: Floats = field(repr=False)
    simplex_cell: Ints32 = field(repr=False)
    simplex_measure: Floats = field(repr=False)

    @property
    def volume(self) -> float:
        """m^dim."""
        return float(self.cell_volume.sum())

    @property
    def n_cells(self) -> int:
        return len(self.cell_volume)

    def density(self, value: ArrayLike, what: str) -> Floats:
        """``(n_cells,)`` of a number, or of one for each cell; `CaseError` if negative or not finite."""
        given = np.asarray(value, dtype=np.float64)
        if given.ndim == 0:
            given = np.full(self.n_cells, float(given))
        elif given.shape != (self.n_cells,):
            raise CaseError(f"{what}: shape {given.shape}, but {self.name} has {self.n_cells} cells")
        if not np.all(np.isfinite(given)):
            raise CaseError(f"{what}: must be finite")
        if np.any(given < 0.0):
            raise CaseError(f"{what}: must not be negative, got {given.min():.6g}")
        return given

    def source(self, density: Floats, unit: float) -> Source:
        """Positions in proportion to ``density (n_cells,)``, in units of ``unit`` metres."""
        per_cell = np.bincount(self.simplex_cell, self.simplex_measure, self.n_cells)
        share = self.simplex_measure / per_cell[self.simplex_cell]
        weight = share * (density * self.cell_volume)[self.simplex_cell]
        weight = weight if weight.sum() > 0.0 else share
        threshold, other = alias_table(weight)
        return Source(
            (self.corners - self.origin) / unit,
            np.array([self.order]),
            self.extent / unit,
            self.simplex_cell,
            threshold,
            other,
        )


def box(lengths: Sequence[float] | float, periodic: bool | Sequence[bool] = True) -> Domain:
    """A box with one, two or three edges in metres, periodic in all, some or none of its directions.

    A film is ``box((Lx, Ly, d), periodic=(True, True, False))``. Boxes of fewer than three edges are models
    in which densities are per area or per length.

    Raises `CaseError`: not one to three finite, positive edges.
    """
    edges = np.atleast_1d(np.asarray(lengths, dtype=np.float64))
    if edges.ndim != 1 or not 1 <= len(edges) <= 3:
        raise CaseError(f"box: one to three edges are needed, got {lengths}")
    if not np.all(np.isfinite(edges)) or np.any(edges <= 0.0):
        raise CaseError(f"box: edges must be positive and finite, got {lengths}")
    repeats = np.broadcast_to(np.asarray(periodic, dtype=bool), edges.shape)
    dim = len(edges)
    full = np.concatenate([edges, np.zeros(3 - dim)])
    return Domain(
        dim=dim,
        lengths=full,
        periodic=np.concatenate([repeats, np.zeros(3 - dim, dtype=bool)]),
        cell_volume=np.array([float(np.prod(edges))]),
        name="box",
        origin=np.zeros(3),
        corners=np.zeros((1, 4, 3)),
        order=0,
        extent=full,
        simplex_cell=np.zeros(1, np.int32),
        simplex_measure=np.ones(1),
    )


def mesh_domain(
    mesh: Mesh, *, thickness: float | None = None, cross_section: tuple[float, float] | None = None
) -> Domain:
    """The volume of a mesh that is whole on this rank, with open boundaries.

    Positions have three coordinates whatever the dimension of the mesh: a mesh of faces gets a
    ``thickness``, a mesh of lines a ``cross_section`` (two edges), in metres.

    Raises
    ------
    CaseError : the missing extents are not given, superfluous or not positive.
    MeshError : a mesh that ranks share; a body of revolution; a surface or line not parallel to the axes.
    """
    if mesh.n_owned != mesh.n_global:
        raise MeshError(
            f"{mesh.name}: a domain needs the whole mesh on every rank; read it with comm=MPI.COMM_SELF"
        )
    needed = {1: "cross_section", 2: "thickness", 3: None}[mesh.dim]
    given = {"thickness": thickness, "cross_section": cross_section}
    for name, value in given.items():
        if name == needed and value is None:
            raise CaseError(f"{mesh.name}: a mesh of dimension {mesh.dim} needs its {name} in metres")
        if name != needed and value is not None:
            raise CaseError(f"{mesh.name}: {name} has no meaning for a mesh of dimension {mesh.dim}")
    extra = np.atleast_1d(np.asarray(given[needed] if needed else [], dtype=np.float64))
    if extra.shape != (3 - mesh.dim,) or not np.all(np.isfinite(extra)) or np.any(extra <= 0.0):
        raise CaseError(
            f"{mesh.name}: {needed} must be {3 - mesh.dim} positive lengths, got {given[needed or '']}"
        )
    if mesh.coordinates != "cartesian":
        raise MeshError(
            f"{mesh.name}: localized quasiparticles need cartesian coordinates, not {mesh.coordinates}"
        )
    corners, cell = _simplices(mesh)
    volume = np.empty(mesh.n_global)
    volume[mesh.global_id] = mesh.volume
    used = corners[:, : mesh.dim + 1].reshape(-1, 3)
    low, size = used.min(axis=0), np.ptp(used, axis=0)
    flat = np.flatnonzero(size <= _FLAT * size.max())
    if len(flat) != 3 - mesh.dim:
        raise MeshError(
            f"{mesh.name}: a mesh of dimension {mesh.dim} whose cells do not lie along {mesh.dim} of the axes"
        )
    extent = np.zeros(3)
    extent[flat] = extra
    return Domain(
        dim=3,
        lengths=np.where(extent > 0.0, extent, size),
        periodic=np.zeros(3, dtype=bool),
        cell_volume=volume * float(np.prod(extra)),
        name=mesh.name,
        origin=low,
        corners=corners,
        order=mesh.dim,
        extent=extent,
        simplex_cell=cell,
        simplex_measure=_measure(corners, mesh.dim),
    )


def _simplices(mesh: Mesh) -> tuple[Floats, Ints32]:
    """Return corners ``(n, 4, 3)`` and global cell of simplices that fill the cells, as their volume does,
    cell by cell: lines, triangles, and tetrahedra between the mean corner and the triangles of the faces.

    Raises `MeshError`: a cell that folds over.
    """
    corners, kind = mesh.corners, mesh.cell_type
    middle = geometry.cell_means(mesh.points, corners)
    pieces: list[tuple[Floats, ...]]
    if mesh.dim == 1:
        ends, owner = geometry.segments(corners)
        pieces = [(mesh.points[ends[:, 0]], mesh.points[ends[:, 1]])]
        cells = [owner]
    elif mesh.dim == 2:
        three, four = np.flatnonzero(corners[:, 3] < 0), np.flatnonzero(corners[:, 3] >= 0)
        at = mesh.points[corners[three][:, :3]]
        pieces = [(at[:, 0], at[:, 1], at[:, 2])]
        cells = [three]
        for k in range(4):
            edge = mesh.points[corners[four][:, [k, (k + 1) % 4]]]
            pieces.append((edge[:, 0], edge[:, 1], middle[four]))
            cells.append(four)
    else:
        half = geometry.half_faces(kind, corners)
        three, four = np.flatnonzero(half.corners[:, 3] < 0), np.flatnonzero(half.corners[:, 3] >= 0)
        at = mesh.points[half.corners[three][:, :3]]
        pieces = [(at[:, 0], at[:, 1], at[:, 2], middle[half.cell[three]])]
        cells = [half.cell[three]]
        centre = geometry.cell_means(mesh.points, half.corners[four])
        for k in range(4):
            edge = mesh.points[half.corners[four][:, [k, (k + 1) % 4]]]
            pieces.append((edge[:, 0], edge[:, 1], centre, middle[half.cell[four]]))
            cells.append(half.cell[four])
    table = np.zeros((sum(map(len, cells)), 4, 3))
    for k in range(mesh.dim + 1):
        table[:, k] = np.concatenate([piece[k] for piece in pieces])
    if mesh.dim == 3 and np.any(_signed(table) * np.sign(_signed(table).sum()) < 0.0):
        raise MeshError(f"{mesh.name}: a warped cell folds over, positions in it would not be uniform")
    cell = mesh.global_id[np.concatenate(cells)]
    order = np.argsort(cell, kind="stable")
    return table[order], cell[order].astype(np.int32)


def _signed(corners: Floats) -> Floats:
    a, b, c = (corners[:, k] - corners[:, 3] for k in range(3))
    return np.asarray(np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)


def _measure(corners: Floats, order: int) -> Floats:
    """Length, area or volume of simplices."""
    if order == 1:
        return np.asarray(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1))
    if order == 2:
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return np.asarray(0.5 * np.linalg.norm(normal, axis=1))
    return np.abs(_signed(corners))


def sphere_volume(dim: int) -> float:
    """2, π, 4π/3: the volume of the unit sphere."""
    return math.pi ** (dim / 2.0) / math.gamma(dim / 2.0 + 1.0)
