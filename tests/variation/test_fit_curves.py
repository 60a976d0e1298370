"""Fits of any case to curves: coverage of intervals, shared parameters, runs that are kept, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from matplotlib.figure import Figure
from mpi4py import MPI
from run_cases import line

import fvqp
from fvqp import cli
from fvqp.case import models
from fvqp.case.parameters import Parameter
from fvqp.errors import CaseError, FvqpError
from fvqp.results.figures import FigureSpec, fits
from fvqp.results.measured import MeasuredPoints
from fvqp.variation import runs
from fvqp.variation.fitting import fit_dataset
from fvqp.variation.least_squares import fit_parameters

WIRE = line(
    energies={"number": 60},
    sweep={"V_inj": {"from": "0.1 mV", "to": "0.4 mV", "points": 7}, "V_det": ["0 V"]},
    output={"fields": []},
)
#: A cell in which quasiparticles recombine, and phonons escape.
DECAY: dict[str, Any] = {
    "title": "Decay",
    "model": "boltzmann",
    "material": {"name": "Al"},
    "energies": {"maximum": "1.6 Delta0", "width": "0.01 Delta0"},
    "gap": {"model": "fixed"},
    "phonons": {"escape": {"time": "0.5 ns"}},
    "initial": {
        "pulses": [{"of": "quasiparticles", "centre": "1.05 Delta0", "width": "0.02 Delta0", "peak": 0.002}]
    },
    "evolution": {"start": "10 ns", "end": "100 us"},
    "sweep": {"temperature": "0.05 K"},
}


def written(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "case.toml"
    path.write_text(tomlkit.dumps(data))
    return path


def curve(path: Path, header: str, *columns: Any) -> Path:
    """Write columns of numbers."""
    np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="")
    return path


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []
    run = models.run

    def counted(case: Any, *rest: Any) -> Any:
        seen.append(case)
        return run(case, *rest)

    monkeypatch.setattr(models, "run", counted)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_coverage_of_the_intervals_of_a_line(weighted: bool) -> None:
    """Errors are those of the textbook, ``σ²/Σ(x − x̄)²`` of a slope; 95 % of intervals hold the truth."""
    x = np.linspace(0.0, 1.0, 5)
    random = np.random.default_rng(7)
    inside, draws = 0, 150
    for _ in range(draws):
        data = 2.0 + 3.0 * x + 0.1 * random.standard_normal(len(x))
        sigma = 0.1 if weighted else 1.0
        found = fit_parameters(
            lambda p, y=data, s=sigma: (p[0] + p[1] * x - y) / s, np.array([1.0, 1.0]), ["a", "b"],
            weighted=weighted,
        )  # fmt: skip
        points = MeasuredPoints("y", "1", "x", {"x": (x, {})}, data, np.full(5, 0.1) if weighted else None)
        table = fit_dataset(points, data, found, [Parameter(name, 1.0, "") for name in "ab"])
        fitted = np.polyfit(x, data, 1)
        scatter = np.sum((np.polyval(fitted, x) - data) ** 2) / (len(x) - 2)
        variance = (0.01 if weighted else scatter) / np.sum((x - x.mean()) ** 2)
        assert float(table["error"][1]) == pytest.approx(np.sqrt(variance), rel=1e-5)
        inside += bool(table["low"][1] < 3.0 < table["high"][1])
    assert abs(inside / draws - 0.95) < 3.0 * np.sqrt(0.95 * 0.05 / draws)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_coverage_of_a_fitted_conductance(weighted: bool, tmp_path: Path) -> None:
    """Of 100 noisy conductances of one wire, as many intervals as they should hold its broadening."""
    case, header = written(tmp_path, WIRE), "V_inj (mV), g_nl (nS)"
    g = fvqp.run(case, overrides=["spectrum.broadening=0.014"]).dataset["g_nl"].squeeze()
    random, noise, draws = np.random.default_rng(11), 0.02 * float(np.abs(g).max()), 100
    columns, inside, pulls = [g["V_inj"].values * 1e3], 0, []
    known = [np.full(g.size, noise * 1e9)] if weighted else []
    header += ", g_nl_error (nS)" if weighted else ""
    for _ in range(draws):
        noisy = (g.values + noise * random.standard_normal(g.size)) * 1e9
        data = curve(tmp_path / "data.csv", header, *columns, noisy, *known)
        found = fvqp.fit(case, data, ["spectrum.broadening"]).dataset.isel(parameter=0)
        inside += bool(found["low"] < 0.014 < found["high"])
        pulls.append((float(found["value"]) - 0.014) / float(found["error"]))
    assert abs(inside / draws - 0.95) < 3.0 * np.sqrt(0.95 * 0.05 / draws)
    assert abs(np.median(pulls)) < 3.0 * np.sqrt(np.pi / 2.0 / draws)
    if weighted:  # normal, of variance 1
        assert abs(np.std(pulls) - 1.0) < 3.0 / np.sqrt(2.0 * draws)


@pytest.mark.slow
def test_decay_of_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The escape time of phonons from a density, computed with finer energies; finished runs are kept."""
    truth = ["phonons.escape.time=0.8 ns", "energies.width=0.005 Delta0"]
    case = written(tmp_path, DECAY)
    density = fvqp.run(case, overrides=truth).dataset["x_qp"].squeeze()
    inside = (density["time"] > 1e-7) & (density["time"] < 5e-5)
    time, exact = density["time"].values[inside][::4], density.values[inside][::4]
    noisy = exact * (1.0 + 0.01 * np.random.default_rng(5).standard_normal(len(time)))
    data = curve(tmp_path / "data.csv", "time (us), x_qp, x_qp_error", time * 1e6, noisy, 0.01 * exact)
    seen = count_runs(monkeypatch)
    free = ["phonons.escape.time"]
    options: dict[str, Any] = {"observable": "x_qp", "bounds": {free[0]: ("100 ps", "3 ns")}}
    found = fvqp.fit(case, data, free, tmp_path / "out", **options).dataset
    assert abs(float(found["value"][0]) - 0.8) < 3.0 * float(found["error"][0])
    assert 0.3 < found.attrs["reduced_chi_squared"] < 2.0
    assert found["low"] < found["value"] < found["high"]
    before = len(seen)
    again = fvqp.fit(case, data, free, tmp_path / "out", **options).dataset
    assert len(seen) == before > 3
    np.testing.assert_array_equal(again["value"], found["value"])


@pytest.mark.slow
def test_jobs_share_the_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs for the differences of both parameters are handed out together; finished ones are kept."""
    case, handed = written(tmp_path, WIRE), []

    def in_processes(todo: Any, jobs: int) -> list[str]:
        handed.append(len(todo))
        return runs._here(todo, MPI.COMM_SELF)

    monkeypatch.setattr(runs, "_in_processes", in_processes)
    free = ["spectrum.broadening=0.0135", "junctions.A.conductance=25 uS"]
    truth = ["spectrum.broadening=0.014", "junctions.A.conductance=24 uS"]
    g = fvqp.run(case, overrides=truth).dataset["g_nl"].squeeze()
    data = curve(tmp_path / "data.csv", "V_inj (mV), g_nl (nS)", g["V_inj"].values * 1e3, g.values * 1e9)
    found = fvqp.fit(case, data, free, tmp_path / "out", observable="g_nl", jobs=2).dataset
    np.testing.assert_allclose(found["value"], [0.014, 24.0], rtol=1e-4)
    assert handed[:3] == [1, 0, 2] and handed.count(2) >= 3 and max(handed) == 2
    computed = sum(handed)
    again = fvqp.fit(case, data, free, tmp_path / "out", observable="g_nl", jobs=2).dataset
    assert sum(handed) == computed
    np.testing.assert_array_equal(again["value"], found["value"])


@pytest.mark.slow
def test_two_temperatures_share_a_broadening(tmp_path: Path) -> None:
    """Conductances with detectors of two temperatures, computed with more energies and cells."""
    case, noise, files = written(tmp_path, WIRE), 1e-10, {}
    truth = ["spectrum.broadening=0.014", "energies.number=120", "mesh.shape.nx=80"]
    random = np.random.default_rng(2)
    for name, text in (("cold", "37 mK"), ("warm", "300 mK")):
        key = "junctions.B.temperature"
        g = fvqp.run(case, overrides=[*truth, f"{key}={text}"]).dataset["g_nl"].squeeze()
        values = g.values + noise * random.standard_normal(g.size)
        header, sigma = "V_inj (mV), g_nl (nS), g_nl_error (nS)", np.full(g.size, noise * 1e9)
        file = curve(tmp_path / f"{name}.csv", header, g["V_inj"].values * 1e3, values * 1e9, sigma)
        files[file] = {key: text}
    both = fvqp.fit(case, files, ["spectrum.broadening"], tmp_path / "both", observable="g_nl").dataset
    pull = (float(both["value"][0]) - 0.014) / 0.014
    assert abs(pull) < 0.03
    assert sorted(set(both["data_set"].values)) == [
        f"junctions.B.temperature = {t}" for t in ("300 mK", "37 mK")
    ]
    errors = []
    for file, settings in files.items():
        out = tmp_path / file.stem
        one = fvqp.fit(case, {file: settings}, ["spectrum.broadening"], out, observable="g_nl").dataset
        errors.append(float(one["error"][0]))
    # Independent data: the weights add.
    together = 1.0 / np.sqrt(np.sum(1.0 / np.square(errors)))
    assert float(both["error"][0]) == pytest.approx(together, rel=0.05)
    figure = Figure()
    fits.KINDS["fit"](both, FigureSpec("fit"), figure)
    upper, lower = figure.axes
    assert len(upper.lines) == 4 and upper.get_legend() is not None and lower.get_ylabel() == "residual/σ"
    # The same from a terminal.
    first, second = files
    told = ["--with", str(second), "junctions.B.temperature=300 mK"]
    arguments = ["--for", "g_nl", "--free", "spectrum.broadening", "--out", str(tmp_path / "command")]
    assert cli.main(["fit", str(case), str(first), *arguments, *told]) == 0
    same = fvqp.open_result(tmp_path / "command").dataset
    np.testing.assert_allclose(same["value"], both["value"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"free": []}, "no parameter is free"),
        ({"free": ["spectrum.broadening"] * 2}, "is free already"),
        ({"part": "g_ss"}, "--part g_ss: is formed without --for only"),
        ({"out": None}, "needs a folder"),
        ({"bounds": {"energies.number": (1, 2)}}, "--between energies.number: is not free"),
        ({"bounds": {"spectrum.broadening": (0.02, 0.03)}}, "must be between 0.02 and 0.03"),
        ({"bounds": {"spectrum.broadening": ("1 mV", "2 mV")}}, "expected a number, got '1 mV'"),
        ({"data": "missing.csv"}, "missing.csv: no such file"),
        ({"data": {"a.csv": {"spectrum.broadening": 0.1}}}, "is fixed for a.csv"),
        ({"observable": None, "data": {"a.csv": {}, "b.csv": {}}}, "need the name of their quantity"),
        ({"observable": None, "jobs": 2}, "--jobs"),
    ],
)
def test_bad_input(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "data": curve(tmp_path / "data.csv", "V_inj, g_nl", [1e-4, 2e-4], [1e-9, 2e-9]),
        "free": ["spectrum.broadening"],
        "out": tmp_path / "out",
        "observable": "g_nl",
    }
    with pytest.raises(FvqpError) as raised:
        fvqp.fit(written(tmp_path, WIRE), **{**given, **change})
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["a", "=1", "a=", "b=1"])
def test_settings_of_the_command_line(text: str) -> None:
    from fvqp.variation.fitting import settings_of

    with pytest.raises(CaseError, match="--with x.csv"):
        settings_of("x.csv", ["b=2", text])
    assert settings_of("x.csv", ["b=2", "c=24 uS"]) == {"b": 2, "c": "24 uS"}


@pytest.mark.parametrize(
    ("header", "observable", "message"),
    [
        ("V_inj, x", "g_nl", "no column g_nl"),
        ("V_inj, g_nl", "nothing", "the results hold no nothing"),
        ("V_inj, g_nl", "g_nl[V_inj=0.2 mV]", "needs a quantity over one axis"),
        ("V_inj (V), g_nl (K)", "g_nl", "column g_nl (K)"),
        ("V_inj (kV), g_nl", "g_nl", "V_inj reaches from"),
    ],
)
def test_data_that_do_not_match(tmp_path: Path, header: str, observable: str, message: str) -> None:
    data = curve(tmp_path / "data.csv", header, [2e-4, 3e-4], [1e-9, 2e-9])
    with pytest.raises(FvqpError) as raised:
        fvqp.fit(
            written(tmp_path, WIRE), data, ["spectrum.broadening"], tmp_path / "out", observable=observable
        )
    assert message in str(raised.value)
