"""How a command ends on several ranks: one message, no rank left behind."""

import os
import subprocess
import sys

import pytest
from launching import HANGS
from mpi4py import MPI

PROGRAM = """
import sys, fvqp, mpi4py.MPI as MPI
from fvqp import cli, terminal
from fvqp.errors import ConvergenceError
terminal.PATIENCE = 1.0
where = sys.argv[1]
def run(case, **rest):
    if where == "all" or MPI.COMM_WORLD.rank == int(where):
        raise ConvergenceError("energy 1.2 did not converge")
    MPI.COMM_WORLD.Barrier()
fvqp.run = run
sys.exit(cli.main(["run", "a.toml", "--out", "d"]))
"""


def launch(where):
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(
            ("OMPI_COMM", "OMPI_UNIVERSE", "PMIX", "PMI_", "OMPI_MCA_ess", "OMPI_MCA_orte", "OMPI_ARGV")
        )
    }
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = ["mpiexec", "-n", "2", sys.executable, "-c", PROGRAM, where]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=environment)


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")
@pytest.mark.parametrize("where", [*(pytest.param(w, marks=pytest.mark.slow) for w in ("all", "0")), "1"])
def test_a_failure_ends_all_ranks_with_one_message(where):
    done = launch(where)
    assert done.returncode == 2
    assert done.stderr.count("fvqp: error: energy 1.2 did not converge") == 1
    assert "Traceback" not in done.stderr
