"""Size of a case in memory, estimated before anything is allocated."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path

from mpi4py import MPI

from fvqp.case.boltzmann.motion import directions, geometry_of
from fvqp.case.boltzmann.schema import TransportCase
from fvqp.case.evolution import number_of_times
from fvqp.case.process import given_processes
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.memory import available
from fvqp.mesh.shapes import SHAPES
from fvqp.models.boltzmann.cell_solver import MEMORY
from fvqp.models.boltzmann.steady import RESTART
from fvqp.solvers.elimination import EliminatedLU, EliminatedX

log = logging.getLogger(__name__)

#: Of shells, by that of the body.
GEOMETRIES = {"sphere": "spherical", "cylinder": "cylindrical"}
#: Copies of the occupations that a step holds: stages and errors, and where something moves those of a
#: product of factors, implicit motion among them, or, in its place, of a solution with the whole Jacobian
#: (measured).
COPIES, FACTORS, WHOLE = 12, 10, 34
#: More of them by PETSc: stages, and what Newton's method works with (measured).
OF_PETSC = 8
#: And those between steps: the state that was recorded last, and its checkpoint, twice until it is written.
RECORDED = 3
#: Bytes of a cell of the mesh: vertices, faces, neighbours, gradients.
OF_CELL = 1024.0
#: Bytes of two bins of an axis that is not uniform, for the phonons of their collisions (measured).
OF_PAIR = 400.0
#: Bytes of any run: modules, compiled loops and figures; and what the allocator takes over what is asked of
#: it, since arrays of different lengths do not fit where others were (both measured).
OF_RUN, LOOSE = 100.0 * 2**20, 1.15
#: Numbers of a cell that are stored for every time.
STORED = 4


@dataclass(frozen=True)
class Sizes:
    """Numbers of unknowns, and memory of a rank.

    Attributes:
        directions: of quasiparticles and of phonons; 1 where they have none.
        per_cell: unknowns.
        least: bytes without which no step can be made.
        expected: bytes of most runs.
        largest: bytes where solutions for a steady state take all iterations that they may.
        results: bytes of results of all times, which rank 0 has on the disk of the results folder until the
            end, in memory without a folder.
        advice: keys that make a step smaller, and those that make results smaller, for messages.
    """

    directions: tuple[int, int]
    per_cell: int
    least: float
    expected: float
    largest: float
    results: float
    advice: tuple[str, str]

    def require(self, comm: MPI.Comm, out: Path | None) -> None:
        """Says what a rank takes; raises `CaseError` if the least is more than there is. Collective.

        Args:
            comm: ranks of the run.
            out: its results folder, or None.
        """
        free, beside = available(comm), available(comm, self.results)
        log.info("memory: %s; %.3g GiB are left", self, free / 2**30)
        if self.least > free:
            raise CaseError(
                f"needs at least {self.least / 2**30:.3g} GiB on a rank, for {self.per_cell} unknowns in "
                f"every cell, and {free / 2**30:.3g} GiB are left; {self.advice[0]}, or use more machines"
            )
        if out is not None:
            self._require_disk(comm, out)
        elif self.least > beside:
            raise CaseError(
                f"results of all times take {self.results / 2**30:.3g} GiB on rank 0, beside "
                f"{self.least / 2**30:.3g} GiB on every rank, and {free / 2**30:.3g} GiB are left; give a "
                f"results folder, which takes them, or {self.advice[1]}"
            )

    def _require_disk(self, comm: MPI.Comm, out: Path) -> None:
        """Room for results of all times, and twice for the file that they are written to."""
        there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
        needed, free = 3.0 * self.results, float(comm.bcast(shutil.disk_usage(there).free))
        if needed > free:
            raise CaseError(
                f"results of all times take {needed / 2**30:.3g} GiB of disk in {out} while they are "
                f"written, and {free / 2**30:.3g} GiB are left; {self.advice[1]}"
            )

    def __str__(self) -> str:
        text = f"about {_amount(self.expected)} on a rank"
        if self.largest > self.expected:
            text += f", {_amount(self.largest)} where the steady state takes all its iterations"
        if self.results > 2**20:
            text += f", and {_amount(self.results)} of results, on disk with a results folder"
        return text


def _amount(memory: float) -> str:
    """Bytes in a handy unit."""
    return f"{memory / 2**20:.0f} MiB" if memory < 10 * 2**30 else f"{memory / 2**30:.4g} GiB"


def cells(case: TransportCase) -> tuple[int, int | str] | None:
    """Number of cells that the case implies, and their geometry (see `moving.directions`); None if only
    the mesh file determines it."""
    if case.body is not None:
        return case.body.shells, GEOMETRIES[case.body.geometry]
    assert case.mesh is not None
    shape = case.mesh.shape
    if shape is None:
        return None
    return ceil(prod(count for _, count in shape.counts()) - 1e-6), geometry_of(SHAPES[shape.kind])


def sizes(
    case: TransportCase,
    grid: EnergyAxis,
    total: int,
    most: int,
    geometry: int | str,
    colliding: int | None = None,
) -> Sizes:
    """Return sizes of a case; nothing of this size is made yet.

    Args:
        case, grid: as named.
        total, most: cells of all ranks, and of the one that has most.
        geometry: see `moving.directions`.
        colliding: most cells of a rank that are no insulators; None if the mesh is not known.
    """
    names = ("quasiparticles", "phonons")
    sets = [directions(case, name, geometry) for name in names]
    moves = any(getattr(case, name).motion != "still" for name in names)
    steady = case.steady_state is not None or case.initial.steady
    counts = tuple(1 if one is None else one.count for one in sets)
    per_cell = counts[0] * grid.n + counts[1] * grid.n_phonon
    # with collisions there is a Jacobian in every cell, or what of it preconditions the whole one
    eliminated = case.collisions.inelastic * (most if colliding is None else colliding)
    full, alone = (
        min(eliminated * kind.kept(grid.n, grid.n_phonon), MEMORY) for kind in (EliminatedLU, EliminatedX)
    )
    vector = 8.0 * most * per_cell
    least = most * OF_CELL + vector * (COPIES + OF_PETSC + RECORDED)
    may_collide = not any(region.insulator for region in case.regions.values())
    if case.collisions.inelastic and (may_collide if colliding is None else colliding):
        least += of_pairs(grid)
    expected = least + max(full + vector * FACTORS * moves, (alone + vector * WHOLE) * moves)
    kept = vector * RESTART * steady
    times = 1 if case.evolution is None else number_of_times(case.evolution)
    numbers = STORED + (case.localization is not None)
    numbers += (grid.n + grid.n_phonon) * case.output.occupations
    spectra = grid.n + 2 * grid.n_phonon + _places(case) * (grid.n + grid.n_phonon)
    results = 8.0 * times * (total * numbers + spectra)
    return Sizes(
        (counts[0], counts[1]),
        per_cell,
        least,
        OF_RUN + LOOSE * expected,
        OF_RUN + LOOSE * (expected + kept),
        results,
        _advice(case),
    )


def of_pairs(grid: EnergyAxis) -> float:
    """Return bytes of the collisions of all pairs of bins, which uniform axes do not need."""
    return 0.0 if grid.is_uniform else OF_PAIR * grid.n**2


def require_pairs(grid: EnergyAxis, comm: MPI.Comm) -> None:
    """Raise `CaseError` if the collisions of a film do not fit into memory. Collective."""
    needed, free = of_pairs(grid), available(comm)
    if needed > free:
        raise CaseError(
            f"energies: collisions of {grid.n} bins with one another need {needed / 2**30:.3g} GiB, and "
            f"{free / 2**30:.3g} GiB are left; make energies.width larger, or give energies.lowest_gap"
        )


def _places(case: TransportCase) -> int:
    """Return the number of walls, losses and interfaces at which particles are counted by energy."""
    if case.evolution is None:
        return 0
    walls, interfaces = set(), set()
    for species in (case.quasiparticles, case.phonons):
        walls |= {name for name, wall in species.walls.items() if wall.passes}
        interfaces |= {frozenset(one.between) for one in species.interfaces}
    escapes = case.phonons.escape is not None or case.phonons.model == "bath"
    escapes = escapes or any(region.escape is not None for region in case.regions.values())
    return len(walls) + len(interfaces) + escapes + sum(one.sink for _, one in given_processes(case))


def _advice(case: TransportCase) -> tuple[str, str]:
    """Return advice that makes steps smaller, and advice that makes results smaller."""
    if case.body is not None:
        fewer = ["body.shells"]
    else:
        assert case.mesh is not None
        fewer = ["mesh.file" if case.mesh.shape is None else "mesh.shape"]
    for name in ("quasiparticles", "phonons"):
        species = getattr(case, name)
        if species.motion == "ordinates":
            fewer.append(f"{name}.{'degree' if species.quadrature == 'lebedev' else 'directions'}")
    steps = f"make {' or '.join(fewer)} smaller or energies.width larger"
    stored = ["leave out output.occupations"] * case.output.occupations
    stored += ["make evolution.points_per_decade smaller"] * (case.evolution is not None)
    return steps, ", or ".join(stored or [steps])
