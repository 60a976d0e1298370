"""Collisions of f_L and f_T against traces of Keldysh matrices, event by event, and what they must keep."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import (
    BathCollisions,
    CollisionSum,
    ElectronElectron,
    InelasticCollisions,
    PhononBath,
    Spectra,
)
from fvqp.collisions.electron_electron import POWERS, Kernel
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO
from fvqp.spectral import BinnedSpectrum, bin_averages
from fvqp.typing import Floats

GRID = EnergyAxis.uniform(0.1, 5.0)
PHONONS = PhononBath(1e-2, 1.764, 0.15)
X, Z = np.array([[[0, 1], [1, 0]], [[1, 0], [0, -1]]], dtype=complex)


def spectrum(grid: EnergyAxis, gap: float) -> BinnedSpectrum:
    return bin_averages(grid.edges, gap, 0.0, 0.05)


def spectra(grid: EnergyAxis, gap: float) -> Spectra:
    found = spectrum(grid, gap)
    return Spectra(found.dos, found.pairing, found.re_F)


def both(grid: EnergyAxis, kernel: Kernel = "fermi_liquid") -> CollisionSum:
    """Collisions with electrons and with phonons."""
    return InelasticCollisions(0.3, kernel, PHONONS, charge=True).on(grid)


def driven(grid: EnergyAxis, cells: int = 2, charge: float = 0.3) -> Floats:
    """Distributions far from equilibrium."""
    rng = np.random.default_rng(1)
    h = np.tanh(grid.energies / 0.3) * (1.0 - 0.8 * rng.random((cells, grid.n)) * np.exp(-grid.energies))
    t = charge * rng.standard_normal((cells, grid.n)) * np.exp(-grid.energies)
    return np.stack([h, t], axis=1)


def shifted(grid: EnergyAxis, potential: float, temperature: float) -> Floats:
    """Fermi functions around a potential: ``f_L ± f_T = tanh((ε ∓ μ)/2t)``."""
    up, down = (np.tanh((grid.energies + sign * potential) / (2.0 * temperature)) for sign in (-1, 1))
    return 0.5 * np.stack([up + down, up - down])[None]


def keldysh(grid: EnergyAxis, gap: float, f: Floats, kernel: str) -> Floats:
    """``I_L`` and ``I_T`` of one cell for γ_ee = 1 from traces of ``g = G τ3 + F τ1`` and of self-energies.

    With ``Σ^> = B^> g^>``, ``Σ^< = B^< g^<`` and ``B^>(ω) = Σ k tr g^>(ε4) g^<(ε3)``, the integrals are the
    traces of ``[Σ, g]^K`` with 1 and τ3. The real part of B^R, which renormalizes the pairing interaction, is
    left out.
    """
    n, width = grid.n, grid.widths[0]
    found = spectrum(grid, gap)
    N = np.concatenate([found.dos[0][::-1], found.dos[0]])
    R = np.concatenate([found.re_F[0][::-1], found.re_F[0]])
    P = np.concatenate([-found.pairing[0][::-1], found.pairing[0]])
    h = np.concatenate([-f[0, 0, ::-1], f[0, 0]])
    t = np.concatenate([f[0, 1, ::-1], f[0, 1]])
    mul = np.multiply.outer
    # g^R of real parts N and R alone has the same products: what is imaginary in g^R is in g^A too.
    gR = mul(N, Z) + mul(R + 1j * P, X)
    gA = -mul(N, Z) + mul(R - 1j * P, X)
    gK = h[:, None, None] * (gR - gA) + t[:, None, None] * (gR @ Z - Z @ gA)
    greater, lesser = 0.5 * (gK + gR - gA), 0.5 * (gK - gR + gA)
    out = np.zeros((2, n))
    lags = np.arange(-(2 * n - 1), 2 * n)
    matrix = np.zeros(lags.size)
    moved = lags != 0
    matrix[moved] = (np.abs(lags[moved]) * width * BCS_RATIO) ** POWERS[kernel]  # type: ignore[index]
    traces = 0.5 * np.einsum("aij,bji->ab", greater, lesser).real
    # B^>(m) sums over 3 with 4 = 3 + m; B^<(m) = B^>(−m).
    emitted = np.array([np.trace(traces, offset=-m) for m in lags]) * matrix
    for a in range(n, 2 * n):
        b = np.arange(2 * n)
        m = a - b + 2 * n - 1
        more, less = emitted[m], emitted[::-1][m]
        B_K, B_R = more + less, 0.5 * (more - less)
        sigma_K = np.einsum("b,bij->ij", more, greater[b]) + np.einsum("b,bij->ij", less, lesser[b])
        sigma_R = 0.5 * (np.einsum("b,bij->ij", B_R, gK[b]) + np.einsum("b,bij->ij", B_K, gR[b]))
        sigma_A = 0.5 * (np.einsum("b,bij->ij", -B_R, gK[b]) + np.einsum("b,bij->ij", B_K, gA[b]))
        total = sigma_R @ gK[a] + sigma_K @ gA[a] - gR[a] @ sigma_K - gK[a] @ sigma_A
        # Four times the sums of the text, with B^> + B^< = −2 A: K0/4 = γ_ee/(2 π² t_c²) over −8.
        out[:, a - n] = [np.trace(total).real, np.trace(Z @ total).real]
    return -out / 8.0 * width**2 * 0.5 * (BCS_RATIO / np.pi) ** 2


@pytest.mark.parametrize("kernel", sorted(POWERS))
@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_traces_of_keldysh_matrices(kernel: str, gap: float) -> None:
    grid = EnergyAxis.uniform(0.25, 3.0)
    f = driven(grid, 1)
    found = ElectronElectron(grid, 1.0, kernel).at(spectra(grid, gap), f)  # type: ignore[arg-type]
    expected = keldysh(grid, gap, f, kernel)
    np.testing.assert_allclose(-found.rates[0], expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_energy_mode_alone(gap: float) -> None:
    """Without f_T the rates of the energy mode by itself."""
    f = driven(GRID, charge=0.0)
    spectrum = spectra(GRID, gap)
    for collisions in (ElectronElectron(GRID, 0.3), BathCollisions(GRID, PHONONS)):
        found, expected = collisions.at(spectrum, f), collisions.at(spectrum, f[:, :1])
        for name in ("rates", "loss"):
            here, there = getattr(found, name)[:, :1], getattr(expected, name)
            np.testing.assert_allclose(here, there, atol=1e-12 * np.abs(there).max())
        assert np.abs(found.rates[:, 1]).max() < 1e-15


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_energy_and_charge_are_kept(gap: float) -> None:
    """Electrons keep energy; ``∫I_T dε = 0``: only R_T f_T passes charge to the condensate."""
    f = driven(GRID)
    alone = ElectronElectron(GRID, 0.3).at(spectra(GRID, gap), f).rates
    with_phonons = both(GRID).at(spectra(GRID, gap), f).rates
    energies = alone[:, 0] * GRID.energies
    assert np.all(np.abs(energies.sum(axis=1)) < 1e-12 * np.abs(energies).sum(axis=1))
    for rate in (alone[:, 1], with_phonons[:, 1]):
        assert np.all(np.abs(rate.sum(axis=1)) < 1e-13 * np.abs(rate).sum(axis=1))


def test_a_shift_of_the_potential_stands_still_in_a_normal_metal() -> None:
    """Fermi functions around any potential do not change, at the phonons' temperature; in a superconductor
    they do, since the condensate keeps its potential."""
    grid = EnergyAxis.uniform(0.05, 8.0)
    for potential in (1e-3, 0.4, 2.0):
        f = shifted(grid, potential, PHONONS.temperature)
        operator = both(grid)
        assert np.abs(operator.at(spectra(grid, 0.0), f).rates).max() < 1e-13 * operator.largest_rate
        hot = shifted(grid, potential, 0.3)
        alone = ElectronElectron(grid, 0.3)
        assert np.abs(alone.at(spectra(grid, 0.0), hot).rates).max() < 1e-13 * alone.largest_rate
    rate = operator.at(spectra(grid, 1.0), f).rates[:, 1]
    assert np.abs(rate).max() > 1e-3 * operator.largest_rate


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_charge_decays(gap: float) -> None:
    """A small f_T at rest: its entropy grows, ``∫f_T I_T dε/(1 − n0²) ≥ 0``, and 0 for a shift only."""
    grid = EnergyAxis.uniform(0.05, 4.0)
    rest = np.tanh(grid.energies / (2.0 * PHONONS.temperature))
    weight = 1.0 / (1.0 - rest**2)
    rng = np.random.default_rng(5)
    operator = both(grid)
    for _ in range(20):
        t = 1e-6 * rng.standard_normal(grid.n) / weight * grid.energies ** rng.integers(0, 3)
        found = operator.at(spectra(grid, gap), np.stack([rest, t])[None])
        assert found.rates[0, 1] @ (t * weight) < 0.0
        assert found.loss.min() > 0.0


@pytest.mark.parametrize("kernel", sorted(POWERS))
def test_derivative(kernel: str) -> None:
    """Against differences of fourth order, of rates that are cubic in f."""
    f = driven(GRID)
    step = np.random.default_rng(2).standard_normal(f.shape) * np.exp(-GRID.energies)
    operator = both(GRID, kernel)  # type: ignore[arg-type]

    def rate(distance: float) -> Floats:
        return operator.at(spectra(GRID, 1.0), f + distance * step).rates

    h = 1e-3
    expected = (8.0 * (rate(h) - rate(-h)) - (rate(2.0 * h) - rate(-2.0 * h))) / (12.0 * h)
    found = operator.at(spectra(GRID, 1.0), f).jvp(step)
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_bad_input() -> None:
    own = PhononBath(1e-3, 1.764, 0.1, escape_time=1.0, pair_breaking_time=1e-3)
    with pytest.raises(CaseError, match="are none of a bath"):
        BathCollisions(GRID, own)
    with pytest.raises(CaseError, match="uniform"):
        ElectronElectron(EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.01, number=60), 1e-3)
