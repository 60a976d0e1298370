"""Processes at a point: the interface that all of them have.

A process is asked ``at(spectra, state)`` and answers with its ``rates`` there, with ``jvp``, their change
along a step of the state, and with what else solvers need; work that these share is done once. Collisions,
drives, injection and escape are processes. They act in every cell by itself, and their rates add up.

Here the state is that of the Boltzmann models, occupations ``f[cell, bin]`` of quasiparticles and
``n[cell, point]`` of phonons on one `EnergyAxis`; `fvqp.collisions.collision_sum` has the distributions f_L
and f_T of the Usadel model. Energies are in units of Δ0, rates in units of 1/τ0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import numpy as np

from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.kernel_cache import read_only
from fvqp.typing import Floats


class Pair(NamedTuple):
    """One quantity for quasiparticles ``f``, ``(cells, N)``, and phonons ``n``, ``(cells, K)``."""

    f: Floats
    n: Floats


class GainLoss(NamedTuple):
    """``ḟ = in_f (1 − f) − out_f f`` and ``ṅ = in_n (1 + n) − out_n n``; units of 1/τ0."""

    in_f: Floats
    out_f: Floats
    in_n: Floats
    out_n: Floats

    def rates(self, f: Floats, n: Floats) -> Pair:
        """Rates of change put together."""
        return Pair(self.in_f * (1.0 - f) - self.out_f * f, self.in_n * (1.0 + n) - self.out_n * n)


class Blocks(NamedTuple):
    """Dense Jacobian of the rates in every cell.

    Phonons act on one another through quasiparticles only, so that their own block is a diagonal. (Where a
    collision shares its phonon between points, what these do to one another is lumped into the diagonal.)
    """

    ff: Floats
    """``∂ḟ/∂f``, ``(cells, N, N)``."""
    fn: Floats
    """``∂ḟ/∂n``, ``(cells, N, K)``."""
    nf: Floats
    """``∂ṅ/∂f``, ``(cells, K, N)``."""
    nn: Floats
    """Diagonal of ``∂ṅ/∂n``, ``(cells, K)``."""


class Flow(NamedTuple):
    """Flows from outside, ``(cells,)`` each; negative where they leave."""

    quasiparticles: Floats
    """Into quasiparticles: number in 4 N0 Δ0/τ0, or energy in 4 N0 Δ0²/τ0."""
    phonons: Floats
    """Into phonons, in the same units."""


class OccupationRates(ABC):
    """Rates of a process at given spectra and occupations, which must stay what they are.

    What several of these methods need is computed once.

    Attributes:
        bin_weights: one row a cell, or one for all.
        f, n: ``(cells, N)`` and ``(cells, K)``, read only.

    Raises:
        CaseError: shapes that fit neither each other nor the grid.
    """

    def __init__(self, grid: EnergyAxis, bin_weights: BinWeights, f: Floats, n: Floats) -> None:
        self.bin_weights = bin_weights
        self.f, self.n = checked_occupations(grid, bin_weights, f, n)

    @property
    @abstractmethod
    def rates(self) -> Pair:
        """``∂f/∂t`` and ``∂n/∂t``."""

    @abstractmethod
    def gain_loss(self) -> GainLoss:
        """Gain and loss coefficients apart, none negative."""

    def balance(self) -> GainLoss:
        """`gain_loss`, or faster, as a part of `rates`, to the rounding of their sum."""
        return self.gain_loss()

    @abstractmethod
    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        """Change of `rates` along ``(step_f, step_n)``: the Jacobian's action."""

    @abstractmethod
    def jacobian(self) -> Blocks:
        """Jacobian of `rates`."""

    @abstractmethod
    def diagonal(self) -> Pair:
        """Diagonal of the Jacobian."""


class ExternalRates(OccupationRates):
    """Rates of a process that exchanges energy or particles with the outside."""

    @abstractmethod
    def energy_flow(self) -> Flow:
        """Power into quasiparticles ``Σ s E ḟ`` and into phonons ``Σ g ω ṅ`` of every cell."""

    @abstractmethod
    def number_flow(self) -> Flow:
        """Quasiparticles ``Σ s ḟ`` and phonons ``Σ g ṅ`` that enter every cell in unit time."""


class Process(Protocol):
    """Something that changes occupations.

    A process may have these attributes too:

    - ``keeps_energy``: True if it brings nothing from outside, but changes quasiparticles into phonons and
      back; solvers take it together with the collisions of its cells.
    - ``dense``: True if it passes particles on from bin to bin, so that solvers need its whole Jacobian, and
      its `rows` for some of the cells.
    - ``own_states``: ``(N,)`` number of states that it adds to bins where the spectrum has none, and
      ``diffusivity`` of quasiparticles in them, metre²/τ0.
    """

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> OccupationRates:
        """The rates at occupations ``f[cell, bin]`` and ``n[cell, point]``."""
        ...


class ExternalProcess(Process, Protocol):
    """A process that exchanges energy or particles with the outside: drives, sources, escape.

    Attributes:
        sink: True if it counts among losses, not among sources.
    """

    sink: bool

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> ExternalRates:
        """The rates at these occupations."""
        ...


def is_sink(process: Process) -> bool:
    """Return True for an external process that counts among losses."""
    return bool(getattr(process, "sink", False))


def checked_occupations(
    grid: EnergyAxis, bin_weights: BinWeights, f: Floats, n: Floats
) -> tuple[Floats, Floats]:
    """f and n as contiguous arrays that are only read.

    Raises:
        CaseError: shapes that fit neither each other nor the grid.
    """
    f, n = np.ascontiguousarray(f, dtype=np.float64), np.ascontiguousarray(n, dtype=np.float64)
    if f.ndim != 2 or f.shape[1] != grid.n or n.shape != (f.shape[0], grid.n_phonon):
        raise CaseError(
            f"collisions: need f of shape (cells, {grid.n}) and n of shape (cells, {grid.n_phonon}), "
            f"found {f.shape} and {n.shape}"
        )
    if bin_weights.dos_weights.shape not in ((1, grid.n), f.shape):
        raise CaseError(
            f"collisions: bin weights of shape {bin_weights.dos_weights.shape} do not fit f of shape "
            f"{f.shape}"
        )
    return read_only(f), read_only(n)
