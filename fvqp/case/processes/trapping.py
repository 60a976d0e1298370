"""Traps: quasiparticles are lost at one rate."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.process import ProcessSite, ProcessTable
from fvqp.case.quantities import Frequency
from fvqp.case.scales import Units
from fvqp.collisions import ConstantTrapping


class Trapping(ProcessTable):
    """Quasiparticles are lost at one rate to traps too small for the mesh, down to those of the bath."""

    name = "trapping"
    sink = True

    rate: Frequency

    @property
    def removes(self) -> bool:
        return self.rate > 0.0

    def build(self, site: ProcessSite) -> ConstantTrapping:
        rate = self.rate * site.units.time * site.within
        return ConstantTrapping(site.grid, rate[:, None], site.bath.f[0])

    def rates(self, units: Units) -> Iterator[tuple[str, str, float]]:
        yield "rate", f"{self.rate:.3g} Hz", self.rate
