"""Anderson acceleration of a fixed point of a few thousand unknowns, for the Eliashberg equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvqp.errors import ConvergenceError

Floats = NDArray[np.float64]

_DEPTH = 6
_NEAR = 0.2  # residual below which to extrapolate; far from the solution plain iterations do not overshoot
_PLAIN = 20  # most of them
_REGULARIZATION = 1e-12  # of the normal equations, relative


@dataclass(frozen=True)
class FixedPoint:
    """Solution, number of evaluations and last residual (largest change relative to the scale)."""

    x: Floats
    iterations: int
    residual: float


def fixed_point(
    function: Callable[[Floats], Floats],
    x: Floats,
    *,
    scale: Callable[[Floats], Floats | float],
    tolerance: float,
    max_iterations: int,
    name: str,
    stop: Callable[[Floats], bool] | None = None,
) -> FixedPoint:
    """Solve ``x = function(x)`` (Anderson, J. ACM 12, 547 (1965)), plainly until near the solution.

    Args:
        function: the map.
        x: first guess.
        scale: of every unknown, by which changes are divided, so that parts of ``x`` that differ in size
            count alike in the least squares.
        tolerance: on ``max |function(x) − x| / scale``.
        max_iterations: evaluations allowed.
        name: of the equations, for the message.
        stop: of an iterate, ends the iteration early.

    Raises:
        ConvergenceError: if the tolerance is not reached, or the iterates are not finite.
    """
    steps: list[Floats] = []
    changes: list[Floats] = []
    previous: tuple[Floats, Floats] | None = None
    residual = np.inf
    for iteration in range(1, max_iterations + 1):
        difference = function(x) - x
        units = scale(x)
        residual = float(np.max(np.abs(difference) / units))
        if not np.isfinite(residual):
            raise ConvergenceError(f"{name}: the iteration gave values that are not finite")
        if residual <= tolerance or (stop is not None and stop(x)):
            return FixedPoint(x + difference, iteration, residual)
        near = residual <= _NEAR or iteration > _PLAIN
        if previous is not None and near:
            steps.append(x - previous[0])
            changes.append(difference - previous[1])
            del steps[:-_DEPTH], changes[:-_DEPTH]
        previous = (x, difference)
        x = x + difference
        if changes:
            a = np.array(changes) / units
            normal = a @ a.T
            normal[np.diag_indices_from(normal)] *= 1.0 + _REGULARIZATION
            weights = np.linalg.lstsq(normal, a @ (difference / units), rcond=None)[0]
            x = x - weights @ (np.array(steps) + np.array(changes))
    raise ConvergenceError(
        f"{name}: not converged after {max_iterations} iterations, residual {residual:.1e} "
        f"(tolerance {tolerance:.1e})"
    )
