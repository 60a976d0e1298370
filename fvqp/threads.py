"""Threads of BLAS and numba: one a rank under MPI, unless the user says otherwise; work shared by them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from threading import current_thread
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Environment variables that numeric libraries read, once, when they are first loaded."""

_NAME = "fvqp"
"""Name of the threads that `share` makes."""

_RANK_COUNTS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")


def ranks_from_environment() -> int:
    """Number of MPI ranks that the launcher (Open MPI, MPICH, Intel MPI, srun) announces; 1 without one.

    Asks the environment, because MPI itself can only be asked after it has been initialized, which is too
    late for libraries that fix their number of threads while they load.
    """
    counts = (os.environ.get(name, "") for name in _RANK_COUNTS)
    return max((int(count) for count in counts if count.isdigit()), default=1)


def set_default_threads() -> None:
    """Give each rank one thread when there are several ranks; call before numpy is imported.

    Variables that are set already keep their values, and a set ``OMP_NUM_THREADS`` is the default of the
    others, so that ``OMP_NUM_THREADS=4 mpiexec -n 2 ...`` means four threads a rank everywhere.
    """
    if ranks_from_environment() > 1:
        # OpenMP allows a list, one number for each level of nesting; the others read a single number.
        default = os.environ.get("OMP_NUM_THREADS", "1").split(",")[0]
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, default)


def share(
    work: Callable[..., object], tasks: int, *arguments: Any, least: int = 1, block: int | None = None
) -> None:
    """Call ``work(start, stop, *arguments)`` on ranges that make up ``range(tasks)``, on numba's threads.

    For compiled loops that leave the GIL: as loops over a range they compile in a third of the time that
    numba's own parallel loops take. The calling thread takes the first share itself.

    Args:
        work: called from several threads at the same time; ranges must not depend on one another.
        tasks: number of tasks, all of about the same length.
        least: tasks that are worth a thread; to wake one takes some 50 microseconds.
        block: tasks of one call, the same on any number of threads; all that a thread has if not given.
    """
    size = block or 1
    blocks = -(-tasks // size)
    worth = min(blocks, tasks // max(1, least))
    # what a thread does for another one is not shared again: nobody would be left to do it
    threads = min(_numba_threads(), worth) if worth > 1 and not current_thread().name.startswith(_NAME) else 1
    if threads == 1 and block is None:
        work(0, tasks, *arguments)
        return
    ends = [min(blocks * thread // threads * size, tasks) for thread in range(threads + 1)]

    def run(start: int, stop: int) -> None:
        for first in range(start, stop, block or max(1, stop - start)):
            work(first, min(first + block, stop) if block else stop, *arguments)

    others = [_pool().submit(run, *part) for part in pairwise(ends[1:])]
    try:
        run(*ends[:2])
    finally:
        wait(others)
    for other in others:
        other.result()


def _numba_threads() -> int:
    from numba import get_num_threads

    return int(get_num_threads())


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads beside the one that asks; made once, since starting them takes longer than many a loop."""
    from numba import config

    return ThreadPoolExecutor(max(1, config.NUMBA_NUM_THREADS - 1), _NAME)


# A forked process has none of its parent's threads.
os.register_at_fork(after_in_child=_pool.cache_clear)
