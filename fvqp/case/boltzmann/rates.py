"""Rates and lengths so far from one another that double precision does not hold both, and constants of
insulators that do not go together."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.case.boltzmann.schema import AnyCase, BoltzmannCase, Region
from fvqp.case.process import given_processes
from fvqp.case.scales import Units
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.mesh.quality import cell_sizes
from fvqp.models.boltzmann import Medium
from fvqp.typing import Ints

log = logging.getLogger(__name__)

LARGEST = 1e11
"""Largest product of a rate and the time that is computed. Rounding of what comes and goes at such a rate is
1e-5 of all there is; results are seen to be off, or steps to fail, from there to 1e16 on."""
TINY = 1e-300
"""Seconds; less is not divided by."""
INSTANT, SLOWEST = 1e-5, 1e-3
"""Escape times that keep phonons of a body in equilibrium with the bath, in τ0^pb: the one that is taken
where rounding permits, and the longest."""
INSTANT_IN_FILMS = 1e-9
"""The same of a film, in whose cell every occupation is solved for to a relative accuracy: to nine digits."""
THICKEST = 1e5
"""Thickness of a cell in free paths where particles fly: what diffuses through it is the square of this
smaller than what flies to and fro, and rounding of that is 1e-6 of it."""


UNLIKE = 3.0
"""Factor between the Debye energy of an insulator and that of its ions and speed of sound: it is 1.0 for
silicon and sapphire, and no more than 2 where formula units are counted for ions, or one branch for all."""


def check_rates(case: AnyCase, units: Units) -> None:
    """Raises :class:`CaseError` for rates that are too fast for the time that is computed."""
    end = units.time if case.evolution is None else case.evolution.end
    over = "tau0" if case.evolution is None else "evolution.end"
    if end > LARGEST * units.time:
        raise CaseError(
            f"{case.source}: evolution.end: {end:.4g} s is so long against tau0 = {units.time:.3g} s that "
            f"rounding hides what happens; give at most {LARGEST * units.time:.3g} s"
        )
    for key, given, rate in _rates(case, units):
        if rate * end > LARGEST:
            raise CaseError(
                f"{case.source}: {key}: {given} makes a rate of {rate:.3g}/s, whose rounding hides all else; "
                f"give one of at most {LARGEST / end:.3g}/s, {LARGEST:.0e} over {over}"
            )


def bath_time(case: AnyCase, units: Units, pair_breaking: float) -> float:
    """Escape time, seconds, with which phonons are those of the bath.

    Args:
        case, units: as named.
        pair_breaking: τ0^pb, seconds.

    Raises:
        CaseError: rounding does not permit one that is short enough.
    """
    if isinstance(case, BoltzmannCase):
        return INSTANT_IN_FILMS * pair_breaking
    end = units.time if case.evolution is None else case.evolution.end
    if end > SLOWEST * pair_breaking * LARGEST:
        raise CaseError(
            f"{case.source}: evolution.end: {end:.4g} s is so long that rounding hides all else beside the "
            f'exchange of phonons with the bath; with phonons.model = "bath" give at most '
            f"{SLOWEST * pair_breaking * LARGEST:.3g} s, or phonons.escape"
        )
    return max(INSTANT * pair_breaking, end / LARGEST)


def _rates(case: AnyCase, units: Units) -> Iterator[tuple[str, str, float]]:
    """Keys, what they say, and rates in 1/s: of escape and traps, and at which sources fill states."""
    escapes = {"phonons.escape": case.phonons.escape}
    escapes |= {f"regions.{name}.escape": region.escape for name, region in case.regions.items()}
    for key, escape in escapes.items():
        if escape is not None:
            key = f"{key}.time" if escape.time is not None else key
            yield key, f"{escape.seconds:.3g} s", 1.0 / max(escape.seconds, TINY)
    for key, process in given_processes(case):
        for inner, given, rate in process.rates(units):
            yield f"{key}.{inner}", given, rate


def warn_of_processes(case: AnyCase, units: Units) -> None:
    """Warn of what the processes of a case doubt."""
    for key, process in given_processes(case):
        for inner, doubt in process.doubts(units):
            log.warning("%s: %s.%s: %s", case.source, key, inner, doubt)


def warn_of_insulators(case: AnyCase) -> None:
    """Warns of a Debye energy far from that of the ions and their speed of sound, ħv(6π²n)^(1/3)."""
    phonons = case.phonons
    for name, region in case.regions.items():
        speed = region.sound_velocity or phonons.sound_velocity
        if (
            not region.insulator
            or speed is None
            or (region.phonon_dispersion or phonons.dispersion) is not None
        ):
            continue
        assert region.ion_density is not None and region.debye_energy is not None
        joule = constants.hbar * speed * (6.0 * np.pi**2 * region.ion_density) ** (1.0 / 3.0)
        expected, given = joule / constants.e, region.debye_energy.value
        if not 1.0 / UNLIKE < given / expected < UNLIKE:
            log.warning(
                "%s: regions.%s.debye_energy: %.3g meV, but ion_density and a speed of sound of %.3g m/s "
                "make %.3g meV; are the units right?",
                case.source,
                name,
                1e3 * given,
                speed,
                1e3 * expected,
            )


def check_motion(
    case: AnyCase, units: Units, name: str, region: Region, medium: Medium, mesh: Mesh, cells: Ints
) -> None:
    """Raises :class:`CaseError` for motion in a region that is too fast, or hindered too much. Collective.

    Args:
        case, units: as named.
        name, region, medium: of the region.
        mesh, cells: those of the region.
    """
    sizes = cell_sizes(mesh)[cells]
    smallest = float(mesh.comm.allreduce(float(sizes.min(initial=np.inf)), MPI.MIN))
    largest = float(mesh.comm.allreduce(float(sizes.max(initial=0.0)), MPI.MAX))
    end = units.time if case.evolution is None else case.evolution.end
    own = f"regions.{name}."
    diffuses = (case.quasiparticles.diffusivity, region.diffusivity) != (None, None)
    path = "diffusivity" if diffuses and region.free_path is None else "free_path"
    found = (
        (
            case.quasiparticles.motion,
            f"{own}{path}" if getattr(region, path) is not None else f"quasiparticles.{path}",
            medium.fermi_velocity * (not region.insulator),
            medium.free_path,
        ),
        (
            case.phonons.motion,
            f"{own}phonon_free_path" if region.phonon_free_path is not None else "phonons.free_path",
            float(np.max(medium.sound_velocity)),
            float(np.min(medium.phonon_free_path)),
        ),
    )
    for motion, key, velocity, free in found:
        if motion == "diffusive" and velocity > 0.0 and np.isinf(free):
            within = f' in region "{name}"' if name else ""
            raise CaseError(f'{case.source}: {key}: missing: motion = "diffusive" needs it{within}')
        if motion == "diffusive":
            diffusivity = velocity * free / 3.0 / units.time
            most = LARGEST * smallest**2 / end
            if diffusivity > most:
                raise CaseError(
                    f"{case.source}: {key}: makes a diffusivity of {diffusivity:.3g} m^2/s, whose rounding "
                    f"hides all else; give at most {most:.3g} m^2/s, or cells larger than "
                    f"{smallest * 1e6:.3g} um"
                )
        if motion == "ordinates" and largest > THICKEST * free and velocity > 0.0:
            raise CaseError(
                f"{case.source}: {key}: the free path of {free:.3g} m is more than {THICKEST:.0e} times "
                f'shorter than cells of {largest * 1e6:.3g} um; give motion = "diffusive"'
            )
