"""Compiled pair sums on a uniform grid: every collision is computed once and applied to all it involves.

Energy and, for scattering, quasiparticle number are conserved to round-off, because what one participant
loses is the very number that another gains. Theory: collisions, Eqs. scattering-event, pair-event.

A loop fills the cells from ``start`` to ``stop``, for threads to share them (`fvqp.threads.share`).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.kernel_cache import njit

# Sums may be reordered, nothing else: brackets must cancel in equilibrium.
_MATH = {"reassoc", "contract"}


class Uniform(NamedTuple):
    """Uniform grid and coefficients for the compiled kernels.

    Attributes:
        scattering: ``a ω²`` of every phonon point times its share of modes, ``(cells, K)`` or ``(1, K)``.
        pairs: ``a ω²``, ``(K,)``.
        modes: phonon modes ``g`` of every point, ``(cells, K)`` or ``(1, K)``.
        offset: ``2 m + 1``: bins i and j recombine into the phonon point ``offset + i + j`` (counted from 1).
    """

    scattering: NDArray
    pairs: NDArray
    modes: NDArray
    offset: int


# One quasiparticle with a row of partners. Plain slices of equal length are what the compiler vectorises;
# they start at the partner, and at the phonon that goes with it.


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _scatter(strength, si, pi, fi, s, p, f, n, gain_f, gain_n):
    """Scattering with higher bins; returns what bin i gains."""
    total, empty = 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] - pi * p[k])
        w *= f[k] * empty * (1.0 + n[k]) - fi * (1.0 - f[k]) * n[k]
        total += w
        gain_f[k] -= w
        gain_n[k] += w
    return total


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _recombine(strength, si, pi, fi, s, p, f, n, gain_f, gain_n):
    """Recombination with higher bins; returns what bin i loses."""
    total, empty = 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] + pi * p[k])
        w *= fi * f[k] * (1.0 + n[k]) - empty * (1.0 - f[k]) * n[k]
        total += w
        gain_f[k] -= w
        gain_n[k] += w
    return total


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _scatter_parts(strength, si, pi, fi, s, p, f, n, a, b, g, d):
    """Gain and loss by scattering with higher bins; returns those of bin i."""
    ai, bi, empty = 0.0, 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] - pi * p[k])
        absorb, emit = w * n[k], w * (1.0 + n[k])
        ai += emit * f[k]
        bi += absorb * (1.0 - f[k])
        a[k] += absorb * fi
        b[k] += emit * empty
        g[k] += w * f[k] * empty
        d[k] += w * fi * (1.0 - f[k])
    return ai, bi


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _pair_parts(strength, si, pi, fi, s, p, f, n, a, b, g, d):
    """Gain and loss by pairs with higher bins; returns those of bin i."""
    ai, bi, empty = 0.0, 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] + pi * p[k])
        absorb, emit = w * n[k], w * (1.0 + n[k])
        ai += absorb * (1.0 - f[k])
        bi += emit * f[k]
        a[k] += absorb * empty
        b[k] += emit * fi
        g[k] += w * fi * f[k]
        d[k] += w * empty * (1.0 - f[k])
    return ai, bi


@njit(cache=True, nogil=True, _nrt=False)
def rates(start, stop, grid, states, anomalous, f, n, rate_f, rate_n):
    """Rates of change of f and n."""
    paired, offset = grid.pairs, grid.offset
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        own = c if grid.modes.shape[0] > 1 else 0
        scatters, modes = grid.scattering[own], grid.modes[own]
        fc, nc, gain_f, gain_n = f[c], n[c], rate_f[c], rate_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        for i in range(bins):
            si, pi, fi = s[i], p[i], fc[i]
            if si == 0.0:
                continue
            t = i + 1
            u = min(bins, t + points)
            q = u - t
            here = gain_f[t:u]
            total = _scatter(scatters[:q], si, pi, fi, s[t:u], p[t:u], fc[t:u], nc[:q], here, gain_n[:q])
            base = offset + i - 1
            if base + i < points:
                k = base + i
                w = paired[k] * (si * si + pi * pi)
                w *= fi * fi * (1.0 + nc[k]) - (1.0 - fi) * (1.0 - fi) * nc[k]
                total -= w
                gain_n[k] += 0.5 * w
            u = min(bins, points - base)
            if u > t:
                k, q = base + t, base + u
                here = gain_f[t:u]
                total -= _recombine(
                    paired[k:q], si, pi, fi, s[t:u], p[t:u], fc[t:u], nc[k:q], here, gain_n[k:q]
                )
            gain_f[i] += total
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= modes[k]


@njit(cache=True, nogil=True, _nrt=False)
def coefficients(start, stop, grid, states, anomalous, f, n, scattering, pairs, in_f, out_f, in_n, out_n):
    """Gain and loss: ``ḟ = in_f (1 − f) − out_f f``, ``ṅ = in_n (1 + n) − out_n n``.

    ``scattering`` and ``pairs`` say which collisions count.
    """
    paired, offset = grid.pairs, grid.offset
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        own = c if grid.modes.shape[0] > 1 else 0
        scatters, modes = grid.scattering[own], grid.modes[own]
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
            t = i + 1
            if scattering:
                u = min(bins, t + points)
                q = u - t
                ai, bi = _scatter_parts(
                    scatters[:q], si, pi, fi, s[t:u], p[t:u], fc[t:u], nc[:q], a[t:u], b[t:u], g[:q], d[:q]
                )
                a[i] += ai
                b[i] += bi
            base = offset + i - 1
            if not pairs or base + i >= points:
                continue
            k = base + i
            w = paired[k] * (si * si + pi * pi)
            a[i] += w * nc[k] * (1.0 - fi)
            b[i] += w * (1.0 + nc[k]) * fi
            g[k] += 0.5 * w * fi * fi
            d[k] += 0.5 * w * (1.0 - fi) * (1.0 - fi)
            u = min(bins, points - base)
            if u > t:
                k, q = base + t, base + u
                ai, bi = _pair_parts(
                    paired[k:q],
                    si,
                    pi,
                    fi,
                    s[t:u],
                    p[t:u],
                    fc[t:u],
                    nc[k:q],
                    a[t:u],
                    b[t:u],
                    g[k:q],
                    d[k:q],
                )
                a[i] += ai
                b[i] += bi
        for i in range(bins):
            a[i] = a[i] / s[i] if s[i] > 0.0 else 0.0
            b[i] = b[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            g[k] /= modes[k]
            d[k] /= modes[k]


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _scatter_slopes(strength, si, pi, fi, ui, s, p, f, n, u, v, change_f, change_n):
    """Change of scattering with higher bins along a step; returns that of what bin i gains."""
    total, empty = 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] - pi * p[k])
        w *= u[k] * (empty + n[k]) - ui * (f[k] + n[k]) + v[k] * (f[k] - fi)
        total += w
        change_f[k] -= w
        change_n[k] += w
    return total


@njit(cache=True, nogil=True, _nrt=False, fastmath=_MATH)
def _recombine_slopes(strength, si, pi, fi, ui, s, p, f, n, u, v, change_f, change_n):
    """Change of recombination with higher bins along a step; returns that of what bin i loses."""
    total, empty = 0.0, 1.0 - fi
    for k in range(s.size):
        w = strength[k] * (si * s[k] + pi * p[k])
        w *= ui * (f[k] + n[k]) + u[k] * (fi + n[k]) - v[k] * (empty - f[k])
        total += w
        change_f[k] -= w
        change_n[k] += w
    return total


@njit(cache=True, nogil=True, _nrt=False)
def product(start, stop, grid, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)``; conserves what the rates conserve."""
    paired, offset = grid.pairs, grid.offset
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        own = c if grid.modes.shape[0] > 1 else 0
        scatters, modes = grid.scattering[own], grid.modes[own]
        fc, nc, uc, vc = f[c], n[c], step_f[c], step_n[c]
        gain_f, gain_n = change_f[c], change_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        for i in range(bins):
            si, pi, fi, ui = s[i], p[i], fc[i], uc[i]
            if si == 0.0:
                continue
            t = i + 1
            u = min(bins, t + points)
            q = u - t
            total = _scatter_slopes(
                scatters[:q],
                si,
                pi,
                fi,
                ui,
                s[t:u],
                p[t:u],
                fc[t:u],
                nc[:q],
                uc[t:u],
                vc[:q],
                gain_f[t:u],
                gain_n[:q],
            )
            base = offset + i - 1
            if base + i < points:
                k = base + i
                w = paired[k] * (si * si + pi * pi)
                w *= 2.0 * ui * (fi + nc[k]) - vc[k] * (1.0 - 2.0 * fi)
                total -= w
                gain_n[k] += 0.5 * w
            u = min(bins, points - base)
            if u > t:
                k, q = base + t, base + u
                total -= _recombine_slopes(
                    paired[k:q],
                    si,
                    pi,
                    fi,
                    ui,
                    s[t:u],
                    p[t:u],
                    fc[t:u],
                    nc[k:q],
                    uc[t:u],
                    vc[k:q],
                    gain_f[t:u],
                    gain_n[k:q],
                )
            gain_f[i] += total
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= modes[k]


@njit(cache=True, nogil=True, _nrt=False)
def bin_rows(start, stop, grid, states, anomalous, f, n, ff, fn):
    """Derivatives of the rates of bins; row ``cell × bins + bin`` by itself, from its own events."""
    bins = f.shape[1]
    for row in range(start, stop):
        c, i = row // bins, row % bins
        own = c if states.shape[0] > 1 else 0
        scatters = grid.scattering[c if grid.scattering.shape[0] > 1 else 0]
        _bin_row(
            scatters, grid.pairs, grid.offset, i, states[own], anomalous[own], f[c], n[c], ff[c, i], fn[c, i]
        )


@njit(cache=True, nogil=True, _nrt=False)
def point_rows(start, stop, grid, states, anomalous, f, n, nf, nn):
    """Derivatives of the rates of phonon points; row ``cell × points + point`` by itself."""
    points = n.shape[1]
    for row in range(start, stop):
        c, k = row // points, row % points
        own = c if states.shape[0] > 1 else 0
        s, p = states[own], anomalous[own]
        shares = c if grid.modes.shape[0] > 1 else 0
        modes = grid.modes[shares, k]
        scatters, paired = grid.scattering[shares, k] / modes, grid.pairs[k] / modes
        nn[c, k] = _point_row(scatters, paired, k, k + 1 - grid.offset, s, p, f[c], n[c, k], nf[c, k])


@njit(cache=True, nogil=True, _nrt=False)
def _bin_row(scatters, paired, offset, i, s, p, f, n, by_f, by_n):
    """Derivatives of the rate of one bin."""
    by_f[:] = 0.0
    by_n[:] = 0.0
    if s[i] == 0.0:
        return
    bins, points = f.size, n.size
    fi, anomaly = f[i], p[i] / s[i]
    own = 0.0
    for j in range(i + 1, min(bins, i + 1 + points)):
        k = j - i - 1
        w = scatters[k] * (s[j] - anomaly * p[j])
        by_f[j] += w * (1.0 - fi + n[k])
        by_n[k] += w * (f[j] - fi)
        own -= w * (f[j] + n[k])
    for j in range(max(0, i - points), i):
        k = i - j - 1
        w = scatters[k] * (s[j] - anomaly * p[j])
        by_f[j] += w * (fi + n[k])
        by_n[k] += w * (f[j] - fi)
        own -= w * (1.0 - f[j] + n[k])
    base = offset + i - 1
    for j in range(min(bins, points - base)):
        k = base + j
        w = paired[k] * (s[j] + anomaly * p[j])
        by_f[j] -= w * (fi + n[k])
        by_n[k] += w * (1.0 - fi - f[j])
        own -= w * (f[j] + n[k])
    by_f[i] += own


@njit(cache=True, nogil=True, _nrt=False)
def _point_row(scatters, paired, k, total, s, p, f, n, by_f):
    """Derivatives of the rate of one phonon point; returns that by its own occupation."""
    by_f[:] = 0.0
    bins = f.size
    own = 0.0
    for i in range(bins - k - 1):
        j = i + k + 1
        w = scatters * (s[i] * s[j] - p[i] * p[j])
        by_f[i] -= w * (f[j] + n)
        by_f[j] += w * (1.0 - f[i] + n)
        own += w * (f[j] - f[i])
    # Both orders of a pair come by, as do both halves of two quasiparticles of one bin.
    for i in range(max(0, total - bins + 1), min(bins, total + 1)):
        j = total - i
        w = paired * (s[i] * s[j] + p[i] * p[j])
        by_f[i] += w * (f[j] + n)
        own -= 0.5 * w * (1.0 - f[i] - f[j])
    return own


def pair_self_rate(grid: Uniform, states: NDArray, anomalous: NDArray, f: NDArray, n: NDArray) -> NDArray:
    """Return the diagonal beyond ``−(in + out)``: the pair of two quasiparticles of one bin."""
    k = grid.offset + 2 * np.arange(f.shape[1]) - 1
    some = k < n.shape[1]
    k, s, p = k[some], states[:, some], anomalous[:, some]
    rate = np.zeros_like(f)
    share = np.divide(p * p, s, out=np.zeros_like(s), where=s > 0.0)
    rate[:, some] = grid.pairs[k] * np.where(s > 0.0, s + share, 0.0) * (f[:, some] + n[:, k])
    return rate
