"""PETSc options of a case of the Eliashberg model."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.case.petsc_options import check_options_read, check_watches
from fvqp.petsc import as_snes
from fvqp.spectral.eliashberg_mixing import OPTIONS

FAMILIES = ("eliashberg_snes_",)
"""Beginnings of the options that reach a solver here."""


def check_petsc_options_used(case: EliashbergCase) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads."""
    if not case.solver.petsc:
        return
    for key in case.solver.petsc:
        check_watches(case.source, key, FAMILIES)

    def rehearse() -> None:
        as_snes(lambda tell: None, np.zeros(1), comm=MPI.COMM_SELF, prefix=OPTIONS)

    check_options_read(case.source, case.solver.petsc, rehearse, "Anderson acceleration")
