"""Effects of tunnel junctions on the spectra of a superconductor, which the model leaves out."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from fvqp.models.usadel.device import Device, Junction
from fvqp.transport.operator import Transport
from fvqp.typing import Floats


def level_broadening(device: Device, transport: Transport) -> Floats:
    """Energies in Δ0 by which electrons that leave for the leads broaden the states under every junction.

    ``ħG/(4 e² N0 V)``, with the volume V within a coherence length of the junction, over which the spectra
    are shared (theory: contacts); 0 for junctions on normal metals alone, whose states they leave as they
    are. Shape ``(n_junctions,)``. Collective.
    """
    return np.array([_broadening(device, transport, junction) for junction in device.junctions])


def _broadening(device: Device, transport: Transport, junction: Junction) -> float:
    mesh = device.mesh
    if junction.on in mesh.regions:
        under = mesh.regions[junction.on]
    else:
        under = np.unique(mesh.face_cells[mesh.require_boundary(junction.on)])
    under = under[(under >= 0) & (under < mesh.n_owned)]
    superconducting = device.per_cell("gap")[under] > 0.0
    if not mesh.comm.allreduce(int(superconducting.sum())):
        return 0.0
    places = np.concatenate(mesh.comm.allgather(mesh.centroid[under]))
    reach = device.material.coherence_length
    distance, _ = cKDTree(places).query(mesh.centroid[: mesh.n_owned], distance_upper_bound=reach)
    # Of every cell σV/ξ² = 2 N0 e² V Δ0/ħ.
    capacity = mesh.comm.allreduce(float(transport.capacity[np.isfinite(distance)].sum()))
    return junction.conductance / (2.0 * capacity)
