"""Commands of ``fvqp mesh``: describe a mesh file, and draw it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import picture
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.quality import format_report, report
from fvqp.mesh.reading import read_mesh
from fvqp.mesh.vtk import stretched

#: Pixels of a rendered solid.
PIXELS = (1300, 560)
#: Longest scale bar of a solid, of its length along x.
BAR = 0.3
#: A solid that is thinner in a direction by far more than this factor is stretched to it.
LONGEST_ASPECT = 6.0


def info(path: str | Path, *, length_unit: str | float = "m", comm: MPI.Comm = MPI.COMM_WORLD) -> str:
    """Report on a mesh file, see `fvqp.mesh.quality`; ``scale`` is its length unit in metres. Collective."""
    return format_report(report(read_mesh(path, length_unit=length_unit, comm=comm)))


def plot(path: str | Path, output: str | Path, *, length_unit: str | float = "m") -> Path:
    """Draws a mesh file off screen, by one process: regions coloured, boundaries labelled.

    Raises `MeshError` when the file cannot be read or the picture not be made.
    """
    return plot_mesh(read_mesh(path, length_unit=length_unit, comm=MPI.COMM_SELF), output)


def plot_mesh(mesh: Mesh, output: str | Path) -> Path:
    """Draws a mesh, as `plot`; under MPI the calling rank's part.

    Small parts of a line or surface are shown enlarged; a thin solid is stretched, and the title says by how
    much.
    """
    output = Path(output)
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise MeshError(f"{output}: a picture needs a name that ends in .png or .jpg")
    if not output.parent.is_dir():
        raise MeshError(f"{output}: there is no folder {output.parent}")
    try:
        fill(mesh).savefig(output)
    except (OSError, RuntimeError, ValueError) as error:
        raise MeshError(f"{output}: the picture cannot be made: {error}") from None
    return output


def fill(
    mesh: Mesh, figure: Figure | None = None, title: str = "", labels: Mapping[str, str] | None = None
) -> Figure:
    """Draw a mesh of any dimension, as `picture.draw`; the title is by default its name and size."""
    title = title or f"{Path(mesh.name).name}: {mesh.n_cells} cells"
    return (_solid if mesh.dim == 3 else picture.draw)(mesh, title, figure, labels)


def show(mesh: Mesh, title: str = "", labels: Mapping[str, str] | None = None) -> list[Axes]:
    """Draw a mesh on the screen, in a figure of ``matplotlib.pyplot``; returns its axes."""
    from matplotlib import pyplot

    return fill(mesh, pyplot.figure(**picture.SHAPE), title, labels).axes


def _solid(
    mesh: Mesh, title: str, figure: Figure | None = None, labels: Mapping[str, str] | None = None
) -> Figure:
    """A rendered solid from above, with the explanations of the other pictures."""
    points, stretch = stretched(mesh.points, LONGEST_ASPECT)
    view = np.array([-0.4, -0.8, 0.6]) / np.linalg.norm([-0.4, -0.8, 0.6])
    right = np.cross([0.0, 0.0, 1.0], view) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], view))
    frame = np.array([right, np.cross(view, right)])
    seen = points @ frame.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    half_height = 0.52 * float(max(high[1] - low[1], (high[0] - low[0]) * PIXELS[1] / PIXELS[0]))
    centre = 0.5 * (low + high)
    regions = picture.coloured_regions(mesh)
    middle = centre @ frame + (points.mean(axis=0) @ view) * view
    image = picture.render(
        mesh, points, regions, picture.Camera(view, (0.0, 0.0, 1.0), middle, half_height, PIXELS)
    )

    figure = figure or Figure(**picture.SHAPE)
    axes = figure.subplots()
    axes.imshow(image)
    axes.set_axis_off()
    per_length = 0.5 * PIXELS[1] / half_height
    places = {}
    for name, middles in picture.named_places(mesh, points, labels).items():
        at = (middles.mean(axis=0) @ frame.T - centre) * per_length
        places[name] = np.array([0.5 * PIXELS[0] + at[0], 0.5 * PIXELS[1] - at[1]])
    unit, factor = picture.unit_of_length(float(np.ptp(mesh.points, axis=0).max()))
    size = " × ".join(f"{length * factor:.4g}" for length in np.ptp(mesh.points, axis=0))
    # No more of the picture than the solid, with the bar below it.
    half = 0.5 * np.array(PIXELS) + np.array([[-0.5], [0.5]]) * (high - low) * per_length
    margin = 0.03 * float(np.ptp(half, axis=0).max())
    corner = np.array([half[0, 0], half[1, 1] + margin])
    length = float(np.ptp(mesh.points[:, 0]))
    bar_unit, bar_factor = picture.unit_of_length(BAR * length)
    bar = picture.round_length(BAR * length * bar_factor)
    along = np.ptp(points[:, 0]) / length * bar / bar_factor * per_length * frame[:, 0] * [1.0, -1.0]
    start = corner + np.array([0.0, max(-along[1], 0.0)])
    end = start + along
    axes.plot(*np.transpose([start, end]), color="black", linewidth=2.0, solid_capstyle="butt")
    axes.annotate(
        f"{bar:g} {bar_unit} along $x$", end, (6.0, 0.0), textcoords="offset points", fontsize=9, va="center"
    )
    axes.set_xlim(half[0, 0] - margin, half[1, 0] + margin)
    axes.set_ylim(max(start[1], end[1]) + margin, half[0, 1] - margin)
    picture.label(axes, places, base=1.0)
    picture.explain(figure, f"{title}, {size} {unit}{stretch}", regions)
    return figure
