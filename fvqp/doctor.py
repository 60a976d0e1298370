"""Report of ``fvqp doctor``: versions, MPI, threads, PETSc's packages, rendering, and remedies.

Libraries that can end the process when they are ill (VTK without a display library segfaults) are tried in
processes of their own. Of fvqp only modules that need nothing else of it are imported: the report also works
where the rest does not load.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from fvqp.threads import THREAD_VARIABLES

Status = Literal["ok", "limited", "missing"]

PETSC_PACKAGES = {
    "mumps": "PETSc's own LU on one rank and GAMG on several take its place",
    "hypre": "GAMG is the multigrid instead",
    "hdf5": "of several ranks each writes a checkpoint file of its own",
    "superlu_dist": "solver.petsc cannot name it; nothing else uses it",
}
"""Packages that PETSc can be built with, as PETSc calls them, and what fvqp does without each. Meshes are
divided by coordinates, whatever partitioners there are."""

_GL_PACKAGES = (
    "libgl1 libegl1 libgl1-mesa-dri libglu1-mesa libx11-6 libxrender1 libxcursor1 libxfixes3 libxft2 "
    "libfontconfig1 libxinerama1"
)

_RENDER = """
import numpy, pyvista
plotter = pyvista.Plotter(off_screen=True, window_size=(64, 64))
plotter.set_background("white")
plotter.add_mesh(pyvista.Sphere(), color="black")
image = plotter.screenshot(None, return_img=True)
assert image.min() < 100 and image.max() > 200, "the picture is empty"
"""

_TWO_RANKS = """
from mpi4py import MPI
from petsc4py import PETSc
sizes = (MPI.COMM_WORLD.size, PETSc.COMM_WORLD.size)
assert sizes == (2, 2), f"mpi4py and PETSc see {sizes[0]} and {sizes[1]} ranks instead of 2"
"""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    ``status`` is ``ok``, ``limited`` (fvqp works, with less) or ``missing`` (fvqp needs it); ``remedy`` is
    the command that mends it, empty when there is nothing to mend or no single command does.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def diagnose() -> list[Check]:
    """Look at everything that fvqp relies on, in the order of the report; never raises for what it finds.

    Collective under MPI; the checks that start processes are left out when there are several ranks.
    """
    checks = [Check("Python", "ok", f"{platform.python_version()}, {sys.executable}"), *_dependencies()]
    mpi = _attempt("MPI", _mpi, "missing", _pip("mpi4py"))
    checks.append(mpi)
    if mpi.status != "missing":
        checks.append(_attempt("PETSc", _petsc, "missing", _petsc_remedy()))
        if checks[-1].status != "missing":
            checks += _petsc_packages()
    checks.append(_threads())
    if mpi.status != "missing" and _ranks() == 1:
        checks += [
            _optional("gmsh", "meshes are read but not made", _system(_GL_PACKAGES)),
            _optional("gdstk", "no meshes from GDS layouts", _pip("gdstk")),
            _optional("plotly", "no interactive pages (fvqp view)"),
            _rendering(),
            _launcher(),
        ]
    return checks


def main() -> int:
    """Print the report (on the first rank only); 0 when nothing that fvqp needs is missing, 1 otherwise."""
    checks = diagnose()
    if _ranks() == 1 or importlib.import_module("mpi4py.MPI").COMM_WORLD.rank == 0:
        sys.stdout.write(report(checks))
    return 1 if any(check.status == "missing" for check in checks) else 0


def report(checks: list[Check]) -> str:
    """The checks as text: a table, then the commands that mend what is missing or limited."""
    width = max(len(check.name) for check in checks)
    marks = {"ok": "ok", "limited": "--", "missing": "NO"}
    lines = [f"{marks[check.status]}  {check.name:{width}}  {check.detail}" for check in checks]
    ill = [check for check in checks if check.remedy]
    if ill:
        lines += ["", "To mend:"]
        lines += [f"    {check.name}: {check.remedy}" for check in ill]
    missing = [check.name for check in checks if check.status == "missing"]
    lines += ["", f"fvqp needs: {', '.join(missing)}" if missing else "fvqp has all that it needs."]
    return "\n".join(lines) + "\n"


def _dependencies() -> list[Check]:
    """fvqp and the packages its own metadata names; gmsh, gdstk, plotly, MPI, PETSc have their own checks."""
    try:
        requirements = [Requirement(text) for text in metadata.requires("fvqp") or []]
    except metadata.PackageNotFoundError:
        return [Check("fvqp", "missing", "not installed in this Python", f"{_pip()} -e .")]
    checks = [Check("fvqp", "ok", metadata.version("fvqp"))]
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            checks.append(Check(requirement.name, "missing", "not installed", _pip(str(requirement))))
            continue
        if requirement.specifier.contains(version, prereleases=True):
            checks.append(Check(requirement.name, "ok", version))
        else:
            detail = f"{version}: fvqp needs {requirement.specifier}"
            checks.append(Check(requirement.name, "missing", detail, _pip(str(requirement))))
    return checks


def _mpi() -> Check:
    mpi = importlib.import_module("mpi4py.MPI")
    library = mpi.Get_library_version().split("\n")[0].split(",")[0].strip("\0 ")
    return Check("MPI", "ok", f"{library}; ranks: {mpi.COMM_WORLD.size}")


def _petsc() -> Check:
    petsc = importlib.import_module("fvqp.petsc").PETSc
    version = ".".join(str(part) for part in petsc.Sys.getVersion())
    scalar, integer = petsc.ScalarType.__name__, petsc.IntType.__name__
    detail = f"{version} with petsc4py {metadata.version('petsc4py')}; scalars {scalar}, indices {integer}"
    wanting = ""
    if scalar != "float64":
        wanting = "real scalars in double precision"
    elif petsc.Sys.getVersion() < (3, 18):
        wanting = "PETSc 3.18 or newer"
    if wanting:
        return Check("PETSc", "missing", f"{detail}: fvqp needs {wanting}", _petsc_remedy())
    return Check("PETSc", "ok", detail)


def _petsc_packages() -> list[Check]:
    has = importlib.import_module("fvqp.petsc").PETSc.Sys.hasExternalPackage
    checks = []
    for name, instead in PETSC_PACKAGES.items():
        if has(name):
            checks.append(Check(f"PETSc: {name}", "ok", "yes"))
        else:
            checks.append(Check(f"PETSc: {name}", "limited", f"no: {instead}", _package_remedy(name)))
    return checks


def _threads() -> Check:
    given = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("Threads", "ok", f"{', '.join(given) or 'as many as the libraries like'}; cores: {cores}")


def _optional(package: str, without: str, remedy: str = "") -> Check:
    """A package that fvqp can do without; with a remedy, whether it loads is tried."""
    if importlib.util.find_spec(package) is None:
        return Check(package, "limited", f"not installed: {without}", _pip(package))
    if remedy and (trouble := _try_python(f"import {package}")):
        return Check(package, "limited", f"does not load, {without}: {trouble}", remedy)
    return Check(package, "ok", metadata.version(package))


def _rendering() -> Check:
    trouble = _try_python(_RENDER)
    if trouble:
        detail = f"no pictures of meshes: {trouble}"
        return Check("Off-screen rendering", "limited", detail, _system(_GL_PACKAGES))
    return Check("Off-screen rendering", "ok", "works")


def _launcher() -> Check:
    """Return whether the ``mpiexec`` of the search path is of the MPI that mpi4py and PETSc are linked
    with."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        return Check("mpiexec", "limited", "not found: runs on one rank only", _system("openmpi-bin"))
    permissions = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    trouble = _try([mpiexec, "-n", "2", sys.executable, "-c", _TWO_RANKS], permissions)
    if trouble:
        detail = f"{mpiexec} does not start two ranks: {trouble}"
        return Check("mpiexec", "limited", detail, _launcher_remedy())
    return Check("mpiexec", "ok", f"{mpiexec} starts two ranks")


def _attempt(name: str, check: Callable[[], Check], status: Status, remedy: str) -> Check:
    """``check()``, or what it raised: an ill binary raises anything while it loads."""
    try:
        return check()
    except Exception as error:
        return Check(name, status, f"does not load: {type(error).__name__}: {error}", remedy)


def _try_python(code: str) -> str:
    return _try([sys.executable, "-c", code], {})


def _try(command: list[str], environment: dict[str, str], seconds: float = 120.0) -> str:
    """Run a command by itself; empty when it succeeds, else its last words or what ended it."""
    variables = os.environ | environment
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    errors = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()
    return errors[-1].strip() if errors else f"exit code {done.returncode}"


def _ranks() -> int:
    try:
        return int(importlib.import_module("mpi4py.MPI").COMM_WORLD.size)
    except Exception:  # reported by its own check
        return 1


def _pip(*packages: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def _system(packages: str) -> str:
    if shutil.which("apt-get"):
        return f"{'' if os.getuid() == 0 else 'sudo '}apt-get install --no-install-recommends {packages}"
    return f"install the equivalents of Debian's {packages}"


def _petsc_of_system() -> bool:
    """Return whether PETSc comes from the distribution's packages."""
    spec = importlib.util.find_spec("petsc4py")
    return spec is not None and str(spec.origin).startswith("/usr/lib/")


def _package_remedy(name: str) -> str:
    """A PETSc that has the package: the distribution's, or one that is compiled with it."""
    if shutil.which("apt-get") and not _petsc_of_system():
        setup = Path(__file__).parents[1] / "setup.sh"
        return f"SETUP_ROUTE=distribution {setup}" if setup.exists() else _system("python3-petsc4py-real")
    wanted = {"mumps": "--download-mumps --download-scalapack"}.get(name, f"--download-{name}")
    again = _pip("--force-reinstall", "--no-cache-dir", "petsc", "petsc4py")
    return f"PETSC_CONFIGURE_OPTIONS={shlex.quote(wanted)} {again}"


def _launcher_remedy() -> str:
    """The launcher of the MPI library that mpi4py is linked with."""
    try:
        library = importlib.import_module("mpi4py.MPI").Get_library_version()
    except Exception:  # reported by its own check
        library = ""
    if "MPICH" in library:
        return _system("mpich")
    return _system("openmpi-bin")


def _petsc_remedy() -> str:
    checkout = Path(__file__).parents[1] / "setup.sh"
    return str(checkout) if checkout.exists() else _pip("petsc", "petsc4py")


if __name__ == "__main__":
    sys.exit(main())
