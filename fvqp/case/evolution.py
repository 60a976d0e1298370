"""Evolutions in time and steady states in the schemas of the kinetic models."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from fvqp.case.quantities import Time
from fvqp.case.tables import Count, Table


class RecordedTimes(Table):
    """An evolution in time, recorded at times that are even on a logarithmic axis."""

    end: Time
    start: Time | None = None
    """First time after 0 that is recorded; default: a millionth of ``end``."""
    points_per_decade: Count = 8
    """Recorded times, evenly spaced on a logarithmic axis."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and not self.start < self.end:
            raise ValueError("start: must come before end")
        return self


def one_task(evolution: Table | None, steady_state: Table | None) -> None:
    """Raises `ValueError`, as validators do, unless a case has one of them."""
    if (evolution is None) == (steady_state is None):
        both = "" if evolution is None else ", not both"
        raise ValueError(f"give either [evolution] or [steady_state]{both}")
