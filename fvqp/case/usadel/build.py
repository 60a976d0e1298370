"""From a checked case to problem objects: mesh, materials, device, energy axis, problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mpi4py import MPI
from scipy import constants
from scipy.optimize import minimize_scalar

from fvqp.case.geometry import distributed_mesh
from fvqp.case.metals import material, materials_of_regions
from fvqp.case.usadel.energy_axis import axis_end, energy_maximum
from fvqp.case.usadel.mesh_and_material_checks import check_places, check_with_materials
from fvqp.case.usadel.schema import LeadTable as LeadTable
from fvqp.case.usadel.schema import UsadelCase
from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, ConvergenceError
from fvqp.materials import Material, load_material
from fvqp.mesh import Mesh
from fvqp.models.usadel.device import Device, Junction, Lead, Reservoir
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, UsadelProblem
from fvqp.study.energy_axis import coarse_axis, fitted_axis
from fvqp.study.sweep import Sweep
from fvqp.transport.operator import Transport
from fvqp.transport.terminals import Interface

#: A phase gradient ξ∇φ that no device carries: superconductivity ends at 1, ζ = ½(ξ∇φ)² = Δ0/2.
BEYOND = 1.5


def build_mesh(case: UsadelCase, comm: MPI.Comm) -> Mesh:
    """The mesh of a case, distributed over ``comm``, with all the names that the case asks of it."""
    mesh = distributed_mesh(case.mesh, case.source, comm)
    check_places(case, mesh)
    return mesh


def build_material(case: UsadelCase) -> Material:
    """The reference material, whose gap is the unit of energy."""
    return material(case.material, case.materials)


def build_device(case: UsadelCase, mesh: Mesh, temperature: float | None = None) -> Device:
    """The device at a swept bath ``temperature`` (kelvin; None where the case gives all temperatures)."""
    reference = build_material(case)
    regions = materials_of_regions(case.regions, case.materials)
    check_with_materials(case, reference, regions)
    junctions = [
        Junction(
            name=entry.name,
            on=entry.on,
            conductance=entry.conductance,
            role=entry.role,
            temperature=_temperature(entry.temperature, temperature),
            bias=None if entry.bias is None else entry.bias.in_volt(reference.gap),
            injects=entry.injects,
            lead=None if entry.lead is None else _lead(entry.lead),
        )
        for entry in case.junctions
    ]
    reservoirs = [
        Reservoir(
            "+".join(entry.on),
            entry.on,
            _temperature(entry.temperature, temperature),
            None if entry.gap is None else entry.gap.in_joule(reference.gap),
            0.0 if entry.voltage is None else entry.voltage.in_volt(reference.gap),
        )
        for entry in case.reservoirs
    ]
    return Device(
        mesh=mesh,
        material=reference,
        junctions=junctions,
        reservoirs=reservoirs,
        interfaces=[Interface(entry.between, entry.conductance_per_area) for entry in case.interfaces],
        width=case.cross_section.width,
        thickness=case.cross_section.thickness,
        regions=regions,
    )


def build_problems(case: UsadelCase, mesh: Mesh, grid: EnergyAxis | None = None) -> list[UsadelProblem]:
    """The problems of a case, one for each bath temperature of the sweep, on one energy axis.

    ``grid`` is used in place of the one that fits the spectra, so that cases that differ little stay alike.
    """
    temperatures = case.sweep.temperature or (None,)
    rough: list[UsadelProblem] = []
    try:
        for temperature in temperatures:
            device = build_device(case, mesh, temperature)
            rough.append(_problem(case, device, rough[0].transport if rough else None))
        for problem in rough:
            _require_carried(case, problem)
        grid = grid or _energy_axis(case, rough)
    except CaseError as error:
        raise case.naming(error) from None
    return [replace(problem, grid=grid, collisions=_collisions(case, problem.device)) for problem in rough]


def _collisions(case: UsadelCase, device: Device) -> InelasticCollisions | None:
    chosen, material = case.collisions, device.material
    if chosen is None:
        return None
    phonons, tau0 = None, chosen.electron_phonon
    if tau0 is not None:
        escape, breaking = chosen.phonon_escape_time, chosen.pair_breaking_time
        phonons = PhononBath(
            strength=constants.hbar / (material.gap * tau0),
            kappa=material.gap / (constants.k * material.critical_temperature),
            temperature=device.bath,
            escape_time=None if escape is None else escape / tau0,
            pair_breaking_time=None if breaking is None else breaking / tau0,
        )
    kernel = chosen.kernel or InelasticCollisions.kernel
    return InelasticCollisions(chosen.electron_electron or 0.0, kernel, phonons, chosen.charge)


def _problem(case: UsadelCase, device: Device, transport: Transport | None) -> UsadelProblem:
    """The problem of one device on a coarse energy axis."""
    unit = device.material.gap
    gap = GapModel(
        kind=case.gap.model,
        value=None if case.gap.value is None else case.gap.value.in_delta0(unit),
        at=case.gap.at,
        debye_energy=case.gap.debye_energy or GapModel.debye_energy,
        rule=case.gap.coupling or GapModel.rule,
    )
    drive = case.supercurrent
    supercurrent = None
    if drive is not None:
        source, drain = _ends(case, device)
        supercurrent = Supercurrent(
            source=source,
            drain=drain,
            kind="current" if drive.phase_gradient is None else "phase_gradient",
            values=drive.values,
            region=drive.region,
        )
    broadening = case.spectrum.broadening.in_delta0(unit)
    return UsadelProblem(
        device=device,
        grid=coarse_axis(energy_maximum(case, unit), broadening),
        broadening=broadening,
        gap=gap,
        depairing=case.spectrum.depairing,
        spectra=case.spectrum.model,
        supercurrent=supercurrent,
        coupling=drive is None or drive.coupling,
        self_consistent_phase=drive is not None and drive.self_consistent_phase,
        tolerance=case.solver.tolerance,
        maximum_iterations=case.solver.maximum_iterations,
        method=case.solver.method,
        transport=transport,
    )


def build_sweep(case: UsadelCase) -> Sweep:
    """The axes of the sweep."""
    gap = build_material(case).gap
    return Sweep(
        temperature=case.sweep.temperature or (),
        supercurrent=() if case.supercurrent is None else case.supercurrent.values,
        V_det=() if case.sweep.V_det is None else tuple(case.sweep.V_det.in_volt(gap).tolist()),
        V_inj=() if case.sweep.V_inj is None else tuple(case.sweep.V_inj.in_volt(gap).tolist()),
    )


def follows_bias(case: UsadelCase) -> bool:
    """Return whether a point starts from its neighbour in bias; else one response serves all biases."""
    phase = case.supercurrent is not None and case.supercurrent.self_consistent_phase
    leads = any(junction.lead is not None for junction in case.junctions)
    return case.gap.model in ("uniform", "local") or phase or leads or case.collisions is not None


def _lead(entry: LeadTable) -> Lead:
    coupling = entry.electron_phonon_coupling
    if entry.material is not None:
        material = load_material(entry.material)
        material.require("the heat of a lead", "electron_phonon_coupling")
        coupling = material.electron_phonon_coupling
    assert coupling is not None, "the schema asks for one of them"
    return Lead(entry.volume, coupling, np.inf if entry.resistance is None else entry.resistance)


def _temperature(own: float | None, swept: float | None) -> float:
    temperature = own if own is not None else swept
    assert temperature is not None, "the checks of the case ask for one of them"
    return temperature


def _ends(case: UsadelCase, device: Device) -> tuple[str, str]:
    """Boundaries between which the supercurrent flows: as given, or the only two that reservoirs are on."""
    drive = case.supercurrent
    assert drive is not None
    if drive.from_ is not None and drive.to is not None:
        return drive.from_, drive.to
    names = [name for reservoir in device.reservoirs for name in reservoir.on]
    if len(names) != 2:
        raise CaseError(
            f"{case.source}: supercurrent.from: missing: with reservoirs on {', '.join(names)} say "
            "between which two boundaries the supercurrent flows (from, to)"
        )
    return names[0], names[1]


def _require_carried(case: UsadelCase, problem: UsadelProblem) -> None:
    """Raise `CaseError` if the device does not carry a supercurrent of the sweep at rest."""
    drive = case.supercurrent
    if drive is None:
        return
    for value in sorted({abs(value) for value in problem.drives}):
        try:
            problem.at_rest(value)
        except ConvergenceError:
            current = drive.phase_gradient is None
            largest = _largest_current(problem) if current else _largest_gradient(problem)
            if not 0.0 < largest < value:
                raise
            key, unit = ("current", " A") if current else ("phase_gradient", "")
            bath = problem.device.reservoirs[0].temperature
            raise CaseError(
                f"{case.source}: supercurrent.{key}: {value:g}{unit} is more than the device carries at "
                f"{bath:g} K; it carries up to about {largest:.3g}{unit}"
            ) from None


def _largest_gradient(problem: UsadelProblem) -> float:
    """The largest mean phase gradient with a solution at rest, to half a percent; 0 if there is none."""
    low, high = 0.0, BEYOND
    while high - low > 0.005:
        trial = 0.5 * (low + high)
        try:
            problem.at_rest(trial)
            low = trial
        except ConvergenceError:
            high = trial
    return low


def _largest_current(problem: UsadelProblem) -> float:
    """The depairing current, ampere: the maximum over the phase gradient; 0 if nothing flows."""
    assert problem.supercurrent is not None
    # A prescribed gradient has one solution up to the end of superconductivity, a current two or none.
    by_gradient = replace(problem, supercurrent=replace(problem.supercurrent, kind="phase_gradient"))

    def lost(gradient: float) -> float:
        try:
            phase = by_gradient.at_rest(float(gradient))[1]
        except ConvergenceError:
            return 0.0
        return 0.0 if phase is None else -abs(phase.current)

    end = _largest_gradient(by_gradient)
    return -float(minimize_scalar(lost, bounds=(0.0, end), method="bounded", options={"xatol": 0.01}).fun)


def _energy_axis(case: UsadelCase, problems: list[UsadelProblem]) -> EnergyAxis:
    """The energy axis of a case, fitted to the spectra at rest of all problems."""
    energies, unit = case.energies, problems[0].device.material.gap
    largest = None if energies.largest is None else energies.largest.in_delta0(unit)
    try:
        return fitted_axis(problems, energies.number, energies.spacing, largest)
    except CaseError as error:
        raise CaseError(f"{case.source}: energies.number: {error}; {axis_end(case, unit)}") from None
