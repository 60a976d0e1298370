"""Computes a map over both biases, one group a rank, and prints the times of the slowest rank."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from mpi4py import MPI
from run_cases import UNIFORM, line

import fvqp

#: Rows whose two directions are dealt to the groups: curves of equal length, more of them than groups.
DETECTOR, INJECTOR = 6, 13


def main(repeat: int) -> None:
    comm = MPI.COMM_WORLD
    case = line(
        UNIFORM,
        energies={"number": 100, "spacing": "uniform", "maximum": 5.0},
        collisions={"electron_electron": 2e-4},
        solver={"groups": comm.size},
        output={"fields": []},
    )
    small = {"V_inj": ["0.1 mV", "-0.1 mV"], "V_det": ["0 mV"]}
    fvqp.run({**case, "sweep": small})
    case["sweep"] = {
        "V_inj": {"from": "-2 Delta0", "to": "2 Delta0", "points": INJECTOR},
        "V_det": {"from": "0 Delta0", "to": "1.4 Delta0", "points": DETECTOR},
    }
    times = []
    for _ in range(repeat):
        comm.Barrier()
        wall, cpu = time.perf_counter(), time.process_time()
        found = fvqp.run(case)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    slowest = np.array(times)
    comm.Allreduce(MPI.IN_PLACE, slowest, MPI.MAX)
    if comm.rank == 0:
        total = float(np.abs(found.dataset["g_nl"].values).sum())
        print(json.dumps({"wall": slowest[:, 0].tolist(), "cpu": slowest[:, 1].tolist(), "sum": total}))


main(int(sys.argv[1]))
