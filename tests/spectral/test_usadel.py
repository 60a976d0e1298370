"""The retarded root of the local Usadel equation and its bin averages."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp

from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.spectral import (
    bin_averages,
    dos_integral,
    gap_edge,
    pairing_integral,
    solve,
    supercurrent_integral,
)

broadenings = st.floats(-6.0, -1.0).map(lambda x: 10.0**x)
depairings = st.one_of(st.just(0.0), st.floats(-18.0, 0.5).map(lambda x: min(10.0**x, 3.0)))
gaps = st.one_of(st.just(0.0), st.just(1.0), st.floats(-9.0, 0.301).map(lambda x: min(10.0**x, 2.0)))
QUANTITIES = ("dos", "pairing", "diffusion_L", "diffusion_T", "supercurrent", "relaxation_T")


@settings(max_examples=150, deadline=None)
@given(st.floats(-20.0, 20.0), gaps, depairings, broadenings, st.booleans())
def test_equation_norm_and_branch(
    energy: float, gap: float, zeta: float, gamma: float, at_edge: bool
) -> None:
    if at_edge:
        energy = float(gap_edge(gap, zeta)) + energy * gamma
    s = solve(energy, gap, zeta, gamma)
    g, f = complex(s.G), complex(s.F)
    z = energy + 1j * gamma
    scale = max(1.0, abs(g)) ** 2
    assert abs(g * g + f * f - 1.0) <= 1e-13 * scale
    terms = abs(gap * g) + abs(z * f) + abs(zeta * f * g)
    assert abs(gap * g + 1j * z * f - zeta * f * g) <= 1e-13 * (terms + 1e-300)
    assert s.dos >= 0.0
    assert f.real >= 0.0
    assert f.imag * energy >= 0.0
    assert 0.0 <= s.diffusion_L <= 1.0 + 1e-15
    assert 1.0 - 1e-15 <= s.diffusion_T
    d_l, d_t = 0.5 * (1 + abs(g) ** 2 - abs(f) ** 2), 0.5 * (1 + abs(g) ** 2 + abs(f) ** 2)
    assert abs(s.diffusion_L - d_l) <= 1e-12 * scale
    assert abs(s.diffusion_T - d_t) <= 1e-12 * scale


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 20.0), gaps, depairings, broadenings)
@example(1.0, 1.0, 1e-6, 1e-6)
def test_parity(energy: float, gap: float, zeta: float, gamma: float) -> None:
    """The second root starts from the first one. What is left of the equation, 1e-13 of its terms, over its
    derivative, small at the edge, is what either may be off."""
    s = solve([energy, -energy], gap, zeta, gamma)
    g, f = complex(s.G[0]), complex(s.F[0])
    z = energy + 1j * gamma
    terms = abs(gap * g) + abs(z * f) + abs(zeta * f * g)
    slope = abs(1j * z * g - gap * f - zeta * (g * g - f * f))
    angle = 2e-13 * terms / (slope + 1e-300)
    assert abs(g - np.conj(s.G[1])) <= angle * abs(f) + 1e-13 * abs(g)
    assert abs(f - np.conj(s.F[1])) <= angle * abs(g) + 1e-13 * abs(f)


def test_closed_form_without_depairing() -> None:
    z = np.linspace(-3.0, 3.0, 301) + 1e-2j
    s = solve(z.real, 0.8, 0.0, 1e-2)
    root = np.sqrt(0.64 - z * z)
    np.testing.assert_allclose(s.F, 0.8 / root, rtol=1e-13)
    np.testing.assert_allclose(s.G, -1j * z / root, rtol=1e-13)


@pytest.mark.parametrize(("gap", "zeta"), [(1.0, 0.02), (1.0, 0.7), (0.6, 0.6), (0.4, 1.3)])
def test_continues_analytically_from_large_imaginary_energy(gap: float, zeta: float) -> None:
    # dθ/dz along Im z from 50 (where θ ≈ Δ/(ζ + Im z)) down, by a library integrator.
    for energy in (0.3, 0.9, 1.1, 2.5):

        def slope(y: float, theta: np.ndarray) -> np.ndarray:
            return 1j / (1j * (-gap / np.sin(theta) ** 2 + zeta * np.sin(theta)))

        s0 = complex(50.0, -energy)
        theta = gap / (s0 + zeta)
        for _ in range(50):
            theta = np.arcsin((gap * np.cos(theta)) / (s0 + zeta * np.cos(theta)))
        path = solve_ivp(slope, (50.0, 1e-3), [theta], rtol=1e-11, atol=1e-13, method="DOP853")
        s = solve(energy, gap, zeta, 1e-3)
        assert complex(s.G) == pytest.approx(np.cos(path.y[0, -1]), rel=1e-7)
        assert complex(s.F) == pytest.approx(np.sin(path.y[0, -1]), rel=1e-7)


def test_sub_gap_diffusion_is_small_and_accurate() -> None:
    # First order in Γ: Re G = Γ Δ²/(Δ² − ε²)^{3/2}, D_T = Δ²/(Δ² − ε²).
    energy = np.array([0.0, 0.3, 0.9])
    s = solve(energy, 1.0, 0.0, 1e-6)
    np.testing.assert_allclose(s.diffusion_L, (1e-6 / (1 - energy**2)) ** 2, rtol=1e-9)
    np.testing.assert_allclose(s.diffusion_T, 1 / (1 - energy**2), rtol=1e-9)


def test_above_the_gap() -> None:
    energy = np.array([1.5, 3.0])
    s = solve(energy, 1.0, 0.0, 0.0)
    np.testing.assert_allclose(s.dos, energy / np.sqrt(energy**2 - 1), rtol=1e-11)
    np.testing.assert_allclose(s.pairing, 1 / np.sqrt(energy**2 - 1), rtol=1e-11)
    np.testing.assert_allclose(s.diffusion_T, s.dos**2, rtol=1e-11)
    np.testing.assert_allclose(s.diffusion_L, 1.0, rtol=1e-11)
    assert np.all(s.relaxation_T < 1e-12)


def test_normal_state() -> None:
    s = solve(np.linspace(-2, 2, 5), 0.0, 0.4, 1e-3)
    assert np.all(s.G == 1.0)
    assert np.all(s.F == 0.0)


@pytest.mark.parametrize("gamma", [1e-6, 1e-2])
@pytest.mark.parametrize(("gap", "zeta"), [(1.0, 0.0), (1.0, 0.02), (0.7, 0.3), (1.0, 1.0), (0.5, 0.8)])
def test_bin_averages_agree_with_exact_integrals(gap: float, zeta: float, gamma: float) -> None:
    edge = float(gap_edge(gap, zeta))
    edges = np.unique([0.0, 0.5 * edge, max(edge - 1e-3, 1e-4), edge + 1e-3, gap + 0.1, 1.5, 3.0, 20.0])
    binned = bin_averages(edges, gap, zeta, gamma)
    for name, integral, factor in (
        ("dos", dos_integral, 1.0),
        ("pairing", pairing_integral, gap),
        ("supercurrent", supercurrent_integral, 1.0),
    ):
        exact = factor * np.diff(integral(edges, gap, zeta, gamma)) / np.diff(edges)
        np.testing.assert_allclose(getattr(binned, name)[0], exact, rtol=2e-8, atol=1e-12)


def test_bin_averages_agree_with_adaptive_quadrature() -> None:
    gap, zeta, gamma = 1.0, 0.05, 1e-3
    edge = float(gap_edge(gap, zeta))
    edges = np.array([0.2, edge - 0.05, edge + 0.03, 1.3, 4.0])
    binned = bin_averages(edges, gap, zeta, gamma)
    for name in QUANTITIES:
        for i, (low, high) in enumerate(pairwise(edges)):
            value, _ = quad(
                lambda e, name=name: float(getattr(solve(e, gap, zeta, gamma), name)),
                low,
                high,
                points=[edge, edge - 3e-3, edge + 3e-3],
                limit=400,
                epsabs=1e-13,
                epsrel=1e-12,
            )
            assert getattr(binned, name)[0, i] == pytest.approx(value / (high - low), rel=1e-10), name


@settings(max_examples=60, deadline=None)
@given(gaps, depairings, broadenings)
def test_bin_averages_obey_the_bounds(gap: float, zeta: float, gamma: float) -> None:
    edges = EnergyAxis.graded(20.0, gap_edges=[float(gap_edge(gap, zeta))], first=0.01, largest=0.5).edges
    b = bin_averages(edges, gap, zeta, gamma)
    for name in (*QUANTITIES, "re_F", "pairing", "im_G"):
        assert np.all(np.isfinite(getattr(b, name)))
    assert np.all(b.dos >= 0.0)
    assert np.all(b.pairing >= 0.0)
    assert np.all(b.diffusion_L >= 0.0)
    assert np.all(b.diffusion_L <= 1.0 + 1e-14)
    assert np.all(b.diffusion_T >= 1.0 - 1e-14)


def test_bin_averages_are_smooth_in_the_gap() -> None:
    edges = np.linspace(0.0, 3.0, 31)
    gaps = 1.0 + np.linspace(-0.02, 0.02, 81)
    b = bin_averages(edges, gaps, 0.0, 1e-2)
    # The spacing is Γ/20: fourth differences of a function smooth on the scale Γ are tiny beside it.
    for name in QUANTITIES:
        values = getattr(b, name)
        assert np.abs(np.diff(values, 4, axis=0)).max() < 1e-3 * np.abs(values).max()


def test_bin_averages_of_every_cell_on_its_own() -> None:
    edges = np.linspace(0.0, 3.0, 31)
    together = bin_averages(edges, [1.0, 0.0, 0.4], [0.0, 0.1, 0.5], 1e-3)
    for c, (gap, zeta) in enumerate([(1.0, 0.0), (0.0, 0.1), (0.4, 0.5)]):
        alone = bin_averages(edges, gap, zeta, 1e-3)
        assert together.diffusion_T.shape == (3, 30)
        np.testing.assert_array_equal(together.diffusion_T[c], alone.diffusion_T[0])
        np.testing.assert_array_equal(together.relaxation_T[c], alone.relaxation_T[0])
    assert np.all(together.dos[1] == 1.0)
    assert np.all(together.pairing[1] == 0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.0, 1.0], -1.0, 0.0, 1e-3), "gap: must be"),
        (([0.0, 1.0], 1.0, np.nan, 1e-3), "depairing: must be"),
        (([0.0, 1.0], 1.0, 0.0, -1e-3), "broadening: must be"),
        (([0.0, 2.0], 1.0, 0.0, 0.0), "singular density of states"),
        (([0.0, 0.0], 1.0, 0.0, 1e-3), "edges"),
        (([-1.0, 1.0], 1.0, 0.0, 1e-3), "edges"),
    ],
)
def test_bad_input(arguments: tuple, words: str) -> None:
    with pytest.raises(CaseError, match=words):
        bin_averages(*arguments)


def test_singular_density_of_states_at_a_point() -> None:
    with pytest.raises(CaseError, match="singular density of states"):
        solve([0.5, 1.0], 1.0, 0.0, 0.0)
    with pytest.raises(CaseError, match="energy"):
        solve(np.inf, 1.0, 0.0, 0.1)
    with pytest.raises(CaseError, match="not negative"):
        dos_integral(-1.0, 1.0, 0.0, 0.1)


def test_threads_do_not_change_bin_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    edges, gaps = np.linspace(0.0, 3.0, 31), np.linspace(0.5, 1.0, 7)
    alone = bin_averages(edges, gaps, 0.02, 1e-3)
    monkeypatch.setattr("fvqp.threads._numba_threads", lambda: 3)
    monkeypatch.setattr("fvqp.spectral.usadel._WORTH_A_THREAD", 0)
    np.testing.assert_array_equal(bin_averages(edges, gaps, 0.02, 1e-3).dos, alone.dos)
