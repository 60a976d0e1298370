"""Figures of the transport model: axes of time that have no zero, and maps of the shape of a device."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.figures import FAMILIES, FigureSpec

KINDS = FAMILIES["transport"]
TIMES = np.array([0.0, 1e-9, 1e-8, 1e-7])
LONG, WIDE = 40, 20


def drawn(dataset: xr.Dataset, kind: str) -> Figure:
    figure = Figure(layout="constrained")
    KINDS[kind](dataset, FigureSpec(kind), figure)
    return figure


def over_time(table: np.ndarray) -> xr.Dataset:
    """Densities in one region and one range of energy."""
    return xr.Dataset(
        {
            "x_qp_region": (("time", "region"), table),
            "n_qp_range": (("time", "energy_range"), 1e18 * table),
            "energy_range_from": ("energy_range", [1e-4]),
            "energy_range_to": ("energy_range", [2e-4]),
        },
        {"time": TIMES, "region": ["pad"]},
        {"delta0_eV": 1e-4},
    )


@pytest.mark.parametrize("kind", ["regions", "energy_shells"])
def test_curves_over_decades_begin_after_the_start(kind: str) -> None:
    """A point at time zero would be drawn as a level line from the left edge."""
    (line,) = drawn(over_time(np.array([[1e-9], [1e-5], [1e-4], [1e-3]])), kind).axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), TIMES[1:])
    with pytest.raises(FvqpError, match="nothing has been computed after the start"):
        drawn(over_time(np.array([[1e-9], [np.nan], [np.nan], [np.nan]])), kind)


def test_the_colour_bar_of_a_map_is_as_high_as_the_map() -> None:
    """Dots of a film twice as long as wide, drawn to scale."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(LONG), np.arange(WIDE), indexing="ij"))
    film = xr.Dataset(
        {
            "n_qp_cell": (("time", "cell"), [x * 1e18], {"units": "m-3"}),
            "gap": (("time", "cell"), np.ones((1, x.size))),
        },
        {"time": [0.0], "x": ("cell", 1e-6 * x), "y": ("cell", 1e-6 * y), "z": ("cell", 0.0 * x)},
    )
    figure = drawn(film, "map")
    figure.draw_without_rendering()
    (panel,) = figure.axes
    (bar,) = panel.child_axes
    shown, beside = panel.get_position(), bar.get_window_extent()
    beside = beside.transformed(figure.transFigure.inverted())
    assert panel.get_aspect() == 1.0
    assert (beside.y0, beside.y1) == pytest.approx((shown.y0, shown.y1))
    # Names and numbers of the bar are inside the figure, and the panel takes most of its height.
    assert bar.get_tightbbox().x1 <= figure.bbox.x1
    assert shown.height > 0.6


def test_what_has_no_gap_is_grey_in_a_map() -> None:
    x, y = (part.ravel().astype(float) for part in np.meshgrid(np.arange(4), np.arange(3)))
    trap = (x == 1) & (y == 1)
    film = xr.Dataset(
        {"n_qp_cell": (("time", "cell"), [x]), "gap": (("time", "cell"), [np.where(trap, 0.0, 1.0)])},
        {"time": [0.0], "x": ("cell", x), "y": ("cell", y), "z": ("cell", 0.0 * x)},
    )
    (cells,) = drawn(film, "map").axes[0].collections
    grey = np.all(np.isclose(cells.to_rgba(cells.get_array()), [0.85, 0.85, 0.85, 1.0]), axis=1)
    np.testing.assert_array_equal(grey, trap)


def test_the_axis_of_escaped_phonons_ends_where_they_end() -> None:
    omega = np.linspace(0.5, 10.0, 20)
    left = np.where(omega <= 5.0, 1.0, 1e-9)
    dataset = xr.Dataset(
        {"escaped_spectrum": (("time", "omega"), np.outer(TIMES, left))},
        {"time": TIMES, "omega": 1e-4 * omega},
        {"delta0_eV": 1e-4},
    )
    assert drawn(dataset, "escaped").axes[0].get_xlim() == pytest.approx((0.4, 5.1))


def test_energies_that_change_by_rounding_only_are_left_out() -> None:
    still = np.zeros(4)
    energies = {
        "energy_qp": 2.0 - TIMES,
        "energy_ph": np.array([0.0, 1e-24, 0.0, 1e-24]),
        "energy_escaped": TIMES,
    }
    energies |= {"energy_condensate": still, "energy_injected": still}
    dataset = xr.Dataset({name: ("time", table) for name, table in energies.items()}, {"time": TIMES})
    dataset["time"].attrs["units"] = "s"
    lines = drawn(dataset, "energies").axes[0].lines
    assert [line.get_label() for line in lines] == ["quasiparticles", "escaped"]


@pytest.mark.parametrize(("most", "logarithmic"), [(20.0, False), (1e3, True)])
def test_maps_over_decades_have_logarithmic_colours(most: float, logarithmic: bool) -> None:
    x, y = (part.ravel().astype(float) for part in np.meshgrid(np.arange(4), np.arange(3)))
    film = xr.Dataset(
        {
            "n_qp_cell": (("time", "cell"), [1e18 * np.where(x > 2, most, 1.0)], {"units": "m-3"}),
            "gap": (("time", "cell"), [x + 1]),
        },
        {"time": [0.0], "x": ("cell", x), "y": ("cell", y), "z": ("cell", 0.0 * x)},
    )
    (cells,) = drawn(film, "map").axes[0].collections
    assert cells.norm(most**0.5) == pytest.approx(0.5 if logarithmic else (most**0.5 - 1.0) / (most - 1.0))


def test_arrivals_are_bins_between_recorded_times() -> None:
    """The first bin begins at time zero, which a logarithmic axis does not have."""
    data = xr.Dataset(
        {"energy_escaped_by": (("time", "exit"), [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [4.0, 0.0]])},
        {"time": TIMES, "exit": ["pad", "trap"], "cell_volume": ("cell", [2.0, 3.0])},
    )
    axes = drawn(data, "arrivals").axes[0]
    (first,) = axes.lines
    assert first.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(first.get_xdata(), [1e-10, 1e-9, 1e-8, 1e-7])
    np.testing.assert_allclose(first.get_ydata()[:-1], [5e9, np.nan, 15.0 / 9e-8])
    assert axes.get_ylim()[0] > 1e7
    with pytest.raises(FvqpError, match="nothing arrived at any wall or loss"):
        drawn(data.isel(exit=[1]), "arrivals")


@pytest.mark.parametrize(
    ("model", "kind", "dataset", "message"),
    [
        ("boltzmann", "inverse_density", xr.Dataset({"n_qp": ("temperature", [1.0])}), "of steady states"),
        ("localized", "profile", xr.Dataset({"radius": [1.0]}), "hold no generation_cell"),
        (
            "clusters",
            "phase_diagram",
            xr.Dataset(coords={"generation": [1.0], "volume": [1.0, 2.0]}),
            "several generations and volumes",
        ),
    ],
)
def test_results_without_what_a_figure_shows(
    model: str, kind: str, dataset: xr.Dataset, message: str
) -> None:
    with pytest.raises(FvqpError, match=message):
        FAMILIES[model][kind](dataset, FigureSpec(kind), Figure())
