"""Cases with diffusive spectra: resuming, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import line

import fvqp
from fvqp.errors import CaseError
from fvqp.materials import load_material
from fvqp.results.folder import ResultsFolder

SHORT: dict[str, Any] = {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 20,
            "Lx": "1 um",
            "boundaries": {"point_A": "0.4 um", "point_B": "0.5 um"},
            "regions": {"west": ["0 um", "0.5 um"], "east": ["0.5 um", "1 um"]},
        }
    },
    "spectrum": {"model": "diffusive", "broadening": 0.02},
    "energies": {"number": 40, "spacing": "uniform"},
    "gap": {"model": "local"},
    "sweep": {"V_inj": ["0.2 mV", "0.35 mV"], "V_det": ["0 V"]},
}


@pytest.mark.slow
def test_a_resumed_run_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fvqp.run(line(SHORT), out=tmp_path / "whole").dataset

    class Stopped(Exception):
        pass

    real = ResultsFolder.save

    def save(self: ResultsFolder, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        raise Stopped

    monkeypatch.setattr(ResultsFolder, "save", save)
    with pytest.raises(Stopped):
        fvqp.run(line(SHORT), out=tmp_path / "parts")
    monkeypatch.setattr(ResultsFolder, "save", real)
    parts = fvqp.run(line(SHORT), out=tmp_path / "parts", resume=True).dataset
    for name in ("I_inj", "gap"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reservoirs": [{"on": "left", "temperature": "24 mK", "gap": "-1 ueV"}]}, "must not be negative"),
        ({"spectrum": {"model": "nonlocal"}}, "spectrum.model"),
        (
            {
                "materials": {"X": {"gap": "0 eV", "diffusivity": "10 cm^2/s", "resistivity": "0.1 uohm*m"}},
                "regions": {"east": {"material": "X"}},
            },
            "borders on metals of different gaps",
        ),
        (
            {
                "reservoirs": [
                    {"on": "left", "temperature": "24 mK"},
                    {"on": "right", "temperature": "24 mK", "gap": "0 eV"},
                ],
                "supercurrent": {"phase_gradient": 0.1},
                "spectrum": {"model": "local"},
            },
            r"reservoirs\[1\].gap: 0 .* superconductors only",
        ),
    ],
)
def test_mistakes(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CaseError, match=words):
        fvqp.run(line(SHORT, changes))


def test_a_gap_of_a_reservoir_acts_on_diffusive_spectra_only(caplog: pytest.LogCaptureFixture) -> None:
    """One key switches the model: local spectra leave the reservoir's gap out, and that is said."""
    stronger = {"reservoirs": [{"on": ["left", "right"], "temperature": "24 mK", "gap": "400 ueV"}]}
    at_rest = {"gap": {"model": "equilibrium"}, "sweep": {"V_inj": ["0 V"], "V_det": ["0 V"]}}
    near = {"shape": SHORT["mesh"]["shape"] | {"Lx": "0.6 um", "boundaries": {"point_A": "0.06 um"}}}
    del near["shape"]["regions"]
    short = line(SHORT, at_rest, mesh=near)
    short["junctions"] = [short["junctions"][0]]
    del short["sweep"]["V_det"]
    found = {}
    for model in ("diffusive", "local"):
        spectrum = {"spectrum": {"model": model, "broadening": 0.02}}
        for key, more in (("with", stronger), ("without", {})):
            caplog.clear()
            found[model, key] = float(fvqp.run({**short, **spectrum, **more}).dataset["gap"].squeeze())
            said = "reservoirs[0].gap: acts on diffusive spectra only" in caplog.text
            assert said == ((model, key) == ("local", "with"))
    assert found["local", "with"] == found["local", "without"]
    assert found["diffusive", "with"] > 1.05 * found["diffusive", "without"]


def test_a_normal_reservoir_with_a_voltage_on_local_spectra() -> None:
    """What it sends into a superconductor turns into pairs within ξ/√2.

    Far below the gap ``𝒟_T = 1``, ``R_T = 2``: f_T falls as ``exp(−√2 x/ξ)``, and the conductance is √2 over
    the resistance of a length ξ. Cells of h make it smaller by ``(√2 h/ξ)²/8``, bins of w larger by
    ``w²/4`` (w in Δ0); with ``h = ξ/20`` and ``w = 0.02`` by 6e-4 and 1e-4.
    """
    metal = load_material("Al_ryan2026")
    xi, bias = metal.coherence_length, 2.65e-6
    case = line(SHORT, gap={"model": "fixed", "value": 1.0}, spectrum={"model": "local", "broadening": 1e-3})
    case["mesh"] = {"shape": {"kind": "grid1d", "nx": 200, "Lx": f"{10 * xi} m"}}
    case["junctions"] = []
    case["energies"] = {"number": 300, "largest": 0.02}
    case["reservoirs"] = [
        {"on": "left", "temperature": "10 mK", "gap": "0 eV", "voltage": f"{bias} V"},
        {"on": "right", "temperature": "10 mK"},
    ]
    del case["sweep"]
    current = fvqp.run(case).dataset["I_reservoir"].values.squeeze()[0]
    resistance = xi * metal.resistivity / (150e-9 * 8e-9)
    expected = np.sqrt(2.0) * (1.0 - 2.0 / 20.0**2 / 8.0)
    assert current * resistance / bias == pytest.approx(expected, rel=2e-4)
