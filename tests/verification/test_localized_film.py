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


def test_few_localized_quasiparticles_reach_their_steady_state() -> None:
    """A source 1e4 times weaker: they live for 1e6 τ0. What free states capture annihilates by the law."""
    fewer = ["mesh.shape.nx=10", "mesh.shape.Lx='100 um'", "energies.width='0.2 Delta0'", "figures=[]"]
    found = fvqp.run(FOLDER / "film.toml", overrides=[*fewer, "injections[0].power='1e-4 W/m^3'"]).dataset
    localized = found["n_localized_cell"].values[-1]
    free = 1.0 - localized / (0.2 * float(found.attrs["density_unit_m-3"]))
    captured = (found["n_qp_cell"].values[-1] - localized) / 1e-6 * free
    law = AnnihilationLaw(TailAnnihilation(1e-7, 40e-18))
    assert law.rate(localized) == pytest.approx(captured, rel=1e-6)


def test_it_is_in_the_readme() -> None:
    assert "`film.toml`" in (FOLDER / "README.md").read_text()
