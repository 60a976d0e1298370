"""Boundaries of quasiparticles and phonons: what passes and comes back, and the base of their conditions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from scipy import constants

from fvqp.case.boltzmann.tables import read_spectrum
from fvqp.case.quantities import SPACE, CaseValue, Energy, MassDensity, Number, Temperature, Time, function_of
from fvqp.case.tables import ONCE, Name, Table, found_file
from fvqp.collisions.timed import PARTS
from fvqp.errors import CaseError, shown, suggestion
from fvqp.expressions import Expression, amounts
from fvqp.registry import Registry
from fvqp.transport.walls import BathFunction, Wall
from fvqp.typing import Floats

Share = Annotated[Number, Field(ge=0, le=1)]

WANTED = '{ energies = ["0 eV", "2 Delta0"], shares = [0, 1] } or { file = "transmission.csv" }'


@dataclass(frozen=True)
class Transmission(CaseValue):
    """A share from 0 to 1, the same at all energies or linear between those of a table.

    Attributes:
        share: at all energies, or None.
        energies, shares: of a table.
        file: CSV file of a table, with the columns ``energy_eV,transmission``; or None.
    """

    share: float | None = 0.0
    energies: tuple[Energy, ...] = ()
    shares: tuple[float, ...] = ()
    file: Path | None = None

    def at(self, points: Floats, unit: float, where: str) -> Floats | float:
        """At energies.

        Args:
            points: ``(E,)`` in Δ0, increasing.
            unit: Δ0 in joule.
            where: file and key, for messages.

        Raises:
            CaseError: a table that cannot be read, does not rise, or ends before the energies do.
        """
        if self.share is not None:
            return self.share
        if self.file is None:
            energies, shares = np.array([e.in_delta0(unit) for e in self.energies]), np.array(self.shares)
            if np.any(np.diff(energies) <= 0.0):
                raise CaseError(f"{where}.energies: must increase")
        else:
            columns = ("energy_eV", "transmission")
            volts, shares = read_spectrum(f"{where}.file", self.file, columns, "a transmission", 1.0)
            energies = np.array([Energy(volt, False).in_delta0(unit) for volt in volts])
        if energies[0] > points[0] or energies[-1] < points[-1]:
            raise CaseError(
                f"{where}: the table goes from {energies[0]:.4g} to {energies[-1]:.4g} Delta0, the energies "
                f"of the case from {points[0]:.4g} to {points[-1]:.4g}; add rows up to the ends"
            )
        return np.asarray(np.interp(points, energies, shares))

    @property
    def passes(self) -> bool:
        """True if anything does, as far as the case says."""
        return self.file is not None or bool(self.share) or any(self.shares)

    def with_files(self, at: str, folder: Path) -> Transmission:
        return self if self.file is None else replace(self, file=found_file(f"{at}file", folder, self.file))

    @classmethod
    def read(cls, value: Any) -> Transmission:
        """From a number or a table; raises ``ValueError`` that says what would be right."""
        if isinstance(value, Transmission):
            return value
        if not isinstance(value, dict):
            return cls(_share(value, f"expected a number from 0 to 1, or a table such as {WANTED}"))
        if set(value) == {"file"}:
            if not isinstance(value["file"], str | Path):
                raise ValueError("file: expected a file name")
            return cls(None, file=Path(value["file"]))
        if set(value) != {"energies", "shares"}:
            raise ValueError(f"expected {WANTED}, got a table of {', '.join(map(str, value)) or 'nothing'}")
        if not all(isinstance(value[key], list | tuple) for key in value):
            raise ValueError(f"expected two lists: {WANTED}")
        try:
            energies = tuple(Energy.read(one) for one in value["energies"])
        except ValueError as error:
            raise ValueError(f"energies: {error}") from None
        shares = tuple(_share(one, "shares: expected numbers from 0 to 1") for one in value["shares"])
        if len(energies) != len(shares) or len(energies) < 2:
            raise ValueError(
                f"needs as many shares as energies, two or more; got {len(shares)} and {len(energies)}"
            )
        for before, after in pairwise(energies):
            if before.relative == after.relative and not before.value < after.value:
                raise ValueError("energies: must increase")
        return cls(None, energies, shares)

    def write(self) -> Any:
        """Return the table as a case file has it."""
        if self.share is not None:
            return self.share
        if self.file is not None:
            return {"file": str(self.file)}
        return {"energies": [energy.write() for energy in self.energies], "shares": list(self.shares)}


def _share(value: Any, wanted: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.0 <= value <= 1.0:
        shown = f'"{value}"' if isinstance(value, str) else value
        raise ValueError(f"{wanted}, got {shown}")
    return float(value)


class Passing(Table):
    """Shares of the particles that pass a face or are reflected."""

    transmission: Transmission = Transmission()
    """Share that leaves; as many of a bath at its temperature come in. A table is linear between its energies
    and has to contain those of the case; its file has the columns ``energy_eV,transmission``."""
    specularity: Share = 0.0
    """Ordinates: share of those that stay which is reflected as by a mirror; the others go in all
    directions."""

    CONDITIONAL: ClassVar = frozenset({"specularity"})


class InterfaceTable(Passing):
    """A face between two regions."""

    between: Annotated[tuple[Name, Name], ONCE]
    """Names of the regions."""


class PhononInterface(InterfaceTable):
    """A face between two regions, for phonons."""

    CONDITIONAL: ClassVar = frozenset({"transmission", "specularity"})

    mass_densities: tuple[MassDensity, MassDensity] | None = None
    """Ordinates: densities of mass of the two regions. Phonons are refracted and pass as acoustic impedances
    say, in place of `transmission` and `specularity`."""

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        if self.mass_densities is not None and self.model_fields_set & self.CONDITIONAL:
            raise ValueError("mass_densities: say what passes; transmission and specularity are not used")
        return self


DEFAULT = "transmission"
"""Boundary condition of a table without ``kind``."""
OUTSIDE = (*SPACE, "t", "E")
"""Names in functions of the occupation beyond a wall."""
OutsideFunction = Annotated[str, Field(strict=True), function_of(*OUTSIDE)]


@dataclass(frozen=True)
class BoundarySite:
    """A boundary of a species.

    Attributes:
        energies: ``(E,)`` of the species, Δ0.
        bath: ``(E,)`` occupations outside, those of the bath.
        thermal: returns ``(E,)`` occupations at another temperature, kelvin.
        largest: occupation that is possible, 1 of quasiparticles.
        unit: Δ0 in joule.
        time: τ0 in seconds.
        key: of the table in the case, for messages.
    """

    energies: Floats
    bath: Floats
    thermal: Callable[[float], Floats]
    largest: float
    unit: float
    time: float
    key: str


class BoundaryTable(Table):
    """A table ``walls.NAME`` of a species whose ``kind`` is the ``name`` of the class."""

    registry: ClassVar[Registry[type[BoundaryTable]]]
    name: ClassVar[str]
    diffusive: ClassVar[bool] = False
    """True if particles have to diffuse."""

    kind: Name = DEFAULT
    """Boundary condition, by its name."""

    @abstractmethod
    def wall(self, site: BoundarySite) -> Wall:
        """Return transmission, reflection and bath at the energies of the species; raise `CaseError`."""

    @property
    def passes(self) -> bool:
        """True if anything leaves, as far as the case says."""
        return True

    def problems(self, motion: str, evolves: bool) -> Iterator[tuple[str, str]]:
        """Yield keys that do not go with the motion of the species, each with what is wrong.

        Args:
            motion: ``"diffusive"`` or ``"ordinates"``.
            evolves: True if the case is an evolution in time.
        """
        if self.diffusive and motion == "ordinates":
            yield (
                "kind",
                f'"{self.name}" needs motion = "diffusive"; with ordinates give a transmission, with which '
                "what comes in has the occupation outside",
            )


class Outside(BoundaryTable):
    """Base of boundary conditions with an occupation beyond the wall, thermal or given."""

    temperature: Temperature | None = None
    """Temperature outside; default: that of the bath."""
    occupation: OutsideFunction | None = None
    """In place of `temperature`: f or n outside as a function of the energy E, such as
    ``"exp(-E/(20 ueV))"``; not negative, f at most 1. Where particles diffuse also of the time t and of the
    place x, y, z on the wall and its distance r from the origin."""
    duration: Time | None = None
    """Time for which an `occupation` with t changes, from the start on; needed with t. 64 intervals have its
    means in them; afterwards it stays as it is at the end."""

    @model_validator(mode="after")
    def _one_occupation(self) -> Self:
        if self.temperature is not None and self.occupation is not None:
            raise ValueError("occupation: is not used with temperature; give one of them")
        changes = "t" in self._names
        if changes and self.duration is None:
            raise ValueError("duration: missing: the time for which the occupation changes with t")
        if self.duration is not None and not changes:
            raise ValueError("duration: is not used: the occupation does not depend on t")
        return self

    @property
    def _names(self) -> set[str]:
        """Names that the occupation depends on."""
        return set() if self.occupation is None else Expression(self.occupation, OUTSIDE).used

    def problems(self, motion: str, evolves: bool) -> Iterator[tuple[str, str]]:
        yield from super().problems(motion, evolves)
        others = sorted(self._names - {"E"})
        if others and motion == "ordinates":
            yield (
                "occupation",
                f'depends on {" and ".join(others)}; with motion = "ordinates" it is a function of E alone',
            )
        elif "t" in others and not evolves:
            yield "occupation", "depends on t and needs [evolution]; nothing changes in a steady state"

    def outside(self, site: BoundarySite) -> Floats | BathFunction:
        """Return the occupations outside, ``(E,)``, or where they depend on place or time their function."""
        if self.temperature is not None:
            return site.thermal(self.temperature)
        if self.occupation is None:
            return site.bath
        key, volts = f"{site.key}.occupation", site.energies * site.unit / constants.e
        function, used = Expression(self.occupation, OUTSIDE), self._names

        def found(points: Floats, time: float) -> Floats:
            x, y, z = points.T[:, :, None]
            r = np.linalg.norm(points, axis=1)[:, None]
            values = amounts(function, key, x=x, y=y, z=z, r=r, t=time * site.time, E=volts)
            if np.any(values > site.largest):
                raise CaseError(f"{key}: is {values.max():.4g} somewhere; f cannot exceed {site.largest:g}")
            return values

        if used <= {"E"}:
            return found(np.zeros((1, 3)), 0.0)[0]
        times = np.empty(0)
        if self.duration is not None:
            times = np.linspace(0.0, self.duration / site.time, PARTS + 1)
        return BathFunction(found, times)


BoundaryTable.registry = Registry(
    "boundary condition",
    "fvqp.case.boltzmann.walls",
    lambda: BoundaryTable,
    lambda table: table,
    lambda table: "",
)


def _chosen(value: Any) -> Any:
    """Return the table of the kind that a case names."""
    registry = BoundaryTable.registry
    if isinstance(value, BoundaryTable):
        return value
    kind = value.get("kind", DEFAULT) if isinstance(value, dict) else DEFAULT
    if not isinstance(kind, str) or kind not in registry:
        known = " or ".join(f'"{name}"' for name in registry.names)
        raise ValueError(f"kind: expected {known}, got {shown(kind)}")
    keys = list(registry[kind].model_fields)
    for key in value if isinstance(value, dict) else ():
        if key not in keys:
            hint = suggestion(str(key), keys)
            raise ValueError(f"{key}: unknown key{hint} (allowed: {', '.join(keys)})")
    return registry[kind].model_validate(value)


BoundaryChoice = Annotated[SerializeAsAny[BoundaryTable], BeforeValidator(_chosen)]
"""A boundary condition of any registered kind."""
