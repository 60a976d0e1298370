"""Bin weights and lifetimes against closed forms, with the orders in the bin width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ellipe, ellipk, gamma, zeta
from states import COUPLING, GRADED

from fvqp.collisions import (
    ElectronPhonon,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.energy import BinWeights, EnergyAxis, bcs_weights
from fvqp.errors import CaseError

A, KAPPA = COUPLING.strength, COUPLING.kappa


def emission(w):
    """τ0 (k_BT_c/Δ)³/τ_s at T = 0, w = E/Δ."""
    s = np.sqrt(w * w - 1.0)
    j0, j1 = np.arccosh(w), s
    j2, j3 = 0.5 * (w * s + j0), s**3 / 3.0 + s
    return j3 - (2.0 * w + 1.0 / w) * j2 + (w * w + 2.0) * j1 - w * j0


def pair_breaking(w):
    """π τ0^pb Δ0/(Δ τ_B) at T = 0, w = ω/Δ."""
    m = ((w - 2.0) / (w + 2.0)) ** 2
    return (w + 2.0) * ellipe(m) - 4.0 * w / (w + 2.0) * ellipk(m)


def orders(errors):
    errors = np.asarray(errors)
    return np.log2(errors[:-1] / errors[1:])


@pytest.mark.parametrize("gap", [0.7, 0.713, 0.75, 0.774, 1.0])
def test_measure_is_exact_in_number_and_energy(gap):
    for grid in (
        EnergyAxis.uniform(0.05, 4.0, start=0.7),
        EnergyAxis.from_gap(4.0, gap=[0.7, 1.0], finest=0.03),
    ):
        top = np.sqrt(grid.edges[-1] ** 2 - gap**2)
        energy = quad(lambda x: np.hypot(x, gap), 0.0, top)[0]
        for rule in ("bin", "linear"):
            bin_weights = bcs_weights(grid, gap, rule)
            assert bin_weights.dos_weights.sum() == pytest.approx(top, rel=1e-13)
            assert bin_weights.pair_weights.sum() == pytest.approx(gap * np.arcsinh(top / gap), rel=1e-12)
            assert np.all(np.abs(bin_weights.pair_weights) <= bin_weights.dos_weights)
        ones = np.ones((1, grid.n))
        assert quasiparticle_energy(grid, bin_weights, ones)[0] == pytest.approx(energy, rel=1e-11)
        bins = bcs_weights(grid, gap, "bin")
        assert np.all(bins.dos_weights[0, grid.edges[1:] <= gap] == 0.0)


def test_measure_of_a_normal_metal():
    grid = EnergyAxis.uniform(0.1, 3.0)
    for rule in ("bin", "linear"):
        bin_weights = bcs_weights(grid, 0.0, rule)
        np.testing.assert_allclose(bin_weights.dos_weights[:, 2:-2], 0.1, rtol=1e-12)
        assert bin_weights.dos_weights.sum() == pytest.approx(3.0)
        assert np.all(bin_weights.pair_weights == 0.0)


def test_measure_follows_the_gap_continuously():
    grid = EnergyAxis.uniform(0.1, 3.0, start=0.5)
    for rule in ("bin", "linear"):
        below, above = bcs_weights(grid, [0.8 - 1e-12, 0.8 + 1e-12], rule).dos_weights
        np.testing.assert_allclose(below, above, atol=1e-5)


def test_measure_refuses():
    with pytest.raises(CaseError, match="exceeds the number of states"):
        BinWeights(np.array([1.0, 1.0]), np.array([0.5, 1.5]))
    with pytest.raises(CaseError, match="must be finite"):
        BinWeights(np.array([1.0, -1.0]), np.array([0.5, 0.5]))


@pytest.mark.parametrize("inside", [0.0, 0.37, 0.7])
@pytest.mark.parametrize(("rule", "least"), [("bin", 1.3), ("linear", 1.9)])
def test_density_and_its_order(rule, least, inside):
    """∫ρf dE for a smooth f; the gap at an edge of a bin and at two places inside one."""
    errors = []
    for h in (0.1, 0.05, 0.025, 0.0125, 0.00625):
        gap = 1.0 + inside * h
        grid = EnergyAxis.uniform(h, 6.0, start=1.0 - (4 * h if inside else 0.0))
        exact = quad(lambda x: np.exp(-np.hypot(x, gap) / 0.3), 0.0, np.sqrt(36.0 - gap**2), epsabs=1e-15)[0]  # noqa: B023
        f = np.exp(-grid.energies / 0.3)[None]
        errors.append(abs(quasiparticle_density(bcs_weights(grid, gap, rule), f)[0] / exact - 1.0))
    assert errors[-1] < (2e-3 if rule == "bin" else 6e-5)
    assert errors[-1] < errors[0] * 16.0**-least * 1.5


@pytest.mark.parametrize("inside", [0.0, 0.37, 0.7])
@pytest.mark.parametrize(("rule", "least"), [("bin", 1.3), ("linear", 1.35)])
def test_cold_emission_and_pair_breaking(rule, least, inside):
    """Closed forms of 1/τ_s and 1/τ_B at T = 0 (Kaplan et al. 1976), away from their thresholds."""
    errors = []
    for h in (0.1, 0.05, 0.025, 0.0125):
        gap = 1.0 + inside * h
        grid = EnergyAxis.uniform(h, 5.0, start=1.0 - (4 * h if inside else 0.0))
        operator = ElectronPhonon(grid, COUPLING, "direct")
        found = inverse_lifetimes(operator, bcs_weights(grid, gap, rule), *thermal(grid, 0.0))
        assert np.all(found.recombination == 0.0) and np.all(found.absorption == 0.0)
        w, v = grid.energies / gap, grid.phonon_energies / gap
        high, broken = w > 1.8, (v > 2.4) & (v < 4.6)
        by_phonons = found.scattering[0, high] / (A * gap**3 * emission(w[high])) - 1.0
        pairs = found.pair_breaking[0, broken] * np.pi * COUPLING.pair_breaking_time / gap
        errors.append([np.abs(by_phonons).max(), np.abs(pairs / pair_breaking(v[broken]) - 1.0).max()])
    assert np.all(orders(errors).mean(axis=0) > least)
    assert np.all(np.asarray(errors)[-1] < (3e-3 if rule == "bin" else 3e-4))


def test_graded_grid_has_the_same_cold_lifetimes():
    grid = EnergyAxis.from_gap(8.0, gap=1.0, finest=0.02, growth=0.02, phonon_maximum=16.0)
    found = inverse_lifetimes(ElectronPhonon(grid, COUPLING), bcs_weights(grid, 1.0), *thermal(grid, 0.0))
    high = grid.energies > 1.5
    np.testing.assert_allclose(found.scattering[0, high], A * emission(grid.energies[high]), rtol=0.01)


def kaplan_at_the_edge(temperature):
    """Scattering and recombination rates of E = Δ = 1 at low temperature, by quadrature."""

    def absorbed(x):  # ω = x²; f(E + ω) may be neglected
        w = x * x
        density = (1.0 + w) / np.sqrt(w * (2.0 + w))
        return 2.0 * x * w * w * density * (1.0 - 1.0 / (1.0 + w)) / np.expm1(w / temperature)

    def paired(x):
        w = x * x
        density = (1.0 + w) / np.sqrt(2.0 + w) * 2.0
        return (2.0 + w) ** 2 * density * (1.0 + 1.0 / (1.0 + w)) * np.exp(-w / temperature)

    top = np.sqrt(60.0 * temperature)
    scattering = quad(absorbed, 0.0, top, epsabs=0.0)[0]
    return A * scattering, A * quad(paired, 0.0, top, epsabs=0.0)[0] * np.exp(-1.0 / temperature)


def test_low_temperature_limits_at_the_gap_edge():
    against_limits = []
    for temperature, steps in ((0.04, 750), (0.02, 1500), (0.01, 3000)):
        grid = EnergyAxis.uniform(1.0 / steps, 1.0 + 35.0 * temperature, start=1.0)
        operator = ElectronPhonon(grid, COUPLING, "direct")
        found = inverse_lifetimes(operator, bcs_weights(grid, 1.0), *thermal(grid, temperature))
        # extrapolation to E = Δ from beyond the first bins, whose states lie off their centres
        part = slice(3, 24)
        both = np.stack([found.scattering[0, part], found.recombination[0, part]], axis=1)
        rates = np.polynomial.polynomial.polyfit(grid.energies[part] - 1.0, both, 3)[0]
        np.testing.assert_allclose(rates, kaplan_at_the_edge(temperature), rtol=1e-3)
        t = temperature * KAPPA
        limits = [
            gamma(3.5) * zeta(3.5) * np.sqrt(0.5 / KAPPA) * t**3.5,
            np.sqrt(np.pi) * (2.0 * KAPPA) ** 2.5 * np.sqrt(t) * np.exp(-1.0 / temperature),
        ]
        against_limits.append(rates / limits)
    warm, mild, cold = against_limits
    np.testing.assert_allclose((8.0 * cold - 6.0 * mild + warm) / 3.0, 1.0, rtol=1e-3)


def test_rothwarf_taylor_constant():
    """Cold quasiparticles recombine as ṅ = −R n², R = 8 κ³, R(T)/R = 1 + T/2Δ; trapping divides it."""
    temperature, escape = 0.01, 0.1
    effective = []
    for steps in (1000, 2000):
        grid = EnergyAxis.uniform(1.0 / steps, 1.0 + 30.0 * temperature, start=1.0)
        operator, bin_weights = ElectronPhonon(grid, COUPLING, "direct"), bcs_weights(grid, 1.0)
        f, n = 1e-9 * np.exp((1.0 - grid.energies) / temperature)[None], np.zeros((1, grid.n_phonon))
        density = quasiparticle_density(bin_weights, f)[0]
        loss = -quasiparticle_density(bin_weights, operator.at(bin_weights, f, n).rates.f)[0]
        # phonons in balance between recombination, pair breaking and escape in the time ``escape``
        pairs = operator.at(bin_weights, f, n).gain_loss("pairs")
        n = pairs.in_n / (1.0 / escape + pairs.out_n)
        effective.append(2.0 * (n[0] @ operator.phonon_modes) / escape / density**2)
    assert loss / density**2 == pytest.approx(8.0 * A * (1.0 + temperature / 2.0), rel=5e-4)
    # the phonon points next to 2Δ make this one of first order in the bin width
    trapping = 1.0 + escape / COUPLING.pair_breaking_time
    assert 2.0 * effective[1] - effective[0] == pytest.approx(8.0 * A / trapping, rel=0.01)


def test_thermal_occupations():
    hot = thermal(GRADED, 0.5)
    np.testing.assert_allclose(hot.f[0], 1.0 / (np.exp(GRADED.energies / 0.5) + 1.0), rtol=1e-14)
    np.testing.assert_allclose(hot.n[0], 1.0 / np.expm1(GRADED.phonon_energies / 0.5), rtol=1e-14)
    cold = thermal(GRADED, 1e-3)
    assert np.all(cold.f == 0.0) or cold.f.max() < 1e-300
    assert thermal(GRADED, 0.0).n.max() == 0.0
    with pytest.raises(CaseError, match="temperature"):
        thermal(GRADED, -1.0)


def test_phonon_energy_of_a_thermal_spectrum():
    grid = EnergyAxis.uniform(0.01, 5.0, start=1.0)
    operator = ElectronPhonon(grid, COUPLING)
    expected = COUPLING.capacity * np.pi**4 / 15.0 * 0.3**4
    assert phonon_energy(operator, thermal(grid, 0.3).n)[0] == pytest.approx(expected, rel=1e-4)
