"""PETSc options of a case: in force while it runs, and refused where no solver reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.petsc import PETSc, option_used
from fvqp.solvers.elimination import defaults

#: What all options here begin with in PETSc's database.
PREFIX = "fvqp_"

#: Ends of options that PETSc looks for when a solve has ended.
AFTER_SOLVES = ("_view", "_converged_reason")

Options = Mapping[str, str | int | float | bool]

GMRES = {"ksp_type": "gmres", "pc_type": "none"}
FGMRES = {"ksp_type": "fgmres", "pc_type": "none"}
NEWTON = {"snes_type": "newtonls", **FGMRES}
FULL_STEPS = {"snes_type": "newtonls", "snes_linesearch_type": "basic"}
ANDERSON = {"snes_type": "anderson"}


class SolverOptions(NamedTuple):
    """Options that reach a solver.

    Attributes:
        beginning: of their names, which ends in the kind of PETSc's object: ``gap_snes_``.
        reaches: part of the equations that it solves, which not all cases have; empty for one that all have.
        trial: options of an object that reads them in a trial; None where another solver's trial does.
        own: True for a method that PETSc does not have (`fvqp.petsc.as_snes`): its options are output.
    """

    beginning: str
    reaches: str = ""
    trial: Mapping[str, str] | None = None
    own: bool = False


MOVING, BRANCHES = (
    "the gaps of cells, or the phase, that follow the bias",
    "the branches that gap.branches follows",
)
COLLIDING = "[collisions], without which the equations are linear"
SLOPES = "slopes of gaps of cells, or of the phase, by the bias"
TANGENTS = (
    "slopes, solved for where gap or phase follow the bias, or f_T belongs to f_L, and no lead has a balance "
    "of heat"
)
GAPS = "the iteration of a supercurrent at rest and that of the gap at rest with diffusive spectra"
CHARGE = "the estimate of what collisions that leave out f_T would change"
DIFFUSIVE, PAIRS = 'spectrum.model = "diffusive"', 'law.closure = "pairs"'
EVOLUTION, STEADY, RELAXATION = "[evolution]", "[steady_state]", "[relaxation]"
HOPS = "law.diffusivity"
LAW = f"{RELAXATION} and {HOPS}"

SOLVERS: dict[str, tuple[SolverOptions, ...]] = {
    "usadel": (
        *map(SolverOptions, ("ksp_", "pc_", "mat_", "sub_", "mg_", "inner_")),
        SolverOptions("gap_snes_", GAPS, ANDERSON),
        SolverOptions("flow_snes_", MOVING, {**FULL_STEPS, **GMRES}),
        SolverOptions("flow_ksp_", MOVING, GMRES),
        SolverOptions("spectra_snes_", DIFFUSIVE, FULL_STEPS),
        SolverOptions("branch_ksp_", BRANCHES, GMRES),
        SolverOptions("branch_snes_", BRANCHES, {**FULL_STEPS, **GMRES}),
        SolverOptions("slope_ksp_", SLOPES, GMRES),
        SolverOptions("charge_ksp_", CHARGE, GMRES),
        SolverOptions("newton_snes_", COLLIDING, NEWTON),
        SolverOptions("newton_ksp_", COLLIDING),
        SolverOptions("newton_tangent_ksp_", TANGENTS, FGMRES),
    ),
    "boltzmann": (
        *(SolverOptions(f"ts_{kind}_", EVOLUTION) for kind in ("ts", "snes", "linear_ksp")),
        *(SolverOptions(f"steady_{kind}_", STEADY) for kind in ("snes", "linear_ksp")),
    ),
    "transport": (
        SolverOptions("transport_ts_", EVOLUTION),
        SolverOptions("transport_ksp_", EVOLUTION),
        SolverOptions("transport_linear_ksp_", EVOLUTION, GMRES),
        SolverOptions("steady_snes_", STEADY, {**FULL_STEPS, **GMRES}),
        SolverOptions("steady_ksp_", STEADY, GMRES),
        SolverOptions("diffusion_ksp_", trial=GMRES),
        SolverOptions("streaming_diffusion_ksp_", trial=GMRES),
    ),
    "eliashberg": (SolverOptions("eliashberg_snes_", own=True),),
    "clusters": tuple(SolverOptions(f"cluster_{kind}_") for kind in ("ksp", "pc", "mg", "mat", "sub", "ts")),
    "localized": (
        SolverOptions("closure_snes_", PAIRS, ANDERSON),
        SolverOptions("density_ts_", RELAXATION),
        *(SolverOptions(f"density_{kind}_", LAW) for kind in ("snes", "ksp")),
        SolverOptions("ksp_", HOPS, GMRES),
    ),
    "weak_link": (
        *map(SolverOptions, ("ksp_", "pc_", "mat_")),
        SolverOptions("spectra_snes_"),
    ),
}
"""Model → solvers that options of its cases reach."""

OF_KEYS = {
    "transport_ts_type": "evolution.method",
    "transport_ts_rosw_type": "evolution.method",
    "ts_ts_type": "evolution.method",
    "ts_ts_rtol": "evolution.tolerance",
    "steady_snes_max_it": "steady_state.maximum_iterations",
    "steady_snes_rtol": "steady_state.tolerance",
    "steady_snes_atol": "steady_state.tolerance",
    "steady_snes_stol": "steady_state.tolerance",
}
"""Options that a key of the case stands for."""

CELLS = ("ts_linear_ksp_", "steady_linear_ksp_")
"""Solves in cells, whose tolerances are chosen anew every time."""


def reached(model: str, key: str) -> SolverOptions | None:
    """Return the solver of a model that an option reaches, if there is one."""
    return next((one for one in SOLVERS.get(model, ()) if key.startswith(one.beginning)), None)


@contextmanager
def options_in_force(case: Any) -> Iterator[None]:
    """Within the block, the options of a case are in PETSc's database with the prefix ``fvqp_``.

    Raises:
        CaseError: an option that no solver of the model would look at.
    """
    given: Options = case.solver.petsc if case.model in SOLVERS else {}
    options = PETSc.Options(PREFIX)
    for key in given:
        if reached(case.model, key) is None:
            known = ", ".join(one.beginning for one in SOLVERS[case.model])
            raise CaseError(f"{case.source}: solver.petsc.{key}: reaches no solver; they start with {known}")
    earlier = {key: options.getString(key) for key in given if options.hasName(key)}
    try:
        for key, value in given.items():
            # An option that stands alone is true where PETSc asks for yes or no, and a viewer by default.
            options.setValue(key, None if value is True else value)
        yield
    finally:
        for key in given:
            options.delValue(key)
        for key, text in earlier.items():
            options.setValue(key, text)


def check_options_used(
    case: Any,
    solver: str,
    has: Mapping[str, bool] | None = None,
    rehearse: Callable[[], object] = lambda: None,
) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads.

    Which options these are is known only once the solvers have looked for them.

    Args:
        case: its options are in force.
        solver: what solves, for the message.
        has: every ``reaches`` of the model's `SOLVERS` → True if the case has it.
        rehearse: lets solvers without a trial read their options.
    """
    given: Options = case.solver.petsc
    if not given:
        return
    where, there = f"{case.source}: solver.petsc", {"": True, **(has or {})}
    for key in given:
        one = reached(case.model, key)
        assert one is not None
        if key in OF_KEYS:
            raise CaseError(f"{where}.{key}: {OF_KEYS[key]} says it")
        if one.beginning in CELLS and key.endswith(("_rtol", "_atol", "_divtol", "_max_it")):
            raise CaseError(f"{where}.{key}: chosen anew in every solve; leave it out")
        if not there[one.reaches]:
            raise CaseError(f"{where}.{key}: not used: it reaches {one.reaches}")
        if one.own and not key.endswith((*AFTER_SOLVES, "_monitor")):
            raise CaseError(
                f"{where}.{key}: not used: the method is not one of PETSc's; its output is monitor, view and "
                "converged_reason"
            )
    try:
        for one in SOLVERS[case.model]:
            if there[one.reaches]:
                _try(one)
        rehearse()
    except PETSc.Error as error:
        reason = str(error).strip().splitlines()[-1].partition("] ")[2]
        raise CaseError(f"{where}: PETSc refuses {', '.join(given)}: {reason}") from None
    watched = (*AFTER_SOLVES, *(f"{one.beginning}monitor" for one in SOLVERS[case.model] if one.own))
    unread = [key for key in given if not (key.endswith(watched) or option_used(PREFIX + key))]
    if unread:
        raise CaseError(
            f"{where}.{unread[0]}: not used: no solver of this case reads it; a misspelt name, or an option "
            f"of another method than {solver}"
        )


def _try(one: SolverOptions) -> None:
    """Let an object that does nothing read the options of a solver."""
    if one.trial is None:
        return
    kind = one.beginning.split("_")[-2]
    prefix = PREFIX + one.beginning.removesuffix(f"{kind}_")
    solver = (PETSc.KSP() if kind == "ksp" else PETSc.SNES()).create(MPI.COMM_SELF)
    try:
        solver.setOptionsPrefix(prefix)
        with defaults(prefix, one.trial):
            solver.setFromOptions()
    finally:
        solver.destroy()
