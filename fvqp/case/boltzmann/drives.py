"""Tables of the first state of a case of the Boltzmann model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import model_validator

from fvqp.case.quantities import EnergyDensity, Number, Positive, PositiveEnergy, Temperature
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
