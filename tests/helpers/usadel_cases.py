"""Small cases of the Usadel model, and tables that take the place of their own."""

from __future__ import annotations

import copy
from typing import Any

from case_keys import changed

BASE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 36,
            "Lx": "6 um",
            "regions": {
                "west": ["0 um", "3 um"],
                "east": ["3 um", "6 um"],
                "cover": ["2 um", "3 um"],
                "start": ["0 um", "2 um"],
            },
            "boundaries": {"point_A": "2.5 um", "point_B": "3.5 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {
            "name": "A",
            "on": "point_A",
            "conductance": "24.6 uS",
            "role": "injector",
            "temperature": "61 mK",
        },
        {
            "name": "B",
            "on": "point_B",
            "conductance": "31.4 uS",
            "role": "detector",
            "temperature": "37 mK",
        },
    ],
    "reservoirs": [{"on": ["left", "right"], "temperature": "24 mK"}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0.4 mV"], "V_det": ["0.1 mV"]},
}
OWN = {"gap": "265 ueV", "diffusivity": "16.9 cm^2/s", "resistivity": "158.18 nohm*m"}
"""A material of the case's own with the numbers of the library's."""
SELF_CONSISTENT = {"gap": {"model": "uniform", "at": "point_A"}}
COLLIDING = {
    "energies": {"number": 60, "spacing": "uniform"},
    "gap": {"model": "uniform", "at": "point_A"},
    "collisions": {"electron_electron": 1e-3},
    "sweep": {"V_inj": ["1.2 mV"], "V_det": ["0.1 mV"]},
}
COOLED = {
    "energies": {"number": 60},
    "gap": {"model": "uniform", "at": "point_A"},
    "collisions": {"electron_phonon": "100 ns", "phonon_escape_time": "1 ns", "pair_breaking_time": "0.1 ns"},
    "sweep": {"V_inj": ["0.6 mV"], "V_det": ["0.1 mV"]},
}
BIASED = {
    "reservoirs": [
        {"on": ["left"], "temperature": "24 mK", "voltage": "0.1 mV"},
        {"on": ["right"], "temperature": "24 mK"},
    ],
    "gap": {"model": "fixed", "value": 0.0},
    "sweep": {"V_inj": ["0 mV"], "V_det": ["0 mV"]},
}
FLOWING = {"supercurrent": {"phase_gradient": 0.1, "both_signs": False}}
OTHER = OWN | {"diffusivity": "8 cm^2/s"}
EAST = {"materials": {"X": OWN}, "regions": {"east": {"material": "X"}}}
EAST_OTHER = EAST | {"materials": {"X": OTHER}}
SMALLER_EAST = EAST | {
    "materials": {"X": OWN | {"gap": "200 ueV"}},
    "reservoirs": [{"on": [side], "temperature": "24 mK"} for side in ("left", "right")],
}
DIFFUSIVE = {
    "spectrum": {"model": "diffusive", "broadening": 0.01},
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 24,
            "Lx": "0.6 um",
            "boundaries": {"point_A": "0.25 um", "point_B": "0.35 um"},
        }
    },
}
"""A wire whose reservoirs are felt everywhere."""
BARRIER = {"interfaces": [{"between": ["west", "east"], "conductance_per_area": "1 S/um^2"}]}
THREE = {
    "junctions": [
        *BASE["junctions"],
        {"name": "C", "on": "cover", "conductance": "20 uS", "role": "detector", "temperature": "37 mK"},
    ]
}
FILM = {
    "mesh": {
        "shape": {
            "kind": "grid2d",
            "nx": 12,
            "ny": 3,
            "Lx": "2 um",
            "Ly": "0.3 um",
            "regions": {"point_A": ["0.5 um", "0.8 um"], "point_B": ["1 um", "1.5 um"]},
        }
    },
    "cross_section": {"thickness": "8 nm"},
    "reservoirs": [{"on": ["left", "right", "top"], "temperature": "24 mK"}],
    "supercurrent": {"phase_gradient": 0.1, "from": "left", "to": "right", "both_signs": False},
}
AWAY = {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 24,
            "dx": "0.25 um",
            "origin": ["1 um"],
            "boundaries": {"point_A": "2.5 um", "point_B": "3.5 um"},
        }
    }
}
"""A line that does not begin at zero."""
SOLID = {
    "mesh": {
        "shape": {
            "kind": "grid3d",
            "nx": 8,
            "Lx": "2 um",
            "ny": 2,
            "dy": "0.1 um",
            "nz": 2,
            "dz": "0.1 um",
            "regions": {"point_A": ["0.5 um", "0.8 um"], "point_B": ["1 um", "1.5 um"]},
        }
    },
    "cross_section": {},
    "reservoirs": [{"on": ["left", "right", "top", "back"], "temperature": "24 mK"}],
}
DEEP = copy.deepcopy(SOLID)
DEEP["mesh"]["shape"]["Lz"] = "0.2 um"
del DEEP["mesh"]["shape"]["dz"]
HEATED = {
    "junctions": [
        BASE["junctions"][0]
        | {
            "lead": {
                "volume": "0.1 um^3",
                "electron_phonon_coupling": "2 nW/um^3/K^5",
                "resistance": "1 kohm",
            }
        },
        BASE["junctions"][1],
    ]
}
"""An injector whose lead is heated."""
WARM = {"energies": {"number": 150}}
"""Enough energies for what a temperature near Tc needs."""


LINE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 36,
            "Lx": "6 um",
            "regions": {"west": ["0 um", "3 um"], "east": ["3 um", "6 um"], "middle": ["2 um", "4 um"]},
            "boundaries": {"point_A": "2.5 um", "point_B": "3.5 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "point_A", "conductance": "24.6 uS", "role": "injector"},
        {"name": "B", "on": "point_B", "conductance": "31.4 uS", "role": "detector"},
    ],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0.2 mV", "0.4 mV"], "V_det": ["0 mV"], "temperature": "50 mK"},
}
"""A wire to make mistakes in."""


def case(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The base case with tables replaced."""
    return changed(BASE, changes)
