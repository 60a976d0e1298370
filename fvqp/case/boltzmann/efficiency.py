"""Pair-breaking efficiency of what drives a case (theory: drives, Eq. efficiency)."""

from __future__ import annotations

from collections.abc import Mapping

from scipy import constants

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.observable import Values
from fvqp.collisions import (
    Process,
    pair_breaking_efficiency,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.collisions.process import is_sink
from fvqp.models.boltzmann import State
from fvqp.models.efficiency import generation
from fvqp.typing import Floats

#: Part of the energy inside below which a difference to the energy of equilibrium is rounding.
ROUNDING = 1e-13


def of_steady_state(
    setup: BoltzmannSetup, processes: Mapping[str, Process], state: State, temperature: float
) -> Values:
    """``eta_pb`` of a steady state: what drives make in unit time over their power.

    Args:
        setup, processes, state: as named.
        temperature: of the bath, kelvin. Quasiparticles that it makes by itself do not count.
    """
    bin_weights, f, n = setup.bin_weights(float(state.gap[0])), state.f[:, 0], state.n[:, 0]
    drives, others, power = [], [], 0.0
    for process in processes.values():
        if is_sink(process):
            others.append(process)
            continue
        drives.append(process)
        flow = process.energy_flow(bin_weights, f, n)  # type: ignore[attr-defined]
        power += float(flow.quasiparticles[0] + flow.phonons[0])
    if not power > 0.0 or state.gap[0] == 0.0:
        return {}
    made = generation(setup.collisions, bin_weights, f, n, drives, others)  # type: ignore[arg-type]
    bath = thermal(setup.grid, setup.units.temperature(temperature))
    at_rest = generation(setup.collisions, bin_weights, *bath, (), others)  # type: ignore[arg-type]
    return {"eta_pb": float(pair_breaking_efficiency(float(made[0] - at_rest[0]), power, state.gap[0]))}


def of_evolution(
    setup: BoltzmannSetup, values: Mapping[str, float | Floats], start: float, temperature: float
) -> Values:
    """``eta_pb`` at a time: quasiparticles there are beyond those in equilibrium with the bath, over the
    energy that was there at the start beyond that of equilibrium, and has come since.

    Args:
        setup: as named.
        values: results at the time, SI units.
        start: energy by volume at the start, J/m³.
        temperature: of the bath, kelvin.
    """
    number, energy = in_equilibrium(setup, temperature)
    excess = start - energy if abs(start - energy) > ROUNDING * abs(energy) else 0.0
    absorbed = excess + float(values["energy_injected"])  # type: ignore[arg-type]
    if not absorbed > 0.0:
        return {}
    made = float(values["n_qp"]) - number  # type: ignore[arg-type]
    gap = float(values["gap"]) * constants.e  # type: ignore[arg-type]
    return {"eta_pb": float(pair_breaking_efficiency(made, absorbed, gap))}


def in_equilibrium(setup: BoltzmannSetup, temperature: float) -> tuple[float, float]:
    """Density of quasiparticles, 1/m³, and energy, J/m³, in equilibrium with the bath."""
    f, n = thermal(setup.grid, setup.units.temperature(temperature))
    gap = setup.gap if setup.self_consistent is None else float(setup.self_consistent.gap(f)[0])
    bin_weights = setup.bin_weights(gap)
    energy = quasiparticle_energy(setup.grid, bin_weights, f) + phonon_energy(
        setup.collisions, n, bin_weights
    )
    energy = energy + setup.condensate(gap)
    return (
        float(quasiparticle_density(bin_weights, f)[0]) * setup.units.density,
        float(energy[0]) * setup.units.energy_density,
    )
