"""Linear systems of all energies on one mesh: A_e x_e = b_e, whatever the mesh, the ranks and the PETSc.

The assembled matrices share one pattern. They either are the systems, or, if an `operator` with a wider
stencil is given, its preconditioner. Ways to solve with them, `method`:

`direct`
    batched elimination of all energies in one pass (`BatchedLU`, `Substructuring`): lines, films, and wires
    that are long in one direction only.
`multigrid`
    a Krylov method on all energies, preconditioned by a cycle of batched multigrid (`Multigrid`): solids.
`mumps`, `hypre`, `gamg`, or another preconditioner of PETSc
    energy by energy.
`auto`
    `direct` where its arithmetic and memory are moderate, otherwise `multigrid`; of matrices that are not
    symmetric, up to 50 000 rows, `mumps`.
"""

from __future__ import annotations

import logging
import weakref

import numpy as np
from mpi4py import MPI
from numba import get_num_threads

from fvqp.errors import ConvergenceError
from fvqp.kernel_cache import njit
from fvqp.petsc import PETSc
from fvqp.simd import LANES
from fvqp.solvers.batched_lu import TooMuchFill
from fvqp.solvers.krylov import BlockKSP, EnergySweep, Operator, correct, reason_name
from fvqp.solvers.multigrid import Multigrid, multiply
from fvqp.solvers.numbering import Numbering
from fvqp.solvers.substructuring import Substructuring
from fvqp.typing import Floats, Integers, Ints

log = logging.getLogger(__name__)

MEMORY = 2**32
"""Bytes that a rank may spend on factors, unless the caller says otherwise."""

MAX_INTERFACE = 1500
"""Interface unknowns of all ranks above which `auto` leaves the direct path."""

FLOPS_PER_ROW = 15_000
"""Multiply-adds per row and energy above which multigrid (about 3 us a row) beats elimination (5 a
nanosecond)."""

LU_ROWS = 50_000
"""Rows up to which `auto` falls back to LU by a package where matrices are not symmetric."""

INNER_RTOL = 1e-3
"""Accuracy of an iterative solution that only preconditions."""

FIRST_RTOL = 1e-5
"""Part of the residual that a first solution leaves."""


@njit(cache=True, nogil=True)
def _gains_and_losses(
    indptr: Ints, indices: Ints, values: Floats, x: Floats, b: Floats,
    residual: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """residual = b - A x, and per energy the sums over rows of residual^2 and (|A| |x| + |b|)^2."""
    n_energies = b.shape[1]
    size2 = np.zeros(n_energies)
    residual2 = np.zeros(n_energies)
    size = np.empty(n_energies)
    for i in range(b.shape[0]):
        for e in range(n_energies):
            residual[i, e] = b[i, e]
            size[e] = abs(b[i, e])
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            for e in range(n_energies):
                product = values[p, e] * x[j, e]
                residual[i, e] -= product
                size[e] += abs(product)
        for e in range(n_energies):
            residual2[e] += residual[i, e] ** 2
            size2[e] += size[e] ** 2
    return residual2, size2


class LinearSolver:
    """Solver of the systems of all energies; analysed once, used for many matrices and right-hand sides.

    Parameters
    ----------
    indptr, indices
        CSR pattern of the rows of the owned unknowns, structurally symmetric; columns are local numbers,
        ghosts after the owned ones.
    numbering
        Who owns what; all calls are collective on its communicator.
    symmetric
        The matrices are symmetric positive definite.
    method
        See the module.
    tolerance
        |r| <= tolerance (| |A| |x| + |b| |) is asked of every energy, in the Euclidean norm over the mesh.
    memory
        Bytes that a rank may spend on factors.
    prefix
        PETSc options prefix: `-fvqp_ksp_rtol`, `-fvqp_ksp_monitor`, ... With an operator, options of the
        solver inside the preconditioner have `inner_` after it.

    Attributes
    ----------
    method
        The method in use.
    iterations
        Of the last solve: of all energies together with an operator, the most of any energy without, 0 if
        direct.
    residual
        (n_energies,) |r| / | |A| |x| + |b| | of the last solve, the largest of several right-hand sides.
    """

    def __init__(
        self,
        indptr: Integers,
        indices: Integers,
        numbering: Numbering,
        *,
        symmetric: bool = False,
        method: str = "auto",
        tolerance: float = 1e-10,
        memory: int = MEMORY,
        prefix: str = "fvqp_",
    ) -> None:
        PETSc.garbage_cleanup(numbering.comm)  # of solvers before
        self.numbering = numbering
        self.symmetric = symmetric
        self.tolerance = tolerance
        self.iterations = 0
        self.residual = np.empty(0)
        self._comm = numbering.comm
        self._indptr = np.asarray(indptr, np.int64)
        self._indices = np.asarray(indices, np.int64)
        self._memory = memory
        self._prefix = prefix
        self._values = np.empty((self._indices.size, 0))
        self._kept = False
        self._sweeps: dict[str, EnergySweep] = {}
        self._blocks: dict[str, BlockKSP] = {}
        self._direct: Substructuring | None = None
        self._multigrid: Multigrid | None = None
        self.method = self._choose() if method == "auto" else method
        if self.method == "direct" and self._direct is None:
            self._direct = Substructuring(self._indptr, self._indices, numbering, symmetric=symmetric)

    def _choose(self) -> str:
        n_global = int(self.numbering.offsets[-1])
        try:
            self._direct = Substructuring(
                self._indptr, self._indices, self.numbering, symmetric=self.symmetric,
                max_fill=self._memory // (8 * LANES * get_num_threads()), max_interface=MAX_INTERFACE,
            )  # fmt: skip
            why = f"{self._direct.flops:.2g} multiply-adds an energy"
            flops = self._comm.allreduce(self._direct.flops, MPI.MAX)
            if flops <= FLOPS_PER_ROW * n_global / self._comm.size:
                log.debug("linear systems of %d rows: batched elimination, %s", n_global, why)
                return "direct"
            self._direct = None
        except TooMuchFill as error:
            why = str(error)
        method = "multigrid" if self.symmetric or n_global > LU_ROWS else "mumps"
        log.debug("linear systems of %d rows: %s (elimination: %s)", n_global, method, why)
        return method

    def set_matrix(self, values: Floats, *, reuse: bool = False) -> None:
        """The matrices, (nnz, n_energies), from now on; not copied.

        `reuse`: for several solves, so that factors are kept if they fit into memory.
        """
        if values.shape[:-1] != (self._indices.size,):
            raise ValueError(f"values must be ({self._indices.size}, n_energies), not {values.shape}")
        self._values = np.ascontiguousarray(values, dtype=np.float64)
        self._kept, self._multigrid = False, None
        if reuse:
            self._keep()

    def _keep(self) -> None:
        """Keep the factors of all energies if they fit on every rank; otherwise they are made anew for every
        solve."""
        if self._direct is None or self._kept:
            return
        fits = self._direct.factor_bytes(self._values.shape[1]) <= self._memory
        if self._comm.allreduce(fits, MPI.LAND):
            self._direct.factor(self._values)
            self._kept = True

    def solve(
        self,
        rhs: Floats,
        *,
        operator: Operator | None = None,
        guess: Floats | None = None,
        ghosts: bool = False,
    ) -> Floats:
        """x of `rhs`, (n_owned, n_energies), or (k, n_owned, n_energies) for k right-hand sides.

        Parameters
        ----------
        operator
            The systems' own operator if the matrices are only an approximation of it (`krylov.Operator`).
        guess
            First guess of x, where a method can use one.
        ghosts
            Whether x has the values of the ghosts, n_local rows, too.

        Raises
        ------
        ConvergenceError
            On all ranks; names the energy, the residual, the iterations and PETSc's reason.
        """
        wanted = (self.numbering.n_owned, self._values.shape[1])
        for array in (rhs,) if guess is None else (rhs, guess):
            if array.shape[-2:] != wanted or array.ndim not in (2, 3) or array.shape != rhs.shape:
                raise ValueError(f"rhs and guess must be (..., {wanted[0]}, {wanted[1]}), not {array.shape}")
        stacked = (rhs.shape[0] if rhs.ndim == 3 else 1, *wanted)
        b = np.ascontiguousarray(rhs, dtype=np.float64).reshape(stacked)
        n_owned, n_local = self.numbering.n_owned, self.numbering.n_local
        x = np.zeros((stacked[0], n_local, wanted[1]))
        if guess is not None:
            x[:, :n_owned] = guess
        self.iterations = 0
        self.residual = np.zeros(wanted[1])
        if operator is not None or self.method == "multigrid":
            self._keep()
            for one_b, one_x in zip(b, x, strict=True):
                self._solve_operator(one_b, one_x, operator or self._assembled)
        else:
            self._solve_assembled(b, x)
        # The check of a solution has fetched its ghosts.
        found = x if ghosts else np.ascontiguousarray(x[:, :n_owned])
        return found if rhs.ndim == 3 else found[0]

    def _solve_assembled(self, b: Floats, x: Floats) -> None:
        """x, with ghosts, of b, without."""
        # A second pass on what is left is a step of iterative refinement.
        self._approximate(b, x, self._prefix, 0.1 * self.tolerance)
        left = np.empty_like(b)
        ratio = self._check_assembled(b, x, left)
        if not ratio.max(initial=0.0) <= self.tolerance:
            correction = np.zeros_like(x)
            self._approximate(left, correction, self._prefix, 0.1 * self.tolerance)
            x += correction
            ratio = self._check_assembled(b, x, left)
        self._accept(ratio, f"{self.method}, {self.iterations} iterations, one step of refinement")

    def _check_assembled(self, b: Floats, x: Floats, left: Floats) -> Floats:
        ratio = np.zeros(b.shape[2])
        for one_b, one_x, one_left in zip(b, x, left, strict=True):
            residual2, size2 = self._sums(one_x, one_b, one_left)
            ratio = np.maximum(ratio, _ratio(residual2, size2))
        return ratio

    def _sums(self, x: Floats, b: Floats, left: Floats) -> tuple[Floats, Floats]:
        self.numbering.fill_ghosts(x)
        sums = np.stack(_gains_and_losses(self._indptr, self._indices, self._values, x, b, left))
        self._comm.Allreduce(MPI.IN_PLACE, sums)
        return sums[0], sums[1]

    def _assembled(self, x: Floats, out: Floats) -> None:
        """`Operator` of the assembled matrices."""
        out[:] = self._product(x[None])[0]

    def _approximate(self, b: Floats, x: Floats, prefix: str, rtol: float) -> None:
        """x <- A^-1 b with the assembled matrices, of (k, n_owned, n_energies) right-hand sides.

        x has, and keeps, ghosts.
        """
        x = x[:, : self.numbering.n_owned]
        if self.method == "multigrid":
            if self._multigrid is None:
                self._multigrid = Multigrid(self._indptr, self._indices, self._values, self.numbering)
            for one_b, one_x in zip(b, x, strict=True):
                one_x[:] = self._multigrid.cycle(one_b)
            return
        if self._direct is not None:
            if prefix not in self._blocks:
                own = weakref.proxy(self)
                self._blocks[prefix] = BlockKSP(
                    self.numbering, lambda y: own._product(y), lambda y, out: own._eliminate(y, out),
                    rtol=rtol, prefix=prefix,
                )  # fmt: skip
            found = np.ascontiguousarray(x)
            self.iterations = max(self.iterations, self._blocks[prefix].solve(b, found))
            if found is not x:
                x[:] = found
            return
        if prefix not in self._sweeps:
            self._sweeps[prefix] = EnergySweep(
                self._indptr, self._indices, self.numbering,
                method=self.method, symmetric=self.symmetric, rtol=rtol, prefix=prefix,
            )  # fmt: skip
        sweep = self._sweeps[prefix]
        self.method = sweep.method
        sweep.solve(self._values, b, x)
        self.iterations = max(self.iterations, sweep.iterations)

    def _eliminate(self, b: Floats, out: Floats) -> None:
        """The batched elimination as a preconditioner: out = A^-1 b."""
        assert self._direct is not None
        single, found = (b[0], out[0]) if len(b) == 1 else (b, out)
        if self._kept:
            found[:] = self._direct.solve(single)
        else:
            self._direct.solve_once(self._values, single, found)

    def _product(self, x: Floats) -> Floats:
        """The assembled matrices times x, (k, n_owned, n_energies)."""
        out = np.empty_like(x)
        for one_x, one_out in zip(x, out, strict=True):
            full = self.numbering.with_ghosts(one_x)
            multiply(self._indptr, self._indices, self._values, full, one_out)
        return out

    def _solve_operator(self, b: Floats, x: Floats, operator: Operator) -> None:
        """x, with ghosts, of one right-hand side, without."""
        owned = x[: len(b)]
        left = np.empty_like(b)
        applied = np.empty_like(b)

        def residual() -> tuple[Floats, Floats]:
            _, size2 = self._sums(x, b, left)  # for the size |A| |x| + |b|; the residual is the operator's
            operator(owned, applied)
            np.subtract(b, applied, out=left)
            residual2 = np.einsum("ie,ie->e", left, left)
            self._comm.Allreduce(MPI.IN_PLACE, residual2)
            return residual2, size2

        def precondition(r: Floats) -> Floats:
            z = np.zeros((1, *r.shape))
            self._approximate(r[None], z, f"{self._prefix}inner_", INNER_RTOL)
            return z[0]

        residual2, size2 = residual()
        nothing2 = np.einsum("ie,ie->e", b, b)
        self._comm.Allreduce(MPI.IN_PLACE, nothing2)
        worse = residual2 > nothing2
        if worse.any():
            # A guess that is further off than zero would also set the scale of its own error.
            x[:, worse] = 0.0
            residual2, size2 = residual()
        iterations, reason = 0, 0
        krylov = "gmres" if self.method in ("direct", "multigrid") else "fgmres"
        if self.symmetric and operator == self._assembled:
            krylov = "cg"
        # A first solution tells |A| |x|, which residuals are measured by.
        for rtol in (FIRST_RTOL, 0.0):
            if reason < 0 or _ratio(residual2, size2).max(initial=0.0) <= 0.1 * self.tolerance:
                break
            scale = np.sqrt(np.where(size2 > 0.0, size2, 1.0))
            correction, steps, reason = correct(
                left, scale, operator, precondition, comm=self._comm, tolerance=0.1 * self.tolerance,
                rtol=rtol, krylov=krylov, prefix=self._prefix,
            )  # fmt: skip
            iterations += steps
            owned += correction
            residual2, size2 = residual()
        self.iterations = max(self.iterations, iterations)
        self._accept(_ratio(residual2, size2), f"{reason_name(reason)} after {iterations} iterations")

    def _accept(self, ratio: Floats, how: str) -> None:
        self.residual = np.maximum(self.residual, ratio)
        if ratio.size and not ratio.max() <= self.tolerance:
            worst = int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)))
            raise ConvergenceError(
                f"linear solve: energy index {worst} has a relative residual of {ratio[worst]:.3g}, not "
                f"{self.tolerance:.3g} ({how})"
            )


def _ratio(residual2: Floats, size2: Floats) -> Floats:
    return np.sqrt(residual2 / np.where(size2 > 0.0, size2, 1.0))


def solve_energies(
    indptr: Integers,
    indices: Integers,
    values: Floats,
    rhs: Floats,
    *,
    numbering: Numbering | None = None,
    operator: Operator | None = None,
    guess: Floats | None = None,
    symmetric: bool = False,
    method: str = "auto",
    tolerance: float = 1e-10,
) -> Floats:
    """Solve A_e x_e = b_e once; see `LinearSolver`. Without `numbering`, this rank has all rows."""
    if numbering is None:
        n = len(indptr) - 1
        numbering = Numbering(MPI.COMM_SELF, n, np.arange(n))
    solver = LinearSolver(indptr, indices, numbering, symmetric=symmetric, method=method, tolerance=tolerance)
    solver.set_matrix(values)
    return solver.solve(rhs, operator=operator, guess=guess)
