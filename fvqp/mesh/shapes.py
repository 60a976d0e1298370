"""Built-in shapes: structured grids, distributed like any file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError, MeshError, suggestion
from fvqp.mesh import geometry
from fvqp.mesh.build import build_mesh
from fvqp.mesh.cells import BY_NAME
from fvqp.mesh.distribute import raise_together
from fvqp.mesh.mesh import Mesh
from fvqp.typing import Floats, Ints
from fvqp.units import lengths

#: Along one axis: anything (None), one coordinate, or an interval.
Extent = float | str | tuple[float | str, float | str] | Sequence[float | str] | None
#: One extent an axis; a bare extent means the first axis.
Box = Extent | Sequence[Extent]
Widths = float | str | Sequence[float | str] | np.ndarray | None


@dataclass(frozen=True)
class Shape:
    """A built-in shape: its dimension and its coordinates."""

    dim: int
    coordinates: str


SHAPES = {
    "grid1d": Shape(1, "cartesian"),
    "grid2d": Shape(2, "cartesian"),
    "grid3d": Shape(3, "cartesian"),
    "cylindrical1d": Shape(1, "cylindrical"),
    "cylindrical2d": Shape(2, "cylindrical"),
    "spherical1d": Shape(1, "spherical"),
}
AXES = "xyz"
SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))
#: Coordinates closer than this fraction of the mesh's length along an axis are equal.
RELATIVE_TOLERANCE = 1e-9
#: Cells of a dimension, and their corners by steps along each axis.
CELLS = {
    1: ("line", ((0,), (1,))),
    2: ("quad", ((0, 0), (1, 0), (1, 1), (0, 1))),
    3: (
        "hexahedron",
        ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    ),
}


def shape_mesh(
    kind: str,
    *,
    dx: Widths = None,
    dy: Widths = None,
    dz: Widths = None,
    nx: int | None = None,
    ny: int | None = None,
    nz: int | None = None,
    Lx: float | str | None = None,
    Ly: float | str | None = None,
    Lz: float | str | None = None,
    origin: Sequence[float | str] = (0.0, 0.0, 0.0),
    regions: Mapping[str, Box] | None = None,
    boundaries: Mapping[str, Box] | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Mesh:
    """A structured mesh, distributed over ``comm`` (collective).

    Lengths are metres or text such as ``"11 um"``.

    Parameters
    ----------
    kind : ``grid1d``, ``grid2d``, ``grid3d``, ``cylindrical1d`` (radius), ``cylindrical2d`` (radius, height)
        or ``spherical1d`` (radius). The last three measure full bodies of revolution, see `Mesh`.
    dx, nx, Lx : along the first axis either the widths of all cells, or two of cell width, cell count and
        length; the same for ``y`` and ``z`` where the shape has them.
    origin : the lowest corner.
    regions : name → box of the cells whose centroids lie in it. A box has for each axis an interval ``(low,
        high)``, one coordinate, or None for no restriction; axes left out are not restricted.
    boundaries : name → box of the faces whose centroids lie in it, outer or interior; on a line such as
        ``{"point_A": -3e-7}``. The outer sides are named left, right (first axis), bottom, top (second),
        front, back (third) without being asked for; a side on the axis of revolution has no area and no name.

    Raises `MeshError`: unknown shape, widths that do not make a grid, a box that holds nothing.
    """
    if kind not in SHAPES:
        near = suggestion(kind, SHAPES, "'")
        raise MeshError(f"no shape '{kind}'{near} (shapes: {', '.join(SHAPES)})")
    shape = SHAPES[kind]
    given = ((dx, nx, Lx), (dy, ny, Ly), (dz, nz, Lz))
    try:
        given, origin, boxes, sides = (lengths(v) for v in (given, origin, regions or {}, boundaries or {}))
    except CaseError as error:
        raise MeshError(f"{kind}: {error}") from None
    for axis in range(shape.dim, 3):
        if any(v is not None for v in given[axis]):
            a = AXES[axis]
            raise MeshError(f"{kind}: has no {a} axis, so d{a}, n{a} and L{a} mean nothing")
    widths = [_widths(kind, AXES[axis], *given[axis]) for axis in range(shape.dim)]
    low = np.zeros(3)
    low[: len(origin)] = origin
    if shape.coordinates != "cartesian" and low[0] < 0:
        raise MeshError(f"{kind}: the radius begins at {low[0]:g} m, below zero")
    if comm.rank > 0:
        raise_together(comm, None)
        return build_mesh(None, None, comm=comm)
    points, cells = _grid(widths)
    points += low
    problem = None
    named_cells: dict[str, np.ndarray] = {}
    named_faces: dict[str, np.ndarray] = {}
    try:
        named_cells, named_faces = _names(kind, shape, points, cells, boxes, sides)
    except MeshError as error:
        problem = str(error)
    raise_together(comm, problem)
    blocks = [(CELLS[shape.dim][0], cells)]
    return build_mesh(
        points, blocks, named_cells, named_faces, comm, name=kind, coordinates=shape.coordinates
    )


def _grid(widths: Sequence[Floats]) -> tuple[Floats, Ints]:
    """Vertices ``(n, 3)`` and corners of the cells of a grid, numbered along x first."""
    ends = [np.concatenate([[0.0], np.cumsum(steps)]) for steps in widths]
    points = np.zeros((math.prod(len(end) for end in ends), 3))
    for axis, at in enumerate(np.meshgrid(*ends, indexing="ij")):
        points[:, axis] = at.ravel(order="F")
    number = np.arange(len(points)).reshape([len(end) for end in ends], order="F")
    low_high = slice(None, -1), slice(1, None)
    corners = [number[tuple(low_high[k] for k in steps)].ravel(order="F") for steps in CELLS[len(ends)][1]]
    return points, np.stack(corners, axis=1)


def _widths(kind: str, axis: str, width: Widths, count: int | None, length: float | None) -> np.ndarray:
    if width is not None and np.ndim(width) > 0:
        if count is not None or length is not None:
            raise MeshError(f"{kind}: d{axis} lists all cells, so n{axis} and L{axis} must not be given too")
        widths = np.asarray(width, dtype=np.float64).ravel()
    else:
        if sum(v is not None for v in (width, count, length)) != 2:
            raise MeshError(
                f"{kind}: give two of d{axis}, n{axis}, L{axis}, or d{axis} as a list of all cell widths"
            )
        if count is None:
            assert length is not None
            if not float(width) > 0:  # type: ignore[arg-type]
                raise MeshError(f"{kind}: a width d{axis} of {width} m is not positive")
            ratio = length / float(width)  # type: ignore[arg-type]
            count = round(ratio)
            if abs(count - ratio) > 1e-6 * max(ratio, 1.0):
                raise MeshError(f"{kind}: L{axis} = {length:g} m is not a multiple of d{axis} = {width:g} m")
        if count < 1 or count != int(count):
            raise MeshError(f"{kind}: n{axis} = {count} is not a positive count of cells")
        step = length / count if length is not None else float(width)  # type: ignore[arg-type]
        widths = np.full(int(count), step)
    if not len(widths) or not np.all(np.isfinite(widths) & (widths > 0)):
        raise MeshError(f"{kind}: cell widths d{axis} must be positive and finite")
    return widths


def _names(
    kind: str,
    shape: Shape,
    points: np.ndarray,
    cells: np.ndarray,
    regions: Mapping[str, Box],
    boundaries: Mapping[str, Box],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    low, high = points.min(axis=0), points.max(axis=0)
    tolerance = RELATIVE_TOLERANCE * (high - low)
    centroid = geometry.cell_means(points, cells)
    named_cells = {
        name: np.flatnonzero(_inside(box, centroid, tolerance, kind, name)) for name, box in regions.items()
    }
    half = geometry.half_faces(np.full(len(cells), BY_NAME[CELLS[shape.dim][0]].vtk), cells)
    middle = geometry.cell_means(points, half.corners)
    boxes: dict[str, Box] = {}
    for axis in range(shape.dim):
        for name, at in zip(SIDES[axis], (low[axis], high[axis]), strict=True):
            if shape.coordinates == "cartesian" or axis > 0 or at > tolerance[0]:
                boxes[name] = [None] * axis + [float(at)]
    for name in boundaries:
        if name in boxes:
            raise MeshError(f"{kind}: boundary '{name}' is the name of an outer side; choose another")
    named_faces: dict[str, np.ndarray] = {}
    for name, box in {**boxes, **boundaries}.items():
        inside = np.flatnonzero(_inside(box, middle, tolerance, kind, name))
        named_faces[name] = np.unique(geometry.face_keys(half.corners[inside]), axis=0)
    for what, named in (("region", named_cells), ("boundary", named_faces)):
        for name, members in named.items():
            if not len(members):
                member = "cell" if what == "region" else "face"
                raise MeshError(
                    f"{kind}: {what} '{name}' holds no {member}; the grid extends "
                    + ", ".join(f"{AXES[a]} = {low[a]:g} ... {high[a]:g} m" for a in range(shape.dim))
                    + ("" if what == "region" else ", and a boundary must lie on faces between cells")
                )
    return named_cells, named_faces


def _inside(box: Box, at: np.ndarray, tolerance: np.ndarray, kind: str, name: str) -> np.ndarray:
    """Return which of the positions ``at (n, 3)`` lie in the box, bounds included."""
    extents = _extents(box)
    if len(extents) > 3:
        raise MeshError(f"{kind}: '{name}' has {len(extents)} intervals for at most 3 axes")
    inside = np.ones(len(at), dtype=bool)
    for axis, extent in enumerate(extents):
        if extent is None:
            continue
        bounds = np.ravel(np.asarray(extent, dtype=np.float64))
        if len(bounds) not in (1, 2) or bounds[0] > bounds[-1]:
            raise MeshError(f"{kind}: '{name}': {extent} is neither a coordinate nor an interval (low, high)")
        inside &= (at[:, axis] >= bounds[0] - tolerance[axis]) & (at[:, axis] <= bounds[-1] + tolerance[axis])
    return inside


def _extents(box: Any) -> list[Extent]:
    if box is None or isinstance(box, (int, float)):
        return [box]
    items = list(box)
    plain = len(items) == 2 and all(isinstance(v, (int, float)) for v in items)
    return [tuple(items)] if plain else items
