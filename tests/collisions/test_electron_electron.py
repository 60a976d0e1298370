"""Electron-electron collisions of f_L against the sum over all events, and what they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy.integrate import quad

from fvqp.collisions import ElectronElectron, Spectra
from fvqp.collisions.electron_electron import POWERS
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

GRID = EnergyAxis.uniform(0.1, 5.0)
KERNELS = sorted(POWERS)
EPS = np.finfo(float).eps


def spectrum(grid: EnergyAxis, gaps: list[float] | float, broadening: float = 0.005) -> Spectra:
    """N, P and R of some cells."""
    found = bin_averages(grid.edges, gaps, 0.0, broadening)
    return Spectra(found.dos, found.pairing, found.re_F)


def driven(grid: EnergyAxis, cells: int, seed: int = 1) -> Floats:
    """Distributions far from equilibrium, |f_L| < 1, close to 1 at high energies."""
    noise = np.random.default_rng(seed).random((cells, grid.n))
    return (np.tanh(grid.energies / 0.3) * (1.0 - 0.8 * noise * np.exp(-grid.energies)))[:, None]


@njit
def triple_sum(dos: Floats, pairing: Floats, f: Floats, matrix: Floats) -> Floats:
    """The collision integral event by event, over energies of both signs, without its prefactor."""
    n = f.size
    states, pairs, h = np.empty(2 * n), np.empty(2 * n), np.empty(2 * n)
    for i in range(n):
        states[n + i] = states[n - 1 - i] = dos[i]
        pairs[n + i], pairs[n - 1 - i] = pairing[i], -pairing[i]
        h[n + i], h[n - 1 - i] = f[i], -f[i]
    out = np.zeros(n)
    for a in range(n, 2 * n):
        for b in range(2 * n):
            if a == b:
                continue
            first = states[a] * states[b] - pairs[a] * pairs[b]
            for c in range(2 * n):
                d = c + a - b
                if 0 <= d < 2 * n:
                    weight = first * (states[c] * states[d] - pairs[c] * pairs[d]) * matrix[abs(a - b)]
                    out[a - n] += weight * (
                        (h[a] - h[b]) * (1.0 - h[c] * h[d]) + (h[c] - h[d]) * (1.0 - h[a] * h[b])
                    )
    return out


def expected(
    grid: EnergyAxis, dos: Floats, pairing: Floats, f: Floats, strength: float, kernel: str
) -> Floats:
    """`triple_sum` with the prefactor of Eq. (integral)."""
    critical, width = 1.0 / BCS_RATIO, grid.widths[0]
    lags = np.arange(2 * grid.n) * width / critical
    matrix = np.zeros_like(lags)
    matrix[1:] = lags[1:] ** POWERS[kernel]  # type: ignore[index]
    prefactor = strength / (2.0 * np.pi**2 * critical**2) * width**2
    return prefactor * triple_sum(dos, pairing, f, matrix)


@pytest.mark.parametrize("kernel", KERNELS)
def test_sum_over_events(kernel):
    spectra, f = spectrum(GRID, [0.9, 1.03]), driven(GRID, 2)
    found = ElectronElectron(GRID, 0.3, kernel).at(spectra, f)
    for cell in range(2):
        direct = expected(GRID, spectra.dos[cell], spectra.pairing[cell], f[cell, 0], 0.3, kernel)
        rounding = 40 * EPS * found.loss[cell].max()
        np.testing.assert_allclose(-found.rates[cell, 0], direct, rtol=0, atol=rounding)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0])
def test_energy_is_kept(kernel, gap):
    f = driven(GRID, 1)
    found = ElectronElectron(GRID, 1.0, kernel).at(spectrum(GRID, gap), f)
    assert np.abs(found.rates).max() > 0.01 * found.loss.max()
    assert abs(found.rates[0, 0] @ GRID.energies) <= 10 * EPS * found.loss[0, 0] @ GRID.energies


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("t", [0.005, 0.05, 0.3, 1.0, 10.0])
def test_thermal_distributions_stand_still(kernel, t):
    thermal = np.tanh(GRID.energies / (2 * t))
    found = ElectronElectron(GRID, 1.0, kernel).at(
        spectrum(GRID, [0.0, 0.7, 1.0]), np.tile(thermal, (3, 1, 1))
    )
    assert np.all(np.abs(found.rates) <= 50 * EPS * found.loss.max())


def test_entropy_grows():
    f = driven(GRID, 5)
    rates = ElectronElectron(GRID, 1.0).at(spectrum(GRID, 1.0), f).rates
    # The entropy of occupations (1 − f)/2 grows by Σ I artanh f.
    assert np.all(np.einsum("cke,cke->c", -rates, np.arctanh(f)) > 0.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_jacobian(kernel):
    spectra = spectrum(GRID, [0.9, 1.0])
    collisions = ElectronElectron(GRID, 1.0, kernel)
    f = driven(GRID, 2)
    found = collisions.at(spectra, f)
    step = np.random.default_rng(3).standard_normal(f.shape)
    change = found.jvp(step)

    def side(h: float) -> Floats:
        return collisions.at(spectra, f + h * step).rates

    # The integral is a cubic: Richardson's extrapolation of central differences is exact.
    near, far = (side(0.01) - side(-0.01)) / 0.02, (side(0.02) - side(-0.02)) / 0.04
    np.testing.assert_allclose((4 * near - far) / 3, change, rtol=0, atol=1e-11 * np.abs(change).max())


def test_cells_may_share_a_spectrum():
    f = driven(GRID, 40)
    step = driven(GRID, 40, seed=7)
    spectra = spectrum(GRID, 0.95)
    collisions = ElectronElectron(GRID, 1.0)
    shared = collisions.at(spectra, f)
    own = collisions.at(Spectra(*(np.tile(part, (40, 1)) for part in spectra)), f)
    np.testing.assert_array_equal(shared.rates, own.rates)
    np.testing.assert_array_equal(shared.jvp(step), own.jvp(step))


def test_loss_rate_of_the_normal_state():
    """γ_ee (π²t² + ε²)/(π t_c)²: sums over analytic functions are exponentially accurate in t/δ."""
    grid, t = EnergyAxis.uniform(0.04, 16.0), 0.3
    thermal = np.tanh(grid.energies / (2 * t))[None, None]
    normal = Spectra(np.ones((1, grid.n)), np.zeros((1, grid.n)), np.zeros((1, grid.n)))
    loss = ElectronElectron(grid, 0.7).at(normal, thermal).loss[0, 0]
    low = grid.energies < 4.0
    wanted = 0.7 * ((np.pi * t) ** 2 + grid.energies**2) * (BCS_RATIO / np.pi) ** 2
    np.testing.assert_allclose(loss[low], wanted[low], rtol=1e-12)


def test_cold_electrons_decay_from_three_gaps_on():
    """At T = 0 the decay 1 → 2 + (3̄, 4) needs three gaps; its rate is the integral over what is left of ε."""
    gap, width = 1.0, 1 / 160
    grid = EnergyAxis.uniform(width, 6.0)
    loss = ElectronElectron(grid, 1.0).at(spectrum(grid, gap, 1e-7), np.ones((1, 1, grid.n))).loss[0, 0]
    np.testing.assert_allclose(loss[grid.edges[1:] < 3.0] / loss[-1], 0.0, atol=1e-5)

    def pair(omega: float) -> float:
        """Σ over pairs of energy ω, by the angle that takes away both singular ends."""
        half, reach = 0.5 * omega, 0.5 * omega - gap

        def integrand(angle: float) -> float:
            a, b = half + reach * np.sin(angle), half - reach * np.sin(angle)
            density = (a * b + gap**2) / np.sqrt((a + gap) * (b + gap))
            return density

        # √((a − Δ)(b − Δ)) = reach cos(angle) is the measure.
        return quad(integrand, -0.5 * np.pi, 0.5 * np.pi)[0]

    def rate(energy: float) -> float:
        """Out-scattering of a quasiparticle, ω from 2Δ to ε − Δ, times 2 N."""
        end = energy - gap

        def integrand(s: float) -> float:
            left = gap + s**2
            coherence = (energy * left - gap**2) / np.sqrt(left + gap)
            return 2.0 * coherence * pair(energy - left)

        total = quad(integrand, 0.0, np.sqrt(end - 2 * gap))[0]
        return total / np.sqrt(energy**2 - gap**2)

    prefactor = (BCS_RATIO / np.pi) ** 2
    for energy in (3.5, 4.5, 5.5):
        here = int(energy / width)
        mean = 0.5 * (loss[here - 1] + loss[here])
        # At T = 0, A = −C = 2 Σ over pairs: loss = (K0/4)·4 ∫∫ M12 M34 with K0 = 2γ/(π t_c)².
        np.testing.assert_allclose(mean, 2.0 * prefactor * rate(energy), rtol=2e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((EnergyAxis(np.array([0.0, 0.1, 0.3])), 1.0), 'energies.spacing = "uniform"'),
        ((GRID, -1.0), "must not be negative"),
        ((GRID, float("nan")), "must not be negative"),
        ((GRID, 1.0, "ballistic"), "fermi_liquid"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(CaseError, match=message):
        ElectronElectron(*arguments)
