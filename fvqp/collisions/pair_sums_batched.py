"""The pair sums of many cells at once: every collision is evaluated in all of them before the next one.

The same sums as `fvqp.collisions.pair_sums_nonuniform`. There a cell goes through all collisions, and waits
for every one of them: two bins and a few phonon points that may be those of the collision before. Cells do
not wait for each other, so here they are the innermost and contiguous axis, and a processor works on several
at a time.

A row holds all there is to know of a bin, or a phonon point, in a fixed number of cells: one quantity after
the other at offsets that compilers know, so that they see that what a loop writes is not what it reads. Cells
are filled up to whole vectors of a processor by repeating the last one. All collisions of a lower bin follow
one another; what it gets is kept in a row of its own until they are done. With holes in place of its
quasiparticles, scattering is what pair breaking and recombination are: ``a_i a_j`` emits and
``(1 − a_i)(1 − a_j)`` absorbs. Most collisions have two phonon points, which one loop serves with all the
rest; what more there are have loops of their own before and after it.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from fvqp.collisions.bose import bose
from fvqp.collisions.pair_sums_nonuniform import EMPTY_POINT, FULLEST, MIN_OCCUPATION
from fvqp.kernel_cache import njit

#: Cells that go together: their occupations and rates stay in a processor's second cache.
TOGETHER = 32
#: Cells of one vector, as a power of 2: 8, or whole numbers of shorter vectors.
LANES = 3
#: Fewer cells are faster one after the other (measured).
FEWEST = 2

#: Offsets in the row of a bin: occupation a, states, anomalous states, ``gain + loss`` or the step of a
#: derivative, what the bin gets and, of a lower bin, 1 − a.
FULL, STATES, ANOMALOUS, TURN, NET, EMPTY = (np.uint64(k * TOGETHER) for k in range(6))
#: Offsets in the row of a phonon point: ``ln(1 + 1/n)``, what it gets, and what is absorbed of it or the
#: step of a derivative; and the row of the point after it.
EXPONENT, MADE, ABSORBED, AFTER = (np.uint64(k * TOGETHER) for k in range(4))
#: Offsets in the row of the further points of a collision, after those of a phonon point.
COLDEST, THERE = (np.uint64(k * TOGETHER) for k in (3, 4))
ONE, TWO = np.uint64(1), np.uint64(2)


@njit(cache=True, inline="always")
def _vectors(start, stop):
    """Number of cells, in whole vectors, of a type that compilers know not to count from the end."""
    return np.uint64((stop - start + (1 << LANES) - 1) >> LANES << LANES)


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(start, stop, states, anomalous, f, n):
    """Rows of bins and phonon points, one after the last that counts for nothing, and the bins that hold
    states in any cell."""
    bins, points = np.zeros((f.shape[1], 5 * TOGETHER)), np.zeros((n.shape[1] + 1, 3 * TOGETHER))
    holds = np.zeros(f.shape[1], np.bool_)
    for q in range(_vectors(start, stop)):
        c = min(start + q, stop - 1)
        row = c if states.shape[0] > 1 else 0
        for i in range(f.shape[1]):
            bins[i, FULL + q], bins[i, STATES + q] = f[c, i], states[row, i]
            bins[i, ANOMALOUS + q] = anomalous[row, i]
            holds[i] |= states[row, i] > 0.0
        for k in range(n.shape[1]):
            points[k, EXPONENT + q] = np.log1p(1.0 / n[c, k]) if n[c, k] > MIN_OCCUPATION else EMPTY_POINT
    return bins, points, holds


@njit(cache=True, inline="always")
def _lower(cells, own, sign, step, low):
    """Row of a lower bin: of holes, whose steps are opposite, if it scatters."""
    for q in range(cells):
        a = own[FULL + q]
        low[FULL + q], low[EMPTY + q] = (1.0 - a, a) if sign < 0.0 else (a, 1.0 - a)
        low[STATES + q], low[ANOMALOUS + q] = own[STATES + q], sign * own[ANOMALOUS + q]
        low[TURN + q], low[NET + q] = step * sign * own[TURN + q], 0.0


@njit(cache=True, fastmath={"contract"})
def _gather(cells, what, events, e, points, event):
    """Sum over the points of collision e after its second, times their shares."""
    first = np.uint64(events.first[e])
    for q in range(cells):
        event[what + q] = 0.0
    for at in range(events.start[e] + 2, events.start[e + 1]):
        share, point = events.shares[at], points[first + np.uint64(at - events.start[e])]
        for q in range(cells):
            event[what + q] += share * point[what + q]


@njit(cache=True, inline="always")
def _coldest(cells, events, e, points, event):
    """Largest ``ln(1 + 1/n*)`` at the temperature of one of these points, and its step of a derivative."""
    first = np.uint64(events.first[e])
    for q in range(cells):
        event[COLDEST + q] = 0.0
    for at in range(events.start[e] + 2, events.start[e + 1]):
        k = first + np.uint64(at - events.start[e])
        ratio, point = events.energy[e] * events.per_energy[k], points[k]
        for q in range(cells):
            if ratio * point[EXPONENT + q] > event[COLDEST + q]:
                event[COLDEST + q], event[THERE + q] = (
                    ratio * point[EXPONENT + q],
                    ratio * point[ABSORBED + q],
                )


@njit(cache=True, fastmath={"contract"})
def _spread(cells, what, events, e, points, event):
    """Give these points their shares of what the collision makes."""
    first = np.uint64(events.first[e])
    for at in range(events.start[e] + 2, events.start[e + 1]):
        share, point = events.shares[at], points[first + np.uint64(at - events.start[e])]
        for q in range(cells):
            point[what + q] += share * event[what + q]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def balance(start, stop, events, states, anomalous, f, n, rate_f, rate_n, in_f, out_f, in_n, out_n):
    """Rates of change, and gain and loss, of the cells from ``start`` to ``stop``, no more than `TOGETHER`.

    As `graded.rates` and `graded.coefficients`, but for the rounding of gain and loss, which is that of
    their sum: ``w (a_j + n*)`` for bin i.
    """
    bins, points, holds = _rows(start, stop, states, anomalous, f, n)
    low, event = np.zeros(6 * TOGETHER), np.zeros(5 * TOGETHER)
    cells, total, e = _vectors(start, stop), events.lower.size, 0
    while e < total:
        i, sign = events.lower[e], events.sign[e]
        own = bins[i]
        _lower(cells, own, sign, 0.0, low)
        while e < total and events.lower[e] == i and events.sign[e] == sign:
            j, begin, end = events.upper[e], events.start[e], events.start[e + 1]
            first, factor = np.uint64(events.first[e]), events.factor[e]
            e += 1
            if not (holds[i] and holds[j]):
                continue
            upper, pair, count = bins[np.uint64(j)], points[first], np.uint64(end - begin)
            one, two = events.shares[begin], events.shares[begin + 1] if count > ONE else 0.0
            at_one = events.energy[e - 1] * events.per_energy[first]
            at_two = events.energy[e - 1] * events.per_energy[first + ONE] if count > ONE else 0.0
            if count > TWO:
                _gather(cells, EXPONENT, events, e - 1, points, event)
                _coldest(cells, events, e - 1, points, event)
            for q in range(cells):
                w = factor * (low[STATES + q] * upper[STATES + q] + low[ANOMALOUS + q] * upper[ANOMALOUS + q])
                x = one * pair[EXPONENT + q] + two * pair[AFTER + EXPONENT + q] + event[EXPONENT + q]
                coldest = max(
                    at_one * pair[EXPONENT + q], at_two * pair[AFTER + EXPONENT + q], event[COLDEST + q]
                )
                star = w * bose(max(x, coldest - FULLEST))
                at_i, not_i, at_j = low[FULL + q], low[EMPTY + q], upper[FULL + q]
                low[TURN + q] += w * at_j + star
                upper[TURN + q] += w * at_i + star
                moved = w * at_i * at_j + star * (at_j - not_i)
                absorbed = star * not_i * (1.0 - at_j)
                low[NET + q] += moved
                upper[NET + q] -= moved
                pair[MADE + q] += one * moved
                pair[ABSORBED + q] += one * absorbed
                pair[AFTER + MADE + q] += two * moved
                pair[AFTER + ABSORBED + q] += two * absorbed
                event[MADE + q], event[ABSORBED + q] = moved, absorbed
            if count > TWO:
                _spread(cells, MADE, events, e - 1, points, event)
                _spread(cells, ABSORBED, events, e - 1, points, event)
                event[:] = 0.0
        for q in range(cells):
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
            modes, occupation = events.modes[k], n[c, k]
            made, absorbed = points[k, MADE + q], points[k, ABSORBED + q]
            rate_n[c, k] = made / modes
            in_n[c, k] = max(made + absorbed, 0.0) / (modes * (1.0 + occupation))
            out_n[c, k] = absorbed / (modes * occupation) if occupation > MIN_OCCUPATION else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def product(start, stop, events, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)`` in the cells from ``start`` to ``stop``, as `graded.product`."""
    bins, points, holds = _rows(start, stop, states, anomalous, f, n)
    cells, total, e = _vectors(start, stop), events.lower.size, 0
    for q in range(cells):
        c = min(start + q, stop - 1)
        for i in range(f.shape[1]):
            bins[i, TURN + q] = step_f[c, i]
        for k in range(n.shape[1]):
            points[k, ABSORBED + q] = (
                step_n[c, k] / (n[c, k] * (1.0 + n[c, k])) if n[c, k] > MIN_OCCUPATION else 0.0
            )
    low, event = np.zeros(6 * TOGETHER), np.zeros(5 * TOGETHER)
    while e < total:
        i, sign = events.lower[e], events.sign[e]
        own = bins[i]
        _lower(cells, own, sign, 1.0, low)
        while e < total and events.lower[e] == i and events.sign[e] == sign:
            j, begin, end = events.upper[e], events.start[e], events.start[e + 1]
            first, factor = np.uint64(events.first[e]), events.factor[e]
            e += 1
            if not (holds[i] and holds[j]):
                continue
            upper, pair, count = bins[np.uint64(j)], points[first], np.uint64(end - begin)
            one, two = events.shares[begin], events.shares[begin + 1] if count > ONE else 0.0
            at_one = events.energy[e - 1] * events.per_energy[first]
            at_two = events.energy[e - 1] * events.per_energy[first + ONE] if count > ONE else 0.0
            if count > TWO:
                _gather(cells, EXPONENT, events, e - 1, points, event)
                _gather(cells, ABSORBED, events, e - 1, points, event)
                _coldest(cells, events, e - 1, points, event)
            for q in range(cells):
                w = factor * (low[STATES + q] * upper[STATES + q] + low[ANOMALOUS + q] * upper[ANOMALOUS + q])
                x = one * pair[EXPONENT + q] + two * pair[AFTER + EXPONENT + q] + event[EXPONENT + q]
                by_n = one * pair[ABSORBED + q] + two * pair[AFTER + ABSORBED + q] + event[ABSORBED + q]
                if at_one * pair[EXPONENT + q] - FULLEST > x:
                    x, by_n = at_one * pair[EXPONENT + q] - FULLEST, at_one * pair[ABSORBED + q]
                if at_two * pair[AFTER + EXPONENT + q] - FULLEST > x:
                    x, by_n = (
                        at_two * pair[AFTER + EXPONENT + q] - FULLEST,
                        at_two * pair[AFTER + ABSORBED + q],
                    )
                if event[COLDEST + q] - FULLEST > x:
                    x, by_n = event[COLDEST + q] - FULLEST, event[THERE + q]
                star = bose(x)
                at_i, not_i, at_j = low[FULL + q], low[EMPTY + q], upper[FULL + q]
                by_n *= (at_j - not_i) * star * (1.0 + star)
                w *= by_n + (at_j + star) * low[TURN + q] + (at_i + star) * upper[TURN + q]
                low[NET + q] += w
                upper[NET + q] -= w
                pair[MADE + q] += one * w
                pair[AFTER + MADE + q] += two * w
                event[MADE + q] = w
            if count > TWO:
                _spread(cells, MADE, events, e - 1, points, event)
                event[:] = 0.0
        for q in range(cells):
            own[NET + q] -= sign * low[NET + q]
    for q in range(np.uint64(stop - start)):
        c = start + q
        for i in range(f.shape[1]):
            s = bins[i, STATES + q]
            change_f[c, i] = bins[i, NET + q] / s if s > 0.0 else 0.0
        for k in range(n.shape[1]):
            change_n[c, k] = points[k, MADE + q] / events.modes[k]
