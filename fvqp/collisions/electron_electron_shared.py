"""Electron-electron collisions of f_L on any energy axis: energies are shared between points of a lattice.

A state of a bin takes part in collisions as two, at the lattice points on either side of its energy, in such
shares that the mean of their energies is its own; between lattice points the sums are those of
`fvqp.collisions.electron_electron` (theory: electron_electron, Eqs. lattice-shares, lattice-occupation).
Energy is kept and ``tanh(ε/2t)`` stands still to round-off, whatever the axis. Energies are in units of Δ0,
rates in Δ0/ħ.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from fvqp.collisions.electron_electron import ElectronElectron, Kernel, conserve
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

#: Part of the largest rate that is rounding on axes that are not long.
ROUNDING = 5e-12


class SharedElectronElectron:
    """The collision integral ``I_L`` of the energy mode on bins of any widths.

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

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> SharedRelaxation:
        """The integral and its derivative at distributions ``f_L[cell, bin]`` (the whole, not a deviation).

        Args:
            dos, pairing: bin averages of N and P = Im F, ``(cells, N)``, or ``(1, N)`` for all cells.
        """
        return SharedRelaxation(self, dos, pairing, f_L)

    def on_lattice(self, left: Floats, right: Floats) -> Floats:
        """Values of the bins, as they are at the lattice points to their left and right, brought there."""
        return np.ascontiguousarray((self.shared[0] @ left.T + self.shared[1] @ right.T).T)


class SharedRelaxation:
    """`SharedElectronElectron` at given spectra and distributions.

    Attributes:
        f_L: ``(cells, N)``.
        rate: ``I_L``, ``(cells, N)``; positive where f_L is lost.
        loss: coefficient of f_L in its own ``I_L``, without what sharing corrects, ``(cells, N)``.
    """

    def __init__(self, collisions: SharedElectronElectron, dos: Floats, pairing: Floats, f_L: Floats) -> None:
        c = self.collisions = collisions
        self.dos, self.pairing, self.f_L = dos, pairing, f_L
        # What the bins are at the lattice points on either side: h and its slope by f_L.
        self._h = [at_same_temperature(f_L, ratio) for _, _, ratio in c.sides]
        n, p = c.lattice.even_odd(c.on_lattice(dos, dos), c.on_lattice(pairing, pairing))
        v, u = self._products([h for h, _ in self._h])
        A, C = c.lattice.correlated(n**2 - p**2 - u**2 + v**2, -2.0 * (u * n + p * v))
        self._transforms = n, p, v, u, A, C
        x1, x2 = c.lattice.sums(n * A + u * C, p * A - v * C)
        x4, x3 = c.lattice.sums(-v * A - p * C, -u * A + n * C)
        rate, loss, excess = np.zeros_like(f_L), np.zeros_like(f_L), np.zeros(len(f_L))
        self._own = []
        for (point, share, _), (h, slope), beyond in zip(c.sides, self._h, c.beyond, strict=True):
            own = share * (dos * x1[:, point] - pairing * x2[:, point])
            part = own * h + share * (dos * x3[:, point] - pairing * x4[:, point])
            rate += part
            loss += own * slope
            excess += part @ beyond
            self._own.append(own)
        self.loss = loss
        self._kept = EnergyKept(c, rate, loss, excess)
        self.rate = self._kept.rate

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, N)``: the Jacobian's action."""
        c, dos, pairing = self.collisions, self.dos, self.pairing
        n, p, v, u, A, C = self._transforms
        moved = [slope * step for _, slope in self._h]
        dv, du = self._products(moved)
        dA, dC = c.lattice.correlated(2.0 * (v * dv - u * du), -2.0 * (du * n + p * dv))
        dx1, dx2 = c.lattice.sums(n * dA + u * dC + du * C, p * dA - v * dC - dv * C)
        dx4, dx3 = c.lattice.sums(-v * dA - dv * A - p * dC, -u * dA - du * A + n * dC)
        out, excess = np.zeros_like(step), np.zeros(len(step))
        sides = zip(c.sides, self._h, self._own, moved, c.beyond, strict=True)
        for (point, share, _), (h, _), own, dh, beyond in sides:
            by_normal = h * dx1[:, point] + dx3[:, point]
            part = own * dh + share * (dos * by_normal - pairing * (h * dx2[:, point] + dx4[:, point]))
            out += part
            excess += part @ beyond
        return self._kept.change(out, excess)

    def _products(self, h: list[Floats]) -> tuple[Floats, Floats]:
        """Transforms of ``P h`` (even) and ``N h`` (odd)."""
        c = self.collisions
        even = c.on_lattice(*(self.pairing * side for side in h))
        odd = c.on_lattice(*(self.dos * side for side in h))
        return c.lattice.even_odd(even, odd)


class EnergyKept:
    """``I_L`` with the energy that sharing moves by parts of the spacing (theory: lattice-energy).

    What that leaves in sum, of second order, is taken from gains and given to losses in proportion. Rounding,
    which is that of the fast collisions at the end of the axis, goes back there: few narrow bins at the gap
    would magnify it.

    Args:
        collisions: the axis.
        raw, loss: the integral without that, and its coefficient of f_L, ``(cells, N)``.
        excess: the sum it leaves, ``(cells,)``.

    Attributes:
        rate: the integral, ``(cells, N)``.
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
