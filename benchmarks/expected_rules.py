"""The rule for exact expectations that mastsim had before: one trapezoid rule, and states of a subset for Rand-K."""

from dataclasses import dataclass

import numpy as np

import mastsim as ms
from mastsim.expected import mast
from mastsim.expected.layout import lay_out
from mastsim.expected.row_moments import RowMoments
from mastsim.expected.transforms import independent, pack, subset

RATIO = 1.1


@dataclass
class TrapezoidRows:
    """f_D of a model under single coordinates that are kept or dropped, v = 0.

    Parameters
    ----------
    problem, sketch
        f and D.
    """

    problem: object
    sketch: object

    def __post_init__(self):
        self.layout = lay_out(self.problem, self.sketch.law, np.zeros(self.problem.dim))

    def value_and_gradient(self, x):
        """Return the mean expected loss without its regularisation, and its gradient."""
        layout, loss = self.layout, self.problem.loss
        theta = layout.gather(x)
        level = np.ceil(np.log(np.maximum(layout.reach(theta), 1.0)) / np.log(RATIO))
        keys, bucket = np.unique(level, return_inverse=True)
        sums = [loss.exponential_sum(RATIO ** float(k)) for k in keys]
        nodes = pack([(found.rate, found.frequencies, found.weights) for found in sums])
        rows = 1, layout.start, theta, layout.offset
        law = layout.keep if layout.independent else layout.groups
        found = (independent if layout.independent else subset)(*rows, law, bucket, nodes)
        slope, square, constant = (
            np.array([getattr(s, name) for s in sums])[bucket] for name in ("slope", "square", "constant")
        )
        moments = RowMoments(layout, theta)
        values = constant + moments.expectation(slope, square) + found.values
        derivatives = moments.derivative(slope, square) + found.derivatives
        return float(np.sum(values)) / len(values), layout.scatter(derivatives, len(x)) / len(values)


def plain(F, x):
    """Return value and gradient of a `Mast` without regularisation, to compare with."""
    assert isinstance(F, mast.Mast)
    value, gradient = F.value_and_gradient(x)
    second = F.sketch.law.second_times(x)
    return value - 0.5 * F.problem.l2 * float(x @ second), gradient - F.problem.l2 * second


def real_valued(problem, seed=5):
    """Return the problem with its stored entries replaced by real numbers."""
    A = problem.A.copy()
    A.data = A.data * np.random.Generator(np.random.Philox(seed)).uniform(0.5, 1.5, A.nnz)
    return ms.LogisticRegression(A, problem.y, l2=problem.l2)
