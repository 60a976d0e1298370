"""Compiled pair sums on any grid: the phonon of a collision is shared between phonon points.

A collision of bins i and j involves a phonon of exactly ``E_j ± E_i``. It is shared between phonon points
such that one phonon and its energy arrive, and its occupation is the mean of the same points in
``ln(1 + 1/n)``, which is linear in energy for every thermal n: equilibrium is stationary to round-off, and
entropy never falls (theory: collisions, Eqs. shares, mean-occupation).

A loop fills the cells from ``start`` to ``stop``, for threads to share them (`fvqp.threads.share`).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call,assignment"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.collisions.bose import bose
from fvqp.energy import EnergyAxis
from fvqp.kernel_cache import njit

#: Occupations of phonons with whose inverse one can still reckon; points with fewer count as empty, and
#: `bose` has no fewer either.
MIN_OCCUPATION = 1e-300
#: Where a point has less than 10⁻⁹ of the phonons n* (at its own temperature), n* follows it alone. Or n*
#: would go with a root of its occupation, and collisions empty it in no time.
FULLEST = float(np.log(1e9))
#: ``ln(1 + 1/n)`` of an empty point, any share of which leaves no phonons; infinite, none of it would be NaN.
EMPTY_POINT = 1e300


class PairTable(NamedTuple):
    """All pairs of bins that exchange a phonon within the range of the phonon points.

    Attributes:
        lower, upper: the two bins i ≤ j, ``(pairs,)``.
        sign: −1 for scattering, +1 for recombination, as in ``s_i s_j ± p_i p_j``.
        factor: ``a ω²`` times the interaction, halved where i = j, ``(pairs,)``.
        first: first phonon point of the pair; start: of its shares, ``(pairs + 1,)``.
        shares: fractions of the phonon, positive, one sum 1 a pair.
        energy: of the phonon, ``(pairs,)``.
        per_energy: inverse energy of every point, ``(K,)``.
        modes: phonon modes of every point, ``(K,)``.
    """

    lower: NDArray
    upper: NDArray
    sign: NDArray
    factor: NDArray
    first: NDArray
    start: NDArray
    shares: NDArray
    energy: NDArray
    per_energy: NDArray
    modes: NDArray


def collisions(grid: EnergyAxis, strength: float, modes: NDArray, interaction: NDArray) -> PairTable:
    """Pairs of a grid and the shares of their phonons.

    Args:
        grid: any grid.
        strength: a, the strength of one collision is ``a ω²``.
        modes: ``(K,)`` phonon modes.
        interaction: ``(K,)``, factor of the strength; linear between phonon points.
    """
    energies, widths, points = grid.energies, grid.widths, grid.phonon_energies
    i, j = np.triu_indices(grid.n, 1)
    p, q = np.triu_indices(grid.n)
    lower, upper = np.concatenate([i, p]), np.concatenate([j, q])
    sign = np.repeat([-1.0, 1.0], [i.size, p.size])
    omega = energies[upper] + sign * energies[lower]
    slack = 1e-12 * points[-1]
    kept = (omega >= points[0] - slack) & (omega <= points[-1] + slack)
    lower, upper, sign, omega = lower[kept], upper[kept], sign[kept], omega[kept]
    omega = np.clip(omega, points[0], points[-1])
    # Where phonon points lie closer than the possible energies, a phonon spreads over the distance of the
    # latter; no point is left out then. A phonon of the very energy of a point does not.
    # Bins that repeat are each beside much wider ones, over which the phonons of all their pairs lie.
    spread = (np.maximum if grid.step > 0.0 else np.minimum)(widths[lower], widths[upper])
    spread[spread <= (1.0 + 1e-9) * np.interp(omega, points, grid.phonon_widths)] = 0.0
    if grid.step == 0.0:
        after = np.clip(np.searchsorted(points, omega), 1, points.size - 1)
        spread[np.minimum(np.abs(omega - points[after - 1]), np.abs(omega - points[after])) <= slack] = 0.0
    half = np.minimum(0.5 * spread, np.minimum(omega - points[0], points[-1] - omega))
    ends = np.searchsorted(points, [omega - half, omega + half], side="right")
    cell = np.clip(ends - 1, 0, points.size - 2)
    counts = cell[1] - cell[0] + 2
    start = np.concatenate([[0], np.cumsum(counts)])
    shares = np.zeros(start[-1])
    _spread(points, omega, half, cell[0], start, shares)
    tolerance = 8.0 * np.finfo(float).eps * points[-1] / np.diff(points).min()
    first, start, shares = _positive(cell[0], start, shares, tolerance)
    factor = strength * np.interp(omega, points, interaction) * omega**2 * np.where(lower == upper, 0.5, 1.0)
    return PairTable(lower, upper, sign, factor, first, start, shares, omega, 1.0 / points, modes)


def some(events: PairTable, sign: float) -> PairTable:
    """Scattering (sign −1) or pairs (+1) alone."""
    kept = events.sign == sign
    counts = np.diff(events.start)
    return events._replace(
        lower=events.lower[kept],
        upper=events.upper[kept],
        sign=events.sign[kept],
        factor=events.factor[kept],
        first=events.first[kept],
        start=np.concatenate([[0], np.cumsum(counts[kept])]),
        shares=events.shares[np.repeat(kept, counts)],
        energy=events.energy[kept],
    )


def pairs_and_points(events: PairTable) -> tuple[NDArray, NDArray]:
    """Pair and phonon point of every share, ``(shares,)`` each."""
    counts = np.diff(events.start)
    pair = np.repeat(np.arange(counts.size), counts)
    return pair, events.first[pair] + np.arange(pair.size) - events.start[pair]


def split_shares(events: PairTable) -> PairTable:
    """Events of one phonon point each in place of those that several points share.

    Each happens with the share of its point as a part of its rate, at the occupation that a phonon of its
    energy has at the temperature of the point; the point gets its energy (theory: collisions, Eq.
    one-temperature).
    """
    event, point = pairs_and_points(events)
    energy = events.energy[event]
    return events._replace(
        lower=events.lower[event],
        upper=events.upper[event],
        sign=events.sign[event],
        factor=events.factor[event] * events.shares,
        first=point,
        start=np.arange(event.size + 1),
        shares=energy * events.per_energy[point],
        energy=energy,
    )


def with_modes(events: PairTable, shares: NDArray, pair_shares: NDArray | None) -> PairTable:
    """Events where phonon points have other numbers of modes.

    Scattering is as much more frequent as its points have more modes; so are pairs, but for the modes that
    were split for them (theory: collisions, Eq. threshold-share).

    Args:
        events: as they are without.
        shares: modes over those that the points have, ``(K,)``.
        pair_shares: the same for pairs; None for 1.
    """
    _, point = pairs_and_points(events)

    def mean(values: NDArray) -> NDArray:
        return np.add.reduceat(events.shares * values[point], events.start[:-1])

    pairs = 1.0 if pair_shares is None else mean(pair_shares)
    factor = events.factor * np.where(events.sign < 0.0, mean(shares), pairs)
    return events._replace(factor=factor, modes=events.modes * shares)


@njit(cache=True)
def _spread(points, omega, half, cell, start, shares):
    """Means of the hat functions of the phonon points over ``ω ± half``."""
    for e in range(omega.size):
        low, high = omega[e] - half[e], omega[e] + half[e]
        for k in range(cell[e], cell[e] + start[e + 1] - start[e] - 1):
            a, b = max(low, points[k]), min(high, points[k + 1])
            part = (b - a) / (high - low) if high > low else 1.0
            right = (0.5 * (a + b) - points[k]) / (points[k + 1] - points[k])
            if part > 0.0:
                at = start[e] + k - cell[e]
                shares[at] += part * (1.0 - right)
                shares[at + 1] += part * right


def _positive(
    first: NDArray, start: NDArray, shares: NDArray, tolerance: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Without the shares at both ends of a pair that vanish: an empty phonon point there must not count."""
    kept = shares > tolerance
    counts = np.add.reduceat(kept, start[:-1])
    pair = np.repeat(np.arange(first.size), np.diff(start))
    position = np.arange(shares.size) - start[pair]
    offset = np.full(first.size, np.iinfo(np.int64).max)
    np.minimum.at(offset, pair[kept], position[kept])
    start = np.concatenate([[0], np.cumsum(counts)])
    shares = shares[kept]
    return first + offset, start, shares / np.add.reduceat(shares, start[:-1])[pair[kept]]


@njit(cache=True, inline="always")
def _occupation(events, e, exponent):
    """n* of a collision from ``ln(1 + 1/n)`` of its phonon points, and the point that limits it, or −1."""
    begin, first = events.start[e], events.first[e]
    x, coldest, limit = 0.0, 0.0, -1
    for at in range(begin, events.start[e + 1]):
        k = first + at - begin
        x += events.shares[at] * exponent[k]
        if exponent[k] * events.per_energy[k] > coldest:
            coldest, limit = exponent[k] * events.per_energy[k], k
    least = coldest * events.energy[e] - FULLEST
    return (bose(least), limit) if least > x else (bose(x), -1)


@njit(cache=True, inline="always")
def _part(events, e, at, k, limit):
    """Derivative of ``ln(1 + 1/n*)`` by that of point k."""
    if limit < 0:
        return events.shares[at]
    return events.energy[e] * events.per_energy[k] if k == limit else 0.0


@njit(cache=True, inline="always")
def _exponents(n, exponent):
    for k in range(n.size):
        exponent[k] = np.log1p(1.0 / n[k]) if n[k] > MIN_OCCUPATION else EMPTY_POINT


@njit(cache=True, inline="always")
def _forward_backward(events, e, s, p, f):
    """Emission and absorption of a collision without their phonon factors ``1 + n`` and ``n``."""
    i, j = events.lower[e], events.upper[e]
    w = events.factor[e] * (s[i] * s[j] + events.sign[e] * p[i] * p[j])
    if events.sign[e] < 0.0:
        return w * f[j] * (1.0 - f[i]), w * f[i] * (1.0 - f[j])
    return w * f[i] * f[j], w * (1.0 - f[i]) * (1.0 - f[j])


@njit(cache=True, nogil=True, error_model="numpy")
def rates(start, stop, events, states, anomalous, f, n, rate_f, rate_n):
    """Rates of change of f and n."""
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        gain_f, gain_n = rate_f[c], rate_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        exponent = np.empty(points)
        _exponents(n[c], exponent)
        for e in range(events.lower.size):
            i, j = events.lower[e], events.upper[e]
            if s[i] == 0.0 or s[j] == 0.0:
                continue
            star, _ = _occupation(events, e, exponent)
            emit, absorb = _forward_backward(events, e, s, p, f[c])
            w = emit * (1.0 + star) - absorb * star
            gain_f[i] -= events.sign[e] * w
            gain_f[j] -= w
            begin, first = events.start[e], events.first[e]
            for at in range(begin, events.start[e + 1]):
                gain_n[first + at - begin] += events.shares[at] * w
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= events.modes[k]


@njit(cache=True, nogil=True, error_model="numpy")
def coefficients(start, stop, events, states, anomalous, f, n, in_f, out_f, in_n, out_n):
    """Gain and loss: ``ḟ = in_f (1 − f) − out_f f``, ``ṅ = in_n (1 + n) − out_n n``.

    Points without phonons lose none: ``out_n = 0`` there.
    """
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        fc, nc = f[c], n[c]
        a, b, g, d = in_f[c], out_f[c], in_n[c], out_n[c]
        a[:] = 0.0
        b[:] = 0.0
        g[:] = 0.0
        d[:] = 0.0
        exponent = np.empty(points)
        _exponents(nc, exponent)
        for e in range(events.lower.size):
            i, j = events.lower[e], events.upper[e]
            if s[i] == 0.0 or s[j] == 0.0:
                continue
            star, _ = _occupation(events, e, exponent)
            w = events.factor[e] * (s[i] * s[j] + events.sign[e] * p[i] * p[j])
            fi, fj = fc[i], fc[j]
            if events.sign[e] < 0.0:
                a[i] += w * fj * (1.0 + star)
                b[i] += w * (1.0 - fj) * star
                a[j] += w * fi * star
                b[j] += w * (1.0 - fi) * (1.0 + star)
            else:
                a[i] += w * (1.0 - fj) * star
                b[i] += w * fj * (1.0 + star)
                a[j] += w * (1.0 - fi) * star
                b[j] += w * fi * (1.0 + star)
            emit, absorb = _forward_backward(events, e, s, p, fc)
            begin, first = events.start[e], events.first[e]
            for at in range(begin, events.start[e + 1]):
                k = first + at - begin
                g[k] += events.shares[at] * emit * (1.0 + star)
                d[k] += events.shares[at] * absorb * star
        for i in range(bins):
            a[i] = a[i] / s[i] if s[i] > 0.0 else 0.0
            b[i] = b[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            g[k] /= events.modes[k] * (1.0 + nc[k])
            d[k] = d[k] / (events.modes[k] * nc[k]) if nc[k] > MIN_OCCUPATION else 0.0


@njit(cache=True, inline="always")
def _slopes(events, e, s, p, f, star):
    """Derivatives of a collision by f_i, f_j and n*; for i = j each of the first two is half of it."""
    i, j = events.lower[e], events.upper[e]
    w = events.factor[e] * (s[i] * s[j] + events.sign[e] * p[i] * p[j])
    if events.sign[e] < 0.0:
        return -w * (f[j] + star), w * (1.0 - f[i] + star), w * (f[j] - f[i])
    return w * (f[j] + star), w * (f[i] + star), -w * (1.0 - f[i] - f[j])


@njit(cache=True, inline="always")
def _sensitivity(star, n):
    """``(∂n*/∂n_k)/share``; an empty point has none."""
    return star * (1.0 + star) / (n * (1.0 + n)) if n > MIN_OCCUPATION else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def product(start, stop, events, states, anomalous, f, n, step_f, step_n, change_f, change_n):
    """Jacobian times ``(step_f, step_n)``; conserves what the rates conserve."""
    bins, points = f.shape[1], n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        gain_f, gain_n = change_f[c], change_n[c]
        gain_f[:] = 0.0
        gain_n[:] = 0.0
        exponent = np.empty(points)
        _exponents(n[c], exponent)
        for e in range(events.lower.size):
            i, j = events.lower[e], events.upper[e]
            if s[i] == 0.0 or s[j] == 0.0:
                continue
            star, limit = _occupation(events, e, exponent)
            by_i, by_j, by_n = _slopes(events, e, s, p, f[c], star)
            begin, first = events.start[e], events.first[e]
            w = by_i * step_f[c, i] + by_j * step_f[c, j]
            for at in range(begin, events.start[e + 1]):
                k = first + at - begin
                w += by_n * _part(events, e, at, k, limit) * _sensitivity(star, n[c, k]) * step_n[c, k]
            gain_f[i] -= events.sign[e] * w
            gain_f[j] -= w
            for at in range(begin, events.start[e + 1]):
                gain_n[first + at - begin] += events.shares[at] * w
        for i in range(bins):
            gain_f[i] = gain_f[i] / s[i] if s[i] > 0.0 else 0.0
        for k in range(points):
            gain_n[k] /= events.modes[k]


@njit(cache=True, nogil=True, error_model="numpy")
def jacobian(start, stop, events, states, anomalous, f, n, energies, ff, fn, nf, nn):
    """Blocks of the Jacobian of every cell; what points of one collision do to one another is lumped.

    The lumped diagonal takes from quasiparticles and gives to phonons the same energy.
    """
    points = n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        ff[c], fn[c], nf[c], nn[c] = 0.0, 0.0, 0.0, 0.0
        exponent = np.empty(points)
        _exponents(n[c], exponent)
        for e in range(events.lower.size):
            i, j = events.lower[e], events.upper[e]
            if s[i] == 0.0 or s[j] == 0.0:
                continue
            star, limit = _occupation(events, e, exponent)
            by_i, by_j, by_n = _slopes(events, e, s, p, f[c], star)
            to_i, to_j = -events.sign[e] / s[i], -1.0 / s[j]
            ff[c, i, i] += to_i * by_i
            ff[c, i, j] += to_i * by_j
            ff[c, j, i] += to_j * by_i
            ff[c, j, j] += to_j * by_j
            begin, first = events.start[e], events.first[e]
            energy = 0.0
            for at in range(begin, events.start[e + 1]):
                k = first + at - begin
                share = events.shares[at]
                energy += share * energies[k]
                by_point = by_n * _part(events, e, at, k, limit) * _sensitivity(star, n[c, k])
                fn[c, i, k] += to_i * by_point
                fn[c, j, k] += to_j * by_point
                nf[c, k, i] += share / events.modes[k] * by_i
                nf[c, k, j] += share / events.modes[k] * by_j
            for at in range(begin, events.start[e + 1]):
                k = first + at - begin
                by_point = by_n * _part(events, e, at, k, limit) * _sensitivity(star, n[c, k])
                nn[c, k] += by_point * energy / (events.modes[k] * energies[k])


@njit(cache=True, nogil=True, error_model="numpy")
def point_rows(start, stop, events, states, anomalous, f, n, nn):
    """What phonon points do to one another in every cell, not lumped."""
    points = n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        nn[c] = 0.0
        exponent = np.empty(points)
        _exponents(n[c], exponent)
        for e in range(events.lower.size):
            if s[events.lower[e]] == 0.0 or s[events.upper[e]] == 0.0:
                continue
            star, limit = _occupation(events, e, exponent)
            _, _, by_n = _slopes(events, e, s, p, f[c], star)
            begin, end, first = events.start[e], events.start[e + 1], events.first[e]
            for at in range(begin, end):
                k = first + at - begin
                by_point = by_n * _part(events, e, at, k, limit) * _sensitivity(star, n[c, k])
                for to in range(begin, end):
                    m = first + to - begin
                    nn[c, m, k] += by_point * events.shares[to] / events.modes[m]


@njit(cache=True, nogil=True, error_model="numpy")
def diagonal(start, stop, events, states, anomalous, f, n, diagonal_f, diagonal_n):
    """Diagonal of the Jacobian."""
    points = n.shape[1]
    for c in range(start, stop):
        row = c if states.shape[0] > 1 else 0
        s, p = states[row], anomalous[row]
        by_f, by_phonons = diagonal_f[c], diagonal_n[c]
        by_f[:] = 0.0
        by_phonons[:] = 0.0
        exponent = np.empty(points)
        _exponents(n[c], exponent)
        for e in range(events.lower.size):
            i, j = events.lower[e], events.upper[e]
            if s[i] == 0.0 or s[j] == 0.0:
                continue
            star, limit = _occupation(events, e, exponent)
            by_i, by_j, by_n = _slopes(events, e, s, p, f[c], star)
            both = 2.0 if i == j else 1.0
            by_f[i] -= events.sign[e] * both * by_i / s[i]
            by_f[j] -= both * by_j / s[j]
            begin, first = events.start[e], events.first[e]
            for at in range(begin, events.start[e + 1]):
                k = first + at - begin
                share = events.shares[at]
                by_point = by_n * _part(events, e, at, k, limit) * _sensitivity(star, n[c, k])
                by_phonons[k] += by_point * share / events.modes[k]
