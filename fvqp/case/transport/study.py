"""Study of the transport model: one evolution, or a steady state."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.evolution import check_solver_options, recorded_moments
from fvqp.case.evolution import recorded_times
from fvqp.case.sizes import size_rows
from fvqp.case.study import Study
from fvqp.case.transport.build import build_setup
from fvqp.case.transport.lengths import RegionLengths, length_rows, warn_of_lengths
from fvqp.case.transport.recording import TransportRecorder
from fvqp.case.transport.schema import TransportCase
from fvqp.errors import ConvergenceError, FvqpError
from fvqp.models.boltzmann.rosenbrock import Rosenbrock
from fvqp.models.boltzmann.steady import SteadySolver
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import LogPace
from fvqp.typing import Bools

log = logging.getLogger(__name__)


class TransportStudy(Study[TransportRecorder]):
    """One evolution in time, or a steady state, of a body."""

    case: TransportCase

    def __init__(self, case: TransportCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        self.setup = build_setup(case, comm, out=out if solve else Path(), solve=solve)
        self._check_options()
        self.sources = self.setup.reference.material.sources
        self.times = np.zeros(1) if case.evolution is None else recorded_times(case.evolution)

    def _check_options(self) -> None:
        """Raise `CaseError` for options of PETSc that no solver reads."""
        steady, problem = self.case.evolution is None, self.setup.problem
        check_solver_options(self.case, lambda: None if steady else Rosenbrock(problem, 1e-2, None))

    def report(self) -> Iterable[tuple[str, str]]:
        setup, mesh = self.setup, self.setup.mesh
        grid, size, times = setup.problem.grid, setup.size, self.times
        states = "one, which is steady"
        if self.case.evolution is not None:
            states = f"{len(times)}, at 0 s and from {times[1]:.4g} s to {times[-1]:.4g} s"
        return [
            *setup.reference.report_rows(),
            ("cells", f"{mesh.n_global} of dimension {mesh.dim}"),
            *size_rows(mesh),
            *length_rows(self._lengths()),
            *([("regions", ", ".join(mesh.region_names))] if mesh.region_names else []),
            ("boundaries", ", ".join(mesh.boundaries)),
            ("energies", f"{grid.n} bins up to {grid.edges[-1]:.4g} Delta0, {grid.n_phonon} phonon energies"),
            ("directions", f"{size.directions[0]} of quasiparticles, {size.directions[1]} of phonons"),
            ("unknowns", f"{mesh.n_global * size.per_cell:.3g}"),
            ("states", states),
            ("memory", str(size)),
        ]

    def _lengths(self) -> RegionLengths:
        """Lengths in all regions; warn of cells that do not resolve them. Collective."""
        setup = self.setup
        lengths = RegionLengths(self.case, setup.problem, setup.state, setup.mesh, setup.units)
        warn_of_lengths(lengths, self.case, self.comm)
        return lengths

    def recorder(self, folder: ResultsFolder | None) -> TransportRecorder:
        self._lengths()
        return TransportRecorder(self.case, self.setup, self.times, self.comm, folder)

    def compute(
        self, recorder: TransportRecorder, settled: Bools, earlier: Checkpoint | None
    ) -> FvqpError | None:
        try:
            if not settled.all() and self.case.evolution is None:
                self._settle(recorder)
            elif not settled.all():
                self._evolve(recorder, earlier if settled.any() else None)
        except ConvergenceError as error:
            text = f"{error} (in units of tau0 = {self.setup.units.time:.4g} s)"
            return self.case.naming(ConvergenceError(text))
        return None

    def _settle(self, recorder: TransportRecorder) -> None:
        """The steady state, and the powers that keep it."""
        problem, wanted = self.setup.problem, self.case.steady_state
        assert wanted is not None
        state = SteadySolver(problem, wanted.tolerance, wanted.maximum_iterations).solve(self.setup.state)
        recorder.record(0, problem.moment(state))

    def _evolve(self, recorder: TransportRecorder, earlier: Checkpoint | None) -> None:
        """Times from the first missing one on."""
        evolution, progress = self.case.evolution, recorder.progress
        assert evolution is not None and progress is not None
        problem, times, unit = self.setup.problem, self.times, self.setup.units.time
        if earlier is None:
            state, counters, length = self.setup.state, problem.no_counters(), None
            recorder.record(0, problem.moment(state))
            first = 1
        else:
            state, counters, length = recorder.restored(earlier)
            first = int(earlier.completed.sum())
        progress.within("the way to the first time", 0.0)
        for number, moment in recorded_moments(
            problem,
            state,
            evolution,
            times,
            unit,
            first,
            progress,
            first_step=length,
            counters=counters,
            pace=LogPace(),
        ):
            recorder.record(number, moment)
            log.debug("%d steps, %d refused", moment.steps, moment.refused)


STUDY = TransportStudy
