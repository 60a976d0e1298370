"""Motion of the species of a case of the transport model: directions, walls, interfaces."""

from __future__ import annotations

import numpy as np

from fvqp.case.boltzmann.boundary import BoundarySite, PhononInterface
from fvqp.case.boltzmann.media import MediaBuilder
from fvqp.case.boltzmann.schema import TransportCase
from fvqp.case.boltzmann.species import Quasiparticles, TransportPhonons
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.mesh.shapes import Shape
from fvqp.models.boltzmann import Diffusion, DiscreteOrdinates, Immobile
from fvqp.models.boltzmann.motion import CLOSED, Motion
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
from fvqp.transport.walls import AcousticInterface, TransmittingInterface
from fvqp.typing import Floats

#: Keys of directions that a geometry has no use for, and its name.
UNUSED: dict[int | str, tuple[str, ...]] = {
    1: ("quadrature", "azimuths"),
    "revolved": ("quadrature", "degree"),
    "spherical": ("quadrature", "degree", "azimuths"),
    "cylindrical": ("quadrature", "degree"),
}
NAMES: dict[int | str, str] = {
    1: "on a mesh of dimension 1",
    "revolved": "on a mesh of radius and height",
    "spherical": "in the shells of a sphere",
    "cylindrical": "in the shells of a cylinder",
}


def directions(case: TransportCase, name: str, geometry: int | str) -> Directions | None:
    """Ordinates of ``quasiparticles`` or ``phonons``; None where these do not fly. Raises :class:`CaseError`.

    Args:
        case, name: whose.
        geometry: dimension of the mesh, ``"revolved"`` if that is of radius and height, its coordinates
            if it is a line in radius.
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
    for key in UNUSED.get(geometry, ()):
        if key in species.model_fields_set:
            raise CaseError(f"{key}: is not used {NAMES[geometry]}, which has directions of its own")
    if geometry == "spherical":
        return spherical(species.directions)
    if geometry == "cylindrical":
        return cylindrical(species.directions, species.azimuths)
    if geometry == "revolved":
        return revolved(species.directions, species.azimuths)
    if geometry == 1:
        return gauss_legendre(species.directions)
    if species.quadrature == "lebedev":
        assert species.degree is not None
        solid = lebedev(species.degree)
    else:
        solid = product(species.directions, species.azimuths)
    return solid if geometry == 3 else solid.folded((0.0, 0.0, 1.0))


def geometry_of(mesh: Mesh | Shape) -> int | str:
    """Return the geometry that decides on the directions of a body, see `directions`."""
    if mesh.coordinates == "cartesian":
        return mesh.dim
    return "revolved" if mesh.dim == 2 else mesh.coordinates


def motion(case: TransportCase, name: str, media: MediaBuilder) -> Motion:
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
        key: wall.wall(
            BoundarySite(points, bath, outside, largest, media.unit, media.time, f"{name}.walls.{key}")
        )
        for key, wall in species.walls.items()
    }
    if case.body is not None:
        named = ("outer", "inner") if case.body.inner_radius else ("outer",)
        walls = {key: walls.get(key, CLOSED) for key in named}
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
    chosen = directions(case, name, geometry_of(media.mesh))
    assert chosen is not None
    return DiscreteOrdinates(chosen, walls, interfaces=interfaces, scheme=species.scheme)
