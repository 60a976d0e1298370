"""Leads with a balance of heat, and both junctions driven: the number of ranks and groups changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import line_mesh, wire

import fvqp
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.models.usadel import operating_point
from fvqp.models.usadel.device import Lead
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.results import open_result

pytestmark = pytest.mark.mpi
CASES = Path(__file__).parents[2] / "cases" / "ryan2026"


@pytest.mark.ranks(2)
def test_balance_on_any_number_of_ranks() -> None:
    def solved(comm: MPI.Comm) -> tuple[np.ndarray, np.ndarray]:
        device = wire(line_mesh(6, 9, comm), "point_A", "point_B")
        junctions = [replace(junction, lead=Lead(6e-20, 2e9, 500.0)) for junction in device.junctions]
        device = replace(device, junctions=junctions)
        grid = EnergyAxis(np.linspace(0.0, 5.0, 41))
        problem = UsadelProblem(device, grid, 0.05, GapModel("uniform", at="point_A"))
        unit = problem.device.voltage_unit
        solution = solve_point(problem, Point(1.6 * unit, 1.2 * unit))
        assert solution.leads is not None
        return solution.leads, conductances(problem, solution)

    alone, together = solved(MPI.COMM_SELF), solved(MPI.COMM_WORLD)
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-8)
    np.testing.assert_allclose(together[1], alone[1], rtol=1e-8)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    return MPI.COMM_WORLD.bcast(tmp_path_factory.mktemp("run") if MPI.COMM_WORLD.rank == 0 else None)


SMALL = [
    "energies.number=80",
    'energies.largest="0.2 Delta0"',
    'sweep.V_inj=["-1.5 Delta0", "-0.5 Delta0", "0 V", "1.5 Delta0"]',
    'sweep.V_det=["0 V", "1.2 Delta0"]',
    "figures=[]",
]


@pytest.mark.slow
@pytest.mark.ranks(2)
@pytest.mark.skipif(MPI.COMM_WORLD.size < 2, reason="groups need ranks")
def test_rows_of_a_map_in_two_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directions of the rows are shared; one that fails does not touch the other, and resuming mends it."""
    original = operating_point.solve_point

    def solve_or_fail(problem: UsadelProblem, point: Point, guess: Any = None) -> object:
        if point.V_inj < -1.4 * problem.device.voltage_unit and point.V_det > 0.0:
            raise ConvergenceError("none")
        return original(problem, point, guess)

    groups = [*SMALL, "solver.groups=2"]
    with monkeypatch.context() as patch:
        patch.setattr("fvqp.study.sweep.solve_point", solve_or_fail)
        with pytest.raises(ConvergenceError, match="none"):
            fvqp.run(CASES / "fig6.toml", folder / "out", overrides=groups)
    done = open_result(folder / "out").dataset["completed"].transpose("V_inj", "V_det")
    # The first direction of the second row to fail ends a group; upwards rows of the other go on.
    assert not done[0, 1] and done[:, 0].all() and done[2:, 1].all()
    together = fvqp.run(CASES / "fig6.toml", folder / "out", overrides=groups, resume=True).dataset
    if MPI.COMM_WORLD.rank == 0:
        alone = fvqp.run(CASES / "fig6.toml", overrides=SMALL, comm=MPI.COMM_SELF).dataset
        for name in ("g_nl", "gap"):
            scale = float(np.abs(alone[name]).max())
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-6, atol=1e-6 * scale)
