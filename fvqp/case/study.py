"""Studies: a case made ready to be computed, and what all models share of computing it.

A study opens the results folder, resumes what is there, shows progress, and records. A model says what its
points are made of (its constructor), how they are computed, and what ``fvqp check`` reports.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
from mpi4py import MPI

from fvqp.case.petsc_options import options_in_force
from fvqp.case.recorder import Recorder
from fvqp.case.run_time import Work, estimated_run_time
from fvqp.case.tables import Case
from fvqp.errors import FvqpError
from fvqp.mesh.shapes import shape_mesh
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import LINE_EVERY, SweepProgress, tell
from fvqp.results.result import Result
from fvqp.results.status import StatusFile
from fvqp.texts import duration
from fvqp.typing import Bools

Line = Sequence[tuple[int, ...]]
"""Places of points in the dataset, in the order of their computation: each may start from the one before."""
R = TypeVar("R", bound=Recorder)
TYPICAL = 0.3
"""Part of the mean work of points from which on a point stands for all."""
log = logging.getLogger(__name__)

REFINE = ("fvqp refine CASE --for OBSERVABLE --to 1% finds the error of a result",)
#: Width of the names in a report, unless one is longer.
NAMES = 11


class Study(Generic[R]):
    """A case with what its points share.

    Args:
        case: what to compute.
        comm: all ranks; collective.
        out: results folder, or None.
        solve: False if the case is only checked and reported on.

    Attributes:
        refines: False if `fvqp.refine` has nothing to vary.
        sources: of the numbers of the material.
        warnings: doubts about the case, which the results keep; None if the model has none.

    Raises:
        FvqpError: what is wrong with the case.
    """

    refines: bool = True
    sources: Mapping[str, str]
    warnings: list[str] | None = None

    def __init__(self, case: Any, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        self.case, self.comm, self.out = case, comm, out
        self._begin = time.monotonic()

    @classmethod
    @contextmanager
    def prepared(cls, case: Case, *arguments: Any) -> Iterator[Self]:
        """A study, with the PETSc options of its case in force within the block."""
        with options_in_force(case):
            yield cls(case, *arguments)

    def report(self) -> Iterable[tuple[str, str]]:
        """Names and texts of sizes and expected memory."""
        raise NotImplementedError

    def expected_work(self) -> Iterable[Work]:
        """Pieces of the work of a run, by which its time is estimated; nothing of a piece is kept."""
        raise NotImplementedError

    def errors(self) -> list[str]:
        """Expected errors of discretization, or what is resolved least."""
        return []

    def recorder(self, folder: ResultsFolder | None) -> R:
        """The recorder of a run, with its empty dataset."""
        raise NotImplementedError

    def compute(self, recorder: R, settled: Bools, earlier: Checkpoint | None) -> FvqpError | None:
        """Compute and record the missing points; returns the first failure after which others went on.

        Args:
            recorder: of the run.
            settled: points of the dataset that need not be computed.
            earlier: what to go on from.
        """
        raise NotImplementedError

    def figures(self) -> list[dict[str, Any]]:
        """Figures of the case, as results keep them."""
        return [figure.model_dump() for figure in self.case.figures]

    def check(self) -> str:
        """The report as text."""
        rows = [
            *self.report(),
            ("run time", estimated_run_time(self.expected_work(), self.comm)),
            *(
                (("errors", "; ".join(found)),)
                if (found := [*self.errors(), *REFINE[: self.refines]])
                else ()
            ),
            *(("warning", text) for text in self.warnings or ()),
        ]
        width = max(NAMES, *(len(name) + 1 for name, _ in rows))
        return "\n".join([f"{self.case.source}: valid", *(f"  {name:<{width}}{text}" for name, text in rows)])

    def tell_end(self) -> None:
        """Tell the time of the run and the folder of its results; only log that of a short one in memory."""
        if self.comm.rank != 0:
            return
        seconds = time.monotonic() - self._begin
        if self.out is not None:
            tell(f"done in {duration(seconds)}; results in {self.out}")
        elif seconds >= LINE_EVERY:
            tell(f"done in {duration(seconds)}")
        else:
            log.info("done in %s", duration(seconds))

    def run(self, resume: bool) -> Result:
        """Compute what is missing, see :func:`fvqp.case.run.run`."""
        case, comm = self.case, self.comm
        with ExitStack() as stack:
            folder = None
            if self.out is not None:
                sources = {"material_sources": json.dumps(dict(self.sources))}
                folder = ResultsFolder(self.out, case.resolved_toml(), case.hash, comm, resume, sources)
                stack.enter_context(folder)
            recorder = self.recorder(folder)
            recorder.sweep.dataset.attrs |= {
                "model": case.model,
                "title": case.title,
                "figures": json.dumps(self.figures()),
            }
            if self.warnings is not None:
                recorder.sweep.dataset.attrs["warnings"] = "\n".join(self.warnings)
                for text in self.warnings if comm.rank == 0 else ():
                    log.warning("%s: %s", case.source, text)
            earlier = None if folder is None else folder.start(recorder.sweep, recorder.mesh)
            settled: Bools = comm.bcast(recorder.sweep.settled)
            status = None
            if self.out is not None and comm.rank == 0:
                status = stack.enter_context(StatusFile(self.out, comm.size))
            progress = SweepProgress(settled.size, comm, int(settled.sum()), status=status)
            recorder.progress = stack.enter_context(progress)
            recorder.go_on_from(earlier)
            recorder.finish(self.compute(recorder, settled, earlier))
            self.tell_end()
        return recorder.result()


class PointRecorder(Recorder):
    """Recorder of a study whose points are each computed by one rank.

    Args:
        study: what is run.
        folder: where to write, or None.
    """

    def __init__(self, study: PointStudy, folder: ResultsFolder | None) -> None:
        # What a results folder knows of space is one cell on every rank.
        mesh = shape_mesh("grid1d", nx=1, Lx=1.0, comm=MPI.COMM_SELF)
        super().__init__(mesh, study.comm, study.comm.size, folder)
        self.study, self.sweep = study, study.dataset()

    def record(self, place: tuple[int, ...], values: dict[str, Any], label: str) -> None:
        """Takes over a computed point, and writes when that is due."""
        self.keep(place, values, None, label)
        self.save({}, {})

    def complete(self) -> None:
        self.study.complete(self.sweep)


class PointStudy(Study[PointRecorder]):
    """Lines of points, each line computed by one rank."""

    def dataset(self) -> SweepDataset:
        """The empty dataset, the same on all ranks."""
        raise NotImplementedError

    def where(self, place: tuple[int, ...]) -> str:
        """A place of the dataset, for messages and progress."""
        raise NotImplementedError

    def size(self, place: tuple[int, ...]) -> float:
        """Work of a point, relative to others; by default all are alike."""
        return 1.0

    def expected_work(self) -> Iterator[Work]:
        """All points, of which the smallest that is no less than `TYPICAL` of their mean is computed."""
        sweep = self.dataset()
        sizes = {place: self.size(place) for line in self.lines(sweep.settled.shape) for place in line}
        total = sum(sizes.values())
        known = [place for place in sizes if sizes[place] >= TYPICAL * total / len(sizes)]
        one = min(known, key=lambda place: sizes[place])
        yield Work(
            "points",
            len(sizes),
            lambda: self.sample(one, sweep) * len(sizes) / total,
            len(self.lines(sweep.settled.shape)),
        )

    def sample(self, place: tuple[int, ...], sweep: SweepDataset) -> float:
        """Compute a point, or one like it with less work; returns the size of what was computed."""
        self.values(place, sweep)
        return self.size(place)

    def values(self, place: tuple[int, ...], sweep: SweepDataset) -> dict[str, Any]:
        """Everything that is stored of the point at ``place`` of ``sweep``."""
        raise NotImplementedError

    def lines(self, shape: tuple[int, ...]) -> Sequence[Line]:
        """Places of all points of a dataset of this shape; by default every point is a line."""
        return [[tuple(map(int, place))] for place in np.ndindex(shape)]

    def work(self, line: Line, recorder: PointRecorder) -> None:
        """Compute and record the points of a line from the first missing one on.

        ``recorder.sweep`` holds the points before it.
        """
        for place in line:
            where = self.where(place)
            try:
                values = self.values(place, recorder.sweep)
            except FvqpError as error:
                raise self.case.naming(error, where) from None
            recorder.record(place, values, where)

    def complete(self, sweep: SweepDataset) -> None:
        """Add what follows from all points together; on rank 0, once they are there."""

    def recorder(self, folder: ResultsFolder | None) -> PointRecorder:
        return PointRecorder(self, folder)

    def compute(
        self, recorder: PointRecorder, settled: Bools, earlier: Checkpoint | None
    ) -> FvqpError | None:
        failure: FvqpError | None = None
        for number, line in enumerate(self.lines(settled.shape)):
            done = [bool(settled[place]) for place in line]
            if number % self.comm.size != self.comm.rank or all(done):
                continue
            try:
                self.work(line[done.index(False) :], recorder)
            except FvqpError as error:
                # The other lines and ranks finish what they can compute.
                failure = failure or error
        return failure


def grouped(doubts: Iterable[tuple[str, str]], total: int) -> list[str]:
    """Sentences that differ in their numbers alone, each once.

    Args:
        doubts: places and sentences.
        total: number of all places.

    Returns:
        The first sentence of each kind with its place, and how many more there are.
    """
    found: dict[str, tuple[str, int]] = {}
    for where, text in doubts:
        kind = "".join(letter for letter in text if letter not in "0123456789.e+-")
        first, count = found.get(kind, (f"{where}: {text}", 0))
        found[kind] = first, count + 1
    return [
        first + (f" (and at {count - 1} more points of {total})" if count > 1 else "")
        for first, count in found.values()
    ]
