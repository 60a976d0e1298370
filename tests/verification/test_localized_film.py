"""cases/bespalov2016/film.toml: what its README says to look for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bath_exchange import rounding

import fvqp
from fvqp.models.localized import AnnihilationLaw, TailAnnihilation

FOLDER = Path(__file__).parents[2] / "cases" / "bespalov2016"


@pytest.mark.slow
def test_concentration_along_the_film_is_that_of_the_law() -> None:
    found = fvqp.run(FOLDER / "film.toml").dataset
    localized = found["n_localized_cell"].values[-1]
    generation = (found["n_qp_cell"].values[-1] - localized) / 1e-6
    law = AnnihilationLaw(TailAnnihilation(1e-7, 40e-18))
    # a part of 5e-6 of the localized states is full, and slows down capture
    assert localized == pytest.approx(law.stationary(generation), rel=1e-5)
    assert localized[[0, -1]] == pytest.approx([12.2e18, 1.17e18], rel=0.005)
    assert law.mean_field(generation)[-1] == pytest.approx(0.91e18, rel=0.005)
    assert np.all(np.diff(localized) < 0.0)
    allowed = 1e-12 * float(found["power_injected"][0]) + rounding(FOLDER / "film.toml", found)
    assert abs(float(found["power_residual"][0])) <= allowed


def test_it_is_in_the_readme() -> None:
    assert "`film.toml`" in (FOLDER / "README.md").read_text()
