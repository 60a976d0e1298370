"""The Boltzmann problem: a body filled with media, in which quasiparticles and phonons move and collide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.collisions import TimedProcess, thermal
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.models.boltzmann.cell_solver import Eliminations
from fvqp.models.boltzmann.local import InelasticRates, LocalProcesses, external_processes
from fvqp.models.boltzmann.local_cells import LocalCells
from fvqp.models.boltzmann.medium import Medium, filled
from fvqp.models.boltzmann.motion import DiffusionOperator, Immobile, Motion, OrdinatesOperator
from fvqp.models.boltzmann.state import BoltzmannLedger, Counters, Moment, Rates, Species, State
from fvqp.typing import Floats

Operator = Immobile | OrdinatesOperator | DiffusionOperator


class BoltzmannProblem:
    """Quasiparticles and phonons in every cell of a body.

    The equations that occupations obey depend on the gaps of the cells: `at` has them.

    Attributes:
        cells: cells of this rank.
        grid: energies of all cells.
        media: what fills them, with the cells of each.
        external_processes: names of the processes that bring particles or energy from outside.
        moving_f, moving_n: motion of quasiparticles, at the gap at rest, and of phonons.
    """

    def __init__(
        self,
        space: Mesh,
        grid: EnergyAxis,
        media: Medium | Sequence[tuple[ArrayLike, Medium]],
        *,
        quasiparticles: Motion | None = None,
        phonons: Motion | None = None,
    ) -> None:
        """
        Args:
            space: a mesh, distributed.
            grid: energies.
            media: one for all cells, or pairs of local cell numbers (ghosts included, as in
                ``Mesh.regions``) and what fills them.
            quasiparticles, phonons: how they move; not at all by default.

        Raises:
            CaseError: cells without a medium or with two; media on other grids; walls or directions that do
                not go with the body; phonons that move and modes that are split at 2Δ.
        """
        self.cells, self.grid = LocalCells(space), grid
        body = self.cells
        self.media = filled(media, grid, body.n_owned, body.n_cells, body.comm)
        number = np.zeros(body.n_cells, dtype=np.int64)
        for k, one in enumerate(self.media):
            number[one.cells] = k
        self.moving_f = body.moving(quasiparticles or Immobile(), number)
        self.moving_n = self._phonons_at_rest(body.moving(phonons or Immobile(), number))
        if not isinstance(self.moving_n, Immobile):
            self._require_common_modes()
        self.external_processes = external_processes(self.media)
        colliding = np.zeros(body.n_owned, dtype=bool)
        for one in self.media:
            colliding[one.owned] = one.collides
        self.eliminations = Eliminations(colliding, grid)
        self._gap = np.empty(body.n_owned)
        for one in self.media:
            self._gap[one.owned] = one.initial_gap()[: len(one.owned)]
        self._latest = BoltzmannEquations(self, self._gap)
        self.moving_f = self._latest.moving_f

    def __repr__(self) -> str:
        grid, moving = self.grid, (self.moving_f, self.moving_n)
        f, n = (f"{type(one).__name__.lower()} with {len(one.weights)} direction(s)" for one in moving)
        gap = "self-consistent" if self.gap_follows else "fixed"
        return (
            f"BoltzmannProblem({self.cells.n_owned} cells, {grid.n} + {grid.n_phonon} energies, "
            f"{len(self.media)} media, {gap} gap;\n    quasiparticles {f}, phonons {n})"
        )

    @property
    def gap_at_rest(self) -> Floats:
        """Gap of empty cells, ``(n_owned,)``: one that stays, or that of zero temperature."""
        return self._gap

    @property
    def gap_follows(self) -> bool:
        """True if the gap of any cell follows."""
        return any(one.self_consistent is not None for one in self.media)

    # -- states

    def state(self, f: ArrayLike, n: ArrayLike, gap: ArrayLike | None = None) -> State:
        """A state from occupations that broadcast to ``(n_owned, M, N)`` and ``(n_owned, M, K)``.

        Args:
            f, n: occupations; ``(n_owned, 1, N)`` is isotropic.
            gap: first guess where the gap follows; what is stored is the solution of the gap equation that it
                leads to, by default the largest one.

        Raises:
            CaseError: shapes that do not fit, f outside [0, 1], n < 0, or not finite.
        """
        rows = []
        for name, values, moving, size in (
            ("f", f, self.moving_f, self.grid.n),
            ("n", n, self.moving_n, self.grid.n_phonon),
        ):
            shape = (self.cells.n_owned, len(moving.weights), size)
            given = np.asarray(values, dtype=np.float64)
            try:
                row = np.broadcast_to(given, shape).copy()
            except ValueError:
                raise CaseError(f"initial {name}: need shape {shape}, found {given.shape}") from None
            low, high = (float(row.min()), float(row.max())) if row.size else (0.0, 0.0)
            if not (np.isfinite(low) and np.isfinite(high)) or low < 0.0 or (name == "f" and high > 1.0):
                bounds = "within [0, 1]" if name == "f" else "not negative"
                raise CaseError(f"initial {name}: must be finite and {bounds}, found {low:g} to {high:g}")
            rows.append(row)
        gaps = self._gap.copy()
        mean = self.mean_f(rows[0])
        for one in self.media:
            if one.self_consistent is not None:
                guess = None if gap is None else np.broadcast_to(gap, gaps.shape)[one.owned]
                gaps[one.owned] = one.self_consistent.gap(mean[one.owned], guess)
        return State(rows[0], rows[1], gaps)

    def thermal(self, temperature: float) -> State:
        """Equilibrium at one temperature, in Δ0."""
        return self.state(*thermal(self.grid, temperature))

    def mean_f(self, f: Floats) -> Floats:
        """Mean over directions, ``(n_owned, N)``."""
        return np.asarray(np.einsum("cme,m->ce", f, self.moving_f.weights))

    def mean_n(self, n: Floats) -> Floats:
        """Mean over directions, ``(n_owned, K)``."""
        return np.asarray(np.einsum("cme,m->ce", n, self.moving_n.weights))

    # -- equations

    def at(self, gap: Floats) -> BoltzmannEquations:
        """The equations at the gaps ``(n_owned,)``; the latest ones are kept. Collective."""
        same = np.array_equal(self._latest.gap, gap, equal_nan=True)
        if not self.cells.comm.allreduce(same, MPI.LAND):
            self._latest = BoltzmannEquations(self, gap)
        return self._latest

    def forget(self) -> None:
        """Leave no elimination of collisions for later solutions."""
        self.eliminations.clear()

    @property
    def switching_times(self) -> Floats:
        """Times at which the strength of a `TimedProcess` or a bath beyond a wall changes, τ0, in order."""
        moving = (self.moving_f.switching_times, self.moving_n.switching_times)
        return np.unique(np.concatenate([*moving, *(one.times for one in self._timed)]))

    def switch(self, time: float) -> None:
        """Give every `TimedProcess` the strength that it has at a time, none acts before that; and walls the
        baths of that time."""
        for moving in (self._latest.moving_f, self.moving_n):
            moving.switch(time)
        if any([one.switch(time) for one in self._timed]):
            self.forget()
            self._latest.local.forget()

    @property
    def _timed(self) -> list[TimedProcess]:
        processes = [process for one in self.media for process in one.medium.processes.values()]
        return [process for process in processes if isinstance(process, TimedProcess)]

    def _require_common_modes(self) -> None:
        """Raise `CaseError` unless phonon points are split in the same way in all media."""
        if any(one.splits_phonons for one in self.media):
            raise CaseError(
                "phonons: modes that are split at 2Δ of a gap that follows belong to phonons that stay in "
                "their cells; choose splits_phonons=False, or phonons that do not move"
            )
        ones = np.ones((1, self.grid.n_phonon))
        shares = [ones if one.phonon_shares is None else one.phonon_shares for one in self.media]
        if any(np.any(one != shares[0]) for one in shares):
            raise CaseError(
                "phonons: phonon_shares differ between media that phonons move through; give all media "
                "those of all gaps"
            )

    def _phonons_at_rest(self, moving: Operator) -> Operator:
        """The operator of the motion of phonons, whose speeds do not depend on the gap."""
        shape = (self.cells.n_cells, self.grid.n_phonon)
        speed, states, elastic = (np.zeros(shape) for _ in range(3))
        for one in self.media:
            speed[one.cells] = one.medium.sound_velocity
            states[one.cells] = one.modes if one.phonon_shares is None else one.modes * one.phonon_shares
            elastic[one.cells] = speed[one.cells] / np.asarray(one.medium.phonon_free_path)
        return moving.at(speed, states, elastic)

    # -- observables

    def densities(self, state: State) -> Floats:
        """Quasiparticles by volume, ``(n_owned,)``, in 4 N0 Δ0 of the reference. Collective."""
        weight = self.at(state.gap).local.weight_f
        return np.asarray(np.sum(weight * self.mean_f(state.f), axis=1) / self.cells.volume)

    def localized(self, state: State) -> Floats:
        """Localized quasiparticles by volume, ``(n_owned,)``, in 4 N0 Δ0, or 0. Collective."""
        local = self.at(state.gap).local
        states = (local.weight_f - local.mobile) / self.cells.volume[:, None]
        return np.asarray(np.sum(states * self.mean_f(state.f), axis=1))

    def with_localized(self, state: State, density: float) -> State:
        """The state with this density of localized quasiparticles wherever there are such, in 4 N0 Δ0.

        Raises:
            CaseError: more than there are states.
        """
        f = state.f.copy()
        for one in self.media:
            if one.own_states is not None:
                holds = one.medium.density * float(one.own_states.sum())
                if not 0.0 <= density <= holds:
                    raise CaseError(
                        f"localized quasiparticles: a density of {density:g} is not within 0 and what their "
                        f"states hold, {holds:.4g} (4 N0 Δ0)"
                    )
                here = f[one.owned]
                here[:, :, one.own_states > 0.0] = density / holds
                f[one.owned] = here
        return State(f, state.n, state.gap, state.gap_rate)

    def phonon_energies(self, state: State) -> Floats:
        """Energy of phonons by volume, ``(n_owned,)``, in 4 N0 Δ0² of the reference. Collective."""
        weight = self.at(state.gap).local.weight_n * self.grid.phonon_energies
        return np.asarray(np.sum(weight * self.mean_n(state.n), axis=1) / self.cells.volume)

    def quasiparticle_energies(self, state: State) -> Floats:
        """Energy of quasiparticles by volume, ``(n_owned,)``, in 4 N0 Δ0² of the reference. Collective."""
        weight = self.at(state.gap).local.weight_f * self.grid.energies
        return np.asarray(np.sum(weight * self.mean_f(state.f), axis=1) / self.cells.volume)

    def condensate_energies(self, state: State) -> Floats:
        """Energy of the condensate by volume where the gap follows, else 0, ``(n_owned,)``, in 4 N0 Δ0² of
        the reference."""
        out = np.zeros(self.cells.n_owned)
        for one in self.media:
            out[one.owned] = one.condensate(state.gap[one.owned])
        return out

    def no_counters(self) -> Counters:
        """Nothing came or went."""
        given, grid = len(self.external_processes), self.grid
        return Counters(
            np.zeros((given, grid.n)),
            np.zeros((given, grid.n_phonon)),
            *(
                np.zeros((len(moving.walls) + len(moving.interfaces), size))
                for moving, size in ((self.moving_f, grid.n), (self.moving_n, grid.n_phonon))
            ),
        )

    def energy_received(self, counters: Counters) -> float:
        """Return the energy that came from outside less what left, of counters of this rank or of all."""
        came_f = counters.source_f.sum(axis=0) - counters.passed_f[: len(self.moving_f.walls)].sum(axis=0)
        came_n = counters.source_n.sum(axis=0) - counters.passed_n[: len(self.moving_n.walls)].sum(axis=0)
        return float(came_f @ self.grid.energies + came_n @ self.grid.phonon_energies)

    def ledger(self, state: State, counters: Counters | None = None) -> BoltzmannLedger:
        """Energies and number of a state, and what came and went. Collective."""
        counters = self.no_counters() if counters is None else counters
        volume, grid = self.cells.volume, self.grid
        sums = np.array(
            [
                float(volume @ values)
                for values in (
                    self.quasiparticle_energies(state),
                    self.phonon_energies(state),
                    self.condensate_energies(state),
                    self.densities(state),
                )
            ]
        )
        self.cells.comm.Allreduce(MPI.IN_PLACE, sums)
        given = counters.source_f @ grid.energies + counters.source_n @ grid.phonon_energies
        lost: dict[str, float] = dict.fromkeys((*self.moving_f.walls, *self.moving_n.walls), 0.0)
        for walls, spectra, energies in (
            (self.moving_f.walls, counters.passed_f, grid.energies),
            (self.moving_n.walls, counters.passed_n, grid.phonon_energies),
        ):
            for name, spectrum in zip(walls, spectra[: len(walls)], strict=True):
                lost[name] += float(spectrum @ energies)
        quasiparticles, phonons, condensate, number = sums.tolist()
        named = dict(zip(self.external_processes, given.tolist(), strict=True))
        return BoltzmannLedger(quasiparticles, phonons, condensate, number, named, lost)

    def moment(self, state: State) -> Moment:
        """Return a state at the start, before anything came or went. Collective."""
        return Moment(0.0, state, self.no_counters(), self.ledger(state), 0, 0, 0.0)


class BoltzmannEquations:
    """Rates of change of the occupations of a problem, at the spectra of given gaps.

    Attributes:
        problem: whose occupations these are.
        gap: of the cells, ``(n_owned,)``.
        local: collisions and processes within cells.
        moving_n: motion of phonons.
    """

    def __init__(self, problem: BoltzmannProblem, gap: Floats) -> None:
        self.problem, self.gap, self.moving_n = problem, gap.copy(), problem.moving_n
        self.local = LocalProcesses(
            problem.media, problem.cells.volume, problem.grid, self.gap, problem.eliminations
        )

    @cached_property
    def moving_f(self) -> Operator:
        """Motion of quasiparticles; collective when first asked for."""
        p = self.problem
        if isinstance(p.moving_f, Immobile):
            return p.moving_f
        every = np.empty(p.cells.n_cells)
        every[: p.cells.n_owned] = self.gap
        p.cells.exchange(every)
        speed, states, elastic = (np.zeros((p.cells.n_cells, p.grid.n)) for _ in range(3))
        for one in p.media:
            if one.has_quasiparticles:
                here = every[one.cells]
                speed[one.cells], states[one.cells] = one.motion(one.bin_weights(here), here)
                elastic[one.cells] = speed[one.cells] / one.medium.free_path
        return p.moving_f.at(speed, states, elastic)

    @property
    def species(self) -> tuple[Species, Species]:
        """Weights of the occupations of quasiparticles and of phonons."""
        p, local = self.problem, self.local
        return (
            Species(local.weight_f, p.grid.energies, p.moving_f.weights),
            Species(local.weight_n, p.grid.phonon_energies, p.moving_n.weights),
        )

    def inelastic_rates(self, f: Floats, n: Floats) -> InelasticRates:
        """Return rates of inelastic collisions.

        Args:
            f, n: occupations, ``(n_owned, M, N)`` and ``(n_owned, M, K)``.
        """
        return self.local.inelastic_rates(self.problem.mean_f(f), self.problem.mean_n(n))

    def rates(self, f: Floats, n: Floats, inelastic: InelasticRates | None = None) -> Rates:
        """Rates of change by motion, collisions and exchanges; counters are this rank's.

        Args:
            f, n: occupations, ``(n_owned, M, N)`` and ``(n_owned, M, K)``.
            inelastic: rates of inelastic collisions, if that is known.
        """
        mean_f, mean_n = self.problem.mean_f(f), self.problem.mean_n(n)
        inelastic = self.local.inelastic_rates(mean_f, mean_n) if inelastic is None else inelastic
        local = self.local.rates(mean_f, mean_n)
        moved_f, moved_n = self.moving_f.rates(f, inelastic.f), self.moving_n.rates(n, inelastic.n)
        moved_f.y += local.f[:, None, :]
        moved_n.y += local.n[:, None, :]
        return Rates(
            moved_f.y, moved_n.y, Counters(local.source_f, local.source_n, moved_f.passed, moved_n.passed)
        )
