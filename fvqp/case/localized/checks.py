"""What can be known to be wrong with a case of localized quasiparticles before anything is computed."""

from __future__ import annotations

from fvqp.case.localized.schema import LocalizedCase
from fvqp.errors import CaseError


def check_case(case: LocalizedCase) -> None:
    """Raises :class:`CaseError` when parts of the case contradict one another or go unused."""
    for key, message in [*_of_pairs(case), *_of_space(case), *_of_runs(case), *_of_figures(case)]:
        raise CaseError(f"{case.source}: {key}: {message}")


def _of_pairs(case: LocalizedCase) -> list[tuple[str, str]]:
    pairs, material, problems = case.annihilation, case.material, []
    if pairs.radius is None and material is None:
        problems.append(("annihilation.radius", "missing: give it, or a material"))
    if pairs.pairs == "bubbles":
        if pairs.constant is not None:
            problems.append(("annihilation.constant", "is not used: bubbles burst at once"))
        if pairs.radius is None or material is not None:
            problems.append(("annihilation.radius", "bubbles need it, and no material"))
    elif pairs.constant is None and material is None:
        problems.append(("annihilation.constant", "missing: give it, or a material"))
    if material is not None and pairs.radius is not None:
        if len(material.tail_energy or material.fluctuation or ()) > 1:
            problems.append(("annihilation.radius", "is an axis, and so is the disorder of the material"))
        if pairs.constant is not None:
            problems.append(("material", "is not used: annihilation gives radius and constant"))
    return problems


def _of_space(case: LocalizedCase) -> list[tuple[str, str]]:
    problems, profile = [], case.profile
    if case.mesh is None:
        for key in ("extrusion", "profile"):
            if getattr(case, key) is not None:
                problems.append((key, "is not used without a mesh"))
        if case.law.diffusivity is not None:
            problems.append(("law.diffusivity", "is not used without a mesh: nothing varies in a box"))
        if case.law.closure == "pairs":
            problems.append(("law.closure", '"pairs" is not used without a mesh: nothing varies in a box'))
    elif case.box is not None:
        problems.append(("box", "is not used with a mesh; give one of them"))
    if profile is None and case.sweep.generation is None:
        problems.append(("sweep.generation", "missing"))
    if profile is not None and case.sweep.generation is not None:
        problems.append(("sweep.generation", "is not used with a profile, which says it; use profile.scale"))
    if profile is not None and profile.results is not None:
        found = profile.results
        if found.variable == "f_L" and found.density_of_states is None and case.material is None:
            problems.append(("profile.results.density_of_states", "missing: f_L becomes a density with it"))
    return problems


def _of_runs(case: LocalizedCase) -> list[tuple[str, str]]:
    problems, monte_carlo, bubbles = [], case.monte_carlo, case.annihilation.pairs == "bubbles"
    if monte_carlo.runs == 0:
        for key in ("seed", "accuracy", "start", "max_events"):
            if key in monte_carlo.model_fields_set:
                problems.append((f"monte_carlo.{key}", "is not used without runs"))
        if bubbles or set(case.sweep.spin) != {"none"}:
            problems.append(
                ("monte_carlo.runs", "there is no law of annihilation but for tail states without spin")
            )
        for key in ("box", "extrusion"):
            if getattr(case, key) is not None and (key == "box" or case.law.closure == "local"):
                problems.append((key, "is not used without runs: the law knows concentrations alone"))
    if case.law.closure == "pairs":
        if case.relaxation is not None:
            problems.append(
                ("law.closure", '"pairs" is for steady states; remove relaxation, or give "local"')
            )
        if case.law.diffusivity is not None:
            problems.append(("law.diffusivity", 'needs law.closure = "local"'))
        if bubbles or "none" not in case.sweep.spin:
            problems.append(("law.closure", "is not used: there is no law but for tail states without spin"))
    if case.relaxation is not None and bubbles:
        problems.append(("relaxation", "bubbles that are left do not decay"))
    if case.law.diffusivity is not None and (bubbles or "none" not in case.sweep.spin):
        problems.append(("law.diffusivity", "is not used: there is no law but for tail states without spin"))
    return problems


def _of_figures(case: LocalizedCase) -> list[tuple[str, str]]:
    problems, sweep = [], case.sweep
    several = max(len(sweep.generation or ()), len(case.profile.scale) if case.profile is not None else 0)
    for number, figure in enumerate(case.figures):
        key = f"figures[{number}].kind"
        if figure.kind == "relaxation" and case.relaxation is None:
            problems.append((key, '"relaxation" shows what relaxation adds; give it'))
        if figure.kind == "profile" and case.mesh is None:
            problems.append((key, '"profile" shows a mesh; give one'))
        if figure.kind == "packing" and case.annihilation.pairs != "bubbles":
            problems.append((key, '"packing" shows bubbles: annihilation.pairs = "bubbles"'))
        if figure.kind == "concentration" and several < 2:
            problems.append((key, '"concentration" needs several rates of generation'))
    return problems
