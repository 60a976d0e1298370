"""What Newton's method took where collisions couple the energies."""

from __future__ import annotations

import pytest

from fvqp.models.usadel import coupled_gap, inelastic
from fvqp.solvers.newton import NewtonSolution, solve_newton


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[NewtonSolution]:
    """Every solution that is found from now on, with a gap among the unknowns or in given spectra."""
    made: list[NewtonSolution] = []

    def solve(*arguments: object, **more: object) -> NewtonSolution:
        made.append(solve_newton(*arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    for module in (coupled_gap, inelastic):
        monkeypatch.setattr(module, "solve_newton", solve)
    return made
