"""Meshes: reading, built-in shapes, distribution over ranks, geometry, quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvqp.mesh.build import build_mesh
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.reading import RawMesh, read_mesh, read_raw
from fvqp.mesh.shapes import shape_mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Mesh", "RawMesh", "build_mesh", "read_mesh", "read_raw", "shape_mesh"]


def _plot(self: Mesh) -> list[Axes]:
    """Draw the mesh: regions coloured, boundaries labelled, small parts enlarged; returns the axes.

    The figure is one of ``matplotlib.pyplot``: notebooks show it, scripts after ``pyplot.show()``. Under MPI
    the calling rank's part is drawn.
    """
    # here, since matplotlib is slow to load
    from fvqp.mesh.picture import show

    return show(self)


Mesh.plot = _plot
