"""Reflection and transmission of particles at the boundaries of a body and between its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError


@dataclass(frozen=True)
class Wall:
    """An outer boundary: part of what arrives leaves, the rest comes back; a bath sends in its own.

    The share ``transmission`` of the outgoing particles leaves, and incoming ones have the occupation
    ``bath`` in the same proportion. Of the rest, ``specularity`` is reflected as by a mirror, and what
    remains comes back isotropic, at the same energy (theory: streaming, Eq. streaming-gate). The default is a
    vacuum.

    Attributes:
        transmission: between 0 and 1, scalar or ``(energy,)``.
        specularity: between 0 (diffuse, Lambert's law) and 1 (mirror).
        bath: occupation outside, scalar, ``(energy,)`` or, for a beam, ``(direction, energy)``.

    Raises:
        CaseError: shares that are not between 0 and 1, or a bath that is not finite.
    """

    transmission: ArrayLike = 1.0
    specularity: float = 0.0
    bath: ArrayLike = 0.0

    def __post_init__(self) -> None:
        _check_shares("wall", self.transmission, self.specularity)
        if not np.all(np.isfinite(np.asarray(self.bath, dtype=np.float64))):
            raise CaseError("wall: the occupation of the bath must be finite")


@dataclass(frozen=True)
class TransmittingInterface:
    """A face between two regions: ``transmission`` of the side that carries fewer particles passes.

    With ``g`` = states × speed of the two sides, ``transmission × min(g)`` passes either way, which keeps
    equilibrium; the rest returns to its side, specularly or diffusely as at a `Wall`.

    Attributes:
        between: names of the two regions.
        transmission: between 0 and 1, scalar or ``(energy,)``.
        specularity: between 0 (diffuse) and 1 (mirror).

    Raises:
        CaseError: shares that are not between 0 and 1.
    """

    between: tuple[str, str]
    transmission: ArrayLike
    specularity: float = 0.0

    def __post_init__(self) -> None:
        _check_shares(f"interface of {' and '.join(self.between)}", self.transmission, self.specularity)


@dataclass(frozen=True)
class AcousticInterface:
    """A smooth face between two regions that refracts waves, with the transmission of acoustic mismatch.

    Wave vectors along the face stay, energy passes as that of sound in fluids with the impedances density ×
    speed (`acoustic_transmission` in `fvqp.transport.refraction`), and what does not pass is reflected as by
    a mirror, all of it beyond the critical angle (theory: streaming, Eqs. streaming-refraction,
    streaming-mismatch).

    Attributes:
        between: names of the two regions.
        densities: of mass, of the two regions; only their ratio matters.

    Raises:
        CaseError: densities that are not positive numbers.
    """

    between: tuple[str, str]
    densities: tuple[float, float]

    def __post_init__(self) -> None:
        if not all(np.isfinite(density) and density > 0.0 for density in self.densities):
            raise CaseError(
                f"interface of {' and '.join(self.between)}: densities of mass must be positive, found "
                f"{self.densities[0]:g} and {self.densities[1]:g}"
            )


def _check_shares(what: str, transmission: ArrayLike, specularity: float) -> None:
    share = np.asarray(transmission, dtype=np.float64)
    if not np.all((share >= 0.0) & (share <= 1.0)):
        raise CaseError(
            f"{what}: the transmission must be between 0 and 1, found {share.min():g} … {share.max():g}"
        )
    if not 0.0 <= specularity <= 1.0:
        raise CaseError(f"{what}: the specularity must be between 0 and 1, found {specularity:g}")


MIRROR = Wall(transmission=0.0, specularity=1.0)
"""A specular wall through which nothing passes: a plane of symmetry."""
