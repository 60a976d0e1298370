"""Damaged inputs, always the same ones: each is taken, or refused in one line that names it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from mutants import changed, damaged, forked, promise, seeded

import fvqp
from fvqp.mesh import read_mesh
from fvqp.mesh.filling import gmsh_session
from fvqp.mesh.quality import report

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: Cases of all models whose check takes a moment.
CASES = [
    ROOT / "cases" / name
    for name in (
        "ryan2026/fig10.toml",
        "ryan2026/bistable.toml",
        "bespalov2016/wire.toml",
        "bespalov2016/relaxation.toml",
        "meyer2020/relaxation.toml",
        "boltzphlow2026/hot_pulse_al.toml",
        "boltzphlow2026/sphere_diffusive.toml",
        "boltzphlow2026/eliashberg.toml",
        "proximity/weak_link.toml",
        "networks/side_arm_film.toml",
        "devices/trap_noise.toml",
        "nagaev1995/two_steps.toml",
        "kozorezov2000/cascade.toml",
        "fischer2023/microwave_drive.toml",
    )
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mutants of cases find the meshes and tables of the originals."""
    whole = tmp_path_factory.mktemp("inputs")
    for name in ("cases", "meshes"):
        shutil.copytree(ROOT / name, whole / name)
    for case in CASES:
        # Modules that are imported late are there before a child is made.
        fvqp.check(case)
    return whole


@seeded(250)
@given(data=st.data())
def test_cases(folder: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(CASES))
    text = file.read_bytes()
    if data.draw(st.integers(0, 4)):
        text = tomlkit.dumps(data.draw(changed(tomllib.loads(text.decode())))).encode("utf-8", "replace")
    else:
        text = data.draw(damaged(text))
    path = folder / file.relative_to(ROOT).with_name("mutant.toml")
    path.write_bytes(text)
    assert not promise(*forked(["check", str(path)], folder / "log"), "mutant.toml")


#: Suffix of a mesh, and how meshio writes it; "4.1" is written by gmsh.
MESHES: dict[str, dict[str, Any]] = {
    "text22.msh": {"file_format": "gmsh22", "binary": False},
    "binary22.msh": {"file_format": "gmsh22", "binary": True},
    "text41.msh": {},
    "binary41.msh": {},
    "binary.vtu": {},
    "text.vtu": {"binary": False},
    "a.vtk": {},
    "text.xdmf": {"data_format": "XML"},
    "a.med": {},
    "a.mesh": {},
    "a.inp": {},
    "a.bdf": {},
    "text.stl": {},
    "binary.stl": {},
}


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube in all formats."""
    whole = tmp_path_factory.mktemp("meshes")
    with gmsh_session("a test") as program:
        program.model.occ.addBox(0, 0, 0, 1, 1, 1)
        program.model.occ.synchronize()
        program.option.setNumber("Mesh.MeshSizeMax", 0.5)
        program.model.mesh.generate(3)
        for name in ("text41.msh", "binary41.msh", "text.stl", "binary.stl"):
            program.option.setNumber("Mesh.Binary", int(name.startswith("binary")))
            program.write(str(whole / name))
        program.option.setNumber("Mesh.Binary", 0)
    mesh = meshio.read(whole / "text41.msh")
    tetrahedra = np.concatenate([block.data for block in mesh.cells if block.type == "tetra"])
    plain = meshio.Mesh(mesh.points, [("tetra", tetrahedra)])
    for name, how in MESHES.items():
        if not (whole / name).exists():
            meshio.write(whole / name, plain, **how)
        mesh = read_mesh(whole / name)
        assert mesh.volume.sum() == pytest.approx(1.0)
        str(report(mesh))
    return whole


@pytest.mark.parametrize("name", MESHES)
@seeded(40)
@given(data=st.data())
def test_meshes(meshes: Path, name: str, data: st.DataObject) -> None:
    path = meshes / f"mutant-{name}"
    path.write_bytes(data.draw(damaged((meshes / name).read_bytes())))
    assert not promise(*forked(["mesh", "info", str(path), "--unit", "m"], meshes / "log"), path.name)


@seeded(150)
@given(data=st.data())
def test_points_and_cells(meshes: Path, data: st.DataObject) -> None:
    """Numbers of points that do not exist, and coordinates that are none, never make another device."""
    mesh = meshio.read(meshes / "binary.vtu")
    rows, points = mesh.cells[0].data.copy(), mesh.points.copy()
    row = data.draw(st.integers(0, len(rows) - 1))
    if data.draw(st.booleans()):
        bad = [-1, -2, -len(points), -(2**31), len(points), 2**31 - 1]
        rows[row, data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(bad))
    else:
        number = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e200, 1e308]))
        points[rows[row, 0], data.draw(st.integers(0, 2))] = number
    name = data.draw(st.sampled_from([n for n in MESHES if not n.endswith(".stl") and "41" not in n]))
    if name in ("a.inp", "a.bdf", "a.med"):
        return  # their writers refuse
    path = meshes / f"cells-{name}"
    meshio.write(path, meshio.Mesh(points, [("tetra", rows)]), **MESHES[name])
    code, text = forked(["mesh", "info", str(path), "--unit", "m"], meshes / "log")
    assert code == 2 and not promise(code, text, path.name), text


@pytest.mark.parametrize("name", ["film_with_trap", "mkid"])
@seeded(120)
@given(data=st.data())
def test_layouts(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    whole = ROOT / "meshes" / "devices" / f"{name}.gds"
    path = tmp_path_factory.getbasetemp() / "mutant.gds"
    path.write_bytes(data.draw(damaged(whole.read_bytes())))
    arguments = ["--layer", "1/0=film", "--size", "100 um", "--out", str(path.with_suffix(".msh"))]
    code, text = forked(["mesh", "from-gds", str(path), *arguments], path.with_name("log"))
    assert not promise(code, text, "mutant.gds")


# -- tables ----------------------------------------------------------------------------------------------

MEASURED = "V_inj (mV), supercurrent (uA), g_nl (nS)\n" + "".join(
    f"{v:.1f}, {s}, {3 * v + s:.2f}\n" for s in (-1, 0, 1) for v in (-1, -0.5, 0, 0.5, 1)
)
ALPHA2F = "# meV\n" + "".join(f"{0.5 * k} {0.01 * k * k:.3f}\n" for k in range(1, 30))


@seeded(200)
@given(data=st.data())
def test_measured_tables(folder: Path, data: st.DataObject) -> None:
    path = folder / "measured.csv"
    path.write_bytes(data.draw(damaged(MEASURED.encode())))
    arguments = ["symmetry", str(path), "-o", str(folder / "parts.csv")]
    assert not promise(*forked(arguments, folder / "log"), "measured.csv")


@seeded(120)
@given(data=st.data())
def test_generation_tables(folder: Path, data: st.DataObject) -> None:
    case, table = folder / "cases/bespalov2016/wire.toml", folder / "cases/bespalov2016/wire_generation.csv"
    whole = (ROOT / "cases/bespalov2016/wire_generation.csv").read_bytes()
    table.write_bytes(data.draw(damaged(whole)))
    code, text = forked(["check", str(case)], folder / "log")
    table.write_bytes(whole)
    assert not promise(code, text, "wire")


@seeded(120)
@given(data=st.data())
def test_spectral_functions(folder: Path, data: st.DataObject) -> None:
    table = folder / "alpha2f.txt"
    table.write_bytes(data.draw(damaged(ALPHA2F.encode())))
    case: dict[str, Any] = {
        "model": "eliashberg",
        "interaction": {"file": "alpha2f.txt", "coulomb": 0.1},
        "sweep": {"temperature": "1 K"},
        "energies": {"maximum": "40 meV", "number": 400},
    }
    path = folder / "gap.toml"
    path.write_text(tomlkit.dumps(case))
    assert not promise(*forked(["check", str(path)], folder / "log"), "alpha2f.txt")
