"""Collisions of f_L and f_T with phonons of their own against sums over pairs, and what they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from fvqp.collisions import BathCollisions, InelasticCollisions, PhononBath, PhononCollisions, Spectra
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

GRADED = EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.01, number=60, largest=0.2)
UNIFORM = EnergyAxis.uniform(0.1, 5.0)
AXES = pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])
GAPS = pytest.mark.parametrize("gap", [0.0, 1.0])
BREAKING = 1e-3


def phonons(escape: float, temperature: float = 0.15) -> PhononBath:
    return PhononBath(1e-2, 1.764, temperature, escape_time=escape, pair_breaking_time=BREAKING)


def spectra(grid: EnergyAxis, gap: float) -> Spectra:
    found = bin_averages(grid.edges, gap, 0.0, 0.02)
    return Spectra(found.dos, found.pairing, found.re_F)


def driven(energies: Floats, charge: float = 0.25) -> Floats:
    """Distributions far from equilibrium in two cells, of occupations between 0 and 1."""
    cells = []
    for part in (1.0, 0.4):
        hole = part * (0.7 * np.exp(-(((energies - 1.8) / 0.8) ** 2)) + 0.1 * np.exp(-energies))
        h = np.tanh(energies / 0.3) * (1.0 - hole)
        cells.append([h, part * charge * np.exp(-(((energies - 1.5) / 0.9) ** 2))])
    return np.array(cells)


@AXES
@GAPS
def test_energy_mode_alone(grid: EnergyAxis, gap: float) -> None:
    """Without f_T the integrals of the energy mode with the phonons of the energy mode."""
    spectrum, f = spectra(grid, gap), driven(grid.energies, charge=0.0)
    both, alone = PhononCollisions(grid, phonons(0.01), 2), PhononCollisions(grid, phonons(0.01))
    found, expected = both.at(spectrum, f), alone.at(spectrum, f[:, :1])
    assert both.largest_rate == pytest.approx(alone.largest_rate, rel=1e-14)
    np.testing.assert_allclose(found.n, expected.n, rtol=1e-9, atol=1e-12)
    for name in ("rates", "loss"):
        here, there = getattr(found, name)[:, :1], getattr(expected, name)
        np.testing.assert_allclose(here, there, atol=1e-11 * np.abs(there).max())
    assert np.abs(found.rates[:, 1]).max() < 1e-15


def test_sums_over_pairs() -> None:
    """Integrals over all energies of both signs, each phonon energy with the occupation that it keeps."""
    grid, chosen = EnergyAxis.uniform(0.25, 3.0), phonons(3e-3)
    spectrum, f, w = spectra(grid, 1.0), driven(grid.energies)[:1], 0.25
    N, P, R = (part[0] for part in spectrum)
    h, t = f[0]
    N, R, t = (np.concatenate([part[::-1], part]) for part in (N, R, t))
    P, h = (np.concatenate([-part[::-1], part]) for part in (P, h))
    outer = np.multiply.outer
    M, K = outer(N, N) - outer(P, P), outer(N, N) - outer(R, R)
    Q = outer(N, N) + outer(R, R)
    lag = np.subtract.outer(np.arange(N.size), np.arange(N.size))
    assert chosen.escape_time is not None
    integrals = np.zeros((2, N.size))
    for k in range(1, N.size):
        omega = k * w
        a = 0.5 * chosen.strength * chosen.kappa**3 * omega**2
        up = lag == k  # ε1 − ε2 = ω
        rise, mixed = M * (h[:, None] - h), M * (1.0 - outer(h, h)) - K * outer(t, t)
        # Energy that electrons give at ω, and what escapes of it: 2γ g (n − n_bath)/τ_esc.
        modes = 0.5 * np.pi * BREAKING * chosen.kappa**3 * omega**2 * w
        bath = 1.0 / np.expm1(omega / chosen.temperature)

        def surplus(n: float, up=up, rise=rise, mixed=mixed, a=a, modes=modes, bath=bath) -> float:  # type: ignore[no-untyped-def]
            given = 0.5 * a * w**2 * np.sum((mixed - rise * (1.0 + 2.0 * n))[up])
            return float(given - 2.0 * chosen.strength * modes * (n - bath) / chosen.escape_time)  # type: ignore[operator]

        n = brentq(surplus, 0.0, 1e3, xtol=1e-15, rtol=1e-14)
        for side, sign in ((up, 1.0), (lag == -k, -1.0)):
            A, C = a * (1.0 + 2.0 * n), -sign * a
            integrals[0] += w * np.sum(
                side * (rise * A + (M * (1.0 - outer(h, h)) - K * outer(t, t)) * C), axis=1
            )
            crossed = outer(N, N) * (outer(t, h) + outer(h, t))
            integrals[1] += w * np.sum(side * (Q * (t[:, None] - t) * A - crossed * C), axis=1)
    found = -PhononCollisions(grid, chosen, 2).at(spectrum, f).rates[0]
    np.testing.assert_allclose(found, integrals[:, grid.n :], atol=1e-12 * np.abs(integrals).max())


@AXES
@GAPS
def test_energy_and_charge_are_kept(grid: EnergyAxis, gap: float) -> None:
    """What electrons lose escapes with phonons, f_T or not, and ``∫I_T dε = 0``, to rounding."""
    found = PhononCollisions(grid, phonons(0.01), 2).at(spectra(grid, gap), driven(grid.energies))
    energies = found.rates[:, 0] * grid.energies * grid.widths
    np.testing.assert_allclose(
        energies.sum(axis=1), found.escaping(), atol=1e-12 * np.abs(energies).sum(axis=1).max()
    )
    charges = found.rates[:, 1] * grid.widths
    assert np.all(np.abs(charges.sum(axis=1)) < 1e-13 * np.abs(charges).sum(axis=1))
    assert found.loss.min() > 0.0 and not found.inverted


@AXES
@GAPS
def test_fast_escape_is_a_bath(grid: EnergyAxis, gap: float) -> None:
    """The distance falls in proportion to the escape time."""
    spectrum, f = spectra(grid, gap), driven(grid.energies)
    bath = BathCollisions(grid, PhononBath(1e-2, 1.764, 0.15)).at(spectrum, f)
    scale = np.abs(bath.rates).max(axis=(0, 2))[:, None]
    far, near = (
        np.abs(PhononCollisions(grid, phonons(escape), 2).at(spectrum, f).rates - bath.rates).max(axis=0)
        / scale
        for escape in (1e-7, 1e-8)
    )
    assert np.all(near.max(axis=1) < 0.2 * far.max(axis=1) + 1e-12)
    assert near.max() < 1e-4


@AXES
@GAPS
def test_rest(grid: EnergyAxis, gap: float) -> None:
    """At the temperature of the bath nothing happens; in a normal metal also around a potential."""
    for potential in (0.0, 0.4) if gap == 0.0 else (0.0,):
        up, down = (np.tanh((grid.energies + sign * potential) / 0.3) for sign in (-1, 1))
        f = 0.5 * np.stack([up + down, up - down])[None]
        operator = PhononCollisions(grid, phonons(1.0), 2)
        found = operator.at(spectra(grid, gap), f)
        assert np.abs(found.rates).max() < 1e-13 * operator.largest_rate * spectra(grid, gap).dos.max()
        # 1 − h is rounded to 1e-16.
        expected = np.broadcast_to(operator.bath, found.n.shape)
        np.testing.assert_allclose(found.n, expected, rtol=1e-9, atol=1e-14)


@AXES
@pytest.mark.parametrize("escape", [1e-4, 0.01])
def test_derivative(grid: EnergyAxis, escape: float) -> None:
    """Against differences of fourth order."""
    spectrum, f = spectra(grid, 1.0), driven(grid.energies)
    step = np.random.default_rng(2).standard_normal(f.shape) * np.exp(-grid.energies) * (1.0 - f[:, :1] ** 2)
    operator = PhononCollisions(grid, phonons(escape), 2)

    def rate(distance: float) -> Floats:
        return operator.at(spectrum, f + distance * step).rates

    h = 1e-3
    expected = (8.0 * (rate(h) - rate(-h)) - (rate(2.0 * h) - rate(-2.0 * h))) / (12.0 * h)
    found = operator.at(spectrum, f).jvp(step)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_inverted_quasiparticles() -> None:
    """More at high energies than at low ones, and slow escape: phonons between have no steady state."""
    f = np.stack([np.where(UNIFORM.energies > 2.0, -0.9, 1.0), 0.0 * UNIFORM.energies])[None]
    assert PhononCollisions(UNIFORM, phonons(1e6), 2).at(spectra(UNIFORM, 0.0), f).inverted


def test_beside_electrons() -> None:
    """Of a case: the sum of both; phonons of a bath are no phonons of their own."""
    spectrum, f = spectra(GRADED, 1.0), driven(GRADED.energies)
    both = InelasticCollisions(0.3, phonons=phonons(0.01), charge=True).on(GRADED).at(spectrum, f)
    alone = InelasticCollisions(0.3, charge=True).on(GRADED).at(spectrum, f)
    own = PhononCollisions(GRADED, phonons(0.01), 2).at(spectrum, f)
    np.testing.assert_allclose(both.rates, alone.rates + own.rates, rtol=1e-14)
    with pytest.raises(CaseError, match="no occupation of their own"):
        PhononCollisions(GRADED, PhononBath(1e-2, 1.764, 0.15))
