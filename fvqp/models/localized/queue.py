"""Times at which pairs would vanish, in order: a binary heap of the near ones, a bag of the later ones.

Only times before the horizon are kept in order. When the heap is empty the bag is searched: entries of
particles that are gone are dropped and the earliest part becomes the new heap. So entries far in the future,
most of which never matter, cost no sorting, and the heap stays small enough for the cache.

An entry belongs to the younger particle of the pair. It counts as long as that one has the serial number
noted and the other is older; a particle that vanishes or flips its spin invalidates all its entries at once.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ENTRY = np.dtype([("time", "f8"), ("serial", "i8"), ("young", "i4"), ("old", "i4")])
N_HEAP, N_LATER = 0, 1
# A search of the bag moves this part of it, and no fewer than this, into the heap.
_SHARE, _FEW = 4, 512


class Queue(NamedTuple):
    """``heap`` and ``later``: entries; ``size``: how many of each count; ``horizon``: ``(1,)``."""

    heap: NDArray[np.void]
    later: NDArray[np.void]
    size: NDArray[np.int64]
    horizon: NDArray[np.float64]


def empty_queue(capacity: int) -> Queue:
    return Queue(
        np.zeros(capacity, ENTRY), np.zeros(capacity, ENTRY), np.zeros(2, np.int64), np.full(1, -np.inf)
    )


@njit(cache=True, nogil=True, _nrt=False)
def _set(entries, at, time, serial, young, old):
    entry = entries[at]
    entry.time = time
    entry.serial = serial
    entry.young = young
    entry.old = old


@njit(cache=True, nogil=True, _nrt=False)
def _copy(entries, to, source, at):
    entry = source[at]
    _set(entries, to, entry.time, entry.serial, entry.young, entry.old)


@njit(cache=True, nogil=True, _nrt=False)
def _push_heap(queue, time, serial, young, old):
    heap = queue.heap
    at = queue.size[N_HEAP]
    queue.size[N_HEAP] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent].time <= time:
            break
        _copy(heap, at, heap, parent)
        at = parent
    _set(heap, at, time, serial, young, old)


@njit(cache=True, nogil=True, _nrt=False)
def push(queue, time, serial, young, old):
    """Adds a pair; the caller has made sure that there is room."""
    if time < queue.horizon[0]:
        _push_heap(queue, time, serial, young, old)
    else:
        at = queue.size[N_LATER]
        _set(queue.later, at, time, serial, young, old)
        queue.size[N_LATER] = at + 1


@njit(cache=True, nogil=True, _nrt=False)
def pop(queue):
    """Drops the first entry of the heap."""
    heap = queue.heap
    n = queue.size[N_HEAP] - 1
    queue.size[N_HEAP] = n
    if n == 0:
        return
    time = heap[n].time
    at = 0
    child = 1
    while child < n:
        if child + 1 < n and heap[child + 1].time < heap[child].time:
            child += 1
        if heap[child].time >= time:
            break
        _copy(heap, at, heap, child)
        at = child
        child = 2 * at + 1
    _copy(heap, at, heap, n)


@njit(cache=True, nogil=True, _nrt=False)
def valid(entry, serial):
    """Whether both particles of an entry are still there, as they were; ``serial[slot]``, −1 if empty."""
    return serial[entry.young] == entry.serial and 0 <= serial[entry.old] < entry.serial


@njit(cache=True, nogil=True)
def drop_invalid(queue, serial):
    """Forgets the entries in the bag of particles that are gone."""
    later = queue.later
    kept = 0
    for at in range(queue.size[N_LATER]):
        if valid(later[at], serial):
            if kept != at:
                _copy(later, kept, later, at)
            kept += 1
    queue.size[N_LATER] = kept


@njit(cache=True, nogil=True)
def refill(queue, serial):
    """Moves the earliest part of the bag into the (empty) heap."""
    drop_invalid(queue, serial)
    later = queue.later
    n = queue.size[N_LATER]
    share = max(n // _SHARE, _FEW)
    if n <= share:
        horizon = np.inf
    else:
        times = np.empty(n)
        for at in range(n):
            times[at] = later[at].time
        horizon = np.partition(times, share)[share]
    queue.horizon[0] = horizon
    kept = 0
    for at in range(n):
        entry = later[at]
        if entry.time < horizon:
            _push_heap(queue, entry.time, entry.serial, entry.young, entry.old)
        else:
            _copy(later, kept, later, at)
            kept += 1
    queue.size[N_LATER] = kept


@njit(cache=True, nogil=True)
def clean(queue, serial):
    """Drops every invalid entry of heap and bag; all that is left is in the bag."""
    for at in range(queue.size[N_HEAP]):
        _copy(queue.later, queue.size[N_LATER], queue.heap, at)
        queue.size[N_LATER] += 1
    queue.size[N_HEAP] = 0
    queue.horizon[0] = -np.inf
    drop_invalid(queue, serial)


@njit(cache=True, nogil=True, _nrt=False)
def first_time(queue, serial):
    """Time of the next pair to vanish, which is then the first of the heap: infinite if there is none,
    negative if the heap has to be refilled first."""
    while queue.size[N_HEAP] > 0:
        if valid(queue.heap[0], serial):
            return queue.heap[0].time
        pop(queue)
    return np.inf if queue.size[N_LATER] == 0 else -1.0
