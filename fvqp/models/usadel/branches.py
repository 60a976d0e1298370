"""The branch of solutions that is connected with rest, through the biases at which it turns back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.usadel.leads import LeadUnknowns
from fvqp.models.usadel.operating_point import Iteration, solve_point
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.solvers.continuation import CurvePoint, Report, follow_branch
from fvqp.typing import Floats

#: Steps along the branch, of e V/Δ0 and of the root mean square of Δ/Δ0 together.
FIRST_STEP, MAX_STEP = 0.02, 0.05

#: Why a branch may end before the range does.
BEYOND = "the end of the energy axis"

#: To which points of a branch are solved for, in Δ0: derivatives are differences.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class GapBranch:
    """Gaps along the branch of a curve of the sweep.

    Attributes:
        biases: of the points of the branch in its order, volt, ``(points,)``.
        gaps: of every cell there, Δ0, ``(points, n_cells)``, ghosts included.
        fold_biases, fold_gaps: the same where the bias turns back.
        crossings: for every bias asked for, the gaps of all its solutions, each ``(n_cells,)``.
        missed: biases of these at which the branch has a solution beside, which was not found.
        end: why the branch was not followed further.
    """

    biases: Floats
    gaps: Floats
    fold_biases: Floats
    fold_gaps: Floats
    crossings: dict[float, list[Floats]]
    missed: list[float]
    end: str


def follow_gap(
    problem: UsadelProblem,
    point: Point,
    biases: Sequence[float],
    *,
    largest_step: float = MAX_STEP,
    report: Report = lambda part, bias: None,
) -> GapBranch:
    """The branch that leaves rest (no injector bias) towards the last of ``biases``, by arclength.

    Where leads have a balance of heat their temperatures are unknowns beside the gap, on a logarithmic scale.
    Two or more solutions coexist at biases between two folds. Where superconductivity ends, the branch does.

    Args:
        problem: with a gap that follows the bias.
        point: detector bias and supercurrent; its injector bias does not count.
        biases: of the injector, volt, of one sign and increasing in size; the branch is followed beyond the
            last by a first step, and crossings are reported at all of them.
        largest_step: see `MAX_STEP`.
        report: called on the way with the part that is done, from 0 to 1, and the bias in volt.

    Raises:
        CaseError: a gap that knows nothing of the bias.
    """
    if not problem.gap.follows_bias:
        raise CaseError("branches of the gap: needs a gap that follows the bias")
    unit = problem.device.voltage_unit
    rest = replace(point, V_inj=0.0)
    start = solve_point(problem, rest)
    iteration = Iteration(problem, rest, problem.external(rest), start, everywhere=True)
    leads = LeadUnknowns(problem, "temperatures of the leads along the branch")
    n = iteration.start.size

    def residual(x: Floats, bias: float) -> Floats:
        if abs(bias) > problem.grid.maximum:
            raise ConvergenceError(BEYOND)
        here = replace(point, V_inj=bias * unit)
        try:
            temperatures = leads.temperatures(here, x[n:])
        except CaseError as error:
            # Not where the branch leads, perhaps: shorter steps will tell.
            raise ConvergenceError(f"{BEYOND}: {error}") from None
        iteration.move(here, problem.external(here, temperatures))
        gap = iteration.update(x[:n])
        if not problem.device.balances_heat:
            return x - gap
        solution = replace(iteration.solution(1), leads=temperatures)
        return x - np.concatenate([gap, leads.balanced(solution)])

    marks = {bias / unit: bias for bias in biases}
    last = max(marks, key=abs, default=0.0)
    last += np.copysign(FIRST_STEP, last)
    found = follow_branch(
        residual,
        CurvePoint(np.concatenate([iteration.start, leads.of(start.leads)]), 0.0),
        last,
        comm=problem.device.mesh.comm,
        first_step=FIRST_STEP,
        largest_step=largest_step,
        tolerance=max(problem.tolerance, TOLERANCE),
        marks=list(marks),
        report=lambda part, bias: report(part, bias * unit),
    )

    def gaps(points: Sequence[Floats]) -> Floats:
        cells = [iteration.gap_of(x[:n]) for x in points]
        return np.array(cells).reshape(len(points), problem.device.mesh.n_cells)

    return GapBranch(
        biases=np.array([p.parameter * unit for p in found.points]),
        gaps=gaps([p.x for p in found.points]),
        fold_biases=np.array([p.parameter * unit for p in found.folds]),
        fold_gaps=gaps([p.x for p in found.folds]),
        crossings={marks[mark]: list(gaps(points)) for mark, points in found.crossings.items()},
        missed=[marks[mark] for mark in found.missed],
        end=found.end,
    )
