"""Figures of quasiparticles and phonons that exchange energy: spectra, and what follows from them."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvqp.results.figures.common import (
    Drawing,
    FigureSpec,
    draw_legend,
    evenly,
    label_of,
    name_of,
    stored,
    with_prefix,
)

AXES = ("time", "strength", "temperature")
"""What a quantity is drawn over: the first of these that has several values."""
MOST_SPECTRA = 7
"""Spectra in one panel; of longer runs evenly chosen ones are shown."""
SMALLEST = 1e-14
"""Occupations below this part of the largest are not shown: no measurement sees them."""
ENERGIES = {
    "energy_qp": "quasiparticles",
    "energy_ph": "phonons",
    "energy_condensate": "condensate",
    "energy_injected": "injected",
    "energy_escaped": "escaped",
}


def _over(dataset: xr.Dataset) -> str:
    """The axis of the run."""
    for name in AXES:
        if dataset.sizes.get(name, 1) > 1:
            return name
    return next((name for name in AXES if name in dataset.dims), "temperature")


def _spectra(name: str, axis: str) -> Drawing:
    """Occupations over energy on a logarithmic scale, one curve for each of some points of the run."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        values, along = stored(dataset, name), _over(dataset)
        for dim in values.dims:
            if dim not in (along, axis):
                values = values.isel({dim: 0})
        values = values.transpose(along, axis) if along in values.dims else values.expand_dims(along)
        values = values.isel({along: np.flatnonzero(np.isfinite(values.values).any(axis=1))})
        figure.set_size_inches(4.6, 3.2)
        axes = figure.subplots()
        energies = values[axis].values / float(dataset.attrs["delta0_eV"])
        rows = evenly(values.sizes[along], MOST_SPECTRA)
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
        for colour, row in zip(colours, rows, strict=True):
            curve = values.values[row]
            shown = np.where(curve > SMALLEST * np.nanmax(values.values), curve, np.nan)
            label = name_of(values[along], int(row))
            axes.semilogy(energies, shown, color=colour, linewidth=1.1, label=label)
        if name == "f" and "f_analytic" in dataset and spec.compare == "analytic":
            _envelope(axes, dataset, along, rows, energies)
        symbol = "$E/\\Delta_0$" if axis == "energy" else "$\\omega/\\Delta_0$"
        axes.set(xlabel=symbol, ylabel=f"${name}$")
        draw_legend(axes, False)

    return drawn


def _envelope(axes: Axes, dataset: xr.Dataset, along: str, rows: np.ndarray, energies: np.ndarray) -> None:
    """The closed form beside the distributions."""
    table = dataset["f_analytic"].transpose(..., along, "energy").values
    for number, row in enumerate(rows):
        curve = table.reshape(-1, *table.shape[-2:])[0, row]
        axes.semilogy(energies, curve, "k--", linewidth=0.8, label=None if number else "analytic")


def _quantity(name: str, *, part: str | None = None, logarithmic: bool = True) -> Drawing:
    """One quantity over the run, one curve for each of what else was swept."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(4.0, 3.0)
        _curves(dataset, figure.subplots(), name, spec.compare == "analytic", logarithmic)

    return drawn


def _curves(dataset: xr.Dataset, axes: Axes, name: str, compare: bool, logarithmic: bool) -> None:
    values, along = stored(dataset, name), _over(dataset)
    others = [str(dim) for dim in values.dims if dim != along]
    horizontal, unit = with_prefix(values[along])
    if along == "time":
        # Axes of time run over decades: seconds without a prefix.
        horizontal, unit = values[along].values, "s"
    rows = values.stack(curve=others) if others else values.expand_dims("curve")
    table = rows.transpose("curve", along).values
    closed = None
    if compare and f"{name}_analytic" in dataset:
        closed = dataset[f"{name}_analytic"].transpose(*others, along).values.reshape(table.shape)
    chosen = evenly(len(table), MOST_SPECTRA)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    for number, row in enumerate(chosen):
        label = None
        if others:
            index = np.unravel_index(row, [values.sizes[dim] for dim in others])
            parts = zip(others, index, strict=True)
            label = ", ".join(name_of(values[d], int(k)) for d, k in parts if values.sizes[d] > 1)
        axes.plot(
            horizontal, table[row], "o-", markersize=2.5, linewidth=1.1, color=colours[number], label=label
        )
        if closed is not None:
            axes.plot(horizontal, closed[row], "k--", linewidth=0.8, label=None if number else "analytic")
    _scales(axes, along, values.values, logarithmic)
    axes.set(
        xlabel=label_of(values[along], unit), ylabel=label_of(values, str(values.attrs.get("units", "")))
    )
    draw_legend(axes, False)


def _scales(axes: Axes, along: str, values: np.ndarray, logarithmic: bool) -> None:
    if along in ("time", "strength"):
        axes.set_xscale("log")
    finite = values[np.isfinite(values)]
    if logarithmic and finite.size and finite.min() > 0.0 and finite.max() > 3.0 * finite.min():
        axes.set_yscale("log")


def _gap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Δ/Δ0 over the run."""
    values = stored(dataset, "gap")
    ratio = (values / float(dataset.attrs["delta0_eV"])).assign_attrs(units="1", symbol="$\\Delta/\\Delta_0$")
    figure.set_size_inches(4.0, 3.0)
    _curves(dataset.assign(gap=ratio), figure.subplots(), "gap", False, False)


def _energies(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Energies by volume over the run, as changes since its start."""
    along = _over(dataset)
    figure.set_size_inches(4.6, 3.2)
    axes = figure.subplots()
    for name, label in ENERGIES.items():
        values = stored(dataset, name)
        for dim in values.dims:
            if dim != along:
                values = values.isel({dim: 0})
        axes.plot(values[along], values - values[0], linewidth=1.2, label=label)
    _scales(axes, along, np.zeros(0), False)
    axes.set(
        xlabel=label_of(dataset[along], str(dataset[along].attrs["units"])),
        ylabel="change of energy (J m$^{-3}$)",
    )
    draw_legend(axes, False)


def _pair(first: str, second: str) -> Drawing:
    """Two quantities over the run, side by side."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(7.2, 3.0)
        for axes, name in zip(figure.subplots(1, 2), (first, second), strict=True):
            _curves(dataset, axes, name, spec.compare == "analytic", True)

    return drawn


def _lifetimes(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Rates of scattering and recombination over E − Δ, and of phonons over ω, as Kaplan et al. show them."""
    along, unit = _over(dataset), float(dataset.attrs["delta0_eV"])
    figure.set_size_inches(7.2, 3.2)
    panels = figure.subplots(1, 2)
    groups = (
        ("energy", ("rate_scattering", "rate_recombination")),
        ("omega", ("rate_pair_breaking", "rate_absorption")),
    )
    for axes, (axis, names) in zip(panels, groups, strict=True):
        for name, style in zip(names, ("-", "--"), strict=True):
            values = stored(dataset, name)
            for dim in values.dims:
                if dim not in (along, axis):
                    values = values.isel({dim: 0})
            values = values.transpose(along, axis)
            rows = evenly(values.sizes[along], MOST_SPECTRA)
            colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
            for colour, row in zip(colours, rows, strict=True):
                rate = np.where(values.values[row] > 0.0, values.values[row], np.nan)
                label = name_of(values[along], int(row)) if style == "-" else None
                axes.semilogy(values[axis] / unit, rate, style, color=colour, linewidth=1.0, label=label)
        axes.set_xlabel("$E/\\Delta_0$" if axis == "energy" else "$\\omega/\\Delta_0$")
        axes.set_ylabel(
            "rate (1/s): " + ", ".join(f"{n.removeprefix('rate_').replace('_', ' ')}" for n in names)
        )
        draw_legend(axes, False, loc="best")


KINDS: dict[str, Drawing] = {
    "distribution": _spectra("f", "energy"),
    "phonons": _spectra("n", "omega"),
    "density": _quantity("n_qp"),
    "x_qp": _quantity("x_qp"),
    "gap": _gap,
    "energies": _energies,
    "conductivity": _pair("sigma1", "sigma2"),
    "resonator": _pair("inverse_quality_factor", "frequency_shift"),
    "lifetimes": _lifetimes,
}
"""Kinds of figures and what draws them."""
