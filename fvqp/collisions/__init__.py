"""Inelastic collisions on an energy axis: what happens at a point."""

from fvqp.collisions.electron_phonon import Coupling, ElectronPhonon
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
from fvqp.collisions.photon import PhotonDrive
from fvqp.collisions.process import Blocks, Exchange, Flow, GainLoss, Pair, Process

__all__ = [
    "Blocks",
    "CollisionGrid",
    "Coupling",
    "ElectronPhonon",
    "Exchange",
    "Flow",
    "GainLoss",
    "InverseLifetimes",
    "Pair",
    "PhotonDrive",
    "Process",
    "SpectralMeasure",
    "bcs_measure",
    "inverse_lifetimes",
    "phonon_energy",
    "quasiparticle_density",
    "quasiparticle_energy",
    "thermal",
]
