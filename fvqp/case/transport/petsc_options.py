"""PETSc options of a case of the transport model, and which of its solvers reads them."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.case.petsc_options import PREFIX, check_options_read, check_watches
from fvqp.case.transport.schema import TransportCase
from fvqp.errors import CaseError
from fvqp.models.boltzmann import BoltzmannProblem
from fvqp.models.boltzmann.evolution import stepper
from fvqp.petsc import as_snes
from fvqp.solvers import gmres

#: Solves by the whole Jacobian of motion and collisions, and of diffusion by itself or as an accelerator.
_WHOLE = "transport_linear_ksp_"
_DIFFUSION = ("diffusion_ksp_", "streaming_diffusion_ksp_")

#: Families that each method of steps reads, and a steady state.
_OF_METHODS = {
    "rosenbrock": ("transport_ts_", "transport_ksp_", _WHOLE),
    "imex": ("transport_ts_", "transport_snes_", "transport_ksp_"),
}
_OF_STEADY_STATES = ("steady_snes_", "newton_tangent_ksp_")

FAMILIES = (
    *sorted({family for of in _OF_METHODS.values() for family in of}),
    *_OF_STEADY_STATES,
    *_DIFFUSION,
)
"""Beginnings of the options that reach a solver here."""

#: Options that a key of the case stands for.
OF_KEYS = {"transport_ts_type": "evolution.method"}


def check_petsc_options_used(case: TransportCase, problem: BoltzmannProblem) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this problem reads."""
    if not case.solver.petsc:
        return
    method = None if case.evolution is None else case.evolution.method
    task = "[steady_state]" if method is None else f'evolution.method = "{method}"'
    families = (*(_OF_STEADY_STATES if method is None else _OF_METHODS[method]), *_DIFFUSION)
    for key in case.solver.petsc:
        if key in OF_KEYS:
            raise CaseError(f"{case.source}: solver.petsc.{key}: {OF_KEYS[key]} says it")
        check_watches(case.source, key, ("steady_snes_",))
        if not key.startswith(families):
            raise CaseError(
                f"{case.source}: solver.petsc.{key}: not used: options of {task} start with "
                + ", ".join(families)
            )

    def rehearse() -> None:
        # Solvers look for their options when they are made.
        if method is not None:
            stepper(problem, method, 1e-2, None)
        for family in families:
            if family == "steady_snes_":
                as_snes(lambda tell: None, np.zeros(1), comm=MPI.COMM_SELF, prefix=f"{PREFIX}steady_")
            elif family.endswith("_ksp_") and family != "transport_ksp_":
                gmres.read_options(PREFIX + family.removesuffix("ksp_"))

    check_options_read(case.source, case.solver.petsc, rehearse, task)
