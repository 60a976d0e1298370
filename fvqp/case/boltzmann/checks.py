"""Checks of a case of the Boltzmann model that need no energy axis."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.case.metals import unknown_material
from fvqp.case.process import given_processes, problems_of_times

NEEDS = {"conductivity": "resonator", "resonator": "resonator", "lifetimes": "output.rates"}
"""Kind of a figure → the key without which its results are not there."""
EVOLUTIONS = ("energies", "inverse_density")
"""Kinds of figures of evolutions."""


def problems(case: BoltzmannCase) -> Iterator[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    if problem := unknown_material(case.material.name):
        yield "material.name", problem
    yield from problems_of_times(case, None if case.evolution is None else case.evolution.end)
    driven = False
    for key, process in given_processes(case):
        driven |= not process.sink
        for inner in ("regions", "size", "position", "profile"):
            if inner in process.model_fields_set and getattr(process, inner):
                yield (
                    f"{key}.{inner}",
                    'is not used: all is homogeneous; model = "transport" has space',
                )
    if case.sweep.strength is not None and not driven:
        yield "sweep.strength", "is not used: the case has neither microwaves nor injections"
    if case.steady_state is not None and not _loses_energy(case):
        reason = (
            "with drives there is none unless energy can leave"
            if driven
            else "a closed system keeps the energy it starts with, so that there is not one but many"
        )
        yield "steady_state", f'{reason}; give phonons.escape, or phonons.model = "bath"'
    if case.collisions.evaluation == "direct" and case.energies.spacing == "graded":
        yield "collisions.evaluation", '"direct" needs energies.spacing = "uniform"'
    if case.spectrum.model == "eliashberg":
        yield from _with_eliashberg(case)
    for number, figure in enumerate(case.figures):
        needed = NEEDS.get(figure.kind)
        there = case.output.rates if needed == "output.rates" else case.resonator is not None
        if needed and not there:
            yield f"figures[{number}].kind", f'"{figure.kind}" shows what {needed} adds; give it'
        if figure.kind == "efficiency" and not (driven or case.initial.pulses):
            yield f"figures[{number}].kind", '"efficiency" shows what microwaves, injections or pulses make'
        if figure.kind in EVOLUTIONS and case.evolution is None:
            yield f"figures[{number}].kind", f'"{figure.kind}" shows an evolution, not steady states'


def _with_eliashberg(case: BoltzmannCase) -> Iterator[tuple[str, str]]:
    """Yield keys that contradict a spectrum of Eliashberg theory, with the reason."""
    given = "" if case.gap.value is None else "gap.value"
    yield from case.spectrum.problems("", case.material, given, case.gap.model == "follows")
    if case.resonator is not None:
        yield "resonator", 'its conductivity is that of spectrum.model = "bcs"'
    for number, figure in enumerate(case.figures):
        if figure.kind == "gap_suppression" and case.gap.model == "fixed":
            reason = 'is known for spectrum.model = "bcs", or a gap that follows'
            yield f"figures[{number}].kind", f'"gap_suppression" {reason}'


def _loses_energy(case: BoltzmannCase) -> bool:
    sinks = [process for _, process in given_processes(case) if process.sink]
    return case.phonons.model == "bath" or case.phonons.escape is not None or bool(sinks)
