"""A superconducting device: what it is made of and how it is contacted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import constants

from fvqp.errors import CaseError, require_choice, require_number
from fvqp.materials import Material
from fvqp.mesh import Mesh
from fvqp.texts import html_table
from fvqp.transport.operator import Transport
from fvqp.transport.terminals import Interface, Terminal
from fvqp.typing import Floats, Ints32
from fvqp.units import InUnit, engineering

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Lorenz number of Wiedemann and Franz, (π²/3)(k_B/e)², W Ω/K².
LORENZ = (np.pi * constants.k / constants.e) ** 2 / 3.0

#: Part of its conductance with which a junction that does not inject taps the superconductor: too little to
#: be felt there, enough for its own current.
PROBE = 1e-9


@dataclass(frozen=True)
class Lead:
    """Electrons of a normal lead between the tunnel barrier and its reservoir.

    Attributes:
        volume: in which electrons and phonons exchange heat, m³.
        coupling: Σ of electrons and phonons, W/(m³ K⁵).
        resistance: of the wire to the reservoir, ohm; infinite if no heat goes there.
    """

    volume: InUnit[float] = InUnit("m^3")
    coupling: InUnit[float] = InUnit("W/m^3/K^5")
    resistance: InUnit[float] = InUnit("ohm", np.inf)

    def to_phonons(self, temperature: float, rest: float) -> float:
        """Heat that the phonons at ``rest`` take, W; kelvin."""
        return self.coupling * self.volume * (temperature**5 - rest**5)

    def to_reservoir(self, temperature: float, rest: float) -> float:
        """Heat that goes along the wire to the reservoir at ``rest``, W (Wiedemann and Franz)."""
        return LORENZ * (temperature**2 - rest**2) / (2.0 * self.resistance)

    def loss_slope(self, temperature: float) -> float:
        """Derivative of `to_phonons` and `to_reservoir` by the temperature, W/K."""
        return 5.0 * self.coupling * self.volume * temperature**4 + LORENZ * temperature / self.resistance

    def joule(self, current: float) -> float:
        """Half of what the current (A) dissipates in the wire; the other half is the reservoir's, W."""
        return 0.5 * current**2 * self.resistance if np.isfinite(self.resistance) else 0.0

    def joule_slope(self, current: float) -> float:
        """Derivative of `joule` by the current, W/A."""
        return current * self.resistance if np.isfinite(self.resistance) else 0.0


@dataclass(frozen=True)
class Junction:
    """A normal-metal lead behind a tunnel barrier (NIS).

    Attributes:
        name: name in the case and in the results.
        on: region, outer boundary or interior surface of the mesh that it covers.
        conductance: normal-state conductance of the whole junction, siemens or text (``"24.6 uS"``); so for
            every quantity.
        role: an injector is biased at ``V_inj``, a detector at ``V_det``.
        temperature: of the electrons in the normal lead, kelvin.
        bias: fixed voltage in place of the swept one, volt.
        injects: whether what tunnels changes the superconductor; False for an ideal probe.
        lead: how the electrons of the lead lose heat, whose phonons and reservoir are then what
            ``temperature`` is of; None where they stay at it.
    """

    name: str
    on: str
    conductance: InUnit[float] = InUnit("S")
    role: Literal["injector", "detector"]  # type: ignore[misc]  # mypy sees a default in InUnit("S")
    temperature: InUnit[float] = InUnit("K")
    bias: InUnit[float | None] = InUnit("V", None)
    injects: bool = True
    lead: Lead | None = None

    def __post_init__(self) -> None:
        require_choice("Junction.role", self.role, ("injector", "detector"))
        for key in ("conductance", "temperature"):
            require_number(f"Junction.{key}", getattr(self, key))

    def __repr__(self) -> str:
        kind = self.role if self.injects else f"ideal {self.role}"
        parts = [kind, engineering(self.conductance, "S"), engineering(self.temperature, "K")]
        if self.bias is not None:
            parts.append(f"at {engineering(self.bias, 'V')}")
        if self.lead is not None:
            parts.append("heat balance of its lead")
        return f"Junction({self.name!r} on {self.on!r}: {', '.join(parts)})"

    @property
    def back_action(self) -> float:
        """Part of the conductance that the superconductor feels."""
        return 1.0 if self.injects else PROBE


@dataclass(frozen=True)
class Reservoir:
    """A reservoir in equilibrium at ``temperature`` (kelvin) on outer boundaries.

    ``gap`` (joule) is that of its metal at zero temperature, 0 of a normal one; None: that of the device
    there. Diffusive spectra start from it; local ones are those of the cells and do not know of it.
    ``voltage`` (volt) is that of a normal one against the condensate of superconductors.
    """

    name: str
    on: tuple[str, ...]
    temperature: InUnit[float] = InUnit("K")
    gap: InUnit[float | None] = InUnit("J", None)
    voltage: InUnit[float] = InUnit("V", 0.0)

    def __post_init__(self) -> None:
        if isinstance(self.on, str):
            raise CaseError(f"Reservoir.on: expected a tuple of boundaries, as ({self.on!r},)")
        require_number("Reservoir.temperature", self.temperature)

    def __repr__(self) -> str:
        parts = [engineering(self.temperature, "K")]
        if self.voltage != 0.0:
            parts.append(f"at {engineering(self.voltage, 'V')}")
        if self.gap is not None:
            parts.append(f"gap {engineering(self.gap / constants.e, 'eV')}")
        return f"Reservoir({self.name!r} on {', '.join(map(repr, self.on))}: {', '.join(parts)})"


def _kind(mesh: Mesh) -> str:
    """Return the kind of the mesh, for messages."""
    if mesh.coordinates == "cartesian":
        return f"dimension {mesh.dim}"
    return f"{mesh.coordinates} shells" if mesh.dim == 1 else "radius and height"


@dataclass(frozen=True)
class Device:
    """A mesh with materials, junctions and reservoirs.

    Attributes:
        mesh: the rank's part of the mesh.
        material: its gap Δ0 is the unit of energy; of every region that ``regions`` does not name, unless
            ``filling`` is.
        junctions, reservoirs, interfaces: contacts.
        width, thickness: transverse size in metres of a line (both) or a film (thickness), a disc of
            cylindrical shells among them; None in a solid, one of radius and height or of spherical shells.
        regions: materials of named regions, normal metals among them (gap 0).
        filling: of every region that ``regions`` does not name; None for ``material``.
    """

    mesh: Mesh
    material: Material
    junctions: Sequence[Junction]
    reservoirs: Sequence[Reservoir]
    interfaces: Sequence[Interface] = ()
    width: InUnit[float | None] = InUnit("m", None)
    thickness: InUnit[float | None] = InUnit("m", None)
    regions: Mapping[str, Material] = field(default_factory=dict)
    filling: Material | None = None

    def __post_init__(self) -> None:
        needed, kind = ("width", "thickness")[self.mesh.lengths - 1 :], _kind(self.mesh)
        for key in ("width", "thickness"):
            value = getattr(self, key)
            if key in needed and value is None:
                raise CaseError(f'cross_section.{key}: a mesh of {kind} needs it, such as "150 nm"')
            if key not in needed and value is not None:
                raise CaseError(f"cross_section.{key}: not used by a mesh of {kind}; remove it")
            if value is not None:
                require_number(f"cross_section.{key}", value, zero=False)
        if not self.material.gap > 0.0:
            raise CaseError(
                f"material: {self.material.name} is a normal metal; the gap of the reference material is the "
                "unit of energy and must be positive; name the normal metal in regions"
            )
        names = [j.name for j in self.junctions] + [r.name for r in self.reservoirs]
        for name in names:
            if names.count(name) > 1:
                raise CaseError(f"two terminals are called {name!r}; names must differ")
        self._require_reservoir_everywhere()

    def __repr__(self) -> str:
        parts = [self.material.name, *self._sizes()]
        parts.append(f"contacts {', '.join(terminal.name for terminal in self.terminals)}")
        mesh = f"{self.mesh.name}, {self.mesh.n_global} cells of dimension {self.mesh.dim}"
        return f"Device({mesh}: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        rows = [("mesh", repr(self.mesh)), ("material", repr(self.material))]
        rows += [(f"region {name}", repr(material)) for name, material in self.regions.items()]
        rows.append(("cross-section", ", ".join(self._sizes()) or "that of the mesh"))
        rows += [("junction", repr(junction)) for junction in self.junctions]
        rows += [("reservoir", repr(reservoir)) for reservoir in self.reservoirs]
        rows += [("interface", repr(interface)) for interface in self.interfaces]
        return html_table("Device", rows)

    def draw(self) -> list[Axes]:
        """Draw the mesh with its contacts and where they are, as `Mesh.plot`; returns the axes."""
        from fvqp.mesh.picture import show

        labels: dict[str, list[str]] = {}
        for junction in self.junctions:
            labels.setdefault(junction.on, []).append(f"{junction.role} {junction.name}")
        for reservoir in self.reservoirs:
            for name in reservoir.on:
                labels.setdefault(name, []).append(f"reservoir {reservoir.name}")
        texts = {name: f"{', '.join(found)}: {name}" for name, found in labels.items()}
        title = ", ".join([self.material.name, *self._sizes(), f"{self.mesh.n_cells} cells"])
        return show(self.mesh, title, texts)

    def _sizes(self) -> list[str]:
        """Transverse sizes with their names."""
        sizes = {"width": self.width, "thickness": self.thickness}
        return [f"{name} {engineering(size, 'm')}" for name, size in sizes.items() if size is not None]

    @property
    def terminals(self) -> tuple[Terminal, ...]:
        """Junctions first, then reservoirs: the order of every ``terminal`` axis."""
        return (
            *(Terminal(j.name, (j.on,), j.conductance * j.back_action) for j in self.junctions),
            *(Terminal(r.name, r.on) for r in self.reservoirs),
        )

    @property
    def transverse(self) -> float:
        """Cross-section (m²) of a line, thickness (m) of a film, 1 for a solid: volumes of the mesh times it
        are cubic metres."""
        return (self.width or 1.0) * (self.thickness or 1.0)

    @property
    def thermal_unit(self) -> float:
        """Kelvin per Δ0/k_B of the reference material."""
        return self.material.gap / constants.k

    @property
    def voltage_unit(self) -> float:
        """Δ0/e in volt."""
        return self.material.gap / constants.e

    @property
    def back_action(self) -> Floats:
        """`Junction.back_action` of every junction: over it, currents in the superconductor are those of the
        junctions."""
        return np.array([junction.back_action for junction in self.junctions])

    @property
    def balances_heat(self) -> bool:
        """True if the temperature of some lead follows from a balance of heat."""
        return any(junction.lead is not None for junction in self.junctions)

    @property
    def bath(self) -> float:
        """Temperature of the first reservoir in units of Δ0/k_B: the equilibrium that deviations refer to."""
        return self.reservoirs[0].temperature / self.thermal_unit

    def per_cell(self, quantity: str) -> Floats:
        """A material property, ``(n_cells,)``, by region."""
        values = np.full(self.mesh.n_cells, float(getattr(self.filling or self.material, quantity)))
        for name, material in self.regions.items():
            values[self.mesh.require_region(name)] = float(getattr(material, quantity))
        return values

    def medium(self) -> Ints32:
        """Number of the medium of every cell: one a material, on either side of an interface another."""
        number = np.zeros(self.mesh.n_cells, np.int32)
        materials = [self.filling or self.material]
        for name, material in self.regions.items():
            if material not in materials:
                materials.append(material)
            number[self.mesh.require_region(name)] = materials.index(material)
        for item in self.interfaces:
            # The distribution jumps there, so no gradient may reach across.
            beyond = np.zeros(self.mesh.n_cells, np.int32)
            beyond[self.mesh.require_region(item.between[1])] = 1
            _, number = np.unique(2 * number + beyond, return_inverse=True)
        return number.astype(np.int32)

    def transport(self) -> Transport:
        """The kinetic operator of the device."""
        conductivity = self.per_cell("conductivity")
        diffusivity = self.per_cell("diffusivity")
        # σ/ξ² with ξ² = ħD/Δ0 of the reference gap: 2 N0 e² Δ0/ħ of each material.
        reaction = conductivity * self.material.gap / (constants.hbar * diffusivity)
        return Transport(
            self.mesh,
            conductivity,
            np.full(self.mesh.n_cells, self.transverse),
            reaction,
            self.medium(),
            self.terminals,
            self.interfaces,
        )

    def _require_reservoir_everywhere(self) -> None:
        mesh = self.mesh
        _, component = mesh.components()
        connected: set[int] = set()
        for item in self.reservoirs:
            for name in item.on:
                cells = mesh.face_cells[mesh.require_boundary(name), 0]
                connected.update(component[cells].tolist())
        connected = set().union(*mesh.comm.allgather(connected))
        present = set().union(*mesh.comm.allgather(set(component[: mesh.n_owned].tolist())))
        for number in sorted(present - connected):
            mine = np.flatnonzero(component[: mesh.n_owned] == number)
            names = set().union(
                *mesh.comm.allgather(
                    {mesh.region_names[r] for r in np.unique(mesh.cell_region[mine]) if r >= 0}
                )
            )
            raise CaseError(
                f"a part of the mesh ({', '.join(sorted(names)) or 'unnamed cells'}) touches no reservoir: "
                "nothing fixes its distribution; put a reservoir on one of its boundaries or join it"
            )
