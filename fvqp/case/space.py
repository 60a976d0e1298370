"""Place of a source in the space of a case."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from fvqp.case.process import Regions
from fvqp.case.quantities import Length, Position
from fvqp.case.tables import Table


class InSpace(Table):
    """A Gaussian in space around a point, or in regions."""

    CONDITIONAL: ClassVar = frozenset({"position"})

    size: Length | None = None
    """Standard deviation of the distance from `position`, at least half a cell, or a shell; default:
    everywhere alike."""
    position: tuple[Position, Position, Position] = (0.0, 0.0, 0.0)
    """x, y, z on a mesh, at most 5 sizes from its cells; shells have their centre or axis."""
    regions: Regions = ()
    """Only there; default: wherever there are states."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.size is None and "position" in self.model_fields_set:
            raise ValueError("position: is not used without size")
        return self
