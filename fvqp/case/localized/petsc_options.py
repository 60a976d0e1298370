"""PETSc options of a case of localized quasiparticles, and which of its solvers reads them."""

from __future__ import annotations

from fvqp.case.localized.schema import LocalizedCase
from fvqp.case.petsc_options import PREFIX, check_options_read
from fvqp.errors import CaseError
from fvqp.models.localized import pair_closure
from fvqp.solvers import fixed_point, gmres

#: Beginnings of the options that reach a solver here: of the pair closure, and of diffusion.
FAMILIES = ("closure_snes_", "ksp_")


def check_petsc_options_used(case: LocalizedCase) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads."""
    if not case.solver.petsc:
        return
    pairs, hops = case.law.closure == "pairs", case.law.diffusivity is not None
    for key in case.solver.petsc:
        if key.startswith("closure_") and not pairs:
            raise CaseError(f'{case.source}: solver.petsc.{key}: not used: it reaches law.closure = "pairs"')
        if key.startswith("ksp_") and not hops:
            raise CaseError(f"{case.source}: solver.petsc.{key}: not used: it reaches law.diffusivity")

    def rehearse() -> None:
        fixed_point.read_options(pair_closure.OPTIONS)
        gmres.read_options(PREFIX)

    check_options_read(case.source, case.solver.petsc, rehearse, "[law]")
