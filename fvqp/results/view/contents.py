"""Contents of the interactive page of a results folder: axes, variables and shapes, within a budget of
numbers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fvqp.results.dataset import QUANTITIES, opened
from fvqp.results.fields import SUPERCONDUCTING, Steps, read_step, steps_of
from fvqp.results.figures import missing
from fvqp.results.figures.common import SYMBOLS, evenly
from fvqp.results.view.shapes import MICROMETRE, DrawnDevice, shape_of
from fvqp.typing import Floats

FIELD_VALUES, SPECTRUM_VALUES, CURVE_VALUES = 2_000_000, 1_000_000, 300_000
"""Numbers of fields, spectra and curves that a page takes; a number is some five bytes of it."""
FEW = 60
"""Energies or times that show the shape of a spectrum."""
SPECTRAL = ("energy", "omega", "frequency")
"""Axes of spectra."""
HIDDEN = ("completed", "outcome", "next_step", "gap_rate")
"""Bookkeeping."""
HINTS = {
    "transport": "output.occupations = true",
    "usadel": 'output.stored = ["f_L", "f_T", "dos"]',
}
"""Keys of the case that store spectra of cells, by model."""
BCS = ("boltzmann", "transport")
"""Models whose spectra are those of BCS at the gap of the cell, unless they are strongly coupled."""
UNITS = {"m-3": ("µm⁻³", 1e-18)}
"""Units of variables that the page shows in others, and the factor."""
LETTERS = {
    r"\mathrm": "",
    r"\,": "",
    r"\Delta": "Δ",
    r"\epsilon": "ε",
    r"\varphi": "φ",
    r"\partial": "∂",
    r"\sigma": "σ",
    r"\delta": "δ",
    r"\langle": "⟨",
    r"\rangle": "⟩",
    r"\tau": "τ",
    r"\eta": "η",
    r"\mu": "µ",
    r"\xi": "ξ",
}
"""Formulas of symbols, as letters of a page."""
_SUBSCRIPT = re.compile(r"_\{([^{}]+)\}|_([^{}])")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWER = re.compile(r"(?<=[A-Za-z])(-?\d+)")
_LABEL = re.compile(r"(?P<name>\w+) \((?P<unit>\w+)\)")
_AT_ENERGY = re.compile(r"(?P<name>\w+) at (?P<energy>[\d.e+-]+) Delta0")
_PREFIXES = {"m": 1e-3, "n": 1e-9, "u": 1e-6}

Json = dict[str, Any]


@dataclass
class Contents:
    """Axes and variables as they come together."""

    axes: dict[str, Json] = field(default_factory=dict)
    variables: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def axis(self, quantity: str, values: ArrayLike, attributes: Mapping[str, Any]) -> str:
        """Return the name of an axis with these values of a quantity; it is added if there is none."""
        listed = np.asarray(values)
        numeric = listed.dtype.kind in "fiu"
        known: Json = {
            "quantity": quantity,
            "label": str(attributes.get("long_name", quantity.replace("_", " "))),
            "unit": _unit(str(attributes.get("units", "")))[0] if numeric else "",
            "values": [float(f"{v:.9g}") for v in listed] if numeric else [str(v) for v in listed],
        }
        for name, axis in self.axes.items():
            if axis == known:
                return name
        name = f"{quantity}{len(self.axes)}"
        self.axes[name] = known
        return name

    def add(
        self, name: str, kind: str, dims: Sequence[str], values: NDArray[Any], unit: str, meaning: str
    ) -> None:
        """Add a variable of a kind (``field``, ``spectrum``, ``curve``) on axes that are there."""
        shown, factor = _unit(unit, UNITS)
        self.variables.append(
            {
                "name": name,
                "kind": kind,
                "label": meaning or name,
                "symbol": _symbol(name),
                "unit": shown,
                "dims": list(dims),
                "values": encoded(np.asarray(values, dtype=float) * factor, "<f4"),
            }
        )

    def of_cells(self, kind: str) -> bool:
        """Return whether there is a variable of a kind with a value of every cell."""
        return any(
            variable["kind"] == kind and any(self.axes[dim]["quantity"] == "cell" for dim in variable["dims"])
            for variable in self.variables
        )


def _unit(unit: str, converted: Mapping[str, tuple[str, float]] = MappingProxyType({})) -> tuple[str, float]:
    """Return a unit as the page shows it, and the factor to it."""
    return converted.get(
        unit, ("" if unit == "1" else _POWER.sub(lambda m: m[1].translate(_SUPERSCRIPTS), unit), 1.0)
    )


def _symbol(name: str) -> str:
    """Return the symbol of a variable as HTML, or its name."""
    if name not in SYMBOLS:
        return name
    text = re.sub(r"\\mathrm(\{\w+\})", r"\1", SYMBOLS[name])
    for formula, letter in LETTERS.items():
        text = text.replace(formula, letter)
    return _SUBSCRIPT.sub(r"<sub>\1\2</sub>", text.replace("^*", "*")).translate(str.maketrans("", "", "${}"))


def encoded(values: ArrayLike, kind: str) -> str:
    """Return an array as base64 of numbers of a kind, such as ``<f4``."""
    with np.errstate(over="ignore", under="ignore"):
        return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def contents(folder: Path) -> Json:
    """Return everything that the page needs, ready for JSON.

    Raises :class:`FvqpError` if the folder holds no readable results or fields.
    """
    found = Contents()
    with opened(folder / "results.nc") as dataset:
        model = str(dataset.attrs.get("model", ""))
        series = list(_series(folder, dataset))
        shape = shape_of(dataset, series[0].steps.files[0] if series else None)
        if shape is not None:
            _add_fields(found, dataset)
            _add_steps(found, dataset, series)
        _add_spectra(found, dataset)
        if shape is not None and not found.of_cells("spectrum"):
            _add_last_occupations(found, dataset, folder)
        _add_curves(found, dataset)
        if note := missing(dataset):
            found.notes.append(note)
        if shape is None and model in HINTS:
            found.notes.append("these results hold no fields; output.fields of the case asks for them")
        if shape is not None and not found.of_cells("spectrum"):
            hint = f"; {HINTS[model]} in the case stores them" if model in HINTS else ""
            found.notes.append(f"these results hold no spectra of cells{hint}")
        if shape is not None and shape.note:
            found.notes.append(shape.note)
        return {
            "title": str(dataset.attrs.get("title") or folder.name),
            "model": model,
            "folder": folder.resolve().name,
            "source": str(dataset.attrs.get("source", "")),
            "delta0": float(dataset.attrs.get("delta0_eV", 0.0)),
            "bcs": model in BCS and "Z0" not in dataset.attrs and "gap" in dataset,
            "prefer": [str(entry["kind"]) for entry in json.loads(dataset.attrs.get("figures", "[]"))],
            "superconducting": SUPERCONDUCTING,
            "axes": found.axes,
            "variables": found.variables,
            "shape": None if shape is None else _shape(shape, dataset),
            "notes": found.notes,
        }


@dataclass(frozen=True)
class _Series:
    """Steps of fields at one place of the axes that are swept beside that of the steps."""

    outer: dict[str, int]
    steps: Steps


def _series(folder: Path, dataset: xr.Dataset) -> Iterator[_Series]:
    for path in sorted(folder.glob("fields*.pvd")):
        places = re.findall(rf"_({'|'.join(map(str, dataset.dims))})_(\d+)", path.stem)
        yield _Series({name: int(number) for name, number in places}, steps_of(path))


def _add_fields(found: Contents, dataset: xr.Dataset) -> None:
    """Fields of all cells in ``results.nc``."""
    names = [
        str(n) for n, v in dataset.data_vars.items() if "cell" in v.dims and not set(SPECTRAL) & set(v.dims)
    ]
    names = [name for name in names if _is_shown(dataset, name)]
    for name in names:
        values = dataset[name]
        chosen = _evenly_chosen(values, FIELD_VALUES // len(names), ("cell",))
        _add(found, "field", values.isel(chosen))
    if names:
        _note(found, dataset[names[0]], chosen, "fields")


def _add_steps(found: Contents, dataset: xr.Dataset, series: list[_Series]) -> None:
    """Fields that are in ParaView's files alone."""
    if not series:
        return
    stored = {v["name"] for v in found.variables}
    grid = read_step(series[0].steps.files[0])
    cell = np.asarray(grid.cell_data["cell"])
    n_cells = int(cell.max()) + 1
    names = [
        name
        for name in grid.cell_data
        if name not in ("cell", "region") and name.split(" (")[0] not in stored
    ]
    if not names:
        return
    outer = [str(dim) for dim in dataset.dims if dim in series[0].outer]
    at = np.unique(np.concatenate([one.steps.values for one in series]))
    most = max(FIELD_VALUES // (len(names) * n_cells * len(series)), 1)
    kept = at[evenly(len(at), most)]
    if len(kept) < len(at):
        found.notes.append(f"fields: {len(kept)} of {len(at)} steps are in this page")
    sizes = [dataset.sizes[dim] for dim in outer]
    table = np.full((len(names), *sizes, len(kept), n_cells), np.nan, dtype=np.float32)
    for one in series:
        place = tuple(one.outer[dim] for dim in outer)
        for value, file in zip(one.steps.values, one.steps.files, strict=True):
            if value not in kept:
                continue
            step = read_step(file)
            order = np.asarray(step.cell_data["cell"])
            for number, name in enumerate(names):
                row = table[(number, *place, int(np.searchsorted(kept, value)))]
                if name in step.cell_data:
                    row[order] = step.cell_data[name]
    step_axis = _step_axis(found, dataset, series[0].steps.label, kept)
    dims = [found.axis(dim, dataset[dim].values, dataset[dim].attrs) for dim in outer] + [step_axis]
    cells = found.axis("cell", np.arange(n_cells), {})
    for number, name in enumerate(names):
        plain, unit, factor = _in_si(name)
        meaning = QUANTITIES[plain].long_name if plain in QUANTITIES else plain.replace("_", " ")
        found.add(plain, "field", [*dims, cells], table[number] * factor, unit, meaning)
    _add_sampled_spectra(found, dataset, names, table, [*dims, cells])


def _in_si(name: str) -> tuple[str, str, float]:
    """Return name, unit and factor to it of a field of ParaView's, such as ``gap (ueV)``."""
    plain, _, unit = name.removesuffix(")").partition(" (")
    if len(unit) > 1 and unit[0] in _PREFIXES and unit[1:] in ("eV", "V", "A", "s"):
        return plain, unit[1:], _PREFIXES[unit[0]]
    product = re.sub(r"(?:1|(\w+))/(\w+)\^(\d)", lambda m: f"{m[1] or ''} {m[2]}-{m[3]}".strip(), unit)
    return plain, product.replace("um", "µm"), 1.0


def _step_axis(found: Contents, dataset: xr.Dataset, label: str, values: Floats) -> str:
    """Return the axis of steps, in SI units of the axis of the dataset that its label names."""
    if label == "step" and "V_inj" in dataset.coords:
        # an earlier version did not say that these are biases
        label = "V_inj (mV)"
    match = _LABEL.fullmatch(label)
    name = match["name"] if match else label
    if match is None or name not in dataset.coords:
        return found.axis(name, values, {"long_name": label})
    return found.axis(name, values * _PREFIXES[match["unit"][0]], dataset[name].attrs)


def _add_sampled_spectra(
    found: Contents, dataset: xr.Dataset, names: list[str], table: NDArray[Any], dims: list[str]
) -> None:
    """Spectral fields that were written at some energies, as spectra of few points."""
    by_name: dict[str, list[tuple[float, int]]] = {}
    for number, name in enumerate(names):
        if match := _AT_ENERGY.fullmatch(name):
            by_name.setdefault(match["name"], []).append((float(match["energy"]), number))
    for name, points in by_name.items():
        energies = np.array([energy for energy, _ in sorted(points)])
        values = np.stack([table[number] for _, number in sorted(points)], axis=-1)
        whole = name in dataset and "cell" in dataset[name].dims
        if len(points) > 1 and not whole and values.size <= FIELD_VALUES:
            axis = found.axis("energy", energies, {"long_name": "energy", "units": "Delta0"})
            quantity = QUANTITIES.get(name)
            meaning = quantity.long_name if quantity else name
            found.add(name, "spectrum", [*dims, axis], values, "1", f"{meaning}, at output.field_energies")


def _add_spectra(found: Contents, dataset: xr.Dataset) -> None:
    names = [str(n) for n, v in dataset.data_vars.items() if set(SPECTRAL) & set(v.dims)]
    names = [name for name in names if _is_shown(dataset, name)]
    left = SPECTRUM_VALUES
    # Small ones first: what they leave is for the large ones.
    for number, name in enumerate(sorted(names, key=lambda name: dataset[name].size)):
        values = dataset[name]
        chosen = _evenly_chosen(values, left // (len(names) - number), ())
        left -= int(np.prod([len(chosen.get(str(dim), range(size))) for dim, size in values.sizes.items()]))
        _add(found, "spectrum", values.isel(chosen))
        _note(found, values, chosen, f"spectra {name}")


def _add_last_occupations(found: Contents, dataset: xr.Dataset, folder: Path) -> None:
    """Occupations of the cells at the last time, from the checkpoint, where particles have no directions."""
    if "cell" not in dataset.dims or not (folder / "checkpoint.h5").is_file():
        return
    with suppress(OSError, KeyError), h5py.File(folder / "checkpoint.h5") as file:
        for name, axis in (("f", "energy"), ("n", "omega")):
            table = file[f"arrays/{name}"]
            shape = tuple(table.attrs.get("shape", table.shape[1:]))
            if axis not in dataset.dims or shape != (1, dataset.sizes[axis]):
                continue
            rows = evenly(dataset.sizes["cell"], SPECTRUM_VALUES // (2 * dataset.sizes[axis]))
            values = xr.DataArray(
                table[:].reshape(len(table), -1)[rows],
                dims=("cell", axis),
                coords={"cell": rows, axis: dataset[axis]},
                name=name,
                attrs={"units": "1", "long_name": f"{QUANTITIES[name].long_name}, at the last time"},
            )
            _add(found, "spectrum", values)
            if len(rows) < dataset.sizes["cell"]:
                found.notes.append(f"{name} of {len(rows)} of {dataset.sizes['cell']} cells is in this page")


def _add_curves(found: Contents, dataset: xr.Dataset) -> None:
    for name, values in dataset.data_vars.items():
        swept = [dim for dim in values.dims if values.sizes[dim] > 1]
        if (
            {"cell", *SPECTRAL} & set(values.dims)
            or not swept
            or swept == ["ledger_entry"]
            or not _is_shown(dataset, str(name))
        ):
            continue
        chosen = _evenly_chosen(values, CURVE_VALUES // 10, ())
        _add(found, "curve", values.isel(chosen))
        _note(found, values, chosen, str(name))


def _is_shown(dataset: xr.Dataset, name: str) -> bool:
    return name not in HIDDEN and dataset[name].dtype.kind in "fiu" and not name.endswith("_corners")


def _add(found: Contents, kind: str, values: xr.DataArray) -> None:
    dims = []
    for dim in values.dims:
        known = values[dim] if dim in values.coords else None
        listed = np.arange(values.sizes[dim]) if known is None else known.values
        dims.append(found.axis(str(dim), listed, {} if known is None else known.attrs))
    attributes = values.attrs
    found.add(
        str(values.name),
        kind,
        dims,
        values.values,
        str(attributes.get("units", "")),
        str(attributes.get("long_name", "")),
    )


def _evenly_chosen(values: xr.DataArray, most: int, whole: tuple[str, ...]) -> dict[str, NDArray[np.intp]]:
    """Return places along the axes, evenly chosen, so that up to ``most`` values remain where that can be.

    Energies and times are halved down to `FEW` first, then the longest axis; those of ``whole`` are left as
    they are.
    """
    sizes = {str(dim): values.sizes[dim] for dim in values.dims}
    free = [dim for dim in sizes if dim not in whole]
    while np.prod(list(sizes.values())) > most and any(sizes[dim] > 1 for dim in free):
        first = [dim for dim in free if dim != "cell" and sizes[dim] > FEW] or free
        longest = max(first, key=lambda dim: sizes[dim])
        sizes[longest] = (sizes[longest] + 1) // 2
    return {dim: evenly(values.sizes[dim], size) for dim, size in sizes.items() if size < values.sizes[dim]}


def _note(found: Contents, values: xr.DataArray, chosen: Mapping[str, NDArray[np.intp]], what: str) -> None:
    if chosen:
        parts = ", ".join(f"{len(rows)} of {values.sizes[dim]} along {dim}" for dim, rows in chosen.items())
        found.notes.append(f"{what}: {parts} are in this page; results.nc holds all")


def _shape(shape: DrawnDevice, dataset: xr.Dataset) -> Json:
    """Return a shape for JSON, with names at places."""
    marks = []
    if "x_junction" in dataset.coords:
        places = np.stack([dataset[f"{name}_junction"].values for name in "xyz"], axis=-1) / MICROMETRE
        marks = [
            {"name": str(name), "at": [float(v) for v in place]}
            for name, place in zip(dataset["junction"].values, places, strict=True)
        ]
    return {
        "kind": shape.kind,
        "points": encoded(shape.points, "<f4"),
        "triangles": encoded(shape.triangles, "<i4"),
        "cell": encoded(shape.cell, "<i4"),
        "centre": encoded(shape.centre, "<f4"),
        "half": encoded(shape.half, "<f4"),
        "region": encoded(shape.region, "<i4"),
        "regions": shape.region_names,
        "marks": marks,
    }
