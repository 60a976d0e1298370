"""Response of a microwave resonator to its quasiparticles: losses and frequency by Mattis and Bardeen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.schema import Resonator
from fvqp.case.scales import Units
from fvqp.collisions.conductivity import MattisBardeen, cold_conductivity
from fvqp.collisions.resonator import film_factor, frequency_shift, internal_loss
from fvqp.errors import CaseError
from fvqp.models.boltzmann import BoltzmannProblem, State
from fvqp.typing import Floats, Ints

RESPONSE = ("sigma1", "sigma2", "inverse_quality_factor", "frequency_shift")
"""Names of the response."""


class Probed:
    """The conductivity that a resonator's current meets: the mean over the cells of its region by volume.

    Collective over the ranks of the mesh.
    """

    def __init__(
        self,
        probe: Resonator,
        problem: BoltzmannProblem,
        units: Units,
        gap: Floats,
        regions: Mapping[str, Ints],
        *,
        film: bool = False,
    ) -> None:
        """
        Args:
            probe: the table of the case.
            problem, units: as named.
            gap: at the start; cells without one do not conduct.
            regions: name → owned cells.
            film: shifts count from Δ0, in place of the gap at rest.

        Raises:
            CaseError: there are no superconducting cells in its region.
        """
        self._probe, self._problem = probe, problem
        region = getattr(probe, "region", None)
        cells = np.arange(problem.cells.n_owned) if region is None else regions[region]
        self._cells = cells[np.isfinite(gap[cells]) & (gap[cells] > 0.0)]
        self._frequency = probe.photon_energy.in_delta0(units.energy)
        self._volume = problem.cells.volume[self._cells]
        self._whole = float(problem.cells.comm.allreduce(float(self._volume.sum())))
        if not self._whole > 0.0:
            raise CaseError("resonator.region: holds no superconductor")
        rest = np.ones(1) if film else problem.gap_at_rest[self._cells]
        #: Shifts are those from empty cells with this gap.
        self._empty = cold_conductivity(rest, self._frequency).sigma2
        self._known: tuple[Floats, MattisBardeen] | None = None

    def seen(self, state: State) -> dict[str, float]:
        """Return conductivity over that of the normal state, inverse quality factor, and the shift of the
        frequency against no quasiparticles."""
        problem, probe = self._problem, self._probe
        gap = state.gap[self._cells]
        gaps = gap[:1] if len(gap) and np.all(gap == gap[0]) else gap
        if self._known is None or not np.array_equal(self._known[0], gaps):
            self._known = gaps, MattisBardeen(problem.grid, gaps, self._frequency)
        here = self._known[1](problem.mean_f(state.f)[self._cells])
        sums = np.array([self._volume @ here.sigma1, self._volume @ here.sigma2, self._volume @ self._empty])
        problem.cells.comm.Allreduce(MPI.IN_PLACE, sums)
        sigma1, sigma2, cold = (sums / self._whole).tolist()
        share = probe.kinetic_inductance_fraction
        film = 1.0 if probe.thickness is None else float(film_factor(probe.thickness))
        loss = float(internal_loss(sigma1, sigma2, share, film))
        shift = float(frequency_shift(sigma2, cold, share, film))
        return dict(zip(RESPONSE, (sigma1, sigma2, loss, shift), strict=True))
