"""The models that cases can name, and where the schema, the check and the run of each live."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi4py import MPI

from fvqp.case.tables import Case
from fvqp.errors import (
    MAX_MESSAGE,
    CaseError,
    CaseMistakes,
    CheckpointError,
    ConvergenceError,
    FvqpError,
    MeshError,
    SuperconductivityDestroyed,
)
from fvqp.results.dataset import QUANTITIES, Quantity
from fvqp.results.result import Result

if TYPE_CHECKING:
    from fvqp.case.study import Study

#: What a case can name → package of ``fvqp.case`` with modules ``schema`` (``CASES``, the classes of cases by
#: model), ``checks`` (``problems(case)``: keys that contradict one another or go unused, with messages;
#: ``check_case(case)``: what takes the results of earlier runs to know; either may be missing) and ``study``
#: (``STUDY``, the class of its studies: :class:`fvqp.case.study.Study`). Loaded when a case names it: a model
#: brings much that others do not need.
MODELS = {
    "usadel": "usadel",
    "boltzmann": "boltzmann",
    "transport": "boltzmann",
    "eliashberg": "eliashberg",
    "clusters": "clusters",
    "localized": "localized",
    "stages": "stages",
    "weak_link": "weak_link",
}

#: What is to be changed in a case of a model whose equations find no solution.
REMEDIES = {
    "usadel": (
        "raise solver.maximum_iterations, or take finer steps of sweep.V_inj up to this bias, or another "
        "solver.method"
    ),
    "eliashberg": "raise solver.maximum_iterations or solver.tolerance",
    "clusters": "raise solver.tolerance, solver.lost or solver.max_states",
    "localized": "raise monte_carlo.max_events or monte_carlo.accuracy, or lower the rates",
    "weak_link": "raise spectrum.broadening, or refine the mesh",
}
MAX_LINE = 400
"""Characters of a mistake among several."""
STEADY = "raise steady_state.maximum_iterations or steady_state.tolerance"
EVOLVING = "change evolution.tolerance or evolution.method"


def _module(model: str, name: str) -> Any:
    return import_module(f"fvqp.case.{MODELS[model]}.{name}")


def schema(model: str) -> type[Case]:
    """The class of a model's cases."""
    found: type[Case] = _module(model, "schema").CASES[model]
    if not found.HAS_PROCESSES:
        return found
    from fvqp.case.process import with_processes

    return with_processes(model, found)


def study(model: str) -> type[Study[Any]]:
    """The class of a model's studies."""
    found: type[Study[Any]] = _module(model, "study").STUDY
    return found


def check_parts(case: Case) -> None:
    """Raise `CaseError` when parts of the case contradict one another or go unused."""
    check_tables(case)
    if check_case := getattr(_module(case.model, "checks"), "check_case", None):
        check_case(case)


def check_tables(case: Case) -> None:
    """Check as `check_parts` does, as far as possible before the results are there that a case takes up."""
    if problems := getattr(_module(case.model, "checks"), "problems", None):
        found: list[str] = []
        try:
            for key, message in problems(case):
                found.append(f"{key}: {message}")
        except Exception:
            # A check may rely on what earlier ones have found to be wrong here.
            if not found:
                raise
        if found:
            raise mistakes(case.source, found)


def mistakes(source: str, found: Sequence[str]) -> CaseError:
    """Return the error of a case: its mistake, or a line for each of several.

    Args:
        source: file of the case.
        found: ``key: message``; of several about a key, or a table and its keys, the first counts.
    """
    lines: dict[str, str] = {}
    for text in found:
        key = text.partition(": ")[0]
        if not any(known == key or known.startswith((f"{key}.", f"{key}[")) for known in lines):
            lines[key] = text
    if len(lines) == 1:
        return CaseError(f"{source}: {found[0]}")
    shown, room = f"{source}: {len(lines)} mistakes", MAX_MESSAGE - len(source) - 60
    for number, text in enumerate(lines.values()):
        line = text if len(text) <= MAX_LINE else f"{text[: MAX_LINE // 2]} ... {text[-MAX_LINE // 2 :]}"
        room -= len(line) + 3
        if room < 0:
            return CaseMistakes(f"{shown}\n  and {len(lines) - number} more")
        shown += f"\n  {line}"
    return CaseMistakes(shown)


def run(case: Case, out: str | Path | None, resume: bool, comm: MPI.Comm) -> Result:
    """Compute a case, see :func:`fvqp.case.run.run`; an error names the case, and what may mend it."""
    try:
        with study(case.model).prepared(case, comm, None if out is None else Path(out)) as made:
            result: Result = made.run(resume)
    except FvqpError as error:
        if not isinstance(error, CaseError | MeshError | CheckpointError) and case.model != "stages":
            error.args = (_unsolved(case, error, out),)
        raise
    return result


def result_names() -> dict[str, Quantity]:
    """Return units and meaning of the variables of ``results.nc`` of all models, by name."""
    usadel, boltzmann = import_module("fvqp.study.observable"), _module("boltzmann", "observable")
    bases = (usadel.UsadelObservable, usadel.UsadelField, boltzmann.BoltzmannObservable)
    return QUANTITIES | {one.name: one.quantity() for base in bases for one in base.registry}


def _unsolved(case: Case, error: FvqpError, out: str | Path | None) -> str:
    """Return advice for equations without a solution, or for another error that stopped the run."""
    text, where = str(error), f"{case.source}: "
    text = text if text.startswith(where) else where + text
    kept = ""
    if out is not None and (Path(out) / "results.nc").is_file():
        kept = f" (what was computed is in {out}; --resume goes on from there)"
    if not isinstance(error, ConvergenceError):  # a folder, a disk, a figure
        return text + kept
    remedy = REMEDIES.get(case.model)
    if isinstance(error, SuperconductivityDestroyed):
        remedy = "end sweep.V_inj below this bias for a sweep without gaps"
    elif remedy is None:
        remedy = STEADY if getattr(case, "steady_state", None) is not None else EVOLVING
    return f"{text}; {remedy}{kept}"


def check(case: Case) -> str:
    """Sizes, expected memory, run time and errors of a case as text."""
    with study(case.model).prepared(case, MPI.COMM_WORLD, None, False) as made:
        text: str = made.check()
    return text
