"""GMRES for operators that are close to a multiple of 1 but for a few directions, in any scalar product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fvqp.typing import Floats

#: A new direction of this length, relative to what it is made from, is rounding.
_NOTHING = 1e-14


class Found(NamedTuple):
    """What GMRES has found.

    Attributes:
        x: approximate solution.
        residual: over that of zero.
        least: smallest singular value of the operator on the directions that were tried; 1/``least`` is how
            many times longer than its residual an error can be.
    """

    x: Floats
    residual: float
    least: float


def gmres(
    action: Callable[[Floats], Floats],
    right: Floats,
    dot: Callable[[Floats, Floats], float],
    *,
    rtol: float,
    most: int,
) -> Found:
    """Approximate solution of ``action(x) = right``, from zero and without restarts.

    Args:
        action: linear.
        right: not zero.
        dot: scalar product, the same number on all ranks that share the vectors.
        rtol: residual over that of zero at which to stop.
        most: directions at which to stop.
    """
    norm = np.sqrt(dot(right, right))
    basis = [right / norm]
    columns: list[Floats] = []
    for k in range(most):
        w = action(basis[-1])
        column = np.zeros(k + 2)
        for i, v in enumerate(basis):
            column[i] = dot(v, w)
            w = w - column[i] * v
        column[k + 1] = np.sqrt(dot(w, w))
        columns.append(column)
        matrix = np.zeros((k + 2, k + 1))
        for j, entries in enumerate(columns):
            matrix[: len(entries), j] = entries
        target = np.zeros(k + 2)
        target[0] = norm
        y = np.linalg.lstsq(matrix, target, rcond=None)[0]
        left = float(np.linalg.norm(matrix @ y - target))
        if left <= rtol * norm or column[k + 1] <= _NOTHING * norm:
            break
        basis.append(w / column[k + 1])
    x = np.asarray(sum(c * v for c, v in zip(y, basis, strict=False)))
    return Found(x, float(left / norm), float(np.linalg.svd(matrix, compute_uv=False)[-1]))
