"""DSGD as a user of PyTorch writes it: inference mode, batches over replicas, in place where it helps."""

import warnings

import numpy as np
import torch

from benchmarks.speed.work import block_of

THREADS = 2


def forms(work, compiled=True):
    """Return name -> run(steps, seed) of all replicas, x of shape (R, d)."""
    torch.set_num_threads(THREADS)
    if work.is_quadratic:
        found = {"dense product": _product_quadratic(work), "submatrices": _submatrices(work)}
        main = "dense product"
    elif work.minibatch is None:
        main = "dense product"
        found = {main: _dense_product(work), "sparse product": _sparse_product(work), "gathered columns": _columns(work)}
    else:
        main = "rows and columns"
        found = {main: _elements(work), "dense rows": _row_blocks(work), "padded rows": _padded_rows(work)}
    runs = {name: _batch(work, gradient) for name, gradient in found.items()}
    return runs | ({f"{main}, compiled": _batch(work, found[main], compiled=True)} if compiled else {})


def _batch(work, gradient, compiled=False):
    """Return the run; `gradient(W, kept, rows)` is the gradient at the points W = S x, on all coordinates."""
    # Numbers, not the work itself: what is compiled must not find its way through another library's objects.
    size, keep, scale, move = (work.replicas, work.dim), work.keep, work.scale, work.stepsize * work.scale
    n = None if work.is_quadratic else work.signed.shape[0]

    def step(X, scores, rows):
        kept = scores.topk(keep, dim=1, sorted=False).indices
        mask = torch.zeros(size, dtype=torch.float64).scatter_(1, kept, 1.0)
        return X - move * mask * gradient(scale * mask * X, kept, rows)

    advance = torch.compile(step) if compiled else step

    def run(steps, seed):
        generator = torch.Generator().manual_seed(seed)
        # Compiled code refuses tensors of the inference mode where it was traced with others.
        with torch.no_grad() if compiled else torch.inference_mode():
            X = torch.tensor(np.tile(work.start, (work.replicas, 1)))
            rows = None
            for _ in range(steps):
                scores = torch.rand(size, generator=generator)
                if work.minibatch is not None:
                    rows = torch.randint(n, (work.replicas, work.minibatch), generator=generator)
                X = advance(X, scores, rows)
        return X.numpy()

    return run


def _product_quadratic(work):
    A, b = torch.tensor(work.problem.A), torch.tensor(work.problem.b)
    return lambda W, kept, rows: torch.addmm(b, W, A, beta=-1)


def _submatrices(work):
    A, b, block = torch.tensor(work.problem.A), torch.tensor(work.problem.b), block_of(work.keep**2)

    def gradient(W, kept, rows):
        parts = []
        for own, points in zip(kept.split(block), W.split(block), strict=True):
            u = points.gather(1, own)
            parts.append(torch.bmm(A[own[:, :, None], own[:, None, :]], u[:, :, None])[:, :, 0] - b[own])
        return torch.zeros_like(W).scatter_(1, kept, torch.cat(parts))

    return gradient


def _dense_product(work):
    C, ridge = torch.tensor(-work.signed.toarray()), work.problem.ridge
    return lambda W, kept, rows: torch.addmm(W, torch.sigmoid_(W @ C.T), C, beta=ridge, alpha=1 / len(C))


def _sparse_product(work):
    C, ridge = -work.signed, work.problem.ridge
    rows_of, columns_of = (_csr(M) for M in (C, C.T.tocsr()))
    n = C.shape[0]
    return lambda W, kept, rows: ridge * W + (columns_of @ torch.sigmoid_(rows_of @ W.T)).T / n


def _csr(M):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse ", category=UserWarning)
        return torch.sparse_csr_tensor(*(torch.tensor(part) for part in (M.indptr, M.indices, M.data)), size=M.shape)


def _columns(work):
    columns, ridge = torch.tensor(-work.signed.toarray().T.copy()), work.problem.ridge
    n = columns.shape[1]
    block = block_of(work.keep * n)

    def gradient(W, kept, rows):
        parts = []
        for own, points in zip(kept.split(block), W.split(block), strict=True):
            part, u = columns[own], points.gather(1, own)
            slopes = torch.sigmoid_(torch.bmm(u[:, None, :], part))
            parts.append(ridge * u + torch.bmm(part, slopes.transpose(1, 2))[:, :, 0] / n)
        return torch.zeros_like(W).scatter_(1, kept, torch.cat(parts))

    return gradient


def _row_blocks(work):
    C, ridge = torch.tensor(-work.signed.toarray()), work.problem.ridge

    def gradient(W, kept, rows):
        part = C[rows]
        slopes = torch.sigmoid_(torch.bmm(part, W[:, :, None]))
        return ridge * W + torch.bmm(slopes.transpose(1, 2), part)[:, 0] / work.minibatch

    return gradient


def _elements(work):
    C, ridge, count = torch.tensor(-work.signed.toarray()), work.problem.ridge, work.minibatch

    def gradient(W, kept, rows):
        part, u = C[rows[:, :, None], kept[:, None, :]], W.gather(1, kept)
        slopes = torch.sigmoid(torch.bmm(part, u[:, :, None]))
        g = ridge * u + torch.bmm(slopes.transpose(1, 2), part)[:, 0] / count
        return torch.zeros_like(W).scatter_(1, kept, g)

    return gradient


def _padded_rows(work):
    columns, entries = torch.tensor(work.padded[0]).long(), torch.tensor(-work.padded[1])
    ridge, size = work.problem.ridge, work.minibatch

    def gradient(W, kept, rows):
        place, values = columns[rows].flatten(1), entries[rows]
        slopes = torch.sigmoid_((values * W.gather(1, place).view_as(values)).sum(2, keepdim=True))
        return (ridge * W).scatter_add_(1, place, (values * slopes / size).flatten(1))

    return gradient
