"""cases/ryan2026/bistable.toml: the gap jumps under a strong injector, where the branch turns back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fvqp

CASE = Path(__file__).parents[2] / "cases" / "ryan2026" / "bistable.toml"


@pytest.mark.slow
def test_the_jump_is_at_the_fold() -> None:
    """A sweep with rising bias leaves the upper branch between the last bias below the fold and the next."""
    biases = '{ from = "0.8 Delta0", to = "0.92 Delta0", points = 7 }'
    dataset = fvqp.run(CASE, overrides=["figures=[]", f"sweep.V_inj={biases}"]).dataset
    delta0 = dataset.attrs["delta0_eV"]
    upper, lower = dataset["V_fold"].values[0, :2] / delta0
    assert upper == pytest.approx(0.883, abs=2e-3)
    assert lower == pytest.approx(0.826, abs=2e-3)
    bias, gap = dataset["V_inj"].values / delta0, dataset["gap"].values[:, 0] / delta0
    solutions = dataset["gap_solutions"].values[:, 0] / delta0
    for number, here in enumerate(bias):
        found = solutions[number][np.isfinite(solutions[number])]
        assert len(found) == (3 if lower < here < upper else 1)
        assert gap[number] == pytest.approx(found[0], abs=1e-6)
    jump = np.flatnonzero(np.diff(gap) < -0.1)
    assert len(jump) == 1
    assert bias[jump[0]] < upper < bias[jump[0] + 1]
