"""Steps in time by PETSc's TS, whatever their method.

All methods integrate occupations together with the counters of what comes and goes, by the same stages, so
that both keep the same energy however inexact the solution of a stage is. Accuracy, bounds, gaps and lengths
of steps are those of `fvqp.models.boltzmann.stepping` (theory: transport, section on time).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import SimpleNamespace

import numpy as np

from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.gaps import predict_gap
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.models.boltzmann.stepping import Stepper
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.elimination import defaults
from fvqp.solvers.transient import Refused
from fvqp.typing import Floats

SPECIES = "quasiparticles", "phonons"
PREFIX = "fvqp_transport_"
"""Prefix of PETSc's options: ``-fvqp_transport_ts_monitor``, ``-fvqp_transport_ksp_view``."""


class Integrator(Stepper, ABC):
    """Steps by PETSc's TS, of unknowns that are f, n and counters of this rank, one after another."""

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        super().__init__(problem, tolerance, first_step)
        body, grid = problem.cells, problem.grid
        self._shapes = [
            (body.n_owned, len(problem.moving_f.weights), grid.n),
            (body.n_owned, len(problem.moving_n.weights), grid.n_phonon),
            *(part.shape for part in problem.no_counters()),
        ]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        #: Of the step at hand: its beginning, the equations and rates of inelastic collisions there.
        self._begin: State
        self._at: BoltzmannEquations
        self._inelastic: InelasticRates
        self._why = ""
        size, comm = int(self._ends[-1]), body.comm
        self._u = PETSc.Vec().createMPI((size, PETSc.DECIDE), comm=comm)
        layout = (size, PETSc.DECIDE)
        # PETSc never multiplies by it: a stage is one application of the preconditioner
        self._matrix = PETSc.Mat().createPython((layout, layout), SimpleNamespace(), comm)
        self._matrix.setUp()
        ts = self._ts = PETSc.TS().create(comm)
        ts.setOptionsPrefix(PREFIX)
        ts.setMaxTime(1e300)
        ts.setMaxSteps(2**31 - 1)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
        ts.setErrorIfStepFails(False)
        ts.setMaxSNESFailures(1)
        self._choose(ts)
        with defaults(
            PREFIX, {"ts_adapt_type": "none", "ts_rosw_type": "2p", "snes_linesearch_type": "basic"}
        ):
            ts.setFromOptions()
        ts.setSolution(self._u)
        destroyed_with(self, ts, self._matrix, self._u)

    def _use(self, ksp: PETSc.KSP) -> None:
        """Solve a stage, or a Newton step, by one application of `_apply`."""
        ksp.setType("preonly")
        pc = ksp.getPC()
        pc.setType("python")
        pc.setPythonContext(SimpleNamespace(apply=weakly(self._apply)))
        destroyed_with(self, pc)

    # -- the method

    @abstractmethod
    def _choose(self, ts: PETSc.TS) -> None:
        """Tells PETSc which one."""

    @abstractmethod
    def _apply(self, pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
        """Solves for a stage."""

    @abstractmethod
    def _error(self, y: Floats) -> tuple[Floats, Floats]:
        """Error of f and n after a step."""

    @abstractmethod
    def _begins(self, now: float, length: float) -> None:
        """Called before every step."""

    # -- one step

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        p, ts = self._p, self._ts
        begin = self._begin = predict_gap(p, state, length)
        self._at = p.at(begin.gap)
        self._inelastic = self._at.inelastic_rates(begin.f, begin.n)
        self._why = ""
        ts.restartStep()
        self._u.array = joined(Rates(begin.f, begin.n, p.no_counters()))
        ts.setTime(now)
        ts.setTimeStep(length)
        self._begins(now, length)
        with own_errors():
            ts.step()
        if ts.getConvergedReason() < 0:
            ts.setConvergedReason(PETSc.TS.ConvergedReason.ITERATING)
            raise Refused(self._why or "Newton's method does not converge")
        if self._why:
            raise Refused(self._why)
        y = self._u.array_r.copy()
        f, n, passed = self._split(y)
        at = self._at
        errors = accuracy.region_errors(at, self._error(y), accuracy.region_scales(at, f, n, self.gone))
        species, region = np.unravel_index(np.argmax(errors), errors.shape)
        name = p.cells.region_names[region]
        self._limit = f"errors of {SPECIES[species]}" + (f" in {name}" if name else "")
        error = float(errors.max()) / self._tolerance
        if error <= 1.0:
            f, n = self._positive(at, begin, f, n)
            f, n = self._closed(at, begin, passed, f, n)
            state = self._corrected(f, n, begin.gap, state.gap, length)
            ts.monitor(self.steps + 1, now + length, self._u)
        return state, passed, error

    # -- vectors

    def _split(self, y: Floats) -> tuple[Floats, Floats, Counters]:
        """f, n and counters of a vector."""
        parts = np.split(y, self._ends[:-1])
        f, n, *counters = (part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True))
        return f, n, Counters(*counters)


def joined(rates: Rates) -> Floats:
    """f, n and counters one after another."""
    return np.concatenate([part.ravel() for part in (rates.f, rates.n, *rates.counters)])
