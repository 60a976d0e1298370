"""Compiled loops of the kinetic operator beside its two-point fluxes; energies innermost and contiguous.

Face conductances come from here, and relaxation, junctions and the supercurrent. Sign convention: ``A x = b``
with ``A`` positive; row ``P`` sums what leaves cell ``P``. A coefficient whose cell axis has length one is
"the same in every cell" and costs no memory traffic. Branches are taken once a face, so that the loops over
energies are plain arithmetic that the compiler vectorises.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from fvqp.kernel_cache import njit
from fvqp.transport.operator_tables import Coefficients, LeadCells, Links, OperatorFaces  # noqa: F401
from fvqp.transport.two_point_kernels import ONE, ZERO, entry, projected

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
def add_matrix(faces, entries, coefficients, links, leads, capacity, indptr, diagonal, n_comp, values):
    """Add all but two-point diffusion to the matrix ``values[nnz, energy]`` on the cell pattern.

    A cell has ``n_comp`` unknowns; ``entries`` as in `TwoPointFaces`. ``capacity[owned cell]`` (siemens)
    multiplies the reaction; ``diagonal[owned cell]`` is the place of (P, P).
    """
    n_owned = diagonal.shape[0]
    n_energies = values.shape[1]
    coupled = links.advected.shape[1] > 0
    for f in range(faces.cells.shape[0]):
        lead = faces.junction[f]
        advected = coupled and coefficients.supercurrent_conductance[f] != 0.0
        if lead < 0 and not advected:
            continue
        w = faces.weight[f]
        for side in range(2):
            c = faces.cells[f, side]
            if c < 0 or c >= n_owned:
                continue
            own, other = entries[f, 2 * side], entries[f, 2 * side + 1]
            if lead >= 0:
                for a in range(n_comp):
                    here = entry(indptr, c, own, n_comp, a, a)
                    for e in range(n_energies):
                        values[here, e] += links.tunnel[a, lead, side, e]
            if advected:
                tl = entry(indptr, c, own, n_comp, ONE, ZERO)
                if lead == RESERVOIR:
                    for e in range(n_energies):
                        values[tl, e] += links.advected[f, e]
                elif other >= 0:
                    # Outflow of f_T with the face value; of f_L against the cell's own value.
                    sign = 1.0 - 2.0 * side
                    mine = sign * (w if side == 0 else 1.0 - w)
                    theirs = sign - mine
                    lt = entry(indptr, c, own, n_comp, ZERO, ONE)
                    tl_there = entry(indptr, c, other, n_comp, ONE, ZERO)
                    lt_there = entry(indptr, c, other, n_comp, ZERO, ONE)
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
            here = entry(indptr, c, diagonal[c], n_comp, a, a)
            for e in range(n_energies):
                values[here, e] += capacity[c] * coefficients.reaction[a, row, e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            for a in range(n_comp):
                here = entry(indptr, c, diagonal[c], n_comp, a, a)
                for e in range(n_energies):
                    values[here, e] += coefficients.lead[s, e]


@njit(cache=True)
def rates(faces, points, coefficients, links, leads, capacity, gradient, x, external, out, current):
    """Set ``out[owned cell, component, energy]`` to all rates but those of two-point diffusion.

    ``points`` are the faces as `TwoPointFaces`; ``external[component, terminal, energy]`` are the
    distributions of leads and reservoirs. If ``current`` has components, ``current[component, terminal,
    energy]`` gains what each terminal adds to this rank's owned cells.
    """
    n_owned, n_comp, n_energies = out.shape
    coupled = links.advected.shape[1] > 0
    counted = current.shape[0] > 0
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        row = c if per_cell else 0
        for a in range(n_comp):
            for e in range(n_energies):
                out[c, a, e] = -capacity[c] * coefficients.reaction[a, row, e] * x[c, a, e]
    for f in range(faces.cells.shape[0]):
        c0, c1 = faces.cells[f]
        lead, term = faces.junction[f], faces.terminal[f]
        if lead >= 0:
            for side in range(2):
                c = faces.cells[f, side]
                if c < 0 or c >= n_owned:
                    continue
                for a in range(n_comp):
                    for e in range(n_energies):
                        mine = projected(points, f, side, c, a, e, gradient, x)
                        flow = links.tunnel[a, lead, side, e] * (external[a, term, e] - mine)
                        out[c, a, e] += flow
                        if counted:
                            current[a, term, e] += flow
        if not coupled or coefficients.supercurrent_conductance[f] == 0.0 or (c1 < 0 and lead != RESERVOIR):
            continue
        w = faces.weight[f]
        for e in range(n_energies):
            q = links.advected[f, e]
            if lead == RESERVOIR:
                l_face, t_face = external[0, term, e], external[1, term, e]
            else:
                l_face = w * projected(points, f, ZERO, c0, ZERO, e, gradient, x)
                t_face = w * projected(points, f, ZERO, c0, ONE, e, gradient, x)
                l_face += (1.0 - w) * projected(points, f, ONE, c1, ZERO, e, gradient, x)
                t_face += (1.0 - w) * projected(points, f, ONE, c1, ONE, e, gradient, x)
            for side in range(2):
                c = faces.cells[f, side]
                if c >= 0 and c < n_owned:
                    sign = 1.0 - 2.0 * side
                    out[c, 0, e] += sign * q * t_face
                    out[c, 1, e] += sign * q * (l_face - x[c, 0, e])
                    if counted and lead == RESERVOIR:
                        current[0, term, e] += q * t_face
                        current[1, term, e] += q * l_face
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
