"""Spin algebra of clusters against density matrices of a few spins, and the noise of the spin vector."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
import scipy.linalg
from mpi4py import MPI

from fvqp.models.clusters import (
    Cluster,
    FokkerPlanck,
    MasterEquation,
    analytic_flux_noise,
    ensemble,
    noise_spectrum,
    reduced_chain,
    regime_noise,
    simulate,
    stationary_state,
)
from fvqp.models.clusters.rates import events, spin_events, spin_square
from fvqp.typing import Complexes, Floats

SELF = MPI.COMM_SELF


PAULI = [np.array(matrix, complex) for matrix in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]
SWAP = np.eye(4)[[0, 2, 1, 3]]
PAIR = {"singlet": 0.5 * (np.eye(4) - SWAP), "triplet": 0.5 * (np.eye(4) + SWAP)}
ATOL = 1e-12


def spin_matrix(spins: int, axis: int) -> Complexes:
    """2 S_axis of a number of spins 1/2."""
    total = np.zeros((2**spins, 2**spins), complex)
    for place in range(spins):
        total += np.kron(np.kron(np.eye(2**place), PAULI[axis]), np.eye(2 ** (spins - place - 1)))
    return total


@cache
def projectors(spins: int) -> dict[int, Complexes]:
    """On M = 2S, by the eigenvectors of 4S² = Σ (2S_axis)²."""
    square = sum((spin_matrix(spins, axis) @ spin_matrix(spins, axis) for axis in range(3)), 0.0 * np.eye(1))
    values, vectors = np.linalg.eigh(square)
    found = {}
    for M in range(spins % 2, spins + 1, 2):
        own = vectors[:, np.abs(values - M * (M + 2)) < 0.5]
        found[M] = own @ own.conj().T
    return found


def moved(density: Floats, spins: int, order: list[int]) -> Floats:
    """The density matrix with its spins in another order."""
    shape = density.reshape([2] * (2 * spins))
    return shape.transpose(order + [spins + k for k in order]).reshape(density.shape)


def traced(density: Floats, spins: int, kept: int) -> Floats:
    """The density matrix of the first spins."""
    shape = density.reshape(2**kept, 2 ** (spins - kept), 2**kept, 2 ** (spins - kept))
    return np.einsum("iaja->ij", shape)


def arrival(density: Floats, spins: int) -> Floats:
    return np.kron(density, 0.5 * np.eye(2))


def depolarization(density: Floats, spins: int) -> Floats:
    """Sum over the spins of what is left when that one is replaced by a random one."""
    out = np.zeros_like(density)
    for place in range(spins):
        order = [k for k in range(spins) if k != place] + [place]
        out += arrival(traced(moved(density, spins, order), spins, spins - 1), spins - 1)
    return out


def annihilation(kind: str, density: Floats, spins: int) -> Floats:
    """Sum over the pairs of what is left when that one vanishes from a singlet or a triplet."""
    out = np.zeros((2 ** (spins - 2),) * 2, complex)
    for pair in itertools.combinations(range(spins), 2):
        order = [k for k in range(spins) if k not in pair] + list(pair)
        projector = np.kron(np.eye(2 ** (spins - 2)), PAIR[kind])
        out += traced(projector @ moved(density, spins, order) @ projector, spins, spins - 2)
    return out


PARTS = {
    "arrivals": (Cluster(1.0, 1.0, 1e-300, 0.0, 1e300), arrival, 1, 1.0),
    "singlets": (Cluster(1e-300, 1.0, 1.0, 0.0, 1e300), lambda d, n: annihilation("singlet", d, n), -2, 2.0),
    "pairs": (
        Cluster(1e-300, 1.0, 1e-300, 1.0, math.inf),
        lambda d, n: annihilation("singlet", d, n) + annihilation("triplet", d, n),
        -2,
        1.0,
    ),
    "flips": (Cluster(1e-300, 1.0, 1e-300, 0.0, 1.0), depolarization, 0, 2.0),
}
"""A cluster with events of one kind, what they do to density matrices, the change of N, and their rate."""


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("spins", [2, 3, 4, 5, 6])
def test_events_against_density_matrices(part: str, spins: int) -> None:
    """Probability and mean spin that every kind of event hands on, from every total spin of a few spins.

    A singlet annihilates at 2Γ̄/V, any pair at Γ̄_t/V, and every spin is depolarized at 2/τ_s.
    """
    cluster, event, change, rate = PARTS[part]
    after, z = projectors(spins + change), spin_matrix(spins, 2)
    table, carried = events(cluster), spin_events(cluster)
    for M, projector in projectors(spins).items():
        size = np.trace(projector).real
        unpolarized = rate * event(projector / size, spins)
        polarized = rate * event(z @ projector / size, spins)
        mean = float(np.trace(z @ z @ projector).real / size)
        assert spin_square(cluster, M) == pytest.approx(mean, abs=ATOL)
        here = np.array([float(M)]), np.array([0.5 * (spins - M)])
        for M_after, target in after.items():
            step = (M_after - M, (change - (M_after - M)) // 2)
            found = table[step](*here)[0] if step in table else 0.0
            left = carried[step](*here)[0] if step in carried else 0.0
            if step == (0, 0):
                # Flips that leave M: they count in the mean spin alone, against the exits to other M.
                exits = sum(float(one(*here)[0]) for one in table.values())
                found, left = rate * spins - exits, rate * spins - exits + left
            assert found == pytest.approx(np.trace(target @ unpolarized).real, abs=ATOL)
            component = np.trace(spin_matrix(spins + change, 2) @ target @ polarized).real
            assert left * mean == pytest.approx(component, abs=ATOL)
        # Nothing else happens: the rates of this kind add up to the trace.
        if step != (0, 0) and change != 0:
            total = sum(float(one(*here)[0]) for (dM, dm), one in table.items() if dM + 2 * dm == change)
            assert total == pytest.approx(np.trace(unpolarized).real, abs=ATOL)


def mixed(**changes: float | str) -> Cluster:
    """Some five quasiparticles with all kinds of events."""
    return Cluster(generation=12.0, volume=1.0, gamma=1.0, gamma_t=0.1, tau_s=3.0).replace(**changes)


def test_rates_add_up() -> None:
    """AV arrivals, N(N − 1)/2 pairs at Γ̄_t/V, m(N − m + 1) at Γ̄/V, from every state; none leaves M ≥ 0."""
    M, m = (a.ravel().astype(float) for a in np.meshgrid(np.arange(40), np.arange(30)))
    N = M + 2.0 * m
    for algebra in ("exact", "paper"):
        for cluster, change, expected in (
            (mixed(gamma_t=0.0, tau_s=1e300), 1, 12.0 + 0.0 * N),
            (mixed(gamma=1e-300, tau_s=1e300), -2, 0.05 * N * (N - 1.0)),
            (mixed(gamma_t=0.0, tau_s=1e300), -2, m * (N - m + (algebra == "exact"))),
        ):
            table = events(cluster.replace(algebra=algebra))
            total = sum(rate(M, m) for (dM, dm), rate in table.items() if dM + 2 * dm == change)
            np.testing.assert_allclose(total, expected, rtol=1e-13)
    for (dM, dm), rate in events(mixed()).items():
        assert np.all(rate(M, m)[(M + dM < 0) | (m + dm < 0)] == 0.0)


def test_exact_rates_tend_to_those_of_the_paper() -> None:
    """For M ≫ 1 and m ≪ N, by corrections of relative order 1/M and m/M."""
    for M, m in ((1e4, 3.0), (1e6, 3.0)):
        here = np.array([M]), np.array([m])
        paper = events(mixed(algebra="paper"))
        for step, rate in events(mixed()).items():
            assert rate(*here)[0] == pytest.approx(paper[step](*here)[0], rel=10.0 / M)


def test_every_arrival_is_counted() -> None:
    """dN/dt = 0 in the stationary state: what arrives at AV annihilates, M = 0 included."""
    cluster = mixed(gamma=20.0)
    state = stationary_state(cluster, comm=SELF, lost=1e-12)
    M, m = state.equation.M.astype(float), state.equation.m.astype(float)
    gone = sum(2.0 * rate(M, m) for (dM, dm), rate in events(cluster).items() if dM + 2 * dm == -2)
    assert state.p[state.equation.M == 0].sum() > 0.03
    assert state.mean(gone) == pytest.approx(cluster.injection, rel=1e-9)


@pytest.mark.parametrize("spin", ["quantum", "ising"])
def test_spin_noise_without_triplets(spin: str) -> None:
    """⟨S⟩ decays at 2/τ_s whatever else happens: S_z(ω) = ⟨M_z²⟩ τ_s/[1 + (ωτ_s/2)²], by every equation."""
    cluster = mixed(gamma_t=0.0, spin=spin)
    f = np.array([0.0, 0.05, 1.0 / (3.0 * math.pi), 1.0])
    lorentzian = 3.0 / (1.0 + (3.0 * math.pi * f) ** 2)
    state = stationary_state(cluster, comm=SELF)
    mean = state.mean(spin_square(cluster, state.equation.M))
    chain = reduced_chain(cluster, comm=SELF)
    simple = float(spin_square(cluster, chain.number) @ chain.stationary)
    continuum = FokkerPlanck(cluster, comm=SELF)
    third = 1.0 if spin == "ising" else 1.0 / 3.0
    for found, square in (
        (noise_spectrum(state, f), mean),
        (noise_spectrum(chain, f), simple),
        (noise_spectrum(continuum, f), third * continuum.moment(2)),
    ):
        np.testing.assert_allclose(found.spin, square * lorentzian, rtol=2e-3)
        assert found.spin_square == pytest.approx(square, rel=2e-3)
        np.testing.assert_allclose(found.spin_estimate, found.number / 3.0)
    # The paper's estimate is of another order.
    assert noise_spectrum(state, f).spin[0] > 10.0 * noise_spectrum(state, f).spin_estimate[0]


@pytest.mark.parametrize("spin", ["quantum", pytest.param("ising", marks=pytest.mark.slow)])
def test_spin_noise_of_unpolarized_quasiparticles(spin: str) -> None:
    """Where annihilation does not ask for the spin, spins are independent: M_z² is N in the mean, and what
    is left of it is the number of those that have survived and not flipped, from a chain in N alone."""
    cluster = mixed(gamma=1e-9, gamma_t=1.0, tau_s=5.0, spin=spin)
    N = np.arange(41.0)
    pairs = 0.5 * N * (N - 1.0)
    L = np.diag(np.full(40, 12.0), -1) + np.diag(pairs[2:], 2)
    L -= np.diag(L.sum(axis=0))
    p = scipy.linalg.null_space(L)[:, 0]
    p /= p.sum()
    survivors = L.copy()
    survivors[np.arange(39), np.arange(2, 41)] *= (N[2:] - 2.0) / N[2:]
    survivors[np.arange(41), np.arange(41)] -= 2.0 / 5.0
    state = stationary_state(cluster, comm=SELF)
    f = np.array([0.0, 0.3, 3.0])
    found = noise_spectrum(state, f)
    square = float(N @ p)
    assert state.mean_number == pytest.approx(square, rel=1e-6)
    assert found.spin_square == pytest.approx(square, rel=1e-6)
    spectrum = [
        2.0 * np.linalg.solve(2j * math.pi * x * np.eye(41) - survivors, (N * p).astype(complex)).real.sum()
        for x in f
    ]
    np.testing.assert_allclose(found.spin, spectrum, rtol=1e-5)


def test_unpolarized_clusters_make_little_noise() -> None:
    """Four orders less at N = 10⁴ and equal relaxation, as the paper says; the formula of large unpolarized
    clusters against P(N, m)."""
    polarized = Cluster(1e-3 * 1e12, 1.0, 1e3, 1e-3, math.inf)
    unpolarized = polarized.replace(gamma=1e-6, generation=1e-3 * 1e8)
    # Both hold 10⁴ and relax at about Γ̄_t N/V.
    ratio = analytic_flux_noise(polarized) / analytic_flux_noise(unpolarized)
    assert 0.2e4 < ratio < 1e4
    for gamma in (0.1, 1.0):
        cluster = Cluster(2000.0, 1.0, gamma, 1.0, 10.0)
        found = noise_spectrum(stationary_state(cluster, comm=SELF), [0.0])
        assert found.flux[0] == pytest.approx(analytic_flux_noise(cluster), rel=0.03)


def test_continuum_factors_over_the_estimate() -> None:
    """S_spin(0) over S_N(0)/3: by the ordinary differential equation, and by finite volumes."""
    for name, spin, factor in (
        ("spin relaxation", "quantum", 13.72334),
        ("triplet annihilation", "quantum", 24.56814),
        ("spin relaxation", "ising", 17.85378),
        ("triplet annihilation", "ising", 26.99003),
    ):
        assert regime_noise(name, spin).spin_over_estimate == pytest.approx(factor, rel=1e-6)
        flips = name == "spin relaxation"
        cluster = Cluster(1000.0, 1.0, 18.0, 0.0 if flips else 1e-3, 10.0 if flips else math.inf, spin)
        ratios = []
        for cells in (200, 400):
            found = noise_spectrum(FokkerPlanck(cluster, cells=cells, comm=SELF), [0.0], tolerance=1e-8)
            ratios.append(float(found.spin[0] / found.spin_estimate[0]))
        assert (4.0 * ratios[1] - ratios[0]) / 3.0 == pytest.approx(factor, rel=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "triplets"), [(13.72, False), (24.57, True)])
def test_continuum_factors_against_a_random_walk_of_the_vector(factor: float, triplets: bool) -> None:
    """A vector that every arrival displaces by AV dt in each direction and that relaxes at 2/τ_s or Γ̄_t N/V:
    noise at zero frequency from the variance of integrals over long times."""
    random = np.random.default_rng(3)
    walkers, step, steps = 4000, 0.005, 24_000
    vector = random.normal(size=(walkers, 3)) * 0.7
    sums = np.zeros((walkers, 4))
    # Units N0 and N0²/AV.
    for k in range(steps):
        size = np.sqrt((vector**2).sum(axis=1, keepdims=True))
        drift = -vector * (size if triplets else 1.0)
        vector = vector + step * drift + math.sqrt(step) * random.normal(size=vector.shape)
        if k >= steps // 12:
            sums[:, :3] += vector
            sums[:, 3:] += size
    spin, number = (sums[:, :3].ravel(), sums[:, 3])
    ratio = spin.var() / (number.var() / 3.0)
    assert ratio == pytest.approx(factor, rel=0.07)


def test_correlation_of_the_vector_against_the_matrix_exponential() -> None:
    """C_z(t) of the dense generator of the mean spin; its columns sum to −2/τ_s without triplets."""
    cluster = mixed()
    equation = MasterEquation(cluster, comm=SELF, lost=1e-5)
    state = equation.stationary()
    chain = equation.spin_chain(state.p)
    n = chain.n_owned
    L = np.column_stack([chain.apply(unit) for unit in np.eye(n)])
    start = state.p * spin_square(cluster, equation.M)
    response = state.spin_response([0.0, 5.0])
    times = np.array([0.0, 0.1, 0.5, 2.0])
    exact = [float((scipy.linalg.expm(t * L) @ start).sum()) for t in times]
    np.testing.assert_allclose(response.correlation(times), exact, rtol=1e-5)
    free = MasterEquation(cluster.replace(gamma_t=0.0), comm=SELF, lost=1e-5)
    chain = free.spin_chain(free.stationary().p)
    inside = free.M > 0
    for dM, dm in events(cluster):
        inside &= free.states.number(free.M + dM, free.m + dm) >= 0
    assert inside.sum() > 20
    np.testing.assert_allclose((chain.column_sums() * chain.exit_rates)[inside], -2.0 / 3.0, rtol=1e-9)


@pytest.mark.parametrize("algebra", ["exact", "paper"])
def test_trajectories_have_rates_of_their_own(algebra: str) -> None:
    """The random events, in N and m, against the master equation; unpolarized, so that M = 0 is frequent."""
    cluster = mixed(gamma=6.0, algebra=algebra)
    state = stationary_state(cluster, comm=SELF)
    run = simulate(cluster, duration=6000.0, samples=6000, seed=2)
    mean, error = run.average(20)
    assert np.all(np.abs(mean[[0, 2]] - [state.mean_number, state.mean_flipped]) < 4.0 * error[[0, 2]])
    assert error[0] < 0.01 * mean[0]
    N, m = ensemble(cluster, [0.3], runs=50, seed=1)
    assert np.all(2 * m <= N)
