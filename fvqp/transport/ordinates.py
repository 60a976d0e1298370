"""Streaming along discrete ordinates on meshes of lines, surfaces and solids with cells of any kind.

A line in spherical or cylindrical coordinates is a body in concentric shells. A particle that flies straight
on changes its direction relative to the radius; the operator couples the directions of a level so that a
uniform isotropic occupation stays what it is (theory: streaming, Eq. streaming-alpha).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, MeshError
from fvqp.mesh import Mesh
from fvqp.mesh.distribute import bisect
from fvqp.mesh.geometry import cell_means
from fvqp.transport.chain import Chain
from fvqp.transport.directions import FULL, SAME, Directions, RadialDirections
from fvqp.transport.geometry import behind_faces, least_squares
from fvqp.transport.layout import Barrier, CellLayout, Refracting
from fvqp.transport.refraction import Plane
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import AcousticInterface, BathFunction, FaceBath, TransmittingInterface, Wall
from fvqp.typing import Floats, Ints32

#: Cosines below this are round-off: the direction runs along the face.
ALONG = 1e-13
#: Parts of a mesh that are swept one by one, so that 1, 2 and 4 ranks take the same steps.
BLOCKS = 4
#: Normals of faces in one plane differ by less.
SAME_PLANE = 1e-8


def mesh_streaming(
    mesh: Mesh,
    directions: Directions,
    speed: ArrayLike,
    walls: Mapping[str, Wall],
    *,
    elsewhere: Wall | None = None,
    interfaces: Sequence[TransmittingInterface | AcousticInterface] = (),
    states: ArrayLike | None = None,
    medium: Ints32 | None = None,
    scheme: Scheme = "limited",
) -> Streaming:
    """Streaming on the rank's part of a mesh. Collective.

    Args:
        mesh: straight lines, plane surfaces or solids in cartesian coordinates; bodies of revolution as
            surfaces of radius and height; shells of a sphere or a cylinder as lines in radius.
        directions: sets of unit vectors, folded or not, for surfaces and solids, `gauss_legendre` for lines
            along x, `revolved` for bodies of revolution, `spherical` and `cylindrical` for shells.
        speed, states, scheme: see `Streaming`; rows of cells include ghosts.
        walls: by name of an outer boundary.
        elsewhere: the wall at outer faces that ``walls`` does not name. Nothing passes through faces on an
            axis or centre, which have no area and need no wall.
        interfaces: between regions; other faces between regions let everything through.
        medium: ``(n_cells,)`` number of the medium of every cell. Gradients take in cells of the same medium
            only; needed where rates of scattering jump by orders of magnitude. None if there is one medium.

    Raises:
        CaseError: an outer face without a wall, or with two, or a wall inside; a specular wall that the
            directions cannot represent; directions without the moments that the mesh needs; regions that do
            not touch, or interfaces that share faces; media of another shape; see `Streaming`.
        MeshError: unknown names; a line that bends; a centroid that is not behind its face.
    """
    if mesh.dim == 1 and mesh.coordinates != "cartesian":
        mesh = replace(mesh, centroid=_mean_radius(mesh))
    _check(mesh, directions)
    if elsewhere is not None and _has_other_faces(mesh, walls):
        walls = {**walls, "elsewhere": elsewhere}
    barriers = [
        _barrier(mesh, directions, f"wall '{name}'", faces, np.zeros_like(faces), number, wall)
        for number, ((name, wall), faces) in enumerate(
            zip(walls.items(), _wall_faces(mesh, walls), strict=True)
        )
    ]
    inside = [_interface(mesh, directions, number, interface) for number, interface in enumerate(interfaces)]
    # A face belongs to one interface; pairs of regions that overlap would give it two.
    inner = np.concatenate([b.faces for b in inside] or [np.empty(0, np.int32)])
    if mesh.comm.allreduce(int(len(inner) - len(np.unique(inner)))):
        raise CaseError("streaming: two interfaces share faces; name regions that do not overlap")
    return Streaming(
        _layout(mesh, directions, medium),
        directions,
        speed,
        states,
        dict(walls),
        [*barriers, *inside],
        scheme,
        interfaces=[interface.between for interface in interfaces],
    )


def _layout(mesh: Mesh, directions: Directions, medium: Ints32 | None) -> CellLayout:
    media = np.zeros(mesh.n_cells, np.int32) if medium is None else np.asarray(medium, dtype=np.int32)
    if media.shape != (mesh.n_cells,):
        raise CaseError(
            f"streaming: media must be numbered by cell, {mesh.n_cells}, found shape {media.shape}"
        )
    cosine = mesh.face_normal @ directions.vectors.T
    cosine[np.abs(cosine) < ALONG] = 0.0
    inside = mesh.face_cells >= 0
    distance, lateral = behind_faces(mesh)
    offset = mesh.face_centroid[:, None, :] - mesh.centroid[np.where(inside, mesh.face_cells, 0)]
    offset[~inside] = 0.0
    none = np.empty(0, np.int32)
    gradient = least_squares(mesh, media, none, _at_axis(mesh) if mesh.coordinates != "cartesian" else None)
    # Gradients have as many components as the mesh has axes.
    extent = np.max(mesh.comm.allgather(np.abs(offset).max(axis=(0, 1))), axis=0)
    axes = extent > SAME * extent.max()
    curved = isinstance(directions, RadialDirections)
    shells = mesh.dim == 1 and mesh.coordinates != "cartesian"
    reversal = _reversal(directions)
    return CellLayout(
        comm=mesh.comm,
        n_owned=mesh.n_owned,
        n_cells=mesh.n_cells,
        global_id=mesh.global_id,
        exchange=mesh.exchange,
        volume=mesh.volume,
        face_cells=np.ascontiguousarray(mesh.face_cells, np.int32),
        area=mesh.face_area,
        projected=np.ascontiguousarray(cosine * mesh.face_area[:, None]),
        offset=np.ascontiguousarray(offset[:, :, axes]),
        distance=np.where(inside, distance, 0.0),
        lateral=np.ascontiguousarray(lateral[:, :, axes]),
        gradient=replace(gradient, weights=np.ascontiguousarray(gradient.weights[:, axes])),
        reversal=reversal,
        beyond=directions.mirror((1.0, 0.0, 0.0)) if curved else reversal,
        curvature=_curvature(mesh) if curved else np.empty(0),
        spread=_spread(mesh) if shells else np.full(mesh.n_cells, mesh.dim + 1.0),
        block=np.zeros(mesh.n_cells, np.int32) if shells else _blocks(mesh),
        chain=Chain(mesh) if shells and mesh.comm.size > 1 else None,
    )


def _mean_radius(mesh: Mesh) -> Floats:
    """Points at the mean radius over the volume of every shell, ``(n_cells, 3)``."""
    low, high = _radii(mesh)
    out = np.zeros((mesh.n_cells, 3))
    # Sums of powers in place of differences keep thin shells exact.
    if mesh.coordinates == "cylindrical":
        out[:, 0] = 2.0 * (low**2 + low * high + high**2) / (3.0 * (low + high))
    else:
        out[:, 0] = 3.0 * (low + high) * (low**2 + high**2) / (4.0 * (low**2 + low * high + high**2))
    return out


def _radii(mesh: Mesh) -> tuple[Floats, Floats]:
    """Inner and outer radius of every shell, ``(n_cells,)``."""
    radii = mesh.points[mesh.corners[:, :2], 0]
    return radii.min(axis=1), radii.max(axis=1)


def _spread(mesh: Mesh) -> Floats:
    """Bound of values at faces and between directions over that of a shell, if none is negative."""
    low, high = _radii(mesh)
    inward, outward = mesh.centroid[:, 0] - low, high - mesh.centroid[:, 0]
    at_inner = np.where(low > 0.0, inward / outward, 0.0)
    return 1.0 + np.maximum(np.maximum(at_inner, outward / inward), 1.0)


def _curvature(mesh: Mesh) -> Floats:
    """Outer minus inner area of shells; of rings, whose areas along the radius add to that, 2π times their
    cross-section. ``(n_cells,)``, of owned cells."""
    if mesh.dim > 1:
        return mesh.volume / mesh.centroid[:, 0]
    # Fluxes through the two faces, and changes of direction, are to cancel to rounding.
    outward = mesh.face_area * mesh.face_normal[:, 0]
    inside = mesh.face_cells[:, 1] >= 0
    out = np.zeros(mesh.n_cells)
    np.add.at(out, mesh.face_cells[:, 0], outward)
    np.subtract.at(out, mesh.face_cells[inside, 1], outward[inside])
    return out


def _reversal(directions: Directions) -> Ints32:
    """For every direction the one of opposite motion in space or, in shells, radius, ``(M,)``."""
    if isinstance(directions, RadialDirections) and directions.geometry != "revolved":
        return directions.mirror((1.0, 0.0, 0.0))
    return directions.inverse()


def _blocks(mesh: Mesh) -> Ints32:
    """Blocks in which cells are swept: those that `BLOCKS` ranks would have, on fewer ranks too; −1 of images
    of cells."""
    comm, n = mesh.comm, mesh.n_owned
    each = max(1, BLOCKS // comm.size)
    out = np.empty(mesh.n_cells)
    out[:n] = comm.rank * each + bisect(cell_means(mesh.points, mesh.corners[:n]), min(each, n))
    mesh.exchange(out)
    place = mesh.centroid.copy()
    mesh.exchange(place)
    moved = np.abs(place - mesh.centroid).max(axis=1) > SAME * np.abs(mesh.centroid).max(initial=0.0)
    return np.where(moved, -1, out).astype(np.int32)


def _at_axis(mesh: Mesh) -> Ints32:
    """Owned cells with a vertex on the axis of revolution, or at the centre."""
    radius = mesh.points[:, 0]
    # the vertices of a cell fill its row from the left
    corners = mesh.corners[: mesh.n_owned]
    lowest = np.where(corners >= 0, radius[corners], np.inf).min(axis=1)
    return np.flatnonzero(lowest < SAME * mesh.centroid[: mesh.n_owned, 0]).astype(np.int32)


def _check(mesh: Mesh, directions: Directions) -> None:
    about = directions.geometry if isinstance(directions, RadialDirections) else None
    # Means over directions diffuse on bodies of revolution too, whose areas and volumes the mesh has.
    needed = None
    if mesh.coordinates != "cartesian" and not directions.means_only:
        needed = "revolved" if mesh.dim > 1 else mesh.coordinates
    if about != needed:
        raise CaseError(
            f"{mesh.name}: the directions ({directions.name}) do not go with its {mesh.coordinates} "
            "coordinates; shells need spherical or cylindrical ones, meshes of radius and height those of "
            "bodies of revolution, others none of these"
        )
    # The directions must be isotropic in the space that the mesh spans.
    spread = mesh.comm.allreduce(mesh.face_normal.T @ mesh.face_normal)
    size, axes = np.linalg.eigh(spread)
    spanned = size > 1e-9 * size[-1]
    if mesh.dim == 1 and spanned.sum() > 1:
        raise MeshError(
            f"{mesh.name}: a line that bends; particles fly straight, so a surface or solid is needed"
        )
    v = directions.vectors @ axes[:, spanned]
    second = (v.T * directions.weights) @ v * (3.0 / FULL) - np.eye(v.shape[1])
    if np.abs(second).max() > SAME or np.abs(directions.weights @ v).max() > SAME:
        raise CaseError(
            f"{mesh.name}: the directions ({directions.name}) are not isotropic in its {v.shape[1]} "
            "dimensions; "
            "use a product or Lebedev set, folded about the plane of a surface, or Gauss-Legendre along x"
        )


def _with_area(mesh: Mesh) -> Ints32:
    """Outer faces but for those on an axis or centre."""
    return mesh.outer_faces[mesh.face_area[mesh.outer_faces] > 0.0].astype(np.int32)


def _has_other_faces(mesh: Mesh, walls: Mapping[str, Wall]) -> bool:
    """Return whether outer faces on any rank belong to none of the boundaries that walls name."""
    named = [mesh.boundaries[name] for name in walls if name in mesh.boundaries]
    others = np.setdiff1d(_with_area(mesh), np.concatenate([*named, np.empty(0, np.int32)]))
    return bool(mesh.comm.allreduce(len(others)))


def _wall_faces(mesh: Mesh, walls: Mapping[str, Wall]) -> list[Ints32]:
    """Outer faces of every wall; those of ``elsewhere`` are what is left."""
    owner = np.full(mesh.n_faces, -1, np.int32)
    outer = _with_area(mesh)
    out = []
    for number, name in enumerate(walls):
        if name == "elsewhere" and name not in mesh.boundaries:
            faces = outer[owner[outer] < 0]
        else:
            faces = mesh.require_boundary(name)
        inner = mesh.comm.allreduce(int(np.sum(mesh.face_cells[faces, 1] >= 0)))
        if inner:
            raise CaseError(
                f"wall '{name}': {inner} of its faces lie inside {mesh.name}; a wall is an outer boundary"
            )
        twice = mesh.comm.allreduce(int(np.sum(owner[faces] >= 0)))
        if twice:
            raise CaseError(f"wall '{name}': {twice} of its faces belong to another wall too")
        owner[faces] = number
        out.append(faces.astype(np.int32))
    bare = mesh.comm.allreduce(int(np.sum(owner[outer] < 0)))
    if bare:
        raise CaseError(
            f"{mesh.name}: {bare} outer faces have no wall; name their boundaries "
            f"(there are {', '.join(mesh.boundaries) or 'none'}) or give a wall for elsewhere"
        )
    return out


def _interface(
    mesh: Mesh, directions: Directions, number: int, interface: TransmittingInterface | AcousticInterface
) -> Barrier | Refracting:
    faces, near = _between(mesh, interface)
    what = f"interface of {' and '.join(interface.between)}"
    if isinstance(interface, TransmittingInterface):
        return _barrier(mesh, directions, what, faces, near, number, interface)
    # From the first region to the second, the same planes on all ranks: where the two cells of a face are on
    # different ones, both agree on what passes.
    normals = np.where(near == 0, 1.0, -1.0)[:, None] * mesh.face_normal[faces]
    distinct: list[Floats] = []
    for normal in np.concatenate(mesh.comm.allgather(np.unique(np.round(normals, 9), axis=0))):
        if all(np.abs(normal - other).max() > SAME_PLANE for other in distinct):
            distinct.append(normal)
    try:
        planes = tuple(Plane(directions, normal / np.linalg.norm(normal)) for normal in distinct)
    except CaseError as error:
        raise CaseError(f"{what} of {mesh.name}: {error}") from None
    away = np.abs(normals[:, None, :] - np.array(distinct)).max(axis=2)
    first, second = interface.densities
    return Refracting(faces, number, near, np.argmin(away, axis=1).astype(np.int32), planes, second / first)


def _between(mesh: Mesh, interface: TransmittingInterface | AcousticInterface) -> tuple[Ints32, Ints32]:
    """Faces between the regions of an interface, and which of their cells is in the first."""
    found = mesh.faces_between(*interface.between)
    if not mesh.comm.allreduce(len(found)):
        raise CaseError(
            f"interface: regions '{interface.between[0]}' and '{interface.between[1]}' do not touch"
        )
    first, second = (
        np.isin(mesh.face_cells[found, side], region)
        for side, region in zip((0, 1), (mesh.regions[name] for name in interface.between), strict=True)
    )
    return found.astype(np.int32), np.where(first & second, 0, 1).astype(np.int32)


def _barrier(
    mesh: Mesh,
    directions: Directions,
    what: str,
    faces: Ints32,
    near: Ints32,
    number: int,
    wall: Wall | TransmittingInterface,
) -> Barrier:
    """With the reflections at the distinct normals of its faces, if it reflects."""
    reflects = wall.specularity > 0.0 and bool(np.any(np.asarray(wall.transmission) < 1.0))
    images = _reversal(directions)[None, :]
    image = np.zeros(len(faces), np.int32)
    velocity, bath, problem = None, None, None
    if isinstance(wall, Wall):
        velocity = wall.velocity
        if not directions.means_only and (velocity is not None or isinstance(wall.bath, BathFunction)):
            raise CaseError(
                f"{what} of {mesh.name}: a surface velocity, or a bath that depends on place or time, needs "
                "diffusion; give a transmission and a bath by energy"
            )
        try:
            if isinstance(wall.bath, BathFunction):
                bath = FaceBath(wall.bath, mesh.face_centroid[faces])
        except CaseError as error:
            problem = str(error)
    if reflects and len(faces):
        normals, number_of = np.unique(np.round(mesh.face_normal[faces], 9), axis=0, return_inverse=True)
        image = number_of.ravel().astype(np.int32)
        try:
            images = np.stack([directions.mirror(n / np.linalg.norm(n)) for n in normals])
        except CaseError as error:
            problem = f"{what} of {mesh.name}: {error}"
    # A rank with a problem must not leave the others waiting.
    problems = [p for p in mesh.comm.allgather(problem) if p]
    if problems:
        raise CaseError(problems[0])
    numbers = (number, -1) if isinstance(wall, Wall) else (-1, number)
    return Barrier(faces, *numbers, near, wall.transmission, wall.specularity, images, image, velocity, bath)
