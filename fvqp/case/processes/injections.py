"""Injections: quasiparticles or phonons from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import model_validator
from scipy import constants

from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.in_time import InTime
from fvqp.case.process import ProcessSite
from fvqp.case.quantities import EnergyFunction, PositiveEnergy, Power, PowerDensity
from fvqp.case.scales import Units
from fvqp.case.space import InSpace
from fvqp.collisions import PhononInjection, QuasiparticleInjection
from fvqp.collisions.process import ExternalProcess
from fvqp.collisions.sources import Gaussian, InjectedSpectrum, SpectrumFunction, TabulatedSpectrum
from fvqp.errors import CaseError
from fvqp.expressions import Expression, amounts


class Injection(InSpace, InTime):
    """Quasiparticles or phonons from outside: a Gaussian in energy, a function, or a spectrum from a file."""

    name = "injections"

    of: Literal["quasiparticles", "phonons"] = "quasiparticles"
    centre: PositiveEnergy | None = None
    width: PositiveEnergy | None = None
    """Standard deviation of the energy; narrow ones fall into one bin."""
    file: Path | None = None
    """In place of ``centre`` and ``width``: CSV table with columns ``energy_eV`` and ``particles``, their
    number by energy in any unit, linear between the rows."""
    spectrum: EnergyFunction | None = None
    """In place of `centre` and `width`: number of particles by energy as a function of the energy E, such as
    ``"(E > 0.3 meV)*exp(-E/(0.1 meV))"``; not negative, and 0 where there are no states."""
    power: PowerDensity | None = None
    """By volume, at the centre in space."""
    total_power: Power | None = None
    """Power of the whole injection, in place of `power`; in bodies with a volume."""

    @model_validator(mode="after")
    def _one_power(self) -> Self:
        if (self.power is None) == (self.total_power is None):
            both = "" if self.power is None else ", not both"
            raise ValueError(f"give either power or total_power{both}")
        return self

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        if self.file is not None and self.spectrum is not None:
            raise ValueError("spectrum: is not used: the spectrum comes from a file")
        if self.file is not None or self.spectrum is not None:
            origin = "comes from a file" if self.file is not None else "is a function"
            for key in ("centre", "width"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is not used: the spectrum {origin}")
            return self
        for key in ("centre", "width"):
            if getattr(self, key) is None:
                raise ValueError(f"{key}: missing: give centre and width, spectrum, or file")
        return self

    @property
    def species(self) -> Literal["quasiparticles", "phonons"]:
        return self.of

    @property
    def given_power(self) -> str:
        if self.time_keys:
            return ""
        return "power" if self.power else "total_power" if self.total_power else ""

    def build(self, site: ProcessSite) -> ExternalProcess:
        spectrum, power = self._spectrum(site.units.energy), site.power(self._density(site.volume))
        if self.of == "phonons":
            made = PhononInjection(site.grid, site.coupling, spectrum, power=power, modes=site.modes)
            return self.timed(made, site.units.time)
        source = QuasiparticleInjection(site.grid, spectrum, power=power)
        # Raises what is wrong with the spectrum; later there is none but a smaller gap.
        cells, grid = len(site.within), site.grid
        source.at(site.bin_weights(), np.zeros((cells, grid.n)), np.zeros((cells, grid.n_phonon)))
        return self.timed(source, site.units.time)

    def rates(self, units: Units) -> Iterator[tuple[str, str, float]]:
        if self.power is not None:
            yield "power", f"{self.power:.3g} W/m^3", self.power / units.power_density / units.time

    def _density(self, volume: float | None) -> float:
        """Return the power by volume at the centre, W/m³."""
        if self.power is not None:
            return self.power
        assert self.total_power is not None
        if volume is None:
            raise CaseError("total_power: the volume is not known; give power, or cross_section on a mesh")
        return self.total_power / volume

    def _spectrum(self, delta0: float) -> InjectedSpectrum:
        """Return the distribution of the particles in energy; ``delta0`` in joule."""
        if self.file is not None:
            energies, particles = read_spectrum("file", self.file, ("energy_eV", "particles"), "a number")
            return TabulatedSpectrum(energies * constants.e / delta0, particles)
        if self.spectrum is not None:
            function, unit = Expression(self.spectrum, ("E",)), delta0 / constants.e
            return SpectrumFunction(lambda energies: amounts(function, "spectrum", E=energies * unit))
        assert self.centre is not None and self.width is not None
        return Gaussian(self.centre.in_delta0(delta0), self.width.in_delta0(delta0))
