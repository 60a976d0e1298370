"""Boxes that are too small, averages that are no steady state, and limits of the law of annihilation.

The law is that of a uniform steady state. What it is off by elsewhere was measured against the simulation
(theory, localized).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.mesh.mesh import Mesh
from fvqp.models.localized.closure import PACKING, AnnihilationLaw
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.laws import BurstingBubbles, Law
from fvqp.models.localized.rates import rate_beyond
from fvqp.typing import Floats

FEW_PARTICLES = 30
"""Least number of particles expected in the steady state for which a periodic box is large."""
IMAGE_SHARE = 1e-3
"""Part of the mean-field rate that the images in a periodic box may leave out."""
DENSE_REACH = 5.0
"""Distance of partners in r_c where quasiparticles are dense: what the pair rate falls off with."""
STEEP = 1.0
"""Relative change of the rate of annihilation over the reach of partners at which the law is off by some
10 %: by 0.05 to 0.2 of the square of that change."""
SURFACE = 0.4
"""Part of the reach of partners by which a body of two parallel surfaces seems thinner to them."""
THIN = 0.1
"""Part of the concentration that surfaces across a film or wire may add."""
FADING = 0.8
"""Part of annihilation that nothing replenishes, from which on the law is off by more than 5 % in time."""
SPARSE = 4.0
"""Distance r in r_c from which on replenishing counts; closer quasiparticles obey mean field."""
NEGLIGIBLE = 1e-3
"""Part of the largest concentration below which decays are not looked at."""
DECAYS = (
    "law: is that of steady states, in which close pairs are replenished; where the concentration decays it "
    "annihilates up to 10 times too fast and leaves up to 31 % too few"
)


def check_box(domain: Domain, law: Law) -> None:
    """`CaseError` for a periodic box so small that images of a particle in reach are left out."""
    repeats = domain.periodic[: domain.dim]
    if not repeats.any():
        return
    edge = float(domain.lengths[: domain.dim][repeats].min())
    if isinstance(law, BurstingBubbles):
        if edge < 2.0 * law.length:
            raise CaseError(
                f"box: a periodic edge of {edge:.4g} m is less than twice the distance of bursting "
                f"bubbles, {law.length:.4g} m; take a larger box"
            )
    elif rate_beyond(0.5 * edge / law.length) > IMAGE_SHARE:
        least = least_edge()
        raise CaseError(
            f"box: a periodic edge of {edge:.4g} m is less than {least:.3g} r_c = "
            f"{least * law.length:.4g} m: images of a particle within reach would be left out; "
            "take a larger box, or one that is not periodic"
        )


@cache
def least_edge() -> float:
    """Periodic edge in r_c at which the images' share of the rate is `IMAGE_SHARE`."""
    edges = np.arange(10.0, 60.0, 0.5)
    return float(next(edge for edge in edges if rate_beyond(0.5 * edge) <= IMAGE_SHARE))


def doubts(domain: Domain, expected: float, *, spins: bool, flip_rate: float) -> list[str]:
    """Return doubts about a steady state with about ``expected`` particles, for warnings."""
    found = []
    if spins and flip_rate == 0.0:
        found.append(
            "spins: without flips only generation changes the difference of up and down, which walks at "
            "random; the concentration has no steady state but grows slowly with the polarization"
        )
    if domain.periodic.any() and expected < FEW_PARTICLES:
        found.append(
            f"box: about {expected:.2g} particles are expected in the steady state; averages of fewer than "
            f"{FEW_PARTICLES} feel the periodic images, take a larger box"
        )
    return found


def reach(law: AnnihilationLaw, concentration: Floats) -> Floats:
    """Return the distance within which quasiparticles have their partners, metres."""
    distance = law.distance(concentration)
    return np.hypot(distance, DENSE_REACH * law.annihilation.length)


def doubts_of_section(domain: Domain, law: AnnihilationLaw, concentration: float) -> list[str]:
    """Return a warning where surfaces across a film or wire take away partners."""
    given = domain.extent[domain.extent > 0.0]
    if not len(given) or concentration <= 0.0:
        return []
    added = SURFACE * float(reach(law, np.array(concentration))) * float(np.sum(1.0 / given))
    if added <= THIN:
        return []
    return [
        f"law: takes partners on all sides; surfaces {given.min() * 1e6:.4g} um apart leave so few that its "
        f"concentrations are too small by about {1.0 - 1.0 / (1.0 + added):.0%}; take those of the simulation"
    ]


class Steepness(NamedTuple):
    """The steepest place of a concentration.

    Attributes:
        change: relative change of the rate of annihilation over the reach of partners.
        reach: of partners there, metres.
    """

    change: float
    reach: float


def steepest(mesh: Mesh, law: AnnihilationLaw, concentration: Floats) -> Steepness:
    """Return where the rate of annihilation changes most within the reach of partners. Collective.

    Beyond surfaces there are no partners.

    Args:
        mesh: the rank's part.
        law: of annihilation.
        concentration: ``(n_cells,)`` of local cells, ghosts included, 1/m³.
    """
    rate, far = law.rate(concentration), np.zeros(len(concentration))
    some = concentration > 0.0
    far[some] = reach(law, concentration[some])
    one, other = mesh.face_cells[:, 0], mesh.face_cells[:, 1]
    outer = other < 0
    depth = mesh.volume[one] / np.where(mesh.face_area > 0.0, mesh.face_area, 1e-99)
    apart = np.linalg.norm(mesh.centroid[one] - mesh.centroid[other], axis=1)
    low = np.where(outer, 0.0, np.minimum(rate[one], rate[other]))
    high = np.where(outer, rate[one], np.maximum(rate[one], rate[other]))
    within = np.where(outer | (rate[one] >= rate[other]), far[one], far[other])
    # Where lines meet there is a cell of hardly any length.
    counts = (high > 0.0) & ~np.isin(one, mesh.nodes) & ~np.isin(other, mesh.nodes)
    change = within / np.where(outer, depth, apart) * (1.0 - low / np.where(counts, high, 1.0))
    change = np.where(counts, change, 0.0)
    at = int(change.argmax()) if len(change) else -1
    mine = (float(change[at]), float(within[at])) if at >= 0 else (0.0, 0.0)
    return Steepness(*max(mesh.comm.allgather(mine)))


def doubts_of_steepness(found: Steepness) -> list[str]:
    """Return a warning where the law of annihilation is off by 10 % or more."""
    if found.change <= STEEP:
        return []
    return [
        f"law: takes partners from the same place; within their reach, {found.reach * 1e6:.3g} um, "
        f"generation changes by {found.change:.2g} of itself, or a surface ends it: concentrations there are "
        "off by 10 % or more"
    ]


def doubts_of_decay(law: AnnihilationLaw, concentration: Floats, source: Floats, comm: MPI.Comm) -> list[str]:
    """Return a warning where little replenishes close pairs; the law is that of steady states. Collective.

    Args:
        law: of annihilation.
        concentration: of the rank's cells, 1/m³.
        source: rate at which quasiparticles come there, 1/(m³ s).
        comm: ranks that share the cells.
    """
    most = comm.allreduce(float(concentration.max(initial=0.0)), MPI.MAX)
    some = concentration > NEGLIGIBLE * most
    c, rate = concentration[some], law.rate(concentration[some])
    alone = law.distance(c) > SPARSE * law.annihilation.length
    faded = alone & (source[some] < (1.0 - FADING) * rate)
    if not comm.allreduce(bool(faded.any()), MPI.LOR):
        return []
    return [DECAYS]


def decays_alone(law: AnnihilationLaw, concentration: float, end: float) -> bool:
    """Tell whether quasiparticles are sparse at the end of a decay without generation, seconds."""
    sparse = PACKING / (4.0 * np.pi / 3.0 * (SPARSE * law.annihilation.length) ** 3)
    return end > float(law.lifetime(min(concentration, sparse)))
