"""Boundary condition by shares: what leaves, how the rest is reflected, and what comes in."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from fvqp.case.boltzmann.boundary import BoundarySite, Outside, Passing
from fvqp.transport.walls import Wall


class WallTable(Passing, Outside):
    """Reflection, transmission and loss of particles at a boundary."""

    name = "transmission"

    @model_validator(mode="after")
    def _used(self) -> Self:
        for key in ("temperature", "occupation"):
            if getattr(self, key) is not None and not self.passes:
                raise ValueError(f"{key}: is not used: nothing passes; give a transmission")
        return self

    @property
    def passes(self) -> bool:
        return self.transmission.passes

    def wall(self, site: BoundarySite) -> Wall:
        share = self.transmission.at(site.energies, site.unit, f"{site.key}.transmission")
        return Wall(share, specularity=self.specularity, bath=self.outside(site))
