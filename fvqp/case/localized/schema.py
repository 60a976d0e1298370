"""The schema of a case of localized quasiparticles: what can be said, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fvqp.case.earlier import Earlier, Generations
from fvqp.case.evolution import RecordedTimes, TimesPerDecade, in_order
from fvqp.case.geometry import MeshSource
from fvqp.case.quantities import (
    AbsoluteEnergy,
    AnnihilationConstant,
    Diffusivity,
    GenerationRate,
    Length,
    Number,
    PositiveEnergy,
    PositiveNumber,
    StateDensity,
    Time,
)
from fvqp.case.tables import AS_LIST, ONCE, Case, FigureTable, Flag, Name, Solver, Table, digest
from fvqp.errors import FvqpError
from fvqp.units import to_float

Fraction = Annotated[Number, Field(gt=0, lt=1)]
MAX_PARTICLES = 20_000_000
"""Particles of a run; more are a slip: they need some gigabytes."""


def _kind_of_spin(value: str) -> str:
    if value in ("none", "conserved"):
        return value
    try:
        time = to_float(value, "s")
    except FvqpError:
        raise ValueError(
            f'expected "none", "conserved" or a spin-flip time such as "1 ms", got "{value}"'
        ) from None
    if not time > 0:
        raise ValueError(f"a spin-flip time must be positive, got {time:g} s")
    return f"{time!r} s"


SpinKind = Annotated[str, AfterValidator(_kind_of_spin)]


class LocalizedMaterial(Table):
    """The superconductor, from whose disorder the radius r_c and the constant Γ̄ follow."""

    gap: AbsoluteEnergy
    """Δ."""
    diffusivity: Diffusivity
    """D of the normal metal."""
    density_of_states: StateDensity
    """ν0 of the normal metal."""
    electron_phonon_time: Time
    """τ0."""
    gap_ratio: PositiveNumber = 1.764
    """Δ/k_BT_c."""
    edge_shift: PositiveEnergy
    """ε_g, by which disorder lowers and rounds the gap edge."""
    tail_energy: Annotated[tuple[PositiveEnergy, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    """ε_T, scale of the tail of localized states; several make an axis of radii."""
    fluctuation: Annotated[tuple[PositiveNumber, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    """F = (ε_T/Δ)^(5/4), intensity of the fluctuations of the gap, in place of ``tail_energy``."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tail_energy is None) == (self.fluctuation is None):
            raise ValueError("give either tail_energy or fluctuation")
        return self


class Annihilation(Table):
    """Law of annihilation of pairs."""

    pairs: Literal["tail_states", "bubbles"] = "tail_states"
    """``tail_states``: at the rate of two localized states at their distance; ``bubbles``: at once if they
    are closer than ``radius``, otherwise never."""
    radius: Annotated[tuple[Length, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    """r_c of localized states, or the distance of bubbles; default: from the material."""
    constant: AnnihilationConstant | None = None
    """Γ̄, of dense quasiparticles; default: from the material."""


class LocalizedSweep(Table):
    """Quantities that vary."""

    generation: Generations | None = None
    """A: quasiparticles generated, by volume and time; or ``{ from, to, points }``, logarithmic. Not with a
    ``profile``, which says it."""
    spin: Annotated[tuple[SpinKind, ...], AS_LIST, ONCE, Field(min_length=1)] = ("none",)
    """``none``: all pairs annihilate; ``conserved``: those of opposite classical spins; a time: the same, and
    spins flip, each after this time on average."""


class BoxTable(Table):
    """A box in place of a mesh."""

    particles: Annotated[int, Field(strict=True, ge=100, le=MAX_PARTICLES)] | None = None
    """About how many the box is to hold: it is a cube, as large as it takes. Default 10 000."""
    edges: Annotated[tuple[Length, ...], Field(min_length=3, max_length=3)] | None = None
    """Edges of the box, in place of ``particles``."""
    periodic: Annotated[tuple[Flag, ...], Field(min_length=3, max_length=3)] = (True, True, True)
    """Whether the box repeats in each of its directions: ``[true, true, false]`` for a film."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.particles is not None and self.edges is not None:
            raise ValueError("particles: follows from edges; give one of them")
        if self.edges is None and not all(self.periodic):
            raise ValueError("edges: missing: a box that does not repeat is not given by its particles")
        return self


class Extrusion(Table):
    """Lengths that a mesh of fewer than three dimensions lacks."""

    thickness: Length | None = None
    """Thickness of a film whose mesh is one of faces."""
    cross_section: Annotated[tuple[Length, ...], Field(min_length=2, max_length=2)] | None = None
    """Two edges, of a mesh of lines."""


class Profile(Table):
    """Generation A(x) on a mesh: from regions, a table, or an earlier run."""

    CONDITIONAL: ClassVar = frozenset({"axis"})

    regions: dict[Name, GenerationRate] = Field(default_factory=dict)
    """Rate in every named region; elsewhere nothing is generated."""
    table: Path | None = None
    """File of two columns: position along ``axis``, and rate. Linear in between."""
    axis: Literal["x", "y", "z"] = "x"
    """Axis of the positions in ``table``."""
    length_unit: Literal["m", "cm", "mm", "um", "nm"] | None = None
    """Unit of the positions in ``table``."""
    rate: GenerationRate | None = None
    """Unit of the rates in ``table``."""
    results: Earlier | None = None
    """An earlier run, each cell taking the value of its cell nearest in space."""
    scale: Annotated[tuple[PositiveNumber, ...], AS_LIST, ONCE, Field(min_length=1)] = (1.0,)
    """Factors of A(x): the axis ``generation`` of the results, which holds means over the mesh."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [bool(self.regions), self.table is not None, self.results is not None].count(True) != 1:
            raise ValueError("give one of regions, table, results")
        for key in ("length_unit", "rate"):
            if self.table is not None and getattr(self, key) is None:
                raise ValueError(f"{key}: missing: the unit of a column of the table")
            if self.table is None and getattr(self, key) is not None:
                raise ValueError(f"{key}: is not used without table")
        if self.table is None and "axis" in self.model_fields_set:
            raise ValueError("axis: is not used without table")
        return self


class Law(Table):
    """The law of annihilation that leaves out fluctuations, beside the simulation."""

    closure: Literal["local", "pairs"] = "local"
    """``local``: partners are as many as where a quasiparticle is; ``pairs``: they are counted in all cells
    within reach, and beyond surfaces there are none; on a mesh, for the steady state."""
    diffusivity: Diffusivity | None = None
    """Diffusivity of rare hops, on a mesh; default: quasiparticles stay where they are."""


class MonteCarlo(Table):
    """The simulation."""

    CONDITIONAL: ClassVar = frozenset({"seed", "accuracy", "max_events"})

    runs: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 1
    """Independent runs of every point; 0: the law of annihilation alone."""
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    """Seed of the random numbers of all runs."""
    accuracy: Fraction = 0.01
    """Relative standard error of the mean concentration of all runs, until which they go on."""
    start: Time | None = None
    """Averages are taken from here on, in place of where the steady state is found to begin."""
    end: Time | None = None
    """Averages are taken up to here, whatever the ``accuracy``."""
    max_events: PositiveNumber = 1e9
    """Events after which a run is given up."""

    @model_validator(mode="after")
    def _window(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("start: belongs to end; give both, or neither")
        if self.start is not None and self.end is not None:
            in_order(self.start, self.end)
            for key in ("accuracy", "max_events"):
                if key in self.model_fields_set:
                    raise ValueError(f"{key}: is not used with start and end, which say how long to run")
        return self


class LocalizedRelaxation(RecordedTimes):
    """Decay after generation has been switched off in the steady state."""

    points_per_decade: TimesPerDecade = 5
    """Recorded times, evenly spaced on a logarithmic axis."""


class LocalizedFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal["concentration", "packing", "relaxation", "profile"]


class LocalizedCase(Case):
    """A case of localized quasiparticles."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "monte_carlo": {"max_events"}, "solver": True}

    model: Literal["localized"]
    """The equations: quasiparticles that stay where they are and annihilate in pairs."""
    material: LocalizedMaterial | None = None
    annihilation: Annihilation = Annihilation()
    sweep: LocalizedSweep = LocalizedSweep()
    box: BoxTable | None = None
    mesh: MeshSource | None = None
    extrusion: Extrusion | None = None
    profile: Profile | None = None
    law: Law = Law()
    monte_carlo: MonteCarlo = MonteCarlo()
    relaxation: LocalizedRelaxation | None = None
    solver: Solver = Solver()
    figures: tuple[LocalizedFigure, ...] = ()

    def _decisive(self) -> dict[str, Any]:
        """With what the files hold from which generation is taken: a resumed run must find the same."""
        decisive = super()._decisive()
        profile = self.profile
        if profile is not None and (file := profile.table or (profile.results and profile.results.file)):
            decisive["generation"] = digest(file)
        return decisive


CASES = {"localized": LocalizedCase}
