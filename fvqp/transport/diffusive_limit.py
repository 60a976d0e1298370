"""The diffusion to which streaming tends where particles scatter often: means over directions alone.

``f[cell, energy]``, with the cells, states, walls, interfaces and steps of the gap of a `Streaming`. With
elastic scattering at the rate ``v/ℓ`` the diffusivity is ``vℓ/3`` and the conductivity of states ``s v ℓ/3``:
for quasiparticles ``D_N`` above the gap and nothing below, whatever the gap does in space (theory: streaming,
section on opaque cells).
"""

from __future__ import annotations

import numpy as np

from fvqp.transport.streaming import Streaming
from fvqp.transport.two_point import NO_GRADIENT
from fvqp.typing import Floats


class DiffusiveLimit:
    """``∇·(s v ℓ/3 ∇f)/s`` of every energy, ``ℓ = v/rate``, conservative.

    Args:
        streaming: what particles do between collisions; few directions are enough, their half-range flux is
            that of walls (`fvqp.transport.directions.Directions.half_range`).
        rate: ``(n_cells or 1, energy)`` of the collisions that turn particles, positive where they move.

    Attributes:
        streaming: as given.
        conductance: ``(n_faces, energy)``, volume per time: of half cells and transmitting faces in series.
        flux: two-point fluxes, with the pattern of `matrix`.
    """

    def __init__(self, streaming: Streaming, rate: Floats) -> None:
        self.streaming, self.flux = streaming, streaming.layout.flux
        self.conductance: Floats
        self.set_rate(rate)

    def set_rate(self, rate: Floats) -> None:
        """Another ``(n_cells or 1, energy)`` rate of collisions."""
        self.conductance = self.streaming.conductance(rate)

    def rates(self, f: Floats) -> tuple[Floats, Floats]:
        """``∂f/∂t`` of the owned cells, ``(n_owned, energy)``, and what passes walls and interfaces.

        Args:
            f: ``(n_cells, energy)``, ghosts up to date. Where faces are oblique, values straight behind them
                are found with gradients: second order, but not monotone.

        Returns:
            The rates, and ``(walls + interfaces, energy)`` as of `Streaming.rates`.
        """
        flux, baths, x = self.flux, self.streaming.baths, f[:, None, :]
        gain, entering = np.zeros((flux.n_owned, 1, f.shape[1])), np.zeros_like(baths)
        gradient = flux.gradients(x, baths)
        flux.add(self.conductance[None], x, baths, gain, gradient, entering)
        inner = flux.through(self.streaming.counted_faces, self.conductance[None], x, gradient)
        return gain[:, 0] / self.streaming.capacity, self.streaming.passed(-entering[0], inner[:, 0])

    def two_point_passed(self, f: Floats) -> Floats:
        """Return what passes walls with empty baths, and interfaces, as `matrix` has it.

        Args:
            f: ``(n_cells, energy)``, ghosts up to date.
        """
        flux, x = self.flux, f[:, None, :]
        outer = flux.faces.outside >= 0
        leaving = self.conductance[outer] * f[flux.faces.cells[outer, 0]]
        inner = flux.through(self.streaming.counted_faces, self.conductance[None], x, NO_GRADIENT)
        return self.streaming.passed(leaving, inner[:, 0])

    def exchange_rate(self) -> Floats:
        """Rate at which a cell exchanges what it holds, ``(n_owned, energy)``."""
        leaving = self.flux.matrix(self.conductance[None])[self.flux.diagonal]
        return np.asarray(leaving / self.streaming.capacity)

    def matrix(self, removal: Floats) -> Floats:
        """Two-point matrix of ``capacity × (removal − diffusion)``, ``(nnz, energy)``, symmetric.

        On orthogonal meshes it is the operator itself. An energy without speed or removal in a cell has the
        equation ``f = 0`` there.

        Args:
            removal: ``(n_owned or 1, energy)`` rate.
        """
        values = self.flux.matrix(self.conductance[None])
        diagonal = values[self.flux.diagonal] + self.streaming.capacity * removal
        values[self.flux.diagonal] = diagonal + (diagonal == 0.0)
        return values
