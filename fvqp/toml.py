"""TOML text of a user: a dictionary, or one reason why it is none."""

from __future__ import annotations

import tomllib
from typing import Any

#: Tables and lists that may lie in one another; a case has less than ten.
MAX_DEPTH = 50


def parse(text: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises:
        ValueError: it is no TOML, or is nested deeper than anything that is meant.
    """
    too_deep = f"tables and lists lie in one another more than {MAX_DEPTH} deep"
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return data
    raise ValueError(too_deep)
