"""Pictures of meshes: regions coloured, boundaries named, small parts of lines and surfaces enlarged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fvqp.errors import MeshError
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.vtk import off_screen, pyvista_grid, stretched

#: Inches, and dots per inch, of a picture.
WIDTH, HEIGHT, DPI = 10.0, 4.5, 160
SHAPE: dict[str, Any] = {"figsize": (WIDTH, HEIGHT), "dpi": DPI, "layout": "constrained"}
#: A mesh that is longer than wide by more than this factor is not drawn to scale.
LONGEST_ASPECT = 12.0
#: Pixels of a rendered solid.
PIXELS = (1300, 560)
#: Longest scale bar of a solid, of its length along x.
BAR = 0.3
#: A solid that is thinner in a direction by far more than this factor is stretched to it.
SOLID_ASPECT = 6.0
#: Regions and boundaries smaller than this part of the mesh are enlarged if they all lie in a third of it.
SMALL, DETAIL = 0.05, 1.0 / 3.0
#: Boundaries of a solid with more than this part of its surface are named, but not painted.
MAX_PAINTED = 0.1
#: Widths of lines of a mesh, and of edges of cells, in pixels; smoothing halves them.
LINE, EDGE = 30.0, 1.5
#: Cells of lines, surfaces and solids.
LOOKS: dict[int, dict[str, Any]] = {
    1: {"lighting": False, "line_width": LINE},
    2: {"lighting": False, "line_width": EDGE, "edge_color": "#333333"},
    3: {"ambient": 0.4, "line_width": EDGE / 3.0, "edge_color": "#555555"},
}
#: Added to places of what lies upon a line; the viewer of a flat mesh looks along −z from 5.
IN_FRONT = np.array([0.0, 0.0, 1.0])
#: Cell edges are drawn in meshes up to this many cells.
MAX_EDGES = 20000
#: Regions, in order; told apart also by readers who do not see red and green differ.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee9944", "#994455")
NO_REGION = "#d3d3d3"
BOUNDARY = "#dc143c"
#: Inches that a letter of a label takes.
LETTER = 0.085
#: A mesh thinner than this part of its length has no extent in that direction.
FLAT = 1e-9

Regions = list[tuple[str, str, np.ndarray]]
Box = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class View:
    """Projection of points: axes ``(2, 3)`` of the picture, their names, and the unit of length."""

    axes: np.ndarray
    names: tuple[str, str]
    unit: str
    factor: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """``(..., 2)`` in the unit of the picture."""
        return np.asarray(points @ self.axes.T * self.factor)


class Camera(NamedTuple):
    """Parallel projection: direction to the viewer, upward direction, centre, half the height, pixels."""

    view: np.ndarray
    up: tuple[float, float, float]
    centre: np.ndarray
    half_height: float
    pixels: tuple[int, int]


def save(mesh: Mesh, output: str | Path) -> Path:
    """Draw a mesh off screen into a file, as `fill`; under MPI the calling rank's part.

    Raises `MeshError` when the picture cannot be made.
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


def show(mesh: Mesh, title: str = "", labels: Mapping[str, str] | None = None) -> list[Axes]:
    """Draw a mesh on the screen, in a figure of ``matplotlib.pyplot``; returns its axes."""
    from matplotlib import pyplot

    return fill(mesh, pyplot.figure(**SHAPE), title, labels).axes


def fill(
    mesh: Mesh, figure: Figure | None = None, title: str = "", labels: Mapping[str, str] | None = None
) -> Figure:
    """Draw a mesh of any dimension; under MPI the calling rank's part.

    Small parts of a line or surface are shown enlarged; a thin solid is stretched, and the title says by how
    much.

    Args:
        mesh: what to draw.
        figure: an empty one; None makes it.
        title: of the picture; by default the mesh's name and size.
        labels: as of `named_places`.
    """
    title = title or f"{Path(mesh.name).name}: {mesh.n_cells} cells"
    return (_solid if mesh.dim == 3 else _flat)(mesh, title, figure, labels)


def coloured_regions(mesh: Mesh) -> Regions:
    """Name, colour and cells of every region that has some, last the cells of none."""
    regions = [
        (name, COLOURS[number % len(COLOURS)], np.flatnonzero(mesh.cell_region == number))
        for number, name in enumerate(mesh.region_names)
    ]
    regions.append(("(no region)", NO_REGION, np.flatnonzero(mesh.cell_region < 0)))
    return [region for region in regions if len(region[2])]


def unit_of_length(size: float) -> tuple[str, float]:
    """A unit in which ``size`` (metres) is a handy number, and how many of it a metre has."""
    units = (("nm", 1e9), ("µm", 1e6), ("mm", 1e3))
    return next(((unit, factor) for unit, factor in units if size * factor < 1000.0), ("m", 1.0))


def round_length(longest: float) -> float:
    """Return the largest of 1, 2 and 5, times a power of ten, that is not above ``longest``."""
    power = 10.0 ** np.floor(np.log10(longest) + 1e-12)
    return float(power * max(step for step in (1.0, 2.0, 5.0) if step * power <= longest * (1.0 + 1e-9)))


def named_places(mesh: Mesh, points: np.ndarray, labels: Mapping[str, str] | None) -> dict[str, np.ndarray]:
    """Return what a picture labels: text → middles ``(n, 3)`` of faces or cells; parts without any are left
    out.

    Args:
        mesh: the rank's part of the mesh.
        points: ``(n_points, 3)`` places of its vertices.
        labels: boundary or region → text; None for all boundaries by their names.
    """
    if labels is None:
        labels = {name: name for name in mesh.boundaries}
    found = {}
    for name, text in labels.items():
        at_faces = name in mesh.boundaries
        corners = mesh.face_corners[mesh.boundaries[name]] if at_faces else mesh.corners[mesh.regions[name]]
        if len(corners):
            there = (corners >= 0)[:, :, None]
            found[text] = np.where(there, points[corners], 0.0).sum(axis=1) / there.sum(axis=1)
    return found


def _flat(mesh: Mesh, title: str, figure: Figure | None, labels: Mapping[str, str] | None) -> Figure:
    """A line or a surface, with an enlarged detail if parts of it are small."""
    regions, view = coloured_regions(mesh), _view(mesh)
    box = _detail(mesh, view, regions)
    figure = figure or Figure(**SHAPE)
    whole, *detail = figure.subplots(1 if box is None else 2, 1, squeeze=False)[:, 0]
    _frame(whole, view, view(mesh.points))
    places = {name: _top(view(middles)) for name, middles in named_places(mesh, mesh.points, labels).items()}
    inside = {name for name, at in places.items() if box is not None and _within(at, box)}
    label(whole, {name: at for name, at in places.items() if name not in inside})
    for axes in detail:
        assert box is not None
        _frame(axes, view, np.array(box))
        label(axes, {name: at for name, at in places.items() if name in inside})
        whole.indicate_inset_zoom(axes, edgecolor="black", alpha=0.4)
    explain(figure, title, regions)
    # Pictures have the pixels that the layout leaves them.
    figure.draw_without_rendering()
    for axes in (whole, *detail):
        _draw(axes, mesh, view(mesh.points), regions, edges=box is None or axes is not whole)
    return figure


def _solid(mesh: Mesh, title: str, figure: Figure | None, labels: Mapping[str, str] | None) -> Figure:
    """A rendered solid from above, with the explanations of the other pictures."""
    points, stretch = stretched(mesh.points, SOLID_ASPECT)
    view = np.array([-0.4, -0.8, 0.6]) / np.linalg.norm([-0.4, -0.8, 0.6])
    right = np.cross([0.0, 0.0, 1.0], view) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], view))
    frame = np.array([right, np.cross(view, right)])
    seen = points @ frame.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    half_height = 0.52 * float(max(high[1] - low[1], (high[0] - low[0]) * PIXELS[1] / PIXELS[0]))
    centre = 0.5 * (low + high)
    regions = coloured_regions(mesh)
    middle = centre @ frame + (points.mean(axis=0) @ view) * view
    image = render(mesh, points, regions, Camera(view, (0.0, 0.0, 1.0), middle, half_height, PIXELS))

    figure = figure or Figure(**SHAPE)
    axes = figure.subplots()
    axes.imshow(image)
    axes.set_axis_off()
    per_length = 0.5 * PIXELS[1] / half_height
    places = {}
    for name, middles in named_places(mesh, points, labels).items():
        at = (middles.mean(axis=0) @ frame.T - centre) * per_length
        places[name] = np.array([0.5 * PIXELS[0] + at[0], 0.5 * PIXELS[1] - at[1]])
    unit, factor = unit_of_length(float(np.ptp(mesh.points, axis=0).max()))
    size = " × ".join(f"{length * factor:.4g}" for length in np.ptp(mesh.points, axis=0))
    # No more of the picture than the solid, with the bar below it.
    half = 0.5 * np.array(PIXELS) + np.array([[-0.5], [0.5]]) * (high - low) * per_length
    margin = 0.03 * float(np.ptp(half, axis=0).max())
    corner = np.array([half[0, 0], half[1, 1] + margin])
    length = float(np.ptp(mesh.points[:, 0]))
    bar_unit, bar_factor = unit_of_length(BAR * length)
    bar = round_length(BAR * length * bar_factor)
    along = np.ptp(points[:, 0]) / length * bar / bar_factor * per_length * frame[:, 0] * [1.0, -1.0]
    start = corner + np.array([0.0, max(-along[1], 0.0)])
    end = start + along
    axes.plot(*np.transpose([start, end]), color="black", linewidth=2.0, solid_capstyle="butt")
    axes.annotate(
        f"{bar:g} {bar_unit} along $x$", end, (6.0, 0.0), textcoords="offset points", fontsize=9, va="center"
    )
    axes.set_xlim(half[0, 0] - margin, half[1, 0] + margin)
    axes.set_ylim(max(start[1], end[1]) + margin, half[0, 1] - margin)
    label(axes, places, base=1.0)
    explain(figure, f"{title}, {size} {unit}{stretch}", regions)
    return figure


def explain(figure: Figure, title: str, regions: Regions) -> None:
    """Adds a title and a legend of the regions."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    handles = [Patch(facecolor=colour, edgecolor="#333333", label=name) for name, colour, _ in regions]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=9, title="regions")


def _view(mesh: Mesh) -> View:
    spread = np.ptp(mesh.points, axis=0)
    unit, factor = unit_of_length(float(spread.max()))
    thinnest = int(np.argmin(spread[::-1]))
    if spread[2 - thinnest] <= FLAT * spread.max():
        shown = [axis for axis in range(3) if axis != 2 - thinnest]
        return View(np.eye(3)[shown], (f"${'xyz'[shown[0]]}$", f"${'xyz'[shown[1]]}$"), unit, factor)
    # A plane that is none of the coordinates' own: its two longest directions.
    centred = mesh.points - mesh.points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return View(axes.T[:0:-1], ("along the plane", "across"), unit, factor)


def _detail(mesh: Mesh, view: View, regions: Regions) -> Box | None:
    """Corners of the part that holds what would be too small to see, with a margin around it."""
    points = view(mesh.points)
    longest = np.ptp(points, axis=0).max()
    small = []
    for _, _, cells in regions:
        corners = mesh.corners[cells]
        seen = points[corners[corners >= 0]]
        if np.ptp(seen, axis=0).max() < SMALL * longest:
            small.append(seen)
    if not small:
        return None
    seen = np.concatenate(small)
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = (high - low).max()
    if size > DETAIL * longest:
        return None
    middle, half = 0.5 * (low + high), np.maximum(0.5 * (high - low) + 0.15 * size, [0.8 * size, 0.0])
    return middle - half, middle + half


def _draw(axes: Axes, mesh: Mesh, points: np.ndarray, regions: Regions, *, edges: bool) -> None:
    """Fills a panel with the cells and boundaries within its limits; ``points (n_points, 2)``."""
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    width, height = (max(round(size), 1) for size in axes.get_window_extent().size)
    # A panel of height 2; its two directions may have different scales.
    size = np.array([2.0 * width / height, 2.0])
    seen = np.column_stack([(points - limits[:, 0]) / np.ptp(limits, axis=1) * size, np.zeros(len(points))])
    middle = np.array([*0.5 * size, 0.0])
    camera = Camera(np.array([0.0, 0.0, 1.0]), (0.0, 1.0, 0.0), middle, 1.0, (width, height))
    image = render(mesh, seen, regions, camera, edges=edges)
    axes.imshow(image, extent=limits.ravel().tolist(), aspect=axes.get_aspect(), interpolation="none")


def render(
    mesh: Mesh, points: np.ndarray, regions: Regions, camera: Camera, *, edges: bool = True
) -> np.ndarray:
    """Return the pixels ``(height, width, 3)`` of cells and boundaries, rendered off screen by PyVista.

    Args:
        mesh: the rank's part of the mesh.
        points: ``(n_points, 3)`` places of its vertices in the picture, of sizes of about one.
        regions: cells and their colours.
        camera: place and pixels of the picture.
        edges: False leaves out the edges of cells; meshes of more than `MAX_EDGES` cells have none.
    """
    edges = edges and mesh.n_cells <= MAX_EDGES
    with off_screen(camera.pixels) as plotter:
        for _, colour, chosen in regions:
            grid, _ = pyvista_grid(mesh, np.isin(np.arange(mesh.n_cells), chosen), points)
            plotter.add_mesh(grid, color=colour, show_edges=edges and mesh.dim > 1, **LOOKS[mesh.dim])
        if edges and mesh.dim == 1:
            plotter.add_mesh(_ticks(mesh, points, camera), color="#333333", line_width=EDGE, lighting=False)
        for faces in mesh.boundaries.values():
            # Boundaries that cover much of a solid would hide its regions.
            painted = mesh.face_area[faces].sum() <= MAX_PAINTED * mesh.face_area[mesh.outer_faces].sum()
            if len(faces) and (painted or mesh.dim < 3):
                places = points + (IN_FRONT if mesh.dim == 1 else 0.0)
                shape = _boundary(mesh.face_corners[faces, : max(mesh.dim, 2 * mesh.dim - 2)], places)
                width = {"line_width": LINE / 2, "point_size": LINE, "render_points_as_spheres": False}
                actor = plotter.add_mesh(shape, color=BOUNDARY, lighting=False, **width)
                # Drawn in front of the cells that it coincides with.
                actor.mapper.SetResolveCoincidentTopologyToPolygonOffset()
                actor.mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(-2.0, -2.0)
        plotter.enable_anti_aliasing("ssaa")
        plotter.enable_parallel_projection()
        plotter.camera_position = [tuple(camera.centre + 5.0 * camera.view), tuple(camera.centre), camera.up]
        plotter.camera.parallel_scale = camera.half_height
        plotter.reset_camera_clipping_range()
        return np.asarray(plotter.screenshot(None, return_img=True))


def _boundary(corners: np.ndarray, points: np.ndarray) -> Any:
    """Faces with ``corners (n, 1..4)`` as vertices, lines or polygons, filled up with −1."""
    import pyvista

    count = (corners >= 0).sum(axis=1)
    kind = {1: pyvista.CellType.VERTEX, 2: pyvista.CellType.LINE}.get(
        corners.shape[1], pyvista.CellType.POLYGON
    )
    rows = np.column_stack([count, corners])
    flat = rows[np.column_stack([np.ones(len(rows), dtype=bool), corners >= 0])]
    return pyvista.UnstructuredGrid(flat, np.full(len(corners), int(kind)), points)


def _ticks(mesh: Mesh, points: np.ndarray, camera: Camera) -> Any:
    """Short upright lines where the cells of a line end."""
    import pyvista

    ends = points[np.unique(mesh.corners[mesh.corners >= 0])]
    end = np.array([0.0, 0.5 * LINE * camera.half_height / camera.pixels[1], 0.0])
    return pyvista.line_segments_from_points(
        np.hstack([ends - end + IN_FRONT, ends + end + IN_FRONT]).reshape(-1, 3)
    )


def _frame(axes: Axes, view: View, points: np.ndarray) -> None:
    """Limits with a margin, to scale where the shape allows it, and names of the axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low
    straight = size <= FLAT * size.max()
    margin = np.where(straight, 1.0, 0.04 * size + 0.01 * size.max() * (size * LONGEST_ASPECT > size.max()))
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
    if straight[1]:
        axes.set_yticks([])
    elif size.max() <= LONGEST_ASPECT * size.min():
        axes.set_aspect("equal")
    axes.set_xlabel(f"{view.names[0]} ({view.unit})", fontsize=9)
    if not straight[1]:
        axes.set_ylabel(f"{view.names[1]} ({view.unit})", fontsize=9)
    axes.tick_params(labelsize=8)


def _within(at: np.ndarray, box: Box) -> bool:
    return bool(np.all(at >= box[0]) and np.all(at <= box[1]))


def _top(points: np.ndarray) -> np.ndarray:
    """The one of the ``(n, 2)`` points that is next to the middle of their upper side: labels stand above."""
    wanted = np.array([points[:, 0].mean(), points[:, 1].max()])
    return np.asarray(points[np.argmin(np.linalg.norm(points - wanted, axis=1))])


def label(axes: Axes, places: dict[str, np.ndarray], base: float = 1.08) -> None:
    """Names in a row above the panel, each with a line to its place; upright where they do not fit."""
    names = sorted(places, key=lambda name: float(places[name][0]))
    if not names:
        return
    low, high = axes.get_xlim()
    across = (np.array([places[name][0] for name in names]) - low) / (high - low)
    # A legend will take a quarter; equal scales of both axes may leave less.
    axes.apply_aspect()
    panel = min(0.75, axes.get_position().width) * WIDTH
    widths = LETTER * np.array([len(name) + 2 for name in names]) / panel
    upright = widths.sum() > 1.0
    if upright:
        widths = np.full(len(names), 2.5 * LETTER / panel)
    for name, at in zip(names, _spread(across, widths), strict=True):
        axes.annotate(
            name,
            xy=tuple(places[name]),
            xytext=(at, base),
            textcoords="axes fraction",
            ha="center",
            va="bottom",
            rotation=90.0 if upright else 0.0,
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "#555555", "linewidth": 0.7, "relpos": (0.5, 0.0)}
            | {"shrinkA": 0, "shrinkB": 0},
        )


def _spread(wanted: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Centres near the ascending ``wanted`` ones, of labels that neither overlap nor leave 0 … 1."""
    at = wanted.copy()
    for i in range(len(at)):
        lowest = 0.5 * widths[i] if i == 0 else at[i - 1] + 0.5 * (widths[i - 1] + widths[i])
        at[i] = max(at[i], lowest)
    for i in reversed(range(len(at))):
        highest = 1.0 - 0.5 * widths[i] if i == len(at) - 1 else at[i + 1] - 0.5 * (widths[i + 1] + widths[i])
        at[i] = min(at[i], highest)
    return at
