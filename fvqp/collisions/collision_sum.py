"""Collisions of f_L and f_T on an energy axis: the interface that all kinds have, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fvqp.collisions.electron_electron import ElectronElectron, Kernel
from fvqp.collisions.electron_electron_shared import SharedElectronElectron
from fvqp.collisions.integrals import Spectra
from fvqp.collisions.phonon_bath import BathCollisions, PhononBath
from fvqp.collisions.phonon_relaxation import PhononCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


class DistributionRates(Protocol):
    """Rates of a kind of collisions at given spectra and distributions, ``(cells, component, N)``."""

    @property
    def rates(self) -> Floats:
        """``−I_L``, and ``−I_T`` where there is f_T: what ``N ∂f/∂t`` gets."""

    @property
    def loss(self) -> Floats:
        """Coefficient of −f in its own rate; of f_L not negative."""

    def jvp(self, step: Floats) -> Floats:
        """Change of `rates` along ``step``."""


class DistributionProcess(Protocol):
    """A kind of collisions of f_L, or of f_L and f_T, on an energy axis; rates in Δ0/ħ."""

    @property
    def rounding(self) -> float:
        """Part of the largest rate to which rates are computed where that is more than rounding."""

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""

    @property
    def unkept_rate(self) -> float:
        """`largest_rate` of collisions that do not conserve the energy of electrons, 0 of others."""

    def at(self, spectra: Spectra, f: Floats) -> DistributionRates:
        """The rates at distributions ``f[cell, component, bin]``, f_L first."""


@dataclass(frozen=True)
class InelasticCollisions:
    """Parameters of all inelastic collisions.

    Attributes:
        electron_electron: γ_ee = ħ/(Δ0 τ_ee); 0 for none.
        kernel: of electron-electron collisions (`fvqp.collisions.electron_electron`).
        phonons: what quasiparticles collide with beside; None for none.
        charge: whether collisions act on f_T too (theory: charge_mode).
    """

    electron_electron: float = 0.0
    kernel: Kernel = "fermi_liquid"
    phonons: PhononBath | None = None
    charge: bool = False

    def on(self, grid: EnergyAxis) -> CollisionSum:
        """The operators on an energy axis.

        Raises:
            CaseError: no collisions at all, or an axis that does not suit them.
        """
        strength, phonons = self.electron_electron, self.phonons
        if strength == 0.0 and phonons is None:
            raise CaseError("collisions: neither with electrons nor with phonons")
        parts: list[DistributionProcess] = []
        if strength != 0.0:
            kind = ElectronElectron if grid.is_uniform else SharedElectronElectron
            parts.append(kind(grid, strength, self.kernel))
        components = 2 if self.charge else 1
        if phonons is not None:
            parts.append(
                PhononCollisions(grid, phonons, components) if phonons.own else BathCollisions(grid, phonons)
            )
        return CollisionSum(parts, components)


@dataclass(frozen=True)
class CollisionSum:
    """Several kinds of collisions as one.

    Attributes:
        parts: kinds of collisions.
        components: 1 for collisions of f_L, which f_T does not feel, 2 for such of f_L and f_T.
    """

    parts: Sequence[DistributionProcess]
    components: int = 1

    @property
    def charge(self) -> bool:
        """True if collisions act on f_T."""
        return self.components > 1

    @property
    def own_phonons(self) -> bool:
        """True if phonons that f_T feels have an occupation of their own."""
        return self.charge and any(isinstance(part, PhononCollisions) for part in self.parts)

    @property
    def largest_rate(self) -> float:
        """See `DistributionProcess`."""
        return sum(part.largest_rate for part in self.parts)

    @property
    def unkept_rate(self) -> float:
        """See `DistributionProcess`; sums of these rates are rounded."""
        return sum(part.unkept_rate for part in self.parts)

    @property
    def rounding(self) -> float:
        """See `DistributionProcess`."""
        return max(part.rounding for part in self.parts)

    def at(self, spectra: Spectra, f: Floats) -> RatesSum:
        """The rates and their derivatives at distributions ``f[cell, component, bin]``, f_L first."""
        felt = np.ascontiguousarray(f[:, : self.components])
        return RatesSum(f, [part.at(spectra, felt) for part in self.parts], self.components)


class RatesSum:
    """`CollisionSum` at given spectra and distributions.

    Attributes:
        f: ``(cells, component, N)``.
        rates: like ``f``; those of f_T are zero where it does not collide.
        loss: coefficient of −f in its own rate, like ``f``.
    """

    def __init__(self, f: Floats, parts: Sequence[DistributionRates], components: int) -> None:
        self.f, self._parts, self._felt = f, parts, slice(components)
        self.rates, self.loss = np.zeros_like(f), np.zeros_like(f)
        for part in parts:
            self.rates[:, self._felt] += part.rates
            self.loss[:, self._felt] += part.loss

    @property
    def inverted(self) -> bool:
        """True if phonons of some cell have no steady state (`PhononRates.inverted`)."""
        return any(getattr(part, "inverted", False) for part in self._parts)

    def jvp(self, step: Floats) -> Floats:
        """Change of `rates` along ``step``, like ``f``: the Jacobian's action."""
        out, felt = np.zeros_like(step), np.ascontiguousarray(step[:, self._felt])
        for part in self._parts:
            out[:, self._felt] += part.jvp(felt)
        return out
