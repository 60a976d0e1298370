"""Cells of every region beside the lengths on which spectra and distributions change."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from scipy import constants
from scipy.spatial import cKDTree

from fvqp.case.sizes import lengths_row, mesh_error, region_sizes, up_to
from fvqp.mesh.quality import cell_sizes
from fvqp.models.usadel.kinetics import SpectralState
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.texts import two_digits
from fvqp.typing import Floats

log = logging.getLogger(__name__)

MAX_OF_CHARGE = 1.0
"""Charge relaxation lengths that a cell next to an injector may measure. The largest error of g_nl of a wire
is then 3 to 5 % of its largest value, 1 % at half of it (measured without depairing, with 0.02 and 0.1)."""
MAX_OF_SPECTRA = 0.5
"""Coherence lengths that a cell may measure where spectra are spatially coupled. The gap next to a normal
metal is then 3 to 5 % off, 1 % at a quarter of it (measured)."""
NEAR = 3.0
"""Lengths beyond which what begins at an injector, or next to another metal, has decayed to 5 %: cells may be
larger there."""
HIGHEST = 3.0
"""Energy in gaps up to which the charge relaxation length is averaged."""


@dataclass(frozen=True)
class Lengths:
    """Lengths in a region, metres.

    Attributes:
        name: of the region.
        cells: size of its smallest and largest cell.
        near_injector: size of the largest cell next to an injector, 0 without.
        near_contact: likewise next to a metal or reservoir of another gap, of spatially coupled spectra.
        coherence: of its superconductor, or of pairs in its normal metal at the end of the energy axis.
        charge: charge relaxation length at the largest supercurrent; infinite in a normal metal, and where
            no detector takes note of charge.
        normal: True if its gap is 0.
    """

    name: str
    cells: tuple[float, float]
    near_injector: float
    near_contact: float
    coherence: float
    charge: float
    normal: bool


def region_lengths(problem: UsadelProblem) -> list[Lengths]:
    """Lengths of all regions. Collective."""
    device, mesh = problem.device, problem.device.mesh
    comm, owned = mesh.comm, slice(mesh.n_owned)
    detected = {j.role for j in device.junctions} == {"injector", "detector"} and problem.proximity is None
    gap = device.per_cell("gap") / device.material.gap
    depairing = np.zeros(mesh.n_cells)
    if detected:
        state, _ = problem.at_rest(max(problem.drives, key=abs))
        gap, depairing = (np.broadcast_to(a, (mesh.n_cells,)) for a in (state.gap, state.depairing))
    diffusivity, sizes = device.per_cell("diffusivity")[owned], cell_sizes(mesh)[owned]
    from_injector = _distance(problem, _injectors(problem))
    from_contact = _distance(problem, _contacts(problem))
    found = []
    for name, cells in region_sizes(mesh).items():
        inside = np.zeros(mesh.n_owned, dtype=bool)
        if name in mesh.regions:
            mine = mesh.regions[name]
            inside[mine[mine < mesh.n_owned]] = True
        else:
            inside[:] = True
            for others in mesh.regions.values():
                inside[others[others < mesh.n_owned]] = False
        # A cell of the middle of the region stands for all.
        gaps, zetas, metals = (
            _median(np.concatenate(comm.allgather(a[owned][inside]))) for a in (gap, depairing, diffusivity)
        )
        normal = gaps <= 0.0
        energy = min(problem.grid.maximum, 1.0) if normal else gaps
        coherence = math.sqrt(constants.hbar * metals / (energy * device.material.gap))
        charge = math.inf
        if detected and not normal:
            charge = _charge_length(problem, gaps, zetas) * math.sqrt(
                constants.hbar * metals / device.material.gap
            )
        near_injector, near_contact = (
            float(comm.allreduce(float(sizes[near].max(initial=0.0)), MPI.MAX))
            for near in (
                inside & (from_injector < NEAR * charge),
                inside & (from_contact < NEAR * coherence),
            )
        )
        found.append(Lengths(name, cells, near_injector, near_contact, coherence, charge, normal))
    return found


def _median(values: Floats) -> float:
    return float(np.sort(values)[len(values) // 2])


def _charge_length(problem: UsadelProblem, gap: float, depairing: float) -> float:
    """Mean of the charge relaxation length ``√(𝒟_T/R_T)`` in ξ over energies, weighted with what they conduct
    (`fvqp.models.usadel.axis_error`); infinite where charge does not relax."""
    spectrum = problem.kinetics.spectrum(SpectralState(np.array([gap]), np.array([depairing])))
    inverse = np.sqrt(spectrum.relaxation_T[0] / spectrum.diffusion_T[0])
    counts = (inverse > 0.0) & (problem.grid.energies < HIGHEST * gap)
    inverse = inverse[counts]
    weight = (problem.grid.widths * spectrum.dos[0] ** 2 / spectrum.diffusion_T[0])[counts] / inverse
    return float(weight.sum() / (weight @ inverse)) if len(weight) else math.inf


def _injectors(problem: UsadelProblem) -> Floats:
    """Centres of this rank's cells under injectors, ``(cells, 3)``."""
    mesh, places = problem.device.mesh, [np.empty((0, 3))]
    for junction in problem.device.junctions:
        if junction.role == "injector":
            cells = mesh.regions.get(junction.on)
            if cells is None:
                cells = mesh.face_cells[mesh.require_boundary(junction.on)].ravel()
            places.append(mesh.centroid[cells[(cells >= 0) & (cells < mesh.n_owned)]])
    return np.concatenate(places)


def _contacts(problem: UsadelProblem) -> Floats:
    """Centres of this rank's faces between metals or reservoirs of different gaps, ``(faces, 3)``; none where
    spectra are local."""
    mesh, gap = problem.device.mesh, problem.device.per_cell("gap")
    if problem.proximity is None:
        return np.empty((0, 3))
    a, b = mesh.face_cells.T
    places = [mesh.face_centroid[(b >= 0) & (gap[a] != gap[b])]]
    for reservoir in problem.device.reservoirs:
        for faces in (mesh.require_boundary(name) for name in reservoir.on if reservoir.gap is not None):
            places.append(mesh.face_centroid[faces[gap[a[faces]] != reservoir.gap]])
    return np.concatenate(places)


def _distance(problem: UsadelProblem, places: Floats) -> Floats:
    """Distance of owned cells from the nearest place of any rank, metres; infinite without. Collective."""
    mesh = problem.device.mesh
    every = np.concatenate(mesh.comm.allgather(places))
    if not len(every):
        return np.full(mesh.n_owned, np.inf)
    return np.asarray(cKDTree(every).query(mesh.centroid[: mesh.n_owned])[0])


def length_rows(problem: UsadelProblem) -> Iterator[tuple[str, str]]:
    """Rows of the report, one a region. Collective."""
    for one in region_lengths(problem):
        texts = [
            f"pairs reach {one.coherence * 1e6:.3g} um" if one.normal else f"xi {one.coherence * 1e6:.3g} um"
        ]
        if math.isfinite(one.charge):
            texts.append(f"charge relaxes in {one.charge * 1e6:.3g} um")
        yield lengths_row(one.name, one.cells, texts)


def mesh_errors(problem: UsadelProblem) -> list[str]:
    """Errors by the mesh next to injectors and other metals; without these its largest cells. Collective."""
    found = region_lengths(problem)
    charge = max(mesh_error(one.near_injector, one.charge) for one in found)
    pairs = max(mesh_error(one.near_contact, one.coherence) for one in found)
    texts = [f"mesh {up_to(charge)} of g_nl near the injector"] if charge else []
    texts += [f"mesh {up_to(pairs)} of what metals change in one another"] if pairs else []
    largest = max(one.cells[1] / one.coherence for one in found)
    return texts or [f"largest cells {two_digits(largest)} coherence lengths"]


def warn_of_lengths(problem: UsadelProblem, source: str) -> None:
    """Warn of cells that do not resolve what changes in them. Collective."""
    found = region_lengths(problem)
    if problem.device.mesh.comm.rank != 0:
        return
    for one in found:
        place = f'in region "{one.name}"' if one.name not in ("mesh", "other cells") else f"of the {one.name}"
        pairs = "the length of pairs" if one.normal else "the coherence length"
        for size, length, most, what, effect in (
            (one.near_injector, one.charge, MAX_OF_CHARGE, "the charge relaxation length", "g_nl"),
            (one.near_contact, one.coherence, MAX_OF_SPECTRA, pairs, "gap and density of states"),
        ):
            if size > most * length:
                log.warning(
                    "%s: mesh: cells of %.3g um %s are %.3g times %s of %.3g um: %s may be off by more than "
                    "3 %%; give cells of at most %.2g um",
                    source,
                    size * 1e6,
                    place,
                    size / length,
                    what,
                    length * 1e6,
                    effect,
                    most * length * 1e6,
                )
