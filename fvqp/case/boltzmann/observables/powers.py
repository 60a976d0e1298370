"""Powers of drives, sources and losses, and of collisions."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.collisions import PhononEscape
from fvqp.typing import Floats


class _Power(BoltzmannObservable):
    """A power by volume; of bodies in steady states only."""

    @abstractmethod
    def power(self, at: BoltzmannSample) -> float:
        """Return the power in 4 N0 Δ0²/τ0 times volume."""

    def applies(self, run: BoltzmannRun) -> bool:
        return run.film or run.case.evolution is None

    def compute(self, at: BoltzmannSample) -> float:
        return self.power(at) * at.units.power_density / at.run.volume


class InjectedPower(_Power):
    name = "power_injected"

    def power(self, at: BoltzmannSample) -> float:
        return at.powers[0]


class EscapedPower(_Power):
    name = "power_escaped"

    def power(self, at: BoltzmannSample) -> float:
        return at.powers[1]


class PowerResidual(_Power):
    models = ("transport",)
    name, units, long_name = "power_residual", "W m-3", "power that is left over in the steady state"

    def power(self, at: BoltzmannSample) -> float:
        return at.powers[2]


class PowerToPhonons(_Power):
    name, models = "power_to_phonons", ("boltzmann",)

    def power(self, at: BoltzmannSample) -> float:
        return float(at.collisions.at(at.bin_weights, at.f, at.n).rates.n[0] @ _mode_energies(at))


class ShareAboveTwiceGap(BoltzmannObservable):
    name, models = "share_above_2gap", ("boltzmann",)

    def compute(self, at: BoltzmannSample) -> float:
        share = np.nan
        for process in at.problem.media[0].medium.processes.values():
            if isinstance(process, PhononEscape):
                lost = _mode_energies(at) * process.at(at.bin_weights, at.f, at.n).rates.n[0]
                breaking = at.problem.grid.phonon_energies >= self._threshold(at)
                share = float(lost[breaking].sum() / total) if (total := float(lost.sum())) else np.nan
        return share

    def _threshold(self, at: BoltzmannSample) -> float:
        """Energy of the first phonon point that breaks pairs, in Δ0, less rounding."""
        least = at.gap
        if at.bin_weights.phonon_shares is not None and at.bin_weights.active.any():
            least = float(at.problem.grid.energies[np.argmax(at.bin_weights.active[0])])
        return 2.0 * least * (1.0 - 1e-12)


def _mode_energies(at: BoltzmannSample) -> Floats:
    """Return the energy of a phonon in all modes of a point of a film."""
    return np.asarray(at.collisions.modes(at.bin_weights)[0] * at.problem.grid.phonon_energies)
