"""PETSc options of a case: in force while it runs, and refused where no solver reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import CaseError, ConvergenceError
from fvqp.grids.energy import EnergyGrid
from fvqp.models.kinetics import T
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel import UsadelProblem
from fvqp.petsc import PETSc, option_used

#: What all options here begin with in PETSc's database.
PREFIX = "fvqp_"

#: Families of PETSc options that reach a solver here.
FAMILIES = ("ksp_", "pc_", "mat_", "sub_", "mg_", "inner_", "gap_snes_")

#: Energies of the trial solve, below the gap and above it.
TRIAL = EnergyGrid(np.array([0.0, 1.5, 1.6]))


@contextmanager
def petsc_options(case: UsadelCase) -> Iterator[None]:
    """Within the block, ``solver.petsc`` is in PETSc's options database with the prefix ``fvqp_``.

    Raises:
        CaseError: an option that no solver here would look at.
    """
    options = PETSc.Options(PREFIX)
    earlier = {key: options.getString(key) for key in case.solver.petsc if options.hasName(key)}
    for key in case.solver.petsc:
        if not key.startswith(FAMILIES):
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: reaches no solver; they start with {', '.join(FAMILIES)}"
            )
    try:
        for key, value in case.solver.petsc.items():
            options.setValue(key, value)
        yield
    finally:
        for key in case.solver.petsc:
            options.delValue(key)
        for key, text in earlier.items():
            options.setValue(key, text)


def check_petsc_options_used(case: UsadelCase, problem: UsadelProblem) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this problem reads.

    Which options these are is known only once the solvers have been at work: where there are options, each
    solver solves for two energies.
    """
    if not case.solver.petsc:
        return
    gap_solver = problem.gap.follows_bias or problem.self_consistent_phase or problem.supercurrent is not None
    for key in case.solver.petsc:
        if key.startswith("gap_") and not gap_solver:
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: nothing is iterated to self-consistency"
            )
        if not key.startswith("gap_") and not problem.kinetics.solver.iterates:
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: direct elimination solves this; "
                'solver.method = "mumps", "hypre" or "gamg" chooses PETSc\'s solvers'
            )
    try:
        _rehearse(problem, gap_solver)
    except PETSc.Error as error:
        reason = str(error).strip().splitlines()[-1].partition("] ")[2]
        keys = ", ".join(case.solver.petsc)
        raise CaseError(f"{case.source}: solver.petsc: PETSc refuses {keys}: {reason}") from None
    unread = [key for key in case.solver.petsc if not option_used(PREFIX + key)]
    if unread:
        raise CaseError(
            f"{case.source}: solver.petsc.{unread[0]}: not used: no solver of this case reads it; a misspelt "
            f"name, or an option of another method than {problem.kinetics.solver.description}"
        )


def _rehearse(problem: UsadelProblem, gap_solver: bool) -> None:
    """Let all solvers read the options; whether they get anywhere with them is not the question."""
    if gap_solver:
        snes = PETSc.SNES().create(MPI.COMM_SELF)
        snes.setOptionsPrefix(f"{PREFIX}gap_")
        snes.setType("anderson")
        try:
            snes.setFromOptions()
        finally:
            snes.destroy()
    if not problem.kinetics.solver.iterates:
        return
    values = (0.0,) if problem.supercurrent is None else problem.supercurrent.values
    by_size = sorted(values, key=abs)
    # With a solver of its own: a preconditioner may remember the matrix that it was first made for.
    kinetics = problem.kinetics
    trial = replace(kinetics, grid=TRIAL, solver=TransportSolver(kinetics.transport, problem.method))
    # The solvers with and without a supercurrent differ.
    for value in dict.fromkeys((by_size[0], by_size[-1])):
        with suppress(ConvergenceError):
            state, _ = problem.at_rest(value)
            trial.respond(state, [(T, 0)])
