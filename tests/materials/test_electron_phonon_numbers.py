"""What follows from the numbers of a material, against published values and against independent relations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from fvqp.errors import CaseError
from fvqp.materials import (
    Material,
    consistency,
    debye_speed,
    load_material,
    mean_sound_speed,
    pair_breaking_time,
    recombination_constant,
)

ELEMENTS = ["Al", "Sn", "Ta", "Nb", "Ti", "TiN", "Hf"]
UM3 = 1e-18


@pytest.mark.parametrize(("name", "mismatch"), [("Al", 0.96), ("Sn", 1.16), ("Ta", 1.20), ("Nb", 1.24)])
def test_published_times_miss_energy_conservation_by_some_20_percent(name: str, mismatch: float) -> None:
    report = consistency(load_material(name))
    assert report.mismatch == pytest.approx(mismatch, abs=0.01)
    assert report.mismatch == pytest.approx(report.published / report.derived)


@pytest.mark.parametrize("name", ELEMENTS)
def test_relation_holds_with_the_derived_time(name: str) -> None:
    """4N0/(τ0 (k_BT_c)³) = 18 N_ion/(π τ0^pb Δ0 Ω_D³), in eV, µm and ns."""
    m = load_material(name)
    ev = constants.e
    n0 = m.dressed_density_of_states * ev * UM3
    kt_c = constants.k * m.critical_temperature / ev
    electrons = 4.0 * n0 / (m.characteristic_time * 1e9 * kt_c**3)
    lattice = m.ion_density * UM3 / ((m.gap / ev) * (m.debye_energy / ev) ** 3)
    assert electrons == pytest.approx(18.0 * lattice / (math.pi * pair_breaking_time(m) * 1e9), rel=1e-12)
    alone = replace(m, pair_breaking_time=pair_breaking_time(m))
    assert consistency(alone).mismatch == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", ["Al", "Sn", "Ta", "Nb"])
def test_both_times_from_one_spectrum(name: str) -> None:
    """τ0^pb = ħ N_ion/(4π² N_bare α²_av Δ0) of Kaplan et al. with N_bare = N0/Z and α²F = b Ω² everywhere.

    ⟨α²⟩ = b Ω_D³/9 for the Debye spectrum F = 9Ω²/Ω_D³ of three branches, 1/τ0 = 2πb(k_BT_c)³/ħZ.
    """
    m = load_material(name)
    z = 1.7  # drops out
    b = constants.hbar * z / (2.0 * math.pi * m.characteristic_time)
    b /= (constants.k * m.critical_temperature) ** 3
    alpha = b * m.debye_energy**3 / 9.0
    bare = m.dressed_density_of_states / z
    time = constants.hbar * m.ion_density / (4.0 * math.pi**2 * bare * alpha * m.gap)
    assert pair_breaking_time(m) == pytest.approx(time, rel=1e-12)


@pytest.mark.parametrize(("name", "constant"), [("Al", 8.1), ("Sn", 663.0), ("Ta", 139.0), ("Nb", 647.0)])
def test_recombination_constants(name: str, constant: float) -> None:
    """µm³/s; also ``R = 2Δ0²/(N0 τ0 (k_BT_c)³)``."""
    m = load_material(name)
    r = recombination_constant(m)
    assert r / UM3 == pytest.approx(constant, rel=0.01)
    kt_c = constants.k * m.critical_temperature
    assert r == pytest.approx(
        2.0 * m.gap**2 / (m.dressed_density_of_states * m.characteristic_time * kt_c**3)
    )


@pytest.mark.parametrize("name", ["Al", "Sn", "Ta", "Nb", "Ti", "Hf"])
def test_debye_energy_goes_with_the_speeds_of_sound(name: str) -> None:
    """At low temperature both describe the same phonons; 15 % is what anisotropy and temperature leave."""
    m = load_material(name)
    assert debye_speed(m) == pytest.approx(mean_sound_speed(m), rel=0.15)


def test_debye_speed_counts_the_modes() -> None:
    """3 N_ion modes below Ω_D: V k_D³/(6π²) states a branch."""
    m = load_material("Al")
    k_d = m.debye_energy / (constants.hbar * debye_speed(m))
    assert k_d**3 / (6.0 * np.pi**2) == pytest.approx(m.ion_density, rel=1e-12)


def test_missing_numbers_and_normal_metals() -> None:
    wire = load_material("Al_ryan2026")
    with pytest.raises(
        CaseError, match="electron-phonon kinetics needs characteristic_time and dressed_dens"
    ):
        pair_breaking_time(wire)
    with pytest.raises(CaseError, match="characteristic_time"):
        recombination_constant(wire)
    with pytest.raises(CaseError, match="phonons needs longitudinal_speed and transverse_speed"):
        mean_sound_speed(wire)
    with pytest.raises(CaseError, match="this is a normal metal"):
        pair_breaking_time(Material(name="Cu", gap=0.0))
    al = load_material("Al")
    report = consistency(replace(al, pair_breaking_time=math.nan, transverse_speed=math.nan))
    assert math.isnan(report.mismatch) and math.isnan(report.mean_sound_speed) and report.derived > 0.0


@pytest.mark.parametrize("name", ELEMENTS)
def test_library_has_every_number_with_its_source(name: str) -> None:
    material = load_material(name)
    assert pair_breaking_time(material) > 0.0  # published for some
    numbers = (
        "gap",
        "critical_temperature",
        "characteristic_time",
        "dressed_density_of_states",
        "ion_density",
        "debye_energy",
        "longitudinal_speed",
        "transverse_speed",
        "fermi_velocity",
    )
    for key in numbers:
        assert getattr(material, key) > 0.0 and material.sources[key], key


@pytest.mark.parametrize(("name", "electrons"), [("Ti", 4.0), ("Hf", 4.0), ("TiN", 0.5)])
def test_estimated_fermi_velocities(name: str, electrons: float) -> None:
    """A sphere of free electrons with the density of states of the heat capacity."""
    material = load_material(name)
    wave = np.cbrt(3.0 * np.pi**2 * electrons * material.ion_density)
    estimate = wave**2 / (2.0 * np.pi**2 * constants.hbar * material.dressed_density_of_states)
    assert material.fermi_velocity == pytest.approx(estimate, rel=0.15)
