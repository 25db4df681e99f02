"""Command lines with arguments at the edges of every type."""

import random
from collections.abc import Iterator

from benchmarks.faults.cases import Case
from benchmarks.faults.running import here

NUMBERS = ["nan", "inf", "-inf", "-1", "0", "-0.0", "1e308", "1e-308", "5e-324", "1e400", "", "abc", "1_0", "٣", "0x10", " "]
WHOLES = ["-1", "0", "1", "2147483648", "9223372036854775807", "18446744073709551616", "1e3", "1.5", "", "x", "1_0", "٣"]
SKETCHES = ["", ":", "randk", "randk:", "randk:0", "randk:nan", "randk:1e400", "randk:-1", "randk:1e-300", "randk:0.5:0.5"]
SKETCHES += ["nofm:2:4", "nofm:4:2", "nofm:0:0", "permk:3", "permk:0", "haar:0", "haar:99", "gaussian:0", "gaussian:1e9"]
SKETCHES += [
    "bernoulli:1e-300",
    "bernoulli:1",
    "bernoulli:5e-324",
    "block-bernoulli:0.5:0",
    "identity:3",
    "unscaled:randk:0.5",
]
SKETCHES += ["randk:" + "9" * 5000, "randk:\x00", "randk:½", "RANDK:0.5", "randk=0.5", "haar:2:haar:2"]
DATA = ["", "nowhere", "/", "synthetic:", "synthetic:n=0,d=3", "synthetic:n=9,d=0", "synthetic:n=9", "synthetic:n=1e9,d=1e9"]
DATA += [
    "synthetic:n=-1,d=3",
    "synthetic:n=9,d=3,condition=0",
    "synthetic:n=9,d=3,condition=inf",
    "synthetic:n=9,d=3,what=1",
]
DATA += ["synthetic:n=9,d=3,n=4", "synthetic:n=99999999999,d=99999999999", "synthetic:n=1,d=1", "breast-cancer:", "a" * 5000]
PROBLEMS = [
    "",
    "huber",
    "huber:0",
    "huber:delta=-1",
    "huber:delta=nan",
    "huber:delta=1e308",
    "huber:delta=5e-324",
    "poisson",
]
PROBLEMS += [
    "exponential",
    "welsch:0",
    "sigmoid",
    "logistic:1",
    "least-squares",
    "auto:1",
    "quadratic",
    "huber:delta=1,delta=2",
]
METHODS = [
    "",
    "dsgd:",
    "page",
    "page:probability=0",
    "page:probability=2",
    "page:probability=nan",
    "lsvrdsg",
    "gd",
    "gdci",
    "sgd",
]
METHODS += ["dsgd:sampling=nice:0", "dsgd:sampling=nice:99", "dsgd:minibatch=0", "distributed", "dsgd:dsgd", "page:what=1"]
STEPSIZES = [
    "theory",
    "sharp",
    "0*theory",
    "-1*theory",
    "nan*theory",
    "1e308*theory",
    "inf",
    "nan",
    "1e308",
    "5e-324",
    "0",
    "-1",
]
STEPSIZES += [
    "harmonic:theory:0",
    "harmonic:theory:-1",
    "harmonic:theory:inf",
    "harmonic",
    "sqrt:0.1",
    "theory*theory",
    "20",
    "",
]
SHIFTS = ["", "zero", "erm", "nowhere.npy", "/", "zero.npy", "1,2,3", "ERM"]
THEOREMS = ["", "theorem1", "theorem2/step-x3", "lemma1", "Theorem1", "x" * 4000, "theorem1,theorem2", "../theorem1"]

OBJECTIVE = {"--sketch": SKETCHES, "--data": DATA, "--problem": PROBLEMS, "--shift": SHIFTS, "--l2": NUMBERS}
OBJECTIVE |= {"--condition-number": NUMBERS, "--positive": NUMBERS, "--features": WHOLES, "--clients": WHOLES}
OBJECTIVE |= {"--split": ["iid", "label", "", "x"], "--minibatch": WHOLES}
METHOD = {"--method": METHODS, "--stepsize": STEPSIZES, "--steps": ["-1", "0", "1", "1e3", "9" * 30, "x", ""]}
OPTIONS = {
    "constants": {name: values for name, values in OBJECTIVE.items() if name != "--minibatch"},
    "stepsize": OBJECTIVE | METHOD | {"--accuracy": NUMBERS},
    "simulate": OBJECTIVE | METHOD | {"--replicas": WHOLES, "--every": WHOLES, "--threads": WHOLES, "--seed": WHOLES}
    | {"--device": ["gpu", "tpu", ""], "--engine": ["kernel", "array", "x"], "--precision": ["float32", "float16"]},
    "verify": {"--theorem": THEOREMS, "--seed": WHOLES, "--data": DATA, "--sketch": SKETCHES, "--positive": NUMBERS},
    "verify --attack": {"--attack": THEOREMS, "--budget": ["-1", "0", "1", "1.5", "x"], "--seed": WHOLES},
    "reproduce": {"FIGURE": ["", "gapp", "x" * 4000, "../gap"], "--seed": WHOLES, "--data": DATA},
    "data path": {"NAME": ["", "nowhere", "../a5a", "/", "a5", "\x00", "x" * 5000]},
    "data fetch": {"NAME": ["", "nowhere", "../a5a", "breast-cancer", "synthetic:n=9,d=3"]},
}  # fmt: skip
SMALL = {"--data": "synthetic:n=12,d=4,condition=10", "--sketch": "randk:0.5"}
USUAL = {
    "constants": SMALL,
    "stepsize": SMALL,
    "simulate": SMALL | {"--steps": "5", "--replicas": "2"},
    "verify": {"--data": SMALL["--data"], "--theorem": "lemma1"},
    "verify --attack": {"--attack": "theorem1", "--budget": "20"},
    "reproduce": {"--data": "synthetic:n=9,d=3", "FIGURE": "variance-reduction"},
    "data path": {},
    "data fetch": {},
}
ALWAYS = {"verify": ("--quick",), "reproduce": ("--quick", "--out", "{}/figures")}


def edges() -> Iterator[Case]:
    """Yield every edge of every option of every command, the other options as usual."""
    for command, table in OPTIONS.items():
        for name, values in table.items():
            for value in values:
                yield _case(f"edge of {name}", command, {name: value})


def mixtures(count: int, seed: int) -> Iterator[Case]:
    """Yield command lines of which several options are at edges."""
    rng = random.Random(seed)
    commands = ["constants", "stepsize", "simulate", "verify --attack"]
    for _ in range(count):
        command = rng.choice(commands)
        table = OPTIONS[command]
        names = rng.sample(sorted(table), min(len(table), rng.randint(2, 4)))
        yield _case("several edges", command, {name: rng.choice(table[name]) for name in names})


def _case(kind: str, command: str, changed: dict[str, str]) -> Case:
    options = USUAL[command] | changed
    first = command.split()[0] if command == "verify --attack" else command
    words = [*first.split(), *ALWAYS.get(command, ())]
    words += [text for name, value in options.items() if name.startswith("--") for text in (name, value)]
    words += [value for name, value in options.items() if not name.startswith("--")]
    return Case(kind, command, " ".join(map(repr, words)), here(*words))
