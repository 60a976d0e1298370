"""Base of the observables of the Boltzmann equations, and what they are computed from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.resonator import RESPONSE, Probed
from fvqp.collisions import ElectronPhonon, Pair, inverse_lifetimes
from fvqp.collisions.observables import InverseLifetimes
from fvqp.collisions.process import is_sink
from fvqp.energy import BinWeights
from fvqp.models.boltzmann import BoltzmannLedger, BoltzmannProblem, Moment, State
from fvqp.models.boltzmann.steady import net_power
from fvqp.registry import Registry
from fvqp.results.observable import Observable, Variable, wrong
from fvqp.typing import Floats

#: Ranges of energy that are counted unless the case says which.
RANGES = 5


class BoltzmannRun:
    """A run of a film or a body, as its observables know it.

    Attributes:
        case, setup: as named.
        problem: the equations; of a sweep those of its first point.
        units: of the setup.
        regions: name → owned cells.
        film: True for a homogeneous film, one cell whose results have no dimension ``cell``.
        volume: of the body, in its mesh's measure.
    """

    def __init__(self, case: Any, setup: BoltzmannSetup) -> None:
        self.case, self.setup, self.problem = case, setup, setup.problem
        self.units, self.regions = setup.units, setup.regions
        self.film = case.model == "boltzmann"
        self.volume = float(self.sum(self.problem.cells.volume))

    def recorded(self) -> list[BoltzmannObservable]:
        """Return the observables that are recorded."""
        model = self.case.model
        return [one for one in BoltzmannObservable.registry if model in one.models and one.applies(self)]

    def sum(self, values: Floats) -> Floats:
        """Return ``values[n_owned, ...]`` summed over the cells of all ranks. Collective."""
        out = np.atleast_1d(np.sum(values, axis=0))
        self.problem.cells.comm.Allreduce(MPI.IN_PLACE, out)
        return out if np.ndim(values) > 1 else out[0]

    @cached_property
    def bounds(self) -> Floats:
        """Bounds of energy ranges, Δ0."""
        given, maximum = self.case.output.energy_shells, float(self.problem.grid.edges[-1])
        if given is None:
            return np.linspace(1.0, maximum, RANGES + 1)
        return np.array([bound.in_delta0(self.units.energy) for bound in given])

    @cached_property
    def sinks(self) -> frozenset[str]:
        """Names of the processes that take away, in place of bringing."""
        processes = [item for one in self.problem.media for item in one.medium.processes.items()]
        return frozenset(name for name, process in processes if is_sink(process))

    @cached_property
    def exits(self) -> list[str]:
        """Names of walls that let energy out, and of losses."""
        moving = (self.problem.moving_f, self.problem.moving_n)
        return list(
            dict.fromkeys([*(name for one in moving for name in one.open_walls), *sorted(self.sinks)])
        )

    @cached_property
    def interfaces(self) -> list[tuple[str, str]]:
        """Regions on both sides of every interface, each pair once, in the order in which it is counted."""
        found: list[tuple[str, str]] = []
        for moving in (self.problem.moving_f, self.problem.moving_n):
            found += [pair for pair in moving.interfaces if pair not in found and pair[::-1] not in found]
        return found

    @cached_property
    def probe(self) -> Probed:
        """Resonator of the case."""
        gap = self.problem.gap_at_rest if self.film else self.setup.state.gap
        return Probed(self.case.resonator, self.problem, self.units, gap, self.regions, film=self.film)


class BoltzmannSample:
    """A recorded time of an evolution, or a steady state.

    Attributes:
        run: the run.
        problem, units: as named.
        moment: the state with counters and ledger.
        state, ledger: of the moment.
        start: energy at the start, less what had come in, in 4 N0 Δ0² times volume.
        before: energy that sources gave and energy that left, before the ledger began.
    """

    def __init__(
        self,
        run: BoltzmannRun,
        problem: BoltzmannProblem,
        moment: Moment,
        start: float = 0.0,
        before: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.run, self.problem, self.units = run, problem, run.units
        self.moment, self.start, self.before = moment, start, before
        self.state: State = moment.state
        self.ledger: BoltzmannLedger = moment.ledger

    def mean(self, field: Floats) -> float:
        """Return the mean over the body of a field ``(n_owned,)``, by volume. Collective."""
        return float(self.run.sum(field * self.problem.cells.volume)) / self.run.volume

    @cached_property
    def f(self) -> Floats:
        """Occupation of quasiparticle states, mean over directions, ``(n_owned, N)``."""
        return self.problem.mean_f(self.state.f)

    @cached_property
    def n(self) -> Floats:
        """Occupation of phonon modes, mean over directions, ``(n_owned, K)``."""
        return self.problem.mean_n(self.state.n)

    @cached_property
    def spectra(self) -> Pair:
        """Quasiparticles of every bin and phonons of every point by volume, in 4 N0 Δ0. Collective."""
        local, volume = self.problem.at(self.state.gap).local, self.run.volume
        f = self.run.sum(local.weight_f * self.f)
        return Pair(f / volume, self.run.sum(local.weight_n * self.n) / volume)

    @cached_property
    def density(self) -> Floats:
        """Quasiparticles by volume, ``(n_owned,)``, in 4 N0 Δ0."""
        return self.problem.densities(self.state)

    def in_regions(self, field: Floats) -> Floats:
        """Return the means over regions of a field ``(n_owned,)``, by volume. Collective."""
        volume = self.problem.cells.volume
        cells = self.run.regions.values()
        sums = np.array([[field[here] @ volume[here], volume[here].sum()] for here in cells])
        self.problem.cells.comm.Allreduce(MPI.IN_PLACE, sums)
        return np.asarray(sums[:, 0] / sums[:, 1])

    @cached_property
    def exchanged(self) -> tuple[float, float]:
        """Energy that sources gave and energy that left, since the start, in 4 N0 Δ0² times volume."""
        injected, escaped = self._brought_and_taken(self.ledger.given)
        return self.before[0] + injected, self.before[1] + escaped + sum(self.ledger.lost.values())

    @cached_property
    def escaped(self) -> list[Pair]:
        """Particles that have left through every one of `BoltzmannRun.exits`, by energy, in 4 N0 Δ0 times
        volume; less what baths have sent in."""
        counters, p = self.moment.counters, self.problem
        out = []
        for name in self.run.exits:
            f, n = np.zeros(p.grid.n), np.zeros(p.grid.n_phonon)
            for moving, passed, sum_of_all in (
                (p.moving_f, counters.passed_f, f),
                (p.moving_n, counters.passed_n, n),
            ):
                if name in moving.walls:
                    sum_of_all += passed[moving.walls.index(name)]
            if name in p.external_processes:
                row = p.external_processes.index(name)
                f -= counters.source_f[row]
                n -= counters.source_n[row]
            out.append(Pair(f, n))
        return out

    @cached_property
    def crossed(self) -> list[Pair]:
        """Particles that have passed every one of `BoltzmannRun.interfaces` from its first region to the
        second, less those that came back, by energy, in 4 N0 Δ0 times volume."""
        counters, p = self.moment.counters, self.problem
        out = []
        for pair in self.run.interfaces:
            f, n = np.zeros(p.grid.n), np.zeros(p.grid.n_phonon)
            for moving, passed, sum_of_all in (
                (p.moving_f, counters.passed_f, f),
                (p.moving_n, counters.passed_n, n),
            ):
                for interface, spectrum in zip(moving.interfaces, passed[len(moving.walls) :], strict=True):
                    if interface == pair:
                        sum_of_all += spectrum
                    elif interface == pair[::-1]:
                        sum_of_all -= spectrum
            out.append(Pair(f, n))
        return out

    @cached_property
    def powers(self) -> tuple[float, float, float]:
        """Power of sources, power that leaves, and what is left over of all powers. Collective."""
        named, left = net_power(self.problem, self.state)
        return *self._brought_and_taken(named), left

    def _brought_and_taken(self, given: Mapping[str, float]) -> tuple[float, float]:
        sinks = self.run.sinks | set(self.ledger.lost)
        brought = sum((energy for name, energy in given.items() if name not in sinks), 0.0)
        return brought, -sum((energy for name, energy in given.items() if name in sinks), 0.0)

    @cached_property
    def resonator(self) -> dict[str, float]:
        """Response of the resonator; NaN in a normal film. Collective."""
        if self.run.film and not self.state.gap.any():
            return dict.fromkeys(RESPONSE, float("nan"))
        return self.run.probe.seen(self.state)

    # -- of a film

    @property
    def gap(self) -> float:
        """Gap of a film, in Δ0."""
        return float(self.state.gap[0])

    @cached_property
    def bin_weights(self) -> BinWeights:
        """Spectrum of a film."""
        return self.problem.at(self.state.gap).local.bin_weights[0]

    @property
    def collisions(self) -> ElectronPhonon:
        """Collisions in a film."""
        found = self.problem.media[0].medium.collisions
        assert found is not None
        return found

    @cached_property
    def lifetimes(self) -> InverseLifetimes:
        """Inverse lifetimes of quasiparticles and phonons in a film, 1/τ0."""
        return inverse_lifetimes(self.collisions, self.bin_weights, self.f, self.n)


class BoltzmannObservable(Observable):
    """An observable of the Boltzmann equations, of homogeneous films and of bodies.

    A field has the dimension ``cell`` first, which a film does not have; its values are those of the owned
    cells.

    Attributes:
        models: that have it.
    """

    registry: ClassVar[Registry[BoltzmannObservable]]
    models: ClassVar[tuple[str, ...]] = ("boltzmann", "transport")

    def applies(self, run: BoltzmannRun) -> bool:
        return True

    @abstractmethod
    def compute(self, at: BoltzmannSample) -> Any: ...

    def variables(self, run: BoltzmannRun) -> Mapping[str, Variable]:
        dims = tuple(dim for dim in self.dims if not (run.film and dim == "cell"))
        return {self.name: Variable(dims, *self.quantity())}

    def values(self, at: BoltzmannSample) -> Mapping[str, Any]:
        found = self.compute(at)
        return {self.name: found[0] if at.run.film and "cell" in self.dims else found}


BoltzmannObservable.registry = Registry(
    "observable", "fvqp.case.boltzmann.observables", lambda: BoltzmannObservable, lambda cls: cls(), wrong
)
