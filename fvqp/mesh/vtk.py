"""PyVista: cells of a mesh as its grid, and pictures rendered off screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fvqp.mesh.mesh import Mesh
from fvqp.typing import Bools, Floats, Ints


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
