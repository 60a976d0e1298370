"""Dirichlet's and Robin's conditions of diffusion in cases: exact solutions, balances, limits, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from said import Said
from scipy import constants
from scipy.optimize import brentq
from transport_cases import FILM, FLYING

import fvqp
from fvqp.errors import CaseError
from fvqp.transport.walls import BathFunction, Wall

SPEED, PATH, LENGTH, CELLS = 4e3, 0.3e-6, 10e-6, 20
DIFFUSIVITY = SPEED * PATH / 3.0

SLAB: dict[str, Any] = {
    "model": "transport",
    "material": {"name": "Al"},
    "mesh": {"shape": {"kind": "grid1d", "nx": CELLS, "Lx": f"{LENGTH} m"}},
    "energies": {"maximum": "3 Delta0", "width": "0.25 Delta0"},
    "gap": {"model": "fixed"},
    "phonons": {"motion": "diffusive", "sound_velocity": f"{SPEED} m/s", "free_path": f"{PATH} m"},
    "collisions": {"inelastic": False},
    "bath": {"temperature": "10 mK"},
    "output": {"occupations": True},
}
"""Phonons that only diffuse."""
QUASIPARTICLES = {
    "phonons": {},
    "quasiparticles": {"motion": "diffusive", "diffusivity": "20 cm^2/s"},
}
"""Changes: quasiparticles in place of phonons."""
STEADY: dict[str, Any] = {"steady_state": {"tolerance": 1e-10}}


def run(changes: dict[str, Any]) -> xr.Dataset:
    return fvqp.run(changed(SLAB, changes)).dataset


def thermal(found: xr.Dataset, temperature: float, sign: float) -> np.ndarray:
    """Equilibrium at the energies of results; ``sign`` 1 of fermions, −1 of bosons."""
    energies = found["energy" if sign > 0.0 else "omega"].values * constants.e
    return np.asarray(1.0 / (np.exp(energies / (constants.k * temperature)) + sign))


@pytest.mark.parametrize("species", ["quasiparticles", "phonons"])
def test_a_steady_profile_is_linear_between_given_occupations(species: str) -> None:
    """``∇·(D(E) ∇f) = 0`` with another D in one half: two lines with the same flux at every energy."""
    quasi = species == "quasiparticles"
    name, coordinate = ("f", "energy") if quasi else ("n", "omega")
    half = {"diffusivity": "5 cm^2/s"} if quasi else {"phonon_free_path": f"{PATH / 4.0} m"}
    changes = {
        **(QUASIPARTICLES if quasi else {}),
        **STEADY,
        "mesh.shape.regions": {"half": [f"{LENGTH / 2.0} m", f"{LENGTH} m"]},
        "regions": {"half": half},
        f"{species}.walls": {
            "left": {"kind": "dirichlet", "temperature": "2 K"},
            "right": {"kind": "dirichlet", "occupation": "0.1*exp(-E/(0.3 meV))"},
        },
    }
    found = run(changes)
    x = (np.arange(CELLS) + 0.5) / CELLS
    # resistances in series: the second half has four times that of the first one
    share = np.where(x < 0.5, x, 0.5 + 4.0 * (x - 0.5)) / 2.5
    volts = found[coordinate].values
    right = 0.1 * np.exp(-volts / 0.3e-3)
    # bins of quasiparticles hold means of equilibrium
    left = found[name].values[0][0] if quasi else thermal(found, 2.0, -1.0)
    if quasi:
        first = share[0]
        left = (left - first * right) / (1.0 - first)
        moving = volts > found.attrs["delta0_eV"] * 1.3
        np.testing.assert_allclose(left[moving], thermal(found, 2.0, 1.0)[moving], rtol=2e-2)
    expected = left + share[:, None] * (right - left)
    there = volts > found.attrs["delta0_eV"] * (1.3 if quasi else 0.0)
    np.testing.assert_allclose(found[name].values[0][:, there], expected[:, there], rtol=1e-7)


def robin_rate(velocity: float) -> tuple[float, float]:
    """Wave number and rate of the slowest decay between two walls: ``k tan(kL/2) = h/D``."""
    k = brentq(lambda k: k * np.tan(k * LENGTH / 2.0) - velocity / DIFFUSIVITY, 1e-9, (np.pi - 1e-9) / LENGTH)
    return float(k), DIFFUSIVITY * float(k) ** 2


def slab_of(velocity: float | None, wall: dict[str, Any], tolerance: float = 1e-3) -> xr.Dataset:
    """A decay from its slowest mode, that of a velocity or of empty walls."""
    k, rate = (np.pi / LENGTH, 0.0) if velocity is None else robin_rate(velocity)
    rate = rate or DIFFUSIVITY * k**2
    profile = f"cos({k}*(x - {LENGTH / 2.0}))"
    pulse = {"of": "phonons", "centre": "3 Delta0", "width": "0.5 Delta0", "peak": 0.01, "profile": profile}
    ends = {"left": wall, "right": wall}
    times = {
        "start": f"{0.5 / rate} s",
        "end": f"{2.0 / rate} s",
        "points_per_decade": 4,
        "tolerance": tolerance,
    }
    return run({"phonons.walls": ends, "initial": {"pulses": [pulse]}, "evolution": times})


def balanced(found: xr.Dataset) -> None:
    """Energy is kept, and what left by walls is what is missing."""
    total = found["energy_ph"].values + found["energy_qp"].values
    size = np.abs(total).max()
    assert np.abs(found["energy_residual"].values).max() < 1e-10 * size
    left = found["energy_escaped_by"].sum("exit").values
    assert np.abs(total[0] - total - left).max() < 1e-10 * size


@pytest.mark.parametrize(
    "velocity",
    [pytest.param(20.0, marks=pytest.mark.slow), 200.0, pytest.param(5e4, marks=pytest.mark.slow)],
)
def test_decay_of_a_slab(velocity: float) -> None:
    """The slowest mode decays by the rate of the tangent equation; errors of finite volumes are below."""
    found = slab_of(velocity, {"kind": "robin", "velocity": f"{velocity} m/s"})
    _, rate = robin_rate(velocity)
    energy, time = found["energy_ph"].values, found["time"].values
    measured = np.log(energy[1] / energy[-1]) / (time[-1] - time[1])
    assert measured == pytest.approx(rate, rel=5e-3)
    balanced(found)
    halves = found["phonons_escaped_by"].values
    np.testing.assert_allclose(halves[:, 0], halves[:, 1], rtol=1e-9, atol=1e-9 * halves.max())


def test_limits_of_the_surface_velocity() -> None:
    """Large velocities give the occupation, small ones close the wall, one of them is Marshak's."""
    ends = {
        "fast": {"kind": "robin", "velocity": "1e8 m/s"},
        "given": {"kind": "dirichlet"},
        "slow": {"kind": "robin", "velocity": "1 nm/s"},
        "closed": {},
        "marshak": {"transmission": 0.5},
        "same": {"kind": "robin", "velocity": f"{SPEED / 4.0 * 0.5 / 0.75} m/s"},
    }
    energy = {name: slab_of(None, wall, 0.01)["energy_ph_cell"].values[-1] for name, wall in ends.items()}
    np.testing.assert_allclose(energy["fast"], energy["given"], rtol=1e-4)
    np.testing.assert_allclose(energy["slow"], energy["closed"], rtol=1e-9)
    np.testing.assert_allclose(energy["same"], energy["marshak"], rtol=1e-12)
    assert energy["given"].sum() < 0.95 * energy["marshak"].sum() < 0.9 * energy["closed"].sum()


def test_both_species_share_a_wall_and_its_ledger() -> None:
    """Quasiparticles enter where phonons leave, with collisions: the balance of the wall is kept."""
    found = run(
        {
            "quasiparticles": {
                "motion": "diffusive",
                "diffusivity": "20 cm^2/s",
                "walls": {"left": {"kind": "dirichlet", "temperature": "0.8 K"}},
            },
            "phonons.walls": {
                "left": {"kind": "robin", "velocity": "1 km/s"},
                "right": {"kind": "dirichlet", "temperature": "0.2 K"},
            },
            "collisions": {"inelastic": True},
            "evolution": {"start": "0.1 ns", "end": "20 ns", "points_per_decade": 1, "tolerance": 1e-2},
        }
    )
    balanced(found)
    ends = found["exit"].values.tolist()
    energy = found["energy_escaped_by"].values[-1]
    assert sorted(ends) == ["left", "right"]
    assert energy[ends.index("left")] < 0.0 < energy[ends.index("right")]
    assert found["quasiparticles_escaped_by"].values[-1, ends.index("left")] < 0.0


def test_an_occupation_that_varies_along_walls() -> None:
    """``1 + xy/L²`` on the sides of a square is that inside, which is harmonic."""
    wall = {"kind": "dirichlet", "occupation": "exp(-E/(1 meV))*(1 + x*y/(2 um)^2)"}
    found = run(
        {
            **STEADY,
            "mesh.shape": {"kind": "grid2d", "nx": 4, "ny": 4, "Lx": "2 um", "Ly": "2 um"},
            "phonons.walls": dict.fromkeys(("left", "right", "bottom", "top"), wall),
        }
    )
    at = (np.arange(4) + 0.5) / 4.0
    place = np.array([x * y for y, x in itertools.product(at, at)])
    expected = np.exp(-found["omega"].values / 1e-3) * (1.0 + place[:, None])
    np.testing.assert_allclose(found["n"].values[0], expected, rtol=1e-7)


def test_an_occupation_that_rises() -> None:
    """Walls whose occupation rises as ``at`` leave a body behind by ``a x (L − x)/2D``."""
    end = LENGTH**2 / DIFFUSIVITY
    wall = {"kind": "dirichlet", "occupation": f"t/({end})", "duration": f"{end} s"}
    found = run(
        {
            "energies.width": "0.5 Delta0",
            "phonons.walls": {"left": wall, "right": wall},
            "evolution": {"start": f"{end / 2.0} s", "end": f"{end} s", "tolerance": 2e-3},
        }
    )
    balanced(found)
    behind = 1.0 - found["n"].values[-1]
    x = (np.arange(CELLS) + 0.5) / CELLS * LENGTH
    expected = x * (LENGTH - x) / (2.0 * DIFFUSIVITY * end)
    inside = slice(7, -7)  # the steps of the walls are felt near them
    np.testing.assert_allclose(behind[inside], np.tile(expected[inside, None], behind.shape[1]), rtol=1e-2)


def test_means_in_time() -> None:
    """Means of intervals, the ends before and after; velocities and ordinates that are refused."""
    rising = BathFunction(lambda points, t: np.full((len(points), 2), t**2), np.array([0.0, 1.0, 3.0]))
    points = np.zeros((4, 3))
    for time, value in ((-1.0, 0.0), (0.5, 1.0 / 3.0), (1.0, 13.0 / 3.0), (9.0, 9.0)):
        np.testing.assert_allclose(rising.at(points, time), np.full((4, 2), value), rtol=1e-14)
    with pytest.raises(CaseError, match="velocity must not be negative"):
        Wall(velocity=-1.0)
    assert not Wall(velocity=0.0).passes and Wall(velocity=np.inf).passes


GIVEN = {"kind": "dirichlet"}
WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (FILM, {"quasiparticles.walls.left": {"kind": "robin"}}, "quasiparticles.walls.left"),
    (
        FILM,
        {"quasiparticles.walls.left": {"kind": "robin", "velocity": "1 s"}},
        "quasiparticles.walls.left",
    ),
    (
        FILM,
        {"quasiparticles.walls.left": {**GIVEN, "velocity": "1 m/s"}},
        "velocity: unknown key (allowed: kind, temperature, occupation, duration)",
    ),
    (
        FILM,
        {"quasiparticles.walls.left": {**GIVEN, "temperature": "1 K", "occupation": "0.1"}},
        "occupation: is not used with temperature",
    ),
    (FILM, {"quasiparticles.walls.left": {**GIVEN, "occupation": "u"}}, "allowed: x, y, z, r, t, E"),
    (FILM, {"quasiparticles.walls.left": {**GIVEN, "occupation": "t/(1 ns)"}}, "duration: missing"),
    (
        FILM,
        {"quasiparticles.walls.left": {**GIVEN, "occupation": "0.1", "duration": "1 ns"}},
        "duration: is not used",
    ),
    (
        FILM,
        {"quasiparticles.walls.left": {**GIVEN, "occupation": "t/(2 ns)", "duration": "4 ns"}},
        "quasiparticles.walls.left.occupation: is 1.0",
    ),
    (
        FILM,
        {"quasiparticles.walls.left": {**GIVEN, "occupation": "0.1*y/(1 um) - 0.1"}},
        'quasiparticles.walls.left.occupation: "0.1*y/(1 um) - 0.1" is -0.05 at',
    ),
    (
        FILM,
        {
            "quasiparticles.walls.left": {**GIVEN, "occupation": "t/(9 ns)", "duration": "4 ns"},
            "evolution": None,
            "steady_state": {},
        },
        "quasiparticles.walls.left.occupation: depends on t and needs [evolution]",
    ),
    (FILM, {**FLYING, "phonons.walls": {"left": GIVEN}}, 'phonons.walls.left.kind: "dirichlet" needs motion'),
    (
        FILM,
        {**FLYING, "phonons.walls": {"left": {"transmission": 1.0, "occupation": "0.1 + x/(1 m)"}}},
        'phonons.walls.left.occupation: depends on x; with motion = "ordinates"',
    ),
]


@pytest.mark.parametrize(("base", "changes", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_messages(said: Said, base: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    code, text = said(base, changes)
    assert code == 2 and words in text and "case.toml" in text
