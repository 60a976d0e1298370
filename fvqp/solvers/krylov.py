"""PETSc's Krylov methods for systems that share a pattern: one energy at a time, or all in one vector."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError, ConvergenceError
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.numbering import Numbering
from fvqp.typing import Floats, Integers

Operator = Callable[[Floats, Floats], None]
"""`operator(x, out)` writes A x to `out`: (n_owned, n_energies), `x` read-only. It fetches ghosts itself."""
Preconditioner = Callable[[Floats], Floats]

log = logging.getLogger(__name__)

RESTART = 20
"""Basis vectors of GMRES: the memory of a solve is this many copies of the unknowns."""

_REASONS = {
    value: name
    for name, value in vars(PETSc.KSP.ConvergedReason).items()
    if isinstance(value, int) and not name.startswith("_")
}
#: Shapes of right-hand sides whose KSP is kept: blocks of energies and the last one, of one or more cases.
SHAPES = 6


def reason_name(reason: int) -> str:
    """PETSc's word for why a KSP stopped, such as DIVERGED_MAX_IT."""
    return _REASONS.get(reason, f"reason {reason}")


def has_package(name: str) -> bool:
    """Return whether PETSc was built with an external package."""
    return bool(PETSc.Sys.hasExternalPackage(name))


def available(method: str, size: int) -> str:
    """`method`, or what this PETSc has instead of it on `size` ranks; a substitution is logged.

    MUMPS is replaced by PETSc's own LU on one rank and by GAMG on several, hypre by GAMG.
    """
    if method not in ("mumps", "hypre") or has_package(method):
        return method
    chosen = "lu" if method == "mumps" and size == 1 else "gamg"
    log.warning("this PETSc has no %s on %d ranks: %s is used instead", method, size, chosen)
    return chosen


class EnergySweep:
    """One PETSc matrix and KSP, used for one energy after the other.

    Parameters
    ----------
    indptr, indices
        CSR pattern of the owned rows; columns are local numbers.
    numbering
        Contiguous numbers of the local unknowns.
    method
        `mumps` (LU), `hypre` (BoomerAMG), `gamg`, or the name of another PETSc preconditioner.
    symmetric
        Conjugate gradients instead of GMRES.
    rtol
        Residual to reach, relative to the right-hand side.
    prefix
        Options prefix: `-<prefix>ksp_rtol`, `-<prefix>pc_type`, ...

    A preconditioner made for one energy is brought up to date for the next, as PETSc does it; where the solve
    fails with it, it is made anew for this energy.
    """

    def __init__(
        self,
        indptr: Integers,
        indices: Integers,
        numbering: Numbering,
        *,
        method: str,
        symmetric: bool,
        rtol: float,
        prefix: str,
    ) -> None:
        comm = numbering.comm
        self.method = available(method, comm.size)
        self._indptr = np.asarray(indptr, PETSc.IntType)
        self._columns = numbering.number[indices].astype(PETSc.IntType)
        n, n_global = numbering.n_owned, int(numbering.offsets[-1])
        self._matrix = PETSc.Mat().createAIJ(
            ((n, n_global), (n, n_global)),
            csr=(self._indptr, self._columns, np.zeros(self._columns.size)),
            comm=comm,
        )
        self._x, self._b = self._matrix.createVecs()
        self._symmetric, self._rtol, self._prefix = symmetric, rtol, prefix
        self._ksp = self._solver()
        self._fresh = True
        self.iterations = 0

    def _solver(self) -> PETSc.KSP:
        """A KSP that knows no matrix yet."""
        ksp = PETSc.KSP().create(self._matrix.getComm())
        ksp.setOptionsPrefix(self._prefix)
        pc = ksp.getPC()
        if self.method in ("mumps", "lu"):
            ksp.setType("preonly")
            pc.setType("lu")
            if self.method != "lu":
                pc.setFactorSolverType(self.method)
        else:
            ksp.setType("cg" if self._symmetric else "gmres")
            try:
                pc.setType(self.method)
            except PETSc.Error as error:
                raise CaseError(
                    f"linear solver method '{self.method}': neither auto, direct, mumps, hypre, gamg nor the "
                    "name of a preconditioner of this PETSc"
                ) from error
            if self.method == "hypre":
                pc.setHYPREType("boomeramg")
            if not self._symmetric:
                ksp.setPCSide(PETSc.PC.Side.RIGHT)
            ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
            ksp.setInitialGuessNonzero(True)
        ksp.setTolerances(rtol=self._rtol, atol=1e-300, max_it=1000)
        ksp.setFromOptions()
        return ksp

    def solve(self, values: Floats, rhs: Floats, x: Floats) -> None:
        """Solve for all energies. `values`: (nnz, n_energies); `rhs`, `x`: (k, n_owned, n_energies); `x`
        holds the guess and becomes the solution. Raises `ConvergenceError` at the first energy that PETSc
        gives up.
        """
        self.iterations = 0
        for energy in range(values.shape[1]):
            self._matrix.setValuesCSR(self._indptr, self._columns, np.ascontiguousarray(values[:, energy]))
            self._matrix.assemble()
            self._ksp.setOperators(self._matrix)
            fresh, self._fresh = self._fresh, False
            for one_rhs, one_x in zip(rhs, x, strict=True):
                reason = self._run(one_rhs[:, energy], one_x[:, energy])
                if reason < 0 and not fresh:
                    # What multigrid keeps of earlier energies, interpolation and bounds of the spectrum, can
                    # be far off for this one. GAMG keeps some of it even when it is reset.
                    log.debug(
                        "energy index %d: %s with %s made for another energy; it is made anew",
                        energy, reason_name(reason), self.method,
                    )  # fmt: skip
                    self._ksp.destroy()
                    self._ksp = self._solver()
                    self._ksp.setOperators(self._matrix)
                    fresh = True
                    reason = self._run(one_rhs[:, energy], one_x[:, energy])
                if reason < 0:
                    raise ConvergenceError(
                        f"linear solve of energy index {energy} with {self.method}: {reason_name(reason)} "
                        f"after {self._ksp.getIterationNumber()} iterations, "
                        f"residual {self._ksp.getResidualNorm():.3g}"
                    )
                one_x[:, energy] = self._x.getArray(readonly=True)

    def _run(self, rhs: Floats, guess: Floats) -> int:
        """One solve with the present matrix into the solution vector; PETSc's reason."""
        self._b.setArray(rhs)
        self._x.setArray(guess)
        self._ksp.solve(self._b, self._x)
        self.iterations = max(self.iterations, self._ksp.getIterationNumber())
        return int(self._ksp.getConvergedReason())


class BlockKSP:
    """One KSP for the systems of all energies, in one vector, with a batched elimination as its PC.

    The KSP is `preonly`, one application of the PC, unless options say otherwise.

    Parameters
    ----------
    numbering
        Owners of the rows.
    product
        Assembled matrices times x, for Krylov methods chosen by options.
    eliminate
        `eliminate(b, out)` writes the solution of (k, n_owned, n_energies) right-hand sides to `out`.
    rtol
        Residual to reach, relative to the right-hand side, by methods that iterate.
    prefix
        Options prefix: `-<prefix>ksp_type`, `-<prefix>ksp_monitor`, ...
    """

    def __init__(
        self,
        numbering: Numbering,
        product: Callable[[Floats], Floats],
        eliminate: Callable[[Floats, Floats], None],
        *,
        rtol: float,
        prefix: str,
    ) -> None:
        self._comm, self._n, self._n_global = numbering.comm, numbering.n_owned, int(numbering.offsets[-1])
        self._product, self._eliminate, self._rtol, self._prefix = product, eliminate, rtol, prefix
        self._shape: tuple[int, ...] = ()
        self._known: dict[tuple[int, ...], tuple[PETSc.KSP, Callable[[], object]]] = {}

    def solve(self, b: Floats, x: Floats) -> int:
        """Write the solution of `b` to `x`, both (k, n_owned, n_energies) and contiguous; collective.

        Returns the Krylov iterations, 0 of `preonly`.
        """
        ksp = self._solver(b.shape)
        size = (b.size, self._n_global * b.shape[0] * b.shape[2])
        # The vectors are the arrays.
        right = PETSc.Vec().createWithArray(b.reshape(-1), size, comm=self._comm)
        found = PETSc.Vec().createWithArray(x.reshape(-1), size, comm=self._comm)
        try:
            with own_errors():
                ksp.solve(right, found)
        finally:
            right.destroy()
            found.destroy()
        return 0 if ksp.getType() == "preonly" else int(ksp.getIterationNumber())

    def _solver(self, shape: tuple[int, ...]) -> PETSc.KSP:
        """The KSP of a shape of right-hand sides; those of a few shapes are kept."""
        self._shape = shape
        if shape in self._known:
            return self._known[shape][0]
        if len(self._known) == SHAPES:
            _, destroy = self._known.pop(next(iter(self._known)))
            destroy()
        sizes = (self._n * shape[0] * shape[2], self._n_global * shape[0] * shape[2])
        context = SimpleNamespace(mult=weakly(self._mult), apply=weakly(self._apply))
        matrix = PETSc.Mat().createPython((sizes, sizes), context, self._comm)
        matrix.setUp()
        ksp = PETSc.KSP().create(self._comm)
        ksp.setOptionsPrefix(self._prefix)
        ksp.setOperators(matrix)
        ksp.setType("preonly")
        ksp.setPCSide(PETSc.PC.Side.RIGHT)
        pc = ksp.getPC()
        pc.setType("python")
        pc.setPythonContext(context)
        ksp.setTolerances(rtol=self._rtol, atol=0.0, max_it=200)
        ksp.setFromOptions()
        self._known[shape] = ksp, destroyed_with(self, pc, ksp, matrix)
        return ksp

    def _mult(self, matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.array.reshape(self._shape)[:] = self._product(x.array_r.reshape(self._shape))

    def _apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        self._eliminate(x.array_r.reshape(self._shape), y.array.reshape(self._shape))


class _Scaled:
    """Shell matrix and preconditioner of all energies; rows in units of `scale` so that energies count
    equally."""

    def __init__(self, operator: Operator, precondition: Preconditioner, scale: Floats) -> None:
        self._operator = operator
        self._precondition = precondition
        self._scale = scale

    def mult(self, matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        out = y.array.reshape(-1, self._scale.size)
        self._operator(x.array_r.reshape(out.shape), out)
        out /= self._scale

    def apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        out = y.array.reshape(-1, self._scale.size)
        out[:] = self._precondition(x.array_r.reshape(out.shape) * self._scale)


def correct(
    residual: Floats,
    scale: Floats,
    operator: Operator,
    precondition: Preconditioner,
    *,
    comm: MPI.Comm,
    tolerance: float,
    rtol: float,
    krylov: str,
    prefix: str,
) -> tuple[Floats, int, int]:
    """d of A d = r for all energies at once, by a preconditioned Krylov method.

    Parameters
    ----------
    residual
        (n_owned, n_energies); overwritten.
    scale
        (n_energies,) size of a residual that counts as 1.
    operator, precondition
        A x, and an approximate A^-1 r.
    krylov
        PETSc's name: `cg` if both are symmetric, `gmres` if the latter is linear, else `fgmres`.
    tolerance, rtol
        Root of the summed squares of all energies' scaled residuals to reach, or its part of the first one.
    prefix
        Options prefix of the KSP.

    Returns
    -------
    d, the number of iterations, PETSc's reason.
    """
    n_global = comm.allreduce(residual.size)
    sizes = ((residual.size, n_global), (residual.size, n_global))
    residual /= scale
    d = np.zeros_like(residual)
    context = _Scaled(operator, precondition, scale)
    matrix = PETSc.Mat().createPython(sizes, context, comm=comm)
    matrix.setUp()
    # The vectors are the arrays.
    b = PETSc.Vec().createWithArray(residual.reshape(-1), comm=comm)
    x = PETSc.Vec().createWithArray(d.reshape(-1), comm=comm)
    ksp = PETSc.KSP().create(comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(matrix)
    ksp.setType(krylov)
    if krylov != "cg":
        ksp.setGMRESRestart(RESTART)
        ksp.setPCSide(PETSc.PC.Side.RIGHT)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    pc = ksp.getPC()
    pc.setType("python")
    pc.setPythonContext(context)
    ksp.setTolerances(rtol=rtol, atol=tolerance, max_it=200)
    ksp.setFromOptions()
    with own_errors():
        ksp.solve(b, x)
    result = d, ksp.getIterationNumber(), ksp.getConvergedReason()
    # Handles that are merely dropped would keep PETSc's objects, and with them the arrays of the operator.
    for item in (pc, ksp, matrix, b, x):
        item.destroy()
    return result
