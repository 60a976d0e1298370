"""Kinetics with inelastic collisions: all energies of all cells together.

The equations are those of `fvqp.models.kinetics` less the collision integral,

    b − A x − c I_L(f_L) = 0,

with the capacity ``c = σ V/ξ²`` of a cell. They are solved by Newton's method; its linear systems by flexible
GMRES, preconditioned by the transport operator of every energy with the loss rate of collisions on its
diagonal, and by the diffusion and the cooling of heat that this leaves (theory: electron_electron).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.collisions.energy_mode import CollisionSum, RelaxationSum
from fvqp.errors import ConvergenceError
from fvqp.models.kinetics import Kinetics, KineticState, L, SpectralState, T
from fvqp.solvers.newton import solve_linearized, solve_newton

Floats = NDArray[np.float64]

#: Imbalance that a cell may have at an energy, over the largest rate at which the cell exchanges f_L;
#: rounding leaves some 1e-15.
TOLERANCE = 1e-13

#: Accuracy of the derivative of a solution by a parameter.
SLOPE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Inelastic:
    """The inelastic kinetic problem of a device.

    Attributes:
        kinetics: the elastic one.
        collisions: on the same grid.
    """

    kinetics: Kinetics
    collisions: CollisionSum

    def solve(
        self,
        state: SpectralState,
        external: Floats,
        guess: KineticState | None,
        *,
        what: str,
        tolerance: float = TOLERANCE,
    ) -> KineticState:
        """f_L, and f_T where a supercurrent couples them, for given spectra.

        Args:
            state: spectra.
            external: ``(2, terminals, n_energies)`` deviations in leads and reservoirs.
            guess: a neighbouring state to start from.
            what: for messages.
            tolerance: see `TOLERANCE`.

        Raises:
            ConvergenceError: Newton's method finds no solution.
        """
        system = _System(self, state, external)
        comm = self.kinetics.device.mesh.comm
        found = solve_newton(system, system.start(guess), comm=comm, tolerance=tolerance, what=what)
        system.residual(found.x)
        if comm.allreduce(system.collided.inverted, MPI.LOR):
            raise ConvergenceError(f"{what}: quasiparticles are inverted; phonons have no steady state")
        return system.kinetic(found.x)

    def slope(self, state: SpectralState, kinetic: KineticState, external_slope: Floats) -> Floats:
        """Derivative of f_L of the owned cells, at fixed spectra, by a parameter of the leads.

        Args:
            state, kinetic: a solution.
            external_slope: derivative of its ``external``.
        """
        system = _System(self, state, kinetic.external)
        leads = np.ascontiguousarray(external_slope[list(system.components)])
        nothing = np.zeros((kinetic.n_cells, *system.shape[1:]))
        return system.response(system.start(kinetic), system.operator.residual(nothing, leads))


class _System:
    """The equations (`fvqp.solvers.newton.System`) at one operating point: deviations of the owned cells."""

    def __init__(self, parts: Inelastic, state: SpectralState, external: Floats) -> None:
        self.parts, self.external = parts, external
        kinetics = parts.kinetics
        self.kinetics, self.transport, self.grid = kinetics, kinetics.transport, kinetics.grid
        self.mesh = kinetics.device.mesh
        self.components = (L, T) if state.drop is not None else (L,)
        self.shape = (self.mesh.n_owned, len(self.components), self.grid.n)
        self.leads = np.ascontiguousarray(external[list(self.components)])
        # At the energies themselves, where the equilibrium of collisions is; deviations are bin averages.
        self.rest = np.tanh(self.grid.centres / (2.0 * kinetics.device.bath))
        spectrum = kinetics.spectrum(state)
        self.operator = self.transport.at(kinetics.coefficients(state, spectrum, self.components))
        #: Of f_L by itself: what moves energy.
        self.alone = self.operator
        if len(self.components) > 1:
            self.alone = self.transport.at(kinetics.coefficients(state, spectrum, (L,)))
        rows = slice(None) if len(spectrum.dos) == 1 else slice(self.mesh.n_owned)
        self.dos, self.pairing = spectrum.dos[rows], spectrum.pairing[rows]
        self.scale = kinetics.solver.scale(self.operator)
        self.scale[:, L] += self.transport.capacity[:, None] * parts.collisions.largest_rate
        #: Integral over energy, weighted with energy.
        self.moment = self.grid.centres * self.grid.widths
        self._at: Floats | None = None

    def start(self, guess: KineticState | None) -> Floats:
        """Vector of unknowns of a guess."""
        if guess is None:
            return np.zeros(np.prod(self.shape))
        owned = slice(self.mesh.n_owned)
        return np.stack([guess.deviation(c, owned) for c in self.components], axis=1).ravel()

    def residual(self, x: Floats) -> Floats:
        known = self._at is not None and np.array_equal(x, self._at)
        if not self.mesh.comm.allreduce(known, MPI.LAND):
            f = x.reshape(self.shape)
            collided = self.parts.collisions.at(self.dos, self.pairing, self.rest + f[:, L])
            balance = self.operator.residual(self._everywhere(f), self.leads)
            balance[:, L] -= self.transport.capacity[:, None] * collided.rate
            self.collided: RelaxationSum = collided
            self._value, self._at = (-balance / self.scale).ravel(), x.copy()
        return self._value

    def linearize(self, x: Floats) -> None:
        self.residual(x)
        loss = np.zeros(self.shape)
        loss[:, L] = self.transport.capacity[:, None] * self.collided.loss
        solver = self.kinetics.solver
        self._invert: Callable[[Floats], Floats] = solver.preconditioner(self.operator, loss)
        heating = np.zeros((self.mesh.n_cells, self.grid.n))
        heating[: self.shape[0]] = self.grid.centres * (1.0 - self.collided.f_L**2)
        self.mesh.exchange(heating)
        self._heating = heating
        # What leaves the electrons by collisions cools this mode too: nothing among electrons alone.
        cooled = self.collided.derivative(heating[: self.shape[0]]) @ self.moment
        cooling = self.transport.capacity * np.maximum(cooled, 0.0)
        self._warm = solver.lumped(self.alone, self.moment, heating, cooling)

    def action(self, step: Floats) -> Floats:
        f = step.reshape(self.shape)
        balance = self.operator.residual(self._everywhere(f), np.zeros_like(self.leads))
        balance[:, L] -= self.transport.capacity[:, None] * self.collided.derivative(f[:, L])
        return (-balance / self.scale).ravel()

    def precondition(self, residual: Floats) -> Floats:
        right = residual.reshape(self.shape) * self.scale
        f = self._invert(right)
        left = right + self.operator.residual(self._everywhere(f), np.zeros_like(self.leads))
        f[:, L] += self._heating[: len(f)] * self._warm(left[:, L] @ self.moment)[:, None]
        return f.ravel()

    def response(self, x: Floats, driven: Floats) -> Floats:
        """Change of f_L that balances ``driven``, siemens × distribution into every owned cell."""
        self.linearize(x)
        change, _ = solve_linearized(
            self, (driven / self.scale).ravel(), comm=self.mesh.comm, tolerance=SLOPE_TOLERANCE,
            what="slope of the inelastic solution",
        )  # fmt: skip
        return change.reshape(self.shape)[:, L]

    def kinetic(self, x: Floats) -> KineticState:
        """Distributions and currents of a solution."""
        self.residual(x)
        collided = np.ascontiguousarray(self.transport.capacity @ self.collided.rate)
        self.mesh.comm.Allreduce(MPI.IN_PLACE, collided)
        full = self._everywhere(x.reshape(self.shape))
        currents, relaxed = np.zeros_like(self.external), np.zeros(self.grid.n)
        currents[list(self.components)] = self.operator.currents(full, self.leads)
        if T in self.components:
            relaxed = self.operator.relaxed_charge(full)
        fields = (full[:, L], full[:, T] if T in self.components else None)
        return KineticState(self.external, currents, relaxed, ((1.0, fields),), self.mesh.n_cells, collided)

    def _everywhere(self, owned: Floats) -> Floats:
        """Values of all cells, ghosts included."""
        full = np.empty((self.mesh.n_cells, *self.shape[1:]))
        full[: self.mesh.n_owned] = owned
        self.mesh.exchange(full)
        return full
