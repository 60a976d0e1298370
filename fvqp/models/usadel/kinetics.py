"""Elastic kinetics: the response of f_L and f_T to every lead, all energies at once.

Without inelastic collisions the equations are linear and each energy stands alone, so a device with fixed
spectra is known once its response to a unit distribution in each lead is: every bias is then a weighted sum.
The unknowns are deviations from equilibrium, ``f_L − tanh(ε/2t)`` and ``f_T``: no bias gives no deviation, to
the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from fvqp.energy import EnergyAxis
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.proximity import Proximity
from fvqp.spectral.usadel import BinnedSpectrum, bin_averages
from fvqp.transport.operator import Operator, Transport
from fvqp.transport.operator_tables import Coefficients
from fvqp.typing import Floats, Ints32

#: Component numbers of every ``component`` axis.
L, T = 0, 1

#: Energies solved together: a few vector registers full for two threads, and little memory beside the result.
BLOCK = 32
#: The same in solids, whose iterations keep some 30 vectors: 13 kB a cell in place of 17, in the same time.
BLOCK_OF_SOLIDS = 16


@dataclass(frozen=True)
class SpectralState:
    """Parameters of the spectra of a device; cell axes of length one mean "the same everywhere".

    Attributes:
        gap: ``(n_cells or 1,)`` Δ in Δ0.
        depairing: ``(n_cells or 1,)`` ζ in Δ0.
        supercurrent_conductance: ``(n_faces,)`` conductance × phase drop
            (`fvqp.models.usadel.phase.PhaseField`), None without supercurrent.
    """

    gap: Floats
    depairing: Floats
    supercurrent_conductance: Floats | None = None


@dataclass(frozen=True)
class KineticState:
    """Distributions and currents of a device under given lead distributions.

    Attributes:
        external: ``(2, terminals, n_energies)`` deviations in leads and reservoirs.
        currents: ``(2, terminals, n_energies)`` spectral currents from the terminals into the device,
            siemens × distribution.
        relaxed: ``(n_energies,)`` charge passed to the condensate, same unit.
        terms: weights (per energy) and fields, ``(f_L, f_T)`` each ``(n_cells, n_energies)`` or None
            where it is zero, whose sum is the state.
        n_cells: local cells.
        collided: ``(n_energies,)`` what collisions take from f_L at every energy in all cells, same unit as
            ``relaxed``; None without collisions.
    """

    external: Floats
    currents: Floats
    relaxed: Floats
    terms: tuple[tuple[Floats | float, tuple[Floats | None, Floats | None]], ...]
    n_cells: int
    collided: Floats | None = None

    @classmethod
    def of_fields(cls, f_l: Floats | None, f_t: Floats | None, shape: tuple[int, int]) -> KineticState:
        """Distributions ``(n_cells, n_energies)`` that nothing more is known of; None where they are zero."""
        n_cells, n = shape
        return cls(np.zeros((2, 0, n)), np.zeros((2, 0, n)), np.zeros(n), ((1.0, (f_l, f_t)),), n_cells)

    def deviation(self, component: int, cells: Any = slice(None)) -> Floats:
        """Deviation of f_L or f_T from equilibrium on (some) cells, ``(cells, n_energies)``."""
        total = np.zeros((len(np.arange(self.n_cells)[cells]), self.external.shape[2]))
        for weight, fields in self.terms:
            field = fields[component]
            if field is not None:
                total += weight * field[cells]
        return total

    def stacked(self, components: Sequence[int], bins: slice, copies: int) -> Floats:
        """Some components and energies as ``(copies, n_cells, component, energy)``."""
        x = np.stack([self.deviation(c)[:, bins] for c in components], axis=1)
        return np.repeat(x[None], copies, axis=0)

    def plus(self, other: KineticState) -> KineticState:
        """The state of both together, such as f_L of one and f_T of the other."""
        return KineticState(
            self.external,
            self.currents + other.currents,
            self.relaxed + other.relaxed,
            self.terms + other.terms,
            self.n_cells,
            self.collided if other.collided is None else other.collided,
        )


@dataclass(frozen=True)
class UnitResponses:
    """Responses to unit distributions, one for each ``(component, terminal)`` in ``sources``, at fixed
    spectra."""

    sources: tuple[tuple[int, int], ...]
    states: tuple[KineticState, ...]

    def combine(self, external: Floats) -> KineticState:
        """State under the lead distributions ``external[component, terminal, energy]``.

        Entries that belong to no source must be zero.
        """
        weights = [external[component, terminal] for component, terminal in self.sources]
        currents, relaxed = np.zeros_like(external), np.zeros(external.shape[2])
        for weight, state in zip(weights, self.states, strict=True):
            currents += weight * state.currents
            relaxed += weight * state.relaxed
        terms = tuple((weight, state.terms[0][1]) for weight, state in zip(weights, self.states, strict=True))
        return KineticState(external, currents, relaxed, terms, self.states[0].n_cells if self.states else 0)


@dataclass(frozen=True)
class Kinetics:
    """The elastic kinetic problem of a device on an energy axis.

    Attributes:
        device, transport: geometry and contacts.
        grid: energy bins; all coefficients are bin averages.
        broadening: Dynes' Γ in Δ0.
        solver: of the linear systems, made for ``transport``.
        proximity: spatially coupled spectra; None for local ones.
    """

    device: Device
    transport: Transport
    grid: EnergyAxis
    broadening: float
    solver: TransportSolver
    proximity: Proximity | None = None
    _last: list[tuple[SpectralState, BinnedSpectrum]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def spectrum(self, state: SpectralState, bins: slice = slice(None)) -> BinnedSpectrum:
        """Bin averages of the spectral functions, ``(n_cells or 1, bins)``; equal cells are computed once."""
        if self.proximity is not None:
            everywhere = self.proximity.spectrum(state.gap, state.depairing)
            if bins == slice(None):
                return everywhere
            return everywhere.at(bins)
        if len(state.gap) == len(state.depairing) == 1 and bins != slice(None):
            return self.kept_spectrum(state).at(bins)
        start, stop, _ = bins.indices(self.grid.n)
        edges = self.grid.edges[start : stop + 1]
        gap, depairing = np.broadcast_arrays(state.gap, state.depairing)
        pairs, inverse = np.unique(np.stack([gap, depairing], axis=1), axis=0, return_inverse=True)
        if len(pairs) == len(gap):
            return bin_averages(edges, gap, depairing, self.broadening)
        unique = bin_averages(edges, pairs[:, 0], pairs[:, 1], self.broadening)
        inverse = inverse.ravel()
        return BinnedSpectrum(**{name: np.ascontiguousarray(a[inverse]) for name, a in vars(unique).items()})

    def kept_spectrum(self, state: SpectralState) -> BinnedSpectrum:
        """`spectrum` of all bins, kept for the last state: collisions and the gap equation ask for it."""
        if not (self._last and self._last[0][0] is state):
            self._last[:] = [(state, self.spectrum(state))]
        return self._last[0][1]

    def coefficients(
        self, state: SpectralState, spectrum: BinnedSpectrum, components: Sequence[int]
    ) -> Coefficients:
        """Coefficients of the transport operator for one component or both."""
        both = {
            L: (spectrum.diffusion_L, np.zeros_like(spectrum.diffusion_L)),
            T: (spectrum.diffusion_T, spectrum.relaxation_T),
        }
        coupled = len(components) == 2 and state.supercurrent_conductance is not None
        faces = self.transport.interface_faces
        return Coefficients(
            diffusion=np.stack([both[c][0] for c in components]),
            reaction=np.stack([both[c][1] for c in components]),
            advection=np.ascontiguousarray(spectrum.supercurrent) if coupled else np.empty((1, 0)),
            supercurrent_conductance=state.supercurrent_conductance
            if coupled and state.supercurrent_conductance is not None
            else np.empty(0),
            junction=self.transport.junction_coefficient(spectrum.dos),
            interface=self.transport.interface_coefficient(
                self._coherence(spectrum, faces)[list(components)]
            ),
            lead=self.transport.lead_coefficient(spectrum.dos),
        )

    def solve(
        self,
        state: SpectralState,
        externals: Floats,
        *,
        only: int | None = None,
        guess: KineticState | None = None,
    ) -> tuple[KineticState, ...]:
        """States under several lead distributions ``externals[case, component, terminal, energy]`` at once.

        The components are solved together where a supercurrent couples them; elsewhere ``only`` leaves the
        other one out, as zero. ``guess`` is a state to start iterative solvers from.
        """
        mesh = self.device.mesh
        coupled = state.supercurrent_conductance is not None
        present = np.any(externals != 0.0, axis=(2, 3))
        if only is not None and not coupled:
            present[:, 1 - only] = False
        shape = (mesh.n_cells, self.grid.n)
        needed = present | (present.any(axis=1, keepdims=True) if coupled else False)
        fields = [
            (np.empty(shape) if needed[k, L] else None, np.empty(shape) if needed[k, T] else None)
            for k in range(len(externals))
        ]
        currents = np.zeros_like(externals)
        relaxed = np.zeros((len(externals), self.grid.n))
        together: list[tuple[int, ...]] = [(L, T)] if coupled else [(L,), (T,)]
        together = [components for components in together if needed[:, list(components)].any()]
        for bins in self._blocks():
            for components, operator in self._operators(state, bins, together):
                rows = np.flatnonzero(needed[:, list(components)].any(axis=1))
                leads = np.ascontiguousarray(externals[rows][:, list(components), :, bins])
                start = None if guess is None else guess.stacked(components, bins, len(rows))
                name = partial(_energy_name, self.grid.energies[bins])
                x = self.solver.solve(operator, leads, guess=start, what=name)
                for row, k in enumerate(rows):
                    into = operator.currents(x[row], leads[row])
                    for position, c in enumerate(components):
                        field = fields[k][c]
                        if field is not None:
                            field[:, bins] = x[row][:, position]
                        currents[k, c, :, bins] = into[position]
                    if T in components:
                        relaxed[k, bins] = operator.relaxed_charge(x[row])
        return tuple(
            KineticState(externals[k], currents[k], relaxed[k], ((1.0, fields[k]),), mesh.n_cells)
            for k in range(len(externals))
        )

    def slope(
        self,
        state: SpectralState,
        kinetic: KineticState,
        difference: Sequence[tuple[float, SpectralState]],
        components: Sequence[int],
    ) -> KineticState:
        """Derivative of a solution by a parameter of the spectra, at fixed distributions of the leads.

        What the change of the operator leaves unbalanced, ``A δf = δb − δA f``, once for all: no solution
        in other spectra is needed.

        Args:
            state, kinetic: a solution without supercurrent.
            difference: weights and spectra whose sum is the derivative of anything that follows from spectra.
            components: those that are wanted; the others are zero.
        """
        mesh = self.device.mesh
        fields: list[Floats | None] = [None, None]
        for c in components:
            fields[c] = np.empty((mesh.n_cells, self.grid.n))
        currents, relaxed = np.zeros_like(kinetic.external), np.zeros(self.grid.n)
        for bins in self._blocks():
            name = partial(_energy_name, self.grid.energies[bins])
            for c in components:
                ((_, operator),) = self._operators(state, bins, [(c,)])
                moving = Operator.combined(
                    (weight, self._operators(beside, bins, [(c,)])[0][1]) for weight, beside in difference
                )
                (f,) = kinetic.stacked((c,), bins, 1)
                leads = np.ascontiguousarray(kinetic.external[c : c + 1, :, bins])
                still = np.zeros_like(leads)
                unbalanced = moving.residual(f, leads)
                (change,) = self.solver.solve(operator, still[None], source=unbalanced[None], what=name)
                fields[c][:, bins] = change[:, 0]  # type: ignore[index]
                currents[c, :, bins] = (operator.currents(change, still) + moving.currents(f, leads))[0]
                if c == T:
                    relaxed[bins] = operator.relaxed_charge(change) + moving.relaxed_charge(f)
        terms = ((1.0, (fields[L], fields[T])),)
        return KineticState(np.zeros_like(kinetic.external), currents, relaxed, terms, mesh.n_cells)

    def condensate_source(self, state: SpectralState, kinetic: KineticState) -> Floats:
        """Charge that quasiparticles pass to the condensate in every owned cell, siemens × distribution × Δ0.

        ``∫ (R_T f_T − j_S·∇f_L) dε``: the divergence of the quasiparticle current 𝒟_T ∇f_T; ``j_S f_L`` is
        part of the supercurrent, whose density is the integral of j_ε over the whole f_L.
        """
        transport, n = self.transport, self.device.mesh.n_owned
        source = np.zeros(n)
        for bins in self._blocks():
            spectrum, widths = self.spectrum(state, bins), self.grid.widths[bins]
            f_l, f_t = (kinetic.deviation(c)[:, bins] for c in (L, T))
            source += transport.capacity * ((spectrum.relaxation_T * f_t) @ widths)[:n]
            if state.supercurrent_conductance is not None:
                # What the T row makes of f_L alone is j_S·∇f_L.
                operator = transport.at(self.coefficients(state, spectrum, (L, T)))
                x = np.stack([f_l, np.zeros_like(f_l)], axis=1)
                external = np.ascontiguousarray(kinetic.external[:, :, bins])
                external[T] = 0.0
                source -= operator.residual(x, external)[:, T] @ widths
        return source

    def respond(self, state: SpectralState, sources: Sequence[tuple[int, int]]) -> UnitResponses:
        """Responses to a unit distribution for each ``(component, terminal)``."""
        units = np.zeros((len(sources), 2, len(self.transport.terminals), self.grid.n))
        for k, (component, terminal) in enumerate(sources):
            units[k, component, terminal] = 1.0
        return UnitResponses(tuple(sources), self.solve(state, units))

    @property
    def block(self) -> int:
        """Energies that are solved together."""
        return BLOCK_OF_SOLIDS if self.device.mesh.dim == 3 else BLOCK

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, self.grid.n, self.block):
            yield slice(first, min(first + self.block, self.grid.n))

    def _operators(
        self, state: SpectralState, bins: slice, together: Sequence[tuple[int, ...]]
    ) -> list[tuple[tuple[int, ...], Operator]]:
        """The operators of some energies; their spectra, several times as large, are let go on return."""
        spectrum = self.spectrum(state, bins)
        return [(c, self.transport.at(self.coefficients(state, spectrum, c))) for c in together]

    def _coherence(self, spectrum: BinnedSpectrum, faces: Ints32) -> Floats:
        """Coherence factors of tunnelling at equal phase, ``(2, faces, energy)``."""
        c0, c1 = self.device.mesh.face_cells[faces].T
        pick = (lambda a, c: a[c]) if len(spectrum.dos) > 1 else (lambda a, c: a)
        normal = pick(spectrum.dos, c0) * pick(spectrum.dos, c1)
        factor_l = normal - pick(spectrum.pairing, c0) * pick(spectrum.pairing, c1)
        factor_t = normal + pick(spectrum.re_F, c0) * pick(spectrum.re_F, c1)
        shape = (len(faces), normal.shape[-1])
        return np.stack([np.broadcast_to(np.maximum(factor_l, 0.0), shape), np.broadcast_to(factor_t, shape)])


def _energy_name(centres: Floats, e: int) -> str:
    return f"energy {centres[e]:.6g} Δ0"
