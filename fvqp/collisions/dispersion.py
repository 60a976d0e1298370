"""Phonons whose speed depends on their energy: modes and speeds of the phonon points.

One isotropic branch ω(q) has q²dq/2π² modes between q and q + dq, which move at the group speed dω/dq. Wave
numbers are multiplied by the speed of sound v_s and ħ, so that ``q = ω`` at low energy; energies are in units
of Δ0, speeds in units of v_s (theory: transport, section on dispersion).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class DispersionBranch(NamedTuple):
    """Phonon points of a branch.

    Attributes:
        modes: their number over that of Debye's model, ``(K,)``.
        speed: mean group speed of these modes, ``(K,)``.
    """

    modes: Floats
    speed: Floats


class Dispersion(Protocol):
    """A branch ω(q) that rises."""

    @property
    def end(self) -> float:
        """Its largest energy."""
        ...

    def wave_number(self, omega: Floats) -> Floats:
        """q at energies up to the end."""
        ...

    def flux(self, low: Floats, high: Floats) -> Floats:
        """``∫ q² dω`` between energies: modes times speed."""
        ...


@dataclass(frozen=True)
class Sine:
    """A chain's ``ω = maximum × sin(q/maximum)``, whose speed ``√(1 − (ω/maximum)²)`` ends at 0."""

    maximum: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.maximum) and self.maximum > 0.0):
            raise CaseError(f"phonon dispersion: its largest energy must be positive, found {self.maximum:g}")

    @property
    def end(self) -> float:
        """The zone boundary."""
        return self.maximum

    def wave_number(self, omega: Floats) -> Floats:
        """q."""
        return np.asarray(self.maximum * np.arcsin(np.minimum(omega / self.maximum, 1.0)))

    def flux(self, low: Floats, high: Floats) -> Floats:
        """``∫ q² cos(q/maximum) dq``, over q, where nothing is singular at the zone boundary."""
        q, weight = _panels(self.wave_number(low), self.wave_number(high))
        return np.asarray((weight * q**2 * np.cos(q / self.maximum)).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Group speeds at energies, linear between them; below the first one the speed of sound.

    Attributes:
        energies: increasing, positive, ``(n,)``.
        speeds: positive, in any unit; the first is v_s.
    """

    energies: ArrayLike
    speeds: ArrayLike

    def __post_init__(self) -> None:
        energies, speeds = np.asarray(self.energies, float), np.asarray(self.speeds, float)
        if energies.ndim != 1 or energies.size < 2 or speeds.shape != energies.shape:
            raise CaseError("phonon dispersion: needs as many speeds as energies, at least two")
        if not (np.all(np.isfinite(energies)) and energies[0] > 0.0 and np.all(np.diff(energies) > 0.0)):
            raise CaseError("phonon dispersion: energies must be positive and increase")
        if not np.all(np.isfinite(speeds) & (speeds > 0.0)):
            raise CaseError("phonon dispersion: speeds must be positive")
        object.__setattr__(self, "energies", np.concatenate([[0.0], energies]))
        object.__setattr__(self, "speeds", np.concatenate([speeds[:1], speeds]) / speeds[0])

    @property
    def end(self) -> float:
        """The last energy of the table."""
        return float(np.asarray(self.energies)[-1])

    def wave_number(self, omega: Floats) -> Floats:
        """q, the integral of 1/v."""
        knots, speeds = np.asarray(self.energies), np.asarray(self.speeds)
        at = np.clip(np.searchsorted(knots, omega, side="right") - 1, 0, knots.size - 2)
        whole = np.concatenate([[0.0], np.cumsum(_passage(np.diff(knots), speeds[:-1], speeds[1:]))])
        here = np.interp(omega, knots, speeds)
        return np.asarray(whole[at] + _passage(omega - knots[at], speeds[at], here))

    def flux(self, low: Floats, high: Floats) -> Floats:
        """``∫ q² dω``."""
        omega, weight = _panels(low, high)
        return np.asarray((weight * self.wave_number(omega) ** 2).sum(axis=1))


def branch(grid: EnergyAxis, dispersion: Dispersion) -> DispersionBranch:
    """Modes and speeds of the phonon points, exact integrals over their shares of the axis.

    Raises:
        CaseError: phonon points beyond the end of the branch.
    """
    points, end = grid.phonon_energies, dispersion.end
    if points[-1] > end * (1.0 + 1e-12):
        raise CaseError(
            f"phonon dispersion: ends at {end:.4g} Delta0, below the last phonon energy of "
            f"{points[-1]:.4g} Delta0; phonon_maximum must not be above"
        )
    beyond = np.concatenate([[0.0], points, [2.0 * points[-1] - points[-2]]])
    bounds = 0.5 * (beyond[1:] + beyond[:-1])
    inside = np.minimum(bounds, end)
    q = dispersion.wave_number(inside)
    cubes = np.diff(q**3)
    return DispersionBranch(
        cubes / np.diff(bounds**3), 3.0 * dispersion.flux(inside[:-1], inside[1:]) / cubes
    )


def _passage(distance: Floats, first: Floats, last: Floats) -> Floats:
    """Integral of 1/v over a distance along which v goes linearly from first to last."""
    ratio = last / first - 1.0
    small = np.abs(ratio) < 1e-4
    safe = np.where(small, 1.0, ratio)
    mean = np.where(small, 1.0 - ratio * (0.5 - ratio / 3.0), np.log1p(safe) / safe)
    return np.asarray(distance / first * mean)


def _panels(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Gauss points and weights between bounds, ``(panels, 8)``."""
    half = 0.5 * (high - low)[:, None]
    return 0.5 * (high + low)[:, None] + half * _NODES, half * _WEIGHTS
