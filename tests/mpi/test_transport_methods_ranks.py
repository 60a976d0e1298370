"""Time steps of transport by PETSc on several ranks: results do not depend on their number."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import numpy as np
import pytest
from mpi4py import MPI
from transport_cases import FILM

import fvqp
from fvqp.results import open_result

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


@pytest.mark.ranks(2)
@pytest.mark.parametrize("method", ["imex", "bdf"])
def test_ranks_agree(method: str, folder: Path) -> None:
    case = copy.deepcopy(FILM)
    case["evolution"] = case["evolution"] | {"end": "10 ns", "method": method}
    fvqp.run(case, out=folder / "out", comm=WORLD)
    if WORLD.rank > 0:
        return
    found, alone = open_result(folder / "out").dataset, fvqp.run(case, comm=SELF).dataset
    for variable in alone.data_vars:
        size = np.nanmax(np.abs(alone[variable].values)) or 1.0
        if variable == "energy_residual":
            size = float(np.nanmax(alone["energy_qp"].values))
        off = np.abs(found[variable].values - alone[variable].values)
        assert np.nanmax(off) <= 1e-10 * size, variable
