"""Periodic meshes: pairs of boundaries of which one is the other, moved.

Cells at the one get images of the cells at the other as neighbours, ghosts with places and numbers of their
own: whatever works across ranks works across such boundaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fvqp.errors import MeshError
from fvqp.mesh.distribute import GhostExchange, raise_together
from fvqp.mesh.mesh import Mesh
from fvqp.typing import Bools, Floats, Ints

#: Places and sizes that differ by less of the size of the smallest face are the same.
SAME = 1e-5


def identified(mesh: Mesh, pairs: Sequence[tuple[str, str]]) -> Mesh:
    """The mesh in which what leaves at one boundary of a pair enters at the other. Collective.

    Their faces lie inside afterwards, between a cell and the image of its partner; they keep their names. A
    face appears twice, at either boundary, and belongs to one.

    Args:
        mesh: in cartesian coordinates, with three or more cells from one boundary of a pair to the other.
        pairs: names of boundaries; the faces of the second are those of the first, moved.

    Raises:
        MeshError: unknown names, boundaries inside or in two pairs, faces that do not match.
    """
    if not pairs:
        return mesh
    if mesh.coordinates != "cartesian":
        raise MeshError(f"{mesh.name}: only cartesian meshes are periodic, not {mesh.coordinates} ones")
    matches = [_match(mesh, first, second) for first, second in pairs]
    _check_disjoint(mesh, pairs)
    tolerance = SAME * min(match.size for match in matches)
    places = np.unique(np.concatenate([match.vertices for match in matches]), axis=0)
    layer = _Layer(mesh, places, tolerance)
    images = layer.images(mesh, places, [match.shift for match in matches], tolerance)
    return _with_images(mesh, matches, layer, images, tolerance)


@dataclass
class _Match:
    """Faces of a pair.

    Attributes:
        faces: of this rank, of the first boundary and then of the second.
        of_second: whether a face is one of the second boundary.
        partner: global number of the cell behind the partner.
        shift: from the first to the second boundary.
        size: of the smallest face, a length.
        vertices: ``(n, 3)`` of all faces of all ranks.
    """

    faces: Ints
    of_second: Bools
    partner: Ints
    shift: Floats
    size: float
    vertices: Floats


def _match(mesh: Mesh, first: str, second: str) -> _Match:
    what = f"{mesh.name}: periodic boundaries '{first}' and '{second}'"
    both = [mesh.require_boundary(name) for name in (first, second)]
    if mesh.comm.allreduce(int(sum(np.sum(mesh.face_cells[faces, 1] >= 0) for faces in both))):
        raise MeshError(f"{what}: some of their faces lie inside; both must be outer boundaries")
    centre, normal, area, cell = (
        [np.concatenate(mesh.comm.allgather(part[faces])) for faces in both]
        for part in (
            mesh.face_centroid,
            mesh.face_normal,
            mesh.face_area,
            mesh.global_id[mesh.face_cells[:, 0]],
        )
    )
    counts = [len(a) for a in area]
    if counts[0] != counts[1] or not counts[0]:
        raise MeshError(f"{what} have {counts[0]} and {counts[1]} faces; mesh both alike")
    means = [(a[:, None] * c).sum(axis=0) / a.sum() for a, c in zip(area, centre, strict=True)]
    shift = means[1] - means[0]
    smallest = float(min(a.min() for a in area))
    size = float(np.linalg.norm(shift)) if mesh.dim == 1 else smallest ** (1.0 / (mesh.dim - 1))
    distance, place = cKDTree(centre[1]).query(centre[0] + shift)
    alike = (
        (distance < SAME * size)
        & (np.abs(area[1][place] - area[0]) < SAME * area[0])
        & (np.abs(normal[1][place] + normal[0]).max(axis=1) < SAME)
    )
    if not alike.all():
        moved = ", ".join(f"{x:.4g}" for x in shift)
        raise MeshError(
            f"{what}: {int((~alike).sum())} of {counts[0]} faces of the first are not faces of the second "
            f"when moved by ({moved}) m; mesh both alike, in gmsh with setPeriodic"
        )
    back = np.empty_like(place)
    back[place] = np.arange(len(place))
    # Rows of this rank in the tables of all.
    start = [sum(mesh.comm.allgather(len(faces))[: mesh.comm.rank]) for faces in both]
    own = [np.arange(s, s + len(faces)) for s, faces in zip(start, both, strict=True)]
    corners = mesh.face_corners[np.concatenate(both)]
    vertices = mesh.points[np.unique(corners[corners >= 0])]
    return _Match(
        np.concatenate(both),
        np.repeat([False, True], [len(faces) for faces in both]),
        np.concatenate([cell[1][place[own[0]]], cell[0][back[own[1]]]]),
        shift,
        size,
        np.concatenate(mesh.comm.allgather(vertices)),
    )


def _check_disjoint(mesh: Mesh, pairs: Sequence[tuple[str, str]]) -> None:
    used = np.zeros(mesh.n_faces, dtype=np.int64)
    for name in (name for pair in pairs for name in pair):
        used[mesh.boundaries[name]] += 1
    if mesh.comm.allreduce(int(np.sum(used > 1))):
        raise MeshError(f"{mesh.name}: periodic boundaries share faces; each face has one partner")


class _Images(NamedTuple):
    """Cells of the layer that have an image on this rank.

    Attributes:
        row: in the layer.
        moved: ``(images, 3)`` by how much.
        step: number of the combination of shifts, see `_step`.
    """

    row: Ints
    moved: Floats
    step: Ints


def _step(factors: Sequence[int]) -> int:
    """Number of a combination of −1, 0, 1 times the shift of every pair."""
    return int(sum((factor + 1) * 3**place for place, factor in enumerate(factors)))


class _Layer:
    """Cells of all ranks that touch a periodic boundary, by rank and global number."""

    def __init__(self, mesh: Mesh, places: Floats, tolerance: float) -> None:
        corners = mesh.corners[: mesh.n_owned]
        at_boundary = _near(places, mesh.points, tolerance)
        own = np.flatnonzero(np.any((corners >= 0) & at_boundary[corners], axis=1))
        members = (
            np.stack([np.isin(own, cells) for cells in mesh.regions.values()], axis=1)
            if mesh.regions
            else np.empty((len(own), 0), bool)
        )

        def of_all(rows: NDArray) -> NDArray:
            return np.concatenate(mesh.comm.allgather(rows))

        self.rank = of_all(np.full(len(own), mesh.comm.rank))
        self.global_id = of_all(mesh.global_id[own])
        self.cell_type = of_all(mesh.cell_type[own])
        self.known = of_all(corners[own] >= 0)
        self.at = of_all(mesh.points[corners[own]])
        self.volume = of_all(mesh.volume[own])
        self.centroid = of_all(mesh.centroid[own])
        self.cell_region = of_all(mesh.cell_region[own])
        self.members = of_all(members)

    def images(self, mesh: Mesh, places: Floats, shifts: Sequence[Floats], tolerance: float) -> _Images:
        """Cells whose moved images share a periodic vertex with an owned cell."""
        corners = mesh.corners[: mesh.n_owned]
        here = mesh.points[np.unique(corners[corners >= 0])]
        here = here[_near(places, here, tolerance)]
        rows, moved, steps = [], [], []
        for factors in product((-1, 0, 1), repeat=len(shifts)):
            if not any(factors):
                continue
            shift = np.asarray(factors) @ np.asarray(shifts)
            touches = np.zeros(self.known.shape, bool)
            touches[self.known] = _near(here, self.at[self.known] + shift, tolerance)
            found = np.flatnonzero(touches.any(axis=1))
            rows.append(found)
            moved.append(np.repeat(shift[None, :], len(found), axis=0))
            steps.append(np.full(len(found), _step(factors)))
        return _Images(np.concatenate(rows), np.concatenate(moved), np.concatenate(steps))


def _near(places: Floats, points: Floats, tolerance: float) -> Bools:
    """Return which points are at one of the places."""
    if not len(places) or not len(points):
        return np.zeros(len(points), bool)
    return np.asarray(cKDTree(places).query(points, distance_upper_bound=tolerance)[0] < tolerance)


def _with_images(
    mesh: Mesh, matches: Sequence[_Match], layer: _Layer, images: _Images, tolerance: float
) -> Mesh:
    at = layer.at[images.row] + images.moved[:, None, :]
    known = layer.known[images.row]
    # Corners at vertices of this rank are these; the others are new.
    corners = np.full(known.shape, -1, dtype=np.int64)
    distance, vertex = cKDTree(mesh.points).query(at[known], distance_upper_bound=tolerance)
    new = ~(distance < tolerance)
    corners[known] = np.where(new, len(mesh.points) + np.cumsum(new) - 1, vertex)
    n_cells = mesh.n_cells
    global_id = np.concatenate([mesh.global_id, layer.global_id[images.row]])
    face_cells, face_normal, face_corners = (
        a.copy() for a in (mesh.face_cells, mesh.face_normal, mesh.face_corners)
    )
    problem = None
    for number, match in enumerate(matches):
        behind = _image_behind(mesh, match, layer, images, number, len(matches))
        found = behind >= 0
        row = mesh.face_corners[match.faces[found]]
        shared = (row[:, :, None] == corners[behind[found]][:, None, :]).any(axis=2) | (row < 0)
        apart = int(np.sum(~found) + np.sum(~shared.all(axis=1)))
        if apart:
            problem = f"{mesh.name}: periodic boundaries: the corners of {apart} faces do not match"
            break
        face_cells[match.faces, 1] = n_cells + behind
        # Cell 0 is the one with the lower number, so that one of the two faces belongs to its rank.
        inside, other = mesh.global_id[face_cells[match.faces, 0]], global_id[n_cells + behind]
        turned = match.faces[(other < inside) | ((other == inside) & match.of_second)]
        face_cells[turned] = face_cells[turned, ::-1]
        face_normal[turned] *= -1.0
        face_corners[turned] = _reversed(face_corners[turned])
    raise_together(mesh.comm, problem)
    raise_together(mesh.comm, _too_narrow(mesh, face_cells, global_id))
    rank = np.full(n_cells, mesh.comm.rank)
    mesh.exchange(rank)
    owner = np.concatenate([rank, layer.rank[images.row]])[mesh.n_owned :]
    return replace(
        mesh,
        global_id=global_id,
        points=np.concatenate([mesh.points, at[known][new]]),
        cell_type=np.concatenate([mesh.cell_type, layer.cell_type[images.row]]),
        corners=np.concatenate([mesh.corners, corners]),
        volume=np.concatenate([mesh.volume, layer.volume[images.row]]),
        centroid=np.concatenate([mesh.centroid, layer.centroid[images.row] + images.moved]),
        face_cells=face_cells,
        face_normal=face_normal,
        face_corners=face_corners,
        regions={
            name: np.concatenate([cells, n_cells + np.flatnonzero(layer.members[images.row, column])])
            for column, (name, cells) in enumerate(mesh.regions.items())
        },
        cell_region=np.concatenate([mesh.cell_region, layer.cell_region[images.row]]),
        exchange=GhostExchange(mesh.comm, global_id, mesh.n_owned, owner),
    )


def _image_behind(
    mesh: Mesh, match: _Match, layer: _Layer, images: _Images, number: int, n_pairs: int
) -> Ints:
    """Number of the image that is beyond each face, −1 if there is none."""
    # A cell at the second boundary is moved back to the first, and the other way round.
    steps = [_step([sign * (place == number) for place in range(n_pairs)]) for sign in (-1, 1)]
    wanted = np.where(match.of_second, steps[1], steps[0]) * mesh.n_global + match.partner
    there = images.step * mesh.n_global + layer.global_id[images.row]
    if not len(there):
        return np.full(len(wanted), -1)
    order = np.argsort(there)
    place = np.minimum(np.searchsorted(there[order], wanted), len(order) - 1)
    return np.where(there[order[place]] == wanted, order[place], -1)


def _reversed(corners: Ints) -> Ints:
    """The same faces seen from the other side."""
    out = np.full_like(corners, -1)
    count = (corners >= 0).sum(axis=1)
    for n in np.unique(count):
        rows = count == n
        out[rows, :n] = corners[rows, :n][:, ::-1]
    return out


def _too_narrow(mesh: Mesh, face_cells: Ints, global_id: Ints) -> str | None:
    """Two cells may touch in one face only, and none itself."""
    inner = face_cells[face_cells[:, 1] >= 0]
    rows = np.concatenate([inner, inner[:, ::-1]])
    rows = rows[rows[:, 0] < mesh.n_owned]
    keys = global_id[rows]
    repeated = len(np.unique(keys, axis=0)) < len(keys)
    if not repeated and not np.any(keys[:, 0] == keys[:, 1]):
        return None
    return f"{mesh.name}: periodic boundaries need three or more cells between them"
