"""Running a case of the transport model: one evolution, its results folder, resuming."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.boltzmann.strong import described
from fvqp.case.evolution import recorded_times
from fvqp.case.sizes import size_rows
from fvqp.case.transport.build import Setup, build_setup
from fvqp.case.transport.recording import TransportRecorder
from fvqp.case.transport.schema import TransportCase
from fvqp.errors import ConvergenceError, FvqpError
from fvqp.models.transport import Moment, State
from fvqp.models.transport.evolution import evolve
from fvqp.models.transport.steady import SteadySolver
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.typing import Floats

log = logging.getLogger(__name__)


def run(case: TransportCase, out: str | Path | None, resume: bool, comm: MPI.Comm) -> Result:
    """Compute a case, see :func:`fvqp.case.run.run`."""
    setup = build_setup(case, comm, out=None if out is None else Path(out))
    times = np.zeros(1) if case.evolution is None else recorded_times(case.evolution)
    with ExitStack() as stack:
        folder = None
        if out is not None:
            sources = {"material_sources": json.dumps(dict(setup.material.sources))}
            folder = ResultsFolder(out, case.resolved_toml(), case.hash, comm, resume, sources)
            stack.enter_context(folder)
        recorder = TransportRecorder(case, setup, times, comm, folder)
        earlier = None if folder is None else folder.start(recorder.sweep, recorder.mesh)
        completed = comm.bcast(recorder.sweep.completed)
        progress = stack.enter_context(SweepProgress(completed.size, comm, int(completed.sum())))
        recorder.progress = progress
        recorder.go_on_from(earlier)
        failure: FvqpError | None = None
        if not completed.all():
            try:
                if case.evolution is None:
                    _settle(case, setup, recorder)
                else:
                    began = earlier if np.any(completed) else None
                    _evolve(case, setup, recorder, times, began, progress)
            except ConvergenceError as error:
                failure = ConvergenceError(
                    f"{case.source}: {error} (in units of tau0 = {setup.units.time:.4g} s)"
                )
        recorder.finish(failure)
    return recorder.result()


def check(case: TransportCase) -> str:
    """Sizes and expected memory as text, see :func:`fvqp.case.run.check`."""
    setup = build_setup(case, MPI.COMM_WORLD, out=Path(), solve=False)
    problem, units, strong = setup.problem, setup.units, setup.reference.strong
    grid, coupling = problem.grid, setup.coupling
    size = setup.size
    rows = [
        ("material", f"{setup.material.name}, Delta0 = {units.energy / constants.e * 1e6:.4g} ueV"),
        *([] if strong is None else [("spectrum", described(strong))]),
        ("times", f"tau0 = {units.time:.4g} s, tau0_pb = {coupling.pair_breaking_time * units.time:.4g} s"),
        ("cells", f"{setup.mesh.n_global} of dimension {setup.mesh.dim}"),
        *size_rows(setup.mesh),
        *([("regions", ", ".join(setup.mesh.region_names))] if setup.mesh.region_names else []),
        ("boundaries", ", ".join(setup.mesh.boundaries)),
        ("energies", f"{grid.n} bins up to {grid.edges[-1]:.4g} Delta0, {grid.n_phonon} phonon energies"),
        ("directions", f"{size.directions[0]} of quasiparticles, {size.directions[1]} of phonons"),
        ("unknowns", f"{setup.mesh.n_global * size.per_cell:.3g}"),
        ("states", _recorded(case)),
        ("memory", str(size)),
    ]
    return "\n".join([f"{case.source}: valid", *(f"  {name:<11}{text}" for name, text in rows)])


def _recorded(case: TransportCase) -> str:
    """Which states are computed, for a report."""
    if case.evolution is None:
        return "one, which is steady"
    times = recorded_times(case.evolution)
    return f"{len(times)}, at 0 s and from {times[1]:.4g} s to {times[-1]:.4g} s"


def _settle(case: TransportCase, setup: Setup, recorder: TransportRecorder) -> None:
    """The steady state, and the powers that keep it."""
    assert case.steady_state is not None
    problem, wanted = setup.problem, case.steady_state
    state = SteadySolver(problem, wanted.tolerance, wanted.maximum_iterations).solve(setup.state)
    recorder.record(0, Moment(0.0, state, problem.no_counters(), problem.ledger(state), 0, 0, 0.0))


def _evolve(
    case: TransportCase,
    setup: Setup,
    recorder: TransportRecorder,
    times: Floats,
    earlier: Checkpoint | None,
    progress: SweepProgress,
) -> None:
    """Times from the first missing one on."""
    assert case.evolution is not None
    problem, at = setup.problem, times / setup.units.time
    if earlier is None:
        state, counters, length = setup.state, problem.no_counters(), None
        recorder.record(0, Moment(0.0, state, counters, problem.ledger(state), 0, 0, 0.0))
        first = 1
    else:
        state, counters, length = recorder.restored(earlier)
        first = int(earlier.completed.sum())

    def tell(now: float, _: State) -> None:
        """How far it is to the next of the recorded times."""
        to = int(np.searchsorted(at[:-1], now))
        part = (now - at[to - 1]) / (at[to] - at[to - 1])
        progress.within(f"the way to t = {times[to]:.4g} s", float(part))

    progress.within("the way to the first time", 0.0)
    passing = evolve(
        problem,
        state,
        at[first:],
        start=float(at[first - 1]),
        tolerance=case.evolution.tolerance,
        method=case.evolution.method,
        first_step=length,
        counters=counters,
        callback=tell,
    )
    for number, moment in enumerate(passing, start=first):
        recorder.record(number, moment)
        log.debug("%d steps, %d refused", moment.steps, moment.refused)
