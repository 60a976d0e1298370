"""Memory that a run of the transport model takes beyond a small one: bytes as JSON, measured and expected."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

from mpi4py import MPI
from transport_cases import SPHERE

from fvqp.case.boltzmann.build import BoltzmannSetup, build_setup
from fvqp.case.boltzmann.sizes import LOOSE, OF_RUN, RECORDED
from fvqp.case.reading import case_from_dict
from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann.evolution import evolve
from fvqp.models.boltzmann.linearized import Linearized


def setup_of(shells: int) -> BoltzmannSetup:
    data = copy.deepcopy(SPHERE)
    data["body"]["shells"] = shells
    data["gap"] = {"model": "fixed"}
    data["energies"] = {"maximum": "3 Delta0", "width": "0.05 Delta0"}
    for species in ("quasiparticles", "phonons"):
        data[species]["directions"] = 8
    return build_setup(case_from_dict(data), MPI.COMM_SELF)


def evolved(setup: BoltzmannSetup) -> None:
    """Steps so long that motion and collisions are solved as one system."""
    for _ in evolve(setup.problem, setup.state, [1.0], tolerance=0.1):
        pass


def all_iterations(setup: BoltzmannSetup) -> None:
    """A solution that is never accurate enough."""
    problem, state = setup.problem, setup.state
    here = problem.at(state.gap)
    inelastic = here.inelastic_rates(state.f, state.n)
    try:
        Linearized(here, state, inelastic, 1.0).solve(here.rates(state.f, state.n, inelastic), [], 1e-300)
    except ConvergenceError:
        return
    raise AssertionError


def peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


small = setup_of(5)
evolved(small)
all_iterations(small)
# Loops have been compiled, which may have taken more than what follows.
Path("/proc/self/clear_refs").write_text("5")
before = peak()
setup = setup_of(60)
evolved(setup)
usual = peak() - before
all_iterations(setup)
found = {"usual": usual, "largest": peak() - before}
# Nothing is recorded here, and what any run takes is there before.
size = setup.size
recorded = 8.0 * setup.mesh.n_cells * size.per_cell * RECORDED
numbers = {"usual": size.expected, "largest": size.largest}
expected = {name: (bytes_ - OF_RUN) / LOOSE - recorded for name, bytes_ in numbers.items()}
print(json.dumps({"found": found, "said": expected}))
