"""Figures as axes and as files: pictures, drawings for print, and the numbers that they show."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from fvqp import cli
from fvqp.errors import FvqpError
from fvqp.results import SweepDataset, open_result
from fvqp.results.figures import FigureSpec, draw, fill
from fvqp.results.figures.numbers import numbers, plain
from fvqp.results.result import Result


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


@pytest.fixture
def uneven():
    """Non-local conductance over both biases, which are not equally spaced."""
    data = SweepDataset(
        {"V_det": [-3e-4, 1e-4, 2e-4], "V_inj": [-4e-4, 0.0, 1e-4, 5e-4]}, {}, {"title": "Map"}
    )
    for i in range(3):
        for j in range(4):
            data.record((i, j), g_nl=1e-9 * (10 * i + j))
    return data.dataset.assign_attrs(delta0_eV=2e-4)


def test_numbers_of_curves(sweep, tmp_path):
    (file,) = draw(sweep.dataset, FigureSpec("g_nl"), tmp_path, ["csv"])
    rows = rows_of(file.read_text())
    assert file.name == "g_nl.csv" and len(rows) == 55
    assert {(row["x_name"], row["y_name"]) for row in rows} == {("V_inj (mV)", "g_nl (nS)")}
    for number in range(5):
        mine = [row for row in rows if row["curve"] == str(number + 1)]
        np.testing.assert_allclose(column(mine, "x"), sweep.dataset["V_inj"] * 1e3, atol=1e-12)
        np.testing.assert_allclose(column(mine, "y"), sweep.dataset["g_nl"][number, 0] * 1e9, rtol=1e-9)
        assert mine[0]["label"]


@pytest.mark.parametrize("kind", ["map", "surface"])
def test_numbers_of_maps(uneven, tmp_path, kind):
    """At the biases themselves, which are not the middles of the coloured cells."""
    (file,) = draw(uneven, FigureSpec(kind), tmp_path, ["csv"])
    rows = rows_of(file.read_text())
    v_det, v_inj = np.meshgrid(uneven["V_det"], uneven["V_inj"], indexing="ij")
    np.testing.assert_allclose(column(rows, "x"), v_inj.ravel() / 2e-4, atol=1e-12)
    np.testing.assert_allclose(column(rows, "y"), v_det.ravel() / 2e-4)
    np.testing.assert_allclose(column(rows, "value"), uneven["g_nl"].values.ravel() * 1e9)
    assert {row["value_name"] for row in rows} == {"g_nl (nS)"} and rows[0]["x_name"] == "eV_inj/Delta_0"


def test_numbers_of_points_with_errors_and_of_cells():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.errorbar([1.0, 2.0], [3.0, 4.0], [0.5, 0.25], fmt="o", label="$N_\\mathrm{a}$")
    left.axhline(7.0)
    left.plot([], [], label="in the legend alone")
    cells = PolyCollection([[(0, 0), (3, 0), (0, 3)], [(3, 0), (3, 3), (0, 3)]], array=[5.0, 6.0])
    right.add_collection(cells)
    figure.colorbar(cells, label="$x$ (µm)")
    rows = rows_of(numbers(figure))
    assert [(r["panel"], r["label"], r["x"], r["y"], r["y_error"]) for r in rows[:2]] == [
        ("1", "N_a", "1", "3", "0.5"),
        ("1", "N_a", "2", "4", "0.25"),
    ]
    assert [(r["panel"], r["x"], r["y"], r["value_name"], r["value"]) for r in rows[2:]] == [
        ("2", "1", "1", "x (µm)", "5"),
        ("2", "2", "2", "x (µm)", "6"),
    ]


def test_labels_without_markup():
    assert plain("$1/\\tau_0^\\mathrm{pb}$ (ns)") == "1/tau_0^pb (ns)"
    assert plain("$\\xi\\,\\partial_x\\varphi$") == "xi partial_xvarphi"


def test_files_for_print(sweep, tmp_path, capsys):
    sweep.write(tmp_path / "results.nc")
    formats = [word for ending in ("svg", "pdf", "csv") for word in ("--format", ending)]
    assert cli.main(["plot", str(tmp_path), "--kind", "g_ss", *formats]) == 0
    files = [tmp_path / "figures" / f"g_ss.{ending}" for ending in ("svg", "pdf", "csv")]
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert ET.parse(files[0]).getroot().tag.endswith("svg") and files[1].read_bytes().startswith(b"%PDF")
    assert len(rows_of(files[2].read_text())) >= 11
    # Letters stay letters: as text, and as TrueType fonts.
    letters = ET.parse(files[0]).getroot().findall(".//{http://www.w3.org/2000/svg}text")
    assert "0.0" in ["".join(one.itertext()) for one in letters]
    assert b"/FontFile2" in files[1].read_bytes() and b"/Type3" not in files[1].read_bytes()
    assert cli.main(["plot", str(tmp_path), "--kind", "g_ss", "--format", "tiff"]) == 2
    assert 'there is no format "tiff" of figures; there are: png, svg, pdf, csv' in capsys.readouterr().err
    assert cli.main(["plot", str(tmp_path), "--format", "csv", "--animate", "gap"]) == 2
    assert "--format and --animate: figures or films" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("width", "millimetres"), [("single", 86.0), ("double", 178.0)])
@pytest.mark.parametrize("kind", ["g_ss", "g_nl", "g_a"])
def test_columns_of_a_journal(sweep, tmp_path, width, millimetres, kind):
    for axes in (panels := Result(sweep.dataset).plot(kind, width=width)):
        sizes = [text.get_fontsize() for text in axes.findobj(Text)]
        assert 8.0 <= min(sizes) and max(sizes) <= 9.0
        assert max(line.get_linewidth() for line in axes.lines) <= 1.0
    figure = panels[0].figure
    assert 25.4 * figure.get_figwidth() == pytest.approx(millimetres) and not figure.get_suptitle()
    assert len(figure.legends) == (width == "single") * (kind == "g_nl")
    pyplot.close("all")
    (file,) = draw(sweep.dataset, FigureSpec(kind), tmp_path, ["png"], width)
    assert pyplot.imread(file).shape[1] == pytest.approx(600 * millimetres / 25.4, abs=1.0)


def test_width_is_a_known_one_and_not_of_films(sweep, tmp_path, capsys):
    sweep.write(tmp_path / "results.nc")
    assert cli.main(["plot", str(tmp_path), "--kind", "g_nl", "--width", "single"]) == 0
    assert cli.main(["plot", str(tmp_path), "--kind", "g_nl", "--width", "broad"]) == 2
    assert 'there is no width "broad" of figures; there are: single, double' in capsys.readouterr().err
    assert cli.main(["plot", str(tmp_path), "--width", "single", "--animate", "gap"]) == 2
    assert "--width and --animate: figures or films" in capsys.readouterr().err


def test_maps_show_values_beyond_their_colours_and_no_pixels(uneven):
    """Gaps of a sweep stay gaps, others are bridged."""
    figure = fill(uneven, FigureSpec("map", limit=1e-8), Figure())
    image = figure.axes[0].collections[0]
    assert image.get_array().size > image._fvqp_numbers[2].size and image.get_rasterized()
    assert tuple(image.to_rgba(1e3)) == tuple(image.to_rgba(image.get_clim()[1]))
    uneven["g_nl"][0, 0] = np.nan
    image = fill(uneven, FigureSpec("map"), Figure()).axes[0].collections[0]
    assert image.get_array().size == image._fvqp_numbers[2].size


def test_figures_say_how_far_curves_are_apart(sweep):
    def title(**options):
        return fill(sweep.dataset, FigureSpec("g_nl", **options), Figure()).axes[0].get_title()

    assert title(offset=2.5e-9) == "curves 2.5 nS apart" and title() == ""


def test_axes_to_work_with(sweep, tmp_path):
    sweep.dataset.attrs["figures"] = '[{"kind": "g_nl"}, {"kind": "gap", "title": "My gap"}]'
    sweep.write(tmp_path / "results.nc")
    result = open_result(tmp_path)
    pyplot.close("all")
    curves, gaps = result.plot()
    assert len(curves.lines) == 5 and gaps.figure.get_suptitle() == "My gap"
    assert [pyplot.figure(number) for number in pyplot.get_fignums()] == [curves.figure, gaps.figure]
    assert not (tmp_path / "figures").exists()
    pyplot.close("all")
    (axes,) = result.plot("g_nl")
    axes.set_xlim(0, 1)
    pyplot.close("all")
    with pytest.raises(FvqpError, match='no figure of kind "g_xx"'):
        result.plot("g_xx")
    assert not pyplot.get_fignums()
    with pytest.raises(
        FvqpError, match=r"asks for no figures; name a kind, such as plot\(kind\); there are: g_ss, g_a"
    ):
        Result(sweep.dataset.assign_attrs(figures="[]")).plot()
