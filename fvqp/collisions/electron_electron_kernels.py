"""Compiled loops of the electron-electron collision integral (theory: electron_electron).

On the axis of both signs, energies ``(i + ½) δ`` with ``−N ≤ i < N``, every sequence is even or odd. Up to
the ``phase`` of half a bin the transform of an even one is real and that of an odd one imaginary: one complex
transform carries one of each, and all products are real. Arrays whose first axis has length one hold the
same row for all.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

import fvqp.kernel_cache  # noqa: F401


@njit(cache=True, nogil=True)
def pack(odd, even, out):
    """Sum of an odd and an even sequence over both signs, padded with zeros."""
    rows, bins = odd.shape
    for c in range(rows):
        row = out[c]
        for i in range(bins):
            row[bins + i] = even[c, i] + odd[c, i]
            row[bins - 1 - i] = even[c, i] - odd[c, i]
        row[2 * bins :] = 0.0


@njit(cache=True, nogil=True)
def pack_product(dos, pairing, f, out):
    """``N f`` (odd) and ``P f`` (even) over both signs, padded with zeros."""
    rows, bins = f.shape
    for c in range(rows):
        w = c if dos.shape[0] > 1 else 0
        row = out[c]
        for i in range(bins):
            odd = dos[w, i] * f[c, i]
            even = pairing[w, i] * f[c, i]
            row[bins + i] = even + odd
            row[bins - 1 - i] = even - odd
        row[2 * bins :] = 0.0


@njit(cache=True, nogil=True)
def unturn(spectra, phase, out):
    """Real transforms of the even, ``out[:, 0]``, and of the odd sequence, ``out[:, 1]``."""
    for c in range(spectra.shape[0]):
        for q in range(phase.size):
            value = spectra[c, q] * np.conj(phase[q])
            out[c, 0, q] = value.real
            out[c, 1, q] = value.imag


@njit(cache=True, nogil=True)
def correlate(weights, state, out):
    """``A`` (even in ω) and ``C`` (odd) by their transforms, ``A + i C``."""
    for c in range(state.shape[0]):
        w = c if weights.shape[0] > 1 else 0
        for q in range(out.shape[1]):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[c, 0, q], state[c, 1, q]
            out[c, q] = complex(n * n - p * p - u * u + v * v, -2.0 * (u * n + p * v))


@njit(cache=True, nogil=True)
def correlate_step(weights, state, moved, out):
    """Change of `correlate`."""
    for c in range(moved.shape[0]):
        w = c if weights.shape[0] > 1 else 0
        s = c if state.shape[0] > 1 else 0
        for q in range(out.shape[1]):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[s, 0, q], state[s, 1, q]
            dv, du = moved[c, 0, q], moved[c, 1, q]
            out[c, q] = complex(2.0 * (v * dv - u * du), -2.0 * (du * n + p * dv))


@njit(cache=True, nogil=True)
def convolve(weights, state, exchanged, phase, out):
    """The four convolutions in pairs: even X1 and odd X2, even X4 and odd X3; keeps ``exchanged``."""
    for c in range(state.shape[0]):
        w = c if weights.shape[0] > 1 else 0
        for q in range(phase.size):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[c, 0, q], state[c, 1, q]
            even, odd = exchanged[c, q].real, exchanged[c, q].imag
            state[c, 2, q] = even
            state[c, 3, q] = odd
            out[c, 0, q] = phase[q] * complex(n * even + u * odd, p * even - v * odd)
            out[c, 1, q] = phase[q] * complex(-v * even - p * odd, -u * even + n * odd)


@njit(cache=True, nogil=True)
def convolve_step(weights, state, moved, exchanged, phase, out):
    """Change of `convolve`."""
    for c in range(moved.shape[0]):
        w = c if weights.shape[0] > 1 else 0
        s = c if state.shape[0] > 1 else 0
        for q in range(phase.size):
            n, p = weights[w, 0, q], weights[w, 1, q]
            v, u = state[s, 0, q], state[s, 1, q]
            even, odd = state[s, 2, q], state[s, 3, q]
            dv, du = moved[c, 0, q], moved[c, 1, q]
            d_even, d_odd = exchanged[c, q].real, exchanged[c, q].imag
            out[c, 0, q] = phase[q] * complex(
                n * d_even + u * d_odd + du * odd, p * d_even - v * d_odd - dv * odd
            )
            out[c, 1, q] = phase[q] * complex(
                -v * d_even - dv * even - p * d_odd, -u * d_even - du * even + n * d_odd
            )


@njit(cache=True, nogil=True)
def rates(scale, dos, pairing, f, sums, rate, loss):
    """The integral and the loss rate from the four convolutions."""
    rows, bins = f.shape
    for c in range(rows):
        w = c if dos.shape[0] > 1 else 0
        for i in range(bins):
            x1 = 0.5 * (sums[c, 0, bins + i] + sums[c, 0, bins - 1 - i])
            x2 = 0.5 * (sums[c, 0, bins + i] - sums[c, 0, bins - 1 - i])
            x4 = 0.5 * (sums[c, 1, bins + i] + sums[c, 1, bins - 1 - i])
            x3 = 0.5 * (sums[c, 1, bins + i] - sums[c, 1, bins - 1 - i])
            loss[c, i] = scale * (dos[w, i] * x1 - pairing[w, i] * x2)
            rate[c, i] = loss[c, i] * f[c, i] + scale * (dos[w, i] * x3 - pairing[w, i] * x4)


@njit(cache=True, nogil=True)
def changes(scale, dos, pairing, f, loss, sums, step, out):
    """Change of the integral from those of the four convolutions."""
    rows, bins = step.shape
    for c in range(rows):
        w = c if dos.shape[0] > 1 else 0
        s = c if f.shape[0] > 1 else 0
        for i in range(bins):
            x1 = 0.5 * (sums[c, 0, bins + i] + sums[c, 0, bins - 1 - i])
            x2 = 0.5 * (sums[c, 0, bins + i] - sums[c, 0, bins - 1 - i])
            x4 = 0.5 * (sums[c, 1, bins + i] + sums[c, 1, bins - 1 - i])
            x3 = 0.5 * (sums[c, 1, bins + i] - sums[c, 1, bins - 1 - i])
            own = dos[w, i] * (f[s, i] * x1 + x3) - pairing[w, i] * (f[s, i] * x2 + x4)
            out[c, i] = loss[s, i] * step[c, i] + scale * own
