"""Meshes of FiPy divided among ranks, and variables that are whole on all of them."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh.fipy import cell_variable, from_fipy, to_fipy

pytestmark = [pytest.mark.mpi, pytest.mark.ranks(2)]
WORLD = MPI.COMM_WORLD


def test_there_and_back() -> None:
    import fipy  # by the runs that need it: it takes half a second

    grid = fipy.Grid2D(nx=6, ny=5, communicator=fipy.tools.serialComm)
    mesh = from_fipy(grid, regions={"trap": grid.x < 2.0})
    assert mesh.n_global == 30 and WORLD.allreduce(mesh.n_owned) == 30
    assert WORLD.allreduce(int(np.sum(mesh.regions["trap"] < mesh.n_owned))) == 10
    for rows in (mesh.n_owned, mesh.n_cells):
        x = cell_variable(grid, mesh, mesh.centroid[:rows, 0], name="x")
        assert np.array_equal(x.value, np.asarray(grid.x))
    if WORLD.size > 1:
        with pytest.raises(MeshError, match="it is divided among ranks"):
            to_fipy(mesh)


def test_messages_reach_all_ranks() -> None:
    """Also where one rank alone has too few values, or FiPy divided the mesh."""
    import fipy

    grid = fipy.Grid2D(nx=6, ny=5, communicator=fipy.tools.serialComm)
    mesh = from_fipy(grid)
    with pytest.raises(MeshError, match="1 values for"):
        cell_variable(grid, mesh, np.zeros(mesh.n_owned if WORLD.rank else 1))
    with pytest.raises(MeshError, match="'nothing' holds no cells"):
        from_fipy(grid, regions={"nothing": grid.x > 9.0})
    if WORLD.size > 1:
        with pytest.raises(MeshError, match="is divided among ranks by FiPy"):
            from_fipy(fipy.Grid2D(nx=6, ny=5))
