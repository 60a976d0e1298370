"""Checks of a case that have to wait for others: for its materials, its mesh, its device or a solution."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.geometry import require_touching
from fvqp.case.usadel.checks import unpaired
from fvqp.case.usadel.energy_axis import axis_end, energy_maximum, largest_bias, largest_temperature
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import CaseError, MeshError, suggestion
from fvqp.gap import equilibrium_gap
from fvqp.materials import BCS_RATIO, Material
from fvqp.mesh import Mesh
from fvqp.models.usadel.axis_error import axis_error
from fvqp.models.usadel.gap_field import COLLAPSED
from fvqp.models.usadel.kinetics import T
from fvqp.models.usadel.neglected_charge import neglected_relaxation
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.models.usadel.tunnelling import level_broadening

log = logging.getLogger(__name__)

THERMAL_TAIL = 10.0
"""Temperatures k_BT that the energy axis must reach beyond the largest bias: occupation below 5e-5 there."""
MAX_CHARGE = 0.1
"""Largest f_T of normal cells that collisions leave out without a warning: f_L errs by up to f_T²/2."""
MAX_NEGLECTED = 0.05
"""Part of the charge imbalance of superconducting cells that neglected collisions may relax silently."""
MAX_AXIS_ERROR = 0.01
"""Error of the non-local conductance and current by the energy axis that is not worth a warning."""
MAX_DELTA0 = 1000.0
"""Largest energy in Δ0 that an axis may reach: beyond, a unit or a digit is wrong."""
MAX_BROADENING = 0.1
"""Δ0 by which a junction may broaden states before that is said: the gap would fall by about as much."""
MIN_BROADENING = 1e-7
"""Smallest Γ in Δ0 at which the spectral functions are told from singular ones."""


def check_with_materials(case: UsadelCase, material: Material, regions: Mapping[str, Material]) -> None:
    """Checks that need the reference ``material`` and those of ``regions``; raises :class:`CaseError`."""
    delta0 = material.gap
    if not delta0 > 0.0:
        raise CaseError(
            f"{case.source}: material.gap: {material.name} is a normal metal; the gap of the reference "
            "material is the unit of energy and must be positive; a region may be normal, by [regions.NAME]"
        )
    for place, here in {"": material, **regions}.items():
        where = f" of {here.name} (region {place})" if place else ""
        # Beyond the weak-coupling value there is no gap to compute with.
        tc = min(here.critical_temperature, here.gap / (BCS_RATIO * constants.k))
        for key, temperature in _superconductor_temperatures(case):
            if here.gap > 0.0 and temperature >= tc:
                raise CaseError(
                    f"{case.source}: {key}: {temperature:g} K is not below the critical temperature "
                    f"{tc:.4g} K{where}"
                )
        cutoff = case.gap.debye_energy
        if cutoff is not None and cutoff * delta0 <= here.gap:
            raise CaseError(
                f"{case.source}: gap.debye_energy: {cutoff:g} Delta0 does not exceed the gap{where}, "
                f"{here.gap / delta0:.4g} Delta0"
            )
        if case.gap.model == "uniform" and here.gap not in (0.0, delta0):
            raise CaseError(
                f'{case.source}: gap.model: "uniform" is one gap for the whole device, but region {place} '
                f"is of {here.name}, another superconductor with a bulk gap of its own; use "
                '"local" or "equilibrium"'
            )
    _check_spectrum(case, delta0)
    for place, here in {"": material, **regions}.items():
        _check_pairing(case, here, delta0, place)
    if case.energies.maximum is not None:
        maximum = case.energies.maximum.in_delta0(delta0)
        volts, key = largest_bias(case, delta0)
        bias = volts * constants.e / delta0
        needed = bias + THERMAL_TAIL * largest_temperature(case) * constants.k / delta0
        if maximum < needed:
            raise CaseError(
                f"{case.source}: energies.maximum: the axis ends at {maximum:.4g} Delta0, but {key} is "
                f"{volts:.4g} V, {bias:.4g} Delta0/e, and its thermal tail needs at least {needed:.4g} "
                "Delta0; or leave maximum out"
            )


def _check_pairing(case: UsadelCase, here: Material, delta0: float, place: str) -> None:
    """The superconductor ``here`` has a gap in equilibrium; raises :class:`CaseError`.

    One that follows the bias must not begin where a gap counts as lost.
    """
    gap, depairing = case.gap, case.spectrum.depairing
    if here.gap == 0.0 or gap.debye_energy is None or gap.coupling is None:
        return
    own = here.gap / delta0
    broadening = case.spectrum.broadening.in_delta0(delta0)

    cutoff, rule = gap.debye_energy / own, gap.coupling
    # Neighbours and reservoirs may hold a gap up where spectra are spatially coupled.
    least = COLLAPSED if gap.model in ("uniform", "local") and case.spectrum.model == "local" else 0.0

    def at_rest(kelvin: float, zeta: float, gamma: float) -> float:
        t = kelvin * constants.k / here.gap
        return float(equilibrium_gap(t, zeta / own, gamma / own, cutoff=cutoff, rule=rule))

    def left(kelvin: float, zeta: float, gamma: float) -> bool:
        return at_rest(kelvin, zeta, gamma) > least

    bath = case.reservoirs[0].temperature
    baths = {"reservoirs[0].temperature": bath} if bath is not None else {}
    if bath is None:
        baths = {f"sweep.temperature[{n}]": t for n, t in enumerate(case.sweep.temperature or ())}
    of = f" of {here.name} (region {place})" if place else ""
    for bath_key, temperature in baths.items():
        if left(temperature, depairing, broadening):
            continue
        remains = at_rest(temperature, depairing, broadening)
        small = (
            f"leaves a gap{of} of {remains:.2g} of the bulk's before any bias; with gap.model = "
            f'"{gap.model}" one below {least:g} of it counts as lost'
        )
        if not left(temperature, 0.0, 0.0):
            if remains > 0.0:
                raise CaseError(f"{case.source}: {bath_key}: {temperature:g} K {small}")
            continue
        paired = left(temperature, 0.0, broadening)
        key, value = ("depairing", depairing) if paired else ("broadening", broadening)

        def holds(trial: float, kelvin: float = temperature, paired: bool = paired) -> bool:
            return left(kelvin, trial, broadening) if paired else left(kelvin, 0.0, trial)

        most = f"up to {_largest(holds, value):.4g} Delta0 leaves {'a gap' if remains == 0.0 else 'more'}"
        destroys = f"destroys the superconductivity{of} at {temperature:g} K, before any bias"
        what = destroys if remains == 0.0 else small
        raise CaseError(f"{case.source}: spectrum.{key}: {value:g} Delta0 {what}; {most}")


def _largest(holds: Callable[[float], bool], fails: float) -> float:
    """Largest number of four decimals for which a condition holds that holds at 0."""
    low, high = 0.0, fails
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return math.floor(1e4 * low) / 1e4


def _check_spectrum(case: UsadelCase, delta0: float) -> None:
    broadening = case.spectrum.broadening.in_delta0(delta0)
    if broadening >= 1.0:
        raise CaseError(
            f"{case.source}: spectrum.broadening: {broadening:.4g} Delta0 leaves no gap; expected a small "
            "part of Delta0, such as 1e-3"
        )
    if broadening < MIN_BROADENING and unpaired(case):
        raise CaseError(
            f"{case.source}: spectrum.broadening: {broadening:.4g} Delta0 without depairing leaves the "
            "density of states singular at the gap edge; give some, as 1e-5"
        )
    if case.gap.value is not None and case.gap.value.in_delta0(delta0) > MAX_DELTA0:
        raise CaseError(f"{case.source}: gap.value: expected at most {MAX_DELTA0:g} Delta0")
    maximum = energy_maximum(case, delta0)
    if maximum > MAX_DELTA0:
        raise CaseError(
            f"{case.source}: energies.maximum: at most {MAX_DELTA0:g} Delta0 makes sense, but "
            f"{axis_end(case, delta0)}"
        )
    energies = [
        (f"output.field_energies[{n}]", energy) for n, energy in enumerate(case.output.field_energies)
    ]
    energies += [
        (f"figures[{n}].energy", figure.energy) for n, figure in enumerate(case.figures) if figure.energy
    ]
    for key, energy in energies:
        if energy.in_delta0(delta0) > maximum:
            raise CaseError(
                f"{case.source}: {key}: {energy.in_delta0(delta0):.4g} Delta0 is "
                f"beyond the energy axis, which ends at {maximum:.4g} Delta0"
            )


def _superconductor_temperatures(case: UsadelCase) -> Iterable[tuple[str, float]]:
    for number, reservoir in enumerate(case.reservoirs):
        if reservoir.temperature is not None:
            yield f"reservoirs[{number}].temperature", reservoir.temperature
    for number, temperature in enumerate(case.sweep.temperature or ()):
        yield f"sweep.temperature[{number}]", temperature


def check_places(case: UsadelCase, mesh: Mesh) -> None:
    """Every region and boundary that the case names is in the mesh; raises :class:`MeshError`. Collective."""
    both = [(f"junctions[{n}].on", junction.on) for n, junction in enumerate(case.junctions)]
    boundaries = [
        (f"reservoirs[{n}].on", on) for n, reservoir in enumerate(case.reservoirs) for on in reservoir.on
    ]
    regions = [(f"regions.{name}", name) for name in case.regions]
    regions += [
        (f"interfaces[{n}].between", name)
        for n, interface in enumerate(case.interfaces)
        for name in interface.between
    ]
    drive = case.supercurrent
    if drive is not None:
        boundaries += [
            (f"supercurrent.{key}", on) for key, on in (("from", drive.from_), ("to", drive.to)) if on
        ]
        regions += [("supercurrent.region", drive.region)] if drive.region else []
    for what, named, places in (
        ("region or boundary", {**mesh.regions, **mesh.boundaries}, both),
        ("boundary", mesh.boundaries, boundaries),
        ("region", mesh.regions, regions),
    ):
        for key, name in places:
            if name not in named:
                there = f"regions: {', '.join(mesh.regions) or 'none'}; " if "region" in what else ""
                there += f"boundaries: {', '.join(mesh.boundaries) or 'none'}" if "boundary" in what else ""
                near = suggestion(name, named)
                raise MeshError(
                    f'{case.source}: {key}: the mesh has no {what} "{name}"{near} ({there.rstrip("; ")})'
                )
    for number, figure in enumerate(case.figures):
        if figure.kind == "fields" and mesh.dim == 3:
            raise CaseError(
                f'{case.source}: figures[{number}].kind: "fields" is of lines and plane meshes; '
                "fields of solids are for ParaView and fvqp plot --animate"
            )
    for key, name in both:
        if name in mesh.regions and name in mesh.boundaries:
            raise MeshError(
                f'{case.source}: {key}: "{name}" is a region and a boundary of the mesh; rename one of them'
            )
    for number, interface in enumerate(case.interfaces):
        cells = [mesh.regions[name] for name in interface.between]
        if mesh.comm.allreduce(len(np.intersect1d(cells[0], cells[1]))):
            raise MeshError(
                f'{case.source}: interfaces[{number}].between: regions "{interface.between[0]}" and '
                f'"{interface.between[1]}" share cells; an interface is between regions that only touch'
            )
        require_touching(mesh, f"{case.source}: interfaces[{number}]", interface.between)


def warn_of_reservoirs(case: UsadelCase) -> None:
    """Warns of gaps of reservoirs that local spectra know nothing of; for one rank."""
    if case.spectrum.model == "diffusive":
        return
    for number, reservoir in enumerate(case.reservoirs):
        # A voltage asks for a normal metal, whatever the spectra.
        if reservoir.gap is not None and reservoir.voltage is None:
            log.warning(
                '%s: reservoirs[%d].gap: acts on diffusive spectra only; with spectrum.model = "local" cells '
                "next to the reservoir have the spectra of their own gap, and its distribution is that of "
                "its temperature whatever its gap",
                case.source,
                number,
            )


def warn_of_junctions(case: UsadelCase, problem: UsadelProblem) -> None:
    """Warns of junctions that conduct too well to leave the spectra as they are. Collective."""
    broadening = level_broadening(problem.device, problem.kinetics.transport)
    if problem.device.mesh.comm.rank != 0:
        return
    for number, (junction, width) in enumerate(zip(case.junctions, broadening, strict=True)):
        if width > MAX_BROADENING:
            log.warning(
                "%s: junctions[%d].conductance: %.3g S is more than a tunnel junction there can have: "
                "electrons would leave for its lead so fast that states broaden by %.3g Delta0, which the "
                "model leaves out; up to %.2g S that is less than %g Delta0; is the unit right?",
                case.source,
                number,
                junction.conductance,
                width,
                junction.conductance * MAX_BROADENING / width,
                MAX_BROADENING,
            )


def axis_errors(problems: Sequence[UsadelProblem], biases: Sequence[float]) -> tuple[float, float]:
    """Return the largest `axis_error` of all problems and supercurrents; biases in volt. Collective."""
    found = [axis_error(problem, value, biases or (0.0,)) for problem in problems for value in problem.drives]
    conductance, current = (max(each) for each in zip(*found, strict=True))
    return conductance, current


def warn_of_axis(case: UsadelCase, problems: Sequence[UsadelProblem], errors: tuple[float, float]) -> None:
    """Warns of an energy axis too coarse for the non-local conductance; errors are `axis_errors`."""
    conductance, current = errors
    if max(conductance, current) <= MAX_AXIS_ERROR or problems[0].device.mesh.comm.rank != 0:
        return
    better = 'spacing = "graded"' if case.energies.spacing == "uniform" else "a smaller energies.largest"
    log.warning(
        "%s: energies.number: %d bins are coarse: from the spectra at rest, g_nl is expected to be wrong by "
        "some %.2g %% of its largest value and the non-local current by %.2g %%; take more, or %s",
        case.source,
        problems[0].grid.n,
        100.0 * conductance,
        100.0 * current,
        better,
    )


def warn_of_charge(case: UsadelCase, problem: UsadelProblem, solution: Solution) -> bool:
    """Warns, and says so, if f_T of normal cells is not small to collisions that do not know it. Collective.

    What they miss of f_L is of second order in f_T (theory: charge_mode).
    """
    if case.collisions is None or case.collisions.charge:
        return False
    mesh = problem.device.mesh
    normal = np.broadcast_to(solution.spectral.gap == 0.0, (mesh.n_cells,))[: mesh.n_owned]
    f_t = solution.kinetic.deviation(T, slice(mesh.n_owned))[normal]
    largest = mesh.comm.allreduce(float(np.max(np.abs(f_t), initial=0.0)), MPI.MAX)
    if largest <= MAX_CHARGE:
        return False
    if mesh.comm.rank == 0:
        log.warning(
            "%s: collisions.charge: f_T is up to %.2g in normal cells at V_inj = %.6g V, and collisions "
            "leave it out: f_L there is wrong by up to %.1g; charge = true has it take part",
            case.source,
            largest,
            solution.point.V_inj,
            0.5 * largest**2,
        )
    return True


def warn_of_relaxation(case: UsadelCase, problem: UsadelProblem, solution: Solution) -> bool:
    """Warns, and says so, if collisions of f_T would relax charge in superconducting cells. Collective."""
    if case.collisions is None or case.collisions.charge:
        return False
    part = neglected_relaxation(problem, solution)
    if part <= MAX_NEGLECTED:
        return False
    if problem.device.mesh.comm.rank == 0:
        log.warning(
            "%s: collisions.charge: collisions leave out f_T; they would relax some %.2g %% of "
            "what the bias adds to the charge imbalance of superconducting cells at V_inj = %.6g V; charge = "
            "true has it take part",
            case.source,
            100.0 * part,
            solution.point.V_inj,
        )
    return True
