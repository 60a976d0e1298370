"""The diffusive Usadel equation on a device: the pairing angle θ of every cell at complex energies.

    ½ ∇·(σ∇θ) + (σ/ξ²) [Δ cos θ + i z sin θ − ζ sin θ cos θ] = 0,        z in the upper half plane

(theory: proximity). Every energy is a complex nonlinear elliptic problem of its own; many are solved together
by Newton's method. For ``Im z > 0`` the solution with ``Re cos θ ≥ 0`` everywhere is the retarded one. It is
analytic in z, so that it can be followed from far above the real axis, where every start leads to it.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import ConvergenceError
from fvqp.models.usadel.device import Device
from fvqp.solvers.complex_systems import ComplexSystems
from fvqp.solvers.krylov import available
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.newton_by_energy import newton_by_energy
from fvqp.solvers.numbering import Numbering
from fvqp.spectral.pairing_angle import local_angle
from fvqp.transport import pairing_angle as loops
from fvqp.transport.kernels import RESERVOIR
from fvqp.transport.operator import Transport
from fvqp.typing import Bools, Complexes, Floats

#: Energies solved together.
BLOCK = 128

#: Height above the real axis, in the largest of Δ and 1, at which the local solution is a good start.
HEIGHT = 2.0

#: A step of Newton's method changes no angle by more.
MAX_STEP = 0.5

#: A solution is known when the step that leads to it is smaller: what is left is of the order of its square.
LAST_STEP = 1e-9

#: Prefix of PETSc's options of Newton's method: ``-fvqp_spectra_snes_monitor``.
OPTIONS = "fvqp_spectra_"

_MAX_STEPS = 20
_LINEAR = 1e-9

#: The diagonal of the Jacobian lies in the quadrant Re ≥ 0, Im ≤ 0 (but for a strip at a minigap): turned by
#: this factor its real part, on which the elimination divides first, is positive.
TURN = cmath.exp(0.25j * cmath.pi)


def face_conductances(transport: Transport) -> Floats:
    """Normal-state conductance between the cells of each face, or cell and reservoir, siemens; 0 at walls."""
    faces, half = transport.faces, transport.faces.half
    total = half.sum(axis=1)
    series = np.divide(half[:, 0] * half[:, 1], total, out=np.zeros(len(total)), where=total > 0.0)
    return np.where(faces.junction == RESERVOIR, half[:, 0], np.where(faces.cells[:, 1] < 0, 0.0, series))


def follow_down(
    newton: Callable[[Complexes, NDArray[Any]], tuple[NDArray[Any], Bools]],
    z: Complexes,
    x: NDArray[Any],
    good: Bools,
    top: float,
) -> NDArray[Any]:
    """Solutions at energies ``z``, followed from ``top`` above them in steps that adapt.

    Args:
        newton: of energies and solutions near by; solutions, and which of them have been found.
        x, good: solutions ``(..., energy)`` at ``z + i top``, and which of them have been found.

    Raises:
        ConvergenceError: names the first energy whose solution is lost on the way.
    """
    if not good.all():
        raise ConvergenceError(_no_solution(z[~good][0]))
    height, factor = np.full(z.size, top), np.full(z.size, 0.25)
    while np.any(height > 0.0):
        active = np.flatnonzero(height > 0.0)
        lower = height[active] * factor[active]
        lower[lower < 0.1 * z[active].imag] = 0.0
        found, good = newton(z[active] + 1j * lower, x[..., active])
        x[..., active[good]] = found[..., good]
        height[active[good]] = lower[good]
        factor[active[~good]] = np.sqrt(factor[active[~good]])
        if np.any(factor > 0.99):
            raise ConvergenceError(_no_solution(z[factor > 0.99][0]))
    return x


class UsadelEquation:
    """The equation on one device; what depends on neither gap nor energy is worked out once.

    Args:
        device, transport: geometry, materials and contacts. Tunnel junctions connect to normal leads, for
            which θ = 0; interfaces are tunnel barriers; outer boundaries are walls, but for reservoirs.
        method: of the linear systems, see `fvqp.solvers.linear`.
    """

    def __init__(self, device: Device, transport: Transport, method: str = "auto") -> None:
        self.device, self.transport = device, transport
        self._link = face_conductances(transport)[None, :, None]
        self._link[:, transport.interface_faces] = 0.0
        self._barriers = self._find_barriers()
        self._scale = 2.0 * transport.capacity
        self._linear = transport.flux.matrix(self._link)[:, 0]
        mesh = device.mesh
        flux = transport.flux
        indptr, indices = flux.pattern(2)
        unknowns = (mesh.global_id[:, None] * 2 + np.arange(2)).ravel()
        numbering = Numbering(mesh.comm, 2 * mesh.n_owned, unknowns)
        self._solver = LinearSolver(indptr, indices, numbering, method=method, tolerance=_LINEAR)
        self._values = np.empty((len(indices), 0))
        self._multigrid: ComplexSystems | None = None
        if available(self._solver.method, mesh.comm.size) not in ("direct", "mumps", "lu"):
            single = Numbering(mesh.comm, mesh.n_owned, mesh.global_id)
            self._multigrid = ComplexSystems(
                flux.indptr, flux.indices, single, self._linear, method=method, tolerance=_LINEAR
            )

    def _find_barriers(self) -> loops.Barriers:
        t = self.transport
        faces, half, series = t.faces, t.faces.half, face_conductances(t)
        rows: list[tuple[int, int, int, int, float, float]] = []
        one = np.ones((1, 1))
        interface = t.interface_coefficient(np.ones((1, len(t.interface_faces), 1)))[0, :, 0]
        for f, g in zip(t.interface_faces, interface, strict=True):
            rows.append((*faces.cells[f], f, 0, series[f], g))
        for f, g in zip(t.junction_faces, t.junction_coefficient(one)[:, 0], strict=True):
            sides = [side for side in range(2) if faces.cells[f, side] >= 0]
            for side in sides:
                rows.append((faces.cells[f, side], -1, f, side, half[f, side], g / len(sides)))
        for c, g in zip(t.leads.cells, t.lead_coefficient(one)[:, 0], strict=True):
            rows.append((c, -1, -1, 0, np.inf, g))
        numbers = np.array([row[:4] for row in rows], np.int32).reshape(-1, 4)
        values = np.array([row[4:] for row in rows]).reshape(-1, 2)
        columns = [np.ascontiguousarray(a) for a in (numbers[:, :2], numbers[:, 2], numbers[:, 3], *values.T)]
        return loops.Barriers(*columns)

    # -- one block of energies

    def solve(
        self,
        z: Complexes,
        gap: Floats,
        depairing: Floats,
        reservoirs: Floats,
        guess: Floats | None = None,
    ) -> Floats:
        """Angles ``x[n_cells, 2, energy]`` (real and imaginary parts), ghosts included. Collective.

        Args:
            z: ``(energy,)`` complex energies ``ε + iΓ`` with ``ε ≥ 0``, ``Γ > 0``, in Δ0.
            gap, depairing: ``(n_cells,)`` Δ ≥ 0 and ζ ≥ 0 in Δ0.
            reservoirs: ``(terminal, 2)`` Δ and ζ of every reservoir; rows of junctions are not used.
            guess: a neighbouring solution.

        Raises:
            ConvergenceError: names the energy at which no retarded solution was found.
        """
        x = np.empty((self.device.mesh.n_cells, 2, z.size))
        for first in range(0, z.size, BLOCK):
            block = slice(first, min(first + BLOCK, z.size))
            near = None if guess is None else np.ascontiguousarray(guess[:, :, block])
            x[:, :, block] = self._solve_block(z[block], gap, depairing, reservoirs, near)
        return x

    def _solve_block(
        self, z: Complexes, gap: Floats, depairing: Floats, reservoirs: Floats, guess: Floats | None
    ) -> Floats:
        def at(energies: Complexes) -> _Energies:
            return _Energies(self, energies, gap, depairing, self._external(energies, reservoirs))

        x = np.empty((self.device.mesh.n_cells, 2, z.size))
        left = np.arange(z.size)
        if guess is not None:
            found, good = self._newton(at(z), guess)
            x[:, :, good] = found[:, :, good]
            left = left[~good]
        if left.size:
            x[:, :, left] = self._follow(at, z[left], gap, depairing)
        return x

    def _follow(
        self, at: Callable[[Complexes], _Energies], z: Complexes, gap: Floats, depairing: Floats
    ) -> Floats:
        """Solutions followed from far above the real axis down to ``z``."""
        comm = self.device.mesh.comm
        height = HEIGHT * comm.allreduce(float(gap.max(initial=1.0)), MPI.MAX)
        x, good = self._newton(at(z + 1j * height), local_angle(z + 1j * height, gap, depairing))
        return follow_down(
            lambda energies, near: self._newton(at(energies), np.ascontiguousarray(near), steps=12),
            z, x, good, height,
        )  # fmt: skip

    def _newton(self, equation: _Energies, x: Floats, steps: int = _MAX_STEPS) -> tuple[Floats, Bools]:
        """Newton's method with bounded steps; ``(angles, which energies have converged to the retarded
        solution)``."""
        mesh = self.device.mesh

        def step(x: Floats, gains: Floats, going: Bools) -> tuple[Floats, Floats]:
            change = equation.step(gains)
            largest = self._all(np.abs(change).max(axis=(0, 1), initial=0.0), MPI.MAX)
            return np.minimum(1.0, MAX_STEP / np.maximum(largest, 1e-300)) * change, largest

        found, good = newton_by_energy(
            equation.residual,
            step,
            x,
            comm=mesh.comm,
            n_owned=mesh.n_owned,
            exchange=mesh.exchange,
            done=lambda largest, before: largest < LAST_STEP,
            max_steps=steps,
            prefix=OPTIONS,
        )
        cosine = np.cos(found[: mesh.n_owned, 0]).min(axis=0, initial=1.0)
        return found, good & (self._all(cosine, MPI.MIN) > -1e-7)

    def _external(self, z: Complexes, reservoirs: Floats) -> Floats:
        """Angles of all terminals, ``(2, terminal, energy)``; those of a reservoir are of its bulk."""
        values = local_angle(z, reservoirs[:, 0], reservoirs[:, 1])
        return np.ascontiguousarray(values.transpose(1, 0, 2))

    def _all(self, values: Floats, operation: MPI.Op) -> Floats:
        values = np.ascontiguousarray(values)
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, values, operation)
        return values


class _Energies:
    """The equation at some energies."""

    def __init__(
        self, equation: UsadelEquation, z: Complexes, gap: Floats, depairing: Floats, external: Floats
    ) -> None:
        self.equation, self.z, self.gap, self.depairing = equation, np.ascontiguousarray(z), gap, depairing
        self.external = external
        mesh = equation.device.mesh
        self._slope = np.empty((mesh.n_owned, 2, z.size))
        self._barrier_slope = np.empty((len(equation._barriers.cells), 2, z.size))

    def residual(self, x: Floats) -> Floats:
        """Gains of the owned cells; keeps the derivatives."""
        e, t = self.equation, self.equation.transport
        out = np.zeros((t.mesh.n_owned, 2, self.z.size))
        gradient = t.flux.gradients(x, self.external)
        t.flux.add(e._link, x, self.external, out, gradient)
        loops.local_terms(x, self.gap, self.depairing, self.z, e._scale, out, self._slope)
        loops.tunnel(e._barriers, t.flux.faces.offset, gradient, x, out, self._barrier_slope, self._slope)
        return out

    def step(self, residual: Floats) -> Floats:
        """Newton's step of the owned cells from where the residual was formed last."""
        e, t = self.equation, self.equation.transport
        n = self.z.size
        if e._multigrid is not None:
            return e._multigrid.solve(-self._slope, residual, self._product)
        if e._values.shape[1] != n:
            e._values = np.empty((len(e._values), n))
        loops.jacobian(
            t.flux.indptr, t.flux.diagonal, t.flux.faces.entries, e._linear, e._barriers, self._barrier_slope,
            self._slope, TURN, e._values,
        )  # fmt: skip
        e._solver.set_matrix(e._values)
        solution = e._solver.solve(
            self._turned(residual).reshape(-1, n), operator=None if t.flux.gradient is None else self._action
        )
        return solution.reshape(residual.shape)

    def _action(self, step: Floats, out: Floats) -> None:
        """The turned Jacobian times a step."""
        out[:] = self._turned(self._product(step.reshape(-1, 2, self.z.size))).reshape(out.shape)

    def _product(self, step: Floats) -> Floats:
        """Minus the derivative of the gains, times a step of the owned cells."""
        e, t = self.equation, self.equation.transport
        full = np.zeros((t.mesh.n_cells, 2, self.z.size))
        full[: t.mesh.n_owned] = step
        t.mesh.exchange(full)
        nothing = np.zeros_like(self.external)
        gain = np.zeros((t.mesh.n_owned, 2, self.z.size))
        t.flux.add(e._link, full, nothing, gain, t.flux.gradients(full, nothing))
        loops.linear_terms(e._barriers, self._barrier_slope, self._slope, full, gain)
        return -gain

    @staticmethod
    def _turned(gains: Floats) -> Floats:
        re, im = gains[:, 0], gains[:, 1]
        return np.stack([TURN.real * re - TURN.imag * im, TURN.imag * re + TURN.real * im], axis=1)


def _no_solution(z: complex) -> str:
    return f"Usadel equation: no retarded solution found at energy {z.real:g} Δ0, broadening {z.imag:g} Δ0"
