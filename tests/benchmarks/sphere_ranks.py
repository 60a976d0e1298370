"""Rates and implicit motion in a sphere by one rank and by all.

The part of a step (`sphere_steps.py`) in which ranks wait for each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from ranks import compare
from shells import shell_mesh

from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.energy import EnergyAxis
from fvqp.models.boltzmann import BoltzmannEquations, BoltzmannProblem, DiscreteOrdinates, Medium
from fvqp.transport.directions import spherical
from fvqp.transport.walls import Wall


def prepare(comm: MPI.Comm) -> Callable[[], float]:
    grid = EnergyAxis.from_gap(5.0, gap=1.0, finest=0.01, growth=0.01)
    operator = ElectronPhonon(grid, Coupling(kappa=1.764, pair_breaking_time=0.04))
    medium = Medium(operator, fermi_velocity=1e-2, free_path=1e-6, sound_velocity=1e-4)
    motion = DiscreteOrdinates(spherical(16), {"outer": Wall(0.5)})
    problem = BoltzmannProblem(
        shell_mesh(np.linspace(0.0, 2e-5, 129), "spherical", comm),
        grid,
        medium,
        quasiparticles=motion,
        phonons=motion,
    )
    radius = np.arange(128.0)[problem.cells.space.global_id[: problem.cells.n_owned]] / 128.0
    cold = problem.thermal(0.3)
    hot = 1.0 + np.exp(-8.0 * radius**2)[:, None, None]
    state = problem.state(np.minimum(0.5, cold.f * hot), cold.n * hot)
    means = problem.mean_f(state.f), problem.mean_n(state.n)

    def once() -> float:
        here = BoltzmannEquations(problem, state.gap)
        local, inelastic = here.local.rates(*means), here.local.inelastic_rates(*means)
        moved = here.moving_f.rates(state.f, inelastic.f).y + local.f[:, None, :]
        solved = here.moving_f.implicit(1e-2, inelastic.f, state.f).solve(moved).y
        return comm.allreduce(float(np.abs(solved).sum()))

    return once


compare(prepare, int(sys.argv[1]), solves=10, settle=5)
