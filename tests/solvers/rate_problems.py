"""Small rate equations with solutions in closed form, as the solvers want them."""

from __future__ import annotations

import numpy as np

from fvqp.solvers.elimination import Arrow
from fvqp.typing import Floats


class Chain:
    """x_0 is pumped and decays in pairs; each further x_i follows x_{i−1}, 1000 times smaller; z follow x.

    ``ẋ_0 = pump − x_0² + (leak)(z_0 − x_0)``, ``ẋ_i = rate (10⁻³ x_{i−1} − x_i)``, ``ż_i = x_i − z_i``:
    the sum of x_0 and ``leak`` z_0 changes by pump and pairs alone.
    """

    def __init__(self, pump: float, points: int = 2, rate: float = 100.0, leak: float = 1.0) -> None:
        self.pump, self.rate, self.leak = pump, rate, leak
        self.dense = 5
        self.shape = (points, 2 * self.dense)
        self.upper = np.full(2 * self.dense, np.inf)
        self.weights = np.ones((1, self.dense))

    def steady(self) -> Floats:
        x = np.sqrt(self.pump) * 1e-3 ** np.arange(self.dense)
        return np.tile(np.concatenate([x, x]), (self.shape[0], 1))

    def rates(self, y: Floats) -> Floats:
        x, z = y[:, : self.dense], y[:, self.dense :]
        out = np.empty_like(y)
        out[:, 0] = self.pump - x[:, 0] ** 2 + self.leak * (z[:, 0] - x[:, 0])
        out[:, 1 : self.dense] = self.rate * (1e-3 * x[:, :-1] - x[:, 1:])
        out[:, self.dense :] = x - z
        return out

    def turnover(self, y: Floats) -> Floats:
        x, z = y[:, : self.dense], y[:, self.dense :]
        out = np.empty_like(y)
        out[:, 0] = self.pump + x[:, 0] ** 2 + self.leak * (z[:, 0] + x[:, 0])
        out[:, 1 : self.dense] = self.rate * (1e-3 * x[:, :-1] + x[:, 1:])
        out[:, self.dense :] = x + z
        return out

    def blocks(self, y: Floats) -> Arrow:
        points, n = self.shape[0], self.dense
        xx, xz, zx = (np.zeros((points, n, n)) for _ in range(3))
        xx[:, 0, 0] = -2.0 * y[:, 0] - self.leak
        i = np.arange(1, n)
        xx[:, i, i], xx[:, i, i - 1] = -self.rate, 1e-3 * self.rate
        xz[:, 0, 0] = self.leak
        zx[:] = np.eye(n)
        return Arrow(xx, xz, zx, -np.ones((points, n)))

    def product(self, y: Floats, step: Floats) -> Floats:
        xx, xz, zx, zz = self.blocks(y)
        x, z = step[:, : self.dense], step[:, self.dense :]
        top = np.einsum("cij,cj->ci", xx, x) + np.einsum("cij,cj->ci", xz, z)
        return np.concatenate([top, np.einsum("cij,cj->ci", zx, x) + zz * z], axis=1)

    def balances(self, y: Floats) -> dict[str, tuple[Floats, Floats]]:
        return {"number": (np.full(self.shape[0], self.pump), y[:, 0] ** 2)}

    def counters(self, y: Floats) -> Floats:
        return np.stack([np.full(self.shape[0], self.pump) - y[:, 0] ** 2], axis=1)

    def counters_product(self, y: Floats, step: Floats) -> Floats:
        return -2.0 * y[:, :1] * step[:, :1]

    def conserved(self) -> tuple[Floats, Floats]:
        weights = np.zeros((1, 2 * self.dense))
        weights[0, 0], weights[0, self.dense] = 1.0, self.leak
        return weights, np.ones(1)

    def describe(self, y: Floats, point: int, unknown: int) -> str:
        return f"unknown {unknown} of point {point}"
