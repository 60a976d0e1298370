"""What all tests share."""

from __future__ import annotations

import pytest

from fvqp.threads import ranks_from_environment


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Under MPI only the first rank reports at length; the others speak up when something fails."""
    if ranks_from_environment() > 1:
        from mpi4py import MPI

        if MPI.COMM_WORLD.rank > 0:
            config.option.verbose = -2
            config.option.durations = None
