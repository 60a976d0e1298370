"""The schema of a case of the model of clusters: what can be said, and what cannot be meant."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fvqp.case.earlier import Earlier, Generations
from fvqp.case.quantities import (
    AbsoluteEnergy,
    AnnihilationConstant,
    Diffusivity,
    Frequency,
    GenerationRate,
    Length,
    Number,
    PositiveNumber,
    StateDensity,
    Time,
    Volume,
    spaced,
)
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, FigureTable, Flag, Name, Solver, Table, digest

Equation = Literal["master", "simplified", "fokker_planck", "trajectory", "mean_field"]
Spin = Literal["quantum", "ising"]
Fraction = Annotated[Number, Field(gt=0, lt=1)]


class ClustersMaterial(Table):
    """The superconductor, from which constants that are not given follow."""

    electron_phonon_time: Time
    """τ0 of the normal metal."""
    density_of_states: StateDensity
    """ν of the normal metal, per spin."""
    gap: AbsoluteEnergy
    """Δ."""
    gap_ratio: PositiveNumber = 1.76
    """Δ/k_BT_c."""
    spin_orbit: Fraction | None = None
    """α_so, dimensionless strength of spin-orbit scattering; needed for triplet annihilation and spin flips
    unless these are given."""
    suppression: PositiveNumber = 1.0
    """K, by which small transfers of momentum suppress triplet annihilation and spin flips."""
    excess_energy: PositiveNumber | None = None
    """δε/Δ, energies of quasiparticles above the gap; needed for spin flips unless their time is given."""
    diffusivity: Diffusivity | None = None
    """D; default: 10 cm²/s. A warning says where diffusion does not mix the trap faster than its events."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.excess_energy is not None and self.spin_orbit is None:
            raise ValueError("excess_energy: is not used without spin_orbit")
        return self


class ClusterTable(Table):
    """Annihilation and spin flips of quasiparticles in a cluster."""

    annihilation: AnnihilationConstant | None = None
    """Γ̄ of pairs in a singlet; default: from the material."""
    triplet_annihilation: AnnihilationConstant | None = None
    """Γ̄_t of all pairs; default: α_so² K Γ̄ with a material, otherwise there is none."""
    spin_flip_time: Time | None = None
    """τ_s of a quasiparticle; default: from the material's ``excess_energy``, otherwise spins do not flip."""
    algebra: Literal["exact", "paper"] = "exact"
    """Rates of quantum spins. ``exact``: of the total spin, twice of which is N - 2m; ``paper``: with N - m
    in its place, as in Meyer et al. (2020)."""


class Arrivals(Earlier):
    """A region in the results of an earlier run: the trap."""

    region: Name
    """Region of that run's mesh that is the trap: its mean rate is the generation A, its volume is V."""


class ClustersSweep(Table):
    """Quantities that vary."""

    generation: Generations | None = None
    """A: quasiparticles that arrive, by volume and time; or ``{ from, to, points }``, logarithmic."""
    volume: Annotated[tuple[Volume, ...], spaced("m^3"), ONCE, Field(min_length=1)] | None = None
    """V of the trap; or ``{ from, to, points }``, logarithmic. With ``results`` only where that run knows no
    thickness: of the transport model on a line or film."""
    results: Arrivals | None = None
    """Generation and volume from an earlier run, in place of both: one cluster for every point of the
    dimension of its sweep that ``at`` leaves open."""
    spin: Annotated[tuple[Spin, ...], AS_LIST, ONCE, Field(min_length=1)] = ("quantum",)
    """``quantum``: the total spin; ``ising``: classical spins up or down a fixed axis."""
    equation: Annotated[tuple[Equation, ...], AS_LIST, ONCE, Field(min_length=1)] = ("master",)
    """``master``: P(N, m); ``simplified``: P(N), flipped spins annihilate at once; ``fokker_planck``: its
    continuum limit; ``trajectory``: random events, one by one; ``mean_field``: most probable numbers."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        for key in ("generation", "volume"):
            if self.results is None and getattr(self, key) is None:
                raise ValueError(f"{key}: missing")
        if self.results is not None and self.generation is not None:
            raise ValueError("generation: is not used with results, which say it")
        return self


class ClustersNoise(Table):
    """Spectra of number and flux."""

    frequency: Annotated[tuple[Frequency, ...], spaced("1/s"), ONCE, Field(min_length=1)]
    """f = ω/2π; or ``{ from, to, points }``, logarithmic."""
    time: Annotated[tuple[Time, ...], spaced("s"), ONCE, Field(min_length=1)] | None = None
    """Times between two moments whose correlation of the number is stored as well; or ``{ from, to,
    points }``, logarithmic."""
    arm_width: Length | None = None
    """Width of the SQUID's arm that holds the cluster: 10⁻⁷ Φ0 a spin at 0.1 µm, inversely proportional; this
    is the default."""
    flux_per_spin: PositiveNumber | None = None
    """Φ0, in place of ``arm_width``."""
    tolerance: Fraction = 1e-6
    """Allowed relative error of the spectrum; a bound on its error is stored as ``noise_error``."""

    @model_validator(mode="after")
    def _one_coupling(self) -> Self:
        if self.arm_width is not None and self.flux_per_spin is not None:
            raise ValueError("flux_per_spin: follows from arm_width; give one of them")
        return self


class ClustersEvolution(Table):
    """From a start at t = 0 to the stationary state."""

    CONDITIONAL: ClassVar = frozenset({"number", "flipped", "tolerance", "runs"})

    time: Annotated[tuple[Time, ...], spaced("s"), ONCE, Field(min_length=1)]
    """Times that are recorded, increasing; or ``{ from, to, points }``, logarithmic."""
    number: Annotated[int, Field(strict=True, ge=0)] = 0
    """N at the start."""
    flipped: Annotated[int, Field(strict=True, ge=0)] = 0
    """m at the start, at most N/2."""
    generation: GenerationRate | None = None
    """A before the start, in place of ``number`` and ``flipped``: the start is the stationary state there."""
    tolerance: Fraction = 1e-6
    """Allowed error of the probabilities, against the largest one at the start."""
    runs: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] = 200
    """Random trajectories, of which results are averages."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.time)):
            raise ValueError("time: expected increasing times")
        if 2 * self.flipped > self.number:
            raise ValueError(f"flipped: at most half of the {self.number} spins can be flipped")
        if self.generation is not None:
            for key in ("number", "flipped"):
                if key in self.model_fields_set:
                    raise ValueError(f"{key}: is not used with generation, which says the start")
        return self


class Trajectories(Table):
    """Random trajectories."""

    lifetimes: Annotated[Number, Field(ge=100)] = 2000.0
    """Length in units of N0²/AV, about the time in which the number fluctuates; the first 20 are left out."""
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    """Seed of the random numbers."""


class ClustersOutput(Table):
    """Quantities stored beside means, variances and spectra."""

    distribution: Flag = False
    """P(N), and of the master equation the probabilities of m."""
    relaxation_rates: Annotated[int, Field(strict=True, ge=0, le=50)] = 0
    """Number of the slowest relaxation rates, eigenvalues of the equation of P; their inverses are times in
    which the cluster forgets."""


class ClustersSolver(Solver):
    """Solver of the equations."""

    CONDITIONAL: ClassVar = frozenset({"tolerance", "cells", "method", "max_states"})

    lost: Fraction = 1e-10
    """Bound on the probability of the states that are left out."""
    tolerance: Fraction = 1e-9
    """Allowed error of the stationary state of the master equation, Σ|δP|."""
    cells: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] = 400
    """Cells of the Fokker-Planck equation."""
    method: Literal["auto", "mumps", "multigrid"] = "auto"
    """Method for the master equation: elimination, multigrid, or what suits the number of states."""
    max_states: Count = 5_500_000
    """Largest number of states of the master equation; about 0.75 kB each."""


class ClustersFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal["phase_diagram", "distribution", "moments", "noise", "flipped", "injection", "evolution"]


class ClustersCase(Case):
    """A case of the model of clusters."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": {"petsc", "max_states"}}

    model: Literal["clusters"]
    """The equations: stochastic dynamics of a cluster of quasiparticles with spin."""
    material: ClustersMaterial | None = None
    cluster: ClusterTable = ClusterTable()
    sweep: ClustersSweep
    noise: ClustersNoise | None = None
    evolution: ClustersEvolution | None = None
    trajectory: Trajectories | None = None
    """Random trajectories, for ``trajectory`` in the sweep."""
    output: ClustersOutput = ClustersOutput()
    solver: ClustersSolver = ClustersSolver()
    figures: tuple[ClustersFigure, ...] = ()

    @property
    def trajectories(self) -> Trajectories:
        """``trajectory``, or its defaults."""
        return Trajectories() if self.trajectory is None else self.trajectory

    def _decisive(self) -> dict[str, Any]:
        """With what the earlier run holds: a resumed run must find the same."""
        decisive = super()._decisive()
        if self.sweep.results is not None:
            decisive["generation"] = digest(self.sweep.results.file)
        return decisive


CASES = {"clusters": ClustersCase}
