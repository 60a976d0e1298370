"""Bad input in a case of localized quasiparticles: one line that names file and key and what would be
right, or a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from said import Said, warned
from stochastic_cases import BUBBLES, TAIL, WIRE

MATERIAL = {
    "gap": "200 ueV",
    "diffusivity": "20 cm^2/s",
    "density_of_states": "2e10 1/eV/um^3",
    "electron_phonon_time": "400 ns",
    "edge_shift": "0.1 Delta0",
    "tail_energy": "1e-3 Delta0",
}
OF_MATERIAL = {"material": MATERIAL, "annihilation": {}}

MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    # Pairs.
    (TAIL, {"annihilation.radius": "0 um"}, "annihilation.radius[0]: must be positive"),
    (TAIL, {"annihilation.radius": "-1 um"}, "annihilation.radius[0]: must be positive"),
    (TAIL, {"annihilation.constant": "0 um^3/s"}, "annihilation.constant: must be positive"),
    (
        TAIL,
        {"annihilation.constant": "40 um^3"},
        'annihilation.constant: expected a rate constant such as "18',
    ),
    (TAIL, {"annihilation.constant": None}, "annihilation.constant: missing: give it, or a material"),
    (TAIL, {"annihilation.radius": None}, "annihilation.radius: missing: give it, or a material"),
    (TAIL, {"annihilation.pairs": "bubble"}, 'did you mean "bubbles"?'),
    (TAIL, {"material": MATERIAL}, "material: is not used: annihilation gives radius and constant"),
    (
        BUBBLES,
        {"annihilation.constant": "40 um^3/s"},
        "annihilation.constant: is not used: bubbles burst at once",
    ),
    (BUBBLES, {"annihilation.radius": None}, "annihilation.radius: "),
    (BUBBLES, {"relaxation": {"end": "1 s"}}, "relaxation: bubbles that are left do not decay"),
    # Material.
    (
        TAIL,
        {**OF_MATERIAL, "material.edge_shift": "1 Delta0"},
        "material.edge_shift: 3.204e-23 J is not less than",
    ),
    (
        TAIL,
        {**OF_MATERIAL, "material.density_of_states": "1e4 1/eV/um^3"},
        "material.tail_energy: at the edge",
    ),
    (TAIL, {**OF_MATERIAL, "material.tail_energy": "-1 ueV"}, "material.tail_energy[0]: must be positive"),
    (TAIL, {**OF_MATERIAL, "material.fluctuation": 1e-3}, "material: give either tail_energy or fluctuation"),
    (
        TAIL,
        {**OF_MATERIAL, "material.gap": "1 Delta0"},
        'material.gap: expected an energy such as "265 ueV", got 1 Delta0',
    ),
    # Sweep.
    (TAIL, {"sweep.generation": "-1 1/um^3/s"}, "sweep.generation[0]: must be positive"),
    (TAIL, {"sweep": {}}, "sweep.generation: missing"),
    (TAIL, {"sweep.spin": "up"}, 'sweep.spin[0]: expected "none", "conserved" or a spin-flip time'),
    (TAIL, {"sweep.spin": "-1 s"}, "sweep.spin[0]: a spin-flip time must be positive"),
    # Space.
    (TAIL, {"box": {"edges": ["2 um", "9 um", "9 um"]}}, "a periodic edge of 2e-06 m is less than 25.5 r_c"),
    (
        BUBBLES,
        {"box.edges": ["1.5 um", "9 um", "9 um"]},
        "is less than twice the distance of bursting bubbles",
    ),
    (TAIL, {"box.particles": 10}, "box.particles: expected at least 100"),
    (TAIL, {"box.edges": ["9 um", "9 um", "9 um"]}, "box.particles: follows from edges"),
    (TAIL, {"box.periodic": [True, True, False]}, "box.edges: missing"),
    (TAIL, {"box.edges": ["0 um", "9 um", "9 um"], "box.particles": None}, "box.edges[0]: must be positive"),
    (TAIL, {"extrusion": {"thickness": "1 um"}}, "extrusion: is not used without a mesh"),
    (TAIL, {"profile": {"regions": {"a": "1 1/um^3/s"}}}, "profile: is not used without a mesh"),
    (TAIL, {"law.diffusivity": "1 cm^2/s"}, "law.diffusivity: is not used without a mesh"),
    (TAIL, {"law.closure": "pairs"}, 'law.closure: "pairs" is not used without a mesh'),
    (
        WIRE,
        {"law.closure": "pairs", "relaxation": {"end": "1 s"}},
        'law.closure: "pairs" is for steady states',
    ),
    (
        WIRE,
        {"law": {"closure": "pairs", "diffusivity": "1 um^2/s"}},
        'law.diffusivity: needs law.closure = "local"',
    ),
    (WIRE, {"law.closure": "pairs", "sweep.spin": "conserved"}, "law.closure: is not used: there is no law"),
    (WIRE, {"law.closure": "nearby"}, "law.closure: "),
    (
        WIRE,
        {"solver.petsc": {"closure_snes_max_it": 3}},
        'solver.petsc.closure_snes_max_it: not used: it reaches law.closure = "pairs"',
    ),
    (
        WIRE,
        {"solver.petsc": {"ksp_rtol": 0.1}},
        "ksp_rtol: not used: it reaches law.diffusivity",
    ),
    (
        WIRE,
        {"solver.petsc": {"density_snes_max_it": 3}},
        "density_snes_max_it: not used: it reaches [relaxation] and law.diffusivity",
    ),
    (
        WIRE,
        {"law.diffusivity": "1e-9 cm^2/s", "solver.petsc": {"density_ts_bdf_order": 1}},
        "density_ts_bdf_order: not used: it reaches [relaxation]",
    ),
    (WIRE, {"box": {"particles": 100}}, "box: is not used with a mesh"),
    (WIRE, {"extrusion": {"thickness": "1 um"}}, "extrusion: grid1d: thickness has no meaning"),
    (WIRE, {"extrusion": {}}, "extrusion: grid1d: a mesh of dimension 1 needs its cross_section"),
    (WIRE, {"monte_carlo": {"runs": 0}}, "extrusion: is not used without runs"),
    (WIRE, {"mesh.shape.kind": "spherical1d"}, "mesh: spherical1d: localized quasiparticles need cartesian"),
    # Profile.
    (
        WIRE,
        {"profile.regions": {"middle": "1 1/um^3/s"}},
        'the mesh has no region "middle"; there are: left_half',
    ),
    (WIRE, {"profile.regions": {}}, "profile: give one of regions, table, results"),
    (WIRE, {"profile.axis": "y"}, "profile.axis: is not used without table"),
    (WIRE, {"profile.rate": "1 1/um^3/s"}, "profile.rate: is not used without table"),
    (WIRE, {"profile": {"table": "no.csv"}}, "profile.length_unit: missing"),
    (
        WIRE,
        {"profile": {"table": "no.csv", "length_unit": "um", "rate": "1 1/um^3/s"}},
        "profile.table: no such file",
    ),
    (WIRE, {"profile": {"results": {"folder": "no", "variable": "n_qp"}}}, "holds no results.nc"),
    (WIRE, {"sweep.generation": "1 1/um^3/s"}, "sweep.generation: is not used with a profile"),
    # Runs.
    (TAIL, {"monte_carlo": {"start": "1 s"}}, "monte_carlo.start: belongs to end"),
    (TAIL, {"monte_carlo.end": "1 s"}, "monte_carlo.end: 1 s must be later than start, 5 s"),
    (TAIL, {"monte_carlo.accuracy": 0.1}, "monte_carlo.accuracy: is not used with start and end"),
    (TAIL, {"monte_carlo": {"accuracy": 1.5}}, "monte_carlo.accuracy: must be less than 1"),
    (TAIL, {"monte_carlo.runs": -1}, "monte_carlo.runs: expected at least 0"),
    (TAIL, {"monte_carlo.runs": 0}, "monte_carlo.start: is not used without runs"),
    (
        TAIL,
        {"monte_carlo": {"runs": 0}, "sweep.spin": "1 s", "box": None},
        "monte_carlo.runs: there is no law",
    ),
    (
        TAIL,
        {"relaxation": {"end": "1 s", "start": "2 s"}},
        "relaxation.end: 1 s must be later than start, 2 s",
    ),
    # Figures.
    (TAIL, {"figures": [{"kind": "relaxation"}]}, "shows what relaxation adds"),
    (TAIL, {"figures": [{"kind": "profile"}]}, "shows a mesh"),
    (TAIL, {"figures": [{"kind": "packing"}]}, "shows bubbles"),
    (TAIL, {"figures": [{"kind": "concentration"}]}, "needs several rates of generation"),
]


@pytest.mark.parametrize(("base", "changes", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistake(said: Said, base: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    code, text = said(base, changes)
    assert code == 2 and text.startswith("case.toml: ") and message in text, text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# x, A\n0, 1\n\n1, x\n",
            'rate.csv: line 4: expected two numbers, position and rate, got "1, x"',
        ),
        ("0, 1\n1, 1, 2\n", 'rate.csv: line 2: expected two numbers, position and rate, got "1, 1, 2"'),
        ("0, 1\n", "rate.csv: expected two or more rows"),
        ("1, 1\n0, 1\n", "rate.csv: line 2: positions must increase"),
        ("0, 1\n4, 1\n", "covers 0 to 4e-06 m, the mesh reaches from 5e-07 to 7.5e-06 m along x"),
        ("0, -1\n9, 1\n", "rate.csv: line 1: expected a finite position, and a finite rate that is not neg"),
        (
            "0, 1\n9, -inf\n",
            "profile.table: rate.csv: line 2: expected a finite position, and a finite rate",
        ),
        ("0, 1\n9, 1e999\n", 'a finite rate that is not negative, got "9, 1e999"'),
        ("0, 1\nnan, 1\n", "rate.csv: line 2: expected a finite position"),
        ("0, 0\n9, 0\n", "generates nothing on this mesh"),
    ],
)
def test_tables(said: Said, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rate.csv").write_text(text)
    table = {"table": "rate.csv", "length_unit": "um", "rate": "1 1/um^3/s"}
    code, said_text = said(WIRE, {"profile": table})
    assert code == 2 and message in said_text, said_text


@pytest.mark.slow
def test_too_few_events(said: Said) -> None:
    code, text = said(TAIL, {"monte_carlo": {"accuracy": 1e-4, "max_events": 1e4}}, "run", "--out", "out")
    assert code == 2 and "radius 0.1 um, generation 1 1/(s um^3): after" in text
    assert "allow more events or a larger error" in text


def test_a_mesh_beyond_memory(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvqp.case.geometry.available", lambda comm: 2.0**20)
    code, text = said(WIRE, {"mesh.shape.nx": 2_000_000})
    assert code == 2 and text.startswith("case.toml: mesh.shape: 2e+06 cells take 1.86 GiB while"), text


def test_a_model_at_its_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """In the log, and in the results: a small box, conserved spins, a short series, states that are not
    separate, a filled gap edge."""
    assert "particles are expected" in warned(
        caplog, TAIL, box={"edges": ["3 um", "3 um", "3 um"]}, sweep__generation="1e-3 1/um^3/s"
    )
    assert "walks at random" in warned(caplog, BUBBLES, sweep__spin="conserved")
    assert "fewer than 20 independent samples" in warned(
        caplog, BUBBLES, monte_carlo={"start": "2 s", "end": "2.1 s"}
    )
    thin = warned(caplog, WIRE, mesh__shape__nx=32)
    assert "surfaces 1 um apart leave so few that its concentrations are too small" in thin
    assert 'off by 10 % or more; law.closure = "pairs" counts partners where they are' in thin
    assert "surfaces" not in warned(caplog, WIRE, law__closure="pairs", mesh__shape__nx=32)
    decays = warned(caplog, TAIL, relaxation={"end": "1e4 s"})
    assert "leaves up to 31 % too few" in decays
    law = {"monte_carlo": {"runs": 0}, "annihilation": {}, "box": None}
    shallow = {**MATERIAL, "edge_shift": "5e-4 Delta0"}
    assert "tail_energy is not below edge_shift" in warned(caplog, TAIL, material=shallow, **law)
    filled = warned(caplog, TAIL, material=MATERIAL, sweep__generation="1e18 1/um^3/s", **law)
    assert "the filling" in filled
