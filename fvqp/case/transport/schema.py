"""The schema of a case of the transport model: what can be said, and what cannot be meant.

A class checks itself; what several tables say together is checked in :mod:`fvqp.case.transport.checks`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fvqp.case.boltzmann.schema import Energies, Escape, Gap, MaterialTable, Resonator, Spectrum
from fvqp.case.evolution import RecordedTimes, TimesPerDecade, one_task, without_methods
from fvqp.case.geometry import MeshSource
from fvqp.case.metals import CrossSection
from fvqp.case.processes.localization import LocalizationTable
from fvqp.case.quantities import (
    AbsoluteEnergy,
    Diffusivity,
    Energy,
    EnergyFunction,
    Length,
    NonNegativeEnergy,
    Number,
    NumberDensity,
    PositiveEnergy,
    PositiveNumber,
    SpaceFunction,
    Speed,
    Temperature,
)
from fvqp.case.space import InSpace
from fvqp.case.tables import ONCE, Case, Count, FigureTable, Flag, Name, Solver, Table
from fvqp.case.transport.dispersion import DispersionTable
from fvqp.case.transport.species import Quasiparticles, TransportPhonons

MIN_TOLERANCE = 1e-8
"""Of steps in time: rounding may take as much of the energy of a step."""
MAX_SHELLS = 100_000
"""Shells of a body; more are a slip."""


class ShellsTable(Table):
    """A sphere or a cylinder in shells."""

    geometry: Literal["sphere", "cylinder"]
    radius: Length
    shells: Annotated[int, Field(strict=True, ge=1, le=MAX_SHELLS)]
    """Number of shells, of equal thickness."""
    inner_radius: Length | None = None
    """Of a hollow body, with a wall named ``inner``; default: none."""

    @model_validator(mode="after")
    def _hollow(self) -> Self:
        if self.inner_radius is not None and not self.inner_radius < self.radius:
            raise ValueError("inner_radius: must be smaller than radius")
        return self


class Region(Table):
    """Settings of a region of the mesh that differ from those of the case."""

    material: MaterialTable | None = None
    """Another superconductor; its energies, times and states are its own."""
    spectrum: Spectrum | None = None
    """Of the other material; default: that of BCS theory."""
    gap: NonNegativeEnergy | None = None
    """Fixed gap, in the material's Δ0 if relative; 0 in a normal metal. Default: follows by the
    material's own gap equation, or stays at its Δ0, as `gap` says."""
    insulator: Flag = False
    """No quasiparticles; phonons do not collide."""
    ion_density: NumberDensity | None = None
    """Of an insulator."""
    debye_energy: AbsoluteEnergy | None = None
    """Of an insulator; with the density of ions it says how many phonon modes there are."""
    fermi_velocity: Speed | None = None
    free_path: Length | None = None
    diffusivity: Diffusivity | None = None
    """These three: as in `quasiparticles`, whose values hold by default."""
    sound_velocity: Speed | None = None
    phonon_free_path: Length | None = None
    phonon_dispersion: DispersionTable | None = None
    """These three: as in `phonons`, whose values hold by default."""
    escape: Escape | None = None
    """As in `phonons`, in its place."""

    @model_validator(mode="before")
    @classmethod
    def _one_axis(cls, data: Any) -> Any:
        if isinstance(data, dict) and "energies" in data:
            raise ValueError(
                "energies: regions of different energy axes have no interface: particles keep their energy "
                "across it. All regions share [energies]; make that fine and long enough for each of them"
            )
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.free_path is not None and self.diffusivity is not None:
            raise ValueError("give either free_path or diffusivity, not both")
        lattice = self.ion_density is not None and self.debye_energy is not None
        if self.insulator and not lattice:
            raise ValueError("an insulator needs ion_density and debye_energy")
        if self.spectrum is not None and self.material is None:
            raise ValueError("spectrum: is one of another material; give that too")
        if not self.insulator and (self.ion_density is not None or self.debye_energy is not None):
            raise ValueError("ion_density and debye_energy are not used without insulator = true")
        if self.insulator:
            for key in ("material", "gap", "fermi_velocity", "free_path", "diffusivity"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is not used with insulator = true")
        return self


class TransportGap(Gap):
    """Model of the gap of a body."""

    profile: SpaceFunction | None = None
    """Factor of a fixed gap as a function of x, y, z and r, as of `initial.pulses`, such as
    ``"1 - 0.2*exp(-(x/(1 um))^2)"``; 0 where metal is normal. Regions with a gap or material
    of their own keep it."""

    @model_validator(mode="after")
    def _profile_used(self) -> Self:
        if self.profile is not None and self.model != "fixed":
            raise ValueError('profile: is not used with model = "follows"')
        return self


class TransportPulse(InSpace):
    """Hot quasiparticles or phonons added to the initial state: a Gaussian in energy and space."""

    of: Literal["quasiparticles", "phonons"] = "quasiparticles"
    centre: PositiveEnergy | None = None
    width: PositiveEnergy | None = None
    """Standard deviation of the energy."""
    spectrum: EnergyFunction | None = None
    """In place of `centre` and `width`: occupation as a function of the energy E, times `peak`, such as
    ``"exp(-E/(0.1 meV))"``; not negative."""

    peak: PositiveNumber | None = None
    """Occupation at the centre."""
    energy: PositiveEnergy | None = None
    """Energy of the whole pulse, in place of the peak; needs a volume, see `cross_section`."""

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        for key in ("centre", "width"):
            if (getattr(self, key) is None) == (self.spectrum is None):
                known = self.spectrum is not None
                raise ValueError(
                    f"{key}: " + ("is not used with spectrum" if known else "missing: give it, or spectrum")
                )
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.peak is None) == (self.energy is None):
            raise ValueError("give either peak or energy" + ("" if self.peak is None else ", not both"))
        if self.of == "quasiparticles" and self.peak is not None and self.peak > 1.0:
            raise ValueError(f"peak: an occupation of quasiparticles cannot exceed 1, got {self.peak:g}")
        return self


class TransportInitial(Table):
    """The state at the start."""

    temperature: Temperature | None = None
    """Temperature of quasiparticles and phonons; default: that of the bath."""
    steady: Flag = False
    """Whether the start is the steady state that bath, injections, microwaves and traps keep; pulses come on
    top of it."""
    pulses: tuple[TransportPulse, ...] = ()
    """Added to the thermal or steady occupations."""


class Bath(Table):
    """Surroundings of the body."""

    temperature: Temperature


class TransportCollisions(Table):
    """Collisions of quasiparticles with phonons."""

    inelastic: Flag = True
    """Whether there are any; elastic scattering is said by free paths."""


class TransportEvolution(RecordedTimes):
    """An evolution in time."""

    method: Annotated[
        Literal["rosenbrock"],
        without_methods("bdf", "imex", instead='"rosenbrock", with a smaller evolution.tolerance if need be'),
    ] = "rosenbrock"
    """Adaptive, linearly implicit steps of order 2 by PETSc."""
    points_per_decade: TimesPerDecade = 4
    """Recorded times, evenly spaced on a logarithmic axis."""
    tolerance: Annotated[Number, Field(ge=MIN_TOLERANCE, lt=1)] = 0.02
    """Error of a step, relative to the energy of a region of the mesh in quasiparticles and in phonons;
    shells are one region."""


class TransportSteadyState(Table):
    """The steady state that bath, injections, microwaves and traps keep, in place of an evolution."""

    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-8
    """Relative change of the energy of any cell, of quasiparticles and of phonons, in the last step."""
    maximum_iterations: Count = 60
    """Steps before it is given up."""


class Probe(Resonator):
    """A microwave resonator as a probe; its current flows alike through all cells of its region."""

    region: Name | None = None
    """Of the mesh; default: wherever there are quasiparticles."""


def _bounds(values: tuple[Energy, ...]) -> tuple[Energy, ...]:
    if len(values) < 2:
        raise ValueError(f"a range has two bounds; give at least two energies, got {len(values)}")
    for before, after in pairwise(values):
        if before.relative == after.relative and not before.value < after.value:
            raise ValueError("must increase")
    return values


class TransportOutput(Table):
    """Quantities that are stored."""

    energy_shells: Annotated[tuple[Energy, ...], AfterValidator(_bounds)] | None = None
    """Bounds of the energy ranges whose quasiparticles are counted; default: five between Δ0 and the
    maximum."""
    occupations: Flag = False
    """Means over directions of f and n in every cell."""
    fields: Flag = False
    """Densities and gap of every recorded time for ParaView; shells as a ball or cylinder."""


class TransportFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal[
        "arrivals",
        "energies",
        "density",
        "energy_shells",
        "gap_profile",
        "density_profile",
        "escaped",
        "localized",
        "map",
        "regions",
        "resonator",
    ]


class TransportCase(Case):
    """A case of the transport model: Boltzmann equations of quasiparticles and phonons in a body."""

    HAS_PROCESSES = True
    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": True, "steady_state": {"maximum_iterations"}}

    model: Literal["transport"]
    """The equations: Boltzmann transport."""
    material: MaterialTable
    spectrum: Spectrum = Spectrum()
    body: ShellsTable | None = None
    mesh: MeshSource | None = None
    cross_section: CrossSection = CrossSection()
    periodic: tuple[Annotated[tuple[Name, Name], ONCE], ...] = ()
    """Pairs of outer boundaries of the mesh that are one: what leaves at one enters at the other."""
    energies: Energies
    gap: TransportGap = TransportGap()
    quasiparticles: Quasiparticles = Quasiparticles()
    phonons: TransportPhonons = TransportPhonons()
    collisions: TransportCollisions = TransportCollisions()
    regions: dict[Name, Region] = Field(default_factory=dict)
    initial: TransportInitial = TransportInitial()
    localization: LocalizationTable | None = None
    bath: Bath
    evolution: TransportEvolution | None = None
    steady_state: TransportSteadyState | None = None
    resonator: Probe | None = None
    solver: Solver = Solver()
    output: TransportOutput = TransportOutput()
    figures: tuple[TransportFigure, ...] = ()

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        one_task(self.evolution, self.steady_state)
        return self

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if (self.body is None) == (self.mesh is None):
            raise ValueError("give either [body] or [mesh]" + ("" if self.body is None else ", not both"))
        return self


CASE = TransportCase
