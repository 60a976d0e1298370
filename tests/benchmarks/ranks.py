"""One rank against all: the same work by rank 0 alone, by every rank for itself, and by all together.

These come in turn, since a machine that is shared is now fast, now slow, for seconds at a time. Its cores may
be two threads of one: every rank for itself tells what all of them can do at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.parallel import barrier

#: Makes a problem on the ranks of a communicator; the function that it returns solves it once, collectively,
#: and returns a sum over the solution.
Prepare = Callable[[MPI.Comm], Callable[[], float]]


def compare(prepare: Prepare, turns: int, solves: int, settle: int) -> None:
    """Print, as JSON, median times ``(turns,)`` of a solve by the slowest rank, in each of the three ways.

    Args:
        prepare: the problem.
        turns: of each way.
        solves: in a row that are timed, in every turn.
        settle: solves before these. Loops are compiled in the first turn; in every one a core that has slept
            needs some tenths of a second until it is as fast as it was.
    """
    world = MPI.COMM_WORLD
    own, common = prepare(MPI.COMM_SELF), prepare(world)
    ways = {"alone": own if world.rank == 0 else None, "each": own, "together": common}
    times = np.zeros((len(ways), turns, solves, 2))
    sums = dict.fromkeys(ways, 0.0)
    for turn in range(turns):
        for way, (name, solve) in enumerate(ways.items()):
            for k in range(-settle, solves):
                if solve is not None:
                    took, sums[name] = timed(solve)
                    if k >= 0:
                        times[way, turn, k] = took
            barrier(world)  # who had nothing to do has slept
    world.Allreduce(MPI.IN_PLACE, times, MPI.MAX)
    if world.rank == 0:
        middle = np.median(times, axis=2)
        found = {
            name: {"wall": middle[way, :, 0].tolist(), "cpu": middle[way, :, 1].tolist(), "sum": sums[name]}
            for way, name in enumerate(ways)
        }
        print(json.dumps(found))


def timed(solve: Callable[[], float]) -> tuple[tuple[float, float], float]:
    """Clock and processor time of a solve, s, and what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    total = solve()
    return (time.perf_counter() - wall, time.process_time() - cpu), total
