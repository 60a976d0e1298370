"""Study of the Boltzmann model: evolutions in time, or steady states."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import constants
from scipy.special import k1

from fvqp.case.boltzmann import efficiency
from fvqp.case.boltzmann.analytic import ClosedForms
from fvqp.case.boltzmann.build import build_processes, build_setup, initial_state
from fvqp.case.boltzmann.evolution import check_solver_options, recorded_moments
from fvqp.case.boltzmann.observable import BoltzmannRun, BoltzmannSample
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.case.evolution import recorded_times
from fvqp.case.study import Line, PointRecorder, PointStudy
from fvqp.collisions import PhotonDrive, quasiparticle_density, thermal
from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import (
    BoltzmannProblem,
    Moment,
    State,
    SteadyState,
    balanced_state,
    separate_cells,
)
from fvqp.models.boltzmann.at_power import steady_at_power
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.cell_steps import CellSteps
from fvqp.results.dataset import SweepDataset
from fvqp.results.observable import define
from fvqp.solvers.rate_balance import BalanceSolver
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Bin widths in k_BT above which thermal distributions are not resolved.
COARSE = 0.5
#: Error of the density of a film that keeps its phonons for long, by bin width over k_BT, where phonon modes
#: are not split at 2Δ (measured: 0.35 to 0.62), and the error from which on a warning names it.
TRAPPED_ERROR = 0.6
MAX_TRAPPED_ERROR = 0.1
#: Part of the energy axis, and of the energy of quasiparticles that may be in it before a warning says so.
END, CROWDED = 0.1, 0.01
#: Part of the quasiparticles under photons below twice the gap that may be in the bins at the gap.
FOOT = 0.05
#: Bytes by two bins of photon steps, whose phonons many points share (measured with 936 bins).
PAIR = 500.0


class BoltzmannStudy(PointStudy):
    """Evolutions in time, or steady states, of a homogeneous device.

    Attributes:
        setup: material, units, grid, collisions.
        axes: name → values of what is swept, in the order of the dimensions.
    """

    case: BoltzmannCase

    def __init__(self, case: BoltzmannCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        self.setup = build_setup(case)
        self.sources = self.setup.reference.material.sources
        self.closed_forms = ClosedForms(case, self.setup)
        self.axes: dict[str, Floats] = {"temperature": np.array(case.sweep.temperature)}
        if case.sweep.strength is not None:
            self.axes["strength"] = np.array(case.sweep.strength)
        if case.evolution is not None:
            self.axes["time"] = recorded_times(case.evolution)
        self._run = BoltzmannRun(case, self.setup, self._validated())
        self._observables = self._run.recorded()

    def report(self) -> Iterable[tuple[str, str]]:
        setup, grid = self.setup, self.setup.grid
        memory = 8.0 * (3.0 * grid.n**2 + 4.0 * grid.n * grid.n_phonon) / 2**20
        if grid.step:
            memory += PAIR * grid.n**2 / 2**20
        points = int(np.prod([len(values) for values in self.axes.values()]))
        return [
            *setup.reference.report_rows(),
            ("energies", f"{grid.n} bins up to {grid.edges[-1]:.4g} Delta0, {grid.n_phonon} phonon energies"),
            ("sweep", f"{points} points" + "".join(f", {len(v)} {k}" for k, v in self.axes.items())),
            ("memory", f"about {memory:.0f} MiB on a rank"),
        ]

    def _validated(self) -> BoltzmannProblem:
        """Make all equations and first states, so that what is wrong with them is said before anything is
        computed; return the last equations."""
        for t, s in self.lines_of_drives():
            problem = self.problem(t, s)
            if s == 0:
                self._initial(problem, t)
        self._check_options(problem)
        self._warn_of_resolution()
        setup = self.setup
        setup.reference.warn_of_spectrum(setup.grid, setup.units.energy, max(self.case.sweep.temperature))
        return problem

    def _check_options(self, problem: BoltzmannProblem) -> None:
        """Raise `CaseError` for options of PETSc that no solver reads."""
        evolution = self.case.evolution
        if evolution is None:
            check_solver_options(self.case, lambda: BalanceSolver(CellEquations(problem)))
        else:
            tolerance = evolution.tolerance
            check_solver_options(self.case, lambda: CellSteps(problem, tolerance, None))

    def _warn_of_resolution(self) -> None:
        """Bins too wide for k_BT, and what that costs."""
        setup, coldest = self.setup, min(self.case.sweep.temperature)
        width = self.case.energies.width.in_delta0(setup.units.energy)
        kt = setup.units.temperature(coldest)
        trapped = TRAPPED_ERROR * width / kt if self._traps_phonons() else 0.0
        if width <= COARSE * kt and trapped <= MAX_TRAPPED_ERROR:
            return
        errors = []
        if setup.strong is None:
            # ∫ρ f dE = Δ Σ_k (−1)^{k+1} K_1(kΔ/k_BT)
            k = np.arange(1.0, 40.0)
            exact = setup.gap * float(np.sum(np.where(k % 2 == 1, 1.0, -1.0) * k1(k * setup.gap / kt)))
            found = float(quasiparticle_density(setup.bin_weights(setup.gap), thermal(setup.grid, kt).f)[0])
            if exact > 0.0:
                errors.append(f"by {100.0 * abs(found / exact - 1.0):.2g} % in equilibrium")
        if trapped > 0.0:
            errors.append(f"by up to {100.0 * trapped:.2g} % out of it where phonons are trapped")
        log.warning(
            "%s: energies.width: bins of %.3g Delta0 do not resolve thermal distributions at %g K%s; a "
            "tenth of k_BT is %.2g Delta0",
            self.case.source,
            width,
            coldest,
            f": the density is off {', '.join(errors)}" if errors else "",
            0.1 * kt,
        )

    def _traps_phonons(self) -> bool:
        """Return True where phonons break pairs at points that stand for modes below 2Δ too."""
        setup = self.setup
        split = setup.grid.step > 0.0 or setup.bin_weights(setup.gap).phonon_shares is not None
        return self.case.phonons.model == "dynamic" and not split

    def lines_of_drives(self) -> list[tuple[int, int]]:
        """Indices of temperature and strength."""
        strengths = range(len(self.case.sweep.strength or (1.0,)))
        return [(t, s) for t in range(len(self.case.sweep.temperature)) for s in strengths]

    def problem(self, t: int, s: int) -> BoltzmannProblem:
        """The equations at a temperature and strength."""
        strength = 1.0 if self.case.sweep.strength is None else self.case.sweep.strength[s]
        processes = build_processes(self.case, self.setup, self.case.sweep.temperature[t], strength)
        medium = replace(self.setup.medium, processes=processes)
        return BoltzmannProblem(separate_cells(), self.setup.grid, medium)

    def _place(self, t: int, s: int, *more: int) -> tuple[int, ...]:
        return (t, s, *more) if "strength" in self.axes else (t, *more)

    def lines(self, shape: tuple[int, ...]) -> list[Line]:
        """Times of an evolution follow one another; steady states from weak to strong drives do."""
        if "time" in self.axes:
            times = range(len(self.axes["time"]))
            return [[self._place(t, s, k) for k in times] for t, s in self.lines_of_drives()]
        strengths = range(len(self.axes.get("strength", (1.0,))))
        return [[self._place(t, s) for s in strengths] for t in range(len(self.axes["temperature"]))]

    def dataset(self) -> SweepDataset:
        setup = self.setup
        unit = setup.units.energy / constants.e
        coordinates = {
            "energy": (("energy",), setup.grid.energies * unit),
            "omega": (("omega",), setup.grid.phonon_energies * unit),
        }
        attributes = {
            "delta0_eV": unit,
            "tau0_s": setup.units.time,
            "tau0_pb_s": setup.collisions.coupling.pair_breaking_time * setup.units.time,
            "density_unit_m-3": setup.units.density,
        }
        sweep = SweepDataset(self.axes, coordinates, attributes)
        for one in self._observables:
            define(sweep, one, self._run)
        if "strength" in self.axes and (read := _strength(self.case)) is not None:
            attributes = dict(zip(("symbol", "factor", "shown_units"), read, strict=True))
            sweep.dataset["strength"].attrs.update(attributes)
        self.closed_forms.define(sweep)
        if self.case.evolution is not None:
            sweep.define("next_step", (), "s", "length of the next time step; NaN at the start")
            sweep.define("gap_rate", (), "eV s-1", "rate of change of the gap; NaN at the start")
        setup.reference.define_spectrum(sweep, setup.grid, setup.bin_weights(setup.gap).active[0])
        return sweep

    def work(self, line: Line, recorder: PointRecorder) -> None:
        (self._steady_line if self.case.evolution is None else self._evolution_line)(line, recorder)

    # -- evolutions
    # ------------------------------------------------------------------------------------------------

    def _evolution_line(self, line: Line, recorder: PointRecorder) -> None:
        """Times from the first missing one on."""
        evolution = self.case.evolution
        assert evolution is not None
        times, first = self.axes["time"], line[0][-1]
        t, s = line[0][0], line[0][1] if "strength" in self.axes else 0
        problem = self.problem(t, s)
        zero = (*line[0][:-1], 0)
        begin = self._restored(recorder, zero) if first else self._initial(problem, t)
        bath = self.case.sweep.temperature[t]
        closed = self.closed_forms.decay(bath, begin.f[:, 0], times)
        rest = problem.ledger(problem.thermal(self.setup.units.temperature(bath)))
        state, next_step, before = begin, None, (0.0, 0.0)
        at_start = problem.moment(begin)
        stored, unit = at_start.ledger.stored, self.setup.units.time

        def record(number: int, moment: Moment) -> None:
            sample = BoltzmannSample(self._run, problem, moment, stored, before)
            values = self._values(sample) | closed[number]
            if number:
                units, rate = self.setup.units, moment.state.gap_rate
                gap_rate = 0.0 if rate is None else float(rate[0])
                values["next_step"] = moment.next_step * units.time
                values["gap_rate"] = gap_rate * units.energy / constants.e / units.time
            values |= efficiency.of_evolution(sample, rest)
            recorder.record((*zero[:-1], number), values, f"t = {times[number]:.3g} s")

        if first == 0:
            record(0, at_start)
            first = 1
            if state.gap[0] == 0.0:
                log.warning("%sthe superconductor is normal at the start", self._where(t, s))
        else:
            last = (*zero[:-1], first - 1)
            state, dataset = self._restored(recorder, last), recorder.sweep.dataset
            step = float(dataset["next_step"].values[last])
            next_step = None if np.isnan(step) else step / unit
            density = self.setup.units.energy_density
            injected, escaped = (dataset[f"energy_{what}"].values[last] for what in ("injected", "escaped"))
            before = float(injected) / density, float(escaped) / density
        passing = recorded_moments(
            problem, state, evolution, times, unit, first, recorder.progress, first_step=next_step
        )
        try:
            for number, moment in passing:
                record(number, moment)
                if moment.state.gap[0] == 0.0 and state.gap[0] > 0.0:
                    log.warning("%sthe superconductor is normal at %.4g s", self._where(t, s), times[number])
                state = moment.state
            self._warn_of_the_end(state, self._where(t, s))
            self._warn_of_the_foot(state, self._where(t, s))
        except ConvergenceError as error:
            raise ConvergenceError(f"{self._where(t, s)}{error} (in units of tau0 = {unit:.4g} s)") from None

    def _initial(self, problem: BoltzmannProblem, t: int) -> State:
        """State at the start."""
        return initial_state(self.case, self.setup.units, problem, self.case.sweep.temperature[t])

    def _restored(self, recorder: PointRecorder, place: tuple[int, ...]) -> State:
        """State of a point that was computed before, with the rate at which its gap moved."""
        units, dataset = self.setup.units, recorder.sweep.dataset
        f, n, gap = (dataset[name].values[place] for name in ("f", "n", "gap"))
        unit = units.energy / constants.e
        rate = float(dataset["gap_rate"].values[place]) if "gap_rate" in dataset else np.nan
        follows = self.setup.self_consistent is not None and not np.isnan(rate)
        moved = np.array([rate / unit * units.time]) if follows else None
        return State(f[None, None].copy(), n[None, None].copy(), np.array([gap / unit]), moved)

    # -- steady states
    # ------------------------------------------------------------------------------------------------

    def _steady_line(self, line: Line, recorder: PointRecorder) -> None:
        """Strengths from the first missing one on, each from the state before it."""
        wanted = self.case.steady_state
        assert wanted is not None
        t = line[0][0]
        state: State | None = None
        rate: float | None = None
        for place in line:
            s = place[1] if "strength" in self.axes else 0
            strength = float(self.axes["strength"][s]) if "strength" in self.axes else 1.0
            problem = self.problem(t, s)
            if state is None:
                state = self._restored(recorder, (t, s - 1)) if s else self._initial(problem, t)
            try:
                found, rate = self._steady(problem, state, rate)
            except ConvergenceError as error:
                raise ConvergenceError(f"{self._where(t, s)}{error}") from None
            state = found.state
            if state.gap[0] == 0.0:
                log.warning("%sthe superconductor is normal", self._where(t, s))
            self._warn_of_the_end(state, self._where(t, s))
            self._warn_of_the_foot(state, self._where(t, s))
            sample = BoltzmannSample(self._run, problem, problem.moment(state))
            values = self._values(sample)
            if rate is not None:
                values["drive_rate"] = rate / self.setup.units.time
            bath = self.case.sweep.temperature[t]
            values |= efficiency.of_steady_state(sample, bath)
            values |= self.closed_forms.steady(bath, strength, values)
            recorder.record(place, values, self._where(t, s).removesuffix(": "))

    def _steady(
        self, problem: BoltzmannProblem, guess: State, rate: float | None
    ) -> tuple[SteadyState, float | None]:
        """A steady state, and the rate of absorption of photons whose power is given."""
        wanted = self.case.steady_state
        assert wanted is not None
        tolerance, most = wanted.tolerance, wanted.maximum_iterations
        at_power = [
            name
            for name, process in problem.media[0].medium.processes.items()
            if isinstance(process, PhotonDrive) and process.power is not None
        ]
        if len(at_power) != 1:
            return balanced_state(problem, guess, tolerance=tolerance, max_iterations=most), None
        return steady_at_power(
            problem, at_power[0], guess, rate=rate, tolerance=tolerance, max_iterations=most
        )

    def _values(self, sample: BoltzmannSample) -> dict[str, Any]:
        found = {name: value for one in self._observables for name, value in one.values(sample).items()}
        return found | self.closed_forms.lifetimes(sample.gap)

    def _warn_of_the_end(self, state: State, where: str) -> None:
        """Quasiparticles that reach the last bins would go on to higher energies."""
        grid = self.setup.grid
        energy = (self.setup.bin_weights(float(state.gap[0])).number * grid.energies * state.f[:, 0])[0]
        last = grid.energies > (1.0 - END) * grid.edges[-1]
        share = float(energy[last].sum() / max(energy.sum(), np.finfo(float).tiny))
        if share > CROWDED:
            log.warning(
                "%s%.2g of the energy of quasiparticles is in the last tenth of the axis, which ends at %.3g "
                "Delta0: too small an energies.maximum",
                where,
                share,
                grid.edges[-1],
            )

    def _warn_of_the_foot(self, state: State, where: str) -> None:
        """Quasiparticles that photons below twice the gap gather in the bins at the gap."""
        grid, gap, unit = self.setup.grid, float(state.gap[0]), self.setup.units.energy
        energies = [mode.photon_energy.in_delta0(unit) for mode in self.case.microwaves]
        if not energies or min(energies) >= 2.0 * gap:
            return
        held = (self.setup.bin_weights(gap).number * state.f[:, 0])[0]
        share = float(held[grid.edges[:-1] <= gap].sum() / max(held.sum(), np.finfo(float).tiny))
        if share > FOOT:
            cure = 'energies.spacing = "steps" resolves them, for gap.model = "fixed"'
            log.warning(
                "%s%.2g of the quasiparticles are in the bins at the gap, where those that photons of %.3g "
                "Delta0 heat gather: their density depends on energies.width%s",
                where,
                share,
                min(energies),
                "" if grid.step else f"; {cure}",
            )

    def _where(self, t: int, s: int) -> str:
        """A point, in front of a message."""
        where = f"temperature {self.case.sweep.temperature[t]:g} K"
        return where + (f", strength {self.axes['strength'][s]:g}: " if "strength" in self.axes else ": ")


def _strength(case: BoltzmannCase) -> tuple[str, float, str] | None:
    """Symbol, factor and unit of what a strength stands for; None where it stands for several things."""
    if len(case.microwaves) + len(case.injections) != 1:
        return None
    if case.microwaves:
        (mode,) = case.microwaves
        if mode.photons is not None:
            return "$\\bar n$", mode.photons, "1"
        assert mode.absorbed_power is not None
        return "$P$", mode.absorbed_power, "W m-3"
    power = case.injections[0].power
    return None if power is None else ("$P$", power, "W m-3")


STUDY = BoltzmannStudy
