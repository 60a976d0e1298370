"""Observables of the Usadel model: what a point of a sweep tells, and the dataset that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import constants

from fvqp.models.device import Device
from fvqp.models.kinetics import L, T
from fvqp.models.leads import heat_balance
from fvqp.models.slopes import conductances
from fvqp.models.usadel import Solution, UsadelProblem
from fvqp.results.dataset import SweepDataset
from fvqp.results.ledger import Ledger
from fvqp.results.symmetry import is_mirrored, symmetry_parts
from fvqp.study.sweep import AXES, Sweep
from fvqp.typing import Floats


class JunctionObservables:
    """Currents, conductances, gaps and spectra of the junctions of a device.

    Args:
        device: whose junctions they are.
        spectra: spectral functions of every junction (``dos``, ``f_L``, ``f_T``).
        of_cells: quantities whose plain names belong to the cells.
    """

    def __init__(self, device: Device, spectra: tuple[str, ...] = (), of_cells: tuple[str, ...] = ()) -> None:
        self.device, self.spectra, self._of_cells = device, spectra, of_cells
        detectors = [n for n, j in enumerate(device.junctions) if j.role == "detector"]
        #: Number of the junction → what is appended to the names of its observables; nothing for the first.
        self._detectors = {n: f"_{device.junctions[n].name}" if k else "" for k, n in enumerate(detectors)}
        self._injectors = [n for n, j in enumerate(device.junctions) if j.role == "injector"]
        #: Whether a reservoir has a voltage.
        self._driving = any(reservoir.voltage != 0.0 for reservoir in device.reservoirs)

    def dataset(
        self,
        problem: UsadelProblem,
        sweep: Sweep,
        coordinates: Mapping[str, tuple[tuple[str, ...], Any]] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> SweepDataset:
        """Return the dataset of a sweep with all variables that have dimensions of their own. Collective.

        Args:
            problem: one of the sweep's, for its energy axis and its supercurrents at rest.
            sweep: axes; those without values are left out.
            coordinates, attributes: further ones, as of `SweepDataset`.
        """
        device = self.device
        axes: dict[str, Any] = {name: getattr(sweep, name) for name in AXES if getattr(sweep, name)}
        unit = device.voltage_unit
        known: dict[str, tuple[tuple[str, ...], Any]] = {"energy": (("energy",), problem.grid.centres * unit)}
        if sweep.supercurrent:
            at_rest = [problem.at_rest(value)[1] for value in sweep.supercurrent]
            axes["supercurrent"] = [0.0 if phase is None else phase.current for phase in at_rest]
            gradients = [0.0 if phase is None else phase.gradient for phase in at_rest]
            known["phase_gradient"] = (("supercurrent",), gradients)
        if device.junctions:
            known["junction"] = (("junction",), [j.name for j in device.junctions])
        if self._driving:
            known["reservoir"] = (("reservoir",), [r.name for r in device.reservoirs])
        scales = {"delta0_eV": unit, "coherence_length_m": device.material.coherence_length}
        data = SweepDataset(axes, {**known, **(coordinates or {})}, {**(attributes or {}), **scales})
        data.define_outcome()
        if device.junctions:
            data.define(self.name("gap"), ("junction",), "eV", "pair potential under each junction")
            for spectrum in self.spectra:
                long_name = f"{spectrum} under each junction"
                data.define(self.name(spectrum), ("junction", "energy"), "1", long_name)
        if self._driving:
            data.define("I_reservoir", ("reservoir",))
        if device.balances_heat:
            for name in ("T_lead", "P_lead"):
                data.define(name, ("junction",))
        for suffix in filter(None, self._detectors.values()):
            data.define(f"I_det{suffix}", (), "A", f"current of detector {suffix[1:]}")
            long_name = f"non-local conductance dI_det/dV_inj of detector {suffix[1:]}"
            data.define(f"g_nl{suffix}", (), "S", long_name)
        return data

    def name(self, quantity: str) -> str:
        """Return the name of a quantity under the junctions."""
        return f"{quantity}_junction" if quantity in self._of_cells else quantity

    def values(self, problem: UsadelProblem, solution: Solution) -> dict[str, Any]:
        """Return all observables of a point by name. Collective."""
        into = problem.junction_currents(solution.kinetic.currents)
        values: dict[str, Any] = {}
        if self._driving:
            values["I_reservoir"] = problem.reservoir_currents(solution.kinetic.currents)
        slopes = conductances(problem, solution) if self._injectors else np.zeros(len(into))
        if self._injectors:
            values["I_inj"] = into[self._injectors].sum()
            values["G_inj"] = slopes[self._injectors].sum()
        for detector, suffix in self._detectors.items():
            # Out of the superconductor, through the detector.
            values[f"I_det{suffix}"], values[f"g_nl{suffix}"] = -into[detector], -slopes[detector]
        if solution.phase is not None:
            values["I_s"] = solution.phase.current
        if solution.leads is not None:
            values["T_lead"] = solution.leads
            balanced = [junction.lead is not None for junction in self.device.junctions]
            values["P_lead"] = np.where(balanced, heat_balance(problem, solution).tunnelled, np.nan)
        if self.device.junctions:
            unit = self.device.material.gap / constants.e
            values[self.name("gap")] = self.under(problem, solution.spectral.gap[:, None] * unit)[:, 0]
            for name in self.spectra:
                values[self.name(name)] = self.under(problem, cells(problem, solution, name))
        return values

    def under(self, problem: UsadelProblem, values: Floats) -> Floats:
        """Return averages under all junctions of ``values[n_cells or 1, ...]``."""
        n = self.device.mesh.n_cells
        full = np.broadcast_to(values, (n, values.shape[1])) if len(values) == 1 else values
        return np.array([problem.average_under(k, full) for k in range(len(self.device.junctions))])

    def ledger(self, problem: UsadelProblem, solution: Solution) -> Ledger:
        """Return the balance of a point."""
        balance = problem.ledger(solution)
        rows = {
            name: (float(balance.injected[k]), float(balance.relaxed[k]), float(balance.taken[k]))
            for k, name in enumerate(balance.rows)
        }
        if self._driving:
            # Counted from the condensate, what flows between reservoirs beside it has no number.
            del rows["particles"]
        scale = {name: float(balance.scale[k]) for k, name in enumerate(balance.rows) if name in rows}
        if solution.leads is not None:
            heat = heat_balance(problem, solution)
            parts = heat.tunnelled + heat.dissipated, heat.phonons, heat.reservoir
            rows["leads"] = (float(parts[0].sum()), float(parts[1].sum()), float(parts[2].sum()))
            scale["leads"] = float(sum(np.abs(part).sum() for part in parts))
        return Ledger(rows, scale)


def cells(problem: UsadelProblem, solution: Solution, name: str) -> Floats:
    """Return a field by name, ``(n_cells,)`` or ``(n_cells, n_energies)``, in the units of the results."""
    device = problem.device
    n = device.mesh.n_cells
    if name == "gap":
        return np.broadcast_to(solution.spectral.gap * device.material.gap / constants.e, (n,)).copy()
    if name == "mu_Q":
        return problem.charge_potential(solution)
    if name == "charge_imbalance":
        return problem.charge_imbalance(solution)
    if name == "dos":
        dos = problem.kinetics.spectrum(solution.spectral).dos
        return np.broadcast_to(dos, (n, dos.shape[1])).copy()
    return problem.distribution(solution, L if name == "f_L" else T)


def add_symmetry_parts(dataset: xr.Dataset, sweep: Sweep, problem: UsadelProblem) -> None:
    """Add the symmetry parts (Eqs. 16-19) where the sweep has the mirror images they need."""
    biases = np.array(sweep.V_inj)
    if "g_nl" not in dataset or len(biases) < 2 or not is_mirrored(biases):
        return
    even = problem.supercurrent is not None and not problem.coupling
    if "supercurrent" in dataset.dims and not even and not is_mirrored(dataset["supercurrent"].values):
        return
    for name, part in symmetry_parts(dataset["g_nl"], even_in_supercurrent=even).items():
        dataset[name] = part
