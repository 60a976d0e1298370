"""What bounds each piece of the film's solution: bytes and arithmetic against what this machine can do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from timing import median
from wire_problems import film

from fvqp.models.usadel.kinetics import BLOCK, SpectralState, T

pytestmark = pytest.mark.benchmark


class Piece(NamedTuple):
    """Seconds, and the bytes and operations that a cell and energy need at least."""

    name: str
    seconds: float
    bytes: float
    flops: float


def bandwidth() -> float:
    """Bytes a second of ``a = b + a`` on arrays far larger than the caches: two reads, one write."""
    a, b = np.zeros(2**25), np.ones(2**25)
    return 24 * a.size / median(lambda: np.add(a, b, out=a)).cpu


def arithmetic() -> float:
    """Operations a second of a matrix product that stays in the cache, one thread."""
    a = np.ones((384, 384))
    return 2 * a.shape[0] ** 3 / median(lambda: a @ a, 15).cpu


def test_what_bounds(report):
    problem = film()
    kinetics, transport = problem.kinetics, problem.kinetics.transport
    n = problem.device.mesh.n_cells
    bins = slice(64, 64 + BLOCK)
    external = np.zeros((1, len(problem.device.terminals), BLOCK))
    external[0, 0] = 1.0
    state = problem.at_rest(0.0)[0]
    local = SpectralState(np.linspace(0.99, 1.0, n), np.zeros(1))
    coefficients = kinetics.coefficients(state, kinetics.spectrum(state, bins), (T,))
    operator = transport.at(coefficients)
    values = operator.assemble()
    x = np.zeros((n, 1, BLOCK))
    rhs = operator.residual(x, external)
    solver = kinetics.solver._solver(1)
    direct = solver._direct
    assert direct is not None
    faces, entries = len(transport.faces.cells) / n, len(transport.flux.indices) / n
    fill, multiply_adds = direct.fill / n, direct.flops / n
    flat = rhs[:, 0]
    solver.set_matrix(values)
    pieces = [
        # Seven averages are written; a root and its spectral functions take some 150 operations at 6 nodes.
        Piece("spectra of every cell", median(lambda: kinetics.spectrum(local, bins), 3).cpu, 56, 900),
        Piece("face conductances", median(lambda: transport.at(coefficients)).cpu, 8 * faces, 6 * faces),
        Piece(
            "matrix",
            median(operator.assemble).cpu,
            # Set to zero, then read and written as the faces add to it.
            8 * (3 * entries + faces),
            2 * faces + 2 * entries,
        ),
        Piece(
            "elimination and substitution",
            median(lambda: direct.solve_once(values, flat)).cpu,
            # One side of the matrix, right-hand side, solution; the factors are written and read.
            8 * (0.5 * (entries + 1) + 2 + 2 * (fill + 1)),
            2 * multiply_adds + 4 * fill,
        ),
        Piece(
            "check of the solution",
            median(lambda: solver._sums(flat, flat, np.empty_like(flat))).cpu,
            8 * (entries + 3),
            4 * entries + 4,
        ),
        Piece(
            "residual, also currents",
            median(lambda: operator.residual(x, external, rhs)).cpu,
            8 * (faces + 1 + 2),
            4 * faces + 3,
        ),
    ]
    memory, peak = bandwidth(), arithmetic()
    report("memory bandwidth, arithmetic", f"{memory * 1e-9:.1f} GB/s, {peak * 1e-9:.0f} Gflop/s on one core")
    for piece in pieces:
        each = piece.seconds / (n * BLOCK)
        moved, done = piece.bytes / each, piece.flops / each
        report(
            f"  {piece.name}",
            f"{each * 1e9:6.1f} ns, {piece.bytes:4.0f} B and {piece.flops:4.0f} flop a cell and energy: "
            f"{100 * moved / memory:3.0f} % of the bandwidth, {100 * done / peak:3.0f} % of the arithmetic",
        )
