"""From a checked case of the Boltzmann model to its objects: units, grid, collisions, drives, first state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import constants

from fvqp.case.boltzmann.energies import axis_limits, spaced_axis
from fvqp.case.boltzmann.materials import CaseMaterial, case_material
from fvqp.case.boltzmann.schema import MAX_BINS, BoltzmannCase
from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.process import ProcessSite, built, given_processes
from fvqp.case.quantities import Energy
from fvqp.case.scales import Units
from fvqp.collisions import ElectronPhonon, Process, thermal
from fvqp.collisions.sources import (
    PhononEscape,
)
from fvqp.collisions.threshold import at_threshold
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.energy.bin_weights import Rule
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap, condensate_energy
from fvqp.models.boltzmann import BoltzmannProblem, Medium, State
from fvqp.models.boltzmann.medium import MediumCells
from fvqp.models.boltzmann.strong_coupling import StrongCoupling
from fvqp.typing import Floats

#: Escape time in τ0^pb that keeps phonons in equilibrium with the bath to nine digits.
INSTANT = 1e-9
#: Standard deviations of a pulse that must fit onto the axis.
REACH = 3.0
#: Bins above which photon steps have to be asked for; the uniform axis is far smaller then.
MAX_BY_DEFAULT = 3000


@dataclass(frozen=True)
class BoltzmannSetup:
    """Setup shared by all points of a sweep.

    Attributes:
        reference: superconductor of the film.
        units: its own.
        grid, collisions: as named.
        medium: spectrum and collisions of the film, without processes.
        gap: in Δ0, of a fixed gap.
    """

    reference: CaseMaterial
    units: Units
    grid: EnergyAxis
    collisions: ElectronPhonon
    medium: Medium
    gap: float

    @property
    def strong(self) -> StrongCoupling | None:
        """Spectrum and interaction of Eliashberg theory; None for those of BCS theory."""
        return self.reference.strong

    @property
    def self_consistent(self) -> SelfConsistentGap | None:
        """Equation of a gap that follows; None if it is fixed."""
        return self.medium.gap if isinstance(self.medium.gap, SelfConsistentGap) else None

    def bin_weights(self, gap: float) -> BinWeights:
        """Bin weights at a gap."""
        return MediumCells(self.medium, self.grid, np.arange(1), 1).bin_weights(np.array([gap]))

    def condensate(self, gap: float) -> float:
        """Energy of the condensate, in 4 N0 Δ0²; 0 for a fixed gap of strong coupling."""
        if self.self_consistent is not None:
            return float(self.self_consistent.condensate_energy(gap))
        return 0.0 if self.strong is not None else float(condensate_energy(gap))


def build_setup(case: BoltzmannCase) -> BoltzmannSetup:
    """Material, units, grid and collisions of a case; raises :class:`CaseError`."""
    reference = case_material(case.material, case.spectrum, f"{case.source}: ", "Boltzmann")
    units, strong, follows = reference.units, reference.strong, case.gap.model == "follows"
    gap = 1.0 if case.gap.value is None else case.gap.value.in_delta0(units.energy)
    if strong is not None:
        gap = strong.gap
    limits = axis_limits(case.energies, case.source, [reference], [] if follows else [gap], follows=follows)
    if limits.phonons is not None and limits.phonons < 2.0 * max(gap, limits.lowest):
        raise CaseError(
            f"{case.source}: energies.phonon_maximum: {limits.phonons:.4g} Delta0 is below twice the gap: no "
            "phonon could break a pair, and quasiparticles could not recombine"
        )
    grid = _stepped(case, units.energy, gap, limits.phonons) or spaced_axis(
        case.energies, case.source, limits
    )
    stepped = grid.step > 0.0
    rule: Rule = "bin" if stepped else case.energies.count
    temperatures = {"sweep.temperature": max(case.sweep.temperature)}
    temperatures["initial.temperature"] = case.initial.temperature or 0.0
    reference.require_superconducting(case.source, temperatures)
    # Rounding of transforms would add up over long steps.
    evaluation = case.collisions.evaluation
    if evaluation == "auto":
        evaluation = "direct" if grid.is_uniform else "graded"
    spectrum = reference.fixed_spectrum(grid, rule, case.gap, units.energy)
    try:
        interaction: Floats | float = 1.0 if strong is None else strong.interaction(grid)
        collisions = ElectronPhonon(
            grid, reference.coupling, evaluation, interaction=interaction, split_shares=stepped
        )
        splits = not collisions.shares_phonons
        if spectrum is not None and case.spectrum.temperature is None and splits:
            spectrum = at_threshold(grid, spectrum, gap, rule)
        medium = Medium(
            collisions,
            reference.self_consistent_gap(grid, rule, units.energy, splits_phonons=splits)
            if follows
            else gap,
            spectrum,
            rule=rule,
            splits_phonons=splits and not follows and spectrum is None,
        )
    except CaseError as error:
        raise CaseError(f"{case.source}: energies: {error}") from None
    return BoltzmannSetup(reference, units, grid, collisions, medium, gap)


def _stepped(case: BoltzmannCase, delta0: float, gap: float, top: float | None) -> EnergyAxis | None:
    """Bins that repeat at every photon step; None where the case has other ones.

    Args:
        case: as named.
        delta0: joule.
        gap: that stays, and largest phonon energy or None; Δ0.
    """
    energies, photons = case.energies, {mode.photon_energy.in_delta0(delta0) for mode in case.microwaves}
    if energies.spacing not in (None, "steps"):
        return None
    key = f"{case.source}: energies.spacing"
    step = max(photons, default=0.0)
    reason = ""
    if len(photons) != 1 or not step < 2.0 * gap:
        reason = "microwaves of one photon energy below twice the gap"
    elif case.gap.model != "fixed":
        reason = 'gap.model = "fixed"'
    elif case.spectrum.model != "bcs":
        reason = 'spectrum.model = "bcs"'
    elif case.collisions.evaluation == "direct":
        reason = 'collisions.evaluation = "graded" or "auto"'
    elif any(injection.of == "quasiparticles" for injection in case.injections):
        # They are shared between neighbouring bins, however narrow one of them is.
        reason = "no injections of quasiparticles"
    if energies.spacing is None and (reason or energies.rule == "linear" or energies.lowest_gap is not None):
        return None
    if reason:
        raise CaseError(f'{key}: "steps" needs {reason}')
    width, maximum = (energy.in_delta0(delta0) for energy in (energies.width, energies.maximum))
    at_least = (maximum - gap) / min(step, width)
    if at_least <= MAX_BINS:
        try:
            grid = EnergyAxis.stepped(maximum, gap=gap, step=step, width=width, phonon_maximum=top)
        except CaseError as error:
            raise CaseError(f"{case.source}: energies: {error}") from None
        if grid.n <= (MAX_BINS if energies.spacing else MAX_BY_DEFAULT):
            return grid
        at_least = grid.n
    if energies.spacing is None:
        return None
    raise CaseError(f'{key}: "steps" makes {at_least:.3g} bins or more, at most {MAX_BINS} are possible')


def build_processes(
    case: BoltzmannCase, setup: BoltzmannSetup, temperature: float, strength: float
) -> dict[str, Process]:
    """Drives, sources and sinks by name.

    Args:
        case, setup: as named.
        temperature: of the bath, kelvin.
        strength: factor of the drives.
    """
    units, grid, coupling = setup.units, setup.grid, setup.collisions.coupling
    bath = thermal(grid, units.temperature(temperature))
    site = ProcessSite(
        grid, units, np.ones(1), bath, coupling, lambda: setup.bin_weights(setup.gap), strength=strength
    )
    try:
        found = {key: built(key, table, site) for key, table in given_processes(case)}
    except CaseError as error:
        raise case.naming(error) from None
    processes = {key: process for key, process in found.items() if process is not None}
    escape = case.phonons.escape
    if escape is not None:
        processes["phonons.escape"] = PhononEscape(grid, coupling, escape.seconds / units.time, bath.n)
    elif case.phonons.model == "bath":
        processes["phonon bath"] = PhononEscape(grid, coupling, INSTANT * coupling.pair_breaking_time, bath.n)
    return processes


def initial_state(case: BoltzmannCase, units: Units, problem: BoltzmannProblem, temperature: float) -> State:
    """Occupations and gap at the start; ``temperature`` of the bath in kelvin."""
    grid, initial, unit = problem.grid, case.initial, units.energy / constants.e
    start = temperature if initial.temperature is None else initial.temperature
    f, n = (part.copy() for part in thermal(grid, units.temperature(start)))
    if initial.quasiparticles is not None:
        f[0] = _occupations(case, "quasiparticles", ("energy_eV", "f"), grid.energies * unit)
    if initial.phonons is not None:
        n[0] = _occupations(case, "phonons", ("omega_eV", "n"), grid.phonon_energies * unit)
    gap = problem.state(f, n).gap
    local = problem.at(gap).local
    for number, pulse in enumerate(initial.pulses):
        key, phonons = f"{case.source}: initial.pulses[{number}]", pulse.of == "phonons"
        if not phonons and (centre := pulse.centre.in_delta0(units.energy)) < gap[0]:
            raise CaseError(f"{key}.centre: {centre:.4g} Delta0 is below the gap of {gap[0]:.4g} Delta0")
        points = grid.phonon_energies if phonons else grid.energies
        shape, peak = pulse_shape(pulse.centre, pulse.width, units.energy, points, key), pulse.peak
        if peak is None:
            assert pulse.energy_density is not None
            weight = local.weight_n if phonons else local.mobile
            peak = pulse.energy_density / units.energy_density / float(weight[0] @ (shape * points))
        (n if phonons else f)[0] += peak * shape
        if f.max() > 1.0:
            raise CaseError(f"{key}: raises the occupation to {f.max():.4g}; it cannot exceed 1")
    return problem.state(f, n, gap)


def pulse_shape(centre: Energy, width: Energy, delta0: float, points: Floats, key: str) -> Floats:
    """A Gaussian of energy at grid ``points`` (Δ0), 1 at its centre; `CaseError` if these do not hold it."""
    at, sigma = centre.in_delta0(delta0), width.in_delta0(delta0)
    if at + REACH * sigma > points[-1] or at < points[0]:
        raise CaseError(
            f"{key}: around {at:.4g} Delta0 with a width of {sigma:.4g} does not fit onto the axis "
            f"from {points[0]:.4g} to {points[-1]:.4g} Delta0, which needs {REACH:.4g} widths above it"
        )
    spacing = float(np.interp(at, points[1:], np.diff(points)))
    # Equal but for rounding is wide enough.
    if sigma < (1.0 - 1e-9) * spacing:
        raise CaseError(
            f"{key}.width: {sigma:.3g} Delta0 is narrower than the {spacing:.3g} Delta0 between grid points"
        )
    return np.asarray(np.exp(-0.5 * ((points - at) / sigma) ** 2))


def _occupations(case: BoltzmannCase, key: str, columns: tuple[str, str], points: Floats) -> Floats:
    """Occupations from a CSV file, linear between its rows and 0 beyond them."""
    most = 1.0 if columns[1] == "f" else math.inf
    where, path = f"{case.source}: initial.{key}", getattr(case.initial, key)
    energies, values = read_spectrum(where, path, columns, "an occupation", most)
    return np.interp(points, energies, values, left=0.0, right=0.0)
