"""Boundary condition by shares: what leaves, how the rest is reflected, and what comes in."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator
from scipy import constants

from fvqp.case.boltzmann.boundary import BoundarySite, BoundaryTable, Passing
from fvqp.case.quantities import EnergyFunction, Temperature
from fvqp.errors import CaseError
from fvqp.expressions import Expression, amounts
from fvqp.transport.walls import Wall
from fvqp.typing import Floats


class WallTable(Passing, BoundaryTable):
    """Reflection, transmission and loss of particles at a boundary."""

    name = "transmission"

    temperature: Temperature | None = None
    """Temperature outside; default: that of the bath."""
    occupation: EnergyFunction | None = None
    """In place of `temperature`: f or n outside as a function of the energy E, such as
    ``"exp(-E/(20 ueV))"``; not negative, f at most 1."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        for key in ("temperature", "occupation"):
            if getattr(self, key) is not None and not self.passes:
                raise ValueError(f"{key}: is not used: nothing passes; give a transmission")
        if self.temperature is not None and self.occupation is not None:
            raise ValueError("occupation: is not used with temperature; give one of them")
        return self

    @property
    def passes(self) -> bool:
        return self.transmission.passes

    def wall(self, site: BoundarySite) -> Wall:
        share = self.transmission.at(site.energies, site.unit, f"{site.key}.transmission")
        return Wall(share, specularity=self.specularity, bath=self._outside(site))

    def _outside(self, site: BoundarySite) -> Floats:
        """Return the occupations outside, ``(E,)``."""
        if self.temperature is not None:
            return site.thermal(self.temperature)
        if self.occupation is None:
            return site.bath
        key, volts = f"{site.key}.occupation", site.energies * site.unit / constants.e
        found = amounts(Expression(self.occupation, ("E",)), key, E=volts)
        if np.any(found > site.largest):
            raise CaseError(f"{key}: is {found.max():.4g} at some energy; f cannot exceed {site.largest:g}")
        return found
