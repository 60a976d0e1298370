"""A gap that follows the occupations of its cell on a fixed energy axis, and takes the quasiparticles along.

Collisions act at a fixed gap; then the gap moves to where it solves the gap equation. Quasiparticles keep
their momentum, so that their energy moves with the gap; what that costs comes from the condensate. Energies
are in units of Δ0, energies per volume in units of 4 N0 Δ0² (theory: moving_gap).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions.observables import quasiparticle_energy
from fvqp.collisions.threshold import at_threshold
from fvqp.energy import EnergyAxis
from fvqp.energy.bin_weights import BinWeights, Rule
from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import update_kernels as kernels
from fvqp.gap.bin_spectrum import Axis, pairing
from fvqp.gap.family import SpectralFamily
from fvqp.threads import share
from fvqp.typing import Floats, Ints

# Bins whose gap is worth a thread to follow: a fifth of a microsecond each, and more when it moves far.
_WORTH_A_THREAD = 1000


class GapUpdate(NamedTuple):
    """Gap that solves its equation, with the occupations that moved along.

    Attributes:
        f: occupations that moved along, ``(cells, N)``.
        gap: ``(cells,)``; 0 in normal cells.
        bin_weights: bin weights of these gaps, one row a cell.
    """

    f: Floats
    gap: Floats
    bin_weights: BinWeights


def condensate_energy(gap: ArrayLike) -> Floats:
    """Energy of the condensate relative to the normal state (theory: moving_gap, Eq. condensate).

    ``−(Δ²/4)[1/2 + ln(Δ0/Δ)]`` in units of 4 N0 Δ0²; −1/8 at Δ = Δ0, 0 at Δ = 0.

    Args:
        gap: Δ ≥ 0, any shape.

    Raises:
        CaseError: negative gap, or one that is not finite.
    """
    gaps = _checked_gap(gap)
    return np.asarray(-0.25 * gaps**2 * (0.5 - np.log(np.where(gaps > 0.0, gaps, 1.0))))


class SelfConsistentGap:
    """The gap equation in the bin weights, and motion of the gap with exact number and energy.

    The gap of a cell solves

        ln(Δ_c/Δ) = (2/Δ) Σ p_i f_i

    (theory: moving_gap, Eq. gap-equation) with the anomalous weights p of the bin weights and the gap Δ_c
    without quasiparticles, which is the unit of energy unless given; or that of a `SpectralFamily`. A cell
    whose gap is smaller than `floor` is normal: its gap is 0.

    Attributes:
        grid, rule, cold, family, splits_phonons: as given.
        floor: smallest gap that the grid resolves: the energy of the first bin where bins begin at 0, else
            their beginning.
    """

    def __init__(
        self,
        grid: EnergyAxis,
        rule: Rule = "linear",
        *,
        cold: float = 1.0,
        family: SpectralFamily | None = None,
        splits_phonons: bool = False,
    ) -> None:
        """
        Args:
            grid: energies, uniform or graded. Its bins begin at 0, or below the smallest gap that occurs.
            rule: of the bin weights (`bcs_weights`).
            cold: Δ_c, of a superconductor that is not the reference.
            family: spectra of strong coupling and their gap equation; None for those of BCS theory.
            splits_phonons: whether bin weights split phonon modes at 2Δ (`fvqp.collisions.threshold`), on a
                uniform grid. What moves the gap then has to take phonons along
                (`fvqp.models.boltzmann.lifted_phonons`).

        Raises:
            CaseError: unknown rule, bins that do not hold Δ_c or begin above it, energies where a family
                has no quasiparticles.
        """
        if rule not in ("bin", "linear"):
            raise CaseError(f'bin weights: rule must be "bin" or "linear", not "{rule}"')
        if not grid.edges[0] < cold <= grid.edges[-2]:
            raise CaseError(
                f"energy axis: bins from {grid.edges[0]:g} to {grid.edges[-1]:g} Δ0 do not hold the gap "
                f"of zero temperature, {cold:g} Δ0"
            )
        self.grid, self.rule, self.cold = grid, rule, float(cold)
        self.family, self.splits_phonons = family, splits_phonons and grid.is_uniform
        self.floor = float(grid.energies[0] if grid.edges[0] == 0.0 else grid.edges[0])
        self._least = _WORTH_A_THREAD // grid.n
        self._axis = self._on_axis()

    def _on_axis(self) -> Axis:
        """Return the tables of the kernels; these have a gap of 1 at zero temperature: energies are in
        units of Δ_c."""
        centres, edges = self.grid.energies / self.cold, self.grid.edges / self.cold
        linear = self.rule == "linear"
        bounds = np.concatenate([edges[:1], centres, edges[-1:]]) if linear else edges
        stretches = bounds.size - 1
        weak = Axis(
            edges,
            centres,
            bounds,
            np.diff(centres),
            linear,
            self.floor / self.cold,
            True,
            bounds,
            np.ones(stretches + 1),
            np.ones(stretches),
            np.zeros(stretches),
            centres,
            np.ones(centres.size),
            np.ones(centres.size),
            np.zeros(centres.size),
            np.array([1.0, 0.0, 0.0]),
        )
        return weak if self.family is None else _of_family(self.family, weak)

    def bin_weights(self, gap: ArrayLike) -> BinWeights:
        """Bin weights at these gaps, ``(cells,)``: `bcs_weights` to rounding, compiled."""
        return self._bin_weights(np.atleast_1d(self._fitting(gap)) / self.cold)

    def residual(self, f: Floats, gap: ArrayLike) -> Floats:
        """``ln(Δ_c/Δ) − (2/Δ) Σ p_i f_i`` of every cell, ``(cells,)``: close to ``ln(Δ_solution/Δ)``.

        Taken at `floor` where the gap is smaller: negative, then, if the cell stays normal. Its derivative
        with respect to ``f_i`` at a fixed gap is ``−2 p_i/Δ``, of a family ``−2 φ_i p_i/y``.
        """
        f, gaps = self._checked(f, gap)
        out = np.empty(gaps.size)
        kernels.residuals(self._axis, f, gaps, out)
        return out

    def gap(self, f: Floats, guess: ArrayLike | None = None) -> Floats:
        """Gap of every cell from occupations of the bins, which stay where they are, ``(cells,)``.

        For steady states and initial conditions. Of several solutions it takes the one that the guess flows
        to; from the default, the largest. Bins below the gap count as soon as the gap comes down to them:
        ``f`` must make sense there.

        Args:
            f: ``(cells, N)``.
            guess: scalar or ``(cells,)``; Δ_c by default.

        Raises:
            CaseError: f outside [0, 1]; a gap below a grid that does not begin at 0.
            ConvergenceError: no solution found.
        """
        f, gaps = self._checked(f, self.cold if guess is None else guess)
        status = np.zeros(gaps.size, dtype=np.int64)
        share(kernels.solve, gaps.size, self._axis, f, gaps, status, least=self._least)
        self._complain(status, gaps)
        return gaps * self.cold

    def follow(self, f: Floats, gap: ArrayLike) -> GapUpdate:
        """Gap and occupations after quasiparticles were carried along with the gap to its solution.

        Number ``Σ s_i f_i`` and energy (`total_energy`) of every cell are those at the start, to rounding,
        0 ≤ f ≤ 1, and the gap equation holds with the new f to 1e-12. Nothing moves where it holds
        already. Bins without states at the end keep their occupation.

        Args:
            f: ``(cells, N)`` after collisions at the gap ``gap``.
            gap: of the bin weights at which these collisions took place, scalar or ``(cells,)``.

        Raises:
            CaseError: f outside [0, 1]; a gap that leaves a grid that does not begin at 0.
            ConvergenceError: quasiparticles cannot take the energy that the condensate gives up, because
                there are too few: the gap and f at the start were far from belonging together.
        """
        f, gaps = self._checked(f, gap)
        f = f.copy()
        status = np.zeros(gaps.size, dtype=np.int64)
        states, anomalous = np.empty_like(f), np.empty_like(f)
        share(kernels.follow, gaps.size, self._axis, f, gaps, states, anomalous, status, least=self._least)
        self._complain(status, gaps)
        return GapUpdate(f, gaps * self.cold, self._counted(gaps, states, anomalous))

    def shift(self, f: Floats, gap: ArrayLike, target: ArrayLike) -> GapUpdate:
        """Occupations carried along to a given gap, with number and energy as in `follow`.

        For half a step ahead of the gap equation, which need not hold at either end. Cells stay where they
        are if they are normal at one of the ends, or if their quasiparticles cannot take the energy.

        Args:
            f: ``(cells, N)``.
            gap, target: from where to where, scalar or ``(cells,)``.

        Raises:
            CaseError: f outside [0, 1]; gaps that do not fit onto the grid.
        """
        f, gaps = self._checked(f, gap)
        targets = np.broadcast_to(self._fitting(target) / self.cold, gaps.shape)
        f = f.copy()
        floor = self._axis.floor
        for cell in np.flatnonzero((gaps > floor) & (targets > floor)):
            if kernels.shift_cell(self._axis, f[cell], gaps[cell], targets[cell]):
                gaps[cell] = targets[cell]
        return GapUpdate(f, gaps * self.cold, self._bin_weights(gaps))

    def condensate_energy(self, gap: ArrayLike) -> Floats:
        """Energy of the condensate relative to the normal state at these gaps, see `condensate_energy`."""
        gaps = _checked_gap(gap) / self.cold
        out = np.empty(gaps.size)
        kernels.condensates(self._axis, gaps.ravel(), out)
        return self.cold**2 * out.reshape(gaps.shape)

    def total_energy(self, f: Floats, gap: ArrayLike) -> Floats:
        """Quasiparticles and condensate together, ``W/(4 N0 Δ0²)`` (theory: moving_gap, Eq. total-energy)."""
        f, gaps = self._checked(f, gap)
        gaps *= self.cold
        quasiparticles = quasiparticle_energy(self.grid, self.bin_weights(gaps), f)
        return np.asarray(self.condensate_energy(gaps) + quasiparticles)

    def _bin_weights(self, gaps: Floats) -> BinWeights:
        """Bin weights at gaps in units of Δ_c."""
        states, anomalous = np.empty((gaps.size, self.grid.n)), np.empty((gaps.size, self.grid.n))
        kernels.bin_weights(self._axis, gaps, states, anomalous)
        return self._counted(gaps, states, anomalous)

    def _counted(self, gaps: Floats, states: Floats, anomalous: Floats) -> BinWeights:
        """Measure from the momentum states of the bins."""
        if self.family is None:
            bin_weights = BinWeights(states * self.cold, anomalous * self.cold)
        else:
            masses = np.empty_like(states)
            kernels.masses(self._axis, gaps, masses)
            bin_weights = BinWeights(states / masses * self.cold, anomalous * self.cold, masses)
        if not self.splits_phonons:
            return bin_weights
        return at_threshold(self.grid, bin_weights, gaps * self.cold, self.rule)

    def _fitting(self, gap: ArrayLike) -> Floats:
        gaps = _checked_gap(gap)
        if np.any(gaps < self.grid.edges[0]):
            raise CaseError(
                f"energy axis: starts at {self.grid.edges[0]:g} Δ0, above a gap of {gaps.min():g} Δ0"
            )
        if np.any(gaps > self.grid.edges[-2]):
            raise CaseError(
                f"energy axis: ends at {self.grid.edges[-1]:g} Δ0 and does not hold a gap of "
                f"{gaps.max():g} Δ0"
            )
        return gaps

    def _checked(self, f: Floats, gap: ArrayLike) -> tuple[Floats, Floats]:
        """f, and gaps in units of Δ_c, one a cell."""
        f = np.ascontiguousarray(f, dtype=np.float64)
        if f.ndim != 2 or f.shape[1] != self.grid.n:
            raise CaseError(f"gap: need f of shape (cells, {self.grid.n}), found {f.shape}")
        gaps = self._fitting(gap)
        if gaps.shape not in ((), (1,), (f.shape[0],)):
            raise CaseError(
                f"gap: need one number, or one for each of {f.shape[0]} cells, found {gaps.shape}"
            )
        low, high = f.min(), f.max()
        if not (low >= 0.0 and high <= 1.0):
            raise CaseError(f"gap: occupations f must lie within [0, 1], found {low:g} to {high:g}")
        return f, np.broadcast_to(gaps, (f.shape[0],)) / self.cold

    def _complain(self, status: Ints, gaps: Floats) -> None:
        below = np.flatnonzero(status == kernels.BELOW_GRID)
        if below.size:
            raise CaseError(
                f"energy axis: starts at {self.grid.edges[0]:g} Δ0, and the gap of cell {below[0]} falls "
                "below; let the grid start at 0, or below the smallest gap that occurs"
            )
        refused = np.flatnonzero(status == kernels.REFUSED)
        if refused.size:
            raise ConvergenceError(
                f"gap of cell {refused[0]}: does not move on from {self.cold * gaps[refused[0]]:g} Δ0, its "
                "quasiparticles cannot balance the energy of the condensate; begin with a gap that belongs "
                "to f, and take shorter steps"
            )


def _of_family(family: SpectralFamily, weak: Axis) -> Axis:
    """An axis with the spectra of a family in place of those of BCS theory."""
    bounds, centres = weak.bounds, weak.centres
    family.check(centres)
    x, phi = family.x(bounds), family.phi(bounds)
    per_x, bend = family.bends(centres)
    axis = weak._replace(
        weak=False,
        x=x,
        phi=phi,
        per_x=np.diff(bounds) / np.diff(x),
        bend=np.diff(phi**2) / np.diff(x**2),
        x_centre=family.x(centres),
        phi_centre=family.phi(centres),
        per_x_centre=per_x,
        bend_centre=bend,
        law=np.array(family.law),
    )
    # Between bounds φ² is a straight line of X²: without quasiparticles the edge is at 1 nevertheless.
    at_rest = pairing(axis, 1.0)
    return axis._replace(
        phi=axis.phi * at_rest,
        bend=axis.bend * at_rest**2,
        phi_centre=axis.phi_centre * at_rest,
        bend_centre=axis.bend_centre * at_rest**2,
    )


def _checked_gap(gap: ArrayLike) -> Floats:
    gaps = np.array(gap, dtype=np.float64)
    if not np.all(np.isfinite(gaps)) or np.any(gaps < 0.0):
        raise CaseError("gap: must be finite and not negative")
    return gaps
