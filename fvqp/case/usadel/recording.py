"""Records of a run at every sweep point: observables, ledger, fields, checkpoint."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.case.recorder import Recorder
from fvqp.case.usadel.comparison import elastic_sweep
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import ConvergenceError, FvqpError, SuperconductivityDestroyed
from fvqp.models.usadel.analytic import long_wire_conductance
from fvqp.models.usadel.branches import GapBranch
from fvqp.models.usadel.kinetics import L, T
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.results.dataset import Outcome, SweepDataset
from fvqp.results.fields import FieldSeries
from fvqp.results.folder import ResultsFolder
from fvqp.results.observable import define
from fvqp.results.progress import SweepProgress
from fvqp.study.observable import UsadelField, UsadelRun, UsadelSample, averages_under
from fvqp.study.recorded import add_symmetry_parts, point_balance, point_values, sweep_dataset
from fvqp.study.sweep import AXES, Sweep
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Solutions at one bias and folds of one branch that are recorded.
MAX_SOLUTIONS, MAX_FOLDS = 5, 6
BRANCH_DIMENSIONS = {
    "gap_solutions": ("junction", "solution"),
    "gap_fold": ("junction", "fold"),
    "V_fold": ("fold",),
}


class UsadelRecorder(Recorder):
    """Records the points of a sweep of biases.

    Args:
        case, sweep, problems: what is run; one problem a temperature.
        comm: all ranks of the run.
        folder: where to write, or None.
    """

    def __init__(
        self,
        case: UsadelCase,
        sweep: Sweep,
        problems: list[UsadelProblem],
        comm: MPI.Comm,
        folder: ResultsFolder | None,
    ) -> None:
        self.case = case
        self._problem, self.device = problems[0], problems[0].device
        self.axes = sweep
        #: Branch of solutions to which the biases belong that are recorded next; None if it is not followed.
        self.branch: GapBranch | None = None
        #: Whether warnings about the charge mode in normal and in superconducting cells have been given.
        self.warned = self.warned_of_relaxation = False
        self.run = UsadelRun(problems[0], case.output.spectra, case.output.stored)
        super().__init__(self.device.mesh, comm, case.solver.groups, folder)
        self.sweep = self._dataset(problems)

    # -- dataset
    # ----------------------------------------------------------------------------------------------

    def _dataset(self, problems: list[UsadelProblem]) -> SweepDataset:
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {}
        if self.case.gap.branches:
            coordinates["solution"] = (("solution",), np.arange(MAX_SOLUTIONS))
            coordinates["fold"] = (("fold",), np.arange(MAX_FOLDS))
        output = self.case.output
        if output.stored:
            coordinates |= self.cells(self.device.transverse)
        sweep = sweep_dataset(self.run, problems[0], self.axes, coordinates)
        if self.case.gap.branches:
            for name, dims in BRANCH_DIMENSIONS.items():
                sweep.define(name, dims)
        if self.comm.rank == 0:
            for field in output.stored:
                define(sweep, UsadelField.registry[field], self.run)
        if any(figure.compare == "analytic" for figure in self.case.figures):
            self._define_analytic(sweep, problems)
        elastic = {figure.variable or "gap" for figure in self.case.figures if figure.compare == "elastic"}
        if elastic:
            self._define_elastic(sweep, problems, elastic)
        return sweep

    def _define_analytic(self, sweep: SweepDataset, problems: list[UsadelProblem]) -> None:
        sweep.define("g_ss_analytic")
        biases = np.array(self.axes.V_inj or (0.0,))
        values = np.empty(self.axes.shape)
        for t, problem in enumerate(problems):
            for s, value in enumerate(self.axes.supercurrent or (0.0,)):
                values[t, s] = long_wire_conductance(problem, value, biases)
        variable = sweep.dataset["g_ss_analytic"]
        variable.values[...] = values.reshape(variable.shape)

    def _define_elastic(self, sweep: SweepDataset, problems: list[UsadelProblem], names: set[str]) -> None:
        """Gap and spectra under the junctions without collisions, ``<name>_elastic``."""
        for name in names:
            dims, unit = (("junction",), "eV") if name == "gap" else (("junction", "energy"), "1")
            sweep.define(f"{name}_elastic", dims, unit, f"{name} under each junction, without collisions")
        grid = problems[0].grid
        with SweepProgress(math.prod(self.axes.shape), self.comm) as progress:
            for index, problem, solution in elastic_sweep(problems, self.axes):
                for name in names:
                    under = UsadelSample(self.run, problem, solution).under(name)
                    found = under if name == "gap" else grid.averages(under, problem.grid)
                    sweep.dataset[f"{name}_elastic"].values[self.axes.place(index[:3], index[3])] = found
                progress.advance(f"without collisions, V_inj = {solution.point.V_inj * 1e3:.4g} mV")

    # -- one point
    # --------------------------------------------------------------------------------------------

    def record(self, outer: tuple[int, ...], v: int, problem: UsadelProblem, solution: Solution) -> None:
        """Take over a solved point; collective over the group."""
        place = self.axes.place(outer, v)
        found, at = point_values(self.run, problem, solution), UsadelSample(self.run, problem, solution)
        if self.case.gap.branches:
            found |= self._branch(problem, solution)
        stored = {name: self.gathered(at.field(name)) for name in self.case.output.stored}
        found.update({name: array for name, array in stored.items() if self.group.rank == 0})
        label = f"V_inj = {solution.point.V_inj * 1e3:.4g} mV"
        self.keep(place, found, point_balance(self.run, problem, solution), label)
        if self.folder is not None:
            self._write_fields(outer, v, problem, solution)
        self.save(*self._state(place, solution))

    def _branch(self, problem: UsadelProblem, solution: Solution) -> dict[str, Floats]:
        """Gaps of all solutions at the bias of a point, and folds of the branch, NaN where there are none."""
        branch, unit = self.branch, self.device.voltage_unit
        assert branch is not None, "it is followed before points are recorded"
        sizes = {"junction": len(self.device.junctions), "solution": MAX_SOLUTIONS, "fold": MAX_FOLDS}
        out = {
            name: np.full([sizes[dim] for dim in dims], np.nan) for name, dims in BRANCH_DIMENSIONS.items()
        }
        here = branch.crossings.get(solution.point.V_inj, [])[:MAX_SOLUTIONS]
        for k, gap in enumerate(here):
            out["gap_solutions"][:, k] = averages_under(problem, gap[:, None])[:, 0] * unit
        for k, gap in enumerate(branch.fold_gaps[:MAX_FOLDS]):
            out["gap_fold"][:, k] = averages_under(problem, gap[:, None])[:, 0] * unit
            out["V_fold"][k] = branch.fold_biases[k]
        return out

    def leave(self, places: list[tuple[int, ...]], outcome: Outcome, reason: str) -> None:
        """See `Recorder.leave`; collective over the group."""
        super().leave(places, outcome, reason)
        self.save(self._arrays, self._numbers)

    def shortfall(self) -> FvqpError | None:
        """Why the first point without a solution has none, and how many there are."""
        outcome = self.sweep.dataset["outcome"].values
        destroyed, failed, none = (
            int(np.count_nonzero(outcome == kind))
            for kind in (Outcome.DESTROYED, Outcome.NOT_CONVERGED, Outcome.NOT_COMPUTED)
        )
        if destroyed == failed == 0:
            return None
        counts = (
            (destroyed, "without superconductivity"),
            (failed, "not converged"),
            (none, "beyond these, not computed"),
        )
        said = ", ".join(f"{number} {what}" for number, what in counts if number)
        messages = [min(self.reasons)[1]] if self.reasons else []
        if outcome.size > 1 or not messages:
            messages.append(f"of {outcome.size} points: {said}")
        kind = ConvergenceError if failed else SuperconductivityDestroyed
        return kind("; ".join(messages))

    # -- fields and checkpoint
    # ----------------------------------------------------------------------------------

    def _write_fields(
        self, outer: tuple[int, ...], v: int, problem: UsadelProblem, solution: Solution
    ) -> None:
        output = self.case.output
        if self.folder is None or not output.fields or v % output.every:
            return
        fields: dict[str, Floats] = {}
        grid, sample = problem.grid, UsadelSample(self.run, problem, solution)
        for name in output.fields:
            field = sample.field(name)
            if field.ndim == 1:
                fields[name] = field
                continue
            for energy in output.field_energies:
                at = energy.in_delta0(self.device.material.gap)
                grid.require_covers(at, "output.field_energies")
                column = int(np.clip(np.searchsorted(grid.edges, at, side="right") - 1, 0, grid.n - 1))
                fields[f"{name} at {at:.4g} Delta0"] = np.ascontiguousarray(field[:, column])
        self._series(outer).write(self.device.mesh, solution.point.V_inj * 1e3, fields)

    def _series(self, outer: tuple[int, ...]) -> FieldSeries:
        """One series a curve of the sweep; simply ``fields`` if there is one curve."""
        assert self.folder is not None
        swept = [
            (name, index)
            for name, index in zip(AXES[:3], outer, strict=True)
            if len(getattr(self.axes, name)) > 1
        ]
        name = "fields" + "".join(f"_{axis}_{index}" for axis, index in swept)
        return self.folder.series(name, "V_inj (mV)")

    def _state(
        self, place: tuple[int, ...], solution: Solution
    ) -> tuple[dict[str, Floats], dict[str, NDArray[Any]]]:
        """Return the state from which the next bias can start."""
        n = self.device.mesh.n_cells
        phase, point = solution.phase, solution.point
        arrays = {
            "gap": np.broadcast_to(solution.spectral.gap, (n,)).copy(),
            "depairing": np.broadcast_to(solution.spectral.depairing, (n,)).copy(),
        }
        if phase is not None:
            arrays |= {"phase": phase.phase, "superfluid": phase.superfluid}
        if self.case.collisions is not None:
            # Newton's method starts from them.
            arrays["f_L"] = solution.kinetic.deviation(L)
            if solution.spectral.supercurrent_conductance is not None or self.case.collisions.charge:
                arrays["f_T"] = solution.kinetic.deviation(T)
        drain = 0.0 if phase is None else phase.drain
        numbers = {
            "place": np.array(place, dtype=np.int64),
            "point": np.array([point.V_inj, point.V_det, point.supercurrent, drain]),
        }
        if solution.leads is not None:
            numbers["leads"] = solution.leads
        if solution.before is not None:
            neighbour, gap = solution.before
            arrays["gap_before"] = np.broadcast_to(gap, (n,)).copy()
            numbers["point_before"] = np.array([neighbour.V_inj, neighbour.V_det, neighbour.supercurrent])
        return arrays, numbers

    def complete(self) -> None:
        """Symmetry parts (Eqs. 16-19) where the sweep has the mirror images they need."""
        add_symmetry_parts(self.sweep.dataset, self.axes, self._problem)
