"""Slopes of the currents by the injector's bias: of responses, of solutions whose gaps follow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.models.kinetics import L, SpectralState, T
from fvqp.models.points import Solution
from fvqp.models.self_consistency import Iteration
from fvqp.solvers.gmres import gmres

if TYPE_CHECKING:
    from fvqp.models.usadel import UsadelProblem

Floats = NDArray[np.float64]

#: Part of the slope of f_L by the bias with which the gap equation, nearly linear in f_L, is differentiated.
SHARE = 1e-3

#: Step of a bias, in Δ0/e, and of what follows it, with which a solution is differentiated by the bias.
BIAS_STEP = 1e-5

#: Accuracy of the linear solve of this derivative, and most directions of GMRES.
SLOPE_RTOL, MOST_DIRECTIONS = 1e-5, 60

#: Step of ln Δ with which a solution is differentiated by the gap.
GAP_STEP = 1e-5

#: Step of a bias with which whole solutions are differentiated: part of the thermal width; least, in Δ0/e.
THERMAL_STEP, LEAST_STEP = 5e-3, 1e-5


def conductances(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` of the current from every junction into the superconductor, siemens.

    Exact where the spectra do not depend on bias, or by gaps only; otherwise the slope of the solution, by
    central differences a small fraction of the thermal width apart around it.
    """
    device, point, inelastic = problem.device, solution.point, problem.inelastic
    unit = device.voltage_unit
    if solution.phase is None and not device.balances_heat and problem.gap.follows_bias:
        of = _of_one_gap if problem.gap.kind == "uniform" else _of_all_gaps
        return of(problem, solution)
    if problem.gap.follows_bias or problem.self_consistent_phase or device.balances_heat:
        leads = [j.temperature for j in device.junctions] if solution.leads is None else solution.leads
        t = max(leads, default=0.0) / device.thermal_unit
        step = max(THERMAL_STEP * t, LEAST_STEP) * unit
        sides = [
            problem.solve(moved, solution)
            for moved in (replace(point, V_inj=point.V_inj + s) for s in (-step, step))
        ]
        low, high = (problem.junction_currents(side.kinetic.currents) for side in sides)
        return (high - low) / (2.0 * step)
    direction = problem.external_slope(point)
    if inelastic is not None and T in inelastic.components(solution.spectral):
        slope = inelastic.slope(solution.spectral, solution.kinetic, direction)
    else:
        # Collisions act on f_L, of which the charge current does not know.
        slope = problem.response(point.supercurrent).combine(direction)
    return problem.junction_currents(slope.currents) / unit


def _of_one_gap(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` from every junction into the superconductor where one gap follows the bias, siemens.

    With ``r(Δ, V)`` the residual of the gap equation for the distributions that belong to both,
    ``d ln Δ/dV = −r_V/r_lnΔ``; the current follows bias and gap.
    """
    kinetics, field = problem.kinetics, problem.gap_field
    spectral, kinetic = solution.spectral, solution.kinetic
    slope = problem.external_slope(solution.point)
    if problem.inelastic is None:
        (driven,) = kinetics.solve(spectral, slope[None], only=L)
    else:
        driven = problem.inelastic.slope(spectral, kinetic, slope)
    driven = problem.with_charge(spectral, driven)
    deviation, by_bias = kinetic.deviation(L), driven.deviation(L)
    gap, zeta = field.uniform_value(spectral.gap), spectral.depairing
    below, above = (
        field.uniform_residual(gap, zeta, deviation + share * by_bias) for share in (-SHARE, SHARE)
    )
    r_bias = (above - below) / (2.0 * SHARE)
    residuals, currents = [], []
    for sign in (-1.0, 1.0):
        moved = SpectralState(spectral.gap * np.exp(sign * GAP_STEP), zeta)
        near = problem.energy_mode(moved, kinetic.external, kinetic, "slope of the gap")
        residuals.append(field.uniform_residual(gap * np.exp(sign * GAP_STEP), zeta, near.deviation(L)))
        currents.append(problem.junction_currents(problem.with_charge(moved, near).currents))
    by_gap = (currents[1] - currents[0]) / (2.0 * GAP_STEP * problem.device.voltage_unit)
    direct = problem.junction_currents(driven.currents) / problem.device.voltage_unit
    rate = -r_bias * 2.0 * GAP_STEP / (residuals[1] - residuals[0])
    return direct + rate * by_gap


def _of_all_gaps(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` from every junction into the superconductor where the gaps of all cells follow the bias.

    With ``F(x, V) = G(x, V) − x`` of the map G, without a current, gaps x follow as ``F_x dx/dV = −F_V``.

    Returns:
        Siemens.
    """
    point, unit = solution.point, problem.device.voltage_unit
    iteration = Iteration(problem, point, problem.external(point), solution)
    x, comm = iteration.start, problem.device.mesh.comm

    def dot(a: Floats, b: Floats) -> float:
        return float(comm.allreduce(float(a @ b)))

    def at(bias: float, x: Floats) -> Floats:
        moved = replace(point, V_inj=point.V_inj + bias * unit)
        iteration.move(moved, problem.external(moved))
        return iteration.update(x)

    by_bias = (at(BIAS_STEP, x) - at(-BIAS_STEP, x)) / (2.0 * BIAS_STEP)
    here = at(0.0, x)

    def action(w: Floats) -> Floats:
        h = BIAS_STEP / comm.allreduce(float(np.max(np.abs(w), initial=0.0)), MPI.MAX)
        return w - (at(0.0, x + h * w) - here) / h

    along = by_bias
    if dot(by_bias, by_bias) > 0.0:
        along = gmres(action, by_bias, dot, rtol=SLOPE_RTOL, most=MOST_DIRECTIONS)
    h = BIAS_STEP / max(1.0, comm.allreduce(float(np.max(np.abs(along), initial=0.0)), MPI.MAX))
    currents = []
    for step in (-h, h):
        at(step, x + step * along)
        assert iteration.kinetic is not None, "the map has been evaluated"
        kinetic = problem.with_charge(iteration.spectral, iteration.kinetic)
        currents.append(problem.junction_currents(kinetic.currents))
    return (currents[1] - currents[0]) / (2.0 * h * unit)
