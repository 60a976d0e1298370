"""Convolutions of collision integrals over equal energy bins: O(N log N), batched over cells.

On the axis of both signs, energies ``(i + ½) δ`` with ``−N ≤ i < N``, every sequence is even or odd. Up to
the ``phase`` of half a bin the transform of an even one is real and that of an odd one imaginary: one complex
transform carries one of each, and all products are real (theory: electron_electron, charge_mode). Arrays
whose first axis has length one hold the same row for all cells.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy import fft

from fvqp.collisions.integrals import Products, Spectra
from fvqp.energy import EnergyAxis
from fvqp.kernel_cache import njit
from fvqp.threads import share
from fvqp.typing import Complexes, Floats

# Numbers of a block of cells: the buffers of a thread should stay in its cache.
_BLOCK = 32768


class EqualBins:
    """Transforms of sequences over the bins of a uniform axis from 0.

    Attributes:
        n: bins of positive energy.
        length: of padded sequences; nothing wraps around: between 2 N energies of both signs there are
            4 N − 1 differences.
        phase: of half a bin, at every frequency.
    """

    def __init__(self, grid: EnergyAxis) -> None:
        self.n = grid.n
        self.length = int(fft.next_fast_len(4 * grid.n, real=True))
        turns = np.arange(self.length // 2 + 1) * (2 * grid.n - 1) % (2 * self.length)
        self.phase = np.exp(-1j * np.pi / self.length * turns)

    def forward(self, even: Floats, odd: Floats, out: Floats) -> None:
        """Transforms of an even and an odd sequence given for ε > 0, to ``out[:, 0]`` and ``out[:, 1]``."""
        packed = np.empty((len(out), self.length))
        _pack(even, odd, packed)
        _unturn(np.asarray(fft.rfft(packed)), self.phase, out)


class Exchange(Protocol):
    """Correlations of what is exchanged: fluctuations A, even in ω, and response C, odd, as A + i C."""

    bins: EqualBins

    def correlated(self, weights: Floats, state: Floats) -> Complexes:
        """A + i C by transforms, of spectra and of products with f, ``(cells, frequencies)``."""

    def correlated_step(self, weights: Floats, state: Floats, moved: Floats) -> Complexes:
        """Change of `correlated` by that of the products."""


class TransformedSums:
    """Sums over the spectra of both partners at equidistant energies, by transforms.

    Args:
        exchange: what the partners exchange.
        spectra: of the states of every energy.
        products: what makes `Spectra.products` at these energies of distributions.
        f: distributions.

    Attributes:
        sums: see `fvqp.collisions.integrals.PairSums`.
    """

    def __init__(
        self, exchange: Exchange, spectra: Spectra, products: Callable[[Floats], Products], f: Floats
    ) -> None:
        self._exchange, self._bins, self._products = exchange, exchange.bins, products
        of_f = products(f)
        cells, n = of_f[0].shape
        half = self._bins.phase.size
        # Of N and P, and of R where there is f_T; of P h, N h, N t and R t.
        self._weights = np.empty((len(spectra.dos), len(of_f), half))
        pairs = (spectra.dos, spectra.pairing), (spectra.anomalous, _none(n))
        for k, pair in enumerate(pairs[: len(of_f) // 2]):
            self._bins.forward(*pair, self._weights[:, 2 * k : 2 * k + 2])
        self._state = np.empty((cells, len(of_f), half))
        self._exchanged = np.empty((cells, half), np.complex128)
        self.sums = np.empty((4 if len(of_f) == 2 else 9, cells, n))
        still, nothing = np.zeros((1, len(of_f), half)), np.zeros((1, half), np.complex128)

        def block(weights: Floats, cells: slice) -> None:
            state = self._state[cells]
            self._transform(of_f, cells, state)
            self._exchanged[cells] = exchange.correlated(weights, state)
            self._convolve(weights, state, nothing, still, self._exchanged[cells], self.sums[:, cells])

        self._each(block)

    def moved(self, step: Floats) -> Floats:
        """Change of the sums by a step of the distributions."""
        products, out = self._products(step), np.empty_like(self.sums)

        def block(weights: Floats, cells: slice) -> None:
            state = self._state[cells]
            moved = np.empty_like(state)
            self._transform(products, cells, moved)
            change = self._exchange.correlated_step(weights, state, moved)
            self._convolve(weights, state, self._exchanged[cells], moved, change, out[:, cells])

        self._each(block)
        return out

    def _each(self, block: Callable[[Floats, slice], None]) -> None:
        """Blocks of cells, shared among threads, and transforms of their spectra."""

        def work(start: int, stop: int) -> None:
            block(self._weights if len(self._weights) == 1 else self._weights[start:stop], slice(start, stop))

        share(work, len(self._state), block=max(1, _BLOCK // self._bins.length))

    def _transform(self, products: Products, cells: slice, out: Floats) -> None:
        even, odd, *of_charge = (part[cells] for part in products)
        self._bins.forward(even, odd, out[:, :2])
        for k, part in enumerate(of_charge):
            pair = np.empty_like(out[:, :2])
            self._bins.forward(part, _none(self._bins.n), pair)
            out[:, 2 + k] = pair[:, 0]

    def _convolve(
        self,
        weights: Floats,
        state: Floats,
        exchanged: Complexes,
        moved: Floats,
        change: Complexes,
        out: Floats,
    ) -> None:
        products = np.empty((out.shape[1], (len(out) + 1) // 2, self._bins.phase.size), np.complex128)
        _convolve(weights, state, exchanged, moved, change, self._bins.phase, products)
        _split(np.asarray(fft.irfft(products, self._bins.length)), out)


def _none(n: int) -> Floats:
    return np.zeros((1, n))


@njit(cache=True, nogil=True)
def _pack(even, odd, out):
    """Sum of an even and an odd sequence over both signs, padded with zeros."""
    bins = even.shape[1]
    for c in range(out.shape[0]):
        a, b = min(c, even.shape[0] - 1), min(c, odd.shape[0] - 1)
        row = out[c]
        for i in range(bins):
            row[bins + i] = even[a, i] + odd[b, i]
            row[bins - 1 - i] = even[a, i] - odd[b, i]
        row[2 * bins :] = 0.0


@njit(cache=True, nogil=True)
def _unturn(spectra, phase, out):
    """Real transforms of the even, ``out[:, 0]``, and of the odd sequence, ``out[:, 1]``."""
    for c in range(spectra.shape[0]):
        for q in range(phase.size):
            value = spectra[c, q] * np.conj(phase[q])
            out[c, 0, q] = value.real
            out[c, 1, q] = value.imag


@njit(cache=True, inline="always")
def _parts(row, bins, i):
    """Even and odd part of a sequence at ε > 0."""
    up, down = row[bins + i], row[bins - 1 - i]
    return 0.5 * (up + down), 0.5 * (up - down)


@njit(cache=True, nogil=True)
def _split(sequences, out):
    """Sums from the sequences of `_convolve`, see `fvqp.collisions.integrals.PairSums`."""
    bins = out.shape[2]
    for c in range(out.shape[1]):
        for i in range(bins):
            x1, x2 = _parts(sequences[c, 0], bins, i)
            x4, x3 = _parts(sequences[c, 1], bins, i)
            out[0, c, i], out[1, c, i], out[2, c, i], out[3, c, i] = x1, x2, x1 + x3, x2 + x4
        if out.shape[0] > 4:
            for i in range(bins):
                y4, y1 = _parts(sequences[c, 2], bins, i)
                y5, y2 = _parts(sequences[c, 3], bins, i)
                y3, _ = _parts(sequences[c, 4], bins, i)
                out[4, c, i], out[5, c, i], out[6, c, i], out[7, c, i] = y1, y1 + y4, y2, y5
                out[8, c, i] = y3


@njit(cache=True, nogil=True)
def correlate(scale, weights, state, out):
    """``A`` (even in ω) and ``C`` (odd) of electrons by their transforms, ``A + i C``."""
    for c in range(state.shape[0]):
        w = min(c, weights.shape[0] - 1)
        for q in range(out.shape[1]):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[c, 0, q], state[c, 1, q]
            out[c, q] = complex(scale * (n * n - p * p - u * u + v * v), -2.0 * scale * (u * n + p * v))
        if state.shape[1] > 2:
            for q in range(out.shape[1]):
                nt, rt = state[c, 2, q], state[c, 3, q]
                out[c, q] += scale * (rt * rt - nt * nt)


@njit(cache=True, nogil=True)
def correlate_step(scale, weights, state, moved, out):
    """Change of `correlate`."""
    for c in range(state.shape[0]):
        w = min(c, weights.shape[0] - 1)
        for q in range(out.shape[1]):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[c, 0, q], state[c, 1, q]
            dv, du = moved[c, 0, q], moved[c, 1, q]
            out[c, q] = complex(2.0 * scale * (v * dv - u * du), -2.0 * scale * (du * n + p * dv))
        if state.shape[1] > 2:
            for q in range(out.shape[1]):
                out[c, q] += 2.0 * scale * (state[c, 3, q] * moved[c, 3, q] - state[c, 2, q] * moved[c, 2, q])


@njit(cache=True, nogil=True)
def _convolve(weights, state, exchanged, moved, change, phase, out):
    """Change of the convolutions in pairs, even and odd: X1, X2; X4, X3; Y4, Y1; Y5, Y2; Y3, none.

    They are bilinear: with ``exchanged`` and ``moved`` zero and ``change`` all that is exchanged, themselves.
    """
    for c in range(out.shape[0]):
        w, s = min(c, weights.shape[0] - 1), min(c, state.shape[0] - 1)
        x, m, d = min(c, exchanged.shape[0] - 1), min(c, moved.shape[0] - 1), min(c, change.shape[0] - 1)
        for q in range(phase.size):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[s, 0, q], state[s, 1, q]
            dv, du = moved[m, 0, q], moved[m, 1, q]
            A, C = exchanged[x, q].real, exchanged[x, q].imag
            dA, dC = change[d, q].real, change[d, q].imag
            out[c, 0, q] = phase[q] * complex(n * dA + u * dC + du * C, p * dA - v * dC - dv * C)
            out[c, 1, q] = phase[q] * complex(-v * dA - dv * A - p * dC, -u * dA - du * A + n * dC)
        if state.shape[1] > 2:
            for q in range(phase.size):
                for k in (2, 3):
                    here, step = state[s, k, q], moved[m, k, q]
                    out[c, k, q] = phase[q] * complex(
                        step * exchanged[x, q].real + here * change[d, q].real,
                        step * exchanged[x, q].imag + here * change[d, q].imag,
                    )
                out[c, 4, q] = phase[q] * (weights[w, 2, q] * change[d, q].real)
