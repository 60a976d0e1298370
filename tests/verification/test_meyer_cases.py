"""The shipped cases after Meyer, Houzet and Nazarov (2020): what their README says to look for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fvqp

CASES = Path(__file__).parents[2] / "cases" / "meyer2020"

pytestmark = pytest.mark.slow


def test_a_trap_that_fills_up() -> None:
    """Unpolarized quasiparticles first, then a random walk of the spin, then the stationary state."""
    found = fvqp.run(CASES / "relaxation.toml").dataset.isel(spin=0, generation=0, volume=0)
    master, simplified, random = (found.isel(equation=row) for row in range(3))
    time, number = found["time"].values, master["N_mean_evolution"].values
    polarization = master["polarization_evolution"].values
    injection = 1000.0
    early = time < 3e-4
    np.testing.assert_allclose(number[early], injection * time[early], rtol=0.02)
    least = int(np.argmin(polarization))
    unpolarized = np.sqrt(2.0 * injection / 18.0)
    # With the paper's algebra, which drops arrivals at M = 0, the least polarization would be 0.45.
    assert polarization[least] == pytest.approx(0.52, abs=0.01)
    assert 0.5 < time[least] / (unpolarized / injection) < 2.0 and 0.7 < number[least] / unpolarized < 1.1
    # <N²> = 3AVt while the walk is free; the mean of that Maxwellian is (8/3π)^(1/2) of the root.
    free = (time > 0.02) & (time < 0.1)
    square = simplified["N_variance_evolution"].values + simplified["N_mean_evolution"].values ** 2
    growth = np.polyfit(time[free], square[free], 1)[0]
    assert growth == pytest.approx(3.0 * injection, rel=0.1)
    # Random trajectories: no systematic difference, and the scatter that their errors say.
    deviation = (random["N_mean_evolution"].values - number) / random["N_mean_error_evolution"].values
    assert abs(deviation.mean()) < 2.0 and np.abs(deviation).max() < 4.5
    assert number[-1] == pytest.approx(float(master["N_mean"]), rel=1e-4)
    np.testing.assert_allclose(master["P_evolution"].values[-1], master["P"].values, atol=1e-5)
    assert float(master["lost_evolution"]) < 1e-10
    # What is left in the end falls at the slowest rate.
    left = float(master["N_mean"]) - number
    late = (time > 4.0) & (time < 9.0)
    slope = -np.polyfit(time[late], np.log(left[late]), 1)[0]
    assert slope == pytest.approx(float(master["relaxation_rate"][0]), rel=0.01)


def test_moments_reach_both_regimes() -> None:
    """⟨N⟩ ∝ A^{1/2} in the large trap (8), ∝ A^{1/3} in the small one (9)."""
    found = fvqp.run(CASES / "moments.toml").dataset.isel(spin=0).sel(equation="master")
    slope = np.log(found["N_mean"]).diff("generation").values / np.log(10.0) * 2.0
    small, large = slope[:, 0], slope[:, 1]
    assert np.all(np.abs(large[:3] - 0.5) < 0.02)
    assert np.all(np.abs(small[-2:] - 1.0 / 3.0) < 0.025)


def test_flux_noise_is_that_of_large_clusters() -> None:
    """25 times the paper's estimate, at low frequencies; corrections are of order 1/N0."""
    found = fvqp.run(CASES / "flux_noise.toml").dataset.isel(spin=0, equation=0, volume=0)
    low = found["S_flux"].isel(frequency=0).values
    off = np.abs(low / found["S_flux_analytic"].values - 1.0)
    assert np.all(off < [0.025, 0.0025, 2.5e-4])
    assert low / found["S_flux_estimate"].values == pytest.approx([24.57] * 3, rel=0.03)
    assert "the filling" in found.attrs["warnings"] and "diffusion mixes" in found.attrs["warnings"]
