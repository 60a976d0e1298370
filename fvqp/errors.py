"""Exception types: raised where the fact is known, told by the command line in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from numbers import Real
from typing import Any

#: What the command line returns for errors that a user can mend.
EXIT_CODE = 2

#: Characters of a value of the user that a message repeats, and of a whole message.
MAX_SHOWN, MAX_MESSAGE = 60, 2000

#: Values and names in a message: in double quotes, or in single ones that are no apostrophes.
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")


def cut(text: str) -> str:
    """Return a text of the user as messages repeat it: its beginning where it is long."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def shown(value: Any) -> str:
    """Return a value of the user as messages repeat it: text in quotes, true and false as in TOML, cut."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{cut(value)}"' if isinstance(value, str) else cut(str(value))


def _readable(message: str) -> str:
    """A message without the length of names and values that it repeats."""
    text = _QUOTED.sub(lambda found: found[0][0] + cut(found[0][1:-1]) + found[0][-1], message)
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} ... {text[-half:]}"


def suggestion(name: str, known: Iterable[str], quote: str = '"') -> str:
    """Return ``; did you mean "wire"?`` for a misspelt name; nothing if no known one is near it."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {quote}{near[0]}{quote}?" if near else ""


class FvqpError(Exception):
    """Any failure that a user can understand and mend; the command line returns `EXIT_CODE`.

    Long names and values in quotes are cut in its message.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(_readable(one) if isinstance(one, str) else one for one in arguments))


class NothingToDraw(FvqpError):
    """A figure without a curve, as everything that it shows came out as zero."""


class CaseError(FvqpError):
    """A case (file, key or value) that cannot be what its author meant."""


class CaseMistakes(CaseError):
    """A case with several mistakes, a line each; the lines after the first are indented."""


class MeshError(FvqpError):
    """A mesh that cannot be read, distributed or computed on."""


class ConvergenceError(FvqpError):
    """A solve that did not reach its tolerance; says which, by how much and why."""


class SuperconductivityDestroyed(ConvergenceError):
    """No superconducting solution connected to the one at rest."""


class CheckpointError(FvqpError):
    """A checkpoint or results folder that belongs to something else or is damaged."""


def require_choice(where: str, value: Any, known: Iterable[str]) -> None:
    """Raise `CaseError` unless ``value`` is one of the names ``known``; ``where`` as "Junction.role"."""
    names = list(known)
    if value not in names:
        *first, last = [f'"{name}"' for name in names]
        near = suggestion(value, names) if isinstance(value, str) else ""
        raise CaseError(f"{where}: expected {', '.join(first)} or {last}, got {shown(value)}{near}")


def require_number(where: str, value: Any, *, zero: bool = True) -> None:
    """Raise `CaseError` unless ``value`` is a number above 0, or 0 where ``zero`` is allowed."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (value >= 0.0 if zero else value > 0.0):
        wanted = "a number that is not negative" if zero else "a positive number"
        found = f"{value:.6g}" if number else shown(value)
        raise CaseError(f"{where}: expected {wanted}, got {found}")
