"""Runs of the transport model that are killed go on, on another number of ranks, to the same answer."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import h5py
import numpy as np
import pytest
from launching import launched
from mpi4py import MPI
from run_cases import as_file
from transport_cases import FILM

import fvqp
from fvqp.results import open_result

pytestmark = [pytest.mark.slow, pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")]

#: Times that are computed in whole before the last rank is killed, within a step to the next one.
KNOWN = 3

KILLED = f"""
import os, signal, sys
from mpi4py import MPI
from fvqp import cli
from fvqp.case.transport.recording import TransportRecorder
from fvqp.models.transport import TransportProblem
from fvqp.results import ResultsFolder
record, rates, save, recorded = TransportRecorder.record, TransportProblem.rates, ResultsFolder.save, []
def always(self, mesh, checkpoint, force=False):
    return save(self, mesh, checkpoint, force=True)
def counted(self, number, moment):
    record(self, number, moment)
    recorded.append(number)
def killed(self, *given):
    if len(recorded) == {KNOWN}:
        MPI.COMM_WORLD.Barrier()  # all have the checkpoint behind them
        if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return rates(self, *given)
TransportRecorder.record, TransportProblem.rates, ResultsFolder.save = counted, killed, always
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 2)])
def test_killed_and_resumed_on_other_ranks(before: int, after: int, tmp_path: Path) -> None:
    data = copy.deepcopy(FILM)
    data["output"] = {"occupations": True}
    case, out = as_file(data, tmp_path / "case.toml"), tmp_path / "out"
    ended = launched(before, case, out, program=("-c", KILLED))
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    with h5py.File(out / "checkpoint.h5") as file:
        assert file["completed"][()].sum() == KNOWN
    going_on = launched(after, case, out, "--resume")
    assert going_on.returncode == 0, going_on.stderr
    found, whole = open_result(out).dataset, fvqp.run(data).dataset
    assert "3 of 5 points were computed before" in (out / "run.log").read_text()
    assert set(found) == set(whole)
    for name in whole.data_vars:
        size = np.nanmax(np.abs(whole[name].values)) or 1.0
        if name == "energy_residual":
            size = float(np.nanmax(whole["energy_qp"].values))
        assert np.nanmax(np.abs(found[name].values - whole[name].values)) <= 1e-10 * size, name
