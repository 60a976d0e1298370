"""Compiled pair sums on a uniform grid: every collision is computed once and applied to all it involves.

Energy and, for scattering, quasiparticle number are conserved to round-off, because what one participant
loses is the very number that another gains. Theory: collisions, Eqs. scattering-event, pair-event.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

# Sums may be reordered, nothing else: brackets must cancel in equilibrium.
_MATH = {"reassoc", "contract"}


class Uniform(NamedTuple):
    """What the kernels know about a uniform grid.

    Attributes:
        strength: ``a ω²`` of every phonon point, ``(K,)``.
        capacity: phonon modes ``g`` of every point, ``(K,)``.
        offset: ``2 m + 1``: bins i and j recombine into the phonon point ``offset + i + j`` (counted from 1).
    """

    strength: NDArray
    capacity: NDArray
    offset: int


@njit(cache=True, parallel=True, nogil=True, fastmath=_MATH)
def rates(grid, states, anomalous, f, n, rate_f, rate_n):
    """Rates of change of f and n, all cells."""
    strength, capacity, offset = grid.strength, grid.capacity, grid.offset
    cells, bins = f.shape
    points = n.shape[1]
    for c in prange(cells):
        row = np.int64(c) if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        fc, nc = f[c], n[c]
        gain_f, gain_n = rate_f[c], rate_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        for i in range(bins):
            si, pi, fi = s[i], p[i], fc[i]
            if si == 0.0:
                continue
            empty = 1.0 - fi
            total = 0.0
            for k in range(min(bins - 1 - i, points)):
                j = i + 1 + k
                nk = nc[k]
                fj = fc[j]
                w = strength[k] * (si * s[j] - pi * p[j])
                w *= fj * empty * (1.0 + nk) - fi * (1.0 - fj) * nk
                total += w
                gain_f[j] -= w
                gain_n[k] += w
            k = offset + 2 * i - 1
            if k < points:
                nk = nc[k]
                w = strength[k] * (si * si + pi * pi) * (fi * fi * (1.0 + nk) - empty * empty * nk)
                total -= w
                gain_n[k] += 0.5 * w
            base = offset + i - 1
            for j in range(i + 1, min(bins, points - base)):
                nk = nc[base + j]
                fj = fc[j]
                w = strength[base + j] * (si * s[j] + pi * p[j])
                w *= fi * fj * (1.0 + nk) - empty * (1.0 - fj) * nk
                total -= w
                gain_f[j] -= w
                gain_n[base + j] += w
            gain_f[i] += total
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= capacity[k]


@njit(cache=True, parallel=True, nogil=True, fastmath=_MATH)
def coefficients(grid, states, anomalous, f, n, scattering, pairs, in_f, out_f, in_n, out_n):
    """Gain and loss: ``ḟ = in_f (1 − f) − out_f f``, ``ṅ = in_n (1 + n) − out_n n``.

    ``scattering`` and ``pairs`` say which collisions count: 1 or 0.
    """
    strength, capacity, offset = grid.strength, grid.capacity, grid.offset
    cells, bins = f.shape
    points = n.shape[1]
    for c in prange(cells):
        row = np.int64(c) if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        fc, nc = f[c], n[c]
        a, b, g, d = in_f[c], out_f[c], in_n[c], out_n[c]
        a[:] = 0.0
        b[:] = 0.0
        g[:] = 0.0
        d[:] = 0.0
        for i in range(bins):
            si, pi, fi = s[i], p[i], fc[i]
            if si == 0.0:
                continue
            empty = 1.0 - fi
            ai, bi = 0.0, 0.0
            for k in range(scattering * min(bins - 1 - i, points)):
                j = i + 1 + k
                nk = nc[k]
                fj = fc[j]
                w = strength[k] * (si * s[j] - pi * p[j])
                absorb, emit = w * nk, w * (1.0 + nk)
                ai += emit * fj
                bi += absorb * (1.0 - fj)
                a[j] += absorb * fi
                b[j] += emit * empty
                g[k] += w * fj * empty
                d[k] += w * fi * (1.0 - fj)
            base = offset + i - 1
            for j in range(i, pairs * min(bins, points - base)):
                nk = nc[base + j]
                fj = fc[j]
                w = strength[base + j] * (si * s[j] + pi * p[j])
                absorb, emit = w * nk, w * (1.0 + nk)
                once = 1.0 if j > i else 0.0
                ai += absorb * (1.0 - fj)
                bi += emit * fj
                a[j] += once * absorb * empty
                b[j] += once * emit * fi
                w *= 0.5 + 0.5 * once
                g[base + j] += w * fi * fj
                d[base + j] += w * empty * (1.0 - fj)
            a[i] += ai
            b[i] += bi
        for i in range(bins):
            a[i] = a[i] / s[i] if s[i] > 0.0 else 0.0
            b[i] = b[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            g[k] /= capacity[k]
            d[k] /= capacity[k]


@njit(cache=True, parallel=True, nogil=True, fastmath=_MATH)
def product(grid, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)``; conserves what the rates conserve."""
    strength, capacity, offset = grid.strength, grid.capacity, grid.offset
    cells, bins = f.shape
    points = n.shape[1]
    for c in prange(cells):
        row = np.int64(c) if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        fc, nc, uc, vc = f[c], n[c], step_f[c], step_n[c]
        gain_f, gain_n = change_f[c], change_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        for i in range(bins):
            si, pi, fi, ui = s[i], p[i], fc[i], uc[i]
            if si == 0.0:
                continue
            total = 0.0
            for k in range(min(bins - 1 - i, points)):
                j = i + 1 + k
                nk, fj = nc[k], fc[j]
                w = strength[k] * (si * s[j] - pi * p[j])
                w *= uc[j] * (1.0 - fi + nk) - ui * (fj + nk) + vc[k] * (fj - fi)
                total += w
                gain_f[j] -= w
                gain_n[k] += w
            base = offset + i - 1
            for j in range(i, min(bins, points - base)):
                nk, fj = nc[base + j], fc[j]
                w = strength[base + j] * (si * s[j] + pi * p[j])
                w *= ui * (fj + nk) + uc[j] * (fi + nk) - vc[base + j] * (1.0 - fi - fj)
                total -= w
                if j > i:
                    gain_f[j] -= w
                    gain_n[base + j] += w
                else:
                    gain_n[base + j] += 0.5 * w
            gain_f[i] += total
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= capacity[k]


@njit(cache=True, parallel=True, nogil=True)
def jacobian(grid, states, anomalous, f, n, matrix):
    """Dense Jacobian of every cell, ``(cells, N + K, N + K)``, quasiparticles first."""
    strength, capacity, offset = grid.strength, grid.capacity, grid.offset
    cells, bins = f.shape
    points = n.shape[1]
    for c in prange(cells):
        row = np.int64(c) if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        fc, nc, out = f[c], n[c], matrix[c]
        out[:, :] = 0.0
        for i in range(bins):
            if s[i] == 0.0:
                continue
            for j in range(i, bins):
                if s[j] == 0.0:
                    continue
                fi, fj = fc[i], fc[j]
                k = j - i - 1
                if 0 <= k < points:
                    nk = nc[k]
                    w = strength[k] * (s[i] * s[j] - p[i] * p[j])
                    by_i, by_j, by_n = -w * (fj + nk), w * (1.0 - fi + nk), w * (fj - fi)
                    _add(out, i, 1.0 / s[i], i, j, bins + k, by_i, by_j, by_n)
                    _add(out, j, -1.0 / s[j], i, j, bins + k, by_i, by_j, by_n)
                    _add(out, bins + k, 1.0 / capacity[k], i, j, bins + k, by_i, by_j, by_n)
                k = offset + i + j - 1
                if k < points:
                    nk = nc[k]
                    w = strength[k] * (s[i] * s[j] + p[i] * p[j])
                    by_i, by_j, by_n = w * (fj + nk), w * (fi + nk), -w * (1.0 - fi - fj)
                    share = 1.0 if j > i else 0.5
                    _add(out, i, -1.0 / s[i], i, j, bins + k, by_i, by_j, by_n)
                    if j > i:
                        _add(out, j, -1.0 / s[j], i, j, bins + k, by_i, by_j, by_n)
                    _add(out, bins + k, share / capacity[k], i, j, bins + k, by_i, by_j, by_n)


@njit(cache=True, inline="always")
def _add(out, row, scale, i, j, k, by_i, by_j, by_n):
    out[row, i] += scale * by_i
    out[row, j] += scale * by_j
    out[row, k] += scale * by_n


@njit(cache=True, parallel=True, nogil=True)
def pair_self_rate(grid, states, anomalous, f, n, rate):
    """What the diagonal has beyond ``−(in + out)``: the pair of two quasiparticles of one bin."""
    cells, bins = f.shape
    for c in prange(cells):
        row = np.int64(c) if states.shape[0] > 1 else 0
        for i in range(bins):
            k = grid.offset + 2 * i - 1
            s, p = states[row, i], anomalous[row, i]
            if k < n.shape[1] and s > 0.0:
                rate[c, i] = grid.strength[k] * (s + p * p / s) * (f[c, i] + n[c, k])
            else:
                rate[c, i] = 0.0
