"""From a case to clusters, in the units of the model: seconds and micrometres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import constants

from fvqp.case.clusters.schema import ClustersCase
from fvqp.case.earlier import EarlierRates
from fvqp.case.study import grouped
from fvqp.errors import CaseError
from fvqp.models.clusters import Cluster, TrapMaterial, flux_per_spin, singlet_constant, spin_flip_time
from fvqp.models.clusters.evolution import Start
from fvqp.models.clusters.mean_field import ALUMINIUM, stationary, validity
from fvqp.models.clusters.noise import FLUX_PER_SPIN
from fvqp.models.clusters.reduced import largest_number
from fvqp.models.clusters.states import choose, tail_width
from fvqp.typing import Floats

CUBIC_MICROMETRE = 1e-18
"""m³."""
PER_EV_MICROMETRE3 = constants.e * CUBIC_MICROMETRE
"""Density of states per eV and µm³ over the one per J and m³."""


@dataclass(frozen=True)
class Constants:
    """Γ̄, Γ̄_t (µm³/s) and τ_s (s)."""

    gamma: float
    gamma_t: float
    tau_s: float


def rate_constants(case: ClustersCase) -> Constants:
    """Γ̄, Γ̄_t and τ_s as given, or from the material (Meyer et al. 2020, text after Fig. 1)."""
    given, material = case.cluster, case.material
    gamma, gamma_t, tau_s = given.annihilation, 0.0, math.inf
    if gamma is not None:
        gamma /= CUBIC_MICROMETRE
    elif material is not None:
        gamma = singlet_constant(
            material.electron_phonon_time,
            material.density_of_states * PER_EV_MICROMETRE3,
            material.gap.value,
            material.gap_ratio,
        )
    else:
        raise CaseError(f"{case.source}: cluster.annihilation: missing: give it, or a material")
    orbit = None if material is None else material.spin_orbit
    if given.triplet_annihilation is not None:
        gamma_t = given.triplet_annihilation / CUBIC_MICROMETRE
    elif material is not None and orbit is not None:
        gamma_t = orbit**2 * material.suppression * gamma
    if given.spin_flip_time is not None:
        tau_s = given.spin_flip_time
    elif material is not None and orbit is not None and material.excess_energy is not None:
        tau_s = spin_flip_time(
            material.electron_phonon_time, orbit, material.excess_energy, material.suppression
        )
    return Constants(gamma, gamma_t, tau_s)


def trap_material(case: ClustersCase) -> TrapMaterial:
    """The material of the case, for warnings; aluminium's constants where it gives none."""
    given = case.material
    if given is None:
        return ALUMINIUM
    return TrapMaterial(
        given.density_of_states * PER_EV_MICROMETRE3,
        given.gap.value,
        ALUMINIUM.diffusivity if given.diffusivity is None else given.diffusivity * 1e12,
        "material of the case",
    )


def coupling(case: ClustersCase) -> float:
    """Flux in Φ0 that a spin sends through the loop."""
    noise = case.noise
    if noise is None or noise.flux_per_spin is not None:
        return FLUX_PER_SPIN if noise is None or noise.flux_per_spin is None else noise.flux_per_spin
    return FLUX_PER_SPIN if noise.arm_width is None else flux_per_spin(noise.arm_width * 1e6)


class ClusterPoints:
    """The clusters of a case, by their place in the sweep.

    Attributes:
        constants: what they share.
        generation, volume: axes of A, 1/(m³ s), and V, m³.
        along: coordinate of the earlier run along ``generation`` (its name and values); None without one.
        shape: (spins, equations, generations, volumes).

    Raises:
        CaseError: an earlier run does not hold what the case takes from it.
    """

    def __init__(self, case: ClustersCase) -> None:
        self.case = case
        self.constants = rate_constants(case)
        sweep = case.sweep
        self.along: xr.DataArray | None = None
        if sweep.results is not None:
            self.generation, self.volume, self.along = _arrivals(case)
        else:
            self.generation, self.volume = np.array(sweep.generation), np.array(sweep.volume)
        self.shape = (len(sweep.spin), len(sweep.equation), len(self.generation), len(self.volume))

    def at(self, place: tuple[int, ...]) -> Cluster:
        """The cluster of a place; `CaseError` names it if it cannot be."""
        spin, _, generation, volume = place
        sweep, found = self.case.sweep, self.constants
        try:
            return Cluster(
                float(self.generation[generation]) * CUBIC_MICROMETRE,
                float(self.volume[volume]) / CUBIC_MICROMETRE,
                found.gamma,
                found.gamma_t,
                found.tau_s,
                sweep.spin[spin],
                self.case.cluster.algebra,
            )
        except CaseError as error:
            raise CaseError(f"{self.case.source}: {error}") from None

    def equation(self, place: tuple[int, ...]) -> str:
        return self.case.sweep.equation[place[1]]

    def where(self, place: tuple[int, ...]) -> str:
        """A place, for messages."""
        spin, equation, generation, volume = place
        sweep = self.case.sweep
        return (
            f"{sweep.equation[equation]}, {sweep.spin[spin]}, A = "
            f"{self.generation[generation] * CUBIC_MICROMETRE:.4g} 1/(s um^3), "
            f"V = {self.volume[volume] / CUBIC_MICROMETRE:.4g} um^3"
        )

    def places(self) -> list[tuple[int, ...]]:
        return [tuple(map(int, place)) for place in np.ndindex(self.shape)]

    def warnings(self) -> list[str]:
        """Return doubts about the model, with the first cluster that each concerns and the number of such
        clusters."""
        material = trap_material(self.case)
        parallel = bool({"simplified", "fokker_planck"} & set(self.case.sweep.equation))
        points = [place for place in self.places() if place[1] == 0]
        doubts = [
            (self.where(place).split(", ", 1)[1], text)
            for place in points
            for text in validity(self.at(place), material, parallel=parallel)
        ]
        return grouped(doubts, len(points))

    def number(self, place: tuple[int, ...]) -> float:
        """Most probable number; `CaseError` names the place if there is none."""
        cluster = self.at(place).replace(spin="quantum")
        try:
            return stationary(cluster).number
        except CaseError as error:
            raise CaseError(f"{self.case.source}: {self.where(place)}: {error}") from None

    def start(self, place: tuple[int, ...]) -> Start:
        """Return the initial condition of ``evolution``."""
        table = self.case.evolution
        assert table is not None
        if table.generation is None:
            return table.number, table.flipped
        return self.at(place).replace(generation=table.generation * CUBIC_MICROMETRE)

    def largest(self, place: tuple[int, ...]) -> tuple[int, int]:
        """N and m up to which distributions of a place are stored: beyond, estimates leave less than
        ``solver.lost``."""
        lost = self.case.solver.lost
        held = [self.at(place)]
        most = 0
        if self.case.evolution is not None:
            start = self.start(place)
            if isinstance(start, Cluster):
                held.append(start)
            else:
                most = start[0] + int(tail_width(start[0], math.log(1.0 / lost)))
        if self.equation(place) != "master":
            return max(most, *(int(largest_number(cluster, lost)) + 1 for cluster in held)), 0
        states = [choose(cluster, lost) for cluster in held]
        numbers = [int((np.arange(one.high.size) + 2 * one.high).max()) for one in states]
        return max(most, *numbers), int(states[0].high.max())


def _arrivals(case: ClustersCase) -> tuple[Floats, Floats, xr.DataArray | None]:
    """Generations in a region of an earlier run, its volume or those of the case, and the axis of the run's
    sweep along the generations."""
    wanted, where = case.sweep.results, f"{case.source}: sweep.results"
    assert wanted is not None
    per_spin = None if case.material is None else case.material.density_of_states
    earlier = EarlierRates(wanted, per_spin, where, along=True)
    dataset, axis = earlier.dataset, earlier.axis
    if "in_region" not in dataset.coords:
        raise CaseError(f"{where}.region: the results hold no regions of cells")
    names = [str(name) for name in dataset["region"].values]
    if wanted.region not in names:
        raise CaseError(
            f'{where}.region: the results hold no region "{wanted.region}"; there are: {", ".join(names)}'
        )
    inside = dataset["in_region"].values[names.index(wanted.region)].astype(bool)
    volumes = dataset["cell_volume"].values[inside]
    given = case.sweep.volume
    if (units := dataset["cell_volume"].attrs.get("units", "m3")) != "m3" and given is None:
        raise CaseError(
            f"{case.source}: sweep.volume: missing: the cells of that run are measured in {units}; give the "
            f"volume of {wanted.region}"
        )
    if units == "m3" and given is not None:
        raise CaseError(f"{case.source}: sweep.volume: is not used with results, which say it")
    means = [
        float(volumes @ earlier.rates(number)[inside] / volumes.sum())
        for number in range(1 if axis is None else dataset.sizes[axis])
    ]
    for number, mean in enumerate(means):
        if not mean > 0.0:
            place = "" if axis is None else f" at {axis} = {dataset[axis].values[number]:.6g}"
            raise CaseError(
                f"{where}: nothing arrives in {wanted.region}{place}: the mean rate is {mean:.4g}"
            )
    held = np.array([volumes.sum()] if given is None else given)
    return np.array(means), held, None if axis is None else dataset[axis]
