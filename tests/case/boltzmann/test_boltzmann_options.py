"""Every key of a Boltzmann case moves a number: a key without an entry fails, and so does one without
effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys
from kinetic_cases import DRIVEN, PULSE, STRONG
from matplotlib.image import imread
from options import Option, assert_moves, dataset, number

import fvqp
from fvqp.case.models import schema
from fvqp.errors import CaseError, ConvergenceError
from fvqp.petsc import PETSc

FILM = {"phonons": {"escape": {"thickness": "50 nm", "transmission": 0.5, "sound_velocity": "5 km/s"}}}
GRADED = {"energies": {**DRIVEN["energies"], "width": "0.05 Delta0", "spacing": "graded"}}
FOLLOWS: dict[str, Any] = {"gap": {}}
POWER = {"microwaves": [{"photon_energy": "0.2 Delta0", "absorbed_power": "10 aW/um^3"}]}
INJECTED = {
    "microwaves": [],
    "injections": [
        {"of": "quasiparticles", "centre": "2 Delta0", "width": "0.1 Delta0", "power": "10 aW/um^3"}
    ],
}
PHONONS = {"injections": [{**INJECTED["injections"][0], "of": "phonons", "centre": "3 Delta0"}]} | {
    "microwaves": []
}
WEAK = {"initial": {"pulses": [{"centre": "2 Delta0", "width": "0.2 Delta0", "energy_density": "1 uJ/cm^3"}]}}
PROBED = {"resonator": {"photon_energy": "0.1 Delta0"}}

METAL = STRONG | {"spectrum": {"model": "eliashberg", "interaction": {"metal": "Nb"}}}
CHOSEN = STRONG | {
    "spectrum": {
        "model": "eliashberg",
        "interaction": {"coupling": 1.5, "debye_energy": "10 meV", "critical_temperature": "9 K"},
    }
}

OPTIONS: dict[str, Option] = {
    "material.name": Option("Ti"),
    "material.gap": Option("200 ueV", "gap", to=200 / 180),
    "material.critical_temperature": Option("1.1 K"),
    "material.characteristic_time": Option("200 ns"),
    "material.pair_breaking_time": Option("0.1 ns"),
    "material.dressed_density_of_states": Option("2e10 1/eV/um^3"),
    "spectrum.temperature": Option("5 K", "gap", base=STRONG),
    "spectrum.renormalization": Option("energy", base=STRONG),
    "spectrum.interaction.metal": Option("Pb", base=METAL),
    "spectrum.interaction.coupling": Option(1.7, base=STRONG),
    "spectrum.interaction.debye_energy": Option("12 meV", base=STRONG),
    "spectrum.interaction.coulomb": Option(0.2, base=STRONG),
    "spectrum.interaction.critical_temperature": Option("7 K", base=CHOSEN),
    "spectrum.interaction.cutoff": Option("100 meV", base=STRONG),
    "energies.maximum": Option("3.5 Delta0", "f"),
    "energies.spacing": Option("graded", "f"),
    "energies.width": Option("0.05 Delta0", "f"),
    "energies.growth": Option(0.2, "f", GRADED),
    "energies.lowest_gap": Option("0.5 Delta0", "f"),
    "energies.phonon_maximum": Option("3 Delta0", "n"),
    "energies.rule": Option("bin"),
    "collisions.evaluation": Option("graded", "f", base=PULSE, by=0.0),
    "gap.model": Option("fixed", "gap", FOLLOWS),
    "gap.value": Option("0.8 Delta0", "gap", to=0.8),
    "phonons.model": Option("bath", around={"phonons": {}}, base=PULSE),
    "phonons.escape.time": Option("1 ns"),
    "phonons.escape.thickness": Option("200 nm", around=FILM),
    "phonons.escape.transmission": Option(0.1, around=FILM),
    "phonons.escape.sound_velocity": Option("2 km/s", around=FILM),
    "initial.temperature": Option("0.35 K", base=PULSE),
    "initial.pulses.of": Option("phonons", base=PULSE),
    "initial.pulses.centre": Option("1.8 Delta0", base=PULSE),
    "initial.pulses.width": Option("0.3 Delta0", base=PULSE),
    "initial.pulses.peak": Option(0.02, base=PULSE),
    "initial.pulses.energy_density": Option("2 uJ/cm^3", around=WEAK, base=PULSE),
    "microwaves.photon_energy": Option("10 GHz"),
    "microwaves.coupling": Option("2 Hz"),
    "microwaves.photons": Option(1e7),
    "microwaves.absorbed_power": Option("20 aW/um^3", "power_injected", POWER, to=2.0),
    "injections.of": Option("phonons", around=INJECTED),
    "injections.centre": Option("2.5 Delta0", around=PHONONS),
    "injections.width": Option("0.05 Delta0", "f", INJECTED, by=1e-6),
    "injections.power": Option("20 aW/um^3", "power_injected", PHONONS, to=2.0),
    "trapping.rate": Option("1 MHz"),
    "evolution.end": Option("200 ns", base=PULSE),
    "evolution.start": Option("20 ns", base=PULSE),
    "evolution.points_per_decade": Option(3, base=PULSE),
    "evolution.tolerance": Option(1e-3, base=PULSE, by=1e-9),
    "sweep.temperature": Option("0.3 K"),
    "sweep.strength": Option([3.0]),
    "resonator.photon_energy": Option("20 GHz", "sigma2", PROBED),
    "resonator.kinetic_inductance_fraction": Option(0.1, "inverse_quality_factor", PROBED, to=0.1),
    "resonator.thickness": Option(1.0, "frequency_shift", PROBED),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "spectrum.model",
    "spectrum.interaction.file",
    "initial.quasiparticles",
    "initial.phonons",
    "injections.file",
    "injections.total_power",
    "injections.size",
    "injections.position",
    "injections.profile",
    "injections.spectrum",
    "injections.start",
    "injections.duration",
    "injections.time_profile",
    "injections.regions",
    "microwaves.regions",
    "microwaves.start",
    "microwaves.duration",
    "microwaves.time_profile",
    "trapping.start",
    "trapping.duration",
    "trapping.time_profile",
    "trapping.regions",
    "evolution.method",
    "steady_state.tolerance",
    "steady_state.maximum_iterations",
    "solver.petsc",
    "output.rates",
    "figures.kind",
    "figures.file",
    "figures.title",
    "figures.compare",
}
"""Keys with a test of their own below."""


def case(changes: dict[str, Any] | None = None, base: dict[str, Any] = DRIVEN) -> dict[str, Any]:
    """A base case with tables replaced."""
    return changed(base, changes)


def test_every_key_has_a_test():
    assert keys(schema("boltzmann")) == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    assert_moves(key, OPTIONS[key], DRIVEN, "n_qp")


def test_title():
    assert dataset(case({"title": "driven"})).attrs["title"] == "driven"


def test_model():
    with pytest.raises(CaseError, match='expected "usadel"'):
        fvqp.run(case({"model": "boltzman"}))


def test_spectra_from_files(tmp_path):
    """Occupations at the start are those of the tables, linear between their rows and 0 beyond."""
    f, n = tmp_path / "f.csv", tmp_path / "n.csv"
    f.write_text("energy_eV,f\n1e-4,0.5\n3e-4,0.1\n")
    n.write_text("omega_eV,n\n0.5e-4,2\n4e-4,0\n")
    initial = {"quasiparticles": str(f), "phonons": str(n)}
    data = fvqp.run(case({"initial": initial}, PULSE)).dataset.isel(temperature=0, time=0)
    energy, omega = data["energy"].values, data["omega"].values
    np.testing.assert_allclose(
        data["f"].values, np.interp(energy, [1e-4, 3e-4], [0.5, 0.1], left=0.0, right=0.0), rtol=1e-12
    )
    np.testing.assert_allclose(
        data["n"].values, np.interp(omega, [0.5e-4, 4e-4], [2.0, 0.0], left=0.0, right=0.0), rtol=1e-12
    )


@pytest.mark.parametrize("of", ["quasiparticles", "phonons"])
def test_injection_from_a_file(of, tmp_path):
    """A table with the points of a Gaussian injects what the Gaussian does; two triangles do not."""
    gaussian = INJECTED["injections"][0] | {"of": of, "centre": "2.5 Delta0", "width": "0.1 Delta0"}
    expected = fvqp.run(case(INJECTED | {"injections": [gaussian]})).dataset
    delta0 = expected.attrs["delta0_eV"]
    energy = np.linspace(2.0, 3.0, 400) * delta0
    table = tmp_path / "injected.csv"
    rows = np.column_stack([energy, np.exp(-0.5 * ((energy / delta0 - 2.5) / 0.1) ** 2)])
    np.savetxt(table, rows, delimiter=",", header="energy_eV,particles", comments="")
    from_file = {"of": of, "file": str(table), "power": gaussian["power"]}
    found = fvqp.run(case(INJECTED | {"injections": [from_file]})).dataset
    for name in ("f", "n", "power_injected", "eta_pb"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)
    table.write_text(f"energy_eV,particles\n{1.5 * delta0},0\n{2 * delta0},1\n{3 * delta0},0\n")
    other = fvqp.run(case(INJECTED | {"injections": [from_file]})).dataset
    assert np.abs(other["f"] / expected["f"] - 1.0).max() > 1e-3
    np.testing.assert_allclose(other["power_injected"], expected["power_injected"], rtol=1e-4)


@pytest.mark.slow
def test_tolerance_of_steady_states():
    with pytest.raises(ConvergenceError, match="gain and loss differ by"):
        fvqp.run(case({"steady_state": {"tolerance": 1e-19}}))


def test_maximum_iterations():
    with pytest.raises(ConvergenceError, match="no steady state after 2 steps"):
        fvqp.run(case({"steady_state": {"maximum_iterations": 2}}))


def test_rates_are_stored_if_wanted():
    names = {"rate_scattering", "rate_recombination", "rate_pair_breaking", "rate_absorption"}
    assert names.isdisjoint(dataset(case()))
    stored = dataset(case({"output": {"rates": True}}))
    assert names <= set(stored)
    assert np.nanmin(stored["rate_recombination"].values) > 0.0


@pytest.mark.slow
def test_figures(tmp_path):
    figures = [
        {"kind": "density"},
        {"kind": "distribution"},
        {"kind": "distribution", "file": "compared.png", "compare": "analytic"},
        {"kind": "distribution", "file": "named.png", "title": "Another title"},
    ]
    result = fvqp.run(case({"figures": figures}), out=tmp_path / "out")
    assert result.folder is not None
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    assert set(drawn) == {"density", "distribution", "compared", "named"}
    for one in ("density", "compared", "named"):
        other = drawn["distribution"]
        assert drawn[one].shape != other.shape or np.any(drawn[one] != other)


# -- options of PETSc ------------------------------------------------------------------------------------


def petsc(options: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return case({"solver": {"petsc": options}}, base)


@pytest.mark.slow
def test_petsc_options_reach_the_solvers(tmp_path):
    plain = number(case(base=PULSE), "n_qp")
    shorter = fvqp.run(petsc({"ts_ts_adapt_safety": 0.3}, PULSE)).dataset["n_qp"].values.ravel()
    assert 0.0 < np.abs(shorter / plain - 1.0).max() < 1e-3
    for key in ("steady_snes_monitor", "steady_linear_ksp_monitor"):
        fvqp.run(petsc({key: f"ascii:{tmp_path / key}"}, DRIVEN))
        assert "norm" in (tmp_path / key).read_text().lower()


def test_petsc_options_end_with_the_run():
    before = PETSc.Options("fvqp_").getAll()
    fvqp.check(petsc({"ts_ts_max_snes_failures": -1}, PULSE))
    fvqp.run(case())
    assert PETSc.Options("fvqp_").getAll() == before


@pytest.mark.parametrize(
    ("options", "base", "message"),
    [
        ({"ksp_rtol": 1e-3}, DRIVEN, r"solver\.petsc\.ksp_rtol: reaches no solver; they start with ts_ts_"),
        ({"ts_ts_max_reject": 3}, DRIVEN, r"ts_ts_max_reject: not used: it reaches \[evolution\]"),
        ({"steady_snes_lag_jacobian": 3}, PULSE, r"not used: it reaches \[steady_state\]"),
        ({"ts_ts_adapt_clap": 3}, PULSE, r"ts_ts_adapt_clap: not used: no solver of this case reads it"),
        ({"steady_snes_mox_it": 3}, DRIVEN, r"steady_snes_mox_it: not used: no solver of this case"),
        ({"ts_ts_type": "cn"}, PULSE, r"ts_ts_type: evolution\.method says it"),
        ({"ts_linear_ksp_rtol": 1e-3}, PULSE, r"ts_linear_ksp_rtol: chosen anew in every solve"),
        ({"ts_ts_adapt_safety": 5}, PULSE, r"PETSc refuses ts_ts_adapt_safety: Safety factor"),
    ],
)
def test_petsc_options_that_reach_nothing(options, base, message):
    with pytest.raises(CaseError, match=message):
        fvqp.check(petsc(options, base))
