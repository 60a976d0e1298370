"""The shipped cases of the wire of Ryan et al. (2026), with fewer points: what their page says is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvista
import xarray

import fvqp

CASES = Path(__file__).parents[2] / "cases" / "ryan2026"
pytestmark = pytest.mark.slow


def computed(name: str, *overrides: str, out: Path | None = None) -> xarray.Dataset:
    result = fvqp.run(CASES / f"{name}.toml", overrides=list(overrides), out=out)
    assert result.ledger.closes(1e-10)
    return result.dataset


def test_supercurrent_mixing() -> None:
    """Fig. 13: g_a is odd in the bias; its peaks at the gap edge shrink as the tail grows with it."""
    sizes = (0.75, 1.0, 1.3, 1.9, 2.6)
    signed = sorted(sign * size for size in sizes for sign in (-1, 1))
    biases = "sweep.V_inj=[" + ", ".join(f'"{bias} Delta0"' for bias in signed) + "]"
    data = computed("fig13", "energies.number=200", biases, "output={fields=[]}")
    g_a = data["g_a"].isel(V_det=0).sel(supercurrent=data["supercurrent"] > 0.0)
    curves = g_a.sortby("supercurrent").transpose("V_inj", "supercurrent").values
    assert curves.shape == (10, 3)
    np.testing.assert_allclose(curves, -curves[::-1], atol=1e-10 * np.abs(curves).max())
    below, peak, above, *tail = np.abs(curves[5:])
    assert np.all(peak > 2.0 * above) and np.all(peak > 50.0 * below)
    assert np.all(np.diff(peak) < 0.0)
    for beyond in (above, *tail):
        assert np.all(np.diff(beyond) > 0.0)


def test_gap_without_inelastic_scattering() -> None:
    """Fig. 11a, dashed: flat up to the gap, a sharp drop there, then a plateau."""
    biases = 'sweep.V_inj=["0 V", "0.75 Delta0", "1.25 Delta0", "2.5 Delta0", "5 Delta0"]'
    data = computed("fig11_elastic", "energies.number=200", biases, "output.every=9")
    rest, before, after, plateau, end = data["gap"].values.reshape(5, -1)[:, 0] / data.attrs["delta0_eV"]
    assert 0.98 < rest < 1.0 and rest - before < 2e-3
    assert before - after > 0.02
    assert 0.0 < after - end < 0.5 * (before - after) and plateau - end < after - plateau


def test_signal_of_the_falling_gap(tmp_path: Path) -> None:
    """Fig. 12: peaks at Δ0, little up to 3Δ0, a tail from there on; of the sign of a falling gap and odd in
    both biases, as is the map, which is computed for one sign of the detector's bias."""
    few = [
        'sweep.V_inj=["-4 Delta0", "-2 Delta0", "-1 Delta0", "1 Delta0", "2 Delta0", "4 Delta0"]',
        'sweep.V_det=["-1.2 Delta0", "0.6 Delta0", "1.2 Delta0"]',
    ]
    data = computed("fig12", *few, out=tmp_path / "out")
    mirrored, below, above = 1e9 * data["g_sa"].transpose("V_det", "V_inj").values
    gaps = data["gap"].isel(junction=0).transpose("V_det", "V_inj").values
    np.testing.assert_allclose(gaps[1:], gaps[:1].repeat(2, axis=0), rtol=1e-6)
    np.testing.assert_allclose(mirrored, -above, rtol=1e-3)
    for part in (below, above):
        np.testing.assert_allclose(part, -part[::-1], rtol=1e-6)
        peak, between, tail = part[3:]
        assert peak < 3.0 * tail < 12.0 * between < 0.0
    assert above[5] == pytest.approx(-1109.0, rel=0.01)
    assert (tmp_path / "out" / "figures" / "g_sa.png").exists()


@pytest.mark.parametrize("name", ["wire_film", "wire_3d"])
def test_fields_of_the_device(name: str, tmp_path: Path) -> None:
    """Steps of the .pvd are biases; the gap is least and the charge imbalance greatest at the injector."""
    few = ["energies.number=60", 'sweep.V_inj=["-0.6 mV", "0.6 mV"]', "spectrum.broadening=0.02"]
    computed(name, *few, out=tmp_path / "out")
    reader = pyvista.get_reader(tmp_path / "out" / "fields.pvd")
    np.testing.assert_allclose(reader.time_values, [-0.6, 0.6])
    reader.set_active_time_value(0.6)
    fields = reader.read()[0]
    names = set(fields.cell_data)
    for start in ("gap", "f_L at", "f_T at"):
        assert any(name.startswith(start) for name in names), names
    charge = next(name for name in names if "imbalance" in name or name.startswith("Q"))
    x = fields.cell_centers().points[:, 0]
    middle = 0.5 * (x.min() + x.max())
    assert abs(x[np.abs(fields[charge]).argmax()] - middle) < 1.0
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} >= {"g_ss.png"}
