"""The rows of the table: a problem, a sketch, a step size, and how many replicas take steps."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

import mastsim as ms
from benchmarks.expected import data_like_a5a

CONDITION_NUMBER = 100
MINIBATCH = 32


@dataclass(frozen=True, eq=False)
class Work:
    """DSGD on logistic regression or on a quadratic, v = 0, Rand-K, all replicas from one starting point."""

    title: str
    objective: ms.Mast
    stepsize: float
    replicas: int
    minibatch: int | None = None

    @property
    def problem(self):
        return self.objective.problem

    @property
    def dim(self):
        return self.objective.dim

    @property
    def keep(self):
        return self.objective.sketch.k

    @property
    def scale(self):
        return self.dim / self.keep

    @property
    def is_quadratic(self):
        return isinstance(self.problem, ms.Quadratic)

    @property
    def method(self):
        return ms.DSGD(self.stepsize) if self.minibatch is None else ms.DSGD(self.stepsize, ms.Nice(self.minibatch))

    @cached_property
    def start(self):
        return np.random.Generator(np.random.Philox(5)).standard_normal(self.dim)

    @cached_property
    def signed(self):
        """The rows y_i·a_i, sparse: the loss is log(1 + exp(-y_i·a_iᵀx)), its slope -σ(-y_i·a_iᵀx)·y_i·a_i."""
        return sp.csr_array(sp.diags_array(self.problem.y) @ sp.csr_array(self.problem.A))

    @cached_property
    def padded(self):
        """Columns and entries of the signed rows, each row filled up with zeros to the longest, shape (n, longest)."""
        rows = np.diff(self.signed.indptr)
        slot = np.arange(rows.max())
        inside = slot < rows[:, None]
        place = np.minimum(self.signed.indptr[:-1, None] + slot, self.signed.nnz - 1)
        return np.where(inside, self.signed.indices[place], 0), np.where(inside, self.signed.data[place], 0.0)

    def with_replicas(self, replicas):
        return replace(self, replicas=replicas)


def logistic(A, y, share, replicas, minibatch=None, keep=None):
    """Return DSGD-I, or DSGD-II when a minibatch is given, with the step size of Theorem 2."""
    f = ms.LogisticRegression(A, y, condition_number=CONDITION_NUMBER)
    F = ms.Mast(f, ms.RandK(f.dim, keep or round(share * f.dim)))
    kind = "DSGD-I" if minibatch is None else f"DSGD-II, minibatch {minibatch}"
    return Work(f"{kind}, K/d = {share:g}, R = {replicas}", F, step_of_theory(F), replicas, minibatch)


def quadratic(d, keep, replicas):
    """Return DSGD on a quadratic of condition number 100."""
    rng = np.random.Generator(np.random.Philox(d))
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    A = basis * np.geomspace(1 / CONDITION_NUMBER, 1, d) @ basis.T
    F = ms.Mast(ms.Quadratic((A + A.T) / 2, rng.standard_normal(d)), ms.RandK(d, keep))
    return Work(f"quadratic, d = {d}, K = {keep}, R = {replicas}", F, step_of_theory(F), replicas)


def step_of_theory(F):
    return ms.theorems.StronglyConvexDSGD(F).stepsize


def sparse_rows(n, d, a_row, seed=0):
    """Return a random 0/1 matrix with so many ones a row, and labels."""
    rng = np.random.Generator(np.random.Philox(seed))
    columns = rng.random((n, d)).argpartition(a_row, axis=1)[:, :a_row].ravel()
    A = sp.csr_array((np.ones(n * a_row), columns, a_row * np.arange(n + 1)), shape=(n, d))
    return A, np.where(rng.random(n) < 0.25, 1.0, -1.0)


def table(quick=False):
    """Return the name of the data and the rows of the table; quick: three rows of fewer replicas."""
    name, A, y = data_like_a5a()
    if quick:
        return name, [logistic(A, y, 0.1, 16), logistic(A, y, 0.1, 32, MINIBATCH), quadratic(100, 10, 32)]
    works = [logistic(A, y, 0.1, R) for R in (1, 32, 256)]
    works += [logistic(A, y, 0.5, 256), logistic(A, y, 0.1, 256, MINIBATCH)]
    return name, works + [quadratic(d, K, 256) for d, K in ((100, 10), (1000, 100), (1000, 500))]


def block_of(entries, limit=2**22):
    """Return how many replicas of so many float64 entries each fit in `limit` bytes, at least one."""
    return max(1, math.floor(limit / (8 * entries)))
