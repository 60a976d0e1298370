"""Electron-electron collisions of f_L on a uniform energy axis: O(N log N), batched over cells.

Two electrons of energies ε1, ε3 become two of ε2, ε4 with ω = ε1 − ε2 = ε4 − ε3 (Bobkova and Bobkov, Phys.
Rev. B 93, 024513 (2016), Eq. 16; normalised as in Ryan, Beckmann, Chandrasekhar (2026)). All sums run over
whole events of the axis, so that energy is kept and ``tanh(ε/2t)`` stands still to round-off (theory:
electron_electron). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import fft

from fvqp.collisions import electron_electron_kernels as kernels
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO
from fvqp.threads import share
from fvqp.typing import Complexes, Floats

Kernel = Literal["fermi_liquid", "diffusive_2d", "diffusive_1d"]

#: Powers of |ω|/k_BTc in the matrix element of every kernel.
POWERS: dict[Kernel, float] = {"fermi_liquid": 0.0, "diffusive_2d": -1.0, "diffusive_1d": -1.5}

# Numbers of a block of cells: the buffers of a thread should stay in its cache.
_BLOCK = 32768


class ElectronElectron:
    """The collision integral ``I_L`` of the energy mode, ``N ∂f_L/∂t = … − I_L``.

    Args:
        grid: uniform energy bins from 0; their centres are the energies of the electrons.
        strength: γ_ee = ħ/(Δ0 τ_ee), the rate in the normal state at the Fermi energy and T_c.
        kernel: how the matrix element depends on the energy ω that is exchanged: not at all, as |ω|⁻¹ or as
            |ω|^(−3/2) (electrons that diffuse in two dimensions or one); it is the same at ω = k_BT_c.

    Raises:
        CaseError: bins of different widths, a negative strength, or an unknown kernel.
    """

    rounding, unkept_rate = 0.0, 0.0

    def __init__(self, grid: EnergyAxis, strength: float, kernel: Kernel = "fermi_liquid") -> None:
        width = grid.maximum / grid.n
        if not grid.is_uniform or grid.first:
            raise CaseError(
                "electron-electron collisions: energies that are exchanged must be whole bins; the energy "
                'axis must be uniform (energies.spacing = "uniform")'
            )
        if not (np.isfinite(strength) and strength >= 0.0):
            raise CaseError(f"electron-electron collisions: γ_ee must not be negative, found {strength:g}")
        if kernel not in POWERS:
            raise CaseError(
                f'electron-electron collisions: kernel must be one of {", ".join(POWERS)}, not "{kernel}"'
            )
        self.grid, self.strength, self.kernel = grid, strength, kernel
        #: Weights of a rate in what a cell loses of energy.
        self.moment = grid.energies * grid.widths
        # Nothing wraps around: between 2 N energies of both signs there are 4 N − 1 differences.
        self._length = int(fft.next_fast_len(4 * grid.n, real=True))
        critical = 1.0 / BCS_RATIO
        self._scale = 0.5 * strength / (np.pi * critical) ** 2 * width**2
        lag = np.minimum(np.arange(self._length), self._length - np.arange(self._length)) * width / critical
        # Nothing is exchanged at ω = 0: there the bracket of the integral vanishes.
        self._matrix = np.zeros(self._length)
        self._matrix[1:] = lag[1:] ** POWERS[kernel]
        turns = np.arange(self._length // 2 + 1) * (2 * grid.n - 1) % (2 * self._length)
        self._phase = np.exp(-1j * np.pi / self._length * turns)

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""
        return self.strength * (self.grid.maximum * BCS_RATIO / np.pi) ** 2

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> EnergyRelaxation:
        """The integral and its derivative at distributions ``f_L[cell, bin]`` (the whole, not a deviation).

        Args:
            dos, pairing: bin averages of N and P = Im F, ``(cells, N)``, or ``(1, N)`` for all cells.
        """
        cells, bins = f_L.shape
        half = self._length // 2 + 1
        dos, pairing = np.ascontiguousarray(dos), np.ascontiguousarray(pairing)
        weights = self._spectra(dos, pairing)
        found = EnergyRelaxation(
            self,
            np.ascontiguousarray(f_L),
            dos,
            pairing,
            weights,
            np.empty((cells, 4, half)),
            np.empty((cells, bins)),
            np.empty((cells, bins)),
        )
        self._each(found.evaluate, cells)
        return found

    def _spectra(self, dos: Floats, pairing: Floats) -> Floats:
        """Transforms of N (even) and P (odd in energy), real by their parity, ``(cells, 2, frequencies)``."""
        packed = np.empty((len(dos), self._length))
        kernels.pack(pairing, dos, packed)
        out = np.empty((len(dos), 2, self._length // 2 + 1))
        kernels.unturn(np.asarray(fft.rfft(packed)), self._phase, out)
        return out

    def exchanged(self, spectra: Complexes) -> None:
        """Multiply correlations by the matrix element, which depends on their lag; in place."""
        if POWERS[self.kernel] == 0.0:
            return
        lags = fft.irfft(spectra, self._length)
        lags *= self._matrix
        spectra[:] = fft.rfft(lags)

    def even_odd(self, even: Floats, odd: Floats) -> tuple[Floats, Floats]:
        """Transforms, real by parity, of an even and an odd sequence given for ε > 0, ``(cells, N)``.

        Either may have one row for all cells.
        """
        even, odd = (np.ascontiguousarray(rows) for rows in np.broadcast_arrays(even, odd))
        packed = np.empty((len(even), self._length))
        kernels.pack(odd, even, packed)
        turned = np.asarray(fft.rfft(packed)) * np.conj(self._phase)
        return turned.real, turned.imag

    def sums(self, even: Floats, odd: Floats) -> tuple[Floats, Floats]:
        """Inverse of `even_odd`: the sequences at ε > 0."""
        found = np.asarray(fft.irfft(self._phase * (even + 1j * odd), self._length))
        n = self.grid.n
        up, down = found[:, n : 2 * n], found[:, n - 1 :: -1]
        return 0.5 * (up + down), 0.5 * (up - down)

    def correlated(self, even: Floats, odd: Floats) -> tuple[Floats, Floats]:
        """A and C with matrix element and prefactor, by their transforms."""
        spectra = even + 1j * odd
        self.exchanged(spectra)
        spectra *= self._scale
        return spectra.real, spectra.imag

    def _each(self, action: Callable[[slice], None], cells: int) -> None:
        """Blocks of cells, shared among threads."""
        share(lambda start, stop: action(slice(start, stop)), cells, block=max(1, _BLOCK // self._length))


@dataclass(frozen=True, eq=False)
class EnergyRelaxation:
    """`ElectronElectron` at given spectra and distributions: the integral, its loss rate, its derivative.

    Attributes:
        collisions: the operator.
        f_L: ``(cells, N)``.
        dos, pairing: ``(cells or 1, N)``.
        rate: ``I_L``, ``(cells, N)``; positive where f_L is lost.
        loss: coefficient of f_L in its own ``I_L``, the rate of scattering out, ``(cells, N)``.
    """

    collisions: ElectronElectron
    f_L: Floats
    dos: Floats
    pairing: Floats
    _weights: Floats
    _state: Floats
    rate: Floats
    loss: Floats

    def evaluate(self, cells: slice) -> None:
        """Fill the rows of ``cells``."""
        c = self.collisions
        dos, pairing, weights = (_rows(a, cells) for a in (self.dos, self.pairing, self._weights))
        f, state = self.f_L[cells], self._state[cells]
        packed = np.empty((len(f), c._length))
        kernels.pack_product(dos, pairing, f, packed)
        kernels.unturn(np.asarray(fft.rfft(packed)), c._phase, state[:, :2])
        spectra = np.empty((len(f), c._phase.size), np.complex128)
        kernels.correlate(weights, state, spectra)
        c.exchanged(spectra)
        products = np.empty((len(f), 2, c._phase.size), np.complex128)
        kernels.convolve(weights, state, spectra, c._phase, products)
        sums = np.asarray(fft.irfft(products, c._length))
        kernels.rates(c._scale, dos, pairing, f, sums, self.rate[cells], self.loss[cells])
        conserve(self.rate[cells], self.loss[cells], c.moment)

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, N)``: the Jacobian's action."""
        out = np.empty_like(self.rate)
        step = np.ascontiguousarray(step)
        c = self.collisions

        def block(cells: slice) -> None:
            dos, pairing, weights = (_rows(a, cells) for a in (self.dos, self.pairing, self._weights))
            out[cells] = self._directional(
                dos, pairing, weights, self.f_L[cells], self._state[cells], self.loss[cells],
                step[cells],
            )  # fmt: skip

        c._each(block, len(out))
        return out

    def jacobian(self, cell: int) -> Floats:
        """Dense ``∂I_L/∂f_L`` of one cell, ``(N, N)``: row of the rate, column of the distribution."""
        bins = self.f_L.shape[1]
        columns = np.empty((bins, bins))
        units = np.eye(bins)
        row = slice(cell, cell + 1)
        dos, pairing, weights = (_rows(a, row) for a in (self.dos, self.pairing, self._weights))

        def block(steps: slice) -> None:
            columns[steps] = self._directional(
                dos, pairing, weights, self.f_L[row], self._state[row], self.loss[row], units[steps],
            )  # fmt: skip

        self.collisions._each(block, bins)
        return np.ascontiguousarray(columns.T)

    def _directional(
        self, dos: Floats, pairing: Floats, weights: Floats, f: Floats, state: Floats, loss: Floats,
        step: Floats,
    ) -> Floats:  # fmt: skip
        """Derivative along every row of ``step``; the other arrays have as many rows, or one for all."""
        c = self.collisions
        packed = np.empty((len(step), c._length))
        kernels.pack_product(dos, pairing, step, packed)
        moved = np.empty((len(step), 2, c._phase.size))
        kernels.unturn(np.asarray(fft.rfft(packed)), c._phase, moved)
        spectra = np.empty((len(step), c._phase.size), np.complex128)
        kernels.correlate_step(weights, state, moved, spectra)
        c.exchanged(spectra)
        products = np.empty((len(step), 2, c._phase.size), np.complex128)
        kernels.convolve_step(weights, state, moved, spectra, c._phase, products)
        out = np.empty((len(step), f.shape[1]))
        changes = np.asarray(fft.irfft(products, c._length))
        kernels.changes(c._scale, dos, pairing, f, loss, changes, step, out)
        return out


def conserve(rate: Floats, loss: Floats, moment: Floats) -> None:
    """Make the sums of ``rate`` with the weights ``moment``, which are rounding, 0 in every cell; in place.

    It is rounding of the rates of scattering out, ``loss``, which may be many times larger, and goes there.
    """
    capacity = loss @ moment
    # Twice: what the first leaves is rounding of the same sums.
    for _ in range(2):
        part = np.divide(rate @ moment, capacity, out=np.zeros(len(rate)), where=capacity > 0.0)
        rate -= part[:, None] * loss


def _rows(array: Floats, cells: slice) -> Floats:
    return array if array.shape[0] == 1 else array[cells]
