"""The pairing angle θ, ``G = cos θ``, ``F = sin θ``: where nothing varies in space, and averages over bins.

Arrays of angles are real: ``x[cell, 2, energy]`` holds real and imaginary part.
"""

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit
from fvqp.spectral.quadrature import BinRule
from fvqp.spectral.usadel import solve
from fvqp.typing import Complexes, Floats, Ints


def local_angle(z: Complexes, gap: Floats, depairing: Floats) -> Floats:
    """Angles of the local equation, ``(n, 2, energy)``.

    Args:
        z: ``(energy,)`` complex energies with ``Re z ≥ 0``, ``Im z > 0``.
        gap, depairing: ``(n,)``; equal rows are computed once.

    The larger of ``e^{±iθ} = G ± iF`` is taken, which is not a difference of nearly equal numbers.
    """
    pairs, inverse = np.unique(np.stack([gap, depairing], axis=1), axis=0, return_inverse=True)
    spectrum = solve(z.real, pairs[:, :1], pairs[:, 1:], z.imag)
    grown = spectrum.G - 1j * spectrum.F
    return np.stack([-np.angle(grown), np.log(np.abs(grown))], axis=1)[inverse.ravel()]


def add_averages(x: Floats, rule: BinRule, first: int, out: Floats) -> None:
    """Add what nodes contribute to averages of the spectral functions over bins.

    Args:
        x: angles at nodes ``first`` and following of ``rule``.
        rule: of the averages.
        out: ``(7, n_cells, bins)`` in the order of the fields of `fvqp.spectral.usadel.BinnedSpectrum`.
    """
    nodes = np.arange(first, first + x.shape[2])
    bins = np.searchsorted(rule.starts, nodes, side="right") - 1
    _add_averages(x, rule.weights[nodes], bins, out)


@njit(cache=True, nogil=True)
def _add_averages(x: Floats, weights: Floats, bins: Ints, out: Floats) -> None:
    for c in range(x.shape[0]):
        for e in range(x.shape[2]):
            a, b = x[c, 0, e], x[c, 1, e]
            sin, cos, grown = np.sin(a), np.cos(a), np.exp(b)
            cosh, sinh = 0.5 * (grown + 1.0 / grown), 0.5 * (grown - 1.0 / grown)
            w, k = weights[e], bins[e]
            dos, re_f, im_f = max(cos * cosh, 0.0), sin * cosh, cos * sinh
            charge = dos * dos + re_f * re_f
            out[0, c, k] += w * dos
            out[1, c, k] += w * im_f
            out[2, c, k] += w * dos * dos / charge
            out[3, c, k] += w * charge
            out[4, c, k] += w * 2.0 * re_f * im_f
            out[5, c, k] += w * re_f
            out[6, c, k] -= w * sin * sinh
