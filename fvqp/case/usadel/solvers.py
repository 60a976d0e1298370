"""Solvers of a case of the Usadel model, and the trial in which they read PETSc's options."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from fvqp.case import petsc_options as of
from fvqp.case.usadel.schema import UsadelCase
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.kinetics import T
from fvqp.models.usadel.problem import UsadelProblem

#: Energies of the trial solve, below the gap and above it.
TRIAL = EnergyAxis(np.array([0.0, 1.5, 1.6]))


def check_options(case: UsadelCase, problem: UsadelProblem) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this problem reads."""
    together = (case.collisions is not None and case.collisions.charge) or (
        problem.supercurrent is not None and problem.coupling
    )
    # A gap of every cell, or of many with a phase, follows the bias; one gap is a scalar root.
    moves = problem.gap.follows_bias or problem.self_consistent_phase
    many = problem.gap.kind != "uniform"
    has = {
        # Anderson acceleration serves a supercurrent and diffusive spectra, both at rest.
        of.GAPS: problem.supercurrent is not None
        or (problem.proximity is not None and problem.gap.kind != "fixed"),
        of.MOVING: moves and (many or problem.supercurrent is not None),
        of.DIFFUSIVE: problem.proximity is not None,
        of.BRANCHES: case.gap.branches,
        of.SLOPES: moves and (many or problem.self_consistent_phase),
        of.CHARGE: problem.collisions is not None and not problem.collisions.charge,
        of.COLLIDING: problem.inelastic is not None,
        of.TANGENTS: problem.inelastic is not None
        and (together or moves)
        and not problem.device.balances_heat,
    }
    of.check_options_used(case, problem.kinetics.solver.description, has, lambda: _rehearse(problem))


def _rehearse(problem: UsadelProblem) -> None:
    """Let linear solvers read the options in a solve for two energies, wherever that ends."""
    by_size = sorted(problem.drives, key=abs)
    # With a solver of its own: a preconditioner may remember the matrix that it was first made for.
    kinetics = problem.kinetics
    trial = replace(kinetics, grid=TRIAL, solver=TransportSolver(kinetics.transport, problem.method))
    # The solvers with and without a supercurrent differ.
    for value in dict.fromkeys((by_size[0], by_size[-1])):
        with suppress(ConvergenceError):
            state, _ = problem.at_rest(value)
            trial.respond(state, [(T, 0)])
