"""Quadratures of half and quarter ranges of an angle, of which fluxes through faces are made.

The flux of isotropic particles through a face is a moment of the directions that leave through it. Rules that
take in a whole range at once miss it by the kink at the end of that half; these have nodes in each part.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq

from fvqp.typing import Floats

#: Nodes, in addition to two a node of the rule, with which the weight of `quadrant` is integrated.
SPARE = 40


def polar(count: int, *, sideways: bool = False) -> tuple[Floats, Floats]:
    """Nodes and weights in the cosine μ from −1 to 1, ``(count,)`` each, rising and symmetric.

    Gauss' rule on either half, exact for polynomials up to degree ``count − 1`` there. Two nodes are those
    of Gauss' rule on the whole range, the only ones with ``Σ w μ² = 2/3``.

    Args:
        count: even, 2 or more.
        sideways: exact for ``√(1 − μ²)``, the flux across the polar axis, in place of the highest odd degree.
    """
    if count == 2:
        node = 1.0 / np.sqrt(3.0)
        return np.array([-node, node]), np.ones(2)
    n = count // 2
    k = np.arange(1, n)
    beside = k / (2.0 * np.sqrt(4.0 * k**2 - 1.0))

    def rule(last: float) -> tuple[Floats, Floats]:
        """All rules of n nodes that are exact up to the degree 2n − 2, by the last recursion coefficient."""
        nodes, vectors = eigh_tridiagonal(np.append(np.full(n - 1, 0.5), last), beside)
        return nodes, vectors[0] ** 2

    def excess(last: float) -> float:
        nodes, weights = rule(last)
        return float(weights @ np.sqrt(np.maximum(1.0 - nodes**2, 0.0))) - 0.25 * np.pi

    # From Gauss' rule, with too much of it, to Radau's with a node at 1, with too little.
    gauss, radau = 0.5, 0.5 + 0.5 * n / (2.0 * n - 1.0)
    nodes, weights = rule(brentq(excess, gauss, radau, xtol=1e-15) if sideways else gauss)
    nodes, weights = np.append(-nodes[::-1], nodes), np.append(weights[::-1], weights)
    return nodes, weights * (2.0 / weights.sum())


def quadrant(count: int) -> tuple[Floats, Floats]:
    """Angles from 0 to π/2 and weights, ``(count,)`` each, rising and symmetric.

    Exact for trigonometric polynomials of degree ``count − 1``: Gauss' rule in ``sin(φ − π/4)/2`` over its
    largest value (G. Da Fies and M. Vianello, Electron. Trans. Numer. Anal. 39, 102 (2012)).
    """
    largest = np.sin(np.pi / 8.0)
    at, weight = np.polynomial.legendre.leggauss(2 * count + SPARE)
    root = np.sqrt(weight / np.sqrt(1.0 - (largest * at) ** 2))
    # Orthonormal polynomials at these points; multiplied by the coordinate they are a Jacobi matrix.
    basis, _ = np.linalg.qr(root[:, None] * np.polynomial.legendre.legvander(at, count - 1))
    nodes, vectors = np.linalg.eigh(basis.T @ (at[:, None] * basis))
    nodes, weights = 0.5 * (nodes - nodes[::-1]), vectors[0] ** 2
    weights = 0.5 * (weights + weights[::-1])
    return 0.25 * np.pi + 2.0 * np.arcsin(largest * nodes), weights * (0.5 * np.pi / weights.sum())
