"""Kinetics with the spectrum and the collisions of an electron-phonon interaction."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinetic_cases import STRONG
from scipy import constants

import fvqp
from fvqp.materials import load_material
from fvqp.models.boltzmann.strong_coupling import StrongCoupling, strong_coupling
from fvqp.spectral import alpha2f

RATES: dict[str, tuple[str, str]] = {
    "rate_scattering": ("energy", "tau0_s"),
    "rate_recombination": ("energy", "tau0_s"),
    "rate_pair_breaking": ("omega", "tau0_pb_s"),
}


def run(**changes: Any) -> Any:
    """Thermal rates at 0.2 K, unless changed."""
    data = {
        "model": "boltzmann",
        "material": {"name": "Al"},
        "energies": {"maximum": "6 Delta0", "width": "0.02 Delta0"},
        "gap": {"model": "fixed"},
        "phonons": {"model": "bath"},
        "steady_state": {},
        "sweep": {"temperature": "0.2 K"},
        "output": {"rates": True},
    }
    return fvqp.run(data | copy.deepcopy(changes)).dataset.isel(temperature=0)


def rates(data: Any, name: str, at: list[float]) -> np.ndarray:
    """Rates in 1/τ0 or 1/τ0^pb at energies in Δ0."""
    axis, unit = RATES[name]
    values = np.interp(at, data[axis].values / data.attrs["delta0_eV"], data[name].values)
    return np.asarray(values * data.attrs[unit])


def weak_like(data: Any, strong: StrongCoupling, **changes: Any) -> Any:
    """The same with a BCS spectrum of the same Δ0, T_c and τ0."""
    material = {
        "name": strong.material.name,
        "gap": f"{data.attrs['delta0_eV']} eV",
        "critical_temperature": f"{strong.material.critical_temperature} K",
        "characteristic_time": f"{data.attrs['tau0_s']} s",
    }
    return run(material=material, **changes)


@pytest.mark.slow
def test_weak_coupling_is_bcs():
    """λ = 0.3 and phonons up to a hundred gaps: all rates of BCS theory."""
    interaction = alpha2f.debye(0.3, 30.0)
    spectrum = {"model": "eliashberg", "interaction": {"coupling": 0.3, "debye_energy": "30 meV"}}
    found = run(spectrum=spectrum)
    expected = weak_like(found, strong_coupling(load_material("Al"), interaction))
    assert float(found["n_qp"]) == pytest.approx(float(expected["n_qp"]), rel=2e-3)
    for name in RATES:
        at = [2.1, 2.5, 3.0, 4.0, 6.0] if name == "rate_pair_breaking" else [1.5, 2.0, 3.0, 5.0]
        np.testing.assert_allclose(rates(found, name, at), rates(expected, name, at), rtol=2e-3)


def test_tin_scatters_by_its_phonons():
    """Rates over those of BCS theory follow α²F(ω)/bω² of the phonons that take part, 1 at 2Δ0."""
    tin = alpha2f.metal("Sn")
    strong = strong_coupling(load_material("Sn"), tin.spectrum, coulomb=tin.coulomb)
    cold = {"temperature": "0.375 K"}
    found = run(
        material={"name": "Sn"},
        spectrum={"model": "eliashberg", "interaction": {"metal": "Sn"}},
        sweep=cold,
    )
    expected = weak_like(found, strong, sweep=cold)

    def ratio(name: str, *at: float) -> np.ndarray:
        return rates(found, name, list(at)) / rates(expected, name, list(at))

    def phonons(*at: float) -> np.ndarray:
        return np.interp(at, found["omega"] / found.attrs["delta0_eV"], found["interaction"])

    # One phonon energy each; the gap function, which rises with energy, adds some per cent.
    assert phonons(2.0) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(ratio("rate_pair_breaking", 2.1, 3.0, 6.0), phonons(2.1, 3.0, 6.0), rtol=0.03)
    np.testing.assert_allclose(ratio("rate_recombination", 1.5, 3.0), phonons(2.55, 4.05), rtol=0.03)
    # Emission of all energies up to E − Δ: far fewer than in Debye's model near the gap, more far above it.
    np.testing.assert_allclose(ratio("rate_scattering", 2.0, 3.0, 5.0), [0.46, 0.81, 1.85], atol=0.05)


@pytest.mark.slow
def test_warm_spectrum_has_a_smaller_gap_and_states_below_it():
    data = copy.deepcopy(STRONG)
    data["spectrum"]["temperature"] = "8 K"
    warm = fvqp.run(data).dataset
    cold = fvqp.run(copy.deepcopy(STRONG)).dataset
    assert float(warm["gap"][0]) < 0.95 * float(cold["gap"][0])
    assert warm.attrs["delta0_eV"] == pytest.approx(cold.attrs["delta0_eV"], rel=1e-9)
    below = warm["energy"].values < 0.8 * float(warm["gap"][0])
    assert np.isfinite(warm["renormalization"].values[below]).sum() > 3
    assert np.isnan(cold["renormalization"].values[cold["energy"] < 0.8 * float(cold["gap"][0])]).all()


def pulsed(table: Path) -> dict[str, Any]:
    """A hot pulse with the α²F of a table, which is written."""
    energy = np.linspace(0.0, 10.0, 400)
    np.savetxt(table, np.column_stack([energy, 1.5 * (energy / 10.0) ** 2]))
    data = copy.deepcopy(STRONG)
    del data["steady_state"], data["microwaves"], data["phonons"]
    data["spectrum"]["interaction"] = {"file": str(table), "coulomb": 0.1}
    data["initial"] = {"pulses": [{"centre": "2.5 Delta0", "width": "0.2 Delta0", "peak": 0.01}]}
    data["evolution"] = {"start": "1 ps", "end": "1 ns", "points_per_decade": 1}
    return data


@pytest.mark.slow
def test_closed_system_keeps_its_energy(tmp_path):
    """Quantities that a fixed gap does not define are left out."""
    table = tmp_path / "debye.txt"
    data = pulsed(table)
    found = fvqp.run(data).dataset.isel(temperature=0)
    moved = float(found["energy_qp"][0])
    assert np.abs(found["energy_residual"]).max() < 1e-12 * moved
    assert float(np.ptp(found["n_qp"].values)) > 0.05 * float(found["n_qp"][0])
    assert "energy_condensate" not in found and "gap_suppression" not in found
    assert found.attrs["delta0_eV"] * constants.e == pytest.approx(
        strong_coupling(load_material("Sn"), alpha2f.read(table), coulomb=0.1).material.gap
    )


@pytest.mark.slow
def test_gap_follows(tmp_path):
    """Condensate included, the energy stays while the gap moves."""
    data = pulsed(tmp_path / "debye.txt")
    data["spectrum"]["renormalization"] = "energy"
    data["initial"]["pulses"][0]["peak"] = 0.05
    data |= {"gap": {"model": "follows"}, "figures": [{"kind": "gap_suppression"}]}
    found = fvqp.run(data).dataset.isel(temperature=0)
    moved = np.ptp(found["energy_qp"].values)
    assert np.abs(found["energy_residual"]).max() < 1e-12 * moved
    assert np.ptp(found["energy_condensate"].values) > 1e-3 * moved
    suppressed = 1.0 - found["gap"].values / found.attrs["delta0_eV"]
    np.testing.assert_allclose(found["gap_suppression"].values, suppressed, atol=1e-12)
    assert suppressed.min() > 0.05 and np.ptp(suppressed) > 3e-3
