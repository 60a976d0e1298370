"""Closed forms of the microwave drive: derivations, limits, and a direct solution on energy bins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import k1, kv

from fvqp.collisions import Coupling, ElectronPhonon, PhotonDrive
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError
from fvqp.models.boltzmann.driven import (
    MOMENTS,
    DrivenDistribution,
    density,
    drive_rate,
    effective_temperature,
    emission_rate,
    envelope,
    near_gap_envelope,
)
from fvqp.models.boltzmann.rothwarf_taylor import RothwarfTaylor

KAPPA = 1.764
STEP = 1.0 / 9.0


def stationary(rates):
    """Stationary distribution of a Markov chain, ``rates[i, j]`` from i to j, relatively accurate everywhere.

    W. K. Grassmann, M. I. Taksar, D. P. Heyman, Oper. Res. 33, 1107 (1985): elimination without differences.
    """
    q = rates.copy()
    for k in range(len(q) - 1, 0, -1):
        q[:k, k] /= q[k, :k].sum()
        q[:k, :k] += np.outer(q[:k, k], q[k, :k])
        np.fill_diagonal(q[:k, :k], 0.0)
    p = np.zeros(len(q))
    p[0] = 1.0
    for k in range(1, len(q)):
        p[k] = p[:k] @ q[:k, k]
    return p


def solved_on_bins(temperature, step, bins, maximum, photons=np.inf, gap=1.0):
    """Energies and occupation of few quasiparticles, from the collision operators of the kinetic solver."""
    rate = float(drive_rate(KAPPA, temperature, step, gap))
    grid = EnergyAxis.uniform(step / bins, maximum, start=gap)
    bin_weights = bcs_weights(grid, gap)
    f, n = np.zeros((1, grid.n)), np.zeros((1, grid.n_phonon))
    if np.isinf(photons):
        drive = PhotonDrive.classical(grid, step, rate)
    else:
        drive = PhotonDrive.mode(grid, step, rate / photons, photons)
    phonons = ElectronPhonon(grid, Coupling(KAPPA, 1e-3), "direct")
    jacobian = sum(process.at(bin_weights, f, n).jacobian().ff[0] for process in (drive, phonons))
    states = bin_weights.dos_weights[0]
    moved = states[:, None] * jacobian / states
    assert np.abs(moved.sum(axis=0)).max() < 1e-12 * np.abs(moved).max()
    np.fill_diagonal(moved, 0.0)
    return grid.energies, stationary(moved.T) / states


def ladders(temperature, step, maximum, **keys):
    rate = float(drive_rate(KAPPA, temperature, step, keys.get("gap", 1.0)))
    return DrivenDistribution(step, rate, KAPPA, maximum=maximum, **keys)


def test_effective_temperature_in_the_numbers_of_an_aluminium_film():
    """Eq. 35 in SI with Table I of Fischer and Catelani, and its inverse."""
    gap, tau, coupling, photons = 180e-6 * constants.e, 438e-9, 1.0, 1e4
    sixth = 105 / 64 * (gap / KAPPA) ** 3 * coupling * tau * (gap / 9) ** 2 * gap * photons
    found = effective_temperature(KAPPA, coupling * tau, STEP, photons)
    assert found == pytest.approx(sixth ** (1 / 6) / gap, rel=1e-12)
    np.testing.assert_allclose(drive_rate(KAPPA, found, STEP), coupling * tau * photons, rtol=1e-12)
    many = effective_temperature(KAPPA, coupling * tau, STEP, [photons, 64 * photons], gap=0.9)
    np.testing.assert_allclose(many, found * 0.9 ** (1 / 6) * np.array([1.0, 2.0]), rtol=1e-12)


def test_emission_rate():
    w = np.array([1.3, 2.0, 5.0, 12.0])
    s, j0 = np.sqrt(w * w - 1.0), np.arccosh(w)
    j2, j3 = 0.5 * (w * s + j0), s**3 / 3.0 + s
    closed = j3 - (2.0 * w + 1.0 / w) * j2 + (w * w + 2.0) * s - w * j0
    np.testing.assert_allclose(emission_rate(KAPPA, w), KAPPA**3 * closed, rtol=1e-12)
    np.testing.assert_allclose(emission_rate(KAPPA, 0.7 * w, 0.7), (0.7 * KAPPA) ** 3 * closed, rtol=1e-12)
    x = np.array([1e-9, 1e-6])
    limit = 128.0 / 105.0 * KAPPA**3 * x**3.5 / math.sqrt(2.0)
    np.testing.assert_allclose(emission_rate(KAPPA, 1.0 + x), limit, rtol=1e-6)


def test_near_gap_envelope_solves_its_equation():
    """It is x K_{1/3}(x³/3T³), and ``(f'/x)' = x³f/T⁶``."""
    temperature, x = 0.13, np.linspace(0.05, 0.5, 30)
    f = near_gap_envelope(1.0 + x, temperature)
    bessel = x * kv(1.0 / 3.0, x**3 / (3.0 * temperature**3))
    np.testing.assert_allclose(f / bessel, f[0] / bessel[0], rtol=1e-12)

    def flux(y):
        h = 1e-4
        up, down = (near_gap_envelope(1.0 + y + d, temperature) for d in (h, -h))
        return (up - down) / (2.0 * h * y)

    slope = (flux(x + 1e-4) - flux(x - 1e-4)) / 2e-4
    np.testing.assert_allclose(slope, x**3 * f / temperature**6, rtol=1e-4)


def test_uniform_envelope_has_the_airy_function_near_the_gap():
    """Relative difference of order x/Δ in the exponent, (x/T)³ x/Δ, where photon steps are small."""
    temperature = 1e-3
    x = temperature * np.array([0.5, 1.0, 2.0, 3.0])
    rate = float(drive_rate(KAPPA, temperature, 1e-6))
    found = envelope(1.0 + x, 1e-6, rate, KAPPA, matching=1.0 + x[1])
    near = near_gap_envelope(1.0 + x, temperature)
    np.testing.assert_allclose(found, near / near[1], rtol=3e-2)
    np.testing.assert_allclose(found[:2], (near / near[1])[:2], rtol=1e-3)


def test_exponent_at_the_energy_where_quasiparticles_begin_to_break_pairs():
    """``∫√(B/A)dE`` up to 3Δ is 1.7204 (Δ/T_*)³; the √(14/5) of Fischer and Catelani is 3 % smaller."""

    def decay(energy):
        diffusion = (energy**2 + 1.0) / (energy**2 - 1.0)
        return math.sqrt(emission_rate(1.0, energy) * energy / math.sqrt(energy**2 - 1.0) / diffusion)

    exponent = math.sqrt(105.0 / 64.0) * quad(decay, 1.0 + 1e-9, 3.0)[0]
    assert exponent == pytest.approx(1.7204, abs=1e-4)
    assert exponent == pytest.approx(math.sqrt(14.0 / 5.0), rel=0.03)
    # the envelope decays with it: its slope at T_* -> 0 is the integrand, corrections of order T_*³
    temperature, e = 0.2, np.array([2.0, 2.001])
    rate = float(drive_rate(KAPPA, temperature, 1e-4))
    f = envelope(e, 1e-4, rate, KAPPA, matching=2.0, discrete=False)
    slope = -math.log(f[1]) / 1e-3 * temperature**3
    assert slope == pytest.approx(math.sqrt(105.0 / 64.0) * decay(2.0005), rel=2 * temperature**3)


@pytest.mark.parametrize(
    ("temperature", "step", "maximum", "photons", "gap"),
    [(0.1, STEP, 2.2, np.inf, 1.0), (0.2, STEP, 2.8, 5.0, 1.0), (0.15, 0.1, 2.2, np.inf, 0.8)],
)
def test_ladders_against_the_kinetic_operators_over_twenty_decades(temperature, step, maximum, photons, gap):
    """Pointwise in the upper two thirds of photon steps, where bins resolve f; the error falls with bins."""
    exact = ladders(temperature, step, maximum, photons=photons, gap=gap)
    errors = []
    for bins in (9, 18):
        energies, f = solved_on_bins(temperature, step, bins, maximum, photons, gap)
        phase = np.mod(energies - gap, step) / step
        # the last photon step of the grid has nothing above it
        used = (phase > 1.0 / 3.0) & (energies > gap + 2.0 * temperature) & (energies < maximum - step)
        ratio = f[used] / exact(energies[used])
        assert f[used].min() < 1e-20 * f[used].max()
        errors.append(np.abs(np.log(ratio / ratio[0])).max())
    assert errors[0] < 0.015
    assert errors[1] < 0.5 * errors[0]


def test_ladders_do_not_depend_on_the_nodes_and_lose_nobody():
    coarse, fine = ladders(0.1, STEP, 2.2), ladders(0.1, STEP, 2.2, nodes=40)
    energies = np.linspace(1.2, 2.2, 300)
    a, b = coarse(energies), fine(energies)
    np.testing.assert_allclose(a / a[0], b / b[0], rtol=1e-5)
    assert coarse.survival == pytest.approx(1.0, abs=1e-6)
    assert np.all(coarse(np.array([[1.5, 1.6]])) == coarse([1.5, 1.6]))
    assert ladders(0.05, STEP, 8.0)(7.9) == 0.0
    lossy = ladders(0.1, STEP, 2.2, loss=1e-7)
    assert 0.9 < lossy.survival < 1.0 - 1e-4
    assert lossy.steps.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("temperature", "step", "maximum", "tolerance"),
    [(0.1, STEP, 2.2, 0.11), (0.2, STEP, 2.7, 0.03), (0.15, 1.0 / 24.0, 2.0, 0.01)],
)
def test_envelope_follows_the_ladders_over_twenty_decades(temperature, step, maximum, tolerance):
    """At the middle of photon steps, from 2 T_* above the gap."""
    first = 1.0 + step * (math.floor(2.0 * temperature / step) + 0.5)
    energies = np.arange(first, maximum, step)
    exact = ladders(temperature, step, maximum)(energies)
    rate = float(drive_rate(KAPPA, temperature, step))
    found = envelope(energies, step, rate, KAPPA, matching=first)
    assert exact[-1] < 1e-20 * exact[0]
    np.testing.assert_allclose(found, exact / exact[0], rtol=tolerance)
    # continuous diffusion and the near-gap form fail there, by many decades
    assert envelope(energies[-1], step, rate, KAPPA, matching=first, discrete=False) < 1e-3 * found[-1]


def test_spontaneous_emission_in_the_envelope():
    first, photons = 1.0 + 4.5 * STEP, 20.0
    energies = np.arange(first, 2.6, STEP)
    exact = ladders(0.2, STEP, 2.6, photons=photons)(energies)
    rate = float(drive_rate(KAPPA, 0.2, STEP))
    found = envelope(energies, STEP, rate, KAPPA, matching=first, photons=photons)
    np.testing.assert_allclose(found, exact / exact[0], rtol=0.04)


def test_pair_emission():
    driven = ladders(0.4, STEP, 4.6, loss=1e-4)

    def above(energy):
        def integrand(y):
            final = 1.0 + y * y
            root = final / math.sqrt(y * y + 2.0)
            return 2.0 * (energy - final) ** 2 * root * (1.0 - 1.0 / (energy * final))

        return KAPPA**3 * quad(integrand, 0.0, math.sqrt(energy - 3.0))[0] if energy > 3.0 else 0.0

    rates = np.vectorize(above)(driven.energies)
    assert driven.pair_emission() == pytest.approx(driven.mean(rates), rel=1e-6)
    # the fit of Fischer and Catelani, within the factor of 2.5 that the docstring states
    for temperature in (0.4, 0.6):
        small = ladders(temperature, 1.0 / 40.0, 3.6 + 3.0 * temperature, nodes=8, loss=1e-4)
        fit = density(KAPPA, temperature, trapping=1.0).drive
        assert 0.4 < fit / small.pair_emission() < 2.5


def test_moments_of_the_near_gap_distribution():
    """Solved by finite volumes without photon steps; the paper gives two digits (theory, driven-near-gap)."""
    means = []
    for cells in (100, 200):
        root = np.linspace(0.0, math.sqrt(5.5), cells + 1)
        x, weight = (0.5 * (root[1:] + root[:-1])) ** 2, 2.0 * np.diff(root)
        back = (
            np.maximum(x - x[:, None], 0.0) ** 2 * (x + x[:, None]) * weight * weight[:, None] * 105.0 / 128.0
        )
        loss = np.diag(back.sum(axis=0))
        conductance = 1.0 / np.diff(0.5 * x**2)
        for part, sign in ((np.s_[:-1, :-1], 1.0), (np.s_[1:, 1:], 1.0), (np.s_[:-1, 1:], -1.0)):
            loss[part] += sign * np.diag(conductance)
        loss[1:, :-1] -= np.diag(conductance)
        f = np.ones(cells)
        for _ in range(40):
            f = np.linalg.solve(loss, back @ f)
            f /= weight @ f
        means.append([weight @ (f * x), weight @ (f * x**2)])
    extrapolated = np.array(means[1]) + (np.array(means[1]) - means[0]) / 3.0
    np.testing.assert_allclose(extrapolated, [0.42041, 0.36281], rtol=1e-4)
    np.testing.assert_allclose(MOMENTS, extrapolated, rtol=0.012)
    tail = np.log(f / near_gap_envelope(1.0 + x, 1.0))[(x > 2.0) & (x < 3.0)]
    assert tail.max() - tail.min() < 0.03
    assert f[x < 3.0].min() < 1e-3 * f[0]


def test_gap_shift():
    """Mean of Δ/E over cold quasiparticles, second order in T_*, here with the photon steps of a mode."""
    driven = ladders(0.1, 0.1 / 16.0, 1.5, nodes=8)
    x = driven.energies - 1.0
    flat = driven.occupation * driven.weights / (1.0 + x) * np.sqrt(1.0 + x / 2.0)
    first, second = (float(np.sum(flat * x**k) / flat.sum()) for k in (1, 2))
    expected = 1.0 - first + 0.25 * (second + 3.0 * first**2)
    assert driven.mean(1.0 / driven.energies) == pytest.approx(expected, abs=0.3 * 0.1**3)
    linear, second = MOMENTS
    assert (-linear, 0.25 * (second + 3.0 * linear**2)) == pytest.approx((-0.42, 0.22), abs=5e-3)


def test_density_without_drive_is_thermal():
    bath = np.array([0.02, 0.05])
    for trapping in (0.0, 1.0, 30.0):
        found = density(KAPPA, 0.0, bath=bath, trapping=trapping)
        np.testing.assert_allclose(found.x_qp, np.sqrt(2 * np.pi * bath) * np.exp(-1 / bath), rtol=1e-12)
        np.testing.assert_allclose(found.x_qp, found.thermal, rtol=1e-14)
        # n_qp/4N0Δ0 = K1(Δ/k_BT), x_qp is twice that; corrections of 3/8 k_BT/Δ
        np.testing.assert_allclose(
            found.x_qp * (1 + 0.375 * bath), 2 * k1(1 / bath), rtol=2 * bath.max() ** 2
        )


def test_recombination_is_that_of_rothwarf_and_taylor():
    """In units 4N0Δ0 and τ0 their R is 8κ³, and ``N = 4 n``: R̄ = R_eff/4."""
    trapping = 1.7
    model = RothwarfTaylor(8.0 * KAPPA**3, 1.0, escape_time=trapping, thermal_density=0.0)
    found = density(KAPPA, 0.0, trapping=trapping).recombination
    assert found == pytest.approx(model.reduced.recombination / 4.0, rel=1e-14)
    # corrections: the mean of (E + E')²(1 + Δ²/EE')/8Δ² with phonons escaping, to the orders that are kept
    driven = ladders(0.05, 0.05 / 8.0, 1.25, nodes=8)
    weight, e = (driven.weights * driven.occupation).ravel(), driven.energies.ravel()
    weight, first, second = (
        weight / weight.sum(),
        driven.mean(driven.energies - 1),
        driven.mean((driven.energies - 1) ** 2),
    )
    exact = weight @ ((e[:, None] + e) ** 2 * (1 + 1 / np.multiply.outer(e, e)) / 8.0) @ weight
    assert exact == pytest.approx(1 + first + 0.5 * second, abs=0.2 * 0.05**3)


def test_density_with_drive():
    temperature = np.linspace(0.3, 0.9, 7)
    found = density(KAPPA, temperature, bath=0.08, trapping=1.0)
    n = 2.0 * found.x_qp
    balance = found.recombination * n**2 - found.drive * n - found.generation
    np.testing.assert_allclose(balance, 0.0, atol=1e-12 * (found.recombination * n**2).max())
    assert found.x_qp[0] == pytest.approx(found.thermal[0], rel=1e-2)
    assert found.x_qp[-1] == pytest.approx(found.driven[-1], rel=1e-2)
    cold = density(KAPPA, temperature, trapping=1.0)
    np.testing.assert_allclose(cold.x_qp, cold.driven, rtol=1e-12)
    assert np.all(density(KAPPA, temperature, bath=0.08).drive == 0.0)
    given = density(KAPPA, temperature, trapping=1.0, pair_emission=1e-9)
    np.testing.assert_allclose(given.drive, 1e-9, rtol=1e-12)


def test_density_against_the_operators_of_pairs_and_phonons():
    """Recombination, pair breaking and escape of phonons at every energy, with f of the ladders."""
    temperature, trapping, breaking = 0.5, 1.0, 6e-4
    driven = ladders(temperature, STEP, 5.0, loss=1e-6, nodes=48)
    moments = driven.mean(driven.energies - 1.0), driven.mean((driven.energies - 1.0) ** 2)
    found = density(
        KAPPA, temperature, trapping=trapping, pair_emission=driven.pair_emission(), moments=moments
    )
    grid = EnergyAxis.uniform(STEP / 9.0, 5.0, start=1.0)
    bin_weights, phonons = bcs_weights(grid, 1.0), ElectronPhonon(grid, Coupling(KAPPA, breaking), "direct")
    at = np.searchsorted(grid.edges, driven.energies.ravel(), side="right") - 1
    held = (driven.weights * driven.occupation).ravel()
    shape = np.bincount(at[at < grid.n], held[at < grid.n], grid.n)[None, :] / bin_weights.dos_weights[0]

    def growth(x_qp):
        f = 0.5 * x_qp * shape
        parts = phonons.at(bin_weights, f, np.zeros((1, grid.n_phonon))).gain_loss()
        n = parts.in_n / (parts.out_n - parts.in_n + 1.0 / (trapping * breaking))
        return float(bin_weights.dos_weights[0] @ phonons.at(bin_weights, f, n).rates.f[0])

    # relative corrections of order T_*² (phonons trapped) and T_*³, and 3 % of the bins
    assert brentq(growth, 0.3 * found.x_qp, 3.0 * found.x_qp) == pytest.approx(found.x_qp, rel=0.08)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_temperature(KAPPA, -1.0, STEP, 1.0), "coupling must be finite and at least 0"),
        (lambda: drive_rate(KAPPA, 0.1, 0.0), "photon_energy must be positive"),
        (lambda: near_gap_envelope([0.9], 0.1), "at or above the gap"),
        (lambda: envelope([1.2], STEP, 1e-3, KAPPA, matching=1.0), "above the gap"),
        (lambda: DrivenDistribution(2.0, 1e-3, KAPPA, maximum=3.0), "break pairs"),
        (lambda: DrivenDistribution(STEP, 1e-3, KAPPA, maximum=0.5), "maximum 0.5"),
        (lambda: DrivenDistribution(STEP, np.nan, KAPPA, maximum=2.0), "rate must be positive"),
        (lambda: DrivenDistribution(STEP, 1e-3, KAPPA, maximum=2.0, nodes=2), "at least 4 nodes"),
        (lambda: DrivenDistribution(1e-4, 1e4, KAPPA, maximum=4.0), "the envelope serves as well"),
        (lambda: ladders(0.1, STEP, 2.0)(9.0), "energies must be between"),
        (lambda: density(KAPPA, 0.1, trapping=-1.0), "trapping must be finite and at least 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(CaseError, match=message):
        call()
