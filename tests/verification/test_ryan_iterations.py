"""Newton and Krylov steps at the biases of Fig. 11 of Ryan et al. (2026); prediction of the next gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from newton_counts import recorded
from wire_devices import close, line_mesh, wire

from fvqp.collisions import Collisions
from fvqp.grids.energy import EnergyGrid
from fvqp.models.self_consistency import Iteration
from fvqp.models.usadel import GapModel, Point, Solution, UsadelProblem


def wire_problem(broadening: float, grid: EnergyGrid) -> UsadelProblem:
    """Junction A in the middle, γ_ee = 2e-4, one gap from f_L under it."""
    return UsadelProblem(
        wire(line_mesh(14, 9), "point_B"),
        grid,
        broadening,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=Collisions(2e-4),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broadening", "graded"),
    [(5e-3, False), (1e-3, False), (1e-4, False), (1e-5, False), (1e-3, True), (1e-4, True), (1e-5, True)],
)
def test_few_steps_at_every_bias(broadening: float, graded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """51 biases: a handful of Newton steps for gap and distributions together, of fewer than 30 Krylov steps.

    Measured: 2.8 to 3.4 a bias on average, 4 to 10 at most, of up to 15, and never the walk. With bins much
    wider than Γ those that cross waves of the gap equation take most.
    """
    # Which solves more, where the gap has moved far.
    monkeypatch.setattr(Iteration, "_jumps_in_small_steps", lambda *_: False)
    made = recorded(monkeypatch)
    grid = EnergyGrid(np.linspace(0.0, 10.0, 401))
    if graded:
        edges = np.linspace(0.87, 0.995, 6).tolist()
        grid = EnergyGrid.graded(
            10.0, gap_edges=edges, first=max(broadening / 4, 1e-5), number=400, largest=0.05
        )
    problem = wire_problem(broadening, grid)
    solution = None
    for bias in np.arange(0.0, 5.01, 0.1):
        solution = problem.solve(Point(bias * problem.device.voltage_unit), solution)
    assert len(made) == 51
    assert max(len(item.krylov) for item in made) <= 10
    assert sum(len(item.krylov) for item in made) < 3.5 * 51
    assert max(max(item.krylov, default=0) for item in made) < 30


@pytest.mark.slow
def test_prediction_saves_evaluations() -> None:
    """Without collisions, where the equation of the gap is followed by itself."""
    problem = replace(wire_problem(0.02, EnergyGrid(np.linspace(0.0, 10.0, 161))), collisions=None)
    counts, gaps = [], []
    for predicts in (True, False):
        solution: Solution | None = None
        found = []
        for bias in np.arange(2.0, 4.6, 0.25):
            if solution is not None and not predicts:
                solution = replace(solution, before=None)
            solution = problem.solve(Point(bias * problem.device.voltage_unit), solution)
            found.append(solution)
        counts.append(sum(item.evaluations for item in found))
        gaps.append([item.spectral.gap[0] for item in found])
    assert counts[0] <= 0.9 * counts[1]
    close(gaps[0], gaps[1], 1e-8)
