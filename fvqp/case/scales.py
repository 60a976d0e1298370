"""SI values of the units of the Boltzmann equations."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import constants


@dataclass(frozen=True)
class Units:
    """SI values of the units that are used inside.

    Attributes:
        energy: Δ0, joule.
        time: τ0, seconds.
        density: 4 N0 Δ0, 1/m³.
    """

    energy: float
    time: float
    density: float

    @property
    def energy_density(self) -> float:
        """4 N0 Δ0², J/m³."""
        return self.density * self.energy

    @property
    def power_density(self) -> float:
        """4 N0 Δ0²/τ0, W/m³."""
        return self.energy_density / self.time

    def temperature(self, kelvin: float) -> float:
        """k_BT in Δ0."""
        return constants.k * kelvin / self.energy
