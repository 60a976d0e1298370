"""Elastic scattering: conservation, exact step, energy dependence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from states import GAPS, GRADED, UNIFORM

from fvqp.collisions import (
    CollisionGrid,
    ImpurityScattering,
    bcs_weights,
    diffusivity,
    relative_velocity,
)
from fvqp.errors import CaseError

DIRECTIONS, WEIGHTS = np.polynomial.legendre.leggauss(6)


def anisotropic(grid, cells=GAPS.size):
    return np.random.default_rng(4).uniform(0.0, 1.0, (cells, WEIGHTS.size, grid.n))


def scattering(grid, time=0.3):
    return ImpurityScattering(relative_velocity(grid, GAPS), time, WEIGHTS)


@pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])
def test_number_at_every_energy_is_kept(grid):
    impurities, f = scattering(grid), anisotropic(grid)
    mean = np.einsum("cde,d->ce", f, WEIGHTS)
    rates = np.einsum("cde,d->ce", impurities.rates(f), WEIGHTS)
    np.testing.assert_allclose(rates, 0.0, atol=1e-15 * np.abs(impurities.rates(f)).max() * WEIGHTS.size)
    for duration in (1e-3, 0.4, 1e9):
        after = impurities.step(f, duration)
        np.testing.assert_allclose(np.einsum("cde,d->ce", after, WEIGHTS), mean, rtol=1e-14)
        assert after.min() >= 0.0
        assert after.max() <= 1.0
    full = impurities.step(np.ones_like(f), 0.4)
    np.testing.assert_array_equal(full, 1.0)
    uniform = np.repeat(mean[:, None, :] / 2.0, WEIGHTS.size, axis=1)
    np.testing.assert_allclose(impurities.rates(uniform), 0.0, atol=1e-15)


def test_step_is_the_solution():
    """It satisfies the equation, steps add up, and ends in the mean where there are states."""
    impurities, f = scattering(UNIFORM), anisotropic(UNIFORM)
    twice = impurities.step(impurities.step(f, 0.07), 0.13)
    np.testing.assert_allclose(impurities.step(f, 0.2), twice, rtol=1e-13)
    h = 1e-5
    slope = (impurities.step(f, 0.1 + h) - impurities.step(f, 0.1 - h)) / (2.0 * h)
    np.testing.assert_allclose(slope, impurities.rates(impurities.step(f, 0.1)), atol=1e-8)
    moving = relative_velocity(UNIFORM, GAPS) > 0.0
    end = impurities.step(f, 1e6)
    assert np.all(np.ptp(end, axis=1)[moving] < 1e-14)
    np.testing.assert_array_equal(end.transpose(0, 2, 1)[~moving], f.transpose(0, 2, 1)[~moving])


def test_scattering_rate_far_from_the_gap_and_without_it():
    grid = CollisionGrid.uniform(0.01, 4.0, start=0.5)
    far = grid.energies > 1.3
    rate = ImpurityScattering(relative_velocity(grid, 1.0), 2.0, [1.0, 1.0]).rate[0]
    np.testing.assert_allclose(rate[far], 0.5 * np.sqrt(1.0 - grid.energies[far] ** -2.0), rtol=1e-4)
    normal = relative_velocity(CollisionGrid.uniform(0.01, 1.0), 0.0)
    np.testing.assert_allclose(normal, 1.0, rtol=1e-13)


@pytest.mark.parametrize(("rule", "order"), [("linear", 1.8), ("bin", 1.3)])
@pytest.mark.parametrize("gap", [1.0, 0.9913])
def test_flux_of_states_converges(gap, rule, order):
    """``∫ρ v g dE = v_F ∫g dE`` above the gap, with a thermal g."""
    errors = []
    for width in (0.04, 0.02, 0.01):
        grid = CollisionGrid.uniform(width, 5.0, start=0.96)
        g = np.exp(-grid.energies / 0.2)
        flux = (bcs_weights(grid, gap, rule).dos_weights[0] * relative_velocity(grid, gap, rule)[0]) @ g
        exact = quad(lambda e: np.exp(-e / 0.2), gap, 5.0, epsabs=0, epsrel=1e-12)[0]
        errors.append(abs(flux / exact - 1.0))
    assert 0.5 * np.log2(errors[0] / errors[2]) > order


def test_diffusivity_of_cold_quasiparticles():
    """Mean over a thermal distribution: D_N √(2T/πΔ) at low temperature."""
    for temperature in (0.02, 0.01):
        grid = CollisionGrid.uniform(temperature / 20, 1.0 + 30 * temperature, start=0.95)
        f = np.exp((1.0 - grid.energies) / temperature) * bcs_weights(grid, 1.0).dos_weights[0]
        d = diffusivity(grid, 1.0, 3.0)[0]
        # corrections are of order T/Δ
        expected = 3.0 * np.sqrt(2.0 * temperature / np.pi)
        assert (d @ f) / f.sum() == pytest.approx(expected, rel=temperature)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scattering(UNIFORM, 0.0), "time must be positive"),
        (lambda: ImpurityScattering([[2.0]], 1.0, [1.0]), "velocities must be between 0 and 1"),
        (lambda: ImpurityScattering([[1.0]], 1.0, [1.0, -1.0]), "row of positive numbers"),
        (lambda: scattering(UNIFORM).rates(np.zeros((4, 2, UNIFORM.n))), "needs f of shape"),
        (lambda: scattering(UNIFORM).step(anisotropic(UNIFORM), -1.0), "must last 0 or longer"),
        (lambda: diffusivity(UNIFORM, 1.0, -1.0), "normal diffusivity must be finite"),
    ],
)
def test_messages(make, message):
    with pytest.raises(CaseError, match=message):
        make()
