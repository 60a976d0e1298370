"""Slopes of the currents by the injector's bias: of responses, of solutions whose gap or phase follow.

Nothing here compares two converged solutions: what follows the bias is differentiated as the map that it is a
fixed point of, so that a tolerance of the iteration is not divided by a small step. Where differences of that
map are taken, steps are so long that its rounding, which depends on the number of ranks, stays below 1e-10 of
the slopes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy import constants

from fvqp.models.kinetics import KineticState, L, SpectralState, T
from fvqp.models.points import Solution
from fvqp.models.self_consistency import Iteration
from fvqp.solvers.gmres import gmres

if TYPE_CHECKING:
    from fvqp.models.usadel import UsadelProblem

Floats = NDArray[np.float64]

#: Part of the slope of f_L by the bias with which the gap equation, nearly linear in f_L, is differentiated.
SHARE = 1e-3

#: Longest step of gaps (Δ0) and of ``ξ∇φ`` with which the map of the self-consistency is differentiated.
STEP = 1e-4

#: Change of the distributions in the leads, on which those in the device depend linearly or smoothly, with
#: which the map is differentiated by the bias.
LEAD_STEP = 0.1

#: Accuracy of the linear solve of this derivative, and most directions of GMRES.
SLOPE_RTOL, MOST_DIRECTIONS = 1e-6, 60

#: Step of ln Δ with which a solution is differentiated by a uniform gap.
GAP_STEP = 3e-4

#: Step of a bias with which whole solutions are differentiated: part of the thermal width; least, in Δ0/e.
THERMAL_STEP, LEAST_STEP = 5e-3, 1e-5


def conductances(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` of the current from every junction into the superconductor, siemens.

    Exact where the spectra do not depend on bias; elsewhere with the slopes of gap and phase, but where leads
    have a balance of heat: the slope of whole solutions, by central differences a small fraction of the
    thermal width apart.
    """
    device, point, inelastic = problem.device, solution.point, problem.inelastic
    unit = device.voltage_unit
    if device.balances_heat:
        leads = [j.temperature for j in device.junctions] if solution.leads is None else solution.leads
        t = max(leads, default=0.0) / device.thermal_unit
        step = max(THERMAL_STEP * t, LEAST_STEP) * unit
        return _central(
            lambda s: problem.junction_currents(
                problem.solve(replace(point, V_inj=point.V_inj + s), solution).kinetic.currents
            ),
            step,
        )
    if solution.phase is None and problem.gap.kind == "uniform":
        return _of_one_gap(problem, solution)
    if problem.gap.follows_bias or problem.self_consistent_phase:
        return _of_all(problem, solution)
    direction = problem.external_slope(point)
    if inelastic is not None and T in inelastic.components(solution.spectral):
        slope = inelastic.slope(solution.spectral, solution.kinetic, direction)
    else:
        # Collisions act on f_L, of which the charge current does not know.
        slope = problem.response(point.supercurrent).combine(direction)
    return problem.junction_currents(slope.currents) / unit


def _central(f: Callable[[float], Floats], step: float) -> Floats:
    """Derivative of ``f`` at 0 by central differences, of second order."""
    return (f(step) - f(-step)) / (2.0 * step)


def _finer(f: Callable[[float], Floats], step: float) -> Floats:
    """The same of fourth order."""
    return (4.0 * _central(f, step) - _central(f, 2.0 * step)) / 3.0


def _driven(problem: UsadelProblem, solution: Solution) -> KineticState:
    """Derivative of distributions and currents by ``e V_inj/Δ0`` in the spectra of the solution."""
    spectral, slope = solution.spectral, problem.external_slope(solution.point)
    if problem.inelastic is None:
        (driven,) = problem.kinetics.solve(spectral, slope[None], only=L)
    else:
        driven = problem.inelastic.slope(spectral, solution.kinetic, slope)
    return problem.with_charge(spectral, driven)


def _of_one_gap(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` from every junction into the superconductor where one gap follows the bias, siemens.

    With ``r(Δ, V)`` the residual of the gap equation for the distributions that belong to both,
    ``d ln Δ/dV = −r_V/r_lnΔ``; the current follows bias and gap.
    """
    field, spectral, kinetic = problem.gap_field, solution.spectral, solution.kinetic
    driven = _driven(problem, solution)
    deviation, by_bias = kinetic.deviation(L), driven.deviation(L)
    gap, zeta = field.uniform_value(spectral.gap), spectral.depairing
    last = GAP_STEP, kinetic

    def moved(step: float) -> Floats:
        """Residual and currents at another gap."""
        nonlocal last
        state = SpectralState(spectral.gap * np.exp(step), zeta)
        # Distributions are nearly linear in the gap: the last ones leave little to solve for.
        guess = kinetic.towards(last[1], step / last[0])
        near = problem.energy_mode(state, kinetic.external, guess, "slope of the gap")
        residual = field.uniform_residual(gap * np.exp(step), zeta, near.deviation(L))
        near = problem.with_charge(state, near, guess)
        last = step, near
        return np.append(problem.junction_currents(near.currents), residual)

    # Fourth order allows a step that keeps rounding small.
    *by_gap, r_gap = _finer(moved, GAP_STEP)
    r_bias = float(
        _central(lambda s: np.array(field.uniform_residual(gap, zeta, deviation + s * by_bias)), SHARE)
    )
    direct = problem.junction_currents(driven.currents)
    return (direct - r_bias / r_gap * np.array(by_gap)) / problem.device.voltage_unit


def _of_all(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` from every junction into the superconductor where gaps or phase follow the bias, siemens.

    With ``F(y, V) = G(y, V) − y`` of the map G, gaps and phase drops y follow as ``F_y dy/dV = −F_V``.
    """
    tangent = _Map(problem, solution)
    slope = problem.external_slope(solution.point)
    steepest = float(np.max(np.abs(slope), initial=1.0))
    by_bias = _finer(lambda s: tangent.at(s * slope, 0.0 * tangent.start), LEAD_STEP / steepest)

    def action(w: Floats) -> Floats:
        h = STEP / tangent.largest(w)
        return w - _central(lambda s: tangent.at(None, s * w), h)

    along = by_bias
    if tangent.dot(by_bias, by_bias) > 0.0:
        along = gmres(action, by_bias, tangent.dot, rtol=SLOPE_RTOL, most=MOST_DIRECTIONS)

    def currents(s: float) -> Floats:
        tangent.at(None, s * along)
        return tangent.currents()

    direct = problem.junction_currents(_driven(problem, solution).currents)
    largest = tangent.largest(along)
    if largest > 0.0:
        direct = direct + _finer(currents, STEP / largest)
    return direct / problem.device.voltage_unit


class _Map:
    """The map of the self-consistency near a solution: of gaps and, where a current flows, of phase drops.

    A phase drop at a face counts as the ``ξ∇φ`` along its normal that it stands for.
    """

    def __init__(self, problem: UsadelProblem, solution: Solution) -> None:
        device, mesh = problem.device, problem.device.mesh
        self.problem = problem
        self.external = problem.external(solution.point)
        self._iteration = iteration = Iteration(problem, solution.point, self.external, solution)
        head = iteration.start
        self._n = len(head)
        counted = np.ones(self._n, bool)
        self.start = head
        if iteration.flows:
            assert solution.phase is not None
            self._n = len(head) - 3 * mesh.n_owned
            here = mesh.face_cells[:, 0]
            length = np.sqrt(constants.hbar * device.per_cell("diffusivity") / device.material.gap)
            across = device.per_cell("conductivity") * device.transverse / length
            self._unit = across[here] * mesh.face_area
            self.start = np.concatenate([head[: self._n], solution.phase.drop / self._unit])
            # A face between ranks counts once.
            counted = np.concatenate([counted[: self._n], here < mesh.n_owned])
        self._counted = counted

    def at(self, external: Floats | None, step: Floats) -> Floats:
        """The map at ``step`` from the solution, with lead distributions that differ by ``external``."""
        iteration, y, n = self._iteration, self.start + step, self._n
        iteration.external = self.external if external is None else self.external + external
        if not iteration.flows:
            return iteration.update(y)
        assert iteration.phase is not None
        iteration.phase = self.problem.phase_of(iteration.phase, y[n:] * self._unit)
        head = iteration.update(np.concatenate([y[:n], iteration.phase.gradients.ravel()]))
        return np.concatenate([head[:n], iteration.phase.drop / self._unit])

    def currents(self) -> Floats:
        """Currents of all junctions, ampere, at the last step."""
        iteration, problem = self._iteration, self.problem
        assert iteration.kinetic is not None, "the map has been evaluated"
        kinetic = iteration.kinetic
        if iteration.energy_only:
            kinetic = problem.with_charge(iteration.spectral, kinetic)
        return problem.junction_currents(kinetic.currents)

    def dot(self, a: Floats, b: Floats) -> float:
        return float(self.problem.device.mesh.comm.allreduce(float((a * self._counted) @ b)))

    def largest(self, y: Floats) -> float:
        comm = self.problem.device.mesh.comm
        return float(comm.allreduce(float(np.max(np.abs(y), initial=0.0)), MPI.MAX))
