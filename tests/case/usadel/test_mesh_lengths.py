"""Cells are judged beside the lengths on which distributions and spectra change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fvqp
from fvqp.case import load_case

CASES = Path(__file__).parents[3] / "cases"
WIRE = (
    'gap.model="fixed"',
    "gap.at=",
    'gap.value="1 Delta0"',
    'mesh.shape.regions={under_injector=["5 um", "6 um"], under_detector=["7 um", "8 um"]}',
    "energies.number=60",
    'sweep.V_inj=["0.2 mV", "0.3 mV", "0.8 mV"]',
)


def wire(cells: int, depairing: float) -> Any:
    options = [*WIRE, f"mesh.shape.nx={cells}", f"spectrum.depairing={depairing}"]
    return load_case(CASES / "ryan2026" / "wire.toml", options)


@pytest.mark.parametrize(
    ("cells", "depairing", "says"), [(11, 0.02, True), (33, 0.02, False), (11, 0.0, False)]
)
def test_cells_beside_the_charge_relaxation_length(
    cells: int, depairing: float, says: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning where g_nl is off by more than 5 %, and none where it is by less."""
    found, fine = (np.asarray(fvqp.run(wire(n, depairing)).dataset["g_nl"]) for n in (cells, 440))
    off = np.abs(found - fine).max() / np.abs(fine).max()
    assert (off > 0.05) == says
    caplog.clear()
    text = fvqp.check(wire(cells, depairing))
    assert ("the charge relaxation length" in caplog.text) == says
    assert "in under_injector" in text and "xi 0.0648" in text


def test_charge_relaxes_faster_with_depairing() -> None:
    """√(D_T/R_T) for small ε: the length shrinks from above 1 um to below 0.3 um with depairing."""
    lengths = []
    for depairing in (0.0, 0.1):
        (row,) = (row for row in fvqp.check(wire(110, depairing)).splitlines() if "in under_detector" in row)
        lengths.append(float(row.partition("charge relaxes in ")[2].partition(" um")[0]))
    assert lengths[0] > 1.0 and lengths[1] < 0.3


@pytest.mark.parametrize(("cells", "says"), [(200, False), (20, True)])
def test_cells_beside_the_coherence_length(cells: int, says: bool, caplog: pytest.LogCaptureFixture) -> None:
    case = load_case(CASES / "proximity" / "sn_wire.toml", [f"mesh.shape.nx={cells}"])
    text = fvqp.check(case)
    assert ("the coherence length of 0.0648 um" in caplog.text) == says
    assert "pairs reach 0.122 um" in text  # sqrt(hbar 60 cm^2/s / 264 ueV)
