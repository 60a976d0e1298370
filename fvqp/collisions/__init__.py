"""Inelastic collisions on an energy axis: what happens at a point."""

from fvqp.collisions.electron_phonon import Coupling, ElectronPhonon, GainLoss, Pair
from fvqp.collisions.grid import CollisionGrid
from fvqp.collisions.measure import SpectralMeasure, bcs_measure
from fvqp.collisions.observables import (
    InverseLifetimes,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)

__all__ = [
    "CollisionGrid",
    "Coupling",
    "ElectronPhonon",
    "GainLoss",
    "InverseLifetimes",
    "Pair",
    "SpectralMeasure",
    "bcs_measure",
    "inverse_lifetimes",
    "phonon_energy",
    "quasiparticle_density",
    "quasiparticle_energy",
    "thermal",
]
