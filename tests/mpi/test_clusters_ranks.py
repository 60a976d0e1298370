"""Clusters and Markov chains give the same answer on any number of ranks, which is that of one rank alone."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.models.clusters import (
    Cluster,
    FokkerPlanck,
    evolve_fokker_planck,
    evolve_master,
    evolve_simplified,
    noise_spectrum,
    reduced_chain,
    stationary_state,
)
from fvqp.solvers.slowest import slowest_rates

COMM, SELF = MPI.COMM_WORLD, MPI.COMM_SELF


def cluster(spin: str = "quantum") -> Cluster:
    return Cluster(generation=20.0, volume=1.0, gamma=4.0, gamma_t=0.05, tau_s=3.0, spin=spin)


@pytest.mark.ranks(2)
@pytest.mark.parametrize(("spin", "method"), [("quantum", "mumps"), ("ising", "multigrid")])
def test_master_equation(spin: str, method: str) -> None:
    alone = stationary_state(cluster(spin), comm=SELF, method="mumps")
    shared = stationary_state(cluster(spin), comm=COMM, method=method)
    assert shared.equation.chain.size == alone.equation.chain.size
    np.testing.assert_allclose(np.concatenate(COMM.allgather(shared.p)), alone.p, atol=1e-10)
    np.testing.assert_allclose(shared.number_distribution(), alone.number_distribution(), atol=1e-9)
    assert shared.variance == pytest.approx(alone.variance, rel=1e-8)
    assert shared.loss.total == pytest.approx(alone.loss.total, rel=1e-6)
    f = [0.0, 0.3]
    mine, one = noise_spectrum(shared, f), noise_spectrum(alone, f)
    np.testing.assert_allclose(mine.number, one.number, rtol=2e-6)
    np.testing.assert_allclose(mine.spin, one.spin, rtol=2e-6)
    for part, whole in zip(shared.joint(), alone.joint(), strict=True):
        if spin == "quantum":
            np.testing.assert_allclose(part, whole, atol=1e-10)


@pytest.mark.slow
@pytest.mark.ranks(2)
def test_evolution() -> None:
    alone, shared = (stationary_state(cluster(), comm=comm).equation for comm in (SELF, COMM))
    times = [0.05, 0.5]
    one = alone.evolve(alone.certain(4, 1), times, 1e-4)
    parts = COMM.allgather(shared.evolve(shared.certain(4, 1), times, 1e-4))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), one, atol=1e-9)


@pytest.mark.ranks(2)
@pytest.mark.slow
def test_evolution_from_another_generation() -> None:
    before = cluster().replace(generation=10.0)
    for evolve in (evolve_master, evolve_simplified, evolve_fokker_planck):
        alone, shared = (evolve(cluster(), before, [0.1], tolerance=1e-4, comm=comm) for comm in (SELF, COMM))
        np.testing.assert_allclose(shared.distribution, alone.distribution, atol=1e-6)
        assert shared.number[0] == pytest.approx(alone.number[0], rel=1e-5)


@pytest.mark.ranks(2)
def test_slowest_rates() -> None:
    alone, shared = (stationary_state(cluster(), comm=comm).equation.chain for comm in (SELF, COMM))
    np.testing.assert_allclose(slowest_rates(shared, 3), slowest_rates(alone, 3), rtol=1e-6)


@pytest.mark.ranks(2)
def test_one_dimensional_chains() -> None:
    for make in (reduced_chain, FokkerPlanck):
        alone, shared = make(cluster(), comm=SELF), make(cluster(), comm=COMM)
        np.testing.assert_allclose(shared.distribution(), alone.distribution(), atol=1e-12)
        assert shared.variance == pytest.approx(alone.variance, rel=1e-10)
        f = [0.0, 1.0]
        mine, one = noise_spectrum(shared, f), noise_spectrum(alone, f)
        np.testing.assert_allclose(mine.number, one.number, rtol=2e-6)
        np.testing.assert_allclose(mine.spin, one.spin, rtol=2e-6)


def test_bad_input_is_said_on_every_rank() -> None:
    with pytest.raises(CaseError, match="needs .* states"):
        stationary_state(cluster(), comm=COMM, max_states=5)
