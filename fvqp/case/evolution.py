"""Evolutions in time and steady states in the schemas of the kinetic models."""

from __future__ import annotations

import math
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from fvqp.case.quantities import Time
from fvqp.case.tables import Count, Table
from fvqp.typing import Floats

MAX_TIMES = 10_000
"""Recorded times by decade; more are a slip."""
TimesPerDecade = Annotated[Count, Field(le=MAX_TIMES)]


class RecordedTimes(Table):
    """An evolution in time, recorded at times that are even on a logarithmic axis."""

    end: Time
    start: Time | None = None
    """First time after 0 that is recorded; default: a millionth of ``end``."""
    points_per_decade: TimesPerDecade = 8
    """Recorded times, evenly spaced on a logarithmic axis."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None:
            in_order(self.start, self.end)
        return self


def without_methods(*removed: str, instead: str) -> BeforeValidator:
    """Return a validator that says what to use in place of methods that there were."""

    def refuse(value: object) -> object:
        if value in removed:
            raise ValueError(f'"{value}" is not a method of this model any more; use {instead}')
        return value

    return BeforeValidator(refuse)


def in_order(start: float, end: float) -> None:
    """Raise `ValueError`, as validators do, unless an interval of time ends after its start."""
    if not start < end:
        raise ValueError(f"end: {end:g} s must be later than start, {start:g} s")


def number_of_times(evolution: RecordedTimes) -> int:
    """Return the number of recorded times, 0 among them."""
    decades = math.log10(evolution.end) - math.log10(_first(evolution))
    return max(math.ceil(decades * evolution.points_per_decade - 1e-9), 1) + 2


def recorded_times(evolution: RecordedTimes) -> Floats:
    """0, and times evenly spaced on a logarithmic axis up to the end, seconds."""
    start, end = _first(evolution), evolution.end
    times = np.geomspace(start, end, number_of_times(evolution) - 1)
    times[0], times[-1] = start, end
    return np.concatenate([[0.0], times])


def steps_note(length: float, limit: str) -> str:
    """Return the note of a progress line about the last step in time.

    Args:
        length: of the step, seconds.
        limit: what limits it; empty if nothing does.
    """
    return f"steps of {length:.2g} s" + (f", limited by {limit}" if limit else "")


def _first(evolution: RecordedTimes) -> float:
    return 1e-6 * evolution.end if evolution.start is None else evolution.start


def one_task(evolution: Table | None, steady_state: Table | None) -> None:
    """Raises `ValueError`, as validators do, unless a case has one of them."""
    if (evolution is None) == (steady_state is None):
        both = "" if evolution is None else ", not both"
        raise ValueError(f"give either [evolution] or [steady_state]{both}")
