"""Fields that a run has written for ParaView become a film; what cannot is said in one line."""

from __future__ import annotations

import numpy as np
import pytest
import pyvista
from mpi4py import MPI
from PIL import Image

from fvqp import cli
from fvqp.errors import FvqpError
from fvqp.mesh import shape_mesh
from fvqp.results import FieldSeries
from fvqp.results.animation import _colours, animate
from fvqp.results.fields import steps_of

TIMES = (0.0, 0.5, 2.0)


@pytest.fixture
def folder(tmp_path):
    """A hot spot that moves from the left to the right half of a film, on a scale of four decades."""
    film = shape_mesh("grid2d", nx=8, Lx=0.8e-6, ny=4, Ly=0.4e-6, comm=MPI.COMM_SELF)
    series = FieldSeries(tmp_path, label="time (ns)")
    for step, time in enumerate(TIMES):
        left = film.centroid[:, 0] < 0.4e-6
        x_qp = np.where(left, 10.0 ** (-4 * step / 2), 10.0 ** (-4 + 4 * step / 2))
        series.write(film, time, {"x_qp": x_qp, "gap": np.full(film.n_cells, 180e-6)})
    return tmp_path


@pytest.mark.slow
def test_a_film_has_a_frame_for_every_step(folder, capsys):
    assert cli.main(["plot", str(folder), "--animate", "x_qp", "--to", str(folder / "films")]) == 0
    path = folder / "films" / "x_qp.gif"
    assert capsys.readouterr().out.split() == [str(path)]
    with Image.open(path) as film:
        assert film.n_frames == len(TIMES)
        seen = []
        for number in range(film.n_frames):
            film.seek(number)
            seen.append(np.asarray(film.convert("RGB"), dtype=int))
    height, width, _ = seen[0].shape
    # The coloured cells, without text, bar and background: the left and the right half change colours.
    body = np.any(np.abs(seen[0] - seen[2]).sum(axis=2) > 200, axis=0)
    columns = np.flatnonzero(body)
    assert columns.min() < 0.35 * width and columns.max() > 0.65 * width
    row = seen[0][height // 2 - 40]
    end = seen[2][height // 2 - 40]
    left, right = int(0.4 * width), int(0.6 * width)
    np.testing.assert_allclose(row[left], end[right], atol=25)
    np.testing.assert_allclose(row[right], end[left], atol=25)
    assert np.abs(row[left] - row[right]).sum() > 200


@pytest.mark.slow
def test_a_picture_says_how_large_the_device_is(folder, monkeypatch):
    said = []
    monkeypatch.setattr("pyvista.Plotter.add_text", lambda plotter, text, **given: said.append(text))
    animate(folder, "x_qp")
    assert said == [f"time (ns) = {time:.4g}\n0.8 x 0.4 um" for time in TIMES]


@pytest.mark.slow
def test_series_and_shown_names(folder):
    """Every series has a film of its own; a field may be called as ParaView shows it."""
    (folder / "fields.pvd").rename(folder / "fields_supercurrent_0.pvd")
    assert animate(folder, "gap (ueV)") == [folder / "figures" / "supercurrent_0_gap.gif"]


def test_films_that_cannot_be_made(folder, tmp_path_factory, capsys):
    with pytest.raises(FvqpError, match=r'no field "charge" in .*; there are: x_qp, gap \(ueV\)'):
        animate(folder, "charge")
    assert cli.main(["plot", str(folder), "--animate", "gap", "--kind", "g_nl"]) == 2
    assert "--kind and --animate" in capsys.readouterr().err
    with pytest.raises(FvqpError, match=r"holds no fields; name some in output\.fields"):
        animate(tmp_path_factory.mktemp("empty"), "gap")
    with pytest.raises(FvqpError, match="nowhere: no such folder"):
        animate(folder / "nowhere", "gap")
    step = next((folder / "fields").glob("*00001.vtu"))
    step.write_text("<VTK")
    with pytest.raises(FvqpError, match="cannot be read|it is damaged"):
        animate(folder, "gap")
    step.unlink()
    with pytest.raises(FvqpError, match="its step .* is not there"):
        animate(folder, "gap")
    (folder / "fields.pvd").write_text("<VTKFile><Collection/></VTKFile>")
    with pytest.raises(FvqpError, match="lists no steps"):
        animate(folder, "gap")
    (folder / "fields.pvd").write_text("<VTKFile")
    with pytest.raises(FvqpError, match="damaged"):
        animate(folder, "gap")


@pytest.mark.parametrize(
    ("field", "limits"), [("n_qp_cell", (2.0, 3.0)), ("gap", (100.0, 180.0)), ("x", (2.0, 9e9))]
)
def test_cells_without_a_gap_do_not_own_the_colours(tmp_path, field, limits):
    """A normal half of a film has many more quasiparticles than the other; it alone never has a
    gap."""
    film = shape_mesh("grid2d", nx=4, Lx=0.4e-6, ny=2, Ly=0.2e-6, comm=MPI.COMM_SELF)
    normal = film.centroid[:, 0] > 0.2e-6
    series = FieldSeries(tmp_path, label="time (ns)")
    for step, gap in enumerate((180e-6, 100e-6)):
        density = np.where(normal, 9e9, 2.0 + step)
        fields = {"n_qp_cell": 1e18 * density, "x": density, "gap": np.where(normal, 0.0, gap)}
        series.write(film, float(step), fields)
    steps = steps_of(tmp_path / "fields.pvd")
    colours = _colours(steps, field)
    np.testing.assert_allclose((colours.low, colours.high), limits)
    grey = np.isnan(colours.of(pyvista.read(steps.files[0])))
    np.testing.assert_array_equal(grey, normal if field != "x" else np.zeros(8, dtype=bool))
