"""The diffusive occupation at faces, from means over directions on either side.

Where free paths are much shorter than cells, the occupation is ``φ − λ Ω·∇φ`` with φ its mean over
directions. Faces then carry the flux that a two-point diffusion operator would: the occupation at the face
follows from resistances in series, half a cell on either side and the gate between (theory: streaming, Eqs.
streaming-resistance and streaming-blend).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fvqp.threads import share
from fvqp.transport.streaming_kernels import diffusive
from fvqp.transport.streaming_tables import Blend, TransmittingFaces
from fvqp.typing import Floats, Ints32

#: Values at faces that are worth a thread.
WORTH_A_THREAD = 50_000
#: Optical depth below which 1 − (1 + τ) e^−τ is taken from its series; errors are relatively τ⁴/72 below,
#: and twice rounding over τ above.
THIN = 2e-3
#: Optical depth beyond which e^−τ is no longer a number to be reckoned with.
OPAQUE = 700.0


class Opacity(NamedTuple):
    """Coefficients of diffusion through faces at a given rate of scattering; each ``(n_faces, 2, energy)``.

    Attributes:
        share, upstream: weight 1 − α of the diffusive occupation, and α.
        emitted: half-range flux of the diffusive occupation for a mean of 1 and nothing that comes in.
        across, back: what either side sends for a source on the other one, and on its own.
        conductance: current for a difference of 1 between the mean and what comes in.
        drop: of the occupation between cell and face for a current of 1.
    """

    share: Floats
    upstream: Floats
    emitted: Floats
    across: Floats
    back: Floats
    conductance: Floats
    drop: Floats


class FaceDiffusion:
    """Resistances of faces between cell centres, and what they make of a face's occupation.

    Args:
        face_cells, area, distance: see `CellLayout`.
        g, speed: ``(n_cells or 1, energy)`` states × speed, and speed.
        transmitting: faces that return particles.
        half_range: ``(n_faces,)`` share of isotropic particles, a quarter, that a unit of area passes.
    """

    def __init__(
        self,
        face_cells: Ints32,
        area: Floats,
        distance: Floats,
        g: Floats,
        speed: Floats,
        transmitting: TransmittingFaces,
        half_range: Floats,
    ) -> None:
        self._cells = face_cells
        self._area = area
        self._distance = distance
        self._g = self._beside(g)
        self._speed = self._beside(speed)
        outside = face_cells[:, 1] < 0
        # Nothing resists in the bath.
        self._inside = np.stack([np.ones(len(area), bool), ~outside], axis=1)
        self._transmitting = transmitting
        self._half = half_range
        self._passing = np.ones(np.broadcast_shapes((len(area), 1, 1), self._g.shape))
        self._passing[transmitting.face] = self._gate_shares()
        self._gate_resistance = self._of_gates()

    def opacity(self, scattering: Floats) -> Opacity:
        """Return the coefficients of faces at a rate of scattering, ``(n_cells or 1, energy)``, whatever
        the occupations."""
        depth, _ = self._depths(scattering)
        share = diffusive_share(2.0 * depth)
        share[~self._inside] = 0.0
        half = self._half[:, None, None]
        # A wall behind which the bath stands, of the same resistance as the half cell, emits A φ + (1 − A) of
        # what comes in.
        resistance = 3.0 * depth + 0.5 / half
        emits = 1.0 / (half * resistance)
        kept = (1.0 - share) + share * emits
        sent = share * (1.0 - emits)
        # A side on which nothing moves sends nothing, whatever its value, and must not decide on the other.
        still = ~np.isfinite(depth)
        kept[still], sent[still] = 1.0, 0.0
        both = sent * self._passing
        total = kept[:, 0] * kept[:, 1] + kept[:, 0] * both[:, 1] + kept[:, 1] * both[:, 0]
        inverse = 1.0 / total[:, None, :]
        drop = 3.0 * np.where(np.isfinite(depth), depth, 0.0)
        return Opacity(
            share,
            1.0 - share,
            share * half * emits,
            inverse * both,
            np.asarray(inverse * (kept[:, ::-1] + both[:, ::-1])),
            1.0 / resistance,
            drop,
        )

    def blend(self, mean: Floats, arriving: Floats, opacity: Opacity) -> Blend:
        """Share of the diffusive occupation at faces and its value.

        Args:
            mean: ``(n_faces, 2, energy)`` means over directions straight behind the face, baths beyond walls.
            arriving: ``(n_faces, 2, energy)`` half-range flux out of either side by the values upstream,
                relative to states × speed; nothing beyond walls.
            opacity: of the faces.
        """
        walls = self._transmitting.face[self._transmitting.wall >= 0]
        arriving[walls, 1] = self._half[walls, None] * mean[walls, 1]
        at_face, tilt = np.empty_like(mean), np.empty_like(mean)
        state = self._passing, 1.0 / self._half, opacity, mean, arriving
        share(diffusive, mean.shape[2], *state, at_face, tilt, least=max(1, WORTH_A_THREAD // len(mean)))
        return Blend(opacity.share, at_face, tilt)

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
        resistance[self._transmitting.face] += self._gate_resistance
        return depth, resistance

    def _gate_shares(self) -> Floats:
        """Share of what arrives at a gate that passes, from either side, ``(K, 2, energy)``."""
        transmitting = self._transmitting
        g = np.broadcast_to(self._g, self._passing.shape)[transmitting.face]
        return np.divide(transmitting.passing[:, None, :], g, out=np.zeros(g.shape), where=g > 0.0)

    def _of_gates(self) -> Floats:
        """Resistance of transmitting faces themselves: Marshak's, for currents that are not small."""
        transmitting = self._transmitting
        share = np.where(
            self._inside[transmitting.face][:, :, None], self._passing[transmitting.face], 0.0
        ).sum(axis=1)
        out = np.full(transmitting.passing.shape, np.inf)
        through = self._half[transmitting.face, None] * transmitting.passing
        np.divide(1.0 - 0.5 * share, through, out=out, where=transmitting.passing > 0.0)
        return np.asarray(np.maximum(out, 0.0))

    def _beside(self, cells: Floats) -> Floats:
        """Rows of the two cells of every face, ``(n_faces or 1, 2, energy)``."""
        if len(cells) == 1:
            return np.broadcast_to(cells[:, None, :], (1, 2, cells.shape[1]))
        return np.stack([cells[self._cells[:, 0]], cells[self._cells[:, 1]]], axis=1)


def diffusive_share(depth: Floats) -> Floats:
    """``1 − (1 + τ) e^−τ`` of optical depths τ of any shape, within 5e-13 of itself."""
    tau = np.minimum(depth, OPAQUE)
    exact = -np.expm1(-tau) - tau * np.exp(-tau)
    series = tau**2 * (0.5 - tau * (1.0 / 3.0 - tau * (1.0 / 8.0 - tau / 30.0)))
    return np.asarray(np.where(tau < THIN, series, exact))
