"""Currents of junctions and reservoirs, and their derivatives by the bias."""

from __future__ import annotations

from abc import abstractmethod

from fvqp.results.observable import Variable
from fvqp.study.observable import UsadelObservable, UsadelRun, UsadelSample
from fvqp.typing import Floats


class ReservoirCurrents(UsadelObservable):
    name, dims = "I_reservoir", ("reservoir",)

    def applies(self, run: UsadelRun) -> bool:
        return run.driving

    def compute(self, at: UsadelSample) -> Floats:
        return at.problem.reservoir_currents(at.solution.kinetic.currents)


class InjectorCurrent(UsadelObservable):
    name = "I_inj"

    def applies(self, run: UsadelRun) -> bool:
        return bool(run.injectors)

    def compute(self, at: UsadelSample) -> float:
        return float(at.currents[at.run.injectors].sum())


class LocalConductance(InjectorCurrent):
    name = "G_inj"

    def compute(self, at: UsadelSample) -> float:
        return float(at.slopes[at.run.injectors].sum())


class _OfDetectors(UsadelObservable):
    """A variable for every detector; those after the first have its name at their end."""

    of_others: str

    def variables(self, run: UsadelRun) -> dict[str, Variable]:
        units, first = self.quantity()
        return {
            f"{self.name}{suffix}": Variable((), units, f"{self.of_others} {suffix[1:]}" if suffix else first)
            for suffix in run.detectors.values()
        }

    def values(self, at: UsadelSample) -> dict[str, float]:
        # Out of the superconductor, through the detector.
        found = -self.compute(at)
        return {f"{self.name}{suffix}": float(found[n]) for n, suffix in at.run.detectors.items()}

    @abstractmethod
    def compute(self, at: UsadelSample) -> Floats:
        """Return values of all junctions, into the device."""


class DetectorCurrents(_OfDetectors):
    name, of_others = "I_det", "current of detector"

    def compute(self, at: UsadelSample) -> Floats:
        return at.currents


class NonlocalConductances(_OfDetectors):
    name, of_others = "g_nl", "non-local conductance dI_det/dV_inj of detector"

    def compute(self, at: UsadelSample) -> Floats:
        return at.slopes


class CondensateCurrent(UsadelObservable):
    name = "I_s"

    def applies(self, run: UsadelRun) -> bool:
        return run.has_phase

    def compute(self, at: UsadelSample) -> float:
        return at.solution.phase.current if at.solution.phase is not None else float("nan")
