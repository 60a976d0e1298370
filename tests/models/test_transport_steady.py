"""Steady states of transport where phonons fly: found however stiff, or given up soon and with a reason."""

from __future__ import annotations

import copy
import logging
from functools import cache
from typing import Any

import numpy as np
import pytest
from case_keys import put
from petsc_log import counted
from transport_cases import FILM

import fvqp
from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import steady
from fvqp.models.boltzmann.steady_step import StepEquations
from fvqp.petsc import PETSc


def film(motion: str, escape: str, **phonons: Any) -> dict[str, Any]:
    """Generation at one end, a trap at the other, with phonons that escape fast or slowly."""
    data = copy.deepcopy(FILM)
    del data["evolution"]
    data["steady_state"] = {}
    data["phonons"] = {"escape": {"time": escape}}
    if motion == "ordinates":
        data["phonons"] |= {"motion": motion, "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"}
    data["phonons"] |= phonons
    return data


@pytest.mark.slow
def test_phonons_that_leave_at_once_do_not_move() -> None:
    """Escape in 10⁻¹⁶ s, four thousand million times in τ0: flight in that time changes nothing."""
    still, flying = (fvqp.run(film(motion, "1e-16 s")).dataset for motion in ("still", "ordinates"))
    np.testing.assert_allclose(flying["n_qp_cell"], still["n_qp_cell"], rtol=1e-6)
    power = flying["power_injected"].item()
    assert abs(flying["power_residual"].item()) < 1e-9 * power


def test_solver_is_freed_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """A KSP that PETSc keeps until its end would hold all arrays, and call Python after that has ended."""
    PETSc.garbage_cleanup()
    fvqp.run(film("still", "1 ns"))
    PETSc.garbage_view()
    said = capfd.readouterr().out
    assert ("Total entries" in said) is (PETSc.COMM_WORLD.rank == 0)  # which prints for all
    assert "KSP" not in said


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["linear", "limited"])
def test_flight_collisions_and_escape_of_one_rate(scheme: str) -> None:
    """All within nanoseconds, and none slow enough to be solved for after the others."""
    data = film("ordinates", "1 ns", scheme=scheme)
    put(data, "mesh.shape.nx", 3)
    put(data, "mesh.shape.ny", 1)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-12 * found["power_injected"].item()


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(steady, "LINE_EVERY", 0.0)
    with caplog.at_level(logging.INFO, steady.__name__):
        fvqp.run(film("still", "1 ns"))
    assert any("step 2 changed energies by" in record.message for record in caplog.records)


@pytest.mark.slow
def test_changes_that_do_not_become_smaller_end_it() -> None:
    data = film("still", "1 ns")
    data["steady_state"] = {"tolerance": 1e-25}
    with pytest.raises(ConvergenceError, match=r"do not become smaller, 1.0e-25 is wanted"):
        fvqp.run(data)


def flying(path: str, **species: Any) -> dict[str, Any]:
    """The film with cells of 1 µm in which quasiparticles fly between rough walls."""
    data = film("still", "0.1 ns")
    data["quasiparticles"] = {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "fermi_velocity": "1e6 m/s",
        "free_path": path,
    } | species
    return data


def iterations(caplog: pytest.LogCaptureFixture, data: dict[str, Any]) -> tuple[list[int], Any]:
    """Of the linear solves of a steady state, and its results."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, steady.__name__):
        found = fvqp.run(data).dataset
    said = [record.getMessage() for record in caplog.records if record.name == steady.__name__]
    assert not any("gave up" in line for line in said)
    return [int(line.split()[0]) for line in said if line.endswith(" iterations")], found


@pytest.mark.slow
def test_any_free_path_has_its_steady_state(caplog: pytest.LogCaptureFixture) -> None:
    """A thousandth of a cell to a thousand cells: a particle meets walls or others 10⁵ to 10⁸ times in τ0.

    No solve is given up, and none takes more than three times as many iterations as those of opaque
    cells, with finer cells and at more energies too.
    """
    for scheme in ("upwind", "linear"):
        for path in ("1 nm", "30 nm", "1 um", "30 um", "1 mm"):
            taken, found = iterations(caplog, flying(path, scheme=scheme))
            assert max(taken) <= 80
            assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()
    for key, value in (("mesh.shape.nx", 24), ("mesh.shape.ny", 8), ("energies.width", "0.06 Delta0")):
        taken, _ = iterations(caplog, put(flying("1 mm", scheme="upwind"), key, value))
        assert max(taken) <= 80
    taken, _ = iterations(caplog, flying("1 mm"))
    assert max(taken) <= 120


@pytest.mark.parametrize("path", [pytest.param("0.1 nm", marks=pytest.mark.slow), "0.02 nm"])
def test_rounding_of_what_scatters(path: str) -> None:
    """Free paths of 10⁻⁴ cells and less end in the diffusion with vℓ/3, and balance: 4e9 collisions in τ0
    left changes of 1e-8 to 1e-7 that did not become smaller."""
    data = put(put(flying(path), "mesh.shape.ny", 1), "mesh.shape.Ly", "1 um")
    opaque = fvqp.run(data).dataset
    value, unit = path.split()
    data["quasiparticles"] = {
        "motion": "diffusive",
        "diffusivity": f"{float(value) * 1e6 / 3:.12g} {unit}*m/s",
    }
    diffusive = fvqp.run(data).dataset
    np.testing.assert_allclose(opaque["n_qp_cell"], diffusive["n_qp_cell"], rtol=1e-3)
    assert abs(opaque["power_residual"].item()) < 1e-13 * opaque["power_injected"].item()


@pytest.mark.slow
def test_cells_that_are_too_large_for_slow_particles_are_named() -> None:
    """At 1 m/s what is injected into one cell is gone within a part of the next; smaller cells know how."""
    data = flying("1 um", fermi_velocity="1 m/s", scheme="upwind", walls={"left": {"transmission": 0.5}})
    with pytest.raises(ConvergenceError, match=r"occupations would be negative in places, .* cells smaller"):
        fvqp.run(data)
    put(data, "mesh.shape.ny", 1)
    put(data, "mesh.shape.nx", 48)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()


@pytest.mark.parametrize("gap", [pytest.param("fixed", marks=pytest.mark.slow), "follows"])
def test_power_is_balanced_where_particles_scatter_often(gap: str) -> None:
    """Free paths of a thousandth of a cell, 4e8 of them in τ0: rounding of scattering, 3e-9 of the power
    before, is made up for."""
    data = film("still", "1 ns")
    data["gap"] = {"model": gap}
    data["quasiparticles"] = {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "fermi_velocity": "1e6 m/s",
        "free_path": "1 nm",
        "scheme": "linear",
    }
    put(data, "mesh.shape.ny", 1)
    if gap == "follows":
        put(data, "energies.lowest_gap", "0.9 Delta0")
        put(data, "regions.trap.gap", None)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()


# -- steps of PETSc's Newton method


def densities(found: Any) -> np.ndarray:
    return np.asarray(found["n_qp_cell"].values)


def test_steps_are_those_of_a_snes() -> None:
    """Rates are evaluated once in every state, the first and the last too."""
    with counted("SNESSolve", "SNESJacobianEval", "SNESFunctionEval", "MatMult") as calls:
        fvqp.run(film("still", "1 ns"))
    assert calls["SNESSolve"] == 1
    assert calls["SNESFunctionEval"] == calls["SNESJacobianEval"] + 1
    # 179 iterations of GMRES
    assert calls["MatMult"] < 40 * calls["SNESJacobianEval"]


@pytest.mark.slow
def test_krylov_methods_with_a_preconditioner_on_one_side(caplog: pytest.LogCaptureFixture) -> None:
    """Left, right or both: the steady state is the same, but not the iterations."""
    taken = {}
    for kind in ("gmres", "lgmres", "fgmres"):
        data = film("still", "1 ns") | {"solver": {"petsc": {"steady_ksp_type": kind}}}
        taken[kind] = iterations(caplog, data)
        np.testing.assert_allclose(densities(taken[kind][1]), densities(taken["gmres"][1]), rtol=1e-10)
    assert len({tuple(counts) for counts, _ in taken.values()}) == 3
    data["solver"]["petsc"] = {"steady_ksp_rtol": 1e-2}
    rough, found = iterations(caplog, data)
    np.testing.assert_allclose(densities(found), densities(taken["gmres"][1]), rtol=1e-10)
    assert max(rough) < min(taken["gmres"][0])


@pytest.mark.slow
def test_a_line_search_of_the_user(caplog: pytest.LogCaptureFixture) -> None:
    """It takes parts of steps, at whose ends gaps and rates are right too."""
    data = film("still", "1 ns")
    full, reference = iterations(caplog, data)
    data["solver"] = {"petsc": {"steady_snes_linesearch_type": "l2"}}
    parts, found = iterations(caplog, data)
    assert len(parts) > len(full)
    np.testing.assert_allclose(densities(found), densities(reference), rtol=1e-8)


@cache
def undisturbed() -> np.ndarray:
    """Densities of the film whose steps fail below."""
    return densities(fvqp.run(film("still", "1 ns")).dataset)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["raises", "is not finite", "does not end", "has no gap"])
def test_a_step_that_fails_is_taken_shorter(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The third step fails, in the linear solve or at its end; the next one begins where it did."""
    data, expected = film("still", "1 ns"), undisturbed()
    made, action, corrected = [], StepEquations.action, steady.correct_gap
    begin, noise = StepEquations.__init__, np.random.default_rng(1)

    def counting(self: StepEquations, *given: Any) -> None:
        made.append(given[2])
        begin(self, *given)

    def broken(self: StepEquations, step: np.ndarray) -> np.ndarray:
        if len(made) != 3 or how == "has no gap":
            return action(self, step)
        if how == "raises":
            raise ConvergenceError("motion has no solution")
        return np.full_like(step, np.nan) if how == "is not finite" else noise.random(step.size)

    def lost(*given: Any) -> Any:
        if len(made) == 3 and how == "has no gap":
            raise ConvergenceError("no gap")
        return corrected(*given)

    monkeypatch.setattr(StepEquations, "__init__", counting)
    monkeypatch.setattr(StepEquations, "action", broken)
    monkeypatch.setattr(steady, "correct_gap", lost)
    with caplog.at_level(logging.DEBUG, steady.__name__):
        found = fvqp.run(data).dataset
    said = {
        "raises": "step of 100: motion has no solution",
        "is not finite": "step of 100: steady state: the linear solve met numbers that are not finite",
        "does not end": "step of 100: steady state: the linear solve gave up after ",
        "has no gap": "step of 100: no gap",
    }[how]
    assert [record.getMessage().startswith(said) for record in caplog.records].count(True) == 1
    assert made[:5] == pytest.approx([1.0, 10.0, 100.0, 10.0, 100.0])
    np.testing.assert_allclose(densities(found), expected, rtol=1e-10)
