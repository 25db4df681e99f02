"""mastsim through its public call, on the engine it chooses and on the array path."""

import inspect

import mastsim as ms

THREADS = 2


def has(keyword):
    """Return whether `ms.simulate` has the keyword."""
    return keyword in inspect.signature(ms.simulate).parameters


def engines():
    """Return column -> keywords of `ms.simulate`: one column as long as there is one engine."""
    if not has("engine"):
        return {"mastsim": {}}
    return {"mastsim, array path": {"engine": "array"}, "mastsim": {"engine": "auto"}}


def simulation(work, **keywords):
    """Return run(steps, seed), x of shape (R, d)."""

    def run(steps, seed):
        measured = {"measures": ("distance",), "every": steps, "progress": False}
        common = {"steps": steps, "replicas": work.replicas, "seed": seed, "threads": THREADS, "x0": work.start}
        return ms.simulate(work.method, work.objective, **common, **measured, **keywords).x

    return run


def forms(work):
    """Return column -> name -> run(steps, seed)."""
    return {column: {"ms.simulate": simulation(work, **keywords)} for column, keywords in engines().items()}
