"""Lines joined at nodes: linear fields, order of accuracy against exact solutions, balances, junctions."""

from __future__ import annotations

import numpy as np
import pytest
from networks import CROSS, LOOP, TEE, Network
from transport_problems import coefficients, currents, solved, transport_on

from fvqp.transport.terminals import Terminal

NETWORKS = {"tee": TEE, "loop": LOOP, "cross": CROSS}
VALUES = [1.0, -0.4, 0.7, 0.2]


def computed(network: Network, per_length: float, decay: float, sigma: dict[str, float] | None = None):
    """Mesh, solution in its cells, currents from the ends, and what relaxes."""
    mesh = network.mesh(per_length)
    conductivity = np.ones(mesh.n_cells)
    for name, value in (sigma or {}).items():
        conductivity[mesh.regions[name]] = value
    ends = [f"end{k}" for k in range(len(network.ends))]
    transport = transport_on(mesh, [Terminal(end, (end,)) for end in ends], conductivity)
    operator = transport.at(coefficients(transport, reaction=decay**2 * conductivity))
    outside = np.array(VALUES[: len(ends)])
    x = solved(operator, outside)
    return mesh, x, currents(operator, x, outside), float(transport.capacity @ (decay**2 * conductivity * x))


@pytest.mark.parametrize("name", NETWORKS)
def test_fields_without_relaxation_are_exact(name: str) -> None:
    """Linear along every wire; every node passes on what it gets."""
    network = NETWORKS[name]
    exact = network.exact(0.0, VALUES[: len(network.ends)])
    mesh, x, into, _ = computed(network, 4.0, 0.0)
    np.testing.assert_allclose(x, exact.at(mesh.centroid), atol=1e-11)
    np.testing.assert_allclose(into, exact.currents, atol=1e-11)
    assert abs(into.sum()) < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
def test_second_order(name: str) -> None:
    network, decay = NETWORKS[name], 1.7
    exact = network.exact(decay, VALUES[: len(network.ends)])
    errors = []
    for per_length in (16.0, 32.0, 64.0):
        mesh, x, into, relaxed = computed(network, per_length, decay)
        # Of the values, and of the currents at the ends.
        largest = [np.abs(x - exact.at(mesh.centroid)).max(), np.abs(into - exact.currents).max()]
        errors.append(largest)
        assert abs(into.sum() - relaxed) < 1e-12
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(orders > 1.9), orders


def test_material_of_a_side_arm() -> None:
    """The border of two materials is where the lines meet, though the node is of one of them."""
    sigma = {"wire": 1.0, "side": 5.0}
    exact = TEE.exact(0.0, VALUES[:3], np.array([1.0, 1.0, 5.0]))
    mesh, x, _, _ = computed(TEE, 4.0, 0.0, sigma)
    # The node reaches 1e-6 of a cell into the arm.
    np.testing.assert_allclose(x, exact.at(mesh.centroid), atol=1e-6)
    exact = TEE.exact(1.7, VALUES[:3], np.array([1.0, 1.0, 5.0]))
    errors = [np.abs(computed(TEE, n, 1.7, sigma)[2] - exact.currents).max() for n in (16.0, 32.0, 64.0)]
    assert np.all(np.log2(np.array(errors[:-1]) / np.array(errors[1:])) > 1.9)


def test_junction_at_a_node() -> None:
    """A point where lines meet carries a junction: its cell is a region of the point's name."""
    for per_length in (4.0, 8.0):
        mesh = TEE.mesh(per_length)
        terminals = [Terminal(f"end{k}", (f"end{k}",)) for k in range(3)] + [
            Terminal("j", ("crossing",), 0.3)
        ]
        transport = transport_on(mesh, terminals)
        operator = transport.at(coefficients(transport))
        outside = np.array([0.0, 0.0, 0.0, 1.0])
        into = currents(operator, solved(operator, outside), outside)
        # The three arms in parallel, in series with the junction.
        arms = (1.0 / TEE.lengths).sum()
        assert into[3] == pytest.approx(1.0 / (1.0 / 0.3 + 1.0 / arms), rel=1e-12)


def test_mean_field_in_a_node() -> None:
    """The square of a current that divides is that of its parts, whatever their directions."""
    mesh = CROSS.mesh(4.0)
    transport = transport_on(mesh, [Terminal(f"end{k}", (f"end{k}",)) for k in range(4)])
    operator = transport.at(coefficients(transport))
    outside = np.array(VALUES)
    x = solved(operator, outside)
    fluxes = operator.face_fluxes(x[:, None, None], outside[None, :, None])[:, 0]
    (node,) = mesh.nodes
    exact = CROSS.exact(0.0, VALUES).currents
    lengths = np.array([1.0, 1.0, 0.5, 1.25]) / np.round(4.0 * CROSS.lengths) / 2.0
    squares = (exact**2) @ lengths / lengths.sum()
    assert np.linalg.norm(transport.cell_vectors(fluxes)[node]) ** 2 == pytest.approx(squares, rel=1e-10)
    assert np.all(transport.cell_vectors(0.0 * fluxes) == 0.0)
