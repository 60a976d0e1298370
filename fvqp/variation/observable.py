"""A quantity of a result at a place: ``g_nl``, ``x_qp[time=1 us]``, ``gap[V_inj=0.2 mV, x=1 um]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fvqp.errors import CaseError, FvqpError
from fvqp.results.comparison import along_line, same_axis
from fvqp.typing import Floats
from fvqp.units import to_float
from fvqp.variation.gathering import quantities

_TEXT = re.compile(r"\s*(\w+)\s*(?:\[(.*)\])?\s*")
END = "end"
"""Place at the end of an axis."""


@dataclass(frozen=True)
class ObservableAt:
    """A quantity with the places along some of its axes.

    Attributes:
        name: of the quantity, as in ``results.nc``, or a peak or time constant of densities.
        places: axis → place as text with its unit, or ``end``.
    """

    name: str
    places: dict[str, str]

    @classmethod
    def of(cls, text: str) -> ObservableAt:
        """Return the quantity of a text; raises `CaseError` if it is none."""
        match = _TEXT.fullmatch(text)
        parts = [part for part in (match[2] or "").split(",") if part.strip()] if match else []
        if match is None or not all("=" in part for part in parts):
            raise CaseError(f"--for {text}: expected a quantity such as g_nl, x_qp[time=1 us] or gap[x=2 um]")
        pairs = (part.partition("=") for part in parts)
        return cls(match[1], {axis.strip(): place.strip() for axis, _, place in pairs})

    def __str__(self) -> str:
        places = ", ".join(f"{axis}={place}" for axis, place in self.places.items())
        return f"{self.name}[{places}]" if places else self.name

    def value(self, dataset: xr.Dataset) -> xr.DataArray:
        """Return the values in a result: a number, or a curve over the axes without a place.

        Between points it is interpolated linearly; cells of a straight line have an axis ``x``, shells
        ``radius_cell``.

        Raises:
            FvqpError: no such quantity, axis or place.
        """
        known = quantities(dataset)
        if self.name not in known:
            names = ", ".join(map(str, known.data_vars))
            raise FvqpError(f"--for {self}: the results hold no {self.name}; they hold: {names}")
        found = along_line(known[self.name])
        for axis, place in self.places.items():
            if axis not in found.dims:
                axes = ", ".join(map(str, found.dims)) or "none"
                raise FvqpError(f"--for {self}: {self.name} has no axis {axis}; it has: {axes}")
            values = found[axis].values
            if values.dtype.kind not in "fiu":
                if place not in values.astype(str):
                    raise FvqpError(f"--for {self}: {axis} is one of {', '.join(values.astype(str))}")
                found = found.isel({axis: int(np.flatnonzero(values.astype(str) == place)[0])})
                continue
            if place == END:
                found = found.isel({axis: -1})
                continue
            unit = str(found[axis].attrs.get("units", "1"))
            at = float(place) if unit == "1" else to_float(place, unit, what=axis)
            low, high = float(values.min()), float(values.max())
            if not low <= at <= high:
                raise FvqpError(f"--for {self}: {axis} reaches from {low:g} to {high:g} {unit}")
            found = found.sortby(axis).interp({axis: at})
        if not np.isfinite(found.values).all():
            raise FvqpError(f"--for {self}: not a finite number everywhere")
        return found


def table_of(observable: ObservableAt, results: list[xr.DataArray]) -> Floats:
    """Return values of several results ``(n, values)``.

    Raises:
        FvqpError: their axes differ.
    """
    first = results[0]
    for one in results[1:]:
        for dim in map(str, first.dims):
            if not same_axis(first, one, dim):
                raise FvqpError(
                    f"--for {observable}: values along {dim} differ from run to run; name a place, such as "
                    f'"{observable.name}[{dim}=...]"'
                )
    return np.array([np.atleast_1d(one.values).ravel() for one in results], dtype=float)
