"""What happens inside cells: collisions, sources and escape, from means over directions.

Every collision sends its particles in all directions: with gain A and loss B of the means, direction m obeys
``A (1 − f_m) − B f_m``, which is the rate of the mean and a return to it at the rate A + B (theory:
transport, Eq. transport-collisions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.collisions import CollisionGrid, GainLoss, Pair, PhotonDrive, Process, SpectralMeasure
from fvqp.models.transport.medium import Filled
from fvqp.solvers.elimination import Arrow, EliminatedLU
from fvqp.threads import share

Floats = NDArray[np.float64]

#: Bytes that the eliminated Jacobians of a rank may take; beyond, they are made anew for every solve.
MEMORY = 1 << 31
#: Elimination for a step, or rates of collisions in units of it, that differ by no more than this are used.
SIMILAR_STEP, SIMILAR_RATES = 1.25, 0.1


class Local(NamedTuple):
    """Rates of means.

    Attributes:
        f, n: ``(n_owned, N)``, ``(n_owned, K)``.
        given_f, given_n: particles that every exchange brings into this rank's cells a unit of time, by
            energy, ``(exchanges, N)`` and ``(exchanges, K)``.
    """

    f: Floats
    n: Floats
    given_f: Floats
    given_n: Floats


class Turnover(NamedTuple):
    """Rates at which collisions turn particles, ``(n_owned, N)``, ``(n_owned, K)``, and the fastest one."""

    f: Floats
    n: Floats
    fastest: float


@dataclass
class _Found:
    """Rates at a state, the coefficients of gain and loss of media there, and what follows from these."""

    f: Floats
    n: Floats
    local: Local
    parts: list[tuple[slice | NDArray[np.int64], Callable[[], GainLoss]]] = field(default_factory=list)
    turnover: Turnover | None = None


class LocalProcesses:
    """Collisions and processes of all media of a rank.

    Attributes:
        media: in their cells.
        exchanges: names of the processes that bring particles or energy from outside.
        measures: spectrum of the cells of every medium; set by `set`.
        weight_f, weight_n: ``(n_owned, N)`` volume × states, ``(n_owned, K)`` volume × modes.
        mobile: ``(n_owned, N)`` weight_f without localized states.
        energies: of quasiparticles and phonons.
    """

    def __init__(self, media: Sequence[Filled], volume: Floats, grid: CollisionGrid) -> None:
        self.media, self._volume = list(media), volume
        self.energies = Pair(grid.energies, grid.phonon_energies)
        self.exchanges: list[str] = []
        for one in self.media:
            for name in one.medium.processes:
                if name not in self.exchanges:
                    self.exchanges.append(name)
        self.measures: list[SpectralMeasure] = []
        self._known = _Known(len(volume), grid)
        self._latest: _Found | None = None
        self.weight_f = np.zeros((len(volume), grid.n))
        self.mobile = np.zeros_like(self.weight_f)
        self.weight_n = np.zeros((len(volume), grid.n_phonon))
        for one in self.media:
            self.weight_n[one.owned] = volume[one.owned, None] * one.modes

    def set(self, gap: Floats) -> None:
        """Spectra at the gaps ``(n_owned,)``."""
        self._latest = None
        self.measures = []
        for one in self.media:
            if not one.has_quasiparticles:
                none = np.zeros((1, self.weight_f.shape[1]))
                self.measures.append(SpectralMeasure(none, none))
                continue
            self.measures.append(one.measure(gap[one.owned]))
            here = self._volume[one.rows, None]
            self.weight_f[one.rows] = here * one.number(self.measures[-1])
            self.mobile[one.rows] = here * one.medium.density * self.measures[-1].number

    def rates(self, f: Floats, n: Floats) -> Local:
        """Rates of means ``f[n_owned, N]``, ``n[n_owned, K]``."""
        return self._found(f, n).local

    def turnover(self, f: Floats, n: Floats) -> Turnover:
        """How fast collisions turn particles: ``A + B`` of quasiparticles and ``D − C`` of phonons."""
        found = self._found(f, n)
        if found.turnover is None:
            turn_f, turn_n = np.zeros_like(f), np.zeros_like(n)
            fastest = 0.0
            for at, coefficients in found.parts:
                parts = coefficients()
                turn_f[at] += parts.in_f + parts.out_f
                turn_n[at] += parts.out_n - parts.in_n
                fastest = max(fastest, _fastest(parts))
            found.turnover = Turnover(turn_f, np.maximum(turn_n, 0.0), fastest)
        return found.turnover

    def jvp(self, f: Floats, n: Floats, step_f: Floats, step_n: Floats) -> Local:
        """Derivative of `rates` at means ``(f, n)`` along a step."""
        out = self._nothing(f, n)
        for one, measure in zip(self.media, self.measures, strict=True):
            at = one.rows
            if not len(one.owned):
                continue
            along = f[at], n[at], step_f[at], step_n[at]
            if one.medium.collisions is not None:
                self._add(out, at, one.medium.collisions.jvp(measure, *along))
            if one.medium.localization is not None:
                self._add(out, at, one.medium.localization.jvp(measure, *along))
            for name, process in one.medium.processes.items():
                self._add(out, at, process.jvp(measure, *along), name)
        return out

    def _found(self, f: Floats, n: Floats) -> _Found:
        """Rates, and turnover to come; the latest are kept, since one is asked for after the other."""
        latest = self._latest
        if latest is not None and np.array_equal(latest.f, f) and np.array_equal(latest.n, n):
            return latest
        found = self._latest = _Found(f.copy(), n.copy(), self._nothing(f, n))
        out = found.local
        for one, measure in zip(self.media, self.measures, strict=True):
            at = one.rows
            if not len(one.owned):
                continue
            state = measure, found.f[at], found.n[at]
            if one.medium.collisions is not None:
                moved, coefficients = one.medium.collisions.balance(*state)
                found.parts.append((at, coefficients))
                self._add(out, at, moved)
            if one.medium.localization is not None:
                found.parts.append((at, partial(one.medium.localization.gain_loss, *state)))
                self._add(out, at, one.medium.localization.rates(*state))
            for name, process in one.medium.processes.items():
                found.parts.append((at, partial(process.gain_loss, *state)))
                self._add(out, at, process.rates(*state), name)
        return found

    def _add(self, out: Local, at: slice | NDArray[np.int64], moved: Pair, exchange: str = "") -> None:
        """Adds rates of these cells, and what they bring where they are those of an exchange."""
        out.f[at] += moved.f
        out.n[at] += moved.n
        if exchange:
            row = self.exchanges.index(exchange)
            out.given_f[row] += np.einsum("ce,ce->e", self.weight_f[at], moved.f)
            out.given_n[row] += np.einsum("ce,ce->e", self.weight_n[at], moved.n)

    def implicit(self, length: float, f: Floats, n: Floats) -> Callable[[Floats, Floats], Local]:
        """Solver of ``(1 − length × J) x = r`` with the Jacobian J at ``(f, n)``.

        What its solutions say to be ``given`` is ``length`` times the exchanges' own part of ``J x``. J takes
        processes for diagonal, but for drives, which pass particles on from bin to bin. Cells in which
        collisions are as fast as in an earlier call of a similar length are solved for with the elimination
        of that one; `forget` it where results must not depend on what was before.
        """
        parts = self._implicit(length, f, n)

        def solved(r_f: Floats, r_n: Floats) -> Local:
            out = self._nothing(r_f, r_n)
            for part in parts:
                part.solve(r_f, r_n, out)
            return out

        return solved

    def escaping(
        self, lengths: tuple[float, float], f: Floats, n: Floats, escape: Floats
    ) -> tuple[Floats, Callable[[Floats], tuple[Floats, Floats]]]:
        """Quasiparticles whose phonons may leave the cell: what preconditions motion and collisions together.

        Args:
            lengths: of quasiparticles and of phonons.
            f, n: where J is taken.
            escape: ``(n_owned, K)`` rate at which phonons leave a cell.

        Returns:
            rates ``(n_owned, K)`` at which J takes phonons away, and what makes of a right-hand side of
            quasiparticles, with none of phonons, the solution of `implicit` and the rates at which it changes
            phonons.
        """
        parts = self._implicit(lengths[0], f, n, (1.0 / lengths[1], escape))
        absorbed = np.zeros_like(n)
        for part in parts:
            part.absorbed(absorbed)

        def solved(r: Floats) -> tuple[Floats, Floats]:
            out = np.zeros_like(r), np.zeros_like(n)
            for part in parts:
                part.escaping(r, *out)
            return out

        return absorbed, solved

    def _implicit(
        self, length: float, f: Floats, n: Floats, leaving: tuple[float, Floats] | None = None
    ) -> list[_Part]:
        """What solves for the cells of every medium; with ``1/length`` of phonons and their escape."""
        parts: list[_Part] = []
        turnover = self.turnover(f, n)
        for one, measure in zip(self.media, self.measures, strict=True):
            at = one.owned
            if not len(at):
                continue
            here = Pair(f[at], n[at])
            within = [p for p in (one.medium.collisions, one.medium.localization) if p is not None]
            own: dict[int, Pair] = {}
            drives: dict[int, PhotonDrive] = {}
            for name, process in one.medium.processes.items():
                row = self.exchanges.index(name)
                if within and isinstance(process, PhotonDrive):
                    drives[row] = process
                else:
                    own[row] = process.diagonal(measure, *here)
            weight = Pair(self.weight_f[at], self.weight_n[at])
            lost = None if leaving is None else (leaving[0], leaving[1][at])
            part = _Part(
                within, measure, at, length, here, own, drives, weight, self.energies, self._known, lost
            )
            if within:
                turn = Pair(turnover.f[at], turnover.n[at])
                self._known.check(at, length, turn, part.energy, lost is not None)
            parts.append(part)
        return parts

    def forget(self) -> None:
        """Leave no elimination for later solutions."""
        self._known.clear()

    def _nothing(self, f: Floats, n: Floats) -> Local:
        names = len(self.exchanges)
        return Local(
            np.zeros_like(f), np.zeros_like(n), np.zeros((names, f.shape[1])), np.zeros((names, n.shape[1]))
        )


class _Known:
    """Eliminations ``(1 − length × J)⁻¹`` of cells, kept for lengths and states that are nearly the same.

    Which cell is eliminated again depends on that cell alone, so that results do not depend on the ranks.

    Attributes:
        lu: by cell, None where there is none.
        length: that a cell was, or is to be, eliminated for.
    """

    def __init__(self, cells: int, grid: CollisionGrid) -> None:
        self.lu: list[EliminatedLU | None] = [None] * cells
        self.length = np.ones(cells)
        self._serves, self._escaping = np.zeros(cells, dtype=bool), np.zeros(cells, dtype=bool)
        self._turn = Pair(np.zeros((cells, grid.n)), np.zeros((cells, grid.n_phonon)))
        # the first cells are kept
        self._room = MEMORY // (8 * grid.n * (grid.n + 2 * grid.n_phonon))

    def check(self, at: NDArray[np.int64], length: float, turn: Pair, energy: Pair, escaping: bool) -> None:
        """Drops eliminations for another length, or for other rates of collisions where there is energy, and
        those with phonons that escape if they are not to, and the other way round."""
        was = self.length[at]
        serves = self._serves[at] & (length <= SIMILAR_STEP * was) & (was <= SIMILAR_STEP * length)
        for old, now, held in zip(self._turn, turn, energy, strict=True):
            change = np.abs(now - old[at]) * length / (1.0 + length * np.minimum(old[at], now))
            serves &= np.sum(change * held, axis=1) <= SIMILAR_RATES * np.sum(held, axis=1)
        serves &= self._escaping[at] == escaping
        gone = at[~serves]
        self._escaping[gone] = escaping
        self._serves[gone] = False
        self.length[gone] = length
        for old, now in zip(self._turn, turn, strict=True):
            old[gone] = now[~serves]

    def keep(self, cell: int, lu: EliminatedLU) -> None:
        """Keeps the elimination of a cell if there is room."""
        if cell < self._room:
            self.lu[cell], self._serves[cell] = lu, True

    def find(self, cell: int) -> EliminatedLU | None:
        """The elimination of a cell, if there is one that serves."""
        return self.lu[cell] if self._serves[cell] else None

    def clear(self) -> None:
        """Drops all."""
        self.lu = [None] * len(self.lu)
        self._serves[:] = False


class _Part:
    """``(1 − length × J)⁻¹`` of the cells of one medium.

    Attributes:
        energy: of quasiparticles and phonons, ``(cells, N)`` and ``(cells, K)``.
    """

    def __init__(
        self,
        within: Sequence[Process],
        measure: SpectralMeasure,
        at: NDArray[np.int64],
        length: float,
        state: Pair,
        own: dict[int, Pair],
        drives: dict[int, PhotonDrive],
        weight: Pair,
        energies: Pair,
        known: _Known,
        leaving: tuple[float, Floats] | None,
    ) -> None:
        """
        Args:
            within: processes that keep the energy of a cell, with dense Jacobians.
            measure, state, weight: of its cells.
            own, drives: exchanges by their number, with diagonal Jacobians and with dense ones.
            at: the cells.
            length: of the step.
            energies: of quasiparticles and phonons.
            known: eliminations.
            leaving: one over the length of phonons, and rates at which they leave a cell; None: these stay.
        """
        self._leaving = leaving
        self._within, self._measure, self._at, self._length = within, measure, at, length
        self._state, self._own, self._weight, self._energies = state, own, weight, energies
        self._known, self._drives = known, drives
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
            right = np.concatenate([right_f, right_n], axis=1) / self._known.length[at, None]
            x = np.empty_like(right)
            share(self._solve, len(at), right, x)
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
            out.given_f[row] += length * np.sum(weight.f * own.f * x_f, axis=0)
            out.given_n[row] += length * np.sum(weight.n * own.n * x_n, axis=0)
        for row, driven in self._driven(x_f, x_n).items():
            out.given_f[row] += length * np.sum(weight.f * driven, axis=0)
        out.f[at], out.n[at] = x_f, x_n

    def _driven(self, x_f: Floats, x_n: Floats) -> dict[int, Floats]:
        """What drives make of a step, by their number."""
        return {
            row: drive.jvp(self._measure, *self._state, x_f, x_n).f for row, drive in self._drives.items()
        }

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
        share(self._taken, len(rate), rate)
        out[self._at] = rate - self._leaving[1]

    def escaping(self, r: Floats, f: Floats, n: Floats) -> None:
        """Fills in quasiparticles of these cells, and rates of change of phonons by them."""
        right = r[self._at]
        if not self._within:
            f[self._at] = right / (1.0 - self._length * self._sum(0, right))
            return
        right /= self._known.length[self._at, None]
        out = np.empty_like(right), np.empty_like(self._state.n)
        share(self._solve_x, len(right), right, *out)
        f[self._at], n[self._at] = out

    def _solve(self, start: int, stop: int, right: Floats, x: Floats) -> None:
        for c in range(start, stop):
            x[c : c + 1] = self._eliminated(c).solve(right[c : c + 1])

    def _solve_x(self, start: int, stop: int, right: Floats, f: Floats, n: Floats) -> None:
        for c in range(start, stop):
            f[c : c + 1], n[c : c + 1] = self._eliminated(c).solve_x(right[c : c + 1])

    def _taken(self, start: int, stop: int, rate: Floats) -> None:
        for c in range(start, stop):
            rate[c] = -self._eliminated(c).zz[0]

    def _eliminated(self, c: int) -> EliminatedLU:
        """The elimination of a cell, made anew if there is none that serves."""
        cell, row = int(self._at[c]), slice(c, c + 1)
        lu = self._known.find(cell)
        if lu is not None:
            return lu
        state = self._measure.rows(row), self._state.f[row], self._state.n[row]
        blocks = Arrow(*self._within[0].jacobian(*state))
        for process in (*self._within[1:], *(drive.rows(row) for drive in self._drives.values())):
            for block, more in zip(blocks, process.jacobian(*state), strict=True):
                block += more
        for own in self._own.values():
            np.einsum("cii->ci", blocks.xx)[...] += own.f[row]
            blocks.zz[...] += own.n[row]
        of_phonons = None
        if self._leaving is not None:
            of_phonons = self._leaving[0]
            blocks.zz[...] -= self._leaving[1][row]
        lu = EliminatedLU(blocks, 1.0 / self._known.length[cell], of_phonons)
        self._known.keep(cell, lu)
        return lu


def _fastest(parts: GainLoss) -> float:
    of_f = float((parts.in_f + parts.out_f).max(initial=0.0))
    return max(of_f, float(parts.out_n.max(initial=0.0)))
