"""Observables: variables of ``results.nc``, each with what computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from fvqp.results.dataset import QUANTITIES, Quantity, SweepDataset

EXAMPLES = {"units": "m-3", "long_name": "density of quasiparticles"}


class Variable(NamedTuple):
    """Dimensions beyond those of the sweep, units and meaning of a variable."""

    dims: tuple[str, ...]
    units: str
    long_name: str


class Observable(ABC):
    """A variable of ``results.nc``; one object serves all runs.

    Attributes:
        name: of the variable.
        units, long_name: as the variable has them; may be left out for a name of `QUANTITIES`.
        dims: dimensions beyond those of the sweep.
    """

    name: ClassVar[str]
    units: ClassVar[str | None] = None
    long_name: ClassVar[str | None] = None
    dims: ClassVar[tuple[str, ...]] = ()

    def applies(self, run: Any) -> bool:
        """Return True if a run records it.

        Args:
            run: what all points of the run share, see the observables of the model.
        """
        return True

    @abstractmethod
    def compute(self, at: Any) -> Any:
        """Return the value at a point, in `units`; collective over the ranks of the point.

        Args:
            at: problem and state of the point, see the observables of the model.
        """

    def quantity(self) -> Quantity:
        """Return units and meaning."""
        if self.units is None or self.long_name is None:
            return QUANTITIES[self.name]
        return Quantity(self.units, self.long_name)

    def variables(self, run: Any) -> Mapping[str, Variable]:
        """Return the variables of a run, usually one."""
        return {self.name: Variable(self.dims, *self.quantity())}

    def values(self, at: Any) -> Mapping[str, Any]:
        """Return the values of `variables` at a point. Collective."""
        return {self.name: self.compute(at)}


def wrong(observable: Observable) -> str:
    """Return what is wrong with an observable that a user registers; empty if nothing is."""
    if observable.name in QUANTITIES:
        return f'name: "{observable.name}" is a name of results.nc already; choose another name'
    for key in ("units", "long_name"):
        if not isinstance(getattr(observable, key), str):
            return f'{key}: missing: give text, such as {key} = "{EXAMPLES[key]}"'
    return ""


def define(sweep: SweepDataset, observable: Observable, run: Any) -> None:
    """Define the variables of an observable in the dataset of a run."""
    for name, (dims, units, long_name) in observable.variables(run).items():
        sweep.define(name, dims, units, long_name)
