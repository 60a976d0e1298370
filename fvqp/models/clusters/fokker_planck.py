"""The Fokker-Planck equation in N (Meyer, Eq. (S6)) by finite volumes.

∂P/∂t = −∂J/∂N with J = −D W ∂(P/W)/∂N, D = AV/2, W the stationary weight of Eq. (7), and no flux through
either end. The flux between two cells is exponentially fitted (Scharfetter-Gummel; Chang-Cooper): it is that
of a weight whose logarithm is linear between the centres. With the exact integrals of W over the cells as
stationary probabilities, the stationary state is exact on any grid, and the scheme is a Markov chain, so it
keeps probability and positivity.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from numpy.polynomial.legendre import leggauss

from fvqp.errors import CaseError
from fvqp.models.clusters.mean_field import approximate_number
from fvqp.models.clusters.rates import Cluster
from fvqp.models.clusters.reduced import NumberChain, largest_number, one_dimensional, stationary_weight
from fvqp.solvers.markov import MarkovChain
from fvqp.typing import Floats

_NODES, _WEIGHTS = leggauss(16)


def bernoulli(z: Floats) -> Floats:
    """B(z) = z/(e^z − 1)."""
    small = np.abs(z) < 1e-5
    safe = np.where(small, 1.0, z)
    with np.errstate(over="ignore"):
        return np.where(small, 1.0 - 0.5 * z + z**2 / 12.0, safe / np.expm1(safe))


class FokkerPlanck(NumberChain):
    """The Fokker-Planck equation on cells in N.

    Parameters
    ----------
    cluster
        Its parameters.
    edges
        Increasing edges of the cells, the first 0; by default `cells` equal ones up to where `lost` is left.
    cells, lost
        See `edges`.
    comm
        Communicator over which the cells are distributed.

    Attributes
    ----------
    edges, centres
        (n + 1,), (n,) of all cells.
    number
        (n_owned,) mean N of the cells of this rank in the stationary state, so that ⟨N⟩ is exact.
    """

    def __init__(
        self,
        cluster: Cluster,
        edges: Floats | None = None,
        *,
        cells: int = 400,
        lost: float = 1e-12,
        comm: MPI.Comm = MPI.COMM_WORLD,
    ) -> None:
        if edges is None:
            if cells < 2:
                raise CaseError(f"Fokker-Planck: {cells} cells: expected 2 or more")
            edges = np.linspace(0.0, largest_number(cluster, lost), cells + 1)
        self.edges = np.asarray(edges, float)
        if (
            self.edges.ndim != 1
            or self.edges.size < 3
            or self.edges[0] != 0.0
            or not (np.diff(self.edges) > 0).all()
        ):
            raise CaseError("Fokker-Planck: edges: expected three or more increasing numbers, the first 0")
        self.centres = 0.5 * (self.edges[1:] + self.edges[:-1])
        steps, held, mean, self.spread = fitted(
            lambda N: stationary_weight(cluster, N), self.edges, 0.5 * cluster.injection
        )
        slow = cluster.injection / approximate_number(cluster) ** 2
        super().__init__(cluster, one_dimensional(steps, held, slow, comm), mean)

    def spin_chain(self) -> tuple[MarkovChain, Floats]:
        """The equation of the mean spin: that of P with the weight W N² in place of W, and the decay rate
        2/τ_s + Γ̄_t N/V (theory: Noise of the spin)."""
        cluster = self.cluster

        def log_weight(N: Floats) -> Floats:
            return stationary_weight(cluster, N) + 2.0 * np.log(N)

        steps, held, mean, _ = fitted(log_weight, self.edges, 0.5 * cluster.injection)
        square = self.variance + self.mean_number**2
        weight = square * (1.0 if cluster.spin == "ising" else 1.0 / 3.0) * held
        decay = 2.0 * cluster.flip + cluster.triplet * mean
        chain = one_dimensional(steps, weight, self.chain.slow, self.chain.comm, decay=decay)
        return chain, weight[chain.first : chain.first + chain.n_owned]

    @property
    def variance(self) -> float:
        """⟨⟨N²⟩⟩, with the spread inside the cells."""
        chain = self.chain
        own = self.spread[chain.first : chain.first + chain.n_owned]
        return super().variance + float(chain.sum(own * self.stationary))

    def density(self) -> Floats:
        """Stationary P(N), means over the cells, on every rank."""
        return np.asarray(self.distribution() / np.diff(self.edges))


def fitted(
    log_weight: Callable[[Floats], Floats], edges: Floats, diffusion: float
) -> tuple[dict[int, Floats], Floats, Floats, Floats]:
    """Finite volumes of ∂_N [D W ∂_N(P/W)] with exponentially fitted fluxes.

    Returns
    -------
    steps
        (n,) rates of the steps 1 and −1 between the cells.
    held
        (n,) ∫ W dN over the cells, of total 1: the stationary probabilities.
    mean, spread
        (n,) mean and variance of N in the cells with the weight W.
    """
    centres, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    log_w = log_weight(centres)
    top = float(log_w.max())
    nodes = centres[:, None] + 0.5 * width[:, None] * _NODES
    density = np.exp(log_weight(nodes) - top)
    weights = 0.5 * width[:, None] * _WEIGHTS
    held = np.maximum((density * weights).sum(axis=1), 1e-280)
    mean = (density * weights * nodes).sum(axis=1) / held
    second = (density * weights * nodes**2).sum(axis=1) / held
    inside = (mean > edges[:-1]) & (mean < edges[1:])
    mean = np.where(inside, mean, centres)
    spread = np.where(inside, np.maximum(second - mean**2, 0.0), 0.0)
    # D / ∫ dN/W between the centres, ln W linear: D W_i B(ln W_i - ln W_i+1) / h.
    log_w = np.maximum(log_w - top, np.log(1e-280))
    current = diffusion * np.exp(log_w[:-1]) * bernoulli(log_w[:-1] - log_w[1:]) / np.diff(centres)
    steps = {1: np.append(current / held[:-1], 0.0), -1: np.append(0.0, current / held[1:])}
    return steps, held / held.sum(), mean, spread
