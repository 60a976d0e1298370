"""Run times and errors that `fvqp check` expects: every model counts its pieces, and times some of them."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import fvqp
from fvqp.case import load_case, models, run_time
from fvqp.case.boltzmann.work import steady_work
from fvqp.case.run_time import START, Work, estimated_run_time
from fvqp.case.sizes import mesh_error
from fvqp.errors import ConvergenceError

CASES = Path(__file__).parents[2] / "cases"

FEW_LINKS = ["sweep.phase=['0 deg', '90 deg']", "sweep.temperature=['100 mK']", "mesh.shape.nx=10"]

#: Case, overrides, an override more, and by how much it multiplies the number of the named pieces.
COUNTS: dict[str, tuple[str, list[str], str, str, float]] = {
    "usadel": (
        "ryan2026/fig10", [], "sweep.V_inj={from='-1 mV', to='1 mV', points=202}", "points", 2.0
    ),
    "boltzmann": (
        "kozorezov2000/cascade", ["evolution.tolerance=1e-6"], "evolution.tolerance=1e-10", "steps", 10.0
    ),
    "transport": (
        "boltzphlow2026/sphere_ballistic", ["body.shells=10"], "evolution.tolerance=3.2e-3", "steps", 0.5
    ),
    "eliashberg": (
        "boltzphlow2026/eliashberg", ["sweep.temperature='3 K'"], "sweep.temperature=['3 K', '3.2 K']",
        "points", 2.0,
    ),
    "clusters": (
        "meyer2020/moments", [], "sweep.generation={from='1 1/um^3/s', to='1e5 1/um^3/s', points=22}",
        "points", 2.0,
    ),
    "localized": ("bespalov2016/aluminium", ["box.particles=200"], "box.particles=400", "events", 2.0),
    "weak_link": (
        "proximity/weak_link", FEW_LINKS, "sweep.phase=['0 deg', '60 deg', '90 deg']", "energies", 1.5
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _little_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvqp.case.boltzmann.work.TIMED", 0.02)
    monkeypatch.setattr("fvqp.case.localized.study.TIMED", 1e3)


def works(name: str, overrides: list[str]) -> dict[str, Work]:
    case = load_case(CASES / f"{name}.toml", overrides)
    with models.study(case.model).prepared(case, MPI.COMM_WORLD, None, False) as study:
        return {work.pieces: work for work in study.expected_work()}


@pytest.mark.parametrize("model", COUNTS)
def test_pieces_of_every_model(model: str) -> None:
    name, overrides, more, pieces, factor = COUNTS[model]
    work = works(name, overrides)[pieces]
    assert 0.0 < work.compute() < np.inf
    other = works(name, [*overrides, more])[pieces]
    assert other.number == pytest.approx(factor * work.number, rel=1e-9)


def test_steady_states_are_counted() -> None:
    (work,) = works("bespalov2016/film", []).values()
    assert work.number == 12.0 and work.compute() == 3.0
    # a solver that ends by itself has done them all
    assert steady_work(lambda most: None).compute() == 12.0


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("nagaev1995/two_steps", [], r"narrowest bins \S+ Delta0, \S+ times the broadening"),
        ("ryan2026/wire", [], r"mesh up to 0\.\d+ % of g_nl near the injector; energy axis \S+ % of the"),
        ("kozorezov2000/cascade", [], r"energy axis \S+ % of the density in equilibrium \(bins \S+ k_BT\)"),
        ("bespalov2016/film", [], r"mesh up to \S+ % of the quasiparticles"),
        ("boltzphlow2026/sphere_ballistic", ["body.shells=10"], r"a step 0\.08 % \(evolution\.tolerance\)"),
        ("boltzphlow2026/eliashberg", ["sweep.temperature='3 K'"], "a tenth of the gap"),
        ("meyer2020/distribution", [], r"states left out \S+ of the probability"),
        ("bespalov2016/aluminium", ["box.particles=100"], r"one standard deviation: \S+ %"),
        ("proximity/weak_link", FEW_LINKS, r"mesh up to \S+ % of the current at 0\.1 K"),
    ],
)  # fmt: skip
def test_check_tells_run_time_and_errors(name: str, overrides: list[str], said: str) -> None:
    text = fvqp.check(CASES / f"{name}.toml", overrides=overrides)
    assert re.search(
        r"\n  run time +about \d\S* (s|min) on one core: \d\S* \w+.* of \d\S* (s|ms|us)", text
    ), text
    (errors,) = re.findall(r"\n  errors +(.*)", text)
    assert re.search(said, errors), errors
    assert ("fvqp refine" in errors) == (name != "bespalov2016/aluminium")


def test_stages_tell_their_own() -> None:
    text = fvqp.check(CASES / "devices/trap_noise.toml")
    assert "run time" in text


def clock(monkeypatch: pytest.MonkeyPatch, each: float) -> None:
    """Let a piece take as many seconds."""
    now = iter(each * np.arange(100.0))
    monkeypatch.setattr(run_time, "time", SimpleNamespace(process_time=lambda: next(now)))


def test_time_is_that_of_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that computes two pieces in 10 s, of 100: 500 s and the start."""
    clock(monkeypatch, 10.0)
    text = estimated_run_time([Work("steps", 100.0, lambda: 2.0)], MPI.COMM_SELF)
    assert text == f"about {(500.0 + START) / 60.0:.2g} min on one core: 100 steps of 5 s"


@pytest.mark.parametrize(("lines", "seconds"), [(0, 100.0), (1, 100.0), (4, 50.0), (5, 40.0)])
def test_ranks_share_lines(monkeypatch: pytest.MonkeyPatch, lines: int, seconds: float) -> None:
    """On three ranks, of which the one with most lines ends last; pieces of all together are timed so."""
    clock(monkeypatch, 10.0)
    comm: Any = SimpleNamespace(size=3, rank=0, allreduce=lambda value, _: value)
    text = estimated_run_time([Work("points", 10.0, lambda: 1.0, lines)], comm)
    minutes = re.fullmatch(r"about (\S+) (s|min) on 3 ranks: 10 points of 10 s", text)
    assert minutes is not None
    said = float(minutes[1]) * (60.0 if minutes[2] == "min" else 1.0)
    assert said == pytest.approx(seconds + START, rel=0.05)


def test_pieces_that_fail_are_told() -> None:
    def fails() -> float:
        raise ConvergenceError("no solution")

    assert estimated_run_time([Work("steps", 1.0, fails)], MPI.COMM_SELF) == "unknown: no solution"


@pytest.mark.parametrize("cell", [0.1, 0.5, 1.0, 2.0])
def test_mesh_error_is_that_of_equal_cells(cell: float) -> None:
    """A contact at one end of a line with f″ = f, cell by cell, beside the exact flux and decay."""
    n = int(40.0 / cell)
    matrix = np.zeros((n, n))
    for k in range(n):
        matrix[k, [max(k - 1, 0), min(k + 1, n - 1)]] = -1.0 / cell
        matrix[k, k] = cell + (3.0 if k == 0 else 1.0 if k == n - 1 else 2.0) / cell
    f = np.linalg.solve(matrix, np.r_[2.0 / cell, np.zeros(n - 1)])
    flux = 2.0 / cell * (1.0 - f[0])
    assert mesh_error(cell, 1.0) == pytest.approx(1.0 - flux, rel=1e-9)
    assert mesh_error(cell, 1.0) <= cell**2 / 8.0
    # a density that is right at its source, times the decay to a distance
    k = int(10.0 / cell)
    ratio = flux * f[k] / f[0] / np.exp(-k * cell)
    assert mesh_error(cell, 1.0, k * cell) == pytest.approx(max(1.0 - flux, abs(ratio - 1.0)), rel=1e-9)


def test_mesh_error_without_decay_or_cells() -> None:
    assert mesh_error(1.0, np.inf) == mesh_error(0.0, 1.0) == 0.0
