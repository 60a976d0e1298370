"""Compiled loops of the diffusive Usadel equation for the pairing angle; energies innermost and contiguous.

The complex angle θ of every cell and energy is an array ``x[n_cells, 2, energy]`` of real and imaginary part.
A cell gains, in siemens,

    Σ_faces σA ∂_n θ + Σ_barriers g sin(θ' − θ) + 2c [Δ cos θ + i z sin θ − ζ sin θ cos θ]

with ``c = σV/ξ²``; it is zero for the solution. A conductance ``g`` passes ``g sin(θ' − θ)`` between the two
sides of a tunnel barrier (M. Yu. Kuprianov and V. F. Lukichev, Sov. Phys. JETP 67, 1163 (1988)); a normal
lead behind one has ``θ' = 0``.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.kernel_cache import njit

#: Steps of Newton's method for the drop of the angle at a barrier.
_BARRIER_STEPS = 30


class Barriers(NamedTuple):
    """Tunnel barriers, each between a cell and another cell or a normal lead.

    Attributes:
        cells: ``(n, 2)``, second −1 for a lead.
        face: ``(n,)`` face of the mesh, −1 for a lead that is spread over its cell.
        side: ``(n,)`` side of the face that the first cell is on.
        series: ``(n,)`` siemens: diffusion from cell to barrier to cell; inf if nothing is in series.
        conductance: ``(n,)`` of the barrier in siemens.
    """

    cells: NDArray
    face: NDArray
    side: NDArray
    series: NDArray
    conductance: NDArray


@njit(cache=True, nogil=True)
def tunnel(barriers, offset, gradient, x, out, slope, diagonal_slope):
    """Add what passes barriers to ``out``; its derivatives by the difference of angles to ``slope``.

    ``slope[barrier, 2, energy]``; what of it belongs to a cell itself is taken from
    ``diagonal_slope[owned cell, 2, energy]``.
    """
    n_owned, _, n = out.shape
    for k in range(barriers.cells.shape[0]):
        g, t = barriers.conductance[k], barriers.series[k]
        f, first = barriers.face[k], barriers.side[k]
        for e in range(n):
            drop = 0j
            for side in range(2):
                c = barriers.cells[k, side]
                if c < 0:
                    continue
                value = complex(x[c, 0, e], x[c, 1, e])
                if gradient.shape[0] > 0 and f >= 0:
                    for i in range(3):
                        shift = offset[f, first if side == 0 else 1 - first, i]
                        value += shift * complex(gradient[c, 0, i, e], gradient[c, 1, i, e])
                drop += value if side == 1 else -value
            # The part of the drop that is at the barrier: g sin φ = t (drop − φ).
            phi = drop
            if t < np.inf:
                phi = drop * t / (t + g)
                for _ in range(_BARRIER_STEPS):
                    step = (g * np.sin(phi) + t * (phi - drop)) / (g * np.cos(phi) + t)
                    size = abs(step)
                    phi -= step if size < 0.5 else step * (0.5 / size)
                    if size < 1e-15:
                        break
            flow = g * np.sin(phi)
            rate = g * np.cos(phi)
            if t < np.inf:
                rate = rate * t / (rate + t)
            slope[k, 0, e] = rate.real
            slope[k, 1, e] = rate.imag
            for side in range(2):
                c = barriers.cells[k, side]
                if c >= 0 and c < n_owned:
                    sign = 1.0 if side == 0 else -1.0
                    out[c, 0, e] += sign * flow.real
                    out[c, 1, e] += sign * flow.imag
                    diagonal_slope[c, 0, e] -= rate.real
                    diagonal_slope[c, 1, e] -= rate.imag


@njit(cache=True, nogil=True)
def local_terms(x, gap, depairing, z, scale, out, slope):
    """Add ``scale (Δ cos θ + i z sin θ − ζ sin θ cos θ)`` to ``out``; set ``slope`` to its derivative."""
    n_owned, _, n = out.shape
    for c in range(n_owned):
        for e in range(n):
            a, b = x[c, 0, e], x[c, 1, e]
            sin, cos, grown = np.sin(a), np.cos(a), np.exp(b)
            cosh, sinh = 0.5 * (grown + 1.0 / grown), 0.5 * (grown - 1.0 / grown)
            g = complex(cos * cosh, -sin * sinh)
            f = complex(sin * cosh, cos * sinh)
            iz = complex(-z[e].imag, z[e].real)
            value = gap[c] * g + iz * f - depairing[c] * (f * g)
            rate = iz * g - gap[c] * f - depairing[c] * (g * g - f * f)
            out[c, 0, e] += scale[c] * value.real
            out[c, 1, e] += scale[c] * value.imag
            slope[c, 0, e] = scale[c] * rate.real
            slope[c, 1, e] = scale[c] * rate.imag


@njit(cache=True, nogil=True, inline="always")
def _place(indptr, c, place, a, b):
    start = indptr[c]
    return 2 * (2 * start + a * (indptr[c + 1] - start) + place - start) + b


@njit(cache=True, nogil=True)
def _add_complex(values, indptr, c, place, re, im, factor, turn):
    """Add a complex coefficient, times ``factor`` and the phase factor ``turn``, as a real block of two."""
    p, q = factor * turn.real, factor * turn.imag
    v00 = values[_place(indptr, c, place, 0, 0)]
    v01 = values[_place(indptr, c, place, 0, 1)]
    v10 = values[_place(indptr, c, place, 1, 0)]
    v11 = values[_place(indptr, c, place, 1, 1)]
    for e in range(re.shape[0]):
        real = p * re[e] - q * im[e]
        imag = p * im[e] + q * re[e]
        v00[e] += real
        v01[e] -= imag
        v10[e] += imag
        v11[e] += real


@njit(cache=True, nogil=True)
def jacobian(indptr, diagonal, entries, linear, barriers, slope, diagonal_slope, turn, values):
    """Two-point matrix ``values[nnz, energy]`` of minus the derivative of the gains, times ``turn``.

    Two unknowns a cell, on the pattern of `Transport.pattern`. ``linear[cell pattern]`` are the face
    conductances; rotating the rows by a phase factor keeps every pivot of an elimination away from zero.
    """
    n_owned = diagonal_slope.shape[0]
    p, q = turn.real, turn.imag
    for c in range(n_owned):
        for place in range(indptr[c], indptr[c + 1]):
            values[_place(indptr, c, place, 0, 0)] = p * linear[place]
            values[_place(indptr, c, place, 0, 1)] = -q * linear[place]
            values[_place(indptr, c, place, 1, 0)] = q * linear[place]
            values[_place(indptr, c, place, 1, 1)] = p * linear[place]
        _add_complex(
            values, indptr, c, np.int64(diagonal[c]), diagonal_slope[c, 0], diagonal_slope[c, 1], -1.0, turn
        )
    for k in range(barriers.cells.shape[0]):
        if barriers.cells[k, 1] < 0:
            continue
        for side in range(2):
            cell = np.int64(barriers.cells[k, side])
            if cell < n_owned:
                on = barriers.side[k] if side == 0 else 1 - barriers.side[k]
                across = np.int64(entries[barriers.face[k], 2 * on + 1])
                _add_complex(values, indptr, cell, across, slope[k, 0], slope[k, 1], -1.0, turn)


@njit(cache=True, nogil=True)
def linear_terms(barriers, slope, diagonal_slope, x, out):
    """Add the derivatives of barriers and local terms, times ``x``, to ``out``."""
    n_owned, _, n = out.shape
    for c in range(n_owned):
        for e in range(n):
            re, im = diagonal_slope[c, 0, e], diagonal_slope[c, 1, e]
            out[c, 0, e] += re * x[c, 0, e] - im * x[c, 1, e]
            out[c, 1, e] += re * x[c, 1, e] + im * x[c, 0, e]
    for k in range(barriers.cells.shape[0]):
        for side in range(2):
            c, other = barriers.cells[k, side], barriers.cells[k, 1 - side]
            if c < 0 or other < 0 or c >= n_owned:
                continue
            for e in range(n):
                re, im = slope[k, 0, e], slope[k, 1, e]
                out[c, 0, e] += re * x[other, 0, e] - im * x[other, 1, e]
                out[c, 1, e] += re * x[other, 1, e] + im * x[other, 0, e]
