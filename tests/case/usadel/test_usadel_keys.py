"""Keys that no number shows: names, files, bounds, solvers and their options."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from case_keys import put
from options import number
from run_cases import line_file
from usadel_cases import BASE, COLLIDING, EAST, EAST_OTHER, OWN, SELF_CONSISTENT, WARM, case

import fvqp
from fvqp.errors import CaseError, ConvergenceError


def test_title():
    assert fvqp.run(case({"title": "a wire"})).dataset.attrs["title"] == "a wire"


def test_model():
    with pytest.raises(CaseError, match='expected "usadel"'):
        fvqp.run(case({"model": "ginzburg-landau"}))


def test_mesh_file_and_length_unit(tmp_path):
    def g(name: str, length: float, unit: str) -> float:
        file = line_file(tmp_path / name, np.linspace(0.0, length, 25), (11, 15))
        return float(number(case({"mesh": {"file": str(file), "length_unit": unit}}), "g_nl")[0])

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
    methods = ("direct", "multigrid", "gamg")
    direct, *others = (number(case({"solver": {"method": m}}), "g_nl") for m in methods)
    np.testing.assert_allclose(others, [direct, direct], rtol=1e-9)
    assert "gamg" in fvqp.check(case({"solver": {"method": "gamg"}}))
    assert "gamg" not in fvqp.check(case({"solver": {"method": "direct"}}))
    assert "batched multigrid" in fvqp.check(case({"solver": {"method": "multigrid"}}))


def test_check_shows_sizes_and_warns_of_senseless_ones(caplog):
    """The coherence length is sqrt(16.9 cm²/s ħ / 265 µeV) = 64.79 nm; cells measure 6 µm / 36."""
    with caplog.at_level("INFO", logger="fvqp"):
        text = fvqp.check(case({}))
    assert "6 um, the longest 92.61 coherence lengths" in text
    assert "0.167 ... 0.167 um, 2.57 ... 2.57 coherence lengths of 0.06479 um" in text
    assert not caplog.messages
    for length, cells, words in (
        ("6 mm", 36, "even the smallest cell measures 167 um, 2.57e"),
        ("6 nm", 36, "0.0926 coh"),
        ("9 nm", 100, "the smallest cell measures 9e-05 um, less than an atom"),
    ):
        caplog.clear()
        shape = {"kind": "grid1d", "nx": cells, "Lx": length, "boundaries": {}}
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


def test_petsc_options_that_stand_alone(capfd):
    """Flags, and viewers, which PETSc knows by other words than ``true``."""
    fvqp.check(case({"solver": {"method": "gamg", "petsc": {"ksp_view": True, "pc_gamg_agg_nsmooths": 1}}}))
    assert "KSP Object" in capfd.readouterr().out


@pytest.mark.slow
def test_petsc_options_of_newton():
    newton = {"newton_snes_max_it": 1, "newton_ksp_rtol": 1e-5, "newton_tangent_ksp_max_it": 50}
    fvqp.check(case(COLLIDING | {"solver": {"petsc": newton}}))
    with pytest.raises(ConvergenceError, match="DIVERGED_MAX_IT"):
        fvqp.run(case(COLLIDING | {"solver": {"petsc": newton}}))
    for around, options, message in (
        (
            SELF_CONSISTENT,
            {"newton_ksp_rtol": 1e-5},
            "it reaches .collisions., without which the equations are linear",
        ),
        (SELF_CONSISTENT, {"gap_snes_monitor": True}, "it reaches the iteration of a supercurrent"),
        (COLLIDING | {"gap": {}}, {"newton_tangent_ksp_rtol": 1e-5}, "solved for where gap or phase"),
        (COLLIDING, {"newton_ksp_nonsense": 1}, "newton_ksp_nonsense"),
    ):
        with pytest.raises(CaseError, match=message):
            fvqp.check(case(around | {"solver": {"petsc": options}}))


@pytest.mark.slow
def test_petsc_options_of_linear_solves_by_differences(capfd):
    local = {"gap": {"model": "local"}, "sweep": COLLIDING["sweep"], "energies": COLLIDING["energies"]}
    colliding = COLLIDING | {"gap": {}}
    for around, family in ((local, "flow"), (local, "slope"), (colliding, "charge")):
        fvqp.run(case(around | {"solver": {"petsc": {f"{family}_ksp_monitor": True}}}))
        assert "KSP Residual norm" in capfd.readouterr().out, family
    for family, message in (
        ("flow", "gaps of cells, or the phase"),
        ("slope", "slopes of gaps of cells"),
        ("branch", "gap.branches"),
        ("charge", "leave out f_T"),
    ):
        with pytest.raises(CaseError, match=f"{family}_ksp_rtol: not used: it reaches .*{message}"):
            fvqp.check(case({"solver": {"petsc": {f"{family}_ksp_rtol": 1e-3}}}))


@pytest.mark.slow
def test_petsc_options_reach_flows_and_spectra(capfd):
    """Monitors print their steps, and a limit of steps ends them."""
    local = {"gap": {"model": "local"}, "sweep": COLLIDING["sweep"], "energies": COLLIDING["energies"]}
    fvqp.run(case(local | {"solver": {"petsc": {"flow_snes_monitor": True}}}))
    assert "1 SNES Function norm" in capfd.readouterr().out
    with pytest.raises(ConvergenceError, match="gap.*: not converged after .* evaluations, change"):
        fvqp.run(case(local | {"solver": {"petsc": {"flow_snes_max_it": 1}}}))
    diffusive = {"spectrum": BASE["spectrum"] | {"model": "diffusive"}, "sweep": COLLIDING["sweep"]}
    diffusive |= {"energies": COLLIDING["energies"], "solver": {"petsc": {"spectra_snes_monitor": True}}}
    fvqp.run(case(diffusive))
    assert "2 SNES Function norm" in capfd.readouterr().out
    with pytest.raises(CaseError, match="spectra_snes_monitor: not used: it reaches spectrum.model"):
        fvqp.check(case({"solver": {"petsc": {"spectra_snes_monitor": True}}}))


def test_maximum_iterations():
    with pytest.raises(ConvergenceError, match="after 2 evaluations"):
        fvqp.run(case(SELF_CONSISTENT | {"solver": {"maximum_iterations": 2}}))


def test_region_of_a_current():
    """The phase gradient that is recorded is the mean of this region."""
    drive = {"supercurrent": {"current": "1 uA", "from": "left", "to": "right"}}
    means = []
    for region in ("west", "east"):
        drive["supercurrent"]["region"] = region
        means.append(fvqp.run(case(EAST_OTHER | drive)).dataset["phase_gradient"].values)
    assert np.all(np.abs(means[0] / means[1] - 1.0)[means[1] != 0.0] > 1e-3)


def test_groups_are_groups_of_ranks():
    with pytest.raises(CaseError, match=r"solver\.groups: 3 groups for 1 curve"):
        fvqp.run(case({"solver": {"groups": 3}}))
