"""The published probe signal, after Goldie and Withington, Supercond. Sci. Technol. 26, 015004 (2013).

Driven quasiparticles are compared with as many thermal ones, whose temperature is T_N*.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import constants

import fvqp

CASE = Path(__file__).parents[2] / "cases" / "goldie2013" / "probe_power.toml"
POWERS = (0.2, 20.0)


@cache
def probed() -> xr.Dataset:
    """The case at a weak and at a strong power."""
    overrides = [
        'energies.maximum="4.5 Delta0"',
        f"sweep.strength={list(POWERS)}",
        'figures=[{kind="recombination", compare="thermal"}, {kind="temperatures", compare="analytic"}, '
        '{kind="density", compare="analytic"}]',
    ]
    return fvqp.run(CASE, overrides=overrides).dataset.isel(temperature=0)


@pytest.mark.slow
def test_power_is_absorbed_and_leaves():
    data = probed()
    np.testing.assert_allclose(data["power_injected"], POWERS, rtol=1e-9)
    np.testing.assert_allclose(data["power_escaped"], POWERS, rtol=1e-6)


@pytest.mark.slow
def test_distribution_is_not_thermal():
    """Many more quasiparticles than thermal ones at 2Δ and beyond, fewer within the first photon step.

    At the foot of the step, where f goes as an inverse square root, there are more.
    """
    data = probed()
    energies = data["energy"].values / data.attrs["delta0_eV"]
    at = int(np.abs(energies - 2.0).argmin())
    assert np.all(data["f"].values[:, at] > 10.0 * data["f_thermal"].values[:, at])
    middle = int(np.abs(energies - 1.0 - 8.0 / 180.0).argmin())
    assert np.all(data["f"].values[:, middle] < data["f_thermal"].values[:, middle])
    assert np.all(data["f"].values[:, 0] > data["f_thermal"].values[:, 0])


@pytest.mark.slow
def test_temperature_of_as_many_quasiparticles():
    """T_N* by the power that leaves above 2Δ, with the rates of quasiparticles at the gap.

    Those of driven ones, T_* up to 0.6 Δ0 above it, are larger by less than 2; that is ½ ln 2 in ln n, and
    k_BT/Δ times this in ln T.
    """
    data = probed()
    found, closed = data["temperature_qp"].values, data["temperature_qp_analytic"].values
    delta0 = data.attrs["delta0_eV"]
    cold = constants.k * found / constants.e / delta0
    assert np.all(np.abs(found / closed - 1.0) < 0.5 * np.log(2.0) * cold)
    assert np.all(np.diff(found) > 0.0)


@pytest.mark.slow
def test_lifetime_is_about_that_of_as_many_thermal_ones():
    """Shorter, because recombination grows with the energy of the driven ones."""
    data = probed()
    ratio = data["recombination_rate"].values / data["recombination_rate_thermal"].values
    assert np.all((ratio > 1.0) & (ratio < 1.4))


@pytest.mark.slow
def test_quality_factor_is_higher_than_of_as_many_thermal_ones():
    data = probed()
    assert np.all(data["inverse_quality_factor"].values < data["inverse_quality_factor_thermal"].values)
    # the kinetic inductance hardly differs
    np.testing.assert_allclose(data["sigma2"], data["sigma2_thermal"], rtol=1e-5)


@pytest.mark.slow
def test_density_is_that_of_a_driven_film():
    """Equations of Fischer and Catelani at the rate of photons that was found; measured 2 to 3 %."""
    data = probed()
    np.testing.assert_allclose(data["n_qp_analytic"], data["n_qp"], rtol=0.04)
