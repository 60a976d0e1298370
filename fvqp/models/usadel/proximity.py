"""Spatially coupled spectra of a device: bin averages for the kinetics, sums for gap and current.

The kinetic equations take averages of the spectral functions over bins from the angles at nodes inside the
bins; what equilibrium contributes to the gap equation and to the superfluid density is a sum over imaginary
frequencies, where the angle is real and smooth (theory: proximity).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.models.usadel.device import Device, Reservoir
from fvqp.models.usadel.pairing_angle import BLOCK, UsadelEquation
from fvqp.spectral.branch import SMALLEST_BROADENING
from fvqp.spectral.pairing_angle import add_averages, local_angle
from fvqp.spectral.quadrature import BinRule, MatsubaraRule
from fvqp.spectral.usadel import BinnedSpectrum, gap_edge
from fvqp.transport.operator import Transport
from fvqp.typing import Floats, Ints

#: Gap of a bulk metal from its gap at zero temperature, its temperature and depairing, all in Δ0.
BulkGap = Callable[[float, float, float], float]

#: What is kept per cell and bin, in doubles: seven averages, and angles at some five nodes.
DOUBLES_OF_PROXIMITY = 17

#: Steps in which quadrature follows sharp edges, over the broadening, and the range of all edges, in Δ0.
STEP_OF_SHARP, STEP_OF_RANGE = 0.125, 0.05


class Proximity:
    """Spectra of the diffusive Usadel equation for any gap and depairing of the cells.

    Args:
        device, transport: geometry, materials and contacts.
        grid: energy bins.
        broadening: Dynes' Γ in Δ0.
        bulk_gap: of the reservoirs.
        method: linear solver, see `fvqp.solvers.linear`.

    Raises:
        CaseError: the cells next to a reservoir are of several metals, so that its own is not known.
    """

    def __init__(
        self,
        device: Device,
        transport: Transport,
        grid: EnergyAxis,
        broadening: float,
        bulk_gap: BulkGap,
        method: str = "auto",
    ) -> None:
        self.device, self.grid = device, grid
        self.broadening = max(broadening, SMALLEST_BROADENING)
        self._bulk_gap = bulk_gap
        self._equation = UsadelEquation(device, transport, method)
        self._matsubara = MatsubaraRule.at(device.bath)
        self._contacts = [self._contact(reservoir) for reservoir in device.reservoirs]
        self._asked: tuple[Floats, Floats] = np.empty(0), np.empty(0)
        self._spectrum: BinnedSpectrum | None = None
        self._nodes = np.empty(0)
        self._angles: Floats | None = None
        self._imaginary: Floats | None = None

    # -- contacts

    def _contact(self, reservoir: Reservoir) -> tuple[float, float, Ints]:
        """Gap at zero temperature and temperature in Δ0, and the owned cells next to a reservoir."""
        device, mesh = self.device, self.device.mesh
        cells = np.concatenate([mesh.face_cells[mesh.require_boundary(name), 0] for name in reservoir.on])
        cells = cells[cells < mesh.n_owned].astype(np.int64)
        temperature = reservoir.temperature / device.thermal_unit
        if reservoir.gap is not None:
            return reservoir.gap / device.material.gap, temperature, cells
        gaps = set(np.unique(device.per_cell("gap")[cells] / device.material.gap).tolist())
        gaps = set().union(*mesh.comm.allgather(gaps))
        if len(gaps) > 1:
            raise CaseError(
                f"reservoir {reservoir.name}: borders on metals of different gaps, so that its own is not "
                "known; give each boundary a reservoir of its own, or give gap"
            )
        return gaps.pop(), temperature, cells

    def reservoirs(self, depairing: Floats) -> Floats:
        """Δ and ζ of every terminal's bulk, ``(terminals, 2)``; 0 for the normal leads of junctions.

        A reservoir has the depairing of the cells next to it: what is in it goes on in the device.
        """
        rows = [(0.0, 0.0)] * len(self.device.junctions)
        for bulk, temperature, cells in self._contacts:
            sums = np.array([float(depairing[cells].sum()), float(len(cells))])
            self.device.mesh.comm.Allreduce(MPI.IN_PLACE, sums)
            zeta = float(sums[0] / sums[1])
            rows.append((self._bulk_gap(bulk, temperature, zeta) if bulk > 0.0 else 0.0, zeta))
        return np.array(rows)

    def require_superconducting(self) -> None:
        """Raise `CaseError` unless cells and reservoirs are superconductors. Collective.

        The phase of F is taken to be that of the order parameter; in a normal metal it would be a field of
        its own at every energy.
        """
        normal = bool(np.any(self.device.per_cell("gap") == 0.0))
        normal = normal or any(bulk == 0.0 for bulk, _, _ in self._contacts)
        if self.device.mesh.comm.allreduce(normal, MPI.LOR):
            raise CaseError(
                'supercurrent: with spectrum.model = "diffusive" it flows through superconductors only; the '
                "device or a reservoir is normal somewhere"
            )

    def sharp_edges(self, gap: Floats, depairing: Floats) -> list[float]:
        """Energies of sharp spectral edges: of the reservoirs, and the largest of the cells.

        ``gap`` and ``depairing`` are ``(n_cells or 1,)``.
        """
        return self._edges(*self._of_all_cells(gap, depairing))[0]

    def _of_all_cells(self, gap: Floats, depairing: Floats) -> tuple[Floats, Floats]:
        n = self.device.mesh.n_cells
        return np.broadcast_to(gap, (n,)).astype(float), np.broadcast_to(depairing, (n,)).astype(float)

    def _edges(self, gap: Floats, depairing: Floats) -> tuple[list[float], tuple[float, float]]:
        """Sharp edges, and the range that the edges of all superconducting cells and reservoirs span."""
        reservoirs = self.reservoirs(depairing)[len(self.device.junctions) :]
        own = gap_edge(reservoirs[:, 0], reservoirs[:, 1])
        here = gap_edge(gap, depairing)[gap > 0.0]
        comm = self.device.mesh.comm
        top = comm.allreduce(float(here.max(initial=0.0)), MPI.MAX)
        low = comm.allreduce(float(here.min(initial=np.inf)), MPI.MIN)
        sharp = [float(edge) for edge in (*own, top) if edge > 0.0]
        return sharp, (min([low, *sharp]), max(sharp, default=0.0))

    # -- on the real axis

    def spectrum(self, gap: Floats, depairing: Floats) -> BinnedSpectrum:
        """Bin averages of the spectral functions, ``(n_cells, bins)``; the last one is kept. Collective.

        Args:
            gap, depairing: ``(n_cells or 1,)``.

        Raises:
            ConvergenceError: names the energy without a solution.
        """
        asked = self._of_all_cells(gap, depairing)
        same = all(np.array_equal(a, b) for a, b in zip(asked, self._asked, strict=True))
        if self._spectrum is None or not self.device.mesh.comm.allreduce(same, MPI.LAND):
            self._spectrum = self._solved(*asked)
            self._asked = asked
        return self._spectrum

    def _solved(self, gap: Floats, depairing: Floats) -> BinnedSpectrum:
        sharp, (low, high) = self._edges(gap, depairing)
        # In steps, so that averages are smooth functions of the gaps at nodes that stay where they are.
        sharp = [
            STEP_OF_SHARP * self.broadening * round(edge / self.broadening / STEP_OF_SHARP) for edge in sharp
        ]
        between = STEP_OF_RANGE * np.floor(low / STEP_OF_RANGE), STEP_OF_RANGE * np.ceil(high / STEP_OF_RANGE)
        rule = BinRule.around(self.grid.edges, sharp, between, self.broadening)
        z = np.asarray(rule.nodes + 1j * self.broadening, dtype=np.complex128)
        reservoirs = self.reservoirs(depairing)
        found = np.empty((len(gap), 2, z.size))
        out = np.zeros((7, len(gap), self.grid.n))
        near = None if self._angles is None else _nearest(self._nodes, rule.nodes)
        for first in range(0, z.size, BLOCK):
            block = slice(first, min(first + BLOCK, z.size))
            guess = None if self._angles is None or near is None else self._angles[:, :, near[block]]
            x = self._equation.solve(z[block], gap, depairing, reservoirs, guess)
            add_averages(x, rule, first, out)
            found[:, :, block] = x
        self._nodes, self._angles = rule.nodes, found
        dos, pairing, diffusion_l, diffusion_t, supercurrent, re_f, im_g = out
        return BinnedSpectrum(
            dos, pairing, diffusion_l, diffusion_t, supercurrent, re_f, im_g, gap[:, None].copy()
        )

    # -- on the imaginary axis

    def pairing_beyond_local(self, gap: Floats, depairing: Floats) -> Floats:
        """``∫ Im(F − F_local) tanh(ε/2t) dε`` of every cell in equilibrium with the bath, ``(n_cells,)``.

        That is the sum of ``F − F_local`` over Matsubara's frequencies, which converges without a cut-off.
        """
        z = np.asarray(1j * (self._matsubara.frequencies + self.broadening), dtype=np.complex128)
        x = self._on_imaginary_axis(gap, depairing)
        local = local_angle(z, gap, depairing)
        return np.asarray((np.sin(x[:, 0]) - np.sin(local[:, 0])) @ self._matsubara.weights)

    def superfluid_density(self, gap: Floats, depairing: Floats, deviation: Floats | None) -> Floats:
        """``n_s = ∫ j_ε f_L dε`` of every cell, ``(n_cells,)``, for deviations of f_L from the bath."""
        density = np.sin(self._on_imaginary_axis(gap, depairing)[:, 0]) ** 2 @ self._matsubara.weights
        if deviation is not None:
            density += (self.spectrum(gap, depairing).supercurrent * deviation) @ self.grid.widths
        return np.asarray(density)

    def _on_imaginary_axis(self, gap: Floats, depairing: Floats) -> Floats:
        z = np.asarray(1j * (self._matsubara.frequencies + self.broadening), dtype=np.complex128)
        self._imaginary = self._equation.solve(z, gap, depairing, self.reservoirs(depairing), self._imaginary)
        return self._imaginary


def _nearest(known: Floats, wanted: Floats) -> Ints:
    """Place of the nearest of some increasing numbers, for each wanted one."""
    return np.searchsorted(0.5 * (known[1:] + known[:-1]), wanted)
