"""Study of a weak link: every phase and temperature by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.geometry import distributed_mesh
from fvqp.case.petsc_options import check_options_used
from fvqp.case.run_time import Work
from fvqp.case.sizes import mesh_error, size_rows, up_to, warn_of_sizes
from fvqp.case.study import PointStudy
from fvqp.case.weak_link.schema import WeakLinkCase, WeakLinkMetal
from fvqp.errors import CaseError, ConvergenceError, MeshError
from fvqp.materials import Material, load_material
from fvqp.mesh import Mesh
from fvqp.mesh.quality import cell_sizes
from fvqp.models.usadel.device import Device, Reservoir
from fvqp.models.usadel.weak_link import WeakLink
from fvqp.results.dataset import SweepDataset
from fvqp.spectral.quadrature import MatsubaraRule
from fvqp.typing import Floats

MINIGAP = 64
"""Energies at which a minigap is looked for (measured: 48 to 80)."""
SOLVED = 32
"""Energies that are computed to know the time of one."""


class WeakLinkStudy(PointStudy):
    """Currents, minigaps and densities of states of a weak link."""

    case: WeakLinkCase

    def __init__(self, case: WeakLinkCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        mesh = distributed_mesh(case.mesh, case.source, MPI.COMM_SELF)
        self.links = [_link(case, mesh, temperature) for temperature in case.sweep.temperature]
        trial = _link(case, mesh, case.sweep.temperature[0])

        def rehearse() -> None:
            # at one energy far above the real axis
            with suppress(ConvergenceError):
                trial.solve(np.array([2j]), [0.0] * len(trial.device.reservoirs))

        check_options_used(case, f'method = "{case.solver.method}"', rehearse=rehearse)
        self.device = self.links[0].device
        self.sources = self.device.material.sources
        if comm.rank == 0 and solve:
            warn_of_sizes(mesh, self.device.material.coherence_length, case.source)

    def report(self) -> Iterable[tuple[str, str]]:
        mesh, sweep = self.device.mesh, self.case.sweep
        return [
            ("mesh", f"{mesh.n_global} cells of dimension {mesh.dim}"),
            *size_rows(mesh, self.device.material.coherence_length),
            ("regions", ", ".join(mesh.region_names) or "none"),
            ("boundaries", ", ".join(mesh.boundaries)),
            ("sweep", f"{len(sweep.temperature)} temperatures, {len(sweep.phase)} phases"),
        ]

    def expected_work(self) -> Iterator[Work]:
        """Energies at which the equations are solved, of which a few are computed."""
        case, sweep = self.case, self.case.sweep
        counts = [len(MatsubaraRule.at(link.device.bath).frequencies) for link in self.links]
        more = (MINIGAP if "minigap" in case.output.stored else 0) + (
            case.energies.number if case.energies else 0
        )
        energies = len(sweep.phase) * (sum(counts) + more * len(self.links))
        link, middle = self.links[0], sweep.phase[len(sweep.phase) // 2]
        phases = [middle if each.phase is None else each.phase for each in case.reservoirs]
        highest = case.energies.maximum.in_delta0(self.device.material.gap) if case.energies else 1.0

        def compute() -> float:
            link.solve(np.linspace(0.0, highest, SOLVED) + 1j * link.broadening, phases)
            return float(SOLVED)

        yield Work("energies", energies, compute, math.prod((len(sweep.temperature), len(sweep.phase))))

    def errors(self) -> list[str]:
        mesh, hottest = self.device.mesh, max(self.case.sweep.temperature)
        diffusivity = float(self.device.per_cell("diffusivity").min())
        # of pairs at the lowest of Matsubara's energies
        length = math.sqrt(constants.hbar * diffusivity / (2.0 * math.pi * constants.k * hottest))
        distance = float(np.ptp(mesh.points, axis=0).max())
        error = mesh_error(float(cell_sizes(mesh).max()), length, distance)
        return [f"mesh {up_to(error)} of the current at {hottest:g} K"]

    def where(self, place: tuple[int, ...]) -> str:
        sweep = self.case.sweep
        return f"temperature {sweep.temperature[place[0]]:g} K, phase {sweep.phase[place[1]]:.4g} rad"

    def dataset(self) -> SweepDataset:
        case, device = self.case, self.device
        mesh, unit = device.mesh, device.material.gap / constants.e
        coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
            "reservoir": (("reservoir",), [reservoir.name for reservoir in device.reservoirs])
        }
        if case.energies is not None:
            coordinates["energy"] = (("energy",), self.energies * unit)
            coordinates["cell"] = (("cell",), np.arange(mesh.n_cells))
            coordinates |= {name: (("cell",), mesh.centroid[:, k]) for k, name in enumerate("xyz")}
            coordinates["cell_volume"] = (("cell",), mesh.volume * device.transverse)
        attributes = {"delta0_eV": unit, "coherence_length_m": device.material.coherence_length}
        axes = {"temperature": case.sweep.temperature, "phase": case.sweep.phase}
        sweep = SweepDataset(axes, coordinates, attributes)
        sweep.define("I_reservoir", ("reservoir",))
        if case.energies is not None:
            sweep.define("dos", ("cell", "energy"))
        return sweep

    @property
    def energies(self) -> Floats:
        """Energies of the density of states, Δ0."""
        table = self.case.energies
        assert table is not None, "asked for where there is a density of states"
        return np.linspace(0.0, table.maximum.in_delta0(self.device.material.gap), table.number)

    def values(self, place: tuple[int, ...], sweep: SweepDataset) -> dict[str, Any]:
        link, swept = self.links[place[0]], self.case.sweep.phase[place[1]]
        phases = [swept if each.phase is None else each.phase for each in self.case.reservoirs]
        values: dict[str, Any] = {"I_reservoir": link.currents(phases)}
        if "minigap" in self.case.output.stored:
            values["minigap"] = link.minigap(phases) * link.device.material.gap / constants.e
        if self.case.energies is not None:
            values["dos"] = link.dos(self.energies, phases)
        return values


def _link(case: WeakLinkCase, mesh: Mesh, temperature: float) -> WeakLink:
    reference, metal = _superconductor(case), _metal(case.metal, "metal")
    gap = reference.gap
    reservoirs = [
        Reservoir("+".join(each.on), each.on, temperature, each.gap.in_joule(gap) if each.gap else gap)
        for each in case.reservoirs
    ]
    try:
        device = Device(
            mesh,
            reference,
            [],
            reservoirs,
            width=case.cross_section.width,
            thickness=case.cross_section.thickness,
            regions={name: _metal(table, name) for name, table in case.regions.items()},
            filling=metal,
        )
        return WeakLink(device, case.spectrum.broadening.in_delta0(gap), case.solver.method)
    except (CaseError, MeshError) as error:
        raise case.naming(error) from None


def _superconductor(case: WeakLinkCase) -> Material:
    """The gap that is the unit of energy, with the diffusion of the metal: the unit of length is its ξ."""
    chosen = case.superconductor
    if chosen.gap is not None:
        name, gap, sources = "superconductor", chosen.gap.in_joule(float("nan")), {}
    else:
        assert chosen.name is not None, "the schema asks for one of them"
        known = load_material(chosen.name)
        name, gap, sources = known.name, known.gap, dict(known.sources)
    metal = case.metal
    return Material(name, gap, metal.diffusivity, metal.resistivity, sources=sources)


def _metal(table: WeakLinkMetal, name: str) -> Material:
    return Material(name, gap=0.0, diffusivity=table.diffusivity, resistivity=table.resistivity)


STUDY = WeakLinkStudy
