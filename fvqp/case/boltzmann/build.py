"""From a checked case of the Boltzmann model to its objects: units, grid, collisions, drives, first state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import constants

from fvqp.case.boltzmann.drives import BoltzmannPulse
from fvqp.case.boltzmann.schema import MAX_BINS, BoltzmannCase, MaterialChoice
from fvqp.case.boltzmann.strong import largest_phonon, solved_spectrum
from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.process import ProcessSite, built, given_processes
from fvqp.case.quantities import Energy
from fvqp.case.scales import Units
from fvqp.collisions import (
    BinWeights,
    CollisionGrid,
    ElectronPhonon,
    Pair,
    Process,
    bcs_weights,
    thermal,
)
from fvqp.collisions.bin_weights import Rule
from fvqp.collisions.moving_gap import SelfConsistentGap, condensate_energy
from fvqp.collisions.sources import (
    PhononEscape,
)
from fvqp.collisions.threshold import at_threshold
from fvqp.errors import CaseError
from fvqp.materials import Material, load_material
from fvqp.models.boltzmann import Medium
from fvqp.models.coupling import electron_phonon_coupling
from fvqp.models.gap_family import gap_family
from fvqp.models.strong_coupling import StrongCoupling
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
        units, material, grid, collisions: as named.
        self_consistent: of a gap that follows; None if it is fixed at ``gap``.
        gap: in Δ0, of a fixed gap.
        rule: how states are counted.
        strong: spectrum and collisions of Eliashberg theory; None for those of BCS.
        strong_weights: bin weights of ``strong`` whose gap stays.
    """

    units: Units
    material: Material
    grid: CollisionGrid
    collisions: ElectronPhonon
    self_consistent: SelfConsistentGap | None
    gap: float
    rule: Rule
    strong: StrongCoupling | None
    strong_weights: BinWeights | None

    def bin_weights(self, gap: float) -> BinWeights:
        """Bin weights at a gap."""
        if self.strong_weights is not None:
            return self.strong_weights
        if self.self_consistent is not None:
            return self.self_consistent.bin_weights(gap)
        bin_weights = bcs_weights(self.grid, gap, self.rule)
        return (
            bin_weights
            if self.collisions.shares_phonons
            else at_threshold(self.grid, bin_weights, gap, self.rule)
        )

    def medium(self, processes: Mapping[str, Process]) -> Medium:
        """Superconductor with this spectrum in which processes act."""
        gap = self.gap if self.self_consistent is None else self.self_consistent
        splits = self.self_consistent is None and self.strong_weights is None
        return Medium(
            self.collisions,
            gap,
            self.strong_weights,
            rule=self.rule,
            splits_phonons=splits and not self.collisions.shares_phonons,
            processes=processes,
        )

    def condensate(self, gap: float) -> float:
        """Energy of the condensate, in 4 N0 Δ0²; 0 for a fixed gap of strong coupling."""
        if self.self_consistent is not None:
            return float(self.self_consistent.condensate_energy(gap))
        return 0.0 if self.strong is not None else float(condensate_energy(gap))


def build_setup(case: BoltzmannCase) -> BoltzmannSetup:
    """Material, units, grid and collisions of a case; raises :class:`CaseError`."""
    material = chosen_material(
        case.material,
        f"{case.source}: material",
        "Boltzmann",
        own_times=case.spectrum.model != "eliashberg",
    )
    strong = solved_spectrum(case.spectrum, material, f"{case.source}: spectrum")
    if strong is not None:
        material = strong.material
    tau0, n0 = material.characteristic_time, material.dressed_density_of_states
    units = Units(material.gap, tau0, 4.0 * n0 * material.gap)
    gap = 1.0 if case.gap.value is None else case.gap.value.in_delta0(material.gap)
    if strong is not None:
        gap = strong.gap
    grid = _grid(case, material.gap, gap, strong)
    stepped = grid.step > 0.0
    rule: Rule = "bin" if stepped else case.energies.count
    given = [("sweep.temperature", temperature) for temperature in case.sweep.temperature]
    if case.initial.temperature is not None:
        given.append(("initial.temperature", case.initial.temperature))
    for key, temperature in given:
        if temperature >= material.critical_temperature:
            raise CaseError(
                f"{case.source}: {key}: {temperature:g} K is not below the critical temperature "
                f"{material.critical_temperature:.4g} K"
            )
    published = case.material.pair_breaking_time is not None
    coupling = electron_phonon_coupling(material, "published" if published else "derived")
    interaction: Floats | float = 1.0
    bin_weights = None
    try:
        family = None
        if strong is not None:
            interaction = strong.interaction(grid)
            if case.gap.model == "follows":
                family = gap_family(strong)
            else:
                renormalized = case.spectrum.renormalization == "energy"
                bin_weights = strong.bin_weights(grid, rule, renormalized=renormalized)
        # Rounding of transforms would add up over long steps.
        evaluation = case.collisions.evaluation
        if evaluation == "auto":
            evaluation = "direct" if grid.is_uniform else "graded"
        collisions = ElectronPhonon(grid, coupling, evaluation, interaction=interaction, split_shares=stepped)
        self_consistent = None
        if case.gap.model == "follows":
            splits = not collisions.shares_phonons
            self_consistent = SelfConsistentGap(grid, rule, family=family, splits_phonons=splits)
        elif bin_weights is not None and case.spectrum.temperature is None and not collisions.shares_phonons:
            bin_weights = at_threshold(grid, bin_weights, gap, rule)
    except CaseError as error:
        raise CaseError(f"{case.source}: energies: {error}") from None
    return BoltzmannSetup(units, material, grid, collisions, self_consistent, gap, rule, strong, bin_weights)


def chosen_material(given: MaterialChoice, where: str, model: str, *, own_times: bool = True) -> Material:
    """A material of the library with numbers of one's own.

    Args:
        given: name and numbers.
        where: it is chosen, for messages.
        model: that needs its numbers, for messages.
        own_times: whether its τ0 is needed.
    """
    try:
        material = load_material(given.name)
        changes = {
            key: value
            for key in (
                "critical_temperature",
                "characteristic_time",
                "pair_breaking_time",
                "dressed_density_of_states",
            )
            if (value := getattr(given, key)) is not None
        }
        if given.gap is not None:
            changes["gap"] = given.gap.in_joule(0.0)
            # Without one of its own, the ratio to the gap stays that of the material.
            changes.setdefault(
                "critical_temperature", material.critical_temperature * changes["gap"] / material.gap
            )
        sources = {k: v for k, v in material.sources.items() if k not in changes}
        material = replace(material, **changes, sources=sources | dict.fromkeys(changes, "given in the case"))
        material.require(
            f"electron-phonon kinetics (the {model} model)",
            *(("characteristic_time",) if own_times else ()),
            "dressed_density_of_states",
            *(() if given.pair_breaking_time is not None else ("ion_density", "debye_energy")),
        )
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None
    if not material.gap > 0.0:
        raise CaseError(f"{where}.name: {material.name} is a normal metal; it has no gap")
    return material


def _grid(case: BoltzmannCase, delta0: float, gap: float, strong: StrongCoupling | None) -> CollisionGrid:
    """The energy axes."""
    energies = case.energies
    width, maximum = energies.width.in_delta0(delta0), energies.maximum.in_delta0(delta0)
    top = None if energies.phonon_maximum is None else energies.phonon_maximum.in_delta0(delta0)
    fixed = case.gap.model == "fixed"
    # Damping leaves states everywhere below the gap of a spectrum at a temperature.
    lowest = gap if fixed and case.spectrum.temperature is None else 0.0
    if energies.lowest_gap is not None:
        lowest = energies.lowest_gap.in_delta0(delta0)
        if fixed and lowest > gap:
            raise CaseError(
                f"{case.source}: energies.lowest_gap: {lowest:g} Delta0 is above the gap of {gap:g} Delta0"
            )
    if strong is not None:
        top = largest_phonon(strong, top, maximum, case.source)
    if top is not None and top < 2.0 * max(gap, lowest):
        raise CaseError(
            f"{case.source}: energies.phonon_maximum: {top:.4g} Delta0 is below twice the gap: no phonon "
            "could break a pair, and quasiparticles could not recombine"
        )
    if maximum <= 1.0 + 2.0 * width:
        raise CaseError(
            f"{case.source}: energies.maximum: {maximum:.4g} Delta0 leaves no room above the gap; expected "
            'several Delta0, such as "4 Delta0"'
        )
    stepped = _stepped(case, delta0, gap, top)
    if stepped is not None:
        return stepped
    spacing = energies.spacing or "uniform"
    bins = (maximum - lowest) / width
    if spacing == "uniform" and bins > MAX_BINS:
        raise CaseError(
            f"{case.source}: energies.width: makes {bins:.3g} bins, at most {MAX_BINS} are possible; "
            'choose wider ones, or spacing = "graded"'
        )
    try:
        if spacing == "uniform":
            # Where the gap is below the middle of its bin, the bin beneath holds states too.
            start = max(lowest - width, 0.0)
            return CollisionGrid.uniform(width, maximum, start=start, phonon_maximum=top)
        growth = 0.05 if energies.growth is None else energies.growth
        gaps = (max(lowest - width, 0.0), max(gap, 1.0))
        return CollisionGrid.graded(maximum, gap=gaps, finest=width, growth=growth, phonon_maximum=top)
    except CaseError as error:
        raise CaseError(f"{case.source}: energies: {error}") from None


def _stepped(case: BoltzmannCase, delta0: float, gap: float, top: float | None) -> CollisionGrid | None:
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
            grid = CollisionGrid.stepped(maximum, gap=gap, step=step, width=width, phonon_maximum=top)
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
        processes: dict[str, Process] = {key: built(key, table, site) for key, table in given_processes(case)}
    except CaseError as error:
        raise case.naming(error) from None
    escape = case.phonons.escape
    if escape is not None:
        processes["phonons.escape"] = PhononEscape(grid, coupling, escape.seconds / units.time, bath.n)
    elif case.phonons.model == "bath":
        processes["phonon bath"] = PhononEscape(grid, coupling, INSTANT * coupling.pair_breaking_time, bath.n)
    return processes


def initial_state(case: BoltzmannCase, setup: BoltzmannSetup, temperature: float) -> tuple[Pair, float]:
    """Occupations ``(1, N)``, ``(1, K)`` and gap at the start; ``temperature`` of the bath in kelvin."""
    grid, units, initial = setup.grid, setup.units, case.initial
    start = temperature if initial.temperature is None else initial.temperature
    f, n = (part.copy() for part in thermal(grid, units.temperature(start)))
    if initial.quasiparticles is not None:
        f[0] = _occupations(
            case, "quasiparticles", ("energy_eV", "f"), grid.energies * units.energy / constants.e
        )
    if initial.phonons is not None:
        n[0] = _occupations(
            case, "phonons", ("omega_eV", "n"), grid.phonon_energies * units.energy / constants.e
        )
    gap = setup.gap
    if setup.self_consistent is not None:
        gap = float(setup.self_consistent.gap(f)[0])
    for number, pulse in enumerate(initial.pulses):
        key = f"{case.source}: initial.pulses[{number}]"
        shape = _gaussian(pulse, setup, gap, key)
        if pulse.of == "phonons":
            weight = setup.collisions.modes(setup.bin_weights(gap))[0] * grid.phonon_energies
            n[0] += _peak(pulse, float(weight @ shape), units) * shape
        else:
            bin_weights = setup.bin_weights(gap)
            peak = _peak(pulse, float((bin_weights.number[0] * grid.energies) @ shape), units)
            f[0] += peak * shape
            if f.max() > 1.0:
                raise CaseError(f"{key}: raises the occupation to {f.max():.4g}; it cannot exceed 1")
    if setup.self_consistent is not None:
        gap = float(setup.self_consistent.gap(f, gap)[0])
    return Pair(f, n), gap


def _gaussian(pulse: BoltzmannPulse, setup: BoltzmannSetup, gap: float, key: str) -> Floats:
    """The pulse at the grid points, 1 at its centre."""
    delta0, phonons = setup.units.energy, pulse.of == "phonons"
    if not phonons and (centre := pulse.centre.in_delta0(delta0)) < gap:
        raise CaseError(f"{key}.centre: {centre:.4g} Delta0 is below the gap of {gap:.4g} Delta0")
    points = setup.grid.phonon_energies if phonons else setup.grid.energies
    return pulse_shape(pulse.centre, pulse.width, delta0, points, key)


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


def _peak(pulse: BoltzmannPulse, energy: float, units: Units) -> float:
    """Occupation at the centre; ``energy`` of a pulse with occupation 1 there."""
    if pulse.peak is not None:
        return pulse.peak
    assert pulse.energy_density is not None
    return pulse.energy_density / units.energy_density / energy


def _occupations(case: BoltzmannCase, key: str, columns: tuple[str, str], points: Floats) -> Floats:
    """Occupations from a CSV file, linear between its rows and 0 beyond them."""
    most = 1.0 if columns[1] == "f" else math.inf
    where, path = f"{case.source}: initial.{key}", getattr(case.initial, key)
    energies, values = read_spectrum(where, path, columns, "an occupation", most)
    return np.interp(points, energies, values, left=0.0, right=0.0)
