"""Records of points of sweeps and of times: observables, fields, and the state that a body resumes from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy import constants

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.observable import BoltzmannRun, BoltzmannSample
from fvqp.case.process import given_processes
from fvqp.case.recorder import Recorder
from fvqp.errors import CheckpointError
from fvqp.models.boltzmann import Counters, State
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.results.observable import define
from fvqp.typing import Floats

log = logging.getLogger(__name__)

Place = tuple[int, ...]
NANOSECOND = 1e-9
#: Names of `Counters` in checkpoints, in their order.
COUNTERS = ("given_f", "given_n", "lost_f", "lost_n")


class Begin(NamedTuple):
    """State from which an evolution goes on.

    Attributes:
        state: occupations and gap.
        start: energy at time 0, less what had come in, in 4 N0 Δ0² times volume.
        before: energy that sources gave and energy that left before, where counters begin anew.
        counters: what came and went before; None if they begin anew.
        next_step: length of the next step, τ0; None for a short one.
    """

    state: State
    start: float
    before: tuple[float, float] = (0.0, 0.0)
    counters: Counters | None = None
    next_step: float | None = None


class BoltzmannRecorder(Recorder):
    """Records points of sweeps of films, and times of bodies.

    A run of films goes on from its results, see `film`, one of a body from its checkpoint.

    Args:
        setup: what is run.
        axes: name → values of what is varied, in the order of the dimensions.
        comm: all ranks of the run.
        folder: where to write, or None.
    """

    def __init__(
        self,
        setup: BoltzmannSetup,
        axes: dict[str, Floats],
        comm: MPI.Comm,
        folder: ResultsFolder | None,
    ) -> None:
        super().__init__(setup.mesh, comm, comm.size // setup.mesh.comm.size, folder)
        self.case: Any = setup.case
        self.setup = setup
        self.run = BoltzmannRun(setup.case, setup)
        self._observables = self.run.recorded()
        self.sweep = self._dataset(axes)
        self._said: set[tuple[str, str]] = set()

    # -- dataset

    def _dataset(self, axes: dict[str, Floats]) -> SweepDataset:
        setup, grid, film = self.setup, self.setup.problem.grid, self.run.film
        unit = setup.units.energy / constants.e
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
            "energy": (("energy",), grid.energies * unit),
            "omega": (("omega",), grid.phonon_energies * unit),
        }
        attributes: dict[str, Any] = {
            "delta0_eV": unit,
            "tau0_s": setup.units.time,
            "density_unit_m-3": setup.units.density,
        }
        place = None
        if film:
            attributes["tau0_pb_s"] = setup.reference.coupling.pair_breaking_time * setup.units.time
        else:
            coordinates |= self._space(unit)
            attributes["mesh_coordinates"] = self.mesh.coordinates
            place = None if self.folder is None else self.folder.path
        sweep = SweepDataset(axes, coordinates, attributes, place)
        if "cell" in coordinates:
            # Lines and faces need not have a cross-section.
            lengths = self.mesh.lengths if setup.cross_section is None else 3
            measure = {1: ("m", "length"), 2: ("m2", "area"), 3: ("m3", "volume")}[lengths]
            sweep.dataset["cell_volume"].attrs.update(units=measure[0], long_name=f"{measure[1]} of a cell")
        setup.reference.define_spectrum(sweep, grid, setup.media.rule)
        for one in self._observables:
            # Fields are collected on rank 0.
            if film or "cell" not in one.dims or self.comm.rank == 0:
                define(sweep, one, self.run)
        return sweep

    def _space(self, unit: float) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Coordinates of cells, regions, and places that particles pass; ``unit`` of energies in eV."""
        bounds = self.run.bounds
        found: dict[str, tuple[tuple[str, ...], Any]] = {
            "energy_range": (("energy_range",), 0.5 * (bounds[1:] + bounds[:-1]) * unit),
            "energy_range_from": (("energy_range",), bounds[:-1] * unit),
            "energy_range_to": (("energy_range",), bounds[1:] * unit),
        }
        cells = self.cells(self.setup.cross_section or 1.0)
        if self.case.body is not None and cells:
            cells["radius_cell"] = cells.pop("x")
            shown = ("cell", "radius_cell", "cell_volume", "region", "in_region")
            cells = {name: cells[name] for name in shown if name in cells}
        found |= cells
        if self.setup.regions:
            found["region"] = (("region",), list(self.setup.regions))
        if self.run.exits:
            found["exit"] = (("exit",), self.run.exits)
        if self.run.interfaces:
            names = [f"{first} to {second}" for first, second in self.run.interfaces]
            found["interface"] = (("interface",), names)
        return found

    # -- a point

    def record(
        self,
        place: Place,
        sample: BoltzmannSample,
        label: str,
        beside: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """Take over a state, and write when that is due. Collective over the group.

        Args:
            place: of the dataset.
            sample: the state.
            label: how progress calls it.
            beside: returns further values from those of observables.
        """
        values: dict[str, Any] = {}
        cells: dict[str, Floats] = {}
        for one in self._observables:
            found = one.values(sample)
            if self.run.film or "cell" not in one.dims:
                values |= found
                continue
            for name, field in found.items():
                self.gathered(field, self.sweep.at(name, place) if self.comm.rank == 0 else None)
            if one.dims == ("cell",):
                cells |= found
        if beside is not None:
            values |= beside(values)
        self._warn_of_processes(sample)
        self.keep(place, values, None, label)
        if self.run.film:
            self.save({}, {})
            return
        if self.case.output.fields and self.folder is not None:
            series, time = self.folder.series("fields", "time (ns)"), self.sweep.dataset["time"].values
            series.write(self.mesh, float(time[place]) / NANOSECOND, cells)
        self.save(*self._state(sample))

    def _warn_of_processes(self, at: BoltzmannSample) -> None:
        """Say once what processes doubt of states."""
        evolves = self.case.evolution is not None
        for key, process in given_processes(self.case):
            found = process.doubts_of_state(at.problem, self.mesh, at.state, at.units, evolves=evolves)
            for kind, texts in found.items():
                if texts and (key, kind) not in self._said:
                    self._said.add((key, kind))
                    for text in texts if self.group.rank == 0 else []:
                        log.warning("%s: %s: %s", self.case.source, key, text)

    # -- checkpoint

    def _state(self, sample: BoltzmannSample) -> tuple[dict[str, Floats], dict[str, NDArray[Any]]]:
        """Arrays and numbers of the checkpoint of a body."""
        state, n_cells, moment = sample.state, self.mesh.n_cells, sample.moment
        rate = np.zeros_like(state.gap) if state.gap_rate is None else state.gap_rate
        arrays = {}
        for name, owned in (("f", state.f), ("n", state.n), ("gap", state.gap), ("gap_rate", rate)):
            arrays[name] = np.zeros((n_cells, *owned.shape[1:]))
            arrays[name][: len(owned)] = owned
        numbers = dict(zip(COUNTERS, moment.counters, strict=True)) | {
            "start": np.array(sample.start),
            "next_step": np.array(moment.next_step),
        }
        return arrays, numbers

    def restored(self, earlier: Checkpoint) -> Begin:
        """Return the state that the evolution of a body goes on from; raise `CheckpointError`."""
        arrays = {name: array[: self.mesh.n_owned] for name, array in earlier.arrays.items()}
        moved = arrays["gap_rate"] if self.setup.problem.gap_follows else None
        state = State(arrays["f"], arrays["n"], arrays["gap"], moved)
        counters = Counters(*(np.asarray(earlier.numbers[name]) for name in COUNTERS))
        for name, found, needed in zip(COUNTERS, counters, self.setup.problem.no_counters(), strict=True):
            if found.shape != needed.shape:
                raise CheckpointError(
                    f"checkpoint.h5: {name} counts what passed {len(found)} places, this program needs "
                    f"{len(needed)}: an earlier version counted other walls and interfaces; choose "
                    "another folder"
                )
        start, next_step = (float(earlier.numbers[name]) for name in ("start", "next_step"))
        return Begin(state, start, counters=counters, next_step=next_step)
