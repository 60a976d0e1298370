"""Sets of directions, periodic boundaries and refracting interfaces in cases: each moves a number, and says
what it cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from case_keys import changed
from said import Said
from transport_cases import FILM, FLYING, SPHERE

import fvqp

GLASS = {"insulator": True, "ion_density": "5e28 1/m^3", "debye_energy": "55 meV", "sound_velocity": "6 km/s"}


def phonons(changes: dict[str, Any]) -> np.ndarray:
    """Energy of phonons in the cells at the end."""
    data = changed(FILM, FLYING | changes)
    found = fvqp.run(data).dataset
    total = found["energy_ph"].values
    assert np.abs(total - total[0]).max() < 1e-12 * np.abs(total).max()
    return np.asarray(found["energy_ph_cell"].values[-1], dtype=float)


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() > 1e-3 * np.abs(a).max())


@pytest.mark.slow
def test_sets_of_directions() -> None:
    """Two kinds of sets, and finer ones, give other numbers, and closer ones the finer they are."""
    coarse = {"product": phonons({})}
    of_lebedev = {"phonons.quadrature": "lebedev", "phonons.directions": None, "phonons.azimuths": None}
    coarse["lebedev"] = phonons({**of_lebedev, "phonons.degree": 3})
    fine = {
        "product": phonons({"phonons.directions": 4, "phonons.azimuths": 8}),
        "lebedev": phonons({**of_lebedev, "phonons.degree": 9}),
    }
    apart = [max(np.abs(sets[a] - sets[b]).max() for a in sets for b in sets) for sets in (coarse, fine)]
    assert apart[1] < 0.5 * apart[0]
    for name, values in coarse.items():
        assert differ(values, fine[name])


@pytest.mark.slow
def test_periodic_boundaries() -> None:
    """The pulse in the corner leaves through two sides and comes in at the others."""
    closed = phonons({})
    around = phonons({"periodic": [["left", "right"], ["bottom", "top"]]})
    assert differ(closed, around)
    one_way = phonons({"periodic": [["bottom", "top"]]})
    assert differ(around, one_way)


@pytest.mark.slow
def test_refracting_interface() -> None:
    """What is in the trap depends on the mismatch of densities; less passes between unequal ones."""
    trap = slice(4, None, 6), slice(5, None, 6)

    def inside(densities: list[str] | None) -> float:
        given = {"phonons.interfaces": [{"between": ["rest", "trap"], "mass_densities": densities}]}
        cells = phonons({"regions.trap": GLASS, **(given if densities else {}), "evolution.end": "2 ns"})
        return float(sum(cells[part].sum() for part in trap))

    # Equal impedances, much unequal ones.
    matched, unequal = inside(["6000 kg/m^3", "4000 kg/m^3"]), inside(["6000 kg/m^3", "0.1 g/cm^3"])
    assert unequal < 0.5 * matched
    assert matched != inside(None)


OF_FILM: list[tuple[dict[str, Any], str]] = [
    (
        {"phonons.quadrature": "level_symmetric"},
        'there are no level-symmetric sets; "lebedev" has their symmetry',
    ),
    ({"phonons.quadrature": "lebedev"}, "phonons.directions: is not used with quadrature"),
    ({"phonons.degree": 5}, 'phonons.degree: is not used with quadrature = "product"'),
    (
        {"phonons": {"motion": "ordinates", "quadrature": "lebedev", "sound_velocity": "4 km/s"}},
        "phonons.degree: missing",
    ),
    (
        {
            "phonons": {
                "motion": "ordinates",
                "quadrature": "lebedev",
                "degree": 13,
                "sound_velocity": "4 km/s",
            }
        },
        "phonons.degree: no Lebedev set of degree 13; degrees are 3, 5",
    ),
    ({"quasiparticles.quadrature": "lebedev"}, "quasiparticles.quadrature: is not used with motion"),
    ({"periodic": [["left", "east"]]}, "periodic: grid2d: no boundary 'east'"),
    ({"periodic": [["left", "left"]]}, "periodic"),
    ({"mesh.shape.ny": 2, "periodic": [["bottom", "top"]]}, "three or more cells between them"),
    (
        {"periodic": [["left", "right"]], "phonons.walls": {"left": {}}},
        "phonons.walls.left: is a periodic boundary",
    ),
    (
        {
            "phonons.interfaces": [
                {"between": ["rest", "trap"], "mass_densities": ["1 g/cm^3", "2 g/cm^3"], "transmission": 0.5}
            ]
        },
        "transmission and specularity are not used",
    ),
    (
        {"phonons.interfaces": [{"between": ["rest", "trap"], "mass_densities": ["1 g/cm^3", "-2 g/cm^3"]}]},
        "mass_densities",
    ),
    (
        {
            "phonons": {
                "motion": "diffusive",
                "sound_velocity": "4 km/s",
                "free_path": "10 nm",
                "interfaces": [{"between": ["rest", "trap"], "mass_densities": ["1 g/cm^3", "2 g/cm^3"]}],
            }
        },
        'phonons.interfaces[0].mass_densities: refraction needs motion = "ordinates"',
    ),
    (
        {"mesh": {"shape": {"kind": "grid1d", "nx": 6, "Lx": "6 um"}}, "regions": {}},
        "phonons.azimuths: is not used on a mesh of dimension 1",
    ),
]


@pytest.mark.parametrize(("changes", "words"), OF_FILM, ids=[words for _, words in OF_FILM])
def test_messages(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(FILM, FLYING | changes)
    assert code == 2 and words in text and "case.toml" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phonons.quadrature": "lebedev"}, "phonons.quadrature: belongs to plane and solid meshes"),
        ({"periodic": [["inner", "outer"]]}, "periodic: are boundaries of a mesh"),
    ],
    ids=["quadrature", "periodic"],
)
def test_messages_of_shells(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(SPHERE, changes)
    assert code == 2 and words in text and "case.toml" in text
