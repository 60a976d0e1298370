"""Nonlinear least squares of few parameters: the best ones, their covariance, what cannot be told apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.typing import Bools, Floats

log = logging.getLogger(__name__)

#: Step of a parameter, as its part, with which residuals are differentiated.
STEP = 1e-4

#: A parameter may leave its start by this factor.
REACH = 1e3

#: A column of the Jacobian below this part of the largest residual's scale is none: noise of the differences.
NOTHING = 1e-7

#: Smallest singular value, of columns of length one, at which parameters count as told apart.
APART = 1e-6


@dataclass(frozen=True)
class Fitted:
    """The best parameters of a least-squares problem.

    Attributes:
        x: ``(p,)``.
        residual: ``(n,)`` at ``x``.
        covariance: ``(p, p)`` of the parameters.
        scale: estimated standard deviation of a residual, ``√(Σr²/(n − p))``; 0 where ``n = p``.
        evaluations: of all residuals.
        at_bound: ``(p,)`` whether a parameter is at its smallest or largest value.
    """

    x: Floats
    residual: Floats
    covariance: Floats
    scale: float
    evaluations: int
    at_bound: Bools

    @property
    def errors(self) -> Floats:
        """Standard deviations of the parameters, ``(p,)``."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Floats:
        """``(p, p)``, 1 on the diagonal."""
        errors = self.errors
        return (
            self.covariance
            / np.where(errors > 0.0, errors, 1.0)[:, None]
            / np.where(errors > 0.0, errors, 1.0)
        )


def fit_parameters(
    residual: Callable[[Floats], Floats],
    start: Floats,
    names: Sequence[str],
    *,
    weighted: bool,
    report: Callable[[Floats, Floats], None] | None = None,
    prepare: Callable[[Sequence[Floats]], None] | None = None,
    bounds: tuple[Floats, Floats] | None = None,
    step: float = STEP,
    tolerance: float = 1e-7,
    max_steps: int = 60,
) -> Fitted:
    """Parameters with the least sum of squares; without bounds each keeps the sign of its start.

    Args:
        residual: of the parameters ``(p,)``; ``(n,)``, of size about one or less. Where it raises
            `CaseError` or `ConvergenceError`, but at the start, there is no solution, and the search turns
            back.
        start: none of them zero.
        names: of the parameters, for messages.
        weighted: whether residuals are in units of known standard deviations; otherwise their scatter around
            the fit is what the covariance is scaled with.
        report: called with parameters and residual at every step of the search.
        prepare: called with the parameters of all differences of a Jacobian before their residuals are asked
            for, which may compute them at the same time.
        bounds: smallest and largest values, ``(p,)`` each; default: a thousandth of the start and a
            thousandfold.
        step: relative step of a parameter with which residuals are differentiated.
        tolerance: relative change of the parameters at which the search ends.
        max_steps: of the search (Levenberg-Marquardt in a trust region).

    Raises:
        FvqpError: fewer residuals than parameters, a parameter without effect, or several with the same.
        ConvergenceError: not found within ``max_steps``.
    """
    known: dict[bytes, Floats] = {}
    count = 0

    def at(scaled: Floats) -> Floats:
        nonlocal count
        key = scaled.tobytes()
        if key not in known:
            if len(known) > 2 * len(start) + 4:
                known.clear()
            known[key] = residual(scaled * start)
            count += 1
        return known[key]

    def tried(scaled: Floats) -> Floats:
        try:
            return at(scaled)
        except (CaseError, ConvergenceError) as error:
            # The search takes a shorter step where nothing finite is found.
            log.info("%s; a shorter step of the parameters is taken", error)
            return np.full(len(first), np.nan)

    def reported(scaled: Floats) -> Floats:
        if report is not None:
            report(scaled * start, at(scaled))
        return jacobian(scaled)

    def jacobian(scaled: Floats) -> Floats:
        here = at(scaled)
        change = step * np.maximum(np.abs(scaled), 1.0 / REACH)
        moved = scaled + np.diag(np.where(scaled + change > high, -change, change))
        if prepare is not None:
            prepare([one * start for one in moved if one.tobytes() not in known])
        return np.stack([(at(one) - here) / (one - scaled)[n] for n, one in enumerate(moved)], axis=1)

    one = np.ones(len(start))
    low, high = one / REACH, one * REACH
    if bounds is not None:
        low, high = np.sort(np.stack(bounds) / start, axis=0)
    first = at(one)
    if len(first) < len(start):
        raise FvqpError(f"{len(first)} data points cannot determine {len(start)} parameters")
    _require_apart(jacobian(one), names, float(np.linalg.norm(first)))
    found = least_squares(
        tried,
        one,
        jac=reported,
        bounds=(low, high),
        x_scale="jac",
        xtol=tolerance,
        ftol=tolerance**2,
        gtol=1e-15,
        max_nfev=max_steps,
    )
    j = jacobian(found.x)
    _require_apart(j, names, float(np.linalg.norm(found.fun)))
    freedom = len(first) - len(start)
    scale = float(np.sqrt(found.fun @ found.fun / freedom)) if freedom else 0.0
    lengths = np.linalg.norm(j, axis=0)
    inverse = np.linalg.inv((j / lengths).T @ (j / lengths)) / np.outer(lengths, lengths)
    covariance = inverse * np.outer(start, start) * (1.0 if weighted else scale**2)
    if found.status == 0:
        errors = np.sqrt(np.diag(covariance)) / np.abs(found.x * start)
        vague = " and ".join(name for name, error in zip(names, errors, strict=True) if error > 1.0)
        why = f"these data hardly determine {vague}: fix one of them, or " if vague else ""
        raise ConvergenceError(f"fit: no minimum after {max_steps} steps; {why}start nearer to it")
    near = 0.01 * np.minimum(np.abs(high), high - low), 0.01 * np.minimum(np.abs(low), high - low)
    far = (found.x > high - near[0]) | (found.x < low + near[1])
    return Fitted(found.x * start, found.fun, covariance, scale, count, far)


def _require_apart(j: Floats, names: Sequence[str], size: float) -> None:
    """Raise `FvqpError` if a parameter does nothing, or several do the same."""
    lengths = np.linalg.norm(j, axis=0)
    for name, length in zip(names, lengths, strict=True):
        if not length > NOTHING * max(size, float(lengths.max(initial=0.0))):
            raise FvqpError(
                f"fit: {name} has no effect on what was measured (its derivative vanishes); fix it, or start "
                "elsewhere"
            )
    _, values, right = np.linalg.svd(j / lengths)
    if values[-1] < APART:
        same = [name for name, part in zip(names, right[-1], strict=True) if abs(part) > 0.1]
        raise FvqpError(
            f"fit: {' and '.join(same)} cannot be told apart by these data (singular Jacobian); fix one of "
            "them"
        )
