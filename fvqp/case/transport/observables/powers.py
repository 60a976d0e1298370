"""Powers of sources and losses in a steady state."""

from __future__ import annotations

from fvqp.case.transport.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample


class InjectedPower(BoltzmannObservable):
    name = "power_injected"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.evolution is None

    def power(self, at: BoltzmannSample) -> float:
        """Return the power in 4 N0 Δ0²/τ0 times volume."""
        return at.powers[0]

    def compute(self, at: BoltzmannSample) -> float:
        return self.power(at) * at.units.power_density / at.run.volume


class EscapedPower(InjectedPower):
    name = "power_escaped"

    def power(self, at: BoltzmannSample) -> float:
        return at.powers[0] - at.powers[1]


class PowerResidual(InjectedPower):
    name, units, long_name = "power_residual", "W m-3", "power that is left over in the steady state"

    def power(self, at: BoltzmannSample) -> float:
        return at.powers[1]
