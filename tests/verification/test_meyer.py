"""Published results: J. S. Meyer, M. Houzet, Yu. V. Nazarov, Phys. Rev. Lett. 125, 097006 (2020)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI
from scipy.special import gamma as gamma_function

from fvqp.models.clusters import (
    Cluster,
    FokkerPlanck,
    aluminium,
    analytic_flux_noise,
    crossover,
    estimated_flux_noise,
    noise_spectrum,
    reduced_chain,
    regime_noise,
    stationary_state,
)
from fvqp.models.clusters import mean_field as mf
from fvqp.models.clusters.reduced import stationary_weight

SELF = MPI.COMM_SELF
G3 = float(gamma_function(1.0 / 3.0))


def flips_only(number: float, spin: str = "quantum") -> Cluster:
    """A pure spin-relaxation regime with N0 = `number`."""
    return Cluster(2.0 * number**2 / 10.0, 1.0, 18.0, 0.0, 10.0, spin)


def triplets_only(number: float, spin: str = "quantum") -> Cluster:
    """A pure triplet-annihilation regime with N0 = `number`."""
    return Cluster(1e-3 * number**3, 1.0, 18.0, 1e-3, math.inf, spin)


def test_moments_8_and_9() -> None:
    for cluster, mean, second in (
        (flips_only(300.0), 2.0 / math.sqrt(math.pi), 1.5),
        (triplets_only(300.0), G3 / 18 ** (1 / 3), 2 ** (4 / 3) * math.pi / (3 ** (5 / 6) * G3)),
    ):
        fp = FokkerPlanck(cluster, lost=1e-14, comm=SELF)
        assert fp.mean_number / 300.0 == pytest.approx(mean, rel=1e-10)
        assert (fp.variance + fp.mean_number**2) / 300.0**2 == pytest.approx(second, rel=1e-10)


def test_ising_moments_s13_and_s14() -> None:
    for cluster, mean in (
        (flips_only(300.0, "ising"), 1.0 / math.sqrt(math.pi)),
        (triplets_only(300.0, "ising"), 6 ** (1 / 3) * math.sqrt(math.pi) / float(gamma_function(1 / 6))),
    ):
        assert FokkerPlanck(cluster, lost=1e-14, comm=SELF).mean_number / 300.0 == pytest.approx(
            mean, rel=1e-10
        )
    assert mf.spin_relaxation_number(flips_only(300.0)) / math.sqrt(math.pi) == pytest.approx(
        math.sqrt(flips_only(300.0).injection * 10.0 / (2.0 * math.pi))
    )


@pytest.mark.parametrize("pure", [flips_only, triplets_only])
def test_simplified_chain_tends_to_equation_7_like_one_over_the_number(pure) -> None:  # type: ignore[no-untyped-def]
    """Total variation between (S5) and cells of width 1 of (7), as N0 grows by 2."""
    distances = []
    for number in (50.0, 100.0, 200.0):
        chain = reduced_chain(pure(number), lost=1e-13, comm=SELF)
        edges = np.concatenate([[0.0], chain.number + 0.5])
        exact = FokkerPlanck(pure(number), edges, comm=SELF).distribution()
        distances.append(np.abs(chain.distribution() - exact).sum())
    order = np.log2(distances[0] / distances[2]) / 2.0
    assert distances[2] < 0.02 and 0.9 < order < 1.1


def test_master_equation_tends_to_the_simplified_one_for_small_volumes() -> None:
    """At equal N0 = 30 and V/V_c falling by 4; the singlet annihilation is ever faster."""
    distances = []
    for gamma in (25.0, 100.0, 400.0):
        cluster = flips_only(30.0).replace(gamma=gamma)
        found = stationary_state(cluster, comm=SELF).number_distribution()
        simple = reduced_chain(cluster, comm=SELF).distribution()
        n = min(found.size, simple.size)
        distances.append(np.abs(found[:n] - simple[:n]).sum())
    assert distances[0] > distances[1] > distances[2]
    # What is left is the flipped spin that has not annihilated yet, m0 = N0 V/V_c.
    assert np.log2(distances[0] / distances[2]) / 4.0 == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("algebra", ["exact", "paper"])
@pytest.mark.parametrize("regime", ["triplets", "flips"])
def test_master_equation_tends_to_equations_7_to_9_as_clusters_grow(regime: str, algebra: str) -> None:
    """P(N, m) against cells of width 1 of (7), and against its moments (8), (9), with N_c = N0² or Γ̄ ∝ N0:
    what is left is of first order in 1/N0."""
    left = []
    for number in (20.0, 40.0, 80.0):
        cluster = (
            Cluster(18.0 * number, 1.0, 18.0, 18.0 / number**2, math.inf)
            if regime == "triplets"
            else flips_only(number).replace(gamma=9.0 * number)
        ).replace(algebra=algebra)
        state = stationary_state(cluster, comm=SELF)
        found = state.number_distribution()
        edges = np.concatenate([[0.0], np.arange(found.size) + 0.5])
        expected = FokkerPlanck(cluster, edges, comm=SELF).distribution()
        exact = FokkerPlanck(cluster, lost=1e-14, comm=SELF)
        left.append(
            [np.abs(found - expected[: found.size]).sum(), state.mean_number / exact.mean_number - 1.0]
        )
    orders = np.log2(np.abs(left[0]) / np.abs(left[2])) / 2.0
    assert np.all(np.abs(left[2]) < [0.025, 0.01])
    assert np.all((orders > 0.85) & (orders < 1.1))


def test_most_probable_number_is_that_of_mean_field() -> None:
    """The maximum of (7) is N0 of Eq. (4)."""
    cluster = Cluster(1500.0, 1.0, 18.0, 2e-3, 10.0)
    N = np.linspace(1.0, 200.0, 200_001)
    peak = N[np.argmax(stationary_weight(cluster, N))]
    assert peak == pytest.approx(mf.approximate_number(cluster), abs=1e-3)
    distribution = reduced_chain(cluster, comm=SELF).distribution()
    assert abs(np.argmax(distribution) - peak) < 2.0


def test_mean_field_3_to_6() -> None:
    """Eqs. (3), (4), and the forms (5), (6) of them in the two regimes."""
    for cluster, zeta, number in (
        (flips_only(1e4), 1.0 / 180.0, mf.spin_relaxation_number(flips_only(1e4))),
        (triplets_only(1e3), 0.5e-3 * 1e3 / 18.0, mf.triplet_number(triplets_only(1e3))),
    ):
        assert mf.approximate_number(cluster) == pytest.approx(number, rel=1e-12)
        half = 0.5 * cluster.unpolarized_number
        assert number == pytest.approx(half / math.sqrt(zeta), rel=1e-12)
        # (6) leaves out Γ̄_t N0² against AV² = Γ̄_t N0³.
        left_out = 1.0 / number if cluster.gamma_t else 0.0
        flipped = half * math.sqrt(zeta) * (1.0 - left_out)
        assert mf.approximate_flipped(cluster) == pytest.approx(flipped, rel=1e-12)
        full = mf.stationary(cluster)
        assert full.flipped == pytest.approx(mf.approximate_flipped(cluster), rel=3.0 * zeta + 1e-3)
        assert full.number == pytest.approx(number, rel=3.0 * zeta + 1e-3)


def test_zeta_of_the_triplet_regime() -> None:
    cluster = Cluster.from_scaled(3.0, 1e-3, gamma=18.0, gamma_t=18e-4, tau_s=10.0)
    zeta = 0.5 * (3.0 * (1e-3) ** 2) ** (1 / 3)
    assert mf.triplet_number(cluster) == pytest.approx(
        0.5 * cluster.unpolarized_number / math.sqrt(zeta), rel=1e-12
    )


@pytest.mark.parametrize("algebra", ["exact", "paper"])
def test_crossover_s9_and_its_limits(algebra: str) -> None:
    a, v = 1e3, 1e-3
    found = crossover(a, v, algebra)
    cluster = Cluster.from_scaled(a, v, gamma=18.0, gamma_t=18e-5, tau_s=100.0, algebra=algebra)
    full = mf.stationary(cluster)
    # (S9), which is of the paper's algebra, leaves out terms of order 1/(N_c (1 - p)).
    small = 1.0 / (cluster.critical_number * (1.0 - float(found.polarization)))
    assert full.number / cluster.critical_number == pytest.approx(float(found.number), rel=2.0 * small)
    assert full.polarization == pytest.approx(float(found.polarization), rel=2.0 * small)
    enhanced = full.number / cluster.unpolarized_number
    assert enhanced == pytest.approx(float(found.enhancement), rel=2.0 * small)
    # (5): n = (a v/2)^(1/2) at small a and v; (6): n = (a v²)^(1/3) at small a v² above the border.
    assert float(crossover(1e-9, 1e-4, algebra).number) == pytest.approx(math.sqrt(0.5e-13), rel=1e-3)
    assert float(crossover(1e3, 1e-7, algebra).number) == pytest.approx((1e3 * 1e-14) ** (1 / 3), rel=2e-3)


def test_crossover_s10() -> None:
    """a ≈ 8 p² (1 + p)/(1 − p) (v0 − v)² close below v0 = (1 − p)/(2p)."""
    p = 0.6
    v0 = float(mf.volume_of_polarization(p))
    v = v0 * (1.0 - 1e-4)
    a = 8.0 * p**2 * (1.0 + p) / (1.0 - p) * (v0 - v) ** 2
    assert float(crossover(a, v, "paper").polarization) == pytest.approx(p, rel=1e-6)


def test_noise_coefficients_with_more_digits() -> None:
    """0.5 and 0.6 in the paper: 0.48202 and 0.55999 by quadrature, by the Fokker-Planck equation and (S5)."""
    for name, pure, digits in (
        ("spin relaxation", flips_only, 0.482019),
        ("triplet annihilation", triplets_only, 0.559988),
    ):
        constants = regime_noise(name)
        assert constants.coefficient == pytest.approx(digits, abs=1e-6)
        found = []
        for number in (500.0, 1000.0):
            cluster = pure(number)
            time = 10.0 if name == "spin relaxation" else number**2 / cluster.injection
            chain = reduced_chain(cluster, comm=SELF)
            found.append(float(chain.response([0.0]).spectrum(0.0)) / chain.variance / time)
        extrapolated = 2.0 * found[1] - found[0]
        assert extrapolated == pytest.approx(constants.coefficient, rel=2e-5)
        coarse, fine = (
            FokkerPlanck(cluster, cells=n, comm=SELF).response([0.0]).spectrum(0.0) for n in (400, 800)
        )
        limit = (4.0 * fine - coarse) / 3.0 / time / (constants.variance * number**2)
        assert limit == pytest.approx(constants.coefficient, rel=1e-6)


def test_noise_coefficients_of_the_master_equation() -> None:
    """At V/V_c = 1e-4 and N0 = 40, with 1/N0 and V/V_c corrections."""
    cluster = flips_only(40.0).replace(gamma=1000.0)
    state = stationary_state(cluster, comm=SELF)
    coefficient = float(state.response([0.0]).spectrum(0.0)) / state.variance / 10.0
    simple = reduced_chain(cluster, comm=SELF)
    expected = float(simple.response([0.0]).spectrum(0.0)) / simple.variance / 10.0
    assert coefficient == pytest.approx(expected, rel=0.01)
    assert coefficient == pytest.approx(0.482, rel=0.05)


def test_flux_noise_of_the_proposed_device() -> None:
    """N0 = 1e4, V = (0.1 µm)³, triplet regime: t_f ≈ 0.5e-4 s, S_Φ about 1e-12 Φ0²/Hz by S_N/3; the spin
    vector makes 24.6 times as much."""
    volume = 1e-3
    cluster = aluminium(1e12 * 18e-4 / volume**2, volume)
    assert mf.triplet_number(cluster) == pytest.approx(1e4)
    assert mf.triplet_number(cluster) ** 2 / cluster.injection == pytest.approx(5.6e-5, rel=0.01)
    assert estimated_flux_noise(cluster) == pytest.approx(1.43e-12, rel=0.01)
    found = noise_spectrum(FokkerPlanck(cluster, comm=SELF), [0.0, 1.0, 1e5])
    estimate = found.flux_per_spin**2 * found.spin_estimate
    assert estimate[0] == pytest.approx(estimated_flux_noise(cluster), rel=2e-3)
    assert found.flux[0] == pytest.approx(analytic_flux_noise(cluster), rel=2e-3)
    assert analytic_flux_noise(cluster) == pytest.approx(24.568 * estimated_flux_noise(cluster), rel=1e-4)
    assert found.flux[1] == pytest.approx(found.flux[0], rel=1e-3)
    assert found.flux[2] < 0.05 * found.flux[0]


def test_classical_spins_are_most_often_one() -> None:
    """P(N) of the simplified equation: at N = 1 both directions count, at N = 0 there is one state."""
    p = reduced_chain(flips_only(50.0, "ising"), comm=SELF).distribution()
    assert np.argmax(p) == 1 and p[0] == pytest.approx(0.5 * p[1], rel=1e-3)
    assert np.all(np.diff(p[1:]) < 0.0)


def test_classical_spins_differ_by_a_factor_only() -> None:
    """Mean numbers of the Ising master equation follow (S13); the mean field would be N_unpol."""
    cluster = flips_only(40.0, "ising").replace(gamma=1000.0)
    state = stationary_state(cluster, comm=SELF)
    assert state.mean_number == pytest.approx(40.0 / math.sqrt(math.pi), rel=0.1)
    assert state.mean_number > 5.0 * cluster.unpolarized_number
