"""Every key of a case of a weak link moves a number, and every mistake has its message."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys
from options import Option, assert_moves, dataset, number

import fvqp
from fvqp.case.geometry import MeshSource
from fvqp.case.weak_link.schema import WeakLinkCase
from fvqp.errors import FvqpError

NAMED = {"superconductor": {"name": "Al_ryan2026"}}
REGION = {"regions": {"end": {"diffusivity": "16.9 cm^2/s", "resistivity": "100 nohm*m"}}}
BASE: dict[str, Any] = {
    "model": "weak_link",
    "mesh": {"shape": {"kind": "grid1d", "Lx": "130 nm", "nx": 10, "regions": {"end": ["0 nm", "26 nm"]}}},
    "cross_section": {"width": "150 nm", "thickness": "20 nm"},
    "superconductor": {"gap": "265 ueV"},
    "metal": {"diffusivity": "16.9 cm^2/s", "resistivity": "100 nohm*m"},
    "reservoirs": [{"on": ["left"], "phase": "0 rad"}, {"on": ["right"]}],
    "spectrum": {"broadening": 1e-3},
    "energies": {"maximum": 1.0, "number": 4},
    "sweep": {"phase": ["60 deg", "90 deg"], "temperature": ["300 mK"]},
    "output": {"stored": ["dos"]},
}
OPTIONS: dict[str, Option] = {
    "cross_section.width": Option("300 nm", to=2.0),
    "cross_section.thickness": Option("40 nm", to=2.0),
    "superconductor.name": Option("Al", around=NAMED),
    "superconductor.gap": Option("200 ueV"),
    "metal.diffusivity": Option("8 cm^2/s"),
    "metal.resistivity": Option("50 nohm*m", to=2.0),
    "regions.diffusivity": Option("8 cm^2/s", around=REGION, path="regions.end.diffusivity"),
    "regions.resistivity": Option("50 nohm*m", around=REGION, path="regions.end.resistivity"),
    "reservoirs.gap": Option("100 ueV", path="reservoirs.1.gap"),
    "reservoirs.phase": Option("20 deg"),
    "spectrum.broadening": Option(0.05),
    "energies.maximum": Option(0.5, "energy"),
    "energies.number": Option(5, "energy"),
    "sweep.phase": Option({"from": "10 deg", "to": "90 deg", "points": 3}),
    "sweep.temperature": Option("500 mK"),
}
"""Keys whose effect is in the dataset."""
ELSEWHERE = {
    "title", "model", "reservoirs.on", "output.stored", "solver.method", "solver.petsc",
    "figures.kind", "figures.file", "figures.title",
}  # fmt: skip
"""Keys with a test of their own below."""


def test_every_key_has_a_test() -> None:
    """Those of the mesh are tested with the Usadel model."""
    assert keys(WeakLinkCase) - keys(MeshSource, "mesh.") == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    assert_moves(key, OPTIONS[key], BASE, "I_reservoir")


@pytest.mark.slow
def test_title_reservoirs_and_method() -> None:
    assert dataset(changed(BASE, {"title": "a link"})).attrs["title"] == "a link"
    first, second = number(BASE, "I_reservoir").reshape(2, 2).T
    assert np.all(first > 0.0)
    np.testing.assert_allclose(second, -first, rtol=1e-9)
    # The other way round; and all of the outside one superconductor, between which nothing flows.
    turned = copy.deepcopy(BASE)
    turned["reservoirs"] = [{"on": ["right"], "phase": "0 rad"}, {"on": ["left"]}]
    np.testing.assert_allclose(number(turned, "I_reservoir").reshape(2, 2)[:, 0], first, rtol=1e-9)
    np.testing.assert_allclose(
        number(changed(BASE, {"solver.method": "mumps"}), "I_reservoir"),
        number(BASE, "I_reservoir"),
        rtol=1e-9,
    )


def test_a_normal_reservoir_has_no_phase() -> None:
    """A third electrode, normal: it takes no supercurrent, and its pairs from the link."""
    normal = {
        "mesh.shape": {
            "kind": "grid2d", "Lx": "130 nm", "Ly": "130 nm", "nx": 4, "ny": 3,
        },
        "cross_section": {"thickness": "20 nm"},
    }  # fmt: skip
    data = changed(BASE, normal)
    open_ended = dataset(data)["I_reservoir"].values
    data["reservoirs"].append({"on": ["bottom"], "gap": "0 eV"})
    found = dataset(data)["I_reservoir"].values
    assert np.all(np.abs(found[..., 2]) < 1e-12 * found[..., 0])
    assert np.all(found[..., 0] < 0.9 * open_ended[..., 0])


@pytest.mark.slow
def test_output_and_figures(tmp_path: Path) -> None:
    data = changed(BASE, {"output.stored": ["minigap", "dos"]})
    data["spectrum"]["broadening"] = 1e-5
    data["figures"] = [
        {"kind": "current_phase", "file": "i.png", "title": "Current"}, {"kind": "minigap"}, {"kind": "dos"},
    ]  # fmt: skip
    result = fvqp.run(data, tmp_path / "out")
    gaps = result.dataset["minigap"].values[0]
    assert 265e-6 > gaps[0] > gaps[1] > 50e-6
    assert "minigap" not in dataset(BASE) and "dos" in dataset(BASE)
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert drawn == {"i.png", "minigap.png", "dos.png"}
    again = fvqp.run(data, tmp_path / "out", resume=True)
    np.testing.assert_array_equal(again.dataset["I_reservoir"], result.dataset["I_reservoir"])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("superconductor", {}, "give either name"),
        ("superconductor", {"name": "Xx"}, "superconductor.name: there is no material"),
        ("superconductor", {"name": "Cu"}, "superconductor.name: .* is a normal metal"),
        ("superconductor.gap", "0 eV", "must be positive, got 0.0 eV"),
        ("metal.diffusivity", None, "metal.diffusivity: missing"),
        ("regions", {"nix": BASE["metal"]}, "nix"),
        ("reservoirs.1.phase", "1 rad", "sweep.phase: is not used"),
        ("reservoirs.0.phase", None, "have a phase of its own"),
        ("reservoirs.0.on", ["right"], "is taken by"),
        ("reservoirs.0.on", ["nowhere"], "nowhere"),
        ("reservoirs.0.gap", "-1 ueV", "must not be negative"),
        ("reservoirs.0.gap", "0 eV", r"reservoirs\[0\].phase: is not used"),
        ("spectrum.broadening", -1.0, "must not be negative"),
        ("energies", None, "energies: missing"),
        ("energies.maximum", "0 eV", "must be positive"),
        ("output", {}, "energies: is not used"),
        ("sweep.phase", "1 m", "sweep.phase"),
        ("sweep.phase", ["1 rad", "1 rad"], "more than once"),
        ("figures", [{"kind": "minigap"}], "is not among output.stored"),
        ("figures", [{"kind": "dos"}, {"kind": "dos"}], r"is that of figures\[0\] too"),
    ],
)
def test_bad_input(path: str, value: Any, words: str) -> None:
    with pytest.raises(FvqpError, match=words):
        fvqp.run(changed(BASE, {path: value}))


@pytest.mark.slow
def test_petsc_options(capfd: pytest.CaptureFixture[str]) -> None:
    """Monitors print what no one else does, and options without a reader are refused."""
    fvqp.run(changed(BASE, {"solver.petsc": {"spectra_snes_monitor": True, "ksp_monitor": True}}))
    printed = capfd.readouterr().out
    assert "1 SNES Function norm" in printed and "KSP Residual norm" in printed
    for key, message in {
        "spectra_snes_max_it": "no retarded solution found",
        "mat_mumps_icntl_14": "mat_mumps_icntl_14: not used: no solver of this case reads it",
        "gap_snes_max_it": "gap_snes_max_it: reaches no solver; they start with ksp_, pc_, mat_",
    }.items():
        with pytest.raises(FvqpError, match=message):
            fvqp.run(changed(BASE, {"solver.petsc": {key: 3}}))
