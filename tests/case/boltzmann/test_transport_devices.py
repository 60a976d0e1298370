"""Drives, probes and steady states of transport cases; what is wrong is said."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed
from matplotlib.image import imread
from transport_cases import DRIVE, FILM, PROBE, SPHERE

import fvqp
from fvqp.case import case_from_dict
from fvqp.errors import CaseError, ConvergenceError


def film(changes: dict[str, Any], **evolution: Any) -> dict[str, Any]:
    lasting = FILM["evolution"] | {"end": "30 ns"} | evolution
    return changed(FILM, {"evolution": lasting} | changes)


def steady(changes: dict[str, Any] | None = None, **table: Any) -> dict[str, Any]:
    data = film(changes or {})
    del data["evolution"]
    return data | {"steady_state": table}


@cache
def settled() -> Any:
    return fvqp.run(steady()).dataset


def test_a_steady_state_is_balanced_and_the_end_of_an_evolution() -> None:
    """Powers agree to rounding; starting from it, nothing moves; long evolutions lead to it."""
    found = settled()
    injected = found["power_injected"].item()
    # Into one of six columns, where a few per cent of the states are full.
    assert 0.95e9 / 6.0 < injected < 1e9 / 6.0
    assert abs(found["power_residual"].item()) < 1e-9 * injected
    assert found["power_escaped"].item() == pytest.approx(injected, rel=1e-9)
    rest = fvqp.run(film({"initial": {"steady": True}})).dataset
    start, end = rest["n_qp_cell"].values[[0, -1]]
    np.testing.assert_allclose(start, found["n_qp_cell"].values[0], rtol=1e-6)
    np.testing.assert_allclose(end, start, rtol=1e-6)
    moved = np.abs(rest["energy_injected"].values[-1])
    assert np.abs(rest["energy_residual"].values[-1]) < 1e-12 * (moved + rest["energy_ph"].values[-1])


@pytest.mark.slow
def test_tolerance_and_number_of_steps() -> None:
    with pytest.raises(ConvergenceError, match="no steady state after 2 steps"):
        fvqp.run(steady(maximum_iterations=2))
    rough = fvqp.run(steady(tolerance=0.1)).dataset
    assert not np.array_equal(rough["n_qp_cell"].values, settled()["n_qp_cell"].values)


def test_a_probe_of_thermal_quasiparticles() -> None:
    """Loss of a film in equilibrium: as the homogeneous model has it."""
    both = {"resonator": {**PROBE, "kinetic_inductance_fraction": 0.4}}
    data = film({**both, "injections": [], "regions": {}}, end="2 ns")
    here = fvqp.run(data).dataset
    homogeneous = {
        "model": "boltzmann",
        "material": {"name": "Al"},
        "energies": {"maximum": "3 Delta0", "width": "0.25 Delta0"},
        "gap": {"model": "fixed"},
        "sweep": {"temperature": ["0.3 K"]},
        "evolution": {"start": "1 ns", "end": "2 ns", "points_per_decade": 1},
        **both,
    }
    there = fvqp.run(homogeneous).dataset
    for name in ("sigma1", "sigma2", "inverse_quality_factor", "frequency_shift"):
        expected = float(there[name].values.ravel()[0])
        assert float(here[name].values[0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_figures(tmp_path: Path) -> None:
    changes = {"resonator": PROBE, "figures": [{"kind": "regions"}, {"kind": "resonator"}]}
    fvqp.run(film(changes, end="2 ns"), out=tmp_path / "out")
    for kind in ("regions", "resonator"):
        assert imread(tmp_path / "out" / "figures" / f"{kind}.png").size > 0


BALL = {key: value for key, value in SPHERE.items() if key != "figures"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (film({"steady_state": {}}), r"give either \[evolution\] or \[steady_state\], not both"),
        (steady({"initial": {"steady": True}}), r"initial.steady: is not used with \[steady_state\]"),
        (film({"figures": [{"kind": "resonator"}]}), r"figures\[0\].kind: \"resonator\" needs \[resonator\]"),
        (steady({"figures": [{"kind": "density"}]}), r"figures\[0\].kind: \"density\" is over time"),
        (
            BALL | {"microwaves": [{**DRIVE, "regions": ["a"]}]},
            r"microwaves\[0\].regions: are those of a mesh",
        ),
        (BALL | {"trapping": [{"rate": "1 MHz", "regions": ["a"]}]}, "trapping.*: are those of a mesh"),
        (BALL | {"resonator": {**PROBE, "region": "a"}}, "resonator.region: is one of a mesh"),
        (BALL | {"figures": [{"kind": "regions"}]}, '"regions" are those of a mesh'),
    ],
)
def test_what_contradicts_itself(data: dict[str, Any], said: str) -> None:
    with pytest.raises(CaseError, match=said):
        case_from_dict(data)


def test_regions_that_are_not_there() -> None:
    with pytest.raises(CaseError, match=r'no region "a"; there are: trap, strip'):
        fvqp.run(film({"resonator": {**PROBE, "region": "a"}}))
    with pytest.raises(fvqp.errors.FvqpError, match='trapping.0..regions: the mesh has no region "a"'):
        fvqp.run(film({"trapping": [{"rate": "1 MHz", "regions": ["a"]}]}))


@pytest.mark.slow
def test_a_cold_film_under_its_readout_has_a_steady_state() -> None:
    """Photons of 5 GHz make a ladder over many decades; there is one quasiparticle for 10⁷ Cooper pairs.

    They lift quasiparticles, which then recombine a little faster: 0.7 % are missing, as in the homogeneous
    model, whose bins begin anew at every photon step and whose sums and solver are others.
    """
    data = copy.deepcopy(FILM) | {
        "regions": {},
        "injections": [],
        "mesh": {"shape": {"kind": "grid1d", "nx": 2, "Lx": "20 um"}},
        "energies": {"maximum": "3.6 Delta0", "spacing": "graded", "width": "0.01 Delta0", "growth": 0.1},
        "phonons": {"escape": {"time": "0.3 ns"}},
        "microwaves": [{"photon_energy": "5 GHz", "coupling": "1 Hz", "photons": 3e3}],
        "bath": {"temperature": "140 mK"},
        "output": {"occupations": True},
    }
    evolution = {"end": "1 s", "start": "1 us", "points_per_decade": 1, "tolerance": 0.02}
    late = fvqp.run(copy.deepcopy(data) | {"evolution": evolution}).dataset
    del data["evolution"]
    data["steady_state"] = {}
    driven = fvqp.run(copy.deepcopy(data)).dataset
    assert abs(float(driven["power_residual"][0])) < 1e-7 * float(driven["power_injected"][0])
    # at a tolerance of 0.005 the evolution ends 2e-5 from the steady state
    assert float(driven["n_qp"][0]) == pytest.approx(float(late["n_qp"][-1]), rel=2e-4)
    cold = fvqp.run(data | {"microwaves": []}).dataset
    hot, rest = (one["f"].values[0, 0, -1] for one in (driven, cold))
    assert hot > 1.8 * rest
    alone = {key: data[key] for key in ("material", "gap", "phonons", "microwaves", "steady_state")} | {
        "model": "boltzmann",
        "energies": {"maximum": "3.6 Delta0", "width": "0.0125 Delta0"},
        "sweep": {"temperature": "140 mK"},
    }
    stepped, empty = (fvqp.run(alone | more).dataset["n_qp"].item() for more in ({}, {"microwaves": []}))
    assert float(driven["n_qp"][0]) == pytest.approx(stepped, rel=0.01)
    change = float(driven["n_qp"][0]) / float(cold["n_qp"][0]) - 1.0
    assert -0.012 < stepped / empty - 1.0 < -0.005
    assert change == pytest.approx(stepped / empty - 1.0, abs=5e-3)
