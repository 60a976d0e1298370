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
POWERS = (0.2, 2.0, 20.0, 200.0)


@cache
def probed() -> xr.Dataset:
    """The case with half as many bins."""
    overrides = [
        'energies.width="4 ueV"',
        'energies.maximum="6 Delta0"',
        f"sweep.strength={list(POWERS)}",
        'figures=[{kind="recombination", compare="thermal"}, {kind="temperatures", compare="analytic"}]',
    ]
    return fvqp.run(CASE, overrides=overrides).dataset.isel(temperature=0)


@pytest.mark.slow
def test_power_is_absorbed_and_leaves():
    data = probed()
    np.testing.assert_allclose(data["power_injected"], POWERS, rtol=1e-9)
    np.testing.assert_allclose(data["power_escaped"], POWERS, rtol=1e-6)


@pytest.mark.slow
def test_distribution_is_not_thermal():
    """Photon steps at the gap, many more quasiparticles than thermal ones at 2Δ and beyond."""
    data = probed()
    energies = data["energy"].values / data.attrs["delta0_eV"]
    at = int(np.abs(energies - 2.0).argmin())
    assert np.all(data["f"].values[:, at] > 10.0 * data["f_thermal"].values[:, at])
    first = energies > 1.0
    assert np.all(data["f"].values[:, first][:, 0] < data["f_thermal"].values[:, first][:, 0])


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
    """Equations of Fischer and Catelani at the rate of photons that was found."""
    overrides = [
        'energies.width="4 ueV"',
        'energies.maximum="6 Delta0"',
        "sweep.strength=[20.0]",
        'figures=[{kind="density", compare="analytic"}]',
    ]
    data = fvqp.run(CASE, overrides=overrides).dataset
    assert data["n_qp"].item() == pytest.approx(data["n_qp_analytic"].item(), rel=0.12)
