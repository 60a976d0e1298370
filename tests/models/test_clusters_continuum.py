"""The simplified P(N), the Fokker-Planck equation in N, and the noise that follows from them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from mpi4py import MPI
from scipy.integrate import quad

from fvqp.errors import CaseError
from fvqp.models.clusters import (
    Cluster,
    FokkerPlanck,
    estimated_flux_noise,
    flux_per_spin,
    noise_spectrum,
    reduced_chain,
    regime_noise,
)
from fvqp.models.clusters.fokker_planck import bernoulli
from fvqp.models.clusters.reduced import reduced_steps, stationary_weight

SELF = MPI.COMM_SELF


def mixed(spin: str = "quantum") -> Cluster:
    """N0 around 60, spin flips and triplet annihilation of equal weight."""
    return Cluster(generation=1500.0, volume=1.0, gamma=18.0, gamma_t=2e-3, tau_s=10.0, spin=spin)


def graded(largest: float, cells: int) -> np.ndarray:
    """Cells that grow by 20 from first to last."""
    return largest * np.expm1(3.0 * np.linspace(0.0, 1.0, cells + 1)) / np.expm1(3.0)


@pytest.mark.parametrize("spin", ["quantum", "ising"])
@pytest.mark.parametrize("cells", [12, 200])
def test_fokker_planck_has_the_exact_stationary_state(spin: str, cells: int) -> None:
    cluster = mixed(spin)
    edges = graded(FokkerPlanck(cluster, lost=1e-14, comm=SELF).edges[-1], cells)
    found = FokkerPlanck(cluster, edges, comm=SELF)

    def moment(k: int, low: float, high: float) -> float:
        return quad(
            lambda N: N**k * math.exp(float(stationary_weight(cluster, N)) - 5.0), low, high,
            epsabs=0.0, epsrel=1e-13, limit=200,
        )[0]  # fmt: skip

    pairs = list(itertools.pairwise(edges))
    zeroth, first, second = (sum(moment(k, low, high) for low, high in pairs) for k in range(3))
    exact = np.array([moment(0, low, high) for low, high in pairs]) / zeroth
    np.testing.assert_allclose(found.distribution(), exact, atol=1e-11)
    assert found.mean_number == pytest.approx(first / zeroth, rel=1e-10)
    assert found.variance == pytest.approx(second / zeroth - (first / zeroth) ** 2, rel=1e-9)
    assert np.abs(found.chain.column_sums()).max() < 1e-14
    assert (found.density() * np.diff(edges)).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.slow
def test_fokker_planck_order() -> None:
    """Noise at several frequencies, on uniform and graded cells: second order."""
    cluster = mixed()
    omega = np.array([0.0, 1.0, 5.0, 30.0])
    largest = FokkerPlanck(cluster, comm=SELF).edges[-1]
    for edges in (lambda n: np.linspace(0.0, largest, n + 1), lambda n: graded(largest, n)):
        spectra = [
            FokkerPlanck(cluster, edges(n), comm=SELF).response(omega, 1e-9).spectrum(omega)
            for n in (50, 100, 200, 1600)
        ]
        errors = [np.abs(s / spectra[-1] - 1.0).max() for s in spectra[:-1]]
        order = np.log2(errors[0] / errors[2]) / 2.0
        assert errors[2] < 1e-3 and order > 1.9


@pytest.mark.slow
def test_fokker_planck_evolution_is_positive_and_of_second_order_in_the_cells() -> None:
    """From a smooth start far from stationary to a time in between."""
    cluster = mixed()
    largest = FokkerPlanck(cluster, comm=SELF).edges[-1]
    means = []
    for cells in (40, 80, 160, 640):
        fp = FokkerPlanck(cluster, graded(largest, cells), comm=SELF)
        start = np.diff(fp.edges) * fp.centres**2 * np.exp(-((fp.centres / 25.0) ** 2))
        start /= start.sum()
        p = fp.evolve(start, [0.3])[0]
        assert p.min() > -1e-7 and p.sum() == pytest.approx(1.0, abs=1e-9)
        means.append(p @ fp.number)
    errors = np.abs(np.array(means[:-1]) / means[-1] - 1.0)
    assert errors[2] < 1e-3 and np.log2(errors[0] / errors[2]) / 2.0 > 1.8


def test_bernoulli_function() -> None:
    z = np.array([-700.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 700.0, 800.0])
    exact = [700.0, 1.0 / (1.0 - math.exp(-1.0)), 1.0 + 5e-7, 1.0, 1.0 - 5e-7, 1.0 / (math.e - 1.0), 0.0, 0.0]
    np.testing.assert_allclose(bernoulli(z), exact, rtol=1e-12, atol=1e-300 + 1e-290)


@pytest.mark.parametrize("spin", ["quantum", "ising"])
def test_simplified_chain_against_a_dense_null_vector(spin: str) -> None:
    found = reduced_chain(mixed(spin), lost=1e-13, comm=SELF)
    n = found.number.size
    L = np.zeros((n, n))
    for step, rate in reduced_steps(mixed(spin), np.arange(n)).items():
        for k in range(n):
            if 0 <= k + step < n:
                L[k + step, k] += rate[k]
                L[k, k] -= rate[k]
    vector = np.linalg.svd(L)[2][-1]
    np.testing.assert_allclose(found.distribution(), vector / vector.sum(), atol=1e-11)


def test_spectra_obey_their_sum_rule() -> None:
    """∫ S_N dω/2π by quadrature over ln ω is ⟨⟨N²⟩⟩."""
    response = FokkerPlanck(mixed(), comm=SELF).response([0.0, 10.0])
    rates = response.relaxation_rates()
    slow, fast = float(rates[0]), float(rates[-1])

    def integrand(t: float) -> float:
        omega = slow * math.exp(t)
        return float(response.spectrum(omega)) * omega

    total, _ = quad(integrand, -30.0, math.log(fast / slow) + 30.0, limit=500, epsrel=1e-10, points=[0.0])
    assert total / math.pi == pytest.approx(response.variance, rel=1e-9)


def test_spin_and_flux_noise() -> None:
    chain = reduced_chain(mixed(), comm=SELF)
    f = np.array([0.0, 0.1, 1.0, 10.0])
    found = noise_spectrum(chain, f, flux_per_spin=flux_per_spin(0.2))
    np.testing.assert_allclose(found.number, chain.response(2 * np.pi * f).spectrum(2 * np.pi * f), rtol=2e-6)
    np.testing.assert_allclose(found.spin_estimate, found.number / 3.0)
    spin = chain.spin_response(2 * np.pi * f)
    np.testing.assert_allclose(found.spin, spin.spectrum(2 * np.pi * f), rtol=2e-6)
    assert found.spin_square == pytest.approx(
        float(chain.number * (chain.number + 2.0) @ chain.stationary) / 3.0, rel=1e-9
    )
    np.testing.assert_allclose(found.flux, (0.5e-7) ** 2 * found.spin)
    np.testing.assert_allclose(found.flux_one_sided, 2.0 * found.flux)
    np.testing.assert_allclose(found.number_one_sided, 2.0 * found.number)
    assert found.variance == pytest.approx(chain.variance, rel=1e-9)
    assert (np.diff(found.number) < 0.0).all()


def test_bad_requests() -> None:
    chain = reduced_chain(mixed(), comm=SELF)
    with pytest.raises(CaseError, match="frequencies"):
        noise_spectrum(chain, [-1.0])
    with pytest.raises(CaseError, match="flux_per_spin"):
        noise_spectrum(chain, [1.0], flux_per_spin=0.0)
    with pytest.raises(CaseError, match="arm_width"):
        flux_per_spin(-0.1)
    with pytest.raises(CaseError, match="regime"):
        regime_noise("unpolarized")
    with pytest.raises(CaseError, match="unpolarized"):
        estimated_flux_noise(mixed().replace(volume=1e4))
    with pytest.raises(CaseError, match="edges"):
        FokkerPlanck(mixed(), np.array([0.0, 2.0, 1.0]), comm=SELF)
    with pytest.raises(CaseError, match="cells"):
        FokkerPlanck(mixed(), cells=1, comm=SELF)
    with pytest.raises(CaseError, match="lost probability"):
        reduced_chain(mixed(), lost=2.0, comm=SELF)
    with pytest.raises(CaseError, match="times"):
        chain.evolve(chain.stationary, [2.0, 1.0])
