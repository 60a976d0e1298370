"""Bases of the observables of the Usadel model, and what they are computed from."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fvqp.models.usadel.leads import HeatBalance, heat_balance
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.registry import Registry
from fvqp.results.observable import Observable, wrong
from fvqp.typing import Floats

PACKAGE = "fvqp.study.observables"


class UsadelRun:
    """A sweep of the Usadel model, as its observables know it.

    Attributes:
        device: of the problem.
        spectra: names of the fields that are recorded under every junction.
        of_cells: names of the fields that are recorded in every cell.
        has_phase: True with a supercurrent.
        driving: True if a reservoir has a voltage.
        injectors: numbers of the junctions.
        detectors: number of the junction → end of the names of its observables, nothing for the first.
    """

    def __init__(
        self, problem: UsadelProblem, spectra: tuple[str, ...] = (), of_cells: tuple[str, ...] = ()
    ) -> None:
        self.device, self.spectra, self.of_cells = problem.device, spectra, of_cells
        self.has_phase = problem.supercurrent is not None
        junctions = self.device.junctions
        detectors = [n for n, j in enumerate(junctions) if j.role == "detector"]
        self.detectors = {n: f"_{junctions[n].name}" if k else "" for k, n in enumerate(detectors)}
        self.injectors = [n for n, j in enumerate(junctions) if j.role == "injector"]
        self.driving = any(reservoir.voltage != 0.0 for reservoir in self.device.reservoirs)

    def under_junctions(self, field: str) -> str:
        """Return the name of the variable with a field's averages under the junctions."""
        return f"{field}_junction" if field in self.of_cells else field

    def recorded(self) -> list[UsadelObservable]:
        """Return the observables that are recorded."""
        return [one for one in UsadelObservable.registry if one.applies(self)]


class UsadelSample:
    """A point of a sweep.

    Attributes:
        run: the sweep.
        problem, solution: of the point.
        device: of the problem.
        n_cells: of this rank, with ghosts.
    """

    def __init__(self, run: UsadelRun, problem: UsadelProblem, solution: Solution) -> None:
        self.run, self.problem, self.solution = run, problem, solution
        self.device, self.n_cells = problem.device, problem.device.mesh.n_cells

    @cached_property
    def currents(self) -> Floats:
        """Currents of the junctions into the device, ampere. Collective."""
        return self.problem.junction_currents(self.solution.kinetic.currents)

    @cached_property
    def slopes(self) -> Floats:
        """Derivatives of `currents` by the bias of the injectors, siemens, 0 without them. Collective."""
        if not self.run.injectors:
            return np.zeros(len(self.currents))
        return conductances(self.problem, self.solution)

    @cached_property
    def heat(self) -> HeatBalance:
        """Balance of heat of the leads, watt. Collective."""
        return heat_balance(self.problem, self.solution)

    def field(self, name: str) -> Floats:
        """Return a field by name, ``(n_cells,)`` or ``(n_cells, n_energies)``."""
        return np.asarray(UsadelField.registry[name].compute(self))

    def under(self, name: str) -> Floats:
        """Return averages of a field under all junctions. Collective."""
        field = self.field(name)
        averages = averages_under(self.problem, field if field.ndim == 2 else field[:, None])
        return averages if field.ndim == 2 else averages[:, 0]


def averages_under(problem: UsadelProblem, values: Floats) -> Floats:
    """Return averages of ``values[n_cells or 1, ...]`` under all junctions. Collective."""
    device = problem.device
    full = np.broadcast_to(values, (device.mesh.n_cells, *values.shape[1:]))
    return np.array([problem.average_under(k, full) for k in range(len(device.junctions))])


class UsadelObservable(Observable):
    """An observable of the Usadel model, recorded at every point of a sweep."""

    registry: ClassVar[Registry[UsadelObservable]]

    def applies(self, run: UsadelRun) -> bool:
        return True

    @abstractmethod
    def compute(self, at: UsadelSample) -> Any: ...


class UsadelField(Observable):
    """A field of the cells that a case can name in ``output.fields`` and ``output.stored``.

    The dimensions are ``("cell",)`` or ``("cell", "energy")``; values are those of the rank's cells.
    """

    registry: ClassVar[Registry[UsadelField]]

    @abstractmethod
    def compute(self, at: UsadelSample) -> Floats: ...


UsadelObservable.registry = Registry(
    "observable", PACKAGE, lambda: UsadelObservable, lambda cls: cls(), wrong
)
UsadelField.registry = Registry("field", PACKAGE, lambda: UsadelField, lambda cls: cls(), wrong)
