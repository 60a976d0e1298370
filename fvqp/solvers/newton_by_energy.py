"""Newton's method of equations that are independent at every energy, by PETSc's SNES."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.petsc import PETSc
from fvqp.solvers.matrix_free import newtonls
from fvqp.typing import Bools, Floats

_REASON = PETSc.SNES.ConvergedReason


def newton_by_energy(
    residual: Callable[[NDArray[Any]], NDArray[Any]],
    step: Callable[[NDArray[Any], NDArray[Any], Bools], tuple[NDArray[Any], Floats]],
    start: NDArray[Any],
    *,
    comm: MPI.Comm,
    n_owned: int,
    exchange: Callable[[NDArray[Any]], object],
    done: Callable[[Floats, Floats], Bools],
    max_steps: int,
    prefix: str,
) -> tuple[NDArray[Any], Bools]:
    """Return solutions and which energies have converged. Collective.

    SNES takes full steps. The limit of a step, one for every energy, is part of the preconditioner.

    Args:
        residual: gains ``(n_owned, component, energy)`` of unknowns ``(n_cells, component, energy)``, real or
            complex, whose ghosts are up to date.
        step: change of the unknowns, of the shape of ``residual``, that unknowns and gains lead to; and the
            largest change of each energy that Newton's method asks for, over all ranks. Only those of the
            energies in the mask are needed.
        start: unknowns.
        comm: ranks that share the cells.
        n_owned: number of cells of this rank, which come first.
        exchange: fills ghosts.
        done: says of the largest changes in a step, and in the one before, which energies have converged.
        max_steps: allowed.
        prefix: of PETSc's options.
    """
    n, here = n_owned, start.copy()
    good = np.zeros(start.shape[-1], bool)
    lost, before = good.copy(), np.full(len(good), np.inf)

    def unknowns(vector: Floats) -> NDArray[Any]:
        return np.asarray(vector.view(start.dtype)).reshape(here[:n].shape)

    def function(x: Floats) -> Floats:
        here[:n] = unknowns(x)
        exchange(here)
        gains = residual(here)
        infinite = ~np.isfinite(gains).all(axis=(0, 1))
        comm.Allreduce(MPI.IN_PLACE, infinite, MPI.LOR)
        if infinite.any():
            lost[:] |= infinite & ~good
            gains[..., infinite] = 0.0
        return np.negative(gains.view(np.float64).ravel())

    def apply(_pc: PETSc.PC, right: PETSc.Vec, out: PETSc.Vec) -> None:
        going = ~(good | lost)
        change, largest = step(here, -unknowns(right.array_r), going)
        lost[:] |= going & ~np.isfinite(largest)
        good[:] |= going & ~lost & done(largest, before)
        before[:] = largest
        still = ~going | lost
        if still.any():
            change[..., still] = 0.0
        np.negative(change.view(np.float64).ravel(), out=out.getArray())

    def test(_snes: PETSc.SNES, iteration: int, _norms: tuple[float, float, float]) -> int:
        ended = iteration > 0 and bool(np.all(good | lost))
        return int(_REASON.CONVERGED_SNORM_RELATIVE if ended else _REASON.ITERATING)

    def configure(snes: PETSc.SNES) -> None:
        # The preconditioner is the inverse: nothing multiplies by the matrix.
        snes.getKSP().setType("preonly")
        snes.getKSP().getPC().setType("python")
        snes.getKSP().getPC().setPythonContext(SimpleNamespace(apply=apply))

    found = newtonls(
        function,
        here[:n].view(np.float64).ravel(),
        comm=comm,
        prefix=prefix,
        test=test,
        max_steps=max_steps,
        configure=configure,
    )
    here[:n] = unknowns(found.x)
    exchange(here)
    return here, good
