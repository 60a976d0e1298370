"""Numbers of a case by their keys: where they are, their units, and the case with others in place."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

from fvqp.case.reading import apply_override, value_at
from fvqp.errors import CaseError

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
