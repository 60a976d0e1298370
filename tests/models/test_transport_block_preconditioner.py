"""Long steps of a film on a substrate: phonons are absorbed where they are made, or leave, both at once."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
from case_keys import put
from mpi4py import MPI
from transport_cases import FILM

from fvqp.case.boltzmann.build import build_setup
from fvqp.case.reading import case_from_dict
from fvqp.models.boltzmann import BoltzmannProblem, cell_solver
from fvqp.models.boltzmann.evolution import evolve
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.state import Rates, State
from fvqp.solvers.elimination import EliminatedLU, EliminatedX

ON_CHIP: dict[str, Any] = {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "dx": ["50 um"] * 4 + ["0.1 um"],
            "regions": {"chip": ["0 um", "200 um"], "film": ["200 um", "200.1 um"]},
        }
    },
    "injections": [],
    "bath.temperature": "50 mK",
    "quasiparticles": {"motion": "diffusive", "diffusivity": "60 cm^2/s"},
    "regions": {
        "chip": {
            "insulator": True,
            "ion_density": "5e28 1/m^3",
            "debye_energy": "55.6 meV",
            "sound_velocity": "5.9 km/s",
            "phonon_free_path": "200 um",
        }
    },
}
MOVE: dict[str, dict[str, Any]] = {
    "diffusive": {"free_path": "1 um"},
    "ordinates": {"directions": 4},
}


@cache
def film_on_a_chip(motion: str) -> tuple[BoltzmannProblem, State]:
    """A microsecond after phonons were left in the chip: most of them have broken pairs, or gone."""
    data = copy.deepcopy(FILM)
    phonons = {
        "motion": motion,
        "sound_velocity": "4 km/s",
        "walls": {"left": {"transmission": 0.05}},
        "interfaces": [{"between": ["chip", "film"], "transmission": 0.6}],
    }
    pulse = {"of": "phonons", "centre": "3.5 Delta0", "width": "0.4 Delta0", "size": "30 um", "peak": 1e-5}
    pulse["regions"] = ["chip"]
    evolution = {"start": "1 us", "end": "2 us"}
    changes = {
        **ON_CHIP,
        "phonons": phonons | MOVE[motion],
        "initial.pulses": [pulse],
        "evolution": evolution,
    }
    for key, value in changes.items():
        put(data, key, copy.deepcopy(value))
    setup = build_setup(case_from_dict(data), MPI.COMM_SELF)
    problem = setup.problem
    (moment,) = evolve(problem, setup.state, [1e-6 / setup.units.time], tolerance=0.1)
    return problem, moment.state


def matrix(system: Linearized, state: State) -> np.ndarray:
    """``1 − length × J``, column by column."""
    sizes = state.f.size, state.n.size
    out = np.eye(sum(sizes))
    for k in range(sum(sizes)):
        unit = np.zeros(sum(sizes))
        unit[k] = 1.0
        change = system.change(
            unit[: sizes[0]].reshape(state.f.shape), unit[sizes[0] :].reshape(state.n.shape)
        )
        out[:, k] -= system.length * np.concatenate([change.f.ravel(), change.n.ravel()])
    return out


@pytest.mark.parametrize(
    ("motion", "most"),
    [
        ("diffusive", {1.0: 10, 1e3: 30}),
        pytest.param("ordinates", {1.0: 30}, marks=pytest.mark.slow),
    ],
)
def test_long_steps_of_a_film_on_a_chip_take_few_iterations(motion: str, most: dict[float, int]) -> None:
    """The answer is that of a dense matrix, in units of what is there."""
    problem, state = film_on_a_chip(motion)
    here = problem.at(state.gap)
    inelastic = here.inelastic_rates(state.f, state.n)
    right = here.rates(state.f, state.n, inelastic)
    unit = np.concatenate([state.f.ravel(), state.n.ravel()]) + 1e-30
    for length, iterations in most.items():
        system = Linearized(here, state, inelastic, length)
        allowed = 1e-3 / length
        k = system.solve(right, [], allowed)
        assert system.iterations <= iterations
        whole = matrix(system, state) * unit / unit[:, None]
        exact = unit * np.linalg.solve(whole, np.concatenate([right.f.ravel(), right.n.ravel()]) / unit)
        f, n = exact[: state.f.size].reshape(state.f.shape), exact[state.f.size :].reshape(state.n.shape)
        off = Rates(k.f - f, k.n - n, problem.no_counters())
        assert system.largest(Rates(f, n, problem.no_counters())) > 30.0 * allowed
        assert system.largest(off) < 2.0 * allowed


@pytest.mark.parametrize("length", [pytest.param(30.0, marks=pytest.mark.slow), 1e3])
def test_what_only_preconditions_may_be_rounded(length: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many iterations as in double precision, the same rates, and the energy that their counters say."""
    problem, state = film_on_a_chip("diffusive")
    here = problem.at(state.gap)
    inelastic = here.inelastic_rates(state.f, state.n)
    right = here.rates(state.f, state.n, inelastic)
    allowed = 1e-3 / length

    class Double(EliminatedX):
        def __init__(self, points: int, n: int, k: int) -> None:
            super().__init__(points, n, k)
            self._zx = np.empty((points, k, n))

    found = []
    for kind in (Double, EliminatedX):
        problem.forget()
        with monkeypatch.context() as patch:
            patch.setattr(cell_solver, "EliminatedX", kind)
            system = Linearized(here, state, inelastic, length)
            k = system.solve(right, [], allowed)
        lacks = system._missing(k)
        moved = np.sum(np.abs(k.counters.passed_n) @ problem.grid.phonon_energies)
        assert abs(lacks) < 1e-12 * moved
        found.append((system.iterations, k))
    (iterations, exact), (taken, k) = found
    assert iterations > 1 and taken == iterations
    off = Rates(k.f - exact.f, k.n - exact.n, problem.no_counters())
    assert 0.0 < system.largest(off) < 0.1 * allowed


@pytest.mark.slow
def test_eliminations_of_one_kind_make_room_for_the_other() -> None:
    problem, state = film_on_a_chip("diffusive")
    here = problem.at(state.gap)
    inelastic = here.inelastic_rates(state.f, state.n)
    right = here.rates(state.f, state.n, inelastic)
    system = Linearized(here, state, inelastic, 1.0)
    for solved, kind in (
        (lambda: system.product(right), EliminatedLU),
        (lambda: system.solve(right, [], 1e-3), EliminatedX),
        (lambda: system.product(right), EliminatedLU),
    ):
        solved()
        assert type(problem.eliminations.kept) is kind and not problem.eliminations.missing.all()
