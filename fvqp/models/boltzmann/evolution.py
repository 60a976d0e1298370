"""Evolution in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from fvqp.errors import CaseError
from fvqp.models.boltzmann.cell_steps import CellSteps
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.rosenbrock import Rosenbrock
from fvqp.models.boltzmann.state import Callback, Counters, Moment, State
from fvqp.typing import Floats

Method = Literal["rosenbrock", "arkimex"]
STEPPERS: dict[str, type[Rosenbrock | CellSteps]] = {"rosenbrock": Rosenbrock, "arkimex": CellSteps}

#: Part of a time by which two times have to differ to be two.
ROUNDING = 1e-12


def evolve(
    problem: BoltzmannProblem,
    state: State,
    times: Sequence[float] | Floats,
    *,
    start: float = 0.0,
    tolerance: float = 1e-2,
    method: Method = "rosenbrock",
    first_step: float | None = None,
    counters: Counters | None = None,
    callback: Callback | None = None,
) -> Iterator[Moment]:
    """States at given times. Collective.

    Steps also end wherever the strength of a `TimedProcess` or a bath beyond a wall changes.

    Args:
        problem: quasiparticles and phonons in their body.
        state: at the start.
        times: increasing, after the start, in τ0.
        start: time of the state.
        tolerance: error of a step. Of ``"rosenbrock"``, in any region: in the energy of quasiparticles and in
            that of phonons, errors of all occupations added up whatever their sign, relative to what the
            region holds, a thousandth of all energy, and 1e-4 of the energy that has left. Of ``"arkimex"``,
            in every occupation, relative to itself.
        method: of steps: ``"rosenbrock"``, linearly implicit, of order 2; or, for cells that do not exchange
            particles, ``"arkimex"``, implicit Runge-Kutta of order 4, or 3 with tolerances from 0.01 on.
        first_step: by default, and if 0, so short that nothing changes by more than the tolerance; one
            that is too long for that, or for positive occupations, is shortened. With the gap's rate of
            change in the state, the evolution of which both are a `Moment` goes on as it would have.
        counters: what came and went before the start.
        callback: called after every step with time, state, and what limits the length of steps; "" if nothing
            does.

    Raises:
        CaseError: times that do not increase, a first step that is negative, or a method that does not
            go with the problem.
        ConvergenceError: steps collapse; says why.
    """
    at = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if at.size == 0 or not np.all(np.isfinite(at)) or at[0] <= start or np.any(np.diff(at) <= 0.0):
        raise CaseError(f"times: must be finite, increase, and come after the start at {start:g} τ0")
    if first_step is not None and not (np.isfinite(first_step) and first_step >= 0.0):
        raise CaseError(f"first step: must be finite and not negative, found {first_step:g} τ0")
    total = problem.no_counters() if counters is None else counters
    if method not in STEPPERS:
        raise CaseError(f'method: "{method}" is not known; use one of {", ".join(STEPPERS)}')
    steps = STEPPERS[method](problem, tolerance, first_step)
    ledger, switches = problem.ledger(state, total), problem.switching_times
    for end in at:
        problem.forget()  # so that a run resumed here goes on in the same way
        if isinstance(steps, Rosenbrock):
            steps.gone = ledger.gone
        inside = switches[(switches > start + ROUNDING * end) & (switches < (1.0 - ROUNDING) * end)]
        for stop in (*inside.tolist(), float(end)):
            problem.switch(0.5 * (start + stop))
            state, passed = steps.advance(state, start, stop, callback)
            total, start = total.plus(1.0, passed), stop
        ledger = problem.ledger(state, total)
        yield Moment(start, state, total, ledger, steps.steps, steps.refused, steps.length)
