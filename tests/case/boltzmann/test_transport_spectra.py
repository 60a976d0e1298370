"""Transport with Eliashberg spectra, gaps of several superconductors, and phonons with dispersion."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed
from said import Said
from scipy import constants
from transport_cases import APART, BESIDE, CHAIN, FILM, SPHERE, STRONG, TIN

import fvqp
from fvqp.errors import ConvergenceError
from fvqp.materials import load_material
from fvqp.models.boltzmann.coupling import gap_at


@pytest.mark.slow
def test_gap_of_strong_coupling_follows():
    """Hot quasiparticles in tin: a crater, deeper than in weak coupling, that conserves energy, and fills."""
    data = changed(SPHERE, {"gap": {"model": "follows"}, "evolution.end": "0.1 ns"})
    strong = changed(data, {"spectrum": TIN | {"renormalization": "energy"}})
    found, weak = (fvqp.run(case).dataset for case in (strong, data))
    depth = [1.0 - one["gap"].values / one.attrs["delta0_eV"] for one in (found, weak)]
    assert depth[0][0, 0] > 1.1 * depth[1][0, 0] > 1e-4
    assert depth[0][-1, 0] < 0.9 * depth[0][0, 0]
    moved = np.ptp(found["energy_qp"].values)
    assert np.ptp(found["energy_condensate"].values) > 1e-3 * moved
    assert np.abs(found["energy_residual"].values).max() < 1e-12 * moved


def test_gap_of_another_superconductor_follows_its_own_equation():
    """Titanium beside aluminium at 0.3 K: Δ(T) of each; both gaps move, and energy stays."""
    data = changed(
        FILM,
        {
            "gap": {"model": "follows"},
            "energies": {
                "maximum": "3 Delta0",
                "width": "0.02 Delta0",
                "spacing": "graded",
                "growth": 0.1,
                "lowest_gap": "0.02 Delta0",
            },
            "mesh.shape.nx": 3,
            "mesh.shape.ny": 1,
            "mesh.shape.regions": {"trap": [["4 um", "6 um"], "all"], "strip": [["0 um", "2 um"], "all"]},
            "regions.trap": {"material": {"name": "Ti"}},
            "evolution": {"start": "1 ns", "end": "10 ns", "points_per_decade": 1, "tolerance": 0.1},
        },
    )
    found = fvqp.run(data).dataset
    gap = found["gap"].values * constants.e
    ti, al = (gap_at(load_material(name), 0.3) for name in ("Ti", "Al"))
    assert ti < 0.8 * load_material("Ti").gap
    np.testing.assert_allclose(gap[0], [al, al, ti], rtol=5e-3)
    assert np.all(np.abs(np.diff(gap[[0, -1]], axis=0)) > 1e-6 * al)
    size = np.abs(found["energy_condensate"]) + np.abs(found["energy_qp"])
    assert float(np.abs(found["energy_residual"] / size).max()) < 1e-12


@pytest.mark.slow
def test_a_gap_that_is_held_up_by_the_axis_is_no_steady_state():
    """Injected quasiparticles make titanium normal, which bins that begin above 0 cannot show."""
    data = changed(
        FILM,
        {
            "gap": {"model": "follows"},
            "energies": {"maximum": "3 Delta0", "width": "0.05 Delta0", "lowest_gap": "0.1 Delta0"},
            "bath.temperature": "0.2 K",
            "mesh.shape.nx": 3,
            "mesh.shape.ny": 1,
            "mesh.shape.regions": {"trap": [["4 um", "6 um"], "all"], "strip": [["0 um", "2 um"], "all"]},
            "regions.trap": {"material": {"name": "Ti"}},
            "steady_state": {},
            "evolution": None,
        },
    )
    with pytest.raises(ConvergenceError, match="of the power of sources and losses is left over"):
        fvqp.run(copy.deepcopy(data))
    del data["energies"]["lowest_gap"]
    found = fvqp.run(data).dataset
    assert found["gap"].values[0, -1] == 0.0
    assert abs(found["power_residual"].values[0]) < 1e-9 * found["power_injected"].values[0]


def flight(**dispersion: Any) -> Any:
    """Phonons of all energies that fly apart from the centre of a sphere of 10 µm."""
    lasting = {"start": "2 ns", "end": "15 ns", "points_per_decade": 20, "tolerance": 0.05}
    keys = {f"phonons.{key}": value for key, value in dispersion.items()}
    return changed(SPHERE, APART | keys | {"evolution": lasting, "output": {"occupations": True}})


def leaving(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Energies in Δ0, and the times at which half of the phonons of each have left."""
    found = fvqp.run(data).dataset
    left = np.einsum("c,tce->te", found["cell_volume"].values, found["n"].values)
    omega, time = found["omega"].values / found.attrs["delta0_eV"], found["time"].values
    half = [np.interp(-0.5, -share, time) for share in (left / left[0]).T]
    return omega, np.array(half)


def chain() -> tuple[Any, float]:
    """Phonons of a chain whose energies end at 6 Δ0, which is returned too, in eV."""
    end = 6.0 * load_material("Sn").gap / constants.e
    return flight(dispersion={"model": "sine", "maximum": f"{end} eV"}), end


@pytest.mark.slow
def test_time_of_flight_is_radius_over_group_speed():
    """Half of the phonons of an energy has left when ``v(ω) t`` is the radius."""
    omega, plain = leaving(flight())
    seen = (omega > 1.2) & (omega < 4.3)
    np.testing.assert_allclose(plain[seen] * 2e3 / 10e-6, 1.0, rtol=0.02)
    _, slow = leaving(chain()[0])
    speed = np.sqrt(1.0 - (omega[seen] / 6.0) ** 2)
    np.testing.assert_allclose(plain[seen] / slow[seen], speed, rtol=0.02)


@pytest.mark.slow
def test_a_table_of_the_speeds_of_a_chain_is_the_chain(tmp_path):
    table = tmp_path / "speeds.csv"
    sine, end = chain()
    at = np.linspace(1e-3, 0.995, 400)
    rows = [f"{end * x},{2e3 * np.sqrt(1.0 - x**2)}" for x in at]
    table.write_text("\n".join(["omega_eV,speed_m_per_s", *rows]) + "\n")
    given = flight(dispersion={"model": "table", "file": str(table)})
    del given["phonons"]["sound_velocity"]
    for data in (given, sine):
        data["energies"]["phonon_maximum"] = "5.5 Delta0"
    (omega, first), (_, second) = leaving(given), leaving(sine)
    seen = (omega > 1.2) & (omega < 4.3)
    np.testing.assert_allclose(first[seen], second[seen], rtol=2e-3)


def test_renormalization_beyond_low_energy_is_warned_of(caplog):
    data = changed(STRONG, {"spectrum": {"model": "eliashberg", "interaction": {"metal": "Nb"}}})
    data["energies"]["maximum"] = "4 Delta0"
    with caplog.at_level(logging.WARNING):
        fvqp.check(data)
    assert "spectrum: from 3.3" in caplog.text and 'renormalization = "energy"' in caplog.text
    caplog.clear()
    data["spectrum"]["renormalization"] = "energy"
    with caplog.at_level(logging.WARNING):
        assert "Eliashberg theory, model α²F of Nb" in fvqp.check(data)
    assert "renormalization" not in caplog.text


LEAD = {"model": "eliashberg", "interaction": {"metal": "Pb"}}
WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        STRONG,
        {"gap": {"model": "follows"}},
        'spectrum.renormalization: must be "energy" with gap.model = "follows"',
    ),
    (
        BESIDE,
        {"gap": {"model": "follows"}},
        'regions.trap.spectrum.renormalization: must be "energy" with gap.model = "follows"',
    ),
    (
        STRONG,
        {"spectrum": LEAD | {"renormalization": "energy"}, "energies.maximum": "6 Delta0"},
        "spectrum: at 4.375 Delta0 phonons leave no quasiparticles of a definite energy",
    ),
    (STRONG, {"resonator": {"photon_energy": "20 ueV"}}, "resonator: its conductivity is that of"),
    (FILM, {"regions.trap": {"spectrum": TIN}}, "regions.trap.spectrum: is one of another material"),
    (
        BESIDE,
        {"regions.trap.gap": "1 Delta0"},
        "regions.trap.gap: is not used: it follows from",
    ),
    (
        FILM,
        {"spectrum": {"model": "eliashberg", "interaction": {"metal": "Al"}}},
        "regions.trap.gap: contradicts spectrum.model",
    ),
    (FILM, {"regions.trap": {"material": {"name": "Cu"}}}, "regions.trap.material"),
    (
        FILM,
        {
            "gap": {"model": "follows"},
            "regions.trap": {"material": {"name": "Ti"}},
            "energies.lowest_gap": "0.25 Delta0",
            "energies.width": "0.1 Delta0",
            "bath.temperature": "0.45 K",
        },
        "energies.lowest_gap: energy axis: starts at 0.1 Δ0, and the gap of cell 0 falls below",
    ),
    (
        CHAIN,
        {"phonons.dispersion.maximum": "2 meV"},
        "phonons.dispersion: phonon dispersion: ends at 3.373 Delta0, below the last phonon energy",
    ),
    (CHAIN, {"phonons.dispersion.model": "table"}, "maximum: is not used with model"),
    (CHAIN, {"phonons.dispersion": {"model": "table"}}, "file: missing"),
    (CHAIN, {"phonons.dispersion": {"model": "table", "file": "no.csv"}}, "dispersion.file: no such file"),
    (CHAIN, {"phonons": {"dispersion": {"model": "sine"}}}, "phonons.dispersion: is not used with motion"),
    (
        FILM,
        {"regions.trap.phonon_dispersion": {"model": "sine"}},
        "regions.trap.phonon_dispersion: is not used with phonons.motion",
    ),
]


@pytest.mark.parametrize(("base", "changes", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_bad_input(said: Said, base: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    code, text = said(base, changes)
    assert code == 2 and words in text and "case.toml" in text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1e-3,2000\n2e-3,0\n", "speeds must be positive"),
        ("1e-3,2000\n", "at least two rows"),
        ("1e-3,2000\n2e-3,-1\n", "line 3: a speed of -1"),
        ("1e-3,2000\n2e-3,1900\n", "ends at 3.373 Delta0"),
    ],
)
def test_bad_tables(said: Said, tmp_path: Path, rows: str, words: str) -> None:
    table = tmp_path / "speeds.csv"
    table.write_text("omega_eV,speed_m_per_s\n" + rows)
    changes = {"phonons.sound_velocity": None, "phonons.dispersion": {"model": "table", "file": str(table)}}
    code, text = said(CHAIN, changes)
    assert code == 2 and words in text and "phonons.dispersion" in text
    code, text = said(CHAIN, {"phonons.dispersion": {"model": "table", "file": str(table)}})
    assert code == 2 and "phonons.sound_velocity: is not used with phonons.dispersion.file" in text
