"""Axes other than space."""

from fvqp.grids.energy import EnergyGrid, equilibrium, lead, lead_derivative

__all__ = ["EnergyGrid", "equilibrium", "lead", "lead_derivative"]
