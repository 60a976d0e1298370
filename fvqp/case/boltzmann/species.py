"""Tables of the two species: how quasiparticles and phonons move, and where phonons escape."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fvqp.case.boltzmann.boundary import BoundaryChoice, InterfaceTable, PhononInterface
from fvqp.case.boltzmann.dispersion import DispersionTable
from fvqp.case.quantities import Diffusivity, Length, Number, Speed, Time
from fvqp.case.tables import Count, Name, Table

Share = Annotated[Number, Field(gt=0, le=1)]

MAX_DIRECTIONS = 1000
"""Limit of a set along each of its two angles; more are a slip."""
Directions = Annotated[Count, Field(le=MAX_DIRECTIONS)]


def _known_set(value: object) -> object:
    if value == "level_symmetric":
        raise ValueError(
            'there are no level-symmetric sets; "lebedev" has their symmetry, with degree = 9 in place of 4 '
            "directions and 15 in place of 8"
        )
    return value


class Escape(Table):
    """Phonons leave to a bath: in the time given, or in the one that thickness and transmission give."""

    time: Time | None = None
    """τ_l of ``−(n − n_bath)/τ_l``."""
    thickness: Length | None = None
    """Thickness of the film; ``τ_l = 4 thickness/(transmission × sound_velocity)``."""
    transmission: Share | None = None
    """Transmission of phonons into the substrate, averaged over directions."""
    sound_velocity: Speed | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        film = {
            key: getattr(self, key) is not None for key in ("thickness", "transmission", "sound_velocity")
        }
        if (self.time is not None) == any(film.values()):
            raise ValueError("give either time, or thickness, transmission and sound_velocity")
        missing = [key for key, given in film.items() if not given]
        if self.time is None and missing:
            raise ValueError(f"{missing[0]}: missing: an escape by thickness needs it")
        return self

    @property
    def seconds(self) -> float:
        """τ_l, seconds."""
        if self.time is not None:
            return self.time
        assert self.thickness is not None and self.transmission is not None
        assert self.sound_velocity is not None
        return 4.0 * self.thickness / (self.transmission * self.sound_velocity)


class PhononTable(Table):
    """Phonons and their bath."""

    #: Keys that phonons of a bath have no use for.
    DYNAMIC: ClassVar[tuple[str, ...]] = ("escape",)

    model: Literal["dynamic", "bath"] = "dynamic"
    """``dynamic``: phonons have a spectrum of their own, which collisions, motion and escape change;
    ``bath``: they stay in equilibrium at the bath temperature everywhere."""
    escape: Escape | None = None
    """Into a substrate, in a body under every cell; default: none, phonons stay."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        for key in self.DYNAMIC if self.model == "bath" else ():
            if getattr(self, key):
                raise ValueError(f'{key}: is not used with model = "bath"')
        return self


class BoltzmannPhonons(PhononTable):
    """Phonons of a film, which stay in it until they escape."""

    motion: ClassVar = "still"
    sound_velocity: ClassVar = None
    branches: ClassVar = ()
    dispersion: ClassVar = None
    free_path: ClassVar = None
    speed: ClassVar = 0.0


class MotionTable(Table):
    """Motion of a species."""

    CONDITIONAL: ClassVar = frozenset(
        {"quadrature", "directions", "azimuths", "scheme", "walls", "interfaces"}
    )

    motion: Literal["still", "diffusive", "ordinates"] = "still"
    """``ordinates``: straight on along a set of directions, with scattering; ``diffusive``: the limit of much
    elastic scattering; ``still``: not at all."""
    quadrature: Annotated[Literal["product", "lebedev"], BeforeValidator(_known_set)] = "product"
    """Ordinates on plane and solid meshes: Gauss' rules along z and around it, with the exact flux of
    isotropic particles through planes of constant x, y or z; Lebedev's sets, which are the better ones for
    walls that lean against the axes."""
    directions: Directions = 8
    """Ordinates: polar directions of the set, even: of the angle with the radius, or with the axis z of a
    mesh or that of revolution; 2 send 4 to 15 % too many particles to walls, from 4 on the flux is exact."""
    azimuths: Directions = 8
    """Ordinates in cylinders and bodies of revolution, half-way around the axis, even; and of product sets on
    plane and solid meshes: directions around the axis, a multiple of four. 2 and 4 of them are the fewest,
    with fluxes 11 % too large."""
    degree: Count | None = None
    """Degree of Lebedev's set, which is exact for spherical harmonics up to it: 3, 5, 7, 9, 11, 15, …,
    131."""
    scheme: Literal["upwind", "linear", "limited"] = "limited"
    """Ordinates: first order; second order; second order without new extrema."""
    walls: dict[Name, BoundaryChoice] = Field(default_factory=dict)
    """By name of the boundary, ``outer`` and ``inner`` of shells; nothing passes through others."""
    interfaces: tuple[InterfaceTable, ...] = ()
    """Between regions of a mesh; others let everything through that has states beyond."""


class Quasiparticles(MotionTable):
    """Motion of quasiparticles."""

    fermi_velocity: Speed | None = None
    """v_F, dressed as the density of states is; a quasiparticle of energy E has the speed v_F √(1 − Δ²/E²),
    or that of its Eliashberg spectrum. A diffusivity alone goes with 10⁶ m/s, which matters at walls only."""
    free_path: Length | None = None
    """ℓ of elastic scattering, at all energies; default: none."""
    diffusivity: Diffusivity | None = None
    """D_N = v_F ℓ/3 in place of the free path."""

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if self.free_path is not None and self.diffusivity is not None:
            raise ValueError("give either free_path or diffusivity, not both")
        return self


class Branch(Table):
    """A branch of phonons."""

    sound_velocity: Speed
    polarizations: Count = 1
    """Branches with this speed: 2 of transverse phonons in an isotropic body."""


class TransportPhonons(MotionTable, PhononTable):
    """Motion and escape of phonons."""

    DYNAMIC = ("escape", "dispersion", "branches", "sound_velocity", "free_path")

    sound_velocity: Speed | None = None
    """Sound velocity of all phonons, or of those of low energy."""
    branches: tuple[Branch, ...] = ()
    """Ordinates: branches with speeds of their own, in place of the sound velocity; a part ∝ polarizations/v³
    of the modes belongs to each, as in Debye's model. Collisions and scattering bring phonons into all
    branches in proportion to their modes. Regions have the same ratios of speeds; their sound velocity is the
    root of the mean square over the modes."""
    dispersion: DispersionTable | None = None
    """Dispersion: speed and number of phonon modes with energy; default: none, as in Debye's model."""
    free_path: Length | None = None
    """Free path of elastic scattering; default: none."""
    interfaces: tuple[PhononInterface, ...] = ()
    """Interfaces as of quasiparticles, or refracting ones."""

    @model_validator(mode="after")
    def _stays(self) -> Self:
        if self.model == "bath" and self.motion != "still":
            raise ValueError('motion: is not used with model = "bath"')
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        speeds = [branch.sound_velocity for branch in self.branches]
        if len(set(speeds)) < len(speeds):
            raise ValueError("branches: two have the same speed; give one, with the polarizations of both")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """Parts of the modes that belong to the branches."""
        modes = [branch.polarizations / branch.sound_velocity**3 for branch in self.branches]
        return tuple(one / sum(modes) for one in modes)

    @property
    def speed(self) -> float:
        """Sound velocity, the root of the mean square over the modes of the branches; 0 if not given."""
        if not self.branches:
            return self.sound_velocity or 0.0
        pairs = zip(self.shares, self.branches, strict=True)
        return math.sqrt(sum(share * branch.sound_velocity**2 for share, branch in pairs))
