"""Pair-breaking efficiency of what drives a case (theory: drives, Eq. efficiency)."""

from __future__ import annotations

from fvqp.case.boltzmann.observable import BoltzmannSample
from fvqp.collisions import pair_breaking_efficiency, thermal
from fvqp.collisions.process import is_sink
from fvqp.models.boltzmann import BoltzmannLedger
from fvqp.models.boltzmann.efficiency import generation

#: Part of the energy inside below which a difference to the energy of equilibrium is rounding.
ROUNDING = 1e-13


def of_steady_state(at: BoltzmannSample, temperature: float) -> dict[str, float]:
    """``eta_pb`` of a steady state: what drives make in unit time over their power.

    Args:
        at: the state.
        temperature: of the bath, kelvin. Quasiparticles that it makes by itself do not count.
    """
    processes = at.problem.media[0].medium.processes.values()
    drives = [process for process in processes if not is_sink(process)]
    sinks = [process for process in processes if is_sink(process)]
    power = at.powers[0]
    if not power > 0.0 or at.gap == 0.0:
        return {}
    made = generation(at.collisions, at.bin_weights, at.f, at.n, drives, sinks)  # type: ignore[arg-type]
    bath = thermal(at.problem.grid, at.units.temperature(temperature))
    at_rest = generation(at.collisions, at.bin_weights, *bath, (), sinks)  # type: ignore[arg-type]
    return {"eta_pb": float(pair_breaking_efficiency(float(made[0] - at_rest[0]), power, at.gap))}


def of_evolution(at: BoltzmannSample, rest: BoltzmannLedger) -> dict[str, float]:
    """``eta_pb`` at a time: quasiparticles there are beyond those in equilibrium with the bath, over the
    energy that was there at the start beyond that of equilibrium, and has come since.

    Args:
        at: the time.
        rest: of equilibrium with the bath.
    """
    excess = at.start - rest.stored
    absorbed = at.exchanged[0] + (excess if abs(excess) > ROUNDING * abs(rest.stored) else 0.0)
    if not absorbed > 0.0:
        return {}
    return {"eta_pb": float(pair_breaking_efficiency(at.ledger.number - rest.number, absorbed, at.gap))}
