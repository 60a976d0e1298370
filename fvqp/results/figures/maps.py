"""Maps over injector and detector bias, laid out like Ryan et al. (2026), Figs. 5, 6 and 12b."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fvqp.errors import FvqpError
from fvqp.results.figures.common import (
    Drawing,
    FigureSpec,
    draw_curves,
    draw_legend,
    draw_map,
    in_delta0,
    label_of,
    prefix_of,
    reduced,
    remember,
    said,
    unit_of,
)
from fvqp.results.figures.wire import at_junctions, one_if_same, part


def _map(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    figure.set_size_inches(4.6, 3.6)
    _draw_map(_table(dataset, spec.variable or "g_nl"), spec.limit, figure, figure.subplots())


def _draw_map(table: xr.DataArray, limit: float | None, figure: Figure, axes: Axes) -> None:
    values, unit = _in_unit(table, limit)
    colours: dict[str, Any]
    if np.nanmin(values) < 0.0:
        end = (limit or float(np.nanmax(np.abs(table.values)))) * _scale_of(table, limit)
        colours = {"cmap": "RdBu_r", "vmin": -end, "vmax": end}
    else:
        colours = {"cmap": "viridis"}
        if limit:
            colours["vmax"] = limit * _scale_of(table, limit)
    # Linear between the biases; around points that are missing there is nothing to draw between.
    smooth = bool(np.isfinite(values).all())
    image = draw_map(axes, table["V_inj"].values, table["V_det"].values, values, smooth=smooth, **colours)
    beyond = limit is not None and np.nanmax(np.abs(table.values)) > limit
    figure.colorbar(
        image,
        ax=axes,
        label=label_of(table, unit),
        extend=("both" if np.nanmin(values) < 0.0 else "max") if beyond else "neither",
    )
    axes.set(xlabel=label_of(table["V_inj"], ""), ylabel=label_of(table["V_det"], ""))
    axes.set_title(said(table), fontsize=8)
    _few_ticks(axes)


def _few_ticks(axes: Axes) -> None:
    """Set the ticks that curves have, so that both can be held side by side."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def _g_sa(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Curves over V_inj for all V_det, and the map of both signs of V_det (Fig. 12)."""
    values = part(dataset, "g_sa")
    values = reduced(values, ("V_det", "V_inj"))
    mapped = values.sizes.get("V_det", 1) > 1 and values.sizes["V_inj"] > 1
    shifted = bool(spec.offset) and mapped
    figure.set_size_inches(8.4 if mapped else 4.0, 4.6 if shifted else 3.2)
    axes = figure.subplots(1, 2, width_ratios=(1.35, 1)) if mapped else [figure.subplots()]
    draw_curves(axes[0], in_delta0(dataset, values), "V_inj", "V_det", spec.offset)
    draw_legend(axes[0], shifted)
    if mapped:
        _draw_map(_table(dataset, "g_sa"), spec.limit, figure, axes[1])
        for panel, letter in zip(axes, "ab", strict=True):
            panel.set_title(letter, loc="left", weight="bold")


def _surface(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    table = _table(dataset, spec.variable or "g_nl")
    values, unit = _in_unit(table, None)
    figure.set_size_inches(5.2, 4.2)
    axes: Any = figure.subplots(subplot_kw={"projection": "3d"})
    x, y = np.meshgrid(table["V_inj"].values, table["V_det"].values)
    signed = np.nanmin(values) < 0.0
    end = float(np.nanmax(np.abs(values)))
    limits = {"vmin": -end, "vmax": end} if signed else {}
    surface = axes.plot_surface(
        x, y, values, cmap="RdBu_r" if signed else "viridis", rcount=80, ccount=80, linewidth=0.1, **limits
    )
    remember(surface, table["V_inj"].values, table["V_det"].values, values)
    # Outlines on the walls: what a sweep of one bias shows at the others.
    for rows, walls, at in ((values, "y", y.max()), (values.T, "x", x.min())):
        along = table["V_inj"].values if walls == "y" else table["V_det"].values
        for extreme in (np.fmax, np.fmin):
            # These pass over what an unfinished run has left out.
            outline = extreme.reduce(rows, axis=0)
            line = (along, np.full(len(along), at)) if walls == "y" else (np.full(len(along), at), along)
            axes.plot(*line, outline, color="0.4", linewidth=0.8)
    axes.set(
        xlabel=label_of(table["V_inj"], ""),
        ylabel=label_of(table["V_det"], ""),
        zlabel=label_of(table, unit),
    )
    axes.set_title(said(table), fontsize=8)
    _few_ticks(axes)
    axes.set_box_aspect(None, zoom=0.85)


def _table(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """``[V_det, V_inj]`` over biases in Δ0/e; of one sign of V_det both are shown, as they are images of each
    other."""
    values = one_if_same(at_junctions(dataset, name)) if name == "gap" else part(dataset, name)
    for dim in ("V_det", "V_inj"):
        if values.sizes.get(dim, 1) < 2:
            raise FvqpError(f"a map needs several {dim}; these results have one")
    table = in_delta0(dataset, reduced(values, ("V_det", "V_inj")))
    table = table.sortby(["V_det", "V_inj"])
    one_sign = float(table["V_det"].min()) >= 0.0 and "supercurrent" not in dataset.dims
    if not one_sign or not np.allclose(table["V_inj"], -table["V_inj"][::-1]):
        return table
    # Without supercurrent nothing but the sign of all currents changes when both biases do.
    positive = table.isel(V_det=np.flatnonzero(table["V_det"].values > 0.0))
    mirrored = positive.isel(V_det=slice(None, None, -1), V_inj=slice(None, None, -1))
    mirrored = mirrored.assign_coords(V_det=-mirrored["V_det"], V_inj=table["V_inj"])
    both = xr.concat([mirrored, table], "V_det")
    for dim in ("V_det", "V_inj"):
        both[dim].attrs = table[dim].attrs
    return both.rename(table.name).assign_attrs(table.attrs)


def _scale_of(table: xr.DataArray, limit: float | None) -> float:
    """Factor from SI to the unit that is shown."""
    largest = limit or float(np.nanmax(np.abs(table.values)))
    return 1.0 / prefix_of(largest)[0] if unit_of(table) else 1.0


def _in_unit(table: xr.DataArray, limit: float | None) -> tuple[np.ndarray, str]:
    largest = limit or float(np.nanmax(np.abs(table.values)))
    prefix = prefix_of(largest)[1] if unit_of(table) else ""
    return table.values * _scale_of(table, limit), f"{prefix}{unit_of(table)}"


KINDS: dict[str, Drawing] = {"g_sa": _g_sa, "map": _map, "surface": _surface}
"""Kinds of figures and what draws them."""
