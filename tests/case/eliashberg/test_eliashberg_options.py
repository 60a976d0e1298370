"""Every key of an Eliashberg case moves a number: a key without an entry fails, and so does one without
effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys, put
from kinetic_cases import DEBYE
from matplotlib.image import imread
from options import Option, assert_moves, dataset, number

import fvqp
from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.errors import CaseError, ConvergenceError

METAL = {"interaction": {"metal": "Pb"}}
CHOSEN = {"interaction": {"coupling": 1.5, "debye_energy": "10 meV", "critical_temperature": "9 K"}}

OPTIONS: dict[str, Option] = {
    "interaction.metal": Option("Nb", around=METAL, by=1e-3),
    "interaction.coupling": Option(1.7, by=1e-3),
    "interaction.debye_energy": Option("12 meV", by=1e-3),
    "interaction.coulomb": Option(0.2, by=1e-3),
    "interaction.critical_temperature": Option("7 K", around=CHOSEN, by=1e-3),
    "interaction.cutoff": Option("100 meV", by=1e-3),
    "energies.maximum": Option("10 meV", "energy", by=1e-3),
    "energies.number": Option(50, "energy", by=1e-3),
    "sweep.temperature": Option("6 K", by=1e-3),
    "solver.spacing": Option("0.2 meV", by=1e-5),
    "solver.tolerance": Option(1e-2, by=1e-7),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "interaction.file",
    "solver.maximum_iterations",
    "solver.matsubara",
    "solver.petsc",
    "figures.kind",
    "figures.file",
    "figures.title",
}
"""Keys with a test of their own below."""


def case(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The base case with tables replaced."""
    return changed(DEBYE, changes)


def test_every_key_has_a_test():
    assert keys(EliashbergCase) == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    assert_moves(key, OPTIONS[key], DEBYE, "gap")


def test_title_and_model():
    assert dataset(case({"title": "strong"})).attrs["title"] == "strong"
    with pytest.raises(CaseError, match="eliashberg"):
        fvqp.run(case({"model": "eliashburg"}))


def test_interaction_from_a_file(tmp_path):
    """A table with the points of the Debye-like spectrum gives what that gives."""
    energy = np.linspace(0.0, 10.0, 400)
    table = tmp_path / "debye.txt"
    np.savetxt(table, np.column_stack([energy, 1.5 * (energy / 10.0) ** 2]))
    data = case({"interaction": {"file": str(table), "coulomb": 0.1}})
    assert number(data, "gap") == pytest.approx(number(case(), "gap"), rel=1e-3)
    put(data, "interaction.coupling", 1.7)
    assert number(data, "gap") == pytest.approx(
        number(put(case(), "interaction.coupling", 1.7), "gap"), rel=1e-3
    )


def test_maximum_iterations():
    with pytest.raises(ConvergenceError, match="temperature 3 K: .* not converged after 2 iterations"):
        fvqp.run(case({"solver": {**DEBYE["solver"], "maximum_iterations": 2}}))


def test_matsubara():
    with_it = dataset(case())
    without = dataset(case({"solver": {**DEBYE["solver"], "matsubara": False}}))
    assert "gap_matsubara" in with_it and "gap_matsubara" not in without
    assert float(with_it["gap_matsubara"][0]) == pytest.approx(float(with_it["gap"][0]), rel=5e-3)


@pytest.mark.slow
def test_figures(tmp_path):
    figures = [
        {"kind": "gap_function"},
        {"kind": "dos"},
        {"kind": "dos", "file": "named.png", "title": "Another title"},
    ]
    result = fvqp.run(case({"figures": figures}), out=tmp_path / "out")
    assert result.folder is not None
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    assert set(drawn) == {"gap_function", "dos", "named"}
    for one in ("gap_function", "named"):
        assert drawn[one].shape != drawn["dos"].shape or np.any(drawn[one] != drawn["dos"])


def test_temperatures_of_too_many_frequencies():
    """Ten times the largest phonon energy over 2πk_BT, some 4e12 here, does not fit into any memory."""
    message = r"sweep\.temperature: 2e-12 K is too low: k_BT = .* Matsubara frequencies; expected .* meV"
    for work in (fvqp.check, fvqp.run):
        with pytest.raises(CaseError, match=message):
            work(case({"sweep": {"temperature": ["1 K", "2e-12 K"]}}))
    with pytest.raises(CaseError, match="case: interaction: cut-off"):
        fvqp.check(case({"interaction": DEBYE["interaction"] | {"cutoff": "1 meV"}}))


def test_petsc_options(capfd: pytest.CaptureFixture[str]) -> None:
    """A monitor prints; the method is not one of PETSc's, and takes no numbers."""
    fvqp.run(put(case(), "solver", {"petsc": {"eliashberg_snes_monitor": True}, "matsubara": False}))
    assert "1 SNES Function norm" in capfd.readouterr().out
    for key, message in {
        "eliashberg_snes_max_it": "eliashberg_snes_max_it: not used: the method is not one of PETSc's",
        "ksp_rtol": "ksp_rtol: reaches no solver; they start with eliashberg_snes_",
    }.items():
        with pytest.raises(CaseError, match=message):
            fvqp.run(put(case(), "solver", {"petsc": {key: 3}}))
