"""Kinetics with electron-electron collisions: balances, limits, derivatives, iterations."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from newton_counts import recorded
from wire_devices import ALUMINIUM, THICKNESS, UM, WIDTH, line_mesh, wire

from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.collisions.integrals import Spectra
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import ConvergenceError
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel import inelastic
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.inelastic import BALANCE
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.solvers.newton import NewtonSolution

GRID = EnergyAxis(np.linspace(0.0, 8.0, 161))
UNIFORM = GapModel("uniform", at="point_B", rule="arcsinh")


def driven(
    strength: float | None = 2e-4, gap: GapModel = UNIFORM, broadening: float = 0.02, **more: object
) -> UsadelProblem:
    """The wire with the injector in its middle and a detector beside it."""
    collisions = None if strength is None else InelasticCollisions(strength)
    device = wire(line_mesh(8, 9), "point_B", "point_A")
    return UsadelProblem(device, GRID, broadening, gap, collisions=collisions, **more)  # type: ignore[arg-type]


def sweep(problem: UsadelProblem, last: float, step: float = 0.25) -> Solution:
    """Solution at e V/Δ0 = ``last``, step by step from rest."""
    solution = None
    for bias in np.arange(step, last + 0.5 * step, step):
        solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
    assert solution is not None
    return solution


@pytest.fixture
def newton(monkeypatch: pytest.MonkeyPatch) -> list[NewtonSolution]:
    """Every Newton solve made."""
    return recorded(monkeypatch)


@pytest.mark.parametrize("gap", [GapModel(), UNIFORM, GapModel("local", rule="arcsinh")])
def test_rest_stays_at_rest(gap: GapModel) -> None:
    problem = driven(gap=gap)
    solution = solve_point(problem, Point())
    leads = [replace(junction, temperature=0.024) for junction in problem.device.junctions]
    cold = replace(problem, device=replace(problem.device, junctions=leads), transport=None)
    at_rest = solve_point(cold, Point())
    # What collisions round to, over what diffusion below the gap, of order Γ², can carry away.
    assert np.abs(at_rest.kinetic.deviation(L)).max() < 1e-8
    np.testing.assert_allclose(at_rest.spectral.gap, cold.at_rest(0.0)[0].gap, rtol=1e-9)
    assert np.abs(solution.kinetic.deviation(L)).max() > 1e-5


def test_ledger_closes() -> None:
    """Energy, to rounding, and quasiparticles: those injected and those that broken pairs leave."""
    problem = driven()
    solution = sweep(problem, 5.0, step=1.0)
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) < 1e-9 * np.abs(ledger.injected))
    particles, energy, charge = ledger.relaxed
    assert particles < -0.2 * ledger.injected[0]
    assert abs(energy) < 1e-11 * ledger.injected[1]
    assert charge > 0.0


def test_without_collisions_nothing_changes() -> None:
    """As γ_ee → 0 the elastic solution: in proportion to γ_ee."""
    point = Point(4.0 * driven().device.voltage_unit)
    elastic = solve_point(driven(None, GapModel()), point).kinetic.deviation(L)
    far, near = (
        np.abs(solve_point(driven(s, GapModel()), point).kinetic.deviation(L) - elastic).max()
        for s in (1e-7, 1e-8)
    )
    assert 0.0 < near < 1e-3
    assert far / near == pytest.approx(10.0, rel=0.05)


def hot_wire(strength: float, cells: int = 40, bins: int = 160) -> tuple[UsadelProblem, float]:
    """A normal wire heated through a junction that covers it, and the junction's conductance."""
    conductance = 20e-6
    mesh = shape_mesh("grid1d", nx=cells, Lx=8 * UM, regions={"wire": (0.0, 8 * UM)})
    device = Device(
        mesh,
        ALUMINIUM,
        [Junction("A", "wire", conductance, "injector", 0.2)],
        [Reservoir("ends", ("left", "right"), 0.5)],
        width=WIDTH,
        thickness=THICKNESS,
    )
    return UsadelProblem(
        device, GRID, 1e-3, GapModel("fixed", value=0.0), collisions=InelasticCollisions(strength)
    ), conductance


@pytest.mark.parametrize("strength", [1e-3, 1.0, 100.0])
def test_energy_of_a_normal_wire(strength: float) -> None:
    """Energy diffuses whatever the collisions: u″ = k² (u − u_N), u = ∫ε(1 − f_L)dε, a parabola for k → 0.

    u = π²t²/6 of a thermal wire, u_N = (eV)²/2 + π²t_N²/6 of the lead, k² = G/(σ A l).
    """
    problem, conductance = hot_wire(strength)
    device, bias = problem.device, 2.0
    x = device.mesh.centroid[:, 0]
    solution = solve_point(problem, Point(bias * device.voltage_unit))
    wire_, lead = np.pi**2 / 6 * device.bath**2, 0.5 * bias**2
    lead += np.pi**2 / 6 * (0.2 / device.thermal_unit) ** 2
    k = np.sqrt(conductance / (8 * UM * ALUMINIUM.conductivity * WIDTH * THICKNESS))
    expected = lead + (wire_ - lead) * np.cosh(k * (x - 4 * UM)) / np.cosh(k * 4 * UM)
    found = wire_ - solution.kinetic.deviation(L) @ (GRID.energies * GRID.widths)
    # Second differences err by (k h)²/12 of what has been added.
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.ptp(expected))


def test_hot_electrons() -> None:
    """Fast collisions make every cell thermal, at the temperature of its energy."""
    distances = []
    for strength in (1e-2, 10.0, 100.0):
        problem, _ = hot_wire(strength)
        solution = solve_point(problem, Point(2.0 * problem.device.voltage_unit))
        bath = problem.device.bath
        deviation = solution.kinetic.deviation(L)
        energy = np.pi**2 * bath**2 / 6 - deviation @ (GRID.energies * GRID.widths)
        hot = np.sqrt(6 * energy)[:, None] / np.pi
        thermal = np.tanh(GRID.energies / (2 * hot)) - np.tanh(GRID.energies / (2 * bath))
        distances.append(np.abs(deviation - thermal).max() / np.abs(thermal).max())
    assert distances[0] > 0.01
    assert distances[2] < 2e-3
    # The distance from a thermal distribution falls as 1/γ.
    assert distances[1] / distances[2] == pytest.approx(10.0, rel=0.1)


@pytest.mark.slow
def test_a_hot_lead_is_followed_by_strong_collisions_to_one_temperature() -> None:
    """A superconductor with fast collisions: f_L is thermal where quasiparticles are, energy is balanced."""
    problem = driven(1.0, GapModel("fixed", value=1.0), broadening=0.05)
    solution = solve_point(problem, Point(1.5 * problem.device.voltage_unit))
    f = np.tanh(GRID.energies / (2 * problem.device.bath)) + solution.kinetic.deviation(L)
    middle = f[problem.device.mesh.n_cells // 2]
    here = (GRID.energies > 1.05) & (GRID.energies < 1.8)
    temperature = GRID.energies[here] / (2 * np.arctanh(middle[here]))
    assert np.ptp(temperature) < 0.05 * temperature.mean()
    ledger = problem.ledger(solution)
    # Collisions round to some 1e-15 of their own rates, here 1e5 times the rate of injection.
    assert abs(ledger.residual[1]) < 1e-7 * ledger.injected[1]


@pytest.mark.parametrize("bias", [1.1, *(pytest.param(v, marks=pytest.mark.slow) for v in (2.5, 4.0))])
def test_slopes(bias: float) -> None:
    """dI/dV follows the gap: against differences of solutions."""
    problem = driven()
    near = sweep(problem, bias, step=bias / 2)
    unit = problem.device.voltage_unit
    point = Point(bias * unit, 0.8 * unit)
    solution = solve_point(problem, point, near)
    found = conductances(problem, solution)
    h = 1e-4 * unit
    sides = [
        solve_point(problem, replace(point, V_inj=point.V_inj + s * h), solution) for s in (-2, -1, 1, 2)
    ]
    far2, far1, near1, near2 = (problem.junction_currents(s.kinetic.currents) for s in sides)
    expected = (8 * (near1 - far1) - (near2 - far2)) / (12 * h)
    # A gap converged to 1e-10 leaves 1e-12 S of noise in the differences.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)
    elastic = driven(None)
    state = solve_point(elastic, point, sweep(elastic, bias, step=bias / 2))
    moved = [solve_point(elastic, replace(point, V_inj=point.V_inj + s * h), state) for s in (-1, 1)]
    low, high = (elastic.junction_currents(s.kinetic.currents) for s in moved)
    np.testing.assert_allclose(conductances(elastic, state), (high - low) / (2 * h), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("broadening", [5e-3, 1e-3, 1e-5])
def test_iterations(broadening: float, newton: list[NewtonSolution]) -> None:
    """A handful of Newton steps, few Krylov iterations, for every bias and broadening."""
    sweep(driven(broadening=broadening), 5.0, step=0.2)
    assert max(len(item.krylov) for item in newton) <= 7
    assert max(max(item.krylov, default=0) for item in newton) < 30


def test_iterations_hardly_depend_on_the_strength(newton: list[NewtonSolution]) -> None:
    for strength in (1e-3, 1.0, 1e3):
        problem, _ = hot_wire(strength)
        solve_point(problem, Point(2.0 * problem.device.voltage_unit))
    assert max(len(item.krylov) for item in newton) <= 5
    assert max(max(item.krylov) for item in newton) < 15


def test_local_gap_and_supercurrent() -> None:
    """Collisions together with a gap of every cell, and with f_T where a supercurrent couples it."""
    point = Point(0.9 * driven().device.voltage_unit)
    local = driven(gap=GapModel("local", rule="arcsinh"), broadening=0.05)
    gap = solve_point(local, point).spectral.gap
    assert gap[len(gap) // 2] < gap[0] - 1e-4
    flow = Supercurrent("left", "right", "phase_gradient", (0.15,))
    point = Point(4.0 * driven().device.voltage_unit, supercurrent=0.15)
    found = driven(gap=GapModel(), supercurrent=flow)
    solution = solve_point(found, point)
    ledger = found.ledger(solution)
    assert np.all(np.abs(ledger.residual) < 1e-8 * np.abs(ledger.injected))
    elastic = driven(None, GapModel(), supercurrent=flow)
    inelastic_, without = (conductances(p, solve_point(p, point))[1] for p in (found, elastic))
    assert 1e-4 < abs(inelastic_ / without - 1.0) < 1.0


def test_destroyed_superconductivity_is_reported() -> None:
    strong = {"A": 4e-3, "B": 1e-9}
    device = wire(line_mesh(4, 9), "point_B", conductance=strong)
    grid = EnergyAxis.uniform(0.1, 8.0)
    problem = UsadelProblem(device, grid, 0.02, UNIFORM, collisions=InelasticCollisions(2e-4))
    with pytest.raises(ConvergenceError, match="superconductivity is destroyed"):
        solve_point(problem, Point(3.5 * device.voltage_unit))


@pytest.mark.slow
def test_a_branch_that_ends_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """With a strong junction the gap jumps at the onset of injection."""
    device = wire(line_mesh(14, 9), "point_B", conductance={"A": 4e-4, "B": 1e-9})
    problem = UsadelProblem(device, GRID, 0.005, UNIFORM, collisions=InelasticCollisions(2e-4))
    with caplog.at_level(logging.WARNING):
        try:
            sweep(problem, 1.5, step=0.05)
        except ConvergenceError as error:
            assert "superconductivity is destroyed" in str(error)
    assert any("several coexist there, and the gap jumps" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("broadening", "last"),
    [(1e-3, 1.0), *(pytest.param(g, 4.0, marks=pytest.mark.slow) for g in (5e-3, 1e-3, 1e-4))],
)
def test_graded_axes(broadening: float, last: float, newton: list[NewtonSolution]) -> None:
    """The axis of 300 bins, fine where the gap edge goes, resolves what 640 equal ones do; balances close."""
    grid = EnergyAxis.graded(
        8.0, gap_edges=[0.9, 0.93, 0.96, 0.99], first=max(broadening / 4, 1e-4), number=300, largest=0.05
    )
    problem = replace(driven(broadening=broadening), grid=grid)
    solution = sweep(problem, last)
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) <= BALANCE * ledger.scale)
    assert abs(ledger.relaxed[1]) < 1e-15 * ledger.injected[1]
    assert max(len(item.krylov) for item in newton) <= 7
    assert max(max(item.krylov, default=0) for item in newton) < 30
    if broadening == 5e-3:
        equal = [
            sweep(replace(problem, grid=EnergyAxis.uniform(8.0 / bins, 8.0)), last, 0.5).spectral.gap[0]
            for bins in (320, 640)
        ]
        # Equal bins converge with order 3/2 to 2: what is left at 640 is at most half of their difference.
        left = 0.5 * abs(equal[0] - equal[1])
        assert solution.spectral.gap[0] == pytest.approx(equal[1], abs=left + 1e-4)


@pytest.mark.parametrize(
    ("broadening", "longest", "widest"),
    [
        (1e-3, 50.0, 0.4),
        (5e-3, 30.0, 0.2),
        (1e-3, 30.0, 0.2),
        (1e-4, 30.0, 0.2),
    ],
)
@pytest.mark.slow
def test_long_axes(broadening: float, longest: float, widest: float) -> None:
    """Tens of gaps above narrow bins, through the onset: collisions keep the energy to rounding."""
    grid = EnergyAxis.graded(
        longest, gap_edges=[0.99], first=max(broadening / 4, 1e-4), number=420, largest=widest
    )
    device = wire(line_mesh(8, 9), "point_B", "point_A")
    problem = UsadelProblem(
        device, grid, broadening, replace(UNIFORM, debye_energy=50.0), collisions=InelasticCollisions(2e-4)
    )
    solution = None
    for bias in (0.5, 0.9, 0.95, 1.0, 1.5):
        solution = solve_point(problem, Point(bias * device.voltage_unit), solution)
        ledger = problem.ledger(solution)
        # Narrow bins share rounding of the largest rate, which does not know of particles: where few flow
        # below the gap, it is more than the balance that is asked for.
        rows = slice(None) if bias >= 1.0 else slice(1, None)
        assert np.all((np.abs(ledger.residual) <= BALANCE * ledger.scale)[rows])
        assert abs(ledger.relaxed[1]) < 1e-15 * ledger.injected[1]


@pytest.mark.slow
def test_a_cold_start(caplog: pytest.LogCaptureFixture) -> None:
    """The first bias at 3.5 Δ0: where Newton's method fails, collisions grow from the elastic solution."""
    grid = EnergyAxis.graded(100.0, gap_edges=[0.99], first=1e-4, number=200, largest=1.0)
    device = wire(line_mesh(8, 9), "point_B", "point_A")
    problem = UsadelProblem(device, grid, 1e-4, collisions=InelasticCollisions(2e-4))
    with caplog.at_level(logging.DEBUG, logger="fvqp.models.usadel.inelastic"):
        solution = solve_point(problem, Point(3.5 * device.voltage_unit))
    assert "of their rate" in caplog.text
    ledger = problem.ledger(solution)
    assert abs(ledger.residual[1]) < 1e-10 * ledger.injected[1]
    assert np.all(np.abs(problem.distribution(solution, L)) <= 1.0 + 1e-9)


def test_growing_collisions_lead_to_the_same_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = driven(0.1, GapModel())
    point = Point(2.0 * problem.device.voltage_unit)
    expected = solve_point(problem, point).kinetic
    newton, attempts = inelastic.solve_newton, []

    def without_direct(*arguments: object, **more: object) -> NewtonSolution:
        attempts.append(more)
        if len(attempts) == 1:
            raise ConvergenceError("not at once")
        return newton(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(inelastic, "solve_newton", without_direct)
    found = solve_point(problem, point).kinetic
    assert len(attempts) >= 3
    np.testing.assert_allclose(found.deviation(L), expected.deviation(L), atol=1e-9)

    def never(*_arguments: object, **_more: object) -> NewtonSolution:
        raise ConvergenceError("never")

    monkeypatch.setattr(inelastic, "solve_newton", never)
    with pytest.raises(ConvergenceError, match="never, nor from weaker collisions on"):
        solve_point(problem, point)


@pytest.mark.parametrize(
    "phonons",
    [
        PhononBath(1e-3, 1.764, 0.024),
        PhononBath(1e-3, 1.764, 0.024, escape_time=20.0, pair_breaking_time=0.05),
    ],
    ids=["bath", "own"],
)
@pytest.mark.slow
def test_electrons_and_phonons_together(phonons: PhononBath) -> None:
    """Of the energy of hot quasiparticles phonons take a part, reservoirs the rest."""
    device = wire(line_mesh(10, 9), "point_B", "point_A")
    grid = EnergyAxis(np.linspace(0.0, 8.0, 121))
    phonons = replace(phonons, temperature=device.bath)
    problem = UsadelProblem(
        device, grid, 0.03, UNIFORM, collisions=InelasticCollisions(2e-3, phonons=phonons)
    )
    solution = sweep(problem, 4.0, 0.5)
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) < 1e-10 * np.abs(ledger.injected))
    assert 0.1 < ledger.relaxed[1] / ledger.injected[1] < 0.95
    # What the ledger calls relaxed is what collisions with phonons take, summed over cells on its own.
    assert problem.inelastic is not None
    spectrum = problem.kinetics.spectrum(solution.spectral)
    f = problem.distribution(solution, L)
    f += np.tanh(grid.energies / (2.0 * device.bath)) - distributions.equilibrium(grid.edges, device.bath)
    spectra = Spectra(spectrum.dos, spectrum.pairing, spectrum.re_F)
    found = [part.at(spectra, f[:, None]) for part in problem.inelastic.collisions.parts]
    moment = grid.energies * grid.widths * device.voltage_unit**2
    volume = problem.transport.capacity
    by_electrons, by_phonons = (float(volume @ (part.rates[:, 0] @ moment)) for part in found)
    scattered = float(volume @ (found[0].loss[:, 0] @ moment))
    assert abs(by_electrons) < 1e-14 * scattered
    assert by_phonons == pytest.approx(ledger.relaxed[1], rel=1e-10, abs=0.0)
    alone = replace(problem, collisions=InelasticCollisions(phonons=phonons))
    without = sweep(alone, 4.0, 0.5)
    # They share their energy before phonons take it.
    assert np.abs(without.kinetic.deviation(L) - solution.kinetic.deviation(L)).max() > 1e-3
