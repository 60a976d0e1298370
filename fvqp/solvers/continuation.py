"""Solutions of F(x, p) = 0 along a curve that may turn back in its parameter: pseudo-arclength continuation;
and, where it does not, up to the problem itself from easier ones.

(H. B. Keller, in Applications of Bifurcation Theory, ed. P. Rabinowitz, Academic Press 1977.) Newton's method
with derivatives by differences and GMRES: F' should be close to a multiple of 1 but for a few directions, as
that of x − G(x) is for a map G that makes things smooth. PETSc's Newton method (SNES) finds every point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from mpi4py import MPI
from scipy.optimize import brentq

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.matrix_free import gmres, newtonls, use_gmres
from fvqp.typing import Floats

REACHED = "the end of the range"
"""Why a branch ends that has been followed as far as was asked."""


Residual = Callable[[Floats, float], Floats]
Near = TypeVar("Near")
_REASON = PETSc.SNES.ConvergedReason
Report = Callable[[float, float], None]
"""Called with the part of the work that is done, from 0 to 1, and the parameter."""

#: Newton steps of a point of the curve before a shorter step along it is tried.
NEWTON_STEPS = 6
#: Least cosine between a step along the curve and the tangent where it begins.
STRAIGHT = 0.9
#: Step of differences.
DIFFERENCE = 1e-5
#: Accuracy of linear solves, which decides how many digits a Newton step gains.
LINEAR_RTOL = 1e-3
#: Shortest step from a part of a problem to a larger one.
SHORTEST = 1.0 / 128.0
#: Solutions near a fold that locate it.
REFINEMENTS = 8
#: How often the way between two solutions is halved to find a jump, and share of what changes between them
#: that is one at least.
HALVINGS, SHARE = 10, 0.125
#: Prefix of PETSc's options: ``-fvqp_branch_snes_monitor``, ``-fvqp_branch_ksp_rtol``.
OPTIONS = "fvqp_branch_"
#: Directions of GMRES.
MAX_DIRECTIONS = 30


@dataclass(frozen=True)
class CurvePoint:
    """A solution: ``x`` (this rank's part) and the parameter."""

    x: Floats
    parameter: float


@dataclass
class SolutionBranch:
    """A curve of solutions.

    Attributes:
        points: in order along the curve.
        folds: where the parameter has an extremum.
        crossings: solutions at given parameters, in the order of the curve.
        missed: parameters among these that the curve passes where no solution was found.
        end: why the curve was not followed any further.
    """

    points: list[CurvePoint] = field(default_factory=list)
    folds: list[CurvePoint] = field(default_factory=list)
    crossings: dict[float, list[Floats]] = field(default_factory=dict)
    missed: list[float] = field(default_factory=list)
    end: str = ""


def homotopy(solve: Callable[[float, Floats | None], Floats]) -> Floats:
    """Solution of a problem by way of easier ones.

    Args:
        solve: finds the solution of part p of the problem, 0 < p ≤ 1, from that of a smaller part, or from
            None; raises `ConvergenceError` if p is too far from there.

    Raises:
        ConvergenceError: that of the last attempt, when steps of p have become shorter than `SHORTEST`.
    """
    x, part, step = None, 0.0, 0.5
    while x is None or part < 1.0:
        target = min(part + step, 1.0)
        try:
            x, part = solve(target, x), target
            step *= 2.0
        except ConvergenceError:
            step *= 0.5
            if step < SHORTEST:
                raise
    return x


def jumps_between(
    first: tuple[float, Near],
    last: tuple[float, Near],
    solve: Callable[[float, tuple[float, Near]], tuple[float, Near]],
    least: float,
) -> bool:
    """Return whether a curve of solutions jumps on its way between two of them.

    Halves the way for as long as more than ``least`` changes in a part of it, and more than `SHARE` of the
    whole: what is continuous changes ever less. Where a solve fails the curve counts as broken.

    Args:
        first, last: number that changes, and what a solution can start from, at the ends.
        solve: the same at a part of the way, from 0 to 1, from what is at a smaller part.
        least: change that is no jump.
    """
    least = max(least, SHARE * abs(last[0] - first[0]))

    def jumps(low: float, first: tuple[float, Near], high: float, last: tuple[float, Near]) -> bool:
        if abs(last[0] - first[0]) <= least:
            return False
        if high - low <= 0.5**HALVINGS:
            return True
        middle = 0.5 * (low + high)
        try:
            between = solve(middle, first)
        except ConvergenceError:
            return True
        return jumps(low, first, middle, between) or jumps(middle, between, high, last)

    return jumps(0.0, first, 1.0, last)


class _TooFar(ConvergenceError):
    """A step along the curve that was too long."""


@dataclass
class _Curve:
    """The equations and their metric: the mean square of x and the square of p."""

    residual: Residual
    comm: MPI.Comm
    size: int
    tolerance: float

    def dot(self, a: Floats, b: Floats) -> float:
        """Scalar product of two vectors (x, p), p last on every rank."""
        return float(self.comm.allreduce(float(a[:-1] @ b[:-1])) / self.size + a[-1] * b[-1])

    def largest(self, x: Floats) -> float:
        return float(self.comm.allreduce(float(np.max(np.abs(x), initial=0.0)), MPI.MAX))

    def correct(self, guess: Floats, normal: Floats) -> tuple[Floats, int]:
        """Solution in the plane through ``guess`` with this normal, and the Newton steps it took."""
        root = np.sqrt(self._weights(guess))
        here = guess, guess
        reached = np.inf

        def residual(y: Floats) -> Floats:
            nonlocal here
            z = y / root
            here = z, self.residual(z[:-1], z[-1])
            return root * np.append(here[1], self.dot(normal, z - guess))

        def test(_snes: PETSc.SNES, step: int, _norms: tuple[float, float, float]) -> int:
            nonlocal reached
            reached = self.largest(here[1])
            if reached <= self.tolerance:
                return int(_REASON.CONVERGED_FNORM_ABS)
            return int(_REASON.ITERATING if step < NEWTON_STEPS else _REASON.DIVERGED_MAX_IT)

        def configure(snes: PETSc.SNES) -> None:
            # The step of a linear solve that has run out of directions is as good as it gets.
            snes.setMaxLinearSolveFailures(NEWTON_STEPS + 1)
            most = min(MAX_DIRECTIONS, self.size + 1)
            use_gmres(snes.getKSP(), most)
            snes.getKSP().setTolerances(rtol=LINEAR_RTOL, atol=0.0, max_it=most)

        found = newtonls(
            residual,
            root * guess,
            comm=self.comm,
            prefix=OPTIONS,
            test=test,
            max_steps=NEWTON_STEPS + 1,
            action=lambda w: root * self._action(*here, normal, w / root),
            configure=configure,
        )
        if not reached <= self.tolerance:
            raise _TooFar("no solution is found on it")
        return found.x / root, found.steps

    def tangent(self, z: Floats, forward: Floats) -> Floats:
        """Unit tangent of the curve at a solution, on the side of ``forward``."""
        right = np.zeros_like(z)
        right[-1] = 1.0
        try:
            found = self._solve(z, self.residual(z[:-1], z[-1]), forward, right)
        except ConvergenceError:
            # A difference leads out of where there are equations.
            return forward
        return found / np.sqrt(self.dot(found, found))

    def _solve(self, z: Floats, value: Floats, normal: Floats, right: Floats) -> Floats:
        """GMRES for the Jacobian bordered by the plane."""
        return gmres(
            lambda w: self._action(z, value, normal, w),
            right,
            comm=self.comm,
            prefix=OPTIONS,
            rtol=LINEAR_RTOL,
            most=min(MAX_DIRECTIONS, self.size + 1),
            weights=self._weights(right),
        ).x

    def _action(self, z: Floats, value: Floats, normal: Floats, w: Floats) -> Floats:
        """The bordered Jacobian at z, where F is ``value``, times w."""
        h = DIFFERENCE / max(self.largest(w), 1e-300)
        moved = z + h * w
        return np.append((self.residual(moved[:-1], moved[-1]) - value) / h, self.dot(normal, w))

    def _weights(self, z: Floats) -> Floats:
        """Weights of the squares of unknowns in the metric; all ranks have the parameter."""
        return np.append(np.full(z.size - 1, 1.0 / self.size), 1.0 / self.comm.size)


def follow_branch(
    residual: Residual,
    start: CurvePoint,
    last: float,
    *,
    comm: MPI.Comm,
    first_step: float,
    largest_step: float,
    tolerance: float,
    marks: Sequence[float] = (),
    most_points: int = 400,
    report: Report = lambda part, parameter: None,
) -> SolutionBranch:
    """Follow the curve of solutions from a known one, also where the parameter turns back.

    Distances along the curve are those of the mean square of x, of all ranks, and of the parameter.

    Args:
        residual: F(x, p) for this rank's part of x, collective; may raise `ConvergenceError`.
        start: a solution; the curve is left towards ``last``.
        last: parameter at which the curve has been followed far enough; it also ends at the parameter of
            ``start`` when it comes back.
        comm: ranks that share x.
        first_step: first step of the parameter; largest_step: of any step along the curve.
        tolerance: largest accepted |F|.
        marks: parameters at which every solution on the curve is wanted.
        most_points: of the curve, before giving up.
        report: called on the way; the walk counts as one half, marks as the other.
    """
    size = max(int(comm.allreduce(start.x.size)), 1)
    curve = _Curve(residual, comm, size, tolerance)
    report(0.0, start.parameter)
    known, end = _walk(curve, start, last, first_step, largest_step, most_points, report)
    branch = SolutionBranch([_point(z) for z in known], crossings={mark: [] for mark in marks}, end=end)
    if start.parameter in branch.crossings:
        branch.crossings[start.parameter].append(start.x)
    # Pieces on which the parameter does not turn: the points, with the folds in their places between them.
    path = known[:1]
    for k in range(1, len(known)):
        here = known[k]
        beyond = known[k + 1] if k + 1 < len(known) else here
        if (beyond[-1] - here[-1]) * (here[-1] - known[k - 1][-1]) < 0.0:
            fold = _extremum(curve, known[k - 1], here, beyond)
            branch.folds.append(_point(fold))
            side = curve.dot(fold - here, beyond - here)
            path += [here] if side == 0.0 else [here, fold] if side > 0.0 else [fold, here]
        else:
            path.append(here)
    for number, (first, second) in enumerate(itertools.pairwise(path)):
        report(0.5 + 0.5 * number / len(path), first[-1])
        _cross(curve, branch, first, second)
    report(1.0, path[-1][-1])
    return branch


def _walk(
    curve: _Curve,
    start: CurvePoint,
    last: float,
    first_step: float,
    largest_step: float,
    most_points: int,
    report: Report,
) -> tuple[list[Floats], str]:
    """Points (x, p) along the curve, and why there are no more; arguments as of `follow_branch`."""
    side = np.copysign(1.0, last - start.parameter)
    up = np.zeros(start.x.size + 1)
    up[-1] = side
    known = [np.append(start.x, start.parameter)]
    direction, step, reason = curve.tangent(known[0], up), first_step, ""
    farthest = 0.0
    while len(known) < most_points:
        try:
            z, newton = curve.correct(known[-1] + step * direction, direction)
            chord = z - known[-1]
            length = np.sqrt(curve.dot(chord, chord))
            if curve.dot(chord, direction) < STRAIGHT * length:
                raise _TooFar("the curve bends too much")
        except ConvergenceError as error:
            step *= 0.5
            if not reason or not isinstance(error, _TooFar):
                reason = str(error)
            if step < 1e-3 * first_step:
                return known, f"no further step along the curve: {reason}"
            continue
        reason = ""
        known.append(z)
        # The parameter may turn back: what has been reached counts.
        farthest = max(farthest, (z[-1] - start.parameter) / (last - start.parameter))
        report(0.5 * min(farthest, 1.0), z[-1])
        direction = curve.tangent(z, chord / length)
        if newton <= 3:
            step = min(1.4 * length, largest_step)
        if (z[-1] - last) * side >= 0.0 or (z[-1] - start.parameter) * side <= 0.0:
            return known, REACHED
    return known, f"{most_points} points"


def _point(z: Floats) -> CurvePoint:
    return CurvePoint(z[:-1].copy(), float(z[-1]))


def _cross(curve: _Curve, branch: SolutionBranch, a: Floats, b: Floats) -> None:
    """Solutions at the marks between two points of the curve."""
    at = np.zeros_like(a)
    at[-1] = 1.0
    chord = b - a
    length = curve.dot(chord, chord)
    for mark, found in branch.crossings.items():
        if not ((a[-1] - mark) * (b[-1] - mark) < 0.0 or b[-1] == mark):
            continue
        guess = a + (mark - a[-1]) / chord[-1] * chord
        try:
            z, _ = curve.correct(guess, at)
            if not 0.0 <= curve.dot(z - a, chord) <= length:
                raise _TooFar("another solution at this parameter")
        except ConvergenceError:
            # Next to a fold, where the parameter hardly says where along the curve one is.
            try:
                z = _between(curve, a, b, mark)
            except ConvergenceError:
                branch.missed.append(mark)
                continue
        found.append(z[:-1].copy())


def _between(curve: _Curve, a: Floats, b: Floats, mark: float) -> Floats:
    """Solution at a parameter between those of two points of the curve, by its place along their chord."""
    chord, near = b - a, [a]

    def beyond(place: float) -> float:
        near[0], _ = curve.correct(a + place * chord, chord)
        return float(near[0][-1] - mark)

    place = brentq(beyond, 0.0, 1.0, xtol=1e-12)
    beyond(place)
    return near[0]


def _extremum(curve: _Curve, a: Floats, b: Floats, c: Floats) -> Floats:
    """The point with an extremal parameter near the middle one of three, by parabolas in the arclength."""
    for _ in range(REFINEMENTS):
        first, second = b - a, c - b
        s0, s2 = -np.sqrt(curve.dot(first, first)), np.sqrt(curve.dot(second, second))
        slope0, slope2 = (a[-1] - b[-1]) / s0, (c[-1] - b[-1]) / s2
        curvature = (slope2 - slope0) / (s2 - s0)
        s = -(slope0 - curvature * s0) / (2.0 * curvature) if curvature != 0.0 else 0.0
        # The middle one is beyond both others: so is the vertex, but for rounding.
        s = float(np.clip(s, 0.9 * s0, 0.9 * s2))
        if abs(s) < 1e-3 * (s2 - s0):
            return b
        tangent = (c - a) / (s2 - s0)
        tangent /= np.sqrt(curve.dot(tangent, tangent))
        # Newton's form of the parabola through the three.
        by2, by0 = second / s2, first / -s0
        guess = b + s * by0 + s * (s - s0) * (by2 - by0) / (s2 - s0)
        try:
            found, _ = curve.correct(guess, tangent)
        except ConvergenceError:
            return b
        beyond = (found[-1] - b[-1]) * (b[-1] - a[-1]) > 0.0
        if beyond:
            a, b, c = (b, found, c) if s > 0.0 else (a, found, b)
        elif s > 0.0:
            c = found
        else:
            a = found
    return b
