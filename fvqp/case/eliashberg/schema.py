"""The schema of a case of the Eliashberg model: what can be said, and what cannot be meant."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fvqp.case.interaction import Interaction
from fvqp.case.quantities import AbsoluteEnergy, Number, Temperature
from fvqp.case.tables import AS_LIST, ONCE, Case, Count, FigureTable, Flag, Solver, Table


class EliashbergSweep(Table):
    """Quantities that vary."""

    temperature: Annotated[tuple[Temperature, ...], AS_LIST, ONCE, Field(min_length=1)]
    """Temperatures of electrons and phonons."""


class EliashbergEnergies(Table):
    """The energies at which results are stored; the equations are solved on an axis of their own."""

    maximum: AbsoluteEnergy
    number: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = 2000
    """Bins between 0 and ``maximum``, over which the density of states is averaged."""


class EliashbergSolver(Solver):
    """Solver of the equations."""

    spacing: AbsoluteEnergy | None = None
    """Spacing of the axis; default: from gap, temperature and phonons."""
    tolerance: Annotated[Number, Field(gt=0, lt=1)] = 1e-8
    maximum_iterations: Count = 400
    matsubara: Flag = True
    """Whether the solution on the imaginary axis, continued by Padé, is stored beside."""


class EliashbergFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal["gap_function", "renormalization", "dos", "interaction", "gap"]


class EliashbergCase(Case):
    """A case of the Eliashberg model."""

    UNDECISIVE: ClassVar = {**Case.UNDECISIVE, "solver": {"maximum_iterations", "petsc"}}

    model: Literal["eliashberg"]
    """The equations: Eliashberg theory of strong coupling, on the real axis."""
    interaction: Interaction
    energies: EliashbergEnergies
    sweep: EliashbergSweep
    solver: EliashbergSolver = EliashbergSolver()
    figures: tuple[EliashbergFigure, ...] = ()


CASES = {"eliashberg": EliashbergCase}
