"""Small cases of clusters and of localized quasiparticles, as dictionaries laid out like case files."""

from __future__ import annotations

from typing import Any

#: A polarized cluster of some ten quasiparticles.
CLUSTER: dict[str, Any] = {
    "model": "clusters",
    "cluster": {
        "annihilation": "18 um^3/s",
        "triplet_annihilation": "0.18 um^3/s",
        "spin_flip_time": "1 s",
    },
    "sweep": {"generation": "100 1/um^3/s", "volume": "0.3 um^3", "equation": ["master", "simplified"]},
    "noise": {"frequency": ["0.1 Hz", "10 Hz"]},
    "output": {"distribution": True},
    "solver": {"lost": 1e-8},
}
#: Some hundred localized quasiparticles in a box.
TAIL: dict[str, Any] = {
    "model": "localized",
    "annihilation": {"constant": "40 um^3/s", "radius": "0.1 um"},
    "sweep": {"generation": "1 1/um^3/s"},
    "box": {"particles": 100},
    "monte_carlo": {"start": "5 s", "end": "10 s"},
}
#: Bubbles with spin.
BUBBLES: dict[str, Any] = {
    "model": "localized",
    "annihilation": {"pairs": "bubbles", "radius": "1 um"},
    "sweep": {"generation": "1 1/um^3/s", "spin": ["none", "1 s"]},
    "box": {"edges": ["6 um", "6 um", "6 um"]},
    "monte_carlo": {"runs": 2, "start": "2 s", "end": "5 s"},
}
#: A wire of eight cells, and the law of annihilation beside the simulation.
WIRE: dict[str, Any] = {
    "model": "localized",
    "annihilation": {"constant": "40 um^3/s", "radius": "0.1 um"},
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 8,
            "Lx": "8 um",
            "regions": {"left_half": ["0 um", "4 um"], "right_half": ["4 um", "8 um"]},
        }
    },
    "extrusion": {"cross_section": ["2 um", "1 um"]},
    "profile": {"regions": {"left_half": "10 1/um^3/s", "right_half": "1 1/um^3/s"}},
    "monte_carlo": {"start": "1 s", "end": "4 s"},
}
