"""The diffusive occupation at faces, from means over directions on either side.

Where free paths are much shorter than cells, the occupation is ``φ − λ Ω·∇φ`` with φ its mean over
directions. Faces then carry the flux that a two-point diffusion operator would: the occupation at the face
follows from resistances in series, half a cell on either side and the gate between (theory: streaming, Eqs.
streaming-resistance and streaming-blend).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fvqp.transport.directions import FULL
from fvqp.transport.streaming_kernels import Blend, Gates

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

#: Optical depth below which 1 − (1 + τ) e^−τ is taken from its series, relative error 1e-13.
THIN = 1e-3
#: Optical depth beyond which e^−τ is no longer a number to be reckoned with.
OPAQUE = 700.0


class FaceDiffusion:
    """Resistances of faces between cell centres, and what they make of a face's occupation.

    Args:
        face_cells, area, distance: see `Layout`.
        g, speed: ``(n_cells or 1, energy)`` states × speed, and speed.
        gates: faces that return particles.
    """

    def __init__(
        self,
        face_cells: Ints,
        area: Floats,
        distance: Floats,
        g: Floats,
        speed: Floats,
        gates: Gates,
    ) -> None:
        self._cells = face_cells
        self._area = area
        self._distance = distance
        self._g = self._beside(g)
        self._speed = self._beside(speed)
        outside = face_cells[:, 1] < 0
        # Nothing resists in the bath.
        self._inside = np.stack([np.ones(len(area), bool), ~outside], axis=1)
        self._gates = gates
        self._gate_resistance = self._of_gates()

    def blend(self, mean: Floats, scattering: Floats) -> Blend:
        """Share of the diffusive occupation at faces and its value.

        Args:
            mean: ``(n_faces, 2, energy)`` means over directions straight behind the face, baths beyond walls.
            scattering: ``(n_cells or 1, energy)`` rate.
        """
        depth, resistance = self._depths(scattering)
        # Behind a wall a cell of the same depth is supposed.
        total = np.where(self._inside[:, 1, None], depth[:, 0] + depth[:, 1], 2.0 * depth[:, 0])
        share = diffusive_share(total)
        through = np.divide(share, resistance, out=np.zeros_like(share), where=resistance > 0.0)
        flux = through * (mean[:, 0] - mean[:, 1])
        tilt = np.zeros_like(mean)
        np.divide(3.0 * flux[:, None, :], self._g, out=tilt, where=self._g > 0.0)
        drop = np.zeros_like(mean)
        np.multiply(depth, tilt, out=drop, where=tilt != 0.0)
        at_face = share[:, None, :] * mean
        at_face[:, 0] -= drop[:, 0]
        at_face[:, 1] += drop[:, 1]
        return Blend(share, at_face, tilt)

    def conductance(self, rate: Floats) -> Floats:
        """Area over resistance of every face, ``(n_faces, energy)``; 0 on closed ones."""
        _, resistance = self._depths(rate)
        return np.asarray(
            np.divide(self._area[:, None], resistance, out=np.zeros_like(resistance), where=resistance > 0.0)
        )

    def _depths(self, rate: Floats) -> tuple[Floats, Floats]:
        """Optical depth from cell to face, ``(n_faces, 2, energy)``, and resistance ``(n_faces, energy)``."""
        across = self._distance[:, :, None] * self._beside(np.atleast_2d(rate))
        depth = np.full(np.broadcast_shapes(across.shape, self._speed.shape), np.inf)
        np.divide(across, self._speed, out=depth, where=self._speed > 0.0)
        depth[~self._inside] = 0.0
        half = np.full_like(depth, np.inf)
        np.divide(3.0 * depth, self._g, out=half, where=self._g > 0.0)
        half[~self._inside] = 0.0
        resistance = half[:, 0] + half[:, 1]
        resistance[self._gates.face] += self._gate_resistance
        return depth, resistance

    def _of_gates(self) -> Floats:
        """Resistance of gates themselves: Marshak's, for currents that are not small."""
        gates = self._gates
        g = np.broadcast_to(self._g, (len(self._area), *self._g.shape[1:]))[gates.face]
        g = np.where(self._inside[gates.face][:, :, None], g, np.inf)
        share = np.divide(gates.passing[:, None, :], g, out=np.zeros(g.shape), where=g > 0.0).sum(axis=1)
        quarter = gates.norm[:, :1] / (FULL * self._area[gates.face, None])
        out = np.full(gates.passing.shape, np.inf)
        np.divide(1.0 - 0.5 * share, quarter * gates.passing, out=out, where=gates.passing > 0.0)
        return np.asarray(np.maximum(out, 0.0))

    def _beside(self, cells: Floats) -> Floats:
        """Rows of the two cells of every face, ``(n_faces or 1, 2, energy)``."""
        if len(cells) == 1:
            return np.broadcast_to(cells[:, None, :], (1, 2, cells.shape[1]))
        return np.stack([cells[self._cells[:, 0]], cells[self._cells[:, 1]]], axis=1)


def diffusive_share(depth: Floats) -> Floats:
    """``1 − (1 + τ) e^−τ``, accurate for small τ."""
    tau = np.minimum(depth, OPAQUE)
    exact = -np.expm1(-tau) - tau * np.exp(-tau)
    return np.asarray(np.where(tau < THIN, tau**2 * (0.5 - tau / 3.0 + tau**2 / 8.0), exact))
