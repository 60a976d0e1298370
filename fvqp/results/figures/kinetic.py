"""Figures of quasiparticles and phonons that exchange energy: spectra, and what follows from them."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvqp.results.figures.common import (
    MARKED,
    Drawing,
    FigureSpec,
    draw_legend,
    evenly,
    label_of,
    stored,
    value_text,
    with_prefix,
)
from fvqp.typing import Floats

AXES = ("time", "strength", "temperature")
"""What a quantity is drawn over: the first of these that has several values."""
MAX_SPECTRA = 7
"""Spectra in one panel; of longer runs evenly chosen ones are shown."""
SMALLEST = 1e-14
"""Occupations below this part of the largest are not shown: no measurement sees them."""
RESOLVED = 0.5
"""Part of the axes on which rates are shown: beyond, states that take part are missing."""
PER_CUBIC_MICROMETRE = 1e-18
ENERGIES = {
    "energy_qp": "quasiparticles",
    "energy_ph": "phonons",
    "energy_condensate": "condensate",
    "energy_injected": "injected",
    "energy_escaped": "escaped",
}
ROUNDING = 1e-9
"""Changes of an energy below this part of the largest one are none."""
BESIDE = {"analytic": "analytic", "thermal": "thermal, as many"}
"""Names of what stands beside curves."""


def _over(dataset: xr.Dataset) -> str:
    """The axis of the run."""
    for name in AXES:
        if dataset.sizes.get(name, 1) > 1:
            return name
    return next((name for name in AXES if name in dataset.dims), "temperature")


def _first(values: xr.DataArray, *keep: str) -> tuple[xr.DataArray, str]:
    """The first point along all other dimensions, and in words which one that is, where there are several."""
    said = [value_text(values[dim], 0) for dim in values.dims if dim not in keep and values.sizes[dim] > 1]
    values = values.isel({dim: 0 for dim in values.dims if dim not in keep})
    missing = [dim for dim in keep if dim not in values.dims]
    return values.expand_dims(missing).transpose(*keep), ", ".join(map(str, said))


def _colours(count: int) -> Floats:
    return np.asarray(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, count)))


def _spectra(name: str, axis: str) -> Drawing:
    """Occupations over energy on a logarithmic scale, one curve for each of some points of the run."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        along = _over(dataset)
        values, said = _first(stored(dataset, name), along, axis)
        values = values.isel({along: np.flatnonzero(np.isfinite(values.values).any(axis=1))})
        figure.set_size_inches(4.8, 3.2)
        axes = figure.subplots()
        unit = float(dataset.attrs["delta0_eV"])
        energies = values[axis].values / unit
        rows = evenly(values.sizes[along], MAX_SPECTRA)
        table = values.values
        if name == "f":
            gaps, _ = _first(stored(dataset, "gap"), along)
            gaps = gaps.sel({along: values[along]})
            table = np.where(values[axis].values > gaps.values[:, None], table, np.nan)
        largest = float(np.nanmax(table[rows]))
        for colour, row in zip(_colours(len(rows)), rows, strict=True):
            shown = np.where(table[row] > 0.0, table[row], np.nan)
            label = value_text(values[along], int(row))
            axes.semilogy(energies, shown, color=colour, linewidth=1.1, label=label)
        lowest = max(SMALLEST * largest, float(np.nanmin(np.where(table[rows] > 0.0, table[rows], np.nan))))
        if spec.compare and f"{name}_{spec.compare}" in dataset:
            beside, _ = _first(dataset[f"{name}_{spec.compare}"], along, axis)
            beside = beside.sel({along: values[along]})
            for number, row in enumerate(rows):
                closed = np.where(np.isfinite(table[row]), beside.values[row], np.nan)
                beside_label = None if number + 1 < len(rows) else BESIDE[spec.compare]
                axes.semilogy(energies, closed, "k--", linewidth=0.8, label=beside_label)
        axes.set_ylim(0.5 * lowest, 3.0 * largest)
        seen = (table[rows] > lowest).any(axis=0)
        axes.set_xlim(energies[seen][0] - 0.02 * energies[seen][-1], 1.02 * energies[seen][-1])
        symbol = "$E/\\Delta_0$" if axis == "energy" else "$\\omega/\\Delta_0$"
        axes.set(xlabel=symbol, ylabel=f"occupation ${name}$")
        draw_legend(axes, False, title=said)

    return drawn


def _quantity(name: str, *, logarithmic: bool = True) -> Drawing:
    """One quantity over the run, one curve for each of what else was swept."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(4.2, 3.0)
        _curves(dataset, figure.subplots(), name, spec.compare, logarithmic)

    return drawn


def _shown(values: xr.DataArray) -> xr.DataArray:
    """In the unit that a figure shows."""
    unit = str(values.attrs.get("units", ""))
    if unit == "m-3":
        return (values * PER_CUBIC_MICROMETRE).assign_attrs(values.attrs, units="µm-3")
    return values


def _curves(
    dataset: xr.Dataset, axes: Axes, name: str, compare: str | None = None, logarithmic: bool = True
) -> None:
    """Curves over the run with those beside them, dashed."""
    along = _over(dataset)
    values = _shown(stored(dataset, name))
    others = [str(dim) for dim in values.dims if dim != along]
    horizontal, unit = _horizontal(values[along])
    table = values.transpose(*others, along).values.reshape(-1, values.sizes[along])
    beside = None
    if compare and f"{name}_{compare}" in dataset:
        beside = _shown(dataset[f"{name}_{compare}"]).transpose(*others, along).values.reshape(table.shape)
    chosen = evenly(len(table), MAX_SPECTRA)
    style = "o-" if len(horizontal) <= MARKED else "-"
    for number, (colour, row) in enumerate(zip(_colours(len(chosen)), chosen, strict=True)):
        index = np.unravel_index(row, [values.sizes[dim] for dim in others])
        parts = [
            value_text(values[dim], int(k))
            for dim, k in zip(others, index, strict=True)
            if values.sizes[dim] > 1
        ]
        label = ", ".join(parts) or ("computed" if beside is not None else None)
        axes.plot(
            horizontal,
            table[row],
            "o" if beside is not None and style == "o-" else style,
            markersize=3,
            linewidth=1.2,
            color=colour,
            label=label,
        )
        if beside is not None:
            label = None if number + 1 < len(chosen) or compare is None else BESIDE[compare]
            axes.plot(horizontal, beside[row], "k--", linewidth=0.9, label=label)
    _scales(axes, along, values.values, logarithmic)
    if len(horizontal) > 1 and along == "time":
        axes.set_xlim(horizontal[horizontal > 0.0][0], horizontal[-1])
    axes.set(
        xlabel=label_of(values[along], unit), ylabel=label_of(values, str(values.attrs.get("units", "")))
    )
    draw_legend(axes, False)


def _horizontal(coordinate: xr.DataArray) -> tuple[Floats, str]:
    """Values and unit of the axis of the run; times and strengths run over decades, without a prefix."""
    if coordinate.name == "time":
        return coordinate.values, "s"
    if coordinate.name == "strength":
        shown = coordinate.values * float(coordinate.attrs.get("factor", 1.0))
        return shown, str(coordinate.attrs.get("shown_units", "1"))
    return with_prefix(coordinate)


def _scales(axes: Axes, along: str, values: Floats, logarithmic: bool) -> None:
    if along in ("time", "strength"):
        axes.set_xscale("log")
    finite = values[np.isfinite(values)]
    if logarithmic and finite.size and finite.min() > 0.0 and finite.max() > 3.0 * finite.min():
        axes.set_yscale("log")
    else:
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)


def _inverse_density(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """1/n − 1/n(0) over time: a line of slope 1 where quasiparticles recombine."""

    def risen(name: str) -> xr.DataArray:
        values = 1.0 / _shown(stored(dataset, name))
        values = values - values.isel(time=0)
        return values.assign_attrs(units="µm3", symbol="$1/n_\\mathrm{qp}-1/n_\\mathrm{qp}(0)$")

    names = ["n_qp"] + [f"n_qp_{spec.compare}"] * bool(spec.compare)
    figure.set_size_inches(4.2, 3.0)
    axes = figure.subplots()
    later = dataset.isel(time=slice(1, None))
    _curves(
        later.assign({name: risen(name).isel(time=slice(1, None)) for name in names}),
        axes,
        "n_qp",
        spec.compare,
    )
    axes.set_yscale("log")


def _gap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Δ/Δ0 over the run."""
    ratio = stored(dataset, "gap") / float(dataset.attrs["delta0_eV"])
    ratio = ratio.assign_attrs(units="1", symbol="$\\Delta/\\Delta_0$")
    figure.set_size_inches(4.2, 3.0)
    _curves(dataset.assign(gap=ratio), figure.subplots(), "gap", logarithmic=False)


def _energies(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Energies by volume over the run, as changes since its start, and what all of them leave open."""
    along = _over(dataset)
    figure.set_size_inches(5.0, 3.2)
    axes = figure.subplots()
    horizontal, unit = _horizontal(dataset[along])
    tables = {label: _first(stored(dataset, name), along)[0].values for name, label in ENERGIES.items()}
    changes = {label: table - table[0] for label, table in tables.items()}
    sizes = {label: float(np.nanmax(np.abs(change), initial=0.0)) for label, change in changes.items()}
    for label, change in changes.items():
        # Rounding of what stays is no change.
        if sizes[label] > ROUNDING * max(sizes.values()):
            axes.plot(horizontal, change, linewidth=1.2, label=label)
    if "energy_residual" in dataset:
        residual, _ = _first(dataset["energy_residual"], along)
        axes.plot(horizontal, residual.values, "k:", linewidth=1.0, label="balance")
    _scales(axes, along, np.zeros(0), False)
    axes.set_xlim(horizontal[horizontal > 0.0][0], horizontal[-1])
    axes.set(xlabel=label_of(dataset[along], unit), ylabel="change of energy (J m$^{-3}$)")
    draw_legend(axes, False)


def _pair(first: str, second: str, logarithmic: bool = True) -> Drawing:
    """Two quantities over the run, side by side."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(7.2, 3.0)
        for axes, name in zip(figure.subplots(1, 2), (first, second), strict=True):
            _curves(dataset, axes, name, spec.compare, logarithmic)

    return drawn


def _lifetimes(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Inverse lifetimes in units of τ0 and τ0^pb over energy, as Kaplan et al. show them."""
    along, unit = _over(dataset), float(dataset.attrs["delta0_eV"])
    figure.set_size_inches(7.4, 3.3)
    groups = (
        ("energy", "tau0_s", "\\tau_0", {"scattering": "-", "recombination": "--"}),
        ("omega", "tau0_pb_s", "\\tau_0^\\mathrm{pb}", {"pair_breaking": "-", "absorption": "--"}),
    )
    panels = figure.subplots(1, 2)
    for axes, (axis, time, symbol, kinds) in zip(panels, groups, strict=True):
        scale, last = float(dataset.attrs[time]), RESOLVED * float(dataset["energy"].values[-1])
        for kind, style in kinds.items():
            values, _ = _first(stored(dataset, f"rate_{kind}"), along, axis)
            seen = values[axis].values <= last
            rows = evenly(values.sizes[along], MAX_SPECTRA)
            for colour, row in zip(_colours(len(rows)), rows, strict=True):
                rate = np.where(values.values[row] > 0.0, values.values[row] * scale, np.nan)
                label = value_text(values[along], int(row)) if style == "-" and axis == "energy" else None
                axes.semilogy(
                    values[axis].values[seen] / unit,
                    rate[seen],
                    style,
                    color=colour,
                    linewidth=1.0,
                    label=label,
                )
            if spec.compare and f"rate_{kind}_{spec.compare}" in dataset:
                closed, _ = _first(dataset[f"rate_{kind}_{spec.compare}"], along, axis)
                axes.semilogy(
                    values[axis].values[seen] / unit,
                    closed.values[0, seen] * scale,
                    "k:",
                    linewidth=1.2,
                    label="$T=0$",
                )
        axes.set_xlabel("$E/\\Delta_0$" if axis == "energy" else "$\\omega/\\Delta_0$")
        words = ", ".join(
            f"{kind.replace('_', ' ')} ({'solid' if style == '-' else 'dashed'})"
            for kind, style in kinds.items()
        )
        axes.set_ylabel(f"${symbol}/\\tau$")
        axes.set_title(words, fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=7, loc="outside right center")


KINDS: dict[str, Drawing] = {
    "distribution": _spectra("f", "energy"),
    "phonons": _spectra("n", "omega"),
    "density": _quantity("n_qp"),
    "inverse_density": _inverse_density,
    "x_qp": _quantity("x_qp"),
    "gap": _gap,
    "gap_suppression": _quantity("gap_suppression"),
    "temperatures": _quantity("temperature_qp", logarithmic=False),
    "efficiency": _quantity("eta_pb", logarithmic=False),
    "recombination": _quantity("recombination_rate"),
    "energies": _energies,
    "conductivity": _pair("sigma1", "sigma2"),
    "resonator": _pair("inverse_quality_factor", "frequency_shift"),
    "lifetimes": _lifetimes,
}
"""Kinds of figures and what draws them."""
