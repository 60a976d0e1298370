"""What all tests share."""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import fvqp.kernel_cache  # noqa: F401
from fvqp.threads import ranks_from_environment

# Any file of tests can be run by itself.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))

#: Tests whose paths contain one of the words compile the same loops.
AREAS = {
    "localized": ("localized", "bespalov", "stages", "stochastic", "clusters", "meyer", "markov"),
    "collisions": (
        "collisions/",
        "test_boltzmann_",
        "homogeneous",
        "at_power",
        "solvers/test_steady",
        "solvers/test_transient",
        "solvers/test_relaxation",
        "lifetimes",
        "kaplan",
        "rothwarf",
        "fischer",
        "goldie",
        "hot_pulse",
        "pair_breaking",
        "cascade",
        "boltzmann_ranks",
    ),
    "streaming": ("streaming", "directions"),
    "wires": (
        "case/usadel",
        "models/test_",
        "transport/",
        "test_run",
        "ryan",
        "fipy",
        "orders",
        "case/test_bad_files",
        "batched_lu",
        "linear",
        "test_cli",
    ),
}


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Under MPI only the first rank reports at length; the others speak up when something fails."""
    gc.disable()  # until all modules are there, see below
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs so, and programs that tests start would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if ranks_from_environment() > 1:
        from mpi4py import MPI

        if MPI.COMM_WORLD.rank > 0:
            config.option.verbose = -2
            config.option.durations = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests slow that belong to other numbers of ranks."""
    ranks = ranks_from_environment()
    for item in items:
        if any(ranks not in sizes.args for sizes in item.iter_markers("ranks")):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Modules and tests stay: looking for garbage among them, time and again, costs a tenth of the time.

    Compiling loops makes so many objects that rarer searches save half of what is left of it.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs the tests of an area, where pytest-xdist spreads them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByArea(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return next((area for area, words in AREAS.items() if any(word in path for word in words)), path)

    return ByArea(config, log)


@pytest.fixture(autouse=True)
def _untimed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of cases do not time pieces of the run, but for tests of run times."""
    if request.path.name != "test_run_time.py":
        monkeypatch.setattr("fvqp.case.study.estimated_run_time", lambda works, comm: "not asked for")
