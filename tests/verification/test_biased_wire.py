"""cases/nagaev1995: two steps and hot electrons in a normal wire biased at its ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import constants

import fvqp

CASES = Path(__file__).parents[2] / "cases" / "nagaev1995"
BIAS, BATH = 0.53e-3, 0.2
KELVIN = constants.k / constants.e


def results(name: str) -> xr.Dataset:
    return fvqp.run(CASES / f"{name}.toml", overrides=["figures=[]"]).dataset


def place(dataset: xr.Dataset) -> np.ndarray:
    return np.asarray(dataset["x"].values / 8e-6)


@pytest.fixture(scope="module")
def hot() -> xr.Dataset:
    return results("hot_electrons")


def test_two_steps() -> None:
    """A mean of both reservoirs, linear in x; γ_ee = 1e-5 has changed it by less than a percent."""
    dataset = results("two_steps")
    energy = dataset["energy"].values
    x = place(dataset)[:, None]
    up, down = (np.tanh((energy + sign * BIAS / 2) / (2 * KELVIN * BATH)) for sign in (1, -1))
    # Bin averages err by (δ/t)²/12 of curvatures; collisions.
    np.testing.assert_allclose(dataset["f_L"].values, np.tile((up + down) / 2, (len(x), 1)), atol=0.02)
    np.testing.assert_allclose(dataset["f_T"].values, (2 * x - 1) * (up - down) / 2, atol=0.02)


def test_hot_electrons(hot: xr.Dataset) -> None:
    """Temperature and potential of every place, and f is thermal with them."""
    x, energy = place(hot), hot["energy"].values
    width = energy[1] - energy[0]
    potential = -hot["f_T"].values.sum(axis=1) * width
    np.testing.assert_allclose(np.abs(potential), BIAS * np.abs(x - 0.5), atol=1e-9 * BIAS)
    # f_L holds bin averages: what the middles of bins miss of ∫ε(1 − f_L)dε is δ²/12.
    content = (energy * (1 - hot["f_L"].values)).sum(axis=1) * width - width**2 / 12
    squared = (content - potential**2 / 2) * 6 / np.pi**2 / KELVIN**2
    expected = BATH**2 + 3 / np.pi**2 * x * (1 - x) * (BIAS / KELVIN) ** 2
    np.testing.assert_allclose(squared, expected, rtol=1e-6)
    t = np.sqrt(expected)[:, None] * KELVIN
    up, down = (np.tanh((energy + sign * potential[:, None]) / (2 * t)) for sign in (-1, 1))
    # Bin averages at the ends, (δ/t)²/12 of the curvature, and some 1e-3 that collisions have not finished.
    np.testing.assert_allclose(hot["f_L"].values, (up + down) / 2, atol=6e-3)
    np.testing.assert_allclose(hot["f_T"].values, (up - down) / 2, atol=6e-3)


def test_ohm(hot: xr.Dataset) -> None:
    resistance = 158.18e-9 * 8e-6 / (150e-9 * 8e-9)
    np.testing.assert_allclose(np.abs(hot["I_reservoir"].values), BIAS / resistance, rtol=1e-6)
