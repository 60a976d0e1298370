"""Estimate of the error of the non-local conductance by the energy axis, from the spectra at rest.

Bins hold averages of the spectral functions and of the distributions of the leads, which is exact for what is
linear in one of them. The response of a wire is not: with long arms and weak junctions

    g(ε) ∝ N² (λ/𝒟_T) sinh((ℓ − x)/λ)/cosh(ℓ/λ),        λ = √(𝒟_T/R_T),

(Ryan, Beckmann, Chandrasekhar (2026), Eq. 21, for ``κ → 0``, with a reservoir at the distance ℓ from the
injector and the detector at x.) Convolved with the lead of the injector this is formed from the averages in
the bins and in small pieces of them; the difference is the error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fvqp.energy import thermal as distributions
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.spectral.usadel import BinnedSpectrum, bin_averages
from fvqp.typing import Floats

#: Width of the pieces of bins over the broadening, and pieces of a bin at most.
PIECE, MAX_PIECES = 0.25, 16

#: Biases at which errors are looked for, or some more.
MAX_BIASES = 25

#: Width of a piece at least, in Δ0.
MIN_PIECE = 1e-6


def axis_error(problem: UsadelProblem, supercurrent: float, biases: Sequence[float]) -> tuple[float, float]:
    """Return expected errors by the energy axis of ``g_nl`` and of the non-local current. Collective.

    Each is the largest error over the largest value at the biases, of the pair of an injector and a detector
    with the largest. 0 without a pair, beside normal metals, and for diffusive spectra, which are smooth on a
    scale of their own.

    Args:
        problem: the problem.
        supercurrent: value of the supercurrent drive, 0 without.
        biases: ``V_inj`` in volt.
    """
    device, mesh, unit = problem.device, problem.device.mesh, problem.device.material.coherence_length
    junctions = device.junctions
    if problem.proximity is not None or {j.role for j in junctions} != {"injector", "detector"}:
        return 0.0, 0.0
    state, _ = problem.at_rest(supercurrent)
    fields = [np.broadcast_to(a, (mesh.n_cells,))[:, None] for a in (state.gap, state.depairing)]
    places = [problem.average_under(k, mesh.centroid) / unit for k in range(len(junctions))]
    ends = _reservoir_places(problem) / unit
    piece = max(PIECE * problem.broadening, MIN_PIECE)
    grids = problem.grid, problem.grid.divided(0.0, problem.grid.maximum, piece, MAX_PIECES)
    some = np.asarray(biases)[:: len(biases) // MAX_BIASES + 1]
    worst = np.zeros(2)
    for i, injector in enumerate(junctions):
        gap, depairing = (float(problem.average_under(i, a)[0]) for a in fields)
        if injector.role != "injector" or gap <= 0.0:
            continue
        volts = np.array([injector.bias] if injector.bias is not None else some) / device.voltage_unit
        t = injector.temperature / device.thermal_unit
        spectra = [bin_averages(each.edges, gap, np.array([depairing]), problem.broadening) for each in grids]
        sources = [
            np.stack(
                [
                    distributions.lead_derivative(each.edges, volts, t)[1],
                    distributions.lead(each.edges, volts, t)[1],
                ]
            )
            * each.widths
            for each in grids
        ]
        for d, detector in enumerate(junctions):
            if detector.role != "detector":
                continue
            x = float(np.linalg.norm(places[d] - places[i]))
            length = x + float(np.linalg.norm(ends - places[d], axis=1).min())
            coarse, fine = (s @ _response(bins, x, length) for s, bins in zip(sources, spectra, strict=True))
            size = np.abs(fine).max(axis=1)
            off = np.divide(np.abs(coarse - fine).max(axis=1), size, out=np.zeros(2), where=size > 0.0)
            worst = np.maximum(worst, off)
    conductance, current = mesh.comm.bcast(worst)
    return float(conductance), float(current)


def _response(bins: BinnedSpectrum, x: float, length: float) -> Floats:
    """``g(ε)`` but for a factor, from bin averages; lengths in ξ."""
    inverse = np.sqrt(bins.relaxation_T[0] / bins.diffusion_T[0])
    # sinh((ℓ − x)/λ)/cosh(ℓ/λ) without overflow.
    decay = np.exp(-x * inverse) * -np.expm1(-2.0 * (length - x) * inverse)
    decay /= 1.0 + np.exp(-2.0 * length * inverse)
    return np.asarray(bins.dos[0] ** 2 * decay / (bins.diffusion_T[0] * inverse))


def _reservoir_places(problem: UsadelProblem) -> Floats:
    """Mean places of all boundaries with a reservoir, ``(boundaries, 3)``, on all ranks."""
    mesh = problem.device.mesh
    rows = []
    for reservoir in problem.device.reservoirs:
        for name in reservoir.on:
            faces = mesh.require_boundary(name)
            mine = faces[mesh.face_cells[faces, 0] < mesh.n_owned]
            rows.append([*mesh.face_centroid[mine].sum(axis=0), float(len(mine))])
    total = np.array(mesh.comm.allreduce(np.array(rows)))
    return np.asarray(total[:, :3] / total[:, 3:])
