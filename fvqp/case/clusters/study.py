"""Study of clusters: every point of the sweep is a cluster and an equation, solved on one rank."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.case.clusters import evolution
from fvqp.case.clusters.build import CUBIC_MICROMETRE, ClusterPoints, coupling
from fvqp.case.clusters.schema import ClustersCase
from fvqp.case.petsc_options import check_options_used
from fvqp.case.study import PointStudy
from fvqp.models.clusters import (
    Cluster,
    ClusterState,
    FokkerPlanck,
    MasterEquation,
    NumberChain,
    analytic_flux_noise,
    crossover,
    estimated_flux_noise,
    noise_spectrum,
    reduced_chain,
    regime,
    simulate,
    stationary_state,
)
from fvqp.models.clusters.gillespie import FORGOTTEN
from fvqp.models.clusters.mean_field import approximate_number, stationary
from fvqp.models.clusters.reduced import stationary_weight
from fvqp.models.clusters.states import choose
from fvqp.results.dataset import SweepDataset
from fvqp.solvers.slowest import slowest_rates
from fvqp.texts import percent
from fvqp.typing import Floats

Values = dict[str, Any]

#: A cluster on which solvers show which options they read.
SMALL = Cluster(10.0, 1.0, gamma=10.0, gamma_t=0.1, tau_s=1.0)
#: Averages of a trajectory in a lifetime.
AVERAGES = 4

OVERHEAD, NUMBER, EVENT = 500.0, 1.5, 1e-2
"""Work of any point, of a number N in an equation for it, and of an event of a trajectory, in that of a state
of the master equation (measured)."""
MAX_SAMPLE = 30_000.0
"""States of a point that is timed; of larger clusters a part is."""
MIN_VOLUME = 1e-3 * CUBIC_MICROMETRE
"""Volume in which hardly anything is left, m³."""


class ClustersStudy(PointStudy):
    """Clusters of a case: every point of the sweep is a cluster and an equation."""

    case: ClustersCase

    def __init__(self, case: ClustersCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        check_options_used(case, f'method = "{case.solver.method}"', rehearse=self._rehearse)
        self.clusters = ClusterPoints(case)
        self.sources = {"constants": "given in the case" if case.material is None else "material of the case"}
        self.warnings = self.clusters.warnings()

    def _rehearse(self) -> None:
        """Let solvers read PETSc's options on a cluster of a few hundred states."""
        equations, method = set(self.case.sweep.equation), self.case.solver.method
        # Equations in N are eliminated directly, as small master equations are.
        methods = {"mumps"} if {"simplified", "fokker_planck"} & equations else set()
        if "master" in equations:
            methods |= {"mumps", "multigrid"} if method == "auto" else {method}
        for one in sorted(methods):
            equation = MasterEquation(SMALL, comm=MPI.COMM_SELF, method=one, warn=False)
            equation.stationary()
            if self.case.evolution is not None:
                equation.evolve(equation.certain(0, 0), [1e-3])
            equation.chain.destroy()

    def report(self) -> Iterable[tuple[str, str]]:
        clusters, found = self.clusters, self.clusters.constants
        numbers = [clusters.number(place) for place in clusters.places() if place[1] == 0]
        return [
            ("annihilation", f"{found.gamma:.4g} um^3/s, of triplets {found.gamma_t:.4g} um^3/s"),
            ("spin flips", f"{found.tau_s:.4g} s"),
            ("sweep", f"{len(clusters.places())} points: {', '.join(map(str, clusters.shape))} of "
                      "spin, equation, generation, volume"),
            ("numbers", f"{min(numbers):.4g} to {max(numbers):.4g} quasiparticles in mean field"),
        ]  # fmt: skip

    def errors(self) -> list[str]:
        texts, equations = [], self.case.sweep.equation
        if {"master", "simplified", "fokker_planck"} & set(equations):
            texts.append(f"states left out {self.case.solver.lost:.2g} of the probability (solver.lost)")
        if "trajectory" in equations:
            # independent samples: one a lifetime
            part = 1.0 / math.sqrt(self.case.trajectories.lifetimes)
            texts.append(f"trajectories {percent(part)} of the width of N")
        return texts

    def size(self, place: tuple[int, ...]) -> float:
        """States of the master equation; in such states, what else a point takes (measured)."""
        clusters, found = self.clusters, self.clusters.equation(place)
        if found == "master":
            return OVERHEAD + choose(clusters.at(place), self.case.solver.lost).size
        if found == "trajectory":
            return OVERHEAD + EVENT * self.case.trajectories.lifetimes * clusters.number(place)
        if found == "mean_field":
            return OVERHEAD
        return OVERHEAD + NUMBER * clusters.largest(place)[0]

    def sample(self, place: tuple[int, ...], sweep: SweepDataset) -> float:
        small = copy.copy(self)
        small.clusters = copy.copy(self.clusters)
        while (size := small.size(place)) > MAX_SAMPLE and np.all(small.clusters.volume > MIN_VOLUME):
            small.clusters.volume = 0.5 * small.clusters.volume
        small.values(place, sweep)
        return size

    def where(self, place: tuple[int, ...]) -> str:
        return self.clusters.where(place)

    def dataset(self) -> SweepDataset:
        clusters = self.clusters
        case, found = clusters.case, clusters.constants
        axes = {
            "spin": np.array(case.sweep.spin),
            "equation": np.array(case.sweep.equation),
            "generation": clusters.generation,
            "volume": clusters.volume,
        }
        coordinates: dict[str, tuple[tuple[str, ...], Floats]] = {}
        along = clusters.along
        if along is not None:
            coordinates[str(along.name)] = (("generation",), along.values)
        if case.output.distribution:
            reach = [clusters.largest(place) for place in clusters.places()]
            coordinates["N"] = (("N",), np.arange(max(entry[0] for entry in reach) + 1.0))
            if "master" in case.sweep.equation:
                coordinates["m"] = (("m",), np.arange(max(entry[1] for entry in reach) + 1.0))
        if case.noise is not None:
            coordinates["frequency"] = (("frequency",), np.array(case.noise.frequency))
            if case.noise.time is not None:
                coordinates["delay"] = (("delay",), np.array(case.noise.time))
        attributes: dict[str, Any] = {
            "annihilation_m3_per_s": found.gamma * CUBIC_MICROMETRE,
            "triplet_annihilation_m3_per_s": found.gamma_t * CUBIC_MICROMETRE,
            "spin_flip_time_s": found.tau_s,
            "algebra": case.cluster.algebra,
            "flux_per_spin_Phi0": coupling(case),
            "swept": "generation" if along is None else str(along.name),
        }
        if found.gamma_t > 0.0 and math.isfinite(found.tau_s):
            attributes |= {
                "critical_number": found.gamma / found.gamma_t,
                "critical_volume_m3": found.gamma * found.tau_s * CUBIC_MICROMETRE,
                "critical_generation_per_m3_s": found.gamma
                / (found.gamma_t * found.tau_s) ** 2
                / CUBIC_MICROMETRE,
            }
        if "trajectory" in case.sweep.equation:
            attributes |= {
                "seed": case.trajectories.seed,
                "random_numbers": "numpy.random.default_rng from numpy.random.SeedSequence(seed, "
                "spawn_key=(spin, equation, generation, volume)), places counted from 0; "
                "with a further 1 for an evolution",
            }
        if case.evolution is not None:
            coordinates["time"] = (("time",), np.array(case.evolution.time))
        if case.output.relaxation_rates:
            coordinates["mode"] = (("mode",), np.arange(float(case.output.relaxation_rates)))
            attributes["eigenvalues_by"] = "ARPACK"
        sweep = SweepDataset(axes, coordinates, attributes)
        for name in ("N_mean", "N_scale", "enhancement", "polarization_analytic", "enhancement_analytic"):
            sweep.define(name)
        if case.output.distribution:
            sweep.define("P", ("N",))
            sweep.define("P_analytic", ("N",))
            if "m" in coordinates:
                sweep.define("P_flipped", ("m",))
        if case.noise is not None:
            for name in ("S_N", "S_N_one_sided", "S_spin", "S_spin_estimate", "S_flux", "S_flux_one_sided"):
                sweep.define(name, ("frequency",))
            if case.noise.time is not None:
                sweep.define("C_N", ("delay",))
        if case.evolution is not None:
            evolution.define(sweep)
        if case.output.relaxation_rates:
            for name in ("relaxation_rate", "relaxation_oscillation"):
                sweep.define(name, ("mode",))
        return sweep

    def values(self, place: tuple[int, ...], sweep: SweepDataset) -> Values:
        clusters = self.clusters
        case, cluster, equation = clusters.case, clusters.at(place), clusters.equation(place)
        if equation == "mean_field":
            values = _mean_field(cluster)
        elif equation == "trajectory":
            values = _trajectory(case, cluster, place, sweep)
        else:
            values = _of_state(case, cluster, equation, sweep)
        if case.evolution is not None:
            values |= evolution.evolved(clusters, place, sweep)
        if case.output.distribution and equation != "mean_field":
            log_w = stationary_weight(cluster, sweep.dataset["N"].values)
            weight = np.exp(log_w - log_w.max())
            values["P_analytic"] = weight / weight.sum()
        return values | _closed_forms(cluster, values["N_mean"])


def _mean_field(cluster: Cluster) -> Values:
    found = stationary(cluster)
    return {"N_mean": found.number, "m_mean": found.flipped, "polarization": found.polarization}


def _of_state(case: ClustersCase, cluster: Cluster, equation: str, sweep: SweepDataset) -> Values:
    """Moments, distributions and spectra of a stationary state."""
    state = _state(case, cluster, equation)
    values = _moments(state)
    if case.noise is not None:
        values |= _noise(case, cluster, state)
    if case.output.distribution:
        values |= _distributions(state, sweep)
    chain = state.equation.chain if isinstance(state, ClusterState) else state.chain
    if case.output.relaxation_rates:
        slowest = slowest_rates(chain, case.output.relaxation_rates)
        values |= {"relaxation_rate": slowest.real, "relaxation_oscillation": np.abs(slowest.imag)}
    # Factors of large clusters are not left to the garbage collector.
    chain.destroy()
    return values


def _state(case: ClustersCase, cluster: Cluster, equation: str) -> ClusterState | NumberChain:
    """The stationary state of an equation."""
    solver, alone = case.solver, MPI.COMM_SELF
    if equation == "master":
        return stationary_state(
            cluster,
            lost=solver.lost,
            tolerance=solver.tolerance,
            comm=alone,
            method=solver.method,
            max_states=solver.max_states,
            warn=False,
        )
    if equation == "simplified":
        return reduced_chain(cluster, lost=solver.lost, comm=alone)
    return FokkerPlanck(cluster, cells=solver.cells, lost=solver.lost, comm=alone)


def _moments(state: ClusterState | NumberChain) -> Values:
    values: Values = {"N_mean": state.mean_number, "N_variance": state.variance}
    if isinstance(state, ClusterState):
        values |= {
            "m_mean": state.mean_flipped,
            "polarization": state.polarization,
            "lost": state.loss.total,
        }
    return values


def _closed_forms(cluster: Cluster, number: float) -> Values:
    """Moments of Eq. (7), where all spins are parallel, and the cross-over to unpolarized ones."""
    scale = approximate_number(cluster)
    x = np.linspace(0.0, 8.0, 20_001)[1:]
    log_w = stationary_weight(cluster, scale * x)
    weight = np.exp(log_w - log_w.max())
    mean = float((weight * x).sum() / weight.sum())
    square = float((weight * x**2).sum() / weight.sum())
    values: Values = {
        "N_scale": scale,
        "N_mean_analytic": scale * mean,
        "N_variance_analytic": scale**2 * (square - mean**2),
        "enhancement": number / cluster.unpolarized_number,
    }
    if cluster.spin == "quantum":
        if cluster.gamma_t > 0.0 and math.isfinite(cluster.tau_s):
            found = crossover(
                cluster.generation / cluster.critical_generation,
                cluster.volume / cluster.critical_volume,
                cluster.algebra,
            )
            values |= {
                "polarization_analytic": float(found.polarization),
                "enhancement_analytic": float(found.enhancement),
            }
        else:
            state = stationary(cluster)
            values |= {
                "polarization_analytic": state.polarization,
                "enhancement_analytic": state.number / cluster.unpolarized_number,
            }
    return values


def _distributions(state: ClusterState | NumberChain, sweep: SweepDataset) -> Values:
    """P(N) on the axis of the results, and P(m) where it is known."""
    numbers = sweep.dataset["N"].values
    if isinstance(state, FokkerPlanck):
        # Means over cells; cells and numbers differ.
        return {"P": np.interp(numbers, state.centres, state.density(), right=0.0)}
    if isinstance(state, NumberChain):
        return {"P": _fitted(state.distribution(), len(numbers))}
    flipped = np.bincount(state.equation.m, weights=state.p).astype(float)
    return {
        "P": _fitted(state.number_distribution(), len(numbers)),
        "P_flipped": _fitted(flipped, sweep.dataset.sizes["m"]),
    }


def _fitted(values: Floats, length: int) -> Floats:
    """Return as many values as the axis has; those beyond hold less than ``solver.lost``."""
    out = np.zeros(length)
    out[: min(length, len(values))] = values[:length]
    return out


def _noise(case: ClustersCase, cluster: Cluster, state: ClusterState | NumberChain) -> Values:
    assert case.noise is not None
    per_spin = coupling(case)
    found = noise_spectrum(
        state,
        np.array([0.0, *case.noise.frequency]),
        flux_per_spin=per_spin,
        tolerance=case.noise.tolerance,
        times=case.noise.time or (),
    )
    values: Values = {
        "S_N": found.number[1:],
        "S_N_one_sided": found.number_one_sided[1:],
        "S_spin": found.spin[1:],
        "S_spin_estimate": found.spin_estimate[1:],
        "S_flux": found.flux[1:],
        "S_flux_one_sided": found.flux_one_sided[1:],
        "S_flux_analytic": analytic_flux_noise(cluster, flux_per_spin=per_spin),
        "noise_error": found.error,
    }
    if case.noise.time is not None:
        values["C_N"] = found.correlation
    name = regime(cluster)
    if name != "unpolarized":
        # Time of the regime: τ_s, or N0²/AV where triplets limit.
        by_flips = name == "spin relaxation"
        unit = cluster.tau_s if by_flips else (cluster.injection * cluster.triplet**2) ** (-1.0 / 3.0)
        values["noise_coefficient"] = found.number[0] / (found.variance * unit)
        values["S_flux_estimate"] = estimated_flux_noise(cluster, flux_per_spin=per_spin)
    return values


def _trajectory(case: ClustersCase, cluster: Cluster, place: tuple[int, ...], sweep: SweepDataset) -> Values:
    """Averages over a random trajectory after its start has been forgotten."""
    lifetime = approximate_number(cluster) ** 2 / cluster.injection
    lifetimes = case.trajectories.lifetimes
    sequence = np.random.SeedSequence(case.trajectories.seed, spawn_key=place)
    first, second = map(int, sequence.generate_state(2))
    start = (round(approximate_number(cluster)), 0)
    before = simulate(cluster, duration=FORGOTTEN * lifetime, samples=1, seed=first, start=start)
    found = simulate(
        cluster,
        duration=lifetimes * lifetime,
        samples=math.ceil(AVERAGES * lifetimes),
        seed=second,
        start=(int(before.number[-1]), int(before.flipped[-1])),
    )
    mean, error = found.average()
    values: Values = {
        "N_mean": mean[0],
        "N_mean_error": error[0],
        "N_variance": mean[1] - mean[0] ** 2,
    }
    if case.output.distribution:
        values["P"] = _fitted(found.residence, sweep.dataset.sizes["N"])
    if cluster.spin == "quantum":
        values |= {"m_mean": mean[2], "polarization": 1.0 - 2.0 * mean[2] / mean[0]}
    return values


STUDY = ClustersStudy
