"""Media of a case: materials, gaps, what moves how fast, sources and escape."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from functools import cached_property
from itertools import chain

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.dispersion import PhononBranch, phonon_branch
from fvqp.case.boltzmann.materials import CaseMaterial, stationary_gap
from fvqp.case.boltzmann.rates import bath_time, check_motion
from fvqp.case.boltzmann.schema import (
    AnyCase,
    BoltzmannCase,
    Region,
    TransportCase,
    TransportPulse,
)
from fvqp.case.boltzmann.species import Escape
from fvqp.case.process import ProcessSite, ProcessTable, built, given_processes
from fvqp.case.quantities import SPACE
from fvqp.case.scales import Units
from fvqp.case.space import InSpace
from fvqp.collisions import Coupling, ElectronPhonon, Pair, PhononEscape, Process, phonon_modes, thermal
from fvqp.collisions.threshold import product_of_shares, shares_of_gaps
from fvqp.energy import BinWeights, EnergyAxis, bcs_weights
from fvqp.energy.bin_weights import Rule
from fvqp.errors import CaseError
from fvqp.expressions import Expression, amounts
from fvqp.gap import SelfConsistentGap
from fvqp.mesh import Mesh
from fvqp.mesh.quality import cell_sizes
from fvqp.models.boltzmann import Medium
from fvqp.parallel import raise_first_error
from fvqp.typing import Bools, Floats, Ints

log = logging.getLogger(__name__)


#: v_F that goes with a diffusivity alone, m/s.
USUAL_VELOCITY = 1e6

#: Standard deviations from its centre beyond which a source in space is nothing: 4e-6 of its peak.
REACH = 5.0

#: Least standard deviation in space over the largest distance of two corners of a cell. Sums over centroids
#: of equal lines, squares and cubes are then off by 4 % at most inside of a mesh, by 12 % next to its ends.
NARROWEST = 0.45

#: The same on shells. The energy in a sphere is then 8 % too large: the occupation of a shell is that in
#: the middle of its radii, and most of its volume is farther out.
NARROWEST_ON_SHELLS = 1.0


class MediaBuilder:
    """Media of a case, at a temperature of its bath and a strength of its drives.

    Phonon modes are split at twice every gap where all gaps stay, and in a film on a uniform axis at twice a
    gap that follows.

    Attributes:
        grid: energies.
        coupling: of the reference material.
        rule: counting of states.
        mesh: cells.
        cross_section: m³ by the measure of the mesh; None if it is not known.
        bath: occupations at the temperature of the bath.
    """

    def __init__(
        self,
        case: AnyCase,
        units: Units,
        reference: CaseMaterial,
        own: dict[str, CaseMaterial],
        grid: EnergyAxis,
        mesh: Mesh,
        cross_section: float | None = None,
    ) -> None:
        """
        Args:
            case, units: as named.
            reference: the material of the case.
            own: those of regions that have another one.
            grid: energies.
            mesh: cells.
            cross_section: see `CrossSection.measure`.
        """
        self.cross_section = cross_section
        self._case, self._units, self._reference, self._own, self.mesh = case, units, reference, own, mesh
        self.coupling = reference.coupling
        self.grid = grid
        self._film, stepped = isinstance(case, BoltzmannCase), grid.step > 0.0
        self.rule: Rule = "bin" if stepped else case.energies.count
        self._evaluation = case.collisions.evaluation
        if self._film and self._evaluation == "auto":
            # Rounding of transforms would add up over long steps.
            self._evaluation = "direct" if grid.is_uniform else "graded"
        self._collisions: dict[CaseMaterial, ElectronPhonon] = {}
        self._self_consistent_gaps: dict[CaseMaterial, SelfConsistentGap] = {}
        self._spectra: dict[CaseMaterial, BinWeights | None] = {}
        self.bath, self._strength = self.thermal(case.baths[0]), 1.0

    def warn_of_spectra(self) -> None:
        """Warn where spectra do not fit the energies or temperatures that they are used for."""
        hottest = max(*self._case.baths, self._case.initial.temperature or 0.0)
        for one in (self._reference, *self._own.values()):
            one.warn_of_spectrum(self.grid, self._units.energy, hottest)

    def at(self, temperature: float, strength: float) -> MediaBuilder:
        """Return the builder for a temperature of the bath, kelvin, and a factor of the drives."""
        out = copy.copy(self)
        out.bath, out._strength = self.thermal(temperature), strength
        return out

    def media(self) -> list[tuple[Ints, Medium]]:
        """Cells, ghosts included, with what fills them."""
        mesh = self.mesh
        self._require_reached()
        left = np.ones(mesh.n_cells, dtype=bool)
        places = []
        named = [process.regions for _, process in given_processes(self._case) if process.own_cells]
        own = dict.fromkeys(chain.from_iterable(named), Region()) | self._case.regions
        for name, region in own.items():
            cells = np.asarray(mesh.regions[name], dtype=np.int64)
            left[cells] = False
            places.append((cells, name, region))
        rest = np.flatnonzero(left)
        if mesh.comm.allreduce(len(rest)):
            places.append((rest, "", Region()))
        shares = self._shares_of_gaps((name, region) for _, name, region in places)
        return [(cells, self._medium(name, region, cells, shares)) for cells, name, region in places]

    def _shares_of_gaps(self, places: Iterable[tuple[str, Region]]) -> dict[float, Floats]:
        """Phonon modes split at twice every gap, where all gaps stay and energies permit it; else none."""
        case = self._case
        if self.grid.step > 0.0 or case.gap_profile is not None or not case.collisions.inelastic:
            return {}
        gaps = set()
        for name, region in places:
            if region.insulator:
                continue
            here = self._material(name)
            gap = stationary_gap(case, self._units, here, region)
            if gap is None or here.spectrum.temperature is not None:
                return {}
            gaps.add(gap)
        return shares_of_gaps(self.grid, gaps - {0.0}, self.rule)

    def thermal(self, temperature: float) -> Pair:
        """Return occupations at a temperature in kelvin, ``(1, N)`` and ``(1, K)``."""
        return thermal(self.grid, self._units.temperature(temperature))

    @property
    def unit(self) -> float:
        """Δ0 in joule."""
        return self._units.energy

    @property
    def time(self) -> float:
        """τ0 in seconds."""
        return self._units.time

    def inside(self, place: TransportPulse | ProcessTable) -> Floats:
        """1 in the owned cells where a source is, else 0; :class:`CaseError` for unknown regions."""
        mesh = self.mesh
        if not place.regions:
            return np.ones(mesh.n_owned)
        out = np.zeros(mesh.n_cells)
        for name in place.regions:
            out[mesh.require_region(name)] = 1.0
        return out[: mesh.n_owned]

    def profile(self, source: TransportPulse | ProcessTable) -> Floats:
        """Distribution of a source in the owned cells, 1 at its centre."""
        inside = self.inside(source)
        return self.around(source)[: self.mesh.n_owned] * inside if isinstance(source, InSpace) else inside

    def _reached(self, process: ProcessTable) -> Bools:
        """Return the owned cells where a process may act: those of its place with its species."""
        there = self.inside(process) > 0.0
        if process.species == "quasiparticles":
            for name, region in self._case.regions.items():
                if region.insulator:
                    cells = self.mesh.regions[name]
                    there[cells[cells < self.mesh.n_owned]] = False
        return there

    def _volume(self, process: ProcessTable) -> float | None:
        """Return the integral of the profile of a process in m³, None if that is not known. Collective."""
        if self.cross_section is None:
            return None
        mesh = self.mesh
        own = float((self.profile(process) * self._reached(process)) @ mesh.volume[: mesh.n_owned])
        return float(mesh.comm.allreduce(own)) * self.cross_section

    def _require_reached(self) -> None:
        """:class:`CaseError` for a process that acts in no cell. Collective."""
        case, mesh = self._case, self.mesh
        for key, process in given_processes(case):
            there = self._reached(process)
            if not mesh.comm.allreduce(bool(there.any()), MPI.LOR):
                key = f"{key}.regions" if process.regions else key
                raise CaseError(
                    f"{case.source}: {key}: acts nowhere, there are no quasiparticles in its place; "
                    "insulators have none"
                )
            if isinstance(process, InSpace):
                self.require_profile(process, there, f"{case.source}: {key}")
                self.require_near(process, there, f"{case.source}: {key}")
                self.require_resolved(process, there, f"{case.source}: {key}")

    def _material(self, name: str) -> CaseMaterial:
        """Return the material of a region, unless it is an insulator."""
        return self._own.get(name, self._reference)

    def _medium(self, name: str, region: Region, cells: Ints, shares: dict[float, Floats]) -> Medium:
        case, units = self._case, self._units
        time = units.time
        here = self._material(name)
        density = here.material.dressed_density_of_states / self._reference.material.dressed_density_of_states
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
        phonon = self._branch(name, region)
        coupling = self._coupling_of(here)
        if region.insulator:
            coupling, density = self._lattice(region), 1.0
        collides = case.collisions.inelastic and not region.insulator
        gap = stationary_gap(case, units, here, region)
        spectrum = None if region.insulator else self._spectrum(here)
        follows = gap is None and not region.insulator
        varied: float | Floats | None = gap
        if gap is not None and self._varies(region):
            varied = gap * self._gap_profile[np.sort(cells)]
        medium = Medium(
            self._colliding(here, region, phonon) if collides else None,
            gap=self._self_consistent(here) if follows else varied,
            spectrum=spectrum,
            density=density,
            modes=None if collides else density * phonon_modes(self.grid, coupling, phonon.modes),
            fermi_velocity=(velocity or 0.0) * time,
            free_path=path or np.inf,
            sound_velocity=phonon.speed * time,
            phonon_free_path=region.phonon_free_path or phonons.free_path or np.inf,
            processes=self._processes(name, region, cells, coupling, density, phonon),
            rule=self.rule,
            phonon_shares=product_of_shares(shares.values()),
            pair_shares=product_of_shares(part for own, part in shares.items() if own != gap),
        )
        check_motion(case, units, name, region, medium, self.mesh, cells)
        return medium

    @property
    def _splits(self) -> bool:
        """True if phonon modes are split at twice a gap that follows."""
        return self._film and self.grid.is_uniform and self._evaluation == "direct"

    def _spectrum(self, here: CaseMaterial) -> BinWeights | None:
        """Return the Eliashberg spectrum of a material, if it has one that is fixed."""
        if here not in self._spectra:
            case, unit = self._case, self._units.energy
            found = here.fixed_spectrum(self.grid, self.rule, case.gap, unit)
            self._spectra[here] = found
        return self._spectra[here]

    def _self_consistent(self, here: CaseMaterial) -> SelfConsistentGap:
        """Return the self-consistent gap of a material."""
        if here not in self._self_consistent_gaps:
            rule, unit, splits = self.rule, self._units.energy, self._splits
            try:
                made = here.self_consistent_gap(self.grid, rule, unit, splits_phonons=splits)
            except CaseError as error:
                raise CaseError(f"{self._case.source}: energies: {error} ({here.material.name})") from None
            self._self_consistent_gaps[here] = made
        return self._self_consistent_gaps[here]

    def _colliding(self, here: CaseMaterial, region: Region, phonon: PhononBranch) -> ElectronPhonon:
        """Collisions in a region, shared by all that have the same material and phonons."""
        shared = region.phonon_dispersion is None
        if shared and here in self._collisions:
            return self._collisions[here]
        # α² stays what it is without dispersion; a given α²F is that of the phonons that there are.
        interaction = phonon.modes
        if here.strong is not None:
            interaction = here.strong.interaction(self.grid, self._units.energy)
        coupling = self._coupling_of(here)
        try:
            made = ElectronPhonon(
                self.grid,
                coupling,
                self._evaluation,
                interaction=interaction,
                modes=phonon.modes,
                split_shares=self.grid.step > 0.0,
            )
        except CaseError as error:
            raise CaseError(f"{self._case.source}: energies: {error}") from None
        if shared:
            self._collisions[here] = made
        return made

    def _branch(self, name: str, region: Region) -> PhononBranch:
        """Phonons of a region."""
        phonons, material, source = self._case.phonons, self._material(name).material, self._case.source
        own = region.phonon_dispersion is not None
        debye_energy = material.debye_energy
        if region.debye_energy is not None:
            debye_energy = region.debye_energy.in_joule(0.0)
        return phonon_branch(
            region.phonon_dispersion or phonons.dispersion,
            region.sound_velocity or phonons.speed,
            self.grid,
            unit=self._units.energy,
            own_gap=material.gap,
            debye_energy=debye_energy,
            where=f"{source}: regions.{name}.phonon_dispersion" if own else f"{source}: phonons.dispersion",
        )

    def _coupling_of(self, here: CaseMaterial) -> Coupling:
        """Coupling of a material in energies and times of the reference (theory: transport, Eq.
        transport-materials)."""
        if here is self._reference:
            return self.coupling
        of_own, units = here.coupling, self._units
        ratio = units.energy / here.material.gap
        strength = of_own.strength * ratio**3 * units.time / here.material.characteristic_time
        return _of(strength, of_own.capacity * ratio**2)

    def _lattice(self, region: Region) -> Coupling:
        """Coupling with the phonon modes of an insulator by those of the reference's 4 N0 Δ0."""
        assert region.ion_density is not None and region.debye_energy is not None
        energy, units = region.debye_energy.in_joule(0.0), self._units
        return _of(1.0, 9.0 * region.ion_density * units.energy**3 / (energy**3 * units.density))

    def _processes(
        self,
        name: str,
        region: Region,
        cells: Ints,
        coupling: Coupling,
        density: float,
        phonon: PhononBranch,
    ) -> dict[str, Process]:
        case, units, grid = self._case, self._units, self.grid
        out: dict[str, Process] = {}
        escape: Escape | None = region.escape or case.phonons.escape
        leaves = None if escape is None else escape.seconds
        key = "phonons.escape" if self._film else "escape"
        if case.phonons.model == "bath":
            leaves = bath_time(case, units, self.coupling.pair_breaking_time * units.time)
            key = "phonon bath" if self._film else key
        if leaves is not None:
            out[key] = PhononEscape(grid, coupling, leaves / units.time, self.bath.n, modes=phonon.modes)
        owned = np.sort(cells[cells < self.mesh.n_owned])
        for key, process in given_processes(case):
            profile = self.profile(process)[owned]
            anywhere = self.mesh.comm.allreduce(bool(np.any(profile > 0.0)), MPI.LOR)
            if not anywhere or (region.insulator and process.species == "quasiparticles"):
                continue
            site = ProcessSite(
                grid,
                units,
                profile,
                self.bath,
                coupling,
                lambda: self._at_rest(name, region, owned),
                modes=phonon.modes,
                density=density,
                strength=self._strength,
                volume=self._volume(process),
                region=name,
                gap=stationary_gap(case, units, self._material(name), region),
            )
            problem = None
            try:
                made = built(key, process, site)
                if made is not None:
                    out[key] = made
            except CaseError as error:
                problem = case.naming(error)
            raise_first_error(self.mesh.comm, problem)
        return out

    def _varies(self, region: Region) -> bool:
        """Return True if the fixed gap of a region has a profile in space."""
        given = (region.gap, region.material)
        return self._case.gap_profile is not None and given == (None, None) and not region.insulator

    @cached_property
    def _gap_profile(self) -> Floats:
        """Factor of a fixed gap, ``(n_cells,)``; :class:`CaseError` if it does not fit. Collective."""
        case, mesh = self._case, self.mesh
        assert case.gap_profile is not None
        problem, found = None, np.zeros(0)
        try:
            found = self._function(case.gap_profile, f"{case.source}: gap.profile")
            gap = stationary_gap(case, self._units, self._reference, Region())
            assert gap is not None
            lowest, highest = gap * found.min(initial=np.inf), gap * found.max(initial=0.0)
            given, top = case.energies.lowest_gap, self.grid.edges[-1]
            if given is not None and lowest < given.in_delta0(self._units.energy):
                raise CaseError(
                    f"{case.source}: energies.lowest_gap: is above a gap of {lowest:.4g} Delta0 "
                    "by gap.profile"
                )
            if highest + 2.0 * self.grid.widths.max() >= top:
                raise CaseError(
                    f"{case.source}: gap.profile: makes a gap of {highest:.4g} Delta0, above which "
                    f"energies.maximum of {top:.4g} Delta0 leaves no room"
                )
        except CaseError as error:
            problem = error
        raise_first_error(mesh.comm, problem)
        return found

    def _at_rest(self, name: str, region: Region, owned: Ints) -> BinWeights:
        """Spectrum of a region at rest, one row or one for each of its owned cells."""
        here = self._material(name)
        bin_weights = self._spectrum(here)
        if bin_weights is not None:
            return bin_weights
        gap = stationary_gap(self._case, self._units, here, region)
        cold: float | Floats = here.material.gap / self._units.energy if gap is None else gap
        if self._varies(region) and len(owned):
            cold = cold * self._gap_profile[owned]
        return bcs_weights(self.grid, cold, self.rule)

    def around(self, place: InSpace) -> Floats:
        """Distribution in space, 1 at the centre of a Gaussian, ``(n_cells,)``."""
        mesh = self.mesh
        if place.profile is not None:
            return self._function(place.profile, "profile")
        if place.size is None:
            return np.ones(mesh.n_cells)
        return np.asarray(np.exp(-0.5 * (self._distance(place) / place.size) ** 2))

    def _function(self, text: str, key: str) -> Floats:
        """Return the values of a function of space, ``(n_cells,)``; :class:`CaseError` if it is none."""
        x, y, z = self.mesh.centroid.T
        r = np.linalg.norm(self.mesh.centroid, axis=1)
        return amounts(Expression(text, SPACE), key, x=x, y=y, z=z, r=r)

    def require_near(self, place: InSpace, there: Bools, key: str) -> None:
        """:class:`CaseError` for a centre that lacks a coordinate or has no cell near it. Collective.

        Args:
            place: of the source.
            there: owned cells where it acts.
            key: of the source, with the case.
        """
        if place.size is None:
            return
        given, needed = len(place.position), self.mesh.dim
        if given < needed:
            raise CaseError(
                f"{key}.position: has {given} of the {needed} coordinates of a place on this mesh"
            )
        nearest = self._nearest(place, there)
        if nearest > REACH * place.size:
            raise CaseError(
                f"{key}: acts nowhere, the nearest cell of its place is {nearest * 1e6:.4g} um from "
                f"its position, more than {REACH:g} times its size of {place.size * 1e6:.4g} um"
            )
        if nearest > place.size + self._closest(place, there):
            log.warning(
                "%s: the nearest cell of its place is %.4g um from its position, beyond its size of %.4g um, "
                "so that only a tail acts; is the position right?",
                key,
                nearest * 1e6,
                place.size * 1e6,
            )

    def require_profile(self, place: InSpace, there: Bools, key: str) -> None:
        """:class:`CaseError` for a profile that is no distribution, or nothing where it acts. Collective.

        Args:
            place, there, key: as of :meth:`require_near`.
        """
        if place.profile is None:
            return
        comm, problem, most = self.mesh.comm, None, 0.0
        try:
            most = float(self.around(place)[: self.mesh.n_owned][there].max(initial=0.0))
        except CaseError as error:
            problem = CaseError(f"{key}.{error}")
        raise_first_error(comm, problem)
        if not comm.allreduce(most, MPI.MAX) > 0.0:
            raise CaseError(f"{key}.profile: is 0 in all cells of its place")

    def require_resolved(self, place: InSpace, there: Bools, key: str) -> None:
        """:class:`CaseError` for a distribution in space narrower than the cells at its centre. Collective.

        Args:
            place, there, key: as of :meth:`require_near`.
        """
        if place.size is None:
            return
        cell = self._closest(place, there)
        shells = isinstance(self._case, TransportCase) and self._case.body is not None
        least = (NARROWEST_ON_SHELLS if shells else NARROWEST) * cell
        # Equal but for rounding is wide enough.
        if place.size < (1.0 - 1e-9) * least:
            raise CaseError(
                f"{key}.size: {place.size * 1e6:.3g} um is narrower than the {least * 1e6:.3g} um that "
                f"cells of {cell * 1e6:.3g} um at its centre resolve; give a larger size or smaller cells"
            )

    def _nearest(self, place: InSpace, there: Bools) -> float:
        """Distance of the nearest cell on all ranks."""
        distance = self._distance(place)[: self.mesh.n_owned][there]
        return float(self.mesh.comm.allreduce(float(distance.min(initial=np.inf)), MPI.MIN))

    def _closest(self, place: InSpace, there: Bools) -> float:
        """Size of the nearest cell on all ranks."""
        mesh = self.mesh
        # cells that are as near but for rounding count alike, whatever rank has them
        closest = there & (
            self._distance(place)[: mesh.n_owned] <= (1.0 + 1e-9) * self._nearest(place, there)
        )
        size = float(cell_sizes(mesh)[: mesh.n_owned][closest].max(initial=0.0))
        return float(mesh.comm.allreduce(size, MPI.MAX))

    def _distance(self, place: InSpace) -> Floats:
        """Return distances of the cells from the centre of a distribution, ``(n_cells,)``."""
        # the radius of a shell is the first coordinate of the line of its results
        centre = np.zeros(3)
        centre[: len(place.position)] = place.position
        return np.asarray(np.linalg.norm(self.mesh.centroid - centre, axis=1))


def _of(strength: float, capacity: float) -> Coupling:
    """The coupling with this strength and capacity."""
    return Coupling(strength ** (1.0 / 3.0), 2.0 * capacity / (np.pi * strength))
