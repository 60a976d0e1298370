"""Implicit steps of what happens inside cells: ``(1 − length × J)⁻¹`` of every cell.

Phonons, which act on one another through quasiparticles only, are eliminated (`EliminatedLU`; `EliminatedX`
where that only preconditions); eliminations are kept for steps that are nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from fvqp.collisions import Pair, PhotonDrive, Process
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.memory import give_back
from fvqp.models.boltzmann.state import Local
from fvqp.solvers.elimination import Arrow, EliminatedLU, EliminatedX
from fvqp.threads import share
from fvqp.typing import Bools, Floats, Ints

#: Bytes that the eliminated Jacobians of a rank may take; beyond, they are made anew for every solve.
MEMORY = 1 << 31
#: Elimination for a step, or rates of collisions in units of it, that differ by no more than this are used.
SIMILAR_STEP, SIMILAR_RATES = 1.25, 0.1
#: Cells whose Jacobians are made together.
TOGETHER = 64

Kind = TypeVar("Kind", EliminatedLU, EliminatedX)


class Eliminations:
    """Eliminations ``(1 − length × J)⁻¹`` of cells, kept for lengths and states that are nearly the same.

    Which cell is eliminated again depends on that cell alone, so that results do not depend on the ranks.

    Args:
        colliding: ``(n_owned,)`` true in cells with collisions; others need no elimination.
        grid: energies.

    Attributes:
        row: ``(n_owned,)`` number of a cell among those with collisions.
        kept: of the first of these cells, as many as there is room for; None before there are any.
        missing: ``(cells with collisions,)`` true where no elimination serves.
        length: that a cell was, or is to be, eliminated for.
    """

    def __init__(self, colliding: Bools, grid: EnergyAxis) -> None:
        self.row, cells = np.cumsum(colliding) - 1, int(colliding.sum())
        self.kept: EliminatedLU | EliminatedX | None = None
        self.missing = np.ones(cells, dtype=bool)
        self.length = np.ones(cells)
        self._inelastic = Pair(np.zeros((cells, grid.n)), np.zeros((cells, grid.n_phonon)))
        self._grid = grid

    def check(self, at: Ints, length: float, inelastic: Pair, energy: Pair, escaping: bool) -> None:
        """Drops eliminations for another length, or for other rates of collisions where there is energy, and
        those with phonons that escape if they are not to, and the other way round."""
        kind: type[EliminatedLU] | type[EliminatedX] = EliminatedX if escaping else EliminatedLU
        if not isinstance(self.kept, kind):
            self.clear()  # before others are made: there is no room for both
            give_back()
            cells = min(len(self.missing), self.room(kind))
            self.kept = kind(cells, self._grid.n, self._grid.n_phonon)
        at = self.row[at]
        was = self.length[at]
        serves = (length <= SIMILAR_STEP * was) & (was <= SIMILAR_STEP * length)
        for old, now, held in zip(self._inelastic, inelastic, energy, strict=True):
            change = np.abs(now - old[at]) * length / (1.0 + length * np.minimum(old[at], now))
            serves &= np.sum(change * held, axis=1) <= SIMILAR_RATES * np.sum(held, axis=1)
        serves &= ~self.missing[at]
        gone = at[~serves]
        self.missing[gone] = True
        self.length[gone] = length
        for old, now in zip(self._inelastic, inelastic, strict=True):
            old[gone] = now[~serves]

    def room(self, kind: type[EliminatedLU] | type[EliminatedX]) -> int:
        """Number of cells whose eliminations are kept."""
        return MEMORY // kind.kept(self._grid.n, self._grid.n_phonon)

    def clear(self) -> None:
        """Drops all."""
        self.kept = None
        self.missing[:] = True


class CellSolver:
    """``(1 − length × J)⁻¹`` of the cells of one medium.

    Attributes:
        energy: of quasiparticles and phonons, ``(cells, N)`` and ``(cells, K)``.
    """

    def __init__(
        self,
        within: Sequence[Process],
        bin_weights: BinWeights,
        at: Ints,
        length: float,
        state: Pair,
        own: dict[int, Pair],
        drives: dict[int, PhotonDrive],
        weight: Pair,
        energies: Pair,
        eliminations: Eliminations,
        leaving: tuple[float, Floats] | None,
    ) -> None:
        """
        Args:
            within: processes that keep the energy of a cell, with dense Jacobians.
            bin_weights, state, weight: of its cells.
            own, drives: exchanges by their number, with diagonal Jacobians and with dense ones.
            at: the cells.
            length: of the step.
            energies: of quasiparticles and phonons.
            eliminations: those that there are.
            leaving: one over the length of phonons, and rates at which they leave a cell; None: these stay.
        """
        self._leaving = leaving
        self._within, self._bin_weights, self._at, self._length = within, bin_weights, at, length
        self._rows = eliminations.row[at]
        self._state, self._own, self._weight, self._energies = state, own, weight, energies
        self._eliminations, self._drives = eliminations, drives
        self._driving = {row: drive.at(bin_weights, *state) for row, drive in drives.items()}
        # what rounding, or an earlier elimination, takes from the energy of a cell is made up for in
        # proportion to what is there, and to what exchanges take of that
        self.energy = Pair(weight.f * energies.f * np.abs(state.f), weight.n * energies.n * np.abs(state.n))
        kept_f, kept_n = self.energy
        for part in own.values():
            kept_f, kept_n = (
                kept_f - length * part.f * self.energy.f,
                kept_n - length * part.n * self.energy.n,
            )
        held = kept_f.sum(axis=1) + kept_n.sum(axis=1)
        for driven in self._driven(*state).values():
            held -= length * np.sum(weight.f * energies.f * driven, axis=1)
        self._per_energy = np.divide(1.0, held, out=np.zeros_like(held), where=held > 0.0)

    def solve(self, r_f: Floats, r_n: Floats, out: Local) -> None:
        """Adds the solution to its cells, and what exchanges give."""
        at, length, weight, energies = self._at, self._length, self._weight, self._energies
        right_f, right_n = r_f[at], r_n[at]
        bins = right_f.shape[1]
        if not self._within:
            x_f = right_f / (1.0 - length * self._sum(0, right_f))
            x_n = right_n / (1.0 - length * self._sum(1, right_n))
        else:
            right = np.concatenate([right_f, right_n], axis=1) / self._eliminations.length[self._rows, None]
            x = np.empty_like(right)
            self._eliminated(EliminatedLU, EliminatedLU.solve, right, x)
            x_f, x_n = x[:, :bins], x[:, bins:]
        missing = np.sum(weight.f * energies.f * (right_f - x_f), axis=1)
        missing += np.sum(weight.n * energies.n * (right_n - x_n), axis=1)
        for own in self._own.values():
            missing += length * np.sum(weight.f * energies.f * own.f * x_f, axis=1)
            missing += length * np.sum(weight.n * energies.n * own.n * x_n, axis=1)
        for driven in self._driven(x_f, x_n).values():
            missing += length * np.sum(weight.f * energies.f * driven, axis=1)
        missing *= self._per_energy
        if self._within:
            x_f, x_n = x_f + missing[:, None] * self._state.f, x_n + missing[:, None] * self._state.n
        for row, own in self._own.items():
            out.source_f[row] += length * np.sum(weight.f * own.f * x_f, axis=0)
            out.source_n[row] += length * np.sum(weight.n * own.n * x_n, axis=0)
        for row, driven in self._driven(x_f, x_n).items():
            out.source_f[row] += length * np.sum(weight.f * driven, axis=0)
        out.f[at], out.n[at] = x_f, x_n

    def _driven(self, x_f: Floats, x_n: Floats) -> dict[int, Floats]:
        """Return the contributions of drives to a step, by their number."""
        return {row: drive.jvp(x_f, x_n).f for row, drive in self._driving.items()}

    def _sum(self, species: int, like: Floats) -> Floats:
        total = np.zeros_like(like)
        for own in self._own.values():
            total += own[species]
        return total

    def absorbed(self, out: Floats) -> None:
        """Fills in the rates at which phonons of these cells are taken away."""
        if not self._within:
            out[self._at] = -self._sum(1, out[self._at])
            return
        assert self._leaving is not None
        rate = np.empty_like(self._leaving[1])
        self._eliminated(EliminatedX, self._taken, rate)
        out[self._at] = rate - self._leaving[1]

    def escaping(self, r: Floats, f: Floats, n: Floats) -> None:
        """Fills in quasiparticles of these cells, and rates of change of phonons by them."""
        right = r[self._at]
        if not self._within:
            f[self._at] = right / (1.0 - self._length * self._sum(0, right))
            return
        right /= self._eliminations.length[self._rows, None]
        out = np.empty_like(right), np.empty_like(self._state.n)
        self._eliminated(EliminatedX, EliminatedX.solve, right, *out)
        f[self._at], n[self._at] = out

    @staticmethod
    def _taken(lu: EliminatedX, at: Ints, rate: Floats) -> None:
        rate[...] = -lu.zz[at]

    def _eliminated(self, kind: type[Kind], use: Callable[..., None], *arrays: Floats) -> None:
        """Call ``use(elimination, its points, *rows of arrays)`` for all cells.

        Cells without an elimination that serves are eliminated before; those beyond the room for them, on
        every call.
        """
        every, kept = self._eliminations, self._eliminations.kept
        assert isinstance(kept, kind)
        last = int(np.searchsorted(self._rows, every.room(kind)))
        missing = np.flatnonzero(every.missing[self._rows[:last]])
        share(self._make, len(missing), kept, missing, block=TOGETHER)
        every.missing[self._rows[missing]] = False

        def on(start: int, stop: int) -> None:
            use(kept, self._rows[start:stop], *(a[start:stop] for a in arrays))

        def anew(start: int, stop: int) -> None:
            rows = np.arange(last + start, last + stop)
            lu = kind(len(rows), self._state.f.shape[1], self._state.n.shape[1])
            self._factor(lu, np.arange(len(rows)), rows)
            use(lu, np.arange(len(rows)), *(a[rows[0] : rows[-1] + 1] for a in arrays))

        share(on, last, least=TOGETHER)
        share(anew, len(self._rows) - last, block=TOGETHER)

    def _make(self, start: int, stop: int, kept: EliminatedLU | EliminatedX, missing: Ints) -> None:
        rows = missing[start:stop]
        self._factor(kept, self._rows[rows], rows)

    def _factor(self, lu: EliminatedLU | EliminatedX, to: Ints, rows: Ints) -> None:
        """Eliminate rows of this medium, as points ``to`` of ``lu``."""
        state = self._bin_weights.rows(rows), self._state.f[rows], self._state.n[rows]
        blocks = Arrow(*self._within[0].at(*state).jacobian())
        for process in (*self._within[1:], *(drive.rows(rows) for drive in self._drives.values())):
            for block, more in zip(blocks, process.at(*state).jacobian(), strict=True):
                block += more
        for own in self._own.values():
            np.einsum("cii->ci", blocks.xx)[...] += own.f[rows]
            blocks.zz[...] += own.n[rows]
        shift = 1.0 / self._eliminations.length[self._rows[rows]]
        if isinstance(lu, EliminatedLU):
            lu.factor(to, blocks, shift)
        else:
            assert self._leaving is not None
            blocks.zz[...] -= self._leaving[1][rows]
            lu.factor(to, blocks, shift, self._leaving[0])
