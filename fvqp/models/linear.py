"""Linear solves of the transport operator for many energies and lead distributions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering
from fvqp.transport.operator import Operator, Transport
from fvqp.typing import Floats, Ints

#: Tolerance of solves that only precondition: elimination is far better, iterations stop here.
ROUGH = 1e-6


class TransportSolver:
    """Solves the linear systems of a transport operator; their pattern is analysed once.

    On an orthogonal mesh the assembled two-point matrix is the operator; otherwise it preconditions the full
    one.

    Args:
        transport: the operator.
        method: see `fvqp.solvers.linear`.
        tolerance: residual of every energy, relative to gains and losses; the default leaves balances
            closed to 1e-10 of an injected current that is a thousandth of the diffusive currents inside.
    """

    def __init__(self, transport: Transport, method: str = "auto", tolerance: float = 1e-13) -> None:
        self.transport = transport
        self._method = method
        self._tolerance = tolerance
        self._solvers: dict[tuple[int, float, bool, bool], LinearSolver] = {}

    def solve(
        self,
        operator: Operator,
        externals: Floats,
        *,
        source: Floats | None = None,
        guess: Floats | None = None,
        what: Callable[[int], str],
    ) -> Floats:
        """Solutions ``(case, n_cells, component, energy)``, ghosts included.

        Args:
            operator: at the energies of ``externals``.
            externals: ``(case, component, terminal, energy)`` distributions of leads and reservoirs.
            source: ``(case, n_owned, component, energy)`` added to the right-hand sides.
            guess: ``(case, n_cells, component, energy)`` to start from where the solver iterates.
            what: names energy number ``e`` in messages.

        Raises:
            ConvergenceError: names the energy, its residual and the reason.
        """
        transport = self.transport
        mesh = transport.mesh
        n_cases, n_comp, _, n_energies = externals.shape
        solver = self._solver(n_comp)
        nothing = np.zeros((mesh.n_cells, n_comp, n_energies))
        rhs = np.empty((n_cases, mesh.n_owned, n_comp, n_energies))
        for driven, external in zip(rhs, externals, strict=True):
            operator.residual(nothing, external, driven)
        del nothing
        if source is not None:
            rhs += source
        solver.set_matrix(operator.assemble())
        try:
            found = solver.solve(
                rhs.reshape(n_cases, -1, n_energies),
                operator=None if transport.flux.gradient is None else self._action(operator),
                guess=None if guess is None else guess[:, : mesh.n_owned].reshape(n_cases, -1, n_energies),
                ghosts=True,
            )
        except ConvergenceError as error:
            raise ConvergenceError(f"{_energy_named(str(error), what)}") from None
        finally:
            # Nobody needs the matrix any more, and the next one finds its memory.
            solver.set_matrix(np.empty((len(self.transport.flux.indices) * n_comp**2, 0)))
        found = found.reshape(n_cases, mesh.n_cells, n_comp, n_energies)
        if transport.flux.gradient is not None or solver.method != "direct":
            # What iterations leave is the same in many cells, and adds up.
            self._balance(operator, externals, source, found)
        return found

    def _balance(self, operator: Operator, externals: Floats, source: Floats | None, found: Floats) -> None:
        """Adds to every component at every energy the constant that makes its residual 0 in all.

        ``source`` and ``found`` as in `solve`.
        """
        mesh, (n_comp, _, n_energies) = self.transport.mesh, externals.shape[1:]
        left = np.empty((mesh.n_owned, n_comp, n_energies))
        taken = np.empty((n_comp, n_energies))
        for c in range(n_comp):
            one = np.zeros_like(found[0])
            one[:, c] = 1.0
            operator.residual(one, np.zeros_like(externals[0]), left)
            taken[c] = -left[:, c].sum(axis=0)
        missing = np.empty((len(found), n_comp, n_energies))
        for k, (x, external) in enumerate(zip(found, externals, strict=True)):
            operator.residual(x, external, left)
            missing[k] = left.sum(axis=0) + (0.0 if source is None else source[k].sum(axis=0))
        mesh.comm.Allreduce(MPI.IN_PLACE, taken)
        mesh.comm.Allreduce(MPI.IN_PLACE, missing)
        shift = np.divide(missing, taken, out=np.zeros_like(missing), where=taken > 0.0)
        found += shift[:, None]

    def lumped(
        self, operator: Operator, tests: Floats, trials: Floats, extra: Floats
    ) -> Callable[[Floats], Floats]:
        """Inverse of the two-point matrix between a few shapes in energy, one unknown a shape and cell.

        Args:
            operator: of as many components as there are shapes, or more.
            tests: ``(shape, energy)``, each for the component of its number.
            trials: ``(shape, n_cells, component, energy)``, ghosts included.
            extra: added for every cell, ``(n_owned, shape, shape)``.

        Returns:
            A linear map of ``(n_owned, shape)``; collective, and valid until the next call.
        """
        flux, modes = self.transport.flux, len(tests)
        values = operator.assemble()
        # One component needs no copy in another order.
        values = values[:, None, None] if operator.n_comp == 1 else values[flux.blocks(operator.n_comp)]
        matrix = np.empty((len(flux.indices) * modes**2, 1))
        blocks = flux.blocks(modes)
        diagonal = self._diagonal(1)
        for m in range(modes):
            weighted = values[:, m] * tests[m]
            for k in range(modes):
                # Column k of row m: what shape k of the neighbour does to moment m here.
                entries = np.einsum("nje,nje->n", weighted, trials[k][flux.indices])
                entries[diagonal] += extra[:, m, k]
                matrix[blocks[:, m, k], 0] = entries
        solver = self._solver(modes, ROUGH, symmetric=False, lumped=True)
        solver.set_matrix(matrix, reuse=True)

        def invert(right: Floats) -> Floats:
            return solver.solve(right.reshape(-1, 1)).reshape(right.shape)

        return invert

    def preconditioner(self, operator: Operator, extra: Floats) -> Callable[[Floats], Floats]:
        """Approximate inverse of the two-point matrix with ``extra`` on its diagonal.

        Args:
            operator: at all energies of ``extra``.
            extra: ``(n_owned, component, energy)``, not negative.

        Returns:
            A linear map of ``(n_owned, component, energy)``; collective, and valid until the next call.
        """
        n_comp, n_energies = operator.n_comp, operator.n_energies
        values = operator.assemble()
        values[self._diagonal(n_comp)] += extra.reshape(-1, n_energies)
        solver = self._solver(n_comp, ROUGH)
        solver.set_matrix(values, reuse=True)

        def invert(right: Floats) -> Floats:
            return solver.solve(right.reshape(-1, n_energies)).reshape(right.shape)

        return invert

    def scale(self, operator: Operator) -> Floats:
        """Largest diagonal coefficient of an unknown at any energy, ``(n_owned, component, 1)``, siemens."""
        diagonal = operator.assemble()[self._diagonal(operator.n_comp)]
        return diagonal.max(axis=1).reshape(-1, operator.n_comp, 1)

    def _diagonal(self, n_comp: int) -> Ints:
        indptr, indices = self.transport.flux.pattern(n_comp)
        return np.flatnonzero(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) == indices)

    @property
    def description(self) -> str:
        """Method that solves the systems, for people."""
        method = self._solver(1).method
        how = {
            "direct": "batched elimination of all energies",
            "multigrid": "batched multigrid of all energies",
        }.get(method, f"PETSc ({method}), energy by energy")
        if self.transport.flux.gradient is not None:
            return f"GMRES on all energies, preconditioned by {how}"
        return f"conjugate gradients, preconditioned by {how}" if method == "multigrid" else how

    def _action(self, operator: Operator) -> Callable[[Floats, Floats], None]:
        """``out = A x`` of the full operator: minus its residual where nothing drives it."""
        mesh = self.transport.mesh
        zero = np.zeros((operator.n_comp, len(self.transport.terminals), operator.n_energies))
        full = np.empty((mesh.n_cells, operator.n_comp, operator.n_energies))
        shape = (mesh.n_owned, operator.n_comp, operator.n_energies)

        def apply(x: Floats, out: Floats) -> None:
            full[: mesh.n_owned] = x.reshape(shape)
            mesh.exchange(full)
            operator.residual(full, zero, out.reshape(shape))
            np.negative(out, out=out)

        return apply

    def _solver(
        self,
        n_comp: int,
        tolerance: float | None = None,
        *,
        symmetric: bool | None = None,
        lumped: bool = False,
    ) -> LinearSolver:
        chosen = n_comp == 1 if symmetric is None else symmetric
        key = n_comp, tolerance or self._tolerance, chosen, lumped
        if key not in self._solvers:
            mesh = self.transport.mesh
            indptr, indices = self.transport.flux.pattern(n_comp)
            unknowns = (mesh.global_id[:, None] * n_comp + np.arange(n_comp)).ravel()
            self._solvers[key] = LinearSolver(
                indptr,
                indices,
                Numbering(mesh.comm, mesh.n_owned * n_comp, unknowns),
                symmetric=key[2],
                method=self._method,
                tolerance=key[1],
            )
        return self._solvers[key]


def _energy_named(message: str, what: Callable[[int], str]) -> str:
    """The solver's message with its energy index replaced by the energy itself."""
    head, found, tail = message.partition("energy index ")
    if not found:
        return message
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return f"{head}{what(int(digits))}{tail[len(digits) :]}"
