"""Runs of localized quasiparticles shared among ranks: the same result on any number of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.mesh import shape_mesh
from fvqp.models.localized import (
    AnnihilationLaw,
    PairClosure,
    Simulation,
    TailAnnihilation,
    box,
    mesh_domain,
    run_ensemble,
)
from fvqp.models.localized.validity import steepest

pytestmark = pytest.mark.mpi
WORLD = MPI.COMM_WORLD
LAW = TailAnnihilation(1.0, 1.0)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.mark.ranks(2)
def test_runs_do_not_depend_on_ranks() -> None:
    domain = box((30.0,) * 3)

    def make(seed: np.random.SeedSequence) -> Simulation:
        return Simulation(domain, LAW, generation=1e-3, seed=seed)

    def switch_off(simulation: Simulation) -> None:
        simulation.advance([200.0])
        simulation.set_generation(0.0)

    times = [50.0, 500.0]
    shared = run_ensemble(make, times, runs=5, seed=3, program=switch_off)
    alone = run_ensemble(make, times, runs=5, seed=3, program=switch_off, comm=MPI.COMM_SELF)
    for one, other in zip(shared.trajectories, alone.trajectories, strict=True):
        assert np.array_equal(one.number, other.number) and np.array_equal(one.mean, other.mean)
    assert [key for _, key in shared.seeds] == [(k,) for k in range(5)]
    mean, error = shared.average("number")
    assert np.all(np.diff(mean) < 0.0) and np.all(error > 0.0)
    assert len({tuple(one.number) for one in shared.trajectories}) == 5


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


def test_a_failure_reaches_every_rank() -> None:
    def make(seed: np.random.SeedSequence) -> Simulation:
        generation = -1.0 if seed.spawn_key == (1,) else 1e-3
        return Simulation(box((30.0,) * 3), LAW, generation=generation, seed=seed)

    with pytest.raises(CaseError, match="must not be negative"):
        run_ensemble(make, [10.0], runs=4, seed=1)


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
