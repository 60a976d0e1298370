"""Implicit streaming with elastic scattering: one linear system for all directions and energies.

GMRES of every energy, preconditioned by a sweep along every direction and, where particles scatter, by the
diffusion that streaming tends to; iterations do not grow as cells become opaque (theory: streaming, section
on solving).
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import CaseError, ConvergenceError
from fvqp.solvers.each_energy import solve_each
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.streaming import Streaming

Floats = NDArray[np.float64]

#: Times that GMRES starts anew before giving up.
CYCLES = 50
#: Collisions a crossing of a cell below which the preconditioner treats it as one with that many.
TRANSPARENT = 1e-3
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
        lost: what walls take in the latest solution, ``(walls, energy)`` per time, see `Streaming.rates`.
    """

    def __init__(self, streaming: Streaming, tolerance: float = 1e-10) -> None:
        if streaming.scheme == "limited":
            raise CaseError(
                "implicit streaming: the scheme 'limited' is not linear; use 'upwind' or 'linear'"
            )
        self.streaming = streaming
        self.tolerance = tolerance
        self.iterations = 0
        self.lost = np.zeros((len(streaming.walls), streaming.n_energies))
        layout = streaming.layout
        self._limit = DiffusiveLimit(streaming, np.ones((1, streaming.n_energies)))
        self._diffusion = LinearSolver(
            self._limit.indptr,
            self._limit.indices,
            Numbering(layout.comm, layout.n_owned, self._limit.global_id),
            symmetric=True,
            tolerance=1e-8,
            prefix="fvqp_streaming_diffusion_",
        )

    def solve(
        self,
        source: Floats,
        removal: Floats,
        scattering: Floats,
        guess: Floats | None = None,
        *,
        reduction: float | None = None,
    ) -> Floats:
        """f, ``(n_cells, M, energy)``, ghosts included.

        Args:
            source: ``(n_owned, M, energy)``, rates.
            removal: ``(n_cells or 1, energy)`` rate, not negative.
            scattering: ``(n_cells or 1, energy)`` rate of isotropic elastic scattering, not negative.
            guess: ``(n_owned, M, energy)``.
            reduction: residual to reach relative to that of the guess or to the right-hand side, whichever is
                smaller, in place of the tolerance.

        Raises:
            ConvergenceError: the residual stays above the tolerance.
        """
        streaming = self.streaming
        layout = streaming.layout
        n = layout.n_owned
        removal = self._rates("removal", removal)
        scattering = self._rates("scattering", scattering)
        total = removal + scattering
        still = (streaming.g == 0.0) & (total == 0.0)
        if layout.comm.allreduce(bool(np.any(still)), MPI.LOR):
            raise CaseError(
                "implicit streaming: particles that neither move nor are removed have no steady state; "
                "give the energies without speed a rate of removal"
            )
        shape = (n, streaming.directions.count, streaming.n_energies)
        f = np.zeros((layout.n_cells, *shape[1:]))
        own_total = total[:n, None, :]
        opacity = streaming.opacity(scattering)
        inflow = streaming.rates(f, opacity)[0] if streaming.has_baths else None

        def action(x: Floats) -> Floats:
            """Left-hand side without what baths send in."""
            f[:n] = x.reshape(shape)
            layout.exchange(f)
            left, self.lost = streaming.removed(f, total, scattering, opacity)
            if inflow is not None:
                left += inflow
            return left.reshape(x.shape)

        accelerated = layout.comm.allreduce(bool(np.any(scattering > 0.0)), MPI.LOR)
        if accelerated:
            # Diffusion has no meaning in transparent cells; it only must not be without bounds there.
            bounded = total.copy()
            np.maximum(bounded[:n], TRANSPARENT * streaming.crossing_rate(), out=bounded[:n])
            layout.exchange(bounded)
            self._limit.set_rate(bounded)
            self._diffusion.set_matrix(self._limit.matrix(removal[:n]), reuse=True)
        capacity = streaming.capacity * scattering[:n]

        def precondition(r: Floats) -> Floats:
            z = streaming.sweep(np.ascontiguousarray(r.reshape(shape)), total[:n])
            if accelerated:
                z += self._diffusion.solve(capacity * streaming.directions.mean(z))[:, None, :]
            return z.reshape(r.shape)

        rhs = source if inflow is None else source + inflow
        x = np.zeros(shape) if guess is None else guess.copy()
        residual = rhs - action(x)
        tolerance = self.tolerance if reduction is None else reduction
        size = self._norm(rhs)
        if reduction is not None:
            size = np.minimum(size, self._norm(residual))
        size[size == 0.0] = 1.0
        self.iterations = 0
        for _ in range(CYCLES):
            left = self._norm(residual)
            limit = np.maximum(tolerance * size, ROUNDING * self._norm(own_total * x))
            if np.all(left <= limit):
                break
            flat = residual.reshape(-1, shape[2])
            d, iterations = solve_each(flat, left, 0.5 * limit, action, precondition, layout.comm)
            self.iterations += iterations
            x += d.reshape(shape)
            residual = rhs - action(x)
        else:
            worst = int(np.argmax(left / limit))
            raise ConvergenceError(
                f"implicit streaming: energy {worst}: {self.iterations} iterations leave a residual of "
                f"{left[worst] / size[worst]:.3g} of the right-hand side"
            )
        f[:n] = x
        layout.exchange(f)
        return f

    def _norm(self, a: Floats) -> Floats:
        squares = np.einsum("cme,cme->e", a, a)
        self.streaming.layout.comm.Allreduce(MPI.IN_PLACE, squares)
        return np.sqrt(squares)

    def _rates(self, what: str, rate: Floats) -> Floats:
        rows = np.atleast_2d(np.asarray(rate, dtype=np.float64))
        shape = (self.streaming.layout.n_cells, self.streaming.n_energies)
        if rows.ndim != 2 or rows.shape[0] not in (1, shape[0]) or rows.shape[1] not in (1, shape[1]):
            raise CaseError(f"implicit streaming: rates of {what} have shape {rows.shape}, needed is {shape}")
        bad = not np.all(np.isfinite(rows)) or bool(np.any(rows < 0.0))
        if self.streaming.layout.comm.allreduce(bad, MPI.LOR):
            raise CaseError(f"implicit streaming: rates of {what} must be finite and not negative")
        return np.ascontiguousarray(np.broadcast_to(rows, shape))
