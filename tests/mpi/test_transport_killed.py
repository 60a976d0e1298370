"""Runs of the transport model that are killed go on, on another number of ranks, to the same answer."""

from __future__ import annotations

import copy
from pathlib import Path

import h5py
import numpy as np
import pytest
from launching import launched
from mpi4py import MPI
from run_cases import as_file
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.results import open_result

pytestmark = [pytest.mark.slow, pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")]

#: Times that are computed in whole before the last rank is killed, within a step to the next one.
KNOWN = 3

#: Results that are differences of such amounts as others are.
DIFFERENCES = {
    "energy_residual": "energy_qp",
    "energy_escaped": "energy_ph",
    "escaped_spectrum": "energy_ph_spectrum",
}

KILLED = f"""
import os, signal, sys
from mpi4py import MPI
from fvqp import cli
from fvqp.case.boltzmann.recording import BoltzmannRecorder
from fvqp.models.boltzmann import BoltzmannEquations
from fvqp.results import ResultsFolder
record, rates, save, recorded = BoltzmannRecorder.record, BoltzmannEquations.rates, ResultsFolder.save, []
def always(self, mesh, checkpoint, force=False):
    return save(self, mesh, checkpoint, force=True)
def counted(self, place, *more):
    record(self, place, *more)
    recorded.append(place)
def killed(self, *given):
    if len(recorded) == {KNOWN}:
        MPI.COMM_WORLD.Barrier()  # all have the checkpoint behind them
        if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return rates(self, *given)
BoltzmannRecorder.record, BoltzmannEquations.rates, ResultsFolder.save = counted, killed, always
sys.exit(cli.main(sys.argv[1:]))
"""


#: What has directions: a film whose phonons fly, and shells, before they are all alike.
FLYING = FILM | {
    "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
    "evolution": FILM["evolution"] | {"end": "0.1 us", "points_per_decade": 2},
}
CASES = {
    "film": FILM,
    "ordinates": FLYING,
    "sphere": SPHERE | {"evolution": SPHERE["evolution"] | {"end": "1 ns", "points_per_decade": 2}},
}


@pytest.mark.parametrize(
    ("name", "before", "after"), [("film", 1, 2), ("film", 4, 2), ("ordinates", 1, 2), ("sphere", 2, 1)]
)
def test_killed_and_resumed_on_other_ranks(name: str, before: int, after: int, tmp_path: Path) -> None:
    data = copy.deepcopy(CASES[name])
    data["output"] = {"occupations": True}
    case, out = as_file(data, tmp_path / "case.toml"), tmp_path / "out"
    ended = launched(before, case, out, program=("-c", KILLED))
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    with h5py.File(out / "checkpoint.h5") as file:
        assert file["completed"][()].sum() == KNOWN
    going_on = launched(after, case, out, "--resume")
    assert going_on.returncode == 0, going_on.stderr
    found, whole = open_result(out).dataset, fvqp.run(data).dataset
    assert f"{KNOWN} of {whole.sizes['time']} points were computed before" in (out / "run.log").read_text()
    assert set(found) == set(whole)
    for variable in whole.data_vars:
        size = np.nanmax(np.abs(whole[variable].values)) or 1.0
        if variable in DIFFERENCES:
            size = float(np.nanmax(whole[DIFFERENCES[variable]].values))
        assert np.nanmax(np.abs(found[variable].values - whole[variable].values)) <= 1e-10 * size, variable
