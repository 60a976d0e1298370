"""A small film with a trap, the localized quasiparticles in it and the noise of the trap, in stages."""

from __future__ import annotations

from typing import Any

_SHAPE: dict[str, Any] = {"kind": "grid2d", "nx": 5, "ny": 1, "Lx": "5 um", "Ly": "1 um"}
_REGIONS = {"trap": [["3 um", "4 um"], "all"], "under": [["1 um", "2 um"], "all"]}
_METAL = {"diffusivity": "10 cm^2/s", "resistivity": "179 nohm*m"}
_FROM_SPECTRA = {"variable": "f_L", "density_of_states": "1.74e10 1/eV/um^3", "minimum_energy": "180 ueV"}

TRANSPORT: dict[str, Any] = {
    "model": "usadel",
    "mesh": {"shape": {**_SHAPE, "regions": _REGIONS}},
    "cross_section": {"thickness": "30 nm"},
    "material": {"gap": "180 ueV", **_METAL},
    "materials": {"suppressed": {"gap": "126 ueV", **_METAL}},
    "regions": {"trap": {"material": "suppressed"}},
    "junctions": [
        {
            "name": "A",
            "on": "under",
            "conductance": "10 uS",
            "role": "injector",
            "temperature": "60 mK",
        }
    ],
    "reservoirs": [{"on": ["left", "right"], "temperature": "60 mK"}],
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0.25 mV", "0.4 mV"]},
    "output": {"stored": ["f_L", "dos"]},
}
LOCALIZED: dict[str, Any] = {
    "model": "localized",
    "annihilation": {"constant": "40 um^3/s", "radius": "0.1 um"},
    "mesh": {"shape": _SHAPE},
    "profile": {"results": {**_FROM_SPECTRA, "at": {"V_inj": "0.4 mV"}, "capture_time": "1 ms"}},
    "monte_carlo": {"runs": 0},
    "figures": [{"kind": "profile"}],
}
NOISE: dict[str, Any] = {
    "model": "clusters",
    "cluster": {
        "annihilation": "18 um^3/s",
        "triplet_annihilation": "0.18 um^3/s",
        "spin_flip_time": "0.1 s",
    },
    "sweep": {
        "equation": "simplified",
        "results": {**_FROM_SPECTRA, "region": "trap", "capture_time": "1 us"},
    },
    "noise": {"frequency": ["1 Hz", "1e4 Hz"]},
    "figures": [{"kind": "injection"}],
}
TRAP: dict[str, Any] = {
    "model": "stages",
    "stages": [
        {"name": "transport", "case": TRANSPORT},
        {"name": "localized", "case": LOCALIZED, "links": {"profile.results.folder": "transport"}},
        {"name": "noise", "case": NOISE, "links": {"sweep.results.folder": "transport"}},
    ],
}
