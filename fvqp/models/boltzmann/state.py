"""States of the transport model, and where their energy and particles are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fvqp.typing import Floats


@dataclass(frozen=True)
class State:
    """Occupations and gap of the cells that this rank owns.

    Attributes:
        f: ``(n_owned, M, N)`` of quasiparticles; M = 1 where they have no directions.
        n: ``(n_owned, M, K)`` of phonons, likewise.
        gap: ``(n_owned,)``; 0 in normal cells, NaN without quasiparticles.
        gap_rate: ``(n_owned,)`` at which the gap moved in the latest step; None if there was none.
    """

    f: Floats
    n: Floats
    gap: Floats
    gap_rate: Floats | None = None


class Counters(NamedTuple):
    """Particles that came and went since the start, by energy, in 4 N0 Δ0 of the reference times volume.

    Attributes:
        source_f, source_n: brought by every external process, ``(processes, N)`` and ``(processes, K)``;
            negative where they left.
        passed_f, passed_n: through walls, less what baths sent in, and then through interfaces, from their
            first region to the second, less what came back; ``(walls + interfaces, N)`` and
            ``(walls + interfaces, K)``.
    """

    source_f: Floats
    source_n: Floats
    passed_f: Floats
    passed_n: Floats

    def plus(self, factor: float, other: Counters) -> Counters:
        return Counters(*(a + factor * b for a, b in zip(self, other, strict=True)))


class Species(NamedTuple):
    """Weights of the occupations of quasiparticles, or of phonons.

    Attributes:
        weight: ``(n_owned, E)`` volume × states of every energy.
        energies: ``(E,)``.
        directions: ``(M,)`` parts of directions.
    """

    weight: Floats
    energies: Floats
    directions: Floats


class Rates(NamedTuple):
    """Rates of change of occupations and counters."""

    f: Floats
    n: Floats
    counters: Counters


class Local(NamedTuple):
    """Rates of means over directions, inside cells.

    Attributes:
        f, n: ``(n_owned, N)``, ``(n_owned, K)``.
        source_f, source_n: particles that every external process brings into this rank's cells a unit of
            time, by energy, ``(processes, N)`` and ``(processes, K)``.
    """

    f: Floats
    n: Floats
    source_f: Floats
    source_n: Floats


@dataclass(frozen=True)
class BoltzmannLedger:
    """Energies in 4 N0 Δ0² of the reference times volume, of all cells and ranks, and what came and went.

    Attributes:
        quasiparticles, phonons, condensate: energies; the last of cells whose gap follows.
        number: of quasiparticles, in 4 N0 Δ0 times volume.
        given: energy that every external process brought since the start; negative where it left.
        lost: energy that left through every wall since the start, quasiparticles and phonons.
    """

    quasiparticles: float
    phonons: float
    condensate: float
    number: float
    given: dict[str, float]
    lost: dict[str, float]

    @property
    def stored(self) -> float:
        """Energy inside."""
        return self.quasiparticles + self.phonons + self.condensate

    @property
    def received(self) -> float:
        """Energy from outside since the start."""
        return sum(self.given.values()) - sum(self.lost.values())

    @property
    def gone(self) -> float:
        """Energy that left since the start, through walls and by processes that took more than they gave."""
        return sum(
            max(taken, 0.0) for taken in (*self.lost.values(), *(-given for given in self.given.values()))
        )


@dataclass(frozen=True)
class Moment:
    """A state at a time.

    Attributes:
        time: of the state, τ0.
        state: occupations and gap.
        counters: since the start, of all ranks.
        ledger: energies.
        steps, refused: numbers of steps so far.
        next_step: length that the control would take next.
    """

    time: float
    state: State
    counters: Counters
    ledger: BoltzmannLedger
    steps: int
    refused: int
    next_step: float


#: Called after a step with the time, the state, and what limits the length of steps; "" if nothing does.
Callback = Callable[[float, State, str], None]
