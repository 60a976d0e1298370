"""From a disordered superconductor to the two numbers of the model: radius r_c and constant Γ̄.

Tail of localized states below a gap edge smoothed by disorder: Larkin and Ovchinnikov (1972), with the
prefactors of Bespalov et al., PRL 117, 117002 (2016), Eqs. (3)-(6). Derivations: docs/theory/localized.md.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

from scipy import constants
from scipy.optimize import brentq
from scipy.special import gamma, gammaincc, zeta

from fvqp.errors import CaseError
from fvqp.models.localized.laws import TailAnnihilation, positive

log = logging.getLogger(__name__)

FLUCTUATION_FACTOR = 5.0 / (48.0 * math.pi) * 1.5**0.75
"""a₁ = 0.0449 of ``F = a₁ (δΔ)²/(Δ² ξ₀³)``; follows from Eq. (4) and first-order perturbation theory."""

DENSITY_FACTOR = (20.0 / 7.0) * math.sqrt(
    5.0
    * math.pi**7
    / (7.0 * (20.0 * math.pi**6 * zeta(3) + 279.0 * math.pi**4 * zeta(5) - 22995.0 * zeta(9)))
)
"""a₂ = 0.789 of ``ν_T = a₂ ν₀ √(ε_T Δ)/ε_g``."""


@dataclass(frozen=True)
class TailStates:
    """Localized states below the gap edge ``E_g = Δ − ε_g`` of a diffusive superconductor, SI units.

    Attributes:
        gap: Δ, joule.
        diffusivity: D of the normal metal, m²/s.
        density_of_states: ν₀ of the normal metal, 1/(J m³).
        tail_energy: ε_T, joule, the scale of the exponential tail; see `from_fluctuations`.
        edge_shift: ε_g, joule, by which disorder lowers and rounds the gap edge.
        electron_phonon_time: τ₀ of Kaplan et al. (1976), seconds.
        gap_ratio: Δ/(k_B T_c).
        warnings: where the asymptotic formulas are used outside of their range.

    Raises `CaseError`: numbers that are not positive; fewer than one lower state that overlaps at ε_T
    (``overlap_number ≤ 1``), so that nothing relaxes and the radius is not defined.
    """

    gap: float
    diffusivity: float
    density_of_states: float
    tail_energy: float
    edge_shift: float
    electron_phonon_time: float
    gap_ratio: float = 1.764
    warnings: tuple[str, ...] = field(default=(), init=False, compare=False)

    def __post_init__(self) -> None:
        for name in (
            "gap",
            "diffusivity",
            "density_of_states",
            "tail_energy",
            "edge_shift",
            "electron_phonon_time",
            "gap_ratio",
        ):
            positive(getattr(self, name), name)
        if self.edge_shift >= self.gap:
            raise CaseError(
                f"edge_shift: {self.edge_shift:.4g} J is not less than the gap, {self.gap:.4g} J: there is "
                "no gap edge"
            )
        if self.overlap_number <= 1.0:
            raise CaseError(
                f"tail_energy: at the edge a state overlaps with N_T = {self.overlap_number:.3g} lower ones; "
                "more than 1 is needed for quasiparticles to relax to a radius of their own"
            )
        found = []
        if self.tail_energy > self.edge_shift:
            found.append(
                "tail_energy is not below edge_shift: the tail is not separate from the rounded edge"
            )
        elif self.relaxation_energy > self.edge_shift:
            found.append(
                "relaxation_energy is above edge_shift: the asymptotic tail is used beyond its range"
            )
        if math.log(self.overlap_number) < 2.0:
            found.append(
                f"ln N_T = {math.log(self.overlap_number):.2g}: radius and relaxation energy are defined "
                "to a relative accuracy 1/ln N_T only"
            )
        object.__setattr__(self, "warnings", tuple(found))
        for text in found:
            log.warning("localized states: %s", text)

    @classmethod
    def from_fluctuations(
        cls,
        *,
        gap: float,
        diffusivity: float,
        density_of_states: float,
        fluctuation: float,
        edge_shift: float,
        electron_phonon_time: float,
        gap_ratio: float = 1.764,
    ) -> TailStates:
        """With ``fluctuation`` = (δΔ)² of ``⟨⟨Δ(r)Δ(r')⟩⟩ = (δΔ)² δ(r − r')``, J² m³, instead of ε_T."""
        for name, value in (("gap", gap), ("diffusivity", diffusivity), ("fluctuation", fluctuation)):
            positive(value, name)
        length = math.sqrt(constants.hbar * diffusivity / gap)
        strength = FLUCTUATION_FACTOR * fluctuation / (gap**2 * length**3)
        return cls(
            gap=gap,
            diffusivity=diffusivity,
            density_of_states=density_of_states,
            tail_energy=strength**0.8 * gap,
            edge_shift=edge_shift,
            electron_phonon_time=electron_phonon_time,
            gap_ratio=gap_ratio,
        )

    @property
    def coherence_length(self) -> float:
        """ξ₀ = √(ħD/Δ), metres."""
        return math.sqrt(constants.hbar * self.diffusivity / self.gap)

    @property
    def strength(self) -> float:
        """F = (ε_T/Δ)^{5/4}, the dimensionless intensity of the fluctuations."""
        return (self.tail_energy / self.gap) ** 1.25

    @property
    def fluctuation(self) -> float:
        """(δΔ)², J² m³."""
        return self.strength * self.gap**2 * self.coherence_length**3 / FLUCTUATION_FACTOR

    @property
    def cooper_pairs(self) -> float:
        """g = π ν₀ Δ ξ₀³: Cooper pairs in a coherence volume."""
        return math.pi * self.density_of_states * self.gap * self.coherence_length**3

    @property
    def edge_density(self) -> float:
        """ν_T = a₂ ν₀ √(ε_T Δ)/ε_g, 1/(J m³)."""
        root = math.sqrt(self.tail_energy * self.gap)
        return DENSITY_FACTOR * self.density_of_states * root / self.edge_shift

    @property
    def overlap_number(self) -> float:
        """N_T = (4/5) ν_T ε_T L_T³: lower states that overlap with one at ε_T."""
        return 0.8 * self.edge_density * self.tail_energy * self.localization_length(self.tail_energy) ** 3

    def localization_length(self, depth: float) -> float:
        """L(ε) = ξ₀ [2Δ/(3ε)]^{1/4} at ``depth`` ε below the edge (joule), metres."""
        positive(depth, "depth below the gap edge")
        return self.coherence_length * (2.0 * self.gap / (3.0 * depth)) ** 0.25

    def density(self, depth: float) -> float:
        """ν(ε) of the tail, 1/(J m³) (their Eq. 3), for ε_T ≪ ε ≪ ε_g."""
        positive(depth, "depth below the gap edge")
        x = depth / self.tail_energy
        return self.edge_density * x**1.125 * math.exp(-(x**1.25))

    def overlapping(self, depth: float) -> float:
        """``L³(ε) ∫_ε^∞ ν dε'``: lower states that overlap with one at ε; the integral is exact."""
        positive(depth, "depth below the gap edge")
        y = (depth / self.tail_energy) ** 1.25
        below = 0.8 * self.edge_density * self.tail_energy * gamma(1.7) * gammaincc(1.7, y)
        return float(below) * self.localization_length(depth) ** 3

    @property
    def relaxation_energy(self) -> float:
        """ε_c = ε_T (ln N_T)^{4/5}, where relaxation stops, joule; to leading order in ln N_T."""
        return self.tail_energy * math.log(self.overlap_number) ** 0.8

    @property
    def resolved_relaxation_energy(self) -> float:
        """The depth at which `overlapping` is 1, joule: how much the leading order leaves open."""
        low, high = 1e-6 * self.tail_energy, 1e3 * self.tail_energy
        return float(brentq(lambda e: math.log(self.overlapping(e) + 1e-300), low, high, xtol=1e-12 * low))

    @property
    def radius(self) -> float:
        """r_c = L(ε_c)/2, metres (their Eq. 6)."""
        return 0.5 * self.localization_length(self.relaxation_energy)

    @property
    def relaxation_rate(self) -> float:
        """γ(Δ) = (3τ₀)⁻¹ (Δ/k_B T_c)³: electron-phonon rate of the normal metal at energy Δ, 1/s."""
        return self.gap_ratio**3 / (3.0 * self.electron_phonon_time)

    @property
    def annihilation_constant(self) -> float:
        """Γ̄ = 24 γ(Δ)/(ν₀ Δ), m³/s."""
        return 24.0 * self.relaxation_rate / (self.density_of_states * self.gap)

    def annihilation(self) -> TailAnnihilation:
        """The pair rate that a simulation or a law of annihilation takes."""
        return TailAnnihilation(self.radius, self.annihilation_constant)
