"""The transport cases of cases/devices: balance of energy, and what their README says to look for."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import constants, special

import fvqp
from fvqp.case import load_case

FOLDER = Path(__file__).parents[2] / "cases" / "devices"
NAMES = ("film_with_trap", "qubit_chip", "mkid", "absorber_3d", "films_on_crystal")


@cache
def results(name: str, *overrides: str) -> xr.Dataset:
    return fvqp.run(FOLDER / f"{name}.toml", overrides=overrides).dataset


def imbalance(dataset: xr.Dataset) -> float:
    """Energy that is not accounted for, relative to all that is there or came or went."""
    size = max(
        np.abs(dataset[name].values).max()
        for name in ("energy_ph", "energy_qp", "energy_injected", "energy_escaped")
    )
    return float(np.abs(dataset["energy_residual"].values).max() / size)


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_valid_and_have_a_figure_and_a_page(name: str) -> None:
    data: dict[str, Any] = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    assert data["figures"] and data["output"]["fields"]
    assert f"`{name}.toml`" in (FOLDER / "README.md").read_text()
    load_case(FOLDER / f"{name}.toml")


@pytest.mark.slow
def test_phonons_of_an_absorber_reach_the_wire_above_first() -> None:
    """The first nanoseconds: energy is kept, and the wire has most quasiparticles above the deposit."""
    found = results("absorber_3d", "evolution.end=3 ns", "evolution.start=1 ns", "evolution.tolerance=0.2")
    assert imbalance(found) < 1e-12
    x, density = found["x"].values, found["n_qp_cell"].values[-1]
    wire = density > 0.0
    assert wire.sum() == 20
    assert abs(x[wire][np.argmax(density[wire])] - 80e-6) < 6e-6


@pytest.mark.slow
def test_a_trap_empties_the_film_around_it() -> None:
    found = results("film_with_trap")
    power = float(found["power_injected"].values[0])
    assert abs(float(found["power_residual"].values[0])) < 1e-12 * power
    assert float(found["power_escaped"].values[0]) == pytest.approx(power, rel=1e-12)
    x, y = found["x"].values, found["y"].values
    density = 2.0 * found["n_qp_cell"].values[0] / found.attrs["density_unit_m-3"]
    distance = np.maximum(np.maximum(np.abs(x - 250e-6), np.abs(y - 250e-6)) - 50e-6, 0.0)
    film = distance > 0.0
    rings = [(0, 25e-6), (25e-6, 75e-6), (75e-6, 150e-6), (150e-6, 350e-6), (350e-6, 700e-6)]
    means = [density[film & (low < distance) & (distance <= high)].mean() for low, high in rings]
    assert np.all(np.diff(means) > 0.0)
    assert density[film].min() == pytest.approx(3.52e-4, rel=0.02)
    assert density[film].max() == pytest.approx(9.13e-4, rel=0.02)


@pytest.mark.slow
def test_pads_see_the_particle_one_after_another() -> None:
    """The first microsecond, on fewer energies; the fourth pad is as far as phonons diffuse by then."""
    found = results(
        "qubit_chip",
        "energies.width=0.2 Delta0",
        "energies.growth=0.1",
        "evolution.end=1 us",
        "evolution.tolerance=0.3",
    )
    assert imbalance(found) < 1e-12
    pads = found["x_qp_region"].sel(region=[f"pad_{k}" for k in (1, 2, 3, 4)])
    times = found["time"].values
    arrival = [times[np.argmax(pads.values[:, k] > 1e-5)] for k in range(4)]
    assert arrival[0] > 0.0 and np.all(np.diff(arrival) > 0.0)
    # A free path of 200 um: the fourth pad, 1.5 mm away, is reached by diffusion in about r²/6D.
    reach = 1.52e-3**2 / (6.0 * 5900.0 * 200e-6 / 3.0)
    assert 0.5 * reach < arrival[-1] < 2.0 * reach
    assert np.all(np.diff(pads.values[-1]) < 0.0)


@pytest.mark.slow
def test_errors_of_steps_follow_the_tolerance() -> None:
    """While the phonons leave the chip, in 4 us, and pads give back what they hold. Steps by a product of
    factors that leaves three tenths of the changes undone would put 3 % into the pads at this tolerance."""
    wide = "energies.width=0.08 Delta0", "energies.growth=0.15"
    times = "evolution.end=20 us", "evolution.start=1 us"
    found, fine = (results("qubit_chip", *wide, *times, f"evolution.tolerance={t}") for t in (0.003, 0.001))
    pads = [f"pad_{k}" for k in (1, 2, 3, 4)]
    one, other = (data["x_qp_region"].sel(region=pads).values[1:] for data in (found, fine))
    np.testing.assert_allclose(one, other, rtol=5e-3)
    np.testing.assert_allclose(found["energy_ph"].values, fine["energy_ph"].values, rtol=5e-3)


@pytest.mark.slow
def test_a_detector_shows_quasiparticles_in_loss_and_frequency() -> None:
    found = results("mkid")
    assert imbalance(found) < 1e-12
    # J. Gao et al., J. Low Temp. Phys. 151, 557 (2008), at a fixed gap; corrections are of order k_BT/Δ.
    unit = float(found.attrs["delta0_eV"]) * constants.e
    temperature, photon = constants.k * 0.18 / unit, constants.h * 5e9 / unit
    half = 0.5 * photon / temperature
    root = np.sqrt(2.0 / (np.pi * temperature))
    thermal_loss = 0.3 * 2.0 / np.pi * root * np.sinh(half) * special.k0(half)
    thermal_shift = 0.5 * 0.3 * root * special.ive(0, half)
    late = results("mkid", "microwaves=[]").isel(time=slice(-3, None))
    loss, shift = (late[name] / late["x_qp"] for name in ("inverse_quality_factor", "frequency_shift"))
    np.testing.assert_allclose(loss, thermal_loss, rtol=temperature)
    np.testing.assert_allclose(-shift, thermal_shift, rtol=temperature)
    # The readout widens the distribution.
    late = found.isel(time=slice(-3, None))
    loss, shift = (late[name] / late["x_qp"] for name in ("inverse_quality_factor", "frequency_shift"))
    assert np.all(loss < 0.6 * thermal_loss) and np.all(-shift < thermal_shift)
    # Hot quasiparticles hardly show; the loss grows while they cool, and falls as they recombine.
    peak = int(found["inverse_quality_factor"].values.argmax())
    assert 5e-6 < found["time"].values[peak] < 5e-5
    assert found["x_qp"].values[peak] < found["x_qp"].values[0]


@pytest.mark.slow
def test_quasiparticles_run_along_a_wire_to_its_lead() -> None:
    found = results("absorber_3d")
    assert imbalance(found) < 1e-12
    x, density = found["x"].values, found["n_qp_cell"].values
    wire = np.flatnonzero(density[-1] > 0.0)
    along = wire[np.argsort(x[wire])]
    assert np.all(np.diff(density[-1, along]) > 0.0)
    energy = found["energy_escaped"].values[-1] / found["energy_ph"].values[0]
    assert energy > 0.985
    assert found["x_qp_region"].sel(region="wire").max() == pytest.approx(9.0e-3, rel=0.1)
