"""Sources and sinks: injected phonons and quasiparticles, escaping phonons, trapped quasiparticles.

All are linear in the occupations. Energies are in units of Δ0, times in units of τ0, powers per volume in
units of 4 N0 Δ0²/τ0, rates of particles in 4 N0 Δ0/τ0 (theory: drives, section on sources).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions.electron_phonon import Coupling, phonon_modes
from fvqp.collisions.process import Blocks, ExternalRates, Flow, GainLoss, Pair
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
#: A Gaussian ends at this number of standard deviations: 6e-7 of it lies beyond.
_REACH = 5.0
#: Part of its centre that the width of a Gaussian must have: beyond rounding.
NARROWEST = 1e-9


class InjectedSpectrum(Protocol):
    """Distribution of injected particles in energy; particles, not their energy."""

    def samples(self, points: Floats) -> tuple[Floats, Floats]:
        """Energies and positive amounts that stand for the spectrum on grid ``points``."""
        ...


@dataclass(frozen=True)
class Line:
    """All particles have one energy."""

    energy: float

    def samples(self, points: Floats) -> tuple[Floats, Floats]:
        """The line itself."""
        _finite("line", self.energy)
        return np.array([self.energy]), np.ones(1)


@dataclass(frozen=True)
class Gaussian:
    """``exp(−(E − centre)²/2 width²)``, cut at five standard deviations."""

    centre: float
    width: float

    def samples(self, points: Floats) -> tuple[Floats, Floats]:
        """Gauss-Legendre points of panels that grid points and half the width bound."""
        _finite("Gaussian", self.centre, self.width)
        if not self.width > 0.0:
            raise CaseError(f"Gaussian spectrum: the width must be positive, found {self.width:g}")
        if self.width < NARROWEST * abs(self.centre):
            raise CaseError(
                f"Gaussian spectrum: a width of {self.width:g} is lost in rounding beside a centre of "
                f"{self.centre:g}"
            )
        knots = self.centre + self.width * np.linspace(-_REACH, _REACH, 21)
        return _panels(knots, points, lambda e: np.exp(-0.5 * ((e - self.centre) / self.width) ** 2))


@dataclass(frozen=True, eq=False)
class TabulatedSpectrum:
    """Particles per energy, linear between the given ones and zero outside."""

    energies: ArrayLike
    values: ArrayLike

    def samples(self, points: Floats) -> tuple[Floats, Floats]:
        """Gauss-Legendre points of panels that grid points and energies of the table bound."""
        knots = np.asarray(self.energies, dtype=np.float64)
        values = np.asarray(self.values, dtype=np.float64)
        if knots.ndim != 1 or knots.size < 2 or values.shape != knots.shape:
            raise CaseError("spectrum table: needs two rows of the same length, at least two energies")
        _finite("table", *knots, *values)
        if np.any(np.diff(knots) <= 0.0):
            raise CaseError("spectrum table: energies must increase")
        if np.any(values < 0.0) or not np.any(values > 0.0):
            raise CaseError("spectrum table: values must not be negative, nor all zero")
        return _panels(knots, points, lambda e: np.interp(e, knots, values))


@dataclass(frozen=True, eq=False)
class SpectrumFunction:
    """Particles per energy as a function of the energy in Δ0, between the ends of the grid."""

    function: Callable[[Floats], Floats]

    def samples(self, points: Floats) -> tuple[Floats, Floats]:
        """Gauss-Legendre points of the intervals of the grid."""
        energies, amounts = _panels(points, points, self.function)
        _finite("function", *amounts)
        if np.any(amounts < 0.0) or not np.any(amounts > 0.0):
            raise CaseError("function spectrum: values must not be negative, nor all zero")
        there = amounts > 0.0
        return energies[there], amounts[there]


class LinearProcess(ABC):
    """A process whose coefficients of gain and loss do not depend on the occupations.

    Attributes:
        grid: energies.
        sink: True if it counts among losses.
    """

    sink: bool = False

    def __init__(self, grid: EnergyAxis, modes: Floats | None = None) -> None:
        """
        Args:
            grid: energies.
            modes: phonon modes of every point, for a process of phonons.
        """
        self.grid = grid
        self._modes = np.zeros(grid.n_phonon) if modes is None else modes

    @abstractmethod
    def coefficients(self, bin_weights: BinWeights) -> GainLoss:
        """Return coefficients of one row for all cells, or of one for each."""

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> LinearRates:
        """The rates at occupations ``f[cell, bin]`` and ``n[cell, point]``."""
        return LinearRates(self, bin_weights, f, n)

    def modes(self, bin_weights: BinWeights) -> Floats:
        """Phonon modes of every point, ``(K,)`` or ``(cells, K)``."""
        shares = bin_weights.phonon_shares
        return self._modes if shares is None else self._modes * shares


class LinearRates(ExternalRates):
    """`LinearProcess` at given spectra and occupations."""

    def __init__(self, process: LinearProcess, bin_weights: BinWeights, f: Floats, n: Floats) -> None:
        super().__init__(process.grid, bin_weights, f, n)
        self._process, self._parts = process, process.coefficients(bin_weights)

    @property
    def rates(self) -> Pair:
        a, b, c, d = self._parts
        return Pair(a - (a + b) * self.f, c - (d - c) * self.n)

    def gain_loss(self) -> GainLoss:
        a, b, c, d = self._parts
        nothing_f, nothing_n = np.zeros_like(self.f), np.zeros_like(self.n)
        return GainLoss(a + nothing_f, b + nothing_f, c + nothing_n, d + nothing_n)

    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        by_f, by_n = self.diagonal()
        return Pair(by_f * step_f, by_n * step_n)

    def jacobian(self) -> Blocks:
        """Jacobian of `rates`, a diagonal."""
        by_f, by_n = self.diagonal()
        (cells, bins), points = by_f.shape, by_n.shape[1]
        matrix = np.zeros((cells, bins, bins))
        matrix[:, np.arange(bins), np.arange(bins)] = by_f
        return Blocks(matrix, np.zeros((cells, bins, points)), np.zeros((cells, points, bins)), by_n)

    def diagonal(self) -> Pair:
        a, b, c, d = self._parts
        return Pair(np.zeros_like(self.f) - (a + b), np.zeros_like(self.n) - (d - c))

    def energy_flow(self) -> Flow:
        rates, grid = self.rates, self._process.grid
        return Flow(
            (self.bin_weights.number * grid.energies * rates.f).sum(axis=1),
            (rates.n * self._process.modes(self.bin_weights)) @ grid.phonon_energies,
        )

    def number_flow(self) -> Flow:
        rates = self.rates
        return Flow(
            (self.bin_weights.number * rates.f).sum(axis=1),
            (rates.n * self._process.modes(self.bin_weights)).sum(axis=1),
        )


class PhononInjection(LinearProcess):
    """Phonons that enter at a constant rate, whatever their occupation."""

    def __init__(
        self,
        grid: EnergyAxis,
        coupling: Coupling,
        spectrum: InjectedSpectrum,
        *,
        power: ArrayLike | None = None,
        rate: ArrayLike | None = None,
        modes: ArrayLike = 1.0,
    ) -> None:
        """
        Args:
            grid: energies.
            coupling: defines the number of phonon modes.
            spectrum: distribution of the phonons in energy.
            power: injected power per volume, scalar or ``(cells,)``; or else
            rate: injected phonons per volume and time.
            modes: relative to Debye's model, see `phonon_modes`.

        Raises:
            CaseError: both or none of power and rate, or a spectrum beyond the phonon points.
        """
        super().__init__(grid, phonon_modes(grid, coupling, modes))
        amounts = _injected("phonon injection", grid.phonon_energies, spectrum, power, rate)
        self._rate = amounts / self._modes
        self._weights = self._modes * (1.0 if power is None else grid.phonon_energies)

    def _into(self, bin_weights: BinWeights) -> Floats:
        """``∂n/∂t``; where modes are shared out, all of it by one factor so that power or rate stays."""
        if bin_weights.phonon_shares is None:
            return self._rate
        into = self._rate * (self._weights * bin_weights.phonon_shares)
        total, wanted = into.sum(axis=1), (self._rate * self._weights).sum(axis=1)
        return self._rate * np.divide(wanted, total, out=np.ones_like(total), where=total > 0.0)[:, None]

    def coefficients(self, bin_weights: BinWeights) -> GainLoss:
        zero, into = np.zeros((1, self.grid.n)), self._into(bin_weights)
        return GainLoss(zero, zero, into, into)

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> LinearRates:
        return _InjectedPhonons(self, bin_weights, f, n)


class _InjectedPhonons(LinearRates):
    def gain_loss(self) -> GainLoss:
        """Gain alone: ``in_n (1 + n)`` is the rate of injection."""
        nothing_f, into = np.zeros_like(self.f), self._parts.in_n / (1.0 + self.n)
        return GainLoss(nothing_f, nothing_f, into, np.zeros_like(self.n))


class QuasiparticleInjection(LinearProcess):
    """Quasiparticles that enter free states: ``s ∂f/∂t = G (1 − f)``.

    Power and rate are those into empty states; `energy_flow` says what enters.
    """

    def __init__(
        self,
        grid: EnergyAxis,
        spectrum: InjectedSpectrum,
        *,
        power: ArrayLike | None = None,
        rate: ArrayLike | None = None,
    ) -> None:
        """
        Args:
            grid: energies.
            spectrum: distribution of the quasiparticles in energy, above the gap of every cell.
            power: injected power per volume, scalar or ``(cells,)``; or else
            rate: injected quasiparticles per volume and time.

        Raises:
            CaseError: both or none of power and rate, or a spectrum beyond the bins.
        """
        super().__init__(grid)
        self._amounts = _injected("quasiparticle injection", grid.energies, spectrum, power, rate)

    def coefficients(self, bin_weights: BinWeights) -> GainLoss:
        into = np.divide(
            self._amounts,
            bin_weights.number,
            out=np.zeros(np.broadcast_shapes(self._amounts.shape, bin_weights.dos_weights.shape)),
            where=bin_weights.active,
        )
        lost = np.broadcast_to((self._amounts > 0.0) & ~bin_weights.active, into.shape)
        if np.any(lost):
            cell, at = np.argwhere(lost)[0]
            raise CaseError(
                f"quasiparticle injection: the spectrum reaches down to {self.grid.energies[at]:g} Δ0, where "
                f"cell {cell} has no states; begin it above the gap"
            )
        zero = np.zeros((1, self.grid.n_phonon))
        return GainLoss(into, np.zeros_like(into), zero, zero)


class PhononEscape(LinearProcess):
    """Phonons of a film that leave for a bath, and come back from it: ``∂n/∂t = (n_bath − n)/τ_l``."""

    sink = True

    def __init__(
        self,
        grid: EnergyAxis,
        coupling: Coupling,
        time: ArrayLike | Callable[[Floats], ArrayLike],
        bath: ArrayLike = 0.0,
        *,
        modes: ArrayLike = 1.0,
    ) -> None:
        """
        Args:
            grid: energies.
            coupling: defines the number of phonon modes.
            time: τ_l > 0 in τ0: scalar, ``(K,)``, ``(cells, K)`` or ``(cells, 1)``, or a function of the
                phonon energies; infinite where phonons are trapped. See `escape_time`.
            bath: n_bath ≥ 0, scalar, ``(K,)`` or ``(cells, K)``; empty by default, `thermal` for a substrate.
            modes: relative to Debye's model, see `phonon_modes`.
        """
        super().__init__(grid, phonon_modes(grid, coupling, modes))
        given = time(grid.phonon_energies) if callable(time) else time
        times = _rows("escape time", given, grid.n_phonon)
        self._rate = 1.0 / np.where(times > 0.0, times, np.nan)
        if np.any(np.isnan(self._rate)):
            raise CaseError("phonon escape: the escape time must be positive at all energies")
        self._bath = _rows("occupation of the bath", bath, grid.n_phonon)
        if not np.all(np.isfinite(self._bath)) or np.any(self._bath < 0.0):
            raise CaseError("phonon escape: the occupation of the bath must be finite and not negative")

    def coefficients(self, bin_weights: BinWeights) -> GainLoss:
        zero = np.zeros((1, self.grid.n))
        return GainLoss(zero, zero, self._rate * self._bath, self._rate * (1.0 + self._bath))


class ConstantTrapping(LinearProcess):
    """Quasiparticles that are lost in traps at one rate: ``∂f/∂t = −Γ (f − f_bath)``."""

    sink = True

    def __init__(self, grid: EnergyAxis, rate: ArrayLike, bath: ArrayLike = 0.0) -> None:
        """
        Args:
            grid: energies.
            rate: Γ ≥ 0 in 1/τ0: scalar, ``(N,)``, ``(cells, N)`` or ``(cells, 1)``.
            bath: f_bath, 0 to 1, scalar, ``(N,)`` or ``(cells, N)``.
        """
        super().__init__(grid)
        self._rate = _rows("trapping rate", rate, grid.n)
        if not np.all(np.isfinite(self._rate)) or np.any(self._rate < 0.0):
            raise CaseError("trapping: the rate must be finite and not negative")
        self._bath = _rows("occupation of the bath", bath, grid.n)
        if not np.all((self._bath >= 0.0) & (self._bath <= 1.0)):
            raise CaseError("trapping: the occupation of the bath must be between 0 and 1")

    def coefficients(self, bin_weights: BinWeights) -> GainLoss:
        rate = self._rate * bin_weights.active
        zero = np.zeros((1, self.grid.n_phonon))
        return GainLoss(rate * self._bath, rate * (1.0 - self._bath), zero, zero)


def escape_time(thickness: float, velocity: float, transmission: float) -> float:
    """``τ_l = 4 d/(η v_s)`` of a film (theory: drives, Eq. escape-time).

    The mean over directions of phonons that hit one face and pass it with probability η; the result has the
    unit of ``thickness/velocity``.
    """
    for name, value in (("thickness", thickness), ("velocity of sound", velocity)):
        if not (np.isfinite(value) and value > 0.0):
            raise CaseError(f"phonon escape: {name} must be positive, found {value:g}")
    if not 0.0 < transmission <= 1.0:
        raise CaseError(f"phonon escape: transmission must be above 0 and at most 1, found {transmission:g}")
    return 4.0 * thickness / (transmission * velocity)


def pair_breaking_efficiency(number: ArrayLike, energy: ArrayLike, gap: ArrayLike) -> Floats:
    """``η_pb = Δ × quasiparticles made/energy absorbed`` (theory: drives, Eq. efficiency).

    Args:
        number: quasiparticles that an impulse has made, in 4 N0 Δ0, or that are made in unit time.
        energy: energy of the impulse, in 4 N0 Δ0², or absorbed power.
        gap: Δ.
    """
    total = np.asarray(energy, dtype=np.float64)
    if not np.all(total > 0.0):
        raise CaseError("pair-breaking efficiency: the absorbed energy must be positive")
    return np.asarray(np.asarray(number) * np.asarray(gap) / total)


def _injected(
    what: str, points: Floats, spectrum: InjectedSpectrum, power: ArrayLike | None, rate: ArrayLike | None
) -> Floats:
    """Particles in unit time that arrive at every grid point, ``(cells or 1, points)``."""
    if (power is None) == (rate is None):
        raise CaseError(f"{what}: give either its power or its rate")
    strength = np.atleast_1d(np.asarray(power if rate is None else rate, dtype=np.float64))
    if strength.ndim != 1 or not np.all(np.isfinite(strength)) or np.any(strength < 0.0):
        raise CaseError(f"{what}: power or rate must be finite and not negative, one number or one a cell")
    energies, amounts = spectrum.samples(points)
    slack = 1e-12 * points[-1]
    if energies.min() < points[0] - slack or energies.max() > points[-1] + slack:
        raise CaseError(
            f"{what}: the spectrum from {energies.min():g} to {energies.max():g} Δ0 does not fit between the "
            f"first and the last point of the grid, {points[0]:g} and {points[-1]:g} Δ0"
        )
    left = np.clip(np.searchsorted(points, energies, side="right") - 1, 0, points.size - 2)
    share = np.clip((energies - points[left]) / (points[left + 1] - points[left]), 0.0, 1.0)
    # rounding must not bring in a second point, which may have no states
    share = np.where(share < 1e-12, 0.0, np.where(share > 1.0 - 1e-12, 1.0, share))
    shape = np.zeros(points.size)
    np.add.at(shape, left, (1.0 - share) * amounts)
    np.add.at(shape, left + 1, share * amounts)
    shape /= shape.sum() if power is None else shape @ points
    return np.asarray(strength[:, None] * shape)


def _panels(knots: Floats, points: Floats, density: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    inside = points[(points > knots[0]) & (points < knots[-1])]
    bounds = np.unique(np.concatenate([knots, inside]))
    half = 0.5 * np.diff(bounds)[:, None]
    energies = (0.5 * (bounds[1:] + bounds[:-1])[:, None] + half * _NODES).ravel()
    return energies, density(energies) * (half * _WEIGHTS).ravel()


def _finite(what: str, *values: float) -> None:
    if not np.all(np.isfinite(values)):
        raise CaseError(f"{what} spectrum: all energies and values must be finite numbers")


def _rows(name: str, value: ArrayLike, size: int) -> Floats:
    """Return an array of shape ``(1 or cells, 1 or size)``."""
    rows = np.atleast_2d(np.asarray(value, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] not in (1, size):
        raise CaseError(f"{name}: needs one number, or {size} of them, or one row a cell; found {rows.shape}")
    return rows
