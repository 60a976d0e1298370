"""Provenance of numbers: programs, versions, ranks and time, as attributes of the results."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata

from mpi4py import MPI

PACKAGES = ("fvqp", "numpy", "scipy", "numba", "mpi4py", "meshio", "xarray", "netCDF4", "h5py")


def provenance(comm: MPI.Comm, further: Mapping[str, str] | None = None) -> dict[str, str]:
    """Attributes that tell how results were made; ``further`` adds hashes, options, sources of parameters."""
    from fvqp.petsc import PETSc

    versions = {name: _version(name) for name in PACKAGES}
    versions["PETSc"] = ".".join(map(str, PETSc.Sys.getVersion()))
    versions["python"] = platform.python_version()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "source": f"fvqp {versions['fvqp']}",
        "history": f"{now}: {' '.join([sys.argv[0].rsplit('/', 1)[-1], *sys.argv[1:]])}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "mpi": f"{comm.size} ranks, {MPI.Get_library_version().splitlines()[0].strip(chr(0))[:60]}",
        "system": f"{platform.system()} {platform.machine()}",
        **(further or {}),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"
