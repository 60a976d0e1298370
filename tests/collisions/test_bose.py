"""Bose's function of compiled loops against the C library in extended precision."""

from __future__ import annotations

import numpy as np
from numba import njit

from fvqp.collisions.bose import bose


@njit(error_model="numpy")
def each(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = bose(x[i])


def test_accurate_to_rounding_where_there_are_phonons() -> None:
    random = np.random.default_rng(2)
    some = random.uniform(0.0, 2.0, 4000), 10.0 ** random.uniform(-300.0, 2.84, 4000), [np.log(2.0), 699.9]
    x = np.concatenate(some)
    out = np.empty_like(x)
    each(x, out)
    exact = 1.0 / np.expm1(x.astype(np.longdouble))
    assert np.abs(out / exact - 1.0).max() < 2.0 * np.finfo(float).eps


def test_nothing_beyond() -> None:
    x = np.array([700.0, 1e5, 1e300, np.inf])
    out = np.empty_like(x)
    each(x, out)
    assert not out.any()
