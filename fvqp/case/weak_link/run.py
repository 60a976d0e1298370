"""Running a case of a weak link: every phase and temperature by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.geometry import distributed_mesh
from fvqp.case.pointwise import Line, PointRecorder, run_lines
from fvqp.case.sizes import size_rows, warn_of_sizes
from fvqp.case.weak_link.schema import Metal, WeakLinkCase
from fvqp.errors import CaseError, ConvergenceError, MeshError
from fvqp.materials import Material, load_material
from fvqp.mesh import Mesh
from fvqp.models.device import Device, Reservoir
from fvqp.models.weak_link import WeakLink
from fvqp.results.dataset import SweepDataset
from fvqp.results.result import Result
from fvqp.typing import Floats


def run(case: WeakLinkCase, out: str | Path | None, resume: bool, comm: MPI.Comm) -> Result:
    """Compute a case, see :func:`fvqp.case.run.run`; every point on one rank."""
    mesh = _mesh(case)
    links = [_link(case, mesh, temperature) for temperature in case.sweep.temperature]
    device = links[0].device
    if comm.rank == 0:
        warn_of_sizes(mesh, device.material.coherence_length, case.source)
    sweep = _dataset(case, device)

    def work(line: Line, recorder: PointRecorder) -> None:
        for place in line:
            temperature, phase = case.sweep.temperature[place[0]], case.sweep.phase[place[1]]
            what = f"temperature {temperature:g} K, phase {phase:.4g} rad"
            try:
                values = _solved(case, links[place[0]], phase)
            except ConvergenceError as error:
                raise ConvergenceError(f"{what}: {error}") from None
            recorder.record(place, values, what)

    lines = [[place] for place in np.ndindex(len(case.sweep.temperature), len(case.sweep.phase))]
    return run_lines(case, sweep, lines, work, out, resume, comm, device.material.sources)


def check(case: WeakLinkCase) -> str:
    """Sizes as text, see :func:`fvqp.case.run.check`."""
    mesh = _mesh(case)
    device = _link(case, mesh, case.sweep.temperature[0]).device
    rows = [
        ("mesh", f"{mesh.n_global} cells of dimension {mesh.dim}"),
        *size_rows(mesh, device.material.coherence_length),
        ("regions", ", ".join(mesh.region_names) or "none"),
        ("boundaries", ", ".join(mesh.boundaries)),
        ("sweep", f"{len(case.sweep.temperature)} temperatures, {len(case.sweep.phase)} phases"),
    ]
    return "\n".join([f"{case.source}: valid", *(f"  {name:<11}{text}" for name, text in rows)])


def _mesh(case: WeakLinkCase) -> Mesh:
    return distributed_mesh(case.mesh, case.source, MPI.COMM_SELF)


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
        raise type(error)(f"{case.source}: {error}") from None


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


def _metal(table: Metal, name: str) -> Material:
    return Material(name, gap=0.0, diffusivity=table.diffusivity, resistivity=table.resistivity)


def _dataset(case: WeakLinkCase, device: Device) -> SweepDataset:
    mesh, unit = device.mesh, device.material.gap / constants.e
    coordinates: dict[str, tuple[tuple[str, ...], Any]] = {
        "reservoir": (("reservoir",), [reservoir.name for reservoir in device.reservoirs])
    }
    if case.energies is not None:
        coordinates["energy"] = (("energy",), _energies(case, device) * unit)
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


def _energies(case: WeakLinkCase, device: Device) -> Floats:
    assert case.energies is not None, "asked for where there is a density of states"
    return np.linspace(0.0, case.energies.maximum.in_delta0(device.material.gap), case.energies.number)


def _solved(case: WeakLinkCase, link: WeakLink, phase: float) -> dict[str, Any]:
    """Everything that is stored of one point."""
    phases = [phase if each.phase is None else each.phase for each in case.reservoirs]
    values: dict[str, Any] = {"I_reservoir": link.currents(phases)}
    if "minigap" in case.output.stored:
        values["minigap"] = link.minigap(phases) * link.device.material.gap / constants.e
    if case.energies is not None:
        values["dos"] = link.dos(_energies(case, link.device), phases)
    return values
