"""Cells of a mesh as a grid of PyVista, for fields and pictures."""

from __future__ import annotations

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
