"""Superconductors of a case of the transport model: materials, and spectra that decide their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from fvqp.case.boltzmann.build import chosen_material
from fvqp.case.boltzmann.schema import MaterialChoice, Spectrum
from fvqp.case.boltzmann.strong import solved_spectrum
from fvqp.case.transport.schema import TransportCase
from fvqp.collisions import Coupling
from fvqp.materials import Material
from fvqp.models.coupling import electron_phonon_coupling
from fvqp.models.strong_coupling import StrongCoupling


@dataclass(frozen=True, eq=False)
class Substance:
    """A superconductor.

    Attributes:
        choice, spectrum: its tables in the case.
        material: its numbers; of Eliashberg theory where the spectrum is.
        strong: spectrum and interaction of Eliashberg theory, or None.
        where: file and key of the tables, with a dot at the end, for messages.
    """

    choice: MaterialChoice
    spectrum: Spectrum
    material: Material
    strong: StrongCoupling | None
    where: str

    @property
    def coupling(self) -> Coupling:
        """To phonons, in its own units."""
        published = self.choice.pair_breaking_time is not None
        return electron_phonon_coupling(self.material, "published" if published else "derived")


def substance(choice: MaterialChoice, spectrum: Spectrum, where: str) -> Substance:
    """A substance from its tables; ``where`` they are, for messages."""
    weak = spectrum.model != "eliashberg"
    material = chosen_material(choice, f"{where}material", "transport", own_times=weak)
    strong = solved_spectrum(spectrum, material, f"{where}spectrum")
    return Substance(choice, spectrum, material if strong is None else strong.material, strong, where)


def substances(case: TransportCase) -> tuple[Substance, dict[str, Substance]]:
    """The reference, and those of the regions that have one of their own."""
    own = {
        name: substance(region.material, region.spectrum or Spectrum(), f"{case.source}: regions.{name}.")
        for name, region in case.regions.items()
        if region.material is not None
    }
    return substance(case.material, case.spectrum, f"{case.source}: "), own
