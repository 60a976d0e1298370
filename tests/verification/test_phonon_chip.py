"""Phonons that fly through a chip and end in pads on it, against flights that are followed one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numba import njit
from transport_problems import gmsh_model

import fvqp

SIZE = np.array([2e-3, 1e-3, 3e-4])
"""Sides of the chip, metres."""
PADS = np.array([[4e-4, 2.5e-4], [1.6e-3, 2.5e-4], [4e-4, 7.5e-4], [1.6e-3, 7.5e-4]])
"""Centres of square pads on its upper face, 120 um wide."""
HALF, SPEED, SOURCE, SPREAD = 6e-5, 5.9e3, np.array([7e-4, 4e-4, 1.5e-4]), 6e-5
EXITS = ["pad0", "pad1", "pad2", "pad3", "bottom"]


@njit
def flights(start, pads, half, taken, below, size, speed, end, random):
    """Time and exit (a pad, or -1 for the bottom, -2 for none) of phonons that walls scatter diffusely."""
    time, exits = np.full(len(start), np.inf), np.full(len(start), -2)
    for i in range(len(start)):
        x, now = start[i].copy(), 0.0
        cosine, angle = 2.0 * random.random() - 1.0, 2.0 * np.pi * random.random()
        sine = np.sqrt(1.0 - cosine * cosine)
        way = np.array([sine * np.cos(angle), sine * np.sin(angle), cosine])
        while True:
            nearest, axis = np.inf, 0
            for k in range(3):
                if way[k] != 0.0:
                    length = ((size[k] if way[k] > 0.0 else 0.0) - x[k]) / way[k]
                    if length < nearest:
                        nearest, axis = length, k
            now += nearest / speed
            if now > end:
                break
            up = way[axis] > 0.0
            for k in range(3):
                x[k] += nearest * way[k]
            x[axis] = size[axis] if up else 0.0
            place, share = -2, 0.0
            if axis == 2 and not up:
                place, share = -1, below
            elif axis == 2:
                for pad in range(len(pads)):
                    if abs(x[0] - pads[pad, 0]) < half and abs(x[1] - pads[pad, 1]) < half:
                        place, share = pad, taken
            if random.random() < share:
                time[i], exits[i] = now, place
                break
            # Lambert's law
            sine, angle = np.sqrt(random.random()), 2.0 * np.pi * random.random()
            way[axis] = np.sqrt(1.0 - sine * sine) * (-1.0 if up else 1.0)
            way[(axis + 1) % 3], way[(axis + 2) % 3] = sine * np.cos(angle), sine * np.sin(angle)
    return time, exits


def expected(times: np.ndarray, number: int) -> np.ndarray:
    """Parts of the phonons that have left by every exit at every time."""
    random = np.random.default_rng(1)
    start = SOURCE + SPREAD * random.normal(size=(number, 3))
    start = start[np.all((start > 0.0) & (start < SIZE), axis=1)]
    time, exits = flights(start, PADS, HALF, 0.3, 0.05, SIZE, SPEED, times[-1], random)
    gone = [np.sort(time[exits == place]) for place in (0, 1, 2, 3, -1)]
    return np.stack([np.searchsorted(one, times, side="right") for one in gone], axis=1) / len(start)


def chip(path: Path, size: float) -> None:
    """A mesh of tetrahedra up to ``size`` µm wide, whose boundaries are pads, bottom and the rest."""
    with gmsh_model(3, size, path) as gmsh:
        occ = gmsh.model.occ
        box = occ.addBox(0, 0, 0, *(1e6 * SIZE))
        width = 2e6 * HALF
        pads = [occ.addRectangle(*(1e6 * (pad - HALF)), 300, width, width) for pad in PADS]
        _, parts = occ.fragment([(3, box)], [(2, pad) for pad in pads])
        occ.synchronize()
        named = [[tag for _, tag in of_pad] for of_pad in parts[1:]]
        rest = {tag for _, tag in gmsh.model.getEntities(2)} - {tag for tags in named for tag in tags}
        bottom = [tag for tag in rest if abs(occ.getCenterOfMass(2, tag)[2]) < 1e-6]
        gmsh.model.addPhysicalGroup(3, [tag for _, tag in gmsh.model.getEntities(3)], name="chip")
        for name, tags in zip([*EXITS, "bare"], [*named, bottom, sorted(rest - set(bottom))], strict=True):
            gmsh.model.addPhysicalGroup(2, tags, name=name)


def flown(
    path: Path, directions: int, width: float = 1.0, **evolution: object
) -> tuple[np.ndarray, np.ndarray]:
    """Times, and parts of the energy that have left by every exit; bins are ``width`` Δ0 wide."""
    walls = {name: {"transmission": 0.3} for name in EXITS[:4]}
    walls |= {"bottom": {"transmission": 0.05}, "bare": {"transmission": 0.0}}
    pulse = {"of": "phonons", "centre": "3 Delta0", "width": "1 Delta0", "energy": "1 keV"}
    pulse |= {"position": [f"{x} m" for x in SOURCE], "size": f"{SPREAD} m"}
    insulator = {"insulator": True, "ion_density": "5e28 1/m^3", "debye_energy": "60 meV"}
    case = {
        "model": "transport",
        "material": {"name": "Al"},
        "mesh": {"file": str(path), "length_unit": "um"},
        "energies": {"maximum": "4 Delta0", "width": f"{width} Delta0"},
        "gap": {"model": "fixed"},
        "quasiparticles": {"motion": "still"},
        "phonons": {
            "motion": "ordinates",
            "directions": directions,
            "azimuths": directions,
            "sound_velocity": f"{SPEED} m/s",
            "walls": walls,
        },
        "regions": {"chip": insulator | {"sound_velocity": f"{SPEED} m/s"}},
        "initial": {"pulses": [pulse]},
        "bath": {"temperature": "10 mK"},
        "evolution": {"points_per_decade": 4} | evolution,
    }
    data = fvqp.run(case).dataset
    left = data["energy_escaped_by"].sel(exit=EXITS).values / data["energy_ph"].values[0]
    return data["time"].values[1:], left[1:]


@pytest.mark.slow
def test_coarse_chip(tmp_path):
    chip(tmp_path / "chip.msh", 400.0)
    times, left = flown(tmp_path / "chip.msh", 4, start="1 us", end="10 us", tolerance=0.2)
    exact = expected(times, 100_000)
    assert np.abs(left / exact[-1] - exact / exact[-1]).max() < 0.08
    assert exact[-1].sum() > 0.8


@pytest.mark.slow
def test_chip(tmp_path):
    """To 2 % of what the fullest pad takes in all; after a microsecond, to 4 % of what every exit has."""
    chip(tmp_path / "chip.msh", 130.0)
    times, left = flown(tmp_path / "chip.msh", 8, start="10 ns", end="100 us", tolerance=0.05)
    exact = expected(times, 2_000_000)
    assert np.abs(left - exact)[:, :4].max() < 0.02 * exact[-1, :4].max()
    later = times > 1e-6
    assert np.abs(left[later] / exact[later] - 1.0).max() < 0.04
