"""Orders, differences and tables of convergence, of results whose orders are known."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot

from fvqp.errors import FvqpError
from fvqp.results import Result
from fvqp.results.convergence import Convergence, observed_order, order_of, spacings


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("h", [(1.0, 0.5, 0.25), (1.0, 0.7, 0.1), (3.0, 2.0, 1.0)])
def test_orders_of_powers(order, h):
    h = np.array(h)
    u = 5.0 - 3.0 * h**order
    assert observed_order(h, u[0] - u[1], u[1] - u[2]) == pytest.approx(order, rel=1e-8)


def test_no_order():
    h = np.array([1.0, 0.5, 0.25])
    assert np.isnan(observed_order(h, 1.0, -0.25))  # to and fro
    assert np.isnan(observed_order(h, 1.0, 2.0))  # apart
    assert np.isnan(observed_order(h, 1.0, np.nan))
    assert np.isnan(order_of(h, np.array([[1.0], [1.0 + 1e-15], [1.0 + 1.1e-15]])))  # rounding


def test_sizes_of_discretizations():
    np.testing.assert_array_equal(spacings(np.array([4, 8])), [0.25, 0.125])
    np.testing.assert_array_equal(spacings(np.array([0.2, 0.1])), [0.2, 0.1])
    assert spacings(np.array([1.0, 2.0, 1.5])) is None
    assert spacings(np.array(["a", "b"], dtype=object)) is None


@pytest.fixture
def study():
    cells, strength = np.array([10.0, 20.0, 40.0, 80.0]), np.array([1.0, 2.0])
    time = np.linspace(0.0, 1.0, 5)
    density = 2.0 + 8.0 / cells[:, None] ** 2 + 0.0 * strength
    curve = np.exp(-time) * (1.0 + 1.0 / cells[:, None, None]) + 0.0 * strength[:, None]
    dims = ("mesh.shape.nx", "strength")
    data = xr.Dataset({"n_qp": (dims, density, {"units": "m-3"}), "f": ((*dims, "time"), curve)})
    data = data.assign_coords({dims[0]: (dims[0], cells, {"units": "1"}), "strength": strength, "time": time})
    data["completed"] = (dims, np.ones((4, 2), dtype=np.int8))
    return data


def test_table(study):
    rows = Convergence(study).rows
    assert {one.key for one in rows} == {"mesh.shape.nx"}  # nothing depends on the strength
    density = [one for one in rows if one.quantity == "n_qp"]
    assert [one.at for one in density] == ["10", "20", "40", "80"]
    assert [one.difference for one in density] == pytest.approx([0.07875, 0.01875, 0.00375, 0.0])
    assert density[-1].order == pytest.approx(2.0) and np.isnan(density[1].order)
    curves = [one for one in rows if one.quantity == "f"]
    assert curves[-1].order == pytest.approx(1.0) and curves[-1].curve
    assert curves[0].relative == pytest.approx((0.1 - 1 / 80) / (1 + 1 / 80))
    text = str(Convergence(study))
    assert "mesh.shape.nx, with strength at the last value\n" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["40", "2.005", "0.00375", "1.87e-03", "2.00"] in lines
    assert ["80", "2.00125", "0", "0.00e+00", "2.00"] in lines
    assert ["f*", "1", "10", "1.1", "0.0875", "8.64e-02"] in lines and "* a curve: " in text
    head, first, *_ = Convergence(study, ["n_qp"]).csv().splitlines()
    assert head == "key,at,quantity,units,kind,value,difference,relative,order"
    assert first == "mesh.shape.nx,10,n_qp,m-3,number,2.08,0.07875,0.039350406,nan"


def test_failed_runs_are_shown(study):
    study["n_qp"][1] = np.nan
    rows = [one for one in Convergence(study, ["n_qp"]).rows if one.key == "mesh.shape.nx"]
    assert np.isnan(rows[1].value) and np.isnan(rows[2].order) and rows[0].difference > 0.0
    assert "failed" in str(Convergence(study))


def test_figure(study, tmp_path):
    study.attrs |= {"model": "study", "format_version": 1, "figures": "[]", "title": "Cells"}
    result = Result(study, tmp_path)
    (axes,) = result.plot("convergence")
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_xlabel() == "mesh.shape.nx"
    shown = {line.get_label(): line for line in axes.lines}
    assert set(shown) == {"f, order 1", "$n_\\mathrm{qp}$, order 2"}
    np.testing.assert_array_equal(shown["f, order 1"].get_xdata(), [10, 20, 40])
    assert shown["$n_\\mathrm{qp}$, order 2"].get_ydata()[0] == pytest.approx(0.039350406)
    pyplot.close("all")
    assert [file.name for file in result.save_figures(kind="convergence", formats=["csv"])] == [
        "convergence.csv"
    ]
    with pytest.raises(FvqpError, match="no key with three values along which a quantity changes"):
        Result(study.isel({"mesh.shape.nx": [0, 1]})).plot("convergence")


def test_only_studies_converge():
    with pytest.raises(FvqpError, match="convergence is that of a study of several runs; this is"):
        Result(xr.Dataset(attrs={"model": "usadel"})).convergence()


def test_unknown_quantity(study):
    with pytest.raises(FvqpError, match="the study holds no quantity x_qp; it holds: n_qp, f"):
        Convergence(study, ["x_qp"])
