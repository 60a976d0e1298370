"""Clusters on their way to the stationary state: exponentials, trajectories, mean field, slowest rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
from mpi4py import MPI
from test_clusters import enumerated, polarized, small

from fvqp.errors import CaseError
from fvqp.models.clusters import (
    Cluster,
    evolve_fokker_planck,
    evolve_master,
    evolve_mean_field,
    evolve_simplified,
    evolve_trajectories,
    reduced_chain,
    simulate,
    stationary_state,
)
from fvqp.models.clusters.evolution import Start
from fvqp.models.clusters.states import choose, united
from fvqp.solvers.slowest import slowest_rates

SELF = MPI.COMM_SELF


def exact(cluster: Cluster, start: Start, times: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """⟨N⟩, ⟨m⟩ and P(N) by the exponential of the generator over all states up to N = 40."""
    L, states = enumerated(cluster, 40)
    number, flipped = np.array(states).T
    p = np.zeros(len(states))
    if isinstance(start, Cluster):
        before = scipy.linalg.null_space(enumerated(start, 40)[0], rcond=1e-13)[:, 0]
        p = before / before.sum()
    else:
        p[states.index(start)] = 1.0
    found = np.array([scipy.linalg.expm(t * L) @ p for t in times])
    minority = np.minimum(flipped, number - flipped)
    return found @ number, found @ minority, np.array([np.bincount(number, row) for row in found])


STARTS: dict[str, Start] = {
    "near": (4, 1),
    "empty": (0, 0),
    "unpolarized": (16, 8),
    "above": (14, 0),
    "other generation": small().replace(generation=2.0),
}


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(start, id=name, marks=() if name == "near" else pytest.mark.slow)
        for name, start in STARTS.items()
    ],
)
@pytest.mark.parametrize("tolerance", [1e-4, pytest.param(1e-6, marks=pytest.mark.slow)])
def test_master_equation_against_the_matrix_exponential(start: Start, tolerance: float) -> None:
    times = [0.0, 0.01, 0.2, 2.0]
    found = evolve_master(small(), start, times, tolerance=tolerance, comm=SELF)
    number, flipped, distribution = exact(small(), start, times)
    assert found.lost is not None and found.lost < 1e-10
    assert found.distribution is not None and found.flipped is not None and found.variance is not None
    width = min(found.distribution.shape[1], distribution.shape[1])
    scale = distribution[0].max()
    np.testing.assert_allclose(
        found.distribution[:, :width], distribution[:, :width], atol=20.0 * tolerance * scale
    )
    np.testing.assert_allclose(found.number, number, rtol=300.0 * tolerance, atol=1e-9)
    np.testing.assert_allclose(found.flipped, flipped, rtol=300.0 * tolerance, atol=1e-8)
    # Probability is kept to round-off, and none is negative.
    np.testing.assert_allclose(found.distribution.sum(axis=1), 1.0, atol=1e-13)
    assert found.distribution.min() >= 0.0
    spread = distribution @ np.arange(41.0) ** 2 - number**2
    np.testing.assert_allclose(found.variance, spread, rtol=3000.0 * tolerance, atol=1e-8)


@pytest.mark.slow
def test_ising_spins_against_the_matrix_exponential() -> None:
    times = [0.05, 0.2]
    # m = 3 of 4 is one in the minority.
    found = evolve_master(small("ising"), (4, 3), times, tolerance=1e-5, comm=SELF)
    number, flipped, _ = exact(small("ising"), (4, 3), times)
    np.testing.assert_allclose(found.number, number, rtol=1e-3)
    np.testing.assert_allclose(found.flipped, flipped, rtol=1e-3)


@pytest.mark.slow
def test_error_of_the_probabilities_follows_the_tolerance() -> None:
    errors = []
    for tolerance in (1e-4, 1e-5, 1e-6):
        found = evolve_master(small(), (4, 1), [0.2], tolerance=tolerance, comm=SELF).distribution
        assert found is not None
        reference = exact(small(), (4, 1), [0.2])[2]
        width = min(found.shape[1], reference.shape[1])
        errors.append(float(np.abs(found[:, :width] - reference[:, :width]).max()))
    assert errors[2] < errors[1] < errors[0] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("start", [(0, 0), (30, 15), polarized().replace(generation=20.0)])
def test_trajectories_agree(start: Start) -> None:
    """Random events without truncation, at every time within four standard errors."""
    times = np.array([1e-3, 0.02, 0.5, 5.0])
    many = evolve_trajectories(polarized(), start, times, runs=600, seed=4)
    found = evolve_master(polarized(), start, times, tolerance=1e-5, comm=SELF)
    assert many.error is not None and many.flipped is not None and found.flipped is not None
    assert np.all(np.abs(many.number - found.number) < 4.0 * np.maximum(many.error, 1.0 / 600))
    # Numbers of flipped spins scatter like Poisson's or less.
    error = np.sqrt(np.maximum(found.flipped, 1.0 / 600) / 600)
    assert np.all(np.abs(many.flipped - found.flipped) < 4.0 * error)
    np.testing.assert_allclose(many.variance, found.variance, rtol=0.3, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [150, 1600])
def test_large_clusters_decay_as_in_mean_field(number: int) -> None:
    """Above the stationary number everything moves one way, and fluctuations are of order 1/N."""
    times = [0.01, 0.1, 0.4]
    master = evolve_master(polarized(), (number, 0), times, tolerance=1e-4, comm=SELF)
    mean = evolve_mean_field(polarized(), (number, 0), times)
    np.testing.assert_allclose(master.number, mean.number, rtol=1.0 / number + 1e-4)
    assert master.polarization is not None and mean.polarization is not None
    np.testing.assert_allclose(master.polarization, mean.polarization, atol=1.0 / number)
    assert mean.number[2] < 0.95 * number


@pytest.mark.slow
def test_equations_in_the_number_alone() -> None:
    """The simplified equation by the exponential of its generator; its continuum limit for large clusters."""
    cluster = polarized()
    times = [0.02, 0.3, 3.0]
    found = evolve_simplified(cluster, (40, 4), times, tolerance=1e-5, comm=SELF)
    chain = reduced_chain(cluster, comm=SELF, reach=len(found.distribution[0]) - 20)  # type: ignore[index]
    n = chain.chain.size
    L = np.column_stack([chain.chain.apply(unit) for unit in np.eye(n)])
    p = np.array([scipy.linalg.expm(t * L)[:, 32] for t in times])
    assert found.distribution is not None
    np.testing.assert_allclose(found.distribution, p, atol=5e-5)
    limit = evolve_fokker_planck(cluster, (40, 4), times, tolerance=1e-5, comm=SELF)
    np.testing.assert_allclose(limit.number, found.number, rtol=0.02)
    before = cluster.replace(generation=5.0 * cluster.generation)
    for evolve in (evolve_simplified, evolve_fokker_planck):
        late = evolve(cluster, before, [0.0, 40.0], tolerance=1e-4, comm=SELF)
        start = reduced_chain(before, comm=SELF)
        assert late.number[0] == pytest.approx(start.mean_number, rel=0.01)
        assert late.number[1] == pytest.approx(reduced_chain(cluster, comm=SELF).mean_number, rel=0.01)


@pytest.mark.slow
def test_the_end_is_approached_at_the_slowest_rate() -> None:
    state = stationary_state(small(), comm=SELF)
    slowest = slowest_rates(state.equation.chain, 1)[0]
    times = np.array([3.0, 3.5])
    found = evolve_master(small(), (8, 0), times, tolerance=1e-8, comm=SELF)
    left = found.number - state.mean_number
    assert slowest.imag == 0.0
    # The next rate is more than twice as fast, and has left 1e-4.
    assert math.log(left[0] / left[1]) / 0.5 == pytest.approx(slowest.real, rel=1e-3)


def test_states_of_both_are_kept() -> None:
    one, other = choose(small(), 1e-8), choose(small().replace(generation=100.0), 1e-8)
    both = united(one, other)
    for states in (one, other):
        M, m = states.at(0, states.size)
        assert (both.number(M, m) >= 0).all()


@pytest.mark.slow
def test_states_are_widened_where_the_start_needs_it() -> None:
    """A start far outside, with hardly any room: the bound holds at all steps all the same."""
    found = evolve_master(small(), (200, 100), [0.01, 3.0], tolerance=1e-4, lost=1e-3, comm=SELF)
    assert found.lost is not None and found.lost < 1e-3
    assert found.number[1] == pytest.approx(stationary_state(small(), comm=SELF).mean_number, rel=0.02)


def test_bad_input() -> None:
    for evolve in (evolve_master, evolve_simplified, evolve_fokker_planck):
        with pytest.raises(CaseError, match="N = 4, m = 3"):
            evolve(small(), (4, 3), [1.0], comm=SELF)
        with pytest.raises(CaseError, match="times: expected one or more increasing"):
            evolve(small(), (4, 1), [1.0, 0.5], comm=SELF)
    with pytest.raises(CaseError, match="N - m of at least 1"):
        evolve_mean_field(small(algebra="paper"), (0, 0), [1.0])
    with pytest.raises(CaseError, match="increasing numbers above 0"):
        evolve_trajectories(small(), (0, 0), [0.0, 1.0])
    with pytest.raises(CaseError, match="1 runs: expected 2"):
        evolve_trajectories(small(), (0, 0), [1.0], runs=1)
    with pytest.raises(CaseError, match="more than the 50 allowed"):
        evolve_master(small(), (4, 1), [1.0], max_states=50, comm=SELF)
    with pytest.raises(CaseError, match="m = 3"):
        simulate(small(), duration=1.0, samples=1, seed=0, start=(4, 3))
