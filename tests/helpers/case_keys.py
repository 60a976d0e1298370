"""Keys of the schemas of cases, and cases with one key changed."""

from __future__ import annotations

import copy
import inspect
import types
import typing
from typing import Any

from pydantic import BaseModel


def tables(annotation: Any) -> list[type[BaseModel]]:
    """Tables that a type mentions, in lists, dictionaries and unions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [table for part in typing.get_args(annotation) for table in tables(part)]


def concrete(table: type[BaseModel]) -> list[type[BaseModel]]:
    """The table, or those of its kind that cases can name."""
    return list(table.registry) if inspect.isabstract(table) else [table]  # type: ignore[attr-defined]


def keys(table: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted paths of all keys of a table and the tables in it; entries of lists have no number."""
    found: set[str] = set()
    for name, entry in table.model_fields.items():
        path = f"{prefix}{entry.alias or name}"
        inner = tables(entry.annotation)
        for one in concrete(inner[0]) if inner else ():
            found |= keys(one, f"{path}.")
        found |= set() if inner else {path}
    return found


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``data`` with the value at a dotted path. Numbers in it are places in lists, by default the first; None
    removes the key."""
    *steps, last = path.split(".")
    at: Any = data
    for step in steps:
        if isinstance(at, list) and not step.isdigit():
            at = at[0]
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if isinstance(at, list) and not last.isdigit():
        at = at[0]
    place = int(last) if isinstance(at, list) else last
    if value is None:
        at.pop(place, None) if isinstance(at, dict) else at.pop(place)
    else:
        at[place] = value
    return data


def changed(base: dict[str, Any], changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of a case with values at dotted paths, see `put`."""
    data = copy.deepcopy(base)
    for path, value in (changes or {}).items():
        put(data, path, copy.deepcopy(value))
    return data
