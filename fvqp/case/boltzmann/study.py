"""Study of the Boltzmann equations: evolutions in time, or steady states, of films and of bodies in space.

A film is a body of one cell at the temperatures and strengths of its sweep: one rank computes a line of its
points. All ranks share the cells of a body, which has one line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.build import build_setup
from fvqp.case.boltzmann.film import Film
from fvqp.case.boltzmann.lengths import RegionLengths, length_rows, mesh_errors, warn_of_lengths
from fvqp.case.boltzmann.observable import BoltzmannRun, BoltzmannSample
from fvqp.case.boltzmann.recording import Begin, BoltzmannRecorder, Place
from fvqp.case.boltzmann.schema import AnyCase, BoltzmannCase, TransportCase
from fvqp.case.boltzmann.work import evolution_work, steady_work
from fvqp.case.evolution import recorded_times, steps_note
from fvqp.case.petsc_options import EVOLUTION, STEADY, check_options_used
from fvqp.case.run_time import Work
from fvqp.case.sizes import size_rows
from fvqp.case.study import Line, Study
from fvqp.collisions import PhotonDrive
from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.models.boltzmann import BoltzmannProblem, Moment, State, balanced_state, evolve
from fvqp.models.boltzmann.at_power import steady_at_power
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.evolution import STEPPERS
from fvqp.models.boltzmann.steady import SteadySolver
from fvqp.results.checkpoint import Checkpoint
from fvqp.results.folder import ResultsFolder
from fvqp.results.progress import LogPace
from fvqp.solvers.rate_balance import BalanceSolver
from fvqp.texts import percent, two_digits
from fvqp.typing import Bools, Floats

log = logging.getLogger(__name__)

GAPS, RATES = 4.0, 8.0
"""Steady states on the way to one with a gap that follows, and to one with given absorbed power."""
OF_QUASIPARTICLES = ("density", "density_profile", "energy_shells", "gap_profile")
"""Kinds of figures that show nothing of phonons."""
STEADY_START = 1e-8
"""Tolerance of the steady state of a body that an evolution starts from."""


class BoltzmannStudy(Study[BoltzmannRecorder]):
    """Evolutions in time, or steady states, of a film or a body.

    Attributes:
        setup: material, units, mesh, equations.
        axes: name → values of what is varied, in the order of the dimensions.
        film: what runs of films have beside those of bodies; None of a body.
    """

    case: AnyCase

    def __init__(self, case: AnyCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        self.setup = build_setup(case, comm, out=out if solve else Path(), solve=solve)
        self.sources = self.setup.reference.material.sources
        self.axes: dict[str, Floats] = {}
        self.film: Film | None = None
        if isinstance(case, BoltzmannCase):
            self.film = Film(case, self.setup)
            self.axes["temperature"] = np.array(case.sweep.temperature)
            if case.sweep.strength is not None:
                self.axes["strength"] = np.array(case.sweep.strength)
        if case.evolution is not None:
            self.axes["time"] = recorded_times(case.evolution)
        elif self.film is None:
            self.axes["time"] = np.zeros(1)
        self._check_options()
        if self.film is not None:
            self._check_sweep()
            self.film.warn_of_resolution()
        self.setup.media.warn_of_spectra()
        self._check_figures()

    def _check_figures(self) -> None:
        """Raise `CaseError` for a figure of what leaves where nothing can, and of quasiparticles where there
        are none. Collective."""
        leaves, has = bool(BoltzmannRun(self.case, self.setup).exits), self.setup.has_quasiparticles
        for number, figure in enumerate(self.case.figures):
            at = f'{self.case.source}: figures[{number}].kind: "{figure.kind}" shows'
            if figure.kind == "arrivals" and not leaves:
                raise CaseError(
                    f"{at} what leaves by walls and losses, and nothing can leave: every wall reflects, and "
                    "no process takes energy away"
                )
            if figure.kind in OF_QUASIPARTICLES and not has:
                raise CaseError(
                    f'{at} quasiparticles, which insulators do not have; "regions", "map" and "energies" '
                    "show their phonons"
                )

    def _check_options(self) -> None:
        """Raise `CaseError` for options of PETSc that no solver reads."""
        evolution, problem = self.case.evolution, self.setup.problem

        def rehearse() -> object:
            if evolution is not None:
                return STEPPERS[evolution.method](problem, evolution.tolerance, None)
            return None if self.film is None else BalanceSolver(CellEquations(problem))

        has = {EVOLUTION: evolution is not None, STEADY: evolution is None}
        check_options_used(self.case, STEADY if evolution is None else EVOLUTION, has, rehearse)

    def _check_sweep(self) -> None:
        """Make all equations and first states, so that what is wrong with them is said before anything is
        computed."""
        for bath in self.case.baths:
            problems = [self.setup.at(bath, strength) for strength in self._strengths]
            self.setup.initial(problems[0], bath)

    def report(self) -> Iterable[tuple[str, str]]:
        setup, grid = self.setup, self.setup.problem.grid
        energies = f"{grid.n} bins up to {grid.edges[-1]:.4g} Delta0, {grid.n_phonon} phonon energies"
        if self.film is not None:
            return [*setup.reference.report_rows(), ("energies", energies), *self.film.report_rows(self.axes)]
        mesh, size, times = setup.mesh, setup.size, self.axes["time"]
        assert size is not None
        directions = f"{size.directions[1]} of phonons"
        if setup.has_quasiparticles:
            directions = f"{size.directions[0]} of quasiparticles, {directions}"
        else:
            energies = f"{grid.n_phonon} of phonons; there are no quasiparticles in insulators"
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
            ("energies", energies),
            ("directions", directions),
            ("unknowns", f"{mesh.n_global * size.per_cell:.3g}"),
            ("states", states),
            ("memory", str(size)),
        ]

    def expected_work(self) -> Iterator[Work]:
        case, film, lines = self.case, self.film, self.lines()
        shared = len(lines) if film is not None else 0
        problem = self.problem(lines[0][0])
        state = self._first(lines[0][0], problem)
        if case.evolution is not None:
            if isinstance(case, TransportCase) and case.initial.steady:
                yield steady_work(lambda most: SteadySolver(problem, STEADY_START, most).solve(state))
            times = self.axes["time"] / self.setup.units.time
            yield evolution_work(problem, state, case.evolution, times, shared)
            return
        assert case.steady_state is not None
        tolerance = case.steady_state.tolerance
        if not isinstance(case, BoltzmannCase):
            yield steady_work(lambda most: SteadySolver(problem, tolerance, most).solve(state))
            return
        states = sum(map(len, lines)) * (GAPS if problem.gap_follows else 1.0)
        if any(mode.absorbed_power is not None for mode in case.microwaves):
            states *= RATES
        yield steady_work(
            lambda most: balanced_state(problem, state, tolerance=tolerance, max_iterations=most),
            states,
            shared,
        )

    def errors(self) -> list[str]:
        if self.film is not None:
            texts = self.film.errors()
        else:
            texts = mesh_errors(self._known_lengths)
            if self.setup.has_quasiparticles:
                width = self.case.energies.width.in_delta0(self.setup.units.energy)
                kt = self.setup.units.temperature(self.case.baths[0])
                texts.append(f"bins at the gap {two_digits(width / kt)} k_BT of the bath")
        if self.case.evolution is not None:
            texts.append(f"a step {percent(self.case.evolution.tolerance)} (evolution.tolerance)")
        return texts

    @cached_property
    def _known_lengths(self) -> RegionLengths:
        """Lengths in all regions of a body. Collective."""
        setup = self.setup
        assert isinstance(self.case, TransportCase)
        return RegionLengths(self.case, setup.problem, setup.state, setup.mesh, setup.units)

    def _lengths(self) -> RegionLengths:
        """Lengths in all regions of a body; warn of cells that do not resolve them. Collective."""
        assert isinstance(self.case, TransportCase)
        warn_of_lengths(self._known_lengths, self.case, self.comm)
        return self._known_lengths

    # -- points

    @property
    def _strengths(self) -> Sequence[float]:
        return [float(s) for s in self.axes.get("strength", (1.0,))]

    def point(self, place: Place) -> tuple[float, float]:
        """Temperature of the bath, kelvin, and strength of the drives at a place of the dataset."""
        bath = self.case.baths[place[0] if "temperature" in self.axes else 0]
        return bath, self._strengths[place[1] if "strength" in self.axes else 0]

    def lines(self) -> list[Line]:
        """Times of an evolution follow one another; steady states of a film from weak to strong drives do."""
        swept = len(self.axes) - ("time" in self.axes or "strength" in self.axes)
        lines: dict[Place, list[Place]] = {}
        for place in np.ndindex(*(len(values) for values in self.axes.values())):
            lines.setdefault(place[:swept], []).append(place)
        return list(lines.values())

    def problem(self, place: Place) -> BoltzmannProblem:
        """The equations at a place of the dataset."""
        return self.setup.problem if self.film is None else self.setup.at(*self.point(place))

    def _first(self, place: Place, problem: BoltzmannProblem) -> State:
        """State at the start, or first guess at a steady state."""
        return self.setup.state if self.film is None else self.setup.initial(problem, self.point(place)[0])

    def _where(self, place: Place) -> str:
        """A point of a sweep, in front of a message; empty of a body."""
        if self.film is None:
            return ""
        bath, strength = self.point(place)
        return f"temperature {bath:g} K" + (f", strength {strength:g}: " if "strength" in self.axes else ": ")

    # -- run

    def recorder(self, folder: ResultsFolder | None) -> BoltzmannRecorder:
        if self.film is None:
            self._lengths()
        recorder = BoltzmannRecorder(self.setup, self.axes, self.comm, folder)
        if self.film is not None:
            self.film.define(recorder.sweep)
        return recorder

    def compute(
        self, recorder: BoltzmannRecorder, settled: Bools, earlier: Checkpoint | None
    ) -> FvqpError | None:
        failure: FvqpError | None = None
        # The other lines and ranks finish what they can compute.
        goes_on = ConvergenceError if self.film is None else FvqpError
        for number, line in enumerate(self.lines()):
            done = [bool(settled[place]) for place in line]
            if number % recorder.groups != self.comm.rank % recorder.groups or all(done):
                continue
            missing = line[done.index(False) :]
            try:
                if self.case.evolution is None:
                    self._settle(missing, recorder)
                else:
                    self._evolve(missing, recorder, earlier)
            except goes_on as error:
                failure = failure or error
        return failure

    def _in_units(self, place: Place, error: ConvergenceError) -> ConvergenceError:
        """Return an error with its place and the unit of the times that it names."""
        unit = self.setup.units.time
        return ConvergenceError(f"{self._where(place)}{error} (in units of tau0 = {unit:.4g} s)")

    def _evolve(self, line: Line, recorder: BoltzmannRecorder, earlier: Checkpoint | None) -> None:
        """Times of a line from the first missing one on."""
        zero, first, times = (*line[0][:-1], 0), line[0][-1], self.axes["time"]
        problem, where = self.problem(zero), self._where(zero)
        if not first:
            state = self._first(zero, problem)
            begin = Begin(state, problem.ledger(state).stored)
        elif self.film is not None:
            begin = self.film.restored(recorder.sweep, (*zero[:-1], first - 1), problem)
        else:
            assert earlier is not None
            begin = recorder.restored(earlier)
        beside = None
        if self.film is not None:
            start = self.film.state_at(recorder.sweep, zero) if first else begin.state
            beside = self.film.of_evolution(problem, self.point(zero)[0], start, times)

        def record(number: int, moment: Moment) -> None:
            sample = BoltzmannSample(recorder.run, problem, moment, begin.start, begin.before)
            more = None if beside is None else partial(beside, number, sample)
            recorder.record((*zero[:-1], number), sample, f"t = {times[number]:.3g} s", more)

        state = begin.state
        if not first:
            record(0, problem.moment(state))
            if self.film is not None and state.gap[0] == 0.0:
                log.warning("%sthe superconductor is normal at the start", where)
        try:
            for number, moment in self._moments(problem, begin, max(first, 1), recorder):
                record(number, moment)
                log.debug("%d steps, %d refused", moment.steps, moment.refused)
                if self.film is not None and moment.state.gap[0] == 0.0 and state.gap[0] > 0.0:
                    log.warning("%sthe superconductor is normal at %.4g s", where, times[number])
                state = moment.state
        except ConvergenceError as error:
            raise self._in_units(zero, error) from None
        if self.film is not None:
            self.film.warn_of_state(state, where)

    def _moments(
        self, problem: BoltzmannProblem, begin: Begin, first: int, recorder: BoltzmannRecorder
    ) -> Iterator[tuple[int, Moment]]:
        """Yield numbers and moments of the recorded times from ``first`` on, and report progress."""
        evolution, progress, times = self.case.evolution, recorder.progress, self.axes["time"]
        assert evolution is not None and progress is not None
        unit = self.setup.units.time
        at, pace = times / unit, LogPace() if recorder.groups == 1 and self.film is None else None
        before = float(at[first - 1])

        def tell(now: float, _: State, limit: str) -> None:
            """Report the progress to the next of the recorded times, and steps."""
            nonlocal before
            to = int(np.searchsorted(at[:-1], now))
            part = float((now - at[to - 1]) / (at[to] - at[to - 1]))
            note = steps_note((now - before) * unit, limit)
            left = "" if pace is None else pace.left(now, float(at[-1]))
            progress.within(f"the way to t = {times[to]:.4g} s", part, note, left)
            before = now

        if pace is not None:
            progress.within("the way to the first time", 0.0)
        passing = evolve(
            problem,
            begin.state,
            at[first:],
            start=before,
            method=evolution.method,
            tolerance=evolution.tolerance,
            first_step=begin.next_step,
            counters=begin.counters,
            callback=tell,
        )
        yield from enumerate(passing, start=first)

    def _settle(self, line: Line, recorder: BoltzmannRecorder) -> None:
        """Steady states of a line, each from the one before it."""
        state: State | None = None
        rate: float | None = None
        for place in line:
            problem = self.problem(place)
            if state is None:
                state = self._first(place, problem)
                if self.film is not None and "strength" in self.axes and place[-1] > 0:
                    state = self.film.state_at(recorder.sweep, (*place[:-1], place[-1] - 1))
            state, rate = self._steady(place, problem, state, rate)
            moment = problem.moment(state)
            sample = BoltzmannSample(recorder.run, problem, moment, moment.ledger.stored)
            if self.film is None:
                recorder.record(place, sample, "t = 0 s")
                continue
            where = self._where(place)
            if state.gap[0] == 0.0:
                log.warning("%sthe superconductor is normal", where)
            self.film.warn_of_state(state, where)
            beside = partial(self.film.of_steady_state, sample, *self.point(place), rate)
            recorder.record(place, sample, where.removesuffix(": "), beside)

    def _steady(
        self, place: Place, problem: BoltzmannProblem, guess: State, rate: float | None
    ) -> tuple[State, float | None]:
        """A steady state, and the rate of absorption of photons whose power is given, in a film.

        Raises:
            ConvergenceError: none found.
        """
        wanted = self.case.steady_state
        assert wanted is not None
        tolerance, most = wanted.tolerance, wanted.maximum_iterations
        if self.film is None:
            try:
                return SteadySolver(problem, tolerance, most).solve(guess), None
            except ConvergenceError as error:
                raise self._in_units(place, error) from None
        at_power = [
            name
            for name, process in problem.media[0].medium.processes.items()
            if isinstance(process, PhotonDrive) and process.power is not None
        ]
        try:
            if len(at_power) != 1:
                found = balanced_state(problem, guess, tolerance=tolerance, max_iterations=most)
                return found.state, None
            found, rate = steady_at_power(
                problem, at_power[0], guess, rate=rate, tolerance=tolerance, max_iterations=most
            )
            return found.state, rate
        except ConvergenceError as error:
            raise ConvergenceError(f"{self._where(place)}{error}") from None


STUDY = BoltzmannStudy
