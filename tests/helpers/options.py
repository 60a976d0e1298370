"""Cases with one key changed, and what that does to the numbers of their results."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from case_keys import put

import fvqp


@dataclass(frozen=True)
class Option:
    """What shows that a key does something.

    ``value`` at ``path`` (default: the name of the key), in a case with the tables ``around`` in place of
    those of ``base`` (default: the test's), moves ``number`` (default: the test's) by more than the part
    ``by`` of it, or to ``to`` times its value.
    """

    value: Any
    number: str = ""
    around: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] | None = None
    path: str = ""
    to: float | None = None
    by: float = 1e-5


def variant(base: dict[str, Any], changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A base case with tables replaced, or left out where None."""
    tables = copy.deepcopy(base | (changes or {}))
    return {key: value for key, value in tables.items() if value is not None}


@cache
def _dataset(text: str) -> Any:
    return fvqp.run(json.loads(text)).dataset


def dataset(data: dict[str, Any]) -> Any:
    """Results of a case, computed once."""
    return _dataset(json.dumps(data))


def number(data: dict[str, Any], name: str) -> np.ndarray:
    """A variable of the results of a case, flat; all of it is finite."""
    values = np.asarray(dataset(data)[name].values, dtype=float).ravel()
    assert np.isfinite(values).all()
    return values


def assert_moves(key: str, option: Option, base: dict[str, Any], default: str) -> None:
    """That the key does what its option says; ``default``: the number of options that name none."""
    around = variant(option.base or base, option.around)
    changed = put(copy.deepcopy(around), option.path or key, option.value)
    before, after = (number(data, option.number or default) for data in (around, changed))
    if before.shape == after.shape:
        assert np.abs(after - before).max() > option.by * np.abs(before).max()
    else:
        assert before.size != after.size
    if option.to is not None:
        np.testing.assert_allclose(after, option.to * before, rtol=2e-3)
