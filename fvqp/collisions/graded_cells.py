"""The pair sums of many cells at once: every collision is evaluated in all of them before the next one.

The same sums as `fvqp.collisions.graded`. There a cell goes through all collisions, and waits for every one
of them: two bins and a few phonon points that may be those of the collision before. Cells do not wait for
each other, so here they are the innermost and contiguous axis, and a processor works on several at a time.
Loops are short on purpose: each must write so few arrays that a compiler can tell them from those it reads.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from fvqp.collisions.graded import bose

#: Cells that go together: their occupations and rates, some 30 rows of bins and phonon points, stay in a
#: processor's second cache.
TOGETHER = 32
#: Occupations of phonons with whose inverse one can still reckon; `bose` has no smaller ones.
LEAST = 1e-300
#: Fewer cells are faster one after the other (measured).
FEWEST = 6


@njit(cache=True, nogil=True, error_model="numpy")
def balance(start, stop, events, states, anomalous, f, n, rate_f, rate_n, in_f, out_f, in_n, out_n):
    """Rates of change, and gain and loss, of the cells from ``start`` to ``stop``, no more than `TOGETHER`.

    As `graded.rates` and `graded.coefficients`. With holes in place of the lower bin's quasiparticles,
    scattering is what pair breaking and recombination are: ``h_i f_j`` emits, ``(1 − h_i)(1 − f_j)`` absorbs.
    """
    cells, bins, points = stop - start, f.shape[1], n.shape[1]
    full, empty = np.empty((bins, cells)), np.empty((bins, cells))
    s, p = np.empty((bins, cells)), np.empty((bins, cells))
    gain, loss, net = np.zeros((bins, cells)), np.zeros((bins, cells)), np.zeros((bins, cells))
    exponent = np.empty((points, cells))
    emitted, absorbed, made = (
        np.zeros((points, cells)),
        np.zeros((points, cells)),
        np.zeros((points, cells)),
    )
    holds = np.zeros(bins, np.bool_)
    for q in range(cells):
        c = start + q
        row = c if states.shape[0] > 1 else 0
        for i in range(bins):
            full[i, q], empty[i, q] = f[c, i], 1.0 - f[c, i]
            s[i, q], p[i, q] = states[row, i], anomalous[row, i]
            holds[i] |= states[row, i] > 0.0
        for k in range(points):
            exponent[k, q] = np.log1p(1.0 / n[c, k]) if n[c, k] > 0.0 else np.inf
    x, up, down = np.empty(cells), np.empty(cells), np.empty(cells)
    emit, absorb, both = np.empty(cells), np.empty(cells), np.empty(cells)
    for e in range(events.lower.size):
        i, j = events.lower[e], events.upper[e]
        if not (holds[i] and holds[j]):
            continue
        first, begin = events.first[e], events.start[e]
        count = events.start[e + 1] - begin
        share, of_point = events.shares[begin], exponent[first]
        for q in range(cells):
            x[q] = share * of_point[q]
        for at in range(1, count):
            share, of_point = events.shares[begin + at], exponent[first + at]
            for q in range(cells):
                x[q] += share * of_point[q]
        sign, factor = events.sign[e], events.factor[e]
        s_i, s_j, p_i, p_j = s[i], s[j], p[i], p[j]
        for q in range(cells):
            w = factor * (s_i[q] * s_j[q] + sign * p_i[q] * p_j[q])
            star = w * bose(x[q])
            up[q] = star
            down[q] = w + star
        if sign < 0.0:
            at_i, not_i, gain_i, loss_i = empty[i], full[i], loss[i], gain[i]
        else:
            at_i, not_i, gain_i, loss_i = full[i], empty[i], gain[i], loss[i]
        at_j, not_j, gain_j, loss_j = full[j], empty[j], gain[j], loss[j]
        for q in range(cells):
            emit[q] = down[q] * at_j[q]
            absorb[q] = up[q] * not_j[q]
        for q in range(cells):
            gain_i[q] += absorb[q]
            loss_i[q] += emit[q]
        for q in range(cells):
            gain_j[q] += up[q] * not_i[q]
            loss_j[q] += down[q] * at_i[q]
        for q in range(cells):
            emit[q] *= at_i[q]
            absorb[q] *= not_i[q]
            both[q] = emit[q] - absorb[q]
        net_i, net_j = net[i], net[j]
        for q in range(cells):
            net_i[q] -= sign * both[q]
            net_j[q] -= both[q]
        for at in range(count):
            share = events.shares[begin + at]
            to_emitted, to_absorbed, to_made = emitted[first + at], absorbed[first + at], made[first + at]
            for q in range(cells):
                to_emitted[q] += share * emit[q]
                to_absorbed[q] += share * absorb[q]
            for q in range(cells):
                to_made[q] += share * both[q]
    for q in range(cells):
        c = start + q
        for i in range(bins):
            per_state = 1.0 / s[i, q] if s[i, q] > 0.0 else 0.0
            rate_f[c, i] = net[i, q] * per_state
            in_f[c, i] = gain[i, q] * per_state
            out_f[c, i] = loss[i, q] * per_state
        for k in range(points):
            capacity, occupation = events.capacity[k], n[c, k]
            rate_n[c, k] = made[k, q] / capacity
            in_n[c, k] = emitted[k, q] / (capacity * (1.0 + occupation))
            out_n[c, k] = absorbed[k, q] / (capacity * occupation) if occupation > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def product(start, stop, events, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)`` in the cells from ``start`` to ``stop``, as `graded.product`."""
    cells, bins, points = stop - start, f.shape[1], n.shape[1]
    full, empty = np.empty((bins, cells)), np.empty((bins, cells))
    more, fewer = np.empty((bins, cells)), np.empty((bins, cells))
    s, p, net = np.empty((bins, cells)), np.empty((bins, cells)), np.zeros((bins, cells))
    exponent, tilt = np.empty((points, cells)), np.empty((points, cells))
    made = np.zeros((points, cells))
    holds = np.zeros(bins, np.bool_)
    for q in range(cells):
        c = start + q
        row = c if states.shape[0] > 1 else 0
        for i in range(bins):
            full[i, q], empty[i, q] = f[c, i], 1.0 - f[c, i]
            more[i, q], fewer[i, q] = step_f[c, i], -step_f[c, i]
            s[i, q], p[i, q] = states[row, i], anomalous[row, i]
            holds[i] |= states[row, i] > 0.0
        for k in range(points):
            exponent[k, q] = np.log1p(1.0 / n[c, k]) if n[c, k] > 0.0 else np.inf
            tilt[k, q] = step_n[c, k] / (n[c, k] * (1.0 + n[c, k])) if n[c, k] > LEAST else 0.0
    x, y, w, star = np.empty(cells), np.empty(cells), np.empty(cells), np.empty(cells)
    for e in range(events.lower.size):
        i, j = events.lower[e], events.upper[e]
        if not (holds[i] and holds[j]):
            continue
        first, begin = events.first[e], events.start[e]
        count = events.start[e + 1] - begin
        x[:] = 0.0
        y[:] = 0.0
        for at in range(count):
            share, of_point, of_step = events.shares[begin + at], exponent[first + at], tilt[first + at]
            for q in range(cells):
                x[q] += share * of_point[q]
                y[q] += share * of_step[q]
        sign, factor = events.sign[e], events.factor[e]
        s_i, s_j, p_i, p_j = s[i], s[j], p[i], p[j]
        for q in range(cells):
            w[q] = factor * (s_i[q] * s_j[q] + sign * p_i[q] * p_j[q])
        for q in range(cells):
            star[q] = bose(x[q])
        if sign < 0.0:
            at_i, step_i = empty[i], fewer[i]
        else:
            at_i, step_i = full[i], more[i]
        at_j, step_j = full[j], more[j]
        for q in range(cells):
            y[q] *= (at_i[q] + at_j[q] - 1.0) * star[q] * (1.0 + star[q])
        for q in range(cells):
            y[q] += (at_j[q] + star[q]) * step_i[q] + (at_i[q] + star[q]) * step_j[q]
        net_i, net_j = net[i], net[j]
        for q in range(cells):
            w[q] *= y[q]
        for q in range(cells):
            net_i[q] -= sign * w[q]
            net_j[q] -= w[q]
        for at in range(count):
            share, to_made = events.shares[begin + at], made[first + at]
            for q in range(cells):
                to_made[q] += share * w[q]
    for q in range(cells):
        c = start + q
        for i in range(bins):
            change_f[c, i] = net[i, q] / s[i, q] if s[i, q] > 0.0 else 0.0
        for k in range(points):
            change_n[c, k] = made[k, q] / events.capacity[k]
