"""Processes that act for a time, with a strength that is constant between given times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions.process import Blocks, ExternalProcess, ExternalRates, Flow, GainLoss, Pair
from fvqp.energy import BinWeights
from fvqp.errors import CaseError
from fvqp.typing import Floats

PARTS = 64
"""Intervals of equal length in which a profile in time is replaced by its means."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


class TimedProcess:
    """An external process that acts from a start on, for a duration, times a profile.

    Steps in time end at every one of its `times`, so that none sees a strength that changes, whatever the
    method. A profile is replaced by its means in `PARTS` intervals: what the process brings by the end is
    that of the profile, on the way it is off by a part of order ``PARTS⁻²``.

    Attributes:
        sink: as of the process.
        times: at which the strength changes, τ0.
        strengths: factors of the process between ``times``.
    """

    def __init__(
        self,
        process: ExternalProcess,
        *,
        start: float = 0.0,
        duration: float = np.inf,
        profile: Callable[[Floats], ArrayLike] | None = None,
    ) -> None:
        """
        Args:
            process: with its full strength.
            start: first time at which it acts, τ0.
            duration: time for which it acts, τ0; for ever by default.
            profile: factor ≥ 0 at an array of times since ``start``, τ0; needs a duration.

        Raises:
            CaseError: times or a profile that are not finite or negative, a profile without a duration.
        """
        if not (np.isfinite(start) and start >= 0.0):
            raise CaseError(f"start: must be finite and not negative, found {start:g} τ0")
        if not duration > 0.0:
            raise CaseError(f"duration: must be positive, found {duration:g} τ0")
        self._process, self.sink, self._strength = process, process.sink, 0.0
        self.times, self.strengths = np.array([start, start + duration]), np.ones(1)
        if profile is not None:
            if not np.isfinite(duration):
                raise CaseError("profile in time: needs a duration")
            since = np.linspace(0.0, duration, PARTS + 1)
            width = duration / PARTS
            nodes = since[:-1, None] + 0.5 * width * (1.0 + _NODES)
            factors = np.broadcast_to(np.asarray(profile(nodes), dtype=np.float64), nodes.shape)
            if not np.all(np.isfinite(factors) & (factors >= 0.0)):
                raise CaseError("profile in time: must be finite and not negative")
            self.times, self.strengths = start + since, 0.5 * factors @ _WEIGHTS

    def __repr__(self) -> str:
        return f"TimedProcess({self._process!r}, from {self.times[0]:g} to {self.times[-1]:g} τ0)"

    def switch(self, time: float) -> bool:
        """Take the strength at a time; return True if it changes. None acts before it is called."""
        number = int(np.searchsorted(self.times, time, side="right")) - 1
        strength = float(self.strengths[number]) if 0 <= number < len(self.strengths) else 0.0
        changes, self._strength = strength != self._strength, strength
        return changes

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> ExternalRates:
        """Return the rates at these occupations and the strength that was taken."""
        return _Scaled(self._process.at(bin_weights, f, n), self._strength)


class _Scaled(ExternalRates):
    """Rates of a process times its strength."""

    def __init__(self, rates: ExternalRates, strength: float) -> None:
        self.bin_weights, self.f, self.n = rates.bin_weights, rates.f, rates.n
        self._rates, self._strength = rates, strength

    @property
    def rates(self) -> Pair:
        return Pair(*(self._strength * part for part in self._rates.rates))

    def gain_loss(self) -> GainLoss:
        return GainLoss(*(self._strength * part for part in self._rates.gain_loss()))

    def balance(self) -> GainLoss:
        return GainLoss(*(self._strength * part for part in self._rates.balance()))

    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        return Pair(*(self._strength * part for part in self._rates.jvp(step_f, step_n)))

    def jacobian(self) -> Blocks:
        return Blocks(*(self._strength * part for part in self._rates.jacobian()))

    def diagonal(self) -> Pair:
        return Pair(*(self._strength * part for part in self._rates.diagonal()))

    def energy_flow(self) -> Flow:
        return Flow(*(self._strength * part for part in self._rates.energy_flow()))

    def number_flow(self) -> Flow:
        return Flow(*(self._strength * part for part in self._rates.number_flow()))
