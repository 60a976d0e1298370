"""Time relaxation: explicit steps of gain-and-loss equations that keep bounds, invariants and equilibria.

The method of L. Pareschi and G. Russo, SIAM J. Numer. Anal. 37, 1253 (2000), cut after its first term.
Cells hold occupations f, between 0 and 1, and n ≥ 0, with

    ∂f/∂t = in_f (1 − f) − out_f f,      ∂n/∂t = in_n (1 + n) − out_n n,

coefficients ≥ 0 that depend on both. One rate μ a cell, not below any ``in_f + out_f`` and ``out_n`` of it,
gives

    y(t + Δt) = y(t) + θ ∂y/∂t,      θ = (1 − exp(−μ Δt))/μ ≤ 1/μ.

Because θ is one number a cell, all linear invariants of the cell stay, exactly; because θ ≤ 1/μ, occupations
keep their bounds at any Δt; and what is stationary stays where it is. The scheme is of first order. Where
``μ Δt`` is not small, a cell is at its own clock ``Σ θ`` rather than at ``Σ Δt``: it never advances by more
than 1/μ a step. That lag is part of the error that steps are controlled by, and it is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from fvqp.errors import CaseError, ConvergenceError
from fvqp.typing import Floats

GainLoss = tuple[Floats, Floats, Floats, Floats]
Context = TypeVar("Context")

# Rounding of y + θ ∂y/∂t must not cross a bound where θ = 1/μ.
_MARGIN = 1.0 + 1e-12


class Step(NamedTuple):
    """One step.

    Attributes:
        f, n: occupations afterwards.
        advanced: θ, time by which each cell advanced, ``(cells,)``.
    """

    f: Floats
    n: Floats
    advanced: Floats


@dataclass(frozen=True)
class Control:
    """Control of the step.

    The error of a step is taken as its distance from the trapezoidal rule, which includes the lag of the
    clock; it may amount to ``absolute + relative |y|`` in every occupation.

    Attributes:
        relative, absolute: tolerances of one step.
        lag: largest fraction of a step by which the clock of any cell falls behind; 1 for no limit, where
            only the final state matters.
        first: first step; None for a tenth of the shortest time in which an occupation changes by its
            tolerance.
        largest: no step is longer.
        smallest: a step refused at this length, as a fraction of the whole time, is a failure.
        growth: largest ratio of two steps.
    """

    relative: float = 1e-3
    absolute: float = 1e-8
    lag: float = 0.1
    first: float | None = None
    largest: float = np.inf
    smallest: float = 1e-14
    growth: float = 2.0

    def __post_init__(self) -> None:
        for name in ("relative", "absolute", "largest", "smallest"):
            if not getattr(self, name) > 0.0:
                raise CaseError(f"time relaxation: {name} must be positive, found {getattr(self, name):g}")
        if not 0.0 < self.lag <= 1.0:
            raise CaseError(f"time relaxation: lag must be above 0, at most 1, found {self.lag:g}")
        if self.first is not None and not self.first > 0.0:
            raise CaseError(f"time relaxation: first step must be positive, found {self.first:g}")
        if not 1.0 < self.growth <= 10.0:
            raise CaseError(f"time relaxation: growth must be above 1, at most 10, found {self.growth:g}")


@dataclass(frozen=True)
class Relaxed(Generic[Context]):
    """State at the end of a run.

    Attributes:
        f, n, context: state.
        counters: integrals of the counters' rates since the start, ``(cells, counters)``.
        time: the end.
        clock: time that each cell has really advanced, ``(cells,)``.
        steps, refused: numbers of steps.
        step: length that the control would take next.
    """

    f: Floats
    n: Floats
    context: Context
    counters: Floats
    time: float
    clock: Floats
    steps: int
    refused: int
    step: float


def relaxation_step(f: Floats, n: Floats, coefficients: GainLoss, step: float) -> Step:
    """One step of any length.

    Args:
        f, n: ``(cells, ...)``.
        coefficients: ``in_f, out_f, in_n, out_n``, shaped like ``f`` and ``n``; none negative.
        step: Δt > 0.
    """
    rate_f, rate_n = _rates(f, n, coefficients)
    advanced = _advanced(coefficients, step)
    return Step(f + advanced[:, None] * rate_f, n + advanced[:, None] * rate_n, advanced)


def relax(
    gain_loss: Callable[[Floats, Floats, Context], GainLoss],
    f: Floats,
    n: Floats,
    context: Context,
    *,
    end: float,
    start: float = 0.0,
    control: Control | None = None,
    follow: Callable[[Floats, Floats, Context], tuple[Floats, Floats, Context]] | None = None,
    counters: Callable[[Floats, Floats, Context], Floats] | None = None,
    on_step: Callable[[float, Floats, Floats, Context], None] | None = None,
) -> Relaxed[Context]:
    """Integrate from ``start`` to ``end`` with steps that are refused and shortened where they err.

    Args:
        gain_loss: coefficients of a state. One evaluation a step, none for a refused one more than that.
        f, n: initial occupations, ``(cells, ...)``.
        context: whatever else belongs to the state and is neither f nor n; passed on.
        end, start: times.
        control: tolerances and limits.
        follow: what happens between steps, such as the motion of what ``context`` describes; a
            `ConvergenceError` in it refuses the step.
        counters: rates ``(cells, counters)`` of quantities that are integrated along by the same steps.
        on_step: called with time and state at the start and after every step.

    Raises:
        CaseError: occupations out of bounds, or an end before the start.
        ConvergenceError: coefficients that are negative or not finite, or a step that would have to be
            shorter than the smallest; says where.
    """
    control = control or Control()
    if not (np.isfinite(end) and np.isfinite(start) and end > start):
        raise CaseError(f"time relaxation: must end after its start, found {start:g} to {end:g}")
    _check_bounds(f, n, CaseError)
    time, shortest = start, control.smallest * (end - start)
    clock = np.full(f.shape[0], start)
    here = _checked(gain_loss(f, n, context), f, n)
    step = control.first or _first_step(f, n, here, control)
    steps = refused = 0
    total = np.zeros((f.shape[0], 0)) if counters is None else np.zeros_like(counters(f, n, context))
    if on_step is not None:
        on_step(time, f, n, context)
    while time < end:
        step = min(step, control.largest, longest_step(here, control.lag))
        left = end - time
        last = step >= left
        # two equal steps rather than one whole and one tiny
        now = left if last else min(step, 0.5 * left) if step > 0.5 * left else step
        trial = relaxation_step(f, n, here, now)
        new_f, new_n, new_context = trial.f, trial.n, context
        reason, error = "", np.inf
        try:
            if follow is not None:
                new_f, new_n, new_context = follow(new_f, new_n, context)
        except ConvergenceError as failure:
            reason = str(failure)
        if not reason:
            there = _checked(gain_loss(new_f, new_n, new_context), new_f, new_n)
            error, reason = _error(f, n, here, new_f, new_n, there, now, trial.advanced, control)
        if error > 1.0:
            refused += 1
            if now <= shortest:
                raise ConvergenceError(f"time relaxation: at time {time:g} no step is short enough: {reason}")
            step = now * (max(0.2, 0.8 / np.sqrt(error)) if np.isfinite(error) else 0.2)
            continue
        if counters is not None:
            total += trial.advanced[:, None] * counters(f, n, context)
        f, n, context, here = new_f, new_n, new_context, there
        time = end if last else time + now
        clock += trial.advanced
        steps += 1
        wanted = now * min(control.growth, 0.8 / np.sqrt(max(error, 1e-12)))
        step = max(step, wanted) if now < step else wanted
        if on_step is not None:
            on_step(time, f, n, context)
    return Relaxed(f, n, context, total, time, clock, steps, refused, step)


def _rates(f: Floats, n: Floats, coefficients: GainLoss) -> tuple[Floats, Floats]:
    in_f, out_f, in_n, out_n = coefficients
    return in_f * (1.0 - f) - out_f * f, in_n * (1.0 + n) - out_n * n


def _largest_rates(coefficients: GainLoss) -> Floats:
    in_f, out_f, _, out_n = coefficients
    cells = in_f.shape[0]
    of_f = (in_f + out_f).reshape(cells, -1).max(axis=1, initial=0.0)
    return _MARGIN * np.maximum(of_f, out_n.reshape(cells, -1).max(axis=1, initial=0.0))


def _advanced(coefficients: GainLoss, step: float) -> Floats:
    rate = _largest_rates(coefficients)
    return np.where(rate > 0.0, -np.expm1(-rate * step) / np.where(rate > 0.0, rate, 1.0), step)


def longest_step(coefficients: GainLoss, lag: float) -> float:
    """Step at which the clock of the fastest cell lags by this fraction; inf if it may lag by any.

    ``1 − (1 − exp(−x))/x = lag`` with ``x = μ Δt``.
    """
    rate = float(_largest_rates(coefficients).max(initial=0.0))
    if lag == 1.0 or rate == 0.0:
        return np.inf
    x = 2.0 * lag / (1.0 - lag)
    for _ in range(30):  # Newton, from above a convex function's root
        x -= (np.expm1(-x) + (1.0 - lag) * x) / (-lag - np.expm1(-x))
    return x / rate


def _first_step(f: Floats, n: Floats, coefficients: GainLoss, control: Control) -> float:
    rates = _rates(f, n, coefficients)
    speed = max(
        float((np.abs(rate) / (control.absolute + control.relative * y)).max(initial=0.0))
        for rate, y in zip(rates, (f, n), strict=True)
    )
    return 0.1 / speed if speed > 0.0 else control.largest


def _error(
    f: Floats,
    n: Floats,
    here: GainLoss,
    new_f: Floats,
    new_n: Floats,
    there: GainLoss,
    step: float,
    advanced: Floats,
    control: Control,
) -> tuple[float, str]:
    """Largest error in units of its tolerance, and where it is."""
    worst, reason = 0.0, ""
    before, after = _rates(f, n, here), _rates(new_f, new_n, there)
    for name, y, old, new in zip(("f", "n"), (f, n), before, after, strict=True):
        missed = np.abs(0.5 * step * (old + new) - advanced[:, None] * old)
        ratio = missed / (control.absolute + control.relative * np.abs(y))
        at = int(ratio.argmax())
        value = float(ratio.flat[at])
        if not value <= worst:
            cell, place = divmod(at, y.shape[1])
            rate = _largest_rates(here)[cell]
            reason = f"{name} of cell {cell} at {place} changes too fast (largest rate {rate:.3g})"
            worst = value if np.isfinite(value) else np.inf
    return worst, reason


def _check_bounds(f: Floats, n: Floats, kind: type[Exception]) -> None:
    if not (np.all(f >= 0.0) and np.all(f <= 1.0)):
        raise kind(f"time relaxation: f must lie within [0, 1], found {f.min():g} to {f.max():g}")
    if not (np.all(n >= 0.0) and np.all(np.isfinite(n))):
        raise kind(f"time relaxation: n must be finite and not negative, found {n.min():g} to {n.max():g}")


def _checked(coefficients: GainLoss, f: Floats, n: Floats) -> GainLoss:
    """Coefficients that may be used; negative ones up to rounding of the largest are as good as zero."""
    for name, part in zip(("in_f", "out_f", "in_n", "out_n"), coefficients, strict=True):
        low, high = part.min(initial=0.0), part.max(initial=0.0)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ConvergenceError(f"time relaxation: coefficient {name} is not finite")
        if low < -1e-12 * high:
            raise ConvergenceError(f"time relaxation: coefficient {name} is negative, {low:g}")
    _check_bounds(f, n, ConvergenceError)
    return coefficients
