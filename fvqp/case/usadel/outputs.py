"""Tables of a case of the Usadel model that say what is written and drawn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from fvqp.case.quantities import NonNegativeEnergy, Number
from fvqp.case.tables import ONCE, Count, FigureTable, Table
from fvqp.errors import shown

SpectrumName = Literal["dos", "f_L", "f_T"]
SPECTRAL = get_args(SpectrumName)
MAPPED = ("g_nl", "g_ss", "g_sa", "G_inj", "gap")
"""Quantities that a map over both biases can show."""


def _field(name: str) -> str:
    """A name of a field that is registered."""
    # Brings the model, which cases without fields do not need to be read.
    from fvqp.study.observable import UsadelField

    if name not in UsadelField.registry:
        raise ValueError(f"expected one of {', '.join(UsadelField.registry.names)}, got {shown(name)}")
    return name


def has_energies(field: str) -> bool:
    """Return True for a field with an energy axis."""
    from fvqp.study.observable import UsadelField

    return field in UsadelField.registry and "energy" in UsadelField.registry[field].dims


FieldName = Annotated[str, AfterValidator(_field)]


class UsadelOutput(Table):
    """Quantities that are written."""

    SERVING: ClassVar = {"fields": {"field_energies": frozenset(SPECTRAL), "every": frozenset()}}

    fields: Annotated[tuple[FieldName, ...], ONCE] = ("gap", "charge_imbalance")
    """Fields for ParaView."""
    field_energies: Annotated[tuple[NonNegativeEnergy, ...], ONCE] = ()
    """Energies at which f_L, f_T and dos are shown."""
    every: Count = 1
    """Fields are written at every n-th bias."""
    stored: Annotated[tuple[FieldName, ...], ONCE] = ()
    """Variables of every cell (and energy) stored in ``results.nc`` at every sweep point."""
    spectra: Annotated[tuple[SpectrumName, ...], ONCE] = ()
    """Variables stored energy by energy at every junction."""

    @model_validator(mode="after")
    def _energies_used(self) -> UsadelOutput:
        spectral = sorted(name for name in self.fields if has_energies(name))
        if spectral and not self.field_energies:
            raise ValueError(f"field_energies: missing: the energies at which {spectral[0]} is shown")
        if self.field_energies and not spectral:
            raise ValueError(f"field_energies: is not used: fields holds none of {', '.join(SPECTRAL)}")
        return self


class UsadelFigure(FigureTable):
    """A figure of the results folder."""

    kind: Literal[
        "g_ss",
        "g_sa",
        "g_a",
        "g_s",
        "g_nl",
        "gap",
        "local_conductance",
        "supercurrent",
        "spectrum",
        "fields",
        "map",
        "surface",
        "lead_temperature",
    ]
    compare: Literal["analytic", "elastic"] | None = None
    """``analytic``: the closed form of a long wire beside g_ss (Eq. 21); ``elastic``: gap or spectrum without
    collisions, dashed."""
    offset: Number | None = None
    """Vertical distance between successive curves in the unit of the axis; default: none."""
    variable: str | None = None
    """Variable that ``spectrum`` and ``fields`` show; of ``map`` and ``surface`` one of ``g_nl``, ``g_ss``,
    ``g_sa``, ``G_inj``, ``gap``."""
    limit: Annotated[Number, Field(gt=0)] | None = None
    """Largest size of a value with a colour of its own in a ``map`` and in that of ``g_sa``. In SI units."""
    energy: NonNegativeEnergy | None = None
    """At which ``fields`` shows dos, f_L or f_T; default: in a plane 1.05 Δ0, along a line all energies."""

    @model_validator(mode="after")
    def _used(self) -> UsadelFigure:
        if self.compare == "analytic" and self.kind != "g_ss":
            raise ValueError(f'compare: "analytic" belongs to kind = "g_ss", not to "{self.kind}"')
        if self.compare == "elastic" and self.kind not in ("gap", "spectrum"):
            raise ValueError(
                f'compare: "elastic" belongs to kind = "gap" and "spectrum", not to "{self.kind}"'
            )
        maps = ("map", "surface")
        if self.kind in maps and self.variable is not None and self.variable not in MAPPED:
            raise ValueError(f'variable: expected one of {", ".join(MAPPED)}, got "{self.variable}"')
        if self.limit is not None and self.kind not in ("map", "g_sa"):
            raise ValueError(f'limit: belongs to kind = "map" and "g_sa", not to "{self.kind}"')
        if self.energy is not None and not (self.kind == "fields" and self.variable in SPECTRAL):
            raise ValueError('energy: belongs to kind = "fields" with one of dos, f_L, f_T')
        if (self.variable is not None) != (self.kind in ("spectrum", "fields", *maps)):
            raise ValueError(
                "variable: " + ("is not used here" if self.variable else f"missing: what {self.kind} shows")
            )
        return self
