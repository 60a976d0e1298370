"""The matrices are shared with the tests that run under mpiexec."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "mpi"))
