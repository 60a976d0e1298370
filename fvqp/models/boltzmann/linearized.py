"""Motion and collisions linearized at a state, and implicit rates ``(1 − length × J) k = r``.

Where a time step is short against motion or against collisions, the product of

    1 − length × motion of quasiparticles,    1 − length × motion of phonons,    1 − length × collisions

is as good as their sum, and inverted factor by factor. Where it is long against both, the whole Jacobian J is
inverted by conjugate residuals, which an elimination of phonons preconditions (`block_preconditioner`).
Either way energy that k puts into a body is exactly what its counters say (theory: transport, section on
time).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann.accuracy import energy_scales, error_weights, region_error, region_scales
from fvqp.models.boltzmann.block_preconditioner import PhononSchurPreconditioner
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.motion import EXPLICIT
from fvqp.models.boltzmann.problem import BoltzmannEquations
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.conjugate_residuals import TOGETHER, ConjugateResiduals
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Prefix of PETSc's options of the whole Jacobian: ``-fvqp_transport_linear_ksp_monitor``.
OPTIONS = "fvqp_transport_linear_"
#: Iterations before a system is given up; a shorter step is cheaper then.
ITERATIONS = 80
#: Vectors that are kept of them, and of those for other right-hand sides of a step.
KEPT = 3 * TOGETHER
#: Occupations that are this much lower than some at lower and at higher energies, or than the next one, count
#: as higher in J.
DIP = 1e-3


class Linearized:
    """``1 − length × J`` at a state, J without changes of the rates of turning and, unless asked for, of what
    limits gradients.

    Collisions and microwaves depend on geometric means of occupations at neighbouring energies, whose
    derivative has no bounds where a spectrum has holes or ends: J is taken without these, but for steady
    states without holes of phonons only.

    Attributes:
        length, inelastic: as given.
        fastest: rate of collisions on all ranks.
        scales: energies of regions against which changes are measured, see `accuracy.region_scales`.
        iterations: of the latest `solve`.
    """

    def __init__(
        self,
        at: BoltzmannEquations,
        state: State,
        inelastic: InelasticRates,
        length: float,
        *,
        limits: bool = False,
        frozen_limiter: bool = False,
        gone: float = 0.0,
    ) -> None:
        """
        Args:
            at: equations.
            state: where J is taken.
            inelastic: rates of inelastic collisions there.
            length: a time.
            limits: whether J knows what limits gradients, and ends of spectra.
            frozen_limiter: whether these limits are kept, see `Streaming.tangent`.
            gone: energy that has left, for `scales`.
        """
        self._at, self._p, self._state = at, at.problem, state
        self.inelastic, self.length = inelastic, length
        problem = self._p
        f, n = problem.mean_f(state.f), _without_dips(problem.mean_n(state.n))
        # Newton's method needs all of J to end; orders of time steps do not depend on it.
        self._mean = (f, n) if limits else (_without_ends(_without_dips(f)), _without_ends(n))
        self._factors: _Product | None = None
        self.fastest = float(problem.cells.comm.allreduce(inelastic.fastest, MPI.MAX))
        self.scales = region_scales(at, state.f, state.n, gone)
        self.iterations = 0
        self._units: list[Floats] = []
        self._space: ConjugateResiduals | None = None
        self._ksp: PETSc.KSP | None = None
        #: Of the solve at hand: right-hand side, guesses, what may be left, and what is left over that.
        self._right: Floats | None = None
        self._guesses: Sequence[Rates] = ()
        self._allowed, self._left = 0.0, np.inf
        self._near: PhononSchurPreconditioner | None = None
        self._filling: Rates | None = None
        self._moved: tuple[Callable, Callable] | None = None
        self._limits, self._frozen_limiter = limits, frozen_limiter

    # -- products

    def product(self, r: Rates) -> Rates:
        """The inverse of the product of factors, applied to r."""
        return self._product(self.length).solve(r)

    def approximate(self, r: Rates) -> Rates:
        """The same, linear in r, but roughly and without counters, see `_Product.approximate`."""
        return self._product(self.length).approximate(r)

    def residual(self, r: Rates, k: Rates) -> Rates:
        """``r + length × J k − k``, with the counters that k is to have if nothing is left of it."""
        changed = self.change(k.f, k.n)
        return Rates(
            r.f + self.length * changed.f - k.f,
            r.n + self.length * changed.n - k.n,
            r.counters.plus(self.length, changed.counters),
        )

    def largest(self, k: Rates) -> float:
        """Largest rate of change of the energy of a region, relative to what is there. Collective."""
        return region_error(self._at, (k.f, k.n), self.scales)

    # -- the whole

    def solve(self, r: Rates, guesses: Sequence[Rates], allowed: float) -> Rates:
        """k, but for a part of the rate of change of every region, as the preconditioner has it, that has no
        energy in all.

        Args:
            r: right-hand side.
            guesses: rates of which k may be a sum.
            allowed: relative to what a region holds, see `largest`.

        Raises:
            ConvergenceError: more is left after as many iterations as are worth their while.
        """
        if self._ksp is None:
            f, n = self._state.f, self._state.n
            self._units = error_weights(self._at, f, n, energy_scales(self._at, f, n))
            self._ksp = self._solver(r.f.size + r.n.size)
        right, counters = self._joined(r.f, r.n), r.counters
        del r  # may be as large as all occupations
        self._right, self._guesses, self._allowed = right, guesses, allowed
        comm = self._p.cells.comm
        b = PETSc.Vec().createWithArray(right, (right.size, PETSc.DECIDE), comm=comm)
        x = b.duplicate()
        try:
            with own_errors():
                self._ksp.solve(b, x)
            self.iterations, reason = self._ksp.getIterationNumber(), self._ksp.getConvergedReason()
            found = self._split(x.array_r)
        finally:
            self._right, self._guesses = None, ()
            b.destroy()
            x.destroy()
        if reason < 0:
            raise ConvergenceError(
                f"motion and collisions: {self.iterations} iterations leave {self._left:.2g} of what is "
                "allowed"
            )
        return self._balanced(counters, *found)

    def _solver(self, size: int) -> PETSc.KSP:
        """Conjugate residuals that remember directions, as a KSP of type ``python``."""
        comm, layout = self._p.cells.comm, (size, PETSc.DECIDE)
        context = SimpleNamespace(
            mult=weakly(self._mult), apply=weakly(self._apply), solve=weakly(self._iterate)
        )
        matrix = PETSc.Mat().createPython((layout, layout), context, comm)
        matrix.setUp()
        ksp = PETSc.KSP().create(comm)
        ksp.setOptionsPrefix(OPTIONS)
        ksp.setOperators(matrix)
        ksp.setType("python")
        ksp.setPythonContext(context)
        ksp.setPCSide(PETSc.PC.Side.RIGHT)
        ksp.setTolerances(max_it=ITERATIONS)
        pc = ksp.getPC()
        pc.setType("python")
        pc.setPythonContext(context)
        ksp.setFromOptions()

        def through(operation: Callable[[PETSc.Vec, PETSc.Vec], None], x: Floats) -> Floats:
            out = np.empty_like(x)
            vectors = [PETSc.Vec().createWithArray(a, layout, comm=comm) for a in (x, out)]
            operation(*vectors)
            for vector in vectors:
                vector.destroy()
            return out

        self._space = ConjugateResiduals(
            lambda x: through(matrix.mult, x), lambda x: through(pc.apply, x), comm, KEPT
        )
        destroyed_with(self, pc, ksp, matrix)
        return ksp

    def _iterate(self, ksp: PETSc.KSP, b: PETSc.Vec, x: PETSc.Vec) -> None:
        """Called by PETSc to solve."""
        space = self._space
        assert space is not None and self._right is not None
        space.begin(self._right)  # the array of b, which is kept beyond the solve
        for guess in self._guesses:
            space.guess(self._joined(guess.f, guess.n))
        space.stalled = False
        size = np.inf
        for iteration in range(ksp.max_it + 1):
            ksp.setIterationNumber(iteration)
            ahead = space.nearly(space.ahead)
            judged = not space.stalled
            if judged:
                size = region_error(self._at, self._split(ahead), self.scales)
                ksp.monitor(iteration, size)
            space.follow(ahead)
            if judged and size <= self._allowed:
                # what makes up for missing energy may be larger than all that is left
                undo = space.balance(self._energies())
                size = region_error(self._at, self._split(space.nearly(space.residual)), self.scales)
                if size <= self._allowed:
                    ksp.setConvergedReason(PETSc.KSP.ConvergedReason.CONVERGED_ATOL)
                    x.array = space.x
                    return
                undo()
        self._left = size / self._allowed
        ksp.setConvergedReason(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)

    def _balanced(self, came: Counters, f: Floats, n: Floats) -> Rates:
        """Rates with the energy that their counters say, ``came`` being those of the right-hand side.

        What is missing becomes part of the right-hand side, shared out as the state is.
        """
        if self._filling is None:
            f0, n0 = self._preconditioner().approximate(self._state.f, self._state.n)
            counters = self._p.no_counters().plus(self.length, self.change(f0, n0).counters)
            self._filling = Rates(f0, n0, counters)
        filling = self._filling
        counters = came.plus(self.length, self.change(f, n).counters)
        missing, filled = self._p.cells.comm.allreduce(
            np.array([self._missing(Rates(f, n, counters)), self._missing(filling)])
        )
        part = -missing / filled if filled != 0.0 else 0.0
        return Rates(f + part * filling.f, n + part * filling.n, counters.plus(part, filling.counters))

    def _energies(self) -> Floats:
        """Return the weights of the unknowns of `_joined` in the energy of a body."""
        both = [
            (one.weight * one.energies)[:, None, :] * one.directions[:, None] * unit
            for one, unit in zip(self._at.species, self._units, strict=True)
        ]
        return np.concatenate([part.ravel() for part in both])

    def _missing(self, k: Rates) -> float:
        """Energy that k lacks of what its counters say, on this rank."""
        p = self._p
        held = sum(
            float(np.einsum("ce,cme,m->", one.weight * one.energies, y, one.directions))
            for y, one in zip((k.f, k.n), self._at.species, strict=True)
        )
        return p.energy_received(k.counters) - held

    def _preconditioner(self) -> PhononSchurPreconditioner:
        """There is one at a time, and no product beside."""
        if self._near is None:
            self._factors = None
            self._near = PhononSchurPreconditioner(
                self._at,
                self._state,
                self._mean,
                self.inelastic,
                self.length,
                strong_preconditioner=self._limits,
            )
        return self._near

    # -- parts

    def change(self, f: Floats, n: Floats) -> Rates:
        """``J (f, n)``, and how fast counters change along with it."""
        p, at = self._p, self._at
        if self._moved is None:
            f_at, n_at = (self._state.f, self._state.n) if self._limits else (None, None)
            self._moved = (
                at.moving_f.linear(self.inelastic.f, f_at, self._frozen_limiter),
                at.moving_n.linear(self.inelastic.n, n_at, self._frozen_limiter),
            )
        local = at.local.jvp(*self._mean, p.mean_f(f), p.mean_n(n))
        moved_f, moved_n = self._moved[0](f), self._moved[1](n)
        moved_f.y += local.f[:, None, :]
        moved_n.y += local.n[:, None, :]
        return Rates(
            moved_f.y, moved_n.y, Counters(local.source_f, local.source_n, moved_f.passed, moved_n.passed)
        )

    def _product(self, length: float) -> _Product:
        """There is one at a time, and nothing of `_preconditioner` beside."""
        if self._factors is None or self._factors.length != length:
            self._near = None
            self._factors = _Product(
                self._at,
                self._state,
                self._mean,
                self.inelastic,
                self.fastest,
                length,
                strong_preconditioner=self._limits,
            )
        return self._factors

    def _joined(self, f: Floats, n: Floats) -> Floats:
        out, start = np.empty(f.size + n.size), f.size
        np.divide(f, self._units[0], out=out[:start].reshape(f.shape))
        np.divide(n, self._units[1], out=out[start:].reshape(n.shape))
        return out

    def _split(self, x: Floats) -> tuple[Floats, Floats]:
        f, n = self._units
        return x[: f.size].reshape(f.shape) * f, x[f.size :].reshape(n.shape) * n

    def _apply(self, _pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.array = self._joined(*self._preconditioner().approximate(*self._split(x.array_r)))

    def _mult(self, _matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        f, n = self._split(x.array_r)
        changed = self.change(f, n)
        for whole, part in ((f, changed.f), (n, changed.n)):
            part *= -self.length
            part += whole
        y.array = self._joined(changed.f, changed.n)


class _Product:
    """Factors of motion and collisions; those with rates too slow to matter count as 1.

    Attributes:
        length: as given.
    """

    def __init__(
        self,
        at: BoltzmannEquations,
        state: State,
        mean: tuple[Floats, Floats],
        inelastic: InelasticRates,
        fastest: float,
        length: float,
        strong_preconditioner: bool,
    ) -> None:
        """
        Args:
            at, state, inelastic, length: see `Linearized`.
            mean: over directions, where collisions are linearized.
            fastest: rate of collisions on all ranks.
            strong_preconditioner: how `approximate` solves for motion, see `StreamingSystem.approximate`.
        """
        self._p, self.length = at.problem, length
        self._f = at.moving_f.implicit(length, inelastic.f, state.f, strong_preconditioner)
        self._n = at.moving_n.implicit(length, inelastic.n, state.n, strong_preconditioner)
        self._collide = at.local.implicit(length, *mean) if length * fastest > EXPLICIT else None

    def solve(self, r: Rates) -> Rates:
        """The factors one after another, with what comes and goes on the way."""
        f, n = self._f.solve(r.f), self._n.solve(r.n)
        passed_f = r.counters.passed_f + self.length * f.passed
        passed_n = r.counters.passed_n + self.length * n.passed
        return self._collided(f.y, n.y, r.counters._replace(passed_f=passed_f, passed_n=passed_n))

    def approximate(self, r: Rates) -> Rates:
        """The same, linear in r, with motion solved for by sweeps and diffusion: a preconditioner, whose
        counters mean nothing."""
        return self._collided(self._f.approximate(r.f), self._n.approximate(r.n), r.counters)

    def _collided(self, f: Floats, n: Floats, counters: Counters) -> Rates:
        if self._collide is None:
            return Rates(f, n, counters)
        mean_f, mean_n = self._p.mean_f(f), self._p.mean_n(n)
        local = self._collide(mean_f, mean_n)
        return Rates(
            f + (local.f - mean_f)[:, None, :],
            n + (local.n - mean_n)[:, None, :],
            counters._replace(
                source_f=counters.source_f + local.source_f, source_n=counters.source_n + local.source_n
            ),
        )


def _without_dips(n: Floats) -> Floats:
    """Occupations ``(cells, K)``, but those that are `DIP` times smaller than some at both sides."""
    below = np.maximum.accumulate(n, axis=1)
    above = np.maximum.accumulate(n[:, ::-1], axis=1)[:, ::-1]
    return np.maximum(n, DIP * np.minimum(below, above))


def _without_ends(n: Floats) -> Floats:
    """Occupations ``(cells, K)``, but those that are `DIP` times smaller than a neighbour."""
    # the steepest fall is a straight line of logarithms
    least = np.log(DIP) * np.arange(n.shape[1])
    n = n.copy()
    for falling in (n, n[:, ::-1]):
        with np.errstate(divide="ignore"):
            highest = np.maximum.accumulate(np.log(np.maximum(falling, 0.0)) - least, axis=1)
        np.maximum(falling, np.exp(highest + least), out=falling)
    return n
