"""Base of the tables of a case that are processes: drives, sources and sinks of quasiparticles or phonons."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, Literal

from numpy.typing import ArrayLike
from pydantic import Field, create_model

from fvqp.case.scales import Units
from fvqp.case.tables import AS_LIST, ONCE, Case, Name, Table
from fvqp.collisions import Coupling, Pair, Process
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.models.boltzmann import BoltzmannProblem, State
from fvqp.registry import Registry
from fvqp.typing import Floats

Regions = Annotated[tuple[Name, ...], AS_LIST, ONCE]


@dataclass(frozen=True)
class ProcessSite:
    """Cells of one material in which a process acts, and what turns SI numbers into those of the equations.

    Attributes:
        grid: energies.
        units: SI values of the units of the equations.
        within: ``(cells,)`` 1 where the process acts, else 0; in between where its strength varies in space.
        bath: occupations in equilibrium with the bath, ``(1, N)`` and ``(1, K)``.
        coupling, modes: number of phonon modes, see `phonon_modes`.
        bin_weights: returns the spectrum of the material at rest.
        density: N0 of the material over that of the reference.
        strength: factor of drives that a case sweeps.
        volume: of all cells where the process acts, m³, each in proportion to its strength; None if it is
            not known.
        region: name of the region; empty for cells of none.
        gap: fixed gap of all cells, Δ0; None where it follows, or there are no quasiparticles.
    """

    grid: EnergyAxis
    units: Units
    within: Floats
    bath: Pair
    coupling: Coupling
    bin_weights: Callable[[], BinWeights]
    modes: ArrayLike = 1.0
    density: float = 1.0
    strength: float = 1.0
    volume: float | None = None
    region: str = ""
    gap: float | None = None

    def power(self, watt: float) -> Floats:
        """Return a power by volume, W/m³, in the unit of the equations, ``(cells,)``."""
        return self.strength * watt / self.units.power_density / self.density * self.within


#: Models whose cases have processes.
MODELS = ("boltzmann", "transport")


class ProcessTable(Table):
    """A list of tables of a case under the key ``name``, each of which is a process.

    Attributes:
        name: key of the case.
        models: whose cases have it.
        sink: True if the process counts among losses; a steady state with sources needs one.
        own_cells: True if cells of the regions that it names differ in more than its strength from others.
    """

    registry: ClassVar[Registry[type[ProcessTable]]]
    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = MODELS
    sink: ClassVar[bool] = False
    own_cells: ClassVar[bool] = False

    regions: Regions = ()
    """Only there; default: wherever there are quasiparticles."""

    @abstractmethod
    def build(self, site: ProcessSite) -> Process | None:
        """Return the process in the cells of a material, or None where it does not act; raise `CaseError`
        where it cannot be."""

    @property
    def species(self) -> Literal["quasiparticles", "phonons"]:
        """Particles that it acts on; insulators have no quasiparticles."""
        return "quasiparticles"

    @property
    def removes(self) -> bool:
        """True if it takes anything away."""
        return self.sink

    @property
    def given_power(self) -> str:
        """Key of a power that it brings whatever the state is; empty if there is none."""
        return ""

    @property
    def time_keys(self) -> tuple[str, ...]:
        """Keys that make it act for a time only; such a process needs an evolution."""
        return ()

    @property
    def first_time(self) -> float:
        """Time from which on it acts, seconds."""
        return 0.0

    def rates(self, units: Units) -> Iterator[tuple[str, str, float]]:
        """Yield keys, their values as text, and the rates in 1/s at which they change occupations."""
        yield from ()

    def doubts(self, units: Units) -> Iterator[tuple[str, str]]:
        """Yield keys and warnings about them."""
        yield from ()

    def doubts_of_state(
        self, problem: BoltzmannProblem, mesh: Mesh, state: State, units: Units, *, evolves: bool
    ) -> dict[str, list[str]]:
        """Return warnings about a recorded state, by kind, each of which is said once. Collective.

        Args:
            problem: whose state this is.
            mesh: of the results, distributed like the cells of the problem.
            state: of all cells.
            units: of the run.
            evolves: True if the state changes in time.
        """
        return {}


ProcessTable.registry = Registry(
    "process", "fvqp.case.processes", lambda: ProcessTable, lambda table: table, lambda table: ""
)


def given_processes(case: Case) -> Iterator[tuple[str, ProcessTable]]:
    """Yield the processes of a case with their keys."""
    for key in type(case).model_fields:
        value = getattr(case, key)
        if isinstance(value, ProcessTable):
            yield key, value
        elif isinstance(value, tuple):
            for number, one in enumerate(value):
                if isinstance(one, ProcessTable):
                    yield f"{key}[{number}]", one


def problems_of_times(case: Case, end: float | None) -> Iterator[tuple[str, str]]:
    """Yield keys of times of processes that mean nothing, each with what is wrong.

    Args:
        case: as named.
        end: of its evolution, seconds; None for a steady state.
    """
    for key, process in given_processes(case):
        for inner in process.time_keys if end is None else ():
            yield f"{key}.{inner}", "needs [evolution]; nothing changes in a steady state"
        if end is not None and process.first_time >= end:
            yield (
                f"{key}.start",
                f"{process.first_time:g} s is not before evolution.end, {end:g} s: it never acts",
            )


def built(key: str, table: ProcessTable, site: ProcessSite) -> Process | None:
    """Return the process of a table, or None; raise `CaseError` with ``key`` and the key in the table."""
    try:
        process = table.build(site)
    except CaseError as error:
        inner = str(error).partition(":")[0] in type(table).model_fields
        raise CaseError(f"{key}{'.' if inner else ': '}{error}") from None
    if process is not None and not getattr(process, "keeps_energy", False):
        process.sink = table.sink  # type: ignore[attr-defined]
    return process


def with_processes(model: str, schema: type[Case]) -> type[Case]:
    """Return the schema of a model with the keys of all registered processes that it does not have.

    Raises:
        CaseError: a script has registered a process under the name of another key.
    """
    for name in ProcessTable.registry.added:
        if model in ProcessTable.registry[name].models and name in schema.model_fields:
            raise CaseError(
                f'register: {ProcessTable.registry[name].__name__}.name: "{name}" is a key of model = '
                f'"{model}"; choose another name'
            )
    registered = (table for table in ProcessTable.registry if model in table.models)
    tables = tuple(table for table in registered if table.name not in schema.model_fields)
    return _extended(schema, tables)


@cache
def _extended(schema: type[Case], tables: tuple[type[ProcessTable], ...]) -> type[Case]:
    fields = {}
    for table in tables:
        meaning = (table.__doc__ or "").split("\n\n")[0].strip()
        fields[table.name] = (tuple[table, ...], Field(default=(), description=meaning))  # type: ignore[valid-type]
    made: type[Case] = create_model(  # type: ignore[call-overload]
        schema.__name__, __base__=schema, __module__=schema.__module__, __doc__=schema.__doc__, **fields
    )
    made.CONDITIONAL = schema.CONDITIONAL | set(fields)
    return made
