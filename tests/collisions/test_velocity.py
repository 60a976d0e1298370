"""Velocity of quasiparticles: far from the gap, summed over states, and of cold ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.collisions import relative_velocity
from fvqp.energy import EnergyAxis, bcs_weights


def test_velocity_far_from_the_gap_and_without_it():
    grid = EnergyAxis.uniform(0.01, 4.0, start=0.5)
    far = grid.energies > 1.3
    velocity = relative_velocity(grid, 1.0)[0]
    np.testing.assert_allclose(velocity[far], np.sqrt(1.0 - grid.energies[far] ** -2.0), rtol=1e-4)
    normal = relative_velocity(EnergyAxis.uniform(0.01, 1.0), 0.0)
    np.testing.assert_allclose(normal, 1.0, rtol=1e-13)


@pytest.mark.parametrize(("rule", "order"), [("linear", 1.8), ("bin", 1.3)])
@pytest.mark.parametrize("gap", [1.0, 0.9913])
def test_flux_of_states_converges(gap, rule, order):
    """``∫ρ v g dE = v_F ∫g dE`` above the gap, with a thermal g."""
    errors = []
    for width in (0.04, 0.02, 0.01):
        grid = EnergyAxis.uniform(width, 5.0, start=0.96)
        g = np.exp(-grid.energies / 0.2)
        flux = (bcs_weights(grid, gap, rule).dos_weights[0] * relative_velocity(grid, gap, rule)[0]) @ g
        exact = quad(lambda e: np.exp(-e / 0.2), gap, 5.0, epsabs=0, epsrel=1e-12)[0]
        errors.append(abs(flux / exact - 1.0))
    assert 0.5 * np.log2(errors[0] / errors[2]) > order


def test_diffusivity_of_cold_quasiparticles():
    """Mean over a thermal distribution: D_N √(2T/πΔ) at low temperature."""
    for temperature in (0.02, 0.01):
        grid = EnergyAxis.uniform(temperature / 20, 1.0 + 30 * temperature, start=0.95)
        f = np.exp((1.0 - grid.energies) / temperature) * bcs_weights(grid, 1.0).dos_weights[0]
        d = 3.0 * relative_velocity(grid, 1.0)[0]
        # corrections are of order T/Δ
        expected = 3.0 * np.sqrt(2.0 * temperature / np.pi)
        assert (d @ f) / f.sum() == pytest.approx(expected, rel=temperature)
