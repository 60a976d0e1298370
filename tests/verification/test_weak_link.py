"""Normal metals between superconductors of different phases: supercurrents and minigaps in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI
from networks import Network
from proximity_devices import METAL, NORMAL, THICKNESS, UNIT, WIDTH, XI, angles, line
from test_proximity_limits import exact_minigap

from fvqp.errors import CaseError
from fvqp.gap import equilibrium_gap
from fvqp.mesh import shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.weak_link import WeakLink
from fvqp.spectral.quadrature import MatsubaraRule


def sns(length: float, cells: int, temperature: float = 0.05) -> Device:
    """A normal wire, ``length`` ξ long, between bulk superconductors of gap Δ0."""
    mesh = shape_mesh(
        "grid1d", Lx=length * XI, nx=cells, regions={"N": (0.0, length * XI)}, comm=MPI.COMM_SELF
    )
    ends = [Reservoir(name, (name,), temperature, METAL.gap) for name in ("left", "right")]
    return Device(mesh, METAL, [], ends, width=WIDTH, thickness=THICKNESS, regions={"N": NORMAL})


@pytest.mark.parametrize("temperature", [pytest.param(0.05, marks=pytest.mark.slow), 1.0])
def test_short_link_is_a_dirty_point_contact(temperature: float) -> None:
    """Kulik and Omelyanchuk, JETP Lett. 21, 96 (1975): current and minigap of a short diffusive link."""
    device = sns(0.01, 24, temperature)
    link = WeakLink(device, 1e-6)
    t = device.bath
    gap = float(equilibrium_gap(t, 0.0, 0.0))
    omega = (2 * np.arange(400_000) + 1) * np.pi * t
    for phase in (0.7, 2.5):
        cos, sin = np.cos(0.5 * phase) * gap, np.sin(0.5 * phase) * gap
        root = np.sqrt(omega**2 + cos**2)
        expected = 4.0 * np.pi * t * UNIT / 0.01 * np.sum(cos / root * np.arctan(sin / root))
        # Of the length, in proportion to it; and of bends of the angle by a tenth of the phase a cell.
        assert link.currents([0.0, phase])[0] == pytest.approx(expected * device.voltage_unit, rel=3e-3)
        if temperature < 0.1 and phase > 2.0:
            assert link.minigap([0.0, phase]) == pytest.approx(cos, rel=2e-3)


@pytest.mark.slow
def test_long_link() -> None:
    """Minigap 3.12 E_Th, which a phase closes; critical current 10.82 E_Th/eR at a phase of 1.27 π/2.

    Zhou et al., J. Low Temp. Phys. 110, 841 (1998); Dubos et al., Phys. Rev. B 63, 064502 (2001).
    """
    length = 60.0
    device = sns(length, 40, 3e-4)
    link, thouless = WeakLink(device, 1e-8), length**-2
    gaps = [
        link.minigap([0.0, part * np.pi], highest=5.0 * thouless, accuracy=2e-3) / thouless
        for part in (0.0, 0.5, 0.95)
    ]
    assert gaps[0] == pytest.approx(3.12, rel=5e-3)
    assert gaps[0] > gaps[1] > 5.0 * gaps[2] > 0.0
    phases = np.pi * np.array([0.55, 0.63, 0.72])
    currents = np.array([link.currents([0.0, phase])[0] for phase in phases])
    currents *= length / (UNIT * thouless * device.voltage_unit)
    assert currents.max() == pytest.approx(10.82, rel=1e-2)
    assert phases[np.argmax(currents)] == pytest.approx(1.27 * np.pi / 2, abs=0.15)


def test_states_without_a_phase_difference() -> None:
    """Those of the equation for one angle; fluxes differ by the third power of the angle between cells."""
    z = np.array([0.1 + 0.01j, 0.7 + 0.01j, 1.3 + 0.01j])
    errors = []
    for cells in (20, 40):
        device = line(3.0, cells, left=1.0, right=1.0, normal=(0.0, 3.0))
        x = WeakLink(device, 0.01).solve(z, [0.4, 0.4])
        np.testing.assert_allclose(x[:, 0] * np.exp(-0.4j), x[:, 1] * np.exp(0.4j), rtol=1e-6)
        errors.append(np.abs(2.0 * np.arctan(x[:, 0] * np.exp(-0.4j)) - angles(device, z)).max())
    assert errors[1] < 3e-3 and np.log2(errors[0] / errors[1]) > 1.8


@pytest.mark.slow
def test_currents_of_a_junction_of_three() -> None:
    """What flows in flows out; all phases turned, or all reversed; no current at the mean phase."""
    turn = 2.0 * np.pi * np.arange(3) / 3.0
    star = Network(
        [(0.0, 0.0), *(2.0 * np.array([np.cos(turn), np.sin(turn)]).T)],
        [(0, 1), (0, 2), (0, 3)],
        {"N": [0, 1, 2]},
        {},
    )
    mesh = star.mesh(8, scale=XI)
    ends = [Reservoir(f"S{k}", (f"end{k}",), 0.1, METAL.gap) for k in range(3)]
    link = WeakLink(Device(mesh, METAL, [], ends, width=WIDTH, thickness=THICKNESS, regions={"N": NORMAL}))
    phases = np.array([0.0, 0.9, 2.1])
    found = link.currents(phases)
    assert abs(found.sum()) < 1e-9 * np.abs(found).max() and found[0] > 0.0 > found[2]
    np.testing.assert_allclose(link.currents(phases + 1.3), found, rtol=1e-9, atol=1e-9 * found.max())
    np.testing.assert_allclose(link.currents(-phases), -found, rtol=1e-9, atol=1e-9 * found.max())
    even = link.currents([-0.8, 0.0, 0.8])
    assert abs(even[1]) < 1e-9 * even[0] and even[0] == pytest.approx(-even[2], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("accuracy", "broadening"), [(1e-3, 1e-4), (1e-6, 1e-11)])
def test_minigap_honours_its_accuracy(accuracy: float, broadening: float) -> None:
    """Δ|cos(φ/2)| of a link of L → 0 (deviations of the order of L), whatever Γ."""
    found = WeakLink(sns(3e-4, 8), broadening).minigap([0.0, 2.5], accuracy=accuracy)
    assert found / np.cos(1.25) == pytest.approx(1.0, abs=0.5 * accuracy + 1.5e-6)


@pytest.mark.slow
def test_minigap_of_a_long_link() -> None:
    """That of a wire of half the length (first integral), of second order in the cells."""
    exact = exact_minigap(5.0)
    coarse, fine = (WeakLink(sns(10.0, n), 1e-5).minigap([0.0, 0.0], accuracy=1e-5) for n in (16, 32))
    assert fine == pytest.approx(exact, rel=2e-3)
    assert fine + (fine - coarse) / 3.0 == pytest.approx(exact, rel=3e-4)


def test_minigap_below_a_larger_gap() -> None:
    """Reservoirs of 2 Δ0: the search begins at their gap."""
    device = sns(3e-4, 4)
    device.reservoirs[:] = [replace(each, gap=2.0 * METAL.gap) for each in device.reservoirs]
    assert WeakLink(device).minigap([0.0, 0.7]) == pytest.approx(2.0 * np.cos(0.35), rel=1e-3)


@pytest.mark.parametrize("energy", [1e-12, 0.3, 1.0])
def test_little_broadening(energy: float) -> None:
    """A short link at all energies: G of a dirty point contact, whose F at the edge is as large as 1/√Γ.

    In its middle ``G = z/√(z² − Δ² cos²(φ/2))``: by symmetry, the mean of both sides over its norm.
    """
    broadening, phase = 1e-11, 0.7
    z = energy + 1j * broadening
    found = WeakLink(sns(0.03, 25), broadening).dos([energy], [0.0, phase])[12, 0]
    exact = -1j * z / np.sqrt(np.cos(0.5 * phase) ** 2 - z**2 + 0j)
    assert found == pytest.approx(abs(exact.real), rel=3e-3)


@pytest.mark.slow
def test_currents_at_any_temperature() -> None:
    """They stay as they are below the smallest energy of the link (1e-2 Δ0)."""
    cold = [WeakLink(sns(10.0, 12, t)).currents([0.0, 1.0])[0] for t in (1e-4, 1e-7, 1e-12)]
    np.testing.assert_allclose(cold, cold[0], rtol=1e-3)


@pytest.mark.parametrize("temperature", [0.3, 1e-3, 1e-7, 1e-12, 0.0])
def test_sums_over_frequencies(temperature: float) -> None:
    """``2πt Σ 1/(ω² + 1) = (π/2) tanh(1/2t)``."""
    rule = MatsubaraRule.at(temperature)
    exact = 0.5 * np.pi * (np.tanh(0.5 / temperature) if temperature > 0.0 else 1.0)
    assert rule.weights @ (1.0 / (rule.frequencies**2 + 1.0)) == pytest.approx(exact, rel=1e-11)


def test_density_of_states_fills_at_pi() -> None:
    link = WeakLink(sns(3.0, 31), 1e-4)
    middle = link.dos([0.01], [0.0, np.pi])[15, 0]
    assert middle == pytest.approx(1.0, abs=1e-3)
    assert link.dos([0.01], [0.0, 0.0]).max() < 0.01
    assert link.minigap([0.0, np.pi]) == 0.0


def test_messages() -> None:
    device = sns(1.0, 4)
    with pytest.raises(CaseError, match="1 phases for 2 reservoirs"):
        WeakLink(device).currents([0.0])
    with pytest.raises(CaseError, match="a part of the device is superconducting"):
        WeakLink(line(1.0, 4))
    probe = Junction("A", "N", 1e-6, "injector", 0.05)
    with pytest.raises(CaseError, match="tunnel junctions or interfaces"):
        WeakLink(
            Device(
                device.mesh,
                METAL,
                [probe],
                device.reservoirs,
                width=WIDTH,
                thickness=THICKNESS,
                regions={"N": NORMAL},
            )
        )
