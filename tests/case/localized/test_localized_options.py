"""Every key of a case of localized quasiparticles moves a number: a key without an entry fails, and so does
one without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys, put
from interrupting import forget
from matplotlib.image import imread
from options import Option, assert_moves, dataset
from stochastic_cases import BUBBLES, TAIL, WIRE
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridReader

import fvqp
from fvqp.case import case_from_dict
from fvqp.case.geometry import MeshSource
from fvqp.case.localized.schema import LocalizedCase
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.localized import TailAnnihilation, TailStates

LAW_ALONE: dict[str, Any] = {"monte_carlo": {"runs": 0}, "box": None}
MATERIAL: dict[str, Any] = {
    **LAW_ALONE,
    "annihilation": {},
    "material": {
        "gap": "200 ueV",
        "diffusivity": "20 cm^2/s",
        "density_of_states": "2e10 1/eV/um^3",
        "electron_phonon_time": "400 ns",
        "edge_shift": "0.1 Delta0",
        "tail_energy": "1e-3 Delta0",
    },
}
DISORDER = {**MATERIAL, "material": {**MATERIAL["material"], "fluctuation": 1e-4}}
del DISORDER["material"]["tail_energy"]
STEADY = {"monte_carlo": {"accuracy": 0.2}}
DECAY = {**LAW_ALONE, "relaxation": {"end": "10 s", "start": "0.1 s", "points_per_decade": 1}}
GRADED = {"monte_carlo": {"runs": 0}, "extrusion": None}
FILM = {
    "mesh": {"shape": {"kind": "grid2d", "nx": 4, "ny": 2, "Lx": "4 um", "Ly": "2 um"}},
    "extrusion": {"thickness": "1 um"},
    "profile": None,
    "sweep": {"generation": "1 1/um^3/s"},
}

OPTIONS: dict[str, Option] = {
    "material.gap": Option("300 ueV", "concentration_law", around=MATERIAL),
    "material.diffusivity": Option("10 cm^2/s", "concentration_law", around=MATERIAL),
    "material.density_of_states": Option("1e10 1/eV/um^3", "concentration_law", around=MATERIAL),
    "material.electron_phonon_time": Option("100 ns", "concentration_law", around=MATERIAL),
    "material.gap_ratio": Option(2.0, "concentration_law", around=MATERIAL),
    "material.edge_shift": Option("0.05 Delta0", "radius", around=MATERIAL),
    "material.tail_energy": Option("1e-2 Delta0", "radius", around=MATERIAL),
    "material.fluctuation": Option(1e-3, "radius", around=DISORDER),
    "annihilation.radius": Option("0.2 um"),
    "annihilation.constant": Option("10 um^3/s"),
    "sweep.generation": Option("2 1/um^3/s"),
    "sweep.spin": Option("0.1 s"),
    "box.particles": Option(200),
    "box.edges": Option(["7 um", "7 um", "7 um"], base=BUBBLES),
    "box.periodic": Option([True, True, False], base=BUBBLES),
    "extrusion.cross_section": Option(["1 um", "1 um"], base=WIRE),
    "extrusion.thickness": Option("2 um", base=WIRE, around=FILM),
    "profile.regions": Option({"left_half": "20 1/um^3/s"}, "generation_cell", base=WIRE),
    "profile.scale": Option([2.0], "generation_cell", base=WIRE, around=GRADED),
    "law.closure": Option("pairs", "concentration_cell_law", base=WIRE, around=GRADED),
    "law.diffusivity": Option("0.1 um^2/s", "concentration_cell_law", base=WIRE, around=GRADED),
    "monte_carlo.runs": Option(2),
    "monte_carlo.seed": Option(1),
    "monte_carlo.accuracy": Option(0.01, "events", around=STEADY),
    "monte_carlo.start": Option("6 s"),
    "monte_carlo.end": Option("12 s"),
    "relaxation.end": Option("20 s", "decay_law", around=DECAY),
    "relaxation.start": Option("0.2 s", "decay_law", around=DECAY),
    "relaxation.points_per_decade": Option(2, "decay_law", around=DECAY),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "annihilation.pairs",
    "profile.table",
    "profile.axis",
    "profile.length_unit",
    "profile.rate",
    "profile.results.folder",
    "profile.results.variable",
    "profile.results.at",
    "profile.results.capture_time",
    "profile.results.density_of_states",
    "profile.results.minimum_energy",
    "monte_carlo.max_events",
    "solver.petsc",
    "figures.kind",
    "figures.file",
    "figures.title",
}
"""Keys with a test of their own below, or with the bad input; those of the mesh are tested with the mesh."""


def test_every_key_has_a_test() -> None:
    assert keys(LocalizedCase) - keys(MeshSource, "mesh.") == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    assert_moves(key, OPTIONS[key], TAIL, "concentration")


def test_a_point_of_the_curve() -> None:
    """Box, law and mean field beside one another; an error that holds."""
    found = dataset(changed(TAIL, {"box": {"particles": 200}, "monte_carlo": {"accuracy": 0.03}}))
    mean, error = found["concentration"].item(), found["concentration_error"].item()
    assert 0.0 < error < 0.03 * mean
    assert abs(mean - found["concentration_law"].item()) < 5.0 * error
    assert found["concentration_mean_field"].item() == pytest.approx(np.sqrt(1e18 / 40e-18))
    assert found.attrs["seed"] == 0 and "SeedSequence" in found.attrs["random_numbers"]


def test_bubbles() -> None:
    """Bubbles in place of tail states; flips have a time, and a polarization."""
    found = dataset(changed(BUBBLES))
    assert found["flip_time"].values[1] == 1.0 and np.isnan(found["flip_time"].values[0])
    packing = found["packing_coefficient"].values[0, :, 0]
    assert 0.5 < packing[0] < 0.7 < packing[1] < 1.3
    assert np.isfinite(found["spin_polarization"].values[0, 1]).all()
    assert found["concentration"].values == pytest.approx(
        packing[None, :, None] / (4e-18 * np.pi / 3.0), rel=1e-12
    )


def test_material_is_that_of_the_model() -> None:
    states = TailStates(
        gap=200e-6 * 1.602176634e-19,
        diffusivity=20e-4,
        density_of_states=2e28 / 1.602176634e-19,
        tail_energy=0.2e-6 * 1.602176634e-19,
        edge_shift=20e-6 * 1.602176634e-19,
        electron_phonon_time=400e-9,
    )
    found = dataset(changed(TAIL, MATERIAL))
    law: TailAnnihilation = states.annihilation()
    assert found["radius"].values == pytest.approx([law.radius])
    assert found.attrs["annihilation_m3_per_s"] == pytest.approx(law.constant)


def test_generation_from_a_table(tmp_path: Path) -> None:
    """Linear along an axis of the mesh, in the units of the columns."""
    (tmp_path / "rate.csv").write_text("# position, rate\n0, 1\n8000, 9\n")
    table = {"table": str(tmp_path / "rate.csv"), "axis": "x", "length_unit": "nm", "rate": "2 1/um^3/s"}
    data = changed(WIRE, {"profile": table, **GRADED})
    found = fvqp.run(data).dataset
    assert found["generation_cell"].values.ravel() == pytest.approx(2e18 * (1.0 + np.arange(0.5, 8.0)))
    before = case_from_dict(data).hash
    (tmp_path / "rate.csv").write_text("0, 1\n8000, 9.5\n")
    assert case_from_dict(data).hash != before
    (tmp_path / "rate.csv").write_text("0, 1\n8000, 9\n")
    put(data, "mesh.shape", {"kind": "grid2d", "nx": 2, "ny": 8, "Lx": "2 um", "Ly": "8 um"})
    put(data, "profile.axis", "y")
    turned = fvqp.run(data).dataset
    by_height = 2e18 * (1.0 + turned["y"].values * 1e6)
    assert turned["generation_cell"].values.ravel() == pytest.approx(by_height)


def test_generation_from_an_earlier_run(tmp_path: Path) -> None:
    """A rate, a density, or f_L of cells, wherever they are in the sweep of the earlier run."""
    import xarray as xr

    x = np.array([1.0, 3.0, 5.0, 7.0]) * 1e-6
    energy = np.array([1e-4, 3e-4])
    wanted = np.array([1.0, 2.0, 3.0, 4.0]) * 1e18
    earlier = xr.Dataset(
        {
            "n_qp": (("V_inj", "cell"), np.stack([0.0 * x, wanted]), {"units": "m-3"}),
            "A": (("V_inj", "cell"), np.stack([0.0 * x, wanted]), {"units": "m-3 s-1"}),
            "f_L": (("V_inj", "cell", "energy"), np.ones((2, 4, 2)) - [[[0.0, 0.5]]]),
            "dos": (("V_inj", "cell", "energy"), np.ones((2, 4, 2)) * 2.0),
        },
        {"V_inj": ("V_inj", [0.0, 1e-3], {"units": "V"}), "x": ("cell", x), "energy": ("energy", energy)},
        {"format_version": 1, "delta0_eV": 2e-4},
    )
    (tmp_path / "run").mkdir()
    earlier.to_netcdf(tmp_path / "run" / "results.nc")

    def generated(**more: Any) -> np.ndarray:
        results = {"folder": str(tmp_path / "run"), "at": {"V_inj": "1 mV"}, **more}
        data = changed(WIRE, {"profile": {"results": results}, **GRADED})
        return np.asarray(fvqp.run(data).dataset["generation_cell"].values.ravel())

    assert generated(variable="A") == pytest.approx(np.repeat(wanted, 2))
    assert generated(variable="n_qp", capture_time="0.5 s") == pytest.approx(2.0 * np.repeat(wanted, 2))
    # 2 N0 times the upper bin of 0.2 meV with 2 (1 - 0.5).
    found = generated(variable="f_L", capture_time="1 s", density_of_states="1e10 1/eV/um^3")
    assert found == pytest.approx(np.full(8, 2e28 * 2e-4))
    # Of the upper bin, from 0.2 to 0.4 meV, the part above 0.25 meV.
    spectral = {"variable": "f_L", "capture_time": "1 s", "density_of_states": "1e10 1/eV/um^3"}
    for least in ("0.25 meV", "1.25 Delta0"):
        assert generated(**spectral, minimum_energy=least) == pytest.approx(np.full(8, 2e28 * 1.5e-4))
    with pytest.raises(CaseError, match=r"minimum_energy: 0\.0005 eV is beyond .* which end at 0\.0004 eV"):
        generated(**spectral, minimum_energy="0.5 meV")
    with pytest.raises(CaseError, match=r"results\.minimum_energy: must not be negative"):
        generated(**spectral, minimum_energy="-0.1 meV")
    with pytest.raises(CaseError, match=r"results\.minimum_energy: is not used: it belongs to f_L"):
        generated(variable="n_qp", minimum_energy="0.1 meV")
    with pytest.raises(CaseError, match=r"capture_time: missing: it turns the density into a rate"):
        generated(variable="n_qp")
    with pytest.raises(CaseError, match=r"capture_time: is not used: A is a rate already"):
        generated(variable="A", capture_time="1 s")
    with pytest.raises(CaseError, match=r"at\.V_inj: 2 mV is not among the results; the nearest is 0\.001 V"):
        generated(variable="A", at={"V_inj": "2 mV"})
    with pytest.raises(CaseError, match=r"at\.V_inj: missing: the results hold 2 values of it"):
        generated(variable="A", at={})
    with pytest.raises(CaseError, match=r'variable: the results hold no "gap" of cells; there are: n_qp, A'):
        generated(variable="gap")
    # Coordinates in another unit; shells.
    places = r"folder: the cells of the results lie between 1e-09 and 7e-09 m along x, those of the mesh bet"
    for other, message in (
        (earlier.assign_coords(x=1e-3 * earlier["x"]), places),
        (earlier.rename(x="radius_cell"), r"folder: the results know no places x, y, z of their cells"),
    ):
        other.to_netcdf(tmp_path / "run" / "results.nc")
        with pytest.raises(CaseError, match=message):
            generated(variable="A")


@pytest.mark.slow
def test_wire_figures_fields_and_resume(tmp_path: Path) -> None:
    """Cells add up to the whole, ParaView gets them, figures show something, a resumed run is the same."""
    figures = [
        {"kind": "profile"},
        {"kind": "concentration", "file": "named.png", "title": "Another title"},
        {"kind": "relaxation"},
    ]
    data = changed(
        WIRE, {"title": "A wire", "figures": figures, "relaxation": {"end": "1 s", "start": "0.1 s"}}
    )
    put(data, "profile.scale", [1.0, 2.0])
    put(data, "monte_carlo.runs", 2)
    result = fvqp.run(data, out=tmp_path / "out")
    assert result.folder is not None and result.dataset.attrs["title"] == "A wire"
    cells = result.dataset["concentration_cell"].values.mean(axis=-1)
    assert cells == pytest.approx(result.dataset["concentration"].values, rel=1e-9)
    assert np.all(np.diff(result.dataset["decay"].values, axis=-1) <= 0.0)
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    assert set(drawn) == {"profile", "named", "relaxation"}
    assert all(float(np.ptp(image[..., :3])) > 0.5 for image in drawn.values())
    reader = vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(result.folder / "fields" / "fields_00001.vtu"))
    reader.Update()
    shown = vtk_to_numpy(reader.GetOutput().GetCellData().GetArray("concentration_law (1/um^3)"))
    assert shown == pytest.approx(1e-18 * result.dataset["concentration_cell_law"].values[0, 0, 1])
    forget(result.folder, (0, 0, 1, 0))
    again = fvqp.run(data, out=tmp_path / "out", resume=True)
    for name in result.dataset.data_vars:
        np.testing.assert_array_equal(again.dataset[name].values, result.dataset[name].values)


def test_petsc_options_of_the_pair_closure(capfd: pytest.CaptureFixture[str]) -> None:
    """A monitor prints, and too few iterations are said."""
    wire = changed(WIRE, {"law": {"closure": "pairs"}, **GRADED})
    fvqp.run(put(wire, "solver", {"petsc": {"closure_snes_monitor": True}}))
    assert "SNES Function norm" in capfd.readouterr().out
    with pytest.raises(ConvergenceError, match="pair closure: not converged after .*DIVERGED_MAX_IT"):
        fvqp.run(put(wire, "solver", {"petsc": {"closure_snes_max_it": 2}}))


@pytest.mark.slow
def test_petsc_options_of_the_law_in_time(capfd: pytest.CaptureFixture[str]) -> None:
    """A monitor prints, and a method of first order finds another decay."""
    film = changed(WIRE, {**GRADED, "relaxation": {"start": "1e-5 s", "end": "10 s"}})
    exact = fvqp.run(film).dataset["decay_law"].values
    first = put(film, "solver", {"petsc": {"density_ts_bdf_order": 1, "density_ts_monitor": True}})
    rough = fvqp.run(first).dataset["decay_law"].values
    assert "TS dt" in capfd.readouterr().out
    assert 1e-9 < np.abs(rough / exact - 1.0).max() < 1e-2


def test_petsc_options_of_slow_hops(capfd: pytest.CaptureFixture[str]) -> None:
    wire = changed(WIRE, {"law": {"diffusivity": "1e-9 cm^2/s"}, **GRADED})
    fvqp.run(put(wire, "solver", {"petsc": {"density_snes_monitor": True, "density_ksp_monitor": True}}))
    printed = capfd.readouterr().out
    assert "SNES Function norm" in printed and "KSP Residual norm" in printed
    with pytest.raises(ConvergenceError, match="concentration: Newton's method left .* after 1 iterations"):
        fvqp.run(put(wire, "solver", {"petsc": {"density_snes_max_it": 1}}))
