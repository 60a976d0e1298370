"""Microwaves: photons of one mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import model_validator

from fvqp.case.in_time import InTime
from fvqp.case.process import ProcessSite
from fvqp.case.quantities import Frequency, NotNegative, Number, PositivePhotonEnergy, PowerDensity
from fvqp.case.scales import Units
from fvqp.collisions import PhotonDrive
from fvqp.collisions.process import ExternalProcess
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError


class Microwave(InTime):
    """Photons of one mode, absorbed and emitted by quasiparticles; above twice the gap they break pairs."""

    name = "microwaves"

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

    @property
    def given_power(self) -> str:
        return "absorbed_power" if self.absorbed_power and not self.time_keys else ""

    def build(self, site: ProcessSite) -> ExternalProcess:
        return self.timed(self._drive(site), site.units.time)

    def _drive(self, site: ProcessSite) -> PhotonDrive:
        frequency = self.photon_energy.in_delta0(site.units.energy)
        try:
            _require_resolved(frequency, site.grid)
            if self.absorbed_power is not None:
                return PhotonDrive.at_power(site.grid, frequency, site.power(self.absorbed_power))
            assert self.photons is not None and self.coupling is not None
            coupling = self.coupling * site.units.time * site.within
            return PhotonDrive.mode(site.grid, frequency, coupling, site.strength * self.photons)
        except CaseError as error:
            raise CaseError(f"photon_energy: {error}") from None

    def rates(self, units: Units) -> Iterator[tuple[str, str, float]]:
        if self.absorbed_power is not None:
            rate = self.absorbed_power / units.power_density / units.time
            yield "absorbed_power", f"{self.absorbed_power:.3g} W/m^3", rate
        elif self.photons is not None and self.coupling is not None:
            said = f"{self.photons:.3g} with a coupling of {self.coupling:.3g} Hz"
            yield "photons", said, self.coupling * self.photons

    def doubts(self, units: Units) -> Iterator[tuple[str, str]]:
        energy = self.photon_energy.in_delta0(units.energy)
        if energy < 2.0:
            yield (
                "photon_energy",
                f"quasiparticles heated by photons of {energy:.3g} Delta0 gather at the foot of every photon "
                "step, so that density and loss depend on energies.width, as its logarithm: with a fixed gap "
                'spacing = "graded" resolves the first foot and a width of 1e-4 Delta0 is small enough for '
                'weak drives; compare with model = "boltzmann", where spacing = "steps" resolves all of them',
            )


def _require_resolved(frequency: float, grid: EnergyAxis) -> None:
    """:class:`CaseError` for photons (Δ0) that take quasiparticles less than a bin further."""
    width = float(grid.widths.min())
    if frequency < width * (1.0 - 1e-9):
        raise CaseError(
            f"{frequency:.3g} Delta0 is less than the {width:.3g} Delta0 of a bin; choose a smaller "
            "energies.width"
        )
