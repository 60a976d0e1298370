"""Memory of the machine that a rank runs on."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mpi4py import MPI

#: Limit and use of a container in bytes, by the two versions of Linux control groups.
GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available(comm: MPI.Comm, first: float = 0.0) -> float:
    """Bytes that each rank of ``comm`` can still take, the least of all ranks. Collective.

    Ranks on one machine share what it has left. On systems other than Linux all of its memory counts as left.

    Args:
        comm: as named.
        first: bytes that its rank 0 takes beside.
    """
    machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
    taken = machine.allreduce(first if comm.rank == 0 else 0.0)
    share = max(_of_machine() - taken, 0.0) / machine.size
    machine.Free()
    return float(comm.allreduce(share, MPI.MIN))


def give_back() -> None:
    """Gives freed memory back to the system; milliseconds.

    MPI libraries that register memory with a network, Open MPI's among them, tell the C library's allocator
    to keep all that was ever freed, for arrays that fit. Call where large arrays are about to be made that
    do not fit where others were. Only glibc can do this, and has to be asked.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Within the block the process cannot take more than ``size`` bytes beside those that it has.

    What asks for more gets a `MemoryError`, or the error of its library. Only Linux tells how much a process
    has; elsewhere there is no limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + size
    limits = [one for one in (limit, soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _of_machine() -> float:
    free = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024.0 * next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    for limit, used in GROUPS:
        try:
            free = min(free, float(Path(limit).read_text()) - float(Path(used).read_text()))
        except (OSError, ValueError):  # no such group, or one without a limit
            continue
    return max(free, 0.0)
