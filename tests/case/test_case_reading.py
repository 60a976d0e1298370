"""Case files: what they mean, and the one message that each mistake gets."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomlkit
from scipy import constants

from fvqp.case import Case, case_from_dict, load_case
from fvqp.case.models import mistakes
from fvqp.case.reading import apply_overrides, read_toml
from fvqp.case.usadel.energy_axis import energy_maximum
from fvqp.case.usadel.mesh_and_material_checks import check_with_materials
from fvqp.errors import MAX_MESSAGE, CaseError
from fvqp.materials import load_material

DELTA0 = 265e-6 * constants.e
ALUMINIUM = load_material("Al_ryan2026")
CASES = Path(__file__).parents[2] / "cases"
WIRE = """
title = "wire"
model = "usadel"

[mesh]
file = "line.msh"
length_unit = "um"

[cross_section]
width = "150 nm"
thickness = "8 nm"

[material]
name = "Al_ryan2026"

[[junctions]]
name = "A"
on = "junction_A"
conductance = "24.6 uS"
role = "injector"
temperature = "61 mK"

[[junctions]]
name = "B"
on = "junction_B"
conductance = "31.4 uS"
role = "detector"
temperature = "37 mK"

[[reservoirs]]
on = ["reservoir_left", "reservoir_right"]
temperature = "24 mK"

[spectrum]
broadening = 1.53e-3

[energies]
maximum = 4.0

[supercurrent]
phase_gradient = [0.0, 0.2]
from = "reservoir_left"
to = "reservoir_right"

[sweep]
V_inj = { from = "-1 mV", to = "1 mV", points = 101 }
V_det = ["0 V"]

[[figures]]
kind = "g_ss"
compare = "analytic"

[[figures]]
kind = "g_a"
"""


@pytest.fixture
def wire(tmp_path):
    (tmp_path / "line.msh").write_text("")
    path = tmp_path / "wire.toml"
    path.write_text(WIRE)
    return path


def message(path, *overrides):
    with pytest.raises(CaseError) as caught:
        load_case(path, overrides)
    first, *others = str(caught.value).split("\n  ")
    if not others:
        return first
    assert first == f"{path.name}: {len(others)} mistakes" and not any("\n" in line for line in others)
    return f"{path.name}: " + "; ".join(others)


def test_quantities_become_si_floats(wire):
    case = load_case(wire)
    assert case.cross_section.width == pytest.approx(150e-9, rel=1e-15)
    assert case.junctions[0].conductance == pytest.approx(24.6e-6, rel=1e-15)
    assert case.reservoirs[0].temperature == pytest.approx(0.024, rel=1e-15)
    assert case.spectrum.broadening.in_delta0(DELTA0) == 1.53e-3
    assert case.energies.maximum.in_joule(DELTA0) == 4 * DELTA0
    assert case.mesh.file == (wire.parent / "line.msh").resolve()


def test_biases_mirror_to_the_last_bit(wire):
    bias = load_case(wire).sweep.V_inj.in_volt(DELTA0)
    assert len(bias) == 101 and bias[0] == -1e-3 and bias[-1] == 1e-3
    np.testing.assert_array_equal(bias, -bias[::-1])


def test_biases_and_energies_in_multiples_of_the_gap(wire):
    case = load_case(wire, ["sweep.V_inj=['1.5 Delta0', '-0.2 mV']", "energies.maximum='2 meV'"])
    np.testing.assert_allclose(case.sweep.V_inj.in_volt(DELTA0), [1.5 * 265e-6, -0.2e-3], rtol=1e-14)
    assert case.energies.maximum.in_delta0(DELTA0) == pytest.approx(2000 / 265)


def test_both_signs_of_the_supercurrent(wire):
    assert load_case(wire).supercurrent.values == (-0.2, 0.0, 0.2)
    assert load_case(wire, ["supercurrent.both_signs=false", "figures=[]"]).supercurrent.values == (0.0, 0.2)


def test_resolved_case_reads_back_equal(wire):
    case = load_case(wire)
    text = case.resolved_toml()
    again = case_from_dict(tomllib.loads(text))
    assert again.resolved_toml() == text
    assert again.hash == case.hash
    assert "tolerance" in text and "both_signs" in text


@pytest.mark.parametrize(
    ("override", "changes"),
    [
        ("title='x'", False),
        ("figures=[]", False),
        ("solver.groups=4", False),
        ("solver.petsc.ksp_type='gmres'", False),
        ("junctions.A.conductance='24.7 uS'", True),
        ("energies.number=401", True),
        ("supercurrent.self_consistent_phase=true", True),
        ("solver.tolerance=1e-8", True),
    ],
)
def test_hash_follows_what_decides_the_numbers(wire, override, changes):
    assert (load_case(wire, [override]).hash != load_case(wire).hash) is changes


def test_emptied_lists_take_along_what_serves_them(wire, caplog):
    fields = ["output.fields=['gap', 'dos']", "output.field_energies=[1.1]", "output.every=3"]
    file = wire.with_name("fields.toml")
    data = read_toml(wire)
    apply_overrides(data, fields, "")
    file.write_text(tomlkit.dumps(data))
    assert load_case(file).output.every == 3
    with caplog.at_level("INFO"):
        output = load_case(file, ["output.fields=[]"]).output
    assert (output.fields, output.field_energies, output.every) == ((), (), 1)
    left_out = "{} only serves output.fields, which is empty, and is left out"
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        left_out.format("output.field_energies"),
        left_out.format("output.every"),
    ]
    caplog.clear()
    with caplog.at_level("INFO"):
        output = load_case(file, ["output.fields=['gap', 'mu_Q']"]).output
    assert (output.field_energies, output.every) == ((), 3)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "output.field_energies only serves output.fields, which holds none of dos, f_L, f_T, and is left out"
    ]
    assert len(load_case(file, ["output.fields=['f_T']"]).output.field_energies) == 1
    for order in (1, -1):
        assert "output.every: is not used" in message(file, *["output.fields=[]", "output.every=2"][::order])


def test_emptied_lists_in_a_stage(wire):
    data = {"model": "stages", "stages": [{"name": "a", "case": read_toml(wire)}]}
    apply_overrides(data, ["stages.a.case.output.fields=['gap']", "stages.a.case.output.every=3"], "")
    assert data["stages"][0]["case"]["output"]["every"] == 3
    apply_overrides(data, ["stages.a.case.output.fields=[]"], "")
    assert data["stages"][0]["case"]["output"] == {"fields": []}


def test_override_without_a_value_leaves_out(wire):
    file = wire.with_name("uniform.toml")
    data = read_toml(wire)
    apply_overrides(data, ["gap={ model = 'uniform', at = 'point_A' }"], "")
    file.write_text(tomlkit.dumps(data))
    assert "gap.at: is not used" in message(file, "gap.model=equilibrium")
    case = load_case(file, ["gap.model=equilibrium", "gap.at=", "junctions.B=", "sweep.V_det=", "figures= "])
    assert case.gap.at is None and [junction.name for junction in case.junctions] == ["A"]
    assert case.figures == ()
    assert "--set gap.value=: there is no gap.value to leave out" in message(file, "gap.value=")
    assert "gap.at: must not be empty" in message(file, 'gap.at=""')


def test_overrides_by_name_number_and_new_table(wire):
    case = load_case(
        wire,
        [
            "junctions.B.temperature=40 mK",
            "junctions[0].bias='0.1 V'",
            "sweep={V_det=['0 V']}",
            "figures=[]",
            "gap.model=local",
            "solver.petsc.ksp_rtol=1e-9",
        ],
    )
    assert case.junctions[1].temperature == pytest.approx(0.04)
    assert case.junctions[0].bias.in_volt(DELTA0) == 0.1
    assert case.gap.model == "local" and case.gap.debye_energy == 10.0
    assert case.solver.petsc == {"ksp_rtol": 1e-9}


MISTAKES = [
    ("junctions.A.conductance='24.6 um'", "junctions[0].conductance: expected a conductance", "length"),
    ("junctions.A.conductance=24.6", "junctions[0].conductance: expected a conductance", "24.6"),
    ("junctions.A.conductance='24.6 uSS'", "junctions[0].conductance: expected a conductance", "uSS"),
    ("junctions.A.conductance='-1 S'", "junctions[0].conductance: must be positive", "-1"),
    ("junctions.A.conductance='nan S'", "junctions[0].conductance: expected a conductance", "nan S"),
    ("junctions.A.conductance=true", "junctions[0].conductance: expected a conductance", ""),
    ("junctions.A.conductanse='1 S'", "junctions[0].conductanse: unknown key", 'did you mean "conductance"'),
    ("spectrm.broadening=3", "spectrm: unknown key", 'did you mean "spectrum"'),
    ("material.nane='Al'", "material.nane: unknown key", 'did you mean "name"'),
    ("materials.X={gapp='1 eV'}", "materials.X.gapp: unknown key", 'did you mean "gap"'),
    ("reservoirs[0].temprature='1 K'", "reservoirs[0].temprature: unknown key", "temperature"),
    ("model='usadl'", "model: expected", 'did you mean "usadel"'),
    ("energies.number=1.5", "energies.number: expected a whole number", "1.5"),
    ("energies.number=0", "energies.number: expected at least 2", "0"),
    ("energies.maximum='-1 eV'", "energies.maximum: must be positive", ""),
    ("energies.maximum='1 K'", "energies.maximum: expected an energy", "temperature"),
    ("sweep.V_inj.points=1", "sweep.V_inj.points: expected a whole number of at least 2", ""),
    ("sweep.V_inj={from='0 V', points=3}", "sweep.V_inj: expected {", "to"),
    ("sweep.V_inj=[]", "sweep.V_inj: expected at least one bias", ""),
    ("sweep.V_inj=['0 V', '0 V']", 'sweep.V_inj: "0.0 V" is given more than once', ""),
    ("sweep.V_inj=[0.1]", "sweep.V_inj: expected a voltage", "0.1"),
    ("supercurrent.current='1 uA'", "supercurrent: give either phase_gradient or current", ""),
    ("supercurrent.phase_gradient=[0.1, -0.1]", "supercurrent: with both_signs", ""),
    ("supercurrent.to='reservoir_left'", "supercurrent: from and to are both", ""),
    ("supercurrent.coupling='yes'", "supercurrent.coupling: expected true or false", "yes"),
    ("spectrum.broadening=0", "spectrum.broadening: 0 without depairing", "singular"),
    ("spectrum.broadening=-1e-3", "spectrum.broadening: must not be negative", ""),
    ("spectrum.depairing=-1", "spectrum.depairing: must not be negative", "-1"),
    ("spectrum.depairing='1 eV'", "spectrum.depairing: expected a plain number", ""),
    ("gap.model='fixed'", "gap.value: missing", "fixed"),
    ("gap.value='1 eV'", "gap.value: is not used", "equilibrium"),
    ("gap={model='fixed', value=0.9, debye_energy=10}", "gap.debye_energy: is not used", "fixed"),
    ("gap={model='uniform'}", "gap.at: missing", "the name of the junction"),
    ("figures[0].kind='g_sss'", "figures[0].kind: expected", 'did you mean "g_ss"'),
    ("figures[0]={kind='g_a', compare='analytic'}", "figures[0].compare:", "g_ss"),
    ("supercurrent.both_signs=false", "figures[0].kind: g_ss needs supercurrent.both_signs", ""),
    ("supercurrent={phase_gradient=0.1, coupling=false}", "figures[1].kind: g_a is zero", ""),
    ("supercurrent={phase_gradient=0.0}", "figures[1].kind: g_a needs", ""),
    ("figures[0].file='../x.png'", "figures[0].file: expected a plain file name", ""),
    ("figures=[{kind='fields', variable='gap'}]", "figures[0].variable:", "output.stored"),
    ("output.fields=['f_L']", "output.field_energies: missing", "f_L"),
    ("output.field_energies=[1.0]", "output.field_energies: is not used", ""),
    ("output.fields=['gap', 'foo']", "output.fields[1]: expected", "foo"),
    ("mesh.file='none.msh'", "mesh.file: no such file", "none.msh"),
    ("mesh={file='line.msh'}", "mesh.length_unit: missing", ""),
    ("mesh={shape={nx=3}}", "mesh.shape.kind: missing", ""),
    ("mesh={shape={kind='grid1d', Lx=3.0}}", "mesh.shape.Lx: expected a length", ""),
    ("mesh={shape={kind='grid1d', Lx='3 K'}}", "mesh.shape.Lx: expected a length", "temperature"),
    ("material={gap='265 ueV'}", "material: give name", "diffusivity, resistivity"),
    ("material.gap=1.0", "material.gap: expected an energy", ""),
    ("materials.X={name='Al_ryan2026'}", "materials.X: is not used", ""),
    ("sweep.temperature='1 K'", "sweep.temperature: is not used", ""),
    ("junctions.B.name='A'", "junctions[1].name:", "another junction"),
    ("junctions.B.on='junction_A'", "junctions[1].on:", "taken"),
    ("junctions.A.role='detector'", "sweep.V_inj: is not used", "injector"),
    ("junctions.A.bias='0 V'", "sweep.V_inj: is not used", "own"),
    ("sweep={V_det=['0 V']}", "sweep.V_inj: missing", '"A"'),
    ("reservoirs=[]", "reservoirs: missing", ""),
    ("reservoirs=3", "reservoirs: expected a list", "3"),
    ("reservoirs={on='a'}", "reservoirs: expected a list", "[[reservoirs]]"),
    ("reservoirs[0]={on=['x']}", "reservoirs[0].temperature: missing", ""),
    ("interfaces=[{between=['a','a'], conductance_per_area='1 S/m^2'}]", "interfaces[0].between:", "a"),
    ("interfaces=[{between=['a','b','c'], conductance_per_area='1 S/m^2'}]", "interfaces[0].between:", "3"),
    ("solver.tolerance=2", "solver.tolerance: must be less than 1", "2"),
    ("solver.method='magic'", "solver.method: expected", "magic"),
    ("junctions.Z.bias='0 V'", "--set", "there are: A, B"),
    ("junctions[5].bias='0 V'", "--set", "2 entries"),
    ("title.x=3", "--set", "not a table"),
    ("title", "--set title: expected key=value", ""),
]


@pytest.mark.parametrize(("override", "begin", "within"), MISTAKES, ids=[m[0][:40] for m in MISTAKES])
def test_mistakes(wire, override, begin, within):
    text = message(wire, override)
    assert text.removeprefix("wire.toml: ").startswith(begin)
    assert within in text


def test_all_mistakes_are_told_at_once(wire):
    """Unknown keys first, then wrong types and values, of all tables, each key once."""
    text = message(
        wire,
        "cross_section.widht='1 um'",  # and so width is missing, which goes without saying
        "junctions.A.conductance='24.6 um'",
        "energies.number=0",
        "sweep.V_inj=['1 mV', '2 K']",
        "reservoirs[0].temperature='warm'",
        "tuning=3",
    )
    told = text.removeprefix("wire.toml: ").split("; ")
    keys = [part.partition(":")[0] for part in told if not part.startswith("did you mean")]
    assert sorted(keys) == sorted(
        [
            "cross_section.widht",
            "tuning",
            "junctions[0].conductance",
            "energies.number",
            "sweep.V_inj",
            "reservoirs[0].temperature",
        ]
    )
    assert {*keys[:2]} == {"cross_section.widht", "tuning"}
    assert 'expected a conductance such as "24.6 uS", got "24.6 um", which is a length' in text


def test_a_long_list_of_mistakes_is_cut():
    found = [f"a[{k}].key: expected a length" + "!" * 500 for k in range(30)]
    text = str(mistakes("case.toml", found))
    assert text.startswith("case.toml: 30 mistakes\n  a[0].key: expected") and len(text) <= MAX_MESSAGE
    assert text.endswith("\n  and 26 more") and text.count("\n") == 5
    assert str(mistakes("case.toml", ["a.b: one", "a.b: two", "a: three"])) == "case.toml: a.b: one"


def test_a_check_that_fails_after_a_mistake_does_not_hide_it(wire, monkeypatch):
    def problems(case):
        yield "first", "is wrong"
        raise KeyError("what the first should have been")

    monkeypatch.setattr("fvqp.case.usadel.checks.problems", problems)
    assert message(wire) == "wire.toml: first: is wrong"


def test_files_that_are_no_cases(tmp_path):
    assert "no such case file" in message(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text("title = \n")
    assert "a.toml: not valid TOML" in message(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_text('[junctions]\nname = "A"\n[junctions]\nname = "B"\n')
    assert message(tmp_path / "a.toml").endswith("double brackets: [[junctions]]")
    (tmp_path / "a.toml").write_text('[junctions]\nname = "A"\n[[junctions]]\nname = "B"\n')
    assert message(tmp_path / "a.toml").endswith("double brackets, also the first: [[junctions]]")
    for end in ("", "\n[spectrum]\n"):
        (tmp_path / "a.toml").write_text(f"[material]\ngap = 1\ngap = 2{end}")
        assert message(tmp_path / "a.toml").endswith("; gap is there twice")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in message(tmp_path / "b.toml")
    assert "cannot be read" in message(tmp_path)
    (tmp_path / "c.toml").write_text("")
    assert "c.toml: model: missing" in message(tmp_path / "c.toml")


def test_swept_temperature_is_for_those_without_one(wire):
    text = wire.read_text().replace('temperature = "24 mK"', "")
    wire.write_text(text)
    assert "reservoirs[0].temperature: missing" in message(wire)
    case = load_case(wire, ["sweep.temperature=['24 mK', '50 mK']"])
    assert case.sweep.temperature == pytest.approx((0.024, 0.05))


def test_checks_that_need_the_gap(wire):
    def refused(*overrides):
        with pytest.raises(CaseError) as caught:
            check_with_materials(load_case(wire, overrides), ALUMINIUM, {})
        return str(caught.value)

    check_with_materials(load_case(wire), ALUMINIUM, {})
    text = refused("energies.maximum=3.0")
    assert (
        text.startswith("wire.toml: energies.maximum: the axis ends at 3 Delta0") and "3.774 Delta0/e" in text
    )
    # Tc = Δ0 / (1.764 k_B) = 1.743 K for 265 µeV.
    text = refused("reservoirs[0].temperature='1.8 K'", "energies.maximum=30.0")
    assert text.startswith("wire.toml: reservoirs[0].temperature: 1.8 K is not below") and "1.743" in text


def test_a_superconductor_without_a_gap_at_rest(wire):
    """What breaks pairs is named with its value and the largest that leaves a gap, which then passes."""

    def refused(*overrides, regions=None):
        with pytest.raises(CaseError) as caught:
            check_with_materials(load_case(wire, overrides), ALUMINIUM, regions or {})
        return str(caught.value)

    begin = "wire.toml: spectrum.depairing: 0.9 Delta0 destroys the superconductivity at 0.024 K, before"
    for gap in ("model='equilibrium'", "model='local'", "model='uniform',at='junction_A'"):
        text = refused("spectrum.depairing=0.9", f"gap={{{gap}}}")
        assert text.startswith(begin)
        largest = float(text.split("up to ")[1].split()[0])
        assert 0.48 < largest < 0.51
        check_with_materials(load_case(wire, [f"spectrum.depairing={largest}"]), ALUMINIUM, {})
    assert "0.499 Delta0 destroys" in refused("spectrum.depairing=0.499", "spectrum.broadening=0.01")
    assert ": spectrum.broadening: 0.6 Delta0 destroys" in refused("spectrum.broadening=0.6")
    weak = replace(ALUMINIUM, name="weak", gap=0.4 * DELTA0, critical_temperature=np.nan)
    text = refused("spectrum.depairing=0.3", regions={"end": weak})
    assert "superconductivity of weak (region end) at" in text and "up to 0.19" in text
    fixed = load_case(wire, ["spectrum.depairing=0.9", "gap={model='fixed',value='1 Delta0'}"])
    check_with_materials(fixed, ALUMINIUM, {})
    swept = wire.read_text().replace('temperature = "24 mK"', "")
    wire.write_text(swept)
    text = refused("spectrum.depairing=0.4", "sweep.temperature=['24 mK', '1.2 K']", "energies.maximum=30.0")
    assert "0.4 Delta0 destroys the superconductivity at 1.2 K" in text


@pytest.mark.parametrize("model", ["model='local'", "model='uniform',at='junction_A'"])
def test_a_gap_at_rest_that_counts_as_lost(wire, model):
    """Gaps that follow the bias end below a twentieth of the bulk's: one that begins there is refused."""
    few = ["spectrum.broadening=0.005", "gap={model='equilibrium',coupling='arcsinh'}"]
    follows = f"gap={{{model},coupling='arcsinh'}}"
    # Γ = 0.005 leaves 0.03 of the gap at ζ = 0.494, and 0.15 at 0.49.
    check_with_materials(load_case(wire, [*few, "spectrum.depairing=0.494"]), ALUMINIUM, {})
    with pytest.raises(CaseError) as caught:
        check_with_materials(load_case(wire, [*few, follows, "spectrum.depairing=0.494"]), ALUMINIUM, {})
    text = str(caught.value)
    assert text.startswith("wire.toml: spectrum.depairing: 0.494 Delta0 leaves a gap of 0.03")
    assert "below 0.05 of it counts as lost" in text and text.endswith("leaves more")
    largest = float(text.split("up to ")[1].split()[0])
    assert 0.49 < largest < 0.494
    case = load_case(wire, [*few, follows, f"spectrum.depairing={largest}"])
    check_with_materials(case, ALUMINIUM, {})
    # The gap at Tc(1 − 3e-4) is 1.74 √3e-4 = 0.03, with a large Debye energy.
    hot = [
        "energies.maximum=30.0",
        "spectrum.broadening=1e-6",
        f"gap={{{model},debye_energy=1e5}}",
        "reservoirs[0].temperature='1.7429 K'",
    ]
    with pytest.raises(CaseError, match=r"reservoirs\[0\].temperature: 1.7429 K leaves a gap of 0.03"):
        check_with_materials(load_case(wire, hot), ALUMINIUM, {})


def test_default_energy_axis_reaches_beyond_the_bias(wire):
    case = load_case(wire)
    data = tomllib.loads(case.resolved_toml())
    del data["energies"]["maximum"]
    free = case_from_dict(data)
    largest = 1e-3 * constants.e / DELTA0
    assert energy_maximum(free, DELTA0) > largest + 0.3
    check_with_materials(free, ALUMINIUM, {})
    assert energy_maximum(case, DELTA0) == 4.0


def test_cases_do_not_change(wire):
    case = load_case(wire)
    assert isinstance(case, Case)
    with pytest.raises(ValueError, match="frozen"):
        case.title = "other"
