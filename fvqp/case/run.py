"""Running a case of any model; what ``fvqp run`` and ``fvqp check`` call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fvqp.case import models
from fvqp.case.reading import case_from_dict, load_case
from fvqp.case.tables import Case
from fvqp.errors import CaseError
from fvqp.results.result import Result


def run(
    case: Case | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    overrides: Iterable[str] = (),
    resume: bool = False,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Result:
    """Compute a case.

    Args:
        case: file, dictionary laid out like the file, or a case read before.
        out: results folder; None keeps the results in memory.
        overrides: ``"key=value"`` as of ``--set``; only with a file.
        resume: go on from what ``out`` holds.
        comm: ranks to run on; collective.

    Returns:
        The result; its dataset is complete on rank 0 of ``comm``.

    Raises:
        FvqpError: bad input, no convergence, a folder of another case; what was computed stays in ``out``.
    """
    chosen = _case(case, overrides)
    if resume and out is None:
        raise CaseError("resume: needs the results folder to go on from")
    return models.run(chosen, out, resume, comm)


def check(case: Case | Mapping[str, Any] | str | Path, *, overrides: Iterable[str] = ()) -> str:
    """Validate a case; its sizes, expected memory, run time and errors as text."""
    chosen = _case(case, overrides)
    return models.check(chosen)


def _case(case: Case | Mapping[str, Any] | str | Path, overrides: Iterable[str]) -> Case:
    if isinstance(case, str | Path):
        return load_case(case, overrides)
    if list(overrides):
        raise CaseError("overrides: belong to a case file; change the dictionary instead")
    return case if isinstance(case, Case) else case_from_dict(dict(case))
