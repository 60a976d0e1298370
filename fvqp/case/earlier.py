"""Rates at which quasiparticles arrive, from the results folder of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
import xarray as xr
from pydantic import Field, model_validator
from scipy import constants

from fvqp.case.quantities import GenerationRate, NonNegativeEnergy, StateDensity, Time, spaced
from fvqp.case.tables import ONCE, Name, Table
from fvqp.errors import CaseError, FvqpError
from fvqp.results.result import open_result
from fvqp.typing import Floats
from fvqp.units import to_float

#: Relative difference at which a value of the sweep counts as the one asked for.
SAME = 1e-6

Generations = Annotated[tuple[GenerationRate, ...], spaced("1/m^3/s"), ONCE, Field(min_length=1)]
"""Rates by volume and time; a list, or ``{ from, to, points }``."""


class Earlier(Table):
    """A results folder of an earlier run."""

    HOLDS: ClassVar = {"folder": "results.nc"}

    folder: Path
    """The folder."""
    variable: Name
    """Variable of its results: a rate by volume and time, a density (taken with ``capture_time``), or
    ``f_L``, from which the density follows with the ``dos`` that is stored beside it."""
    at: dict[Name, str] = Field(default_factory=dict)
    """Place in its sweep, for every dimension with several values: ``{ V_inj = "0.4 mV" }``."""
    capture_time: Time | None = None
    """Mean time after which a mobile quasiparticle is localized; turns densities into rates."""
    density_of_states: StateDensity | None = None
    """N0 per spin, for ``f_L``; default: that of the material."""
    minimum_energy: NonNegativeEnergy | None = None
    """Energy from which on quasiparticles of ``f_L`` count, in Δ0 of that run; default: 0. A broadened
    density of states has thermally filled states below the gap that are none."""

    @model_validator(mode="after")
    def _for_spectra(self) -> Self:
        if self.variable != "f_L":
            for key in ("density_of_states", "minimum_energy"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: is not used: it belongs to f_L")
        return self

    @property
    def file(self) -> Path:
        """The results in the folder."""
        return self.folder / "results.nc"


class EarlierRates:
    """Rates of every cell, by the points of an earlier run's sweep.

    Args:
        wanted: what is taken from which folder.
        per_spin: density of states for ``f_L``, 1/(J m³), where ``wanted`` gives none.
        where: the table, for messages.
        along: whether one dimension of the sweep may be left open.

    Attributes:
        dataset: the earlier results, at the place that ``wanted.at`` fixes.
        axis: the dimension that is open; None if there is none.

    Raises:
        CaseError: the folder does not hold what is asked for.
    """

    def __init__(self, wanted: Earlier, per_spin: float | None, where: str, along: bool = False) -> None:
        self.wanted, self.per_spin, self.where = wanted, per_spin, where
        try:
            dataset = open_result(wanted.folder).dataset
        except FvqpError as error:
            raise CaseError(f"{where}.folder: {error}") from None
        with_cells = [str(name) for name, values in dataset.data_vars.items() if "cell" in values.dims]
        if wanted.variable not in with_cells:
            known = ", ".join(with_cells) or "none"
            raise CaseError(
                f'{where}.variable: the results hold no "{wanted.variable}" of cells; there are: {known} '
                "(a run stores those that its output.stored names)"
            )
        if wanted.variable == "f_L" and ("dos" not in dataset or "cell" not in dataset["dos"].dims):
            raise CaseError(
                f'{where}.variable: f_L needs "dos" beside it; add it to output.stored of that run'
            )
        self.axis: str | None = None
        self.dataset = self._fixed(dataset, along)

    def rates(self, number: int = 0) -> Floats:
        """``(n_cells,)`` 1/(m³ s) at a point of the open dimension, in the order of that run's cells."""
        point = self.dataset if self.axis is None else self.dataset.isel({self.axis: number})
        wanted, units = self.wanted, str(self.dataset[self.wanted.variable].attrs.get("units"))
        if wanted.variable == "f_L":
            values, units = self._density(point), "m-3"
        else:
            values = np.asarray(point[wanted.variable].values)
        if units == "m-3":
            if wanted.capture_time is None:
                raise CaseError(f"{self.where}.capture_time: missing: it turns the density into a rate")
            values = values / wanted.capture_time
        elif units != "m-3 s-1":
            raise CaseError(
                f"{self.where}.variable: {wanted.variable} is in {units}; expected a density (m-3), a "
                "rate by volume (m-3 s-1), or f_L"
            )
        elif wanted.capture_time is not None:
            raise CaseError(f"{self.where}.capture_time: is not used: {wanted.variable} is a rate already")
        if not np.all(np.isfinite(values)):
            raise CaseError(f"{self.where}.at: this point of the sweep was not computed")
        return np.asarray(values, dtype=np.float64)

    def _fixed(self, dataset: xr.Dataset, along: bool) -> xr.Dataset:
        """The results where ``at`` says."""
        wanted, where = self.wanted, self.where
        axes = [str(dim) for dim in dataset[wanted.variable].dims if dim not in ("cell", "energy")]
        for name in wanted.at:
            if name not in axes:
                raise CaseError(
                    f"{where}.at.{name}: {wanted.variable} does not depend on it; it does on: "
                    f"{', '.join(axes)}"
                )
        for name in axes:
            coordinate = dataset[name]
            if name not in wanted.at:
                if along and self.axis is None and coordinate.size > 1:
                    self.axis = name
                    continue
                if coordinate.size > 1:
                    besides = f" beside those of {self.axis}, which is swept" if self.axis else ""
                    raise CaseError(
                        f"{where}.at.{name}: missing: the results hold {coordinate.size} values of it"
                        + besides
                    )
                dataset = dataset.isel({name: 0})
                continue
            try:
                asked = to_float(
                    wanted.at[name], str(coordinate.attrs.get("units", "1")).replace("m-3 s-1", "1/m^3/s")
                )
            except FvqpError as error:
                raise CaseError(f"{where}.at.{name}: {error}") from None
            distance = np.abs(coordinate.values - asked)
            if distance.min() > SAME * max(np.abs(coordinate.values).max(), abs(asked)):
                raise CaseError(
                    f"{where}.at.{name}: {wanted.at[name]} is not among the results; the nearest is "
                    f"{coordinate.values[distance.argmin()]:.6g} {coordinate.attrs.get('units', '')}"
                )
            dataset = dataset.isel({name: int(distance.argmin())})
        return dataset

    def _density(self, point: xr.Dataset) -> Floats:
        """n = 2 N0 ∫ N (1 − f_L) dE over E > E_min, 1/m³."""
        per_spin = self.wanted.density_of_states or self.per_spin
        if per_spin is None:
            raise CaseError(f"{self.where}.density_of_states: missing: f_L becomes a density with it")
        energy = point["energy"].values * constants.e
        # Bins fill the axis from 0 on, so that their widths follow from their centres.
        sign = (-1.0) ** np.arange(len(energy))
        edges = np.append(0.0, 2.0 * sign * np.cumsum(sign * energy))
        least = self._least(edges[-1])
        width = np.diff(np.maximum(edges, least))
        held = point["dos"].transpose("cell", "energy").values * (
            1.0 - point["f_L"].transpose("cell", "energy").values
        )
        return np.asarray(2.0 * per_spin * held @ width)

    def _least(self, last: float) -> float:
        """Energy from which on quasiparticles count, joule; the axis ends at ``last``."""
        wanted, key = self.wanted.minimum_energy, f"{self.where}.minimum_energy"
        if wanted is None:
            return 0.0
        gap = self.dataset.attrs.get("delta0_eV")
        if wanted.relative and gap is None:
            raise CaseError(f"{key}: the results name no gap; give the energy in eV")
        least = wanted.in_joule(float(gap or 0.0) * constants.e)
        if least >= last:
            raise CaseError(
                f"{key}: {least / constants.e:.4g} eV is beyond the energies of the results, which end at "
                f"{last / constants.e:.4g} eV"
            )
        return least
