"""Superconductors of films and bodies: materials, and spectra that decide their numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy import constants

from fvqp.case.boltzmann.schema import AnyCase, Gap, MaterialTable, Region, Spectrum
from fvqp.case.interaction import resolved
from fvqp.case.scales import Units
from fvqp.collisions import Coupling
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.energy.bin_weights import Rule
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap
from fvqp.materials import Material, load_material
from fvqp.models.boltzmann.coupling import electron_phonon_coupling
from fvqp.models.boltzmann.strong_coupling import StrongCoupling, strong_coupling
from fvqp.results.dataset import SweepDataset

log = logging.getLogger(__name__)

#: Temperature in T_c up to which the gap is that of zero temperature to 1 %.
WARM = 0.35
#: Part by which the renormalization may differ from that of low energy before a warning says so.
RENORMALIZED = 0.1
#: Numbers of a material that a case may give.
NUMBERS = ("critical_temperature", "characteristic_time", "pair_breaking_time", "dressed_density_of_states")


@dataclass(frozen=True, eq=False)
class CaseMaterial:
    """A superconductor.

    Attributes:
        choice, spectrum: its tables in the case.
        material: its numbers; of Eliashberg theory where the spectrum is.
        strong: spectrum and interaction of Eliashberg theory, or None.
        where: file and key of the tables, with a dot at the end, for messages.
    """

    choice: MaterialTable
    spectrum: Spectrum
    material: Material
    strong: StrongCoupling | None
    where: str

    @property
    def coupling(self) -> Coupling:
        """To phonons, in its own units."""
        published = self.choice.pair_breaking_time is not None
        return electron_phonon_coupling(self.material, "published" if published else "derived")

    @property
    def units(self) -> Units:
        """Units of a case whose reference it is."""
        gap, density = self.material.gap, self.material.dressed_density_of_states
        return Units(gap, self.material.characteristic_time, 4.0 * density * gap)

    def report_rows(self) -> list[tuple[str, str]]:
        """Return what ``fvqp check`` says of a material and its spectrum."""
        material, strong, time = self.material, self.strong, self.units.time
        rows = [("material", f"{material.name}, Delta0 = {material.gap / constants.e * 1e6:.4g} ueV")]
        if strong is not None:
            text = (
                f"Eliashberg theory, {strong.alpha2f.name}: lambda = {strong.alpha2f.coupling:.4g}, mu* = "
                f"{strong.coulomb:.4g}, Tc = {strong.material.critical_temperature:.4g} K, Z(0) = "
                f"{strong.renormalization:.4g}, gap {strong.gap:.4g} Delta0"
            )
            rows.append(("spectrum", text))
        breaking = self.coupling.pair_breaking_time * time
        return [*rows, ("times", f"tau0 = {time:.4g} s, tau0_pb = {breaking:.4g} s")]

    def define_spectrum(self, sweep: SweepDataset, grid: EnergyAxis, rule: Rule) -> None:
        """Add renormalization and interaction of Eliashberg theory to results, if it has them.

        Args:
            sweep: results with the dimensions ``energy`` and ``omega``.
            grid: their energies.
            rule: counting of states.
        """
        if self.strong is None:
            return
        active = self.strong.bin_weights(grid, rule).active[0]
        factor = np.where(active, self.strong.renormalization_of_bins(grid), np.nan)
        sweep.set_coordinate("renormalization", ("energy",), factor)
        sweep.set_coordinate("interaction", ("omega",), self.strong.interaction(grid))
        sweep.dataset.attrs["Z0"] = self.strong.renormalization

    def warn_of_spectrum(self, grid: EnergyAxis, unit: float, hottest: float) -> None:
        """Warn where the spectrum does not fit the energies or temperatures that it is used for.

        Args:
            grid, unit: energies, and what they are in, joule.
            hottest: temperature of the case, kelvin.
        """
        strong, given, where = self.strong, self.spectrum, f"{self.where}spectrum"
        if strong is None:
            return
        edge = strong.gap * strong.material.gap / unit
        off = np.abs(strong.renormalization_of_bins(grid, unit) - 1.0) * (grid.energies > edge)
        if given.renormalization == "constant" and np.any(off > RENORMALIZED):
            log.warning(
                "%s: from %.3g Delta0 on the renormalization differs by more than %.0f %% from that of low "
                'energy, with which rates of quasiparticles are computed; give renormalization = "energy"',
                where,
                grid.energies[np.argmax(off > RENORMALIZED)],
                100.0 * RENORMALIZED,
            )
        critical = strong.material.critical_temperature
        if given.temperature is None and hottest > WARM * critical:
            log.warning(
                "%s.temperature: the spectrum is that of zero temperature, although %g K is above %.2g Tc; "
                "give it",
                where,
                hottest,
                WARM,
            )

    def require_superconducting(self, source: str, temperatures: dict[str, float]) -> None:
        """Raise `CaseError` for temperatures of ``source``, kelvin by key, at or above the critical one."""
        critical = self.material.critical_temperature
        for key, temperature in temperatures.items():
            if temperature >= critical:
                raise CaseError(
                    f"{source}: {key}: {temperature:g} K is not below the critical temperature "
                    f"{critical:.4g} K"
                )

    def fixed_spectrum(self, grid: EnergyAxis, rule: Rule, gap: Gap, unit: float) -> BinWeights | None:
        """Return the spectrum of Eliashberg theory, if it has one and ``gap`` is fixed; ``unit`` of energies
        in joule."""
        if self.strong is None or gap.model == "follows":
            return None
        renormalized = self.spectrum.renormalization == "energy"
        try:
            return self.strong.bin_weights(grid, rule, unit=unit, renormalized=renormalized)
        except CaseError as error:
            raise CaseError(f"{self.where}spectrum: {error}") from None

    def self_consistent_gap(
        self, grid: EnergyAxis, rule: Rule, unit: float, *, splits_phonons: bool = False
    ) -> SelfConsistentGap:
        """Return the gap equation; ``unit`` of energies in joule; raise `CaseError` for other energies."""
        family = None if self.strong is None else self.strong.gap_family()
        cold = self.material.gap / unit
        return SelfConsistentGap(grid, rule, cold=cold, family=family, splits_phonons=splits_phonons)


def case_material(choice: MaterialTable, spectrum: Spectrum, where: str, model: str) -> CaseMaterial:
    """Return a material from its tables.

    Args:
        choice, spectrum: tables.
        where: they are, with a dot or a space at the end, for messages.
        model: that needs its numbers, for messages.

    Raises:
        CaseError: an unknown material, or one that lacks numbers or a gap; no superconducting solution.
    """
    material = _chosen(choice, f"{where}material", model, own_times=spectrum.model != "eliashberg")
    strong = _solved(spectrum, material, f"{where}spectrum")
    return CaseMaterial(choice, spectrum, material if strong is None else strong.material, strong, where)


def _solved(given: Spectrum, material: Material, where: str) -> StrongCoupling | None:
    """Return the solution of the Eliashberg equations, if a spectrum asks for one; ``where`` it does."""
    if given.interaction is None:
        return None
    try:
        spectrum, coulomb, source = resolved(given.interaction)
        strong = strong_coupling(
            material,
            spectrum,
            coulomb=coulomb,
            cutoff=given.interaction.cutoff_mev,
            temperature=0.0 if given.temperature is None else given.temperature,
        )
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None
    of = dict.fromkeys(("gap", "critical_temperature", "characteristic_time"), f"Eliashberg theory: {source}")
    return replace(strong, material=replace(strong.material, sources={**strong.material.sources, **of}))


def _chosen(given: MaterialTable, where: str, model: str, *, own_times: bool) -> Material:
    """Return a material of the library with numbers of one's own; ``own_times`` if its τ0 is needed."""
    try:
        material = load_material(given.name)
        changes = {key: value for key in NUMBERS if (value := getattr(given, key)) is not None}
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


def stationary_gap(case: AnyCase, units: Units, here: CaseMaterial, region: Region) -> float | None:
    """Fixed gap of a region made of ``here``, in Δ0 of the reference; None where there is no such."""
    if region.insulator:
        return None
    unit = units.energy
    cold = here.material.gap / unit
    if here.strong is not None and case.gap.model == "fixed":
        return here.strong.gap * cold
    if region.gap is not None:
        return region.gap.in_joule(here.material.gap) / unit
    given = case.gap
    if given.model == "follows":
        return None
    return cold if given.value is None or region.material is not None else given.value.in_delta0(unit)
