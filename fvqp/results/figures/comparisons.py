"""Figure of a comparison: quantities of two results, or of a result and measured data, over one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.comparison import Comparison, Difference
from fvqp.results.figures import written
from fvqp.results.figures.common import (
    draw_curves,
    draw_legend,
    label_of,
    plain_logarithms,
    said,
    with_prefix,
)

MAX_PANELS = 6
"""Quantities in one figure; the first ones of the table are shown."""
HORIZONTAL = (
    "V_inj",
    "time",
    "strength",
    "phase",
    "frequency",
    "delay",
    "energy",
    "omega",
    "x",
    "radius_cell",
    "temperature",
)
"""Axes that curves run over, the first that there is; otherwise the longest."""
FEW = 4
"""Curves in a panel whose legend finds room in it."""
DECADES = 30.0
"""Ratio of times, all positive but the first, from which on an axis is logarithmic."""


def drawable(comparison: Comparison) -> list[Difference]:
    """Return the quantities that are curves."""
    return [one for one in comparison.differences if _horizontal(one.first)]


def comparison_figure(comparison: Comparison, figure: Figure) -> Figure:
    """Draw the first quantities that are curves into an empty figure.

    Raises:
        FvqpError: none is a curve.
    """
    shown = drawable(comparison)[:MAX_PANELS]
    if not shown:
        raise FvqpError("no quantity is a curve: there is nothing to draw")
    columns = 1 if len(shown) == 1 else 2
    rows = -(-len(shown) // columns)
    figure.set_size_inches(4.6 * columns, 3.0 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.remove()
    for axes, one in zip(panels, shown, strict=False):
        if "point" in one.first.dims:
            _points(axes, one, comparison.names)
        else:
            _curves(axes, one, comparison.names)
        draw_legend(axes, False, None if len(axes.lines) > FEW else "best")
    figure.suptitle(f"lines: {comparison.names[0]}; {_second(shown)}: {comparison.names[1]}", fontsize=9)
    plain_logarithms(figure)
    return figure


def _curves(axes: Axes, one: Difference, names: tuple[str, str]) -> None:
    first, second = one.first, one.second
    x = _horizontal(first)
    others = [str(dim) for dim in first.dims if dim != x and first.sizes[dim] > 1]
    along = max(others, key=lambda dim: first.sizes[dim]) if others else None
    along = along if along in first.coords else None
    later = first[x].values[first[x].values > 0.0]
    log = "x" if x == "time" and later.size and later[-1] > DECADES * later[0] else ""
    scale = draw_curves(axes, first, x, along, log=log)
    if along is None:
        axes.lines[0].set_label(names[0])
    title = axes.get_title()
    draw_curves(axes, second, x, along, None, scale, "k--", names[1], log=log)
    axes.set_title(title, fontsize=8)


def _points(axes: Axes, one: Difference, names: tuple[str, str]) -> None:
    """Measured points, and the result where they are."""
    x = _horizontal(one.first)
    order = np.argsort(one.first[x].values, kind="stable")
    first, second = one.first.isel(point=order), one.second.isel(point=order)
    horizontal, unit = with_prefix(first[x])
    both = xr.concat([first.drop_vars(list(first.coords)), second.drop_vars(list(second.coords))], "side")
    values, value_unit = with_prefix(both.assign_attrs(first.attrs))
    axes.plot(horizontal, values[0], "-", linewidth=1.1, label=names[0])
    axes.plot(horizontal, values[1], "ko", markersize=2.5, label=names[1])
    axes.set(xlabel=label_of(first[x], unit), ylabel=label_of(first, value_unit))
    axes.set_title(said(first), fontsize=8)


def _second(shown: list[Difference]) -> str:
    """Return how the second side is drawn."""
    return "points" if "point" in shown[0].first.dims else "dashed"


def _horizontal(values: xr.DataArray) -> str:
    """Axis that curves run over; empty if there is none."""
    if "point" in values.dims:
        known = [str(name) for name in values.coords if values[name].dims == ("point",)]
        sizes = {name: len(np.unique(values[name].values)) for name in known}
        return max(sizes, key=lambda name: sizes[name]) if sizes else ""
    numeric = [
        str(dim)
        for dim in values.dims
        if values.sizes[dim] > 1
        and dim in values.coords
        and values[dim].dtype.kind in "fiu"
        and dim != "cell"
    ]
    return next((name for name in HORIZONTAL if name in numeric), numeric[-1] if numeric else "")


def draw_comparison(comparison: Comparison, folder: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write the figure of a comparison, ``comparison.png`` or in other formats.

    Returns:
        The files.

    Raises:
        FvqpError: nothing to draw, or no such format.
    """
    return written(lambda figure: comparison_figure(comparison, figure), folder / "comparison.png", formats)
