"""The evaluations against each other and against sums written in another way."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from states import COUPLING, DEBYE, EVALUATIONS, GAPS, GRADED, UNIFORM, random_state, thermal_state

import fvqp.threads
from fvqp.collisions import ElectronPhonon, electron_phonon
from fvqp.energy import BinWeights, EnergyAxis, bcs_weights
from fvqp.errors import CaseError

ids = [f"{name}-{i}" for i, (name, _) in enumerate(EVALUATIONS)]


def close(found, expected, tolerance: float = 2e-14) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=tolerance * np.abs(b).max())


def plain_rates(operator, bin_weights, f, n):
    """One cell by matrices over all pairs, from the kinetic equations as they are usually written."""
    grid, a = operator.grid, operator.coupling.strength
    s, p = bin_weights.dos_weights[0], bin_weights.pair_weights[0]
    number = np.arange(grid.n)
    padded = np.concatenate([n, np.zeros(4 * grid.n + 4 * grid.first + 4)])
    inside = np.concatenate([grid.phonon_energies, np.zeros(padded.size - n.size)])

    down = number[None, :] - number[:, None] - 1
    omega, phonons = np.where(down >= 0, inside[down], 0.0), padded[down]
    w = a * omega**2 * (np.outer(s, s) - np.outer(p, p))
    emitted = w * (f[None, :] * (1 - f[:, None]) * (1 + phonons) - f[:, None] * (1 - f[None, :]) * phonons)
    both = 2 * grid.first + number[None, :] + number[:, None]
    omega, phonons = inside[both], padded[both]
    w = a * omega**2 * (np.outer(s, s) + np.outer(p, p))
    paired = w * (np.outer(f, f) * (1 + phonons) - np.outer(1 - f, 1 - f) * phonons)
    rate_f = (emitted.sum(axis=1) - emitted.sum(axis=0) - paired.sum(axis=1)) / s
    rate_n = np.zeros(padded.size)
    np.add.at(rate_n, np.where(down >= 0, down, -1), emitted)
    np.add.at(rate_n, both, 0.5 * paired)
    return rate_f, rate_n[: n.size] / operator.phonon_modes


@pytest.mark.parametrize(("name", "grid"), [e for e in EVALUATIONS if e[1] is not GRADED])
def test_kinetic_equations(name, grid):
    grid = EnergyAxis(
        grid.edges[-40:], grid.phonon_energies, width=grid.width, first=grid.first + grid.n - 39
    )
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, grid.edges[0] + 0.03)
    f, n = random_state(grid, cells=1)
    close(
        operator.at(bin_weights, f, n).rates,
        [part[None] for part in plain_rates(operator, bin_weights, f[0], n[0])],
    )


@pytest.mark.parametrize("rule", ["bin", "linear"])
@pytest.mark.parametrize("grid", [UNIFORM, DEBYE])
@pytest.mark.parametrize("name", ["fourier", "graded"])
def test_all_agree_with_direct_sums(name, grid, rule):
    bin_weights = bcs_weights(grid, GAPS, rule)
    reference, operator = ElectronPhonon(grid, COUPLING, "direct"), ElectronPhonon(grid, COUPLING, name)
    f, n = random_state(grid)
    step = random_state(grid, seed=9)
    close(operator.at(bin_weights, f, n).rates, reference.at(bin_weights, f, n).rates)
    close(operator.at(bin_weights, f, n).gain_loss(), reference.at(bin_weights, f, n).gain_loss())
    if name == "fourier":
        # on graded grids derivatives by n differ: n enters by a mean of two points, here of one
        close(operator.at(bin_weights, f, n).diagonal(), reference.at(bin_weights, f, n).diagonal())
    close(operator.at(bin_weights, f, n).jvp(*step), reference.at(bin_weights, f, n).jvp(*step))


@pytest.mark.parametrize("name", ["direct", "fourier"])
def test_rates_are_gain_less_loss_and_parts_add_up(name):
    operator, bin_weights = ElectronPhonon(UNIFORM, COUPLING, name), bcs_weights(UNIFORM, GAPS)
    f, n = random_state(UNIFORM)
    whole = operator.at(bin_weights, f, n).gain_loss()
    close(whole.rates(f, n), operator.at(bin_weights, f, n).rates)
    scattering, pairs = (operator.at(bin_weights, f, n).gain_loss(part) for part in ("scattering", "pairs"))
    close([a + b for a, b in zip(scattering, pairs, strict=True)], whole)


def test_parts_of_a_graded_grid_add_up():
    operator, bin_weights = ElectronPhonon(GRADED, COUPLING), bcs_weights(GRADED, GAPS)
    f, n = random_state(GRADED)
    whole = operator.at(bin_weights, f, n).gain_loss()
    close(whole.rates(f, n), operator.at(bin_weights, f, n).rates, 1e-13)
    scattering, pairs = (operator.at(bin_weights, f, n).gain_loss(part) for part in ("scattering", "pairs"))
    close([a + b for a, b in zip(scattering, pairs, strict=True)], whole)


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_jacobian_against_differences(name, grid):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
    f, n = random_state(grid)
    step_f, step_n = random_state(grid, seed=3)
    product = operator.at(bin_weights, f, n).jvp(step_f, step_n)
    # rates on uniform grids are quadratic: their central difference is exact
    small = 1e-4 if name == "graded" else 1.0
    up = operator.at(bin_weights, f + small * step_f, n + small * step_n).rates
    down = operator.at(bin_weights, f - small * step_f, n - small * step_n).rates
    if not (name == "graded" and grid is not GRADED):
        close(
            [(a - b) / (2 * small) for a, b in zip(up, down, strict=True)],
            product,
            1e-5 if small < 1 else 1e-13,
        )
    blocks = operator.at(bin_weights, f, n).jacobian()
    by_f = np.einsum("cij,cj->ci", blocks.ff, step_f), np.einsum("cki,ci->ck", blocks.nf, step_f)
    close(by_f, operator.at(bin_weights, f, n).jvp(step_f, 0.0 * step_n), 1e-13)
    by_n = operator.at(bin_weights, f, n).jvp(0.0 * step_f, step_n)
    close([np.einsum("cik,ck->ci", blocks.fn, step_n)], [by_n.f], 1e-13)
    diagonal = operator.at(bin_weights, f, n).diagonal()
    close([np.diagonal(blocks.ff, axis1=1, axis2=2)], [diagonal.f], 1e-13)
    if name == "graded":
        between_points = operator.at(bin_weights, f, n).point_block()
        close([np.einsum("ckl,cl->ck", between_points, step_n)], [by_n.n], 1e-13)
    else:
        close([blocks.nn * step_n, blocks.nn], [by_n.n, diagonal.n], 1e-13)


@pytest.mark.parametrize("cells", [1, 2])
def test_nearly_empty_points_lose_in_proportion_to_what_they_have(cells):
    """Points of 10⁻¹² of the phonons beside them: by the geometric mean alone the rate would grow tenfold."""
    operator, bin_weights = ElectronPhonon(GRADED, COUPLING), bcs_weights(GRADED, 1.0)
    f, n = random_state(GRADED, cells=cells)
    at = int(np.searchsorted(GRADED.phonon_energies, 2.7))
    loss = []
    for few in (1e-12, 1e-14):
        n[:, at] = few
        found = operator.at(bin_weights, f, n)
        loss.append(found.balance().out_n[:, at])
        step_f, step_n = random_state(GRADED, cells=cells, seed=3)
        step_n *= 1e-5 * n
        differences = [
            operator.at(bin_weights, f + sign * 1e-5 * f * step_f, n + sign * step_n).rates
            for sign in (1.0, -1.0)
        ]
        close(
            [0.5 * (up - down) for up, down in zip(*differences, strict=True)],
            found.jvp(1e-5 * f * step_f, step_n),
            1e-6,
        )
    # the rest is n* at the temperature of the point, not at its energy
    np.testing.assert_array_less(loss[1], 2.5 * loss[0])


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_blocks_of_the_jacobian_conserve_energy(name, grid):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
    blocks = operator.at(bin_weights, *random_state(grid)).jacobian()
    of_f, of_n = bin_weights.dos_weights * grid.energies, operator.phonon_modes * grid.phonon_energies
    into_f, into_n = of_f[:, :, None] * blocks.ff, of_n[:, None] * blocks.nf
    moved = np.abs(into_f).sum(axis=1) + np.abs(into_n).sum(axis=1)
    np.testing.assert_array_less(np.abs(into_f.sum(axis=1) + into_n.sum(axis=1)), 1e-13 * moved + 1e-300)
    into_f, into_n = of_f[:, :, None] * blocks.fn, of_n * blocks.nn
    moved = np.abs(into_f).sum(axis=1) + np.abs(into_n)
    np.testing.assert_array_less(np.abs(into_f.sum(axis=1) + into_n), 1e-13 * moved + 1e-300)


def test_choice_of_evaluation():
    coarse, fine = EnergyAxis.uniform(0.1, 4.0, start=1.0), EnergyAxis.uniform(0.02, 4.0, start=1.0)
    warm, cold = thermal_state(fine, 1.0, 1)[0], thermal_state(fine, 0.05, 1)[0]
    assert ElectronPhonon(coarse, COUPLING).chosen(bcs_weights(coarse, 1.0), warm[:, : coarse.n]) == "direct"
    operator, bin_weights = ElectronPhonon(fine, COUPLING), bcs_weights(fine, 1.0)
    assert operator.chosen(bin_weights, warm) == "fourier"
    assert operator.chosen(bin_weights, cold) == "direct"
    assert ElectronPhonon(GRADED, COUPLING).chosen(bcs_weights(GRADED, 1.0), warm) == "graded"


def test_many_cells_equal_single_cells():
    """Blocks and threads do not show."""
    grid = UNIFORM
    gaps = np.linspace(0.9, 1.2, 19)
    for name in ("direct", "fourier", "graded"):
        operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, gaps)
        f, n = random_state(grid, cells=gaps.size)
        together = operator.at(bin_weights, f, n).rates
        for c in (0, 7, 18):
            alone = operator.at(bcs_weights(grid, gaps[c]), f[c : c + 1], n[c : c + 1]).rates
            close([together.f[c : c + 1], together.n[c : c + 1]], alone, 1e-14)


def test_graded_grid_against_fine_uniform_grid():
    """Moments of the rates of hot quasiparticles: 100 graded bins, 2600 uniform ones; order 2."""

    def moments(grid: EnergyAxis) -> np.ndarray:
        operator, bin_weights = ElectronPhonon(grid, COUPLING), bcs_weights(grid, 1.0)
        f, n = thermal_state(grid, 0.5, 1)
        f = f + 0.1 * np.exp(-0.5 * (grid.energies - 7.0) ** 2)
        rates = operator.at(bin_weights, f, 0.7 * n).rates
        weights = bin_weights.dos_weights[0] * rates.f[0]
        spectrum = operator.phonon_modes * grid.phonon_energies * rates.n[0]
        low = 1.0 / (1.0 + np.exp((grid.phonon_energies - 3.0) / 0.3))
        return np.array([weights.sum(), weights @ grid.energies, spectrum @ low])

    exact = moments(EnergyAxis.uniform(0.005, 14.0, start=1.0))
    errors = []
    for finest, growth in ((0.08, 0.04), (0.04, 0.02)):
        grid = EnergyAxis.from_gap(14.0, gap=1.0, finest=finest, growth=growth)
        errors.append(np.abs(moments(grid) / exact - 1.0))
    assert grid.n < 120
    assert np.all(errors[1] < 1e-3)
    assert np.all(errors[1] < 0.35 * errors[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EnergyAxis.uniform(0.0, 3.0), "width must be positive"),
        (lambda: EnergyAxis.uniform(0.1, 1.0, start=1.0), "no room for two bins"),
        (lambda: EnergyAxis.uniform(0.1, 3.0, phonon_maximum=0.1), "below two bin widths"),
        (lambda: EnergyAxis.from_gap(1.0, gap=1.0, finest=0.1), "do not fit below the maximum"),
        (lambda: EnergyAxis.from_gap(5.0, gap=1.0, finest=-0.1), "finest must be positive"),
        (
            lambda: EnergyAxis(np.array([0.0, 1.0, 0.5]), np.array([1.0, 2.0])),
            "edges must be finite and increase",
        ),
        (
            lambda: EnergyAxis(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0])),
            "phonon energies must be positive",
        ),
        (lambda: bcs_weights(UNIFORM, 0.5), "starts at 0.9"),
        (lambda: bcs_weights(UNIFORM, 3.49), "does not hold a gap"),
        (lambda: bcs_weights(UNIFORM, -1.0), "one finite number ≥ 0 a cell"),
        (lambda: ElectronPhonon(GRADED, COUPLING, "fourier"), "needs a uniform grid"),
        (lambda: ElectronPhonon(EnergyAxis(GRADED.edges), COUPLING), "energy axis: has no phonon energies"),
        (lambda: ElectronPhonon(GRADED, COUPLING, "fft"), 'no evaluation "fft"'),
        (
            lambda: (
                ElectronPhonon(UNIFORM, COUPLING)
                .at(bcs_weights(UNIFORM, 1.0), np.zeros((1, 3)), np.zeros((1, UNIFORM.n_phonon)))
                .rates
            ),
            "need f of shape",
        ),
        (
            lambda: (
                ElectronPhonon(UNIFORM, COUPLING)
                .at(bcs_weights(UNIFORM, GAPS), *random_state(UNIFORM, 2))
                .rates
            ),
            "do not fit f",
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(CaseError, match=message):
        make()


@pytest.mark.parametrize("evaluation", ["direct", "fourier", "graded"])
def test_threads_do_not_change_anything(monkeypatch, evaluation):
    cells = 7
    operator = ElectronPhonon(UNIFORM, COUPLING, evaluation)
    bin_weights = bcs_weights(UNIFORM, np.linspace(0.9, 1.0, cells))
    f, n = random_state(UNIFORM, cells)

    def found():
        return [
            *operator.at(bin_weights, f, n).rates,
            *operator.at(bin_weights, f, n).gain_loss(),
            *operator.at(bin_weights, f, n).jvp(0.5 * f, 0.1 * n),
            *operator.at(bin_weights, f, n).jacobian(),
            *operator.at(bin_weights, f, n).diagonal(),
        ]

    alone = found()
    monkeypatch.setattr(fvqp.threads, "_numba_threads", lambda: 3)
    monkeypatch.setattr(electron_phonon, "_WORTH_A_THREAD", 0)
    for one, several in zip(alone, found(), strict=True):
        np.testing.assert_array_equal(several, one)


def test_transforms_need_memory_in_proportion_to_bins():
    """Nothing grows as their square: eight times the bins take eight times the memory, 1 KiB each."""

    def peak(bins: int) -> int:
        grid = EnergyAxis.uniform(8.0 / bins, 9.0, start=1.0)
        operator, bin_weights = ElectronPhonon(grid, COUPLING, "fourier"), bcs_weights(grid, 1.0)
        f, n = np.full((1, grid.n), 0.1), np.full((1, grid.n_phonon), 0.1)
        _ = operator.at(bin_weights, f, n).rates
        tracemalloc.start()
        _ = ElectronPhonon(grid, COUPLING, "fourier").at(bin_weights, f, n).rates
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(500), peak(4000)
    assert many < 10.0 * few and many < 1024 * 4000


def test_many_cells_at_once():
    """Cells together, more than one group, against one by one; bins without states, empty points."""
    operator = ElectronPhonon(GRADED, COUPLING)
    cells = 45
    bin_weights = bcs_weights(GRADED, np.linspace(GAPS.min(), GAPS.max(), cells))
    f, n = random_state(GRADED, cells)
    n[3] = 0.0
    n[7, ::5] = 0.0
    found = operator.at(bin_weights, f, n)
    rates = found.rates
    close(found.balance(), found.gain_loss(), 1e-14)
    one = BinWeights(bin_weights.dos_weights[:1], bin_weights.pair_weights[:1])
    shared = operator.at(one, f, n).rates
    steps = random_state(GRADED, cells, seed=3)
    together = operator.at(bin_weights, f, n).jvp(*steps)
    for cell in range(cells):
        row = slice(cell, cell + 1)
        close([a[row] for a in rates], operator.at(bin_weights.rows(row), f[row], n[row]).rates, 1e-14)
        close([a[row] for a in shared], operator.at(one, f[row], n[row]).rates, 1e-14)
        alone = operator.at(bin_weights.rows(row), f[row], n[row]).jvp(*(a[row] for a in steps))
        close([a[row] for a in together], alone, 1e-13)


@pytest.mark.parametrize("cells", [1, 3])
def test_phonons_too_few_to_be_counted(cells):
    """Occupations whose inverse overflows, which long times leave in holes of the spectrum, count as zero."""
    operator, bin_weights = ElectronPhonon(GRADED, COUPLING), bcs_weights(GRADED, 1.0)
    f, n = random_state(GRADED, cells)
    step_f, step_n = random_state(GRADED, cells)
    empty, hardly = n.copy(), n.copy()
    empty[:, 3::4] = 0.0
    for number, few in enumerate((5e-324, 1e-310, 1e-305)):
        hardly[:, 3 + 4 * number :: 12] = few
    hardly[:, 3::4] = np.minimum(hardly[:, 3::4], 1e-305)
    found = operator.at(bin_weights, f, hardly).rates, operator.at(bin_weights, f, hardly).gain_loss()
    expected = operator.at(bin_weights, f, empty).rates, operator.at(bin_weights, f, empty).gain_loss()
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.array_equal(a, b)
    moved = (
        operator.at(bin_weights, f, hardly).jvp(step_f, step_n),
        operator.at(bin_weights, f, empty).jvp(step_f, step_n),
    )
    for a, b in zip(*moved, strict=True):
        assert np.array_equal(a, b)
