"""A normal metal as a region of a superconducting device."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fvqp
from fvqp.errors import CaseError, ConvergenceError

NORMAL = {"gap": "0 eV", "diffusivity": "100 cm^2/s", "resistivity": "50 nohm*m"}
LINE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 40,
            "Lx": "4 um",
            "regions": {"end": ["3 um", "4 um"]},
            "boundaries": {"point_A": "1 um", "point_B": "3.5 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "materials": {"N": NORMAL},
    "regions": {"end": {"material": "N"}},
    "junctions": [
        {"name": "A", "on": "point_A", "conductance": "24.6 uS", "role": "injector"},
        {"name": "B", "on": "point_B", "conductance": "31.4 uS", "role": "detector"},
    ],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0 mV", "0.2 mV", "0.5 mV"], "V_det": ["0 V"], "temperature": "50 mK"},
    "output": {"stored": ["gap", "dos", "f_L", "f_T", "mu_Q"]},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gap": {"model": "local"}, "sweep": LINE["sweep"] | {"V_inj": ["0 mV", "0.1 mV"]}},
        {"gap": {"model": "fixed", "value": 0.9}},
        {"gap": {"model": "uniform", "at": "point_A"}},
    ],
    ids=["equilibrium", "local", "fixed", "uniform"],
)
def test_no_gap_and_no_pairs_in_the_normal_part(changes):
    data = fvqp.run(copy.deepcopy(LINE | changes)).dataset
    normal = data["x"].values > 3e-6
    assert all(np.isfinite(data[name].values).all() for name in data.data_vars)
    assert np.all(data["gap"].values[..., normal] == 0.0)
    assert np.all(data["gap"].values[..., ~normal] > 0.8 * 265e-6)
    np.testing.assert_allclose(data["dos"].values[..., normal, :], 1.0, rtol=1e-12)


def test_no_supercurrent_flows_through_the_normal_part():
    with pytest.raises(ConvergenceError, match="no superconducting path connects source and drain"):
        fvqp.run(copy.deepcopy(LINE | {"supercurrent": {"phase_gradient": 0.05}}))


def test_the_normal_part_relaxes_no_charge():
    """Its potential is linear between junction and reservoir: a resistor, Ohm's law."""
    data = fvqp.run(copy.deepcopy(LINE)).dataset.isel(temperature=0, V_det=0, V_inj=-1)
    x, potential = data["x"].values, data["mu_Q"].values
    inside = (x > 3e-6) & (x < 3.5e-6)
    assert potential[inside].min() > 0.0
    slope = np.diff(potential[inside]) / np.diff(x[inside])
    np.testing.assert_allclose(slope, slope[0], rtol=1e-10)
    # Beyond the detector the current is smaller by what that draws.
    last = x > 3.5e-6
    area, rho = 150e-9 * 8e-9, 50e-9
    before, after = (
        -np.diff(potential[part])[0] / np.diff(x[part])[0] * area / rho for part in (inside, last)
    )
    assert before - after == pytest.approx(float(data["I_det"]), rel=1e-8)


def test_the_reference_material_is_a_superconductor():
    with pytest.raises(CaseError, match="material.gap: N is a normal metal"):
        fvqp.run(LINE | {"material": {"name": "N"}, "regions": {}})


@pytest.mark.slow
def test_one_gap_for_the_device_beside_a_normal_part():
    """Where neighbours share spectra pairs leak out of the superconductor; far from there that is little."""
    gaps = {}
    for spectra in ("local", "diffusive"):
        changes = {
            "gap": {"model": "uniform", "at": "point_A"},
            "reservoirs": [{"on": "left"}, {"on": "right"}],
            "spectrum": {"broadening": 0.01, "model": spectra},
            "sweep": LINE["sweep"] | {"V_inj": ["0 mV", "0.5 mV"]},
        }
        gap = fvqp.run(copy.deepcopy(LINE | changes)).dataset["gap"].values[0, 0]
        assert np.all(gap[:, 30:] == 0.0)
        np.testing.assert_allclose(gap[:, :30], np.broadcast_to(gap[:, :1], (2, 30)))
        gaps[spectra] = gap[:, 0]
    assert gaps["local"][1] < gaps["local"][0]
    assert gaps["diffusive"][1] < gaps["diffusive"][0]
    # Half a micrometre from the contact, eight coherence lengths, next to nothing is left of that.
    np.testing.assert_allclose(gaps["diffusive"], gaps["local"], rtol=2e-2)
    assert np.all(gaps["diffusive"] != gaps["local"])


def test_one_gap_for_the_device_does_not_go_with_another_superconductor():
    materials = {"N": NORMAL | {"gap": "100 ueV"}}
    with pytest.raises(CaseError, match='gap.model: "uniform" is one gap for the whole device'):
        fvqp.run(LINE | {"materials": materials, "gap": {"model": "uniform", "at": "point_A"}})


def test_a_device_without_junctions_carries_a_supercurrent():
    changes = {"junctions": [], "sweep": {"temperature": "50 mK"}, "materials": {}, "regions": {}}
    data = fvqp.run(LINE | changes | {"supercurrent": {"phase_gradient": 0.1}, "output": {}}).dataset
    assert np.all(np.abs(data["I_s"].values) > 1e-6)
