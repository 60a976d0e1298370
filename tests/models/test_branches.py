"""Branches of solutions through folds: of the gap under a strong injector, of the current that depairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI
from scipy import constants
from scipy.optimize import brentq, minimize_scalar
from test_supercurrent import DEPAIRING_CURRENT
from wire_devices import ALUMINIUM, THICKNESS, UM, WIDTH, line_mesh, wire

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel.branches import follow_gap
from fvqp.models.usadel.device import Device, Lead, Reservoir
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.solvers.continuation import REACHED, CurvePoint, follow_branch
from fvqp.typing import Floats

UNIFORM = GapModel("uniform", at="point_B", rule="arcsinh")


def strong(
    gap: GapModel = UNIFORM, conductance: float = 2e-3, strength: float | None = None
) -> UsadelProblem:
    """The wire with an injector so strong that the gap jumps."""
    device = wire(line_mesh(10, 9), "point_B", conductance={"A": conductance})
    collisions = None if strength is None else InelasticCollisions(strength)
    return UsadelProblem(device, EnergyAxis.uniform(0.05, 4.0), 0.05, gap, collisions=collisions)


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="needs a gap that follows the bias"):
        follow_gap(strong(GapModel()), Point(), [1e-4])


@pytest.mark.slow
def test_folds_of_a_uniform_gap() -> None:
    """Against the bias that belongs to every gap, V(Δ), a function without folds."""
    problem = strong()
    unit = problem.device.voltage_unit
    biases = np.arange(0.7, 0.95, 0.01) * unit
    branch = follow_gap(problem, Point(), biases)
    assert branch.end == REACHED
    assert len(branch.fold_biases) == 2

    def residual(gap: float, bias: float) -> float:
        state = problem.spectral_state(
            np.full(problem.device.mesh.n_cells, gap), problem.at_rest(0.0)[0].depairing, None
        )
        external = problem.external(Point(bias * unit))
        kinetic = problem.energy_mode(state, external, None, "test")
        return problem.gap_field.uniform_residual(gap, state.depairing, kinetic.deviation(L), external[L])

    def bias_of(gap: float) -> float:
        return float(brentq(lambda bias: residual(gap, bias), 0.5, 1.2, xtol=1e-12))

    upper, lower = branch.fold_biases / unit
    around = branch.fold_gaps[0, 0] - 0.02, branch.fold_gaps[0, 0] + 0.02
    top = minimize_scalar(lambda gap: -bias_of(gap), bounds=around, method="bounded", options={"xatol": 1e-4})
    assert upper == pytest.approx(-top.fun, abs=1e-7)
    assert lower < upper
    here = min(biases, key=lambda bias: abs(bias / unit - 0.5 * (upper + lower)))
    gaps = [gap[0] for gap in branch.crossings[here]]
    assert len(gaps) == 3
    assert gaps == sorted(gaps, reverse=True)
    for gap in gaps:
        assert abs(residual(gap, here / unit)) < 2e-8


@pytest.mark.slow
def test_leads_heat_up_along_the_branch() -> None:
    """Gaps under a lead with a balance of heat are those of sweeps up and down; folds move by 0.2 %."""
    cold = strong()
    unit, junction = cold.device.voltage_unit, cold.device.junctions[0]
    lead = Lead(volume=1e-15, coupling=2e9, resistance=1.0)
    hot = replace(cold, device=replace(cold.device, junctions=[replace(junction, lead=lead)]))
    marks = [bias * unit for bias in (0.77, 0.79, 0.85)]
    known, branch = (follow_gap(problem, Point(), marks) for problem in (cold, hot))
    assert branch.end == REACHED and len(branch.fold_biases) == 2
    assert 1e-3 < np.abs(branch.fold_biases / known.fold_biases - 1.0).min() < 3e-3
    sweeps: list[dict[float, float]] = []
    last = None
    for order in (marks, marks[::-1]):
        sweeps.append({})
        for bias in order:
            last = solve_point(hot, Point(bias), last)
            assert last.leads is not None and last.leads[0] > 1.05 * junction.temperature
            sweeps[-1][bias] = float(last.spectral.gap[0])
    for bias in marks[:2]:
        upper, _, lower = (float(gap[0]) for gap in branch.crossings[bias])
        assert [upper, lower] == pytest.approx([sweep[bias] for sweep in sweeps], abs=1e-6)
    (only,) = branch.crossings[marks[2]]
    assert float(only[0]) == pytest.approx(sweeps[0][marks[2]], abs=1e-6)


@pytest.mark.slow
def test_collisions_have_the_same_folds_nearly() -> None:
    """Below 3Δ electron-electron collisions break no pairs: the jump at the onset of injection stays."""
    folds = [
        follow_gap(problem, Point(), [problem.device.voltage_unit]).fold_biases
        for problem in (strong(), strong(strength=2e-4))
    ]
    np.testing.assert_allclose(folds[1], folds[0], rtol=1e-2)


@pytest.mark.slow
def test_a_local_gap_collapses_beyond_its_fold() -> None:
    problem = strong(GapModel("local", rule="arcsinh"), 2e-4)
    unit = problem.device.voltage_unit
    branch = follow_gap(problem, Point(), [0.5 * unit, unit])
    assert len(branch.fold_biases) >= 1
    assert "superconductivity is destroyed" in branch.end
    first = branch.fold_biases[0]
    below = solve_point(problem, Point(0.99 * first), solve_point(problem, Point(0.9 * first)))
    assert below.spectral.gap.min() > branch.fold_gaps[0].min()
    assert branch.gaps[-1].min() < 0.1


@pytest.mark.slow
def test_the_depairing_current() -> None:
    """A current has two phase gradients below the depairing current, the fold, and none above."""
    mesh = shape_mesh("grid1d", nx=2, Lx=1 * UM)
    ends = Reservoir("ends", ("left", "right"), 0.01)
    device = Device(mesh, ALUMINIUM, [], [ends], width=WIDTH, thickness=THICKNESS)
    unit = ALUMINIUM.gap / constants.e / ALUMINIUM.coherence_resistance(WIDTH * THICKNESS)
    grid = EnergyAxis.graded(4.0, gap_edges=[0.7, 1.0], first=0.005, number=160)
    flow = Supercurrent("left", "right", "current", (0.0,))
    problem = UsadelProblem(device, grid, 1e-5, GapModel(), supercurrent=flow)

    def residual(x: Floats, current: float) -> Floats:
        depairing = np.maximum(x, 0.0)
        gap = problem.gap_field.equilibrium(depairing)
        return x - problem.phase_for(gap, depairing, None, current * unit, None).depairing

    branch = follow_branch(
        residual, CurvePoint(np.zeros(2), 0.0), 1.0, comm=MPI.COMM_SELF, first_step=0.05, largest_step=0.1,
        tolerance=1e-9, marks=[0.7],
    )  # fmt: skip
    (fold,) = branch.folds
    assert fold.parameter == pytest.approx(DEPAIRING_CURRENT, rel=2e-3)
    assert len(branch.crossings[0.7]) == 2
