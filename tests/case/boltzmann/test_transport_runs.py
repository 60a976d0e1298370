"""Cases of the transport model: runs, balances, resuming, figures."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from mpi4py import MPI
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.case import case_from_dict
from fvqp.case.boltzmann.build import build_setup
from fvqp.case.boltzmann.recording import BoltzmannRecorder
from fvqp.case.boltzmann.sizes import LOOSE, OF_RUN
from fvqp.case.evolution import recorded_times
from fvqp.errors import FvqpError


def test_film_fills_its_trap():
    data = fvqp.run(copy.deepcopy(FILM)).dataset
    assert data.attrs["model"] == "transport" and list(data["time"].values[:2]) == [0.0, 1e-9]
    size = np.abs(data["energy_qp"]) + np.abs(data["energy_injected"])
    assert np.all(np.abs(data["energy_residual"]) < 1e-12 * size)
    assert data["energy_injected"].values[-1] > data["energy_escaped"].values[-1] > 0.0
    trap, strip = data["n_qp_region"].sel(region="trap"), data["n_qp_region"].sel(region="strip")
    assert trap.values[-1] > 5.0 * trap.values[0] and trap.values[-1] > strip.values[-1]
    at = data["x"].values > 4e-6
    assert np.allclose(data["gap"].values[-1][at], 0.5 * data.attrs["delta0_eV"])
    cells = data["n_qp_cell"] * data["cell_volume"]
    assert np.allclose(cells.sum("cell") / data["cell_volume"].sum(), data["n_qp"])
    assert np.allclose(data["n_qp_spectrum"].sum("energy"), data["n_qp"])
    # A film of this model has no thickness.
    assert data["cell_volume"].attrs["units"] == "m2"
    inside = data["in_region"].sel(region="trap").values.astype(bool)
    assert np.allclose(cells[:, inside].sum("cell") / data["cell_volume"][inside].sum(), trap)
    for energy in ("energy_qp", "energy_ph"):
        held = data[f"{energy}_cell"][:, inside] * data["cell_volume"][inside]
        found = data[f"{energy}_region"].sel(region="trap")
        assert np.allclose(held.sum("cell") / data["cell_volume"][inside].sum(), found)


def test_energy_that_leaves_is_known_by_exit():
    """Two walls and escape take all that leaves; a wall that reflects all is no exit."""
    data = copy.deepcopy(FILM)
    data["evolution"]["end"] = "30 ns"
    walls = {"left": {"transmission": 0.4}, "right": {"transmission": 0.1}}
    data["quasiparticles"] |= {"walls": walls}
    found = fvqp.run(data).dataset
    parts = found["energy_escaped_by"]
    assert list(parts["exit"].values[:2]) == ["left", "right"] and parts.sizes["exit"] > 2
    assert np.all(parts.values[-1] > 0.0)
    np.testing.assert_allclose(parts.sum("exit"), found["energy_escaped"], rtol=1e-12)
    data["quasiparticles"]["walls"]["left"]["transmission"] = 0.0
    closed = fvqp.run(data).dataset["energy_escaped_by"]
    assert "left" not in closed["exit"].values
    assert closed.sel(exit="right").values[-1] > parts.sel(exit="right").values[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "figure"),
    [pytest.param(SPHERE, "gap_profile", id="sphere"), pytest.param(FILM, "map", id="film")],
)
def test_a_run_stopped_and_resumed_is_the_one_that_was_not(base, figure, tmp_path, monkeypatch):
    case = copy.deepcopy(base) | {"figures": [{"kind": kind} for kind in ("energy_shells", figure)]}
    case["evolution"] = case["evolution"] | {"start": "10 ps", "end": "1 ns"}
    whole = fvqp.run(case, out=tmp_path / "whole").dataset
    assert {file.name for file in (tmp_path / "whole" / "figures").iterdir()} == {
        "energy_shells.png",
        f"{figure}.png",
    }
    record = BoltzmannRecorder.record

    def interrupted(self, place, *more):
        record(self, place, *more)
        if place == (1,):
            raise FvqpError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(BoltzmannRecorder, "record", interrupted)
        with pytest.raises(FvqpError, match="stopped"):
            fvqp.run(case, out=tmp_path / "part")
    resumed = fvqp.run(case, out=tmp_path / "part", resume=True).dataset
    for name in whole.data_vars:
        assert np.array_equal(resumed[name].values, whole[name].values), name


def test_long_ways_between_times_say_how_far_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A share of the way to the next recorded time that grows from step to step, the time left, and what
    limits the length of steps."""
    monkeypatch.setattr("fvqp.results.progress.PATIENCE", 0.0)
    monkeypatch.setattr("fvqp.results.progress.LINE_EVERY", 0.0)
    case = copy.deepcopy(FILM) | {"evolution": {"start": "1 ns", "end": "10 ns", "points_per_decade": 1}}
    with caplog.at_level("INFO", logger="fvqp"):
        fvqp.run(case)
    line = r"(\d+) % of the way to t = (.*) s, \S+ left(?:; steps of \S+ s(?:, limited by ([^;]*))?)?"
    line += r"; last t = \S+ s, x_qp = (\S+)"
    said = [re.fullmatch(line, text) for text in caplog.messages]
    shares: dict[str, list[int]] = {}
    for found in said:
        if found is not None and found[1] != "0":
            shares.setdefault(found[2], []).append(int(found[1]))
    assert set(shares) == {"1e-09", "1e-08"}
    limits = {found[3] for found in said if found is not None and found[3]}
    densities = [float(found[4]) for found in said if found is not None]
    assert densities and all(0.0 < x < 1.0 for x in densities)
    assert limits and all(re.fullmatch(r"errors of (quasiparticles|phonons)( in \w+)?", x) for x in limits)
    for parts in shares.values():
        assert parts == sorted(parts) and 0 < parts[0] and parts[-1] < 100


def test_check_says_sizes():
    text = fvqp.check(copy.deepcopy(SPHERE))
    assert "5 of dimension 1" in text and "4 of quasiparticles, 4 of phonons" in text
    # 136 unknowns in 5 cells: 1 kB, 12 copies of a step, 8 of PETSc, 3 between steps and 34 of the whole
    # Jacobian, factors of 11 × 11 and blocks of 11 × 23 in single precision
    expected = OF_RUN + LOOSE * 5 * (1024 + 8 * (136 * 57 + 11 * 11) + 4 * 11 * 23)
    assert f"about {expected / 2**20:.0f} MiB on a rank" in text
    size = build_setup(case_from_dict(copy.deepcopy(SPHERE)), MPI.COMM_WORLD).size
    assert size.expected == size.largest == pytest.approx(expected, rel=1e-12)


def test_memory_of_jacobians():
    """Whole where few particles move, and of a product of factors at most."""
    case = copy.deepcopy(SPHERE)
    for species in ("quasiparticles", "phonons"):
        case[species] = {"motion": "still"}
    size = build_setup(case_from_dict(case), MPI.COMM_WORLD).size
    assert size.per_cell == 34
    jacobians = (size.expected - OF_RUN) / LOOSE - size.least
    assert jacobians == pytest.approx(5 * 8 * 11 * (11 + 46), rel=1e-12)


def test_memory_counts_directions_of_a_steady_state():
    case = copy.deepcopy(FILM)
    case.setdefault("initial", {})["steady"] = True
    size = build_setup(case_from_dict(case), MPI.COMM_WORLD).size
    kept = 12 * 8 * size.per_cell * 2 * 60
    assert size.largest - size.expected == pytest.approx(LOOSE * kept, rel=1e-12)
    assert f"{size.largest / 2**20:.0f} MiB where the steady state takes all its iterations" in str(size)


def test_memory_counts_results():
    """Beside a step, on rank 0: what the variables of all times take there."""
    case = copy.deepcopy(FILM)
    case["output"] = {"occupations": True}
    case["evolution"] |= {"points_per_decade": 9, "end": "10 ns"}
    done = fvqp.run(copy.deepcopy(case), comm=MPI.COMM_SELF)
    size = build_setup(case_from_dict(case), MPI.COMM_WORLD).size
    stored = sum(variable.nbytes for variable in done.dataset.data_vars.values())
    # what is not counted are numbers of regions, of ranges of energy, and sums
    assert 0.9 * stored < size.results <= stored
    case["output"]["occupations"] = False
    assert build_setup(case_from_dict(case), MPI.COMM_WORLD).size.results < 0.3 * size.results


def test_times_are_even_on_a_logarithmic_axis():
    times = recorded_times(case_from_dict(copy.deepcopy(FILM)).evolution)
    assert np.allclose(times, [0.0, 1e-9, 1e-8, 1e-7, 1e-6])
