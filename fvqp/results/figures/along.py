"""Spectra along a line: a map over place and energy, and curves at some places."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import draw_legend, draw_map, evenly, label_of, prefix_of, reduced, said

PLACES = 6
"""Places whose spectra are drawn as curves."""
BRIGHTEST = 98.0
"""Percentile of the values at which colours and curves end, so that a sharp edge does not take them all."""


def draw_along(values: xr.DataArray, place: xr.DataArray, figure: Figure) -> None:
    """Draw ``values`` of cells and energies; ``place`` (m) is where the cells are along the line."""
    table = reduced(values, ("cell", "energy"))
    order = np.argsort(place.values)
    scale, prefix = prefix_of(float(np.abs(place).max()))
    places, energies = place.values[order] / scale, table["energy"].values
    energy_scale, energy_prefix = prefix_of(float(energies.max()))
    shown = table.transpose("cell", "energy").values[order]
    figure.set_size_inches(8.4, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    largest = float(np.abs(shown).max())
    end = float(np.percentile(np.abs(shown), BRIGHTEST))
    sharp = largest > 2.0 * end
    end = end if sharp else largest
    signed = float(shown.min()) < -0.01 * end
    image = draw_map(
        left,
        places,
        energies / energy_scale,
        shown.T,
        vmin=-end if signed else 0.0,
        vmax=end,
        cmap="RdBu_r" if signed else "viridis",
        shading="nearest",
    )
    beyond = ("both" if signed else "max") if sharp else "neither"
    figure.colorbar(image, ax=left, label=label_of(table, ""), extend=beyond)
    energy = f"$\\epsilon$ ({energy_prefix}eV)"
    left.set(xlabel=f"${place.name}$ ({prefix}m)", ylabel=energy)
    left.set_title(said(table), fontsize=8)
    rows = evenly(len(places), PLACES)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
    for colour, row in zip(colours, rows, strict=True):
        text = f"${place.name}$ = {places[row]:.3g} {prefix}m"
        right.plot(energies / energy_scale, shown[row], color=colour, linewidth=1.1, label=text)
    right.set(xlabel=energy, ylabel=label_of(table, ""), ylim=(-1.1 * end if signed else 0.0, 1.1 * end))
    right.margins(x=0.0)
    draw_legend(right, False)
