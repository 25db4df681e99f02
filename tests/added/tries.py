"""What must follow, in an interpreter that sees the package with the five parts added: one JSON document."""

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from hypothesis import find, settings

import mastsim as ms
from mastsim.cli import main
from mastsim.methods.families import method_names
from mastsim.reproduce import ALL_FIGURES
from mastsim.sketches import parse_sketch
from mastsim.testing import strategies
from mastsim.verification.theorem_pages import write_pages

settings.register_profile("once", max_examples=200, database=None, deadline=None)
settings.load_profile("once")
TOLD = ["--data", "synthetic:n=20,d=4", "--sketch", "halves", "--problem", "cosine", "--l2", "2.0"]


def said(command, *options):
    """Return what the command line printed, and stop where it failed."""
    done = CliRunner().invoke(main, [command, *options])
    assert done.exit_code == 0, (command, done.output, done.exception)
    return done.output


S = parse_sketch("halves", 6)
ms.testing.check_sketch(S)
rng = np.random.default_rng(0)
f = ms.CosineRegression(rng.standard_normal((8, 6)), rng.standard_normal(8), l2=0.1)
ms.testing.check_problem(f)
F = ms.Mast(f, S)
x = rng.standard_normal(6)
matrices, weights = S.support()[0].matrices(), S.support()[1]
listed = sum(w * float(f.value(M @ x)) for M, w in zip(np.asarray(matrices), np.asarray(weights), strict=True))
q = ms.Mast(ms.Quadratic(np.diag(np.arange(1.0, 7.0)), np.ones(6)), S)
fast = ms.simulate(ms.DSGD(0.1), q, steps=3, replicas=2, seed=0)
moving = ms.MomentumDSGD(0.01)
followed = ms.moments.propagate(q, moving, np.zeros(6), 5).distance
many = ms.simulate(moving, q, steps=5, replicas=4000, seed=0, x0=np.zeros(6)).traces["distance"][:, -1]
record = ms.theorems.DoubledNeighbourhood(q)
verdict = ms.verify(record)
write_pages(Path("pages"), [], "a test")
simulated = said("simulate", *TOLD, "--method", "momentum:beta=0.5", "--steps", "3", "--replicas", "2")
listed_steps = said("stepsize", *TOLD)
constants = said("constants", *TOLD)
tried = said("verify", "--theorem", "doubled", "--sketch", "halves", "--quick", "--json", "-")
said("reproduce", "spectrum", "--data", "synthetic:n=20,d=4", "--quick", "--out", "drawn")
swept = ms.sweep({"data": "synthetic:n=20,d=4", "sketch": "halves", "problem": "cosine", "l2": 2.0, "method": "momentum",
                  "stepsize": "theory", "steps": 2, "replicas": 2}, "swept", progress=False)  # fmt: skip
Path("found.json").write_text(
    json.dumps(
        {
            "home": ms.__file__,
            "same": ms.Halves is type(S) is ms.sketches.Halves and ms.problems.CosineRegression is type(f),
            "drawn": type(find(strategies.sketches(3, [type(S)]), lambda _: True)).__name__,
            "exact": F.evaluation.name,
            "error": abs(listed - float(F.value(x))),
            "engine": fast.engine,
            "moments": [float(followed[-1]), float(many.mean()), float(many.std() / len(many) ** 0.5)],
            "verdict": verdict.verdict,
            "page": Path("pages/doubled.md").read_text().splitlines()[0],
            "figure": "spectrum" in ALL_FIGURES,
            "method": method_names()["momentum"].__name__,
            "simulated": "halves of 4" in simulated and "MomentumDSGD" in simulated,
            "stepsize": "doubled" in listed_steps,
            "constants": "halves of 4" in constants,
            "tried": sorted({(r["theorem"], r["verdict"]) for r in json.loads(tried)["results"]}),
            "drawings": sorted(path.name for path in Path("drawn").iterdir()),
            "swept": swept.done,
        }
    )
)
