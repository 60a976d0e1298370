"""Finite-volume matrices for the tests of the solvers, and their distribution over ranks."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla


def grid_matrices(shape: tuple[int, ...], n_energies: int, skew: float = 0.4, seed: int = 1):
    """Diffusion with relaxation and a skew coupling: CSR pattern and (nnz, n_energies) values."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    index = np.arange(n).reshape(shape)
    i, j = np.concatenate(
        [
            np.stack([index.take(range(m - 1), a).ravel(), index.take(range(1, m), a).ravel()])
            for a, m in enumerate(shape)
        ],
        axis=1,
    )
    g = rng.uniform(0.5, 2.0, (i.size, n_energies))
    k = skew * rng.uniform(-1.0, 1.0, g.shape)
    diagonal = rng.uniform(1e-3, 1e-1, (n, n_energies))
    np.add.at(diagonal, i, g)
    np.add.at(diagonal, j, g)
    numbers = np.arange(1, n + 2 * i.size + 1)
    pattern = sp.csr_matrix((numbers, (np.r_[np.arange(n), i, j], np.r_[np.arange(n), j, i])), (n, n))
    return pattern.indptr, pattern.indices, np.concatenate([diagonal, k - g, -k - g])[pattern.data - 1]


def distribute(indptr, indices, values, owner, rank):
    """One rank's rows: local pattern, values, number owned and the global numbers of the local unknowns."""
    owned = np.flatnonzero(owner == rank)
    entries = np.flatnonzero(np.isin(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), owned))
    columns = indices[entries]
    ghosts = np.setdiff1d(columns, owned)
    ghosts = np.random.default_rng(rank).permutation(ghosts)
    local = np.full(len(indptr) - 1, -1)
    ids = np.concatenate([owned, ghosts])
    local[ids] = np.arange(ids.size)
    ptr = np.concatenate([[0], np.cumsum(np.diff(indptr)[owned])])
    return ptr, local[columns], np.ascontiguousarray(values[entries]), owned.size, ids


def reference(indptr, indices, values, rhs):
    """Solution by scipy's SuperLU, one energy after the other."""
    n = len(indptr) - 1
    return np.stack(
        [
            spla.splu(sp.csr_matrix((values[:, e], indices, indptr), (n, n)).tocsc()).solve(rhs[:, e])
            for e in range(rhs.shape[1])
        ],
        axis=1,
    )


def partitions(n: int, size: int) -> dict[str, np.ndarray]:
    """Owner of every row: contiguous strips, and the same numbers scattered."""
    strips = np.arange(n) * size // n
    return {"strips": strips, "scattered": np.random.default_rng(5).permutation(strips)}
