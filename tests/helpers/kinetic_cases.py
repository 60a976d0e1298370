"""Small cases of the Boltzmann and Eliashberg models, as dictionaries laid out like case files."""

from __future__ import annotations

from typing import Any

#: Steady states of aluminium in a strong microwave field, 31 bins.
DRIVEN: dict[str, Any] = {
    "model": "boltzmann",
    "material": {"name": "Al"},
    "energies": {"maximum": "4 Delta0", "width": "0.1 Delta0", "spacing": "uniform"},
    "gap": {"model": "fixed"},
    "phonons": {"escape": {"time": "0.26 ns"}},
    "microwaves": [{"photon_energy": "0.2 Delta0", "coupling": "1 Hz", "photons": 1e6}],
    "steady_state": {},
    "sweep": {"temperature": "0.25 K", "strength": [1.0]},
}
#: The same on bins that repeat at every photon step.
STEPPED: dict[str, Any] = DRIVEN | {
    "energies": {"maximum": "4 Delta0", "width": "0.1 Delta0", "spacing": "steps"}
}
#: A pulse of hot quasiparticles that relaxes, 21 bins, three times.
PULSE: dict[str, Any] = {
    "model": "boltzmann",
    "material": {"name": "Al"},
    "energies": {"maximum": "3 Delta0", "width": "0.1 Delta0"},
    "gap": {"model": "fixed"},
    "initial": {
        "temperature": "0.3 K",
        "pulses": [{"centre": "2 Delta0", "width": "0.2 Delta0", "peak": 0.01}],
    },
    "evolution": {"start": "10 ns", "end": "100 ns", "points_per_decade": 1},
    "sweep": {"temperature": "0.2 K"},
}
#: The driven states with the spectrum of a strongly coupled metal.
STRONG: dict[str, Any] = DRIVEN | {
    "material": {"name": "Sn"},
    "spectrum": {
        "model": "eliashberg",
        "interaction": {"coupling": 1.5, "debye_energy": "10 meV", "coulomb": 0.1},
    },
    "sweep": {"temperature": "3 K"},
}
#: A weakly coupled metal with a Debye-like spectrum.
DEBYE: dict[str, Any] = {
    "model": "eliashberg",
    "interaction": {"coupling": 1.5, "debye_energy": "10 meV", "coulomb": 0.1},
    "sweep": {"temperature": "3 K"},
    "energies": {"maximum": "12 meV", "number": 40},
    "solver": {"spacing": "0.1 meV", "tolerance": 1e-5},
}
