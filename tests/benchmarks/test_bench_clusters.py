"""Timings of the cluster models: stationary states at N_c = 1e4, spectra at N_c = 1e3, trajectories."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from mpi4py import MPI
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import splu

from fvqp.models.clusters import Cluster, noise_spectrum, simulate, stationary_state

pytestmark = pytest.mark.benchmark
SELF = MPI.COMM_SELF


def cluster(a: float, v: float, critical_number: float) -> Cluster:
    return Cluster.from_scaled(a, v, gamma=18.0, gamma_t=18.0 / critical_number, tau_s=10.0)


STATIONARY = """
import json, resource, sys, time
from mpi4py import MPI
from fvqp.models.clusters import Cluster, stationary_state
a, v = map(float, sys.argv[1:])
cluster = Cluster.from_scaled(a, v, gamma=18.0, gamma_t=18e-4, tau_s=10.0)
start, processor = time.perf_counter(), time.process_time()
state = stationary_state(cluster, comm=MPI.COMM_SELF)
print(json.dumps({
    "seconds": time.perf_counter() - start,
    "processor_seconds": time.process_time() - processor,
    "states": state.equation.chain.size,
    "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    "spin": state.mean_number - 2.0 * state.mean_flipped,
    "lost": state.loss.total,
}))
"""
"""A process of its own: what earlier tests have left in memory does not count."""


@pytest.mark.parametrize(
    ("a", "v", "spins"), [(1e3, 1e-3, 1e3), (1e4, 1e-3, 2e3), (10.0, 0.1, 4e3)], ids=["1e3", "2.4e3", "5.5e3"]
)
def test_stationary_state_at_critical_number_1e4(report, a: float, v: float, spins: float):
    """Up to N0 = 5.5e3 with a polarization of 0.57, where the model itself ends."""
    command = [sys.executable, "-c", STATIONARY, str(a), str(v)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    report(
        f"stationary state of a cluster, {found['states'] / 1e6:.2f} million states",
        f"{found['processor_seconds']:.1f} s, {found['peak_gib']:.1f} GiB",
    )
    assert found["spin"] > 0.5 * spins
    assert found["lost"] < 1e-10
    assert found["peak_gib"] < 4.0


def test_spectrum_of_100_points_at_critical_number_1e3(record_property):
    state = stationary_state(cluster(1e3, 1e-3, 1e3), comm=SELF)
    slow = state.equation.chain.slow
    f = np.geomspace(1e-2, 1e3, 100) * slow
    start, processor = time.perf_counter(), time.process_time()
    found = noise_spectrum(state, f)
    record_property("seconds", time.perf_counter() - start)
    record_property("processor_seconds", time.process_time() - processor)
    record_property("states", state.equation.chain.size)
    assert time.process_time() - processor < 30.0

    indptr, indices, values = state.equation.chain.matrix.getValuesCSR()
    n = state.equation.chain.size
    L = csr_matrix((values, indices, indptr), (n, n)).tocsc()
    N = state.equation.N.astype(float)
    start = time.process_time()
    one = [
        2.0 * float(np.real(N @ splu(2j * np.pi * x * identity(n, format="csc") - L).solve(
            ((N - state.mean_number) * state.p).astype(complex))))
        for x in f[::20]
    ]  # fmt: skip
    record_property("complex_solves_processor_seconds", 20.0 * (time.process_time() - start))
    np.testing.assert_allclose(found.number[::20], one, rtol=1e-5)


def test_trajectory_events(record_property):
    c = cluster(1e-3, 0.05, 1e4)
    simulate(c, duration=1.0, samples=10, seed=0)
    start = time.process_time()
    run = simulate(c, duration=4000.0, samples=4000, seed=1)
    speed = run.events / (time.process_time() - start)
    record_property("events_a_second", speed)
    assert speed > 1e6
