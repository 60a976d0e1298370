"""Cases to begin with, written by one of several ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from mpi4py import MPI

from fvqp import cli

pytestmark = [pytest.mark.mpi, pytest.mark.ranks(2)]


def test_one_rank_writes(tmp_path: Path) -> None:
    folder = Path(MPI.COMM_WORLD.bcast(str(tmp_path)))
    assert cli.main(["new", "trap", "--to", str(folder), "-q"]) == 0
    assert {file.suffix for file in folder.iterdir()} == {".toml", ".msh", ".gds"}
    assert cli.main(["new", "trap", "--to", str(folder), "-q"]) == 2
