"""Place of a source in the space of a case."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from fvqp.case.process import Regions
from fvqp.case.quantities import Length, Position, SpaceFunction
from fvqp.case.tables import Table


class InSpace(Table):
    """A Gaussian in space around a point, a function of space, or regions."""

    CONDITIONAL: ClassVar = frozenset({"position"})

    size: Length | None = None
    """Standard deviation of the distance from `position`, at least half a cell, or a shell; default:
    everywhere alike."""
    position: Annotated[tuple[Position, ...], Field(min_length=1, max_length=3)] = (0.0, 0.0, 0.0)
    """x, y, z on a mesh, at most 5 sizes from its cells; x is enough on a line, x and y on a flat mesh.
    Shells have their centre or axis."""
    profile: SpaceFunction | None = None
    """In place of `size` and `position`: distribution as a function of x, y, z and the distance r from the
    origin, of shells from their centre, such as ``"exp(-((x - 5 um)/(2 um))^2)"``; not negative."""
    regions: Regions = ()
    """Only there; default: wherever there are states."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.profile is not None and self.size is not None:
            raise ValueError("profile: is not used with size; give one of them")
        if self.size is None and "position" in self.model_fields_set:
            raise ValueError("position: is not used without size")
        return self
