"""The cells that particles move in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.boltzmann.motion import (
    Diffusion,
    DiffusionOperator,
    DiscreteOrdinates,
    Immobile,
    Motion,
    OrdinatesOperator,
)
from fvqp.transport.directions import Directions, gauss_legendre, product
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.typing import Floats, Ints


def separate_cells(number: int = 1) -> Mesh:
    """Cells of volume 1 on this rank, for particles that stay in their cells."""
    return shape_mesh("grid1d", nx=number, Lx=float(number), comm=MPI.COMM_SELF)


class LocalCells:
    """Cells of one rank.

    Attributes:
        space: the mesh.
        comm: ranks that hold the cells.
        n_owned, n_cells: this rank's cells, without and with ghosts.
        volume: ``(n_owned,)``.
        region: ``(n_owned,)`` number of the region of every cell.
        region_names: of all ranks; that of cells without a region is empty.
    """

    def __init__(self, space: Mesh) -> None:
        self.space, self.comm = space, space.comm
        self.n_owned, self.n_cells = space.n_owned, space.n_cells
        self.volume: Floats = np.ascontiguousarray(space.volume[: space.n_owned])
        self.region = space.cell_region[: space.n_owned].astype(np.int64) + 1
        self.region_names = ["", *space.region_names]

    def exchange(self, a: NDArray) -> None:
        """Fills the ghost rows of ``a[n_cells, ...]``."""
        self.space.exchange(a)

    def moving(self, motion: Motion, media: Ints) -> Immobile | OrdinatesOperator | DiffusionOperator:
        """Return the operator of the motion of a species.

        Args:
            motion: its kind.
            media: ``(n_cells,)`` number of the medium.

        Raises:
            CaseError: directions or walls that do not go with the body.
        """
        if isinstance(motion, Immobile):
            return motion
        if isinstance(motion, DiscreteOrdinates):
            make = self._streaming(motion, motion.directions, motion.scheme, media)
            return OrdinatesOperator(make, motion.directions)
        return DiffusionOperator(self._streaming(motion, self._few(), "linear", media))

    def _few(self) -> Directions:
        """Directions of diffusion, which has their moments and no others."""
        few = gauss_legendre(2) if self.space.dim == 1 else product(2, 4)
        return replace(few, means_only=True)

    def _streaming(
        self, motion: Diffusion | DiscreteOrdinates, directions: Directions, scheme: Scheme, media: Ints
    ) -> Callable[[Floats, Floats], Streaming]:
        return lambda speed, states: mesh_streaming(
            self.space,
            directions,
            speed,
            motion.walls,
            elsewhere=motion.elsewhere,
            interfaces=motion.interfaces,
            states=states,
            medium=media.astype(np.int32),
            scheme=scheme,
        )
