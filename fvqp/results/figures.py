"""Figures of a results folder, laid out like those of Ryan, Beckmann, Chandrasekhar (2026), Figs. 10-13.

Everything is drawn from the dataset alone, so that ``fvqp plot`` redraws without computing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.files import replacing
from fvqp.results.symmetry import symmetry_parts

PREFIXES = {1e-15: "f", 1e-12: "p", 1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: "", 1e3: "k"}
SYMBOLS = {
    "V_inj": "$V_\\mathrm{inj}$",
    "V_det": "$V_\\mathrm{det}$",
    "supercurrent": "$I_\\mathrm{s}$",
    "I_s": "$I_\\mathrm{s}$",
    "phase_gradient": "$\\xi\\,\\partial_x\\varphi$",
    "g_nl": "$g_\\mathrm{nl}$",
    "g_ss": "$g_\\mathrm{ss}$",
    "g_sa": "$g_\\mathrm{sa}$",
    "g_a": "$g_\\mathrm{a}$",
    "g_s": "$g_\\mathrm{s}$",
    "G_inj": "$G_\\mathrm{inj}$",
    "gap": "$\\Delta$",
    "energy": "$\\epsilon$",
    "temperature": "$T$",
    "f_L": "$f_\\mathrm{L}$",
    "f_T": "$f_\\mathrm{T}$",
    "dos": "$N$",
    "mu_Q": "$\\mu_{Q^*}$",
    "charge_imbalance": "$Q^*$",
}
MOST_CURVES = 8
"""Curves in one panel; of longer sweeps evenly chosen ones are shown."""


@dataclass
class FigureSpec:
    """A figure: what it shows and how.

    ``kind``: ``g_ss``, ``g_sa``, ``g_a``, ``g_s``, ``g_nl``, ``gap``, ``local_conductance``,
    ``supercurrent``, ``spectrum`` or ``fields``; ``file``: its name (default: the kind, as PNG); ``compare
    = "analytic"``: the closed form beside g_ss; ``offset``: vertical distance of successive curves in
    siemens; ``variable``: what ``spectrum`` and ``fields`` show.
    """

    kind: str
    file: str | None = None
    title: str | None = None
    compare: str | None = None
    offset: float | None = None
    variable: str | None = None


def draw(dataset: xr.Dataset, spec: FigureSpec, folder: Path) -> Path:
    """Draws a figure into ``folder``; its file. Raises :class:`FvqpError` if it cannot be drawn."""
    if spec.kind not in KINDS:
        raise FvqpError(f'there is no figure of kind "{spec.kind}"; there are: {", ".join(KINDS)}')
    path = folder / (spec.file or f"{spec.kind}.png")
    with matplotlib.rc_context({"font.size": 9, "axes.grid": False, "legend.frameon": False}):
        figure = Figure(layout="constrained", dpi=160)
        KINDS[spec.kind](dataset, spec, figure)
        title = spec.title or dataset.attrs.get("title")
        if title:
            figure.suptitle(title, fontsize=9)
        try:
            with replacing(path) as part:
                figure.savefig(part, format=path.suffix[1:])
        except ValueError as error:
            # What stands between two $ is a formula, and may be none.
            reason = str(error).strip().splitlines()[-1]
            raise FvqpError(f"{path.name}: a title or name in it is no valid formula: {reason}") from None
    return path


def _g_ss(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _not_negative(_part(dataset, "g_ss"))
    currents = dataset["phase_gradient"] if "phase_gradient" in dataset.coords else None
    two = currents is not None and currents.ndim == 1 and currents.size > 2
    figure.set_size_inches(7.2 if two else 4.0, 3.0)
    axes = figure.subplots(1, 2, width_ratios=(1.6, 1)) if two else [figure.subplots()]
    curves = _curves(axes[0], values, "V_inj", "supercurrent", spec.offset)
    if spec.compare == "analytic":
        analytic = _not_negative(_variable(dataset, "g_ss_analytic"))
        _curves(
            axes[0],
            analytic,
            "V_inj",
            "supercurrent",
            spec.offset,
            scale=curves,
            style="k--",
            label="analytic",
        )
    if two:
        _supercurrent_axes(dataset, axes[1])
        axes[0].set_title("a", loc="left", weight="bold")
        axes[1].set_title("b", loc="left", weight="bold")


def _g_a(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _part(dataset, "g_a")
    figure.set_size_inches(4.0, 3.4)
    values = values.isel(supercurrent=np.flatnonzero(values["supercurrent"].values > 0)).sortby(
        "supercurrent"
    )
    _curves(figure.subplots(), values, "V_inj", "supercurrent", spec.offset)


def _g_sa(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _part(dataset, "g_sa")
    if "supercurrent" in values.dims:
        values = values.isel(supercurrent=int(np.abs(values["supercurrent"].values).argmin()))
    mapped = "V_det" in values.dims and values.sizes["V_det"] > 1
    figure.set_size_inches(7.2 if mapped else 4.0, 3.2)
    axes = figure.subplots(1, 2) if mapped else [figure.subplots()]
    _curves(axes[0], values, "V_inj", "V_det", spec.offset)
    if mapped:
        table = _reduced(values, ("V_det", "V_inj")).sortby(["V_det", "V_inj"])
        limit = float(np.nanmax(np.abs(table.values))) or 1.0
        scale, unit = _scale(limit)
        bias, bias_unit = _scaled(table["V_inj"])
        detector, detector_unit = _scaled(table["V_det"])
        image = axes[1].pcolormesh(
            bias, detector, table.values / scale, cmap="RdBu_r", vmin=-limit / scale, vmax=limit / scale
        )
        figure.colorbar(image, ax=axes[1], label=f"{SYMBOLS['g_sa']} ({unit}S)")
        axes[1].set(
            xlabel=f"{SYMBOLS['V_inj']} ({bias_unit})", ylabel=f"{SYMBOLS['V_det']} ({detector_unit})"
        )


def _family(name: str) -> Callable[[xr.Dataset, FigureSpec, Figure], None]:
    """A panel of curves over V_inj, one for every value of whatever else was swept."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        values = _part(dataset, name) if name in ("g_s", "g_nl") else _variable(dataset, name)
        if "cell" in values.dims:
            values = values.min("cell", keep_attrs=True)
        others = [dim for dim in values.dims if dim != "V_inj" and values.sizes[dim] > 1]
        figure.set_size_inches(4.0, 3.0)
        _curves(figure.subplots(), values, "V_inj", str(others[-1]) if others else None, spec.offset)

    return drawn


def _supercurrent(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    figure.set_size_inches(3.6, 3.0)
    _supercurrent_axes(dataset, figure.subplots())


def _supercurrent_axes(dataset: xr.Dataset, axes: Axes) -> None:
    if "phase_gradient" not in dataset.coords:
        raise FvqpError("the results hold no phase_gradient to draw the supercurrent over")
    gradient = dataset["phase_gradient"]
    currents = _reduced(dataset["I_s"], ("supercurrent",)) if "I_s" in dataset else dataset["supercurrent"]
    order = np.argsort(gradient.values)
    values, unit = _scaled(currents)
    axes.plot(gradient.values[order], values[order], "o-", markersize=3)
    axes.set(xlabel=SYMBOLS["phase_gradient"], ylabel=f"{SYMBOLS['supercurrent']} ({unit})")


def _spectrum(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _variable(dataset, spec.variable or "f_L")
    if "energy" not in values.dims:
        raise FvqpError(f"{values.name} has no energy dimension to draw a spectrum over")
    figure.set_size_inches(4.0, 3.0)
    others = [str(dim) for dim in values.dims if dim not in ("energy", "cell") and values.sizes[dim] > 1]
    along = "V_inj" if "V_inj" in others else others[-1] if others else None
    _curves(figure.subplots(), values, "energy", along, spec.offset)


def _fields(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _variable(dataset, spec.variable or "gap")
    if "cell" not in values.dims:
        raise FvqpError(f"{values.name} is not stored cell by cell; name it in output.stored")
    figure.set_size_inches(4.6, 3.0)
    axes = figure.subplots()
    places = [np.asarray(dataset[name].values) for name in "xy"]
    if np.ptp(places[1]) <= 1e-12 * np.ptp(places[0]):
        along = "V_inj" if "V_inj" in values.dims else None
        _curves(axes, values.assign_coords(x=dataset["x"]).swap_dims(cell="x"), "x", along, spec.offset)
        return
    last = values.isel(V_inj=-1) if "V_inj" in values.dims else values
    shown, unit = _scaled(_reduced(last, ("cell",)))
    scale, prefix = _scale(max(np.abs(place).max() for place in places))
    image = axes.scatter(places[0] / scale, places[1] / scale, c=shown, s=4, linewidths=0)
    figure.colorbar(image, ax=axes, label=f"{SYMBOLS.get(str(values.name), str(values.name))} ({unit})")
    axes.set(xlabel=f"x ({prefix}m)", ylabel=f"y ({prefix}m)")


KINDS: dict[str, Callable[[xr.Dataset, FigureSpec, Figure], None]] = {
    "g_ss": _g_ss,
    "g_sa": _g_sa,
    "g_a": _g_a,
    "g_s": _family("g_s"),
    "g_nl": _family("g_nl"),
    "gap": _family("gap"),
    "local_conductance": _family("G_inj"),
    "supercurrent": _supercurrent,
    "spectrum": _spectrum,
    "fields": _fields,
}
"""Kinds of figures and what draws them."""


def _variable(dataset: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset:
        raise FvqpError(f"the results hold no {name}; they hold: {', '.join(map(str, dataset.data_vars))}")
    if not np.isfinite(dataset[name].values).any():
        raise FvqpError(
            f"the results hold no finite value of {name} (was the run stopped before its first point?)"
        )
    return dataset[name]


def _part(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """``g_ss``, ... as stored, or from ``g_nl``."""
    if name in dataset:
        return _variable(dataset, name)
    parts = symmetry_parts(_variable(dataset, "g_nl"))
    if name not in parts:
        raise FvqpError(f"{name} needs a sweep of the supercurrent")
    return _variable(parts, name)


def _not_negative(values: xr.DataArray) -> xr.DataArray:
    if "supercurrent" not in values.dims:
        return values
    return values.isel(supercurrent=np.flatnonzero(values["supercurrent"].values >= 0)).sortby("supercurrent")


def _reduced(values: xr.DataArray, keep: tuple[str, ...]) -> xr.DataArray:
    """Only the dimensions ``keep``; of others the value nearest to zero (biases) or the first is taken."""
    for dim in [dim for dim in values.dims if dim not in keep]:
        numeric = dim in ("V_det", "supercurrent", "V_inj")
        values = values.isel({dim: int(np.abs(values[dim].values).argmin()) if numeric else 0})
    return values.transpose(*(dim for dim in keep if dim in values.dims))


def _curves(
    axes: Axes,
    values: xr.DataArray,
    x: str,
    along: str | None,
    offset: float | None,
    scale: float | None = None,
    style: str = "-",
    label: str | None = None,
) -> float:
    """Curves over ``x``, one for each value ``along`` (up to eight); the scale of the vertical axis."""
    along = along if along in values.dims else None
    values = _reduced(values, (along, x) if along else (x,)).sortby(x)
    table = np.atleast_2d(values.values)
    chosen = np.unique(np.linspace(0, len(table) - 1, min(MOST_CURVES, len(table))).round().astype(int))
    horizontal, x_unit = _scaled(values[x])
    if scale is None:
        scale = _scale(_largest(table))[0]
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    for number, row in enumerate(chosen):
        name = label if label and number == 0 else None
        if along and not label:
            name = _named(values[along], row)
        lift = (offset or 0.0) * number
        colour = {} if style.startswith("k") else {"color": colours[number]}
        axes.plot(horizontal, (table[row] + lift) / scale, style, linewidth=1.1, label=name, **colour)
    unit = f"{PREFIXES[scale]}{_unit(values)}"
    axes.set_xlabel(f"{SYMBOLS.get(x, x)} ({x_unit})")
    if not label:
        axes.set_ylabel(SYMBOLS.get(str(values.name), str(values.name)) + (f" ({unit})" if unit else ""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    handles, names = axes.get_legend_handles_labels()
    if names:
        # Beside the curves when there are many, in the order in which these lie when they are shifted.
        beside: dict[str, Any] = (
            {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(names) > 4 else {}
        )
        step = -1 if offset else 1
        axes.legend(handles[::step], names[::step], fontsize=7, **beside)
    return scale


def _named(coordinate: xr.DataArray, row: int) -> str:
    if coordinate.dtype.kind not in "fiu":
        return str(coordinate.values[row])
    scaled, unit = _scaled(coordinate)
    return f"{SYMBOLS.get(str(coordinate.name), str(coordinate.name))} = {scaled[row]:.3g} {unit}"


def _unit(values: xr.DataArray) -> str:
    unit = str(values.attrs.get("units", ""))
    return "" if unit == "1" else unit


def _largest(values: NDArray[np.float64]) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 1.0


def _scale(largest: float) -> tuple[float, str]:
    """Power of a thousand below ``largest`` and its SI prefix."""
    fitting = [power for power in PREFIXES if power <= largest * (1 + 1e-9)]
    power = max(fitting) if fitting else 1.0
    return power, PREFIXES[power]


def _scaled(values: xr.DataArray) -> tuple[NDArray[np.float64], str]:
    """Values in a unit with a fitting prefix, and that unit."""
    unit = _unit(values)
    power, prefix = _scale(_largest(values.values)) if unit else (1.0, "")
    return values.values / power, f"{prefix}{unit}" if unit else "1"
