"""Keys of a case that vary, and the cases that their values make."""

from __future__ import annotations

import copy
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from fvqp.case.parameters import NUMBER
from fvqp.case.reading import apply_override, apply_overrides, case_from_dict, override_value, read_toml
from fvqp.case.tables import Case
from fvqp.errors import CaseError, shown
from fvqp.units import to_float

MAX_RUNS = 10_000
"""Combinations; more are a slip."""
MAX_NAME = 120
"""Characters of the name of a folder."""


@dataclass(frozen=True)
class VariedKey:
    """A key of a case with the values that it takes.

    Attributes:
        key: as of ``--set``: ``mesh.shape.nx``, ``injections.0.power``, ``junctions.A.conductance``.
        values: as of a case file.
    """

    key: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise CaseError(f"--vary {self.key}: no values; give KEY=VALUE,VALUE,...")
        texts = [str(value) for value in self.values]
        for number, text in enumerate(texts):
            if text in texts[:number]:
                raise CaseError(f"--vary {self.key}: {shown(self.values[number])} is given more than once")

    @classmethod
    def of(cls, text: str) -> VariedKey:
        """Return the key and values of ``KEY=VALUE,VALUE,...``; commas in brackets or quotes separate none.

        Raises `CaseError` if there are none.
        """
        key, equals, values = text.partition("=")
        if not equals or not key.strip():
            raise CaseError(f"--vary {text}: expected KEY=VALUE,VALUE,..., such as mesh.shape.nx=100,200,400")
        return cls(key.strip(), tuple(override_value(part) for part in _split(values) if part.strip()))

    def override(self, value: Any) -> str:
        """Return ``KEY=VALUE`` as of ``--set``."""
        return f"{self.key}={tomlkit.item(value).as_string()}"

    def coordinate(self) -> tuple[np.ndarray, str]:
        """Return the values as numbers with their common unit; as texts if they are no such numbers.

        The unit is that of the first value; "1" for plain numbers, empty for texts.
        """
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values):
            return np.array(self.values), "1"
        found = [NUMBER.match(v) if isinstance(v, str) else None for v in self.values]
        units = [match[2] if match else "" for match in found]
        if all(units):
            if len(set(units)) == 1:
                return np.array([float(match[1]) for match in found if match]), units[0]
            try:
                return np.array([to_float(value, units[0]) for value in self.values]), units[0]
            except CaseError:
                pass
        return np.array([str(value) for value in self.values], dtype=object), ""


@dataclass(frozen=True)
class Variant:
    """A case with values of some of its keys.

    Attributes:
        settings: key → value.
        case: checked.
    """

    settings: Mapping[str, Any]
    case: Case

    @property
    def label(self) -> str:
        """Keys with values, for people."""
        return ", ".join(f"{key} = {value}" for key, value in self.settings.items()) or "as the case says"

    @property
    def name(self) -> str:
        """Name of its folder, the same in whatever order the keys are given."""
        text = ",".join(f"{key}={self.settings[key]}" for key in sorted(self.settings)) or "case"
        plain = re.sub(r"[^\w.=,+-]", "_", text)
        if len(plain) <= MAX_NAME and not re.search(r"[^\w.=,+\- ]", text):
            return plain
        return f"{plain[:MAX_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class VariedCase:
    """A case whose keys vary.

    Args:
        case: file, dictionary laid out like the file.
        overrides: ``"key=value"`` as of ``--set``, for all variants.
    """

    def __init__(self, case: Mapping[str, Any] | str | Path, overrides: Iterable[str] = ()) -> None:
        if isinstance(case, str | Path):
            path = Path(case)
            self.source, self.folder, self.data = path.name, path.parent, read_toml(path)
        else:
            self.source, self.folder, self.data = "case", Path("."), copy.deepcopy(dict(case))
        apply_overrides(self.data, overrides, self.source)

    def variant(self, settings: Mapping[str, Any]) -> Variant:
        """Return the case with other values; raises `CaseError` as reading a case does."""
        data = copy.deepcopy(self.data)
        overrides = [VariedKey(key, (value,)).override(value) for key, value in settings.items()]
        for override in overrides:
            try:
                apply_override(data, override)
            except CaseError as error:
                text = str(error).replace(f"--set {override}", f"--vary {override}")
                raise CaseError(f"{self.source}: {text}") from None
        return Variant(dict(settings), case_from_dict(data, self.source, self.folder))

    def variants(self, keys: Sequence[VariedKey]) -> list[Variant]:
        """Return all combinations of values, the last key fastest."""
        names = [one.key for one in keys]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise CaseError(f"--vary {name}: is given more than once")
        count = int(np.prod([float(len(one.values)) for one in keys]))
        if count > MAX_RUNS:
            raise CaseError(f"--vary: {count} combinations; at most {MAX_RUNS} are possible")
        places = itertools.product(*(one.values for one in keys))
        return [self.variant(dict(zip(names, values, strict=True))) for values in places]


def _split(text: str) -> Iterator[str]:
    """Parts between commas that are in no brackets and no quotes."""
    start, depth, quote = 0, 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and depth <= 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]
