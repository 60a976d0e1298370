"""Collisions of both modes: a wire biased at its ends, charge balances, conductances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from newton_counts import recorded
from scipy import constants
from scipy.optimize import brentq
from scipy.special import zeta
from wire_devices import ALUMINIUM, THICKNESS, UM, WIDTH, line_mesh, wire

from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import CaseError
from fvqp.gap import critical_temperature, equilibrium_gap
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.inelastic import BALANCE, InelasticSystem
from fvqp.models.usadel.kinetics import L, T
from fvqp.models.usadel.neglected_charge import neglected_relaxation
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.typing import Bools, Floats

LENGTH, BIAS, BATH = 8 * UM, 2.0, 0.5
GRID = EnergyAxis.uniform(0.1, 6.0)
GRADED = EnergyAxis.graded(6.0, gap_edges=[1.0], first=0.01, number=80)


def biased(collisions: InelasticCollisions | None, grid: EnergyAxis = GRID, **more: object) -> UsadelProblem:
    """A normal wire with ∓ half of 2 Δ0/e at its ends, at 0.5 K."""
    mesh = shape_mesh("grid1d", nx=16, Lx=LENGTH, regions={"wire": (0.0, LENGTH)})
    unit = ALUMINIUM.gap / 1.602176634e-19
    ends = [
        Reservoir(name, (name,), BATH, voltage=sign * BIAS / 2 * unit)
        for name, sign in (("left", -1), ("right", 1))
    ]
    device = Device(mesh, ALUMINIUM, [], ends, width=WIDTH, thickness=THICKNESS)
    gap = more.pop("gap", GapModel("fixed", value=0.0))
    return UsadelProblem(device, grid, 1e-3, gap, collisions=collisions, **more)  # type: ignore[arg-type]


def moments(problem: UsadelProblem, solution: Solution) -> tuple[Floats, Floats, Floats]:
    """Place in the wire (0 to 1), potential and squared temperature of every cell."""
    grid, bath = problem.grid, problem.device.bath
    x = problem.device.mesh.centroid[:, 0] / LENGTH
    # ∫f_T dε = −μ and ∫ε(1 − f_L)dε = π²T²/6 + μ²/2 where electrons are thermal.
    potential = -solution.kinetic.deviation(T) @ grid.widths
    energy = np.pi**2 * bath**2 / 6 - solution.kinetic.deviation(L) @ (grid.widths * grid.energies)
    return x, potential, (energy - potential**2 / 2) * 6 / np.pi**2


@pytest.mark.parametrize("grid", [GRID, GRADED])
def test_two_steps(grid: EnergyAxis) -> None:
    """Without collisions f is a mean of both reservoirs: linear in x at every energy."""
    problem = biased(None, grid)
    solution = solve_point(problem, Point())
    x = problem.device.mesh.centroid[:, 0, None] / LENGTH
    t = problem.device.bath
    left, right = (np.stack(distributions.lead(grid.edges, s * BIAS / 2, t)) for s in (-1, 1))
    rest = distributions.equilibrium(grid.edges, t)
    for c, offset in ((L, rest), (T, 0.0)):
        expected = (1 - x) * left[c] + x * right[c] - offset
        np.testing.assert_allclose(solution.kinetic.deviation(c), expected, atol=1e-12)
    into = problem.reservoir_currents(solution.kinetic.currents)
    resistance = LENGTH / (ALUMINIUM.conductivity * WIDTH * THICKNESS)
    ohm = BIAS * problem.device.voltage_unit / resistance
    tail = 4 * np.exp(-(6.0 - BIAS / 2) / t)
    np.testing.assert_allclose(into, [-ohm, ohm], rtol=1e-10 + tail)


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_hot_electrons(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """T_e² = T² + (3/π²) x(1 − x)(eV)² whatever the collisions keep of f; f itself becomes thermal."""
    made = recorded(monkeypatch)
    problem = biased(InelasticCollisions(strength, charge=True))
    solution = solve_point(problem, Point())
    x, potential, squared = moments(problem, solution)
    direction = np.sign(potential[-1])
    bath = problem.device.bath
    # Means of what collisions keep are left to 1e-13 of what cells exchange; 16 add up to 16²/8 of it, and
    # the axis is 8 long.
    np.testing.assert_allclose(potential, direction * BIAS * (x - 0.5), atol=1e-10)
    expected = bath**2 + 3 / np.pi**2 * x * (1 - x) * BIAS**2
    np.testing.assert_allclose(squared, expected, rtol=1e-10)
    hot = np.sqrt(expected)[:, None]
    up, down = (
        np.tanh((GRID.energies + s * direction * BIAS * (x - 0.5)[:, None]) / (2 * hot)) for s in (-1, 1)
    )
    f = np.tanh(GRID.energies / (2 * bath)) + solution.kinetic.deviation(L)
    distance = np.abs(f - 0.5 * (up + down)).max()
    if strength == 1e-3:
        assert distance > 0.1
    if strength == 1e3:
        assert distance < 1e-4
        np.testing.assert_allclose(solution.kinetic.deviation(T), 0.5 * (up - down), atol=1e-4)
    assert len(made[0].krylov) <= 8
    assert np.mean(made[0].krylov) < 30


@pytest.mark.parametrize("strength", [1e-3, pytest.param(1e3, marks=pytest.mark.slow)])
def test_moments_on_a_graded_axis(strength: float) -> None:
    """Collisions of any strength leave energy and charge where they are without any."""
    problem = biased(InelasticCollisions(strength, charge=True), GRADED)
    solution, elastic = solve_point(problem, Point()), solve_point(biased(None, GRADED), Point())
    for c, moment in ((L, GRADED.widths * GRADED.energies), (T, GRADED.widths)):
        expected = elastic.kinetic.deviation(c) @ moment
        found = solution.kinetic.deviation(c) @ moment
        # As in `test_hot_electrons`, with residuals of 5e-12.
        np.testing.assert_allclose(found, expected, atol=5e-9)
    changed = np.abs(solution.kinetic.deviation(L) - elastic.kinetic.deviation(L)).max()
    assert changed > (0.1 if strength == 1e3 else 1e-3)


def test_phonons_cool_a_biased_wire() -> None:
    """With strong cooling electrons are at the phonons' temperature around the local potential."""
    phonons = PhononBath(1.0, 1.764, biased(None).device.bath)
    problem = biased(InelasticCollisions(0.0, phonons=phonons, charge=True))
    solution = solve_point(problem, Point())
    _, potential, squared = moments(problem, solution)
    np.testing.assert_allclose(squared, problem.device.bath**2, rtol=2e-2)
    assert np.ptp(potential) == pytest.approx(BIAS * 15 / 16, rel=1e-6)
    ledger = problem.ledger(solution)
    # Joule's heat V I is put in and goes to phonons.
    current = np.abs(problem.reservoir_currents(solution.kinetic.currents)).mean()
    assert ledger.injected[1] == pytest.approx(BIAS * problem.device.voltage_unit * current, rel=1e-9)
    assert ledger.injected[2] == pytest.approx(current, rel=1e-9)
    assert ledger.relaxed[1] == pytest.approx(ledger.injected[1], rel=5e-2)
    assert abs(ledger.residual[1]) < 1e-6 * ledger.injected[1]


def superconducting(
    charge: bool,
    gap: GapModel | None = None,
    grid: EnergyAxis | None = None,
    phonons: PhononBath | None = None,
) -> UsadelProblem:
    device = wire(line_mesh(12, 9), "point_B", "point_A", bath=0.3, temperature={"A": 0.3, "B": 0.3})
    return UsadelProblem(
        device,
        grid or EnergyAxis.uniform(0.05, 6.0),
        0.05,
        gap or GapModel(),
        collisions=InelasticCollisions(5e-2, phonons=phonons, charge=charge),
    )


def test_charge_imbalance_relaxes_faster() -> None:
    """Collisions bring f_T down to the gap edge, where it relaxes: less of it arrives at the detector."""
    currents = {}
    for charge in (False, True):
        problem = superconducting(charge)
        solution = solve_point(problem, Point(2.5 * problem.device.voltage_unit))
        ledger = problem.ledger(solution)
        assert np.all(np.abs(ledger.residual) < 1e-8 * np.abs(ledger.injected))
        assert ledger.relaxed[2] > 0.0
        currents[charge] = -problem.junction_currents(solution.kinetic.currents)[1]
    assert 0.0 < currents[True] < 0.9 * currents[False]


def near_tc(charge: bool, reduced: float = 0.97, broadening: float = 2e-3) -> tuple[UsadelProblem, float]:
    """A wire close to T_c, f_T injected at its end, phonons as fast as Γ; and Schmid and Schön's length in ξ.

    Their charge relaxation time is ``τ_Q = (4 k_BT/πΔ) √(ħτ_E/2Γ)`` (J. Low Temp. Phys. 20, 207 (1975)), here
    with ``ħ/2τ_E = Γ``; the rate at the Fermi energy is ``1/τ_E = 7ζ(3) (T/T_c)³/τ_0`` (Kaplan et al. 1976).
    """
    tc = float(critical_temperature())
    t = reduced * tc
    gap, rate = float(equilibrium_gap(t, 0.0, 0.0)), 2.0 * broadening
    length = np.sqrt(4.0 * t / (np.pi * gap * rate))
    mesh = shape_mesh("grid1d", nx=60, Lx=6.0 * length * ALUMINIUM.coherence_length)
    kelvin = t * ALUMINIUM.gap / constants.k
    device = Device(
        mesh,
        ALUMINIUM,
        [Junction("A", "left", 1e-7, "injector", kelvin)],
        [Reservoir("right", ("right",), kelvin)],
        width=WIDTH,
        thickness=THICKNESS,
    )
    grid = EnergyAxis.graded(
        10.0 * t + gap, gap_edges=[gap], first=broadening / 3.0, number=120, largest=0.4 * t
    )
    phonons = PhononBath(rate / (7.0 * zeta(3.0) * reduced**3), 1.0 / tc, device.bath)
    collisions = InelasticCollisions(0.0, phonons=phonons, charge=charge)
    return UsadelProblem(
        device, grid, broadening, GapModel("fixed", value=gap), collisions=collisions
    ), length


def test_charge_relaxation_length_near_tc() -> None:
    """That of Schmid and Schön; without collisions of f_T it is several times too long, as is foretold."""
    imbalance, lengths = [], []
    for charge in (True, False):
        problem, expected = near_tc(charge)
        solution = solve_point(problem, Point(0.01 * problem.device.voltage_unit))
        imbalance.append(problem.charge_potential(solution))
        x = problem.device.mesh.centroid[:, 0] / ALUMINIUM.coherence_length
        middle = (x > 1.5 * expected) & (x < 3.0 * expected)
        left = 6.0 * expected - x[middle]

        def slope(length: float, left: Floats = left, middle: Bools = middle) -> float:
            rest = np.log(imbalance[-1][middle] / np.sinh(left / length))
            return float(np.polyfit(left, rest, 1)[0])

        lengths.append(brentq(slope, 0.3 * expected, 10.0 * expected) / expected)
    assert lengths[0] == pytest.approx(1.0, abs=0.03)
    assert 2.4 < lengths[1] < 2.8
    change = np.abs(imbalance[1] - imbalance[0]).max() / imbalance[1].max()
    assert neglected_relaxation(problem, solution) == pytest.approx(change, rel=0.03)


def test_neglected_relaxation_of_hot_quasiparticles() -> None:
    """It grows with the bias, and is that of differences of solutions with and without f_T."""
    found = []
    for bias in (1.2, 2.5):
        alone, both = (superconducting(charge) for charge in (False, True))
        point = Point(bias * alone.device.voltage_unit)
        solution = solve_point(alone, point)
        found.append(neglected_relaxation(alone, solution))
    assert found[0] < 0.3 * found[1]
    near = Point(point.V_inj * 1.001)
    imbalance = [
        each.charge_potential(solve_point(each, near)) - each.charge_potential(solve_point(each, point))
        for each in (alone, both)
    ]
    change = np.abs(imbalance[1] - imbalance[0]).max() / np.abs(imbalance[0]).max()
    assert found[1] == pytest.approx(change, rel=0.1)


OWN = PhononBath(1e-2, 1.764, 0.13, escape_time=1e-2, pair_breaking_time=1e-2)


@pytest.mark.parametrize(
    "phonons", [None, pytest.param(PhononBath(1e-2, 1.764, 0.13), marks=pytest.mark.slow)]
)
def test_superconductor_on_either_axis(phonons: PhononBath | None) -> None:
    """Graded bins give what twice as many equal ones do, and lose neither energy nor charge."""
    graded = EnergyAxis.graded(6.0, gap_edges=[1.0], first=0.01, number=90, largest=0.1)
    currents, relaxed = [], []
    for grid in (EnergyAxis.uniform(1 / 30, 6.0), graded):
        problem = superconducting(True, grid=grid, phonons=phonons)
        solution = solve_point(problem, Point(2.5 * problem.device.voltage_unit))
        ledger = problem.ledger(solution)
        assert np.all(np.abs(ledger.residual) <= BALANCE * ledger.scale)
        currents.append(problem.junction_currents(solution.kinetic.currents))
        relaxed.append(ledger.relaxed[2])
    np.testing.assert_allclose(currents[1], currents[0], rtol=5e-3)
    assert relaxed[1] == pytest.approx(relaxed[0], rel=1e-3)


@pytest.mark.parametrize(
    "gap", [GapModel(), pytest.param(GapModel("uniform", at="point_B"), marks=pytest.mark.slow)]
)
def test_conductances(gap: GapModel) -> None:
    """dI/dV by the tangent equation, against differences of solutions."""
    problem = superconducting(True, gap)
    unit = problem.device.voltage_unit
    point = Point(1.5 * unit)
    solution = solve_point(problem, point, solve_point(problem, Point(1.2 * unit)))
    h = 1e-3 * unit
    sides = [solve_point(problem, replace(point, V_inj=point.V_inj + s * h), solution) for s in (-1, 1)]
    low, high = (problem.junction_currents(side.kinetic.currents) for side in sides)
    np.testing.assert_allclose(conductances(problem, solution), (high - low) / (2 * h), rtol=1e-4, atol=1e-12)


@pytest.mark.slow
def test_phonons_of_their_own_act_on_charge() -> None:
    """Escaping at once they are a bath; where they stay, they scatter and break pairs, on either axis."""
    uniform = EnergyAxis.uniform(0.1, 6.0)
    graded = EnergyAxis.graded(6.0, gap_edges=[1.0], first=0.05, number=70, largest=0.15)
    bath, trapped = PhononBath(0.1, 1.764, 0.13), replace(OWN, strength=0.1, escape_time=1.0)
    currents, charges = [], []
    for grid, phonons in (
        (uniform, bath),
        (uniform, replace(trapped, escape_time=1e-6)),
        (uniform, trapped),
        (graded, trapped),
    ):
        problem = superconducting(True, grid=grid, phonons=phonons)
        solution = solve_point(problem, Point(2.5 * problem.device.voltage_unit))
        ledger = problem.ledger(solution)
        # Phonons move many more particles, and more energy, than what flows: sums over bins round to this.
        assert problem.inelastic is not None
        system = InelasticSystem(problem.inelastic, solution.spectral, solution.kinetic.external)
        system.residual(system.start(solution.kinetic))
        moved = (system.capacity * system.collided.loss)[:, L].sum(axis=0) * grid.widths
        unit = problem.device.voltage_unit
        per_row = np.array([moved.sum() / constants.e, moved @ grid.energies * unit, 0.0]) * unit
        allowed = BALANCE * ledger.scale + grid.n * np.finfo(float).eps * per_row
        assert np.all(np.abs(ledger.residual) <= allowed)
        assert np.all(allowed < 2e-6 * ledger.scale)
        currents.append(problem.junction_currents(solution.kinetic.currents)[1])
        charges.append(ledger.relaxed[2])
    assert charges[1] == pytest.approx(charges[0], rel=1e-4)
    assert currents[1] == pytest.approx(currents[0], rel=1e-5)
    assert abs(currents[2] / currents[0] - 1.0) > 1e-3
    assert charges[3] == pytest.approx(charges[2], rel=2e-2)
    assert currents[3] == pytest.approx(currents[2], rel=5e-2)


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="its phase would turn"):
        biased(None, gap=GapModel())
    with pytest.raises(CaseError, match="the voltage of a reservoir"):
        solve_point(biased(None, EnergyAxis.uniform(0.1, 0.8)), Point())
