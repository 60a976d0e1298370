"""The gap equation, in equilibrium and out of it, and gaps that follow the occupations of bins."""

from fvqp.gap.equation import (
    coupling,
    critical_temperature,
    equilibrium_gap,
    equilibrium_residual,
    gap_residual,
    gap_weights,
    superfluid_density,
)
from fvqp.gap.family import SpectralFamily, gap_family
from fvqp.gap.update import GapUpdate, SelfConsistentGap, condensate_energy

__all__ = [
    "GapUpdate",
    "SelfConsistentGap",
    "SpectralFamily",
    "condensate_energy",
    "coupling",
    "critical_temperature",
    "equilibrium_gap",
    "equilibrium_residual",
    "gap_family",
    "gap_residual",
    "gap_weights",
    "superfluid_density",
]
