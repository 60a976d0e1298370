"""The schema of a case of the Eliashberg model: what can be said, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fvqp.case.quantities import Energy, NotNegative, Number, Positive, Temperature
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, Flag, Name, Table
from fvqp.errors import CaseError


class Interaction(Table):
    """The electron-phonon interaction α²F(Ω), and the Coulomb repulsion."""

    metal: Name | None = None
    """A model spectrum: Al, Sn, Pb or Nb."""
    coupling: Annotated[Number, Positive] | None = None
    """λ: of a Debye-like spectrum α²F = λ (Ω/Ω_D)²; one from a file or of a metal is scaled to it."""
    debye_energy: Energy | None = None
    """Ω_D of a Debye-like spectrum."""
    file: Path | None = None
    """Two columns, Ω in meV and α²F."""
    coulomb: Annotated[Number, NotNegative] | None = None
    """μ*; default: that of the metal, otherwise 0."""
    critical_temperature: Temperature | None = None
    """Chooses μ* such that superconductivity ends here, in place of ``coulomb``."""
    cutoff: Energy | None = None
    """Of the Coulomb repulsion; default: six times the largest phonon energy."""

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        ways = [key for key in ("metal", "debye_energy", "file") if getattr(self, key) is not None]
        if len(ways) != 1:
            raise ValueError("give one of metal, debye_energy (with coupling), file")
        if self.debye_energy is not None and self.coupling is None:
            raise ValueError("coupling: missing: a Debye-like spectrum needs it")
        if self.coulomb is not None and self.critical_temperature is not None:
            raise ValueError("critical_temperature: chooses coulomb; give one of them")
        for key in ("debye_energy", "cutoff"):
            value = getattr(self, key)
            if value is not None and (value.relative or not value.value > 0):
                raise ValueError(
                    f'{key}: expected a positive energy such as "30 meV", not in units of the gap'
                )
        return self


class Sweep(Table):
    """What is varied."""

    temperature: Annotated[tuple[Temperature, ...], AS_LIST, ONCE, Field(min_length=1)]
    """Temperatures of electrons and phonons."""


class Energies(Table):
    """The energies at which results are stored; the equations are solved on an axis of their own."""

    maximum: Energy
    number: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = 2000
    """Bins between 0 and ``maximum``, over which the density of states is averaged."""

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        if self.maximum.relative or not self.maximum.value > 0:
            raise ValueError('maximum: expected a positive energy such as "30 meV", not in units of the gap')
        return self


class Solver(Table):
    """How the equations are solved."""

    spacing: Energy | None = None
    """Of the axis; default: from gap, temperature and phonons."""
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-8
    maximum_iterations: Count = 400
    matsubara: Flag = True
    """Whether the solution on the imaginary axis, continued by Padé, is stored beside."""

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        if self.spacing is not None and (self.spacing.relative or not self.spacing.value > 0):
            raise ValueError('spacing: expected a positive energy such as "10 ueV", not in units of the gap')
        return self


class Figure(Table):
    """A figure of the results folder."""

    kind: Literal["gap_function", "renormalization", "dos", "interaction", "gap"]
    file: Annotated[str, Field(pattern=r"^[\w.-]+\.(png|pdf|svg)$")] | None = None
    """File name in ``figures/``; default: the kind, as PNG."""
    title: str | None = None


class EliashbergCase(Case):
    """A case of the Eliashberg model."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": {"maximum_iterations"}}

    model: Literal["eliashberg"]
    """The equations: Eliashberg theory of strong coupling, on the real axis."""
    interaction: Interaction
    energies: Energies
    sweep: Sweep
    solver: Solver = Solver()
    figures: tuple[Figure, ...] = ()

    def located(self, source: str, folder: Path) -> Self:
        name = self.interaction.file
        if name is None:
            return super().located(source, folder)
        file = (folder / name).resolve()
        if not file.is_file():
            raise CaseError(f"{source}: interaction.file: no such file: {file}")
        interaction = self.interaction.model_copy(update={"file": file})
        return super(EliashbergCase, self.model_copy(update={"interaction": interaction})).located(
            source, folder
        )


CASE = EliashbergCase
