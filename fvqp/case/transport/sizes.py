"""How large a case is, before it takes the memory."""

from __future__ import annotations

from dataclasses import dataclass

from mpi4py import MPI

from fvqp.collisions import CollisionGrid
from fvqp.errors import CaseError
from fvqp.memory import available
from fvqp.mesh import Mesh
from fvqp.models.transport import Ordinates, Still
from fvqp.models.transport.linearized import ITERATIONS
from fvqp.models.transport.local import MEMORY
from fvqp.models.transport.motion import Motion
from fvqp.solvers.newton import RESTART

#: Copies of the occupations that a step holds: stages and errors, and where something moves those of implicit
#: motion and of the first iterations with the whole Jacobian.
COPIES, MOVING = 12, 32
#: Vectors of every iteration with the whole Jacobian: a direction and its image.
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
        largest: bytes where solutions with the whole Jacobian take all iterations that they may.
    """

    directions: tuple[int, int]
    per_cell: int
    least: float
    expected: float
    largest: float

    def require(self, comm: MPI.Comm) -> None:
        """Raises `CaseError` if the least memory is more than there is. Collective."""
        free = available(comm)
        if self.least > free:
            raise CaseError(
                f"needs at least {self.least / 2**30:.3g} GiB on a rank, for {self.per_cell} unknowns in "
                f"every cell, and {free / 2**30:.3g} GiB are left; use a coarser mesh, fewer directions or "
                "energies, or more machines"
            )


def sizes(
    grid: CollisionGrid,
    quasiparticles: Motion,
    phonons: Motion,
    mesh: Mesh,
    *,
    inelastic: bool,
    steady: bool,
) -> Sizes:
    """Of a case on this mesh; the memory is that of the rank with most cells. Collective.

    Args:
        inelastic: whether there are collisions, with a Jacobian in every cell.
        steady: whether a steady state is looked for.
    """
    most = float(mesh.comm.allreduce(mesh.n_owned, MPI.MAX))
    moves = not (isinstance(quasiparticles, Still) and isinstance(phonons, Still))
    directions = _count(quasiparticles), _count(phonons)
    per_cell = directions[0] * grid.n + directions[1] * grid.n_phonon
    jacobian = grid.n * (grid.n + 2 * grid.n_phonon) if inelastic else 0
    least = most * (OF_CELL + 8.0 * per_cell * COPIES)
    vector = 8.0 * most * per_cell
    expected = least + vector * MOVING * moves + min(8.0 * most * jacobian, MEMORY)
    kept = VECTORS * max(ITERATIONS * moves, RESTART * steady)
    return Sizes(directions, per_cell, least, expected, expected + vector * kept)


def _count(motion: Motion) -> int:
    return motion.directions.count if isinstance(motion, Ordinates) else 1
