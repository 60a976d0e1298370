"""Electron-electron collisions on any energy axis: energies are shared between points of a lattice.

A state of a bin takes part in collisions as two, at the lattice points on either side of its energy, in such
shares that the mean of their energies is its own; between lattice points the sums are those of
`fvqp.collisions.electron_electron` (theory: electron_electron, Eqs. lattice-shares, lattice-occupation). It
has there the temperature of the bin and, where there is f_T, its potential (theory: charge_mode). Energy is
kept and ``tanh(ε/2t)`` stands still to round-off, whatever the axis. Energies are in units of Δ0, rates in
Δ0/ħ.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.sparse import csr_array

from fvqp.collisions.convolutions import TransformedSums
from fvqp.collisions.electron_electron import ElectronElectron, Kernel
from fvqp.collisions.integrals import Products, Spectra, changes_of, conserve, rates_of
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

#: Part of the largest rate that is rounding on axes that are not long.
ROUNDING = 5e-12

#: States take part at another energy with their own temperature and potential where ``|μ|/2t`` is at most the
#: first of these, with their own occupation where it is more than the second: there electrons or holes alone
#: are left, of the other kind there is rounding only, and no temperature follows from both.
_SHIFTS = 2.0, 3.0

#: Largest number below 1.
_LAST = 1.0 - 2.0**-53


class SharedElectronElectron:
    """The collision integrals of `ElectronElectron` on bins of any widths.

    Args:
        grid: energy bins.
        strength: γ_ee, see `ElectronElectron`.
        spacing: of the lattice, Δ0, at least the width of the widest bin; it is made to divide the axis.
            Errors are of second order in it. Default: the widest bin.
        kernel: see `ElectronElectron`.

    Raises:
        CaseError: a spacing that is not positive or leaves no lattice, and what `ElectronElectron` refuses.
    """

    unkept_rate = 0.0

    def __init__(
        self,
        grid: EnergyAxis,
        strength: float,
        kernel: Kernel = "fermi_liquid",
        spacing: float | None = None,
    ) -> None:
        widest = float(grid.widths.max())
        if spacing is None:
            spacing = widest
        if not widest * (1.0 - 1e-9) <= spacing <= grid.maximum / 4.0:
            raise CaseError(
                "electron-electron collisions: exchanged energies must be at least as far apart as the widest"
                f" bin, {widest:.4g} Δ0, and a small part of the axis, {grid.maximum:g} Δ0; found "
                f"{spacing:g} Δ0"
            )
        self.grid = grid
        number = int(np.floor(grid.maximum / spacing + 1e-9))
        width = grid.maximum / number
        # One point more, so that the middle of the last bin is between two.
        self.lattice = ElectronElectron(EnergyAxis.uniform(width, (number + 1) * width), strength, kernel)
        points, energies = self.lattice.grid.energies, grid.energies
        # Energies below the first point are taken there as a whole.
        place = np.maximum(energies / width - 0.5, 0.0)
        left = np.minimum(place.astype(np.int64), number - 1)
        #: Number of the lattice point on either side of a bin, its share, its energy over that of the bin.
        self.sides = [
            (left + k, share, points[left + k] / energies)
            for k, share in ((0, 1.0 - (place - left)), (1, place - left))
        ]
        bins = np.arange(grid.n)
        parts = grid.widths / width
        #: Sums over bins of what they bring to the lattice points.
        self.shared = [
            csr_array((share * parts, (point, bins)), shape=(number + 1, grid.n))
            for point, share, _ in self.sides
        ]
        self.moment = energies * grid.widths
        #: What a rate at the lattice point on either side brings to a bin beyond the energy of the point.
        self.beyond = [(energies - points[point]) * grid.widths for point, _, _ in self.sides]

    @property
    def rounding(self) -> float:
        """Part of the largest rate to which the integral is computed (theory: lattice-rounding)."""
        spacing, narrowest = float(self.lattice.grid.widths[0]), float(self.grid.widths.min())
        of_excess = np.finfo(float).eps * spacing**2 * np.sqrt(self.grid.maximum / spacing)
        return max(ROUNDING, 2.0 * of_excess / narrowest)

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""
        return self.lattice.largest_rate

    def at(self, spectra: Spectra, f: Floats) -> SharedRates:
        """The rates at distributions ``f[cell, component, bin]`` (the whole, not a deviation)."""
        return SharedRates(self, spectra, f)

    def on_lattice(self, left: Floats, right: Floats) -> Floats:
        """Values of the bins, as they are at the lattice points to their left and right, brought there."""
        return np.ascontiguousarray((self.shared[0] @ left.T + self.shared[1] @ right.T).T)


class SharedRates:
    """`SharedElectronElectron` at given spectra and distributions.

    Attributes:
        rates: see `fvqp.collisions.collision_sum.DistributionRates`.
        loss: likewise, without what sharing corrects.
    """

    def __init__(self, shared: SharedElectronElectron, spectra: Spectra, f: Floats) -> None:
        self._shared, self._spectra = shared, spectra
        self._states = [Shifted(f, ratio) for _, _, ratio in shared.sides]
        on_lattice = Spectra(*(shared.on_lattice(part, part) for part in spectra))
        sides = np.stack([state.f for state in self._states])
        self._lattice = TransformedSums(
            shared.lattice, on_lattice, partial(_products, shared, spectra), sides
        )
        self._sums, self._own = self._of_bins(self._lattice.sums), []
        rates, self.loss, excess = np.zeros_like(f), np.zeros_like(f), np.zeros(len(f))
        for state, sums, beyond in zip(self._states, self._sums, shared.beyond, strict=True):
            part, own = rates_of(spectra, state.f, sums)
            rates += part
            self.loss += own * state.slope
            excess += part[:, 0] @ beyond
            self._own.append(own)
        self._kept = EnergyKept(shared, rates[:, 0].copy(), self.loss[:, 0], excess)
        rates[:, 0] = self._kept.rate
        if f.shape[1] > 1:
            conserve(rates[:, 1], self.loss[:, 1], shared.grid.widths)
        self.rates = rates

    def jvp(self, step: Floats) -> Floats:
        """Change of `rates` along ``step``."""
        steps = [state.change(step) for state in self._states]
        moved = self._of_bins(self._lattice.moved(np.stack(steps)))
        out, excess = np.zeros_like(step), np.zeros(len(step))
        sides = zip(self._states, self._sums, self._own, steps, moved, self._shared.beyond, strict=True)
        for state, sums, own, here, change, beyond in sides:
            part = changes_of(self._spectra, state.f, sums, own, here, change)
            out += part
            excess += part[:, 0] @ beyond
        out[:, 0] = self._kept.change(out[:, 0].copy(), excess)
        return out

    def _of_bins(self, sums: Floats) -> list[Floats]:
        """Return values of the lattice points on either side of the bins, times their shares."""
        return [share * sums[..., point] for point, share, _ in self._shared.sides]


def _products(shared: SharedElectronElectron, spectra: Spectra, f: Floats) -> Products:
    """Sums over states at every lattice point of what `Spectra.products` says, of f on either side.

    No method of `SharedRates`, which would keep itself, and much memory, until Python looks for cycles.
    """
    left, right = (spectra.products(side) for side in f)
    return [shared.on_lattice(*pair) for pair in zip(left, right, strict=True)]


class EnergyKept:
    """Rate of f_L with the energy that sharing moves by parts of the spacing (theory: lattice-energy).

    What that leaves in sum, of second order, is taken from gains and given to losses in proportion. Rounding,
    which is that of the fast collisions at the end of the axis, goes back there: few narrow bins at the gap
    would magnify it.

    Args:
        collisions: the axis.
        raw, loss: the rate without that, and its coefficient of −f_L, ``(cells, N)``.
        excess: the sum it leaves, ``(cells,)``.

    Attributes:
        rate: with that, ``(cells, N)``.
    """

    def __init__(self, collisions: SharedElectronElectron, raw: Floats, loss: Floats, excess: Floats) -> None:
        self._moment, self._raw, self._sign = collisions.moment, raw, np.sign(raw)
        self._flow = np.abs(raw) @ self._moment
        self._surplus = _over(excess, self._flow)
        self.rate = raw * (1.0 - self._surplus[:, None] * self._sign)
        conserve(self.rate, loss, self._moment)

    def change(self, moved: Floats, excess: Floats) -> Floats:
        """Change of `rate` by those of its arguments."""
        surplus = _over(excess - self._surplus * ((self._sign * moved) @ self._moment), self._flow)
        return moved * (1.0 - self._surplus[:, None] * self._sign) - surplus[:, None] * np.abs(self._raw)


class Shifted:
    """Distributions at another energy ``ratio ε``, with the temperature and the potential of ε.

    Those of ``f_L = tanh(ε/2t)``, or of ``f_L ± f_T = tanh((ε ∓ μ)/2t)``; see `_SHIFTS`. Values beyond ±1,
    which rounding makes, stay.

    Attributes:
        f: ``(cells, component, N)``.
        slope: of f_L by that at ε where there is no f_T; else 1.
    """

    def __init__(self, f: Floats, ratio: Floats) -> None:
        self.slope: Floats | float = 1.0
        if f.shape[1] == 1:
            self.f, self.slope = at_same_temperature(f, ratio)
            return
        s = _kinds(f)
        inside = np.abs(s) < 1.0
        reduced = np.where(inside, s, 0.0)
        # ε/2t ∓ μ/2t, ε/2t and, of both kinds, -μ/2t.
        turned = np.arctanh(np.where(inside, s, np.copysign(_LAST, s)))
        thermal, shift = 0.5 * (turned[:, 0] + turned[:, 1]), 0.5 * (turned[:, 0] - turned[:, 1])
        low, high = _SHIFTS
        x = np.clip((np.abs(shift) - low) / (high - low), 0.0, 1.0)
        weight = 1.0 - x * x * (3.0 - 2.0 * x)
        slope = -np.sign(shift) * 6.0 * x * (1.0 - x) / (high - low)
        beyond = ratio - 1.0
        at = turned + (beyond * thermal * weight)[:, None]
        moved = np.where(inside, np.tanh(at), s)
        self.f = _modes(moved)
        # Slopes: of tanh there and of artanh here, and what either kind does to the sum in between.
        self._inside = inside
        power, q = np.exp(-2.0 * np.abs(at)), (1.0 - np.abs(reduced)) / (1.0 + np.abs(reduced))
        self._there = 4.0 * power / (1.0 + power) ** 2
        self._here = np.where(inside, (1.0 + q) ** 2 / (4.0 * q), 0.0)
        self._by = 0.5 * beyond * np.stack([weight + thermal * slope, weight - thermal * slope])

    def change(self, step: Floats) -> Floats:
        """Change of `f` by a step of the distributions at ε."""
        if step.shape[1] == 1:
            return self.slope * step
        s = _kinds(step)
        turned = self._here * s
        both = self._by[0] * turned[:, 0] + self._by[1] * turned[:, 1]
        return _modes(np.where(self._inside, self._there * (turned + both[:, None]), s))


def _kinds(f: Floats) -> Floats:
    """Return distributions of electrons and of holes, ``h ± t``."""
    return np.stack([f[:, 0] + f[:, 1], f[:, 0] - f[:, 1]], axis=1)


def _modes(s: Floats) -> Floats:
    """h and t of electrons and holes."""
    return 0.5 * np.stack([s[:, 0] + s[:, 1], s[:, 0] - s[:, 1]], axis=1)


def at_same_temperature(f_L: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """``tanh(ratio artanh f_L)``, f_L at another energy and the same temperature, and its slope by f_L.

    Values beyond ±1, which rounding makes, stay what they are.
    """
    size = np.abs(f_L)
    inside = size < 1.0
    # The Boltzmann factor e^(-ε/t).
    q = np.where(inside, (1.0 - size) / (1.0 + size), 1.0)
    power = q**ratio
    value = np.where(inside, np.copysign((1.0 - power) / (1.0 + power), f_L), f_L)
    slope = ratio * (power / q) * ((1.0 + q) / (1.0 + power)) ** 2
    return value, np.where(inside, slope, 1.0)


def _over(amount: Floats, capacity: Floats) -> Floats:
    return np.divide(amount, capacity, out=np.zeros_like(amount), where=capacity > 0.0)
