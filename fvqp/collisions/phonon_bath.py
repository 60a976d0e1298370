"""Collisions of f_L, or of f_L and f_T, with phonons of a bath.

What a bath exchanges does not depend on electrons: sums over partners are linear in the distributions, and
are taken over pairs of bins on any axis (theory: phonon_relaxation, charge_mode). Energies are in units of
Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.collisions.integrals import Spectra, SummedRates
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


@dataclass(frozen=True)
class PhononBath:
    """Phonons that quasiparticles collide with.

    Attributes:
        strength: γ_ep = ħ/(Δ0 τ0), with τ0 of the material.
        kappa: Δ0/k_BT_c of the material, to whose third power rates in 1/τ0 are proportional.
        temperature: of the bath, units of Δ0/k_B.
        escape_time: τ_esc/τ0 after which a phonon is in the bath; None for phonons that are always there.
        pair_breaking_time: τ0^pb/τ0, which says how many phonon modes there are; with ``escape_time`` only.
    """

    strength: float
    kappa: float
    temperature: float
    escape_time: float | None = None
    pair_breaking_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("strength", "kappa", "temperature"):
            if not getattr(self, name) > 0.0:
                raise CaseError(f"phonons: {name} must be positive, found {getattr(self, name):g}")
        if (self.escape_time is None) != (self.pair_breaking_time is None):
            raise CaseError(
                "phonons: escape_time and pair_breaking_time belong together: phonons with an occupation of "
                "their own need both, those of a bath neither"
            )
        if self.escape_time is not None and not self.escape_time > 0.0:
            raise CaseError(f"phonons: escape_time must be positive, found {self.escape_time:g}")

    @property
    def own(self) -> bool:
        """True for phonons with an occupation of their own."""
        return self.escape_time is not None

    def largest_rate(self, maximum: float) -> float:
        """Loss rate of an electron of energy ``maximum`` in a cold normal metal."""
        return self.strength * (self.kappa * maximum) ** 3 / 3.0

    def emission(self, omega: Floats) -> tuple[Floats, Floats]:
        """Rates of emission ``A + |C|`` and absorption ``A − |C|`` at ω > 0 (theory: charge_mode)."""
        coupling, x = self.strength * self.kappa**3 * omega**2, omega / self.temperature
        occupation = np.divide(-np.exp(-x), np.expm1(-x), out=np.zeros_like(x), where=x > 0.0)
        return coupling * (1.0 + occupation), coupling * occupation


class BathCollisions:
    """Collisions with phonons of a bath, whose A and C of all pairs of bins are matrices.

    On 400 equal bins sums by transforms took 0.5 to 0.7 of the time; on 200, more.

    Args:
        grid: energy bins; their centres are the energies of the quasiparticles.
        phonons: of a bath.

    Raises:
        CaseError: phonons with an occupation of their own.
    """

    rounding = 0.0

    def __init__(self, grid: EnergyAxis, phonons: PhononBath) -> None:
        if phonons.own:
            raise CaseError(
                "collisions: phonons with an occupation of their own are none of a bath; "
                "fvqp.collisions.phonon_relaxation has them"
            )
        self.largest_rate = self.unkept_rate = phonons.largest_rate(grid.maximum)
        self._kept = None, grid.widths
        # Columns are first energies.
        first, second = grid.energies, grid.energies[:, None]
        emitted, absorbed = phonons.emission(np.abs(first - second))
        down, up = np.where(first > second, (emitted, absorbed), (absorbed, emitted))
        made, broken = phonons.emission(first + second)
        widths = grid.widths[:, None]
        # Small differences of A and C are not taken: what few quasiparticles do has all its digits.
        self.out, self.out_paired, self.few = (
            widths * part for part in (down + broken, down - broken, 2.0 * broken)
        )
        self.back, self.back_paired = widths * (up - broken), widths * (up + broken)
        self.odd_C, self.even_C = (0.5 * widths * (up - down + sign * (broken - made)) for sign in (-1, 1))
        self.even_A = 0.5 * widths * (up + down + broken + made)

    def at(self, spectra: Spectra, f: Floats) -> SummedRates:
        """The rates at distributions ``f[cell, component, bin]`` (the whole, not a deviation)."""
        return SummedRates(_SumsOverPairs(self, spectra, f), spectra, f, self._kept)


class _SumsOverPairs:
    """Sums over pairs of bins."""

    def __init__(self, bath: BathCollisions, spectra: Spectra, f: Floats) -> None:
        self._bath, self._spectra, (dos, pairing, anomalous) = bath, spectra, spectra
        self.sums = self._linear(1.0 - f[:, 0], f[:, 1:])
        self.sums[0] += dos @ bath.out
        self.sums[1] += pairing @ bath.out_paired
        self.sums[2] += dos @ bath.few
        self.sums[3] -= pairing @ bath.few
        if f.shape[1] > 1:
            self.sums[8] = anomalous @ bath.even_A

    def moved(self, step: Floats) -> Floats:
        """Change of the sums by a step of the distributions."""
        return self._linear(-step[:, 0], step[:, 1:])

    def _linear(self, few: Floats, of_charge: Floats) -> Floats:
        """Parts of the sums that ``1 − f_L`` and f_T make."""
        k, (dos, pairing, anomalous) = self._bath, self._spectra
        ng, pg = dos * few, pairing * few
        sums = [ng @ k.odd_C, pg @ k.even_C, ng @ k.back, pg @ k.back_paired]
        for t in of_charge.swapaxes(0, 1):
            nt, rt = dos * t, anomalous * t
            sums += [nt @ k.even_C, nt @ k.back_paired, rt @ k.even_C, rt @ k.even_A, np.zeros_like(rt)]
        return np.stack(sums)
