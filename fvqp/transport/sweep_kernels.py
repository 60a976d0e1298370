"""Compiled loops of sweeps: cell by cell downstream, every direction by itself.

A loop does the energies from ``e0`` to ``e1``, as in `fvqp.transport.streaming_kernels`.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

import fvqp.kernel_cache  # noqa: F401


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(e0, e1, faces, transmitting, turning, g, capacity, block, order, moving, removal, q, x):
    """Solve ``capacity (removal + 1/capacity × upwind streaming) x = capacity q`` for directions ``moving``.

    Nothing enters through walls, from other blocks, or returns from transmitting faces. ``order[M, n]`` lists
    the cells of every direction downstream; what comes from cells later in the order, or from shells of other
    ranks, is taken from ``x`` as it is.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, _, n_energies = q.shape
    per_cell = g.shape[0] > 1
    heat = capacity.shape[1] > 1
    curved = turning.curvature.size > 0
    gain = np.empty(n_energies)
    loss = np.empty(n_energies)
    for m in moving:
        for place in range(n_owned):
            i = order[m, place]
            speed = g[i if per_cell else 0]
            k = removal[i if removal.shape[0] > 1 else 0]
            for e in range(lo, hi):
                c = capacity[i, e] if heat else capacity[i, 0]
                gain[e] = c * q[i, m, e]
                loss[e] = c * k[e]
            for n in range(faces.pointer[i], faces.pointer[i + 1]):
                face = faces.of_cell[n]
                side = 0 if faces.cells[face, 0] == i else 1
                a = faces.projected[face, m] if side == 0 else -faces.projected[face, m]
                if a > 0.0:
                    for e in range(lo, hi):
                        loss[e] += a * speed[e]
                elif a < 0.0:
                    up = faces.cells[face, 1 - side]
                    if up < 0 or block[up] != block[i]:
                        continue
                    gate = faces.gate[face]
                    entering = transmitting.passing[gate] if gate >= 0 else g[up if per_cell else 0]
                    for e in range(lo, hi):
                        gain[e] -= a * entering[e] * x[up, m, e]
            if curved:
                leave = turning.curvature[i] * turning.after[m]
                enter = turning.curvature[i] * turning.before[m]
                for e in range(lo, hi):
                    loss[e] += leave * speed[e]
                if enter != 0.0:
                    for e in range(lo, hi):
                        gain[e] += enter * speed[e] * x[i, m - 1, e]
            for e in range(lo, hi):
                x[i, m, e] = gain[e] / loss[e]


@njit(cache=True, nogil=True, error_model="numpy")
def removed(e0, e1, shares, total, scattering, f, rate):
    """Turns ``rate`` into ``total f − scattering f̄ − rate`` of owned cells, f̄ the mean over directions."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    mean = np.empty(rate.shape[2])
    for i in range(rate.shape[0]):
        mean[e0:e1] = 0.0
        for m in range(shares.size):
            w = shares[m]
            for e in range(lo, hi):
                mean[e] += w * f[i, m, e]
        for e in range(lo, hi):
            mean[e] *= scattering[i, e]
        for m in range(shares.size):
            for e in range(lo, hi):
                rate[i, m, e] = total[i, e] * f[i, m, e] - mean[e] - rate[i, m, e]


@njit(cache=True, nogil=True)
def downstream(faces, block, n_owned, order):
    """Fill ``order[M, n_owned]``: every cell after those of its block upstream of it. Returns the number of
    faces across which this fails, ``(M,)``.

    Where cells wait for each other in a circle, the one that waits for the fewest goes first.
    """
    n_directions = order.shape[0]
    waits = np.empty(n_owned, np.int32)
    broken = np.zeros(n_directions, np.int64)
    for m in range(n_directions):
        waits[:] = 0
        for face in range(faces.cells.shape[0]):
            a = faces.projected[face, m]
            c0 = faces.cells[face, 0]
            c1 = faces.cells[face, 1]
            if c1 < 0 or c0 >= n_owned or c1 >= n_owned or block[c0] != block[c1] or a == 0.0:
                continue
            waits[c1 if a > 0.0 else c0] += 1
        placed = 0
        done = 0
        for i in range(n_owned):
            if waits[i] == 0:
                order[m, placed] = i
                waits[i] = -1
                placed += 1
        while done < n_owned:
            if done == placed:
                best = -1
                for i in range(n_owned):
                    if waits[i] > 0 and (best < 0 or waits[i] < waits[best]):
                        best = i
                broken[m] += waits[best]
                order[m, placed] = best
                waits[best] = -1
                placed += 1
            i = order[m, done]
            done += 1
            for n in range(faces.pointer[i], faces.pointer[i + 1]):
                face = faces.of_cell[n]
                side = 0 if faces.cells[face, 0] == i else 1
                a = faces.projected[face, m] if side == 0 else -faces.projected[face, m]
                next_cell = faces.cells[face, 1 - side]
                if not (a > 0.0 and 0 <= next_cell < n_owned and block[next_cell] == block[i]):
                    continue
                if waits[next_cell] > 0:
                    waits[next_cell] -= 1
                    if waits[next_cell] == 0:
                        order[m, placed] = next_cell
                        waits[next_cell] = -1
                        placed += 1
    return broken
