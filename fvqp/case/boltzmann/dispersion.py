"""Dispersion of phonons in a case of the transport model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import model_validator
from scipy import constants

from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.quantities import PositiveEnergy
from fvqp.case.tables import Table
from fvqp.collisions.dispersion import Dispersion, Sine, Tabulated, branch
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


class DispersionTable(Table):
    """Speed of phonons as a function of their energy."""

    model: Literal["sine", "table"]
    """``sine``: that of a chain, √(1 − (ω/maximum)²) times the speed of sound; ``table``: that of a file."""
    maximum: PositiveEnergy | None = None
    """Sine: largest energy; default: 2/π of the Debye energy, with which there are as many modes in all as in
    Debye's model."""
    file: Path | None = None
    """Table: CSV file with the columns ``omega_eV,speed_m_per_s``; the first speed is that of sound."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        unused = "file" if self.model == "sine" else "maximum"
        if getattr(self, unused) is not None:
            raise ValueError(f'{unused}: is not used with model = "{self.model}"')
        if self.model == "table" and self.file is None:
            raise ValueError('file: missing: model = "table" needs it')
        return self


class PhononBranch(NamedTuple):
    """Phonons of a medium.

    Attributes:
        modes: over those of Debye's model, 1 or ``(K,)``.
        speed: in m/s, one number or ``(K,)``.
    """

    modes: Floats | float
    speed: Floats | float


def phonon_branch(
    given: DispersionTable | None,
    sound: float,
    grid: EnergyAxis,
    *,
    unit: float,
    own_gap: float,
    debye_energy: float,
    where: str,
) -> PhononBranch:
    """Modes and speeds of the phonon points of a medium.

    Args:
        given: its dispersion, or None.
        sound: speed of sound, m/s; not used by a table.
        grid: energies.
        unit: of energy, joule.
        own_gap: Δ0 of the material, joule.
        debye_energy: of the material, joule; NaN if unknown.
        where: file and key, for messages.
    """
    if given is None:
        return PhononBranch(1.0, sound)
    try:
        dispersion: Dispersion
        if given.model == "sine":
            if given.maximum is not None:
                largest = given.maximum.in_joule(own_gap)
            elif math.isfinite(debye_energy):
                largest = 2.0 / np.pi * debye_energy
            else:
                raise CaseError("maximum: missing: the Debye energy, which it follows from, is not known")
            dispersion = Sine(largest / unit)
        else:
            assert given.file is not None
            columns = ("omega_eV", "speed_m_per_s")
            energies, speeds = read_spectrum(f"{where}.file", given.file, columns, "a speed")
            sound = float(speeds[0])
            dispersion = Tabulated(energies * constants.e / unit, speeds)
        found = branch(grid, dispersion)
    except CaseError as error:
        text = str(error)
        raise CaseError(text if text.startswith(where) else f"{where}: {text}") from None
    return PhononBranch(found.modes, sound * found.speed)
