"""Numbers of a case by their keys: where they are, their units, and the case with others in place."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fvqp.case.reading import apply_override, value_at
from fvqp.errors import CaseError
from fvqp.typing import Floats
from fvqp.units import to_float

NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


@dataclass(frozen=True)
class Parameter:
    """A number of a case that may vary.

    Attributes:
        key: as of ``--set``: ``spectrum.broadening``, ``junctions.A.temperature``,
            ``supercurrent.phase_gradient[1]``.
        start: the number that the case has, in ``unit``.
        unit: as the case writes it; empty for a plain number.
    """

    key: str
    start: float
    unit: str

    @classmethod
    def of(cls, data: dict[str, Any], text: str) -> Parameter:
        """A parameter from ``KEY`` (the case has a value) or ``KEY=VALUE``.

        Raises :class:`CaseError` if there is no such key, or no number there.
        """
        key, equals, value = (part.strip() for part in text.partition("="))
        if equals:
            changed = copy.deepcopy(data)
            apply_override(changed, f"{key}={value}")
            data = changed
        given = value_at(data, key, f"--free {text}")
        if given is None:
            raise CaseError(
                f"--free {text}: the case does not give {key}; say where to start: --free {key}=VALUE"
            )
        if isinstance(given, list) and len(given) == 1:
            # A list of one may be written without brackets.
            given = given[0]
        match = NUMBER.match(given) if isinstance(given, str) else None
        if isinstance(given, bool) or not (match or isinstance(given, int | float)):
            raise CaseError(f"--free {text}: expected a number, with its unit if it has one, found {given!r}")
        start, unit = (float(match[1]), match[2]) if match else (float(given), "")
        if start == 0.0:
            raise CaseError(
                f"--free {text}: a parameter must not start at 0; give another start: --free {key}=VALUE"
            )
        return cls(key, start, unit)

    def override(self, value: float) -> str:
        """``KEY=VALUE`` with the number in place of the case's."""
        text = repr(float(value))
        return f'{self.key}="{text} {self.unit}"' if self.unit else f"{self.key}={text}"


def parameter_limits(
    parameters: Sequence[Parameter], bounds: Mapping[str, tuple[Any, Any]]
) -> tuple[Floats, Floats] | None:
    """Return smallest and largest values of parameters, in their units; None without any bounds.

    Parameters without bounds reach from a thousandth of their start to a thousandfold.

    Raises :class:`CaseError` if a key is not free, or a start is not between its bounds.
    """
    keys = [one.key for one in parameters]
    for key in bounds:
        if key not in keys:
            raise CaseError(f"--between {key}: is not free; free are: {', '.join(keys)}")
    if not bounds:
        return None
    limits = []
    for one in parameters:
        given = bounds.get(one.key, sorted((one.start * 1e-3, one.start * 1e3)))
        low, high = (_in_unit(value, one) for value in given)
        if not low < one.start < high:
            raise CaseError(
                f"--between {one.key}: its start, {one.start:g} {one.unit}".rstrip()
                + f", must be between {low:g} and {high:g}"
            )
        limits.append((low, high))
    low_all, high_all = np.array(limits).T
    return low_all, high_all


def _in_unit(value: Any, parameter: Parameter) -> float:
    """Return a bound in the unit of its parameter; a plain number is in that unit."""
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    if not parameter.unit:
        raise CaseError(f"--between {parameter.key}: expected a number, got {value!r}")
    return to_float(value, parameter.unit, what=f"--between {parameter.key}")
