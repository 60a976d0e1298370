"""Study of the Usadel model: a sweep of biases, curve by curve."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.run_time import Work
from fvqp.case.sizes import size_rows, warn_of_sizes
from fvqp.case.study import Study
from fvqp.case.usadel.build import (
    build_mesh,
    build_problems,
    build_sweep,
    follows_bias,
)
from fvqp.case.usadel.lengths import length_rows, mesh_errors, warn_of_lengths
from fvqp.case.usadel.mesh_and_material_checks import (
    axis_errors,
    warn_of_axis,
    warn_of_charge,
    warn_of_junctions,
    warn_of_relaxation,
    warn_of_reservoirs,
)
from fvqp.case.usadel.recording import UsadelRecorder
from fvqp.case.usadel.schema import UsadelCase
from fvqp.case.usadel.solvers import check_options
from fvqp.case.usadel.work import works
from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.models.usadel.branches import GapBranch, follow_gap
from fvqp.models.usadel.kinetics import KineticState, SpectralState
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.parallel import WorkQueue
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.solvers.continuation import REACHED
from fvqp.study.sweep import Sweep, chains, common_failure, walk, without_solution
from fvqp.texts import percent, two_digits
from fvqp.typing import Bools

log = logging.getLogger(__name__)


class UsadelStudy(Study[UsadelRecorder]):
    """A sweep of biases, whose curves groups of ranks share."""

    case: UsadelCase

    def __init__(self, case: UsadelCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        self.sweep = build_sweep(case)
        groups = case.solver.groups if solve else 1
        self.curves = curves(
            case, self.sweep, fields_are_written=out is not None and bool(case.output.fields)
        )
        if groups > (most := min(comm.size, len(self.curves))):
            raise CaseError(
                f"{case.source}: solver.groups: {groups} groups for {len(self.curves)} curve(s) of the sweep "
                f"on {comm.size} rank(s); at most {most} can work"
            )
        self.number = comm.rank * groups // comm.size
        self.group = comm.Split(self.number, comm.rank) if groups > 1 else comm
        self.queue: WorkQueue | None = None
        self.problems = build_problems(case, build_mesh(case, self.group))
        self.sources = self.problems[0].device.material.sources
        check_options(case, self.problems[0])

    def _warn(self) -> None:
        device = self.problems[0].device
        warn_of_sizes(device.mesh, device.material.coherence_length, self.case.source)
        warn_of_lengths(self.problems[0], self.case.source)
        warn_of_junctions(self.case, self.problems[0])
        warn_of_axis(self.case, self.problems, self._axis_errors)
        if self.comm.rank == 0:
            warn_of_reservoirs(self.case)

    @cached_property
    def _axis_errors(self) -> tuple[float, float]:
        """Return the errors of ``g_nl`` and of the non-local current. Collective."""
        return axis_errors(self.problems, self.sweep.V_inj)

    def report(self) -> Iterable[tuple[str, str]]:
        self._warn()
        problem, axes = self.problems[0], vars(self.sweep)
        mesh, grid = problem.device.mesh, problem.grid
        points = math.prod(self.sweep.shape)
        per_rank = problem.expected_memory() / 2**20
        return [
            ("mesh", f"{mesh.n_global} cells of dimension {mesh.dim}"),
            *size_rows(mesh, problem.device.material.coherence_length),
            *length_rows(problem),
            ("regions", ", ".join(mesh.region_names) or "none"),
            ("boundaries", ", ".join(mesh.boundaries)),
            ("energies", f"{grid.n} bins up to {grid.maximum:.4g} Delta0"),
            ("unknowns", f"{2 * mesh.n_global * grid.n} (f_L and f_T of every cell and energy)"),
            ("sweep", f"{points} points" + "".join(f", {len(v)} {k}" for k, v in axes.items() if v)),
            ("solver", problem.kinetics.solver.description),
            (
                "memory",
                f"about {per_rank:.0f} MiB beside the program's own 0.4 GiB, on each of {mesh.comm.size} "
                "rank(s)",
            ),
        ]

    def expected_work(self) -> Iterable[Work]:
        return works(self.case, self.problems, self.sweep)

    def errors(self) -> list[str]:
        problem, (conductance, _) = self.problems[0], self._axis_errors
        texts = mesh_errors(problem)
        if conductance > 0.0:
            texts.append(f"energy axis {percent(conductance)} of the largest g_nl")
        else:
            narrowest = float(problem.grid.widths.min())
            beside = f"{two_digits(narrowest / problem.broadening)} times the broadening"
            texts.append(f"narrowest bins {two_digits(narrowest)} Delta0, {beside}")
        return texts

    def figures(self) -> list[dict[str, Any]]:
        gap = self.problems[0].device.material.gap
        return [
            drawn | {"energy": figure.energy and figure.energy.in_joule(gap) / constants.e}
            for drawn, figure in zip(super().figures(), self.case.figures, strict=True)
        ]

    def recorder(self, folder: ResultsFolder | None) -> UsadelRecorder:
        self._warn()
        kinetics = self.problems[0].kinetics
        # Collective: the solver is chosen here if it has not been yet.
        description = kinetics.solver.description
        if self.comm.rank == 0:
            log.info("linear systems: %s", description)
        kinetics.transport.log_accuracy()
        return UsadelRecorder(self.case, self.sweep, self.problems, self.comm, folder)

    def compute(
        self, recorder: UsadelRecorder, settled: Bools, earlier: Checkpoint | None
    ) -> FvqpError | None:
        missing = [c for c in self.curves if not all(settled[self.sweep.place(*p)] for p in c.points)]
        if recorder.groups > 1 and follows_bias(self.case):
            self.queue = WorkQueue(self.comm, self.group)
        for curve in _mine(missing, self.number, recorder.groups, self.queue):
            self._run_curve(curve, recorder, settled, earlier)
        return None

    def _run_curve(
        self,
        curve: _Curve,
        recorder: UsadelRecorder,
        settled: Bools,
        earlier: Checkpoint | None,
    ) -> None:
        """All missing points of one curve, recorded one by one.

        Where points start from one another, those beyond one without a solution have none either if
        superconductivity is destroyed there, and are left for another time if the solution did not converge.
        """
        sweep, t = self.sweep, curve.index[0]
        problem = self.problems[t]
        follows = problem.follows_bias
        for chain in curve.order:
            guess: Solution | None = None
            solved: Solution | None = None
            points = sweep.points(curve.index, chain)
            done = [bool(settled[sweep.place(curve.index, v)]) for v in chain]
            start = done.index(False) if False in done else len(chain)
            if start == len(chain):
                continue
            if self.case.gap.branches:
                rest = replace(points[0], V_inj=0.0)
                try:
                    recorder.branch = _branch(problem, rest, [p.V_inj for p in points], recorder.progress)
                except ConvergenceError as error:
                    _leave(recorder, curve.index, chain[start:], error, _with_point(error, rest, sweep, t))
                    continue
            if start > 0 and follows:
                place = sweep.place(curve.index, chain[start - 1])
                guess = _restored(problem, earlier, place)
                start = start if guess is not None else 0
            for k, found in walk(problem, points[start:], guess, recorder.guard):
                k += start
                if isinstance(found, ConvergenceError):
                    beyond = chain[k:] if follows else chain[k : k + 1]
                    _leave(recorder, curve.index, beyond, found, _with_point(found, points[k], sweep, t))
                    continue
                solved = found
                recorder.record(curve.index, chain[k], problem, found)
                recorder.warned = recorder.warned or warn_of_charge(self.case, problem, found)
            if solved is not None and not recorder.warned_of_relaxation:
                # At the largest bias, where collisions do most.
                recorder.warned_of_relaxation = warn_of_relaxation(self.case, problem, solved)

    def run(self, resume: bool) -> Result:
        result = super().run(resume)
        if self.queue is not None:
            self.queue.free()
        return result


@dataclass(frozen=True)
class _Curve:
    """One curve, or one direction of it: what a group of ranks computes from its beginning to its end.

    ``index`` are those of temperature, supercurrent and detector bias. ``order`` holds runs of indices of
    ``V_inj``; in each, a point starts from the one before it, and the first from the state at rest, so that
    every point stays on the branch that is connected with zero bias.
    """

    index: tuple[int, ...]
    order: tuple[tuple[int, ...], ...]

    @property
    def points(self) -> list[tuple[tuple[int, ...], int]]:
        """``(index, index of V_inj)`` of all its points."""
        return [(self.index, v) for chain in self.order for v in chain]


def curves(case: UsadelCase, sweep: Sweep, *, fields_are_written: bool) -> list[_Curve]:
    """Return the curves that groups of ranks share, in the order of the sweep.

    Where points start from one another, the two directions of a curve know nothing of each other and are
    shared singly, which divides a map more evenly; unless its fields are written, which one file lists.
    """
    order = chains(sweep.V_inj)
    single = follows_bias(case) and not fields_are_written
    parts = [(chain,) for chain in order] if single else [order]
    return [_Curve(index, part) for index in np.ndindex(sweep.shape[:3]) for part in parts]


def _mine(curves: Sequence[_Curve], number: int, groups: int, queue: WorkQueue | None) -> Iterator[_Curve]:
    """The curves that group ``number`` computes: neighbours, which share what is computed once, or those that
    it takes from the queue.

    The last ones, which usually take longest, come first then: groups end nearly together.
    """
    count = len(curves)
    if queue is None:
        yield from (curve for k, curve in enumerate(curves) if k * groups // count == number)
        return
    while (turn := queue.next()) < count:
        yield curves[count - 1 - turn]


def _leave(
    recorder: UsadelRecorder, index: tuple[int, ...], chain: Sequence[int], error: ConvergenceError, said: str
) -> None:
    """Record that the first point of ``chain``, which others follow, has no solution; collective."""
    common_failure(recorder.guard, error)
    places = [recorder.axes.place(index, v) for v in chain]
    outcome, unsolved = without_solution(places, error)
    recorder.leave(unsolved, outcome, said)


def _branch(
    problem: UsadelProblem, rest: Point, biases: list[float], progress: SweepProgress | None
) -> GapBranch:
    """The branch of one chain of biases; says where it turns and where it ends."""

    def report(part: float, bias: float) -> None:
        if progress is not None:
            progress.within(f"the branch of solutions, at V_inj = {bias * 1e3:.4g} mV", part)

    branch = follow_gap(problem, rest, biases, report=report)
    if problem.device.mesh.comm.rank == 0:
        where = f", V_det = {rest.V_det:.6g} V" + (
            f", supercurrent {rest.supercurrent:g}" if rest.supercurrent else ""
        )
        for bias in branch.fold_biases:
            log.warning("the branch of solutions turns back at V_inj = %.6g V%s", bias, where)
        for bias in branch.missed:
            log.warning(
                "a solution of the branch is not found at V_inj = %.6g V%s, and missing there", bias, where
            )
        if abs(branch.biases[-1]) < abs(biases[-1]) or branch.end != REACHED:
            log.warning(
                "the branch of solutions ends at V_inj = %.6g V%s: %s", branch.biases[-1], where, branch.end
            )
    return branch


def _with_point(error: ConvergenceError, point: Point, sweep: Sweep, t: int) -> str:
    """The message with the sweep point in front, as far as it is not in there."""
    where = []
    if sweep.temperature:
        where.append(f"temperature {sweep.temperature[t]:g} K")
    if "V_inj" not in str(error):
        where.append(f"V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V")
        if point.supercurrent:
            where.append(f"supercurrent {point.supercurrent:g}")
    return ", ".join(where) + (": " if where else "") + str(error)


def _restored(problem: UsadelProblem, earlier: Checkpoint | None, place: tuple[int, ...]) -> Solution | None:
    """The solution that a checkpoint holds, as far as the next one starts from it, if it is at ``place``."""
    if earlier is None or tuple(earlier.numbers.get("place", ())) != place:
        return None
    v_inj, v_det, value, drain = earlier.numbers["point"]
    arrays = earlier.arrays
    phase = None
    if "phase" in arrays:
        phase = problem.restored_phase(arrays["superfluid"], arrays["phase"], float(drain))
    supercurrent_conductance = (
        phase.supercurrent_conductance
        if phase is not None and problem.coupling and phase.current != 0.0
        else None
    )
    spectral = SpectralState(arrays["gap"], arrays["depairing"], supercurrent_conductance)
    shape = problem.device.mesh.n_cells, problem.grid.n
    kinetic = KineticState.of_fields(arrays.get("f_L"), arrays.get("f_T"), shape)
    point = Point(float(v_inj), float(v_det), float(value))
    before = None
    if "gap_before" in arrays:
        first, second, third = (float(x) for x in earlier.numbers["point_before"])
        before = Point(first, second, third), arrays["gap_before"]
    return Solution(point, spectral, kinetic, phase, 0, earlier.numbers.get("leads"), before)


STUDY = UsadelStudy
