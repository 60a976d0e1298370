"""Rates and implicit motion in a sphere on the ranks it is started on, the part of a step (`sphere_steps.py`)
in which ranks wait for each other: times of the slowest rank."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from mpi4py import MPI

from fvqp.collisions import CollisionGrid, Coupling, ElectronPhonon
from fvqp.models.transport import Medium, Ordinates, TransportProblem
from fvqp.transport.directions import spherical
from fvqp.transport.radial import Shells
from fvqp.transport.walls import Wall


def main(repeat: int) -> None:
    comm = MPI.COMM_WORLD
    grid = CollisionGrid.graded(5.0, gap=1.0, finest=0.01, growth=0.01)
    operator = ElectronPhonon(grid, Coupling(kappa=1.764, pair_breaking_time=0.04))
    medium = Medium(operator, fermi_velocity=1e-2, free_path=1e-6, sound_velocity=1e-4)
    motion = Ordinates(spherical(16), {"outer": Wall(0.5)})
    problem = TransportProblem(
        Shells(np.linspace(0.0, 2e-5, 129), "spherical", comm),
        grid,
        medium,
        quasiparticles=motion,
        phonons=motion,
    )
    radius = np.arange(128.0)[problem.body.space.chain.global_id[: problem.body.n_owned]] / 128.0
    cold = problem.thermal(0.3)
    hot = 1.0 + np.exp(-8.0 * radius**2)[:, None, None]
    state = problem.state(np.minimum(0.5, cold.f * hot), cold.n * hot)
    means = problem.mean_f(state.f), problem.mean_n(state.n)
    times = []
    for _ in range(repeat + 1):
        comm.Barrier()
        wall, cpu = time.perf_counter(), time.process_time()
        problem.set_gap(state.gap)
        local, turn = problem.local.rates(*means), problem.local.turnover(*means)
        moved = problem.moving_f.rates(state.f, turn.f).y + local.f[:, None, :]
        solved = problem.moving_f.implicit(1e-2, turn.f, state.f).solve(moved).y
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    slowest = np.array(times[1:])  # the first compiles
    comm.Allreduce(MPI.IN_PLACE, slowest, MPI.MAX)
    total = comm.allreduce(float(np.abs(solved).sum()))
    if comm.rank == 0:
        print(json.dumps({"wall": slowest[:, 0].tolist(), "cpu": slowest[:, 1].tolist(), "sum": total}))


main(int(sys.argv[1]))
