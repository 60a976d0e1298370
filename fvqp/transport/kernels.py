"""Compiled face loops of the kinetic operator; energies innermost and contiguous.

Sign convention: ``A x = b`` with ``A`` positive; row ``P`` sums what leaves cell ``P``. A coefficient whose
cell axis has length one is "the same in every cell" and costs no memory traffic. Branches are taken once a
face, so that the loops over energies are plain arithmetic that the compiler vectorises.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from numba import njit

import fvqp.kernel_cache  # noqa: F401
from fvqp.simd import LANES, add, add_multiple, load_at, mul, store_at, sub, zeros
from fvqp.transport.operator_tables import Coefficients, LeadCells, Links, OperatorFaces  # noqa: F401

#: `OperatorFaces.junction`: no lead at this face, or a reservoir that prescribes its value.
NONE = -1
RESERVOIR = -2

#: Keeps 0/0 of two vanishing conductances at 0 without a branch; far below any conductance in siemens.
TINY = 1e-300


@njit(cache=True)
def face_links(faces, coefficients, links):
    """Fill ``links``.

    A junction at a face taps the face value ``f_F`` between its two half conductances; eliminating ``f_F``
    from ``t0 (f0 − f_F) + t1 (f1 − f_F) + k (f_lead − f_F) = 0`` leaves the star's equivalent triangle.
    """
    n_comp, _, n_energies = coefficients.diffusion.shape
    per_cell = coefficients.diffusion.shape[1] > 1
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        lead = faces.junction[f]
        h0 = faces.half[f, 0]
        h1 = faces.half[f, 1]
        for a in range(n_comp):
            d0 = coefficients.diffusion[a, c0 if per_cell else 0]
            d1 = coefficients.diffusion[a, c1 if per_cell and c1 >= 0 else 0]
            link = links.link[a, f]
            if lead == RESERVOIR:
                for e in range(n_energies):
                    link[e] = h0 * d0[e]
            elif lead >= 0:
                k = coefficients.junction[lead]
                tunnel0 = links.tunnel[a, lead, 0]
                tunnel1 = links.tunnel[a, lead, 1]
                if c1 < 0:
                    h1 = 0.0
                for e in range(n_energies):
                    t0 = h0 * d0[e]
                    t1 = h1 * d1[e]
                    share = 1.0 / (t0 + t1 + k[e] + TINY)
                    link[e] = t0 * t1 * share
                    tunnel0[e] = t0 * k[e] * share
                    tunnel1[e] = t1 * k[e] * share
            elif c1 < 0:
                for e in range(n_energies):
                    link[e] = 0.0
            elif faces.interface[f] >= 0:
                g = coefficients.interface[a, faces.interface[f]]
                for e in range(n_energies):
                    t0 = h0 * d0[e]
                    t1 = h1 * d1[e]
                    link[e] = t0 * t1 * g[e] / (t0 * t1 + (t0 + t1) * g[e] + TINY)
            else:
                for e in range(n_energies):
                    t0 = h0 * d0[e]
                    t1 = h1 * d1[e]
                    link[e] = t0 * t1 / (t0 + t1 + TINY)
        if links.advected.shape[1] > 0:
            j_cell = coefficients.advection.shape[0] > 1
            row = links.advected[f]
            p = coefficients.supercurrent_conductance[f]
            if c1 < 0 and lead != RESERVOIR:
                p = 0.0
            j0 = coefficients.advection[c0 if j_cell else 0]
            j1 = coefficients.advection[c1 if j_cell and c1 >= 0 else 0]
            w = faces.weight[f] if c1 >= 0 else 1.0
            for e in range(n_energies):
                row[e] = p * (w * j0[e] + (1.0 - w) * j1[e])


@njit(cache=True)
def _entry(indptr, c, place, n, a, b):
    """Place of (cell row c, component a; column of ``place``, component b) when a cell holds n unknowns."""
    start = indptr[c]
    return n * (n * start + a * (indptr[c + 1] - start) + place - start) + b


@njit(cache=True)
def assemble(faces, coefficients, links, leads, capacity, indptr, diagonal, n_comp, values):
    """Two-point matrix ``values[nnz, energy]`` on the cell pattern with ``n_comp`` unknowns a cell.

    ``capacity[owned cell]`` (siemens) multiplies the reaction; ``diagonal[owned cell]`` is the place of (P,
    P).
    """
    values[:] = 0.0
    n_owned = diagonal.shape[0]
    n_energies = values.shape[1]
    coupled = links.advected.shape[1] > 0
    for f in range(faces.cells.shape[0]):
        lead = faces.junction[f]
        w = faces.weight[f]
        for side in range(2):
            c = faces.cells[f, side]
            if c < 0 or c >= n_owned:
                continue
            own = faces.entries[f, 2 * side]
            other = faces.entries[f, 2 * side + 1]
            for a in range(n_comp):
                here = _entry(indptr, c, own, n_comp, a, a)
                for e in range(n_energies):
                    values[here, e] += links.link[a, f, e]
                if lead >= 0:
                    for e in range(n_energies):
                        values[here, e] += links.tunnel[a, lead, side, e]
                if other >= 0:
                    there = _entry(indptr, c, other, n_comp, a, a)
                    for e in range(n_energies):
                        values[there, e] -= links.link[a, f, e]
            if coupled and coefficients.supercurrent_conductance[f] != 0.0:
                tl = _entry(indptr, c, own, 2, 1, 0)
                if lead == RESERVOIR:
                    for e in range(n_energies):
                        values[tl, e] += links.advected[f, e]
                elif other >= 0:
                    # Outflow of f_T with the face value; of f_L against the cell's own value.
                    sign = 1.0 - 2.0 * side
                    mine = sign * (w if side == 0 else 1.0 - w)
                    theirs = sign - mine
                    lt = _entry(indptr, c, own, 2, 0, 1)
                    tl_there = _entry(indptr, c, other, 2, 1, 0)
                    lt_there = _entry(indptr, c, other, 2, 0, 1)
                    for e in range(n_energies):
                        q = links.advected[f, e]
                        values[lt, e] -= mine * q
                        values[lt_there, e] -= theirs * q
                        values[tl, e] += theirs * q
                        values[tl_there, e] -= theirs * q
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        row = c if per_cell else 0
        for a in range(n_comp):
            here = _entry(indptr, c, diagonal[c], n_comp, a, a)
            for e in range(n_energies):
                values[here, e] += capacity[c] * coefficients.reaction[a, row, e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            for a in range(n_comp):
                here = _entry(indptr, c, diagonal[c], n_comp, a, a)
                for e in range(n_energies):
                    values[here, e] += coefficients.lead[s, e]


@njit(cache=True)
def gradients(indptr, indices, weights, face_terminal, x, external, out):
    """Least-squares gradients ``out[cell, component, 3, energy]`` of the owned cells.

    A negative index ``−f − 1`` stands for the value that reservoir face ``f`` prescribes. Arrays are
    contiguous.
    """
    _, n_comp, n_energies = x.shape
    whole = n_energies // LANES * LANES
    values, outside, found = x.reshape(-1), external.reshape(-1), out.reshape(-1)
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
                        row = a * external.shape[1] + face_terminal[-j - 1]
                        there = load_at(outside, row * n_energies + first)
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
                    value = x[j, a, e] if j >= 0 else external[a, face_terminal[-j - 1], e]
                    difference = value - x[c, a, e]
                    x_rest += weights[k, 0] * difference
                    y_rest += weights[k, 1] * difference
                    z_rest += weights[k, 2] * difference
                out[c, a, 0, e], out[c, a, 1, e], out[c, a, 2, e] = x_rest, y_rest, z_rest


@njit(cache=True)
def _projected(f, side, c, a, e, faces, gradient, x):
    """Value at the projected point of cell ``c`` under face ``f``."""
    point = x[c, a, e]
    if gradient.shape[0] > 0:
        for i in range(3):
            point += faces.offset[f, side, i] * gradient[c, a, i, e]
    return point


@njit(cache=True, inline="always")
def _projected_lanes(f, side, at, first, faces, values, slopes, n_energies):
    """The same of the energies from ``first`` on; ``at`` is where those of the cell's component begin."""
    point = load_at(values, at + first)
    if slopes.shape[0] > 0:
        for i in range(3):
            t = faces.offset[f, side, i]
            if t != 0.0:
                point = add_multiple(point, t, load_at(slopes, 3 * at + i * n_energies + first))
    return point


@njit(cache=True)
def residual(faces, coefficients, links, leads, capacity, gradient, x, external, out, current):
    """``out = b − A x`` of the owned cells, with the non-orthogonality correction if there are gradients.

    ``external[component, terminal, energy]`` are the distributions of leads and reservoirs. If ``current``
    has rows, ``current[component, terminal, energy]`` gains the spectral current (siemens × distribution)
    from each terminal into this rank's owned cells, the advected part included. Arrays are contiguous.
    """
    out[:] = 0.0
    n_owned = capacity.shape[0]
    n_comp = x.shape[1]
    n_energies = x.shape[2]
    whole = n_energies // LANES * LANES
    values, slopes, conductances, rates = (
        x.reshape(-1), gradient.reshape(-1), links.link.reshape(-1), out.reshape(-1)
    )  # fmt: skip
    coupled = links.advected.shape[1] > 0
    counted = current.shape[0] > 0
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        lead = faces.junction[f]
        term = faces.terminal[f]
        if c1 < 0 and lead == NONE:
            continue
        advected = coupled and coefficients.supercurrent_conductance[f] != 0.0
        if lead == NONE and not advected and c0 < n_owned and c1 < n_owned:
            # Most faces: what enters one cell leaves the other, without copies of rows.
            for a in range(n_comp):
                at0 = (c0 * n_comp + a) * n_energies
                at1 = (c1 * n_comp + a) * n_energies
                link_at = (a * faces.cells.shape[0] + f) * n_energies
                for first in range(0, whole, LANES):
                    point0 = _projected_lanes(f, 0, at0, first, faces, values, slopes, n_energies)
                    point1 = _projected_lanes(f, 1, at1, first, faces, values, slopes, n_energies)
                    flow = mul(load_at(conductances, link_at + first), sub(point1, point0))
                    store_at(rates, at0 + first, add(load_at(rates, at0 + first), flow))
                    store_at(rates, at1 + first, sub(load_at(rates, at1 + first), flow))
                for e in range(whole, n_energies):
                    point0 = _projected(f, 0, c0, a, e, faces, gradient, x)
                    flow = links.link[a, f, e] * (_projected(f, 1, c1, a, e, faces, gradient, x) - point0)
                    out[c0, a, e] += flow
                    out[c1, a, e] -= flow
            continue
        passes = c1 >= 0 or lead == RESERVOIR
        for a in range(n_comp):
            for e in range(n_energies):
                inner = _projected(f, 0, c0, a, e, faces, gradient, x)
                outer = 0.0
                if lead == RESERVOIR:
                    outer = external[a, term, e]
                elif c1 >= 0:
                    outer = _projected(f, 1, c1, a, e, faces, gradient, x)
                if passes:
                    flow = links.link[a, f, e] * (outer - inner)
                    if c0 < n_owned:
                        out[c0, a, e] += flow
                        if counted and lead == RESERVOIR:
                            current[a, term, e] += flow
                    if c1 >= 0 and c1 < n_owned:
                        out[c1, a, e] -= flow
                if lead >= 0:
                    for side in range(2):
                        c = faces.cells[f, side]
                        if c >= 0 and c < n_owned:
                            mine = inner if side == 0 else outer
                            flow = links.tunnel[a, lead, side, e] * (external[a, term, e] - mine)
                            out[c, a, e] += flow
                            if counted:
                                current[a, term, e] += flow
        if advected:
            w = faces.weight[f]
            for e in range(n_energies):
                q = links.advected[f, e]
                if lead == RESERVOIR:
                    l_face, t_face = external[0, term, e], external[1, term, e]
                else:
                    l_face = (1.0 - w) * _projected(f, 1, c1, 0, e, faces, gradient, x)
                    t_face = (1.0 - w) * _projected(f, 1, c1, 1, e, faces, gradient, x)
                    l_face += w * _projected(f, 0, c0, 0, e, faces, gradient, x)
                    t_face += w * _projected(f, 0, c0, 1, e, faces, gradient, x)
                for side in range(2):
                    c = faces.cells[f, side]
                    if c >= 0 and c < n_owned:
                        sign = 1.0 - 2.0 * side
                        out[c, 0, e] += sign * q * t_face
                        out[c, 1, e] += sign * q * (l_face - x[c, 0, e])
                        if counted and lead == RESERVOIR:
                            current[0, term, e] += q * t_face
                            current[1, term, e] += q * l_face
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        row = c if per_cell else 0
        for a in range(n_comp):
            for e in range(n_energies):
                out[c, a, e] -= capacity[c] * coefficients.reaction[a, row, e] * x[c, a, e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            term = leads.terminal[s]
            for a in range(n_comp):
                for e in range(n_energies):
                    flow = coefficients.lead[s, e] * (external[a, term, e] - x[c, a, e])
                    out[c, a, e] += flow
                    if counted:
                        current[a, term, e] += flow


@njit(cache=True)
def face_fluxes(faces, links, gradient, x, external, out):
    """Diffusive flux of component 0 through every face from cell 1 to cell 0, ``out[face, energy]``.

    That is ``J·A`` with ``J = 𝒟∇x`` along the face normal; 0 on walls. Leads at the face are not counted.
    """
    for f in range(faces.cells.shape[0]):
        c0, c1 = faces.cells[f]
        for e in range(x.shape[2]):
            inner = _projected(f, 0, c0, 0, e, faces, gradient, x)
            outer = inner
            if faces.junction[f] == RESERVOIR:
                outer = external[0, faces.terminal[f], e]
            elif c1 >= 0:
                outer = _projected(f, 1, c1, 0, e, faces, gradient, x)
            out[f, e] = links.link[0, f, e] * (outer - inner)


@njit(cache=True)
def relaxed_charge(faces, coefficients, links, capacity, n_owned, x, out):
    """Charge that owned cells pass to the condensate, ``out[energy] = Σ (R_T f_T V + R_L f_L)``.

    ``R_L`` is the divergence of the spectral supercurrent. The last component of ``x`` is f_T; with two
    components the first is f_L.
    """
    out[:] = 0.0
    n_comp = x.shape[1]
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        rate = coefficients.reaction[n_comp - 1, c if per_cell else 0]
        own = x[c, n_comp - 1]
        for e in range(x.shape[2]):
            out[e] += capacity[c] * rate[e] * own[e]
    if links.advected.shape[1] == 0:
        return
    for f in range(faces.cells.shape[0]):
        if coefficients.supercurrent_conductance[f] == 0.0 or (
            faces.cells[f, 1] < 0 and faces.junction[f] != RESERVOIR
        ):
            continue
        q = links.advected[f]
        for side in range(2):
            c = faces.cells[f, side]
            if c >= 0 and c < n_owned:
                own = x[c, 0]
                sign = 1.0 - 2.0 * side
                for e in range(x.shape[2]):
                    out[e] += sign * q[e] * own[e]
