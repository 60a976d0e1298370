"""Solves the film several times on the ranks it is started on and prints the times of the slowest rank."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from wire_problems import film, respond_T


def main(repeat: int) -> None:
    comm = MPI.COMM_WORLD
    problem = film(comm=comm)
    respond_T(problem)
    times = []
    for _ in range(repeat):
        comm.Barrier()
        wall, cpu = time.perf_counter(), time.process_time()
        field = respond_T(problem)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    slowest = np.array(times)
    comm.Allreduce(MPI.IN_PLACE, slowest, MPI.MAX)
    mesh = problem.device.mesh
    total = comm.allreduce(float(field[: mesh.n_owned].sum()))
    if comm.rank == 0:
        print(json.dumps({"wall": slowest[:, 0].tolist(), "cpu": slowest[:, 1].tolist(), "sum": total}))


main(int(sys.argv[1]))
