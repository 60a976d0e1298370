"""Default thread counts: one a rank under MPI, never against the user's word; work that threads share."""

from __future__ import annotations

import os
import threading

import pytest

import fvqp.threads
from fvqp.threads import THREAD_VARIABLES, ranks_from_environment, set_default_threads, share


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher and no thread counts; what a test sets is taken back after it."""
    monkeypatch.setattr(os, "environ", {})


def threads() -> dict[str, str]:
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def test_one_rank_is_left_alone() -> None:
    assert ranks_from_environment() == 1
    set_default_threads()
    assert threads() == {}


@pytest.mark.parametrize(
    "variable", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"]
)
def test_several_ranks_get_one_thread_each(variable: str) -> None:
    os.environ[variable] = "2"
    assert ranks_from_environment() == 2
    set_default_threads()
    assert threads() == dict.fromkeys(THREAD_VARIABLES, "1")


def test_the_users_numbers_stay() -> None:
    os.environ.update(PMI_SIZE="4", NUMBA_NUM_THREADS="3", OMP_NUM_THREADS="2,1")
    set_default_threads()
    assert threads() == {
        "OMP_NUM_THREADS": "2,1",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "BLIS_NUM_THREADS": "2",
        "NUMBA_NUM_THREADS": "3",
    }


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fvqp.threads, "_numba_threads", lambda: 3)


@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("least", [0, 1, 4])
@pytest.mark.parametrize("block", [None, 1, 5])
def test_shares_make_up_the_work(three_threads: None, tasks: int, least: int, block: int | None) -> None:
    done = []
    share(lambda start, stop, into: into.append((start, stop)), tasks, done, least=least, block=block)
    assert sorted(task for ends in done for task in range(*ends)) == list(range(tasks))
    if block:
        assert sorted(done) == [(first, min(first + block, tasks)) for first in range(0, tasks, block)]
    else:
        assert len(done) == min(3, tasks // max(1, least), tasks) or (tasks <= least and len(done) <= 1)


def test_the_first_share_is_the_callers(three_threads: None) -> None:
    names = {}
    share(lambda start, stop: names.update({start: threading.current_thread().name}), 3)
    assert names[0] == threading.main_thread().name
    assert names[1].startswith("fvqp") and names[2].startswith("fvqp")


@pytest.mark.parametrize("failing", [0, 2])
def test_a_failure_in_any_share_is_raised(three_threads: None, failing: int) -> None:
    def work(start: int, stop: int) -> None:
        done.append(start)
        if start == failing:
            raise ArithmeticError(f"share {start}")

    done: list[int] = []
    with pytest.raises(ArithmeticError, match=f"share {failing}"):
        share(work, 3)
    assert sorted(done) == [0, 1, 2]  # nobody is still at work


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_of_its_own(three_threads: None) -> None:
    share(lambda start, stop: None, 3)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        share(lambda start, stop: done.append(start), 3)
        os._exit(0 if sorted(done) == [0, 1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_shares_of_shares_end(three_threads: None) -> None:
    """What a thread does for another one is not shared again."""
    done: list[int] = []

    def work(start: int, stop: int) -> None:
        for _ in range(start, stop):
            share(lambda first, last: done.extend(range(first, last)), 6)

    share(work, 9)
    assert sorted(done) == sorted(9 * list(range(6)))
