"""Energies of quasiparticles and phonons: the axis of all models, and what its bins hold."""

from fvqp.energy.axis import EnergyAxis
from fvqp.energy.bin_weights import BinWeights, bcs_weights
from fvqp.energy.thermal import equilibrium, lead, lead_derivative

__all__ = ["BinWeights", "EnergyAxis", "bcs_weights", "equilibrium", "lead", "lead_derivative"]
