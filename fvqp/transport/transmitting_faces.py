"""Faces that do not let everything through: walls, interfaces, and steps of states × speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fvqp.errors import CaseError
from fvqp.transport.acoustic_faces import AcousticFaces
from fvqp.transport.directions import Directions
from fvqp.transport.layout import Barrier, CellLayout, Refracting
from fvqp.transport.streaming_tables import TransmittingFaces
from fvqp.transport.walls import BathFunction, Wall
from fvqp.typing import Floats, Ints32

#: States × speed that differ by less across a face, relatively, differ by rounding.
LEVEL = 1e-12
#: Fields of `TransmittingFaces` with one row a face.
BY_GATE = ("face", "wall", "counter", "sign", "passing", "specular", "image", "norm")


def make_transmitting(
    layout: CellLayout,
    directions: Directions,
    g: Floats,
    speed: Floats,
    walls: Mapping[str, Wall],
    barriers: Sequence[Barrier],
    acoustic: Sequence[AcousticFaces],
) -> tuple[TransmittingFaces, Ints32]:
    """Walls, interfaces and steps of states × speed, and the row of each face, −1 of open ones.

    Interfaces that refract come last, in their order.

    Args:
        g, speed: ``(n_cells or 1, energy)`` states × speed, and speed.
        walls: by name; ``barriers`` number them.

    Raises:
        CaseError: transmissions or baths of walls for another number of energies or directions.
    """
    n_energies = g.shape[1]
    c0, c1 = layout.face_cells.T
    per_cell = len(g) > 1
    smaller = g[c0] if per_cell else np.broadcast_to(g, (len(c0), n_energies))
    taken = np.zeros(len(c0), bool)
    parts: list[tuple[Ints32, int, Floats, float, Ints32]] = []
    counter, sign = np.full(len(c0), -1, np.int32), np.ones(len(c0))
    counted: list[Barrier | Refracting] = [*barriers, *(refracting.barrier for refracting in acoustic)]
    for one in counted:
        # Of the two ranks that know a face, that of the near cell counts.
        own = layout.face_cells[one.faces, one.near] < layout.n_owned
        row = one.wall if isinstance(one, Barrier) and one.wall >= 0 else len(walls) + one.interface
        counter[one.faces[own]] = row
        sign[one.faces] = np.where(one.near == 0, 1.0, -1.0)
    images = [layout.reversal[None, :]]
    for barrier in barriers:
        here = barrier.faces
        passing = smaller[here]
        if barrier.wall < 0 and per_cell:
            passing = np.minimum(passing, g[c1[here]])
        share = np.asarray(barrier.transmission, dtype=np.float64)
        if share.ndim and share.shape != (n_energies,):
            raise CaseError(f"walls: a transmission has {share.size} values for {n_energies} energies")
        if barrier.velocity is not None:
            share = _share_of_velocity(barrier.velocity, speed[c0[here]] if len(speed) > 1 else speed)
        rows = sum(len(i) for i in images) + barrier.image
        parts.append((here, barrier.wall, passing * share, barrier.specularity, rows))
        images.append(barrier.images)
        taken[here] = True
    for refracting in acoustic:
        taken[refracting.faces] = True
    if per_cell:
        steps = np.flatnonzero((c1 >= 0) & ~taken).astype(np.int32)
        passing = np.minimum(g[c0[steps]], g[c1[steps]])
        larger = np.maximum(g[c0[steps]], g[c1[steps]])
        stepped = np.any(larger - passing > LEVEL * larger, axis=1)
        steps, passing = steps[stepped].astype(np.int32), passing[stepped]
        parts.append((steps, -1, passing, 1.0, np.zeros(len(steps), np.int32)))
    for refracting in acoustic:
        none = np.zeros(len(refracting.faces), np.int32)
        parts.append((refracting.faces, -1, refracting.passing, 1.0, none))
    faces = np.concatenate([p[0] for p in parts] or [np.empty(0, np.int32)]).astype(np.int32)
    transmitting_row = np.full(len(c0), -1, np.int32)
    transmitting_row[faces] = np.arange(len(faces), dtype=np.int32)
    weighted = layout.projected[faces] * directions.weights
    norm = np.stack([-np.minimum(weighted, 0.0).sum(axis=1), np.maximum(weighted, 0.0).sum(axis=1)], axis=1)
    transmitting = TransmittingFaces(
        face=faces,
        wall=np.concatenate([np.full(len(p[0]), p[1], np.int32) for p in parts] or [np.empty(0, np.int32)]),
        counter=counter[faces],
        sign=sign[faces],
        passing=np.ascontiguousarray(np.concatenate([p[2] for p in parts] or [np.empty((0, n_energies))])),
        specular=np.concatenate([np.full(len(p[0]), p[3]) for p in parts] or [np.empty(0)]),
        image=np.concatenate([p[4] for p in parts] or [np.empty(0, np.int32)]).astype(np.int32),
        images=np.ascontiguousarray(np.concatenate(images), dtype=np.int32),
        bath=_baths(walls, directions.count, n_energies),
        norm=norm,
    )
    return transmitting, transmitting_row


def _share_of_velocity(velocity: float, speed: Floats) -> Floats:
    """Return the transmission η with Marshak's conductance ``v/4 η/(1 − η/2)`` of a surface velocity.

    From 1 to 2 it is no share of anything that flies: the occupation at the wall is nearer to that outside
    than a bath can bring it.
    """
    if velocity == 0.0:
        return np.zeros_like(speed)
    return np.asarray(4.0 / (speed / velocity + 2.0))


def first(transmitting: TransmittingFaces, count: int) -> TransmittingFaces:
    """Return the first ``count`` transmitting faces."""
    return transmitting._replace(**{name: getattr(transmitting, name)[:count] for name in BY_GATE})


def bath_means(layout: CellLayout, directions: Directions, transmitting: TransmittingFaces) -> Floats:
    """Return the influx from baths through each face of a wall, as the isotropic occupation that sends as
    much; 0 where the bath depends on the face.

    ``(faces of walls, energy)``, in the order of the transmitting faces.
    """
    weighted = np.maximum(-layout.projected[transmitting.face] * directions.weights, 0.0)
    out = np.empty(transmitting.passing.shape)
    for number, bath in enumerate(transmitting.bath):
        here = transmitting.wall == number
        norm = transmitting.norm[here, :1]
        # Sides that lie on an axis of revolution have no area.
        out[here] = weighted[here] @ bath / np.where(norm > 0.0, norm, 1.0)
    return out[transmitting.wall >= 0]


def _baths(walls: Mapping[str, Wall], n_directions: int, n_energies: int) -> Floats:
    shape = (n_directions, n_energies)
    out = np.zeros((len(walls), *shape))
    for number, (name, wall) in enumerate(walls.items()):
        if isinstance(wall.bath, BathFunction):
            continue
        try:
            out[number] = np.broadcast_to(np.asarray(wall.bath, dtype=np.float64), shape)
        except ValueError:
            raise CaseError(
                f"wall '{name}': the bath has shape {np.shape(wall.bath)}, needs one value, one an "
                f"energy ({shape[1]},) or one a direction and energy {shape}"
            ) from None
    return out
