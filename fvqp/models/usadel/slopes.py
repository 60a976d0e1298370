"""Slopes of the currents by the injector's bias: of responses, of solutions whose gap or phase follow.

Nothing here compares two converged solutions: what follows the bias is differentiated as the map that it is a
fixed point of, so that a tolerance of the iteration is not divided by a small step. Where differences of that
map are taken, steps are so long that its rounding, which depends on the number of ranks, stays below 1e-10 of
the slopes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from mpi4py import MPI

from fvqp.energy import thermal as distributions
from fvqp.errors import ConvergenceError
from fvqp.models.usadel.kinetics import KineticState, L, SpectralState, T
from fvqp.models.usadel.operating_point import Iteration
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.solvers.matrix_free import gmres
from fvqp.typing import Floats

Value = TypeVar("Value", float, Floats)
log = logging.getLogger(__name__)

#: Part of the slope of f_L by the bias with which the gap equation, nearly linear in f_L, is differentiated.
SHARE = 1e-3

#: Longest step of gaps (Δ0) and of ``ξ∇φ`` with which the map of the self-consistency is differentiated.
STEP = 1e-4

#: Change of the distributions in the leads, on which those in the device depend linearly or smoothly, with
#: which the map is differentiated by the bias.
LEAD_STEP = 0.1

#: Accuracy of the linear solve of this derivative, most directions of GMRES, and accuracy that these must
#: have led to.
SLOPE_RTOL, MAX_DIRECTIONS, WORST_RTOL = 1e-6, 60, 1e-4
#: Prefix of PETSc's options of this solve.
OPTIONS = "fvqp_slope_"

#: Step of ln Δ with which what follows from a uniform gap is differentiated, over the broadening, the
#: width of what moves with the gap; its limits, for the sake of bins that are wider and of rounding; and the
#: difference of fourth order: steps, and weights of what is found there.
GAP_STEP, MIN_GAP_STEP, MAX_GAP_STEP = 0.02, 3e-5, 3e-4
_PARTS, _WEIGHTS = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1.0, -8.0, 8.0, -1.0]) / 12.0

#: Step of the logarithm of a lead's temperature with which its distribution is differentiated.
LEAD_HEATING = 1e-3


def conductances(problem: UsadelProblem, solution: Solution) -> Floats:
    """``dI/dV_inj`` of the current from every junction into the superconductor, siemens.

    Exact where the spectra do not depend on bias; elsewhere with the slopes of gap, phase and temperatures of
    leads. NaN, with a warning, where the linear equations for these are not solved.
    """
    by_bias = problem.external_slope(solution.point, solution.leads)
    try:
        change = _following(problem, solution, by_bias)
        if problem.device.balances_heat:
            change = _with_leads(problem, solution, by_bias, change)
    except ConvergenceError as error:
        if problem.device.mesh.comm.rank == 0:
            log.warning("%s; slopes are NaN there", error)
        return np.full(len(problem.device.junctions), np.nan)
    return problem.junction_currents(change) / problem.device.voltage_unit


def _with_leads(problem: UsadelProblem, solution: Solution, by_bias: Floats, change: Floats) -> Floats:
    """``change`` of the spectral currents where temperatures of leads follow too, by ``e V_inj/Δ0``.

    With ``r(ln T, V)`` the surplus of heat of the leads, ``d ln T/dV = −r_lnT⁻¹ r_V`` (theory: contacts).
    """
    device, grid = problem.device, problem.grid
    assert solution.leads is not None, "a solution of leads with a balance of heat has temperatures"
    balancing = [n for n, junction in enumerate(device.junctions) if junction.lead is not None]
    at = problem.biases(solution.point)
    current = problem.junction_currents(solution.kinetic.currents)
    j_t = solution.kinetic.currents[T, : len(at)] @ grid.widths

    def surplus(moved: Floats, moving: Floats) -> Floats:
        """Change of the heat that leads get, W, by those of the spectral currents and of the biases."""
        work = at * (moved[T, : len(at)] @ grid.widths) + moving * j_t
        heat = work + moved[L, : len(at)] @ (grid.widths * grid.energies)
        joule = [
            0.0 if j.lead is None else j.lead.joule_slope(i)
            for j, i in zip(device.junctions, current, strict=True)
        ]
        gained = heat * device.voltage_unit**2 / device.back_action + np.array(
            joule
        ) * problem.junction_currents(moved)
        return np.asarray(gained[balancing])

    moving = np.array([float(j.role == "injector" and j.bias is None) for j in device.junctions])
    by_heat, columns = [], []
    for k, n in enumerate(balancing):
        lead, t = device.junctions[n].lead, float(solution.leads[n])
        assert lead is not None
        direction = np.zeros_like(by_bias)
        direction[:, n] = _finer(
            lambda s, n=n, t=t: np.array(  # type: ignore[misc]
                distributions.lead(grid.edges, at[n], t * np.exp(s) / device.thermal_unit)
            ),
            LEAD_HEATING,
        )
        by_heat.append(_following(problem, solution, direction))
        columns.append(surplus(by_heat[k], 0.0 * at))
        columns[k][k] -= t * lead.loss_slope(t)
    heating = -np.linalg.solve(np.array(columns).T, surplus(change, moving))
    # One number for all ranks: sums of theirs differ by rounding.
    heating = device.mesh.comm.bcast(heating)
    return np.asarray(change + np.tensordot(heating, by_heat, 1))


def _following(problem: UsadelProblem, solution: Solution, direction: Floats) -> Floats:
    """Change of the spectral currents, ``(2, terminals, n_energies)``, along one of the leads' distributions.

    Gaps and phase follow, temperatures of leads do not.

    Args:
        direction: of `UsadelProblem.external`.
    """
    if solution.phase is None and problem.gap.kind == "uniform":
        return _of_one_gap(problem, solution, direction)
    if problem.gap.follows_bias or problem.self_consistent_phase:
        return _of_all(problem, solution, direction)
    inelastic = problem.inelastic
    # Collisions that act on f_L alone are nothing to the charge current, but leads feel the heat.
    if inelastic is not None and (
        problem.device.balances_heat or T in inelastic.components(solution.spectral)
    ):
        return _driven(problem, solution, direction).currents
    return problem.response(solution.point.supercurrent).combine(direction).currents


def _central(f: Callable[[float], Value], step: float) -> Value:
    """Derivative of ``f`` at 0 by central differences, of second order."""
    return (f(step) - f(-step)) / (2.0 * step)


def _finer(f: Callable[[float], Value], step: float) -> Value:
    """The same of fourth order."""
    return (4.0 * _central(f, step) - _central(f, 2.0 * step)) / 3.0


def _driven(problem: UsadelProblem, solution: Solution, direction: Floats) -> KineticState:
    """Change of distributions and currents along one of the leads', in the spectra of the solution."""
    spectral = solution.spectral
    if problem.inelastic is None:
        (driven,) = problem.kinetics.solve(spectral, direction[None], only=L)
    else:
        driven = problem.inelastic.slope(spectral, solution.kinetic, direction)
    return problem.with_charge(spectral, driven)


def _of_one_gap(problem: UsadelProblem, solution: Solution, direction: Floats) -> Floats:
    """`_following` where one gap does.

    With ``r(Δ, s)`` the residual of the gap equation for the distributions that belong to the gap and to
    leads a step s along, ``d ln Δ/ds = −r_s/r_lnΔ``; the currents follow both.
    """
    field, spectral = problem.gap_field, solution.spectral
    driven, by_gap = _driven(problem, solution, direction), _by_gap(problem, solution)
    gap, zeta = field.uniform_value(spectral.gap), spectral.depairing
    deviation, along, following = (state.deviation(L) for state in (solution.kinetic, driven, by_gap))
    # Of the gap equation: by the lead, and by ln Δ.
    leads = solution.kinetic.external[L]
    r_along = _central(
        lambda s: field.uniform_residual(gap, zeta, deviation + s * along, leads + s * direction[L]), SHARE
    )
    r_gap = _finer(
        lambda s: field.uniform_residual(gap * np.exp(s), zeta, deviation + s * following, leads),
        _gap_step(problem),
    )
    return driven.currents - r_along / r_gap * by_gap.currents


def _by_gap(problem: UsadelProblem, solution: Solution) -> KineticState:
    """Change of distributions and currents by ln Δ of a uniform gap, at fixed distributions of the leads."""
    spectral, kinetic, step = solution.spectral, solution.kinetic, _gap_step(problem)
    difference = [
        (weight, SpectralState(spectral.gap * np.exp(part), spectral.depairing))
        for part, weight in zip(step * _PARTS, _WEIGHTS / step, strict=True)
    ]
    if problem.inelastic is None:
        return problem.kinetics.slope(spectral, kinetic, difference, (L, T))
    change = problem.inelastic.slope_by_spectra(spectral, kinetic, difference)
    if problem.inelastic.collisions.charge:
        return change
    return change.plus(problem.kinetics.slope(spectral, kinetic, difference, (T,)))


def _gap_step(problem: UsadelProblem) -> float:
    return float(np.clip(GAP_STEP * problem.broadening, MIN_GAP_STEP, MAX_GAP_STEP))


def _of_all(problem: UsadelProblem, solution: Solution, direction: Floats) -> Floats:
    """`_following` where gaps or phase do.

    With ``F(y, s) = G(y, s) − y`` of the map G beside leads a step s along, gaps and phase drops y follow as
    ``F_y dy/ds = −F_s``.
    """
    tangent = _Map(problem, solution)
    steepest = float(np.max(np.abs(direction), initial=1.0))
    driving = _finer(lambda s: tangent.at(s * direction, 0.0 * tangent.start), LEAD_STEP / steepest)

    def action(w: Floats) -> Floats:
        h = STEP / tangent.largest(w)
        return w - _central(lambda s: tangent.at(None, s * w), h)

    along = driving
    if tangent.largest(driving) > 0.0:
        along, left, *_ = gmres(
            action, driving, comm=problem.device.mesh.comm, prefix=OPTIONS, rtol=SLOPE_RTOL,
            most=MAX_DIRECTIONS, weights=tangent.weights,
        )  # fmt: skip
        if left > WORST_RTOL:
            raise ConvergenceError(
                f"{tangent.what}: slopes of gaps and phase are not found, their equations are solved to "
                f"{left:.2g} of what drives them"
            )

    def currents(s: float) -> Floats:
        tangent.at(None, s * along)
        return tangent.currents()

    change = _driven(problem, solution, direction).currents
    largest = tangent.largest(along)
    return change + _finer(currents, STEP / largest) if largest > 0.0 else change


class _Map:
    """The map of the self-consistency near a solution: of gaps and, where a current flows, of phase drops."""

    def __init__(self, problem: UsadelProblem, solution: Solution) -> None:
        mesh = problem.device.mesh
        self.problem = problem
        self.external = problem.external(solution.point, solution.leads)
        self._iteration = iteration = Iteration(problem, solution.point, self.external, solution)
        self.what = iteration.what
        self.start = iteration.start
        self.weights = np.ones(len(self.start))
        if iteration.flows:
            # Both ranks have a face between them.
            shared = np.any(mesh.face_cells >= mesh.n_owned, axis=1)
            self.weights[len(self.start) - len(shared) :][shared] = 0.5

    def at(self, external: Floats | None, step: Floats) -> Floats:
        """The map at ``step`` from the solution, with lead distributions that differ by ``external``."""
        self._iteration.external = self.external if external is None else self.external + external
        return self._iteration.update(self.start + step)

    def currents(self) -> Floats:
        """Spectral currents of all terminals at the last step."""
        iteration, problem = self._iteration, self.problem
        assert iteration.kinetic is not None, "the map has been evaluated"
        kinetic = iteration.kinetic
        if iteration.energy_only:
            kinetic = problem.with_charge(iteration.spectral, kinetic)
        return kinetic.currents

    def largest(self, y: Floats) -> float:
        comm = self.problem.device.mesh.comm
        return float(comm.allreduce(float(np.max(np.abs(y), initial=0.0)), MPI.MAX))
