"""What a case of the Usadel model stores and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from usadel_cases import COLLIDING, case

import fvqp

BIASES = {"V_inj": {"from": "-0.5 mV", "to": "0.5 mV", "points": 7}, "V_det": ["0 mV"]}


def written(folder: Path, changes: dict[str, Any]) -> fvqp.Result:
    return fvqp.run(case({"sweep": BIASES} | changes), out=folder)


def field_names(folder: Path) -> set[str]:
    import pyvista

    file = next((folder / "fields").iterdir())
    return set(pyvista.read(file).cell_data.keys())


def test_output_fields_energies_and_every(tmp_path):
    written(tmp_path / "all", {})
    written(
        tmp_path / "some",
        {"output": {"fields": ["mu_Q", "f_L"], "field_energies": [1.05, 1.5], "every": 3}},
    )
    names = field_names(tmp_path / "some")
    assert sum(name.startswith("f_L at 1") for name in names) == 2
    assert any(name.startswith("mu_Q") for name in names)
    assert not any(name.startswith("gap") for name in names)
    assert any(name.startswith("gap") for name in field_names(tmp_path / "all"))
    steps = [len(list((tmp_path / name / "fields").iterdir())) for name in ("all", "some")]
    assert steps == [7, 3]


def test_output_stored_and_spectra():
    plain = fvqp.run(case()).dataset
    data = fvqp.run(case({"output": {"stored": ["f_T", "gap"], "spectra": ["dos", "f_T"]}})).dataset
    assert {"f_T", "dos"}.isdisjoint(plain)
    assert data["f_T"].sizes["cell"] == 36 and data["gap"].sizes["cell"] == 36
    assert data["dos"].dims[-2:] == ("junction", "energy")
    assert data["f_T_junction"].dims[-2:] == ("junction", "energy") and "gap_junction" in data


@pytest.mark.slow
def test_figures(tmp_path):
    figures = [
        {"kind": "g_ss"},
        {"kind": "g_ss", "file": "compared.png", "compare": "analytic"},
        {"kind": "g_ss", "file": "named.png", "title": "Another title"},
        {"kind": "g_ss", "file": "shifted.png", "offset": 1e-8},
        {"kind": "g_nl"},
        {"kind": "spectrum", "variable": "f_L"},
        {"kind": "spectrum", "variable": "dos", "file": "dos.png"},
    ]
    result = written(
        tmp_path / "out",
        {
            "figures": figures,
            "supercurrent": {"phase_gradient": [0.0, 0.1]},
            "output": {"spectra": ["f_L", "dos"]},
        },
    )
    assert result.folder is not None
    folder = result.folder / "figures"
    drawn = {path.stem: imread(path) for path in folder.iterdir()}
    assert set(drawn) == {"g_ss", "compared", "named", "shifted", "g_nl", "spectrum", "dos"}
    for one, other in (
        ("g_ss", "compared"),
        ("g_ss", "named"),
        ("g_ss", "shifted"),
        ("g_ss", "g_nl"),
        ("spectrum", "dos"),
    ):
        assert drawn[one].shape != drawn[other].shape or np.any(drawn[one] != drawn[other])


@pytest.mark.slow
def test_figures_beside_the_elastic_solution(tmp_path):
    sweep = {"V_inj": ["0.3 mV", "-0.3 mV", "1.2 mV"], "V_det": ["0.1 mV"]}
    energies = {"number": 60, "spacing": "uniform", "maximum": 10.0}
    around = COLLIDING | {"sweep": sweep, "energies": energies, "output": {"spectra": ["f_L"]}}
    figures = [
        {"kind": "gap", "compare": "elastic"},
        {"kind": "spectrum", "variable": "f_L", "compare": "elastic"},
    ]
    plain = [{**figure, "compare": None, "file": f"plain_{figure['kind']}.png"} for figure in figures]
    result = written(tmp_path / "out", around | {"figures": figures + plain})
    alone = {name: table for name, table in around.items() if name != "collisions"}
    alone["energies"] = energies | {"number": 600}
    elastic = fvqp.run(case(alone)).dataset
    fine = elastic["f_L"].values
    expected = {"gap": elastic["gap"].values, "f_L": fine.reshape(*fine.shape[:-1], 60, 10).mean(axis=-1)}
    for name, off in (("gap", 5e-4), ("f_L", 2e-3)):
        here = result.dataset[f"{name}_elastic"].values
        largest = np.abs(here).max()
        assert np.abs(here - expected[name]).max() < off * largest
        assert np.abs(here - result.dataset[name].values).max() > 1e-4 * largest
    assert result.folder is not None
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    for kind in ("gap", "spectrum"):
        one, other = drawn[kind], drawn[f"plain_{kind}"]
        assert one.shape != other.shape or np.any(one != other)
