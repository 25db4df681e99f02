"""A network with one hidden layer: the smallest problem that is a neural network, with everything derived by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from mastsim.backend import Array, inner, namespace, pieces, rows_at
from mastsim.linalg import Curvature
from mastsim.memory import check_room
from mastsim.problems.base import Components, Minimum, Problem, total_weight
from mastsim.problems.hidden_layer import LOSS, forward, hessian_bounds, mean_product, unpack, weighed_gradient
from mastsim.problems.row_components import SLICE
from mastsim.provenance import Constant
from mastsim.readonly import frozen
from mastsim.validation import ENTRIES, integer, matrix, nonnegative, vector

_DENSE, _COPIES = 512, 8


@dataclass(frozen=True, eq=False)
class TwoLayerNetwork(Problem):
    """f(θ) = (1/n) Σ log(1 + exp(−y_i N_θ(a_i))) + (λ/2)‖θ‖², N_θ(a) = w₂ᵀ tanh(W₁a + b₁) + b₂.

    θ = (W₁ row by row, b₁, w₂, b₂) is one vector of dimension width·(d_in + 2) + 1. f is nonconvex and has no global
    smoothness constant; `smoothness_on_ball` has a proven one wherever ‖θ‖ is bounded.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (n, d_in)
        One row a data point; kept dense.
    y : array, shape (n,)
        Labels −1 and +1.
    width : int
        The number of hidden units, at least 1.
    l2 : float
        Regularisation λ ≥ 0 of all parameters.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape or a label does not fit, `width` is below 1 or `l2` is negative.

    References
    ----------
    This package.

    Examples
    --------
    >>> f = TwoLayerNetwork(np.eye(2), np.array([1.0, -1.0]), width=3, l2=0.01)
    >>> f.dim, bool(f.value(np.zeros(f.dim)) == np.log(2.0)), f.smoothness_on_ball(1.0).kind
    (13, True, 'upper')

    A sketch that drops hidden units, and never the bias of the output:

    >>> from mastsim.sketches import BlockBernoulli
    >>> S = BlockBernoulli(f.dim, f.unit_blocks, keep=np.array([0.5, 0.5, 0.5, 1.0]))
    """

    A: Any
    y: np.ndarray
    width: int
    l2: float

    def __post_init__(self) -> None:
        A = matrix("A", self.A)
        check_room("the matrix A as a dense table", *A.shape, change="use fewer rows or columns")
        A = frozen(A.toarray(), copy=False) if hasattr(A, "toarray") else A
        y = vector("y", self.y, A.shape[0], ENTRIES)
        LOSS.check_labels(y)
        width, l2 = integer("width", self.width, 1), nonnegative("l2", self.l2)
        check_room(
            "the parameters of width × inputs", width, A.shape[1] + 2, change="use a smaller width", itemsize=8 * _COPIES
        )
        for name, value in (("A", A), ("y", y), ("width", width), ("l2", l2)):
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> int:
        """The number d_in of features."""
        return int(self.A.shape[1])

    @property
    def dim(self) -> int:
        """The number of parameters, width·(d_in + 2) + 1."""
        return self.width * (self.inputs + 2) + 1

    @property
    def name(self) -> str:
        """For example ``two-layer network (n = 569, width = 8, d = 257)``."""
        return f"two-layer network (n = {self.components}, width = {self.width}, d = {self.dim})"

    @cached_property
    def unit_blocks(self) -> np.ndarray:
        """The hidden unit of each parameter (its incoming weights, bias and outgoing weight), shape (dim,).

        Units are numbered from 0; the bias of the output is a block of its own, numbered `width`.
        """
        units = np.arange(self.width)
        return np.concatenate([np.repeat(units, self.inputs), units, units, [self.width]])

    def output(self, x: Array) -> Array:
        """Return N_θ(a_i) for every row of the data, shape ``(*x.shape[:-1], n)``."""
        x = self._points("x", x)
        return self._sliced(lambda x: forward(unpack(x, self.width), self.A)[1], x)

    def value(self, x: Array) -> Array:
        """Return f(θ), shape ``x.shape[:-1]``."""
        x = self._points("x", x)
        losses = LOSS.value(self.output(x), self.y)
        return namespace(losses).mean(losses, axis=-1) + 0.5 * self.l2 * inner(x, x)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(θ), shape of `x`."""
        x = self._points("x", x)
        weights = namespace(x).full((1,) * (x.ndim - 1) + (self.components,), 1 / self.components)
        return self._sliced(lambda x: weighed_gradient(x, self.width, self.A, self.y, weights), x) + self.l2 * x

    def hessian_product(self, x: Array, w: Array) -> Array:
        """Return ∇²f(θ) w, shape of `x`."""
        x, w = namespace(x).broadcast_arrays(self._points("x", x), self._points("w", w))
        return self._sliced(lambda x, w: mean_product(x, w, self.width, self.A, self.y), x, w) + self.l2 * w

    def _sliced(self, of: Callable[..., Array], *batches: Array) -> Array:
        """Apply a function to replicas, so many at a time that the hidden layers fit in memory."""
        count = max(1, SLICE // (self.components * self.width))
        x = batches[0]
        if x.ndim == 1 or x.shape[0] <= count:
            return of(*batches)
        parts = [of(*(b[here, ...] for b in batches)) for here in pieces(x.shape[0], count)]
        return namespace(x).concat(parts, axis=0)

    @property
    def components(self) -> int:
        """The number n of rows."""
        return int(self.A.shape[0])

    @cached_property
    def component_smoothness(self) -> np.ndarray:
        """Infinite for every row, shape (n,)."""
        return np.full(self.components, math.inf)

    @cached_property
    def component_infima(self) -> np.ndarray:
        """Zero for every row: neither the logistic loss nor the ridge is ever negative."""
        return np.zeros(self.components)

    def minibatch_gradient(self, x: Array, minibatch: Components) -> Array:
        """Return Σ_j weights[r, j] ∇f_{index[r, j]}(θ_r) for every replica r, shape of `x`, (replicas, dim)."""
        x = self._points("x", x)
        ridge = (self.l2 * total_weight(minibatch))[:, None] * x
        if minibatch.index is None:
            return (
                self._sliced(lambda x, c: weighed_gradient(x, self.width, self.A, self.y, c), x, minibatch.weights) + ridge
            )
        size = max(1, minibatch.index.shape[1] * (self.width + self.inputs))
        count, parts = max(1, SLICE // size), []
        for here in pieces(x.shape[0], count):
            index = minibatch.index[here, ...]
            A, y = rows_at(self.A, index), rows_at(self.y, index)
            parts.append(weighed_gradient(x[here, ...], self.width, A, y, minibatch.weights[here, ...]))
        return namespace(x).concat(parts, axis=0) + ridge

    @property
    def upper_curvature(self) -> Curvature:
        """Refused: there is no such matrix."""
        raise ValueError("the curvature of a two-layer network is unbounded: there is no matrix L ⪰ ∇²f")

    @property
    def lower_curvature(self) -> Curvature:
        """Refused: there is no such matrix."""
        raise ValueError("the curvature of a two-layer network is unbounded: there is no matrix M ⪯ ∇²f")

    @property
    def curvature_is_attained(self) -> bool:
        """False: there are no curvature matrices."""
        return False

    @cached_property
    def L_f(self) -> Constant:
        """Infinite: with zero hidden weights the curvature in a unit's bias is ¼ of its outgoing weight squared."""
        source = "unbounded: at W₁ = b₁ = 0 the curvature in b₁ is ¼ of the outgoing weight squared; see smoothness_on_ball"
        return Constant(math.inf, "exact", source)

    @cached_property
    def mu_f(self) -> Constant:
        """Minus infinity: f is not convex, and nothing bounds its curvature from below."""
        return Constant(-math.inf, "lower", "nothing bounds the curvature of a two-layer network from below")

    @property
    def lower_bound(self) -> float:
        """Zero: neither the logistic loss nor the ridge is ever negative."""
        return 0.0

    def smoothness_on_ball(self, radius: float) -> Constant:
        """Return a proven bound on ‖∇²f(θ)‖ over the ball ‖θ‖ ≤ `radius`.

        For one row let α² = ‖a‖² + 1 and N its output. Then ‖∇N‖² ≤ 1 + α²R², since |tanh z| ≤ |z| and |tanh'| ≤ 1. ∇²N
        is block diagonal over the hidden units, and a block acts on the span of (a, 1) and of the outgoing weight w, as
        [[w tanh'' α², tanh' α], [tanh' α, 0]]; with |w| ≤ R and |tanh''| ≤ 4/(3√3) its norm is at most that of the matrix
        with these bounds. The loss has slope p and curvature p(1 − p) for one p ≤ 1/(1 + e^{−|N|}), and |N| ≤ R√(width + 1).
        So the Hessian of a row is at most the largest p(1 − p)‖∇N‖² + p‖∇²N‖, plus λ; f is the mean of the rows.

        Parameters
        ----------
        radius : float
            R ≥ 0.

        Returns
        -------
        Constant
            Of kind ``"upper"``.

        References
        ----------
        This package.

        Examples
        --------
        >>> f = TwoLayerNetwork(np.zeros((1, 1)), np.ones(1), width=1, l2=0.0)
        >>> f.smoothness_on_ball(0.0).value
        0.75
        """
        R = nonnegative("radius", radius)
        bound = float(hessian_bounds(self.A, self.width, R).mean()) + self.l2
        return Constant(bound, "upper", f"‖∇²f‖ on the ball ‖θ‖ ≤ {R:g}, by the bounds on tanh', tanh'' and the loss")

    def local_smoothness(self, x: Array) -> Constant:
        """Return ‖∇²f(θ)‖ at one point: an estimate of the smoothness nearby, and a bound nowhere else.

        Parameters
        ----------
        x : array, shape (dim,)
            The point θ.

        Returns
        -------
        Constant
            Of kind ``"estimate"``: the largest absolute eigenvalue, dense up to dimension 512 and by Lanczos beyond.
        """
        x = vector("x", x, self.dim)
        if self.dim <= _DENSE:
            return Constant(
                float(np.abs(np.linalg.eigvalsh(self.hessian(x))).max()), "estimate", "‖∇²f(θ)‖ at this point only"
            )
        operator = LinearOperator((self.dim, self.dim), matvec=lambda w: self.hessian_product(x, np.ravel(w)), dtype=float)
        top = eigsh(operator, k=1, which="LM", v0=np.ones(self.dim), return_eigenvectors=False)
        return Constant(float(np.abs(top[0])), "estimate", "‖∇²f(θ)‖ at this point only, by Lanczos")

    def _find_minimum(self, accuracy: float | None) -> Minimum:
        """Return a stationary point, certified only by its value minus the lower bound 0."""
        # Not from zero: there all hidden units are alike and stay so.
        start = np.random.Generator(np.random.Philox(0)).standard_normal(self.dim) / math.sqrt(self.inputs + 1)
        return self._search(start).find(accuracy)
