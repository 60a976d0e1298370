"""Localized quasiparticles of a case of the transport model: how they are captured and annihilate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from fvqp.case.quantities import AnnihilationConstant, Diffusivity, Energy, Length, NumberDensity, Time
from fvqp.case.scales import Units
from fvqp.case.tables import AS_LIST, ONCE, Name, Table
from fvqp.collisions import Coupling, Localization, phonon_modes
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import State
from fvqp.models.localized import AnnihilationLaw, LawInUnits, MeanField, TailAnnihilation
from fvqp.models.localized.validity import doubts_of_decay, doubts_of_steepness, steepest


class LocalizationTable(Table):
    """Quasiparticles that disorder localizes below the gap edge, and that annihilate in pairs there."""

    capture_time: Time
    """After which a mobile quasiparticle is captured; it does not come back."""
    capture_below: Energy | None = None
    """Only below this energy; default: at all energies."""
    radius: Length | None = None
    """r_c of localized states, by which annihilation slows down when quasiparticles are far apart; default:
    none, mean field at all concentrations."""
    constant: AnnihilationConstant | None = None
    """Γ̄ of dense quasiparticles; default: that of recombination of cold mobile ones."""
    diffusivity: Diffusivity | None = None
    """Of slow hops; default: none."""
    concentration: NumberDensity | None = None
    """At the start; default: none."""
    regions: Annotated[tuple[Name, ...], AS_LIST, ONCE] = ()
    """Of the mesh, only there; default: wherever there is a gap."""


def hops(given: LocalizationTable | None, units: Units) -> float:
    """Diffusivity of localized quasiparticles, m²/τ0."""
    return 0.0 if given is None or given.diffusivity is None else given.diffusivity * units.time


def localization(
    given: LocalizationTable,
    *,
    where: str,
    region: str,
    gap: float | None,
    bin_weights: Callable[[float], BinWeights],
    grid: EnergyAxis,
    units: Units,
    density: float,
    coupling: Coupling,
    modes: ArrayLike,
) -> Localization | None:
    """The process in a region; None where there is none.

    Args:
        given: the table of the case.
        where: its name in messages.
        region: name of the region, empty for cells of no region.
        gap: Δ there in Δ0 of the reference; None without quasiparticles.
        bin_weights: spectrum for a gap.
        grid, units: of the run.
        density: N0 of the region over that of the reference.
        coupling, modes: of the region.

    Raises:
        CaseError: a named region without a gap; a limit of energy below it; an axis without room below it.
    """
    if given.regions and region not in given.regions:
        return None
    if gap is None or gap == 0.0:
        if given.regions:
            raise CaseError(f'{where}.regions: there is no gap in "{region}"')
        return None
    unit = units.density * density
    constant = given.constant
    if constant is None:
        constant = 8.0 * coupling.strength * gap**2 / (unit * units.time)
    law: AnnihilationLaw | MeanField = MeanField(constant)
    if given.radius is not None:
        law = AnnihilationLaw(TailAnnihilation(given.radius, constant))
    capture = np.full(grid.n, units.time / given.capture_time)
    if given.capture_below is not None:
        top = given.capture_below.in_delta0(units.energy)
        if top <= gap:
            raise CaseError(f"{where}.capture_below: {top:.4g} Delta0 is not above the gap, {gap:.4g} Delta0")
        capture *= np.clip((top - grid.edges[:-1]) / grid.widths, 0.0, 1.0)
    try:
        return Localization(
            grid,
            bin_weights(gap),
            LawInUnits(law, unit, units.time),
            capture,
            phonon_modes(grid, coupling, modes),
        )
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None


def doubts_of_law(
    problem: BoltzmannProblem, mesh: Mesh, state: State, units: Units, *, evolves: bool
) -> dict[str, list[str]]:
    """Return limits of the law of annihilation that a state is beyond, by kind. Collective.

    Args:
        problem: whose state this is.
        mesh: of the results, distributed like the cells of the problem.
        state: of all cells.
        units: of the run.
        evolves: whether concentrations may decay.
    """
    body, f, law = problem.cells, problem.mean_f(state.f), None
    c, source = np.zeros((2, body.n_owned))
    for one, bin_weights in zip(problem.media, problem.at(state.gap).local.bin_weights, strict=True):
        process = one.medium.localization
        if process is None or not isinstance(process.law, LawInUnits):
            continue
        # Regions differ in the constant at most, which ratios of rates do not know.
        if isinstance(process.law.law, AnnihilationLaw):
            law = process.law.law if law is None else law
        if len(one.owned):
            c[one.owned] = process.concentration(f[one.owned]) * process.law.density
            rate = process.captured(bin_weights, f[one.owned])
            source[one.owned] = rate * process.law.density / units.time
    if law is None:
        return {}
    owned = mesh.global_id[: body.n_owned]
    everywhere = np.zeros(mesh.n_global)
    for cells, values in body.comm.allgather((owned, c)):
        everywhere[cells] = values
    found = {"steep": doubts_of_steepness(steepest(mesh, law, everywhere[mesh.global_id]))}
    if evolves:
        found["decay"] = doubts_of_decay(law, c, source, body.comm)
    return found
