"""Records of the transport model at every time: densities, energies, spectra, checkpoint."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy import constants

from fvqp.case.recorder import Recorder
from fvqp.case.transport.build import TransportSetup
from fvqp.case.transport.localization import doubts_of_law
from fvqp.case.transport.probe import Probed
from fvqp.case.transport.schema import TransportCase
from fvqp.models.boltzmann import BoltzmannLedger, Counters, Moment, State
from fvqp.models.boltzmann.steady import net_power
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.folder import ResultsFolder
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Ranges of energy that are counted unless the case says which.
RANGES = 5
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
        self._volume = float(self.group.allreduce(float(setup.problem.body.volume.sum())))
        self._bounds = self._ranges()
        self.sweep = self._dataset(times)
        self.start: float | None = None
        self._said: set[str] = set()
        self._probe = None if case.resonator is None else Probed(case.resonator, setup)

    # -- what is stored

    def _ranges(self) -> Floats:
        """Bounds of energy ranges, Δ0."""
        given, maximum = self.case.output.energy_shells, float(self.setup.problem.grid.edges[-1])
        if given is None:
            return np.linspace(1.0, maximum, RANGES + 1)
        return np.array([bound.in_delta0(self.setup.units.energy) for bound in given])

    def _dataset(self, times: Floats) -> SweepDataset:
        setup, case = self.setup, self.case
        grid, mesh = setup.problem.grid, setup.mesh
        unit = setup.units.energy / constants.e
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
            "energy": (("energy",), grid.energies * unit),
            "omega": (("omega",), grid.phonon_energies * unit),
            "energy_range": (("energy_range",), 0.5 * (self._bounds[1:] + self._bounds[:-1]) * unit),
            "energy_range_from": (("energy_range",), self._bounds[:-1] * unit),
            "energy_range_to": (("energy_range",), self._bounds[1:] * unit),
        }
        cells = self.cells()
        if case.body is not None and cells:
            cells["radius_cell"] = cells.pop("x")
            shown = ("cell", "radius_cell", "cell_volume", "region", "in_region")
            cells = {name: cells[name] for name in shown if name in cells}
        coordinates |= cells
        if setup.regions:
            coordinates["region"] = (("region",), list(setup.regions))
        attributes = {
            "delta0_eV": unit,
            "tau0_s": setup.units.time,
            "density_unit_m-3": setup.units.density,
            "mesh_coordinates": mesh.coordinates,
        }
        place = None if self.folder is None else self.folder.path
        sweep = SweepDataset({"time": times}, coordinates, attributes, place)
        if cells:
            # Lines and faces have no cross-section here.
            measure = {1: ("m", "length"), 2: ("m2", "area"), 3: ("m3", "volume")}[mesh.lengths]
            sweep.dataset["cell_volume"].attrs.update(units=measure[0], long_name=f"{measure[1]} of a cell")
        strong = setup.reference.strong
        if strong is not None:
            factor = strong.renormalization_of_bins(grid)
            there = strong.bin_weights(grid, case.energies.count).active[0]
            sweep.set_coordinate("renormalization", ("energy",), np.where(there, factor, np.nan))
            sweep.set_coordinate("interaction", ("omega",), strong.interaction(grid))
            sweep.dataset.attrs["Z0"] = strong.renormalization
        sweep.define("n_qp_range", ("energy_range",))
        sweep.define("n_qp_spectrum", ("energy",))
        for name in ("energy_ph_spectrum", "escaped_spectrum"):
            sweep.define(name, ("omega",))
        if setup.regions:
            for name in ("n_qp_region", "x_qp_region"):
                sweep.define(name, ("region",))
        if self.comm.rank == 0:
            for name in ("gap", "n_qp_cell", "energy_qp_cell", "energy_ph_cell"):
                sweep.define(name, ("cell",))
            if case.localization is not None:
                sweep.define("n_localized_cell", ("cell",))
            if case.output.occupations:
                sweep.define("f", ("cell", "energy"))
                sweep.define("n", ("cell", "omega"))
        return sweep

    def _check_law(self, state: State) -> None:
        """Say once what the law of annihilation does not hold for."""
        setup, evolves = self.setup, self.case.evolution is not None
        found = doubts_of_law(setup.problem, setup.mesh, state, setup.units, evolves=evolves)
        for kind, texts in found.items():
            if texts and kind not in self._said:
                self._said.add(kind)
                for text in texts if self.group.rank == 0 else []:
                    log.warning("%s: localization: %s", self.case.source, text)

    # -- a time

    def record(self, number: int, moment: Moment) -> None:
        """Takes over the state at a time, and writes when that is due. Collective over the group."""
        problem, units = self.setup.problem, self.setup.units
        state, time = moment.state, float(self.sweep.dataset["time"].values[number])
        if self.start is None:
            self.start = moment.ledger.stored - moment.ledger.received
        cells = {
            "gap": state.gap * units.energy / constants.e,
            "n_qp_cell": problem.densities(state) * units.density,
            "energy_qp_cell": problem.quasiparticle_energies(state) * units.energy_density,
            "energy_ph_cell": problem.phonon_energies(state) * units.energy_density,
        }
        values = self._totals(state, moment.counters, moment.ledger)
        if self.case.localization is not None:
            localized = problem.localized(state)
            cells["n_localized_cell"] = localized * units.density
            mean = self.group.allreduce(float(localized @ problem.body.volume)) / self._volume
            values["n_localized"] = mean * units.density
            self._check_law(state)
        values |= self._of_regions(cells["n_qp_cell"])
        if self.case.evolution is None:
            values |= self._powers(state)
        if self._probe is not None:
            values |= self._probe.seen(state)
        for name, field in cells.items():
            self._collect(number, name, field)
        if self.case.output.occupations:
            self._collect(number, "f", problem.mean_f(state.f))
            self._collect(number, "n", problem.mean_n(state.n))
        self.keep((number,), values, None, f"t = {time:.3g} s")
        if self.case.output.fields and self.folder is not None:
            series = self.folder.series("fields", "time (ns)")
            series.write(self.mesh, time / NANOSECOND, cells)
        self.save(*self._state(moment))

    def _collect(self, number: int, name: str, field: Floats) -> None:
        """Values of all cells at a time, straight to their place in the dataset of rank 0."""
        self.gathered(field, self.sweep.at(name, (number,)) if self.comm.rank == 0 else None)

    def _totals(self, state: State, counters: Counters, ledger: BoltzmannLedger) -> dict[str, Any]:
        problem, units, volume = self.setup.problem, self.setup.units, self._volume
        grid, local = problem.grid, problem.local
        spectra = np.concatenate(
            [
                np.sum(local.weight_f * problem.mean_f(state.f), axis=0),
                np.sum(local.weight_n * problem.mean_n(state.n), axis=0) * grid.phonon_energies,
            ]
        )
        self.group.Allreduce(MPI.IN_PLACE, spectra)
        number, energy = spectra[: grid.n] / volume, spectra[grid.n :] / volume
        ranges = np.searchsorted(self._bounds, grid.energies, side="right") - 1
        inside = (ranges >= 0) & (ranges < len(self._bounds) - 1)
        counted = np.bincount(ranges[inside], number[inside], minlength=len(self._bounds) - 1)
        lost = counters.wall_outflux_n.sum(axis=0)
        injected = escaped = 0.0
        for row, name in enumerate(local.external_processes):
            if name == "escape" or name.startswith("trapping"):
                lost = lost - counters.source_n[row]
                escaped -= ledger.given[name]
            else:
                injected += ledger.given[name]
        escaped += sum(ledger.lost.values())
        assert self.start is not None
        per_volume = units.energy_density / volume
        return {
            "n_qp": ledger.number / volume * units.density,
            "x_qp": 2.0 * ledger.number / volume,
            "energy_qp": ledger.quasiparticles * per_volume,
            "energy_ph": ledger.phonons * per_volume,
            "energy_condensate": ledger.condensate * per_volume,
            "energy_injected": injected * per_volume,
            "energy_escaped": escaped * per_volume,
            "energy_residual": (ledger.stored - self.start + escaped - injected) * per_volume,
            "n_qp_range": counted * units.density,
            "n_qp_spectrum": number * units.density,
            "energy_ph_spectrum": energy * units.energy_density,
            "escaped_spectrum": lost * grid.phonon_energies * per_volume,
        }

    def _powers(self, state: State) -> dict[str, Any]:
        """Return the powers of sources and losses in a steady state."""
        named, left = net_power(self.setup.problem, state)
        per_volume = self.setup.units.power_density / self._volume
        injected = sum(
            power for name, power in named.items() if name.startswith(("injections", "microwaves"))
        )
        return {
            "power_injected": injected * per_volume,
            "power_escaped": (injected - left) * per_volume,
            "power_residual": left * per_volume,
        }

    def _of_regions(self, density: Floats) -> dict[str, Any]:
        if not self.setup.regions:
            return {}
        volume = self.setup.problem.body.volume
        sums = np.array(
            [[density[cells] @ volume[cells], volume[cells].sum()] for cells in self.setup.regions.values()]
        )
        self.group.Allreduce(MPI.IN_PLACE, sums)
        means = sums[:, 0] / sums[:, 1]
        return {"n_qp_region": means, "x_qp_region": 2.0 * means / self.setup.units.density}

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
        self.start = float(earlier.numbers["start"])
        return state, counters, float(earlier.numbers["next_step"])
