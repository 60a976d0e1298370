"""Recording a run of any model: results of all groups of ranks come together on rank 0 and are written."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.mesh import Mesh
from fvqp.parallel import barrier, raise_first_error, run_on_root, wait
from fvqp.results import ledger as ledgers
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import Outcome, SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.results.status import last_value
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Message tags between the groups of ranks.
_POINT, _UNSOLVED, _DONE = 1, 2, 3
#: And within a group.
_NEXT, _ROWS = 4, 5


class Recorder:
    """Collects the results of all groups of ranks on rank 0 of the run, and writes them as they come.

    A model's recorder makes the dataset ``sweep`` (of the same layout on all ranks), and turns a solved point
    into values for `keep`.

    Args:
        mesh: of this group of ranks; ``mesh.comm`` are the ranks that share it.
        comm: all ranks of the run.
        groups: number of groups of ranks.
        folder: where to write, or None.
    """

    sweep: SweepDataset

    def __init__(self, mesh: Mesh, comm: MPI.Comm, groups: int, folder: ResultsFolder | None) -> None:
        self.mesh = mesh
        self.comm, self.group = comm, mesh.comm
        self.groups = groups
        #: The ranks of the group on a communicator of their own, to find out whether all of them failed.
        self.guard = self.group.Dup()
        self.folder = folder
        self.progress: SweepProgress | None = None
        self._arrays: dict[str, Floats] = {}
        self._numbers: dict[str, NDArray[Any]] = {}
        #: First of the points that were left, and why; on rank 0 of the run.
        self.reasons: list[tuple[tuple[int, ...], str]] = []
        self._ended = 0

    def keep(
        self, place: tuple[int, ...], values: dict[str, Any], balance: ledgers.Ledger | None, label: str
    ) -> None:
        """Takes over a point: its values in the dataset, its ledger, and how progress calls it.

        Called by all ranks of a group; those of its rank 0 count.
        """
        self._pass_on(_POINT, (place, values, balance, label))

    def leave(self, places: list[tuple[int, ...]], outcome: Outcome, reason: str) -> None:
        """Takes over that points have no solution, and why: the first of them failed, the others lie beyond.

        Called by all ranks of a group. Models that do so define the variable ``outcome``.
        """
        self._pass_on(_UNSOLVED, (places, outcome, reason))

    def save(self, arrays: dict[str, Floats], numbers: dict[str, NDArray[Any]]) -> None:
        """Writes results and checkpoint when that is due. Collective over the group.

        Args:
            arrays: state ``[n_cells, ...]`` that a resumed run starts from.
            numbers: small arrays beside it, the same on all ranks.
        """
        self._arrays, self._numbers = arrays, numbers
        if self.folder is not None:
            self.folder.save(self.mesh, self._checkpoint())

    def go_on_from(self, earlier: Checkpoint | None) -> None:
        """Keep the state of ``earlier`` until a point of this run replaces it."""
        if earlier is not None:
            self._arrays, self._numbers = earlier.arrays, earlier.numbers

    def finish(self, failure: FvqpError | None) -> None:
        """Wait for all groups, add the symmetry parts, write everything, draw the figures. Collective.

        Raises the ``failure`` of the first group that has one, on all ranks; what was computed is written.
        """
        if self.group.rank == 0 and self.comm.rank != 0:
            self.comm.send(None, dest=0, tag=_DONE)
        if self.comm.rank == 0:
            self._drain(wait_for=self.groups - 1)
            self.complete()
            failure = self.shortfall() or failure
            ledger = ledgers.Ledger.of(self.sweep.dataset)
            if ledger.rows:
                ledger.log()
            if text := ledgers.balance(self.sweep.dataset):
                log.info("%s", text)
        if self.folder is not None:
            self.folder.save(self.mesh, self._checkpoint(), force=True)
        self.guard.Free()
        barrier(self.comm)
        raise_first_error(self.comm, failure)
        if self.folder is not None:
            for file in run_on_root(self.comm, lambda: self.result().save_figures()):
                if self.comm.rank == 0:
                    log.info("figure %s", file)

    def complete(self) -> None:
        """Adds what follows from all points together; on rank 0, once all points are there."""

    def shortfall(self) -> FvqpError | None:
        """Return the message about points without a solution; on rank 0, once all points are there."""
        return None

    def result(self) -> Result:
        """The results so far."""
        return Result(self.sweep.dataset, None if self.folder is None else self.folder.path)

    def _store(
        self, place: tuple[int, ...], values: dict[str, Any], balance: ledgers.Ledger | None, label: str
    ) -> None:
        again = bool(self.sweep.dataset.variables["completed"].values[place])
        self.sweep.record(place, **values)
        if balance is not None:
            balance.record(self.sweep, place)
        if self.progress is not None:
            found = last_value(self.sweep.dataset, place)
            self.progress.advance(f"{label}, {found}" if found else label, 0 if again else 1)

    def _mark(self, places: list[tuple[int, ...]], outcome: Outcome, reason: str) -> None:
        log.info("%s", reason)
        self.reasons.append((places[0], reason))
        for place in places:
            self.sweep.leave(place, outcome)
        if self.progress is not None:
            self.progress.advance(outcome.name.lower(), len(places))

    def _pass_on(self, tag: int, message: tuple[Any, ...]) -> None:
        """A message of this group to rank 0 of the run."""
        if self.group.rank != 0:
            return
        if self.comm.rank == 0:
            self._receive(tag, message)
            self._drain()
        else:
            self.comm.send(message, dest=0, tag=tag)

    def _receive(self, tag: int, message: tuple[Any, ...]) -> None:
        if tag == _POINT:
            self._store(*message)
        elif tag == _UNSOLVED:
            self._mark(*message)
        else:
            self._ended += 1

    def _drain(self, wait_for: int = 0) -> None:
        """Store what other groups have sent; with ``wait_for``, until that many of them are done."""
        if self.groups == 1:
            return
        status = MPI.Status()
        # A group's points come before its last word, so none is left once all are done.
        while self.comm.Iprobe(status=status) or self._ended < wait_for:
            wait(lambda: self.comm.Iprobe(status=status))
            tag = status.Get_tag()
            self._receive(tag, self.comm.recv(source=status.Get_source(), tag=tag))

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.sweep.completed, dict(self._arrays), dict(self._numbers))

    def gathered(self, cells: Floats, into: Floats | None = None) -> Floats:
        """``cells`` of all ranks of the group in the order of the file, on its rank 0 (elsewhere empty).

        Ranks send one after the other: rank 0 needs no more than one of them beside ``into``, where the rows
        go (default: a new array).
        """
        mesh, comm = self.mesh, self.mesh.comm
        ids = np.ascontiguousarray(mesh.global_id[: mesh.n_owned])
        values = np.ascontiguousarray(cells[: mesh.n_owned], dtype=np.float64)
        counts = comm.gather(mesh.n_owned)
        if counts is None:
            comm.Recv(np.empty(1), source=0, tag=_NEXT)
            comm.Send(ids, dest=0, tag=_ROWS)
            comm.Send(values, dest=0, tag=_ROWS)
            return np.empty(0)
        out = np.empty((mesh.n_global, *cells.shape[1:])) if into is None else into
        out[ids] = values
        for rank, count in enumerate(counts[1:], start=1):
            ids, values = np.empty(count, ids.dtype), np.empty((count, *cells.shape[1:]))
            comm.Send(np.empty(1), dest=rank, tag=_NEXT)
            comm.Recv(ids, source=rank, tag=_ROWS)
            comm.Recv(values, source=rank, tag=_ROWS)
            out[ids] = values
        return out

    def cells(self, transverse: float = 1.0) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
        """Coordinates of cells for the dataset: number, centre, corners of lines and surfaces, volume times
        ``transverse``, and in which regions they are. On rank 0 of the run, elsewhere empty; collective over
        the group."""
        mesh = self.mesh
        centre, volume = self.gathered(mesh.centroid), self.gathered(mesh.volume)
        corners = self.gathered(mesh.points[mesh.outlines]) if mesh.dim < 3 else None
        inside = np.zeros((mesh.n_cells, len(mesh.regions)))
        for column, cells in enumerate(mesh.regions.values()):
            inside[cells, column] = 1.0
        inside = self.gathered(inside)
        if self.comm.rank != 0:
            return {}
        found: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
            "cell": (("cell",), np.arange(mesh.n_global))
        }
        for k, name in enumerate("xyz"):
            found[name] = (("cell",), centre[:, k])
            if corners is not None:
                found[f"{name}_corners"] = (("cell", "corner"), corners[:, :, k])
        found["cell_volume"] = (("cell",), volume * transverse)
        if mesh.regions:
            found["region"] = (("region",), np.array(list(mesh.regions)))
            found["in_region"] = (("region", "cell"), inside.T.astype(np.int8))
        return found
