"""Fig. 10 of the wire, 400 cells, 600 energies, 101 biases, against boundary value problems by scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_bvp
from test_ryan_wire import WEAK, exact
from timing import median
from wire_devices import ALUMINIUM, CONDUCTANCE, THICKNESS, UM, WIDTH, graded, line_mesh, wire
from wire_problems import GAMMA, respond_T

from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances

pytestmark = pytest.mark.benchmark
ENERGIES = 600
VOLTS = np.linspace(-1e-3, 1e-3, 101)
#: Below the gap there is next to no signal to be accurate about.
ABOVE_GAP = np.abs(VOLTS) > 0.28e-3
XI = ALUMINIUM.coherence_length
ARMS = (5.2 * UM, 5.8 * UM)
MESH = line_mesh(141, 121)


def problem() -> UsadelProblem:
    device = wire(MESH, "point_A", "point_B", conductance=WEAK)
    return UsadelProblem(device, graded(GAMMA, ENERGIES), GAMMA)


def figure() -> np.ndarray:
    """g_nl of all biases, everything included but reading the mesh: contacts, grid, gap, spectra, solves."""
    made = problem()
    return np.array([-conductances(made, solve_point(made, Point(v)))[1] for v in VOLTS])


class BoundaryValueProblems:
    """``D_T f'' = R_T f`` on both arms, each mapped to [0, 1], with the same spectral functions as ours.

    f = 0 at both ends; at the injector f is continuous and ``D_T (f₁' − f₂') = κ N (1 − f)``. The biases are
    left out: f(1) at the lead is a factor.
    """

    def __init__(self, made: UsadelProblem) -> None:
        spectrum = made.kinetics.spectrum(made.at_rest(0.0)[0])
        self.diffusion, self.relaxation = spectrum.diffusion_T[0], spectrum.relaxation_T[0]
        self.dos = spectrum.dos[0]
        kappa = CONDUCTANCE["A"] * ALUMINIUM.resistivity * XI / (WIDTH * THICKNESS)
        self.tunnel = kappa * self.dos
        slopes = np.array([made.external_slope(Point(v))[1, 0] for v in VOLTS])
        self.weights = slopes * self.dos * made.grid.widths

    def solve(self, energy: int, nodes: int, jacobian: bool) -> float:
        """f at the detector."""
        d, k = self.diffusion[energy], self.tunnel[energy]
        rate = self.relaxation[energy] / d
        first, second = (length / XI for length in ARMS)
        matrix = np.zeros((4, 4))
        matrix[0, 1], matrix[1, 0], matrix[2, 3], matrix[3, 2] = first, first * rate, second, second * rate
        left, right = np.zeros((4, 4)), np.zeros((4, 4))
        left[0, 0] = right[1, 2] = right[2, 0] = 1.0
        left[2, 2] = -1.0
        right[3, 0], right[3, 1], left[3, 3] = k, d, -d

        def boundary(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return left @ a + right @ b - np.array([0.0, 0.0, 0.0, k])

        more: dict[str, Callable] = {}
        if jacobian:
            more["fun_jac"] = lambda x, y: np.repeat(matrix[:, :, None], x.size, axis=2)
            more["bc_jac"] = lambda a, b: (left, right)
        found = solve_bvp(
            lambda x, y: matrix @ y, boundary, np.linspace(0.0, 1.0, nodes), np.zeros((4, nodes)), **more
        )
        assert found.success
        return float(found.sol(0.3 * UM / XI / second)[2])

    def figure(self, nodes: int, jacobian: bool = True) -> np.ndarray:
        """g_nl/G_det of all biases from one solution an energy."""
        return self.weights @ np.array([self.solve(e, nodes, jacobian) for e in range(ENERGIES)])


def test_figure_10(benchmark, report):
    """The peer is the cheapest `solve_bvp` that is as accurate as we are: coarsest mesh, given Jacobians."""
    made = problem()
    expected = exact(made, tuple(ARMS), VOLTS)[ABOVE_GAP]

    def error(conductance: np.ndarray) -> float:
        return float(np.abs(conductance[ABOVE_GAP] / expected - 1.0).max())

    found = benchmark.pedantic(figure, rounds=7, warmup_rounds=1)
    ours = benchmark.stats.stats.median
    our_error = error(found / WEAK["B"])
    peer = BoundaryValueProblems(made)
    nodes = next(n for n in (11, 26, 51, 101, 201, 401) if error(peer.figure(n)) < 1.02 * our_error)
    theirs = median(lambda: peer.figure(nodes), 3)
    plain = median(lambda: peer.figure(401, jacobian=False), 1)
    field = median(lambda: respond_T(made))
    biases = VOLTS.size
    report("Fig. 10, ours: whole curve", f"{ours * 1e3:.0f} ms, largest error {our_error:.1e}")
    report(
        f"  solve_bvp, {nodes} nodes, Jacobians",
        f"{theirs.wall / ENERGIES * 1e3:.2f} ms an energy, largest error {error(peer.figure(nodes)):.1e}",
    )
    report("  solve_bvp, 401 nodes, as it comes", f"{plain.wall / ENERGIES * 1e3:.2f} ms an energy")
    report("  every energy and bias / whole curve", f"{biases * theirs.wall / ours:.0f}")
    report("  every energy once / whole curve", f"{theirs.wall / ours:.1f}")
    report("ours: f_T of every energy, one lead", f"{field.wall * 1e3:.1f} ms")
    report("  every energy once / that", f"{theirs.wall / field.wall:.0f}")
    report("  every energy once, 401 nodes / that", f"{plain.wall / field.wall:.0f}")
    assert our_error < 1e-4
    assert biases * theirs.wall > 300.0 * ours
