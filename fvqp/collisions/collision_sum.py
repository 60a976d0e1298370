"""All inelastic collisions of a case, together: one integral, one loss rate, one derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fvqp.collisions.charge_mode import ChargeModeCollisions
from fvqp.collisions.charge_mode_graded import GradedChargeModeCollisions
from fvqp.collisions.electron_electron import ElectronElectron, Kernel, is_uniform
from fvqp.collisions.electron_electron_shared import SharedElectronElectron
from fvqp.collisions.phonon_relaxation import PhononBath, PhononCollisions, PhononRelaxation
from fvqp.errors import CaseError
from fvqp.grids.energy import EnergyGrid
from fvqp.typing import Floats


class Relaxation(Protocol):
    """A collision integral of f_L at given spectra and distributions."""

    @property
    def rate(self) -> Floats:
        """``I_L``, ``(cells, N)``; positive where f_L is lost."""

    @property
    def loss(self) -> Floats:
        """Coefficient of f_L in its own ``I_L``, ``(cells, N)``, not negative."""

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, N)``."""


class EnergyCollisions(Protocol):
    """A kind of collisions of f_L."""

    @property
    def rounding(self) -> float:
        """Part of the largest rate to which integrals are computed where that is more than rounding."""

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal, Δ0/ħ."""

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> Relaxation:
        """The integral at ``f_L[cell, bin]`` for bin averages of N and P, ``(cells or 1, N)``."""


@dataclass(frozen=True)
class InelasticCollisions:
    """Parameters of all inelastic collisions.

    Attributes:
        electron_electron: γ_ee = ħ/(Δ0 τ_ee); 0 for none.
        kernel: of electron-electron collisions (`fvqp.collisions.electron_electron`).
        phonons: what quasiparticles collide with beside; None for none.
        charge: whether collisions act on f_T too (`fvqp.collisions.charge_mode`).
    """

    electron_electron: float = 0.0
    kernel: Kernel = "fermi_liquid"
    phonons: PhononBath | None = None
    charge: bool = False

    def on(self, grid: EnergyGrid) -> CollisionSum | ChargeModeCollisions | GradedChargeModeCollisions:
        """The operators on an energy axis.

        Raises:
            CaseError: no collisions at all, or an axis that does not suit them.
        """
        if self.electron_electron == 0.0 and self.phonons is None:
            raise CaseError("collisions: neither with electrons nor with phonons")
        if self.charge:
            own = self.phonons is not None and self.phonons.escape_time is not None
            both = GradedChargeModeCollisions.on if own or not is_uniform(grid) else ChargeModeCollisions
            return both(grid, self.electron_electron, self.kernel, self.phonons)
        parts: list[EnergyCollisions] = []
        if self.electron_electron != 0.0:
            kind = ElectronElectron if is_uniform(grid) else SharedElectronElectron
            parts.append(kind(grid, self.electron_electron, self.kernel))
        if self.phonons is not None:
            parts.append(PhononCollisions(grid, self.phonons))
        return CollisionSum(tuple(parts))


@dataclass(frozen=True)
class CollisionSum:
    """Several kinds of collisions of f_L as one; f_T does not feel them."""

    parts: Sequence[EnergyCollisions]
    charge, own_phonons = False, False

    @property
    def largest_rate(self) -> float:
        """See `EnergyCollisions`."""
        return sum(part.largest_rate for part in self.parts)

    @property
    def unkept_rate(self) -> float:
        """Rate of collisions that do not conserve the energy of electrons; sums of their rates are
        rounded."""
        return sum(part.largest_rate for part in self.parts if isinstance(part, PhononCollisions))

    @property
    def rounding(self) -> float:
        """See `EnergyCollisions`."""
        return max(part.rounding for part in self.parts)

    def at(self, dos: Floats, pairing: Floats, anomalous: Floats, f: Floats) -> RelaxationSum:
        """The integrals and their derivatives at distributions ``f[cell, component, bin]``, f_L first.

        Args:
            dos, pairing, anomalous: bin averages of N, Im F and Re F, ``(cells, N)``, or ``(1, N)``.
        """
        f_L = np.ascontiguousarray(f[:, 0])
        return RelaxationSum(f, tuple(part.at(dos, pairing, f_L) for part in self.parts))


class RelaxationSum:
    """`CollisionSum` at given spectra and distributions.

    Attributes:
        f: ``(cells, component, N)``.
        rate: the integrals, like ``f``; those of f_T are zero.
        loss: coefficient of f in its own integral, like ``f``.
    """

    def __init__(self, f: Floats, parts: tuple[Relaxation, ...]) -> None:
        self.f, self._parts = f, parts
        self.rate, self.loss = np.zeros_like(f), np.zeros_like(f)
        for part in parts:
            self.rate[:, 0] += part.rate
            self.loss[:, 0] += part.loss

    @property
    def inverted(self) -> bool:
        """True if phonons of some cell have no steady state (`PhononRelaxation.inverted`)."""
        return any(isinstance(part, PhononRelaxation) and part.inverted for part in self._parts)

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, like ``f``: the Jacobian's action."""
        out = np.zeros_like(step)
        energy = np.ascontiguousarray(step[:, 0])
        for part in self._parts:
            out[:, 0] += part.derivative(energy)
        return out
