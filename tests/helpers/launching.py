"""The command under ``mpiexec``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Seconds after which a process that a test has started hangs; a busy machine must stay far below.
HANGS = 1200.0


def launched(
    ranks: int, case: Path, out: Path, *options: str, program: tuple[str, str] = ("-m", "fvqp.cli")
) -> subprocess.CompletedProcess[str]:
    """``fvqp run`` under ``mpiexec``."""
    command = [*program, "run", str(case), "--out", str(out), "--quiet", *options]
    return on_ranks(ranks, *command)


def on_ranks(ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python under ``mpiexec``, also from a process that MPI has started."""
    started_by_mpi = ("OMPI_COMM", "OMPI_UNIVERSE", "OMPI_ARGV", "OMPI_MCA_ess", "OMPI_MCA_orte", "PMI")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(started_by_mpi)}
    environment |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }
    command = ["mpiexec", "-n", str(ranks), sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=environment)
