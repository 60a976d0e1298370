"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

import fvqp.kernel_cache  # noqa: F401
from fvqp.threads import ranks_from_environment

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Under MPI only the first rank reports at length; the others speak up when something fails."""
    if ranks_from_environment() > 1:
        from mpi4py import MPI

        if MPI.COMM_WORLD.rank > 0:
            config.option.verbose = -2
            config.option.durations = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests slow that belong to other numbers of ranks; keep together what shares compiled loops."""
    ranks = ranks_from_environment()
    for item in items:
        if any(ranks not in sizes.args for sizes in item.iter_markers("ranks")):
            item.add_marker(pytest.mark.slow)
        path = item.path.relative_to(HERE)
        folder = path.parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder == "collisions" else path.stem))
