"""Solutions of the Usadel problem at operating points: gap and phase gradients follow the distributions."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.errors import ConvergenceError
from fvqp.models.usadel.coupled_gap import solve_with_gap
from fvqp.models.usadel.gap_field import LARGEST_CHANGE
from fvqp.models.usadel.kinetics import KineticState, L, SpectralState
from fvqp.models.usadel.leads import LeadUnknowns
from fvqp.models.usadel.phase import PhaseField
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.solvers.continuation import jumps_between
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.solvers.pseudo_transient import pseudo_transient_continuation
from fvqp.solvers.scalar_root import follow_root
from fvqp.spectral.usadel import gap_edge
from fvqp.typing import Floats

Near = tuple[float, Solution | None]
log = logging.getLogger(__name__)

#: Longest step of the bias, over the one before it, for which the gap is predicted.
FARTHEST = 4.0

#: Change of a gap, in Δ0, from a point at which solutions end: that of a jump.
JUMP = 0.02

#: Bins by which a uniform gap may move where its branch ends at the wave of one, without having jumped.
BINS_OF_A_WAVE = 2.0

#: Rounding of gaps over that of f_L, relative to the fastest exchange of a cell, where others are slow.
AMPLIFIED = 2e3


def solve_point(problem: UsadelProblem, point: Point, guess: Solution | None = None) -> Solution:
    """Solve an operating point; ``guess`` is a neighbouring solution to start from.

    Raises:
        ConvergenceError: the self-consistency does not converge.
    """
    if problem.device.balances_heat:
        return _with_leads(problem, point, guess)
    return _driven(problem, point, problem.external(point), guess)


def _driven(problem: UsadelProblem, point: Point, external: Floats, guess: Solution | None) -> Solution:
    """Solve an operating point for given distributions of the leads (`UsadelProblem.external`)."""
    if problem.gap.follows_bias or problem.self_consistent_phase:
        return _self_consistent(problem, point, external, guess)
    state, phase = problem.at_rest(point.supercurrent)
    if problem.inelastic is None:
        return Solution(point, state, problem.response(point.supercurrent).combine(external), phase, 0)
    near = guess if guess is not None and guess.point.supercurrent == point.supercurrent else None
    what = f"V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
    kinetic = problem.energy_mode(state, external, None if near is None else near.kinetic, what)
    return Solution(point, state, problem.with_charge(state, kinetic), phase, 0)


def _with_leads(problem: UsadelProblem, point: Point, guess: Solution | None) -> Solution:
    """An operating point at which the heat of every lead is balanced.

    The iterate are the logarithms of the leads' temperatures. At given ones the superconductor is solved for;
    each lead's next temperature then balances its heat beside that superconductor, which reacts little: the
    map contracts fast.

    Raises:
        ConvergenceError: no balance is found.
        CaseError: a lead gets so hot that the energy axis ends below its thermal tail.
    """
    what = f"temperatures of the leads at V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
    leads = LeadUnknowns(problem, what)
    last: Solution | None = guess

    def update(unknowns: Floats) -> Floats:
        nonlocal last
        temperatures = leads.temperatures(point, unknowns)
        solution = _driven(problem, point, problem.external(point, temperatures), last)
        last = replace(solution, leads=temperatures)
        return leads.balanced(last)

    solve_fixed_point(
        update,
        leads.of(None if guess is None else guess.leads),
        comm=problem.device.mesh.comm,
        tolerance=problem.tolerance,
        what=what,
        max_evaluations=problem.most_evaluations,
    )
    assert isinstance(last, Solution), "the map is evaluated at least once"
    return last


def _self_consistent(
    problem: UsadelProblem, point: Point, external: Floats, guess: Solution | None
) -> Solution:
    """Gap and phase gradients that are those of the distributions they shape, at an operating point.

    A uniform gap without a current is one number: with collisions it is an unknown beside the distributions;
    else, and where that may leave the branch, its equation is followed from the neighbouring solution to the
    next root. Otherwise the iterate is the gap (one number, or one a cell) and, where a current flows, the
    phase drop at every face, from which depairing and the coupling of f_L and f_T follow: where the flow of
    both comes to rest. Where a current flows, Anderson acceleration took 7 to 18 % fewer evaluations where a
    solution was near, and the flow was needed elsewhere.

    Args:
        problem: the problem.
        point: what is prescribed; ``external``: the lead distributions that belong to it.
        guess: a neighbouring solution to start from.

    Raises:
        ConvergenceError: no fixed point is found; `SuperconductivityDestroyed` where none superconducts.
    """
    iteration = Iteration(problem, point, external, guess)
    if iteration.uniform and not iteration.flows:
        return iteration.follow()
    return iteration.settle()


class Iteration:
    """The map of the fixed point and what its last evaluation found.

    Args:
        problem, point, external, guess: as of `solve_self_consistent`.
        everywhere: whether a gap that collapses in some cells only is an error too.
    """

    def __init__(
        self,
        problem: UsadelProblem,
        point: Point,
        external: Floats,
        guess: Solution | None,
        *,
        everywhere: bool = False,
    ) -> None:
        self.everywhere = everywhere
        self.problem, self.point, self.external = problem, point, external
        alike = guess is not None and guess.point.supercurrent == point.supercurrent
        #: What there is to start from of the same supercurrent.
        self.guess = guess if alike else None
        self.mesh = problem.device.mesh
        if guess is None or guess.point.supercurrent != point.supercurrent:
            # Another supercurrent lends nothing: its phase drops may even have the opposite sign.
            self.spectral, self.phase = problem.at_rest(point.supercurrent)
            self.known = self.spectral.gap
        else:
            self.known = guess.spectral.gap
            self.spectral, self.phase = replace(guess.spectral, gap=self._predicted(guess)), guess.phase
        # `known` is the gap of a solution, that of `spectral` may be predicted.
        self.kinetic: KineticState | None = None if guess is None else guess.kinetic
        self.before = None if guess is None else (guess.point, guess.spectral.gap)
        if guess is not None and guess.point.V_inj == point.V_inj:
            self.before = guess.before
        self.energy_only = not problem.self_consistent_phase
        self.flows = self.phase is not None and (point.supercurrent != 0.0 or problem.self_consistent_phase)
        self.uniform = problem.gap.kind == "uniform"
        if self.flows:
            device, mesh = problem.device, self.mesh
            length = np.sqrt(constants.hbar * device.per_cell("diffusivity") / device.material.gap)
            across = device.per_cell("conductivity") * device.transverse / length
            #: Siemens by which a phase drop at a face (`PhaseField.supercurrent_conductance`) is ``ξ∇φ``
            #: along its normal.
            self.face_unit = across[mesh.face_cells[:, 0]] * mesh.face_area
        self.what = f"self-consistent gap at V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
        if point.supercurrent:
            self.what += f", supercurrent {point.supercurrent:g}"

    def move(self, point: Point, external: Floats) -> None:
        """Go on at another bias, from the last distributions."""
        self.point, self.external = point, external

    def gap_of(self, iterate: Floats) -> Floats:
        """Gap of every cell of an iterate, ghosts included."""
        return self._expanded(iterate)[0]

    def follow(self, *, tells: bool = True) -> Solution:
        """The uniform gap next to the first guess on its way to rest; ``tells`` of jumps in the log."""
        problem, n = self.problem, self.mesh.n_cells
        # What is the same everywhere is one number, also where a checkpoint has it cell by cell.
        start = problem.spectral_state(
            np.broadcast_to(self.spectral.gap, (n,)), np.broadcast_to(self.spectral.depairing, (n,)), None
        )
        depairing = start.depairing
        if problem.inelastic is not None and problem.proximity is None:
            try:
                self.spectral, self.kinetic, steps, turned = solve_with_gap(
                    problem, start, self.external, self.kinetic,
                    tolerance=self.tolerance, reach=2.0 * LARGEST_CHANGE, what=self.what,
                )  # fmt: skip
                if turned and tells:
                    self._say_if_uniform_gap_jumped(start)
                return self.solution(steps)
            except ConvergenceError as error:
                log.debug("%s", error)

        def residual(logarithm: float) -> float:
            gap = np.exp(logarithm)
            everywhere = np.broadcast_to(gap * problem.gap_field.profile, (n,))
            problem.gap_field.require_superconducting(everywhere, self.what)
            self.spectral = problem.spectral_state(everywhere, depairing, None)
            self.kinetic = problem.energy_mode(self.spectral, self.external, self.kinetic, self.what)
            f_l = self.kinetic.deviation(L)
            return problem.gap_field.uniform_residual(gap, depairing, f_l, self.external[L])

        root = follow_root(
            residual,
            float(np.log(problem.gap_field.uniform_value(start.gap))),
            tolerance=self.tolerance,
            what=self.what,
            largest_step=LARGEST_CHANGE,
            max_evaluations=problem.most_evaluations,
        )
        if root.turned and tells:
            self._say_if_uniform_gap_jumped(start)
        return self.solution(root.evaluations)

    def _say_if_uniform_gap_jumped(self, start: SpectralState) -> None:
        """Log that the branch of the first guess ends, if the gap has jumped, and whether that is for the
        axis to mend.

        Bins that are wider than the gap edge have a wave of the gap equation each. A branch that ends at one
        has jumped only if the gap has moved by more than bins and the slope of its curve explain, and does so
        in ever smaller steps of the bias too.
        """
        problem, grid = self.problem, self.problem.grid
        before, predicted, after = (
            problem.gap_field.uniform_value(gap) for gap in (self.known, start.gap, self.spectral.gap)
        )
        zeta = problem.gap_field.uniform_value(start.depairing)
        passed = np.searchsorted(grid.edges, gap_edge(sorted([before, after]), zeta)) - 1
        first, last = np.clip(passed, 0, grid.n - 1)
        widest = float(grid.widths[first : last + 1].max())
        least = BINS_OF_A_WAVE * widest
        jumped = self.mesh.comm.bcast(abs(after - before) > least + abs(predicted - before))
        jumped = jumped and self._jumps_in_small_steps(before, after, least)
        if self.mesh.comm.rank != 0:
            return
        log.log(
            logging.WARNING if jumped else logging.DEBUG,
            "%s: the solution of the neighbouring bias ends; several coexist there, and the gap jumps "
            "from %.6g to %.6g Delta0",
            self.what,
            before,
            after,
        )
        if jumped and widest > problem.broadening:
            log.warning(
                "%s: energy bins are up to %.2g Delta0 wide there, the broadening is %.2g: solutions a bin "
                "apart may come of the gap edge passing from one to the next; finer bins tell whether the "
                "jump stays",
                self.what,
                widest,
                problem.broadening,
            )

    def _jumps_in_small_steps(self, before: float, after: float, least: float) -> bool:
        """Return whether the gap jumps by more than ``least`` between the neighbour and here, in small
        steps too."""
        problem, guess, here = self.problem, self.guess, self.point
        first = Point(supercurrent=here.supercurrent) if guess is None else guess.point
        if (first.V_inj, first.V_det) == (here.V_inj, here.V_det):
            # Only leads have changed.
            return True
        kept = self.spectral, self.kinetic

        def solved(part: float, near: Near) -> Near:
            v_inj = first.V_inj + part * (here.V_inj - first.V_inj)
            point = Point(v_inj, first.V_det + part * (here.V_det - first.V_det), here.supercurrent)
            external = problem.external(point, None if guess is None else guess.leads)
            solution = Iteration(problem, point, external, near[1]).follow(tells=False)
            return problem.gap_field.uniform_value(solution.spectral.gap), solution

        jumps = jumps_between((before, guess), (after, guess), solved, least)
        self.spectral, self.kinetic = kept
        return jumps

    def settle(self) -> Solution:
        """The gaps, and phase drops, that those of the first guess flow to."""
        problem, mesh = self.problem, self.mesh
        known = self._expanded(self.start)[0]
        rest = pseudo_transient_continuation(
            self.update,
            self.start,
            comm=mesh.comm,
            tolerance=self.tolerance,
            what=self.what,
            max_evaluations=problem.most_evaluations,
            where=self._place_of_largest,
        )
        if rest.slowest is not None:
            self._say_if_it_jumped(self.gap_of(rest.slowest), self.gap_of(rest.x))
        self._say_if_lost(known, self.gap_of(rest.x))
        return self.solution(rest.evaluations)

    @property
    def tolerance(self) -> float:
        """To which gaps converge: as the problem asks, or to what rounding of collisions leaves of f_L."""
        problem, comm = self.problem, self.mesh.comm
        if problem.inelastic is None:
            return problem.tolerance
        dos = problem.kinetics.kept_spectrum(self.spectral).dos
        largest = comm.allreduce(float(dos.max(initial=0.0)), MPI.MAX)
        return max(problem.tolerance, AMPLIFIED * problem.inelastic.rounding(largest))

    def _say_if_it_jumped(self, before: Floats, after: Floats) -> None:
        """Log where the gap changed most on the way from the end of a branch, if that was a jump."""
        mesh, n = self.mesh, self.mesh.n_owned
        change = np.abs(after - before)[:n]
        here = int(np.argmax(change)) if n else 0
        of_all = mesh.comm.allgather(
            (float(change[here]), float(before[here]), float(after[here]), mesh.centroid[here] * 1e6)
            if n
            else (0.0,)
        )
        size, *rest = max(of_all, key=lambda entry: entry[0])
        if size > JUMP and mesh.comm.rank == 0:
            low, high, centre = rest
            log.warning(
                "%s: the solution of the neighbouring bias ends; several coexist there, and the gap jumps, "
                "most near %s um, from %.6g to %.6g Delta0",
                self.what,
                np.round(centre, 4).tolist(),
                low,
                high,
            )

    def _place_of_largest(self, change: Floats) -> str:
        """Return the place where gaps or phase gradients of cells change most, for messages; collective."""
        mesh, parts = self.mesh, {}
        n = len(change) - (len(mesh.face_cells) if self.flows else 0)
        if not self.uniform:
            parts["gap"] = np.abs(change[:n]), np.arange(n)
        if self.flows:
            parts["phase gradient"] = np.abs(change[n:]), mesh.face_cells[:, 0]
        largest = (0.0, "")
        for name, (sizes, cells) in parts.items():
            if len(sizes) and sizes.max() > largest[0]:
                cell = int(cells[np.argmax(sizes)])
                region = mesh.cell_region[cell]
                centre = np.round(mesh.centroid[cell] * 1e6, 4).tolist()
                of = f", region {mesh.region_names[region]}" if region >= 0 else ""
                largest = float(sizes.max()), f" (most of the {name} near {centre} um{of})"
        return str(max(mesh.comm.allgather(largest))[1])

    def _say_if_lost(self, before: Floats, after: Floats) -> None:
        """Log what part of the superconductors has lost its gap, if it was less at first."""
        mesh, n = self.mesh, self.mesh.n_owned
        field = self.problem.gap_field
        volume = mesh.volume[:n]
        parts = [field.bulk[:n] > 0.0, field.lost(before)[:n], field.lost(after)[:n]]
        whole, earlier, now = mesh.comm.allreduce(np.array([float(volume[part].sum()) for part in parts]))
        if now > earlier and mesh.comm.rank == 0:
            log.warning("%s: superconductivity is destroyed in %.3g of the volume", self.what, now / whole)

    def solution(self, evaluations: int) -> Solution:
        """The solution that the last evaluation found, with f_T."""
        spectral, kinetic = self.spectral, self.kinetic
        assert kinetic is not None, "the map is evaluated at least once"
        if self.energy_only:
            # f_T does not act back on the gap: it is found once, at the end.
            kinetic = self.problem.with_charge(spectral, kinetic)
        return Solution(self.point, spectral, kinetic, self.phase, evaluations, before=self.before)

    def _predicted(self, guess: Solution) -> Floats:
        """Gap on the secant through a neighbour and the one before it; the neighbour's where that leads far.

        Distributions are not predicted: their steps move with the bias.
        """
        gap = guess.spectral.gap
        if guess.before is None:
            return gap
        point, earlier = guess.before
        first = np.array([point.V_inj, point.V_det, point.supercurrent])
        last, here = (np.array([p.V_inj, p.V_det, p.supercurrent]) for p in (guess.point, self.point))
        step, ahead = last - first, here - last
        if not np.all((step == 0.0) == (ahead == 0.0)) or np.count_nonzero(step) != 1:
            return gap
        share = float(ahead.sum() / step.sum())
        change = share * (gap - earlier)
        farthest = self.mesh.comm.allreduce(float(np.max(np.abs(change), initial=0.0)), MPI.MAX)
        return gap + change if 0.0 < share <= FARTHEST and farthest <= LARGEST_CHANGE else gap

    @property
    def start(self) -> Floats:
        """First iterate."""
        gap = np.broadcast_to(self.spectral.gap, (self.mesh.n_cells,))
        return self._packed(gap, self.phase)

    def update(self, iterate: Floats) -> Floats:
        """Spectra of the iterate, distributions in these spectra, gap and phase from these distributions."""
        problem = self.problem
        gap, depairing, phase = self._expanded(iterate)
        spectral: SpectralState = problem.spectral_state(gap, depairing, phase)
        kinetic = problem.energy_mode(spectral, self.external, self.kinetic, self.what)
        if not self.energy_only:
            kinetic = problem.with_charge(spectral, kinetic, self.kinetic)
        f_l = kinetic.deviation(L)
        known = None if problem.inelastic is None else problem.kinetics.kept_spectrum(spectral)
        new_gap = problem.gap_field.update(gap, depairing, f_l, self.external[L], known)
        problem.gap_field.require_superconducting(new_gap, self.what, everywhere=self.everywhere)
        self.spectral, self.kinetic = spectral, kinetic
        if self.flows:
            source = None if self.energy_only else problem.kinetics.condensate_source(spectral, kinetic)
            self.phase = problem.phase_for(gap, depairing, f_l, self.point.supercurrent, source)
        return self._packed(new_gap, self.phase)

    def _packed(self, gap: Floats, phase: PhaseField | None) -> Floats:
        if self.uniform:
            # Any superconducting cell tells the one number; the root holds it.
            here = gap / np.where(
                self.problem.gap_field.profile > 0.0, self.problem.gap_field.profile, np.inf
            )
            numbers = self.mesh.comm.allgather(float(here.max(initial=0.0)))
            head = np.array([max(numbers)] if self.mesh.comm.rank == 0 else [])
        else:
            head = gap[: self.mesh.n_owned]
        return np.concatenate(
            [
                head,
                phase.supercurrent_conductance / self.face_unit if self.flows and phase is not None else [],
            ]
        )

    def _expanded(self, iterate: Floats) -> tuple[Floats, Floats, PhaseField | None]:
        """Gap and depairing of every cell, ghosts included, and the phase whose drops the iterate has."""
        mesh, problem = self.mesh, self.problem
        n = mesh.n_owned
        gap = np.zeros(mesh.n_cells)
        if self.uniform:
            root = mesh.comm.rank == 0
            gap[:] = max(mesh.comm.bcast(float(iterate[0]) if root else 0.0), 0.0) * problem.gap_field.profile
            rest = iterate[1:] if root else iterate
        else:
            gap[:n] = np.maximum(iterate[:n], 0.0)
            mesh.exchange(gap)
            rest = iterate[n:]
        if not self.flows:
            return gap, np.broadcast_to(self.spectral.depairing, (mesh.n_cells,)).copy(), self.phase
        assert self.phase is not None, "there is a current"
        phase = problem.phase_of(self.phase, rest * self.face_unit)
        depairing = np.zeros(mesh.n_cells)
        depairing[:n] = problem.depairing + 0.5 * np.sum(phase.gradients**2, axis=1)
        mesh.exchange(depairing)
        return gap, depairing, phase
