"""Figures of weak links: current and minigap over the phase, density of states."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import SYMBOLS, Drawing, FigureSpec, draw_curves, draw_legend, stored

FOUND_TO = 1e-3
"""Relative accuracy of minigaps."""


def _current_phase(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Supercurrent from the first reservoir, a curve for each temperature."""
    _over_phase(stored(dataset, "I_reservoir").isel(reservoir=0).rename("I_s"), figure)


def _minigap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Over the phase; one curve where the reservoirs are so cold that the temperature does not show."""
    values = stored(dataset, "minigap")
    coldest = values.isel(temperature=[int(values["temperature"].values.argmin())])
    same = np.allclose(values, coldest, rtol=FOUND_TO, atol=0.0, equal_nan=True)
    _over_phase(coldest if same else values, figure)


def _over_phase(values: xr.DataArray, figure: Figure) -> None:
    """A curve for each temperature over the phase in units of π, every point marked."""
    figure.set_size_inches(4.6, 3.2)
    axes = figure.subplots()
    draw_curves(axes, _in_turns(values), "phase", "temperature", None)
    for line in axes.lines:
        line.set(marker="o", markersize=2.5)
    if values.sizes["temperature"] > 1:
        draw_legend(axes, False)


def _in_turns(values: xr.DataArray) -> xr.DataArray:
    """The same over φ/π."""
    symbol = f"${SYMBOLS['phase'].strip('$')}/\\pi$"
    return values.assign_coords(phase=(values["phase"] / np.pi).assign_attrs(units="1", symbol=symbol))


def _dos(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Mean of all cells at the lowest temperature, a curve for each phase."""
    figure.set_size_inches(4.6, 3.2)
    axes = figure.subplots()
    values = stored(dataset, "dos")
    mean = values.weighted(dataset["cell_volume"]).mean("cell", keep_attrs=True).rename("dos")
    coldest = mean.isel(temperature=int(dataset["temperature"].values.argmin()))
    draw_curves(axes, _in_turns(coldest), "energy", "phase", None)
    axes.set_ylim(bottom=0.0)
    draw_legend(axes, False)


KINDS: dict[str, Drawing] = {"current_phase": _current_phase, "minigap": _minigap, "dos": _dos}
"""Kinds of figures and what draws them."""
