"""Base of the observables of the Boltzmann model, and what they are computed from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.resonator import shown
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.case.scales import Units
from fvqp.collisions import (
    BinWeights,
    MattisBardeen,
    Pair,
    Process,
    inverse_lifetimes,
    quasiparticle_density,
)
from fvqp.collisions.observables import InverseLifetimes
from fvqp.models.boltzmann import BoltzmannProblem, State
from fvqp.registry import Registry
from fvqp.results.observable import Observable, wrong
from fvqp.typing import Floats

Values = dict[str, float | Floats]


class HomogeneousRun:
    """A run of the Boltzmann model, as its observables know it.

    Attributes:
        case, setup: as named.
        units: of the setup.
        thermal: True if a figure compares with the thermal distribution of as many quasiparticles.
    """

    def __init__(self, case: BoltzmannCase, setup: BoltzmannSetup) -> None:
        self.case, self.setup = case, setup
        self.units: Units = setup.units
        self.thermal = any(figure.compare == "thermal" for figure in case.figures)
        self._known: tuple[float, MattisBardeen] | None = None

    def recorded(self) -> list[HomogeneousObservable]:
        """Return the observables that are recorded."""
        return [one for one in HomogeneousObservable.registry if one.applies(self)]

    def conductivity(self, gap: float) -> MattisBardeen:
        """Return the conductivity at the frequency of the resonator and a gap in Δ0."""
        assert self.case.resonator is not None
        if self._known is None or self._known[0] != gap:
            frequency = self.case.resonator.photon_energy.in_delta0(self.units.energy)
            self._known = gap, MattisBardeen(self.setup.grid, gap, frequency)
        return self._known[1]


class HomogeneousSample:
    """A recorded time of an evolution, or a steady state.

    Attributes:
        run, setup, units: as named.
        problem, state: with one cell.
        f, n: occupations ``(1, N)`` and ``(1, K)``.
        gap: in Δ0.
        bin_weights: at that gap.
    """

    def __init__(self, run: HomogeneousRun, problem: BoltzmannProblem, state: State) -> None:
        self.run, self.setup, self.units = run, run.setup, run.units
        self.problem, self.state = problem, state
        self.f, self.n = Pair(state.f[:, 0], state.n[:, 0])
        self.gap = float(state.gap[0])
        self.bin_weights: BinWeights = self.setup.bin_weights(self.gap)

    @property
    def processes(self) -> Mapping[str, Process]:
        """Drives, sources and losses by name."""
        return self.problem.media[0].medium.processes

    @cached_property
    def number(self) -> float:
        """Density of quasiparticles in 4 N0 Δ0."""
        return float(quasiparticle_density(self.bin_weights, self.f)[0])

    @cached_property
    def lifetimes(self) -> InverseLifetimes:
        """Inverse lifetimes of quasiparticles and phonons, 1/τ0."""
        return inverse_lifetimes(self.setup.collisions, self.bin_weights, self.f, self.n)

    @cached_property
    def resonator(self) -> dict[str, float]:
        """Response of the resonator, whose shift is that of quasiparticles and of the gap that they changed;
        nothing in the normal state."""
        if self.gap == 0.0:
            return {}
        assert self.run.case.resonator is not None
        conductivity = self.run.conductivity(self.gap)
        sigma1, sigma2 = (float(part[0]) for part in conductivity(self.f))
        empty = conductivity.cold
        if self.gap != 1.0:
            empty = MattisBardeen(self.setup.grid, 1.0, conductivity.frequency).cold
        return shown(self.run.case.resonator, sigma1, sigma2, float(empty.sigma2[0]))


class HomogeneousObservable(Observable):
    """An observable of the homogeneous Boltzmann equations (``model = "boltzmann"``).

    The dimensions are none, ``("energy",)`` or ``("omega",)``.
    """

    registry: ClassVar[Registry[HomogeneousObservable]]

    def applies(self, run: HomogeneousRun) -> bool:
        return True

    @abstractmethod
    def compute(self, at: HomogeneousSample) -> Any: ...


HomogeneousObservable.registry = Registry(
    "observable", "fvqp.case.boltzmann.observables", lambda: HomogeneousObservable, lambda cls: cls(), wrong
)


def values_of(observables: list[HomogeneousObservable], at: HomogeneousSample) -> Values:
    """Return the values of observables by the names of their variables."""
    return {name: value for one in observables for name, value in one.values(at).items()}
