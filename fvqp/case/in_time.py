"""Keys of processes that act for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from pydantic import model_validator

from fvqp.case.process import ProcessTable
from fvqp.case.quantities import Time, TimeFunction
from fvqp.collisions import TimedProcess
from fvqp.collisions.process import ExternalProcess
from fvqp.expressions import Expression, amounts
from fvqp.typing import Floats


class InTime(ProcessTable):
    """A process that acts at all times, or from a start on, for a duration, times a profile."""

    start: Time | None = None
    """Time from which on it acts; default: 0."""
    duration: Time | None = None
    """Time for which it acts; default: for ever. Steps in time end where it starts or ends."""
    time_profile: TimeFunction | None = None
    """Factor of its strength as a function of the time t since its start, such as ``"exp(-t/(2 ns))"``; not
    negative. 64 intervals of the duration have its mean in them."""

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.time_profile is not None and self.duration is None:
            raise ValueError("time_profile: needs a duration")
        return self

    @property
    def time_keys(self) -> tuple[str, ...]:
        return tuple(key for key in ("start", "duration", "time_profile") if getattr(self, key) is not None)

    @property
    def first_time(self) -> float:
        return self.start or 0.0

    def timed(self, process: ExternalProcess, unit: float) -> ExternalProcess:
        """Return a process that acts when it should; ``unit`` of time in seconds."""
        if not self.time_keys:
            return process
        profile: Callable[[Floats], Floats] | None = None
        if self.time_profile is not None:
            function = Expression(self.time_profile, ("t",))
            profile = lambda since: amounts(function, "time_profile", t=since * unit)  # noqa: E731
        return TimedProcess(
            process,
            start=self.first_time / unit,
            duration=np.inf if self.duration is None else self.duration / unit,
            profile=profile,
        )
