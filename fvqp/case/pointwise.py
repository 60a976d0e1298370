"""Running cases without a mesh: lines of points, each line on one rank."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fvqp.case.recorder import Recorder
from fvqp.case.tables import Case
from fvqp.errors import FvqpError
from fvqp.mesh.shapes import shape_mesh
from fvqp.results.dataset import SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.typing import Bools

Line = Sequence[tuple[int, ...]]
"""Places of points in the dataset, in the order of their computation: each may start from the one before."""


class PointRecorder(Recorder):
    """Recorder of a run without a mesh.

    Args:
        sweep: the dataset.
        comm: all ranks; each works on lines of its own.
        folder: where to write, or None.
        complete: adds what follows from all points together.
    """

    def __init__(
        self,
        sweep: SweepDataset,
        comm: MPI.Comm,
        folder: ResultsFolder | None,
        complete: Callable[[SweepDataset], None] | None,
    ) -> None:
        # What a results folder knows of space is one cell on every rank.
        super().__init__(shape_mesh("grid1d", nx=1, Lx=1.0, comm=MPI.COMM_SELF), comm, comm.size, folder)
        self.sweep = sweep
        self._complete = complete

    def record(self, place: tuple[int, ...], values: dict[str, Any], label: str) -> None:
        """Takes over a computed point, and writes when that is due."""
        self.keep(place, values, None, label)
        self.save({}, {})

    def complete(self) -> None:
        if self._complete is not None:
            self._complete(self.sweep)


def run_lines(
    case: Case,
    sweep: SweepDataset,
    lines: Sequence[Line],
    work: Callable[[Line, PointRecorder], None],
    out: str | Path | None,
    resume: bool,
    comm: MPI.Comm,
    sources: Mapping[str, str],
    complete: Callable[[SweepDataset], None] | None = None,
) -> Result:
    """Compute what is missing of ``lines``, shared among the ranks.

    Args:
        case: what is run.
        sweep: its dataset, the same on all ranks.
        lines: places of all points.
        work: computes the points of a line and records each with `PointRecorder.record`; it gets the line
            from the first missing point on, and finds the points before it in ``recorder.sweep``.
        out: results folder, or None.
        resume: go on from what ``out`` holds.
        comm: all ranks; collective.
        sources: of the material's numbers.
        complete: called with the dataset on rank 0 when all points are there.

    Raises:
        FvqpError: see :func:`fvqp.case.run.run`.
    """
    sweep.dataset.attrs |= {
        "model": case.model,
        "title": case.title,
        "figures": json.dumps([figure.model_dump() for figure in getattr(case, "figures", ())]),
    }
    with ExitStack() as stack:
        folder = None
        if out is not None:
            further = {"material_sources": json.dumps(dict(sources))}
            folder = ResultsFolder(out, case.resolved_toml(), case.hash, comm, resume, further)
            stack.enter_context(folder)
        recorder = PointRecorder(sweep, comm, folder, complete)
        if folder is not None:
            folder.start(recorder.sweep, recorder.mesh)
        completed: Bools = comm.bcast(recorder.sweep.completed)
        recorder.progress = stack.enter_context(SweepProgress(completed.size, comm, int(completed.sum())))
        failure: FvqpError | None = None
        for number, line in enumerate(lines):
            done = [bool(completed[place]) for place in line]
            if number % comm.size != comm.rank or all(done):
                continue
            try:
                work(line[done.index(False) :], recorder)
            except FvqpError as error:
                # The other lines and ranks finish what they can compute.
                failure = failure or error
        recorder.finish(failure)
    return recorder.result()
