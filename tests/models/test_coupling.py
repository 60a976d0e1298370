"""Collisions with the numbers of a material and with the spectrum of Eliashberg theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import constants
from scipy.optimize import brentq

from fvqp.collisions import (
    Coupling,
    ElectronPhonon,
    Gaussian,
    PhotonDrive,
    QuasiparticleInjection,
    phonon_energy,
    quasiparticle_energy,
    relative_velocity,
    thermal,
)
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError
from fvqp.materials import load_material, pair_breaking_time
from fvqp.models.boltzmann.coupling import electron_phonon_coupling, eliashberg_weights, interaction
from fvqp.models.boltzmann.strong_coupling import strong_coupling
from fvqp.spectral import alpha2f, eliashberg

PB = alpha2f.metal("Pb")
GRIDS = {
    "direct": EnergyAxis.uniform(0.05, 4.0, start=0.5),
    "fourier": EnergyAxis.uniform(0.05, 4.0, start=0.5),
    "graded": EnergyAxis.from_gap(8.0, gap=1.0, finest=0.02, growth=0.1),
}


@pytest.fixture(scope="module", params=[0.0, 0.7], ids=["cold", "warm"])
def lead(request: pytest.FixtureRequest) -> eliashberg.EliashbergSpectrum:
    temperature = request.param * alpha2f.K_B * PB.critical_temperature
    return eliashberg.solve(PB.spectrum, coulomb=PB.coulomb, temperature=temperature)


@pytest.mark.parametrize("name", ["Al", "Sn", "Ta", "Nb", "Ti", "TiN", "Hf"])
def test_coupling_has_the_phonons_of_the_lattice(name: str) -> None:
    """``c_ph ∫ω³n dω · 4N0Δ0² = (9 N_ion/Ω_D³) ∫ω³ n dω`` with the derived time."""
    m = load_material(name)
    coupling = electron_phonon_coupling(m)
    assert 1.7 < coupling.kappa < 1.9
    lattice = 9.0 * m.ion_density * (m.gap / m.debye_energy) ** 3 * m.gap
    assert coupling.capacity * 4.0 * m.dressed_density_of_states * m.gap**2 == pytest.approx(
        lattice, rel=1e-12
    )


def test_published_pair_breaking_time() -> None:
    sn = load_material("Sn")
    ratio = electron_phonon_coupling(sn, "published").pair_breaking_time * sn.characteristic_time
    assert ratio == pytest.approx(110e-12)
    with pytest.raises(CaseError, match="Ti.*needs pair_breaking_time"):
        electron_phonon_coupling(load_material("Ti"), "published")
    with pytest.raises(CaseError, match='"derived" or "published"'):
        electron_phonon_coupling(sn, "other")  # type: ignore[arg-type]
    published = replace(sn, pair_breaking_time=pair_breaking_time(sn))
    assert electron_phonon_coupling(published, "published") == electron_phonon_coupling(sn)
    assert electron_phonon_coupling(sn).kappa == pytest.approx(0.593e-3 * constants.e / (constants.k * 3.72))


@pytest.mark.parametrize("evaluation", ["direct", "fourier", "graded"])
def test_eliashberg_collisions_conserve_energy(lead: eliashberg.EliashbergSpectrum, evaluation: str) -> None:
    """Any occupations, energy moved against energy lost; also with the mass factor on both sides."""
    grid = GRIDS[evaluation]
    bin_weights, mass = eliashberg_weights(lead, grid)
    operator = ElectronPhonon(grid, Coupling(2.25, 0.04), evaluation)  # type: ignore[arg-type]
    random = np.random.default_rng(3)
    f, n = random.uniform(0, 1, (2, grid.n)), random.uniform(0.05, 2, (2, grid.n_phonon))
    rates = operator.at(bin_weights, f, n).rates
    moved = quasiparticle_energy(grid, bin_weights, np.abs(rates.f)) + phonon_energy(
        operator, np.abs(rates.n)
    )
    into = quasiparticle_energy(grid, bin_weights, rates.f) + phonon_energy(operator, rates.n)
    assert np.all(np.abs(into) < 1e-13 * moved)
    renormalized = (bin_weights.dos_weights * mass * grid.energies * (rates.f / mass)).sum(axis=1)
    assert np.all(np.abs(renormalized + phonon_energy(operator, rates.n)) < 1e-13 * moved)


@pytest.mark.parametrize("temperature", [0.2, 0.6])
@pytest.mark.parametrize("evaluation", ["direct", "graded"])
def test_thermal_state_is_stationary(
    lead: eliashberg.EliashbergSpectrum, evaluation: str, temperature: float
) -> None:
    grid = GRIDS[evaluation]
    bin_weights, _ = eliashberg_weights(lead, grid)
    operator = ElectronPhonon(grid, Coupling(2.25, 0.04), evaluation)  # type: ignore[arg-type]
    f, n = thermal(grid, temperature)
    rates = operator.at(bin_weights, f, n).rates
    ways = operator.at(bin_weights, f, n).gain_loss()
    assert np.all(np.abs(rates.f) <= 1e-12 * (ways.in_f * (1 - f) + ways.out_f * f))
    assert np.all(np.abs(rates.n) <= 1e-12 * (ways.in_n * (1 + n) + ways.out_n * n))


@pytest.mark.slow
def test_weak_coupling_measure_is_that_of_bcs() -> None:
    spectrum = eliashberg.solve(alpha2f.debye(0.25, 20.0))
    grid = EnergyAxis.uniform(0.1, 5.0, start=0.5)
    bin_weights, mass = eliashberg_weights(spectrum, grid)
    bcs = bcs_weights(grid, 1.0, "bin")
    assert bin_weights.dos_weights == pytest.approx(bcs.dos_weights, rel=2e-3, abs=2e-3)
    assert bin_weights.pair_weights == pytest.approx(bcs.pair_weights, rel=2e-3, abs=2e-3)
    assert mass[grid.energies > 1.0] == pytest.approx(1.0, abs=1e-3)


def test_states_below_the_edge_where_phonons_damp(lead: eliashberg.EliashbergSpectrum) -> None:
    """Warm lead has states below its gap edge, cold lead practically none; neither is BCS above it."""
    grid = GRIDS["direct"]
    bin_weights, mass = eliashberg_weights(lead, grid)
    below = bin_weights.dos_weights[0, grid.edges[1:] <= 0.95].sum()
    assert (below > 1e-3) if lead.epsilon_Z[0].imag > 1e-3 else (below < 1e-7)
    assert np.max(np.abs(mass - 1.0)) > 0.03


def test_normal_state_has_no_measure() -> None:
    with pytest.raises(CaseError, match="the state is normal"):
        eliashberg_weights(eliashberg.normal_state(PB.spectrum), GRIDS["direct"])
    cold = eliashberg.solve(PB.spectrum, coulomb=PB.coulomb, spacing=0.1)
    with pytest.raises(CaseError, match="leave the solved range"):
        eliashberg_weights(cold, EnergyAxis.uniform(5.0, 1000.0))


def test_interaction_of_a_quadratic_spectrum_is_one():
    """τ0 of α²F = b ω² and Z(0), put back into the interaction; a peak above shows where it is."""
    quadratic, renormalization = 1e-3, 1.4  # 1/meV²
    aluminium = load_material("Al")
    energy = constants.k * aluminium.critical_temperature
    per_joule = quadratic / (1e-3 * constants.e) ** 2
    time = constants.hbar * renormalization / (2.0 * np.pi * per_joule * energy**3)
    material = replace(aluminium, characteristic_time=time)
    omega = np.linspace(0.001, 4.0, 4000)
    grid = EnergyAxis.uniform(0.05, 6.0)
    peak = np.where(omega < 1.5, 1.0, 2.0)
    found = interaction(alpha2f.Alpha2F(omega, quadratic * omega**2 * peak), renormalization, material, grid)
    low = grid.phonon_energies * aluminium.gap < 1.49e-3 * constants.e
    np.testing.assert_allclose(found[low], 1.0, rtol=2e-3)
    np.testing.assert_allclose(found[~low][1:], 2.0, rtol=1e-3)


def spectrum_of(X: Callable, phi: Callable, spacing: float = 0.002, end: float = 12.0) -> Any:
    """A spectrum with given real εZ and φ, as if there were no damping."""
    energy = np.arange(0.0, end, spacing)
    broadened = X(energy) + 1e-14j
    return eliashberg.EliashbergSpectrum(
        energy, broadened, phi(energy) + 0j, 0.0, alpha2f.debye(1.0, 1.0), 1, 0.0
    )


@pytest.mark.parametrize("rule", ["linear", "bin"])
def test_constant_gap_and_no_renormalization_are_bcs(rule: Any) -> None:
    """Z = 1 and φ = Δ: states, coherence, renormalization and speed of BCS theory to rounding."""
    spectrum = spectrum_of(lambda e: e, lambda e: np.full_like(e, 1.0))
    grid = EnergyAxis.uniform(0.1, 5.0, start=0.5)
    bin_weights, _ = eliashberg_weights(spectrum, grid, rule, unit=1.0, renormalization=1.0)
    bcs = bcs_weights(grid, 1.0, rule)
    np.testing.assert_allclose(bin_weights.dos_weights, bcs.dos_weights, atol=1e-6)
    np.testing.assert_allclose(bin_weights.pair_weights, bcs.pair_weights, atol=1e-6)
    above = grid.energies > 1.2
    np.testing.assert_allclose(bin_weights.dos_weights[0, above], bcs.dos_weights[0, above], rtol=1e-12)
    np.testing.assert_allclose(bin_weights.pair_weights[0, above], bcs.pair_weights[0, above], rtol=1e-11)
    assert bin_weights.renormalization is not None
    np.testing.assert_allclose(bin_weights.renormalization, 1.0, rtol=1e-12)
    speed = relative_velocity(grid, 1.0, rule, bin_weights)[0]
    np.testing.assert_allclose(speed[above], relative_velocity(grid, 1.0, rule)[0, above], rtol=1e-11)


@pytest.mark.parametrize("rule", ["linear", "bin"])
def test_group_velocity_and_number_of_states_are_those_of_the_dispersion(rule: Any) -> None:
    """``E(ξ)`` from ``(EZ)² = ξ² + φ²`` by root finding: states dξ, and speed Z(0) dE/dξ of dressed v_F."""

    def X(e: Any) -> Any:
        return e * (1.0 + 0.7 / (1.0 + (e / 6.0) ** 2))

    def phi(e: Any) -> Any:
        return X(1.0) * (1.0 + 0.3 * (e**2 - 1.0) / (9.0 + e**2))

    def energy(xi: float) -> float:
        return float(brentq(lambda e: X(e) ** 2 - phi(e) ** 2 - xi**2, 1.0, 20.0, xtol=1e-14))

    def xi(e: float) -> float:
        return float(np.sqrt(X(e) ** 2 - phi(e) ** 2))

    grid = EnergyAxis.uniform(0.05, 6.0, start=0.9)
    z = 1.7
    bin_weights, _ = eliashberg_weights(spectrum_of(X, phi), grid, rule, unit=1.0, renormalization=z)
    speed = relative_velocity(grid, 1.0, rule, bin_weights)[0]
    for at in (20, 40, 80, 99):
        here, step = xi(grid.energies[at]), 1e-4
        exact = (energy(here + step) - energy(here - step)) / (2.0 * step)
        assert speed[at] == pytest.approx(z * exact, rel=5e-4)
        assert bin_weights.number[0, at] == pytest.approx(0.05 / (z * exact), rel=5e-4)
        # not what the same energies would have with the renormalization of low energy
        assert (
            abs(speed[at] / np.sqrt(1.0 - (phi(grid.energies[at]) / X(grid.energies[at])) ** 2) - 1.0) > 5e-3
        )
    assert bin_weights.number.sum() == pytest.approx(xi(6.0) / z, rel=1e-4)
    # states times speed are those of the normal metal, whatever Z and φ: nothing piles up in a flow
    open_part = (bcs_weights(grid, 1.0, rule).dos_weights * relative_velocity(grid, 1.0, rule))[0, 2:]
    np.testing.assert_allclose((bin_weights.number[0] * speed)[2:], open_part, rtol=1e-12)


@pytest.mark.parametrize("evaluation", ["direct", "fourier", "graded"])
def test_renormalized_rates_conserve_energy_and_have_their_jacobian(evaluation: str) -> None:
    """Tin with the renormalization of every energy: collisions, injection, photons."""
    tin = alpha2f.metal("Sn")
    strong = strong_coupling(load_material("Sn"), tin.spectrum, coulomb=tin.coulomb)
    grid = (
        GRIDS[evaluation]
        if evaluation != "graded"
        else EnergyAxis.from_gap(5.0, gap=1.0, finest=0.1, growth=0.1)
    )
    bin_weights, plain = strong.bin_weights(grid, renormalized=True), strong.bin_weights(grid)
    assert bin_weights.renormalization is not None and np.ptp(bin_weights.renormalization) > 0.04
    operator = ElectronPhonon(
        grid,
        Coupling(1.8, 0.04),
        evaluation,
        interaction=strong.interaction(grid),  # type: ignore[arg-type]
    )
    random = np.random.default_rng(3)
    f, n = random.uniform(0.1, 0.9, (1, grid.n)), random.uniform(0.05, 2, (1, grid.n_phonon))
    rates, slower = operator.at(bin_weights, f, n).rates, operator.at(plain, f, n).rates
    np.testing.assert_allclose(rates.f * bin_weights.renormalization, slower.f, rtol=1e-12)
    np.testing.assert_array_equal(rates.n, slower.n)
    moved = quasiparticle_energy(grid, bin_weights, np.abs(rates.f)) + phonon_energy(
        operator, np.abs(rates.n)
    )
    into = quasiparticle_energy(grid, bin_weights, rates.f) + phonon_energy(operator, rates.n)
    assert np.all(np.abs(into) < 1e-13 * moved)
    parts = operator.at(bin_weights, f, n).gain_loss().rates(f, n)
    size = np.abs(rates.f).max()
    np.testing.assert_allclose(parts.f, rates.f, atol=1e-11 * size)
    step_f, step_n = random.uniform(-1, 1, f.shape), random.uniform(-1, 1, n.shape)
    h = 1e-5
    after = operator.at(bin_weights, f + h * step_f, n + h * step_n).rates
    before = operator.at(bin_weights, f - h * step_f, n - h * step_n).rates
    product = operator.at(bin_weights, f, n).jvp(step_f, step_n)
    np.testing.assert_allclose(product.f, (after.f - before.f) / (2.0 * h), atol=1e-6 * size)
    blocks = operator.at(bin_weights, f, n).jacobian()
    by_hand = np.einsum("cij,cj->ci", blocks.ff, step_f) + np.einsum("cik,ck->ci", blocks.fn, step_n)
    np.testing.assert_allclose(by_hand, product.f, atol=1e-10 * np.abs(product.f).max())
    own = operator.at(bin_weights, f, n).diagonal().f
    np.testing.assert_allclose(np.einsum("cii->ci", blocks.ff), own, rtol=1e-9, atol=1e-9 * size)
    for source, power in (
        (QuasiparticleInjection(grid, Gaussian(2.5, 0.2), power=0.3), None),
        (PhotonDrive.at_power(grid, 0.4, 0.3), 0.3),
    ):
        warm = thermal(grid, 0.3).f
        flow = source.at(bin_weights, warm, n).energy_flow().quasiparticles
        given = quasiparticle_energy(grid, bin_weights, source.at(bin_weights, warm, n).rates.f)
        np.testing.assert_allclose(flow, given, rtol=1e-12)
        if power is not None:
            np.testing.assert_allclose(given, power, rtol=1e-10)


def test_energies_without_quasiparticles_are_refused() -> None:
    strong = strong_coupling(load_material("Sn"), PB.spectrum, coulomb=PB.coulomb)
    with pytest.raises(CaseError, match="phonons leave no quasiparticles of a definite energy"):
        strong.bin_weights(EnergyAxis.uniform(0.05, 6.0, start=0.9), renormalized=True)
    strong.bin_weights(EnergyAxis.uniform(0.05, 3.0, start=0.9), renormalized=True)
