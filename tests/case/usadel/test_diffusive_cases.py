"""Cases with diffusive spectra: resuming, messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))

import numpy as np
import pytest
from run_cases import line

import fvqp
from fvqp.errors import CaseError
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
        (
            {
                "spectrum": {"model": "local"},
                "reservoirs": [{"on": "left", "temperature": "24 mK", "gap": "0 eV"}],
            },
            r"reservoirs\[0\].gap: is not used",
        ),
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
            },
            "superconductors only",
        ),
    ],
)
def test_mistakes(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CaseError, match=words):
        fvqp.run(line(SHORT, changes))
