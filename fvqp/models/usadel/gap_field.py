"""The gap of every cell: in equilibrium, and its next iterate out of equilibrium."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from mpi4py import MPI

from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import CaseError, SuperconductivityDestroyed, require_choice
from fvqp.gap import equilibrium_gap, equilibrium_residual, gap_residual, gap_weights
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.proximity import Proximity
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.solvers.scalar_root import follow_root
from fvqp.spectral.usadel import BinnedSpectrum, bin_averages
from fvqp.transport.operator import Transport
from fvqp.typing import Bools, Floats, Ints, Ints32

#: A gap below this fraction of the bulk value on the way to self-consistency does not come back.
COLLAPSED = 0.05

#: Gap over that of the bulk below which the gap equation of a cell is that of this one.
SMALL = 1e-6

#: Share of the local correction of a gap that is coupled to its neighbours': the equation has slopes
#: between −1 (for a uniform change) and −1/λ (for one from cell to cell).
MIXED = 0.5

#: Largest step of ln Δ on the way to a uniform gap, and of a gap that is predicted.
LARGEST_CHANGE = 0.05

#: Evaluations of the gap at rest where spectra are spatially coupled.
MAX_EVALUATIONS = 200


@dataclass(frozen=True)
class GapModel:
    """Model of the gap.

    Attributes:
        kind: ``equilibrium`` (of the bath), ``fixed`` (``value``), ``uniform`` (one gap for the whole
            device, from the pair potential under a junction), ``local`` (each cell its own).
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

    def __post_init__(self) -> None:
        require_choice("GapModel.kind", self.kind, ("equilibrium", "fixed", "uniform", "local"))
        require_choice("GapModel.rule", self.rule, ("arccosh", "arcsinh"))

    @property
    def follows_bias(self) -> bool:
        """True if the gap depends on the distribution."""
        return self.kind in ("uniform", "local")

    def of_bulk(self, bulk: float, temperature: float, depairing: Floats, broadening: float) -> Floats:
        """Gap of a bulk metal of gap ``bulk`` at zero temperature, for every depairing; all in Δ0."""
        if self.kind == "fixed" and self.value is not None:
            return np.full(len(depairing), self.value * bulk)
        return bulk * equilibrium_gap(
            temperature / bulk,
            depairing / bulk,
            broadening / bulk,
            cutoff=self.debye_energy / bulk,
            rule=self.rule,
        )


def diffusive_spectra(
    device: Device, transport: Transport, grid: EnergyAxis, broadening: float, model: GapModel, method: str
) -> Proximity:
    """Spectra of the diffusive equation; reservoirs have the bulk gap of the model."""

    def bulk(gap: float, temperature: float, depairing: float) -> float:
        return float(model.of_bulk(gap, temperature, np.array([depairing]), broadening)[0])

    return Proximity(device, transport, grid, broadening, bulk, method)


class GapField:
    """The gap equation on a device.

    Args:
        device, transport: geometry, materials and contacts.
        grid: energy bins of the distributions.
        broadening: Dynes' Γ in Δ0.
        model: where the gap comes from.
        proximity: spatially coupled spectra; None for local ones.
        tolerance: to which the gap at rest converges then, in Δ0.

    Raises:
        CaseError: the junction that a uniform gap follows does not exist or lies on a normal metal.
    """

    def __init__(
        self,
        device: Device,
        transport: Transport,
        grid: EnergyAxis,
        broadening: float,
        model: GapModel,
        proximity: Proximity | None = None,
        tolerance: float = 1e-10,
    ) -> None:
        self.device, self.transport, self.grid = device, transport, grid
        self.proximity, self.tolerance = proximity, tolerance
        self._rest: Floats | None = None
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
    def _superconductors(self) -> list[tuple[float, Ints]]:
        """Bulk gaps (in Δ0) that occur in the device, each with its cells; normal metals are left out."""
        present = self.device.mesh.comm.allgather(set(np.unique(self.bulk).tolist()))
        known: set[float] = set().union(*present)
        return [(value, np.flatnonzero(self.bulk == value)) for value in sorted(known) if value > 0.0]

    def equilibrium(self, depairing: Floats) -> Floats:
        """Gap of every cell in equilibrium with the bath, for its depairing ``(n_cells,)``."""
        gap = np.zeros(self.device.mesh.n_cells)
        for bulk, cells in self._superconductors:
            if len(cells):
                values, inverse = np.unique(depairing[cells], return_inverse=True)
                found = self.model.of_bulk(bulk, self.device.bath, values, self.broadening)
                gap[cells] = found[inverse.ravel()]
        if self.proximity is None or self.model.kind == "fixed":
            return gap
        return self._with_neighbours(self.proximity, gap, depairing)

    def _with_neighbours(self, proximity: Proximity, bulk: Floats, depairing: Floats) -> Floats:
        """Gap in equilibrium with the bath for spatially coupled spectra, from that of the bulk."""
        mesh = self.device.mesh
        n = mesh.n_owned
        first = bulk if self._rest is None else self._rest
        if self.model.kind == "uniform":
            self._rest = self._one_with_neighbours(first, depairing)
            return self._rest

        def update(owned: Floats) -> Floats:
            gap = np.zeros(mesh.n_cells)
            gap[:n] = np.maximum(owned, 0.0)
            mesh.exchange(gap)
            return self._next_of_all(proximity, gap, depairing, None)[:n]

        found = solve_fixed_point(
            update,
            first[:n].copy(),
            comm=mesh.comm,
            tolerance=self.tolerance,
            what="gap at rest",
            max_evaluations=MAX_EVALUATIONS,
        )
        gap = np.zeros(mesh.n_cells)
        gap[:n] = found.x
        mesh.exchange(gap)
        self._rest = gap
        return gap

    def _one_with_neighbours(self, start: Floats, depairing: Floats) -> Floats:
        """`_with_neighbours` where one gap stands for all."""
        what = "gap at rest"

        def residual(logarithm: float) -> float:
            gap = float(np.exp(logarithm))
            self.require_superconducting(gap * self.profile, what)
            return self.uniform_residual(gap, depairing, None)

        root = follow_root(
            residual,
            float(np.log(self.uniform_value(start))),
            tolerance=self.tolerance,
            what=what,
            largest_step=LARGEST_CHANGE,
            max_evaluations=MAX_EVALUATIONS,
        )
        return np.exp(root.x) * self.profile

    def _next_of_all(
        self, proximity: Proximity, gap: Floats, depairing: Floats, deviation: Floats | None
    ) -> Floats:
        """Next gap of every cell for spatially coupled spectra; ``deviation`` of f_L from the bath."""
        r = MIXED * self._residual_of_all(proximity, gap, depairing, deviation)
        here = np.maximum(gap, SMALL * self.bulk)
        # Both have one slope at the root; neither leaves the positive numbers.
        return np.where(r > 0.0, here * (1.0 + r), here * np.exp(np.minimum(r, 0.0)))

    def _residual_of_all(
        self, proximity: Proximity, gap: Floats, depairing: Floats, deviation: Floats | None
    ) -> Floats:
        """Residual of the gap equation of every cell for spatially coupled spectra; 0 in normal metals."""
        beyond = proximity.pairing_beyond_local(gap, depairing)
        spectrum = None if deviation is None else proximity.spectrum(gap, depairing)
        r = np.zeros_like(gap)
        for bulk, cells in self._superconductors:
            if len(cells):
                here = np.maximum(gap[cells], SMALL * bulk)
                f_l = known = None
                if deviation is not None and spectrum is not None:
                    f_l, known = deviation[cells], replace(_of_cells(spectrum, cells), gap=here[:, None])
                r[cells] = self._residual(bulk, here, depairing[cells], f_l, known, beyond[cells])
        return r

    def lost(self, gap: Floats) -> Bools:
        """Cells of superconductors whose gap has collapsed, ``(n_cells,)``."""
        return np.asarray((self.bulk > 0.0) & (gap < COLLAPSED * self.bulk))

    def require_superconducting(self, gap: Floats, what: str, *, everywhere: bool = False) -> None:
        """Raise `SuperconductivityDestroyed` on all ranks if the gap has collapsed in all superconductors.

        With ``everywhere`` if it has in any, but for cells coupled to others beside them, whose
        gap may be as small as it likes.
        """
        mesh = self.device.mesh
        lost = self.lost(gap)
        if not everywhere or self.proximity is not None:
            alive = bool(np.any((self.bulk > 0.0) & ~lost))
            if mesh.comm.allreduce(alive, MPI.LOR):
                return
        worst: tuple[float, list[float]] | None = None
        if np.any(lost):
            cells = np.flatnonzero(lost)
            first = cells[np.argmin(gap[cells] / self.bulk[cells])]
            worst = (float(gap[first]), (mesh.centroid[first] * 1e6).round(4).tolist())
        found = [entry for entry in mesh.comm.allgather(worst) if entry is not None]
        if found:
            # One gap for all cells is lost in all at once.
            where = "" if self.model.kind == "uniform" else f", first near {min(found)[1]} um"
            raise SuperconductivityDestroyed(f"{what}: superconductivity is destroyed{where}")

    def update(
        self,
        gap: Floats,
        depairing: Floats,
        f_l: Floats,
        external: Floats,
        spectrum: BinnedSpectrum | None = None,
    ) -> Floats:
        """Next gap of every cell from the deviations of f_L, ``Δ exp(g/λ)`` with g the relative residual.

        ``external``: those in the terminals, ``(terminals, n_energies)``. ``spectrum``: of these gaps, all
        bins, where it is known.
        """
        if self.model.kind in ("equilibrium", "fixed"):
            return self.equilibrium(depairing)
        if self.model.kind == "uniform":
            one = self.uniform_value(gap)
            return one * np.exp(self.uniform_residual(one, depairing, f_l, external)) * self.profile
        if self.proximity is not None:
            return self._next_of_all(self.proximity, gap, depairing, f_l)
        new = np.zeros_like(gap)
        for bulk, cells in self._superconductors:
            if len(cells):
                here = np.maximum(gap[cells], SMALL * bulk)
                known = None
                if spectrum is not None and len(spectrum.dos) == len(gap) and np.all(gap[cells] == here):
                    known = _of_cells(spectrum, cells)
                new[cells] = here * np.exp(self._residual(bulk, here, depairing[cells], f_l[cells], known))
        return new

    def average(self, cells: Floats) -> Floats:
        """Average of ``cells[n_owned or n_cells, ...]`` under the junction that a uniform gap follows."""
        return self.transport.average_under(self._junction, cells)

    def uniform_value(self, gap: Floats) -> float:
        """Gap under the junction that a uniform gap follows; ``gap`` is ``(n_cells or 1,)``."""
        return float(gap[0] if len(gap) == 1 else self.average(gap[:, None])[0])

    def uniform_residual(
        self, gap: float, depairing: Floats, f_l: Floats | None, external: Floats | None = None
    ) -> float:
        """Residual of the gap equation of a uniform gap, close to ``ln(Δ_solution/Δ)``.

        It takes the f_L that the junction taps (`Transport.tapped`). For spatially coupled spectra it
        is the average of the cells under the junction, their f_L shifted to that one.

        Args:
            gap: under the junction that it follows.
            depairing: ``(n_cells or 1,)``.
            f_l: deviations ``(n_cells, n_energies)``; None at rest.
            external: deviations in the terminals, ``(terminals, n_energies)``; None at rest.
        """
        if self.proximity is not None:
            zeta = np.broadcast_to(depairing, self.profile.shape).copy()
            if f_l is not None:
                assert external is not None, "there are leads"
                spectrum = self.proximity.spectrum(gap * self.profile, zeta)
                f_l = f_l + (self._tapped(spectrum, f_l, external) - self.average(f_l))
            cells = self._residual_of_all(self.proximity, gap * self.profile, zeta, f_l)
            r = float(self.average(cells[:, None])[0])
        else:
            zeta, there, spectrum = self._zeta(depairing), None, None
            if f_l is not None:
                assert external is not None, "there are leads"
                spectrum = bin_averages(self.grid.edges, gap, zeta, self.broadening)
                there = self._tapped(spectrum, f_l, external)[None]
            r = float(self._residual(self._bulk_there, gap, zeta, there, spectrum)[0])
        # One number for all ranks, to the last bit: walks along it must not part.
        return float(self.device.mesh.comm.bcast(r))

    def uniform_weights(
        self, gap: float, depairing: Floats, f_l: Floats, external: Floats
    ) -> tuple[Ints32, Floats]:
        """Derivative of `uniform_residual` by f_L: owned cells and their weights ``(cells, n_energies)``.

        Arguments as there, with local spectra.
        """
        bulk = self._bulk_there
        edges, bath = self.grid.edges / bulk, self.device.bath / bulk
        zeta, broadening = self._zeta(depairing) / bulk, self.broadening / bulk
        spectrum = bin_averages(edges, gap / bulk, zeta, broadening)
        weights = gap_weights(
            self._tapped(spectrum, f_l, external)[None] + distributions.equilibrium(edges, bath),
            edges,
            spectrum,
            zeta,
            broadening,
            cutoff=self.model.debye_energy / bulk,
            temperature=bath,
        )
        cells, shares, _ = self.transport.tapped(self._junction, spectrum.diffusion_L, spectrum.dos)
        return cells, shares * weights

    def _tapped(self, spectrum: BinnedSpectrum, f_l: Floats, external: Floats) -> Floats:
        """Deviation of the f_L that the junction taps, ``(n_energies,)``, from those of cells and terminals.

        Collective; ``spectrum`` is that of all cells or of each.
        """
        cells, shares, lead = self.transport.tapped(self._junction, spectrum.diffusion_L, spectrum.dos)
        total = np.ascontiguousarray((shares * f_l[cells]).sum(axis=0) + lead * external[self._junction])
        self.device.mesh.comm.Allreduce(MPI.IN_PLACE, total)
        return total

    @cached_property
    def _bulk_there(self) -> float:
        return float(self.average(self.bulk[:, None])[0])

    def _zeta(self, depairing: Floats) -> Floats:
        return depairing if len(depairing) == 1 else self.average(depairing[:, None])

    def _residual(
        self,
        bulk: float,
        gap: Floats | float,
        depairing: Floats,
        deviation: Floats | None,
        spectrum: BinnedSpectrum | None = None,
        beyond: Floats | float = 0.0,
    ) -> Floats:
        """`gap_residual` of some cells of one bulk gap; everything is scaled by that gap.

        Without a deviation of f_L it is that of the bath. ``spectrum``: of these cells, where it is known.
        ``beyond``: the pairing that neighbours add in equilibrium.
        """
        edges = self.grid.edges / bulk
        gap, depairing, broadening, bath = (
            gap / bulk,
            depairing / bulk,
            self.broadening / bulk,
            self.device.bath / bulk,
        )
        if deviation is None:
            cutoff, rule = self.model.debye_energy / bulk, self.model.rule
            alone = equilibrium_residual(gap, depairing, broadening, bath, cutoff=cutoff, rule=rule)
            return alone + beyond / bulk / gap
        if spectrum is None:
            spectrum = bin_averages(edges, gap, depairing, broadening)
        else:
            spectrum = replace(spectrum, gap=spectrum.gap / bulk)
        return gap_residual(
            deviation + distributions.equilibrium(edges, bath),
            edges,
            spectrum,
            depairing,
            broadening,
            cutoff=self.model.debye_energy / bulk,
            rule=self.model.rule,
            temperature=bath,
            beyond=beyond / bulk,
        )

    def _junction_at(self, place: str) -> int:
        """Number of the junction of that name, or on that part of the mesh."""
        for number, junction in enumerate(self.device.junctions):
            if place in (junction.name, junction.on):
                return number
        known = ", ".join(f"{j.name} on {j.on}" for j in self.device.junctions) or "none"
        raise CaseError(f"gap.at: there is no junction at {place!r} (junctions: {known})")


def _of_cells(spectrum: BinnedSpectrum, cells: Ints) -> BinnedSpectrum:
    return BinnedSpectrum(**{name: a[cells] for name, a in vars(spectrum).items()})
