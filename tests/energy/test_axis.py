"""The energy axis and the bin averages of thermal distributions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.energy import EnergyAxis, equilibrium, lead, lead_derivative
from fvqp.errors import CaseError

EDGES = np.array([0.0, 1e-8, 0.1, 0.5, 0.50001, 3.0, 40.0])


def test_uniform() -> None:
    grid = EnergyAxis.uniform(0.025, 3.0)
    assert grid.n == 120
    assert grid.maximum == 3.0
    np.testing.assert_allclose(grid.widths, 0.025, rtol=1e-12)
    np.testing.assert_allclose(grid.energies[:2], [0.0125, 0.0375])


def test_equal_bins_are_a_uniform_axis() -> None:
    """Found from the edges, unless phonon points of other energies are given."""
    made, found = EnergyAxis.uniform(0.025, 3.0, start=0.5), EnergyAxis(np.linspace(0.5, 3.0, 101))
    assert found.is_uniform and found.first == made.first == 20 and found.n_phonon == 0
    np.testing.assert_allclose(found.energies, made.energies, rtol=1e-14)
    np.testing.assert_allclose(made.phonon_energies, 0.025 * np.arange(1, 240), rtol=1e-14)
    for other in (
        EnergyAxis(np.linspace(0.51, 3.01, 101)),
        EnergyAxis(made.edges, np.array([0.01, 0.4])),
        EnergyAxis.from_gap(3.0, gap=1.0, finest=0.01),
    ):
        assert not other.is_uniform and other.first == 0


def test_phonon_points_that_suit_bins() -> None:
    """Twice the energies and edges of graded bins, halved down to their least width; multiples of a width."""
    axis = EnergyAxis(np.array([0.0, 1.0, 1.25, 2.0]))
    found = axis.with_phonons()
    np.testing.assert_array_equal(found.edges, axis.edges)
    wanted = [0.25, 0.5, 1.0, 2.0, 2.25, 2.5, 3.25, 4.0]
    np.testing.assert_allclose(found.phonon_energies, wanted, rtol=1e-14)
    even = EnergyAxis(np.linspace(0.5, 3.0, 101)).with_phonons()
    assert even.is_uniform and even.first == 20
    np.testing.assert_allclose(even.phonon_energies, 0.025 * np.arange(1, 240), rtol=1e-13)


def test_bins_from_the_gap_have_closed_edges() -> None:
    """Bins that are ``d`` wide at the gap and wider by ``g`` times the distance x: N(x) = ln(1 + g x/d)/g."""
    gap, finest, growth = 1.0, 0.02, 0.05
    axis = EnergyAxis.from_gap(4.0, gap=gap, finest=finest, growth=growth)
    wanted = np.log1p(growth * (4.0 - gap) / finest) / growth
    assert axis.n == int(np.ceil(wanted))
    number = np.arange(axis.n + 1) * wanted / axis.n
    np.testing.assert_allclose(axis.edges, gap + finest / growth * np.expm1(growth * number), rtol=1e-5)


@pytest.mark.parametrize("gaps", [(1.0,), (0.0, 1.0), (0.6, 1.0), (0.0, 0.6, 1.0)])
def test_gaps_that_stay_are_middles_of_bins(gaps: tuple[float, ...]) -> None:
    """And what pairs of the lowest two bins of each emit are phonon points."""
    axis = EnergyAxis.from_gap(4.0, gap=gaps, finest=0.05, growth=0.1, fixed=True)
    for gap in gaps:
        if gap > 0.0:
            k = int(np.argmin(np.abs(axis.energies - gap)))
            one, other = axis.energies[k : k + 2]
            assert one == pytest.approx(gap, abs=1e-14)
            assert axis.widths[k] == pytest.approx(0.05, rel=1e-12)
            for emitted in (2.0 * one, one + other, 2.0 * other):
                assert np.abs(axis.phonon_energies - emitted).min() < 1e-12
    assert axis.edges[0] == max(gaps[0] - 0.025, 0.0)
    # nowhere finer than at a gap, but where what is left between two of them is divided
    assert axis.widths.min() > 0.04 and np.diff(axis.phonon_energies).min() > 0.03
    stepped = EnergyAxis.from_gap(4.0, gap=1.0, finest=0.05, growth=0.1, fixed=True, feet=(1.4, 3.99, 5.0))
    k = int(np.argmin(np.abs(stepped.energies - 1.4)))
    assert stepped.energies[k] == pytest.approx(1.4, abs=1e-14)
    assert stepped.widths[k] == pytest.approx(0.05, rel=1e-12)
    beside = EnergyAxis.from_gap(4.0, gap=(1.0, 1.4), finest=0.05, growth=0.1, fixed=True, feet=(1.35,))
    assert np.abs(beside.energies - 1.4).min() < 1e-14 < np.abs(beside.energies - 1.35).min()
    close = EnergyAxis.from_gap(4.0, gap=(0.95, 1.0), finest=0.05, growth=0.1, fixed=True)
    assert np.abs(close.energies - 0.95).min() < 1e-14 < np.abs(close.energies - 1.0).min()


def test_graded_towards_one_edge() -> None:
    grid = EnergyAxis.graded(15.0, gap_edges=[1.0], first=2.5e-4, ratio=1.5)
    assert np.any(np.isclose(grid.edges, 1.0, atol=1e-12))
    growth = grid.widths[1:] / grid.widths[:-1]
    assert grid.widths.min() == pytest.approx(2.5e-4, rel=0.1)
    assert grid.widths.max() <= 0.1 * 1.01
    assert 1 / 1.55 < growth.min() < 0.8
    assert 1.3 < growth.max() < 1.55


@pytest.mark.parametrize("number", [180, 300, 600])
def test_graded_with_an_exact_number(number: int) -> None:
    grid = EnergyAxis.graded(15.0, gap_edges=[0.3, 1.0], first=2.5e-4, number=number)
    assert grid.n == number
    assert grid.edges[0] == 0.0
    assert grid.maximum == 15.0
    assert grid.widths.min() == pytest.approx(2.5e-4, rel=0.3)


def test_divided_bins() -> None:
    """Only those of the range, into equal pieces no wider than asked, or as many as allowed."""
    grid = EnergyAxis(np.array([0.0, 0.5, 0.8, 0.95, 1.0, 2.0]))
    fine = grid.divided(0.6, 1.0, 0.06, 4)
    np.testing.assert_allclose(
        fine.edges, [0.0, 0.5, 0.575, 0.65, 0.725, 0.8, 0.85, 0.9, 0.95, 1.0, 2.0], rtol=1e-14
    )
    np.testing.assert_allclose(grid.averages(fine.energies, fine), grid.energies, rtol=1e-14)


def test_thermal_features_are_resolved() -> None:
    plain = EnergyAxis.graded(6.0, gap_edges=[1.0], first=1e-3)
    fine = EnergyAxis.graded(6.0, gap_edges=[1.0], first=1e-3, thermal=[(-2.0, 0.02)])
    near = np.abs(fine.energies - 2.0) < 0.1
    assert fine.widths[near].max() <= 0.02 / 3 * 1.05
    assert plain.widths[np.abs(plain.energies - 2.0) < 0.1].max() > 0.05


def test_gap_edges_at_zero_coinciding_or_outside() -> None:
    grid = EnergyAxis.graded(6.0, gap_edges=[0.0, 0.9, 0.9, 7.0], first=1e-4)
    assert grid.widths[0] == pytest.approx(1e-4, rel=0.3)
    assert grid.maximum == 6.0


@pytest.mark.parametrize("t", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("bias", [0.0, 0.5, -0.7])
def test_lead_is_the_mean_over_bins(t: float, bias: float) -> None:
    def n0(energy: float) -> float:
        return float(np.tanh(energy / (2 * t)))

    f_l, f_t = lead(EDGES, bias, t)
    for k, (low, high) in enumerate(pairwise(EDGES)):
        cuts = np.unique(np.clip([low, high, *(abs(bias) + t * np.arange(-60, 61, 6.0))], low, high))
        for value, sign in ((f_l[k], 1.0), (f_t[k], -1.0)):
            parts = [
                quad(lambda e, s=sign: 0.5 * (n0(e + bias) + s * n0(e - bias)), a, b, epsabs=1e-15)[0]
                for a, b in pairwise(cuts)
            ]
            assert value == pytest.approx(sum(parts) / (high - low), rel=1e-9, abs=1e-13)


def test_lead_without_bias_is_equilibrium() -> None:
    for t in (0.0, 1e-4, 0.3):
        f_l, f_t = lead(EDGES, 0.0, t)
        np.testing.assert_array_equal(f_l, equilibrium(EDGES, t))
        assert np.all(f_t == 0.0)


def test_lead_parity_in_the_bias() -> None:
    forward, backward = lead(EDGES, 0.37, 0.05), lead(EDGES, -0.37, 0.05)
    np.testing.assert_array_equal(forward[0], backward[0])
    np.testing.assert_array_equal(forward[1], -backward[1])


def test_equilibrium_limits() -> None:
    assert np.all(equilibrium(EDGES, 0.0) == 1.0)
    np.testing.assert_allclose(equilibrium([-2.0, 1.0], 0.0), [-1.0 / 3.0])
    huge = equilibrium(np.array([0.0, 1e4, 1e5]), 1e-3)
    np.testing.assert_allclose(huge, 1.0, rtol=1e-6)
    # Narrow bins: no cancellation between the two ends.
    np.testing.assert_allclose(equilibrium([1.0, 1.0 + 1e-12], 0.3), np.tanh(1 / 0.6), rtol=1e-11)


@pytest.mark.parametrize("t", [0.02, 0.4])
def test_lead_derivative(t: float) -> None:
    edges = np.linspace(0.0, 3.0, 31)
    step = 1e-5 * t
    d_l, d_t = lead_derivative(edges, 0.83, t)
    above, below = lead(edges, 0.83 + step, t), lead(edges, 0.83 - step, t)
    np.testing.assert_allclose(d_l, (above[0] - below[0]) / (2 * step), atol=1e-7 / t)
    np.testing.assert_allclose(d_t, (above[1] - below[1]) / (2 * step), atol=1e-7 / t)


def test_lead_derivative_integrates_to_two_leads() -> None:
    # ∫_0^∞ df_T/dV dε = ½ [n0(∞) − n0(−∞)] = 1, at any temperature and for biases in an array.
    edges = np.linspace(0.0, 60.0, 301)
    for t in (0.0, 0.05, 1.0):
        _, d_t = lead_derivative(edges, np.array([0.0, 0.3, 1.7]) + 0.05, t)
        np.testing.assert_allclose(d_t @ np.diff(edges), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EnergyAxis(np.array([0.0, 1.0])), "at least two bins"),
        (lambda: EnergyAxis(np.array([0.0, 1.0, 1.0])), "increase"),
        (lambda: EnergyAxis(np.array([0.0, np.nan, 1.0])), "finite"),
        (lambda: EnergyAxis(np.array([-0.1, 1.0, 2.0])), "first edge must not be negative"),
        (lambda: EnergyAxis(np.array([0.1, 1.0, 2.0])).require_from_zero(), "first edge must be 0, not 0.1"),
        (lambda: EnergyAxis(EDGES, np.array([0.0, 2.0])), "phonon energies must be positive"),
        (lambda: EnergyAxis(EDGES, np.array([2.0, 1.0])), "phonon energies must be finite and increase"),
        (lambda: EnergyAxis(EDGES, np.array([2.0])), "one row of at least two, or none"),
        (lambda: EnergyAxis(EDGES).require_phonons(), "has no phonon energies"),
        (lambda: EnergyAxis.uniform(0.4, 0.5), "no room for two bins"),
        (lambda: EnergyAxis.uniform(-0.1, 3.0), "width must be positive"),
        (lambda: EnergyAxis.graded(-1.0, gap_edges=[1.0], first=0.1), "maximum must be positive"),
        (lambda: EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.0), "first step must be positive"),
        (lambda: EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.1, ratio=1.0), "ratio"),
        (lambda: EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.1, number=20), "at least"),
        (lambda: EnergyAxis.graded(5.0, gap_edges=[1.0], first=0.1, thermal=[(1.0, 0.0)]), "temperature"),
        (lambda: EnergyAxis.uniform(0.1, 3.0).require_covers(3.5, "the bias"), "below the bias .3.5 Δ0"),
        (lambda: equilibrium(EDGES, -0.1), "temperature"),
        (lambda: lead_derivative(EDGES, 0.1, np.nan), "temperature"),
    ],
)
def test_bad_input(make: object, words: str) -> None:
    with pytest.raises(CaseError, match=words):
        make()  # type: ignore[operator]


def test_covering_is_accepted_and_edges_cannot_be_changed() -> None:
    grid = EnergyAxis.uniform(0.1, 3.0)
    grid.require_covers(-3.0, "the bias")
    with pytest.raises(ValueError, match="read-only"):
        grid.edges[0] = 1.0
