"""The published drive against closed forms of Fischer and Catelani, Phys. Rev. Applied 19, 054087 (2023).

Closed forms know no bins: photon ladders for the distribution (theory, driven-ladder), Eqs. 47 to 53 of the
paper for density and gap. The case is run with fewer bins and points.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import constants

import fvqp
from fvqp.models.boltzmann.driven import DrivenDistribution, effective_temperature, envelope

CASE = Path(__file__).parents[2] / "cases" / "fischer2023" / "microwave_drive.toml"
KAPPA, STEP, TAU0 = 1.764, 1.0 / 9.0, 438e-9


@cache
def driven(bins: int, temperature: str, strengths: str, maximum: str = "5") -> xr.Dataset:
    """The case with bins of at most one part in so many of a photon step."""
    overrides = [
        f'energies.width="{STEP / bins} Delta0"',
        f'energies.maximum="{maximum} Delta0"',
        f"sweep.temperature={temperature}",
        f"sweep.strength={strengths}",
    ]
    return fvqp.run(CASE, overrides=overrides).dataset


def t_star(photons: float) -> float:
    """T_* in Δ0."""
    return float(effective_temperature(KAPPA, TAU0, STEP, photons))


def test_effective_temperature_of_table_one():
    """T_* = 0.565 Δ0 at 2·10⁷ photons, by Eq. 35 in SI units."""
    delta, kt = 180e-6, 180e-6 / 1.764
    sixth = 105.0 / 64.0 * kt**3 * 1.0 * TAU0 * (20e-6) ** 2 * delta * 2e7
    assert sixth ** (1 / 6) / delta == pytest.approx(t_star(2e7), rel=1e-9)
    assert t_star(2e7) == pytest.approx(0.565, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(("photons", "middle"), [(5e6, 0.005), (1e7, 0.025)])
def test_distribution_over_twelve_decades(photons, middle):
    """f over that of the ladders is constant from 2 T_* above the gap on, and from foot to foot.

    What lies below 1e-12 of the largest f comes from phonons above 2Δ that are absorbed, which ladders do not
    know.
    """
    bins = 9
    data = driven(bins, '"0.05 K"', f"[{photons:g}]").isel(temperature=0, strength=0)
    energies, f = data["energy"].values / data.attrs["delta0_eV"], data["f"].values
    ladders = DrivenDistribution(STEP, TAU0 * photons, KAPPA, maximum=6.0, photons=photons)
    phase = (energies - 1.0) / STEP % 1.0
    seen = (energies > 1.0 + 2.0 * t_star(photons)) & (f > 1e-12 * f.max()) & (phase > 1e-3)
    assert f[seen].min() < 1e-11 * f.max()
    ratio = np.log(f[seen] / ladders(energies[seen]))
    ratio -= np.median(ratio)
    # a bin next to a foot is 2.7 times as wide as the one before it
    assert np.abs(ratio).max() < 0.06
    inside = phase[seen] > 0.3
    assert np.abs(ratio[inside]).max() < middle


@pytest.mark.slow
def test_envelope_over_six_decades():
    """The closed formula follows f in the middle of the photon steps."""
    photons, bins = 1e7, 9
    data = driven(bins, '"0.05 K"', f"[{photons:g}]").isel(temperature=0, strength=0)
    energies, f = data["energy"].values / data.attrs["delta0_eV"], data["f"].values
    phase = ((energies - 1.0) / STEP) % 1.0
    middle = (
        (np.abs(phase - 0.5) < 0.5 / bins) & (energies > 1.0 + 2.0 * t_star(photons)) & (f > 1e-12 * f.max())
    )
    formula = envelope(
        energies[middle], STEP, TAU0 * photons, KAPPA, matching=energies[middle][0], photons=photons
    )
    assert f[middle][0] / f[middle][-1] > 1e6
    # 1 % of the formula by itself where T_* is 4.5 photon steps, the rest as of the ladders
    np.testing.assert_allclose(f[middle] / f[middle][0], formula, rtol=0.1)


@pytest.mark.slow
def test_phonons_that_driven_quasiparticles_emit():
    """Those of the ladders, at 2·10⁷ photons from where they outnumber the bath up to 2.4 Δ.

    As far off as the density; beyond 2Δ, where pairs emit them, twice as far. Measured 4 %, 15 %.
    """
    overrides = [
        f'energies.width="{STEP / 9} Delta0"',
        'energies.maximum="5 Delta0"',
        'sweep.temperature="0.1 K"',
        "sweep.strength=[2e7]",
    ]
    data = fvqp.run(CASE, overrides=overrides).dataset.squeeze()
    omega = data["omega"].values / data.attrs["delta0_eV"]
    cold = constants.k * 0.1 / constants.e / data.attrs["delta0_eV"]
    seen = (data["n"].values > 3.0 / np.expm1(omega / cold)) & (omega < 2.4)
    assert np.ptp(omega[seen]) > 1.0
    # photon by photon, since a point next to a step belongs to both sides of it
    step = np.round((omega[seen] - 2.0) / STEP).astype(int)
    step -= step.min()
    sums = [np.bincount(step, data[name].values[seen]) for name in ("n", "n_analytic")]
    neglected = (
        np.where(np.bincount(step, omega[seen]) < 2.0 * np.bincount(step), 1.0, 2.0) * t_star(2e7) ** 3
    )
    assert np.all(np.abs(np.log(sums[0] / sums[1])) < neglected)


@pytest.mark.slow
def test_density_in_both_regimes():
    """Thermal phonons, then the drive, make the quasiparticles.

    Closed forms leave out k_BT/Δ where phonons of the bath generate, T_*³ where the drive does. Measured
    2 to 5 %.
    """
    data = driven(9, '["0.1 K", "0.15 K"]', "[1e6, 5e6, 2e7, 5e7]")
    found, closed = data["x_qp"].values, data["x_qp_analytic"].values
    delta0 = data.attrs["delta0_eV"]
    for t, temperature in enumerate(data["temperature"].values):
        cold = constants.k * temperature / constants.e / delta0
        for s, photons in enumerate(data["strength"].values):
            neglected = cold + t_star(photons) ** 3
            assert found[t, s] == pytest.approx(closed[t, s], rel=neglected), (temperature, photons)
    np.testing.assert_allclose(found, closed, rtol=0.06)
    # the bath no longer makes quasiparticles; its phonons leave fewer of them at the gap
    assert found[0, 3] < found[1, 3] < 1.05 * found[0, 3]
    assert found[0, 3] > 1e4 * found[0, 0]


@pytest.mark.slow
def test_gap_shift_against_drive_and_bath():
    """δΔ/Δ0 = −x_qp ⟨Δ/E⟩ of the ladders; Eq. 53 leaves out those that photon steps gather at the gap."""
    data = driven(9, '["0.1 K", "0.15 K"]', "[1e6, 5e6, 2e7, 5e7]")
    shift, x = data["gap_suppression"].values, data["x_qp"].values
    closed = data["gap_suppression_analytic"].values / data["x_qp_analytic"].values
    for s, photons in enumerate(data["strength"].values):
        t = t_star(photons)
        mean = shift[0, s] / x[0, s]
        assert mean == pytest.approx(closed[0, s], abs=0.005), photons
        assert 0.0 < mean - (1.0 - 0.42 * t + 0.22 * t**2) < 0.06
    assert np.all(np.diff(shift[:, 2:], axis=1) > 0.0) and np.all(np.diff(shift, axis=0) > 0.0)
    # a weak drive thins out the thermal ones: recombination grows with the energy, generation does not
    assert x[1, 1] < x[1, 0]


@pytest.mark.slow
def test_gap_that_follows_moves_as_far():
    """Solved for the gap too, at a drive that lowers it by 3·10⁻⁴."""
    overrides = [
        f'energies.width="{STEP / 5} Delta0"',
        'energies.maximum="6 Delta0"',
        'energies.lowest_gap="0.9 Delta0"',
        'sweep.temperature="0.15 K"',
        "sweep.strength=[1e8]",
        "figures=[]",
    ]
    fixed = fvqp.run(CASE, overrides=overrides).dataset
    follows = fvqp.run(CASE, overrides=[*overrides, 'gap.model="follows"']).dataset
    moved = 1.0 - float(follows["gap"].squeeze()) / follows.attrs["delta0_eV"]
    # to first order in the shift, and the order of the bins that the edge leaves
    assert moved == pytest.approx(float(fixed["gap_suppression"].squeeze()), rel=0.05)
    assert moved == pytest.approx(float(follows["gap_suppression"].squeeze()), rel=1e-6)
