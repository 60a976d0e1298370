"""Response of a microwave resonator to a conductivity."""

from __future__ import annotations

from fvqp.case.boltzmann.schema import Resonator
from fvqp.collisions.resonator import film_factor, frequency_shift, internal_loss


def shown(resonator: Resonator, sigma1: float, sigma2: float, cold: float) -> dict[str, float]:
    """Conductivity over that of the normal state, with the inverse quality factor and the shift of the
    frequency that follow; ``cold``: the imaginary part from which the shift counts."""
    share = resonator.kinetic_inductance_fraction
    film = 1.0 if resonator.thickness is None else float(film_factor(resonator.thickness))
    return {
        "sigma1": sigma1,
        "sigma2": sigma2,
        "inverse_quality_factor": float(internal_loss(sigma1, sigma2, share, film)),
        "frequency_shift": float(frequency_shift(sigma2, cold, share, film)),
    }
