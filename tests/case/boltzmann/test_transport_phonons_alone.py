"""Bodies of insulators alone: phonons, and no unknowns of quasiparticles beyond the fewest bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from case_keys import changed
from transport_cases import FILM

import fvqp
from fvqp.case.boltzmann import build
from fvqp.case.boltzmann.sizes import LOOSE, sizes
from fvqp.case.reading import case_from_dict
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, FvqpError
from fvqp.results.status import last_value

PULSE = {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "peak": 0.01, "size": "1 um"}
CRYSTAL = changed(
    FILM,
    {
        "mesh.shape.regions": {"crystal": ["all", "all"]},
        "regions": {
            "crystal": {
                "insulator": True,
                "ion_density": "5e28 1/m^3",
                "debye_energy": "60 meV",
                "sound_velocity": "6 km/s",
            }
        },
        "injections": [],
        "phonons": {
            "motion": "ordinates",
            "directions": 2,
            "azimuths": 4,
            "walls": {"right": {"transmission": 0.5}},
        },
        "initial": {"pulses": [PULSE | {"position": ["2 um", "1 um", "0 um"]}]},
        "evolution": {"start": "0.5 ns", "end": "2 ns", "points_per_decade": 1, "tolerance": 0.1},
    },
)


def test_phonons_alone_are_those_beside_empty_quasiparticles(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = fvqp.run(CRYSTAL).dataset
    assert alone.sizes["energy"] == 2
    monkeypatch.setattr(build, "_without_quasiparticles", lambda grid: grid)
    beside = fvqp.run(CRYSTAL).dataset
    assert beside.sizes["energy"] > 6
    np.testing.assert_array_equal(alone["omega"], beside["omega"])
    np.testing.assert_array_equal(alone["energy_range_to"], beside["energy_range_to"])
    for name in ("energy_ph_cell", "phonons_escaped_by_energy", "energy_escaped_by", "energy_injected"):
        np.testing.assert_allclose(alone[name], beside[name], rtol=1e-9, atol=1e-30)
    assert alone["energy_escaped_by"].values[-1, 0] > 0.0
    assert not alone["n_qp"].values.any()


def test_two_coordinates_are_a_place_on_a_flat_mesh() -> None:
    flat = changed(CRYSTAL, {"initial": {"pulses": [PULSE | {"position": ["2 um", "1 um"]}]}})
    found, wanted = (fvqp.run(case).dataset["energy_ph_cell"] for case in (flat, CRYSTAL))
    np.testing.assert_array_equal(found, wanted)
    assert float(found[0].max()) > 1.5 * float(found[0].min())


def test_there_are_no_quasiparticles_to_be_excited() -> None:
    case = changed(CRYSTAL, {"initial.pulses.0.of": "quasiparticles", "initial.pulses.0.centre": "2 Delta0"})
    with pytest.raises(CaseError, match=r"pulses\[0\]: there is nothing to be excited in its place"):
        fvqp.run(case)


def test_figures_of_phonons_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Regions are shown by their energy of phonons; where energy stays, there is no figure of its changes."""
    closed = {"phonons.walls": {}, "figures": [{"kind": "energies"}, {"kind": "regions"}]}
    with caplog.at_level("INFO", logger="fvqp"):
        result = fvqp.run(changed(CRYSTAL, closed), tmp_path)
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["regions.png"]
    (axes,) = result.plot("regions")
    assert "E_\\mathrm{ph}" in axes.get_ylabel()
    assert len(axes.lines) == 1
    (cells, *_) = result.plot("map")
    assert cells.collections[0].get_array().min() > 0.0
    assert 'no figure "energies": no energy changes along the run' in caplog.text
    assert last_value(result.dataset, (1,)).startswith("energy_ph = ")
    with pytest.raises(FvqpError, match="no energy changes"):
        result.save_figures(tmp_path / "else", kind="energies")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("arrivals", "nothing can leave"),
        ("density", "insulators do not have"),
        ("energy_shells", "quasiparticles"),
    ],
)
def test_figures_that_would_be_empty_are_refused_beforehand(kind: str, message: str) -> None:
    case = changed(CRYSTAL, {"phonons.walls": {}, "figures": [{"kind": "regions"}, {"kind": kind}]})
    with pytest.raises(CaseError, match=rf'figures\[1\].kind: "{kind}" shows .*{message}'):
        fvqp.check(case)


def test_the_check_tells_of_phonons_alone() -> None:
    report = str(fvqp.check(CRYSTAL))
    assert "there are no quasiparticles in insulators" in report
    assert "bins at the gap" not in report
    assert "of quasiparticles" not in report


def test_insulators_take_no_memory_of_collisions() -> None:
    """Where nothing moves it is that of eliminations, 8 N (N + 2 K) bytes a cell."""
    still = changed(FILM, {"quasiparticles": {}})
    grid = EnergyAxis.uniform(0.1, 3.0, start=1.0)
    metal, half = (
        sizes(case_from_dict(still), grid, 100, 100, 2, colliding).expected for colliding in (None, 50)
    )
    saved = 50 * 8 * grid.n * (grid.n + 2 * grid.n_phonon)
    assert metal - half == pytest.approx(LOOSE * saved)
