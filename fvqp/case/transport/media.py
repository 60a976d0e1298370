"""Media of a case of the transport model: materials, gaps, what moves how fast, sources and escape."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.case.boltzmann.build import Units, chosen_material
from fvqp.case.boltzmann.schema import MOST_BINS, Escape, MaterialChoice
from fvqp.case.transport.schema import Place, Region, TransportCase
from fvqp.case.transport.sources import LocalMicrowave, LocalTrapping, drives
from fvqp.collisions import (
    CollisionGrid,
    Coupling,
    ElectronPhonon,
    Gaussian,
    PhononEscape,
    PhononInjection,
    Process,
    QuasiparticleInjection,
    bcs_measure,
    phonon_modes,
    thermal,
)
from fvqp.collisions.moving_gap import GapFollower
from fvqp.errors import CaseError
from fvqp.materials import Material
from fvqp.mesh import Mesh
from fvqp.models.coupling import electron_phonon_coupling
from fvqp.models.transport import Medium

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: v_F that goes with a diffusivity alone, m/s.
USUAL_VELOCITY = 1e6


class CaseMedia:
    """Media of a case.

    Attributes:
        grid: energies.
        bath: occupations at the bath temperature.
        mesh: cells.
    """

    def __init__(self, case: TransportCase, units: Units, material: Material, mesh: Mesh) -> None:
        self._case, self._units, self._material, self.mesh = case, units, material, mesh
        self._gaps = {name: self._gap(region) for name, region in case.regions.items()}
        self.grid = self._grid()
        self.bath = thermal(self.grid, units.temperature(case.bath.temperature))
        try:
            self._collisions = ElectronPhonon(self.grid, _coupling(case.material, material))
            self._follower = (
                GapFollower(self.grid, case.energies.rule) if case.gap.model == "follows" else None
            )
        except CaseError as error:
            raise CaseError(f"{case.source}: energies: {error}") from None

    @property
    def coupling(self) -> Coupling:
        """Of the reference material."""
        return self._collisions.coupling

    def media(self) -> list[tuple[Ints, Medium]]:
        """Cells, ghosts included, with what fills them."""
        mesh = self.mesh
        left = np.ones(mesh.n_cells, dtype=bool)
        out = []
        for name, region in self._case.regions.items():
            cells = np.asarray(mesh.regions[name], dtype=np.int64)
            left[cells] = False
            out.append((cells, self._medium(region, cells)))
        rest = np.flatnonzero(left)
        if mesh.comm.allreduce(len(rest)):
            out.append((rest, self._medium(Region(), rest)))
        return out

    def inside(self, place: Place | LocalMicrowave | LocalTrapping) -> Floats:
        """1 in the owned cells where a source is, else 0; :class:`CaseError` for unknown regions."""
        mesh = self.mesh
        if not place.regions:
            return np.ones(mesh.n_owned)
        out = np.zeros(mesh.n_cells)
        for name in place.regions:
            out[mesh.require_region(name)] = 1.0
        return out[: mesh.n_owned]

    def _fixed_gap(self) -> float | None:
        gap = self._case.gap
        if gap.model == "follows":
            return None
        return 1.0 if gap.value is None else gap.value.in_delta0(self._material.gap)

    def _gap(self, region: Region) -> float | None:
        """A gap that stays, in Δ0 of the reference; None where it follows or there is none."""
        if region.insulator:
            return None
        own = self._own(region)
        if region.gap is not None:
            return region.gap.in_joule(own.gap) / self._material.gap
        return self._fixed_gap() if region.material is None else own.gap / self._material.gap

    def _own(self, region: Region) -> Material:
        """The material of a region."""
        if region.material is None:
            return self._material
        return chosen_material(region.material, f"{self._case.source}: regions: material", "transport")

    def _grid(self) -> CollisionGrid:
        case, delta0 = self._case, self._units.energy
        energies = case.energies
        width, maximum = energies.width.in_delta0(delta0), energies.maximum.in_delta0(delta0)
        top = None if energies.phonon_maximum is None else energies.phonon_maximum.in_delta0(delta0)
        fixed = self._fixed_gap()
        gaps = [gap for gap in (fixed, *self._gaps.values()) if gap is not None]
        lowest = min(gaps) if fixed is not None else min([0.0, *gaps])
        if energies.lowest_gap is not None:
            given = energies.lowest_gap.in_delta0(delta0)
            if gaps and given > min(gaps):
                raise CaseError(
                    f"{case.source}: energies.lowest_gap: {given:g} Delta0 is above a gap of "
                    f"{min(gaps):g} Delta0"
                )
            lowest = given
        if energies.spacing == "uniform" and (maximum - lowest) / width > MOST_BINS:
            raise CaseError(
                f"{case.source}: energies.width: makes more than {MOST_BINS} bins; choose wider ones"
            )
        highest = max([1.0, *gaps])
        if maximum <= highest + 2.0 * width:
            raise CaseError(
                f"{case.source}: energies.maximum: {maximum:.4g} Delta0 leaves no room above a gap of "
                f"{highest:.4g} Delta0"
            )
        start = max(lowest - width, 0.0)
        try:
            if energies.spacing == "uniform":
                return CollisionGrid.uniform(width, maximum, start=start, phonon_maximum=top)
            growth = 0.05 if energies.growth is None else energies.growth
            return CollisionGrid.graded(
                maximum, gap=(start, highest), finest=width, growth=growth, phonon_maximum=top
            )
        except CaseError as error:
            raise CaseError(f"{case.source}: energies: {error}") from None

    def _medium(self, region: Region, cells: Ints) -> Medium:
        case, units = self._case, self._units
        time = units.time
        own = self._own(region)
        density = own.dressed_density_of_states / self._material.dressed_density_of_states
        moving, phonons = case.quasiparticles, case.phonons
        given = {
            key: getattr(region, key)
            for key in ("fermi_velocity", "free_path", "diffusivity")
            if getattr(region, key) is not None
        }
        if "free_path" not in given and "diffusivity" not in given:
            given |= {"free_path": moving.free_path, "diffusivity": moving.diffusivity}
        velocity = given.get("fermi_velocity") or moving.fermi_velocity
        path, diffusivity = given.get("free_path"), given.get("diffusivity")
        if diffusivity is not None:
            velocity = velocity or USUAL_VELOCITY
            path = 3.0 * diffusivity / velocity
        sound = region.sound_velocity or phonons.sound_velocity or 0.0
        coupling = self._collisions.coupling
        if region.material is not None:
            coupling = self._coupling_of(region.material, own)
        if region.insulator:
            coupling, density = self._lattice(region), 1.0
        collisions = self._collisions if region.material is None else ElectronPhonon(self.grid, coupling)
        collides = case.collisions.inelastic and not region.insulator
        gap = self._gap(region)
        return Medium(
            collisions if collides else None,
            gap=None if region.insulator else self._follower if gap is None else gap,
            density=density,
            modes=None if collides else density * phonon_modes(self.grid, coupling),
            fermi_velocity=(velocity or 0.0) * time,
            free_path=path or np.inf,
            sound_velocity=sound * time,
            phonon_free_path=region.phonon_free_path or phonons.free_path or np.inf,
            processes=self._processes(region, cells, coupling, density),
            rule=case.energies.rule,
        )

    def _coupling_of(self, given: MaterialChoice, own: Material) -> Coupling:
        """Coupling of another material in energies and times of the reference (theory: transport, Eq.
        transport-materials)."""
        of_own, units = _coupling(given, own), self._units
        ratio = units.energy / own.gap
        strength = of_own.strength * ratio**3 * units.time / own.characteristic_time
        return _of(strength, of_own.capacity * ratio**2)

    def _lattice(self, region: Region) -> Coupling:
        """Coupling with the phonon modes of an insulator by those of the reference's 4 N0 Δ0."""
        assert region.ion_density is not None and region.debye_energy is not None
        energy, units = region.debye_energy.in_joule(0.0), self._units
        return _of(1.0, 9.0 * region.ion_density * units.energy**3 / (energy**3 * units.density))

    def _processes(
        self, region: Region, cells: Ints, coupling: Coupling, density: float
    ) -> dict[str, Process]:
        case, units, grid = self._case, self._units, self.grid
        out: dict[str, Process] = {}
        escape: Escape | None = region.escape or case.phonons.escape
        if escape is not None:
            out["escape"] = PhononEscape(grid, coupling, escape.seconds / units.time, self.bath.n)
        owned = np.sort(cells[cells < self.mesh.n_owned])
        for number, injection in enumerate(case.injections):
            profile = self.around(injection)[owned] * self.inside(injection)[owned]
            anywhere = self.mesh.comm.allreduce(bool(np.any(profile > 0.0)), MPI.LOR)
            if not anywhere or (region.insulator and injection.of == "quasiparticles"):
                continue
            key = f"injections[{number}]"
            spectrum = Gaussian(
                injection.centre.in_delta0(units.energy), injection.width.in_delta0(units.energy)
            )
            power = injection.power / units.power_density / density * profile
            try:
                if injection.of == "phonons":
                    out[key] = PhononInjection(grid, coupling, spectrum, power=power)
                else:
                    out[key] = QuasiparticleInjection(grid, spectrum, power=power)
                    self._reaches_states(out[key], region, len(owned))
            except CaseError as error:
                raise CaseError(f"{case.source}: {key}: {error}") from None
        if not region.insulator:
            thermal_f = self.bath.f[0]
            out |= drives(case, units, grid, thermal_f, density, lambda table: self.inside(table)[owned])
        return out

    def _reaches_states(self, process: Process, region: Region, cells: int) -> None:
        """A source says what is wrong with its spectrum when it meets the states."""
        gap = self._gap(region)
        measure = bcs_measure(self.grid, 1.0 if gap is None else gap, self._case.energies.rule)
        process.rates(measure, np.zeros((cells, self.grid.n)), np.zeros((cells, self.grid.n_phonon)))

    def around(self, place: Place) -> Floats:
        """Distribution in space, 1 at its centre, ``(n_cells,)``."""
        mesh = self.mesh
        if place.size is None:
            return np.ones(mesh.n_cells)
        # the radius of a shell is the first coordinate of the line of its results
        distance = np.linalg.norm(mesh.centroid - np.asarray(place.position), axis=1)
        return np.asarray(np.exp(-0.5 * (distance / place.size) ** 2))


def _of(strength: float, capacity: float) -> Coupling:
    """The coupling with this strength and capacity."""
    return Coupling(strength ** (1.0 / 3.0), 2.0 * capacity / (np.pi * strength))


def _coupling(given: MaterialChoice, material: Material) -> Coupling:
    published = given.pair_breaking_time is not None
    return electron_phonon_coupling(material, "published" if published else "derived")
