"""Checks of a case of a film or a body that need no energy axis and no mesh."""

from __future__ import annotations

from collections.abc import Iterator

from fvqp.case.boltzmann.boundary import PhononInterface
from fvqp.case.boltzmann.schema import AnyCase, BoltzmannCase, Spectrum, TransportCase, TransportPulse
from fvqp.case.boltzmann.species import MotionTable
from fvqp.case.metals import unknown_material
from fvqp.case.process import ProcessTable, given_processes, problems_of_times
from fvqp.case.tables import Table

NEEDS = {"conductivity": "resonator", "resonator": "resonator", "lifetimes": "output.rates"}
"""Kind of a figure of a film → the key without which its results are not there."""
EVOLUTIONS = ("energies", "inverse_density")
"""Kinds of figures of evolutions of a film."""
OF_SHELLS = ("gap_profile", "density_profile")
"""Kinds of figures over the radius."""
OVER_TIME = ("arrivals", "energies", "density", "energy_shells", "escaped", "regions", "resonator")
"""Kinds of figures of a body over time."""


def problems(case: AnyCase) -> Iterator[tuple[str, str]]:
    """Return keys that contradict one another or go unused, each with what is wrong."""
    names = {"material.name": case.material.name}
    for name, region in case.regions.items():
        if region.material is not None:
            names[f"regions.{name}.material.name"] = region.material.name
    for key, chosen in names.items():
        if problem := unknown_material(chosen):
            yield key, problem
    yield from _of_spectra(case)
    yield from problems_of_times(case, None if case.evolution is None else case.evolution.end)
    yield from _of_film(case) if isinstance(case, BoltzmannCase) else _of_body(case)


def _of_film(case: BoltzmannCase) -> Iterator[tuple[str, str]]:
    """Sources of a film have no place, and steady states lose energy."""
    driven, follows = False, case.gap.model == "follows"
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
    for number, figure in enumerate(case.figures):
        needed = NEEDS.get(figure.kind)
        there = case.output.rates if needed == "output.rates" else case.resonator is not None
        if needed and not there:
            yield f"figures[{number}].kind", f'"{figure.kind}" shows what {needed} adds; give it'
        if figure.kind == "efficiency" and not (driven or case.initial.pulses):
            yield f"figures[{number}].kind", '"efficiency" shows what microwaves, injections or pulses make'
        if figure.kind in EVOLUTIONS and case.evolution is None:
            yield f"figures[{number}].kind", f'"{figure.kind}" shows an evolution, not steady states'
        if figure.kind == "gap_suppression" and case.spectrum.interaction is not None and not follows:
            reason = 'is known for spectrum.model = "bcs", or a gap that follows'
            yield f"figures[{number}].kind", f'"gap_suppression" {reason}'


def _loses_energy(case: BoltzmannCase) -> bool:
    sinks = [process for _, process in given_processes(case) if process.sink]
    return case.phonons.model == "bath" or case.phonons.escape is not None or bool(sinks)


def _of_body(case: TransportCase) -> Iterator[tuple[str, str]]:
    """Keys that do not go with shells, with one another, or with what is computed."""
    yield from _of_dispersion(case)
    yield from _of_branches(case)
    if case.phonons.model == "bath":
        for name, region in case.regions.items():
            for key in ("escape", "sound_velocity", "phonon_free_path", "phonon_dispersion"):
                if getattr(region, key) is not None:
                    yield f"regions.{name}.{key}", 'is not used with phonons.model = "bath"'
        for key, entry in _acting(case):
            if (entry.of if isinstance(entry, TransportPulse) else entry.species) == "phonons":
                yield f"{key}.of", 'phonons are those of the bath with phonons.model = "bath"'
    if case.periodic and case.body is not None:
        yield "periodic", "are boundaries of a mesh; shells have none that are alike"
    if case.regions and case.body is not None:
        yield (
            "regions",
            "are those of a mesh; [body] has one material, and mesh.shape of kind spherical1d or "
            "cylindrical1d has regions",
        )
    for species in ("quasiparticles", "phonons"):
        yield from _of_motion(case, species)
    for key, entry in _acting(case) if case.body is not None else ():
        if entry.regions:
            yield f"{key}.regions", "are those of a mesh"
        if "position" in entry.model_fields_set:
            yield f"{key}.position", "is not used in shells; pulses are at their centre or axis"
    for number, pulse in enumerate(case.initial.pulses):
        cylinder = case.body is not None and case.body.geometry == "cylinder"
        if pulse.energy is not None and cylinder and case.cross_section.thickness is None:
            yield (
                f"initial.pulses[{number}].energy",
                "a cylinder has no end and no energy; give peak, or cross_section.thickness",
            )
    if not case.collisions.inelastic and case.gap.model == "follows":
        yield "gap.model", 'needs collisions.inelastic = true; give "fixed"'
    if case.gap.profile is not None and case.spectrum.model != "bcs":
        yield "gap.profile", 'needs spectrum.model = "bcs"'
    if case.gap.profile is not None and case.localization is not None:
        yield "gap.profile", "is not used with [localization], which needs one gap"
    yield from _of_localization(case)
    if case.resonator is not None and case.resonator.region is not None and case.body is not None:
        yield "resonator.region", "is one of a mesh"
    yield from _of_power(case)
    if case.steady_state is not None and case.initial.steady:
        yield "initial.steady", "is not used with [steady_state]"
    for number, figure in enumerate(case.figures):
        key = f"figures[{number}].kind"
        if figure.kind in OF_SHELLS and case.body is None:
            yield key, f'"{figure.kind}" is over the radius of shells; a mesh has "map"'
        if figure.kind == "localized" and case.localization is None:
            yield key, '"localized" needs [localization]'
        if figure.kind == "resonator" and case.resonator is None:
            yield key, '"resonator" needs [resonator]'
        if figure.kind in OVER_TIME and case.evolution is None:
            yield key, f'"{figure.kind}" is over time; a steady state has "map" and profiles'
        if figure.kind == "regions" and case.mesh is None:
            yield key, '"regions" are those of a mesh; shells have profiles'
        if figure.kind == "map" and case.mesh is None:
            yield key, '"map" is of a mesh; shells have "density_profile" and "gap_profile"'


def _acting(case: TransportCase) -> Iterator[tuple[str, TransportPulse | ProcessTable]]:
    """Yield pulses and processes with their keys."""
    yield from ((f"initial.pulses[{number}]", pulse) for number, pulse in enumerate(case.initial.pulses))
    yield from given_processes(case)


def _of_power(case: TransportCase) -> Iterator[tuple[str, str]]:
    """Yield the sources of a steady state without a sink: a steady state with a source needs a sink."""
    if case.steady_state is None and not case.initial.steady:
        return
    processes = list(given_processes(case))
    given = [f"{key}.{process.given_power}" for key, process in processes if process.given_power]
    walls = [*case.quasiparticles.walls.values(), *case.phonons.walls.values()]
    escapes = [case.phonons.escape, *(region.escape for region in case.regions.values())]
    leaves = (
        case.phonons.model == "bath"
        or any(escape is not None for escape in escapes)
        or any(process.removes for _, process in processes)
        or any(wall.passes for wall in walls)
    )
    if given and not leaves:
        key = "steady_state" if case.steady_state is not None else "initial.steady"
        yield (
            key,
            f"{given[0]} comes in and nothing leaves; give phonons.escape, trapping or walls that transmit, "
            "or an evolution without a steady state",
        )


def _of_localization(case: TransportCase) -> Iterator[tuple[str, str]]:
    """Localized quasiparticles stay below a gap that does not move."""
    given = case.localization
    if given is None:
        return
    if case.gap.model == "follows":
        yield "localization", 'requires a fixed gap; give gap.model = "fixed"'
    if given.diffusivity is not None and case.quasiparticles.motion != "diffusive":
        yield "localization.diffusivity", 'is used with quasiparticles.motion = "diffusive" only'
    if given.concentration is not None and (case.steady_state is not None or case.initial.steady):
        yield "localization.concentration", "is not used where the steady state is found"


def _of_spectra(case: AnyCase) -> Iterator[tuple[str, str]]:
    """Spectra of Eliashberg theory stay as they are solved for."""
    follows = case.gap.model == "follows"
    given = "" if case.gap.value is None else "gap.value"
    yield from case.spectrum.problems("", case.material, given, follows)
    for name, region in case.regions.items():
        if region.material is not None and region.spectrum is not None:
            given = "" if region.gap is None else "gap"
            yield from region.spectrum.problems(f"regions.{name}.", region.material, given, follows)
    if case.resonator is not None and any(one.interaction is not None for one in _probed(case)):
        yield "resonator", 'its conductivity is that of spectrum.model = "bcs"'
    if case.spectrum.interaction is None:
        return
    for name, region in case.regions.items():
        if region.gap is not None and region.material is None:
            yield (
                f"regions.{name}.gap",
                'contradicts spectrum.model = "eliashberg", which the region has too; give it a material of '
                "its own, with the spectrum of BCS theory",
            )


def _probed(case: AnyCase) -> list[Spectrum]:
    """Spectra of the superconductors that the resonator is made of."""
    assert case.resonator is not None
    own = {
        name: region.spectrum or Spectrum()
        for name, region in case.regions.items()
        if region.material is not None
    }
    region = getattr(case.resonator, "region", None)
    return [case.spectrum, *own.values()] if region is None else [own.get(region, case.spectrum)]


def _of_dispersion(case: TransportCase) -> Iterator[tuple[str, str]]:
    """A table of speeds contains that of sound."""
    given = case.phonons.dispersion
    table = given is not None and given.model == "table"
    if table and case.phonons.sound_velocity is not None:
        yield "phonons.sound_velocity", "is not used with phonons.dispersion.file, which has its own"
    for name, region in case.regions.items():
        here = region.phonon_dispersion or given
        if region.sound_velocity is not None and here is not None and here.model == "table":
            yield f"regions.{name}.sound_velocity", "is not used with a table of speeds, which has its own"


def _has_table(case: TransportCase) -> bool:
    """Return whether speeds of phonons come from a file anywhere."""
    given = (case.phonons.dispersion, *(region.phonon_dispersion for region in case.regions.values()))
    return any(one is not None and one.model == "table" for one in given)


def _of_motion(case: TransportCase, species: str) -> Iterator[tuple[str, str]]:
    motion: MotionTable = getattr(case, species)
    given = motion.model_fields_set
    if motion.motion == "still":
        speed = {"quasiparticles": ("fermi_velocity", "free_path", "diffusivity")}.get(
            species, ("sound_velocity", "branches", "free_path", "dispersion")
        )
        for key in (*speed, "walls", "interfaces"):
            if key in given and getattr(motion, key):
                yield f"{species}.{key}", 'is not used with motion = "still"'
    if motion.motion != "ordinates":
        for key in ("quadrature", "directions", "azimuths", "degree", "scheme"):
            if key in given:
                yield f"{species}.{key}", f'is not used with motion = "{motion.motion}"'
        for key, boundary in _boundaries(motion):
            if isinstance(boundary, PhononInterface) and boundary.mass_densities is not None:
                yield (
                    f"{species}.{key}.mass_densities",
                    'refraction needs motion = "ordinates"; give a transmission',
                )
            if "specularity" in boundary.model_fields_set:
                yield (
                    f"{species}.{key}.specularity",
                    f'is not used with motion = "{motion.motion}": scattering has forgotten where particles '
                    "came from; what does not pass stays",
                )
    else:
        yield from _of_directions(case, species)
    if case.body is not None:
        known = ["outer"] + ["inner"] * (case.body.inner_radius is not None)
        for wall in motion.walls:
            if wall not in known:
                yield f"{species}.walls", f'there is no boundary "{wall}"; there are: {", ".join(known)}'
        if motion.interfaces:
            yield f"{species}.interfaces", "are those of a mesh"
    pairs = [set(interface.between) for interface in motion.interfaces]
    for number, pair in enumerate(pairs):
        if pair in pairs[:number]:
            yield (
                f"{species}.interfaces[{number}].between",
                f"these regions have interfaces[{pairs.index(pair)}] already; leave one out",
            )
    evolves = case.evolution is not None
    for name, table in motion.walls.items():
        for key, problem in table.problems(motion.motion, evolves):
            yield f"{species}.walls.{name}.{key}", problem
    for wall in motion.walls:
        if any(wall in pair for pair in case.periodic):
            yield f"{species}.walls.{wall}", "is a periodic boundary, which has no wall"
    keys = {
        "quasiparticles": ("fermi_velocity", "diffusivity", "free_path"),
        "phonons": ("sound_velocity", "phonon_free_path", "phonon_dispersion"),
    }[species]
    speeds = keys[:2] if species == "quasiparticles" else keys[:1]
    if motion.motion == "still":
        for name, region in case.regions.items():
            for key in keys:
                if getattr(region, key) is not None:
                    yield f"regions.{name}.{key}", f'is not used with {species}.motion = "still"'
        return
    if species == "phonons" and (case.phonons.branches or _has_table(case)):
        return
    if not any(
        getattr(table, key) is not None for table in (motion, *case.regions.values()) for key in speeds
    ):
        yield f"{species}.{speeds[0]}", f'missing: motion = "{motion.motion}" needs it'


def _boundaries(motion: MotionTable) -> Iterator[tuple[str, Table]]:
    """Walls and interfaces, with their keys."""
    for name, wall in motion.walls.items():
        yield f"walls.{name}", wall
    for number, interface in enumerate(motion.interfaces):
        yield f"interfaces[{number}]", interface


def _of_branches(case: TransportCase) -> Iterator[tuple[str, str]]:
    """Branches of phonons fly; their speeds are not said twice."""
    phonons = case.phonons
    if not phonons.branches:
        return
    if phonons.motion == "diffusive":
        yield (
            "phonons.branches",
            'need motion = "ordinates"; diffusion knows one sound_velocity, their root of the mean square',
        )
    if phonons.sound_velocity is not None:
        yield "phonons.sound_velocity", "is not used with phonons.branches, which have their own"
    if _has_table(case):
        yield "phonons.branches", "are not used with a table of speeds, which is that of one branch"
    for number, interface in enumerate(phonons.interfaces):
        if interface.mass_densities is not None:
            yield (
                f"phonons.interfaces[{number}].mass_densities",
                "refraction is that of one branch; give a transmission, or phonons.sound_velocity",
            )


def _of_directions(case: TransportCase, species: str) -> Iterator[tuple[str, str]]:
    """Yield keys of directions that do not go with the mesh, with the reason."""
    motion: MotionTable = getattr(case, species)
    given = motion.model_fields_set
    if case.body is not None:
        for key in ("quadrature", "degree"):
            if key in given:
                yield f"{species}.{key}", "belongs to plane and solid meshes; shells have levels of their own"
        if case.body.geometry == "sphere" and "azimuths" in given:
            yield f"{species}.azimuths", "is not used in a sphere"
        return
    for key in ("degree",) if motion.quadrature == "product" else ("directions", "azimuths"):
        if key in given:
            yield f"{species}.{key}", f'is not used with quadrature = "{motion.quadrature}"'
    if motion.quadrature == "lebedev" and motion.degree is None:
        yield f"{species}.degree", "missing: up to which degree of spherical harmonics the set is exact"
