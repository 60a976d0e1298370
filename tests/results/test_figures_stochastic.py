"""Figures of localized quasiparticles and of clusters: no curve hides another or lies under a legend."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fvqp.results.figures import FAMILIES, FigureSpec


def concentrations(radii: list[float], *names: str) -> xr.Dataset:
    """Concentrations that grow more slowly than the square root of the rate of generation."""
    generation = 1e18 * np.logspace(-7, -1, 7)
    dims = ("radius", "spin", "generation")
    values = np.array(radii)[:, None, None] ** -2.0 * 1e5 * np.sqrt(generation / generation[-1]) ** 0.4
    data = {name: (dims, values * np.ones((1, 1, 7))) for name in names}
    coords = {"radius": radii, "spin": ["none"], "generation": generation}
    mean_field = (dims, 1e16 * np.sqrt(generation / generation[-1]) * np.ones((len(radii), 1, 1)))
    return xr.Dataset(data | {"concentration_mean_field": mean_field}, coords, {"pairs": "tail_states"})


def test_legend_of_concentrations_hides_no_point() -> None:
    data = concentrations(
        [0.8e-7, 1.6e-7, 3.1e-7], "concentration", "concentration_error", "concentration_law"
    )
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    FAMILIES["localized"]["concentration"](data, FigureSpec("concentration"), figure)
    canvas.draw()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    points = np.concatenate([line.get_xydata() for line in axes.lines if len(line.get_xydata())])
    assert not any(box.contains(*at) for at in axes.transData.transform(points))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("concentration", "concentration_error"), ["mean field", "simulation"]),
        (("concentration_law",), ["law of annihilation", "mean field"]),
    ],
)
def test_a_single_curve_of_concentrations_is_named(names: tuple[str, ...], said: list[str]) -> None:
    figure = Figure()
    FAMILIES["localized"]["concentration"](
        concentrations([1e-7], *names), FigureSpec("concentration"), figure
    )
    assert sorted(figure.axes[0].get_legend_handles_labels()[1]) == said


def test_equal_noise_of_quantum_and_ising_spins_can_be_seen() -> None:
    dims = ("spin", "equation", "generation", "volume", "frequency")
    values = np.ones((2, 1, 1, 1, 3)) / np.array([1.0, 10.0, 100.0])
    coords = {"spin": ["quantum", "ising"], "equation": ["master"], "generation": [1e21], "volume": [1e-18]}
    data = xr.Dataset({"S_flux_one_sided": (dims, values)}, coords | {"frequency": [1.0, 10.0, 100.0]})
    figure = Figure()
    FAMILIES["clusters"]["noise"](data, FigureSpec("noise"), figure)
    below, above = figure.axes[0].lines
    assert below.get_zorder() == above.get_zorder() and below.get_linewidth() > 2 * above.get_linewidth()
