"""Surface of a device for the interactive page: triangles, and the cell that each of them belongs to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fvqp.mesh.vtk import shells_grid
from fvqp.results.fields import REGION_NAMES, read_step
from fvqp.typing import Floats, Ints

MAX_TRIANGLES = 300_000
"""Triangles that a browser still turns smoothly."""
SMOOTH = 200
"""Shells that are drawn as a smooth ball, of more pieces than in files."""
RIBBON = 0.04
"""Width of the ribbon that a line is drawn as, of the extent of the device."""
MICROMETRE = 1e-6


@dataclass
class DrawnDevice:
    """Surface and cells of a device; lengths in micrometres.

    Attributes
    ----------
    kind : ``line``, ``plane``, ``solid`` or ``shells``.
    points, triangles : ``(n, 3)`` vertices and ``(m, 3)`` numbers of vertices.
    cell : ``(m,)`` the cell that a triangle belongs to.
    centre, half : ``(n_cells, 3)`` centre of the box around a cell, and half its size.
    region, region_names : number of the region of every cell, −1 for none, and their names.
    """

    kind: str
    points: Floats
    triangles: Ints
    cell: Ints
    centre: Floats
    half: Floats
    region: Ints
    region_names: list[str]
    note: str = ""


def shape_of(dataset: xr.Dataset, first_step: Path | None) -> DrawnDevice | None:
    """Return the shape of a device, of the dataset or of a step of the fields; None if neither holds one.

    Raises :class:`FvqpError` if the step cannot be read.
    """
    if "radius_cell" in dataset.coords:
        return _shells(dataset)
    if "x_corners" in dataset.coords:
        return _flat(dataset)
    if first_step is not None:
        return _of_step(first_step, dataset)
    return None


def _shells(dataset: xr.Dataset) -> DrawnDevice:
    middle = dataset["radius_cell"].values / MICROMETRE
    edges = np.empty(len(middle) + 1)
    edges[1:-1] = 0.5 * (middle[1:] + middle[:-1])
    edges[0] = max(2.0 * middle[0] - edges[1], 0.0) if len(middle) > 1 else 0.0
    edges[-1] = 2.0 * middle[-1] - edges[-2]
    radii = np.stack([edges[:-1], edges[1:]], axis=1)
    grid, shell = shells_grid(
        radii, str(dataset.attrs["mesh_coordinates"]), 2.0 * edges[-1], 2 if len(radii) <= SMOOTH else 1
    )
    nothing = np.zeros(len(middle))
    centre = np.stack([middle, nothing, nothing], axis=1)
    half = np.stack([0.5 * np.diff(edges), nothing, nothing], axis=1)
    region = np.full(len(middle), -1)
    points, triangles, cell = _surface(grid, shell)
    return _limited(DrawnDevice("shells", points, triangles, cell, centre, half, region, []))


def _flat(dataset: xr.Dataset) -> DrawnDevice:
    corners = np.stack([dataset[f"{name}_corners"].values for name in "xyz"], axis=-1) / MICROMETRE
    region, names = _regions(dataset)
    if corners.shape[1] == 2 or corners.shape[1] > 4:
        starts, ends, cell = _segments(corners)
        points, triangles, cell = _ribbons(starts, ends, cell)
        kind = "line"
    else:
        # A fan round the first corner; corners that are repeated make triangles without an area.
        n, k = corners.shape[:2]
        fan = np.array([[0, second, second + 1] for second in range(1, k - 1)])
        points, triangles = corners.reshape(-1, 3), (k * np.arange(n)[:, None, None] + fan).reshape(-1, 3)
        cell = np.repeat(np.arange(n), k - 2)
        at = points[triangles]
        proper = np.any(np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]) != 0.0, axis=1)
        triangles, cell = triangles[proper], cell[proper]
        kind = "plane" if np.ptp(points[:, 2]) == 0.0 else "solid"
    low, high = corners.min(axis=1), corners.max(axis=1)
    return _limited(
        DrawnDevice(kind, points, triangles, cell, 0.5 * (low + high), 0.5 * (high - low), region, names)
    )


def _of_step(file: Path, dataset: xr.Dataset) -> DrawnDevice:
    grid = read_step(file)
    cell = np.asarray(grid.cell_data["cell"])
    n = int(cell.max()) + 1
    region = np.full(n, -1)
    region[cell] = np.asarray(grid.cell_data["region"])
    names = [str(name) for name in grid.field_data[REGION_NAMES]] if REGION_NAMES in grid.field_data else []
    if not names and region.max() >= 0:
        known = [str(name) for name in dataset["region"].values] if "region" in dataset.coords else []
        names = known or [f"region {number}" for number in range(region.max() + 1)]
    bounds = _boxes(grid)
    low, high = np.full((n, 3), np.inf), np.full((n, 3), -np.inf)
    np.minimum.at(low, cell, bounds[:, 0])
    np.maximum.at(high, cell, bounds[:, 1])
    firsts = np.unique(grid.celltypes, return_index=True)[1]
    dimension = max(int(grid.get_cell(int(i)).dimension) for i in firsts)
    if dimension == 1:
        kind, (points, triangles, of_cell) = "line", _lines(grid, cell)
    else:
        # Each region by itself, so that one that is hidden shows what is behind it.
        own = [np.flatnonzero(region[cell] == number) for number in np.unique(region)]
        parts = [_surface(grid.extract_cells(part), cell[part]) for part in own]
        shifts = np.cumsum([0, *(len(part[0]) for part in parts)])
        points = np.concatenate([part[0] for part in parts])
        triangles = np.concatenate([part[1] + shift for part, shift in zip(parts, shifts, strict=False)])
        of_cell = np.concatenate([part[2] for part in parts])
        kind = "plane" if dimension == 2 and float(np.ptp(points[:, 2])) == 0.0 else "solid"
    centre, half = 0.5 * (low + high), 0.5 * (high - low)
    return _limited(DrawnDevice(kind, points, triangles, of_cell, centre, half, region, names))


def _lines(grid: Any, cell: Ints) -> tuple[Floats, Ints, Ints]:
    """Return ribbons of the lines of a grid whose cells have the numbers ``cell``."""
    offset, corners = _cells(grid)
    inner = np.ones(len(corners), dtype=bool)
    inner[offset[1:] - 1] = False
    begins = np.flatnonzero(inner)
    at = np.asarray(grid.points)
    of_cell = cell[np.searchsorted(offset, begins, side="right") - 1]
    return _ribbons(at[corners[begins]], at[corners[begins + 1]], of_cell)


def _cells(grid: Any) -> tuple[Ints, Ints]:
    """Return beginnings of the cells in the list of their corners, with the end, and this list."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    cells = grid.GetCells()
    return vtk_to_numpy(cells.GetOffsetsArray()), vtk_to_numpy(cells.GetConnectivityArray())


def _boxes(grid: Any) -> Floats:
    """Return ``(n, 2, 3)``, the lowest and highest coordinates of cells."""
    offset, corners = _cells(grid)
    offset, at = offset[:-1], np.asarray(grid.points)[corners]
    return np.stack([np.minimum.reduceat(at, offset), np.maximum.reduceat(at, offset)], axis=1)


def _surface(grid: Any, cell: Ints) -> tuple[Floats, Ints, Ints]:
    """Return vertices and triangles of the surface, and the cells of these.

    ``cell`` has the numbers of the cells of the grid.
    """
    with warnings.catch_warnings():
        # later versions ask for the algorithm by name
        warnings.simplefilter("ignore")
        surface = grid.extract_surface(pass_cellid=True, pass_pointid=False).triangulate()
    triangles = np.asarray(surface.faces).reshape(-1, 4)[:, 1:]
    return np.asarray(surface.points), triangles, cell[np.asarray(surface.cell_data["vtkOriginalCellIds"])]


def _segments(corners: Floats) -> tuple[Floats, Floats, Ints]:
    """Return beginnings and ends of all pieces of lines, and their cells."""
    n, k = corners.shape[:2]
    starts, ends = corners[:, :-1].reshape(-1, 3), corners[:, 1:].reshape(-1, 3)
    cell = np.repeat(np.arange(n), k - 1)
    proper = np.any(starts != ends, axis=1)
    return starts[proper], ends[proper], cell[proper]


def _ribbons(starts: Floats, ends: Floats, cell: Ints) -> tuple[Floats, Ints, Ints]:
    """Return the pieces of lines as ribbons of two triangles each."""
    along = ends - starts
    extent = float(np.ptp(np.concatenate([starts, ends]), axis=0).max())
    across = np.stack([-along[:, 1], along[:, 0], np.zeros(len(along))], axis=1)
    upright = np.linalg.norm(across, axis=1) <= 1e-9 * np.linalg.norm(along, axis=1)
    across[upright] = (1.0, 0.0, 0.0)
    across *= 0.5 * RIBBON * extent / np.linalg.norm(across, axis=1)[:, None]
    points = np.stack([starts - across, starts + across, ends + across, ends - across], axis=1).reshape(-1, 3)
    first = 4 * np.arange(len(starts))[:, None]
    triangles = (first[:, None] + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return points, triangles, np.repeat(cell, 2)


def _regions(dataset: xr.Dataset) -> tuple[Ints, list[str]]:
    """Return the smallest region of every cell, −1 for none, and the names."""
    if "in_region" not in dataset.coords:
        return np.full(dataset.sizes["cell"], -1), []
    inside = dataset["in_region"].transpose("region", "cell").values.astype(bool)
    region = np.full(inside.shape[1], -1)
    for number in np.argsort(-inside.sum(axis=1), kind="stable"):
        region[inside[number]] = number
    return region, [str(name) for name in dataset["region"].values]


def _limited(shape: DrawnDevice) -> DrawnDevice:
    """Return the shape with up to `MAX_TRIANGLES`, evenly chosen."""
    count = len(shape.triangles)
    if count > MAX_TRIANGLES:
        kept = np.linspace(0, count - 1, MAX_TRIANGLES).round().astype(np.int64)
        shape.triangles, shape.cell = shape.triangles[kept], shape.cell[kept]
        used, number = np.unique(shape.triangles, return_inverse=True)
        shape.points, shape.triangles = shape.points[used], number.reshape(shape.triangles.shape)
        shape.note = f"{MAX_TRIANGLES:,} of {count:,} triangles of the surface are drawn"
    return shape
