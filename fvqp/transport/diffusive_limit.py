"""The diffusion to which streaming tends where particles scatter often: means over directions alone.

``f[cell, energy]``, with the cells, states, walls, interfaces and steps of the gap of a `Streaming`. With
elastic scattering at the rate ``v/ℓ`` the diffusivity is ``vℓ/3`` and the conductivity of states ``s v ℓ/3``:
for quasiparticles ``D_N`` above the gap and nothing below, whatever the gap does in space (theory: streaming,
section on opaque cells).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from fvqp.transport.geometry import cell_pattern
from fvqp.transport.streaming import Streaming
from fvqp.typing import Floats


class DiffusiveLimit:
    """``∇·(s v ℓ/3 ∇f)/s`` of every energy, ``ℓ = v/rate``, conservative.

    Args:
        streaming: what particles do between collisions; few directions are enough, their half-range flux is
            that of walls (`fvqp.transport.directions.Directions.half_range`).
        rate: ``(n_cells or 1, energy)`` of the collisions that turn particles, positive where they move.

    Attributes:
        streaming: as given.
        conductance: ``(n_faces, energy)``, volume per time: of half cells and transmitting faces in series.
        indptr, indices: CSR pattern of `matrix`.
        global_id: numbers of its columns on all ranks: the cells, without images of others.
    """

    def __init__(self, streaming: Streaming, rate: Floats) -> None:
        layout = streaming.layout
        self.streaming = streaming
        _, first, number = np.unique(layout.global_id, return_index=True, return_inverse=True)
        distinct = np.sort(first)
        self.global_id = layout.global_id[distinct]
        self.indptr, self.indices, self._diagonal, self._entries = cell_pattern(
            layout.n_owned, layout.face_cells, np.searchsorted(distinct, first[number])
        )
        n_faces = len(layout.face_cells)
        cells = layout.face_cells.ravel()
        mine = (cells >= 0) & (cells < layout.n_owned)
        faces = np.repeat(np.arange(n_faces), 2)[mine]
        self._beside = csr_matrix(
            (np.ones(len(faces)), (cells[mine], faces)), shape=(layout.n_owned, n_faces)
        )
        sign = np.tile([-1.0, 1.0], n_faces)[mine]
        self._divergence = csr_matrix((sign, (cells[mine], faces)), shape=self._beside.shape)
        self.conductance: Floats
        self.set_rate(rate)

    def set_rate(self, rate: Floats) -> None:
        """Another ``(n_cells or 1, energy)`` rate of collisions."""
        self.conductance = self.streaming.conductance(rate)

    def rates(self, f: Floats) -> tuple[Floats, Floats]:
        """``∂f/∂t`` of the owned cells, ``(n_owned, energy)``, and what walls take in, ``(walls, energy)``.

        Args:
            f: ``(n_cells, energy)``, ghosts up to date. Where faces are oblique, values straight behind them
                are found with gradients: second order, but not monotone.
        """
        beside = self.streaming.beside(f)
        flux = self.conductance * (beside[:, 0] - beside[:, 1])
        return self._divergence @ flux / self.streaming.capacity, self.streaming.by_wall(flux)

    def content(self, f: Floats) -> Floats:
        """``Σ V × states × f`` over this rank's cells, ``(energy,)``."""
        return np.asarray(np.sum(self.streaming.capacity * f[: self.streaming.layout.n_owned], axis=0))

    def through_walls(self, f: Floats) -> Floats:
        """Return the outflux of ``f[owned or all cells, energy]`` through walls with empty baths,
        ``(walls, energy)``."""
        # Faces of walls are behind owned cells; what lies behind others does not count.
        inner = np.minimum(self.streaming.layout.face_cells[:, 0], len(f) - 1)
        return self.streaming.by_wall(self.conductance * f[inner])

    def exchange_rate(self) -> Floats:
        """Rate at which a cell exchanges what it holds, ``(n_owned, energy)``."""
        return np.asarray(self._beside @ self.conductance / self.streaming.capacity)

    def matrix(self, removal: Floats) -> Floats:
        """Two-point matrix of ``capacity × (removal − diffusion)``, ``(nnz, energy)``, symmetric.

        On orthogonal meshes it is the operator itself. An energy without speed or removal in a cell has the
        equation ``f = 0`` there.

        Args:
            removal: ``(n_owned or 1, energy)`` rate.
        """
        values = np.zeros((len(self.indices), self.conductance.shape[1]))
        for column in (1, 3):
            there = self._entries[:, column] >= 0
            values[self._entries[there, column]] = -self.conductance[there]
        diagonal = self._beside @ self.conductance + self.streaming.capacity * removal
        values[self._diagonal] = diagonal + (diagonal == 0.0)
        return values
