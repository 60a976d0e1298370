"""Film, steps of a sphere and a map on two ranks against one: a thread a rank, starting and meshing left
out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.benchmark
#: Load average, this benchmark included, above which two ranks have no two cores to themselves.
QUIET = 1.3
MPI_SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # A rank that waits leaves its core to others, so that processor time is work.
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


def run(what: str, ranks: int, *arguments: object) -> dict:
    script = Path(__file__).with_name(f"{what}.py")
    # FiPy's serial solvers, which other benchmarks choose, do not start on several ranks.
    inherited = {k: v for k, v in os.environ.items() if k != "FIPY_SOLVERS"}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        ["mpiexec", "-n", str(ranks), sys.executable, str(script), *map(str, arguments)],
        env=inherited | MPI_SETTINGS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("script", "turns", "wanted"),
    [("film_ranks", 8, 1.7), ("sphere_steps", 5, 1.7), ("sphere_ranks", 8, None)],
)
def test_two_ranks(script, turns, wanted, report):
    """Whole steps of the sphere are judged, and the part of them that gains least is reported.

    Judged is the time of two programs at once, one on each core, over that of two ranks: the gain where cores
    are cores, and fair where they are two threads of one.
    """
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    found = run(script, 2, turns)
    alone, each, together = (np.array(found[how]["wall"]) for how in ("alone", "each", "together"))
    report(
        f"{script} on two ranks",
        f"{np.median(alone / together):.2f} times faster than one alone ({np.median(alone):.3f} and "
        f"{np.median(together):.3f} s), {np.median(each / together):.2f} than one of two at once "
        f"({np.median(each):.3f} s)",
    )
    assert found["together"]["sum"] == pytest.approx(found["alone"]["sum"], rel=1e-10)
    if wanted is not None:
        assert np.median(each / together) > wanted


@pytest.mark.parametrize(("chip", "wanted"), [("phonon", 1.7), ("qubit", None)])
def test_chips(chip, wanted, report, tmp_path):
    """Whole runs of a small chip by the clock, compiling left out."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    busy = os.getloadavg()[0]
    one, two = (run("chips", ranks, chip, tmp_path) for ranks in (1, 2))
    gain = one.pop("wall") / (together := two.pop("wall"))
    error = f", pads within {100 * two['error']:.1f} % of the fullest" if "error" in two else ""
    report(f"{chip} chip on two ranks", f"{together:.1f} s, {gain:.2f} times faster than one{error}")
    assert two == pytest.approx(one, rel=1e-3)
    assert two.get("error", 0.0) < 0.02
    if busy > QUIET:
        pytest.skip(f"load average {busy:.1f} before the start: other programs have the second core")
    assert wanted is None or gain > wanted


def test_map_of_both_biases(report):
    """Two groups of one rank share the rows of a self-consistent map with collisions; by the clock."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    busy = os.getloadavg()[0]
    one, two = zip(*[(run("map_groups", 1, 1), run("map_groups", 2, 1)) for _ in range(2)], strict=True)
    assert two[0]["sum"] == pytest.approx(one[0]["sum"], rel=1e-9)
    efficiency = {}
    for kind, name in (("wall", "clock"), ("cpu", "processor time of the slower group")):
        least = [min(min(r[kind]) for r in runs) for runs in (one, two)]
        efficiency[kind] = 0.5 * least[0] / least[1]
        report(
            f"map of 78 points in two groups, {name}",
            f"{100.0 * efficiency[kind]:.0f} % efficient ({least[0]:.2f} and {least[1]:.2f} s)",
        )
    if busy > QUIET:
        pytest.skip(f"load average {busy:.1f} before the start: other programs have the second core")
    assert efficiency["wall"] >= 0.85
