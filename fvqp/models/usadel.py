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
from numpy.typing import NDArray

from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import equilibrium_gap, gap_residual, superfluid_density
from fvqp.grids import energy as distributions
from fvqp.grids.energy import EnergyGrid
from fvqp.models.device import Device
from fvqp.models.kinetics import BLOCK, Kinetics, KineticState, L, Response, SpectralState, T
from fvqp.models.linear import TransportSolver
from fvqp.models.phase import PhaseField, PhaseSolver, Supercurrent
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.spectral.usadel import BinnedSpectrum, bin_averages
from fvqp.transport.operator import Transport

Floats = NDArray[np.float64]

#: A gap below this fraction of the bulk value on the way to self-consistency does not come back.
COLLAPSED = 0.05


@dataclass(frozen=True)
class GapModel:
    """Where the gap comes from.

    Attributes:
        kind: ``equilibrium`` (of the bath), ``fixed`` (``value``), ``uniform`` (one gap for the whole
            device, from f_L under a junction), ``local`` (each cell its own).
        value: the fixed gap in Δ0.
        at: the junction whose f_L counts, by name or by the place it is on.
        debye_energy: cut-off ω_D of the gap equation in Δ0.
        rule: ``arccosh`` or ``arcsinh``: which function of ω_D the coupling constant is the inverse of.
    """

    kind: Literal["equilibrium", "fixed", "uniform", "local"] = "equilibrium"
    value: float | None = None
    at: str | None = None
    debye_energy: float = 10.0
    rule: Literal["arccosh", "arcsinh"] = "arccosh"

    @property
    def follows_bias(self) -> bool:
        """Whether the gap depends on the distribution."""
        return self.kind in ("uniform", "local")


@dataclass(frozen=True)
class Point:
    """What is prescribed: biases in volt and the value of the supercurrent drive (0 without)."""

    V_inj: float = 0.0
    V_det: float = 0.0
    supercurrent: float = 0.0


@dataclass(frozen=True)
class Ledger:
    """Rates of particles (1/s), energy (W) and charge (A) at an operating point.

    Attributes:
        injected: through all junctions into the superconductor, by row.
        taken: out through the reservoirs.
        relaxed: charge passed to the condensate; 0 for particles and energy (elastic).
        scale: sum of absolute currents, by row: what a residual is to be compared with.
    """

    rows = ("particles", "energy", "charge")
    injected: Floats
    taken: Floats
    relaxed: Floats
    scale: Floats

    @property
    def residual(self) -> Floats:
        """What is left: injected − taken − relaxed."""
        return self.injected - self.taken - self.relaxed


@dataclass(frozen=True)
class Solution:
    """A solved operating point.

    Attributes:
        point: what was prescribed.
        spectral: gap, depairing and phase drops.
        kinetic: deviations of f_L and f_T, currents.
        phase: the phase field, None without supercurrent.
        evaluations: of the self-consistency map; 0 if nothing had to be iterated.
    """

    point: Point
    spectral: SpectralState
    kinetic: KineticState
    phase: PhaseField | None
    evaluations: int


@dataclass(frozen=True)
class Guess:
    """What a solution can start from: a neighbour's point, spectra and phase."""

    point: Point
    spectral: SpectralState
    phase: PhaseField | None


@dataclass
class UsadelProblem:
    """The elastic non-equilibrium problem of a device.

    Args:
        device: geometry, materials and contacts.
        grid: energy bins up to above every bias.
        broadening: Dynes' Γ in Δ0.
        gap: where the gap comes from.
        depairing: pair breaking in Δ0 that is not due to the supercurrent.
        supercurrent: how a supercurrent is driven, if any.
        coupling: whether the supercurrent couples f_L and f_T.
        self_consistent_phase: whether relaxing charge imbalance feeds the supercurrent.
        tolerance: to which gap and depairing converge, in Δ0.
        maximum_iterations: evaluations of the self-consistency map before giving up.
        method: linear solver, see `fvqp.solvers.linear`.
    """

    device: Device
    grid: EnergyGrid
    broadening: float
    gap: GapModel = field(default_factory=GapModel)
    depairing: float = 0.0
    supercurrent: Supercurrent | None = None
    coupling: bool = True
    self_consistent_phase: bool = False
    tolerance: float = 1e-10
    maximum_iterations: int = 60
    method: str = "auto"
    transport: Transport | None = None

    def __post_init__(self) -> None:
        device = self.device
        if not device.reservoirs:
            raise CaseError("reservoirs: none; at least one must fix the distribution")
        if self.self_consistent_phase and self.supercurrent is None:
            raise CaseError("supercurrent.self_consistent_phase: needs from and to, where the phase is fixed")
        if self.gap.kind == "uniform":
            self._gap_junction = self._junction_at(str(self.gap.at))
        self.transport = self.transport or device.transport()
        self.kinetics = Kinetics(
            device, self.transport, self.grid, self.broadening, TransportSolver(self.transport, self.method)
        )
        self._phases = None
        if self.supercurrent is not None:
            self._phases = PhaseSolver(device, self.supercurrent, self.method)
        self._rest: dict[float, tuple[SpectralState, PhaseField | None]] = {}
        self._responses: dict[float, Response] = {}

    # -- distributions in the leads
    # ---------------------------------------------------------------------------

    def external(self, point: Point) -> Floats:
        """Deviations from the bath in every terminal, ``(2, terminals, n_energies)``."""
        device, edges = self.device, self.grid.edges
        bath = distributions.equilibrium(edges, device.bath)
        rows = []
        for junction in device.junctions:
            bias = self._bias(junction.role, junction.bias, point)
            f_l, f_t = distributions.lead(edges, bias, junction.temperature / device.thermal_unit)
            rows.append((f_l - bath, f_t))
        for reservoir in device.reservoirs:
            thermal = distributions.equilibrium(edges, reservoir.temperature / device.thermal_unit)
            rows.append((thermal - bath, np.zeros_like(bath)))
        return np.ascontiguousarray(np.transpose(rows, (1, 0, 2)))

    def external_slope(self, point: Point) -> Floats:
        """Derivative of `external` with respect to ``e V_inj/Δ0``."""
        device = self.device
        out = np.zeros((2, len(device.terminals), self.grid.n))
        for number, junction in enumerate(device.junctions):
            if junction.role == "injector" and junction.bias is None:
                bias = self._bias(junction.role, None, point)
                t = junction.temperature / device.thermal_unit
                out[:, number] = distributions.lead_derivative(self.grid.edges, bias, t)
        return out

    def _bias(self, role: str, own: float | None, point: Point) -> float:
        volts = own if own is not None else point.V_inj if role == "injector" else point.V_det
        bias = volts / self.device.voltage_unit
        self.grid.require_covers(
            bias, f"the bias of an {role}" if role == "injector" else f"the bias of a {role}"
        )
        return bias

    # -- spectra at rest
    # --------------------------------------------------------------------------------------

    @cached_property
    def _bulk(self) -> list[tuple[float, NDArray[np.int64]]]:
        """Bulk gaps (in Δ0) that occur in the device, each with its cells; normal metals are left out."""
        bulk = self.device.per_cell("gap") / self.device.material.gap
        known: set[float] = set().union(*self.device.mesh.comm.allgather(set(np.unique(bulk).tolist())))
        return [(value, np.flatnonzero(bulk == value)) for value in sorted(known) if value > 0.0]

    def _equilibrium_gap(self, depairing: Floats) -> Floats:
        """Gap of every cell in equilibrium with the bath, for its depairing ``(n_cells,)``."""
        gap = np.zeros(self.device.mesh.n_cells)
        for bulk, cells in self._bulk:
            if self.gap.kind == "fixed" and self.gap.value is not None:
                gap[cells] = self.gap.value * bulk
            elif len(cells):
                values, inverse = np.unique(depairing[cells], return_inverse=True)
                found = equilibrium_gap(
                    self.device.bath / bulk,
                    values / bulk,
                    self.broadening / bulk,
                    cutoff=self.gap.debye_energy / bulk,
                    rule=self.gap.rule,
                )
                gap[cells] = bulk * found[inverse.ravel()]
        return gap

    def at_rest(self, value: float) -> tuple[SpectralState, PhaseField | None]:
        """Spectra and phase in equilibrium with the bath for a value of the supercurrent drive."""
        if abs(value) in self._rest:
            return _directed(*self._rest[abs(value)], reverse=value < 0)
        n = self.device.mesh.n_cells
        if self._phases is None:
            depairing = np.full(n, self.depairing)
            state, phase = self._collapsed(self._equilibrium_gap(depairing), depairing, None), None
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
            gap = self._equilibrium_gap(depairing)
            phase = self._phase(gap, depairing, None, value, None)
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
            max_evaluations=self.maximum_iterations,
        )
        gap, depairing, phase = found[0]
        return self._collapsed(gap, depairing, phase), phase

    def _phase(
        self, gap: Floats, depairing: Floats, f_l: Floats | None, value: float, source: Floats | None
    ) -> PhaseField:
        """Phase for the superfluid density of these spectra; ``f_l`` deviations ``(n_cells, energy)`` or
        None."""
        assert self._phases is not None
        mesh = self.device.mesh
        state = self._collapsed(gap, depairing, None)
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

    def _collapsed(self, gap: Floats, depairing: Floats, phase: PhaseField | None) -> SpectralState:
        """Spectral state; arrays that are the same in every cell of every rank shrink to length one."""
        arrays = []
        for a in (gap, depairing):
            low, high = float(a.min(initial=np.inf)), float(a.max(initial=-np.inf))
            low = self.device.mesh.comm.allreduce(low, MPI.MIN)
            high = self.device.mesh.comm.allreduce(high, MPI.MAX)
            arrays.append(np.array([low]) if high - low <= self.tolerance else a)
        drop = None
        if phase is not None and self.coupling:
            flows = self.device.mesh.comm.allreduce(bool(np.any(phase.drop != 0.0)), MPI.LOR)
            drop = phase.drop if flows else None
        return SpectralState(arrays[0], arrays[1], drop)

    # -- operating points
    # -------------------------------------------------------------------------------------

    def solve(self, point: Point, guess: Guess | Solution | None = None) -> Solution:
        """Solve an operating point; ``guess`` is a neighbouring solution to start from.

        Raises:
            ConvergenceError: the self-consistency does not converge.
        """
        external = self.external(point)
        if not self.gap.follows_bias and not self.self_consistent_phase:
            state, phase = self.at_rest(point.supercurrent)
            return Solution(point, state, self.response(point.supercurrent).combine(external), phase, 0)
        return self._self_consistent(point, external, guess)

    def response(self, value: float) -> Response:
        """Unit responses at the spectra at rest, computed once for each value of the supercurrent."""
        if value not in self._responses:
            self._responses.clear()
            state, _ = self.at_rest(value)
            sources = [(c, number) for number in range(len(self.device.junctions)) for c in (L, T)]
            bath = self.device.reservoirs[0].temperature
            for number, reservoir in enumerate(self.device.reservoirs, start=len(self.device.junctions)):
                if reservoir.temperature != bath:
                    sources.append((L, number))
            self._responses[value] = self.kinetics.respond(state, sources)
        return self._responses[value]

    def _self_consistent(self, point: Point, external: Floats, guess: Guess | Solution | None) -> Solution:
        mesh, n = self.device.mesh, self.device.mesh.n_owned
        if guess is not None and guess.point.supercurrent == point.supercurrent:
            state, phase = guess.spectral, guess.phase
        else:
            # Phase drops are no part of the iterate: those of another supercurrent, maybe with the opposite
            # sign, could be taken for converged.
            state, phase = self.at_rest(point.supercurrent)
        uniform = self.gap.kind == "uniform"
        depairing_moves = self._phases is not None and point.supercurrent != 0.0
        depairing = np.broadcast_to(state.depairing, (mesh.n_cells,)).copy()
        gap = np.broadcast_to(state.gap, (mesh.n_cells,)).copy()
        found: list[tuple[SpectralState, KineticState, PhaseField | None]] = []
        label = f"V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
        if point.supercurrent:
            label += f", supercurrent {point.supercurrent:g}"
        only = None if self.self_consistent_phase else L
        start = guess.kinetic if isinstance(guess, Solution) else None

        def expand(y: Floats) -> tuple[Floats, Floats]:
            cells = np.zeros((mesh.n_cells, 2))
            if uniform:
                cells[:, 0] = mesh.comm.bcast(float(y[0]) if mesh.comm.rank == 0 else None)
                cells[:n, 1] = (
                    y[1:] if depairing_moves and mesh.comm.rank == 0 else y if depairing_moves else 0.0
                )
            else:
                cells[:n, 0] = y[:n]
                cells[:n, 1] = y[n:] if depairing_moves else 0.0
            mesh.exchange(cells)
            np.maximum(cells, 0.0, out=cells)
            return cells[:, 0].copy(), cells[:, 1].copy() if depairing_moves else depairing

        def pack(new_gap: Floats, new_depairing: Floats) -> Floats:
            head = new_gap[:1] if uniform and mesh.comm.rank == 0 else new_gap[:0] if uniform else new_gap[:n]
            return np.concatenate([head, new_depairing[:n] if depairing_moves else new_depairing[:0]])

        def update(y: Floats) -> Floats:
            nonlocal phase
            here_gap, here_depairing = expand(y)
            spectral = self._collapsed(here_gap, here_depairing, phase)
            (kinetic,) = self.kinetics.solve(
                spectral, external[None], only=only, guess=found[0][1] if found else start
            )
            f_l = kinetic.deviation(L)
            new_gap = self._gap_update(here_gap, here_depairing, f_l)
            self._require_gap(new_gap, label)
            new_depairing = here_depairing
            if self._phases is not None and (depairing_moves or self.self_consistent_phase):
                source = (
                    self.kinetics.condensate_source(spectral, kinetic) if self.self_consistent_phase else None
                )
                phase = self._phase(here_gap, here_depairing, f_l, point.supercurrent, source)
                if depairing_moves:
                    new_depairing = self.depairing + phase.depairing
            found[:] = [(spectral, kinetic, phase)]
            return pack(new_gap, new_depairing)

        result = solve_fixed_point(
            update,
            pack(gap, depairing),
            comm=mesh.comm,
            tolerance=self.tolerance,
            what=f"self-consistent gap at {label}",
            max_evaluations=self.maximum_iterations,
        )
        spectral, kinetic, phase = found[0]
        if only is not None and spectral.drop is None:
            # f_T does not act back on the gap: it is found once, at the end.
            (charge,) = self.kinetics.solve(spectral, external[None], only=T)
            kinetic = kinetic.plus(charge)
        return Solution(point, spectral, kinetic, phase, result.evaluations)

    def _require_gap(self, gap: Floats, label: str) -> None:
        """Raise `ConvergenceError` on all ranks if the gap of a superconducting cell has collapsed."""
        mesh = self.device.mesh
        lost: tuple[float, list[float]] | None = None
        for bulk, cells in self._bulk:
            here = cells[gap[cells] < COLLAPSED * bulk]
            if len(here):
                worst = here[np.argmin(gap[here])]
                lost = (float(gap[worst]), (mesh.centroid[worst] * 1e6).round(4).tolist())
        found = [entry for entry in mesh.comm.allgather(lost) if entry is not None]
        if not found:
            return
        where = min(found)[1]
        hint = ""
        if self.gap.kind == "local":
            hint = (
                "; without inelastic collisions quasiparticles stay where the gap is low and lower it more; "
                'gap.model = "uniform" has no such traps'
            )
        raise ConvergenceError(
            f"self-consistent gap at {label}: superconductivity is destroyed, first near {where} um{hint}"
        )

    def _gap_update(self, gap: Floats, depairing: Floats, f_l: Floats) -> Floats:
        """Next gap of every cell from the deviations of f_L, ``Δ exp(g/λ)`` with g the relative residual."""
        if self.gap.kind in ("equilibrium", "fixed"):
            return self._equilibrium_gap(depairing)
        new = np.zeros_like(gap)
        if self.gap.kind == "uniform":
            f_at = self.average_under(self._gap_junction, f_l)
            zeta = self.average_under(self._gap_junction, depairing[:, None])
            new[:] = self._next_gap(1.0, gap[:1], zeta, f_at[None])[:1] if len(gap) else 0.0
            return new
        for bulk, cells in self._bulk:
            if len(cells):
                new[cells] = self._next_gap(bulk, gap[cells], depairing[cells], f_l[cells])
        return new

    def _next_gap(self, bulk: float, gap: Floats, depairing: Floats, deviation: Floats) -> Floats:
        """``Δ exp r`` for some cells of one bulk gap; everything is scaled by that gap."""
        edges = self.grid.edges / bulk
        gap, depairing, broadening, bath = (
            gap / bulk,
            depairing / bulk,
            self.broadening / bulk,
            self.device.bath / bulk,
        )
        residual = gap_residual(
            deviation + distributions.equilibrium(edges, bath),
            edges,
            bin_averages(edges, gap, depairing, broadening),
            depairing,
            broadening,
            cutoff=self.gap.debye_energy / bulk,
            rule=self.gap.rule,
            temperature=bath,
        )
        return bulk * gap * np.exp(residual)

    def _junction_at(self, place: str) -> int:
        """Number of the junction of that name, or on that part of the mesh."""
        for number, junction in enumerate(self.device.junctions):
            if place in (junction.name, junction.on):
                return number
        known = ", ".join(f"{j.name} on {j.on}" for j in self.device.junctions) or "none"
        raise CaseError(f"gap.at: there is no junction at {place!r} (junctions: {known})")

    def average_under(self, number: int, cells: Floats) -> Floats:
        """Average of ``cells[n_cells, ...]`` over the cells under junction ``number``, on all ranks."""
        assert self.transport is not None
        index, share = self.transport.lead_weight(number)
        total = np.ascontiguousarray(share @ cells[index])
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, total)
        return total

    def restored_phase(self, superfluid: Floats, phase: Floats, drain: float) -> PhaseField:
        """The phase field of an earlier solution (`PhaseSolver.restore`)."""
        if self._phases is None:
            raise CaseError("supercurrent: this problem has none, so there is no phase to restore")
        return self._phases.restore(superfluid, phase, drain)

    def expected_memory(self) -> float:
        """Bytes on this rank: stored responses or states, and the blocks that are solved at a time.

        Per cell and energy: one double for each stored component of each source; inside a block, the matrix,
        face conductances, spectral functions and the elimination's fill.
        """
        n, sources = self.device.mesh.n_cells, 2 * len(self.device.junctions)
        components = 2 if self.supercurrent is not None and self.coupling else 1
        stored = 3 if self.gap.follows_bias else sources * components
        block = 40 * components**2 + (9 if self.gap.follows_bias else 0)
        return 8.0 * n * (self.grid.n * stored + min(BLOCK, self.grid.n) * block)

    # -- observables
    # ------------------------------------------------------------------------------------------

    def junction_currents(self, currents: Floats) -> Floats:
        """Charge current from each junction into the superconductor, ampere, from spectral currents."""
        into = currents[T, : len(self.device.junctions)] @ self.grid.widths
        return into * self.device.voltage_unit

    def conductances(self, solution: Solution) -> Floats:
        """``dI/dV_inj`` of the current from every junction into the superconductor, siemens.

        Exact where the spectra do not depend on bias; otherwise the slope of the self-consistent solution, by
        central differences a small fraction of the thermal width apart around it.
        """
        point = solution.point
        if not self.gap.follows_bias and not self.self_consistent_phase:
            slope = self.response(point.supercurrent).combine(self.external_slope(point))
            return slope.currents[T, : len(self.device.junctions)] @ self.grid.widths
        t = max((j.temperature for j in self.device.junctions), default=0.0) / self.device.thermal_unit
        step = max(5e-3 * t, 1e-5) * self.device.voltage_unit
        sides = [
            self._self_consistent(moved, self.external(moved), solution)
            for moved in (replace(point, V_inj=point.V_inj + s) for s in (-step, step))
        ]
        low, high = (self.junction_currents(side.kinetic.currents) for side in sides)
        return (high - low) / (2.0 * step)

    def ledger(self, solution: Solution) -> Ledger:
        """What enters, leaves and relaxes; integrals over the energy grid."""
        unit, w = self.device.voltage_unit, self.grid.widths
        weights = np.stack([-w / 1.602176634e-19, -w * self.grid.centres * unit, w]) * unit
        spectral = solution.kinetic.currents[[L, L, T]]
        by_terminal = np.einsum("re,rte->rt", weights, spectral)
        n = len(self.device.junctions)
        relaxed = np.array([0.0, 0.0, float(weights[2] @ solution.kinetic.relaxed)])
        return Ledger(
            injected=by_terminal[:, :n].sum(axis=1),
            taken=-by_terminal[:, n:].sum(axis=1),
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
    drop = None if state.drop is None else -state.drop
    turned = replace(
        phase,
        phase=-phase.phase,
        drop=-phase.drop,
        gradient=-phase.gradient,
        current=-phase.current,
        drain=-phase.drain,
    )
    return replace(state, drop=drop), turned
