"""Motion of the species of a case of the transport model: directions, walls, interfaces."""

from __future__ import annotations

import numpy as np

from fvqp.case.transport.boundaries import PhononInterface
from fvqp.case.transport.boundary import BoundarySite
from fvqp.case.transport.media import MediaBuilder
from fvqp.case.transport.schema import TransportCase
from fvqp.case.transport.species import Quasiparticles, TransportPhonons
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.models.boltzmann import Diffusion, DiscreteOrdinates, Immobile
from fvqp.models.boltzmann.motion import Motion
from fvqp.transport.directions import (
    Directions,
    branched,
    cylindrical,
    gauss_legendre,
    lebedev,
    product,
    revolved,
    spherical,
)
from fvqp.transport.level_symmetric import level_symmetric
from fvqp.transport.radial import Shells
from fvqp.transport.walls import AcousticInterface, TransmittingInterface
from fvqp.typing import Floats


def directions(case: TransportCase, name: str, geometry: int | str) -> Directions | None:
    """Ordinates of ``quasiparticles`` or ``phonons``; None where these do not fly. Raises :class:`CaseError`.

    Args:
        case, name: whose.
        geometry: dimension of the mesh, ``"revolved"`` if that is of radius and height, or that of `Shells`.
    """
    species: Quasiparticles | TransportPhonons = getattr(case, name)
    if species.motion != "ordinates":
        return None
    try:
        chosen = _set(species, geometry)
    except CaseError as error:
        raise CaseError(f"{name}.{error}") from None
    if isinstance(species, TransportPhonons) and species.branches:
        speeds = [branch.sound_velocity for branch in species.branches]
        chosen = branched(chosen, speeds, species.shares)
    return chosen


def _set(species: Quasiparticles | TransportPhonons, geometry: int | str) -> Directions:
    if geometry == "spherical":
        return spherical(species.directions)
    if geometry == "cylindrical":
        return cylindrical(species.directions, species.azimuths)
    if geometry == "revolved":
        for key in ("quadrature", "degree"):
            if key in species.model_fields_set:
                raise CaseError(
                    f"{key}: is not used on a mesh of radius and height, which has levels of its own"
                )
        return revolved(species.directions, species.azimuths)
    if geometry == 1:
        for key in ("quadrature", "azimuths"):
            if key in species.model_fields_set:
                raise CaseError(
                    f"{key}: is not used on a mesh of dimension 1, whose directions are polar ones"
                )
        return gauss_legendre(species.directions)
    if species.quadrature == "lebedev":
        assert species.degree is not None
        solid = lebedev(species.degree)
    elif species.quadrature == "level_symmetric":
        solid = level_symmetric(species.directions)
    else:
        solid = product(species.directions, species.azimuths)
    return solid if geometry == 3 else solid.folded((0.0, 0.0, 1.0))


def geometry_of(space: Mesh | Shells) -> int | str:
    """Return the geometry that decides on the directions of a body, see `directions`."""
    if isinstance(space, Shells):
        return space.geometry
    return "revolved" if space.dim == 2 and space.coordinates == "cylindrical" else space.dim


def motion(case: TransportCase, name: str, space: Mesh | Shells, media: MediaBuilder) -> Motion:
    """Return the motion of ``quasiparticles`` or ``phonons``; raise `CaseError` if keys contradict each
    other."""
    species: Quasiparticles | TransportPhonons = getattr(case, name)
    if species.motion == "still":
        return Immobile()
    phonons = name == "phonons"
    points = media.grid.phonon_energies if phonons else media.grid.energies
    bath = media.bath.n[0] if phonons else media.bath.f[0]
    largest = np.inf if phonons else 1.0

    def outside(temperature: float) -> Floats:
        found = media.thermal(temperature)
        return found.n[0] if phonons else found.f[0]

    walls = {
        key: wall.wall(BoundarySite(points, bath, outside, largest, media.unit, f"{name}.walls.{key}"))
        for key, wall in species.walls.items()
    }
    interfaces: list[TransmittingInterface | AcousticInterface] = []
    for number, given in enumerate(species.interfaces):
        if isinstance(given, PhononInterface) and given.mass_densities is not None:
            interfaces.append(AcousticInterface(given.between, given.mass_densities))
        else:
            passing = given.transmission.at(points, media.unit, f"{name}.interfaces[{number}].transmission")
            interfaces.append(TransmittingInterface(given.between, passing, given.specularity))
    if species.motion == "diffusive":
        return Diffusion(
            walls=walls, interfaces=[i for i in interfaces if isinstance(i, TransmittingInterface)]
        )
    chosen = directions(case, name, geometry_of(space))
    assert chosen is not None
    return DiscreteOrdinates(chosen, walls, interfaces=interfaces, scheme=species.scheme)
