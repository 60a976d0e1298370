"""All inelastic collisions of a case, together: one integral, one loss rate, one derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fvqp.collisions.charge_mode import ChargeModeCollisions, Spectra
from fvqp.collisions.charge_mode_graded import BathOfBothModes, ElectronsOfBothModes
from fvqp.collisions.charge_mode_phonons import PhononsOfBothModes
from fvqp.collisions.electron_electron import ElectronElectron, Kernel
from fvqp.collisions.electron_electron_shared import SharedElectronElectron
from fvqp.collisions.phonon_relaxation import PhononBath, PhononCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


class Relaxation(Protocol):
    """A collision integral at given spectra and distributions, of f_L ``(cells, N)`` or of both modes
    ``(cells, 2, N)``."""

    @property
    def rate(self) -> Floats:
        """``I_L``, or ``I_L`` and ``I_T``; positive where f is lost."""

    @property
    def loss(self) -> Floats:
        """Coefficient of f in its own integral; of f_L not negative."""

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``."""


class CollisionKind(Protocol):
    """Rates of a kind of collisions, Δ0/ħ."""

    @property
    def rounding(self) -> float:
        """Part of the largest rate to which integrals are computed where that is more than rounding."""

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""

    @property
    def unkept_rate(self) -> float:
        """`largest_rate` of collisions that do not conserve the energy of electrons, 0 of others."""


class EnergyCollisions(CollisionKind, Protocol):
    """A kind of collisions of f_L."""

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> Relaxation:
        """The integral at ``f_L[cell, bin]`` for bin averages of N and P, ``(cells or 1, N)``."""


class ModeCollisions(CollisionKind, Protocol):
    """A kind of collisions of f_L and f_T."""

    def at(self, spectra: Spectra, f: Floats) -> Relaxation:
        """The integrals at distributions ``f[cell, (L, T), bin]``."""


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

    def on(self, grid: EnergyAxis) -> CollisionSum:
        """The operators on an energy axis.

        Raises:
            CaseError: no collisions at all, or an axis that does not suit them.
        """
        strength, phonons = self.electron_electron, self.phonons
        if strength == 0.0 and phonons is None:
            raise CaseError("collisions: neither with electrons nor with phonons")
        uniform = grid.is_uniform
        if self.charge:
            return CollisionSum(of_both=self._of_both(grid, uniform))
        parts: list[EnergyCollisions] = []
        if strength != 0.0:
            parts.append(
                (ElectronElectron if uniform else SharedElectronElectron)(grid, strength, self.kernel)
            )
        if phonons is not None:
            parts.append(PhononCollisions(grid, phonons))
        return CollisionSum(of_energy=parts)

    def _of_both(self, grid: EnergyAxis, uniform: bool) -> list[ModeCollisions]:
        strength, kernel, phonons = self.electron_electron, self.kernel, self.phonons
        own = phonons is not None and phonons.escape_time is not None
        if uniform and not own:
            # The transforms of electrons take a bath along.
            return [ChargeModeCollisions(grid, strength, kernel, phonons)]
        parts: list[ModeCollisions] = []
        if strength != 0.0 and uniform:
            parts.append(ChargeModeCollisions(grid, strength, kernel))
        elif strength != 0.0:
            parts.append(ElectronsOfBothModes(SharedElectronElectron(grid, strength, kernel)))
        if phonons is not None:
            parts.append((PhononsOfBothModes if own else BathOfBothModes)(grid, phonons))
        return parts


@dataclass(frozen=True)
class CollisionSum:
    """Several kinds of collisions as one.

    Attributes:
        of_energy: collisions of f_L, which f_T does not feel.
        of_both: collisions of f_L and f_T.
    """

    of_energy: Sequence[EnergyCollisions] = ()
    of_both: Sequence[ModeCollisions] = ()

    @property
    def parts(self) -> list[CollisionKind]:
        """All of them."""
        return [*self.of_energy, *self.of_both]

    @property
    def charge(self) -> bool:
        """True if collisions act on f_T."""
        return bool(self.of_both)

    @property
    def own_phonons(self) -> bool:
        """True if phonons that f_T feels have an occupation of their own."""
        return any(isinstance(part, PhononsOfBothModes) for part in self.of_both)

    @property
    def largest_rate(self) -> float:
        """See `CollisionKind`."""
        return sum(part.largest_rate for part in self.parts)

    @property
    def unkept_rate(self) -> float:
        """See `CollisionKind`; sums of these rates are rounded."""
        return sum(part.unkept_rate for part in self.parts)

    @property
    def rounding(self) -> float:
        """See `CollisionKind`."""
        return max(part.rounding for part in self.parts)

    def at(self, dos: Floats, pairing: Floats, anomalous: Floats, f: Floats) -> RelaxationSum:
        """The integrals and their derivatives at distributions ``f[cell, component, bin]``, f_L first.

        Args:
            dos, pairing, anomalous: bin averages of N, Im F and Re F, ``(cells, N)``, or ``(1, N)``.
        """
        f_L, spectra = np.ascontiguousarray(f[:, 0]), Spectra(dos, pairing, anomalous)
        return RelaxationSum(
            f,
            [part.at(dos, pairing, f_L) for part in self.of_energy],
            [part.at(spectra, f) for part in self.of_both],
        )


class RelaxationSum:
    """`CollisionSum` at given spectra and distributions.

    Attributes:
        f: ``(cells, component, N)``.
        rate: the integrals, like ``f``; those of f_T are zero where it does not collide.
        loss: coefficient of f in its own integral, like ``f``.
    """

    def __init__(self, f: Floats, of_energy: Sequence[Relaxation], of_both: Sequence[Relaxation]) -> None:
        self.f, self._of_energy, self._of_both = f, of_energy, of_both
        self.rate, self.loss = np.zeros_like(f), np.zeros_like(f)
        for part in of_energy:
            self.rate[:, 0] += part.rate
            self.loss[:, 0] += part.loss
        for part in of_both:
            self.rate += part.rate
            self.loss += part.loss

    @property
    def inverted(self) -> bool:
        """True if phonons of some cell have no steady state (`PhononRelaxation.inverted`)."""
        return any(getattr(part, "inverted", False) for part in (*self._of_energy, *self._of_both))

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, like ``f``: the Jacobian's action."""
        out = np.zeros_like(step)
        energy = np.ascontiguousarray(step[:, 0])
        for part in self._of_energy:
            out[:, 0] += part.derivative(energy)
        for part in self._of_both:
            out += part.derivative(step)
        return out
