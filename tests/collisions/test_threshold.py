"""Phonon modes at the threshold of pair breaking: rates, order in the bin width, energy, moving gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.collisions import (
    Coupling,
    ElectronPhonon,
    Gaussian,
    PhononEscape,
    PhononInjection,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.collisions.threshold import (
    at_threshold,
    broken_pairs,
    carried_phonons,
    first_of_pairs,
    product_of_shares,
    shares_of_gaps,
    threshold_shares,
)
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.energy.axis import lowest_bin
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap
from fvqp.models.boltzmann import BoltzmannProblem, Medium, balanced_state, evolve, separate_cells

COUPLING = Coupling(1.764, 0.05)
GRID = EnergyAxis.uniform(0.1, 4.0)
#: At an edge, at a centre, and elsewhere; the last one is normal.
GAPS = np.array([1.0, 0.95, 0.83, 0.5, 0.0])


def breaking_rate(omega: float) -> float:
    """``τ0^pb/τ_B`` at T = 0 and Δ = 1 by quadrature, ``E = ω/2 + (ω/2 − 1) sin u``."""
    mean, half = 0.5 * omega, 0.5 * omega - 1.0

    def integrand(u: float) -> float:
        one, other = mean + half * np.sin(u), mean - half * np.sin(u)
        return (one * other + 1.0) / np.sqrt((one + 1.0) * (other + 1.0))

    return float(quad(integrand, -0.5 * np.pi, 0.5 * np.pi)[0]) / np.pi


@pytest.mark.parametrize("rule", ["linear", "bin"])
@pytest.mark.parametrize("start", [0.9, 1.0])
def test_pair_breaking_at_the_threshold(start, rule):
    """Every phonon point above 2Δ breaks pairs at its exact rate: the first one too, whose rate is else wrong
    by 27 % (bin) or twice too large (linear), however narrow the bins."""
    grid = EnergyAxis.uniform(0.1, 4.0, start=start)
    bin_weights = at_threshold(grid, bcs_weights(grid, 1.0, rule), 1.0, rule)
    rates = inverse_lifetimes(ElectronPhonon(grid, COUPLING, "direct"), bin_weights, *thermal(grid, 0.0))
    for k, omega in enumerate(grid.phonon_energies):
        if 2.0 < omega * (1.0 - 1e-9) < 2.9:
            exact = breaking_rate(omega) / COUPLING.pair_breaking_time
            assert rates.pair_breaking[0, k] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("gap", [1.0, 1.013])
def test_modes_above_the_threshold(gap):
    """Modes that break pairs are those above 2Δ, with order 2."""
    errors = []
    for width in (0.1, 0.05, 0.025):
        grid = EnergyAxis.uniform(width, 4.0, start=gap - width)
        bin_weights = at_threshold(grid, bcs_weights(grid, gap), gap)
        first = grid.energies[np.argmax(bin_weights.active[0])]
        there = grid.phonon_energies > 2.0 * first * (1.0 - 1e-9)
        shape = np.exp(-((grid.phonon_energies - 2.0) ** 2) / 0.18)
        exact = quad(lambda w: np.exp(-((w - 2.0) ** 2) / 0.18), 2.0 * gap, 8.0)[0]
        errors.append((bin_weights.phonon_shares[0] * shape * width)[there].sum() - exact)
    assert abs(errors[-1]) < 3e-4 and abs(errors[2]) < 0.35 * abs(errors[0]) / 2.0


@pytest.mark.parametrize("evaluation", ["direct", "fourier"])
def test_conservation_equilibrium_and_derivatives(evaluation):
    bin_weights = at_threshold(GRID, bcs_weights(GRID, GAPS), GAPS)
    operator = ElectronPhonon(GRID, COUPLING, evaluation)
    rng = np.random.default_rng(1)
    f, n = (part * np.ones((5, 1)) for part in thermal(GRID, 0.4))
    rates, parts = operator.at(bin_weights, f, n).rates, operator.at(bin_weights, f, n).gain_loss()
    assert np.all(np.abs(rates.f)[bin_weights.active] < 1e-12 * (parts.out_f * f).max())
    assert np.all(np.abs(rates.n) < 1e-12 * (parts.out_n * n).max())
    f, n = f * rng.uniform(0.5, 1.0, f.shape), n * rng.uniform(0.5, 2.0, n.shape)
    rates = operator.at(bin_weights, f, n).rates
    into = quasiparticle_energy(GRID, bin_weights, rates.f)
    moved = quasiparticle_energy(GRID, bin_weights, np.abs(rates.f))
    assert np.all(np.abs(into + phonon_energy(operator, rates.n, bin_weights)) < 1e-13 * moved)
    # Modes of the whole axis have the energy that they have on the axis without a threshold.
    weight = GRID.phonon_energies**3
    np.testing.assert_allclose(bin_weights.phonon_shares @ weight, weight.sum(), rtol=1e-14)
    np.testing.assert_array_equal(bin_weights.phonon_shares[-1], 1.0)
    step_f, step_n = 1e-6 * rng.normal(size=f.shape) * f, 1e-6 * rng.normal(size=n.shape) * n
    change = operator.at(bin_weights, f, n).jvp(step_f, step_n)
    ahead, behind = (operator.at(bin_weights, f + s * step_f, n + s * step_n).rates for s in (1.0, -1.0))
    for found, up, down in zip(change, ahead, behind, strict=True):
        np.testing.assert_allclose(found, 0.5 * (up - down), atol=1e-6 * np.abs(found).max())
    blocks = operator.at(bin_weights, f, n).jacobian()
    np.testing.assert_allclose(
        np.einsum("ckj,cj->ck", blocks.nf, step_f) + blocks.nn * step_n, change.n, atol=1e-10
    )
    direct = ElectronPhonon(GRID, COUPLING, "direct").at(bin_weights, f, n).rates
    for found, expected in zip(rates, direct, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def trapped(width: float, moves: bool) -> float:
    """Steady density under phonons of 3 Δ0 that are injected, with escape slower than pair breaking."""
    grid = EnergyAxis.uniform(width, 4.0, start=0.0 if moves else 1.0 - width)
    operator, bath = ElectronPhonon(grid, COUPLING, "direct"), thermal(grid, 0.15)
    processes = {
        "injection": PhononInjection(grid, COUPLING, Gaussian(3.0, 0.15), power=0.02),
        "escape": PhononEscape(grid, COUPLING, 5.0 * COUPLING.pair_breaking_time, bath.n),
    }
    gap = SelfConsistentGap(grid, splits_phonons=True) if moves else 1.0
    shares = None if moves else threshold_shares(grid, 1.0)[0]
    medium = Medium(operator, gap, processes=processes, phonon_shares=shares)
    problem = BoltzmannProblem(separate_cells(), grid, medium)
    state = balanced_state(problem, problem.thermal(0.25)).state
    return problem.ledger(state).number


@pytest.mark.parametrize(("moves", "order"), [(False, 1.9), pytest.param(True, 1.4, marks=pytest.mark.slow)])
def test_order_under_phonon_trapping(moves, order):
    """Richardson's order of the density: 0.8 where a phonon point at 2Δ holds both kinds of modes. A gap that
    moves lies at another place of its bin on every axis; there the order varies about 2."""
    coarse, middle, fine = (trapped(width, moves) for width in (0.1, 0.05, 0.025))
    assert np.log2(abs(middle - coarse) / abs(fine - middle)) > order
    assert fine == pytest.approx(middle, rel=1e-3)


def test_injected_power():
    """Power that is injected across 2Δ is the one asked for."""
    bin_weights = at_threshold(GRID, bcs_weights(GRID, GAPS), GAPS)
    f, n = (part * np.ones((5, 1)) for part in thermal(GRID, 0.2))
    source = PhononInjection(GRID, COUPLING, Gaussian(2.0, 0.1), power=0.3)
    np.testing.assert_allclose(source.at(bin_weights, f, n).energy_flow().phonons, 0.3, rtol=1e-13)
    source = PhononInjection(GRID, COUPLING, Gaussian(2.0, 0.1), rate=0.3)
    np.testing.assert_allclose(source.at(bin_weights, f, n).number_flow().phonons, 0.3, rtol=1e-13)


def test_phonons_carried_with_the_gap():
    """Energy and bounds stay, and so does a uniform occupation; phonons far from 2Δ do not change."""
    rng = np.random.default_rng(2)
    operator, start = ElectronPhonon(GRID, COUPLING), np.array([1.0, 0.9, 0.7, 0.9, 0.0])
    before, after = (at_threshold(GRID, bcs_weights(GRID, gap), gap) for gap in (start, GAPS))
    n = thermal(GRID, 0.2).n * rng.uniform(0.5, 2.0, (5, GRID.n_phonon))
    there = carried_phonons(GRID, before, after, n)
    np.testing.assert_allclose(
        phonon_energy(operator, there, after), phonon_energy(operator, n, before), rtol=1e-14
    )
    np.testing.assert_array_equal(there[[0, 4]], n[[0, 4]])
    assert there.min() >= n.min() and there.max() <= n.max()
    assert np.all(there[:, GRID.phonon_energies > 3.05] == n[:, GRID.phonon_energies > 3.05])
    np.testing.assert_allclose(carried_phonons(GRID, before, after, 0.0 * n + 0.3), 0.3, rtol=1e-14)


@pytest.mark.parametrize("rule", ["linear", "bin"])
def test_pairs_of_phonons(rule):
    """Two quasiparticles of every phonon, with its energy, in bins that pair breaking fills."""
    bin_weights = bcs_weights(GRID, GAPS, rule)
    points = np.arange(GRID.n_phonon)
    phonons = np.where(points >= first_of_pairs(GRID, bin_weights)[:, None], 1e-3 / (1.0 + points), 0.0)
    phonons[:, 60:] = 0.0
    pairs = broken_pairs(GRID, bin_weights, phonons)
    assert np.all(pairs >= 0.0) and np.all(pairs[~bin_weights.active] == 0.0)
    np.testing.assert_allclose(
        quasiparticle_density(bin_weights, pairs), 2.0 * phonons.sum(axis=1), rtol=1e-13
    )
    energy = phonons @ GRID.phonon_energies
    np.testing.assert_allclose(quasiparticle_energy(GRID, bin_weights, pairs), energy, rtol=1e-13)
    operator, f = ElectronPhonon(GRID, COUPLING, "direct"), np.zeros((5, GRID.n))
    one = points == np.array([30])
    made = operator.at(bin_weights, f, one * np.ones((5, 1))).gain_loss("pairs").in_f
    alone = broken_pairs(GRID, bin_weights, one * 1e-3 * np.ones((5, 1)))
    ratios = (pairs / pairs.max(axis=1)[:, None] for pairs in (alone, made))
    np.testing.assert_allclose(*ratios, atol=1e-12)


def graded(width: float, growth: float, gap: float | tuple[float, ...] = 1.0) -> EnergyAxis:
    return EnergyAxis.from_gap(5.0, gap=gap, finest=width, growth=growth, fixed=True)


@pytest.mark.parametrize("gap", [1.0, 0.7])
@pytest.mark.parametrize("width", [0.08, 0.02])
def test_pair_breaking_at_the_threshold_on_a_graded_axis(width, gap):
    """The points that pairs of the lowest bins emit break pairs at their exact rates, and energy is kept."""
    grid = graded(width, 0.15, gap)
    bin_weights = at_threshold(grid, bcs_weights(grid, gap), gap)
    few, empty = np.full((1, grid.n_phonon), 1e-8), np.zeros((1, grid.n))
    rates = inverse_lifetimes(ElectronPhonon(grid, COUPLING), bin_weights, empty, few).pair_breaking[0]
    first = np.searchsorted(grid.phonon_energies, 2.0 * grid.energies[0] * (1.0 - 1e-9))
    np.testing.assert_allclose(
        grid.phonon_energies[first : first + 3],
        [2.0 * grid.energies[0], grid.energies[:2].sum(), 2.0 * grid.energies[1]],
        rtol=1e-12,
    )
    for k in range(first, first + 3):
        omega = max(grid.phonon_energies[k] / gap, 2.0 * (1.0 + 1e-12))
        exact = gap * breaking_rate(omega) / COUPLING.pair_breaking_time
        assert rates[k] == pytest.approx(exact, rel=1e-6)
    assert np.all(rates[:first] == 0.0)
    energy = grid.phonon_energies**3 * grid.phonon_widths
    assert bin_weights.phonon_shares[0] @ energy == pytest.approx(energy.sum(), rel=1e-13)
    assert np.all(bin_weights.phonon_shares > 0.0)


@pytest.mark.parametrize(("width", "growth"), [(0.08, 0.15), (0.02, 0.1)])
def test_decay_under_trapped_phonons_on_a_graded_axis(width, growth):
    """Cold quasiparticles decay as Rothwarf and Taylor say, at 1/(1 + τ_l/τ_B) of the rate without trapping;
    where points at 2Δ stand for modes on both sides, up to twice as fast."""
    grid, trapping = graded(width, growth), 10.0
    operator = ElectronPhonon(grid, COUPLING)
    broken = COUPLING.pair_breaking_time / breaking_rate(2.0 * (1.0 + 1e-9))
    processes = {"escape": PhononEscape(grid, COUPLING, trapping * broken)}
    ratios = []
    for shares in (threshold_shares(grid, 1.0)[0], None):
        medium = Medium(operator, 1.0, processes=processes, phonon_shares=shares)
        problem = BoltzmannProblem(separate_cells(), grid, medium)
        state = problem.state(1e-3 * np.exp(-(grid.energies - 1.0) / 0.02)[None, None], 0.0)
        early, late = evolve(problem, state, [1e3, 1e4], tolerance=1e-3)
        rate = (1.0 / late.ledger.number - 1.0 / early.ledger.number) / (late.time - early.time)
        ratios.append(rate * (1.0 + trapping) / (8.0 * COUPLING.strength))
    assert ratios[0] == pytest.approx(1.0, abs=0.02)
    assert ratios[1] > 1.1


def test_gaps_of_a_body():
    """Points have one number of modes in a body of two gaps and a normal part: pairs of each gap break at
    their exact rates above it, and a normal metal takes as much energy of phonons around 2Δ as it does
    without the split."""
    gaps = (1.0, 0.6)
    grid = graded(0.04, 0.1, (0.0, *gaps))
    shares = shares_of_gaps(grid, gaps)
    total = product_of_shares(shares.values())
    few, empty = np.full((1, grid.n_phonon), 1e-8), np.zeros((1, grid.n))
    operator = ElectronPhonon(grid, COUPLING)

    def broken(gap: float) -> np.ndarray:
        others = product_of_shares(part for own, part in shares.items() if own != gap)
        bin_weights = replace(bcs_weights(grid, gap), phonon_shares=total[None], pair_shares=others[None])
        return inverse_lifetimes(operator, bin_weights, empty, few).pair_breaking[0]

    for gap in gaps:
        one, other = grid.energies[lowest_bin(grid.energies, gap) :][:2]
        for omega in (2.0 * one, one + other, 2.0 * other):
            exact = gap * breaking_rate(max(omega / gap, 2.0 + 1e-12)) / COUPLING.pair_breaking_time
            k = np.argmin(np.abs(grid.phonon_energies - omega))
            assert broken(gap)[k] == pytest.approx(exact, rel=1e-6)
    plain = inverse_lifetimes(operator, bcs_weights(grid, 0.0), empty, few).pair_breaking[0]
    around = np.abs(grid.phonon_energies - 2.0) < 0.3
    energy = operator.phonon_modes * grid.phonon_energies * around
    assert (energy * total) @ broken(0.0) == pytest.approx(energy @ plain, rel=2e-3)
    assert shares_of_gaps(grid, (1.0, 0.99)) == {}


def test_where_modes_are_not_split():
    bin_weights = at_threshold(GRID, bcs_weights(GRID, GAPS), GAPS)
    operator = ElectronPhonon(GRID, COUPLING, "graded")
    f, n = (part * np.ones((5, 1)) for part in thermal(GRID, 0.2))
    with pytest.raises(CaseError, match="graded sums have the same shares of phonon modes in all cells"):
        _ = operator.at(bin_weights, f, n).rates
    with pytest.raises(CaseError, match="graded sums do not split phonon modes at twice a gap that follows"):
        moves = SelfConsistentGap(GRID, splits_phonons=True)
        BoltzmannProblem(separate_cells(), GRID, Medium(operator, moves))
