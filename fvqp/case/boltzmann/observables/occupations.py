"""Occupations, and the density that they amount to."""

from __future__ import annotations

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousSample
from fvqp.typing import Floats


class FilmOccupation(HomogeneousObservable):
    name, dims = "f", ("energy",)

    def compute(self, at: HomogeneousSample) -> Floats:
        return at.f[0]


class FilmPhononOccupation(HomogeneousObservable):
    name, dims = "n", ("omega",)

    def compute(self, at: HomogeneousSample) -> Floats:
        return at.n[0]


class FilmDensity(HomogeneousObservable):
    name = "n_qp"

    def compute(self, at: HomogeneousSample) -> float:
        return at.number * at.units.density


class FilmRelativeDensity(HomogeneousObservable):
    name = "x_qp"

    def compute(self, at: HomogeneousSample) -> float:
        return 2.0 * at.number
