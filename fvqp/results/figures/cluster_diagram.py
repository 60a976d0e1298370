"""Diagram of spin polarization of quasiparticles over volume and generation."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from fvqp.errors import FvqpError
from fvqp.results.figures.common import FigureSpec, draw_map, label_of, stored, with_prefix
from fvqp.typing import Floats


def phase_diagram(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Polarization, and number over that of unpolarized quasiparticles, over volume and generation; lines
    are those of large clusters, and the borders of the regimes."""
    if min(dataset.sizes["generation"], dataset.sizes["volume"]) < 2:
        raise FvqpError("a phase diagram needs several generations and volumes")
    figure.set_size_inches(7.4, 3.2)
    equation = 0
    panels = figure.subplots(1, 2, sharey=True)
    a, v, names = _scaled(dataset)
    for axes, name in zip(panels, ("polarization", "enhancement"), strict=True):
        values = (
            stored(dataset, name).isel(spin=0, equation=equation).transpose("generation", "volume").values
        )
        closed = dataset[f"{name}_analytic"].isel(spin=0, equation=equation)
        lines = closed.transpose("generation", "volume").values
        if name == "polarization":
            image = draw_map(axes, v, a, values, vmin=0.0, vmax=1.0, cmap="viridis")
            levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
            label = "$p$"
        else:
            norm = LogNorm(max(float(np.nanmin(values)), 0.5), float(np.nanmax(values)))
            image = draw_map(axes, v, a, values, norm=norm, cmap="magma")
            levels = np.array([1.5, 3.0, 10.0, 30.0])
            label = "$N/N_\\mathrm{unpol}$"
        if np.isfinite(lines).all():
            axes.contour(v, a, lines, levels, colors="w", linewidths=0.8)
            _levels(axes, a, v, lines, levels)
        axes.set(xscale="log", yscale="log", xlabel=names[1])
        figure.colorbar(image, ax=axes, label=label)
        if "critical_number" in dataset.attrs:
            _borders(axes, a, v)
    panels[0].set_ylabel(names[0])


def _levels(axes: Axes, a: Floats, v: Floats, lines: Floats, levels: Floats) -> None:
    """Names of the lines, where they cross a height near the lower end."""
    row = len(a) // 6
    order = np.argsort(lines[row])
    places = np.exp(np.interp(levels, lines[row][order], np.log(v)[order], left=np.nan, right=np.nan))
    for level, x in zip(levels, places, strict=True):
        if np.isfinite(x):
            outlined = [withStroke(linewidth=1.2, foreground="k")]
            axes.text(x, a[row], f" {level:g}", fontsize=6, color="w", path_effects=outlined)


def _borders(axes: Axes, a: Floats, v: Floats) -> None:
    """Borders of the regimes in a = A/A_c, v = V/V_c (their Fig. 1)."""
    left = np.geomspace(v[0], min(v[-1], 1.0), 50)
    for x, y in ((left, left), (left, left**-2.0), ([1.0, 1.0], [a[0], 1.0])):
        axes.plot(x, y, "--", color="tab:red", linewidth=0.9)
    axes.set(xlim=(v[0], v[-1]), ylim=(a[0], a[-1]))


def _scaled(dataset: xr.Dataset) -> tuple[Floats, Floats, tuple[str, str]]:
    """Generation and volume over their critical values, where these exist."""
    generation, volume = dataset["generation"], dataset["volume"]
    if "critical_number" in dataset.attrs:
        scales = dataset.attrs["critical_generation_per_m3_s"], dataset.attrs["critical_volume_m3"]
        return generation.values / scales[0], volume.values / scales[1], ("$A/A_c$", "$V/V_c$")
    (a, of_a), (v, of_v) = with_prefix(generation), with_prefix(volume)
    return a, v, (label_of(generation, of_a), label_of(volume, of_v))
