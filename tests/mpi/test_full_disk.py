"""Disks that are full end a run with one message; once there is space it goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launching import HANGS
from mpi4py import MPI
from run_cases import as_file, assert_same, line

import fvqp
from fvqp.results import open_result

#: Gives itself a small disk, fills it with a run, enlarges it and goes on; prints both endings.
SMALL = f"""
import json, shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
from launching import launched
case, folder, ranks, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def mount(*options):
    subprocess.run(["mount", *options, str(folder)], check=True)
mount("-t", "tmpfs", "-o", f"size={{size}}", "tmpfs")
endings = [launched(ranks, case, folder / "out", program=("-c", {{program!r}}))]
kept = (folder / "out" / "results.nc").exists()
mount("-o", "remount,size=64m")
endings.append(launched(ranks, case, folder / "out", "--resume"))
shutil.copytree(folder / "out", case.parent / "out")
print(json.dumps([kept, [(end.returncode, end.stderr) for end in endings]]))
"""
#: Writes after every point.
ALWAYS = """
import sys
from fvqp import cli
from fvqp.results import folder
folder.WRITE_EVERY = 0.0
sys.exit(cli.main(sys.argv[1:]))
"""


def namespaces() -> bool:
    """True if a program may mount disks that nobody else sees."""
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")
@pytest.mark.skipif(not namespaces(), reason="may not mount disks")
@pytest.mark.parametrize(("ranks", "size"), [(1, "4k"), (1, "64k"), (1, "100k"), (2, "64k"), (2, "120k")])
def test_full_disk(tmp_path: Path, ranks: int, size: str) -> None:
    data = line(sweep={"V_inj": {"from": "-0.4 mV", "to": "0.4 mV", "points": 9}})
    case = as_file(data, tmp_path / "case.toml")
    (tmp_path / "disk").mkdir()
    program = SMALL.replace("{program!r}", repr(ALWAYS))
    arguments = [sys.executable, "-c", program, str(case), str(tmp_path / "disk"), str(ranks), size]
    done = subprocess.run(["unshare", "-rm", *arguments], capture_output=True, text=True, timeout=4.0 * HANGS)
    assert done.returncode == 0, done.stderr
    kept, ((first, said), (second, complaint)) = json.loads(done.stdout)
    assert first == 2 and said.count("fvqp: error: ") == 1 and "Traceback" not in said
    assert "/disk/out/" in said and ": the disk is full; what was written before is intact" in said
    assert kept == (size != "4k")
    assert second == 0, complaint
    assert_same(open_result(tmp_path / "out").dataset, fvqp.run(data).dataset, 1e-10)
