"""Walls, interfaces and periodic boundaries in cases: each moves a number, tables by energy are kept."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed, keys
from said import Said
from transport_cases import FILM, FLYING, SPHERE

import fvqp
from fvqp.case.boltzmann.schema import TransportCase
from fvqp.errors import CaseError

STEP = {"energies": [0, 2.9, 3.1, 9], "shares": [0, 0, 1, 1]}
"""Lets high energies pass."""
SPREADING: dict[str, Any] = {
    "phonons": {"motion": "diffusive", "sound_velocity": "4 km/s", "free_path": "0.1 um"},
    "evolution.end": "10 ns",
}
"""Changes of the flying phonons: they diffuse."""


def film(changes: dict[str, Any]) -> dict[str, Any]:
    return changed(FILM, FLYING | changes)


def computed(changes: dict[str, Any]) -> xr.Dataset:
    """With a balance of energy that is kept."""
    found = fvqp.run(film(changes)).dataset
    size = float(found["energy_ph"].max())
    assert np.abs(found["energy_residual"].values).max() < 1e-12 * size
    return found


def cells(changes: dict[str, Any]) -> np.ndarray:
    """Energy of phonons in the cells at the end."""
    return np.asarray(computed(changes)["energy_ph_cell"].values[-1], dtype=float)


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() > 1e-3 * np.abs(a).max())


def test_every_key_is_here() -> None:
    of_walls = {key for key in keys(TransportCase) if ".walls." in key or ".interfaces." in key}
    laws = {f"{table}.{law}" for table in ("walls", "interfaces") for law in ("transmission", "specularity")}
    species = ("quasiparticles", "phonons")
    known = {f"{one}.{law}" for one in species for law in laws} | {"phonons.interfaces.mass_densities"}
    outside = ("temperature", "occupation", "duration")
    known |= {f"{one}.walls.{key}" for one in species for key in outside}
    known |= {f"{one}.walls.velocity" for one in species}  # test_transport_conditions
    known |= {f"{one}.walls.kind" for one in species}  # of conditions of one's own: test_extensions
    assert of_walls == known | {f"{one}.interfaces.between" for one in species}


@pytest.mark.slow
def test_named_walls_of_a_mesh() -> None:
    """What leaves, is reflected by a mirror or in all directions, at one end of the film."""
    found = {
        name: computed({"phonons.walls": {"left": wall}})
        for name, wall in {
            "rough": {},
            "mirror": {"specularity": 1.0},
            "open": {"transmission": 1.0},
        }.items()
    }
    at_end = {name: one["energy_ph_cell"].values[-1] for name, one in found.items()}
    assert differ(at_end["rough"], at_end["mirror"])
    escaped = {name: float(one["energy_escaped"].values[-1]) for name, one in found.items()}
    stored = float(found["open"]["energy_ph"].values[0])
    assert escaped["open"] > 0.1 * stored
    assert max(abs(escaped["rough"]), abs(escaped["mirror"])) < 1e-12 * stored


@pytest.mark.slow
@pytest.mark.parametrize("species", ["phonons", "quasiparticles"])
def test_interfaces(species: str) -> None:
    """Transmission and specularity between two regions."""
    base: dict[str, Any] = {}
    if species == "quasiparticles":
        pulse = {"centre": "1.9 Delta0", "width": "0.3 Delta0", "peak": 0.01, "size": "1 um"}
        base = {
            "quasiparticles": FLYING["phonons"] | {"fermi_velocity": "4 km/s"},
            "phonons": {},
            "initial.pulses": [pulse],
        }
        del base["quasiparticles"]["sound_velocity"]

    def after(**law: float) -> np.ndarray:
        interface = {"between": ["trap", "rest"], **law}
        found = fvqp.run(
            film({**base, f"{species}.interfaces": [interface], "evolution.end": "2 ns"})
        ).dataset
        name = "energy_ph_cell" if species == "phonons" else "n_qp_cell"
        return np.asarray(found[name].values[-1])

    closed, half, mirror = after(), after(transmission=0.5), after(transmission=0.5, specularity=1.0)
    beyond = np.tile(np.arange(6) >= 4, 3)
    assert half[beyond].sum() > 1.01 * closed[beyond].sum()
    assert differ(half, mirror)


@pytest.mark.slow
def test_periodic_boundaries_of_diffusion() -> None:
    """What diffuses out of a corner comes in at the opposite side; walls keep it at its own."""
    closed = cells(SPREADING).reshape(3, 6)
    around = cells({**SPREADING, "periodic": [["left", "right"]]}).reshape(3, 6)
    assert np.all(closed[:, 5] < closed[:, 3])
    assert np.all(around[:, 5] > 1.2 * around[:, 3])
    both = cells({**SPREADING, "periodic": [["left", "right"], ["bottom", "top"]]}).reshape(3, 6)
    assert np.ptp(both, axis=0).max() < np.ptp(around, axis=0).max()


@pytest.mark.parametrize("motion", ["ordinates", "diffusive"])
def test_a_wall_that_lets_high_energies_pass(motion: str, tmp_path: Path) -> None:
    """Nothing leaves below the step, the file says the same as the lists, a flat table as a number."""
    base = {} if motion == "ordinates" else SPREADING
    base = {**base, "evolution.end": "0.2 ns"}
    table = tmp_path / "step.csv"
    delta0 = 0.18e-3
    rows = [f"{energy * delta0},{share}" for energy, share in zip(*STEP.values(), strict=True)]
    table.write_text("\n".join(["energy_eV,transmission", *rows]) + "\n")
    given = {
        "lists": STEP,
        "file": {"file": str(table)},
        "number": 1.0,
        "flat": {"energies": ["0 eV", "5 meV"], "shares": [1, 1]},
    }
    spectra = {}
    for name, transmission in given.items():
        changes = {**base, "material.gap": f"{delta0} eV", "phonons.walls": {"left": {}}}
        found = computed({**changes, "phonons.walls.left.transmission": transmission})
        spectra[name] = found["escaped_spectrum"].values[-1]
    omega = found["omega"].values / delta0
    most = spectra["lists"].max()
    assert np.all(np.abs(spectra["lists"][omega < 2.9]) <= 1e-13 * most)
    np.testing.assert_allclose(spectra["lists"][omega > 3.1], spectra["number"][omega > 3.1], rtol=1e-3)
    assert spectra["number"][omega < 2.9].max() > 0.1 * most
    np.testing.assert_allclose(spectra["file"], spectra["lists"], rtol=1e-9, atol=1e-12 * most)
    assert np.array_equal(spectra["flat"], spectra["number"])


@pytest.mark.parametrize("motion", ["ordinates", "diffusive"])
def test_an_interface_that_lets_high_energies_pass(motion: str) -> None:
    """What is beyond it has no energy below the step that was not there before."""
    base = {} if motion == "ordinates" else SPREADING
    interface = {"between": ["trap", "rest"], "transmission": STEP}
    changes = {"phonons.interfaces": [interface], "output": {"occupations": True}, "evolution.end": "1 ns"}
    found = computed({**base, **changes})
    beyond = np.tile(np.arange(6) >= 4, 3)
    omega = found["omega"].values / found.attrs["delta0_eV"]
    came = found["n"].values[-1][beyond].sum(axis=0) - found["n"].values[0][beyond].sum(axis=0)
    assert came[omega > 3.1].max() > 0.0
    # steps of ordinates make up for what their solver leaves in proportion to what is there
    assert np.abs(came[omega < 2.9]).max() < 1e-5 * came.max()


@pytest.mark.parametrize(("eta", "dim"), [(0.2, 1), (1.0, 1), (1.0, 2)])
def test_a_diffusive_wall_is_that_of_marshak(eta: float, dim: int) -> None:
    """The occupation points to zero ``(2/3)(2 − η)/η`` free paths beyond the wall, to rounding."""
    data = copy.deepcopy(FILM)
    path = 0.5e-6
    data |= {
        "mesh": {"shape": {"kind": f"grid{dim}d", "nx": 6, "Lx": "6 um"}},
        "quasiparticles": {},
        "phonons": {
            "motion": "diffusive",
            "sound_velocity": "4 km/s",
            "free_path": f"{path} m",
            "walls": {"right": {"transmission": eta}},
        },
        "regions": {},
        "bath": {"temperature": "10 mK"},
        "collisions": {"inelastic": False},
        "steady_state": {},
        "output": {"occupations": True},
    }
    if dim == 2:
        data["mesh"]["shape"] |= {"ny": 1, "Ly": "1 um"}
    data["mesh"]["shape"]["regions"] = {"source": ["0 um", "1 um"] if dim == 1 else [["0 um", "1 um"], "all"]}
    data["injections"] = [
        {
            "of": "phonons",
            "centre": "3 Delta0",
            "width": "0.5 Delta0",
            "power": "1e3 W/m^3",
            "regions": ["source"],
        }
    ]
    del data["evolution"]
    found = fvqp.run(data).dataset
    omega = found["omega"].values / found.attrs["delta0_eV"]
    n = found["n"].values[0][:, (omega > 2.0) & (omega < 4.0)]
    slope = n[-2] - n[-1]
    beyond = n[-1] / slope * 1e-6 - 0.5e-6
    np.testing.assert_allclose(beyond / path, 2.0 / 3.0 * (2.0 - eta) / eta, rtol=1e-6)


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": [0, 2], "shares": [0, 1]}},
        "phonons.walls.outer.transmission: the table goes from 0 to 2 Delta0, the energies of the case from",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": [0, 2], "shares": [0, 1.5]}},
        "phonons.walls.outer.transmission.shares: expected numbers from 0 to 1, got 1.5",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": [0, 2, 9], "shares": [0, 1]}},
        "needs as many shares as energies, two or more; got 2 and 3",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": [3, 2], "shares": [0, 1]}},
        "phonons.walls.outer.transmission.energies: must increase",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": ["5 meV", 2], "shares": [0, 1]}},
        "phonons.walls.outer.transmission.energies: must increase",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": ["1 um", 2], "shares": [0, 1]}},
        "phonons.walls.outer.transmission.energies: ",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energy": [0, 9], "shares": [0, 1]}},
        "phonons.walls.outer.transmission: expected { energies = ",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"energies": 3, "shares": [0, 1]}},
        "phonons.walls.outer.transmission: expected two lists",
    ),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": {"file": "no.csv"}},
        "phonons.walls.outer.transmission.file: no such file",
    ),
    (SPHERE, {"phonons.walls.outer.transmission": {"file": 3}}, "transmission.file: expected a file name"),
    (
        SPHERE,
        {"phonons.walls.outer.transmission": "all"},
        "expected a number from 0 to 1, or a table such as",
    ),
    (
        FILM,
        {**FLYING, "phonons.interfaces": [{"between": ["rest", "trap"], "transmission": {"file": "no.csv"}}]},
        "phonons.interfaces[0].transmission.file: no such file",
    ),
    (
        FILM,
        {"quasiparticles.walls": {"left": {"specularity": 0.5}}},
        'quasiparticles.walls.left.specularity: is not used with motion = "diffusive"',
    ),
    (
        FILM,
        {**FLYING, **SPREADING, "phonons.interfaces": [{"between": ["rest", "trap"], "specularity": 0.0}]},
        'phonons.interfaces[0].specularity: is not used with motion = "diffusive"',
    ),
    (
        FILM,
        {"regions.trap.energies": {"maximum": "5 Delta0"}},
        "regions.trap.energies: regions of different energy axes have no interface",
    ),
]


@pytest.mark.parametrize(("base", "changes", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_messages(said: Said, base: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    code, text = said(base, changes)
    assert code == 2 and words in text and "case.toml" in text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0,0\n5e-3,1.5\n", "line 3: a transmission of 1.5; expected one from 0 to 1"),
        ("5e-3,0\n1e-3,1\n", "line 3: energies must increase"),
        ("0,1\n", "needs at least two rows"),
    ],
)
def test_bad_files(said: Said, tmp_path: Path, rows: str, words: str) -> None:
    (tmp_path / "t.csv").write_text("energy_eV,transmission\n" + rows)
    code, text = said(SPHERE, {"phonons.walls.outer.transmission": {"file": "t.csv"}})
    assert code == 2 and words in text and "phonons.walls.outer.transmission.file: t.csv" in text


def test_tables_are_written_as_they_are_read() -> None:
    """A resolved case, read again, is the case."""
    data = film({"phonons.walls": {"left": {"transmission": STEP}, "right": {"transmission": 0.5}}})
    case = fvqp.case.case_from_dict(data)
    again = fvqp.case.case_from_dict(tomllib.loads(case.resolved_toml()))
    assert again == case and again.hash == case.hash
    with pytest.raises(CaseError, match="nothing"):
        fvqp.case.case_from_dict(film({"phonons.walls": {"left": {"transmission": {}}}}))
