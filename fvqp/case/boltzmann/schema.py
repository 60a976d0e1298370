"""The schema of a case of the Boltzmann model: what can be said, and what cannot be meant.

A class checks itself; what several tables say together is checked in :mod:`fvqp.case.boltzmann.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fvqp.case.evolution import RecordedTimes, one_task, without_methods
from fvqp.case.interaction import Interaction
from fvqp.case.processes.injections import Injection
from fvqp.case.processes.microwaves import Microwave
from fvqp.case.processes.trapping import Trapping
from fvqp.case.quantities import (
    AbsoluteEnergy,
    EnergyDensity,
    Length,
    NotNegative,
    Number,
    PositiveEnergy,
    PositiveNumber,
    PositivePhotonEnergy,
    Speed,
    StateDensity,
    Temperature,
    Time,
)
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, FigureTable, Flag, Name, Solver, Table

MAX_BINS = 20_000
"""Quasiparticle bins; more are a slip: the Jacobian of a cell holds their square."""


def _increasing(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(after <= before for before, after in pairwise(values)):
        raise ValueError("must increase")
    return values


Share = Annotated[Number, Field(gt=0, le=1)]


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
    """Of electrons and phonons for which the spectrum is solved; default: zero."""
    renormalization: Literal["constant", "energy"] = "constant"
    """Of mass and density of states by ``eliashberg``: ``constant``, Z(0) at all energies, as in τ0;
    ``energy``: that of every energy, for rates, numbers of states and speeds alike."""

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
    """``uniform``: bins of one ``width``; ``graded``: bins that widen with the distance from the gap;
    ``steps``: bins that begin anew at every photon step above a fixed gap. Default: ``steps`` of a film
    under photons below twice the gap where they are possible, ``uniform`` otherwise."""
    width: PositiveEnergy
    """Width of the bins (the finest if graded, the widest of steps); a tenth of k_BT resolves thermal
    distributions. Where phonon modes are not split at twice the gap (graded axes, transport), densities of
    films that keep their phonons are up to 6 % off then, in first order."""
    growth: PositiveNumber | None = None
    """Graded: widening with the distance from the gap; default 0.05."""
    lowest_gap: PositiveEnergy | None = None
    """Smallest gap that the axis must hold; default: the gap if it is fixed; 0 if it follows, or if the
    spectrum is one of Eliashberg theory at a temperature, which has states below its gap."""
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


class BoltzmannCollisions(Table):
    """Collisions of quasiparticles with phonons."""

    evaluation: Literal["auto", "direct", "graded"] = "auto"
    """Of the collision sums: ``direct`` for uniform axes, ``graded`` for any axis; ``auto`` takes the former
    where it can."""


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


class Escape(Table):
    """Phonons leave to a bath: in the time given, or in the one that thickness and transmission give."""

    time: Time | None = None
    """τ_l of ``−(n − n_bath)/τ_l``."""
    thickness: Length | None = None
    """Of the film; ``τ_l = 4 thickness/(transmission × sound_velocity)``."""
    transmission: Share | None = None
    """Of phonons into the substrate, averaged over directions."""
    sound_velocity: Speed | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        film = {
            key: getattr(self, key) is not None for key in ("thickness", "transmission", "sound_velocity")
        }
        if (self.time is not None) == any(film.values()):
            raise ValueError("give either time, or thickness, transmission and sound_velocity")
        missing = [key for key, given in film.items() if not given]
        if self.time is None and missing:
            raise ValueError(f"{missing[0]}: missing: an escape by thickness needs it")
        return self

    @property
    def seconds(self) -> float:
        """τ_l, seconds."""
        if self.time is not None:
            return self.time
        assert self.thickness is not None and self.transmission is not None
        assert self.sound_velocity is not None
        return 4.0 * self.thickness / (self.transmission * self.sound_velocity)


class BoltzmannPhonons(Table):
    """Phonons and their bath."""

    model: Literal["dynamic", "bath"] = "dynamic"
    """``dynamic``: phonons have a spectrum of their own that relaxes, is absorbed and escapes; ``bath``: they
    stay in equilibrium at the bath temperature."""
    escape: Escape | None = None
    """Default: none, phonons stay."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.escape is not None and self.model == "bath":
            raise ValueError('escape: is not used with model = "bath"')
        return self


class BoltzmannPulse(Table):
    """Hot quasiparticles or phonons added to the initial state: a Gaussian in energy."""

    of: Literal["quasiparticles", "phonons"] = "quasiparticles"
    centre: PositiveEnergy
    width: PositiveEnergy
    """Standard deviation."""
    peak: PositiveNumber | None = None
    """Occupation at the centre."""
    energy_density: EnergyDensity | None = None
    """Energy of the pulse by volume, in place of its peak."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.peak is None) == (self.energy_density is None):
            raise ValueError(
                "give either peak or energy_density" + ("" if self.peak is None else ", not both")
            )
        if self.of == "quasiparticles" and self.peak is not None and self.peak > 1.0:
            raise ValueError(f"peak: an occupation of quasiparticles cannot exceed 1, got {self.peak:g}")
        return self


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
    """Adaptive steps by an implicit Runge-Kutta method of order 4 of PETSc."""
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-4
    """Relative error allowed in a step."""


class BoltzmannSteadyState(Table):
    """A steady state."""

    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-9
    """To which gain and loss of every bin agree."""
    maximum_iterations: Count = 200
    """Newton steps before a state is given up."""


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


class Resonator(Table):
    """A microwave resonator made of the superconductor, as a probe."""

    photon_energy: PositivePhotonEnergy
    """Of its resonance, or the frequency."""
    kinetic_inductance_fraction: Share = 1.0
    """α: share of the kinetic in the total inductance."""
    thickness: PositiveNumber | None = None
    """Of the film, in penetration depths; default: a thin film."""


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


class BoltzmannCase(Case):
    """A case of the Boltzmann model: occupations of quasiparticles and phonons of a homogeneous device."""

    HAS_PROCESSES = True
    UNDECISIVE: ClassVar = {
        **Case.UNDECISIVE,
        "solver": {"petsc"},
        "steady_state": {"maximum_iterations"},
    }

    model: Literal["boltzmann"]
    """The equations: kinetics of quasiparticles and phonons."""
    material: MaterialTable
    spectrum: Spectrum = Spectrum()
    energies: Energies
    collisions: BoltzmannCollisions = BoltzmannCollisions()
    gap: Gap = Gap()
    phonons: BoltzmannPhonons = BoltzmannPhonons()
    initial: BoltzmannInitial = BoltzmannInitial()
    microwaves: tuple[Microwave, ...] = ()
    injections: tuple[Injection, ...] = ()
    trapping: Trapping | None = None
    evolution: BoltzmannEvolution | None = None
    steady_state: BoltzmannSteadyState | None = None
    sweep: BoltzmannSweep
    resonator: Resonator | None = None
    solver: Solver = Solver()
    output: BoltzmannOutput = BoltzmannOutput()
    figures: tuple[BoltzmannFigure, ...] = ()

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        one_task(self.evolution, self.steady_state)
        return self


CASE = BoltzmannCase
