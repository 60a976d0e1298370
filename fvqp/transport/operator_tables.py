"""Tables of faces and leads for the compiled loops of the kinetic operator (`fvqp.transport.kernels`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class OperatorFaces(NamedTuple):
    """Face geometry and coefficients for the compiled kernels.

    Attributes:
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        half: ``(n_faces, 2)`` siemens, cell to face.
        weight: ``(n_faces,)`` share of cell 0 in an interpolated face value.
        junction: ``(n_faces,)`` row of `Coefficients.junction`, `kernels.NONE` or `kernels.RESERVOIR`.
        terminal: ``(n_faces,)`` terminal of a junction or reservoir face, else −1.
        interface: ``(n_faces,)`` row of `Coefficients.interface`, or −1.
    """

    cells: NDArray
    half: NDArray
    weight: NDArray
    junction: NDArray
    terminal: NDArray
    interface: NDArray


class Coefficients(NamedTuple):
    """Coefficients that depend on energy; cell axes may have length one.

    Without junctions, interfaces and supercurrents, diffusion and reaction are all of them.

    Attributes:
        diffusion: ``(component, cell, energy)`` spectral diffusion coefficient.
        reaction: ``(component, cell, energy)`` relaxation rate in Δ0/ħ.
        advection: ``(cell, energy)`` spectral supercurrent j_ε; no columns if the components are uncoupled.
        supercurrent_conductance: ``(n_faces,)`` normal-state conductance times phase drop from cell 0 to cell
            1, siemens; not read if the components are uncoupled.
        junction: ``(junction faces, energy)`` conductance × density of states, siemens.
        interface: ``(component, interface faces, energy)`` conductance × coherence factor, siemens.
        lead: ``(lead cells, energy)`` conductance × density of states of junctions spread over cells.
    """

    diffusion: NDArray
    reaction: NDArray
    advection: NDArray = np.empty((1, 0))
    supercurrent_conductance: NDArray = np.empty(0)
    junction: NDArray = np.empty((0, 1))
    interface: NDArray = np.empty((1, 0, 1))
    lead: NDArray = np.empty((0, 1))


class Links(NamedTuple):
    """Conductances of all faces at all energies, siemens (`face_links`).

    Attributes:
        link: ``(component, n_faces, energy)`` between the two projected points, or point and reservoir.
        tunnel: ``(component, junction faces, side, energy)`` between a projected point and the lead.
        advected: ``(n_faces, energy)`` drop × j_ε at the face; no columns if the components are uncoupled.
    """

    link: NDArray
    tunnel: NDArray
    advected: NDArray


class LeadCells(NamedTuple):
    """Junctions spread over cells: ``cells`` and their ``terminal``, one entry a cell and junction."""

    cells: NDArray
    terminal: NDArray
