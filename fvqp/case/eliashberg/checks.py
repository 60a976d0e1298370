"""Checks of a case of the Eliashberg model that need no solution."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.eliashberg.schema import EliashbergCase


def problems(case: EliashbergCase) -> Iterator[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    if problem := case.interaction.unknown_metal():
        yield "interaction.metal", problem
