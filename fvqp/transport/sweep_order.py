"""Order in which sweeps pass through cells, blocks and ranks.

Blocks are divided along planes, nearly: seen along a direction, most faces between two of them lead the same
way, so that blocks follow one another in stages. The few faces that lead back lag behind: what comes through
them is left to the solver. Where particles turn from one direction to the next, a block has the next in no
earlier stage. Blocks are those of `CellLayout.block`, the same on one rank as on several, and so
are the faces that lag.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from fvqp.transport import sweep_kernels
from fvqp.transport.layout import CellLayout
from fvqp.transport.streaming_tables import StreamingFaces
from fvqp.typing import Floats, Ints, Ints32

#: Part of the area between two blocks that must lead one way in sum for them to follow one another: less is
#: rounding.
ONE_WAY = 1e-6
#: Stages in units of the number of blocks at which blocks that follow one another in a circle are left as
#: they are: faces lag then.
LONGEST = 2


class SweepOrder(NamedTuple):
    """Order of sweeps, for the compiled loops; ``place`` counts cells of a direction in their order.

    Attributes:
        cells: ``(M, n_owned)`` cells of every direction, stage by stage, each after those upstream of it.
        begin: ``(stages + 1, M)`` first place of every stage; as many stages on all ranks.
        pointer: ``(M n_owned + 1,)`` of each place, direction by direction, into the next three.
        upstream, through, inward: cells upstream, by which face, and its projected area.
        outward: ``(M n_owned,)`` projected area through which each place empties.
        late: ``(n, 2)`` faces, and directions, through which nothing comes from upstream in time.
        circles: number of faces, summed over directions, at which cells of one block wait for each other.
    """

    cells: Ints32
    begin: Ints32
    pointer: Ints
    upstream: Ints32
    through: Ints32
    inward: Floats
    outward: Floats
    late: Ints32
    circles: int


def sweep_order(faces: StreamingFaces, layout: CellLayout, stages: Ints) -> SweepOrder:
    """Order of sweeps through the faces of a layout, whose blocks are in ``stages``."""
    n, count, block = layout.n_owned, layout.projected.shape[1], layout.block
    cells = np.empty((count, n), np.int32)
    circles = int(sweep_kernels.downstream(faces, block, n, cells).sum())
    stage = np.where(block >= 0, stages[:, block], -1).astype(np.int32)
    of_places = np.take_along_axis(stage, cells.astype(np.int64), axis=1)
    by_stage = np.argsort(of_places, axis=1, kind="stable")
    cells = np.ascontiguousarray(np.take_along_axis(cells, by_stage, axis=1))
    last = int(stages.max(initial=0))
    begin = np.stack([(of_places < k).sum(axis=1) for k in range(last + 2)]).astype(np.int32)
    tables = faces, block, stage, cells
    none, nothing = np.empty(0, np.int32), np.empty(0)
    known, lagging = sweep_kernels.dependencies(
        *tables, np.empty(0, np.int64), none, none, nothing, nothing, none.reshape(0, 2)
    )
    pointer, outward = np.zeros(count * n + 1, np.int64), np.empty(count * n)
    upstream, through, inward = np.empty(known, np.int32), np.empty(known, np.int32), np.empty(known)
    late = np.empty((lagging, 2), np.int32)
    sweep_kernels.dependencies(*tables, pointer, upstream, through, inward, outward, late)
    return SweepOrder(cells, begin, pointer, upstream, through, inward, outward, late, circles)


def sweep_stages(layout: CellLayout, level: Ints32) -> Ints:
    """Stage of every block in every direction, ``(M, blocks)``: the longest way there. Collective.

    Args:
        level: ``(M,)`` of directions that turn into the next one of the same level, rising; empty if none
            does.
    """
    if layout.chain:
        return np.zeros((layout.projected.shape[1], 1), np.int64)
    comm, block = layout.comm, layout.block
    count = int(comm.allreduce(int(block.max(initial=0)), MPI.MAX)) + 1
    of_faces = np.where(layout.face_cells >= 0, block[layout.face_cells], -1)
    between = np.flatnonzero((of_faces.min(axis=1) >= 0) & (of_faces[:, 0] != of_faces[:, 1]))
    pairs, row = np.unique(of_faces[between], axis=0, return_inverse=True)
    through, area = np.zeros((len(pairs), layout.projected.shape[1])), np.zeros(len(pairs))
    np.add.at(through, row.ravel(), layout.projected[between])
    np.add.at(area, row.ravel(), layout.area[between])
    pairs = np.concatenate(comm.allgather(pairs.reshape(-1, 2)))
    through, area = np.concatenate(comm.allgather(through)), np.concatenate(comm.allgather(area))
    # what ranks know of the same two blocks, whichever they name first
    forward = pairs[:, 0] < pairs[:, 1]
    both, row = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    total: Floats = np.zeros((len(both), through.shape[1]))
    np.add.at(total, row.ravel(), np.where(forward, 1.0, -1.0)[:, None] * through)
    size = np.bincount(row.ravel(), area, len(both))[:, None]
    stages = np.zeros((count, through.shape[1]), np.int64)
    apart = np.int64(LONGEST * count) * level if level.size else 0
    for _ in range(LONGEST * count):
        before = stages.copy()
        for sign, (one, other) in ((1.0, both.T), (-1.0, both.T[::-1])):
            after = np.where(sign * total > ONE_WAY * size, before[one] + 1, 0)
            np.maximum.at(stages, other, after)
        if level.size:
            stages = np.maximum.accumulate(stages + apart, axis=1) - apart
        if np.array_equal(stages, before):
            break
    return stages.T
