"""Spectra α²F and the pieces of the Eliashberg solver against quadrature, and what bad input says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.errors import CaseError, ConvergenceError
from fvqp.spectral import alpha2f, eliashberg, eliashberg_axis
from fvqp.spectral.alpha2f import Alpha2F, debye
from fvqp.spectral.eliashberg_matsubara import coulomb_for, critical_temperature, pade, solve_matsubara


@pytest.fixture(scope="module")
def sn() -> alpha2f.Metal:
    return alpha2f.metal("Sn")


@pytest.fixture(scope="module")
def sn_solution(sn: alpha2f.Metal) -> eliashberg.EliashbergSpectrum:
    return eliashberg.solve(sn.spectrum, coulomb=sn.coulomb)


def test_debye_spectrum() -> None:
    spectrum = debye(0.8, 20.0)
    assert spectrum.coupling == pytest.approx(0.8, rel=1e-12)
    assert spectrum.omega_log == pytest.approx(20.0 * math.exp(-0.5), rel=1e-4)
    assert spectrum.omega_2 == pytest.approx(20.0 / math.sqrt(2.0), rel=1e-4)
    assert spectrum.area == pytest.approx(0.8 * 20.0 / 3.0, rel=1e-4)
    nu = 5.0
    exact = 2.0 * 0.8 * quad(lambda x: x**3 / (x**2 + nu**2) / 400.0, 0.0, 20.0)[0]
    assert spectrum.interaction(nu) == pytest.approx(exact, rel=1e-4)


def test_characteristic_time_of_aluminium() -> None:
    """438 ns of Kaplan et al. (1976), from a Debye-like spectrum with λ = 0.43 and Ω_D = 36.9 meV."""
    time = alpha2f.characteristic_time(0.43 / 36.9**2, alpha2f.K_B * 1.18, 1.43)
    assert time == pytest.approx(438e-9, rel=0.05)


def test_cell_means_keep_the_integral() -> None:
    spectrum = Alpha2F(np.array([1.0, 2.5, 4.0]), np.array([0.3, 1.0, 0.2]))
    means = spectrum.cell_means(0.4, 10)
    assert np.sum(means) * 0.4 == pytest.approx(spectrum.area, rel=1e-13)
    assert means[4] == pytest.approx(quad(spectrum, 1.6, 2.0)[0] / 0.4, rel=1e-9)


@pytest.mark.parametrize("name", ["Al", "Sn", "Pb", "Nb"])
def test_model_spectra_have_the_published_parameters(name: str) -> None:
    metal = alpha2f.metal(name)
    assert metal.spectrum.omega_log == pytest.approx(metal.omega_log, rel=0.01)
    assert "Rev. Mod. Phys." in metal.source
    # μ* was fitted to T_c: it gives it back
    critical = critical_temperature(metal.spectrum, coulomb=metal.coulomb)
    assert critical == pytest.approx(alpha2f.K_B * metal.critical_temperature, rel=2e-3)


def test_unknown_metal() -> None:
    with pytest.raises(CaseError, match=r"'Fe'.*Al, Sn, Pb, Nb"):
        alpha2f.metal("Fe")


def test_tables_are_read_in_their_unit(tmp_path) -> None:
    path = tmp_path / "a2f.dat"
    path.write_text("# energy, alpha2F\n\n0.002, 0.5  # comment\n0.004 0.8\n")
    spectrum = alpha2f.read(path, unit="eV")
    assert spectrum.energy == pytest.approx([0.0, 2.0, 4.0])
    assert spectrum.values == pytest.approx([0.0, 0.5, 0.8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# head\n1 0.5\n2 -0.1\n", r"bad.dat, line 3: α²F = -0.1 is negative"),
        ("1 0.5\n\n3 0.1\n2 0.1\n", r"bad.dat, line 4: the energy 2 does not exceed the one before it, 3"),
        ("1 0.5\n1 0.1\n", r"line 2: .*sort the table"),
        ("-1 0.5\n1 0.1\n", r"line 1: the energy -1 is negative"),
        ("1 0.5\n2 nan\n", r"line 2: .*finite"),
        ("0 0.5\n2 0.1\n", r"line 1: .*zero energy"),
        ("1 0.5\n2\n", r'line 2: expected two numbers, energy in meV and α²F, not "2"'),
        ("1 0.5\n2 x\n", r"line 2: expected two numbers"),
        ("1 0.5 7\n2 1\n", r"line 1: expected two numbers"),
        ("# nothing\n", r"at least two rows .* found 0"),
        ("1 0\n2 0\n", r"zero everywhere"),
    ],
)
def test_bad_tables_name_file_and_line(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "bad.dat"
    path.write_text(text)
    with pytest.raises(CaseError, match=message):
        alpha2f.read(path)


def test_missing_table(tmp_path) -> None:
    with pytest.raises(CaseError, match=r"none.dat.*cannot be read"):
        alpha2f.read(tmp_path / "none.dat")


@pytest.mark.parametrize(
    ("X", "phi"),
    [
        ((0.9, 1.1), (1.0, 1.004)),  # the edge inside
        ((0.2, 0.4), (1.0, 1.0)),  # below it
        ((3.0 + 0.1j, 3.2 + 0.12j), (0.9 - 0.1j, 0.89 - 0.08j)),
        ((50.0 + 9j, 50.0002 + 9j), (0.1 - 0.3j, 0.1 - 0.3j)),
    ],
)
def test_cell_integrals(X, phi) -> None:
    X1, X2 = (np.complex128(x + 1e-10j) for x in X)
    phi1, phi2 = (np.complex128(p) for p in phi)
    edge = ((phi1 - X1) / (X2 - X1 - phi2 + phi1)).real
    edge = edge if 0.0 < edge < 1.0 else 0.0

    def functions(t: float) -> tuple[complex, complex]:
        x, p = X1 + (X2 - X1) * t, phi1 + (phi2 - phi1) * t
        root = eliashberg_axis.retarded_root(x, p)
        return x / root, p / root

    def integral(part: int, moment: int) -> float:
        def transformed(y: float) -> float:
            t = edge + y * y
            return 2.0 * y * functions(t)[part].real * (t - 0.5) ** moment

        above = quad(transformed, 0.0, math.sqrt(1.0 - edge), epsabs=1e-12)[0]
        return above  # below the edge both are of the size of the broadening

    got = eliashberg_axis.cell_integrals(*(np.array([z]) for z in (X1, X2, phi1, phi2)), 1.0)
    for value, (part, moment) in zip(got, [(0, 0), (1, 0), (0, 1), (1, 1)], strict=True):
        assert value[0] == pytest.approx(integral(part, moment), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("lag", [0, 1, 2, -3, 39, 41])
def test_hilbert_transform_of_a_hat(lag: int) -> None:
    def hat(x: float) -> float:
        return max(0.0, 1.0 - abs(x - lag))

    # the principal value at 0 by symmetry: (hat(x) − hat(−x))/x
    reach = abs(lag) + 1.0
    kinks = sorted({abs(lag), max(abs(lag) - 1, 0)})
    exact = quad(lambda x: (hat(x) - hat(-x)) / x, 1e-14, reach, points=kinks, limit=200)[0] / math.pi
    assert eliashberg_axis.hilbert_weights(np.array([lag]))[0] == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_pade_of_a_rational_function() -> None:
    def function(z):
        return (1.0 + 2.0 * z) / (3.0 - z)

    z = -(np.linspace(0.5, 4.0, 12) ** 2)
    assert pade(z, function(z), np.array([0.3 + 0.1j]))[0] == pytest.approx(function(0.3 + 0.1j), rel=1e-10)


def test_bins_are_integrals_of_the_spectrum(sn_solution) -> None:
    edge = sn_solution.gap_edge
    edges = edge * np.array([0.5, 0.9, 1.03, 1.1, 1.5, 2.5, 4.0])
    coarse = sn_solution.bins(edges)
    fine = sn_solution.bins(np.union1d(edges, edge * np.linspace(1, 3.9, 57)))
    assert np.all(coarse.s >= np.abs(coarse.p))
    assert np.sum(fine.s) == pytest.approx(np.sum(coarse.s), rel=1e-9)
    # below the phonons Δ hardly varies: the BCS measure to the square of energy over phonon energy
    above = np.maximum(edges, edge)
    assert coarse.s[2:5] == pytest.approx(np.diff(np.sqrt(above**2 - edge**2))[2:5], rel=0.02)
    assert (coarse.p / coarse.gap)[2:5] == pytest.approx(np.diff(np.arccosh(above / edge))[2:5], rel=0.02)
    assert coarse.s[0] < 1e-6 * edge
    assert coarse.dos[3] * (edges[4] - edges[3]) == pytest.approx(coarse.s[3])
    assert coarse.pair_amplitude[3] * (edges[4] - edges[3]) == pytest.approx(coarse.p[3])
    assert coarse.renormalization[2] == pytest.approx(sn_solution.Z[0].real, rel=0.02)


def test_bins_outside_the_solution(sn_solution) -> None:
    with pytest.raises(CaseError, match="leave the solved range"):
        sn_solution.bins([0.0, 1e4])
    with pytest.raises(CaseError, match="increasing"):
        sn_solution.bins([1.0, 0.5])


def test_renormalization_of_the_normal_metal() -> None:
    spectrum = debye(0.6, 20.0)
    normal = eliashberg.normal_state(spectrum)
    bins = normal.bins([0.0, 0.2, 100.0, 101.0])
    assert bins.s == pytest.approx(np.diff(bins.edges), rel=1e-9)
    assert bins.renormalization[0] == pytest.approx(1.6, rel=1e-3)
    assert bins.renormalization[2] == pytest.approx(1.0, abs=0.03)
    assert np.all(bins.p == 0.0)
    assert normal.gap_edge == 0.0


def test_given_occupations_in_equilibrium(sn: alpha2f.Metal) -> None:
    """Occupations given as tables or functions do what the temperature does."""
    t = 0.7 * alpha2f.K_B * sn.critical_temperature
    thermal = eliashberg.solve(sn.spectrum, coulomb=sn.coulomb, temperature=t)
    energy = np.linspace(0.0, 60.0 * t, 4001)[1:]
    given = eliashberg.solve(
        sn.spectrum,
        coulomb=sn.coulomb,
        spacing=thermal.spacing,
        f=eliashberg.tabulated(energy, 1.0 / (np.exp(energy / t) + 1.0)),
        n=eliashberg.thermal_n(t),
    )
    assert given.gap_edge == pytest.approx(thermal.gap_edge, rel=1e-4)


@pytest.mark.slow
def test_injected_quasiparticles_lower_the_gap() -> None:
    """Weak coupling: ``ln(Δ0/Δ) = 2 ∫ f/√(E² − Δ²) dE`` for any f."""
    al = alpha2f.metal("Al")
    rest = eliashberg.solve(al.spectrum, coulomb=al.coulomb, spacing=0.03)

    def f(energy):
        return 0.04 * np.exp(-(((energy - 0.45) / 0.12) ** 2))

    driven = eliashberg.solve(al.spectrum, coulomb=al.coulomb, spacing=0.03, f=f, start=rest)
    gap = driven.gap_edge
    expected = 2.0 * quad(lambda xi: f(math.hypot(xi, gap)) / math.hypot(xi, gap), 0.0, 3.0)[0]
    assert math.log(rest.gap_edge / gap) == pytest.approx(expected, rel=0.03)
    assert expected > 0.03


def test_self_energies_of_any_occupation_are_emission_and_absorption(sn: alpha2f.Metal, sn_solution) -> None:
    """Bands of hot quasiparticles and phonons: the integrals, written out, give the solution back.

        Im εZ = π ∫dΩ α²F(Ω) {ρ(ε−Ω) [1 + n(Ω) − f(ε−Ω)] + ρ(ε+Ω) [n(Ω) + f(ε+Ω)]},  f(−ε) = 1 − f(ε)

    and Im φ likewise with ϕ.
    """

    def f(energy):
        return 0.3 * np.exp(-(((energy - 1.5) / 0.4) ** 2))

    def n(omega):
        return 2.0 * np.exp(-(((omega - 5.0) / 1.0) ** 2))

    out = eliashberg.solve(sn.spectrum, coulomb=sn.coulomb, f=f, n=n, start=sn_solution)
    assert out.gap_edge < 0.9 * sn_solution.gap_edge
    bins = out.bins(np.linspace(0.0, 40.0, 8001))
    positive = 0.5 * (bins.edges[1:] + bins.edges[:-1])
    energy = np.concatenate((-positive[::-1], positive))
    occupied = np.concatenate((1.0 - f(positive[::-1]), f(positive)))
    states = np.concatenate((bins.s[::-1], bins.s))
    pairs = np.concatenate((-bins.p[::-1], bins.p))
    for k in np.searchsorted(out.energy, [0.3, 1.0, 3.0, 8.0, 15.0]):
        omega = out.energy[k] - energy
        statistics = n(np.abs(omega)) + np.where(omega > 0.0, 1.0 - occupied, occupied)
        weight = math.pi * sn.spectrum(np.abs(omega)) * statistics
        assert out.epsilon_Z[k].imag == pytest.approx(np.sum(weight * states), rel=5e-3)
        scale = np.sum(weight * np.abs(pairs))
        assert out.phi[k].imag == pytest.approx(np.sum(weight * pairs), abs=5e-3 * scale)


def test_starting_from_another_solution(sn: alpha2f.Metal, sn_solution) -> None:
    again = eliashberg.solve(sn.spectrum, coulomb=sn.coulomb, start=sn_solution)
    assert again.gap_edge == pytest.approx(sn_solution.gap_edge, rel=1e-7)
    assert again.iterations <= 3
    normal = eliashberg.normal_state(sn.spectrum)
    from_normal = eliashberg.solve(sn.spectrum, coulomb=sn.coulomb, start=normal)
    assert from_normal.gap_edge == pytest.approx(sn_solution.gap_edge, rel=1e-7)


def test_hot_phonons_damp(sn: alpha2f.Metal, sn_solution) -> None:
    """Phonons at T_c, no quasiparticles: ``Im εZ(0) = 2π ∫ α²F n ρ dε``, states appear below the edge.

    The gap itself hardly changes: slow phonons scatter like impurities (Anderson's theorem).
    """
    n = eliashberg.thermal_n(alpha2f.K_B * sn.critical_temperature)
    out = eliashberg.solve(sn.spectrum, coulomb=sn.coulomb, start=sn_solution, n=n)
    bins = out.bins(np.linspace(0.0, sn.spectrum.largest_energy, 2001))
    centre = 0.5 * (bins.edges[1:] + bins.edges[:-1])
    damping = 2.0 * math.pi * np.sum(sn.spectrum(centre) * n(centre) * bins.s)
    assert out.epsilon_Z[0].imag == pytest.approx(damping, rel=5e-3)
    assert out.dos[1] > 1e-4 > sn_solution.dos[1]
    assert out.gap_edge == pytest.approx(sn_solution.gap_edge, rel=1e-3)


def test_a_strong_drive_ends_in_the_normal_state() -> None:
    spectrum = debye(0.5, 20.0)
    out = eliashberg.solve(spectrum, f=lambda e: 0.5 * np.exp(-((e / 10.0) ** 2)))
    assert out.gap_edge == 0.0
    assert np.all(out.phi == 0.0)


def test_above_the_critical_temperature_the_state_is_normal() -> None:
    spectrum = debye(0.8, 20.0)
    hot = 1.05 * critical_temperature(spectrum)
    assert np.all(eliashberg.solve(spectrum, temperature=hot).phi == 0.0)
    assert np.all(solve_matsubara(spectrum, temperature=hot).gap == 0.0)


@pytest.mark.slow
def test_repulsion_without_superconductivity() -> None:
    assert critical_temperature(debye(0.15, 20.0), coulomb=0.2) == 0.0


@pytest.mark.slow
def test_strong_repulsion() -> None:
    """It lowers the gap to a limit: pairing that changes sign with energy avoids it, however strong."""
    spectrum = debye(1.5, 20.0)
    gaps = []
    for coulomb in (1.4, 30.0):
        critical = critical_temperature(spectrum, coulomb=coulomb)
        found = solve_matsubara(spectrum, temperature=critical / 5.0, coulomb=coulomb)
        gaps.append(found.gap[0])
        assert 1.7 < gaps[-1] / critical < 2.2
        again = solve_matsubara(spectrum, temperature=0.98 * critical, coulomb=coulomb)
        assert 0.0 < again.gap[0] < 0.5 * gaps[-1]
    assert np.all(np.diff(gaps) < 0.0)
    assert eliashberg.solve(spectrum, coulomb=30.0).gap_edge == pytest.approx(gaps[1], rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1.0}, "must not be negative"),
        ({"coulomb": -0.1}, "μ\\* = -0.1"),
        ({"cutoff": 3.0}, "cut-off ω_c = 3"),
        ({"f": lambda e: 1.5 + 0.0 * e}, "occupation f = 1.5 .* between 0 and 1"),
        ({"n": lambda e: 0.0 * e - 0.5}, "occupation n = -0.5 .* not negative"),
        ({"f": lambda e: np.zeros(3)}, "one value an energy"),
        ({"spacing": 0.0}, "spacing 0"),
    ],
)
def test_bad_arguments(arguments, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        eliashberg.solve(debye(0.8, 20.0), **arguments)


def test_other_bad_input(sn_solution) -> None:
    with pytest.raises(CaseError, match="another spacing"):
        eliashberg.solve(sn_solution.spectrum, start=sn_solution, spacing=0.01)
    with pytest.raises(CaseError, match="increasing energies"):
        eliashberg.tabulated([1.0, 0.5], [0.0, 0.0])
    with pytest.raises(CaseError, match="temperature above zero"):
        solve_matsubara(sn_solution.spectrum, temperature=0.0)
    with pytest.raises(CaseError, match="must be positive"):
        debye(-1.0, 20.0)
    with pytest.raises(CaseError, match="λ is too small"):
        coulomb_for(debye(0.3, 20.0), 1.0)
    with pytest.raises(CaseError, match="whatever the Coulomb repulsion"):
        coulomb_for(debye(1.5, 20.0), 0.05)


def test_no_convergence_is_an_error() -> None:
    with pytest.raises(ConvergenceError, match="real axis: not converged after 3 iterations, residual"):
        eliashberg.solve(debye(0.8, 20.0), max_iterations=3)
