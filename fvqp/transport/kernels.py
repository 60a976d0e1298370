"""Compiled face loops of the kinetic operator; energies innermost and contiguous.

Sign convention: ``A x = b`` with ``A`` positive; row ``P`` sums what leaves cell ``P``. A coefficient whose
cell axis has length one is "the same in every cell" and costs no memory traffic. Branches are taken once a
face, so that the loops over energies are plain arithmetic that the compiler vectorises.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

import fvqp.kernel_cache  # noqa: F401

#: ``Faces.junction``: no lead at this face, or a reservoir that prescribes its value.
NONE = -1
RESERVOIR = -2

#: Keeps 0/0 of two vanishing conductances at 0 without a branch; far below any conductance in siemens.
TINY = 1e-300


class Faces(NamedTuple):
    """What the kernels know about faces.

    Attributes:
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        half: ``(n_faces, 2)`` siemens, cell to face.
        weight: ``(n_faces,)`` share of cell 0 in an interpolated face value.
        offset: ``(n_faces, 2, 3)`` projection offsets, metres.
        junction: ``(n_faces,)`` row of `Coefficients.junction`, `NONE` or `RESERVOIR`.
        terminal: ``(n_faces,)`` terminal of a junction or reservoir face, else −1.
        interface: ``(n_faces,)`` row of `Coefficients.interface`, or −1.
        entries: ``(n_faces, 4)`` places of (0,0), (0,1), (1,1), (1,0) in the cell pattern; −1 if absent.
    """

    cells: NDArray
    half: NDArray
    weight: NDArray
    offset: NDArray
    junction: NDArray
    terminal: NDArray
    interface: NDArray
    entries: NDArray


class Coefficients(NamedTuple):
    """What depends on energy; cell axes may have length one.

    Attributes:
        diffusion: ``(component, cell, energy)`` spectral diffusion coefficient.
        reaction: ``(component, cell, energy)`` relaxation rate in Δ0/ħ.
        advection: ``(cell, energy)`` spectral supercurrent j_ε; no columns if the components are uncoupled.
        drop: ``(n_faces,)`` normal-state conductance times phase drop from cell 0 to cell 1, siemens.
        junction: ``(junction faces, energy)`` conductance × density of states, siemens.
        interface: ``(component, interface faces, energy)`` conductance × coherence factor, siemens.
        lead: ``(lead cells, energy)`` conductance × density of states of junctions spread over cells.
    """

    diffusion: NDArray
    reaction: NDArray
    advection: NDArray
    drop: NDArray
    junction: NDArray
    interface: NDArray
    lead: NDArray


class Links(NamedTuple):
    """Conductances of all faces at all energies, siemens (`face_links`).

    Attributes:
        link: ``(component, n_faces, energy)`` between the two projected points, or point and reservoir.
        tunnel: ``(component, junction faces, side, energy)`` between a projected point and the lead.
        advected: ``(n_faces, energy)`` drop × j_ε at the face; no columns if the components are uncoupled.
    """

    link: NDArray
    tunnel: NDArray
    advected: NDArray


class LeadCells(NamedTuple):
    """Junctions spread over cells: ``cells`` and their ``terminal``, one entry a cell and junction."""

    cells: NDArray
    terminal: NDArray


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
            p = coefficients.drop[f]
            if c1 < 0 and lead != RESERVOIR:
                p = 0.0
            j0 = coefficients.advection[c0 if j_cell else 0]
            j1 = coefficients.advection[c1 if j_cell and c1 >= 0 else 0]
            w = faces.weight[f] if c1 >= 0 else 1.0
            for e in range(n_energies):
                row[e] = p * (w * j0[e] + (1.0 - w) * j1[e])


@njit(cache=True, inline="always")
def _entry(indptr, c, place, n, a, b):
    """Place of (cell row c, component a; column of ``place``, component b) when a cell holds n unknowns."""
    start = indptr[c]
    return n * (n * start + a * (indptr[c + 1] - start) + place - start) + b


@njit(cache=True, inline="always")
def _add(target, factor, row):
    for e in range(row.shape[0]):
        target[e] += factor * row[e]


@njit(cache=True, inline="always")
def _set(target, row):
    """An assignment would compile the message for shapes that differ, which takes longer than a kernel."""
    for e in range(row.shape[0]):
        target[e] = row[e]


@njit(cache=True)
def assemble(faces, coefficients, links, leads, capacity, indptr, diagonal, n_comp, values):
    """Two-point matrix ``values[nnz, energy]`` on the cell pattern with ``n_comp`` unknowns a cell.

    ``capacity[owned cell]`` (siemens) multiplies the reaction; ``diagonal[owned cell]`` is the place of (P,
    P).
    """
    values[:] = 0.0
    n_owned = diagonal.shape[0]
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
                d = values[_entry(indptr, c, own, n_comp, a, a)]
                _add(d, 1.0, links.link[a, f])
                if lead >= 0:
                    _add(d, 1.0, links.tunnel[a, lead, side])
                if other >= 0:
                    _add(values[_entry(indptr, c, other, n_comp, a, a)], -1.0, links.link[a, f])
            if coupled and coefficients.drop[f] != 0.0:
                q = links.advected[f]
                if lead == RESERVOIR:
                    _add(values[_entry(indptr, c, own, 2, 1, 0)], 1.0, q)
                elif other >= 0:
                    # Outflow of f_T with the face value; of f_L against the cell's own value.
                    sign = 1.0 - 2.0 * side
                    mine = w if side == 0 else 1.0 - w
                    _add(values[_entry(indptr, c, own, 2, 0, 1)], -sign * mine, q)
                    _add(values[_entry(indptr, c, other, 2, 0, 1)], -sign * (1.0 - mine), q)
                    _add(values[_entry(indptr, c, own, 2, 1, 0)], sign * (1.0 - mine), q)
                    _add(values[_entry(indptr, c, other, 2, 1, 0)], -sign * (1.0 - mine), q)
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        for a in range(n_comp):
            row = coefficients.reaction[a, c if per_cell else 0]
            _add(values[_entry(indptr, c, diagonal[c], n_comp, a, a)], capacity[c], row)
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            for a in range(n_comp):
                _add(values[_entry(indptr, c, diagonal[c], n_comp, a, a)], 1.0, coefficients.lead[s])


@njit(cache=True)
def gradients(indptr, indices, weights, face_terminal, x, external, out):
    """Least-squares gradients ``out[cell, component, 3, energy]`` of the owned cells.

    A negative index ``−f − 1`` stands for the value that reservoir face ``f`` prescribes.
    """
    out[:] = 0.0
    n_comp = x.shape[1]
    for c in range(indptr.shape[0] - 1):
        for k in range(indptr[c], indptr[c + 1]):
            j = indices[k]
            for a in range(n_comp):
                here = x[c, a]
                there = x[j, a] if j >= 0 else external[a, face_terminal[-j - 1]]
                for i in range(3):
                    w = weights[k, i]
                    if w == 0.0:
                        continue
                    row = out[c, a, i]
                    for e in range(row.shape[0]):
                        row[e] += w * (there[e] - here[e])


@njit(cache=True, inline="always")
def _project(f, side, c, a, faces, gradient, x, out):
    """Values at the projected point of cell ``c`` under face ``f``."""
    _set(out, x[c, a])
    if gradient.shape[0] > 0:
        for i in range(3):
            t = faces.offset[f, side, i]
            if t != 0.0:
                _add(out, t, gradient[c, a, i])


@njit(cache=True, inline="always")
def _pass(link, x0, x1, rate0, rate1):
    """Add the flow through a face to the cell on side 0 and take it from the other."""
    for e in range(link.shape[0]):
        flow = link[e] * (x1[e] - x0[e])
        rate0[e] += flow
        rate1[e] -= flow


@njit(cache=True)
def residual(faces, coefficients, links, leads, capacity, gradient, x, external, out, current):
    """``out = b − A x`` of the owned cells, with the non-orthogonality correction if there are gradients.

    ``external[component, terminal, energy]`` are the distributions of leads and reservoirs. If ``current``
    has rows, ``current[component, terminal, energy]`` gains the spectral current (siemens × distribution)
    from each terminal into this rank's owned cells, the advected part included.
    """
    out[:] = 0.0
    n_owned = capacity.shape[0]
    n_comp = x.shape[1]
    n_energies = x.shape[2]
    coupled = links.advected.shape[1] > 0
    counted = current.shape[0] > 0
    here = np.empty((n_comp, n_energies))
    there = np.empty((n_comp, n_energies))
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        lead = faces.junction[f]
        term = faces.terminal[f]
        if c1 < 0 and lead == NONE:
            continue
        advected = coupled and coefficients.drop[f] != 0.0
        if lead == NONE and gradient.shape[0] == 0 and not advected and c0 < n_owned and c1 < n_owned:
            # Most faces: what enters one cell leaves the other, without copies of the two rows.
            for a in range(n_comp):
                _pass(links.link[a, f], x[c0, a], x[c1, a], out[c0, a], out[c1, a])
            continue
        for a in range(n_comp):
            _project(f, 0, c0, a, faces, gradient, x, here[a])
            if lead == RESERVOIR:
                _set(there[a], external[a, term])
            elif c1 >= 0:
                _project(f, 1, c1, a, faces, gradient, x, there[a])
        for side in range(2):
            c = faces.cells[f, side]
            if c < 0 or c >= n_owned:
                continue
            for a in range(n_comp):
                mine = here[a] if side == 0 else there[a]
                rate = out[c, a]
                if c1 >= 0 or lead == RESERVOIR:
                    other = there[a] if side == 0 else here[a]
                    link = links.link[a, f]
                    for e in range(n_energies):
                        rate[e] += link[e] * (other[e] - mine[e])
                    if counted and lead == RESERVOIR:
                        into = current[a, term]
                        for e in range(n_energies):
                            into[e] += link[e] * (other[e] - mine[e])
                if lead >= 0:
                    outside = external[a, term]
                    tunnel = links.tunnel[a, lead, side]
                    for e in range(n_energies):
                        rate[e] += tunnel[e] * (outside[e] - mine[e])
                    if counted:
                        into = current[a, term]
                        for e in range(n_energies):
                            into[e] += tunnel[e] * (outside[e] - mine[e])
        if advected:
            w = 0.0 if lead == RESERVOIR else faces.weight[f]
            q = links.advected[f]
            # From here on ``here`` holds the face values.
            for a in range(2):
                value = here[a]
                beyond = there[a]
                for e in range(n_energies):
                    value[e] = w * value[e] + (1.0 - w) * beyond[e]
            for side in range(2):
                c = faces.cells[f, side]
                if c < 0 or c >= n_owned:
                    continue
                sign = 1.0 - 2.0 * side
                own = x[c, 0]
                l_face = here[0]
                t_face = here[1]
                rate_l = out[c, 0]
                rate_t = out[c, 1]
                for e in range(n_energies):
                    rate_l[e] += sign * q[e] * t_face[e]
                    rate_t[e] += sign * q[e] * (l_face[e] - own[e])
                if counted and lead == RESERVOIR:
                    into_l = current[0, term]
                    into_t = current[1, term]
                    for e in range(n_energies):
                        into_l[e] += q[e] * t_face[e]
                        into_t[e] += q[e] * l_face[e]
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        for a in range(n_comp):
            rate = out[c, a]
            own = x[c, a]
            r = coefficients.reaction[a, c if per_cell else 0]
            for e in range(n_energies):
                rate[e] -= capacity[c] * r[e] * own[e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c >= n_owned:
            continue
        term = leads.terminal[s]
        g = coefficients.lead[s]
        for a in range(n_comp):
            rate = out[c, a]
            own = x[c, a]
            outside = external[a, term]
            for e in range(n_energies):
                rate[e] += g[e] * (outside[e] - own[e])
            if counted:
                into = current[a, term]
                for e in range(n_energies):
                    into[e] += g[e] * (outside[e] - own[e])


@njit(cache=True)
def face_fluxes(faces, links, gradient, x, external, out):
    """Diffusive flux of component 0 through every face from cell 1 to cell 0, ``out[face, energy]``.

    That is ``J·A`` with ``J = 𝒟∇x`` along the face normal; 0 on walls. Leads at the face are not counted.
    """
    here = np.empty(x.shape[2])
    there = np.empty(x.shape[2])
    for f in range(faces.cells.shape[0]):
        c1 = faces.cells[f, 1]
        _project(f, 0, faces.cells[f, 0], 0, faces, gradient, x, here)
        if faces.junction[f] == RESERVOIR:
            _set(there, external[0, faces.terminal[f]])
        elif c1 >= 0:
            _project(f, 1, c1, 0, faces, gradient, x, there)
        else:
            _set(there, here)
        link = links.link[0, f]
        for e in range(x.shape[2]):
            out[f, e] = link[e] * (there[e] - here[e])


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
        if coefficients.drop[f] == 0.0 or (faces.cells[f, 1] < 0 and faces.junction[f] != RESERVOIR):
            continue
        q = links.advected[f]
        for side in range(2):
            c = faces.cells[f, side]
            if c >= 0 and c < n_owned:
                own = x[c, 0]
                sign = 1.0 - 2.0 * side
                for e in range(x.shape[2]):
                    out[e] += sign * q[e] * own[e]
