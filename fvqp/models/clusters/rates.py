"""Parameters of a cluster of excess quasiparticles, their scales, and the rates of all events.

Source: J. S. Meyer, M. Houzet, Yu. V. Nazarov, Phys. Rev. Lett. 125, 097006 (2020), "Meyer" below, with the
corrections of docs/theory/spin_clusters.md. Rates are in 1/s, lengths in µm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.typing import Floats


@dataclass(frozen=True)
class Cluster:
    """A trap with N quasiparticles whose wave functions all overlap.

    Parameters
    ----------
    generation
        A, quasiparticles that arrive, 1/(s µm³).
    volume
        V, µm³.
    gamma
        Γ̄, rate constant of the annihilation of a singlet pair, µm³/s.
    gamma_t
        Γ̄_t, that of the spin-independent annihilation, µm³/s; 0 for none.
    tau_s
        τ_s, spin-flip time of one quasiparticle, s; infinite for no flips.
    spin
        `quantum`: total spin S = N/2 − m and its Clebsch-Gordan coefficients; `ising`: classical spins, up or
        down along a fixed axis.
    algebra
        Rates of quantum spins. `exact`: those of states that are invariant under rotations and permutations
        of the spins; `paper`: those of Meyer et al., for m ≪ N. Ising spins have no choice.

    Raises
    ------
    CaseError
        A number that is not finite or not positive; neither spin flips nor triplet annihilation (a polarized
        cluster would grow for ever).
    """

    generation: float
    volume: float
    gamma: float
    gamma_t: float
    tau_s: float
    spin: str = "quantum"
    algebra: str = "exact"

    def __post_init__(self) -> None:
        for name, unit in (("generation", "1/(s µm³)"), ("volume", "µm³"), ("gamma", "µm³/s")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise CaseError(f"cluster: {name} = {value} {unit}: expected a finite number above 0")
        if not (math.isfinite(self.gamma_t) and self.gamma_t >= 0.0):
            raise CaseError(f"cluster: gamma_t = {self.gamma_t} µm³/s: expected a finite number, 0 or more")
        if not self.tau_s > 0.0:
            raise CaseError(
                f"cluster: tau_s = {self.tau_s} s: expected a time above 0, or inf for no spin flips"
            )
        if self.spin not in ("quantum", "ising"):
            raise CaseError(f'cluster: spin = "{self.spin}": expected "quantum" or "ising"')
        if self.algebra not in ("exact", "paper"):
            raise CaseError(f'cluster: algebra = "{self.algebra}": expected "exact" or "paper"')
        if self.gamma_t == 0.0 and math.isinf(self.tau_s):
            raise CaseError(
                "cluster: gamma_t = 0 and tau_s = inf: nothing relaxes the spin, so there is no stationary "
                "state; give one of them"
            )

    @classmethod
    def from_scaled(
        cls,
        a: float,
        v: float,
        *,
        gamma: float,
        gamma_t: float,
        tau_s: float,
        spin: str = "quantum",
        algebra: str = "exact",
    ) -> Cluster:
        """The cluster at a = A/A_c and v = V/V_c."""
        if not (0.0 < gamma_t and math.isfinite(tau_s) and tau_s > 0.0):
            raise CaseError(
                "cluster: a and v are measured by A_c and V_c: gamma_t must be above 0, tau_s finite"
            )
        generation, volume = a * gamma / (gamma_t * tau_s) ** 2, v * gamma * tau_s
        return cls(generation, volume, gamma, gamma_t, tau_s, spin, algebra)

    def replace(self, **changes: float | str) -> Cluster:
        """A copy with other parameters."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def injection(self) -> float:
        """AV, 1/s."""
        return self.generation * self.volume

    @property
    def singlet(self) -> float:
        """Γ̄/V, 1/s."""
        return self.gamma / self.volume

    @property
    def triplet(self) -> float:
        """Γ̄_t/V, 1/s."""
        return self.gamma_t / self.volume

    @property
    def flip(self) -> float:
        """1/τ_s, 1/s."""
        return 1.0 / self.tau_s

    @property
    def critical_number(self) -> float:
        """N_c = Γ̄/Γ̄_t."""
        return self.gamma / self.gamma_t if self.gamma_t else math.inf

    @property
    def critical_volume(self) -> float:
        """V_c = Γ̄ τ_s, µm³."""
        return self.gamma * self.tau_s

    @property
    def critical_generation(self) -> float:
        """A_c = Γ̄/(Γ̄_t τ_s)², 1/(s µm³)."""
        if self.gamma_t == 0.0:
            return math.inf
        return self.gamma / (self.gamma_t * self.tau_s) ** 2

    @property
    def unpolarized_number(self) -> float:
        """N_unpol = c0 V with c0 = (2A/Γ̄)^(1/2)."""
        return self.volume * math.sqrt(2.0 * self.generation / self.gamma)


def singlet_constant(tau_0: float, dos: float, gap: float, gap_ratio: float = 1.76) -> float:
    """Γ̄ = 4 (Δ/k_B T_c)³ / (τ0 ν Δ), µm³/s (Meyer, ref. 26).

    Parameters
    ----------
    tau_0
        Electron-phonon time, s.
    dos
        ν, density of states per spin in the normal state, 1/(eV µm³).
    gap
        Δ, eV.
    gap_ratio
        Δ/(k_B T_c).
    """
    for name, value in (("tau_0", tau_0), ("dos", dos), ("gap", gap), ("gap_ratio", gap_ratio)):
        if not (math.isfinite(value) and value > 0.0):
            raise CaseError(f"Γ̄: {name} = {value}: expected a finite number above 0")
    return 4.0 * gap_ratio**3 / (tau_0 * dos * gap)


def spin_flip_time(tau_0: float, spin_orbit: float, excess: float, suppression: float = 1.0) -> float:
    """τ_s = τ0 / [α_so² (δε/Δ)^(7/2) K], s (Meyer, text after Fig. 1).

    `excess`: δε/Δ, the energy window of the quasiparticles above the gap; `suppression`: K.
    """
    for name, value in (
        ("tau_0", tau_0), ("spin_orbit", spin_orbit), ("excess", excess), ("suppression", suppression)
    ):  # fmt: skip
        if not (math.isfinite(value) and value > 0.0):
            raise CaseError(f"τ_s: {name} = {value}: expected a finite number above 0")
    return tau_0 / (spin_orbit**2 * excess**3.5 * suppression)


def aluminium(generation: float, volume: float, *, spin: str = "quantum", algebra: str = "exact") -> Cluster:
    """Aluminium with the constants that Meyer et al. settle on: Γ̄ = 18 µm³/s, Γ̄_t = 1e-4 Γ̄, τ_s = 10 s.

    The formulas with the same inputs give 18.9 µm³/s (`singlet_constant`) and 12.6 s (`spin_flip_time`).
    """
    return Cluster(generation, volume, gamma=18.0, gamma_t=18e-4, tau_s=10.0, spin=spin, algebra=algebra)


Rate = Callable[[Floats, Floats], Floats]
Step = tuple[int, int]


def events(cluster: Cluster) -> dict[Step, Rate]:
    """Rates (1/s) of all events, by the step (ΔM, Δm) that they make.

    A state is (M, m): M = 2S = N − 2m twice the spin, m the number of flipped spins, so that N = M + 2m and
    N − m = M + m. Singlet annihilation leaves M alone, which makes M slow and m fast.
    Each rate takes arrays M, m of the state that the event starts from; estimates call it between integers,
    where it is not negative either. Events with equal steps are added up. The exact rates never leave M ≥ 0;
    with those of the paper, whoever sums over states drops steps to M < 0. Ising spins are mirrored, since
    (M, m) stands there for both directions of the polarization, with m spins in the minority.

    Source: docs/theory/spin_clusters.md; `paper`: Meyer, text before Eq. (1) and Eq. (S4).
    """
    if cluster.spin == "ising":
        return _ising_events(cluster)
    return _exact_events(cluster) if cluster.algebra == "exact" else _paper_events(cluster)


def _exact_events(cluster: Cluster) -> dict[Step, Rate]:
    """Events that change M go through a spin or a pair that is added or taken out; their probabilities are
    ratios of numbers of multiplets, (M + 1)/(N − m + 1) · C(N, m) of total spin M/2."""
    half = 0.5 * cluster.injection
    singlet, triplet, flip = cluster.singlet, cluster.triplet, cluster.flip
    return {
        (1, 0): lambda M, m: half * (1.0 + 1.0 / (M + 1.0)),
        (-1, 1): lambda M, m: half * (1.0 - 1.0 / (M + 1.0)),
        # m(N − m + 1)/2 pairs are in a singlet, and as many in a triplet that leaves M, unless M = 0.
        (0, -1): lambda M, m: (singlet + np.where(M > 0.0, 1.0, 0.5) * triplet) * m * (M + m + 1.0),
        (-2, 1): lambda M, m: flip * (M + m + 1.0) * np.maximum(M - 1.0, 0.0) / (M + 1.0),
        (2, -1): lambda M, m: flip * m * (M + 3.0) / (M + 1.0),
        (-2, 0): lambda M, m: 0.5 * triplet * (M + m) * (M + m + 1.0) * np.maximum(M - 1.0, 0.0) / (M + 1.0),
        (2, -2): lambda M, m: 0.5 * triplet * m * np.maximum(m - 1.0, 0.0) * (M + 3.0) / (M + 1.0),
    }


def _paper_events(cluster: Cluster) -> dict[Step, Rate]:
    """Rates as printed, with N − m in place of M = 2S; at M = 0, where the spin cannot fall, every arrival
    raises it."""
    half = 0.5 * cluster.injection
    singlet, triplet, flip = cluster.singlet, cluster.triplet, cluster.flip
    return {
        (1, 0): lambda M, m: half * np.where(M > 0.0, 1.0 + 1.0 / (M + m + 1.0), 2.0),
        (-1, 1): lambda M, m: half * np.where(M > 0.0, 1.0 - 1.0 / (M + m + 1.0), 0.0),
        (0, -1): lambda M, m: (singlet + triplet) * (M + m) * m,
        (-2, 1): lambda M, m: flip * (M + m),
        (2, -1): lambda M, m: flip * m,
        (-2, 0): lambda M, m: 0.5 * triplet * (M + m) * np.maximum(M + m - 1.0, 0.0),
        (2, -2): lambda M, m: 0.5 * triplet * m * np.maximum(m - 1.0, 0.0),
    }


def _ising_events(cluster: Cluster) -> dict[Step, Rate]:
    """Rates of classical spins: from M = 1 a flip of the majority gives M = −1, the same state, and from
    M = 0 every flip gives M = 2."""
    half = 0.5 * cluster.injection
    singlet, triplet, flip = cluster.singlet, cluster.triplet, cluster.flip
    return {
        (1, 0): lambda M, m: np.where(M == 0.0, 2.0 * half, half),
        (-1, 1): lambda M, m: np.where(M > 0.0, half, 0.0),
        (0, -1): lambda M, m: (
            (singlet + triplet) * (M + m) * m
            + np.where(M == 1.0, 0.5 * triplet * (M + m) * (M + m - 1.0), 0.0)
        ),
        (-2, 1): lambda M, m: np.where(M > 1.0, flip * (M + m), 0.0),
        (2, -1): lambda M, m: np.where(M == 0.0, 2.0 * flip * m, flip * m),
        (-2, 0): lambda M, m: np.where(M > 1.0, 0.5 * triplet * (M + m) * (M + m - 1.0), 0.0),
        (2, -2): lambda M, m: np.where(M == 0.0, 1.0, 0.5) * triplet * m * np.maximum(m - 1.0, 0.0),
    }


def spin_square(cluster: Cluster, M: ArrayLike) -> Floats:
    """⟨M_z²⟩ of a state with M = 2S: M(M + 2)/3 in any direction; of Ising spins M², along their axis."""
    M_ = np.asarray(M, float)
    return np.asarray(M_**2 if cluster.spin == "ising" else M_ * (M_ + 2.0) / 3.0)


def spin_events(cluster: Cluster) -> dict[Step, Rate]:
    """Rates (1/s) with which events carry the mean spin to another state, by their steps, as `events`.

    The probability of a state times the mean of one component of its spin obeys a linear system of its own
    (angular momentum 1): every event leaves its state as `events` say, and brings to the next one what is
    left of the mean spin. A component of S is left by the factor (S' + 1)/(S + 1) if the event raises S, by
    S'/S if it lowers S, and by 1 − 1/S(S + 1) if a triplet pair annihilates without changing S; of Ising
    spins by the ratio of the signed M. The step (0, 0) is what flips take from states that they leave
    unchanged, below 0.

    Source: docs/theory/spin_clusters.md, Noise of the spin.
    """
    table = events(cluster)
    triplet, flip = cluster.triplet, cluster.flip
    gains: dict[Step, Rate] = {
        step: _carried(cluster, rate, step[0]) for step, rate in table.items() if step[0] != 0
    }
    if cluster.spin == "ising":
        # From M = 1 a flip, or the annihilation of two of the majority, turns the spin round.
        gains[0, -1] = lambda M, m: (
            table[0, -1](M, m) - np.where(M == 1.0, triplet * (M + m) * (M + m - 1.0), 0.0)
        )
        gains[0, 0] = lambda M, m: np.where(M == 1.0, -2.0 * flip * (M + m), 0.0)
        return gains
    exact = 1.0 if cluster.algebra == "exact" else 0.0
    # Half of the opposite pairs are in a triplet; 1/S(S + 1) = 4/M(M + 2).
    gains[0, -1] = lambda M, m: (
        table[0, -1](M, m)
        - np.where(M > 0.0, 2.0 * triplet * m * (M + m + exact) / np.maximum(M * (M + 2.0), 1.0), 0.0)
    )
    # In all, flips take 2/τ_s; the paper has none that leave the state unchanged.
    gains[0, 0] = lambda M, m: np.where(
        M > 0.0, -2.0 * exact * flip * (M + 2.0 * m + 2.0) / np.maximum(M * (M + 2.0), 1.0), 0.0
    )
    return gains


def _carried(cluster: Cluster, rate: Rate, step: int) -> Rate:
    return lambda M, m: rate(M, m) * kept_spin(cluster, M, step)


def kept_spin(cluster: Cluster, M: ArrayLike, step: int) -> Floats:
    """Factor by which a component of the mean spin is left when M changes by `step`, not 0; 0 from M = 0."""
    M_ = np.asarray(M, float)
    if step > 0 and cluster.spin == "quantum":
        return np.where(M_ > 0.0, (M_ + 2.0 + step) / (M_ + 2.0), 0.0)
    return np.where(M_ > 0.0, (M_ + step) / np.maximum(M_, 1.0), 0.0)


def checked_times(times: ArrayLike) -> Floats:
    """Times of an evolution (s); `CaseError` unless they are increasing and 0 or later."""
    t = np.asarray(times, float)
    if t.ndim != 1 or t.size == 0 or t[0] < 0.0 or not (np.diff(t) > 0.0).all():
        raise CaseError("cluster: times: expected one or more increasing numbers, 0 or later (s)")
    return t


def check_lost(lost: float) -> None:
    """`CaseError` unless `lost` can be a bound on a probability."""
    if not 0.0 < lost < 1.0:
        raise CaseError(f"cluster: lost probability {lost}: expected a number between 0 and 1, such as 1e-10")
