"""Checks of a case of localized quasiparticles that need no computation."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.localized.schema import LocalizedCase


def problems(case: LocalizedCase) -> Iterator[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    yield from _of_pairs(case)
    yield from _of_space(case)
    yield from _of_runs(case)
    yield from _of_figures(case)


def _of_pairs(case: LocalizedCase) -> Iterator[tuple[str, str]]:
    pairs, material = case.annihilation, case.material
    if pairs.radius is None and material is None:
        yield "annihilation.radius", "missing: give it, or a material"
    if pairs.pairs == "bubbles":
        if pairs.constant is not None:
            yield "annihilation.constant", "is not used: bubbles burst at once"
        if pairs.radius is None or material is not None:
            yield "annihilation.radius", "bubbles need it, and no material"
    elif pairs.constant is None and material is None:
        yield "annihilation.constant", "missing: give it, or a material"
    if material is not None and pairs.radius is not None:
        if len(material.tail_energy or material.fluctuation or ()) > 1:
            yield "annihilation.radius", "is an axis, and so is the disorder of the material"
        if pairs.constant is not None:
            yield "material", "is not used: annihilation gives radius and constant"


def _of_space(case: LocalizedCase) -> Iterator[tuple[str, str]]:
    profile = case.profile
    if case.mesh is None:
        for key in ("extrusion", "profile"):
            if getattr(case, key) is not None:
                yield key, "is not used without a mesh"
        if case.law.diffusivity is not None:
            yield "law.diffusivity", "is not used without a mesh: nothing varies in a box"
        if case.law.closure == "pairs":
            yield "law.closure", '"pairs" is not used without a mesh: nothing varies in a box'
    elif case.box is not None:
        yield "box", "is not used with a mesh; give one of them"
    if profile is None and case.sweep.generation is None:
        yield "sweep.generation", "missing"
    if profile is not None and case.sweep.generation is not None:
        yield "sweep.generation", "is not used with a profile, which says it; use profile.scale"
    if profile is not None and profile.results is not None:
        found = profile.results
        if found.variable == "f_L" and found.density_of_states is None and case.material is None:
            yield "profile.results.density_of_states", "missing: f_L becomes a density with it"


def _of_runs(case: LocalizedCase) -> Iterator[tuple[str, str]]:
    monte_carlo, bubbles = case.monte_carlo, case.annihilation.pairs == "bubbles"
    if monte_carlo.runs == 0:
        for key in ("seed", "accuracy", "start", "max_events"):
            if key in monte_carlo.model_fields_set:
                yield f"monte_carlo.{key}", "is not used without runs"
        if bubbles or set(case.sweep.spin) != {"none"}:
            yield "monte_carlo.runs", "there is no law of annihilation but for tail states without spin"
        for key in ("box", "extrusion"):
            if getattr(case, key) is not None and (key == "box" or case.law.closure == "local"):
                yield key, "is not used without runs: the law knows concentrations alone"
    if case.law.closure == "pairs":
        if case.relaxation is not None:
            yield "law.closure", '"pairs" is for steady states; remove relaxation, or give "local"'
        if case.law.diffusivity is not None:
            yield "law.diffusivity", 'needs law.closure = "local"'
        if bubbles or "none" not in case.sweep.spin:
            yield "law.closure", "is not used: there is no law but for tail states without spin"
    if case.relaxation is not None and bubbles:
        yield "relaxation", "bubbles that are left do not decay"
    if case.law.diffusivity is not None and (bubbles or "none" not in case.sweep.spin):
        yield "law.diffusivity", "is not used: there is no law but for tail states without spin"


def _of_figures(case: LocalizedCase) -> Iterator[tuple[str, str]]:
    sweep = case.sweep
    several = max(len(sweep.generation or ()), len(case.profile.scale) if case.profile is not None else 0)
    for number, figure in enumerate(case.figures):
        key = f"figures[{number}].kind"
        if figure.kind == "relaxation" and case.relaxation is None:
            yield key, '"relaxation" shows what relaxation adds; give it'
        if figure.kind == "profile" and case.mesh is None:
            yield key, '"profile" shows a mesh; give one'
        if figure.kind == "packing" and case.annihilation.pairs != "bubbles":
            yield key, '"packing" shows bubbles: annihilation.pairs = "bubbles"'
        if figure.kind == "concentration" and several < 2:
            yield key, '"concentration" needs several rates of generation'
