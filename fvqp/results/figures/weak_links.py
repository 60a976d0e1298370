"""Figures of weak links: current and minigap over the phase, density of states."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import Drawing, FigureSpec, draw_curves, draw_legend, stored


def _current_phase(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Supercurrent from the first reservoir, a curve for each temperature."""
    _over_phase(stored(dataset, "I_reservoir").isel(reservoir=0).rename("I_s"), figure)


def _minigap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    _over_phase(stored(dataset, "minigap"), figure)


def _over_phase(values: xr.DataArray, figure: Figure) -> None:
    figure.set_size_inches(4.6, 3.2)
    axes = figure.subplots()
    draw_curves(axes, values, "phase", "temperature", None)
    draw_legend(axes, False)


def _dos(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Mean of all cells at the lowest temperature, a curve for each phase."""
    figure.set_size_inches(4.6, 3.2)
    axes = figure.subplots()
    values = stored(dataset, "dos")
    mean = values.weighted(dataset["cell_volume"]).mean("cell", keep_attrs=True).rename("dos")
    coldest = mean.isel(temperature=int(dataset["temperature"].values.argmin()))
    draw_curves(axes, coldest, "energy", "phase", None)
    axes.set_ylim(bottom=0.0)
    draw_legend(axes, False)


KINDS: dict[str, Drawing] = {"current_phase": _current_phase, "minigap": _minigap, "dos": _dos}
"""Kinds of figures and what draws them."""
