"""What can be known to be wrong with a case of the Eliashberg model before it is solved."""

from __future__ import annotations

from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.errors import CaseError
from fvqp.spectral.alpha2f import metal_names


def check_case(case: EliashbergCase) -> None:
    """Raises :class:`CaseError` when parts of the case contradict one another."""
    name = case.interaction.metal
    if name is not None and name not in metal_names():
        known = ", ".join(metal_names())
        raise CaseError(f'{case.source}: interaction.metal: no spectrum of "{name}"; there are: {known}')
