"""Checks of a case of a weak link that need no mesh."""

from __future__ import annotations

from collections.abc import Iterable

from fvqp.case.metals import unknown_material
from fvqp.case.weak_link.schema import WeakLinkCase, WeakLinkReservoir
from fvqp.materials import load_material


def superconducting(reservoir: WeakLinkReservoir) -> bool:
    """Return whether the metal of a reservoir has a gap."""
    return reservoir.gap is None or reservoir.gap.value > 0.0


def problems(case: WeakLinkCase) -> Iterable[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    name = case.superconductor.name
    if problem := unknown_material(name):
        yield "superconductor.name", problem
    elif name is not None and not load_material(name).gap > 0.0:
        yield "superconductor.name", f'"{name}" is a normal metal; its gap would be the unit of energy'
    taken: dict[str, str] = {}
    for number, reservoir in enumerate(case.reservoirs):
        key = f"reservoirs[{number}]"
        if reservoir.phase is not None and not superconducting(reservoir):
            yield f"{key}.phase", "is not used: a normal metal has none"
        for on in reservoir.on:
            if on in taken:
                yield f"{key}.on", f'"{on}" is taken by {taken[on]} already'
            taken[on] = key
    gapped = [reservoir for reservoir in case.reservoirs if superconducting(reservoir)]
    if all(reservoir.phase is not None for reservoir in gapped):
        yield "sweep.phase", "is not used: every superconducting reservoir has a phase of its own"
    if all(reservoir.phase is None for reservoir in gapped):
        yield (
            "reservoirs",
            'one of them must be superconducting and have a phase of its own, such as phase = "0 rad"',
        )
    dos = "dos" in case.output.stored
    if dos and case.energies is None:
        yield "energies", 'missing: the energies of "dos" in output.stored'
    if case.energies is not None and not dos:
        yield "energies", 'is not used: output.stored does not hold "dos"'
    for number, figure in enumerate(case.figures):
        if figure.kind in ("minigap", "dos") and figure.kind not in case.output.stored:
            yield f"figures[{number}].kind", f'"{figure.kind}" is not among output.stored'
        if figure.kind in ("minigap", "current_phase") and len(case.sweep.phase) < 2:
            yield f"figures[{number}].kind", f"{figure.kind} needs several phases in sweep.phase"
