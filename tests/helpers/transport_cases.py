"""Small cases of the transport model that several folders of tests share."""

from __future__ import annotations

from typing import Any

from case_keys import changed

_PULSE = {"of": "quasiparticles", "centre": "2 Delta0", "width": "0.25 Delta0", "size": "2 um", "peak": 0.3}

SPHERE: dict[str, Any] = {
    "model": "transport",
    "material": {"name": "Sn"},
    "body": {"geometry": "sphere", "radius": "10 um", "shells": 5},
    "energies": {"maximum": "3 Delta0", "width": "0.25 Delta0", "lowest_gap": "0.5 Delta0"},
    "quasiparticles": {
        "motion": "ordinates",
        "directions": 4,
        "fermi_velocity": "0.7e6 m/s",
        "free_path": "1 um",
    },
    "phonons": {
        "motion": "ordinates",
        "directions": 4,
        "sound_velocity": "2 km/s",
        "walls": {"outer": {"transmission": 0.5}},
    },
    "bath": {"temperature": "1 K"},
    "initial": {"pulses": [_PULSE]},
    "evolution": {"start": "10 ps", "end": "10 ns", "points_per_decade": 1, "tolerance": 0.1},
}
"""Hot quasiparticles at the centre of a sphere."""

APART: dict[str, Any] = {
    "body.shells": 12,
    "gap": {"model": "fixed"},
    "collisions": {"inelastic": False},
    "quasiparticles": {},
    "phonons": {
        "motion": "ordinates",
        "directions": 8,
        "sound_velocity": "2 km/s",
        "walls": {"outer": {"transmission": 1}},
    },
    "energies": {"maximum": "3 Delta0", "width": "0.5 Delta0", "lowest_gap": "1 Delta0"},
    "initial": {
        "temperature": "0.1 K",
        "pulses": [
            {"of": "phonons", "centre": "3 Delta0", "width": "0.6 Delta0", "size": "1 um", "peak": 1.0}
        ],
    },
    "bath.temperature": "0.1 K",
}
"""Changes of the sphere: phonons of all energies fly apart from its centre."""

FILM: dict[str, Any] = {
    "model": "transport",
    "material": {"name": "Al"},
    "mesh": {
        "shape": {
            "kind": "grid2d",
            "nx": 6,
            "ny": 2,
            "Lx": "6 um",
            "Ly": "2 um",
            "regions": {"trap": [["4 um", "6 um"], "all"], "strip": [["0 um", "1 um"], "all"]},
        }
    },
    "energies": {"maximum": "3 Delta0", "width": "0.25 Delta0"},
    "gap": {"model": "fixed"},
    "quasiparticles": {"motion": "diffusive", "diffusivity": "20 cm^2/s"},
    "phonons": {"escape": {"time": "1 ns"}},
    "regions": {"trap": {"gap": "0.5 Delta0"}},
    "bath": {"temperature": "0.3 K"},
    "injections": [
        {
            "of": "quasiparticles",
            "centre": "1.9 Delta0",
            "width": "0.15 Delta0",
            "power": "1e9 W/m^3",
            "regions": ["strip"],
        }
    ],
    "evolution": {"start": "1 ns", "end": "1 us", "points_per_decade": 1, "tolerance": 0.1},
}
"""Generation at one end of a film, a trap at the other."""

FLYING: dict[str, Any] = {
    "quasiparticles": {},
    "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
    "injections": [],
    "collisions": {"inelastic": False},
    "mesh.shape.ny": 3,
    "mesh.shape.regions.rest": [["0 um", "4 um"], "all"],
    "initial.pulses": [
        {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "peak": 0.01, "size": "1 um"}
    ],
    "evolution": {"start": "0.1 ns", "end": "1 ns", "points_per_decade": 1, "tolerance": 0.1},
}
"""Changes of the film: phonons that fly through it, from a pulse in a corner."""

DRIVE: dict[str, Any] = {"photon_energy": "40 GHz", "coupling": "10 kHz", "photons": 100.0}
PROBE: dict[str, Any] = {"photon_energy": "5 GHz"}
TIN: dict[str, Any] = {"model": "eliashberg", "interaction": {"metal": "Sn"}}
SINE: dict[str, Any] = {"model": "sine", "maximum": "4 meV"}
#: A sphere of tin by strong coupling, a film with a region of it; phonons with dispersion in both.
STRONG = changed(SPHERE, {"spectrum": TIN, "gap": {"model": "fixed"}, "evolution.end": "0.1 ns"})
BESIDE = changed(
    FILM,
    {
        "material.name": "Sn",
        "bath.temperature": "1 K",
        "energies.maximum": "8 Delta0",
        "energies.width": "0.5 Delta0",
        "regions.trap": {"material": {"name": "Sn"}, "spectrum": TIN},
        "injections.0.centre": "6 Delta0",
        "injections.0.width": "0.3 Delta0",
        "injections.0.regions": ["trap"],
        "evolution.end": "10 ns",
    },
)
CHAIN = changed(SPHERE, {"phonons.dispersion": SINE})
BLOCK = changed(
    FILM,
    {
        "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
        "regions.trap": {"phonon_dispersion": SINE},
        "evolution.end": "10 ns",
    },
)
