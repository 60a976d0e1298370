"""Figures of clusters of quasiparticles with spin: distributions, moments, noise, evolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fvqp.results.figures.cluster_diagram import phase_diagram
from fvqp.results.figures.common import (
    MAX_CURVES,
    Drawing,
    DrawnPoint,
    FigureSpec,
    draw_legend,
    evenly,
    label_of,
    name_of,
    panel,
    points_of,
    stored,
    with_prefix,
)

MIN_SHOWN = 1e-7
"""Probabilities below this part of the largest are not shown."""
SPINS = {"quantum": "quantum", "ising": "Ising"}
STYLES: dict[str, Any] = {
    "master": "-",
    "simplified": "--",
    "fokker_planck": ":",
    "trajectory": "",
    "mean_field": "-.",
}
NAMES = {
    "master": "$P(N,m)$",
    "simplified": "$P(N)$",
    "fokker_planck": "Fokker-Planck",
    "trajectory": "Gillespie",
    "mean_field": "mean field",
}


def _clusters(
    dataset: xr.Dataset, name: str
) -> Iterator[tuple[tuple[float, ...], str, str, xr.DataArray, xr.Dataset]]:
    """Chosen clusters: colour, label, equation, the variable, and everything of the point."""
    for at, label, colour in _points(dataset, "spin", "generation", "volume"):
        for equation in range(dataset.sizes["equation"]):
            point = dataset.isel({**at, "equation": equation})
            if name in point and np.isfinite(point[name].values).any():
                yield colour, label, str(point["equation"].values), point[name], point


def _points(dataset: xr.Dataset, *dims: str) -> list[DrawnPoint]:
    """Chosen points along axes; a single one has the name of its value along the second of these."""
    named = dataset.assign_coords(spin=[SPINS[str(name)] for name in dataset["spin"].values])
    alone = name_of(dataset[dims[1]], 0)
    return [one._replace(name=one.name or alone) for one in points_of(named, dims)]


def _distribution(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """P(N) in units of 1/N0 over N/N0, and Eq. (7)."""
    figure.set_size_inches(7.4, 3.4)
    stored(dataset, "P")
    linear, logarithmic = figure.subplots(1, 2)
    seen: set[str] = set()
    numbers = dataset["N"].values
    reach = 0.0
    for colour, label, equation, values, point in _clusters(dataset, "P"):
        scale = float(point["N_scale"])
        closed = point["P_analytic"].values * scale
        curve = values.values * scale
        x = numbers / scale
        inside = closed > MIN_SHOWN * closed.max()
        reach = max(reach, float(x[inside].max()))
        for axes in (linear, logarithmic):
            if equation == "trajectory":
                every = max(len(x[inside]) // 40, 1)
                shown = np.where(curve > 0.0, curve, np.nan)[inside][::every]
                axes.plot(x[inside][::every], shown, ".", color=colour, markersize=3)
            else:
                axes.plot(x, curve, STYLES[equation], color=colour, linewidth=1.2,
                          label=label if label not in seen else None)  # fmt: skip
        if label not in seen:
            for axes in (linear, logarithmic):
                axes.plot(x, closed, "k", linewidth=0.6, dashes=(2, 2))
        seen.add(label)
    linear.set(xlim=(0.0, 0.75 * reach), ylim=(0.0, None))
    top = max(line.get_ydata().max() for line in logarithmic.get_lines() if len(line.get_ydata()))
    logarithmic.set(yscale="log", xlim=(0.0, reach), ylim=(MIN_SHOWN * top, 3.0 * top))
    for axes in (linear, logarithmic):
        axes.set_xlabel("$N/N_0$")
    linear.set_ylabel("$N_0\\,P(N)$")
    draw_legend(linear, False)
    _legend_of_equations(logarithmic, dataset, "Eq. (7)")


def _legend_of_equations(
    axes: Axes, dataset: xr.Dataset, closed: str | None, loc: str = "best", shown: str | None = None
) -> None:
    """Add a legend of the equations of the lines, and of thin ones, ``closed``; if ``shown`` is given,
    behind the names of the curves, and of the equations that have it."""
    handles: list[Any] = axes.get_legend_handles_labels()[0] if shown else []
    for row, name in enumerate(map(str, dataset["equation"].values)):
        if shown and not np.isfinite(dataset[shown].isel(equation=row)).any():
            continue
        line = Line2D([], [], color="0.4", marker="" if STYLES[name] else ".", label=NAMES[name])
        line.set_linestyle(STYLES[name] or "none")
        handles.append(line)
    if closed:
        handles.append(Line2D([], [], color="k", linewidth=0.6, dashes=(2, 2), label=closed))
    place: dict[str, Any] = {"loc": loc}
    axes.legend(handles=handles, fontsize=7, **place)


def _moments(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Mean and width of N over generation, and both over those of Eq. (7)."""
    figure.set_size_inches(7.4, 3.2)
    absolute, relative = figure.subplots(1, 2)
    generation, unit = with_prefix(dataset["generation"])
    stored(dataset, "N_mean")
    for at, label, colour in _points(dataset, "spin", "volume"):
        first = dataset.isel(at)
        absolute.plot(
            generation, first["N_mean_analytic"].isel(equation=0), "k", linewidth=0.6, dashes=(2, 2)
        )
        absolute.plot(
            generation, np.sqrt(first["N_variance_analytic"].isel(equation=0)), "k", linewidth=0.6,
            dashes=(2, 2),
        )  # fmt: skip
        for row, equation in enumerate(map(str, dataset["equation"].values)):
            point = first.isel(equation=row)
            mean, width = point["N_mean"].values, np.full(len(generation), np.nan)
            if "N_variance" in point:
                width = np.sqrt(point["N_variance"].values)
            marker = {"marker": "o", "markersize": 2.5} if equation == "trajectory" else {}
            for axes, upper, lower in (
                (absolute, mean, width),
                (
                    relative,
                    mean / point["N_mean_analytic"].values,
                    width / np.sqrt(point["N_variance_analytic"].values),
                ),
            ):
                axes.plot(generation, upper, linestyle=STYLES[equation] or "none", color=colour,
                          linewidth=1.2, label=label if row == 0 else None, **marker)  # fmt: skip
                axes.plot(generation, lower, linestyle=STYLES[equation] or "none", color=colour,
                          linewidth=0.7, **marker)  # fmt: skip
    absolute.set(
        xscale="log",
        yscale="log",
        ylabel="$\\langle N\\rangle$, $\\sqrt{\\langle\\langle N^2\\rangle\\rangle}$",
    )
    relative.axhline(1.0, color="k", linewidth=0.6, dashes=(2, 2))
    relative.set(xscale="log", ylabel="mean (bold) and width over Eq. (7)")
    for axes in (absolute, relative):
        axes.set_xlabel(label_of(dataset["generation"], unit))
    draw_legend(absolute, False, "upper left")
    _legend_of_equations(relative, dataset, "Eq. (7)")


def _noise(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Flux noise over frequency, one-sided as experiments quote it, and that of large clusters."""
    axes = panel(figure, 4.8, 3.4)
    stored(dataset, "S_flux_one_sided")
    frequency = dataset["frequency"].values
    seen: set[str] = set()
    for colour, label, equation, values, point in _clusters(dataset, "S_flux_one_sided"):
        # Quantum and Ising spins can have the same noise: the curve below is wider.
        below = dataset.sizes["spin"] > 1 and str(point["spin"].values) == "quantum"
        axes.loglog(
            frequency, values.values, STYLES[equation], color=colour, linewidth=3.0 if below else 1.2,
            label=label if label not in seen else None,
        )  # fmt: skip
        if label not in seen and "S_flux_analytic" in point:
            large = 2.0 * float(point["S_flux_analytic"])
            axes.plot(frequency[[0, -1]], [large] * 2, color=colour, linewidth=0.6, dashes=(2, 2))
        seen.add(label)
    axes.set(xlabel="$f$ (Hz)", ylabel="$S_\\Phi$, one-sided ($\\Phi_0^2$/Hz)")
    axes.margins(x=0.0)
    closed = "large clusters, low frequencies" if "S_flux_analytic" in dataset else None
    _legend_of_equations(axes, dataset, closed, "lower left", "S_flux_one_sided")


def _flipped(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Probabilities of m flipped spins."""
    axes = panel(figure, 4.4, 3.2)
    stored(dataset, "P_flipped")
    flipped = dataset["m"].values
    reach = 1.0
    for colour, label, _, values, _ in _clusters(dataset, "P_flipped"):
        shown = np.where(values.values > MIN_SHOWN, values.values, np.nan)
        reach = max(reach, float(flipped[np.isfinite(shown)].max()))
        axes.semilogy(flipped, shown, ".-", color=colour, markersize=3, linewidth=1.0, label=label)
    axes.set(xlabel="$m$", ylabel="$P(m)$", xlim=(-0.02 * reach, 1.02 * reach))
    draw_legend(axes, False)


def _injection(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Number, polarization and flux noise at the lowest frequency over what was swept: the generation, or
    the bias of the earlier run from which generation was taken. Thin: large clusters."""
    quantities = {
        "N_mean": "$\\langle N\\rangle$",
        "polarization": "polarization",
        "S_flux_one_sided": "$S_\\Phi$, one-sided ($\\Phi_0^2$/Hz)",
    }
    thin = {
        "N_mean": "N_scale",
        "polarization": "polarization_analytic",
        "S_flux_one_sided": "S_flux_analytic",
    }
    shown = [name for name in quantities if name in dataset and np.isfinite(dataset[name].values).any()]
    stored(dataset, shown[0] if shown else "N_mean")
    figure.set_size_inches(1.2 + 2.8 * len(shown), 3.0)
    axis = dataset[str(dataset.attrs.get("swept", "generation"))]
    x, unit = with_prefix(axis)
    label = label_of(axis, unit)
    for column, (axes, name) in enumerate(
        zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True)
    ):
        for at, named, colour in _points(dataset, "spin", "volume"):
            point = dataset.isel(at)
            if "frequency" in point[name].dims:
                point = point.isel(frequency=int(np.argmin(point["frequency"].values)))
            for row, equation in enumerate(map(str, dataset["equation"].values)):
                marker = {"marker": "." if STYLES[equation] else "o", "markersize": 4}
                values = point[name].isel(equation=row).values
                style = STYLES[equation] or "none"
                shown_as = named if row == 0 else None
                axes.plot(x, values, linestyle=style, color=colour, linewidth=1.2, label=shown_as, **marker)
            if thin[name] in point:
                factor = 2.0 if name == "S_flux_one_sided" else 1.0
                closed = factor * point[thin[name]].isel(equation=0).values
                axes.plot(x, closed, color=colour, linewidth=0.6, dashes=(2, 2))
        axes.set(xlabel=label, ylabel=quantities[name])
        if axis.name == "generation":
            axes.set_xscale("log")
        if name != "polarization":
            axes.set_yscale("log")
        if column == 0:
            _legend_of_equations(axes, dataset, "large clusters", "lower right", name)
        if name == "S_flux_one_sided":
            axes.set_title(f"$f$ = {float(dataset['frequency'].min()):.3g} Hz", fontsize=8)


def _evolution(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Number and polarization after the start, and P(N) at some times where it is stored; thin lines: in the
    stationary state."""
    stored(dataset, "N_mean_evolution")
    panels = ["N_mean", "polarization"] + (["P"] if "P_evolution" in dataset else [])
    figure.set_size_inches(1.2 + 2.8 * len(panels), 3.2)
    axes = dict(zip(panels, figure.subplots(1, len(panels)), strict=True))
    time = dataset["time"].values
    seen: set[str] = set()
    for colour, label, equation, values, point in _clusters(dataset, "N_mean_evolution"):
        for name in ("N_mean", "polarization"):
            curve = values if name == "N_mean" else point[f"{name}_evolution"]
            error = point["N_mean_error_evolution"] if name == "N_mean" else xr.zeros_like(curve)
            if equation == "trajectory":
                axes[name].errorbar(
                    time, curve, 2.0 * error, fmt=".", color=colour, markersize=3, linewidth=0.7
                )
                continue
            named = label if label not in seen else None
            axes[name].plot(time, curve, STYLES[equation], color=colour, linewidth=1.2, label=named)
            if label not in seen and name in point:
                axes[name].axhline(float(point[name]), color=colour, linewidth=0.6, dashes=(2, 2))
        seen.add(label)
    axes["N_mean"].set(yscale="log", ylabel="$\\langle N\\rangle$")
    axes["polarization"].set(ylabel="$1-2\\langle m\\rangle/\\langle N\\rangle$", ylim=(None, 1.0))
    for name in ("N_mean", "polarization"):
        axes[name].set(xscale="log", xlabel="$t$ (s)")
    if dataset.sizes["generation"] * dataset.sizes["volume"] * dataset.sizes["spin"] > 1:
        draw_legend(axes["N_mean"], False)
    stationary = "stationary" if "polarization" in dataset else None
    _legend_of_equations(axes["polarization"], dataset, stationary)
    if "P" in axes:
        _passing(dataset, axes["P"])


def _passing(dataset: xr.Dataset, axes: Axes) -> None:
    """P(N) of the first cluster at some times, by the first equation that has it."""
    for _, _, equation, values, point in _clusters(dataset, "P_evolution"):
        if equation == "trajectory" and dataset.sizes["equation"] > 1:
            continue
        rows = evenly(dataset.sizes["time"], MAX_CURVES)
        colours = matplotlib.colormaps["plasma"](np.linspace(0, 0.85, len(rows)))
        numbers = dataset["N"].values
        shown = values.isel(time=rows).values
        for curve, row, colour in zip(shown, rows, colours, strict=True):
            name = f"$t$ = {float(dataset['time'][row]):.2g} s"
            axes.plot(numbers, curve, color=colour, linewidth=1.2, label=name)
        axes.plot(numbers, point["P"].values, "k", linewidth=0.6, dashes=(2, 2), label="stationary")
        seen = np.maximum(shown.max(axis=0), point["P"].values) > 1e-3 * float(shown[-1].max())
        axes.set(xlabel="$N$", ylabel="$P(N)$", xlim=(0.0, float(numbers[seen].max())))
        axes.set(yscale="log", ylim=(1e-3 * float(shown[-1].max()), 2.0))
        draw_legend(axes, False)
        return


KINDS: dict[str, Drawing] = {
    "phase_diagram": phase_diagram,
    "distribution": _distribution,
    "moments": _moments,
    "noise": _noise,
    "flipped": _flipped,
    "injection": _injection,
    "evolution": _evolution,
}
"""Kinds of figures and what draws them."""
