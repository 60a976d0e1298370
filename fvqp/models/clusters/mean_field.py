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
from fvqp.models.clusters.rates import Cluster, FloatArray, checked_times


@dataclass(frozen=True)
class MeanField:
    """A cluster in mean field: N quasiparticles of which m have flipped spins."""

    number: float
    flipped: float

    @property
    def polarization(self) -> float:
        """p = 1 − 2m/N."""
        return 1.0 - 2.0 * self.flipped / self.number


def rates_of_change(cluster: Cluster, number: ArrayLike, flipped: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """dN/dt and dm/dt, 1/s (Meyer, Eqs. (1), (2); without 1/(N − m) for Ising spins)."""
    N, m = np.asarray(number, float), np.asarray(flipped, float)
    pairs = (N - m) * m
    kept = 1.0 - 1.0 / (N - m) if cluster.spin == "quantum" else 1.0
    dN = cluster.injection - 2.0 * cluster.singlet * pairs - cluster.triplet * N**2
    dm = (
        0.5 * cluster.injection * kept - cluster.singlet * pairs - cluster.triplet * N * m
        + cluster.flip * (N - 2.0 * m)
    )  # fmt: skip
    return dN, dm


def stationary(cluster: Cluster) -> MeanField:
    """The stationary solution of the mean-field equations.

    Quantum spins: with u = N − m, dN/dt − 2 dm/dt = 0 reads AV/u = (Γ̄_t N/V + 2/τ_s)(N − 2m) (S8), and
    dN/dt = 0 gives m(u); one bracketed root in u. Ising spins: m = N/2, N = N_unpol (1 + Γ̄_t/... )
    from dN/dt = 0.
    """
    injection, singlet, triplet, flip = cluster.injection, cluster.singlet, cluster.triplet, cluster.flip
    if cluster.spin == "ising":
        number = math.sqrt(injection / (0.5 * singlet + triplet))
        return MeanField(number, 0.5 * number)

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
    return MeanField(u + m, m)


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


def evolve(
    cluster: Cluster, number: float, flipped: float, times: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """N(t) and m(t) of the mean-field equations at `times` (s, increasing from 0).

    Raises
    ------
    CaseError
        A start outside 0 ≤ m ≤ N/2, or N − m below 1 for quantum spins, where Eq. (2) has no meaning.
    ConvergenceError
        The integration stopped before the last time.
    """
    t = checked_times(times)
    if not 0.0 <= flipped <= 0.5 * number or (cluster.spin == "quantum" and number - flipped < 1.0):
        raise CaseError(
            f"cluster: start N = {number}, m = {flipped}: expected 0 <= m <= N/2 and N - m of at least 1"
        )
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

    polarization: FloatArray
    number: FloatArray
    enhancement: FloatArray


def crossover(a: ArrayLike, v: ArrayLike) -> Crossover:
    """The cross-over between polarized and unpolarized clusters (Meyer, Eq. (S9), Fig. S1).

    n = (1 − p)/p − 2v and a = 2 (1 − p²) [(1 − p)/(2vp) − 1]²; of its roots p, the one with n > 0. There the
    right-hand side falls from ∞ at p = 0 to 0 at p = 1/(1 + 2v), so that the root is unique; it is found by
    bisection. `a` and `v` are broadcast. With N_unpol = V (2A/Γ̄)^(1/2), N/N_unpol = n/(v (2a)^(1/2)).

    Raises
    ------
    CaseError
        a or v not above 0.
    """
    a_, v_ = np.broadcast_arrays(np.asarray(a, float), np.asarray(v, float))
    if not (np.all(a_ > 0.0) and np.all(v_ > 0.0) and np.all(np.isfinite(a_)) and np.all(np.isfinite(v_))):
        raise CaseError("crossover: expected a = A/A_c and v = V/V_c above 0")

    # In terms of n: p = 1/(1 + n + 2v), and (1 - p)/(2vp) - 1 = n/(2v); no cancellation at small n or v.
    def excess(n: FloatArray) -> FloatArray:
        w = n + 2.0 * v_
        return np.log(2.0 * w * (2.0 + w)) - 2.0 * np.log1p(w) + 2.0 * np.log(n / (2.0 * v_)) - np.log(a_)

    low = np.full(a_.shape, -320.0)
    high = np.full(a_.shape, 320.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = excess(np.exp(middle)) > 0.0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    n = np.exp(0.5 * (low + high))
    return Crossover(1.0 / (1.0 + n + 2.0 * v_), n, n / (v_ * np.sqrt(2.0 * a_)))


def volume_of_polarization(p: ArrayLike) -> FloatArray:
    """v0 = (1 − p)/(2p): below it a polarization p builds up even at vanishing injection (text of (S10))."""
    p_ = np.asarray(p, float)
    return (1.0 - p_) / (2.0 * p_)


def validity(
    cluster: Cluster, *, filling: float | None = None, diffusion_rate: float | None = None
) -> tuple[str, ...]:
    """What speaks against the model at these parameters, one sentence each; empty if nothing does.

    Parameters
    ----------
    filling
        N/(V ν Δ), the occupation of the states near the gap, if known.
    diffusion_rate
        D/V^(2/3), 1/s, if known: the rate at which diffusion mixes the trap.
    """
    state = stationary(cluster.replace(spin="quantum"))
    found = []
    if state.number < 1.0:
        found.append(f"the most probable number of quasiparticles is {state.number:.3g}, below 1")
    if state.flipped > 0.1 * state.number and cluster.spin == "quantum":
        found.append(
            f"a fraction {state.flipped / state.number:.3g} of the spins is flipped: the model assumes "
            "that few are (m << N)"
        )
    if filling is not None and filling > 0.1:
        found.append(f"the filling N/(V ν Δ) = {filling:.3g} is not small")
    if diffusion_rate is not None:
        fastest = max(cluster.injection, cluster.singlet * state.number, cluster.flip)
        if diffusion_rate < 10.0 * fastest:
            found.append(
                f"diffusion mixes the trap at {diffusion_rate:.3g} 1/s, not much faster than its events, "
                f"{fastest:.3g} 1/s"
            )
    return tuple(found)
