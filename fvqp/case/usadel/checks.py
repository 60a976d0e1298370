"""Checks of a case by itself: tables that contradict one another, and keys that go unused.

What takes more than the case to know is checked in :mod:`fvqp.case.usadel.mesh_and_material_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fvqp.case.metals import material_problems, unknown_material
from fvqp.case.usadel.schema import UsadelCase


def problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    yield from _junction_problems(case)
    yield from _temperature_problems(case)
    yield from _sweep_problems(case)
    yield from _spectrum_problems(case)
    yield from _unused(case)
    yield from _figure_problems(case)
    yield from material_problems(case.material, case.regions, case.materials)


def _junction_problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    names = [junction.name for junction in case.junctions]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield f"junctions[{number}].name", f'"{name}" is the name of another junction too'
    for number, junction in enumerate(case.junctions):
        metal = None if junction.lead is None else junction.lead.material
        if problem := unknown_material(metal):
            yield f"junctions[{number}].lead.material", problem
        if junction.role == "injector" and not junction.injects:
            yield f"junctions[{number}].injects", 'false belongs to role = "detector"; an injector injects'
    taken: dict[str, str] = {}
    places = [(f"junctions[{n}].on", on) for n, on in enumerate(junction.on for junction in case.junctions)]
    places += [
        (f"reservoirs[{n}].on", on) for n, reservoir in enumerate(case.reservoirs) for on in reservoir.on
    ]
    for key, on in places:
        if on in taken:
            yield key, f'"{on}" is taken by {taken[on]} already'
        taken[on] = key
    if not case.reservoirs:
        yield "reservoirs", "missing: without an equilibrium reservoir nothing fixes the distribution"


def _temperature_problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    items = [(f"junctions[{n}]", item.temperature) for n, item in enumerate(case.junctions)]
    items += [(f"reservoirs[{n}]", item.temperature) for n, item in enumerate(case.reservoirs)]
    without = [key for key, temperature in items if temperature is None]
    if case.sweep.temperature is None and without:
        yield f"{without[0]}.temperature", 'missing: give it, such as "24 mK", or sweep.temperature'
    if case.sweep.temperature is not None and not without:
        yield "sweep.temperature", "is not used: every junction and reservoir has a temperature of its own"


def _sweep_problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    for key, role in (("V_inj", "injector"), ("V_det", "detector")):
        axis = getattr(case.sweep, key)
        junctions = [junction for junction in case.junctions if junction.role == role]
        free = [junction for junction in junctions if junction.bias is None]
        if axis is not None and not junctions:
            yield f"sweep.{key}", f'is not used: no junction has role = "{role}"'
        if axis is not None and junctions and not free:
            yield f"sweep.{key}", f"is not used: every {role} has a bias of its own"
        if axis is None and free:
            yield (
                f"sweep.{key}",
                f'missing: the bias of the {role} "{free[0].name}"; or give the junction a bias',
            )


def _spectrum_problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    for number, reservoir in enumerate(case.reservoirs):
        if reservoir.gap is not None and reservoir.gap.value == 0 and case.supercurrent is not None:
            yield (
                f"reservoirs[{number}].gap",
                "0 is that of a normal metal, but a supercurrent flows through superconductors only; leave "
                "gap out",
            )
    if case.spectrum.broadening.value == 0 and unpaired(case):
        yield (
            "spectrum.broadening",
            "0 without depairing leaves the density of states singular at the gap edge; give some, as 1e-5",
        )
    if case.gap.branches and case.sweep.V_inj is None:
        yield "gap.branches", "is not used: no injector bias is swept along which a branch could be followed"
    if (
        case.gap.at is not None
        and case.junctions
        and case.gap.at in {junction.name for junction in case.junctions}
    ):
        where = next(junction.on for junction in case.junctions if junction.name == case.gap.at)
        if where != case.gap.at:
            yield "gap.at", f'"{case.gap.at}" is a junction; name the region or boundary it is on: "{where}"'


def _unused(case: UsadelCase) -> Iterable[tuple[str, str]]:
    """Keys that are not what they are by default, and that nothing asks for."""
    gap, drive, solver = case.gap.model, case.supercurrent, case.solver
    iterated = (
        gap in ("uniform", "local")
        or drive is not None
        or any(junction.lead is not None for junction in case.junctions)
    )
    found_at_rest = case.spectrum.model == "diffusive" and gap != "fixed"
    why = f'nothing is iterated with gap.model = "{gap}" and without [supercurrent] or a lead'
    for key, used in (("maximum_iterations", iterated), ("tolerance", iterated or found_at_rest)):
        if not used and getattr(solver, key) != type(solver).model_fields[key].default:
            yield f"solver.{key}", f"is not used: {why}; remove it"
    if drive is not None and not drive.coupling and not any(drive.values) and not drive.self_consistent_phase:
        yield (
            "supercurrent.coupling",
            "is not used: there is no supercurrent but 0, which couples nothing; remove it, or give another",
        )
    if case.output.every != 1 and not case.output.fields:
        yield "output.every", "is not used: output.fields is empty; remove it, or name fields"


def _figure_problems(case: UsadelCase) -> Iterable[tuple[str, str]]:
    if case.output.spectra and not case.junctions:
        yield "output.spectra", "is not used: there are no junctions to record spectra under"
    roles = {junction.role for junction in case.junctions}
    for number, figure in enumerate(case.figures):
        key = f"figures[{number}]"
        nonlocal_kinds = ("g_ss", "g_sa", "g_a", "g_s", "g_nl")
        if figure.kind in nonlocal_kinds and not {"injector", "detector"} <= roles:
            yield f"{key}.kind", f"{figure.kind} needs an injector and a detector among the junctions"
        if figure.kind == "local_conductance" and "injector" not in roles:
            yield f"{key}.kind", "local_conductance needs an injector among the junctions"
        if figure.compare == "elastic" and case.collisions is None:
            yield f"{key}.compare", '"elastic" needs the table [collisions]: without it, all of the case is'
        if figure.compare == "elastic" and not case.junctions:
            yield f"{key}.compare", '"elastic" needs a junction, under which gap and spectra are compared'
        if figure.kind == "gap" and not case.junctions and "gap" not in case.output.stored:
            yield f"{key}.kind", 'gap needs a junction, or "gap" among output.stored'
        biases = [] if case.sweep.V_inj is None else [bias.value for bias in case.sweep.V_inj.biases]
        if figure.kind in ("g_ss", "g_sa", "g_a", "g_s") and not (biases and min(biases) < 0 < max(biases)):
            yield f"{key}.kind", f"{figure.kind} needs both signs of the bias in sweep.V_inj"
        current = case.supercurrent
        mirrored = current is None or current.both_signs or not np.any(current.values) or not current.coupling
        if figure.kind in ("g_ss", "g_sa", "g_s") and not mirrored:
            yield (
                f"{key}.kind",
                f"{figure.kind} needs supercurrent.both_signs = true, or coupling = false",
            )
        if figure.kind == "g_a" and current is not None and not current.coupling:
            yield f"{key}.kind", "g_a is zero with supercurrent.coupling = false"
        if figure.kind == "g_a" and (current is None or not current.both_signs or not np.any(current.values)):
            yield (
                f"{key}.kind",
                "g_a needs [supercurrent] with a value that is not zero and both_signs = true",
            )
        if figure.kind in ("g_nl", "gap", "local_conductance", "lead_temperature") and not _swept(case):
            yield f"{key}.kind", f"{figure.kind} is drawn over what is swept; give [sweep], such as V_inj"
        if figure.kind == "supercurrent" and current is None:
            yield f"{key}.kind", "supercurrent needs the table [supercurrent]"
        if figure.kind == "lead_temperature" and all(junction.lead is None for junction in case.junctions):
            yield f"{key}.kind", "lead_temperature needs a junction with a table lead"
        if figure.kind in ("map", "surface"):
            yield from _map_problems(case, key, str(figure.variable), biases)
        if figure.kind == "spectrum" and figure.variable not in case.output.spectra:
            yield f"{key}.variable", f'"{figure.variable}" is not among output.spectra'
        if figure.kind == "fields" and figure.variable not in case.output.stored:
            yield f"{key}.variable", f'"{figure.variable}" is not among output.stored'


def _swept(case: UsadelCase) -> bool:
    sweep = case.sweep
    return any(axis is not None for axis in (sweep.V_inj, sweep.V_det, sweep.temperature, case.supercurrent))


def _map_problems(
    case: UsadelCase, key: str, variable: str, biases: list[float]
) -> Iterable[tuple[str, str]]:
    detector = [] if case.sweep.V_det is None else case.sweep.V_det.biases
    if len(biases) < 2 or len(detector) < 2:
        yield f"{key}.kind", "a map needs several biases in sweep.V_inj and in sweep.V_det"
    if variable in ("g_ss", "g_sa") and not min(biases) < 0 < max(biases):
        yield f"{key}.variable", f"{variable} needs both signs of the bias in sweep.V_inj"


def unpaired(case: UsadelCase) -> bool:
    """Return whether some state of the sweep has no depairing."""
    current = case.supercurrent
    return case.spectrum.depairing == 0 and (current is None or 0.0 in current.values)
