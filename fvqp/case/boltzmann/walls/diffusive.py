"""Boundary conditions of diffusion: a given occupation at the wall, or a given surface velocity."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fvqp.case.boltzmann.boundary import BoundarySite, Outside
from fvqp.case.quantities import Speed
from fvqp.transport.walls import Wall


class Dirichlet(Outside):
    """Given occupation at a wall of particles that diffuse."""

    name = "dirichlet"
    diffusive = True

    kind: Literal["dirichlet"] = "dirichlet"

    def wall(self, site: BoundarySite) -> Wall:
        return Wall(velocity=np.inf, bath=self.outside(site))


class Robin(Outside):
    """Flux through a wall of particles that diffuse, in proportion to their excess over those outside."""

    name = "robin"
    diffusive = True

    kind: Literal["robin"] = "robin"

    velocity: Speed
    """Surface velocity h: a unit of area lets pass h × states × (occupation at the wall − that outside)."""

    def wall(self, site: BoundarySite) -> Wall:
        return Wall(velocity=self.velocity * site.time, bath=self.outside(site))
