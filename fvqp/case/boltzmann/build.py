"""From a checked case to its objects: units, mesh, energies, media, equations, first state.

A film is a body of one cell in which nothing moves, at every temperature and strength of its sweep.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.boltzmann.energies import energy_axis
from fvqp.case.boltzmann.materials import CaseMaterial, case_material
from fvqp.case.boltzmann.media import MediaBuilder
from fvqp.case.boltzmann.motion import geometry_of, motion
from fvqp.case.boltzmann.rates import check_rates, warn_of_insulators, warn_of_processes
from fvqp.case.boltzmann.schema import (
    AnyCase,
    BoltzmannCase,
    BoltzmannPulse,
    Spectrum,
    TransportCase,
    TransportPulse,
)
from fvqp.case.boltzmann.sizes import GEOMETRIES, Sizes, cells, require_pairs, sizes
from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.geometry import distributed_mesh, require_touching
from fvqp.case.process import ProcessTable, given_processes
from fvqp.case.quantities import Energy
from fvqp.case.scales import Units
from fvqp.case.sizes import warn_of_sizes
from fvqp.collisions import ElectronPhonon
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError, MeshError
from fvqp.expressions import Expression, amounts
from fvqp.mesh import Mesh, shape_mesh
from fvqp.mesh.periodic import identified
from fvqp.models.boltzmann import BoltzmannProblem, Immobile, State, separate_cells
from fvqp.models.boltzmann.steady import SteadySolver
from fvqp.typing import Bools, Floats, Ints

#: Standard deviations of a pulse that must fit onto the axis.
REACH = 3.0


@dataclass(frozen=True)
class BoltzmannSetup:
    """A case made ready.

    Attributes:
        case: as given.
        units: those of the reference.
        reference: material of the case.
        mesh: of the body; of shells, a line in radius; one cell of a film.
        media: what fills it.
        problem: the equations, at the first temperature and strength of a sweep.
        size: unknowns and memory of a body; None of a film.
        state: at the start, of ``problem``.
        regions: name → owned cells, of a mesh.
        cross_section: m³ by the measure of the mesh; None if it is not known.
    """

    case: AnyCase
    units: Units
    reference: CaseMaterial
    mesh: Mesh
    media: MediaBuilder
    problem: BoltzmannProblem
    size: Sizes | None
    state: State
    regions: dict[str, Ints]
    cross_section: float | None

    @property
    def grid(self) -> EnergyAxis:
        """Energies."""
        return self.problem.grid

    @cached_property
    def has_quasiparticles(self) -> bool:
        """False in insulators alone. Collective."""
        here = any(one.has_quasiparticles for one in self.problem.media)
        return bool(self.mesh.comm.allreduce(here, MPI.LOR))

    @property
    def collisions(self) -> ElectronPhonon:
        """Collisions in a film."""
        found = self.problem.media[0].medium.collisions
        assert found is not None
        return found

    @property
    def gap(self) -> float:
        """Gap at rest of a film, Δ0."""
        strong = self.reference.strong
        return float(self.problem.gap_at_rest[0]) if strong is None else strong.gap

    def bin_weights(self, gap: float) -> BinWeights:
        """Bin weights of a film at a gap."""
        return self.problem.media[0].bin_weights(np.array([gap]))

    def at(self, temperature: float, strength: float) -> BoltzmannProblem:
        """The equations at a temperature of the bath, kelvin, and with a factor of the drives."""
        return _problem(self.case, self.media.at(temperature, strength))

    def initial(self, problem: BoltzmannProblem, temperature: float) -> State:
        """State at the start; ``temperature`` of the bath, kelvin."""
        return _initial(self.case, self.units, problem, self.media, temperature)


def build_setup(
    case: AnyCase, comm: MPI.Comm, *, out: Path | None = None, solve: bool = True
) -> BoltzmannSetup:
    """All objects of a case; raises :class:`CaseError`. Collective.

    Memory of a body is counted, said and compared with what there is before anything of that size is made:
    from the keys of the case, or from the mesh where it is read from a file.

    Args:
        case: what to make.
        comm: ranks that share the cells; every rank has the cell of a film.
        out: results folder, whose disk must have room.
        solve: whether ``initial.steady`` is computed; the state is the thermal one otherwise.
    """
    model = "Boltzmann" if isinstance(case, BoltzmannCase) else "transport"
    own = {
        name: case_material(
            region.material, region.spectrum or Spectrum(), f"{case.source}: regions.{name}.", model
        )
        for name, region in case.regions.items()
        if region.material is not None
    }
    reference = case_material(case.material, case.spectrum, f"{case.source}: ", model)
    units = reference.units
    temperatures = {case.BATH: max(case.baths), "initial.temperature": case.initial.temperature or 0.0}
    reference.require_superconducting(case.source, temperatures)
    size, cross_section = None, None
    try:
        if isinstance(case, BoltzmannCase):
            grid, mesh = energy_axis(case, units, reference, own), separate_cells()
            require_pairs(grid, comm)
        else:
            grid, mesh, size = _body(case, units, reference, own, comm, out)
            cross_section = case.cross_section.measure(mesh.lengths)
        media = MediaBuilder(case, units, reference, own, grid, mesh, cross_section)
        problem = _problem(case, media)
    except (CaseError, MeshError) as error:
        raise case.naming(error) from None
    if isinstance(case, TransportCase):
        warn_of_processes(case, units)
    state = _initial(case, units, problem, media, case.baths[0], solve)
    regions = {n: c[c < mesh.n_owned] for n, c in mesh.regions.items()}
    return BoltzmannSetup(case, units, reference, mesh, media, problem, size, state, regions, cross_section)


def _problem(case: AnyCase, media: MediaBuilder) -> BoltzmannProblem:
    """The equations; raise `CaseError` or `MeshError`."""
    if isinstance(case, BoltzmannCase):
        return BoltzmannProblem(media.mesh, media.grid, media.media())
    filled = media.media()
    moving, sounding = (motion(case, name, media) for name in ("quasiparticles", "phonons"))
    if media.mesh.comm.allreduce(bool(_insulating(case, media.mesh).all()), MPI.LAND):
        moving = Immobile()
    return BoltzmannProblem(media.mesh, media.grid, filled, quasiparticles=moving, phonons=sounding)


def _body(
    case: TransportCase,
    units: Units,
    reference: CaseMaterial,
    own: dict[str, CaseMaterial],
    comm: MPI.Comm,
    out: Path | None,
) -> tuple[EnergyAxis, Mesh, Sizes]:
    """Energies, mesh and size of a body, see `build_setup`."""
    check_rates(case, units)
    warn_of_insulators(case)
    grid = energy_axis(case, units, reference, own)
    known, size = cells(case), None
    if known is not None:
        size = sizes(case, grid, known[0], -(-known[0] // comm.size), known[1])
        size.require(comm, out)
    mesh = _mesh(case, comm)
    warn_of_sizes(mesh, None, case.source)
    if comm.allreduce(bool(_insulating(case, mesh).all()), MPI.LAND):
        grid = _without_quasiparticles(grid)
    if size is None:
        most = int(comm.allreduce(mesh.n_owned, MPI.MAX))
        colliding = int(comm.allreduce(int((~_insulating(case, mesh)).sum()), MPI.MAX))
        size = sizes(case, grid, mesh.n_global, most, geometry_of(mesh), colliding)
        size.require(comm, out)
    return grid, mesh, size


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


def _insulating(case: AnyCase, mesh: Mesh) -> Bools:
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
    case: AnyCase,
    units: Units,
    problem: BoltzmannProblem,
    media: MediaBuilder,
    bath: float,
    solve: bool = True,
) -> State:
    """Thermal occupations, or those of files, and pulses; ``bath`` is its temperature in kelvin."""
    initial = case.initial
    temperature = bath if initial.temperature is None else initial.temperature
    try:
        state = problem.thermal(units.temperature(temperature))
    except CaseError as error:
        raise CaseError(f"{case.source}: energies.lowest_gap: {error}") from None
    if isinstance(case, BoltzmannCase):
        state = _from_files(case, units, problem, state)
    else:
        state = _of_body(case, units, problem, state, solve)
    local, film = problem.at(state.gap).local, isinstance(case, BoltzmannCase)
    f, n = state.f.copy(), state.n.copy()
    pulses: tuple[BoltzmannPulse | TransportPulse, ...] = initial.pulses
    for number, pulse in enumerate(pulses):
        key, phonons = f"{case.source}: initial.pulses[{number}]", pulse.of == "phonons"
        shape, profile, of_cell = _excited(case, units, problem, state, media, pulse, key)
        energy = float(problem.cells.comm.allreduce(float(profile @ of_cell)))
        peak = pulse.peak
        if peak is None:
            peak = _energy(pulse, units, media, key) / (units.energy_density * energy)
        added = peak * profile[:, None, None] * shape
        if phonons:
            n += added
            continue
        # the gap of a film may come down to bins without states
        f += added if film else np.where(local.mobile[:, None, :] > 0.0, added, 0.0)
        most = float(problem.cells.comm.allreduce(float(f.max(initial=0.0)), MPI.MAX))
        if most > 1.0:
            raise CaseError(f"{key}: raises the occupation to {most:.4g}; it cannot exceed 1")
    return problem.state(f, n, state.gap)


def _of_body(
    case: TransportCase, units: Units, problem: BoltzmannProblem, state: State, solve: bool
) -> State:
    """The state of a body before pulses: with localized quasiparticles, or a steady one."""
    given = case.localization
    if given is not None:
        density = 0.0 if given.concentration is None else given.concentration / units.density
        try:
            state = problem.with_localized(state, density)
        except CaseError as error:
            raise CaseError(f"{case.source}: localization.concentration: {error}") from None
    return SteadySolver(problem).solve(state) if case.initial.steady and solve else state


def _from_files(case: BoltzmannCase, units: Units, problem: BoltzmannProblem, state: State) -> State:
    """The state of a film before pulses: with the occupations that its files have."""
    grid, unit, f, n = problem.grid, units.energy / constants.e, state.f, state.n
    if case.initial.quasiparticles is not None:
        f = _occupations(case, "quasiparticles", ("energy_eV", "f"), grid.energies * unit)[None, None]
    if case.initial.phonons is not None:
        n = _occupations(case, "phonons", ("omega_eV", "n"), grid.phonon_energies * unit)[None, None]
    return state if f is state.f and n is state.n else problem.state(f, n)


def _excited(
    case: AnyCase,
    units: Units,
    problem: BoltzmannProblem,
    state: State,
    media: MediaBuilder,
    pulse: BoltzmannPulse | TransportPulse,
    key: str,
) -> tuple[Floats, Floats, Floats]:
    """Distribution of a pulse in energy, ``(E,)``, and over the owned cells, and the energy in each of these
    where its peak is 1, by 4 N0 Δ0²; raise `CaseError` where it does not fit. Collective."""
    grid, local, phonons = problem.grid, problem.at(state.gap).local, pulse.of == "phonons"
    points, weight = (grid.phonon_energies, local.weight_n) if phonons else (grid.energies, local.mobile)
    if isinstance(pulse, BoltzmannPulse):
        if not phonons and (centre := pulse.centre.in_delta0(units.energy)) < state.gap[0]:
            raise CaseError(
                f"{key}.centre: {centre:.4g} Delta0 is below the gap of {state.gap[0]:.4g} Delta0"
            )
        shape = _gaussian(pulse.centre, pulse.width, units.energy, points, key)
        return shape, np.ones(1), weight @ (shape * points)
    inside = media.inside(pulse)
    media.require_profile(pulse, inside > 0.0, key)
    profile = media.around(pulse)[: media.mesh.n_owned] * inside
    _require_excited(media.mesh, inside * weight.sum(axis=1), key)
    shape = _shape(pulse, units.energy, points, key)
    of_cell = weight @ (shape * points)
    there = _require_excited(media.mesh, inside * of_cell, key)
    media.require_near(pulse, there, key)
    if pulse.energy is None:
        media.require_resolved(pulse, there, key)
    return shape, profile, of_cell


def _energy(pulse: BoltzmannPulse | TransportPulse, units: Units, media: MediaBuilder, key: str) -> float:
    """Energy of a pulse by the measure of the mesh, J/m³."""
    if isinstance(pulse, BoltzmannPulse):
        assert pulse.energy_density is not None
        return pulse.energy_density
    if media.cross_section is None:
        raise CaseError(
            f"{key}.energy: a mesh of dimension {media.mesh.dim} has no volume; give peak, or cross_section"
        )
    assert pulse.energy is not None
    return pulse.energy.in_joule(units.energy) / media.cross_section


def _shape(pulse: TransportPulse, unit: float, points: Floats, key: str) -> Floats:
    """Return the distribution of a pulse at energies ``points`` (Δ0); ``unit`` of these in joule."""
    if pulse.spectrum is not None:
        function, volts = Expression(pulse.spectrum, ("E",)), points * unit / constants.e
        return amounts(function, f"{key}.spectrum", E=volts)
    assert pulse.centre is not None and pulse.width is not None
    return _gaussian(pulse.centre, pulse.width, unit, points, key)


def _gaussian(centre: Energy, width: Energy, delta0: float, points: Floats, key: str) -> Floats:
    """A Gaussian of energy at grid ``points`` (Δ0), 1 at its centre; `CaseError` if these do not hold it."""
    at, sigma = centre.in_delta0(delta0), width.in_delta0(delta0)
    if at + REACH * sigma > points[-1] or at < points[0]:
        raise CaseError(
            f"{key}: around {at:.4g} Delta0 with a width of {sigma:.4g} does not fit onto the axis "
            f"from {points[0]:.4g} to {points[-1]:.4g} Delta0, which needs {REACH:.4g} widths above it"
        )
    spacing = float(np.interp(at, points[1:], np.diff(points)))
    # Equal but for rounding is wide enough.
    if sigma < (1.0 - 1e-9) * spacing:
        raise CaseError(
            f"{key}.width: {sigma:.3g} Delta0 is narrower than the {spacing:.3g} Delta0 between grid points"
        )
    return np.asarray(np.exp(-0.5 * ((points - at) / sigma) ** 2))


def _occupations(case: BoltzmannCase, key: str, columns: tuple[str, str], points: Floats) -> Floats:
    """Occupations from a CSV file, linear between its rows and 0 beyond them."""
    most = 1.0 if columns[1] == "f" else math.inf
    where, path = f"{case.source}: initial.{key}", getattr(case.initial, key)
    energies, values = read_spectrum(where, path, columns, "an occupation", most)
    return np.interp(points, energies, values, left=0.0, right=0.0)


def _require_excited(mesh: Mesh, amount: Floats, key: str) -> Bools:
    """Return the owned cells where there is any of a pulse; `CaseError` if there are none. Collective."""
    there = amount > 0.0
    if not mesh.comm.allreduce(bool(there.any()), MPI.LOR):
        raise CaseError(f"{key}: there is nothing to be excited in its place")
    return np.asarray(there)
