"""Default thread counts: one a rank under MPI, never against the user's word."""

from __future__ import annotations

import os

import pytest

from fvqp.threads import THREAD_VARIABLES, ranks_from_environment, set_default_threads


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
