"""Base of the tables of a case that are boundary conditions of quasiparticles or phonons."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializeAsAny

from fvqp.case.tables import Name, Table
from fvqp.errors import shown, suggestion
from fvqp.registry import Registry
from fvqp.transport.walls import Wall
from fvqp.typing import Floats

DEFAULT = "transmission"
"""Boundary condition of a table without ``kind``."""


@dataclass(frozen=True)
class BoundarySite:
    """A boundary of a species.

    Attributes:
        energies: ``(E,)`` of the species, Δ0.
        bath: ``(E,)`` occupations outside, those of the bath.
        thermal: returns ``(E,)`` occupations at another temperature, kelvin.
        largest: occupation that is possible, 1 of quasiparticles.
        unit: Δ0 in joule.
        key: of the table in the case, for messages.
    """

    energies: Floats
    bath: Floats
    thermal: Callable[[float], Floats]
    largest: float
    unit: float
    key: str


class BoundaryTable(Table):
    """A table ``walls.NAME`` of a species whose ``kind`` is the ``name`` of the class."""

    registry: ClassVar[Registry[type[BoundaryTable]]]
    name: ClassVar[str]

    kind: Name = DEFAULT
    """Boundary condition, by its name."""

    @abstractmethod
    def wall(self, site: BoundarySite) -> Wall:
        """Return transmission, reflection and bath at the energies of the species; raise `CaseError`."""

    @property
    def passes(self) -> bool:
        """True if anything leaves, as far as the case says."""
        return True


BoundaryTable.registry = Registry(
    "boundary condition",
    "fvqp.case.transport.walls",
    lambda: BoundaryTable,
    lambda table: table,
    lambda table: "",
)


def _chosen(value: Any) -> Any:
    """Return the table of the kind that a case names."""
    registry = BoundaryTable.registry
    if isinstance(value, BoundaryTable):
        return value
    kind = value.get("kind", DEFAULT) if isinstance(value, dict) else DEFAULT
    if not isinstance(kind, str) or kind not in registry:
        known = " or ".join(f'"{name}"' for name in registry.names)
        raise ValueError(f"kind: expected {known}, got {shown(kind)}")
    keys = list(registry[kind].model_fields)
    for key in value if isinstance(value, dict) else ():
        if key not in keys:
            hint = suggestion(str(key), keys)
            raise ValueError(f"{key}: unknown key{hint} (allowed: {', '.join(keys)})")
    return registry[kind].model_validate(value)


BoundaryChoice = Annotated[SerializeAsAny[BoundaryTable], BeforeValidator(_chosen)]
"""A boundary condition of any registered kind."""
