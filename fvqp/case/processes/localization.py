"""Localization: quasiparticles that disorder captures below the gap edge, where they annihilate in pairs."""

from __future__ import annotations

import numpy as np

from fvqp.case.process import ProcessSite, ProcessTable, Regions
from fvqp.case.quantities import AnnihilationConstant, Diffusivity, Energy, Length, NumberDensity, Time
from fvqp.case.scales import Units
from fvqp.collisions import Localization, phonon_modes
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.models.boltzmann import BoltzmannProblem, State
from fvqp.models.localized import AnnihilationLaw, LawInUnits, MeanField, TailAnnihilation
from fvqp.models.localized.validity import doubts_of_decay, doubts_of_steepness, steepest


class LocalizationTable(ProcessTable):
    """Quasiparticles that disorder localizes below the gap edge, and that annihilate in pairs there."""

    name = "localization"
    models = ("transport",)
    own_cells = True

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
    """Diffusivity of slow hops; default: none."""
    concentration: NumberDensity | None = None
    """Concentration at the start; default: none."""
    regions: Regions = ()
    """Regions of the mesh where it acts; default: wherever there is a gap."""

    def build(self, site: ProcessSite) -> Localization | None:
        if not site.gap:
            if self.regions:
                raise CaseError(f'regions: there is no gap in "{site.region}"')
            return None
        grid, units, gap = site.grid, site.units, site.gap
        unit = units.density * site.density
        constant = self.constant
        if constant is None:
            constant = 8.0 * site.coupling.strength * gap**2 / (unit * units.time)
        law: AnnihilationLaw | MeanField = MeanField(constant)
        if self.radius is not None:
            law = AnnihilationLaw(TailAnnihilation(self.radius, constant))
        capture = np.full(grid.n, units.time / self.capture_time)
        if self.capture_below is not None:
            top = self.capture_below.in_delta0(units.energy)
            if top <= gap:
                raise CaseError(f"capture_below: {top:.4g} Delta0 is not above the gap, {gap:.4g} Delta0")
            capture *= np.clip((top - grid.edges[:-1]) / grid.widths, 0.0, 1.0)
        return Localization(
            grid,
            site.bin_weights(),
            LawInUnits(law, unit, units.time),
            capture,
            phonon_modes(grid, site.coupling, site.modes),
            0.0 if self.diffusivity is None else self.diffusivity * units.time,
        )

    def doubts_of_state(
        self, problem: BoltzmannProblem, mesh: Mesh, state: State, units: Units, *, evolves: bool
    ) -> dict[str, list[str]]:
        """Return limits of the law of annihilation that a state is beyond, by kind. Collective."""
        if self.radius is None:
            return {}
        body, f, law = problem.cells, problem.mean_f(state.f), None
        c, source = np.zeros((2, body.n_owned))
        for one, bin_weights in zip(problem.media, problem.at(state.gap).local.bin_weights, strict=True):
            process = one.internal.get(self.name)
            if not isinstance(process, Localization):
                continue
            here = process.law
            assert isinstance(here, LawInUnits) and isinstance(here.law, AnnihilationLaw)
            # Regions differ in the constant at most, which ratios of rates do not know.
            law = here.law if law is None else law
            if len(one.owned):
                c[one.owned] = process.concentration(f[one.owned]) * here.density
                rate = process.captured(bin_weights, f[one.owned])
                source[one.owned] = rate * here.density / units.time
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
