"""How a command ends on several ranks: one message, no rank left behind."""

import pytest
from launching import on_ranks
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


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")
@pytest.mark.parametrize("where", [*(pytest.param(w, marks=pytest.mark.slow) for w in ("all", "0")), "1"])
def test_a_failure_ends_all_ranks_with_one_message(where):
    done = on_ranks(2, "-c", PROGRAM, where)
    assert done.returncode == 2
    assert done.stderr.count("fvqp: error: energy 1.2 did not converge") == 1
    assert "Traceback" not in done.stderr
