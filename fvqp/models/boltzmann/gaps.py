"""Gaps that follow, and particles that are carried along: quasiparticles with the gap, phonons with 2Δ."""

from __future__ import annotations

from functools import partial

import numpy as np

from fvqp.collisions.process import Pair
from fvqp.collisions.threshold import carried_phonons
from fvqp.energy import BinWeights
from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import GapUpdate
from fvqp.models.boltzmann.lifted_phonons import cross_threshold, kept_share
from fvqp.models.boltzmann.medium import MediumCells
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import State
from fvqp.typing import Floats

#: Most that a gap moves in a step at any tolerance, Δ0.
MAX_GAP_STEP = 0.02
#: Times that a step is shortened because a gap moves too far. One that jumps does so at any length.
SHORTENED = 4
#: Times that a gap moves on after pairs that lifted phonons break.
MAX_PAIR_MOVES = 10
#: Move of a gap in Δ0 after which phonons keep to their modes. Each move is some per cent of the one before.
LAST_PAIR_MOVE = 1e-12


def predict_gap(problem: BoltzmannProblem, state: State, length: float) -> State:
    """The state with gaps where they are expected in the middle of a step.

    Args:
        problem: whose gaps follow, or stay.
        state: where the step begins.
        length: of the step, τ0.
    """
    f, n, gap, rate = state.f, state.n, state.gap, state.gap_rate
    if rate is not None:
        f, n, gap = f.copy(), n.copy(), gap.copy()
        mean = problem.mean_f(f)
        for one in problem.media:
            if one.self_consistent is not None and len(one.owned):
                at = one.owned
                target = np.maximum(gap[at] + 0.5 * length * rate[at], one.self_consistent.floor)
                there = one.self_consistent.shift(np.clip(mean[at], 0.0, 1.0), gap[at], target)
                moved = there.f
                if one.splits_phonons:
                    before = one.bin_weights(gap[at])
                    moved, n[at, 0] = _across(one, before, gap[at], there, n[at, 0], length)
                f[at], gap[at] = advect_with_gap(f[at], mean[at], moved), there.gap
    return State(f, n, gap)


def correct_gap(
    problem: BoltzmannProblem, f: Floats, n: Floats, gap: Floats, length: float | None = None
) -> tuple[Floats, Floats, Floats]:
    """Occupations and gaps that solve their equation, from such at other gaps. Collective.

    Args:
        problem: whose gaps follow, or stay.
        f, n: occupations ``(n_owned, M, N)`` and ``(n_owned, M, K)``.
        gap: of the spectra at which these occupations were found, ``(n_owned,)``.
        length: of the step that ends here, τ0, after which phonons lifted above 2Δ have broken pairs; None
            where phonons keep to their modes.

    Raises:
        ConvergenceError: no solution in some cell, or one that leaves the axis of energies; on all ranks.
    """
    if not problem.gap_follows:
        return f, n, gap
    f, n, gap = f.copy(), n.copy(), gap.copy()
    mean = problem.mean_f(f)
    failure = None
    for one in problem.media:
        if one.self_consistent is None or not len(one.owned):
            continue
        at = one.owned
        try:
            if one.splits_phonons:
                moved, n[at, 0], gap[at] = _to_solution(one, mean[at], n[at, 0], gap[at], length)
            else:
                moved, gap[at], _ = one.self_consistent.follow(np.clip(mean[at], 0.0, 1.0), gap[at])
        except (CaseError, ConvergenceError) as error:
            failure = str(error)
            break
        f[at] = advect_with_gap(f[at], mean[at], moved)
    failures = [text for text in problem.cells.comm.allgather(failure) if text]
    if failures:
        raise ConvergenceError(failures[0])
    return f, n, gap


def gap_moves(problem: BoltzmannProblem, before: Floats, after: Floats) -> Floats:
    """Return the moves of gaps in a step, ``(n_owned,)``; of a cell that becomes normal, to the smallest gap
    that its axis resolves, below which it has none."""
    reached = after.copy()
    for one in problem.media:
        if one.self_consistent is not None and len(one.owned):
            at = one.owned
            normal = (after[at] == 0.0) & (before[at] > 0.0)
            reached[at] = np.where(normal, np.minimum(one.self_consistent.floor, before[at]), after[at])
    return np.asarray(np.nan_to_num(reached - before))


def _to_solution(
    one: MediumCells, f: Floats, n: Floats, gap: Floats, length: float | None
) -> tuple[Floats, Floats, Floats]:
    """f, n and gaps of a medium whose phonon modes are split at 2Δ, see `correct_gap`.

    Phonons that are lifted above 2Δ break pairs, which moves the gap on.
    """
    assert one.self_consistent is not None
    before = one.bin_weights(gap)
    there = one.self_consistent.follow(np.clip(f, 0.0, 1.0), gap)
    for _ in range(MAX_PAIR_MOVES if length is not None else 0):
        if np.abs(there.gap - gap).max() <= LAST_PAIR_MOVE:
            break
        assert length is not None
        f, n = _across(one, before, gap, there, n, length)
        gap, before = there.gap, there.bin_weights
        there = one.self_consistent.follow(f, gap)
    return there.f, carried_phonons(one.grid, before, there.bin_weights, n), there.gap


def _across(
    one: MediumCells, before: BinWeights, gap: Floats, there: GapUpdate, n: Floats, length: float
) -> Pair:
    """f and n after a move of the gap in a step, see `cross_threshold`."""
    collisions = one.medium.collisions
    assert collisions is not None
    kept = kept_share(collisions, length, gap, there.gap)
    return cross_threshold(
        collisions, before, there.bin_weights, there.f, n, kept, partial(one.gain_loss, there.bin_weights)
    )


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
