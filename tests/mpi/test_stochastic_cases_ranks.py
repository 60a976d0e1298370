"""Cases of clusters and of localized quasiparticles on several ranks: points and runs are shared, results are
the same to the last bit, runs end alike."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from stochastic_cases import BUBBLES, CLUSTER, WIRE

import fvqp
from fvqp.errors import CaseError, ConvergenceError
from fvqp.results import open_result
from fvqp.results.files import seal

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi

CASES: dict[str, dict[str, Any]] = {
    "clusters": CLUSTER | {"sweep": {**CLUSTER["sweep"], "generation": ["50 1/um^3/s", "100 1/um^3/s"]}},
    "bubbles": BUBBLES | {"monte_carlo": {"runs": 2, "start": "1 s", "end": "2 s"}},
    "wire": WIRE | {"monte_carlo": {"runs": 3, "start": "0.5 s", "end": "1 s"}},
}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


def case(name: str) -> dict[str, Any]:
    return copy.deepcopy(CASES[name])


def assert_same(name: str, path: Path) -> None:
    """The results of all ranks are those of one."""
    if WORLD.rank > 0:
        return
    found, alone = open_result(path).dataset, fvqp.run(case(name), comm=SELF).dataset
    assert set(found) == set(alone)
    for variable in alone.data_vars:
        np.testing.assert_array_equal(found[variable], alone[variable], err_msg=str(variable))


@pytest.mark.ranks(2)
@pytest.mark.parametrize("name", CASES)
def test_same_results(name: str, folder: Path) -> None:
    fvqp.run(case(name), out=folder / "out")
    assert_same(name, folder / "out")


@pytest.mark.ranks(2)
def test_resumed_on_another_number_of_ranks(folder: Path) -> None:
    """What one rank began is finished by all of them."""
    if WORLD.rank == 0:
        fvqp.run(case("bubbles"), out=folder / "out", comm=SELF)
        with h5py.File(folder / "out" / "checkpoint.h5", "r+") as file:
            completed = file["completed"][()]
            completed[0, :, 0, 1] = 0
            file["completed"][...] = completed
        seal(folder / "out" / "checkpoint.h5")
    WORLD.barrier()
    fvqp.run(case("bubbles"), out=folder / "out", resume=True)
    assert_same("bubbles", folder / "out")


@pytest.mark.ranks(2)
def test_a_run_that_fails(folder: Path) -> None:
    """The other runs are finished, all ranks end with the error."""
    few = {"runs": 2, "accuracy": 1e-4, "max_events": 1e3}
    data = case("bubbles") | {"monte_carlo": few, "sweep": {"generation": "1 1/um^3/s"}}
    with pytest.raises(ConvergenceError, match=r"run 0: after \d+ events"):
        fvqp.run(data, out=folder / "out")


def test_bad_input_ends_all_ranks() -> None:
    bad = case("bubbles")
    bad["box"]["edges"][0] = "1.5 um"
    with pytest.raises(CaseError, match="less than twice the distance of bursting bubbles"):
        fvqp.run(bad)
