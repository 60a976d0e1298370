"""Symmetry parts of computed and of measured conductances."""

import numpy as np
import pytest
import xarray as xr

from fvqp.errors import FvqpError
from fvqp.results import measured_parts, symmetry_parts
from fvqp.results.measured import errors_of_parts, read_measured, write_parts

BIAS = np.linspace(-1.0, 1.0, 11)
CURRENT = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


def conductance(current, bias):
    """Bilinear in |bias| pieces: every linear interpolation between its grid points is exact where used."""
    i, v = np.broadcast_arrays(current, bias)
    return 1.0 + 0.5 * np.abs(v) + 0.3 * v + 0.2 * i * np.abs(v) + 0.1 * i * v


def table(current, bias):
    return xr.DataArray(
        conductance(current[:, None], bias),
        dims=("supercurrent", "V_inj"),
        coords={"supercurrent": current, "V_inj": bias},
        name="g_nl",
    )


def test_parts_by_equations_16_to_19():
    parts = symmetry_parts(table(CURRENT, BIAS))
    i, v = CURRENT[:, None], BIAS
    np.testing.assert_allclose(parts["g_a"], 0.2 * i * np.abs(v) + 0.1 * i * v, atol=1e-15)
    np.testing.assert_allclose(parts["g_s"], 1 + 0.5 * np.abs(v) + 0.3 * v + 0 * i, atol=1e-15)
    np.testing.assert_allclose(parts["g_ss"], 1 + 0.5 * np.abs(v) + 0 * i, atol=1e-15)
    np.testing.assert_allclose(parts["g_sa"], 0.3 * v + 0 * i, atol=1e-15)
    np.testing.assert_array_equal(parts["g_ss"].values, parts["g_ss"].values[:, ::-1])
    np.testing.assert_array_equal(parts["g_a"].values, -parts["g_a"].values[::-1])
    assert parts["g_ss"].attrs["units"] == "S"


def test_any_order_of_the_sweep():
    shuffled = table(CURRENT, BIAS).isel(
        V_inj=np.random.default_rng(1).permutation(11), supercurrent=[3, 0, 2, 4, 1]
    )
    xr.testing.assert_allclose(
        symmetry_parts(shuffled).sortby(["supercurrent", "V_inj"]), symmetry_parts(table(CURRENT, BIAS))
    )


def test_unequal_grids_are_interpolated_symmetrically():
    bias = np.array([-1.0, -0.55, -0.2, 0.0, 0.3, 0.8])
    current = np.array([-2.0, -0.5, 0.0, 1.0, 3.0])
    parts = symmetry_parts(table(current, bias))
    v = parts["V_inj"].values
    np.testing.assert_array_equal(v, -v[::-1])
    assert v.max() == 0.8 and parts["supercurrent"].max() == 2.0
    np.testing.assert_allclose(
        parts["g_ss"], (1 + 0.5 * np.abs(v)) * np.ones((len(parts["supercurrent"]), 1)), rtol=1e-14
    )


def test_without_supercurrent_there_is_no_odd_part():
    parts = symmetry_parts(table(CURRENT, BIAS).sel(supercurrent=0.0, drop=True))
    assert set(parts) == {"g_s", "g_ss", "g_sa"}


def test_one_sign_of_the_supercurrent_where_nothing_is_odd():
    even = table(CURRENT[2:], BIAS)
    even.values -= 0.2 * CURRENT[2:, None] * np.abs(BIAS)
    parts = symmetry_parts(even, even_in_supercurrent=True)
    assert set(parts) == {"g_s", "g_ss", "g_sa"} and parts["g_ss"].sizes["supercurrent"] == 3
    np.testing.assert_allclose(parts["g_ss"], 1 + 0.5 * np.abs(BIAS) + np.zeros((3, 1)), atol=1e-15)


def test_one_sign_is_not_enough():
    with pytest.raises(FvqpError, match="both signs of V_inj"):
        symmetry_parts(table(CURRENT, BIAS[5:]))
    with pytest.raises(FvqpError, match="both signs of supercurrent"):
        symmetry_parts(table(CURRENT[2:], BIAS))
    with pytest.raises(FvqpError, match="V_inj"):
        symmetry_parts(table(CURRENT, BIAS).isel(V_inj=0, drop=True))


def write_csv(path, rows, header="V_inj (mV), supercurrent [uA], comment, g_nl (nS)"):
    lines = ["# measured at 24 mK", header]
    lines += [f"{v!r}, {i!r}, x, {g!r}" for i, v, g in rows]
    path.write_text("\n".join(lines) + "\n")


def test_measured_table(tmp_path):
    rows = []
    for number, i in enumerate(CURRENT):
        # Every curve has its own biases; zero is in all, because the conductance has a corner there.
        bias = np.unique(np.concatenate([np.linspace(-1.0, 1.0 + 0.1 * number, 9 + number), [0.0]]))
        rows += [(i, v, conductance(i, v)) for v in bias] + [(i, 0.0, conductance(i, 0.0))]
    write_csv(tmp_path / "data.csv", np.random.default_rng(2).permutation(rows).tolist())
    parts = measured_parts(tmp_path / "data.csv")
    v, i = parts["V_inj"].values / 1e-3, parts["supercurrent"].values[:, None] / 1e-6
    assert v.max() == pytest.approx(1.0)
    np.testing.assert_allclose(parts["g_ss"], 1e-9 * (1 + 0.5 * np.abs(v) + 0 * i), rtol=1e-12)
    np.testing.assert_allclose(parts["g_a"], 1e-9 * (0.2 * i * np.abs(v) + 0.1 * i * v), atol=1e-21)
    write_parts(parts, tmp_path / "out.csv")
    header = (tmp_path / "out.csv").read_text().splitlines()[0].split(",")
    assert "V_inj (V)" in header and "g_a (S)" in header
    back = np.loadtxt(tmp_path / "out.csv", delimiter=",", skiprows=1)
    assert back.shape == (parts["g_a"].size, len(header))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("V_inj,g\n1,2\n", "no column g_nl"),
        ("V_inj (mV);g_nl (nS)\n-1,5;2\n1,5;2\n", "separated by semicolons; separate them by commas"),
        ("V_inj\tg_nl\n-1\t2\n1\t2\n", "separated by tabs"),
        ("V_inj (um), g_nl\n1,2\n", "column V_inj"),
        ("V_inj,g_nl\n1,x\n", "line 2"),
        ("V_inj,g_nl\n1\n", "line 2: 1 entries"),
        ("V_inj,g_nl\n\n1,nan\n", "line 3: a value is not finite"),
        ("V_inj,g_nl,g_nl\n1,2,3\n", "two columns"),
        ("V_inj,g_nl\n1," + "x" * 200_000 + "\n", "line 2: field larger than field limit"),
        ("V_inj,g_nl," + "x" * 200_000 + "\n1,2,3\n", "line 1: field larger than field limit"),
        ("V_inj,g_nl\n1," + "x" * 90_000 + "\n", 'line 2: expected numbers, got "1, x'),
        ('V_inj,g_nl\n1,"2\n2,3\n', "in quotes has no end on its line"),
        ("V_inj,g_nl\n", "lines of numbers"),
        ("V_inj,g_nl\n1,2\n2,3\n", "both signs"),
        ("V_inj,g_nl\n1,2\n", "at least 2"),
        ("V_inj,supercurrent,g_nl\n1,0,2\n-1,0,2\n1,1,2\n-1,1,2\n", "both signs of supercurrent"),
    ],
)
def test_unusable_tables(tmp_path, text, reason):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(FvqpError, match=reason) as caught:
        measured_parts(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_table(tmp_path):
    with pytest.raises(FvqpError, match="no such file"):
        read_measured(tmp_path / "none.csv")


def test_errors_of_parts(tmp_path):
    """Of a linear map of independent values: the root of the sum of squares of what each point does."""
    currents, biases = [-1.0, 0.0, 1.0], [-0.4, -0.1, 0.0, 0.1, 0.4]
    points = [(i, v) for i in currents for v in biases] + [(1.0, 0.4)]  # one of them twice
    errors = np.random.default_rng(2).uniform(0.5, 2.0, len(points))

    def written(values):
        path = tmp_path / "data.csv"
        rows = [f"{i},{v},{y!r},{e!r}" for (i, v), y, e in zip(points, values.tolist(), errors, strict=True)]
        path.write_text("\n".join(["supercurrent, V_inj, g_nl, g_nl_error", *rows]))
        return path

    squares = 0.0
    for number, error in enumerate(errors):
        one = np.zeros(len(points))
        one[number] = error
        squares = squares + measured_parts(written(one)) ** 2
    found = errors_of_parts(written(np.zeros(len(points))))
    assert set(found) == {"g_a", "g_s", "g_ss", "g_sa"}
    for name in found:
        np.testing.assert_allclose(
            found[name], np.sqrt(squares[name].transpose(*found[name].dims)), rtol=1e-12
        )
    assert np.all(found["g_sa"].sel(V_inj=0.0) == 0.0) and np.all(found["g_a"].sel(supercurrent=0.0) == 0.0)


@pytest.mark.parametrize(
    "rows",
    [
        "-0.4,1,1\n-0.2,1,1\n0.1,1,1\n0.4,1,1",  # not mirrored
        "0,-0.4,1,1\n0,0.4,1,1\n1,-0.3,1,1\n1,0.3,1,1\n-1,-0.3,1,1\n-1,0.3,1,1",  # curves of other biases
    ],
)
def test_errors_of_interpolated_points_are_refused(tmp_path, rows):
    path = tmp_path / "data.csv"
    names = "V_inj, g_nl, g_nl_error" if rows.startswith("-") else "supercurrent, V_inj, g_nl, g_nl_error"
    path.write_text(f"{names}\n{rows}\n")
    with pytest.raises(FvqpError, match="g_nl_error: parts of interpolated points"):
        errors_of_parts(path)
