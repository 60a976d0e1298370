"""Comparison of results with one another and with data, where the differences are known."""

import numpy as np
import pytest

import fvqp
from fvqp import cli
from fvqp.errors import FvqpError
from fvqp.results import SweepDataset
from fvqp.results.figures.comparisons import comparison_figure


def result(folder, biases, slope=1.0, cells=4, shift=0.0):
    """A folder with a conductance linear in the bias, and a gap in cells of a line."""
    x = (np.arange(cells) + 0.5) / cells * 1e-6
    place = {"x": (("cell",), x), "y": (("cell",), 0.0 * x), "z": (("cell",), 0.0 * x)}
    data = SweepDataset({"V_inj": biases}, {"cell": (("cell",), np.arange(cells)), **place})
    data.define("gap", ("cell",))
    for number, bias in enumerate(biases):
        data.record((number,), g_nl=slope * 1e-6 * bias + shift, gap=1e-4 * (1.0 + x / 1e-6))
    folder.mkdir()
    data.write(folder / "results.nc")
    return folder


def test_same_points(tmp_path):
    biases = np.linspace(0.0, 1e-3, 5)
    found = fvqp.compare(result(tmp_path / "a", biases), result(tmp_path / "b", biases, shift=2e-11))
    second, first = found.differences
    assert (first.name, first.units, first.how, first.points) == ("g_nl", "S", "same points", 5)
    assert first.largest == pytest.approx(2e-11) and first.rms == pytest.approx(2e-11)
    assert first.size == pytest.approx(1e-9)
    assert second.name == "gap" and second.largest == 0.0


def test_interpolation(tmp_path):
    """Linear functions are met exactly, in the range that both have."""
    a = result(tmp_path / "a", np.linspace(0.0, 1e-3, 5))
    b = result(tmp_path / "b", np.linspace(-1e-3, 6e-4, 9), slope=1.1, cells=7)
    gap, g = fvqp.compare(a, b).differences
    assert g.how == "linear in V_inj" and g.points == 3  # 0, 0.25 and 0.5 mV
    assert g.largest == pytest.approx(0.1 * 1e-6 * 5e-4, rel=1e-9)
    assert g.rms == pytest.approx(0.1 * 1e-6 * 5e-4 * np.sqrt((0.25 + 1.0) / 3.0), rel=1e-9)
    assert gap.how == "linear in V_inj, linear in x" and gap.largest == pytest.approx(0.0, abs=1e-15)


def test_shells(tmp_path):
    """Profiles over the radius, linear in it, of other shells."""
    for name, shells in (("a", 4), ("b", 7)):
        radius = (np.arange(shells) + 0.5) / shells
        data = SweepDataset({"time": [0.0, 1.0]}, {"radius_cell": (("cell",), radius)})
        data.define("n_qp_cell", ("cell",), "m-3", "density")
        for number in range(2):
            data.record((number,), n_qp_cell=1.0 + radius * (1.0 if name == "a" else 1.1))
        (tmp_path / name).mkdir()
        data.write(tmp_path / name / "results.nc")
    (found,) = fvqp.compare(tmp_path / "a", tmp_path / "b").differences
    assert found.how == "linear in radius_cell" and found.points == 8
    assert found.largest == pytest.approx(0.1 * 7 / 8, rel=1e-9)


def test_table_and_figure(tmp_path, capsys):
    biases = np.linspace(0.0, 1e-3, 5)
    a, b = result(tmp_path / "a", biases), result(tmp_path / "b", biases, shift=2e-11)
    to = tmp_path / "figures"
    arguments = ["compare", str(a), str(b), "--to", str(to), "--format", "pdf", "--format", "csv"]
    assert cli.main([*arguments, "--for", "g_nl"]) == 0
    head, names, row, *files = capsys.readouterr().out.splitlines()
    assert head == "b less a" and names.split()[:3] == ["quantity", "units", "size"]
    assert row.split() == ["g_nl", "S", "1e-09", "2e-11", "2e-11", "2.00e-02", "5", "same", "points"]
    assert files == [str(to / "comparison.pdf"), str(to / "comparison.csv")]
    lines = [line.split(",") for line in (to / "comparison.csv").read_text().splitlines()[1:]]
    assert [line[2] for line in lines] == 5 * ["a"] + 5 * ["b"]
    assert [float(line[6]) for line in lines if line[2] == "b"] == pytest.approx(
        [0.02, 0.27, 0.52, 0.77, 1.02]
    )


def test_data(tmp_path, capsys):
    a = result(tmp_path / "a", np.linspace(0.0, 1e-3, 5))
    data = tmp_path / "data.csv"
    data.write_text(
        "# a comment\nV_inj (mV), g_nl (nS), note\n0.1, 0.11, 1\n0.3, 0.3, 1\n0.6, 0.58, 1\n2.0, 5, 1\n"
    )
    (found,) = fvqp.compare(a, data).differences
    assert found.points == 3 and found.how == "points of the data, linear in V_inj"
    assert found.largest == pytest.approx(2e-11) and found.rms == pytest.approx(1e-11 * np.sqrt(5.0 / 3.0))
    from matplotlib.figure import Figure

    axes = comparison_figure(fvqp.compare(a, data), Figure()).axes[0]
    assert [line.get_label() for line in axes.lines] == ["a", "data.csv"]
    assert axes.lines[1].get_ydata() == pytest.approx([0.11, 0.3, 0.58, 5.0])
    b = result(tmp_path / "b", np.linspace(0.0, 1e-3, 3))
    assert cli.main(["compare", str(a), str(b), str(data), "--for", "g_nl"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if " less " in line]
    assert heads == ["b less a", "data.csv less a", "data.csv less b"]


def test_messages(tmp_path, capsys):
    biases = np.linspace(0.0, 1e-3, 5)
    a, b = result(tmp_path / "a", biases), result(tmp_path / "b", biases + 1.0, cells=5)
    found = fvqp.compare(a, b)
    assert not found.differences
    assert "not compared, the ranges of V_inj have nothing in common: gap, g_nl" in str(found)
    with pytest.raises(FvqpError, match="a and b do not both hold x_qp; both hold: gap, g_nl"):
        fvqp.compare(a, b, ["x_qp"])
    with pytest.raises(FvqpError, match="g_nl: the ranges of V_inj have nothing in common"):
        fvqp.compare(a, b, ["g_nl"])
    data = tmp_path / "data.csv"
    for text, message in (
        ("", "expected a line of column names"),
        ("a,b\n1,2\n", "no column is called as a quantity of a; it holds: "),
        ("V_inj,g_nl\n1,x\n", "line 2: expected numbers"),
        ("V_inj,g_nl\n1,nan\n", "line 2: a value is not finite"),
        ("V_inj;g_nl\n1;2\n", "its columns are separated by semicolons"),
        ("V_inj (K),g_nl\n1,2\n", "expected a V_inj"),
        ("V_inj,V_inj\n1,2\n", "two columns are named V_inj"),
        ("V_inj,gap\n1,2\n", "gap: the data have no column cell"),
        ("V_inj,g_nl\n1,2\n", "g_nl: no point of one lies in the range of the other"),
    ):
        data.write_text(text)
        with pytest.raises(FvqpError, match=message):
            fvqp.compare(a, data)
    assert cli.main(["compare", str(a), str(b), "--format", "pdf"]) == 2
    assert "--format: is that of the figure; say with --to where it goes" in capsys.readouterr().err
    assert cli.main(["compare", str(a), str(tmp_path)]) == 2
    assert cli.main(["compare", str(a), str(tmp_path / "no.csv")]) == 2
