"""Complex symmetric systems of many energies by solvers of real ones, where elimination is too large.

With K real, positive definite and the same at all energies, and a complex diagonal,

    (K + a − ib) x = r,

the system times i is ``A + iB`` with ``A = b`` and ``B = K + a``. Where neither is negative, the matrix

    [[A, −B], [B, A + 2B]]

preconditions its real form with eigenvalues between ½ and 1, whatever mesh and energy (O. Axelsson, M.
Neytcheva and B. Ahmad, Numer. Algorithms 66, 811 (2014)), and its inverse is two solves with ``K + a + b``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.krylov import correct, reason_name
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering
from fvqp.typing import Floats, Integers

_INNER = 1e-3
"""Accuracy of the real solves, which only precondition."""


class ComplexSystems:
    """Solver of the systems of all energies by flexible GMRES.

    Parameters
    ----------
    indptr, indices
        CSR pattern of K over the owned rows; columns are local numbers.
    numbering
        Who owns what; all calls are collective on its communicator.
    values
        (nnz,) entries of K.
    method
        Of the real systems, see `fvqp.solvers.linear`.
    tolerance
        Residual of every energy, relative to the right-hand side.
    """

    def __init__(
        self,
        indptr: Integers,
        indices: Integers,
        numbering: Numbering,
        values: Floats,
        *,
        method: str = "auto",
        tolerance: float = 1e-9,
    ) -> None:
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        self._diagonal = np.flatnonzero(rows == np.asarray(indices))
        self._values = values
        self._comm, self._tolerance = numbering.comm, tolerance
        self._solver = LinearSolver(
            indptr, indices, numbering, symmetric=True, method=method, tolerance=_INNER,
            prefix="fvqp_spectra_inner_",
        )  # fmt: skip

    def solve(self, diagonal: Floats, rhs: Floats, product: Callable[[Floats], Floats]) -> Floats:
        """x of `rhs`, (n_owned, 2, n_energies): real and imaginary parts.

        Parameters
        ----------
        diagonal
            a − ib in the same form.
        product
            The matrix times a vector in this form; it may have more in it than K and the diagonal.

        Raises
        ------
        ConvergenceError
            GMRES does not reach the tolerance.
        """
        n, _, n_energies = rhs.shape
        a, b = np.maximum(diagonal[:, 0], 0.0), np.maximum(-diagonal[:, 1], 0.0)
        matrix = np.repeat(self._values[:, None], n_energies, axis=1)
        matrix[self._diagonal] += a + b
        self._solver.set_matrix(matrix, reuse=True)

        def turned(x: Floats) -> Floats:
            return np.stack([-x[:, 1], x[:, 0]], axis=1).reshape(2 * n, n_energies)

        def operator(x: Floats, out: Floats) -> None:
            out[:] = turned(product(x.reshape(n, 2, n_energies)))

        def precondition(right: Floats) -> Floats:
            f, g = right.reshape(n, 2, n_energies).transpose(1, 0, 2)
            both = self._solver.solve(np.ascontiguousarray(f + g))
            y = self._solver.solve(b * both - f)
            return np.stack([both - y, y], axis=1).reshape(right.shape)

        right = turned(rhs)
        squares = np.einsum("ie,ie->e", right, right)
        self._comm.Allreduce(MPI.IN_PLACE, squares)
        scale = np.sqrt(np.where(squares > 0.0, squares, 1.0))
        x, iterations, reason = correct(
            right, scale, operator, precondition, comm=self._comm, tolerance=self._tolerance,
            rtol=self._tolerance / np.sqrt(n_energies), krylov="fgmres", prefix="fvqp_spectra_",
        )  # fmt: skip
        if reason <= 0:
            raise ConvergenceError(
                f"complex systems of {n_energies} energies: {reason_name(reason)} after {iterations} "
                "iterations"
            )
        return x.reshape(rhs.shape)
