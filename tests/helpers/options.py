"""Cases with one key changed, and what that does to the numbers of their results."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from case_keys import changed

import fvqp


@dataclass(frozen=True)
class Option:
    """What shows that a key does something.

    ``value`` at ``path`` (default: the name of the key), in a case ``base`` (default: the test's) with the
    changes ``around`` at dotted paths, moves ``number`` (default: the test's) by more than the part
    ``by`` of it, or to ``to`` times its value.
    """

    value: Any
    number: str = ""
    around: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] | None = None
    path: str = ""
    to: float | None = None
    by: float = 1e-5


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
    around = changed(option.base or base, option.around)
    other = changed(around, {option.path or key: option.value})
    before, after = (number(data, option.number or default) for data in (around, other))
    if before.shape == after.shape:
        assert np.abs(after - before).max() > option.by * np.abs(before).max()
    else:
        assert before.size != after.size
    if option.to is not None:
        np.testing.assert_allclose(after, option.to * before, rtol=2e-3)
