"""What a run that is interrupted or killed leaves behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from launching import HANGS

from fvqp.results import open_result

PROGRAM = """
import sys, time
import fvqp
import numpy as np
from mpi4py import MPI
from fvqp import cli
from fvqp.mesh import shape_mesh
from fvqp.results import Checkpoint, ResultsFolder, SweepDataset, folder as module
module.WRITE_EVERY = 0.2

def run(case, out, resume, **rest):
    mesh = shape_mesh("grid1d", nx=10, Lx=1e-6, comm=MPI.COMM_SELF)
    sweep = SweepDataset({"V_inj": np.arange(1000.0)})
    with ResultsFolder(out, "", "ab" * 32, comm=mesh.comm, resume=resume) as folder:
        earlier = folder.start(sweep, mesh)
        first = 0 if earlier is None else int(earlier.completed.sum())
        state = np.zeros(mesh.n_cells) if earlier is None else earlier.arrays["state"]
        for point in range(first, first + 1000):
            state = state + 1.0
            sweep.record((point,), I_det=state[0])
            folder.save(mesh, Checkpoint(sweep.completed, {"state": state}))
            print(point, flush=True)
            time.sleep(0.01)

fvqp.run = run
sys.exit(cli.main(["run", "case", "--out", sys.argv[1], *sys.argv[2:]]))
"""


def stopped(folder, how, *options, after=50):
    """Runs until ``after`` points are there, stops by the signal ``how``; return code and error output."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder / "out"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if int(line) >= after:
            break
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=HANGS)
    return process.returncode, errors


@pytest.mark.slow
def test_stopped_runs_are_readable_and_go_on(tmp_path):
    known = 0
    for how, code, options in (
        (signal.SIGTERM, 143, []),
        (signal.SIGKILL, -signal.SIGKILL, ["--resume"]),
        (signal.SIGINT, 130, ["--resume"]),
    ):
        returned, errors = stopped(tmp_path, how, *options, after=known + 50)
        assert returned == code and "Traceback" not in errors
        if code > 0:
            assert errors.rstrip().endswith("--resume goes on from there")
        dataset = open_result(tmp_path / "out").dataset
        done = dataset["completed"].values.astype(bool)
        # Every point goes on from the state of the point before, so a gap or a repetition would show.
        np.testing.assert_array_equal(dataset["I_det"].values[done], np.arange(1, done.sum() + 1))
        # Only a kill that cannot be caught costs the points since the last writing.
        assert done.sum() > known + (50 if code > 0 else 0)
        known = int(done.sum())
