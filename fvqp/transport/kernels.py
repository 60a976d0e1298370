"""Compiled face loops of the kinetic operator; energies innermost and contiguous.

Sign convention: ``A x = b`` with ``A`` positive; row ``P`` sums what leaves cell ``P``. A coefficient
    whose cell
axis has length one is "the same in every cell" and costs no memory traffic.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

from numba import njit
from numpy.typing import NDArray

#: ``Faces.junction``: no lead at this face, or a reservoir that prescribes its value.
NONE = -1
RESERVOIR = -2


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


class LeadCells(NamedTuple):
    """Junctions spread over cells: ``cells`` and their ``terminal``, one entry a cell and junction."""

    cells: NDArray
    terminal: NDArray


@njit(cache=True, inline="always")
def _conductances(f, a, e, faces, coefficients):
    """Conductance from either projected point of face ``f`` to the face (0 beyond the outer boundary)."""
    c0 = faces.cells[f, 0]
    c1 = faces.cells[f, 1]
    per_cell = coefficients.diffusion.shape[1] > 1
    t0 = faces.half[f, 0] * coefficients.diffusion[a, c0 if per_cell else 0, e]
    t1 = 0.0
    if c1 >= 0:
        t1 = faces.half[f, 1] * coefficients.diffusion[a, c1 if per_cell else 0, e]
        if faces.interface[f] >= 0:
            g = coefficients.interface[a, faces.interface[f], e]
            t1 = t1 * g / (t1 + g) if t1 + g > 0.0 else 0.0
    return t0, t1


@njit(cache=True, inline="always")
def _advected(f, e, faces, coefficients):
    """Advected conductance j_ε × drop of face ``f``, interpolated between its cells."""
    c0 = faces.cells[f, 0]
    c1 = faces.cells[f, 1]
    per_cell = coefficients.advection.shape[0] > 1
    j = coefficients.advection[c0 if per_cell else 0, e]
    if c1 >= 0 and per_cell:
        w = faces.weight[f]
        j = w * j + (1.0 - w) * coefficients.advection[c1, e]
    return coefficients.drop[f] * j


@njit(cache=True, inline="always")
def _entry(indptr, c, place, n, a, b):
    """Place of (cell row c, component a; column of ``place``, component b) when a cell holds n unknowns."""
    start = indptr[c]
    return n * (n * start + a * (indptr[c + 1] - start) + place - start) + b


@njit(cache=True)
def assemble(faces, coefficients, leads, capacity, indptr, diagonal, n_comp, values):
    """Two-point matrix ``values[nnz, energy]`` on the cell pattern with ``n_comp`` unknowns a cell.

    ``capacity[owned cell]`` (siemens) multiplies the reaction; ``diagonal[owned cell]`` is the place of (P,
    P).
    """
    values[:] = 0.0
    n_owned = diagonal.shape[0]
    n_energies = values.shape[1]
    coupled = n_comp == 2 and coefficients.advection.shape[1] > 0
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        own0 = c0 < n_owned
        own1 = c1 >= 0 and c1 < n_owned
        lead = faces.junction[f]
        for a in range(n_comp):
            d0 = _entry(indptr, c0, faces.entries[f, 0], n_comp, a, a) if own0 else 0
            o0 = _entry(indptr, c0, faces.entries[f, 1], n_comp, a, a) if own0 else 0
            d1 = _entry(indptr, c1, faces.entries[f, 2], n_comp, a, a) if own1 else 0
            o1 = _entry(indptr, c1, faces.entries[f, 3], n_comp, a, a) if own1 else 0
            for e in range(n_energies):
                t0, t1 = _conductances(f, a, e, faces, coefficients)
                if lead == RESERVOIR:
                    if own0:
                        values[d0, e] += t0
                    continue
                k = coefficients.junction[lead, e] if lead >= 0 else 0.0
                total = t0 + t1 + k
                if total <= 0.0:
                    continue
                link = t0 * t1 / total
                if own0:
                    values[d0, e] += link + t0 * k / total
                    if c1 >= 0:
                        values[o0, e] -= link
                if own1:
                    values[d1, e] += link + t1 * k / total
                    values[o1, e] -= link
        if coupled and coefficients.drop[f] != 0.0:
            w = faces.weight[f]
            if lead == RESERVOIR:
                if own0:
                    tl = _entry(indptr, c0, faces.entries[f, 0], 2, 1, 0)
                    for e in range(n_energies):
                        values[tl, e] += _advected(f, e, faces, coefficients)
            elif c1 >= 0:
                if own0:
                    lt = _entry(indptr, c0, faces.entries[f, 0], 2, 0, 1)
                    lt_other = _entry(indptr, c0, faces.entries[f, 1], 2, 0, 1)
                    tl = _entry(indptr, c0, faces.entries[f, 0], 2, 1, 0)
                    tl_other = _entry(indptr, c0, faces.entries[f, 1], 2, 1, 0)
                    for e in range(n_energies):
                        q = _advected(f, e, faces, coefficients)
                        values[lt, e] -= q * w
                        values[lt_other, e] -= q * (1.0 - w)
                        values[tl, e] += q * (1.0 - w)
                        values[tl_other, e] -= q * (1.0 - w)
                if own1:
                    lt = _entry(indptr, c1, faces.entries[f, 2], 2, 0, 1)
                    lt_other = _entry(indptr, c1, faces.entries[f, 3], 2, 0, 1)
                    tl = _entry(indptr, c1, faces.entries[f, 2], 2, 1, 0)
                    tl_other = _entry(indptr, c1, faces.entries[f, 3], 2, 1, 0)
                    for e in range(n_energies):
                        q = _advected(f, e, faces, coefficients)
                        values[lt, e] += q * (1.0 - w)
                        values[lt_other, e] += q * w
                        values[tl, e] -= q * w
                        values[tl_other, e] += q * w
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        for a in range(n_comp):
            d = _entry(indptr, c, diagonal[c], n_comp, a, a)
            for e in range(n_energies):
                values[d, e] += capacity[c] * coefficients.reaction[a, c if per_cell else 0, e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            for a in range(n_comp):
                d = _entry(indptr, c, diagonal[c], n_comp, a, a)
                for e in range(n_energies):
                    values[d, e] += coefficients.lead[s, e]


@njit(cache=True)
def gradients(indptr, indices, weights, face_terminal, x, external, out):
    """Least-squares gradients ``out[cell, component, 3, energy]`` of the owned cells.

    A negative index ``−f − 1`` stands for the value that reservoir face ``f`` prescribes.
    """
    out[:] = 0.0
    n_comp = x.shape[1]
    n_energies = x.shape[2]
    for c in range(indptr.shape[0] - 1):
        for k in range(indptr[c], indptr[c + 1]):
            j = indices[k]
            for a in range(n_comp):
                for i in range(3):
                    w = weights[k, i]
                    if w == 0.0:
                        continue
                    if j >= 0:
                        for e in range(n_energies):
                            out[c, a, i, e] += w * (x[j, a, e] - x[c, a, e])
                    else:
                        t = face_terminal[-j - 1]
                        for e in range(n_energies):
                            out[c, a, i, e] += w * (external[a, t, e] - x[c, a, e])


@njit(cache=True, inline="always")
def _projected(f, side, c, a, e, faces, gradient, x):
    """Value at the projected point of cell ``c`` under face ``f``."""
    value = x[c, a, e]
    if gradient.shape[0] > 0:
        for i in range(3):
            if faces.offset[f, side, i] != 0.0:
                value += faces.offset[f, side, i] * gradient[c, a, i, e]
    return value


@njit(cache=True)
def residual(faces, coefficients, leads, capacity, gradient, x, external, out, current):
    """``out = b − A x`` of the owned cells, with the non-orthogonality correction if there are gradients.

    ``external[component, terminal, energy]`` are the distributions of leads and reservoirs. If ``current``
    has rows, ``current[component, terminal, energy]`` gains the spectral current (siemens × distribution)
    from each terminal into this rank's owned cells, the advected part included.
    """
    out[:] = 0.0
    n_owned = capacity.shape[0]
    n_comp = x.shape[1]
    n_energies = x.shape[2]
    coupled = n_comp == 2 and coefficients.advection.shape[1] > 0
    counted = current.shape[0] > 0
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        own0 = c0 < n_owned
        own1 = c1 >= 0 and c1 < n_owned
        lead = faces.junction[f]
        term = faces.terminal[f]
        if c1 < 0 and lead == NONE:
            continue
        for a in range(n_comp):
            for e in range(n_energies):
                t0, t1 = _conductances(f, a, e, faces, coefficients)
                x0 = _projected(f, 0, c0, a, e, faces, gradient, x)
                if lead == RESERVOIR:
                    if own0:
                        q = t0 * (external[a, term, e] - x0)
                        out[c0, a, e] += q
                        if counted:
                            current[a, term, e] += q
                    continue
                x1 = _projected(f, 1, c1, a, e, faces, gradient, x) if c1 >= 0 else 0.0
                k = 0.0
                outside = 0.0
                if lead >= 0:
                    k = coefficients.junction[lead, e]
                    outside = external[a, term, e]
                total = t0 + t1 + k
                if total <= 0.0:
                    continue
                if own0:
                    tunnel = t0 * k * (outside - x0) / total
                    out[c0, a, e] += t0 * t1 * (x1 - x0) / total + tunnel
                    if counted and lead >= 0:
                        current[a, term, e] += tunnel
                if own1:
                    tunnel = t1 * k * (outside - x1) / total
                    out[c1, a, e] += t0 * t1 * (x0 - x1) / total + tunnel
                    if counted and lead >= 0:
                        current[a, term, e] += tunnel
        if coupled and coefficients.drop[f] != 0.0 and (c1 >= 0 or lead == RESERVOIR):
            w = faces.weight[f]
            for e in range(n_energies):
                q = _advected(f, e, faces, coefficients)
                if lead == RESERVOIR:
                    l_face = external[0, term, e]
                    t_face = external[1, term, e]
                else:
                    l_face = w * _projected(f, 0, c0, 0, e, faces, gradient, x)
                    l_face += (1.0 - w) * _projected(f, 1, c1, 0, e, faces, gradient, x)
                    t_face = w * _projected(f, 0, c0, 1, e, faces, gradient, x)
                    t_face += (1.0 - w) * _projected(f, 1, c1, 1, e, faces, gradient, x)
                if own0:
                    out[c0, 0, e] += q * t_face
                    out[c0, 1, e] += q * (l_face - x[c0, 0, e])
                    if counted and lead == RESERVOIR:
                        current[0, term, e] += q * t_face
                        current[1, term, e] += q * l_face
                if own1:
                    out[c1, 0, e] -= q * t_face
                    out[c1, 1, e] -= q * (l_face - x[c1, 0, e])
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        for a in range(n_comp):
            for e in range(n_energies):
                out[c, a, e] -= capacity[c] * coefficients.reaction[a, c if per_cell else 0, e] * x[c, a, e]
    for s in range(leads.cells.shape[0]):
        c = leads.cells[s]
        if c < n_owned:
            term = leads.terminal[s]
            for a in range(n_comp):
                for e in range(n_energies):
                    q = coefficients.lead[s, e] * (external[a, term, e] - x[c, a, e])
                    out[c, a, e] += q
                    if counted:
                        current[a, term, e] += q


@njit(cache=True)
def face_fluxes(faces, coefficients, gradient, x, external, out):
    """Diffusive flux of component 0 through every face from cell 1 to cell 0, ``out[face, energy]``.

    That is ``J·A`` with ``J = 𝒟∇x`` along the face normal; 0 on walls. Leads at the face are not counted.
    """
    n_energies = x.shape[2]
    for f in range(faces.cells.shape[0]):
        c0 = faces.cells[f, 0]
        c1 = faces.cells[f, 1]
        for e in range(n_energies):
            t0, t1 = _conductances(f, 0, e, faces, coefficients)
            x0 = _projected(f, 0, c0, 0, e, faces, gradient, x)
            flux = 0.0
            if faces.junction[f] == RESERVOIR:
                flux = t0 * (external[0, faces.terminal[f], e] - x0)
            elif c1 >= 0 and t0 + t1 > 0.0:
                x1 = _projected(f, 1, c1, 0, e, faces, gradient, x)
                flux = t0 * t1 / (t0 + t1) * (x1 - x0)
            out[f, e] = flux


@njit(cache=True)
def relaxed_charge(faces, coefficients, capacity, n_owned, x, out):
    """Charge that owned cells pass to the condensate, ``out[energy] = Σ (R_T f_T V + R_L f_L)``.

    ``R_L`` is the divergence of the spectral supercurrent. The last component of ``x`` is f_T; with two
    components the first is f_L.
    """
    out[:] = 0.0
    n_comp = x.shape[1]
    per_cell = coefficients.reaction.shape[1] > 1
    for c in range(n_owned):
        for e in range(x.shape[2]):
            rate = coefficients.reaction[n_comp - 1, c if per_cell else 0, e]
            out[e] += capacity[c] * rate * x[c, n_comp - 1, e]
    if n_comp == 2 and coefficients.advection.shape[1] > 0:
        for f in range(faces.cells.shape[0]):
            c0 = faces.cells[f, 0]
            c1 = faces.cells[f, 1]
            if coefficients.drop[f] == 0.0 or (c1 < 0 and faces.junction[f] != RESERVOIR):
                continue
            for e in range(x.shape[2]):
                q = _advected(f, e, faces, coefficients)
                if c0 < n_owned:
                    out[e] += q * x[c0, 0, e]
                if c1 >= 0 and c1 < n_owned:
                    out[e] -= q * x[c1, 0, e]
