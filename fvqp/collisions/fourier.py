"""Collision integrals on a uniform grid as convolutions: O(N log N), batched over cells.

After the cubic terms have cancelled, every gain and every loss is a correlation or a convolution of two
sequences. They are added up in Fourier space: four forward transforms a cell for the state, two more where
the spectrum differs from cell to cell, and seven inverse ones (theory: collisions, Eq. fourier).

Scattering reads phonons at the distance of two bins and pairs read them at their sum, each a window of its
own: transforms of twice the number of bins serve, however far apart the windows lie. What scattering emits
and absorbs is one correlation, at lags of either sign.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fvqp.collisions.pair_sums_uniform import Uniform
from fvqp.energy import BinWeights
from fvqp.kernel_cache import njit
from fvqp.threads import share
from fvqp.typing import Complexes, Floats

# Points that a thread transforms together, in whole cells: calls cost little, and buffers stay in its cache.
_BLOCK = 6000


class FourierSums:
    """Gain, loss and their derivatives by fast Fourier transforms.

    Errors are a few times the rounding error of the *largest* rate of a cell. Storage grows as N log N.
    """

    def __init__(self, grid: Uniform, bins: int) -> None:
        """
        Args:
            grid: strengths, capacity and offset of the uniform grid.
            bins: number of quasiparticle bins N.
        """
        self._grid = grid
        # Nothing may wrap around: lags of two bins, and their sums.
        self.length = fft.next_fast_len(2 * bins - 1, real=True)
        windows = np.zeros((len(grid.scattering), 2, self.length))
        _all_windows(grid.scattering, grid.pairs, grid.offset, bins, windows)
        self._spontaneous = fft.rfft(windows)
        pairs = np.broadcast_to(grid.pairs, grid.scattering.shape)
        self._weights = np.stack([grid.scattering, pairs], axis=1) / grid.modes[:, None]
        self._known: tuple[BinWeights, Complexes] | None = None

    def rates(self, bin_weights: BinWeights, f: Floats, n: Floats, rate_f: Floats, rate_n: Floats) -> None:
        """Fill ``rate_f`` and ``rate_n`` with the rates of change, as
        `fvqp.collisions.pair_sums_uniform.rates` does."""
        states = self._weights_of_spectra(bin_weights)

        def block(cells: slice) -> None:
            rows = _rows(bin_weights, cells)
            sums, weights = self._sums(rows, states, cells, f, n), _some(self._weights, cells)
            _rates(sums, *rows, weights, self._grid.offset, f[cells], n[cells], rate_f[cells], rate_n[cells])

        self._each(block, f.shape[0])

    def gain_loss(
        self,
        bin_weights: BinWeights,
        f: Floats,
        n: Floats,
        into: tuple[Floats, Floats, Floats, Floats],
    ) -> None:
        """Fill ``into`` with (in_f, out_f, in_n, out_n), as `fvqp.collisions.pair_sums_uniform.coefficients`
        does."""
        states = self._weights_of_spectra(bin_weights)

        def block(cells: slice) -> None:
            rows = _rows(bin_weights, cells)
            sums, weights = self._sums(rows, states, cells, f, n), _some(self._weights, cells)
            _coefficients(sums, *rows, weights, self._grid.offset, *(part[cells] for part in into))

        self._each(block, f.shape[0])

    def derivative(
        self,
        bin_weights: BinWeights,
        f: Floats,
        n: Floats,
        step_f: Floats,
        step_n: Floats,
        into: tuple[Floats, Floats, Floats, Floats],
    ) -> None:
        """Fill ``into`` with the changes of (in_f, out_f, in_n, out_n) along ``(step_f, step_n)``."""
        states = self._weights_of_spectra(bin_weights)

        def block(cells: slice) -> None:
            rows = _rows(bin_weights, cells)
            forward = self._forward(rows, cells, f, n)
            step = self._forward(rows, cells, step_f, step_n)
            spectra = np.empty((forward.shape[0], 7, forward.shape[2]), dtype=np.complex128)
            _derivatives(forward, step, _some(states, cells), _some(self._spontaneous, cells), spectra)
            sums = fft.irfft(spectra, self.length)
            weights = _some(self._weights, cells)
            _coefficients(sums, *rows, weights, self._grid.offset, *(part[cells] for part in into))

        self._each(block, f.shape[0])

    def _weights_of_spectra(self, bin_weights: BinWeights) -> Complexes:
        if self._known is None or self._known[0] is not bin_weights:
            both = np.stack([bin_weights.dos_weights, bin_weights.pair_weights], axis=1)
            self._known = bin_weights, fft.rfft(both, self.length)
        return self._known[1]

    def _forward(self, rows: tuple[Floats, Floats], cells: slice, f: Floats, n: Floats) -> Complexes:
        f, n, grid = f[cells], n[cells], self._grid
        packed = np.empty((f.shape[0], 4, self.length))
        _pack(*rows, _some(grid.scattering, cells), grid.pairs, grid.offset, f, n, packed)
        return np.asarray(fft.rfft(packed))

    def _sums(
        self, rows: tuple[Floats, Floats], states: Complexes, cells: slice, f: Floats, n: Floats
    ) -> Floats:
        forward = self._forward(rows, cells, f, n)
        spectra = np.empty((forward.shape[0], 7, forward.shape[2]), dtype=np.complex128)
        _products(forward, _some(states, cells), _some(self._spontaneous, cells), spectra)
        return np.asarray(fft.irfft(spectra, self.length))

    def _each(self, action: Callable[[slice], None], cells: int) -> None:
        """Blocks of cells, shared among threads; everything in them leaves the GIL."""
        share(lambda start, stop: action(slice(start, stop)), cells, block=max(1, _BLOCK // self.length))


def _rows(bin_weights: BinWeights, cells: slice) -> tuple[Floats, Floats]:
    return _some(bin_weights.dos_weights, cells), _some(bin_weights.pair_weights, cells)


def _some(array: NDArray, cells: slice) -> NDArray:
    return array if array.shape[0] == 1 else array[cells]


@njit(cache=True, inline="always")
def _windows(scatters, paired, offset, bins, out):
    """Phonons at the distance of two bins, ``out[0]``, and at the sum of two, ``out[1]``; zeros elsewhere.

    ``scatters[k]`` belongs to a distance of k + 1 bins, ``paired[k]`` to bins i + j = k + 1 − offset.
    """
    apart, summed = out[0], out[1]
    apart[:] = 0.0
    summed[:] = 0.0
    lags, of_sums = apart[1:], paired[offset - 1 :]
    for k in range(min(bins - 1, scatters.size)):
        lags[k] = scatters[k]
    for k in range(min(2 * bins - 1, of_sums.size)):
        summed[k] = of_sums[k]


@njit(cache=True, nogil=True)
def _all_windows(scatters, paired, offset, bins, out):
    """Both windows of every row of ``scatters``."""
    for row in range(out.shape[0]):
        _windows(scatters[row], paired, offset, bins, out[row])


@njit(cache=True, nogil=True)
def _pack(states, anomalous, scatters, paired, offset, f, n, packed):
    """``s f``, ``p f`` and both windows of ``a ω² n``, padded with zeros."""
    cells, bins = f.shape
    scattered, made = np.empty(n.shape[1]), np.empty(n.shape[1])
    for c in range(cells):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        normal, anomal = packed[c, 0], packed[c, 1]
        fc, nc = f[c], n[c]
        for i in range(bins):
            normal[i] = s[i] * fc[i]
            anomal[i] = p[i] * fc[i]
        normal[bins:] = 0.0
        anomal[bins:] = 0.0
        own = scatters[c if scatters.shape[0] > 1 else 0]
        for k in range(nc.size):
            scattered[k] = own[k] * nc[k]
            made[k] = paired[k] * nc[k]
        _windows(scattered, made, offset, bins, packed[c, 2:])


@njit(cache=True, nogil=True, fastmath={"contract"})
def _products(forward, states, spontaneous, out):
    for c in range(forward.shape[0]):
        row, own = c if states.shape[0] > 1 else 0, c if spontaneous.shape[0] > 1 else 0
        for q in range(spontaneous.shape[2]):
            full_s, full_p, apart, create = (
                forward[c, 0, q],
                forward[c, 1, q],
                forward[c, 2, q],
                forward[c, 3, q],
            )
            empty_s, empty_p = states[row, 0, q] - full_s, states[row, 1, q] - full_p
            emit = spontaneous[own, 0, q] + 2.0 * apart.real
            absorb = np.conj(emit)
            recombine = spontaneous[own, 1, q] + create
            out[c, 0, q] = full_s * absorb + create * np.conj(empty_s)
            out[c, 1, q] = full_p * absorb - create * np.conj(empty_p)
            out[c, 2, q] = empty_s * emit + recombine * np.conj(full_s)
            out[c, 3, q] = empty_p * emit - recombine * np.conj(full_p)
            out[c, 4, q] = np.conj(empty_s) * full_s - np.conj(empty_p) * full_p
            out[c, 5, q] = 0.5 * (full_s * full_s + full_p * full_p)
            out[c, 6, q] = 0.5 * (empty_s * empty_s + empty_p * empty_p)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _derivatives(forward, step, states, spontaneous, out):
    for c in range(forward.shape[0]):
        row, own = c if states.shape[0] > 1 else 0, c if spontaneous.shape[0] > 1 else 0
        for q in range(spontaneous.shape[2]):
            full_s, full_p, apart, create = (
                forward[c, 0, q],
                forward[c, 1, q],
                forward[c, 2, q],
                forward[c, 3, q],
            )
            more_s, more_p, more_create = step[c, 0, q], step[c, 1, q], step[c, 3, q]
            empty_s, empty_p = states[row, 0, q] - full_s, states[row, 1, q] - full_p
            emit = spontaneous[own, 0, q] + 2.0 * apart.real
            absorb = np.conj(emit)
            extra = 2.0 * step[c, 2, q].real
            recombine = spontaneous[own, 1, q] + create
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
            out[c, 4, q] = moved - (np.conj(empty_p) * more_p - np.conj(more_p) * full_p)
            out[c, 5, q] = full_s * more_s + full_p * more_p
            out[c, 6, q] = -(empty_s * more_s + empty_p * more_p)


@njit(cache=True, inline="always")
def _phonons(sums, weights, offset, bins, in_n, out_n):
    """Gain and loss of phonon points from correlations and convolutions of one cell."""
    in_n[:] = 0.0
    out_n[:] = 0.0
    forth, back = sums[4, 1:], sums[4, ::-1]
    for k in range(min(bins - 1, in_n.size)):
        in_n[k] = weights[0, k] * forth[k]
        out_n[k] = weights[0, k] * back[k]
    of_sums, more_in, more_out = weights[1, offset - 1 :], in_n[offset - 1 :], out_n[offset - 1 :]
    for k in range(min(2 * bins - 1, of_sums.size)):
        more_in[k] += of_sums[k] * sums[5, k]
        more_out[k] += of_sums[k] * sums[6, k]


@njit(cache=True, nogil=True)
def _coefficients(sums, states, anomalous, weights, offset, in_f, out_f, in_n, out_n):
    cells, bins = in_f.shape
    for c in range(cells):
        row = c if states.shape[0] > 1 else 0
        for i in range(bins):
            s = states[row, i]
            share = anomalous[row, i] / s if s > 0.0 else 0.0
            in_f[c, i] = sums[c, 0, i] - share * sums[c, 1, i] if s > 0.0 else 0.0
            out_f[c, i] = sums[c, 2, i] - share * sums[c, 3, i] if s > 0.0 else 0.0
        _phonons(sums[c], weights[c if weights.shape[0] > 1 else 0], offset, bins, in_n[c], out_n[c])


@njit(cache=True, nogil=True)
def _rates(sums, states, anomalous, weights, offset, f, n, rate_f, rate_n):
    cells, bins = f.shape
    loss_n = np.empty(n.shape[1])
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
        _phonons(sums[c], weights[c if weights.shape[0] > 1 else 0], offset, bins, rate_n[c], loss_n)
        for k in range(n.shape[1]):
            rate_n[c, k] = rate_n[c, k] * (1.0 + n[c, k]) - loss_n[k] * n[c, k]
