"""Media that fill the cells of a body: collisions, gap, and speeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.collisions import ElectronPhonon, GainLoss, Process, relative_velocity
from fvqp.collisions.electron_phonon import Collisions
from fvqp.energy import BinWeights, EnergyAxis, bcs_weights
from fvqp.energy.bin_weights import Rule
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap
from fvqp.typing import Floats, Ints


@dataclass(frozen=True, eq=False)
class Medium:
    """A superconductor, a normal metal or an insulator. Energies in Δ0, times in τ0 of a reference.

    Attributes:
        collisions: of quasiparticles with phonons; None where these do not collide. A material with a τ0 and
            Δ0 of its own has another `Coupling` on the same grid.
        gap: Δ of a BCS spectrum that is fixed, one number or one for each of the medium's cells, ghosts
            included; or what makes the gap follow the occupations of every cell; None in an insulator, which
            has no quasiparticles.
        spectrum: any other fixed spectrum, one row, with ``gap`` as its edge.
        density: N0 over that of the reference.
        modes: phonon modes of every point, ``(K,)``, in 4 N0 Δ0 of the reference; default: those of the
            collisions. Needed without collisions.
        fermi_velocity, free_path: v_F in metres/τ0, and the free path ℓ of elastic scattering in metres,
            infinite without. A quasiparticle has the speed ``v_F|ξ|/E``, and diffuses with ``v_Fℓ/3`` above
            the gap; with a renormalization of its own, see `relative_velocity`.
        sound_velocity, phonon_free_path: of phonons, likewise; one number or one for each phonon point.
        processes: sources, drives, escape and localization by name; their rows are the medium's owned cells.
            Those with states of their own need a fixed gap that is one number.
        rule: how states are counted, see `bcs_weights`.
        phonon_shares: phonon modes of every point over those of its share of the axis, ``(K,)``: split at 2Δ
            of the fixed gaps of a body (`fvqp.collisions.threshold`), and where phonons move the same in all
            media. A gap that follows has its own ``splits_phonons``.
        pair_shares: the part of these that is not due to the gap of this medium, see `BinWeights`.

    Raises:
        CaseError: numbers out of range, or parts that do not go together.
    """

    collisions: ElectronPhonon | None
    gap: ArrayLike | SelfConsistentGap | None = 1.0
    spectrum: BinWeights | None = None
    density: float = 1.0
    modes: ArrayLike | None = None
    fermi_velocity: float = 0.0
    free_path: float = np.inf
    sound_velocity: ArrayLike = 0.0
    phonon_free_path: ArrayLike = np.inf
    processes: Mapping[str, Process] = field(default_factory=dict)
    rule: Rule = "linear"
    phonon_shares: Floats | None = None
    pair_shares: Floats | None = None

    def __post_init__(self) -> None:
        for name in ("density", "free_path", "phonon_free_path"):
            if not np.all(np.asarray(getattr(self, name), dtype=np.float64) > 0.0):
                raise CaseError(f"medium: {name} must be positive")
        for name in ("fermi_velocity", "sound_velocity"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if not np.all(np.isfinite(value) & (value >= 0.0)):
                raise CaseError(f"medium: {name} must be finite and not negative")
        if self.collisions is None and self.modes is None:
            raise CaseError("medium: without collisions it needs its phonon modes")
        if self.collisions is not None and self.gap is None:
            raise CaseError("medium: without quasiparticles there are no collisions")
        one_gap = (
            self.gap is not None and not isinstance(self.gap, SelfConsistentGap) and np.ndim(self.gap) == 0
        )
        if self.spectrum is not None and not one_gap:
            raise CaseError("medium: a fixed spectrum has one gap, its edge")
        for process in self.processes.values():
            if getattr(process, "own_states", None) is None:
                continue
            if not one_gap:
                raise CaseError("medium: localized quasiparticles need one fixed gap")
            if process.diffusivity > 0.0 and np.isinf(self.free_path):  # type: ignore[attr-defined]
                raise CaseError("medium: localized quasiparticles that hop need a finite free path")
        if self.phonon_shares is not None and isinstance(self.gap, SelfConsistentGap):
            raise CaseError(
                "medium: phonon_shares are those of fixed gaps; a gap that follows has its own splits_phonons"
            )


class MediumCells:
    """A medium in its cells, and what its spectrum is at any gap.

    Attributes:
        medium: as given.
        cells: local numbers, ghosts included; the owned ones first.
        owned: those that this rank owns.
        rows: the same for arrays over owned cells, without copies where they are all of them.
        self_consistent: of a gap that follows, or None.
        internal, external: processes by name, collisions among them: those that keep the energy of a cell,
            and those that bring particles or energy from outside.
        own_states: ``(N,)`` states that processes add to those of the spectrum, or None.
    """

    def __init__(self, medium: Medium, grid: EnergyAxis, cells: Ints, n_owned: int) -> None:
        self.medium, self.grid = medium, grid
        self.cells = np.sort(np.asarray(cells, dtype=np.int64))
        self.owned = self.cells[self.cells < n_owned]
        everywhere = np.array_equal(self.owned, np.arange(n_owned))
        self.rows: slice | Ints = slice(n_owned) if everywhere else self.owned
        self.self_consistent = medium.gap if isinstance(medium.gap, SelfConsistentGap) else None
        self.internal: dict[str, Process] = {}
        if medium.collisions is not None:
            self.internal["electron-phonon collisions"] = medium.collisions
        self.external: dict[str, Process] = {}
        self.own_states: Floats | None = None
        self._hops = np.zeros(grid.n)
        for name, process in medium.processes.items():
            kept = getattr(process, "keeps_energy", False)
            (self.internal if kept else self.external)[name] = process
            own = getattr(process, "own_states", None)
            if own is not None:
                self.own_states = own if self.own_states is None else self.own_states + own
                self._hops += np.where(own > 0.0, process.diffusivity, 0.0)  # type: ignore[attr-defined]
        bound = [*self.internal.values(), self.self_consistent]
        if any(given is not None and given.grid is not grid for given in bound):  # type: ignore[union-attr]
            raise CaseError("media: collisions and gaps have different energy axes; give all the same")
        modes = medium.modes
        if modes is None:
            assert medium.collisions is not None
            modes = medium.density * medium.collisions.phonon_modes
        self.modes = np.asarray(modes, dtype=np.float64)
        if self.modes.shape != (grid.n_phonon,) or not np.all(self.modes > 0.0):
            raise CaseError(
                f"medium: modes must be one positive number for each of {grid.n_phonon} phonon points"
            )

        if self.splits_phonons and (medium.collisions is None or medium.collisions.shares_phonons):
            raise CaseError(
                "medium: graded sums do not split phonon modes at twice a gap that follows; choose "
                "splits_phonons=False, or direct sums on a uniform axis"
            )
        self.phonon_shares, self._pair_shares = (
            None if given is None else self._shares(given)
            for given in (medium.phonon_shares, medium.pair_shares)
        )

    @property
    def has_quasiparticles(self) -> bool:
        return self.medium.gap is not None

    @property
    def collides(self) -> bool:
        """True if quasiparticles and phonons change one another."""
        return bool(self.internal)

    @property
    def splits_phonons(self) -> bool:
        """True if phonon modes are split at 2Δ of a gap that follows."""
        return self.self_consistent is not None and self.self_consistent.splits_phonons

    def _shares(self, given: Floats) -> Floats:
        shares = np.asarray(given, dtype=np.float64)
        if shares.shape != (self.grid.n_phonon,) or not np.all(shares > 0.0):
            raise CaseError(
                f"medium: shares of modes must be one positive number for each of {self.grid.n_phonon} "
                "phonon points"
            )
        return shares[None]

    def initial_gap(self) -> Floats:
        """A fixed gap, ``(cells,)``; without quasiparticles that of a gap that follows; NaN in an
        insulator."""
        if not self.has_quasiparticles:
            return np.full(len(self.cells), np.nan)
        given = self.medium.gap if self.self_consistent is None else self.self_consistent.cold
        gap = np.asarray(given, dtype=np.float64)
        if gap.shape not in ((), self.cells.shape):
            raise CaseError(
                f"medium: needs one gap or one for each of its {len(self.cells)} cells, found shape "
                f"{gap.shape}"
            )
        return np.broadcast_to(gap, self.cells.shape).copy()

    def bin_weights(self, gap: Floats) -> BinWeights:
        """Spectrum of cells with these gaps; one row for all where they are equal."""
        if self.self_consistent is not None:
            return self.self_consistent.bin_weights(gap)
        if self.medium.gap is None:
            found = BinWeights(np.zeros((1, self.grid.n)), np.zeros((1, self.grid.n)))
        else:
            found = self.medium.spectrum or bcs_weights(self.grid, _one_if_equal(gap), self.medium.rule)
        if self.phonon_shares is None:
            return found
        return replace(found, phonon_shares=self.phonon_shares, pair_shares=self._pair_shares)

    def processes(self) -> dict[str, Process]:
        """All processes by name."""
        return self.internal | self.external

    def gain_loss(
        self, bin_weights: BinWeights, f: Floats, n: Floats, collisions: Collisions = "all"
    ) -> GainLoss:
        """Gain and loss coefficients of all processes together; or of ``"scattering"`` or ``"pairs"`` alone.

        Args:
            bin_weights: spectrum of the cells.
            f, n: their occupations, ``(cells, N)`` and ``(cells, K)``.
            collisions: see `ElectronPhononRates.gain_loss`.
        """
        total = GainLoss(*(np.zeros_like(part) for part in (f, f, n, n)))
        own = self.medium.collisions
        if collisions != "all":
            parts = [] if own is None else [own.at(bin_weights, f, n).gain_loss(collisions)]
        else:
            parts = [process.at(bin_weights, f, n).gain_loss() for process in self.processes().values()]
        for part in parts:
            for sum_of_all, one in zip(total, part, strict=True):
                sum_of_all += one
        return total

    def number(self, bin_weights: BinWeights) -> Floats:
        """States of the bins of a spectrum and those of processes, ``(cells or 1, N)``, in 4 N0 Δ0."""
        own = 0.0 if self.own_states is None else self.own_states
        return np.asarray(self.medium.density * (bin_weights.number + own))

    def motion(self, bin_weights: BinWeights, gap: Floats) -> tuple[Floats, Floats]:
        """Speed of quasiparticles in metres/τ0 and their number of states in 4 N0 Δ0 of the reference at
        these gaps, ``(cells or 1, N)`` each."""
        weak = bin_weights.renormalization is None and self.medium.spectrum is None
        relative = relative_velocity(
            self.grid,
            gap if len(bin_weights.dos_weights) > 1 else _one_if_equal(gap),
            self.medium.rule,
            None if weak else bin_weights,
        )
        speed, states = self.medium.fermi_velocity * relative, self.medium.density * bin_weights.number
        if np.any(self._hops > 0.0):
            speed = np.where(self._hops > 0.0, 3.0 * self._hops / self.medium.free_path, speed)
            return speed, self.number(bin_weights)
        return speed, states

    def condensate(self, gap: Floats) -> Floats:
        """Energy of the condensate of every cell, in 4 N0 Δ0² of the reference; 0 with a fixed gap."""
        if self.self_consistent is None:
            return np.zeros(len(gap))
        return self.medium.density * self.self_consistent.condensate_energy(gap)


def filled(
    media: Medium | Sequence[tuple[ArrayLike, Medium]],
    grid: EnergyAxis,
    n_owned: int,
    n_cells: int,
    comm: MPI.Comm,
) -> list[MediumCells]:
    """Media in their cells.

    Args:
        media: one for all cells, or pairs of cells (local numbers, ghosts included) and what fills them.
        grid: energies of all.
        n_owned, n_cells: of this rank.
        comm: collective.

    Raises:
        CaseError: cells without a medium, or with two.
    """
    pairs = [(np.arange(n_cells), media)] if isinstance(media, Medium) else list(media)
    count = np.zeros(n_cells, dtype=np.int64)
    for cells, _ in pairs:
        np.add.at(count, np.asarray(cells, dtype=np.int64), 1)
    for wrong, what in ((count == 0, "have no medium"), (count > 1, "have two media")):
        found = int(comm.allreduce(int(wrong[:n_owned].sum())))
        if found:
            raise CaseError(f"media: {found} cells {what}; each needs one")
    return [MediumCells(medium, grid, np.asarray(cells), n_owned) for cells, medium in pairs]


def _one_if_equal(gap: Floats) -> Floats:
    return gap[:1] if len(gap) and np.all(gap == gap[0]) else gap
