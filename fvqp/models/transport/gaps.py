"""Gaps that follow, and quasiparticles that are carried along."""

from __future__ import annotations

import numpy as np

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.transport.problem import BoltzmannProblem
from fvqp.models.transport.state import State
from fvqp.typing import Floats


def predict_gap(problem: BoltzmannProblem, state: State, time: float) -> State:
    """The state with gaps where they are expected after a time, whose spectra are in use from now on."""
    f, gap, rate = state.f, state.gap, state.gap_rate
    if rate is not None:
        f, gap = f.copy(), gap.copy()
        mean = problem.mean_f(f)
        for one in problem.media:
            if one.self_consistent is not None and len(one.owned):
                at = one.owned
                target = np.maximum(gap[at] + time * rate[at], one.self_consistent.floor)
                there = one.self_consistent.shift(np.clip(mean[at], 0.0, 1.0), gap[at], target)
                f[at], gap[at] = advect_with_gap(f[at], mean[at], there.f), there.gap
    problem.set_gap(gap)
    return State(f, state.n, gap)


def correct_gap(problem: BoltzmannProblem, f: Floats, gap: Floats) -> tuple[Floats, Floats]:
    """Occupations and gaps that solve their equation, from such at other gaps. Collective.

    Raises:
        ConvergenceError: no solution in some cell, or one that leaves the axis of energies; on all ranks.
    """
    if not problem.gap_follows:
        return f, gap
    f, gap = f.copy(), gap.copy()
    mean = problem.mean_f(f)
    failure = None
    for one in problem.media:
        if one.self_consistent is None or not len(one.owned):
            continue
        at = one.owned
        try:
            there = one.self_consistent.follow(np.clip(mean[at], 0.0, 1.0), gap[at])
        except (CaseError, ConvergenceError) as error:
            failure = str(error)
            break
        f[at], gap[at] = advect_with_gap(f[at], mean[at], there.f), there.gap
    failures = [text for text in problem.body.comm.allgather(failure) if text]
    if failures:
        raise ConvergenceError(failures[0])
    return f, gap


def advect_with_gap(f: Floats, mean: Floats, moved: Floats) -> Floats:
    """``f[cell, direction, bin]`` whose means have moved with the gap; directions keep their shares.

    Where an occupation would exceed 1, its bin becomes more isotropic instead.
    """
    if f.shape[1] == 1:
        return moved[:, None, :]
    share = np.divide(f, mean[:, None, :], out=np.ones_like(f), where=mean[:, None, :] > 0.0)
    off = moved[:, None, :] * (share - 1.0)
    most = off.max(axis=1)
    room = np.divide(1.0 - moved, most, out=np.ones_like(most), where=most > 0.0)
    return np.asarray(moved[:, None, :] + np.clip(room, 0.0, 1.0)[:, None, :] * off)
