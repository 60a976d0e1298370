"""Study of localized quasiparticles: independent runs of all points, shared among the ranks."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from mpi4py import MPI

from fvqp.case.evolution import recorded_times
from fvqp.case.localized.build import MICROMETRE, LocalizedPoints
from fvqp.case.localized.schema import LocalizedCase
from fvqp.case.petsc_options import HOPS, LAW, PAIRS, RELAXATION, check_options_used
from fvqp.case.run_time import Work
from fvqp.case.study import PointStudy
from fvqp.errors import FvqpError
from fvqp.mesh import shape_mesh
from fvqp.models.localized import (
    Estimate,
    LocalizedDensity,
    LongRun,
    Simulation,
    combined,
    density,
    estimate,
    measure_steady,
)
from fvqp.models.localized.domain import sphere_volume
from fvqp.models.localized.low_rates import LOW_RATES, MIN_POINTS, fit_low_rates
from fvqp.models.localized.statistics import RELIABLE, errors_of_columns
from fvqp.parallel import run_on_root
from fvqp.results.dataset import QUANTITIES, SweepDataset
from fvqp.results.fields import FieldSeries
from fvqp.results.files import make_folder
from fvqp.results.result import Result
from fvqp.texts import percent
from fvqp.typing import Floats

Values = dict[str, Any]
log = logging.getLogger(__name__)

POINT = ("radius", "spin", "generation")
#: Averages between start and end, and parts of the time before.
AVERAGES, PARTS = 160, 16
#: Lifetimes that a run to the usual accuracy takes (measured: 80 to 200), and births that are timed.
SETTLED, TIMED = 100.0, 2e4
#: Folder in the results folder of the states of long runs, while they run.
RUNS = "runs"


class LocalizedStudy(PointStudy):
    """Independent runs of all points."""

    case: LocalizedCase

    def __init__(self, case: LocalizedCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        pairs, hops = case.law.closure == "pairs", case.law.diffusivity is not None
        in_time = case.relaxation is not None and not pairs
        has = {PAIRS: pairs, RELAXATION: in_time, HOPS: hops, LAW: in_time or hops}
        check_options_used(case, "[law]", has, lambda: density.read_options(in_time))
        self.plan = LocalizedPoints(case)
        self.sources = {"constants": "given in the case" if case.material is None else "material of the case"}
        self.warnings = self.plan.warnings()
        self.refines = self.plan.mesh is not None
        self.runs = None if out is None else out / RUNS
        self.resumes = False

    def report(self) -> Iterable[tuple[str, str]]:
        plan = self.plan
        shape = "periodic box" if plan.mesh is None else f"mesh of {plan.mesh.n_global} cells"
        constant = f"{plan.constant / MICROMETRE**3:.4g} um^3/s"
        points = [place for place in plan.places() if place[3] == 0]
        counts = ", ".join(map(str, plan.shape[:3]))
        yield "radius", ", ".join(f"{value / MICROMETRE:.4g}" for value in plan.radius) + " um"
        yield "annihilation", "at once" if plan.constant == 0.0 else constant
        yield "domain", shape
        yield "sweep", f"{len(points)} points: {counts} of radius, spin, generation"
        yield "runs", f"{self.case.monte_carlo.runs} of each point"
        if plan.simulated:
            numbers = [plan.particles(place) for place in points]
            yield "particles", f"about {min(numbers):.3g} to {max(numbers):.3g}"

    def expected_work(self) -> Iterator[Work]:
        """Events of all runs, and solutions of the law of annihilation; some are simulated."""
        plan, places = self.plan, self.plan.places()
        if plan.simulated:
            numbers = [self._events(place) for place in places]
            some = [plan.simulation(places[k]) for k in (0, len(places) // 2, -1)]

            def simulate() -> float:
                before = sum(one.events for one in some)
                for one in some:
                    births = float(np.sum(one.generation * one.domain.cell_volume))
                    one.advance([one.time + TIMED / births])
                return float(sum(one.events for one in some) - before)

            # far enough for compiled loops to be there, and quasiparticles too
            simulate()

            yield Work("events", sum(numbers), simulate, len(places))
        points = list(np.ndindex(plan.shape[:3]))

        def law() -> float:
            _closed_forms(plan, points[len(points) // 2])
            return 1.0

        yield Work("laws", len(points), law)

    def errors(self) -> list[str]:
        table = self.case.monte_carlo
        if not self.plan.simulated or table.start is not None:
            return []
        return [f"statistical, one standard deviation: {percent(table.accuracy)} (monte_carlo.accuracy)"]

    def _events(self, place: tuple[int, ...]) -> float:
        """Expected number of events of a run: births, deaths by pairs, and flips of spins."""
        plan, table = self.plan, self.case.monte_carlo
        particles, volume = plan.particles(place), plan.domain(place[0], place[2]).volume
        births = float(plan.generation[place[2]]) * volume
        lasts = SETTLED * particles / births
        if table.start is not None and table.end is not None:
            lasts = table.end
        else:
            wanted = min(table.accuracy * math.sqrt(table.runs), 0.5)
            lasts = max(lasts, 2.0 / (births * wanted**2)) * (1.0 if plan.mesh is None else 2.0)
        flips = 0.0 if math.isnan(time := plan.flip_time(place[1])) else particles / time
        return lasts * (1.5 * births + flips)

    def where(self, place: tuple[int, ...]) -> str:
        return self.plan.where(place)

    def dataset(self) -> SweepDataset:
        plan = self.plan
        case = plan.case
        axes = {
            "radius": plan.radius,
            "spin": np.array(case.sweep.spin),
            "generation": plan.generation,
            "run": np.arange(plan.shape[3]),
        }
        flips = np.array([plan.flip_time(spin) for spin in range(plan.shape[1])])
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {"flip_time": (("spin",), flips)}
        if case.relaxation is not None:
            coordinates["time"] = (("time",), recorded_times(case.relaxation)[1:])
        if plan.mesh is not None:
            centres = plan.in_file_order(plan.mesh.centroid)
            coordinates["cell"] = (("cell",), np.arange(plan.mesh.n_global))
            coordinates |= {axis: (("cell",), centres[:, k]) for k, axis in enumerate("xyz"[: _axes(plan)])}
        sweep = SweepDataset(
            axes,
            coordinates,
            {
                "annihilation_m3_per_s": plan.constant,
                "pairs": case.annihilation.pairs,
                "seed": case.monte_carlo.seed,
                "random_numbers": "xoshiro256++ from numpy.random.SeedSequence(seed, spawn_key=(radius, "
                "spin, generation, run)), places counted from 0",
            },
        )
        if plan.simulated:
            for name in ("concentration_run", "concentration_run_error", "independent", "correlation_time"):
                sweep.define(name)
            if case.relaxation is not None:
                sweep.define("decay_run", ("time",))
            if plan.mesh is not None:
                sweep.define("concentration_cell_run", ("cell",))
                sweep.define("concentration_cell_run_error", ("cell",))
        return sweep

    def values(self, place: tuple[int, ...], sweep: SweepDataset) -> Values:
        if not self.plan.simulated:
            return {}
        new = self.plan.simulation(place)
        simulation: Simulation | LongRun = new
        if self.runs is not None:
            make_folder(self.runs)
            kept = self.runs / f"{'-'.join(map(str, place))}.npz"
            if not self.resumes:
                kept.unlink(missing_ok=True)
            simulation = LongRun(new, kept, self.case.hash)
        values = _averages(self.plan, simulation)
        if self.case.relaxation is not None:
            simulation.set_generation(0.0)
            after = simulation.advance(simulation.time + recorded_times(self.case.relaxation)[1:])
            values["decay_run"] = after.number[1:] / after.volume
        return values

    def complete(self, sweep: SweepDataset) -> None:
        _complete(self.plan, sweep)

    def run(self, resume: bool) -> Result:
        self.resumes = resume
        result = super().run(resume)
        if self.plan.mesh is not None and result.folder is not None:
            run_on_root(self.comm, lambda: _write_fields(self.plan, result))
        if (runs := self.runs) is not None:
            run_on_root(self.comm, lambda: shutil.rmtree(runs, ignore_errors=True))
        return result


def _axes(plan: LocalizedPoints) -> int:
    """Coordinates that differ from cell to cell."""
    assert plan.mesh is not None
    return max(k + 1 for k in range(3) if np.ptp(plan.mesh.points[:, k]) > 0.0)


def _averages(plan: LocalizedPoints, simulation: Simulation | LongRun) -> Values:
    """Concentration of the steady state (or of the interval that the case asks for)."""
    table, on_mesh = plan.case.monte_carlo, plan.mesh is not None
    if table.start is not None and table.end is not None:
        simulation.advance(table.start * np.arange(1, PARTS + 1) / PARTS)
        interval = (table.end - table.start) / AVERAGES
    else:
        # Of several runs each need not be as accurate as their mean.
        wanted = min(table.accuracy * math.sqrt(table.runs), 0.5)
        steady = measure_steady(simulation, wanted, max_events=table.max_events)
        found, polarization, interval = steady.concentration, steady.polarization, steady.interval
    if table.start is not None or on_mesh:
        # Cells are averaged over as long again, once the steady state has been found.
        number = AVERAGES if table.start is not None else len(polarization)
        times = simulation.time + interval * np.arange(1, number + 1)
        trajectory = simulation.advance(times, cells=on_mesh)
        found, polarization = estimate(trajectory.concentration), trajectory.polarization
    values: Values = {
        "concentration_run": found.mean,
        "concentration_run_error": found.error,
        "independent": found.independent,
        "correlation_time": found.time * interval,
        "events": simulation.events,
    }
    if simulation.spins:
        values["spin_polarization"] = float(np.abs(polarization).mean())
    if on_mesh:
        values["concentration_cell_run"] = trajectory.cells.mean(axis=0)
        values["concentration_cell_run_error"] = errors_of_columns(trajectory.cells)
    return values


def _complete(plan: LocalizedPoints, sweep: SweepDataset) -> None:
    """Adds means over the runs, the law of annihilation, and mean field."""
    dataset = sweep.dataset
    if plan.simulated:
        _combine_runs(plan, dataset)
    cells = plan.mesh is not None
    law: dict[str, Floats] = {}
    for place in np.ndindex(plan.shape[:3]):
        for name, value in _closed_forms(plan, place).items():
            law.setdefault(name, np.full((*plan.shape[:3], *np.shape(value)), np.nan))[place] = value
    for name, values in law.items():
        more = ("cell",) if name.endswith(("_cell", "_cell_law")) and cells else ()
        _add(dataset, name, (*POINT, *more, *(("time",) if name == "decay_law" else ())), values)


def _combine_runs(plan: LocalizedPoints, dataset: xr.Dataset) -> None:
    mean, error = np.full((2, *plan.shape[:3]), np.nan)
    parts = [dataset[name].values for name in ("concentration_run", "concentration_run_error", "independent")]
    few = 0
    for place in np.ndindex(plan.shape[:3]):
        runs = [Estimate(m, e, 1.0, n) for m, e, n in zip(*(part[place] for part in parts), strict=True)]
        runs = [one for one in runs if np.isfinite(one.mean)]
        if runs:
            found = combined(runs)
            mean[place], error[place] = found.mean, found.error
            few += found.independent < RELIABLE
    _add(dataset, "concentration", POINT, mean)
    _add(dataset, "concentration_error", POINT, error)
    if few:
        text = f"{few} of {mean.size} points have fewer than {RELIABLE:g} independent samples: run longer"
        dataset.attrs["warnings"] = "\n".join(filter(None, [dataset.attrs["warnings"], text]))
        log.warning("%s: %s", plan.case.source, text)
    if plan.case.annihilation.pairs == "bubbles":
        volume = sphere_volume(3) * plan.radius[:, None, None] ** 3
        _add(dataset, "packing_coefficient", POINT, mean * volume)
        _add(dataset, "packing_coefficient_error", POINT, error * volume)
    elif plan.mesh is None:
        _fit_low_rates(plan, dataset, mean, error)
    n = plan.shape[3]
    if plan.case.relaxation is not None:
        decay = dataset["decay_run"].values
        _add(dataset, "decay", (*POINT, "time"), decay.mean(axis=3))
        if n > 1:
            _add(dataset, "decay_error", (*POINT, "time"), decay.std(axis=3, ddof=1) / math.sqrt(n))
    if plan.mesh is not None:
        values, errors = (dataset[f"concentration_cell_run{end}"].values for end in ("", "_error"))
        _add(dataset, "concentration_cell", (*POINT, "cell"), values.mean(axis=3))
        own = np.sqrt(np.sum(errors**2, axis=3)) / n
        _add(dataset, "concentration_cell_error", (*POINT, "cell"), own)


def _fit_low_rates(plan: LocalizedPoints, dataset: xr.Dataset, mean: Floats, error: Floats) -> None:
    """Adds β and b of the published steady state for every radius without spin that has enough points."""
    found = np.full((4, *plan.shape[:2]), np.nan)
    for place in np.ndindex(plan.shape[:2]):
        volume = plan.radius[place[0]] ** 3
        alpha = plan.generation * volume**2 / plan.constant
        low = (alpha <= LOW_RATES * (1.0 + 1e-9)) & np.isfinite(mean[place]) & (error[place] > 0.0)
        if plan.case.sweep.spin[place[1]] == "none" and np.count_nonzero(low) >= MIN_POINTS:
            fit = fit_low_rates(alpha[low], mean[place][low] * volume, error[place][low] * volume)
            found[(slice(None), *place)] = fit[:4]
    if np.isfinite(found).any():
        names = ("exponent", "exponent_error", "factor", "factor_error")
        for name, values in zip(names, found, strict=True):
            _add(dataset, f"low_rate_{name}", ("radius", "spin"), values)


def _closed_forms(plan: LocalizedPoints, place: tuple[int, ...]) -> Values:
    """Return closed forms of the law of annihilation and of mean field at a point, without bubbles and
    spins."""
    radius, spin, generation = place
    closure, rates = plan.closure(radius), plan.rates(generation)
    values: Values = {}
    if plan.mesh is not None:
        cells = np.broadcast_to(rates, plan.mesh.n_cells).astype(float)
        values["generation_cell"] = plan.in_file_order(cells)
    if closure is None:
        return values
    mean = plan.mesh.volume / plan.mesh.volume.sum() if plan.mesh is not None else np.ones(1)
    values["concentration_mean_field"] = float(np.sum(mean * closure.mean_field(rates)))
    if plan.case.sweep.spin[spin] != "none":
        return values
    pairs = plan.pair_closure(radius)
    if pairs is not None:
        try:
            steady = pairs.stationary(values["generation_cell"])
        except FvqpError as error:
            where = plan.where((*place, 0))
            raise type(error)(f"{plan.case.source}: law.closure: {where}: {error}") from None
        values["concentration_law"] = float(np.sum(plan.in_file_order(mean) * steady))
        values["concentration_cell_law"] = steady
        return values
    mesh = plan.mesh or shape_mesh("grid1d", nx=1, Lx=1.0, comm=MPI.COMM_SELF)
    hops = plan.case.law.diffusivity or 0.0
    density = LocalizedDensity(mesh, closure, rates, diffusivity=hops, warn=hops > 0.0)
    steady = density.steady()
    values["concentration_law"] = float(np.sum(mean * steady))
    if plan.mesh is not None:
        values["concentration_cell_law"] = plan.in_file_order(steady)
    if plan.case.relaxation is not None:
        decay = density.relax(steady, recorded_times(plan.case.relaxation)[1:], generation=0.0)
        values["decay_law"] = decay @ mean
    return values


def _add(dataset: xr.Dataset, name: str, dims: tuple[str, ...], values: Floats) -> None:
    dataset[name] = (dims, values, dict(QUANTITIES[name]._asdict()))


def _write_fields(plan: LocalizedPoints, result: Result) -> None:
    """One step for ParaView for each point, numbered from 0 in the order of the results."""
    assert plan.mesh is not None and result.folder is not None
    series = FieldSeries(result.folder)
    shown = {
        "generation_cell": "generation (1/(s um^3))",
        "concentration_cell": "concentration (1/um^3)",
        "concentration_cell_error": "concentration_error (1/um^3)",
        "concentration_cell_law": "concentration_law (1/um^3)",
    }
    stored = {name: result.dataset[name].values * MICROMETRE**3 for name in shown if name in result.dataset}
    for number, place in enumerate(np.ndindex(plan.shape[:3])):
        fields = {shown[name]: values[place][plan.mesh.global_id] for name, values in stored.items()}
        series.write(plan.mesh, float(number), fields)


STUDY = LocalizedStudy
