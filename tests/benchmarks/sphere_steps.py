"""Whole steps of `sphere_pulse.toml` by one rank and by all.

128 shells, 16 directions, 301 bins that widen slowly. The pulse flies apart and collides,
the gap follows, and errors are controlled. What is timed is what `fvqp run` does from 3 to 10 ps but for
writing results; the elimination of collisions in every shell is among it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mpi4py import MPI
from ranks import compare

from fvqp.case import load_case
from fvqp.case.boltzmann.build import build_setup
from fvqp.case.boltzmann.schema import TransportCase
from fvqp.models.boltzmann.evolution import evolve

CASE = Path(__file__).parents[2] / "cases" / "boltzphlow2026" / "sphere_pulse.toml"
SIZE = (
    "body.shells=128",
    "quasiparticles.directions=16",
    "phonons.directions=16",
    'energies.width="0.0085 Delta0"',
    "energies.growth=0.0045",
    'energies.lowest_gap="0.6 Delta0"',
)
START, END, TOLERANCE = 3e-12, 1e-11, 0.05


def prepare(comm: MPI.Comm) -> Callable[[], float]:
    case = load_case(CASE, SIZE)
    assert isinstance(case, TransportCase)
    setup = build_setup(case, comm)
    problem, unit = setup.problem, setup.units.time
    # compiles, and finds the length of steps
    (begin,) = evolve(problem, setup.state, [START / unit], tolerance=TOLERANCE)

    def steps() -> float:
        (moment,) = evolve(
            problem,
            begin.state,
            [END / unit],
            start=begin.time,
            tolerance=TOLERANCE,
            first_step=begin.next_step,
            counters=begin.counters,
        )
        # in units of what was there: amounts far below 1 would agree within any absolute tolerance
        return float(moment.ledger.phonons / begin.ledger.phonons)

    return steps


compare(prepare, int(sys.argv[1]), solves=1, settle=0)
