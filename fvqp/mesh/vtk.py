"""PyVista: cells of a mesh or shells as its grid, and pictures rendered off screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fvqp.mesh.mesh import Mesh
from fvqp.typing import Bools, Floats, Ints

SEGMENTS, BANDS = 18, 12
"""Pieces of three quarters of a circle, and of half a one from pole to pole, of shells that are drawn."""


def pyvista_grid(mesh: Mesh, chosen: Bools, points: Floats) -> tuple[Any, Ints]:
    """Return some cells as an `UnstructuredGrid`, kind by kind, and the local cell that each of its cells is.

    Args:
        mesh: the rank's part of the mesh.
        chosen: ``(n_cells,)`` mask of cells.
        points: ``(n_points, 3)`` vertices of the mesh, in a unit of the grid's own.
    """
    # Imported here: it takes half a second, and few programs need it.
    import pyvista

    blocks = [(vtk, corners[chosen[cells]], cells[chosen[cells]]) for vtk, corners, cells in mesh.cell_blocks]
    used, number = np.unique(
        np.concatenate([corners.ravel() for _, corners, _ in blocks]), return_inverse=True
    )
    ends = np.cumsum([0, *(corners.size for _, corners, _ in blocks)])
    rows = [
        np.insert(number.ravel()[start:end].reshape(corners.shape), 0, corners.shape[1], axis=1).ravel()
        for (_, corners, _), start, end in zip(blocks, ends, ends[1:], strict=False)
    ]
    kinds = np.concatenate([np.full(len(cells), vtk, dtype=np.uint8) for vtk, _, cells in blocks])
    grid = pyvista.UnstructuredGrid(np.concatenate(rows), kinds, points[used])
    return grid, np.concatenate([cells for _, _, cells in blocks])


def shells_grid(radii: Floats, coordinates: str, height: float, finer: int = 1) -> tuple[Any, Ints]:
    """Return shells as an `UnstructuredGrid` of a ball or cylinder, and the shell that each of its cells is.

    A quarter is left out, so that the inside is seen.

    Args:
        radii: ``(n, 2)`` inner and outer radius of the shells.
        coordinates: ``"spherical"`` or ``"cylindrical"``.
        height: of the cylinder, in the unit of the radii.
        finer: factor of the numbers of pieces.
    """
    import pyvista

    segments, bands = finer * SEGMENTS, finer * BANDS
    longitude = np.linspace(0.5 * np.pi, 2.0 * np.pi, segments + 1)
    if coordinates == "spherical":
        latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, bands + 1)
        across, along = np.cos(latitude), np.sin(latitude)
    else:
        across, along = np.ones(2), np.zeros(2)
    # [shell, inner or outer, latitude, longitude]
    r = radii[:, :, None, None] * across[:, None]
    x, y = r * np.cos(longitude), r * np.sin(longitude)
    z = np.broadcast_to(radii[:, :, None, None] * along[:, None], x.shape).copy()
    if coordinates != "spherical":
        z += height * np.array([-0.5, 0.5])[:, None]
    number = np.arange(x.size).reshape(x.shape)
    low, high = number[:, :, :-1], number[:, :, 1:]
    corners = [
        part[:, side, :, turn : turn + segments]
        for part in (low, high)
        for side, turn in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    cells = np.stack(corners, axis=-1).reshape(-1, 8)
    kinds = np.full(len(cells), pyvista.CellType.HEXAHEDRON, dtype=np.uint8)
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    grid = pyvista.UnstructuredGrid(np.insert(cells, 0, 8, axis=1).ravel(), kinds, points)
    return grid, np.repeat(np.arange(len(radii)), len(cells) // max(len(radii), 1))


@contextmanager
def off_screen(pixels: tuple[int, int]) -> Iterator[Any]:
    """A `Plotter` for a picture of so many pixels on white, closed at the end."""
    import pyvista
    from vtkmodules.vtkCommonCore import vtkLogger

    # Without a display VTK warns and goes on to render off screen, as it is asked to.
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    plotter: Any = pyvista.Plotter(off_screen=True, window_size=list(pixels))
    try:
        plotter.set_background("white")
        yield plotter
    finally:
        plotter.close()


def stretched(points: Floats, longest_aspect: float) -> tuple[Floats, str]:
    """Return points of a size of one, and what to say of their scales.

    Directions in which a solid is thinner than half of its longest extent over ``longest_aspect`` are
    stretched to that extent over ``longest_aspect``, so that a picture shows them.
    """
    spread = np.ptp(points, axis=0)
    times = np.ones(3)
    thin = (spread > 0.0) & (2.0 * spread * longest_aspect < spread.max())
    times[thin] = spread.max() / (longest_aspect * spread[thin])
    said = ", ".join(f"{a} × {t:.3g}" for a, t in zip("xyz", times, strict=True) if t > 1.0)
    # Rendering works in single precision, with tolerances made for sizes of about one.
    return points * times / max(spread.max(), 1e-300), f"; stretched {said}" if said else ""
