"""DSGD as a user of NumPy and SciPy writes it: one replica in a loop, or all of them as one batch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from benchmarks.speed.work import block_of


def loops(work):
    """Return name -> run(steps, seed) of one replica, x of shape (1, d): the textbook, and what touches K columns only."""
    if work.is_quadratic:
        return {"dense": _loop(work, _dense_quadratic(work))}, {"gathered": _loop(work, _gathered_quadratic(work))}
    gathered = {"gathered columns": _loop(work, _gathered_columns(work))}
    if work.minibatch is None:
        gathered["gathered sparse columns"] = _loop(work, _gathered_sparse_columns(work))
    return {"dense": _loop(work, _dense_rows(work))}, gathered


def _loop(work, gradient):
    """Return the loop; `gradient(x, kept, rng)` is the gradient at S x, on the kept coordinates."""

    def run(steps, seed):
        rng = np.random.default_rng(seed)
        x = work.start.copy()
        move = work.stepsize * work.scale
        with np.errstate(over="ignore"):
            for _ in range(steps):
                kept = rng.permutation(work.dim)[: work.keep]
                x[kept] -= move * gradient(x, kept, rng)
        return x[None]

    return run


def _point(work, x, kept):
    w = np.zeros(work.dim)
    w[kept] = work.scale * x[kept]
    return w


def _dense_quadratic(work):
    A, b = work.problem.A, work.problem.b
    return lambda x, kept, rng: (A @ _point(work, x, kept) - b)[kept]


def _gathered_quadratic(work):
    A, b = work.problem.A, work.problem.b
    return lambda x, kept, rng: A[kept[:, None], kept] @ (work.scale * x[kept]) - b[kept]


def _slopes(margins):
    """Overwrite y·aᵀw by σ(-y·aᵀw)."""
    np.exp(margins, out=margins)
    margins += 1
    return np.reciprocal(margins, out=margins)


def _dense_rows(work):
    B, ridge = work.signed.toarray(), work.problem.ridge

    def gradient(x, kept, rng):
        w = _point(work, x, kept)
        rows = B if work.minibatch is None else B[rng.integers(len(B), size=work.minibatch)]
        return (ridge * w - _slopes(rows @ w) @ rows / len(rows))[kept]

    return gradient


def _gathered_columns(work):
    B, ridge = work.signed.toarray(), work.problem.ridge
    columns = np.ascontiguousarray(B.T)

    def gradient(x, kept, rng):
        u = work.scale * x[kept]
        part = columns[kept] if work.minibatch is None else B[rng.integers(len(B), size=work.minibatch), kept[:, None]]
        return ridge * u - part @ _slopes(u @ part) / part.shape[1]

    return gradient


def _gathered_sparse_columns(work):
    columns, ridge, n = sp.csr_array(work.signed.T), work.problem.ridge, work.signed.shape[0]

    def gradient(x, kept, rng):
        u = work.scale * x[kept]
        part = columns[kept]
        return ridge * u - part @ _slopes(u @ part) / n

    return gradient


def batched(work):
    """Return name -> run(steps, seed) of all replicas, x of shape (R, d)."""
    if work.is_quadratic:
        steps = {"dense product": _product_quadratic, "sparse points": _sparse_points, "submatrices": _submatrices}
    elif work.minibatch is None:
        steps = {"dense product": _dense_product, "sparse product": _sparse_product, "gathered columns": _column_blocks}
    else:
        steps = {"dense rows": _row_blocks, "rows and columns": _elements, "padded rows": _padded_rows}
    whole = {name: _batch(work, build(work), workers=1) for name, build in steps.items()}
    if work.replicas == 1:
        return whole
    return whole | {f"{name}, replicas on 2 threads": _batch(work, build(work), workers=2) for name, build in steps.items()}


def _batch(work, gradient, workers):
    """Return the run; `gradient(W, kept, rng)` is the gradient at the points W = S x, on all coordinates."""

    def part(count, steps, seed):
        rng = np.random.default_rng(seed)
        X = np.tile(work.start, (count, 1))
        mask, move = np.zeros(X.shape), work.stepsize * work.scale
        with np.errstate(over="ignore"):
            for _ in range(steps):
                kept = np.argpartition(rng.random(X.shape, dtype=np.float32), work.keep - 1, axis=1)[:, : work.keep]
                mask[...] = 0
                np.put_along_axis(mask, kept, 1.0, axis=1)
                X -= move * mask * gradient(work.scale * mask * X, kept, rng)
        return X

    def run(steps, seed):
        if workers == 1:
            return part(work.replicas, steps, seed)
        counts = [work.replicas // 2, work.replicas - work.replicas // 2]
        seeds = np.random.SeedSequence(seed).spawn(2)
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(part, counts, [steps] * 2, seeds)))

    return run


def _product_quadratic(work):
    A, b = work.problem.A, work.problem.b
    return lambda W, kept, rng: W @ A - b


def _sparse_points(work):
    A, b, keep = work.problem.A, work.problem.b, work.keep

    def gradient(W, kept, rng):
        inside = np.take_along_axis(W, kept, axis=1).ravel()
        points = sp.csr_array((inside, kept.ravel(), keep * np.arange(len(W) + 1)), shape=W.shape)
        return points @ A - b

    return gradient


def _submatrices(work):
    A, b, block = work.problem.A, work.problem.b, block_of(work.keep**2)

    def gradient(W, kept, rng):
        G = np.zeros(W.shape)
        for first in range(0, len(W), block):
            own = kept[first : first + block]
            u = np.take_along_axis(W[first : first + block], own, axis=1)
            g = (A[own[:, :, None], own[:, None, :]] @ u[:, :, None])[:, :, 0] - b[own]
            np.put_along_axis(G[first : first + block], own, g, axis=1)
        return G

    return gradient


def _dense_product(work):
    B, ridge = work.signed.toarray(), work.problem.ridge
    return lambda W, kept, rng: ridge * W - _slopes(W @ B.T) @ B / len(B)


def _sparse_product(work):
    B, ridge = work.signed, work.problem.ridge
    transposed = sp.csr_array(B.T)
    return lambda W, kept, rng: ridge * W - (transposed @ _slopes(B @ W.T)).T / B.shape[0]


def _column_blocks(work):
    columns, ridge = np.ascontiguousarray(work.signed.toarray().T), work.problem.ridge
    n = columns.shape[1]
    block = block_of(work.keep * n)

    def gradient(W, kept, rng):
        G = np.zeros(W.shape)
        for first in range(0, len(W), block):
            own = kept[first : first + block]
            part = columns[own]
            u = np.take_along_axis(W[first : first + block], own, axis=1)
            slopes = _slopes(u[:, None, :] @ part)
            g = ridge * u - (part @ slopes.transpose(0, 2, 1))[:, :, 0] / n
            np.put_along_axis(G[first : first + block], own, g, axis=1)
        return G

    return gradient


def _row_blocks(work):
    B, ridge, size = work.signed.toarray(), work.problem.ridge, work.minibatch

    def gradient(W, kept, rng):
        part = B[rng.integers(len(B), size=(len(W), size))]
        slopes = _slopes((part @ W[:, :, None])[:, :, 0])
        return ridge * W - (slopes[:, None, :] @ part)[:, 0] / size

    return gradient


def _elements(work):
    B, ridge, size = work.signed.toarray(), work.problem.ridge, work.minibatch

    def gradient(W, kept, rng):
        part = B[rng.integers(len(B), size=(len(W), size, 1)), kept[:, None, :]]
        u = np.take_along_axis(W, kept, axis=1)
        slopes = _slopes((part @ u[:, :, None])[:, :, 0])
        G = np.zeros(W.shape)
        np.put_along_axis(G, kept, ridge * u - (slopes[:, None, :] @ part)[:, 0] / size, axis=1)
        return G

    return gradient


def _padded_rows(work):
    columns, entries = work.padded
    ridge, size = work.problem.ridge, work.minibatch

    def gradient(W, kept, rng):
        rows = rng.integers(len(columns), size=(len(W), size))
        place = columns[rows] + work.dim * np.arange(len(W))[:, None, None]
        values = entries[rows]
        slopes = _slopes((values * W.ravel()[place]).sum(axis=2))
        pulled = np.bincount(place.ravel(), (values * slopes[:, :, None]).ravel(), minlength=W.size)
        return ridge * W - pulled.reshape(W.shape) / size

    return gradient
