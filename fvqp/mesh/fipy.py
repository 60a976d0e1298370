"""FiPy meshes as `Mesh`, and results as variables of FiPy.

FiPy lists the faces of a cell, a `Mesh` its corners. Cells keep their numbers in both directions. FiPy
measures bodies of revolution per radian (cylinders) or per steradian (spheres), a `Mesh` all around: volumes
and areas differ by 2π or 4π.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import MeshError
from fvqp.mesh import geometry
from fvqp.mesh.build import build_mesh, metres
from fvqp.mesh.cells import BY_NAME, MAX_CORNERS, MIRRORED
from fvqp.mesh.distribute import raise_together
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.shapes import RELATIVE_TOLERANCE, SIDES
from fvqp.typing import Bools, Floats, Ints

#: Kind of a cell by its number of faces and of those with four corners.
POLYGONS = {(3, 0): "triangle", (4, 0): "quad"}
SOLIDS = {(4, 0): "tetra", (5, 1): "pyramid", (5, 3): "wedge", (6, 6): "hexahedron"}
REVOLUTION = {"Cylindrical": "cylindrical", "Spherical": "spherical"}


def load(wanted: str) -> Any:
    """Return the package FiPy, for what ``wanted`` says. Its communicator makes the first call collective.

    Raises:
        MeshError: FiPy cannot be loaded.
    """
    # Imported here: it takes a second.
    try:
        import fipy
    except ImportError as error:
        raise MeshError(
            f"{wanted} cannot be loaded ({error}); on several ranks it needs the environment variable "
            "FIPY_SOLVERS unset, or petsc"
        ) from None
    return fipy


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Silence numpy's warning of what FiPy does while it makes a mesh, which nobody here can change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Conversion of an array with ndim > 0", DeprecationWarning)
        yield


def from_fipy(
    mesh: Any,
    *,
    length_unit: str | float = "m",
    regions: Mapping[str, ArrayLike] | None = None,
    boundaries: Mapping[str, ArrayLike] | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Mesh:
    """Return a mesh of FiPy as a `Mesh`, distributed over ``comm``. Collective.

    Cell ``i`` of FiPy has ``global_id`` ``i``. Physical cells and faces of gmsh's meshes become regions and
    boundaries with their names; outer sides of any other mesh become the boundaries left, right, bottom, top,
    front and back, as FiPy's ``facesLeft`` and so on. A side on the axis of revolution has no area and no
    name. Centroids are those of the cells; for pyramids and irregular quadrilaterals FiPy's ``cellCenters``
    are other points, the mean of the centres of their faces.

    Args:
        mesh: any mesh of FiPy with lines, triangles, quadrilaterals, tetrahedra, hexahedra, prisms or
            pyramids, made with ``communicator=fipy.tools.serialComm`` under MPI. That of rank 0 counts.
        length_unit: of the mesh, such as ``"um"``, or in metres.
        regions: name → mask of cells, ``(numberOfCells,)``, such as ``mesh.x < 1``.
        boundaries: name → mask of faces, ``(numberOfFaces,)``, such as ``mesh.facesLeft``; outer or interior.

    Raises:
        MeshError: periodic or partitioned meshes, unknown kinds of cells, masks of another length or without
            members, and what `build_mesh` raises, such as for cells that are folded over.
    """
    name = f"FiPy's {type(mesh).__name__}"
    scale = metres(length_unit, name)
    problem, whole = None, None
    if comm.rank == 0:
        try:
            _require_plain(mesh, name)
            vertices, blocks = vertices_and_cells(mesh, name)
            members = {r: np.flatnonzero(m) for r, m in _region_masks(mesh, regions or {}, name).items()}
            face_corners, masks = _face_corners(mesh), _boundary_masks(mesh, boundaries or {}, name)
            whole = vertices * scale, blocks, members, {b: face_corners[mask] for b, mask in masks.items()}
        except MeshError as error:
            problem = str(error)
    raise_together(comm, problem)
    points, cells, named_cells, named_faces = whole or (None, None, None, None)
    coordinates = _coordinates(mesh)
    return build_mesh(points, cells, named_cells, named_faces, comm, name=name, coordinates=coordinates)


def cell_variable(grid: Any, mesh: Mesh, values: ArrayLike, name: str = "") -> Any:
    """Return values of cells as a `CellVariable`, without a unit and the same on every rank. Collective.

    Args:
        grid: FiPy's mesh that ``mesh`` came from (`from_fipy`), or was made of it (`to_fipy`).
        mesh: mesh of the values.
        values: ``(n_cells, ...)`` or ``(n_owned, ...)``; FiPy has the cells as the last axis, so that a
            distribution ``(n_cells, energies)`` becomes a variable of ``energies`` components.
        name: of the variable.

    Raises:
        MeshError: another number of cells in the grid or in the values.
    """
    fipy = load("FiPy, whose variable is asked for,")
    rows = np.asarray(values)
    if len(rows) not in (mesh.n_owned, mesh.n_cells):
        problem = f"{mesh.name}: {len(rows)} values for {mesh.n_owned} cells (with ghosts {mesh.n_cells})"
    elif grid.numberOfCells != mesh.n_global:
        problem = f"{mesh.name}: FiPy's mesh has {grid.numberOfCells} cells, this one {mesh.n_global}"
    else:
        problem = None
    raise_together(mesh.comm, problem)
    whole = np.empty((mesh.n_global, *rows.shape[1:]), rows.dtype)
    for cells, part in mesh.comm.allgather((mesh.global_id[: mesh.n_owned], rows[: mesh.n_owned])):
        whole[cells] = part
    # The axes of a cell's values keep their order: FiPy has the cells last.
    return fipy.CellVariable(mesh=grid, name=name, value=np.moveaxis(whole, 0, -1))


def to_fipy(mesh: Mesh) -> Any:
    """Return FiPy's mesh of the same vertices, faces and cells, with their numbers, in metres.

    Raises:
        MeshError: more than one rank, lines that branch or bend, surfaces off the plane of x and y, bodies of
            revolution.
    """
    fipy = load("FiPy, whose mesh is asked for,")
    off_axes = np.any(np.ptp(mesh.points[:, mesh.dim :], axis=0) > 0.0)
    for wrong, reason in (
        (mesh.comm.size > 1, "it is divided among ranks; read it with comm=MPI.COMM_SELF"),
        (mesh.coordinates != "cartesian", "it is one of revolution; make a grid of FiPy and bring it in"),
        (len(mesh.nodes) > 0, "FiPy has no lines that branch"),
        (off_axes, f"FiPy has {'lines along x' if mesh.dim == 1 else 'surfaces of x and y'} only"),
    ):
        if wrong:
            raise MeshError(f"{mesh.name}: cannot become a mesh of FiPy: {reason}")
    inner = mesh.face_cells[:, 1] >= 0
    face = np.concatenate([np.arange(mesh.n_faces), np.flatnonzero(inner)])
    cell = np.concatenate([mesh.face_cells[:, 0], mesh.face_cells[inner, 1]])
    order = np.argsort(cell, kind="stable")
    count = np.bincount(cell, minlength=mesh.n_cells)
    faces = np.full((mesh.n_cells, count.max()), -1)
    faces[np.arange(count.max()) < count[:, None]] = face[order]
    corners = mesh.face_corners[:, : {1: 1, 2: 2, 3: 4}[mesh.dim]]
    corners = corners[:, np.any(corners >= 0, axis=0)]
    tables = mesh.points[:, : mesh.dim].T.copy(), corners.T.copy(), faces.T.copy()
    if mesh.dim == 1:

        class _UnorderedLine(fipy.meshes.mesh1D.Mesh1D):  # type: ignore[name-defined,misc]
            """Line whose cells may be in any order; FiPy takes them to be numbered along x."""

            def _calcFaceNormals(self) -> Floats:
                return mesh.face_normal[:, :1].T.copy()

        kind: Any = _UnorderedLine
    else:
        kind = fipy.meshes.mesh2D.Mesh2D if mesh.dim == 2 else fipy.meshes.mesh.Mesh
    with without_deprecations():
        return kind(*tables)


def vertices_and_cells(mesh: Any, name: str) -> tuple[Floats, list[tuple[str, Ints]]]:
    """Return the vertices ``(n, 1..3)`` of a mesh of FiPy and its cells as blocks of `build_mesh`, in order.

    Corners begin with the lowest vertex number; they turn anticlockwise in a plane.
    """
    points = np.array(mesh.vertexCoords, dtype=np.float64).T
    face_corners = _face_corners(mesh)
    cell_faces = np.ma.filled(mesh.cellFaceIDs, -1).T
    n_faces = np.count_nonzero(cell_faces >= 0, axis=1)
    # Row −1, which absent faces point to, has no corners.
    around = np.concatenate([face_corners, np.full((1, face_corners.shape[1]), -1)])[cell_faces]
    if face_corners.shape[1] == 1:
        return points, [("line", around[:, :2, 0])]
    four = np.count_nonzero(around[:, :, 3:] >= 0, axis=(1, 2))
    kinds = POLYGONS if face_corners.shape[1] == 2 else SOLIDS
    shapes, shape = np.unique(100 * n_faces + four, return_inverse=True)
    table = np.full((len(around), MAX_CORNERS), -1, dtype=np.int64)
    names = [kinds.get((int(code) // 100, int(code) % 100)) for code in shapes]
    for number, kind in enumerate(names):
        cells = np.flatnonzero(shape == number)
        if kind is None:
            raise MeshError(
                f"{name}: cell {cells[0]} has {n_faces[cells[0]]} faces, {four[cells[0]]} of them with four "
                f"corners; cells can be {', '.join(kinds.values())}"
            )
        own = around[cells][:, : n_faces[cells[0]]]
        table[cells, : BY_NAME[kind].corners] = _CORNERS[kind](own)
    _turn_round(points, table, shape, names)
    # Cells keep their order: a block is a run of cells of one kind.
    runs = np.split(np.arange(len(table)), np.flatnonzero(np.diff(shape)) + 1)
    kinds_of_runs = [str(names[shape[run[0]]]) for run in runs]
    return points, [
        (kind, table[run, : BY_NAME[kind].corners]) for kind, run in zip(kinds_of_runs, runs, strict=True)
    ]


def _face_corners(mesh: Any) -> Ints:
    """Vertices of every face, ``(n_faces, 1..4)``, filled up with −1."""
    # On a uniform line, vertices are the faces, and there is no such table.
    if not hasattr(mesh, "faceVertexIDs"):
        return np.arange(mesh.numberOfFaces)[:, None]
    return np.ma.filled(mesh.faceVertexIDs, -1).astype(np.int64).T


def _polygon(edges: Ints) -> Ints:
    """Corners of triangles or quadrilaterals in their order, from edges ``(n, k, 2)``."""
    start = edges.reshape(len(edges), -1).min(axis=1)
    neighbours = np.sort(_partners(edges, start), axis=1)
    if edges.shape[1] == 3:
        return np.column_stack([start, neighbours])
    last = edges.sum(axis=(1, 2)) // 2 - start - neighbours.sum(axis=1)
    return np.column_stack([start, neighbours[:, 0], last, neighbours[:, 1]])


def _partners(edges: Ints, of: Ints) -> Ints:
    """The other ends ``(n, 2)`` of the two edges that a corner of a polygon has."""
    here = np.any(edges == of[:, None, None], axis=2)
    return edges[here].reshape(len(edges), 2, 2).sum(axis=2) - of[:, None]


def _tetra(faces: Ints) -> Ints:
    base = faces[:, 0, :3]
    # Every corner is on three of the faces.
    apex = np.where(faces >= 0, faces, 0).sum(axis=(1, 2)) // 3 - base.sum(axis=1)
    return np.column_stack([base, apex])


def _pyramid(faces: Ints) -> Ints:
    four = faces[:, :, 3] >= 0
    base = faces[four]
    # A corner of the base is on three of the faces, the apex on four.
    apex = (np.where(faces >= 0, faces, 0).sum(axis=(1, 2)) - 3 * base.sum(axis=1)) // 4
    return np.column_stack([base, apex])


def _wedge(faces: Ints) -> Ints:
    four = faces[:, :, 3] >= 0
    quads = faces[four].reshape(len(faces), 3, 4)
    base = faces[np.arange(len(faces)), np.argmin(four, axis=1), :3]
    # On its two quadrilaterals a corner of the base is next to both others and twice to the one opposite.
    beside = np.stack([_beside(quads, base[:, k]).sum(axis=(1, 2)) for k in range(3)], axis=1)
    opposite = (beside - base.sum(axis=1, keepdims=True) + base) // 2
    return np.column_stack([base, opposite])


def _hexahedron(faces: Ints) -> Ints:
    first = faces.reshape(len(faces), -1).min(axis=1)
    here = np.any(faces == first[:, None, None], axis=2)
    three = faces[here].reshape(len(faces), 3, 4)
    beside = _beside(three, first)
    a, b, c = np.sort(beside.reshape(len(faces), 6), axis=1)[:, ::2].T
    # Of the three faces at the first corner, the one without a holds b, c and the corner between them.
    across = three.sum(axis=2) - beside.sum(axis=2) - first[:, None]
    absent = (a + b + c)[:, None] - beside.sum(axis=2)
    bc, ac, ab = (across[absent == corner[:, None]] for corner in (a, b, c))
    last = faces.sum(axis=(1, 2)) // 3 - (first + a + b + c + ab + ac + bc)
    return np.column_stack([first, a, ab, b, c, ac, last, bc])


def _beside(quads: Ints, corner: Ints) -> Ints:
    """Corners ``(n, k, 2)`` next to ``corner (n,)`` on those of the quadrilaterals that have it."""
    at = quads == corner[:, None, None]
    rows = quads[at.any(axis=2)].reshape(len(quads), -1, 4)
    place = np.argmax(rows == corner[:, None, None], axis=2)[..., None]
    return np.take_along_axis(rows, np.concatenate([(place + 1) % 4, (place + 3) % 4], axis=2), axis=2)


_CORNERS = {
    "triangle": _polygon,
    "quad": _polygon,
    "tetra": _tetra,
    "pyramid": _pyramid,
    "wedge": _wedge,
    "hexahedron": _hexahedron,
}


def _turn_round(points: Floats, table: Ints, shape: Ints, names: list[str | None]) -> None:
    """Numbers the corners of cells anticlockwise (in a plane), or for a positive volume, in place."""
    xyz = np.zeros((len(points), 3))
    xyz[:, : points.shape[1]] = points
    for number, kind in enumerate(names):
        cells, known = np.flatnonzero(shape == number), BY_NAME[str(kind)]
        corners = table[cells]
        if known.dim == 3:
            wrong = geometry.signed_volumes(xyz, np.full(len(cells), known.vtk), corners) < 0.0
        else:
            place = xyz[corners[:, : known.corners], :2]
            wrong = np.sum(np.cross(place, np.roll(place, -1, axis=1)), axis=1) < 0.0
        mirrored = MIRRORED[known.name]
        table[cells[wrong], : known.corners] = corners[wrong][:, mirrored]


def _require_plain(mesh: Any, name: str) -> None:
    if any("Periodic" in kind.__name__ for kind in type(mesh).__mro__):
        raise MeshError(f"{name}: is periodic; bring a grid with ends, such as Grid2D")
    if mesh.communicator.Nproc > 1:
        raise MeshError(
            f"{name}: is divided among ranks by FiPy; make it with communicator=fipy.tools.serialComm, "
            "from_fipy divides it"
        )


def _coordinates(mesh: Any) -> str:
    kinds = "".join(kind.__name__ for kind in type(mesh).__mro__)
    return next((found for part, found in REVOLUTION.items() if part in kinds), "cartesian")


def _region_masks(mesh: Any, more: Mapping[str, ArrayLike], name: str) -> dict[str, Bools]:
    physical = {r: np.asarray(mask.value) for r, mask in getattr(mesh, "physicalCells", {}).items()}
    return _checked(physical, more, mesh.numberOfCells, f"{name}: region", "cells")


def _boundary_masks(mesh: Any, more: Mapping[str, ArrayLike], name: str) -> dict[str, Bools]:
    named = {b: np.asarray(mask.value) for b, mask in getattr(mesh, "physicalFaces", {}).items()}
    if not named:
        named = {side: mask for side, mask in _sides(mesh).items() if mask.any()}
    return _checked(named, more, mesh.numberOfFaces, f"{name}: boundary", "faces")


def _sides(mesh: Any) -> dict[str, Bools]:
    """Outer faces at the lowest and highest coordinates."""
    at, outer = np.asarray(mesh.faceCenters), np.asarray(mesh.exteriorFaces)
    low, high = at.min(axis=1), at.max(axis=1)
    tolerance = RELATIVE_TOLERANCE * (high - low)
    sides = {}
    for axis, pair in zip(range(len(at)), SIDES, strict=False):
        for side, end in zip(pair, (low[axis], high[axis]), strict=True):
            if _coordinates(mesh) == "cartesian" or axis > 0 or end > tolerance[0]:
                sides[side] = outer & (np.abs(at[axis] - end) <= tolerance[axis])
    return sides


def _checked(
    named: dict[str, Bools], more: Mapping[str, ArrayLike], count: int, what: str, members: str
) -> dict[str, Bools]:
    masks = {key: mask for key, mask in named.items() if mask.any()}
    for key, given in more.items():
        mask = np.asarray(given)
        if key in masks:
            raise MeshError(f"{what} '{key}' is in the mesh already; choose another name")
        if mask.dtype != bool or mask.shape != (count,):
            raise MeshError(f"{what} '{key}' is no mask of the {count} {members}, such as mesh.x < 1")
        if not mask.any():
            raise MeshError(f"{what} '{key}' holds no {members}")
        masks[key] = mask
    return masks
