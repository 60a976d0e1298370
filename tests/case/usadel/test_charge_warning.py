"""Collisions that leave out the charge mode say so where it is large."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed

import fvqp

CASE = Path(__file__).parents[3] / "cases" / "nagaev1995" / "hot_electrons.toml"


WIRE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d", "Lx": "4 um", "nx": 16,
            "boundaries": {"A": "1 um", "B": "1.5 um"},
        },
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "A", "conductance": "20 uS", "role": "injector"},
        {"name": "B", "on": "B", "conductance": "20 uS", "role": "detector", "bias": "0 V"},
    ],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.02},
    "energies": {"number": 100},
    "collisions": {"electron_electron": 2e-4},
    "sweep": {"temperature": "0.1 K", "V_inj": ["1.2 Delta0"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, False),
        ({"sweep.V_inj": ["1.2 Delta0", "4 Delta0"]}, True),
        ({"sweep.V_inj": ["1.2 Delta0", "4 Delta0"], "collisions.charge": True}, False),
        ({"sweep.temperature": "1.5 K", "collisions.electron_electron": 0.02, "energies.number": 200}, True),
    ],
)
def test_a_superconducting_wire(changes: dict[str, Any], says: bool, caplog: Any) -> None:
    """Charge relaxes by collisions far above the gap and near T_c; told once, at the largest bias."""
    fvqp.run(changed(WIRE, changes))
    told = [record.message for record in caplog.records if "collisions.charge" in record.message]
    assert len(told) == says
    if says:
        found = re.search(
            r"some (\S+) % of what the bias adds .* superconducting cells at V_inj = (\S+) V", told[0]
        )
        assert found and 5.0 < float(found[1]) < 100.0
        bias = 4.0 if "sweep.V_inj" in changes else 1.2
        assert float(found[2]) == pytest.approx(bias * 265e-6, rel=0.03)


def run(volts: float, charge: bool) -> tuple[np.ndarray, float]:
    """f_L of a normal wire, and its largest f_T."""
    overrides = [
        "figures=[]",
        "mesh.shape.nx=8",
        "collisions.electron_electron=100",
        f"collisions.charge={str(charge).lower()}",
        f'reservoirs.0.voltage="{-volts} mV"',
        f'reservoirs.1.voltage="{volts} mV"',
    ]
    found = fvqp.run(CASE, overrides=overrides).dataset
    return found["f_L"].to_numpy(), float(np.abs(found["f_T"].to_numpy()).max())


@pytest.mark.parametrize(("volts", "says"), [(0.0016, False), (0.016, True)])
def test_a_biased_normal_wire(volts: float, says: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Both sides of the limit; what f_L misses is at most what the message says, half of f_T²."""
    alone, largest = run(volts, False)
    assert (largest > 0.1) == says
    told = [record.message for record in caplog.records if "collisions.charge" in record.message]
    assert len(told) == says
    caplog.clear()
    both, _ = run(volts, True)
    assert not any("collisions.charge" in record.message for record in caplog.records)
    missed = np.abs(both - alone).max()
    assert missed < 0.5 * largest**2
    if says:
        assert missed > 0.05 * largest**2
        assert f"is up to {largest:.2g} in normal cells" in told[0]
