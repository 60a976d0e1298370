"""Base of the observables of the transport model, and what they are computed from."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from mpi4py import MPI

from fvqp.case.scales import Units
from fvqp.case.transport.build import TransportSetup
from fvqp.case.transport.probe import Probed
from fvqp.case.transport.schema import TransportCase
from fvqp.collisions import Pair
from fvqp.collisions.process import is_sink
from fvqp.models.boltzmann import BoltzmannProblem, Moment, State
from fvqp.models.boltzmann.steady import net_power
from fvqp.registry import Registry
from fvqp.results.observable import Observable, wrong
from fvqp.typing import Floats

#: Ranges of energy that are counted unless the case says which.
RANGES = 5


class BoltzmannRun:
    """A run of the transport model, as its observables know it.

    Attributes:
        case, setup: as named.
        problem, units: of the setup.
        volume: of the body, in its mesh's measure.
    """

    def __init__(self, case: TransportCase, setup: TransportSetup) -> None:
        self.case, self.setup = case, setup
        self.problem: BoltzmannProblem = setup.problem
        self.units: Units = setup.units
        self.volume = float(self.sum(self.problem.body.volume))

    def sum(self, values: Floats) -> Floats:
        """Return ``values[n_owned, ...]`` summed over the cells of all ranks. Collective."""
        out = np.atleast_1d(np.sum(values, axis=0))
        self.problem.body.comm.Allreduce(MPI.IN_PLACE, out)
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
    def probe(self) -> Probed:
        """Resonator of the case."""
        assert self.case.resonator is not None
        return Probed(self.case.resonator, self.setup)


class BoltzmannSample:
    """A recorded time of a run.

    Attributes:
        run: the run.
        problem, units: of the run.
        state: occupations and gap, of the owned cells.
        moment: the state with counters and ledger.
        start: energy at the start, less what had come in.
    """

    def __init__(self, run: BoltzmannRun, moment: Moment, start: float) -> None:
        self.run, self.moment, self.start = run, moment, start
        self.problem, self.units = run.problem, run.units
        self.state: State = moment.state

    def mean(self, field: Floats) -> float:
        """Return the mean over the body of a field ``(n_owned,)``, by volume. Collective."""
        return float(self.run.sum(field * self.problem.body.volume)) / self.run.volume

    @cached_property
    def spectra(self) -> Pair:
        """Quasiparticles of every bin and phonons of every point by volume, in 4 N0 Δ0. Collective."""
        local, problem, volume = self.problem.local, self.problem, self.run.volume
        local.set(self.state.gap)
        f = self.run.sum(local.weight_f * problem.mean_f(self.state.f))
        return Pair(f / volume, self.run.sum(local.weight_n * problem.mean_n(self.state.n)) / volume)

    @cached_property
    def density(self) -> Floats:
        """Quasiparticles by volume, ``(n_owned,)``, in 4 N0 Δ0."""
        return self.problem.densities(self.state)

    @cached_property
    def regions(self) -> Floats:
        """Mean density of every region, in 4 N0 Δ0. Collective."""
        volume = self.problem.body.volume
        cells = self.run.setup.regions.values()
        sums = np.array([[self.density[here] @ volume[here], volume[here].sum()] for here in cells])
        self.problem.body.comm.Allreduce(MPI.IN_PLACE, sums)
        return np.asarray(sums[:, 0] / sums[:, 1])

    @cached_property
    def exchanged(self) -> tuple[float, float]:
        """Energy that sources gave and energy that left, since the start, in 4 N0 Δ0² times volume."""
        ledger, sinks = self.moment.ledger, self.run.sinks
        injected = sum((energy for name, energy in ledger.given.items() if name not in sinks), 0.0)
        escaped = -sum((energy for name, energy in ledger.given.items() if name in sinks), 0.0)
        return injected, escaped + sum(ledger.lost.values())

    @cached_property
    def powers(self) -> tuple[float, float]:
        """Power of sources, and what is left over of all powers, in a steady state. Collective."""
        named, left = net_power(self.problem, self.state)
        sinks = self.run.sinks | set(self.moment.ledger.lost)
        return sum((power for name, power in named.items() if name not in sinks), 0.0), left

    @cached_property
    def resonator(self) -> dict[str, float]:
        """Response of the resonator. Collective."""
        return self.run.probe.seen(self.state)


class BoltzmannObservable(Observable):
    """An observable of the Boltzmann equations in space (``model = "transport"``).

    A field has the dimension ``cell`` first; its values are those of the owned cells.
    """

    registry: ClassVar[Registry[BoltzmannObservable]]

    def applies(self, run: BoltzmannRun) -> bool:
        return True

    @abstractmethod
    def compute(self, at: BoltzmannSample) -> Any: ...


BoltzmannObservable.registry = Registry(
    "observable", "fvqp.case.transport.observables", lambda: BoltzmannObservable, lambda cls: cls(), wrong
)
