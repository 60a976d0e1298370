"""Concentration of localized quasiparticles on a mesh: ``∂c/∂t = A(x) − 𝓡(c) + ∇·(D ∇c)``.

D stands for slow, thermally activated hops; 0 leaves every cell to itself. No current through the outer
boundary. 𝓡 grows at least as fast as c, so that Newton's iterates are sums of positive terms: a steady state
is never negative on its way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, ConvergenceError
from fvqp.mesh.mesh import Mesh
from fvqp.models.linear import TransportSolver
from fvqp.models.localized.closure import AnnihilationLaw
from fvqp.models.localized.validity import doubts_of_decay, doubts_of_steepness, steepest
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.elimination import defaults
from fvqp.transport.operator import Transport
from fvqp.transport.operator_tables import Coefficients
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_REASON = PETSc.SNES.ConvergedReason

OPTIONS = "fvqp_density_"
"""Prefix of PETSc's options of steps in time, and of Newton's method in them and in steady states."""
MAX_ITERATIONS, TOLERANCE = 300, 1e-12
"""Newton's steps of a steady state, and relative change that ends them."""
MAX_STEP_ITERATIONS = 20
"""Newton's steps in a step of time, which is shortened else."""
FLOOR = 1e-3
"""Part of the largest concentration below which errors are relative to it."""
FIRST_STEP = 1e-2
"""First step, in the shortest time in which a concentration decays."""


STEADY: dict[str, str | bool] = {"snes_linesearch_type": "basic"}
"""Options of Newton's method, where others are not given."""
TIME_STEPS: dict[str, str | bool] = {
    "ts_type": "bdf",
    "ts_bdf_order": "3",
    "ts_adapt_type": "basic",
    "ts_adapt_wnormtype": "infinity",
    **STEADY,
}
"""Options of steps in time, where others are not given."""


class LocalizedDensity:
    """Steady state and relaxation on one mesh (collective).

    Parameters
    ----------
    mesh : the rank's part.
    law : 𝓡(c).
    generation : A, 1/(m³ s), a number or a value for each local cell.
    diffusivity : D, m²/s, not negative. The law is that of particles that stay where they are: it holds as
        long as they move less than their distance r while they live. Where they do not, ``warnings`` say so
        after a solve, for the concentration is then overestimated. So they do where generation changes within
        the reach of partners, near surfaces, and in decays (`validity`).
    warn : whether ``warnings`` are logged as well.

    Raises `CaseError`: values that are negative, not finite, or not one a cell.
    """

    def __init__(
        self,
        mesh: Mesh,
        law: AnnihilationLaw,
        generation: ArrayLike,
        *,
        diffusivity: float = 0.0,
        warn: bool = True,
    ) -> None:
        if not (np.isfinite(diffusivity) and diffusivity >= 0.0):
            raise CaseError(f"diffusivity: must be finite and not negative, got {diffusivity}")
        self.mesh, self.law, self.diffusivity = mesh, law, float(diffusivity)
        self.warnings: list[str] = []
        self._warns, self._kinds = warn, set[str]()
        self._generation = self._field(generation, "generation")
        self._solver: TransportSolver | None = None
        if diffusivity > 0.0:
            ones = np.ones(mesh.n_cells)
            medium = np.zeros(mesh.n_cells, np.int32)
            self._solver = TransportSolver(Transport(mesh, diffusivity * ones, ones, ones, medium, ()))

    def steady(self) -> Floats:
        """``(n_cells,)`` c of the steady state, 1/m³.

        Raises `ConvergenceError`.
        """
        local = self.law.stationary(self._generation)
        if self._solver is None:
            self._check_steepness(local)
            return local
        volume = self.mesh.volume
        mean = self.mesh.total(volume * self._generation) / self.mesh.total(volume)
        if mean == 0.0:
            return np.zeros(self.mesh.n_cells)
        equation = _Equation(self, self._generation)
        found = equation.steady(float(self.law.stationary(mean)))
        self._check_hops(found)
        self._check_steepness(found)
        return found

    def relax(
        self,
        start: ArrayLike,
        times: ArrayLike,
        *,
        generation: ArrayLike | None = None,
        tolerance: float = 1e-5,
    ) -> Floats:
        """``(n_times, n_cells)`` from c = ``start`` at t = 0, with another generation if given (0: off).

        Steps of PETSc's TS (``bdf``), chosen so that each errs by less than ``tolerance`` of the
        concentration (of its mean where there is nothing). ``times`` in seconds, positive, increasing.

        Raises `ConvergenceError`.
        """
        begin = self._field(start, "start")
        source = self._generation if generation is None else self._field(generation, "generation")
        until = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if not np.all(np.isfinite(until)) or until[0] <= 0.0 or np.any(np.diff(until) <= 0.0):
            raise CaseError("times: must be positive, finite and increasing")
        found = []
        for now in _Equation(self, source).states(begin, until, tolerance):
            found.append(now.copy())
            own = slice(0, self.mesh.n_owned)
            self._warn("decay", doubts_of_decay(self.law, now[own], source[own], self.mesh.comm))
        self._check_steepness(now)
        self._check_hops(now)
        return np.array(found)

    def _check_hops(self, c: Floats) -> None:
        if self._solver is None:
            return
        life = self.law.lifetime(c)
        some = c > 1e-6 * self._largest(c)
        path = np.sqrt(6.0 * self.diffusivity * np.where(np.isfinite(life) & some, life, 0.0))
        worst = self._largest(np.where(some, path / self.law.distance(np.where(some, c, 1.0)), 0.0))
        text = (
            f"diffusivity: quasiparticles move {worst:.2g} times their distance while they live; the law of "
            "annihilation is that of particles that stay, the concentration an upper bound"
        )
        if worst > 1.0:
            self._warn("hops", [text])

    def _warn(self, kind: str, texts: list[str]) -> None:
        """Keep and log a warning, once of each kind."""
        if texts and kind not in self._kinds:
            self._kinds.add(kind)
            self.warnings += texts
            for text in texts if self._warns else []:
                log.warning("%s", text)

    def _check_steepness(self, c: Floats) -> None:
        self._warn("steep", doubts_of_steepness(steepest(self.mesh, self.law, c)))

    def _largest(self, values: Floats) -> float:
        mine = float(np.max(values[: self.mesh.n_owned], initial=0.0))
        return float(self.mesh.comm.allreduce(mine, op=MPI.MAX))

    def _field(self, value: ArrayLike, what: str) -> Floats:
        given = np.asarray(value, dtype=np.float64)
        if given.ndim and given.shape != (self.mesh.n_cells,):
            raise CaseError(f"{what}: shape {given.shape}, but there are {self.mesh.n_cells} local cells")
        if not np.all(np.isfinite(given)) or np.any(given < 0.0):
            raise CaseError(f"{what}: must be finite and not negative")
        return np.broadcast_to(given, (self.mesh.n_cells,)).copy()


class _Equation:
    """``V (∂c/∂t + 𝓡(c) − A) − ∮ D ∇c·dA = 0`` of the owned cells, for PETSc.

    Where c is negative by the error of a step, nothing annihilates.
    """

    def __init__(self, density: LocalizedDensity, source: Floats) -> None:
        self._d, self._mesh, self._source = density, density.mesh, source
        self._rate, self._change = np.zeros(density.mesh.n_owned), np.inf
        n, comm = density.mesh.n_owned, density.mesh.comm
        self._volume = density.mesh.volume[:n]
        self._x = PETSc.Vec().createMPI((n, PETSc.DECIDE), comm=comm)
        self._f = self._x.duplicate()
        context = SimpleNamespace(mult=weakly(self._product))
        self._matrix = PETSc.Mat().createPython(((n, PETSc.DECIDE), (n, PETSc.DECIDE)), context, comm=comm)
        self._matrix.setUp()
        destroyed_with(self, self._matrix, self._x, self._f)

    def steady(self, start: float) -> Floats:
        """Return c from a uniform one."""
        snes = PETSc.SNES().create(self._mesh.comm)
        destroy = destroyed_with(self, snes)
        snes.setOptionsPrefix(OPTIONS)
        snes.setFunction(weakly(self._function), self._f)
        snes.setJacobian(weakly(self._linearize), self._matrix, self._matrix)
        self._equip(snes, MAX_ITERATIONS)
        with defaults(OPTIONS, STEADY):
            snes.setFromOptions()
        self._x.set(start)
        with own_errors():
            snes.solve(None, self._x)
        steps, reason = snes.getIterationNumber(), snes.getConvergedReason()
        destroy()
        if reason <= 0:
            raise ConvergenceError(
                f"concentration: Newton's method left {self._change:.2g} after {steps} iterations"
            )
        return self._cells(self._x)

    def states(self, start: Floats, times: Floats, tolerance: float) -> Iterator[Floats]:
        """Yield c at ``times`` after ``start`` at t = 0."""
        rate = self._d._largest(self._d.law.derivative(start))
        # What a first step from nothing may err by is measured by what there will be.
        largest = self._d._largest(start) or self._d._largest(
            np.minimum(self._d.law.stationary(self._source), times[0] * self._source)
        )

        def weigh(largest: float) -> None:
            ts.setTolerances(rtol=tolerance, atol=FLOOR * tolerance * largest)

        ts = PETSc.TS().create(self._mesh.comm)
        destroy = destroyed_with(self, ts)
        ts.setOptionsPrefix(OPTIONS)
        ts.setIFunction(weakly(self._in_time), self._f)
        ts.setIJacobian(weakly(self._linearize_in_time), self._matrix, self._matrix)
        ts.setPostStep(lambda ts: weigh(self._d._largest(ts.getSolution().array_r)))
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.MATCHSTEP)
        ts.setMaxSteps(2**31 - 1)
        ts.setMaxSNESFailures(-1)
        ts.setMaxStepRejections(100)
        ts.setErrorIfStepFails(False)
        self._equip(ts.getSNES(), MAX_STEP_ITERATIONS)
        with defaults(OPTIONS, TIME_STEPS):
            ts.setFromOptions()
        weigh(largest)
        self._x.array = start[: self._mesh.n_owned]
        ts.setTimeStep(min(float(times[0]), FIRST_STEP / rate if rate > 0.0 else float(times[0])))
        try:
            for time in times:
                ts.setMaxTime(float(time))
                with own_errors():
                    ts.solve(self._x)
                if ts.getConvergedReason() < 0:
                    raise ConvergenceError(
                        f"relaxation: the step has become too small at t = {ts.getTime():.6g} s"
                    )
                yield self._cells(self._x)
        finally:
            destroy()

    def _equip(self, snes: PETSc.SNES, most: int) -> None:
        snes.setConvergenceTest(weakly(self._test))
        snes.setTolerances(stol=0.0, max_it=most)
        snes.getKSP().setType("preonly")
        pc = snes.getKSP().getPC()
        pc.setType("python")
        pc.setPythonContext(SimpleNamespace(apply=weakly(self._invert)))

    def _cells(self, x: PETSc.Vec) -> Floats:
        """Return values of all local cells."""
        full = np.zeros(self._mesh.n_cells)
        full[: self._mesh.n_owned] = x.array_r
        self._mesh.exchange(full)
        return np.maximum(full, 0.0)

    def _test(self, snes: PETSc.SNES, iteration: int, norms: tuple[float, float, float]) -> int:
        if not np.isfinite(norms[2]):
            return int(_REASON.DIVERGED_FUNCTION_DOMAIN)
        if iteration < 1:
            return int(_REASON.ITERATING)
        c, step = np.abs(snes.getSolution().array_r), np.abs(snes.getSolutionUpdate().array_r)
        largest = self._d._largest(c)
        relative = step / np.maximum(c, max(1e-12 * largest, 1e-300))
        self._change = max(self._d._largest(step) / max(largest, 1e-300), 1e-2 * self._d._largest(relative))
        if self._change < TOLERANCE:
            return int(_REASON.CONVERGED_SNORM_RELATIVE)
        return int(_REASON.DIVERGED_MAX_IT if iteration >= snes.getTolerances()[3] else _REASON.ITERATING)

    def _function(self, snes: PETSc.SNES, x: PETSc.Vec, out: PETSc.Vec) -> None:
        full = np.zeros(self._mesh.n_cells)
        full[: self._mesh.n_owned] = x.array_r
        n = self._mesh.n_owned
        c = np.maximum(full[:n], 0.0)
        out.array = self._volume * (self._d.law.rate(c) - self._source[:n]) - self._gain(full)

    def _in_time(self, ts: PETSc.TS, t: float, x: PETSc.Vec, dx: PETSc.Vec, out: PETSc.Vec) -> None:
        self._function(ts.getSNES(), x, out)
        out.array += self._volume * dx.array_r

    def _linearize(self, snes: PETSc.SNES, x: PETSc.Vec, j: PETSc.Mat, p: PETSc.Mat) -> None:
        self._set(x, 0.0, j)

    def _linearize_in_time(
        self, ts: PETSc.TS, t: float, x: PETSc.Vec, dx: PETSc.Vec, shift: float, j: PETSc.Mat, p: PETSc.Mat
    ) -> None:
        self._set(x, shift, j)

    def _set(self, x: PETSc.Vec, shift: float, matrix: PETSc.Mat) -> None:
        self._rate = self._d.law.derivative(np.maximum(x.array_r, 0.0)) + shift
        matrix.assemble()

    def _product(self, matrix: PETSc.Mat, x: PETSc.Vec, out: PETSc.Vec) -> None:
        full = np.zeros(self._mesh.n_cells)
        full[: self._mesh.n_owned] = x.array_r
        out.array = self._volume * self._rate * x.array_r - self._gain(full)

    def _invert(self, pc: PETSc.PC, right: PETSc.Vec, out: PETSc.Vec) -> None:
        solver, mesh = self._d._solver, self._mesh
        if solver is None:
            out.array = right.array_r / (self._volume * self._rate)
            return
        found = solver.solve(
            solver.transport.at(self._coefficients(self._rate)),
            np.zeros((1, 1, 0, 1)),
            source=right.array_r.reshape(1, mesh.n_owned, 1, 1).copy(),
            what=lambda _: "concentration of localized quasiparticles",
        )
        out.array = found[0, : mesh.n_owned, 0, 0]

    def _gain(self, full: Floats) -> Floats | float:
        """Return what diffusion brings into the owned cells, 1/s; fills ghosts."""
        if self._d._solver is None:
            return 0.0
        self._mesh.exchange(full)
        operator = self._d._solver.transport.at(self._coefficients(np.zeros(self._mesh.n_owned)))
        return operator.residual(full[:, None, None], np.zeros((1, 0, 1)))[:, 0, 0]

    def _coefficients(self, reaction: Floats) -> Coefficients:
        rows = np.zeros(self._mesh.n_cells)
        rows[: self._mesh.n_owned] = reaction
        return Coefficients(np.ones((1, 1, 1)), rows[None, :, None])


def read_options(in_time: bool) -> None:
    """Let solvers that do nothing read PETSc's options, so that wrong ones are found before a run."""
    solver = (PETSc.TS() if in_time else PETSc.SNES()).create(MPI.COMM_SELF)
    try:
        solver.setOptionsPrefix(OPTIONS)
        with defaults(OPTIONS, TIME_STEPS if in_time else STEADY):
            solver.setFromOptions()
    finally:
        solver.destroy()
