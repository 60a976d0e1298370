"""Closed forms that the numerical results are held against."""

from __future__ import annotations

import numpy as np

from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import CaseError
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.spectral.usadel import gap_edge, solve
from fvqp.typing import Floats

#: Energies of the closed form, on its own grid; errors of 5e-6 of the largest value.
NUMBER = 2000


def long_wire_conductance(problem: UsadelProblem, supercurrent: float, biases: Floats) -> Floats:
    """Non-local conductance of an infinite wire without coupling of the modes, siemens, ``(biases,)``.

    Ryan, Beckmann, Chandrasekhar (2026), Eq. 21, convolved with the injector's thermal distribution: points
    as junctions, ``κ = G_inj R_ξ/2`` for two branches in parallel, and no current drawn by the detector. The
    spectra are those at rest.

    Args:
        problem: on a line mesh with one injector and at least one detector (the first one counts).
        supercurrent: value of the supercurrent drive, 0 without.
        biases: ``V_inj`` in volt.

    Raises:
        CaseError: not a line, or not these junctions.
    """
    device = problem.device
    injectors = [k for k, j in enumerate(device.junctions) if j.role == "injector"]
    detectors = [k for k, j in enumerate(device.junctions) if j.role == "detector"]
    if device.mesh.dim != 1 or len(injectors) != 1 or not detectors:
        raise CaseError('compare = "analytic": needs a line with one injector and a detector')
    state, _ = problem.at_rest(supercurrent)
    positions = [problem.average_under(k, device.mesh.centroid) for k in (injectors[0], detectors[0])]
    material = device.material
    distance = float(np.linalg.norm(positions[1] - positions[0])) / material.coherence_length
    injector, detector = device.junctions[injectors[0]], device.junctions[detectors[0]]
    kappa = 0.5 * injector.conductance * material.coherence_resistance(device.transverse)
    gap, depairing = (
        float(problem.average_under(injectors[0], np.broadcast_to(a, (device.mesh.n_cells,))[:, None])[0])
        for a in (state.gap, state.depairing)
    )
    grid = EnergyAxis.graded(
        problem.grid.maximum,
        gap_edges=[float(gap_edge(gap, depairing))],
        first=problem.broadening / 50.0,
        number=NUMBER,
    )
    spectrum = solve(grid.energies, gap, depairing, problem.broadening)
    length = np.sqrt(spectrum.diffusion_T / spectrum.relaxation_T)
    injected = kappa * spectrum.dos / (kappa * spectrum.dos + spectrum.diffusion_T / length)
    response = injected * spectrum.dos * np.exp(-distance / length)
    t = injector.temperature / device.thermal_unit
    slopes = distributions.lead_derivative(grid.edges, biases / device.voltage_unit, t)[1]
    return detector.conductance * (slopes @ (response * grid.widths))
