"""Cells that do not exchange particles: ledgers, equilibrium, driven steady states, moving gap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy
from thermal_gaps import thermal_gap

from fvqp.collisions import Coupling, ElectronPhonon, Localization, PhotonDrive, thermal
from fvqp.collisions.sources import PhononEscape
from fvqp.collisions.threshold import threshold_shares
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import SelfConsistentGap
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import (
    BoltzmannProblem,
    Diffusion,
    Medium,
    Moment,
    State,
    balanced_state,
    cell_steps,
    evolve,
    separate_cells,
)
from fvqp.models.boltzmann.cell_equations import CellEquations

COUPLING = Coupling(kappa=1.764, pair_breaking_time=5.5e-4)
ESCAPE = 4e-4


def operator(bins: int = 40, start: float = 1.0, name: str = "direct") -> ElectronPhonon:
    return ElectronPhonon(EnergyAxis.uniform(5.0 / bins, 6.0, start=start), COUPLING, name)


def cells(collisions: ElectronPhonon, processes=None, *, gap=1.0, number: int = 1) -> BoltzmannProblem:
    """Cells of one medium, whose phonon modes are split at 2Δ where the gap stays."""
    splits = not isinstance(gap, SelfConsistentGap) and not collisions.shares_phonons
    shares = threshold_shares(collisions.grid, gap)[0] if splits else None
    medium = Medium(collisions, gap, processes=processes or {}, phonon_shares=shares)
    return BoltzmannProblem(separate_cells(number), collisions.grid, medium)


def driven(
    rate: float, bath: float, *, bins: int = 40, gap: float | SelfConsistentGap = 1.0, collisions=None
) -> BoltzmannProblem:
    collisions = collisions or operator(bins)
    grid = collisions.grid
    processes = {
        "drive": PhotonDrive.classical(grid, 0.25, rate),
        "escape": PhononEscape(grid, COUPLING, ESCAPE, thermal(grid, bath).n),
    }
    return cells(collisions, processes, gap=gap)


def means(state: State) -> tuple[np.ndarray, np.ndarray]:
    """f and n of the cells, which have no directions."""
    return state.f[:, 0], state.n[:, 0]


def joined(state: State) -> np.ndarray:
    return np.concatenate(means(state), axis=1)


def active(problem: BoltzmannProblem, state: State) -> np.ndarray:
    """Bins with states, ``(cells, N)``."""
    return problem.at(state.gap).local.weight_f > 0.0


def pulse(grid: EnergyAxis, temperature: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    f, n = thermal(grid, temperature)
    return f + 0.1 * np.exp(-0.5 * ((grid.energies - 3.5) / 0.3) ** 2), n


@pytest.mark.parametrize("name", [pytest.param("direct", marks=pytest.mark.slow), "graded"])
def test_closed_system_keeps_its_energy_and_ends_in_equilibrium(name):
    collisions = operator(24, name=name)
    problem = cells(collisions)
    state = problem.state(*pulse(collisions.grid, 0.3))
    before = problem.ledger(state)
    tolerance = 1e-3 if name == "direct" else 3e-3
    for moment in evolve(problem, state, [1e-5, 1e-3, 0.1, 1e3], method="arkimex", tolerance=tolerance):
        np.testing.assert_allclose(moment.ledger.stored, before.stored, rtol=3e-13)
        assert moment.state.f.min() >= -1e-15
        assert moment.state.n.min() >= -1e-15 * moment.state.n.max()
    f, n = means(moment.state)
    temperatures = np.concatenate(
        [
            (collisions.grid.energies / np.log(1.0 / f - 1.0))[active(problem, state)],
            (collisions.grid.phonon_energies / np.log1p(1.0 / n))[0],
        ]
    )
    np.testing.assert_allclose(temperatures, temperatures[0], rtol=2e-3)


@pytest.mark.slow
def test_ledger_of_a_driven_open_system_closes():
    problem = driven(1.0, 0.15)
    state = problem.state(*pulse(problem.grid))
    before = problem.ledger(state)
    for moment in evolve(problem, state, [1e-6, 1e-2, 1.0, 300.0], method="arkimex", tolerance=1e-3):
        after = moment.ledger
        assert abs(after.stored - before.stored - after.received) < 1e-12 * before.quasiparticles
    assert after.given["escape"] < 0.0 < after.given["drive"]
    # where it ends is what the other solver finds at once
    steady = balanced_state(problem, moment.state).state
    np.testing.assert_allclose(moment.state.f, steady.f, rtol=2e-3)


@pytest.mark.slow
def test_evolution_converges():
    """All occupations of a hot pulse approach one solution as the tolerance falls."""
    problem = cells(operator(24))
    state = problem.state(*pulse(problem.grid))

    def at(tolerance: float) -> np.ndarray:
        (moment,) = evolve(problem, state, [0.02], method="arkimex", tolerance=tolerance)
        return joined(moment.state)

    reference = at(1e-7)
    errors = [np.abs(at(t) / reference - 1.0).max() for t in (1e-3, 1e-4)]
    assert errors[0] < 0.05
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("bath", [0.05, 0.2])
def test_equilibrium_is_a_steady_state(bath):
    problem = driven(0.0, bath)
    grid = problem.grid
    f, n = thermal(grid, bath)
    at_once = balanced_state(problem, problem.state(f, n))
    assert at_once.iterations == 0
    cold = thermal(grid, 0.7 * bath)
    found = balanced_state(problem, problem.state(*cold)).state
    there = active(problem, found)
    np.testing.assert_allclose(found.f[:, 0][there], f[there], rtol=1e-6)
    np.testing.assert_allclose(found.n[:, 0], n, rtol=1e-6)


@pytest.mark.parametrize("rate", [1e-3, 0.3, 30.0])
def test_driven_steady_state_from_cold_and_hot_guesses(rate):
    problem = driven(rate, 0.05)
    grid = problem.grid
    cold = balanced_state(problem, problem.state(*thermal(grid, 0.05)))
    hot = balanced_state(problem, problem.state(*thermal(grid, 0.3)))
    np.testing.assert_allclose(hot.state.f, cold.state.f, rtol=1e-6)
    for found in (cold, hot):
        assert found.residual <= 1e-9
        assert found.imbalance["number of quasiparticles"] <= 1e-7
        assert found.imbalance["energy"] <= 1e-7
    # twenty decades below the largest, gain still equals loss
    assert 0.0 < cold.state.n.min() < 1e-20
    # absorbed power leaves with phonons
    processes, (bin_weights,) = (
        problem.media[0].medium.processes,
        problem.at(cold.state.gap).local.bin_weights,
    )
    flows = {
        name: processes[name].at(bin_weights, *means(cold.state)).energy_flow()
        for name in ("drive", "escape")
    }
    absorbed, emitted = flows["drive"].quasiparticles[0], -flows["escape"].phonons[0]
    turned_over = CellEquations(problem).balances(joined(cold.state))["energy"]
    assert absorbed - emitted == pytest.approx(0.0, abs=1e-9 * turned_over[0][0])
    assert absorbed > 0.0


@pytest.mark.parametrize("bath", [0.025, pytest.param(0.01, marks=pytest.mark.slow)])
def test_steady_states_of_cold_superconductors(bath):
    """Recombination is slower than scattering by far more than rounding; the number is right all the same."""
    problem = driven(0.0, bath)
    grid = problem.grid
    f, n = thermal(grid, bath)
    found = balanced_state(problem, problem.state(*thermal(grid, 0.9 * bath)))
    assert 1e-50 < problem.ledger(found.state).number < 1e-17
    kept = active(problem, found.state) & (f > 1e-100)
    np.testing.assert_allclose(found.state.f[:, 0][kept], f[kept], rtol=1e-8)
    # a drive that makes pairs: up from the bath, and down from above
    problem = driven(1.0, bath)
    rising = balanced_state(problem, problem.state(f, n))
    falling = balanced_state(problem, problem.state(*thermal(grid, 0.1)))
    assert rising.imbalance["number of quasiparticles"] < 1e-7
    np.testing.assert_allclose(rising.state.f, falling.state.f, rtol=1e-6)


def test_hot_guesses_take_few_steps():
    """Density and tails come down together: by a half and by a hundredth a step."""
    problem = driven(0.0, 0.05)
    grid = problem.grid
    found = balanced_state(problem, problem.state(*thermal(grid, 0.4)))
    fall = 1.0 / 0.05 - 1.0 / 0.4
    halvings, hundredths = fall / np.log(2.0), grid.phonon_energies[-1] * fall / np.log(100.0)
    assert halvings < found.iterations < max(halvings, hundredths) + 15
    f = found.state.f[:, 0]
    there = active(problem, found.state) & (f > 1e-100)
    np.testing.assert_allclose(f[there], thermal(grid, 0.05).f[there], rtol=1e-6)


def test_cold_states_on_graded_axes_say_what_to_do():
    grid = EnergyAxis.from_gap(6.0, gap=1.0, finest=0.04, growth=0.1)
    problem = driven(0.0, 0.012, collisions=ElectronPhonon(grid, COUPLING))
    with pytest.raises(ConvergenceError, match="no steady state.*take a uniform one for cold states"):
        balanced_state(problem, problem.state(*thermal(grid, 0.014)), max_iterations=20)


def test_number_replaces_the_equation_of_one_bin():
    """Rates are the sum over all bins, and their Jacobian is the derivative of that."""
    problem = driven(1.0, 0.2)
    counted, plain = CellEquations(problem, balance_pairs=True), CellEquations(problem)
    y = np.concatenate(pulse(problem.grid), axis=1)
    states = bcs_weights(problem.grid, 1.0).dos_weights
    at = int(np.argmax(states * y[:, : plain.dense]))
    rates, expected = counted.rates(y), plain.rates(y)
    total = (states * expected[:, : plain.dense]).sum() / states[0, at]
    assert rates[0, at] == pytest.approx(total, rel=1e-9)
    expected[0, at] = rates[0, at]
    np.testing.assert_array_equal(rates, expected)
    step = 1e-6 * y * np.cos(np.arange(y.size))
    difference = 0.5 * (counted.rates(y + step) - counted.rates(y - step))
    np.testing.assert_allclose(counted.product(y, step)[0, at], difference[0, at], rtol=1e-6)
    blocks = counted.blocks(y)
    moved = blocks.xx[0, at] @ step[0, : plain.dense] + blocks.xz[0, at] @ step[0, plain.dense :]
    assert moved == pytest.approx(difference[0, at], rel=1e-6)


def test_steady_state_on_a_graded_grid():
    grid = EnergyAxis.from_gap(6.0, gap=1.0, finest=0.04, growth=0.1)
    problem = driven(0.3, 0.1, collisions=ElectronPhonon(grid, COUPLING))
    uniform = driven(0.3, 0.1, bins=125)
    density = [
        p.ledger(balanced_state(p, p.state(*thermal(p.grid, 0.1))).state).number for p in (problem, uniform)
    ]
    assert density[0] == pytest.approx(density[1], rel=0.1)


def test_cells_do_not_act_on_one_another():
    collisions = operator(24)
    gaps = np.array([1.0, 1.1])
    both = cells(collisions, {"escape": _escape(collisions.grid)}, gap=gaps, number=2)
    guess = both.state(*thermal(collisions.grid, 0.15))
    found = balanced_state(both, guess).state
    for cell in range(2):
        alone = cells(collisions, {"escape": _escape(collisions.grid)}, gap=gaps[cell])
        single = balanced_state(alone, alone.state(*thermal(collisions.grid, 0.15))).state
        there = bcs_weights(collisions.grid, gaps[cell]).active[0]
        np.testing.assert_allclose(found.f[cell, 0, there], single.f[0, 0, there], rtol=1e-6)
    assert not np.allclose(found.f[0], found.f[1], rtol=1e-3) or np.allclose(
        found.n[0], found.n[1], rtol=1e-3
    )


def _escape(grid: EnergyAxis) -> PhononEscape:
    return PhononEscape(grid, COUPLING, ESCAPE, thermal(grid, 0.1).n)


def test_gap_follows_and_energy_stays():
    collisions = operator(48, start=0.0)
    self_consistent = SelfConsistentGap(collisions.grid)
    problem = cells(collisions, gap=self_consistent)
    state = problem.state(*pulse(collisions.grid))
    before = problem.ledger(state)
    gaps = []
    for moment in evolve(problem, state, [1e-2, 1.0, 100.0], method="arkimex", tolerance=1e-2):
        assert moment.ledger.stored == pytest.approx(before.stored, abs=1e-12 * before.quasiparticles)
        assert self_consistent.residual(moment.state.f[:, 0], moment.state.gap)[0] == pytest.approx(
            0.0, abs=1e-11
        )
        gaps.append(moment.state.gap[0])
    assert gaps[-1] < 0.97 * state.gap[0]
    # equilibrium at the end: gap and temperature belong together
    there = active(problem, moment.state)
    f, at = moment.state.f[:, 0][there], collisions.grid.energies[there[0]]
    temperature = (at / np.log(1.0 / f - 1.0))[0]
    assert gaps[-1] == pytest.approx(thermal_gap(self_consistent, temperature), rel=1e-3)


def followed(limit: float, monkeypatch) -> tuple[list[float], list[float], Moment, BoltzmannProblem]:
    """Gaps and entropies after every step of a strong pulse, in which the gap moves by `limit` at most."""
    monkeypatch.setattr(cell_steps, "GAP_STEP", limit / 1e-2)
    collisions = operator(48, start=0.0)
    problem = cells(collisions, gap=SelfConsistentGap(collisions.grid))
    state = problem.state(*pulse(collisions.grid))
    gaps, entropies = [state.gap[0]], [entropy(problem, state)]

    def record(time: float, now: State, limit: str) -> None:
        gaps.append(now.gap[0])
        entropies.append(entropy(problem, now))

    (moment,) = evolve(problem, state, [0.1], method="arkimex", tolerance=1e-2, callback=record)
    return gaps, entropies, moment, problem


def entropy(problem: BoltzmannProblem, state: State) -> float:
    """Of quasiparticles and phonons; a condensate has none."""
    (one,), (f, n) = problem.media, means(state)
    states, modes = one.bin_weights(state.gap).dos_weights, one.modes
    quasiparticles = -(states * (xlogy(f, f) + xlogy(1.0 - f, 1.0 - f))).sum()
    return float(quasiparticles + (modes * (xlogy(1.0 + n, 1.0 + n) - xlogy(n, n))).sum())


@pytest.mark.slow
def test_order_in_the_step_of_a_gap_that_follows(monkeypatch):
    """Steps are limited by the motion of the gap: the error falls with its square, from 0.04 % on."""
    values, moves = [], (0.01, 0.0025, 0.000625)
    for limit in moves:
        gaps, _, moment, _ = followed(limit, monkeypatch)
        assert np.abs(np.diff(gaps)).max() < 2.0 * limit
        values.append(np.array([moment.state.gap[0], moment.ledger.number]))
    errors = [np.abs(value / values[-1] - 1.0) for value in values[:-1]]
    assert np.all(errors[0] < 4e-4)
    # of order 2, with the finest as the reference: (16² − 1)/(4² − 1) = 17
    assert np.all(np.log(errors[0] / errors[1]) / np.log(17.0) > 0.8)


@pytest.mark.slow
def test_entropy_grows_while_the_gap_follows(monkeypatch):
    gaps, entropies, _, _ = followed(0.005, monkeypatch)
    assert gaps[-1] < gaps[0] - 0.1
    assert np.all(np.diff(entropies) > 0.0)


def test_steady_gap_falls_with_the_drive_and_vanishes_in_a_hot_bath():
    collisions = operator(48, start=0.0)
    self_consistent = SelfConsistentGap(collisions.grid)
    gaps, guess = [], None
    for rate in (0.0, 10.0, 1e3, 1e5):
        problem = driven(rate, 0.1, gap=self_consistent, collisions=collisions)
        guess = guess or problem.state(*thermal(collisions.grid, 0.1))
        found = balanced_state(problem, guess)
        guess = found.state
        gaps.append(guess.gap[0])
        if gaps[-1] > 0.0:
            assert self_consistent.residual(guess.f[:, 0], guess.gap)[0] == pytest.approx(0.0, abs=1e-9)
    assert gaps[0] == pytest.approx(thermal_gap(self_consistent, 0.1), rel=1e-9)
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    hot = thermal(collisions.grid, 0.9).n
    heated = cells(
        collisions, {"escape": PhononEscape(collisions.grid, COUPLING, ESCAPE, hot)}, gap=self_consistent
    )
    assert balanced_state(heated, guess).state.gap[0] == 0.0


class Square:
    """Annihilation by pairs."""

    def rate(self, concentration: np.ndarray) -> np.ndarray:
        return concentration**2

    def derivative(self, concentration: np.ndarray) -> np.ndarray:
        return 2.0 * concentration


def test_bad_input():
    line, grid = shape_mesh("grid1d", nx=2, Lx=2e-6), EnergyAxis.uniform(0.1, 5.0)
    collisions = ElectronPhonon(grid, COUPLING, "direct")
    moving = Medium(collisions, fermi_velocity=1e-3, free_path=1e-7)
    problem = BoltzmannProblem(line, grid, moving, quasiparticles=Diffusion())
    with pytest.raises(CaseError, match='stay in their cells; bodies in which they move evolve by "rosen'):
        next(evolve(problem, problem.thermal(0.1), [1.0], method="arkimex"))
    with pytest.raises(CaseError, match="stay in their cells"):
        balanced_state(problem, problem.thermal(0.1))
    fine = EnergyAxis.uniform(0.03, 5.0)
    for name in ("auto", "fourier"):
        with pytest.raises(CaseError, match='choose the evaluation "direct" of collisions'):
            CellEquations(cells(ElectronPhonon(fine, COUPLING, name)))
    one = Localization(grid, bcs_weights(grid, 1.0), Square(), 1.0, collisions.phonon_modes)
    problem = BoltzmannProblem(
        separate_cells(), grid, Medium(collisions, 1.0, processes={"localization": one})
    )
    with pytest.raises(CaseError, match="does not count localized quasiparticles"):
        balanced_state(problem, problem.thermal(0.1))


def test_names_of_unknowns_in_messages():
    collisions = operator()
    insulator = Medium(None, None, modes=collisions.phonon_modes)
    media = [([0], Medium(collisions, 1.0)), ([1], insulator)]
    problem = BoltzmannProblem(separate_cells(2), collisions.grid, media)
    equations, state = CellEquations(problem), problem.thermal(0.2)
    first, last = collisions.grid.energies[0], collisions.grid.phonon_energies[-1]
    of_film = equations.describe(joined(state), 0, 0)
    assert of_film.startswith(f"quasiparticles of {first:.4g} Δ0 in cell 0, mostly by electron-phonon coll")
    of_insulator = equations.describe(joined(state), 1, equations.shape[1] - 1)
    assert of_insulator == f"phonons of {last:.4g} Δ0 in cell 1, which nothing changes"


def test_no_steady_state_says_which_process():
    problem = driven(1.0, 0.05)
    guess = problem.state(*thermal(problem.grid, 0.2))
    with pytest.raises(ConvergenceError, match=r"no steady state after 1 steps: .*Δ0 in cell 0, mostly by"):
        balanced_state(problem, guess, max_iterations=1)
