"""Spectrum and correlation of an observable of a Markov chain by a rational Krylov space.

The transfer function n (iω − L)^{-1} b is wanted at many frequencies. Instead of a complex solve for each,
a few real systems (σ − L) x = b span a space on which L is projected; the residual of the projected solution
is known at every frequency, and the next σ is chosen where it is largest, until all are accurate. In the
inner product with weights 1/p, a generator with stationary state p is dissipative, so the projection is
stable. A generator of what decays (`MarkovChain.conserving`) is treated alike, with the weights that the
chain was made with in place of p.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from fvqp.errors import ConvergenceError
from fvqp.solvers.markov import MarkovChain
from fvqp.typing import Floats

MAX_DIMENSION = 80


class Response:
    """C(t) = ⟨δn(t) δn(0)⟩ of the observable n in the stationary state, and its spectrum.

    Parameters
    ----------
    chain
        The chain; `stationary` has been called, unless it decays.
    p
        (n_owned,) its stationary probabilities; the weights of a chain that decays.
    observable
        (n_owned,) value n of the observable in every state.
    frequencies
        ω ≥ 0 (rad per unit of time) at which the spectrum must be accurate; 0 is always included.
    tolerance
        Of the bound on the relative error of the spectrum, see `error`.

    Attributes
    ----------
    mean, variance
        ⟨n⟩ and ⟨δn²⟩; of a chain that decays 0 and ⟨n²⟩.
    shifts
        σ of the systems that were solved.
    error
        Largest bound on the relative error of S at the frequencies, |δn| |r| / (|ω| + slow) / S.

    Raises
    ------
    ConvergenceError
        The space would need more than 80 dimensions.
    """

    def __init__(
        self,
        chain: MarkovChain,
        p: Floats,
        observable: Floats,
        frequencies: ArrayLike,
        tolerance: float = 1e-6,
    ) -> None:
        self._chain = chain
        self.mean = float(chain.sum(observable * p)) if chain.conserving else 0.0
        deviation = observable - self.mean
        self.variance = float(chain.sum(deviation**2 * p))
        omega = np.unique(np.concatenate([[0.0], np.abs(np.asarray(frequencies, float).ravel())]))
        self.shifts: list[float] = []
        # The weights of the chain are p, kept from zero.
        self.error = np.inf
        self._root = np.sqrt(chain.scale / float(chain.sum(chain.scale)))
        start = deviation * self._root
        self._basis = (start / np.sqrt(float(chain.sum(start**2))))[:, None]
        self._images = self._image(self._basis[:, 0])[:, None]
        self._project()
        shift = 0.0
        while True:
            if self._basis.shape[1] >= MAX_DIMENSION:
                raise ConvergenceError(
                    f"spectrum: relative error bound {self.error:.3g} with {MAX_DIMENSION} Krylov vectors, "
                    f"expected {tolerance:.3g}"
                )
            self._extend(shift)
            self._project()
            error = self._bound(omega)
            self.error = float(error.max())
            if self.error <= tolerance:
                break
            shift = float(omega[np.argmax(error)])

    def spectrum(self, frequencies: ArrayLike) -> Floats:
        """S(ω) = ∫ C(t) e^{iωt} dt = 2 Re n (iω − L)^{-1} (n∘p − ⟨n⟩p), two-sided."""
        omega = np.asarray(frequencies, float)
        found = 2.0 * self.variance * self._amplitudes(omega.ravel())[:, 0].real
        return np.asarray(found.reshape(omega.shape))

    def correlation(self, times: ArrayLike) -> Floats:
        """C(t), even in t."""
        t = np.abs(np.asarray(times, float))
        found = expm(t[..., None, None] * self._projected)[..., 0, 0]
        return np.asarray(self.variance * found)

    def relaxation_rates(self) -> Floats:
        """Real parts of the relaxation rates of the projected generator, the slowest first."""
        return np.sort(-np.linalg.eigvals(self._projected).real)

    def _image(self, vector: Floats) -> Floats:
        return self._chain.apply(vector * self._root) / self._root

    def _extend(self, shift: float) -> None:
        last = self._basis[:, -1] * self._root
        if self._chain.conserving:
            last -= self._root**2 * float(self._chain.sum(last))
        new = self._chain.solve(shift, last) / self._root
        self.shifts.append(shift)
        for _ in range(2):
            new -= self._basis @ self._chain.sum(self._basis.T * new)
        new /= np.sqrt(float(self._chain.sum(new * new)))
        self._basis = np.column_stack([self._basis, new])
        self._images = np.column_stack([self._images, self._image(new)])

    def _project(self) -> None:
        """H = V^T L V, and the R of L V − V H = Q R over all ranks."""
        comm = self._chain.comm
        self._projected = comm.allreduce(self._basis.T @ self._images)
        outside = self._images - self._basis @ self._projected
        parts = comm.allgather(_upper(outside))
        self._outside = _upper(np.concatenate(parts))

    def _amplitudes(self, omega: Floats) -> Floats:
        """(n_omega, k) coefficients c of the projected solution for a start of norm 1."""
        k = self._projected.shape[0]
        systems = 1j * omega[:, None, None] * np.eye(k) - self._projected
        return np.linalg.solve(systems, np.eye(k, 1)[None] + np.zeros((omega.size, 1, 1)))[..., 0]

    def _bound(self, omega: Floats) -> Floats:
        amplitude = self._amplitudes(omega)
        residual = np.linalg.norm(amplitude @ self._outside.T, axis=1)
        slow = max(float(self.relaxation_rates()[0]), 1e-3 * self._chain.slow)
        return np.asarray(residual / np.hypot(omega, slow) / np.maximum(amplitude[:, 0].real, 1e-300))


def _upper(matrix: Floats) -> Floats:
    """R of its QR factorization."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))
