"""Interfaces that refract waves, face by face: what passes and what is reflected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fvqp.transport.directions import Directions
from fvqp.transport.layout import CellLayout, Refracting
from fvqp.transport.refraction import Passage, Plane
from fvqp.typing import Floats, Integers, Ints

#: Digits to which ratios of states, speeds and densities are the same.
SAME_DIGITS = 10


class _Group(NamedTuple):
    """Faces in one plane, and energies, with one ratio of states and of impedances.

    Attributes:
        rows: which faces of the interface.
        plane: their directions.
        passage: what passes.
        scale: ``(rows, energy)`` area × states × speed of the near side; 0 at other energies.
    """

    rows: Ints
    plane: Plane
    passage: Passage
    scale: Floats


class AcousticFaces:
    """The faces of one interface.

    Args:
        layout, directions: see `Streaming`.
        barrier: the faces.
        g, speed: ``(n_cells or 1, energy)`` states × speed, and speed.

    Attributes:
        barrier: as given.
        faces: their numbers.
        passing: ``(faces, energy)`` states × speed of isotropic occupations that pass.
        resisting: the same where the occupation is that of diffusion, and forward directions carry more.
    """

    def __init__(
        self, layout: CellLayout, directions: Directions, barrier: Refracting, g: Floats, speed: Floats
    ) -> None:
        self.barrier, self.faces = barrier, barrier.faces
        self._plane_of, self._planes = barrier.plane, barrier.planes
        self._weights, self._n_owned = directions.weights, layout.n_owned
        near, beyond = barrier.near, 1 - barrier.near
        self._cells = [layout.face_cells[barrier.faces, side] for side in (near, beyond)]
        self._projected = np.abs(layout.projected[barrier.faces])
        self._g = [_rows(g, cells) for cells in self._cells]
        speeds = [_rows(speed, cells) for cells in self._cells]
        area = layout.area[barrier.faces]
        self._groups: list[_Group] = []
        self.passing = np.zeros(self._g[0].shape)
        self.resisting = np.zeros(self._g[0].shape)
        open_ = (self._g[0] > 0.0) & (self._g[1] > 0.0)
        kinds = np.ones((3, *open_.shape))
        np.divide(self._g[1], self._g[0], out=kinds[1], where=open_)
        np.divide(barrier.density * speeds[1], speeds[0], out=kinds[2], where=open_)
        kinds[0] = barrier.plane[:, None]
        kinds[1:] = np.exp(np.round(np.log(kinds[1:]), SAME_DIGITS))
        while open_.any():
            row, energy = np.unravel_index(np.argmax(open_), open_.shape)
            kind = kinds[:, row, energy]
            plane, ratio, impedance = kind
            same = open_ & np.all(kinds == kind[:, None, None], axis=0)
            open_ &= ~same
            rows = np.flatnonzero(same.any(axis=1))
            passage = barrier.planes[int(plane)].passage(float(ratio), float(impedance))
            scale = np.where(same, self._g[0], 0.0)
            self.passing += passage.mean * scale
            excess = (passage.tilted[0] - passage.mean) + (passage.tilted[1] - passage.mean / ratio)
            self.resisting += passage.mean / (1.0 - 0.5 * excess) * scale
            scale = area[rows, None] * scale[rows]
            self._groups.append(_Group(rows, barrier.planes[int(plane)], passage, scale))

    def exchange(self, leaving: Floats, inverse: Floats, rate: Floats) -> Floats:
        """Add to ``rate[owned cell, M, energy]`` what leaves both sides, passes and is reflected.

        Args:
            leaving: ``(faces, M, energy)`` occupations that arrive at the faces from either side.
            inverse: ``(n_owned, energy)`` one over the capacity of cells.

        Returns:
            ``(energy,)`` net number that passes from owned cells of the near side, in sum over directions.
        """
        net = np.zeros(rate.shape[2])
        for number, plane in enumerate(self._planes):
            rows = np.flatnonzero(self._plane_of == number)
            for side, out in enumerate((plane.onward, plane.against)):
                back = plane.mirror[out]
                arriving = self._g[side][rows, None, :] * leaving[rows][:, out]
                cells = self._cells[side][rows]
                self._add(inverse, rate, cells, out, -self._projected[rows][:, out, None] * arriving)
                self._add(inverse, rate, cells, back, self._projected[rows][:, back, None] * arriving)
        for rows, plane, passage, scale in self._groups:
            shares, weights = passage.shares, self._weights[plane.onward, None]
            near, beyond = (cells[rows] for cells in self._cells)
            onward: Floats = scale[:, None, :] * leaving[rows][:, plane.onward]
            against: Floats = scale[:, None, :] * leaving[rows][:, plane.against]
            self._add(inverse, rate, beyond, plane.onward, (shares.T / weights) @ onward)
            self._add(inverse, rate, near, plane.against, (shares / weights) @ against)
            passed = shares.sum(axis=1)[:, None] / weights, shares.sum(axis=0)[:, None] / weights
            self._add(inverse, rate, near, plane.mirror[plane.onward], -passed[0] * onward)
            self._add(inverse, rate, beyond, plane.mirror[plane.against], -passed[1] * against)
            counted = near < self._n_owned
            net += np.einsum("m,fme->e", shares.sum(axis=1), onward[counted])
            net -= np.einsum("m,fme->e", shares.sum(axis=0), against[counted])
        return net

    def _add(
        self,
        inverse: Floats,
        rate: Floats,
        cells: Integers,
        directions: Integers,
        values: Floats,
    ) -> None:
        owned = cells < self._n_owned
        here = cells[owned, None]
        np.add.at(rate, (here, directions[None, :]), values[owned] * inverse[here])


def _rows(values: Floats, cells: Integers) -> Floats:
    return values[cells] if len(values) > 1 else np.repeat(values, len(cells), axis=0)
