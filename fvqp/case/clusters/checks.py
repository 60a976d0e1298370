"""Checks of a case of clusters that need no solution."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.clusters.build import ClusterPoints
from fvqp.case.clusters.schema import ClustersCase
from fvqp.errors import CaseError
from fvqp.models.clusters import Cluster
from fvqp.models.clusters.gillespie import FORGOTTEN
from fvqp.models.clusters.mean_field import approximate_number, stationary

WITH_NOISE = ("master", "simplified", "fokker_planck")
"""Equations that answer with a spectrum."""
MAX_EVENTS = 2e10
"""Events of a random trajectory; more take hours."""
MAX_STORED = 50_000_000
"""Numbers in P(N) of all points."""


def check_case(case: ClustersCase) -> None:
    """Raise `CaseError` for clusters that cannot be, or are too large; earlier results have to be there."""
    clusters = ClusterPoints(case)
    for place in clusters.places():
        if place[1] == 0:
            clusters.number(place)
    for place in clusters.places():
        if clusters.equation(place) == "trajectory":
            _check_length(case, clusters, place)
    if case.evolution is not None:
        _check_start(case, clusters)
    if case.output.distribution:
        longest = max(
            clusters.largest(place)[0]
            for place in clusters.places()
            if clusters.equation(place) != "mean_field"
        )
        number = len(clusters.places()) * (1 if case.evolution is None else 1 + len(case.evolution.time))
        if longest * number > MAX_STORED:
            raise CaseError(
                f"{case.source}: output.distribution: {number} distributions of up to "
                f"{longest} numbers are more than the {MAX_STORED} that can be stored; take fewer points, "
                "or smaller clusters"
            )


def problems(case: ClustersCase) -> Iterator[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    equations = case.sweep.equation
    spectral = [name for name in equations if name in WITH_NOISE]
    if case.noise is not None and not spectral:
        yield "noise", f"is not used: none of {', '.join(equations)} gives spectra"
    if case.output.distribution and equations == ("mean_field",):
        yield "output.distribution", "mean field knows no distribution; add an equation"
    if case.trajectory is not None and "trajectory" not in equations:
        yield "trajectory", 'is not used without "trajectory" in sweep.equation'
    evolution = case.evolution
    if evolution is not None and "runs" in evolution.model_fields_set and "trajectory" not in equations:
        yield "evolution.runs", 'is not used without "trajectory" in sweep.equation'
    if evolution is not None and "tolerance" in evolution.model_fields_set and not spectral:
        yield "evolution.tolerance", f"is not used: none of {', '.join(equations)} has probabilities"
    if case.output.relaxation_rates and not spectral:
        yield "output.relaxation_rates", f"is not used: none of {', '.join(equations)} has eigenvalues"
    material, given, results = case.material, case.cluster, case.sweep.results
    if results is not None and results.variable == "f_L":
        if results.density_of_states is None and material is None:
            key = "sweep.results.density_of_states"
            yield key, "missing: f_L becomes a density with it"
    if material is not None:
        if None not in (given.triplet_annihilation, given.spin_flip_time) and material.spin_orbit is not None:
            yield "material.spin_orbit", "is not used: cluster gives what follows from it"
        if given.spin_flip_time is not None and material.excess_energy is not None:
            yield "material.excess_energy", "is not used: cluster.spin_flip_time is given"
    if "algebra" in given.model_fields_set and "quantum" not in case.sweep.spin:
        yield "cluster.algebra", 'is not used without "quantum" in sweep.spin'
    if "master" not in equations:
        for key in ("tolerance", "method", "max_states"):
            if key in case.solver.model_fields_set:
                yield f"solver.{key}", 'is not used without "master" in sweep.equation'
    if "fokker_planck" not in equations and "cells" in case.solver.model_fields_set:
        yield "solver.cells", 'is not used without "fokker_planck" in sweep.equation'
    yield from _figure_problems(case)


def _figure_problems(case: ClustersCase) -> Iterator[tuple[str, str]]:
    sweep = case.sweep
    for number, figure in enumerate(case.figures):
        key = f"figures[{number}].kind"
        if figure.kind == "noise" and case.noise is None:
            yield key, '"noise" shows what noise adds; give it'
        if figure.kind in ("distribution", "flipped") and not case.output.distribution:
            yield key, f'"{figure.kind}" shows what output.distribution adds; set it'
        if figure.kind == "evolution" and case.evolution is None:
            yield key, '"evolution" shows what evolution adds; give it'
        if figure.kind == "flipped" and "master" not in sweep.equation:
            yield key, '"flipped" shows what the master equation alone knows'
        if figure.kind == "phase_diagram" and min(len(sweep.generation or ()), len(sweep.volume or ())) < 2:
            yield key, '"phase_diagram" needs several generations and volumes'
        one = sweep.generation is not None and len(sweep.generation) < 2
        if figure.kind in ("moments", "injection") and one:
            yield key, f'"{figure.kind}" needs several generations'


def _check_length(case: ClustersCase, clusters: ClusterPoints, place: tuple[int, ...]) -> None:
    lifetimes = case.trajectories.lifetimes
    # Every arrival is followed by about one other event.
    events = 2.0 * lifetimes * approximate_number(clusters.at(place)) ** 2
    if events > MAX_EVENTS:
        raise CaseError(
            f"{case.source}: trajectory.lifetimes: {clusters.where(place)}: {lifetimes:g} lifetimes are "
            f"about {events:.1g} events, more than {MAX_EVENTS:.0g}; fewer, or a smaller cluster"
        )


def _as_printed(cluster: Cluster) -> bool:
    """True of quantum spins with the paper's algebra, whose mean field needs one quasiparticle."""
    return cluster.spin == "quantum" and cluster.algebra == "paper"


def _check_start(case: ClustersCase, clusters: ClusterPoints) -> None:
    table = case.evolution
    assert table is not None
    for place in clusters.places():
        equation, start = clusters.equation(place), clusters.start(place)
        key = "generation" if isinstance(start, Cluster) else "number"
        where = f"{case.source}: evolution.{key}: {clusters.where(place)}"
        events = 0.0
        if isinstance(start, Cluster):
            try:
                stationary(start.replace(spin="quantum"))
            except CaseError as error:
                raise CaseError(f"{where}: {error}") from None
            events = FORGOTTEN * approximate_number(start) ** 2
        elif equation == "mean_field" and _as_printed(clusters.at(place)) and start[0] - start[1] < 1:
            raise CaseError(
                f'{where}: with algebra = "paper" mean field starts from at least one quasiparticle; give a '
                "number, or leave mean_field out"
            )
        events = 2.0 * table.runs * (events + clusters.at(place).injection * table.time[-1])
        if equation == "trajectory" and events > MAX_EVENTS:
            raise CaseError(
                f"{case.source}: evolution.runs: {clusters.where(place)}: {table.runs} runs are about "
                f"{events:.1g} events, more than {MAX_EVENTS:.0g}; fewer, or a shorter time"
            )
