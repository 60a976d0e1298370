"""Continuous-time Markov chains: dp/dt = L p with a sparse generator L, distributed by rows.

L[i, j] is the rate from state j to state i, and the columns sum to zero. All systems are solved for y = p/w,
where w is an estimate of the stationary probabilities: w takes the many decades of p out of the unknowns, and
L diag(w) has row sums near zero as well, so that errors of y that smoothing leaves vary slowly among states
and are corrected from coarser sets of states (multigrid). Null space: solves at zero shift use a small shift
and refine, which keeps the conditioning and the sum of p (no row is replaced). Generators of what decays,
such as the mean of a vector, are solved in the same way; they have no null space.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, own_errors
from fvqp.solvers.krylov import has_package, reason_name
from fvqp.typing import Floats, Integers

log = logging.getLogger(__name__)

DIRECT_STATES = 30_000
"""States up to which `auto` takes LU, as fast there; factors need about 2 kB a state, multigrid 0.7 kB."""

FLOOR = 1e-14
"""Least weight, relative to the largest."""

SHIFT = 1e-4
"""Shift that stands for zero, in units of the slowest relaxation rate; also what one refinement gains."""

REFINEMENTS = 12

EPS = float(np.finfo(float).eps)


class MarkovChain:
    """The generator of a chain and what can be asked of it; every call is collective.

    Parameters
    ----------
    comm
        Communicator over which the states are distributed, contiguously.
    indptr, columns, rates
        CSR rows of the owned states, with global column numbers and the diagonal included.
    weight
        (n_owned,) estimate of the stationary probabilities, above 0 somewhere; sets the scaling and the first
        guess.
    slow
        Estimate of the slowest relaxation rate, within some orders of magnitude.
    method
        `mumps` (LU), `multigrid` (GMRES with a V cycle), or `auto` by the number of states.
    coarsening
        Function that makes the matrices of interpolation of y = p/w from coarser states, those to all states
        first; called where multigrid is needed. None: `multigrid` eliminates all states.
    prefix
        PETSc options prefix.
    conserving
        False if columns sum to less than zero, so that the total decays and nothing is stationary; `weight`
        is then the start of `Response`.

    Attributes
    ----------
    size, n_owned, first
        States of all ranks, of this rank, and the number of the first of these.
    iterations
        Krylov iterations (or direct solves) of the last call.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        indptr: Integers,
        columns: Integers,
        rates: Floats,
        weight: Floats,
        slow: float,
        *,
        method: str = "auto",
        coarsening: Callable[[], list[PETSc.Mat]] | None = None,
        prefix: str = "fvqp_markov_",
        conserving: bool = True,
    ) -> None:
        self.comm = comm
        self.conserving = conserving
        self.n_owned = len(indptr) - 1
        self.size = comm.allreduce(self.n_owned)
        self.first = sum(comm.allgather(self.n_owned)[: comm.rank])
        self.slow = slow
        if method == "auto":
            method = "mumps" if coarsening is None or self.size <= DIRECT_STATES else "multigrid"
        if method == "mumps" and not has_package("mumps"):
            method = "lu" if comm.size == 1 else "multigrid"
            log.warning("this PETSc has no mumps on %d ranks: %s is used instead", comm.size, method)
        self.method = method
        self.iterations = 0
        self._coarsening = coarsening
        self._interpolations: list[PETSc.Mat] | None = None
        self._prefix = prefix
        if self.method == "lu":
            # Elimination is stable without pivots; those of improbable states are small, not zero.
            self._default_options(pc_factor_zeropivot="1e-300")
        shape = ((self.n_owned, self.size), (self.n_owned, self.size))
        csr = (np.asarray(indptr, PETSc.IntType), np.asarray(columns, PETSc.IntType), rates)
        self.matrix = PETSc.Mat().createAIJ(shape, csr=csr, comm=comm)
        self._x, self._b = self.matrix.createVecs()
        self._scale = self.matrix.createVecRight()
        self.exit_rates = -self.matrix.getDiagonal().array_r.copy()
        self._system: PETSc.Mat | None = None
        self._ksp: PETSc.KSP | None = None
        self._shift = -1.0
        self._set_weight(weight)

    def sum(self, values: Floats) -> Floats:
        """Sum over the states of all ranks, along the last axis."""
        return np.asarray(self.comm.allreduce(np.asarray(values).sum(axis=-1)))

    def apply(self, p: Floats) -> Floats:
        """L p of an owned (n_owned,) part."""
        self._x.setArray(p)
        self.matrix.mult(self._x, self._b)
        return self._b.array_r.copy()

    def column_sums(self) -> Floats:
        """(n_owned,) sums of the columns of L, relative to the exit rates: round-off."""
        self._x.set(1.0)
        self.matrix.multTranspose(self._x, self._b)
        return self._b.array_r / np.where(self.exit_rates > 0.0, self.exit_rates, 1.0)

    def stationary(self, tolerance: float = 1e-9) -> Floats:
        """(n_owned,) stationary probabilities: L p = 0, p ≥ 0, total 1.

        Inverse iteration with a small shift. `tolerance` bounds the estimated error Σ|δp|, the last change
        times the contraction seen; less than round-off over the slowest rate is not asked.

        Raises
        ------
        ConvergenceError
            The iteration stalls, or probabilities come out negative.
        """
        p = self._weight / float(self.sum(self._weight))
        previous, total = 0.0, 0
        for _ in range(REFINEMENTS):
            correction = self._correct(self.apply(p), SHIFT * self.slow)
            total += self.iterations
            correction -= p * float(self.sum(correction))
            p = p + correction
            p /= float(self.sum(p))
            change = float(self.sum(np.abs(correction)))
            noise = 4.0 * EPS * float(self.sum(self.exit_rates * p)) / self.slow
            contraction = min(change / previous, 1.0) if previous else 1.0
            if change * contraction <= tolerance or change <= noise:
                break
            if previous and not change < 0.5 * previous:
                raise ConvergenceError(
                    f"stationary state: the change of the probabilities stays at {change:.3g}, expected "
                    f"below {tolerance:.3g} ({self.method})"
                )
            previous = change
        self.iterations = total
        negative = -float(self.sum(np.minimum(p, 0.0)))
        if negative > tolerance:
            raise ConvergenceError(
                f"stationary state: probabilities of {-negative:.3g} in total are negative"
            )
        p = np.maximum(p, 0.0)
        p /= float(self.sum(p))
        self._set_weight(p)
        return p

    def solve(self, shift: float, rhs: Floats, tolerance: float = 1e-10) -> Floats:
        """x of (shift − L) x = rhs; at shift 0 `rhs` must have total 0, and so has x.

        At shift 0, `stationary` must have been called: x is made free of its multiples (none of this where
        the total decays). `tolerance` is of
        Σ|residual| against Σ|rhs|; below the round-off of L x nothing more is asked.
        """
        used = max(shift, SHIFT * self.slow)
        x = np.zeros(self.n_owned)
        residual = rhs
        size, total = float(self.sum(np.abs(rhs))), 0
        left = size
        for _ in range(REFINEMENTS):
            x = x + self._correct(residual, used)
            total += self.iterations
            if shift == 0.0 and self.conserving:
                x -= self._weight * (float(self.sum(x)) / float(self.sum(self._weight)))
            residual = rhs - shift * x + self.apply(x)
            left = float(self.sum(np.abs(residual)))
            noise = 16.0 * EPS * float(self.sum(self.exit_rates * np.abs(x)))
            if left <= max(tolerance * size, noise):
                self.iterations = total
                return x
        raise ConvergenceError(
            f"generator at shift {shift:.4g}: residual {left / size:.3g} of the right-hand side after "
            f"{REFINEMENTS} refinements, expected {tolerance:.3g} ({self.method})"
        )

    def evolve(
        self,
        start: Floats,
        times: Floats,
        rtol: float = 1e-7,
        watch: Callable[[Floats], None] | None = None,
    ) -> Floats:
        """(n_times, n_owned) p(t) from the probabilities p(0) = `start`, at increasing times ≥ 0.

        PETSc's TS with a Rosenbrock-W method of order 3, L-stable, whose steps are set by the largest error
        of a probability against the largest probability. The total is kept to round-off. No method above
        first order keeps every p ≥ 0 at all steps: what falls below, of the order of `rtol`, is set to zero
        in what is returned. `watch` gets (n_owned,) p after every step.

        Raises
        ------
        ConvergenceError
            TS gave up.
        """
        jacobian = self.matrix.duplicate(copy=True)
        largest = self.comm.allreduce(float(np.abs(start).max(initial=0.0)), MPI.MAX)
        u = self.matrix.createVecRight()
        u.setArray(start)
        f = u.duplicate()

        def residual(ts: PETSc.TS, t: float, x: PETSc.Vec, rate: PETSc.Vec, out: PETSc.Vec) -> None:
            self.matrix.mult(x, out)
            out.aypx(-1.0, rate)

        def shifted(
            ts: PETSc.TS, t: float, x: PETSc.Vec, rate: PETSc.Vec, a: float, J: PETSc.Mat, P: PETSc.Mat
        ) -> bool:
            self.matrix.copy(P, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
            P.scale(-1.0)
            P.shift(a)
            return True

        ts = PETSc.TS().create(self.comm)
        ts.setOptionsPrefix(self._prefix)
        ts.setType(PETSc.TS.Type.ROSW)
        ts.setIFunction(residual, f)
        ts.setIJacobian(shifted, jacobian, jacobian)
        ts.setTolerances(rtol=rtol, atol=rtol * largest)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.MATCHSTEP)
        ts.setMaxSteps(1_000_000)
        ts.setTimeStep(
            1e-2 / max(self.comm.allreduce(float(self.exit_rates.max(initial=0.0)), MPI.MAX), 1e-300)
        )
        ksp = ts.getSNES().getKSP()
        if self.method in ("mumps", "lu"):
            ksp.setType("preonly")
            ksp.getPC().setType("lu")
            if self.method == "mumps":
                ksp.getPC().setFactorSolverType("mumps")
        else:
            ksp.setType("gmres")
            ksp.getPC().setType("bjacobi")
            ksp.setTolerances(rtol=1e-10)
        # The mean square over all states would hide errors of the few that are probable.
        self._default_options(ts_adapt_wnormtype="infinity")
        ts.setFromOptions()
        whole = float(self.sum(start))

        def keep_total(ts: PETSc.TS) -> None:
            p = ts.getSolution()
            p.scale(whole / p.sum())
            if watch is not None:
                watch(p.array_r.copy())

        ts.setPostStep(keep_total)
        found = np.empty((len(times), self.n_owned))
        now = 0.0
        for k, time in enumerate(times):
            if time > now:
                ts.setTime(now)
                ts.setMaxTime(time)
                with own_errors():
                    ts.solve(u)
                now = float(time)
                if ts.getConvergedReason() < 0:
                    raise ConvergenceError(f"evolution: PETSc's TS stopped before t = {time:.4g}")
            p = np.maximum(u.array_r, 0.0)
            found[k] = p * (whole / float(self.sum(p)))
        ts.destroy()
        return found

    def _set_weight(self, weight: Floats) -> None:
        largest = self.comm.allreduce(float(weight.max(initial=0.0)), MPI.MAX)
        self._weight = np.asarray(weight, float)
        self.scale = np.maximum(self._weight / largest, FLOOR)
        self._scale.setArray(self.scale)
        self._shift = -1.0

    def _correct(self, rhs: Floats, shift: float) -> Floats:
        """An approximate x of (shift − L) x = rhs."""
        if shift != self._shift:
            self._prepare(shift)
        assert self._ksp is not None
        self._b.setArray(rhs)
        self._ksp.solve(self._b, self._x)
        self.iterations = self._ksp.getIterationNumber()
        reason = self._ksp.getConvergedReason()
        # Too many iterations may still have brought the residual down; whoever refines sees how far.
        if reason < 0 and reason != PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT:
            raise ConvergenceError(
                f"generator of {self.size} states at shift {shift:.4g}: {self.method}: {reason_name(reason)}"
            )
        return self._x.array_r * self.scale

    def _prepare(self, shift: float) -> None:
        if self._ksp is not None:
            self._ksp.destroy()
        if self._system is None:
            self._system = self.matrix.duplicate(PETSc.Mat.DuplicateOption.SHARE_NONZERO_PATTERN)
        self.matrix.copy(self._system, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        self._system.scale(-1.0)
        self._system.shift(shift)
        self._system.diagonalScale(None, self._scale)
        self._ksp = ksp = PETSc.KSP().create(self.comm)
        ksp.setOptionsPrefix(self._prefix)
        pc = ksp.getPC()
        if self.method in ("mumps", "lu"):
            ksp.setType("preonly")
            pc.setType("lu")
            if self.method == "mumps":
                pc.setFactorSolverType("mumps")
        else:
            ksp.setType("gmres")
            ksp.setGMRESRestart(12)
            ksp.setPCSide(PETSc.PC.Side.RIGHT)
            ksp.setTolerances(rtol=1e-6, atol=1e-300, max_it=200)
            self._set_up_multigrid(pc)
        ksp.setOperators(self._system)
        ksp.setFromOptions()
        self._shift = shift

    def _set_up_multigrid(self, pc: PETSc.PC) -> None:
        """A V cycle with Galerkin products and one smoothing step before and after each of them.

        Sums of entries of coarser levels are no rates, so that Gauss-Seidel may diverge there: ILU smooths.
        """
        if self._interpolations is None:
            self._interpolations = self._coarsening() if self._coarsening is not None else []
        levels = len(self._interpolations)
        pc.setType("mg")
        pc.setMGLevels(levels + 1)
        for level, interpolation in zip(range(levels, 0, -1), self._interpolations, strict=True):
            pc.setMGInterpolation(level, interpolation)
            smoother = pc.getMGSmoother(level)
            smoother.setType("richardson")
            smoother.setTolerances(max_it=1)
            smoother.getPC().setType("sor" if level == levels else "bjacobi")
        self._default_options(pc_mg_galerkin="both", mg_levels_sub_pc_factor_zeropivot="1e-300")

    def _default_options(self, **options: str) -> None:
        """Set options that the interface of petsc4py cannot set; the user's own options hold."""
        database = PETSc.Options(self._prefix)
        for name, value in options.items():
            if not database.hasName(name):
                database.setValue(name, value)

    def destroy(self) -> None:
        """Free the matrices and factors now."""
        self.release_factors()
        self.matrix.destroy()

    def release_factors(self) -> None:
        """Free what the last solve has left behind; the next one makes it anew."""
        for thing in (self._ksp, self._system):
            if thing is not None:
                thing.destroy()
        self._ksp = self._system = None
        self._shift = -1.0
