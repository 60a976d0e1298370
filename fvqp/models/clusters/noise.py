"""Noise of a cluster: of its number, of one component of its spin, and of the flux it sends through a SQUID.

Spectra are S(ω) = ∫ ⟨δn(t) δn(0)⟩ e^{iωt} dt, two-sided; experiments quote one-sided ones, twice as large, in
1/Hz. The spin is counted in units of one quasiparticle's, M_z = 2S_z/ħ; it turns, so that its component
fluctuates by all of it (angular momentum 1, docs/theory/spin_clusters.md). Meyer et al. (2020), text around
Fig. 2, estimate the order of its noise by S_N/3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gamma

from fvqp.errors import CaseError
from fvqp.models.clusters.mean_field import regime, spin_relaxation_number, stationary, triplet_number
from fvqp.models.clusters.rates import Cluster
from fvqp.solvers.response import Response
from fvqp.typing import Floats

FLUX_PER_SPIN = 1e-7
"""Φ0 per quasiparticle spin in the arm of a SQUID that is `ARM_WIDTH` wide."""

ARM_WIDTH = 0.1
"""µm."""

ESTIMATED_SPIN = 1.0 / 3.0
"""S_spin/S_N as the paper estimates it."""


class Fluctuating(Protocol):
    """A stationary state that can answer: `ClusterState`, `NumberChain` or `FokkerPlanck`."""

    def response(self, frequencies: ArrayLike, tolerance: float = ...) -> Response: ...

    def spin_response(self, frequencies: ArrayLike, tolerance: float = ...) -> Response: ...


@dataclass(frozen=True)
class Noise:
    """Spectra at `frequencies`.

    Attributes
    ----------
    frequencies
        f = ω/2π, Hz.
    number
        S_N, two-sided, 1/Hz.
    number_one_sided
        2 S_N.
    spin
        S_spin of one component of M = 2S, of Ising spins along their axis; two-sided, 1/Hz.
    spin_estimate
        S_N/3, the paper's estimate of it.
    flux
        S_Φ, two-sided, Φ0²/Hz.
    flux_one_sided
        2 S_Φ.
    mean, variance
        ⟨N⟩ and ⟨⟨N²⟩⟩.
    spin_square
        ⟨M_z²⟩ = ∫ S_spin dω/2π.
    error
        Bound on the relative error of S_N and S_spin.
    correlation
        C(t) = ⟨δN(t) δN(0)⟩ at the times asked for.
    """

    frequencies: Floats
    number: Floats
    spin: Floats
    mean: float
    variance: float
    spin_square: float
    error: float
    flux_per_spin: float
    correlation: Floats

    @property
    def number_one_sided(self) -> Floats:
        return 2.0 * self.number

    @property
    def spin_estimate(self) -> Floats:
        return ESTIMATED_SPIN * self.number

    @property
    def flux(self) -> Floats:
        return self.flux_per_spin**2 * self.spin

    @property
    def flux_one_sided(self) -> Floats:
        return 2.0 * self.flux


def noise_spectrum(
    state: Fluctuating,
    frequencies: ArrayLike,
    *,
    flux_per_spin: float = FLUX_PER_SPIN,
    tolerance: float = 1e-6,
    times: ArrayLike = (),
) -> Noise:
    """Spectra of a stationary cluster at `frequencies` (Hz, 0 or above), and correlations at `times` (s).

    `flux_per_spin`: Φ0 that one spin sends through the loop, see `flux_per_spin`.

    Raises
    ------
    CaseError
        A frequency that is negative or not finite; a flux per spin not above 0.
    ConvergenceError
        The spectrum does not reach the tolerance.
    """
    f = np.asarray(frequencies, float)
    if f.size == 0 or not (np.isfinite(f).all() and (f >= 0.0).all()):
        raise CaseError("noise: frequencies: expected finite numbers, 0 or above (Hz)")
    if not (math.isfinite(flux_per_spin) and flux_per_spin > 0.0):
        raise CaseError(f"noise: flux_per_spin = {flux_per_spin} Φ0: expected a finite number above 0")
    omega = 2.0 * math.pi * f
    response = state.response(omega, tolerance)
    number, correlation = response.spectrum(omega), response.correlation(np.asarray(times, float))
    mean, variance, error = response.mean, response.variance, response.error
    # Its vectors take more memory than the chain.
    del response
    spin = state.spin_response(omega, tolerance)
    return Noise(
        f,
        number,
        spin.spectrum(omega),
        mean,
        variance,
        spin.variance,
        max(error, spin.error),
        flux_per_spin,
        correlation,
    )


def flux_per_spin(arm_width: float) -> float:
    """Φ0 per spin in a SQUID arm of this width (µm): 1e-7 at 0.1 µm, inversely proportional to the width.

    A moment on the surface of a strip couples to the loop by the field that a current in the strip has there,
    which falls like one over the width.
    """
    if not (math.isfinite(arm_width) and arm_width > 0.0):
        raise CaseError(f"noise: arm_width = {arm_width} µm: expected a finite number above 0")
    return FLUX_PER_SPIN * ARM_WIDTH / arm_width


@dataclass(frozen=True)
class RegimeNoise:
    """Constants of a pure regime, in units of its N0 and of τ_s or t_f = (AΓ̄_t²/V)^(-1/3).

    Attributes
    ----------
    mean, second_moment
        ⟨N⟩/N0 and ⟨N²⟩/N0² (Meyer, Eqs. (8), (9); (S13), (S14) for Ising spins).
    coefficient
        S_N(0)/⟨⟨N²⟩⟩ over τ_s or t_f; 0.5 and 0.6 in the paper.
    spin_coefficient
        S_spin(0)/⟨M_z²⟩ over τ_s or t_f.
    axes
        ⟨N²⟩/⟨M_z²⟩: 3; 1 for Ising spins.
    """

    mean: float
    second_moment: float
    coefficient: float
    spin_coefficient: float
    axes: int

    @property
    def variance(self) -> float:
        return self.second_moment - self.mean**2

    @property
    def spin_over_estimate(self) -> float:
        """S_spin(0) over the paper's estimate of it, S_N(0)/3."""
        spin = self.spin_coefficient * self.second_moment / self.axes
        return spin / (ESTIMATED_SPIN * self.coefficient * self.variance)


COEFFICIENTS = {
    ("spin relaxation", "quantum"): (0.4820190352316, 1.0),
    ("spin relaxation", "ising"): (0.4624127643522, 1.0),
    ("triplet annihilation", "quantum"): (0.5599882301920, 1.605276871652),
    ("triplet annihilation", "ising"): (0.7097351207788, 2.014782329106),
}
"""`RegimeNoise.coefficient` and `RegimeNoise.spin_coefficient`, of which the paper gives 0.5 and 0.6.

The Fokker-Planck equation gives S_N(0) = (2/D) ∫ G²/P dN with G(N) = ∫_0^N (N' − ⟨N⟩) P dN'. The mean spin
follows from (w y')'/w − (U'/x) y = −2 with w = x^(k+2) e^(−U) and U, k of `regime_noise`, in units of N0 and
N0²/AV, and S_spin(0)/⟨M_z²⟩ = 2 ∫ w y dx/∫ w dx. Integrated with errors below
1e-11; tests compare `FokkerPlanck`.
"""


def regime_noise(name: str, spin: str = "quantum") -> RegimeNoise:
    """Return the constants of `spin relaxation` or `triplet annihilation` for large clusters.

    The stationary weight is x^k e^(−U) with U = x² or 2x³/3, and k = 2 (quantum) or 0 (Ising).
    """
    if name not in ("spin relaxation", "triplet annihilation"):
        raise CaseError(f'noise: regime "{name}": expected "spin relaxation" or "triplet annihilation"')
    k = 2 if spin == "quantum" else 0
    power, factor = (2, 1.0) if name == "spin relaxation" else (3, 2.0 / 3.0)

    def moment(j: int) -> float:
        """∫_0^∞ x^j exp(−factor x^power) dx."""
        return float(gamma((j + 1) / power) / power * factor ** (-(j + 1) / power))

    mean, second = moment(k + 1) / moment(k), moment(k + 2) / moment(k)
    return RegimeNoise(mean, second, *COEFFICIENTS[name, spin], axes=3 if k == 2 else 1)


def estimated_flux_noise(cluster: Cluster, *, flux_per_spin: float = FLUX_PER_SPIN) -> float:
    """S_Φ(0), two-sided, Φ0²/Hz, as the paper estimates it, by S_N/3 of the regime that the cluster is in.

    Raises
    ------
    CaseError
        The cluster is not polarized.
    """
    constants, number, time = _pure(cluster)
    variance = constants.variance * number**2
    return flux_per_spin**2 * ESTIMATED_SPIN * constants.coefficient * variance * time


def analytic_flux_noise(cluster: Cluster, *, flux_per_spin: float = FLUX_PER_SPIN) -> float:
    """S_Φ(0), two-sided, Φ0²/Hz, of large clusters.

    Polarized ones: the noise of the spin vector in the regime that the cluster is in. Unpolarized ones: every
    arrival changes M_z by 1, every flip by 2, every pair that annihilates regardless of its spin by 2 in the
    mean square, and M_z relaxes at the rate 2/τ_s + Γ̄_t N/V.
    """
    if regime(cluster) != "unpolarized":
        constants, number, time = _pure(cluster)
        square = constants.second_moment * number**2 / constants.axes
        return flux_per_spin**2 * constants.spin_coefficient * square * time
    number = stationary(cluster).number
    relaxation = 2.0 * cluster.flip + cluster.triplet * number
    strength = cluster.injection + 4.0 * cluster.flip * number + cluster.triplet * number**2
    return flux_per_spin**2 * strength / relaxation**2


def _pure(cluster: Cluster) -> tuple[RegimeNoise, float, float]:
    """Constants, N0 and unit of time of the regime that the cluster is in."""
    name = regime(cluster)
    if name == "unpolarized":
        raise CaseError("noise: the cluster is unpolarized: the paper's estimate is of polarized ones")
    constants = regime_noise(name, cluster.spin)
    if name == "spin relaxation":
        return constants, spin_relaxation_number(cluster), cluster.tau_s
    number = triplet_number(cluster)
    return constants, number, number**2 / cluster.injection
