"""Eliashberg theory on two axes against each other, against BCS theory and against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.materials.material import BCS_RATIO
from fvqp.spectral import alpha2f, eliashberg
from fvqp.spectral.alpha2f import debye
from fvqp.spectral.eliashberg_matsubara import critical_temperature, solve_matsubara

METALS = ["Al", "Sn", "Pb", "Nb"]


def spectra():
    for name in METALS:
        metal = alpha2f.metal(name)
        marks = [] if name == "Pb" else [pytest.mark.slow]
        yield pytest.param(metal.spectrum, metal.coulomb, id=name, marks=marks)
    yield pytest.param(debye(0.4, 20.0), 0.0, id="Debye-0.4", marks=pytest.mark.slow)
    yield pytest.param(debye(1.5, 20.0), 0.1, id="Debye-1.5")
    # Repulsion in which iterating all terms alike grows without bounds.
    yield pytest.param(debye(1.5, 20.0), 1.4, id="Debye-1.5-strong-repulsion")


@pytest.mark.parametrize(("spectrum", "coulomb"), list(spectra()))
def test_two_axes_agree(spectrum: alpha2f.Alpha2F, coulomb: float) -> None:
    """λ, Δ0 and Z(0) of the real axis and of Matsubara sums with Padé: measured within 3·10⁻⁴."""
    normal = eliashberg.normal_state(spectrum)
    assert normal.Z[0].real - 1.0 == pytest.approx(spectrum.coupling, rel=1e-3)
    critical = critical_temperature(spectrum, coulomb=coulomb)
    other = solve_matsubara(spectrum, temperature=critical / 15.0, coulomb=coulomb)
    real = eliashberg.solve(spectrum, coulomb=coulomb)
    edge = other.gap_edge()
    assert real.gap_edge == pytest.approx(edge, rel=1e-3)
    assert real.Z[0].real == pytest.approx(other.Z_at(np.array([1e-3 * edge]))[0].real, rel=1e-3)
    assert 1.0 < real.Z[0].real < 1.0 + spectrum.coupling


@pytest.mark.parametrize("reduced", [0.7, *(pytest.param(t, marks=pytest.mark.slow) for t in (0.3, 0.9))])
def test_spectral_representation_at_finite_temperature(reduced: float) -> None:
    """Analytic in the upper half plane: imaginary parts on the real axis give Z(iω_n) and Δ(iω_n).

    Z(iω) ω = ω + (2/π) ω ∫ Im[εZ]/(ε² + ω²) dε,   φ(iω) = φ_C + (2/π) ∫ ε Im φ/(ε² + ω²) dε
    """
    metal = alpha2f.metal("Pb")
    t = reduced * alpha2f.K_B * metal.critical_temperature
    other = solve_matsubara(metal.spectrum, temperature=t, coulomb=metal.coulomb)
    real = eliashberg.solve(metal.spectrum, temperature=t, coulomb=metal.coulomb, spacing=0.02)
    energy, h, last = real.energy, real.spacing, real.energy[-1]
    for n in range(3):
        w = other.omega[n]
        poisson = 1.0 / (energy**2 + w**2)
        constant = real.epsilon_Z[-1].imag
        deviation = (real.epsilon_Z.imag - constant) * poisson
        Z = 1.0 + constant / w + 2.0 / math.pi * h * (np.sum(deviation) - 0.5 * deviation[0])
        tail = real.phi[-1].imag  # ∝ 1/ε beyond
        phi = real.coulomb_term + 2.0 / math.pi * (h * np.sum(energy * real.phi.imag * poisson) + tail)
        assert last > 5.0 * metal.spectrum.largest_energy
        assert Z == pytest.approx(other.Z[n], rel=1e-3)
        assert phi / Z == pytest.approx(other.gap[n], rel=2e-3)


@pytest.mark.parametrize("reduced", [0.0, 0.8])
def test_kramers_kronig(reduced: float) -> None:
    """Real parts of εZ − ε and φ − φ_C from imaginary ones by adaptive principal-value quadrature."""
    metal = alpha2f.metal("Pb")
    t = reduced * alpha2f.K_B * metal.critical_temperature
    real = eliashberg.solve(metal.spectrum, temperature=t, coulomb=metal.coulomb, spacing=0.04)
    energy, last = real.energy, real.energy[-1]
    constant = real.epsilon_Z[-1].imag

    def principal(values: np.ndarray, weight: float, at: float) -> float:
        """(2/π) P∫ values·(ε' or ε)/(ε'² − ε²), values linear between the energies, pole subtracted."""
        center = np.interp(at, energy, values)
        fine = np.linspace(0.0, last, 8 * (energy.size - 1) + 1)
        fine = 0.5 * (fine[1:] + fine[:-1])
        smooth = (np.interp(fine, energy, values) - center) / (fine**2 - at**2)
        pole = math.log((last - at) / (last + at)) / (2.0 * at)
        factor = at if weight == 0.0 else fine
        if weight == 0.0:
            return 2.0 / math.pi * (np.sum(smooth * factor) * (fine[1] - fine[0]) + center * at * pole)
        pole = 0.5 * math.log((last**2 - at**2) / at**2)
        return 2.0 / math.pi * (np.sum(smooth * factor) * (fine[1] - fine[0]) + center * pole)

    scale = np.max(np.abs(real.phi))
    for k in (37, 111, 222):
        at = energy[k]
        X = at + principal(real.epsilon_Z.imag - constant, 0.0, at)
        assert X == pytest.approx(real.epsilon_Z[k].real, rel=1e-3)
        # the axis ends in a tail Im φ ∝ 1/ε, whose transform is 2 Im φ(E)/π at ε ≪ E
        phi = real.coulomb_term + principal(real.phi.imag, 1.0, at) + 2.0 / math.pi * real.phi[-1].imag
        assert phi == pytest.approx(real.phi[k].real, abs=2e-3 * scale)


def test_causality_and_positivity() -> None:
    metal = alpha2f.metal("Nb")
    for t in (0.0, 0.9 * alpha2f.K_B * metal.critical_temperature):
        real = eliashberg.solve(metal.spectrum, temperature=t, coulomb=metal.coulomb)
        assert np.all(real.epsilon_Z.imag >= -1e-9 * metal.spectrum.largest_energy)  # rounding at the edge
        assert np.all(real.dos >= 0.0)
        assert np.all(np.abs(real.pair_amplitude) <= real.dos * (1.0 + 1e-9) + 1e-7)
        assert real.dos[-1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_weak_coupling_is_bcs() -> None:
    """λ = 0.25: ratio, temperature dependence, density of states."""
    spectrum = debye(0.25, 20.0)
    critical = critical_temperature(spectrum)
    rest = eliashberg.solve(spectrum)
    gap = rest.gap_edge
    assert gap / critical == pytest.approx(BCS_RATIO, rel=2e-3)
    edges = gap * np.array([1.0, 1.02, 1.1, 1.5, 2.0, 4.0])
    bins = rest.bins(edges)
    above = np.maximum(edges, gap)
    assert bins.s == pytest.approx(np.diff(np.sqrt(above**2 - gap**2)), rel=2e-3)
    assert bins.p / bins.gap == pytest.approx(np.diff(np.arccosh(above / gap)), rel=2e-3)

    t = 0.6 * critical
    warm = eliashberg.solve(spectrum, temperature=t)

    def thermal(xi: float) -> float:
        e = math.hypot(xi, warm.gap_edge)
        return 2.0 / e / (math.exp(e / t) + 1.0)

    assert math.log(gap / warm.gap_edge) == pytest.approx(quad(thermal, 0.0, 50.0 * t)[0], rel=0.01)


@pytest.mark.parametrize("name", METALS)
@pytest.mark.slow
def test_strong_coupling_ratios(name: str) -> None:
    """2Δ0/k_BT_c of Carbotte, Rev. Mod. Phys. 62, 1027 (1990), to what a model spectrum can give, and his

    2Δ0/k_BT_c = 3.53 [1 + 12.5 (T_c/ω_log)² ln(ω_log/2T_c)]
    """
    metal = alpha2f.metal(name)
    critical = alpha2f.K_B * metal.critical_temperature
    ratio = 2.0 * eliashberg.solve(metal.spectrum, coulomb=metal.coulomb).gap_edge / critical
    assert ratio == pytest.approx(metal.ratio, rel=0.012)
    x = critical / metal.omega_log
    assert ratio == pytest.approx(3.53 * (1.0 + 12.5 * x**2 * math.log(0.5 / x)), rel=0.02)


@pytest.mark.parametrize("coupling", [1.0, 1.5, 2.0])
def test_critical_temperature_near_allen_dynes(coupling: float) -> None:
    """Their fit (Phys. Rev. B 12, 905 (1975)) is to spectra like that of Pb; on it within 10 %."""
    spectrum = alpha2f.metal("Pb").spectrum.scaled(coupling)
    exact = critical_temperature(spectrum, coulomb=0.1)
    assert alpha2f.allen_dynes(spectrum, 0.1) == pytest.approx(exact, rel=0.1)


def test_strong_coupling_limit_of_critical_temperature() -> None:
    """k_B T_c → 0.1827 √(λ⟨ω²⟩) for λ → ∞ (Allen and Dynes)."""
    spectrum = debye(200.0, 1.0)
    limit = 0.1827 * math.sqrt(200.0) * spectrum.omega_2
    assert critical_temperature(spectrum) == pytest.approx(limit, rel=0.01)


@pytest.mark.parametrize("reduced", [0.0, pytest.param(0.8, marks=pytest.mark.slow)])
def test_second_order_in_the_spacing(reduced: float) -> None:
    metal = alpha2f.metal("Sn")
    t = reduced * alpha2f.K_B * metal.critical_temperature
    gaps = [
        eliashberg.solve(metal.spectrum, temperature=t, coulomb=metal.coulomb, spacing=19.0 / n).gap_edge
        for n in (160, 320, 640)
    ]
    changes = np.abs(np.diff(gaps))
    assert np.all(np.log2(changes[:-1] / changes[1:]) > 1.5)
    assert changes[-1] < 1e-3 * gaps[-1]
