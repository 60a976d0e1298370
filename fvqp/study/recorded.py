"""Records of a sweep of the Usadel model: its dataset, and values and balance of a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from mpi4py import MPI

from fvqp.models.usadel.leads import heat_balance
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.results.dataset import SweepDataset
from fvqp.results.ledger import Ledger
from fvqp.results.observable import define
from fvqp.results.symmetry import is_mirrored, symmetry_parts
from fvqp.study.observable import UsadelRun, UsadelSample, averages_under
from fvqp.study.sweep import AXES, Sweep

#: A coordinate this much smaller than those of the device is 0.
ROUNDED = 1e-12


def sweep_dataset(
    run: UsadelRun,
    problem: UsadelProblem,
    sweep: Sweep,
    coordinates: Mapping[str, tuple[tuple[str, ...], Any]] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> SweepDataset:
    """Return the dataset of a sweep with the variables of all observables. Collective.

    Args:
        run: the sweep as observables know it.
        problem: one of the sweep's, for its energy axis and its supercurrents at rest.
        sweep: axes; those without values are left out.
        coordinates, attributes: further ones, as of `SweepDataset`.
    """
    device = run.device
    axes: dict[str, Any] = {name: getattr(sweep, name) for name in AXES if getattr(sweep, name)}
    unit = device.voltage_unit
    known: dict[str, tuple[tuple[str, ...], Any]] = {"energy": (("energy",), problem.grid.energies * unit)}
    if sweep.supercurrent:
        at_rest = [problem.at_rest(value)[1] for value in sweep.supercurrent]
        axes["supercurrent"] = [0.0 if phase is None else phase.current for phase in at_rest]
        gradients = [0.0 if phase is None else phase.gradient for phase in at_rest]
        known["phase_gradient"] = (("supercurrent",), gradients)
    if device.junctions:
        known["junction"] = (("junction",), [j.name for j in device.junctions])
        centres = averages_under(problem, device.mesh.centroid)
        extent = device.mesh.comm.allreduce(float(np.abs(device.mesh.centroid).max(initial=0.0)), MPI.MAX)
        # sums on several ranks round otherwise
        centres = np.where(np.abs(centres) < ROUNDED * extent, 0.0, centres)
        known |= {f"{name}_junction": (("junction",), centres[:, k]) for k, name in enumerate("xyz")}
    if run.driving:
        known["reservoir"] = (("reservoir",), [r.name for r in device.reservoirs])
    scales = {"delta0_eV": unit, "coherence_length_m": device.material.coherence_length}
    data = SweepDataset(axes, {**known, **(coordinates or {})}, {**(attributes or {}), **scales})
    data.define_outcome()
    for one in run.recorded():
        define(data, one, run)
    return data


def point_values(run: UsadelRun, problem: UsadelProblem, solution: Solution) -> dict[str, Any]:
    """Return all observables of a point by name. Collective."""
    at = UsadelSample(run, problem, solution)
    found: dict[str, Any] = {}
    for one in run.recorded():
        found.update(one.values(at))
    return found


def point_balance(run: UsadelRun, problem: UsadelProblem, solution: Solution) -> Ledger:
    """Return the ledger of a point."""
    sums = problem.ledger(solution)
    rows = {
        name: (float(sums.injected[k]), float(sums.relaxed[k]), float(sums.taken[k]))
        for k, name in enumerate(sums.rows)
    }
    if run.driving:
        # Counted from the condensate, what flows between reservoirs beside it has no number.
        del rows["particles"]
    scale = {name: float(sums.scale[k]) for k, name in enumerate(sums.rows) if name in rows}
    if solution.leads is not None:
        heat = heat_balance(problem, solution)
        parts = heat.tunnelled + heat.dissipated, heat.phonons, heat.reservoir
        rows["leads"] = (float(parts[0].sum()), float(parts[1].sum()), float(parts[2].sum()))
        scale["leads"] = float(sum(np.abs(part).sum() for part in parts))
    return Ledger(rows, scale)


def add_symmetry_parts(dataset: xr.Dataset, sweep: Sweep, problem: UsadelProblem) -> None:
    """Add the symmetry parts (Eqs. 16-19) where the sweep has the mirror images they need."""
    biases = np.array(sweep.V_inj)
    if "g_nl" not in dataset or len(biases) < 2 or not is_mirrored(biases):
        return
    even = problem.supercurrent is not None and not problem.coupling
    if "supercurrent" in dataset.dims and not even and not is_mirrored(dataset["supercurrent"].values):
        return
    for name, part in symmetry_parts(dataset["g_nl"], even_in_supercurrent=even).items():
        dataset[name] = part
