"""Every way to solve the systems of all energies gives the same answer, or says which energy has none."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import scipy.sparse as sp
from mpi4py import MPI
from solver_matrices import distribute, grid_matrices, partitions, reference

from fvqp.errors import CaseError, ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers import krylov, linear, multigrid
from fvqp.solvers.linear import LinearSolver, solve_energies
from fvqp.solvers.numbering import Numbering

COMM = MPI.COMM_WORLD
# Few energies: on a busy machine ranks wait a time slice in every exchange, of which MUMPS has most.
SHAPE, N, N_ENERGIES = (12, 6), 72, 4


class System:
    """A distributed test system; `wide` has the second neighbours that the assembled matrices leave out."""

    def __init__(self, comm: MPI.Comm = COMM, skew: float = 0.4) -> None:
        indptr, indices, values = grid_matrices(SHAPE, N_ENERGIES, skew)
        # (I + 0.05 S) A has the neighbours of neighbours; S couples along the grid.
        step = sp.csr_matrix((np.ones(indices.size), indices, indptr))
        step = sp.eye(N) + 0.05 * (step - sp.eye(N))
        wide = [(step @ sp.csr_matrix((v, indices, indptr))).tocsr() for v in values.T]
        for matrix in wide:
            matrix.sort_indices()
        self.wide = wide[0].indptr, wide[0].indices, np.stack([m.data for m in wide], axis=1)
        size = np.logspace(0.0, -10.0, N_ENERGIES)
        self.rhs = size * np.random.default_rng(4).normal(size=(N, N_ENERGIES))
        self.rhs[:, 2] = 0.0
        self.exact = reference(indptr, indices, values, self.rhs)
        self.exact_wide = reference(*self.wide, self.rhs)
        owner = partitions(N, comm.size)["strips"]
        self.ptr, self.cols, self.values, self.n_owned, self.ids = distribute(
            indptr, indices, values, owner, comm.rank
        )
        self.numbering = Numbering(comm, self.n_owned, self.ids)
        self.owned = self.ids[: self.n_owned]
        self.b = self.rhs[self.owned]
        w_ptr, w_cols, w_values, _, w_ids = distribute(*self.wide, owner, comm.rank)
        self._wide_numbering = Numbering(comm, self.n_owned, w_ids)
        self._rows = np.repeat(np.arange(self.n_owned), np.diff(w_ptr))
        self._cols, self._values = w_cols, w_values
        self.applications = 0

    def operator(self, x: np.ndarray, out: np.ndarray) -> None:
        self.applications += 1
        out[:] = 0.0
        np.add.at(out, self._rows, self._values * self._wide_numbering.with_ghosts(x)[self._cols])

    def solver(self, method: str, **options) -> LinearSolver:
        solver = LinearSolver(self.ptr, self.cols, self.numbering, method=method, **options)
        solver.set_matrix(self.values)
        return solver

    def error(self, x: np.ndarray, exact: np.ndarray) -> float:
        """Largest error of any energy relative to the energy's own solution."""
        size = np.abs(exact).max(axis=0)
        return float((np.abs(x - exact[self.owned]).max(axis=0) / np.where(size > 0, size, 1.0)).max())


@pytest.fixture
def options():
    database = PETSc.Options()
    names: list[str] = []

    def put(name: str, value: object) -> None:
        database[name] = value
        names.append(name)

    yield put
    for name in names:
        database.delValue(name)


# The residual is at most 1e-10 of gains and losses; the condition number of these matrices is below 1e3.
METHODS = ["auto", "direct", "multigrid", "mumps", "hypre", "gamg", "jacobi"]


@pytest.fixture(autouse=True)
def several_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small systems have coarse levels, too."""
    monkeypatch.setattr(multigrid, "COARSEST", 8)


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_agree(method):
    system = System()
    solver = system.solver(method)
    assert system.error(solver.solve(system.b), system.exact) <= 1e-7
    assert solver.residual.max() <= 1e-10
    if method != "mumps" or krylov.has_package("mumps"):
        assert (solver.iterations > 1) == (method in ("multigrid", "hypre", "gamg", "jacobi"))
    several = solver.solve(np.stack([system.b, 2.0 * system.b]), guess=np.zeros((2, *system.b.shape)))
    assert system.error(0.5 * several[1], system.exact) <= 1e-7


@pytest.mark.parametrize("method", ["multigrid", "hypre", "gamg"])
def test_symmetric_systems_by_conjugate_gradients(method):
    system = System(skew=0.0)
    assert system.error(system.solver(method, symmetric=True).solve(system.b), system.exact) <= 1e-7
    assert system.error(system.solver("direct", symmetric=True).solve(system.b), system.exact) <= 1e-12


@pytest.mark.parametrize(
    "method", ["direct", "multigrid", pytest.param("mumps", marks=pytest.mark.slow), "gamg"]
)
def test_operator_with_a_wider_stencil(method):
    system = System()
    solver = system.solver(method)
    x = solver.solve(system.b, operator=system.operator)
    assert system.error(x, system.exact_wide) <= 1e-7
    assert 1 < solver.iterations < 40
    used = system.applications
    again = solver.solve(system.b, operator=system.operator, guess=x)
    assert system.applications - used <= 3 and system.error(again, system.exact_wide) <= 1e-7


def test_a_guess_worse_than_nothing_is_dropped():
    system = System()
    solver = system.solver("direct")
    x = solver.solve(system.b, operator=system.operator, guess=np.ones_like(system.b))
    assert np.all(x[:, 2] == 0.0)
    assert solver.residual.max() <= solver.tolerance
    exact = system.exact_wide[system.owned]
    scale = np.abs(system.exact_wide).max(axis=0)
    assert np.all(np.abs(x - exact) <= 1e-8 * scale)


def test_factors_are_kept_only_if_they_fit():
    system = System()
    x = system.solver("direct").solve(system.b, operator=system.operator)
    small = system.solver("direct", memory=1000)
    assert np.abs(small.solve(system.b, operator=system.operator) - x).max() <= 1e-9
    reused = LinearSolver(system.ptr, system.cols, system.numbering, method="direct")
    reused.set_matrix(system.values, reuse=True)
    assert system.error(reused.solve(system.b), system.exact) <= 1e-12


def test_multigrid_is_made_anew_where_an_earlier_energy_misleads_it(caplog, options):
    """Uniform diffusion first, then one that varies from cell to cell by eight decades."""
    options("fvqp_pc_gamg_reuse_interpolation", True)
    shape = (40, 30)
    n = shape[0] * shape[1]
    indptr, indices, values = grid_matrices(shape, 2, 0.0)
    rows = np.repeat(np.arange(n), np.diff(indptr))
    diffusion = 10.0 ** np.random.default_rng(0).uniform(-4.0, 4.0, n)
    for energy, d in enumerate((np.ones(n), diffusion)):
        links = np.where(rows == indices, 0.0, 2.0 / (1.0 / d[rows] + 1.0 / d[indices]))
        values[:, energy] = np.where(rows == indices, 1.0 + np.bincount(rows, links)[rows], -links)
    ptr, cols, local, n_owned, ids = distribute(
        indptr, indices, values, partitions(n, COMM.size)["strips"], COMM.rank
    )
    solver = LinearSolver(ptr, cols, Numbering(COMM, n_owned, ids), method="gamg", symmetric=True)
    solver.set_matrix(local)
    rhs = np.random.default_rng(2).normal(size=(n, 2))
    with caplog.at_level(logging.DEBUG, logger="fvqp"):
        x = solver.solve(rhs[ids[:n_owned]])
    # Later versions of PETSc do not mislead here.
    if PETSc.Sys.getVersion() < (3, 19):
        assert "energy index 1: DIVERGED" in caplog.text and "made anew" in caplog.text
    # Eigenvalues lie between 1 and 2 + 8 d: the error is at most the residual, 1e-10 of gains and losses.
    exact = reference(indptr, indices, values, rhs)[ids[:n_owned]]
    sizes = (2.0 + 8.0 * np.array([1.0, diffusion.max()])) * np.linalg.norm(rhs, axis=0)
    assert np.all(np.abs(x - exact).max(axis=0, initial=0.0) <= 1e-10 * sizes)


def cube(n: int, contrast: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diffusion in n³ cells that absorb at one end; at the second energy the other half is another metal."""
    number = np.arange(n**3).reshape(n, n, n)
    metal = np.where(number // n**2 < n // 2, 1.0, contrast).ravel()
    first = np.concatenate([np.take(number, range(n - 1), axis).ravel() for axis in range(3)])
    second = np.concatenate([np.take(number, range(1, n), axis).ravel() for axis in range(3)])
    lost = np.zeros(n**3)
    lost[number[0].ravel()] = 2.0
    matrices = []
    for links in (np.ones(len(first)), 2.0 / (1.0 / metal[first] + 1.0 / metal[second])):
        half = sp.coo_matrix((-links, (first, second)), (n**3, n**3))
        both = half + half.T
        matrices.append((both + sp.diags(lost - np.asarray(both.sum(axis=1))[:, 0])).tocsr())
        matrices[-1].sort_indices()
    return matrices[0].indptr, matrices[0].indices, np.stack([m.data for m in matrices], axis=1)


@pytest.mark.ranks(1, 2)
def test_multigrid_in_solids():
    """27 times the cells take at most a third more iterations; profiles across layers are straight lines."""
    iterations = []
    for n in (6, 18):
        indptr, indices, values = cube(n, 1e-4)
        rows = n**3
        owner = np.minimum(np.arange(rows) * COMM.size // rows, COMM.size - 1)
        ptr, cols, mine, n_owned, ids = distribute(indptr, indices, values, owner, COMM.rank)
        solver = LinearSolver(
            ptr, cols, Numbering(COMM, n_owned, ids), method="multigrid", symmetric=True, tolerance=1e-13
        )
        solver.set_matrix(mine)
        rhs = np.zeros((rows, 2))
        rhs[-(n**2) :] = 1.0
        x = solver.solve(rhs[ids[:n_owned]])
        layer = ids[:n_owned] // n**2
        uniform = layer + 0.5
        other = n // 2 + (layer - n // 2 + 0.5) * 1e4
        exact = np.stack([uniform, np.where(layer < n // 2, uniform, other)], axis=1)
        np.testing.assert_allclose(x, exact, rtol=1e-9)
        iterations.append(solver.iterations)
    assert iterations[1] <= 4 * iterations[0] / 3


def test_options_reach_petsc(options):
    system = System()
    solver = system.solver("direct", tolerance=1e-4)
    solver.solve(system.b, operator=system.operator)
    loose = solver.iterations
    options("fvqp_ksp_atol", 1e-13)
    options("fvqp_ksp_rtol", 1e-13)
    solver.solve(system.b, operator=system.operator)
    assert solver.iterations > loose
    options("other_ksp_atol", 1e-2)
    other = system.solver("direct", tolerance=1e-1, prefix="other_")
    other.solve(system.b, operator=system.operator)
    assert other.iterations < loose


def test_options_reach_every_energy(options):
    system = System()
    plain = system.solver("jacobi")
    plain.solve(system.b)
    options("fvqp_pc_type", "sor")
    better = system.solver("jacobi")
    assert system.error(better.solve(system.b), system.exact) <= 1e-7
    assert better.iterations < plain.iterations


def test_no_convergence_names_the_energy(options):
    options("fvqp_ksp_max_it", 1)
    system = System()
    system.b[:, :-1] = 0.0  # only the last energy has anything to do
    with pytest.raises(ConvergenceError, match=r"energy index 3 .*DIVERGED_(MAX_IT|ITS) after 1 iteration"):
        system.solver("direct").solve(system.b, operator=system.operator)
    with pytest.raises(ConvergenceError, match=r"energy index 3 .*DIVERGED_(MAX_IT|ITS) after 1 iteration"):
        system.solver("jacobi").solve(system.b)


@pytest.mark.parametrize("method", ["direct", "mumps", "jacobi"])
def test_singular_matrices_are_refused(method, options):
    options("fvqp_ksp_max_it", 200)
    system = System()
    rows = np.repeat(np.arange(system.n_owned), np.diff(system.ptr))
    system.values[system.owned[rows] == 40, 3] = 0.0
    with pytest.raises(ConvergenceError, match="energy index 3 "):
        system.solver(method).solve(system.b)


@pytest.mark.parametrize("method", ["direct", "gamg"])
def test_a_right_side_that_is_not_a_number_is_refused(method):
    system = System()
    system.b[:, 1] = np.nan
    with pytest.raises(ConvergenceError, match="energy index 1 "):
        system.solver(method).solve(system.b)


def test_what_petsc_lacks_is_replaced_and_logged(monkeypatch, caplog):
    monkeypatch.setattr(krylov, "has_package", lambda name: False)
    system = System()
    with caplog.at_level(logging.WARNING, logger="fvqp"):
        for method in ("mumps", "hypre"):
            solver = system.solver(method)
            assert system.error(solver.solve(system.b), system.exact) <= 1e-7
            assert solver.method == ("lu" if method == "mumps" and COMM.size == 1 else "gamg")
    assert "no mumps" in caplog.text and "no hypre" in caplog.text
    with pytest.raises(CaseError, match="method 'nonsense'"):
        system.solver("nonsense").solve(system.b)


def test_the_automatic_choice(monkeypatch):
    system = System()
    assert system.solver("auto").method == "direct"
    assert system.solver("auto", memory=1000).method == "mumps"
    monkeypatch.setattr(linear, "FLOPS_PER_ROW", 1)
    assert system.solver("auto").method == "mumps"
    monkeypatch.setattr(linear, "LU_ROWS", 10)
    assert system.solver("auto").method == "multigrid"
    assert system.solver("auto", symmetric=True).method == "multigrid"
    monkeypatch.undo()
    monkeypatch.setattr(linear, "MAX_INTERFACE", 0)
    assert system.solver("auto").method == ("direct" if COMM.size == 1 else "mumps")


def test_groups_of_ranks_solve_on_their_own():
    group = COMM.Split(COMM.rank % 2, COMM.rank)
    system = System(group)
    assert system.error(system.solver("auto").solve(system.b), system.exact) <= 1e-12
    assert system.error(system.solver("gamg").solve(system.b), system.exact) <= 1e-7
    x = system.solver("direct").solve(system.b, operator=system.operator)
    assert system.error(x, system.exact_wide) <= 1e-7
    group.Free()


def test_one_call_on_one_rank():
    indptr, indices, values = grid_matrices((30,), 4)
    rhs = np.ones((30, 4))
    exact = reference(indptr, indices, values, rhs)
    assert np.abs(solve_energies(indptr, indices, values, rhs) - exact).max() <= 1e-12 * np.abs(exact).max()


@pytest.mark.skipif(COMM.size == 1, reason="needs a second rank")
@pytest.mark.parametrize("method", ["direct", "multigrid", "mumps", "gamg"])
def test_a_rank_may_own_nothing(method):
    indptr, indices, values = grid_matrices((5, 4), 3)
    rhs = np.ones((20, 3))
    owner = np.arange(20) * (COMM.size - 1) // 20
    ptr, cols, mine, n_owned, ids = distribute(indptr, indices, values, owner, COMM.rank)
    solver = LinearSolver(ptr, cols, Numbering(COMM, n_owned, ids), method=method)
    solver.set_matrix(mine)
    exact = reference(indptr, indices, values, rhs)[ids[:n_owned]]
    assert np.abs(solver.solve(rhs[:n_owned]) - exact).max(initial=0.0) <= 1e-7
