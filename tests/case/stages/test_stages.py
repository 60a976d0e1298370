"""Stages: they hand over results, go on where they were stopped, say which of them is wrong."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from case_keys import changed, keys
from matplotlib.image import imread
from said import Said
from scipy import constants
from stage_cases import NOISE, TRANSPORT, TRAP
from stochastic_cases import CLUSTER
from transport_cases import FILM, SPHERE

import fvqp
from fvqp import cli
from fvqp.case import case_from_dict, load_case
from fvqp.case.stages.plan import plan
from fvqp.case.stages.schema import StagesCase
from fvqp.errors import CaseError, CheckpointError, ConvergenceError
from fvqp.results import open_result

TESTED = {
    "title",
    "model",
    "stages.name",
    "stages.file",
    "stages.case",
    "stages.links",
    "solver.groups",
    "solver.petsc",
}
"""Keys with a test below."""


def trap(**changes: Any) -> dict[str, Any]:
    """The case with values at dotted paths, ``__`` for the dots."""
    return changed(TRAP, {path.replace("__", "."): value for path, value in changes.items()})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the case; nobody may change them."""
    out = tmp_path_factory.mktemp("stages") / "out"
    fvqp.run(trap(title="All of it"), out=out)
    return out


def test_every_key_has_a_test() -> None:
    assert keys(StagesCase) == TESTED


def test_stages_hand_over(done: Path) -> None:
    """Generation and volume of the trap are those of the transport run, worked out here by other means."""
    transport = open_result(done / "transport").dataset
    noise = open_result(done / "noise").dataset
    inside = (
        (abs(transport["x"] - 3.5e-6) < 0.5e-6) & (abs(transport["y"] - 0.5e-6) < 0.5e-6)
    ).values  # one cell of 1 µm²
    assert inside.sum() == 1
    edges = np.zeros(transport.sizes["energy"] + 1)
    for k, centre in enumerate(transport["energy"].values):
        edges[k + 1] = 2.0 * centre - edges[k]
    above = np.clip(edges[1:] - np.maximum(edges[:-1], 180e-6), 0.0, None) * constants.e
    states = 2.0 * 1.74e28 / constants.e
    held = transport["dos"].values[:, inside] * (1.0 - transport["f_L"].values[:, inside])
    wanted = states * (held @ above)[:, 0] / 1e-6
    assert noise["generation"].values == pytest.approx(wanted, rel=1e-9)
    assert np.all(np.diff(wanted) > 0.0)
    assert noise["volume"].values == pytest.approx([30e-9 * 1e-12])
    assert noise["V_inj"].dims == ("generation",)
    assert noise["V_inj"].values == pytest.approx([0.25e-3, 0.4e-3])
    assert noise.attrs["swept"] == "V_inj"
    localized = open_result(done / "localized").dataset
    held = transport["dos"].values[1] * (1.0 - transport["f_L"].values[1])
    assert localized["generation_cell"].values.ravel() == pytest.approx(states * held @ above / 1e-3)


def test_results_of_the_whole(done: Path) -> None:
    """They are those of the last stage; every stage has a folder, and figures, of its own."""
    whole, noise = open_result(done).dataset, open_result(done / "noise").dataset
    for name in noise.data_vars:
        np.testing.assert_array_equal(whole[name], noise[name])
    assert whole.attrs["title"] == "All of it" and whole.attrs["case_hash"] != noise.attrs["case_hash"]
    assert whole.attrs["stages"] == '["transport", "localized", "noise"]'
    for figure in (done / "figures" / "injection.png", done / "localized" / "figures" / "profile.png"):
        assert float(np.ptp(imread(figure)[..., :3])) > 0.5
    read = load_case(done / "case.toml")
    assert read.hash == whole.attrs["case_hash"]


@pytest.mark.slow
def test_solver_options_reach_the_stages_that_have_them(tmp_path: Path) -> None:
    """Groups reach transport, PETSc options the stage with such a solver, before its own."""
    data = trap(solver__groups=2, solver__petsc={"cluster_ksp_type": "preonly", "cluster_pc_type": "jacobi"})
    data["stages"][2]["case"]["solver"] = {"petsc": {"cluster_pc_type": "lu"}}
    transport, localized, noise = (stage.data for stage in plan(case_from_dict(data)))
    assert transport["solver"] == {"groups": 2} and "solver" not in localized
    assert noise["solver"]["petsc"] == {"cluster_ksp_type": "preonly", "cluster_pc_type": "jacobi"}
    with pytest.raises(CaseError, match="stage transport: .*2 groups for 1 curve"):
        fvqp.run(data, out=tmp_path / "groups")
    del data["solver"]["groups"]
    # One sweep of Jacobi's method does not solve anything.
    with pytest.raises(ConvergenceError, match="stage noise: "):
        fvqp.run(data, out=tmp_path / "jacobi")
    for key, value in (("groups", 2), ("petsc", {"nonsense": 1})):
        alone = {"model": "stages", "stages": [{"name": "one", "case": {**NOISE, "sweep": CLUSTER["sweep"]}}]}
        with pytest.raises(CaseError, match=f"solver.{key}.*: reaches no solver of any stage"):
            case_from_dict({**alone, "solver": {key: value}})


@pytest.mark.slow
def test_resume_skips_what_is_finished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A stage that fails names itself and leaves the others alone; a later run does the rest only."""
    bad = trap()
    bad["stages"][2]["case"]["sweep"]["results"]["minimum_energy"] = "20 meV"
    with pytest.raises(CaseError, match=r"^case: stage noise: sweep\.results\.minimum_energy: .* is beyond"):
        fvqp.run(bad, out=tmp_path / "out")
    before = (tmp_path / "out" / "transport" / "results.nc").stat().st_mtime_ns
    assert not (tmp_path / "out" / "results.nc").exists()
    with pytest.raises(CheckpointError, match=r"stage transport: .*holds results of this case already"):
        fvqp.run(trap(), out=tmp_path / "out")
    with caplog.at_level("INFO", "fvqp"):
        fvqp.run(trap(), out=tmp_path / "out", resume=True)
    text = caplog.text
    assert "stage 1 of 3, transport: finished before" in text
    assert "stage 2 of 3, localized: finished before" in text and "stage 3 of 3, noise\n" in text
    assert (tmp_path / "out" / "transport" / "results.nc").stat().st_mtime_ns == before
    with pytest.raises(CheckpointError, match="belongs to another case"):
        fvqp.run(bad, out=tmp_path / "out", resume=True)
    fvqp.run(trap(), out=tmp_path / "out", resume=True)


@pytest.mark.slow
def test_resume_goes_on_within_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the interrupted stage has is kept, and the result is that of one run."""
    from fvqp.case.clusters.study import ClustersStudy

    solved, calls = ClustersStudy.values, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solved(*arguments)

    data = {"model": "stages", "stages": [TRAP["stages"][0], TRAP["stages"][2]]}
    monkeypatch.setattr(ClustersStudy, "values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fvqp.run(copy.deepcopy(data), out=tmp_path / "out")
    assert len(calls) == 2
    resumed = fvqp.run(copy.deepcopy(data), out=tmp_path / "out", resume=True).dataset
    assert len(calls) == 3
    np.testing.assert_array_equal(resumed["completed"], 1)


def test_a_list_of_finished_stages_that_is_damaged(tmp_path: Path) -> None:
    alone = {"model": "stages", "stages": [TRAP["stages"][0]]}
    fvqp.run(copy.deepcopy(alone), out=tmp_path / "out")
    (tmp_path / "out" / "stages.json").write_text("[1")
    with pytest.raises(CheckpointError, match=r"stages\.json: damaged or not a list of finished stages"):
        fvqp.run(copy.deepcopy(alone), out=tmp_path / "out", resume=True)


def test_stage_of_a_file_and_overrides(tmp_path: Path) -> None:
    """Values of the case take the place of the file's; ``--set`` reaches them by the stage's name."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "transport.toml").write_text(tomlkit.dumps(TRANSPORT))
    stages = [{"name": "transport", "file": "deep/transport.toml", "case": {"energies": {"number": 80}}}]
    path = tmp_path / "stages.toml"
    path.write_text(tomlkit.dumps({"model": "stages", "stages": stages}))
    out = tmp_path / "out"
    override = "stages.transport.case.sweep.V_inj=0.3 mV"
    assert cli.main(["run", str(path), "--out", str(out), "--set", override, "-q"]) == 0
    found = open_result(out / "transport").dataset
    assert found.sizes["energy"] == 80 and found["V_inj"].values == pytest.approx([0.3e-3])
    plain, changed = load_case(path), load_case(path, [override])
    assert plain.hash != changed.hash
    stages[0]["file"] = "transport.toml"
    path.write_text(tomlkit.dumps({"model": "stages", "stages": stages}))
    with pytest.raises(CaseError, match=r"stages\.toml: stages\.transport\.file: no such file: "):
        load_case(path)


def test_check_shows_every_stage() -> None:
    text = fvqp.check(trap())
    assert "case: stage transport: valid" in text and re.search("energies +60 bins", text)
    assert re.search("case: stage noise: valid\n  sizes +follow from the results of transport", text)


def test_regions_of_the_transport_model_are_known_before_it_runs() -> None:
    data = trap(
        stages__2__case__sweep__results={"variable": "n_qp_cell", "region": "tarp", "capture_time": "1 us"}
    )
    data["stages"] = [{"name": "transport", "case": copy.deepcopy(FILM)}, data["stages"][2]]
    with pytest.raises(
        CaseError, match=r'region: the mesh of stage transport has no region "tarp"; there are: '
    ):
        fvqp.check(data)
    data["stages"][0]["case"] = copy.deepcopy(SPHERE)
    with pytest.raises(CaseError, match="there are: none"):
        fvqp.check(data)


@pytest.mark.slow
def test_transport_with_phonons_hands_over(tmp_path: Path) -> None:
    """Quasiparticles of a film that fill its trap in time: rates by the capture time, at every time."""
    data = trap(stages__2__case__sweep={
        "equation": "mean_field", "volume": "0.01 um^3",
        "results": {"variable": "n_qp_cell", "region": "trap", "capture_time": "1 us"},
    })  # fmt: skip
    del data["stages"][2]["case"]["noise"]
    data["stages"] = [{"name": "transport", "case": copy.deepcopy(FILM)}, data["stages"][2]]
    noise = fvqp.run(data, out=tmp_path / "out").dataset
    film = open_result(tmp_path / "out" / "transport").dataset
    arriving = film["n_qp_region"].sel(region="trap").values / 1e-6
    assert noise["generation"].values == pytest.approx(arriving) and noise.attrs["swept"] == "time"
    assert noise["volume"].values == pytest.approx([0.01e-18])


def test_titles_and_figures_do_not_decide() -> None:
    other = trap(title="Another", stages__2__case__title="Another", stages__2__case__figures=[])
    assert case_from_dict(other).hash == case_from_dict(trap()).hash
    assert case_from_dict(trap(stages__0__name="first", stages__1__links={"profile.results.folder": "first"},
        stages__2__links={"sweep.results.folder": "first"})).hash != case_from_dict(trap()).hash  # fmt: skip


def test_results_stay_nowhere() -> None:
    with pytest.raises(CaseError, match="stages hand over results in folders: name the results folder"):
        fvqp.run(trap())


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"stages": []}, "stages: must not be empty"),
    ({"box": {}}, "box: unknown key (allowed: title, model, stages, solver)"),
    ({"stages.0.name": "a/b"}, 'name: expected letters, digits, "-" and "_", got "a/b"'),
    ({"stages.0.name": "figures"}, '"figures" is what another part of a results folder is called'),
    ({"stages.1.name": "transport"}, '"transport" is the name of two stages'),
    ({"stages.0.case": {}}, "give file or case"),
    ({"stages.0.case.model": "stages"}, 'stage transport: model: "stages" cannot be a stage of its own kind'),
    ({"stages.0.case.model": "usadl"}, 'case.toml: stage transport: model: expected "usadel"'),
    ({"stages.0.case.energies.numbr": 4}, "stage transport: energies.numbr: unknown key"),
    ({"stages.2.case.cluster.annihilation": "1 um"}, "stage noise: cluster.annihilation: expected a rate"),
    ({"stages.2.links": {"sweep.results.folder": "trnsport"}}, "no earlier stage; there are: transport"),
    ({"stages.1.links": {"profile.results.folder": "noise"}}, "which is no earlier stage"),
    ({"stages.1.links.title": "transport"}, 'stage localized: links: "title" takes no results folder'),
    ({"stages.2.links": {}}, "stage noise: sweep.results.folder: missing"),
    ({"stages.2.links": {"model.x": "transport"}}, 'links: "model.x": model is no table'),
    ({"stages.2.case.sweep.results.folder": "there"}, "the case gives folder already"),
    ({"stages.2.case.sweep.results.region": "tarp"}, 'has no region "tarp"; there are: trap'),
    ({"stages.0.case.output.stored": ["f_L"]}, 'does not store "dos" (its output.stored: f_L)'),
    ({"stages.2.case.noise": {}}, "stage noise: noise.frequency: missing"),
    ({"stages.2.case.figures.0.kind": "flipped"}, '"flipped" shows what output.distribution adds'),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[next(iter(c)) for c, _ in MISTAKES])
def test_mistakes(changes: dict[str, Any], message: str, said: Said) -> None:
    code, text = said(TRAP, changes)
    assert code == 2 and message in text, text


def test_links_need_a_stage_before(said: Said) -> None:
    """A stage whose links are missing is an error when it is checked as a case of its own too."""
    code, text = said(NOISE, {})
    assert code == 2 and "sweep.results.folder: missing" in text
