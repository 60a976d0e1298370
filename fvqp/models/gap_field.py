"""The gap of every cell: in equilibrium, and its next iterate out of equilibrium."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import equilibrium_gap, gap_residual
from fvqp.grids import energy as distributions
from fvqp.grids.energy import EnergyGrid
from fvqp.models.device import Device
from fvqp.spectral.usadel import bin_averages
from fvqp.transport.operator import Transport

Floats = NDArray[np.float64]

#: A gap below this fraction of the bulk value on the way to self-consistency does not come back.
COLLAPSED = 0.05

#: Why a local gap can fail where a uniform one does not.
TRAPS = (
    "without inelastic collisions quasiparticles stay where the gap is low and lower it more; "
    'gap.model = "uniform" has no such traps'
)


@dataclass(frozen=True)
class GapModel:
    """Where the gap comes from.

    Attributes:
        kind: ``equilibrium`` (of the bath), ``fixed`` (``value``), ``uniform`` (one gap for the whole
            device, from f_L under a junction), ``local`` (each cell its own).
        value: the fixed gap in Δ0.
        at: the junction whose f_L counts, by name or by the place it is on.
        debye_energy: cut-off ω_D of the gap equation in Δ0.
        rule: ``arccosh`` or ``arcsinh``: which function of ω_D the coupling constant is the inverse of.
    """

    kind: Literal["equilibrium", "fixed", "uniform", "local"] = "equilibrium"
    value: float | None = None
    at: str | None = None
    debye_energy: float = 10.0
    rule: Literal["arccosh", "arcsinh"] = "arccosh"

    @property
    def follows_bias(self) -> bool:
        """Whether the gap depends on the distribution."""
        return self.kind in ("uniform", "local")


class GapField:
    """The gap equation on a device.

    Args:
        device, transport: geometry, materials and contacts.
        grid: energy bins of the distributions.
        broadening: Dynes' Γ in Δ0.
        model: where the gap comes from.

    Raises:
        CaseError: the junction that a uniform gap follows does not exist or lies on a normal metal.
    """

    def __init__(
        self, device: Device, transport: Transport, grid: EnergyGrid, broadening: float, model: GapModel
    ) -> None:
        self.device, self.transport, self.grid = device, transport, grid
        self.broadening, self.model = broadening, model
        #: Bulk gap of every cell in Δ0; 0 in a normal metal.
        self.bulk = device.per_cell("gap") / device.material.gap
        self._junction = self._junction_at(str(model.at)) if model.kind == "uniform" else -1
        #: Gap of every cell over the one that a uniform model follows.
        self.profile = self.bulk
        if self._junction >= 0:
            there = float(transport.average_under(self._junction, self.bulk[:, None])[0])
            if there <= 0.0:
                raise CaseError(f"gap.at: {model.at!r} lies on a normal metal, which has no gap to follow")
            self.profile = self.bulk / there

    @cached_property
    def _superconductors(self) -> list[tuple[float, NDArray[np.int64]]]:
        """Bulk gaps (in Δ0) that occur in the device, each with its cells; normal metals are left out."""
        present = self.device.mesh.comm.allgather(set(np.unique(self.bulk).tolist()))
        known: set[float] = set().union(*present)
        return [(value, np.flatnonzero(self.bulk == value)) for value in sorted(known) if value > 0.0]

    def equilibrium(self, depairing: Floats) -> Floats:
        """Gap of every cell in equilibrium with the bath, for its depairing ``(n_cells,)``."""
        gap = np.zeros(self.device.mesh.n_cells)
        for bulk, cells in self._superconductors:
            if self.model.kind == "fixed" and self.model.value is not None:
                gap[cells] = self.model.value * bulk
            elif len(cells):
                values, inverse = np.unique(depairing[cells], return_inverse=True)
                found = equilibrium_gap(
                    self.device.bath / bulk,
                    values / bulk,
                    self.broadening / bulk,
                    cutoff=self.model.debye_energy / bulk,
                    rule=self.model.rule,
                )
                gap[cells] = bulk * found[inverse.ravel()]
        return gap

    def require_superconducting(self, gap: Floats, what: str) -> None:
        """Raise `ConvergenceError` on all ranks if the gap of a superconducting cell has collapsed."""
        mesh = self.device.mesh
        lost: tuple[float, list[float]] | None = None
        for bulk, cells in self._superconductors:
            here = cells[gap[cells] < COLLAPSED * bulk]
            if len(here):
                worst = here[np.argmin(gap[here])]
                lost = (float(gap[worst]), (mesh.centroid[worst] * 1e6).round(4).tolist())
        found = [entry for entry in mesh.comm.allgather(lost) if entry is not None]
        if not found:
            return
        where = min(found)[1]
        hint = f"; {TRAPS}" if self.model.kind == "local" else ""
        raise ConvergenceError(f"{what}: superconductivity is destroyed, first near {where} um{hint}")

    def update(self, gap: Floats, depairing: Floats, f_l: Floats) -> Floats:
        """Next gap of every cell from the deviations of f_L, ``Δ exp(g/λ)`` with g the relative residual."""
        if self.model.kind in ("equilibrium", "fixed"):
            return self.equilibrium(depairing)
        new = np.zeros_like(gap)
        if self.model.kind == "uniform":
            here = self.uniform_value(gap)
            return here * np.exp(self.uniform_residual(here, depairing, f_l)) * self.profile
        for bulk, cells in self._superconductors:
            if len(cells):
                new[cells] = self._next(bulk, gap[cells], depairing[cells], f_l[cells])
        return new

    def average(self, cells: Floats) -> Floats:
        """Average of ``cells[n_owned or n_cells, ...]`` under the junction that a uniform gap follows."""
        return self.transport.average_under(self._junction, cells)

    def uniform_value(self, gap: Floats) -> float:
        """Gap under the junction that a uniform gap follows; ``gap`` is ``(n_cells or 1,)``."""
        return float(gap[0] if len(gap) == 1 else self.average(gap[:, None])[0])

    def uniform_residual(self, gap: float, depairing: Floats, f_l: Floats) -> float:
        """Residual of the gap equation of a uniform gap, close to ``ln(Δ_solution/Δ)``.

        Args:
            gap: under the junction that it follows.
            depairing: ``(n_cells or 1,)``.
            f_l: deviations ``(n_owned or n_cells, n_energies)``.
        """
        return float(self._residual(self._bulk_there, gap, self._zeta(depairing), self.average(f_l)[None])[0])

    @cached_property
    def _bulk_there(self) -> float:
        return float(self.average(self.bulk[:, None])[0])

    def _zeta(self, depairing: Floats) -> Floats:
        return depairing if len(depairing) == 1 else self.average(depairing[:, None])

    def _next(self, bulk: float, gap: Floats, depairing: Floats, deviation: Floats) -> Floats:
        """``Δ exp r`` for some cells of one bulk gap."""
        return gap * np.exp(self._residual(bulk, gap, depairing, deviation))

    def _residual(self, bulk: float, gap: Floats | float, depairing: Floats, deviation: Floats) -> Floats:
        """`gap_residual` of some cells of one bulk gap; everything is scaled by that gap."""
        edges = self.grid.edges / bulk
        gap, depairing, broadening, bath = (
            gap / bulk,
            depairing / bulk,
            self.broadening / bulk,
            self.device.bath / bulk,
        )
        return gap_residual(
            deviation + distributions.equilibrium(edges, bath),
            edges,
            bin_averages(edges, gap, depairing, broadening),
            depairing,
            broadening,
            cutoff=self.model.debye_energy / bulk,
            rule=self.model.rule,
            temperature=bath,
        )

    def _junction_at(self, place: str) -> int:
        """Number of the junction of that name, or on that part of the mesh."""
        for number, junction in enumerate(self.device.junctions):
            if place in (junction.name, junction.on):
                return number
        known = ", ".join(f"{j.name} on {j.on}" for j in self.device.junctions) or "none"
        raise CaseError(f"gap.at: there is no junction at {place!r} (junctions: {known})")
