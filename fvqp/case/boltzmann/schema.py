"""The schemas of cases of the Boltzmann equations: what can be said, and what cannot be meant.

The models ``boltzmann`` (a homogeneous film) and ``transport`` (a body in space) share the tables at the
beginning. A class checks itself; what several tables say together is checked in
:mod:`fvqp.case.boltzmann.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fvqp.case.boltzmann.dispersion import DispersionTable
from fvqp.case.boltzmann.species import (
    BoltzmannPhonons,
    Escape,
    Quasiparticles,
    Share,
    TransportPhonons,
)
from fvqp.case.evolution import RecordedTimes, TimesPerDecade, one_task, without_methods
from fvqp.case.geometry import MeshSource
from fvqp.case.interaction import Interaction
from fvqp.case.metals import CrossSection
from fvqp.case.processes.injections import Injection
from fvqp.case.processes.localization import LocalizationTable
from fvqp.case.processes.microwaves import Microwave
from fvqp.case.processes.trapping import Trapping
from fvqp.case.quantities import (
    AbsoluteEnergy,
    Diffusivity,
    Energy,
    EnergyDensity,
    EnergyFunction,
    Length,
    NonNegativeEnergy,
    NotNegative,
    Number,
    NumberDensity,
    PositiveEnergy,
    PositiveNumber,
    PositivePhotonEnergy,
    SpaceFunction,
    Speed,
    StateDensity,
    Temperature,
    Time,
)
from fvqp.case.space import InSpace
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, FigureTable, Flag, Name, Solver, Table

MAX_BINS = 20_000
"""Quasiparticle bins; more are a slip: the Jacobian of a cell holds their square."""
MIN_TOLERANCE = 1e-8
"""Least tolerance of steps of a body in time: rounding may take as much of the energy of a step."""
MAX_SHELLS = 100_000
"""Shells of a body; more are a slip."""


class MaterialTable(Table):
    """A material of the library by name, with numbers of one's own in place of the library's where given."""

    name: Name
    gap: AbsoluteEnergy | None = None
    """Zero-temperature gap Δ0."""
    critical_temperature: Temperature | None = None
    characteristic_time: Time | None = None
    """τ0 of quasiparticles, as Kaplan et al. (1976) define it."""
    pair_breaking_time: Time | None = None
    """τ0^pb of phonons; default: the one that conserves energy with the density of phonon modes of the
    material. A given one defines this density instead."""
    dressed_density_of_states: StateDensity | None = None
    """N0 per spin, with the electron-phonon factor 1 + λ."""


class Spectrum(Table):
    """Density of states and coherence of quasiparticles, and the phonons that they collide with."""

    CONDITIONAL: ClassVar = frozenset({"renormalization"})

    model: Literal["bcs", "eliashberg"] = "bcs"
    """``bcs``: weak coupling, and α²F ∝ Ω² of the material's τ0; ``eliashberg``: spectrum, Δ0, T_c and rates
    follow from ``interaction``; a gap that follows scales φ, and needs ``renormalization = "energy"``."""
    interaction: Interaction | None = None
    """The electron-phonon interaction of ``eliashberg``."""
    temperature: Temperature | None = None
    """Temperature of electrons and phonons for which the spectrum is solved; default: zero."""
    renormalization: Literal["constant", "energy"] = "constant"
    """Renormalization of mass and density of states by ``eliashberg``: ``constant``, Z(0) at all energies, as
    in τ0; ``energy``: that of every energy, for rates, numbers of states and speeds alike."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.model == "eliashberg" and self.interaction is None:
            raise ValueError('interaction: missing: model = "eliashberg" needs it')
        for key in ("interaction", "temperature", "renormalization"):
            if self.model == "bcs" and key in self.model_fields_set:
                raise ValueError(f'{key}: is not used with model = "bcs"')
        return self

    def problems(
        self, where: str, material: MaterialTable, gap: str, follows: bool
    ) -> Iterator[tuple[str, str]]:
        """Return keys that contradict a spectrum of Eliashberg theory, each with what is wrong.

        Args:
            where: of the tables ``spectrum`` and ``material``, with a dot at the end.
            material: its table.
            gap: key of a gap that is given, or empty.
            follows: True for a gap that follows.
        """
        if self.interaction is None:
            return
        if unknown := self.interaction.unknown_metal():
            yield f"{where}spectrum.interaction.metal", unknown
        unused = f"is not used: it follows from {where}spectrum.interaction"
        if gap:
            yield f"{where}{gap}", unused
        if follows and self.temperature is not None:
            yield (
                f"{where}spectrum.temperature",
                'contradicts gap.model = "follows", where the occupations decide',
            )
        if follows and self.renormalization != "energy":
            yield (
                f"{where}spectrum.renormalization",
                'must be "energy" with gap.model = "follows": quasiparticles keep their momentum states',
            )
        for key in ("gap", "critical_temperature", "characteristic_time"):
            if getattr(material, key) is not None:
                yield f"{where}material.{key}", unused


class Energies(Table):
    """The energy axes of quasiparticles and phonons."""

    maximum: PositiveEnergy
    """Last edge of the quasiparticle bins (of steps: the end of the photon step that it is in); a warning
    says when a drive takes quasiparticles there."""
    spacing: Literal["uniform", "graded", "steps"] | None = None
    """``uniform``: bins of one ``width``; ``graded``: bins that widen with the distance from the gap, and
    from the foot of the first photon step of microwaves above a gap that stays; ``steps``: bins that begin
    anew at every photon step above a fixed gap. Default: ``steps`` of a film under photons below twice the
    gap where they are possible, ``uniform`` otherwise."""
    width: PositiveEnergy
    """Width of the bins (the finest if graded, the widest of steps); a tenth of k_BT resolves thermal
    distributions. Where phonon modes are not split at twice the gap (a gap that follows on a graded axis or
    in transport, or varies in space), densities of films that keep their phonons are up to 6 % off then,
    in first order. Quasiparticles that diffuse for long gather at the gap: graded axes with a width of
    0.002 Δ0 there and a growth of 0.2 resolve them."""
    growth: PositiveNumber | None = None
    """Graded: widening with the distance from the gap; default 0.05."""
    lowest_gap: PositiveEnergy | None = None
    """Smallest gap that the axis must hold; default: the gap if it is fixed; 0 if it follows, or if the
    spectrum is one of Eliashberg theory at a temperature, which has states below its gap. Phonon modes are
    not split at a fixed gap of a graded axis that has room for others."""
    phonon_maximum: PositiveEnergy | None = None
    """Largest phonon energy, such as the Debye energy; default: all that collisions on the axis can emit, up
    to the end of α²F if there is one."""
    rule: Literal["linear", "bin"] | None = None
    """Counting of states: shared between bin centres (second order), or inside their own bin. Default:
    ``bin`` of steps, ``linear`` otherwise."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.growth is not None and self.spacing != "graded":
            raise ValueError('growth: is used with spacing = "graded" only')
        if self.spacing == "steps":
            if self.rule == "linear":
                raise ValueError('rule: must be "bin" with spacing = "steps", where bins end at photon steps')
            if self.lowest_gap is not None:
                raise ValueError('lowest_gap: is not used with spacing = "steps": its bins begin at the gap')
        return self

    @property
    def count(self) -> Literal["linear", "bin"]:
        """Rule of an axis that is not made of steps."""
        return self.rule or "linear"


class Gap(Table):
    """Model of the gap."""

    model: Literal["fixed", "follows"] = "follows"
    """``follows``: from the quasiparticles, at every time; ``fixed``: ``value``."""
    value: PositiveEnergy | None = None
    """Default of a fixed gap: Δ0."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.value is not None and self.model != "fixed":
            raise ValueError('value: is not used with model = "follows"')
        return self


class Resonator(Table):
    """A microwave resonator made of the superconductor, as a probe."""

    photon_energy: PositivePhotonEnergy
    """Photon energy of the resonance, or its frequency."""
    kinetic_inductance_fraction: Share = 1.0
    """α: share of the kinetic in the total inductance."""
    thickness: PositiveNumber | None = None
    """Thickness of the film, in penetration depths; default: a thin film."""


class Pulse(Table):
    """Hot quasiparticles or phonons added to the initial state."""

    #: Key of an energy in place of the peak.
    ENERGY: ClassVar[str]

    of: Literal["quasiparticles", "phonons"] = "quasiparticles"
    peak: PositiveNumber | None = None
    """Occupation at the centre."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.peak is None) == (getattr(self, self.ENERGY) is None):
            both = "" if self.peak is None else ", not both"
            raise ValueError(f"give either peak or {self.ENERGY}{both}")
        if self.of == "quasiparticles" and self.peak is not None and self.peak > 1.0:
            raise ValueError(f"peak: an occupation of quasiparticles cannot exceed 1, got {self.peak:g}")
        return self


class KineticCase(Case):
    """Tables that films and bodies share."""

    HAS_PROCESSES = True

    #: Key of the temperature of the bath.
    BATH: ClassVar[str]

    material: MaterialTable
    spectrum: Spectrum = Spectrum()
    energies: Energies
    gap: Gap = Gap()
    evolution: RecordedTimes | None = None
    steady_state: Table | None = None
    resonator: Resonator | None = None
    solver: Solver = Solver()

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        one_task(self.evolution, self.steady_state)
        return self


class Region(Table):
    """Settings of a region of the mesh that differ from those of the case."""

    material: MaterialTable | None = None
    """Another superconductor; its energies, times and states are its own."""
    spectrum: Spectrum | None = None
    """Spectrum of the other material; default: that of BCS theory."""
    gap: NonNegativeEnergy | None = None
    """Fixed gap, in the material's Δ0 if relative; 0 in a normal metal. Default: follows by the
    material's own gap equation, or stays at its Δ0, as `gap` says."""
    insulator: Flag = False
    """No quasiparticles; phonons do not collide."""
    ion_density: NumberDensity | None = None
    """Number of ions by volume in an insulator."""
    debye_energy: AbsoluteEnergy | None = None
    """Debye energy of an insulator; with the density of ions it says how many phonon modes there are."""
    fermi_velocity: Speed | None = None
    free_path: Length | None = None
    diffusivity: Diffusivity | None = None
    """These three: as in `quasiparticles`, whose values hold by default."""
    sound_velocity: Speed | None = None
    phonon_free_path: Length | None = None
    phonon_dispersion: DispersionTable | None = None
    """These three: as in `phonons`, whose values hold by default."""
    escape: Escape | None = None
    """Escape of phonons from the region, in place of that in `phonons`."""

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


class BoltzmannCollisions(Table):
    """Collisions of quasiparticles with phonons."""

    evaluation: Literal["auto", "direct", "graded"] = "auto"
    """Kind of the collision sums: ``direct`` for uniform axes, ``graded`` for any axis; ``auto`` takes the
    former where it can."""

    inelastic: ClassVar[bool] = True


class BoltzmannPulse(Pulse):
    """Hot quasiparticles or phonons added to the initial state of a film: a Gaussian in energy."""

    ENERGY = "energy_density"

    centre: PositiveEnergy
    width: PositiveEnergy
    """Standard deviation."""
    energy_density: EnergyDensity | None = None
    """Energy of the pulse by volume, in place of its peak."""


class BoltzmannInitial(Table):
    """The state at the start, or the first guess at a steady state."""

    temperature: Temperature | None = None
    """Temperature of quasiparticles and phonons; default: that of the bath."""
    pulses: tuple[BoltzmannPulse, ...] = ()
    """Added to the thermal occupations."""
    quasiparticles: Path | None = None
    """CSV table with columns ``energy_eV`` and ``f``, in place of the thermal distribution."""
    phonons: Path | None = None
    """CSV table with columns ``omega_eV`` and ``n``, in place of the thermal spectrum."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.temperature is not None and self.quasiparticles is not None and self.phonons is not None:
            raise ValueError("temperature: is not used, both spectra come from files")
        return self


class BoltzmannEvolution(RecordedTimes):
    """An evolution in time."""

    method: Annotated[
        Literal["arkimex"], without_methods("bdf", "relaxation", instead='"arkimex", or leave it out')
    ] = "arkimex"
    """Adaptive steps by an implicit Runge-Kutta method of PETSc: of order 4, of order 3 with tolerances from
    0.01 on."""
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-4
    """Relative error allowed in a step."""


class BoltzmannSteadyState(Table):
    """A steady state."""

    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-9
    """To which gain and loss of every bin agree."""
    maximum_iterations: Count = 200
    """Newton steps before a state is given up."""


def _increasing(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(after <= before for before, after in pairwise(values)):
        raise ValueError("must increase")
    return values


Factors = Annotated[
    tuple[Annotated[Number, NotNegative], ...],
    AS_LIST,
    ONCE,
    AfterValidator(_increasing),
    Field(min_length=1),
]


class BoltzmannSweep(Table):
    """Quantities that vary from run point to run point."""

    temperature: Annotated[tuple[Temperature, ...], AS_LIST, ONCE, Field(min_length=1)]
    """Bath temperature."""
    strength: Factors | None = None
    """Factors by which photons, absorbed powers and injected powers are multiplied, increasing; a steady
    state starts from the one before it."""


class BoltzmannOutput(Table):
    """Quantities stored at every point."""

    rates: Flag = False
    """Whether inverse lifetimes of quasiparticles and phonons are stored beside their occupations."""


class BoltzmannFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal[
        "distribution",
        "phonons",
        "density",
        "inverse_density",
        "x_qp",
        "energies",
        "temperatures",
        "gap",
        "gap_suppression",
        "efficiency",
        "recombination",
        "conductivity",
        "lifetimes",
        "resonator",
    ]
    compare: Literal["analytic", "thermal"] | None = None
    """``analytic``: closed forms beside the curves where the case has some; ``thermal``: what the thermal
    distribution with as many quasiparticles would have."""


class BoltzmannCase(KineticCase):
    """A case of the Boltzmann model: occupations of quasiparticles and phonons of a homogeneous device."""

    UNDECISIVE: ClassVar = {
        **Case.UNDECISIVE,
        "solver": {"petsc"},
        "steady_state": {"maximum_iterations"},
    }

    model: Literal["boltzmann"]
    """The equations: kinetics of quasiparticles and phonons."""
    collisions: BoltzmannCollisions = BoltzmannCollisions()
    phonons: BoltzmannPhonons = BoltzmannPhonons()
    initial: BoltzmannInitial = BoltzmannInitial()
    microwaves: tuple[Microwave, ...] = ()
    injections: tuple[Injection, ...] = ()
    trapping: Trapping | None = None
    evolution: BoltzmannEvolution | None = None
    steady_state: BoltzmannSteadyState | None = None
    sweep: BoltzmannSweep
    output: BoltzmannOutput = BoltzmannOutput()
    figures: tuple[BoltzmannFigure, ...] = ()

    BATH = "sweep.temperature"

    # Of a body without space, in which nothing moves.
    regions: ClassVar[dict[str, Region]] = {}
    quasiparticles: ClassVar[Quasiparticles] = Quasiparticles()
    localization: ClassVar[None] = None
    gap_profile: ClassVar[None] = None

    @property
    def baths(self) -> tuple[float, ...]:
        return self.sweep.temperature


class ShellsTable(Table):
    """A sphere or a cylinder in shells."""

    geometry: Literal["sphere", "cylinder"]
    radius: Length
    shells: Annotated[int, Field(strict=True, ge=1, le=MAX_SHELLS)]
    """Number of shells, of equal thickness."""
    inner_radius: Length | None = None
    """Inner radius of a hollow body, with a wall named ``inner``; default: none."""

    @model_validator(mode="after")
    def _hollow(self) -> Self:
        if self.inner_radius is not None and not self.inner_radius < self.radius:
            raise ValueError("inner_radius: must be smaller than radius")
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


class TransportPulse(InSpace, Pulse):
    """Hot quasiparticles or phonons added to the initial state: a Gaussian in energy and space."""

    ENERGY = "energy"

    centre: PositiveEnergy | None = None
    width: PositiveEnergy | None = None
    """Standard deviation of the energy."""
    spectrum: EnergyFunction | None = None
    """In place of `centre` and `width`: occupation as a function of the energy E, times `peak`, such as
    ``"exp(-E/(0.1 meV))"``; not negative."""

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

    evaluation: ClassVar[Literal["auto"]] = "auto"


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
    """Region of the mesh; default: wherever there are quasiparticles."""


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


class TransportCase(KineticCase):
    """A case of the transport model: Boltzmann equations of quasiparticles and phonons in a body."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": True, "steady_state": {"maximum_iterations"}}

    model: Literal["transport"]
    """The equations: Boltzmann transport."""
    body: ShellsTable | None = None
    mesh: MeshSource | None = None
    cross_section: CrossSection = CrossSection()
    periodic: tuple[Annotated[tuple[Name, Name], ONCE], ...] = ()
    """Pairs of outer boundaries of the mesh that are one: what leaves at one enters at the other."""
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
    output: TransportOutput = TransportOutput()
    figures: tuple[TransportFigure, ...] = ()

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if (self.body is None) == (self.mesh is None):
            raise ValueError("give either [body] or [mesh]" + ("" if self.body is None else ", not both"))
        return self

    BATH = "bath.temperature"

    @property
    def baths(self) -> tuple[float, ...]:
        return (self.bath.temperature,)

    @property
    def gap_profile(self) -> str | None:
        """Factor of a fixed gap, if it has one that varies in space."""
        return self.gap.profile


AnyCase = BoltzmannCase | TransportCase
CASES: dict[str, type[Case]] = {"boltzmann": BoltzmannCase, "transport": TransportCase}
