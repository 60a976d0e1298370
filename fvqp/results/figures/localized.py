"""Figures of localized quasiparticles: concentration over generation, packing of bubbles, decay, profiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fvqp.results.figures.common import (
    Drawing,
    DrawnPoint,
    FigureSpec,
    displayed,
    draw_legend,
    panel,
    points_of,
    stored,
)
from fvqp.typing import Floats

SPINS = {"none": "no spin", "conserved": "spins conserved"}
MARKERS = "osD^v<>p"
PACKING, PACKING_CONSERVED = (0.605, 0.008), (2.19, 0.05)
"""C_p of bubbles without spin, and with spins that are conserved, as published."""


def _points(dataset: xr.Dataset, *dims: str) -> list[DrawnPoint]:
    """Chosen points along axes, with the names of radii and spins that figures say."""
    symbol = "$r$" if dataset.attrs["pairs"] == "bubbles" else "$r_\\mathrm{c}$"
    named = dataset.assign_coords(
        radius=dataset["radius"].assign_attrs(units="m", symbol=symbol),
        spin=[_spin(str(name)) for name in dataset["spin"].values],
    )
    return points_of(named, dims)


def _spin(name: str) -> str:
    if name in SPINS:
        return SPINS[name]
    number, unit = name.split()
    return f"$\\tau$ = {float(number):.3g} {unit}"


def _concentration(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """c over A on logarithmic scales, a curve for each radius; black: mean field."""
    dataset = dataset.map(displayed)
    axes = panel(figure, 4.8, 3.8)
    generation = displayed(dataset["generation"]).values
    name = "concentration" if "concentration" in dataset else "concentration_law"
    stored(dataset, name)
    for number, (at, label, colour) in enumerate(_points(dataset, "radius", "spin")):
        point = dataset.isel(at)
        if name == "concentration":
            axes.errorbar(
                generation, point["concentration"], point["concentration_error"],
                fmt=MARKERS[number % len(MARKERS)], color=colour, markersize=4, linewidth=1.0,
                label=label or "simulation",
            )  # fmt: skip
        if "concentration_law" in point and np.isfinite(point["concentration_law"]).any():
            axes.plot(
                generation, point["concentration_law"], color=colour, linewidth=0.9,
                label=None if name == "concentration" else label or "law of annihilation",
            )  # fmt: skip
    if "concentration_mean_field" in dataset:
        mean_field = dataset["concentration_mean_field"].isel(radius=0, spin=0)
        axes.plot(generation, mean_field, "k", linewidth=1.2, label="mean field")
    if name == "concentration" and "concentration_law" in dataset:
        axes.plot([], [], color="0.5", linewidth=0.9, label="law of annihilation")
    axes.set(
        xscale="log", yscale="log", xlabel="$A$ (µm$^{-3}$ s$^{-1}$)", ylabel="$c$ (µm$^{-3}$)"
    )  # fmt: skip
    draw_legend(axes, False, "lower right")


def _packing(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """C_p over the spin-flip time; bands: published values without spin, and with conserved spins."""
    axes = panel(figure, 4.8, 3.4)
    stored(dataset, "packing_coefficient")
    times = dataset["flip_time"].values
    for number, (at, label, colour) in enumerate(_points(dataset, "radius", "generation")):
        point = dataset.isel(at)
        values, errors = point["packing_coefficient"].values, point["packing_coefficient_error"].values
        volume = 4.0 * math.pi / 3.0 * float(point["radius"]) ** 3
        zeta = times * float(point["generation"]) * volume
        flips = np.isfinite(zeta)
        style: dict[str, Any] = {"fmt": MARKERS[number], "color": colour, "markersize": 4, "linewidth": 1.0}
        axes.errorbar(zeta[flips], values[flips], errors[flips], label=label or "spin flips", **style)
        low = zeta[flips].min() if flips.any() else 1.0
        high = zeta[flips].max() if flips.any() else 1.0
        ends = {
            "none": (np.isnan(times), 0.4 * low, "none"),
            "conserved": (np.isinf(times), 2.5 * high, "full"),
        }
        for name, (which, x, fill) in ends.items():
            if which.any():
                text = SPINS[name] if number == 0 else None
                axes.errorbar(
                    [x], values[which], errors[which], fmt="k*", fillstyle=fill, markersize=8, label=text
                )
    for (mean, error), text in zip((PACKING, PACKING_CONSERVED), ("published", None), strict=True):
        axes.axhspan(mean - error, mean + error, color="0.85", zorder=0, label=text)
    axes.set(
        xscale="log",
        xlabel="$\\zeta=4\\pi Ar^3\\tau_\\mathrm{sf}/3$",
        ylabel="$C_\\mathrm{p}$",
        ylim=(0.0, None),
    )
    draw_legend(axes, False, "lower right")


def _relaxation(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Decay of the concentration, and growth of the distance r of c = C_p/(4πr³/3)."""
    dataset = dataset.map(displayed)
    figure.set_size_inches(7.4, 3.2)
    concentration, distance = figure.subplots(1, 2)
    name = "decay" if "decay" in dataset else "decay_law"
    stored(dataset, name)
    time = dataset["time"].values
    for at, label, colour in _points(dataset, "radius", "spin", "generation"):
        point = dataset.isel(at)
        if name == "decay":
            error = point["decay_error"].values if "decay_error" in point else np.zeros(len(time))
            concentration.errorbar(
                time, point["decay"], error, fmt="o", color=colour, markersize=3,
                linewidth=0.8, label=label or "simulation",
            )  # fmt: skip
            distance.plot(time, _distance(point["decay"].values), "o", color=colour, markersize=3)
        if "decay_law" in point and np.isfinite(point["decay_law"]).any():
            law = point["decay_law"].values
            concentration.plot(time, law, color=colour, linewidth=1.0, label="law of annihilation")
            distance.plot(time, _distance(law), color=colour, linewidth=1.0)
    concentration.set(xscale="log", yscale="log", xlabel="$t$ (s)", ylabel="$c$ (µm$^{-3}$)")
    distance.set(xscale="log", xlabel="$t$ (s)", ylabel="$r$ (µm)")
    draw_legend(concentration, False, "lower left")


def _distance(concentration: Floats) -> Floats:
    """r of c = C_p/(4πr³/3), µm, of concentrations in µm⁻³."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.cbrt(3.0 * PACKING[0] / (4.0 * math.pi * concentration)))


def _profile(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Generation and concentration along x (means over cells of equal x)."""
    stored(dataset, "generation_cell")
    dataset = dataset.map(displayed)
    figure.set_size_inches(4.8, 4.4)
    above, below = figure.subplots(2, 1, sharex=True)
    x, inverse = np.unique(np.round(dataset["x"].values * 1e6, 6), return_inverse=True)
    count = np.bincount(inverse)

    def mean(values: xr.DataArray) -> Floats:
        return np.asarray(np.bincount(inverse, values.values) / count)

    for at, label, colour in _points(dataset, "radius", "spin", "generation"):
        point = dataset.isel(at)
        above.plot(x, mean(point["generation_cell"]), color=colour, linewidth=1.2)
        if "concentration_cell" in point:
            error = np.sqrt(np.bincount(inverse, point["concentration_cell_error"].values ** 2))
            below.errorbar(
                x, mean(point["concentration_cell"]), error / count, fmt="o", color=colour, markersize=3,
                linewidth=0.8, label=", ".join(filter(None, ["simulation", label])),
            )  # fmt: skip
        if "concentration_cell_law" in point and np.isfinite(point["concentration_cell_law"]).any():
            below.plot(x, mean(point["concentration_cell_law"]), color=colour, linewidth=1.2,
                       label=", ".join(filter(None, ["law of annihilation", label])))  # fmt: skip
    above.set(yscale="log", ylabel="$A$ (µm$^{-3}$ s$^{-1}$)")
    below.set(yscale="log", xlabel="$x$ (µm)", ylabel="$c$ (µm$^{-3}$)")
    draw_legend(below, False, "best")


KINDS: dict[str, Drawing] = {
    "concentration": _concentration,
    "packing": _packing,
    "relaxation": _relaxation,
    "profile": _profile,
}
"""Kinds of figures and what draws them."""
