"""Records of the transport model at every time: densities, energies, spectra, checkpoint."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy import constants

from fvqp.case.boltzmann.observable import BoltzmannRun, BoltzmannSample
from fvqp.case.process import given_processes
from fvqp.case.recorder import Recorder
from fvqp.case.transport.build import TransportSetup
from fvqp.case.transport.schema import TransportCase
from fvqp.errors import CheckpointError
from fvqp.models.boltzmann import Counters, Moment, State
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.results.observable import define
from fvqp.typing import Floats

log = logging.getLogger(__name__)

NANOSECOND = 1e-9
#: Names of `Counters` in checkpoints, in their order.
COUNTERS = ("given_f", "given_n", "lost_f", "lost_n")


class TransportRecorder(Recorder):
    """Records the times of an evolution.

    Args:
        case, setup: what is run.
        times: seconds.
        comm: all ranks of the run.
        folder: where to write, or None.
    """

    def __init__(
        self,
        case: TransportCase,
        setup: TransportSetup,
        times: Floats,
        comm: MPI.Comm,
        folder: ResultsFolder | None,
    ) -> None:
        super().__init__(setup.mesh, comm, 1, folder)
        self.case, self.setup = case, setup
        self._run = BoltzmannRun(case, setup, setup.problem, setup.regions)
        self._observables = self._run.recorded()
        self.sweep = self._dataset(times)
        self.start: float | None = None
        self._said: set[tuple[str, str]] = set()

    # -- dataset

    def _dataset(self, times: Floats) -> SweepDataset:
        setup, case = self.setup, self.case
        grid, mesh = setup.problem.grid, setup.mesh
        unit, bounds = setup.units.energy / constants.e, self._run.bounds
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
            "energy": (("energy",), grid.energies * unit),
            "omega": (("omega",), grid.phonon_energies * unit),
            "energy_range": (("energy_range",), 0.5 * (bounds[1:] + bounds[:-1]) * unit),
            "energy_range_from": (("energy_range",), bounds[:-1] * unit),
            "energy_range_to": (("energy_range",), bounds[1:] * unit),
        }
        cells = self.cells(setup.cross_section or 1.0)
        if case.body is not None and cells:
            cells["radius_cell"] = cells.pop("x")
            shown = ("cell", "radius_cell", "cell_volume", "region", "in_region")
            cells = {name: cells[name] for name in shown if name in cells}
        coordinates |= cells
        if setup.regions:
            coordinates["region"] = (("region",), list(setup.regions))
        if self._run.exits:
            coordinates["exit"] = (("exit",), self._run.exits)
        if self._run.interfaces:
            names = [f"{first} to {second}" for first, second in self._run.interfaces]
            coordinates["interface"] = (("interface",), names)
        attributes = {
            "delta0_eV": unit,
            "tau0_s": setup.units.time,
            "density_unit_m-3": setup.units.density,
            "mesh_coordinates": mesh.coordinates,
        }
        place = None if self.folder is None else self.folder.path
        sweep = SweepDataset({"time": times}, coordinates, attributes, place)
        if cells:
            # Lines and faces need not have a cross-section.
            lengths = mesh.lengths if setup.cross_section is None else 3
            measure = {1: ("m", "length"), 2: ("m2", "area"), 3: ("m3", "volume")}[lengths]
            sweep.dataset["cell_volume"].attrs.update(units=measure[0], long_name=f"{measure[1]} of a cell")
        if setup.reference.strong is not None:
            there = setup.reference.strong.bin_weights(grid, case.energies.count).active[0]
            setup.reference.define_spectrum(sweep, grid, there)
        for one in self._observables:
            # Fields are collected on rank 0.
            if "cell" not in one.dims or self.comm.rank == 0:
                define(sweep, one, self._run)
        return sweep

    def _warn_of_processes(self, state: State) -> None:
        """Say once what processes doubt of states."""
        setup, evolves = self.setup, self.case.evolution is not None
        for key, process in given_processes(self.case):
            found = process.doubts_of_state(setup.problem, setup.mesh, state, setup.units, evolves=evolves)
            for kind, texts in found.items():
                if texts and (key, kind) not in self._said:
                    self._said.add((key, kind))
                    for text in texts if self.group.rank == 0 else []:
                        log.warning("%s: %s: %s", self.case.source, key, text)

    # -- a time

    def record(self, number: int, moment: Moment) -> None:
        """Takes over the state at a time, and writes when that is due. Collective over the group."""
        time = float(self.sweep.dataset["time"].values[number])
        if self.start is None:
            self.start = moment.ledger.stored - moment.ledger.received
        sample = BoltzmannSample(self._run, self.setup.problem, moment, self.start)
        values: dict[str, Any] = {}
        cells: dict[str, Floats] = {}
        for one in self._observables:
            found = one.values(sample)
            if "cell" not in one.dims:
                values |= found
                continue
            for name, field in found.items():
                self.gathered(field, self.sweep.at(name, (number,)) if self.comm.rank == 0 else None)
            if one.dims == ("cell",):
                cells |= found
        self._warn_of_processes(moment.state)
        self.keep((number,), values, None, f"t = {time:.3g} s")
        if self.case.output.fields and self.folder is not None:
            series = self.folder.series("fields", "time (ns)")
            series.write(self.mesh, time / NANOSECOND, cells)
        self.save(*self._state(moment))

    # -- checkpoints

    def _state(self, moment: Moment) -> tuple[dict[str, Floats], dict[str, NDArray[Any]]]:
        state, n_cells = moment.state, self.mesh.n_cells
        rate = np.zeros_like(state.gap) if state.gap_rate is None else state.gap_rate
        arrays = {}
        for name, owned in (("f", state.f), ("n", state.n), ("gap", state.gap), ("gap_rate", rate)):
            arrays[name] = np.zeros((n_cells, *owned.shape[1:]))
            arrays[name][: len(owned)] = owned
        assert self.start is not None
        numbers = dict(zip(COUNTERS, moment.counters, strict=True)) | {
            "start": np.array(self.start),
            "next_step": np.array(moment.next_step),
        }
        return arrays, numbers

    def restored(self, earlier: Checkpoint) -> tuple[State, Counters, float]:
        """State, counters and next step of a checkpoint."""
        n = self.mesh.n_owned
        arrays = {name: array[:n] for name, array in earlier.arrays.items()}
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
        self.start = float(earlier.numbers["start"])
        return state, counters, float(earlier.numbers["next_step"])
