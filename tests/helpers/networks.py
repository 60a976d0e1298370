"""Networks of lines, and the exact solution of diffusion with relaxation on them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.mesh import Mesh, build_mesh


@dataclass(frozen=True)
class Network:
    """Straight wires between points.

    Attributes:
        points: ``(n, 2)`` or ``(n, 3)``; those with one wire are ends, named ``end0``, ``end1``, ...
        wires: pairs of points.
        regions: name → numbers of wires.
        marks: name → a point.
    """

    points: Sequence[Sequence[float]]
    wires: Sequence[tuple[int, int]]
    regions: Mapping[str, Sequence[int]]
    marks: Mapping[str, int]

    @property
    def ends(self) -> list[int]:
        return [k for k, n in enumerate(np.bincount(np.ravel(self.wires))) if n == 1]

    @property
    def lengths(self) -> np.ndarray:
        points = np.asarray(self.points, float)
        return np.array([np.linalg.norm(points[b] - points[a]) for a, b in self.wires])

    def mesh(self, per_length: float, comm: MPI.Comm = MPI.COMM_SELF, scale: float = 1.0) -> Mesh:
        """Cells of equal length along each wire, about ``per_length`` of them a unit."""
        if comm.rank > 0:
            return build_mesh(None, None, comm=comm)
        points = [np.asarray(p, float) for p in self.points]
        cells: list[tuple[int, int]] = []
        of_wire = []
        for (a, b), length in zip(self.wires, self.lengths, strict=True):
            n = max(round(length * per_length), 1)
            inner = range(len(points), len(points) + n - 1)
            points += [points[a] + (points[b] - points[a]) * k / n for k in range(1, n)]
            path = [a, *inner, b]
            of_wire.append(np.arange(len(cells), len(cells) + n))
            cells += itertools.pairwise(path)
        regions = {name: np.concatenate([of_wire[w] for w in wires]) for name, wires in self.regions.items()}
        facets = {f"end{k}": np.array([[end]]) for k, end in enumerate(self.ends)}
        facets |= {name: np.array([[point]]) for name, point in self.marks.items()}
        kinds = [("line", np.array(cells))]
        return build_mesh(scale * np.array(points), kinds, regions, facets, comm, name="network")

    def exact(self, decay: float, at_ends: Sequence[float], conductivity: np.ndarray | float = 1.0) -> Exact:
        """Solution of ``(σ u')' = σ decay² u`` with given values at the ends."""
        return Exact(self, decay, np.asarray(at_ends, float), conductivity * np.ones(len(self.wires)))


class Exact:
    """``u`` on a network: hyperbolic sines along every wire, and at its points fluxes that add up to zero."""

    def __init__(self, network: Network, decay: float, at_ends: np.ndarray, conductivity: np.ndarray) -> None:
        self.network, self.decay = network, decay
        n, lengths = len(network.points), network.lengths
        # Outward flux of a wire at its point a: σ k (u_a coth kL − u_b / sinh kL).
        k = max(decay, 1e-7)
        balance = np.zeros((n, n))
        for (a, b), length, sigma in zip(network.wires, lengths, conductivity, strict=True):
            own, other = sigma * k / np.tanh(k * length), sigma * k / np.sinh(k * length)
            for p, q in ((a, b), (b, a)):
                balance[p, p] += own
                balance[p, q] -= other
        ends = np.array(network.ends)
        inner = np.setdiff1d(np.arange(n), ends)
        self.values = np.zeros(n)
        self.values[ends] = at_ends
        self.values[inner] = np.linalg.solve(
            balance[np.ix_(inner, inner)], -balance[np.ix_(inner, ends)] @ at_ends
        )
        self.currents = (balance @ self.values)[ends]

    def at(self, places: np.ndarray) -> np.ndarray:
        """Values at ``places (m, 3)`` on the wires."""
        points = np.zeros((len(self.network.points), 3))
        points[:, : len(self.network.points[0])] = self.network.points
        out, k = np.full(len(places), np.nan), max(self.decay, 1e-7)
        for (a, b), length in zip(self.network.wires, self.network.lengths, strict=True):
            along = (points[b] - points[a]) / length
            s = (places - points[a]) @ along
            off = np.linalg.norm(places - points[a] - s[:, None] * along, axis=1)
            here = (off < 1e-9) & (s > -1e-9) & (s < length + 1e-9)
            u = self.values[a] * np.sinh(k * (length - s)) + self.values[b] * np.sinh(k * s)
            out[here] = (u / np.sinh(k * length))[here]
        return out


TEE = Network(
    points=[(0.0, 0.0), (-1.0, 0.0), (1.5, 0.0), (0.45, 0.6)],
    wires=[(0, 1), (0, 2), (3, 0)],
    regions={"wire": [0, 1], "side": [2]},
    marks={"crossing": 0},
)
"""A wire with a side arm, which leaves it at an angle."""

LOOP = Network(
    points=[(-1.0, 0.0), (0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 0.0), (2.25, 0.0)],
    wires=[(0, 1), (1, 4), (1, 2), (2, 3), (3, 4), (4, 5)],
    regions={"short": [1], "long": [2, 3, 4]},
    marks={"fork": 1},
)
"""A loop in a wire, of a short and a long arm."""

CROSS = Network(
    points=[(0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -0.5), (0.0, 1.25)],
    wires=[(1, 0), (0, 2), (3, 0), (0, 4)],
    regions={},
    marks={},
)
"""Two wires that cross."""
