"""Running a case of the Eliashberg model: one solution a temperature."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.case.interaction import KELVIN, MEV, Resolved, resolved
from fvqp.case.pointwise import Line, PointRecorder, run_lines
from fvqp.errors import CaseError, ConvergenceError
from fvqp.results.dataset import SweepDataset
from fvqp.results.result import Result
from fvqp.spectral import alpha2f
from fvqp.spectral.eliashberg import EliashbergSpectrum, solve
from fvqp.spectral.eliashberg_matsubara import (
    critical_temperature,
    default_cutoff,
    frequencies,
    solve_matsubara,
)
from fvqp.typing import Floats

log = logging.getLogger(__name__)


def run(case: EliashbergCase, out: str | Path | None, resume: bool, comm: MPI.Comm) -> Result:
    """Compute a case, see :func:`fvqp.case.run.run`."""
    interaction, coulomb, source = _interaction(case)
    edges = _edges(case)
    sweep = _dataset(case, interaction, coulomb, edges)

    def work(line: Line, recorder: PointRecorder) -> None:
        for place in line:
            temperature = case.sweep.temperature[place[0]]
            try:
                values = _solved(case, interaction, coulomb, edges, temperature)
            except ConvergenceError as error:
                raise ConvergenceError(f"temperature {temperature:g} K: {error}") from None
            recorder.record(place, values, f"T = {temperature:g} K")

    lines = [[(number,)] for number in range(len(case.sweep.temperature))]
    return run_lines(case, sweep, lines, work, out, resume, comm, {"alpha2F": source})


def check(case: EliashbergCase) -> str:
    """Sizes as text, see :func:`fvqp.case.run.check`."""
    interaction, coulomb, source = _interaction(case)
    rows = [
        ("interaction", f"{interaction.name}: lambda = {interaction.coupling:.4g}, mu* = {coulomb:.4g}"),
        ("omega_log", f"{interaction.omega_log:.4g} meV"),
        ("source", source),
        ("sweep", f"{len(case.sweep.temperature)} temperatures"),
        ("energies", f"{case.energies.number} bins up to {_edges(case)[-1]:.4g} meV"),
    ]
    return "\n".join([f"{case.source}: valid", *(f"  {name:<12}{text}" for name, text in rows)])


def _interaction(case: EliashbergCase) -> Resolved:
    """α²F, μ* and where they come from."""
    try:
        found = resolved(case.interaction)
        cutoff = default_cutoff(found.spectrum, case.interaction.cutoff_mev, found.coulomb)
    except CaseError as error:
        raise CaseError(f"{case.source}: interaction: {error}") from None
    try:
        frequencies(found.spectrum, cutoff, min(case.sweep.temperature) * KELVIN)
    except CaseError as error:
        coldest = f"{min(case.sweep.temperature):g} K"
        raise CaseError(f"{case.source}: sweep.temperature: {coldest} is too low: {error} meV") from None
    return found


def _edges(case: EliashbergCase) -> Floats:
    return np.linspace(0.0, case.energies.maximum.in_joule(0.0) / MEV, case.energies.number + 1)


def _dataset(
    case: EliashbergCase, interaction: alpha2f.Alpha2F, coulomb: float, edges: Floats
) -> SweepDataset:
    centres = 0.5 * (edges[1:] + edges[:-1])
    axis = interaction.energy
    sweep = SweepDataset(
        {"temperature": case.sweep.temperature},
        {"energy": (("energy",), centres * 1e-3), "omega": (("omega",), axis * 1e-3)},
        {
            "coupling": interaction.coupling,
            "omega_log_eV": interaction.omega_log * 1e-3,
            "coulomb": coulomb,
            "critical_temperature_K": critical_temperature(
                interaction, coulomb=coulomb, cutoff=case.interaction.cutoff_mev
            )
            / KELVIN,
        },
    )
    sweep.set_coordinate("alpha2F", ("omega",), interaction.values)
    for name in ("gap_real", "gap_imag", "Z_real", "Z_imag", "dos"):
        sweep.define(name, ("energy",))
    return sweep


def _solved(
    case: EliashbergCase, interaction: alpha2f.Alpha2F, coulomb: float, edges: Floats, temperature: float
) -> dict[str, float | Floats]:
    """Everything that is stored of one temperature."""
    kelvin, cutoff, solver = temperature * KELVIN, case.interaction.cutoff_mev, case.solver
    solution = solve(
        interaction,
        temperature=kelvin,
        coulomb=coulomb,
        cutoff=cutoff,
        spacing=None if solver.spacing is None else solver.spacing.in_joule(0.0) / MEV,
        tolerance=solver.tolerance,
        max_iterations=solver.maximum_iterations,
    )
    if edges[-1] > solution.energy[-1]:
        raise CaseError(
            f"{case.source}: energies.maximum: the equations are solved up to {solution.energy[-1]:.4g} meV, "
            f"{edges[-1]:.4g} meV lies beyond"
        )
    values = _functions(solution, edges)
    # At T > 0 damping gives Z(0) a pole in its imaginary part: the real part at the edge is what tunnels see.
    at = solution.gap_edge
    values |= {"gap": at * 1e-3, "Z0": float(np.interp(at, solution.energy, solution.Z.real))}
    if solver.matsubara:
        other = solve_matsubara(interaction, temperature=kelvin, coulomb=coulomb, cutoff=cutoff)
        edge = other.gap_edge()
        z = np.atleast_1d(other.Z_at(edge))[0]
        values |= {"gap_matsubara": edge * 1e-3, "Z0_matsubara": float(z.real)}
    log.info("T = %g K: gap edge %.5g meV", temperature, solution.gap_edge)
    return values


def _functions(solution: EliashbergSpectrum, edges: Floats) -> dict[str, float | Floats]:
    """Gap function, Z and the density of states on the bins of the results, energies in eV."""
    centres = 0.5 * (edges[1:] + edges[:-1])
    gap, z = solution.gap * 1e-3, solution.Z
    parts = {"gap_real": gap.real, "gap_imag": gap.imag, "Z_real": z.real, "Z_imag": z.imag}
    values: dict[str, float | Floats] = {
        name: np.interp(centres, solution.energy, part) for name, part in parts.items()
    }
    values["dos"] = solution.bins(edges).dos
    return values
