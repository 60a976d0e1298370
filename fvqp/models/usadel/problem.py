"""Usadel kinetics of a device at an operating point: gap, phase, f_L and f_T, and what is measured.

Sign conventions: ``I_inj`` flows from an injector into the superconductor, ``I_det`` from the superconductor
out through a detector, so that charge imbalance gives a positive ``g_nl = dI_det/dV_inj`` (Ryan, Beckmann,
Chandrasekhar (2026), Sec. III).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.collisions.collision_sum import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import CaseError, require_choice, require_number
from fvqp.gap import superfluid_density
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.gap_field import GapField, GapModel, diffusive_spectra
from fvqp.models.usadel.inelastic import Inelastic
from fvqp.models.usadel.kinetics import Kinetics, KineticState, L, SpectralState, T, UnitResponses
from fvqp.models.usadel.phase import PhaseField, PhaseSolver, Supercurrent
from fvqp.models.usadel.proximity import DOUBLES_OF_PROXIMITY
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.solvers.newton import RESTART
from fvqp.spectral.usadel import BinnedSpectrum
from fvqp.transport.operator import Transport
from fvqp.typing import Floats
from fvqp.units import InUnit

__all__ = ["CurrentBalance", "GapModel", "Point", "Solution", "UsadelProblem"]


@dataclass(frozen=True)
class Point:
    """Operating point: biases in volt and the value of the supercurrent drive (0 without)."""

    V_inj: InUnit[float] = InUnit("V", 0.0)
    V_det: InUnit[float] = InUnit("V", 0.0)
    supercurrent: float = 0.0


@dataclass(frozen=True)
class CurrentBalance:
    """Rates of particles (1/s), energy (W) and charge (A) at an operating point.

    Attributes:
        injected: through all junctions into the superconductor, by row.
        taken: out through the reservoirs.
        relaxed: charge passed to the condensate; quasiparticles that collisions destroy, less those they
            create; energy that phonons take, which is 0 but for rounding without them.
        scale: sum of absolute currents, by row: what a residual is to be compared with.
    """

    rows = ("particles", "energy", "charge")
    injected: Floats
    taken: Floats
    relaxed: Floats
    scale: Floats

    @property
    def residual(self) -> Floats:
        """Residual: injected − taken − relaxed."""
        return self.injected - self.taken - self.relaxed


@dataclass(frozen=True)
class Solution:
    """A solved operating point.

    Attributes:
        point: what was prescribed.
        spectral: gap, depairing and phase drops.
        kinetic: deviations of f_L and f_T, currents.
        phase: the phase field, None without supercurrent.
        evaluations: of the self-consistency map, or Newton steps where gap and distributions were found
            together; 0 if nothing had to be iterated.
        leads: ``(junctions,)`` temperatures of the electrons in all leads, kelvin, where they follow from
            balances of heat; None where they are prescribed.
        before: point and gap of the neighbour at another bias from which a self-consistent gap was found, by
            which the next one is predicted.
    """

    point: Point
    spectral: SpectralState
    kinetic: KineticState
    phase: PhaseField | None
    evaluations: int
    leads: Floats | None = None
    before: tuple[Point, Floats] | None = None

    def __repr__(self) -> str:
        low, high = float(self.spectral.gap.min()), float(self.spectral.gap.max())
        gap = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        return f"Solution({self.point}: gap {gap} Delta0, {self.evaluations} evaluations)"


#: Axis of a problem that is given none; `fvqp.solve` fits one to a sweep.
DEFAULT_AXIS = EnergyAxis.graded(3.0, gap_edges=[1.0], first=1e-3, number=200)


@dataclass
class UsadelProblem:
    """The non-equilibrium problem of a device.

    Args:
        device: geometry, materials and contacts.
        grid: energy bins up to above every bias; default: 200 bins up to 3 Δ0, enough for spectra at rest.
        broadening: Dynes' Γ in Δ0.
        gap: where the gap comes from.
        depairing: pair breaking in Δ0 that is not due to the supercurrent.
        spectra: ``local`` ones follow from the gap of their cell; ``diffusive`` ones are spatially coupled
            (`fvqp.models.usadel.proximity`).
        supercurrent: how a supercurrent is driven, if any.
        collisions: inelastic collisions of f_L; None without.
        coupling: whether the supercurrent couples f_L and f_T.
        self_consistent_phase: whether relaxing charge imbalance feeds the supercurrent.
        tolerance: to which gap and depairing converge, in Δ0.
        maximum_iterations: evaluations of the self-consistency map before giving up; default 60, or 1000
            where every cell has a gap of its own.
        method: linear solver, see `fvqp.solvers.linear`.
    """

    device: Device
    grid: EnergyAxis = DEFAULT_AXIS
    broadening: float = 1e-4
    gap: GapModel = field(default_factory=GapModel)
    depairing: float = 0.0
    spectra: Literal["local", "diffusive"] = "local"
    supercurrent: Supercurrent | None = None
    collisions: InelasticCollisions | None = None
    coupling: bool = True
    self_consistent_phase: bool = False
    tolerance: float = 1e-10
    maximum_iterations: int | None = None
    method: str = "auto"
    transport: Transport | None = None

    def __post_init__(self) -> None:
        device = self.device
        require_choice("UsadelProblem.spectra", self.spectra, ("local", "diffusive"))
        for key in ("broadening", "depairing"):
            require_number(f"UsadelProblem.{key}, in units of the gap", getattr(self, key))
        self.grid.require_from_zero()
        if not device.reservoirs:
            raise CaseError("reservoirs: none; at least one must fix the distribution")
        if self.self_consistent_phase and self.supercurrent is None:
            raise CaseError("supercurrent.self_consistent_phase: needs from and to, where the phase is fixed")
        self.transport = self.transport or device.transport()
        self.proximity = None
        if self.spectra == "diffusive":
            self.proximity = diffusive_spectra(
                device, self.transport, self.grid, self.broadening, self.gap, self.method
            )
            if self.supercurrent is not None:
                self.proximity.require_superconducting()
        solver = TransportSolver(self.transport, self.method)
        self.kinetics = Kinetics(device, self.transport, self.grid, self.broadening, solver, self.proximity)
        self.gap_field = GapField(
            device, self.transport, self.grid, self.broadening, self.gap, self.proximity, self.tolerance
        )
        self._require_static_phase()
        self.inelastic = None
        if self.collisions is not None:
            self.inelastic = Inelastic(self.kinetics, self.collisions.on(self.grid))
        self._phases = None
        if self.supercurrent is not None:
            self._phases = PhaseSolver(device, self.supercurrent, self.method)
        self._rest: dict[float, tuple[SpectralState, PhaseField | None]] = {}
        self._responses: dict[float, UnitResponses] = {}

    def __repr__(self) -> str:
        grid, model = self.grid, self.gap.kind
        parts = [
            f"{grid.n} energies up to {grid.maximum:.4g} Delta0",
            f"broadening {self.broadening:g} Delta0",
            f"{model} gap",
            f"{self.spectra} spectra",
        ]
        if self.supercurrent is not None:
            parts.append(f"supercurrent from {self.supercurrent.source} to {self.supercurrent.drain}")
        if self.collisions is not None:
            parts.append("collisions")
        return f"UsadelProblem({', '.join(parts)};\n    {self.device.mesh!r})"

    def _require_static_phase(self) -> None:
        """Raise `CaseError` if a voltage lies on a superconducting reservoir, whose phase it would turn."""
        mesh, field = self.device.mesh, self.gap_field
        gap = field.bulk * (field.model.value if field.model.value is not None else 1.0)
        for reservoir in self.device.reservoirs:
            cells = np.concatenate([mesh.face_cells[mesh.require_boundary(on), 0] for on in reservoir.on])
            superconducting = bool(reservoir.gap) or (
                reservoir.gap is None and bool(np.any(gap[cells] > 0.0))
            )
            if reservoir.voltage != 0.0 and mesh.comm.allreduce(superconducting, MPI.LOR):
                raise CaseError(
                    f"reservoirs: {reservoir.name} has a voltage and is superconducting: its phase would "
                    "turn with time, which this model of steady states does not have; voltages belong to "
                    'normal metals (a region of gap "0 eV", or gap.model = "fixed" with value 0)'
                )

    @property
    def follows_bias(self) -> bool:
        """True if a point starts from its neighbour in bias; else one response serves all biases."""
        return (
            self.gap.follows_bias
            or self.self_consistent_phase
            or self.device.balances_heat
            or self.collisions is not None
        )

    @property
    def drives(self) -> tuple[float, ...]:
        """Values of the supercurrent drive, 0 without one."""
        return (0.0,) if self.supercurrent is None else self.supercurrent.values

    @property
    def most_evaluations(self) -> int:
        """Evaluations of the self-consistency map before giving up."""
        if self.maximum_iterations is not None:
            return self.maximum_iterations
        return 1000 if self.gap.kind == "local" else 60

    # -- distributions in the leads

    def external(self, point: Point, temperatures: Floats | None = None) -> Floats:
        """Deviations from the bath in every terminal, ``(2, terminals, n_energies)``.

        ``temperatures``, kelvin, are those of the junctions' leads; default: as prescribed.
        """
        device = self.device
        bath, reservoirs = self._thermal
        if temperatures is None:
            temperatures = np.array([junction.temperature for junction in device.junctions])
        rows = []
        for bias, temperature in zip(self.biases(point), temperatures, strict=True):
            f_l, f_t = distributions.lead(self.grid.edges, bias, temperature / device.thermal_unit)
            rows.append((f_l - bath, f_t))
        rows += [(f_l - bath, f_t) for f_l, f_t in reservoirs]
        return np.ascontiguousarray(np.transpose(rows, (1, 0, 2)))

    @cached_property
    def _thermal(self) -> tuple[Floats, list[tuple[Floats, Floats]]]:
        """f_L of the bath, f_L and f_T of every reservoir."""
        device, edges = self.device, self.grid.edges
        rows = []
        for reservoir in device.reservoirs:
            bias, t = reservoir.voltage / device.voltage_unit, reservoir.temperature / device.thermal_unit
            self.grid.require_covers(bias, "the voltage of a reservoir")
            rows.append(distributions.lead(edges, bias, t))
        return distributions.equilibrium(edges, device.bath), rows

    def external_slope(self, point: Point, temperatures: Floats | None = None) -> Floats:
        """Derivative of `external` with respect to ``e V_inj/Δ0``, arguments as there."""
        device = self.device
        if temperatures is None:
            temperatures = np.array([junction.temperature for junction in device.junctions])
        out = np.zeros((2, len(device.terminals), self.grid.n))
        for number, junction in enumerate(device.junctions):
            if junction.role == "injector" and junction.bias is None:
                bias = self._bias(junction.role, None, point)
                t = temperatures[number] / device.thermal_unit
                out[:, number] = distributions.lead_derivative(self.grid.edges, bias, t)
        return out

    def biases(self, point: Point) -> Floats:
        """``eV/Δ0`` of every junction."""
        return np.array([self._bias(j.role, j.bias, point) for j in self.device.junctions])

    def _bias(self, role: str, own: float | None, point: Point) -> float:
        volts = own if own is not None else point.V_inj if role == "injector" else point.V_det
        bias = volts / self.device.voltage_unit
        self.grid.require_covers(
            bias, f"the bias of an {role}" if role == "injector" else f"the bias of a {role}"
        )
        return bias

    # -- spectra at rest

    def at_rest(self, value: float) -> tuple[SpectralState, PhaseField | None]:
        """Spectra and phase in equilibrium with the bath for a value of the supercurrent drive."""
        if abs(value) in self._rest:
            return _directed(*self._rest[abs(value)], reverse=value < 0)
        n = self.device.mesh.n_cells
        if self._phases is None:
            depairing = np.full(n, self.depairing)
            state, phase = self.spectral_state(self.gap_field.equilibrium(depairing), depairing, None), None
        else:
            state, phase = self._rest_with_current(abs(value))
        self._rest[abs(value)] = state, phase
        return _directed(state, phase, reverse=value < 0)

    def _rest_with_current(self, value: float) -> tuple[SpectralState, PhaseField | None]:
        assert self._phases is not None
        mesh, n = self.device.mesh, self.device.mesh.n_owned
        found: list[tuple[Floats, Floats, PhaseField]] = []

        def update(owned: Floats) -> Floats:
            depairing = np.zeros(mesh.n_cells)
            depairing[:n] = np.maximum(owned, 0.0)
            mesh.exchange(depairing)
            gap = self.gap_field.equilibrium(depairing)
            phase = self.phase_for(gap, depairing, None, value, None)
            found[:] = [(gap, depairing, phase)]
            return (self.depairing + phase.depairing)[:n]

        start = np.full(n, self.depairing)
        if self.supercurrent is not None and self.supercurrent.kind == "phase_gradient":
            start += 0.5 * value**2
        solve_fixed_point(
            update,
            start,
            comm=mesh.comm,
            tolerance=self.tolerance,
            what=f"supercurrent {value:g}: phase gradient at rest (no solution above the depairing current)",
            max_evaluations=self.most_evaluations,
        )
        gap, depairing, phase = found[0]
        return self.spectral_state(gap, depairing, phase), phase

    def phase_for(
        self, gap: Floats, depairing: Floats, f_l: Floats | None, value: float, source: Floats | None
    ) -> PhaseField:
        """Phase for the superfluid density of these spectra; ``f_l`` deviations ``(n_cells, energy)`` or
        None."""
        assert self._phases is not None
        mesh = self.device.mesh
        if self.proximity is not None:
            density = self.proximity.superfluid_density(gap, depairing, f_l)
            return self._phases.solve(density, value, source)
        state = self.spectral_state(gap, depairing, None)
        spectrum = self.kinetics.spectrum(state)
        total = distributions.equilibrium(self.grid.edges, self.device.bath)[None]
        if f_l is not None:
            total = total + f_l
        if len(spectrum.dos) == 1 and len(total) > 1:
            spectrum = BinnedSpectrum(
                **{name: np.repeat(a, len(total), axis=0) for name, a in vars(spectrum).items()}
            )
        zeta = state.depairing if len(spectrum.dos) == 1 else depairing
        density = superfluid_density(total, self.grid.edges, spectrum, zeta, self.broadening)
        return self._phases.solve(np.broadcast_to(density, (mesh.n_cells,)).copy(), value, source)

    def spectral_state(self, gap: Floats, depairing: Floats, phase: PhaseField | None) -> SpectralState:
        """Spectral state; arrays that are the same in every cell of every rank shrink to length one."""
        arrays = []
        for a in (gap, depairing):
            low, high = float(a.min(initial=np.inf)), float(a.max(initial=-np.inf))
            low = self.device.mesh.comm.allreduce(low, MPI.MIN)
            high = self.device.mesh.comm.allreduce(high, MPI.MAX)
            arrays.append(np.array([low]) if high - low <= self.tolerance else a)
        supercurrent_conductance = None
        if phase is not None and self.coupling:
            flows = self.device.mesh.comm.allreduce(
                bool(np.any(phase.supercurrent_conductance != 0.0)), MPI.LOR
            )
            supercurrent_conductance = phase.supercurrent_conductance if flows else None
        return SpectralState(arrays[0], arrays[1], supercurrent_conductance)

    # -- distributions in given spectra

    def energy_mode(
        self, state: SpectralState, external: Floats, guess: KineticState | None, what: str
    ) -> KineticState:
        """f_L in given spectra, with f_T where a supercurrent or collisions couple them."""
        if self.inelastic is not None:
            return self.inelastic.solve(state, external, guess, what=what)
        return self.kinetics.solve(state, external[None], only=L, guess=guess)[0]

    def with_charge(
        self, state: SpectralState, kinetic: KineticState, guess: KineticState | None = None
    ) -> KineticState:
        """Return the result of `energy_mode`, with f_T where nothing couples it."""
        together = self.inelastic is not None and self.inelastic.collisions.charge
        if together or state.supercurrent_conductance is not None:
            return kinetic
        return kinetic.plus(self.kinetics.solve(state, kinetic.external[None], only=T, guess=guess)[0])

    def response(self, value: float) -> UnitResponses:
        """Unit responses at the spectra at rest, computed once for each value of the supercurrent."""
        if value not in self._responses:
            self._responses.clear()
            state, _ = self.at_rest(value)
            sources = [(c, number) for number in range(len(self.device.junctions)) for c in (L, T)]
            bath = self.device.reservoirs[0].temperature
            for number, reservoir in enumerate(self.device.reservoirs, start=len(self.device.junctions)):
                if reservoir.voltage != 0.0:
                    sources += [(L, number), (T, number)]
                elif reservoir.temperature != bath:
                    sources.append((L, number))
            # Where nothing drives, the response to the first reservoir stands for a state of zero deviation.
            sources = sources or [(L, 0)]
            self._responses[value] = self.kinetics.respond(state, sources)
        return self._responses[value]

    def forget_responses(self) -> None:
        """Let `response` compute again."""
        self._responses.clear()

    def average_under(self, number: int, cells: Floats) -> Floats:
        """Average of ``cells[n_cells, ...]`` over the cells under junction ``number``, on all ranks."""
        return self.kinetics.transport.average_under(number, cells)

    def restored_phase(self, superfluid: Floats, phase: Floats, drain: float) -> PhaseField:
        """The phase field of an earlier solution (`PhaseSolver.restore`)."""
        if self._phases is None:
            raise CaseError("supercurrent: this problem has none, so there is no phase to restore")
        return self._phases.restore(superfluid, phase, drain)

    def phase_of(self, phase: PhaseField, supercurrent_conductance: Floats) -> PhaseField:
        """``phase`` with other conductances (`PhaseSolver.with_conductance`)."""
        assert self._phases is not None, "there is a phase"
        return self._phases.with_conductance(phase, supercurrent_conductance)

    def expected_memory(self) -> float:
        """Bytes on this rank: stored responses or states, and the blocks that are solved at a time.

        Beside what program and compiled code take, some 0.4 GiB. Per cell and energy: one double for each
        stored component of each source, or what a self-consistent solution and its neighbours in bias hold;
        inside a block, the matrix, face conductances, spectral functions and the elimination's fill. With
        collisions all energies are one block, and GMRES keeps its basis. The numbers are measured (largest
        resident size of runs of the film with 200 and 800 energies).
        """
        n, sources = self.device.mesh.n_cells, 2 * len(self.device.junctions)
        charge = self.inelastic is not None and self.inelastic.collisions.charge
        components = 2 if charge or (self.supercurrent is not None and self.coupling) else 1
        stored = 10 if self.gap.follows_bias else sources * components
        block = 90 * components**2
        if self.proximity is not None:
            stored += DOUBLES_OF_PROXIMITY
        if self.inelastic is not None:
            return 8.0 * n * self.grid.n * (stored + block + 2 * components * RESTART)
        return 8.0 * n * (self.grid.n * stored + min(self.kinetics.block, self.grid.n) * block)

    # -- observables

    def junction_currents(self, currents: Floats) -> Floats:
        """Charge current from each junction into the superconductor, ampere, from spectral currents."""
        into = currents[T, : len(self.device.junctions)] @ self.grid.widths
        return into * self.device.voltage_unit / self.device.back_action

    def reservoir_currents(self, currents: Floats) -> Floats:
        """Charge current from each reservoir into the device, ampere, that quasiparticles carry."""
        return currents[T, len(self.device.junctions) :] @ self.grid.widths * self.device.voltage_unit

    def ledger(self, solution: Solution) -> CurrentBalance:
        """Return the ledger of sources, losses and relaxation; integrals over the energy axis.

        A reservoir with a voltage puts in the work V I and the current that flows from it, and takes heat and
        the current that flows to it.
        """
        unit, w = self.device.voltage_unit, self.grid.widths
        weights = np.stack([-w / constants.e, -w * self.grid.energies * unit, w]) * unit
        spectral = solution.kinetic.currents[[L, L, T]]
        by_terminal = np.einsum("re,rte->rt", weights, spectral)
        n = len(self.device.junctions)
        collided = solution.kinetic.collided
        lost = np.zeros(2) if collided is None else weights[:2] @ collided
        relaxed = np.array([*lost, float(weights[2] @ solution.kinetic.relaxed)])
        driven = np.zeros((3, len(self.device.reservoirs)))
        voltage = np.array([reservoir.voltage for reservoir in self.device.reservoirs])
        driven[1] = voltage * by_terminal[2, n:]
        driven[2] = np.where(voltage != 0.0, np.maximum(by_terminal[2, n:], 0.0), 0.0)
        return CurrentBalance(
            injected=by_terminal[:, :n].sum(axis=1) + driven.sum(axis=1),
            taken=(driven - by_terminal[:, n:]).sum(axis=1),
            relaxed=relaxed,
            scale=np.einsum("re,rte->r", np.abs(weights), np.abs(spectral)),
        )

    def charge_potential(self, solution: Solution) -> Floats:
        """Charge-imbalance potential ``μ_Q* = ∫_0^∞ N f_T dε`` of every cell, volt (Eqs. 4, 5; eV in a normal
        metal)."""
        dos = self.kinetics.spectrum(solution.spectral).dos
        return (
            np.sum(dos * solution.kinetic.deviation(T) * self.grid.widths, axis=1) * self.device.voltage_unit
        )

    def charge_imbalance(self, solution: Solution) -> Floats:
        """Charge imbalance ``Q* = 2 e² N0 μ_Q*`` of every cell, C/m³."""
        density = self.device.per_cell("conductivity") / self.device.per_cell("diffusivity")
        return density * self.charge_potential(solution)

    def distribution(self, solution: Solution, component: int) -> Floats:
        """f_L or f_T of every cell and energy bin."""
        deviation = solution.kinetic.deviation(component)
        if component == L:
            deviation += distributions.equilibrium(self.grid.edges, self.device.bath)
        return deviation


def _directed(
    state: SpectralState, phase: PhaseField | None, *, reverse: bool
) -> tuple[SpectralState, PhaseField | None]:
    """The same state with the supercurrent the other way round."""
    if not reverse or phase is None:
        return state, phase
    supercurrent_conductance = (
        None if state.supercurrent_conductance is None else -state.supercurrent_conductance
    )
    turned = replace(
        phase,
        phase=-phase.phase,
        supercurrent_conductance=-phase.supercurrent_conductance,
        gradients=-phase.gradients,
        gradient=-phase.gradient,
        current=-phase.current,
        drain=-phase.drain,
    )
    return replace(state, supercurrent_conductance=supercurrent_conductance), turned
