"""Ranks that wait for others leave the processor to them; groups of ranks that take turns do not wait."""

from __future__ import annotations

import time

import pytest
from mpi4py import MPI

from fvqp.parallel import WorkQueue, barrier, run_on_root, wait

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
    barrier(WORLD)
    assert time.monotonic() - begin > 0.9 * LATE
    assert time.process_time() - busy < BUSY


def test_ranks_sleep_while_the_root_works() -> None:
    WORLD.Barrier()
    begin, busy = time.monotonic(), time.process_time()
    assert run_on_root(WORLD, lambda: time.sleep(LATE) or "done") == "done"
    assert time.monotonic() - begin > 0.9 * LATE
    assert time.process_time() - busy < BUSY


def test_patience_ends() -> None:
    begin = time.monotonic()
    assert not wait(lambda: False, 0.05)
    assert time.monotonic() - begin < LATE
    assert wait(lambda: True, 0.0)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_turns_go_to_whoever_is_free(groups: int) -> None:
    """Every number comes once, the same to all ranks of a group; a group that is busy takes no more."""
    if WORLD.size < groups:
        pytest.skip("more groups than ranks")
    number = WORLD.rank * groups // WORLD.size
    group = WORLD.Split(number, WORLD.rank)
    queue = WorkQueue(WORLD, group)
    count = 9
    taken = [queue.next()] if number == 0 else []
    WORLD.Barrier()
    if number == 0:
        # Busy with its first until the others find none left.
        wait(WORLD.Ibarrier().Test)
    while (turn := queue.next()) < count:
        taken.append(turn)
    if number != 0:
        WORLD.Ibarrier().Wait()
    queue.free()
    assert group.allgather(taken) == [taken] * group.size
    leaders = WORLD.allgather(taken if group.rank == 0 else [])
    assert sorted(turn for row in leaders for turn in row) == list(range(count))
    assert leaders[0] == ([0] if groups > 1 else list(range(count)))
    group.Free()
