"""Kinetic and Eliashberg cases on several ranks: lines are shared, results are the same, runs end alike."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupting import forget
from kinetic_cases import DEBYE, DRIVEN, PULSE
from mpi4py import MPI

import fvqp
from fvqp.case.boltzmann.study import BoltzmannStudy
from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, ConvergenceError
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, Medium, balanced_state, evolve
from fvqp.results import open_result

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi

TEMPERATURES = ["0.2 K", "0.25 K", "0.3 K"]
CASES: dict[str, dict[str, Any]] = {
    "steady": DRIVEN | {"sweep": {"temperature": TEMPERATURES, "strength": [1.0, 10.0]}},
    "evolution": PULSE
    | {"sweep": {"temperature": TEMPERATURES[1:]}, "evolution": PULSE["evolution"] | {"end": "30 ns"}},
    "eliashberg": DEBYE
    | {"sweep": {"temperature": ["3 K", "7 K"]}, "solver": DEBYE["solver"] | {"spacing": "0.2 meV"}},
}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


def case(name: str) -> dict[str, Any]:
    return copy.deepcopy(CASES[name])


def assert_same(name: str, path: Path, rtol: float = 1e-12) -> None:
    """The results of all ranks are those of one."""
    if WORLD.rank > 0:
        return
    found, alone = open_result(path).dataset, fvqp.run(case(name), comm=SELF).dataset
    assert set(found) == set(alone)
    for variable in alone.data_vars:
        if variable == "energy_residual":  # differences of equal numbers
            stored = np.abs(alone["energy_qp"]) + np.abs(alone["energy_ph"])
            assert np.all(np.abs(found[variable] - alone[variable]) < 1e-12 * stored)
            continue
        scale = np.nanmax(np.abs(alone[variable].values.astype(float)))
        np.testing.assert_allclose(
            found[variable], alone[variable], rtol=rtol, atol=1e-13 * scale, err_msg=str(variable)
        )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("steady", marks=pytest.mark.ranks(2)),
        pytest.param("evolution", marks=pytest.mark.ranks(2)),
        pytest.param("eliashberg", marks=pytest.mark.ranks(2)),
    ],
)
def test_same_results(name: str, folder: Path) -> None:
    fvqp.run(case(name), out=folder / "out")
    assert_same(name, folder / "out")


@pytest.mark.ranks(2)
def test_a_line_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other lines are finished on all ranks, all of which end with its error; resuming mends it."""
    original, broken = BoltzmannStudy.problem, []

    def problem(self: BoltzmannStudy, place: tuple[int, ...]) -> Any:
        made = original(self, place)
        if place == (1, 1):
            broken.append(made)
        return made

    def steady(made: Any, *state: Any, **options: Any) -> Any:
        if any(made is one for one in broken):
            raise ConvergenceError("no steady state: as the test wants")
        return balanced_state(made, *state, **options)

    with monkeypatch.context() as patch:
        patch.setattr(BoltzmannStudy, "problem", problem)
        patch.setattr("fvqp.case.boltzmann.study.balanced_state", steady)
        with pytest.raises(ConvergenceError, match=r"temperature 0\.25 K, strength 10: no steady state"):
            fvqp.run(case("steady"), out=folder / "out")
    if WORLD.rank == 0:
        done = open_result(folder / "out").dataset["completed"].values
        assert done.tolist() == [[1, 1], [1, 0], [1, 1]]
    fvqp.run(case("steady"), out=folder / "out", resume=True)
    assert_same("steady", folder / "out", 1e-7)


@pytest.mark.ranks(2)
@pytest.mark.slow
def test_resumed_on_another_number_of_ranks(folder: Path) -> None:
    """An evolution that one rank began is finished by all of them."""
    if WORLD.rank == 0:
        fvqp.run(case("evolution"), out=folder / "out", comm=SELF)
        for file in ("results.nc", "checkpoint.h5"):
            assert (folder / "out" / file).exists()
        forget(folder / "out", (slice(None), -1))
    WORLD.barrier()
    fvqp.run(case("evolution"), out=folder / "out", resume=True)
    assert_same("evolution", folder / "out", 1e-3)


@pytest.mark.ranks(2)
@pytest.mark.skipif(WORLD.size == 1, reason="one rank holds all cells")
def test_cells_of_several_ranks_have_no_common_steps() -> None:
    grid = EnergyAxis.uniform(0.2, 3.0)
    medium = Medium(ElectronPhonon(grid, Coupling(1.85, 0.041), "direct"))
    problem = BoltzmannProblem(shape_mesh("grid1d", nx=4, Lx=4.0, comm=WORLD), grid, medium)
    with pytest.raises(CaseError, match="all cells take the same steps, so that one rank has to hold them"):
        next(evolve(problem, problem.thermal(0.2), [1.0], method="arkimex"))


def test_bad_input_ends_all_ranks() -> None:
    bad = case("evolution")
    bad["initial"]["pulses"][0]["centre"] = "2.9 Delta0"
    with pytest.raises(CaseError, match="does not fit onto the axis"):
        fvqp.run(bad)
