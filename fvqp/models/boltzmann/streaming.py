"""Implicit streaming with elastic scattering: one linear system for all directions and energies.

GMRES of every energy, preconditioned by sweeps along every direction and, where particles scatter or return
from walls, by the diffusion that streaming tends to; iterations grow neither as cells become opaque nor with
the time that particles stay in a closed body (theory: streaming, section on solving).
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError, ConvergenceError
from fvqp.solvers.batched_gmres import batched_gmres
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.streaming import Streaming
from fvqp.typing import Floats

#: Times that GMRES starts anew before giving up.
CYCLES = 50
#: Collisions a crossing of a cell below which the preconditioner treats it as one with that many.
TRANSPARENT = 3e-2
#: Relative error of gains and losses in floating point, a sum over directions included.
ROUNDING = 16.0 * np.finfo(np.float64).eps


class StreamingSolver:
    """Solves ``(removal + scattering) f − scattering f̄ − streaming(f) = source``, f̄ the mean over directions.

    With ``removal = 1/Δt + loss rate`` and ``source = f/Δt + …`` this is a step of backward Euler; steady
    states have no ``1/Δt``. Collective.

    Args:
        streaming: the operator; its scheme is ``upwind`` or ``linear``.
        tolerance: residual of every energy to reach, relative to the right-hand side; where particles scatter
            so often that rounding of the scattered ones is larger, as small as rounding allows.

    Attributes:
        iterations: of the latest solve.
        passed: what passes walls and interfaces in the latest solution, see `Streaming.rates`.
        limit, diffusion: what streaming tends to where particles scatter, and its solver.
    """

    def __init__(self, streaming: Streaming, tolerance: float = 1e-10) -> None:
        if streaming.scheme == "limited":
            raise CaseError(
                "implicit streaming: the scheme 'limited' is not linear; use 'upwind' or 'linear'"
            )
        self.streaming = streaming
        self.tolerance = tolerance
        self.iterations = 0
        self.passed = np.zeros((len(streaming.walls) + len(streaming.interfaces), streaming.n_energies))
        layout = streaming.layout
        self.limit = DiffusiveLimit(streaming, np.ones((1, streaming.n_energies)))
        self.diffusion = LinearSolver(
            self.limit.flux.indptr,
            self.limit.flux.indices,
            Numbering(layout.comm, layout.n_owned, layout.column_id),
            symmetric=True,
            tolerance=1e-8,
            prefix="fvqp_streaming_diffusion_",
        )

    def follow(self, streaming: Streaming) -> None:
        """Another operator with the same cells, walls and energies: what depends on the pattern of the cells
        alone is kept. Systems made before are of no use any more."""
        self.streaming = self.limit.streaming = streaming

    def solve(
        self,
        source: Floats,
        removal: Floats,
        scattering: Floats,
        guess: Floats | None = None,
        *,
        reduction: float | None = None,
    ) -> Floats:
        """f, ``(n_cells, M, energy)``, ghosts included; see `StreamingSystem.solve`.

        Args:
            removal: ``(n_cells or 1, energy)`` rate, not negative.
            scattering: ``(n_cells or 1, energy)`` rate of isotropic elastic scattering, not negative.
        """
        return self.system(removal, scattering).solve(source, guess, reduction=reduction)

    def system(
        self, removal: Floats, scattering: Floats, *, strong_preconditioner: bool = True
    ) -> StreamingSystem:
        """The system at these rates, for several right-hand sides; there is one at a time.

        Args:
            removal, scattering: rates of cells and energies, or rows that are the same for all.
            strong_preconditioner: how it is preconditioned, see `StreamingSystem.approximate`.

        Raises:
            CaseError: rates that are negative, or of particles that neither move nor are removed.
        """
        return StreamingSystem(
            self,
            self._rates("removal", removal),
            self._rates("scattering", scattering),
            strong_preconditioner,
        )

    def _rates(self, what: str, rate: Floats) -> Floats:
        rows = np.atleast_2d(np.asarray(rate, dtype=np.float64))
        shape = (self.streaming.layout.n_cells, self.streaming.n_energies)
        if rows.ndim != 2 or rows.shape[0] not in (1, shape[0]) or rows.shape[1] not in (1, shape[1]):
            raise CaseError(f"implicit streaming: rates of {what} have shape {rows.shape}, needed is {shape}")
        bad = not np.all(np.isfinite(rows)) or bool(np.any(rows < 0.0))
        if self.streaming.layout.comm.allreduce(bad, MPI.LOR):
            raise CaseError(f"implicit streaming: rates of {what} must be finite and not negative")
        return np.ascontiguousarray(np.broadcast_to(rows, shape))


class StreamingSystem:
    """The system of a `StreamingSolver` at given rates.

    Attributes:
        streaming: the operator.
        accelerated: whether diffusion is part of what preconditions.
        entered: what passes where there are no particles but those of baths, see `Streaming.rates`.
    """

    def __init__(
        self, solver: StreamingSolver, removal: Floats, scattering: Floats, strong_preconditioner: bool
    ) -> None:
        self._solver, self._scattering, self._strong_preconditioner = (
            solver,
            scattering,
            strong_preconditioner,
        )
        streaming, layout = solver.streaming, solver.streaming.layout
        self.streaming = streaming
        n = layout.n_owned
        self._total = total = removal + scattering
        still = (streaming.g == 0.0) & (total == 0.0)
        if layout.comm.allreduce(bool(np.any(still)), MPI.LOR):
            raise CaseError(
                "implicit streaming: particles that neither move nor are removed have no steady state; "
                "give the energies without speed a rate of removal"
            )
        self._shape = (n, streaming.directions.count, streaming.n_energies)
        scatters = layout.comm.allreduce(bool(np.any(scattering > 0.0)), MPI.LOR)
        self._opacity = streaming.opacity(scattering) if scatters else None
        self._inflow: Floats | None = None
        self.entered: Floats | float = 0.0
        if streaming.has_baths:
            nothing = np.zeros((layout.n_cells, *self._shape[1:]))
            self._inflow, self.entered = streaming.rates(nothing, self._opacity)
        self._swept = streaming.scheme == "upwind" and not scatters and not streaming.refracts
        self.accelerated = scatters or (strong_preconditioner and streaming.returns)
        if self.accelerated:
            # Diffusion has no meaning in transparent cells; it only must not be without bounds there.
            bounded = total.copy()
            np.maximum(bounded[:n], TRANSPARENT * streaming.crossing_rate(), out=bounded[:n])
            layout.exchange(bounded)
            solver.limit.set_rate(bounded)
            solver.diffusion.set_matrix(solver.limit.matrix(removal[:n]), reuse=True)

    def approximate(self, source: Floats) -> Floats:
        """f of the owned cells by sweeps and diffusion, linear in the source: a preconditioner.

        One sweep, and diffusion of what it scatters, are positive, and enough where particles stay for a
        short time. A strong one leaves the means that the sweep does not account for, those of scattered
        and of returning particles, to diffusion, and sweeps what both leave in every direction once more.
        """
        streaming, total = self.streaming, self._total[: self._shape[0]]
        z = streaming.sweep(np.ascontiguousarray(source), total)
        if self.accelerated and not self._strong_preconditioner:
            scattered = self._scattering[: self._shape[0]] * streaming.directions.mean(z)
            z += self._solver.diffusion.solve(streaming.capacity * scattered)[:, None, :]
        elif self.accelerated:
            z += self.diffused(source - self.applied(z)[0])[:, None, :]
            z += streaming.sweep(source - self.applied(z)[0], total)
        return z

    def solve(self, source: Floats, guess: Floats | None = None, *, reduction: float | None = None) -> Floats:
        """f, ``(n_cells, M, energy)``, ghosts included.

        Args:
            source: ``(n_owned, M, energy)``, rates.
            guess: ``(n_owned, M, energy)``.
            reduction: residual to reach relative to that of the guess or to the right-hand side, whichever is
                smaller, in place of the solver's tolerance.

        Raises:
            ConvergenceError: the residual stays above the tolerance.
        """
        solver, n = self._solver, self._shape[0]
        layout = self.streaming.layout
        rhs = source if self._inflow is None else source + self._inflow
        size = self._norm(rhs)
        tolerance = solver.tolerance if reduction is None else reduction
        if reduction is not None and guess is not None:
            size = np.minimum(size, self._norm(rhs - self.applied(guess)[0]))
        size[size == 0.0] = 1.0
        unknowns = (_Returning if self._swept else _Occupations)(self, rhs, guess)
        solver.iterations = 0
        for _ in range(CYCLES):
            x, residual, solver.passed = unknowns.solution()
            left = self._norm(residual)
            limit = np.maximum(tolerance * size, ROUNDING * self._norm(self._total[:n, None, :] * x[:n]))
            if np.all(left <= limit):
                return x
            actions = unknowns.action, unknowns.precondition
            d, iterations = batched_gmres(residual, left, 0.5 * limit, *actions, layout.comm)
            solver.iterations += iterations
            unknowns.values += d
        worst = int(np.argmax(left / limit))
        raise ConvergenceError(
            f"implicit streaming: energy {worst}: {solver.iterations} iterations leave a residual of "
            f"{left[worst] / size[worst]:.3g} of the right-hand side"
        )

    # -- parts

    def applied(self, x: Floats) -> tuple[Floats, Floats]:
        """Left-hand side without what baths send in, ``(n_owned, M, energy)``, and what passes."""
        left, passed = self.streaming.removed(self.extended(x), self._total, self._scattering, self._opacity)
        if self._inflow is not None:
            left += self._inflow
        return left, passed

    def extended(self, x: Floats) -> Floats:
        """Owned rows with up-to-date ghosts."""
        layout = self.streaming.layout
        f = np.empty((layout.n_cells, *self._shape[1:]))
        f[: layout.n_owned] = x
        layout.exchange(f)
        return f

    def swept(self, q: Floats) -> Floats:
        """Solution for a source ``(n_owned, M, energy)`` by one sweep, with ghosts."""
        return self.extended(self.streaming.sweep(q, self._total[: self._shape[0]]))

    def diffused(self, source: Floats) -> Floats:
        """Mean occupations ``(n_owned, energy)`` to which a source ``(n_owned, M, energy)`` diffuses."""
        streaming = self.streaming
        return self._solver.diffusion.solve(streaming.capacity * streaming.directions.mean(source))

    def _norm(self, a: Floats) -> Floats:
        """Norms ``(energy,)`` over all axes but the last one, on all ranks."""
        rows = a.reshape(-1, a.shape[-1])
        squares = np.einsum("ne,ne->e", rows, rows)
        self.streaming.layout.comm.Allreduce(MPI.IN_PLACE, squares)
        return np.sqrt(squares)


class _Occupations:
    """Unknowns of GMRES where sweeps do not invert all motion within cells and faces: all occupations.

    Attributes:
        values: ``(n_owned M, energy)``.
    """

    def __init__(self, system: StreamingSystem, rhs: Floats, guess: Floats | None) -> None:
        self._system, self._rhs = system, rhs
        self.values = np.zeros((rhs.shape[0] * rhs.shape[1], rhs.shape[2]))
        if guess is not None:
            self.values[:] = guess.reshape(self.values.shape)

    def solution(self) -> tuple[Floats, Floats, Floats]:
        """Occupations with ghosts, the residual, and what passes walls and interfaces."""
        x = self.values.reshape(self._rhs.shape)
        left, passed = self._system.applied(x)
        return self._system.extended(x), (self._rhs - left).reshape(self.values.shape), passed

    def action(self, x: Floats) -> Floats:
        return self._system.applied(x.reshape(self._rhs.shape))[0].reshape(x.shape)

    def precondition(self, r: Floats) -> Floats:
        return self._system.approximate(r.reshape(self._rhs.shape)).reshape(r.shape)


class _Returning:
    """Unknowns of GMRES where sweeps invert all but what returns: a sweep makes occupations of these.

    The residual is that of all equations: sweeps leave no other.

    Attributes:
        values: ``(rows, energy)`` of `Streaming.returned`.
    """

    def __init__(self, system: StreamingSystem, rhs: Floats, guess: Floats | None) -> None:
        self._system, self._streaming, self._rhs = system, system.streaming, rhs
        self._alone = np.zeros_like(rhs)
        rows = len(self._streaming.returning)
        self.values = np.zeros((rows, rhs.shape[2])) if guess is None else self._returned(guess)

    def solution(self) -> tuple[Floats, Floats, Floats]:
        """See `_Occupations.solution`."""
        x = self._system.swept(self._rhs + self._spread(self.values))
        returned, passed = self._streaming.returned(x)
        return x, returned - self.values, passed + self._system.entered

    def action(self, s: Floats) -> Floats:
        return np.asarray(s - self._streaming.returned(self._system.swept(self._spread(s)))[0])

    def precondition(self, s: Floats) -> Floats:
        """Particles that return, and those that return from where they diffuse to."""
        if not self._system.accelerated:
            return s.copy()
        mean = self._system.diffused(self._spread(s))
        return np.asarray(s + self._returned(np.broadcast_to(mean[:, None, :], self._rhs.shape)))

    def _returned(self, x: Floats) -> Floats:
        return self._streaming.returned(self._system.extended(x))[0]

    def _spread(self, s: Floats) -> Floats:
        """Source of all cells and directions, which the next call overwrites."""
        self._alone.reshape(-1, s.shape[1])[self._streaming.returning] = s
        return self._alone
