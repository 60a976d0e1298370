"""Runs of localized quasiparticles shared among ranks: the same result on any number of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.mesh import shape_mesh
from fvqp.models.localized import (
    AnnihilationLaw,
    PairClosure,
    Simulation,
    TailAnnihilation,
    mesh_domain,
)
from fvqp.models.localized.validity import steepest

pytestmark = pytest.mark.mpi
WORLD = MPI.COMM_WORLD
LAW = TailAnnihilation(1.0, 1.0)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.mark.ranks(2)
def test_domain_of_a_mesh_is_the_same_on_every_rank() -> None:
    meshes = [shape_mesh("grid2d", nx=12, dx=3.0, ny=6, dy=2.0, comm=comm) for comm in (WORLD, MPI.COMM_SELF)]
    domains = [mesh_domain(mesh, thickness=5.0) for mesh in meshes]
    for one in ("corners", "simplex_cell", "simplex_measure", "cell_volume", "lengths"):
        a, b = (getattr(domain, one) for domain in domains)
        assert np.array_equal(a, b), one
    fields = [
        domain.gathered(1e-3 * (1.0 + mesh.centroid[:, 0]))
        for domain, mesh in zip(domains, meshes, strict=True)
    ]
    assert np.array_equal(*fields)
    counts = [
        Simulation(domain, LAW, generation=field, seed=4).advance([100.0, 300.0], cells=True)
        for domain, field in zip(domains, fields, strict=True)
    ]
    assert digest(counts[0].cells, counts[0].number) == digest(counts[1].cells, counts[1].number)
    local = domains[0].scattered(counts[0].cells[-1])
    assert local.shape == (meshes[0].n_cells,)


@pytest.mark.ranks(2)
def test_pairs_of_places_are_the_same_on_every_rank() -> None:
    """Closure with pairs, and the steepest place of a concentration whose step lies between two ranks."""
    found = []
    for comm in (WORLD, MPI.COMM_SELF):
        mesh = shape_mesh("grid1d", nx=20, dx=2.0, comm=comm)
        domain = mesh_domain(mesh, cross_section=(30.0, 30.0))
        x = mesh.centroid[:, 0]
        generation = domain.gathered(np.where(x < 20.0, 1e-6, 1e-8))
        c = PairClosure(LAW, domain).stationary(generation)
        found.append((c, steepest(mesh, AnnihilationLaw(LAW), domain.scattered(c))))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-9)
