"""Figures of a results folder, laid out like those of Ryan, Beckmann, Chandrasekhar (2026), Figs. 10-13.

Everything is drawn from the dataset alone, so that ``fvqp plot`` redraws without computing.
"""

from __future__ import annotations

import re
import textwrap
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
LETTERS_PER_INCH = 13
"""Of a title, so that it stays inside the figure."""
_NAME = re.compile(r"\b\w+_\w+\b")
"""A variable in a title, such as g_ss."""
MOST_CURVES = 8
"""Curves in one panel; of longer sweeps evenly chosen ones are shown."""


MOST_SPECTRA = 5
"""Biases at which the quasiparticles' distribution is shown."""


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
            columns = int(LETTERS_PER_INCH * figure.get_figwidth())
            text = textwrap.fill(str(title), columns)
            figure.suptitle(_NAME.sub(lambda match: SYMBOLS.get(match[0], match[0]), text), fontsize=9)
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
    _legend(axes[0], bool(spec.offset), loc="upper center")
    if two:
        _supercurrent_axes(dataset, axes[1])
        axes[0].set_title("a", loc="left", weight="bold")
        axes[1].set_title("b", loc="left", weight="bold")


def _g_a(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _part(dataset, "g_a")
    figure.set_size_inches(4.0, 3.8 if spec.offset else 3.2)
    values = values.isel(supercurrent=np.flatnonzero(values["supercurrent"].values > 0)).sortby(
        "supercurrent"
    )
    axes = figure.subplots()
    _curves(axes, values, "V_inj", "supercurrent", spec.offset)
    _legend(axes, bool(spec.offset), loc="upper left")


def _g_sa(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _part(dataset, "g_sa")
    if "supercurrent" in values.dims:
        values = values.isel(supercurrent=int(np.abs(values["supercurrent"].values).argmin()))
    mapped = "V_det" in values.dims and values.sizes["V_det"] > 1
    figure.set_size_inches(7.2 if mapped else 4.0, 3.2)
    axes = figure.subplots(1, 2) if mapped else [figure.subplots()]
    _curves(axes[0], values, "V_inj", "V_det", spec.offset)
    _legend(axes[0], bool(spec.offset))
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
        others = [dim for dim in values.dims if dim != "V_inj" and values.sizes[dim] > 1]
        figure.set_size_inches(4.0, 3.0)
        axes = figure.subplots()
        _curves(axes, values, "V_inj", str(others[-1]) if others else None, spec.offset)
        _legend(axes, bool(spec.offset))

    return drawn


def _gap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Δ/Δ0 over eV_inj/Δ0 (Fig. 11a), under every junction; of cells the smallest."""
    values = _in_delta0(dataset, _at_junctions(dataset, "gap"))
    if "cell" in values.dims:
        values = values.min("cell", keep_attrs=True)
    others = [dim for dim in values.dims if dim != "V_inj" and values.sizes[dim] > 1]
    figure.set_size_inches(4.0, 3.0)
    axes = figure.subplots()
    if "V_inj" not in values.dims:
        raise FvqpError("the gap is drawn over V_inj, which these results do not sweep")
    _curves(axes, values, "V_inj", str(others[-1]) if others else None, spec.offset)
    _legend(axes, bool(spec.offset))


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
    """A spectrum over ε/Δ0; of f_L its distance from 1 above the gap, the quasiparticles (Fig. 11b)."""
    values = _in_delta0(dataset, _at_junctions(dataset, spec.variable or "f_L"))
    if "energy" not in values.dims:
        raise FvqpError(f"{values.name} has no energy dimension to draw a spectrum over")
    if values.name in ("f_L", "f_L_junction"):
        values = _quasiparticles(values)
    figure.set_size_inches(4.4, 3.0)
    others = [str(dim) for dim in values.dims if dim not in ("energy", "cell") and values.sizes[dim] > 1]
    along = "V_inj" if "V_inj" in others else others[-1] if others else None
    axes = figure.subplots()
    _curves(axes, values, "energy", along, spec.offset)
    _legend(axes, bool(spec.offset))


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
        _legend(axes, bool(spec.offset))
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
    "gap": _gap,
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
    chosen = _evenly(len(table), MOST_CURVES)
    horizontal, x_unit = _scaled(values[x])
    if scale is None:
        highest = max(_largest(table), abs(offset or 0.0) * (len(chosen) - 1))
        scale = _scale(highest)[0] if _unit(values) else 1.0
    names = [_named(values[along], row) if along and not label else None for row in chosen]
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    for number, row in enumerate(chosen):
        name = label if label and number == 0 else names[number]
        lift = (offset or 0.0) * number
        colour = {} if style.startswith("k") else {"color": colours[number]}
        axes.plot(horizontal, (table[row] + lift) / scale, style, linewidth=1.1, label=name, **colour)
    unit = f"{PREFIXES[scale]}{_unit(values)}"
    axes.set_xlabel(_labelled(values[x], x_unit))
    if not label:
        axes.set_ylabel(_labelled(values, unit))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.02)
    return scale


def _legend(axes: Axes, shifted: bool, loc: str | None = None) -> None:
    """The legend: at ``loc``, or beside the curves if these are many; in their order if shifted."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    place: dict[str, Any] = {"loc": loc} if loc else {}
    if loc is None and len(names) > 4:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    step = -1 if shifted else 1
    axes.legend(handles[::step], names[::step], fontsize=7, **place)


def _labelled(values: xr.DataArray, unit: str) -> str:
    """An axis label: symbol and unit; a ratio to Δ0 needs no unit."""
    name = str(values.name)
    symbol = str(
        values.attrs.get("symbol") or SYMBOLS.get(name, SYMBOLS.get(name.removesuffix("_junction"), name))
    )
    return f"{symbol} ({unit})" if unit and unit != "1" else symbol


def _at_junctions(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A quantity under the junctions; when cells are stored too, these have the plain name."""
    under = f"{name}_junction"
    return _variable(dataset, under if under in dataset else name)


def _in_delta0(dataset: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Energies and injector biases, and values that are energies, divided by Δ0 where the file has it."""
    delta0 = dataset.attrs.get("delta0_eV")
    if delta0 is None:
        return values
    for name, prefix in (("energy", ""), ("V_inj", "e")):
        if name in values.dims:
            coordinate = values[name] / float(delta0)
            symbol = f"${prefix}{SYMBOLS[name].strip('$')}/\\Delta_0$"
            values = values.assign_coords({name: coordinate.assign_attrs(units="1", symbol=symbol)})
    if values.attrs.get("units") == "eV":
        symbol = f"${SYMBOLS['gap'].strip('$')}/\\Delta_0$"
        values = (values / float(delta0)).rename(values.name).assign_attrs(units="1", symbol=symbol)
    return values


def _quasiparticles(values: xr.DataArray) -> xr.DataArray:
    """``1 − f_L`` at energies and biases above the gap, where quasiparticles are."""
    unit = 1.0 if values["energy"].attrs.get("symbol") else None
    if unit is not None:
        values = values.sel(energy=values["energy"].values >= unit)
        if "V_inj" in values.dims and np.any(np.abs(values["V_inj"].values) > unit):
            above = np.flatnonzero(np.abs(values["V_inj"].values) > unit)
            values = values.isel(V_inj=above[_evenly(len(above), MOST_SPECTRA)])
    return (1.0 - values).rename(values.name).assign_attrs(units="1", symbol="$1-f_\\mathrm{L}$")


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """Up to ``most`` of ``count`` numbers, evenly chosen, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.intp))


def _named(coordinate: xr.DataArray, row: int) -> str:
    if coordinate.dtype.kind not in "fiu":
        return str(coordinate.values[row])
    scaled, unit = _scaled(coordinate)
    return f"{_labelled(coordinate, '')} = {scaled[row]:.3g} {'' if unit == '1' else unit}".rstrip()


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
    if unit == "V" and power < 1e-3 and _largest(values.values) > 1e-5:
        # Biases are read in millivolt.
        power, prefix = 1e-3, "m"
    return values.values / power, f"{prefix}{unit}" if unit else "1"
