"""References for a run: closed forms, and the same sweep without collisions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.spectral.usadel import gap_edge
from fvqp.study.sweep import Sweep, chains, walk

log = logging.getLogger(__name__)

AROUND_EDGES = 0.5, 1.2
"""Range in which bins are divided, over the least and the largest edge at rest: gaps fall under bias."""
PIECE = 0.5
"""Width of the pieces over the broadening, with which a gap that follows the bias errs by some 1e-4 Δ0."""
MIN_PIECE = 1e-6
"""Width of a piece at least, in Δ0."""
MAX_PIECES = 32
"""Pieces of a bin at most, where the broadening is small."""


def elastic(problem: UsadelProblem) -> UsadelProblem:
    """The problem without collisions, on an axis of its own."""
    comm = problem.device.mesh.comm
    state, _ = problem.at_rest(0.0)
    here = gap_edge(state.gap, state.depairing)
    low = comm.allreduce(float(here[here > 0.0].min(initial=np.inf)), MPI.MIN)
    high = comm.allreduce(float(here.max(initial=0.0)), MPI.MAX)
    below, above = AROUND_EDGES
    grid = problem.grid.divided(
        below * low, above * high, max(PIECE * problem.broadening, MIN_PIECE), MAX_PIECES
    )
    return replace(problem, collisions=None, grid=grid)


def elastic_sweep(
    problems: list[UsadelProblem], axis: Sweep
) -> Iterator[tuple[tuple[int, ...], UsadelProblem, Solution]]:
    """Solutions of all points without collisions, with the indices of all axes and their problem.

    f_T is part of a solution, the supercurrent too. Where one is not found, the points beyond it are left
    out. The problems have an energy axis of their own, with the bins around gap edges divided: without
    collisions f_L has an edge there, which bins as wide as collisions need would displace. Collective over
    the ranks of the problems.
    """
    comm = problems[0].device.mesh.comm
    guard = comm.Dup()
    for curve in np.ndindex(axis.shape[:3]):
        problem = elastic(problems[curve[0]])
        for chain in chains(axis.V_inj):
            for step, found in walk(problem, axis.points(curve, chain), None, guard):
                if isinstance(found, ConvergenceError):
                    if comm.rank == 0:
                        log.warning("without collisions: %s", found)
                    break
                yield (*curve, chain[step]), problem, found
    guard.Free()
