"""The results folder: what is in it, whose it is, and writing it so that nothing computed is lost.

case.toml        the resolved case
run.log          what happened
results.nc       observables, spectra, ledger, provenance
fields.pvd       and fields/*.vtu, for ParaView
checkpoint.h5    what a run goes on from
figures/         the case's figures
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from mpi4py import MPI

from fvqp.errors import CheckpointError
from fvqp.mesh.mesh import Mesh
from fvqp.parallel import run_on_root
from fvqp.results.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fvqp.results.dataset import SweepDataset, opened
from fvqp.results.fields import FieldSeries
from fvqp.results.files import discard, explained, make_folder, write_text
from fvqp.results.provenance import provenance

log = logging.getLogger(__name__)

WRITE_EVERY = 5.0
"""Least seconds between two writings of results and checkpoint while a sweep runs."""
_MARK = re.compile(r"# fvqp case, sha256 ([0-9a-f]{64})\n")


class ResultsFolder:
    """A folder that takes the results of one case; a context manager around the computation.

    Parameters
    ----------
    path : the folder; made if it is not there.
    case_text, case_hash : the resolved case as TOML, and the hash that says whether two cases are the same.
    comm : communicator of the run; all ranks take part in the making, rank 0 writes.
    resume : go on from what is there; without it a folder that holds results already is refused.
    further : attributes for ``results.nc`` beside the provenance.

    Raises :class:`CheckpointError` on all ranks if the folder holds results of another case, or of this one
    without ``resume``, or files that are no results.
    """

    def __init__(
        self,
        path: str | Path,
        case_text: str,
        case_hash: str,
        comm: MPI.Comm = MPI.COMM_WORLD,
        resume: bool = False,
        further: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.case_hash = case_hash
        self.comm = comm
        self.attributes = provenance(comm, {**(further or {}), "case_hash": case_hash, "case": case_text})
        self._sweep: SweepDataset | None = None
        self._last_write = time.monotonic()
        self._changed = False
        self._unsaved: tuple[Mesh, Checkpoint] | None = None
        self._series: dict[str, FieldSeries] = {}
        self._log_file: logging.Handler | None = None
        self.resuming: bool = run_on_root(comm, lambda: self._claim(case_text, resume))

    @property
    def results(self) -> Path:
        """``results.nc``."""
        return self.path / "results.nc"

    @property
    def checkpoint(self) -> Path:
        """``checkpoint.h5``."""
        return self.path / "checkpoint.h5"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.path / "figures"

    def _claim(self, case_text: str, resume: bool) -> bool:
        """Makes the folder this case's; returns whether it holds earlier results of it."""
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.path}: is a file; the results need a folder")
        make_folder(self.path)
        case_file = self.path / "case.toml"
        if case_file.exists():
            # A run that failed before its first result has claimed nothing.
            if self.results.exists() and folder_hash(self.path) != self.case_hash:
                raise CheckpointError(
                    f"{self.path}: belongs to another case, see its case.toml; choose another (--out, out=)"
                )
            if not resume and self.results.exists():
                raise CheckpointError(
                    f"{self.path}: holds results of this case already; --resume (resume=True) goes on "
                    "from them, --out (out=) chooses another folder"
                )
        elif any(self.path.iterdir()):
            raise CheckpointError(
                f"{self.path}: is not empty and not a results folder; choose another (--out, out=)"
            )
        # What a killed run was writing; on other ranks its pieces have other names, which nobody replaces.
        for part in (*self.path.glob(".*.part"), *self.path.glob("fields/.*.part")):
            discard(part)
        write_text(case_file, f"# fvqp case, sha256 {self.case_hash}\n{case_text}")
        return resume and self.results.exists()

    def __enter__(self) -> ResultsFolder:
        run_on_root(self.comm, self._open_log)
        return self

    def _open_log(self) -> None:
        """Have ``run.log`` take what is logged; rank 0 only."""
        path = self.path / "run.log"
        with explained(path):
            self._log_file = _LogFile(path, encoding="utf-8")
        self._log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("fvqp")
        logger.addHandler(self._log_file)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        log.info("%s results in %s", "resuming" if self.resuming else "new", self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._changed and self._sweep is not None and self.comm.rank == 0:
                self.write_results()
            if self._unsaved is not None:
                write_checkpoint(self.checkpoint, self._unsaved[0], self.case_hash, self._unsaved[1])
                self._unsaved = None
        finally:
            if self._log_file is not None:
                if error is not None:
                    # For the file only: who handles the error says it on the terminal.
                    reason = str(error) or type(error).__name__
                    self._log_file.handle(
                        log.makeRecord(log.name, logging.ERROR, __file__, 0, "stopped: %s", (reason,), None)
                    )
                logging.getLogger("fvqp").removeHandler(self._log_file)
                self._log_file.close()
                self._log_file = None

    def start(self, sweep: SweepDataset, mesh: Mesh) -> Checkpoint | None:
        """Takes ``sweep`` to be written, filled with the earlier results when resuming; what to go on from.

        Collective over ``mesh.comm``. Raises :class:`CheckpointError` if a file is damaged, or belongs to
        another mesh. Points that the checkpoint does not know as complete keep their values until they are
        computed again.
        """
        sweep.dataset.attrs.update(self.attributes)
        self._sweep = sweep
        if not self.resuming:
            return None
        state = read_checkpoint(self.checkpoint, mesh, self.case_hash)
        completed = state.completed if state is not None else np.zeros_like(sweep.completed)

        def take_over() -> None:
            with opened(self.results, sealed=True) as earlier:
                sweep.take_over(earlier, completed)
                if "history" in earlier.attrs:
                    before = earlier.attrs["history"]
                    sweep.dataset.attrs["history"] = f"{before}\n{self.attributes['history']}"

        run_on_root(mesh.comm, take_over)
        if mesh.comm.rank == 0:
            log.info("%d of %d points were computed before", completed.sum(), completed.size)
        return state

    def save(self, mesh: Mesh, checkpoint: Checkpoint, force: bool = False) -> bool:
        """Writes ``results.nc`` and then the checkpoint, if that is due or with ``force``; whether it did.

        Call after every sweep point. Collective over ``mesh.comm``. Raises :class:`FvqpError` on all ranks if
        the disk is full; earlier files are intact then.

        On one rank, what was not due is written when the ``with`` block is left, by an interruption too.
        Several ranks cannot agree on anything once one is interrupted: the points since the last writing are
        in ``results.nc``, but computed again.
        """
        self._changed = True
        due = force or time.monotonic() - self._last_write >= WRITE_EVERY
        # Of several groups of ranks the one that holds rank 0 of the run writes for all.
        if not mesh.comm.bcast(due and self.comm.rank == 0, root=0):
            if self.comm.size == 1:
                # A copy: by the time it is needed, the solver may be half-way through the next point.
                kept = {name: array.copy() for name, array in checkpoint.arrays.items()}
                self._unsaved = mesh, replace(checkpoint, completed=checkpoint.completed.copy(), arrays=kept)
            return False
        self._unsaved = None
        begin = time.monotonic()
        run_on_root(mesh.comm, self.write_results)
        # The checkpoint comes second: what it knows as complete is in results.nc for certain.
        write_checkpoint(self.checkpoint, mesh, self.case_hash, checkpoint)
        # Writing takes a tenth of the time at most, however large the files grow.
        now = time.monotonic()
        self._last_write = now + max(0.0, 9 * (now - begin) - WRITE_EVERY)
        return True

    def write_results(self) -> None:
        """Writes ``results.nc``; rank 0 only."""
        assert self._sweep is not None
        self._sweep.write(self.results)
        self._changed = False

    def series(self, name: str = "fields", label: str = "step") -> FieldSeries:
        """The field series ``name.pvd`` of this folder, for every rank to write steps to; ``label`` says
        what its times are."""
        return self._series.setdefault(name, FieldSeries(self.path, name, label))


class _LogFile(logging.FileHandler):
    """A log file that a full disk cuts short without a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        # What the disk did not take before is tried once more.
        with suppress(OSError):
            super().close()


def folder_hash(path: Path) -> str | None:
    """The case hash that a results folder bears; none if its ``case.toml`` is damaged or someone else's."""
    try:
        match = _MARK.match((path / "case.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None
