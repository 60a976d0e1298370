"""Inelastic collisions on an energy axis: what happens at a point."""

from fvqp.collisions.collision_sum import CollisionSum, InelasticCollisions
from fvqp.collisions.conductivity import Conductivity, MattisBardeen, cold_conductivity
from fvqp.collisions.electron_electron import ElectronElectron
from fvqp.collisions.electron_phonon import Coupling, ElectronPhonon, phonon_modes
from fvqp.collisions.integrals import Spectra
from fvqp.collisions.localization import Localization, SinkLaw
from fvqp.collisions.observables import (
    InverseLifetimes,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.collisions.phonon_bath import BathCollisions, PhononBath
from fvqp.collisions.phonon_relaxation import PhononCollisions
from fvqp.collisions.photon import PhotonDrive
from fvqp.collisions.process import (
    Blocks,
    ExternalProcess,
    ExternalRates,
    Flow,
    GainLoss,
    OccupationRates,
    Pair,
    Process,
)
from fvqp.collisions.resonator import film_factor, frequency_shift, internal_loss, surface_impedance
from fvqp.collisions.sources import (
    ConstantTrapping,
    Gaussian,
    Line,
    LinearProcess,
    PhononEscape,
    PhononInjection,
    QuasiparticleInjection,
    SpectrumFunction,
    TabulatedSpectrum,
    escape_time,
    pair_breaking_efficiency,
)
from fvqp.collisions.timed import TimedProcess
from fvqp.collisions.velocity import relative_velocity

__all__ = [
    "BathCollisions",
    "Blocks",
    "CollisionSum",
    "Conductivity",
    "ConstantTrapping",
    "Coupling",
    "ElectronElectron",
    "ElectronPhonon",
    "ExternalProcess",
    "ExternalRates",
    "Flow",
    "GainLoss",
    "Gaussian",
    "InelasticCollisions",
    "InverseLifetimes",
    "Line",
    "LinearProcess",
    "Localization",
    "MattisBardeen",
    "OccupationRates",
    "Pair",
    "PhononBath",
    "PhononCollisions",
    "PhononEscape",
    "PhononInjection",
    "PhotonDrive",
    "Process",
    "QuasiparticleInjection",
    "SinkLaw",
    "Spectra",
    "SpectrumFunction",
    "TabulatedSpectrum",
    "TimedProcess",
    "cold_conductivity",
    "escape_time",
    "film_factor",
    "frequency_shift",
    "internal_loss",
    "inverse_lifetimes",
    "pair_breaking_efficiency",
    "phonon_energy",
    "phonon_modes",
    "quasiparticle_density",
    "quasiparticle_energy",
    "relative_velocity",
    "surface_impedance",
    "thermal",
]
