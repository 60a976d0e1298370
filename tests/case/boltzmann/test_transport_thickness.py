"""Films and lines with a cross-section: amounts in joule and watt, as in the solid that they stand for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.errors import CaseError

VOLT = 1.602176634e-19
REGIONS = {"trap": ["4 um", "6 um"], "strip": ["0 um", "1 um"]}
#: A body of 6 x 2 x 0.1 um as a line, a film and a solid.
BODIES: dict[str, dict[str, Any]] = {
    "line": {
        "mesh.shape": {"kind": "grid1d", "nx": 6, "Lx": "6 um", "regions": REGIONS},
        "cross_section": {"width": "2 um", "thickness": "100 nm"},
    },
    "film": {"cross_section": {"thickness": "100 nm"}},
    "solid": {
        "mesh.shape": {
            "kind": "grid3d",
            **{"nx": 6, "ny": 1, "nz": 1, "Lx": "6 um", "Ly": "2 um", "Lz": "100 nm"},
            "regions": {name: [along, "all", "all"] for name, along in REGIONS.items()},
        }
    },
}


@cache
def computed(body: str) -> xr.Dataset:
    of = {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "regions": ["strip"]}
    changes = {
        "initial": {"pulses": [of | {"energy": "3 eV"}]},
        "injections": [of | {"total_power": "40 pW"}],
        "evolution.end": "5 ns",
    }
    return fvqp.run(changed(FILM, BODIES[body] | changes)).dataset


@pytest.mark.parametrize("body", BODIES)
def test_a_pulse_has_its_energy_and_an_injection_its_power(body: str) -> None:
    data = computed(body)
    assert data["cell_volume"].attrs["units"] == "m3"
    volume = float(data["cell_volume"].sum())
    assert volume == pytest.approx(6e-6 * 2e-6 * 1e-7, rel=1e-12)
    thermal = data["energy_ph_region"].sel(region="trap").values[0]
    pulse = (data["energy_ph"].values[0] - thermal) * volume
    assert pulse == pytest.approx(3.0 * VOLT, rel=1e-10)
    injected = data["energy_injected"].values * volume
    np.testing.assert_allclose(injected, 40e-12 * data["time"].values, rtol=1e-10)


def test_a_film_is_a_thin_solid() -> None:
    solid = computed("solid")
    for body in ("line", "film"):
        found = computed(body)
        for name in ("n_qp", "n_qp_region", "energy_ph", "energy_escaped_by"):
            np.testing.assert_allclose(found[name], solid[name], rtol=5e-3, err_msg=f"{body} {name}")


def test_shells_of_a_cylinder_have_a_length() -> None:
    pulse = SPHERE["initial"]["pulses"][0] | {"energy": "1 MeV"}
    del pulse["peak"]
    shells = changed(SPHERE, {"body.geometry": "cylinder", "evolution.end": "20 ps"})
    with pytest.raises(CaseError, match="a cylinder has no end and no energy; give peak, or cross_section"):
        fvqp.run(shells | {"initial": {"pulses": [pulse]}})
    shells |= {"cross_section": {"thickness": "5 um"}}
    cold = fvqp.run(shells | {"initial": {}}).dataset
    data = fvqp.run(shells | {"initial": {"pulses": [pulse]}}).dataset
    volume = float(data["cell_volume"].sum())
    assert volume == pytest.approx(np.pi * 1e-5**2 * 5e-6, rel=1e-12)
    added = (data["energy_qp"] - cold["energy_qp"]).values[0] * volume
    assert added == pytest.approx(1e6 * VOLT, rel=1e-9)
