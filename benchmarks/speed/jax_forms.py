"""DSGD as a user of JAX writes it: jit, lax.scan over steps, vmap or batched algebra over replicas, float64.

Where XLA was told of two host devices (``--xla_force_host_platform_device_count=2``), every form also runs with half of the
replicas on each, which is how a user gets work that is no matrix product onto two threads.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from benchmarks.speed.work import block_of

BITS = 32


def forms(work, split=True):
    """Return name -> run(steps, seed) of all replicas, x of shape (R, d)."""
    if not jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", True)
    whole = _whole(work)
    runs = {name: _run(work, advance, devices=1) for name, advance in whole.items()}
    if split and work.replicas > 1 and len(jax.devices()) > 1:
        runs |= {f"{name}, 2 devices": _run(work, advance, devices=2) for name, advance in whole.items()}
    return runs


def _whole(work):
    """Return name -> advance(X, key, steps)."""
    if work.is_quadratic:
        one = _submatrix(work)
        batch, textbook = _product_quadratic(work), _textbook_quadratic(work)
        block = block_of(work.keep**2)
    elif work.minibatch is None:
        one, batch, textbook = _columns(work), _dense_product(work), _textbook(work)
        block = block_of(work.keep * len(work.problem.y))
    else:
        one, batch, textbook = _elements(work), _padded_rows(work), _textbook(work)
        block = block_of(work.keep * work.minibatch)
    batch_name = "padded rows" if work.minibatch is not None else "dense product"
    return {
        "textbook mask, vmap": partial(_vmapped, textbook),
        batch_name: partial(_scanned, batch),
        "gathered, vmap": partial(_vmapped, one),
        "gathered, replicas in turn": partial(_in_turn, one, block),
    }


def _scanned(step, X, key, steps):
    return lax.scan(lambda X, key: (step(X, key), None), X, jax.random.split(key, steps))[0]


def _vmapped(step, X, key, steps):
    return _scanned(lambda X, key: jax.vmap(step)(X, jax.random.split(key, len(X))), X, key, steps)


def _in_turn(step, block, X, key, steps):
    """Every replica, or a block that stays in the cache, does all its steps before the next one starts."""
    keys = jax.random.split(key, len(X))
    advance = partial(_scanned, step, steps=steps)
    if block == 1:
        return lax.map(lambda pair: advance(*pair), (X, keys))
    return lax.map(lambda pair: advance(*pair), (X, keys), batch_size=min(block, len(X)))


def _run(work, advance, devices):
    @partial(jax.jit, static_argnums=1)
    def many(keys, steps):
        def share(own):
            X = jnp.tile(jnp.asarray(work.start), (work.replicas // devices, 1))
            return advance(X, own[0], steps)

        if devices == 1:
            return share(keys)
        mesh = Mesh(np.array(jax.devices()[:devices]), ("replicas",))
        spec = PartitionSpec("replicas")
        return jax.shard_map(share, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(keys)

    def run(steps, seed):
        return np.asarray(many(jax.random.split(jax.random.key(seed), devices), steps))

    return run


def _kept(work, key):
    """Return K of d numbers, uniformly; with recall 1 approx_max_k is exact, and on a CPU several times as fast as top_k."""
    return lax.approx_max_k(jax.random.uniform(key, (work.dim,), dtype=jnp.float32), work.keep, recall_target=1.0)[1]


def _mask(work, key, shape=()):
    """Return d/K where random bits are among the K largest: the K-th largest is found bit by bit, faster than any sort."""
    bits = jax.random.bits(key, (*shape, work.dim), dtype=jnp.uint32)

    def raise_one_bit(i, threshold):
        raised = threshold | (jnp.uint32(1) << (BITS - 1 - i).astype(jnp.uint32))
        enough = (bits >= raised).sum(axis=-1, keepdims=True, dtype=jnp.int32) >= work.keep
        return jnp.where(enough, raised, threshold)

    threshold = lax.fori_loop(0, BITS, raise_one_bit, jnp.zeros((*shape, 1), jnp.uint32))
    return jnp.where(bits >= threshold, work.scale, 0.0)


def _textbook_quadratic(work):
    A, b = jnp.asarray(work.problem.A), jnp.asarray(work.problem.b)

    def step(x, key):
        mask = _mask(work, key)
        return x - work.stepsize * mask * (A @ (mask * x) - b)

    return step


def _product_quadratic(work):
    A, b = jnp.asarray(work.problem.A), jnp.asarray(work.problem.b)

    def step(X, key):
        mask = _mask(work, key, (len(X),))
        return X - work.stepsize * mask * ((mask * X) @ A - b)

    return step


def _submatrix(work):
    A, b = jnp.asarray(work.problem.A), jnp.asarray(work.problem.b)

    def step(x, key):
        kept = _kept(work, key)
        g = A[kept[:, None], kept[None, :]] @ (work.scale * x[kept]) - b[kept]
        return x.at[kept].add(-work.stepsize * work.scale * g, unique_indices=True)

    return step


def _textbook(work):
    C, ridge = jnp.asarray(-work.signed.toarray()), work.problem.ridge

    def step(x, key):
        for_mask, for_rows = jax.random.split(key)
        mask = _mask(work, for_mask)
        w = mask * x
        rows = C if work.minibatch is None else C[jax.random.randint(for_rows, (work.minibatch,), 0, len(C))]
        return x - work.stepsize * mask * (ridge * w + jax.nn.sigmoid(rows @ w) @ rows / len(rows))

    return step


def _dense_product(work):
    C, ridge = jnp.asarray(-work.signed.toarray()), work.problem.ridge

    def step(X, key):
        mask = _mask(work, key, (len(X),))
        W = mask * X
        return X - work.stepsize * mask * (ridge * W + jax.nn.sigmoid(W @ C.T) @ C / len(C))

    return step


def _columns(work):
    columns, ridge = jnp.asarray(-work.signed.toarray().T), work.problem.ridge

    def step(x, key):
        kept = _kept(work, key)
        part, u = columns[kept], work.scale * x[kept]
        g = ridge * u + part @ jax.nn.sigmoid(u @ part) / part.shape[1]
        return x.at[kept].add(-work.stepsize * work.scale * g, unique_indices=True)

    return step


def _elements(work):
    C, ridge = jnp.asarray(-work.signed.toarray()), work.problem.ridge

    def step(x, key):
        for_mask, for_rows = jax.random.split(key)
        kept = _kept(work, for_mask)
        rows = jax.random.randint(for_rows, (work.minibatch,), 0, len(C))
        part, u = C[rows[:, None], kept[None, :]], work.scale * x[kept]
        g = ridge * u + jax.nn.sigmoid(part @ u) @ part / work.minibatch
        return x.at[kept].add(-work.stepsize * work.scale * g, unique_indices=True)

    return step


def _padded_rows(work):
    columns, entries = jnp.asarray(work.padded[0]), jnp.asarray(-work.padded[1])
    ridge, size = work.problem.ridge, work.minibatch

    def step(X, key):
        for_mask, for_rows = jax.random.split(key)
        mask = _mask(work, for_mask, (len(X),))
        rows = jax.random.randint(for_rows, (len(X), size), 0, len(columns))
        W, place, values = mask * X, columns[rows], entries[rows]
        replica = jnp.arange(len(X))[:, None, None]
        slopes = jax.nn.sigmoid((values * W[replica, place]).sum(axis=2, keepdims=True))
        return X - work.stepsize * mask * (ridge * W).at[replica, place].add(values * slopes / size)

    return step
