"""Threads of BLAS and numba: one a rank under MPI, unless the user says otherwise."""

from __future__ import annotations

import os

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Environment variables that numeric libraries read, once, when they are first loaded."""

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
