"""Newton and Krylov steps at the biases of Fig. 11 of Ryan et al. (2026); prediction of the next gap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from newton_counts import recorded
from wire_devices import close, line_mesh, wire

from fvqp.case.reading import load_case
from fvqp.case.usadel.build import build_mesh, build_problems, build_sweep
from fvqp.case.usadel.schema import UsadelCase
from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.models.usadel import coupled_gap
from fvqp.models.usadel.operating_point import Iteration, solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.solvers.newton import solve_linearized

FIG_11 = Path(__file__).parents[2] / "cases" / "ryan2026" / "fig11.toml"


def wire_problem(broadening: float, grid: EnergyAxis) -> UsadelProblem:
    """Junction A in the middle, γ_ee = 2e-4, one gap from f_L under it."""
    return UsadelProblem(
        wire(line_mesh(14, 9), "point_B"),
        grid,
        broadening,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=InelasticCollisions(2e-4),
    )


@pytest.mark.slow
@pytest.mark.parametrize("spacing", ["uniform", "graded"])
@pytest.mark.parametrize("broadening", [5e-3, 1e-3, 1e-4, 1e-5])
def test_few_steps_at_every_bias(broadening: float, spacing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """51 biases of the case itself: at most 8 Newton steps for gap and distributions together, of fewer than
    30 Krylov steps, and never the walk.

    Measured: 3 to 8 at most, 2.4 to 3.7 on average, of up to 14. What follows the gap is solved for apart,
    by up to 6.
    """
    # Which solves more, where the gap has moved far.
    monkeypatch.setattr(Iteration, "_jumps_in_small_steps", lambda *_: False)
    made, following = recorded(monkeypatch), []

    def counted(*arguments: object, **more: object) -> tuple[np.ndarray, int]:
        found, iterations = solve_linearized(*arguments, **more)  # type: ignore[arg-type]
        following.append(iterations)
        return found, iterations

    monkeypatch.setattr(coupled_gap, "solve_linearized", counted)
    overrides = [f"spectrum.broadening={broadening}", f'energies.spacing="{spacing}"']
    case = load_case(FIG_11, overrides)
    assert isinstance(case, UsadelCase)
    (problem,) = build_problems(case, build_mesh(case, MPI.COMM_SELF))
    assert (problem.device.mesh.n_cells, problem.grid.n) == (388, 400)
    solution = None
    for bias in build_sweep(case).V_inj:
        solution = solve_point(problem, Point(bias), solution)
    assert len(made) == 51
    assert max(len(item.krylov) for item in made) <= 8
    assert sum(len(item.krylov) for item in made) < 4 * 51
    assert max(max(item.krylov, default=0) for item in made) < 30
    assert max(following, default=0) < 30


@pytest.mark.slow
def test_prediction_saves_evaluations() -> None:
    """Without collisions, where the equation of the gap is followed by itself."""
    problem = replace(wire_problem(0.02, EnergyAxis(np.linspace(0.0, 10.0, 161))), collisions=None)
    counts, gaps = [], []
    for predicts in (True, False):
        solution: Solution | None = None
        found = []
        for bias in np.arange(2.0, 4.6, 0.25):
            if solution is not None and not predicts:
                solution = replace(solution, before=None)
            solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
            found.append(solution)
        counts.append(sum(item.evaluations for item in found))
        gaps.append([item.spectral.gap[0] for item in found])
    assert counts[0] <= 0.9 * counts[1]
    close(gaps[0], gaps[1], 1e-8)
