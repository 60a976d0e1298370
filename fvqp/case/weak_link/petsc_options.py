"""PETSc options of a case of a weak link, and which of its solvers reads them."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from fvqp.case.petsc_options import check_options_read
from fvqp.case.weak_link.schema import WeakLinkCase
from fvqp.errors import ConvergenceError
from fvqp.models.weak_link import WeakLink

FAMILIES = ("ksp_", "pc_", "mat_", "spectra_snes_")
"""Beginnings of the options that reach a solver here."""


def check_petsc_options_used(case: WeakLinkCase, link: WeakLink) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads.

    Args:
        case: the options are in force.
        link: solves at one energy far above the real axis, to see what it reads.
    """
    if not case.solver.petsc:
        return

    def rehearse() -> None:
        with suppress(ConvergenceError):
            link.solve(np.array([2j]), [0.0] * len(link.device.reservoirs))

    check_options_read(case.source, case.solver.petsc, rehearse, f'method = "{case.solver.method}"')
