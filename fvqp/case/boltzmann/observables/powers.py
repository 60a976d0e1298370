"""Powers of drives, sources and losses, and of collisions."""

from __future__ import annotations

import numpy as np

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousSample
from fvqp.collisions import PhononEscape, Process
from fvqp.collisions.process import is_sink
from fvqp.typing import Floats


def _power(at: HomogeneousSample, process: Process) -> float:
    """Power of a process into the device, in 4 N0 Δ0²/τ0."""
    flow = process.energy_flow(at.bin_weights, at.f, at.n)  # type: ignore[attr-defined]
    return float(flow.quasiparticles[0] + flow.phonons[0])


def _mode_energies(at: HomogeneousSample) -> Floats:
    """Energy of a phonon in all modes of a point."""
    return np.asarray(at.setup.collisions.modes(at.bin_weights)[0] * at.setup.grid.phonon_energies)


class FilmInjectedPower(HomogeneousObservable):
    name = "power_injected"

    def compute(self, at: HomogeneousSample) -> float:
        powers = [_power(at, one) for one in at.processes.values() if not is_sink(one)]
        return sum(powers, 0.0) * at.units.power_density


class FilmEscapedPower(HomogeneousObservable):
    name = "power_escaped"

    def compute(self, at: HomogeneousSample) -> float:
        powers = [-_power(at, one) for one in at.processes.values() if is_sink(one)]
        return sum(powers, 0.0) * at.units.power_density


class PowerToPhonons(HomogeneousObservable):
    name = "power_to_phonons"

    def compute(self, at: HomogeneousSample) -> float:
        passed = at.setup.collisions.rates(at.bin_weights, at.f, at.n).n[0] @ _mode_energies(at)
        return float(passed) * at.units.power_density


class ShareAboveTwiceGap(HomogeneousObservable):
    name = "share_above_2gap"

    def compute(self, at: HomogeneousSample) -> float:
        share = np.nan
        for process in at.processes.values():
            if isinstance(process, PhononEscape):
                lost = _mode_energies(at) * process.rates(at.bin_weights, at.f, at.n).n[0]
                breaking = at.setup.grid.phonon_energies >= self._threshold(at)
                share = float(lost[breaking].sum() / total) if (total := float(lost.sum())) else np.nan
        return share

    def _threshold(self, at: HomogeneousSample) -> float:
        """Energy of the first phonon point that breaks pairs, in Δ0, less rounding."""
        least = at.gap
        if at.bin_weights.phonon_shares is not None and at.bin_weights.active.any():
            least = float(at.setup.grid.energies[np.argmax(at.bin_weights.active[0])])
        return 2.0 * least * (1.0 - 1e-12)
