"""Traps: quasiparticles are lost at one rate."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.in_time import InTime
from fvqp.case.process import ProcessSite
from fvqp.case.quantities import Frequency
from fvqp.case.scales import Units
from fvqp.collisions import ConstantTrapping
from fvqp.collisions.process import ExternalProcess


class Trapping(InTime):
    """Quasiparticles are lost at one rate to traps too small for the mesh, down to those of the bath."""

    name = "trapping"
    sink = True

    rate: Frequency

    @property
    def removes(self) -> bool:
        return self.rate > 0.0 and not self.time_keys

    def build(self, site: ProcessSite) -> ExternalProcess:
        rate = self.rate * site.units.time * site.within
        trap = ConstantTrapping(site.grid, rate[:, None], site.bath.f[0])
        return self.timed(trap, site.units.time)

    def rates(self, units: Units) -> Iterator[tuple[str, str, float]]:
        yield "rate", f"{self.rate:.3g} Hz", self.rate
