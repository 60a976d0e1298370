"""From a case to simulations: radii, constants, boxes and meshes, by their place in the sweep."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from mpi4py import MPI

from fvqp.case.geometry import distributed_mesh
from fvqp.case.localized.profile import generation_profile
from fvqp.case.localized.schema import BoxTable, LocalizedCase
from fvqp.case.study import grouped
from fvqp.errors import CaseError, FvqpError, MeshError
from fvqp.models.localized import (
    AnnihilationLaw,
    BurstingBubbles,
    Domain,
    PairClosure,
    Simulation,
    TailAnnihilation,
    TailStates,
    box,
    mesh_domain,
)
from fvqp.models.localized.closure import PACKING
from fvqp.models.localized.validity import (
    DECAYS,
    check_box,
    decays_alone,
    doubts,
    doubts_of_section,
    doubts_of_steepness,
    least_edge,
    steepest,
)
from fvqp.typing import Floats
from fvqp.units import to_float

MICROMETRE = 1e-6
PARTICLES = 10_000
"""About how many a box holds unless the case says otherwise."""
FILLED = 0.1
"""Filling of the states near the gap above which the model ends."""


class LocalizedPoints:
    """Setup of the points of a case; the same on every rank, each of which has the whole mesh.

    Attributes:
        states: the material's tail of localized states, one for each radius; none if the case gives all.
        radius: axis of radii, metres.
        constant: Γ̄, m³/s; 0 for bubbles.
        mesh: the mesh, or none for a box.
        generation: axis of the rates of generation, means over the mesh, 1/(m³ s).
        shape: (radii, spins, generations, runs).
    """

    def __init__(self, case: LocalizedCase) -> None:
        self.case = case
        self.states = _tail_states(case)
        pairs = case.annihilation
        self.radius = np.array(pairs.radius or [state.radius for state in self.states])
        self.constant = 0.0
        if pairs.pairs == "tail_states":
            self.constant = pairs.constant or self.states[0].annihilation_constant
        # Runs are shared among ranks, not the mesh.
        self.mesh = None if case.mesh is None else distributed_mesh(case.mesh, case.source, MPI.COMM_SELF)
        self._cells: Floats | None = None
        if case.profile is not None:
            assert self.mesh is not None
            self._cells = generation_profile(case, self.mesh)
            share = self.mesh.volume / self.mesh.volume.sum()
            self.generation = np.array(case.profile.scale) * float(np.sum(share * self._cells))
        else:
            self.generation = np.array(case.sweep.generation)
        runs = max(case.monte_carlo.runs, 1)
        self.shape = (len(self.radius), len(case.sweep.spin), len(self.generation), runs)

    @property
    def simulated(self) -> bool:
        return self.case.monte_carlo.runs > 0

    def places(self) -> list[tuple[int, ...]]:
        return [tuple(map(int, place)) for place in np.ndindex(self.shape)]

    def law(self, radius: int) -> TailAnnihilation | BurstingBubbles:
        if self.case.annihilation.pairs == "bubbles":
            return BurstingBubbles(float(self.radius[radius]))
        return TailAnnihilation(float(self.radius[radius]), self.constant)

    def closure(self, radius: int) -> AnnihilationLaw | None:
        """The law of annihilation without fluctuations; bubbles have none."""
        law = self.law(radius)
        return AnnihilationLaw(law) if isinstance(law, TailAnnihilation) else None

    def pair_closure(self, radius: int) -> PairClosure | None:
        """The closure with partners from other cells, if the case wants it."""
        law = self.law(radius)
        if self.case.law.closure == "local" or not isinstance(law, TailAnnihilation):
            return None
        domain = self._mesh_domain
        if self.case.extrusion is None:
            domain = dataclasses.replace(domain, periodic=domain.extent > 0.0)
        return PairClosure(law, domain)

    def rates(self, generation: int) -> float | Floats:
        """A, 1/(m³ s): a number, or one for each cell of the rank's mesh."""
        if self.case.profile is None or self._cells is None:
            return float(self.generation[generation])
        return self._cells * self.case.profile.scale[generation]

    def in_file_order(self, cells: Floats) -> Floats:
        """Values of the rank's cells by their number in the mesh file, as results have them."""
        assert self.mesh is not None
        out = np.empty_like(cells)
        out[self.mesh.global_id] = cells
        return out

    def flip_time(self, spin: int) -> float:
        """Seconds; infinite if spins are conserved, none (nan) without spins."""
        name = self.case.sweep.spin[spin]
        return {"none": math.nan, "conserved": math.inf}.get(name) or to_float(name, "s")

    def domain(self, radius: int, generation: int) -> Domain:
        """The mesh, or a box for this point."""
        if self.mesh is not None:
            return self._mesh_domain
        table = self.case.box or BoxTable()
        if table.edges is not None:
            return box(table.edges, table.periodic)
        particles = table.particles or PARTICLES
        edge = float((particles / self._expected(radius, generation)) ** (1.0 / 3.0))
        # Dense quasiparticles: as many more as it takes until their periodic images do not matter.
        return box([max(edge, least_edge() * float(self.radius[radius]))] * 3)

    @cached_property
    def _mesh_domain(self) -> Domain:
        assert self.mesh is not None
        given = self.case.extrusion
        thickness = None if given is None else given.thickness
        cross = None if given is None or given.cross_section is None else tuple(given.cross_section)
        if given is None and not self.simulated:
            # The closure of pairs takes directions that the mesh lacks for endless.
            thickness = 1.0 if self.mesh.dim == 2 else None
            cross = (1.0, 1.0) if self.mesh.dim == 1 else None
        try:
            return mesh_domain(
                self.mesh,
                thickness=thickness,
                cross_section=None if cross is None else (cross[0], cross[1]),
            )
        except CaseError as error:
            raise CaseError(f"{self.case.source}: extrusion: {error}") from None
        except MeshError as error:
            raise MeshError(f"{self.case.source}: mesh: {error}") from None

    def _expected(self, radius: int, generation: int) -> float:
        """Concentration, roughly, 1/m³."""
        closure = self.closure(radius)
        if closure is None:
            return PACKING / (4.0 * math.pi / 3.0) / float(self.radius[radius]) ** 3
        return float(closure.stationary(self.generation[generation]))

    def simulation(self, place: tuple[int, ...]) -> Simulation:
        """A new run; its random numbers are a stream of their own.

        Raises:
            CaseError: names the point and what is wrong with it.
        """
        radius, spin, generation, _ = place
        seed = np.random.SeedSequence(self.case.monte_carlo.seed, spawn_key=place)
        flip_time = self.flip_time(spin)
        rates, domain = self.rates(generation), self.domain(radius, generation)
        try:
            return Simulation(
                domain,
                self.law(radius),
                generation=rates if isinstance(rates, float) else self.in_file_order(rates),
                spins=not math.isnan(flip_time),
                flip_rate=0.0 if math.isnan(flip_time) else 1.0 / flip_time,
                seed=seed,
                warn=False,
            )
        except FvqpError as error:
            raise type(error)(f"{self.case.source}: {self.where(place)}: {error}") from None

    def where(self, place: tuple[int, ...]) -> str:
        """A place, for messages."""
        radius, spin, generation, run = place
        parts = [f"radius {self.radius[radius] / MICROMETRE:.4g} um"]
        if len(self.case.sweep.spin) > 1:
            parts.append(f"spin {self.case.sweep.spin[spin]}")
        parts.append(f"generation {self.generation[generation] * MICROMETRE**3:.4g} 1/(s um^3)")
        if self.shape[3] > 1:
            parts.append(f"run {run}")
        return ", ".join(parts)

    def warnings(self) -> list[str]:
        """Return doubts about the model or the box, each with the first point that it concerns.

        Raises:
            CaseError: a point that cannot be computed.
        """
        points = [place for place in self.places() if place[3] == 0]
        doubts = [
            (self.where(place), text)
            for place in points
            for text in (self._doubts(place) if self.simulated else []) + self._doubts_of_law(place)
        ]
        general = dict.fromkeys(text for state in self.states for text in state.warnings)
        return [*general, *grouped(doubts, len(points)), *grouped(self._filled(points), len(points))]

    def _doubts(self, place: tuple[int, ...]) -> list[str]:
        """Return doubts about the simulation of a point; raise `CaseError` if its box is too small."""
        radius, spin, generation, _ = place
        domain, flip_time = self.domain(radius, generation), self.flip_time(spin)
        try:
            check_box(domain, self.law(radius))
        except CaseError as error:
            raise CaseError(f"{self.case.source}: {self.where(place)}: {error}") from None
        spins = not math.isnan(flip_time)
        rate = 1.0 / flip_time if spins else 0.0
        return doubts(domain, self.particles(place), spins=spins, flip_rate=rate)

    def _doubts_of_law(self, place: tuple[int, ...]) -> list[str]:
        """Limits of the law of annihilation at a point, where there is one."""
        radius, spin, generation, _ = place
        law = self.closure(radius)
        if law is None or self.case.sweep.spin[spin] != "none":
            return []
        found, expected, relaxation = [], self._expected(radius, generation), self.case.relaxation
        if relaxation is not None and decays_alone(law, expected, relaxation.end):
            found.append(DECAYS)
        if self.case.law.closure == "pairs" or self.mesh is None:
            return found
        if self.simulated:
            found += doubts_of_section(self.domain(radius, generation), law, expected)
        cells = np.broadcast_to(self.rates(generation), self.mesh.n_cells)
        steep = doubts_of_steepness(steepest(self.mesh, law, law.stationary(cells)))
        return found + [f'{text}; law.closure = "pairs" counts partners where they are' for text in steep]

    def particles(self, place: tuple[int, ...]) -> float:
        """Return the approximate number of particles in the steady state."""
        radius, _, generation, _ = place
        return self._expected(radius, generation) * self.domain(radius, generation).volume

    def _filled(self, points: list[tuple[int, ...]]) -> Iterator[tuple[str, str]]:
        """Points at which quasiparticles fill the states near the gap, and what is to be said of them."""
        if self.case.material is None:
            return
        states = self.case.material.density_of_states * self.states[0].gap
        for place in points:
            filling = self._expected(place[0], place[2]) / states
            if filling > FILLED:
                yield self.where(place), f"the filling c/(ν0 Δ) = {filling:.3g} is not small"


def _tail_states(case: LocalizedCase) -> list[TailStates]:
    material = case.material
    if material is None:
        return []
    gap = material.gap.in_joule(0.0)
    if material.fluctuation is not None:
        tails = [strength**0.8 * gap for strength in material.fluctuation]
    else:
        tails = [energy.in_joule(gap) for energy in material.tail_energy or ()]
    try:
        return [
            TailStates(
                gap=gap,
                diffusivity=material.diffusivity,
                density_of_states=material.density_of_states,
                tail_energy=tail,
                edge_shift=material.edge_shift.in_joule(gap),
                electron_phonon_time=material.electron_phonon_time,
                gap_ratio=material.gap_ratio,
            )
            for tail in tails
        ]
    except CaseError as error:
        raise CaseError(f"{case.source}: material.{error}") from None
