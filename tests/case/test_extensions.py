"""Processes, boundary conditions, observables and materials of one's own: each is one class, or one file."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import numpy as np
import pytest
from case_keys import changed
from extensions import Added, added_file, registering  # noqa: F401
from run_cases import line
from scipy import constants
from scipy.integrate import quad
from transport_cases import FILM

import fvqp
from fvqp.case import case_from_dict, load_case
from fvqp.case.boltzmann.recording import BoltzmannRecorder
from fvqp.case.models import result_names
from fvqp.case.quantities import Time
from fvqp.collisions import ConstantTrapping
from fvqp.errors import CaseError
from fvqp.results import open_result
from fvqp.transport.walls import Wall

pytestmark = pytest.mark.usefixtures("registering")

SHORT = {"evolution.end": "5 ns", "evolution.start": "1 ns", "evolution.points_per_decade": 2}
EMPTYING = SHORT | {
    "injections": [],
    "collisions": {"inelastic": False},
    "regions": {},
    "quasiparticles": {},
    "bath.temperature": "0.05 K",
    "initial.pulses": [{"centre": "1.9 Delta0", "width": "0.3 Delta0", "peak": 1e-4}],
    "evolution.tolerance": 1e-3,
}
"""Quasiparticles that neither move nor collide."""


class MeanEnergy(fvqp.BoltzmannObservable):
    name, units, long_name = "mean_energy", "eV", "mean energy of a quasiparticle"

    def compute(self, at: Any) -> float:
        number, energy = at.spectra.f, at.problem.grid.energies
        return float(number @ energy / number.sum() * at.units.energy / constants.e)


class Region(fvqp.BoltzmannObservable):
    name, units, long_name, dims = "density_again", "m-3", "density of quasiparticles", ("cell",)

    def compute(self, at: Any) -> Any:
        return at.density * at.units.density


class Drain(fvqp.ProcessTable):
    """Quasiparticles leave after a time."""

    name = "drains"
    sink = True
    time: Time

    def build(self, site: Any) -> Any:
        return ConstantTrapping(site.grid, site.within[:, None] * site.units.time / self.time)


class Half(fvqp.BoundaryTable):
    """Half of the particles leave."""

    name = "half"

    def wall(self, site: Any) -> Wall:
        return Wall(transmission=0.5, bath=site.bath)


def run(changes: dict[str, Any], **more: Any) -> Any:
    return fvqp.run(changed(FILM, EMPTYING | changes), **more).dataset


def decay(data: Any, name: str = "n_qp") -> np.ndarray:
    return np.log(data[name].values[0] / data[name].values[1:])


# -- files beside those of fvqp


def test_a_file_in_the_package_is_an_observable(added_file: Added) -> None:  # noqa: F811
    added_file(
        "fvqp.case.boltzmann.observables",
        """
        from fvqp import BoltzmannObservable

        class Doubled(BoltzmannObservable):
            name, units, long_name = "twice_n_qp", "m-3", "twice the density of quasiparticles"

            def compute(self, at):
                return 2.0 * at.spectra.f.sum() * at.units.density
        """,
    )
    data = run({})
    np.testing.assert_allclose(data["twice_n_qp"], 2.0 * data["n_qp"], rtol=1e-12)
    assert result_names()["twice_n_qp"] == ("m-3", "twice the density of quasiparticles")


def test_a_file_in_the_package_is_a_process(added_file: Added) -> None:  # noqa: F811
    added_file(
        "fvqp.case.processes",
        """
        from fvqp import ProcessTable
        from fvqp.case.quantities import Time
        from fvqp.collisions import ConstantTrapping

        class Sink(ProcessTable):
            name = "sinks"
            sink = True
            time: Time

            def build(self, site):
                return ConstantTrapping(site.grid, site.within[:, None] * site.units.time / self.time)
        """,
    )
    data = run({"sinks": [{"time": "2 ns"}]})
    np.testing.assert_allclose(decay(data), data["time"].values[1:] / 2e-9, rtol=1e-3)


def test_a_file_in_the_package_is_a_boundary_condition(added_file: Added) -> None:  # noqa: F811
    added_file(
        "fvqp.case.boltzmann.walls",
        """
        from fvqp import BoundaryTable
        from fvqp.transport.walls import Wall

        class Open(BoundaryTable):
            name = "open"

            def wall(self, site):
                return Wall(bath=site.bath)
        """,
    )
    walls = [{"right": {"kind": "open"}}, {"right": {"transmission": 1.0}}]
    motion = {"motion": "diffusive", "diffusivity": "20 cm^2/s"}
    brief = {"evolution.end": "0.3 ns", "evolution.start": "0.1 ns", "evolution.tolerance": 0.1}
    new, known = (run(brief | {"quasiparticles": motion | {"walls": wall}})["n_qp"] for wall in walls)
    assert new[-1] < 0.999 * new[0]
    np.testing.assert_array_equal(new, known)


def test_two_files_with_one_name(added_file: Added) -> None:  # noqa: F811
    added_file(
        "fvqp.case.processes",
        """
        from fvqp.case.processes import trapping

        class Other(trapping.Trapping):
            name = "trapping"
        """,
    )
    with pytest.raises(CaseError, match='there is a process "trapping"'):
        list(fvqp.ProcessTable.registry)


# -- classes of a script


def test_a_process_that_is_registered() -> None:
    fvqp.register(Drain)
    data = run({"drains": [{"time": "2 ns"}, {"time": "3 ns", "regions": ["strip"]}]})
    there, elsewhere = (data.sel(region=name) for name in ("strip", "trap"))
    t = data["time"].values[1:]
    np.testing.assert_allclose(decay(there, "n_qp_region"), t * (1 / 2e-9 + 1 / 3e-9), rtol=1e-3)
    np.testing.assert_allclose(decay(elsewhere, "n_qp_region"), t / 2e-9, rtol=1e-3)
    lost = data["energy_escaped"].values + data["energy_qp"].values
    np.testing.assert_allclose(lost, lost[0], rtol=1e-6)
    with pytest.raises(CaseError, match=r"drains\[0\].time: missing"):
        run({"drains": [{}]})
    with pytest.raises(CaseError, match=r'drains\[0\].regions: the mesh has no region "a"'):
        run({"drains": [{"time": "2 ns", "regions": ["a"]}]})


HOMOGENEOUS = {
    "model": "boltzmann",
    "material": {"name": "Al"},
    "energies": {"maximum": "3 Delta0", "width": "0.1 Delta0"},
    "gap": {"model": "fixed"},
    "phonons": {"model": "bath"},
    "initial": {"pulses": [{"centre": "1.5 Delta0", "width": "0.2 Delta0", "peak": 1e-9}]},
    "evolution": {"start": "0.1 ps", "end": "2 ps", "points_per_decade": 4},
    "sweep": {"temperature": "0.05 K"},
}


def test_a_process_of_a_homogeneous_film() -> None:
    fvqp.register(Drain)
    data = fvqp.run(HOMOGENEOUS | {"drains": [{"time": "1 ps"}]}).dataset.isel(temperature=0)
    np.testing.assert_allclose(decay(data), data["time"].values[1:] / 1e-12, rtol=2e-3)
    assert data["energy_escaped"].values[-1] > 0.8 * data["energy_qp"].values[0]


def test_an_observable_of_a_homogeneous_film() -> None:
    @fvqp.register
    class Hot(fvqp.BoltzmannObservable):
        name, units, long_name = "hot_share", "1", "share of quasiparticles above an energy"
        models = ("boltzmann",)

        def compute(self, at: Any) -> float:
            held = (at.bin_weights.number * at.f)[0]
            return float(held[at.problem.grid.energies > 1.5].sum() / held.sum())

    fvqp.register(MeanEnergy)
    fvqp.register(Region)
    data = fvqp.run(HOMOGENEOUS).dataset.isel(temperature=0)
    assert (data["hot_share"].units, data["density_again"].dims) == ("1", ("time",))
    np.testing.assert_allclose(data["density_again"], data["n_qp"], rtol=1e-12)
    expected = (data["energy_qp"] / data["n_qp"]) / constants.e
    np.testing.assert_allclose(data["mean_energy"], expected, rtol=1e-9)
    assert "hot_share" not in run({})

    def density(low: float) -> float:
        return quad(lambda e: e / math.sqrt(e * e - 1.0) * math.exp(-0.5 * ((e - 1.5) / 0.2) ** 2), low, 3.0)[
            0
        ]

    np.testing.assert_allclose(data["hot_share"].values[0], density(1.5) / density(1.0), rtol=0.01)
    with pytest.raises(CaseError, match='name: "V_inj" is a name of results.nc already'):
        fvqp.register(type("Again", (Hot,), {"name": "V_inj"}))


def test_a_boundary_condition_that_is_registered() -> None:
    fvqp.register(Half)
    motion = {"motion": "diffusive", "diffusivity": "20 cm^2/s"}
    brief = {"evolution.end": "0.3 ns", "evolution.start": "0.1 ns", "evolution.tolerance": 0.1}
    walls = [{"right": {"kind": "half"}}, {"right": {"transmission": 0.5}}]
    new, known = (run(brief | {"quasiparticles": motion | {"walls": wall}})["n_qp"] for wall in walls)
    assert new[-1] < 0.999 * new[0]
    np.testing.assert_array_equal(new, known)
    case = case_from_dict(changed(FILM, {"quasiparticles.walls": walls[0]}))
    again = case_from_dict(tomllib.loads(case.resolved_toml()))
    assert again == case and again.hash == case.hash
    mistakes = (
        ({"kind": "quarter"}, 'walls.right.kind: expected .* or "transmission" or "half", got "quarter"'),
        ({"kind": "half", "transmision": 1}, r"walls.right.transmision: unknown key \(allowed: kind\)"),
        ({"transmision": 1}, 'transmision: unknown key; did you mean "transmission"'),
        (1.0, "walls.right: expected a table"),
    )
    for wall, words in mistakes:
        with pytest.raises(CaseError, match=words):
            case_from_dict(changed(FILM, {"quasiparticles.walls": {"right": wall}}))


def test_observables_that_are_registered_and_resumed(tmp_path: Any, monkeypatch: Any) -> None:
    """A run goes on with observables that it did not have before; their earlier values are NaN."""
    fvqp.register(Region)
    record = BoltzmannRecorder.record

    def stopped(self: Any, place: tuple[int, ...], *more: Any) -> None:
        record(self, place, *more)
        if place == (2,):
            raise KeyboardInterrupt

    monkeypatch.setattr(BoltzmannRecorder, "record", stopped)
    with pytest.raises(KeyboardInterrupt):
        run({}, out=tmp_path / "out")
    monkeypatch.setattr(BoltzmannRecorder, "record", record)
    fvqp.register(MeanEnergy)
    run({}, out=tmp_path / "out", resume=True)
    data = open_result(tmp_path / "out").dataset
    assert (data["mean_energy"].units, data["density_again"].dims) == ("eV", ("time", "cell"))
    np.testing.assert_array_equal(data["density_again"], data["n_qp_cell"])
    expected = (data["energy_qp"] / data["n_qp"]).values / constants.e
    values = data["mean_energy"].values
    assert np.isnan(values[:3]).all()
    np.testing.assert_allclose(values[3:], expected[3:], rtol=1e-9)


def test_observables_and_fields_of_the_usadel_model() -> None:
    class Supply(fvqp.UsadelObservable):
        name, units, long_name = "P_inj", "W", "power of the source of the injectors"

        def compute(self, at: Any) -> float:
            return float(at.currents[at.run.injectors].sum()) * at.solution.point.V_inj

    class Condensation(fvqp.UsadelField):
        name, units, long_name, dims = "gap_squared", "eV2", "square of the gap", ("cell",)

        def compute(self, at: Any) -> Any:
            return at.field("gap") ** 2

    fvqp.register(Supply)
    fvqp.register(Condensation)
    case = line(output={"stored": ["gap", "gap_squared"], "fields": []}, energies={"number": 60})
    data = fvqp.run(case).dataset
    np.testing.assert_allclose(data["P_inj"], data["I_inj"] * data["V_inj"], rtol=1e-12)
    np.testing.assert_allclose(data["gap_squared"], data["gap"] ** 2, rtol=1e-12)
    assert (data["P_inj"].units, data["gap_squared"].units) == ("W", "eV2")
    with pytest.raises(CaseError, match=r'stored\[0\]: expected one of .*gap_squared, got "gap_cubed"'):
        fvqp.run(line(output={"stored": ["gap_cubed"]}))


def test_a_material_that_is_registered() -> None:
    own = fvqp.Material("Al_thin", gap="0.2 meV", diffusivity="60 cm^2/s", resistivity="40 nohm*m")
    fvqp.register(own)
    case = line(material={"name": "Al_thin"}, energies={"number": 60})
    data = fvqp.run(case | {"sweep": {"V_inj": ["0 V"], "V_det": ["0 V"]}}).dataset
    assert math.isclose(data.attrs["delta0_eV"], 2e-4)
    xi = math.sqrt(constants.hbar * 60e-4 / (2e-4 * constants.e))
    assert math.isclose(data.attrs["coherence_length_m"], xi, rel_tol=1e-9)
    assert "Al_thin" in fvqp.materials.material_names()
    with pytest.raises(CaseError, match='there is no material "Al_thick"; known are .*Al_thin'):
        fvqp.load_material("Al_thick")
    with pytest.raises(CaseError, match='register: material "Al": is in the library already; choose another'):
        fvqp.register(fvqp.Material("Al", gap="0.2 meV"))


# -- what is refused


def test_names_that_are_taken() -> None:
    def named(base: Any, name: str) -> Any:
        return type("Named", (base,), {"name": name, "__module__": "another"})

    taken = (
        (MeanEnergy, "energy", 'Named.name: "energy" is a name of results.nc already; choose another name'),
        (MeanEnergy, "n_qp_cell", "is the observable fvqp.case.boltzmann.observables.fields.CellDensity; ch"),
        (Drain, "microwaves", "is the process fvqp.case.processes.microwaves.Microwave; choose another name"),
        (Half, "transmission", "is the boundary condition fvqp.case.boltzmann.walls.transmission.WallTable"),
        (Half, "a wall", "Named.name: expected letters, digits and _, got 'a wall'"),
    )
    for base, name, words in taken:
        with pytest.raises(CaseError, match=words) as error:
            fvqp.register(named(base, name))
        assert "\n" not in str(error.value) and str(error.value).startswith("register: ")
    fvqp.register(named(Drain, "evolution"))
    words = 'register: Named.name: "evolution" is a key of model = "transport"; choose another name'
    with pytest.raises(CaseError, match=words):
        case_from_dict(FILM)
    fvqp.register(MeanEnergy)
    with pytest.raises(CaseError, match="is the observable .*test_extensions.MeanEnergy; choose another"):
        fvqp.register(named(MeanEnergy, "mean_energy"))
    fvqp.register(MeanEnergy)  # the same class once more, as a notebook does


def test_classes_that_are_incomplete() -> None:
    class WithoutCompute(fvqp.BoltzmannObservable):
        name, units, long_name = "nothing", "1", "nothing"

    class WithoutUnits(MeanEnergy):
        name, units = "without_units", None

    for cls, words in (
        (WithoutCompute, "register: WithoutCompute: define compute"),
        (WithoutUnits, 'WithoutUnits.units: missing: give text, such as units = "m-3"'),
        (dict, "register: expected a material, or a class of an observable, a process or a boundary"),
        (fvqp.ProcessTable, "register: ProcessTable: define build"),
    ):
        with pytest.raises(CaseError, match=words):
            fvqp.register(cls)


def test_processes_that_a_case_does_not_name() -> None:
    """Neither its hash nor the file in results changes; the key is refused without the process."""
    before = case_from_dict(FILM)
    fvqp.register(Drain)
    after = case_from_dict(FILM)
    assert after.hash == before.hash and after.resolved_toml() == before.resolved_toml()
    data = changed(FILM, {"drains": [{"time": "2 ns"}]})
    assert case_from_dict(data).hash != before.hash
    fvqp.ProcessTable.registry.remove("drains")
    with pytest.raises(CaseError, match="drains: unknown key"):
        case_from_dict(data)


def test_a_case_brings_no_code(tmp_path: Any) -> None:
    """Neither a file beside the case nor a name in it is run."""
    (tmp_path / "evil.py").write_text("raise SystemExit")
    (tmp_path / "case.toml").write_text('model = "transport"\n[[evil]]\n')
    with pytest.raises(CaseError, match="evil: unknown key"):
        load_case(tmp_path / "case.toml")
