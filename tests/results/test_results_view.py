"""The interactive page of a results folder has the numbers of the results, and a browser shows them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvista
import tomlkit
from browser import browser, complaints, open_page  # noqa: F401
from case_keys import changed
from run_cases import CURRENTS, LINE
from transport_cases import SPHERE

import fvqp
from fvqp import cli
from fvqp.errors import FvqpError
from fvqp.mesh.vtk import shells_grid
from fvqp.results import SweepDataset, open_result
from fvqp.results.fields import REGION_NAMES, steps_of
from fvqp.results.view import view

WIRE = changed(
    LINE,
    {
        "mesh.shape.regions": {"west": [["0 um", "2 um"]], "east": [["2 um", "4 um"]]},
        "output": {"fields": ["gap", "charge_imbalance"], "stored": ["f_L", "dos"]},
    },
)


def computed(case: dict[str, Any], folder: Path) -> Path:
    """The results folder of a case that has been run."""
    file = folder / "case.toml"
    file.write_text(tomlkit.dumps(case))
    fvqp.run(file, out=folder / "out")
    return folder / "out"


def data_of(page: Path) -> dict[str, Any]:
    """Return the data of a page, its arrays decoded."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    data = json.loads(text[1])
    for variable in data["variables"]:
        shape = [len(data["axes"][dim]["values"]) for dim in variable["dims"]]
        variable["values"] = np.frombuffer(base64.b64decode(variable["values"]), "<f4").reshape(shape)
    for name in ("points", "centre", "half", "triangles", "cell", "region"):
        if data["shape"]:
            kind = "<f4" if name in ("points", "centre", "half") else "<i4"
            data["shape"][name] = np.frombuffer(base64.b64decode(data["shape"][name]), kind)
    return data


def named(data: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
    return next(v for v in data["variables"] if v["name"] == name and v["kind"] == kind)


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    return computed(WIRE, tmp_path_factory.mktemp("wire"))


def test_a_page_holds_the_numbers_of_the_results(wire, capsys):
    assert cli.main(["view", str(wire), "--no-open"]) == 0
    page = wire / "view.html"
    assert capsys.readouterr().out.strip() == str(page)
    data, result = data_of(page), open_result(wire).dataset
    for name, kind in (("g_nl", "curve"), ("f_L", "spectrum"), ("dos", "spectrum")):
        stored = result[name].values
        np.testing.assert_allclose(named(data, name, kind)["values"], stored, rtol=1e-6)
    # ParaView's files have the gap in another unit.
    gap = named(data, "gap", "field")
    assert gap["unit"] == "eV"
    np.testing.assert_allclose(gap["values"], 1.0e-6 * steps(wire, "gap (ueV)"), rtol=1e-5)
    biases = data["axes"][gap["dims"][0]]
    assert biases["quantity"] == "V_inj" and biases["unit"] == "V"
    np.testing.assert_allclose(biases["values"], result["V_inj"].values, atol=1e-12)
    shape = data["shape"]
    assert shape["kind"] == "line" and shape["regions"] == ["west", "east"]
    assert [mark["name"] for mark in shape["marks"]] == ["A", "B"]
    # Junctions on points lie between two cells.
    np.testing.assert_allclose([mark["at"][0] for mark in shape["marks"]], [1.7, 2.0], atol=0.06)
    assert set(shape["cell"]) == set(range(40))


def steps(folder: Path, name: str) -> np.ndarray:
    return np.array([pyvista.read(file).cell_data[name] for file in steps_of(folder / "fields.pvd").files])


def test_steps_say_what_they_are_and_have_the_names_of_regions(wire):
    assert steps_of(wire / "fields.pvd").label == "V_inj (mV)"
    step = pyvista.read(wire / "fields" / "fields_00000.vtu")
    assert list(step.field_data[REGION_NAMES]) == ["west", "east"]
    middle = step.cell_centers().points[:, 0]
    np.testing.assert_array_equal(step.cell_data["region"], middle > 2.0)


def test_a_browser_shows_the_wire(wire, browser):  # noqa: F811
    open_page(browser, view(wire))
    run = browser.execute_script
    text = run("return document.body.innerText")
    for name in ("A short wire", "west", "east", "junction A", "junction B"):
        assert name in text
    # Every panel has drawn something.
    drawn = "return document.getElementById(arguments[0]).data.length"
    for panel in ("device-plot", "cut-plot", "curve-plot", "spectrum-plot1", "spectrum-plot2"):
        assert run(drawn, panel) > 0
    result = open_result(wire).dataset
    number = "return Array.from(document.getElementById(arguments[0]).data[0].y)"
    np.testing.assert_allclose(run(number, "curve-plot"), result["g_nl"].values[0], rtol=1e-5)

    # The slider: bias, field and spectra follow.
    assert "0.4 mV" in run("return document.getElementById('step-value').textContent")
    before = run(number, "cut-plot"), run(number, "spectrum-plot1")
    run("const s = document.getElementById('step'); s.value = 2; s.dispatchEvent(new Event('input'))")
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 200))")
    assert "0 V" in run("return document.getElementById('step-value').textContent")
    after = run(number, "cut-plot"), run(number, "spectrum-plot1")
    assert np.ptp(before[0]) > 0.0 and not np.allclose(before[0], after[0])
    assert not np.allclose(before[1], after[1])

    # A click on the last triangle of the east: the spectrum of the last cell.
    run("const s = document.getElementById('step'); s.value = 4; s.dispatchEvent(new Event('input'))")
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 200))")
    run(
        """const plot = document.getElementById('device-plot');
        const at = plot.data.findIndex(trace => trace.name === 'east');
        plot.emit('plotly_click', {points: [{curveNumber: at, pointNumber: plot.data[at].x.length - 1}]});"""
    )
    assert "cell 39, east" in run("return document.getElementById('spectrum-of').textContent")
    f_L = result["f_L"].sel(cell=39).isel(V_inj=4, V_det=0).values
    np.testing.assert_allclose(run(number, "spectrum-plot1"), f_L, rtol=1e-5)

    # Another field has other colours.
    shown = "return document.getElementById('device-plot').layout.coloraxis.colorbar.title.text"
    label = run(shown)
    run(
        "const s = document.getElementById('field'); s.value = 1 - s.value;"
        "s.dispatchEvent(new Event('change'))"
    )
    assert run(shown) != label
    assert complaints(browser) == []


@pytest.mark.slow
def test_a_real_click_reaches_a_cell(wire, browser):  # noqa: F811
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(browser, view(wire))
    plot = browser.find_element("id", "device-plot")
    before = browser.find_element("id", "under").text
    scene = plot.find_element("css selector", "canvas")
    places = [(dx, dy) for dy in (0, -15, 15) for dx in (-60, 40, 120)]
    for dx, dy in places:
        ActionChains(browser).move_to_element_with_offset(scene, dx, dy).pause(1).click().pause(1).perform()
        if browser.find_element("id", "under").text != before:
            break
    assert browser.find_element("id", "under").text != before
    assert complaints(browser) == []


def test_curves_of_supercurrents_have_a_choice_for_the_fields(tmp_path):
    case = changed(WIRE, {**CURRENTS, "output": {"fields": ["charge_imbalance"]}, "energies.number": 60})
    data = data_of(view(computed(case, tmp_path)))
    field = named(data, "charge_imbalance", "field")
    assert [data["axes"][dim]["quantity"] for dim in field["dims"]] == ["supercurrent", "V_inj", "cell"]
    assert field["unit"] == "C m⁻³" and np.isfinite(field["values"]).all()
    assert any("output.stored" in note for note in data["notes"])


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    changes = {"output": {"fields": True, "occupations": True}, "gap": {"model": "fixed"}}
    return computed(changed(SPHERE, changes), tmp_path_factory.mktemp("sphere"))


def test_shells_are_written_as_a_ball(sphere):
    step = pyvista.read(steps_of(sphere / "fields.pvd").files[-1])
    result = open_result(sphere).dataset
    sizes = step.compute_cell_sizes(length=False, area=False).cell_data["Volume"]
    volumes = np.bincount(step.cell_data["cell"], sizes) * 1e-18
    # A quarter is left out, and planes lie within the ball.
    np.testing.assert_allclose(volumes, 0.75 * result["cell_volume"], rtol=0.03)
    first = np.unique(step.cell_data["cell"], return_index=True)[1]
    shown = step.cell_data["n_qp_cell (1/um^3)"][first]
    np.testing.assert_allclose(shown, result["n_qp_cell"].values[-1] * 1e-18)


def test_a_cylinder_has_its_height():
    radii = np.array([[1.0, 2.0], [2.0, 3.0]])
    grid, shell = shells_grid(radii, "cylindrical", 6.0)
    assert grid.bounds[4:] == pytest.approx((-3.0, 3.0))
    sizes = grid.compute_cell_sizes(length=False, area=False).cell_data["Volume"]
    np.testing.assert_allclose(
        np.bincount(shell, sizes), 0.75 * 6.0 * np.pi * np.array([3.0, 5.0]), rtol=0.02
    )


@pytest.mark.slow
def test_a_browser_shows_a_ball_and_its_spectra(sphere, browser):  # noqa: F811
    open_page(browser, view(sphere))
    run, result = browser.execute_script, open_result(sphere).dataset
    number = "return Array.from(document.getElementById(arguments[0]).data[0].y)"
    np.testing.assert_allclose(run(number, "cut-plot"), result["n_qp_cell"].values[-1] * 1e-18, rtol=1e-5)
    # A click on the outermost shell.
    run(
        """const plot = document.getElementById('device-plot'), {x, y, z} = plot.data[0];
        const r = Array.from(x, (_, i) => Math.hypot(x[i], y[i], z[i])), far = r.indexOf(Math.max(...r));
        plot.emit('plotly_click', {points: [{curveNumber: 0, pointNumber: far}]});"""
    )
    assert "r = 9 µm" in run("return document.getElementById('spectrum-of').textContent")
    f, there = result["f"].values[-1, -1], result["energy"].values > result["gap"].values[-1, -1]
    shown = np.array(run(number, "spectrum-plot1"), dtype=float)
    np.testing.assert_allclose(shown[there], f[there], rtol=1e-5, atol=1e-30)
    # N(E) of BCS
    x = np.array(run("return Array.from(document.getElementById('spectrum-plot2').data[0].x)"))
    density = np.array(run(number, "spectrum-plot2"))
    gap = result["gap"].values[-1, -1] / result.attrs["delta0_eV"]
    at = x > 1.01 * gap
    np.testing.assert_allclose(density[at], x[at] / np.sqrt(x[at] ** 2 - gap**2), rtol=1e-5)
    assert complaints(browser) == []


@pytest.mark.slow
def test_values_of_junctions_are_bars(tmp_path, browser):  # noqa: F811
    data = SweepDataset({"V_inj": [1e-3]}, {"junction": (("junction",), ["A", "B"])})
    data.define("gap", ("junction",), "eV", "gap under each junction")
    data.record((0,), gap=[1e-4, 2e-4])
    data.write(tmp_path / "results.nc")
    open_page(browser, view(tmp_path))
    (bars,) = browser.execute_script(
        "return document.getElementById('curve-plot').data"
        ".map(trace => [trace.type, Array.from(trace.x), Array.from(trace.y)])"
    )
    assert bars[:2] == ["bar", ["A", "B"]]
    np.testing.assert_allclose(bars[2], [1e-4, 2e-4], rtol=1e-6)
    drawn = "return document.querySelectorAll('#curve-plot .bars path').length"
    assert browser.execute_script(drawn) == 2
    assert complaints(browser) == []


@pytest.mark.slow
def test_results_without_cells_have_curves_only(sweep, tmp_path, browser):  # noqa: F811
    sweep.write(tmp_path / "results.nc")
    open_page(browser, view(tmp_path))
    run = browser.execute_script
    assert run("return document.getElementById('device').hidden && document.getElementById('cut').hidden")
    assert run("return document.getElementById('curve-plot').data.length") == 5
    first = run("return Array.from(document.getElementById('curve-plot').data[0].y)")
    np.testing.assert_allclose(first, sweep.dataset["g_nl"].values[0, 0], rtol=1e-6)
    assert complaints(browser) == []


@pytest.mark.slow
def test_a_metal_does_not_own_the_colours(tmp_path, browser):  # noqa: F811
    """Half of a film is normal, with many more quasiparticles; a click there tells how many."""
    large(tmp_path, n=4, times=2)
    with fvqp.results.dataset.opened(tmp_path / "results.nc") as file:
        dataset = file.load()
    normal = dataset["x"].values > 2e-6
    dataset["gap"].values[:, normal] = 0.0
    dataset["n_qp_cell"].values[:, normal] = 1e9
    (tmp_path / "results.nc").unlink()
    dataset.to_netcdf(tmp_path / "results.nc")
    open_page(browser, view(tmp_path))
    run = browser.execute_script
    low, high = run(
        """const plot = document.getElementById('device-plot');
        return [plot.layout.coloraxis.cmin, plot.layout.coloraxis.cmax];"""
    )
    seen = dataset["n_qp_cell"].values[:, ~normal]
    np.testing.assert_allclose((low, high), (seen.min(), seen.max()), rtol=1e-5)
    run(
        """const plot = document.getElementById('device-plot');
        const grey = plot.data.findIndex(trace => trace.name.includes('no gap'));
        plot.emit('plotly_click', {points: [{curveNumber: grey, pointNumber: 0}]});"""
    )
    assert "n_qp_cell = 1e+9" in run("return document.getElementById('under').textContent")


def large(folder: Path, n: int = 300, times: int = 30) -> None:
    """Results of a film of ``n²`` cells."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(n) * 1e-6, np.arange(n) * 1e-6))
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 1e-6
    cells: dict[str, Any] = {"cell": (("cell",), np.arange(n * n))}
    for k, (name, centre) in enumerate((("x", x), ("y", y))):
        cells[name] = (("cell",), centre + 0.5e-6)
        cells[f"{name}_corners"] = (("cell", "corner"), centre[:, None] + corners[:, k])
    cells["z"] = (("cell",), np.zeros(n * n))
    cells["z_corners"] = (("cell", "corner"), np.zeros((n * n, 4)))
    data = SweepDataset({"time": np.arange(times) * 1e-9}, cells, {"model": "transport"})
    for name in ("gap", "n_qp_cell", "energy_qp_cell"):
        data.define(name, ("cell",), "1", name)
    for step in range(times):
        random = np.random.default_rng(step)
        values = {name: random.random(n * n) for name in ("gap", "n_qp_cell", "energy_qp_cell")}
        data.record((step,), **values)
    data.write(folder / "results.nc")


@pytest.mark.slow
def test_a_large_result_is_thinned_and_says_so(tmp_path):
    large(tmp_path)
    page = view(tmp_path)
    assert page.stat().st_size < 30e6
    data = data_of(page)
    assert any(re.search(r"fields: \d of 30 along time", note) for note in data["notes"])
    gap = named(data, "gap", "field")
    times = data["axes"][gap["dims"][0]]["values"]
    assert times[0] == 0.0 and times[-1] == pytest.approx(29e-9)
    stored = open_result(tmp_path).dataset["gap"].values[[0, -1]]
    np.testing.assert_allclose(gap["values"][[0, -1]], stored, rtol=1e-6)


def test_folders_without_results_are_refused(tmp_path, monkeypatch, capsys):
    assert cli.main(["view", str(tmp_path / "nothing")]) == 2
    assert "holds no results.nc" in capsys.readouterr().err
    SweepDataset({"time": [0.0, 1.0]}).write(tmp_path / "results.nc")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert cli.main(["view", str(tmp_path)]) == 2
    assert 'pip install "fvqp[view]"' in capsys.readouterr().err


def test_fields_that_cannot_be_read(wire, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(wire, copy)
    step = copy / "fields" / "fields_00000.vtu"
    step.write_text("<VTKFile")
    assert cli.main(["view", str(copy)]) == 2
    assert "fields_00000.vtu: " in capsys.readouterr().err
    step.unlink()
    assert cli.main(["view", str(copy)]) == 2
    assert "its step fields_00000.vtu is not there" in capsys.readouterr().err


def test_a_page_is_opened_where_someone_looks(wire, tmp_path, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    page = tmp_path / "page.html"
    assert open_result(wire).view(page) == page
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    open_result(wire).view(page)
    assert opened == [page.as_uri()]
    # no terminal
    assert cli.main(["view", str(wire), "--out", str(page)]) == 0
    assert len(opened) == 1
    with pytest.raises(FvqpError, match="no folder"):
        fvqp.results.Result(open_result(wire).dataset).view()
