"""Every key of a case moves a number: a key without an entry here fails, and so does one without effect."""

from __future__ import annotations

import copy
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from pydantic import BaseModel

import fvqp
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import CaseError, ConvergenceError

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
    "energies": {"number": 60, "spacing": "uniform"},
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


@dataclass
class Option:
    """What shows that a key does something.

    ``value`` for the key (by its path, with list indices) on top of ``around`` moves ``number`` by at least
    ``by`` of its size, or to ``to`` times its value.
    """

    value: Any
    number: str = "g_nl"
    around: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    to: float | None = None
    by: float = 1e-5


OPTIONS: dict[str, Option] = {
    "mesh.shape.kind": Option("cylindrical1d", around=AWAY),
    "mesh.shape.dx": Option("0.125 um", around=AWAY, path="mesh.shape.dx"),
    "mesh.shape.dy": Option("0.2 um", around=SOLID),
    "mesh.shape.dz": Option("0.2 um", around=SOLID),
    "mesh.shape.nx": Option(72),
    "mesh.shape.ny": Option(6, around=FILM),
    "mesh.shape.nz": Option(6, around=SOLID),
    "mesh.shape.Lx": Option("9 um"),
    "mesh.shape.Ly": Option("0.6 um", around=FILM),
    "mesh.shape.Lz": Option("0.6 um", around=DEEP),
    "mesh.shape.origin": Option(["0.5 um"], around=AWAY),
    "mesh.shape.regions": Option(["0.5 um", "1 um"], around=FILM, path="mesh.shape.regions.point_A"),
    "mesh.shape.boundaries": Option("2 um", path="mesh.shape.boundaries.point_A"),
    "cross_section.width": Option("300 nm"),
    "cross_section.thickness": Option("4 nm"),
    "material.name": Option("X", around=EAST_OTHER),
    "material.gap": Option("200 ueV", "gap", to=200 / 265),
    "material.diffusivity": Option("8 cm^2/s"),
    "material.resistivity": Option("300 nohm*m"),
    "regions.material": Option(
        "X",
        around={
            "materials": {"X": OTHER, "Y": OWN},
            "regions": {name: {"material": "Y"} for name in ("west", "cover")} | EAST["regions"],
        },
        path="regions.west.material",
    ),
    "materials.name": Option(
        "Y",
        around={
            "materials": {"X": {"name": "Al_ryan2026"}, "Y": OTHER},
            "regions": EAST["regions"] | {"west": {"material": "Y"}},
        },
        path="materials.X.name",
    ),
    "materials.gap": Option("200 ueV", around=EAST, path="materials.X.gap"),
    "materials.diffusivity": Option("8 cm^2/s", around=EAST, path="materials.X.diffusivity"),
    "materials.resistivity": Option("300 nohm*m", around=EAST, path="materials.X.resistivity"),
    "junctions.on": Option("cover", path="junctions.0.on"),
    "junctions.conductance": Option("62.8 uS", path="junctions.1.conductance", by=0.5),
    "junctions.role": Option("injector", "I_inj", THREE, path="junctions.1.role"),
    "junctions.temperature": Option("0.5 K", around=WARM, path="junctions.0.temperature"),
    "junctions.bias": Option("0.3 mV", "I_det", THREE, path="junctions.1.bias"),
    "junctions.injects": Option(
        False,
        "gap",
        SELF_CONSISTENT | {"sweep": {"V_inj": ["0.2 mV"], "V_det": ["0.4 mV"]}},
        path="junctions.1.injects",
        by=1e-3,
    ),
    "junctions.lead.volume": Option("1 um^3", "T_lead", HEATED, path="junctions.0.lead.volume"),
    "junctions.lead.electron_phonon_coupling": Option(
        "1 nW/um^3/K^5", "T_lead", HEATED, path="junctions.0.lead.electron_phonon_coupling"
    ),
    "junctions.lead.resistance": Option("10 ohm", "T_lead", HEATED, path="junctions.0.lead.resistance"),
    "reservoirs.on": Option(["left"], path="reservoirs.0.on"),
    "reservoirs.temperature": Option("0.9 K", around=WARM, path="reservoirs.0.temperature"),
    "reservoirs.gap": Option("0 eV", "gap", DIFFUSIVE, path="reservoirs.0.gap", by=1e-3),
    "reservoirs.voltage": Option("0.2 mV", "I_reservoir", BIASED, path="reservoirs.0.voltage", to=2.0),
    "interfaces.between": Option(["start", "cover"], around=BARRIER, path="interfaces.0.between"),
    "interfaces.conductance_per_area": Option(
        "0.1 S/um^2", around=BARRIER, path="interfaces.0.conductance_per_area"
    ),
    "spectrum.model": Option("diffusive", "gap", SMALLER_EAST),
    "spectrum.broadening": Option(0.02),
    "spectrum.depairing": Option(0.03),
    "energies.maximum": Option(5.0, "energy"),
    "energies.number": Option(80, "energy"),
    "energies.largest": Option(0.2, "energy"),
    "energies.spacing": Option("uniform"),
    "collisions.electron_electron": Option(1e-2, "gap", COLLIDING, by=1e-3),
    "collisions.kernel": Option("diffusive_1d", "gap", COLLIDING, by=1e-4),
    "collisions.electron_phonon": Option("20 ns", "gap", COLLIDING, by=1e-4),
    "collisions.phonon_escape_time": Option("10 ns", "gap", COOLED, by=1e-5),
    "collisions.pair_breaking_time": Option("0.02 ns", "gap", COOLED, by=1e-5),
    "collisions.charge": Option(True, "I_det", COLLIDING, by=1e-4),
    "gap.model": Option("local", "gap", {"sweep": {"V_inj": ["0.2 mV"], "V_det": ["0 mV"]}}),
    "gap.value": Option(0.6, "gap", {"gap": {"model": "fixed", "value": 0.9}}, to=2 / 3),
    "gap.at": Option("point_B", "gap", SELF_CONSISTENT),
    "gap.debye_energy": Option(30.0, "gap", SELF_CONSISTENT),
    "gap.coupling": Option("arcsinh", "gap"),
    "supercurrent.phase_gradient": Option(0.2, "I_s", FLOWING, by=0.5),
    "supercurrent.current": Option("2 uA", "I_s", {"supercurrent": {"current": "1 uA"}}, to=2.0),
    "supercurrent.from": Option("top", around=FILM),
    "supercurrent.to": Option("top", around=FILM),
    "supercurrent.region": Option("west", "I_s", FLOWING | EAST_OTHER),
    "supercurrent.self_consistent_phase": Option(True, "I_s", FLOWING, by=1e-7),
    "supercurrent.coupling": Option(False, around=FLOWING),
    "supercurrent.both_signs": Option(True, "supercurrent", FLOWING),
    "sweep.V_inj": Option(["0.5 mV"], "I_inj"),
    "sweep.V_det": Option(["0.3 mV"], "I_det"),
    "sweep.temperature": Option(
        "0.9 K",
        around=WARM
        | {
            "reservoirs": [{"on": ["left", "right"]}],
            "sweep": BASE["sweep"] | {"temperature": "24 mK"},
        },
    ),
    "solver.tolerance": Option(1e-2, "gap", SELF_CONSISTENT, by=1e-9),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "mesh.file",
    "mesh.length_unit",
    "material.critical_temperature",
    "materials.critical_temperature",
    "junctions.name",
    "gap.branches",
    "junctions.lead.material",
    "solver.method",
    "solver.petsc",
    "solver.maximum_iterations",
    "solver.groups",
    "output.fields",
    "output.field_energies",
    "output.every",
    "output.stored",
    "output.spectra",
    "figures.kind",
    "figures.file",
    "figures.title",
    "figures.compare",
    "figures.offset",
    "figures.variable",
    "figures.limit",
}
"""Keys with a test of their own below."""


def case(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The base case with tables replaced."""
    return copy.deepcopy(BASE | (changes or {}))


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``data`` with the value at a dotted path."""
    *steps, last = path.split(".")
    at: Any = data
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[last] = value
    return data


def number(result: fvqp.Result, name: str) -> np.ndarray:
    values = np.asarray(result.dataset[name].values, dtype=float).ravel()
    assert np.isfinite(values).all()
    return values


def tables(annotation: Any) -> list[type[BaseModel]]:
    """Tables that a type mentions, in lists, dictionaries and unions."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [table for part in typing.get_args(annotation) for table in tables(part)]


def keys(table: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, entry in table.model_fields.items():
        path = f"{prefix}{entry.alias or name}"
        inner = tables(entry.annotation)
        found |= keys(inner[0], f"{path}.") if inner else {path}
    return found


def test_every_key_has_a_test():
    assert keys(UsadelCase) == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key):
    option = OPTIONS[key]
    around = case(option.around)
    changed = put(copy.deepcopy(around), option.path or key, option.value)
    before, after = (number(fvqp.run(data), option.number) for data in (around, changed))
    if before.shape == after.shape:
        assert np.abs(after - before).max() > option.by * np.abs(before).max()
    else:
        assert before.size != after.size
    if option.to is not None:
        np.testing.assert_allclose(after, option.to * before, rtol=2e-3)


GMSH = """$MeshFormat
2.2 0 8
$EndMeshFormat
$PhysicalNames
4
0 1 "left"
0 2 "right"
0 3 "point_A"
0 4 "point_B"
$EndPhysicalNames
$Nodes
{nodes}
$EndNodes
$Elements
{elements}
$EndElements
"""


def line_file(path: Path, length: float) -> Path:
    """A line of 24 cells with the names of the base case, as gmsh writes it."""
    x = np.linspace(0.0, length, 25)
    nodes = [f"{n} {at} 0 0" for n, at in enumerate(x, 1)]
    places = ((1, 1), (2, 25), (3, 11), (4, 15))
    elements = [f"{n} 15 2 {tag} {tag} {point}" for n, (tag, point) in enumerate(places, 1)]
    elements += [f"{n + 4} 1 2 5 5 {n} {n + 1}" for n in range(1, 25)]
    path.write_text(
        GMSH.format(
            nodes="\n".join([str(len(nodes)), *nodes]), elements="\n".join([str(len(elements)), *elements])
        )
    )
    return path


def test_title():
    assert fvqp.run(case({"title": "a wire"})).dataset.attrs["title"] == "a wire"


def test_model():
    with pytest.raises(CaseError, match='expected "usadel"'):
        fvqp.run(case({"model": "ginzburg-landau"}))


def test_mesh_file_and_length_unit(tmp_path):
    def g(name: str, length: float, unit: str) -> float:
        file = line_file(tmp_path / name, length)
        return float(number(fvqp.run(case({"mesh": {"file": str(file), "length_unit": unit}})), "g_nl")[0])

    short = g("short.msh", 4.0, "um")
    assert abs(g("long.msh", 8.0, "um") / short - 1.0) > 1e-2
    assert g("nanometres.msh", 4000.0, "nm") == pytest.approx(short, rel=1e-10)
    assert abs(g("short.msh", 4.0, "nm") / short - 1.0) > 1e-2


@pytest.mark.parametrize("table", ["material", "materials"])
def test_critical_temperature_bounds_the_bath(table):
    hot = case(WARM | {"reservoirs": [{"on": ["left", "right"], "temperature": "1.2 K"}]})
    own = OWN | {"critical_temperature": "1.1 K"}
    colder = hot | ({"material": own} if table == "material" else EAST | {"materials": {"X": own}})
    fvqp.check(hot)
    with pytest.raises(CaseError, match=r"1\.2 K is not below the critical temperature 1\.1 K"):
        fvqp.check(colder)


def test_junction_names():
    data = put(case(), "junctions.0.name", "bottom left")
    assert fvqp.run(data).dataset["junction"].values.tolist() == ["bottom left", "B"]


def test_solver_method():
    """Methods agree, and differ as round-off does."""
    direct, other = (number(fvqp.run(case({"solver": {"method": m}})), "g_nl") for m in ("direct", "gamg"))
    np.testing.assert_allclose(other, direct, rtol=1e-9)
    assert "gamg" in fvqp.check(case({"solver": {"method": "gamg"}}))
    assert "gamg" not in fvqp.check(case({"solver": {"method": "direct"}}))


def test_check_shows_sizes_and_warns_of_senseless_ones(caplog):
    """The coherence length is sqrt(16.9 cm²/s ħ / 265 µeV) = 64.79 nm; cells measure 6 µm / 36."""
    with caplog.at_level("INFO", logger="fvqp"):
        text = fvqp.check(case({}))
    assert "6 um, the longest 92.61 coherence lengths" in text
    assert "0.167 ... 0.167 um, 2.57 ... 2.57 coherence lengths of 0.06479 um" in text
    assert not caplog.messages
    for length, words in (("6 mm", "even the smallest cell measures 167 um, 2.57e"), ("6 nm", "0.0926 coh")):
        caplog.clear()
        shape = {"kind": "grid1d", "nx": 36, "Lx": length, "boundaries": {}}
        changes = {"mesh": {"shape": shape}, "junctions": [], "sweep": {"temperature": ["24 mK"]}}
        changes |= {"reservoirs": [{"on": ["left", "right"]}]}
        fvqp.check({**copy.deepcopy(BASE), **changes})
        assert words in caplog.text and "unit of length" in caplog.text


@pytest.mark.parametrize("spacing", ["graded", "uniform"])
def test_supercurrent_above_the_depairing_current(spacing):
    """At T = 0 superconductivity ends at ζ = ½(ξ∇φ)² = Δ0/2, where the gap of Abrikosov and Gor'kov does."""
    changes = {"energies": {"number": 60, "spacing": spacing}, "spectrum": {"broadening": 1e-4}}
    changes |= {"supercurrent": {"phase_gradient": [0.1, 3.0], "from": "left", "to": "right"}}
    with pytest.raises(
        CaseError, match=r"supercurrent\.phase_gradient: 3 is more than .* 0\.024 K"
    ) as caught:
        fvqp.check(case(changes))
    assert float(str(caught.value).split()[-1]) == pytest.approx(1.0, abs=0.02)
    changes["supercurrent"] = {"current": ["1 mA"], "from": "left", "to": "right"}
    with pytest.raises(CaseError, match=r"supercurrent\.current: 0\.001 A is more .* about .*e-05 A$"):
        fvqp.check(case(changes))


def test_petsc_options_reach_the_solver():
    with pytest.raises(ConvergenceError, match="relative residual"):
        fvqp.run(case({"solver": {"method": "gamg", "petsc": {"ksp_rtol": 1e-2}}}))
    read = {"gap_snes_anderson_m": 3, "ksp_norm_type": "unpreconditioned", "pc_gamg_agg_nsmooths": 1}
    fvqp.check(
        case(
            {"supercurrent": {"phase_gradient": 0.1, "from": "left", "to": "right"}}
            | {"solver": {"method": "gamg", "petsc": read | {"mg_levels_ksp_max_it": 3}}}
        )
    )
    fvqp.run(case({"solver": {"method": "gamg"}}))


def test_petsc_options_of_newton():
    newton = {"newton_snes_max_it": 1, "newton_ksp_rtol": 1e-5, "newton_tangent_ksp_max_it": 50}
    fvqp.check(case(COLLIDING | {"solver": {"petsc": newton}}))
    with pytest.raises(ConvergenceError, match="DIVERGED_MAX_IT"):
        fvqp.run(case(COLLIDING | {"solver": {"petsc": newton}}))
    for around, options, message in (
        (SELF_CONSISTENT, {"newton_ksp_rtol": 1e-5}, "without .collisions. the equations are linear"),
        (SELF_CONSISTENT, {"gap_snes_monitor": True}, "it reaches the iteration of a supercurrent"),
        (COLLIDING | {"gap": {}}, {"newton_tangent_ksp_rtol": 1e-5}, "slopes are solved for with a uniform"),
        (COLLIDING, {"newton_ksp_nonsense": 1}, "newton_ksp_nonsense"),
    ):
        with pytest.raises(CaseError, match=message):
            fvqp.check(case(around | {"solver": {"petsc": options}}))


def test_maximum_iterations():
    with pytest.raises(ConvergenceError, match="after 2 evaluations"):
        fvqp.run(case(SELF_CONSISTENT | {"solver": {"maximum_iterations": 2}}))


def test_groups_are_groups_of_ranks():
    with pytest.raises(CaseError, match=r"solver\.groups: 3 groups for 1 curve"):
        fvqp.run(case({"solver": {"groups": 3}}))


# -- output and figures, which need a folder -------------------------------------------------------------


BIASES = {"V_inj": {"from": "-0.5 mV", "to": "0.5 mV", "points": 7}, "V_det": ["0 mV"]}


def written(folder: Path, changes: dict[str, Any]) -> fvqp.Result:
    return fvqp.run(case({"sweep": BIASES} | changes), out=folder)


def field_names(folder: Path) -> set[str]:
    import pyvista

    file = next((folder / "fields").iterdir())
    return set(pyvista.read(file).cell_data.keys())


def test_output_fields_energies_and_every(tmp_path):
    written(tmp_path / "all", {})
    written(
        tmp_path / "some",
        {"output": {"fields": ["mu_Q", "f_L"], "field_energies": [1.05, 1.5], "every": 3}},
    )
    names = field_names(tmp_path / "some")
    assert sum(name.startswith("f_L at 1") for name in names) == 2
    assert any(name.startswith("mu_Q") for name in names)
    assert not any(name.startswith("gap") for name in names)
    assert any(name.startswith("gap") for name in field_names(tmp_path / "all"))
    steps = [len(list((tmp_path / name / "fields").iterdir())) for name in ("all", "some")]
    assert steps == [7, 3]


def test_output_stored_and_spectra():
    plain = fvqp.run(case()).dataset
    data = fvqp.run(case({"output": {"stored": ["f_T", "gap"], "spectra": ["dos", "f_T"]}})).dataset
    assert {"f_T", "dos"}.isdisjoint(plain)
    assert data["f_T"].sizes["cell"] == 36 and data["gap"].sizes["cell"] == 36
    assert data["dos"].dims[-2:] == ("junction", "energy")
    assert data["f_T_junction"].dims[-2:] == ("junction", "energy") and "gap_junction" in data


@pytest.mark.slow
def test_figures(tmp_path):
    figures = [
        {"kind": "g_ss"},
        {"kind": "g_ss", "file": "compared.png", "compare": "analytic"},
        {"kind": "g_ss", "file": "named.png", "title": "Another title"},
        {"kind": "g_ss", "file": "shifted.png", "offset": 1e-8},
        {"kind": "g_nl"},
        {"kind": "spectrum", "variable": "f_L"},
        {"kind": "spectrum", "variable": "dos", "file": "dos.png"},
    ]
    result = written(
        tmp_path / "out",
        {
            "figures": figures,
            "supercurrent": {"phase_gradient": [0.0, 0.1]},
            "output": {"spectra": ["f_L", "dos"]},
        },
    )
    assert result.folder is not None
    folder = result.folder / "figures"
    drawn = {path.stem: imread(path) for path in folder.iterdir()}
    assert set(drawn) == {"g_ss", "compared", "named", "shifted", "g_nl", "spectrum", "dos"}
    for one, other in (
        ("g_ss", "compared"),
        ("g_ss", "named"),
        ("g_ss", "shifted"),
        ("g_ss", "g_nl"),
        ("spectrum", "dos"),
    ):
        assert drawn[one].shape != drawn[other].shape or np.any(drawn[one] != drawn[other])


@pytest.mark.slow
def test_figures_beside_the_elastic_solution(tmp_path):
    sweep = {"V_inj": ["0.3 mV", "-0.3 mV", "1.2 mV"], "V_det": ["0.1 mV"]}
    energies = {"number": 60, "spacing": "uniform", "maximum": 10.0}
    around = COLLIDING | {"sweep": sweep, "energies": energies, "output": {"spectra": ["f_L"]}}
    figures = [
        {"kind": "gap", "compare": "elastic"},
        {"kind": "spectrum", "variable": "f_L", "compare": "elastic"},
    ]
    plain = [{**figure, "compare": None, "file": f"plain_{figure['kind']}.png"} for figure in figures]
    result = written(tmp_path / "out", around | {"figures": figures + plain})
    elastic = fvqp.run(case({name: table for name, table in around.items() if name != "collisions"}))
    for name in ("gap", "f_L"):
        here = result.dataset[f"{name}_elastic"].values
        np.testing.assert_allclose(here, elastic.dataset[name].values, rtol=1e-8)
        assert np.abs(here - result.dataset[name].values).max() > 1e-4 * np.abs(here).max()
    assert result.folder is not None
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    for kind in ("gap", "spectrum"):
        one, other = drawn[kind], drawn[f"plain_{kind}"]
        assert one.shape != other.shape or np.any(one != other)
