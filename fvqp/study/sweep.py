"""Sweeps of biases: their axes, the order of their points, and the step from a point to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError, FvqpError, SuperconductivityDestroyed
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.parallel import wait
from fvqp.results.dataset import Outcome

log = logging.getLogger(__name__)

AXES = ("temperature", "supercurrent", "V_det", "V_inj")
"""Axes of a sweep, outermost first."""
HALVINGS = 2
"""Times that a bias step that does not converge is halved before it is given up."""
PATIENCE = 10.0
"""Seconds that a rank on which a solve fails waits for the others of its group to fail as well."""


@dataclass(frozen=True)
class Sweep:
    """The axes of a sweep in SI units, outermost first; axes that are not swept have no entry.

    Attributes:
        temperature: bath temperatures, kelvin.
        supercurrent: values of the drive (ξ∇φ or ampere).
        V_det, V_inj: volt.
    """

    temperature: tuple[float, ...] = ()
    supercurrent: tuple[float, ...] = ()
    V_det: tuple[float, ...] = ()
    V_inj: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Values of every axis, 1 of one that is not swept."""
        return tuple(len(getattr(self, name)) or 1 for name in AXES)

    def place(self, curve: tuple[int, ...], v: int) -> tuple[int, ...]:
        """Return the place of a point in the dataset: its indices on the axes that are swept.

        Args:
            curve: indices of temperature, supercurrent and detector bias.
            v: that of the injector bias.
        """
        indices = zip(AXES, (*curve, v), strict=True)
        return tuple(index for name, index in indices if getattr(self, name))

    def points(self, curve: tuple[int, ...], chain: Sequence[int]) -> list[Point]:
        """Return the points of a curve at some injector biases, arguments as of `place`."""
        _, s, d = curve
        value = self.supercurrent[s] if self.supercurrent else 0.0
        v_det = self.V_det[d] if self.V_det else 0.0
        return [Point(self.V_inj[v] if self.V_inj else 0.0, v_det, value) for v in chain]


def chains(biases: tuple[float, ...]) -> tuple[tuple[int, ...], ...]:
    """Return indices of biases in the order in which each starts from the one before: up from rest, down."""
    values = np.array(biases or (0.0,))
    by_size = np.argsort(np.abs(values), kind="stable")
    up = tuple(int(k) for k in by_size if values[k] >= 0.0)
    down = tuple(int(k) for k in by_size if values[k] < 0.0)
    return tuple(chain for chain in (up, down) if chain)


def walk(
    problem: UsadelProblem, points: Sequence[Point], guess: Solution | None, guard: MPI.Comm
) -> Iterator[tuple[int, Solution | ConvergenceError]]:
    """Solve the points of a chain in their order. Collective.

    Where solutions follow the bias each starts from the one before it, and the first that has none is the
    last; elsewhere every point is solved by itself.

    Args:
        problem: the problem.
        points: the chain, or what is left of it.
        guess: solution before the first of them, if there is one.
        guard: as of `common_failure`.

    Yields:
        The number of a point, with its solution or the reason why it has none.
    """
    for number, point in enumerate(points):
        try:
            solution = advance(problem, point, guess, guard)
        except ConvergenceError as error:
            yield number, error
            if problem.follows_bias:
                return
            continue
        yield number, solution
        if problem.follows_bias:
            guess = solution


def advance(problem: UsadelProblem, point: Point, guess: Solution | None, guard: MPI.Comm) -> Solution:
    """Solve a point from its neighbour; a step of the bias that does not converge is taken in halves.

    Points that do not depend on a neighbour are solved once. ``guard`` is as of `common_failure`.

    Raises:
        ConvergenceError: on all ranks, if no step converges.
    """
    start = 0.0 if guess is None else guess.point.V_inj
    halvings = HALVINGS if problem.follows_bias else 0
    for halving in range(halvings + 1):
        here = guess
        try:
            for step in range(1, 2**halving + 1):
                part = start + (point.V_inj - start) * step / 2**halving
                last = solve_point(problem, Point(part, point.V_det, point.supercurrent), here)
                here = last
            return last
        except ConvergenceError as failure:
            error = common_failure(guard, failure)
            if halving == halvings:
                raise
            log.info("%s; the bias step is halved", error)
    raise AssertionError("unreachable")


class FailedAlone(FvqpError):
    """A solve that failed on this rank while the others wait for it: nothing can be done together."""


def common_failure(guard: MPI.Comm, error: ConvergenceError) -> ConvergenceError:
    """Return ``error`` if all ranks of ``guard`` come here with one; otherwise some would wait forever.

    ``guard`` is used for nothing else, so that its barrier cannot meet another collective call.
    """
    if not wait(guard.Ibarrier().Test, PATIENCE):
        raise FailedAlone(str(error)) from None
    return error


def without_solution(
    places: list[tuple[int, ...]], error: ConvergenceError
) -> tuple[Outcome, list[tuple[int, ...]]]:
    """Return the outcome of points without a solution, and which of ``places`` have it.

    ``places`` are the point that failed and those beyond, which start from it. Where superconductivity is
    destroyed, they have no solution either; where the solution did not converge, they are not computed.
    """
    if isinstance(error, SuperconductivityDestroyed):
        return Outcome.DESTROYED, places
    return Outcome.NOT_CONVERGED, places[:1]
