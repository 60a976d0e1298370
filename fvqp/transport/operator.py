"""The kinetic transport operator of a device: diffusion, relaxation, supercurrent coupling, leads,
reservoirs.

`Transport` holds what does not depend on energy, `Operator` takes the spectral coefficients of any number of
energies at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from mpi4py import MPI

from fvqp.kernel_cache import read_only
from fvqp.mesh import Mesh
from fvqp.transport import kernels
from fvqp.transport.geometry import face_geometry
from fvqp.transport.operator_tables import Coefficients, Links, OperatorFaces
from fvqp.transport.terminals import Interface, Terminal, find_contacts, find_interfaces
from fvqp.transport.two_point import NO_CURRENT, TwoPointFlux
from fvqp.typing import Floats, Ints32

log = logging.getLogger(__name__)

#: Fields in a node of lines whose mean is less than this part of their size have no direction.
CANCELLED = 1e-9


class Transport:
    """Conservative finite-volume transport on one mesh.

    Args:
        mesh: the rank's part of the mesh.
        conductivity: ``(n_cells,)`` normal-state conductivity, S/m.
        transverse: ``(n_cells,)`` cross-section of a line (m²), thickness of a film (m), 1 in a solid.
        reaction_scale: ``(n_cells,)`` conductance per volume that multiplies a relaxation rate in Δ0/ħ,
            ``2 N0 e² Δ0/ħ = σ/ξ²``, S/m³.
        medium: ``(n_cells,)`` number of the medium; coefficients may jump between two media.
        terminals: junctions and reservoirs, in the order of the ``terminal`` axis everywhere else.
        interfaces: tunnel interfaces between regions.

    Raises:
        CaseError: a terminal that overlaps another one, a reservoir inside, or an interface of regions that
            do not touch.
        MeshError: a name that is not in the mesh; see `fvqp.transport.geometry.behind_faces`.
    """

    def __init__(
        self,
        mesh: Mesh,
        conductivity: Floats,
        transverse: Floats,
        reaction_scale: Floats,
        medium: Ints32,
        terminals: Sequence[Terminal],
        interfaces: Sequence[Interface] = (),
    ) -> None:
        self.mesh = mesh
        self.terminals = tuple(terminals)
        self.volume = mesh.volume * transverse
        contacts = find_contacts(mesh, transverse, self.terminals)
        prescribed = np.flatnonzero(contacts.junction == kernels.RESERVOIR).astype(np.int32)
        geometry = face_geometry(mesh, conductivity * transverse, medium, prescribed)
        self.non_orthogonal = geometry.non_orthogonal
        self.junction_faces, self.leads = contacts.junction_faces, contacts.leads
        self._junction_conductance = contacts.junction_conductance
        self._lead_conductance = contacts.lead_conductance
        interface, self._interface_conductance = find_interfaces(mesh, transverse, interfaces)
        self.interface_faces = np.flatnonzero(interface >= 0).astype(np.int32)
        self.capacity = np.ascontiguousarray((reaction_scale * self.volume)[: mesh.n_owned])
        reservoir = np.where(contacts.junction == kernels.RESERVOIR, contacts.terminal, -1).astype(np.int32)
        self.flux = TwoPointFlux(
            mesh.n_owned, mesh.face_cells, geometry.offset, reservoir, geometry.gradient, mesh.exchange
        )
        self.faces = OperatorFaces(
            self.flux.faces.cells,
            geometry.half,
            geometry.weight,
            contacts.junction,
            contacts.terminal,
            interface,
        )

    # -- coefficients

    def junction_coefficient(self, dos: Floats) -> Floats:
        """``G N`` of junction faces, ``(junction faces, energy)``, from ``dos[n_cells or 1, energy]``."""
        return self._junction_conductance[:, None] * self._on_faces(self.junction_faces, dos)

    def lead_coefficient(self, dos: Floats) -> Floats:
        """``G N`` of every lead cell, ``(lead cells, energy)``, from ``dos[n_cells or 1, energy]``."""
        return self._lead_conductance[:, None] * (dos[self.leads.cells] if len(dos) > 1 else dos)

    def interface_coefficient(self, coherence: Floats) -> Floats:
        """``g M`` of every interface face from ``coherence[component, interface faces, energy]``."""
        return self._interface_conductance[:, None] * coherence

    def lead_weight(self, number: int) -> tuple[Ints32, Floats]:
        """Owned cells under terminal ``number`` and their share of its conductance, to average a cell
        quantity.

        Over all ranks the shares add up to one; a face between two cells counts half for each.
        """
        mesh = self.mesh
        mine = (self.leads.terminal == number) & (self.leads.cells < mesh.n_owned)
        cells = [self.leads.cells[mine]]
        share = [self._lead_conductance[mine]]
        faces = self.junction_faces[self.faces.terminal[self.junction_faces] == number]
        g = self._junction_conductance[self.faces.terminal[self.junction_faces] == number]
        both = mesh.face_cells[faces, 1] >= 0
        for side, part in ((0, np.where(both, 0.5, 1.0)), (1, np.where(both, 0.5, 0.0))):
            owners = mesh.face_cells[faces, side]
            owned = (owners >= 0) & (owners < mesh.n_owned)
            cells.append(owners[owned])
            share.append((g * part)[owned])
        conductance = self.terminals[number].conductance
        assert conductance is not None, "only junctions have a conductance"
        return np.concatenate(cells), np.concatenate(share) / conductance

    def tapped(self, number: int, diffusion: Floats, dos: Floats) -> tuple[Ints32, Floats, Floats]:
        """Owned cells, and weights of these and of the lead, in the distribution that a junction taps.

        Under cells it is that of the cells; at a face the value of the flux balance that `kernels.face_links`
        eliminates, of second order also where an injector bends the distribution. Over all ranks the weights
        add up to one.

        Args:
            number: of the junction among the terminals.
            diffusion, dos: ``(n_cells or 1, energy)`` spectral diffusion coefficient and density of states.

        Returns:
            Cells, their weights ``(cells, energy)``, and the weight ``(energy,)`` of the lead.
        """
        mesh, n_energies = self.mesh, dos.shape[1]
        mine = (self.leads.terminal == number) & (self.leads.cells < mesh.n_owned)
        cells = [self.leads.cells[mine]]
        weights = [np.broadcast_to(self._lead_conductance[mine, None], (int(mine.sum()), n_energies))]
        rows = np.flatnonzero(self.faces.terminal[self.junction_faces] == number)
        faces, g = self.junction_faces[rows], self._junction_conductance[rows, None]
        owners = mesh.face_cells[faces]
        tunnel = g * self._on_faces(faces, dos)
        links = [
            np.where(owners[:, side] >= 0, self.faces.half[faces, side], 0.0)[:, None]
            * (diffusion if len(diffusion) == 1 else diffusion[owners[:, side]])
            for side in range(2)
        ]
        share = g / (links[0] + links[1] + tunnel + kernels.TINY)
        lead = np.zeros(n_energies)
        half = np.where(np.all(owners >= 0, axis=1), 0.5, 1.0)
        for side in range(2):
            owned = (owners[:, side] >= 0) & (owners[:, side] < mesh.n_owned)
            cells.append(owners[owned, side])
            weights.append((share * links[side])[owned])
            lead += half[owned] @ (share * tunnel)[owned]
        conductance = self.terminals[number].conductance
        assert conductance is not None, "only junctions have a conductance"
        return np.concatenate(cells), np.concatenate(weights) / conductance, lead / conductance

    def log_accuracy(self) -> None:
        """Say where the flux is corrected for oblique faces, and so not monotone. Collective."""
        gradient = self.flux.gradient
        deficient = 0 if gradient is None else gradient.deficient
        counts = self.mesh.comm.allreduce(np.array([self.non_orthogonal, deficient]))
        if self.mesh.comm.rank == 0 and counts[0]:
            log.info(
                "fluxes through %d oblique faces are corrected: second order, but not monotone there",
                counts[0],
            )
        if self.mesh.comm.rank == 0 and counts[1]:
            log.warning(
                "%d cells have too few neighbours of their own material: first order at these cells; "
                "resolve thin layers with at least two cells",
                counts[1],
            )

    def average_under(self, number: int, cells: Floats) -> Floats:
        """Average of ``cells[n_cells, ...]`` over the cells under junction ``number``, on all ranks."""
        index, share = self.lead_weight(number)
        total = np.ascontiguousarray(share @ cells[index])
        self.mesh.comm.Allreduce(MPI.IN_PLACE, total)
        return total

    # -- operator

    def at(self, coefficients: Coefficients) -> Operator:
        """The operator with given spectral coefficients."""
        return Operator(self, coefficients)

    def cell_vectors(self, fluxes: Floats) -> Floats:
        """Mean of a vector field in every owned cell, ``(n_owned, 3)``, from its fluxes through all faces.

        ``∫ J dV = Σ_f (J·A)_f (x_f − x_cell)`` for any field without divergence: uniform ones are exact. In
        a node of lines, where directions would cancel, the mean has the length of the root mean square.
        """
        mesh = self.mesh
        out, squares = np.zeros((mesh.n_cells, 3)), np.zeros(mesh.n_cells)
        nodes = mesh.nodes[mesh.nodes < mesh.n_owned]
        for side, sign in ((0, 1.0), (1, -1.0)):
            here = np.flatnonzero(mesh.face_cells[:, side] >= 0)
            cells = mesh.face_cells[here, side]
            arm = mesh.face_centroid[here] - mesh.centroid[cells]
            np.add.at(out, cells, sign * fluxes[here, None] * arm)
            if len(nodes):
                np.add.at(squares, cells, fluxes[here] ** 2 * np.linalg.norm(arm, axis=1))
        out = out[: mesh.n_owned] / self.volume[: mesh.n_owned, None]
        if len(nodes):
            # ∫ (J A)² dx along the lines, over the volume and the cross-section.
            wanted = np.sqrt(squares[nodes] * mesh.volume[nodes]) / self.volume[nodes]
            found = np.linalg.norm(out[nodes], axis=1)
            turned = found <= CANCELLED * wanted
            out[nodes[turned]], found[turned] = [1.0, 0.0, 0.0], 1.0
            out[nodes] *= (wanted / found)[:, None]
        return out

    def _on_faces(self, faces: Ints32, a: Floats) -> Floats:
        if len(a) == 1:
            return a
        c0, c1 = self.mesh.face_cells[faces].T
        w = self.faces.weight[faces, None]
        return w * a[c0] + (1.0 - w) * a[np.where(c1 >= 0, c1, c0)]


class Operator:
    """The transport operator at given energies: matrix, residual, currents, from one set of face
    conductances.

    In what follows ``x[n_cells, component, energy]`` needs its ghosts up to date, and
    ``external[component, terminal, energy]`` are the distributions of leads and reservoirs.
    """

    def __init__(self, transport: Transport, coefficients: Coefficients, links: Links | None = None) -> None:
        coefficients = Coefficients(*(read_only(each) for each in coefficients))
        self.transport = transport
        self.coefficients = coefficients
        self.n_comp, _, self.n_energies = coefficients.diffusion.shape
        if links is not None:
            self._links = links
            return
        n_faces = len(transport.faces.cells)
        coupled = self.n_comp == 2 and coefficients.advection.shape[1] > 0
        self._links = Links(
            np.empty((self.n_comp, n_faces, self.n_energies)),
            np.empty((self.n_comp, len(transport.junction_faces), 2, self.n_energies)),
            np.empty((n_faces, self.n_energies if coupled else 0)),
        )
        kernels.face_links(transport.faces, coefficients, self._links)

    @classmethod
    def combined(cls, terms: Iterable[tuple[float, Operator]]) -> Operator:
        """``Σ weight × operator`` on one mesh, such as the derivative by a parameter of the spectra.

        It adds conductances, not rates, so that the weights of a difference do not multiply the rounding of
        rates that nearly cancel.
        """
        (weight, first), *rest = terms
        links = Links(*(weight * each for each in first._links))
        rows = {name: weight * getattr(first.coefficients, name) for name in ("reaction", "lead")}
        for factor, operator in rest:
            for into, each in zip(links, operator._links, strict=True):
                into += factor * each
            for name, row in rows.items():
                row += factor * getattr(operator.coefficients, name)
        return cls(first.transport, first.coefficients._replace(**rows), links)

    def assemble(self) -> Floats:
        """Two-point matrix ``(nnz, energy)`` on `TwoPointFlux.pattern`; all of it on orthogonal meshes."""
        t, flux = self.transport, self.transport.flux
        values = flux.matrix(self._links.link, self.n_comp)
        kernels.add_matrix(
            t.faces,
            flux.faces.entries,
            self.coefficients,
            self._links,
            t.leads,
            t.capacity,
            flux.indptr,
            flux.diagonal,
            self.n_comp,
            values,
        )
        return values

    def residual(self, x: Floats, external: Floats, out: Floats | None = None) -> Floats:
        """``b − A x`` of the full operator for the owned cells, ``(n_owned, component, energy)``."""
        return self._residual(x, external, NO_CURRENT, out)

    def currents(self, x: Floats, external: Floats) -> Floats:
        """Spectral current from every terminal into the device, ``(component, terminal, energy)``, all ranks.

        Siemens × distribution; counted where the residual is formed, so that the balance closes to round-off.
        """
        current = np.zeros(external.shape)
        self._residual(x, external, current, None)
        self.transport.mesh.comm.Allreduce(MPI.IN_PLACE, current)
        return current

    def relaxed_charge(self, x: Floats) -> Floats:
        """Charge passed to the condensate on all ranks, ``(energy,)``, siemens × distribution."""
        t = self.transport
        out = np.empty(x.shape[2])
        kernels.relaxed_charge(t.faces, self.coefficients, self._links, t.capacity, t.mesh.n_owned, x, out)
        t.mesh.comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def face_fluxes(self, x: Floats, external: Floats) -> Floats:
        """Diffusive flux ``J·A`` of component 0 through every face, ``(n_faces, energy)``.

        ``J = 𝒟∇x`` along the face normal; 0 on walls. Leads at the face are not counted.
        """
        inner, outer = self.transport.flux.beside(x, external)[:, :, 0].swapaxes(0, 1)
        return np.asarray(self._links.link[0] * (outer - inner))

    def _residual(self, x: Floats, external: Floats, current: Floats, out: Floats | None) -> Floats:
        t, flux = self.transport, self.transport.flux
        rate = np.empty((t.mesh.n_owned, *x.shape[1:])) if out is None else out
        gradient = flux.gradients(x, external)
        kernels.rates(
            t.faces,
            flux.faces,
            self.coefficients,
            self._links,
            t.leads,
            t.capacity,
            gradient,
            x,
            external,
            rate,
            current,
        )
        flux.add(self._links.link, x, external, rate, gradient, current)
        return rate
