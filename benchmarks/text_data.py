"""Sparse data of the size and the shape of text: frequent and rare columns, rows of unit length."""

import numpy as np
import scipy.sparse as sp


def text_rows(n=20_000, dim=47_000, each=75, seed=0):
    """Return n rows with about `each` entries in columns that are as frequent as words, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    chance = 1 / (np.arange(dim) + 20.0)
    columns = rng.choice(dim, (n, each), p=chance / chance.sum())
    counts = sp.csr_array((np.ones(n * each), (np.repeat(np.arange(n), each), columns.ravel())), shape=(n, dim))
    counts.sum_duplicates()
    rarity = np.log((1 + n) / (1 + np.bincount(counts.indices, minlength=dim))) + 1
    counts.data = (1 + np.log(counts.data)) * rarity[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    A = sp.csr_array(sp.diags_array(1 / lengths) @ counts)
    y = np.where(A @ rng.standard_normal(dim) + 0.1 * rng.standard_normal(n) > 0, 1.0, -1.0)
    return A, y
