"""Mean field of a cluster: stationary and time-dependent numbers, regimes, and the polarization diagram.

Source: Meyer et al. (2020), Eqs. (1)-(6) and (S7)-(S10), corrected as docs/theory/spin_clusters.md says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.clusters.rates import Cluster, checked_times
from fvqp.typing import Floats


@dataclass(frozen=True)
class ClusterMeanField:
    """A cluster in mean field: N quasiparticles of which m have flipped spins."""

    number: float
    flipped: float

    @property
    def polarization(self) -> float:
        """p = 1 − 2m/N."""
        return 1.0 - 2.0 * self.flipped / self.number


def rates_of_change(cluster: Cluster, number: ArrayLike, flipped: ArrayLike) -> tuple[Floats, Floats]:
    """dN/dt and dm/dt, 1/s: Meyer, Eqs. (1), (2), without 1/(N − m) for Ising spins.

    The exact algebra has M = N − 2m for N − m, and the growth of S by flips and by the annihilation of
    triplets of flipped spins, which is of order m/N: dM/dt = [AV + 8m/τ_s + 4Γ̄_t m²/V]/(M + 1) −
    (2/τ_s + Γ̄_t N/V) M.
    """
    N, m = np.asarray(number, float), np.asarray(flipped, float)
    pairs = (N - m) * m
    dN = cluster.injection - 2.0 * cluster.singlet * pairs - cluster.triplet * N**2
    if cluster.spin == "quantum" and cluster.algebra == "exact":
        M = N - 2.0 * m
        growth = cluster.injection + 8.0 * cluster.flip * m + 4.0 * cluster.triplet * m**2
        dM = growth / (M + 1.0) - (2.0 * cluster.flip + cluster.triplet * N) * M
        return dN, 0.5 * (dN - dM)
    kept = 1.0 - 1.0 / (N - m) if cluster.spin == "quantum" else 1.0
    dm = (
        0.5 * cluster.injection * kept - cluster.singlet * pairs - cluster.triplet * N * m
        + cluster.flip * (N - 2.0 * m)
    )  # fmt: skip
    return dN, dm


def stationary(cluster: Cluster) -> ClusterMeanField:
    """The stationary solution of the mean-field equations.

    Exact algebra: dM/dt = 0 is a quadratic equation for M at given N, and dN/dt = 0 one bracketed root in N.
    The paper's: with u = N − m, dN/dt − 2 dm/dt = 0 reads AV/u = (Γ̄_t N/V + 2/τ_s)(N − 2m) (S8), and
    dN/dt = 0 gives m(u); one bracketed root in u. Ising spins: m = N/2, dN/dt = 0 gives N.

    Raises
    ------
    CaseError
        With the paper's algebra, so few arrivals that there is no root.
    """
    injection, singlet, triplet, flip = cluster.injection, cluster.singlet, cluster.triplet, cluster.flip
    if cluster.spin == "ising":
        number = math.sqrt(injection / (0.5 * singlet + triplet))
        return ClusterMeanField(number, 0.5 * number)

    if cluster.algebra == "exact":
        number = _exact_number(cluster)
        return ClusterMeanField(number, 0.5 * (number - _exact_spin(cluster, number)))

    def flipped(u: float) -> float:
        """m ≥ 0 of dN/dt = 0, i.e. 2 (Γ̄/V) u m + (Γ̄_t/V)(u + m)² = AV."""
        linear, excess = 2.0 * u * (singlet + triplet), injection - triplet * u**2
        return 2.0 * excess / (linear + math.sqrt(linear**2 + 4.0 * triplet * excess))

    def balance(log_u: float) -> float:
        u = math.exp(log_u)
        m = flipped(u)
        return (triplet * (u + m) + 2.0 * flip) * (u - m) * u - injection

    # At u = m, i.e. M = 0, the balance is negative; it rises with u to m = 0, or without triplets for ever.
    lower = 0.5 * math.log(injection / (2.0 * singlet + 4.0 * triplet))
    upper = (
        0.5 * math.log(injection / triplet) if triplet else 0.5 * math.log(injection / flip) + lower + 50.0
    )
    if balance(upper) <= 0.0:
        raise CaseError(
            f"cluster: no polarized mean-field solution at generation = {cluster.generation:.4g} 1/(s µm³): "
            f"triplet annihilation leaves less than one quasiparticle"
        )
    u = math.exp(brentq(balance, lower, upper, xtol=1e-15, rtol=8.9e-16))
    m = flipped(u)
    return ClusterMeanField(u + m, m)


def _exact_spin(cluster: Cluster, number: float) -> float:
    """M ≤ N of dM/dt = 0: [2/τ_s + Γ̄_t(N − 1)/V] M² + [6/τ_s + 3Γ̄_t N/V] M = AV + 4N/τ_s + Γ̄_t N²/V."""
    flip, triplet = cluster.flip, cluster.triplet
    square = max(2.0 * flip + triplet * (number - 1.0), 0.0)
    linear = 6.0 * flip + 3.0 * triplet * number
    constant = cluster.injection + 4.0 * flip * number + triplet * number**2
    return min(2.0 * constant / (linear + math.sqrt(linear**2 + 4.0 * square * constant)), number)


def _exact_number(cluster: Cluster) -> float:
    """N of dN/dt = 0 with M = M(N)."""
    injection, singlet, triplet = cluster.injection, cluster.singlet, cluster.triplet

    def excess(log_number: float) -> float:
        number = math.exp(log_number)
        opposite = number**2 - _exact_spin(cluster, number) ** 2
        return 0.5 * singlet * opposite + triplet * number**2 - injection

    # Below all spins are parallel, and too few to annihilate; above, annihilation exceeds arrivals.
    lower = 0.25 * math.sqrt(injection / (singlet + triplet))
    upper = 4.0 * (approximate_number(cluster) + math.sqrt(injection / (0.5 * singlet + triplet)) + 4.0)
    return math.exp(brentq(excess, math.log(lower), math.log(upper), xtol=1e-15, rtol=8.9e-16))


def approximate_number(cluster: Cluster) -> float:
    """N0 of AV/N0 = 2 N0/τ_s + Γ̄_t N0²/V (Meyer, Eq. (4), for m ≪ N)."""
    low = 0.0
    high = min(
        math.sqrt(0.5 * cluster.injection * cluster.tau_s),
        (cluster.injection / cluster.triplet) ** (1.0 / 3.0) if cluster.triplet else math.inf,
    )

    def balance(number: float) -> float:
        return 2.0 * cluster.flip * number**2 + cluster.triplet * number**3 - cluster.injection

    return float(brentq(balance, low, high * (1.0 + 1e-12), xtol=1e-300, rtol=8.9e-16))


def approximate_flipped(cluster: Cluster) -> float:
    """m0 = (AV² − Γ̄_t N0²)/(2 Γ̄ N0) (Meyer, Eq. (3), where N0² is printed as N0)."""
    number = approximate_number(cluster)
    return (cluster.injection - cluster.triplet * number**2) / (2.0 * cluster.singlet * number)


def spin_relaxation_number(cluster: Cluster) -> float:
    """N0 = (AVτ_s/2)^(1/2), limited by spin flips; infinite without them."""
    return math.sqrt(0.5 * cluster.injection * cluster.tau_s)


def triplet_number(cluster: Cluster) -> float:
    """N0 = (AV²/Γ̄_t)^(1/3), limited by triplet annihilation; infinite without it."""
    return (cluster.injection / cluster.triplet) ** (1.0 / 3.0) if cluster.triplet else math.inf


def regime(cluster: Cluster) -> str:
    """`spin relaxation`, `triplet annihilation` or `unpolarized`: the region of Meyer, Fig. 1.

    Polarized below V_c in the first and below A V² = A_c V_c² in the second; the border between them is
    A = V/(Γ̄_t² τ_s³).
    """
    by_triplets = cluster.gamma_t**2 * cluster.generation > cluster.volume * cluster.flip**3
    if by_triplets:
        polarized = triplet_number(cluster) < cluster.critical_number
    else:
        polarized = cluster.volume < cluster.critical_volume
    if not polarized:
        return "unpolarized"
    return "triplet annihilation" if by_triplets else "spin relaxation"


def evolve(cluster: Cluster, number: float, flipped: float, times: ArrayLike) -> tuple[Floats, Floats]:
    """N(t) and m(t) of the mean-field equations at `times` (s, increasing from 0).

    Raises
    ------
    CaseError
        A start outside 0 ≤ m ≤ N/2, or, with the paper's algebra, N − m below 1, where Eq. (2) has no
        meaning.
    ConvergenceError
        The integration stopped before the last time.
    """
    t = checked_times(times)
    paper = cluster.spin == "quantum" and cluster.algebra == "paper"
    if not 0.0 <= flipped <= 0.5 * number or (paper and number - flipped < 1.0):
        least = ", and N - m of at least 1 with the paper's algebra" if paper else ""
        raise CaseError(f"cluster: start N = {number}, m = {flipped}: expected 0 <= m <= N/2{least}")
    found = solve_ivp(
        lambda _, y: np.array(rates_of_change(cluster, y[0], y[1])), (0.0, t[-1]), [number, flipped],
        method="LSODA", t_eval=t, rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    if not found.success:
        raise ConvergenceError(f"cluster: mean-field equations: {found.message}")
    return found.y[0], found.y[1]


@dataclass(frozen=True)
class Crossover:
    """Polarization p and n = N/N_c at a = A/A_c, v = V/V_c; `enhancement` is N/N_unpol."""

    polarization: Floats
    number: Floats
    enhancement: Floats


def crossover(a: ArrayLike, v: ArrayLike, algebra: str = "exact") -> Crossover:
    """The cross-over between polarized and unpolarized clusters, for large N_c.

    With the exact algebra n = (1 − p²)/2p² − 2v and a = (1 − p²) n²/2v²; with the paper's n = (1 − p)/p − 2v,
    and the same a(n, p) (Meyer, Eq. (S9), Fig. S1). So p is (1 + 2n + 4v)^(-1/2) or 1/(1 + n + 2v), and a
    grows with n: the root is unique, found by bisection. `a` and `v` are broadcast. With
    N_unpol = V (2A/Γ̄)^(1/2), N/N_unpol = n/(v (2a)^(1/2)).

    Raises
    ------
    CaseError
        a or v not above 0, or an algebra that there is not.
    """
    a_, v_ = np.broadcast_arrays(np.asarray(a, float), np.asarray(v, float))
    if not (np.all(a_ > 0.0) and np.all(v_ > 0.0) and np.all(np.isfinite(a_)) and np.all(np.isfinite(v_))):
        raise CaseError("crossover: expected a = A/A_c and v = V/V_c above 0")
    if algebra not in ("exact", "paper"):
        raise CaseError(f'crossover: algebra = "{algebra}": expected "exact" or "paper"')

    # 1 - p² in terms of w = n + 2v: no cancellation at small n or v.
    def excess(n: Floats) -> Floats:
        w = n + 2.0 * v_
        unpolarized = (
            np.log(2.0 * w) - np.log1p(2.0 * w)
            if algebra == "exact"
            else np.log(w * (2.0 + w)) - 2.0 * np.log1p(w)
        )
        return unpolarized + math.log(2.0) + 2.0 * np.log(n / (2.0 * v_)) - np.log(a_)

    low = np.full(a_.shape, -320.0)
    high = np.full(a_.shape, 320.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = excess(np.exp(middle)) > 0.0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    n = np.exp(0.5 * (low + high))
    w = n + 2.0 * v_
    p = 1.0 / np.sqrt(1.0 + 2.0 * w) if algebra == "exact" else 1.0 / (1.0 + w)
    return Crossover(p, n, n / (v_ * np.sqrt(2.0 * a_)))


def volume_of_polarization(p: ArrayLike) -> Floats:
    """v0 = (1 − p)/(2p): below it a polarization p builds up even at vanishing injection (text of (S10), the
    paper's algebra)."""
    p_ = np.asarray(p, float)
    return (1.0 - p_) / (2.0 * p_)


@dataclass(frozen=True)
class TrapMaterial:
    """Properties of a material that limit the range of the model.

    Attributes
    ----------
    density_of_states
        ν in the normal state, per spin, 1/(eV µm³).
    gap
        Δ, eV.
    diffusivity
        D in the normal state, µm²/s.
    name
        Of the material, for messages.
    """

    density_of_states: float
    gap: float
    diffusivity: float
    name: str = "aluminium"


ALUMINIUM = TrapMaterial(density_of_states=17.2e9, gap=168e-6, diffusivity=1e9)
"""ν and Δ of Meyer, ref. 26; D = 10 cm²/s, usual for films of some 100 nm."""


def validity(
    cluster: Cluster, material: TrapMaterial = ALUMINIUM, *, parallel: bool = False
) -> tuple[str, ...]:
    """Return reasons against the model at these parameters, one sentence each; empty if there are none.

    Parameters
    ----------
    material
        From which the filling N/(V ν Δ) of the states near the gap follows, and the rate D/V^(2/3) at which
        diffusion mixes the trap.
    parallel
        True for an equation that takes all spins as parallel: the simplified and the Fokker-Planck equation.
    """
    state = stationary(cluster.replace(spin="quantum"))
    found = []
    if state.number < 1.0:
        found.append(f"the most probable number of quasiparticles is {state.number:.3g}, below 1")
    paper = cluster.algebra == "paper" and cluster.spin == "quantum"
    if (parallel or paper) and state.flipped > 0.1 * state.number:
        what = "the equation in N alone" if parallel else "the paper's algebra"
        found.append(
            f"a fraction {state.flipped / state.number:.3g} of the spins is flipped: {what} assumes that few "
            "are (m << N)"
        )
    filling = state.number / (cluster.volume * material.density_of_states * material.gap)
    if filling > 0.1:
        found.append(
            f"the filling N/(V ν Δ) = {filling:.3g} of the states near the gap is not small ({material.name})"
        )
    mixing = material.diffusivity / cluster.volume ** (2.0 / 3.0)
    fastest = max(cluster.injection, cluster.singlet * state.number, cluster.flip)
    if mixing < 10.0 * fastest:
        found.append(
            f"diffusion mixes the trap at {mixing:.3g} 1/s (D = {1e-8 * material.diffusivity:.3g} cm²/s), "
            f"not much faster than its events, {fastest:.3g} 1/s"
        )
    return tuple(found)
