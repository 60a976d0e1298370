"""Normal metals between superconductors of different phases, in equilibrium: spectra and supercurrents.

With F = sin θ e^{iχ}, F̃ = sin θ e^{−iχ} and G = cos θ, the diffusive equation in a normal metal at a complex
energy z is, with a complex phase χ of its own at every energy,

    ½ ∇·σ(G ∇F − F ∇G) + (σ/ξ²) i z F = 0        and the same for F̃,      G² + F F̃ = 1,

(theory: proximity). It is solved for γ = F/(1 + G) and γ̃ = F̃/(1 + G), which are regular where F vanishes and
smaller than one on the retarded branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from fvqp.errors import CaseError
from fvqp.gap import equilibrium_gap
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.pairing_angle import (
    HEIGHT,
    LAST_STEP,
    MAX_STEP,
    OPTIONS,
    TURN,
    face_conductances,
    follow_down,
)
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.newton_by_energy import newton_by_energy
from fvqp.solvers.numbering import Numbering
from fvqp.spectral.branch import SMALLEST_BROADENING
from fvqp.spectral.pairing_angle import local_angle
from fvqp.spectral.quadrature import MatsubaraRule
from fvqp.transport.kernels import RESERVOIR
from fvqp.typing import Bools, Complexes, Floats

#: Energies solved together.
BLOCK = 64

#: Nor does a step get smaller than the one before it, if that was as small as this, where rounding decides:
#: near the edge of a minigap.
ROUNDED = 1e-6

#: Density of states that is none, over the square root of the accuracy of a minigap: near the edge it is some
#: √((E − E_g)/E_g), below it for Γ → 0 of the order of √(Γ/E_g) at most.
EMPTY = 0.1

#: Energies in Δ0 closer than this are not told apart.
RESOLVED = 10.0 * SMALLEST_BROADENING

#: Product of F on both sides of a face, or nearly, from which on fluxes are formed from differences.
LARGE = 100.0

_MAX_STEPS = 25
_PROBES = 16


class WeakLink:
    """Spectra and supercurrents of a device of normal metals whose superconducting reservoirs have phases.

    Args:
        device: normal everywhere; without junctions and interfaces; its mesh orthogonal (lines, networks,
            grids). Reservoirs without a gap of their own are normal.
        broadening: Dynes' Γ in Δ0.
        method: of the linear systems, see `fvqp.solvers.linear`.

    Raises:
        CaseError: the device is not like this.
    """

    def __init__(self, device: Device, broadening: float = 0.0, method: str = "auto") -> None:
        self.device = device
        self.broadening = max(broadening, SMALLEST_BROADENING)
        comm = device.mesh.comm
        if comm.allreduce(bool(np.any(device.per_cell("gap") > 0.0)), MPI.LOR):
            raise CaseError("weak link: a part of the device is superconducting; only reservoirs may be")
        if device.junctions or device.interfaces:
            raise CaseError("weak link: the device has tunnel junctions or interfaces; remove them")
        self.transport = t = device.transport()
        if t.flux.gradient is not None:
            raise CaseError(f"{device.mesh.name}: weak link: the mesh has oblique faces; use lines or a grid")
        self._conductance = face_conductances(t)
        faces, n = t.faces, device.mesh.n_cells
        self._outer = np.flatnonzero(faces.junction == RESERVOIR)
        self._inner = np.flatnonzero((faces.cells[:, 1] >= 0) & (self._conductance > 0.0))
        #: Cell and its neighbour, or cell and −1 − terminal, of all flows into cells; their conductance.
        here, there = faces.cells[self._inner].T
        into = [here, there, faces.cells[self._outer, 0]]
        self._cell = np.concatenate(into).astype(np.int64)
        self._from = np.concatenate([there, here, -1 - faces.terminal[self._outer]]).astype(np.int64)
        g = self._conductance[self._inner]
        self._g = np.concatenate([g, g, self._conductance[self._outer]])[:, None]
        entries = t.flux.faces.entries
        none = np.full(len(self._outer), -1)
        self._across = np.concatenate([entries[self._inner, 1], entries[self._inner, 3], none])
        one = np.ones(len(self._cell))
        self._sum = csr_matrix((one, (self._cell, np.arange(len(one)))), shape=(n, len(one)))[
            : t.mesh.n_owned
        ]
        self._capacity = 2.0 * t.capacity[:, None]
        indptr, indices = t.flux.pattern(4)
        unknowns = (device.mesh.global_id[:, None] * 4 + np.arange(4)).ravel()
        numbering = Numbering(comm, 4 * t.mesh.n_owned, unknowns)
        self._solver = LinearSolver(indptr, indices, numbering, method=method, tolerance=1e-9)
        self._entries = len(indices)
        self._places = t.flux.blocks(4)

    # -- results

    def dos(self, energies: ArrayLike, phases: Sequence[float]) -> Floats:
        """Density of states over that of the normal state, ``(n_cells, energy)``. Collective.

        Args:
            energies: ``(energy,)`` in Δ0, ≥ 0.
            phases: of the reservoirs, in their order, radians.

        Raises:
            ConvergenceError: names the energy without a solution.
        """
        z = np.asarray(energies, float).ravel() + 1j * self.broadening
        return np.asarray(_green(self.solve(z, phases))[0].real)

    def currents(self, phases: Sequence[float]) -> Floats:
        """Supercurrent from every reservoir into the device at the bath's temperature, ampere. Collective.

        ``I = (Δ0/e) 2πt Σ_n ∫σ sin²θ ∇χ·dA`` over Matsubara's frequencies; positive where the phase grows
        into the device.
        """
        rule = MatsubaraRule.at(self.device.bath)
        z = np.asarray(1j * (rule.frequencies + self.broadening), dtype=np.complex128)
        _, pair, conjugate = _green(self.solve(z, phases))
        _, outside, outside_conjugate = _green(self._reservoirs(z, phases))
        out = np.zeros(len(self.device.reservoirs))
        faces = self.transport.faces
        cells, terminal = faces.cells[self._outer, 0], faces.terminal[self._outer]
        product = outside_conjugate[terminal] * pair[cells] - outside[terminal] * conjugate[cells]
        owned = cells < self.transport.mesh.n_owned
        flow = (self._conductance[self._outer] * ((product / 2j).real @ rule.weights))[owned]
        np.add.at(out, terminal[owned], flow * self.device.voltage_unit)
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def minigap(self, phases: Sequence[float], highest: float | None = None, accuracy: float = 1e-3) -> float:
        """Return the energy in Δ0 below which the density of states vanishes for Γ → 0. Collective.

        No cell has states below. It lies between two probes that are apart by ``accuracy`` of it, one without
        states and one with. The density of states sets in as the square root of the distance: what counts as
        a state is so small that it displaces the edge by far less than ``accuracy``. The error of the mesh is
        not part of it.

        Args:
            phases: of the reservoirs, in their order, radians.
            highest: energy in Δ0 from which to search downwards; default: the largest gap of a reservoir.
            accuracy: relative; energies closer than 1e-12 Δ0 are not told apart.

        Returns:
            The minigap; 0 if there are states at ten times Γ, which would fill a smaller one.
        """
        low, high = 10.0 * self.broadening, float(self._gaps.max()) if highest is None else highest
        n = self.transport.mesh.n_owned
        while high - low > max(accuracy * low, RESOLVED) or low == 10.0 * self.broadening:
            probes = np.linspace(low, high, _PROBES)
            normal = _green(self.solve(probes + 1j * SMALLEST_BROADENING, phases))[0].real
            most = self._all(normal[:n].max(axis=0, initial=0.0), MPI.MAX)
            filled = most > EMPTY * np.sqrt(accuracy)
            first = int(np.argmax(filled)) if np.any(filled) else _PROBES - 1
            if first == 0:
                return 0.0
            low, high = float(probes[first - 1]), float(probes[first])
        return 0.5 * (low + high)

    # -- the equation

    def solve(self, z: Complexes, phases: Sequence[float]) -> Complexes:
        """γ and γ̃ of all cells at complex energies, ``(n_cells, 2, energy)``, ghosts included. Collective."""
        if len(phases) != len(self.device.reservoirs):
            raise CaseError(f"weak link: {len(phases)} phases for {len(self.device.reservoirs)} reservoirs")
        x = np.empty((self.device.mesh.n_cells, 2, z.size), complex)
        for first in range(0, z.size, BLOCK):
            block = slice(first, min(first + BLOCK, z.size))
            x[:, :, block] = self._follow(z[block], phases)
        return x

    def _follow(self, z: Complexes, phases: Sequence[float]) -> Complexes:
        """Solutions followed from far above the real axis, where there are no pairs, down to ``z``."""
        start = np.zeros((self.device.mesh.n_cells, 2, z.size), complex)
        x, good = self._newton(z + 1j * HEIGHT, start, phases)
        return follow_down(lambda energies, near: self._newton(energies, near, phases), z, x, good, HEIGHT)

    def _newton(self, z: Complexes, x: Complexes, phases: Sequence[float]) -> tuple[Complexes, Bools]:
        """Newton's method; ``(γ and γ̃, which energies have converged to the retarded solution)``.

        No line search shortens its steps: in a short link all cells turn together against next to no
        resistance, along a curve beside which the residual is large.
        """
        mesh, outside = self.device.mesh, self._reservoirs(z, phases)

        def step(x: Complexes, gains: Complexes, going: Bools) -> tuple[Complexes, Floats]:
            change, largest = np.zeros_like(gains), np.zeros(z.size)
            here = x[:, :, going]
            turn = self._step(here, outside[:, :, going], z[going], gains[:, :, going])
            largest[going] = self._all(np.abs(turn).max(axis=(0, 1), initial=0.0), MPI.MAX)
            turn *= np.minimum(1.0, MAX_STEP / np.maximum(largest[going], 1e-300))
            change[:, :, going] = (_turned(here, turn) - here)[: mesh.n_owned]
            return change, largest

        found, good = newton_by_energy(
            lambda x: self._residual(x, outside, z),
            step,
            x,
            comm=mesh.comm,
            n_owned=mesh.n_owned,
            exchange=mesh.exchange,
            done=lambda largest, before: (largest < LAST_STEP) | ((before < ROUNDED) & (largest < ROUNDED)),
            max_steps=_MAX_STEPS,
            prefix=OPTIONS,
        )
        lowest = _green(found)[0].real[: mesh.n_owned].min(axis=0, initial=1.0)
        return found, good & (self._all(lowest, MPI.MIN) > -1e-7)

    def _reservoirs(self, z: Complexes, phases: Sequence[float]) -> Complexes:
        """γ and γ̃ of all reservoirs, ``(reservoir, 2, energy)``."""
        angle = local_angle(z, self._gaps, np.zeros(len(self._gaps)))
        half = np.tan(0.5 * (angle[:, 0] + 1j * angle[:, 1]))
        turn = np.exp(1j * np.asarray(phases, float))[:, None]
        return np.stack([half * turn, half / turn], axis=1)

    @cached_property
    def _gaps(self) -> Floats:
        """Gaps of the reservoirs' bulk at their temperatures, in Δ0; 0 of normal ones."""
        gaps = []
        for reservoir in self.device.reservoirs:
            bulk = 0.0 if reservoir.gap is None else reservoir.gap / self.device.material.gap
            t = reservoir.temperature / self.device.thermal_unit
            gaps.append(bulk * float(equilibrium_gap(t / bulk, 0.0, 0.0)) if bulk > 0.0 else 0.0)
        return np.array(gaps)

    def _all(self, values: Floats, operation: MPI.Op) -> Floats:
        values = np.ascontiguousarray(values)
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, values, operation)
        return values

    def _residual(self, x: Complexes, outside: Complexes, z: Complexes) -> Complexes:
        """Gains ``(n_owned, 2, energy)`` of the sum and the difference of both equations."""
        gamma = np.concatenate([x, outside[::-1]])
        _, *pairs = _green(x[: self.transport.mesh.n_owned])
        flows = _flows(gamma[self._cell], gamma[self._from])
        gains = [
            self._sum @ (self._g * flow) + 1j * z * self._capacity * pair
            for flow, pair in zip(flows, pairs, strict=True)
        ]
        return np.stack([gains[0] + gains[1], gains[0] - gains[1]], axis=1)

    def _step(self, x: Complexes, outside: Complexes, z: Complexes, residual: Complexes) -> Complexes:
        """Newton's step ``(n_cells, 2, energy)`` as turns of sum and difference, see `_turned`."""
        t, n = self.transport, self.transport.mesh.n_owned
        green = [np.concatenate([a, b[::-1]]) for a, b in zip(_green(x), _green(outside), strict=True)]
        normal, *pairs = green
        slopes = _slopes(x)
        values = np.zeros((self._entries, z.size))
        local = np.zeros((n, 2, 2, z.size), complex)
        inner = self._across >= 0
        across = np.zeros((int(inner.sum()), 2, 2, z.size), complex)
        cell, other = self._cell, self._from
        for column in range(2):
            d_normal, *d_pairs = slopes[column]
            own, beyond = [], []
            for pair, d_pair in zip(pairs, d_pairs, strict=True):
                flow = d_normal[cell] * pair[other] - d_pair[cell] * normal[other]
                own.append(self._sum @ (self._g * flow) + 1j * z * self._capacity * d_pair[:n])
                c, o = cell[inner], other[inner]
                beyond.append(self._g[inner] * (normal[c] * d_pair[o] - pair[c] * d_normal[o]))
            local[:, 0, column], local[:, 1, column] = own[0] + own[1], own[0] - own[1]
            across[:, 0, column], across[:, 1, column] = beyond[0] + beyond[1], beyond[0] - beyond[1]
        for blocks, places in ((local, t.flux.diagonal), (across, self._across[inner])):
            at = self._places[places]
            turned = -TURN * blocks
            for a in range(2):
                for b in range(2):
                    values[at[:, 2 * a, 2 * b]] += turned[:, a, b].real
                    values[at[:, 2 * a, 2 * b + 1]] -= turned[:, a, b].imag
                    values[at[:, 2 * a + 1, 2 * b]] += turned[:, a, b].imag
                    values[at[:, 2 * a + 1, 2 * b + 1]] += turned[:, a, b].real
        self._solver.set_matrix(values)
        right = (TURN * residual)[:, :, None]
        parts = np.concatenate([right.real, right.imag], axis=2).reshape(-1, z.size)
        found = self._solver.solve(parts).reshape(n, 2, 2, z.size)
        turn = np.zeros(x.shape, complex)
        turn[:n] = found[:, :, 0] + 1j * found[:, :, 1]
        return turn


def _green(x: Complexes) -> tuple[Complexes, Complexes, Complexes]:
    """G, F and F̃, each ``(rows, energy)``, of ``x[rows, 2, energy]``."""
    share: Complexes = np.asarray(2.0 / (1.0 + x[:, 0] * x[:, 1]), complex)
    normal: Complexes = np.asarray(share - 1.0)
    return normal, share * x[:, 0], share * x[:, 1]


def _flows(here: Complexes, there: Complexes) -> tuple[Complexes, Complexes]:
    """``G_1 F_2 − F_1 G_2`` and the same of F̃ from γ and γ̃ on both sides, ``(rows, 2, energy)``.

    Next to the gap of a reservoir F is as large as 1/√Γ, and the products would cancel to what rounding
    leaves of its square: there the fluxes are formed from differences of γ. Where G vanishes, rounding must
    be the same in both fluxes, or it would turn the phase, which nothing else holds: there they are products.
    """
    (a, b), (c, d) = here.swapaxes(0, 1), there.swapaxes(0, 1)
    (g, f, f_), (h, k, k_) = _green(here), _green(there)
    share = 2.0 / ((1.0 + a * b) * (1.0 + c * d))
    large = np.abs(share) > LARGE
    flow = np.where(large, share * ((c - a) + a * c * (d - b)), g * k - f * h)
    conjugate = np.where(large, share * ((d - b) + b * d * (c - a)), g * k_ - f_ * h)
    return flow, conjugate


def _slopes(x: Complexes) -> list[list[Complexes]]:
    """Derivatives of G, F and F̃ by the turns of `_turned`."""
    a, b = x[:, 0], x[:, 1]
    inverse = 1.0 / (1.0 + a * b)
    # By γ and γ̃, times half of 1 + γγ̃.
    by_first = [-b * inverse, inverse, -(b**2) * inverse]
    by_second = [-a * inverse, -(a**2) * inverse, inverse]
    pairs = list(zip(by_first, by_second, strict=True))
    return [[p + q for p, q in pairs], [p - q for p, q in pairs]]


def _turned(x: Complexes, turn: Complexes) -> Complexes:
    """γ and γ̃ of Green functions turned by ``turn``: (s + d)/2 and (s − d)/2 are γ and γ̃ in a frame in which
    they were zero. Where both are alike, d = 0, ``s`` is the change of θ."""
    s, d = turn[:, 0], turn[:, 1]
    angle = np.sqrt(s**2 - d**2)
    length = np.where(np.abs(angle) > 1e-6, np.tan(0.5 * angle) / np.where(angle == 0.0, 1.0, angle), 0.5)
    a, b = length * (s + d), length * (s - d)
    first, second = x[:, 0], x[:, 1]
    return np.stack([(first + a) / (1.0 - second * a), (second + b) / (1.0 - first * b)], axis=1)
