"""The published decay against Rothwarf and Taylor, Phys. Rev. Lett. 19, 27 (1967), in SI units."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad
from scipy.special import ellipe, ellipk, kve

import fvqp
from fvqp.materials import load_material

CASE = Path(__file__).parents[2] / "cases" / "rothwarf1967" / "decay.toml"
ESCAPE = 0.5e-9
PAIR_BREAKING = 0.2528e-9  # τ0^pb that conserves energy with the phonon modes of aluminium
TOLERANCE = 1e-5


def recombination() -> float:
    """R = (2Δ/k_BT_c)³/(4 N0 Δ τ0), of ṅ = −R n², m³/s."""
    al = load_material("Al")
    ratio = 2.0 * al.gap / (constants.k * al.critical_temperature)
    return ratio**3 / (4.0 * al.dressed_density_of_states * al.gap * al.characteristic_time)


def slope(folder: Path, width: float, temperature: float, escape: float) -> float:
    """(1/n)' over the last decade of time, in R/(1 + τ_l/τ_pb).

    Args:
        folder: for the table of the first state: a Boltzmann distribution far above that of equilibrium.
        width: of the bins, Δ0.
        temperature: of quasiparticles and bath, k_BT in Δ0.
        escape: τ_l, s.
    """
    delta0 = load_material("Al").gap
    with CASE.open("rb") as file:
        case = tomllib.load(file)
    energies = np.linspace(1.0, 1.0 + 30.0 * temperature, 3001)
    rows = np.stack([energies * delta0 / constants.e, 1e-3 * np.exp((1.0 - energies) / temperature)], axis=1)
    table = folder / f"f_{width}_{temperature}.csv"
    np.savetxt(table, rows, delimiter=",", header="energy_eV,f", comments="", fmt="%.12g")
    case["initial"] = {"quasiparticles": str(table)}
    case["energies"] = {"width": width, "maximum": 1.0 + 16.0 * temperature}
    case["sweep"] = {"temperature": f"{temperature * delta0 / constants.k} K"}
    case["phonons"] = {"escape": {"time": f"{escape} s"}}
    case["evolution"] = {"start": "1 ms", "end": "10 ms", "points_per_decade": 4, "tolerance": TOLERANCE}
    case["figures"] = []
    data = fvqp.run(case).dataset.isel(temperature=0)
    late = data["time"].values > 0.0
    times, inverse = data["time"].values[late], 1.0 / data["n_qp"].values[late]
    line, residual, *_ = np.polyfit(times, inverse, 1, full=True)
    # straight while the density falls by a factor of ten
    assert np.sqrt(residual[0] / times.size) < 2e-3 * np.ptp(inverse)
    return float(line[0] * (1.0 + escape / data.attrs["tau0_pb_s"]) / recombination())


def expected(temperature: float, ratio: float) -> float:
    """Slope in R/(1 + τ_l/τ_pb) of quasiparticles at k_BT = temperature Δ0, 1 in the cold limit.

    A pair is lost if its phonon escapes before it breaks another: a part ``1/(1 + τ_l/τ_B(ω))`` of them.
    """

    def broken(w: float) -> float:
        """π τ0^pb/τ_B (Kaplan et al. 1976)."""
        m = ((w - 2.0) / (w + 2.0)) ** 2
        return (w + 2.0) * ellipe(m) - 4.0 * w / (w + 2.0) * ellipk(m)

    def lost(w: float) -> float:
        return w**2 * broken(w) * np.exp((2.0 - w) / temperature) / (1.0 + ratio * broken(w) / np.pi)

    density = kve(1, 1.0 / temperature)
    return float((1.0 + ratio) * quad(lost, 2.0, 2.0 + 40.0 * temperature)[0] / (8.0 * density**2))


def test_expected_slope_has_the_limit_of_rothwarf_and_taylor():
    for ratio in (0.0, 2.0, 50.0):
        assert expected(1e-4, ratio) == pytest.approx(1.0, abs=2e-4)
    assert expected(0.02, 0.0) == pytest.approx(1.0 + 0.02 / 2.0, abs=0.02**2)


@pytest.mark.slow
def test_decay_without_trapping(tmp_path):
    """Measured 0.01 %."""
    assert slope(tmp_path, 0.005, 0.04, 1e-12) == pytest.approx(expected(0.04, 0.0), rel=1e-3)


@pytest.mark.slow
def test_decay_with_trapped_phonons(tmp_path):
    """Measured 0.02 %; phonon points that hold modes above and below 2Δ made it 4 % here."""
    ratio = ESCAPE / PAIR_BREAKING
    assert slope(tmp_path, 0.005, 0.04, ESCAPE) == pytest.approx(expected(0.04, ratio), rel=2e-3)


def test_constant_of_aluminium():
    """2Δ² /(N0 τ0 (k_BT_c)³), about 8 µm³/s."""
    al = load_material("Al")
    other = 2.0 * al.gap**2 / (al.dressed_density_of_states * al.characteristic_time)
    other /= (constants.k * al.critical_temperature) ** 3
    assert recombination() == pytest.approx(other, rel=1e-12)
    assert recombination() * 1e18 == pytest.approx(8.1, rel=0.02)
