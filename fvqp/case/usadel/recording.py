"""What a run records at every sweep point: observables, ledger, fields, checkpoint."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy import constants

from fvqp.case.usadel.build import Sweep
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import ConvergenceError
from fvqp.models.analytic import long_wire_conductance
from fvqp.models.kinetics import L, T
from fvqp.models.usadel import Solution, UsadelProblem
from fvqp.results import ledger as ledgers
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.fields import FieldSeries
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.results.symmetry import is_mirrored, symmetry_parts
from fvqp.results.together import all_or_none, on_root

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

AXES = ("temperature", "supercurrent", "V_det", "V_inj")

#: Message tags between the groups of ranks.
_POINT, _DONE = 1, 2


class Recorder:
    """Collects the results of all groups of ranks on rank 0 of the run, and writes them as they come.

    Args:
        case, sweep, problems: what is run; one problem a temperature.
        comm: all ranks of the run; ``group``: those that share this mesh.
        folder: where to write, or None.
    """

    def __init__(
        self,
        case: UsadelCase,
        sweep: Sweep,
        problems: list[UsadelProblem],
        comm: MPI.Comm,
        group: MPI.Comm,
        folder: ResultsFolder | None,
    ) -> None:
        self.case = case
        self.comm, self.group = comm, group
        #: The ranks of the group on a communicator of their own, to find out whether all of them failed.
        self.guard = group.Dup()
        self.folder = folder
        self.progress: SweepProgress | None = None
        self.device = problems[0].device
        self._swept = tuple(name for name in AXES if getattr(sweep, name))
        self._axis = sweep
        detectors = [n for n, j in enumerate(self.device.junctions) if j.role == "detector"]
        #: Number of the junction → what is appended to the names of its observables; nothing for the first.
        self._detectors = {
            n: f"_{self.device.junctions[n].name}" if k else "" for k, n in enumerate(detectors)
        }
        self._injectors = [n for n, j in enumerate(self.device.junctions) if j.role == "injector"]
        self._arrays: dict[str, Floats] = {}
        self._point: dict[str, NDArray[Any]] = {}
        self.sweep = self._dataset(problems)

    def place(self, outer: tuple[int, ...], v: int) -> tuple[int, ...]:
        """Index of a point in the dataset: indices of the axes that are swept."""
        full = dict(zip(AXES, (*outer, v), strict=True))
        return tuple(full[name] for name in self._swept)

    # -- dataset
    # ----------------------------------------------------------------------------------------------

    def _dataset(self, problems: list[UsadelProblem]) -> SweepDataset:
        problem, axis = problems[0], self._axis
        axes: dict[str, Any] = {name: getattr(axis, name) for name in self._swept}
        unit = self.device.material.gap / constants.e
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
            "energy": (("energy",), problem.grid.centres * unit)
        }
        if axis.supercurrent:
            at_rest = [problem.at_rest(value)[1] for value in axis.supercurrent]
            axes["supercurrent"] = [0.0 if phase is None else phase.current for phase in at_rest]
            gradients = [0.0 if phase is None else phase.gradient for phase in at_rest]
            coordinates["phase_gradient"] = (("supercurrent",), gradients)
        if self.device.junctions:
            coordinates["junction"] = (("junction",), [j.name for j in self.device.junctions])
        figures = json.dumps([figure.model_dump() for figure in self.case.figures])
        output = self.case.output
        if output.stored:
            mesh = self.device.mesh
            centroids = self._gathered(mesh.centroid)
            if self.comm.rank == 0:
                coordinates["cell"] = (("cell",), np.arange(mesh.n_global))
                coordinates |= {name: (("cell",), centroids[:, k]) for k, name in enumerate("xyz")}
        attributes = {
            "title": self.case.title,
            "figures": figures,
            "delta0_eV": unit,
            "coherence_length_m": self.device.material.coherence_length,
        }
        sweep = SweepDataset(axes, coordinates, attributes)
        if self.device.junctions:
            sweep.define(
                self._junction_name("gap"), ("junction",), "eV", "pair potential under each junction"
            )
            for name in output.spectra:
                long_name = f"{name} under each junction"
                sweep.define(self._junction_name(name), ("junction", "energy"), "1", long_name)
        for suffix in filter(None, self._detectors.values()):
            sweep.define(f"I_det{suffix}", (), "A", f"current of detector {suffix[1:]}")
            long_name = f"non-local conductance dI_det/dV_inj of detector {suffix[1:]}"
            sweep.define(f"g_nl{suffix}", (), "S", long_name)
        if self.comm.rank == 0:
            for field in output.stored:
                sweep.define(field, ("cell", "energy") if field in ("dos", "f_L", "f_T") else ("cell",))
        if any(figure.compare == "analytic" for figure in self.case.figures):
            self._define_analytic(sweep, problems)
        return sweep

    def _junction_name(self, name: str) -> str:
        """Name of a quantity under the junctions; the plain one belongs to the cells if these are stored."""
        return f"{name}_junction" if name in self.case.output.stored else name

    def _define_analytic(self, sweep: SweepDataset, problems: list[UsadelProblem]) -> None:
        sweep.define("g_ss_analytic")
        biases = np.array(self._axis.V_inj or (0.0,))
        shape = [len(getattr(self._axis, name)) or 1 for name in AXES]
        values = np.empty(shape)
        for t, problem in enumerate(problems):
            for s, value in enumerate(self._axis.supercurrent or (0.0,)):
                values[t, s] = long_wire_conductance(problem, value, biases)
        kept = tuple(0 if name not in self._swept else slice(None) for name in AXES)
        sweep.dataset["g_ss_analytic"].values[...] = values[kept]

    # -- one point
    # --------------------------------------------------------------------------------------------

    def record(self, outer: tuple[int, ...], v: int, problem: UsadelProblem, solution: Solution) -> None:
        """Take over a solved point; collective over the group."""
        place = self.place(outer, v)
        values = self._observables(problem, solution)
        balance = self._ledger(problem, solution)
        stored = {
            name: self._gathered(self._cells(problem, solution, name)) for name in self.case.output.stored
        }
        values.update({name: array for name, array in stored.items() if self.group.rank == 0})
        label = f"V_inj = {solution.point.V_inj * 1e3:.4g} mV"
        if self.group.rank == 0:
            if self.comm.rank == 0:
                self._store(place, values, balance, label)
                self._drain()
            else:
                self.comm.send((place, values, balance, label), dest=0, tag=_POINT)
        if self.folder is not None:
            self._write_fields(outer, v, problem, solution)
            self._remember(place, solution)
            state = Checkpoint(self.sweep.completed, dict(self._arrays), dict(self._point))
            self.folder.save(self.device.mesh, state)

    def go_on_from(self, earlier: Checkpoint | None) -> None:
        """Keep the state of ``earlier`` until a point of this run replaces it."""
        if earlier is not None:
            self._arrays, self._point = earlier.arrays, earlier.numbers

    def finish(self, failure: ConvergenceError | None) -> None:
        """Wait for all groups, add the symmetry parts, write everything, draw the figures. Collective.

        Raises the ``failure`` of the first group that has one, on all ranks; what was computed is written.
        """
        if self.group.rank == 0 and self.comm.rank != 0:
            self.comm.send(None, dest=0, tag=_DONE)
        if self.comm.rank == 0:
            self._drain(wait_for=self.case.solver.groups - 1)
            self._add_parts()
            ledgers.Ledger.of(self.sweep.dataset).log()
        if self.folder is not None:
            state = Checkpoint(self.sweep.completed, dict(self._arrays), dict(self._point))
            self.folder.save(self.device.mesh, state, force=True)
        self.guard.Free()
        all_or_none(self.comm, failure)
        if self.folder is not None:
            for file in on_root(self.comm, lambda: self.result().plot()):
                if self.comm.rank == 0:
                    log.info("figure %s", file)

    def result(self) -> Result:
        """The results so far."""
        return Result(self.sweep.dataset, None if self.folder is None else self.folder.path)

    def _store(
        self, place: tuple[int, ...], values: dict[str, Any], balance: ledgers.Ledger, label: str
    ) -> None:
        again = bool(self.sweep.dataset["completed"].values[place])
        self.sweep.record(place, **values)
        balance.record(self.sweep, place)
        if self.progress is not None:
            self.progress.advance(label, 0 if again else 1)

    def _drain(self, wait_for: int | None = None) -> None:
        """Store what other groups have sent; with ``wait_for``, until that many of them are done."""
        if self.case.solver.groups == 1:
            return
        status = MPI.Status()
        while self.comm.Iprobe(tag=_POINT, status=status):
            self._store(*self.comm.recv(source=status.Get_source(), tag=_POINT))
        done = 0
        while done < (wait_for or 0):
            # A group's points come before its last word, so none is left once all are done.
            message = self.comm.recv(status=status)
            if status.Get_tag() == _DONE:
                done += 1
            else:
                self._store(*message)

    def _observables(self, problem: UsadelProblem, solution: Solution) -> dict[str, Any]:
        into = problem.junction_currents(solution.kinetic.currents)
        values: dict[str, Any] = {}
        slopes = problem.conductances(solution) if self._injectors else np.zeros(len(into))
        if self._injectors:
            values["I_inj"] = into[self._injectors].sum()
            values["G_inj"] = slopes[self._injectors].sum()
        for detector, suffix in self._detectors.items():
            # Out of the superconductor, through the detector.
            values[f"I_det{suffix}"], values[f"g_nl{suffix}"] = -into[detector], -slopes[detector]
        if solution.phase is not None:
            values["I_s"] = solution.phase.current
        if self.device.junctions:
            values[self._junction_name("gap")] = self._under(
                problem, solution.spectral.gap[:, None] * self.device.material.gap / constants.e
            )[:, 0]
            for name in self.case.output.spectra:
                values[self._junction_name(name)] = self._under(problem, self._cells(problem, solution, name))
        return values

    def _under(self, problem: UsadelProblem, cells: Floats) -> Floats:
        """Averages under all junctions of ``cells[n_cells or 1, ...]``."""
        n = self.device.mesh.n_cells
        full = np.broadcast_to(cells, (n, cells.shape[1])) if len(cells) == 1 else cells
        return np.array([problem.average_under(k, full) for k in range(len(self.device.junctions))])

    def _cells(self, problem: UsadelProblem, solution: Solution, name: str) -> Floats:
        """A field by name, ``(n_cells,)`` or ``(n_cells, n_energies)``, in the units of the results."""
        n = self.device.mesh.n_cells
        if name == "gap":
            gap = solution.spectral.gap * self.device.material.gap / constants.e
            return np.broadcast_to(gap, (n,)).copy()
        if name == "mu_Q":
            return problem.charge_potential(solution)
        if name == "charge_imbalance":
            return problem.charge_imbalance(solution)
        if name == "dos":
            dos = problem.kinetics.spectrum(solution.spectral).dos
            return np.broadcast_to(dos, (n, dos.shape[1])).copy()
        return problem.distribution(solution, L if name == "f_L" else T)

    def _ledger(self, problem: UsadelProblem, solution: Solution) -> ledgers.Ledger:
        balance = problem.ledger(solution)
        rows = {
            name: (float(balance.injected[k]), float(balance.relaxed[k]), float(balance.taken[k]))
            for k, name in enumerate(balance.rows)
        }
        return ledgers.Ledger(rows, {name: float(balance.scale[k]) for k, name in enumerate(balance.rows)})

    # -- fields and checkpoint
    # ----------------------------------------------------------------------------------

    def _write_fields(
        self, outer: tuple[int, ...], v: int, problem: UsadelProblem, solution: Solution
    ) -> None:
        output = self.case.output
        if self.folder is None or not output.fields or v % output.every:
            return
        fields: dict[str, Floats] = {}
        grid = problem.grid
        for name in output.fields:
            values = self._cells(problem, solution, name)
            if values.ndim == 1:
                fields[name] = values
                continue
            for energy in output.field_energies:
                at = energy.in_delta0(self.device.material.gap)
                grid.require_covers(at, "output.field_energies")
                column = int(np.clip(np.searchsorted(grid.edges, at, side="right") - 1, 0, grid.n - 1))
                fields[f"{name} at {at:.4g} Delta0"] = np.ascontiguousarray(values[:, column])
        self._series(outer).write(self.device.mesh, solution.point.V_inj * 1e3, fields)

    def _series(self, outer: tuple[int, ...]) -> FieldSeries:
        """One series a curve of the sweep; simply ``fields`` if there is one curve."""
        assert self.folder is not None
        swept = [
            (name, index)
            for name, index in zip(AXES[:3], outer, strict=True)
            if len(getattr(self._axis, name)) > 1
        ]
        return self.folder.series("fields" + "".join(f"_{name}_{index}" for name, index in swept))

    def _remember(self, place: tuple[int, ...], solution: Solution) -> None:
        n = self.device.mesh.n_cells
        phase, point = solution.phase, solution.point
        self._arrays = {
            "gap": np.broadcast_to(solution.spectral.gap, (n,)).copy(),
            "depairing": np.broadcast_to(solution.spectral.depairing, (n,)).copy(),
        }
        if phase is not None:
            self._arrays |= {"phase": phase.phase, "superfluid": phase.superfluid}
        drain = 0.0 if phase is None else phase.drain
        self._point = {
            "place": np.array(place, dtype=np.int64),
            "point": np.array([point.V_inj, point.V_det, point.supercurrent, drain]),
        }

    def _gathered(self, cells: Floats) -> Floats:
        """``cells`` of all ranks of the group in the order of the file, on its rank 0 (elsewhere empty)."""
        mesh = self.device.mesh
        rows = mesh.comm.gather((mesh.global_id[: mesh.n_owned], cells[: mesh.n_owned]))
        if rows is None:
            return np.empty(0)
        out = np.empty((mesh.n_global, *cells.shape[1:]))
        for ids, values in rows:
            out[ids] = values
        return out

    def _add_parts(self) -> None:
        """Symmetry parts (Eqs. 16-19) where the sweep has the mirror images they need."""
        dataset = self.sweep.dataset
        biases = np.array(self._axis.V_inj)
        if "g_nl" not in dataset or len(biases) < 2 or not is_mirrored(biases):
            return
        even = self.case.supercurrent is not None and not self.case.supercurrent.coupling
        if "supercurrent" in dataset.dims and not even and not is_mirrored(dataset["supercurrent"].values):
            return
        for name, part in symmetry_parts(dataset["g_nl"], even_in_supercurrent=even).items():
            dataset[name] = part
