"""The gap equation on bins, out of equilibrium and with a cut-off."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.energy import EnergyAxis, equilibrium, lead
from fvqp.errors import CaseError
from fvqp.gap import (
    coupling,
    critical_temperature,
    equilibrium_gap,
    gap_residual,
    gap_weights,
    superfluid_density,
)
from fvqp.spectral import bin_averages, gap_edge

GRID = EnergyAxis.graded(8.0, gap_edges=[0.9], first=1e-3)


@pytest.mark.parametrize("cutoff", [None, 5.0, 10.0])
@pytest.mark.parametrize("t", [0.0, 0.2, 0.4])
def test_equilibrium_solves_the_binned_equation(cutoff: float | None, t: float) -> None:
    zeta, gamma = np.array([0.0, 0.05, 0.2]), 1e-3
    gap = equilibrium_gap(t, zeta, gamma, cutoff=cutoff)
    spectrum = bin_averages(GRID.edges, gap, zeta, gamma)
    f_l = np.tile(equilibrium(GRID.edges, t), (3, 1))
    r = gap_residual(f_l, GRID.edges, spectrum, zeta, gamma, cutoff=cutoff, temperature=t)
    np.testing.assert_allclose(r, 0.0, atol=1e-12)


def test_bins_converge_to_the_exact_equilibrium() -> None:
    t, gamma = 0.3, 1e-2
    gap = equilibrium_gap(t, 0.0, gamma)
    errors = []
    for width in (0.05, 0.025, 0.0125):
        edges = EnergyAxis.uniform(width, 8.0).edges
        spectrum = bin_averages(edges, gap, 0.0, gamma)
        f_l = equilibrium(edges, t)[None, :]
        errors.append(abs(gap_residual(f_l, edges, spectrum, 0.0, gamma, cutoff=None)[0]))
    assert errors[2] < 1e-4
    assert errors[2] < 0.5 * errors[1] < 0.25 * errors[0] * 1.2


def test_the_bins_above_the_top_and_above_the_cutoff() -> None:
    # f_L = 1: the answer is the exact zero-temperature integral, wherever the grid ends.
    exact = None
    for maximum in (2.0, 4.0, 8.0):
        edges = EnergyAxis.uniform(0.05, maximum).edges
        spectrum = bin_averages(edges, [1.0], 0.02, 1e-3)
        ones = np.ones(spectrum.dos.shape)
        r = gap_residual(ones, edges, spectrum, 0.02, 1e-3, cutoff=3.0)
        exact = r if exact is None else exact
        np.testing.assert_allclose(r, exact, atol=1e-14)
        # A deviation above the cut-off does not count, one below it does.
        bumped = ones + np.where(edges[:-1] >= 3.0, 1.0, 0.0)
        np.testing.assert_array_equal(
            gap_residual(bumped, edges, spectrum, 0.02, 1e-3, cutoff=3.0),
            gap_residual(ones, edges, spectrum, 0.02, 1e-3, cutoff=3.0),
        )
        assert gap_residual(0.5 * ones, edges, spectrum, 0.02, 1e-3, cutoff=3.0) < r - 0.1


def test_residual_continues_to_vanishing_gaps() -> None:
    gaps = np.array([0.0, 1e-9, 1e-7, 1e-5])
    spectrum = bin_averages(GRID.edges, gaps, 0.1, 1e-3)
    f_l = np.tile(equilibrium(GRID.edges, 0.2), (4, 1))
    r = gap_residual(f_l, GRID.edges, spectrum, 0.1, 1e-3, cutoff=None)
    np.testing.assert_allclose(r, r[0], atol=1e-7)


@pytest.mark.parametrize("lowest", [1.0, 0.6])
def test_weights_are_the_derivative_by_distributions(lowest: float) -> None:
    """The equation is linear in f_L as long as its lowest bin is not, or stays, emptied."""
    gamma, zeta, t = 0.02, np.array([0.0, 0.3]), 0.3
    spectrum = bin_averages(GRID.edges, np.array([0.9, 0.1]), zeta, gamma)
    f_l = np.tile(lowest * equilibrium(GRID.edges, t), (2, 1))
    change = np.random.default_rng(2).normal(scale=1e-3, size=f_l.shape)
    if lowest == 1.0:
        change[:, 0] = np.abs(change[:, 0])
    before, after = (
        gap_residual(f, GRID.edges, spectrum, zeta, gamma, cutoff=5.0, temperature=t)
        for f in (f_l, f_l + change)
    )
    weights = gap_weights(f_l, GRID.edges, spectrum, zeta, gamma, cutoff=5.0, temperature=t)
    np.testing.assert_allclose(np.sum(weights * change, axis=1), after - before, rtol=1e-9)


def test_residual_is_nearly_the_logarithm_of_the_solution() -> None:
    gaps = np.array([0.8, 0.9, 1.1])
    spectrum = bin_averages(GRID.edges, gaps, 0.0, 1e-6)
    ones = np.ones(spectrum.dos.shape)
    r = gap_residual(ones, GRID.edges, spectrum, 0.0, 1e-6, cutoff=None)
    np.testing.assert_allclose(gaps * np.exp(r), 1.0, atol=1e-5)


def test_biased_lead_reduces_the_gap_of_a_blocked_wire() -> None:
    # Half filling between Δ and eV (f_L = 0 there): 1/Δ ∫_Δ^{eV} P dε = arccosh(eV/Δ) is missing.
    bias, gamma = 1.5, 1e-6
    edges = EnergyAxis.graded(8.0, gap_edges=[1.0, bias], first=1e-4).edges
    spectrum = bin_averages(edges, [1.0], 0.0, gamma)
    f_l, _ = lead(edges, bias, 0.0)
    r = gap_residual(f_l[None, :], edges, spectrum, 0.0, gamma, cutoff=None)
    assert r[0] == pytest.approx(-np.arccosh(bias), abs=1e-5)


@pytest.mark.parametrize("cutoff", [5.0, 10.0, 100.0])
def test_coupling_rules(cutoff: float) -> None:
    assert float(equilibrium_gap(0.0, cutoff=cutoff)) == pytest.approx(1.0, abs=1e-12)
    other = float(equilibrium_gap(0.0, cutoff=cutoff, rule="arcsinh"))
    assert other == pytest.approx(cutoff / np.hypot(1.0, cutoff), abs=1e-12)
    assert coupling(cutoff) == pytest.approx(1 / np.arccosh(cutoff))
    assert coupling(cutoff, "arcsinh") == pytest.approx(1 / np.arcsinh(cutoff))


def test_cutoff_goes_over_into_weak_coupling() -> None:
    exact = equilibrium_gap(0.35, 0.1, 0.01)
    errors = [abs(float(equilibrium_gap(0.35, 0.1, 0.01, cutoff=c) - exact)) for c in (10.0, 100.0, 1000.0)]
    assert errors[2] < 0.02 * errors[1] < 0.0005 * errors[0] * 1.5
    assert errors[2] < 1e-6


def test_normal_state_above_the_critical_temperature() -> None:
    t_c = float(critical_temperature(0.1, 0.01, cutoff=10.0))
    gaps = equilibrium_gap(np.array([0.999, 1.001]) * t_c, 0.1, 0.01, cutoff=10.0)
    assert gaps[0] > 0.01
    assert gaps[1] == 0.0
    assert float(critical_temperature(0.51)) == 0.0
    assert float(equilibrium_gap(0.0, 0.51)) == 0.0


def test_superfluid_density_of_a_normal_metal_and_of_bins_that_end_early() -> None:
    for maximum in (2.0, 6.0):
        edges = EnergyAxis.uniform(0.05, maximum).edges
        spectrum = bin_averages(edges, [1.0, 0.0], 0.0, 1e-6)
        density = superfluid_density(np.ones(spectrum.dos.shape), edges, spectrum, 0.0, 1e-6)
        np.testing.assert_allclose(density, [np.pi / 2, 0.0], atol=1e-5)


def test_superfluid_density_vanishes_where_every_state_is_filled() -> None:
    edges = EnergyAxis.graded(40.0, gap_edges=[float(gap_edge(1.0, 0.1))], first=1e-3).edges
    spectrum = bin_averages(edges, [1.0], 0.1, 1e-3)
    density = superfluid_density(np.zeros(spectrum.dos.shape), edges, spectrum, 0.1, 1e-3)
    assert abs(density[0]) < 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: coupling(0.5), "cutoff: ω_D must exceed"),
        (lambda: coupling(10.0, "tanh"), "coupling rule"),  # type: ignore[arg-type]
        (lambda: equilibrium_gap(-0.1), "temperature"),
        (lambda: equilibrium_gap(0.1, -0.1), "depairing"),
        (lambda: critical_temperature(0.1, np.nan), "broadening"),
    ],
)
def test_bad_input(call: object, words: str) -> None:
    with pytest.raises(CaseError, match=words):
        call()  # type: ignore[operator]
