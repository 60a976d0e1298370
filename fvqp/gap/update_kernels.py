"""Compiled loops of the moving gap, a cell at a time (theory: moving_gap)."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from fvqp.gap.bin_spectrum import (
    condensate,
    copy,
    copy_spectrum,
    mass,
    pairing,
    residual,
    room,
    spectrum,
    workspace,
)
from fvqp.kernel_cache import njit

FOUND, NORMAL, BELOW_GRID, REFUSED = 0, 1, 2, 3
"""Ends of the search for a gap."""

TOLERANCE = 2e-14
"""Largest residual of the gap equation that counts as a solution at given occupations."""

FOLLOWED = 1e-12
"""Largest residual at which a gap that moves counts as arrived; number and energy do not depend on it."""

_EDGE = 3  # so many bins at the gap have states whose density varies over the bin
_MOVE = 0.4  # largest move of the gap in one piece, in widths of the bins there


@njit(cache=True, nogil=True, error_model="numpy")
def carry(axis, f, old, new, energy, out, flux, face):
    """Quasiparticles carried along with their states from one gap to another.

    ``energy`` is what they gain. ``flux``, ``face`` are scratch, ``(N − 1,)``. False, and ``out``
    meaningless, if the move is too long for occupations to stay within [0, 1].
    """
    bins, spacing = f.size, axis.spacing
    s, t = old.states, new.states
    through, work, lever, edge = 0.0, 0.0, 0.0, 0
    change = new.pairing[0] ** 2 - old.pairing[0] ** 2
    for i in range(bins - 1):
        through -= t[i] - s[i]
        flux[i] = through
        up, down, far = (i, i + 1, i - 1) if through > 0.0 else (i + 1, i, i + 2)
        moved = abs(through)
        if s[i] > 0.0 or t[i] > 0.0:
            # where a straight line of occupations must leave the bin to arrive as a straight line
            x, rise = axis.x_centre[i], change * axis.phi_centre[i] ** 2
            lever += t[i] * axis.per_x_centre[i] * rise / (x + np.sqrt(max(x * x - rise, 0.0)))
            edge += 1
        if moved > s[up] + 1e-14:
            return False
        value = f[up]
        total = old.drift[i] + new.drift[i]
        if moved > 0.0 and total > 0.0:
            room = min(value, 1.0 - value)
            left = max(s[up] - moved, 0.0)
            if edge <= _EDGE:
                share = lever / (spacing[i] * through)
                share = share if through > 0.0 else 1.0 - share
            else:
                share = (old.upper[i] + new.upper[i]) / total
                share = (1.0 - share if through > 0.0 else share) * (left / s[up])
            share = min(max(share, 0.0), 1.0)
            # next to the gap one of the two neighbours holds no states: a straight line from the other
            known = 0 <= far < bins and s[far] > 0.0
            ahead = f[down] - value
            behind = value - f[far] if known else np.copysign(room, ahead)
            if s[down] == 0.0:
                ahead = min(max(behind, -room), room) if known else 0.0
            if ahead * behind > 0.0:
                limit = behind if left >= moved else behind * (left / moved)
                step = share * ahead
                value += step if abs(step) < abs(limit) else limit
        face[i] = value
        distance = spacing[i] * through
        lever -= distance
        work += distance * value
    through -= t[bins - 1] - s[bins - 1]
    for i in range(bins):
        gain = through * f[i] if i == bins - 1 else -flux[i] * (face[i] - f[i])
        if i > 0:
            gain += flux[i - 1] * (face[i - 1] - f[i])
        moved = f[i] + gain / t[i] if t[i] > 0.0 else f[i]
        if i == bins - 1 and not 0.0 <= moved <= 1.0:
            return False
        # elsewhere the limiter keeps the bounds to rounding
        out[i] = min(max(moved, 0.0), 1.0)
    return _adjust(spacing, out, t, energy - work, flux)


@njit(cache=True, nogil=True, error_model="numpy")
def _adjust(spacing, f, states, energy, flux):
    """Moves quasiparticles between neighbouring bins until they have gained this energy."""
    gained = 0.0
    for i in range(f.size - 1):
        flux[i] = min(states[i], states[i + 1]) * (
            f[i] * (1.0 - f[i + 1]) if energy > 0.0 else -f[i + 1] * (1.0 - f[i])
        )
        gained += spacing[i] * flux[i]
    if not abs(energy) <= abs(gained):
        # Nothing to move is no failure where the energy is rounding.
        return abs(energy) < 1e-16
    factor = energy / gained if gained != 0.0 else 0.0
    incoming = 0.0
    for i in range(f.size):
        outgoing = factor * flux[i] if i < f.size - 1 else 0.0
        if states[i] > 0.0:
            f[i] = min(max(f[i] + (incoming - outgoing) / states[i], 0.0), 1.0)
        incoming = outgoing
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _slope(axis, gap, anomalous, f):
    """Derivative of the residual with the gap when occupations move with their states; negative."""
    blocked = 0.0
    for i in range(f.size):
        energy = max(axis.centres[i], gap)
        blocked += anomalous[i] * f[i] / (energy * energy)
    return min(-1.0 / gap + 2.0 * blocked, -0.02 / gap)


@njit(cache=True, nogil=True, error_model="numpy")
def _width_at(axis, gap):
    low, high = 0, axis.edges.size  # of the first edge at or above the gap
    while low < high:
        middle = (low + high) // 2
        if axis.edges[middle] < gap:
            low = middle + 1
        else:
            high = middle
    i = min(max(low - 1, 0), axis.centres.size - 2)
    return min(axis.edges[i + 1] - axis.edges[i], axis.edges[i + 2] - axis.edges[i + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _refined(low, r_low, high, r_high):
    """Secant through two points: next guess of the root."""
    return high - r_high * (high - low) / (r_high - r_low) if r_high != r_low else 2.0 * high - low


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _piece(axis, f, gap, r, here, there, trial_f, flux, face, scratch):
    """One piece of the way to the solution: new gap, its residual, and whether there was a way."""
    reach = _MOVE * _width_at(axis, gap)
    upward = r > 0.0
    step = min(max(-r / _slope(axis, gap, here.anomalous, f), -reach), reach)
    start = condensate(axis, gap)
    inner, r_inner = 0.0, r  # longest step before the root
    outer, r_outer = 0.0, 0.0  # shortest step beyond
    side = 0
    for _ in range(80):
        at_floor = gap + step <= axis.floor
        if at_floor:
            step = axis.floor - gap
        trial = gap + step
        spectrum(axis, trial, there, scratch)
        energy = start - condensate(axis, trial)
        if not carry(axis, f, here, there, energy, trial_f, flux, face):
            if abs(step) < 1e-9 * gap:
                return gap, r, False
            step *= 0.5
            reach = abs(step)
            continue
        found = residual(axis, there.pairing[0], there.anomalous, trial_f)
        if abs(found) <= FOLLOWED:
            return trial, 0.0, True
        if (found > 0.0) == upward:
            if at_floor or abs(step) >= reach:
                return trial, found, True
            last, r_last = inner, r_inner
            inner, r_inner = step, found
            if outer == 0.0:
                step = _refined(last, r_last, inner, r_inner)
                wanted = abs(step) if step * inner > inner * inner else 1.2 * abs(inner)
                step = np.copysign(min(wanted, reach, 4.0 * abs(inner)), inner)
                continue
            r_outer *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            r_inner *= 0.5 if side == -1 else 1.0
            side = -1
            outer, r_outer = step, found
        if abs(outer - inner) <= 2e-16 * gap:
            return trial, 0.0, True
        step = _refined(inner, r_inner, outer, r_outer)
    return gap, r, False


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _follow(axis, f, gap, here, there, trial_f, flux, face, scratch):
    """Gap of one cell; ``f`` moves along, and ``here`` ends as the bin weights."""
    spectrum(axis, gap, here, scratch)
    if gap == 0.0:
        spectrum(axis, axis.floor, there, scratch)
        energy = -condensate(axis, axis.floor)
        if not carry(axis, f, here, there, energy, trial_f, flux, face):
            normal = residual(axis, there.pairing[0], there.anomalous, f) <= 0.0
            return 0.0, NORMAL if normal else REFUSED
        if residual(axis, there.pairing[0], there.anomalous, trial_f) <= 0.0:
            return 0.0, NORMAL
        gap = axis.floor
        copy(trial_f, f)
        spectrum(axis, gap, here, scratch)
    r = residual(axis, here.pairing[0], here.anomalous, f)
    while abs(r) > FOLLOWED:
        if r < 0.0 and gap <= axis.floor:
            if axis.edges[0] > 0.0:
                return gap, BELOW_GRID
            spectrum(axis, 0.0, there, scratch)
            energy = condensate(axis, gap)
            if not carry(axis, f, here, there, energy, trial_f, flux, face):
                return gap, REFUSED
            copy(trial_f, f)
            spectrum(axis, 0.0, here, scratch)
            return 0.0, NORMAL
        gap, r, possible = _piece(axis, f, gap, r, here, there, trial_f, flux, face, scratch)
        if not possible:
            return gap, REFUSED
        copy(trial_f, f)
        copy_spectrum(there, here)
    return gap, FOUND


@njit(cache=True, nogil=True, error_model="numpy")
def follow(start, stop, axis, f, gap, states, anomalous, status):
    """Gap and status of the cells from ``start`` to ``stop``; occupations and bin_weights in place."""
    bins = axis.centres.size
    here, there = room(bins), room(bins)
    scratch, flux, face = workspace(bins), np.empty(bins - 1), np.empty(bins - 1)
    trial_f = np.empty(bins)
    for c in range(start, stop):
        gap[c], status[c] = _follow(axis, f[c], gap[c], here, there, trial_f, flux, face, scratch)
        copy(here.states, states[c])
        copy(here.anomalous, anomalous[c])


@njit(cache=True, nogil=True, error_model="numpy")
def shift_cell(axis, f, gap, target):
    """Occupations of one cell carried along to a given gap, in place; where that is not possible, False."""
    bins = axis.centres.size
    here, there = room(bins), room(bins)
    scratch, flux, face = workspace(bins), np.empty(bins - 1), np.empty(bins - 1)
    trial_f, moved_f = np.empty(bins), f.copy()
    spectrum(axis, gap, here, scratch)
    pieces = int(np.ceil(abs(target - gap) / (_MOVE * _width_at(axis, min(gap, target)))))
    for piece in range(pieces):
        stop = target if piece == pieces - 1 else gap + (target - gap) / (pieces - piece)
        spectrum(axis, stop, there, scratch)
        energy = condensate(axis, gap) - condensate(axis, stop)
        if not carry(axis, moved_f, here, there, energy, trial_f, flux, face):
            return False
        copy(trial_f, moved_f)
        gap = stop
        copy_spectrum(there, here)
    copy(moved_f, f)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def bin_weights(axis, gap, states, anomalous):
    """Bin weights of all cells."""
    bins = axis.centres.size
    for c in range(gap.size):
        here = room(bins)
        spectrum(axis, gap[c], here, workspace(bins))
        copy(here.states, states[c])
        copy(here.anomalous, anomalous[c])


@njit(cache=True, nogil=True, error_model="numpy")
def masses(axis, gap, out):
    """Momentum states of the bins over ``∫ρ dE``, in all cells."""
    for c in range(gap.size):
        y = pairing(axis, gap[c])
        for i in range(out.shape[1]):
            out[c, i] = mass(axis, y, i)


@njit(cache=True, nogil=True, error_model="numpy")
def condensates(axis, gap, out):
    """Energy of the condensate of all cells."""
    for c in range(gap.size):
        out[c] = condensate(axis, gap[c])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _solve(axis, f, gap, here, scratch):
    """First root of the gap equation that the residual at ``gap`` points to, occupations of bins given."""
    gap = max(gap, axis.floor)
    spectrum(axis, gap, here, scratch)
    r = residual(axis, here.pairing[0], here.anomalous, f)
    inner, r_inner, outer, r_outer, side = gap, r, -1.0, 0.0, 0
    upward = r > 0.0
    for _ in range(400):
        if abs(r) <= TOLERANCE:
            return gap, FOUND
        if outer < 0.0:
            if not upward and inner <= axis.floor:
                return (inner, BELOW_GRID) if axis.edges[0] > 0.0 else (0.0, NORMAL)
            step = -r_inner / _slope(axis, inner, here.anomalous, f)
            longest = 0.05 * inner
            gap = max(inner + min(max(step, -longest), longest), axis.floor)
        else:
            gap = _refined(inner, r_inner, outer, r_outer)
            if abs(outer - inner) <= 2e-16 * gap:
                return gap, FOUND
        spectrum(axis, gap, here, scratch)
        r = residual(axis, here.pairing[0], here.anomalous, f)
        if (r > 0.0) == upward:
            inner, r_inner = gap, r
            r_outer *= 0.5 if side == 1 else 1.0
            side = 1 if outer > 0.0 else 0
        else:
            r_inner *= 0.5 if side == -1 else 1.0
            side = -1
            outer, r_outer = gap, r
    return gap, REFUSED


@njit(cache=True, nogil=True, error_model="numpy")
def solve(start, stop, axis, f, gap, status):
    """Gap of the cells from ``start`` to ``stop`` from occupations of bins, in place."""
    bins = axis.centres.size
    here, scratch = room(bins), workspace(bins)
    for c in range(start, stop):
        gap[c], status[c] = _solve(axis, f[c], gap[c], here, scratch)


@njit(cache=True, nogil=True, error_model="numpy")
def residuals(axis, f, gap, out):
    """Residual of the gap equation of all cells; in normal cells that at the smallest gap."""
    bins = axis.centres.size
    for c in range(f.shape[0]):
        here = room(bins)
        trial = max(gap[c], axis.floor)
        spectrum(axis, trial, here, workspace(bins))
        out[c] = residual(axis, here.pairing[0], here.anomalous, f[c])
