"""Whole histories of exact moments in O(log T) products of matrices."""

from __future__ import annotations

import numpy as np

from mastsim.moments import EnumeratedRecursion, Form
from mastsim.moments.base import written_out


def by_powers(chain: EnumeratedRecursion, x0: np.ndarray, steps: int, form: Form) -> np.ndarray:
    """Return what ``chain.run`` returns for one form, by O(log T) products of matrices in place of T.

    With P the table of the recursion, the functionals fPʲ for j < B and the second moments P^{kB}s for all k are each found
    by doubling; their products are the expectations after kB + j steps.
    """
    power, rows, columns = chain.table, _functional(chain, form)[None], _second_moment(chain, x0)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        while len(rows) ** 2 < steps + 1:
            rows, power = np.concatenate([rows, rows @ power]), power @ power
        while columns.shape[1] * len(rows) < steps + 1:
            columns, power = np.concatenate([columns, power @ columns], axis=1), power @ power
        history = (rows @ columns).T.ravel()[: steps + 1]
    return np.maximum(np.where(np.isnan(history), np.inf, history), 0.0)


def _second_moment(chain: EnumeratedRecursion, x0: np.ndarray) -> np.ndarray:
    first = chain.method.init(chain.objective, np.asarray(x0, dtype=float)[None])
    start = np.append(np.concatenate(first, axis=1)[0] - chain.origin, 1.0)
    return np.outer(start, start).ravel()


def _functional(chain: EnumeratedRecursion, form: Form) -> np.ndarray:
    return written_out(form, chain.fields, chain.objective.dim).ravel()
