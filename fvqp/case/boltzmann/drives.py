"""Tables of what a case of the Boltzmann model starts with, is driven by, and loses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import model_validator

from fvqp.case.quantities import (
    EnergyDensity,
    Frequency,
    NotNegative,
    Number,
    Positive,
    PositiveEnergy,
    PositivePhotonEnergy,
    PowerDensity,
    Temperature,
)
from fvqp.case.tables import Table

PositiveNumber = Annotated[Number, Positive]


class BoltzmannPulse(Table):
    """Hot quasiparticles or phonons added to the initial state: a Gaussian in energy."""

    of: Literal["quasiparticles", "phonons"] = "quasiparticles"
    centre: PositiveEnergy
    width: PositiveEnergy
    """Standard deviation."""
    peak: PositiveNumber | None = None
    """Occupation at the centre."""
    energy_density: EnergyDensity | None = None
    """Energy of the pulse by volume, in place of its peak."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.peak is None) == (self.energy_density is None):
            raise ValueError(
                "give either peak or energy_density" + ("" if self.peak is None else ", not both")
            )
        if self.of == "quasiparticles" and self.peak is not None and self.peak > 1.0:
            raise ValueError(f"peak: an occupation of quasiparticles cannot exceed 1, got {self.peak:g}")
        return self


class BoltzmannInitial(Table):
    """The state at the start, or the first guess at a steady state."""

    temperature: Temperature | None = None
    """Of quasiparticles and phonons; default: the bath temperature."""
    pulses: tuple[BoltzmannPulse, ...] = ()
    """Added to the thermal occupations."""
    quasiparticles: Path | None = None
    """CSV table with columns ``energy_eV`` and ``f``, in place of the thermal distribution."""
    phonons: Path | None = None
    """CSV table with columns ``omega_eV`` and ``n``, in place of the thermal spectrum."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.temperature is not None and self.quasiparticles is not None and self.phonons is not None:
            raise ValueError("temperature: is not used, both spectra come from files")
        return self


class Microwave(Table):
    """Photons of one mode, absorbed and emitted by quasiparticles; above twice the gap they break pairs."""

    photon_energy: PositivePhotonEnergy
    """ħω0, or the frequency: ``"20 ueV"``, ``"4.8 GHz"``."""
    coupling: Frequency | None = None
    """c_phot: rate constant of one photon."""
    photons: Annotated[Number, NotNegative] | None = None
    """Mean number n̄ of photons in the mode."""
    absorbed_power: PowerDensity | None = None
    """Absorbed power by volume, which the number of photons follows."""

    @model_validator(mode="after")
    def _one_strength(self) -> Self:
        if (self.photons is None) == (self.absorbed_power is None):
            raise ValueError(
                "give either photons or absorbed_power" + ("" if self.photons is None else ", not both")
            )
        if (self.coupling is None) != (self.photons is None):
            raise ValueError(
                "coupling: "
                + (
                    "missing: photons needs it"
                    if self.photons is not None
                    else "is not used with absorbed_power"
                )
            )
        return self


class BoltzmannInjection(Table):
    """Quasiparticles or phonons from outside: a Gaussian in energy, or a spectrum from a file."""

    of: Literal["quasiparticles", "phonons"]
    centre: PositiveEnergy | None = None
    width: PositiveEnergy | None = None
    """Standard deviation; narrow ones fall into one bin."""
    file: Path | None = None
    """In place of ``centre`` and ``width``: CSV table with columns ``energy_eV`` and ``particles``, their
    number by energy in any unit, linear between the rows."""
    power: PowerDensity
    """By volume."""

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        if self.file is not None:
            for key in ("centre", "width"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is not used: the spectrum comes from a file")
            return self
        for key in ("centre", "width"):
            if getattr(self, key) is None:
                raise ValueError(f"{key}: missing: give centre and width, or file")
        return self


class Trapping(Table):
    """Quasiparticles are lost at a constant rate."""

    rate: Frequency
