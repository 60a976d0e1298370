"""What figures show of sweeps and cells: which curves, which cells, and what they say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from mpi4py import MPI

from fvqp.case.recorder import Recorder
from fvqp.errors import FvqpError
from fvqp.mesh import Mesh
from fvqp.mesh.build import build_mesh
from fvqp.results import SweepDataset
from fvqp.results.dataset import read_dataset
from fvqp.results.figures import FAMILIES, FigureSpec, fill
from fvqp.results.figures.cells import draw_cells
from fvqp.results.figures.common import evenly_mirrored

KINDS = FAMILIES["usadel"]
DELTA0 = 265e-6
# A triangle and a square side by side, 2 µm long and 1 µm wide at most.
POINTS = 1e-6 * np.array([[0, 0], [1, 0], [2, 0], [2, 1], [1, 1]])
MIXED = [("triangle", np.array([[0, 1, 4]])), ("quad", np.array([[1, 2, 3, 4]]))]
# Three wires that meet at a node.
STAR = 1e-6 * np.array([[0, 0], [-1, 0], [-2, 0], [1, 0], [2, 0], [0, 1], [0, 2]])
ARMS = [("line", np.array([[2, 1], [1, 0], [0, 3], [3, 4], [0, 5], [5, 6]]))]


def mesh(points: np.ndarray, cells: list[tuple[str, np.ndarray]]) -> Mesh:
    return build_mesh(points, cells, comm=MPI.COMM_SELF)


def stored(of: Mesh, values: dict[str, Any], axes: dict[str, Any] | None = None) -> xr.Dataset:
    """Results with fields of every cell, as a run that stores them records its places."""
    places = Recorder(of, MPI.COMM_SELF, 1, None).cells()
    energy = {"energy": (("energy",), np.array([0.5, 1.1, 2.0]) * DELTA0)}
    sweep = SweepDataset(axes or {}, places | energy, {"delta0_eV": DELTA0})
    for name, table in values.items():
        dims = ("cell", "energy") if np.ndim(table) - len(axes or {}) == 2 else ("cell",)
        sweep.define(name, dims)
        sweep.dataset[name].values[...] = table
    return sweep.dataset


def figure_of(dataset: xr.Dataset, kind: str, **options: Any) -> Figure:
    figure = Figure()
    KINDS[kind](dataset, FigureSpec(kind, **options), figure)
    return figure


def area(corners: np.ndarray) -> np.ndarray:
    """Of polygons ``(n, k, 2)``."""
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1))


def test_cells_of_a_plane_are_filled(tmp_path: Path) -> None:
    """What is filled has the areas of the cells, in their order, also after the file was written and read."""
    film = mesh(POINTS, MIXED)
    dataset = stored(film, {"gap": [1e-4, 3e-4]})
    assert dataset["x"].attrs["bounds"] == "x_corners" and dataset.sizes["corner"] == 4
    dataset.to_netcdf(tmp_path / "results.nc")
    axes = figure_of(read_dataset(tmp_path / "results.nc"), "fields", variable="gap").axes[0]
    (filled,) = axes.collections
    assert isinstance(filled, PolyCollection) and axes.get_aspect() == 1.0
    polygons = np.array([path.vertices[:4] for path in filled.get_paths()])
    np.testing.assert_allclose(area(polygons), film.volume * 1e12, rtol=1e-12)
    np.testing.assert_allclose(polygons[1].mean(axis=0), film.centroid[1, :2] * 1e6, rtol=1e-12)
    np.testing.assert_allclose(filled.get_array(), [100.0, 300.0])
    assert axes.get_xlabel() == "$x$ (µm)"


def test_a_cell_without_a_gap_does_not_stretch_the_colours() -> None:
    dataset = stored(mesh(POINTS, MIXED), {"gap": [0.0, 3e-4]})
    axes = figure_of(dataset, "fields", variable="gap").axes[0]
    (filled,) = axes.collections
    assert filled.get_clim()[0] > 200.0
    grey = filled.get_cmap().get_bad()[:3]
    np.testing.assert_allclose(filled.to_rgba(filled.get_array())[0, :3], grey)


def test_lines_in_a_plane_are_drawn_from_end_to_end() -> None:
    lines = mesh(STAR, ARMS)
    assert len(lines.nodes) == 1
    dataset = stored(lines, {"gap": 1e-4 * np.arange(lines.n_cells)})
    axes = figure_of(dataset, "fields", variable="gap").axes[0]
    (drawn,) = axes.collections
    assert isinstance(drawn, LineCollection)
    pieces = np.array(drawn.get_segments())
    steps = np.linalg.norm(np.diff(pieces, axis=1), axis=2).sum(axis=1)
    cells = np.delete(np.arange(lines.n_cells), lines.nodes)
    np.testing.assert_allclose(steps[cells], lines.volume[cells] * 1e6, rtol=1e-12)
    # Through a node the way goes along two arms once and, there and back, along the third.
    (node,) = lines.nodes
    assert np.unique(pieces[node].round(9), axis=0).shape == (4, 2)
    assert steps[node] == pytest.approx(4.0 / 3.0 * lines.volume[node] * 1e6, rel=1e-12)


def test_results_without_corners_have_dots() -> None:
    dataset = stored(mesh(POINTS, MIXED), {"gap": [1e-4, 3e-4]})
    dataset = dataset.drop_vars([f"{name}_corners" for name in "xyz"])
    dots = draw_cells(Figure().subplots(), dataset, ["x", "y"], dataset["gap"].values, 1e-6)
    assert isinstance(dots, PathCollection)


def test_field_of_a_plane_says_bias_and_energy_and_has_two_colours_if_signed() -> None:
    biases = np.array([-1e-3, 0.0, 1e-3])
    table = np.ones((3, 2, 3)) * np.array([-1.0, 0.0, 1.0])[:, None, None] * np.array([1.0, 2.0, 4.0])
    dataset = stored(mesh(POINTS, MIXED), {"f_T": table}, {"V_inj": biases})
    for options, energy, end in (({}, "292 µeV", 2.0), ({"energy": 1.9 * DELTA0}, "530 µeV", 4.0)):
        axes = figure_of(dataset, "fields", variable="f_T", **options).axes[0]
        assert axes.get_title() == r"$V_\mathrm{inj}$ = 1 mV, $\epsilon$ = " + energy
        assert axes.collections[0].get_array().tolist() == [end, end]
    # Of an unfinished sweep the last bias that is there.
    dataset["f_T"].values[2] = np.nan
    dataset["f_T"].values[1] = [[-1.0] * 3, [2.0] * 3]
    axes = figure_of(dataset, "fields", variable="f_T").axes[0]
    assert axes.get_title().startswith(r"$V_\mathrm{inj}$ = 0 V")
    assert axes.collections[0].get_clim() == (-2.0, 2.0)


def test_spectral_field_along_a_line_is_whole_or_at_an_energy() -> None:
    """Along whichever axis the line lies."""
    wire = mesh(np.array([[0, 0], [0, 1e-6], [0, 2e-6]]), [("line", np.array([[0, 1], [1, 2]]))])
    table = np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]] * 3) * np.array([1, 0, 1])[:, None, None]
    dataset = stored(wire, {"f_L": table}, {"V_inj": np.array([-1e-3, 0.0, 1e-3])})
    left, right, _ = figure_of(dataset, "fields", variable="f_L").axes
    assert left.get_xlabel() == "$y$ (µm)" and left.get_title() == r"$V_\mathrm{inj}$ = 1 mV"
    assert [line.get_label() for line in right.lines] == ["$y$ = 0.5 µm", "$y$ = 1.5 µm"]
    (axes,) = figure_of(dataset, "fields", variable="f_L", energy=1.2 * DELTA0).axes
    assert [line.get_label() for line in axes.lines] == [
        r"$V_\mathrm{inj}$ = 0 mV",
        r"$V_\mathrm{inj}$ = ±1 mV",
    ]
    assert axes.get_title() == r"$\epsilon$ = 292 µeV"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [2.0, 5.0])


def test_equal_spectra_along_a_line_are_drawn_once() -> None:
    wire = mesh(np.array([[0, 0], [0, 1e-6], [0, 2e-6]]), [("line", np.array([[0, 1], [1, 2]]))])
    for second, drawn, title in ((3.0, 1, "equal curves are drawn once"), (3.1, 2, "")):
        dataset = stored(wire, {"f_L": np.array([[1.0, 2.0, 3.0], [1.0, 2.0, second]])})
        _, right, _ = figure_of(dataset, "fields", variable="f_L").axes
        assert len(right.lines) == drawn and right.get_title() == title


def test_a_region_without_values_is_named() -> None:
    dataset = stored(mesh(POINTS, MIXED), {"gap": [0.0, 3e-4]})
    inside = ("region", "cell"), np.array([[0, 1], [1, 0]])
    dataset = dataset.assign_coords(region=["film", "trap"], in_region=inside)
    axes = figure_of(dataset, "fields", variable="gap").axes[0]
    assert [text.get_text() for text in axes.texts] == ["trap"]
    middle = [dataset[name].values[0] * 1e6 for name in "xy"]
    np.testing.assert_allclose(axes.texts[0].get_position(), middle)


def test_fields_of_solids_are_for_other_programs() -> None:
    solid = mesh(
        1e-6 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 2]]),
        [("tetra", np.array([[0, 1, 2, 3], [1, 4, 2, 3]]))],
    )
    dataset = stored(solid, {"gap": [1e-4, 2e-4]})
    assert "x_corners" not in dataset
    with pytest.raises(FvqpError, match="of plane meshes; those of solids are for ParaView"):
        figure_of(dataset, "fields", variable="gap")


def test_spectra_say_where_they_are_and_show_a_symmetric_sweep_once() -> None:
    biases = np.linspace(-2.5e-3, 2.5e-3, 51)
    energy = np.array([0.5, 1.2, 3.0]) * DELTA0
    sweep = SweepDataset({"temperature": [0.1, 0.3], "V_inj": biases}, {"energy": (("energy",), energy)})
    sweep.set_coordinate("junction", ("junction",), np.array(["A", "B"]))
    for name in ("f_L", "f_T"):
        sweep.define(name, ("junction", "energy"))
    size = np.array([1.0, 2.0])[:, None] * np.array([1.0, 2.0, 3.0])
    size = size * np.array([1.0, 1.1])[:, None, None, None]
    sweep.dataset["f_T"].values[...] = biases[:, None, None] * size
    sweep.dataset["f_L"].values[...] = np.abs(biases)[:, None, None] * size
    odd = figure_of(sweep.dataset, "spectrum", variable="f_T").axes
    assert [axes.get_title() for axes in odd] == [
        "$T$ = 100 mK, junction A",
        "$T$ = 100 mK, junction B",
    ]
    shown = [line.get_ydata()[0] / 1e-3 for line in odd[0].lines]
    np.testing.assert_allclose(shown, [-2.5, -1.7, -0.8, 0.0, 0.8, 1.7, 2.5])
    assert odd[1].lines[0].get_ydata()[0] == pytest.approx(2.0 * odd[0].lines[0].get_ydata()[0])
    even = figure_of(sweep.dataset, "spectrum", variable="f_L").axes
    names = [line.get_label().split("= ")[1] for line in even[0].lines]
    assert names[0] == "0 mV" and names[-1] == "±2.5 mV" and len(names) == 8
    assert all(name.startswith("±") for name in names[1:])
    # One temperature and one junction need not be named, nor those that make no difference.
    sweep.dataset["f_L"].values[...] = sweep.dataset["f_L"].values[:1]
    assert figure_of(sweep.dataset, "spectrum", variable="f_L").axes[1].get_title() == "junction B"
    alone = sweep.dataset.isel(temperature=[0], junction=[1])
    assert [axes.get_title() for axes in figure_of(alone, "spectrum", variable="f_L").axes] == [""]
    # Without a bias that is swept junctions are curves of one panel.
    (axes,) = figure_of(sweep.dataset.isel(temperature=[0], V_inj=[3]), "spectrum", variable="f_T").axes
    assert [line.get_label() for line in axes.lines] == ["A", "B"]


@pytest.mark.parametrize(
    ("count", "zero", "most"), [(51, True, 8), (50, False, 8), (9, True, 8), (7, True, 8), (12, False, 5)]
)
def test_mirrored_choices(count: int, zero: bool, most: int) -> None:
    at = np.linspace(-1.0, 1.0, count)
    chosen = at[evenly_mirrored(at, most)]
    np.testing.assert_allclose(chosen, -chosen[::-1], atol=1e-12)
    assert most - 2 < len(chosen) <= most and chosen[-1] == 1.0
    assert bool(np.any(np.abs(chosen) < 1e-12)) == zero
    one_sided = np.linspace(0.0, 1.0, count)
    assert len(evenly_mirrored(one_sided, most)) == min(most, count)


@pytest.mark.parametrize("kind", ["g_nl", "local_conductance", "gap", "lead_temperature"])
def test_curves_are_over_what_is_swept(kind: str) -> None:
    """Over the innermost dimension of several values; of a single one there is a dot to be seen."""
    name = {"local_conductance": "G_inj", "lead_temperature": "T_lead"}.get(kind, kind)
    of_junctions = kind in ("gap", "lead_temperature")

    def axes_of(**swept: list[float]) -> Any:
        sweep = SweepDataset(swept)
        if of_junctions:
            sweep.set_coordinate("junction", ("junction",), np.array(["A"]))
        sweep.define(name, ("junction",) if of_junctions else ())
        shape = sweep.dataset[name].shape
        sweep.dataset[name].values[...] = 1e-4 * (1.0 + np.arange(np.prod(shape))).reshape(shape)
        (axes,) = figure_of(sweep.dataset, kind).axes
        return axes

    def shape_of(axes: Any) -> list[int]:
        return [len(line.get_xdata()) for line in axes.lines]

    both = {"V_det": [0.0, 1e-4, 2e-4], "V_inj": [0.0, 1e-4]}
    assert shape_of(axes_of(**both)) == [2, 2, 2]
    axes = axes_of(**both | {"V_inj": [1e-4]})
    assert shape_of(axes) == [3] and axes.get_xlabel().startswith(r"$V_\mathrm{det}$")
    axes = axes_of(temperature=[0.1, 0.2])
    assert shape_of(axes) == [2] and axes.get_xlabel().startswith("$T$")
    assert axes.lines[0].get_marker() == "None"
    axes = axes_of(V_inj=[1e-4])
    assert shape_of(axes) == [1] and axes.lines[0].get_marker() == "o"
    with pytest.raises(
        FvqpError, match="is drawn over what is swept, and these results are of a single point"
    ):
        axes_of()


def test_lines_with_and_without_collisions_are_named() -> None:
    """Solid and dashed ones, where there is one gap to show and where there are several spectra."""
    biases = np.array([0.0, 2.0, 4.0]) * DELTA0
    energy = {"energy": (("energy",), np.linspace(0.1, 5.0, 50) * DELTA0)}
    junction = {"junction": (("junction",), ["A"])}
    sweep = SweepDataset({"V_inj": biases}, energy | junction, {"delta0_eV": DELTA0})
    for name, lower in (("gap", 0.1), ("gap_elastic", 0.05)):
        sweep.define(name, ("junction",), "eV", name)
        sweep.dataset[name].values[:, 0] = DELTA0 * (1.0 - lower * biases / biases[-1])
    for name, size in (("f_L", 0.02), ("f_L_elastic", 0.01)):
        sweep.define(name, ("junction", "energy"), "1", name)
        sweep.dataset[name].values[:, 0] = 1.0 - size * biases[:, None] / biases[-1]
    legends = {}
    for kind, more in (("gap", {}), ("spectrum", {"variable": "f_L"})):
        (axes,) = figure_of(sweep.dataset, kind, compare="elastic", **more).axes
        handles, names = axes.get_legend_handles_labels()
        legends[kind] = dict(zip(names, (line.get_linestyle() for line in handles), strict=True))
    assert legends["gap"] == {"with collisions": "-", "elastic": "--"}
    assert legends["spectrum"].pop("elastic") == "--" and set(legends["spectrum"].values()) == {"-"}


def test_numbers_of_ticks_are_whole() -> None:
    """f_L of few quasiparticles is almost 1: the axis says 0.99997, not an offset."""
    line = mesh(1e-6 * np.array([[0, 0], [1, 0], [2, 0]]), [("line", np.array([[0, 1], [1, 2]]))])
    dataset = stored(line, {"gap": np.array([0.99995, 1.0]) * DELTA0})
    figure = fill(dataset, FigureSpec("fields"), Figure())
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    assert axis.get_offset_text().get_text() == ""
    assert "264.99" in {label.get_text()[:6] for label in axis.get_ticklabels()}
