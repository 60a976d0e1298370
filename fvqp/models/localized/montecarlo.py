"""Exact kinetic Monte Carlo of localized quasiparticles: they come, stay where they are, vanish in pairs.

Every unordered pair vanishes at the rate Γ(R) of its distance; newcomers appear at rate A(x) per volume.
The dense limit is ``dc/dt = A − Γ̄ c²``. Theory:
docs/theory/localized.md; Bespalov et al., PRL 117, 117002 (2016).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CaseError, CheckpointError
from fvqp.models.localized import gas as g
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.engine import Engine, State
from fvqp.models.localized.laws import BurstingBubbles, Law
from fvqp.models.localized.pairs import stationary
from fvqp.models.localized.restart import read_state, write_state
from fvqp.models.localized.rng import seeded
from fvqp.models.localized.trajectory import Trajectory
from fvqp.models.localized.validity import check_box, doubts
from fvqp.typing import Floats

log = logging.getLogger(__name__)


Progress = Callable[[float, int], None]


class Simulation:
    """One run: a gas in a domain, its clock, and its stream of random numbers.

    Parameters
    ----------
    domain : `box` or `mesh_domain`.
    law : `TailAnnihilation` or `BurstingBubbles`.
    generation : rate A in 1/(m^dim s), a number or a value for each cell of a mesh domain.
    spins : newcomers have a classical spin, up or down alike, and only opposite ones annihilate.
    flip_rate : spin flips per particle, 1/s.
    seed : an integer or a `numpy.random.SeedSequence`; kept as ``seed``.
    warn : whether ``warnings`` are logged as well.
    near_radius : in metres, overrides the choice of which pairs get times of their own; for tests only, since
        it changes the cost and nothing else.

    Raises `CaseError`: what is not a rate, spin flips without spins, a periodic box so small that images of
    a particle in reach are left out. What is allowed but outside of the model's claims is in ``warnings``.
    """

    def __init__(
        self,
        domain: Domain,
        law: Law,
        *,
        generation: ArrayLike = 0.0,
        spins: bool = False,
        flip_rate: float = 0.0,
        seed: int | np.random.SeedSequence = 0,
        near_radius: float | None = None,
        warn: bool = True,
    ) -> None:
        self.domain, self.law, self.spins = domain, law, spins
        self._warns = warn
        if not (math.isfinite(flip_rate) and flip_rate >= 0.0):
            raise CaseError(f"flip_rate: must be finite and not negative, got {flip_rate}")
        if flip_rate > 0.0 and not spins:
            raise CaseError("flip_rate: has no meaning without spins; set spins or leave it out")
        self.flip_rate = float(flip_rate)
        if near_radius is not None:
            if isinstance(law, BurstingBubbles):
                raise CaseError("near_radius: bursting bubbles have none, their distance is what counts")
            if not (math.isfinite(near_radius) and near_radius >= 0.0):
                raise CaseError(f"near_radius: must be finite and not negative, got {near_radius}")
        near = None if near_radius is None else near_radius / law.length
        self.seed = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.warnings: list[str] = []
        check_box(domain, law)
        self._engine = Engine(
            domain, law, spins=spins, flip_rate=self.flip_rate, near=near, rng=seeded(self.seed)
        )
        self.set_generation(generation)

    # What there is -------------------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Seconds since the start."""
        return float(self._engine.gas.clock[g.TIME]) * self.law.time

    @property
    def number(self) -> int:
        return int(self._engine.gas.tally[g.N])

    @property
    def events(self) -> int:
        """Events that changed the gas so far: generations, annihilations, flips."""
        return self._engine.events

    @property
    def positions(self) -> Floats:
        """``(number, 3)`` metres, in the coordinates of the domain."""
        return np.asarray(g.particles(self._engine.grid).at[:, :3] * self.law.length + self.domain.origin)

    @property
    def spin(self) -> NDArray[np.int8]:
        """``(number,)`` ±1; all +1 without spins."""
        return np.sign(g.particles(self._engine.grid).at[:, g.TAG]).astype(np.int8)

    @property
    def generation(self) -> Floats:
        """``(n_cells,)`` A in 1/(m^dim s)."""
        return self._engine.density

    @property
    def expected_number(self) -> float:
        """Particles in the steady state, roughly: by the pair approximation, or one a volume of a bubble."""
        if isinstance(self.law, BurstingBubbles) or self.domain.dim < 3:
            return self.domain.volume / self.law.length**self.domain.dim
        density = self._engine.density
        alpha = density * self.law.length**3 * self.law.time
        some = alpha > 0.0
        dense = stationary(alpha[some]) / self.law.length**3
        return float(np.sum(dense * self.domain.cell_volume[some]))

    # What can be done ----------------------------------------------------------------------------

    def set_generation(self, generation: ArrayLike) -> None:
        """Changes the rate A from now on: switches it off with 0, or on, or to another field."""
        density = self.domain.density(generation, "generation")
        self._engine.generate(density)
        if np.any(density > 0.0):
            for text in doubts(self.domain, self.expected_number, spins=self.spins, flip_rate=self.flip_rate):
                self._warn(text)

    def place(self, positions: ArrayLike, spin: ArrayLike | None = None) -> None:
        """Puts particles where they are said to be, ``(n, 3)`` metres, before anything has happened.

        Raises `CaseError`: the gas is not empty, a position outside the domain's box, spins that are not ±1.
        They count as generated. Bubbles placed within reach of each other burst when another comes only.
        """
        at = np.asarray(positions, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 3 or not np.all(np.isfinite(at)):
            raise CaseError(f"positions: expected (n, 3) finite numbers, got shape {at.shape}")
        at = (at - self.domain.origin) / self.law.length
        if np.any(at < 0.0) or np.any(at > self.domain.lengths / self.law.length):
            raise CaseError(f"positions: outside of the domain {self.domain.name}")
        if self.number or self.time > 0.0:
            raise CaseError("positions: particles can be placed in a new simulation only")
        sign = np.ones(len(at), np.int8) if spin is None else np.asarray(spin)
        if sign.shape != (len(at),) or np.any(np.abs(sign) != 1) or (spin is not None and not self.spins):
            raise CaseError("spin: expected +1 or -1 for each position of a simulation with spins")
        if self.domain.n_cells > 1:
            raise CaseError("positions: particles can be placed in a box only, a mesh domain starts empty")
        self._engine.place(at, sign)

    def advance(
        self, times: ArrayLike, *, cells: bool = False, progress: Progress | None = None
    ) -> Trajectory:
        """Runs to the last of ``times`` (seconds, increasing, none in the past), and counts between them.

        ``cells``: also average the concentration of every cell of a mesh domain. ``progress(part, events)``
        is called now and then with the part of the time that is done and the number of events so far.
        """
        until = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if until.ndim != 1 or not len(until) or not np.all(np.isfinite(until)) or np.any(np.diff(until) <= 0):
            raise CaseError("times: must be finite and increasing")
        if until[0] <= self.time:
            raise CaseError(
                f"times: the first, {until[0]:.6g} s, is not after the present, {self.time:.6g} s"
            )
        engine, start = self._engine, self.time
        gas = engine.gas
        n = len(until)
        number, up = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
        mean, mean_up = np.zeros(n), np.zeros(n)
        counts = np.zeros((n + 1, 3), np.int64)
        per_cell = np.zeros((n if cells else 0, self.domain.n_cells))
        rows = [g.GENERATED, g.ANNIHILATED, g.FLIPPED]
        number[0], up[0], counts[0] = gas.tally[g.N], gas.tally[g.N_UP], gas.tally[rows]
        by_cell = cells and self.domain.n_cells > 1
        if by_cell:
            g.flush(gas, engine.grid)
        for k, stop in enumerate(until / self.law.time):
            before = float(gas.clock[g.TIME])
            gas.integral[:] = 0.0
            gas.dwell[:] = 0.0
            while not engine.run(stop):
                if progress is not None:
                    progress(min((self.time - start) / (until[-1] - start), 1.0), self.events)
            span = stop - before
            number[k + 1], up[k + 1], counts[k + 1] = gas.tally[g.N], gas.tally[g.N_UP], gas.tally[rows]
            mean[k], mean_up[k] = gas.integral / span
            if by_cell:
                g.flush(gas, engine.grid)
            elif cells:
                gas.dwell[0] = gas.integral[0]
            if cells:
                per_cell[k] = gas.dwell / (span * self.domain.cell_volume)
            if progress is not None:
                progress(min((self.time - start) / (until[-1] - start), 1.0), self.events)
        changes = np.diff(counts, axis=0)
        return Trajectory(
            np.concatenate([[start], until]),
            number,
            up,
            mean,
            mean_up,
            changes[:, 0],
            changes[:, 1],
            changes[:, 2],
            per_cell,
            self.domain.volume,
        )

    def save(self, path: Path) -> None:
        """Writes the state of the run, arrays only; the file is whole or not there."""
        write_state(path, self.state())

    @classmethod
    def load(cls, path: Path, domain: Domain, law: Law) -> Simulation:
        """The run that was saved; it goes on as if it had never stopped, bit for bit.

        Raises `CheckpointError`: no such file, a damaged one, or one of another domain or law.
        """
        return cls.restored(read_state(path), domain, law, str(path))

    @classmethod
    def restored(cls, state: State, domain: Domain, law: Law, where: str) -> Simulation:
        """The run of a `state`, see `load`; ``where`` it comes from, for messages."""
        for name, value in _identity(domain, law).items():
            if name not in state or not np.array_equal(state[name], value):
                raise CheckpointError(
                    f"{where}: belongs to another run, its {name.replace('_', ' ')} differs"
                )
        try:
            return cls._restored(state, domain, law)
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(f"{where}: damaged, {error}") from None

    # Inside --------------------------------------------------------------------------------------

    def state(self) -> State:
        """All that `restored` needs."""
        near, seed = self._engine.near, self.seed
        return {
            **_identity(self.domain, self.law),
            **self._engine.state(),
            "density": self.generation,
            "spins": np.array([self.spins]),
            "numbers": np.array([self.flip_rate, -1.0 if near is None else near]),
            "seed": np.array([json.dumps([str(seed.entropy), list(seed.spawn_key)])]),
        }

    @classmethod
    def _restored(cls, state: State, domain: Domain, law: Law) -> Simulation:
        entropy, spawn_key = json.loads(str(state["seed"][0]))
        flip_rate, near = map(float, state["numbers"])
        self = cls(
            domain,
            law,
            generation=state["density"],
            spins=bool(state["spins"][0]),
            flip_rate=flip_rate,
            seed=np.random.SeedSequence(json.loads(entropy), spawn_key=spawn_key),
            near_radius=None if near < 0.0 else near * law.length,
        )
        self._engine.restore(state)
        return self

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            if self._warns:
                log.warning("%s", text)


def _identity(domain: Domain, law: Law) -> State:
    """Return the parameters that a saved run must agree with."""
    return {
        "kind_of_law": np.array([type(law).__name__]),
        "law": np.array([law.length, law.time]),
        "box": np.concatenate([domain.lengths, domain.periodic]),
        "cell_volumes": domain.cell_volume,
    }
