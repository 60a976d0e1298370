"""Laws of annihilation of pairs: at the rate of two localized states, or at once when they touch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fvqp.errors import CaseError


def positive(value: float, what: str) -> None:
    """`CaseError` unless the value is a positive, finite number."""
    if not (math.isfinite(value) and value > 0.0):
        raise CaseError(f"{what}: must be positive and finite, got {value}")


@dataclass(frozen=True)
class TailAnnihilation:
    """Pairs vanish at the rate ``Γ̄ r_c⁻³ g(R/r_c)`` of two localized states of one radius (their Eq. 7).

    Attributes:
        radius: r_c, metres.
        constant: Γ̄, m³/s.
    """

    radius: float
    constant: float

    def __post_init__(self) -> None:
        positive(self.radius, "radius r_c")
        positive(self.constant, "annihilation constant")

    @property
    def length(self) -> float:
        """Unit of length inside: r_c, metres."""
        return self.radius

    @property
    def time(self) -> float:
        """Unit of time inside: r_c³/Γ̄, seconds."""
        return self.radius**3 / self.constant


@dataclass(frozen=True)
class BurstingBubbles:
    """Partners closer than ``distance`` (metres) vanish at once, the nearest first; others never."""

    distance: float

    def __post_init__(self) -> None:
        positive(self.distance, "distance of bursting bubbles")

    @property
    def length(self) -> float:
        """Unit of length inside: the distance, metres."""
        return self.distance

    @property
    def time(self) -> float:
        """Unit of time inside: a second; bubbles have no time of their own."""
        return 1.0


Law = TailAnnihilation | BurstingBubbles
