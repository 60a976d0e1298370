"""The distributed mesh: cells, faces, names and ghost exchange of one rank's part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from mpi4py import MPI
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from fvqp.errors import MeshError, suggestion
from fvqp.mesh.cells import BY_VTK
from fvqp.mesh.distribute import GhostExchange
from fvqp.texts import html_table, listed
from fvqp.units import engineering

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class Mesh:
    """One rank's part of a mesh: owned cells first, then ghosts (all vertex neighbours of owned cells).

    Lengths are in metres. With ``coordinates`` ``"cylindrical"`` or ``"spherical"`` the first coordinate is
    the radius, and volumes and areas are those of the full body of revolution (per metre of height for a
    cylindrical line).

    Attributes
    ----------
    dim : dimension of the cells (1, 2, 3); points always have three coordinates.
    n_owned, n_cells, n_global : owned cells, owned and ghost cells, cells of all ranks.
    global_id : ``(n_cells,)`` int64, number of the cell in the file, whatever the rank count; nodes of lines
        (`fvqp.mesh.nodes`) follow after the cells of the file.
    cell_type : ``(n_cells,)`` number of the cell's kind, that of VTK where VTK has it (`fvqp.mesh.cells`).
    corners : ``(n_cells, 8)`` vertex numbers (rows of ``points``), filled up with −1.
    volume, centroid : ``(n_cells,)`` in metres to the power ``lengths``, ``(n_cells, 3)`` in m.
    face_cells : ``(n_faces, 2)`` int32; of the two, cell 0 has the lower ``global_id``; second −1 on the
        outer boundary. Faces that touch an owned cell.
    face_corners : ``(n_faces, 4)`` vertex numbers, anticlockwise seen from cell 1, filled up with −1.
    face_area, face_normal, face_centroid : area in metres to one power less, unit normal from cell 0 to
        cell 1 (outward at the outer boundary), centroid in m.
    face_owned : ``(n_faces,)`` bool; over all ranks each face is owned exactly once, so that sums can be
        formed.
    regions, boundaries : name → local cells (ghosts included), name → faces (outer or interior). Every rank
        knows every name, also where its array is empty.
    cell_region, region_names : the region of each cell as an index into the names (the smallest region that
        contains it), −1 for none.
    name : what to call the mesh in messages (its file).
    """

    #: Drawing knows meshes: `fvqp.mesh` adds it.
    plot: ClassVar[Callable[[Mesh], list[Axes]]]

    dim: int
    comm: MPI.Comm
    name: str
    coordinates: str
    n_owned: int
    n_global: int
    global_id: np.ndarray
    points: np.ndarray
    cell_type: np.ndarray
    corners: np.ndarray
    volume: np.ndarray
    centroid: np.ndarray
    face_cells: np.ndarray
    face_corners: np.ndarray
    face_area: np.ndarray
    face_normal: np.ndarray
    face_centroid: np.ndarray
    regions: dict[str, np.ndarray]
    boundaries: dict[str, np.ndarray]
    cell_region: np.ndarray
    region_names: list[str]
    exchange: GhostExchange = field(repr=False)

    def __repr__(self) -> str:
        kind = f"dimension {self.dim}"
        if self.coordinates != "cartesian":
            kind += f", {self.coordinates}"
        if self.comm.size > 1:
            kind += f"; {self.n_owned} on rank {self.comm.rank} of {self.comm.size}"
        names = "; ".join(
            f"{what} {listed(known)}"
            for what, known in (("regions", self.region_names), ("boundaries", self.boundaries))
        )
        return f"Mesh({self.name}: {self.n_global} cells of {kind}; {names})"

    def _repr_html_(self) -> str:
        """Return cells, extent, regions and boundaries; on several ranks those of this one."""
        cells = f"{self.n_owned}" + (f" of {self.n_global}" if self.comm.size > 1 else "")
        extent = np.ptp(self.points, axis=0) if len(self.points) else np.zeros(3)
        rows = [
            ("cells", f"{cells}, dimension {self.dim}, {self.coordinates}"),
            ("extent", " x ".join(engineering(float(size), "m") for size in extent if size > 0.0)),
        ]
        for what, named in (("regions (cells)", self.regions), ("boundaries (faces)", self.boundaries)):
            rows.append((what, listed(f"{name} ({len(entries)})" for name, entries in named.items())))
        return html_table(f"Mesh {self.name}", rows)

    @property
    def lengths(self) -> int:
        """Number of lengths whose product a volume is; bodies of revolution go all around."""
        return {"cartesian": self.dim, "cylindrical": self.dim + 1, "spherical": 3}[self.coordinates]

    @property
    def n_cells(self) -> int:
        return len(self.global_id)

    @property
    def n_faces(self) -> int:
        return len(self.face_cells)

    @property
    def face_owned(self) -> np.ndarray:
        return self.face_cells[:, 0] < self.n_owned

    @property
    def outer_faces(self) -> np.ndarray:
        """Faces of the outer boundary, named or not."""
        return np.flatnonzero(self.face_cells[:, 1] < 0)

    @cached_property
    def nodes(self) -> np.ndarray:
        """Local cells that are nodes, where more than two lines meet (`fvqp.mesh.nodes`)."""
        return np.flatnonzero(self.corners[:, 2] >= 0) if self.dim == 1 else np.zeros(0, dtype=np.int64)

    @cached_property
    def cell_blocks(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """``(vtk type, connectivity (n, corners), local cell numbers)`` for each kind of cell."""
        blocks = []
        for vtk in np.unique(self.cell_type):
            cells = np.flatnonzero(self.cell_type == vtk)
            kind = BY_VTK[int(vtk)]
            if kind.shown is None:
                blocks.append((kind.vtk, self.corners[cells, : kind.corners], cells))
            else:
                blocks.append((kind.shown, self.corners[cells][:, list(kind.path)], cells))
        return blocks

    @property
    def outlines(self) -> np.ndarray:
        """``(n_cells, k)`` vertex numbers in the order of drawing a cell: round a polygon, along a line, from
        end to end of a node; where there are fewer the last one is repeated. ``k`` is the same on all ranks.

        For lines and surfaces. Collective.
        """
        width = self.comm.allreduce(
            max((table.shape[1] for _, table, _ in self.cell_blocks), default=0), MPI.MAX
        )
        out = np.empty((self.n_cells, width), dtype=self.corners.dtype)
        for _, table, cells in self.cell_blocks:
            out[cells, : table.shape[1]] = table
            out[cells, table.shape[1] :] = table[:, -1:]
        return out

    def vertex_neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """CSR pair ``(indptr, indices)``: for each owned cell the other local cells that share a vertex."""
        rows, columns = np.nonzero(self.corners >= 0)
        incidence = csr_matrix(
            (np.ones(len(rows), dtype=np.int8), (rows, self.corners[rows, columns])),
            shape=(self.n_cells, len(self.points)),
        )
        graph = incidence[: self.n_owned] @ incidence.T
        graph.setdiag(0)
        graph.eliminate_zeros()
        graph.sort_indices()
        return graph.indptr, graph.indices

    def require_region(self, name: str) -> np.ndarray:
        """Local cells of a region; `MeshError` that lists the regions if there is none of that name."""
        return _require(self.regions, name, "region", self.name)

    def require_boundary(self, name: str) -> np.ndarray:
        """Faces of a named boundary; `MeshError` that lists the boundaries if there is none of that name."""
        return _require(self.boundaries, name, "boundary", self.name)

    def faces_between(self, first: str, second: str) -> np.ndarray:
        """Local faces, those of ghosts too, with a cell of one region on one side and of the other beyond."""
        here, there = (np.zeros(self.n_cells + 1, dtype=bool) for _ in range(2))
        here[self.require_region(first)], there[self.require_region(second)] = True, True
        a, b = self.face_cells.T
        return np.flatnonzero((b >= 0) & ((here[a] & there[b]) | (there[a] & here[b])))

    def total(self, values: np.ndarray) -> float:
        """Sum over all owned cells of all ranks; ``values`` has a row a local cell (or owned cell)."""
        return float(self.comm.allreduce(float(np.sum(values[: self.n_owned]))))

    def components(self) -> tuple[int, np.ndarray]:
        """Number of connected parts of the mesh and, for every local cell, the part's number.

        Cells are connected through faces. Parts are numbered by their lowest ``global_id``, the same on any
        rank count. Collective.
        """
        inner = self.face_cells[:, 1] >= 0
        a, b = self.face_cells[inner].T
        graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(self.n_cells, self.n_cells))
        n_local, local = connected_components(graph, directed=False)
        lowest = np.full(n_local, self.n_global, dtype=np.int64)
        np.minimum.at(lowest, local, self.global_id)
        while True:
            label = lowest[local]
            self.exchange(label)
            before = lowest.copy()
            np.minimum.at(lowest, local, label)
            if not self.comm.allreduce(bool(np.any(lowest != before)), op=MPI.LOR):
                break
        parts = np.unique(np.concatenate(self.comm.allgather(np.unique(lowest))))
        return len(parts), np.searchsorted(parts, lowest[local])


def _require(named: Mapping[str, np.ndarray], name: str, kind: str, mesh: str) -> np.ndarray:
    if name not in named:
        plural = {"region": "regions", "boundary": "boundaries"}[kind]
        there = ", ".join(named) if named else "none"
        near = suggestion(name, named, "'")
        raise MeshError(f"{mesh}: no {kind} '{name}'{near} (its {plural}: {there})")
    return named[name]
