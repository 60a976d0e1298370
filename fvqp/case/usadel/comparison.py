"""What a run is compared with: closed forms, and the same sweep without collisions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fvqp.case.usadel.build import Sweep
from fvqp.errors import ConvergenceError
from fvqp.models.usadel import Point, Solution, UsadelProblem

log = logging.getLogger(__name__)

AXES = ("temperature", "supercurrent", "V_det", "V_inj")
"""Axes of a sweep, outermost first."""


def chains(biases: tuple[float, ...]) -> tuple[tuple[int, ...], ...]:
    """Indices of biases in the order in which each starts from the one before: up from rest, and down."""
    values = np.array(biases or (0.0,))
    by_size = np.argsort(np.abs(values), kind="stable")
    up = tuple(int(k) for k in by_size if values[k] >= 0.0)
    down = tuple(int(k) for k in by_size if values[k] < 0.0)
    return tuple(chain for chain in (up, down) if chain)


def elastic_sweep(
    problems: list[UsadelProblem], axis: Sweep
) -> Iterator[tuple[tuple[int, ...], UsadelProblem, Solution]]:
    """Solutions of all points without collisions, with the indices of all axes and their problem.

    f_T is part of a solution, the supercurrent too. Where one is not found, the points beyond it are left
    out. Collective over the ranks of the problems.
    """
    shape = [len(getattr(axis, name)) or 1 for name in AXES[:3]]
    for index in np.ndindex(*shape):
        problem = replace(problems[index[0]], collisions=None)
        value = axis.supercurrent[index[1]] if axis.supercurrent else 0.0
        v_det = axis.V_det[index[2]] if axis.V_det else 0.0
        for chain in chains(axis.V_inj):
            solution: Any = None
            for v in chain:
                v_inj = axis.V_inj[v] if axis.V_inj else 0.0
                try:
                    solution = problem.solve(Point(v_inj, v_det, value), solution)
                except ConvergenceError as error:
                    if problem.device.mesh.comm.rank == 0:
                        log.warning("without collisions: %s", error)
                    break
                yield (*index, v), problem, solution
