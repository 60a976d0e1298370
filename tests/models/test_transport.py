"""Boltzmann transport: balances, bounds, solutions of the rate equations of cells, split phonon modes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from mpi4py import MPI
from scipy.integrate import solve_ivp
from shells import shell_mesh

from fvqp.collisions import Coupling, ElectronPhonon, PhononEscape, thermal
from fvqp.collisions.sources import Gaussian, QuasiparticleInjection
from fvqp.collisions.threshold import threshold_shares
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, Diffusion, DiscreteOrdinates, Medium
from fvqp.models.boltzmann.evolution import evolve
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.state import Rates
from fvqp.models.boltzmann.steady import SteadySolver
from fvqp.transport.directions import gauss_legendre, lebedev, spherical
from fvqp.transport.walls import Wall

SELF = MPI.COMM_SELF
GRID = EnergyAxis.uniform(0.1, 4.0)
COLLISIONS = ElectronPhonon(GRID, Coupling(1.85, 0.041), "direct")
BATH = thermal(GRID, 0.15)
HOT = np.exp(-0.5 * ((GRID.energies - 2.5) / 0.3) ** 2)


def imbalance(problem: BoltzmannProblem, start: float, ledger) -> float:
    """Energy that appeared, relative to all that is there or moved."""
    return abs(ledger.stored - ledger.received - start) / (abs(ledger.stored) + abs(ledger.received))


@pytest.mark.parametrize("follows", [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_integrators_of_one_problem(follows):
    """Linearly implicit steps of order 2 approach Runge-Kutta steps of order 4."""
    gap = SelfConsistentGap(GRID) if follows else 1.0
    line = shape_mesh("grid1d", nx=1, Lx=1e-6, comm=SELF)
    problem = BoltzmannProblem(line, GRID, Medium(COLLISIONS, gap))
    state = problem.state(BATH.f + 0.05 * HOT, BATH.n)
    (expected,) = evolve(problem, state, [0.1], method="arkimex", tolerance=1e-4)
    weight = problem.at(expected.state.gap).local.weight_f * GRID.energies
    errors = []
    for tolerance in (4e-2, 1e-2):
        (found,) = evolve(problem, state, [0.1], tolerance=tolerance)
        off = np.abs(found.state.f - expected.state.f)[:, 0]
        errors.append(float((weight * off).sum() / (weight * expected.state.f[:, 0]).sum()))
        assert imbalance(problem, problem.ledger(state).stored, found.ledger) < 1e-14
    assert errors[1] < 0.5 * errors[0] and errors[1] < 6e-3
    assert abs(found.state.gap[0] - expected.state.gap[0]) < 1e-4


@pytest.mark.slow
def test_cells_are_solutions_of_their_rate_equations():
    """Two cells of different media, against scipy's Radau method on the same rates."""
    grid = EnergyAxis.uniform(0.5, 4.0, start=1.0)
    collisions = ElectronPhonon(grid, Coupling(1.85, 0.041), "direct")
    bath = thermal(grid, 0.15)
    escape = {"escape": PhononEscape(grid, collisions.coupling, 0.5, bath.n)}
    line = shape_mesh("grid1d", nx=2, Lx=2e-6, comm=SELF)
    media = [
        ([0], Medium(collisions, 1.0, processes=escape, phonon_shares=threshold_shares(grid, 1.0)[0])),
        ([1], Medium(collisions, 1.2, density=2.0)),
    ]
    problem = BoltzmannProblem(line, grid, media)
    state = problem.state(bath.f + 0.05 * np.exp(-0.5 * ((grid.energies - 2.5) / 0.3) ** 2), bath.n)
    here, sizes = problem.at(state.gap), state.f.size

    def rates(_: float, y: np.ndarray) -> np.ndarray:
        found = here.rates(y[:sizes].reshape(state.f.shape), y[sizes:].reshape(state.n.shape))
        return np.concatenate([found.f.ravel(), found.n.ravel()])

    begin = np.concatenate([state.f.ravel(), state.n.ravel()])
    exact = solve_ivp(rates, (0.0, 0.3), begin, method="Radau", rtol=1e-7, atol=1e-16).y[:, -1]
    (moment,) = evolve(problem, state, [0.3], method="arkimex", tolerance=1e-6)
    found = np.concatenate([moment.state.f.ravel(), moment.state.n.ravel()])
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-12)
    assert np.abs(found / begin - 1.0).max() > 0.1


@pytest.mark.parametrize("follows", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_modes_split_at_twice_the_gap_in_a_film(follows):
    """Energy stays while quasiparticles diffuse and the gap moves. Densities under trapped phonons differ by
    per cents from those where one number stands for both kinds of modes."""
    line = shape_mesh("grid1d", nx=2, Lx=2e-6, comm=SELF)
    moves = {"fermi_velocity": 1e-3, "free_path": 1e-7}
    made = QuasiparticleInjection(GRID, Gaussian(2.0, 0.2), rate=1e-2)

    def film(splits: bool) -> BoltzmannProblem:
        gap = SelfConsistentGap(GRID, splits_phonons=splits) if follows else 0.97
        here, there = threshold_shares(GRID, [0.97, 0.6])
        mine = here if splits and not follows else None
        medium = Medium(COLLISIONS, gap, processes={"made": made}, phonon_shares=mine, **moves)
        other = Medium(COLLISIONS, 0.6, phonon_shares=there if splits else None, **moves)
        media = [([0], medium), ([1], other)]
        return BoltzmannProblem(line, GRID, media, quasiparticles=Diffusion())

    problem, number = film(True), []
    state = problem.state((BATH.f + 0.05 * HOT)[:, None], BATH.n)
    for moment in evolve(problem, state, [0.1, 1.0], tolerance=0.1):
        assert imbalance(problem, problem.ledger(state).stored, moment.ledger) < 1e-13
    number.append(moment.ledger.number)
    plain = film(False)
    (moment,) = evolve(plain, plain.state(state.f, state.n), [1.0], tolerance=0.1)
    assert abs(moment.ledger.number / number[0] - 1.0) > 5e-3
    assert not follows or abs(moment.state.gap[0] - state.gap[0]) > 1e-3


def test_modes_that_move_are_split_alike():
    line = shape_mesh("grid1d", nx=2, Lx=2e-6, comm=SELF)
    moves = {"sound_velocity": 1e-3, "phonon_free_path": 1e-7}
    medium = Medium(COLLISIONS, SelfConsistentGap(GRID, splits_phonons=True), **moves)
    with pytest.raises(CaseError, match="split at 2Δ of a gap that follows belong to phonons that stay"):
        BoltzmannProblem(line, GRID, medium, phonons=Diffusion())
    shares = threshold_shares(GRID, 1.0)[0]
    with pytest.raises(CaseError, match="phonon_shares are those of fixed gaps"):
        Medium(COLLISIONS, SelfConsistentGap(GRID), phonon_shares=shares)
    media = [
        ([0], Medium(COLLISIONS, 1.0, phonon_shares=shares, **moves)),
        ([1], Medium(COLLISIONS, 1.0, **moves)),
    ]
    with pytest.raises(CaseError, match="phonon_shares differ between media that phonons move through"):
        BoltzmannProblem(line, GRID, media, phonons=Diffusion())
    with pytest.raises(CaseError, match="shares of modes must be one positive number for each of"):
        BoltzmannProblem(line, GRID, Medium(COLLISIONS, 1.0, phonon_shares=shares[1:]))


def test_diffusion_between_gaps_keeps_energy_and_bounds():
    mesh = shape_mesh("grid2d", nx=4, ny=2, Lx=4e-6, Ly=2e-6, comm=SELF)
    escape = {"escape": PhononEscape(GRID, COLLISIONS.coupling, 0.5, BATH.n)}
    moves = {"fermi_velocity": 1e-3, "free_path": 1e-7, "processes": escape}
    trap = np.flatnonzero(mesh.centroid[:, 0] > 3e-6)
    film = np.flatnonzero(mesh.centroid[:, 0] < 3e-6)
    media = [
        (film, Medium(COLLISIONS, SelfConsistentGap(GRID), **moves)),
        (trap, Medium(COLLISIONS, 0.6, **moves)),
    ]
    problem = BoltzmannProblem(mesh, GRID, media, quasiparticles=Diffusion())
    hot = np.where(mesh.centroid[:, 0] < 1e-6, 0.3, 0.0)[:, None, None] * HOT
    state = problem.state(BATH.f[:, None, :] + hot, BATH.n[:, None, :])
    start = problem.ledger(state)
    for moment in evolve(problem, state, [0.1, 1.0], tolerance=0.1):
        assert imbalance(problem, start.stored, moment.ledger) < 1e-13
        assert moment.state.f.min() >= 0.0 and moment.state.f.max() <= 1.0 and moment.state.n.min() >= 0.0
    assert moment.ledger.given["escape"] < 0.0
    density = problem.densities(moment.state)
    assert density[trap].min() > density[film].max()
    assert moment.state.gap[film].max() < 1.0 and np.all(moment.state.gap[trap] == 0.6)


@pytest.mark.parametrize("implicit", [False, True])
def test_diffusion_through_walls_decays_as_it_must(implicit):
    length, path, velocity = 20e-6, 0.1e-6, 1e-3
    line = shape_mesh("grid1d", nx=20, Lx=length, comm=SELF)
    medium = Medium(None, modes=COLLISIONS.phonon_modes, fermi_velocity=velocity, free_path=path)
    walls = {"left": Wall(), "right": Wall()}
    problem = BoltzmannProblem(line, GRID, medium, quasiparticles=Diffusion(walls=walls))
    # the slowest mode between walls at which the occupation points to zero 2ℓ/3 beyond
    longer = length + 4.0 * path / 3.0
    mode = np.sin(np.pi * (line.centroid[:, 0] + 2.0 * path / 3.0) / longer)
    state = problem.state(0.1 * mode[:, None, None] * HOT, 0.0)
    bins = GRID.energies > 1.5
    speed = velocity * np.sqrt(1.0 - GRID.energies[bins] ** -2)
    rate = speed * path / 3.0 * (np.pi / longer) ** 2
    time = 0.2 / rate.max() if implicit else 0.002 / rate.max()
    (moment,) = evolve(problem, state, [time], tolerance=1e-3, first_step=time / 20.0)
    left = moment.state.f[:, 0].mean(axis=0) / state.f[:, 0].mean(axis=0)
    assert np.allclose(-np.log(left[bins]) / time, rate, rtol=0.01)
    assert imbalance(problem, problem.ledger(state).stored, moment.ledger) < 1e-13
    lost = moment.ledger.lost
    assert lost["left"] > 0.0 and lost["left"] == pytest.approx(lost["right"])


@pytest.mark.slow
def test_a_first_step_beyond_what_keeps_occupations_positive_is_shortened(caplog):
    """Steps of half the way through are refused, one after the other, and the log says why."""
    shells = shell_mesh(np.linspace(0.0, 2e-5, 5), "spherical")
    walls = {"outer": Wall(transmission=1.0)}
    medium = Medium(None, gap=None, modes=COLLISIONS.phonon_modes, sound_velocity=4.6e-6)
    problem = BoltzmannProblem(shells, GRID, medium, phonons=DiscreteOrdinates(spherical(4), walls))
    hot = np.where(np.arange(4) == 1, 1.0, 0.0)[:, None, None] * BATH.n[:, None, :]
    state = problem.state(0.0, hot)
    with caplog.at_level(logging.DEBUG, logger="fvqp"):
        (moment,) = evolve(problem, state, [100.0], tolerance=0.02, first_step=50.0)
    assert moment.refused > 0 and moment.state.n.min() >= 0.0
    said = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(said) == moment.refused and said[0].startswith("step of 50 at time 0 refused: ")
    assert imbalance(problem, problem.ledger(state).stored, moment.ledger) < 1e-13


def film_next_to_a_trap() -> BoltzmannProblem:
    """Quasiparticles are made in a film, cool, and diffuse into a trap."""
    line = shape_mesh("grid1d", nx=4, Lx=4e-5, comm=SELF)
    moves = {"fermi_velocity": 1e-3, "free_path": 1e-7}
    escape = PhononEscape(GRID, COLLISIONS.coupling, 0.5, BATH.n)
    made = QuasiparticleInjection(GRID, Gaussian(2.0, 0.2), rate=1e-3)
    processes = {"escape": escape, "generation": made}
    trap = Medium(COLLISIONS, 0.5, processes={"escape": escape}, **moves)
    film = Medium(COLLISIONS, 1.0, processes=processes, **moves)
    return BoltzmannProblem(line, GRID, [([0, 1, 2], film), ([3], trap)], quasiparticles=Diffusion())


def test_derivative_of_all_rates():
    problem = film_next_to_a_trap()
    rng = np.random.default_rng(1)
    state = problem.thermal(0.3)
    step = [y * rng.uniform(-1.0, 1.0, y.shape) for y in (state.f, state.n)]
    here = problem.at(state.gap)
    system = Linearized(here, state, here.inelastic_rates(state.f, state.n), 1.0)
    nothing = Rates(np.zeros_like(state.f), np.zeros_like(state.n), problem.no_counters())
    found = system.residual(nothing, Rates(*step, problem.no_counters()))
    small = 1e-5
    up, down = (
        here.rates(state.f + sign * small * step[0], state.n + sign * small * step[1]) for sign in (1.0, -1.0)
    )
    for k, (a, b) in enumerate(zip(up[:2], down[:2], strict=True)):
        slope = (a - b) / (2.0 * small)
        assert np.abs(found[k] + step[k] - slope).max() < 1e-7 * np.abs(slope).max()
    change = (up.counters.source_n - down.counters.source_n) / (2.0 * small)
    assert np.abs(found.counters.source_n - change).max() < 1e-7 * np.abs(change).max()


@pytest.mark.parametrize("motion", [Diffusion(), DiscreteOrdinates(gauss_legendre(4))])
def test_equations_keep_their_gaps(motion):
    """What is asked of other gaps in between changes no rates and no solutions."""
    line = shape_mesh("grid1d", nx=3, Lx=3e-6, comm=SELF)
    medium = Medium(COLLISIONS, SelfConsistentGap(GRID), fermi_velocity=1e-3, free_path=1e-7)
    problem = BoltzmannProblem(line, GRID, medium, quasiparticles=motion)
    hot = problem.state(BATH.f + np.linspace(0.0, 0.05, 3)[:, None, None] * HOT, BATH.n)
    cold = problem.thermal(0.1)
    assert np.all(hot.gap[1:] < cold.gap[1:] - 1e-3)

    def found(here):
        rates = here.rates(hot.f, hot.n)
        solved = here.moving_f.implicit(1e3, np.zeros((3, GRID.n)), hot.f).solve(rates.f).y
        return np.concatenate([rates.f.ravel(), rates.n.ravel(), solved.ravel()])

    here = problem.at(hot.gap)
    expected, number = found(here), problem.densities(hot)
    there = problem.at(cold.gap)
    assert np.abs(found(there) - expected).max() > 1e-3 * np.abs(expected).max()
    problem.densities(cold)
    assert np.array_equal(found(here), expected)
    assert np.array_equal(problem.densities(hot), number)


@pytest.mark.parametrize("length", [0.1, 10.0, 1e4])
def test_implicit_rates_keep_energy_however_inexact(length):
    problem = film_next_to_a_trap()
    state = problem.thermal(0.3)
    here = problem.at(state.gap)
    right = here.rates(state.f, state.n)
    system = Linearized(here, state, here.inelastic_rates(state.f, state.n), length)
    k = system.solve(right, [], allowed=1e-2 * system.largest(right))
    energy = here.local.weight_f[:, None, :] * GRID.energies, here.local.weight_n[:, None, :]
    stored = float((energy[0] * k.f).sum() + (energy[1] * GRID.phonon_energies * k.n).sum())
    came = float((k.counters.source_f @ GRID.energies).sum())
    came += float((k.counters.source_n @ GRID.phonon_energies).sum())
    passed = np.abs(k.counters.source_f) @ GRID.energies, np.abs(k.counters.source_n) @ GRID.phonon_energies
    assert abs(stored - came) < 1e-14 * float(passed[0].sum() + passed[1].sum())


@pytest.mark.slow
def test_long_steps_end_in_the_steady_state_of_every_cell():
    problem = film_next_to_a_trap()
    state = problem.thermal(0.15)
    steady = problem.densities(SteadySolver(problem).solve(state))
    start = problem.ledger(state).stored
    (moment,) = evolve(problem, state, [3e4], tolerance=0.02)
    assert moment.steps < 100
    assert np.allclose(problem.densities(moment.state), steady, rtol=0.02)
    assert imbalance(problem, start, moment.ledger) < 1e-12


def test_equilibrium_stays():
    shells = shell_mesh(np.linspace(0.0, 2e-5, 4), "spherical")
    medium = Medium(COLLISIONS, SelfConsistentGap(GRID), fermi_velocity=1.6e-3, sound_velocity=4.6e-6)
    walls = {"outer": Wall(transmission=0.5, bath=BATH.n[0])}
    problem = BoltzmannProblem(
        shells,
        GRID,
        medium,
        quasiparticles=DiscreteOrdinates(spherical(4)),
        phonons=DiscreteOrdinates(spherical(4), walls),
    )
    state = problem.thermal(0.15)
    (moment,) = evolve(problem, state, [100.0], first_step=50.0)
    weight = problem.at(state.gap).local.weight_f[:, None, :] * GRID.energies
    assert (weight * np.abs(moment.state.f - state.f)).sum() < 1e-10 * (weight * state.f).sum()
    assert np.abs(moment.state.n / state.n - 1.0)[..., :30].max() < 1e-9


def test_what_is_wrong_is_said():
    mesh = shape_mesh("grid1d", nx=2, Lx=2e-6, comm=SELF)
    medium = Medium(COLLISIONS)
    other = EnergyAxis.uniform(0.1, 4.1)
    for media, words in (
        ([([0], medium)], "1 cells have no medium"),
        ([([0, 1], medium), ([1], medium)], "1 cells have two media"),
        (Medium(COLLISIONS, gap=[1.0]), "one gap or one for each of its 2 cells"),
        (
            [([0], medium), ([1], Medium(ElectronPhonon(other, COLLISIONS.coupling)))],
            "different energy axes; give all the same",
        ),
        ([([0], medium), ([1], Medium(COLLISIONS, gap=SelfConsistentGap(other)))], "different energy axes"),
    ):
        with pytest.raises(CaseError, match=words):
            BoltzmannProblem(mesh, GRID, media)
    with pytest.raises(CaseError, match="phonon modes"):
        Medium(None)
    with pytest.raises(CaseError, match="finite free path"):
        BoltzmannProblem(mesh, GRID, Medium(COLLISIONS, fermi_velocity=1.0), quasiparticles=Diffusion())
    problem = BoltzmannProblem(mesh, GRID, medium)
    with pytest.raises(CaseError, match="initial f: must be finite and within"):
        problem.state(2.0, 0.0)
    with pytest.raises(CaseError, match="times"):
        list(evolve(problem, problem.thermal(0.1), [1.0, 0.5]))
    with pytest.raises(CaseError, match="first step: must be finite and not negative"):
        list(evolve(problem, problem.thermal(0.1), [1.0], first_step=-1.0))
    with pytest.raises(CaseError, match="shells need spherical or cylindrical"):
        shells = shell_mesh([0.0, 1.0], "spherical")
        BoltzmannProblem(shells, GRID, medium, quasiparticles=DiscreteOrdinates(lebedev(3)))
