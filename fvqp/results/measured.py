"""Tables of measured data: reading a CSV file and splitting its conductance into symmetry parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.csv_columns import read_columns
from fvqp.results.dataset import QUANTITIES
from fvqp.results.files import write_text
from fvqp.results.symmetry import SAME, parts_of_variance, symmetric_union, symmetry_parts
from fvqp.typing import Bools, Floats

NEEDED = ("V_inj", "g_nl")
OPTIONAL = ("supercurrent", "V_det")
UNCERTAINTY = "g_nl_error"
"""Column of standard deviations of ``g_nl``, where they are known."""
_UNITS = {"V_inj": "V", "V_det": "V", "supercurrent": "A", "g_nl": "S", UNCERTAINTY: "S"}
PARTS = ("g_nl", "g_s", "g_a", "g_ss", "g_sa")
"""Quantities that can be fitted."""


@dataclass(frozen=True)
class MeasuredPoints:
    """Measured values of a quantity in the units of ``results.nc``.

    Attributes:
        name, units: of the quantity.
        axis: coordinate over which curves run.
        coordinates: name → values ``(n,)`` and attributes of all coordinates of the points.
        value: ``(n,)``.
        error: ``(n,)`` standard deviations, None if they are not known.
    """

    name: str
    units: str
    axis: str
    coordinates: dict[str, tuple[NDArray[Any], dict[str, str]]]
    value: Floats
    error: Floats | None = None

    @property
    def size(self) -> float:
        """Root mean square of the values; 1 if all of them vanish."""
        return float(np.sqrt(np.mean(self.value**2))) or 1.0

    def residual(self, found: Floats) -> Floats:
        """Return ``found`` less the data in units of the standard deviations, or of `size`."""
        return np.asarray((found - self.value) / (self.size if self.error is None else self.error))

    def at(self, name: str) -> Floats | None:
        """Return the values of a coordinate; None where the data have no such column."""
        return self.coordinates[name][0] if name in self.coordinates else None


def read_measured(path: str | Path) -> xr.DataArray:
    """The non-local conductance ``g_nl[(supercurrent), (V_det), V_inj]`` of a CSV file.

    The first line names the columns, with units if they are not V, A and S: ``V_inj (mV), supercurrent (uA),
    g_nl (nS)``; ``V_inj`` and ``g_nl`` are needed, ``supercurrent`` and ``V_det`` used if there, other
    columns ignored; lines that start with ``#`` are comments. Repeated points are averaged. Every curve may
    have its own biases: all are interpolated linearly to one symmetric set of them, over the range that all
    cover.

    Raises :class:`FvqpError` with file, line and reason.
    """
    path = Path(path)
    columns = read_columns(path, _UNITS, NEEDED)
    keys = [name for name in OPTIONAL if name in columns]
    axes, labels = [], np.zeros(len(columns["V_inj"]), dtype=np.intp)
    for name in keys:
        values, index = _distinct(columns[name])
        axes.append(values)
        labels = labels * len(values) + index
    curves = [_curve(columns, labels == label) for label in range(int(np.prod([len(axis) for axis in axes])))]
    for number, (bias, _) in enumerate(curves):
        if len(bias) < 2:
            at = np.unravel_index(number, [len(axis) for axis in axes]) if axes else ()
            where = ", ".join(f"{name} = {axis[i]:g}" for name, axis, i in zip(keys, axes, at, strict=True))
            raise FvqpError(
                f"{path}: {len(bias)} biases V_inj{' at ' if where else ''}{where}; at least 2 are needed"
            )
    reach = min(min(bias[-1], -bias[0]) for bias, _ in curves)
    if not reach > 0:
        raise FvqpError(
            f"{path}: V_inj must run over both signs in every curve, for parts even and odd in it"
        )
    grid = symmetric_union([bias for bias, _ in curves], reach)
    table = np.array([np.interp(grid, bias, g) for bias, g in curves])
    return xr.DataArray(
        table.reshape(*(len(axis) for axis in axes), len(grid)),
        dims=(*keys, "V_inj"),
        coords={
            name: (name, axis, QUANTITIES[name]._asdict())
            for name, axis in zip((*keys, "V_inj"), (*axes, grid), strict=True)
        },
        name="g_nl",
        attrs=QUANTITIES["g_nl"]._asdict(),
    )


def read_points(path: str | Path) -> dict[str, Floats]:
    """The points of a CSV file as they are: columns ``V_inj``, ``g_nl`` and, where given, ``supercurrent``,
    ``V_det``, ``g_nl_error`` (standard deviation), in SI units.

    Raises :class:`FvqpError` with file, line and reason.
    """
    path = Path(path)
    columns = read_columns(path, _UNITS, NEEDED)
    errors = columns.get(UNCERTAINTY)
    if errors is not None and not np.all(errors > 0.0):
        raise FvqpError(f"{path}: {UNCERTAINTY}: a standard deviation must be positive")
    return columns


def measured_parts(path: str | Path) -> xr.Dataset:
    """``g_nl`` and its parts ``g_s``, ``g_a``, ``g_ss``, ``g_sa`` (Eqs. 16-19) of a CSV file of measured
    data.

    Raises :class:`FvqpError` as :func:`read_measured` and :func:`~fvqp.results.symmetry.symmetry_parts` do.
    """
    g_nl = read_measured(path)
    try:
        parts = symmetry_parts(g_nl)
    except FvqpError as error:
        raise FvqpError(f"{path}: {error}") from None
    return parts


def errors_of_parts(path: str | Path) -> xr.Dataset:
    """Standard deviations of the parts of a CSV file (`measured_parts`) whose points have their own.

    Errors of points are independent of one another. Parts that vanish whatever was measured, as ``g_sa``
    without bias, have none.

    Raises :class:`FvqpError` if the parts are of interpolated points, whose errors are not independent.
    """
    columns, parts = read_points(path), measured_parts(path)
    g_nl = read_measured(path)
    index, inside = [], np.ones(len(columns["V_inj"]), dtype=bool)
    for name in map(str, g_nl.dims):
        axis, values = g_nl[name].values, columns[name]
        nearest = np.abs(values[:, None] - axis).argmin(axis=1)
        there = np.abs(values - axis[nearest]) <= SAME * np.abs(axis).max()
        inside &= there | (np.abs(values) > np.abs(axis).max())
        index.append(np.where(there, nearest, -1))
    used = np.all(np.array(index) >= 0, axis=0)
    places = tuple(np.array(index)[:, used])
    count, squares = np.zeros(g_nl.shape), np.zeros(g_nl.shape)
    np.add.at(count, places, 1.0)
    np.add.at(squares, places, columns[UNCERTAINTY][used] ** 2)
    same = all(np.array_equal(parts[name], g_nl[name]) for name in g_nl.dims)
    if not (same and inside.all() and count.all()):
        raise FvqpError(
            f"{path}: {UNCERTAINTY}: parts of interpolated points have no independent errors; give every "
            "curve the same biases and supercurrents of both signs, or leave the column out"
        )
    return np.sqrt(parts_of_variance(g_nl.copy(data=squares / count**2)))


def conductance_points(
    path: str | Path, part: str, window: tuple[float, float] | None = None
) -> MeasuredPoints:
    """The points of a CSV file that a fit to a non-local conductance is to.

    Args:
        path: columns ``V_inj``, ``g_nl``, and ``V_det``, ``supercurrent``, ``g_nl_error`` where there are.
        part: ``g_nl`` takes the points as they are; other parts are formed first (`measured_parts`), and of
            the points that are images of one another one is taken.
        window: smallest and largest \\|V_inj\\|, volt.

    Raises:
        FvqpError: no such part, nothing in the window, or what reading raises.
    """
    if part not in PARTS:
        raise FvqpError(f'part: expected one of {", ".join(PARTS)}, got "{part}"')
    if part == "g_nl":
        columns = read_points(path)
        columns["value"] = columns.pop("g_nl")
    else:
        parts = measured_parts(path)
        if part not in parts:
            raise FvqpError(f"{path}: {part} needs both signs of the supercurrent in the data")
        table = xr.Dataset({"value": parts[part]})
        if UNCERTAINTY in read_points(path):
            table[UNCERTAINTY] = errors_of_parts(path)[part]
        frame = table.to_dataframe().reset_index()
        columns = {str(name): frame[name].to_numpy(dtype=float) for name in frame.columns}
        keep = np.ones(len(frame), dtype=bool)
        # Odd parts vanish at zero whatever was measured: that is no point.
        if part in ("g_ss", "g_sa"):
            keep &= columns["V_inj"] > 0.0 if part == "g_sa" else columns["V_inj"] >= 0.0
        if "supercurrent" in columns:
            keep &= columns["supercurrent"] > 0.0 if part == "g_a" else columns["supercurrent"] >= 0.0
        columns = {name: values[keep] for name, values in columns.items()}
    if window is not None:
        size = np.abs(columns["V_inj"])
        inside = (size >= window[0]) & (size <= window[1])
        if not inside.any():
            raise FvqpError(
                f"{path}: no point has |V_inj| between {window[0]:g} and {window[1]:g} V (they reach from "
                f"{size.min():g} to {size.max():g} V)"
            )
        columns = {name: values[inside] for name, values in columns.items()}
    places = ("V_inj", "V_det", "supercurrent")
    return MeasuredPoints(
        part,
        "S",
        "V_inj",
        {name: (columns[name], QUANTITIES[name]._asdict()) for name in places if name in columns},
        columns["value"],
        columns.get(UNCERTAINTY),
    )


def write_parts(parts: xr.Dataset, path: str | Path) -> None:
    """Writes the parts as CSV: one line a point, the coordinates first, units in the header."""
    frame = parts.to_dataframe().reset_index()
    names = [f"{name} ({parts[name].attrs['units']})" for name in frame.columns]
    lines = [",".join(names), *(",".join(repr(float(v)) for v in row) for row in frame.to_numpy())]
    write_text(Path(path), "\n".join(lines) + "\n")


def _distinct(values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Distinct values up to round-off, ascending, and for every value the number of its distinct one."""
    ordered = np.unique(values)
    gaps = np.diff(ordered) > SAME * np.abs(ordered).max()
    distinct = ordered[np.concatenate([[True], gaps])]
    return distinct, np.maximum(np.searchsorted(distinct, values, side="right") - 1, 0)


def _curve(columns: dict[str, Floats], chosen: Bools) -> tuple[Floats, Floats]:
    """Biases of one curve, ascending, and its conductance, repeated biases averaged."""
    if not chosen.any():
        return np.empty(0), np.empty(0)
    bias, index = _distinct(columns["V_inj"][chosen])
    return bias, np.bincount(index, columns["g_nl"][chosen]) / np.bincount(index)
