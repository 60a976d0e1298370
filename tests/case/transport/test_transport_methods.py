"""Cases of the transport model by methods of PETSc: resuming, memory."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))

import numpy as np
import pytest
from mpi4py import MPI
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.case import case_from_dict
from fvqp.case.transport.build import build_setup
from fvqp.case.transport.recording import TransportRecorder
from fvqp.errors import FvqpError


@pytest.mark.slow
@pytest.mark.parametrize(("base", "method"), [(FILM, "bdf"), (SPHERE, "imex")])
def test_a_run_stopped_and_resumed_is_the_one_that_was_not(base, method, tmp_path, monkeypatch):
    case = copy.deepcopy(base)
    case["evolution"] = case["evolution"] | {"end": "1 ns", "start": "10 ps", "method": method}
    whole = fvqp.run(case, out=tmp_path / "whole").dataset
    record = TransportRecorder.record

    def interrupted(self, number, moment):
        record(self, number, moment)
        if number == 1:
            raise FvqpError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(TransportRecorder, "record", interrupted)
        with pytest.raises(FvqpError, match="stopped"):
            fvqp.run(case, out=tmp_path / "part")
    resumed = fvqp.run(case, out=tmp_path / "part", resume=True).dataset
    for name in whole.data_vars:
        assert np.array_equal(resumed[name].values, whole[name].values), name


def test_memory_counts_what_petsc_keeps():
    case = copy.deepcopy(FILM)
    alone = build_setup(case_from_dict(case), MPI.COMM_WORLD).size
    case["evolution"]["method"] = "bdf"
    size = build_setup(case_from_dict(case), MPI.COMM_WORLD).size
    assert size.least - alone.least == 12 * 8 * 28 * size.per_cell
