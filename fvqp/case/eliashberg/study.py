"""Study of the Eliashberg equations: one solution a temperature."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.case.eliashberg.schema import EliashbergCase
from fvqp.case.interaction import KELVIN, MEV, Resolved, resolved
from fvqp.case.petsc_options import check_options_used
from fvqp.case.study import PointStudy
from fvqp.errors import CaseError
from fvqp.results.dataset import SweepDataset
from fvqp.spectral.eliashberg import EliashbergSpectrum, solve
from fvqp.spectral.eliashberg_matsubara import (
    critical_temperature,
    default_cutoff,
    frequencies,
    solve_matsubara,
)
from fvqp.texts import two_digits
from fvqp.typing import Floats

log = logging.getLogger(__name__)


class EliashbergStudy(PointStudy):
    """The Eliashberg equations at the temperatures of a case."""

    case: EliashbergCase

    def __init__(self, case: EliashbergCase, comm: MPI.Comm, out: Path | None, solve: bool = True) -> None:
        super().__init__(case, comm, out, solve)
        check_options_used(case, "Anderson acceleration")
        self.interaction, self.coulomb, source = _interaction(case)
        self.sources = {"alpha2F": source}
        self.edges = np.linspace(0.0, case.energies.maximum.in_joule(0.0) / MEV, case.energies.number + 1)

    def report(self) -> Iterable[tuple[str, str]]:
        case, found = self.case, self.interaction
        return [
            ("interaction", f"{found.name}: lambda = {found.coupling:.4g}, mu* = {self.coulomb:.4g}"),
            ("omega_log", f"{found.omega_log:.4g} meV"),
            ("source", self.sources["alpha2F"]),
            ("sweep", f"{len(case.sweep.temperature)} temperatures"),
            ("energies", f"{case.energies.number} bins up to {self.edges[-1]:.4g} meV"),
        ]

    def errors(self) -> list[str]:
        if self.case.solver.spacing is not None:
            part = self.case.solver.spacing.in_joule(0.0) / MEV / self.interaction.omega_log
            return [f"spacing {two_digits(part)} of omega_log, error of second order in it"]
        return ["spacing at most a tenth of the gap, and 1/300 of the largest phonon energy: of second order"]

    def where(self, place: tuple[int, ...]) -> str:
        return f"temperature {self.case.sweep.temperature[place[0]]:g} K"

    def dataset(self) -> SweepDataset:
        interaction, edges = self.interaction, self.edges
        centres = 0.5 * (edges[1:] + edges[:-1])
        axis = interaction.energy
        sweep = SweepDataset(
            {"temperature": self.case.sweep.temperature},
            {"energy": (("energy",), centres * 1e-3), "omega": (("omega",), axis * 1e-3)},
            {
                "coupling": interaction.coupling,
                "omega_log_eV": interaction.omega_log * 1e-3,
                "coulomb": self.coulomb,
                "critical_temperature_K": critical_temperature(
                    interaction, coulomb=self.coulomb, cutoff=self.case.interaction.cutoff_mev
                )
                / KELVIN,
            },
        )
        sweep.set_coordinate("alpha2F", ("omega",), interaction.values)
        for name in ("gap_real", "gap_imag", "Z_real", "Z_imag", "dos"):
            sweep.define(name, ("energy",))
        return sweep

    def values(self, place: tuple[int, ...], sweep: SweepDataset) -> dict[str, Any]:
        case, edges = self.case, self.edges
        temperature = case.sweep.temperature[place[0]]
        kelvin, cutoff, solver = temperature * KELVIN, case.interaction.cutoff_mev, case.solver
        solution = solve(
            self.interaction,
            temperature=kelvin,
            coulomb=self.coulomb,
            cutoff=cutoff,
            spacing=None if solver.spacing is None else solver.spacing.in_joule(0.0) / MEV,
            tolerance=solver.tolerance,
            max_iterations=solver.maximum_iterations,
        )
        if edges[-1] > solution.energy[-1]:
            raise CaseError(
                f"{case.source}: energies.maximum: the equations are solved up to {solution.energy[-1]:.4g} "
                f"meV, {edges[-1]:.4g} meV lies beyond"
            )
        values = _functions(solution, edges)
        # At T > 0 damping gives Z(0) a pole in its imaginary part: tunnels see the real part at the edge.
        at = solution.gap_edge
        values |= {"gap": at * 1e-3, "Z0": float(np.interp(at, solution.energy, solution.Z.real))}
        if solver.matsubara:
            other = solve_matsubara(self.interaction, temperature=kelvin, coulomb=self.coulomb, cutoff=cutoff)
            edge = other.gap_edge()
            z = np.atleast_1d(other.Z_at(edge))[0]
            values |= {"gap_matsubara": edge * 1e-3, "Z0_matsubara": float(z.real)}
        log.info("T = %g K: gap edge %.5g meV", temperature, solution.gap_edge)
        return values


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


STUDY = EliashbergStudy
