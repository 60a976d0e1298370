"""Kinetics with inelastic collisions: all energies of all cells together.

The equations are those of `fvqp.models.usadel.kinetics` less the collision integral,

    b − A x − c I(x) = 0,

with the capacity ``c = σ V/ξ²`` of a cell. They are solved by Newton's method; its linear systems by flexible
GMRES, preconditioned by the transport operator of every energy with the loss rate of collisions on its
diagonal, and by the diffusion of heat (and, where f_T collides too, of charge) that this leaves (theory:
electron_electron).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from mpi4py import MPI

from fvqp.collisions import CollisionSum, Spectra
from fvqp.errors import ConvergenceError
from fvqp.models.usadel.kinetics import Kinetics, KineticState, L, SpectralState, T
from fvqp.solvers.continuation import homotopy
from fvqp.solvers.newton import FULL_STEPS, solve_linearized, solve_newton
from fvqp.transport.operator import Operator
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Imbalance that a cell may have at an energy, over the largest rate at which the cell exchanges f_L;
#: rounding leaves some 1e-15.
TOLERANCE = 1e-13

#: Part of what flows through terminals that all cells together may leave of particles, energy or charge: what
#: a ledger counts as closed. Beside it the sum of many small imbalances can be large where little flows.
BALANCE = 1e-8

#: The same of energy, above which temperatures of cells are adjusted at the end; and how often at most.
CLOSED, CLOSINGS = 1e-11, 3

#: Largest density of states for which `CollisionSum.rounding` holds: rates of a bin are rounded in proportion
#: to its own.
DENSE = 20.0

#: Newton steps, cut back where need be, after which a solution is looked for by way of weaker collisions.
MAX_STEPS = 20

#: Powers of ten below their own rate from which collisions grow where Newton's method finds no solution.
DECADES = 6.0

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
        tolerance: float | None = None,
    ) -> KineticState:
        """f_L, and f_T where a supercurrent or collisions couple them, for given spectra.

        Args:
            state: spectra.
            external: ``(2, terminals, n_energies)`` deviations in leads and reservoirs.
            guess: a neighbouring state to start from.
            what: for messages.
            tolerance: see `TOLERANCE`; default: this, or what collisions are rounded to.

        Raises:
            ConvergenceError: Newton's method finds no solution, nor does it on the way from the elastic one.
        """
        if guess is None and self.collisions.charge and not self.collisions.own_phonons:
            # Far from rest the elastic solution is nearer: distributions in the range of those of the leads.
            # But phonons of their own would be many in it, and lead away.
            (guess,) = self.kinetics.solve(state, external[None])
        system = InelasticSystem(self, state, external)
        tolerance = tolerance or system.tolerance
        comm = self.kinetics.device.mesh.comm
        try:
            x = solve_newton(
                system, system.start(guess), comm=comm, tolerance=tolerance, what=what, max_steps=MAX_STEPS
            ).x
        except ConvergenceError as failure:
            x = self._from_weaker_collisions(state, external, tolerance, failure, what)
        return system.kinetic(system.closed(x), what)

    def _from_weaker_collisions(
        self, state: SpectralState, external: Floats, tolerance: float, failure: ConvergenceError, what: str
    ) -> Floats:
        """Unknowns of the solution to which the elastic one leads while the rate of collisions grows."""
        (elastic,) = self.kinetics.solve(state, external[None])

        def solve(part: float, x: Floats | None) -> Floats:
            strength = 10.0 ** (DECADES * (part - 1.0))
            system = InelasticSystem(self, state, external, strength=strength)
            start = system.start(elastic) if x is None else x
            comm = self.kinetics.device.mesh.comm
            log.debug("%s: collisions of %.3g of their rate", what, strength)
            return solve_newton(
                system, start, comm=comm, tolerance=tolerance, what=what, max_steps=FULL_STEPS
            ).x

        try:
            return homotopy(solve)
        except ConvergenceError:
            raise ConvergenceError(f"{failure}, nor from weaker collisions on") from None

    def rounding(self, dos: float) -> float:
        """To what rates are rounded, over the largest, where the largest density of states is ``dos``."""
        return self.collisions.rounding * max(1.0, dos / DENSE)

    def components(self, state: SpectralState) -> tuple[int, ...]:
        """Return the components that are solved for together: f_L, and f_T where a supercurrent or
        collisions couple them."""
        return (L, T) if state.supercurrent_conductance is not None or self.collisions.charge else (L,)

    def slope(self, state: SpectralState, kinetic: KineticState, external_slope: Floats) -> KineticState:
        """Derivative of a solution, at fixed spectra, by a parameter of the leads.

        Args:
            state, kinetic: a solution.
            external_slope: derivative of its ``external``.
        """
        system = InelasticSystem(self, state, kinetic.external)
        leads = np.ascontiguousarray(external_slope[list(system.components)])
        nothing = np.zeros((kinetic.n_cells, *system.shape[1:]))
        driven = system.operator.residual(nothing, leads)
        return system.state(system.response(system.start(kinetic), driven), external_slope)

    def slope_by_spectra(
        self, state: SpectralState, kinetic: KineticState, difference: Sequence[tuple[float, SpectralState]]
    ) -> KineticState:
        """Derivative of a solution by a parameter of the spectra, at fixed distributions of the leads.

        Args:
            state, kinetic: a solution.
            difference: as of `Kinetics.slope`.
        """
        system = InelasticSystem(self, state, kinetic.external)
        x = system.start(kinetic)
        collided = np.zeros(system.shape)
        operators = []
        for weight, beside in difference:
            moved = InelasticSystem(self, beside, kinetic.external, system)
            moved.residual(x)
            collided -= weight * moved.capacity * moved.collided.rates
            operators.append((weight, moved.operator))
        moving = Operator.combined(operators)
        full = system.everywhere(x)
        unbalanced = moving.residual(full, system.leads) - collided
        still = np.zeros_like(kinetic.external)
        change = system.state(system.response(x, unbalanced), still)
        currents = change.currents.copy()
        currents[list(system.components)] += moving.currents(full, system.leads)
        return replace(change, currents=currents)


class InelasticSystem:
    """The equations (`fvqp.solvers.newton.System`) in given spectra: deviations of the owned cells.

    Args:
        parts: the problem.
        state: spectra.
        external: as of `Inelastic.solve`.
        like: the equations in other spectra, in whose units these are, to compare residuals.
        strength: factor of all collisions.
    """

    def __init__(
        self,
        parts: Inelastic,
        state: SpectralState,
        external: Floats,
        like: InelasticSystem | None = None,
        strength: float = 1.0,
    ) -> None:
        self.parts, self.spectral, self.external = parts, state, external
        kinetics = parts.kinetics
        self.kinetics, self.transport, self.grid = kinetics, kinetics.transport, kinetics.grid
        self.mesh = kinetics.device.mesh
        self.components = parts.components(state)
        self.shape = (self.mesh.n_owned, len(self.components), self.grid.n)
        self.size = int(np.prod(self.shape))
        self.leads = np.ascontiguousarray(external[list(self.components)])
        # At the energies themselves, where the equilibrium of collisions is; deviations are bin averages.
        self.rest = np.tanh(self.grid.energies / (2.0 * kinetics.device.bath))
        spectrum = kinetics.kept_spectrum(state)
        self.operator = self.transport.at(kinetics.coefficients(state, spectrum, self.components))
        rows = slice(None) if len(spectrum.dos) == 1 else slice(self.mesh.n_owned)
        self.spectra = Spectra(spectrum.dos[rows], spectrum.pairing[rows], spectrum.re_F[rows])
        self.largest_dos = self.mesh.comm.allreduce(float(spectrum.dos.max(initial=0.0)), MPI.MAX)
        self.capacity = strength * self.transport.capacity[:, None, None]
        self.colliding = (L, T) if parts.collisions.charge else (L,)
        # What electrons keep when they collide: of f_L the energy, of f_T the charge.
        kept = [self.grid.energies * self.grid.widths, self.grid.widths]
        self.kept = np.stack([kept[c] for c in self.colliding])
        if like is None:
            self.scale, self.stiffness = self._units()
        else:
            self.scale, self.stiffness = like.scale, like.stiffness
        self._at: Floats | None = None

    def _units(self) -> tuple[Floats, Floats]:
        """Largest rates at which cells exchange distributions, ``(n_owned, component, 1)``, in siemens; and
        these over the rates of what electrons keep, ``(n_owned, kept)``."""
        collisions = self.parts.collisions
        rates = self.kinetics.solver.scale(self.operator)
        all_rates, slow = rates.copy(), rates[:, : len(self.kept), 0].copy()
        all_rates[:, self.colliding] += self.capacity * collisions.largest_rate
        slow[:, 0] += self.capacity[:, 0, 0] * collisions.unkept_rate
        return all_rates, all_rates[:, : len(self.kept), 0] / slow

    def scaled(self, flow: Floats) -> Floats:
        """Vector of what leaves owned cells, siemens × distribution, ``shape``, in units of the equations.

        These are the largest rates; but the mean of what electrons keep is in units of the rates at which it
        is exchanged: beside those of fast collisions it would not be seen.
        """
        return np.asarray(self._stretched(flow / self.scale, self.stiffness).ravel())

    def unscaled(self, vector: Floats) -> Floats:
        """Inverse of `scaled`."""
        return self._stretched(vector.reshape(self.shape).copy(), 1.0 / self.stiffness) * self.scale

    def _stretched(self, f: Floats, factor: Floats) -> Floats:
        """``f``, in place, with its means weighted with what is kept times ``factor``."""
        among = slice(len(self.kept))
        means = np.einsum("nce,ce->nc", f[:, among], self.kept) / self.kept.sum(axis=1)
        f[:, among] += ((factor - 1.0) * means)[:, :, None]
        return f

    @property
    def tolerance(self) -> float:
        """Residual that counts as zero: `TOLERANCE`, or what collisions are rounded to."""
        return max(TOLERANCE, self.parts.rounding(self.largest_dos))

    def start(self, guess: KineticState | None) -> Floats:
        """Vector of unknowns of a guess."""
        if guess is None:
            return np.zeros(self.size)
        owned = slice(self.mesh.n_owned)
        return np.stack([guess.deviation(c, owned) for c in self.components], axis=1).ravel()

    def possible(self, x: Floats) -> Floats:
        """Unknowns nearest to x whose occupations, ``(1 − f_L ∓ f_T)/2``, are between 0 and 1."""
        f = x.reshape(self.shape).copy()
        h = np.clip(f[:, L] + self.rest, -1.0, 1.0)
        f[:, L] = h - self.rest
        if T in self.components:
            f[:, T] = np.clip(f[:, T], np.abs(h) - 1.0, 1.0 - np.abs(h))
        return f.ravel()

    def residual(self, x: Floats) -> Floats:
        known = self._at is not None and np.array_equal(x, self._at)
        if not self.mesh.comm.allreduce(known, MPI.LAND):
            f = x.reshape(self.shape)
            whole = f.copy()
            whole[:, L] += self.rest
            self.collided = self.parts.collisions.at(self.spectra, whole)
            balance = self.operator.residual(self.everywhere(f), self.leads)
            balance += self.capacity * self.collided.rates
            self._value, self._at = self.scaled(-balance), x.copy()
        return self._value

    def linearize(self, x: Floats) -> None:
        self.residual(x)
        solver = self.kinetics.solver
        loss = self.capacity * self.collided.loss
        self._invert: Callable[[Floats], Floats] = solver.preconditioner(self.operator, loss)
        self._thermal = self._thermal_shapes()
        # What leaves by collisions damps these shapes too: heat goes to phonons.
        damped = np.stack([-self.collided.jvp(shape) for shape in self._thermal])
        extra = np.einsum("mnce,ce->ncm", damped[:, :, : len(self.kept)], self.kept) * self.capacity
        trials = np.stack([self.everywhere(shape) for shape in self._thermal])
        self._slow = solver.lumped(self.operator, self.kept, trials, extra)

    def _thermal_shapes(self) -> Floats:
        """Changes of a thermal cell by heat and, where f_T collides, by charge, ``(shape, *self.shape)``.

        Of ``tanh((ε ∓ μ)/2t) = h ± f_T``, with any shift μ of the potential.
        """
        shapes = np.zeros((len(self.colliding), *self.shape))
        h = self.collided.f[:, L]
        if len(self.colliding) == 1:
            shapes[0, :, L] = self.grid.energies * (1.0 - h**2)
            return shapes
        t = self.collided.f[:, T]
        even, odd = 1.0 - h**2 - t**2, -2.0 * h * t
        shapes[0, :, L], shapes[0, :, T] = self.grid.energies * even, self.grid.energies * odd
        shapes[1, :, L], shapes[1, :, T] = odd, even
        return shapes

    def action(self, step: Floats) -> Floats:
        f = step.reshape(self.shape)
        balance = self.operator.residual(self.everywhere(f), np.zeros_like(self.leads))
        balance += self.capacity * self.collided.jvp(f)
        return self.scaled(-balance)

    def precondition(self, residual: Floats) -> Floats:
        right = self.unscaled(residual)
        f = self._invert(right)
        left = right + self.operator.residual(self.everywhere(f), np.zeros_like(self.leads))
        moments = np.einsum("nce,ce->nc", left[:, : len(self.kept)], self.kept)
        f += np.einsum("mnce,nm->nce", self._thermal, self._slow(moments))
        return f.ravel()

    def balanced(self, x: Floats) -> bool:
        """Return whether particles and energy, and charge where f_T is solved for, are kept to `BALANCE`."""
        return max(self._missing(x).values()) <= BALANCE

    def _missing(self, x: Floats) -> dict[tuple[int, str], float]:
        """Return the imbalance of all cells together, over the flow through terminals: by component and
        quantity."""
        comm = self.mesh.comm
        left = self.unscaled(self.residual(x)).sum(axis=0)
        comm.Allreduce(MPI.IN_PLACE, left)
        flow = np.abs(self.state(x, self.external).currents[list(self.components)]).sum(axis=1)
        rows = {"number": self.grid.widths, "energy": self.grid.energies * self.grid.widths}
        kept = [(L, "number"), (L, "energy")] + [(T, "number")] * (T in self.components)
        found = {}
        for c, name in kept:
            missing, flows = abs(float(rows[name] @ left[c])), float(rows[name] @ flow[c])
            found[c, name] = missing / flows if flows > 0.0 else float(missing > 0.0)
        return comm.bcast(found)  # type: ignore[no-any-return]

    def closed(self, x: Floats) -> Floats:
        """x with the temperature of every cell (and its charge) such that energy is balanced.

        States far above the gap, whose fast collisions round by more than flows, stay what they are to the
        last bit: changes of temperature do not reach them, so that rounding stays too and is balanced.
        """
        left = self._missing(x)[L, "energy"]
        if left <= CLOSED:
            return x
        self.linearize(x)
        for _ in range(CLOSINGS):
            flow = self.unscaled(self.residual(x))
            moments = np.einsum("nce,ce->nc", flow[:, : len(self.kept)], self.kept)
            moved = x - np.einsum("mnce,nm->nce", self._thermal, self._slow(moments)).ravel()
            now = self._missing(moved)[L, "energy"]
            log.debug("energy missing %.2e, made up for %.2e", left, now)
            if now >= left:
                break
            x, left = moved, now
        return x

    def response(self, x: Floats, driven: Floats) -> Floats:
        """Change of x that balances ``driven``, siemens × distribution into every owned cell."""
        self.linearize(x)
        change, _ = solve_linearized(
            self, self.scaled(driven), comm=self.mesh.comm, tolerance=SLOPE_TOLERANCE,
            what="slope of the inelastic solution",
        )  # fmt: skip
        return change

    def kinetic(self, x: Floats, what: str) -> KineticState:
        """Distributions and currents of a solution; ``what`` for messages.

        Raises:
            ConvergenceError: phonons have no steady state.
        """
        self.residual(x)
        if self.mesh.comm.allreduce(self.collided.inverted, MPI.LOR):
            raise ConvergenceError(f"{what}: quasiparticles are inverted; phonons have no steady state")
        collided = np.ascontiguousarray(-self.transport.capacity @ self.collided.rates[:, L])
        self.mesh.comm.Allreduce(MPI.IN_PLACE, collided)
        return replace(self.state(x, self.external), collided=collided)

    def state(self, x: Floats, external: Floats) -> KineticState:
        """Distributions ``x`` and the currents of leads with ``external``."""
        leads = np.ascontiguousarray(external[list(self.components)])
        full = self.everywhere(x)
        currents, relaxed = np.zeros_like(external), np.zeros(self.grid.n)
        currents[list(self.components)] = self.operator.currents(full, leads)
        if T in self.components:
            relaxed = self.operator.relaxed_charge(full)
        fields = (full[:, L], full[:, T] if T in self.components else None)
        return KineticState(external, currents, relaxed, ((1.0, fields),), self.mesh.n_cells)

    def everywhere(self, owned: Floats) -> Floats:
        """Values of all cells, ghosts included, ``(n_cells, component, energy)``."""
        full = np.empty((self.mesh.n_cells, *self.shape[1:]))
        full[: self.mesh.n_owned] = owned.reshape(self.shape)
        self.mesh.exchange(full)
        return full
