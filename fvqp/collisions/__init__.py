"""Inelastic collisions on an energy axis: what happens at a point."""

from fvqp.collisions.electron_phonon import Coupling, ElectronPhonon, GainLoss, Pair
from fvqp.collisions.grid import CollisionGrid
from fvqp.collisions.measure import SpectralMeasure, bcs_measure

__all__ = [
    "CollisionGrid",
    "Coupling",
    "ElectronPhonon",
    "GainLoss",
    "Pair",
    "SpectralMeasure",
    "bcs_measure",
]
