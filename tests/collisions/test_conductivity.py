"""Mattis-Bardeen conductivity against quadrature, closed forms, limits and sum rules; resonators."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.constants import mu_0
from scipy.integrate import quad
from scipy.special import i0e, k0e

from fvqp.collisions import (
    MattisBardeen,
    PhotonDrive,
    cold_conductivity,
    film_factor,
    frequency_shift,
    internal_loss,
    surface_impedance,
)
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError

GRID = EnergyAxis.from_gap(30.0, gap=1.0, finest=0.01, growth=0.05)


def fermi(energy, temperature):
    return 1.0 / (np.exp(np.minimum(energy / temperature, 700.0)) + 1.0)


def integral(function, start, end, **options):
    return quad(function, start, end, limit=400, epsabs=0.0, epsrel=1e-10, **options)[0]


def reference(gap, omega, f):
    """The integrals as they are usually written, each root at an end removed by a square."""

    def scattering(x):
        e = gap + x * x
        weight = (e * (e + omega) + gap**2) / np.sqrt((e + gap) * ((e + omega) ** 2 - gap**2))
        return 2.0 * (f(e) - f(e + omega)) * weight

    bounds = sorted([0.0, np.sqrt(omega), 2.0, 5.0, 9.0])
    sigma1 = 2.0 / omega * sum(integral(scattering, a, b) for a, b in pairwise(bounds))
    if omega > 2.0 * gap:

        def pairs(v):
            e = gap + (omega - 2.0 * gap) * np.sin(v) ** 2
            u = omega - e
            return 2.0 * (1.0 - 2.0 * f(e)) * (e * u - gap**2) / np.sqrt((e + gap) * (u + gap))

        sigma1 += integral(pairs, 0.0, np.pi / 2) / omega
    start, end = max(gap, omega - gap), gap + omega

    def inductive(v):
        e = start + (end - start) * np.sin(v) ** 2
        other = (e + gap - omega) if omega < 2.0 * gap else (e - gap)
        return 2.0 * (1.0 - 2.0 * f(e)) * (e * (e - omega) + gap**2) / np.sqrt((e + gap) * other)

    return sigma1, integral(inductive, 0.0, np.pi / 2) / omega


@pytest.mark.parametrize("omega", [0.03, 0.3, 1.7, 1.9999, 2.0001, 2.5, 7.0])
def test_no_quasiparticles(omega):
    expected = reference(1.0, omega, lambda e: 0.0)
    cold = cold_conductivity(1.0, omega)
    assert cold.sigma1[0] == pytest.approx(expected[0], rel=1e-6, abs=1e-12)
    assert cold.sigma2[0] == pytest.approx(expected[1], rel=1e-6)


def test_cold_limits():
    """πΔ/ω of the superfluid; 1 at the threshold; the normal metal without a gap and at high frequency."""
    assert cold_conductivity(1.0, 1e-4).sigma2[0] == pytest.approx(np.pi * 1e4, rel=1e-6)
    assert cold_conductivity(1.0, 2.0).sigma2[0] == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(cold_conductivity(0.0, 0.5), [[1.0], [0.0]])
    np.testing.assert_allclose(cold_conductivity(1.0, 1e4), [[1.0], [0.0]], atol=1e-6)


@pytest.mark.parametrize("gap", [0.0, 0.43])
@pytest.mark.parametrize("omega", [0.021, 0.3, 5.0])
def test_sum_of_weights_is_exact(gap, omega):
    """f = ½ up to the end of the grid cancels σ2; σ1 is absorption into empty states beyond it."""
    grid = EnergyAxis.uniform(0.01, 12.0)
    sigma = MattisBardeen(grid, gap, omega)(np.full((1, grid.n), 0.5))
    assert sigma.sigma2[0] == pytest.approx(0.0, abs=1e-12 * cold_conductivity(gap, omega).sigma2[0])

    def weight(e):
        u = e + omega
        return (e * u + gap**2) / np.sqrt((e * e - gap**2) * (u * u - gap**2))

    assert sigma.sigma1[0] == pytest.approx(integral(weight, 12.0 - omega, 12.0) / omega, rel=1e-10)


@pytest.mark.parametrize("temperature", [0.1, 0.3])
@pytest.mark.parametrize("omega", [0.1, 0.7, 1.93, 2.0, 2.07, 3.1])
@pytest.mark.parametrize("gap", [1.0, 0.9937])
def test_thermal_occupation(gap, omega, temperature):
    """At h = T/10 better than 1e-3, of order 2, with gap and photon energy anywhere inside a bin."""
    expected = np.array(reference(gap, omega, lambda e: fermi(e, temperature)))
    cold = np.ravel(cold_conductivity(gap, omega))
    errors = []
    for width in (temperature / 10, temperature / 20, temperature / 40):
        grid = EnergyAxis.uniform(width, 1.0 + 25 * temperature + omega, start=0.9)
        sigma = MattisBardeen(grid, gap, omega)(fermi(grid.energies, temperature)[None])
        errors.append(np.abs(np.ravel(sigma) - expected) / np.abs(expected - cold))
    errors = np.array(errors)
    assert np.all(errors[0] < 1e-3)
    # where the errors of the gap edge and of the rest cancel at one width, the next ratio is smaller
    assert np.all(0.5 * np.log2(errors[0] / errors[2]) > 1.6)


@pytest.mark.parametrize("omega", [0.013, 0.001])
def test_photons_smaller_than_a_bin(omega):
    """Still of order 1: the logarithm ln(T/ω) of the gap edge is in the weights."""
    expected = reference(1.0, omega, lambda e: fermi(e, 0.1))[0]
    grid = EnergyAxis.uniform(0.01, 4.0, start=0.9)
    sigma = MattisBardeen(grid, 1.0, omega)(fermi(grid.energies, 0.1)[None])
    assert sigma.sigma1[0] == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("x", [0.4, 2.0])
def test_low_temperature_closed_forms(x):
    """At a given x = ω/2T, corrections to them are of first order in T/Δ."""
    errors = []
    for temperature in (0.04, 0.02, 0.01):
        omega = 2.0 * x * temperature
        grid = EnergyAxis.uniform(temperature / 100, 1.0 + 30 * temperature + omega, start=0.9)
        f = fermi(grid.energies, temperature)[None]
        change = MattisBardeen(grid, 1.0, omega).change(f)
        # k0e and i0e are scaled with exp(±x): sinh x K0 and exp(−x) I0
        dissipative = 4.0 / omega * np.exp(-1.0 / temperature) * -0.5 * np.expm1(-2.0 * x) * k0e(x)
        lost = -2.0 * np.pi / omega * np.exp(-1.0 / temperature) * i0e(x)
        errors.append([change.sigma1[0] / dissipative - 1.0, change.sigma2[0] / lost - 1.0])
    errors = np.abs(errors)
    assert np.all(errors[-1] < 0.03)
    np.testing.assert_allclose(errors[0] / errors[2], 4.0, rtol=0.2)


def test_any_occupation_in_many_cells():
    """Weights of one gap serve all cells, weights of many gaps one each; the response is affine."""
    gaps = np.array([0.9, 0.957, 1.02])
    grid = EnergyAxis.uniform(0.05, 5.0, start=0.9)
    f = np.random.default_rng(1).uniform(0.0, 1.0, (3, grid.n))
    for omega in (0.13, 2.4):
        together = MattisBardeen(grid, gaps, omega)(f)
        for cell, gap in enumerate(gaps):
            alone = MattisBardeen(grid, gap, omega)(f[cell : cell + 1])
            np.testing.assert_allclose(np.array(together)[:, cell], np.ravel(alone), rtol=1e-13)
        shared = MattisBardeen(grid, 1.0, omega)
        np.testing.assert_allclose(
            shared(0.3 * f).sigma1 - shared.cold.sigma1,
            0.3 * (shared(f).sigma1 - shared.cold.sigma1),
            rtol=1e-12,
        )


def test_many_gaps_and_none():
    """Weights are computed in blocks of gaps; a rank without cells has none."""
    grid = EnergyAxis.uniform(0.01, 3.0, start=0.8)
    gaps = np.linspace(0.85, 1.1, 700)
    many = MattisBardeen(grid, gaps, 0.2)
    for cell in (0, 331, 699):
        one = MattisBardeen(grid, gaps[cell], 0.2)
        np.testing.assert_array_equal(many.by_f1[cell], one.by_f1[0])
        np.testing.assert_array_equal(many.by_f2[cell], one.by_f2[0])
    assert MattisBardeen(grid, np.zeros(0), 0.2)(np.zeros((0, grid.n))).sigma1.shape == (0,)


def test_absorbed_power_is_that_of_the_photon_drive():
    """A field dissipates σ1: the drive absorbs ``rate ω²/2 σ1/σn``, whatever f."""
    grid = EnergyAxis.uniform(0.005, 6.0, start=0.9)
    f = np.exp(-grid.energies / 0.4)[None] * (1.0 + 0.3 * np.sin(4.0 * grid.energies))
    n = np.zeros((1, grid.n_phonon))
    for omega in (0.2, 1.1, 2.3):
        power = PhotonDrive.classical(grid, omega, 1.0).at(bcs_weights(grid, 1.0), f, n).energy_flow()
        sigma1 = MattisBardeen(grid, 1.0, omega)(f).sigma1[0]
        assert power.quasiparticles[0] == pytest.approx(0.5 * omega**2 * sigma1, rel=1e-3)


def test_film_factor():
    np.testing.assert_allclose(film_factor([1e-4, np.inf, 1e3]), [1.0, 0.5, 0.5], rtol=1e-7)
    assert film_factor(0.5) == pytest.approx(0.5 * (1.0 + 1.0 / np.sinh(1.0)))


@pytest.mark.parametrize("ratio", [0.05, 0.7, 5.0])
def test_resonator_follows_the_surface_impedance(ratio):
    """δX/X and R/X of the impedance are those of the film factor; d/λ = ratio."""
    frequency, depth = 5e9, 70e-9
    sigma2 = 1.0 / (2.0 * np.pi * frequency * mu_0 * depth**2)
    film = film_factor(ratio)
    cold = surface_impedance(0.0, sigma2, frequency, ratio * depth)
    warm = surface_impedance(1e-5 * sigma2, sigma2 * (1.0 - 2e-5), frequency, ratio * depth)
    assert cold.real == pytest.approx(0.0, abs=1e-12 * cold.imag)
    alpha = 0.3
    shift = frequency_shift(sigma2 * (1.0 - 2e-5), sigma2, alpha, film)
    assert shift == pytest.approx(-0.5 * alpha * (warm.imag / cold.imag - 1.0), rel=1e-4)
    assert shift < 0.0
    loss = internal_loss(1e-5 * sigma2, sigma2 * (1.0 - 2e-5), alpha, film)
    assert loss == pytest.approx(alpha * warm.real / warm.imag, rel=1e-4)


def test_surface_impedance_limits():
    """Skin effect of a normal metal, its sheet resistance, and ωμ0λ of a superconductor."""
    normal = surface_impedance(1e7, 0.0, 1e9)
    assert normal == pytest.approx((1 + 1j) * np.sqrt(np.pi * 1e9 * mu_0 / 1e7), rel=1e-12)
    assert surface_impedance(1e7, 0.0, 1e6, 1e-9).real == pytest.approx(100.0, rel=1e-6)
    sigma2 = 1.0 / (2e10 * np.pi * mu_0 * (50e-9) ** 2)
    assert surface_impedance(0.0, sigma2, 1e10).imag == pytest.approx(2e10 * np.pi * mu_0 * 50e-9, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MattisBardeen(GRID, 1.0, 0.0), "photon energy must be positive"),
        (lambda: MattisBardeen(GRID, -1.0, 0.1), "gap must be one finite number ≥ 0"),
        (lambda: MattisBardeen(GRID, 0.5, 0.1), "do not hold gaps from 0.5 to 0.5"),
        (lambda: MattisBardeen(GRID, [1.0, 1.1], 0.1)(np.zeros((3, GRID.n))), "for 2 gaps, found"),
        (lambda: frequency_shift(1.0, 0.0, 0.1), "reference state must be positive"),
        (lambda: frequency_shift(1.0, 1.0, 1.1), "fraction must be from 0 to 1"),
        (lambda: internal_loss(1.0, 0.0, 0.1), "is the film superconducting"),
        (lambda: film_factor(0.0), "thickness of the film must be positive"),
        (lambda: surface_impedance(0.0, 0.0, 1e9), "finite and not zero"),
        (lambda: surface_impedance(1.0, 0.0, 0.0), "frequency must be positive"),
    ],
)
def test_messages(make, message):
    with pytest.raises(CaseError, match=message):
        make()
