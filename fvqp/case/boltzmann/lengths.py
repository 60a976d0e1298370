"""Cells of every region beside the lengths that particles diffuse or fly before something happens to them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.schema import TransportCase, TransportPulse
from fvqp.case.process import ProcessTable, given_processes
from fvqp.case.scales import Units
from fvqp.case.sizes import lengths_row, mesh_error, region_sizes, up_to
from fvqp.mesh import Mesh
from fvqp.models.boltzmann import BoltzmannProblem, State
from fvqp.models.boltzmann.medium import MediumCells
from fvqp.texts import two_digits
from fvqp.typing import Bools, Floats

log = logging.getLogger(__name__)

MAX_OF_DIFFUSION = 1.0
"""Diffusion lengths that a cell may measure across a face where something else begins. Densities beside a
trap are then 2 % of the largest one off, 7 % at one and a half lengths (measured in a film with a trap)."""


@dataclass(frozen=True)
class LengthScales:
    """Lengths and times of the motion of one species in a region.

    Attributes:
        species: its name.
        diffuses: True if it diffuses; otherwise it flies along directions.
        lost: length that it diffuses, or flies, before it is scattered to another energy or lost, metres.
        path: elastic free path, metres.
        across: time in which it diffuses over the largest cell, seconds; infinite if it flies.
        edge: size of the largest cell across faces where something else begins, metres; 0 without.
    """

    species: str
    diffuses: bool
    lost: float
    path: float
    across: float
    edge: float


class RegionLengths:
    """Lengths of all regions, for quasiparticles just above the largest gap and phonons that just break pairs
    there, in the state at the start.

    Attributes:
        found: region → size of its smallest and largest cell, and motions.
    """

    def __init__(
        self, case: TransportCase, problem: BoltzmannProblem, state: State, mesh: Mesh, units: Units
    ) -> None:
        """Collective."""
        self._problem, self._state, self._comm = problem, state, problem.cells.comm
        self._units = units
        grid = problem.grid
        conducting = [state.gap[one.owned] for one in problem.media if one.has_quasiparticles]
        own = max((float(gaps.max(initial=0.0)) for gaps in conducting), default=0.0)
        gap = float(self._comm.allreduce(own, MPI.MAX))
        kt = units.temperature(case.bath.temperature)
        self._bins = {
            "quasiparticles": min(int(np.searchsorted(grid.energies, gap + kt)), grid.n - 1),
            "phonons": min(int(np.searchsorted(grid.phonon_energies, 2.0 * gap + kt)), grid.n_phonon - 1),
        }
        sizes = region_sizes(mesh)
        media = self._number_of_medium(mesh)
        moving = [name for name in self._bins if getattr(case, name).motion != "still"]
        edges = {name: _edges(case, name, mesh, media) for name in moving}
        rates = {name: self._rates(name) for name in moving}
        self.found: dict[str, tuple[tuple[float, float], list[LengthScales]]] = {}
        for region, cells in sizes.items():
            inside = _inside(mesh, region)
            motions = []
            for name in moving:
                velocity, path, loss = (
                    self._comm.allreduce(float(a[inside].max(initial=0.0)), MPI.MAX) for a in rates[name]
                )
                if velocity == 0.0:
                    continue
                edge = self._comm.allreduce(float(edges[name][inside].max(initial=0.0)), MPI.MAX)
                diffuses = getattr(case, name).motion == "diffusive"
                diffusivity = velocity * path / 3.0
                lost, across = math.inf, math.inf
                if diffuses:
                    across = cells[1] ** 2 / (2.0 * diffusivity) * units.time
                    lost = math.sqrt(diffusivity / loss) if loss > 0.0 else math.inf
                elif loss > 0.0:
                    lost = velocity / loss
                motions.append(LengthScales(name, diffuses, lost, path, across, edge))
            self.found[region] = cells, motions

    def _number_of_medium(self, mesh: Mesh) -> Floats:
        number = np.zeros(mesh.n_cells)
        if mesh.n_owned == self._problem.cells.n_owned:
            for k, one in enumerate(self._problem.media):
                number[one.owned] = k
            mesh.exchange(number)
        return number

    def _rates(self, species: str) -> tuple[Floats, Floats, Floats]:
        """Speed in metres/τ0, free path in metres, and loss in 1/τ0 of owned cells."""
        problem, state, k = self._problem, self._state, self._bins[species]
        speed, path, loss = (np.zeros(problem.cells.n_owned) for _ in range(3))
        mean_f, mean_n = problem.mean_f(state.f), problem.mean_n(state.n)
        for one in problem.media:
            rows, medium = one.owned, one.medium
            if species == "phonons":
                speed[rows] = np.broadcast_to(medium.sound_velocity, problem.grid.n_phonon)[k]
                path[rows] = np.broadcast_to(medium.phonon_free_path, problem.grid.n_phonon)[k]
            elif one.has_quasiparticles:
                gap = state.gap[rows]
                speed[rows] = one.motion(one.bin_weights(gap), gap)[0][:, k] if len(rows) else 0.0
                path[rows] = medium.free_path
            loss[rows] = _loss(one, state.gap[rows], mean_f[rows], mean_n[rows], species, k)
        return speed, path, loss


def _loss(one: MediumCells, gap: Floats, f: Floats, n: Floats, species: str, k: int) -> Floats:
    """Rate at which particles of an energy are lost or leave it, 1/τ0, of cells of a medium."""
    if not len(gap) or not one.has_quasiparticles:
        return np.zeros(len(gap))
    if species == "phonons":
        # Few of them: rates by number are not accurate on every axis, that at which pairs break is known.
        collisions = one.medium.collisions
        breaking = 0.0 if collisions is None else 1.0 / collisions.coupling.pair_breaking_time
        return np.where(gap > 0.0, breaking, 0.0)
    total = one.gain_loss(one.bin_weights(gap), f, n)
    return np.asarray(total.in_f[:, k] + total.out_f[:, k])


def _inside(mesh: Mesh, region: str) -> Bools:
    """Owned cells of a region of `region_sizes`."""
    out = np.zeros(mesh.n_owned, dtype=bool)
    for cells in [mesh.regions[region]] if region in mesh.regions else mesh.regions.values():
        out[cells[cells < mesh.n_owned]] = True
    return out if region in mesh.regions else ~out


def _edges(case: TransportCase, species: str, mesh: Mesh, medium: Floats) -> Floats:
    """Sizes of owned cells across faces at which something else begins: another medium, what acts in some
    regions, or a wall that particles pass; metres, 0 elsewhere. Collective."""
    kinds = [medium]
    acting: list[TransportPulse | ProcessTable] = [
        *case.initial.pulses,
        *(process for _, process in given_processes(case)),
    ]
    for names in {one.regions for one in acting if one.regions}:
        here = np.zeros(mesh.n_cells)
        for name in names:
            here[mesh.regions[name]] = 1.0
        kinds.append(here)
    a, b = mesh.face_cells.T
    differs = (b >= 0) & np.any([kind[a] != kind[b] for kind in kinds], axis=0)
    for name, wall in getattr(case, species).walls.items():
        if wall.passes and name in mesh.boundaries:
            differs[mesh.boundaries[name]] = True
    out = np.zeros(mesh.n_cells)
    for side in (a, b):
        faces = np.flatnonzero(differs & (side >= 0))
        away = mesh.face_centroid[faces] - mesh.centroid[side[faces]]
        across = 2.0 * np.abs(np.einsum("fx,fx->f", away, mesh.face_normal[faces]))
        np.maximum.at(out, side[faces], across)
    return out[: mesh.n_owned]


def _amount(length: float) -> str:
    return f"{length * 1e6:.3g} um"


def length_rows(lengths: RegionLengths) -> Iterator[tuple[str, str]]:
    """Rows of the report, one a region."""
    for region, (cells, motions) in lengths.found.items():
        texts = []
        for one in motions:
            way = "diffuse" if one.diffuses else "fly"
            parts = []
            end = "break pairs" if one.species == "phonons" else "lose energy or recombine"
            if math.isfinite(one.lost):
                parts.append(f"{way} {_amount(one.lost)} before they {end}")
            if math.isfinite(one.across):
                parts.append(f"cross the largest cell in {one.across:.2g} s")
            elif math.isfinite(one.path):
                parts.append(f"have a free path of {_amount(one.path)}")
            if parts:
                texts.append(f"{one.species} {' and '.join(parts)}")
        yield lengths_row(region, cells, texts)


def mesh_errors(lengths: RegionLengths) -> list[str]:
    """Error by the mesh where something else begins; for particles that fly, cells beside their ways."""
    found = [(cells[1], one) for cells, motions in lengths.found.values() for one in motions]
    texts = []
    error, species = max(
        ((mesh_error(one.edge, one.lost), one.species) for _, one in found if one.diffuses), default=(0.0, "")
    )
    if error > 0.0:
        texts.append(f"mesh {up_to(error)} of the {species} next to other regions and walls")
    part, species = max(
        ((cell / min(one.lost, one.path), one.species) for cell, one in found if not one.diffuses),
        default=(0.0, ""),
    )
    if part > 0.0:
        texts.append(f"largest cells {two_digits(part)} of the way that {species} fly")
    return texts


def warn_of_lengths(lengths: RegionLengths, case: TransportCase, comm: MPI.Comm) -> None:
    """Warn of cells that do not resolve what changes in them."""
    for region, (cells, motions) in lengths.found.items() if comm.rank == 0 else ():
        place = f'in region "{region}"' if region not in ("mesh", "other cells") else f"of the {region}"
        for one in motions:
            if not one.diffuses or one.edge == 0.0:
                continue
            if one.edge > MAX_OF_DIFFUSION * one.lost:
                log.warning(
                    "%s: mesh: cells of %s %s are %.3g times the length of %s that %s diffuse there before "
                    "they %s: what enters may be off by more than 2 %%; "
                    "give cells of at most %s next to other regions",
                    case.source,
                    _amount(one.edge),
                    place,
                    one.edge / one.lost,
                    _amount(one.lost),
                    one.species,
                    "break pairs" if one.species == "phonons" else "lose energy or recombine",
                    _amount(MAX_OF_DIFFUSION * one.lost),
                )
            if case.evolution is not None and one.across > case.evolution.end:
                log.warning(
                    "%s: mesh: %s diffuse over cells of %s %s in %.2g s, longer than evolution.end: how they "
                    "spread is that of the mesh; give finer cells there",
                    case.source,
                    one.species,
                    _amount(cells[1]),
                    place,
                    one.across,
                )
