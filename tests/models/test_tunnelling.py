"""What a tunnel junction would do to the states, against the equation of spectra with a real normal lead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import fvqp
from fvqp.case.reading import case_from_dict
from fvqp.case.usadel.build import build_mesh, build_problems
from fvqp.models.usadel.tunnelling import level_broadening

GAMMA = 0.01
#: S/m², which makes 0.27 Δ0 of a superconductor of 5 nm, much thinner than its coherence length of 65 nm.
BARRIER = 4e12
SHEET: dict[str, Any] = {
    "model": "usadel",
    "mesh": {"shape": {"kind": "grid1d", "dx": "1 nm", "Lx": "25 nm", "regions": {}}},
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "spectrum": {"broadening": GAMMA},
    "energies": {"number": 300, "spacing": "uniform"},
    "gap": {"model": "fixed", "value": 1.0},
}


def broadening(data: dict[str, Any]) -> np.ndarray:
    case = case_from_dict(data)
    (problem,) = build_problems(case, build_mesh(case, MPI.COMM_SELF))
    return level_broadening(problem.device, problem.kinetics.transport)


def junction(on: str, conductance: float) -> dict[str, Any]:
    at = {"temperature": "50 mK", "bias": "0 V", "role": "injector"}
    return {"name": on, "on": on, "conductance": f"{conductance!r} S", **at}


def test_a_normal_lead_behind_the_same_barrier_broadens_the_states_by_it() -> None:
    """The density of states of a thin superconductor beside a normal metal that conducts far better."""
    names = {"S": ["0 nm", "5 nm"], "N": ["5 nm", "25 nm"]}
    real = SHEET | {
        "mesh": {"shape": SHEET["mesh"]["shape"] | {"regions": names}},
        "materials": {"normal": {"gap": "0 eV", "diffusivity": "0.17 m^2/s", "resistivity": "1.58 nohm*m"}},
        "regions": {"N": {"material": "normal"}},
        "interfaces": [{"between": ["S", "N"], "conductance_per_area": f"{BARRIER!r} S/m^2"}],
        "reservoirs": [{"on": "right", "temperature": "50 mK", "gap": "0 eV"}],
        "spectrum": {"model": "diffusive", "broadening": GAMMA},
        "output": {"fields": [], "stored": ["dos"]},
    }
    found = fvqp.run(real).dataset
    energy = found["energy"].values / found.attrs["delta0_eV"]
    dos = found["dos"].values.reshape(25, -1)[:5]
    thin = SHEET | {
        "mesh": {"shape": SHEET["mesh"]["shape"] | {"Lx": "5 nm", "regions": {"S": ["0 nm", "5 nm"]}}},
        "junctions": [junction("S", BARRIER * 150e-9 * 8e-9)],
        "reservoirs": [{"on": "right", "temperature": "50 mK"}],
    }
    (width,) = broadening(thin)
    assert 0.1 < width < 0.5
    at = energy + 1j * (GAMMA + width)
    np.testing.assert_allclose(dos, np.tile((at / np.sqrt(at**2 - 1.0)).real, (5, 1)), rtol=0.01)


def test_the_metal_within_a_coherence_length_shares_it() -> None:
    """A point on a long wire: what is 2 ξ long; halving the cells changes the length by one of them."""
    results = []
    for cells in (600, 1200):
        shape = {"kind": "grid1d", "nx": cells, "Lx": "1.2 um", "boundaries": {"middle": "0.6 um"}}
        wire = SHEET | {
            "mesh": {"shape": shape},
            "junctions": [junction("middle", 1e-4), junction("right", 2e-4)],
            "reservoirs": [{"on": "left", "temperature": "50 mK"}],
        }
        results.append(broadening(wire))
    # G/(2 σ A 2 ξ/ξ²) with ξ = 64.79 nm; at an end the metal is on one side only.
    expected = 1e-4 * 64.79e-9 / (4.0 * 150e-9 * 8e-9 / 158.18e-9)
    for width in results:
        assert width == pytest.approx(expected * np.array([1.0, 4.0]), rel=0.04)
    plate = {"kind": "grid1d", "nx": 12, "Lx": "1.2 um", "regions": {"N": ["0 um", "0.6 um"]}}
    normal = SHEET | {
        "mesh": {"shape": plate},
        "materials": {"normal": {"name": "Al_ryan2026", "gap": "0 eV"}},
        "regions": {"N": {"material": "normal"}},
        "junctions": [junction("left", 1e-4)],
        "reservoirs": [{"on": "right", "temperature": "50 mK"}],
    }
    assert broadening(normal) == 0.0
