"""The phase of the order parameter: a supercurrent that is conserved everywhere in the device."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.errors import CaseError, ConvergenceError, require_choice
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.device import Device
from fvqp.transport.operator import Operator, Transport
from fvqp.transport.operator_tables import Coefficients
from fvqp.transport.terminals import Terminal
from fvqp.typing import Floats
from fvqp.units import in_unit

#: Superfluid density of a normal metal, over the largest one: no current, but a phase that is defined.
NORMAL = 1e-10
TOLERANCE = 1e-14
"""Residual of the phase: currents through all cross-sections of a solid are the same to 1e-9."""


@dataclass(frozen=True)
class Supercurrent:
    """Drive of the supercurrent: from one reservoir to another, by a phase gradient or a total current.

    Attributes:
        source, drain: boundaries between which the phase differs (the phase grows from source to drain).
        kind: ``phase_gradient`` prescribes the mean ``ξ|∇φ|`` over ``region``; ``current`` the total in
            ampere.
        values: the sweep; a negative value reverses the direction. Text with a unit, such as ``"10 uA"``, is
            taken for a current.
        region: where the mean is taken; None for the whole device.

    Raises:
        CaseError: another kind, or values that are no currents.
    """

    source: str
    drain: str
    kind: Literal["phase_gradient", "current"]
    values: tuple[float, ...]
    region: str | None = None

    def __post_init__(self) -> None:
        require_choice("Supercurrent.kind", self.kind, ("phase_gradient", "current"))
        unit = "A" if self.kind == "current" else "1"
        found = []
        for number, value in enumerate(self.values):
            try:
                found.append(in_unit(value, unit))
            except CaseError as error:
                raise CaseError(f"Supercurrent.values[{number}]: {error}") from None
        object.__setattr__(self, "values", tuple(found))


@dataclass(frozen=True)
class PhaseField:
    """A solved phase.

    Attributes:
        phase: ``(n_cells,)`` radians, 0 at the source.
        supercurrent_conductance: ``(n_faces,)`` normal-state conductance × phase drop through every face,
            siemens.
        gradients: ``(n_owned, 3)`` ``ξ∇φ``.
        depairing: ``(n_cells,)`` ``ζ = ½(ξ∇φ)²`` in Δ0.
        gradient: mean ``ξ∇φ`` along the current over the region, with its sign.
        current: total supercurrent in ampere.
        superfluid: ``(n_cells,)`` superfluid density that it was solved with.
        drain: phase of the drain, radians.
    """

    phase: Floats
    supercurrent_conductance: Floats
    gradients: Floats
    depairing: Floats
    gradient: float
    current: float
    superfluid: Floats
    drain: float


@dataclass
class PhaseSolver:
    """Solves ``∇·(σ n_s ∇φ) = −source`` on a device for a given superfluid density.

    ``n_s = ∫_0^∞ j_ε f_L dε`` per cell (π/2 Δ tanh(Δ/2t) in equilibrium), so that ``I = (Δ0/e) σ A n_s ∇φ``.
    """

    device: Device
    drive: Supercurrent
    method: str = "auto"
    transport: Transport = field(init=False)

    def __post_init__(self) -> None:
        device, drive = self.device, self.drive
        if drive.source == drive.drain:
            raise CaseError(f"supercurrent: from and to are both {drive.source!r}; it needs two boundaries")
        if device.interfaces:
            raise CaseError(
                "supercurrent: the device has tunnel interfaces, and a supercurrent through them (Josephson) "
                "is not part of this model; remove one or the other"
            )
        mesh = device.mesh
        conductivity = device.per_cell("conductivity")
        self.transport = Transport(
            mesh,
            conductivity,
            np.full(mesh.n_cells, device.transverse),
            np.zeros(mesh.n_cells),
            device.medium(),
            [Terminal("source", (drive.source,)), Terminal("drain", (drive.drain,))],
        )
        self._solver = TransportSolver(self.transport, self.method, TOLERANCE)
        cells = np.arange(mesh.n_cells) if drive.region is None else mesh.require_region(drive.region)
        self._cells = cells[cells < mesh.n_owned]
        gap = device.material.gap
        self._xi = np.sqrt(constants.hbar * device.per_cell("diffusivity") / gap)
        if mesh.comm.allreduce(len(self._cells)) == 0:
            raise CaseError(f"supercurrent.region: {drive.region!r} has no cells")

    def solve(self, superfluid: Floats, value: float, source: Floats | None = None) -> PhaseField:
        """Phase that carries ``value`` (by ``drive.kind``) through the superfluid density ``(n_cells,)``.

        ``source[n_owned]`` (siemens, times Δ0/e in ampere) is charge that enters the condensate in each cell.

        Raises:
            ConvergenceError: nothing superconducts between source and drain.
        """
        largest = self.device.mesh.comm.allreduce(float(superfluid.max(initial=0.0)), MPI.MAX)
        superfluid = np.maximum(superfluid, NORMAL * largest)
        through = 0.0
        if largest > 0.0:
            unit = self._phase(superfluid, 1.0, None)
            through = self._current(superfluid, unit, 1.0)
        if not through > 1e3 * NORMAL * largest * self._normal_conductance:
            raise ConvergenceError(
                f"supercurrent {value:g}: no superconducting path connects source and drain "
                "(a gap that is zero, or a current above the depairing current)"
            )
        own = None if source is None else self._phase(superfluid, 0.0, source)
        if self.drive.kind == "current":
            extra = 0.0 if own is None else self._current(superfluid, own, 0.0)
            scale = (value / self.device.voltage_unit - extra) / through
        else:
            scale = value / self._mean_gradient(self._conductance(superfluid, unit, 1.0))
        return self.restore(superfluid, scale * unit if own is None else scale * unit + own, scale)

    def restore(self, superfluid: Floats, phase: Floats, drain: float) -> PhaseField:
        """The field of a phase that is known already, for the superfluid density it was solved with."""
        supercurrent_conductance = self._conductance(superfluid, phase, drain)
        vectors = self._vectors(supercurrent_conductance)
        squared = np.zeros(self.device.mesh.n_cells)
        squared[: len(vectors)] = np.einsum("ci,ci->c", vectors, vectors)
        self.device.mesh.exchange(squared)
        return PhaseField(
            phase=phase,
            supercurrent_conductance=supercurrent_conductance,
            gradients=vectors,
            depairing=0.5 * squared,
            gradient=float(np.copysign(self._mean_gradient(supercurrent_conductance), drain)),
            current=self._current(superfluid, phase, drain) * self.device.voltage_unit,
            superfluid=superfluid,
            drain=drain,
        )

    def with_conductance(self, phase: PhaseField, supercurrent_conductance: Floats) -> PhaseField:
        """``phase`` with other phase drops and the gradients that belong to them."""
        return replace(
            phase,
            supercurrent_conductance=supercurrent_conductance,
            gradients=self._vectors(supercurrent_conductance),
        )

    @cached_property
    def _normal_conductance(self) -> float:
        """Conductance from source to drain in the normal state, siemens."""
        ones = np.ones(self.device.mesh.n_cells)
        return self._current(ones, self._phase(ones, 1.0, None), 1.0)

    def _operator(self, superfluid: Floats) -> Operator:
        diffusion = np.ascontiguousarray(superfluid[None, :, None])
        return self.transport.at(Coefficients(diffusion, reaction=np.zeros((1, 1, 1))))

    def _external(self, drain: float) -> Floats:
        return np.array([[[0.0], [drain]]])

    def _phase(self, superfluid: Floats, drain: float, source: Floats | None) -> Floats:
        x = self._solver.solve(
            self._operator(superfluid),
            self._external(drain)[None],
            source=None if source is None else source[None, :, None, None],
            what=lambda _: "phase of the order parameter",
        )
        return np.ascontiguousarray(x[0, :, 0, 0])

    def _flux(self, superfluid: Floats, phase: Floats, drain: float) -> Floats:
        x = np.ascontiguousarray(phase[:, None, None])
        return self._operator(superfluid).face_fluxes(x, self._external(drain))[:, 0]

    def _conductance(self, superfluid: Floats, phase: Floats, drain: float) -> Floats:
        """Conserved flux over the superfluid density that the kinetic operator interpolates at the face."""
        c0, c1 = self.device.mesh.face_cells.T
        w = self.transport.faces.weight
        at_face = w * superfluid[c0] + (1.0 - w) * superfluid[np.where(c1 >= 0, c1, c0)]
        flux = self._flux(superfluid, phase, drain)
        return np.divide(flux, at_face, out=np.zeros_like(flux), where=at_face > 0.0)

    def _vectors(self, supercurrent_conductance: Floats) -> Floats:
        """``ξ∇φ`` of the owned cells."""
        conductivity = self.device.per_cell("conductivity")[: self.device.mesh.n_owned, None]
        return (
            self.transport.cell_vectors(supercurrent_conductance[:, None].ravel())
            / conductivity
            * self._xi[: len(conductivity), None]
        )

    def _mean_gradient(self, supercurrent_conductance: Floats) -> float:
        size = np.linalg.norm(self._vectors(supercurrent_conductance)[self._cells], axis=1)
        volume = self.transport.volume[self._cells]
        sums = np.array([float((size * volume).sum()), float(volume.sum())])
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, sums)
        return float(sums[0] / sums[1])

    def _current(self, superfluid: Floats, phase: Floats, drain: float) -> float:
        x = np.ascontiguousarray(phase[:, None, None])
        entering = self._operator(superfluid).currents(x, self._external(drain))
        return float(entering[0, 1, 0])
