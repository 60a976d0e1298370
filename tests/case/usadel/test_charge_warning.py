"""Collisions that leave out the charge mode say so where it is large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fvqp

CASE = Path(__file__).parents[3] / "cases" / "nagaev1995" / "hot_electrons.toml"


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
