"""The results of a sweep as one self-describing dataset, filled point by point.

Dimensions are what is swept, in the order given (``supercurrent``, ``V_det``, ``V_inj``), then ``cell``, then
``energy``. What has not been computed is NaN, and ``completed`` says which points are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CheckpointError
from fvqp.results.files import intact, replacing, require_intact
from fvqp.results.spool import LARGE, empty_array
from fvqp.typing import Bools, Floats

FORMAT_VERSION = 1
"""Version of the layout of ``results.nc``; attribute ``format_version`` of the file."""


class Outcome(IntEnum):
    """Outcome of a sweep point."""

    NOT_COMPUTED = 0
    SOLVED = 1
    DESTROYED = 2
    NOT_CONVERGED = 3


MEANINGS = {
    Outcome.NOT_COMPUTED: "not computed",
    Outcome.SOLVED: "solved",
    Outcome.DESTROYED: "no superconducting solution connected to zero bias at or below this bias",
    Outcome.NOT_CONVERGED: "not converged",
}


class Quantity(NamedTuple):
    """Units and meaning of a variable."""

    units: str
    long_name: str


QUANTITIES: dict[str, Quantity] = {
    "supercurrent": Quantity("A", "supercurrent along the wire"),
    "phase_gradient": Quantity("1", "phase gradient times coherence length"),
    "temperature": Quantity("K", "bath temperature"),
    "V_inj": Quantity("V", "injector bias"),
    "V_det": Quantity("V", "detector bias"),
    "energy": Quantity("eV", "quasiparticle energy"),
    "cell": Quantity("1", "number of the cell in the mesh"),
    "x": Quantity("m", "x of the cell centre"),
    "y": Quantity("m", "y of the cell centre"),
    "z": Quantity("m", "z of the cell centre"),
    "x_junction": Quantity("m", "x of the mean of the cells under the junction"),
    "y_junction": Quantity("m", "y of the mean of the cells under the junction"),
    "z_junction": Quantity("m", "z of the mean of the cells under the junction"),
    "x_corners": Quantity("m", "x of the corners of the cell, round it or along it, the last one repeated"),
    "y_corners": Quantity("m", "y of the corners of the cell, round it or along it, the last one repeated"),
    "z_corners": Quantity("m", "z of the corners of the cell, round it or along it, the last one repeated"),
    "gap": Quantity("eV", "magnitude of the pair potential"),
    "gap_solutions": Quantity(
        "eV", "pair potential of all solutions at this bias, in the order of the branch"
    ),
    "gap_fold": Quantity("eV", "pair potential where the branch of solutions turns back in the bias"),
    "V_fold": Quantity("V", "injector bias at which the branch of solutions turns back"),
    "solution": Quantity("1", "number of the solution along the branch from rest"),
    "fold": Quantity("1", "number of the fold along the branch from rest"),
    "dos": Quantity("1", "density of states over its normal-state value"),
    "f_L": Quantity("1", "longitudinal (energy) distribution function"),
    "f_T": Quantity("1", "transverse (charge) distribution function"),
    "I_det": Quantity("A", "current of the first detector, out of the device"),
    "I_inj": Quantity("A", "current of all injectors together, into the device"),
    "G_inj": Quantity("S", "local conductance dI_inj/dV_inj of all injectors together"),
    "I_s": Quantity("A", "supercurrent from the spectral supercurrent and f_L"),
    "T_lead": Quantity("K", "temperature of the electrons in the lead of each junction"),
    "g_nl": Quantity("S", "non-local conductance dI_det/dV_inj"),
    "g_s": Quantity("S", "non-local conductance, even in supercurrent"),
    "g_a": Quantity("S", "non-local conductance, odd in supercurrent"),
    "g_ss": Quantity("S", "non-local conductance, even in supercurrent and injector bias"),
    "g_sa": Quantity("S", "non-local conductance, even in supercurrent and odd in injector bias"),
    "g_ss_analytic": Quantity("S", "g_ss of an infinite wire without coupling, closed form"),
    "I_reservoir": Quantity("A", "charge current from each reservoir into the device"),
    "phase": Quantity("rad", "phase of the reservoirs that have none of their own"),
    "minigap": Quantity("eV", "energy below which no cell has states, without broadening"),
    "time": Quantity("s", "time since the start"),
    "strength": Quantity("1", "factor of photons, absorbed and injected powers"),
    "omega": Quantity("eV", "phonon energy"),
    "f": Quantity("1", "occupation of quasiparticle states"),
    "n": Quantity("1", "occupation of phonon modes"),
    "f_analytic": Quantity("1", "occupation of quasiparticle states, closed form"),
    "n_analytic": Quantity("1", "occupation of phonon modes, closed form"),
    "n_qp": Quantity("m-3", "density of quasiparticles"),
    "energy_range": Quantity("eV", "middle of a range of quasiparticle energies"),
    "energy_range_from": Quantity("eV", "beginning of a range of quasiparticle energies"),
    "energy_range_to": Quantity("eV", "end of a range of quasiparticle energies"),
    "radius_cell": Quantity("m", "mean radius of the shell"),
    "n_qp_analytic": Quantity("m-3", "density of quasiparticles, closed form"),
    "x_qp": Quantity("1", "density of quasiparticles over 2 N0 Delta0"),
    "x_qp_analytic": Quantity("1", "density of quasiparticles over 2 N0 Delta0, closed form"),
    "temperature_qp": Quantity(
        "K", "temperature at which as many quasiparticles would be in equilibrium, NaN if none"
    ),
    "temperature_qp_analytic": Quantity(
        "K", "temperature of as many quasiparticles, closed form, NaN if none"
    ),
    "temperature_ph": Quantity(
        "K", "temperature at which phonons would have as much energy in equilibrium, NaN if none"
    ),
    "energy_qp": Quantity("J m-3", "energy of quasiparticles"),
    "energy_ph": Quantity("J m-3", "energy of phonons"),
    "energy_condensate": Quantity("J m-3", "energy of the condensate against the normal state"),
    "energy_injected": Quantity("J m-3", "energy that drives and sources have given since the start"),
    "energy_escaped": Quantity("J m-3", "energy that has left for the bath or into traps since the start"),
    "energy_residual": Quantity("J m-3", "stored and escaped less initial and injected energy"),
    "power_injected": Quantity("W m-3", "power given by drives and sources"),
    "power_escaped": Quantity("W m-3", "power that leaves for the bath or into traps"),
    "power_to_phonons": Quantity("W m-3", "power that collisions pass from quasiparticles to phonons"),
    "share_above_2gap": Quantity(
        "1", "share of those above twice the gap in the power of escaping phonons, NaN if none escape"
    ),
    "eta_pb": Quantity("1", "pair-breaking efficiency"),
    "gap_suppression": Quantity("1", "1 - gap/Delta0 by the gap equation"),
    "gap_suppression_analytic": Quantity("1", "1 - gap/Delta0, closed form"),
    "photons": Quantity("1", "mean number of photons in the mode"),
    "drive_rate": Quantity("s-1", "rate of absorption of photons at the given power, c_phot n"),
    "rate_scattering": Quantity("s-1", "inverse lifetime of quasiparticles by scattering"),
    "rate_recombination": Quantity("s-1", "inverse lifetime of quasiparticles by recombination"),
    "rate_pair_breaking": Quantity("s-1", "inverse lifetime of phonons by pair breaking"),
    "rate_absorption": Quantity("s-1", "inverse lifetime of phonons by scattering of quasiparticles"),
    "rate_scattering_analytic": Quantity("s-1", "emission of phonons at zero temperature, closed form"),
    "rate_pair_breaking_analytic": Quantity("s-1", "pair breaking at zero temperature, closed form"),
    "recombination_rate": Quantity("s-1", "rate of recombination, mean over quasiparticles"),
    "recombination_rate_thermal": Quantity("s-1", "the same, thermal distribution at temperature_qp"),
    "f_thermal": Quantity("1", "thermal distribution at temperature_qp"),
    "sigma1_thermal": Quantity("1", "sigma1 of the thermal distribution at temperature_qp"),
    "sigma2_thermal": Quantity("1", "sigma2 of the thermal distribution at temperature_qp"),
    "inverse_quality_factor_thermal": Quantity("1", "the same, thermal distribution at temperature_qp"),
    "frequency_shift_thermal": Quantity("1", "the same, thermal distribution at temperature_qp"),
    "sigma1": Quantity("1", "dissipative conductivity over its normal-state value"),
    "sigma2": Quantity("1", "inductive conductivity over its normal-state value"),
    "inverse_quality_factor": Quantity("1", "inverse internal quality factor of the resonator"),
    "frequency_shift": Quantity("1", "relative shift of the resonance against no quasiparticles"),
    "alpha2F": Quantity("1", "electron-phonon interaction"),
    "interaction": Quantity("1", "electron-phonon interaction over b omega^2, 1 at twice the gap"),
    "renormalization": Quantity("1", "renormalization of rates over that at zero energy, mean over the bin"),
    "gap_real": Quantity("eV", "real part of the gap function"),
    "gap_imag": Quantity("eV", "imaginary part of the gap function"),
    "Z_real": Quantity("1", "real part of the renormalization function"),
    "Z_imag": Quantity("1", "imaginary part of the renormalization function"),
    "Z0": Quantity("1", "renormalization at the gap edge"),
    "gap_matsubara": Quantity("eV", "gap edge from the imaginary axis"),
    "Z0_matsubara": Quantity("1", "renormalization at the gap edge from the imaginary axis"),
    "generation": Quantity("m-3 s-1", "quasiparticles generated by volume and time"),
    "cell_volume": Quantity("m3", "volume of a cell, with width and thickness of the device"),
    "region": Quantity("1", "region of the mesh"),
    "exit": Quantity("1", "wall or loss through which energy leaves"),
    "interface": Quantity("1", "interface, from its first region to the second"),
    "in_region": Quantity("1", "1 where a cell belongs to a region"),
    "volume": Quantity("m3", "volume of the cluster"),
    "spin": Quantity("1", "kind of spins"),
    "equation": Quantity("1", "equation that is solved"),
    "frequency": Quantity("Hz", "frequency of the noise"),
    "N": Quantity("1", "number of quasiparticles in the cluster"),
    "m": Quantity("1", "number of flipped spins in the cluster"),
    "P": Quantity("1", "stationary probability of N quasiparticles"),
    "P_flipped": Quantity("1", "stationary probability of m flipped spins, NaN in equations without spins"),
    "P_analytic": Quantity("1", "stationary probability of N, large and fully polarized clusters"),
    "N_mean": Quantity("1", "mean number of quasiparticles"),
    "N_mean_error": Quantity("1", "standard error of the mean number of quasiparticles"),
    "N_variance": Quantity("1", "variance of the number of quasiparticles"),
    "N_mean_analytic": Quantity("1", "mean number of quasiparticles, large and fully polarized clusters"),
    "N_variance_analytic": Quantity("1", "variance of the number, large and fully polarized clusters"),
    "N_scale": Quantity("1", "number of quasiparticles of a fully polarized cluster in mean field"),
    "m_mean": Quantity("1", "mean number of flipped spins, NaN in equations without spins"),
    "polarization": Quantity("1", "polarization of the spins, NaN in equations without spins"),
    "polarization_analytic": Quantity("1", "polarization of the spins, large clusters in mean field"),
    "N_mean_evolution": Quantity("1", "mean number of quasiparticles after the start"),
    "N_variance_evolution": Quantity("1", "variance of the number of quasiparticles after the start"),
    "N_mean_error_evolution": Quantity("1", "standard error of the mean number after the start"),
    "m_mean_evolution": Quantity("1", "mean number of flipped spins after the start"),
    "polarization_evolution": Quantity("1", "polarization of the spins after the start"),
    "P_evolution": Quantity("1", "probability of N quasiparticles after the start"),
    "lost_evolution": Quantity("1", "bound on the probability of states that are left out, of all times"),
    "mode": Quantity("1", "number of the relaxation rate, from the slowest on"),
    "relaxation_rate": Quantity("s-1", "rate at which a deviation from the stationary state decays"),
    "relaxation_oscillation": Quantity("s-1", "angular frequency at which it oscillates"),
    "enhancement": Quantity("1", "mean number over that of unpolarized quasiparticles"),
    "enhancement_analytic": Quantity("1", "number over that of unpolarized quasiparticles, mean field"),
    "lost": Quantity("1", "bound on the probability of states that are left out, NaN in equations in N"),
    "S_N": Quantity("s", "noise of the number of quasiparticles, two-sided"),
    "S_N_one_sided": Quantity("s", "noise of the number of quasiparticles, one-sided"),
    "S_spin": Quantity("s", "noise of one component of the spin, 2 S_z, two-sided"),
    "S_spin_estimate": Quantity("s", "a third of the noise of the number, the estimate of Meyer et al."),
    "delay": Quantity("s", "time between two moments of the stationary state"),
    "C_N": Quantity("1", "correlation of the number of quasiparticles over the delay"),
    "S_flux": Quantity("Phi_0^2/Hz", "flux noise, two-sided"),
    "S_flux_one_sided": Quantity("Phi_0^2/Hz", "flux noise, one-sided"),
    "S_flux_analytic": Quantity("Phi_0^2/Hz", "flux noise at low frequency of large clusters, two-sided"),
    "S_flux_estimate": Quantity("Phi_0^2/Hz", "flux noise at low frequency, the estimate of Meyer et al."),
    "noise_coefficient": Quantity("1", "S_N at low frequency over variance and time of the regime"),
    "noise_error": Quantity("1", "bound on the relative error of the noise"),
    "radius": Quantity("m", "radius of localized states"),
    "outcome": Quantity("1", "what became of the point"),
    "run": Quantity("1", "number of the independent run"),
    "concentration": Quantity("m-3", "concentration of quasiparticles"),
    "concentration_run": Quantity("m-3", "concentration of quasiparticles in one run"),
    "concentration_run_error": Quantity("m-3", "its standard error, with autocorrelation"),
    "independent": Quantity("1", "independent samples in the mean of a run"),
    "correlation_time": Quantity("s", "integrated autocorrelation time of the concentration"),
    "concentration_cell": Quantity("m-3", "concentration of quasiparticles in a cell"),
    "concentration_cell_error": Quantity("m-3", "standard error of the concentration in a cell"),
    "concentration_cell_run": Quantity("m-3", "concentration of quasiparticles in a cell in one run"),
    "concentration_cell_run_error": Quantity("m-3", "its standard error, with autocorrelation"),
    "concentration_cell_law": Quantity("m-3", "concentration in a cell by the law of annihilation"),
    "generation_cell": Quantity("m-3 s-1", "quasiparticles generated in a cell by volume and time"),
    "decay": Quantity("m-3", "concentration after generation has been switched off"),
    "decay_error": Quantity("m-3", "its standard error, from the scatter of runs"),
    "decay_run": Quantity("m-3", "concentration after generation has been switched off, one run"),
    "decay_law": Quantity("m-3", "the same by the law of annihilation"),
    "concentration_error": Quantity("m-3", "standard error of the concentration"),
    "concentration_law": Quantity("m-3", "concentration by the law of annihilation"),
    "concentration_mean_field": Quantity("m-3", "concentration of quasiparticles without correlations"),
    "packing_coefficient": Quantity("1", "quasiparticles in the volume of a sphere of annihilation"),
    "packing_coefficient_error": Quantity("1", "standard error of the packing coefficient"),
    "low_rate_exponent": Quantity(
        "1", "beta of A r_c^6/Gamma = b x^(beta - 3) exp(-x), x = r/r_c, at low rates"
    ),
    "low_rate_exponent_error": Quantity("1", "standard error of beta"),
    "low_rate_factor": Quantity("1", "b of the same"),
    "low_rate_factor_error": Quantity("1", "standard error of b"),
    "spin_polarization": Quantity("1", "mean magnitude of (up - down)/(up + down)"),
    "events": Quantity("1", "events of all runs"),
    "flip_time": Quantity("s", "spin-flip time of a quasiparticle"),
    "ledger_particles": Quantity("s-1", "quasiparticle number balance"),
    "ledger_charge": Quantity("A", "quasiparticle charge balance"),
    "ledger_energy": Quantity("W", "energy balance"),
    "ledger_leads": Quantity("W", "balance of heat of the normal leads"),
}
"""Names used in ``results.nc``; others need their units and meaning when they are defined."""


ABOUT_RUNS = ("completed", "outcome", "next_step", "gap_rate", "failure", "seconds", "folder")
"""Variables about the computing of runs, which are no quantities."""


def settled(dataset: xr.Dataset) -> Bools:
    """Return points that need not be computed: those with values, and those known to have none."""
    if "completed" not in dataset:
        return np.ones(1, dtype=bool)
    done = dataset.variables["completed"].values.astype(bool)
    if "outcome" in dataset:
        done = done | (dataset.variables["outcome"].values == Outcome.DESTROYED)
    return np.asarray(done)


class SweepDataset:
    """The dataset of a sweep while it is computed.

    Parameters
    ----------
    sweep : name → values, in the order of the dimensions; empty for a single computation.
    coordinates : name → (dimensions, values) of all further coordinates: ``energy``, ``cell``, ``x``,
        ``phase_gradient`` over ``supercurrent``, ...
    attributes : global attributes of the file (title, provenance, hashes).
    folder : where large variables lie while the sweep is computed; None for memory.
    """

    def __init__(
        self,
        sweep: Mapping[str, ArrayLike],
        coordinates: Mapping[str, tuple[tuple[str, ...], ArrayLike]] | None = None,
        attributes: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.sweep_dims, self._folder = tuple(sweep), folder
        self.dataset = xr.Dataset(attrs={"Conventions": "CF-1.11", "format_version": FORMAT_VERSION})
        self.dataset.attrs.update(attributes or {})
        for name, values in sweep.items():
            self.set_coordinate(name, (name,), values)
        for name, (dims, values) in (coordinates or {}).items():
            self.set_coordinate(name, dims, values)
        shape = tuple(self.dataset.sizes[name] for name in self.sweep_dims)
        self.dataset["completed"] = (self.sweep_dims, np.zeros(shape, dtype=np.int8))
        self.dataset["completed"].attrs = {"units": "1", "long_name": "1 where the sweep point was computed"}

    @property
    def completed(self) -> Bools:
        """Sweep points that are computed; a copy."""
        return self.dataset["completed"].values.astype(bool)

    def set_coordinate(self, name: str, dims: tuple[str, ...], values: ArrayLike) -> None:
        """Defines a coordinate or replaces its values."""
        attributes = _attributes(name)
        if name.endswith("_corners"):
            # As the conventions CF call what a cell reaches to; its units are those of the centre.
            self.dataset[name.removesuffix("_corners")].attrs["bounds"] = name
            del attributes["units"]
        self.dataset = self.dataset.assign_coords({name: (dims, np.asarray(values), attributes)})

    def define(
        self, name: str, dims: tuple[str, ...] = (), units: str | None = None, long_name: str | None = None
    ) -> None:
        """A variable over the sweep and then ``dims``, NaN until recorded; units as of :data:`QUANTITIES`."""
        if name in self.dataset:
            return
        dims = (*self.sweep_dims, *dims)
        empty = empty_array(tuple(self.dataset.sizes[dim] for dim in dims), self._folder)
        self.dataset[name] = (dims, empty, _attributes(name, units, long_name))

    def at(self, name: str, point: tuple[int, ...]) -> Floats:
        """The values of a variable at a sweep point, to be written to in place."""
        return np.asarray(self._values(name)[point])

    def record(self, point: tuple[int, ...], **values: ArrayLike) -> None:
        """The values of variables at a sweep point (index along every sweep dimension), which is then
        complete.

        Variables without dimensions of their own need not be defined before.
        """
        for name, value in values.items():
            if name not in self.dataset:
                self.define(name)
            self._values(name)[point] = value
        self._values("completed")[point] = 1
        if "outcome" in self.dataset:
            self._values("outcome")[point] = Outcome.SOLVED

    def _values(self, name: str) -> NDArray[Any]:
        """Return the array of a variable; ``dataset[name]`` looks for coordinates too, ten times as long."""
        return self.dataset.variables[name].values

    def define_outcome(self) -> None:
        """The variable ``outcome``: why a point is not complete, where that is known."""
        empty = np.full(list(self.dataset["completed"].shape), Outcome.NOT_COMPUTED, dtype=np.int8)
        meanings = "; ".join(f"{number:d} {meaning}" for number, meaning in MEANINGS.items())
        attributes = {**_attributes("outcome"), "meanings": meanings}
        self.dataset["outcome"] = (self.sweep_dims, empty, attributes)

    def leave(self, point: tuple[int, ...], outcome: Outcome) -> None:
        """Says why a sweep point has no values."""
        self.dataset["outcome"].values[point] = outcome

    @property
    def settled(self) -> Bools:
        """Points that need not be computed."""
        return settled(self.dataset)

    def write(self, path: Path) -> None:
        """Writes netCDF-4, whole or not at all; the file that was there stays if this fails."""
        write_dataset(self.dataset, path)

    def take_over(self, earlier: xr.Dataset, completed: Bools) -> None:
        """Goes on from ``earlier``, of the same sweep, taking the points as computed that are ``completed``.

        Raises :class:`CheckpointError` if ``earlier`` has another layout.
        """
        mine = {name: self.dataset.sizes[name] for name in self.sweep_dims}
        theirs = {name: earlier.sizes.get(name) for name in self.sweep_dims}
        if mine != theirs or completed.shape != tuple(mine.values()):
            raise CheckpointError(f"results.nc holds a sweep of {theirs}, this case is one of {mine}")
        for name, coordinate in earlier.coords.items():
            if name not in self.dataset.coords:
                self.dataset = self.dataset.assign_coords({name: coordinate.variable.load()})
        for name, variable in earlier.data_vars.items():
            if variable.dims[: len(self.sweep_dims)] != self.sweep_dims:
                continue
            for dim, size in variable.sizes.items():
                if dim in self.dataset.coords and size != (needed := self.dataset.sizes[dim]):
                    raise CheckpointError(
                        f"results.nc: {name} has {size} values of {dim}, this program makes {needed}; "
                        "choose another folder"
                    )
            if variable.nbytes < LARGE:
                self.dataset[name] = (variable.dims, variable.values.copy(), variable.attrs)
                continue
            # row by row, from a file that need not fit into memory
            taken = empty_array(variable.shape, self._folder)
            for row in range(len(taken)):
                taken[row] = variable[row].values
            self.dataset[name] = (variable.dims, taken, variable.attrs)
        self.dataset["completed"].values[...] = completed
        if "outcome" in self.dataset:
            outcome = self.dataset["outcome"].values
            outcome[outcome == Outcome.SOLVED] = Outcome.NOT_COMPUTED
            outcome[completed] = Outcome.SOLVED


def _attributes(name: str, units: str | None = None, long_name: str | None = None) -> dict[str, str]:
    known = QUANTITIES.get(name)
    if known is None and (units is None or long_name is None):
        if name in ("junction", "reservoir", "ledger_entry"):
            return {}
        raise KeyError(f"{name} has no units and long_name: give them, or add it to QUANTITIES")
    return {
        "units": units if units is not None else known.units if known else "",
        "long_name": long_name if long_name is not None else known.long_name if known else "",
    }


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """Write a ``results.nc`` (netCDF-4) with its seal, whole or not at all."""
    with replacing(path, sealed=True) as part:
        dataset.to_netcdf(part, engine="netcdf4", format="NETCDF4")


def read_dataset(path: Path) -> xr.Dataset:
    """The dataset of a ``results.nc``, in memory; :class:`CheckpointError` if it is missing or damaged."""
    with opened(path) as file:
        return file.load()


@contextmanager
def opened(path: Path, *, sealed: bool = False) -> Iterator[xr.Dataset]:
    """The dataset of a ``results.nc``, read as it is used; :class:`CheckpointError` as of `read_dataset`.

    A file of an earlier version, or of another program, has no seal; with ``sealed`` it is refused.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent}: holds no {path.name}; a results folder is what fvqp run --out makes"
        )
    if sealed:
        require_intact(path)
    else:
        intact(path)
    try:
        file = xr.open_dataset(path, engine="netcdf4")
        version = int(file.attrs.get("format_version", FORMAT_VERSION + 1))
    # The libraries raise errors of many types where a file without a seal is damaged.
    except Exception as error:
        raise _damaged(path, error) from None
    with file:
        if version > FORMAT_VERSION:
            known = file.attrs.get("format_version")
            raise CheckpointError(
                f"{path}: format version {known}; this program reads up to {FORMAT_VERSION}"
            )
        try:
            yield file
        except (OSError, ValueError, RuntimeError) as error:
            raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path}: damaged or not a results file ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:100] if text else type(error).__name__
