"""Relaxation of the clusters of a case to their stationary states, see `fvqp.models.clusters.evolution`."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.case.clusters.build import ClusterPoints
from fvqp.models.clusters.evolution import (
    TransientStatistics,
    evolve_fokker_planck,
    evolve_master,
    evolve_mean_field,
    evolve_simplified,
    evolve_trajectories,
)
from fvqp.results.dataset import SweepDataset


def define(sweep: SweepDataset) -> None:
    """The variables of a case with an evolution; the dataset has its axes."""
    for name in ("N_mean", "N_variance", "N_mean_error", "m_mean", "polarization"):
        sweep.define(f"{name}_evolution", ("time",))
    if "N" in sweep.dataset.coords:
        sweep.define("P_evolution", ("time", "N"))


def evolved(clusters: ClusterPoints, place: tuple[int, ...], sweep: SweepDataset) -> dict[str, Any]:
    """Return the recorded evolution of a place."""
    found = _evolution(clusters, place)
    values: dict[str, Any] = {"N_mean_evolution": found.number}
    for name, part in (
        ("N_variance", found.variance),
        ("N_mean_error", found.error),
        ("m_mean", found.flipped),
        ("polarization", found.polarization),
    ):
        if part is not None:
            values[f"{name}_evolution"] = part
    if found.lost is not None:
        values["lost_evolution"] = found.lost
    if found.distribution is not None and "N" in sweep.dataset.coords:
        values["P_evolution"] = np.zeros((len(found.number), sweep.dataset.sizes["N"]))
        shared = min(found.distribution.shape[1], sweep.dataset.sizes["N"])
        values["P_evolution"][:, :shared] = found.distribution[:, :shared]
    return values


def _evolution(clusters: ClusterPoints, place: tuple[int, ...]) -> TransientStatistics:
    case, cluster, equation = clusters.case, clusters.at(place), clusters.equation(place)
    table, solver = case.evolution, case.solver
    assert table is not None
    start = clusters.start(place)
    times = np.array(table.time)
    if equation == "mean_field":
        return evolve_mean_field(cluster, start, times)
    if equation == "trajectory":
        # Apart from those of the stationary trajectory, which has a key of the same length.
        seed = np.random.SeedSequence(case.trajectories.seed, spawn_key=(*place, 1)).generate_state(1)[0]
        return evolve_trajectories(cluster, start, times, runs=table.runs, seed=int(seed))
    shared: dict[str, Any] = {"tolerance": table.tolerance, "lost": solver.lost, "comm": MPI.COMM_SELF}
    if equation == "simplified":
        return evolve_simplified(cluster, start, times, **shared)
    if equation == "fokker_planck":
        return evolve_fokker_planck(cluster, start, times, cells=solver.cells, **shared)
    return evolve_master(cluster, start, times, method=solver.method, max_states=solver.max_states, **shared)
