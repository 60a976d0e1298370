"""The film by one rank and by all: spectra, matrices, solves and checks of all energies."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mpi4py import MPI
from ranks import compare
from wire_problems import film, respond_T


def prepare(comm: MPI.Comm) -> Callable[[], float]:
    problem = film(comm=comm)
    owned = problem.device.mesh.n_owned
    return lambda: comm.allreduce(float(respond_T(problem)[:owned].sum()))


compare(prepare, int(sys.argv[1]), solves=5, settle=3)
