"""Generation and volume of clusters from a region in the results of an earlier run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread
from stochastic_cases import CLUSTER

import fvqp
from fvqp.errors import CaseError, CheckpointError, FvqpError
from fvqp.results.figures import FigureSpec, draw

RATES = np.array([[100.0, 200.0, 300.0], [200.0, 400.0, 600.0]]) * 1e18
"""1/(m³ s) of two biases and three cells."""
VOLUMES = np.array([0.1, 0.2, 0.1]) * 1e-18


def earlier(folder: Path, **changes: Any) -> Path:
    """A results folder of two biases, two temperatures and three cells; the last two are the trap."""
    values = np.stack([0.5 * RATES, RATES])
    spectrum = np.ones((2, 2, 3, 2)) * [0.0, 1.0]
    dims = ("temperature", "V_inj", "cell")
    dataset = xr.Dataset(
        {
            "A": (dims, values, {"units": "m-3 s-1"}),
            "n_qp": (dims, 0.5 * values, {"units": "m-3"}),
            "gap": (dims, values, {"units": "eV"}),
            "f_L": ((*dims, "energy"), 1.0 - 0.5 * spectrum),
            "dos": ((*dims, "energy"), spectrum),
        },
        {
            "temperature": ("temperature", [0.1, 0.2], {"units": "K"}),
            "V_inj": ("V_inj", [2e-4, 3e-4], {"units": "V"}),
            "energy": ("energy", [1e-4, 3e-4]),
            "cell_volume": ("cell", VOLUMES),
            "region": ("region", ["lead", "trap"]),
            "in_region": (("region", "cell"), np.array([[1, 0, 0], [0, 1, 1]], dtype=np.int8)),
        },
        {"format_version": 1, "delta0_eV": 2e-4},
    ).assign(changes)
    folder.mkdir()
    dataset.to_netcdf(folder / "results.nc")
    return folder


def case(run: Path, **results: Any) -> dict[str, Any]:
    table = {"folder": str(run), "variable": "A", "region": "trap", "at": {"temperature": "200 mK"}}
    data = copy.deepcopy(CLUSTER)
    sweep = {
        "equation": "simplified",
        "results": {k: v for k, v in (table | results).items() if v is not None},
    }
    return data | {"sweep": sweep, "output": {}}


def test_every_point_of_the_open_dimension_is_a_cluster(tmp_path: Path) -> None:
    """The rate is the mean over the volume of the region; the bias goes along."""
    data = case(earlier(tmp_path / "run"), region="trap")
    found = fvqp.run(data).dataset
    assert found["generation"].values == pytest.approx([(400 + 300) / 3 * 1e18, (800 + 600) / 3 * 1e18])
    assert found["volume"].values == pytest.approx([0.3e-18])
    assert found["V_inj"].dims == ("generation",) and found["V_inj"].values == pytest.approx([2e-4, 3e-4])
    given = copy.deepcopy(data)
    given["sweep"] = {
        "equation": "simplified",
        "generation": [f"{value!r} 1/m^3/s" for value in found["generation"].values.tolist()],
        "volume": f"{float(found['volume'].values[0])!r} m^3",
    }
    for name in ("N_mean", "S_flux"):
        np.testing.assert_array_equal(found[name], fvqp.run(given).dataset[name])


def test_densities_spectra_and_single_points(tmp_path: Path) -> None:
    folder = earlier(tmp_path / "run")

    def generation(**results: Any) -> Any:
        return fvqp.run(case(folder, **results)).dataset["generation"].values

    both = {"temperature": "0.2 K", "V_inj": "0.3 mV"}
    assert generation(at=both) == pytest.approx([1400 / 3 * 1e18])
    assert generation(at=both, region="lead") == pytest.approx([200e18])
    density = generation(at=both, variable="n_qp", capture_time="0.25 s")
    assert density == pytest.approx([2 * 1400 / 3 * 1e18])
    # 2 N0 times half of the bin from 0.2 to 0.4 meV, or of what lies above 1.5 Δ0.
    spectral = {"variable": "f_L", "capture_time": "1 ms", "density_of_states": "1e6 1/eV/um^3", "at": both}
    assert generation(**spectral) == pytest.approx([1e6 * 1e18 * 2e-4 * 1e3])
    assert generation(**spectral, minimum_energy="1.5 Delta0") == pytest.approx([1e6 * 1e18 * 1e-4 * 1e3])


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"folder": "nowhere"}, r"sweep\.results\.folder: holds no results\.nc: .*nowhere"),
    ({"region": "tarp"}, r'sweep\.results\.region: the results hold no region "tarp"; there are: lead, trap'),
    ({"region": None}, r"sweep\.results\.region: missing"),
    ({"variable": "mu_Q"}, r'sweep\.results\.variable: the results hold no "mu_Q" of cells'),
    ({"variable": "gap"}, r"sweep\.results\.variable: gap is in eV; expected a density"),
    ({"variable": "n_qp"}, r"sweep\.results\.capture_time: missing"),
    ({"capture_time": "1 s"}, r"sweep\.results\.capture_time: is not used"),
    ({"density_of_states": "1 1/eV/um^3"}, r"sweep\.results\.density_of_states: is not used"),
    ({"variable": "f_L"}, r"sweep\.results\.density_of_states: missing"),
    (
        {"at": {}},
        r"at\.V_inj: missing: the results hold 2 values of it beside those of temperature, which is",
    ),
    (
        {"at": {"temperature": "0.3 K"}},
        r"at\.temperature: 0\.3 K is not among the results; the nearest is 0\.2",
    ),
    ({"at": {"bias": "1 V"}}, r"at\.bias: A does not depend on it; it does on: temperature, V_inj"),
]


@pytest.mark.parametrize(("results", "message"), MISTAKES, ids=[str(changes) for changes, _ in MISTAKES])
def test_mistakes(results: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = earlier(tmp_path / "run")
    with pytest.raises(CaseError, match=message):
        fvqp.run(case(folder, **results))


def test_either_values_or_results(tmp_path: Path) -> None:
    data = case(earlier(tmp_path / "run"))
    for key, value in (("generation", "1 1/um^3/s"), ("volume", "1 um^3")):
        both = data | {"sweep": {**data["sweep"], key: value}}
        with pytest.raises(CaseError, match=rf"sweep\.{key}: is not used with results, which say it"):
            fvqp.run(both)
        with pytest.raises(CaseError, match=r"sweep\.(generation|volume): missing"):
            fvqp.run(data | {"sweep": {key: value}})


def test_a_film_without_thickness_takes_volumes_of_the_case(tmp_path: Path) -> None:
    """The rate is the mean by area; volumes are given, and may be several."""
    area = xr.DataArray(VOLUMES, dims="cell", attrs={"units": "m2"})
    data = case(earlier(tmp_path / "run", cell_volume=area))
    with pytest.raises(CaseError, match=r"sweep\.volume: missing: the cells of that run are measured in m2"):
        fvqp.run(data)
    data["sweep"]["volume"] = ["0.1 um^3", "0.4 um^3"]
    found = fvqp.run(data).dataset
    assert found["generation"].values == pytest.approx([(400 + 300) / 3 * 1e18, (800 + 600) / 3 * 1e18])
    assert found["volume"].values == pytest.approx([0.1e-18, 0.4e-18])


def test_results_that_cannot_be_used(tmp_path: Path) -> None:
    """Without regions, with nothing that arrives, or not computed."""
    empty = earlier(tmp_path / "empty")
    with xr.open_dataset(empty / "results.nc") as file:
        dataset = file.load()
    dataset["A"].values[1, 0, 1:] = 0.0
    dataset.to_netcdf(empty / "results.nc")
    with pytest.raises(CaseError, match=r"nothing arrives in trap at V_inj = 0\.0002: the mean rate is 0"):
        fvqp.run(case(empty))
    dataset["A"].values[1, 0, 1] = np.nan
    dataset.to_netcdf(empty / "results.nc")
    with pytest.raises(CaseError, match=r"at: this point of the sweep was not computed"):
        fvqp.run(case(empty))
    dataset.drop_vars(["in_region", "region"]).to_netcdf(empty / "results.nc")
    with pytest.raises(CaseError, match=r"region: the results hold no regions of cells"):
        fvqp.run(case(empty))


def test_resumed_runs_find_the_same_results(tmp_path: Path) -> None:
    folder, out = earlier(tmp_path / "run"), tmp_path / "out"
    fvqp.run(case(folder), out=out)
    fvqp.run(case(folder), out=out, resume=True)
    (folder / "results.nc").unlink()
    folder.rmdir()
    earlier(folder, more=("cell", np.zeros(3)))
    with pytest.raises(CheckpointError, match="belongs to another case"):
        fvqp.run(case(folder), out=out, resume=True)


@pytest.mark.slow
def test_figure_over_the_bias_and_over_generation(tmp_path: Path) -> None:
    figures = [{"kind": "injection", "file": "bias.png", "title": "Over bias"}]
    result = fvqp.run(case(earlier(tmp_path / "run")) | {"figures": figures}, out=tmp_path / "out")
    pictures = [imread(tmp_path / "out" / "figures" / "bias.png")]
    given = copy.deepcopy(CLUSTER) | {"figures": [{"kind": "injection"}]}
    given["sweep"] |= {"generation": ["50 1/um^3/s", "100 1/um^3/s"], "spin": ["quantum", "ising"]}
    fvqp.run(given, out=tmp_path / "given")
    pictures.append(imread(tmp_path / "given" / "figures" / "injection.png"))
    assert all(float(np.ptp(picture[..., :3])) > 0.5 for picture in pictures)
    with pytest.raises(FvqpError, match="the results hold no N_mean"):
        draw(result.dataset.drop_vars(["N_mean", "S_flux_one_sided"]), FigureSpec("injection"), tmp_path)
    given["sweep"]["generation"] = "50 1/um^3/s"
    with pytest.raises(CaseError, match=r'figures\[0\]\.kind: "injection" needs several generations'):
        fvqp.run(given)
