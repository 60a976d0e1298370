"""Films: what results have beside observables, how runs go on from these, and warnings of energy axes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import constants
from scipy.special import k1

from fvqp.case.boltzmann import efficiency
from fvqp.case.boltzmann.analytic import ClosedForms
from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.observable import BoltzmannSample
from fvqp.case.boltzmann.recording import Begin, Place
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.collisions import quasiparticle_density, thermal
from fvqp.models.boltzmann import BoltzmannProblem, Moment, State
from fvqp.results.dataset import SweepDataset
from fvqp.texts import percent, two_digits
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Bin widths in k_BT above which thermal distributions are not resolved.
COARSE = 0.5
#: Error of the density of a film that keeps its phonons for long, by bin width over k_BT, where phonon modes
#: are not split at 2Δ (measured: 0.35 to 0.62), and the error from which on a warning names it.
TRAPPED_ERROR = 0.6
MAX_TRAPPED_ERROR = 0.1
#: Part of the energy axis, and of the energy of quasiparticles that may be in it before a warning says so.
END, CROWDED = 0.1, 0.01
#: Part of the quasiparticles under photons below twice the gap that may be in the bins at the gap.
FOOT = 0.05
#: Bytes by two bins of photon steps, whose phonons many points share (measured with 936 bins).
PAIR = 500.0


class Film:
    """A homogeneous film.

    Args:
        case, setup: what is run.

    Raises:
        CaseError: a figure asks for a closed form that the case does not have.
    """

    def __init__(self, case: BoltzmannCase, setup: BoltzmannSetup) -> None:
        self.case, self.setup = case, setup
        self.closed_forms = ClosedForms(case, setup)

    def report_rows(self, axes: dict[str, Floats]) -> Iterable[tuple[str, str]]:
        """Return what ``fvqp check`` says of the sweep."""
        grid = self.setup.grid
        memory = 8.0 * (3.0 * grid.n**2 + 4.0 * grid.n * grid.n_phonon) / 2**20
        if grid.step:
            memory += PAIR * grid.n**2 / 2**20
        points = int(np.prod([len(values) for values in axes.values()]))
        return [
            ("sweep", f"{points} points" + "".join(f", {len(v)} {k}" for k, v in axes.items())),
            ("memory", f"about {memory:.0f} MiB on a rank"),
        ]

    # -- results

    def define(self, sweep: SweepDataset) -> None:
        """Add the variables that observables are not."""
        if "strength" in sweep.dataset and (read := _strength(self.case)) is not None:
            attributes = dict(zip(("symbol", "factor", "shown_units"), read, strict=True))
            sweep.dataset["strength"].attrs.update(attributes)
        self.closed_forms.define(sweep)
        if self.case.evolution is not None:
            sweep.define("next_step", (), "s", "length of the next time step; NaN at the start")
            sweep.define("gap_rate", (), "eV s-1", "rate of change of the gap; NaN at the start")

    def of_evolution(
        self, problem: BoltzmannProblem, bath: float, start: State, times: Floats
    ) -> Callable[[int, BoltzmannSample, dict[str, Any]], dict[str, Any]]:
        """Return the function of number, state and values of observables that returns further ones of a time.

        Args:
            problem: the equations.
            bath: its temperature, kelvin.
            start: state at time 0.
            times: seconds.
        """
        closed = self.closed_forms.decay(bath, start.f[:, 0], times)
        rest = problem.ledger(problem.thermal(self.setup.units.temperature(bath)))

        def values(number: int, sample: BoltzmannSample, _: dict[str, Any]) -> dict[str, Any]:
            steps = self._steps(sample.moment) if number else {}
            lives = self.closed_forms.lifetimes(sample.gap)
            return lives | closed[number] | steps | efficiency.of_evolution(sample, rest)

        return values

    def of_steady_state(
        self,
        sample: BoltzmannSample,
        bath: float,
        strength: float,
        rate: float | None,
        values: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the values beside observables of a steady state.

        Args:
            sample: the state.
            bath, strength: temperature in kelvin, and factor of the drives.
            rate: of absorption of photons at a given power, 1/τ0; None without.
            values: of observables.
        """
        more: dict[str, Any] = {} if rate is None else {"drive_rate": rate / self.setup.units.time}
        more |= self.closed_forms.lifetimes(sample.gap) | efficiency.of_steady_state(sample, bath)
        return more | self.closed_forms.steady(bath, strength, values | more)

    def _steps(self, moment: Moment) -> dict[str, float]:
        """Next step and motion of the gap."""
        units, rate = self.setup.units, moment.state.gap_rate
        gap_rate = 0.0 if rate is None else float(rate[0])
        return {
            "next_step": moment.next_step * units.time,
            "gap_rate": gap_rate * units.energy / constants.e / units.time,
        }

    # -- going on

    def state_at(self, sweep: SweepDataset, place: Place) -> State:
        """State at a point that was computed before, with the rate at which its gap moved."""
        units, dataset = self.setup.units, sweep.dataset
        f, n, gap = (dataset[name].values[place] for name in ("f", "n", "gap"))
        unit = units.energy / constants.e
        rate = float(dataset["gap_rate"].values[place]) if "gap_rate" in dataset else np.nan
        follows = self.setup.problem.gap_follows and not np.isnan(rate)
        moved = np.array([rate / unit * units.time]) if follows else None
        return State(f[None, None].copy(), n[None, None].copy(), np.array([gap / unit]), moved)

    def restored(self, sweep: SweepDataset, place: Place, problem: BoltzmannProblem) -> Begin:
        """Return the state that an evolution goes on from, after the time at ``place`` of results."""
        dataset, units = sweep.dataset, self.setup.units
        start = problem.ledger(self.state_at(sweep, (*place[:-1], 0))).stored
        step = float(dataset["next_step"].values[place])
        injected, escaped = (
            float(dataset[f"energy_{what}"].values[place]) / units.energy_density
            for what in ("injected", "escaped")
        )
        next_step = None if np.isnan(step) else step / units.time
        return Begin(self.state_at(sweep, place), start, (injected, escaped), None, next_step)

    # -- warnings

    def warn_of_resolution(self) -> None:
        """Warn of bins too wide for k_BT, and what that costs."""
        setup, coldest = self.setup, min(self.case.sweep.temperature)
        width = self.case.energies.width.in_delta0(setup.units.energy)
        kt = setup.units.temperature(coldest)
        trapped = TRAPPED_ERROR * width / kt if self._traps_phonons() else 0.0
        if width <= COARSE * kt and trapped <= MAX_TRAPPED_ERROR:
            return
        errors = []
        if (off := self._equilibrium_error(kt)) is not None:
            errors.append(f"by {100.0 * off:.2g} % in equilibrium")
        if trapped > 0.0:
            errors.append(f"by up to {100.0 * trapped:.2g} % out of it where phonons are trapped")
        log.warning(
            "%s: energies.width: bins of %.3g Delta0 do not resolve thermal distributions at %g K%s; a "
            "tenth of k_BT is %.2g Delta0",
            self.case.source,
            width,
            coldest,
            f": the density is off {', '.join(errors)}" if errors else "",
            0.1 * kt,
        )

    def _equilibrium_error(self, kt: float) -> float | None:
        """Relative error by the bins of the density in equilibrium; None in strong coupling, and where there
        are no quasiparticles."""
        setup = self.setup
        if setup.reference.strong is not None:
            return None
        # ∫ρ f dE = Δ Σ_k (−1)^{k+1} K_1(kΔ/k_BT)
        k = np.arange(1.0, 40.0)
        exact = setup.gap * float(np.sum(np.where(k % 2 == 1, 1.0, -1.0) * k1(k * setup.gap / kt)))
        found = float(quasiparticle_density(setup.bin_weights(setup.gap), thermal(setup.grid, kt).f)[0])
        return abs(found / exact - 1.0) if exact > 0.0 else None

    def errors(self) -> list[str]:
        """Errors of the energy axis at the lowest temperature, for ``fvqp check``."""
        units = self.setup.units
        kt = units.temperature(min(self.case.sweep.temperature))
        wide = self.case.energies.width.in_delta0(units.energy) / kt
        off, texts = self._equilibrium_error(kt), [f"bins {two_digits(wide)} k_BT"]
        if off is not None:
            texts = [f"energy axis {percent(off)} of the density in equilibrium ({texts[0]})"]
        if self._traps_phonons():
            texts.append(f"up to {percent(TRAPPED_ERROR * wide)} where phonons are trapped")
        return texts

    def _traps_phonons(self) -> bool:
        """Return True where phonons break pairs at points that stand for modes below 2Δ too."""
        setup = self.setup
        split = setup.problem.grid.step > 0.0 or setup.bin_weights(setup.gap).phonon_shares is not None
        return self.case.phonons.model == "dynamic" and not split

    def warn_of_state(self, state: State, where: str) -> None:
        """Warn of quasiparticles where the energy axis does not do them justice; ``where`` in the sweep."""
        self._warn_of_the_end(state, where)
        self._warn_of_the_foot(state, where)

    def _warn_of_the_end(self, state: State, where: str) -> None:
        """Quasiparticles that reach the last bins would go on to higher energies."""
        grid = self.setup.grid
        energy = (self.setup.bin_weights(float(state.gap[0])).number * grid.energies * state.f[:, 0])[0]
        last = grid.energies > (1.0 - END) * grid.edges[-1]
        share = float(energy[last].sum() / max(energy.sum(), np.finfo(float).tiny))
        if share > CROWDED:
            log.warning(
                "%s%.2g of the energy of quasiparticles is in the last tenth of the axis, which ends at %.3g "
                "Delta0: too small an energies.maximum",
                where,
                share,
                grid.edges[-1],
            )

    def _warn_of_the_foot(self, state: State, where: str) -> None:
        """Quasiparticles that photons below twice the gap gather in the bins at the gap."""
        grid, gap, unit = self.setup.grid, float(state.gap[0]), self.setup.units.energy
        energies = [mode.photon_energy.in_delta0(unit) for mode in self.case.microwaves]
        if not energies or min(energies) >= 2.0 * gap:
            return
        held = (self.setup.bin_weights(gap).number * state.f[:, 0])[0]
        share = float(held[grid.edges[:-1] <= gap].sum() / max(held.sum(), np.finfo(float).tiny))
        if share > FOOT:
            cure = 'energies.spacing = "steps" resolves them, for gap.model = "fixed"'
            log.warning(
                "%s%.2g of the quasiparticles are in the bins at the gap, where those that photons of %.3g "
                "Delta0 heat gather: their density depends on energies.width%s",
                where,
                share,
                min(energies),
                "" if grid.step else f"; {cure}",
            )


def _strength(case: BoltzmannCase) -> tuple[str, float, str] | None:
    """Symbol, factor and unit of what a strength stands for; None where it stands for several things."""
    if len(case.microwaves) + len(case.injections) != 1:
        return None
    if case.microwaves:
        (mode,) = case.microwaves
        if mode.photons is not None:
            return "$\\bar n$", mode.photons, "1"
        assert mode.absorbed_power is not None
        return "$P$", mode.absorbed_power, "W m-3"
    power = case.injections[0].power
    return None if power is None else ("$P$", power, "W m-3")
