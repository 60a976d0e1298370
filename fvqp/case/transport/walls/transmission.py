"""Boundary condition by shares: what leaves, and how the rest is reflected."""

from __future__ import annotations

from fvqp.case.transport.boundaries import Passing
from fvqp.case.transport.boundary import BoundarySite, BoundaryTable
from fvqp.transport.walls import Wall


class WallTable(Passing, BoundaryTable):
    """Reflection, transmission and loss of particles at a boundary."""

    name = "transmission"

    @property
    def passes(self) -> bool:
        return self.transmission.passes

    def wall(self, site: BoundarySite) -> Wall:
        share = self.transmission.at(site.energies, site.unit, f"{site.key}.transmission")
        return Wall(share, specularity=self.specularity, bath=site.bath)
