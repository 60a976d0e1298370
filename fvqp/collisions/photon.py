"""Photons of one energy: quasiparticles absorb and emit them, and those above 2Δ break pairs.

Every transition is computed once and applied to all bins it involves, so that number and absorbed energy are
exact to round-off (theory: drives, Eqs. photon-event, photon-occupation). Energies are in units of Δ0, rates
in units of 1/τ0, powers per volume in units of 4 N0 Δ0²/τ0.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from fvqp.collisions.process import Blocks, ExternalRates, Flow, GainLoss, Pair
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError, ConvergenceError
from fvqp.typing import Bools, Floats, Ints


class PhotonDrive:
    """Absorption and emission of photons of one energy ω0, with the coherence factor of an electric field.

    Between E and E + ω0 quasiparticles scatter, for any ω0; photons of ω0 > 2Δ break pairs besides, and
    pairs emit them. ω0 need not be a multiple of a bin width. Transitions above the last bin are left out.

    At a given power rates raise `ConvergenceError` for a state that cannot absorb it: without
    quasiparticles, or with more of them at higher energies.

    Attributes:
        grid: energies.
        frequency: ω0.
        absorption: rate of absorption per coherence factor and ρ of the final state, scalar or ``(cells,)``.
        emission: the same of emission; it exceeds `absorption` by spontaneous emission.
        power: absorbed power per volume that is kept by scaling both rates, or None.
        events: transitions.
    """

    sink, dense = False, True

    def __init__(
        self,
        grid: EnergyAxis,
        frequency: float,
        absorption: ArrayLike,
        emission: ArrayLike,
        power: ArrayLike | None = None,
    ) -> None:
        """Rates as given; `mode`, `classical` and `at_power` say the same in the terms of experiments.

        Raises:
            CaseError: a negative rate or power, or a photon that fits into no two bins of the grid.
        """
        if not (np.isfinite(frequency) and frequency > 0.0):
            raise CaseError(f"photon drive: photon energy must be positive, found {frequency:g} Δ0")
        self.grid, self.frequency = grid, float(frequency)
        self.absorption = _column("rate of absorption", absorption)
        self.emission = _column("rate of emission", emission)
        self.power = None if power is None else _column("absorbed power", power)
        self.events = _transitions(grid, self.frequency)
        self._known: tuple[BinWeights, Floats] | None = None

    @classmethod
    def mode(cls, grid: EnergyAxis, frequency: float, coupling: ArrayLike, photons: ArrayLike) -> PhotonDrive:
        """A mode of n̄ photons (Fischer and Catelani, Phys. Rev. Applied 19, 054087 (2023)).

        Args:
            grid: energies.
            frequency: ω0.
            coupling: c_phot in 1/τ0: rate of spontaneous emission per coherence factor and ρ.
            photons: n̄ ≥ 0.
        """
        c = _column("coupling to photons", coupling)[:, 0]
        n = _column("number of photons", photons)[:, 0]
        return cls(grid, frequency, c * n, c * (n + 1.0))

    @classmethod
    def classical(cls, grid: EnergyAxis, frequency: float, rate: ArrayLike) -> PhotonDrive:
        """A field of so many photons that spontaneous emission does not count; ``rate`` = c_phot n̄.

        In Goldie and Withington, Supercond. Sci. Technol. 26, 015004 (2013), the rate is 2B.
        """
        return cls(grid, frequency, rate, rate)

    @classmethod
    def at_power(
        cls, grid: EnergyAxis, frequency: float, power: ArrayLike, photons: float = np.inf
    ) -> PhotonDrive:
        """The drive whose absorbed power per volume is given; its rates follow the state of quasiparticles.

        Args:
            grid: energies.
            frequency: ω0.
            power: absorbed power per volume, scalar or ``(cells,)``.
            photons: n̄ > 0; it sets the ratio of emission to absorption, (n̄ + 1)/n̄.
        """
        if not photons > 0.0:
            raise CaseError(f"photon drive: power is absorbed from n̄ > 0 photons only, found {photons:g}")
        return cls(grid, frequency, 1.0, 1.0 + 1.0 / photons, power)

    def rows(self, cells: slice | Ints) -> PhotonDrive:
        """The drive of some cells."""
        other = copy.copy(self)
        columns = {"absorption": self.absorption, "emission": self.emission, "power": self.power}
        for name, column in columns.items():
            if column is not None and len(column) > 1:
                setattr(other, name, column[cells])
        other._known = None
        return other

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> PhotonRates:
        """The rates at occupations ``f[cell, bin]``; phonons do not take part."""
        return PhotonRates(self, bin_weights, f, n)

    def weights(self, bin_weights: BinWeights) -> Floats:
        """Return the weights of the transitions; those of the last bin weights are kept."""
        if self._known is None or self._known[0] is not bin_weights:
            self._known = bin_weights, self.events.weights(bin_weights)
        return self._known[1]


class PhotonRates(ExternalRates):
    """`PhotonDrive` at given spectra and occupations."""

    def __init__(self, drive: PhotonDrive, bin_weights: BinWeights, f: Floats, n: Floats) -> None:
        super().__init__(drive.grid, bin_weights, f, n)
        self._drive, self._events, self._weights = drive, drive.events, drive.weights(bin_weights)

    @cached_property
    def rates(self) -> Pair:
        net, scale = self._net
        return Pair(self._per_state(scale * (net @ self._events.change)), np.zeros_like(self.n))

    def gain_loss(self) -> GainLoss:
        events, f = self._events, self.f
        taken, given, star, free = self._occupations
        weight = self._net[1] * self._weights
        up, down = weight * self._drive.absorption, weight * self._drive.emission
        empty, filled = up * free, down * star
        into = np.where(events.pairs, empty, filled) @ events.take_first
        out = np.where(events.pairs, filled, empty) @ events.take_first
        for index, take in ((events.left, events.take_left), (events.right, events.take_right)):
            here = f[:, index]
            into = into + (up * taken * _ratio(free, 1.0 - here)) @ take
            out = out + (down * given * _ratio(star, here)) @ take
        nothing = np.zeros_like(self.n)
        return GainLoss(self._per_state(into), self._per_state(out), nothing, nothing)

    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        slopes = self._slopes
        change = np.zeros_like(slopes[0])
        for slope, at in zip(slopes, self._events.bins, strict=True):
            change += slope * step_f[:, at]
        if self._drive.power is not None:
            net, scale = self._net
            change = scale * (change - net * _ratio(_total(change), _total(net)))
        return Pair(self._per_state(change @ self._events.change), np.zeros_like(self.n))

    def jacobian(self) -> Blocks:
        (cells, bins), points = self.f.shape, self.n.shape[1]
        events, number = self._events, self.bin_weights.number[:, :, None]
        matrix = np.zeros((cells, bins, bins))
        entries = matrix.reshape(cells, -1).T
        for row, coefficient in zip(events.bins, events.coefficients, strict=True):
            for column, slope in zip(events.bins, self._slopes, strict=True):
                np.add.at(entries, row * bins + column, (coefficient * slope).T)
        if self._drive.power is not None:
            net, scale = self._net
            by_f = _ratio(self._gradient(), _total(net))
            matrix -= (net @ events.change)[:, :, None] * by_f[:, None, :]
            matrix *= scale[..., None]
        matrix = np.divide(matrix, number, out=matrix, where=number > 0.0)
        nothing = np.zeros((cells, bins, points)), np.zeros((cells, points, bins)), np.zeros_like(self.n)
        return Blocks(matrix, *nothing)

    def diagonal(self) -> Pair:
        events = self._events
        out = np.zeros_like(self.f)
        for row, coefficient in zip(events.bins, events.coefficients, strict=True):
            for column, slope in zip(events.bins, self._slopes, strict=True):
                same = row == column
                np.add.at(out.T, row[same], (coefficient * slope)[:, same].T)
        if self._drive.power is not None:
            net, scale = self._net
            out -= (net @ events.change) * _ratio(self._gradient(), _total(net))
            out *= scale
        return Pair(self._per_state(out), np.zeros_like(self.n))

    def energy_flow(self) -> Flow:
        """Absorbed power less emitted power per volume, ω0 times the net number of photons absorbed."""
        net, scale = self._net
        return Flow(self._drive.frequency * (scale * _total(net))[:, 0], np.zeros(len(self.f)))

    def number_flow(self) -> Flow:
        """Quasiparticles made: two for every pair broken."""
        net, scale = self._net
        return Flow(2.0 * (scale * _total(net * self._events.pairs))[:, 0], np.zeros(len(self.f)))

    @cached_property
    def _occupations(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self._events.occupations(self.f)

    @cached_property
    def _net(self) -> tuple[Floats, Floats]:
        """Photons absorbed less emitted, of every transition, before scaling to a power; the scale,
        ``(cells, 1)``."""
        drive, (taken, given, star, free) = self._drive, self._occupations
        net = self._weights * (drive.absorption * taken * free - drive.emission * star * given)
        if drive.power is None:
            return net, np.ones((len(self.f), 1))
        absorbed = drive.frequency * _total(net)
        if np.any((absorbed <= 0.0) & (drive.power > 0.0)):
            cell = int(np.argmax((absorbed <= 0.0) & (drive.power > 0.0)))
            raise ConvergenceError(
                f"photon drive at given absorbed power: the quasiparticles of cell {cell} absorb no more "
                f"photons of {drive.frequency:g} Δ0 than they emit; start with some quasiparticles, and with "
                "more photons than such as are in equilibrium with them"
            )
        return net, _ratio(np.broadcast_to(drive.power, absorbed.shape), absorbed)

    @cached_property
    def _slopes(self) -> tuple[Floats, Floats, Floats]:
        """Derivatives of the net absorption, before scaling, by the occupations of the three bins of a
        transition."""
        drive, events, weight = self._drive, self._events, self._weights
        taken, given, star, free = self._occupations
        by_first = weight * (drive.absorption * free + drive.emission * star) * events.sense
        by_star = -weight * (drive.absorption * taken + drive.emission * given)
        left, right = self.f[:, events.left], self.f[:, events.right]
        spread = star * free
        by_left = (1.0 - events.share) * _ratio(spread, left * (1.0 - left))
        by_right = events.share * _ratio(spread, right * (1.0 - right))
        alone = events.share == 0.0
        return by_first, by_star * np.where(alone, 1.0, by_left), by_star * np.where(alone, 0.0, by_right)

    def _gradient(self) -> Floats:
        """Derivative of the number of photons absorbed, ``(cells, N)``."""
        out = np.zeros_like(self.f)
        for slope, at in zip(self._slopes, self._events.bins, strict=True):
            np.add.at(out.T, at, slope.T)
        return out

    def _per_state(self, amount: Floats) -> Floats:
        return _ratio(amount, self.bin_weights.number)


class _Transitions(NamedTuple):
    """All transitions of one photon energy on a grid, M of them.

    Attributes:
        first: bin of one quasiparticle, ``(M,)``.
        left, right, share: the other one is between two bins, ``share`` of it in the upper.
        pairs: pair breaking, or else absorption by one quasiparticle.
        width: of the bins, ``(N,)``.
        energies: of the bins, ``(N,)``.
        other: energy of the other quasiparticle, ``(M,)``.
        take_first, take_left, take_right: sum of transitions over bins, ``(M, N)``, weighted with shares.
        change: quasiparticles that appear in every bin as one photon is absorbed, ``(M, N)``.
    """

    first: Ints
    left: Ints
    right: Ints
    share: Floats
    pairs: Bools
    width: Floats
    energies: Floats
    other: Floats
    take_first: csr_array
    take_left: csr_array
    take_right: csr_array
    change: csr_array

    @property
    def bins(self) -> tuple[Ints, Ints, Ints]:
        return self.first, self.left, self.right

    @property
    def sense(self) -> Floats:
        """+1 where absorption empties the first bin, −1 where it fills it."""
        return np.where(self.pairs, -1.0, 1.0)

    @property
    def coefficients(self) -> tuple[Floats, Floats, Floats]:
        """Coefficients from which `change` is made."""
        return -self.sense, 1.0 - self.share, self.share

    def weights(self, bin_weights: BinWeights) -> Floats:
        """States and coherence of every transition, ``(cells, M)``; 0 where a bin holds no states."""
        s, p = bin_weights.dos_weights, bin_weights.pair_weights
        density, coherent = s / self.width, p / self.width
        a, b = 1.0 - self.share, self.share
        other = a * density[:, self.left] + b * density[:, self.right]
        paired = a * coherent[:, self.left] + b * coherent[:, self.right]
        sign = np.where(self.pairs, -1.0, 1.0)
        active = bin_weights.active
        held = active[:, self.left] & active[:, self.right]
        weight = s[:, self.first] * other + sign * p[:, self.first] * paired
        return np.where(held, self._part(bin_weights) * weight, 0.0)

    def _part(self, bin_weights: BinWeights) -> Floats:
        """Each pair of energies occurs twice, once with either as the first: the parts of both make 1.

        The part is 1 where the first energy is at the gap and 0 where the other is: the density that is
        interpolated between bins is then the one that is smooth.
        """
        lowest = self.energies[np.argmax(bin_weights.active, axis=1)][:, None]
        first = self.energies[self.first]
        span = first + self.other - 2.0 * lowest
        part = np.divide(self.other - lowest, span, out=np.full(span.shape, 0.5), where=span > 0.0)
        return np.where(self.pairs, np.clip(part, 0.0, 1.0), 1.0)

    def occupations(self, f: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return occupations in absorption and emission at the first energy, f* and 1 − f* at the other,
        ``(cells, M)``.

        Absorption takes a quasiparticle, or the vacancy that a pair fills; emission the reverse. Between two
        bins ``ln(1/f* − 1)`` is linear; a full bin beside an empty one lets nothing in or out, f* and 1 − f*
        are both 0.
        """
        first, full = f[:, self.first], f[:, self.left]
        taken = np.where(self.pairs, 1.0 - first, first)
        given = np.where(self.pairs, first, 1.0 - first)
        empty = 1.0 - full
        between = np.flatnonzero(self.share)
        if between.size:
            # trial states of solvers may leave [0, 1] by a little, where powers do not exist
            left, right = np.clip((full[:, between], f[:, self.right[between]]), 0.0, 1.0)
            share = self.share[between]
            a = np.power(left, 1.0 - share) * np.power(right, share)
            b = np.power(1.0 - left, 1.0 - share) * np.power(1.0 - right, share)
            full[:, between], empty[:, between] = _ratio(a, a + b), _ratio(b, a + b)
        return taken, given, full, empty


def _transitions(grid: EnergyAxis, frequency: float) -> _Transitions:
    energies = grid.energies
    bins = np.arange(grid.n)
    slack = 64.0 * np.finfo(float).eps * max(energies[-1], frequency)
    first = np.concatenate([bins, bins])
    pairs = np.repeat([False, True], grid.n)
    other = np.where(pairs, frequency - energies[first], energies[first] + frequency)
    kept = (other >= energies[0] - slack) & (other <= energies[-1] + slack)
    if not np.any(kept):
        raise CaseError(
            f"photon drive: bins from {energies[0]:g} to {energies[-1]:g} Δ0 hold no transition by photons "
            f"of {frequency:g} Δ0"
        )
    first, pairs, other = first[kept], pairs[kept], np.clip(other[kept], energies[0], energies[-1])
    left = np.clip(np.searchsorted(energies, other, side="right") - 1, 0, grid.n - 2)
    distance = energies[left + 1] - energies[left]
    share = (other - energies[left]) / distance
    # an energy on a bin is that bin, so that rounding brings no second one in
    on_left, on_right = share * distance <= slack, (1.0 - share) * distance <= slack
    left = np.where(on_right, left + 1, left)
    share = np.where(on_left | on_right, 0.0, share)
    right = np.where(share > 0.0, left + 1, left)

    def taken(at: Ints, part: Floats) -> csr_array:
        return csr_array((part, (np.arange(at.size), at)), shape=(at.size, grid.n))

    take = taken(first, np.ones(first.size)), taken(left, 1.0 - share), taken(right, share)
    change = taken(first, np.where(pairs, 1.0, -1.0)) + take[1] + take[2]
    return _Transitions(first, left, right, share, pairs, grid.widths, energies, other, *take, change)


def _total(net: Floats) -> Floats:
    return np.asarray(net.sum(axis=1, keepdims=True))


def _ratio(a: Floats, b: Floats) -> Floats:
    """a/b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0.0)


def _column(name: str, value: ArrayLike) -> Floats:
    """A number for all cells or one a cell, as ``(1, 1)`` or ``(cells, 1)``."""
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if values.ndim != 1 or not np.all(np.isfinite(values)) or np.any(values < 0.0):
        raise CaseError(f"photon drive: {name} must be finite and not negative, one number or one a cell")
    return values[:, None]
