"""The root of one number's equation that a walk along its sign meets first, whatever the slope does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fvqp.errors import ConvergenceError

#: A jump of ``r`` through zero that is smaller than this is none: ``r`` is known no better where it takes
#: solutions of other equations.
NOISE = 1e-7


@dataclass(frozen=True)
class ScalarRoot:
    """The root, evaluations made, and whether the walk crossed a rising ``r``.

    ``turned`` says that between start and root ``r`` grew along the walk: the branch that the start was on
    has ended on the way, and the root is on another one.
    """

    x: float
    evaluations: int
    turned: bool


def follow_root(
    r: Callable[[float], float],
    start: float,
    *,
    tolerance: float,
    what: str,
    largest_step: float,
    max_evaluations: int = 60,
) -> ScalarRoot:
    """Root of ``r`` next to ``start`` in the direction of the sign of ``r(start)``.

    With ``dx/dτ = r(x)`` this is where ``x`` comes to rest. Secant steps, none against the sign of ``r``,
    that double for as long as there is no root near; once the sign has changed, inside the bracket, by
    bisection where the secant is slow.

    Args:
        r: the function; may have kinks.
        start: first guess.
        tolerance: largest accepted ``|r|``; or the width of the bracket around a root at which `NOISE` of
            ``r`` hides it.
        what: name of the quantity, for messages.
        largest_step: how far x may move at once where a root is near.
        max_evaluations: give up after that many.

    Raises:
        ConvergenceError: not converged, or ``r`` jumps through zero.
    """
    x, value = start, r(start)
    low, high = -np.inf, np.inf  # r > 0 at low, r < 0 at high
    before: tuple[float, float] | None = None
    reach, turned = largest_step, False
    evaluations, narrowed = 1, 0
    while not abs(value) <= tolerance:
        if value > 0.0:
            low = x
        else:
            high = x
        width = high - low
        if width <= tolerance and abs(value) <= NOISE:
            break
        jumps = width <= 4.0 * np.spacing(abs(x))
        if jumps or evaluations >= max_evaluations or not np.isfinite(value):
            raise ConvergenceError(
                f"{what}: not converged after {evaluations} evaluations, residual {value:.3g}, tolerance "
                f"{tolerance:.3g}" + (f" (it jumps through zero at {x:.6g})" if jumps else "")
            )
        step = value
        if before is not None and value != before[1]:
            slope = (value - before[1]) / (x - before[0])
            turned |= bool(slope > 0.0 and not np.isfinite(width))
            far = slope >= 0.0 or abs(value / slope) > 2.0 * reach
            reach = 2.0 * reach if far else largest_step
            step = np.copysign(reach, value) if far else -value / slope
        step = float(np.clip(step, -reach, reach))
        target = x + step
        if np.isfinite(width):
            narrowed += 1
            if not low < target < high or narrowed % 4 == 0:
                target = 0.5 * (low + high)
        before = x, value
        x = target
        value = r(x)
        evaluations += 1
    return ScalarRoot(x, evaluations, turned)
