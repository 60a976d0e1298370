"""Ranks that wait for others leave the processor to them."""

from __future__ import annotations

import time

import pytest
from mpi4py import MPI

from fvqp.results.together import meet, on_root, wait

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(MPI.COMM_WORLD.size < 2, reason="nobody to wait for"),
    pytest.mark.ranks(2),
]
WORLD = MPI.COMM_WORLD

#: Seconds that rank 0 is late, and the processor time that waiting for it may take.
LATE, BUSY = 0.5, 0.1


@pytest.mark.slow
def test_early_ranks_sleep() -> None:
    WORLD.Barrier()
    begin, busy = time.monotonic(), time.process_time()
    if WORLD.rank == 0:
        time.sleep(LATE)
    meet(WORLD)
    assert time.monotonic() - begin > 0.9 * LATE
    assert time.process_time() - busy < BUSY


def test_ranks_sleep_while_the_root_works() -> None:
    WORLD.Barrier()
    begin, busy = time.monotonic(), time.process_time()
    assert on_root(WORLD, lambda: time.sleep(LATE) or "done") == "done"
    assert time.monotonic() - begin > 0.9 * LATE
    assert time.process_time() - busy < BUSY


def test_patience_ends() -> None:
    begin = time.monotonic()
    assert not wait(lambda: False, 0.05)
    assert time.monotonic() - begin < LATE
    assert wait(lambda: True, 0.0)
