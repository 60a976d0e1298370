"""References for a run: closed forms, and the same sweep without collisions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.operating_point import solve_point
from fvqp.models.usadel import Point, Solution, UsadelProblem
from fvqp.spectral.usadel import gap_edge
from fvqp.study.sweep import AXES, Sweep, chains

log = logging.getLogger(__name__)

AROUND_EDGES = 0.5, 1.2
"""Range in which bins are divided, over the least and the largest edge at rest: gaps fall under bias."""
PIECE = 0.5
"""Width of the pieces over the broadening, with which a gap that follows the bias errs by some 1e-4 Δ0."""
MIN_PIECE = 1e-6
"""Width of a piece at least, in Δ0."""
MAX_PIECES = 32
"""Pieces of a bin at most, where the broadening is small."""


def _elastic(problem: UsadelProblem) -> UsadelProblem:
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
    shape = [len(getattr(axis, name)) or 1 for name in AXES[:3]]
    for index in np.ndindex(*shape):
        problem = _elastic(problems[index[0]])
        value = axis.supercurrent[index[1]] if axis.supercurrent else 0.0
        v_det = axis.V_det[index[2]] if axis.V_det else 0.0
        for chain in chains(axis.V_inj):
            solution: Any = None
            for v in chain:
                v_inj = axis.V_inj[v] if axis.V_inj else 0.0
                try:
                    solution = solve_point(problem, Point(v_inj, v_det, value), solution)
                except ConvergenceError as error:
                    if problem.device.mesh.comm.rank == 0:
                        log.warning("without collisions: %s", error)
                    break
                yield (*index, v), problem, solution
