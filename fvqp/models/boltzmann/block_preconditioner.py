"""Block preconditioner of the coupled Jacobian; phonons are eliminated first.

A long step holds two fast processes that nearly cancel: phonons that quasiparticles emit are absorbed in the
same cell, or leave it before. With phonons eliminated,

    n = G (r_n + length × E f),
    (1 − length × (M + X)) f = r_f + length × P G r_n,    X = R + length × P G E,

this takes place in G, which inverts the motion of phonons that collisions absorb. M is the motion of
quasiparticles; R, P and E are what collisions make of quasiparticles by themselves, by phonons, and of
phonons by quasiparticles. Only within X is G taken cell by cell, all that leaves a cell being lost: an
approximate operator of the kind that radiative transfer has for photons and the levels of atoms (G. L. Olson,
L. H. Auer, J. R. Buchler, J. Quant. Spectrosc. Radiat. Transfer 35, 431 (1986)). X and M are inverted one
after another.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.problem import BoltzmannEquations
from fvqp.models.boltzmann.state import State
from fvqp.typing import Floats

#: Least part of the energy of a cell at an energy whose rates matter to the length for quasiparticles.
HELD = 1e-4


class PhononSchurPreconditioner:
    """Approximate inverse of ``1 − length × J``; there is one at a time, without other implicit motion."""

    def __init__(
        self,
        at: BoltzmannEquations,
        state: State,
        mean: tuple[Floats, Floats],
        inelastic: InelasticRates,
        length: float,
        strong_preconditioner: bool,
    ) -> None:
        """
        Args:
            at: equations.
            state: where J is taken.
            mean: over directions, where collisions are linearized.
            inelastic: rates of inelastic collisions.
            length: a time.
            strong_preconditioner: how motion is solved for, see `StreamingSystem.approximate`.
        """
        self._at, self._mean, self._length = at, mean, length
        self._own = min(length, _longest(at, mean[0], inelastic.f, length))
        leaving = np.broadcast_to(at.moving_n.crossing, mean[1].shape)
        absorbed, self._quasiparticles = at.local.escaping((self._own, length), *mean, leaving)
        self._phonons = at.moving_n.absorbed(
            length, inelastic.n, np.maximum(absorbed, 0.0), strong_preconditioner
        )
        self._moved = at.moving_f.implicit(self._own, inelastic.f, state.f, strong_preconditioner).approximate

    def approximate(self, f: Floats, n: Floats) -> tuple[Floats, Floats]:
        """The inverse applied to occupations ``(n_owned, M, E)`` of both species, linear in them."""
        p = self._at.problem
        n = self._phonons(n)
        fed = self._at.local.jvp(*self._mean, np.zeros_like(self._mean[0]), p.mean_n(n)).f
        f = self._moved(f + self._own * fed[:, None, :])
        mean = p.mean_f(f)
        collided, emitted = self._quasiparticles(mean)
        f = f + (collided - mean)[:, None, :]
        return f, n + self._phonons(np.repeat(self._length * emitted[:, None, :], n.shape[1], axis=1))


def _longest(at: BoltzmannEquations, mean: Floats, inelastic: Floats, length: float) -> float:
    """Length of the factors of motion and of collisions of quasiparticles. Collective.

    With a and b their rates, a product of length h makes ``(1 + length (a + b))/((1 + h a)(1 + h b))`` of
    what is 1: at most ``length/h``, where one of both is fast, and at least ``2 length/(h² r)``, r the
    fastest ``ab/(a + b)`` where there is energy. This is 1 for the h returned.
    """
    one, crossing = at.species[0], at.moving_f.crossing
    energy = one.weight * one.energies * mean
    held = energy >= HELD * energy.sum(axis=1, keepdims=True)
    both = crossing + inelastic
    rate = np.divide(crossing * inelastic, both, out=np.zeros_like(both), where=held & (both > 0.0))
    fastest = float(at.problem.cells.comm.allreduce(float(rate.max(initial=0.0)), MPI.MAX))
    return float(np.sqrt(2.0 * length / fastest)) if fastest > 0.0 else length
