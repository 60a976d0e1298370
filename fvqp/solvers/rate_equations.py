"""Interface of rate equations ``ẏ = R(y)`` for their solvers. Points do not act on one another.

A point has unknowns x that act on all others and unknowns z that act on one another through x only (see
`fvqp.solvers.elimination`); ``y`` is ``(points, N + K)``, x first. All unknowns are occupations: not
negative, and at most ``upper``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fvqp.solvers.elimination import Arrow
from fvqp.typing import Bools, Floats

#: Turnover below which a rate is lost in underflow and says nothing.
NEGLIGIBLE = 1e-110
#: Part of an unknown that a step leaves at least; well above the error of linear solves.
MIN_LEFT = 0.01


class RateEquations(Protocol):
    """Rates, their derivatives, and words for messages."""

    @property
    def shape(self) -> tuple[int, int]:
        """(points, unknowns)."""
        ...

    @property
    def dense(self) -> int:
        """N, number of unknowns x."""
        ...

    @property
    def weights(self) -> Floats:
        """Weights of each x in their sum, ``(points, N)`` or ``(1, N)``; 0 for those not used."""
        ...

    @property
    def upper(self) -> Floats:
        """Largest value of every unknown, ``(unknowns,)``; inf where there is none."""
        ...

    def rates(self, y: Floats) -> Floats:
        """R(y)."""
        ...

    def turnover(self, y: Floats) -> Floats:
        """Gain plus loss of every unknown: what R(y) is small against in a steady state."""
        ...

    def product(self, y: Floats, step: Floats) -> Floats:
        """``J(y) step`` with J the Jacobian of R."""
        ...

    def blocks(self, y: Floats) -> Arrow:
        """J(y), exact or nearly so."""
        ...

    def balances(self, y: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Return gains and losses of each of the slow or global quantities, ``(points,)`` each, by its
        name."""
        ...

    def counters(self, y: Floats) -> Floats:
        """Rates of quantities that are integrated along and act on nothing, ``(points, counters)``."""
        ...

    def counters_product(self, y: Floats, step: Floats) -> Floats:
        """Derivative of `counters` along a step."""
        ...

    def conserved(self) -> tuple[Floats, Floats] | None:
        """ℓ and m of what changes through the counters only: ``ℓ·R = m·counters`` at any y of every point.

        ``(points or 1, unknowns)`` and ``(counters,)``, ℓ ≥ 0; None if there is no such thing.
        """
        ...

    def describe(self, y: Floats, point: int, unknown: int) -> str:
        """Name of an unknown, and what makes most of its turnover."""
        ...


def updated(y: Floats, step: Floats, upper: Floats) -> Floats:
    """``y + step`` within bounds, which are approached and never reached.

    Steps to zero, to the error of linear solves, are those of unknowns that follow others, such as tails:
    they end at `MIN_LEFT` y. Steps beyond zero are those of a balance that is far from linear: they end at
    ``−y²/(4 step)``. The same of more than half the room below ``upper``. All others are taken as they are.
    """
    with np.errstate(over="ignore"):
        down = step < -(1.0 + MIN_LEFT) * y
        far = 0.25 * y * (y / np.where(down, -step, 1.0))
        out = np.where(down, far, np.maximum(y + step, MIN_LEFT * y))
        room = upper - y
        up = step > 0.5 * room
        left = np.where(up, 0.25 * room * (room / np.where(up, step, 1.0)), 0.0)
    return np.where(up, upper - left, out)


def outside(y: Floats, upper: Floats, tolerance: float) -> Bools:
    """Return a mask of the unknowns that are out of bounds by more than a tolerance relative to the
    largest of their point."""
    slack = tolerance * np.abs(y).max(axis=1, keepdims=True)
    return np.asarray((y < -slack) | (y > upper + tolerance))
