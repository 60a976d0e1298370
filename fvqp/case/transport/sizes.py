"""How large a case is, before it takes the memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import ceil, prod

from mpi4py import MPI

from fvqp.case.transport.moving import directions
from fvqp.case.transport.schema import TransportCase
from fvqp.collisions import CollisionGrid
from fvqp.errors import CaseError
from fvqp.memory import available
from fvqp.mesh.shapes import SHAPES
from fvqp.models.transport.cell_solver import MEMORY
from fvqp.solvers.elimination import EliminatedLU, EliminatedX
from fvqp.solvers.newton import RESTART

log = logging.getLogger(__name__)

#: Of shells, by that of the body.
GEOMETRIES = {"sphere": "spherical", "cylinder": "cylindrical"}
#: Copies of the occupations that a step holds: stages and errors, and where something moves those of a
#: product of factors, implicit motion among them, or, in its place, of a solution with the whole Jacobian
#: (measured).
COPIES, FACTORS, WHOLE = 12, 10, 34
#: More of them by methods of PETSc: stages, earlier steps, and what Newton's method works with (measured).
OF_METHOD = {"rosenbrock": 0, "imex": 16, "bdf": 28}
#: Vectors of every iteration for a steady state: a direction and its image.
VECTORS = 2
#: Bytes of a cell of the mesh: vertices, faces, neighbours, gradients.
OF_CELL = 1024.0


@dataclass(frozen=True)
class Sizes:
    """Numbers of unknowns, and memory of a rank.

    Attributes:
        directions: of quasiparticles and of phonons; 1 where they have none.
        per_cell: unknowns.
        least: bytes without which no step can be made.
        expected: bytes of most runs.
        largest: bytes where solutions for a steady state take all iterations that they may.
    """

    directions: tuple[int, int]
    per_cell: int
    least: float
    expected: float
    largest: float

    def require(self, comm: MPI.Comm) -> None:
        """Says what a rank takes; raises `CaseError` if the least is more than there is. Collective."""
        free = available(comm)
        log.info("memory: %s; %.3g GiB are left", self, free / 2**30)
        if self.least > free:
            raise CaseError(
                f"needs at least {self.least / 2**30:.3g} GiB on a rank, for {self.per_cell} unknowns in "
                f"every cell, and {free / 2**30:.3g} GiB are left; use a coarser mesh, fewer directions or "
                "energies, or more machines"
            )

    def __str__(self) -> str:
        text = f"about {self.expected / 2**20:.0f} MiB on a rank"
        if self.largest > self.expected:
            text += f", {self.largest / 2**20:.0f} MiB where the steady state takes all its iterations"
        return text


def cells(case: TransportCase) -> tuple[int, int | str] | None:
    """How many a case has, and their geometry (see `moving.directions`), as its keys say; None where a file
    knows."""
    if case.body is not None:
        return case.body.shells, GEOMETRIES[case.body.geometry]
    assert case.mesh is not None
    shape = case.mesh.shape
    if shape is None:
        return None
    made = SHAPES[shape.kind]
    revolved = made.dim == 2 and made.coordinates == "cylindrical"
    return ceil(prod(count for _, count in shape.counts()) - 1e-6), "revolved" if revolved else made.dim


def sizes(case: TransportCase, grid: CollisionGrid, most: int, geometry: int | str) -> Sizes:
    """Of a case: nothing of this size is made yet.

    Args:
        case, grid: as named.
        most: cells of the rank that has most.
        geometry: see `moving.directions`.
    """
    names = ("quasiparticles", "phonons")
    sets = [directions(case, name, geometry) for name in names]
    moves = any(getattr(case, name).motion != "still" for name in names)
    steady = case.steady_state is not None or case.initial.steady
    method = "rosenbrock" if case.evolution is None else case.evolution.method
    counts = tuple(1 if one is None else one.count for one in sets)
    per_cell = counts[0] * grid.n + counts[1] * grid.n_phonon
    # with collisions there is a Jacobian in every cell, or what of it preconditions the whole one
    full, alone = (
        min(case.collisions.inelastic * most * kind.kept(grid.n, grid.n_phonon), MEMORY)
        for kind in (EliminatedLU, EliminatedX)
    )
    least = most * (OF_CELL + 8.0 * per_cell * (COPIES + OF_METHOD[method]))
    vector = 8.0 * most * per_cell
    expected = least + max(full + vector * FACTORS * moves, (alone + vector * WHOLE) * moves)
    kept = vector * VECTORS * RESTART * steady
    return Sizes((counts[0], counts[1]), per_cell, least, expected, expected + kept)
