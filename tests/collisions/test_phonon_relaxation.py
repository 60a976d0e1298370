"""Collisions of f_L with phonons: balances, powers in closed form, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import zeta

from fvqp.collisions import (
    BathCollisions,
    ElectronElectron,
    InelasticCollisions,
    PhononBath,
    Spectra,
)
from fvqp.collisions.collision_sum import DistributionProcess
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

STRENGTH, KAPPA, BATH = 1e-3, 1.764, 0.2
IN_BATH = PhononBath(STRENGTH, KAPPA, BATH)
OWN = PhononBath(STRENGTH, KAPPA, BATH, escape_time=0.5, pair_breaking_time=0.01)
UNIFORM = EnergyAxis.uniform(0.05, 8.0)
#: Below 128 bins sums are direct, above they are transforms.
SHORT = EnergyAxis.uniform(0.1, 8.0)
GRADED = EnergyAxis.graded(8.0, gap_edges=[1.0], first=0.005, number=100)


def spectrum(grid: EnergyAxis, gap: float | list[float], broadening: float = 0.02) -> Spectra:
    """N, P and R of some cells."""
    found = bin_averages(grid.edges, gap, 0.0, broadening)
    return Spectra(found.dos, found.pairing, found.re_F)


def collisions(grid: EnergyAxis, phonons: PhononBath) -> DistributionProcess:
    (only,) = InelasticCollisions(phonons=phonons).on(grid).parts
    return only


def thermal(grid: EnergyAxis, temperature: float) -> Floats:
    return np.tanh(grid.energies / (2.0 * temperature))[None, None]


def power(grid: EnergyAxis, rates: Floats) -> Floats:
    """Energy that quasiparticles lose, ``∫ε I_L dε`` of every cell."""
    return -rates[:, 0] @ (grid.energies * grid.widths)


@pytest.mark.parametrize("grid", [UNIFORM, SHORT, GRADED])
@pytest.mark.parametrize("phonons", [IN_BATH, OWN])
def test_rest(grid: EnergyAxis, phonons: PhononBath) -> None:
    """The temperature of the phonons is the one that does not change, whatever the spectrum."""
    operator = collisions(grid, phonons)
    for gap in (0.0, 1.0):
        found = operator.at(spectrum(grid, gap), thermal(grid, BATH))
        assert np.abs(found.rates).max() < 1e-14 * operator.largest_rate
        assert found.loss.min() > 0.0


def test_rest_of_a_cold_metal() -> None:
    """Where the occupation of the last phonons is less than the smallest number, others are there still."""
    bath = 0.01
    operator = collisions(GRADED, PhononBath(STRENGTH, KAPPA, bath))
    found = operator.at(spectrum(GRADED, 0.0), thermal(GRADED, bath))
    assert np.all(np.abs(found.rates) < 1e-13 * found.loss)
    hot = operator.at(spectrum(GRADED, 0.0), thermal(GRADED, 1.1 * bath)).rates
    assert np.abs(hot[0, 0, 0]) > 1e-4 * found.loss[0, 0, 0]


@pytest.mark.parametrize("grid", [UNIFORM, SHORT])
def test_cooling_of_a_normal_metal(grid: EnergyAxis) -> None:
    """``∫ε I_L dε = −24 ζ(5) γ_ep κ³ (t_e⁵ − t_ph⁵)``: the fifth power of a normal metal."""
    operator = collisions(grid, IN_BATH)
    for hot in (0.15, 0.4):
        found = operator.at(spectrum(grid, 0.0), thermal(grid, hot))
        expected = -24.0 * zeta(5) * STRENGTH * KAPPA**3 * (hot**5 - BATH**5)
        # Sums for integrals of smooth functions: (δ/t)⁴ and what is beyond the axis, e^(−20).
        np.testing.assert_allclose(power(grid, found.rates), expected, rtol=1e-4 if grid is UNIFORM else 2e-3)


def test_loss_of_an_excitation() -> None:
    """An electron of energy ε in a cold normal metal: γ_ep κ³ ε³/3 (Kaplan et al.)."""
    operator = collisions(UNIFORM, PhononBath(STRENGTH, KAPPA, 1e-3))
    cold = np.ones((1, 1, UNIFORM.n))
    loss = operator.at(spectrum(UNIFORM, 0.0), cold).loss[0, 0]
    expected = STRENGTH * (KAPPA * UNIFORM.energies) ** 3 / 3.0
    far = UNIFORM.energies > 1.0
    # The midpoint rule of ω² over the phonons that can be emitted: relative error (δ/ε)²/4 + ...
    np.testing.assert_allclose(loss[far], expected[far], rtol=5e-3)
    assert operator.largest_rate == pytest.approx(STRENGTH * (KAPPA * 8.0) ** 3 / 3.0)


@pytest.mark.parametrize("grid", [UNIFORM, GRADED])
@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_phonons_of_their_own(grid: EnergyAxis, gap: float) -> None:
    """What quasiparticles lose escapes by phonons; slow escape traps it, fast escape is a bath."""
    hot = thermal(grid, 0.4)
    spectra = spectrum(grid, gap)
    bath = power(grid, collisions(grid, IN_BATH).at(spectra, hot).rates)
    taken = []
    for escape in (1e-6, 1e-2, 1.0):
        phonons = PhononBath(STRENGTH, KAPPA, BATH, escape_time=escape, pair_breaking_time=0.01)
        found = collisions(grid, phonons).at(spectra, hot)
        taken.append(power(grid, found.rates))
        np.testing.assert_allclose(found.escaping(), -taken[-1], rtol=1e-9)
    np.testing.assert_allclose(taken[0], bath, rtol=1e-3)
    assert abs(taken[0]) > abs(taken[1]) > abs(taken[2])
    # Escape so slow that phonons are at the temperature of the quasiparticles.
    trapped = PhononBath(STRENGTH, KAPPA, BATH, escape_time=1e7, pair_breaking_time=0.01)
    operator = collisions(grid, trapped)
    found = operator.at(spectra, hot)
    energies = operator.operator.grid.phonon_energies
    here = energies < 3.0
    np.testing.assert_allclose(found.n[0, here], 1.0 / np.expm1(energies[here] / 0.4), rtol=1e-4)


@pytest.mark.parametrize("grid", [UNIFORM, SHORT, GRADED])
@pytest.mark.parametrize("phonons", [IN_BATH, OWN])
def test_derivative(grid: EnergyAxis, phonons: PhononBath) -> None:
    """Against differences: rates are quadratic in f, and n follows f."""
    operator = collisions(grid, phonons)
    spectra = spectrum(grid, [0.9, 1.0])
    rng = np.random.default_rng(3)
    f = thermal(grid, 0.3) * (1.0 - 0.5 * rng.random((2, 1, grid.n)) * np.exp(-grid.energies))
    step = rng.standard_normal((2, 1, grid.n)) * np.exp(-grid.energies)
    h = 1e-5
    low, high = (operator.at(spectra, f + sign * h * step).rates for sign in (-1, 1))
    expected = (high - low) / (2.0 * h)
    found = operator.at(spectra, f).jvp(step)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_graded_axis() -> None:
    """A graded axis gives what a fine uniform one gives."""
    fine = EnergyAxis.uniform(0.01, 8.0)
    powers = [
        power(grid, collisions(grid, IN_BATH).at(spectrum(grid, 1.0), thermal(grid, 0.4)).rates)
        for grid in (fine, GRADED)
    ]
    np.testing.assert_allclose(powers[1], powers[0], rtol=5e-3)


@pytest.mark.parametrize(
    ("escape", "numbers"),
    [(0.5, (80, 160)), pytest.param(50.0, (80, 160, 320), marks=pytest.mark.slow)],
)
def test_second_order_of_phonons_of_their_own(escape: float, numbers: tuple[int, ...]) -> None:
    """What groups of bins get, against 1600 equal bins; phonons of 2Δ and more are reabsorbed."""
    phonons = PhononBath(STRENGTH, KAPPA, 0.1, escape_time=escape, pair_breaking_time=0.01)
    groups = [
        np.ones_like,
        lambda energy: np.exp(-(((energy - 1.1) / 0.2) ** 2)),
        lambda energy: np.exp(-(((energy - 1.6) / 0.5) ** 2)),
        lambda energy: np.exp(-(((energy - 4.0) / 0.5) ** 2)),
    ]

    def sums(grid: EnergyAxis) -> Floats:
        energy = grid.energies
        # Not inverted, and far from equilibrium: many quasiparticles, a hot tail of them.
        f = np.tanh(energy / 0.8) * (1.0 - 0.3 * np.exp(-energy / 2.0))
        found = collisions(grid, phonons).at(spectrum(grid, 1.0, 0.01), f[None, None])
        assert not found.inverted
        np.testing.assert_allclose(found.escaping(), -power(grid, found.rates), rtol=1e-9)
        return np.array([power(grid, found.rates * group(energy))[0] for group in groups])

    expected = sums(EnergyAxis.uniform(1 / 400, 8.0))
    errors = []
    for number in numbers:
        grid = EnergyAxis.graded(
            8.0, gap_edges=[1.0], first=0.4 / number, number=number, largest=16.0 / number
        )
        errors.append(np.abs(sums(grid) - expected).max() / np.abs(expected).max())
    assert errors[1] < 2e-3
    assert np.log2(errors[0] / errors[-1]) > 1.8 * (len(numbers) - 1)


def test_together() -> None:
    """Both kinds of collisions are the sum of them; f_T does not feel them."""
    spectra, f = spectrum(UNIFORM, 1.0), thermal(UNIFORM, 0.4)
    step = np.exp(-UNIFORM.energies)[None, None]
    both = InelasticCollisions(1e-3, phonons=IN_BATH).on(UNIFORM)
    apart = [ElectronElectron(UNIFORM, 1e-3), BathCollisions(UNIFORM, IN_BATH)]
    assert both.largest_rate == sum(part.largest_rate for part in apart)
    found = both.at(spectra, np.concatenate([f, 0.1 * f], axis=1))
    parts = [part.at(spectra, f) for part in apart]
    for name in ("rates", "loss"):
        np.testing.assert_array_equal(getattr(found, name)[:, :1], sum(getattr(part, name) for part in parts))
        assert not np.any(getattr(found, name)[:, 1])
    moved = found.jvp(np.concatenate([step, step], axis=1))
    np.testing.assert_array_equal(moved[:, :1], sum(part.jvp(step) for part in parts))
    assert not np.any(moved[:, 1])


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="belong together"):
        PhononBath(1e-3, 1.764, 0.1, escape_time=1.0)
    with pytest.raises(CaseError, match="escape_time must be positive"):
        PhononBath(1e-3, 1.764, 0.1, escape_time=-1.0, pair_breaking_time=1.0)
    with pytest.raises(CaseError, match="temperature must be positive"):
        PhononBath(1e-3, 1.764, 0.0)
    with pytest.raises(CaseError, match="neither"):
        InelasticCollisions().on(UNIFORM)
