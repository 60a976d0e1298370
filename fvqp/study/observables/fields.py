"""Fields of the cells, which a case names in ``output.fields`` and ``output.stored``."""

from __future__ import annotations

import numpy as np
from scipy import constants

from fvqp.models.usadel.kinetics import L, T
from fvqp.study.observable import UsadelField, UsadelSample
from fvqp.typing import Floats


class PairPotential(UsadelField):
    name, dims = "gap", ("cell",)

    def compute(self, at: UsadelSample) -> Floats:
        material = at.device.material
        return np.broadcast_to(at.solution.spectral.gap * material.gap / constants.e, (at.n_cells,)).copy()


class ChargePotential(UsadelField):
    name, units, long_name, dims = "mu_Q", "V", "quasiparticle potential mu_Q*", ("cell",)

    def compute(self, at: UsadelSample) -> Floats:
        return at.problem.charge_potential(at.solution)


class ChargeImbalance(UsadelField):
    name, units, dims = "charge_imbalance", "C m-3", ("cell",)
    long_name = "quasiparticle charge density Q*"

    def compute(self, at: UsadelSample) -> Floats:
        return at.problem.charge_imbalance(at.solution)


class DensityOfStates(UsadelField):
    name, dims = "dos", ("cell", "energy")

    def compute(self, at: UsadelSample) -> Floats:
        dos = at.problem.kinetics.spectrum(at.solution.spectral).dos
        return np.broadcast_to(dos, (at.n_cells, dos.shape[1])).copy()


class EnergyMode(UsadelField):
    name, dims = "f_L", ("cell", "energy")

    def compute(self, at: UsadelSample) -> Floats:
        return at.problem.distribution(at.solution, L)


class ChargeMode(UsadelField):
    name, dims = "f_T", ("cell", "energy")

    def compute(self, at: UsadelSample) -> Floats:
        return at.problem.distribution(at.solution, T)
