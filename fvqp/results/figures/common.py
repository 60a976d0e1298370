"""Base of the figures of all models: curves over an axis, scales with SI prefixes, labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.symmetry import is_mirrored
from fvqp.typing import Floats

PREFIXES = {1e-15: "f", 1e-12: "p", 1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: "", 1e3: "k"}
SYMBOLS = {
    "V_inj": "$V_\\mathrm{inj}$",
    "V_det": "$V_\\mathrm{det}$",
    "supercurrent": "$I_\\mathrm{s}$",
    "I_s": "$I_\\mathrm{s}$",
    "phase": "$\\varphi$",
    "minigap": "$E_\\mathrm{g}$",
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
    "T_lead": "$T_\\mathrm{e}$",
    "f_L": "$f_\\mathrm{L}$",
    "f_T": "$f_\\mathrm{T}$",
    "dos": "$N$",
    "mu_Q": "$\\mu_{Q^*}$",
    "charge_imbalance": "$Q^*$",
    "time": "$t$",
    "x": "$x$",
    "y": "$y$",
    "z": "$z$",
    "strength": "strength",
    "n_qp": "$n_\\mathrm{qp}$",
    "x_qp": "$x_\\mathrm{qp}$",
    "eta_pb": "$\\eta_\\mathrm{pb}$",
    "sigma1": "$\\sigma_1/\\sigma_\\mathrm{n}$",
    "sigma2": "$\\sigma_2/\\sigma_\\mathrm{n}$",
    "inverse_quality_factor": "$1/Q_\\mathrm{i}$",
    "frequency_shift": "$\\delta f/f$",
    "gap_suppression": "$1-\\Delta/\\Delta_0$",
    "temperature_qp": "$T_\\mathrm{qp}$",
    "recombination_rate": "$\\langle1/\\tau_\\mathrm{r}\\rangle$",
}
MAX_CURVES = 8
"""Curves in one panel; of longer sweeps evenly chosen ones are shown."""
MAX_SHIFTED = 16
"""The same where an offset keeps them apart."""
MARKED = 25
"""Points of a curve up to which each has a marker."""
ALIKE = 1e-3
"""Curves that differ by this part of the largest value look the same."""
CHOSEN = ("temperature", "supercurrent", "V_det", "V_inj", "energy", "cell", "junction")
"""What a figure says of the values that it has chosen."""
_POWER = re.compile(r"(?<=[A-Za-zµ])(-?[1-9])\b")
"""An exponent in a unit, such as in m-3."""


def draw_map(axes: Axes, x: Floats, y: Floats, values: Floats, **colours: Any) -> QuadMesh:
    """Draw ``values[y, x]`` as a map that `shown_by` knows; as pixels, also in vector files."""
    image = axes.pcolormesh(x, y, values, rasterized=True, **colours)
    remember(image, x, y, values)
    return image


def remember(image: Collection, x: Floats, y: Floats, values: Floats) -> None:
    """Keep with a map or a surface the places and values ``values[y, x]`` that it shows."""
    image._fvqp_numbers = x, y, values  # type: ignore[attr-defined]


def shown_by(image: Collection) -> tuple[Floats, Floats, Floats] | None:
    """Return the places along both axes and the values of a map or a surface; None of anything else."""
    return getattr(image, "_fvqp_numbers", None)


@dataclass
class FigureSpec:
    """A figure: what it shows and how.

    ``kind``: one of those of the model; ``file``: its name (default: the kind, as PNG); ``compare =
    "analytic"``: closed forms beside the curves; ``offset``: vertical distance of successive curves in the
    unit of the axis; ``variable``: what ``spectrum``, ``fields``, ``map`` and ``surface`` show; ``limit``:
    end of the colours of a map; ``energy`` (eV): of spectral ``fields``.
    """

    kind: str
    file: str | None = None
    title: str | None = None
    compare: str | None = None
    offset: float | None = None
    variable: str | None = None
    limit: float | None = None
    energy: float | None = None


Drawing = Callable[[xr.Dataset, FigureSpec, Figure], None]
"""Draws a figure of one kind."""


def stored(dataset: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset:
        raise FvqpError(f"the results hold no {name}; they hold: {', '.join(map(str, dataset.data_vars))}")
    if not np.isfinite(dataset[name].values).any():
        raise FvqpError(
            f"the results hold no finite value of {name} (was the run stopped before its first point?)"
        )
    return dataset[name]


def reduced(values: xr.DataArray, keep: tuple[str, ...]) -> xr.DataArray:
    """Only the dimensions ``keep``; of others the value nearest to zero (biases) or the first is taken.

    `said` then says which, if another one would have other values.
    """
    for dim in [dim for dim in values.dims if dim not in keep]:
        numeric = dim in ("V_det", "supercurrent", "V_inj")
        row = int(np.abs(values[dim].values).argmin()) if numeric else 0
        first = values.isel({dim: row})
        values = first.drop_vars([dim], errors="ignore") if same(values, first) else first
    return values.transpose(*(dim for dim in keep if dim in values.dims))


def same(values: xr.DataArray, one: xr.DataArray) -> bool:
    """Return whether ``values`` are those of ``one`` along all dimensions that this has not."""
    return bool(np.allclose(*xr.broadcast(values, one), rtol=1e-9, atol=0.0, equal_nan=True))


def said(values: xr.DataArray) -> str:
    """Return the values chosen of dimensions that ``values`` have no longer: a point of the sweep, a
    junction, ...

    Empty if there was nothing to choose.
    """
    chosen = [values[name] for name in CHOSEN if name in values.coords and values[name].ndim == 0]
    return ", ".join(
        f"junction {at.item()}" if at.name == "junction" else name_of(at.expand_dims("at"), 0)
        for at in chosen
    )


def folded(values: xr.DataArray, along: str) -> xr.DataArray:
    """Without negative values of the axis ``along`` where it is its own mirror image and these show what the
    positive ones show; names of the axis' values then have a ± (`name_of`)."""
    at = values[along].values
    if at.dtype.kind not in "fiu" or not (at.min() < 0.0 and is_mirrored(at)):
        return values
    table = values.sortby(along).transpose(along, ...).values
    if not np.allclose(table, table[::-1], rtol=0.0, atol=ALIKE * largest_of(table)):
        return values
    kept = values.isel({along: np.flatnonzero(at >= 0.0)})
    return kept.assign_coords({along: kept[along].assign_attrs(mirrored=True)})


def draw_curves(
    axes: Axes,
    values: xr.DataArray,
    x: str,
    along: str | None,
    offset: float | None,
    scale: float | None = None,
    style: str = "-",
    label: str | None = None,
) -> float:
    """Curves over ``x``, one for each value ``along`` (`shown_rows`); the scale of the vertical axis."""
    along = along if along in values.dims else None
    values = reduced(values, (along, x) if along else (x,)).sortby(x)
    values = folded(values, along) if along else values
    table = np.atleast_2d(values.values)
    chosen = shown_rows(values[along], offset) if along else np.zeros(1, dtype=np.intp)
    horizontal, x_unit = with_prefix(values[x])
    if scale is None:
        highest = max(largest_of(table), abs(offset or 0.0) * (len(chosen) - 1))
        scale = prefix_of(highest)[0] if unit_of(values) else 1.0
    names = [name_of(values[along], row) if along and not label else None for row in chosen]
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    for number, row in enumerate(chosen):
        name = label if label and number == 0 else names[number]
        lift = (offset or 0.0) * number
        colour = {} if style.startswith("k") else {"color": colours[number]}
        marker = "o" if len(horizontal) == 1 else ""
        values_of_row = (table[row] + lift) / scale
        axes.plot(horizontal, values_of_row, style, linewidth=1.1, marker=marker, label=name, **colour)
    unit = f"{PREFIXES[scale]}{unit_of(values)}"
    axes.set_xlabel(label_of(values[x], x_unit))
    notes = [said(values)]
    if offset and len(chosen) > 1:
        notes.append(f"curves {offset / scale:.3g} {unit} apart".replace("  ", " "))
    axes.set_title("; ".join(note for note in notes if note), fontsize=8)
    if not label:
        axes.set_ylabel(label_of(values, unit))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.margins(x=0.02)
    return scale


class _Plain(LogFormatterSciNotation):
    """Numbers such as 0.5 and 60 where the default writes powers of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def plain_logarithms(figure: Figure) -> None:
    """Plain numbers on logarithmic axes of less than two decades, if they are neither large nor small; others
    have powers of ten alone below the figure, where products would run into one another."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            if axis.get_scale() != "log":
                continue
            if 1e-3 <= low and high < min(1e4, 100.0 * low):
                axis.set_major_formatter(_Plain())
                axis.set_minor_formatter(_Plain(minor_thresholds=(1.0, 0.4)))
            elif axis is axes.xaxis and high >= 10.0 * low:
                axis.set_minor_formatter(NullFormatter())


def draw_legend(axes: Axes, shifted: bool, loc: str | None = None, title: str = "") -> None:
    """The legend: at ``loc``, or beside the curves if these are many; in their order if shifted."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    place: dict[str, Any] = {"loc": loc} if loc else {}
    if loc is None and len(names) > 4:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    step = -1 if shifted else 1
    axes.legend(handles[::step], names[::step], fontsize=7, title=title or None, title_fontsize=7, **place)


def label_of(values: xr.DataArray, unit: str) -> str:
    """An axis label: symbol and unit; a ratio to Δ0 needs no unit."""
    name = str(values.name)
    symbol = str(
        values.attrs.get("symbol")
        or SYMBOLS.get(name, SYMBOLS.get(name.removesuffix("_junction"), name.replace("_", " ")))
    )
    return f"{symbol} ({unit_text(unit)})" if unit and unit != "1" else symbol


def unit_text(unit: str) -> str:
    """A unit with its exponents raised."""
    return _POWER.sub(lambda match: f"$^{{{match[1]}}}$", unit)


def shown_rows(axis: xr.DataArray, offset: float | None) -> NDArray[np.intp]:
    """Return the curves that one panel shows of those along ``axis``."""
    return evenly_mirrored(axis.values, MAX_SHIFTED if offset else MAX_CURVES)


def evenly_mirrored(at: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Rows of up to ``most`` of the values ``at``, evenly chosen.

    Of values in order that are their own mirror image both signs of the same ones, and zero if it is there.
    """
    count = len(at)
    if at.dtype.kind not in "fiu" or not (at[0] != 0.0 and np.allclose(at, -at[::-1], rtol=1e-9, atol=0.0)):
        return evenly(count, most)
    upper = count // 2 + evenly(count - count // 2, (most + count % 2) // 2)
    return np.union1d(upper, count - 1 - upper)


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Up to ``most`` of ``count`` numbers, evenly chosen, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.intp))


def name_of(coordinate: xr.DataArray, row: int) -> str:
    if coordinate.dtype.kind not in "fiu":
        return str(coordinate.values[row])
    scaled, unit = with_prefix(coordinate)
    sign = "±" if coordinate.attrs.get("mirrored") and scaled[row] else ""
    return f"{label_of(coordinate, '')} = {sign}{scaled[row]:.3g} {'' if unit == '1' else unit}".rstrip()


def value_text(coordinate: xr.DataArray, row: int) -> str:
    """One value of an axis over decades, with a prefix or power of ten of its own.

    Attributes ``factor`` and ``shown_units`` of the axis say in which quantity it is read.
    """
    if coordinate.dtype.kind not in "fiu":
        return str(coordinate.values[row])
    value = float(coordinate.values[row]) * float(coordinate.attrs.get("factor", 1.0))
    unit = str(coordinate.attrs.get("shown_units", unit_of(coordinate)))
    if unit in ("s", "K", "V", "A", "Hz"):
        # lifted by what rounding to three digits lifts it
        power, prefix = prefix_of(float(f"{abs(value):.3g}")) if value else (1.0, "")
        value, unit = value / power, f"{prefix}{unit}"
    text = f"{value:.3g}"
    if "e" in text or abs(value) >= 1e4:
        mantissa, exponent = f"{value:.2e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"$10^{{{int(exponent)}}}$" if mantissa == "1" else f"${mantissa}\\cdot10^{{{int(exponent)}}}$"
    return f"{label_of(coordinate, '')} = {text} {'' if unit == '1' else unit_text(unit)}".rstrip()


def unit_of(values: xr.DataArray) -> str:
    unit = str(values.attrs.get("units", ""))
    return "" if unit == "1" else unit


def largest_of(values: Floats) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 1.0


def prefix_of(largest: float) -> tuple[float, str]:
    """Power of a thousand below ``largest`` and its SI prefix."""
    fitting = [power for power in PREFIXES if power <= largest * (1 + 1e-9)]
    power = max(fitting) if fitting else 1.0
    return power, PREFIXES[power]


def with_prefix(values: xr.DataArray) -> tuple[Floats, str]:
    """Values in a unit with a fitting prefix, and that unit."""
    unit = unit_of(values)
    power, prefix = prefix_of(largest_of(values.values)) if unit else (1.0, "")
    if unit == "V" and power < 1e-3 and largest_of(values.values) > 1e-5:
        # Biases are read in millivolt.
        power, prefix = 1e-3, "m"
    return values.values / power, f"{prefix}{unit}" if unit else "1"
