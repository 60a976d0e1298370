"""Sources, pulses and gaps of bodies as functions of space and energy: exact energies, messages."""

from __future__ import annotations

import numpy as np
import pytest
from case_keys import changed
from said import Said
from scipy.special import erf
from transport_cases import FILM, SPHERE

import fvqp

SOURCE = {
    "of": "phonons",
    "centre": "2.5 Delta0",
    "width": "0.2 Delta0",
    "total_power": "1 nW",
    "profile": "exp(-((x - 2 um)/(1 um))^2)*(y > 1 um)",
    "start": "3 ns",
    "duration": "20 ns",
}
PULSED = changed(
    FILM,
    {"cross_section": {"thickness": "100 nm"}, "injections": [SOURCE], "evolution.end": "100 ns"},
)


def test_a_pulse_may_be_written_as_functions():
    """Gaussians in space and energy as functions; energies of functions are electronvolts."""
    pulse = SPHERE["initial"]["pulses"][0]
    brief = changed(SPHERE, {"evolution.end": "20 ps"})
    wanted = fvqp.run(brief).dataset
    given = {key: value for key, value in pulse.items() if key not in ("centre", "width", "size")}
    given["profile"] = "exp(-(r/(2 um))^2/2)"
    given["spectrum"] = f"exp(-((E/{wanted.attrs['delta0_eV']!r} - 2)/0.25)^2/2)"
    found = fvqp.run(changed(brief, {"initial.pulses": [given]})).dataset
    np.testing.assert_allclose(found["n_qp_cell"], wanted["n_qp_cell"], rtol=1e-10)


@pytest.mark.slow
def test_an_injected_spectrum_may_be_written_as_function():
    brief = changed(PULSED, {"evolution.end": "30 ns"})
    wanted = fvqp.run(brief).dataset
    unit = wanted.attrs["delta0_eV"]
    given = {key: value for key, value in SOURCE.items() if key not in ("centre", "width")}
    given["spectrum"] = f"exp(-((E/{unit!r} - 2.5)/0.2)^2/2)"
    found = fvqp.run(changed(brief, {"injections": [given]})).dataset
    np.testing.assert_allclose(found["energy_ph_cell"], wanted["energy_ph_cell"], rtol=1e-4)
    np.testing.assert_allclose(found["energy_injected"], wanted["energy_injected"], rtol=1e-12)


@pytest.mark.slow
def test_total_power_is_that_of_the_integral():
    """Power at the centre follows from the integral of the profile over the cells of the place."""
    density = changed(PULSED, {"injections.0.total_power": None, "injections.0.power": "1e9 W/m^3"})
    data = fvqp.run(changed(density, {"mesh.shape.nx": 60, "evolution.end": "30 ns"})).dataset
    volume = 100e-9 * 1e-6 * 1e-6 * np.sqrt(np.pi) / 2 * (erf(4.0) + erf(2.0))
    found = float(data["energy_injected"][-1] * data["cell_volume"].sum())
    np.testing.assert_allclose(found, 1e9 * volume * 20e-9, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"profile": "exp(-w)"},
            'injections[0].profile: "exp(-w)": "w" is not known (allowed: x, y, z, r, pi)',
        ),
        ({"profile": "1 um/(x - 0.5 um)^2 + log(0)"}, "injections[0].profile: "),
        ({"profile": "1 - x/(3 um)"}, 'injections[0].profile: "1 - x/(3 um)" is -0.166667 at x = 3.5e-06'),
        ({"profile": "x < 0"}, "injections[0].profile: is 0 in all cells of its place"),
        ({"size": "1 um"}, "injections[0].profile: is not used with size; give one of them"),
        ({"spectrum": "1"}, "injections[0].centre: is not used: the spectrum is a function"),
        (
            {"spectrum": "E - 1 eV", "centre": None, "width": None},
            'injections[0].spectrum: "E - 1 eV" is -',
        ),
        ({"spectrum": "0", "centre": None, "width": None}, "injections[0]: function spectrum: values must"),
        ({"time_profile": "x"}, 'injections[0].time_profile: "x": "x" is not known (allowed: t, pi)'),
        ({"time_profile": "1 - t/(1 ns)"}, 'injections[0].time_profile: "1 - t/(1 ns)" is -'),
        ({"time_profile": "1", "duration": None}, "injections[0].time_profile: needs a duration"),
    ],
)
def test_what_is_no_source_is_refused(said: Said, changes, message):
    code, text = said(PULSED, {f"injections.0.{key}": value for key, value in changes.items()})
    assert code == 2 and message in text, text


STEPPED = {"energies.lowest_gap": "0.5 Delta0", "evolution.end": "5 ns"}


def test_a_gap_as_function_is_that_of_regions():
    """A step of the gap written as function does what regions of two gaps do where phonon modes are not split
    at these gaps: on an axis that has room for others."""
    graded = STEPPED | {"energies.spacing": "graded", "energies.growth": 0.1}
    wanted = fvqp.run(changed(FILM, graded)).dataset
    varied = {"regions": None, "gap.profile": "where(x < 4 um, 1, 0.5)"}
    found = fvqp.run(changed(FILM, graded | varied)).dataset
    for name in ("gap", "n_qp_cell", "energy_ph_cell", "energy_injected"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, err_msg=name)


def test_a_varied_gap_keeps_equilibrium():
    varied = {"regions": None, "gap.profile": "1 - 0.3*exp(-((x - 3 um)/(1 um))^2)", "injections": []}
    found = fvqp.run(changed(FILM, STEPPED | varied | {"resonator": {"photon_energy": "5 GHz"}})).dataset
    assert np.ptp(found["gap"][0].values) > 0.2 * found.attrs["delta0_eV"]
    np.testing.assert_allclose(found["n_qp_cell"][-1], found["n_qp_cell"][0], rtol=1e-9)
    assert np.ptp(found["n_qp_cell"][0].values) > 0.5 * found["n_qp_cell"][0].values.max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap.profile": "x - 1 um"}, 'gap.profile: "x - 1 um" is -5e-07 at x = 5e-07'),
        (
            {"gap.profile": "3"},
            "gap.profile: makes a gap of 3 Delta0, above which energies.maximum of 3 Delta0",
        ),
        (
            {"gap.profile": "0.4", "energies.lowest_gap": "0.5 Delta0"},
            "energies.lowest_gap: is above a gap of 0.4 Delta0 by gap.profile",
        ),
        ({"gap": {"profile": "1"}}, 'gap.profile: is not used with model = "follows"'),
        (
            {"gap.profile": "1", "localization": {"capture_time": "1 ns"}},
            "gap.profile: is not used with [localization], which needs one gap",
        ),
        (
            {"gap.profile": "where(x < 1 um, 2, 1)"},
            "injections[0]: quasiparticle injection: the spectrum reaches",
        ),
    ],
)
def test_what_is_no_gap_is_refused(said: Said, changes, message):
    code, text = said(FILM, {"regions": None, **changes})
    assert code == 2 and message in text, text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"quasiparticles.walls": {"outer": {"temperature": "2 K"}}},
            "quasiparticles.walls.outer.temperature: is not used: nothing passes; give a transmission",
        ),
        (
            {"phonons.walls.outer.temperature": "2 K", "phonons.walls.outer.occupation": "1"},
            "phonons.walls.outer.occupation: is not used with temperature; give one of them",
        ),
        (
            {"quasiparticles.walls": {"outer": {"transmission": 1, "occupation": "2"}}},
            "quasiparticles.walls.outer.occupation: is 2 somewhere; f cannot exceed 1",
        ),
        (
            {"phonons.walls.outer.occupation": "log(E/(1 meV))"},
            'phonons.walls.outer.occupation: "log(E/(1 meV))" is -',
        ),
        ({"initial.pulses.0.spectrum": "1"}, "initial.pulses[0].centre: is not used with spectrum"),
        ({"initial.pulses.0.centre": None}, "initial.pulses[0].centre: missing: give it, or spectrum"),
        (
            {
                "initial.pulses.0.centre": None,
                "initial.pulses.0.width": None,
                "initial.pulses.0.spectrum": "1/(E - E)",
            },
            'initial.pulses[0].spectrum: "1/(E - E)" is inf at E = ',
        ),
    ],
)
def test_what_is_no_boundary_or_pulse_is_refused(said: Said, changes, message):
    code, text = said(SPHERE, changes)
    assert code == 2 and message in text, text
