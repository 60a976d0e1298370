"""PETSc options of a case of the Boltzmann model, and which of its solvers reads them."""

from __future__ import annotations

from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.case.petsc_options import check_options_read
from fvqp.errors import CaseError
from fvqp.models.boltzmann import BoltzmannProblem
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.evolution import stepper
from fvqp.solvers.rate_balance import BalanceSolver

#: Beginnings of the options that reach a solver here: of evolutions, and of steady states.
FAMILIES = ("ts_ts_", "ts_snes_", "ts_linear_ksp_", "steady_snes_", "steady_linear_ksp_")

#: Options that a key of the case stands for.
OF_KEYS = {
    "ts_ts_type": "evolution.method",
    "ts_ts_rtol": "evolution.tolerance",
    "steady_snes_max_it": "steady_state.maximum_iterations",
}

#: Ends of options that the linear solver does not leave to the user.
IN_EVERY_SOLVE = ("_ksp_rtol", "_ksp_atol", "_ksp_divtol", "_ksp_max_it")


def check_petsc_options_used(case: BoltzmannCase, problem: BoltzmannProblem) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this problem reads."""
    if not case.solver.petsc:
        return
    task, family = ("steady_state", "steady_") if case.evolution is None else ("evolution", "ts_")
    if case.evolution is not None and case.evolution.method == "relaxation":
        raise CaseError(
            f'{case.source}: solver.petsc: is not used with evolution.method = "relaxation"; PETSc takes no '
            "part in it"
        )
    for key in case.solver.petsc:
        if key in OF_KEYS:
            raise CaseError(f"{case.source}: solver.petsc.{key}: {OF_KEYS[key]} says it")
        if key.endswith(IN_EVERY_SOLVE):
            raise CaseError(f"{case.source}: solver.petsc.{key}: chosen anew in every solve; leave it out")
        if not key.startswith(family):
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: options of [{task}] start with {family}"
            )

    def rehearse() -> None:
        # Solvers look for their options when they are made.
        if case.evolution is None:
            BalanceSolver(CellEquations(problem))
        else:
            stepper(problem, case.evolution.method, case.evolution.tolerance, None)

    check_options_read(case.source, case.solver.petsc, rehearse, f"[{task}]")
