"""Stages on several ranks: the same numbers, and all ranks end alike when a stage fails."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from mpi4py import MPI
from stage_cases import TRAP

import fvqp
from fvqp.errors import CaseError
from fvqp.results import open_result

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


@pytest.mark.ranks(2)
@pytest.mark.slow
def test_same_results(folder: Path) -> None:
    """A stage fails on all ranks, the rest is done on another run, and agrees with one rank."""
    bad = copy.deepcopy(TRAP)
    bad["stages"][2]["case"]["sweep"]["results"]["minimum_energy"] = "20 meV"
    with pytest.raises(CaseError, match="stage noise: sweep.results.minimum_energy"):
        fvqp.run(bad, out=folder / "out")
    found = fvqp.run(copy.deepcopy(TRAP), out=folder / "out", resume=True)
    if WORLD.rank == 0:
        alone = fvqp.run(copy.deepcopy(TRAP), out=folder / "alone", comm=SELF).dataset
        for name in ("N_mean", "S_flux", "generation", "V_inj"):
            assert found.dataset[name].values == pytest.approx(alone[name].values, rel=1e-8)
        cells = [open_result(folder / run / "transport").dataset for run in ("out", "alone")]
        assert cells[0]["in_region"].values.tolist() == cells[1]["in_region"].values.tolist()
        assert cells[0]["cell_volume"].values == pytest.approx(cells[1]["cell_volume"].values)
