"""Sweeps of a problem that is made of objects."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fvqp.errors import CaseError, ConvergenceError, shown
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result
from fvqp.study.energy_axis import axis_maximum, coarse_axis, fitted_axis
from fvqp.study.observable import UsadelRun
from fvqp.study.recorded import add_symmetry_parts, point_balance, point_values, sweep_dataset
from fvqp.study.sweep import Sweep, chains, walk, without_solution
from fvqp.typing import Floats
from fvqp.units import in_unit

log = logging.getLogger(__name__)

Biases = float | str | Iterable[float | str] | Floats | None


def solve(
    problem: UsadelProblem, *, V_inj: Biases = None, V_det: Biases = None, energies: int | None = None
) -> Result:
    """Solve a Usadel problem over biases and over all values of its supercurrent. Collective.

    Each point starts from its neighbour in ``V_inj``, from zero bias on.

    Args:
        problem: the problem.
        V_inj, V_det: biases of injectors and detectors, volt or text such as ``"0.3 mV"``; one or several.
            Axes that are not given are zero and no dimension of the result.
        energies: bins of an axis graded around the spectra at rest that reaches beyond all biases; None for
            the axis of the problem.

    Returns:
        The result in memory: the variables of ``results.nc`` (`docs/reference/file-formats.md`). Points
        without a solution are NaN; ``outcome`` says why.

    Raises:
        CaseError: an axis that ends below a bias, biases that are no voltages, another kind of problem.
        ConvergenceError: no point has a solution.
    """
    if not isinstance(problem, UsadelProblem):
        kind = type(problem).__name__
        raise CaseError(f"solve: expected a UsadelProblem, got {kind}; a BoltzmannProblem is for evolve")
    drives = () if problem.supercurrent is None else problem.supercurrent.values
    sweep = Sweep(supercurrent=drives, V_det=_volts(V_det), V_inj=_volts(V_inj))
    if energies is not None:
        if not isinstance(energies, int | np.integer) or energies < 1:
            raise CaseError(f"solve: energies: expected a number of bins such as 200, got {shown(energies)}")
        maximum = axis_maximum(problem, (*sweep.V_inj, *sweep.V_det))
        rough = replace(problem, grid=coarse_axis(maximum, problem.broadening), collisions=None)
        problem = replace(problem, grid=fitted_axis([rough], energies))
    run = UsadelRun(problem)
    data = sweep_dataset(run, problem, sweep, attributes={"model": "usadel", "title": ""})
    guard = problem.device.mesh.comm.Dup()
    reasons: list[ConvergenceError] = []
    with SweepProgress(data.completed.size, problem.device.mesh.comm) as progress:
        for curve, chain in itertools.product(np.ndindex(sweep.shape[:3]), chains(sweep.V_inj)):
            places = [sweep.place(curve, v) for v in chain]
            for step, found in walk(problem, sweep.points(curve, chain), None, guard):
                if isinstance(found, ConvergenceError):
                    reasons.append(found)
                    beyond = places[step:] if problem.follows_bias else places[step : step + 1]
                    outcome, unsolved = without_solution(beyond, found)
                    for place in unsolved:
                        data.leave(place, outcome)
                    progress.advance(outcome.name.lower(), len(unsolved))
                    continue
                data.record(places[step], **point_values(run, problem, found))
                point_balance(run, problem, found).record(data, places[step])
                progress.advance(f"V_inj = {found.point.V_inj * 1e3:.4g} mV")
    guard.Free()
    if reasons and not np.any(data.completed):
        raise reasons[0]
    if reasons and problem.device.mesh.comm.rank == 0:
        missing, points = int(np.sum(~data.completed)), data.completed.size
        log.warning("%d of %d points have no solution: %s", missing, points, reasons[0])
    add_symmetry_parts(data.dataset, sweep, problem)
    return Result(data.dataset)


def _volts(biases: Biases) -> tuple[float, ...]:
    if biases is None:
        return ()
    if isinstance(biases, str) or not isinstance(biases, Iterable):
        return (in_unit(biases, "V"),)
    return tuple(in_unit(bias, "V") for bias in biases)
