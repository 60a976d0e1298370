"""Linear solves of the transport operator for many energies and lead distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fvqp.solvers.batched_lu import BatchedLU
from fvqp.transport.kernels import Coefficients
from fvqp.transport.operator import Transport

Floats = NDArray[np.float64]


def solve_transport(
    transport: Transport,
    coefficients: Coefficients,
    externals: Floats,
    *,
    tolerance: float,
    method: str = "auto",
    what: Callable[[int], str],
) -> Floats:
    mesh = transport.mesh
    k, n_comp, _, ne = externals.shape
    indptr, indices = transport.pattern(n_comp)
    lu = BatchedLU(indptr, indices)
    values = transport.assemble(coefficients)
    lu.factor(values)
    x = np.zeros((k, mesh.n_cells, n_comp, ne))
    for i in range(k):
        for it in range(60):
            r = transport.residual(coefficients, x[i], externals[i])
            if it == 0:
                r0 = np.abs(r).max()
            if np.abs(r).max() <= 1e-14 * r0:
                break
            x[i, : mesh.n_owned] += lu.solve(r.reshape(-1, ne)).reshape(r.shape)
            if transport.gradient is None:
                break
        print("it", it, np.abs(r).max() / r0) if it > 1 else 0
    return x
