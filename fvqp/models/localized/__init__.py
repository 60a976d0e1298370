"""Localized quasiparticles and their pair annihilation.

``TailStates`` goes from a material to a pair rate, ``Simulation`` is the exact Monte Carlo,
``AnnihilationLaw`` the law of annihilation that it leaves to models of densities.
Theory: docs/theory/localized.md.
"""

from fvqp.models.localized.closure import AnnihilationLaw, LawInUnits, MeanField
from fvqp.models.localized.density import LocalizedDensity
from fvqp.models.localized.domain import Domain, box, mesh_domain
from fvqp.models.localized.ensemble import SteadyEnsemble, measure_steady
from fvqp.models.localized.laws import BurstingBubbles, TailAnnihilation
from fvqp.models.localized.longrun import LongRun
from fvqp.models.localized.material import TailStates
from fvqp.models.localized.montecarlo import Simulation
from fvqp.models.localized.pair_closure import PairClosure
from fvqp.models.localized.statistics import Estimate, combined, estimate, steady_from
from fvqp.models.localized.trajectory import Trajectory

__all__ = [
    "AnnihilationLaw",
    "BurstingBubbles",
    "Domain",
    "Estimate",
    "LawInUnits",
    "LocalizedDensity",
    "LongRun",
    "MeanField",
    "PairClosure",
    "Simulation",
    "SteadyEnsemble",
    "TailAnnihilation",
    "TailStates",
    "Trajectory",
    "box",
    "combined",
    "estimate",
    "measure_steady",
    "mesh_domain",
    "steady_from",
]
