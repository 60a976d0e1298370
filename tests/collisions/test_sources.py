"""Sources and sinks: what enters is what was asked for; protocol; messages."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from states import COUPLING, GAPS, GRADED, UNIFORM, random_state, thermal_state

from fvqp.collisions import (
    ConstantTrapping,
    ElectronPhonon,
    Gaussian,
    Line,
    PhononEscape,
    PhononInjection,
    PhotonDrive,
    QuasiparticleInjection,
    TabulatedSpectrum,
    escape_time,
    pair_breaking_efficiency,
    phonon_energy,
    phonon_modes,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.energy import bcs_weights
from fvqp.errors import CaseError

POWER = np.array([0.0, 0.3, 1.0, 20.0])
SPECTRA = [
    Line(2.717),
    Line(2.7),
    Gaussian(2.5, 0.17),
    Gaussian(2.6, 0.003),
    TabulatedSpectrum([1.5, 2.0, 3.0], [0.0, 2, 1]),
]
IDS = ["line", "on-grid", "gaussian", "narrow", "table"]


def processes(grid):
    random = np.random.default_rng(2)
    return [
        PhononInjection(grid, COUPLING, Gaussian(2.5, 0.2), power=POWER),
        QuasiparticleInjection(grid, Line(2.2), rate=POWER),
        PhononEscape(grid, COUPLING, random.uniform(0.1, 2.0, (4, grid.n_phonon)), thermal(grid, 0.3).n),
        PhononEscape(grid, COUPLING, lambda w: 1.0 / w),
        ConstantTrapping(grid, random.uniform(0.1, 2.0, (4, 1)), thermal(grid, 0.3).f),
    ]


@pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=IDS)
def test_injected_power_and_rate_are_what_was_asked_for(grid, spectrum):
    bin_weights, (f, n) = bcs_weights(grid, GAPS), random_state(grid)
    for source in (
        PhononInjection(grid, COUPLING, spectrum, power=POWER),
        PhononInjection(grid, COUPLING, spectrum, rate=POWER),
        QuasiparticleInjection(grid, spectrum, power=POWER),
        QuasiparticleInjection(grid, spectrum, rate=POWER),
    ):
        empty = np.zeros_like(f)
        energy, number = (
            source.at(bin_weights, empty, n).energy_flow(),
            source.at(bin_weights, empty, n).number_flow(),
        )
        phonons = isinstance(source, PhononInjection)
        rates = source.at(bin_weights, empty, n).rates
        if phonons:
            np.testing.assert_allclose(
                energy.phonons, phonon_energy(ElectronPhonon(grid, COUPLING), rates.n), rtol=1e-13
            )
        else:
            np.testing.assert_allclose(
                energy.quasiparticles, quasiparticle_energy(grid, bin_weights, rates.f), rtol=1e-13
            )
        here, there = (1, 0) if phonons else (0, 1)
        assert not np.any(energy[there]) and not np.any(number[there])
        close = [np.allclose(flow[here], POWER, rtol=1e-12) for flow in (energy, number)]
        assert sum(close) == 1


@pytest.mark.parametrize(("spectrum", "mean"), [(SPECTRA[0], 2.717), (SPECTRA[2], 2.5), (SPECTRA[3], 2.6)])
def test_mean_energy_of_a_spectrum(spectrum, mean):
    source = PhononInjection(GRADED, COUPLING, spectrum, rate=1.0)
    f, n = random_state(GRADED)
    assert source.at(bcs_weights(GRADED, GAPS), f, n).energy_flow().phonons == pytest.approx(mean, rel=1e-9)


def test_shape_of_an_injected_table():
    """Table values are particles per energy, linear between entries."""
    source = QuasiparticleInjection(UNIFORM, SPECTRA[4], rate=1.0)
    bin_weights, empty = bcs_weights(UNIFORM, 1.0), np.zeros((1, UNIFORM.n))
    density = bin_weights.dos_weights * source.at(bin_weights, empty, np.zeros((1, UNIFORM.n_phonon))).rates.f
    total = quad(lambda e: np.interp(e, *(SPECTRA[4].energies, SPECTRA[4].values)), 1.5, 3.0, points=[2.0])[0]
    at = int(np.argmin(np.abs(UNIFORM.energies - 2.525)))
    assert density[0, at] / UNIFORM.width == pytest.approx((2.0 - 0.525) / total, rel=1e-10)


def test_injection_stops_at_full_states_and_not_at_phonons():
    bin_weights, (f, n) = bcs_weights(UNIFORM, GAPS), random_state(UNIFORM)
    source = QuasiparticleInjection(UNIFORM, Line(2.025), power=1.0)
    np.testing.assert_allclose(
        source.at(bin_weights, np.full_like(f, 0.25), n).energy_flow().quasiparticles, 0.75, rtol=1e-12
    )
    assert not np.any(source.at(bin_weights, np.ones_like(f), n).rates.f)
    source = PhononInjection(UNIFORM, COUPLING, Line(2.0), power=1.0)
    np.testing.assert_allclose(
        source.at(bin_weights, f, n).rates.n, source.at(bin_weights, f, 0 * n).rates.n, rtol=1e-15
    )


def test_escape_and_trapping_go_to_the_bath():
    bin_weights, (f, n) = bcs_weights(UNIFORM, GAPS), random_state(UNIFORM)
    bath = thermal(UNIFORM, 0.4)
    escape = PhononEscape(UNIFORM, COUPLING, 0.7, bath.n)
    np.testing.assert_allclose(
        escape.at(bin_weights, f, n).rates.n, (bath.n - n) / 0.7, rtol=1e-12, atol=1e-14
    )
    trapping = ConstantTrapping(UNIFORM, 0.3, bath.f)
    expected = np.where(bin_weights.active, 0.3 * (bath.f - f), 0.0)
    np.testing.assert_allclose(trapping.at(bin_weights, f, n).rates.f, expected, rtol=1e-12, atol=1e-15)
    f, n = thermal_state(UNIFORM, 0.4)
    assert np.all(np.abs(escape.at(bin_weights, f, n).rates.n) <= 1e-14 * n)
    assert np.all(np.abs(trapping.at(bin_weights, f, n).rates.f) <= 1e-15)
    lost = ConstantTrapping(UNIFORM, 0.3)
    flow = lost.at(bin_weights, f, n).number_flow(), lost.at(bin_weights, f, n).energy_flow()
    np.testing.assert_allclose(
        flow[0].quasiparticles, -0.3 * quasiparticle_density(bin_weights, f), rtol=1e-13
    )
    np.testing.assert_allclose(
        flow[1].quasiparticles, -0.3 * quasiparticle_energy(UNIFORM, bin_weights, f), rtol=1e-13
    )
    trapped = PhononEscape(UNIFORM, COUPLING, np.inf)
    assert not np.any(trapped.at(bin_weights, f, n).rates.n)


@pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])
@pytest.mark.parametrize("which", range(5))
def test_protocol(grid, which):
    """Gain and loss, product, matrix, diagonal and rates belong together."""
    process = processes(grid)[which]
    bin_weights, (f, n) = bcs_weights(grid, GAPS), random_state(grid)
    rates = process.at(bin_weights, f, n).rates
    parts = process.at(bin_weights, f, n).gain_loss()
    assert all(part.shape == like.shape for part, like in zip(parts, (f, f, n, n), strict=True))
    assert all(part.min() >= 0.0 for part in parts)
    for mine, whole in zip(parts.rates(f, n), rates, strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-11, atol=1e-13 * np.abs(whole).max())
    steps = random_state(grid, seed=7)
    product = process.at(bin_weights, f, n).jvp(*steps)
    moved = process.at(bin_weights, f + steps[0], n + steps[1]).rates
    for mine, after, before in zip(product, moved, rates, strict=True):
        np.testing.assert_allclose(mine, after - before, rtol=1e-9, atol=1e-13 * np.abs(after).max())
    blocks, diagonal = process.at(bin_weights, f, n).jacobian(), process.at(bin_weights, f, n).diagonal()
    np.testing.assert_allclose(np.einsum("cij,cj->ci", blocks.ff, steps[0]), product.f, rtol=1e-13)
    np.testing.assert_allclose(blocks.nn * steps[1], product.n, rtol=1e-13)
    np.testing.assert_array_equal(diagonal.n, blocks.nn)
    assert not np.any(blocks.fn) and not np.any(blocks.nf)


def test_phonon_modes_are_those_of_the_collisions():
    for grid in (UNIFORM, GRADED):
        np.testing.assert_array_equal(
            phonon_modes(grid, COUPLING), ElectronPhonon(grid, COUPLING).phonon_modes
        )


def test_escape_time():
    """A film of 100 nm, sound of 5 km/s, half of what hits the face passes."""
    assert escape_time(100e-9, 5e3, 0.5) == pytest.approx(160e-12)


@pytest.mark.parametrize("energy", [2.2, 3.0])
def test_efficiency_of_broken_pairs(energy):
    """Two quasiparticles a photon: η = 2Δ/ω0 before they relax."""
    bin_weights, empty = bcs_weights(UNIFORM, 1.0), np.zeros((1, UNIFORM.n))
    n = np.zeros((1, UNIFORM.n_phonon))
    drive = PhotonDrive.classical(UNIFORM, energy, 1.0)
    made, power = drive.at(bin_weights, empty, n).number_flow(), drive.at(bin_weights, empty, n).energy_flow()
    efficiency = pair_breaking_efficiency(made.quasiparticles, power.quasiparticles, 1.0)
    assert efficiency == pytest.approx(2.0 / energy, rel=1e-12)


def inject(spectrum, **strength):
    return PhononInjection(UNIFORM, COUPLING, spectrum, **strength)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: inject(Line(2.0)), "give either its power or its rate"),
        (lambda: inject(Line(2.0), power=1.0, rate=1.0), "give either its power or its rate"),
        (lambda: inject(Line(2.0), power=-1.0), "must be finite and not negative"),
        (lambda: inject(Line(9.0), power=1.0), "from 9 to 9 Δ0 does not fit"),
        (lambda: inject(Line(np.nan), power=1.0), "line spectrum: all energies"),
        (lambda: inject(Gaussian(2.0, 0.0), power=1.0), "width must be positive"),
        (lambda: inject(Gaussian(2.0, 1.0), power=1.0), "does not fit between"),
        (lambda: inject(TabulatedSpectrum([1.0, 1.0], [1.0, 1.0]), power=1.0), "energies must increase"),
        (
            lambda: inject(TabulatedSpectrum([1.0, 2.0], [1.0, -1.0]), power=1.0),
            "values must not be negative",
        ),
        (lambda: inject(TabulatedSpectrum([1.0, 2.0], [1.0]), power=1.0), "two rows of the same length"),
        (lambda: PhononEscape(UNIFORM, COUPLING, 0.0), "escape time must be positive"),
        (lambda: PhononEscape(UNIFORM, COUPLING, [1.0, 2.0]), "escape time: needs one number, or"),
        (lambda: PhononEscape(UNIFORM, COUPLING, 1.0, -1.0), "occupation of the bath must be finite and"),
        (lambda: ConstantTrapping(UNIFORM, -1.0), "rate must be finite and not negative"),
        (lambda: ConstantTrapping(UNIFORM, 1.0, 2.0), "between 0 and 1"),
        (lambda: escape_time(0.0, 1.0, 1.0), "thickness must be positive"),
        (lambda: escape_time(1.0, 1.0, 1.1), "transmission must be above 0 and at most 1"),
        (lambda: pair_breaking_efficiency(1.0, 0.0, 1.0), "absorbed energy must be positive"),
    ],
)
def test_messages(make, message):
    with pytest.raises(CaseError, match=message):
        make()


def test_injection_below_the_gap_is_refused():
    source = QuasiparticleInjection(UNIFORM, Line(0.93), power=1.0)
    f, n = random_state(UNIFORM)
    with pytest.raises(CaseError, match="where cell 2 has no states; begin it above the gap"):
        source.at(bcs_weights(UNIFORM, GAPS), f, n)
