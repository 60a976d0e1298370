"""The quality report against meshes whose angles and ratios are known, and the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import build_mesh, picture, quality, read_mesh, shape_mesh
from fvqp.mesh.vtk import stretched

SELF = MPI.COMM_SELF


def test_structured_grid() -> None:
    mesh = shape_mesh("grid2d", nx=4, Lx=8.0, ny=3, Ly=3.0, regions={"part": (0.0, 4.0)}, comm=SELF)
    q = quality.report(mesh)
    assert q.cells == {"quad": 12} and q.n_points == 20 and q.n_faces == 31 and q.n_outer_faces == 14
    assert q.regions == {"part": (6, 12.0)} and q.unnamed_cells == 6
    assert q.boundaries["left"] == (3, 3.0, 0)
    assert q.angle_max == 0.0 and q.n_oblique == 0
    assert q.aspect_max == pytest.approx(2.0) == q.aspect_mean
    assert q.volume_min == pytest.approx(2.0) == q.volume_max and q.volume_total == pytest.approx(24.0)
    assert q.components == 1


def test_known_angle() -> None:
    """Parallelograms leaning by 30°: the line of centroids leans with them where it crosses the rows."""
    lean = np.tan(np.radians(30.0))
    points = np.array([[x + lean * y, y, 0.0] for y in range(3) for x in range(2)])
    mesh = build_mesh(points, [("quad", np.array([[0, 1, 3, 2], [2, 3, 5, 4]]))], comm=SELF)
    q = quality.report(mesh)
    assert q.angle_max == pytest.approx(30.0) == q.angle_mean
    assert q.n_oblique == 1


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("triangle", [[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]]),
        ("tetra", [[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]]),
        (
            "hexahedron",
            [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
        ),
    ],
)
def test_regular_cells_have_aspect_one(kind: str, points: list[list[float]]) -> None:
    mesh = build_mesh(np.array(points), [(kind, np.arange(len(points))[None, :])], comm=SELF)
    assert quality.aspect_ratio(mesh) == pytest.approx([1.0])


def test_text() -> None:
    text = str(quality.report(read_mesh("meshes/ryan_wire/line.msh", length_unit="um", comm=SELF)))
    for words in ("388 line", "junction_B", "reservoir_left", "point_A", "inside", "1.1e-05 m"):
        assert words in text
    assert "oblique faces    0" in text
    assert "extent           11 um, at x -5.5 … 5.5\n" in text
    text = str(quality.report(read_mesh("meshes/devices/absorber_3d.msh", length_unit="um", comm=SELF)))
    assert "extent           100 × 40 × 40.1 um, at x 0 … 100, y -20 … 20, z -40 … 0.1\n" in text


@pytest.mark.slow
def test_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pyvista = pytest.importorskip("pyvista")
    for name in ("line", "film", "wire_3d"):
        mesh = read_mesh(f"meshes/ryan_wire/{name}.msh", length_unit="um", comm=SELF)
        file = picture.save(mesh, tmp_path / f"{name}.png")
        pixels = np.asarray(pyvista.read(file).active_scalars)[:, :3]
        # Something of the colour of the first region, and of the boundaries, is to be seen.
        for colour in ((0x44, 0x77, 0xAA), (220, 20, 60)):
            assert np.any(np.all(np.abs(pixels.astype(int) - colour) < 40, axis=1)), (name, colour)
    assert capfd.readouterr().err == ""
    with pytest.raises(MeshError, match="png"):
        picture.save(mesh, tmp_path / "mesh.txt")
    with pytest.raises(MeshError, match="no folder"):
        picture.save(mesh, tmp_path / "none" / "mesh.png")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "length"), [(40e-6, 20.0), (1.5e-3, 20.0)])
def test_scale_bar_of_a_solid(width: float, length: float) -> None:
    """Against the length and breadth of the solid in the picture, to which this is cropped."""
    sizes = {"Lx": 100e-6, "Ly": width, "Lz": 40e-6}
    solid = shape_mesh("grid3d", nx=2, ny=2, nz=2, **sizes, comm=SELF)
    (axes,) = picture.fill(solid).axes
    (bar,) = axes.lines
    (text,) = (text.get_text() for text in axes.texts if "along" in text.get_text())
    assert text == f"{length:g} µm along $x$"
    places, _ = stretched(solid.points, picture.SOLID_ASPECT)
    long, broad, _ = np.ptp(places, axis=0)
    # Both are seen from the front and the left, at angles whose tangents are 2 and 1/2.
    expected = length * 1e-6 * long / 100e-6 * 2.0 / (2.0 * long + broad)
    # The bar begins below the left end of the solid, which has a margin on both sides.
    low, high = axes.get_xlim()
    within = high - low - 2.0 * (bar.get_xdata()[0] - low)
    assert np.ptp(bar.get_xdata()) / within == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_labels_neither_overlap_nor_leave_the_picture(tmp_path: Path) -> None:
    """A thin strip that stands upright, with many boundaries, most of them at one end."""
    names = {f"tap_number_{n}": [0.002 * n] for n in range(1, 25)}
    flat = shape_mesh("grid2d", nx=100, Lx=0.2, ny=1, Ly=1e-3, boundaries=names, comm=SELF)
    upright = build_mesh(
        flat.points[:, [0, 2, 1]],
        [("quad", flat.corners[:, :4])],
        boundaries={name: flat.face_corners[faces] for name, faces in flat.boundaries.items()},
        comm=SELF,
    )
    figure = picture.fill(upright, title="strip")
    figure.savefig(tmp_path / "strip.png")
    assert figure.axes[0].get_ylabel() == "$z$ (mm)"
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == len(upright.boundaries) == 28
    assert all(0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_labels_of_a_narrow_panel_point_to_their_boundaries() -> None:
    """A square in a wide picture: names do not fit beside one another, that of the outline is on it."""
    square = shape_mesh("grid2d", nx=8, ny=8, Lx=1.0, Ly=1.0, comm=SELF)
    faces = np.concatenate([square.boundaries[side] for side in ("left", "right", "bottom", "top")])
    outlined = build_mesh(
        square.points,
        [("quad", square.corners[:, :4])],
        boundaries={
            name: square.face_corners[of]
            for name, of in (("strip_edge", faces), ("ground_plane", square.boundaries["bottom"]))
        },
        comm=SELF,
    )
    figure = picture.fill(outlined, title="square")
    figure.draw_without_rendering()
    texts = {text.get_text(): text for text in figure.axes[0].texts}
    first, second = (Text.get_window_extent(text) for text in texts.values())
    assert not first.overlaps(second)
    assert texts["strip_edge"].xy[1] == 1.0 and texts["ground_plane"].xy[1] == 0.0


def test_report_is_of_the_scaled_mesh() -> None:
    film = quality.report(read_mesh("meshes/ryan_wire/film.msh", length_unit="um", comm=SELF))
    assert film.volume_total == pytest.approx(11e-6 * 150e-9 + 2 * 1.5e-6 * 2e-6, rel=1e-9)
    assert film.extent[:, 0] == pytest.approx([-7e-6, 7e-6])
