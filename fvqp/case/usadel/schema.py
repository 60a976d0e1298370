"""The schema of a case of the Usadel model: what can be said, and what cannot be meant.

A class checks itself; what several tables say together is checked in :mod:`fvqp.case.usadel.checks`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from fvqp.case.geometry import CaseOnMesh
from fvqp.case.metals import CrossSection, MetalChoice, RegionChoice
from fvqp.case.quantities import (
    Bias,
    BiasAxis,
    Conductance,
    ConductancePerArea,
    Current,
    Energy,
    HeatCoupling,
    NonNegativeEnergy,
    NotNegative,
    Number,
    PositiveEnergy,
    Resistance,
    Temperature,
    Time,
    Volume,
)
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, Flag, Name, Solver, Table
from fvqp.case.usadel.outputs import UsadelFigure, UsadelOutput

MAX_ENERGIES = 1_000_000
"""Bins of the energy axis; more are a slip."""


class LeadTable(Table):
    """The normal lead of a junction, whose electrons have the temperature at which their heat is balanced."""

    volume: Volume
    """In which the electrons give heat to the phonons."""
    material: Name | None = None
    """Material of the library, for its ``electron_phonon_coupling``."""
    electron_phonon_coupling: HeatCoupling | None = None
    """Σ of the heat Σ(T⁵ − T0⁵) per volume; default: the material's."""
    resistance: Resistance | None = None
    """Resistance of the wire to the reservoir of the lead, which takes heat by the law of Wiedemann and
    Franz; default: no heat goes there."""

    @model_validator(mode="after")
    def _one_source(self) -> LeadTable:
        if (self.material is None) == (self.electron_phonon_coupling is None):
            raise ValueError('give either material, such as "Cu", or electron_phonon_coupling')
        return self


class JunctionTable(Table):
    """A normal-metal tunnel junction (NIS) on a region, a boundary or an interior surface of the mesh."""

    name: Name
    on: Name
    conductance: Conductance
    """Normal-state conductance of the whole junction."""
    role: Literal["injector", "detector"]
    temperature: Temperature | None = None
    """Temperature of the electrons in the normal metal; with ``lead`` that of its phonons and reservoir.
    Default: the swept bath temperature."""
    bias: Bias | None = None
    """Fixed bias; default: ``sweep.V_inj`` for an injector, ``sweep.V_det`` for a detector."""
    injects: Flag = True
    """Whether the superconductor feels what tunnels through a detector; ``false`` makes it an ideal probe of
    what the injectors do."""
    lead: LeadTable | None = None
    """Makes the temperature of the electrons follow from a balance of heat."""


class ReservoirTable(Table):
    """Outer boundaries held in equilibrium."""

    on: Annotated[tuple[Name, ...], AS_LIST, Field(min_length=1)]
    temperature: Temperature | None = None
    """Default: the swept bath temperature."""
    gap: NonNegativeEnergy | None = None
    """Zero-temperature gap of the reservoir's metal, ``"0 eV"`` if it is normal; default: that of the cells
    next to it. Spectra with ``spectrum.model = "diffusive"`` start from it; local ones do not know of it, as
    the log then says."""
    voltage: Bias | None = None
    """Voltage of a normal metal, against the condensate of superconductors (and charge imbalance 0); default:
    none. A superconducting reservoir cannot have one: its phase would turn with time."""


class ResistiveInterface(Table):
    """A resistive interface between two regions."""

    between: Annotated[tuple[Name, Name], Field()]
    conductance_per_area: ConductancePerArea

    @model_validator(mode="after")
    def _two_regions(self) -> ResistiveInterface:
        if self.between[0] == self.between[1]:
            raise ValueError(f'between: expected two different regions, got "{self.between[0]}" twice')
        return self


class UsadelSpectrum(Table):
    """The equation of the spectral functions, their broadening and depairing."""

    model: Literal["local", "diffusive"] = "local"
    """``local``: every cell has the spectra that belong to its gap; ``diffusive``: the Usadel equation with
    the gradient, in which neighbours share them (proximity of other metals and of other gaps)."""
    broadening: NonNegativeEnergy = Energy(1e-4, True)
    """Dynes parameter Γ."""
    depairing: Annotated[Number, NotNegative] = 0.0
    """Pair breaking ζ in Δ0 that is not due to the supercurrent."""


class UsadelEnergies(Table):
    """The energy axis ε > 0."""

    maximum: PositiveEnergy | None = None
    """Last edge of the grid; default: chosen from the largest bias and temperature."""
    number: Annotated[int, Field(strict=True, ge=2, le=MAX_ENERGIES)] = 400
    spacing: Literal["graded", "uniform"] = "graded"
    largest: PositiveEnergy | None = None
    """Widest bin of a graded axis; default 0.1 Δ0. Electrons that collide exchange multiples of it."""

    @model_validator(mode="after")
    def _graded(self) -> UsadelEnergies:
        if self.largest is not None and self.spacing != "graded":
            raise ValueError('largest: is not used with spacing = "uniform"')
        return self


class UsadelCollisions(Table):
    """Inelastic collisions of the quasiparticles, with one another, with phonons, or both."""

    electron_electron: Annotated[Number, Field(gt=0, le=1e3)] | None = None
    """γ_ee = ħ/(Δ0 τ_ee), with τ_ee the time between collisions in the normal state at the Fermi energy
    and T_c."""
    kernel: Literal["fermi_liquid", "diffusive_2d", "diffusive_1d"] | None = None
    """Dependence of the matrix element on the energy ω that two electrons exchange: not at all (default), as
    1/ω or as ω^(-3/2) (diffusive electrons in two dimensions or one); it is the same in all at ω = k_BT_c."""
    electron_phonon: Time | None = None
    """τ0 of the material, as Kaplan et al. (1976) define it: collisions with phonons."""
    phonon_escape_time: Time | None = None
    """Time after which a phonon is in the bath; with it phonons of every cell have an occupation of their
    own. Default: phonons are those of the bath, at the temperature of the first reservoir."""
    pair_breaking_time: Time | None = None
    """τ0^pb of the material, which says how many phonons there are; belongs to ``phonon_escape_time``."""
    charge: Flag = False
    """Collisions of the charge mode f_T too, and of f_L with f_T; a run without says where it
    matters: near T_c, at biases beyond 3 Δ0/e, and in normal metals."""

    @model_validator(mode="after")
    def _complete(self) -> UsadelCollisions:
        if self.electron_electron is None and self.electron_phonon is None:
            raise ValueError("give electron_electron, electron_phonon or both")
        if self.kernel is not None and self.electron_electron is None:
            raise ValueError("kernel: is not used without electron_electron")
        for key in ("phonon_escape_time", "pair_breaking_time"):
            if getattr(self, key) is not None and self.electron_phonon is None:
                raise ValueError(f"{key}: is not used without electron_phonon")
        if (self.phonon_escape_time is None) != (self.pair_breaking_time is None):
            raise ValueError("phonon_escape_time and pair_breaking_time belong together; give both or none")
        return self


class UsadelGap(Table):
    """Model of the gap."""

    model: Literal["equilibrium", "fixed", "uniform", "local"] = "equilibrium"
    """``equilibrium``: of the bath temperature and depairing; ``fixed``: ``value``; ``uniform``: one gap
    for all superconducting cells, from the distribution that the junction at ``at`` taps; ``local``: every
    cell its own."""
    value: NonNegativeEnergy | None = None
    at: Name | None = None
    debye_energy: Annotated[Number, Field(gt=1, le=1e6)] | None = None
    """ω_D in Δ0; default 10, none for a fixed gap."""
    coupling: Literal["arccosh", "arcsinh"] | None = None
    """λ = 1/arccosh(ω_D/Δ0), which makes Δ(T=0) = Δ0 (default), or 1/arcsinh(ω_D/Δ0); none if fixed."""
    branches: Flag = False
    """Whether the branch of solutions is followed from rest by arclength, also where the bias turns back: all
    gaps that coexist at a bias, and the biases of the folds, are then recorded. Costs as much as the
    sweep, or more."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("model") == "fixed":
            return data
        return {"debye_energy": 10.0, "coupling": "arccosh"} | data

    @model_validator(mode="after")
    def _consistent(self) -> UsadelGap:
        for key, model, what in (
            ("value", "fixed", "the gap as an energy"),
            ("at", "uniform", "the name of the junction where the gap equation holds"),
        ):
            given = getattr(self, key) is not None
            if given != (self.model == model):
                raise ValueError(
                    f'{key}: is not used with model = "{self.model}"; it belongs to model = "{model}"'
                    if given
                    else f'{key}: missing: model = "{model}" needs {what}'
                )
        if self.branches and self.model not in ("uniform", "local"):
            raise ValueError(
                f'branches: is not used with model = "{self.model}", whose gap knows nothing of the bias'
            )
        for key in ("debye_energy", "coupling"):
            if self.model == "fixed" and getattr(self, key) is not None:
                raise ValueError(f'{key}: is not used with model = "fixed"')
        return self


class SupercurrentTable(Table):
    """The supercurrent through the device, by phase gradient or by current; a list is swept."""

    phase_gradient: Annotated[tuple[Number, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    """ξ∇φ in the wire."""
    current: Annotated[tuple[Current, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    from_: Name | None = Field(default=None, alias="from")
    to: Name | None = None
    region: Name | None = None
    """Region whose mean phase gradient is prescribed or, with ``current``, recorded; default: everywhere."""
    self_consistent_phase: Flag = False
    """Whether f_T takes part in the phase equation."""
    coupling: Flag = True
    """Whether the supercurrent couples f_L and f_T."""
    both_signs: Flag = True
    """Whether every value is also taken with the opposite sign, as the parts g_a and g_s need."""

    @model_validator(mode="after")
    def _one_way(self) -> SupercurrentTable:
        if (self.phase_gradient is None) == (self.current is None):
            raise ValueError("give either phase_gradient or current" + (", not both" if self.current else ""))
        if (self.from_ is None) != (self.to is None):
            raise ValueError(
                "from and to belong together: the boundaries where the supercurrent enters and leaves"
            )
        if self.from_ is not None and self.from_ == self.to:
            raise ValueError(f'from and to are both "{self.to}"')
        values = self.phase_gradient or self.current or ()
        if self.both_signs and any(-value in values for value in values if value):
            raise ValueError("with both_signs = true give one sign only")
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """Phase gradients ξ∇φ or currents (A) in the order of the sweep, both signs included."""
        given = self.phase_gradient if self.phase_gradient is not None else self.current
        assert given is not None
        return (
            tuple(sorted(set(given) | {0.0 if v == 0 else -v for v in given}))
            if self.both_signs
            else tuple(given)
        )


class UsadelSweep(Table):
    """Quantities that vary from run point to run point; the supercurrent has its own table."""

    V_inj: BiasAxis | None = None
    V_det: BiasAxis | None = None
    temperature: Annotated[tuple[Temperature, ...], AS_LIST, ONCE, Field(min_length=1)] | None = None
    """Bath temperature of every reservoir and junction that has none of its own."""


class UsadelSolver(Solver):
    """Solver of the equations."""

    method: Literal["auto", "direct", "multigrid", "mumps", "hypre", "gamg"] = "auto"
    """Method for the linear systems: ``direct`` eliminates all energies in one pass, ``multigrid`` is a
    Krylov method with one multigrid hierarchy for all of them, the others are PETSc's, energy by energy;
    ``auto`` chooses by size."""
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-10
    """To which gap and depairing converge, in Δ0."""
    maximum_iterations: Count | None = None
    """Evaluations of the self-consistency map before a bias is given up; default 60, with a gap of every
    cell's own 1000."""
    groups: Count = 1
    """Groups of ranks that share the curves of the sweep (temperatures, supercurrents, detector biases), and
    the two directions of V_inj where a point starts from its neighbour and fields are not written."""


class UsadelCase(CaseOnMesh):
    """A case of the Usadel model: distributions f_L and f_T, and the gap, of wires and films."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": {"groups", "petsc", "maximum_iterations"}}

    model: Literal["usadel"]
    """The equations: Usadel kinetics of dirty superconductors."""
    cross_section: CrossSection = CrossSection()
    material: MetalChoice
    regions: dict[str, RegionChoice] = Field(default_factory=dict)
    materials: dict[str, MetalChoice] = Field(default_factory=dict)
    junctions: tuple[JunctionTable, ...] = ()
    reservoirs: tuple[ReservoirTable, ...] = ()
    interfaces: tuple[ResistiveInterface, ...] = ()
    spectrum: UsadelSpectrum = UsadelSpectrum()
    energies: UsadelEnergies = UsadelEnergies()
    collisions: UsadelCollisions | None = None
    gap: UsadelGap = UsadelGap()
    supercurrent: SupercurrentTable | None = None
    sweep: UsadelSweep = UsadelSweep()
    solver: UsadelSolver = UsadelSolver()
    output: UsadelOutput = UsadelOutput()
    figures: tuple[UsadelFigure, ...] = ()


CASES = {"usadel": UsadelCase}
