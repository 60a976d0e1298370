"""What figures are drawn from is the same on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from networks import TEE

from fvqp.case.recorder import Recorder
from fvqp.mesh import Mesh, build_mesh

pytestmark = pytest.mark.mpi
WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF


def mixed(comm: MPI.Intracomm) -> Mesh:
    """Squares in a row, and two triangles at its end."""
    x, y = np.meshgrid(np.arange(9.0), [0.0, 1.0])
    points = np.vstack([np.column_stack([x.ravel(), y.ravel()]), [[9.0, 0.5]]])
    left = np.arange(7)
    quads = np.column_stack([left, left + 1, left + 10, left + 9])
    triangles = np.array([[7, 8, 16], [8, 17, 16], [8, 18, 17]])
    return build_mesh(points, [("quad", quads), ("triangle", triangles)], comm=comm)


@pytest.mark.parametrize("kind", ["lines", "polygons"])
def test_places_of_cells(kind: str) -> None:
    parts = [TEE.mesh(6.0, comm) if kind == "lines" else mixed(comm) for comm in (WORLD, SELF)]
    found, alone = (Recorder(mesh, mesh.comm, 1, None).cells() for mesh in parts)
    if WORLD.rank != 0:
        assert not found
        return
    assert list(found) == list(alone)
    for name, (dims, values) in alone.items():
        assert found[name][0] == dims
        if kind == "polygons" or not name.endswith("_corners"):
            np.testing.assert_array_equal(found[name][1], values)
        else:
            # Which arm of a node comes first is up to the rank; where the cell is, is not.
            np.testing.assert_array_equal(np.sort(found[name][1]), np.sort(values))
