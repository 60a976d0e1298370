"""What ``fvqp mesh`` does: describe a mesh file, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.quality import format_report, report
from fvqp.mesh.reading import read_mesh

#: Pixels of a picture.
PICTURE = (1600, 720)
#: Part of the picture's height that is not needed for title and legend.
FILLED = 0.6
#: Height of a line of text, as a part of half the picture's height.
LINE_OF_TEXT = 0.08
#: A direction in which a mesh is thinner than its length by far more than this factor is stretched to it.
LONGEST_ASPECT = 6.0
#: Cell edges are drawn in meshes up to this many cells.
MOST_EDGES = 20000
#: Regions, in order; told apart also by readers who do not see red and green differ.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee9944", "#994455")


def info(path: str | Path, *, scale: float = 1.0, comm: MPI.Comm = MPI.COMM_WORLD) -> str:
    """Report on a mesh file, see `fvqp.mesh.quality`; ``scale`` is its length unit in metres. Collective."""
    return format_report(report(read_mesh(path, scale=scale, comm=comm)))


def plot(path: str | Path, output: str | Path, *, scale: float = 1.0) -> Path:
    """Draws a mesh file off screen, by one process: regions coloured, boundaries labelled.

    Raises `MeshError` when the file cannot be read or the picture not be made.
    """
    return plot_mesh(read_mesh(path, scale=scale, comm=MPI.COMM_SELF), output)


def plot_mesh(mesh: Mesh, output: str | Path) -> Path:
    """Draws a mesh, as `plot`; under MPI the calling rank's part.

    A mesh that is much longer than wide is stretched across, and the picture says by how much.
    """
    import pyvista

    output = Path(output)
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise MeshError(f"{output}: a picture needs a name that ends in .png or .jpg")
    if not output.parent.is_dir():
        raise MeshError(f"{output}: there is no folder {output.parent}")
    points, unit, stretch = _scaled(mesh)
    plotter = pyvista.Plotter(off_screen=True, window_size=list(PICTURE))
    try:
        normal, up = _view(mesh, points)
        half_height = _half_height(points, np.array(normal), np.array(up))
        _draw_regions(pyvista, plotter, mesh, points)
        _draw_boundaries(pyvista, plotter, mesh, points, LINE_OF_TEXT * half_height * np.array(up))
        title = f"{Path(mesh.name).name}: {mesh.n_cells} cells, lengths in {unit}{stretch}"
        plotter.add_text(title, font_size=12, color="black")
        plotter.set_background("white")
        plotter.enable_parallel_projection()
        plotter.view_vector(normal, up)
        plotter.camera.parallel_scale = half_height
        plotter.screenshot(str(output))
    except (OSError, RuntimeError, ValueError) as error:
        raise MeshError(f"{output}: the picture cannot be made: {error}") from None
    finally:
        plotter.close()
    return output


def _scaled(mesh: Mesh) -> tuple[np.ndarray, str, str]:
    """Points in a handy unit, thin directions stretched so that the picture shows them."""
    spread = np.ptp(mesh.points, axis=0)
    longest = spread.max()
    scales = (("nm", 1e9), ("µm", 1e6), ("mm", 1e3))
    unit, factor = next(((u, f) for u, f in scales if longest * f < 1000.0), ("m", 1.0))
    times = np.ones(3)
    thin = (spread > 1e-12 * longest) & (2.0 * spread * LONGEST_ASPECT < longest)
    times[thin] = longest / (LONGEST_ASPECT * spread[thin])
    said = ", ".join(f"{a} × {t:.3g}" for a, t in zip("xyz", times, strict=True) if t > 1.0)
    return mesh.points * factor * times, unit, f"; stretched {said}" if said else ""


def _view(mesh: Mesh, points: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Direction to look from, and which way is up: along the normal of a plane mesh, from above otherwise."""
    if mesh.dim == 3:
        return (-0.4, -0.8, 0.6), (0.0, 0.0, 1.0)
    _, axes = np.linalg.eigh(np.cov(points.T))
    normal = np.array([0.0, 0.0, 1.0])
    if mesh.dim == 2 and np.ptp(points @ axes[:, 0]) < np.ptp(points[:, 2]):
        normal = axes[:, 0]
    up = np.array([0.0, 1.0, 0.0]) if abs(normal[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    return tuple(normal), tuple(up)


def _half_height(points: np.ndarray, normal: np.ndarray, up: np.ndarray) -> float:
    """Half the height that the picture must span for all points to be in it."""
    normal = normal / np.linalg.norm(normal)
    up = up - (up @ normal) * normal
    up = up / np.linalg.norm(up)
    height, width = np.ptp(points @ up), np.ptp(points @ np.cross(up, normal))
    return 0.6 * float(max(height / FILLED, width * PICTURE[1] / PICTURE[0]))


def _draw_regions(pyvista: Any, plotter: Any, mesh: Mesh, points: np.ndarray) -> None:
    legend = []
    edges = mesh.dim > 1 and mesh.n_cells <= MOST_EDGES
    for region, name in [*enumerate(mesh.region_names), (-1, "(no region)")]:
        chosen = mesh.cell_region == region
        if not np.any(chosen):
            continue
        colour = COLOURS[region % len(COLOURS)] if region >= 0 else "lightgrey"
        blocks = {
            vtk: corners[chosen[cells]] for vtk, corners, cells in mesh.cell_blocks if np.any(chosen[cells])
        }
        part = pyvista.UnstructuredGrid(blocks, points)
        plotter.add_mesh(
            part,
            color=colour,
            show_edges=edges,
            edge_color="#555555",
            line_width=0.5 if mesh.dim > 1 else 8,
            lighting=mesh.dim == 3,
            ambient=0.4 if mesh.dim == 3 else 0.0,
        )
        legend.append([name, colour])
    plotter.add_legend(
        legend, loc="lower right", bcolor=None, face="rectangle", size=(0.15, 0.04 * (len(legend) + 1))
    )


def _draw_boundaries(pyvista: Any, plotter: Any, mesh: Mesh, points: np.ndarray, line: np.ndarray) -> None:
    places, names = [], []
    for name, faces in mesh.boundaries.items():
        if not len(faces):
            continue
        corners = mesh.face_corners[faces]
        used = corners >= 0
        kind = {1: pyvista.CellType.VERTEX, 2: pyvista.CellType.LINE, 3: pyvista.CellType.POLYGON}[mesh.dim]
        cells = np.column_stack([used.sum(axis=1), corners])
        flat = cells[np.column_stack([np.ones(len(cells), dtype=bool), used])]
        shape = pyvista.UnstructuredGrid(flat, np.full(len(faces), int(kind)), points)
        actor = plotter.add_mesh(shape, color="crimson", line_width=6, point_size=14, lighting=False)
        # Drawn in front of the cells that it coincides with.
        actor.mapper.SetResolveCoincidentTopologyToPolygonOffset()
        actor.mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(-2.0, -2.0)
        places.append(points[corners[used]].mean(axis=0))
        names.append(name)
    for i, (place, name) in enumerate(zip(places, names, strict=True)):
        # In one call labels that overlap would be left out; here neighbours stand on different lines.
        plotter.add_point_labels(
            (place + (i % 4 + 1) * line)[None, :],
            [name],
            font_size=20,
            text_color="black",
            shape=None,
            show_points=False,
            always_visible=True,
        )
