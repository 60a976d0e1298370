"""Figure of a fit: measured points with the fitted curves, and what is left of them."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import (
    SYMBOLS,
    Drawing,
    FigureSpec,
    largest_of,
    prefix_of,
    stored,
    unit_of,
    unit_text,
    with_prefix,
)
from fvqp.texts import two_digits


def _fit(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    measured, fitted = stored(dataset, "measured"), stored(dataset, "fitted")
    figure.set_size_inches(4.8, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    axis = str(dataset.attrs["axis"])
    bias, unit = with_prefix(dataset[axis])
    quantity_unit = unit_of(measured)
    scale, prefix = prefix_of(largest_of(measured.values)) if quantity_unit else (1.0, "")
    left = dataset["residual"].values
    weighted = "measured_error" in dataset
    small, small_prefix = (1.0, "") if weighted or not quantity_unit else prefix_of(largest_of(left) or 1.0)
    shown = left / dataset["measured_error"].values if weighted else left / small
    keys = [name for name in ("supercurrent", "V_det") if name in dataset.coords]
    labels: list[tuple[float | str, ...]]
    labels = [tuple(float(dataset[name].values[n]) for name in keys) for n in range(len(bias))]
    if "data_set" in dataset.coords:
        labels = [(str(label),) for label in dataset["data_set"].values]
    # In the order of the data sets; numbers by size.
    curves = list(dict.fromkeys(labels)) if "data_set" in dataset.coords else sorted(set(labels))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(curves)))
    for colour, curve in zip(colours, curves, strict=True):
        here = np.array([label == curve for label in labels])
        order = np.flatnonzero(here)[np.argsort(bias[here])]
        named = [] if keys else [str(value) for value in curve]
        for name, value in zip(keys, map(float, curve) if keys else (), strict=True):
            power, letter = prefix_of(abs(value)) if value else (1.0, "")
            named.append(f"{SYMBOLS[name]} = {value / power:.3g} {letter}{dataset[name].attrs['units']}")
        upper.plot(bias[order], measured.values[order] / scale, "o", color=colour, markersize=2.5)
        upper.plot(
            bias[order],
            fitted.values[order] / scale,
            "-",
            color=colour,
            linewidth=1.1,
            label=", ".join(named) or None,
        )
        lower.plot(bias[order], shown[order], ".", color=colour, markersize=4)
    part = str(dataset.attrs["part"])
    upper.set_ylabel(_with_unit(SYMBOLS.get(part, part), f"{prefix}{quantity_unit}"))
    lower.axhline(0.0, color="0.5", linewidth=0.8)
    lower.set(
        xlabel=_with_unit(SYMBOLS.get(axis, axis), "" if unit == "1" else unit),
        ylabel="residual/σ" if weighted else _with_unit("residual", f"{small_prefix}{quantity_unit}"),
    )
    if len(curves) > 1:
        upper.legend(fontsize=7)
    values = zip(
        dataset["parameter"].values, dataset["value"].values, dataset["error"].values, dataset["unit"].values,
        strict=True,
    )  # fmt: skip
    lines = [f"{n} = {v:.5g} ± {two_digits(e)} {'' if u == '1' else u}".rstrip() for n, v, e, u in values]
    upper.set_title("\n".join(lines), fontsize=7)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit_text(unit)})" if unit else text


KINDS: dict[str, Drawing] = {"fit": _fit}
"""Kinds of figures and what draws them."""
