"""Resonator response to the quasiparticles of its region: losses and frequency by Mattis and Bardeen."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.case.boltzmann.resonator import shown
from fvqp.case.transport.build import TransportSetup
from fvqp.case.transport.schema import Probe
from fvqp.collisions.conductivity import MattisBardeen, cold_conductivity
from fvqp.errors import CaseError
from fvqp.models.boltzmann import State
from fvqp.typing import Floats


class Probed:
    """The conductivity that a resonator's current meets: the mean over the cells of its region by volume.

    Collective over the ranks of the mesh.
    """

    def __init__(self, probe: Probe, setup: TransportSetup) -> None:
        """
        Args:
            probe: the table of the case.
            setup: of the run.

        Raises:
            CaseError: there are no superconducting cells in its region.
        """
        self._probe, self._setup = probe, setup
        problem = setup.problem
        cells = np.arange(problem.body.n_owned) if probe.region is None else setup.regions[probe.region]
        gap = setup.state.gap[cells]
        self._cells = cells[np.isfinite(gap) & (gap > 0.0)]
        self._frequency = probe.photon_energy.in_delta0(setup.units.energy)
        self._volume = problem.body.volume[self._cells]
        self._whole = float(problem.body.comm.allreduce(float(self._volume.sum())))
        if not self._whole > 0.0:
            raise CaseError("resonator.region: holds no superconductor")
        self._known: tuple[Floats, MattisBardeen] | None = None

    def seen(self, state: State) -> dict[str, float]:
        """Conductivity, inverse quality factor and shift of the frequency against no quasiparticles."""
        problem, probe = self._setup.problem, self._probe
        gap = state.gap[self._cells]
        gaps = gap[:1] if len(gap) and np.all(gap == gap[0]) else gap
        if self._known is None or not np.array_equal(self._known[0], gaps):
            self._known = gaps, MattisBardeen(problem.grid, gaps, self._frequency)
        here = self._known[1](problem.mean_f(state.f)[self._cells])
        # Shifts are those from empty cells with the gap at rest.
        rest = problem.gap_at_rest[self._cells]
        empty = np.broadcast_to(cold_conductivity(rest, self._frequency).sigma2, gap.shape)
        sums = np.array([self._volume @ here.sigma1, self._volume @ here.sigma2, self._volume @ empty])
        problem.body.comm.Allreduce(MPI.IN_PLACE, sums)
        sigma1, sigma2, cold = (sums / self._whole).tolist()
        return shown(probe, sigma1, sigma2, cold)
