"""Limits of the law of annihilation on a mesh that ranks share."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.mesh import shape_mesh
from fvqp.models.localized import AnnihilationLaw, TailAnnihilation
from fvqp.models.localized.validity import steepest

pytestmark = pytest.mark.mpi
LAW = AnnihilationLaw(TailAnnihilation(1.0, 1.0))


@pytest.mark.ranks(2)
def test_steepest_place_is_the_same_on_every_rank() -> None:
    """A concentration whose step lies between two ranks."""
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        mesh = shape_mesh("grid1d", nx=20, dx=2.0, comm=comm)
        found.append(steepest(mesh, LAW, LAW.stationary(np.where(mesh.centroid[:, 0] < 20.0, 1e-6, 1e-8))))
    assert found[0] == pytest.approx(found[1], rel=1e-9)
