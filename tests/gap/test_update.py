"""The gap of a cell on a fixed energy axis, and quasiparticles that move with it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from thermal_gaps import critical_temperature, thermal_gap

import fvqp.threads
from fvqp.collisions import Coupling, ElectronPhonon, phonon_energy, quasiparticle_density, thermal
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import SelfConsistentGap, condensate_energy, equilibrium_gap
from fvqp.models.boltzmann import BoltzmannProblem, Medium, State, evolve, separate_cells

UNIFORM = EnergyAxis.uniform(0.02, 4.0)
GRADED = EnergyAxis.from_gap(12.0, gap=[0.5, 1.0], finest=0.01, growth=0.1)
GRIDS = pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])
RULES = pytest.mark.parametrize("rule", ["linear", "bin"])


def orders(errors):
    errors = np.abs(errors)
    return np.log2(errors[:-1] / errors[1:])


def entropy(self_consistent, f, gap):
    """Of quasiparticles, in units of 4 N0 Δ0 k_B."""
    states = self_consistent.bin_weights(gap).dos_weights
    return -(states * (f * np.log(f) + (1.0 - f) * np.log1p(-f))).sum(axis=1)


def phonon_entropy(operator, n):
    return (operator.phonon_modes * ((1.0 + n) * np.log1p(n) - n * np.log(n))).sum(axis=1)


@GRIDS
@RULES
def test_measure_is_that_of_the_collisions(grid, rule):
    gaps = np.linspace(0.5, 1.0, 41)
    found, expected = SelfConsistentGap(grid, rule).bin_weights(gaps), bcs_weights(grid, gaps, rule)
    np.testing.assert_allclose(found.dos_weights, expected.dos_weights, rtol=0.0, atol=1e-14)
    np.testing.assert_allclose(found.pair_weights, expected.pair_weights, rtol=0.0, atol=1e-14)
    if rule == "linear" and grid is UNIFORM:
        for gap in (0.0, 0.003, 0.01, 0.04):
            found, expected = SelfConsistentGap(grid).bin_weights(gap), bcs_weights(grid, gap)
            np.testing.assert_allclose(found.dos_weights, expected.dos_weights, rtol=0.0, atol=1e-14)
            np.testing.assert_allclose(found.pair_weights, expected.pair_weights, rtol=0.0, atol=1e-14)


@GRIDS
@RULES
@pytest.mark.parametrize("follows", [False, True])
def test_gaps_within_rounding_of_a_bin(grid, rule, follows):
    """What is left of a bin is then a small difference; no bin may lack states, or have too many pairs."""
    at = np.concatenate([grid.edges, grid.energies])
    at = at[(at > 0.5) & (at < 1.0)]
    gaps = np.concatenate([at[:, None] + sign * np.geomspace(1e-16, 1e-6, 21) for sign in (1, -1)]).ravel()
    found = SelfConsistentGap(grid, rule).bin_weights(gaps) if follows else bcs_weights(grid, gaps, rule)
    assert np.all(found.dos_weights >= 0.0)
    assert np.all(np.abs(found.pair_weights) <= found.dos_weights)
    np.testing.assert_allclose(
        found.dos_weights.sum(axis=1), np.sqrt(grid.edges[-1] ** 2 - gaps**2), rtol=1e-7
    )


def test_condensate_energy():
    assert condensate_energy(1.0) == -0.125
    assert condensate_energy(0.0) == 0.0
    gap, step = np.linspace(0.1, 1.2, 12), 1e-5
    slope = (condensate_energy(gap + step) - condensate_energy(gap - step)) / (2.0 * step)
    np.testing.assert_allclose(slope, 0.5 * gap * np.log(gap), atol=1e-9)
    compiled = SelfConsistentGap(UNIFORM).condensate_energy(gap)
    np.testing.assert_allclose(compiled, condensate_energy(gap), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("temperature", [0.25, 0.4, 0.5])
def test_equilibrium_gap_is_of_second_order(temperature):
    exact = float(equilibrium_gap(temperature))
    widths = (0.04, 0.02, 0.01)
    found = [thermal_gap(SelfConsistentGap(EnergyAxis.uniform(h, 8.0)), temperature) for h in widths]
    errors = np.array(found) - exact
    assert abs(errors[-1]) < 2e-4
    assert np.all(orders(errors) > 1.7)


def test_ratio_of_gap_and_critical_temperature():
    widths = (0.04, 0.02, 0.01)
    found = np.array(
        [2.0 / critical_temperature(SelfConsistentGap(EnergyAxis.uniform(h, 12.0))) for h in widths]
    )
    errors = found - 2.0 * np.pi * np.exp(-np.euler_gamma)
    assert abs(errors[-1]) < 2e-3
    assert np.all(orders(errors) > 1.7)


@GRIDS
def test_few_quasiparticles_reduce_the_gap_by_their_density(grid):
    """``δΔ/Δ = −n_qp/(2 N0 Δ)`` for quasiparticles next to the gap."""
    self_consistent = SelfConsistentGap(grid)
    f = 1e-6 * np.exp(-(((grid.energies - 1.0) / 0.02) ** 2))[None]
    gap = self_consistent.gap(f)
    density = quasiparticle_density(self_consistent.bin_weights(gap), f)
    np.testing.assert_allclose(1.0 - gap, 2.0 * density, rtol=0.02)


def disturbed(grid, seed):
    """Rough occupations, and the gaps before they changed."""
    random = np.random.default_rng(seed)
    f = thermal(grid, 0.3).f * random.uniform(0.9, 1.1, (6, grid.n))
    f += 0.1 * np.exp(-(((grid.energies - 2.0) / 0.3) ** 2))
    return f, np.clip(f * random.uniform(0.8, 1.25, (6, 1)), 0.0, 1.0)


@GRIDS
@RULES
def test_follow_keeps_number_and_energy(grid, rule):
    self_consistent = SelfConsistentGap(grid, rule)
    before, f = disturbed(grid, 3)
    gap = self_consistent.gap(before)
    end = self_consistent.follow(f, gap)
    assert np.ptp(end.gap - gap) > 0.02
    assert np.all(np.sign(end.gap - gap) == -np.sign((f - before).sum(axis=1)))
    number = quasiparticle_density(self_consistent.bin_weights(gap), f)
    np.testing.assert_allclose(quasiparticle_density(end.bin_weights, end.f), number, rtol=2e-15)
    energy = self_consistent.total_energy(f, gap)
    np.testing.assert_allclose(self_consistent.total_energy(end.f, end.gap), energy, rtol=0.0, atol=5e-16)
    assert np.all(np.abs(self_consistent.residual(end.f, end.gap)) < 1e-12)
    assert end.f.min() >= 0.0
    assert end.f.max() <= 1.0
    np.testing.assert_array_equal(
        end.bin_weights.dos_weights, self_consistent.bin_weights(end.gap).dos_weights
    )


def test_follow_keeps_bounds_of_full_and_empty_bins():
    """Steps between 0 and 1 stay within; only the energy that neighbours exchange may raise a maximum."""
    self_consistent = SelfConsistentGap(UNIFORM)
    f = np.where((UNIFORM.energies > 1.1) & (UNIFORM.energies < 1.16), 1.0, 0.0)[None]
    gap = self_consistent.gap(f)
    for factor in (0.5, 0.9):
        end = self_consistent.follow(factor * f, gap)
        assert end.gap[0] > gap[0] + 0.01
        assert end.f.min() >= 0.0
        assert end.f.max() <= 1.0
        np.testing.assert_allclose(
            self_consistent.total_energy(end.f, end.gap),
            self_consistent.total_energy(factor * f, gap),
            atol=5e-16,
        )


@GRIDS
@RULES
@pytest.mark.parametrize("temperature", [0.1, 0.3, 0.45, 0.7])
def test_equilibrium_does_not_move(grid, rule, temperature):
    if temperature == 0.7 and grid is GRADED:
        pytest.skip("does not reach down to 0")
    self_consistent, f = SelfConsistentGap(grid, rule), thermal(grid, temperature).f
    gap = thermal_gap(self_consistent, temperature)
    end = self_consistent.follow(f, gap)
    np.testing.assert_allclose(end.f, f, rtol=1e-13)
    assert end.gap[0] == pytest.approx(gap, abs=1e-13)
    assert (gap > 0.0) == (temperature < 0.56)


def test_uniform_occupation_stays_to_second_order_in_the_move():
    """States carry one and the same f; the energy of a move is exact at its ends, not between."""
    self_consistent = SelfConsistentGap(UNIFORM)
    f = 0.05 / (1.0 + np.exp((UNIFORM.energies[None] - 3.0) / 0.1))
    gap = self_consistent.gap(f)
    changed = []
    for part in (0.02, 0.01, 0.005):
        end = self_consistent.follow((1.0 - part) * f, gap)
        inner = end.bin_weights.active[0] & (UNIFORM.energies < 2.0)
        changed.append(np.abs(end.f[0, inner] / (0.05 * (1.0 - part)) - 1.0).max())
    assert changed[-1] < 1e-4
    assert np.all(orders(np.array(changed)) > 1.8)


def faded(h, steps, share=0.3):
    """A thermal distribution fades by ``1 − share`` in so many steps; error of the gap and of f."""
    temperature, grid = 0.42, EnergyAxis.uniform(h, 6.0)
    self_consistent, start = SelfConsistentGap(grid), float(equilibrium_gap(temperature))

    def initial(energy):
        return 1.0 / (np.exp(energy / temperature) + 1.0)

    def imbalance(gap):
        blocked = quad(lambda xi: initial(np.hypot(xi, start)) / np.hypot(xi, gap), 0.0, 12.0, epsabs=1e-12)
        return np.log(1.0 / gap) - 2.0 * share * blocked[0]

    f, gap = initial(grid.energies)[None], thermal_gap(self_consistent, temperature)
    for _ in range(steps):
        f, gap, bin_weights = self_consistent.follow(f * share ** (1.0 / steps), gap)
    exact = brentq(imbalance, 0.5, 1.0, xtol=1e-14)
    origin = np.sqrt(np.maximum(grid.energies**2 - exact**2 + start**2, 0.0))
    expected = share * initial(origin)
    states = bin_weights.dos_weights[0]
    return gap[0] - exact, states @ np.abs(f[0] - expected) / (states @ expected)


def test_carried_occupations_are_of_second_order_in_the_width():
    """Steps are refined along, four times as many for half the width."""
    errors = np.array([faded(h, n) for h, n in ((0.04, 60), (0.02, 240), (0.01, 960))])
    assert np.all(orders(errors[:, 1]) > 1.5)
    assert errors[-1, 1] < 1e-3
    assert np.abs(errors[:, 0]).max() < 5e-6


def test_lag_of_the_gap_is_of_first_order_in_the_step():
    finest = faded(0.04, 1280)[0]
    errors = np.array([faded(0.04, n)[0] - finest for n in (10, 20, 40)])
    assert np.all(orders(errors) > 0.8)
    assert np.all(orders(errors) < 1.3)


def test_entropy_of_the_move():
    """Quasiparticles that keep their momentum keep their entropy: to order 2 in the width, 1 in the step."""
    changes = []
    for h in (0.05, 0.025):
        grid = EnergyAxis.uniform(h, 4.0)
        self_consistent, f = SelfConsistentGap(grid), thermal(grid, 0.4).f
        gap, total, steps = np.array([thermal_gap(self_consistent, 0.4)]), 0.0, round(0.16 / h**2)
        for _ in range(steps):
            f = f * 0.5 ** (1.0 / steps)
            before = entropy(self_consistent, f, gap)
            f, gap, _ = self_consistent.follow(f, gap)
            total += (entropy(self_consistent, f, gap) - before)[0]
        changes.append(total / entropy(self_consistent, f, gap)[0])
    assert abs(changes[-1]) < 1e-4
    assert np.all(orders(np.array(changes)) > 1.7)


def test_cells_are_independent_and_long_moves_possible():
    self_consistent = SelfConsistentGap(UNIFORM)
    before, f = disturbed(UNIFORM, 5)
    f[2] *= 0.2
    gap = self_consistent.gap(before)
    together = self_consistent.follow(f, gap)
    assert together.gap[2] - gap[2] > 5 * UNIFORM.width
    for c in range(f.shape[0]):
        alone = self_consistent.follow(f[c : c + 1], gap[c])
        np.testing.assert_array_equal(alone.f[0], together.f[c])
        assert alone.gap[0] == together.gap[c]
    number = quasiparticle_density(self_consistent.bin_weights(gap), f)
    np.testing.assert_allclose(quasiparticle_density(together.bin_weights, together.f), number, rtol=1e-14)


def test_superconductivity_vanishes_and_returns():
    self_consistent = SelfConsistentGap(UNIFORM)
    critical = critical_temperature(self_consistent)
    gap = np.array([thermal_gap(self_consistent, 0.9 * critical)])
    gaps = []
    parts = np.concatenate([np.linspace(0.9, 1.05, 30), np.full(30, 1.05), np.linspace(1.05, 0.9, 30)])
    for part in parts:
        f = thermal(UNIFORM, part * critical).f
        number, energy = (
            quasiparticle_density(self_consistent.bin_weights(gap), f),
            self_consistent.total_energy(f, gap),
        )
        end = self_consistent.follow(f, gap)
        gap = end.gap
        np.testing.assert_allclose(quasiparticle_density(end.bin_weights, end.f), number, rtol=1e-14)
        np.testing.assert_allclose(self_consistent.total_energy(end.f, gap), energy, atol=1e-14)
        gaps.append(gap[0])
    assert gaps[59] == 0.0
    assert gaps[-1] > 0.3
    assert self_consistent.gap(thermal(UNIFORM, 1.05 * critical).f)[0] == 0.0


#: Gap that falls from 0.95 to 0.81 and turns; gap that rises from 0.64 to 0.87: background temperature,
#: height, energy and width of a pulse, τ0^pb/τ0.
PULSES = {"falls": (0.22, 0.1, 3.3, 0.2, 0.05), "rises": (0.3, 0.3, 1.6, 0.25, 1.0)}


def hot(grid, pulse="rises"):
    """A pulse of hot quasiparticles on a warm background, phonons still warm only."""
    temperature, height, energy, width, ratio = PULSES[pulse]
    start = thermal(grid, temperature)
    f = start.f + height * np.exp(-0.5 * ((grid.energies - energy) / width) ** 2)
    return f, start.n.copy(), Coupling(1.764, ratio)


GRADED_RUN = EnergyAxis.from_gap(4.0, gap=[0.4, 1.0], finest=0.05, growth=0.1)
UNIFORM_RUN = EnergyAxis.uniform(0.05, 4.0)


@pytest.mark.parametrize(
    ("name", "grid", "pulse"),
    [
        ("direct", UNIFORM_RUN, "rises"),
        ("graded", GRADED_RUN, "falls"),
        pytest.param("direct", UNIFORM_RUN, "falls", marks=pytest.mark.slow),
        pytest.param("graded", GRADED_RUN, "rises", marks=pytest.mark.slow),
    ],
)
def test_hot_pulse_keeps_its_energy_and_gains_entropy(name, grid, pulse):
    """Closed system: what quasiparticles, condensate and phonons hold together, with a gap that moves."""
    f, n, coupling = hot(grid, pulse)
    operator, self_consistent = ElectronPhonon(grid, coupling, name), SelfConsistentGap(grid)
    record = []

    def note(_time: float, now: State, _limit: str) -> None:
        f, n = now.f[:, 0], now.n[:, 0]
        energy = self_consistent.total_energy(f, now.gap) + phonon_energy(operator, n)
        total = entropy(self_consistent, f, now.gap) + phonon_entropy(operator, n)
        record.append([energy[0], phonon_energy(operator, n)[0], total[0], now.gap[0]])

    problem = BoltzmannProblem(separate_cells(), grid, Medium(operator, self_consistent))
    list(evolve(problem, problem.state(f, n), [4.0], method="arkimex", tolerance=2e-3, callback=note))
    energy, phonons, total, gaps = np.array(record).T
    assert gaps.max() - gaps.min() > 0.1
    assert np.abs(energy - energy[0]).max() < 1e-12 * np.ptp(phonons)
    assert np.diff(total).min() >= 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["direct", "graded"])
def test_closed_system_ends_in_equilibrium_with_its_gap(name, grid=UNIFORM_RUN):
    """Linearly implicit collisions, then the gap: the end is thermal, with the gap of its temperature."""
    f, n, coupling = hot(grid)
    operator, self_consistent = ElectronPhonon(grid, coupling, name), SelfConsistentGap(grid)
    gap = self_consistent.gap(f)
    bin_weights = self_consistent.bin_weights(gap)
    energies = [self_consistent.total_energy(f, gap)[0] + phonon_energy(operator, n)[0]]
    moved, gaps, step = phonon_energy(operator, n)[0], [gap[0]], 2e-3
    while step < 1e6:
        rates = operator.at(bin_weights, f, n).rates
        blocks = operator.at(bin_weights, f, n).jacobian()
        inverse = 1.0 / step - blocks.nn[0]
        schur = np.eye(grid.n) / step - blocks.ff[0] - (blocks.fn[0] / inverse) @ blocks.nf[0]
        change_f = np.linalg.solve(schur, rates.f[0] + blocks.fn[0] @ (rates.n[0] / inverse))
        change_n = (rates.n[0] + blocks.nf[0] @ change_f) / inverse
        f, gap, bin_weights = self_consistent.follow(f + change_f, gap)
        n = n + change_n
        step *= 1.25
        energies.append(self_consistent.total_energy(f, gap)[0] + phonon_energy(operator, n)[0])
        gaps.append(gap[0])
    moved -= phonon_energy(operator, n)[0]
    assert np.ptp(energies) < 1e-12 * abs(moved)
    temperature = grid.phonon_energies[0] / np.log1p(1.0 / n[0, 0])
    active = bin_weights.active[0]
    end = thermal(grid, temperature)
    np.testing.assert_allclose(f[0, active], end.f[0, active], rtol=1e-8)
    np.testing.assert_allclose(n, end.n, rtol=1e-8)
    assert gap[0] == pytest.approx(thermal_gap(self_consistent, temperature), rel=1e-8)
    assert gaps[-1] - min(gaps) > 0.02


def test_bad_input():
    f = thermal(UNIFORM, 0.3).f
    self_consistent = SelfConsistentGap(UNIFORM)
    with pytest.raises(CaseError, match=r"within \[0, 1\], found"):
        self_consistent.follow(2.5 * f, 0.9)
    with pytest.raises(CaseError, match="within"):
        self_consistent.gap(np.full_like(f, np.nan))
    with pytest.raises(CaseError, match=r"shape \(cells, 200\)"):
        self_consistent.gap(f[:, 1:])
    with pytest.raises(CaseError, match="one number, or one for each of 1 cells"):
        self_consistent.follow(f, [0.9, 0.8])
    with pytest.raises(CaseError, match="not negative"):
        self_consistent.follow(f, -0.1)
    with pytest.raises(CaseError, match="does not hold a gap"):
        self_consistent.bin_weights(4.5)
    with pytest.raises(CaseError, match='must be "bin" or "linear"'):
        SelfConsistentGap(UNIFORM, "cubic")
    with pytest.raises(CaseError, match="do not hold the gap"):
        SelfConsistentGap(EnergyAxis.uniform(0.1, 0.9))


def test_gap_that_leaves_the_grid_is_said():
    self_consistent = SelfConsistentGap(GRADED)
    with pytest.raises(CaseError, match="gap of cell 1 falls below"):
        self_consistent.gap(np.concatenate([thermal(GRADED, 0.3).f, thermal(GRADED, 0.54).f]))
    with pytest.raises(CaseError, match="above a gap of 0.2"):
        self_consistent.follow(thermal(GRADED, 0.3).f, 0.2)


def test_energy_of_the_condensate_needs_takers():
    """No quasiparticles, but a gap far from Δ0: nothing could take the energy of condensation."""
    with pytest.raises(ConvergenceError, match="gap of cell 0: does not move on from 0.5"):
        SelfConsistentGap(UNIFORM).follow(np.zeros((1, UNIFORM.n)), 0.5)
    with pytest.raises(ConvergenceError, match="gap of cell 0: does not move on from 0 "):
        SelfConsistentGap(UNIFORM).follow(np.zeros((1, UNIFORM.n)), 0.0)


def test_threads_do_not_change_anything(monkeypatch):
    self_consistent = SelfConsistentGap(UNIFORM)
    f = np.vstack([thermal(UNIFORM, temperature).f for temperature in np.linspace(0.3, 0.5, 7)])
    gap = self_consistent.gap(f)
    alone = self_consistent.follow(1.01 * f, gap)
    monkeypatch.setattr(fvqp.threads, "_numba_threads", lambda: 3)
    monkeypatch.setattr(self_consistent, "_least", 0)
    np.testing.assert_array_equal(self_consistent.gap(f), gap)
    several = self_consistent.follow(1.01 * f, gap)
    np.testing.assert_array_equal(several.f, alone.f)
    np.testing.assert_array_equal(several.gap, alone.gap)
    np.testing.assert_array_equal(several.bin_weights.dos_weights, alone.bin_weights.dos_weights)


@pytest.mark.parametrize("rule", ["linear", "bin"])
def test_another_superconductor_follows_in_its_own_units(rule):
    """Energies are only measured in other units: all is that of Δ_c = 1 on an axis scaled by 1/Δ_c."""
    cold, grid = 0.4, EnergyAxis.uniform(0.02, 2.0, start=0.1)
    own = EnergyAxis.uniform(0.02 / cold, 2.0 / cold, start=0.1 / cold)
    self_consistent, reference = SelfConsistentGap(grid, rule, cold=cold), SelfConsistentGap(own, rule)
    f = thermal(own, 0.25).f
    gap = self_consistent.gap(f)
    np.testing.assert_allclose(gap, cold * reference.gap(f), rtol=1e-13)
    assert 0.3 < gap[0] < 0.4
    np.testing.assert_allclose(
        self_consistent.bin_weights(gap).dos_weights, bcs_weights(grid, gap, rule).dos_weights, atol=1e-13
    )
    hotter = np.minimum(1.5 * f, 0.5)
    end, expected = self_consistent.follow(hotter, gap), reference.follow(hotter, gap / cold)
    np.testing.assert_allclose(end.gap, cold * expected.gap, rtol=1e-13)
    np.testing.assert_allclose(end.f, expected.f, rtol=1e-10, atol=1e-14)
    energy = self_consistent.total_energy(hotter, gap)
    np.testing.assert_allclose(self_consistent.total_energy(end.f, end.gap), energy, rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(energy, cold**2 * reference.total_energy(hotter, gap / cold), rtol=1e-12)
    np.testing.assert_allclose(self_consistent.shift(hotter, gap, end.gap).gap, end.gap, rtol=1e-13)
    assert self_consistent.residual(f, gap) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(CaseError, match="do not hold the gap of zero temperature, 0.05"):
        SelfConsistentGap(grid, rule, cold=0.05)
