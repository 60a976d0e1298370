"""What junctions would do to the states is the same on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from usadel_cases import LINE

from fvqp.case.reading import case_from_dict
from fvqp.case.usadel.build import build_mesh, build_problems
from fvqp.models.usadel.tunnelling import level_broadening

pytestmark = pytest.mark.mpi


@pytest.mark.ranks(2)
def test_broadening_under_junctions() -> None:
    """Of a point and of a region, which reach beyond what one rank owns."""
    shape = LINE["mesh"]["shape"] | {"nx": 60, "Lx": "0.6 um"}
    shape["regions"] = {"east": ["0.2 um", "0.4 um"]}
    shape["boundaries"] = {"point_A": "0.3 um"}
    case = case_from_dict(
        LINE
        | {"mesh": {"shape": shape}}
        | {
            "junctions": [
                LINE["junctions"][0],
                LINE["junctions"][1] | {"on": "east"},
            ]
        }
    )
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        (problem,) = build_problems(case, build_mesh(case, comm))
        found.append(level_broadening(problem.device, problem.kinetics.transport))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert (found[1] > 0.0).all()
