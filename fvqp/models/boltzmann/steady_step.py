"""Equations of a pseudo-transient step to a steady state, and the point at which they are taken."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from mpi4py import MPI

from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import Rates, State
from fvqp.typing import Floats

#: Longest product that preconditions, and the first step: over τ0 motion and collisions commute well enough;
#: where nothing collides there is motion alone.
SPLIT, ALONE = 1.0, 1e3
#: Unknowns below this part of the largest one are not followed to a relative accuracy: where particles fly,
#: whose sums over directions rounding spoils, elsewhere, and of the largest of its energy where nothing
#: collides.
FLYING_FLOOR, FLOOR, ALONE_FLOOR = 1e-12, 1e-25, 1e-6


class EvaluatedState:
    """A state, and what is known there once it is asked for."""

    def __init__(self, problem: BoltzmannProblem, state: State) -> None:
        self._p, self.state = problem, state

    @cached_property
    def at(self) -> BoltzmannEquations:
        """Equations at the gaps. Collective."""
        return self._p.at(self.state.gap)

    @cached_property
    def rates(self) -> Rates:
        """Rates of change. Collective."""
        return self.at.rates(self.state.f, self.state.n)

    @cached_property
    def inelastic(self) -> InelasticRates:
        """Rates of inelastic collisions."""
        return self.at.inelastic_rates(self.state.f, self.state.n)

    @property
    def y(self) -> Floats:
        """Unknowns of PETSc."""
        return joined(self.state.f, self.state.n)

    @property
    def function(self) -> Floats:
        """Function of which PETSc wants the root. Collective."""
        return -joined(self.rates.f, self.rates.n)


class StepEquations:
    """``(1/Δt − J) δ = F`` at a point, and its preconditioner on both sides, which has units of the unknowns.

    Residuals are what a time step makes of them: errors of δ, whereas among rates the fastest processes would
    outweigh all others.

    Attributes:
        unit: of the unknowns, the preconditioner on the right.
    """

    def __init__(
        self,
        problem: BoltzmannProblem,
        point: EvaluatedState,
        length: float,
        longest: float,
        frozen_limiter: bool,
    ) -> None:
        """
        Args:
            problem: equations of motion and collisions.
            point: where they are linearized.
            length: Δt.
            longest: step of the product that preconditions; a shorter Δt is taken as it is.
            frozen_limiter: see `Linearized`.
        """
        self._p, self._state, self._at = problem, point.state, point.at
        self._shift = 1.0 / length
        floors = self._floors(longest)
        rates = point.rates
        # an elimination that serves a step in time is too far off where bins hold hardly anything
        problem.forget()
        self._near = Linearized(
            point.at,
            point.state,
            point.inelastic,
            min(length, longest),
            limits=True,
            frozen_limiter=frozen_limiter,
        )
        # What holds nothing yet is measured by what a step of time makes of it.
        ahead = self._ahead(rates.f, rates.n)
        held = point.y + np.abs(ahead) + floors
        self._scale = np.maximum(held, np.finfo(np.float64).tiny)
        self.unit = self._scale * self._relaxation_steps(min(length, longest))
        #: Right-hand side, as PETSc has it, and what `left` makes of it.
        self._known: tuple[Floats, Floats] | None = (point.function, -ahead / self._scale)

    def _relaxation_steps(self, length: float) -> Floats:
        """Relaxation time of localized states in preconditioned time steps, for each unknown; 1 elsewhere.

        Localized quasiparticles may live for 1e6 steps, and act on others hardly at all. In this unit their
        equations are as well conditioned as the rest; linear solves stall without it.
        """
        p, state = self._p, self._state
        decay = length * self._at.local.localized_decay(p.mean_f(state.f), p.mean_n(state.n))
        steps = np.where(decay > 0.0, (1.0 + decay) / (length * self._shift + decay), 1.0)
        steps = np.broadcast_to(np.maximum(steps, 1.0)[:, None, :], state.f.shape)
        return np.concatenate([steps.ravel(), np.ones(state.n.size)])

    def _floors(self, longest: float) -> Floats:
        """Return the least scales of the unknowns."""
        p, state = self._p, self._state
        if longest > SPLIT:
            # Energies that know nothing of one another: each by itself.
            by_energy = [y.max(axis=(0, 1), initial=0.0) for y in (state.f, state.n)]
            of_all = np.concatenate(by_energy)
            p.cells.comm.Allreduce(MPI.IN_PLACE, of_all, MPI.MAX)
            parts = zip(np.split(of_all, [len(by_energy[0])]), (state.f, state.n), strict=True)
            return ALONE_FLOOR * np.concatenate([np.broadcast_to(one, y.shape).ravel() for one, y in parts])
        largest = np.array([state.f.max(initial=0.0), state.n.max(initial=0.0)])
        p.cells.comm.Allreduce(MPI.IN_PLACE, largest, MPI.MAX)
        # A species of which there is nothing yet is measured by the other one.
        largest[largest == 0.0] = largest.max()
        flies = p.moving_f.isotropized or p.moving_n.isotropized
        return np.repeat((FLYING_FLOOR if flies else FLOOR) * largest, [state.f.size, state.n.size])

    def action(self, step: Floats) -> Floats:
        """Left-hand side."""
        f, n = split(step, self._state)
        change = self._near.change(f, n)
        return joined(self._shift * f - change.f, self._shift * n - change.n)

    def left(self, rates: Floats) -> Floats:
        """Return the change that a time step makes of rates, over what unknowns hold and gain in it."""
        known, self._known = self._known, None
        if known is not None and self._p.cells.comm.allreduce(np.array_equal(rates, known[0]), MPI.LAND):
            return known[1]
        return self._ahead(*split(rates, self._state)) / self._scale

    def left_over(self, point: EvaluatedState) -> float:
        """Sum of what rates at another point make of energies in a time step. Collective."""
        ahead = self._ahead(point.rates.f, point.rates.n)
        return energy(point.at, *split(ahead, self._state))

    def _ahead(self, f: Floats, n: Floats) -> Floats:
        """Return the change that a time step makes of rates."""
        k = self._near.approximate(Rates(f, n, self._p.no_counters()))
        return joined(k.f, k.n) * self._near.length


def joined(f: Floats, n: Floats) -> Floats:
    """Return quasiparticles and phonons in one vector."""
    return np.concatenate([f.ravel(), n.ravel()])


def split(y: Floats, like: State) -> tuple[Floats, Floats]:
    """Return quasiparticles and phonons of a vector."""
    return y[: like.f.size].reshape(like.f.shape), y[like.f.size :].reshape(like.n.shape)


def energy(at: BoltzmannEquations, f: Floats, n: Floats) -> float:
    """Return the energy of occupations, whatever their sign. Collective."""
    body = at.problem.cells
    own = sum(float(body.volume @ of_cells) for of_cells in accuracy.energies(at, f, n))
    return float(body.comm.allreduce(own, MPI.SUM))


def energy_below(at: BoltzmannEquations, f: Floats, n: Floats) -> float:
    """Return the energy of occupations below 0. Collective."""
    below = energy(at, np.minimum(f, 0.0), np.minimum(n, 0.0))
    return below + float(np.finfo(np.float64).tiny)
