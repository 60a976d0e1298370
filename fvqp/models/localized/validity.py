"""Boxes that are too small, and steady states whose averages do not mean what they seem to."""

from __future__ import annotations

from functools import cache

import numpy as np

from fvqp.errors import CaseError
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.laws import BurstingBubbles, Law
from fvqp.models.localized.rates import rate_beyond, rate_in_slab

FEW_PARTICLES = 30
"""Least number of particles expected in the steady state for which a periodic box is large."""
IMAGE_SHARE = 1e-3
"""Part of the mean-field rate that the images in a periodic box may leave out."""
THIN = 0.5
"""Part of the mean-field rate that thickness or cross-section must leave for the law of annihilation to hold
roughly: mean-field concentrations go with its square root."""


def check_box(domain: Domain, law: Law) -> None:
    """`CaseError` for a periodic box so small that images of a particle in reach are left out."""
    repeats = domain.periodic[: domain.dim]
    if not repeats.any():
        return
    edge = float(domain.lengths[: domain.dim][repeats].min())
    if isinstance(law, BurstingBubbles):
        if edge < 2.0 * law.length:
            raise CaseError(
                f"box: a periodic edge of {edge:.4g} m is less than twice the distance of bursting "
                f"bubbles, {law.length:.4g} m; take a larger box"
            )
    elif rate_beyond(0.5 * edge / law.length) > IMAGE_SHARE:
        least = least_edge()
        raise CaseError(
            f"box: a periodic edge of {edge:.4g} m is less than {least:.3g} r_c = "
            f"{least * law.length:.4g} m: images of a particle within reach would be left out; "
            "take a larger box, or one that is not periodic"
        )


@cache
def least_edge() -> float:
    """Periodic edge in r_c at which the images' share of the rate is `IMAGE_SHARE`."""
    edges = np.arange(10.0, 60.0, 0.5)
    return float(next(edge for edge in edges if rate_beyond(0.5 * edge) <= IMAGE_SHARE))


def doubts(domain: Domain, expected: float, *, spins: bool, flip_rate: float) -> list[str]:
    """What is odd about a steady state with about ``expected`` particles; said, not refused."""
    found = []
    if spins and flip_rate == 0.0:
        found.append(
            "spins: without flips only generation changes the difference of up and down, which walks at "
            "random; the concentration has no steady state but grows slowly with the polarization"
        )
    if domain.periodic.any() and expected < FEW_PARTICLES:
        found.append(
            f"box: about {expected:.2g} particles are expected in the steady state; averages of fewer than "
            f"{FEW_PARTICLES} feel the periodic images, take a larger box"
        )
    return found


def doubts_of_law(domain: Domain, law: Law) -> list[str]:
    """What is odd about the law of annihilation in a film or wire, which takes partners on all sides."""
    given = domain.extent[domain.extent > 0.0]
    if not len(given) or isinstance(law, BurstingBubbles):
        return []
    thickness = float(given.min())
    left = rate_in_slab(thickness / law.length)
    if left > THIN:
        return []
    return [
        f"law: takes partners on all sides, and a thickness of {thickness * 1e6:.4g} um leaves {left:.0%} of "
        "the rate at which these annihilate; its concentrations are too small, take those of the simulation"
    ]
