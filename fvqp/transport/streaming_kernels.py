"""Compiled loops of streaming over cells, directions and energies; energies innermost and contiguous.

Cell axes of length one stand for "the same in every cell". A loop does the energies from ``e0`` to ``e1``,
for threads to share them (`fvqp.threads.share`); as unsigned numbers, of which compilers know that none
counts from the end, they go several at a time. Innermost loops write one array and read few, so that a
compiler can tell the one from the others. A row of energies is put together while it is in the cache, and
written once.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit

#: Keeps 0/0 at 1 without a branch; far below any occupation.
TINY = 1e-300
#: Part of the way to the highest or lowest of its neighbours that limits leave the face values of a cell. All
#: of it would make what flows into a cell beyond any peak that of the cell itself, which then has no steady
#: state of its own; uniform grids and most simplices need half of it for linear fields to stay linear.
REACH = 0.75
#: One over the resistance between cell and wall, three optical depths, that lets the cell count as opaque.
OPAQUE = 10.0


@njit(cache=True, inline="always")
def _arms(faces, i):
    """Distances from a cell of a line to its two faces, forward and backward; 0 if it has others."""
    if faces.pointer[i + 1] - faces.pointer[i] != 2:
        return 0.0, 0.0
    one, two = faces.of_cell[faces.pointer[i]], faces.of_cell[faces.pointer[i] + 1]
    first = faces.offset[one, 0 if faces.cells[one, 0] == i else 1, 0]
    second = faces.offset[two, 0 if faces.cells[two, 0] == i else 1, 0]
    return (max(first, second), -min(first, second)) if first * second < 0.0 else (0.0, 0.0)


@njit(cache=True, inline="always")
def _seen(neighbour, m, inverse):
    """Cell and direction of a neighbour; one below 0 lies beyond the centre."""
    return (neighbour, m) if neighbour >= 0 else (-neighbour - 1, inverse[m])


@njit(cache=True, nogil=True, error_model="numpy")
def entering(e0, e1, faces, transmitting, g, weights, f, out):
    """Fill ``out[gate, M, energy]`` with what comes in through transmitting faces where cells send out their
    own ``f``.

    Exact for baths; what returns and what passes has the occupation at the face, which gradients are for.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_directions = f.shape[1]
    per_cell = g.shape[0] > 1
    diffuse, passes = np.empty(f.shape[2]), np.empty(f.shape[2])
    for k in range(transmitting.face.size):
        face, wall, specular = transmitting.face[k], transmitting.wall[k], transmitting.specular[k]
        image = transmitting.images[transmitting.image[k]]
        for side in range(2):
            cell, other = faces.cells[face, side], faces.cells[face, 1 - side]
            if cell < 0:
                continue
            sign = 1.0 if side == 0 else -1.0
            states = g[cell if per_cell else 0]
            for e in range(lo, hi):
                diffuse[e] = 0.0
                passes[e] = transmitting.passing[k, e] / states[e] if states[e] > 0.0 else 0.0
            for m in range(n_directions):
                a = sign * faces.projected[face, m]
                if a > 0.0 and specular < 1.0:
                    share = weights[m] * a / transmitting.norm[k, side]
                    for e in range(lo, hi):
                        diffuse[e] += share * f[cell, m, e]
            for m in range(n_directions):
                if sign * faces.projected[face, m] >= 0.0:
                    continue
                beyond = transmitting.bath[wall, m] if wall >= 0 else f[other, m]
                for e in range(lo, hi):
                    back = specular * f[cell, image[m], e] + (1.0 - specular) * diffuse[e]
                    out[k, m, e] = back + passes[e] * (beyond[e] - back)


@njit(cache=True, inline="always")
def _outward(faces, face, side, m):
    """Area across which a direction leaves the cell on a side of a face, negative if it enters."""
    return faces.projected[face, m] if side == 0 else -faces.projected[face, m]


@njit(cache=True, inline="always")
def _edges(
    lo, hi, faces, i, m, enters, resistance, f, rise, fall, opaque,
    d_enters=None, d_f=None, d_rise=None, d_fall=None,
):  # fmt: skip
    """Widen what neighbours of a cell leave to its face values by what comes in at its edges (see `slopes`).

    Returns whether the direction leaves through other edges, and in ``opaque`` how far the cell is so there.
    Their derivatives are not compiled where they are None.
    """
    mirrored = False
    for e in range(lo, hi):
        opaque[e] = 0.0
    for k in range(faces.pointer[i], faces.pointer[i + 1]):
        face = faces.of_cell[k]
        side = 0 if faces.cells[face, 0] == i else 1
        if not faces.edge[face, side]:
            continue
        a = _outward(faces, face, side, m)
        if a < 0.0:
            gate = faces.gate[face]
            for e in range(lo, hi):
                step = enters[gate, m, e] - f[i, m, e]
                if d_f is not None:
                    d_step = d_enters[gate, m, e] - d_f[i, m, e]
                    if step > rise[e]:
                        d_rise[e] = d_step
                    if step < fall[e]:
                        d_fall[e] = d_step
                fall[e], rise[e] = min(fall[e], step), max(rise[e], step)
        elif a > 0.0 and resistance.shape[0] > 0:
            mirrored = True
            for e in range(lo, hi):
                opaque[e] = min(max(opaque[e], resistance[face, side, e] * OPAQUE), 1.0)
    return mirrored


@njit(cache=True, nogil=True, error_model="numpy")
def _slopes_and_range(indices, weights, rows, at, here, tilts, first, fall, rise):
    """Least-squares gradient of rows from ``at`` on, ``tilts[dim, first:]``, and how far neighbours lie below
    and above."""
    length = np.uint64(here.size)
    for e in range(length):
        fall[e], rise[e] = 0.0, 0.0
    tilts[:, first : first + here.size] = 0.0
    # four at a time: the sums are read and written once for all of them
    for k in range(0, indices.size - 3, 4):
        one, two = rows[indices[k], at:], rows[indices[k + 1], at:]
        three, four = rows[indices[k + 2], at:], rows[indices[k + 3], at:]
        for d in range(tilts.shape[0]):
            into = tilts[d, first:]
            p, q, r, s = weights[k, d], weights[k + 1, d], weights[k + 2, d], weights[k + 3, d]
            for e in range(length):
                x = here[e]
                into[e] += (p * (one[e] - x) + q * (two[e] - x)) + (r * (three[e] - x) + s * (four[e] - x))
        for e in range(length):
            least = min(min(one[e], two[e]), min(three[e], four[e]))
            fall[e] = min(fall[e], least - here[e])
        for e in range(length):
            most = max(max(one[e], two[e]), max(three[e], four[e]))
            rise[e] = max(rise[e], most - here[e])
    for k in range(indices.size - indices.size % 4, indices.size):
        one = rows[indices[k], at:]
        for d in range(tilts.shape[0]):
            into, p = tilts[d, first:], weights[k, d]
            for e in range(length):
                into[e] += p * (one[e] - here[e])
        for e in range(length):
            fall[e] = min(fall[e], one[e] - here[e])
        for e in range(length):
            rise[e] = max(rise[e], one[e] - here[e])


@njit(cache=True, nogil=True, error_model="numpy")
def _along(arms, tilts, first, change):
    """Change from the centre of a cell to a point at ``arms[dim]``, by gradients ``tilts[dim, first:]``."""
    length = np.uint64(change.size)
    one, arm = tilts[0, first:], arms[0]
    for e in range(length):
        change[e] = arm * one[e]
    for d in range(1, tilts.shape[0]):
        one, arm = tilts[d, first:], arms[d]
        for e in range(length):
            change[e] += arm * one[e]


@njit(cache=True, nogil=True, error_model="numpy")
def _bounded(arms, tilts, first, fall, rise, change, factor):
    """Lower ``factor`` to what keeps the value at ``arms`` within `REACH` of the range of neighbours."""
    _along(arms, tilts, first, change)
    for e in range(np.uint64(change.size)):
        room = REACH * (rise[e] if change[e] > 0.0 else -fall[e])
        factor[e] = min(factor[e], (room + TINY) / (abs(change[e]) + TINY))


@njit(cache=True, nogil=True, error_model="numpy")
def slopes(e0, e1, indptr, indices, weights, inverse, faces, enters, resistance, f, start, limited, out):
    """Least-squares gradients of ``f[cell, M, energy]``, ``out[cell, direction from start, dim, energy]``.

    A neighbour ``k < 0`` is cell ``−k − 1`` beyond the centre, seen along the opposite direction. Limited, no
    face value leaves the range of the cell and its neighbours (Barth and Jespersen). What comes in at edges,
    beyond which there are none, is one (``enters``, see `entering`). Where they leave through an edge, the
    mirror image of this range, cut off at 0, is another one as far as the cell is opaque (``resistance`` to
    the face, ``(n_faces, 2, energy)``, no rows without scattering): collisions level what it may leave over.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_cells, n_directions, n_energies = f.shape
    block, dim = out.shape[1], out.shape[2]
    # Rows of all directions of a block, one after another, go in one loop where all energies do.
    rows = f.reshape(n_cells, n_directions * n_energies)
    together = e0 == 0 and e1 == n_energies
    parts, length = (1, np.uint64(block * n_energies)) if together else (block, hi - lo)
    size = block * n_energies
    falls, rises, factors, changes = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    tilts = np.empty((dim, size))
    reach, opaque = np.empty(n_energies), np.empty(n_energies)
    for i in range(indptr.size - 1):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            out[i, :, :, e0:e1] = 0.0
            continue
        forward, backward = _arms(faces, i) if limited and dim == 1 and end - begin == 2 else (0.0, 0.0)
        if forward > 0.0:
            # a line: where one face value rises the other falls, and the limits are those of the slope
            p, q = REACH / forward, REACH / backward
            w, v = weights[begin, 0], weights[end - 1, 0]
            for b in range(block):
                m = start + b
                j, n = _seen(indices[begin], m, inverse)
                k, o = _seen(indices[end - 1], m, inverse)
                for e in range(lo, hi):
                    one, two = f[j, n, e] - f[i, m, e], f[k, o, e] - f[i, m, e]
                    up, down = max(max(one, two), 0.0), -min(min(one, two), 0.0)
                    tilt = w * one + v * two
                    out[i, b, 0, e] = max(min(tilt, min(p * up, q * down)), -min(q * up, p * down))
            continue
        plain = begin
        while plain < end and indices[plain] >= 0:
            plain += 1
        for part in range(parts):
            at = part * n_energies + lo
            here = rows[i, start * n_energies + at :][:length]
            _slopes_and_range(
                indices[begin:plain], weights[begin:plain], rows, start * n_energies + at, here,
                tilts, at, falls[at : at + length], rises[at : at + length],
            )  # fmt: skip
        for k in range(plain, end):
            for b in range(block):
                j, n = _seen(indices[k], start + b, inverse)
                there, here = f[j, n], f[i, start + b]
                at = b * n_energies
                fall, rise = falls[at : at + n_energies], rises[at : at + n_energies]
                for d in range(dim):
                    w, tilt = weights[k, d], tilts[d, at : at + n_energies]
                    for e in range(lo, hi):
                        tilt[e] += w * (there[e] - here[e])
                for e in range(lo, hi):
                    fall[e] = min(fall[e], there[e] - here[e])
                    rise[e] = max(rise[e], there[e] - here[e])
        edged = False
        for k in range(faces.pointer[i], faces.pointer[i + 1]):
            face = faces.of_cell[k]
            edged |= faces.edge[face, 0 if faces.cells[face, 0] == i else 1]
        if limited and not edged:
            for part in range(parts):
                at = part * n_energies + lo
                factor = factors[at : at + length]
                for e in range(length):
                    factor[e] = 1.0
                for k in range(faces.pointer[i], faces.pointer[i + 1]):
                    face = faces.of_cell[k]
                    arms = faces.offset[face, 0 if faces.cells[face, 0] == i else 1]
                    _bounded(arms, tilts, at, falls[at : at + length], rises[at : at + length],
                             changes[at : at + length], factor)  # fmt: skip
        elif limited:
            for b in range(block):
                m, at = start + b, b * n_energies
                fall, rise = falls[at : at + n_energies], rises[at : at + n_energies]
                factor, change = factors[at : at + n_energies], changes[at : at + n_energies]
                for e in range(lo, hi):
                    factor[e] = 1.0
                mirrored = _edges(lo, hi, faces, i, m, enters, resistance, f, rise, fall, opaque)
                if mirrored:
                    for e in range(lo, hi):
                        reach[e] = opaque[e] * max(rise[e], -fall[e])
                        rise[e] = max(rise[e], reach[e])
                        fall[e] = min(fall[e], -min(reach[e], max(f[i, m, e], 0.0)))
                for k in range(faces.pointer[i], faces.pointer[i + 1]):
                    face = faces.of_cell[k]
                    side = 0 if faces.cells[face, 0] == i else 1
                    a = _outward(faces, face, side, m) if faces.edge[face, side] else 0.0
                    if not (a < 0.0 or (a > 0.0 and mirrored)):
                        _bounded(faces.offset[face, side], tilts, at + lo, fall[lo:hi], rise[lo:hi],
                                 change[lo:hi], factor[lo:hi])  # fmt: skip
                        continue
                    _along(faces.offset[face, side], tilts, at + lo, change[lo:hi])
                    gate = faces.gate[face]
                    for e in range(lo, hi):
                        room = REACH * rise[e] if change[e] > 0.0 else -REACH * fall[e]
                        if a < 0.0:
                            step = enters[gate, m, e] - f[i, m, e]
                            room = max(room, step if change[e] > 0.0 else -step)
                        else:
                            wide = REACH * reach[e]
                            room = max(room, wide if change[e] > 0.0 else min(wide, max(f[i, m, e], 0.0)))
                        factor[e] = min(factor[e], (room + TINY) / (abs(change[e]) + TINY))
        for b in range(block):
            at = b * n_energies
            factor = factors[at : at + n_energies]
            for d in range(dim):
                tilt, into = tilts[d, at : at + n_energies], out[i, b, d]
                if limited:
                    for e in range(lo, hi):
                        into[e] = tilt[e] * factor[e]
                else:
                    for e in range(lo, hi):
                        into[e] = tilt[e]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def upstream(e0, e1, faces, f, slope, start, weights, out):
    """Add half-range fluxes of the values upstream to ``out[n_faces, 2, energy]``, an area and speed."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    dim = slope.shape[2]
    for face in range(faces.cells.shape[0]):
        if faces.area[face] == 0.0:
            continue
        for b in range(slope.shape[1]):
            m = start + b
            a = faces.projected[face, m]
            side = 0 if a > 0.0 else 1
            up = faces.cells[face, side]
            if a == 0.0 or up < 0:
                continue
            flux = abs(a) * weights[m] / faces.area[face]
            if dim == 0:
                for e in range(lo, hi):
                    out[face, side, e] += flux * f[up, m, e]
                continue
            arm = flux * faces.offset[face, side, 0]
            for e in range(lo, hi):
                out[face, side, e] += flux * f[up, m, e] + arm * slope[up, b, 0, e]
            for d in range(1, dim):
                arm = flux * faces.offset[face, side, d]
                for e in range(lo, hi):
                    out[face, side, e] += arm * slope[up, b, d, e]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def diffusive(e0, e1, passing, per_half, opacity, mean, arriving, at_face, tilt):
    """Diffusive occupation at faces times its weight, ``at_face + tilt × cosine``, ``(n_faces, 2, energy)``.

    See `fvqp.transport.face_diffusion.FaceDiffusion.blend`; ``per_half[n_faces]`` is one over the half range.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    source, out = np.empty((2, mean.shape[2])), np.empty((2, mean.shape[2]))
    for face in range(mean.shape[0]):
        for side in range(2):
            into = source[side]
            upwards, arrives = opacity.upstream[face, side], arriving[face, side]
            emitted, centre = opacity.emitted[face, side], mean[face, side]
            for e in range(lo, hi):
                into[e] = upwards[e] * arrives[e] + emitted[e] * centre[e]
        for side in range(2):
            into = out[side]
            near, far = source[side], source[1 - side]
            across, back = opacity.across[face, side], opacity.back[face, side]
            for e in range(lo, hi):
                into[e] = far[e] * across[e] + near[e] * back[e]
        for side in range(2):
            near, far, through = out[side], out[1 - side], passing[face, side]
            centre, current = mean[face, side], tilt[face, side]
            conductance, inverse = opacity.conductance[face, side], per_half[face]
            for e in range(lo, hi):
                incoming = inverse * (near[e] + through[e] * (far[e] - near[e]))
                current[e] = conductance[e] * (centre[e] - incoming)
            drop, share, value = opacity.drop[face, side], opacity.share[face, side], at_face[face, side]
            for e in range(lo, hi):
                value[e] = share[e] * (centre[e] - drop[e] * current[e])
            sign = 3.0 if side == 0 else -3.0
            for e in range(lo, hi):
                current[e] *= sign * share[e]


@njit(cache=True, inline="always")
def _between_directions(lo, hi, turning, f, i, m, second, limited, value):
    """Occupation of cell i between direction m and the next of its level, in ``value[m % 2]``."""
    first = m == 0 or turning.level[m - 1] != turning.level[m]
    left = m if first else m - 1
    arm = turning.edge[m] - turning.at[m]
    step = arm / (turning.at[m + 1] - turning.at[left]) if second else 0.0
    row = m % 2
    if limited:
        for e in range(lo, hi):
            # At the start of a level nothing behind bounds the slope, and it is 0.
            forward = f[i, m + 1, e] - f[i, m, e]
            backward = f[i, m, e] - f[i, left, e]
            bound = min(abs(forward), abs(backward))
            bound = bound if forward * backward > 0.0 else 0.0
            change = step * (f[i, m + 1, e] - f[i, left, e])
            value[row, e] = f[i, m, e] + min(max(change, -bound), bound)
    else:
        for e in range(lo, hi):
            value[row, e] = f[i, m, e] + step * (f[i, m + 1, e] - f[i, left, e])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def stream(e0, e1, faces, turning, g, inverse, blend, f, slope, start, second, limited, leaving, rate):
    """Rates of change ``rate[owned cell, M, energy]`` by open faces and by changes of direction.

    ``slope`` holds the directions from ``start`` on, or none of them (``(n, M, 0, energy)``, first order);
    other directions are left alone. ``inverse[owned cell, energy]`` is one over the capacity. ``leaving[gate,
    M, energy]`` receives the occupation that arrives at transmitting faces from either side. A change of
    direction adds ``−(ΔA g/w) (α_{m+½} f_{m+½} − α_{m−½} f_{m−½})``.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, n_directions, n_energies = rate.shape
    dim = slope.shape[2]
    per_cell = g.shape[0] > 1
    curved = turning.curvature.size > 0
    blended = blend.share.shape[0] > 0
    value, between = np.empty(n_energies), np.zeros((2, n_energies))
    most = 0
    for i in range(faces.pointer.size - 1):
        most = max(most, faces.pointer[i + 1] - faces.pointer[i])
    # states × speed over capacity, of the neighbours and, in the last row, of the cell
    flow = np.empty((most + 1, n_energies))
    for i in range(faces.pointer.size - 1):
        begin, end = faces.pointer[i], faces.pointer[i + 1]
        owned = i < n_owned
        if owned:
            for e in range(lo, hi):
                flow[most, e] = inverse[i, e] * g[i if per_cell else 0, e]
            for k in range(begin, end):
                face = faces.of_cell[k]
                other = faces.cells[face, 1 if faces.cells[face, 0] == i else 0]
                row = other if per_cell and other >= 0 else 0
                for e in range(lo, hi):
                    flow[k - begin, e] = inverse[i, e] * g[row, e]
        # particles turn into the first direction from the one before it
        for b in range(-1 if owned and curved and start > 0 else 0, slope.shape[1]):
            m = start + b
            if owned and curved:
                continues = m + 1 < n_directions and turning.level[m + 1] == turning.level[m]
                began = m > 0 and turning.level[m - 1] == turning.level[m]
                if continues:
                    _between_directions(lo, hi, turning, f, i, m, second, limited, between)
                if b < 0:
                    continue
                leave = turning.curvature[i] * turning.after[m] if continues else 0.0
                enter = turning.curvature[i] * turning.before[m] if began else 0.0
                ahead, behind = m % 2, (m + 1) % 2
                for e in range(lo, hi):
                    rate[i, m, e] = flow[most, e] * (enter * between[behind, e] - leave * between[ahead, e])
            elif owned:
                for e in range(lo, hi):
                    rate[i, m, e] = 0.0
            for k in range(begin, end):
                face = faces.of_cell[k]
                gate = faces.gate[face]
                side = 0 if faces.cells[face, 0] == i else 1
                a = faces.projected[face, m] if side == 0 else -faces.projected[face, m]
                side = side if a > 0.0 else 1 - side
                up = faces.cells[face, side]
                if a == 0.0 or up < 0 or (a < 0.0 if gate >= 0 else not owned):
                    continue
                if dim == 0:
                    for e in range(lo, hi):
                        value[e] = f[up, m, e]
                else:
                    arm = faces.offset[face, side, 0]
                    for e in range(lo, hi):
                        value[e] = f[up, m, e] + arm * slope[up, b, 0, e]
                    for d in range(1, dim):
                        arm = faces.offset[face, side, d]
                        for e in range(lo, hi):
                            value[e] += arm * slope[up, b, d, e]
                if blended:
                    cosine = faces.projected[face, m] / faces.area[face]
                    for e in range(lo, hi):
                        diffusive = blend.mean[face, side, e] + cosine * blend.tilt[face, side, e]
                        value[e] += diffusive - blend.share[face, side, e] * value[e]
                if gate >= 0:
                    for e in range(lo, hi):
                        leaving[gate, m, e] = value[e]
                else:
                    row = most if a > 0.0 else k - begin
                    for e in range(lo, hi):
                        rate[i, m, e] -= a * flow[row, e] * value[e]


@njit(cache=True, nogil=True, error_model="numpy")
def pass_transmitting(e0, e1, faces, transmitting, g, inverse, weights, leaving, rate, passed):
    """Add to ``rate`` what leaves through transmitting faces, returns from them and enters.

    ``passed[counter, energy]`` gains the net number that walls take in and that interfaces let pass, in sum
    over directions with ``weights``.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, n_directions, n_energies = rate.shape
    per_cell = g.shape[0] > 1
    diffuse = np.empty(n_energies)
    for k in range(transmitting.face.size):
        face = transmitting.face[k]
        wall, counter = transmitting.wall[k], transmitting.counter[k]
        passing = transmitting.passing[k]
        image = transmitting.images[transmitting.image[k]]
        specular = transmitting.specular[k]
        for side in range(2):
            cell = faces.cells[face, side]
            if cell < 0:
                continue
            other = faces.cells[face, 1 - side]
            sign = 1.0 if side == 0 else -1.0
            speed = g[cell if per_cell else 0]
            diffuse[:] = 0.0
            if specular < 1.0:
                for m in range(n_directions):
                    a = sign * faces.projected[face, m]
                    if a > 0.0:
                        for e in range(lo, hi):
                            diffuse[e] += weights[m] * a * leaving[k, m, e]
                diffuse *= (1.0 - specular) / transmitting.norm[k, side]
            for m in range(n_directions):
                a = sign * faces.projected[face, m]
                w = weights[m]
                if a > 0.0:
                    value = leaving[k, m]
                    if cell < n_owned:
                        for e in range(lo, hi):
                            rate[cell, m, e] -= a * speed[e] * value[e] * inverse[cell, e]
                    if counter >= 0:
                        counted = sign * transmitting.sign[k] * w * a
                        for e in range(lo, hi):
                            passed[counter, e] += counted * passing[e] * value[e]
                    if 0 <= other < n_owned:
                        for e in range(lo, hi):
                            rate[other, m, e] += a * passing[e] * value[e] * inverse[other, e]
                elif a < 0.0:
                    back = leaving[k, image[m]] if specular > 0.0 else diffuse
                    if cell < n_owned:
                        for e in range(lo, hi):
                            closed = (speed[e] - passing[e]) * inverse[cell, e]
                            rate[cell, m, e] -= a * closed * (specular * back[e] + diffuse[e])
                    if wall >= 0:
                        outside = transmitting.bath[wall, m]
                        for e in range(lo, hi):
                            rate[cell, m, e] -= a * passing[e] * outside[e] * inverse[cell, e]
                            passed[counter, e] += w * a * passing[e] * outside[e]
