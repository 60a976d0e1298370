"""Figure of a study: differences of its quantities from those at the last value of every key."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.convergence import Convergence, Row, spacings
from fvqp.results.figures.common import MAX_CURVES, SYMBOLS, Drawing, FigureSpec, draw_legend

MARKERS = "os^vD<>p"


def _convergence(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Relative differences over the values of a key, a panel for each; of one variable, or of the quantities
    that differ most."""
    rows = Convergence(dataset, [spec.variable] if spec.variable else []).rows
    keys = [key for key in dict.fromkeys(one.key for one in rows) if _curves(rows, key)]
    if not keys:
        raise FvqpError("the study has no key with three values along which a quantity changes")
    figure.set_size_inches(4.4 * len(keys), 3.4)
    for axes, key in zip(np.atleast_1d(figure.subplots(1, len(keys))), keys, strict=True):
        curves = _curves(rows, key)
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(curves)))
        values = dataset[key].values
        numeric = spacings(values) is not None
        for (name, found), colour, marker in zip(curves.items(), colours, MARKERS, strict=False):
            order = found[-1].order
            label = SYMBOLS.get(name, name) + (f", order {order:.2g}" if np.isfinite(order) else "")
            at = values[:-1] if numeric else np.arange(len(values) - 1)
            heights = [one.relative if one.relative > 0.0 else np.nan for one in found[:-1]]
            axes.plot(at, heights, marker=marker, color=colour, markersize=4, linewidth=1.1, label=label)
        axes.set_yscale("log")
        unit = str(dataset[key].attrs.get("units", ""))
        axes.set(xlabel=f"{key} ({unit})" if unit not in ("", "1") else key, ylabel="relative difference")
        if numeric:
            axes.set_xscale("log")
        else:
            axes.set_xticks(range(len(values) - 1), [str(value) for value in values[:-1]])
        axes.set_title(f"from {key} = {values[-1]:g}" if numeric else f"from {values[-1]}", fontsize=8)
        draw_legend(axes, False, "best")


def _curves(rows: list[Row], key: str) -> dict[str, list[Row]]:
    """Rows of the quantities that differ most along a key of at least three values."""
    found: dict[str, list[Row]] = {}
    for one in rows:
        if one.key == key:
            found.setdefault(one.quantity, []).append(one)
    kept = {
        name: several
        for name, several in found.items()
        if len(several) >= 3
        # Parts that vanish by symmetry are rounding.
        and 0.0 < max((one.relative for one in several if one.relative >= 0.0), default=0.0) < 1.0
    }
    largest = sorted(kept, key=lambda name: -max(one.relative for one in kept[name] if one.relative >= 0.0))
    return {name: kept[name] for name in largest[:MAX_CURVES]}


KINDS: dict[str, Drawing] = {"convergence": _convergence}
"""Kinds of figures and what draws them."""
