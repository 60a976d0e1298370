"""Level-symmetric sets of directions: the same levels along x, y and z.

B. G. Carlson and K. D. Lathrop (in *Computing Methods in Reactor Physics*, Gordon and Breach, 1968); E. E.
Lewis and W. F. Miller, *Computational Methods of Neutron Transport* (Wiley, 1984), table 4-1.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from scipy.optimize import brentq
from scipy.special import gamma

from fvqp.errors import CaseError
from fvqp.transport.directions import FULL, Directions
from fvqp.typing import Floats

#: Smallest component of each set, to three digits: there are other roots, with negative weights.
SMALLEST = {4: 0.350, 6: 0.267, 8: 0.218, 10: 0.189, 12: 0.167, 14: 0.152, 16: 0.139}


def level_symmetric(order: int) -> Directions:
    """``order (order + 2)`` directions with ``order`` different components along each axis.

    The squares of the components are evenly spaced, as rotations by 90° demand. Their smallest one and the
    weights are those with which means of all even powers of a component are exact up to ``order``, and that
    of ``(xyz)⁴`` in the two largest sets, which the powers leave undetermined. Means of spherical harmonics
    are exact up to the degree ``order + 1`` (11 for 12 levels, 15 for 16). Closed under reflections at the
    coordinate and diagonal planes.

    Raises:
        CaseError: the order is odd, below 2 or above 16; larger sets have negative weights or are not unique.
    """
    if order == 2:
        smallest = 1.0 / np.sqrt(3.0)
    elif order in SMALLEST:
        near = SMALLEST[order]
        smallest = brentq(lambda s: _weights(order, s)[1], 0.98 * near, 1.02 * near, xtol=1e-15)
    else:
        raise CaseError(
            f"directions: level-symmetric sets have an even number of levels from 2 to {max(SMALLEST)}, "
            f"not {order}"
        )
    levels = _levels(order, smallest)
    vectors, weights = [], []
    for triple, weight in zip(_classes(order), _weights(order, smallest)[0], strict=True):
        for place in sorted(set(permutations(triple))):
            for signs in product((-1.0, 1.0), repeat=3):
                vectors.append(np.array(signs) * levels[list(place)])
                weights.append(weight)
    total = np.array(weights)
    return Directions(np.array(vectors), total * (FULL / total.sum()), f"level-symmetric of order {order}")


def _classes(order: int) -> list[tuple[int, int, int]]:
    """Levels of the three components of the points that permutations do not take into each other."""
    last = order // 2 - 1
    return [
        (i, j, last - i - j)
        for i in range(last + 1)
        for j in range(i, last + 1)
        if last - i - j >= j
    ]  # fmt: skip


def _levels(order: int, smallest: float) -> Floats:
    step = 2.0 * (1.0 - 3.0 * smallest**2) / max(order - 2, 1)
    return np.sqrt(smallest**2 + step * np.arange(order // 2))


def _weights(order: int, smallest: float) -> tuple[Floats, float]:
    """Weights of the classes by all moments but the last, and by how much they miss that one."""
    levels, classes = _levels(order, smallest), _classes(order)
    # That of the square is always exact, as components are those of unit vectors.
    powers = [(2 * k, 0, 0) for k in range(max(order // 2, 2) + 1) if k != 1]
    powers[-1:-1] = [(4, 4, 4)] * (len(classes) + 1 - len(powers))
    moments = np.empty((len(powers), len(classes)))
    for row, power in enumerate(powers):
        for column, triple in enumerate(classes):
            points = levels[np.array(sorted(set(permutations(triple))))]
            moments[row, column] = 8.0 * np.sum(np.prod(points**power, axis=1))
    half = 0.5 * (np.array(powers) + 1)
    exact = np.prod(gamma(half), axis=1) / (2.0 * np.pi * gamma(half.sum(axis=1)))
    weights = np.linalg.solve(moments[: len(classes)], exact[: len(classes)])
    return weights, float((moments @ weights - exact)[-1])
