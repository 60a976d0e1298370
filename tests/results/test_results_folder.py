"""The results folder: whose it is, what is in it, ParaView files, figures."""

import io
import json
import logging
import time
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import pyvista
from launching import HANGS
from matplotlib.figure import Figure
from rich.console import Console

from fvqp.errors import CheckpointError, FvqpError
from fvqp.results import Checkpoint, FieldSeries, ResultsFolder, SweepDataset, SweepProgress, open_result
from fvqp.results.dataset import Outcome
from fvqp.results.figures import FAMILIES, FigureSpec, draw, fill
from fvqp.results.folder import folder_hash
from fvqp.results.progress import LogPace, tell
from fvqp.texts import duration

HASH = "ab" * 32
TEXT = 'title = "t"\n'


def test_a_run_and_its_folder(film, sweep, tmp_path):
    with ResultsFolder(tmp_path / "out", TEXT, HASH, comm=film.comm) as folder:
        assert folder.start(sweep, film) is None
        logging.getLogger("fvqp.somewhere").info("hello")
        assert not folder.save(film, Checkpoint(sweep.completed))
        assert folder.save(film, Checkpoint(sweep.completed), force=True)
    assert folder_hash(folder.path) == HASH
    assert (folder.path / "case.toml").read_text().endswith(TEXT)
    assert "hello" in (folder.path / "run.log").read_text()
    result = open_result(folder.path)
    assert result.dataset.attrs["case_hash"] == HASH and "numpy" in result.dataset.attrs["versions"]
    assert not list(folder.path.glob(".*"))


def test_what_is_not_due_is_written_at_the_end(film, sweep, tmp_path):
    with pytest.raises(KeyboardInterrupt), ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm) as folder:
        folder.start(sweep, film)
        assert not folder.save(film, Checkpoint(sweep.completed))
        raise KeyboardInterrupt
    assert open_result(tmp_path).dataset["completed"].values.all()
    assert "stopped: KeyboardInterrupt" in (tmp_path / "run.log").read_text()


def test_whose_folder(film, sweep, tmp_path):
    path = tmp_path / "out"
    with ResultsFolder(path, TEXT, HASH, comm=film.comm) as folder:
        folder.start(sweep, film)
        folder.save(film, Checkpoint(sweep.completed), force=True)
    for resume in (False, True):
        with pytest.raises(CheckpointError, match="belongs to another case"):
            ResultsFolder(path, TEXT, "cd" * 32, comm=film.comm, resume=resume)
    with pytest.raises(CheckpointError, match=r"--resume \(resume=True\) goes on from them, --out \(out=\)"):
        ResultsFolder(path, TEXT, HASH, comm=film.comm)
    assert ResultsFolder(path, TEXT, HASH, comm=film.comm, resume=True).resuming
    with ResultsFolder(tmp_path / "failed", TEXT, HASH, comm=film.comm):
        pass
    ResultsFolder(tmp_path / "failed", TEXT, "cd" * 32, comm=film.comm)
    assert folder_hash(tmp_path / "failed") == "cd" * 32
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(CheckpointError, match="not empty and not a results folder"):
        ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm)
    with pytest.raises(CheckpointError, match="is a file"):
        ResultsFolder(tmp_path / "precious.txt", TEXT, HASH, comm=film.comm)
    assert not ResultsFolder(tmp_path / "new", TEXT, HASH, comm=film.comm, resume=True).resuming


def test_resuming(film, sweep, tmp_path):
    state = {"f_L": np.random.default_rng(0).random((film.n_cells, 3))}
    done = sweep.completed
    done[3:] = False
    with ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm) as folder:
        folder.start(sweep, film)
        folder.save(film, Checkpoint(done, state, {"gap": np.array(0.9)}), force=True)
    again = SweepDataset({name: sweep.dataset[name].values for name in sweep.sweep_dims})
    with ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm, resume=True) as folder:
        checkpoint = folder.start(again, film)
        assert checkpoint is not None
        np.testing.assert_array_equal(checkpoint.arrays["f_L"], state["f_L"])
        np.testing.assert_array_equal(checkpoint.completed, done)
        assert checkpoint.numbers["gap"] == 0.9
    np.testing.assert_array_equal(again.completed, done)
    np.testing.assert_array_equal(again.dataset["g_nl"].values[:3], sweep.dataset["g_nl"].values[:3])
    assert len(again.dataset.attrs["history"].splitlines()) == 2


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_truncated_checkpoint(film, sweep, tmp_path, keep):
    with ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm) as folder:
        folder.start(sweep, film)
        folder.save(film, Checkpoint(sweep.completed, {"f": np.ones((film.n_cells, 50))}), force=True)
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        ResultsFolder(tmp_path, TEXT, HASH, comm=film.comm, resume=True).start(sweep, film)
    assert "\n" not in str(caught.value)


def test_fields_for_paraview(film, tmp_path):
    series = FieldSeries(tmp_path)
    gap = np.arange(film.n_cells) * 1e-6
    series.write(film, 0.4, {"gap": gap, "f_L at 1.5 Delta0": np.ones(film.n_cells)})
    assert -0.1 - 0.2 - 0.1 + 1e-16 != -0.4
    series.write(film, -0.1 - 0.2 - 0.1 + 1e-16, {"gap": 2 * gap})
    FieldSeries(tmp_path).write(film, 0.4, {"gap": 3 * gap})
    entries = list(ET.parse(tmp_path / "fields.pvd").iter("DataSet"))
    assert [entry.attrib["timestep"] for entry in entries] == ["-0.4", "0.4"]
    grid = pyvista.read(tmp_path / entries[1].attrib["file"])
    assert grid.n_cells == 24 and grid.n_points == 35
    np.testing.assert_allclose(grid.cell_data["gap (ueV)"], 3 * gap[grid.cell_data["cell"]] * 1e6)
    np.testing.assert_allclose(grid.bounds[:4], (0.0, 0.6, 0.0, 0.4))
    np.testing.assert_allclose(grid.cell_centers().points, film.centroid * 1e6, atol=1e-12)
    assert len(list((tmp_path / "fields").iterdir())) == 2
    (tmp_path / "fields.pvd").write_text("<VTKFile")
    with pytest.raises(CheckpointError, match="damaged"):
        FieldSeries(tmp_path).write(film, 0.4, {"gap": gap})


def draw_spec(kind):
    return FigureSpec(kind, variable={"spectrum": "f_L", "fields": "mu_Q"}.get(kind))


# The others need metal leads or several biases of both junctions; they are drawn with cases that have them.
@pytest.mark.parametrize("kind", sorted({*FAMILIES["usadel"]} - {"lead_temperature", "map", "surface"}))
def test_every_kind_of_figure_is_drawn(film, sweep, tmp_path, kind):
    n = len(sweep.dataset["V_inj"])
    for name, values in zip("xyz", film.centroid.T, strict=True):
        sweep.set_coordinate(name, ("cell",), values)
    sweep.set_coordinate("energy", ("energy",), np.linspace(0, 1e-3, 7))
    sweep.define("f_L", ("energy",))
    sweep.define("mu_Q", ("cell",), "V", "quasiparticle potential mu_Q*")
    for j in range(n):
        sweep.record((2, 0, j), f_L=np.linspace(0, 1, 7) ** (j + 1), mu_Q=film.centroid[:, 0] * j, G_inj=1e-6)
    path, table = draw(sweep.dataset, draw_spec(kind), tmp_path, ["png", "csv"])
    assert path.name == f"{kind}.png" and path.stat().st_size > 5000
    assert len(table.read_text().splitlines()) > 5


@pytest.mark.slow
def test_result_draws_what_its_case_asks_for(film, sweep, tmp_path):
    figures = [{"kind": "g_ss", "compare": "analytic"}, {"kind": "g_a", "file": "odd.pdf", "offset": 1e-9}]
    sweep.dataset.attrs["figures"] = json.dumps(figures)
    sweep.dataset["g_ss_analytic"] = sweep.dataset["g_nl"]
    sweep.write(tmp_path / "results.nc")
    files = open_result(tmp_path).save_figures()
    assert files == [tmp_path / "figures" / "g_ss.png", tmp_path / "figures" / "odd.pdf"]
    assert all(file.exists() for file in files)
    assert open_result(tmp_path).save_figures(tmp_path / "else", kind="gap") == [
        tmp_path / "else" / "gap.png"
    ]
    with pytest.raises(FvqpError, match='no figure of kind "g_xx"'):
        open_result(tmp_path).save_figures(kind="g_xx")
    with pytest.raises(FvqpError, match="hold no G_inj"):
        open_result(tmp_path).save_figures(kind="local_conductance")


def test_progress_counts_and_estimates(film, monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr("fvqp.results.progress.time.monotonic", lambda: now[0])
    with caplog.at_level("INFO", logger="fvqp"), SweepProgress(10, film.comm, done=2) as progress:
        assert progress.time_left() == "unknown"
        for _ in range(4):
            now[0] += 6.0
            progress.advance("V_inj = 1 mV")
        assert progress.time_left() == "0:00:24"
    assert [record.message for record in caplog.records] == [
        "4 of 10 points, 0:00:36 left; last V_inj = 1 mV",
        "6 of 10 points, 0:00:24 left; last V_inj = 1 mV",
    ]


def test_a_long_point_is_told(film, monkeypatch, caplog):
    """A thread says that the run goes on, and nothing more once all points are done."""
    monkeypatch.setattr("fvqp.results.progress.LINE_EVERY", 0.02)
    with caplog.at_level("INFO", logger="fvqp"), SweepProgress(1, film.comm) as progress:
        limit = time.monotonic() + HANGS
        while len(caplog.records) < 2 and time.monotonic() < limit:
            time.sleep(0.01)
        assert [record.message for record in caplog.records[:2]] == 2 * ["0 of 1 points after 0:00:00"]
        progress.advance("the point")
        caplog.clear()
        progress.wait()
    assert not caplog.records


def test_lines_appear_in_scripts(film, monkeypatch, capsys):
    """Where nobody has set up logging, lines are printed, also beside the log file of a run."""
    logger = logging.getLogger("fvqp")
    monkeypatch.setattr(logger, "propagate", False)
    tell("to people")
    assert capsys.readouterr().err == "to people\n"
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(io.StringIO())])
    tell("to a handler")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (9.97, "10 s"), (125.4, "2 min 5 s"), (3725.0, "1:02:05")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_progress_within_a_point(film, monkeypatch, caplog):
    """What the next points wait for is told like the points: after two seconds, and with the time left."""
    now = [0.0]
    monkeypatch.setattr("fvqp.results.progress.time.monotonic", lambda: now[0])
    with caplog.at_level("INFO", logger="fvqp"), SweepProgress(10, film.comm) as progress:
        for seconds, part in ((0.0, 0.0), (1.0, 0.1), (9.0, 0.25), (2.0, 0.3), (20.0, 0.8), (8.0, 1.0)):
            now[0] += seconds
            progress.within("the branch, at 1 mV", part)
    assert [record.message for record in caplog.records] == [
        "25 % of the branch, at 1 mV, 0:00:30 left",
        "80 % of the branch, at 1 mV, 0:00:08 left",
    ]
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    with SweepProgress(10, film.comm, console=terminal) as progress:
        for part in (0.0, 0.25, 0.5):
            now[0] += 3.0
            progress.within("the branch, at 1 mV", part)
        progress.advance("V_inj = 1 mV")
        progress.within("the branch, at 1 mV", 1.0)
    shown = terminal.file.getvalue()
    assert "50/100" in shown and "% of the branch, at 1 mV" in shown
    assert "1/10" in shown and "50/100" not in shown.rsplit("\n", 1)[-1]


def drawn(dataset, spec):
    """Axes of a figure."""
    return fill(dataset, spec, Figure()).axes


def test_figures_say_what_an_unfinished_map_lacks(film, sweep, tmp_path, monkeypatch):
    """What is there is drawn; points without a solution are not missing."""
    biases = np.array([-2.0, -1.0, 1.0, 2.0])
    part = SweepDataset({"V_det": biases, "V_inj": biases}, {}, {"title": "Map"})
    part.define_outcome()
    for k, value in enumerate(biases):
        part.record((0, k), g_nl=1e-9 * value)
    part.leave((1, 0), Outcome.DESTROYED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caught = [fill(part.dataset, FigureSpec(kind), Figure()) for kind in ("map", "surface")]
    titles = [figure.get_suptitle() for figure in caught]
    assert titles == ["Map\nunfinished: 5 of 16 points"] * 2
    image = np.ma.getmaskarray(caught[0].axes[0].collections[0].get_array())
    assert image.reshape(4, 4).tolist() == [[False] * 4] + 3 * [[True] * 4]


def test_gap_and_quasiparticles_are_drawn_on_the_scale_of_the_gap(film, sweep, tmp_path, monkeypatch):
    """Under the junctions, where cells are stored beside them; f_L as 1 − f_L above the gap."""
    unit = 265e-6
    sweep.dataset.attrs["delta0_eV"] = unit
    sweep.set_coordinate("energy", ("energy",), np.array([0.5, 1.5, 2.5]) * unit)
    sweep.define("f_L_junction", ("energy",), "1", "f_L under the junctions")
    sweep.define("gap_junction", (), "eV", "gap under the junctions")
    sweep.dataset["gap_junction"].values[...] = 0.9 * unit
    sweep.dataset["f_L_junction"].values[...] = [0.1, 0.7, 0.9]
    (axes,) = drawn(sweep.dataset, FigureSpec("gap"))
    assert axes.get_xlabel() == r"$eV_\mathrm{inj}/\Delta_0$"
    assert axes.get_ylabel() == r"$\Delta/\Delta_0$"
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(y, 0.9)
    np.testing.assert_allclose(x[-1], 1e-3 / unit)
    (axes,) = drawn(sweep.dataset, FigureSpec("spectrum", variable="f_L"))
    assert axes.get_ylabel() == r"$1-f_\mathrm{L}$"
    assert 1 < len(axes.lines) <= 5
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(x, [1.5, 2.5])
    np.testing.assert_allclose(y, [0.3, 0.1])


def test_one_gap_for_the_device_is_one_curve(film, sweep, tmp_path, monkeypatch):
    sweep.set_coordinate("junction", ("junction",), np.array(["A", "B"]))
    sweep.define("gap_junction", ("junction",), "eV", "gap under the junctions")
    gap = sweep.dataset["gap_junction"]
    gap.values[...] = 1e-4 * (1.0 + 0.1 * np.arange(11))[:, None]
    (axes,) = drawn(sweep.dataset, FigureSpec("gap"))
    # It is even in the supercurrent: both signs of it are one curve too.
    sizes = [line.get_label().split("= ")[1] for line in axes.lines]
    assert sizes == ["0 µA", "±5 µA", "±10 µA"] and axes.get_title() == ""
    gap.values[..., 1] *= 1.01
    (axes,) = drawn(sweep.dataset, FigureSpec("gap"))
    assert [line.get_label()[-1] for line in axes.lines] == ["A", "B"]
    assert axes.get_title() == ""
    gap.values[0, ..., 1] *= 1.01
    (axes,) = drawn(sweep.dataset, FigureSpec("gap"))
    assert axes.get_title().endswith("= 0 A")


def test_curves_are_shifted_and_biases_in_millivolt(film, sweep, tmp_path, monkeypatch):
    (axes,) = drawn(sweep.dataset, FigureSpec("g_a", offset=1e-8))
    assert axes.get_xlabel().endswith("(mV)") and axes.get_ylabel().endswith("(nS)")
    first, second = (line.get_ydata() for line in axes.lines)
    assert second[5] - first[5] == pytest.approx(10.0, abs=0.1)


def test_a_title_that_is_no_formula(film, sweep, tmp_path):
    with pytest.raises(FvqpError, match=r"g_nl\.png: a title or name in it is no valid formula"):
        draw(sweep.dataset, FigureSpec("g_nl", title=r"$\frac{$"), tmp_path)


def test_time_left_by_logarithms(monkeypatch):
    """Ten seconds a decade, after three decades in no time."""
    clock = 0.0
    monkeypatch.setattr("fvqp.results.progress.time.monotonic", lambda: clock)
    pace = LogPace()
    assert pace.left(1e-6, 1e4) == "unknown"
    for decade in range(4):
        clock = 10.0 * decade
        said = pace.left(10.0 ** (decade - 3), 1e4)
    assert said == "0:00:40"
