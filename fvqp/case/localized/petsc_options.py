"""PETSc options of a case of localized quasiparticles, and which of its solvers reads them."""

from __future__ import annotations

from fvqp.case.localized.schema import LocalizedCase
from fvqp.case.petsc_options import PREFIX, check_options_read
from fvqp.errors import CaseError
from fvqp.models.localized import density, pair_closure
from fvqp.solvers import fixed_point, gmres

#: Beginnings of the options that reach a solver here: of the pair closure, the law in time and in a steady
#: state, and diffusion.
FAMILIES = ("closure_snes_", "density_ts_", "density_snes_", "density_ksp_", "ksp_")


def check_petsc_options_used(case: LocalizedCase) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads."""
    if not case.solver.petsc:
        return
    pairs, hops = case.law.closure == "pairs", case.law.diffusivity is not None
    in_time = case.relaxation is not None and not pairs
    used = {
        "closure_": (pairs, 'law.closure = "pairs"'),
        "density_ts_": (in_time, "[relaxation]"),
        "density_": (in_time or hops, "[relaxation] and law.diffusivity"),
        "ksp_": (hops, "law.diffusivity"),
    }
    for key in case.solver.petsc:
        reaches = next((what for family, what in used.items() if key.startswith(family)), None)
        if reaches is not None and not reaches[0]:
            raise CaseError(f"{case.source}: solver.petsc.{key}: not used: it reaches {reaches[1]}")

    def rehearse() -> None:
        fixed_point.read_options(pair_closure.OPTIONS)
        density.read_options(in_time)
        gmres.read_options(PREFIX)

    check_options_read(case.source, case.solver.petsc, rehearse, "[law]")
