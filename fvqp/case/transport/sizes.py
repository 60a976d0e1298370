"""How large a case is, before it takes the memory."""

from __future__ import annotations

from dataclasses import dataclass

from mpi4py import MPI

from fvqp.collisions import CollisionGrid
from fvqp.errors import CaseError
from fvqp.memory import available
from fvqp.mesh import Mesh
from fvqp.models.transport import Ordinates
from fvqp.models.transport.motion import Motion

#: Copies of the occupations that a step holds: stages, errors, and vectors of the linear solver.
COPIES, KRYLOV = 12, 32
#: Bytes of Jacobians of collisions that a rank keeps at most.
JACOBIANS = 2.0**31
#: Bytes of a cell of the mesh: vertices, faces, neighbours, gradients.
OF_CELL = 1024.0


@dataclass(frozen=True)
class Sizes:
    """Numbers of unknowns, and memory of a rank.

    Attributes:
        directions: of quasiparticles and of phonons; 1 where they have none.
        per_cell: unknowns.
        least: bytes without which no step can be made.
        expected: bytes.
    """

    directions: tuple[int, int]
    per_cell: int
    least: float
    expected: float

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
    grid: CollisionGrid, quasiparticles: Motion, phonons: Motion, mesh: Mesh, *, inelastic: bool
) -> Sizes:
    """Of a case on this mesh; the memory is that of the rank with most cells. Collective.

    Args:
        inelastic: whether there are collisions, with a Jacobian in every cell.
    """
    most = float(mesh.comm.allreduce(mesh.n_owned, MPI.MAX))
    ordinates = [isinstance(motion, Ordinates) for motion in (quasiparticles, phonons)]
    directions = _count(quasiparticles), _count(phonons)
    per_cell = directions[0] * grid.n + directions[1] * grid.n_phonon
    jacobian = grid.n * (grid.n + 2 * grid.n_phonon) if inelastic else 0
    least = most * (OF_CELL + 8.0 * per_cell * COPIES)
    more = 8.0 * most * per_cell * KRYLOV * any(ordinates) + min(8.0 * most * jacobian, JACOBIANS)
    return Sizes(directions, per_cell, least, least + more)


def _count(motion: Motion) -> int:
    return motion.directions.count if isinstance(motion, Ordinates) else 1
