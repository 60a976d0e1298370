"""The pair sums of many cells at once: every collision is evaluated in all of them before the next one.

The same sums as `fvqp.collisions.graded`. There a cell goes through all collisions, and waits for every one
of them: two bins and a few phonon points that may be those of the collision before. Cells do not wait for
each other, so here they are the innermost and contiguous axis, and a processor works on several at a time.

A row holds all there is to know of a bin, or a phonon point, in a fixed number of cells: one quantity after
the other at offsets that compilers know, so that they see that what a loop writes is not what it reads. Rows
beyond the last cell repeat it. All collisions of a lower bin follow one another; what it gets is kept in a
row of its own until they are done. With holes in place of its quasiparticles, scattering is what pair
breaking and recombination are: ``a_i a_j`` emits and ``(1 − a_i)(1 − a_j)`` absorbs.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from fvqp.collisions.bose import bose

#: Cells that go together: their occupations and rates stay in a processor's second cache.
TOGETHER = 32
#: Occupations of phonons with whose inverse one can still reckon; `bose` has no smaller ones.
LEAST = 1e-300
#: Fewer cells are faster one after the other (measured).
FEWEST = 4

#: Cells, of a type that compilers know not to count from the end.
CELLS = np.uint64(TOGETHER)
#: Offsets in the row of a bin: occupation a, 1 − a, states, anomalous states, ``gain + loss`` or the step of
#: a derivative, and what the bin gets.
FULL, EMPTY, STATES, ANOMALOUS, TURN, NET = (np.uint64(k * TOGETHER) for k in range(6))
#: Offsets in the row of a phonon point: ``ln(1 + 1/n)``, what it gets, and what is absorbed of it or the
#: step of a derivative.
EXPONENT, MADE, ABSORBED = (np.uint64(k * TOGETHER) for k in range(3))


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(start, stop, states, anomalous, f, n):
    """Rows of bins and phonon points, and the bins that hold states in any cell."""
    bins, points = np.zeros((f.shape[1], 6 * TOGETHER)), np.zeros((n.shape[1], 3 * TOGETHER))
    holds = np.zeros(f.shape[1], np.bool_)
    for q in range(CELLS):
        c = min(start + q, stop - 1)
        row = c if states.shape[0] > 1 else 0
        for i in range(f.shape[1]):
            bins[i, FULL + q], bins[i, EMPTY + q] = f[c, i], 1.0 - f[c, i]
            bins[i, STATES + q], bins[i, ANOMALOUS + q] = states[row, i], anomalous[row, i]
            holds[i] |= states[row, i] > 0.0
        for k in range(n.shape[1]):
            points[k, EXPONENT + q] = np.log1p(1.0 / n[c, k]) if n[c, k] > 0.0 else np.inf
    return bins, points, holds


@njit(cache=True, inline="always")
def _lower(own, sign, step, low):
    """Row of a lower bin: of holes, whose steps are opposite, if it scatters."""
    full, empty = (EMPTY, FULL) if sign < 0.0 else (FULL, EMPTY)
    for q in range(CELLS):
        low[FULL + q], low[EMPTY + q] = own[full + q], own[empty + q]
        low[STATES + q], low[ANOMALOUS + q] = own[STATES + q], sign * own[ANOMALOUS + q]
        low[TURN + q], low[NET + q] = step * sign * own[TURN + q], 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def balance(start, stop, events, states, anomalous, f, n, rate_f, rate_n, in_f, out_f, in_n, out_n):
    """Rates of change, and gain and loss, of the cells from ``start`` to ``stop``, no more than `TOGETHER`.

    As `graded.rates` and `graded.coefficients`, but for the rounding of gain and loss, which is that of
    their sum: ``w (a_j + n*)`` for bin i.
    """
    bins, points, holds = _rows(start, stop, states, anomalous, f, n)
    low, event = np.empty(6 * TOGETHER), np.empty(3 * TOGETHER)
    total, e = events.lower.size, 0
    while e < total:
        i, sign = events.lower[e], events.sign[e]
        own = bins[i]
        _lower(own, sign, 0.0, low)
        while e < total and events.lower[e] == i and events.sign[e] == sign:
            j, begin, end = events.upper[e], events.start[e], events.start[e + 1]
            first, factor = np.uint64(events.first[e]), events.factor[e]
            e += 1
            if not (holds[i] and holds[j]):
                continue
            upper = bins[np.uint64(j)]
            event[:TOGETHER] = 0.0
            for at in range(begin, end):
                share, point = events.shares[at], points[first + np.uint64(at - begin)]
                for q in range(CELLS):
                    event[EXPONENT + q] += share * point[EXPONENT + q]
            for q in range(CELLS):
                w = factor * (low[STATES + q] * upper[STATES + q] + low[ANOMALOUS + q] * upper[ANOMALOUS + q])
                star = w * bose(event[EXPONENT + q])
                at_i, not_i, at_j, not_j = low[FULL + q], low[EMPTY + q], upper[FULL + q], upper[EMPTY + q]
                low[TURN + q] += w * at_j + star
                upper[TURN + q] += w * at_i + star
                moved = w * at_i * at_j + star * (at_j - not_i)
                low[NET + q] += moved
                upper[NET + q] -= moved
                event[MADE + q] = moved
                event[ABSORBED + q] = star * not_i * not_j
            for at in range(begin, end):
                share, point = events.shares[at], points[first + np.uint64(at - begin)]
                for q in range(CELLS):
                    point[MADE + q] += share * event[MADE + q]
                    point[ABSORBED + q] += share * event[ABSORBED + q]
        for q in range(CELLS):
            own[TURN + q] += low[TURN + q]
            own[NET + q] -= sign * low[NET + q]
    for q in range(np.uint64(stop - start)):
        c = start + q
        for i in range(f.shape[1]):
            s = bins[i, STATES + q]
            per_state = 1.0 / s if s > 0.0 else 0.0
            rate, turn = bins[i, NET + q] * per_state, bins[i, TURN + q] * per_state
            gain = min(max(rate + turn * f[c, i], 0.0), turn)
            rate_f[c, i], in_f[c, i], out_f[c, i] = rate, gain, turn - gain
        for k in range(n.shape[1]):
            capacity, occupation = events.capacity[k], n[c, k]
            made, absorbed = points[k, MADE + q], points[k, ABSORBED + q]
            rate_n[c, k] = made / capacity
            in_n[c, k] = max(made + absorbed, 0.0) / (capacity * (1.0 + occupation))
            out_n[c, k] = absorbed / (capacity * occupation) if occupation > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def product(start, stop, events, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)`` in the cells from ``start`` to ``stop``, as `graded.product`."""
    bins, points, holds = _rows(start, stop, states, anomalous, f, n)
    for q in range(CELLS):
        c = min(start + q, stop - 1)
        for i in range(f.shape[1]):
            bins[i, TURN + q] = step_f[c, i]
        for k in range(n.shape[1]):
            points[k, ABSORBED + q] = step_n[c, k] / (n[c, k] * (1.0 + n[c, k])) if n[c, k] > LEAST else 0.0
    low, event = np.empty(6 * TOGETHER), np.empty(3 * TOGETHER)
    total, e = events.lower.size, 0
    while e < total:
        i, sign = events.lower[e], events.sign[e]
        own = bins[i]
        _lower(own, sign, 1.0, low)
        while e < total and events.lower[e] == i and events.sign[e] == sign:
            j, begin, end = events.upper[e], events.start[e], events.start[e + 1]
            first, factor = np.uint64(events.first[e]), events.factor[e]
            e += 1
            if not (holds[i] and holds[j]):
                continue
            upper = bins[np.uint64(j)]
            event[:] = 0.0
            for at in range(begin, end):
                share, point = events.shares[at], points[first + np.uint64(at - begin)]
                for q in range(CELLS):
                    event[EXPONENT + q] += share * point[EXPONENT + q]
                    event[ABSORBED + q] += share * point[ABSORBED + q]
            for q in range(CELLS):
                w = factor * (low[STATES + q] * upper[STATES + q] + low[ANOMALOUS + q] * upper[ANOMALOUS + q])
                star = bose(event[EXPONENT + q])
                at_i, not_i, at_j = low[FULL + q], low[EMPTY + q], upper[FULL + q]
                by_n = event[ABSORBED + q] * (at_j - not_i) * star * (1.0 + star)
                w *= by_n + (at_j + star) * low[TURN + q] + (at_i + star) * upper[TURN + q]
                low[NET + q] += w
                upper[NET + q] -= w
                event[MADE + q] = w
            for at in range(begin, end):
                share, point = events.shares[at], points[first + np.uint64(at - begin)]
                for q in range(CELLS):
                    point[MADE + q] += share * event[MADE + q]
        for q in range(CELLS):
            own[NET + q] -= sign * low[NET + q]
    for q in range(np.uint64(stop - start)):
        c = start + q
        for i in range(f.shape[1]):
            s = bins[i, STATES + q]
            change_f[c, i] = bins[i, NET + q] / s if s > 0.0 else 0.0
        for k in range(n.shape[1]):
            change_n[c, k] = points[k, MADE + q] / events.capacity[k]
