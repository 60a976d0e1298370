"""Concentration of localized quasiparticles on a mesh: ``∂c/∂t = A(x) − 𝓡(c) + ∇·(D ∇c)``.

D stands for slow, thermally activated hops; 0 leaves every cell to itself. No current through the outer
boundary. 𝓡 grows at least as fast as c, so that Newton's iterates are sums of positive terms: concentrations
never become negative.
"""

from __future__ import annotations

import logging

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, ConvergenceError
from fvqp.mesh.mesh import Mesh
from fvqp.models.linear import TransportSolver
from fvqp.models.localized.closure import AnnihilationLaw
from fvqp.models.localized.validity import doubts_of_decay, doubts_of_steepness, steepest
from fvqp.transport.operator import Transport
from fvqp.transport.operator_tables import Coefficients
from fvqp.typing import Floats

log = logging.getLogger(__name__)


_ITERATIONS = 300
_TOLERANCE = 1e-12
# A step that fails its tolerance is repeated with at most this and at least the other part of it.
_SHRINK, _GROW, _LEAST = 0.9, 4.0, 0.1


class LocalizedDensity:
    """Steady state and relaxation on one mesh (collective).

    Parameters
    ----------
    mesh : the rank's part.
    law : 𝓡(c).
    generation : A, 1/(m³ s), a number or a value for each local cell.
    diffusivity : D, m²/s, not negative. The law is that of particles that stay where they are: it holds as
        long as they move less than their distance r while they live. Where they do not, ``warnings`` say so
        after a solve, for the concentration is then overestimated. So they do where generation changes within
        the reach of partners, near surfaces, and in decays (`validity`).
    warn : whether ``warnings`` are logged as well.

    Raises `CaseError`: values that are negative, not finite, or not one a cell.
    """

    def __init__(
        self,
        mesh: Mesh,
        law: AnnihilationLaw,
        generation: ArrayLike,
        *,
        diffusivity: float = 0.0,
        warn: bool = True,
    ) -> None:
        if not (np.isfinite(diffusivity) and diffusivity >= 0.0):
            raise CaseError(f"diffusivity: must be finite and not negative, got {diffusivity}")
        self.mesh, self.law, self.diffusivity = mesh, law, float(diffusivity)
        self.warnings: list[str] = []
        self._warns, self._kinds = warn, set[str]()
        self._generation = self._field(generation, "generation")
        self._solver: TransportSolver | None = None
        if diffusivity > 0.0:
            ones = np.ones(mesh.n_cells)
            medium = np.zeros(mesh.n_cells, np.int32)
            self._solver = TransportSolver(Transport(mesh, diffusivity * ones, ones, ones, medium, ()))

    def steady(self) -> Floats:
        """``(n_cells,)`` c of the steady state, 1/m³.

        Raises `ConvergenceError`.
        """
        local = self.law.stationary(self._generation)
        if self._solver is None:
            self._check_steepness(local)
            return local
        volume = self.mesh.volume
        mean = self.mesh.total(volume * self._generation) / self.mesh.total(volume)
        if mean == 0.0:
            return np.zeros(self.mesh.n_cells)
        start = np.full(self.mesh.n_cells, float(self.law.stationary(mean)))
        found = self._newton(start, self._generation, 0.0)
        self._check_hops(found)
        self._check_steepness(found)
        return found

    def relax(
        self,
        start: ArrayLike,
        times: ArrayLike,
        *,
        generation: ArrayLike | None = None,
        tolerance: float = 1e-4,
    ) -> Floats:
        """``(n_times, n_cells)`` from c = ``start`` at t = 0, with another generation if given (0: off).

        Implicit steps, extrapolated to second order, chosen so that each errs by less than ``tolerance``
        of the concentration (of its mean where there is nothing). ``times`` in seconds, positive, increasing.
        """
        now = self._field(start, "start")
        source = self._generation if generation is None else self._field(generation, "generation")
        until = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if not np.all(np.isfinite(until)) or until[0] <= 0.0 or np.any(np.diff(until) <= 0.0):
            raise CaseError("times: must be positive, finite and increasing")
        time = 0.0
        rate = self._largest(self.law.derivative(now))
        step = min(float(until[0]), 1e-2 / rate if rate > 0.0 else float(until[0]))
        found = []
        for stop in until:
            while time < stop:
                # The last step but one is not left tiny.
                left = float(stop) - time
                trial = left if step >= left else min(step, 0.5 * left)
                whole = self._newton(now, source + now / trial, 1.0 / trial)
                half = self._newton(now, source + 2.0 * now / trial, 2.0 / trial)
                twice = self._newton(half, source + 2.0 * half / trial, 2.0 / trial)
                scale = np.maximum(twice, 1e-3 * self._largest(twice))
                error = self._largest(np.abs(twice - whole) / np.where(scale > 0.0, scale, 1.0)) / tolerance
                if error <= 1.0:
                    better = 2.0 * twice - whole
                    now = np.where(better > 0.0, better, twice)
                    time = float(stop) if trial == left else time + trial
                elif trial < 1e-14 * float(stop):
                    raise ConvergenceError(f"relaxation: the step has become too small at t = {time:.6g} s")
                # Local errors of the implicit step are of second order.
                step = trial * min(max(_SHRINK / np.sqrt(max(error, 1e-10)), _LEAST), _GROW)
            found.append(now.copy())
            own = slice(0, self.mesh.n_owned)
            self._warn("decay", doubts_of_decay(self.law, now[own], source[own], self.mesh.comm))
        self._check_steepness(now)
        self._check_hops(now)
        return np.array(found)

    def _newton(self, start: Floats, source: Floats, linear: float) -> Floats:
        """c of ``linear c + 𝓡(c) − ∇·(D∇c) = source``."""
        c = start
        for _ in range(_ITERATIONS):
            rate, slope = self.law.rate(c), self.law.derivative(c)
            rhs, reaction = source + slope * c - rate, slope + linear
            if self._solver is None:
                new = np.where(reaction > 0.0, rhs / np.where(reaction > 0.0, reaction, 1.0), c)
            else:
                new = self._solved(rhs, reaction, c)
            change = self._largest(np.abs(new - c)) / max(self._largest(new), 1e-300)
            relative = self._largest(
                np.abs(new - c) / np.maximum(new, 1e-12 * max(self._largest(new), 1e-300))
            )
            c = new
            if max(change, relative * 1e-2) < _TOLERANCE or change == 0.0:
                return c
        raise ConvergenceError(
            f"concentration: Newton's method left {change:.2g} after {_ITERATIONS} iterations"
        )

    def _solved(self, rhs: Floats, reaction: Floats, guess: Floats) -> Floats:
        assert self._solver is not None
        transport, n = self._solver.transport, self.mesh.n_cells
        coefficients = Coefficients(
            diffusion=np.ones((1, 1, 1)),
            reaction=np.ascontiguousarray(reaction[None, :, None]),
            advection=np.empty((n, 0)),
            supercurrent_conductance=np.zeros(len(self.mesh.face_cells)),
            junction=np.empty((0, 1)),
            interface=np.empty((1, 0, 1)),
            lead=np.empty((0, 1)),
        )
        owned = self.mesh.n_owned
        source = (self.mesh.volume * rhs)[None, :owned, None, None]
        found = self._solver.solve(
            transport.at(coefficients),
            np.zeros((1, 1, 0, 1)),
            source=np.ascontiguousarray(source),
            guess=np.ascontiguousarray(guess[None, :, None, None]),
            what=lambda _: "concentration of localized quasiparticles",
        )
        return np.maximum(found[0, :, 0, 0], 0.0)

    def _check_hops(self, c: Floats) -> None:
        if self._solver is None:
            return
        life = self.law.lifetime(c)
        some = c > 1e-6 * self._largest(c)
        path = np.sqrt(6.0 * self.diffusivity * np.where(np.isfinite(life) & some, life, 0.0))
        worst = self._largest(np.where(some, path / self.law.distance(np.where(some, c, 1.0)), 0.0))
        text = (
            f"diffusivity: quasiparticles move {worst:.2g} times their distance while they live; the law of "
            "annihilation is that of particles that stay, the concentration an upper bound"
        )
        if worst > 1.0:
            self._warn("hops", [text])

    def _warn(self, kind: str, texts: list[str]) -> None:
        """Keep and log a warning, once of each kind."""
        if texts and kind not in self._kinds:
            self._kinds.add(kind)
            self.warnings += texts
            for text in texts if self._warns else []:
                log.warning("%s", text)

    def _check_steepness(self, c: Floats) -> None:
        self._warn("steep", doubts_of_steepness(steepest(self.mesh, self.law, c)))

    def _largest(self, values: Floats) -> float:
        mine = float(np.max(values[: self.mesh.n_owned], initial=0.0))
        return float(self.mesh.comm.allreduce(mine, op=MPI.MAX))

    def _field(self, value: ArrayLike, what: str) -> Floats:
        given = np.asarray(value, dtype=np.float64)
        if given.ndim and given.shape != (self.mesh.n_cells,):
            raise CaseError(f"{what}: shape {given.shape}, but there are {self.mesh.n_cells} local cells")
        if not np.all(np.isfinite(given)) or np.any(given < 0.0):
            raise CaseError(f"{what}: must be finite and not negative")
        return np.broadcast_to(given, (self.mesh.n_cells,)).copy()
