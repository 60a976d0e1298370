"""Transport with Eliashberg spectra, gaps of several superconductors, and phonons with dispersion."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys
from mpi4py import MPI
from said import Said
from scipy import constants
from transport_cases import APART, FILM, SPHERE

import fvqp
from fvqp.case.boltzmann.build import build_setup as homogeneous_setup
from fvqp.case.reading import case_from_dict
from fvqp.case.transport.build import build_setup
from fvqp.case.transport.schema import TransportCase
from fvqp.collisions import quasiparticle_density, thermal
from fvqp.errors import ConvergenceError
from fvqp.materials import load_material
from fvqp.models.coupling import gap_at

TIN = {"model": "eliashberg", "interaction": {"metal": "Sn"}}
DEBYE = {"coupling": 1.5, "debye_energy": "10 meV", "coulomb": 0.1}
METAL = {"interaction": {"metal": "Nb"}}


#: A sphere of tin by strong coupling, a film with a region of it; phonons with dispersion in both.
STRONG = changed(SPHERE, {"spectrum": TIN, "gap": {"model": "fixed"}, "evolution.end": "0.1 ns"})
BESIDE = changed(
    FILM,
    {
        "material.name": "Sn",
        "bath.temperature": "1 K",
        "energies.maximum": "8 Delta0",
        "energies.width": "0.5 Delta0",
        "regions.trap": {"material": {"name": "Sn"}, "spectrum": TIN},
        "injections.0.centre": "6 Delta0",
        "injections.0.width": "0.3 Delta0",
        "injections.0.regions": ["trap"],
        "evolution.end": "10 ns",
    },
)
CHAIN = changed(SPHERE, {"phonons.dispersion": {"model": "sine", "maximum": "4 meV"}})
BLOCK = changed(
    FILM,
    {
        "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
        "regions.trap": {"phonon_dispersion": {"model": "sine", "maximum": "4 meV"}},
        "evolution.end": "10 ns",
    },
)


def with_interaction(place: str, base: dict[str, Any], key: str, value: Any, **around: Any) -> Any:
    """A Debye-like interaction without and with one key changed."""
    table = {**DEBYE, **around}
    return changed(base, {f"{place}.interaction": table}), changed(
        base, {f"{place}.interaction": {**table, key: value}}
    )


def pairs() -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    """Key → case without and with another value, and the variable that it moves."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
    for place, base in (("spectrum", STRONG), ("regions.trap.spectrum", BESIDE)):
        name = place.replace(".trap", "")
        weak = {place: {"model": "bcs"}}
        found[f"{name}.model"] = changed(base, weak), base, "energy_qp"
        found[f"{name}.temperature"] = base, changed(base, {f"{place}.temperature": "2.5 K"}), "gap"
        found[f"{name}.renormalization"] = (
            base,
            changed(base, {f"{place}.renormalization": "energy"}),
            "n_qp",
        )
        table = f"{place}.interaction"
        found[f"{name}.interaction.metal"] = base, changed(base, {f"{table}.metal": "Al"}), "n_qp"
        chosen = {"coulomb": None, "critical_temperature": "5 K"}
        for key, value in (
            ("coupling", 1.7),
            ("debye_energy", "12 meV"),
            ("coulomb", 0.2),
            ("cutoff", "100 meV"),
        ):
            found[f"{name}.interaction.{key}"] = (*with_interaction(place, base, key, value), "n_qp")
        table_of = {k: v for k, v in (DEBYE | chosen).items() if v is not None}
        found[f"{name}.interaction.critical_temperature"] = (
            changed(base, {table: table_of}),
            changed(base, {table: table_of | {"critical_temperature": "6 K"}}),
            "n_qp",
        )
    for place, base in (("phonons.dispersion", CHAIN), ("regions.trap.phonon_dispersion", BLOCK)):
        name = place.replace(".trap", "")
        found[f"{name}.model"] = changed(base, {place: None}), base, "energy_ph_cell"
        found[f"{name}.maximum"] = base, changed(base, {f"{place}.maximum": "5 meV"}), "energy_ph_cell"
    return found


PAIRS = pairs()
FILES = {"spectrum.interaction.file", "regions.spectrum.interaction.file"}
TABLES = {"phonons.dispersion.file", "regions.phonon_dispersion.file"}
"""Keys of files: the former are read by the same table in all models."""


def test_every_key_is_here():
    places = ("spectrum.", "regions.spectrum.", "phonons.dispersion.", "regions.phonon_dispersion.")
    assert {key for key in keys(TransportCase) if key.startswith(places)} == set(PAIRS) | FILES | TABLES


@pytest.mark.slow
@pytest.mark.parametrize("key", PAIRS)
def test_a_key_moves_a_number(key):
    without, with_it, name = PAIRS[key]
    before, after = (fvqp.run(copy.deepcopy(data)).dataset[name].values for data in (without, with_it))
    if before.shape == after.shape:
        assert np.nanmax(np.abs(after - before)) > 1e-5 * np.nanmax(np.abs(before))


@pytest.mark.parametrize(
    ("renormalization", "gap"), [("constant", "fixed"), ("energy", "fixed"), ("energy", "follows")]
)
def test_a_cell_is_that_of_the_boltzmann_model(renormalization, gap):
    """One spectrum, one interaction: rates of a cell are the homogeneous ones to the last bit, but for phonon
    modes next to twice the gap, which bodies do not split."""
    spectrum = TIN | {"renormalization": renormalization}
    energies = {"maximum": "3 Delta0", "width": "0.25 Delta0"}
    shared = {
        "material": {"name": "Sn"},
        "spectrum": spectrum,
        "energies": energies,
        "gap": {"model": gap},
    }
    changes = {**shared, "body.shells": 1, "initial.pulses": []}
    setup = build_setup(case_from_dict(changed(STRONG, changes)), MPI.COMM_SELF)
    point = {"model": "boltzmann", "sweep": {"temperature": "1 K"}, "evolution": {"end": "1 ns"}}
    alone = homogeneous_setup(case_from_dict(shared | point))
    f = thermal(alone.grid, 0.3).f + 0.1 * np.exp(-((alone.grid.energies - 2.0) ** 2))
    n = thermal(alone.grid, 0.25).n
    at = alone.gap if alone.self_consistent is None else alone.self_consistent.gap(f)[0]
    bin_weights = alone.bin_weights(at)
    assert bin_weights.phonon_shares is not None
    bin_weights = replace(bin_weights, phonon_shares=None)
    found, expected = (
        setup.problem.at(np.full(1, at)).local.rates(f, n),
        alone.collisions.rates(bin_weights, f, n),
    )
    assert np.array_equal(found.f, expected.f) and np.array_equal(found.n, expected.n)
    number = setup.problem.densities(setup.problem.state(f, n))
    np.testing.assert_allclose(number, quasiparticle_density(bin_weights, f), rtol=1e-13)
    assert setup.problem.gap_at_rest[0] == alone.gap


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
        STRONG,
        {"gap": {"model": "follows"}, "spectrum.renormalization": "energy", "spectrum.temperature": "1 K"},
        'spectrum.temperature: contradicts gap.model = "follows"',
    ),
    (
        BESIDE,
        {"gap": {"model": "follows"}},
        'regions.trap.spectrum.renormalization: must be "energy" with gap.model = "follows"',
    ),
    (STRONG, {"gap.value": "0.9 Delta0"}, "gap.value: is not used: it follows from spectrum.interaction"),
    (STRONG, {"material.gap": "600 ueV"}, "material.gap: is not used: it follows from spectrum.interaction"),
    (STRONG, {"spectrum.interaction": {"metal": "Hg"}}, 'spectrum.interaction.metal: no spectrum of "Hg"'),
    (STRONG, {"spectrum.interaction": {"file": "no.txt"}}, "spectrum.interaction.file: no such file"),
    (
        STRONG,
        {"energies.phonon_maximum": "40 Delta0"},
        "energies.phonon_maximum: 40 Delta0 is above the end of the interaction",
    ),
    (
        STRONG,
        {"spectrum": LEAD | {"renormalization": "energy"}, "energies.maximum": "6 Delta0"},
        "spectrum: at 4.375 Delta0 phonons leave no quasiparticles of a definite energy",
    ),
    (STRONG, {"resonator": {"photon_energy": "20 ueV"}}, "resonator: its conductivity is that of"),
    (SPHERE, {"spectrum": {"renormalization": "energy"}}, "spectrum.renormalization: is not used with model"),
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
        "energies.lowest_gap: collision grid: starts at 0.1 Δ0, and the gap of cell 0 falls below",
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
