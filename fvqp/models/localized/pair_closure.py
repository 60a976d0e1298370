"""Pair approximation in space: concentrations where generation changes within the distance of pairs.

Between two places the density of pairs obeys ``0 = A c' + A' c − (Γ + λ + λ') ρ₂``, where λ = A/c is the rate
at which a quasiparticle vanishes. So pairs annihilate as if at the rate ``Γ κ/(Γ + κ)``, κ = λ + λ', without
correlations, and ``λ(x) = ∫ c(x') Γ κ/(Γ + κ) d³x'`` over the body. Every pair takes one quasiparticle from
each of its places. Where nothing changes in space this is the pair approximation of `pairs`; the factor q
that leads from there to the simulation is that of the same λ (theory, localized).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from scipy import sparse
from scipy.spatial import cKDTree

from fvqp.errors import CaseError
from fvqp.models.localized import pairs
from fvqp.models.localized.closure import AnnihilationLaw
from fvqp.models.localized.domain import Domain, sphere_volume
from fvqp.models.localized.laws import TailAnnihilation
from fvqp.models.localized.rates import pair_rate
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.typing import Floats, Ints

FINE = {1: 0.5, 2: 1.5, 3: 1.5}
"""Edges of the simplices of which quadrature takes the centres, in r_c, on meshes of lines, faces, solids."""
COARSE = 3.0
"""The longest edges; Γ κ/(Γ + κ) falls within about 2 r_c."""
MAX_POINT_PAIRS = 3_000_000
"""Pairs of quadrature points, which take some 100 bytes each."""
MAX_CELL_PAIRS = 1_000_000
"""Pairs of cells, each of which has a row of 8 bytes for every κ of the table."""
BIN = 0.1
"""Step of distances in r_c."""
LOG_STEP = 0.5
"""Step of ln κ."""
MARGIN = 2.0
"""Room in ln κ beyond the rates of uniform generation."""
TAIL = 1e-5
"""Part of the sum over partners that may lie out of reach."""
ITERATIONS, TOLERANCE = 300, 1e-11
"""Evaluations of the map of rates, and change of ln(A/c) that ends them."""
OPTIONS = "fvqp_closure_"
"""Prefix of PETSc's options of the fixed point."""


class _Pairs(NamedTuple):
    """Unordered pairs of cells within reach.

    Attributes:
        one, other: ``(p,)`` cells.
        table: ``(p, k)`` ``∫∫ Γ κ/(Γ + κ)`` over both cells, for the values of ln κ.
        first: least ln κ of the table.
    """

    one: Ints
    other: Ints
    table: Floats
    first: float


class PairClosure:
    """Steady state on a mesh with partners from all cells within reach.

    Directions that the mesh lacks are as long as the ``domain`` says, with surfaces where it is not periodic
    and without end where it is; concentrations are means over them. The mesh itself ends at its surfaces.
    """

    def __init__(self, annihilation: TailAnnihilation, domain: Domain) -> None:
        """
        Args:
            annihilation: radius and constant.
            domain: of a mesh, from `mesh_domain`.
        """
        self.annihilation, self.domain = annihilation, domain

    def stationary(self, generation: Floats) -> Floats:
        """Return c ``(n_cells,)``, 1/m³, for A ``(n_cells,)``, 1/(m³ s), by cell of the file.

        Raises:
            CaseError: a body that is too large against r_c and the distance of pairs.
            ConvergenceError: no solution is found.
        """
        unit = self.annihilation.length**3
        alpha = self.domain.density(generation, "generation") * unit * self.annihilation.time
        found = np.zeros(len(alpha))
        some = np.flatnonzero(alpha > 0.0)
        if len(some):
            found[some] = self._solve(alpha, some) / unit
        return found

    def _solve(self, alpha: Floats, some: Ints) -> Floats:
        a = alpha[some]
        rate = a / pairs.stationary(a)
        low, high = math.log(2.0 * rate.min()) - MARGIN, math.log(2.0 * rate.max()) + MARGIN
        log_kappa = np.arange(low, high + LOG_STEP, LOG_STEP)
        length = self.annihilation.length
        number = np.full(len(alpha), -1)
        number[some] = np.arange(len(some))
        extents = [
            math.inf if periodic else extent / length
            for extent, periodic in zip(self.domain.extent, self.domain.periodic, strict=True)
            if extent > 0.0
        ]
        reach = _reach(np.exp(log_kappa[[0, -1]]))
        pair = _pairs_of_cells(self.domain, length, number, log_kappa, reach, extents)
        measure = self.domain.simplex_measure / length**self.domain.order
        volume = np.bincount(self.domain.simplex_cell, measure, len(alpha))[some]
        both = pair.one != pair.other
        columns = pair.table.shape[1]
        rows = np.arange(len(pair.one)) * columns
        flat = pair.table.ravel()

        def vanishing(log_rate: Floats) -> Floats:
            """Return ln of the rates at which partners let quasiparticles vanish."""
            rate = np.exp(log_rate)
            at = (np.log(rate[pair.one] + rate[pair.other]) - pair.first) / LOG_STEP
            left = np.clip(at.astype(np.int64), 0, columns - 2)
            share = at - left
            lower, upper = flat[rows + left], flat[rows + left + 1]
            # Both are zero for pairs out of reach.
            weight = np.where(lower > 0.0, lower * (upper / np.where(lower > 0.0, lower, 1.0)) ** share, 0.0)
            c = a / rate
            lost = np.bincount(pair.one, weight * c[pair.other], len(a))
            lost += np.bincount(pair.other[both], (weight * c[pair.one])[both], len(a))
            return np.asarray(np.log(lost / volume))

        found = solve_fixed_point(
            vanishing,
            np.log(rate),
            comm=MPI.COMM_SELF,
            tolerance=TOLERANCE,
            what="pair closure",
            max_evaluations=ITERATIONS,
            prefix=OPTIONS,
        )
        rate = np.exp(found.x)
        return np.asarray(a / rate * _correction(rate))


def _correction(rate: Floats) -> Floats:
    """Return q, simulated over pair approximation, of a uniform steady state with this A/c."""
    c = 0.5 / pairs.volume(2.0 * rate)
    return AnnihilationLaw(TailAnnihilation(1.0, 1.0)).stationary(rate * c) / c


def _reach(kappa: Floats) -> float:
    """Return the distance beyond which a part `TAIL` of ``∫ Γ κ/(Γ + κ) d³X`` lies, at any of these κ."""
    x = np.arange(0.5 * BIN, 300.0, BIN)
    rate = pair_rate(x)[:, None]
    beyond = np.cumsum((x[:, None] ** 2 * rate * (kappa / (rate + kappa)))[::-1], axis=0)[::-1]
    return float(x[np.argmax(np.all(beyond <= TAIL * beyond[0], axis=1))])


def _pairs_of_cells(
    domain: Domain,
    length: float,
    number: Ints,
    log_kappa: Floats,
    reach: float,
    extents: list[float],
) -> _Pairs:
    """Return integrals over pairs of the cells that have a ``number``, by points in them."""
    dim = domain.order
    used = number[domain.simplex_cell] >= 0
    corners = domain.corners[used, : dim + 1] / length
    measure = domain.simplex_measure[used] / length**dim
    at, cell, weight, tree = _points(corners, number[domain.simplex_cell[used]], measure, reach)
    close = tree.query_pairs(reach, output_type="ndarray")
    one = np.concatenate([cell[close[:, 0]], cell])
    other = np.concatenate([cell[close[:, 1]], cell])
    distance = np.concatenate([np.linalg.norm(at[close[:, 0]] - at[close[:, 1]], axis=1), np.zeros(len(at))])
    product = np.concatenate([weight[close[:, 0]] * weight[close[:, 1]], weight**2])
    # Within a cell a pair of points is met once, and counts for both.
    product[: len(close)] *= np.where(one[: len(close)] == other[: len(close)], 2.0, 1.0)
    n = int(number.max()) + 1
    keys, row = np.unique(np.minimum(one, other) * n + np.maximum(one, other), return_inverse=True)
    if len(keys) > MAX_CELL_PAIRS:
        raise CaseError(
            f"the pair closure has {len(keys)} pairs of cells within {reach:.3g} r_c, and room for "
            f"{MAX_CELL_PAIRS}; take larger cells, or the local law"
        )
    bins = np.arange(0.0, reach + 2.0 * BIN, BIN)
    left = (distance / BIN).astype(np.int64)
    share = distance / BIN - left
    shape = (len(keys), len(bins))
    histogram = sparse.csr_matrix((product * (1.0 - share), (row, left)), shape)
    histogram += sparse.csr_matrix((product * share, (row, left + 1)), shape)
    table = np.asarray(histogram @ _kernel(bins, np.exp(log_kappa), extents))
    return _Pairs(keys // n, keys % n, table, float(log_kappa[0]))


def _points(
    corners: Floats, cell: Ints, measure: Floats, reach: float
) -> tuple[Floats, Ints, Floats, cKDTree]:
    """Quadrature points of simplices ``(n, dim + 1, 3)``, as dense as their pairs within reach allow."""
    dim = corners.shape[1] - 1
    # An estimate first, for points of a body that is far too large would need all memory.
    ball = sphere_volume(dim) * reach**dim
    edge = max(FINE[dim], (0.5 * float(measure.sum()) * ball / MAX_POINT_PAIRS) ** (0.5 / dim))
    while edge <= COARSE:
        at, cells, weight = _halved(corners, cell, measure, edge)
        tree = cKDTree(at)
        if tree.count_neighbors(tree, reach) <= 2 * MAX_POINT_PAIRS:
            return at, cells, weight, tree
        edge *= 1.25
    raise CaseError(
        f"the body is too large, or has too many cells, for a sum over pairs within {reach:.3g} r_c: more "
        f"than {MAX_POINT_PAIRS} pairs of points; take a part of the body, or the local law"
    )


def _halved(corners: Floats, cell: Ints, measure: Floats, longest_edge: float) -> tuple[Floats, Ints, Floats]:
    """Centres, cells and measures of simplices ``(n, dim + 1, 3)``, halved until no edge is too long."""
    n = corners.shape[1]
    first, second = np.triu_indices(n, 1)
    centres, cells, weights = [], [], []
    while len(corners):
        edges = np.linalg.norm(corners[:, first] - corners[:, second], axis=2)
        longest = edges.argmax(axis=1)
        row = np.arange(len(corners))
        done = edges[row, longest] <= longest_edge
        centres.append(corners[done].mean(axis=1))
        cells.append(cell[done])
        weights.append(measure[done])
        halves = []
        middle = 0.5 * (corners[row, first[longest]] + corners[row, second[longest]])
        for end in (first, second):
            half = corners.copy()
            half[row, end[longest]] = middle
            halves.append(half[~done])
        corners = np.concatenate(halves)
        cell, measure = np.tile(cell[~done], 2), np.tile(0.5 * measure[~done], 2)
    return np.concatenate(centres), np.concatenate(cells), np.concatenate(weights)


def _kernel(distance: Floats, kappa: Floats, extents: list[float]) -> Floats:
    """Return ``Γ κ/(Γ + κ)`` ``(distances, kappas)``, integrated over the directions that the mesh lacks.

    A direction of extent a has the weight ``1 − |u|/a`` for places that lie u apart, the mean over places.
    """

    def harmonic(x: Floats) -> Floats:
        rate = pair_rate(x)[..., None]
        return np.asarray(rate * (kappa / (rate + kappa)))

    if not extents:
        return harmonic(distance)
    far = float(distance[-1])
    # Mean of the weights over directions across, times the measure of a shell.
    u = (np.arange(math.ceil(far / BIN)) + 0.5) * BIN
    if len(extents) == 1:
        weight = 2.0 * np.maximum(1.0 - u / extents[0], 0.0) * BIN
    else:
        angle = (np.arange(64) + 0.5) / 64.0 * 0.5 * math.pi
        across = [
            np.maximum(1.0 - u[:, None] * np.abs(turned) / extent, 0.0)
            for turned, extent in zip((np.cos(angle), np.sin(angle)), extents, strict=True)
        ]
        weight = 2.0 * math.pi * u * (across[0] * across[1]).mean(axis=1) * BIN
    return np.stack([weight @ harmonic(np.hypot(one, u)) for one in distance])
