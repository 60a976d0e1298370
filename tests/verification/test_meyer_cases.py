"""The shipped cases after Meyer, Houzet and Nazarov (2020): what their README says to look for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fvqp

CASES = Path(__file__).parents[2] / "cases" / "meyer2020"

pytestmark = pytest.mark.slow


def test_a_trap_that_fills_up() -> None:
    """Unpolarized quasiparticles first, then a random walk of the spin, then the stationary state."""
    found = fvqp.run(CASES / "relaxation.toml").dataset.isel(spin=0, generation=0, volume=0)
    master, simplified, random = (found.isel(equation=row) for row in range(3))
    time, number = found["time"].values, master["N_mean_evolution"].values
    polarization = master["polarization_evolution"].values
    injection = 1000.0
    early = time < 3e-4
    np.testing.assert_allclose(number[early], injection * time[early], rtol=0.02)
    least = int(np.argmin(polarization))
    unpolarized = np.sqrt(2.0 * injection / 18.0)
    assert 0.5 < time[least] / (unpolarized / injection) < 2.0 and 0.7 < number[least] / unpolarized < 1.1
    # <N²> = 3AVt while the walk is free; the mean of that Maxwellian is (8/3π)^(1/2) of the root.
    free = (time > 0.02) & (time < 0.1)
    square = simplified["N_variance_evolution"].values + simplified["N_mean_evolution"].values ** 2
    growth = np.polyfit(time[free], square[free], 1)[0]
    assert growth == pytest.approx(3.0 * injection, rel=0.1)
    # Random trajectories: no systematic difference, and the scatter that their errors say.
    deviation = (random["N_mean_evolution"].values - number) / random["N_mean_error_evolution"].values
    assert abs(deviation.mean()) < 2.0 and np.abs(deviation).max() < 4.5
    assert number[-1] == pytest.approx(float(master["N_mean"]), rel=1e-4)
    np.testing.assert_allclose(master["P_evolution"].values[-1], master["P"].values, atol=1e-5)
    assert float(master["lost_evolution"]) < 1e-10
    # What is left in the end falls at the slowest rate.
    left = float(master["N_mean"]) - number
    late = (time > 4.0) & (time < 9.0)
    slope = -np.polyfit(time[late], np.log(left[late]), 1)[0]
    assert slope == pytest.approx(float(master["relaxation_rate"][0]), rel=0.01)
