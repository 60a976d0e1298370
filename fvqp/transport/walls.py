"""Reflection and transmission of particles at the boundaries of a body and between its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.typing import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class BathFunction:
    """Occupation outside that depends on place and time; it is replaced by its means between given times.

    Attributes:
        function: returns ``(n, energy)`` at points ``(n, 3)`` and a time; raises `CaseError`.
        times: increasing, between which means are taken; before the first and after the last one the
            occupation is that of these. Empty without dependence on time.
    """

    function: Callable[[Floats, float], Floats]
    times: Floats = field(default_factory=lambda: np.empty(0))

    def at(self, points: Floats, time: float) -> Floats:
        """Return the occupation at points in the interval that contains a time, ``(n, energy)``."""
        times = self.times
        if len(times) == 0:
            return self.function(points, 0.0)
        number = int(np.searchsorted(times, time, side="right"))
        if number in (0, len(times)):
            return self.function(points, float(times[0 if number == 0 else -1]))
        start, width = times[number - 1], times[number] - times[number - 1]
        nodes = start + 0.5 * width * (1.0 + _NODES)
        parts = zip(_WEIGHTS, nodes, strict=True)
        return np.asarray(sum(0.5 * w * self.function(points, float(t)) for w, t in parts))


class FaceBath:
    """Occupation outside the faces of a wall: that of a `BathFunction` at the time that `switch` was given.

    Attributes:
        occupation: ``(faces, energy)``, at first that of time 0.
    """

    def __init__(self, function: BathFunction, points: Floats) -> None:
        """Evaluate the function at all times, so that what is wrong with it is said at the start.

        Args:
            function: as named.
            points: ``(faces, 3)`` centroids.

        Raises:
            CaseError: what the function raises.
        """
        self.times, self._function, self._points = function.times, function, points
        for time in (*(0.5 * (self.times[1:] + self.times[:-1])), np.inf):
            function.at(points, float(time))
        self.switch(0.0)

    def switch(self, time: float) -> None:
        """Take the occupation of another time."""
        self.occupation = self._function.at(self._points, time)


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
        bath: occupation outside, scalar, ``(energy,)`` or, for a beam, ``(direction, energy)``; in diffusion
            also a function of place and time.
        velocity: in diffusion and in place of the transmission, surface velocity h of Robin's condition
            ``flux = h × states × (f − bath)``, with f at the wall; infinite for Dirichlet's, ``f = bath``.

    Raises:
        CaseError: shares that are not between 0 and 1, a bath that is not finite, or a negative velocity.
    """

    transmission: ArrayLike = 1.0
    specularity: float = 0.0
    bath: ArrayLike | BathFunction = 0.0
    velocity: float | None = None

    def __post_init__(self) -> None:
        _check_shares("wall", self.transmission, self.specularity)
        if self.velocity is not None and not self.velocity >= 0.0:
            raise CaseError(f"wall: the velocity must not be negative, found {self.velocity:g}")
        if isinstance(self.bath, BathFunction):
            return
        if not np.all(np.isfinite(np.asarray(self.bath, dtype=np.float64))):
            raise CaseError("wall: the occupation of the bath must be finite")

    @property
    def passes(self) -> bool:
        """True if particles of any energy leave."""
        if self.velocity is not None:
            return self.velocity > 0.0
        return bool(np.any(np.asarray(self.transmission) > 0.0))


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
