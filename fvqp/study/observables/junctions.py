"""Gap, spectra and heat of the junctions."""

from __future__ import annotations

import numpy as np

from fvqp.results.observable import Variable
from fvqp.study.observable import UsadelObservable, UsadelRun, UsadelSample
from fvqp.typing import Floats


class UnderJunctions(UsadelObservable):
    """Gap and the spectra that a case asks for, averaged under every junction."""

    name = "gap"

    def applies(self, run: UsadelRun) -> bool:
        return bool(run.device.junctions)

    def variables(self, run: UsadelRun) -> dict[str, Variable]:
        gap = Variable(("junction",), "eV", "pair potential under each junction")
        spectra = {
            run.under_junctions(name): Variable(("junction", "energy"), "1", f"{name} under each junction")
            for name in run.spectra
        }
        return {run.under_junctions("gap"): gap} | spectra

    def values(self, at: UsadelSample) -> dict[str, Floats]:
        return {at.run.under_junctions(name): at.under(name) for name in ("gap", *at.run.spectra)}

    def compute(self, at: UsadelSample) -> Floats:
        return at.under("gap")


class LeadTemperature(UsadelObservable):
    name, dims = "T_lead", ("junction",)

    def applies(self, run: UsadelRun) -> bool:
        return run.device.balances_heat

    def compute(self, at: UsadelSample) -> Floats:
        assert at.solution.leads is not None
        return at.solution.leads


class LeadPower(LeadTemperature):
    name, units = "P_lead", "W"
    long_name = "heat that tunnelling brings to the lead of each junction, NaN without a balance"

    def compute(self, at: UsadelSample) -> Floats:
        balanced = [junction.lead is not None for junction in at.device.junctions]
        return np.where(balanced, at.heat.tunnelled, np.nan)
