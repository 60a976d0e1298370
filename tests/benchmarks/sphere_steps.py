"""Whole steps of `sphere_pulse.toml` on the ranks it is started on: times of the slowest rank, by step.

The full size but for 128 shells in place of 200: 16 directions, 301 bins. The pulse flies apart and collides,
the gap follows, and errors are controlled. What is timed is what `fvqp run` does from 3 to 10 ps but for
writing results; the elimination of collisions in every shell is among it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fvqp.case import load_case
from fvqp.case.transport.build import build_setup
from fvqp.case.transport.schema import TransportCase

CASE = Path(__file__).parents[2] / "cases" / "boltzphlow2026" / "sphere_pulse.toml"
SIZE = (
    "body.shells=128",
    "quasiparticles.directions=16",
    "phonons.directions=16",
    'energies.width="0.0085 Delta0"',
    "energies.growth=0.0045",
)
START, END, TOLERANCE = 3e-12, 1e-11, 0.05


def main(repeat: int) -> None:
    comm = MPI.COMM_WORLD
    case = load_case(CASE, SIZE)
    assert isinstance(case, TransportCase)
    setup = build_setup(case, comm)
    problem, unit = setup.problem, setup.units.time
    # compiles, and finds the length of steps
    (begin,) = problem.evolve(setup.state, [START / unit], tolerance=TOLERANCE)
    times, moment = [], begin
    for _ in range(repeat):
        comm.Barrier()
        wall, cpu = time.perf_counter(), time.process_time()
        (moment,) = problem.evolve(
            begin.state,
            [END / unit],
            start=begin.time,
            tolerance=TOLERANCE,
            first_step=begin.next_step,
            counters=begin.counters,
        )
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    slowest = np.array(times) / moment.steps
    comm.Allreduce(MPI.IN_PLACE, slowest, MPI.MAX)
    # in units of what was there: amounts far below 1 would agree within any absolute tolerance
    total = moment.ledger.phonons / begin.ledger.phonons
    if comm.rank == 0:
        print(json.dumps({"wall": slowest[:, 0].tolist(), "cpu": slowest[:, 1].tolist(), "sum": total}))


main(int(sys.argv[1]))
