"""Homogeneous limits against Bardeen-Cooper-Schrieffer and Abrikosov-Gor'kov theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import digamma

from fvqp.gap import critical_temperature, equilibrium_gap, superfluid_density
from fvqp.spectral import bin_averages, dos_integral, gap_edge, solve

T_C = np.exp(np.euler_gamma) / np.pi


def bcs_gap(t: float) -> float:
    """Gap of the BCS integral ``ln(1/Δ) = 2 ∫_0^∞ dξ / (E (exp(E/t) + 1))`` by adaptive quadrature."""

    def residual(gap: float) -> float:
        def integrand(xi: float) -> float:
            energy = np.hypot(xi, gap)
            return 2.0 / (energy * (np.exp(energy / t) + 1.0))

        return -np.log(gap) - quad(integrand, 0.0, 60.0 * t, epsabs=1e-13, epsrel=1e-12, limit=400)[0]

    return float(brentq(residual, 1e-4, 1.1, xtol=1e-13))


@pytest.mark.parametrize("reduced", [0.2, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_gap_against_the_bcs_integral(reduced: float) -> None:
    assert float(equilibrium_gap(reduced * T_C)) == pytest.approx(bcs_gap(reduced * T_C), abs=1e-9)


def test_gap_against_the_published_table() -> None:
    gaps = equilibrium_gap(np.array([0.3, 0.5, 0.7, 0.9]) * T_C)
    np.testing.assert_allclose(gaps, [0.99712, 0.95689, 0.82877, 0.52634], atol=1e-5)


def test_critical_temperature() -> None:
    assert float(critical_temperature()) == pytest.approx(T_C, rel=1e-10)
    zeta = np.array([0.01, 0.1, 0.3, 0.45])
    t_c = critical_temperature(zeta, 1e-3)
    pair_breaking = (zeta + 1e-3) / (2 * np.pi * t_c)
    np.testing.assert_allclose(np.log(T_C / t_c), digamma(0.5 + pair_breaking) - digamma(0.5), atol=1e-10)


def test_abrikosov_gorkov_gap_at_zero_temperature() -> None:
    zeta = np.array([1e-3, 0.1, 0.3, 0.45])
    gap = equilibrium_gap(0.0, zeta)
    assert np.all(zeta < gap)
    np.testing.assert_allclose(np.log(gap), -np.pi * zeta / (4 * gap), atol=1e-12)
    # The superconductor disappears at ζ = Δ0/2.
    assert 0.0 < float(equilibrium_gap(0.0, 0.4999)) < 0.05
    assert float(equilibrium_gap(0.0, 0.5001)) == 0.0


@pytest.mark.parametrize(("t", "zeta", "gamma"), [(0.2, 0.1, 1e-3), (0.5, 0.0, 1e-6), (0.4, 0.02, 0.05)])
def test_gap_against_matsubara_sums(t: float, zeta: float, gamma: float) -> None:
    # On the imaginary axis: ln(t/t_c) = 2πt Σ [F/Δ − 1/ω]. The tail of the sum is (ζ + Γ)/(2πt · 2πt n).
    gap = float(equilibrium_gap(t, zeta, gamma))
    count = 200_000
    omega = np.pi * t * (2 * np.arange(count) + 1)
    anomalous = solve(0.0, gap, zeta, omega + gamma).F.real
    total = 2 * np.pi * t * np.sum(anomalous / gap - 1 / omega) - (zeta + gamma) / (2 * np.pi * t * count)
    assert np.log(t / T_C) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("zeta", [1e-3, 0.02, 0.2, 0.6, 0.95])
def test_edge_of_the_spectrum(zeta: float) -> None:
    edge = (1 - zeta ** (2 / 3)) ** 1.5
    assert float(gap_edge(1.0, zeta)) == pytest.approx(edge, rel=1e-13)
    gamma = 1e-11
    below, above = solve([edge - 1e-6, edge + 1e-6], 1.0, zeta, gamma).dos
    # Within 1e-6 of the edge the density of states goes from nothing to a square root.
    assert below < 1e-4
    assert above > 10 * below
    assert above > 1e-4


def test_gapless_superconductor() -> None:
    # ζ ≥ Δ: states at zero energy, N(0) = √(1 − Δ²/ζ²).
    for gap, zeta in ((1.0, 1.0), (0.5, 0.8), (1.0, 3.0)):
        assert gap_edge(gap, zeta) == 0.0
        exact = np.sqrt(1 - (gap / zeta) ** 2)
        assert float(solve(0.0, gap, zeta, 1e-9).dos) == pytest.approx(
            exact, abs=3e-3 if gap == zeta else 1e-8
        )


@pytest.mark.parametrize(("gap", "zeta", "gamma"), [(1.0, 0.0, 1e-4), (1.0, 0.2, 1e-3), (0.5, 0.8, 1e-2)])
def test_states_are_moved_not_made(gap: float, zeta: float, gamma: float) -> None:
    # ∫_0^E (N − 1) dε = −Δ²/2E + O(E⁻²).
    for energy in (1e2, 1e3):
        surplus = float(dos_integral(energy, gap, zeta, gamma)) - energy
        assert surplus == pytest.approx(-(gap**2) / (2 * energy), rel=3 / energy, abs=1e-11)


def test_depairing_current() -> None:
    q = np.linspace(0.5, 0.9, 401)
    zeta = 0.5 * q**2
    gap = equilibrium_gap(0.0, zeta)
    edges = np.linspace(0.0, 3.0, 61)
    spectrum = bin_averages(edges, gap, zeta, 1e-9)
    current = q * superfluid_density(np.ones(spectrum.dos.shape), edges, spectrum, zeta, 1e-9)
    # At T = 0 and ζ < Δ: I_s/I0 = q (πΔ/2 − 2ζ/3), whose maximum is the published 0.75.
    np.testing.assert_allclose(current, q * (np.pi / 2 * gap - 2 / 3 * zeta), atol=1e-7)
    assert current.max() == pytest.approx(0.75, abs=0.01)
