"""Kinetic Monte Carlo of localized quasiparticles against exact small systems, limits and itself."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from fvqp.errors import CaseError, CheckpointError
from fvqp.mesh import shape_mesh
from fvqp.models.localized import (
    BurstingBubbles,
    Estimate,
    Simulation,
    TailAnnihilation,
    box,
    estimate,
    layout,
    measure_steady,
    mesh_domain,
)
from fvqp.models.localized.pairs import stationary
from fvqp.models.localized.rates import pair_rate

UNIT = TailAnnihilation(1.0, 1.0)


def replicas(places: np.ndarray, n: int, spin: list[int] | None = None, **options: object) -> Simulation:
    """``n`` copies of a cluster in an open box, so far apart that they do not know of each other."""
    side = math.ceil(n ** (1 / 3))
    lattice = 400.0 * np.stack(np.unravel_index(np.arange(n), (side,) * 3), axis=1) + 100.0
    at = (lattice[:, None, :] + places).reshape(-1, 3)
    simulation = Simulation(box((400.0 * side + 200.0,) * 3, periodic=False), UNIT, **options)  # type: ignore[arg-type]
    simulation.place(at, None if spin is None else np.tile(spin, n))
    return simulation


@pytest.mark.parametrize("near", [0.0, 2.0, 20.0])
def test_lifetime_of_a_pair(near: float) -> None:
    n, distance = 2000, 2.5
    simulation = replicas(np.array([[0, 0, 0], [0, distance, 0]]), n, seed=7, near_radius=near)
    rate = float(pair_rate(distance))
    times = np.array([0.3, 1.0, 2.0]) / rate
    found = simulation.advance(times)
    alive = found.number[1:] / 2
    expected = n * np.exp(-rate * times)
    assert np.all(np.abs(alive - expected) < 4.0 * np.sqrt(expected * (1.0 - expected / n)))
    assert np.array_equal(found.number[:-1] - 2 * found.annihilated, found.number[1:])


@pytest.mark.parametrize("near", [pytest.param(0.0, marks=pytest.mark.slow), 3.0, None])
def test_three_particles_by_their_master_equation(near: float | None) -> None:
    places = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.5, 0.0]])
    n = 800
    rates = np.array(
        [float(pair_rate(np.linalg.norm(places[i] - places[j]))) for i, j in ((0, 1), (0, 2), (1, 2))]
    )
    simulation = replicas(places, n, seed=8, near_radius=near)
    half = simulation.advance([0.7 / rates.sum()])
    expected = n * math.exp(-0.7)
    assert abs((half.number[-1] - n) / 2 - expected) < 4.0 * math.sqrt(expected * (1.0 - math.exp(-0.7)))
    simulation.advance([60.0 / rates.sum()])
    assert simulation.number == n
    left = np.mod(simulation.positions - 100.0, 400.0)
    survivors = [np.count_nonzero(np.all(np.abs(left - place) < 1e-6, axis=1)) for place in places]
    # Who survives: the one that is not of the pair, in proportion to the rates of pairs 12, 02, 01.
    assert stats.chisquare(survivors, n * rates[[2, 1, 0]] / rates.sum()).pvalue > 1e-4


def test_four_particles_with_spin_by_enumeration() -> None:
    places = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.5, 0.0], [1.0, 0.0, 3.0]])
    spin, n = [1, -1, 1, -1], 5000
    pairs = [(0, 1), (0, 3), (2, 1), (2, 3)]
    rates = {p: float(pair_rate(np.linalg.norm(places[p[0]] - places[p[1]]))) for p in pairs}
    total = sum(rates.values())
    time = 1.0 / total
    # Two annihilations at most: the second is the pair of the other two.
    none = math.exp(-total * time)
    one = 0.0
    for up, down in pairs:
        other = rates[2 - up, 4 - down]
        # ∫ rate e^{-total s} e^{-other (t - s)} ds
        one += rates[up, down] * (math.exp(-other * time) - none) / (total - other)
    found = replicas(places, n, spin, seed=9, spins=True).advance([time])
    mean = 4.0 * none + 2.0 * one
    variance = 16.0 * none + 4.0 * one - mean**2
    assert abs(found.number[-1] / n - mean) < 4.0 * math.sqrt(variance / n)
    assert found.up[-1] * 2 == found.number[-1]


def test_spin_flips_alone() -> None:
    n = 4000
    simulation = replicas(np.zeros((1, 3)), n, [1], seed=10, spins=True, flip_rate=0.5)
    found = simulation.advance([0.4, 1.0, 3.0])
    expected = 0.5 * n * (1.0 + np.exp(-2.0 * 0.5 * found.time[1:]))
    assert np.all(np.abs(found.up[1:] - expected) < 4.0 * math.sqrt(0.25 * n))
    assert found.flipped.sum() == pytest.approx(0.5 * 3.0 * n, abs=4.0 * math.sqrt(0.5 * 3.0 * n))


@pytest.mark.slow
def test_dense_limit_is_mean_field_with_its_first_correction() -> None:
    square, _ = quad(lambda x: 4.0 * math.pi * x * x * float(pair_rate(x)) ** 2, 0.0, 40.0)
    alpha = 1.0
    assert stationary(np.array([alpha]))[0] == pytest.approx(1.0 + 0.25 * square, rel=1e-4)
    found = measure_steady(Simulation(box((26.0,) * 3), UNIT, generation=alpha, seed=11), 0.002)
    assert abs(found.concentration.mean - 1.0) < 4.0 * found.concentration.error
    assert found.concentration.error <= 0.002


def agree(results: list[Estimate]) -> None:
    """Independent estimates of one number differ by their errors only."""
    means, errors = np.array([[one.mean, one.error] for one in results]).T
    chi2 = np.sum(((means - np.average(means, weights=errors**-2)) / errors) ** 2)
    assert chi2 < stats.chi2.isf(1e-4, len(means) - 1)
    assert np.all(errors < 0.009 * means)


def concentration(edge: float, seed: int, near: float | None = None) -> Estimate:
    simulation = Simulation(box((edge,) * 3), UNIT, generation=1e-4, seed=seed, near_radius=near)
    return measure_steady(simulation, 0.008).concentration


@pytest.mark.slow
def test_near_radius_does_not_matter() -> None:
    """Which pairs get times of their own. In the last one a cell and its image are within the near radius."""
    agree(
        [
            concentration(edge, seed, near)
            for edge, near, seed in ((60, 0, 1), (60, 3, 2), (60, 8, 3), (40, 18, 4))
        ]
    )


@pytest.mark.slow
def test_reach_of_the_table_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it one bound serves for all pairs: none is cut off."""
    results = []
    for seed, reach in ((5, 4.0), (6, 9.0), (7, 30.0)):
        monkeypatch.setattr(layout, "_beyond", lambda *_, reach=reach: reach)
        results.append(concentration(60.0, seed, 3.0))
    agree(results)


@pytest.mark.slow
def test_size_of_the_box_does_not_matter() -> None:
    agree([concentration(edge, seed) for edge, seed in ((26.0, 8), (40.0, 9), (60.0, 10), (90.0, 11))])


@pytest.mark.slow
def test_counts_are_exact_and_generation_switches_off() -> None:
    simulation = Simulation(box((40.0, 40.0, 30.0), (True, True, False)), UNIT, generation=1e-3, seed=12)
    on = simulation.advance(np.linspace(100.0, 1000.0, 10))
    assert np.array_equal(np.diff(on.number), on.generated - 2 * on.annihilated)
    expected = 1e-3 * 48000.0 * 1000.0
    assert abs(on.generated.sum() - expected) < 4.0 * math.sqrt(expected)
    simulation.set_generation(0.0)
    off = simulation.advance([2000.0, 1e5, 1e9])
    assert off.generated.sum() == 0
    assert off.number[-1] < off.number[0] / 3
    at = simulation.positions
    assert at.shape == (simulation.number, 3) and np.all(at >= 0.0) and np.all(at <= [40.0, 40.0, 30.0])


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    domain = box((40.0,) * 3)

    def start() -> Simulation:
        seed = np.random.SeedSequence(13).spawn(2)[1]
        return Simulation(domain, UNIT, generation=1e-3, spins=True, flip_rate=0.01, seed=seed)

    whole, parts = start(), start()
    whole.advance([3000.0])
    parts.advance([777.0, 1234.0])
    parts.save(tmp_path / "run.npz")
    resumed = Simulation.load(tmp_path / "run.npz", domain, UNIT)
    resumed.advance([1500.0, 3000.0])
    assert resumed.events == whole.events and resumed.number == whole.number
    assert np.array_equal(resumed.positions, whole.positions) and np.array_equal(resumed.spin, whole.spin)
    assert resumed.seed.spawn_key == (1,)
    with pytest.raises(CheckpointError, match="law differs"):
        Simulation.load(tmp_path / "run.npz", domain, TailAnnihilation(2.0, 1.0))
    with pytest.raises(CheckpointError, match="no such file"):
        Simulation.load(tmp_path / "other.npz", domain, UNIT)
    (tmp_path / "run.npz").write_bytes((tmp_path / "run.npz").read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="damaged"):
        Simulation.load(tmp_path / "run.npz", domain, UNIT)


@pytest.mark.slow
def test_units_scale_out() -> None:
    small = Simulation(box((30.0,) * 3), UNIT, generation=1e-2, seed=14)
    radius, constant = 1e-7, 40e-18
    law = TailAnnihilation(radius, constant)
    generation = 1e-2 / (radius**3 * law.time)
    large = Simulation(box((30.0 * radius,) * 3), law, generation=generation, seed=14)
    a, b = small.advance([500.0]), large.advance([500.0 * law.time])
    assert a.generated[0] == pytest.approx(b.generated[0], abs=4.0 * math.sqrt(a.generated[0]))
    assert b.concentration[0] * radius**3 == pytest.approx(a.concentration[0], rel=0.05)


def test_positions_follow_a_field_on_a_mesh() -> None:
    mesh = shape_mesh("grid2d", dx=np.array([1.0, 2.0, 4.0]), ny=2, dy=1.5)
    domain = mesh_domain(mesh, thickness=0.5)
    assert domain.volume == pytest.approx(7.0 * 3.0 * 0.5)
    field = np.arange(6.0)
    # So short that nothing annihilates.
    simulation = Simulation(domain, TailAnnihilation(1.0, 1e-12), generation=field * 1e3, seed=15)
    found = simulation.advance([1.0], cells=True)
    at = simulation.positions
    assert np.all((at[:, 2] >= 0.0) & (at[:, 2] <= 0.5))
    x = np.searchsorted([1.0, 3.0], at[:, 0])
    cell = x + 3 * (at[:, 1] > 1.5)
    weight = field * domain.cell_volume
    counts = np.bincount(cell, minlength=6)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], len(at) * weight[1:] / weight.sum()).pvalue > 1e-4
    assert stats.kstest(np.mod(at[:, 1], 1.5) / 1.5, "uniform").pvalue > 1e-4
    assert np.dot(found.cells[0], domain.cell_volume) == pytest.approx(found.mean[0], rel=1e-12)


@pytest.mark.parametrize(("shape", "options"), [("grid1d", {"cross_section": (1.0, 2.0)}), ("grid3d", {})])
def test_a_mesh_is_an_open_box(shape: str, options: dict[str, tuple[float, float]]) -> None:
    sides = {"Lx": 40.0, "nx": 4} | ({"Ly": 10.0, "ny": 3, "Lz": 8.0, "nz": 2} if shape == "grid3d" else {})
    domain = mesh_domain(shape_mesh(shape, **sides), **options)
    simulation = Simulation(domain, BurstingBubbles(0.01), generation=2000.0 / domain.volume, seed=16)
    simulation.advance([1.0])
    scaled = simulation.positions / domain.lengths
    for k in range(3):
        assert stats.kstest(scaled[:, k], "uniform").pvalue > 1e-4


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="edges must be positive"):
        box((1.0, -1.0, 1.0))
    with pytest.raises(CaseError, match="radius r_c: must be positive"):
        TailAnnihilation(0.0, 1.0)
    with pytest.raises(CaseError, match="generation: must not be negative"):
        Simulation(box((40.0,) * 3), UNIT, generation=-1.0)
    with pytest.raises(CaseError, match="periodic edge of 10 m is less than"):
        Simulation(box((10.0, 40.0, 40.0)), UNIT)
    with pytest.raises(CaseError, match="twice the distance"):
        Simulation(box((1.5,) * 3), BurstingBubbles(1.0))
    with pytest.raises(CaseError, match="no meaning without spins"):
        Simulation(box((40.0,) * 3), UNIT, flip_rate=1.0)
    with pytest.raises(CaseError, match="needs generation"):
        measure_steady(Simulation(box((40.0,) * 3), UNIT))
    with pytest.raises(CaseError, match="is not after the present"):
        Simulation(box((40.0,) * 3), UNIT).advance([0.0])
    with pytest.raises(CaseError, match="needs its thickness"):
        mesh_domain(shape_mesh("grid2d", nx=2, dx=1.0, ny=2, dy=1.0))
    with pytest.raises(CaseError, match="shape"):
        Simulation(box((40.0,) * 3), UNIT, generation=np.ones(3))
    polarized = Simulation(box((40.0,) * 3), UNIT, generation=1e-2, spins=True)
    assert "no steady state" in polarized.warnings[0]
    assert "particles are expected" in Simulation(box((40.0,) * 3), UNIT, generation=1e-12).warnings[0]


@pytest.mark.slow
def test_sources_in_a_small_part_of_the_domain_are_refused() -> None:
    """All of it in 1e-12 of the mesh: cells of one size cannot tell the particles apart."""
    corner = shape_mesh("grid3d", **{f"d{axis}": np.array([0.3, 3000.0]) for axis in "xyz"})
    field = np.where(corner.volume < 0.1, 1e12, 0.0)
    narrow = Simulation(mesh_domain(corner), TailAnnihilation(1.0, 1e-12), generation=field, seed=1)
    with pytest.raises(CaseError, match="quasiparticles gather in too small a part of the domain"):
        narrow.advance([1.0])


def test_progress_is_told() -> None:
    told: list[tuple[float, int]] = []
    simulation = Simulation(box((40.0,) * 3), UNIT, generation=1e-2, seed=17)
    found = simulation.advance([2.5, 5.0, 10.0], progress=lambda part, events: told.append((part, events)))
    assert [part for part, _ in told] == pytest.approx([0.25, 0.5, 1.0])
    assert told[-1][1] == simulation.events
    assert estimate(np.repeat(found.concentration, 4)).mean > 0.0


def test_room_of_the_queue_does_not_grow_from_epoch_to_epoch() -> None:
    simulation = Simulation(box((30.0,) * 3), UNIT, generation=1e-4, seed=17)
    engine, blocks = simulation._engine, []
    for time in np.arange(1, 6) * 3000.0:
        simulation.advance([time])
        blocks.append(len(engine.queue.blocks))
    assert simulation.events > 20 * simulation.number
    assert max(blocks) < 2 * min(blocks)
