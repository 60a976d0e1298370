"""Solutions of the Usadel problem at operating points."""

from __future__ import annotations

from dataclasses import replace

from fvqp.models.leads import LeadUnknowns
from fvqp.models.points import Guess, Point, Solution
from fvqp.models.self_consistency import solve_self_consistent
from fvqp.models.usadel import UsadelProblem
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.typing import Floats


def solve(problem: UsadelProblem, point: Point, guess: Guess | Solution | None = None) -> Solution:
    """Solve an operating point; ``guess`` is a neighbouring solution to start from.

    Raises:
        ConvergenceError: the self-consistency does not converge.
    """
    if problem.device.balances_heat:
        return _with_leads(problem, point, guess)
    return _driven(problem, point, problem.external(point), guess)


def _driven(
    problem: UsadelProblem, point: Point, external: Floats, guess: Guess | Solution | None
) -> Solution:
    """Solve an operating point for given distributions of the leads (`UsadelProblem.external`)."""
    if problem.gap.follows_bias or problem.self_consistent_phase:
        return solve_self_consistent(problem, point, external, guess)
    state, phase = problem.at_rest(point.supercurrent)
    if problem.inelastic is None:
        return Solution(point, state, problem.response(point.supercurrent).combine(external), phase, 0)
    near = guess if guess is not None and guess.point.supercurrent == point.supercurrent else None
    what = f"V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
    kinetic = problem.energy_mode(state, external, None if near is None else near.kinetic, what)
    return Solution(point, state, problem.with_charge(state, kinetic), phase, 0)


def _with_leads(problem: UsadelProblem, point: Point, guess: Guess | Solution | None) -> Solution:
    """An operating point at which the heat of every lead is balanced.

    The iterate are the logarithms of the leads' temperatures. At given ones the superconductor is solved for;
    each lead's next temperature then balances its heat beside that superconductor, which reacts little: the
    map contracts fast.

    Raises:
        ConvergenceError: no balance is found.
        CaseError: a lead gets so hot that the energy axis ends below its thermal tail.
    """
    what = f"temperatures of the leads at V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
    leads = LeadUnknowns(problem, what)
    last: Guess | Solution | None = guess

    def update(unknowns: Floats) -> Floats:
        nonlocal last
        temperatures = leads.temperatures(point, unknowns)
        solution = _driven(problem, point, problem.external(point, temperatures), last)
        last = replace(solution, leads=temperatures)
        return leads.balanced(last)

    solve_fixed_point(
        update,
        leads.of(None if guess is None else guess.leads),
        comm=problem.device.mesh.comm,
        tolerance=problem.tolerance,
        what=what,
        max_evaluations=problem.most_evaluations,
    )
    assert isinstance(last, Solution), "the map is evaluated at least once"
    return last
