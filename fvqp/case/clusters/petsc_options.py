"""PETSc options of a case of clusters, and which of its solvers reads them."""

from __future__ import annotations

from mpi4py import MPI

from fvqp.case.clusters.schema import ClustersCase
from fvqp.case.petsc_options import check_options_read
from fvqp.models.clusters import Cluster, MasterEquation

#: Beginnings of the options that reach a solver here.
FAMILIES = ("cluster_ksp_", "cluster_pc_", "cluster_mg_", "cluster_mat_", "cluster_sub_", "cluster_ts_")

#: A cluster of a few hundred states, on which solvers show what they read.
SMALL = Cluster(10.0, 1.0, gamma=10.0, gamma_t=0.1, tau_s=1.0)


def check_petsc_options_used(case: ClustersCase) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver of this case reads."""
    if not case.solver.petsc:
        return
    # Equations in N are eliminated directly, as small master equations are.
    methods = {"mumps"} if {"simplified", "fokker_planck"} & set(case.sweep.equation) else set()
    if "master" in case.sweep.equation:
        methods |= {"mumps", "gamg"} if case.solver.method == "auto" else {case.solver.method}

    def rehearse() -> None:
        for method in sorted(methods):
            equation = MasterEquation(SMALL, comm=MPI.COMM_SELF, method=method, warn=False)
            equation.stationary()
            if case.evolution is not None:
                equation.evolve(equation.certain(0, 0), [1e-3])
            equation.chain.destroy()

    check_options_read(case.source, case.solver.petsc, rehearse, f'method = "{case.solver.method}"')
