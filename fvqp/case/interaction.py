"""The electron-phonon interaction α²F of a case, in all models that solve Eliashberg equations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import model_validator
from scipy import constants

from fvqp.case.quantities import AbsoluteEnergy, NotNegative, Number, Positive, Temperature
from fvqp.case.tables import Name, Table
from fvqp.spectral import alpha2f
from fvqp.spectral.eliashberg_matsubara import coulomb_for

#: Everything is in millielectronvolt here, as tables of α²F are.
MEV = 1e-3 * constants.e
KELVIN = constants.k / MEV


class Interaction(Table):
    """The electron-phonon interaction α²F(Ω), and the Coulomb repulsion."""

    metal: Name | None = None
    """A model spectrum: Al, Sn, Pb or Nb."""
    coupling: Annotated[Number, Positive] | None = None
    """λ: of a Debye-like spectrum α²F = λ (Ω/Ω_D)²; one from a file or of a metal is scaled to it."""
    debye_energy: AbsoluteEnergy | None = None
    """Ω_D of a Debye-like spectrum."""
    file: Path | None = None
    """Two columns, Ω in meV and α²F."""
    coulomb: Annotated[Number, NotNegative] | None = None
    """μ*; default: that of the metal, otherwise 0."""
    critical_temperature: Temperature | None = None
    """Chooses μ* such that superconductivity ends here, in place of ``coulomb``."""
    cutoff: AbsoluteEnergy | None = None
    """Cut-off of the Coulomb repulsion; default: six times the largest phonon energy."""

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        ways = [key for key in ("metal", "debye_energy", "file") if getattr(self, key) is not None]
        if len(ways) != 1:
            raise ValueError("give one of metal, debye_energy (with coupling), file")
        if self.debye_energy is not None and self.coupling is None:
            raise ValueError("coupling: missing: a Debye-like spectrum needs it")
        if self.coulomb is not None and self.critical_temperature is not None:
            raise ValueError("critical_temperature: chooses coulomb; give one of them")
        return self

    @property
    def cutoff_mev(self) -> float | None:
        """Cut-off in meV."""
        return None if self.cutoff is None else self.cutoff.in_joule(0.0) / MEV

    def unknown_metal(self) -> str:
        """Return the error in the name of the metal; empty if there is none."""
        if self.metal is None or self.metal in alpha2f.metal_names():
            return ""
        return f'no spectrum of "{self.metal}"; there are: {", ".join(alpha2f.metal_names())}'


class Resolved(NamedTuple):
    """α²F with energies in meV, μ*, and where they come from."""

    spectrum: alpha2f.Alpha2F
    coulomb: float
    source: str


def resolved(given: Interaction) -> Resolved:
    """The interaction that a table means; raises :class:`CaseError`."""
    coulomb, source = 0.0, "given in the case"
    if given.metal is not None:
        metal = alpha2f.metal(given.metal)
        spectrum, coulomb, source = metal.spectrum, metal.coulomb, metal.source
    elif given.file is not None:
        spectrum, source = alpha2f.read(given.file), given.file.name
    else:
        assert given.coupling is not None and given.debye_energy is not None
        spectrum = alpha2f.debye(given.coupling, given.debye_energy.in_joule(0.0) / MEV)
    if given.coupling is not None:
        spectrum = spectrum.scaled(given.coupling)
    if given.coulomb is not None:
        coulomb = given.coulomb
    elif given.critical_temperature is not None:
        coulomb = coulomb_for(spectrum, given.critical_temperature * KELVIN, given.cutoff_mev)
    return Resolved(spectrum, coulomb, source)
