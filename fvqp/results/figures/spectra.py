"""Figures of Eliashberg spectra: gap function, renormalization, density of states, interaction."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import Drawing, FigureSpec, draw_legend, evenly, name_of, stored

MAX_CURVES = 6
"""Temperatures in one panel; of longer sweeps evenly chosen ones are shown."""


def _functions(label: str, *names: str, scale: float = 1.0) -> Drawing:
    """Functions of energy, a colour for each temperature; the second function dashed."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(4.6, 3.2)
        axes = figure.subplots()
        rows = evenly(dataset.sizes["temperature"], MAX_CURVES)
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
        energies = dataset["energy"].values * 1e3
        for name, style in zip(names, ("-", "--"), strict=False):
            values = stored(dataset, name).values * scale
            for colour, row in zip(colours, rows, strict=True):
                text = name_of(dataset["temperature"], int(row)) if style == "-" else None
                axes.plot(energies, values[row], style, color=colour, linewidth=1.1, label=text)
        axes.set(xlabel="$\\epsilon$ (meV)", ylabel=label)
        axes.margins(x=0.0)
        draw_legend(axes, False)

    return drawn


def _dos(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Density of states near the gap, and its ratio to that of BCS where phonons show in tunnel spectra."""
    figure.set_size_inches(7.2, 3.2)
    near, ratio = figure.subplots(1, 2)
    rows = evenly(dataset.sizes["temperature"], MAX_CURVES)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
    energies, values = dataset["energy"].values * 1e3, stored(dataset, "dos").values
    gaps = stored(dataset, "gap").values * 1e3
    for colour, row in zip(colours, rows, strict=True):
        label = name_of(dataset["temperature"], int(row))
        near.plot(energies, values[row], color=colour, linewidth=1.1, label=label)
        if gaps[row] > 0.0:
            above = energies > 2.0 * gaps[row]
            bcs = energies[above] / np.sqrt(energies[above] ** 2 - gaps[row] ** 2)
            ratio.plot(energies[above], values[row][above] / bcs, color=colour, linewidth=1.1)
    near.set(xlabel="$\\epsilon$ (meV)", ylabel="$\\rho(\\epsilon)$", ylim=(0.0, 5.0))
    near.set_xlim(0.0, max(4.0 * float(np.nanmax(gaps)), 0.05 * float(energies[-1])))
    ratio.set(xlabel="$\\epsilon$ (meV)", ylabel="$\\rho/\\rho_\\mathrm{BCS}$")
    draw_legend(near, False)


def _interaction(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    figure.set_size_inches(4.0, 3.0)
    axes = figure.subplots()
    axes.plot(dataset["omega"].values * 1e3, dataset["alpha2F"].values, linewidth=1.2)
    axes.set(xlabel="$\\Omega$ (meV)", ylabel="$\\alpha^2F(\\Omega)$")


def _gap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Gap edge over temperature, from both axes."""
    figure.set_size_inches(4.0, 3.0)
    axes = figure.subplots()
    temperatures = dataset["temperature"].values
    axes.plot(temperatures, stored(dataset, "gap").values * 1e3, "o-", markersize=3, label="real axis")
    if "gap_matsubara" in dataset:
        values = dataset["gap_matsubara"].values * 1e3
        axes.plot(temperatures, values, "kx", markersize=4, label="imaginary axis, Padé")
    axes.set(xlabel="$T$ (K)", ylabel="$\\Delta_0$ (meV)")
    axes.set_ylim(bottom=0.0)
    draw_legend(axes, False)


KINDS: dict[str, Drawing] = {
    "gap_function": _functions(
        "$\\mathrm{Re}\\,\\Delta$, $\\mathrm{Im}\\,\\Delta$ (dashed) (meV)", "gap_real", "gap_imag", scale=1e3
    ),
    "renormalization": _functions("$\\mathrm{Re}\\,Z$, $\\mathrm{Im}\\,Z$ (dashed)", "Z_real", "Z_imag"),
    "dos": _dos,
    "interaction": _interaction,
    "gap": _gap,
}
"""Kinds of figures and what draws them."""
