"""Memory of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from fvqp.memory import give_back
from fvqp.petsc import PETSc  # starts MPI, whose libraries tell the allocator to keep what it has


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back")
def test_freed_memory_goes_back() -> None:
    def resident() -> int:
        return os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])

    assert PETSc.Sys.isInitialized()
    arrays = [np.ones(1 << 17) for _ in range(80)]
    full = resident()
    del arrays[::2]  # between others
    give_back()
    assert full - resident() > 0.9 * 40 * arrays[0].nbytes
