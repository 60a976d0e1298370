"""Compiled loops of streaming over cells, directions and energies; energies innermost and contiguous.

A face is crossed by direction m at the rate ``projected[face, m] = A n·Ω``, positive from cell 0 to cell 1,
so that each direction leaves exactly one side of it. Cell axes of length one stand for "the same in every
cell". A loop does the energies from ``e0`` to ``e1``, for threads to share them (`fvqp.threads.share`);
as unsigned numbers, of which compilers know that none counts from the end, they go several at a time.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

import fvqp.kernel_cache  # noqa: F401

#: Keeps 0/0 at 1 without a branch; far below any occupation.
TINY = 1e-300


class Faces(NamedTuple):
    """What the kernels know about faces.

    Attributes:
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        area: ``(n_faces,)``.
        projected: ``(n_faces, M)`` area × cosine between direction and normal.
        offset: ``(n_faces, 2, dim)`` from the centroids of the cells to that of the face.
        gate: ``(n_faces,)`` row in `Gates` of faces that return particles, −1 of open ones.
        pointer, of_cell: CSR, the faces of every cell.
    """

    cells: NDArray
    area: NDArray
    projected: NDArray
    offset: NDArray
    gate: NDArray
    pointer: NDArray
    of_cell: NDArray


class Gates(NamedTuple):
    """Faces that do not let everything through: walls, interfaces, steps of the gap.

    Attributes:
        face: ``(K,)``.
        wall: ``(K,)`` number of the wall, −1 inside.
        passing: ``(K, energy)`` states × speed that pass either way.
        specular: ``(K,)`` share of the rest that follows ``image``; what remains comes back isotropic.
        image: ``(K,)`` row of ``images``.
        images: ``(n, M)`` reflections of directions.
        bath: ``(walls, M, energy)`` occupation outside.
        norm: ``(K, 2)`` ``Σ w |projected|`` of the directions that enter either side.
    """

    face: NDArray
    wall: NDArray
    passing: NDArray
    specular: NDArray
    image: NDArray
    images: NDArray
    bath: NDArray
    norm: NDArray


class Blend(NamedTuple):
    """Share and value of the diffusive occupation at faces, ``(n_faces, ...)``; no rows without scattering.

    Attributes:
        share: ``(n_faces, 2, energy)`` weight 1 − α of the diffusive occupation in what either side sends.
        mean, tilt: ``(n_faces, 2, energy)`` that occupation times its weight, for direction m
            ``mean + tilt × cosine``.
    """

    share: NDArray
    mean: NDArray
    tilt: NDArray


class Turning(NamedTuple):
    """Change of direction relative to the radius; see `RadialDirections`.

    Attributes:
        before, after: ``(M,)`` α on either side of a direction, over its weight.
        at, edge: ``(M,)`` radial component of a direction, and between it and the next.
        level: ``(M,)``.
        curvature: ``(n_cells,)`` difference of a shell's two areas; no entries on meshes.
    """

    before: NDArray
    after: NDArray
    at: NDArray
    edge: NDArray
    level: NDArray
    curvature: NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def slopes(e0, e1, indptr, indices, weights, inverse, faces, f, start, limited, out):
    """Least-squares gradients of ``f[cell, M, energy]``, ``out[cell, direction from start, dim, energy]``.

    A neighbour ``k < 0`` is cell ``−k − 1`` beyond the centre, seen along the opposite direction. Limited, no
    face value leaves the range of the cell and its neighbours (Barth and Jespersen).
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_energies = f.shape[2]
    dim = out.shape[2]
    fall = np.empty(n_energies)
    rise = np.empty(n_energies)
    factor = np.empty(n_energies)
    change = np.empty(n_energies)
    for i in range(indptr.size - 1):
        for b in range(out.shape[1]):
            m = start + b
            own = f[i, m]
            slope = out[i, b]
            first = slope[0]
            for e in range(lo, hi):
                first[e], fall[e], rise[e] = 0.0, 0.0, 0.0
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                other = f[j, m] if j >= 0 else f[-j - 1, inverse[m]]
                w = weights[k, 0]
                if limited:
                    for e in range(lo, hi):
                        step = other[e] - own[e]
                        first[e] += w * step
                        fall[e] = min(fall[e], step)
                        rise[e] = max(rise[e], step)
                else:
                    for e in range(lo, hi):
                        first[e] += w * (other[e] - own[e])
                for d in range(1, dim):
                    w = weights[k, d]
                    if k == indptr[i]:
                        slope[d, e0:e1] = 0.0
                    for e in range(lo, hi):
                        slope[d, e] += w * (other[e] - own[e])
            if indptr[i] == indptr[i + 1]:
                slope[:, e0:e1] = 0.0
                continue
            if not limited:
                continue
            factor[e0:e1] = 1.0
            for k in range(faces.pointer[i], faces.pointer[i + 1]):
                face = faces.of_cell[k]
                arm = faces.offset[face, 0 if faces.cells[face, 0] == i else 1]
                for e in range(lo, hi):
                    change[e] = arm[0] * first[e]
                for d in range(1, dim):
                    for e in range(lo, hi):
                        change[e] += arm[d] * slope[d, e]
                for e in range(lo, hi):
                    room = rise[e] if change[e] > 0.0 else -fall[e]
                    factor[e] = min(factor[e], (room + TINY) / (abs(change[e]) + TINY))
            for d in range(dim):
                for e in range(lo, hi):
                    slope[d, e] *= factor[e]


@njit(cache=True, nogil=True, error_model="numpy")
def upstream(e0, e1, faces, f, slope, start, weights, out):
    """Add half-range fluxes of the values upstream to ``out[n_faces, 2, energy]``, an area and speed."""
    lo, hi = np.uint64(e0), np.uint64(e1)
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
            source = f[up, m]
            sums = out[face, side]
            for e in range(lo, hi):
                sums[e] += flux * source[e]
            for d in range(slope.shape[2]):
                arm = flux * faces.offset[face, side, d]
                s = slope[up, b, d]
                for e in range(lo, hi):
                    sums[e] += arm * s[e]


@njit(cache=True, nogil=True, error_model="numpy")
def cross(e0, e1, faces, g, blend, f, slope, start, leaving, rate):
    """Add what crosses open faces to ``rate[owned cell, M, energy]``; keep what reaches gates in ``leaving``.

    ``slope`` holds the directions from ``start`` on, or none of them (``(n, M, 0, energy)``, first order).
    ``leaving[gate, M, energy]`` receives the occupation that arrives at gates from either side.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, _, n_energies = rate.shape
    per_cell = g.shape[0] > 1
    value = np.empty(n_energies)
    for face in range(faces.cells.shape[0]):
        gate = faces.gate[face]
        for b in range(slope.shape[1]):
            m = start + b
            a = faces.projected[face, m]
            side = 0 if a > 0.0 else 1
            up = faces.cells[face, side]
            if a == 0.0 or up < 0:
                continue
            source = f[up, m]
            for e in range(lo, hi):
                value[e] = source[e]
            for d in range(slope.shape[2]):
                arm = faces.offset[face, side, d]
                s = slope[up, b, d]
                for e in range(lo, hi):
                    value[e] += arm * s[e]
            if blend.share.shape[0] > 0:
                share = blend.share[face, side]
                mean = blend.mean[face, side]
                tilt = blend.tilt[face, side]
                cosine = a / faces.area[face]
                for e in range(lo, hi):
                    value[e] += mean[e] + cosine * tilt[e] - share[e] * value[e]
            if gate >= 0:
                kept = leaving[gate, m]
                for e in range(lo, hi):
                    kept[e] = value[e]
                continue
            c0 = faces.cells[face, 0]
            c1 = faces.cells[face, 1]
            speed = g[up if per_cell else 0]
            if c0 < n_owned:
                row = rate[c0, m]
                for e in range(lo, hi):
                    row[e] -= a * speed[e] * value[e]
            if c1 < n_owned:
                row = rate[c1, m]
                for e in range(lo, hi):
                    row[e] += a * speed[e] * value[e]


@njit(cache=True, nogil=True, error_model="numpy")
def pass_gates(e0, e1, faces, gates, g, weights, leaving, rate, lost):
    """Add to ``rate`` what leaves through gates, returns from them and enters; ``lost[wall, energy]`` is what
    walls take in sum over directions with ``weights``."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, n_directions, n_energies = rate.shape
    per_cell = g.shape[0] > 1
    diffuse = np.empty(n_energies)
    for k in range(gates.face.size):
        face = gates.face[k]
        wall = gates.wall[k]
        passing = gates.passing[k]
        image = gates.images[gates.image[k]]
        specular = gates.specular[k]
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
                diffuse *= (1.0 - specular) / gates.norm[k, side]
            for m in range(n_directions):
                a = sign * faces.projected[face, m]
                w = weights[m]
                if a > 0.0:
                    value = leaving[k, m]
                    if cell < n_owned:
                        for e in range(lo, hi):
                            rate[cell, m, e] -= a * speed[e] * value[e]
                    if wall >= 0:
                        for e in range(lo, hi):
                            lost[wall, e] += w * a * passing[e] * value[e]
                    elif other < n_owned:
                        for e in range(lo, hi):
                            rate[other, m, e] += a * passing[e] * value[e]
                elif a < 0.0:
                    back = leaving[k, image[m]] if specular > 0.0 else diffuse
                    if cell < n_owned:
                        for e in range(lo, hi):
                            closed = speed[e] - passing[e]
                            rate[cell, m, e] -= a * closed * (specular * back[e] + diffuse[e])
                    if wall >= 0:
                        outside = gates.bath[wall, m]
                        for e in range(lo, hi):
                            rate[cell, m, e] -= a * passing[e] * outside[e]
                            lost[wall, e] += w * a * passing[e] * outside[e]


@njit(cache=True, nogil=True, error_model="numpy")
def turn(e0, e1, turning, g, f, second, limited, rate):
    """Add the change of direction to ``rate``: ``−(ΔA g/w) (α_{m+½} f_{m+½} − α_{m−½} f_{m−½})``."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    n_owned, n_directions = rate.shape[:2]
    per_cell = g.shape[0] > 1
    value = np.empty(rate.shape[2])
    for i in range(n_owned):
        speed = g[i if per_cell else 0]
        for m in range(n_directions - 1):
            if turning.level[m + 1] != turning.level[m]:
                continue
            first = m == 0 or turning.level[m - 1] != turning.level[m]
            left = m if first else m - 1
            arm = turning.edge[m] - turning.at[m]
            step = arm / (turning.at[m + 1] - turning.at[left])
            leave = turning.curvature[i] * turning.after[m]
            enter = turning.curvature[i] * turning.before[m + 1]
            own, ahead, behind = f[i, m], f[i, m + 1], f[i, left]
            if second:
                for e in range(lo, hi):
                    value[e] = step * (ahead[e] - behind[e])
                if limited:
                    for e in range(lo, hi):
                        # At the start of a level nothing behind bounds the slope, and it is 0.
                        forward = ahead[e] - own[e]
                        backward = own[e] - behind[e]
                        bound = min(abs(forward), abs(backward))
                        bound = bound if forward * backward > 0.0 else 0.0
                        value[e] = min(max(value[e], -bound), bound)
                for e in range(lo, hi):
                    value[e] += own[e]
            else:
                for e in range(lo, hi):
                    value[e] = own[e]
            before, after = rate[i, m], rate[i, m + 1]
            for e in range(lo, hi):
                flux = speed[e] * value[e]
                before[e] -= leave * flux
                after[e] += enter * flux


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(e0, e1, faces, gates, turning, g, capacity, order, moving, removal, q, x):
    """Solve ``capacity (removal + 1/capacity × upwind streaming) x = capacity q`` for directions ``moving``.

    Nothing enters through walls or returns from gates. ``order[M, n]`` lists the cells of every direction
    downstream; what comes from cells later in the order, or from other ranks, is taken from ``x`` as it is.
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
                    if up < 0:
                        continue
                    gate = faces.gate[face]
                    entering = gates.passing[gate] if gate >= 0 else g[up if per_cell else 0]
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
def removed(e0, e1, shares, total, scattering, f, moved, out):
    """``out = total f − scattering f̄ − moved`` of owned cells, f̄ the mean over directions."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    mean = np.empty(out.shape[2])
    for i in range(out.shape[0]):
        mean[e0:e1] = 0.0
        for m in range(shares.size):
            w = shares[m]
            for e in range(lo, hi):
                mean[e] += w * f[i, m, e]
        for e in range(lo, hi):
            mean[e] *= scattering[i, e]
        for m in range(shares.size):
            for e in range(lo, hi):
                out[i, m, e] = total[i, e] * f[i, m, e] - mean[e] - moved[i, m, e]


@njit(cache=True, nogil=True)
def downstream(faces, n_owned, order):
    """Fill ``order[M, n_owned]``: every cell after those upstream of it. Returns the number of faces across
    which this fails, ``(M,)``.

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
            if c1 < 0 or c0 >= n_owned or c1 >= n_owned or a == 0.0:
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
                if a > 0.0 and 0 <= next_cell < n_owned and waits[next_cell] > 0:
                    waits[next_cell] -= 1
                    if waits[next_cell] == 0:
                        order[m, placed] = next_cell
                        waits[next_cell] = -1
                        placed += 1
    return broken
