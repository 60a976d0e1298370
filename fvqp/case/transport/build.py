"""From a checked case of the transport model to its objects: units, body, media, first state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.boltzmann.build import pulse_shape
from fvqp.case.boltzmann.energies import axis_limits, spaced_axis
from fvqp.case.boltzmann.materials import CaseMaterial, case_material
from fvqp.case.boltzmann.schema import Spectrum
from fvqp.case.geometry import distributed_mesh, require_touching
from fvqp.case.process import ProcessTable, given_processes
from fvqp.case.scales import Units
from fvqp.case.sizes import warn_of_sizes
from fvqp.case.transport.media import MediaBuilder, stationary_gap
from fvqp.case.transport.moving import geometry_of, motion
from fvqp.case.transport.rates import check_rates, warn_of_insulators, warn_of_processes
from fvqp.case.transport.schema import Region, TransportCase, TransportPulse
from fvqp.case.transport.sizes import GEOMETRIES, Sizes, cells, sizes
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, MeshError
from fvqp.expressions import Expression, amounts
from fvqp.mesh import Mesh, shape_mesh
from fvqp.mesh.periodic import identified
from fvqp.models.boltzmann import BoltzmannProblem, Immobile, State
from fvqp.models.boltzmann.steady import SteadySolver
from fvqp.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class TransportSetup:
    """Problem, initial state and units of a case.

    Attributes:
        reference: its material.
        units: those of the reference.
        mesh: of the body; of shells, a line in radius.
        problem: the equations.
        size: unknowns and memory.
        state: at the start.
        regions: name → owned cells, of a mesh.
        cross_section: m³ by the measure of the mesh; None if it is not known.
    """

    units: Units
    reference: CaseMaterial
    mesh: Mesh
    problem: BoltzmannProblem
    size: Sizes
    state: State
    regions: dict[str, Ints]
    cross_section: float | None


def build_setup(
    case: TransportCase, comm: MPI.Comm, *, out: Path | None = None, solve: bool = True
) -> TransportSetup:
    """All objects of a case; raises :class:`CaseError`. Collective.

    Memory is counted, said and compared with what there is before anything of that size is made: from the
    keys of the case, or from the mesh where it is read from a file.

    Args:
        case: what to make.
        comm: ranks that share the cells.
        out: results folder, whose disk must have room.
        solve: whether ``initial.steady`` is computed; the state is the thermal one otherwise.
    """
    own = {
        name: case_material(
            region.material, region.spectrum or Spectrum(), f"{case.source}: regions.{name}.", "transport"
        )
        for name, region in case.regions.items()
        if region.material is not None
    }
    reference = case_material(case.material, case.spectrum, f"{case.source}: ", "transport")
    units = reference.units
    temperatures = {"bath.temperature": case.bath.temperature}
    temperatures["initial.temperature"] = case.initial.temperature or 0.0
    reference.require_superconducting(case.source, temperatures)
    check_rates(case, units)
    warn_of_insulators(case)
    try:
        grid = _axis(case, units, reference, own)
        known, size = cells(case), None
        if known is not None:
            size = sizes(case, grid, known[0], -(-known[0] // comm.size), known[1])
            size.require(comm, out)
    except CaseError as error:
        raise case.naming(error) from None
    mesh = _mesh(case, comm)
    warn_of_sizes(mesh, None, case.source)
    phonons_alone = comm.allreduce(bool(_insulating(case, mesh).all()), MPI.LAND)
    if phonons_alone:
        grid = _without_quasiparticles(grid)
    try:
        if size is None:
            most = int(comm.allreduce(mesh.n_owned, MPI.MAX))
            colliding = int(comm.allreduce(int((~_insulating(case, mesh)).sum()), MPI.MAX))
            size = sizes(case, grid, mesh.n_global, most, geometry_of(mesh), colliding)
            size.require(comm, out)
        cross_section = case.cross_section.measure(mesh.lengths)
        builder = MediaBuilder(case, units, reference, own, grid, mesh, cross_section)
        media = builder.media()
        moving, sounding = (motion(case, name, builder) for name in ("quasiparticles", "phonons"))
        problem = BoltzmannProblem(
            mesh, grid, media, quasiparticles=Immobile() if phonons_alone else moving, phonons=sounding
        )
    except (CaseError, MeshError) as error:
        raise case.naming(error) from None
    warn_of_processes(case, units)
    state = _initial(case, units, problem, builder, solve)
    regions = {n: c[c < mesh.n_owned] for n, c in mesh.regions.items()}
    return TransportSetup(units, reference, mesh, problem, size, state, regions, cross_section)


def _axis(
    case: TransportCase, units: Units, reference: CaseMaterial, own: dict[str, CaseMaterial]
) -> EnergyAxis:
    """Return bins of quasiparticles and energies of phonons; raise `CaseError`.

    Args:
        case, units: as named.
        reference: the material of the case.
        own: those of regions that have another one.
    """
    if case.energies.spacing == "steps":
        raise CaseError(
            'energies.spacing: "steps" is for model = "boltzmann"; expected "uniform" or "graded"'
        )
    places = {"": Region(), **case.regions}
    found = [stationary_gap(case, units, own.get(name, reference), region) for name, region in places.items()]
    gaps, follows = [gap for gap in found if gap is not None], case.gap.model == "follows"
    varies = follows or case.gap.profile is not None
    limits = axis_limits(case.energies, case.source, [reference, *own.values()], gaps, follows=varies)
    if case.resonator is not None:
        probe = case.resonator.photon_energy.in_delta0(units.energy)
        if probe >= limits.maximum:
            raise CaseError(
                f"resonator.photon_energy: {probe:.4g} Delta0 is not below energies.maximum of "
                f"{limits.maximum:.4g} Delta0: what photons lift would be off the axis"
            )
    # localized states have a bin below those that a gap inside a bin shares between two
    below = 1 if case.localization is None else 2
    return spaced_axis(case.energies, case.source, limits, below=below)


def _without_quasiparticles(grid: EnergyAxis) -> EnergyAxis:
    """Return the axis with its phonon energies and no more bins than it must have, the last two."""
    first = grid.first + grid.n - 2 if grid.is_uniform else grid.first
    return replace(grid, edges=grid.edges[-3:], first=first)


def _mesh(case: TransportCase, comm: MPI.Comm) -> Mesh:
    """Return the mesh of a case, of ``[body]`` a line in radius."""
    if case.body is not None:
        body = case.body
        radii = np.linspace(body.inner_radius or 0.0, body.radius, body.shells + 1)
        geometry = GEOMETRIES[body.geometry]
        ends = {"inner": [float(radii[0])]} if radii[0] > 0.0 else {}
        return shape_mesh(
            f"{geometry}1d",
            dx=list(np.diff(radii)),
            origin=(float(radii[0]),),
            boundaries=ends | {"outer": [float(radii[-1])]},
            comm=comm,
        )
    assert case.mesh is not None
    mesh = distributed_mesh(case.mesh, case.source, comm)
    try:
        mesh = identified(mesh, case.periodic)
    except MeshError as error:
        raise MeshError(f"{case.source}: periodic: {error}") from None
    heights = mesh.centroid[:, 2] if mesh.dim == 3 else np.zeros(1)
    if comm.allreduce(float(heights.max()), MPI.MAX) > comm.allreduce(float(heights.min()), MPI.MIN):
        for number, figure in enumerate(case.figures):
            if figure.kind == "map":
                raise CaseError(
                    f'{case.source}: figures[{number}].kind: "map" is of a plane mesh; fields of solids '
                    "(output.fields = true) are for ParaView and fvqp plot --animate"
                )
    for key, kind, names in _places(case):
        there = mesh.regions if kind == "region" else mesh.boundaries
        unknown = [name for name in names if name not in there]
        if unknown:
            known = ", ".join(there) or "none"
            raise CaseError(
                f'{case.source}: {key}: the mesh has no {kind} "{unknown[0]}"; there are: {known}'
            )
    for name in ("quasiparticles", "phonons"):
        for number, interface in enumerate(getattr(case, name).interfaces):
            require_touching(mesh, f"{case.source}: {name}.interfaces[{number}]", interface.between)
    return mesh


def _insulating(case: TransportCase, mesh: Mesh) -> Bools:
    """Return the owned cells of insulators, ``(n_owned,)``."""
    out = np.zeros(mesh.n_cells, dtype=bool)
    for name, region in case.regions.items():
        if region.insulator:
            out[mesh.regions[name]] = True
    return out[: mesh.n_owned]


def _places(case: TransportCase) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Keys that name regions or boundaries of a mesh, which of the two, and the names."""
    yield "regions", "region", case.regions
    if case.resonator is not None and case.resonator.region is not None:
        yield "resonator.region", "region", (case.resonator.region,)
    pulses = ((f"initial.pulses[{number}]", pulse) for number, pulse in enumerate(case.initial.pulses))
    entries: list[tuple[str, TransportPulse | ProcessTable]] = [*pulses, *given_processes(case)]
    for key, entry in entries:
        yield f"{key}.regions", "region", entry.regions
    for key in ("quasiparticles", "phonons"):
        species = getattr(case, key)
        yield f"{key}.walls", "boundary", species.walls
        for number, interface in enumerate(species.interfaces):
            yield f"{key}.interfaces[{number}].between", "region", interface.between


def _initial(
    case: TransportCase, units: Units, problem: BoltzmannProblem, media: MediaBuilder, solve: bool
) -> State:
    """Thermal occupations, and pulses."""
    grid, initial, mesh = problem.grid, case.initial, media.mesh
    temperature = case.bath.temperature if initial.temperature is None else initial.temperature
    try:
        state = problem.thermal(units.temperature(temperature))
    except CaseError as error:
        raise CaseError(f"{case.source}: energies.lowest_gap: {error}") from None
    given = case.localization
    if given is not None:
        density = 0.0 if given.concentration is None else given.concentration / units.density
        try:
            state = problem.with_localized(state, density)
        except CaseError as error:
            raise CaseError(f"{case.source}: localization.concentration: {error}") from None
    if initial.steady and solve:
        state = SteadySolver(problem).solve(state)
    local = problem.at(state.gap).local
    f, n = state.f.copy(), state.n.copy()
    for number, pulse in enumerate(initial.pulses):
        key = f"{case.source}: initial.pulses[{number}]"
        phonons = pulse.of == "phonons"
        points = grid.phonon_energies if phonons else grid.energies
        inside = media.inside(pulse)
        media.require_profile(pulse, inside > 0.0, key)
        profile = media.around(pulse)[: mesh.n_owned] * inside
        weight = local.weight_n if phonons else local.mobile
        _require_excited(mesh, inside * weight.sum(axis=1), key)
        shape = _shape(pulse, units.energy, points, key)
        of_cell = weight @ (shape * points)
        there = _require_excited(mesh, inside * of_cell, key)
        media.require_near(pulse, there, key)
        energy = float(mesh.comm.allreduce(float(profile @ of_cell)))
        peak = pulse.peak
        if pulse.energy is not None:
            if media.cross_section is None:
                raise CaseError(
                    f"{key}.energy: a mesh of dimension {mesh.dim} has no volume; give peak, or cross_section"
                )
            volume = energy * media.cross_section
            peak = pulse.energy.in_joule(units.energy) / (units.energy_density * volume)
        else:
            media.require_resolved(pulse, there, key)
        assert peak is not None
        added = peak * profile[:, None, None] * shape
        if phonons:
            n += added
        else:
            f += np.where(weight[:, None, :] > 0.0, added, 0.0)
            most = float(mesh.comm.allreduce(float(f.max(initial=0.0)), MPI.MAX))
            if most > 1.0:
                raise CaseError(f"{key}: raises the occupation to {most:.4g}; it cannot exceed 1")
    return problem.state(f, n, state.gap)


def _shape(pulse: TransportPulse, unit: float, points: Floats, key: str) -> Floats:
    """Return the distribution of a pulse at energies ``points`` (Δ0); ``unit`` of these in joule."""
    if pulse.spectrum is not None:
        function, volts = Expression(pulse.spectrum, ("E",)), points * unit / constants.e
        return amounts(function, f"{key}.spectrum", E=volts)
    assert pulse.centre is not None and pulse.width is not None
    return pulse_shape(pulse.centre, pulse.width, unit, points, key)


def _require_excited(mesh: Mesh, amount: Floats, key: str) -> Bools:
    """Return the owned cells where there is any of a pulse; `CaseError` if there are none. Collective."""
    there = amount > 0.0
    if not mesh.comm.allreduce(bool(there.any()), MPI.LOR):
        raise CaseError(f"{key}: there is nothing to be excited in its place")
    return np.asarray(there)
