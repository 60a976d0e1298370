"""Distribution of cells among ranks: PETSc's DMPlex moves the cells, and adds each part's vertex
neighbours."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import geometry
from fvqp.petsc import PETSc

log = logging.getLogger(__name__)


@dataclass
class Part:
    """Cells of this rank by global number, ascending: owned ones, ghosts, and the rank of each ghost."""

    owned: np.ndarray
    ghosts: np.ndarray
    ghost_owner: np.ndarray


def raise_together(comm: MPI.Comm, problem: str | None) -> None:
    """Raises `MeshError` on all ranks if any has a ``problem``: the lowest such rank's message."""
    found = [p for p in comm.allgather(problem) if p is not None]
    if found:
        raise MeshError(found[0])


def partition(comm: MPI.Comm, dim: int, points: np.ndarray | None, corners: np.ndarray | None) -> Part:
    """Divides rank 0's mesh: ``points (n, 3)``, ``corners (n_cells, k)`` vertex numbers or −1. Collective.

    Parts come from recursive coordinate bisection: sizes differ by few cells, no part is empty, and the
    result does not depend on how PETSc was built. DMPlex then moves the cells and adds to each part the cells
    that share a vertex with it.
    """
    n_global = comm.bcast(len(corners) if corners is not None else 0, root=0)
    if comm.size == 1:
        nothing = np.zeros(0, dtype=np.int64)
        return Part(np.arange(n_global, dtype=np.int64), nothing, nothing)
    if comm.size > n_global:
        raise MeshError(f"{comm.size} MPI ranks for {n_global} cells: run on at most {n_global} ranks")
    owner = np.zeros(0, dtype=np.int64)
    width, n_points = 0, 0
    if points is not None and corners is not None:
        owner = bisect(geometry.cell_means(points, corners), comm.size)
        width, n_points = corners.shape[1], len(points)
        log.info("mesh of %d cells divided over %d ranks by coordinate bisection", n_global, comm.size)
    width = comm.bcast(width, root=0)
    # Every cone gets the length of the widest cell by repeating its first corner: adjacency is the same.
    table = np.zeros((0, width), dtype=PETSc.IntType)
    if corners is not None:
        table = np.where(corners >= 0, corners, corners[:, :1]).astype(PETSc.IntType)
    plex = PETSc.DMPlex().createFromCellList(
        dim, table, np.zeros((n_points, dim)), interpolate=False, comm=comm
    )
    # Cones of this cell-vertex graph are vertices, so that cells that share a vertex are adjacent.
    plex.setBasicAdjacency(True, False)
    partitioner = plex.getPartitioner()
    partitioner.setType(PETSc.Partitioner.Type.SHELL)
    sizes = np.bincount(owner, minlength=comm.size).astype(PETSc.IntType)
    partitioner.setShellPartition(comm.size, sizes, np.argsort(owner, kind="stable").astype(PETSc.IntType))
    migration = plex.distribute(overlap=1)
    start, end = plex.getHeightStratum(0)
    _, _, origin = migration.getGraph()
    global_id = np.asarray(origin, dtype=np.int64).reshape(-1, 2)[start:end, 1].copy()
    _, leaves, roots = plex.getPointSF().getGraph()
    leaves = np.asarray(leaves, dtype=np.int64)
    is_cell = (leaves >= start) & (leaves < end)
    rank = np.full(end - start, comm.rank, dtype=np.int64)
    rank[leaves[is_cell] - start] = np.asarray(roots, dtype=np.int64).reshape(-1, 2)[is_cell, 0]
    migration.destroy()
    plex.destroy()
    ghost = rank != comm.rank
    order = np.argsort(global_id[ghost], kind="stable")
    return Part(np.sort(global_id[~ghost]), global_id[ghost][order], rank[ghost][order])


def bisect(at: np.ndarray, n_parts: int) -> np.ndarray:
    """Part of each position ``at (n, 3)``: divided across the longest extent, again and again, ``(n,)``."""
    owner = np.zeros(len(at), dtype=np.int64)
    waiting = [(np.arange(len(at)), 0, n_parts)]
    while waiting:
        members, first, parts = waiting.pop()
        if parts == 1:
            owner[members] = first
            continue
        members.sort()  # of positions that are equal the first ones, in any part
        axis = int(np.argmax(np.ptp(at[members], axis=0)))
        order = members[np.argsort(at[members, axis], kind="stable")]
        low = parts // 2
        cut = (len(members) * low) // parts
        waiting += [(order[:cut], first, low), (order[cut:], first + low, parts - low)]
    return owner


def scatter_rows(comm: MPI.Comm, table: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Rows of rank 0's ``table`` that each rank asks for; ranks are served one by one to bound memory."""
    if comm.size == 1:
        assert table is not None
        return table[rows]
    shape, dtype = comm.bcast((table.shape[1:], table.dtype) if table is not None else None, root=0)
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    if comm.rank > 0:
        answer = np.empty((len(rows), *shape), dtype=dtype)
        comm.send(len(rows), dest=0, tag=1)
        comm.Send(rows, dest=0, tag=2)
        comm.Recv(answer, source=0, tag=3)
        return answer
    assert table is not None
    for rank in range(1, comm.size):
        asked = np.empty(comm.recv(source=rank, tag=1), dtype=np.int64)
        comm.Recv(asked, source=rank, tag=2)
        comm.Send(np.ascontiguousarray(table[asked]), dest=rank, tag=3)
    return table[rows]


class RowExchange:
    """Messages that fill rows of arrays from rows of other ranks, or of this one.

    Attributes:
        receive: by rank the rows that it fills, in the order in which it sends them.
        send: by rank the rows that go there.
    """

    def __init__(
        self, comm: MPI.Comm, receive: list[tuple[int, np.ndarray]], send: list[tuple[int, np.ndarray]]
    ) -> None:
        self.comm = comm
        self.receive = [(rank, rows) for rank, rows in receive if len(rows)]
        self.send = [(rank, rows) for rank, rows in send if len(rows)]

    def __call__(self, a: np.ndarray) -> None:
        """Fill rows of ``a[rows, ...]``, in place. Collective."""
        incoming = [np.empty((len(rows), *a.shape[1:]), dtype=a.dtype) for _, rows in self.receive]
        outgoing = [np.ascontiguousarray(a[rows]) for _, rows in self.send]
        requests = [
            self.comm.Irecv(b, source=r, tag=7) for b, (r, _) in zip(incoming, self.receive, strict=True)
        ]
        requests += [self.comm.Isend(b, dest=r, tag=7) for b, (r, _) in zip(outgoing, self.send, strict=True)]
        MPI.Request.Waitall(requests)
        for buffer, (_, rows) in zip(incoming, self.receive, strict=True):
            a[rows] = buffer


class GhostExchange(RowExchange):
    """Messages for ghost rows of cell arrays ``a[n_cells, ...]``, built once from the owners of the ghosts.

    ``cells`` are the global numbers of the local cells (owned ones first, ascending), ``ghost_owner`` the
    rank that owns each ghost: another one, or this one of images of its own cells.
    """

    def __init__(self, comm: MPI.Comm, cells: np.ndarray, n_owned: int, ghost_owner: np.ndarray) -> None:
        wanted = [np.flatnonzero(ghost_owner == rank) + n_owned for rank in range(comm.size)]
        asked = comm.alltoall([cells[w] for w in wanted])
        send = [(rank, np.searchsorted(cells[:n_owned], a)) for rank, a in enumerate(asked)]
        super().__init__(comm, list(enumerate(wanted)), send)

    def of_rows(self, wanted: np.ndarray) -> RowExchange:
        """Return the messages for some rows ``cell × M + m`` of ``a[n_cells × M, ...]``. Collective.

        Args:
            wanted: ``(n_cells, M)``, true for the rows of ghosts to be filled.
        """
        masks: list[np.ndarray | None] = [None] * self.comm.size
        for rank, cells in self.receive:
            masks[rank] = wanted[cells]
        asked = self.comm.alltoall(masks)
        row = np.arange(wanted.size).reshape(wanted.shape)
        return RowExchange(
            self.comm,
            [(rank, row[cells][wanted[cells]]) for rank, cells in self.receive],
            [(rank, row[cells][asked[rank]]) for rank, cells in self.send],
        )
