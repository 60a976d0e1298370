"""Collisions of quasiparticles with phonons: emission, absorption, recombination and pair breaking.

One interface, three evaluations of the same sums. Energies are in units of the reference gap Δ0, times in
units of τ0 (theory: collisions).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions import pair_sums_batched as batched
from fvqp.collisions import pair_sums_nonuniform as nonuniform
from fvqp.collisions import pair_sums_uniform as uniform
from fvqp.collisions.fourier import FourierSums
from fvqp.collisions.process import Blocks, GainLoss, OccupationRates, Pair, checked_occupations
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.threads import share
from fvqp.typing import Floats

Evaluation = Literal["auto", "direct", "fourier", "graded"]
Collisions = Literal["all", "scattering", "pairs"]

#: Below this number of bins direct sums are as fast as transforms (measured: between 100 and 150). At 400 and
#: 1000 bins of 50 cells rates take a third and a seventh of the time by transforms; a point of a wire with
#: phonons of a bath at 400 energies takes half of it.
FOURIER_FROM = 128
#: Collisions (direct sums: one or two nanoseconds each, graded ones some ten) that are worth a thread.
_WORTH_A_THREAD = 100_000
#: Smallest f/max f of a cell that transforms keep to five digits.
FOURIER_RANGE = 1e-9


@dataclass(frozen=True)
class Coupling:
    """Strength of the electron-phonon coupling.

    Attributes:
        kappa: ``Δ0/k_BT_c``; 1.763877 in weak coupling.
        pair_breaking_time: ``τ0^pb/τ0``. It defines the number of phonon modes, so that energy is conserved
            (theory: collisions, Eq. capacity); do not give phonon density of states and τ0^pb both.
    """

    kappa: float
    pair_breaking_time: float

    def __post_init__(self) -> None:
        for name in ("kappa", "pair_breaking_time"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise CaseError(f"electron-phonon coupling: {name} must be positive, found {value:g}")

    @property
    def strength(self) -> float:
        """``a = κ³``: rates are ``a ω²`` times what quasiparticles contribute, in 1/τ0."""
        return self.kappa**3

    @property
    def capacity(self) -> float:
        """``c_ph``: the phonon energy is ``c_ph ∫ω³ n dω`` in units of 4 N0 Δ0²."""
        return 0.5 * np.pi * self.pair_breaking_time * self.strength


def phonon_modes(grid: EnergyAxis, coupling: Coupling, relative: ArrayLike = 1.0) -> Floats:
    """Phonon modes of every point, ``g = c_ph ω² × share of the axis``, ``(K,)``.

    Args:
        grid: energies.
        coupling: defines the number of modes.
        relative: to Debye's model, one number or one a point.

    Raises:
        CaseError: numbers that are not positive, or not as many as points.
    """
    factor = np.asarray(relative, dtype=np.float64)
    if factor.shape not in ((), (grid.n_phonon,)) or not np.all(np.isfinite(factor) & (factor > 0.0)):
        raise CaseError(
            f"phonon modes: must be one positive number for each of {grid.n_phonon} phonon points"
        )
    return np.asarray(coupling.capacity * grid.phonon_energies**2 * grid.phonon_widths * factor)


class ElectronPhonon:
    """The collision integrals of f and n on one grid, in any number of cells at once.

    Occupations of bins without states do not change, and nothing depends on them.

    Attributes:
        grid: energies.
        coupling: strength.
        evaluation: the one asked for.
        interaction: α²F/(b ω²) at the phonon points, ``(K,)``.
        phonon_modes: modes of every point, ``g = c_ph ω² × share of the axis`` times ``modes``, ``(K,)``;
            in a cell `modes`.
    """

    def __init__(
        self,
        grid: EnergyAxis,
        coupling: Coupling,
        evaluation: Evaluation = "auto",
        *,
        interaction: ArrayLike = 1.0,
        modes: ArrayLike = 1.0,
        split_shares: bool = False,
    ) -> None:
        """
        Args:
            grid: energies.
            coupling: strength.
            evaluation: ``"direct"`` sums over pairs of bins, O(N²), every rate to round-off of its own gain
                and loss; ``"fourier"`` is O(N log N), with errors relative to the largest rate of a cell;
                ``"graded"`` sums over pairs with phonons shared between points, for any grid; ``"auto"``
                takes the last on a graded grid, and on a uniform grid transforms where there are at least
                `FOURIER_FROM` bins and f spans less than 1/`FOURIER_RANGE` in every cell.
            interaction: α²F(ω)/(b ω²) at the phonon points, ``(K,)``, with the b of τ0; 1 for ``α²F = b ω²``.
                By itself it is a property of the coupling α².
            modes: phonon modes of the points over those of Debye's model, ``(K,)``, positive.
            split_shares: whether phonon points that share a collision take part in it one by one
                (`fvqp.collisions.pair_sums_nonuniform.split_shares`), so that n of every point follows from f
                alone.

        Raises:
            CaseError: no such evaluation, or not on this grid; an interaction that is negative; points
                without modes.
        """
        if evaluation not in ("auto", "direct", "fourier", "graded"):
            raise CaseError(
                f'collisions: no evaluation "{evaluation}"; there are auto, direct, fourier and graded'
            )
        grid.require_phonons()
        if evaluation in ("direct", "fourier") and not grid.is_uniform:
            raise CaseError(f'collisions: evaluation "{evaluation}" needs a uniform grid; use "graded"')
        self.grid, self.coupling, self.evaluation = grid, coupling, evaluation
        given = np.asarray(interaction, dtype=np.float64)
        if given.shape not in ((), (grid.n_phonon,)) or not np.all(np.isfinite(given) & (given >= 0.0)):
            raise CaseError(
                f"collisions: interaction must be one number ≥ 0 for each of {grid.n_phonon} phonon points"
            )
        self.interaction = np.broadcast_to(given, (grid.n_phonon,))
        self.phonon_modes = phonon_modes(grid, coupling, modes)
        self._strength = coupling.strength * self.interaction * grid.phonon_energies**2
        self._shares_phonons = evaluation == "graded" or not grid.is_uniform
        self._prepared: tuple[BinWeights, uniform.Uniform, FourierSums | None] | None = None
        self._split_shares = split_shares
        self._events: nonuniform.PairTable | None = None
        self._split: tuple[BinWeights, nonuniform.PairTable] | None = None

    @property
    def shares_phonons(self) -> bool:
        """True where the phonon of a collision is shared between points (graded sums)."""
        return self._shares_phonons

    def modes(self, bin_weights: BinWeights) -> Floats:
        """Phonon modes of every point and cell, ``(cells, K)`` or ``(1, K)``."""
        shares = bin_weights.phonon_shares
        return self.phonon_modes[None, :] if shares is None else self.phonon_modes * shares

    def chosen(self, bin_weights: BinWeights, f: Floats) -> Evaluation:
        """The evaluation that serves this state."""
        if self._shares_phonons:
            return "graded"
        if self.evaluation != "auto":
            return self.evaluation
        if self.grid.n < FOURIER_FROM:
            return "direct"
        active = np.broadcast_to(bin_weights.active, f.shape)
        smallest = np.where(active, f, np.inf).min(axis=1)
        largest = np.where(active, f, 0.0).max(axis=1)
        return "fourier" if np.all(smallest >= FOURIER_RANGE * largest) else "direct"

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> ElectronPhononRates:
        """The rates by collisions at occupations of quasiparticles ``(cells, N)`` and phonons ``(cells, K)``.

        Args:
            bin_weights: spectrum of every cell, or one for all.
            f, n: occupations.
        """
        return ElectronPhononRates(self, bin_weights, f, n)

    def uniform(self, bin_weights: BinWeights) -> uniform.Uniform:
        """Strengths and modes at bin weights; those of the last one are kept."""
        if self._prepared is None or not _same_shares(self._prepared[0], bin_weights):
            shares, own = bin_weights.phonon_shares, bin_weights.pair_shares
            scattering = np.atleast_2d(self._strength * (1.0 if shares is None else shares))
            pairs = self._strength if own is None else self._strength * own[0]
            made = uniform.Uniform(scattering, pairs, self.modes(bin_weights), 2 * self.grid.first + 1)
            self._prepared = bin_weights, made, None
        return self._prepared[1]

    def transforms(self, bin_weights: BinWeights) -> FourierSums:
        """Transforms with the same."""
        made = self.uniform(bin_weights)
        assert self._prepared is not None
        if self._prepared[2] is None:
            self._prepared = self._prepared[0], made, FourierSums(made, self.grid.n)
        assert self._prepared[2] is not None
        return self._prepared[2]

    def pair_table(self, bin_weights: BinWeights) -> nonuniform.PairTable:
        """Pairs of bins, and the modes of the phonons that they share, of graded sums at bin weights; those
        of the last ones with shares of modes are kept.

        Raises:
            CaseError: shares that differ from cell to cell.
        """
        shares, pairs = bin_weights.phonon_shares, bin_weights.pair_shares
        if shares is None:
            return self.events
        if self._split is None or not _same_shares(self._split[0], bin_weights):
            if len(shares) > 1:
                raise CaseError("collisions: graded sums have the same shares of phonon modes in all cells")
            own = None if pairs is None else pairs[0]
            self._split = bin_weights, nonuniform.with_modes(self.events, shares[0], own)
        return self._split[1]

    @property
    def events(self) -> nonuniform.PairTable:
        """Pairs of bins and the shares of their phonons, of graded sums without shares of modes."""
        if self._events is None:
            self._events = nonuniform.collisions(
                self.grid, self.coupling.strength, self.phonon_modes, self.interaction
            )
            if self._split_shares:
                self._events = nonuniform.split_shares(self._events)
        return self._events


def _same_shares(one: BinWeights, other: BinWeights) -> bool:
    """True where two spectra have the very same shares of phonon modes."""
    return one.phonon_shares is other.phonon_shares and one.pair_shares is other.pair_shares


class ElectronPhononRates(OccupationRates):
    """`ElectronPhonon` at given spectra and occupations."""

    def __init__(self, operator: ElectronPhonon, bin_weights: BinWeights, f: Floats, n: Floats) -> None:
        super().__init__(operator.grid, bin_weights, f, n)
        self._operator, self._which = operator, operator.chosen(bin_weights, self.f)
        #: On graded grids rates, gain and loss of several cells are found together.
        self._batched = self._which == "graded" and len(self.f) >= batched.FEWEST

    @property
    def shares_phonons(self) -> bool:
        """True where the phonon of a collision is shared between points."""
        return self._which == "graded"

    @cached_property
    def rates(self) -> Pair:
        if self._batched:
            return self._balanced[0]
        out = self._like_state()
        if self._which == "fourier":
            self._operator.transforms(self.bin_weights).rates(self.bin_weights, self.f, self.n, *out)
        elif self._which == "direct":
            self._uniform_sums(uniform.rates, self.n, *out)
        else:
            self._nonuniform_sums(nonuniform.rates, self._table, self.n, *out)
        return Pair(self.bin_weights.per_number(out.f), out.n)

    def balance(self) -> GainLoss:
        """Gain and loss coefficients; on graded grids exact to the rounding of their sum."""
        return self._balanced[1] if self._batched else self.gain_loss()

    @cached_property
    def _balanced(self) -> tuple[Pair, GainLoss]:
        rates, parts = self._like_state(), self._coefficients()
        self._batched_sums(batched.balance, self.n, *rates, *parts)
        return Pair(self.bin_weights.per_number(rates.f), rates.n), self._per_number(parts)

    def gain_loss(self, collisions: Collisions = "all") -> GainLoss:
        """Gain and loss coefficients apart, none negative (by transforms: up to round-off).

        Args:
            collisions: ``"scattering"`` or ``"pairs"`` (recombination and pair breaking) alone are always
                summed directly.
        """
        out = self._coefficients()
        if self._which == "graded":
            events = self._table
            if collisions != "all":
                events = nonuniform.some(events, -1.0 if collisions == "scattering" else 1.0)
            self._nonuniform_sums(nonuniform.coefficients, events, self.n, *out)
        elif self._which == "fourier" and collisions == "all":
            return self._transformed
        else:
            parts = collisions != "pairs", collisions != "scattering"
            self._uniform_sums(uniform.coefficients, self.n, *parts, *out)
        return self._per_number(out)

    @cached_property
    def _transformed(self) -> GainLoss:
        """Gain and loss by transforms."""
        out = self._coefficients()
        self._operator.transforms(self.bin_weights).gain_loss(self.bin_weights, self.f, self.n, out)
        return self._per_number(out)

    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        f, n = self.f, self.n
        step_f, step_n = checked_occupations(self._operator.grid, self.bin_weights, step_f, step_n)
        if self._which == "fourier":
            here, change = self._transformed, self._coefficients()
            transforms = self._operator.transforms(self.bin_weights)
            transforms.derivative(self.bin_weights, f, n, step_f, step_n, change)
            moved = change.rates(f, n)
            return Pair(
                self.bin_weights.per_number(moved.f) - (here.in_f + here.out_f) * step_f,
                moved.n + (here.in_n - here.out_n) * step_n,
            )
        out = self._like_state()
        if self._which == "direct":
            self._uniform_sums(uniform.product, n, step_f, step_n, *out)
        elif self._batched:
            self._batched_sums(batched.product, n, step_f, step_n, *out)
        else:
            self._nonuniform_sums(nonuniform.product, self._table, n, step_f, step_n, *out)
        return Pair(self.bin_weights.per_number(out.f), out.n)

    def jacobian(self) -> Blocks:
        """Dense Jacobian of every cell, the block of phonons as a diagonal.

        On a uniform grid that is exact. Where phonons of a collision are shared between points, what these
        points do to one another is lumped into their diagonal such that energy is still conserved.
        """
        operator, weights = self._operator, self.bin_weights
        (cells, bins), points = self.f.shape, self.n.shape[1]
        out = Blocks(
            np.empty((cells, bins, bins)),
            np.empty((cells, bins, points)),
            np.empty((cells, points, bins)),
            np.empty((cells, points)),
        )
        if self.shares_phonons:
            energies = operator.grid.phonon_energies
            self._nonuniform_sums(nonuniform.jacobian, self._table, self.n, energies, *out)
        else:
            state = operator.uniform(weights), weights.dos_weights, weights.pair_weights, self.f, self.n
            least = _WORTH_A_THREAD // bins
            share(uniform.bin_rows, cells * bins, *state, out.ff, out.fn, least=least)
            share(uniform.point_rows, cells * points, *state, out.nf, out.nn, least=least)
        if weights.renormalization is not None:
            for block in (out.ff, out.fn):
                block /= weights.renormalization[:, :, None]
        return out

    def point_block(self) -> Floats:
        """``∂ṅ/∂n`` of graded sums without lumping, ``(cells, K, K)``."""
        points = self.n.shape[1]
        out = np.empty((len(self.n), points, points))
        self._nonuniform_sums(nonuniform.point_rows, self._table, self.n, out)
        return out

    def diagonal(self) -> Pair:
        weights = self.bin_weights
        if self.shares_phonons:
            out = self._like_state()
            self._nonuniform_sums(nonuniform.diagonal, self._table, self.n, *out)
            return Pair(weights.per_number(out.f), out.n)
        here, grid = self.gain_loss(), self._operator.uniform(weights)
        own = uniform.pair_self_rate(grid, weights.dos_weights, weights.pair_weights, self.f, self.n)
        return Pair(-(here.in_f + here.out_f + weights.per_number(own)), here.in_n - here.out_n)

    @property
    def _table(self) -> nonuniform.PairTable:
        return self._operator.pair_table(self.bin_weights)

    def _like_state(self) -> Pair:
        return Pair(np.empty_like(self.f), np.empty_like(self.n))

    def _coefficients(self) -> GainLoss:
        return GainLoss(*(np.empty_like(part) for part in (self.f, self.f, self.n, self.n)))

    def _per_number(self, parts: GainLoss) -> GainLoss:
        per_number = self.bin_weights.per_number
        return parts._replace(in_f=per_number(parts.in_f), out_f=per_number(parts.out_f))

    def _uniform_sums(self, loop: Callable, *rest: object) -> None:
        """Direct sums in all cells."""
        weights = self.bin_weights
        state = self._operator.uniform(weights), weights.dos_weights, weights.pair_weights, self.f
        least = _WORTH_A_THREAD // self._operator.grid.n**2
        share(loop, len(self.f), *state, *rest, least=least)

    def _nonuniform_sums(
        self,
        loop: Callable,
        events: nonuniform.PairTable,
        *rest: object,
    ) -> None:
        """Sums over given collisions in all cells."""
        state = events, self.bin_weights.dos_weights, self.bin_weights.pair_weights, self.f
        least = _WORTH_A_THREAD // (10 * max(1, events.lower.size))
        share(loop, len(self.f), *state, *rest, least=least)

    def _batched_sums(self, loop: Callable, *rest: object) -> None:
        """Sums over all collisions in groups of cells."""
        weights = self.bin_weights
        state = self._table, weights.dos_weights, weights.pair_weights, self.f
        share(loop, len(self.f), *state, *rest, least=batched.FEWEST, block=batched.TOGETHER)
