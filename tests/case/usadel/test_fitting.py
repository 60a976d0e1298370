"""Fits of cases to synthetic data: the truth comes back within stated errors; what is refused."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpi4py import MPI
from usadel_cases import BASE

import fvqp
from fvqp.errors import CaseError, CheckpointError, FvqpError
from fvqp.results.figures import FigureSpec, fits

NOISE = 2e-10
"""Of the conductance, siemens; its size is some 40 nS."""
BIASES = np.linspace(0.2e-3, 0.45e-3, 26)
#: The elastic wire without supercurrent: one response gives all biases.
PLAIN: dict[str, Any] = BASE | {"energies": {"number": 100}}
FLOWING = PLAIN | {
    "supercurrent": {
        "phase_gradient": [0.0, 0.1, 0.2],
        "from": "left",
        "to": "right",
        "coupling": False,
        "both_signs": False,
    }
}


def written(folder: Path, data: dict[str, Any], name: str = "case.toml") -> Path:
    path = folder / name
    path.write_text(tomlkit.dumps(copy.deepcopy(data)))
    return path


def synthetic(folder: Path, data: dict[str, Any], seed: int, header: str = "V_inj (V), g_nl (S)") -> Path:
    """The conductance of a case at `BIASES` with noise, as CSV."""
    sweep = {"V_inj": [f"{v!r} V" for v in BIASES.tolist()], "V_det": ["0 V"]}
    found = fvqp.run(copy.deepcopy(data | {"sweep": sweep}), comm=MPI.COMM_SELF).dataset["g_nl"]
    random = np.random.default_rng(seed)
    lines = [header]
    currents = found["supercurrent"].values if "supercurrent" in found.dims else [None]
    for current in currents:
        curve = found.values if current is None else found.sel(supercurrent=current).values
        noisy = curve.ravel() + NOISE * random.standard_normal(len(BIASES))
        for bias, value in zip(BIASES, noisy, strict=True):
            columns = [repr(float(bias)), repr(float(value))]
            columns += [] if current is None else [repr(float(current))]
            columns += [repr(NOISE)] if "g_nl_error" in header else []
            lines.append(",".join(columns))
    path = folder / "data.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def drawn(fit: xr.Dataset) -> list[Axes]:
    """Axes of the figure of a fit: the curves, and what is left of them."""
    figure = Figure()
    fits.KINDS["fit"](fit, FigureSpec("fit"), figure)
    return figure.axes


@pytest.mark.slow
def test_truth_is_recovered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Broadening, plain, and conductance, with its unit, within three standard deviations."""
    data = synthetic(tmp_path, PLAIN, seed=3)
    case = written(tmp_path, PLAIN)
    with caplog.at_level(logging.INFO, logger="fvqp"):
        result = fvqp.fit(
            case,
            data,
            ["spectrum.broadening=0.02", "junctions.A.conductance=40 uS"],
            out=tmp_path / "out",
            overrides=['sweep.V_det=["0 V"]'],
        )
    found = result.dataset
    pulls = (found["value"].values - [0.01, 24.6]) / found["error"].values
    assert np.abs(pulls).max() < 3.0
    assert found["unit"].values.tolist() == ["1", "uS"]
    assert found.attrs["deviation"] == pytest.approx(NOISE, rel=0.4)
    assert np.all(found["error"].values < [0.002, 5.0])
    assert abs(float(found["correlation"][0, 1])) < 1.0
    assert "spectrum.broadening = 0.0" in caplog.text and "+-" in caplog.text
    # The fitted case runs, and gives the fitted points.
    again = fvqp.run(tmp_path / "out" / "case.toml").dataset["g_nl"]
    np.testing.assert_allclose(again.values.ravel(), found["fitted"].values, rtol=1e-3)
    assert (tmp_path / "out" / "figures" / "fit.png").stat().st_size > 5000
    upper, lower = drawn(found)
    power, unit = lower.get_ylabel().partition("(")[2][:-1], upper.get_ylabel().partition("(")[2][:-1]
    residual = found["residual"].values
    np.testing.assert_allclose(residual, found["measured"].values - found["fitted"].values, atol=1e-20)
    points, curve = upper.lines
    assert unit == "nS" and curve.get_linestyle() == "-" and points.get_linestyle() == "None"
    np.testing.assert_allclose(points.get_ydata(), found["measured"].values * 1e9)
    np.testing.assert_allclose(curve.get_ydata(), found["fitted"].values * 1e9)
    np.testing.assert_allclose(lower.lines[0].get_ydata(), residual / {"pS": 1e-12, "fS": 1e-15}[power])
    for line in (points, curve, lower.lines[0]):
        np.testing.assert_allclose(line.get_xdata(), BIASES * 1e3)
    assert lower.get_xlabel().endswith("(mV)") and "residual" in lower.get_ylabel()
    for name, value in zip(found["parameter"].values, found["value"].values, strict=True):
        assert f"{name} = {value:.5g} ±" in upper.get_title()
    table = (tmp_path / "out" / "parameters.csv").read_text().splitlines()
    assert table[0].startswith("parameter,value,error,unit,start") and len(table) == 3
    with pytest.raises(CheckpointError, match="is there already"):
        fvqp.fit(case, "not read", ["spectrum.broadening"], out=tmp_path / "out")


@pytest.mark.slow
def test_known_errors_give_the_same_but_for_their_scale(tmp_path: Path) -> None:
    case = written(tmp_path, PLAIN)
    overrides = ['sweep.V_det=["0 V"]']
    free = fvqp.fit(case, synthetic(tmp_path, PLAIN, 3), ["spectrum.broadening"], overrides=overrides).dataset
    known = synthetic(tmp_path, PLAIN, 3, "V_inj (V), g_nl (S), g_nl_error (S)")
    told = fvqp.fit(case, known, ["spectrum.broadening"], overrides=overrides).dataset
    np.testing.assert_allclose(told["value"], free["value"], rtol=1e-6)
    _, lower = drawn(told)
    assert lower.get_ylabel() == "residual/σ"
    np.testing.assert_allclose(lower.lines[0].get_ydata(), told["residual"].values / NOISE)
    ratio = float(told["error"][0] / free["error"][0])
    assert ratio == pytest.approx(NOISE / free.attrs["deviation"], rel=1e-3)


@pytest.mark.slow
def test_known_errors_of_an_even_part(tmp_path: Path) -> None:
    """Two points make one of g_ss, whose error is theirs over √2."""
    case = written(tmp_path, PLAIN)
    rows = synthetic(tmp_path, PLAIN, 3).read_text().splitlines()[1:]
    random = np.random.default_rng(4)
    noisy = [
        (sign * float(v), float(g) + NOISE * random.standard_normal())
        for v, g in (row.split(",") for row in rows)
        for sign in (1, -1)
    ]
    files = []
    for header, more in (("V_inj, g_nl", ""), ("V_inj, g_nl, g_nl_error", f",{NOISE!r}")):
        files.append(tmp_path / f"{len(header)}.csv")
        files[-1].write_text("\n".join([header, *(f"{v!r},{g!r}{more}" for v, g in noisy)]))
    free, overrides = ["spectrum.broadening"], ['sweep.V_det=["0 V"]']
    scattered, told = (fvqp.fit(case, file, free, part="g_ss", overrides=overrides).dataset for file in files)
    np.testing.assert_allclose(told["measured_error"], NOISE / np.sqrt(2.0), rtol=1e-12)
    np.testing.assert_allclose(told["value"], scattered["value"], rtol=1e-6)
    ratio = float(told["error"][0] / scattered["error"][0])
    assert ratio == pytest.approx(NOISE / np.sqrt(2.0) / scattered.attrs["deviation"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["400 mK", ["400 mK"]])
def test_temperature_of_the_bath(tmp_path: Path, text: str | list[str]) -> None:
    """`sweep.temperature` is that of all leads and reservoirs that have none of their own."""
    bath = copy.deepcopy(PLAIN)
    for contact in (*bath["junctions"], *bath["reservoirs"]):
        del contact["temperature"]
    bath["sweep"] = {"V_inj": ["0.2 mV"], "V_det": ["0 V"], "temperature": text}
    biases = [f"{v!r} V" for v in BIASES.tolist()]
    exact = fvqp.run(copy.deepcopy(bath | {"sweep": bath["sweep"] | {"V_inj": biases}})).dataset["g_nl"]
    noisy = exact.values.ravel() + NOISE * np.random.default_rng(6).standard_normal(len(BIASES))
    data = tmp_path / "data.csv"
    rows = [f"{v!r},{g!r}" for v, g in zip(BIASES.tolist(), noisy.tolist(), strict=True)]
    data.write_text("\n".join(["V_inj, g_nl", *rows]))
    bath["sweep"]["temperature"] = "250 mK" if isinstance(text, str) else ["250 mK"]
    free = ["sweep.temperature", "spectrum.broadening=0.02"]
    found = fvqp.fit(written(tmp_path, bath), data, free, out=tmp_path / "out").dataset
    assert found["unit"].values.tolist() == ["mK", "1"]
    assert np.all(found["error"].values < [50.0, 5e-4])
    assert np.abs((found["value"].values - [400.0, 0.01]) / found["error"].values).max() < 3.0
    fitted = fvqp.run(tmp_path / "out" / "case.toml").dataset
    np.testing.assert_allclose(fitted["g_nl"].values.ravel(), found["fitted"].values, rtol=1e-3)


@pytest.mark.slow
def test_phase_gradients_of_several_currents(tmp_path: Path) -> None:
    """The procedure of Fig. 10: Γ of all curves, phase gradients of those with a current."""
    data = synthetic(tmp_path, FLOWING, 5, "V_inj (V), g_nl (S), supercurrent (A)")
    case = written(tmp_path, FLOWING)
    free = [
        "spectrum.broadening=0.006",
        "supercurrent.phase_gradient[1]=0.07",
        "supercurrent.phase_gradient[2]=0.3",
    ]
    found = fvqp.fit(case, data, free, overrides=['sweep.V_det=["0 V"]']).dataset
    pulls = (found["value"].values - [0.01, 0.1, 0.2]) / found["error"].values
    assert np.abs(pulls).max() < 3.0
    # The currents of the fitted gradients are those that the data name.
    flowing = found["supercurrent"].values > 0.0
    np.testing.assert_allclose(found["I_s"].values[flowing], found["supercurrent"].values[flowing], rtol=0.05)


@pytest.mark.slow
def test_temperature_of_a_lead(tmp_path: Path) -> None:
    """A warm injector rounds the onset; its temperature and the broadening come back within their errors."""
    warm = copy.deepcopy(PLAIN)
    warm["junctions"][0]["temperature"] = "400 mK"
    data, case = synthetic(tmp_path, warm, 3), written(tmp_path, warm)
    free = ["junctions.A.temperature=250 mK", "spectrum.broadening=0.02"]
    found = fvqp.fit(case, data, free, overrides=['sweep.V_det=["0 V"]']).dataset
    assert found["unit"].values.tolist() == ["mK", "1"]
    assert np.all(found["error"].values < [50.0, 5e-4])
    assert np.abs((found["value"].values - [400.0, 0.01]) / found["error"].values).max() < 3.0
    assert found["value"].values == pytest.approx([400.0, 0.01], rel=0.2)


@pytest.mark.slow
def test_stated_error_of_collisions(tmp_path: Path) -> None:
    """γ_ee from noisy data: its error is that of the noise over the slope of the curve, and holds."""
    colliding = BASE | {
        "energies": {"number": 64, "spacing": "uniform"},
        "gap": {"model": "uniform", "at": "point_A"},
        "collisions": {"electron_electron": 2e-3},
    }
    biases = ["0.9 mV", "1.0 mV", "1.1 mV", "1.2 mV"]
    case = written(tmp_path, colliding)
    colliding["sweep"] = {"V_inj": biases, "V_det": ["0.15 mV"]}
    curves = []
    for strength in (2e-3, 2.1e-3):
        colliding["collisions"] = {"electron_electron": strength}
        curves.append(fvqp.run(copy.deepcopy(colliding)).dataset["g_nl"].values.ravel())
    noisy = curves[0] + NOISE * np.random.default_rng(7).standard_normal(len(biases))
    lines = [f"{v[:-3]},{g!r},{NOISE!r}" for v, g in zip(biases, noisy.tolist(), strict=True)]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["V_inj (mV), g_nl (S), g_nl_error (S)", *lines]) + "\n")
    free = ["collisions.electron_electron=2.1e-3"]
    found = fvqp.fit(case, data, free, overrides=['sweep.V_det=["0.15 mV"]']).dataset
    error = float(found["error"][0])
    assert error == pytest.approx(NOISE * 1e-4 / np.linalg.norm(curves[1] - curves[0]), rel=0.1)
    assert 0.0 < abs(float(found["value"][0]) - 2e-3) < 3.0 * error


@pytest.mark.slow
def test_self_consistent_gap_and_collisions(tmp_path: Path) -> None:
    """γ_ee from the fall of a gap beyond 3Δ, by warm-started solves."""
    colliding = BASE | {
        "energies": {"number": 80, "spacing": "uniform"},
        "gap": {"model": "uniform", "at": "point_A"},
        "collisions": {"electron_electron": 2e-3},
    }
    sweep = {"V_inj": ["0.9 mV", "1.0 mV", "1.1 mV", "1.2 mV"], "V_det": ["0.15 mV"]}
    found = fvqp.run(copy.deepcopy(colliding | {"sweep": sweep})).dataset["g_nl"].values.ravel()
    lines = [f"{v},{g!r}" for v, g in zip((0.9, 1.0, 1.1, 1.2), found.tolist(), strict=True)]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(["V_inj (mV), g_nl (S)", *lines]) + "\n")
    case = written(tmp_path, colliding | {"sweep": sweep})
    fitted = fvqp.fit(case, data, ["collisions.electron_electron=1.5e-3"]).dataset
    assert float(fitted["value"][0]) == pytest.approx(2e-3, rel=1e-4)


@pytest.mark.parametrize(
    ("free", "message"),
    [
        ([], "no parameter is free"),
        (["spectrum.broadning"], "does not give spectrum.broadning"),
        (["spectrum.broadning=0.1"], "unknown key; did you mean"),
        (["spectrum.broadening=wide"], "expected a number"),
        (["spectrum.broadening=0"], "must not start at 0"),
        (["spectrum.broadening", "spectrum.broadening"], "is free already"),
        (["energies.number"], "is no property of the device"),
        (["sweep.V_inj"], "or sweep.temperature"),
        (["junctions.Z.temperature"], 'no entry named "Z"'),
        (["junctions.B.temperature"], "has no effect on what was measured"),
    ],
)
def test_parameters_that_are_refused(tmp_path: Path, free: list[str], message: str) -> None:
    data = tmp_path / "data.csv"
    data.write_text("V_inj (mV), g_nl (nS)\n0.3,20\n0.35,30\n0.4,33\n")
    case = written(tmp_path, PLAIN | {"sweep": {"V_inj": ["0.4 mV"], "V_det": ["0 mV"]}})
    with pytest.raises(FvqpError, match=message):
        fvqp.fit(case, data, free)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("V_inj (mV), g (nS)\n0.3,20\n0.4,30\n", {}, "no column g_nl"),
        ("V_inj (mV), g_nl (nS)\n0.3,20\n0.4,30\n", {"part": "g_ss"}, "both signs"),
        ("V_inj (mV), g_nl (nS)\n0.3,20\n0.4,30\n", {"part": "g_x"}, "part: expected one of"),
        ("V_inj (mV), g_nl (nS)\n0.3,20\n0.4,30\n", {"window": ("1 mV", "2 mV")}, "no point has"),
        ("V_inj (mV), g_nl (nS)\n0.3,20\n0.4,30\n", {"window": ("1 mm", "2 mV")}, "--window 1 mm"),
        ("V_inj (mV), g_nl (nS), g_nl_error (nS)\n0.3,20,1\n0.4,30,0\n", {}, "must be positive"),
        ("V_inj (mV), g_nl (nS), supercurrent (uA)\n0.3,20,1\n0.4,30,2\n", {}, "supercurrent: missing"),
    ],
)
def test_data_that_are_refused(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    data = tmp_path / "data.csv"
    data.write_text(text)
    case = written(tmp_path, PLAIN)
    with pytest.raises(FvqpError, match=message):
        fvqp.fit(case, data, ["spectrum.broadening"], **options)


def test_number_of_phase_gradients(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("V_inj (mV), g_nl (nS), supercurrent (uA)\n0.3,20,1\n0.4,30,1\n")
    with pytest.raises(CaseError, match=r"3 value\(s\) for 1 sizes of the supercurrent"):
        fvqp.fit(written(tmp_path, FLOWING), data, ["spectrum.broadening"])


def test_model_must_be_usadel(tmp_path: Path) -> None:
    cases = Path(__file__).parents[3] / "cases"
    data = tmp_path / "data.csv"
    data.write_text("V_inj (mV), g_nl (nS)\n0.3,20\n0.4,30\n")
    with pytest.raises(CaseError, match='other models than "usadel"'):
        fvqp.fit(cases / "kaplan1976" / "lifetimes.toml", data, ["x=1"])
