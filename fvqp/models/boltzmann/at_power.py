"""Steady states under photons of which the absorbed power is given, not the number.

What photons heat absorbs more of them, so that Newton's method from a state that is not close by ends where
nothing can absorb the power. Their number is searched for instead: the power absorbed in the steady state
grows with it.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from scipy.optimize import brentq

from fvqp.collisions import PhotonDrive
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.boltzmann.cell_steady import SteadyState, balanced_state
from fvqp.models.boltzmann.driven import drive_rate
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import State

log = logging.getLogger(__name__)

#: Factor between two rates of absorption that are tried one after the other, at least.
_FACTOR = 2.0
_TRIALS = 60
#: Relative precision of the rate, from which Newton's method at the given power goes on.
_PRECISION = 1e-3
#: Effective temperature in Δ0 of the first rate that is tried.
_WARM = 0.3


def steady_at_power(
    problem: BoltzmannProblem,
    name: str,
    guess: State,
    *,
    rate: float | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 200,
) -> tuple[SteadyState, float]:
    """The steady state with a drive at given power.

    Args:
        problem: one cell, in which this drive is the only one at given power.
        name: of the drive among its processes.
        guess: first guess, for a weaker drive; the thermal state will do.
        rate: of absorption in the guess, c_phot n̄ in 1/τ0; None where it was not driven.
        tolerance, max_iterations: as of `balanced_state`.

    Returns:
        The state, and the rate of absorption c_phot n̄ in 1/τ0 in it.

    Raises:
        CaseError: several cells, or a process that is no drive at given power.
        ConvergenceError: no rate at which the power is absorbed, or no steady state at one that was tried.
    """
    drive = _drive(problem, name)
    collisions = problem.media[0].medium.collisions
    assert drive.power is not None and collisions is not None
    target = float(drive.power[0, 0])
    if target == 0.0:
        return balanced_state(problem, guess, tolerance=tolerance, max_iterations=max_iterations), 0.0
    state = guess

    def excess(logarithm: float) -> float:
        """Logarithm of the absorbed power over the one that is wanted."""
        nonlocal state
        state, power = _at_rate(problem, name, math.exp(logarithm), state, tolerance, max_iterations)
        log.info("rate of absorption %.4g: %.4g of the power", math.exp(logarithm), power / target)
        if not power > 0.0:
            raise ConvergenceError(f"{name}: no power is absorbed at a rate of {math.exp(logarithm):.3g}/τ0")
        return math.log(power / target)

    start = drive_rate(collisions.coupling.kappa, _WARM, drive.frequency) if rate is None else rate
    here = math.log(float(start))
    value = excess(here)
    for _ in range(_TRIALS):
        # Power grows at least as fast as the rate. Down that is relied on by half; up it may grow far faster.
        there = here - max(0.5 * value, math.log(_FACTOR)) if value > 0.0 else here + math.log(_FACTOR)
        other = excess(there)
        if other * value <= 0.0:
            break
        here, value = there, other
    else:
        raise ConvergenceError(
            f"{name}: no rate of absorption up to {math.exp(here):.3g}/τ0 at which the quasiparticles absorb "
            "the given power"
        )
    found = math.exp(brentq(excess, min(here, there), max(here, there), xtol=_PRECISION))
    steady = balanced_state(problem, state, tolerance=tolerance, max_iterations=max_iterations)
    unit = _absorbed(problem, _scaled(drive, found), steady.state)
    return steady, found * target / unit


def _at_rate(
    problem: BoltzmannProblem, name: str, rate: float, guess: State, tolerance: float, most: int
) -> tuple[State, float]:
    """Steady state at a given rate, and the power that it absorbs."""
    medium = problem.media[0].medium
    fixed = _scaled(_drive(problem, name), rate)
    trial = BoltzmannProblem(
        problem.cells.space, problem.grid, replace(medium, processes={**medium.processes, name: fixed})
    )
    state = balanced_state(trial, guess, tolerance=tolerance, max_iterations=most).state
    return state, _absorbed(trial, fixed, state)


def _drive(problem: BoltzmannProblem, name: str) -> PhotonDrive:
    """The photons of a name.

    Raises:
        CaseError: several cells, or a process that is no drive at given power.
    """
    processes = problem.media[0].medium.processes if problem.cells.n_owned == 1 else {}
    drive = processes.get(name)
    if not isinstance(drive, PhotonDrive) or drive.power is None:
        raise CaseError(f"{name}: need one cell, and photons of which the absorbed power is given")
    return drive


def _scaled(drive: PhotonDrive, rate: float) -> PhotonDrive:
    """The same photons at a given rate of absorption."""
    absorption, emission = drive.absorption[:, 0], drive.emission[:, 0]
    return PhotonDrive(drive.grid, drive.frequency, rate * absorption, rate * emission)


def _absorbed(problem: BoltzmannProblem, drive: PhotonDrive, state: State) -> float:
    """Power by volume that a drive of given rates gives to quasiparticles."""
    (one,) = problem.media
    bin_weights = one.bin_weights(state.gap)
    return float(drive.at(bin_weights, state.f[:, 0], state.n[:, 0]).energy_flow().quasiparticles[0])
