"""Densities instead of distributions: the equations of Rothwarf and Taylor, and those without phonons.

    dn/dt = I_qp + (2/τ_B) N − R n² − (n − n_T)/τ_tr
    dN/dt = I_ph + ½ R n² − N/τ_B − (N − N_T)/τ_esc

n is the density of quasiparticles, N that of phonons that can break pairs (A. Rothwarf, B. N. Taylor,
Phys. Rev. Lett. 19, 27 (1967); theory: Rothwarf-Taylor). R counts both quasiparticles that an event removes.
Any consistent units will do; `RothwarfTaylor.from_material` gives SI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.materials import Material, pair_breaking_time, recombination_constant
from fvqp.models.boltzmann.coupling import gap_at, thermal_density
from fvqp.typing import Floats


@dataclass(frozen=True)
class TrappingModel:
    """Recombination and constant trapping, ``dn/dt = G − R (n² − n_T²) − (n − n_T)/τ_tr``.

    Attributes:
        recombination: R ≥ 0, volume/time.
        trapping_time: τ_tr > 0; infinite without trapping.
        thermal_density: n_T ≥ 0, to which both lead.
    """

    recombination: float
    trapping_time: float = math.inf
    thermal_density: float = 0.0

    def __post_init__(self) -> None:
        _check(self, at_least_zero=("recombination", "thermal_density"), times=("trapping_time",))

    def steady(self, generation: float = 0.0) -> float:
        """Density under constant generation G ≥ 0 of quasiparticles per volume and time.

        Raises:
            CaseError: G < 0, or nothing removes quasiparticles.
        """
        _not_negative("generation", generation)
        linear = 2.0 * self.recombination * self.thermal_density + 1.0 / self.trapping_time
        root = math.sqrt(linear**2 + 4.0 * self.recombination * generation)
        if linear + root == 0.0 and generation > 0.0:
            raise CaseError(
                "no steady state: neither recombination with escape of phonons nor trapping removes "
                "what is generated"
            )
        excess = 2.0 * generation / (linear + root) if generation > 0.0 else 0.0
        return self.thermal_density + excess

    def decay(self, start: float, times: ArrayLike, generation: float = 0.0) -> Floats:
        """n(t) from n(0) = ``start``, exactly; ``1/n − 1/n(0) = R t`` if nothing but R acts."""
        _not_negative("start", start)
        t = np.asarray(times, dtype=np.float64)
        if not np.all(t >= 0.0):
            raise CaseError("decay: times must not be negative")
        r = self.recombination
        if r == 0.0 and math.isinf(self.trapping_time):
            return start + generation * t
        rest = self.steady(generation)
        rate = 2.0 * r * rest + 1.0 / self.trapping_time
        excess = start - rest
        # (1 − e^{−Γt})/Γ, which is t where nothing but n² relaxes
        elapsed = -np.expm1(-rate * t) / rate if rate > 0.0 else t
        return np.asarray(rest + excess * np.exp(-rate * t) / (1.0 + r * excess * elapsed))


@dataclass(frozen=True)
class RothwarfTaylor:
    """Quasiparticles and pair-breaking phonons.

    Attributes:
        recombination: R > 0, volume/time.
        pair_breaking_time: τ_B > 0 of a phonon.
        escape_time: τ_esc > 0 of a phonon to the bath; infinite if none escapes.
        trapping_time: τ_tr > 0 of a quasiparticle; infinite without trapping.
        thermal_density: n_T ≥ 0 in equilibrium with the bath.
    """

    recombination: float
    pair_breaking_time: float
    escape_time: float = math.inf
    trapping_time: float = math.inf
    thermal_density: float = 0.0

    def __post_init__(self) -> None:
        _check(
            self,
            at_least_zero=("recombination", "thermal_density"),
            times=("pair_breaking_time", "escape_time", "trapping_time"),
        )
        if math.isinf(self.pair_breaking_time):
            raise CaseError(
                "Rothwarf-Taylor model: pair_breaking_time must be finite; phonons that break no pairs need "
                "no equation, take TrappingModel"
            )

    @classmethod
    def from_material(
        cls,
        material: Material,
        *,
        escape_time: float = math.inf,
        trapping_time: float = math.inf,
        temperature: float = 0.0,
    ) -> RothwarfTaylor:
        """Model of a material in SI units: m³/s, s, 1/m³.

        R is that of cold quasiparticles (relative corrections of order k_BT/Δ), τ_B that of phonons of energy
        2Δ and follows from the other numbers; both with the gap of the temperature.

        Args:
            material: with the numbers of electron-phonon kinetics.
            escape_time, trapping_time: seconds.
            temperature: of the bath, kelvin; below T_c.
        """
        recombination, breaking = recombination_constant(material), pair_breaking_time(material)
        reduced = gap_at(material, temperature) / material.gap
        # R ∝ Δ², and 1/τ_B(2Δ) = (1/τ0^pb) Δ/Δ0
        return cls(
            recombination=recombination * reduced**2,
            pair_breaking_time=breaking / reduced,
            escape_time=escape_time,
            trapping_time=trapping_time,
            thermal_density=thermal_density(material, temperature),
        )

    @property
    def thermal_phonons(self) -> float:
        """N_T, in detailed balance with n_T: ``2 N_T/τ_B = R n_T²``."""
        return 0.5 * self.recombination * self.thermal_density**2 * self.pair_breaking_time

    @property
    def breaking_probability(self) -> float:
        """Probability that a phonon breaks a pair before it escapes, ``1/(1 + τ_B/τ_esc)``."""
        return 1.0 / (1.0 + self.pair_breaking_time / self.escape_time)

    @property
    def reduced(self) -> TrappingModel:
        """Without phonons, which follow at once if they are fast: ``R_eff = R/(1 + τ_esc/τ_B)``.

        Its steady states are exact with ``G = I_qp + 2 p I_ph``, p the `breaking_probability`; its decay
        holds if the quasiparticles in phonons are few, ``R n τ_B τ_esc/(τ_B + τ_esc) ≪ 1``.
        """
        trapping = 1.0 / (1.0 + self.escape_time / self.pair_breaking_time)
        return TrappingModel(self.recombination * trapping, self.trapping_time, self.thermal_density)

    def steady(self, quasiparticles: float = 0.0, phonons: float = 0.0) -> tuple[float, float]:
        """Densities (n, N) under constant injection of quasiparticles and phonons, in closed form.

        Raises:
            CaseError: negative injection, or nothing takes away what is injected.
        """
        _not_negative("injection of quasiparticles", quasiparticles)
        _not_negative("injection of phonons", phonons)
        n = self.reduced.steady(quasiparticles + 2.0 * self.breaking_probability * phonons)
        loss = 1.0 / self.pair_breaking_time + 1.0 / self.escape_time
        source = phonons + 0.5 * self.recombination * n**2 + self.thermal_phonons / self.escape_time
        return n, source / loss

    def rates(self, n: float, N: float, quasiparticles: float, phonons: float) -> tuple[float, float]:
        """``(dn/dt, dN/dt)`` with these injections."""
        pairs = 0.5 * self.recombination * n * n - N / self.pair_breaking_time
        trapped = (n - self.thermal_density) / self.trapping_time
        escaped = (N - self.thermal_phonons) / self.escape_time
        return quasiparticles - 2.0 * pairs - trapped, phonons + pairs - escaped


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise CaseError(f"{name}: must be a finite number ≥ 0, found {value:g}")


def _check(model: object, at_least_zero: tuple[str, ...], times: tuple[str, ...]) -> None:
    for name in at_least_zero:
        _not_negative(name, getattr(model, name))
    for name in times:
        if not getattr(model, name) > 0.0:
            raise CaseError(f"{name}: must be positive or infinite, found {getattr(model, name):g}")
