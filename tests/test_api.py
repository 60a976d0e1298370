"""Public names of the package: objects take units, have short representations, and sweep as cases do."""

from __future__ import annotations

import ast
import os
import pickle
import re
import rlcompleter
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot
from mpi4py import MPI

import fvqp
from fvqp import (
    BoltzmannProblem,
    Device,
    GapModel,
    Junction,
    Lead,
    Material,
    Point,
    Reservoir,
    Supercurrent,
    UsadelProblem,
    cli,
    evolve,
    load_case,
    load_material,
    read_mesh,
    shape_mesh,
    solve,
)
from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, ConvergenceError, MeshError, SuperconductivityDestroyed
from fvqp.models.boltzmann import Medium
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.slopes import conductances
from fvqp.results.ledger import Ledger
from fvqp.units import engineering, registry

ROOT = Path(__file__).parents[1]
FIG10 = ROOT / "cases" / "ryan2026" / "fig10.toml"
JUNCTIONS = [
    Junction("A", "point_A", "24.6 uS", role="injector", temperature="61 mK"),
    Junction("B", "point_B", "31.4 uS", role="detector", temperature="37 mK"),
]


def short_wire() -> Device:
    mesh = shape_mesh(
        "grid1d",
        nx=40,
        Lx="4 um",
        boundaries={"point_A": "1.7 um", "point_B": "2 um"},
        regions={"middle": ("1 um", "3 um")},
    )
    ends = [Reservoir("ends", ("left", "right"), temperature="24 mK")]
    return Device(mesh, load_material("Al_ryan2026"), JUNCTIONS, ends, width="150 nm", thickness="8 nm")


@pytest.fixture(scope="module")
def wire() -> Device:
    return short_wire()


def test_every_public_name_is_there() -> None:
    promised = "Mesh, Material, Junction, Reservoir, UsadelProblem, BoltzmannProblem, solve, run, open_result"
    assert set(promised.split(", ")) <= set(fvqp.__all__) <= set(dir(fvqp))
    assert all(getattr(fvqp, name).__name__ == name for name in fvqp.__all__)
    assert fvqp.__version__ == metadata.version("fvqp")
    with pytest.raises(AttributeError, match="module 'fvqp' has no attribute 'Meshes'"):
        fvqp.Meshes  # noqa: B018


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse((ROOT / "fvqp" / "__init__.py").read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {n.asname: i.module for i in typed.body if isinstance(i, ast.ImportFrom) for n in i.names}
    assert homes == fvqp._HOMES
    assert (ROOT / "fvqp" / "py.typed").exists()


def test_the_package_loads_nothing_until_it_is_used() -> None:
    code = "import fvqp, sys; dir(fvqp); print([n for n in ('numpy', 'mpi4py', 'pint') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_names_are_completed() -> None:
    """A session that completes names, as IPython's and Python's own do, finds the public ones."""
    found = rlcompleter.Completer({"fvqp": fvqp}).attr_matches("fvqp.load_")
    assert [name.rstrip("(") for name in found] == ["fvqp.load_case", "fvqp.load_material"]


def test_a_wheel_holds_what_is_no_module(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="pip install hatchling")
    (linked,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    with zipfile.ZipFile(linked) as archive:
        # A folder of that name beside other packages would stand in front of the checkout.
        assert not [name for name in archive.namelist() if name.startswith("fvqp/")]
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert {"fvqp/py.typed", "fvqp/materials/library.toml"} <= names
    assert {"fvqp/results/view/page.html", "fvqp/results/view/page.js"} <= names
    assert not [name for name in names if "__pycache__" in name]
    command = [sys.executable, "-m", "fvqp.cli", "new", "chip", "--to", str(tmp_path / "own")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")}, check=True)
    assert load_case(tmp_path / "own" / "chip.toml").source == "chip.toml"


def test_version_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert not ended.value.code and capsys.readouterr().out == f"fvqp {metadata.version('fvqp')}\n"


# -- units


def test_text_quantities_and_numbers_are_the_same() -> None:
    plain = Junction("A", "here", 24.6e-6, "injector", 0.061, bias=-1e-4)
    quantity = registry.Quantity(24.6, "uS")
    assert Junction("A", "here", quantity, "injector", "61 mK", bias="-0.1 mV") == plain  # type: ignore[arg-type]
    assert replace(plain, conductance="31.4 uS").conductance == pytest.approx(31.4e-6, rel=1e-15)
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert Reservoir("N", ("left",), "24 mK", gap="0 eV", voltage="1 uV").voltage == 1e-6
    assert Lead("1 um^3", "2 nW/um^3/K^5", "10 ohm").coupling == pytest.approx(2e9)
    assert Point("0.3 mV").V_inj == pytest.approx(3e-4) and Point().V_det == 0.0
    drive = Supercurrent("left", "right", "current", ("10 uA", -2e-6))  # type: ignore[arg-type]
    assert drive.values == pytest.approx((1e-5, -2e-6), rel=1e-15)
    assert Supercurrent("left", "right", "phase_gradient", (0.1, 0)).values == (0.1, 0.0)
    own = Material("mine", gap="180 ueV", diffusivity="50 cm^2/s")
    assert own.gap == pytest.approx(180e-6 * 1.602176634e-19) and own.diffusivity == 5e-3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Junction("A", "here", "24.6 uA", "injector", "61 mK"),
            'Junction.conductance: expected a conductance such as "24.6 uS", got "24.6 uA", '
            "which is a current",
        ),
        (
            lambda: Junction("A", "here", None, "injector", "61 mK"),  # type: ignore[arg-type]
            "Junction.conductance: expected a conductance",
        ),
        (
            lambda: Junction("A", "here", 1e-6, "gate", 0.1),  # type: ignore[arg-type]
            'Junction.role: expected "injector" or "detector", got "gate"',
        ),
        (
            lambda: Junction("A", "here", "-1 uS", "injector", 0.1),
            "Junction.conductance: expected a number that is not negative, got -1e-06",
        ),
        (
            lambda: Junction("A", "here", "1 uS", "injector", "-1 K"),
            "Junction.temperature: expected a number that is not negative, got -1",
        ),
        (
            lambda: Reservoir("end", ("left",), "-24 mK"),
            "Reservoir.temperature: expected a number that is not negative, got -0.024",
        ),
        (
            lambda: GapModel("unifrm"),  # type: ignore[arg-type]
            'GapModel.kind: expected "equilibrium", "fixed", "uniform" or "local", got "unifrm"; '
            'did you mean "uniform"?',
        ),
        (
            lambda: replace(short_wire(), width="-150 nm"),
            "cross_section.width: expected a positive number, got -1.5e-07",
        ),
        (
            lambda: UsadelProblem(short_wire(), spectra="diffuse"),  # type: ignore[arg-type]
            'UsadelProblem.spectra: expected "local" or "diffusive", got "diffuse"; '
            'did you mean "diffusive"?',
        ),
        (
            lambda: UsadelProblem(short_wire(), broadening="4 ueV"),  # type: ignore[arg-type]
            "UsadelProblem.broadening, in units of the gap: expected a number that is not negative, "
            'got "4 ueV"',
        ),
        (
            lambda: solve(UsadelProblem(short_wire()), V_inj="0.1 mV", energies=100.5),  # type: ignore[arg-type]
            "solve: energies: expected a number of bins such as 200, got 100.5",
        ),
        (
            lambda: Reservoir("end", "left", "24 mK"),  # type: ignore[arg-type]
            "Reservoir.on: expected a tuple of boundaries, as ('left',)",
        ),
        (
            lambda: Supercurrent("left", "right", "current", (1e-5, "1 mV")),  # type: ignore[arg-type]
            'Supercurrent.values[1]: expected a current such as "10 uA", got "1 mV", which is a voltage',
        ),
        (
            lambda: Supercurrent("left", "right", "flow", (0.1,)),  # type: ignore[arg-type]
            'Supercurrent.kind: expected "phase_gradient" or "current", got "flow"',
        ),
        (lambda: Point("1 mA"), 'Point.V_inj: expected a voltage such as "0.4 mV"'),
        (
            lambda: shape_mesh("grid1d", nx=4, Lx="4 um", boundaries={"here": "1 s"}),
            'grid1d: expected a length such as "11 um", got "1 s", which is a time',
        ),
        (
            lambda: read_mesh("meshes/ryan_wire/line.msh", length_unit="parsecs long"),
            'line.msh: length_unit: expected a length such as "um", got "parsecs long"',
        ),
    ],
)
def test_mistakes_are_told_with_the_field(make: object, words: str) -> None:
    with pytest.raises((CaseError, MeshError), match=re.escape(words)):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (24.6e-6, "S", "24.6 uS"),
        (0.061, "K", "61 mK"),
        (-1e-4, "V", "-100 uV"),
        (0.0, "V", "0 V"),
        (1e3, "V", "1 kV"),
    ],
)
def test_numbers_with_prefixes(value: float, unit: str, text: str) -> None:
    assert engineering(value, unit) == text


# -- what objects tell


def test_objects_tell_what_they_are(wire: Device) -> None:
    mesh = "Mesh(grid1d: 40 cells of dimension 1; regions middle; boundaries left, right, point_A, point_B)"
    assert repr(wire.mesh) == mesh
    assert (
        repr(wire.material)
        == "Material('Al_ryan2026': gap 265 ueV, Tc 1.743 K, D 16.9 cm^2/s, resistivity 15.82 uohm*cm)"
    )
    assert repr(load_material("Cu")).startswith("Material('Cu': normal metal")
    assert repr(wire.junctions[0]) == "Junction('A' on 'point_A': injector, 24.6 uS, 61 mK)"
    probe = Junction("P", "here", "1 uS", "detector", "0.1 K", "10 uV", False, Lead("1 um^3", 2e9))
    assert (
        repr(probe)
        == "Junction('P' on 'here': ideal detector, 1 uS, 100 mK, at 10 uV, heat balance of its lead)"
    )
    assert repr(wire.reservoirs[0]) == "Reservoir('ends' on 'left', 'right': 24 mK)"
    normal = Reservoir("N", ("left",), "24 mK", gap="0 eV", voltage="1 uV")
    assert repr(normal) == "Reservoir('N' on 'left': 24 mK, at 1 uV, gap 0 eV)"
    assert (
        repr(wire) == "Device(grid1d, 40 cells of dimension 1: "
        "Al_ryan2026, width 150 nm, thickness 8 nm, contacts A, B, ends)"
    )
    flow = Supercurrent("left", "right", "phase_gradient", (0.1,))
    problem = UsadelProblem(wire, supercurrent=flow)
    assert repr(problem) == (
        "UsadelProblem(200 energies up to 3 Delta0, broadening 0.0001 Delta0, equilibrium gap, "
        f"local spectra, supercurrent from left to right;\n    {mesh})"
    )
    assert repr(problem.grid) == "EnergyAxis(200 bins up to 3 Delta0)"
    assert repr(load_case(FIG10)).startswith("UsadelCase(") and len(repr(load_case(FIG10))) < 160
    assert "fig10.toml: 'Charge imbalance: g_ss for several supercurrents', model 'usadel', hash" in repr(
        load_case(FIG10)
    )
    assert repr(Ledger({"charge": (2.0, 1.0, 0.5)}, point="V_inj = 1 V")) == (
        "Ledger(relative residual at V_inj = 1 V: charge 2.5e-01)"
    )


def cells_of(html: str) -> list[list[str]]:
    """Texts of the rows of a table, by a parser that refuses what is not well formed."""
    rows = ElementTree.fromstring(html).findall("tr")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_objects_are_small_tables_in_notebooks(wire: Device) -> None:
    things = {
        wire.mesh._repr_html_(): [
            ["cells", "40, dimension 1, cartesian"],
            ["extent", "4 um"],
            ["regions (cells)", "middle (20)"],
            ["boundaries (faces)", "left (1), right (1), point_A (1), point_B (1)"],
        ],
        wire._repr_html_(): [
            ["mesh", repr(wire.mesh)],
            ["cross-section", "width 150 nm, thickness 8 nm"],
            ["junction", repr(wire.junctions[1])],
            ["reservoir", repr(wire.reservoirs[0])],
        ],
        Ledger({"charge": (2.0, 1.0, 0.5)})._repr_html_(): [
            ["", "injected", "relaxed", "taken out", "residual", "relative"],
            ["charge (A)", "2", "1", "0.5", "0.5", "0.25"],
        ],
        load_case(FIG10)._repr_html_(): [
            ["file", "fig10.toml"],
            ["model", "usadel"],
            ["title", "Charge imbalance: g_ss for several supercurrents"],
        ],
    }
    for html, expected in things.items():
        rows = cells_of(html)
        assert all(row in rows for row in expected) and len(html) < 2000, rows
    rows = cells_of(load_material("Al_ryan2026")._repr_html_())
    assert rows[1][:2] == ["gap", "265 ueV ± 5 ueV"] and "Table 1" in rows[1][2]
    assert rows[-1] == ["critical_temperature", "1.743 K", "BCS value of the gap"]
    own = Material("a < b", gap="1 meV", critical_temperature="6 K")
    assert cells_of(own._repr_html_())[1:] == [["gap", "1000 ueV", ""], ["critical_temperature", "6 K", ""]]


def test_meshes_and_devices_are_drawn(wire: Device) -> None:
    """Boundaries by their names; of a device the contacts alone, with what they are on."""
    (axes,) = wire.mesh.plot()
    assert pyplot.fignum_exists(axes.figure.number)  # type: ignore[union-attr]
    assert {text.get_text() for text in axes.texts} == {"left", "right", "point_A", "point_B"}
    wire = replace(wire, junctions=[replace(wire.junctions[0], on="middle"), *wire.junctions[1:]])
    (axes,) = wire.draw()
    assert axes.figure.get_suptitle() == "Al_ryan2026, width 150 nm, thickness 8 nm, 40 cells"  # type: ignore[union-attr]
    shown = {text.get_text(): text.xy[0] for text in axes.texts}  # type: ignore[attr-defined]
    places = {"reservoir ends: left": 0.0, "injector A: middle": 2.05, "detector B: point_B": 2.0}
    assert shown == pytest.approx(places | {"reservoir ends: right": 4.0})
    pyplot.close("all")


def test_a_long_list_of_names_is_cut() -> None:
    boxes = {f"r{k}": (k * 1e-6, (k + 1) * 1e-6) for k in range(9)}
    mesh = shape_mesh("spherical1d", nx=9, Lx="9 um", regions=boxes, comm=MPI.COMM_SELF)
    assert repr(mesh) == (
        "Mesh(spherical1d: 9 cells of dimension 1, spherical; regions r0, r1, r2, r3, r4, r5 and 3 more; "
        "boundaries right)"
    )


# -- sweeps


def test_a_sweep_of_objects_is_that_of_the_case(wire: Device) -> None:
    """The same wire as a case, whose axis, order of points and observables the sweep has to find itself."""
    flow = Supercurrent("left", "right", "phase_gradient", (0.0, 0.1))
    problem = UsadelProblem(wire, broadening=0.01, supercurrent=flow, coupling=False)
    found = solve(problem, V_inj=["-0.4 mV", 0.0, "0.4 mV"], V_det="50 uV", energies=80)
    table = {"conductance": "24.6 uS", "role": "injector", "temperature": "61 mK"}
    other = {"conductance": "31.4 uS", "role": "detector", "temperature": "37 mK"}
    shape = {"kind": "grid1d", "nx": 40, "Lx": "4 um", "boundaries": {"point_A": "1.7 um", "point_B": "2 um"}}
    case = {
        "model": "usadel",
        "mesh": {"shape": shape},
        "cross_section": {"width": "150 nm", "thickness": "8 nm"},
        "material": {"name": "Al_ryan2026"},
        "junctions": [{"name": "A", "on": "point_A", **table}, {"name": "B", "on": "point_B", **other}],
        "reservoirs": [{"on": ["left", "right"], "temperature": "24 mK"}],
        "spectrum": {"broadening": 0.01},
        "energies": {"number": 80},
        "supercurrent": {"phase_gradient": [0.0, 0.1], "coupling": False, "both_signs": False},
        "sweep": {"V_inj": ["-0.4 mV", "0 V", "0.4 mV"], "V_det": ["50 uV"]},
    }
    expected = fvqp.run(case).dataset
    assert found.dataset["g_nl"].dims == ("supercurrent", "V_det", "V_inj")
    assert set(found.dataset) == set(expected)
    for name, values in expected.items():
        largest = float(np.abs(values).max())
        np.testing.assert_allclose(
            found.dataset[name], values, rtol=0, atol=1e-12 * largest, err_msg=str(name)
        )
    assert repr(found) == (
        "Result('usadel' in memory: 2 supercurrent, 1 V_det, 3 V_inj, 6 of 6 points computed; 14 variables)"
    )
    assert found.ledger.closes()
    rows = cells_of(found._repr_html_())
    assert ["points", "2 supercurrent, 1 V_det, 3 V_inj, 6 of 6 points computed"] in rows
    assert ["ledger", repr(found.ledger)] in rows and rows[-2][1].endswith(" and 8 more")


def test_a_sweep_on_the_axis_of_the_problem(wire: Device) -> None:
    """Without ``energies`` the problem's own axis is kept, which has to reach beyond the biases."""
    problem = UsadelProblem(wire, broadening=0.01)
    found = solve(problem, V_inj=3e-4)
    single = solve_point(problem, Point(3e-4))
    assert found.dataset.sizes["energy"] == 200 and found.dataset["g_nl"].shape == (1,)
    assert found.dataset["g_nl"].item() == -conductances(problem, single)[1]
    with pytest.raises(CaseError, match="energy axis: ends at 3 Δ0, below the bias of an injector"):
        solve(problem, V_inj="1 mV")
    with pytest.raises(CaseError, match="energy axis: the first edge must be 0, not 0.5"):
        replace(problem, grid=fvqp.EnergyAxis.uniform(0.1, 3.0, start=0.5))
    assert solve(problem, V_inj="1 mV", energies=100).dataset["g_nl"].item() > 0.0


@pytest.mark.parametrize(("follows", "outcomes"), [(False, [1, 2, 3, 1]), (True, [1, 2, 2, 2])])
def test_points_without_a_solution(
    wire: Device,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    follows: bool,
    outcomes: list[int],
) -> None:
    """Points that start from one without a superconducting solution have none either."""

    def failing(problem: UsadelProblem, point: Point, guess: object = None) -> object:
        if point.V_inj in (1e-5, 2e-5):
            kind = SuperconductivityDestroyed if point.V_inj == 1e-5 else ConvergenceError
            raise kind(f"no solution at {point.V_inj:g} V")
        return solve_point(problem, point, guess)  # type: ignore[arg-type]

    monkeypatch.setattr("fvqp.study.sweep.solve_point", failing)
    monkeypatch.setattr("fvqp.study.sweep.HALVINGS", 0)
    gap = GapModel("uniform", at="A") if follows else GapModel()
    problem = UsadelProblem(wire, broadening=0.02, gap=gap)
    found = solve(problem, V_inj=[0.0, 1e-5, 2e-5, 3e-5]).dataset
    assert found["outcome"].values.tolist() == outcomes
    np.testing.assert_array_equal(np.isfinite(found["g_nl"]), found["outcome"] == 1)
    assert f"{4 - outcomes.count(1)} of 4 points have no solution: no solution at 1e-05 V" in caplog.text
    with pytest.raises(SuperconductivityDestroyed, match="no solution at 1e-05 V"):
        solve(problem, V_inj=1e-5)


def test_problems_and_solutions_tell_what_they_are(wire: Device) -> None:
    solution = solve_point(UsadelProblem(wire), Point("0.1 mV"))
    found = re.sub(r"gap 0\.\d+ ", "gap G ", repr(solution))
    assert found == "Solution(Point(V_inj=0.0001, V_det=0.0, supercurrent=0.0): gap G Delta0, 0 evaluations)"
    grid = EnergyAxis.uniform(0.5, 3.0)
    boltzmann = BoltzmannProblem(wire.mesh, grid, Medium(ElectronPhonon(grid, Coupling(0.01, 1.0)), 1.0))
    assert repr(boltzmann) == (
        f"BoltzmannProblem(40 cells, {grid.n} + {grid.n_phonon} energies, 1 media, fixed gap;\n"
        "    quasiparticles immobile with 1 direction(s), phonons immobile with 1 direction(s))"
    )
    words = "solve: expected a UsadelProblem, got BoltzmannProblem; a BoltzmannProblem is for evolve"
    with pytest.raises(CaseError, match=words):
        solve(boltzmann)  # type: ignore[arg-type]
    (moment,) = evolve(boltzmann, boltzmann.thermal(0.2), [1e-3])
    assert moment.time == 1e-3


@pytest.mark.slow
def test_fig_10_in_twenty_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script of the page makes the numbers of the case."""
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "howto" / "python.md").read_text(), re.S)
    (script,) = (block for block in blocks if "read_mesh" in block)
    assert len([line for line in script.splitlines() if line]) <= 20
    space: dict[str, fvqp.Result] = {}
    exec(script, space)
    found, expected = space["result"].dataset, fvqp.run(FIG10).dataset
    assert set(expected) - set(found) == {"g_ss_analytic"}
    for name in found:
        largest = float(np.abs(expected[name]).max())
        np.testing.assert_allclose(
            found[name], expected[name], rtol=0, atol=1e-13 * largest + 1e-20, err_msg=name
        )
