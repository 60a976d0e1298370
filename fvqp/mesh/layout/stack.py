"""Layers of a layout as regions, with thickness and cell size: options and TOML tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from fvqp import toml
from fvqp.errors import FvqpError, MeshError
from fvqp.units import to_float


def _layer_number(value: Any) -> Any:
    """``"1/0"`` or ``"1"`` (data type 0) as a pair."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    layer, _, datatype = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not layer.strip().isdigit() or not (datatype or "0").strip().isdigit():
        raise ValueError(f'expected layer and data type such as "1/0", got {value!r}')
    return int(layer), int(datatype or 0)


def _length(value: Any, info: ValidationInfo) -> float:
    # A file has to name the unit; in Python a float is in metres.
    if isinstance(value, float) and info.context is None:
        return value
    try:
        return to_float(value, "m")
    except FvqpError as error:
        raise ValueError(str(error)) from None


Number = Annotated[tuple[int, int], BeforeValidator(_layer_number)]
Length = Annotated[float, BeforeValidator(_length), Field(allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_length), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_length), Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
Levels = Annotated[int, Field(strict=True, ge=1, le=10000)]
Grading = Annotated[float, Field(ge=0.1, le=10)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layer(_Table):
    """A layer of the layout that becomes a region. Lengths in metres, as floats, or text with a unit."""

    layer: Number
    """Layer and data type, ``"1/0"``."""
    name: Name
    """Name of the region."""
    size: Positive | None = None
    """Wanted edge of the triangles; default: that of the stack."""
    thickness: Positive | None = None
    """Thickness of a region of a solid; left out everywhere, the mesh is one of triangles in the plane."""
    z: Length = 0.0
    """Height of the bottom."""
    levels: Levels = 1
    """Prisms across the thickness."""
    grading: Grading = 1.0
    """Each level is so many times as thick as the one above it."""
    over: tuple[str, ...] = ()
    """Regions that this one takes the place of where they overlap."""


class Substrate(_Table):
    """A block under everything: top at height 0, outline that of the layers' rectangle and a margin."""

    name: Name = "substrate"
    thickness: Positive
    margin: NotNegative = 0.0
    size: Positive | None = None
    levels: Levels = 4
    grading: Grading = 1.5


class Marker(_Table):
    """A layer of the layout whose polygons name faces of the mesh."""

    layer: Number
    name: Name
    """Name of the boundary."""
    of: str | None = None
    """The region whose faces these are; default: any."""
    on: Literal["edge", "top", "bottom"] = "edge"
    """Faces that stand on the outline of a region, or its upper or lower ones."""


class Stack(_Table):
    """All that a layout does not say: regions, boundaries, sizes and heights.

    Raises `pydantic.ValidationError` for what contradicts itself; `stack_from_toml` and `stack_from_options`
    turn that into a `MeshError` of one line.
    """

    layers: tuple[Layer, ...] = Field(min_length=1)
    size: Positive | None = None
    substrate: Substrate | None = None
    boundaries: tuple[Marker, ...] = ()

    @property
    def solid(self) -> bool:
        """True if the regions have thicknesses."""
        return self.layers[0].thickness is not None

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of all regions: the layers' in their order, and the substrate's last."""
        return tuple(entry.name for entry in self.entries)

    @property
    def entries(self) -> tuple[Layer | Substrate, ...]:
        """Layers in their order, and the substrate last."""
        return (*self.layers, *([self.substrate] if self.substrate else []))

    def size_of(self, entry: Layer | Substrate) -> float:
        """Wanted edge of the triangles of a region, metres."""
        size = entry.size if entry.size is not None else self.size
        assert size is not None
        return size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = list(self.regions)
        for kind, entries in (("region", names), ("boundary", [b.name for b in self.boundaries])):
            double = [n for i, n in enumerate(entries) if n in entries[:i]]
            if double:
                raise ValueError(f"{kind} '{double[0]}' is named twice")
        numbers = [one.layer for one in self.layers]
        for i, number in enumerate(numbers):
            if number in numbers[:i]:
                raise ValueError(f"layer {number[0]}/{number[1]} is given twice")
        for entry in self.entries:
            if entry.size is None and self.size is None:
                raise ValueError(f"region '{entry.name}' has no size of triangles, and there is none for all")
        thick = [one.name for one in self.layers if one.thickness is not None]
        if thick and len(thick) < len(self.layers):
            flat = next(one.name for one in self.layers if one.thickness is None)
            raise ValueError(f"region '{thick[0]}' has a thickness and '{flat}' has none")
        if not thick:
            self._flat()
        for one in self.layers:
            for other in one.over:
                if other not in names or other == one.name:
                    raise ValueError(f"region '{one.name}' is over '{other}', which is no other region")
        for mark in self.boundaries:
            if mark.of is not None and mark.of not in names:
                raise ValueError(f"boundary '{mark.name}' is of '{mark.of}', which is no region")
        return self

    def _flat(self) -> None:
        """Raises for what makes no sense in a mesh of triangles."""
        if self.substrate:
            raise ValueError("a substrate needs layers that have a thickness")
        for one in self.layers:
            idle = {"z", "levels", "grading"} & one.model_fields_set
            if idle:
                raise ValueError(f"region '{one.name}' has {min(idle)} but no thickness")
        for mark in self.boundaries:
            if mark.on != "edge":
                raise ValueError(f"boundary '{mark.name}' is on the {mark.on}, but no layer has a thickness")


def stack_from_toml(path: str | Path) -> Stack:
    """The stack of a TOML file: keys of `Stack`, tables ``[[layers]]``, ``[substrate]``, ``[[boundaries]]``.

    Raises `MeshError`, one line that names the file and the key.
    """
    try:
        data = toml.parse(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MeshError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise MeshError(f"{path}: is no TOML: {error}") from None
    return _validated(data, str(path))


def stack_from_options(
    layers: Sequence[str], boundaries: Sequence[str] = (), size: str | None = None
) -> Stack:
    """The flat stack of texts such as ``"1/0=film"`` for layers and for boundaries, and ``"0.5 um"``.

    Raises `MeshError`, one line.
    """
    data: dict[str, Any] = {"layers": [_named(text, "--layer") for text in layers]}
    if boundaries:
        data["boundaries"] = [_named(text, "--boundary") for text in boundaries]
    if size is not None:
        data["size"] = size
    return _validated(data, "")


def _named(text: str, option: str) -> dict[str, str]:
    number, equals, name = text.partition("=")
    if not equals:
        raise MeshError(f"{option} {text}: expected LAYER/DATATYPE=NAME, such as 1/0=film")
    return {"layer": number, "name": name}


def _validated(data: dict[str, Any], source: str) -> Stack:
    try:
        return Stack.model_validate(data, context={"units": "in the text"})
    except ValidationError as error:
        details = error.errors(include_url=False)
        detail = min(details, key=lambda entry: entry["type"] != "extra_forbidden")
    where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in detail["loc"]).lstrip(".")
    text = {
        "extra_forbidden": "unknown key",
        "missing": "missing",
        "string_pattern_mismatch": "expected a name of letters, digits, _ . or -",
        "too_short": "must not be empty",
    }.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    raise MeshError(": ".join(part for part in (source, where, text) if part))
