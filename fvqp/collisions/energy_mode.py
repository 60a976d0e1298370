"""All inelastic collisions that act on f_L, together: one integral, one loss rate, one derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fvqp.collisions.electron_electron import ElectronElectron, Kernel
from fvqp.collisions.phonon_relaxation import PhononCollisions, PhononRelaxation, Phonons
from fvqp.errors import CaseError
from fvqp.grids.energy import EnergyGrid

Floats = NDArray[np.float64]


class Relaxation(Protocol):
    """A collision integral at given spectra and distributions."""

    @property
    def rate(self) -> Floats:
        """``I_L``, ``(cells, N)``; positive where f_L is lost."""

    @property
    def loss(self) -> Floats:
        """Coefficient of f_L in its own ``I_L``, ``(cells, N)``, not negative."""

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, N)``."""


class EnergyCollisions(Protocol):
    """A kind of collisions."""

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal, Δ0/ħ."""

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> Relaxation:
        """The integral at ``f_L[cell, bin]`` for bin averages of N and P, ``(cells or 1, N)``."""


@dataclass(frozen=True)
class Collisions:
    """Which collisions there are.

    Attributes:
        electron_electron: γ_ee = ħ/(Δ0 τ_ee); 0 for none.
        kernel: of electron-electron collisions (`fvqp.collisions.electron_electron`).
        phonons: what f_L collides with beside; None for none.
    """

    electron_electron: float = 0.0
    kernel: Kernel = "fermi_liquid"
    phonons: Phonons | None = None

    def on(self, grid: EnergyGrid) -> CollisionSum:
        """The operators on an energy axis.

        Raises:
            CaseError: no collisions at all, or an axis that does not suit them.
        """
        parts: list[EnergyCollisions] = []
        if self.electron_electron != 0.0:
            parts.append(ElectronElectron(grid, self.electron_electron, self.kernel))
        if self.phonons is not None:
            parts.append(PhononCollisions(grid, self.phonons))
        if not parts:
            raise CaseError("collisions: neither with electrons nor with phonons")
        return CollisionSum(tuple(parts))


@dataclass(frozen=True)
class CollisionSum:
    """Several kinds of collisions as one (`EnergyCollisions`)."""

    parts: Sequence[EnergyCollisions]

    @property
    def largest_rate(self) -> float:
        """See `EnergyCollisions`."""
        return sum(part.largest_rate for part in self.parts)

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> RelaxationSum:
        """See `EnergyCollisions`."""
        parts = tuple(part.at(dos, pairing, f_L) for part in self.parts)
        total = [sum((getattr(part, name) for part in parts[1:]), getattr(parts[0], name)) for name in
                 ("rate", "loss")]  # fmt: skip
        return RelaxationSum(parts, f_L, *total)


@dataclass(frozen=True, eq=False)
class RelaxationSum:
    """`CollisionSum` at given spectra and distributions (`Relaxation`)."""

    parts: tuple[Relaxation, ...]
    f_L: Floats
    rate: Floats
    loss: Floats

    @property
    def inverted(self) -> bool:
        """Whether phonons of some cell have no steady state (`PhononRelaxation.inverted`)."""
        return any(isinstance(part, PhononRelaxation) and part.inverted for part in self.parts)

    def derivative(self, step: Floats) -> Floats:
        """See `Relaxation`."""
        return sum((part.derivative(step) for part in self.parts[1:]), self.parts[0].derivative(step))
