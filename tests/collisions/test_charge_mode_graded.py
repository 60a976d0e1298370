"""Collisions of f_L and f_T on graded axes against sums over events, equal bins, and what they must keep."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import (
    BathCollisions,
    Coupling,
    ElectronElectron,
    ElectronPhonon,
    InelasticCollisions,
    PhononBath,
    Spectra,
)
from fvqp.collisions.electron_electron import POWERS, Kernel
from fvqp.collisions.electron_electron_shared import SharedElectronElectron, Shifted
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.materials import BCS_RATIO
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

BROADENING = 1e-3
GRADED = EnergyAxis.graded(8.0, gap_edges=[1.0], first=BROADENING / 4, number=200, largest=0.1)
UNIFORM = EnergyAxis.uniform(0.1, 5.0)
BATH = PhononBath(1e-2, 1.764, 0.15)


def spectra(grid: EnergyAxis, gap: float = 1.0, broadening: float = BROADENING) -> Spectra:
    found = bin_averages(grid.edges, gap, 0.0, broadening)
    return Spectra(found.dos, found.pairing, found.re_F)


def driven(energies: Floats, charge: float = 0.25) -> Floats:
    """Smooth distributions far from equilibrium, of occupations between 0 and 1."""
    hole = 0.7 * np.exp(-(((energies - 1.8) / 0.8) ** 2)) + 0.1 * np.exp(-energies)
    h = np.tanh(energies / 0.3) * (1.0 - hole)
    return np.stack([h, charge * np.exp(-(((energies - 1.5) / 0.9) ** 2))])[None]


def shifted(energies: Floats, potential: float, temperature: float) -> Floats:
    """Fermi functions around a potential: ``f_L ± f_T = tanh((ε ∓ μ)/2t)``."""
    up, down = (np.tanh((energies + sign * potential) / (2.0 * temperature)) for sign in (-1, 1))
    return 0.5 * np.stack([up + down, up - down])[None]


def events(grid: EnergyAxis, spectrum: Spectra, f: Floats, kernel: Kernel) -> tuple[Floats, Floats]:
    """The integrals of one cell for γ_ee = 1 event by event, without the correction of the energy."""
    shared = SharedElectronElectron(grid, 1.0, kernel)
    delta = shared.lattice.grid.widths[0]
    up, down = np.arctanh(f[0] + f[1]), np.arctanh(f[0] - f[1])
    rows = []
    for point, share, ratio in shared.sides:
        # ε/2t and −μ/2t: at another energy the first is in proportion.
        electrons, holes = (np.tanh(ratio * 0.5 * (up + down) + side * 0.5 * (up - down)) for side in (1, -1))
        h, t = 0.5 * (electrons + holes), 0.5 * (electrons - holes)
        N, P, R = (part[0] for part in spectrum)
        rows.append([point, share, N, P, R, h, t, np.arange(grid.n)])
        rows.append([-1 - point, share, N, -P, R, -h, t, np.full(grid.n, -1)])
    j, share, N, P, R, h, t, place = (np.concatenate(column) for column in zip(*rows, strict=True))
    weight = share * np.tile(grid.widths / delta, 4)
    mul = np.multiply.outer
    M, K, Q = mul(N, N) - mul(P, P), mul(N, N) - mul(R, R), mul(N, N) + mul(R, R)
    lag = np.subtract.outer(j, j)
    matrix = np.full(lag.shape, 1.0 if kernel == "fermi_liquid" else 0.0)
    matrix[lag != 0] = (np.abs(lag[lag != 0]) * delta * BCS_RATIO) ** POWERS[kernel]
    # Of every exchanged energy 4 − 3 = ω the sums over pairs (3, 4).
    span = range(lag.min(), lag.max() + 1)
    pairs = {m: (lag.T == m) * mul(weight, weight) for m in span}
    A = {m: np.sum(pair * (M * (1.0 - mul(h, h)) - K * mul(t, t))) for m, pair in pairs.items()}
    C = {m: np.sum(pair * M * np.subtract.outer(h, h)) for m, pair in pairs.items()}
    A_of, C_of = (np.vectorize(table.get)(lag) * matrix * weight for table in (A, C))
    I_L = M * (np.subtract.outer(h, h) * A_of + (1.0 - mul(h, h)) * C_of) - K * mul(t, t) * C_of
    I_T = Q * np.subtract.outer(t, t) * A_of - mul(N, N) * (mul(t, h) + mul(h, t)) * C_of
    scale = delta**2 / (2.0 * np.pi**2) * BCS_RATIO**2

    def of_bins(integral: Floats) -> Floats:
        rates = scale * share * integral.sum(axis=1)
        return np.array([rates[place == b].sum() for b in range(grid.n)])

    return of_bins(I_L), of_bins(I_T)


@pytest.mark.parametrize("kernel", sorted(POWERS))
def test_sum_over_events(kernel: Kernel) -> None:
    grid = EnergyAxis(np.array([0.0, 0.4, 0.8, 0.95, 1.0, 1.03, 1.2, 1.5, 2.0, 2.5, 3.0]))
    f = driven(grid.energies)
    raw, charge = events(grid, spectra(grid), f[0], kernel)
    moment = grid.energies * grid.widths
    energy = raw - np.abs(raw) * (raw @ moment) / (np.abs(raw) @ moment)
    found = SharedElectronElectron(grid, 1.0, kernel).at(spectra(grid), f).rates[0]
    np.testing.assert_allclose(-found[0], energy, atol=1e-11 * np.abs(energy).max())
    np.testing.assert_allclose(-found[1], charge, atol=1e-11 * np.abs(charge).max())


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_energy_and_charge_are_kept(gap: float) -> None:
    """Electrons keep energy, and ``∫I_T dε = 0`` with phonons too, to rounding."""
    both = InelasticCollisions(0.3, phonons=BATH, charge=True).on(GRADED)
    spectrum, f = spectra(GRADED, gap), driven(GRADED.energies)
    found = both.at(spectrum, f)
    alone = SharedElectronElectron(GRADED, 0.3).at(spectrum, f)
    energies = alone.rates[0, 0] * GRADED.energies * GRADED.widths
    assert abs(energies.sum()) < 1e-13 * np.abs(energies).sum()
    for rate in (alone.rates[0, 1], found.rates[0, 1]):
        assert abs(rate @ GRADED.widths) < 1e-13 * (np.abs(rate) @ GRADED.widths)
    assert found.loss.min() > 0.0
    np.testing.assert_array_equal(
        found.rates, alone.rates + BathCollisions(GRADED, BATH).at(spectrum, f).rates
    )


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_rest(gap: float) -> None:
    """Thermal distributions of any temperature stand still; with phonons, of theirs."""
    spectrum = spectra(GRADED, gap)
    for temperature in (0.01, 0.1, 1.0):
        f = shifted(GRADED.energies, 0.0, temperature)
        for operator in (
            SharedElectronElectron(GRADED, 0.3),
            BathCollisions(GRADED, PhononBath(1e-2, 1.764, temperature)),
        ):
            scale = spectrum.dos.max() * operator.largest_rate
            assert np.abs(operator.at(spectrum, f).rates).max() < 1e-14 * scale


def test_a_shift_of_the_potential_stands_still_in_a_normal_metal() -> None:
    """To rounding up to ``|μ| = 4t``, beyond to the second order of the spacing."""
    spectrum = spectra(GRADED, 0.0)
    for temperature in (0.1, 0.5):
        both = InelasticCollisions(0.3, phonons=PhononBath(1e-2, 1.764, temperature), charge=True).on(GRADED)
        for potential in (1e-3, 1.0, 3.9):
            f = shifted(GRADED.energies, potential * temperature, temperature)
            assert np.abs(both.at(spectrum, f).rates).max() < 1e-14 * both.largest_rate
    left = []
    for spacing in (0.22, 0.11):
        operator = SharedElectronElectron(GRADED, 0.3, spacing=spacing)
        rate = operator.at(spectrum, shifted(GRADED.energies, 2.0, 0.2)).rates[0]
        left.append(np.abs(rate) @ GRADED.widths / operator.largest_rate)
    assert np.all(left[1] < 1e-3)
    assert np.all(left[1] < 0.35 * left[0])


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_energy_mode_alone(gap: float) -> None:
    """Without f_T the rates of the energy mode by itself."""
    spectrum, f = spectra(GRADED, gap), driven(GRADED.energies, charge=0.0)
    for collisions in (SharedElectronElectron(GRADED, 0.3), BathCollisions(GRADED, BATH)):
        found, expected = collisions.at(spectrum, f), collisions.at(spectrum, f[:, :1])
        np.testing.assert_allclose(
            found.rates[:, :1], expected.rates, atol=1e-12 * np.abs(expected.rates).max()
        )
        assert np.abs(found.rates[:, 1]).max() < 1e-15


@pytest.mark.parametrize("gap", [0.0, 1.0])
@pytest.mark.parametrize("grid", [UNIFORM, EnergyAxis.uniform(0.025, 5.0), GRADED])
def test_bath_against_occupations(grid: EnergyAxis, gap: float) -> None:
    """Rates of f_L are ``−2N`` times those of ``f = (1 − f_L)/2``, from sums over events of these."""
    spectrum, f = spectra(grid, gap, 0.01), driven(grid.energies, charge=0.0)[:, :1]
    if grid.is_uniform:
        points = grid.with_phonons()
    else:
        # n at the energy of an event is that of the temperature of its points, whichever these are.
        points = EnergyAxis(grid.edges, np.array([1e-3 * grid.widths.min(), 2.0 * grid.maximum]))
    operator = ElectronPhonon(points, Coupling(BATH.kappa, 1.0), "direct" if grid.is_uniform else "graded")
    n = 1.0 / np.expm1(points.phonon_energies / BATH.temperature)
    bins = BinWeights(spectrum.dos * grid.widths, spectrum.pairing * grid.widths)
    rates = operator.at(bins, 0.5 * (1.0 - f[:, 0]), n[None]).rates.f
    expected = -2.0 * BATH.strength * spectrum.dos * rates
    found = BathCollisions(grid, BATH).at(spectrum, f).rates[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


def test_equal_bins() -> None:
    """On a uniform axis nothing is shared."""
    spectrum, f = spectra(UNIFORM, 1.0, 0.05), driven(UNIFORM.energies)
    found = SharedElectronElectron(UNIFORM, 0.3).at(spectrum, f)
    expected = ElectronElectron(UNIFORM, 0.3).at(spectrum, f)
    for name in ("rates", "loss"):
        values = getattr(expected, name)
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-12 * np.abs(values).max())


@pytest.mark.parametrize(
    ("phonons", "gap"),
    [(None, 0.0), (None, 1.0), (BATH, 1.0), pytest.param(BATH, 0.0, marks=pytest.mark.slow)],
)
def test_second_order(phonons: PhononBath | None, gap: float) -> None:
    """What groups of bins get in either mode, against 3200 or 1600 equal bins."""
    strength = 0.3 if phonons is None else 0.0
    groups = [
        lambda energy: np.exp(-(((energy - 1.6) / 0.5) ** 2)),
        lambda energy: np.exp(-energy),
        lambda energy: np.exp(-(((energy - 4.0) / 0.5) ** 2)),
    ]

    def sums(grid: EnergyAxis) -> Floats:
        operator = InelasticCollisions(strength, phonons=phonons, charge=True).on(grid)
        rate = operator.at(spectra(grid, gap, 0.01), driven(grid.energies)).rates[0]
        return np.array([(rate * group(grid.energies)) @ grid.widths for group in groups])

    expected = sums(EnergyAxis.uniform(1 / 400 if phonons is None else 1 / 200, 8.0))
    errors = []
    for number in (75, 150, 300):
        grid = EnergyAxis.graded(
            8.0, gap_edges=[1.0], first=0.75 / number, number=number, largest=15 / number
        )
        errors.append(np.abs(sums(grid) - expected).max() / np.abs(expected).max())
    assert errors[2] < 2e-3
    assert np.log2(errors[0] / errors[1]) > 1.8
    assert np.log2(errors[1] / errors[2]) > 1.8


@pytest.mark.parametrize("charge", [0.0, 0.25])
def test_derivative(charge: float) -> None:
    """Against differences of fourth order."""
    f = driven(GRADED.energies, charge)
    step = 1e-2 * np.random.default_rng(2).standard_normal(f.shape) * np.exp(-GRADED.energies)
    operator = InelasticCollisions(0.3, phonons=BATH, charge=True).on(GRADED)

    def rate(distance: float) -> Floats:
        return operator.at(spectra(GRADED), f + distance * step).rates

    h = 1e-3
    expected = (8.0 * (rate(h) - rate(-h)) - (rate(2.0 * h) - rate(-2.0 * h))) / (12.0 * h)
    found = operator.at(spectra(GRADED), f).jvp(step)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


def test_the_same_temperature_and_potential_at_another_energy() -> None:
    energy, other = np.array([0.5, 1.0, 3.0, 20.0]), np.array([0.4, 1.1, 3.05, 20.5])
    for temperature in (0.3, 3.0):
        for potential in (0.0, 1e-3, 1.0, 3.9):
            found = Shifted(shifted(energy, potential * temperature, temperature), other / energy).f
            expected = shifted(other, potential * temperature, temperature)
            np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    # Occupations of electrons or holes alone stay, and what rounding has made of 1.
    for h, t in ((1.0, 0.0), (1.0 + 1e-15, 0.0), (0.0, 1.0), (0.0, -0.999999), (0.5, 0.5)):
        np.testing.assert_allclose(Shifted(np.array([[[h], [t]]]), np.array([1.3])).f[0, :, 0], [h, t])
    # Slopes where either counts in part too.
    ratio = np.array([1.2])
    for h, t in ((0.5, 0.2), (0.6, 0.399), (0.6, 0.3999), (0.6, -0.39999)):
        here, change = np.array([[[h], [t]]]), np.array([[[0.3], [0.7]]])
        scale = 1e-4 * (1.0 - h - abs(t))
        high, low = (Shifted(here + sign * scale * change, ratio).f for sign in (1, -1))
        found = Shifted(here, ratio).change(change)
        np.testing.assert_allclose(found, (high - low) / (2.0 * scale), rtol=1e-5)
