"""Compiled face loops of two-point fluxes; energies innermost and contiguous.

A loop over energies does sixteen at once (`fvqp.simd`), then what is left one by one. Arrays are contiguous.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.kernel_cache import njit
from fvqp.simd import LANES, add, add_multiple, load_at, mul, store_at, sub, zeros

#: For calls of compiled functions, which numba compiles once more for every literal.
ZERO, ONE = np.int64(0), np.int64(1)


class TwoPointFaces(NamedTuple):
    """Faces as two-point fluxes need them.

    Attributes:
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        offset: ``(n_faces, 2, 3)`` vector from cell centroid to projected point, metres; exactly 0 where the
            mesh is orthogonal.
        outside: ``(n_faces,)`` row of the values prescribed outside that an outer face borders on; −1 of
            closed faces and of those inside.
        entries: ``(n_faces, 4)`` places of (0,0), (0,1), (1,1), (1,0) in the cell pattern; −1 if absent.
        of_entry: face of every entry of the cell pattern, −1 on the diagonal.
    """

    cells: NDArray
    offset: NDArray
    outside: NDArray
    entries: NDArray
    of_entry: NDArray


@njit(cache=True)
def projected(faces, f, side, c, a, e, gradient, x):
    """Value at the projected point of cell ``c`` under face ``f``."""
    point = x[c, a, e]
    if gradient.shape[0] > 0:
        for i in range(3):
            point += faces.offset[f, side, i] * gradient[c, a, i, e]
    return point


@njit(cache=True, inline="always")
def _projected_lanes(faces, f, side, at, first, values, slopes, n_energies):
    """The same of the energies from ``first`` on; ``at`` is where those of the cell's component begin."""
    point = load_at(values, at + first)
    if slopes.shape[0] > 0:
        for i in range(3):
            t = faces.offset[f, side, i]
            if t != 0.0:
                point = add_multiple(point, t, load_at(slopes, 3 * at + i * n_energies + first))
    return point


@njit(cache=True)
def add_flows(faces, conductance, gradient, x, external, out, current):
    """Add ``Σ_faces g (value beyond − value here)`` of the owned cells to ``out[cell, component, energy]``.

    ``conductance[component or 1, face, energy or 1]``; ``external[component, row, energy]`` are the values
    outside. With gradients the values are those straight behind the face. If ``current`` has components,
    ``current[component, row, energy]`` gains what enters this rank's owned cells from outside.
    """
    n_owned, n_comp, n_energies = out.shape
    whole = n_energies // LANES * LANES
    values, beyond, slopes, conductances, rates, entering = (
        x.reshape(-1), external.reshape(-1), gradient.reshape(-1), conductance.reshape(-1), out.reshape(-1),
        current.reshape(-1),
    )  # fmt: skip
    by_component, by_energy = conductance.shape[0] > 1, conductance.shape[2] > 1
    counted = current.shape[0] > 0
    n_faces = faces.cells.shape[0]
    for f in range(n_faces):
        c0, c1 = faces.cells[f, 0], faces.cells[f, 1]
        row = faces.outside[f]
        if c1 < 0 and row < 0:
            continue
        into0, into1 = c0 < n_owned, 0 <= c1 < n_owned
        counts = counted and c1 < 0 and into0
        for a in range(n_comp):
            b = a if by_component else 0
            g = conductance[b, f, 0]
            at_face = (b * n_faces + f) * n_energies
            at0 = (c0 * n_comp + a) * n_energies
            at1 = (c1 * n_comp + a) * n_energies
            at_row = (a * external.shape[1] + row) * n_energies
            for first in range(0, whole, LANES):
                point0 = _projected_lanes(faces, f, 0, at0, first, values, slopes, n_energies)
                if c1 >= 0:
                    point1 = _projected_lanes(faces, f, 1, at1, first, values, slopes, n_energies)
                else:
                    point1 = load_at(beyond, at_row + first)
                flow = sub(point1, point0)
                if by_energy:
                    flow = mul(load_at(conductances, at_face + first), flow)
                else:
                    flow = add_multiple(zeros(), g, flow)
                if into0:
                    store_at(rates, at0 + first, add(load_at(rates, at0 + first), flow))
                if into1:
                    store_at(rates, at1 + first, sub(load_at(rates, at1 + first), flow))
                if counts:
                    store_at(entering, at_row + first, add(load_at(entering, at_row + first), flow))
            for e in range(whole, n_energies):
                flow = external[a, row, e] if c1 < 0 else projected(faces, f, ONE, c1, a, e, gradient, x)
                flow -= projected(faces, f, ZERO, c0, a, e, gradient, x)
                flow *= conductance[b, f, e] if by_energy else g
                if into0:
                    out[c0, a, e] += flow
                if into1:
                    out[c1, a, e] -= flow
                if counts:
                    current[a, row, e] += flow


@njit(cache=True)
def two_point_matrix(faces, conductance, indptr, n_comp, values):
    """Set ``values[nnz, energy]`` to the matrix of minus `add_flows` without gradients.

    It stands on the cell pattern with ``n_comp`` unknowns a cell; ``conductance[component or 1, face,
    energy]``.
    """
    n_energies = values.shape[1]
    whole = n_energies // LANES * LANES
    entries, conductances = values.reshape(-1), conductance.reshape(-1)
    by_component = conductance.shape[0] > 1
    n_faces = faces.cells.shape[0]
    for c in range(indptr.shape[0] - 1):
        begin, end = indptr[c], indptr[c + 1]
        for a in range(n_comp):
            # entries of this row between this component and itself are every n_comp-th row of values
            row = n_energies * entry(indptr, c, begin, n_comp, a, a)
            at = n_energies * n_faces * (a if by_component else 0)
            for first in range(0, whole, LANES):
                own, sum_at = zeros(), 0
                for k in range(end - begin):
                    f = faces.of_entry[begin + k]
                    if f >= 0:
                        g = load_at(conductances, at + f * n_energies + first)
                        store_at(entries, row + k * n_comp * n_energies + first, sub(zeros(), g))
                        own = add(own, g)
                    else:
                        sum_at = row + k * n_comp * n_energies + first
                store_at(entries, sum_at, own)
            for e in range(whole, n_energies):
                rest, sum_at = 0.0, 0
                for k in range(end - begin):
                    f = faces.of_entry[begin + k]
                    if f >= 0:
                        entries[row + k * n_comp * n_energies + e] = -conductances[at + f * n_energies + e]
                        rest += conductances[at + f * n_energies + e]
                    else:
                        sum_at = row + k * n_comp * n_energies + e
                entries[sum_at] = rest
            for k in range(begin, end):
                for b in range(n_comp):
                    if a != b:
                        values[entry(indptr, c, k, n_comp, a, b)] = 0.0
    for f in range(n_faces):
        if faces.outside[f] >= 0:
            c = faces.cells[f, 0]
            for a in range(n_comp):
                here = values[entry(indptr, c, faces.entries[f, 0], n_comp, a, a)]
                g = conductance[a if by_component else 0, f]
                for e in range(n_energies):
                    here[e] += g[e]


@njit(cache=True)
def entry(indptr, c, place, n, a, b):
    """Place of (cell row c, component a; column of ``place``, component b) when a cell holds n unknowns."""
    start = indptr[c]
    return n * (n * start + a * (indptr[c + 1] - start) + place - start) + b


@njit(cache=True)
def beside(faces, gradient, x, external, out):
    """Fill ``out[face, side, component, energy]`` with the values straight behind both sides of every face.

    Outside it has the value prescribed there, and beyond closed faces that of the other side.
    """
    _, n_comp, n_energies = x.shape
    whole = n_energies // LANES * LANES
    values, beyond, slopes, found = x.reshape(-1), external.reshape(-1), gradient.reshape(-1), out.reshape(-1)
    for f in range(faces.cells.shape[0]):
        c0, c1 = faces.cells[f, 0], faces.cells[f, 1]
        row = faces.outside[f]
        for a in range(n_comp):
            at0, at1 = (c0 * n_comp + a) * n_energies, (c1 * n_comp + a) * n_energies
            at_row = (a * external.shape[1] + row) * n_energies
            here, there = (2 * f * n_comp + a) * n_energies, ((2 * f + 1) * n_comp + a) * n_energies
            for first in range(0, whole, LANES):
                inner = _projected_lanes(faces, f, 0, at0, first, values, slopes, n_energies)
                if c1 >= 0:
                    outer = _projected_lanes(faces, f, 1, at1, first, values, slopes, n_energies)
                elif row >= 0:
                    outer = load_at(beyond, at_row + first)
                else:
                    outer = inner
                store_at(found, here + first, inner)
                store_at(found, there + first, outer)
            for e in range(whole, n_energies):
                value = projected(faces, f, ZERO, c0, a, e, gradient, x)
                out[f, 0, a, e] = value
                if c1 >= 0:
                    value = projected(faces, f, ONE, c1, a, e, gradient, x)
                elif row >= 0:
                    value = external[a, row, e]
                out[f, 1, a, e] = value


@njit(cache=True)
def gradients(indptr, indices, weights, outside, x, external, out):
    """Least-squares gradients ``out[cell, component, 3, energy]`` of the owned cells.

    A negative index ``−f − 1`` stands for the value that is prescribed outside face ``f``.
    """
    _, n_comp, n_energies = x.shape
    whole = n_energies // LANES * LANES
    values, beyond, found = x.reshape(-1), external.reshape(-1), out.reshape(-1)
    for c in range(indptr.shape[0] - 1):
        for a in range(n_comp):
            at = (c * n_comp + a) * n_energies
            for first in range(0, whole, LANES):
                own = load_at(values, at + first)
                x_part, y_part, z_part = zeros(), zeros(), zeros()
                for k in range(indptr[c], indptr[c + 1]):
                    j = indices[k]
                    if j >= 0:
                        there = load_at(values, (j * n_comp + a) * n_energies + first)
                    else:
                        row = a * external.shape[1] + outside[-j - 1]
                        there = load_at(beyond, row * n_energies + first)
                    step = sub(there, own)
                    x_part = add_multiple(x_part, weights[k, 0], step)
                    y_part = add_multiple(y_part, weights[k, 1], step)
                    z_part = add_multiple(z_part, weights[k, 2], step)
                store_at(found, 3 * at + first, x_part)
                store_at(found, 3 * at + n_energies + first, y_part)
                store_at(found, 3 * at + 2 * n_energies + first, z_part)
            for e in range(whole, n_energies):
                x_rest = y_rest = z_rest = 0.0
                for k in range(indptr[c], indptr[c + 1]):
                    j = indices[k]
                    value = x[j, a, e] if j >= 0 else external[a, outside[-j - 1], e]
                    difference = value - x[c, a, e]
                    x_rest += weights[k, 0] * difference
                    y_rest += weights[k, 1] * difference
                    z_rest += weights[k, 2] * difference
                out[c, a, 0, e], out[c, a, 1, e], out[c, a, 2, e] = x_rest, y_rest, z_rest
