"""Photon drive: conservation, detailed balance, Jacobian, power, and convergence in the bin width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from states import DEBYE, GAPS, GRADED, UNIFORM, random_state, thermal_state

from fvqp.collisions import (
    Coupling,
    ElectronPhonon,
    MattisBardeen,
    PhotonDrive,
    phonon_energy,
    quasiparticle_energy,
)
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError, ConvergenceError

#: Below and above 2Δ, on the uniform grids and off them, smaller than a bin, and just above threshold.
ENERGIES = [0.25, 0.237, 0.013, 1.4142, 2.1, 2.0013, 2.6, 3.77]
CASES = [(grid, energy) for grid in (UNIFORM, DEBYE, GRADED) for energy in ENERGIES]


def mode(grid, energy, photons=0.7):
    return PhotonDrive.mode(grid, energy, 0.3, photons)


def falling_state(grid):
    """Occupations far from equilibrium that fall with energy, so that photons are absorbed."""
    f, n = thermal_state(grid, 1.3)
    return f * (1.0 - 0.3 * np.tanh(2.0 * grid.energies - 4.0)), n


@pytest.mark.parametrize(("grid", "energy"), CASES)
def test_number_and_absorbed_energy_are_exact(grid, energy):
    bin_weights, (f, n) = bcs_weights(grid, GAPS), random_state(grid)
    drive = mode(grid, energy)
    rates = drive.at(bin_weights, f, n).rates
    moved = np.abs(bin_weights.dos_weights * grid.energies * rates.f).sum(axis=1)
    number, power = drive.at(bin_weights, f, n).number_flow(), drive.at(bin_weights, f, n).energy_flow()
    np.testing.assert_allclose(
        (bin_weights.dos_weights * rates.f).sum(axis=1),
        number.quasiparticles,
        rtol=0,
        atol=1e-13 * moved.max(),
    )
    into = quasiparticle_energy(grid, bin_weights, rates.f)
    np.testing.assert_allclose(into, power.quasiparticles, rtol=0, atol=2e-13 * moved.max())
    if energy < 1.8:
        assert np.all(number.quasiparticles == 0.0)
    assert not np.any(rates.n) and not np.any(power.phonons) and not np.any(number.phonons)


@pytest.mark.parametrize("temperature", [0.04, 0.2, 2.0])
@pytest.mark.parametrize(("grid", "energy"), CASES)
def test_equilibrium_with_thermal_photons_is_stationary(grid, energy, temperature):
    bin_weights, (f, n) = bcs_weights(grid, GAPS), thermal_state(grid, temperature)
    drive = mode(grid, energy, 1.0 / np.expm1(energy / temperature))
    rates, parts = drive.at(bin_weights, f, n).rates, drive.at(bin_weights, f, n).gain_loss()
    # exponents up to E/T of a thermal f are known to E/T units of round-off
    slack = 1e-14 * (10.0 + grid.energies[-1] / temperature)
    assert np.all(np.abs(rates.f) <= slack * (parts.in_f * (1.0 - f) + parts.out_f * f))


@pytest.mark.parametrize(("grid", "energy"), CASES)
def test_entropy_of_quasiparticles_and_photons_grows(grid, energy):
    bin_weights = bcs_weights(grid, GAPS)
    photons = 0.7
    for seed in range(3):
        f, n = random_state(grid, seed=seed)
        drive = mode(grid, energy, photons)
        production = (
            bin_weights.dos_weights * np.log(1.0 / f - 1.0) * drive.at(bin_weights, f, n).rates.f
        ).sum(axis=1)
        absorbed = drive.at(bin_weights, f, n).energy_flow().quasiparticles / energy
        assert np.all(production - absorbed * np.log1p(1.0 / photons) > 0.0)


@pytest.mark.parametrize("power", [None, 0.4])
@pytest.mark.parametrize(("grid", "energy"), CASES)
def test_gain_and_loss_make_the_rates(grid, energy, power):
    bin_weights, (f, n) = bcs_weights(grid, GAPS), random_state(grid)
    if power is not None:
        f, n = falling_state(grid)
    drive = mode(grid, energy) if power is None else PhotonDrive.at_power(grid, energy, power, 1e3)
    parts = drive.at(bin_weights, f, n).gain_loss()
    assert min(part.min() for part in parts) >= 0.0
    rates = drive.at(bin_weights, f, n).rates.f
    np.testing.assert_allclose(parts.rates(f, n).f, rates, rtol=0, atol=1e-12 * np.abs(rates).max())


@pytest.mark.parametrize("power", [None, 0.4])
@pytest.mark.parametrize(("grid", "energy"), CASES)
def test_jacobian(grid, energy, power):
    """Central differences of order 4 of the rates; product, matrix and diagonal agree to round-off."""
    bin_weights, (f, n) = bcs_weights(grid, GAPS), falling_state(grid)
    drive = mode(grid, energy) if power is None else PhotonDrive.at_power(grid, energy, power)
    step = np.random.default_rng(3).uniform(-1.0, 1.0, f.shape) * f

    def slope(h):
        up, down = (drive.at(bin_weights, f + sign * h * step, n).rates.f for sign in (1.0, -1.0))
        return (up - down) / (2.0 * h)

    difference = (4.0 * slope(1e-3) - slope(2e-3)) / 3.0
    product = drive.at(bin_weights, f, n).jvp(step, np.zeros_like(n)).f
    np.testing.assert_allclose(product, difference, rtol=0, atol=1e-6 * np.abs(product).max())
    blocks = drive.at(bin_weights, f, n).jacobian()
    np.testing.assert_allclose(
        np.einsum("cij,cj->ci", blocks.ff, step), product, rtol=0, atol=1e-12 * np.abs(product).max()
    )
    diagonal = drive.at(bin_weights, f, n).diagonal()
    np.testing.assert_allclose(
        diagonal.f, np.diagonal(blocks.ff, axis1=1, axis2=2), rtol=1e-11, atol=1e-12 * np.abs(blocks.ff).max()
    )
    for part in (blocks.fn, blocks.nf, blocks.nn, diagonal.n):
        assert not np.any(part)


@pytest.mark.parametrize("energy", [0.237, 2.6])
def test_power_is_what_was_asked_for_in_every_cell(energy):
    bin_weights, (f, n) = bcs_weights(GRADED, GAPS), thermal_state(GRADED, 0.3)
    power = np.array([0.0, 1e-3, 0.2, 5.0])
    drive = PhotonDrive.at_power(GRADED, energy, power)
    np.testing.assert_allclose(drive.at(bin_weights, f, n).energy_flow().quasiparticles, power, rtol=1e-12)
    absorbed = quasiparticle_energy(GRADED, bin_weights, drive.at(bin_weights, f, n).rates.f)
    np.testing.assert_allclose(absorbed, power, rtol=1e-10, atol=1e-14)


def test_pauli_principle_and_empty_bins():
    bin_weights = bcs_weights(GRADED, GAPS)
    f, n = random_state(GRADED)
    f[:, ::4], f[:, 1::4] = 0.0, 1.0
    for energy in ENERGIES:
        drive = mode(GRADED, energy)
        rates = drive.at(bin_weights, f, n).rates.f
        assert np.all(np.isfinite(rates))
        assert np.all(rates[:, ::4] >= 0.0) and np.all(rates[:, 1::4] <= 0.0)
        assert np.all(np.isfinite(drive.at(bin_weights, f, n).jvp(f, n).f))
        for part in drive.at(bin_weights, f, n).gain_loss():
            assert np.all(np.isfinite(part))
            assert part.min() >= 0.0


def test_trial_states_a_little_below_zero_and_above_one():
    bin_weights = bcs_weights(GRADED, GAPS)
    f, n = random_state(GRADED)
    f[:, ::4], f[:, 1::4] = -1e-9, 1.0 + 1e-9
    for energy in ENERGIES:
        drive = mode(GRADED, energy)
        assert np.all(np.isfinite(drive.at(bin_weights, f, n).rates.f))
        assert np.all(np.isfinite(drive.at(bin_weights, f, n).jacobian().ff))


def absorbed(energy, gap, temperature, photons):
    """Power of scattering and pair breaking, with the square-root edges taken out of the integrals."""

    def fermi(e):
        return 1.0 / (np.exp(e / temperature) + 1.0)

    def scattering(x):
        e = gap + x * x
        u = e + energy
        f, g = fermi(e), fermi(u)
        bracket = f * (1.0 - g) * photons - g * (1.0 - f) * (photons + 1.0)
        return 2.0 * (e * u + gap**2) / np.sqrt(e + gap) / np.sqrt(u * u - gap**2) * bracket

    def pairs(x):
        e = gap + x * x
        u = energy - e
        f, g = fermi(e), fermi(u)
        bracket = (1.0 - f) * (1.0 - g) * photons - f * g * (photons + 1.0)
        return 2.0 * (e * u - gap**2) / np.sqrt(e + gap) / np.sqrt(u * u - gap**2) * bracket

    total = quad(scattering, 0.0, 4.0, limit=200, epsabs=0, epsrel=1e-11)[0]
    if energy > 2.0 * gap:
        # half of all pairs: those whose first quasiparticle has the lower energy
        total += quad(pairs, 0.0, np.sqrt(0.5 * energy - gap), epsabs=0, epsrel=1e-11)[0]
    return energy * total


@pytest.mark.parametrize("energy", [0.2372, 1.2713, 2.3719])
@pytest.mark.parametrize("gap", [1.0, 0.987])
def test_absorbed_power_converges_with_the_bin_width(energy, gap):
    """Off the grid: order 2; broken pairs, whose energies reach the other gap edge, between 1 and 1.5."""
    exact = absorbed(energy, gap, 0.2, 2.0)
    errors = []
    for width in (0.02, 0.01, 0.005):
        grid = EnergyAxis.uniform(width, 6.0, start=0.96)
        f, n = thermal_state(grid, 0.2, cells=1)
        power = PhotonDrive.mode(grid, energy, 1.0, 2.0).at(bcs_weights(grid, gap), f, n).energy_flow()
        errors.append(abs(power.quasiparticles[0] / exact - 1.0))
    errors = np.array(errors)
    if energy < 2.0 * gap:
        assert 0.5 * np.log2(errors[0] / errors[-1]) > 1.85
        assert errors[-1] < 2e-4
    else:
        assert np.all(errors < 0.03 * np.array([0.02, 0.01, 0.005]))


@pytest.mark.parametrize("energy", [0.2, 0.2037, 1.4, 4.0, 4.0021])
def test_rates_are_those_of_the_kinetic_equation(energy):
    """Every term, away from the edges that it has at Δ, Δ + ω0 and ω0 − Δ."""
    grid, coupling, photons = EnergyAxis.uniform(0.005, 9.0, start=1.0), 0.3, 2.0

    def f(e):
        return 0.3 * np.exp(-e / 0.7) * (1.0 + 0.2 * np.sin(3.0 * e))

    def density(e):
        return e / np.sqrt(np.maximum(e * e - 1.0, 1e-9)) * (e > 1.0)

    e = grid.energies
    up, down, pair = e + energy, e - energy, energy - e
    expected = (
        density(up)
        * (1.0 + 1.0 / (e * up))
        * ((photons + 1.0) * f(up) * (1.0 - f(e)) - photons * f(e) * (1.0 - f(up)))
    )
    expected -= (
        density(down)
        * (1.0 + 1.0 / (e * down))
        * ((photons + 1.0) * f(e) * (1.0 - f(down)) - photons * f(down) * (1.0 - f(e)))
    )
    expected += (
        density(pair)
        * (1.0 - 1.0 / (e * pair))
        * (photons * (1.0 - f(e)) * (1.0 - f(pair)) - (photons + 1.0) * f(e) * f(pair))
    )
    away = (e < 9.0 - energy - 0.1) & (e > 1.15)
    for edge in (1.0 + energy, energy - 1.0):
        away &= np.abs(e - edge) > 0.15
    drive = PhotonDrive.mode(grid, energy, coupling, photons)
    rates = drive.at(bcs_weights(grid, 1.0), f(e)[None], np.zeros((1, grid.n_phonon))).rates.f[0]
    scale = np.abs(coupling * expected[away]).max()
    np.testing.assert_allclose(rates[away], coupling * expected[away], rtol=1e-3, atol=1e-3 * scale)


def test_transition_between_bins_diffuses_like_one_on_bins():
    """A photon smaller than a bin heats as the exact one: bins do not add diffusion in energy."""
    grid = EnergyAxis.uniform(0.04, 6.0, start=0.96)
    f, n = thermal_state(grid, 0.3, cells=1)
    energy = 0.011
    power = PhotonDrive.classical(grid, energy, 1.0).at(bcs_weights(grid, 1.0), f, n).energy_flow()
    exact = absorbed(energy, 1.0, 0.3, 1e9) / 1e9
    # bins of 0.04 see the logarithm at the gap edge, ln(T/ω0), to a tenth
    assert power.quasiparticles[0] == pytest.approx(exact, rel=0.12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PhotonDrive.mode(UNIFORM, -0.1, 1.0, 1.0), "photon energy must be positive"),
        (lambda: PhotonDrive.mode(UNIFORM, 0.1, -1.0, 1.0), "coupling to photons must be finite and not neg"),
        (lambda: PhotonDrive.mode(UNIFORM, 0.1, 1.0, np.nan), "number of photons must be finite"),
        (lambda: PhotonDrive.mode(UNIFORM, 9.0, 1.0, 1.0), "hold no transition by photons of 9 Δ0"),
        (lambda: PhotonDrive.at_power(UNIFORM, 0.1, 1.0, 0.0), "n̄ > 0 photons only"),
    ],
)
def test_messages(make, message):
    with pytest.raises(CaseError, match=message):
        make()


def test_power_needs_something_that_absorbs():
    f, n = np.zeros((4, UNIFORM.n)), np.zeros((4, UNIFORM.n_phonon))
    with pytest.raises(ConvergenceError, match="of cell 0 absorb no more"):
        _ = PhotonDrive.at_power(UNIFORM, 0.1, 1.0).at(bcs_weights(UNIFORM, GAPS), f, n).rates
    with pytest.raises(CaseError, match="need f of shape"):
        PhotonDrive.at_power(UNIFORM, 0.1, 1.0).at(bcs_weights(UNIFORM, GAPS), f[:, :5], n)


def test_bins_that_repeat_are_connected_one_by_one():
    """Number and energy are as exact as on other grids, and equilibrium as stationary."""
    grid = EnergyAxis.stepped(3.1, gap=0.9, step=0.3, width=0.05)
    assert grid.edges[0] == 0.9 and grid.edges[-1] == pytest.approx(3.3, abs=1e-12) and grid.step == 0.3
    steps = np.diff(grid.edges).reshape(8, -1)
    assert steps[:, 0] == pytest.approx(3e-9 * (np.e - 1.0), rel=0.1) and steps.max() < 0.05
    drive = mode(grid, 0.3)
    events = drive.events
    assert np.all(events.share == 0.0)
    np.testing.assert_array_equal(events.left - events.first, steps.shape[1])
    # phonon points are as fine at twice the gap, which is one of them
    points = grid.phonon_energies
    at = int(np.argmin(np.abs(points - 1.8)))
    assert points[at] == pytest.approx(1.8, abs=1e-15) and points[at + 1] - points[at] < 1e-8
    assert np.diff(points).max() < 0.026
    bin_weights, (f, n) = bcs_weights(grid, 0.9, "bin"), random_state(grid)
    f, n = f[:1], n[:1]
    phonons = ElectronPhonon(grid, Coupling(1.76, 6e-4), "graded", split_shares=True)
    states = bin_weights.dos_weights
    rates, moved = drive.at(bin_weights, f, n).rates, drive.at(bin_weights, f, n).gain_loss()
    turnover = (states * (moved.in_f + moved.out_f)).sum()
    assert abs((states * rates.f).sum()) < 1e-13 * turnover
    power = drive.at(bin_weights, f, n).energy_flow().quasiparticles
    assert quasiparticle_energy(grid, bin_weights, rates.f) == pytest.approx(power, rel=1e-11)
    rates, moved = phonons.at(bin_weights, f, n).rates, phonons.at(bin_weights, f, n).gain_loss()
    given = quasiparticle_energy(grid, bin_weights, rates.f) + phonon_energy(phonons, rates.n)
    assert abs(given[0]) < 1e-12 * (states * grid.energies * (moved.in_f + moved.out_f)).sum()
    f, n = thermal_state(grid, 0.1)
    rates, moved = (
        phonons.at(bin_weights, f[:1], n[:1]).rates,
        phonons.at(bin_weights, f[:1], n[:1]).gain_loss(),
    )
    assert np.all(np.abs(rates.f) < 1e-11 * (moved.in_f + moved.out_f * f[:1]))
    assert np.all(np.abs(rates.n) < 1e-11 * (moved.in_n + moved.out_n * n[:1]))


def test_occupations_that_jump_at_photon_steps_absorb_the_power_of_the_conductivity():
    """f = (E − Δ)^(-1/2) on the first photon step, which linear functions between bins would not follow."""
    grid = EnergyAxis.stepped(2.0, gap=1.0, step=0.25, width=0.01)
    bin_weights = bcs_weights(grid, 1.0, "bin")
    first = grid.energies < 1.25
    f = 1e-6 * np.where(first, 1.0 / np.sqrt(grid.energies - 1.0), 0.0)[None]
    n = np.zeros((1, grid.n_phonon))
    drive = PhotonDrive.classical(grid, 0.25, 1.0)
    power = drive.at(bin_weights, f, n).energy_flow().quasiparticles
    sigma1 = MattisBardeen(grid, 1.0, 0.25).change(f).sigma1
    assert 0.5 * 0.25**2 * sigma1 == pytest.approx(power, rel=0.01)


def test_bad_steps():
    for change, message in (
        ({"step": 0.0}, "step must be positive"),
        ({"width": -1.0}, "width must be positive"),
        ({"gap": 3.0}, "a gap of 3 does not fit below the maximum 2.5"),
        ({"phonon_maximum": 2.0}, "phonon_maximum 2 must exceed twice the gap 1"),
    ):
        with pytest.raises(CaseError, match=message):
            EnergyAxis.stepped(2.5, **({"gap": 1.0, "step": 0.1, "width": 0.01} | change))
