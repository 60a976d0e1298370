"""The body that particles move in: shells of a sphere or cylinder, or a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import CaseError
from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.boltzmann.motion import (
    Diffusion,
    DiffusionOperator,
    DiscreteOrdinates,
    Immobile,
    Motion,
    OrdinatesOperator,
)
from fvqp.transport.directions import (
    Directions,
    RadialDirections,
    cylindrical,
    gauss_legendre,
    product,
    spherical,
)
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.radial import Shells, radial_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.typing import Floats, Ints


def separate_cells(number: int = 1) -> Mesh:
    """Cells of volume 1 on this rank, for particles that stay in their cells."""
    return shape_mesh("grid1d", nx=number, Lx=float(number), comm=MPI.COMM_SELF)


class LocalCells:
    """Cells of one rank.

    Attributes:
        space: the shells or the mesh.
        comm: ranks that hold the cells.
        n_owned, n_cells: this rank's cells, without and with ghosts.
        volume: ``(n_owned,)``.
        region: ``(n_owned,)`` number of the region of every cell.
        region_names: of all ranks; that of cells without a region, and of shells, is empty.
    """

    def __init__(self, space: Mesh | Shells) -> None:
        self.space = space
        if isinstance(space, Shells):
            chain = space.chain
            self.comm: MPI.Comm = chain.comm
            self.n_owned, self.n_cells = chain.n_owned, chain.n_cells
            self.volume: Floats = space.volume[chain.global_id[: chain.n_owned]]
            self.region, self.region_names = np.zeros(self.n_owned, dtype=np.int64), [""]
        else:
            self.comm = space.comm
            self.n_owned, self.n_cells = space.n_owned, space.n_cells
            self.volume = np.ascontiguousarray(space.volume[: space.n_owned])
            self.region = space.cell_region[: space.n_owned].astype(np.int64) + 1
            self.region_names = ["", *space.region_names]

    def exchange(self, a: NDArray) -> None:
        """Fills the ghost rows of ``a[n_cells, ...]``."""
        if isinstance(self.space, Mesh):
            self.space.exchange(a)
        else:
            self.space.chain.exchange(a)

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
        return DiffusionOperator(self._streaming(motion, self._few(), "linear", media), motion.inelastic)

    def _few(self) -> Directions:
        """Directions of diffusion, which has their moments and no others."""
        if isinstance(self.space, Shells):
            few: Directions = spherical(2) if self.space.geometry == "spherical" else cylindrical(2, 2)
        else:
            few = gauss_legendre(2) if self.space.dim == 1 else product(2, 4)
        return replace(few, means_only=True)

    def _streaming(
        self, motion: Diffusion | DiscreteOrdinates, directions: Directions, scheme: Scheme, media: Ints
    ) -> Callable[[Floats, Floats], Streaming]:
        space, walls = self.space, dict(motion.walls)
        if isinstance(space, Mesh):
            return lambda speed, states: mesh_streaming(
                space,
                directions,
                speed,
                walls,
                elsewhere=motion.elsewhere,
                interfaces=motion.interfaces,
                states=states,
                medium=media.astype(np.int32),
                scheme=scheme,
            )
        if not isinstance(directions, RadialDirections):
            raise CaseError(
                f"{space.geometry} shells need directions about their centre, not {directions.name}"
            )
        if motion.interfaces:
            raise CaseError("interfaces: belong to meshes; shells have none")
        outer = walls.pop("outer", motion.elsewhere)
        inner = walls.pop("inner", None)
        if walls:
            raise CaseError(f"walls: shells have 'outer' and 'inner' ones, no '{next(iter(walls))}'")
        if inner is None and space.radii[0] > 0.0:
            inner = motion.elsewhere
        about: RadialDirections = directions
        return lambda speed, states: radial_streaming(
            space, about, speed, outer, inner, states=states, medium=media, scheme=scheme
        )
