"""Spin-polarized clusters of excess quasiparticles: mean field, master equation, Fokker-Planck, noise.

Source: Meyer, Houzet, Nazarov, Phys. Rev. Lett. 125, 097006 (2020); theory: docs/theory/spin_clusters.md.
Rates in 1/s, lengths in µm.
"""

from fvqp.models.clusters.evolution import (
    TransientStatistics,
    evolve_fokker_planck,
    evolve_master,
    evolve_mean_field,
    evolve_simplified,
    evolve_trajectories,
)
from fvqp.models.clusters.fokker_planck import FokkerPlanck
from fvqp.models.clusters.gillespie import ClusterTrajectory, ensemble, simulate
from fvqp.models.clusters.master import ClusterState, Loss, MasterEquation, stationary_state
from fvqp.models.clusters.mean_field import (
    ClusterMeanField,
    Crossover,
    TrapMaterial,
    crossover,
    regime,
    validity,
)
from fvqp.models.clusters.noise import (
    Noise,
    analytic_flux_noise,
    estimated_flux_noise,
    flux_per_spin,
    noise_spectrum,
    regime_noise,
)
from fvqp.models.clusters.rates import Cluster, aluminium, singlet_constant, spin_flip_time
from fvqp.models.clusters.reduced import NumberChain, reduced_chain
from fvqp.models.clusters.states import States

__all__ = [
    "Cluster", "ClusterMeanField", "ClusterState", "ClusterTrajectory", "Crossover", "FokkerPlanck", "Loss",
    "MasterEquation", "Noise", "NumberChain", "States", "TransientStatistics", "TrapMaterial", "aluminium",
    "analytic_flux_noise", "crossover", "ensemble",
    "estimated_flux_noise", "evolve_fokker_planck", "evolve_master", "evolve_mean_field", "evolve_simplified",
    "evolve_trajectories", "flux_per_spin", "noise_spectrum", "reduced_chain", "regime", "regime_noise",
    "simulate", "singlet_constant", "spin_flip_time", "stationary_state", "validity",
]  # fmt: skip
