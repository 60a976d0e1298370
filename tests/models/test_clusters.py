"""Clusters of quasiparticles: rates, mean field, states, master equation, trajectories."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.models.clusters import (
    Cluster,
    MasterEquation,
    States,
    TrapMaterial,
    aluminium,
    crossover,
    regime,
    simulate,
    singlet_constant,
    spin_flip_time,
    stationary_state,
    validity,
)
from fvqp.models.clusters import mean_field as mf
from fvqp.models.clusters.rates import events
from fvqp.models.clusters.states import choose

SELF = MPI.COMM_SELF


def small(spin: str = "quantum", algebra: str = "exact") -> Cluster:
    """N0 around 4, all kinds of events of similar weight."""
    return Cluster(12.0, 1.0, gamma=1.0, gamma_t=0.1, tau_s=3.0, spin=spin, algebra=algebra)


def polarized(spin: str = "quantum", algebra: str = "exact") -> Cluster:
    """N0 = 52, 95 % of the spins up, limited by spin flips."""
    return Cluster.from_scaled(1e-3, 0.05, gamma=18.0, gamma_t=18e-4, tau_s=10.0, spin=spin, algebra=algebra)


def enumerated(cluster: Cluster, largest: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Dense generator over all (N, m) with N up to `largest`, from tables of events in N and m."""
    quantum = cluster.spin == "quantum"
    states = [(N, m) for N in range(largest + 1) for m in range((N // 2 if quantum else N) + 1)]
    number = {state: k for k, state in enumerate(states)}
    L = np.zeros((len(states), len(states)))
    for (N, m), k in number.items():
        exact = quantum and cluster.algebra == "exact"
        for (dN, dm), rate in (_exact if exact else _as_printed)(cluster, N, m).items():
            to = number.get((N + dN, m + dm))
            assert to is not None or rate == 0.0 or not exact or N == largest
            if to is not None:
                L[to, k] += rate
                L[k, k] -= rate
    return L, states


def _multiplets(N: int, m: int) -> float:
    """How many multiplets of total spin N/2 − m there are, C(N, m) − C(N, m − 1)."""
    if not 0 <= 2 * m <= N:
        return 0.0
    return math.comb(N, m) - (math.comb(N, m - 1) if m else 0)


def _exact(cluster: Cluster, N: int, m: int) -> dict[tuple[int, int], float]:
    """What is taken out leaves each total spin with the share of multiplets that it has."""
    here, S = _multiplets(N, m), N / 2 - m
    rates = dict.fromkeys([(1, 0), (1, 1), (-2, -1), (0, 1), (0, -1), (-2, 0), (-2, -2)], 0.0)
    rates[1, 0] = cluster.injection * (S + 1.0) / (2.0 * S + 1.0)
    rates[1, 1] = cluster.injection * S / (2.0 * S + 1.0)
    pairs = N * (N - 1) / 2 * cluster.gamma_t / cluster.volume
    for dm, kinds in ((0, 1), (-1, 1 + (S > 0)), (-2, 1)):
        # The total spin of the rest and that of the pair, 0 or 1, must make S.
        if dm == 0 and S < 1:
            continue
        rates[-2, dm] = kinds * pairs * _multiplets(N - 2, m + dm) / here
    rates[-2, -1] += cluster.gamma / cluster.volume * N * (N - 1) * _multiplets(N - 2, m - 1) / here
    for taken in (0, 1):
        rest = _multiplets(N - 1, m - taken)
        if N == 0 or rest == 0.0:
            continue
        spin = (N - 1) / 2 - m + taken
        falls = (spin if taken == 0 else spin + 1.0) / (2.0 * spin + 1.0)
        rates[0, 1 - 2 * taken] += N * 2.0 / cluster.tau_s * rest / here * falls
    return rates


def _as_printed(cluster: Cluster, N: int, m: int) -> dict[tuple[int, int], float]:
    up, quantum = N - m, cluster.spin == "quantum"
    asymmetry = 1.0 / (N - m + 1) if quantum else 0.0
    if quantum and N == 2 * m:
        asymmetry = 1.0
    return {
        (1, 0): 0.5 * cluster.injection * (1 + asymmetry),
        (1, 1): 0.5 * cluster.injection * (1 - asymmetry),
        (-2, -1): (cluster.gamma + cluster.gamma_t) / cluster.volume * up * m,
        (0, 1): up / cluster.tau_s,
        (0, -1): m / cluster.tau_s,
        (-2, 0): cluster.gamma_t / (2 * cluster.volume) * up * (up - 1),
        (-2, -2): cluster.gamma_t / (2 * cluster.volume) * m * (m - 1),
    }


BOTH = pytest.mark.parametrize(
    ("spin", "algebra"), [("quantum", "exact"), ("quantum", "paper"), ("ising", "exact")]
)


@BOTH
def test_stationary_state_against_a_dense_null_vector(spin: str, algebra: str) -> None:
    cluster = small(spin, algebra)
    L, states = enumerated(cluster, 34)
    null = scipy.linalg.null_space(L, rcond=1e-13)
    assert null.shape[1] == 1
    exact = dict(zip(states, null[:, 0] / null.sum(), strict=True))
    state = stationary_state(cluster, comm=SELF, lost=1e-13)
    assert state.loss.total < 1e-13
    N, m, p = state.joint()
    assert p.sum() == pytest.approx(1.0, abs=1e-13) and p.min() >= 0.0
    found = dict(zip(zip(N.tolist(), m.tolist(), strict=True), p, strict=True))
    difference = sum(abs(found.get(s, 0.0) - exact[s]) for s in states)
    assert difference < 1e-9


@pytest.mark.parametrize("spin", ["quantum", "ising"])
def test_columns_sum_to_zero_and_rates_are_not_negative(spin: str) -> None:
    equation = MasterEquation(polarized(spin), comm=SELF)
    assert np.abs(equation.chain.column_sums()).max() < 1e-14
    indptr, indices, values = equation.chain.matrix.getValuesCSR()
    rows = np.repeat(np.arange(equation.chain.n_owned), np.diff(indptr))
    assert values[rows != indices].min() >= 0.0


@BOTH
def test_drifts_of_the_events_are_the_mean_field_equations(spin: str, algebra: str) -> None:
    cluster = polarized(spin, algebra)
    M, m = np.array([400.0, 1000.0]), np.array([3.0, 40.0])
    N = M + 2.0 * m
    drift_m = sum(dm * rate(M, m) for (_, dm), rate in events(cluster).items())
    drift_n = sum((dM + 2 * dm) * rate(M, m) for (dM, dm), rate in events(cluster).items())
    dN, dm = mf.rates_of_change(cluster, N, m)
    # The mean field has N and N - m for N - 1 and N - m + 1: corrections of relative order 1/N.
    left_out = (cluster.singlet + cluster.flip) * (algebra == "exact")
    np.testing.assert_allclose(drift_n, dN, atol=(2.0 * (cluster.triplet * N + left_out * m)).max())
    np.testing.assert_allclose(
        drift_m,
        dm,
        atol=(cluster.triplet * N + cluster.injection / (M + m) ** 2 + left_out * (m + 1.0)).max(),
    )


def test_only_injection_changes_the_parity_of_the_number() -> None:
    """All steps but those of injection change N by 0 or 2."""
    for (dM, dm), rate in events(polarized()).items():
        change = dM + 2 * dm
        if change % 2:
            idle = polarized().replace(generation=1e-300)
            assert events(idle)[dM, dm](np.array([9.0]), np.array([3.0]))[0] < 1e-290
        assert rate(np.array([9.0]), np.array([3.0]))[0] > 0.0


@pytest.mark.parametrize("spin", ["quantum", pytest.param("ising", marks=pytest.mark.slow)])
def test_stationary_state_against_trajectories(spin: str) -> None:
    state = stationary_state(polarized(spin), comm=SELF)
    run = simulate(polarized(spin), duration=8000.0, samples=8000, seed=11)
    mean, error = run.average(20)
    assert abs(mean[0] - state.mean_number) < 4.0 * error[0]
    assert abs(mean[1] - state.variance - state.mean_number**2) < 4.0 * error[1]
    if spin == "quantum":
        assert abs(mean[2] - state.mean_flipped) < 4.0 * error[2]
    assert error[0] < 0.02 * mean[0]


@pytest.mark.slow
def test_noise_against_the_autocorrelation_of_a_trajectory() -> None:
    state = stationary_state(polarized(), comm=SELF)
    runs = [simulate(polarized(), duration=4000.0, samples=8000, seed=s) for s in range(6)]
    found = np.array([run.correlation(8) for run in runs])
    response = state.response([0.0, 10.0])
    exact = response.correlation(np.arange(8) * runs[0].interval)
    error = found.std(axis=0, ddof=1) / math.sqrt(len(runs))
    assert (np.abs(found.mean(axis=0) - exact) < 4.0 * error + 0.01 * exact[0]).all()


@pytest.mark.slow
def test_spectrum_against_one_complex_solve_a_frequency() -> None:
    state = stationary_state(small(), comm=SELF, lost=1e-12)
    indptr, indices, values = state.equation.chain.matrix.getValuesCSR()
    L = scipy.sparse.csr_matrix((values, indices, indptr)).toarray()
    n = state.equation.N.astype(float)
    b = (n - state.mean_number) * state.p
    omega = np.geomspace(0.1, 1e4, 12)
    exact = [
        2.0 * float(np.real(n @ np.linalg.solve(1j * w * np.eye(n.size) - L, b.astype(complex))))
        for w in omega
    ]
    response = state.response(omega)
    np.testing.assert_allclose(response.spectrum(omega), exact, rtol=1e-6)
    assert response.error < 1e-6
    # At zero frequency on the subspace of total 0, by least squares.
    x = np.linalg.lstsq(L, -b, rcond=1e-13)[0]
    x -= state.p * x.sum()
    assert response.spectrum(0.0) == pytest.approx(2.0 * n @ x, rel=1e-6)


@pytest.mark.parametrize(
    "cluster",
    [polarized(), Cluster(2000.0, 1.0, 1.0, 1.0, 10.0), Cluster(2000.0, 1.0, 1.0, 5.0, 10.0, "ising")],
    ids=["polarized", "unpolarized", "ising"],
)
def test_the_bound_on_the_lost_probability_holds(cluster: Cluster) -> None:
    full = stationary_state(cluster, comm=SELF, lost=1e-13)
    for lost in (1e-4, 1e-6):
        equation = MasterEquation(cluster, lost=lost, comm=SELF)
        cut = equation.stationary()
        states = equation.states
        inside = states.number(full.equation.M, full.equation.m) >= 0
        outside = full.p[~inside].sum()
        assert 0.0 < outside < cut.loss.total < 300.0 * outside
        assert stationary_state(cluster, comm=SELF, lost=lost).loss.total <= lost


def test_a_band_of_flips_is_as_good_as_all() -> None:
    cluster = polarized()
    banded = stationary_state(cluster, comm=SELF)
    upper = banded.equation.states.upper
    wide = MasterEquation(cluster, comm=SELF, states=States(np.zeros_like(upper), upper + 12.0)).stationary()
    assert banded.mean_number == pytest.approx(wide.mean_number, rel=1e-8)
    assert banded.mean_flipped == pytest.approx(wide.mean_flipped, rel=1e-8)


@pytest.mark.slow
def test_evolution_against_the_matrix_exponential() -> None:
    equation = MasterEquation(small(), comm=SELF, lost=1e-8)
    indptr, indices, values = equation.chain.matrix.getValuesCSR()
    L = scipy.sparse.csr_matrix((values, indices, indptr)).toarray()
    start = equation.certain(4, 1)
    times = np.array([0.0, 0.05, 0.4, 3.0])
    found = equation.evolve(start, times)
    for time, p in zip(times, found, strict=True):
        np.testing.assert_allclose(p, scipy.linalg.expm(time * L) @ start, atol=1e-7)
        assert p.sum() == pytest.approx(1.0, abs=1e-14)
    assert found.min() >= 0.0


@pytest.mark.slow
def test_evolution_ends_in_the_stationary_state() -> None:
    state = stationary_state(small(), comm=SELF)
    p = state.equation.evolve(state.equation.certain(0, 0), [60.0])[0]
    assert np.abs(p - state.p).sum() < 1e-5


def test_interpolation_is_exact_for_linear_functions() -> None:
    """Also at the edges, on every set down to one that is not coarsened further."""
    fine = choose(polarized(), 1e-10)
    for _ in range(4):
        coarse = fine.coarsened()
        indptr, columns, weights = fine.interpolation(coarse, 0, fine.size)
        matrix = scipy.sparse.csr_matrix((weights, columns, indptr), (fine.size, coarse.size))
        assert coarse.size < 0.5 * fine.size
        assert matrix.sum(axis=0).min() > 0.0
        for found, exact in zip(coarse.at(0, coarse.size), fine.at(0, fine.size), strict=True):
            np.testing.assert_allclose(matrix @ (1.0 + 2.0 * found), 1.0 + exact, rtol=1e-14)
        fine = coarse


@pytest.mark.parametrize("spin", ["quantum", pytest.param("ising", marks=pytest.mark.slow)])
def test_multigrid_needs_few_iterations(spin: str) -> None:
    cluster = Cluster.from_scaled(4e2, 1e-3, gamma=18.0, gamma_t=18.0 / 3e3, tau_s=10.0, spin=spin)
    state = stationary_state(cluster, comm=SELF, method="multigrid")
    assert state.equation.states.size > 5_000
    assert state.equation.chain.iterations < 20


@pytest.mark.slow
def test_multigrid_and_elimination_agree() -> None:
    direct = stationary_state(polarized(), comm=SELF, method="mumps")
    multigrid = stationary_state(polarized(), comm=SELF, method="multigrid")
    assert np.abs(direct.p - multigrid.p).sum() < 1e-7
    omega = [0.0, 1.0, 30.0]
    np.testing.assert_allclose(
        direct.response(omega).spectrum(omega), multigrid.response(omega).spectrum(omega), rtol=2e-6
    )
    np.testing.assert_allclose(
        direct.spin_response(omega).spectrum(omega), multigrid.spin_response(omega).spectrum(omega), rtol=2e-6
    )


def test_mean_field_is_stationary_and_reached() -> None:
    cluster = polarized()
    state = mf.stationary(cluster)
    change = np.array(mf.rates_of_change(cluster, state.number, state.flipped))
    assert np.abs(change).max() < 1e-9 * cluster.injection
    number, flipped = mf.evolve(cluster, 10.0, 1.0, [200.0])
    assert number[-1] == pytest.approx(state.number, rel=1e-7)
    assert flipped[-1] == pytest.approx(state.flipped, rel=1e-7)
    paper = mf.stationary(polarized(algebra="paper"))
    change = np.array(mf.rates_of_change(polarized(algebra="paper"), paper.number, paper.flipped))
    assert np.abs(change).max() < 1e-9 * cluster.injection
    assert paper.number == pytest.approx(state.number, rel=0.03)
    ising = mf.stationary(cluster.replace(spin="ising"))
    assert np.abs(mf.rates_of_change(cluster.replace(spin="ising"), ising.number, ising.flipped)).max() < 1e-9
    assert ising.number == pytest.approx(cluster.unpolarized_number, rel=1e-3)


@pytest.mark.parametrize("algebra", ["exact", "paper"])
def test_crossover_solves_its_equations(algebra: str) -> None:
    a, v = np.meshgrid(np.geomspace(1e-8, 1e8, 17), np.geomspace(1e-6, 1e3, 10))
    found = crossover(a, v, algebra)
    p = found.polarization
    w = found.number + 2.0 * v
    inverse = np.sqrt(1.0 + 2.0 * w) if algebra == "exact" else 1.0 + w
    np.testing.assert_allclose(p * inverse, 1.0, rtol=1e-13)
    np.testing.assert_allclose(2.0 * (1.0 - p**2) * (found.number / (2.0 * v)) ** 2, a, rtol=1e-6)
    assert (np.diff(p, axis=1) <= 0.0).all() and (np.diff(p, axis=0) <= 0.0).all()
    assert (found.number > 0.0).all()


def test_aluminium() -> None:
    cluster = aluminium(1e5, 1e-3)
    assert cluster.critical_volume == 180.0
    assert cluster.critical_number == pytest.approx(1e4)
    assert cluster.critical_generation == pytest.approx(18.0 / (18e-4 * 10.0) ** 2)
    assert singlet_constant(400e-9, 17.2e9, 168e-6) == pytest.approx(18.87, abs=0.01)
    assert spin_flip_time(400e-9, 1e-2, 0.1) == pytest.approx(12.65, abs=0.01)


@pytest.mark.parametrize(
    ("a", "v", "name"),
    [(1e-6, 0.1, "spin relaxation"), (1e-6, 3.0, "unpolarized"), (100.0, 0.01, "triplet annihilation"),
     (1e5, 0.01, "unpolarized")],
)  # fmt: skip
def test_regimes(a: float, v: float, name: str) -> None:
    assert regime(Cluster.from_scaled(a, v, gamma=18.0, gamma_t=18e-4, tau_s=10.0)) == name


GOOD = dict(generation=1.0, volume=1.0, gamma=1.0, gamma_t=0.1, tau_s=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generation": 0.0}, "generation = 0.0"),
        ({"generation": math.nan}, "generation = nan"),
        ({"volume": -1.0}, "volume = -1.0"),
        ({"gamma": math.inf}, "gamma = inf"),
        ({"gamma_t": -0.1}, "gamma_t = -0.1"),
        ({"tau_s": 0.0}, "tau_s = 0.0"),
        ({"algebra": "classical"}, 'expected "exact" or "paper"'),
        ({"gamma_t": 0.0, "tau_s": math.inf}, "nothing relaxes the spin"),
        ({"spin": "classical"}, 'expected "quantum" or "ising"'),
    ],
)
def test_bad_parameters(change: dict[str, object], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        Cluster(**{**GOOD, **change})  # type: ignore[arg-type]


def test_bad_requests() -> None:
    cluster = small()
    with pytest.raises(CaseError, match="lost probability"):
        stationary_state(cluster, lost=0.0, comm=SELF)
    with pytest.raises(CaseError, match="needs .* states"):
        stationary_state(cluster, max_states=10, comm=SELF)
    with pytest.raises(CaseError, match='method "lu"'):
        MasterEquation(cluster, method="lu", comm=SELF)
    with pytest.raises(CaseError, match="start N = 3, m = 2"):
        simulate(cluster, duration=1.0, samples=1, seed=0, start=(3, 2))
    with pytest.raises(CaseError, match="expected both above 0"):
        simulate(cluster, duration=0.0, samples=1, seed=0)
    with pytest.raises(CaseError, match='algebra = "other"'):
        crossover(1.0, 1.0, "other")
    with pytest.raises(CaseError, match="a = A/A_c"):
        crossover(0.0, 1.0)
    with pytest.raises(CaseError, match="gamma_t must be above 0"):
        Cluster.from_scaled(1.0, 1.0, gamma=1.0, gamma_t=0.0, tau_s=1.0)
    with pytest.raises(CaseError, match="times"):
        mf.evolve(cluster, 4.0, 1.0, [1.0, 1.0])
    with pytest.raises(CaseError, match="0 <= m <= N/2"):
        mf.evolve(cluster, 4.0, 3.0, [1.0])
    equation = MasterEquation(cluster, comm=SELF)
    with pytest.raises(CaseError, match="not among the states"):
        equation.certain(10**6, 0)
    with pytest.raises(CaseError, match="times"):
        equation.evolve(equation.certain(0, 0), [-1.0])


def test_what_the_model_does_not_cover_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert validity(polarized()) == ()
    assert "below 1" in " ".join(validity(polarized().replace(generation=1e-4)))
    with caplog.at_level(logging.WARNING):
        equation = MasterEquation(small(algebra="paper"), comm=SELF)
    assert "spins is flipped: the paper's algebra" in equation.warnings[0]
    assert "spins is flipped" in caplog.text
    # The exact rates hold for any number of flipped spins, the equations in N alone do not.
    assert validity(small()) == ()
    assert "the equation in N alone assumes" in validity(small(), parallel=True)[0]
    # The proposed device, N0 = 10⁴ in (0.1 µm)³ of aluminium: N/(V ν Δ) = 3.5, arrivals every 0.6 ps.
    device = aluminium(1.8e15, 1e-3, algebra="paper").replace(gamma=1e9)
    filled, slow = validity(device)
    assert "the filling N/(V ν Δ) = 3.46 of the states near the gap is not small (aluminium)" in filled
    assert "diffusion mixes the trap at 1e+11 1/s (D = 10 cm²/s), not much faster than its events" in slow
    thick = TrapMaterial(1e12, 1e-3, 1e20, "another")
    assert validity(device, thick) == ()
    assert "another" in validity(device, TrapMaterial(1e5, 1e-3, 1e20, "another"))[0]


def test_same_seed_same_trajectory() -> None:
    first, again, other = (simulate(small(), duration=20.0, samples=40, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.number, again.number)
    assert not np.array_equal(first.number, other.number)
    assert first.residence.sum() == pytest.approx(1.0, abs=1e-12)
