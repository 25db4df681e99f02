"""What the rest of the package calls: checked arguments, and one thread when there is little to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastsim.expected.transforms import independent_law, mixed_law, subset_law
from mastsim.expected.transforms.arguments import Groups, Nodes, Rows, Transforms, floats, make_nodes, make_rows
from mastsim.expected.transforms.scratch import lay_out
from mastsim.expected.transforms.subsets import make_subsets
from mastsim.parallel import run_shares

_SMALL = 300_000  # nodes times entries times states, some 0.2 to 0.6 ms: below it, a second thread saves nothing


def independent(
    order: int,
    indptr: np.ndarray,
    theta: np.ndarray,
    offset: np.ndarray,
    prob: np.ndarray,
    bucket: np.ndarray,
    nodes: Nodes,
    delta: np.ndarray | None = None,
) -> Transforms:
    """Evaluate the rows' expectations when entries are kept independently.

    Parameters
    ----------
    order : {0, 1, 2}
        Values only, with derivatives, or with the change of the derivatives along `delta`.
    indptr : integer array, shape (n + 1,)
        Row i holds the entries ``indptr[i]:indptr[i + 1]``.
    theta : array, shape (nnz,)
        What an entry adds to the row's u when it is kept.
    offset : array, shape (n,)
        What the row's u is when nothing is kept.
    prob : array, shape (nnz,)
        Probability of keeping each entry.
    bucket : integer array, shape (n,)
        Which of the sums in `nodes` each row uses.
    nodes : Nodes
        The exponential sums.
    delta : array, shape (nnz,), optional
        The direction in `theta`, for order 2.

    Examples
    --------
    The moment generating function of one Bernoulli variable, and its derivative:

    >>> import numpy as np
    >>> from mastsim.expected.transforms import pack
    >>> one = pack([(1.0, [0.0], [1.0])])
    >>> found = independent(1, indptr=[0, 1], theta=[np.log(3)], offset=[0.0], prob=[0.5], bucket=[0], nodes=one)
    >>> found.values.round(12), found.derivatives.round(12)
    (array([2.]), array([1.5]))
    """
    nodes = make_nodes(nodes)
    rows = make_rows(order, indptr, theta, offset, bucket, nodes.sigma.size, delta)
    prob = floats("prob", prob, rows.theta.size)
    if not np.all((prob >= 0) & (prob <= 1)):
        raise ValueError(f"prob goes from {prob.min()} to {prob.max()}, but probabilities are between 0 and 1")
    return _run(independent_law.kernel, order, 1, rows, prob, nodes)


def subset(
    order: int,
    indptr: np.ndarray,
    theta: np.ndarray,
    offset: np.ndarray,
    groups: Groups,
    bucket: np.ndarray,
    nodes: Nodes,
    delta: np.ndarray | None = None,
) -> Transforms:
    """Evaluate the rows' expectations when groups of entries belong to uniform subsets.

    Scratch memory is, per thread and in doubles, about 2, 18 or 34 times (order 0, 1 or 2) the longest row times the most
    states of a chain, which are 1 + the least of entries and kept units of a group.

    Parameters
    ----------
    order, indptr, theta, offset, bucket, nodes, delta
        As in :func:`independent`.
    groups : Groups
        The groups of every row and the subset each belongs to.

    Examples
    --------
    Exactly one of two units is kept, and the row holds both:

    >>> import numpy as np
    >>> from mastsim.expected.transforms import pack
    >>> one = pack([(1.0, [0.0], [1.0])])
    >>> pair = Groups(row_group_ptr=[0, 1], group_ptr=[0, 2], units=[2], kept=[1])
    >>> theta = np.log([3.0, 5.0])
    >>> subset(0, indptr=[0, 2], theta=theta, offset=[0.0], groups=pair, bucket=[0], nodes=one).values.round(12)
    array([4.])
    """
    nodes = make_nodes(nodes)
    rows = make_rows(order, indptr, theta, offset, bucket, nodes.sigma.size, delta)
    law = make_subsets(groups, rows, nodes.sigma[rows.bucket])
    states = int(np.minimum(np.diff(law.group_ptr), law.kept).max(initial=0)) + 1
    return _run(subset_law.kernel, order, states, rows, law, nodes)


def mixed(
    order: int,
    indptr: np.ndarray,
    theta: np.ndarray,
    offset: np.ndarray,
    keep: np.ndarray,
    bucket: np.ndarray,
    nodes: Nodes,
    delta: np.ndarray | None = None,
) -> Transforms:
    """Evaluate the rows' sums when every node has its own, complex chance of keeping an entry.

    Parameters
    ----------
    order, indptr, theta, offset, bucket, nodes, delta
        As in :func:`independent`; the real parts of the nodes must be zero.
    keep : complex array, shape (start[B],)
        The chance, and the same for all entries, at each node.

    Examples
    --------
    >>> from mastsim.expected.transforms import pack
    >>> nodes = pack([(0.0, [0.5], [1.0])])
    >>> found = mixed(0, indptr=[0, 1], theta=[np.pi], offset=[0.0], keep=np.full(8, 0.5j), bucket=[0], nodes=nodes)
    >>> found.values.round(12)  # the real part of 1 + 0.5j·(1j − 1)
    array([0.5])
    """
    nodes = make_nodes(nodes)
    if nodes.sigma.any():
        raise ValueError("sigma must be zero: complex chances bound nothing where exponentials grow")
    rows = make_rows(order, indptr, theta, offset, bucket, nodes.sigma.size, delta)
    keep = np.asarray(keep, dtype=complex)
    if keep.shape != nodes.frequency.shape:
        raise ValueError(f"keep has shape {keep.shape}, but it must be {nodes.frequency.shape}")
    return _run(mixed_law.kernel, order, 1, rows, mixed_law.make_laws(keep, nodes), nodes)


def _run(kernel: Any, order: int, states: int, rows: Rows, law: Any, nodes: Nodes) -> Transforms:
    """Run a kernel, on one thread when there is little to do, or not at all when there are no nodes."""
    length, entries = np.diff(rows.indptr), rows.theta.size
    out = Transforms(np.zeros(rows.offset.size), *(np.zeros(entries if order >= least else 0) for least in (1, 2)))
    work = int((length + 1) @ np.diff(nodes.start)[rows.bucket]) * states
    if work == 0:
        return out
    at = lay_out(order, int(length.max()), states)
    run_shares(lambda first, stride: kernel(first, stride, at, rows, law, nodes, out), 1 if work < _SMALL else None)
    return out
