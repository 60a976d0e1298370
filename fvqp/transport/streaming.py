"""Streaming of particles along directions, in finite volumes: shells and meshes alike.

`Streaming` is made by `fvqp.transport.ordinates`. Occupations are
``f[cell, direction, energy]`` with energies contiguous; every energy moves by itself, at its own speed. Any
consistent units of length and time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.kernel_cache import read_only
from fvqp.mesh.distribute import GhostExchange, RowExchange
from fvqp.threads import share
from fvqp.transport import streaming_kernels as kernels
from fvqp.transport import sweep_kernels, tangent_kernels
from fvqp.transport.acoustic_faces import AcousticFaces
from fvqp.transport.directions import FULL, Directions, RadialDirections
from fvqp.transport.face_diffusion import FaceDiffusion, Opacity
from fvqp.transport.layout import Barrier, CellLayout, Refracting, edges, faces_of_cells
from fvqp.transport.streaming_tables import Blend, StreamingFaces, Turning
from fvqp.transport.sweep_order import SweepOrder, sweep_order, sweep_stages
from fvqp.transport.transmitting_faces import bath_means, first, make_transmitting
from fvqp.transport.walls import Wall
from fvqp.typing import Floats, Ints, Ints32

Edges = tuple[Floats, Floats]

Scheme = Literal["upwind", "linear", "limited"]

#: Gradients of a block of directions take no more than this, which stays in a processor's cache,
BLOCK_BYTES = 1 << 20
#: unless there are fewer unknowns than this in a row: short loops cost more than a cache saves.
TOGETHER = 128
#: Gradients that are needed twice are kept if all of them take no more than this.
KEPT_BYTES = 1 << 28
#: Unknowns that are worth a thread, and energies.
_WORTH_A_THREAD, _FEWEST = 30_000, 16


class Streaming:
    """``−v Ω·∇f`` of every direction and energy, conservative, with walls.

    Args:
        layout: cells and faces.
        directions: their set.
        speed: v, ``(energy,)`` or ``(n_cells, energy)``.
        states: weight of states per volume, ``(energy,)`` or ``(n_cells, energy)``; None if uniform.
            ``states × speed`` may change in space, as with a gap: a face lets through the smaller of its two
            sides, and the rest turns back the way it came (theory: streaming, Eq. streaming-gate).
        walls: outer boundaries by name.
        barriers: faces of walls (numbered as in ``walls``), of interfaces, and of those that refract.
        scheme: ``upwind``, first order and positive; ``linear``, second order; ``limited``, second order
            without new extrema, not a linear operator.
        interfaces: pairs of regions, as ``barriers`` number their faces.

    Attributes:
        walls: names of the outer boundaries.
        interfaces: as given. Counters of what passes have a row for every wall, then for every interface.
        open_walls: names of those that let particles of any energy pass.
        baths: ``(1, outer faces, energy)`` mean occupation outside, see `CellLayout.flux`.
        has_baths: whether anything enters, on any rank.
        refracts: whether waves are refracted at interfaces, on any rank.
        returns: whether transmitting faces turn anything back, on any rank.

    Raises:
        CaseError: an unknown scheme; speeds or states of another shape, negative or not finite, on any rank;
            see `fvqp.transport.transmitting_faces.make_transmitting`.
    """

    def __init__(
        self,
        layout: CellLayout,
        directions: Directions,
        speed: ArrayLike,
        states: ArrayLike | None,
        walls: dict[str, Wall],
        barriers: Sequence[Barrier | Refracting],
        scheme: Scheme = "limited",
        interfaces: Sequence[tuple[str, str]] = (),
    ) -> None:
        if scheme not in ("upwind", "linear", "limited"):
            raise CaseError(f"streaming: no scheme '{scheme}' (schemes: upwind, linear, limited)")
        self.layout = layout
        self.directions = directions
        self.scheme = scheme
        self.walls, self.interfaces = tuple(walls), tuple(interfaces)
        self.open_walls = tuple(name for name, wall in walls.items() if wall.passes)
        self._made_of = dict(walls), tuple(barriers)
        # Where a tangent is taken, and what comes in through transmitting faces there.
        self._at: Floats | None = None
        self._enters_at: Floats | None = None
        self._frozen_limiter = False
        self.speed = _rows("speeds", speed, layout)
        self.n_energies = self.speed.shape[1]
        self.states = np.ones((1, self.n_energies)) if states is None else _rows("states", states, layout)
        if self.states.shape[1] != self.n_energies:
            raise CaseError(
                f"streaming: {self.n_energies} speeds but {self.states.shape[1]} states; one each an energy"
            )
        self.g = np.ascontiguousarray(self.states * self.speed)
        # Cells without states at an energy hold nothing; any capacity keeps them at what they are.
        self.capacity = np.ascontiguousarray(
            layout.volume[: layout.n_owned, None]
            * np.where(self.states > 0.0, self.states, 1.0)[: layout.n_owned]
        )
        self._per_capacity = 1.0 / self.capacity
        # All ranks exchange the same blocks of gradients.
        gradient_bytes = 8 * layout.n_cells * layout.offset.shape[2] * self.n_energies
        few = -(-TOGETHER // self.n_energies)
        block = min(directions.count, max(few, BLOCK_BYTES // gradient_bytes))
        self._block = int(layout.comm.allreduce(block, MPI.MIN))
        kept = gradient_bytes * directions.count <= KEPT_BYTES
        self._kept = bool(layout.comm.allreduce(kept, MPI.LAND))
        refracting = [b for b in barriers if isinstance(b, Refracting)]
        self._acoustic = [AcousticFaces(layout, directions, b, self.g, self.speed) for b in refracting]
        plain = [b for b in barriers if isinstance(b, Barrier)]
        transmitting, transmitting_row = make_transmitting(
            layout, directions, self.g, self.speed, walls, plain, self._acoustic
        )
        pointer, of_cell = faces_of_cells(layout)
        self._faces = StreamingFaces(
            layout.face_cells,
            layout.area,
            layout.projected,
            layout.offset,
            transmitting_row,
            edges(layout, transmitting_row),
            pointer,
            of_cell,
        )
        self._transmitting = transmitting
        n_plain = len(transmitting.face) - sum(len(faces.faces) for faces in self._acoustic)
        # Waves that are refracted are bounded as if they came back in all directions.
        self._bounding = transmitting._replace(
            specular=np.where(np.arange(len(transmitting.face)) < n_plain, transmitting.specular, 0.0)
        )
        self._plain = first(transmitting, n_plain)
        self.baths = np.zeros((1, int(layout.flux.faces.outside.max(initial=-1)) + 1, self.n_energies))
        self._counted_rows = np.flatnonzero((transmitting.wall < 0) & (transmitting.counter >= 0))
        #: Faces of interfaces whose counters are this rank's.
        self.counted_faces = transmitting.face[self._counted_rows]
        walls_at = transmitting.wall >= 0
        self._wall = transmitting.wall[walls_at]
        self._outside = layout.flux.faces.outside[transmitting.face[walls_at]]
        self.baths[0, self._outside] = bath_means(layout, directions, transmitting)
        self._varying = [barrier for barrier in plain if barrier.bath is not None]
        self._take_baths()
        self.refracts = bool(layout.comm.allreduce(bool(self._acoustic), MPI.LOR))
        self.has_baths = bool(layout.comm.allreduce(bool(np.any(transmitting.bath)), MPI.LOR))
        self.has_baths |= bool(self._varying)
        beside = layout.face_cells[transmitting.face]
        beside = (
            np.where(beside < 0, beside[:, :1], beside) if len(self.g) > 1 else np.zeros((1, 2), np.int64)
        )
        closed = bool(np.any(transmitting.passing[:, None, :] < self.g[beside]))
        self.returns = bool(layout.comm.allreduce(closed, MPI.LOR))
        self._turning = _turning(directions, layout)
        half = np.full(len(layout.area), 0.25)
        if not directions.means_only:
            through = np.maximum(layout.projected, 0.0) @ directions.weights
            np.divide(through, FULL * layout.area, out=half, where=layout.area > 0.0)
        resisting = transmitting.passing.copy()
        for start, acoustic in self._acoustic_rows():
            resisting[start : start + len(acoustic.faces)] = acoustic.resisting
        self._diffusion = FaceDiffusion(
            layout.face_cells,
            layout.area,
            layout.distance,
            self.g,
            self.speed,
            transmitting._replace(passing=resisting),
            half,
        )

    def at(self, speed: ArrayLike, states: ArrayLike | None) -> Streaming:
        """The same cells, directions and walls with other speeds and states."""
        return self._with(self._made_of, speed, states, self.scheme)

    def homogeneous(self, scheme: Scheme) -> Streaming:
        """The same with empty baths, in a scheme: linear in f unless `limited`."""
        walls, barriers = self._made_of
        empty = {name: replace(wall, bath=0.0) for name, wall in walls.items()}
        bare = tuple(replace(one, bath=None) if isinstance(one, Barrier) else one for one in barriers)
        return self._with((empty, bare), self.speed, self.states, scheme)

    @property
    def switching_times(self) -> Floats:
        """Times at which baths change."""
        times = [barrier.bath.times for barrier in self._varying if barrier.bath is not None]
        return np.concatenate([np.empty(0), *times])

    def switch(self, time: float) -> None:
        """Take the baths of another time."""
        for barrier in self._varying:
            assert barrier.bath is not None
            barrier.bath.switch(time)
        self._take_baths()

    def _take_baths(self) -> None:
        for barrier in self._varying:
            assert barrier.bath is not None
            self.baths[0, self.layout.flux.faces.outside[barrier.faces]] = barrier.bath.occupation

    def tangent(self, f: Floats, frozen_limiter: bool = False) -> Streaming:
        """The derivative of the rates at ``f[n_cells, M, energy]``, ghosts up to date, for empty baths.

        Limits of gradients are those of f, and change along with it: linear, unlike the scheme itself. Where
            ``frozen_limiter``, the parts that they leave of gradients on flat and solid meshes do not change,
            which is not the derivative but easier to invert.
        """
        out = self.homogeneous(self.scheme) if self.has_baths else copy.copy(self)
        if self.scheme == "limited":
            out._at, out._frozen_limiter = self._checked(f), frozen_limiter
            out._enters_at = self._entering(out._at)
        return out

    def _with(
        self,
        made_of: tuple[dict[str, Wall], tuple[Barrier | Refracting, ...]],
        speed: ArrayLike,
        states: ArrayLike | None,
        scheme: Scheme,
    ) -> Streaming:
        other = Streaming(
            self.layout, self.directions, speed, states, *made_of, scheme, interfaces=self.interfaces
        )
        if "_order" in self.__dict__:
            other.__dict__["_order"] = self._order
        return other

    # -- streaming

    def rates(
        self, f: Floats, scattering: Floats | Opacity | None = None, out: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """``∂f/∂t`` by streaming of the owned cells, ``(n_owned, M, energy)``, and what passes.

        Args:
            f: ``(n_cells, M, energy)``, ghosts up to date.
            scattering: ``(n_cells or 1, energy)`` rate of isotropic elastic scattering. With it, faces carry
                the diffusive occupation as far as their surroundings are opaque, and cells of any optical
                thickness conduct rightly (theory: streaming, Eq. streaming-blend); `upwind` is up to 63 % off
                at depths of cells near 1. The rates do not contain the scattering itself. For several
                evaluations give its `opacity`.
            out: ``(n_owned, M, energy)`` array for the rates.

        Returns:
            The rates, and ``(walls + interfaces, energy)`` the net number that leaves through this rank's
            faces of every wall, and that passes every interface from its first region to the second, per
            time: the rate of change of the sum of `content` over ranks is exactly minus the sum over walls.
        """
        layout = self.layout
        f = self._checked(f)
        n_directions = self.directions.count
        rate = np.empty((layout.n_owned, n_directions, self.n_energies)) if out is None else out
        leaving = np.zeros((len(self._transmitting.face), n_directions, self.n_energies))
        blend = Blend(np.empty((0, 0, 0)), np.empty((0, 0, 0)), np.empty((0, 0, 0)))
        blocks: Iterable[tuple[int, Floats]]
        if scattering is None:
            blocks = self._slopes(f, self._block, self._edges(f, None))
        else:
            opacity = scattering if isinstance(scattering, Opacity) else self.opacity(scattering)
            # gradients are needed twice
            edges = self._edges(f, opacity)
            block = n_directions if self._kept else self._block
            blocks = self._slopes(f, block, edges)
            blocks = list(blocks) if self._kept else blocks
            again = blocks if self._kept else self._slopes(f, block, edges)
            blend = self._blend(f, opacity, again)
        second, limited = self.scheme != "upwind", self.scheme == "limited" and self._at is None
        made_of = self._faces, self._turning, self.g, self._per_capacity, blend, f
        for start, slope in blocks:
            self._shared(kernels.stream, *made_of, slope, start, second, limited, leaving, rate)
        if self._at is not None and len(layout.curvature):
            of_cells = self._turning, self.g, self._per_capacity, self._at, f
            self._shared(tangent_kernels.turning, *of_cells, rate)
        passed = np.zeros((len(self.walls) + len(self.interfaces), self.n_energies))
        weights = self.directions.weights
        transmitting = self._plain, self.g, self._per_capacity
        self._shared(kernels.pass_transmitting, self._faces, *transmitting, weights, leaving, rate, passed)
        for start, acoustic in self._acoustic_rows():
            arriving = leaving[start : start + len(acoustic.faces)]
            row = len(self.walls) + acoustic.barrier.interface
            passed[row] += acoustic.exchange(arriving, self._per_capacity, rate)
        return rate, passed / FULL

    def removed(
        self, f: Floats, total: Floats, scattering: Floats, opacity: Opacity | None
    ) -> tuple[Floats, Floats]:
        """``total f − scattering f̄ − rates`` of the owned cells, ``(n_owned, M, energy)``, and what passes.

        Args:
            f: ``(n_cells, M, energy)``, ghosts up to date.
            total, scattering: ``(n_cells, energy)`` rates at which particles leave a direction, and come back
                in any.
            opacity: at this scattering; None where nothing scatters on any rank.
        """
        out, passed = self.rates(f, opacity)
        shares = self.directions.weights / FULL
        self._shared(sweep_kernels.removed, shares, read_only(total), read_only(scattering), f, out)
        return out, passed

    def opacity(self, scattering: Floats) -> Opacity:
        """Return the coefficients of faces at a ``(n_cells or 1, energy)`` rate of scattering, for several
        `rates`."""
        return self._diffusion.opacity(np.atleast_2d(np.asarray(scattering, dtype=np.float64)))

    def content(self, f: Floats) -> Floats:
        """``Σ V × states × mean of f`` over this rank's cells, ``(energy,)``."""
        mean = self.directions.mean(f[: self.layout.n_owned])
        return np.asarray(np.sum(self.capacity * mean, axis=0))

    def crossing_rate(self) -> Floats:
        """Rate at which a cell without inflow empties in its fastest direction, ``(n_owned, energy)``."""
        layout = self.layout
        out = np.zeros((layout.n_cells + 1, self.directions.count))
        np.add.at(out, layout.face_cells[:, 0], np.maximum(layout.projected, 0.0))
        np.add.at(out, layout.face_cells[:, 1], np.maximum(-layout.projected, 0.0))
        out = out[: layout.n_owned]
        if len(layout.curvature):
            out += layout.curvature[: layout.n_owned, None] * self._turning.after
        return np.asarray(out.max(axis=1)[:, None] * self.g[: layout.n_owned] / self.capacity)

    def largest_step(self) -> float:
        """Longest explicit Euler step with which occupations stay within their range, on all ranks.

        With gradients a face value may be larger than that of its cell, which makes steps shorter (theory:
        streaming, Eq. streaming-step). It says nothing on rates with ``scattering``.
        """
        layout = self.layout
        spread = 1.0 if self.scheme == "upwind" else layout.spread[: layout.n_owned, None]
        fastest = float(np.max(spread * self.crossing_rate(), initial=0.0))
        fastest = float(layout.comm.allreduce(fastest, MPI.MAX))
        return np.inf if fastest == 0.0 else 1.0 / fastest

    # -- implicit

    def sweep(self, q: Floats, removal: Floats) -> Floats:
        """x of ``(removal − upwind streaming) x = q`` without inflow, in one pass through the cells.

        Exact for the upwind scheme in every block of the layout, and so in shells, without reflecting walls,
        turned-back particles or cells that wait for each other in a circle (`circles`); otherwise it leaves
        those couplings out and is a preconditioner.

        Args:
            q: ``(n_owned, M, energy)``.
            removal: ``(n_owned or 1, energy)``, positive: one over the time step plus rates of loss.
        """
        layout, count = self.layout, self.directions.count
        x = np.zeros((layout.n_cells, count, self.n_energies))
        order, begin = self._order, self._order.begin
        state = self.g, self._transmitting.passing, self._passes, self._turning, self.capacity, order
        removal = np.ascontiguousarray(removal, dtype=np.float64)
        if layout.chain is None:
            # one rank has all blocks, one after another
            stages = begin if layout.comm.size > 1 else begin[[0, -1]]
            for number, (first, last) in enumerate(pairwise(stages)):
                if number > 0:
                    self._handovers[number - 1](x.reshape(-1, self.n_energies))
                self._shared(sweep_kernels.sweep, *state, first, last, np.arange(count), removal, q, x)
        else:
            inward = self.directions.vectors[:, 0] < 0.0
            layout.chain.sweep(
                x,
                np.flatnonzero(inward),
                np.flatnonzero(~inward),
                lambda e0, e1, moving: sweep_kernels.sweep(e0, e1, *state, *begin, moving, removal, q, x),
            )
        return x[: layout.n_owned]

    @cached_property
    def _passes(self) -> Ints32:
        """Rows of states × speed that come through faces in sweeps, see `sweep_kernels.sweep`."""
        order, gate = self._order, self._faces.gate[self._order.through]
        of_cells = order.upstream if len(self.g) > 1 else 0
        return np.where(gate >= 0, len(self.g) + gate, of_cells).astype(np.int32)

    @property
    def returning(self) -> Ints:
        """Rows ``n_owned × M`` of x into which sweeps leave something out; see `returned`."""
        return self._returning[0]

    def returned(self, x: Floats) -> tuple[Floats, Floats]:
        """Rates of what walls and interfaces return, and of what comes from cells that sweeps lag behind.

        With it ``(removal − upwind streaming) x = q`` is ``x = sweep(q + returned(x))``; it needs no baths,
        and no interfaces that refract.

        Args:
            x: ``(n_cells, M, energy)``, ghosts up to date.

        Returns:
            The rates of the rows of `returning`, ``(rows, energy)``, and what passes, see `rates`.
        """
        rows, row = self._returning
        out = np.empty((len(rows), self.n_energies))
        passed = np.empty((len(self.walls) + len(self.interfaces), self.n_energies))
        of_faces = self._faces, self._transmitting, self.g, self._per_capacity, self.directions.weights
        self._shared(sweep_kernels.returned, *of_faces, self._order.late, row, x, out, passed)
        return out, passed / FULL

    @cached_property
    def _returning(self) -> tuple[Ints, Ints32]:
        """Rows of `returning`, and which of them each owned cell and direction is, −1 if none."""
        layout, cells = self.layout, self._faces.cells
        into = np.zeros((layout.n_owned, self.directions.count), bool)
        late = self._order.late
        downstream = (layout.projected[late[:, 0], late[:, 1]] > 0.0).astype(int)
        into[cells[late[:, 0], downstream], late[:, 1]] = True
        face = self._transmitting.face
        for side, sign in ((0, 1.0), (1, -1.0)):
            own = (cells[face, side] >= 0) & (cells[face, side] < layout.n_owned)
            k, m = np.nonzero(sign * layout.projected[face[own]] < 0.0)
            into[cells[face[own][k], side], m] = True
        rows = np.flatnonzero(into)
        row = np.full(into.size, -1, np.int32)
        row[rows] = np.arange(len(rows), dtype=np.int32)
        return rows, row.reshape(into.shape)

    @property
    def circles(self) -> int:
        """Number of faces, summed over directions, at which sweeps of this rank lag: cells in a circle."""
        return self._order.circles

    @cached_property
    def _order(self) -> SweepOrder:
        return sweep_order(self._faces, self.layout, self._stages)

    @cached_property
    def _stages(self) -> Ints:
        return sweep_stages(self.layout, self._turning.level)

    @cached_property
    def _handovers(self) -> list[RowExchange]:
        """Messages after every stage but the last: rows ``cell × M + direction`` that it has solved."""
        block, exchange = self.layout.block, self.layout.exchange
        assert isinstance(exchange, GhostExchange), "shells are swept rank by rank"
        stage = np.where(block[:, None] >= 0, self._stages[:, block].T, -1)
        return [exchange.of_rows(stage == number) for number in range(len(self._order.begin) - 2)]

    # -- diffusion

    def conductance(self, rate: Floats) -> Floats:
        """Conductances ``(n_faces, energy)`` to which streaming tends where particles scatter at ``rate``.

        Between the two cells of a face, or from a cell to the bath behind a wall; volume per time.

        Args:
            rate: ``(n_cells or 1, energy)`` of all that ends a free path.
        """
        return self._diffusion.conductance(rate)

    def beside(self, mean: Floats) -> Floats:
        """``mean[n_cells, energy]`` straight behind both sides of faces, and in baths.

        ``(n_faces, 2, energy)``; ghosts must be up to date.
        """
        return self.layout.flux.beside(mean[:, None, :], self.baths)[:, :, 0]

    def passed(self, outer: Floats, inner: Floats) -> Floats:
        """Sums over the faces of each wall and each interface, ``(walls + interfaces, energy)``.

        Args:
            outer: ``(outer faces, energy)`` that leaves.
            inner: ``(counted faces, energy)`` that passes `counted_faces` from cell 0 to cell 1.
        """
        out = np.zeros((len(self.walls) + len(self.interfaces), self.n_energies))
        np.add.at(out, self._wall, outer[self._outside])
        rows = self._counted_rows
        np.add.at(out, self._transmitting.counter[rows], self._transmitting.sign[rows, None] * inner)
        return out

    # -- parts

    def _shared(self, loop: Callable[..., object], *arguments: object) -> None:
        """A compiled loop over energies, shared by threads where that pays."""
        each = self.layout.n_cells * self.directions.count
        share(loop, self.n_energies, *arguments, least=max(_FEWEST, _WORTH_A_THREAD // each))

    def _checked(self, f: Floats) -> Floats:
        expected = (self.layout.n_cells, self.directions.count, self.n_energies)
        if f.shape != expected:
            raise CaseError(
                f"streaming: needs f[cell, direction, energy] of shape {expected}, found {f.shape}"
            )
        return np.ascontiguousarray(f, dtype=np.float64)

    def _slopes(self, f: Floats, block: int, edges: Edges | None) -> Iterator[tuple[int, Floats]]:
        """First directions of blocks, and the gradients in them, ``(n_cells, block, dim, energy)``."""
        layout, count = self.layout, self.directions.count
        if self.scheme == "upwind":
            yield 0, np.empty((layout.n_cells, count, 0, self.n_energies))
            return
        dim = layout.offset.shape[2]
        room = np.empty(layout.n_cells * block * dim * self.n_energies)
        for start in range(0, count, block):
            shape = (layout.n_cells, min(block, count - start), dim, self.n_energies)
            out = room[: int(np.prod(shape))].reshape(shape)
            self._gradients(f, layout.beyond, start, edges, out)
            yield start, out

    def _gradients(self, f: Floats, beyond: Ints32, start: int, edges: Edges | None, out: Floats) -> None:
        """Gradients, limited if it is known what enters at ``edges`` and how opaque these are."""
        g = self.layout.gradient
        near = g.indptr, g.indices, g.weights, beyond, self._faces
        if edges is None:
            none = np.empty((0, 0, 0))
            self._shared(kernels.slopes, *near, none, none, f, start, False, out)
        elif self._at is None:
            self._shared(kernels.slopes, *near, *edges, f, start, True, out)
        else:
            there = self._enters_at, *edges, self._at, self._frozen_limiter
            self._shared(tangent_kernels.slopes, *near, *there, f, start, out)
        self.layout.exchange(out)

    def _edges(self, f: Floats, opacity: Opacity | None) -> Edges | None:
        """Return the data of edges for limits of gradients: what enters, and how opaque cells are."""
        if self.scheme != "limited":
            return None
        return self._entering(f), np.empty((0, 2, 0)) if opacity is None else opacity.drop

    def _entering(self, f: Floats) -> Floats:
        """Return the occupation that comes in through transmitting faces, ``(faces, M, energy)``."""
        out = np.zeros((len(self._transmitting.face), self.directions.count, self.n_energies))
        weights = self.directions.weights
        self._shared(kernels.entering, self._faces, self._bounding, self.g, weights, f, out)
        return out

    def _blend(self, f: Floats, opacity: Opacity, blocks: Iterable[tuple[int, Floats]]) -> Blend:
        arriving = np.zeros((len(self.layout.area), 2, self.n_energies))
        shares = self.directions.weights / FULL
        for start, slope in blocks:
            self._shared(kernels.upstream, self._faces, f, slope, start, shares, arriving)
        mean = self.beside(self.directions.mean(f))
        return self._diffusion.blend(mean, arriving, opacity)

    def _acoustic_rows(self) -> Iterator[tuple[int, AcousticFaces]]:
        """Interfaces that refract, which come last among the transmitting faces, with the first row of
        each."""
        start = len(self._plain.face)
        for acoustic in self._acoustic:
            yield start, acoustic
            start += len(acoustic.faces)


def _rows(what: str, values: ArrayLike, layout: CellLayout) -> Floats:
    """By cell and energy, ``(n_cells or 1, energy)``; wrong on one rank is wrong on all."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    problem = None
    if rows.ndim != 2 or len(rows) not in (1, layout.n_cells):
        problem = (
            f"streaming: {what} must be given by energy, or by cell and energy with {layout.n_cells} cells, "
            f"found shape {rows.shape}"
        )
    elif not np.all(np.isfinite(rows)) or np.any(rows < 0.0):
        problem = f"streaming: {what} must be finite and not negative"
    problems = [p for p in layout.comm.allgather(problem) if p]
    if problems:
        raise CaseError(problems[0])
    return np.ascontiguousarray(rows)


def _turning(directions: Directions, layout: CellLayout) -> Turning:
    if not isinstance(directions, RadialDirections):
        none = np.empty(0)
        return Turning(none, none, none, none, np.empty(0, np.int32), layout.curvature)
    w = directions.weights
    at = np.ascontiguousarray(directions.vectors[:, 0])
    return Turning(
        directions.before / w, directions.after / w, at, directions.edge, directions.level, layout.curvature
    )
