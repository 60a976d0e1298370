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
from fvqp.collisions.sources import (
    ConstantTrapping,
    Gaussian,
    Line,
    PhononEscape,
    PhononInjection,
    QuasiparticleInjection,
    Table,
    escape_time,
    pair_breaking_efficiency,
    phonon_modes,
)

__all__ = [
    "Blocks",
    "CollisionGrid",
    "ConstantTrapping",
    "Coupling",
    "ElectronPhonon",
    "Exchange",
    "Flow",
    "GainLoss",
    "Gaussian",
    "InverseLifetimes",
    "Line",
    "Pair",
    "PhononEscape",
    "PhononInjection",
    "PhotonDrive",
    "Process",
    "QuasiparticleInjection",
    "SpectralMeasure",
    "Table",
    "bcs_measure",
    "escape_time",
    "inverse_lifetimes",
    "pair_breaking_efficiency",
    "phonon_energy",
    "phonon_modes",
    "quasiparticle_density",
    "quasiparticle_energy",
    "thermal",
]
