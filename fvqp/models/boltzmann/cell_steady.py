"""Steady states of cells that do not exchange particles, in which gain and loss of every occupation agree."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import State
from fvqp.solvers.rate_balance import Balance, BalanceSolver
from fvqp.typing import Bools, Floats

log = logging.getLogger(__name__)

#: Largest accepted residual of the gap equation.
GAP_TOLERANCE = 1e-10
#: Gaps that are tried.
MAX_GAPS = 40


@dataclass(frozen=True)
class SteadyState:
    """A steady state and how well it is one.

    Attributes:
        state: occupations and gap.
        residual: largest ``|gain − loss|/(gain + loss)`` of all occupations.
        imbalance: the same of the number of quasiparticles and of the energy.
        iterations: steps of the solver.
    """

    state: State
    residual: float
    imbalance: dict[str, float]
    iterations: int


def balanced_state(
    problem: BoltzmannProblem, guess: State, *, tolerance: float = 1e-9, max_iterations: int = 200
) -> SteadyState:
    """The steady state that a guess leads to, of cells that do not exchange particles.

    With gaps that follow, occupations at fixed gaps and the gap equation take turns. A drive that leaves no
    solution with a gap ends in the normal state, ``gap = 0``.

    Args:
        problem: in whose cells particles stay, see `CellEquations`.
        guess: first guess. From cold occupations the solver has to build up a strongly driven state; a guess
            that is too hot, or the steady state of a weaker drive, serves better.
        tolerance: largest accepted ``|gain − loss|/(gain + loss)`` of any occupation.
        max_iterations: of the solver, for each gap.

    Raises:
        CaseError: particles that move.
        ConvergenceError: no steady state found; says which occupation or balance is off.
    """
    equations = CellEquations(problem, balance_pairs=True)
    solver = BalanceSolver(equations, tolerance=tolerance, max_iterations=max_iterations)
    y, gap, taken = np.concatenate([guess.f[:, 0], guess.n[:, 0]], axis=1), guess.gap.copy(), 0
    before: tuple[Floats, Floats] | None = None
    residual = np.zeros_like(gap)
    for _ in range(MAX_GAPS if problem.gap_follows else 1):
        equations.follow(gap)
        found = _solved(solver, y, problem.grid.is_uniform)
        taken += found.iterations
        f, n = equations.split(found.y)
        if problem.gap_follows:
            f = _continued(f, equations.active())
        residual, target = _of_gaps(problem, f, gap)
        log.debug("gap %s, residual of the gap equation %s", gap, residual)
        if np.all(np.abs(residual) <= GAP_TOLERANCE) and not np.any((gap == 0.0) & (target != 0.0)):
            state = State(f[:, None].copy(), n[:, None].copy(), gap)
            return SteadyState(state, found.residual, found.imbalance, taken)
        y = np.concatenate([f, n], axis=1)
        previous, before = before, (gap, target - gap)
        gap = target if previous is None else _secant(previous, before, target)
    raise ConvergenceError(
        f"gap of the steady state: not found after {MAX_GAPS} gaps, residual of the gap equation "
        f"{np.abs(residual).max():.1e}"
    )


def _of_gaps(problem: BoltzmannProblem, f: Floats, gap: Floats) -> tuple[Floats, Floats]:
    """Residuals of the gap equation, and its solutions, ``(cells,)``; where a gap stays 0 and the gap."""
    residual, target = np.zeros_like(gap), gap.copy()
    for one in problem.media:
        if one.self_consistent is not None:
            at = one.owned
            off = one.self_consistent.residual(f[at], gap[at])
            residual[at] = np.where(gap[at] > 0.0, off, 0.0)
            target[at] = one.self_consistent.gap(f[at], gap[at])
    return residual, target


def _solved(solver: BalanceSolver, y: Floats, uniform: bool) -> Balance:
    try:
        return solver.solve(y)
    except ConvergenceError as error:
        if uniform:
            raise
        raise ConvergenceError(
            f"{error}; on a graded axis numbers of quasiparticles below some 1e-15 of 4 N0 Δ0 are lost "
            "in rounding; take a uniform one for cold states"
        ) from None


def _continued(f: Floats, active: Bools) -> Floats:
    """f with bins below the gap as full as the first one above, in case the gap comes down."""
    first = np.argmax(active, axis=1)
    below = np.arange(f.shape[1]) < first[:, None]
    return np.where(below, np.take_along_axis(f, first[:, None], axis=1), f)


def _secant(first: tuple[Floats, Floats], second: tuple[Floats, Floats], target: Floats) -> Floats:
    """Next gap from two gaps and where the gap equation led from each; the latter where that is no use."""
    (x0, r0), (x1, r1) = first, second
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = x1 - r1 * (x1 - x0) / (r1 - r0)
    useful = np.isfinite(guess) & (target > 0.0) & (guess > 0.5 * x1) & (guess < 0.5 * (1.0 + x1))
    return np.where(useful, guess, target)
