"""Phonons in the quasi-static limit: n(ω) follows f in each cell, point by point.

With events of one phonon point each (`fvqp.collisions.pair_sums_nonuniform.split_shares`) the steady state of
a point is one equation for its n. What electrons emit by themselves and what comes from the bath, G, does not
depend on n; what is absorbed, less what is emitted because there are phonons, and what escapes is

    Λ(n) = Σ_e B_e n*_e(n) + g n/τ_esc,    ln(1 + 1/n*_e) = (ω_e/ω) ln(1 + 1/n),

and Λ(n) = G. A collision of just the energy of its point has n* = n, so that Λ is linear. Any other makes
d ln n*/d ln n a number between 1 and ω_e/ω, n being many or none: the logarithm of Λ is nearly linear in that
of n, where Newton's method takes a few steps from the root of the linear equation (theory:
phonon_relaxation).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fvqp.collisions.bose import bose
from fvqp.collisions.pair_sums_nonuniform import PairTable
from fvqp.kernel_cache import njit
from fvqp.threads import share
from fvqp.typing import Floats, Ints

#: Phonons are taken to decay at least at this part of the rate at which they escape.
SLOWEST = 1e-3

#: Fewest phonons of a point: so many are left where G is not positive, as where rounding or a step of
#: Newton's method for f has made occupations negative.
FEWEST = 1e-200

#: Fewer phonons than these of a point are differentiated as if there were as many: what one of another energy
#: does, n^(ω_e/ω), has no slope at 0.
STEEPEST = 1e-12

#: Step of ln n after which its error, the square of it, is rounding; and steps after which bisection has
#: come so far from anywhere.
CLOSE, MAX_STEPS = 1e-8, 100

#: Collisions that are worth a thread.
_WORTH_A_THREAD = 10_000


class QuasistaticState(NamedTuple):
    """Phonons in their steady state.

    Attributes:
        n: occupation, ``(cells, K)``.
        decay: rate at which a surplus decays, 1/τ0, ``(cells, K)``.
        steps: of Newton's method, ``(cells, K)``.
    """

    n: Floats
    decay: Floats
    steps: Ints


class QuasistaticPhonons:
    """The steady state of phonons that escape.

    Args:
        events: collisions, each with one phonon point.
        bath: occupation that phonons escape to, ``(K,)``.
        leaves: rate at which they do, 1/τ0.
    """

    def __init__(self, events: PairTable, bath: Floats, leaves: float) -> None:
        order = np.argsort(events.first, kind="stable")
        #: Those of one point follow one another, from ``start[k]`` to ``start[k + 1]``.
        of_events = ("lower", "upper", "sign", "factor", "first", "shares", "energy")
        self._events = events._replace(
            **{name: getattr(events, name)[order] for name in of_events},
            start=np.searchsorted(events.first[order], np.arange(bath.size + 1)),
        )
        self._bath, self._leaves = bath, leaves

    def steady(self, states: Sequence[Floats], f: Floats) -> QuasistaticState:
        """Return the steady state, in which gain, loss and escape of every point balance.

        Quasiparticles that are inverted may emit more than they absorb, such that there is no steady state;
        phonons then decay at the slowest rate.

        Args:
            states: N, P and Re F times the widths of the bins, ``(cells or 1, N)`` each.
            f: ``f[cell, (L, T), bin]``.
        """
        shape = len(f), self._bath.size
        found = QuasistaticState(np.empty(shape), np.empty(shape), np.zeros(shape, np.int64))
        least = max(1, _WORTH_A_THREAD // max(1, self._events.lower.size))
        share(_steady, len(f), self._events, *states, f, self._bath, self._leaves, *found, least=least)
        return found


def inverted(decay: Floats, leaves: float) -> bool:
    """Return whether some phonons have no steady state, since quasiparticles emit more than they absorb.

    Args:
        decay: rate at which a surplus decays, no less than `SLOWEST` allows.
        leaves: rate at which phonons escape.
    """
    return bool(np.any(decay <= SLOWEST * leaves))


@njit(cache=True, inline="always")
def weights(events, e, s, p, r):
    """``(ss + σpp)``, ``(ss + rr)``, ``(ss − rr)`` and ``ss`` of an event times half its rate."""
    i, j = events.lower[e], events.upper[e]
    a = 0.5 * events.factor[e]
    both, odd, even = a * s[i] * s[j], a * p[i] * p[j], a * r[i] * r[j]
    return both + events.sign[e] * odd, both + even, both - even, both


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _loss(absorbed, ratios, first, last, n):
    """Σ B n* of the events of a point, and its derivative by ln n."""
    x = np.log1p(1.0 / n)
    loss = slope = 0.0
    for at in range(first, last):
        star = bose(ratios[at] * x)
        part = absorbed[at - first] * star
        loss += part
        slope += ratios[at] * part * (1.0 + star)
    return loss, slope / (1.0 + n)


@njit(cache=True, nogil=True, error_model="numpy")
def _steady(start, stop, events, dos, pairing, anomalous, f, bath, leaves, occupation, decay, steps):
    absorbed = np.empty(np.max(events.start[1:] - events.start[:-1]))
    for c in range(start, stop):
        row = c if dos.shape[0] > 1 else 0
        s, p, r, h, t = dos[row], pairing[row], anomalous[row], f[c, 0], f[c, 1]
        for k in range(bath.size):
            first, last = events.start[k], events.start[k + 1]
            escapes = events.modes[k] * leaves
            slowest = SLOWEST * escapes
            gain, linear = escapes * bath[k], escapes
            for e in range(first, last):
                i, j, sign, ratio = events.lower[e], events.upper[e], events.sign[e], events.shares[e]
                m, _, odd, _ = weights(events, e, s, p, r)
                # 1 − h is what has digits.
                gain += 0.5 * ratio * (m * (1.0 - h[j]) * (1.0 - sign * h[i]) - odd * t[j] * t[i])
                absorbed[e - first] = ratio * m * (h[j] + sign * h[i])
                linear += absorbed[e - first]
            n = FEWEST
            if gain > FEWEST * slowest:
                fewest = low = np.log(FEWEST)
                high = np.log(gain / slowest) + 1.0
                u = np.log(gain / max(linear, slowest))
                before = np.inf
                while steps[c, k] < MAX_STEPS and abs(before) > CLOSE and high > fewest:
                    steps[c, k] += 1
                    n = np.exp(u)
                    loss, slope = _loss(absorbed, events.shares, first, last, n)
                    loss, slope = loss + escapes * n, slope + escapes * n
                    if loss < slowest * n:
                        loss = slope = slowest * n
                    if loss < gain:
                        low = u
                    else:
                        high = u
                    step = np.log(gain / loss) * loss / slope
                    # From the second step on Newton's shrink, or the interval is halved.
                    if not (low <= u + step <= high and abs(step) < 0.5 * abs(before)):
                        step = 0.5 * (low + high) - u
                    u, before = u + step, step
                n = max(np.exp(u), FEWEST)
            occupation[c, k] = n
            n = max(n, STEEPEST)
            _, slope = _loss(absorbed, events.shares, first, last, n)
            decay[c, k] = max(slope / (n * events.modes[k]) + leaves, SLOWEST * leaves)
