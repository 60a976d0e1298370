"""Timings: what they share, and the table that `make benchmark` ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from numba import get_num_threads, set_num_threads

os.environ.setdefault("FIPY_SOLVERS", "scipy")
for folder in ("helpers", "mpi", "verification"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

_ROWS: list[tuple[str, str]] = []


@pytest.fixture
def report() -> Callable[[str, str], None]:
    """``report(what, measured)`` adds a row to the table at the end."""
    return lambda what, measured: _ROWS.append((what, measured))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(threads)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _ROWS:
        return
    terminalreporter.section(f"measured (load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
    width = max(len(what) for what, _ in _ROWS)
    for what, measured in _ROWS:
        terminalreporter.write_line(f"{what:<{width}}  {measured}")
