"""Files that are damaged, forged or of another kind: data, vectors, saved runs, witnesses, grids."""

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mastsim as ms
from benchmarks.faults.cases import Case, Ended
from benchmarks.faults.running import guarded, here
from mastsim.cli.program import refusals
from mastsim.verification.attack import attack

LIBSVM = {
    "empty": b"", "newline": b"\n", "no value": b"1 1:\n", "index 0": b"1 0:1\n", "nan": b"1 1:nan\n-1 1:1\n",
    "too large": b"1 1:1e400\n-1 1:1\n", "label nan": b"nan 1:1\n", "repeated": b"1 1:1 1:2\n-1 1:1\n",
    "not rising": b"1 2:1 1:1\n-1 1:1\n", "huge index": b"1 99999999999:1\n-1 1:1\n", "binary": bytes(range(256)),
    "zeros": b"\0" * 64, "label alone": b"1\n-1\n", "bom": b"\xef\xbb\xbf1 1:1\n-1 1:2\n", "one class": b"1 1:1\n1 1:2\n",
    "text": b"hello world\n", "long": b"1 " + b" ".join(b"%d:1" % i for i in range(1, 200)) + b"\n",
    "comment": b"# 1 1:1\n",
    "three classes": b"1 1:1\n2 1:2\n3 1:1\n", "negative index": b"1 -1:1\n", "float index": b"1 1.5:1\n", "colon": b"1 :\n",
    "crlf": b"1 1:1\r\n-1 1:2\r\n", "zero column": b"1 2:1\n-1 2:3\n", "tiny": b"1 1:5e-324\n-1 1:1e-320\n",
}  # fmt: skip


def _npy(array: Any, pickled: bool = False) -> bytes:
    held = io.BytesIO()
    np.save(held, array, allow_pickle=pickled)
    return held.getvalue()


def _vectors() -> dict[str, bytes]:
    whole = _npy(np.ones(4))
    bomb = whole.replace(b"(4,), }", b"(10000000000000,), }")
    found = {"pickle": _npy(np.array([{}], dtype=object), True), "matrix": _npy(np.ones((2, 2))), "long": _npy(np.ones(5))}
    found |= {"nan": _npy(np.full(4, np.nan)), "inf": _npy(np.full(4, np.inf)), "scalar": _npy(np.float64(1.0))}
    found |= {"bool": _npy(np.ones(4, bool)), "complex": _npy(np.ones(4, complex)), "text": _npy(np.array(["a"] * 4))}
    found |= {
        "empty": b"",
        "empty array": _npy(np.ones(0)),
        "bomb": bomb,
        "not npy": b"1,2,3,4",
        "dates": _npy(np.zeros(4, "M8[s]")),
    }
    return found | {f"cut at {at}": whole[:at] for at in (1, 6, 10, 60, len(whole) - 1)} | {"huge": _npy(np.full(4, 1e308))}


def data_files() -> Iterator[Case]:
    """Yield data and vectors that are not what they should be."""
    for name, content in LIBSVM.items():
        for command in ("constants", "simulate"):
            more = ("--steps", "3") if command == "simulate" else ()
            yield _written(
                "LIBSVM file", command, name, "data", content, "--data", "{}/data", "--sketch", "randk:0.5", *more
            )
    refuse = set(_vectors()) - {"bool", "huge", "not npy"}
    for suffix in ("npy", "csv"):
        for name, content in _vectors().items():
            words = ("--data", "synthetic:n=9,d=4", "--sketch", "randk:0.5", "--shift", f"{{}}/v.{suffix}")
            must = "refuse" if suffix == "npy" and name in refuse else "end"
            yield _written(f".{suffix} vector", "constants", name, f"v.{suffix}", content, *words, must=must)


def _written(kind: str, command: str, name: str, file: str, content: bytes, *words: str, must: str = "end") -> Case:
    ran = here(command, *words)

    def run(folder: Path) -> Ended:
        (folder / file).write_bytes(content)
        return ran(folder)

    return Case(kind, command, name, run, must)


# ------------------------------------------------------------------------------------------------- trees of values

_PUT: list[Any] = [None, "x", -1, 1e308, [], {}, True, "9" * 400, float("nan"), [[1.0, [2.0]]], 10**40]


def _tampered(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield a tree of JSON with one place changed, or left out."""
    places = list(_places(tree))
    for number, place in enumerate(places):
        for put in (_PUT[number % len(_PUT)], _PUT[(7 * number + 3) % len(_PUT)], _tampered):
            changed = json.loads(json.dumps(tree))
            inside = changed
            for step in place[:-1]:
                inside = inside[step]
            if put is _tampered:
                del inside[place[-1]]
            else:
                inside[place[-1]] = put
            if json.dumps(changed) != json.dumps(tree):
                yield f"{'/'.join(map(str, place))} = {'left out' if put is _tampered else repr(put)[:20]}", changed


def _places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, inside in steps:
        yield (*above, step)
        yield from _places(inside, (*above, step))


def witnesses() -> Iterator[Case]:
    """Yield saved attacks of which one place is changed."""
    saved = json.loads(json.dumps(attack("theorem1/nonconvex", budget=200).record(), default=float))
    for name, changed in itertools.islice(_tampered(saved), 0, None, 3):
        forged = name.startswith(("verdict", "ratio", "theorem"))
        text = json.dumps(changed).encode()
        yield _written(
            "witness", "verify --replay", name, "w.json", text, "--replay", "{}/w.json", must="refuse" if forged else "end"
        )
    for name, raw in {
        "empty": b"",
        "list": b"[]",
        "deep": b"[" * 100_000,
        "binary": bytes(range(256)),
        "text": b"{",
    }.items():
        yield _written("witness", "verify --replay", name, "w.json", raw, "--replay", "{}/w.json", must="refuse")


GRID = """data = "synthetic:n=9,d=3"
sketch = ["randk:0.5", "bernoulli:0.5"]
method = "dsgd"
steps = 3
replicas = 2
seed = [0, 1]
"""


def grids() -> Iterator[Case]:
    """Yield grids with one line changed."""
    lines = GRID.splitlines()
    values = [
        "[]",
        '""',
        "-1",
        "nan",
        "{}",
        "true",
        "[[1]]",
        "1e400",
        "18446744073709551616",
        "[0, 0]",
        '["x"]',
        "1979-05-27",
    ]
    for number, line in enumerate(lines):
        for value in values[number % 3 :: 2]:
            changed = [*lines[:number], f"{line.split(' = ')[0]} = {value}", *lines[number + 1 :]]
            yield _grid(changed[number], "\n".join(changed).encode())
    for name, raw in {"empty": b"", "text": b"x", "binary": bytes(range(256)), "twice": (GRID * 2).encode()}.items():
        yield _grid(name, raw)
    for extra in ("unknown = 1", "workers = 2", 'measures = ["x"]', 'stepsize = ["nan"]', 'device = "gpu"', "l2 = -1"):
        yield _grid(extra, f"{GRID}{extra}\n".encode())
    many = f"seed = {list(range(1_000_000))}"
    yield _grid("a million tasks, all wrong", GRID.replace("seed = [0, 1]", many).replace("steps = 3", "steps = 0").encode())


def _grid(name: str, content: bytes) -> Case:
    return _written("grid", "sweep", name, "g.toml", content, "{}/g.toml", "--out", "{}/records")


# ------------------------------------------------------------------------------------------------------ saved runs


def runs() -> Iterator[Case]:
    """Yield saved runs of which a member is changed, left out, or cut; each must be refused by `Run.load`."""
    data = ms.load("synthetic:n=9,d=3")
    F = ms.Mast(ms.LeastSquares(data.A, data.y, l2=0.1), ms.RandK(3, k=1))
    run = ms.simulate(ms.DSGD(0.01), F, steps=5, replicas=2, seed=0)
    held = io.BytesIO()
    with np.load(_saved(run)) as file:
        members = {name: file[name] for name in file.files}
    np.savez(held, **members)
    whole = held.getvalue()
    for at in (0, 1, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        yield _run(f"cut at {at}", whole[:at])
    for name, array in members.items():
        for told, changed in _changed(array):
            kept = members | {name: changed} if changed is not None else {n: a for n, a in members.items() if n != name}
            held = io.BytesIO()
            np.savez(held, **kept)
            yield _run(f"{name} {told}", held.getvalue())
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        header = _npy(np.zeros(0)).replace(b"(0,), }", b"(10000000000,), }")
        packed.writestr("recorded.npy", header + bytes(50_000_000))
    yield _run("compressed bomb", held.getvalue())


def _saved(run: ms.Run) -> io.BytesIO:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run.save(Path(folder) / "run.npz")
        return io.BytesIO((Path(folder) / "run.npz").read_bytes())


def _changed(array: np.ndarray) -> Iterator[tuple[str, np.ndarray | None]]:
    yield "left out", None
    yield "as text", np.array("x")
    if array.dtype.kind == "U":
        text = str(array)
        yield "cut", np.array(text[: len(text) // 2])
        yield "edited", np.array(text.replace("1", "2").replace("5", "7"))
        return
    yield "nan", np.full(array.shape, np.nan)
    yield "longer", np.concatenate([array.ravel(), array.ravel(), np.ones(1)])
    yield "of another type", array.astype(complex)
    yield "one number off", array + 1


def _run(name: str, content: bytes) -> Case:
    def run(folder: Path) -> Ended:
        (folder / "run.npz").write_bytes(content)
        return guarded(lambda: _loaded(folder / "run.npz"))

    return Case("saved run", "Run.load", name, run, "refuse")


def _loaded(path: Path) -> Ended:
    import traceback

    import click

    try:
        with refusals():
            ms.Run.load(path)
    except click.ClickException as refused:
        return Ended(refused.exit_code, "", f"Error: {refused.format_message()}")
    except Exception:
        return Ended(1, "", traceback.format_exc())
    return Ended(0, "", "")


ALL: tuple[Callable[[], Iterator[Case]], ...] = (data_files, witnesses, grids, runs)
