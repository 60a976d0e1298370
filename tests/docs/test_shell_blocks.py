"""Every command that a page shows is run, smaller where it is long, or has a reason not to be."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from launching import launched
from pages import FILE, PAGES, READMES, ROOT, blocks, commands, follow, name, prose, shell

from fvqp import cli

#: What is computed in place of the whole case.
SMALLER: dict[str, tuple[str, ...]] = {
    "cases/bespalov2016/concentration.toml": ("sweep.generation.points=2", "box.particles=100"),
    "cases/bespalov2016/wire.toml": ("mesh.shape.nx=20", "monte_carlo.runs=1"),
    "cases/bespalov2016/wire_transport.toml": ("energies.number=80",),
    "cases/boltzphlow2026/hot_pulse_al.toml": (
        'energies.width="0.1 Delta0"',
        "evolution.points_per_decade=2",
    ),
    "cases/boltzphlow2026/sphere_pulse.toml": (
        "body.shells=8",
        "quasiparticles.directions=4",
        "phonons.directions=4",
        'energies.width="0.06 Delta0"',
        "energies.growth=0.05",
    ),
    "cases/devices/film_with_trap.toml": ('energies.width="0.2 Delta0"', "energies.growth=0.5"),
    "cases/devices/trap_noise.toml": (
        "stages.transport.case.sweep.V_inj=['0.19 mV', '0.3 mV']",
        "stages.transport.case.energies.number=120",
        "stages.localized.case.mesh.shape.dx=0.2 um",
        "stages.localized.case.monte_carlo.accuracy=0.1",
    ),
    "cases/fischer2023/microwave_drive.toml": (
        'energies.width="0.05 Delta0"',
        "sweep.temperature=['0.2 K']",
        "sweep.strength=[1e6, 1e7]",
    ),
    "cases/goldie2013/probe_power.toml": ('energies.width="8 ueV"', "sweep.strength=[0.2, 2.0]"),
    "cases/kaplan1976/lifetimes.toml": ('energies.width="0.1 Delta0"',),
    "cases/kozorezov2000/cascade.toml": ('energies.width="0.2 Delta0"',),
    "cases/meyer2020/phase_diagram.toml": ("sweep.volume.points=7", "sweep.generation.points=7"),
    "cases/nagaev1995/hot_electrons.toml": ("mesh.shape.nx=21",),
    "cases/nagaev1995/two_steps.toml": ("mesh.shape.nx=21",),
    "cases/networks/side_arm.toml": ("energies.number=75", "sweep.V_inj.points=5"),
    "cases/proximity/sn_wire.toml": ("mesh.shape.nx=60", "energies.number=60"),
    "cases/rothwarf1967/decay.toml": ('energies.width="0.01 Delta0"', "evolution.end='10 us'"),
    "cases/ryan2026/fig10.toml": ("energies.number=90", "sweep.V_inj.points=5"),
    "cases/ryan2026/fig13.toml": ("energies.number=90", "sweep.V_inj.points=5"),
    "cases/ryan2026/sign.toml": ("energies.number=120", "sweep.V_inj.points=3"),
    "cases/ryan2026/sign_hot_spots.toml": ("energies.number=20", "sweep.V_inj=['-0.5 Delta0', '0.5 Delta0']"),
    "cases/ryan2026/wire.toml": ("sweep.V_inj.points=5",),
    "cases/ryan2026/wire_film.toml": (
        "energies.number=80",
        "sweep.V_inj=['-0.1 mV', '0.1 mV']",
    ),
}
#: Programs that are not run, and why.
LEFT_OUT = {
    "make": "sets up the environment and starts the tests, of which this is one",
    "setup.sh": "sets up the environment that the tests run in",
    ".": "activates the environment that the tests run in",
    "ruff": "part of `make lint`",
    "mypy": "part of `make lint`",
    "lint-imports": "part of `make lint`",
    "pytest": "starts the tests, of which this is one",
    "python": "makes meshes in place, see tests/mesh/test_scripts.py, or starts the tests",
    "pvpython": "needs ParaView; what the script calls is tested in test_paraview_script.py",
    "paraview": "needs ParaView and a screen",
}
#: Commands that must have been run before those of a page, as the page says.
BEFORE = {
    "docs/howto/paraview.md": "fvqp run cases/ryan2026/wire_film.toml --out out/wire_film",
    "docs/howto/resume.md": "fvqp run cases/ryan2026/fig10.toml --out out/fig10",
}
#: Files that pages name and that none of their commands writes.
ELSEWHERE = {
    "docs/howto/paraview.md": {"fields_supercurrent_0.pvd"},  # where several curves were swept
    "docs/reference/command-line.md": {"study.nc", "convergence.csv", "comparison.png"},  # others write them
}


def program(words: list[str]) -> str:
    """What a command is about: the program, behind a launcher too."""
    first = Path(words[0]).name or words[0]
    return Path(words[3]).name if first == "mpiexec" else first


def with_runs() -> list[Path]:
    """Pages with commands that compute."""
    computing = {"run", "fit", "plot", "doctor", "refine", "study"}
    return [
        page
        for page in [*PAGES, *READMES]
        if any(program(w) == "fvqp" and computing & set(w) and "mesh" not in w for w in shell(page))
    ]


def test_commands_are_run_or_left_out_for_a_reason() -> None:
    for page in [*PAGES, *READMES]:
        # `py` reads the checkpoint of a run that was stopped, as tests/mpi/test_results_checkpoint.py does.
        assert {language for language, _ in blocks(page)} <= {"python", "py", "sh", "toml"}, name(page)
        for words in shell(page):
            assert program(words) == "fvqp" or program(words) in LEFT_OUT, f"{name(page)}: {words}"


@pytest.mark.slow
@pytest.mark.parametrize("page", with_runs(), ids=name)
def test_commands_of_a_page(page: Path, checkout: Path) -> None:
    """In the order of the page, with its Python; the files that it promises are there in the end."""
    for words in commands(BEFORE.get(name(page), "")):
        run(words, checkout)
    follow(page, checkout, lambda words: run(words, checkout))
    files = {str(path.relative_to(checkout)) for path in checkout.rglob("*")}
    files |= {f"meshes/{path.name}" for path in (ROOT / "meshes").rglob("*")}
    for file in set(FILE.findall(prose(page))) - ELSEWHERE.get(name(page), set()):
        # Cases that a page lists without running them write theirs where they are run.
        if page in PAGES or file.startswith("out/"):
            assert any(f"/{path}".endswith(f"/{file}") for path in files), f"{name(page)} promises {file}"


def run(words: list[str], folder: Path) -> None:
    """A command as it stands on a page, with the smaller case."""
    if program(words) in LEFT_OUT:
        return
    at = next(number for number, word in enumerate(words) if Path(word).name == "fvqp")
    arguments = words[at + 1 :]
    case = next((word for word in arguments if word in SMALLER), "")
    smaller = [word for override in SMALLER.get(case, ()) for word in ("--set", override)]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    arguments = [*arguments[:end], *smaller, *arguments[end:]]
    if words[0] == "mpiexec":
        _, file, _, out, *options = arguments
        done = launched(int(words[2]), Path(file), Path(out), *options)
        assert done.returncode == 0, done.stderr
    else:
        assert cli.main(arguments) == 0, words
    if arguments[0] in ("run", "fit"):
        assert_complete(folder / arguments[arguments.index("--out") + 1])


def assert_complete(out: Path) -> None:
    """A results folder has its results, its case, and as many figures as the case asks for."""
    case = tomllib.loads((out / "case.toml").read_text())
    stages = case.get("stages")
    if stages:
        for stage in stages:
            assert_complete(out / stage["name"])
        return
    assert (out / "results.nc").is_file()
    assert len(list((out / "figures").glob("*"))) >= len(case.get("figures", []))
