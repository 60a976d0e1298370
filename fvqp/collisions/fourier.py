"""Collision integrals on a uniform grid as convolutions: O(N log N), batched over cells.

After the cubic terms have cancelled, every gain and every loss is a correlation or a convolution of two
sequences. They are added up in Fourier space: three forward transforms a cell for the state, two more where
the spectrum differs from cell to cell, and six inverse ones (theory: collisions, Eq. fourier).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from fvqp.collisions.direct import Uniform
from fvqp.collisions.measure import SpectralMeasure
from fvqp.threads import share

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# Points that a thread transforms together, in whole cells: calls cost little, and buffers stay in its cache.
_BLOCK = 6000


class FourierSums:
    """Gain, loss and their derivatives by fast Fourier transforms.

    Errors are a few times the rounding error of the *largest* rate of a cell. Storage grows as N log N.
    """

    def __init__(self, grid: Uniform, bins: int) -> None:
        """
        Args:
            grid: strength, capacity and offset of the uniform grid.
            bins: number of quasiparticle bins N.
        """
        points = grid.strength.size
        self._grid, self._bins, self._points = grid, bins, points
        # Nothing may wrap around: lags of the phonons against the bins, and sums of two bins.
        least = max(points + bins, grid.offset + 2 * bins - 1)
        self.length = fft.next_fast_len(least, real=True)
        kernel = np.zeros(self.length)
        kernel[1 : points + 1] = grid.strength
        self._spontaneous = fft.rfft(kernel)
        turns = np.arange(self._spontaneous.size) * (grid.offset % self.length)
        self._delay = np.exp(-2j * np.pi / self.length * (turns % self.length))
        self._weight = grid.strength / grid.capacity
        self._known: tuple[SpectralMeasure, Complexes] | None = None

    def rates(self, measure: SpectralMeasure, f: Floats, n: Floats, rate_f: Floats, rate_n: Floats) -> None:
        """Fill ``rate_f`` and ``rate_n`` with the rates of change, as `fvqp.collisions.direct.rates` does."""
        states = self._measure_spectra(measure)

        def block(cells: slice) -> None:
            rows = _rows(measure, cells)
            sums = self._sums(rows, _some(states, cells), f[cells], n[cells])
            _rates(sums, *rows, self._weight, f[cells], n[cells], rate_f[cells], rate_n[cells])

        self._each(block, f.shape[0])

    def gain_loss(
        self,
        measure: SpectralMeasure,
        f: Floats,
        n: Floats,
        into: tuple[Floats, Floats, Floats, Floats],
    ) -> None:
        """Fill ``into`` with (in_f, out_f, in_n, out_n), as `fvqp.collisions.direct.coefficients` does."""
        states = self._measure_spectra(measure)

        def block(cells: slice) -> None:
            rows = _rows(measure, cells)
            sums = self._sums(rows, _some(states, cells), f[cells], n[cells])
            _coefficients(sums, *rows, self._weight, *(part[cells] for part in into))

        self._each(block, f.shape[0])

    def derivative(
        self,
        measure: SpectralMeasure,
        f: Floats,
        n: Floats,
        step_f: Floats,
        step_n: Floats,
        into: tuple[Floats, Floats, Floats, Floats],
    ) -> None:
        """Fill ``into`` with the changes of (in_f, out_f, in_n, out_n) along ``(step_f, step_n)``."""
        states = self._measure_spectra(measure)

        def block(cells: slice) -> None:
            rows = _rows(measure, cells)
            forward = self._forward(rows, f[cells], n[cells])
            step = self._forward(rows, step_f[cells], step_n[cells])
            spectra = np.empty((forward.shape[0], 6, forward.shape[2]), dtype=np.complex128)
            _derivatives(forward, step, _some(states, cells), self._spontaneous, self._delay, spectra)
            sums = fft.irfft(spectra, self.length)
            _coefficients(sums, *rows, self._weight, *(part[cells] for part in into))

        self._each(block, f.shape[0])

    def _measure_spectra(self, measure: SpectralMeasure) -> Complexes:
        if self._known is None or self._known[0] is not measure:
            both = np.stack([measure.states, measure.anomalous], axis=1)
            self._known = measure, fft.rfft(both, self.length)
        return self._known[1]

    def _forward(self, rows: tuple[Floats, Floats], f: Floats, n: Floats) -> Complexes:
        packed = np.empty((f.shape[0], 3, self.length))
        _pack(*rows, self._grid.strength, f, n, packed)
        return np.asarray(fft.rfft(packed))

    def _sums(self, rows: tuple[Floats, Floats], states: Complexes, f: Floats, n: Floats) -> Floats:
        forward = self._forward(rows, f, n)
        spectra = np.empty((forward.shape[0], 6, forward.shape[2]), dtype=np.complex128)
        _products(forward, states, self._spontaneous, self._delay, spectra)
        return np.asarray(fft.irfft(spectra, self.length))

    def _each(self, action: Callable[[slice], None], cells: int) -> None:
        """Blocks of cells, shared among threads; everything in them leaves the GIL."""
        share(lambda start, stop: action(slice(start, stop)), cells, block=max(1, _BLOCK // self.length))


def _rows(measure: SpectralMeasure, cells: slice) -> tuple[Floats, Floats]:
    return _some(measure.states, cells), _some(measure.anomalous, cells)


def _some(array: NDArray, cells: slice) -> NDArray:
    return array if array.shape[0] == 1 else array[cells]


@njit(cache=True, nogil=True)
def _pack(states, anomalous, strength, f, n, packed):
    """``s f``, ``p f`` and ``a ω² n``, padded with zeros."""
    cells, bins = f.shape
    points = n.shape[1]
    for c in range(cells):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        normal, anomal, phonons = packed[c, 0], packed[c, 1], packed[c, 2]
        fc, nc = f[c], n[c]
        for i in range(bins):
            normal[i] = s[i] * fc[i]
            anomal[i] = p[i] * fc[i]
        normal[bins:] = 0.0
        anomal[bins:] = 0.0
        phonons[0] = 0.0
        for k in range(points):
            phonons[k + 1] = strength[k] * nc[k]
        phonons[points + 1 :] = 0.0


@njit(cache=True, nogil=True)
def _products(forward, states, spontaneous, delay, out):
    for c in range(forward.shape[0]):
        row = c if states.shape[0] > 1 else 0
        for q in range(spontaneous.size):
            full_s, full_p, phonons = forward[c, 0, q], forward[c, 1, q], forward[c, 2, q]
            empty_s, empty_p = states[row, 0, q] - full_s, states[row, 1, q] - full_p
            induced = 2.0 * phonons.real
            emit = spontaneous[q] + induced
            absorb = np.conj(emit)
            later = delay[q]
            sooner = np.conj(later)
            create = sooner * phonons
            recombine = sooner * (spontaneous[q] + phonons)
            out[c, 0, q] = full_s * absorb + create * np.conj(empty_s)
            out[c, 1, q] = full_p * absorb - create * np.conj(empty_p)
            out[c, 2, q] = empty_s * emit + recombine * np.conj(full_s)
            out[c, 3, q] = empty_p * emit - recombine * np.conj(full_p)
            moved = np.conj(empty_s) * full_s - np.conj(empty_p) * full_p
            out[c, 4, q] = moved + 0.5 * later * (full_s * full_s + full_p * full_p)
            out[c, 5, q] = np.conj(moved) + 0.5 * later * (empty_s * empty_s + empty_p * empty_p)


@njit(cache=True, nogil=True)
def _derivatives(forward, step, states, spontaneous, delay, out):
    for c in range(forward.shape[0]):
        row = c if states.shape[0] > 1 else 0
        for q in range(spontaneous.size):
            full_s, full_p, phonons = forward[c, 0, q], forward[c, 1, q], forward[c, 2, q]
            more_s, more_p, added = step[c, 0, q], step[c, 1, q], step[c, 2, q]
            empty_s, empty_p = states[row, 0, q] - full_s, states[row, 1, q] - full_p
            emit = spontaneous[q] + 2.0 * phonons.real
            absorb = np.conj(emit)
            extra = 2.0 * added.real
            later = delay[q]
            sooner = np.conj(later)
            create, more_create = sooner * phonons, sooner * added
            recombine = sooner * (spontaneous[q] + phonons)
            out[c, 0, q] = (
                more_s * absorb + full_s * extra + more_create * np.conj(empty_s) - create * np.conj(more_s)
            )
            out[c, 1, q] = (
                more_p * absorb + full_p * extra - more_create * np.conj(empty_p) + create * np.conj(more_p)
            )
            out[c, 2, q] = (
                empty_s * extra - more_s * emit + recombine * np.conj(more_s) + more_create * np.conj(full_s)
            )
            out[c, 3, q] = (
                empty_p * extra - more_p * emit - recombine * np.conj(more_p) - more_create * np.conj(full_p)
            )
            moved = np.conj(empty_s) * more_s - np.conj(more_s) * full_s
            moved -= np.conj(empty_p) * more_p - np.conj(more_p) * full_p
            out[c, 4, q] = moved + later * (full_s * more_s + full_p * more_p)
            out[c, 5, q] = np.conj(moved) - later * (empty_s * more_s + empty_p * more_p)


@njit(cache=True, nogil=True)
def _coefficients(sums, states, anomalous, weight, in_f, out_f, in_n, out_n):
    cells, bins = in_f.shape
    for c in range(cells):
        row = c if states.shape[0] > 1 else 0
        for i in range(bins):
            s = states[row, i]
            share = anomalous[row, i] / s if s > 0.0 else 0.0
            in_f[c, i] = sums[c, 0, i] - share * sums[c, 1, i] if s > 0.0 else 0.0
            out_f[c, i] = sums[c, 2, i] - share * sums[c, 3, i] if s > 0.0 else 0.0
        for k in range(weight.size):
            in_n[c, k] = weight[k] * sums[c, 4, k + 1]
            out_n[c, k] = weight[k] * sums[c, 5, k + 1]


@njit(cache=True, nogil=True)
def _rates(sums, states, anomalous, weight, f, n, rate_f, rate_n):
    cells, bins = f.shape
    for c in range(cells):
        row = c if states.shape[0] > 1 else 0
        for i in range(bins):
            s = states[row, i]
            if s > 0.0:
                share = anomalous[row, i] / s
                gain = sums[c, 0, i] - share * sums[c, 1, i]
                loss = sums[c, 2, i] - share * sums[c, 3, i]
                rate_f[c, i] = gain * (1.0 - f[c, i]) - loss * f[c, i]
            else:
                rate_f[c, i] = 0.0
        for k in range(weight.size):
            gain, loss = sums[c, 4, k + 1], sums[c, 5, k + 1]
            rate_n[c, k] = weight[k] * (gain * (1.0 + n[c, k]) - loss * n[c, k])
