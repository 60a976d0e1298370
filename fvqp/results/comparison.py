"""Comparison of two results, or of a result and a table of measured data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from fvqp.errors import FvqpError
from fvqp.results.csv_columns import read_columns
from fvqp.results.dataset import ABOUT_RUNS, Outcome
from fvqp.results.result import open_result
from fvqp.texts import by_reason, columns

SAME = 1e-10
"""Relative difference of places that are the same."""
CELLS = ("x", "y", "z")


@dataclass(frozen=True)
class Difference:
    """A quantity that both sides hold.

    Attributes:
        name, units: of the quantity.
        largest, rms: difference of the second from the first, at points that both have.
        size: largest size of the first one there.
        points: number of points.
        how: "same points", or along which axes the second is interpolated linearly.
        first, second: values at the points, with the axes of the first.
    """

    name: str
    units: str
    largest: float
    rms: float
    size: float
    points: int
    how: str
    first: xr.DataArray
    second: xr.DataArray


@dataclass(frozen=True)
class Comparison:
    """Differences of two results.

    Attributes:
        names: of the two sides.
        differences: of the quantities that both hold.
        left_out: quantity → reason why it cannot be compared.
    """

    names: tuple[str, str]
    differences: list[Difference]
    left_out: dict[str, str]

    def __str__(self) -> str:
        head = ("quantity", "units", "size", "largest difference", "rms", "relative", "points", "compared at")
        lines = [head]
        for one in self.differences:
            relative = f"{one.largest / one.size:.2e}" if one.size > 0.0 else ""
            numbers = f"{one.size:.5g}", f"{one.largest:.3g}", f"{one.rms:.3g}", relative, str(one.points)
            lines.append((one.name, one.units, *numbers, one.how))
        notes = by_reason(self.left_out, "not compared")
        return "\n".join([f"{self.names[1]} less {self.names[0]}", columns(lines), *notes])


def compare(first: str | Path, second: str | Path, names: Sequence[str] = ()) -> Comparison:
    """Compare a result with another one, or with measured data.

    Args:
        first: results folder.
        second: results folder, or a CSV file (`compared_with_data`).
        names: quantities; default: all that both hold (`compared`).

    Returns:
        Differences of the second from the first; as text a table.

    Raises:
        FvqpError: no results, no data, or nothing in common.
    """
    one, labels = open_result(first).dataset, _labels(Path(first), Path(second))
    if Path(second).suffix.lower() == ".csv":
        return compared_with_data(one, second, labels[0], names)
    return compared(one, open_result(second).dataset, labels, names)


def _labels(first: Path, second: Path) -> tuple[str, str]:
    """Names of folders, as long as it takes to tell them apart."""
    if first.name != second.name:
        return first.name, second.name
    return str(first), str(second)


def compared(
    first: xr.Dataset, second: xr.Dataset, labels: tuple[str, str], names: Sequence[str] = ()
) -> Comparison:
    """Compare the quantities that two results hold.

    Where an axis has other values in the second one, that is interpolated linearly to those of the first,
    over the range of both. Cells are compared if they have the same centres; those of lines, and
    shells, are interpolated too.

    Args:
        first, second: results.
        labels: what they are called.
        names: quantities; default: all.

    Raises:
        FvqpError: they have nothing in common, or not what is asked for.
    """
    both = [str(name) for name in first.data_vars if name in second.data_vars and name not in ABOUT_RUNS]
    both = [name for name in both if not name.startswith("ledger_") and first[name].dtype.kind in "fiu"]
    for name in names:
        if name not in both:
            raise FvqpError(
                f"{labels[0]} and {labels[1]} do not both hold {name}; both hold: {_listed(both)}"
            )
    if not both:
        raise FvqpError(f"{labels[0]} and {labels[1]} hold no quantity in common")
    first, second = _computed(first), _computed(second)
    differences, left_out = [], {}
    for name in names or both:
        found = _difference(first[name], second[name])
        if isinstance(found, str):
            left_out[name] = found
        else:
            differences.append(found)
    if names and left_out:
        raise FvqpError("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    return Comparison(labels, differences, left_out)


def compared_with_data(
    result: xr.Dataset, path: str | Path, label: str, names: Sequence[str] = ()
) -> Comparison:
    """Compare a result with the table of a CSV file, whose columns are called as in the result.

    The first line names the columns, with units if they are not those of the result:
    ``V_inj (mV), g_nl (nS)``. Columns that are axes of the result say where a point is; the result is
    interpolated linearly to there, points beyond its range are left out. Other axes of the result must have
    one value. Lines that start with ``#`` are comments.

    Raises:
        FvqpError: no such file, no numbers, no column in common.
    """
    path = Path(path)
    result = _computed(result).squeeze(drop=True)
    columns = read_columns(
        path, {str(name): str(one.attrs.get("units", "1")) for name, one in result.variables.items()}
    )
    axes = [name for name in columns if name in result.dims]
    wanted = names or [name for name in columns if name in result.data_vars]
    if not wanted:
        raise FvqpError(
            f"{path}: no column is called as a quantity of {label}; it holds: "
            f"{_listed(map(str, result.data_vars))}"
        )
    differences, left_out = [], {}
    for name in wanted:
        if name not in columns or name not in result.data_vars:
            raise FvqpError(f"{path} and {label} do not both hold {name}")
        values = result[name]
        missing = [str(dim) for dim in values.dims if dim not in axes]
        if missing:
            left_out[name] = f"the data have no column {missing[0]}, of which the result has several values"
            continue
        places = {
            dim: xr.DataArray(columns[str(dim)], dims="point", attrs=values[dim].attrs) for dim in values.dims
        }
        there = values.sortby(list(map(str, values.dims))).interp(places, method="linear")
        measured = xr.DataArray(columns[name], dims="point", name=name, attrs=values.attrs)
        measured = measured.assign_coords({str(dim): places[dim] for dim in values.dims})
        how = f"points of the data, linear in {', '.join(map(str, values.dims))}"
        differences.append(_of(there.assign_coords(measured.coords), measured, how))
    if not differences:
        raise FvqpError(f"{path}: " + "; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return Comparison((label, path.name), differences, left_out)


def _computed(dataset: xr.Dataset) -> xr.Dataset:
    """Values that were not computed are NaN already; outcomes of other kinds too."""
    if "outcome" not in dataset:
        return dataset
    return dataset.where(dataset["outcome"] == Outcome.SOLVED) if dataset["outcome"].ndim else dataset


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")


def _difference(first: xr.DataArray, second: xr.DataArray) -> Difference | str:
    """The difference of a quantity, or the reason why it cannot be formed."""
    first, second = along_line(first), along_line(second)
    if set(first.dims) != set(second.dims):
        both = (", ".join(map(str, one.dims)) or "none" for one in (first, second))
        return f"the axes are {' and '.join(both)}"
    places, moved = {}, []
    for dim in map(str, first.dims):
        if same_axis(first, second, dim):
            continue
        if dim == "cell":
            return "the cells are not the same"
        if dim not in first.coords or dim not in second.coords or first[dim].dtype.kind not in "fiu":
            return f"values of {dim} differ, and are no numbers"
        if min(first.sizes[dim], second.sizes[dim]) < 2:
            if first.sizes[dim] == second.sizes[dim]:
                # One value each, such as a temperature: that is what differs.
                second = second.assign_coords({dim: first[dim].values})
                moved.append(f"one {dim} each")
                continue
            return f"only one of the two has several values of {dim}"
        low = max(float(one[dim].min()) for one in (first, second))
        high = min(float(one[dim].max()) for one in (first, second))
        keep = (first[dim].values >= low) & (first[dim].values <= high)
        if not keep.any():
            return f"the ranges of {dim} have nothing in common"
        first = first.isel({dim: np.flatnonzero(keep)})
        places[dim] = first[dim].values
        moved.append(f"linear in {dim}")
    if places:
        second = second.sortby(list(places)).interp(places, method="linear")
    second = second.transpose(*first.dims)
    second = second.drop_vars([name for name in second.coords]).assign_coords(
        {dim: first[dim] for dim in first.dims if dim in first.coords}
    )
    if not np.isfinite(first.values - second.values).any():
        return "no point is finite in both"
    return _of(first, second, ", ".join(moved) or "same points")


def _of(first: xr.DataArray, second: xr.DataArray, how: str) -> Difference:
    apart = second.values - first.values
    there = np.isfinite(apart)
    if not there.any():
        raise FvqpError(f"{first.name}: no point of one lies in the range of the other")
    return Difference(
        name=str(first.name),
        units=str(first.attrs.get("units", "1")),
        largest=float(np.abs(apart[there]).max()),
        rms=float(np.sqrt(np.mean(apart[there] ** 2))),
        size=float(np.abs(first.values[there]).max()),
        points=int(there.sum()),
        how=how,
        first=first,
        second=second,
    )


def same_axis(first: xr.DataArray, second: xr.DataArray, dim: str) -> bool:
    """Return whether two quantities have the same values of an axis, or the same centres of cells."""
    if dim not in second.dims or first.sizes[dim] != second.sizes[dim]:
        return False
    for name in CELLS if dim == "cell" else (dim,):
        if (name in first.coords) != (name in second.coords):
            return False
        if name not in first.coords:
            continue
        one, other = first[name].values, second[name].values
        if one.dtype.kind not in "fiu":
            if not np.array_equal(one, other):
                return False
        elif not np.allclose(one, other, rtol=SAME, atol=SAME * np.abs(one).max(initial=0.0)):
            return False
    return True


def along_line(values: xr.DataArray) -> xr.DataArray:
    """Return values over x instead of cells where these lie in a straight line along x; over the radius in
    shells."""
    if "cell" not in values.dims:
        return values
    others = [name for name in values.coords if name != "cell" and values[name].dims == ("cell",)]
    if "radius_cell" in others:
        axis = "radius_cell"
    elif all(name in others for name in CELLS):
        x, *across = (values[name].values for name in CELLS)
        if len(x) < 2 or len(np.unique(x)) < len(x) or any(np.ptp(one) > 0.0 for one in across):
            return values
        axis = "x"
    else:
        return values
    dropped = [name for name in ("cell", *others) if name != axis and name in values.coords]
    return values.swap_dims(cell=axis).drop_vars(dropped).sortby(axis)
