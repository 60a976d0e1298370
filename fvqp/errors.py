"""Exception types: raised where the fact is known, turned into one line by the command line."""

from __future__ import annotations

from typing import Any

#: What the command line returns for errors that a user can mend.
EXIT_CODE = 2

#: Characters of a value of the user that a message repeats.
MAX_SHOWN = 60


def cut(text: str) -> str:
    """Return a text of the user as messages repeat it: its beginning where it is long."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def shown(value: Any) -> str:
    """Return a value of the user as messages repeat it: text in quotes, true and false as in TOML, cut."""
    if isinstance(value, bool):
        return str(value).lower()
    return cut(f'"{value}"' if isinstance(value, str) else str(value))


class FvqpError(Exception):
    """Any failure that a user can understand and mend; the command line returns `EXIT_CODE`."""


class CaseError(FvqpError):
    """A case (file, key or value) that cannot be what its author meant."""


class MeshError(FvqpError):
    """A mesh that cannot be read, distributed or computed on."""


class ConvergenceError(FvqpError):
    """A solve that did not reach its tolerance; says which, by how much and why."""


class SuperconductivityDestroyed(ConvergenceError):
    """There is no superconducting solution that hangs together with the one at rest."""


class CheckpointError(FvqpError):
    """A checkpoint or results folder that belongs to something else or is damaged."""
