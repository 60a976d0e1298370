"""Compiled loops of the derivative of limited gradients: see `fvqp.transport.streaming_kernels`.

Where limits bind, the derivative is that of the neighbour and the face that set them, or of one of several.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit
from fvqp.transport.streaming_kernels import REACH, TINY, _arms, _edges, _outward, _seen


@njit(cache=True, nogil=True, error_model="numpy")
def slopes(
    e0,
    e1,
    indptr,
    indices,
    weights,
    inverse,
    faces,
    enters,
    d_enters,
    resistance,
    at,
    frozen_limiter,
    f,
    start,
    out,
):
    """Derivative of the limited gradients at ``at[cell, M, energy]`` along ``f``, shaped as these.

    ``enters`` and ``d_enters`` are what comes in through transmitting faces at both. Where
    ``frozen_limiter``, gradients off lines are cut by the factors that they have.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_energies = f.shape[2]
    dim = out.shape[2]
    rise, fall, reach = np.empty(n_energies), np.empty(n_energies), np.empty(n_energies)
    d_reach, opaque = np.empty(n_energies), np.empty(n_energies)
    d_rise, d_fall, d_room = np.empty(n_energies), np.empty(n_energies), np.empty(n_energies)
    tight, factor = np.empty(n_energies, np.int64), np.empty(n_energies)
    change, steep = np.empty(n_energies), np.empty((dim, n_energies))
    for i in range(indptr.size - 1):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            out[i, :, :, e0:e1] = 0.0
            continue
        forward, backward = _arms(faces, i) if dim == 1 and end - begin == 2 else (0.0, 0.0)
        for b in range(out.shape[1]):
            m = start + b
            if forward > 0.0:
                j, n = _seen(indices[begin], m, inverse)
                k, o = _seen(indices[end - 1], m, inverse)
                p, q = REACH / forward, REACH / backward
                w, v = weights[begin, 0], weights[end - 1, 0]
                for e in range(lo, hi):
                    one, two = at[j, n, e] - at[i, m, e], at[k, o, e] - at[i, m, e]
                    d_one, d_two = f[j, n, e] - f[i, m, e], f[k, o, e] - f[i, m, e]
                    d_up = 0.0 if max(one, two) <= 0.0 else d_one if one > two else d_two
                    d_down = 0.0 if min(one, two) >= 0.0 else -d_one if one < two else -d_two
                    up, down = max(max(one, two), 0.0), -min(min(one, two), 0.0)
                    tilt = w * one + v * two
                    if tilt > min(p * up, q * down):
                        out[i, b, 0, e] = p * d_up if p * up < q * down else q * d_down
                    elif tilt < -min(q * up, p * down):
                        out[i, b, 0, e] = -(q * d_up if q * up < p * down else p * d_down)
                    else:
                        out[i, b, 0, e] = w * d_one + v * d_two
                continue
            for e in range(lo, hi):
                rise[e], fall[e], d_rise[e], d_fall[e] = 0.0, 0.0, 0.0, 0.0
                factor[e], tight[e] = 1.0, -1
            for d in range(dim):
                for e in range(lo, hi):
                    out[i, b, d, e], steep[d, e] = 0.0, 0.0
            for k in range(begin, end):
                j, n = _seen(indices[k], m, inverse)
                for e in range(lo, hi):
                    change[e], d_change = at[j, n, e] - at[i, m, e], f[j, n, e] - f[i, m, e]
                    if change[e] > rise[e]:
                        rise[e], d_rise[e] = change[e], d_change
                    if change[e] < fall[e]:
                        fall[e], d_fall[e] = change[e], d_change
                for d in range(dim):
                    w = weights[k, d]
                    for e in range(lo, hi):
                        steep[d, e] += w * change[e]
                        out[i, b, d, e] += w * (f[j, n, e] - f[i, m, e])
            mirrored = _edges(
                lo, hi, faces, i, m, enters, resistance, at, rise, fall, opaque, d_enters, f, d_rise, d_fall
            )
            if mirrored:
                for e in range(lo, hi):
                    reach[e], d_reach[e] = opaque[e] * rise[e], opaque[e] * d_rise[e]
                    if -fall[e] > rise[e]:
                        reach[e], d_reach[e] = -opaque[e] * fall[e], -opaque[e] * d_fall[e]
                    if reach[e] > rise[e]:
                        rise[e], d_rise[e] = reach[e], d_reach[e]
                    down, d_down = reach[e], d_reach[e]
                    if reach[e] > max(at[i, m, e], 0.0):
                        down, d_down = max(at[i, m, e], 0.0), f[i, m, e] if at[i, m, e] > 0.0 else 0.0
                    if down > -fall[e]:
                        fall[e], d_fall[e] = -down, -d_down
            for k in range(faces.pointer[i], faces.pointer[i + 1]):
                face = faces.of_cell[k]
                side = 0 if faces.cells[face, 0] == i else 1
                for e in range(lo, hi):
                    change[e] = 0.0
                for d in range(dim):
                    arm = faces.offset[face, side, d]
                    for e in range(lo, hi):
                        change[e] += arm * steep[d, e]
                gate = faces.gate[face]
                a = _outward(faces, face, side, m) if faces.edge[face, side] else 0.0
                for e in range(lo, hi):
                    up = change[e] > 0.0
                    room = REACH * (rise[e] if up else -fall[e])
                    if a < 0.0:
                        step = enters[gate, m, e] - at[i, m, e]
                        room = max(room, step if up else -step)
                    elif a > 0.0 and mirrored:
                        wide = REACH * reach[e]
                        room = max(room, wide if up else min(wide, max(at[i, m, e], 0.0)))
                    share = (room + TINY) / (abs(change[e]) + TINY)
                    if share >= factor[e]:
                        continue
                    factor[e], tight[e] = share, k
                    d_room[e] = REACH * (d_rise[e] if up else -d_fall[e])
                    if a < 0.0:
                        if (step if up else -step) > REACH * (rise[e] if up else -fall[e]):
                            d_step = d_enters[gate, m, e] - f[i, m, e]
                            d_room[e] = d_step if up else -d_step
                    elif a > 0.0 and mirrored and room > REACH * (rise[e] if up else -fall[e]):
                        cut = not up and at[i, m, e] < REACH * reach[e]
                        d_room[e] = f[i, m, e] if cut else REACH * d_reach[e]
            for e in range(lo, hi):
                if tight[e] < 0:
                    continue
                face = faces.of_cell[tight[e]]
                side = 0 if faces.cells[face, 0] == i else 1
                there, along = 0.0, 0.0
                for d in range(dim):
                    there += faces.offset[face, side, d] * steep[d, e]
                    along += faces.offset[face, side, d] * out[i, b, d, e]
                sign = 1.0 if there > 0.0 else -1.0
                less = 0.0 if frozen_limiter else (d_room[e] - factor[e] * sign * along) / abs(there)
                for d in range(dim):
                    out[i, b, d, e] = factor[e] * out[i, b, d, e] + less * steep[d, e]


@njit(cache=True, nogil=True, error_model="numpy")
def turning(e0, e1, turning, g, inverse, at, f, rate):
    """Add to ``rate[owned cell, M, energy]`` what limits between directions at ``at`` change along ``f``.

    The rates already contain the derivative without limits; ``inverse`` is one over the capacity.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, n_directions, n_energies = rate.shape
    change = np.empty(n_energies)
    for i in range(n_owned):
        speed = g[i if g.shape[0] > 1 else 0]
        for m in range(n_directions - 1):
            if turning.level[m + 1] != turning.level[m]:
                continue
            first = m == 0 or turning.level[m - 1] != turning.level[m]
            left = m if first else m - 1
            step = (turning.edge[m] - turning.at[m]) / (turning.at[m + 1] - turning.at[left])
            for e in range(lo, hi):
                forward, backward = at[i, m + 1, e] - at[i, m, e], at[i, m, e] - at[i, left, e]
                bound = min(abs(forward), abs(backward)) if forward * backward > 0.0 else 0.0
                change[e] = 0.0
                if abs(step * (at[i, m + 1, e] - at[i, left, e])) > bound:
                    if bound > 0.0:
                        closer = abs(forward) < abs(backward)
                        change[e] = f[i, m + 1, e] - f[i, m, e] if closer else f[i, m, e] - f[i, left, e]
                    change[e] -= step * (f[i, m + 1, e] - f[i, left, e])
            leave = turning.curvature[i] * turning.after[m]
            enter = turning.curvature[i] * turning.before[m + 1]
            for e in range(lo, hi):
                flow = inverse[i, e] * speed[e] * change[e]
                rate[i, m, e] -= leave * flow
                rate[i, m + 1, e] += enter * flow
