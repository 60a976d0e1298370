"""Drives and losses of quasiparticles in regions of a body: microwaves, and traps that are no region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

from fvqp.case.boltzmann.build import Units, require_resolved
from fvqp.case.boltzmann.drives import Microwave
from fvqp.case.quantities import Frequency
from fvqp.case.tables import AS_LIST, ONCE, Name, Table
from fvqp.collisions import CollisionGrid, PhotonDrive, Process
from fvqp.collisions.sources import ConstantTrapping
from fvqp.errors import CaseError
from fvqp.typing import Floats

Regions = Annotated[tuple[Name, ...], AS_LIST, ONCE]


class LocalMicrowave(Microwave):
    """Photons of one mode, absorbed and emitted by quasiparticles; above twice the gap they break pairs."""

    regions: Regions = ()
    """Only there; default: wherever there are quasiparticles."""


class LocalTrapping(Table):
    """Quasiparticles are lost at one rate to traps too small for the mesh, down to those of the bath."""

    rate: Frequency
    regions: Regions = ()
    """Only there; default: wherever there are quasiparticles."""


class WithSources(Protocol):
    """Protocol of a case with local sources."""

    microwaves: tuple[LocalMicrowave, ...]
    trapping: tuple[LocalTrapping, ...]


def drives(
    case: WithSources,
    units: Units,
    grid: CollisionGrid,
    bath: Floats,
    density: float,
    within: Callable[[LocalMicrowave | LocalTrapping], Floats],
) -> dict[str, Process]:
    """Processes of a medium by their keys in the case.

    Args:
        case: with the tables.
        units, grid: of the run.
        bath: occupation of quasiparticles in equilibrium, ``(N,)``.
        density: N0 of the medium over that of the reference.
        within: 1 in those of the medium's cells where a table acts, else 0.

    Raises:
        CaseError: photons that fit into no two bins.
    """
    out: dict[str, Process] = {}
    for number, microwave in enumerate(case.microwaves):
        there = within(microwave)
        frequency = microwave.photon_energy.in_delta0(units.energy)
        key = f"microwaves[{number}]"
        try:
            require_resolved(frequency, grid)
            if microwave.absorbed_power is not None:
                power = microwave.absorbed_power / units.power_density / density * there
                out[key] = PhotonDrive.at_power(grid, frequency, power)
            else:
                assert microwave.photons is not None and microwave.coupling is not None
                coupling = microwave.coupling * units.time * there
                out[key] = PhotonDrive.mode(grid, frequency, coupling, microwave.photons)
        except CaseError as error:
            raise CaseError(f"{key}.photon_energy: {error}") from None
    for number, trap in enumerate(case.trapping):
        rate = trap.rate * units.time * within(trap)
        out[f"trapping[{number}]"] = ConstantTrapping(grid, rate[:, None], bath)
    return out
