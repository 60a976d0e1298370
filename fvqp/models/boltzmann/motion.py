"""Motion of quasiparticles or phonons between cells: none, diffusive, or along directions.

Occupations are ``y[cell, direction, energy]`` of the owned cells; what does not keep directions has one. The
rates of motion contain scattering that turns particles and leaves them their energy, ``σ (ȳ − y)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.directions import FULL, Directions
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import AcousticInterface, TransmittingInterface, Wall
from fvqp.typing import Floats

#: Part of the residual that implicit motion leaves of its first guess, which is to stay explicit. Neither
#: conservation nor the order of steps depends on it.
REDUCTION = 1e-2
#: Times to cross the smallest cell in a step beyond which particles that walls return are worth a stronger
#: preconditioner: it halves iterations at a third more work each.
MANY_CROSSINGS = 10.0
#: Steps in units of the fastest rate up to which nothing is gained by solving.
EXPLICIT = 0.5
#: Collisions during a crossing of a cell beyond which more of them change nothing: what gets across is
#: below all errors, and rounding would spoil the solution.
OPAQUE = 1e6

CLOSED = Wall(transmission=0.0)
"""A rough wall through which nothing passes."""


@dataclass(frozen=True)
class Diffusion:
    """Diffusion with ``vℓ/3``: the limit of many elastic collisions in every cell.

    Attributes:
        walls: by name of outer boundaries.
        elsewhere: at boundaries without a name there; nothing passes by default.
        interfaces: between regions of a mesh.
    """

    walls: Mapping[str, Wall] = field(default_factory=dict)
    elsewhere: Wall = CLOSED
    interfaces: Sequence[TransmittingInterface] = ()


@dataclass(frozen=True)
class DiscreteOrdinates:
    """Streaming along directions, with scattering.

    Attributes:
        directions: their set.
        walls, elsewhere, interfaces: see `Diffusion`.
        scheme: of streaming, see `fvqp.transport.streaming.Streaming`.
    """

    directions: Directions
    walls: Mapping[str, Wall] = field(default_factory=dict)
    elsewhere: Wall = CLOSED
    interfaces: Sequence[TransmittingInterface | AcousticInterface] = ()
    scheme: Scheme = "limited"


class Moved:
    """Change by motion: ``(n_owned, M, E)``, and ``(walls + interfaces, E)`` what passes walls and interfaces
    in number of states a unit of time (this rank's part, see `Streaming.rates`)."""

    __slots__ = ("passed", "y")

    def __init__(self, y: Floats, passed: Floats) -> None:
        self.y, self.passed = y, passed


class Implicit(NamedTuple):
    """``(1 − length × motion) x = r``.

    Attributes:
        solve: what changes and what passes.
        approximate: ``(n_owned, M, E)``, linear in r and without count of what passes: a preconditioner.
    """

    solve: Callable[[Floats], Moved]
    approximate: Callable[[Floats], Floats]


class Immobile:
    """No motion between cells: one direction, no walls, no interfaces."""

    weights = np.ones(1)
    walls: tuple[str, ...] = ()
    open_walls: tuple[str, ...] = ()
    interfaces: tuple[tuple[str, str], ...] = ()
    #: Whether motion depends on the rates of inelastic collisions.
    isotropized = False
    #: Rate at which particles leave a cell, and the fastest one.
    crossing = np.zeros((1, 1))
    fastest = 0.0

    def at(self, speed: Floats, states: Floats, elastic: Floats) -> Self:
        """The same at any speeds and states."""
        return self

    @property
    def switching_times(self) -> Floats:
        """Times at which baths beyond walls change."""
        return np.empty(0)

    def switch(self, time: float) -> None:
        """Take the baths beyond walls at a time."""

    def rates(self, y: Floats, inelastic: Floats) -> Moved:
        return Moved(np.zeros_like(y), np.zeros((0, y.shape[2])))

    def linear(
        self, inelastic: Floats, at: Floats | None = None, frozen_limiter: bool = False
    ) -> Callable[[Floats], Moved]:
        """Derivative of `rates` at a fixed rate of collisions; where gradients are limited at occupations
        ``at``, with limits that may be ``frozen_limiter`` (`Streaming.tangent`), or without limits."""
        return lambda x: self.rates(x, inelastic)

    def implicit(
        self, length: float, inelastic: Floats, y: Floats, strong_preconditioner: bool = False
    ) -> Implicit:
        """``(1 − length × motion) x = r``; one at a time.

        Solutions have the content of r less what walls take, whatever is left of the residual, by parts of y.
        What preconditions may be ``strong_preconditioner``, see `StreamingSystem.approximate`.
        """
        return Implicit(lambda r: Moved(r, np.zeros((0, r.shape[2]))), lambda r: r)

    def absorbed(
        self, length: float, inelastic: Floats, rate: Floats, strong_preconditioner: bool = False
    ) -> Callable[[Floats], Floats]:
        """``(1 − length × (motion − rate)) x = r`` where collisions take particles away at a rate
        ``(n_owned, E)``: a preconditioner, linear in r; there is one at a time, or one of `implicit`."""
        kept = 1.0 / (1.0 + length * rate[:, None, :])
        return lambda r: kept * r


Motion = Immobile | Diffusion | DiscreteOrdinates


@dataclass
class _Solvers:
    """Solver of implicit motion, which the operators of a species at all spectra share."""

    streaming: StreamingSolver | None = None
    diffusion: LinearSolver | None = None


class _InSpace(ABC):
    """Base of diffusion and discrete ordinates: a `Streaming`, at the spectra of `at`."""

    #: Rate ``(n_owned, E)`` at which particles leave a cell, and the fastest one of all ranks.
    crossing: Floats
    fastest: float
    #: Names of walls, of those that let particles pass, and regions on both sides of interfaces.
    walls: tuple[str, ...]
    open_walls: tuple[str, ...]
    interfaces: tuple[tuple[str, str], ...]
    #: Rates ``(n_cells, E)`` of elastic scattering, and volume × states ``(n_owned, E)``.
    elastic: Floats
    content: Floats

    def __init__(self, make: Callable[[Floats, Floats], Streaming]) -> None:
        self._make = make
        self.streaming: Streaming | None = None

    def at(self, speed: Floats, states: Floats, elastic: Floats) -> Self:
        """The operator at speeds ``(n_cells, E)``, states and rates of elastic scattering. Collective."""
        out = copy(self)
        out.elastic = elastic
        out.streaming = (
            self._make(speed, states) if self.streaming is None else self.streaming.at(speed, states)
        )
        out.walls, out.open_walls = out.streaming.walls, out.streaming.open_walls
        out.interfaces = out.streaming.interfaces
        n, volume = out.streaming.layout.n_owned, out.streaming.layout.volume
        out.content = volume[:n, None] * states[:n]
        out._begin()
        return out

    @property
    def switching_times(self) -> Floats:
        """Times at which baths beyond walls change."""
        assert self.streaming is not None
        return self.streaming.switching_times

    def switch(self, time: float) -> None:
        """Take the baths beyond walls at a time."""
        assert self.streaming is not None
        self.streaming.switch(time)

    @abstractmethod
    def _begin(self) -> None:
        """Find the quantities that depend on the spectrum beside the `Streaming`."""

    def _crosses(self, rate: Floats) -> None:
        self.crossing = rate
        self.fastest = float(self._layout.comm.allreduce(float(np.max(rate, initial=0.0)), MPI.MAX))

    def extended(self, y: Floats) -> Floats:
        """With up-to-date ghosts."""
        layout = self._layout
        out = np.empty((layout.n_cells, *y.shape[1:]))
        out[: layout.n_owned] = y
        layout.exchange(out)
        return out

    @property
    def _layout(self):  # type: ignore[no-untyped-def]
        assert self.streaming is not None
        return self.streaming.layout

    def nothing_passed(self, n_energies: int) -> Floats:
        """Zeros for all walls and interfaces."""
        return np.zeros((len(self.walls) + len(self.interfaces), n_energies))

    def balanced(
        self, x: Floats, r: Floats, passed: Floats, length: float, y: Floats, weights: Floats
    ) -> Floats:
        """Return x with exactly the content that r and the walls leave it, whatever was left of the residual.

        What is missing at an energy is made up for in proportion to y: conservation does not depend on the
        tolerance of the solver.
        """
        of, lost = self.content, passed[: len(self.walls)].sum(axis=0)

        def content(a: Floats) -> Floats:
            return np.asarray(np.einsum("ce,cme,m->e", of, a, weights))

        size = np.abs(y)
        parts = np.stack([content(r) - length * lost - content(x), content(size), content(np.abs(x))])
        self._layout.comm.Allreduce(MPI.IN_PLACE, parts)
        missing, first, second = parts
        by_y = first > 0.0
        share = np.divide(
            missing, np.where(by_y, first, second), out=np.zeros_like(missing), where=by_y | (second > 0.0)
        )
        return np.asarray(x + share * np.where(by_y, size, np.abs(x)))


class OrdinatesOperator(_InSpace):
    """Ordinates on a body."""

    isotropized = True

    def __init__(self, make: Callable[[Floats, Floats], Streaming], directions: Directions) -> None:
        super().__init__(make)
        self.directions = directions
        self.weights = directions.weights / FULL
        self._upwind: Streaming | None = None
        self._linear: Streaming | None = None
        self._solvers = _Solvers()
        self._limited: Streaming | None = None

    def _begin(self) -> None:
        self._upwind = self._linear = self._limited = None
        assert self.streaming is not None
        self._crosses(self.streaming.crossing_rate())
        self._opaque = OPAQUE * self.crossing

    def _scattering(self, inelastic: Floats) -> Floats:
        out = self.elastic.copy()
        out[: self._layout.n_owned] += np.minimum(inelastic, self._opaque)
        self._layout.exchange(out)
        return out

    def rates(self, y: Floats, inelastic: Floats) -> Moved:
        """Streaming and scattering; ``inelastic`` is the ``(n_owned, E)`` rate that collisions add."""
        assert self.streaming is not None
        return self._moving(self.streaming, inelastic)(y)

    def linear(
        self, inelastic: Floats, at: Floats | None = None, frozen_limiter: bool = False
    ) -> Callable[[Floats], Moved]:
        """See `Immobile.linear`."""
        assert self.streaming is not None
        scheme = self.streaming.scheme
        if at is not None and scheme == "limited":
            if self._limited is None:
                self._limited = self.streaming.homogeneous(scheme)
            return self._moving(self._limited.tangent(self.extended(at), frozen_limiter), inelastic)
        if self._linear is None:
            self._linear = self.streaming.homogeneous("linear" if scheme == "limited" else scheme)
        return self._moving(self._linear, inelastic)

    def _moving(self, streaming: Streaming, inelastic: Floats) -> Callable[[Floats], Moved]:
        """Streaming and scattering, at a rate that collisions add to."""
        scattering = self._scattering(inelastic)
        scatters = self._layout.comm.allreduce(bool(np.any(scattering > 0.0)), MPI.LOR)
        opacity = streaming.opacity(scattering) if scatters else None

        def moved(y: Floats) -> Moved:
            rate, passed = streaming.rates(self.extended(y), opacity)
            if scatters:
                apart = self.directions.mean(y)[:, None, :] - y
                # opaque cells scatter so often that rounding of the mean would count
                apart -= self.directions.mean(apart)[:, None, :]
                rate += scattering[: len(y), None, :] * apart
            return Moved(rate, passed)

        return moved

    def implicit(
        self, length: float, inelastic: Floats, y: Floats, strong_preconditioner: bool = False
    ) -> Implicit:
        n = len(y)
        if length * self.fastest <= EXPLICIT:
            isotropized = self._isotropized(length, inelastic)
            nothing = self.nothing_passed(y.shape[2])
            return Implicit(lambda r: Moved(isotropized(r), nothing), isotropized)
        solver = self._upwinding()
        returned = solver.streaming.returns and length * self.fastest > MANY_CROSSINGS
        system = solver.system(
            np.array([[1.0 / length]]),
            self._scattering(inelastic),
            strong_preconditioner=strong_preconditioner or returned,
        )

        def solved(r: Floats) -> Moved:
            x = system.solve(r / length, r, reduction=REDUCTION)[:n]
            return Moved(self.balanced(x, r, solver.passed, length, y, self.weights), solver.passed)

        return Implicit(solved, lambda r: system.approximate(r / length))

    def absorbed(
        self, length: float, inelastic: Floats, rate: Floats, strong_preconditioner: bool = False
    ) -> Callable[[Floats], Floats]:
        """See `Immobile.absorbed`."""
        if length * self.fastest <= EXPLICIT:
            return self._isotropized(length, inelastic, rate)
        removal = np.full_like(self.elastic, 1.0 / length)
        removal[: len(rate)] += rate
        self._layout.exchange(removal)
        # of what they turn away from a direction, collisions return the rest to all of them
        back = np.maximum(np.minimum(inelastic, self._opaque) - rate, 0.0)
        system = self._upwinding().system(
            removal, self._scattering(back), strong_preconditioner=strong_preconditioner
        )
        return lambda r: system.approximate(r / length)

    def _upwinding(self) -> StreamingSolver:
        """Solver of implicit motion."""
        assert self.streaming is not None
        if self._upwind is None:
            self._upwind = self.streaming.homogeneous("upwind")
        if self._solvers.streaming is None:
            self._solvers.streaming = StreamingSolver(self._upwind)
        if self._solvers.streaming.streaming is not self._upwind:
            self._solvers.streaming.follow(self._upwind)
        return self._solvers.streaming

    def _isotropized(self, length: float, inelastic: Floats, lost: Floats | None = None) -> Callable:
        """Solver for scattering alone, and losses at a rate."""
        kept = 1.0 / (1.0 + length * self._scattering(inelastic)[: self._layout.n_owned, None, :])
        of_mean = 1.0 if lost is None else 1.0 / (1.0 + length * lost[:, None, :])

        def isotropized(r: Floats) -> Floats:
            mean = self.directions.mean(r)[:, None, :]
            return np.asarray(of_mean * mean + kept * (r - mean))

        return isotropized


class DiffusionOperator(_InSpace):
    """Diffusion on a body."""

    weights = np.ones(1)
    isotropized = False

    def __init__(self, make: Callable[[Floats, Floats], Streaming]) -> None:
        super().__init__(make)
        self._solvers = _Solvers()
        self._limit: DiffusiveLimit | None = None
        self._empty: DiffusiveLimit | None = None

    def _begin(self) -> None:
        assert self.streaming is not None
        self._empty = None
        rate = np.where(self.streaming.speed > 0.0, self.elastic, 1.0)
        free = self._layout.comm.allreduce(bool(np.any((rate <= 0.0) & (self.streaming.g > 0.0))), MPI.LOR)
        if free:
            raise CaseError("diffusion: needs a finite free path wherever particles move")
        self._rate = rate
        self._limit = DiffusiveLimit(self.streaming, rate)
        self._crosses(self._limit.exchange_rate())

    def rates(self, y: Floats, inelastic: Floats) -> Moved:
        assert self._limit is not None
        rate, passed = self._limit.rates(self.extended(y)[:, 0])
        return Moved(rate[:, None, :], passed)

    def linear(
        self, inelastic: Floats, at: Floats | None = None, frozen_limiter: bool = False
    ) -> Callable[[Floats], Moved]:
        """See `Immobile.linear`."""
        assert self.streaming is not None
        if self._empty is None:
            self._empty = DiffusiveLimit(self.streaming.homogeneous("linear"), self._rate)
        empty = self._empty

        def moved(x: Floats) -> Moved:
            rate, passed = empty.rates(self.extended(x)[:, 0])
            return Moved(rate[:, None, :], passed)

        return moved

    def implicit(
        self, length: float, inelastic: Floats, y: Floats, strong_preconditioner: bool = False
    ) -> Implicit:
        nothing = self.nothing_passed(y.shape[2])
        if length * self.fastest <= EXPLICIT:
            return Implicit(lambda r: Moved(r, nothing), lambda r: r)
        assert self._limit is not None
        limit, solver = self._limit, self._diffusion()
        solver.set_matrix(limit.matrix(np.array([[1.0 / length]])), reuse=True)
        capacity = limit.streaming.capacity / length

        def solved(r: Floats) -> Moved:
            x = solver.solve(capacity * r[:, 0])
            passed = limit.two_point_passed(self.extended(x) if self.interfaces else x)
            return Moved(self.balanced(x[:, None, :], r, passed, length, y, self.weights), passed)

        return Implicit(solved, lambda r: solver.solve(capacity * r[:, 0])[:, None, :])

    def absorbed(
        self, length: float, inelastic: Floats, rate: Floats, strong_preconditioner: bool = False
    ) -> Callable[[Floats], Floats]:
        """See `Immobile.absorbed`."""
        if length * self.fastest <= EXPLICIT:
            kept = 1.0 / (1.0 + length * rate[:, None, :])
            return lambda r: kept * r
        assert self._limit is not None
        limit, solver = self._limit, self._diffusion()
        solver.set_matrix(limit.matrix(1.0 / length + rate), reuse=True)
        capacity = limit.streaming.capacity / length
        return lambda r: solver.solve(capacity * r[:, 0])[:, None, :]

    def _diffusion(self) -> LinearSolver:
        """Solver of implicit motion."""
        assert self._limit is not None
        if self._solvers.diffusion is None:
            numbering = Numbering(self._layout.comm, self._layout.n_owned, self._layout.column_id)
            self._solvers.diffusion = LinearSolver(
                self._limit.flux.indptr,
                self._limit.flux.indices,
                numbering,
                symmetric=True,
                tolerance=1e-10,
                prefix="fvqp_diffusion_",
            )
        return self._solvers.diffusion
