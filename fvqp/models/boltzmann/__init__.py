"""Boltzmann transport: quasiparticles and phonons in space, direction and energy, with collisions.

Energies are in Δ0, times in τ0, densities in 4 N0 Δ0 of a reference material; lengths in metres, speeds in
metres/τ0 (theory: transport)::

    grid = EnergyAxis.from_gap(4.0, gap=1.0, finest=0.02)
    film = Medium(ElectronPhonon(grid, coupling), gap=1.0, fermi_velocity=v_F, free_path=l,
                  processes={"escape": PhononEscape(grid, coupling, tau)})
    trap = Medium(ElectronPhonon(grid, coupling), gap=0.8, fermi_velocity=v_F, free_path=l)
    problem = BoltzmannProblem(
        mesh,                                # a Mesh; a line in radius for the shells of a sphere or cylinder
        grid,
        [(mesh.regions["film"], film), (mesh.regions["trap"], trap)],     # or one Medium for all cells
        quasiparticles=Diffusion(),            # or Immobile(), or DiscreteOrdinates(directions, walls={...})
        phonons=Immobile(),
    )
    state = problem.thermal(temperature)             # or problem.state(f, n)
    for moment in evolve(problem, state, times, tolerance=1e-2):
        moment.time, moment.state.f, moment.state.n, moment.state.gap
        moment.ledger.stored, moment.ledger.received                      # conserved to rounding
        problem.densities(moment.state)              # of quasiparticles, (n_owned,)

Occupations are ``[cell, direction, energy]`` of the cells that the rank owns, one direction where a species
keeps none. A species moves by `Immobile`, `Diffusion` or `DiscreteOrdinates` in all cells; how fast it moves
and how often it scatters is said by the `Medium` of a cell: what has no speed there rests. Walls let nothing
through unless said otherwise; where the gap has a step, or states × speed has, particles turn back as far as
they find no states beyond. Ledgers hold sums over all ranks.

Cells that do not exchange particles, a homogeneous superconductor among them, have methods that follow every
occupation to a relative accuracy::

    problem = BoltzmannProblem(separate_cells(), grid, Medium(ElectronPhonon(grid, coupling, "direct")))
    for moment in evolve(problem, state, times, method="arkimex", tolerance=1e-4): ...
    balanced_state(problem, guess).state
"""

from fvqp.models.boltzmann.cell_steady import SteadyState, balanced_state
from fvqp.models.boltzmann.evolution import evolve
from fvqp.models.boltzmann.local_cells import separate_cells
from fvqp.models.boltzmann.medium import Medium
from fvqp.models.boltzmann.motion import CLOSED, Diffusion, DiscreteOrdinates, Immobile
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import BoltzmannLedger, Counters, Moment, State

__all__ = [
    "CLOSED",
    "BoltzmannEquations",
    "BoltzmannLedger",
    "BoltzmannProblem",
    "Counters",
    "Diffusion",
    "DiscreteOrdinates",
    "Immobile",
    "Medium",
    "Moment",
    "State",
    "SteadyState",
    "balanced_state",
    "evolve",
    "separate_cells",
]
