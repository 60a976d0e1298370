"""A run of a chip by all ranks: ``python chips.py CHIP FOLDER`` prints clock time and result as JSON.

Compiling, meshing and the Monte Carlo that it is compared with are left out.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI
from test_phonon_chip import chip, expected, flown

import fvqp

QUBIT_CHIP = Path(__file__).parents[2] / "cases" / "devices" / "qubit_chip.toml"
TOLERANCE = 0.05


def phonon_chip(folder: Path) -> dict[str, float]:
    """Phonons that fly through a chip to 100 µs, and the error of what pads take, in parts of the fullest."""
    mesh = folder / "chip.msh"
    if MPI.COMM_WORLD.rank == 0:
        chip(mesh, 130.0)
    flown(mesh, 8, start="10 ns", end="20 ns", tolerance=TOLERANCE)
    start = time.perf_counter()
    times, left = flown(mesh, 8, start="10 ns", end="100 us", tolerance=TOLERANCE)
    wall = time.perf_counter() - start
    exact = expected(times, 2_000_000)
    return {"wall": wall, "error": float(np.abs(left - exact)[:, :4].max() / exact[-1, :4].max())}


def qubit_chip(folder: Path) -> dict[str, float]:
    """`qubit_chip.toml` to its end, 1 ms, and its quasiparticles there."""
    case = fvqp.load_case(QUBIT_CHIP, [f"evolution.tolerance={TOLERANCE}"])
    fvqp.run(fvqp.load_case(QUBIT_CHIP, ["evolution.end=20 ns"]))
    start = time.perf_counter()
    done = fvqp.run(case).dataset
    return {"wall": time.perf_counter() - start, "n_qp": float(done["n_qp"].values[-1])}


if __name__ == "__main__":
    found = {"phonon": phonon_chip, "qubit": qubit_chip}[sys.argv[1]](Path(sys.argv[2]))
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(found))
