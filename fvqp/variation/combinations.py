"""A study: all combinations of values of keys, their results in one dataset, and a table of convergence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.parallel import run_on_root
from fvqp.results.convergence import Convergence
from fvqp.results.dataset import write_dataset
from fvqp.results.files import write_text
from fvqp.results.progress import tell
from fvqp.results.result import STUDY_FILE, Result
from fvqp.texts import by_reason
from fvqp.variation.gathering import study_dataset
from fvqp.variation.keys import VariedCase, VariedKey
from fvqp.variation.runs import run_variants

TABLE = "convergence.csv"


def vary(
    case: Mapping[str, Any] | str | Path,
    keys: Mapping[str, Sequence[Any]] | Sequence[VariedKey],
    out: str | Path,
    *,
    overrides: Iterable[str] = (),
    jobs: int = 1,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Result:
    """Compute a case with all combinations of values of its keys.

    Runs that are finished are not computed again, and those that were stopped go on; what failed is tried
    again. A run that fails is recorded with its message, and the others go on.

    Args:
        case: file, or dictionary laid out like the file.
        keys: dotted key → values as of a case file: ``{"mesh.shape.nx": [100, 200], "bath.temperature":
            ["0.1 K", "0.2 K"]}``. Convergence is judged against the last value of each.
        out: folder; results folders are in ``runs``, the results of all in ``study.nc``.
        overrides: ``"key=value"`` as of ``--set``, for all runs.
        jobs: processes that run at the same time, each with ``fvqp run`` of its own; 1 for one run after the
            other on all ranks.
        comm: ranks to run on; collective.

    Returns:
        The results of all, with the keys as dimensions.

    Raises:
        FvqpError: bad input, in any of the combinations; a folder of other cases.
    """
    out = Path(out)
    if isinstance(keys, Mapping):
        keys = [VariedKey(str(key), tuple(values)) for key, values in keys.items()]
    if not keys:
        raise CaseError("no key varies: name one with --vary KEY=VALUE,VALUE,... (keys=)")
    varied = VariedCase(case, overrides)
    outcomes = run_variants(varied.variants(keys), out, jobs, comm)

    def gathered() -> Result:
        about = {"case": varied.source, "title": str(varied.data.get("title", "")), "figures": "[]"}
        dataset = study_dataset(keys, outcomes, about)
        write_dataset(dataset, out / STUDY_FILE)
        write_text(out / TABLE, Convergence(dataset).csv())
        failed = sum(bool(one.failure) for one in outcomes)
        tell(f"{len(outcomes) - failed} of {len(outcomes)} runs finished; results in {out / STUDY_FILE}")
        return Result(dataset, out)

    return run_on_root(comm, gathered)


def left_out(result: Result) -> str:
    """Return a line about the quantities that a study does not hold, and why; empty if it holds all."""
    return "\n".join(by_reason(json.loads(result.dataset.attrs.get("left_out", "{}")), "left out"))
