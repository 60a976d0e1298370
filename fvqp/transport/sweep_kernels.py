"""Compiled loops of sweeps: cell by cell downstream, every direction by itself.

A loop does the energies from ``e0`` to ``e1``, as in `fvqp.transport.streaming_kernels`.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit

#: Energies of a direction are padded to rows of so many, which processors add and divide at once.
LANES = 8
#: Energies from which on rows are read and written where they are in memory.
WIDE = 32


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(e0, e1, g, passing, passes, turning, capacity, order, first, last, moving, removal, q, x):
    """Solve ``capacity (removal + 1/capacity × upwind streaming) x = capacity q`` for directions ``moving``.

    It does the places from ``first[M]`` to ``last[M]`` of an ``order``
    (`fvqp.transport.sweep_order.SweepOrder`). Rows ``passes`` of ``g``, states × speed of cells, and of
    ``passing`` after them are what comes through faces. Nothing enters through walls, returns from
    transmitting faces, or comes through faces that lag; what comes from earlier places and from cells of
    other ranks is taken from ``x``; that of later places is left without meaning. Cells of one direction lie
    together while they are solved for: they fit in a cache.
    """
    lo, count = np.uint64(e0), np.uint64(e1 - e0)
    n_owned, n_cells = q.shape[0], x.shape[0]
    wide = e1 - e0 >= WIDE
    padded = np.uint64((e1 - e0 + LANES - 1) // LANES * LANES)
    width = count if wide or count < LANES // 2 else padded
    per_cell, heat, local = g.shape[0] > 1, capacity.shape[1] > 1, removal.shape[0] > 1
    curved = turning.curvature.size > 0
    entering = np.zeros((g.shape[0] + passing.shape[0], width))
    for cell in range(g.shape[0]):
        entering[cell, :count] = g[cell, e0:e1]
    for k in range(passing.shape[0]):
        entering[g.shape[0] + k, :count] = passing[k, e0:e1]
    rows = np.zeros((0 if wide else n_cells, width))
    gain, loss = np.zeros(width), np.ones(width)
    zero, one = np.uint64(0), np.uint64(1)
    begin = lo if wide else zero
    for m in moving:
        if first[m] == last[m]:
            continue
        # short rows: what other ranks and earlier stages have solved for, and sources until they are solved
        for cell in range(n_cells if wide else n_owned, n_cells):
            there, row = x[cell, m], rows[cell]
            for e in range(count):
                row[e] = there[lo + e]
        for place in range(0 if wide else last[m]):
            cell = order.cells[m, place]
            there, row = x[cell, m] if place < first[m] else q[cell, m], rows[cell]
            for e in range(count):
                row[e] = there[lo + e]
        for place in range(first[m], last[m]):
            i, at = np.uint64(order.cells[m, place]), np.uint64(m * n_owned + place)
            row, speed = x[i, m] if wide else rows[i], entering[i if per_cell else zero]
            source = q[i, m] if wide else row
            out = order.outward[at]
            rate = removal[i if local else zero]
            if heat:
                holds = capacity[i]
                for e in range(count):
                    gain[e] = holds[lo + e] * source[begin + e]
                    loss[e] = holds[lo + e] * rate[lo + e] + out * speed[e]
            else:
                c = capacity[i, 0]
                for e in range(count):
                    gain[e] = c * source[begin + e]
                    loss[e] = c * rate[lo + e] + out * speed[e]
            for n in range(order.pointer[at], order.pointer[at + one]):
                through, up = entering[np.uint64(passes[n])], np.uint64(order.upstream[n])
                there, a = x[up, m] if wide else rows[up], order.inward[n]
                for e in range(width):
                    gain[e] += a * through[e] * there[begin + e]
            if curved:
                leave = turning.curvature[i] * turning.after[m]
                enter = turning.curvature[i] * turning.before[m]
                for e in range(count):
                    loss[e] += leave * speed[e]
                if enter != 0.0:
                    before = x[i, m - 1]
                    for e in range(count):
                        gain[e] += enter * speed[e] * before[lo + e]
            for e in range(width):
                row[begin + e] = gain[e] / loss[e]
        for place in range(last[m] if wide else first[m], last[m]):
            cell = order.cells[m, place]
            there, row = x[cell, m], rows[cell]
            for e in range(count):
                there[lo + e] = row[e]


@njit(cache=True, nogil=True)
def dependencies(faces, block, stage, cells, pointer, upstream, through, inward, outward, late):
    """Fill the tables of a `fvqp.transport.sweep_order.SweepOrder`; only counts where they have no rows.

    What comes through a face is in time where the cell beyond it is earlier in ``cells[M, owned]``, or of a
    block of an earlier ``stage[M, n_cells]``. Returns the numbers of faces, and directions, that are in time
    and that are not.
    """
    n_directions, n_owned = cells.shape
    fill = pointer.size > 0
    place = np.empty(n_owned, np.int32)
    known = lagging = 0
    for m in range(n_directions):
        for n in range(n_owned):
            place[cells[m, n]] = n
        for n in range(n_owned):
            i = cells[m, n]
            leaves = 0.0
            for k in range(faces.pointer[i], faces.pointer[i + 1]):
                face = faces.of_cell[k]
                side = 0 if faces.cells[face, 0] == i else 1
                a = faces.projected[face, m] if side == 0 else -faces.projected[face, m]
                leaves += max(a, 0.0)
                up = faces.cells[face, 1 - side]
                if a >= 0.0 or up < 0:
                    continue
                if block[up] == block[i]:
                    in_time = up >= n_owned or place[up] < n
                else:
                    in_time = 0 <= stage[m, up] < stage[m, i]
                if fill and in_time:
                    upstream[known], through[known], inward[known] = up, face, -a
                elif fill:
                    late[lagging, 0], late[lagging, 1] = face, m
                known += in_time
                lagging += not in_time
            if fill:
                outward[m * n_owned + n] = leaves
                pointer[m * n_owned + n + 1] = known
    return known, lagging


@njit(cache=True, nogil=True, error_model="numpy")
def returned(
    e0, e1, faces, transmitting, g, inverse, weights, late, row, x, out, passed
):  # fmt: skip
    """Fill ``out[rows, energy]`` with the rates of what sweeps leave out of x: what walls and interfaces
    return, and what comes through the faces and directions ``late`` (`skipped`).

    ``row[owned cell, M]`` is −1 where there is nothing of that. ``passed[counter, energy]`` is as in
    `fvqp.transport.streaming_kernels.pass_transmitting`, without baths.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned = row.shape[0]
    per_cell = g.shape[0] > 1
    diffuse = np.empty(x.shape[2])
    out[:, e0:e1] = 0.0
    passed[:, e0:e1] = 0.0
    for n in range(late.shape[0]):
        face, m = late[n, 0], late[n, 1]
        a = faces.projected[face, m]
        up, i = faces.cells[face, 0 if a > 0.0 else 1], faces.cells[face, 1 if a > 0.0 else 0]
        gate = faces.gate[face]
        entering = transmitting.passing[gate] if gate >= 0 else g[up if per_cell else 0]
        into, size = out[row[i, m]], abs(a)
        for e in range(lo, hi):
            into[e] += size * entering[e] * inverse[i, e] * x[up, m, e]
    for k in range(transmitting.face.size):
        face, counter, specular = transmitting.face[k], transmitting.counter[k], transmitting.specular[k]
        passing = transmitting.passing[k]
        image = transmitting.images[transmitting.image[k]]
        for side in range(2):
            cell = faces.cells[face, side]
            if cell < 0 or (cell >= n_owned and counter < 0):
                continue
            sign = 1.0 if side == 0 else -1.0
            speed = g[cell if per_cell else 0]
            diffuse[e0:e1] = 0.0
            for m in range(row.shape[1]):
                a = sign * faces.projected[face, m]
                if a > 0.0:
                    w = weights[m] * a
                    for e in range(lo, hi):
                        diffuse[e] += w * x[cell, m, e]
            if counter >= 0:
                counted = sign * transmitting.sign[k]
                for e in range(lo, hi):
                    passed[counter, e] += counted * passing[e] * diffuse[e]
            share = (1.0 - specular) / transmitting.norm[k, side]
            for m in range(row.shape[1]):
                a = sign * faces.projected[face, m]
                if a >= 0.0 or cell >= n_owned:
                    continue
                mirrored, into = x[cell, image[m]], out[row[cell, m]]
                for e in range(lo, hi):
                    back = specular * mirrored[e] + share * diffuse[e]
                    into[e] -= a * (speed[e] - passing[e]) * inverse[cell, e] * back


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
