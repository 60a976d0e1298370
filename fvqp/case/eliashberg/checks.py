"""What can be known to be wrong with a case of the Eliashberg model before it is solved."""

from __future__ import annotations

from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.errors import CaseError


def check_case(case: EliashbergCase) -> None:
    """Raises :class:`CaseError` when parts of the case contradict one another."""
    if problem := case.interaction.unknown_metal():
        raise CaseError(f"{case.source}: interaction.metal: {problem}")
