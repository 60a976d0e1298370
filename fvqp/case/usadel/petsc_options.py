"""PETSc options of a case of the Usadel model, and which of its solvers reads them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from fvqp.case.petsc_options import PREFIX, check_options_read, check_watches
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import CaseError, ConvergenceError
from fvqp.grids.energy import EnergyGrid
from fvqp.models.kinetics import T
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel import UsadelProblem
from fvqp.petsc import as_snes
from fvqp.solvers import fixed_point, gmres, newton_by_energy
from fvqp.solvers.newton import read_options

#: Families of PETSc options that reach a solver here.
FAMILIES = (
    "ksp_",
    "pc_",
    "mat_",
    "sub_",
    "mg_",
    "inner_",
    "gap_snes_",
    "flow_snes_",
    "flow_ksp_",
    "spectra_snes_",
    "branch_ksp_",
    "branch_snes_",
    "slope_ksp_",
    "charge_ksp_",
    "newton_snes_",
    "newton_ksp_",
    "newton_tangent_ksp_",
)

#: Solves of families that not all cases have.
OF_FAMILIES = {
    "flow_ksp_": "it reaches the gaps of cells that follow the bias",
    "flow_snes_": "it reaches the gaps of cells that follow the bias",
    "spectra_snes_": 'it reaches spectrum.model = "diffusive"',
    "branch_snes_": "it reaches the branches that gap.branches follows",
    "branch_ksp_": "it reaches the branches that gap.branches follows",
    "slope_ksp_": "it reaches the slopes of gaps of cells, or of the phase, by the bias",
    "charge_ksp_": "it reaches the estimate of what collisions that leave out f_T would change",
}

#: Energies of the trial solve, below the gap and above it.
TRIAL = EnergyGrid(np.array([0.0, 1.5, 1.6]))


def check_petsc_options_used(case: UsadelCase, problem: UsadelProblem) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this problem reads.

    Which options these are is known only once the solvers have been at work: where there are options, each
    solver solves for two energies.
    """
    if not case.solver.petsc:
        return
    # Anderson acceleration serves a supercurrent under a bias, and diffusive spectra at rest.
    gap_solver = problem.supercurrent is not None or (
        problem.proximity is not None and problem.gap.kind != "fixed"
    )
    together = case.collisions is not None and case.collisions.charge
    together |= problem.supercurrent is not None and problem.coupling
    slopes = together or problem.gap.follows_bias or problem.self_consistent_phase
    slopes &= not problem.device.balances_heat
    # A gap of every cell, or of many with a phase, follows the bias; one gap is a scalar root.
    moves = problem.gap.follows_bias or problem.self_consistent_phase
    many = problem.gap.kind != "uniform"
    linear = {
        "flow_ksp_": moves and many,
        "flow_snes_": moves and many,
        "spectra_snes_": problem.proximity is not None,
        "branch_ksp_": case.gap.branches,
        "branch_snes_": case.gap.branches,
        "slope_ksp_": moves and (many or problem.self_consistent_phase),
        "charge_ksp_": problem.collisions is not None and not problem.collisions.charge,
    }
    for key in case.solver.petsc:
        family = next((family for family in linear if key.startswith(family)), None)
        if family is not None and not linear[family]:
            raise CaseError(f"{case.source}: solver.petsc.{key}: not used: {OF_FAMILIES[family]}")
        check_watches(case.source, key, ("flow_snes_", "branch_snes_"))
        if key.startswith("gap_snes_") and not gap_solver:
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: it reaches the iteration of a supercurrent "
                "and that of the gap at rest with diffusive spectra"
            )
        if key.startswith("newton_") and problem.inelastic is None:
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: without [collisions] the equations are linear"
            )
        if key.startswith("newton_tangent_") and not slopes:
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: slopes are solved for where gap or phase "
                "follow the bias, or f_T belongs to f_L, and no lead has a balance of heat"
            )
    check_options_read(
        case.source,
        case.solver.petsc,
        lambda: _rehearse(problem, gap_solver, [family for family, used in linear.items() if used]),
        problem.kinetics.solver.description,
    )


def _rehearse(problem: UsadelProblem, gap_solver: bool, linear: list[str]) -> None:
    """Let all solvers read the options; whether they get anywhere with them is not the question."""
    for family in linear:
        if family.endswith("_ksp_"):
            gmres.read_options(PREFIX + family.removesuffix("ksp_"))
        elif family == "spectra_snes_":
            newton_by_energy.read_options(f"{PREFIX}spectra_")
        else:
            as_snes(
                lambda tell: None,
                np.zeros(1),
                comm=MPI.COMM_SELF,
                prefix=PREFIX + family.removesuffix("snes_"),
            )
    if gap_solver:
        fixed_point.read_options(f"{PREFIX}gap_")
    if problem.inelastic is not None:
        read_options()
    by_size = sorted(problem.drives, key=abs)
    # With a solver of its own: a preconditioner may remember the matrix that it was first made for.
    kinetics = problem.kinetics
    trial = replace(kinetics, grid=TRIAL, solver=TransportSolver(kinetics.transport, problem.method))
    # The solvers with and without a supercurrent differ.
    for value in dict.fromkeys((by_size[0], by_size[-1])):
        with suppress(ConvergenceError):
            state, _ = problem.at_rest(value)
            trial.respond(state, [(T, 0)])
