"""Times at which pairs would vanish in an epoch, in order: buckets of equal length, a heap for the present.

An entry goes into the bucket of its time; when the heap is empty the next bucket becomes the heap. So the
heap stays small enough for the fastest cache, however many entries there are, and most entries are written
once and read once. Buckets are chains of blocks.

An entry counts as long as both particles are in their cells with the serial numbers noted; a particle that
vanishes or flips its spin invalidates all its entries at once, and they are dropped when they are met.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.models.localized.compiled import inner, loop
from fvqp.models.localized.gas import Grid, find, zeros
from fvqp.typing import Floats, Ints, Ints32

ENTRY = np.dtype([("time", "f8"), ("young", "f8"), ("old", "f8"), ("here", "i4"), ("there", "i4")])
"""A pair: when it vanishes, serial numbers of its particles, and their cells."""

# Rows of `Queue.size`: entries in the heap and in all blocks, first free block, blocks free, and how many
# buckets have become the heap.
N_HEAP, N_STORED, FREE, N_FREE, TAKEN = 0, 1, 2, 3, 4
BLOCK = 16
# Particles for each bucket, least room of the heap.
_PER_BUCKET, _HEAP = 64, 2048
NO_ROOM = -1.0


class Queue(NamedTuple):
    """Entries of pairs.

    Attributes:
        heap: entries, the earliest first.
        blocks: ``(blocks, 16)`` entries; ``follows (blocks,)`` int32: the next of the chain, −1 at its end.
        first, number: ``(buckets,)`` int32: first block of a bucket's chain, −1 for none, and the entries in
            the chain, of which all blocks but the first are full.
        size: see the names of its rows.
        scale: ``(2,)`` start of the first bucket, and buckets per time.
    """

    heap: NDArray[np.void]
    blocks: NDArray[np.void]
    follows: Ints32
    first: Ints32
    number: Ints32
    size: Ints
    scale: Floats


def empty_queue(
    entries: int, particles: int, room: int, start: float, length: float, heap: int = _HEAP
) -> Queue:
    """A queue for an epoch.

    Parameters
    ----------
    entries, particles : room for about so many entries of so many particles.
    room : entries that a single event can add.
    start, length : of the epoch; all times lie in it.
    heap : room of the heap beside ``room``.
    """
    buckets = max(particles // _PER_BUCKET, 16)
    n = entries // BLOCK + buckets + room + 1
    follows = np.arange(1, n + 1, dtype=np.int32)
    follows[-1] = -1
    return Queue(
        heap=np.zeros(heap + room, ENTRY),
        blocks=zeros(n * BLOCK * ENTRY.itemsize, np.uint8).view(ENTRY).reshape(n, BLOCK),
        follows=follows,
        first=np.full(buckets, -1, np.int32),
        number=np.zeros(buckets, np.int32),
        size=np.array([0, 0, 0, n, 0]),
        scale=np.array([start, buckets / length]),
    )


@inner
def _set(entry, time, young, old, here, there):
    entry.time = time
    entry.young = young
    entry.old = old
    entry.here = here
    entry.there = there


@inner
def _copy(entry, source):
    _set(entry, source.time, source.young, source.old, source.here, source.there)


@inner
def push(queue, time, young, old, here, there):
    """Adds a pair; the caller has made sure that there is room."""
    size = queue.size
    # The rounding is the same for all, so that buckets are in order to the last digit.
    bucket = min(int((time - queue.scale[0]) * queue.scale[1]), len(queue.first) - 1)
    if bucket < size[TAKEN]:
        heap = queue.heap
        at = size[N_HEAP]
        size[N_HEAP] = at + 1
        while at > 0:
            parent = (at - 1) >> 1
            if heap[parent].time <= time:
                break
            _copy(heap[at], heap[parent])
            at = parent
        _set(heap[at], time, young, old, here, there)
        return
    n = np.int64(queue.number[bucket])
    if n % BLOCK == 0:
        block = size[FREE]
        size[FREE] = queue.follows[block]
        size[N_FREE] -= 1
        queue.follows[block] = queue.first[bucket]
        queue.first[bucket] = block
    _set(queue.blocks[queue.first[bucket], n % BLOCK], time, young, old, here, there)
    queue.number[bucket] = n + 1
    size[N_STORED] += 1


@inner
def _pop(queue):
    """Drops the first entry of the heap."""
    heap = queue.heap
    n = queue.size[N_HEAP] - 1
    queue.size[N_HEAP] = n
    time = heap[n].time
    at = 0
    child = 1
    while child < n:
        if child + 1 < n and heap[child + 1].time < heap[child].time:
            child += 1
        if heap[child].time >= time:
            break
        _copy(heap[at], heap[child])
        at = child
        child = 2 * at + 1
    _copy(heap[at], heap[n])


@inner
def _valid(entry, grid):
    return (
        find(grid, np.int64(entry.here), entry.young) >= 0
        and find(grid, np.int64(entry.there), entry.old) >= 0
    )


@inner
def _in_first(queue, bucket):
    """Entries in the first block of a chain."""
    return (np.int64(queue.number[bucket]) - 1) % BLOCK + 1


@inner
def _take(queue, grid):
    """The next bucket becomes the heap, without what is no longer valid."""
    size = queue.size
    bucket = size[TAKEN]
    size[TAKEN] = bucket + 1
    block, n = np.int64(queue.first[bucket]), _in_first(queue, bucket)
    size[N_STORED] -= queue.number[bucket]
    while block >= 0:
        for at in range(n):
            entry = queue.blocks[block, at]
            if _valid(entry, grid):
                push(queue, entry.time, entry.young, entry.old, np.int64(entry.here), np.int64(entry.there))
        n = BLOCK
        following = np.int64(queue.follows[block])
        queue.follows[block] = size[FREE]
        size[FREE] = block
        size[N_FREE] += 1
        block = following
    queue.first[bucket] = -1
    queue.number[bucket] = 0


@inner
def first_time(queue, grid):
    """Time of the next pair to vanish, which is then the first of the heap: infinite if there is none,
    `NO_ROOM` if the queue needs more room first."""
    size = queue.size
    while True:
        while size[N_HEAP] > 0:
            if _valid(queue.heap[0], grid):
                return queue.heap[0].time
            _pop(queue)
        if size[N_STORED] == 0:
            return np.inf
        if queue.number[size[TAKEN]] > len(queue.heap):
            return NO_ROOM
        _take(queue, grid)


def entries_with_room(queue: Queue, room: int) -> int:
    """Return the number of entries that `empty_queue` made room for, with the same ``room``."""
    return (len(queue.blocks) - len(queue.first) - room - 1) * BLOCK


@loop
def _collect(queue, grid, out):
    """Copies all valid entries to ``out``, which must have room for every entry; how many there are."""
    kept = 0
    for at in range(queue.size[N_HEAP]):
        if _valid(queue.heap[at], grid):
            _copy(out[kept], queue.heap[at])
            kept += 1
    for bucket in range(len(queue.first)):
        block, n = np.int64(queue.first[bucket]), _in_first(queue, bucket)
        while block >= 0:
            for at in range(n):
                if _valid(queue.blocks[block, at], grid):
                    _copy(out[kept], queue.blocks[block, at])
                    kept += 1
            n = BLOCK
            block = np.int64(queue.follows[block])
    return kept


@loop
def _push_all(queue, entries):
    for at in range(len(entries)):
        entry = entries[at]
        push(queue, entry.time, entry.young, entry.old, np.int64(entry.here), np.int64(entry.there))


def entries_of(queue: Queue, grid: Grid) -> NDArray[np.void]:
    """All valid entries, in no order."""
    out = np.zeros(int(queue.size[N_HEAP] + queue.size[N_STORED]), ENTRY)
    return out[: _collect(queue, grid, out)]


def with_entries(queue: Queue, entries: NDArray[np.void], taken: int) -> Queue:
    """``entries`` in an empty ``queue`` of which so many buckets have been taken."""
    queue.size[TAKEN] = taken
    _push_all(queue, entries)
    return queue


def with_room(queue: Queue, grid: Grid, particles: int, room: int) -> Queue:
    """The same entries in a queue with more room."""
    found, buckets = entries_of(queue, grid), len(queue.first)
    heap = 2 * int(queue.size[N_HEAP] + queue.number.max()) + room
    start, per_time = map(float, queue.scale)
    new = empty_queue(2 * len(found), particles, room, start, buckets / per_time, max(heap, len(queue.heap)))
    new.scale[1] = per_time
    return with_entries(new, found, int(queue.size[TAKEN]))
