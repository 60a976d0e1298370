"""Numbers of a figure as a table, whatever draws it: a row a point of a curve, or a cell of a map."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fvqp.results.figures.common import shown_by
from fvqp.typing import Floats

COLUMNS = ("panel", "curve", "label", "x_name", "x", "y_name", "y", "y_error", "value_name", "value")
"""Panels and curves are numbered from 1; maps have a value at every place, and no curve."""
_MARKUP = re.compile(r"\\mathrm|[${}\\]")

CELLS = (PathCollection, PolyCollection, LineCollection)
"""Artists of maps of cells."""

Row = tuple[str | float, ...]


def numbers(figure: Figure) -> str:
    """Return the numbers of a figure as CSV, in the units of its axes."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    panels = [axes for axes in figure.axes if not hasattr(axes, "_colorbar")]
    for number, axes in enumerate(panels, 1):
        for row in _rows(axes):
            table.writerow((number, *(f"{cell:.10g}" if isinstance(cell, float) else cell for cell in row)))
    return text.getvalue()


def plain(text: str) -> str:
    """Return a label without the markup of formulas: "V_inj (mV)"."""
    return _MARKUP.sub("", text.replace("\\,", " ")).strip()


def _rows(axes: Axes) -> Iterator[Row]:
    names = plain(axes.get_xlabel()), plain(axes.get_ylabel())
    bars = {one.lines[0]: one for one in axes.containers if isinstance(one, ErrorbarContainer)}
    # Lines across the whole panel, and those that a legend alone shows, are no data.
    curves = [one for one in axes.lines if one.get_transform() == axes.transData and len(_xy(one))]
    for number, line in enumerate([] if axes.name == "3d" else curves, 1):
        bar = bars.get(line)
        label = str((bar or line).get_label())
        label = "" if label.startswith("_") else plain(label)
        errors = _heights(bar) if bar is not None else None
        for k, (x, y) in enumerate(_xy(line)):
            error = "" if errors is None else float(errors[k])
            yield number, label, names[0], float(x), names[1], float(y), error, "", ""
    for shown in axes.collections:
        places, values = _map(shown)
        colours = getattr(shown, "colorbar", None)
        name = plain(colours.ax.get_ylabel() or colours.ax.get_xlabel()) if colours else ""
        name = name or (plain(axes.get_zlabel()) if axes.name == "3d" else "")  # type: ignore[attr-defined]
        for (x, y), value in zip(places, values, strict=True):
            yield "", "", names[0], float(x), names[1], float(y), "", name, float(value)


def _xy(line: Line2D) -> Floats:
    return np.asarray(line.get_xydata(), dtype=float)


def _heights(bars: ErrorbarContainer) -> Floats:
    """Half the heights of error bars."""
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
    return np.asarray(0.5 * (ends[:, 1] - ends[:, 0]), dtype=float)


def _map(shown: Collection) -> tuple[Floats, Floats]:
    """Places ``(n, 2)`` and values of a map: of its points, or of the middles of its cells."""
    if (known := shown_by(shown)) is not None:
        x, y, values = known
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2), np.asarray(values, dtype=float).ravel()
    found = shown.get_array()
    if found is None or not isinstance(shown, CELLS):
        return np.empty((0, 2)), np.empty(0)
    values = np.ma.filled(np.ma.asarray(found, dtype=float), np.nan).ravel()
    if isinstance(shown, PathCollection):
        return np.asarray(shown.get_offsets(), dtype=float), values
    return np.array([np.unique(path.vertices, axis=0).mean(axis=0) for path in shown.get_paths()]), values
