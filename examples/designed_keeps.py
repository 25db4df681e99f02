"""Keeps designed for a problem against uniform ones: the largest step, and where DSGD ends under each."""

import sys

import mastsim as ms

data = ms.load(sys.argv[1] if len(sys.argv) > 1 else "breast-cancer")
f = ms.LogisticRegression(data.A, data.y, condition_number=100)
budget = 0.3 * f.dim
found = ms.design(f, budget, objective="step")
print(f"the keeps are at most {found.gap:.1e} from the best possible (certified)")

masks = {"designed": found.sketch, "uniform": ms.Bernoulli(f.dim, keep=0.3), "rand-k": ms.RandK(f.dim, k=int(budget))}
for name, S in masks.items():
    F = ms.Mast(f, S)
    step = ms.theorems.StronglyConvexDSGD(F, sharp=True).stepsize
    run = ms.simulate(ms.DSGD(step), F, steps=1000, replicas=16, measures=("distance", "f"))
    end = run.final()["f"]
    print(f"{name:9s} largest step {step:.4g}, smoothness {float(F.L_fD_sharp):.4g}, f at the end {end['mean']:.4g}")
